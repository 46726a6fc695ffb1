// SPDX-License-Identifier: MIT
/* Owns eviction by request: of a BO, a VM, or everything of a file. */
#include <errno.h>

#include "winsys.h"

static int evict(struct drover_device *dev, uint32_t target, uint32_t id,
		 struct drm_drover_evict *result)
{
	struct drm_drover_evict args = {.target = target, .id = id};
	int ret = device_ioctl(dev->fd, DRM_IOCTL_DROVER_EVICT, &args);

	/* -EBUSY: what wasn't pinned was evicted, and the counts are right */
	if (result && (!ret || ret == -EBUSY))
		*result = args;
	return ret;
}

int drover_bo_evict(struct drover_bo *bo, struct drm_drover_evict *result)
{
	return evict(bo_device(bo), DRM_DROVER_EVICT_BO, drover_bo_handle(bo), result);
}

int drover_vm_evict(struct drover_vm *vm, struct drm_drover_evict *result)
{
	return evict(vm->dev, DRM_DROVER_EVICT_VM, vm->id, result);
}

int drover_device_evict(struct drover_device *dev, struct drm_drover_evict *result)
{
	return evict(dev, DRM_DROVER_EVICT_ALL, 0, result);
}
