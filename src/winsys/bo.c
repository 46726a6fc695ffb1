// SPDX-License-Identifier: MIT
/* Owns struct drover_bo: creating, importing, exporting, mapping, and the table by GEM handle. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xf86drm.h>

#include "winsys.h"

struct drover_bo {
	struct drover_device *dev;
	struct drover_bo *next_in_bucket;
	uint64_t size;
	uint32_t handle;
	bool imported;
	/* becomes zero only under the device's bos_lock */
	atomic_uint refs;

	pthread_mutex_t map_lock;
	void *map;
	unsigned int num_maps;
};

/* ---- The table; all of it is called with bos_lock held ---- */

static struct drover_bo **bucket_of(struct drover_bo **buckets, uint32_t num_buckets,
				    uint32_t handle)
{
	return &buckets[handle & (num_buckets - 1)];
}

static struct drover_bo *table_find(struct drover_device *dev, uint32_t handle)
{
	struct drover_bo *bo = *bucket_of(dev->buckets, dev->num_buckets, handle);

	while (bo && bo->handle != handle)
		bo = bo->next_in_bucket;
	return bo;
}

static void table_grow(struct drover_device *dev)
{
	uint32_t num_buckets = 2 * dev->num_buckets;
	struct drover_bo **buckets = calloc(num_buckets, sizeof(*buckets));

	/* without memory the chains get longer, which is slower and no error */
	if (!buckets)
		return;
	for (uint32_t i = 0; i < dev->num_buckets; i++) {
		struct drover_bo *bo = dev->buckets[i], *next;

		for (; bo; bo = next) {
			struct drover_bo **bucket = bucket_of(buckets, num_buckets, bo->handle);

			next = bo->next_in_bucket;
			bo->next_in_bucket = *bucket;
			*bucket = bo;
		}
	}
	free(dev->buckets);
	dev->buckets = buckets;
	dev->num_buckets = num_buckets;
}

static void table_insert(struct drover_device *dev, struct drover_bo *bo)
{
	struct drover_bo **bucket;

	if (dev->num_bos >= dev->num_buckets && dev->num_buckets <= UINT32_MAX / 2)
		table_grow(dev);
	bucket = bucket_of(dev->buckets, dev->num_buckets, bo->handle);
	bo->next_in_bucket = *bucket;
	*bucket = bo;
	dev->num_bos++;
}

static void table_remove(struct drover_device *dev, struct drover_bo *bo)
{
	struct drover_bo **link = bucket_of(dev->buckets, dev->num_buckets, bo->handle);

	while (*link != bo)
		link = &(*link)->next_in_bucket;
	*link = bo->next_in_bucket;
	dev->num_bos--;
}

/* ---- Objects ---- */

static struct drover_bo *bo_alloc(struct drover_device *dev)
{
	struct drover_bo *bo = calloc(1, sizeof(*bo));

	if (!bo)
		return NULL;
	if (pthread_mutex_init(&bo->map_lock, NULL)) {
		free(bo);
		return NULL;
	}
	atomic_init(&bo->refs, 1);
	bo->dev = device_ref(dev);
	return bo;
}

static void bo_free(struct drover_bo *bo)
{
	pthread_mutex_destroy(&bo->map_lock);
	device_unref(bo->dev);
	free(bo);
}

int drover_bo_create(struct drover_device *dev, uint64_t size, uint32_t placements,
		     uint32_t preferred, struct drover_vm *vm, struct drover_bo **out)
{
	struct drm_drover_bo_create args = {
		.size = size,
		.placements = placements,
		.preferred = preferred,
		.vm_id = vm ? vm->id : 0,
	};
	struct drover_bo *bo;
	int ret;

	if (!out || (vm && vm->dev != dev))
		return -EINVAL;
	bo = bo_alloc(dev);
	if (!bo)
		return -ENOMEM;
	ret = device_ioctl(dev->fd, DRM_IOCTL_DROVER_BO_CREATE, &args);
	if (ret) {
		bo_free(bo);
		return ret;
	}
	bo->handle = args.handle;
	bo->size = size;

	pthread_mutex_lock(&dev->bos_lock);
	table_insert(dev, bo);
	pthread_mutex_unlock(&dev->bos_lock);
	*out = bo;
	return 0;
}

/* with bos_lock held; fills in a BO for a handle that isn't in the table */
static int bo_adopt_import(struct drover_bo *bo, uint32_t handle)
{
	struct drm_drover_bo_info info = {.handle = handle};
	int ret = device_ioctl(bo->dev->fd, DRM_IOCTL_DROVER_BO_INFO, &info);

	if (ret) {
		drmCloseBufferHandle(bo->dev->fd, handle);
		return ret;
	}
	bo->handle = handle;
	bo->size = info.size;
	bo->imported = info.flags & DRM_DROVER_BO_IMPORTED;
	table_insert(bo->dev, bo);
	return 0;
}

int drover_bo_import(struct drover_device *dev, int dmabuf_fd, struct drover_bo **out)
{
	struct drover_bo *bo, *known = NULL;
	uint32_t handle;
	int ret;

	if (!out)
		return -EINVAL;
	/* before the import, which then has nothing to undo */
	bo = bo_alloc(dev);
	if (!bo)
		return -ENOMEM;

	pthread_mutex_lock(&dev->bos_lock);
	ret = drm_result(drmPrimeFDToHandle(dev->fd, dmabuf_fd, &handle));
	if (!ret) {
		known = table_find(dev, handle);
		if (known)
			drover_bo_ref(known);
		else
			ret = bo_adopt_import(bo, handle);
	}
	pthread_mutex_unlock(&dev->bos_lock);

	if (ret || known)
		bo_free(bo);
	if (!ret)
		*out = known ? known : bo;
	return ret;
}

int drover_bo_export(struct drover_bo *bo, int *dmabuf_fd)
{
	if (!dmabuf_fd)
		return -EINVAL;
	return drm_result(
		drmPrimeHandleToFD(bo->dev->fd, bo->handle, DRM_CLOEXEC | DRM_RDWR, dmabuf_fd));
}

struct drover_bo *drover_bo_ref(struct drover_bo *bo)
{
	atomic_fetch_add_explicit(&bo->refs, 1, memory_order_relaxed);
	return bo;
}

/* drops a reference unless it is the last one, which needs the lock */
static bool unref_shared(struct drover_bo *bo)
{
	unsigned int refs = atomic_load_explicit(&bo->refs, memory_order_relaxed);

	while (refs > 1)
		if (atomic_compare_exchange_weak_explicit(
			    &bo->refs, &refs, refs - 1, memory_order_release, memory_order_relaxed))
			return true;
	return false;
}

void drover_bo_unref(struct drover_bo *bo)
{
	struct drover_device *dev;
	bool last;

	if (!bo || unref_shared(bo))
		return;

	dev = bo->dev;
	pthread_mutex_lock(&dev->bos_lock);
	/* an import may have found it in the table meanwhile */
	last = atomic_fetch_sub_explicit(&bo->refs, 1, memory_order_acq_rel) == 1;
	if (last) {
		table_remove(dev, bo);
		drmCloseBufferHandle(dev->fd, bo->handle);
	}
	pthread_mutex_unlock(&dev->bos_lock);
	if (!last)
		return;

	if (bo->map)
		munmap(bo->map, bo->size);
	bo_free(bo);
}

/* ---- CPU mappings ---- */

static int mmap_fd(struct drover_bo *bo, int fd, uint64_t offset)
{
	void *map = mmap(NULL, bo->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	if (map == MAP_FAILED)
		return -errno;
	bo->map = map;
	return 0;
}

static int mmap_import(struct drover_bo *bo)
{
	int fd, ret;

	/* the kernel returns the dma-buf that was imported, so no fd needs be kept for it */
	ret = drover_bo_export(bo, &fd);
	if (ret)
		return ret;
	ret = mmap_fd(bo, fd, 0);
	close(fd);
	return ret;
}

static int mmap_own(struct drover_bo *bo)
{
	struct drm_drover_bo_mmap args = {.handle = bo->handle};
	int ret = device_ioctl(bo->dev->fd, DRM_IOCTL_DROVER_BO_MMAP, &args);

	return ret ? ret : mmap_fd(bo, bo->dev->fd, args.offset);
}

int drover_bo_map(struct drover_bo *bo, void **ptr)
{
	int ret = 0;

	if (!ptr)
		return -EINVAL;
	pthread_mutex_lock(&bo->map_lock);
	if (!bo->num_maps)
		ret = bo->imported ? mmap_import(bo) : mmap_own(bo);
	if (!ret) {
		bo->num_maps++;
		*ptr = bo->map;
	}
	pthread_mutex_unlock(&bo->map_lock);
	return ret;
}

int drover_bo_unmap(struct drover_bo *bo)
{
	int ret = 0;

	pthread_mutex_lock(&bo->map_lock);
	if (!bo->num_maps) {
		ret = -EINVAL;
	} else if (--bo->num_maps == 0) {
		munmap(bo->map, bo->size);
		bo->map = NULL;
	}
	pthread_mutex_unlock(&bo->map_lock);
	return ret;
}

/* ---- The rest ---- */

int drover_bo_info(struct drover_bo *bo, struct drm_drover_bo_info *info)
{
	struct drm_drover_bo_info args = {.handle = bo->handle};
	int ret;

	if (!info)
		return -EINVAL;
	ret = device_ioctl(bo->dev->fd, DRM_IOCTL_DROVER_BO_INFO, &args);
	if (!ret)
		*info = args;
	return ret;
}

uint32_t drover_bo_handle(const struct drover_bo *bo)
{
	return bo->handle;
}

uint64_t drover_bo_size(const struct drover_bo *bo)
{
	return bo->size;
}

struct drover_device *bo_device(const struct drover_bo *bo)
{
	return bo->dev;
}
