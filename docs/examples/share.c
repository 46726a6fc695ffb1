// SPDX-License-Identifier: MIT
/*
 * A buffer of GPU 0, used by GPU 1, evicted in between: with libdrover.
 *
 *	cc share.c $(pkg-config --cflags --libs drover) -o share
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <drover/drover.h>

#define SIZE       (1 << 20)
#define PLACEMENTS (DRM_DROVER_PLACEMENT_VRAM | DRM_DROVER_PLACEMENT_GTT)

struct gpu {
	struct drover_device *dev;
	struct drover_vm *vm;
	struct drover_bo *bo;
	struct drover_sync *done;
	uint64_t va;
};

static void must(int ret, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-ret));
	exit(1);
}

static void gpu_open(struct gpu *gpu, unsigned int index)
{
	struct drm_drover_device_info info;

	must(drover_device_open(index, &gpu->dev), "open a virtual GPU");
	must(drover_device_info(gpu->dev, &info), "device info");
	must(drover_vm_create(gpu->dev, &gpu->vm), "create a VM");
	must(drover_sync_create(gpu->dev, false, &gpu->done), "create a sync");
	gpu->va = info.va_start;
}

static void gpu_close(struct gpu *gpu)
{
	drover_bo_unref(gpu->bo);
	drover_sync_destroy(gpu->done);
	drover_vm_destroy(gpu->vm);
	drover_device_close(gpu->dev);
}

/* Write a pattern, or check that it is there; doesn't wait for the job. */
static void gpu_submit(struct gpu *gpu, bool write)
{
	struct drover_submission *sub;

	must(drover_submission_create(gpu->vm, &sub), "create a submission");
	if (write)
		drover_submission_fill(sub, gpu->va, SIZE, 1, 1);
	else
		drover_submission_check(sub, gpu->va, SIZE, 1, 1);
	/* Listed for implicit sync only; it is resident because it is bound. */
	drover_submission_buffer(sub, gpu->bo, write ? DROVER_ACCESS_WRITE : DROVER_ACCESS_READ);
	drover_submission_signal(sub, gpu->done, 0);
	must(drover_submission_submit(sub), "submit");
	drover_submission_destroy(sub);
}

static void gpu_finish(struct gpu *gpu)
{
	must(drover_sync_wait(gpu->done, 0, -1, 0), "wait");
	must(drover_sync_status(gpu->done, 0), "the job");
}

static void gpu_print(struct gpu *gpu, const char *name)
{
	struct drm_drover_bo_info info;

	must(drover_bo_info(gpu->bo, &info), "BO info");
	printf("%-6s placement %u, pins %u, evictions %llu, remaps %llu\n", name, info.placement,
	       info.pins, (unsigned long long)info.evictions, (unsigned long long)info.remaps);
}

int main(void)
{
	struct gpu producer = {0}, consumer = {0};
	int fd;

	gpu_open(&producer, 0);
	gpu_open(&consumer, 1);

	/* 1. A shared BO: no VM is named, so that it can be exported. */
	must(drover_bo_create(producer.dev, SIZE, PLACEMENTS, 0, NULL, &producer.bo), "create");
	must(drover_vm_bind(producer.vm, producer.va, producer.bo, 0, SIZE, 0), "bind");

	/* 2. Its dma-buf, imported by the other device. */
	must(drover_bo_export(producer.bo, &fd), "export");
	must(drover_bo_import(consumer.dev, fd, &consumer.bo), "import");
	close(fd);
	must(drover_vm_bind(consumer.vm, consumer.va, consumer.bo, 0, SIZE, 0), "bind");

	/* 3. The reader waits for the writer, because both list the buffer. */
	gpu_submit(&producer, true);
	gpu_submit(&consumer, false);
	gpu_finish(&consumer);
	gpu_print(&consumer, "before");

	/* 4. GPU 0 takes it out of reach, as it would for lack of VRAM. */
	must(drover_bo_evict(producer.bo, NULL), "evict");
	gpu_print(&consumer, "after");

	/* 5. The next use brings it back: nobody has to ask for it. */
	gpu_submit(&consumer, false);
	gpu_finish(&consumer);
	gpu_print(&consumer, "again");
	gpu_print(&producer, "owner");

	gpu_close(&consumer);
	gpu_close(&producer);
	return 0;
}
