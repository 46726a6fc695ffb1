// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Address spaces: create, destroy, describe, make resident.
 */

#include <linux/dma-resv.h>
#include <linux/rhashtable.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "drover_drv.h"

/**
 * DOC: address spaces
 *
 * A &struct drover_vm is a &struct drm_gpuvm with an engine. Private BOs use
 * its reservation object, so one lock covers all of them.
 *
 * References: the client's table of numbers holds one until the VM is closed,
 * ioctls hold one while they run, pairs and private BOs hold one each. Closing
 * happens on a work queue: it waits for the jobs, stops the engine and unbinds
 * everything, which drops the pairs' references.
 */

/**
 * drover_pair_validate - make a BO reachable and write a pair's entries
 * @pair: the pair, evicted; its BO's reservation lock must be held
 * @ctx: how to wait and what may be evicted
 * @spare_hot: don't evict what a VM has just used
 *
 * If an engine may still use the entries, they stay as they are: the BO has not
 * moved.
 *
 * Return: 0 or a negative errno; see drover_vm_validate() for -ENOMEM.
 */
int drover_pair_validate(struct drover_pair *pair, struct ttm_operation_ctx *ctx, bool spare_hot)
{
	struct drm_gem_object *gem = pair->base.obj;
	long ret;

	dma_resv_assert_held(gem->resv);

	if (drover_is_import(gem))
		ret = drover_import_validate(to_drover_import(gem));
	else
		ret = drover_bo_validate(gem_to_drover_bo(gem), ctx, spare_hot);
	if (ret)
		return ret;

	/* Moves that are under way. Later jobs don't look at the BO any more. */
	ret = dma_resv_wait_timeout(gem->resv, DMA_RESV_USAGE_KERNEL, true,
				    MAX_SCHEDULE_TIMEOUT);
	if (ret < 0)
		return ret;

	if (drover_is_import(gem))
		drover_sg_write_ptes(to_drover_import(gem)->sgt, pair->ptes);
	else
		drover_bo_write_ptes(gem_to_drover_bo(gem), pair->ptes);
	drover_pair_validated(pair);
	return 0;
}

/*
 * The next pair on the list of unarmed ones, which others only add to while the
 * VM's reservation lock is held.
 */
static struct drover_pair *drover_vm_next_unarmed(struct drover_vm *vm, struct drover_pair *pair)
{
	struct list_head *next;

	mutex_lock(&vm->gate);
	next = pair ? pair->link.next : vm->unarmed.next;
	mutex_unlock(&vm->gate);
	return next == &vm->unarmed ? NULL : list_entry(next, struct drover_pair, link);
}

static void drover_pair_spare(struct drover_vm *vm, struct drover_pair *pair)
{
	struct drm_gem_object *gem = pair->base.obj;

	if (drover_is_bo(gem) && gem_to_drover_bo(gem)->vm)
		gem_to_drover_bo(gem)->validated = vm->resumes;
}

/* What was validated by an earlier pass stays, too. */
static void drover_vm_spare_validated(struct drover_vm *vm)
{
	struct drover_pair *pair = NULL;

	while ((pair = drover_vm_next_unarmed(vm, pair)))
		if (!pair->evicted)
			drover_pair_spare(vm, pair);
}

static int drover_vm_prepare_unarmed(struct drover_vm *vm, struct drm_exec *exec,
				     struct ttm_operation_ctx *ctx)
{
	struct drover_pair *pair = NULL;
	int ret;

	while ((pair = drover_vm_next_unarmed(vm, pair))) {
		ret = drm_exec_lock_obj(exec, pair->base.obj);
		if (!ret && pair->evicted)
			ret = drover_pair_validate(pair, ctx, !ctx->allow_res_evict);
		if (!ret) {
			drover_pair_spare(vm, pair);
			ret = drover_pair_prepare(pair);
		}
		if (ret)
			return ret;
		pair->ready = vm->resumes;
	}
	return 0;
}

/**
 * drover_vm_validate - prepare what is unarmed in a VM for drover_gate_open()
 * @vm: the VM; its reservation lock must be held through @exec
 * @exec: locks the BOs of the unarmed pairs, too; may be contended on return
 * @evict_own: second try: the VM's own private BOs may be evicted to make room,
 *	except what this call has validated, and so may what others just used
 *
 * Making room for one BO may evict another of the same VM; that one is then
 * found further down the list, and settles for GTT if there is no other way.
 * Since what was validated is locked or spared, this ends.
 *
 * Return: 0 or a negative errno; -ENOMEM and -ENOSPC may also stand for a
 * deadlock back-off that TTM hid.
 */
int drover_vm_validate(struct drover_vm *vm, struct drm_exec *exec, bool evict_own)
{
	struct ttm_operation_ctx ctx = {
		.interruptible = true,
		.gfp_retry_mayfail = true,
		.allow_res_evict = evict_own,
		.resv = drm_gpuvm_resv(&vm->base),
	};
	int ret;

	dma_resv_assert_held(ctx.resv);

	if (signal_pending(current))
		return -ERESTARTSYS;
	ret = drover_vm_drain(vm, true);
	if (ret)
		return ret;
	drover_gate_close(vm);

	vm->resumes++;
	vm->resuming = true;
	drover_vm_spare_validated(vm);
	ret = drover_vm_prepare_unarmed(vm, exec, &ctx);
	vm->resuming = false;
	return ret ? ret : drover_gate_prepare(vm);
}

/**
 * drover_vm_lose_locked - let nothing run in a VM any more
 * @vm: the VM; its gate must be held
 * @reason: positive errno; the first one stays
 *
 * The engine looks before each access, so a lost VM's jobs touch no memory.
 * Jobs in flight end with -ECANCELED, but for the one that is the reason.
 */
void drover_vm_lose_locked(struct drover_vm *vm, int reason)
{
	lockdep_assert_held(&vm->gate);

	if (vm->lost)
		return;
	/* Pairs with drover_engine_check_stop(). */
	smp_store_release(&vm->lost, reason);
	drover_aperture_show_lost(vm);
	wake_up_all(&vm->jobs_wait);
}

/**
 * drover_vm_lose - drover_vm_lose_locked(), without the gate
 * @vm: the VM
 * @reason: positive errno
 */
void drover_vm_lose(struct drover_vm *vm, int reason)
{
	mutex_lock(&vm->gate);
	drover_vm_lose_locked(vm, reason);
	mutex_unlock(&vm->gate);
}

/**
 * drover_vm_usable - may something be submitted to a VM or bound in it?
 * @vm: the VM; its gate must be held
 *
 * Return: 0, -ENOENT if it is being destroyed, -ECANCELED if it is lost.
 */
int drover_vm_usable(struct drover_vm *vm)
{
	lockdep_assert_held(&vm->gate);

	if (vm->closed)
		return -ENOENT;
	return vm->lost ? -ECANCELED : 0;
}

static void drover_vm_close_work(struct work_struct *work)
{
	struct drover_vm *vm = container_of(work, struct drover_vm, close_work);

	drover_sched_stop_vm(vm);
	drover_vm_unbind_all(vm);
	drover_gate_fini(vm);
	drm_gpuvm_put(&vm->base);
}

/**
 * drover_vm_close - start to destroy a VM whose number is gone
 * @vm: the VM; takes over the reference of the number
 */
void drover_vm_close(struct drover_vm *vm)
{
	mutex_lock(&vm->gate);
	WRITE_ONCE(vm->closed, true);
	mutex_unlock(&vm->gate);
	drover_aperture_forget(vm);
	drover_vm_close_places(vm);

	mutex_lock(&vm->drover->objects_lock);
	list_del_init(&vm->link);
	mutex_unlock(&vm->drover->objects_lock);

	queue_work(drover_wq, &vm->close_work);
}

/**
 * drover_vm_free - free a VM that nothing refers to any more
 * @gpuvm: the VM; called by drm_gpuvm
 */
void drover_vm_free(struct drm_gpuvm *gpuvm)
{
	struct drover_vm *vm = to_drover_vm(gpuvm);

	ttm_lru_bulk_move_fini(&vm->drover->ttm, &vm->bulk);
	dma_fence_put(vm->last_job);
	drover_client_put(vm->client);
	atomic_dec(&vm->drover->num_vms);
	rhashtable_destroy(&vm->resvs);
	drover_aperture_fini(vm);
	mutex_destroy(&vm->gate);
	mutex_destroy(&vm->bind_lock);
	kfree(vm);
}

static struct drover_vm *drover_vm_create(struct drover_device *drover,
					  struct drover_client *client, bool is_longrun)
{
	struct drm_gem_object *r_obj;
	struct drover_vm *vm;
	int ret;

	vm = kzalloc_obj(*vm);
	if (!vm)
		return ERR_PTR(-ENOMEM);

	vm->drover = drover;
	ret = drover_gate_init(vm);
	if (ret) {
		kfree(vm);
		return ERR_PTR(ret);
	}

	r_obj = drm_gpuvm_resv_object_alloc(&drover->drm);
	if (!r_obj) {
		rhashtable_destroy(&vm->resvs);
		kfree(vm);
		return ERR_PTR(-ENOMEM);
	}

	vm->is_longrun = is_longrun;
	mutex_init(&vm->bind_lock);
	drover_aperture_init(vm);
	init_waitqueue_head(&vm->jobs_wait);
	INIT_LIST_HEAD(&vm->link);
	INIT_WORK(&vm->close_work, drover_vm_close_work);
	ttm_lru_bulk_move_init(&vm->bulk);
	kref_get(&client->kref);
	vm->client = client;
	atomic_inc(&drover->num_vms);

	drm_gpuvm_init(&vm->base, "drover", 0, &drover->drm, r_obj,
		       DROVER_VA_START, DROVER_VA_END - DROVER_VA_START, 0, 0,
		       &drover_gpuvm_ops);
	drm_gem_object_put(r_obj);

	ret = drover_sched_start_vm(vm);
	if (ret) {
		drm_gpuvm_put(&vm->base);
		return ERR_PTR(ret);
	}
	return vm;
}

/**
 * drover_vm_create_ioctl - DRM_IOCTL_DROVER_VM_CREATE
 * @drm: the DRM device
 * @data: struct drm_drover_vm_create
 * @file: the caller's file
 *
 * Return: 0 or a negative errno.
 */
int drover_vm_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drover_device *drover = to_drover(drm);
	struct drover_client *client = file->driver_priv;
	struct drm_drover_vm_create *args = data;
	struct drover_vm *vm;
	int ret;

	if (args->flags & ~DRM_DROVER_VM_CREATE_LONG_RUNNING)
		return -EINVAL;

	/* Approximate: what matters is that there is an end. */
	if (atomic_read(&drover->num_vms) >= DROVER_MAX_DEVICE_VMS)
		return -ENOSPC;

	vm = drover_vm_create(drover, client, args->flags & DRM_DROVER_VM_CREATE_LONG_RUNNING);
	if (IS_ERR(vm))
		return PTR_ERR(vm);

	mutex_lock(&drover->objects_lock);
	list_add_tail(&vm->link, &drover->vms);
	mutex_unlock(&drover->objects_lock);

	/* Another thread may guess the number, and destroy the VM, at once. */
	drm_gpuvm_get(&vm->base);
	ret = xa_alloc(&client->vms, &vm->id, vm, XA_LIMIT(1, DROVER_MAX_CLIENT_VMS), GFP_KERNEL);
	if (ret)
		drover_vm_close(vm);
	else
		args->vm_id = vm->id;
	drm_gpuvm_put(&vm->base);
	return ret == -EBUSY ? -ENOSPC : ret;
}

/**
 * drover_vm_destroy_ioctl - DRM_IOCTL_DROVER_VM_DESTROY
 * @drm: the DRM device
 * @data: struct drm_drover_vm_destroy
 * @file: the caller's file
 *
 * Return: 0 or a negative errno.
 */
int drover_vm_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drover_client *client = file->driver_priv;
	struct drm_drover_vm_destroy *args = data;
	struct drover_vm *vm;

	if (args->pad)
		return -EINVAL;

	vm = xa_erase(&client->vms, args->vm_id);
	if (!vm)
		return -ENOENT;
	drover_vm_close(vm);
	return 0;
}

static void drover_vm_count(struct drover_vm *vm, struct drm_drover_vm_info *info)
{
	struct drover_pair *pair;
	struct drm_gpuva *va;

	lockdep_assert_held(&vm->bind_lock);

	drm_gpuvm_for_each_va(va, &vm->base) {
		info->mappings++;
		if (!list_is_first(&va->gem.entry, &va->vm_bo->list.gpuva))
			continue;
		pair = to_drover_pair(va->vm_bo);
		info->bos++;
		if (READ_ONCE(pair->evicted)) {
			info->evicted_bos++;
			info->evicted_bytes += va->gem.obj->size;
		} else {
			info->resident_bytes += va->gem.obj->size;
		}
	}

	mutex_lock(&vm->gate);
	info->flags = (vm->lost ? DRM_DROVER_VM_LOST : 0) |
		      (vm->is_longrun ? DRM_DROVER_VM_LONG_RUNNING : 0);
	info->lost_reason = vm->lost;
	info->submitted = vm->stats.submitted;
	info->completed = vm->stats.completed;
	info->evictions = vm->stats.evictions;
	info->invalidations = vm->stats.invalidations;
	info->remaps = vm->stats.remaps;
	info->resumes = vm->stats.resumes;
	info->suspends = vm->stats.suspends;
	info->preemptions = vm->stats.preemptions;
	info->commands = atomic64_read(&vm->longrun.commands);
	info->spurious_suspends = vm->stats.spurious_suspends;
	info->failed_checks = vm->stats.failed_checks;
	info->check_address = vm->stats.check_address;
	info->check_found = vm->stats.check_found;
	info->check_expected = vm->stats.check_expected;
	info->fault_address = vm->stats.fault_address;
	info->faults = atomic64_read(&vm->faults);
	mutex_unlock(&vm->gate);
}

/**
 * drover_vm_get_info - state and counters of a VM
 * @vm: the VM
 * @info: where they go; zeroed, but for the VM's number
 *
 * Return: 0 or -EINTR.
 */
int drover_vm_get_info(struct drover_vm *vm, struct drm_drover_vm_info *info)
{
	int ret;

	ret = mutex_lock_interruptible(&vm->bind_lock);
	if (ret)
		return ret;
	drover_vm_count(vm, info);
	mutex_unlock(&vm->bind_lock);
	return 0;
}

/**
 * drover_vm_info_ioctl - DRM_IOCTL_DROVER_VM_INFO
 * @drm: the DRM device
 * @data: struct drm_drover_vm_info
 * @file: the caller's file
 *
 * Return: 0 or a negative errno.
 */
int drover_vm_info_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_drover_vm_info *args = data;
	struct drm_drover_vm_info info = { .vm_id = args->vm_id };
	struct drover_vm *vm;
	int ret;

	vm = drover_vm_lookup(file, args->vm_id);
	if (!vm)
		return -ENOENT;

	ret = drover_vm_get_info(vm, &info);
	if (!ret)
		*args = info;
	drm_gpuvm_put(&vm->base);
	return ret;
}
