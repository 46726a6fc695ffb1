// SPDX-License-Identifier: MIT
/* Owns struct drover_vm: address spaces and what is bound in them. */
#include <errno.h>
#include <stdlib.h>

#include "winsys.h"

int drover_vm_create(struct drover_device *dev, struct drover_vm **out)
{
	struct drm_drover_vm_create args = {0};
	struct drover_vm *vm;
	int ret;

	if (!out)
		return -EINVAL;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return -ENOMEM;
	ret = device_ioctl(dev->fd, DRM_IOCTL_DROVER_VM_CREATE, &args);
	if (ret) {
		free(vm);
		return ret;
	}
	vm->dev = device_ref(dev);
	vm->id = args.vm_id;
	*out = vm;
	return 0;
}

void drover_vm_destroy(struct drover_vm *vm)
{
	struct drm_drover_vm_destroy args = {0};

	if (!vm)
		return;
	args.vm_id = vm->id;
	/* fails only for an id that isn't ours, or when there is no device any more */
	device_ioctl(vm->dev->fd, DRM_IOCTL_DROVER_VM_DESTROY, &args);
	device_unref(vm->dev);
	free(vm);
}

int drover_vm_bind_array(struct drover_vm *vm, const struct drm_drover_bind *binds, uint32_t count,
			 uint32_t *failed)
{
	struct drm_drover_vm_bind args = {
		.vm_id = vm->id,
		.num_binds = count,
		.binds = (uintptr_t)binds,
		.failed_bind = 0,
	};
	int ret;

	if (!binds || !count) {
		if (failed)
			*failed = count;
		return -EINVAL;
	}
	ret = device_ioctl(vm->dev->fd, DRM_IOCTL_DROVER_VM_BIND, &args);
	if (ret && failed)
		*failed = args.failed_bind;
	return ret;
}

int drover_vm_bind(struct drover_vm *vm, uint64_t va, struct drover_bo *bo, uint64_t bo_offset,
		   uint64_t size, uint32_t flags)
{
	struct drm_drover_bind bind = {
		.op = DRM_DROVER_BIND_MAP,
		.flags = flags,
		.handle = drover_bo_handle(bo),
		.bo_offset = bo_offset,
		.va = va,
		.size = size,
	};

	/* the handle would name some other BO there */
	if (bo_device(bo) != vm->dev)
		return -EINVAL;
	return drover_vm_bind_array(vm, &bind, 1, NULL);
}

int drover_vm_unbind(struct drover_vm *vm, uint64_t va, uint64_t size)
{
	struct drm_drover_bind bind = {
		.op = DRM_DROVER_BIND_UNMAP,
		.va = va,
		.size = size,
	};

	return drover_vm_bind_array(vm, &bind, 1, NULL);
}

int drover_vm_info(struct drover_vm *vm, struct drm_drover_vm_info *info)
{
	struct drm_drover_vm_info args = {.vm_id = vm->id};
	int ret;

	if (!info)
		return -EINVAL;
	ret = device_ioctl(vm->dev->fd, DRM_IOCTL_DROVER_VM_INFO, &args);
	if (!ret)
		*info = args;
	return ret;
}

uint32_t drover_vm_id(const struct drover_vm *vm)
{
	return vm->id;
}
