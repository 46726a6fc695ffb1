// SPDX-License-Identifier: MIT
/* Owns the CPU's view of a VM: its aperture and its status word. */
#include <errno.h>
#include <sys/mman.h>

#include "winsys.h"

/* What a CPU maps with one entry if it may. */
#define APERTURE_ALIGN (2UL << 20)

static int vm_mmap_info(struct drover_vm *vm, uint32_t target, struct drm_drover_vm_mmap *args)
{
	int ret;

	*args = (struct drm_drover_vm_mmap){.vm_id = vm->id, .target = target};
	ret = device_ioctl(vm->dev->fd, DRM_IOCTL_DROVER_VM_MMAP, args);
	/* what DRM says to a number that it doesn't know; all of our arguments are valid */
	return ret == -EINVAL || ret == -ENOTTY ? -EOPNOTSUPP : ret;
}

/* Address space with a multiple of @align bytes at its start. */
static void *reserve_aligned(uint64_t size, uint64_t align)
{
	uint64_t start, first;
	void *all;

	all = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		   0);
	if (all == MAP_FAILED)
		return NULL;
	start = (uint64_t)(uintptr_t)all;
	first = (start + align - 1) / align * align;
	if (first > start)
		munmap(all, first - start);
	munmap((void *)(uintptr_t)(first + size), start + align - first);
	return (void *)(uintptr_t)first;
}

int drover_vm_map_aperture(struct drover_vm *vm, uint64_t size, void **base)
{
	struct drm_drover_vm_mmap args;
	void *reserved, *map;
	int ret;

	if (!base)
		return -EINVAL;
	ret = vm_mmap_info(vm, DRM_DROVER_VM_MMAP_APERTURE, &args);
	if (ret)
		return ret;
	vm->aperture_size = args.size;
	if (!size)
		size = args.size;
	if (size > args.size || size % 4096)
		return -EINVAL;

	reserved = reserve_aligned(size, APERTURE_ALIGN);
	if (!reserved)
		return -ENOMEM;
	map = mmap(reserved, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, vm->dev->fd,
		   (off_t)args.offset);
	if (map == MAP_FAILED) {
		ret = -errno;
		munmap(reserved, size);
		return ret;
	}
	*base = map;
	return 0;
}

int drover_vm_unmap_aperture(struct drover_vm *vm, void *base, uint64_t size)
{
	return munmap(base, size ? size : vm->aperture_size) ? -errno : 0;
}

int drover_vm_map_status(struct drover_vm *vm, const volatile struct drm_drover_vm_status **status)
{
	struct drm_drover_vm_mmap args;
	void *map;
	int ret;

	if (!status)
		return -EINVAL;
	ret = vm_mmap_info(vm, DRM_DROVER_VM_MMAP_STATUS, &args);
	if (ret)
		return ret;
	map = mmap(NULL, args.size, PROT_READ, MAP_SHARED, vm->dev->fd, (off_t)args.offset);
	if (map == MAP_FAILED)
		return -errno;
	*status = map;
	return 0;
}

void drover_vm_unmap_status(const volatile struct drm_drover_vm_status *status)
{
	if (status)
		munmap((void *)(uintptr_t)status, 4096);
}
