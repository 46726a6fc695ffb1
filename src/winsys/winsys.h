/* SPDX-License-Identifier: MIT */
/*
 * What the files of libdrover share. Every file owns one kind of object and
 * reaches into no other's, but for the fields of struct drover_device and the
 * handles that ioctls need.
 */
#ifndef DROVER_WINSYS_H
#define DROVER_WINSYS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <drover/drover.h>

struct drover_device {
	int fd;
	/* the caller's reference, and one of each object that needs the file */
	atomic_uint refs;

	/*
	 * All BOs of this file by GEM handle. A handle stands for a buffer, not
	 * for an import: importing a dma-buf twice yields the same handle, and
	 * closing it once closes it for both. So the lock covers both "import,
	 * then look the handle up" and "remove the handle, then close it".
	 */
	pthread_mutex_t bos_lock;
	struct drover_bo **buckets;
	uint32_t num_buckets; /* a power of two */
	uint32_t num_bos;
};

struct drover_vm {
	struct drover_device *dev;
	uint32_t id;
	/* of the whole aperture, once it was mapped; the same for all VMs of a device */
	_Atomic uint64_t aperture_size;
};

struct drover_sync {
	struct drover_device *dev;
	uint32_t handle;
};

struct drover_device *device_ref(struct drover_device *dev);
void device_unref(struct drover_device *dev);

struct drover_device *bo_device(const struct drover_bo *bo);

/* drmIoctl(), which restarts interrupted calls, with the errno as its result */
int device_ioctl(int fd, unsigned long request, void *arg);

/* the errno of a libdrm call that failed, whatever way it has of returning it */
int drm_result(int ret);

/* CLOCK_MONOTONIC in ns at which a relative time-out ends; INT64_MAX: never */
int64_t deadline_from_timeout(int64_t timeout_ns);

/* poll(2) one file descriptor; 0, -ETIME, or what is wrong with the descriptor */
int poll_until(int fd, short events, int64_t timeout_ns);

#endif
