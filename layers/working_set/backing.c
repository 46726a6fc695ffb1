// SPDX-License-Identifier: MIT
/* Owns the BOs behind memory objects and their place in the VM; see backing.h. */
#include <errno.h>

#include <drover/drover.h>

#include "backing.h"

static VkResult bind_error(int error)
{
	/* its exporter has one reservation object for several of its buffers */
	if (error == -EOPNOTSUPP)
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	/* a lost VM, too: vkAllocateMemory can't return VK_ERROR_DEVICE_LOST */
	return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

/* Give the BO an address; an error leaves it unbound. */
static VkResult bind(struct memory_device *memory, struct backing *backing)
{
	int error = addresses_take(&memory->addresses, backing->size, &backing->address);

	if (error)
		return error == -ENOMEM ? VK_ERROR_OUT_OF_HOST_MEMORY
					: VK_ERROR_OUT_OF_DEVICE_MEMORY;
	error = drover_vm_bind(memory->vm, backing->address, backing->bo, 0, backing->size, 0);
	if (!error)
		return VK_SUCCESS;
	addresses_give_back(&memory->addresses, backing->address, backing->size);
	return bind_error(error);
}

static int create_bo(struct memory_device *memory, uint64_t size, enum usage_heap heap,
		     bool exportable, struct drover_bo **bo)
{
	uint32_t placements = DRM_DROVER_PLACEMENT_GTT;
	uint32_t preferred = DRM_DROVER_PLACEMENT_GTT;

	if (heap == USAGE_HEAP_VRAM) {
		/* whoever has no room in VRAM works from GTT */
		placements |= DRM_DROVER_PLACEMENT_VRAM;
		preferred = DRM_DROVER_PLACEMENT_VRAM;
	}
	return drover_bo_create(memory->drover, size, placements, preferred,
				exportable ? NULL : memory->vm, bo);
}

VkResult backing_create(struct memory_device *memory, uint64_t size, enum usage_heap heap,
			bool exportable, struct backing *backing)
{
	VkResult result;

	*backing = (struct backing){.size = size, .heap = heap, .counted = true};
	if (size > memory->heap_sizes[heap] ||
	    !usage_add(memory->gpu, heap, size, memory->heap_sizes))
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	/* -ENOMEM, too: the kernel says it where no room could be made now */
	if (create_bo(memory, size, heap, exportable, &backing->bo)) {
		result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
		goto err_usage;
	}
	result = bind(memory, backing);
	if (result != VK_SUCCESS)
		goto err_bo;
	return VK_SUCCESS;

err_bo:
	drover_bo_unref(backing->bo);
err_usage:
	usage_remove(memory->gpu, heap, size);
	return result;
}

/* -ENOSPC: its exporter would have to pin it, and may not pin so much. */
static VkResult import_error(int error)
{
	switch (error) {
	case -ENOMEM:
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	case -ENOSPC:
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	default:
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
}

VkResult backing_import(struct memory_device *memory, int fd, bool opaque, uint64_t size,
			enum usage_heap heap, struct backing *backing)
{
	struct drm_drover_bo_info info;
	VkResult result;
	int error;

	*backing = (struct backing){.heap = heap};
	error = drover_bo_import(memory->drover, fd, &backing->bo);
	if (error)
		return import_error(error);
	error = drover_bo_info(backing->bo, &info);
	if (error || (opaque && info.flags & DRM_DROVER_BO_IMPORTED) || info.size < size) {
		result = VK_ERROR_INVALID_EXTERNAL_HANDLE;
		goto err_bo;
	}
	/*
	 * All of it: for an image with an explicit layout, drivers have been seen to ask for less
	 * than lies behind its offset.
	 */
	backing->size = info.size;
	result = bind(memory, backing);
	if (result != VK_SUCCESS)
		goto err_bo;
	return VK_SUCCESS;

err_bo:
	drover_bo_unref(backing->bo);
	return result;
}

void backing_abandon(struct memory_device *memory, struct backing *backing)
{
	if (!memory_is_ours(memory))
		return;
	drover_bo_unref(backing->bo);
	if (backing->counted)
		usage_remove(memory->gpu, backing->heap, backing->size);
}

void backing_destroy(struct memory_device *memory, struct backing *backing)
{
	if (!memory_is_ours(memory))
		return;
	/* If it can't be unbound (the device went away), its address must not be used again. */
	if (!drover_vm_unbind(memory->vm, backing->address, backing->size))
		addresses_give_back(&memory->addresses, backing->address, backing->size);
	backing_abandon(memory, backing);
}

void *backing_pointer(const struct memory_device *memory, const struct backing *backing)
{
	return memory->aperture + backing->address;
}
