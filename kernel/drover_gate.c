// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The gate of a VM: what is reachable, who may run, and the working-set fences
 * by which a move stops a VM.
 */

#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>

#include "drover_drv.h"
#include "drover_trace.h"

/**
 * DOC: the gate
 *
 * A pair is a BO in a VM. It is in one of these states, which change under
 * &drover_vm.gate only:
 *
 * - *armed*: reachable (&drover_pair.present), and for a shared BO its
 *   working-set fence is in the BO's reservation object;
 * - *unarmed*: on &drover_vm.unarmed: the next submission has to arm it first. If
 *   it is also *evicted*, the BO must be validated and its entries written anew.
 *
 * Submissions go straight through while the gate is open: the list is empty and
 * nobody has asked to close it. They touch no shared BO.
 *
 * Whoever wants to move a shared BO waits for its fences. Enabling the
 * working-set fence closes the gate by a bit, synchronously: from there on no
 * job is armed, so the set of jobs that the fence stands for is fixed. When the
 * last of them is done, drover_vm_suspend_work() makes the wanted pairs
 * unreachable and signals their fences, in one step; if they are done already, an
 * invalidation does so by itself. Pairs that nobody wanted
 * stay armed; wanted later, while the gate is closed, they signal at once.
 * No step on this way allocates or takes a reservation lock.
 *
 * An invalidation or a move marks the pair evicted at once, but the engine may
 * use the old entries until the VM has drained: its jobs were armed before.
 *
 * The next submission resumes the VM (drover_exec.c): it locks the BOs of the
 * unarmed pairs, validates what was evicted, and arms all of them together
 * with its job. A pair that was unarmed without being evicted is only
 * armed again.
 *
 * Private BOs have no working-set fence: the jobs' fences are in the VM's
 * reservation object, which they share. (Long-running VMs, whose jobs have no
 * fences, have one there: drover_longrun.c.) With fence_mode=job shared BOs have
 * none either: each submission locks and fences all of them.
 *
 * The gate is the innermost lock: nothing is allocated and no fence is waited
 * for under it.
 */

/* Bits of drover_vm.gate_flags: set by anyone, cleared by a resume. */
#define DROVER_GATE_CLOSING	0

/**
 * struct drover_working_set_fence - "VM V may be using BO X"
 */
struct drover_working_set_fence {
	/** @base: the fence; first */
	struct dma_fence base;
	/** @lock: for drover_fence_lock() */
	spinlock_t lock;
	/** @vm: valid until the fence is signalled */
	struct drover_vm *vm;
	/** @pair: whose it is; NULL once signalled; under the VM's gate */
	struct drover_pair *pair;
	/** @wanted: in drover_vm.wanted, with a reference, once somebody waits for it */
	struct llist_node wanted;
};

static struct drover_working_set_fence *to_working_set_fence(struct dma_fence *fence)
{
	return container_of(fence, struct drover_working_set_fence, base);
}

static const char *drover_fence_driver_name(struct dma_fence *fence)
{
	return "drover";
}

static const char *drover_working_set_fence_timeline_name(struct dma_fence *fence)
{
	return "drover-working-set";
}

/* Called with the fence's spinlock held, maybe in an interrupt. */
static bool drover_working_set_fence_enable_signaling(struct dma_fence *base)
{
	struct drover_working_set_fence *fence = to_working_set_fence(base);
	struct drover_vm *vm = fence->vm;

	dma_fence_get(base);
	llist_add(&fence->wanted, &vm->wanted);
	set_bit(DROVER_GATE_CLOSING, &vm->gate_flags);
	queue_delayed_work(vm->drover->gate_wq, &vm->suspend_work, 0);
	return true;
}

#if DROVER_FENCE_HOLDS_MODULE
static void drover_working_set_fence_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct drover_working_set_fence, base.rcu));
	module_put(THIS_MODULE);
}

static void drover_working_set_fence_release(struct dma_fence *fence)
{
	call_rcu(&fence->rcu, drover_working_set_fence_free_rcu);
}
#endif

static const struct dma_fence_ops drover_working_set_fence_ops = {
	.get_driver_name = drover_fence_driver_name,
	.get_timeline_name = drover_working_set_fence_timeline_name,
	.enable_signaling = drover_working_set_fence_enable_signaling,
#if DROVER_FENCE_HOLDS_MODULE
	.release = drover_working_set_fence_release,
#endif
};

static bool drover_pair_needs_fence(struct drover_pair *pair)
{
	struct drover_vm *vm = to_drover_vm(pair->base.vm);

	/* Long-running jobs have no fence that could take its place. */
	if (vm->drover->fence_mode_job && !vm->is_longrun)
		return false;
	return drm_gpuvm_is_extobj(&vm->base, pair->base.obj);
}

/**
 * drover_pair_init - prepare the gate's part of a new pair
 * @pair: the pair, zeroed
 */
void drover_pair_init(struct drover_pair *pair)
{
	INIT_LIST_HEAD(&pair->link);
	/* One context per pair: fences of different BOs signal in any order. */
	pair->fence_context = dma_fence_context_alloc(1);
	pair->evicted = true;
}

static const struct rhashtable_params drover_resv_params = {
	.key_len = sizeof_field(struct drover_pair, resv),
	.key_offset = offsetof(struct drover_pair, resv),
	.head_offset = offsetof(struct drover_pair, resv_node),
	.automatic_shrinking = true,
};

/**
 * drover_pair_publish_resv - claim a BO's reservation object for a new pair
 * @pair: the pair; the reservation locks of its VM and its BO must be held
 *
 * Slots are reserved per reservation object, so there is one pair for each.
 *
 * Return: 0; -EOPNOTSUPP if the exporter of another BO in this VM uses the same
 * one; or another negative errno.
 */
int drover_pair_publish_resv(struct drover_pair *pair)
{
	struct drover_vm *vm = to_drover_vm(pair->base.vm);
	int ret;

	if (pair->resv || !drm_gpuvm_is_extobj(&vm->base, pair->base.obj))
		return 0;

	pair->resv = pair->base.obj->resv;
	ret = rhashtable_lookup_insert_fast(&vm->resvs, &pair->resv_node, drover_resv_params);
	if (ret)
		pair->resv = NULL;
	return ret == -EEXIST ? -EOPNOTSUPP : ret;
}

/**
 * drover_pair_publish - let the next submission arm a new pair
 * @pair: the pair; its BO's and its VM's reservation locks must be held
 */
void drover_pair_publish(struct drover_pair *pair)
{
	struct drover_vm *vm = to_drover_vm(pair->base.vm);

	mutex_lock(&vm->gate);
	if (!pair->present && list_empty(&pair->link))
		list_add_tail(&pair->link, &vm->unarmed);
	mutex_unlock(&vm->gate);
}

/**
 * drover_pair_prepare - allocate what drover_pair_arm() will need
 * @pair: the pair; its BO's reservation lock must be held
 *
 * The slot in the reservation object is reserved by the caller.
 *
 * Return: 0 or -ENOMEM.
 */
int drover_pair_prepare(struct drover_pair *pair)
{
	if (pair->spare || !drover_pair_needs_fence(pair))
		return 0;

	pair->spare = kzalloc_obj(*pair->spare);
	return pair->spare ? 0 : -ENOMEM;
}

/**
 * drover_gate_prepare - allocate what a long-running VM's own fence needs
 * @vm: the VM; its reservation lock must be held
 *
 * Return: 0 or -ENOMEM.
 */
int drover_gate_prepare(struct drover_vm *vm)
{
	if (!vm->is_longrun || vm->spare)
		return 0;

	vm->spare = kzalloc_obj(*vm->spare);
	return vm->spare ? 0 : -ENOMEM;
}

static void drover_working_set_fence_init(struct drover_working_set_fence *fence,
					  struct drover_vm *vm, u64 context, u64 seqno)
{
#if DROVER_FENCE_HOLDS_MODULE
	__module_get(THIS_MODULE);
#endif
	fence->vm = vm;
	dma_fence_init(&fence->base, &drover_working_set_fence_ops,
		       drover_fence_lock(&fence->lock), context, seqno);
}

static void drover_pair_add_fence(struct drover_pair *pair)
{
	struct drover_working_set_fence *fence = pair->spare;

	pair->spare = NULL;
	drover_working_set_fence_init(fence, to_drover_vm(pair->base.vm),
				      pair->fence_context, ++pair->fence_seqno);
	fence->pair = pair;
	pair->fence = fence;
	dma_resv_add_fence(pair->base.obj->resv, &fence->base, DMA_RESV_USAGE_BOOKKEEP);
}

static void drover_vm_add_fence(struct drover_vm *vm)
{
	struct drover_working_set_fence *fence = vm->spare;

	vm->spare = NULL;
	drover_working_set_fence_init(fence, vm, vm->fence_context, ++vm->fence_seqno);
	vm->fence = fence;
	dma_resv_add_fence(drm_gpuvm_resv(&vm->base), &fence->base, DMA_RESV_USAGE_BOOKKEEP);
}

/* As drover_pair_signal(), for the private BOs of a long-running VM. */
static void drover_vm_signal(struct drover_vm *vm)
{
	struct drover_working_set_fence *fence = vm->fence;

	vm->fence = NULL;
	dma_fence_signal(&fence->base);
	dma_fence_put(&fence->base);
}

/* The VM must be drained; its gate must be held. */
static void drover_pair_signal(struct drover_pair *pair)
{
	struct drover_working_set_fence *fence = pair->fence;

	pair->fence = NULL;
	fence->pair = NULL;
	dma_fence_signal(&fence->base);
	dma_fence_put(&fence->base);
}

static void drover_vm_count_suspend(struct drover_vm *vm)
{
	if (vm->suspended)
		return;
	vm->suspended = true;
	vm->stats.suspends++;
	trace_drover_suspend(vm->drover->index, vm->id);
}

/*
 * Unarms what is wanted. The VM must be drained, its gate held. A pair that
 * becomes unreachable and its fence's signal are one step, so nobody who
 * waited for the fence finds the engine using the BO.
 */
static void drover_vm_signal_wanted(struct drover_vm *vm)
{
	struct llist_node *wanted = llist_del_all(&vm->wanted);
	struct drover_working_set_fence *fence, *next;
	struct drover_pair *pair;

	if (wanted)
		drover_vm_count_suspend(vm);
	llist_for_each_entry_safe(fence, next, wanted, wanted) {
		pair = fence->pair;
		if (pair) {
			pair->present = false;
			if (list_empty(&pair->link))
				list_add_tail(&pair->link, &vm->unarmed);
			drover_pair_signal(pair);
		} else if (fence == vm->fence) {
			drover_vm_signal(vm);
		}
		dma_fence_put(&fence->base);
	}
}

/* The last job is done: in the context of whoever signalled it. */
static void drover_vm_drained(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct drover_vm *vm = container_of(cb, struct drover_vm, drain_cb);
	struct workqueue_struct *wq = vm->drover->gate_wq;

	/* Pairs with drover_vm_check_drained(): the callback may be used again. */
	smp_store_release(&vm->drain_pending, false);
	queue_delayed_work(wq, &vm->suspend_work, 0);
}

/* The fence of the last job, while that isn't done; jobs of a VM end in order. */
static struct dma_fence *drover_vm_running_job(struct drover_vm *vm)
{
	lockdep_assert_held(&vm->gate);

	return vm->last_job && !dma_fence_is_signaled(vm->last_job) ? vm->last_job : NULL;
}

/* Returns whether all jobs are done; if not, the work is queued when they are. */
static bool drover_vm_check_drained(struct drover_vm *vm)
{
	lockdep_assert_held(&vm->gate);

	if (vm->is_longrun)
		return drover_longrun_check_drained(vm);

	/* Pairs with drover_vm_drained(). */
	if (smp_load_acquire(&vm->drain_pending))
		return false;
	if (!drover_vm_running_job(vm))
		return true;

	vm->drain_pending = true;
	if (!dma_fence_add_callback(vm->last_job, &vm->drain_cb, drover_vm_drained))
		return false;
	vm->drain_pending = false;
	return true;
}

/**
 * drover_vm_suspend_work - close the gate and signal who waits for it
 * @work: drover_vm.suspend_work
 *
 * Part of the fence signalling path.
 */
void drover_vm_suspend_work(struct work_struct *work)
{
	struct drover_vm *vm = container_of(to_delayed_work(work), struct drover_vm,
					    suspend_work);
	bool cookie = dma_fence_begin_signalling();

	mutex_lock(&vm->gate);
	if (!llist_empty(&vm->wanted) && drover_vm_check_drained(vm)) {
		drover_vm_signal_wanted(vm);
		if (vm->is_longrun)
			drover_longrun_restore(vm);
	}
	mutex_unlock(&vm->gate);
	dma_fence_end_signalling(cookie);
}

/**
 * drover_gate_is_open - may a job be armed without further ado?
 * @vm: the VM; its gate must be held
 *
 * Return: true if nothing is unarmed and nobody asked to close the gate.
 */
bool drover_gate_is_open(struct drover_vm *vm)
{
	lockdep_assert_held(&vm->gate);

	/*
	 * A long-running VM that is being suspended is restored without the help of
	 * the submission.
	 */
	if (test_bit(DROVER_GATE_CLOSING, &vm->gate_flags))
		return vm->is_longrun && !list_empty(&vm->longrun.jobs);
	return list_empty(&vm->unarmed) && (!vm->is_longrun || vm->fence);
}

/**
 * drover_gate_close - close the gate for a resume
 * @vm: the VM, drained; its reservation lock must be held
 *
 * All that is wanted or evicted is unarmed and signalled, so that it can be
 * armed anew.
 */
void drover_gate_close(struct drover_vm *vm)
{
	struct drover_pair *pair;

	mutex_lock(&vm->gate);
	set_bit(DROVER_GATE_CLOSING, &vm->gate_flags);
	drover_vm_signal_wanted(vm);
	list_for_each_entry(pair, &vm->unarmed, link) {
		pair->present = false;
		if (pair->fence)
			drover_pair_signal(pair);
	}
	if (vm->fence)
		drover_vm_signal(vm);
	mutex_unlock(&vm->gate);
}

static bool drover_pairs_ready(struct drover_vm *vm)
{
	struct drover_pair *pair;

	list_for_each_entry(pair, &vm->unarmed, link)
		if (pair->evicted || pair->fence || pair->ready != vm->resumes)
			return false;
	return true;
}

static void drover_pair_arm(struct drover_vm *vm, struct drover_pair *pair)
{
	if (drover_pair_needs_fence(pair))
		drover_pair_add_fence(pair);
	list_del_init(&pair->link);
	if (!pair->remapped && pair->was_present)
		vm->stats.spurious_suspends++;
	pair->remapped = false;
	pair->present = true;
	pair->was_present = true;
}

/**
 * drover_gate_open - arm what is unarmed and open the gate
 * @vm: the VM, drained; its gate and the reservation locks of it and of the BOs
 *	that this resume found unarmed must be held, with slots reserved
 *
 * Nothing happens if something was evicted or wanted in the meantime.
 *
 * Return: whether the gate is open now.
 */
bool drover_gate_open(struct drover_vm *vm)
{
	struct drover_pair *pair, *next;
	bool remapped = false;

	lockdep_assert_held(&vm->gate);

	clear_bit(DROVER_GATE_CLOSING, &vm->gate_flags);
	/*
	 * Pairs with enable_signaling(), which adds to the list first: either it is
	 * seen here or the bit is set again.
	 */
	smp_mb__after_atomic();
	if (!llist_empty(&vm->wanted) || !drover_pairs_ready(vm)) {
		set_bit(DROVER_GATE_CLOSING, &vm->gate_flags);
		return false;
	}

	list_for_each_entry_safe(pair, next, &vm->unarmed, link) {
		remapped |= pair->remapped;
		drover_pair_arm(vm, pair);
	}
	if (vm->is_longrun) {
		drover_vm_add_fence(vm);
		drover_longrun_opened(vm);
	}
	if (remapped || vm->suspended) {
		vm->stats.resumes++;
		trace_drover_resume(vm->drover->index, vm->id);
	}
	vm->suspended = false;
	return true;
}

/*
 * Whether no job runs, nor one that could be preempted. None begins either while
 * something is unarmed.
 */
static bool drover_vm_is_idle(struct drover_vm *vm)
{
	return !vm->is_longrun && !drover_vm_running_job(vm);
}

/* With nothing to wait for, the pair is unarmed here and now. */
static void drover_pair_evict(struct drover_pair *pair, bool by_exporter)
{
	struct drover_vm *vm = to_drover_vm(pair->base.vm);

	mutex_lock(&vm->gate);
	if (!pair->evicted) {
		pair->evicted = true;
		vm->stats.evictions++;
		if (by_exporter)
			vm->stats.invalidations++;
	}
	if (list_empty(&pair->link))
		list_add_tail(&pair->link, &vm->unarmed);
	if (drover_vm_is_idle(vm)) {
		pair->present = false;
		if (pair->fence) {
			drover_vm_count_suspend(vm);
			drover_pair_signal(pair);
		}
	} else if (pair->fence) {
		dma_fence_enable_signaling(&pair->fence->base);
	}
	mutex_unlock(&vm->gate);
}

/**
 * drover_object_invalidate - announce that a BO leaves its place
 * @gem: the BO or import; its reservation lock must be held
 * @by_exporter: the exporter of an import asks for it
 *
 * From here on no new job uses the old place, and no CPU. Jobs in flight still may. Allocates
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

	drover_aperture_remove_object(gem);
	drm_gem_for_each_gpuvm_bo(vm_bo, gem)
		drover_pair_evict(to_drover_pair(vm_bo), by_exporter);

	if (!drover_is_import(gem) && gem_to_drover_bo(gem)->attached)
		dma_buf_invalidate_mappings(gem_to_drover_bo(gem)->attached);

	trace_drover_invalidate(gem, by_exporter);
	return true;
}

/**
 * drover_object_is_present - may a job use a BO at this moment?
 * @gem: the BO or import; its reservation lock must be held
 *
 * Return: false for good, until the lock is dropped, if it was invalidated and
 * the VMs that it is in had nothing to do.
 */
bool drover_object_is_present(struct drm_gem_object *gem)
{
	struct drm_gpuvm_bo *vm_bo;
	bool present = false;

	dma_resv_assert_held(gem->resv);

	drm_gem_for_each_gpuvm_bo(vm_bo, gem) {
		struct drover_vm *vm = to_drover_vm(vm_bo->vm);

		mutex_lock(&vm->gate);
		present |= to_drover_pair(vm_bo)->present;
		mutex_unlock(&vm->gate);
	}
	return present;
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
 * drover_pair_validated - a pair's new entries are written
 * @pair: the pair, unarmed; its BO's reservation lock must be held
 */
void drover_pair_validated(struct drover_pair *pair)
{
	struct drover_vm *vm = to_drover_vm(pair->base.vm);
	struct drover_object *object = drover_object_of(pair->base.obj);
	bool remapped;

	mutex_lock(&vm->gate);
	pair->evicted = false;
	remapped = pair->was_validated;
	pair->remapped = remapped;
	pair->was_validated = true;
	if (remapped)
		vm->stats.remaps++;
	mutex_unlock(&vm->gate);

	if (remapped) {
		atomic64_inc(&object->remaps);
		trace_drover_remap(pair->base.obj, vm->id);
	}
}

/**
 * drover_pair_remove - take a pair out of its VM
 * @pair: the pair, without mappings; the VM must be drained and the BO's
 *	reservation lock held
 *
 * Signalled fences don't stay behind in an exporter's reservation object: the
 * stub takes their place.
 */
void drover_pair_remove(struct drover_pair *pair)
{
	struct drover_vm *vm = to_drover_vm(pair->base.vm);
	struct dma_fence *stub;

	mutex_lock(&vm->gate);
	list_del_init(&pair->link);
	pair->present = false;
	if (pair->fence)
		drover_pair_signal(pair);
	mutex_unlock(&vm->gate);

	if (pair->resv)
		rhashtable_remove_fast(&vm->resvs, &pair->resv_node, drover_resv_params);
	if (pair->fence_seqno) {
		stub = dma_fence_get_stub();
		dma_resv_replace_fences(pair->base.obj->resv, pair->fence_context, stub,
					DMA_RESV_USAGE_BOOKKEEP);
		dma_fence_put(stub);
	}
	kfree(pair->spare);
}

/**
 * drover_gate_init - prepare the gate of a new VM
 * @vm: the VM
 *
 * Return: 0 or -ENOMEM.
 */
int drover_gate_init(struct drover_vm *vm)
{
	mutex_init(&vm->gate);
	INIT_LIST_HEAD(&vm->unarmed);
	init_llist_head(&vm->wanted);
	INIT_DELAYED_WORK(&vm->suspend_work, drover_vm_suspend_work);
	vm->last_submit = jiffies;
	return rhashtable_init(&vm->resvs, &drover_resv_params);
}

/**
 * drover_gate_forget - take a long-running VM's own fence out of a copy of its
 *	reservation object
 * @vm: the VM
 * @resv: the copy, locked: that of a private BO that is about to go
 *
 * TTM enables the fences of what it frees, which would suspend the VM.
 */
void drover_gate_forget(struct drover_vm *vm, struct dma_resv *resv)
{
	struct dma_fence *stub = dma_fence_get_stub();

	dma_resv_replace_fences(resv, vm->fence_context, stub, DMA_RESV_USAGE_BOOKKEEP);
	dma_fence_put(stub);
}

/**
 * drover_gate_fini - end the gate of a VM that has no pairs and no jobs any more
 * @vm: the VM
 */
void drover_gate_fini(struct drover_vm *vm)
{
	struct drover_working_set_fence *fence, *next;

	mutex_lock(&vm->gate);
	if (vm->fence)
		drover_vm_signal(vm);
	mutex_unlock(&vm->gate);
	kfree(vm->spare);

	cancel_delayed_work_sync(&vm->suspend_work);
	/* Signalled when their pairs went; the references are left. */
	llist_for_each_entry_safe(fence, next, llist_del_all(&vm->wanted), wanted)
		dma_fence_put(&fence->base);
}

/**
 * drover_vm_is_drained - are all jobs done?
 * @vm: the VM
 *
 * Return: true also for a long-running VM, which can be preempted at any time.
 */
bool drover_vm_is_drained(struct drover_vm *vm)
{
	bool drained;

	mutex_lock(&vm->gate);
	drained = !drover_vm_running_job(vm);
	mutex_unlock(&vm->gate);
	return drained;
}

/**
 * drover_object_busy - what is there to wait for until no job uses a BO?
 * @gem: the BO or import; its reservation lock must be held
 *
 * Return: a job's fence, with a reference; or NULL.
 */
struct dma_fence *drover_object_busy(struct drm_gem_object *gem)
{
	struct drm_gpuvm_bo *vm_bo;

	dma_resv_assert_held(gem->resv);

	drm_gem_for_each_gpuvm_bo(vm_bo, gem) {
		struct drover_vm *vm = to_drover_vm(vm_bo->vm);
		struct dma_fence *fence;

		mutex_lock(&vm->gate);
		fence = dma_fence_get(drover_vm_running_job(vm));
		mutex_unlock(&vm->gate);
		if (fence)
			return fence;
	}
	return NULL;
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

	if (vm->is_longrun)
		return drover_longrun_drain(vm, interruptible);

	mutex_lock(&vm->gate);
	last = dma_fence_get(vm->last_job);
	mutex_unlock(&vm->gate);
	if (!last)
		return 0;

	ret = dma_fence_wait(last, interruptible);
	dma_fence_put(last);
	return ret < 0 ? ret : 0;
}
