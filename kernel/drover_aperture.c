// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The CPU's window into a VM: what can be mapped, and how entries are taken away.
 */

#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "drover_drv.h"

/**
 * DOC: the aperture
 *
 * An mmap of a VM's address range in which CPU address minus base is GPU
 * address: a device whose page faults are recoverable, with the process's
 * threads for cores. It needs neither gate nor fence.
 *
 * A fault looks up what is bound, takes that BO's reservation lock and
 * fills in CPU page table entries from the pair's entries. If the BO was evicted,
 * it first drops the lock that came with the fault and brings the BO back, as a
 * submission would, but arms no working-set fence: the pair stays unarmed.
 *
 * Whoever moves, invalidates or unbinds a BO holds its reservation lock, too, and
 * removes the CPU's entries before anything else happens. So an entry that is there is
 * good, and a racing fault can't leave a stale one behind.
 *
 * An access that can't be served loses the VM, and finds the VM's dummy page.
 * A SIGBUS is for addresses where nothing is bound: it would kill threads that
 * block it.
 *
 * Locks: mmap_lock or the VMA's lock, then the reservation lock, then
 * &drover_vm.va_lock, which protects the tree of mappings from being looked at
 * while it changes and is a leaf but for the gate. Under it a fault only tries for the
 * reservation lock.
 */

/*
 * Where in a device's file the VMs' ranges and status pages are: beyond DRM's own
 * offsets, which end below 1.5 TiB. Each VM has a number in the device for that.
 */
#define DROVER_STATUS_BASE	(3ULL << 39)
#define DROVER_APERTURE_BASE	BIT_ULL(41)
#define DROVER_MAX_APERTURES	0xffff

static u64 drover_aperture_offset(struct drover_vm *vm)
{
	return DROVER_APERTURE_BASE + vm->aperture * DROVER_VA_END;
}

/**
 * drover_aperture_address - the GPU address behind a CPU address
 * @vma: a mapping of an aperture
 * @address: CPU address in it
 *
 * Return: the GPU address.
 */
u64 drover_aperture_address(struct vm_area_struct *vma, unsigned long address)
{
	struct drover_vm *vm = vma->vm_private_data;

	return ((u64)vma->vm_pgoff << PAGE_SHIFT) - drover_aperture_offset(vm) +
	       (address - vma->vm_start);
}

/* Removing entries. */

#ifdef CONFIG_DRM_DROVER_TEST_HOOKS
static void drover_aperture_track(struct vm_area_struct *vma, bool add)
{
	struct drover_vm *vm = vma->vm_private_data;

	mutex_lock(&vm->aperture_vmas_lock);
	if (add)
		xa_store(&vm->aperture_vmas, (unsigned long)vma, vma, GFP_KERNEL);
	else
		xa_erase(&vm->aperture_vmas, (unsigned long)vma);
	mutex_unlock(&vm->aperture_vmas_lock);
}

static bool drover_aperture_is_mapped(struct vm_area_struct *vma, u64 va, u64 size)
{
	u64 first = drover_aperture_address(vma, vma->vm_start);
	u64 start = max(va, first), end = min(va + size, first + vma_pages(vma) * PAGE_SIZE);

	for (; start < end; start += PAGE_SIZE) {
		struct follow_pfnmap_args args = {
			.vma = vma,
			.address = vma->vm_start + (start - first),
		};

		if (!follow_pfnmap_start(&args)) {
			follow_pfnmap_end(&args);
			return true;
		}
	}
	return false;
}

/* What is being unmapped, or belongs to a process that exits, is left out. */
static void drover_aperture_check_vma(struct vm_area_struct *vma, u64 va, u64 size)
{
	struct drover_vm *vm = vma->vm_private_data;
	struct mm_struct *mm = vma->vm_mm;

	if (!mmget_not_zero(mm))
		return;
	if (mmap_read_trylock(mm)) {
		if (vma_lookup(mm, vma->vm_start) == vma)
			drm_WARN_ON(&vm->drover->drm, drover_aperture_is_mapped(vma, va, size));
		mmap_read_unlock(mm);
	}
	mmput_async(mm);
}

/* In the debug mode each removal is checked: no process may have an entry left. */
static void drover_aperture_check_removed(struct drover_vm *vm, u64 va, u64 size)
{
	struct vm_area_struct *vma;
	unsigned long index;

	if (!READ_ONCE(vm->drover->poison))
		return;
	mutex_lock(&vm->aperture_vmas_lock);
	xa_for_each(&vm->aperture_vmas, index, vma)
		drover_aperture_check_vma(vma, va, size);
	mutex_unlock(&vm->aperture_vmas_lock);
}
#else
static void drover_aperture_track(struct vm_area_struct *vma, bool add)
{
}

static void drover_aperture_check_removed(struct drover_vm *vm, u64 va, u64 size)
{
}
#endif

/**
 * drover_aperture_drop - take the CPU's entries for a range of a VM away, for the moment
 * @vm: the VM
 * @va: GPU address
 * @size: bytes
 *
 * Without a lock: another CPU's fault may bring them back at once.
 */
void drover_aperture_drop(struct drover_vm *vm, u64 va, u64 size)
{
	unmap_mapping_range(vm->drover->drm.anon_inode->i_mapping,
			    drover_aperture_offset(vm) + va, size, 1);
}

/**
 * drover_aperture_remove - take the CPU's entries for a range of a VM away
 * @vm: the VM
 * @va: GPU address
 * @size: bytes
 *
 * The reservation locks of what is or was bound there must be held, so that no fault
 * brings them back.
 */
void drover_aperture_remove(struct drover_vm *vm, u64 va, u64 size)
{
	drover_aperture_drop(vm, va, size);
	drover_aperture_check_removed(vm, va, size);
}

/**
 * drover_aperture_remove_object - take the CPU's entries for a BO away
 * @gem: the BO or import; its reservation lock must be held
 */
void drover_aperture_remove_object(struct drm_gem_object *gem)
{
	struct drm_gpuvm_bo *vm_bo;
	struct drm_gpuva *va;

	dma_resv_assert_held(gem->resv);

	drm_gem_for_each_gpuvm_bo(vm_bo, gem) {
		struct drover_pair *pair = to_drover_pair(vm_bo);

		if (!pair->in_aperture)
			continue;
		drm_gpuvm_bo_for_each_va(va, vm_bo)
			drover_aperture_remove(to_drover_vm(vm_bo->vm), va->va.addr, va->va.range);
		pair->in_aperture = false;
	}
}

static void drover_vma_open(struct vm_area_struct *vma)
{
	struct drover_vm *vm = vma->vm_private_data;

	drm_gpuvm_get(&vm->base);
}

static void drover_vma_close(struct vm_area_struct *vma)
{
	struct drover_vm *vm = vma->vm_private_data;

	drm_gpuvm_put(&vm->base);
}

static void drover_aperture_vma_open(struct vm_area_struct *vma)
{
	drover_vma_open(vma);
	drover_aperture_track(vma, true);
}

static void drover_aperture_vma_close(struct vm_area_struct *vma)
{
	drover_aperture_track(vma, false);
	drover_vma_close(vma);
}

static int drover_no_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}

static const struct vm_operations_struct drover_aperture_vm_ops = {
	.open = drover_aperture_vma_open,
	.close = drover_aperture_vma_close,
	.mremap = drover_no_mremap,
	.fault = drover_aperture_fault,
	.huge_fault = drover_aperture_huge_fault,
	.pfn_mkwrite = drover_aperture_pfn_mkwrite,
	.access = drover_aperture_access,
};

/* The status page stays with who has it mapped. */
static vm_fault_t drover_status_fault(struct vm_fault *vmf)
{
	struct drover_vm *vm = vmf->vma->vm_private_data;

	if (vmf->pgoff != vmf->vma->vm_pgoff)
		return VM_FAULT_SIGBUS;
	get_page(vm->status);
	vmf->page = vm->status;
	return 0;
}

static const struct vm_operations_struct drover_status_vm_ops = {
	.open = drover_vma_open,
	.close = drover_vma_close,
	.mremap = drover_no_mremap,
	.fault = drover_status_fault,
};

/* Mapping. */

/* The VM that is meant by an offset, with a reference, if it is the file's own. */
static struct drover_vm *drover_aperture_lookup(struct drover_device *drover,
						struct drm_file *file, u64 number)
{
	struct drover_vm *vm;

	xa_lock(&drover->apertures);
	vm = xa_load(&drover->apertures, number);
	if (vm && vm->client == file->driver_priv)
		drm_gpuvm_get(&vm->base);
	else
		vm = NULL;
	xa_unlock(&drover->apertures);
	return vm;
}

static int drover_aperture_mmap(struct vm_area_struct *vma, struct drover_vm *vm)
{
	u64 size = (u64)vma_pages(vma) << PAGE_SHIFT;

	if (drover_aperture_address(vma, vma->vm_start) + size > DROVER_VA_END)
		return -EINVAL;
	vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &drover_aperture_vm_ops;
	drover_aperture_track(vma, true);
	return 0;
}

static int drover_status_mmap(struct vm_area_struct *vma, struct drover_vm *vm)
{
	if (vma_pages(vma) != 1)
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	vm_flags_clear(vma, VM_MAYWRITE);
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &drover_status_vm_ops;
	return 0;
}

/**
 * drover_mmap - map a BO, a VM's aperture or its status page
 * @filp: the caller's file
 * @vma: where to
 *
 * Return: 0 or a negative errno.
 */
int drover_mmap(struct file *filp, struct vm_area_struct *vma)
{
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	struct drm_file *file = filp->private_data;
	struct drover_device *drover = to_drover(file->minor->dev);
	bool is_status = offset < DROVER_APERTURE_BASE;
	struct drover_vm *vm;
	int ret;

	if (offset < DROVER_STATUS_BASE)
		return drm_gem_mmap(filp, vma);
	if (drm_dev_is_unplugged(&drover->drm))
		return -ENODEV;
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;

	vm = drover_aperture_lookup(drover, file, is_status ?
				    (offset - DROVER_STATUS_BASE) >> PAGE_SHIFT :
				    (offset - DROVER_APERTURE_BASE) / DROVER_VA_END);
	if (!vm)
		return -EACCES;

	vma->vm_private_data = vm;
	ret = is_status ? drover_status_mmap(vma, vm) : drover_aperture_mmap(vma, vm);
	if (ret)
		drm_gpuvm_put(&vm->base);
	return ret;
}

/* The pages and the number that a VM needs once somebody wants to map something of it. */
static int drover_aperture_prepare(struct drover_vm *vm)
{
	struct drm_drover_vm_status *status;
	u32 number;
	int ret;

	lockdep_assert_held(&vm->bind_lock);

	if (vm->has_aperture)
		return 0;

	if (!vm->dummy)
		vm->dummy = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!vm->status)
		vm->status = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!vm->dummy || !vm->status)
		return -ENOMEM;

	/* Can't be found until all of it is there: offsets can be guessed. */
	ret = xa_alloc(&vm->drover->apertures, &number, NULL,
		       XA_LIMIT(0, DROVER_MAX_APERTURES), GFP_KERNEL);
	if (ret)
		return ret;

	mutex_lock(&vm->gate);
	ret = vm->closed ? -ENOENT : 0;
	if (!ret) {
		status = page_address(vm->status);
		WRITE_ONCE(status->lost_reason, vm->lost);
		vm->aperture = number;
		WRITE_ONCE(vm->has_aperture, true);
		/* The place was allocated with the number. */
		xa_store(&vm->drover->apertures, number, vm, GFP_NOWAIT);
	}
	mutex_unlock(&vm->gate);
	if (ret)
		xa_erase(&vm->drover->apertures, number);
	return ret;
}

/**
 * drover_vm_mmap_ioctl - DRM_IOCTL_DROVER_VM_MMAP
 * @drm: the DRM device
 * @data: struct drm_drover_vm_mmap
 * @file: the caller's file
 *
 * Return: 0 or a negative errno.
 */
int drover_vm_mmap_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_drover_vm_mmap *args = data;
	struct drover_vm *vm;
	int ret;

	if (args->flags || args->target > DRM_DROVER_VM_MMAP_STATUS)
		return -EINVAL;

	vm = drover_vm_lookup(file, args->vm_id);
	if (!vm)
		return -ENOENT;

	ret = mutex_lock_interruptible(&vm->bind_lock);
	if (ret)
		goto out_put;
	ret = drover_aperture_prepare(vm);
	mutex_unlock(&vm->bind_lock);
	if (ret)
		goto out_put;

	if (args->target == DRM_DROVER_VM_MMAP_STATUS) {
		args->offset = DROVER_STATUS_BASE + ((u64)vm->aperture << PAGE_SHIFT);
		args->size = PAGE_SIZE;
	} else {
		args->offset = drover_aperture_offset(vm);
		args->size = DROVER_VA_END;
	}

out_put:
	drm_gpuvm_put(&vm->base);
	return ret;
}

/**
 * drover_aperture_show_lost - tell who looks at the status page
 * @vm: the VM, just lost; its gate must be held
 */
void drover_aperture_show_lost(struct drover_vm *vm)
{
	struct drm_drover_vm_status *status;

	lockdep_assert_held(&vm->gate);

	if (!vm->has_aperture)
		return;
	status = page_address(vm->status);
	WRITE_ONCE(status->lost_reason, vm->lost);
}

/**
 * drover_aperture_forget - let nobody map anything of a VM any more
 * @vm: the closed VM; what is mapped stays
 */
void drover_aperture_forget(struct drover_vm *vm)
{
	if (READ_ONCE(vm->has_aperture))
		xa_erase(&vm->drover->apertures, vm->aperture);
}

/**
 * drover_aperture_init - prepare a new VM for being mapped
 * @vm: the VM
 */
void drover_aperture_init(struct drover_vm *vm)
{
	init_rwsem(&vm->va_lock);
#ifdef CONFIG_DRM_DROVER_TEST_HOOKS
	mutex_init(&vm->aperture_vmas_lock);
	xa_init(&vm->aperture_vmas);
#endif
}

/**
 * drover_aperture_fini - undo drover_aperture_init(), when nothing is mapped any more
 * @vm: the VM
 */
void drover_aperture_fini(struct drover_vm *vm)
{
#ifdef CONFIG_DRM_DROVER_TEST_HOOKS
	xa_destroy(&vm->aperture_vmas);
	mutex_destroy(&vm->aperture_vmas_lock);
#endif
	if (vm->dummy)
		__free_page(vm->dummy);
	if (vm->status)
		put_page(vm->status);
}
