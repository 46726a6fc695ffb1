// SPDX-License-Identifier: MIT
/*
 * A client with known BOs, for the suite cli-guest: does what each line on stdin says (report, evict, use, touch, spin)
 * and answers with a line of JSON that says what libdrover reports then. Ends with stdin.
 *
 * On GPU 0: a private BO of 2 MiB in VRAM, a private one of 3 MiB and a page in GTT (so that sizes come in
 * KiB as well), a shared one of 1 MiB that GPU 1 imports.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <drover/drover.h>

#define MIB      (1ULL << 20)
#define VRAM     DRM_DROVER_PLACEMENT_VRAM
#define GTT      DRM_DROVER_PLACEMENT_GTT
#define NUM_BOS  4
#define NUM_GPUS 2
#define SPIN_US  300000

struct bo {
	struct drover_bo *bo;
	size_t gpu;
	uint64_t va;
};

struct gpu {
	struct drover_device *dev;
	struct drover_vm *vm;
	struct drover_sync *done;
	uint64_t next_va;
};

static struct gpu gpus[NUM_GPUS];
static struct bo bos[NUM_BOS];

static void must(int ret, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "client: %s: %s\n", what, strerror(-ret));
	exit(1);
}

static void open_gpu(struct gpu *gpu, unsigned int index)
{
	struct drm_drover_device_info info;

	must(drover_device_open(index, &gpu->dev), "open");
	must(drover_device_info(gpu->dev, &info), "device info");
	must(drover_vm_create(gpu->dev, &gpu->vm), "create a VM");
	must(drover_sync_create(gpu->dev, false, &gpu->done), "create a sync");
	gpu->next_va = info.va_start;
}

static void bind(struct bo *bo, size_t gpu)
{
	bo->gpu = gpu;
	bo->va = gpus[gpu].next_va;
	must(drover_vm_bind(gpus[gpu].vm, bo->va, bo->bo, 0, drover_bo_size(bo->bo), 0), "bind");
	gpus[gpu].next_va += drover_bo_size(bo->bo);
}

static void make_bos(void)
{
	int fd;

	must(drover_bo_create(gpus[0].dev, 2 * MIB, VRAM, 0, gpus[0].vm, &bos[0].bo), "create");
	must(drover_bo_create(gpus[0].dev, 3 * MIB + 4096, GTT, 0, gpus[0].vm, &bos[1].bo),
	     "create");
	must(drover_bo_create(gpus[0].dev, MIB, VRAM | GTT, 0, NULL, &bos[2].bo), "create");
	must(drover_bo_export(bos[2].bo, &fd), "export");
	must(drover_bo_import(gpus[1].dev, fd, &bos[3].bo), "import");
	close(fd);
	for (size_t i = 0; i < NUM_BOS; i++)
		bind(&bos[i], i == 3);
}

/* A job on each GPU: what is bound there becomes resident. */
static void use(uint64_t spin_us)
{
	for (size_t i = 0; i < NUM_GPUS; i++) {
		struct drover_submission *sub;

		must(drover_submission_create(gpus[i].vm, &sub), "create a submission");
		drover_submission_spin(sub, spin_us);
		drover_submission_signal(sub, gpus[i].done, 0);
		must(drover_submission_submit(sub), "submit");
		drover_submission_destroy(sub);
		must(drover_sync_wait(gpus[i].done, 0, -1, 0), "wait");
	}
}

/* Every page of the first BO, through the aperture, where the module has one. */
static void touch(void)
{
	void *base;
	int ret = drover_vm_map_aperture(gpus[0].vm, 0, &base);

	if (ret)
		return;
	for (uint64_t at = 0; at < drover_bo_size(bos[0].bo); at += 4096)
		((volatile char *)base)[bos[0].va + at] = 1;
	must(drover_vm_unmap_aperture(gpus[0].vm, base, 0), "unmap the aperture");
}

static void report_gpu(size_t index)
{
	struct drm_drover_device_info info;
	struct drm_drover_vm_info vm;
	uint64_t resident = 0, evicted = 0;

	must(drover_device_info(gpus[index].dev, &info), "device info");
	must(drover_vm_info(gpus[index].vm, &vm), "VM info");
	for (size_t i = 0; i < NUM_BOS; i++) {
		struct drm_drover_bo_info bo;

		if (bos[i].gpu != index)
			continue;
		must(drover_bo_info(bos[i].bo, &bo), "BO info");
		*(bo.placement == DRM_DROVER_PLACEMENT_EVICTED ? &evicted : &resident) += bo.size;
	}
	printf("{\"index\": %u, \"vram_size\": %llu, \"vram_used\": %llu, \"gtt_size\": %llu, \"gtt_used\": %llu, ",
	       info.device_index, info.vram_size, info.vram_used, info.gtt_size, info.gtt_used);
	printf("\"pinned\": %llu, \"pin_limit\": %llu, \"evictions\": %llu, \"bytes_moved\": %llu, ",
	       info.pinned, info.pin_limit, info.evictions, info.bytes_moved);
	printf("\"pin_imports\": %d, \"resident\": %llu, \"evicted\": %llu, ",
	       !!(info.flags & DRM_DROVER_DEVICE_PIN_IMPORTS), (unsigned long long)resident,
	       (unsigned long long)evicted);
	printf("\"bound_resident\": %llu, ", vm.resident_bytes);
	printf("\"vm\": {\"id\": %u, \"suspends\": %llu, \"remaps\": %llu, \"evictions\": %llu, \"faults\": %llu}}",
	       drover_vm_id(gpus[index].vm), vm.suspends, vm.remaps, vm.evictions, vm.faults);
}

static void report(void)
{
	putchar('[');
	for (size_t i = 0; i < NUM_GPUS; i++) {
		fputs(i ? ", " : "", stdout);
		report_gpu(i);
	}
	puts("]");
	fflush(stdout);
}

int main(void)
{
	char line[32];

	for (unsigned int i = 0; i < NUM_GPUS; i++)
		open_gpu(&gpus[i], i);
	make_bos();
	use(0);
	report();
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "evict\n")) {
			int ret = drover_device_evict(gpus[0].dev, NULL);

			/* what is pinned stays */
			if (ret != -EBUSY)
				must(ret, "evict");
		} else if (!strcmp(line, "use\n")) {
			use(0);
		} else if (!strcmp(line, "touch\n")) {
			touch();
		} else if (!strcmp(line, "spin\n")) {
			use(SPIN_US);
		}
		report();
	}
	for (size_t i = 0; i < NUM_BOS; i++)
		drover_bo_unref(bos[i].bo);
	for (size_t i = 0; i < NUM_GPUS; i++) {
		drover_sync_destroy(gpus[i].done);
		drover_vm_destroy(gpus[i].vm);
		drover_device_close(gpus[i].dev);
	}
	return 0;
}
