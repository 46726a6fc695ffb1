// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Faults in the aperture: bringing back what was evicted, and filling in entries.
 */

#include <linux/delay.h>
#include <linux/dma-direct.h>
#include <linux/file.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <drm/drm_exec.h>

#include "drover_drv.h"
#include "drover_trace.h"

/**
 * DOC: faults in the aperture
 *
 * The fast path waits for nothing: it tries for the lock of what is bound, and
 * fills in entries if that is resident. Otherwise the lock that came with the
 * fault is dropped, the BO brought back with all its waits, and the fault comes again.
 *
 * Waits end with any signal if the fault is userspace's own: it is repeated after
 * the signal's handler. The kernel's own accesses can't be: a worker does the
 * waiting for them, so that who waits for the worker can still be killed.
 */

/* How much a fault fills in, if the BO goes so far: what one page table holds. */
#define DROVER_FAULT_AROUND	PMD_SIZE

/* How often, and after how long, an exporter is asked again that can't give a mapping. */
#define DROVER_FAULT_TRIES	20
#define DROVER_FAULT_DELAY_MS	20

/* What a fault is about, or a debugger's access. */
struct drover_fault {
	struct drover_vm *vm;
	/* GPU address */
	u64 address;
	/* what is bound there, with a reference */
	struct drm_gem_object *gem;
	/* a job to wait for first, with a reference; or NULL */
	struct dma_fence *busy;
	/* to be filled in with the BO's lock held; or NULL */
	struct vm_fault *vmf;
	vm_fault_t result;
	/* to be copied to or from, within a page; or NULL */
	void *buf;
	unsigned int len;
	bool write;
};

/* Filling in entries. */

static bool drover_pte_to_pfn(struct drover_device *drover, u64 pte, unsigned long *pfn)
{
	u64 address = pte & PAGE_MASK;

	if (pte & DROVER_PTE_VRAM)
		*pfn = page_to_pfn(drover->vram.pages[address >> PAGE_SHIFT]);
	else
		*pfn = PHYS_PFN(dma_to_phys(drover->drm.dev, address));
	return pte & DROVER_PTE_VALID && pfn_valid(*pfn);
}

/* The frame behind a GPU address, of which @va is the mapping. */
static bool drover_va_pfn(struct drm_gpuva *va, u64 address, unsigned long *pfn)
{
	struct drover_pair *pair = to_drover_pair(va->vm_bo);
	struct drover_vm *vm = to_drover_vm(va->vm);

	if (READ_ONCE(vm->lost)) {
		*pfn = page_to_pfn(vm->dummy);
		return true;
	}
	return drover_pte_to_pfn(vm->drover,
				 pair->ptes[(va->gem.offset + address - va->va.addr) >> PAGE_SHIFT],
				 pfn);
}

static bool drover_va_is_writable(struct drm_gpuva *va, struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_WRITE && !to_drover_va(va)->readonly;
}

/*
 * One entry for all of a page table, if the memory behind it is in one piece. What
 * is bound read-only takes small ones: they tell on a write.
 */
static vm_fault_t drover_aperture_fill_huge(struct drm_gpuva *va, struct vm_fault *vmf)
{
	unsigned long start = vmf->address & PMD_MASK, first, pfn, i;
	u64 address = drover_aperture_address(vmf->vma, start);

	/* Another thread was faster, with small entries. */
	if (!pmd_none(*vmf->pmd) && !pmd_trans_huge(*vmf->pmd))
		return VM_FAULT_FALLBACK;
	if (start < vmf->vma->vm_start || start + PMD_SIZE > vmf->vma->vm_end ||
	    address < va->va.addr || address + PMD_SIZE > va->va.addr + va->va.range ||
	    !drover_va_is_writable(va, vmf->vma) || READ_ONCE(to_drover_vm(va->vm)->lost))
		return VM_FAULT_FALLBACK;

	if (!drover_va_pfn(va, address, &first) || !IS_ALIGNED(first, PTRS_PER_PTE))
		return VM_FAULT_FALLBACK;
	for (i = 1; i < PTRS_PER_PTE; i++)
		if (!drover_va_pfn(va, address + (i << PAGE_SHIFT), &pfn) || pfn != first + i)
			return VM_FAULT_FALLBACK;
	return drover_vmf_insert_pfn_pmd(vmf, first, true);
}

/*
 * Where the CPU doesn't keep the dirty bit itself, a clean entry costs a second fault. What
 * is bound read-only must stay clean: mprotect() makes dirty entries writable.
 */
static pgprot_t drover_pgprot_dirty(pgprot_t prot)
{
#ifdef _PAGE_DIRTY
	return __pgprot(pgprot_val(prot) | _PAGE_DIRTY);
#else
	return prot;
#endif
}

static vm_fault_t drover_aperture_fill_page(struct drm_gpuva *va, struct vm_area_struct *vma,
					    unsigned long address)
{
	unsigned long pfn;
	pgprot_t prot;

	if (!drover_va_pfn(va, drover_aperture_address(vma, address), &pfn))
		return VM_FAULT_SIGBUS;
	if (drover_va_is_writable(va, vma))
		prot = drover_pgprot_dirty(vm_get_page_prot(vma->vm_flags));
	else
		prot = vm_get_page_prot(vma->vm_flags & ~VM_SHARED);
	return vmf_insert_pfn_prot(vma, address, pfn, prot);
}

/* The page that is needed, and then as much as is cheap: what follows may fail. */
static vm_fault_t drover_aperture_fill_around(struct drm_gpuva *va, struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long address = vmf->address & PAGE_MASK;
	u64 here = drover_aperture_address(vma, address);
	unsigned long start = address & ~(DROVER_FAULT_AROUND - 1);
	unsigned long end = start + DROVER_FAULT_AROUND;
	vm_fault_t ret;

	/* Another thread was faster, with a large entry. */
	if (pmd_trans_huge(*vmf->pmd))
		return VM_FAULT_NOPAGE;

	start = max(start, vma->vm_start);
	start = max_t(u64, start, address - min_t(u64, address, here - va->va.addr));
	end = min(end, vma->vm_end);
	end = min_t(u64, end, address + (va->va.addr + va->va.range - here));

	ret = drover_aperture_fill_page(va, vma, address);
	for (; start < end && ret == VM_FAULT_NOPAGE; start += PAGE_SIZE)
		if (start != address &&
		    drover_aperture_fill_page(va, vma, start) != VM_FAULT_NOPAGE)
			break;
	return ret;
}

/* A CPU uses it: not the next one to be evicted. */
static void drover_aperture_touch(struct drm_gpuva *va)
{
	struct drm_gem_object *gem = va->gem.obj;

	to_drover_pair(va->vm_bo)->last_fault = jiffies;
	if (drover_is_bo(gem))
		ttm_bo_move_to_lru_tail_unlocked(&gem_to_drover_bo(gem)->ttm);
}

/*
 * With the BO's reservation lock held and the pair's entries good, or the VM lost.
 * Zero if the memory is none that a CPU reaches.
 */
static vm_fault_t drover_aperture_fill(struct drm_gpuva *va, struct vm_fault *vmf,
				       unsigned int order)
{
	u64 address = drover_aperture_address(vmf->vma, vmf->address & PAGE_MASK);
	struct drover_vm *vm = to_drover_vm(va->vm);
	vm_fault_t ret = VM_FAULT_FALLBACK;
	unsigned long pfn;

	if (vmf->flags & FAULT_FLAG_WRITE && to_drover_va(va)->readonly)
		return VM_FAULT_SIGSEGV;
	if (!drover_va_pfn(va, address, &pfn))
		return 0;

	to_drover_pair(va->vm_bo)->in_aperture = true;
	if (order)
		ret = drover_aperture_fill_huge(va, vmf);
	if (ret == VM_FAULT_FALLBACK)
		ret = drover_aperture_fill_around(va, vmf);
	if (ret == VM_FAULT_NOPAGE && !READ_ONCE(vm->lost)) {
		atomic64_inc(&vm->faults);
		trace_drover_fault(va->gem.obj, vm->id, address);
		drover_aperture_touch(va);
	}
	return ret;
}

/* Bringing back what was evicted. */

static struct drm_gem_object *drover_aperture_find(struct drover_vm *vm, u64 address)
{
	struct drm_gem_object *gem = NULL;
	struct drm_gpuva *va;

	down_read(&vm->va_lock);
	va = drm_gpuva_find_first(&vm->base, address, 1);
	if (va) {
		gem = va->gem.obj;
		drm_gem_object_get(gem);
	}
	up_read(&vm->va_lock);
	return gem;
}

/* With its reservation lock held, what is bound stays so. */
static struct drm_gpuva *drover_aperture_find_locked(struct drover_fault *fault)
{
	struct drover_vm *vm = fault->vm;
	struct drm_gpuva *va;

	down_read(&vm->va_lock);
	va = drm_gpuva_find_first(&vm->base, fault->address, 1);
	up_read(&vm->va_lock);
	return va && va->gem.obj == fault->gem ? va : NULL;
}

static int drover_aperture_copy(struct drover_fault *fault, struct drm_gpuva *va)
{
	unsigned long pfn;
	void *ptr;

	if (READ_ONCE(fault->vm->lost) || !drover_va_pfn(va, fault->address, &pfn))
		return -EIO;
	if (fault->write && to_drover_va(va)->readonly)
		return -EACCES;
	ptr = page_address(pfn_to_page(pfn)) + offset_in_page(fault->address);
	if (fault->write)
		memcpy(ptr, fault->buf, fault->len);
	else
		memcpy(fault->buf, ptr, fault->len);
	return 0;
}

/*
 * What an exporter took back, and jobs still use, is waited for without its lock,
 * which the exporter wants, too.
 */
static int drover_aperture_check_busy(struct drover_fault *fault)
{
	if (!drover_is_import(fault->gem) || !to_drover_import(fault->gem)->stale)
		return 0;
	fault->busy = drover_object_busy(fault->gem);
	return fault->busy ? -EINPROGRESS : 0;
}

static int drover_aperture_serve_locked(struct drover_fault *fault, bool evict_hot)
{
	struct ttm_operation_ctx ctx = {
		.interruptible = true,
		.gfp_retry_mayfail = true,
		.allow_res_evict = true,
		.resv = fault->gem->resv,
	};
	struct drm_gpuva *va = drover_aperture_find_locked(fault);
	struct drover_pair *pair;
	unsigned long pfn;
	int ret;

	if (!va)
		return -ESTALE;
	pair = to_drover_pair(va->vm_bo);
	if (!READ_ONCE(fault->vm->lost)) {
		ret = drover_aperture_check_busy(fault);
		if (!ret && pair->evicted)
			ret = drover_pair_validate(pair, &ctx, !evict_hot);
		if (ret)
			return ret;
		drover_aperture_touch(va);
		/* Memory that only devices reach is nothing for a CPU. */
		if (!drover_va_pfn(va, fault->address, &pfn))
			return -EIO;
	}
	if (fault->vmf)
		fault->result = drover_aperture_fill(va, fault->vmf, 0);
	return fault->buf ? drover_aperture_copy(fault, va) : 0;
}

/* With a ticket that is still open, so that TTM may wait for locks of what it evicts. */
static int drover_aperture_attempt(void *data, bool evict_hot)
{
	struct drover_fault *fault = data;
	struct drm_exec exec;
	int ret;

	drm_exec_init(&exec, DRM_EXEC_INTERRUPTIBLE_WAIT, 0);
	drm_exec_until_all_locked(&exec) {
		ret = drm_exec_lock_obj(&exec, fault->gem);
		drm_exec_retry_on_contention(&exec);
		if (!ret)
			ret = drover_aperture_serve_locked(fault, evict_hot);
		if (ret)
			break;
	}
	drm_exec_fini(&exec);
	return ret;
}

/* What the VM is lost for. */
static int drover_fault_error(int error)
{
	if (error == -ENOSPC)
		return -ENOMEM;
	return error == -ENODEV || error == -ENOMEM ? error : -EIO;
}

/* Whether what came out isn't final. The error changes if a signal ends a wait in here. */
static bool drover_aperture_try_again(struct drover_fault *fault, int *ret, unsigned int *tries)
{
	long left;

	switch (*ret) {
	case -ESTALE:
		return true;
	case -EINPROGRESS:
		left = dma_fence_wait(fault->busy, true);
		dma_fence_put(fault->busy);
		fault->busy = NULL;
		if (left)
			*ret = left;
		return !left;
	case -EAGAIN:
	case -EBUSY:
		/* An exporter that can't just now. */
		if (++*tries > DROVER_FAULT_TRIES)
			return false;
		if (msleep_interruptible(DROVER_FAULT_DELAY_MS))
			*ret = -ERESTARTSYS;
		return *ret != -ERESTARTSYS;
	default:
		return false;
	}
}

/*
 * Makes what is bound at an address reachable. 0 also if that can't be had: the VM
 * is lost then. -EFAULT if nothing is bound; -EINTR or -ERESTARTSYS after a signal.
 */
static int drover_aperture_serve(struct drover_fault *fault)
{
	struct drover_vm *vm = fault->vm;
	unsigned int tries = 0;
	int ret;

	do {
		fault->gem = drover_aperture_find(vm, fault->address);
		if (!fault->gem)
			return -EFAULT;
		ret = drover_make_room(drover_aperture_attempt, fault);
		drm_gem_object_put(fault->gem);
	} while (drover_aperture_try_again(fault, &ret, &tries));

	if (!ret || ret == -EINTR || ret == -ERESTARTSYS || fault->buf)
		return ret;
	drm_dbg(&vm->drover->drm, "VM %u is lost: a CPU's fault at %#llx can't be served: %d\n",
		vm->id, fault->address, ret);
	drover_vm_lose(vm, -drover_fault_error(ret));
	return 0;
}

/* A fault of the kernel's own, which a signal must not end, unless it kills. */
struct drover_fault_work {
	struct work_struct work;
	struct completion done;
	struct kref kref;
	struct drover_fault fault;
};

static void drover_fault_work_free(struct kref *kref)
{
	struct drover_fault_work *work = container_of(kref, struct drover_fault_work, kref);

	drm_gpuvm_put(&work->fault.vm->base);
	kfree(work);
}

static void drover_fault_work_run(struct work_struct *base)
{
	struct drover_fault_work *work = container_of(base, struct drover_fault_work, work);

	drover_aperture_serve(&work->fault);
	complete(&work->done);
	kref_put(&work->kref, drover_fault_work_free);
}

/*
 * Reservation locks can be waited for until any signal or until none. So somebody
 * without signals does the work, and who waits for it can be killed.
 */
static void drover_aperture_serve_kernel(struct drover_vm *vm, u64 address)
{
	struct drover_fault_work *work;

	work = kzalloc_obj(*work);
	if (!work) {
		drover_vm_lose(vm, ENOMEM);
		return;
	}
	INIT_WORK(&work->work, drover_fault_work_run);
	init_completion(&work->done);
	kref_init(&work->kref);
	drm_gpuvm_get(&vm->base);
	work->fault.vm = vm;
	work->fault.address = address;

	kref_get(&work->kref);
	queue_work(drover_fault_wq, &work->work);
	/* If killed, the fault isn't tried again. */
	(void)wait_for_completion_killable(&work->done);
	kref_put(&work->kref, drover_fault_work_free);
}

/* Drops the lock that came with the fault, which comes back when all is there. */
static vm_fault_t drover_aperture_retry(struct vm_fault *vmf)
{
	struct drover_vm *vm = vmf->vma->vm_private_data;
	struct drover_fault fault = {
		.vm = vm,
		.address = drover_aperture_address(vmf->vma, vmf->address & PAGE_MASK),
	};
	struct file *file = get_file(vmf->vma->vm_file);
	bool user = vmf->flags & FAULT_FLAG_USER;
	int ret;

	drm_gpuvm_get(&vm->base);
	release_fault_lock(vmf);

	/* User Mode Linux goes on retrying while a signal is pending. */
	ret = user ? drover_aperture_serve(&fault) : -ERESTARTSYS;
	if ((ret == -EINTR || ret == -ERESTARTSYS) && (!user || IS_ENABLED(CONFIG_UML)))
		drover_aperture_serve_kernel(vm, fault.address);

	drm_gpuvm_put(&vm->base);
	fput(file);
	return VM_FAULT_RETRY;
}

/* What needs no waiting. Zero if there is something to wait for. */
static vm_fault_t drover_aperture_fast(struct vm_fault *vmf, unsigned int order)
{
	struct drover_vm *vm = vmf->vma->vm_private_data;
	struct drm_gpuva *va;
	vm_fault_t ret = 0;

	if (!down_read_trylock(&vm->va_lock))
		return 0;
	va = drm_gpuva_find_first(&vm->base, drover_aperture_address(vmf->vma, vmf->address), 1);
	if (!va) {
		ret = VM_FAULT_SIGBUS;
	} else if (dma_resv_trylock(va->gem.obj->resv)) {
		if (READ_ONCE(vm->lost) || !to_drover_pair(va->vm_bo)->evicted)
			ret = drover_aperture_fill(va, vmf, order);
		/* Once unlocked, only the tree's lock keeps who unbinds it from freeing it. */
		dma_resv_unlock(va->gem.obj->resv);
	}
	up_read(&vm->va_lock);
	return ret;
}

/*
 * With the lock that came with the fault: for who can't let go of it, and for who
 * has let go once already. What was brought back is filled in before others
 * can take it away again, so each fault comes to an end.
 */
static vm_fault_t drover_aperture_serve_here(struct vm_fault *vmf)
{
	struct drover_fault fault = {
		.vm = vmf->vma->vm_private_data,
		.address = drover_aperture_address(vmf->vma, vmf->address & PAGE_MASK),
		.vmf = vmf,
	};
	int ret;

	do {
		ret = drover_aperture_serve(&fault);
		/* If lost in this very call, there is the dummy page to be filled in. */
	} while (!ret && !fault.result);
	if (fault.result)
		return fault.result;
	return ret == -EFAULT ? VM_FAULT_SIGBUS : 0;
}

/* The kernel's own faults don't end with a signal, unless it kills. */
static vm_fault_t drover_aperture_serve_kernel_here(struct vm_fault *vmf)
{
	struct drover_vm *vm = vmf->vma->vm_private_data;
	vm_fault_t ret;

	do {
		drover_aperture_serve_kernel(vm, drover_aperture_address(vmf->vma, vmf->address));
		ret = drover_aperture_fast(vmf, 0);
	} while (!ret && !fatal_signal_pending(current));
	return ret ? ret : VM_FAULT_SIGBUS;
}

static vm_fault_t drover_aperture_slow(struct vm_fault *vmf)
{
	bool may_drop = vmf->flags & FAULT_FLAG_ALLOW_RETRY, user = vmf->flags & FAULT_FLAG_USER;
	vm_fault_t ret;

	if (may_drop && vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	if (may_drop && !(user && vmf->flags & FAULT_FLAG_TRIED))
		return drover_aperture_retry(vmf);
	if (!user)
		return drover_aperture_serve_kernel_here(vmf);

	ret = drover_aperture_serve_here(vmf);
	if (ret)
		return ret;
	/* A signal, whose handler comes first. */
	return may_drop ? drover_aperture_retry(vmf) : VM_FAULT_SIGBUS;
}

/**
 * drover_aperture_fault - a CPU touches what has no entry
 * @vmf: the fault
 *
 * Return: VM_FAULT_NOPAGE, _RETRY, _SIGBUS where nothing is bound, _SIGSEGV for a write
 * to what is bound read-only, or _OOM.
 */
vm_fault_t drover_aperture_fault(struct vm_fault *vmf)
{
	vm_fault_t ret = drover_aperture_fast(vmf, 0);

	return ret ? ret : drover_aperture_slow(vmf);
}

/**
 * drover_aperture_huge_fault - the same, for a whole page table
 * @vmf: the fault
 * @order: of the entry that is asked for
 *
 * Return: as drover_aperture_fault(), or VM_FAULT_FALLBACK for smaller entries.
 */
vm_fault_t drover_aperture_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	vm_fault_t ret;

	if (order != PMD_ORDER)
		return VM_FAULT_FALLBACK;
	ret = drover_aperture_fast(vmf, order);
	return ret ? ret : drover_aperture_slow(vmf);
}

/**
 * drover_aperture_pfn_mkwrite - a write to what is there read-only
 * @vmf: the fault
 *
 * It is bound so, or the process has made its mapping writable since. Which of them
 * is for the next fault to find out, under the BO's lock.
 *
 * Return: VM_FAULT_NOPAGE.
 */
vm_fault_t drover_aperture_pfn_mkwrite(struct vm_fault *vmf)
{
	struct drover_vm *vm = vmf->vma->vm_private_data;

	drover_aperture_drop(vm, drover_aperture_address(vmf->vma, vmf->address & PAGE_MASK),
			     PAGE_SIZE);
	return VM_FAULT_NOPAGE;
}

/**
 * drover_aperture_access - read or write through the aperture, for debuggers
 * @vma: the mapping
 * @address: CPU address in it
 * @buf: where the bytes go to or come from
 * @len: how many
 * @write: which of the two
 *
 * Return: the bytes copied or, if none, a negative errno.
 */
int drover_aperture_access(struct vm_area_struct *vma, unsigned long address, void *buf,
			   int len, int write)
{
	struct drover_fault fault = { .vm = vma->vm_private_data, .write = write };
	int done = 0, ret;

	len = min_t(unsigned long, len, vma->vm_end - address);
	while (done < len) {
		fault.address = drover_aperture_address(vma, address + done);
		fault.buf = buf + done;
		fault.len = min_t(int, len - done, PAGE_SIZE - offset_in_page(fault.address));
		ret = drover_aperture_serve(&fault);
		if (ret)
			return done ? done : ret;
		done += fault.len;
	}
	return done;
}
