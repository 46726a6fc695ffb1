// SPDX-License-Identifier: MIT
/*
 * The same as share.c with nothing but ioctls. Arguments: the two render nodes.
 *
 *	cc -I../../include share-ioctl.c $(pkg-config --cflags libdrm) -o share-ioctl
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <drm/drover_drm.h>

#define SIZE (1 << 20)

struct gpu {
	int fd;
	uint32_t vm_id;
	uint32_t handle;
	uint32_t done;
	uint64_t va;
};

static void call(int fd, unsigned long request, void *args, const char *what)
{
	int ret;

	do {
		ret = ioctl(fd, request, args);
	} while (ret && (errno == EINTR || errno == EAGAIN));
	if (!ret)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void gpu_open(struct gpu *gpu, const char *node)
{
	struct drm_drover_device_info info = {0};
	struct drm_drover_vm_create vm = {0};
	struct drm_syncobj_create sync = {0};

	gpu->fd = open(node, O_RDWR | O_CLOEXEC);
	if (gpu->fd < 0) {
		perror(node);
		exit(1);
	}
	call(gpu->fd, DRM_IOCTL_DROVER_DEVICE_INFO, &info, "DEVICE_INFO");
	call(gpu->fd, DRM_IOCTL_DROVER_VM_CREATE, &vm, "VM_CREATE");
	call(gpu->fd, DRM_IOCTL_SYNCOBJ_CREATE, &sync, "SYNCOBJ_CREATE");
	gpu->va = info.va_start;
	gpu->vm_id = vm.vm_id;
	gpu->done = sync.handle;
}

static void gpu_bind(struct gpu *gpu)
{
	struct drm_drover_bind bind = {
		.op = DRM_DROVER_BIND_MAP,
		.handle = gpu->handle,
		.va = gpu->va,
		.size = SIZE,
	};
	struct drm_drover_vm_bind args = {
		.vm_id = gpu->vm_id,
		.num_binds = 1,
		.binds = (uintptr_t)&bind,
	};

	call(gpu->fd, DRM_IOCTL_DROVER_VM_BIND, &args, "VM_BIND");
}

/* Write a pattern, or check that it is there; doesn't wait for the job. */
static void gpu_submit(struct gpu *gpu, int write)
{
	struct drm_drover_command command = {
		.opcode = write ? DRM_DROVER_OP_FILL : DRM_DROVER_OP_CHECK,
		.dst = write ? gpu->va : 0,
		.src = write ? 0 : gpu->va,
		.size = SIZE,
		.value = 1,
		.step = 1,
	};
	struct drm_drover_buffer listed = {
		.handle = gpu->handle,
		.flags = write ? DRM_DROVER_BUFFER_WRITE : DRM_DROVER_BUFFER_READ,
	};
	struct drm_drover_sync done = {.handle = gpu->done};
	struct drm_drover_submit args = {
		.vm_id = gpu->vm_id,
		.commands = (uintptr_t)&command,
		.num_commands = 1,
		.buffers = (uintptr_t)&listed,
		.num_buffers = 1,
		.out_syncs = (uintptr_t)&done,
		.num_out_syncs = 1,
	};

	call(gpu->fd, DRM_IOCTL_DROVER_SUBMIT, &args, "SUBMIT");
}

/* A job that failed signals, too: VM_INFO says what CHECK found. */
static void gpu_finish(struct gpu *gpu)
{
	struct drm_syncobj_wait wait = {
		.handles = (uintptr_t)&gpu->done,
		.count_handles = 1,
		.timeout_nsec = INT64_MAX,
	};
	struct drm_drover_vm_info info = {.vm_id = gpu->vm_id};

	call(gpu->fd, DRM_IOCTL_SYNCOBJ_WAIT, &wait, "SYNCOBJ_WAIT");
	call(gpu->fd, DRM_IOCTL_DROVER_VM_INFO, &info, "VM_INFO");
	if (!info.failed_checks && !(info.flags & DRM_DROVER_VM_LOST))
		return;
	fprintf(stderr, "check failed at %#llx: found %u, expected %u; lost for errno %u\n",
		(unsigned long long)info.check_address, info.check_found, info.check_expected,
		info.lost_reason);
	exit(1);
}

static void gpu_print(struct gpu *gpu, const char *name)
{
	struct drm_drover_bo_info info = {.handle = gpu->handle};

	call(gpu->fd, DRM_IOCTL_DROVER_BO_INFO, &info, "BO_INFO");
	printf("%-6s placement %u, pins %u, evictions %llu, remaps %llu\n", name, info.placement,
	       info.pins, (unsigned long long)info.evictions, (unsigned long long)info.remaps);
}

int main(int argc, char **argv)
{
	struct drm_drover_bo_create create = {
		.size = SIZE,
		.placements = DRM_DROVER_PLACEMENT_VRAM | DRM_DROVER_PLACEMENT_GTT,
	};
	struct drm_prime_handle prime = {.flags = DRM_CLOEXEC | DRM_RDWR};
	struct drm_drover_evict evict = {.target = DRM_DROVER_EVICT_BO};
	struct gpu producer = {0}, consumer = {0};

	if (argc != 3) {
		fprintf(stderr, "usage: %s RENDER-NODE-0 RENDER-NODE-1\n", argv[0]);
		return 2;
	}
	gpu_open(&producer, argv[1]);
	gpu_open(&consumer, argv[2]);

	/* 1. A shared BO: no VM is named, so that it can be exported. */
	call(producer.fd, DRM_IOCTL_DROVER_BO_CREATE, &create, "BO_CREATE");
	producer.handle = create.handle;
	gpu_bind(&producer);

	/* 2. Its dma-buf, imported by the other device. */
	prime.handle = producer.handle;
	call(producer.fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime, "PRIME_HANDLE_TO_FD");
	call(consumer.fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime, "PRIME_FD_TO_HANDLE");
	close(prime.fd);
	consumer.handle = prime.handle;
	gpu_bind(&consumer);

	/* 3. The reader waits for the writer, because both list the buffer. */
	gpu_submit(&producer, 1);
	gpu_submit(&consumer, 0);
	gpu_finish(&consumer);
	gpu_print(&consumer, "before");

	/* 4. GPU 0 takes it out of reach, as it would for lack of VRAM. */
	evict.id = producer.handle;
	call(producer.fd, DRM_IOCTL_DROVER_EVICT, &evict, "EVICT");
	gpu_print(&consumer, "after");

	/* 5. The next use brings it back: nobody has to ask for it. */
	gpu_submit(&consumer, 0);
	gpu_finish(&consumer);
	gpu_print(&consumer, "again");
	gpu_print(&producer, "owner");

	/* Closing the files frees everything else. */
	close(consumer.fd);
	close(producer.fd);
	return 0;
}
