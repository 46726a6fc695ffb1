// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What is reachable in a VM and what has to be made reachable first.
 */

#include <linux/dma-resv.h>

#include "drover_drv.h"
#include "drover_trace.h"

/**
 * DOC: the gate
 *
 * Each pair of a VM and a BO has two bits, both protected by &drover_vm.gate:
 *
 * - being on &drover_vm.evicted: the next submission must validate the BO and
 *   write new page table entries before its job is armed;
 * - &drover_pair.present: the engine may use the entries that are there.
 *
 * A move or an exporter's invalidation sets the first at once and clears the
 * second only when the VM's jobs have drained: they were armed while the
 * pair was reachable and may legally go on until then. A pair becomes present
 * in one step with leaving the list.
 *
 * The gate is the innermost lock: nothing is allocated and no fence is waited
 * for under it.
 */

static void drover_pair_evict(struct drover_pair *pair, bool by_exporter)
{
	struct drover_vm *vm = to_drover_vm(pair->base.vm);

	mutex_lock(&vm->gate);
	if (list_empty(&pair->link)) {
		list_add_tail(&pair->link, &vm->evicted);
		vm->stats.evictions++;
		if (by_exporter)
			vm->stats.invalidations++;
	}
	mutex_unlock(&vm->gate);
}

/**
 * drover_object_invalidate - announce that a BO leaves its place
 * @gem: the BO or import; its reservation lock must be held
 * @by_exporter: the exporter of an import asks for it
 *
 * From here on no new job uses the old place. Jobs in flight still may. Allocates
 * nothing and waits for nothing, so it can't fail.
 *
 * Return: true; false if a test asked to leave it out.
 */
bool drover_object_invalidate(struct drm_gem_object *gem, bool by_exporter)
{
	struct drm_gpuvm_bo *vm_bo;

	dma_resv_assert_held(gem->resv);

	if (drover_hook_skip_invalidation(to_drover(gem->dev)))
		return false;

	drm_gem_for_each_gpuvm_bo(vm_bo, gem)
		drover_pair_evict(to_drover_pair(vm_bo), by_exporter);

	if (!drover_is_import(gem) && gem_to_drover_bo(gem)->attached)
		dma_buf_invalidate_mappings(gem_to_drover_bo(gem)->attached);

	trace_drover_invalidate(gem, by_exporter);
	return true;
}

/**
 * drover_object_unmap - take the entries of an invalidated BO away
 * @gem: the BO or import, invalidated and drained; its reservation lock must be held
 */
void drover_object_unmap(struct drm_gem_object *gem)
{
	struct drm_gpuvm_bo *vm_bo;

	dma_resv_assert_held(gem->resv);

	drm_gem_for_each_gpuvm_bo(vm_bo, gem) {
		struct drover_pair *pair = to_drover_pair(vm_bo);
		struct drover_vm *vm = to_drover_vm(vm_bo->vm);

		mutex_lock(&vm->gate);
		if (!list_empty(&pair->link))
			pair->present = false;
		mutex_unlock(&vm->gate);
	}
}

/**
 * drover_object_drain - wait until no job of this device uses a BO
 * @gem: the BO or import; its reservation lock must be held
 * @interruptible: a signal ends the wait
 *
 * Return: 0 or -ERESTARTSYS.
 */
int drover_object_drain(struct drm_gem_object *gem, bool interruptible)
{
	struct drm_gpuvm_bo *vm_bo;
	int ret;

	dma_resv_assert_held(gem->resv);

	drm_gem_for_each_gpuvm_bo(vm_bo, gem) {
		ret = drover_vm_drain(to_drover_vm(vm_bo->vm), interruptible);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * drover_pair_map - let the engine use a pair's new entries
 * @pair: the pair; the BO's reservation lock must be held, the entries written
 *
 * Return: whether it had been reachable before.
 */
bool drover_pair_map(struct drover_pair *pair)
{
	struct drover_vm *vm = to_drover_vm(pair->base.vm);
	struct drover_object *object = drover_object_of(pair->base.obj);
	bool remapped;

	mutex_lock(&vm->gate);
	list_del_init(&pair->link);
	remapped = pair->was_present;
	pair->present = true;
	pair->was_present = true;
	if (remapped)
		vm->stats.remaps++;
	mutex_unlock(&vm->gate);

	if (remapped) {
		atomic64_inc(&object->remaps);
		trace_drover_remap(pair->base.obj, vm->id);
	}
	return remapped;
}

/**
 * drover_pair_remove - take a pair out of its VM
 * @pair: the pair, without mappings; the VM must be drained
 */
void drover_pair_remove(struct drover_pair *pair)
{
	struct drover_vm *vm = to_drover_vm(pair->base.vm);

	mutex_lock(&vm->gate);
	list_del_init(&pair->link);
	pair->present = false;
	mutex_unlock(&vm->gate);
}

/**
 * drover_vm_lose - let nothing run in a VM any more
 * @vm: the VM
 * @reason: positive errno; the first one stays
 *
 * The engine looks before each access, so a lost VM's jobs touch no memory.
 * Jobs in flight end with -ECANCELED, but for the one that is the reason.
 */
void drover_vm_lose(struct drover_vm *vm, int reason)
{
	mutex_lock(&vm->gate);
	if (!vm->lost)
		WRITE_ONCE(vm->lost, reason);
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

/**
 * drover_vm_drain - wait until the jobs submitted so far are done
 * @vm: the VM; hold its reservation lock if none must follow
 * @interruptible: a signal ends the wait
 *
 * Return: 0 or -ERESTARTSYS.
 */
int drover_vm_drain(struct drover_vm *vm, bool interruptible)
{
	struct dma_fence *last;
	long ret;

	mutex_lock(&vm->gate);
	last = dma_fence_get(vm->last_job);
	mutex_unlock(&vm->gate);
	if (!last)
		return 0;

	ret = dma_fence_wait(last, interruptible);
	dma_fence_put(last);
	return ret < 0 ? ret : 0;
}
