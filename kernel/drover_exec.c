// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Submissions: from the ioctl to the engine.
 */

#include <linux/dma-fence-chain.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_exec.h>
#include <drm/drm_syncobj.h>

#include "drover_drv.h"
#include "drover_trace.h"

/**
 * DOC: submissions
 *
 * Each VM has a scheduler, an entity and an engine of its own, so no client's
 * job stands before another's and dependencies between VMs are plain fences.
 *
 * A submission copies and checks everything, finds its in-fences, waits for a
 * place in the VM's queue, and only then takes reservation locks.
 *
 * If the gate is open these are the VM's own and those of the listed BOs, and
 * that is all: no list of shared BOs is walked. Otherwise the submission
 * resumes the VM first: it also locks the BOs of the unarmed pairs, makes them
 * reachable, and opens the gate in one step with arming its job. From
 * drm_sched_job_arm() on nothing can fail.
 *
 * With fence_mode=job all shared BOs of the VM are locked and fenced each time.
 *
 * The fence that is published is of our own type, in a context of the VM.
 */

struct drover_fence {
	struct dma_fence base;
	/* For drover_fence_lock() */
	spinlock_t lock;
};

static const char *drover_fence_driver_name(struct dma_fence *fence)
{
	return "drover";
}

static const char *drover_fence_timeline_name(struct dma_fence *fence)
{
	return "drover-vm";
}

#if DROVER_FENCE_HOLDS_MODULE
/*
 * The module goes when the last fence is gone; module exit waits for this
 * callback to return.
 */
static void drover_fence_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct drover_fence, base.rcu));
	module_put(THIS_MODULE);
}

static void drover_fence_release(struct dma_fence *fence)
{
	call_rcu(&fence->rcu, drover_fence_free_rcu);
}
#endif

static const struct dma_fence_ops drover_fence_ops = {
	.get_driver_name = drover_fence_driver_name,
	.get_timeline_name = drover_fence_timeline_name,
#if DROVER_FENCE_HOLDS_MODULE
	.release = drover_fence_release,
#endif
};

static struct dma_fence *drover_fence_init(struct drover_fence *fence, u64 context, u64 seqno)
{
#if DROVER_FENCE_HOLDS_MODULE
	__module_get(THIS_MODULE);
#endif
	dma_fence_init(&fence->base, &drover_fence_ops, drover_fence_lock(&fence->lock),
		       context, seqno);
	return &fence->base;
}

/* A struct drm_drover_sync with what it needs to be waited for or signalled. */
struct drover_sync {
	struct drm_syncobj *syncobj;
	struct dma_fence *fence;
	struct dma_fence_chain *chain;
	u64 point;
};

struct drover_listed {
	struct drm_gem_object *gem;
	u32 flags;
};

struct drover_submission {
	struct drover_vm *vm;
	struct drm_file *file;
	const struct drm_drover_submit *args;
	struct drover_job *job;
	struct drover_fence *fence;
	struct drover_sync *in_syncs;
	struct drover_sync *out_syncs;
	struct drover_listed *listed;
};

static int drover_submit_commands(struct drover_submission *sub)
{
	const struct drm_drover_submit *args = sub->args;
	struct drover_job *job = sub->job;
	u32 i;
	int ret;

	if (!args->num_commands)
		return 0;

	job->commands = vmemdup_array_user(u64_to_user_ptr(args->commands),
					   args->num_commands, sizeof(*job->commands));
	if (IS_ERR(job->commands)) {
		ret = PTR_ERR(job->commands);
		job->commands = NULL;
		return ret;
	}
	job->num_commands = args->num_commands;

	for (i = 0; i < job->num_commands; i++) {
		ret = drover_command_check(&job->commands[i], sub->vm->is_longrun,
					   i && i == job->num_commands - 1);
		if (ret)
			return ret;
	}
	return 0;
}

static int drover_sync_init_in(struct drm_file *file, struct drover_sync *sync,
			       const struct drm_drover_sync *args)
{
	struct dma_fence *fence;
	int ret;

	/* On an error it may leave a pointer behind that isn't ours. */
	ret = drm_syncobj_find_fence(file, args->handle, args->point, 0, &fence);
	if (ret)
		return ret;
	sync->fence = fence;
	return 0;
}

static int drover_sync_init_out(struct drm_file *file, struct drover_sync *sync,
				const struct drm_drover_sync *args)
{
	sync->syncobj = drm_syncobj_find(file, args->handle);
	if (!sync->syncobj)
		return -ENOENT;

	sync->point = args->point;
	if (sync->point) {
		sync->chain = dma_fence_chain_alloc();
		if (!sync->chain)
			return -ENOMEM;
	}
	return 0;
}

static int drover_submit_syncs(struct drover_submission *sub, u64 user, u32 count, bool in,
			       struct drover_sync **syncs)
{
	struct drm_drover_sync *args;
	u32 i;
	int ret = 0;

	if (!count)
		return 0;

	args = vmemdup_array_user(u64_to_user_ptr(user), count, sizeof(*args));
	if (IS_ERR(args))
		return PTR_ERR(args);

	*syncs = kvcalloc(count, sizeof(**syncs), GFP_KERNEL);
	if (!*syncs)
		ret = -ENOMEM;

	for (i = 0; !ret && i < count; i++) {
		if (args[i].flags)
			ret = -EINVAL;
		else if (in)
			ret = drover_sync_init_in(sub->file, &(*syncs)[i], &args[i]);
		else
			ret = drover_sync_init_out(sub->file, &(*syncs)[i], &args[i]);
	}
	kvfree(args);
	return ret;
}

static int drover_submit_listed(struct drover_submission *sub)
{
	const u32 all = DRM_DROVER_BUFFER_READ | DRM_DROVER_BUFFER_WRITE;
	u32 i, count = sub->args->num_buffers;
	struct drm_drover_buffer *args;
	int ret = 0;

	if (!count)
		return 0;

	args = vmemdup_array_user(u64_to_user_ptr(sub->args->buffers), count, sizeof(*args));
	if (IS_ERR(args))
		return PTR_ERR(args);

	sub->listed = kvcalloc(count, sizeof(*sub->listed), GFP_KERNEL);
	if (!sub->listed)
		ret = -ENOMEM;

	for (i = 0; !ret && i < count; i++) {
		if (!args[i].flags || args[i].flags & ~all) {
			ret = -EINVAL;
			break;
		}
		sub->listed[i].flags = args[i].flags;
		sub->listed[i].gem = drm_gem_object_lookup(sub->file, args[i].handle);
		if (!sub->listed[i].gem)
			ret = -ENOENT;
	}
	kvfree(args);
	return ret;
}

static int drover_submit_collect(struct drover_submission *sub)
{
	const struct drm_drover_submit *args = sub->args;
	int ret;

	sub->job = kzalloc_obj(*sub->job);
	sub->fence = kzalloc_obj(*sub->fence);
	if (!sub->job || !sub->fence)
		return -ENOMEM;
	sub->job->vm = sub->vm;

	ret = drover_submit_commands(sub);
	if (ret)
		return ret;
	ret = drover_submit_listed(sub);
	if (ret)
		return ret;
	ret = drover_submit_syncs(sub, args->out_syncs, args->num_out_syncs, false,
				  &sub->out_syncs);
	if (ret)
		return ret;
	return drover_submit_syncs(sub, args->in_syncs, args->num_in_syncs, true,
				   &sub->in_syncs);
}

static void drover_syncs_free(struct drover_sync *syncs, u32 count)
{
	u32 i;

	for (i = 0; syncs && i < count; i++) {
		if (syncs[i].syncobj)
			drm_syncobj_put(syncs[i].syncobj);
		dma_fence_put(syncs[i].fence);
		dma_fence_chain_free(syncs[i].chain);
	}
	kvfree(syncs);
}

/* Frees what wasn't handed on: job and fence are NULL by then if they were. */
static void drover_submit_free(struct drover_submission *sub)
{
	u32 i;

	for (i = 0; sub->listed && i < sub->args->num_buffers; i++)
		if (sub->listed[i].gem)
			drm_gem_object_put(sub->listed[i].gem);
	kvfree(sub->listed);
	drover_syncs_free(sub->out_syncs, sub->args->num_out_syncs);
	drover_syncs_free(sub->in_syncs, sub->args->num_in_syncs);
	kfree(sub->fence);
	if (sub->job) {
		kvfree(sub->job->commands);
		kfree(sub->job);
	}
}

static int drover_submit_lock(struct drover_submission *sub, struct drm_exec *exec)
{
	struct drm_gpuvm *gpuvm = &sub->vm->base;
	u32 i;
	int ret;

	ret = drm_gpuvm_prepare_vm(gpuvm, exec, 0);
	if (!ret && sub->vm->drover->fence_mode_job)
		ret = drm_gpuvm_prepare_objects(gpuvm, exec, 0);
	for (i = 0; !ret && i < sub->args->num_buffers; i++)
		ret = drm_exec_lock_obj(exec, sub->listed[i].gem);
	return ret;
}

/**
 * drover_exec_reserve - reserve the slots that opening a gate and submitting may need
 * @exec: what is locked
 *
 * After validation, which uses slots up. A BO may be listed for reading and
 * for writing beside being fenced as one of the VM and armed.
 *
 * Return: 0 or -ENOMEM.
 */
int drover_exec_reserve(struct drm_exec *exec)
{
	struct drm_gem_object *gem;
	int ret;

	drm_exec_for_each_locked_object(exec, gem) {
		ret = dma_resv_reserve_fences(gem->resv, 4);
		if (ret)
			return ret;
	}
	return 0;
}

static int drover_submit_dependencies(struct drover_submission *sub)
{
	struct drm_sched_job *job = &sub->job->base;
	u32 i;
	int ret = 0;

	if (sub->vm->is_longrun)
		return 0;

	for (i = 0; !ret && i < sub->args->num_in_syncs; i++)
		ret = drm_sched_job_add_dependency(job, dma_fence_get(sub->in_syncs[i].fence));
	for (i = 0; !ret && i < sub->args->num_buffers; i++) {
		ret = drm_sched_job_add_implicit_dependencies(job, sub->listed[i].gem,
							      sub->listed[i].flags &
							      DRM_DROVER_BUFFER_WRITE);
		if (!ret && signal_pending(current))
			ret = -ERESTARTSYS;
	}
	return ret;
}

static void drover_submit_add_fence(struct drover_submission *sub, struct drm_exec *exec,
				    struct dma_fence *fence)
{
	enum dma_resv_usage usage;
	u32 i;

	if (sub->vm->drover->fence_mode_job)
		drm_gpuvm_resv_add_fence(&sub->vm->base, exec, fence,
					 DMA_RESV_USAGE_BOOKKEEP, DMA_RESV_USAGE_BOOKKEEP);
	else
		dma_resv_add_fence(drm_gpuvm_resv(&sub->vm->base), fence,
				   DMA_RESV_USAGE_BOOKKEEP);
	for (i = 0; i < sub->args->num_buffers; i++) {
		usage = sub->listed[i].flags & DRM_DROVER_BUFFER_WRITE ?
			DMA_RESV_USAGE_WRITE : DMA_RESV_USAGE_READ;
		dma_resv_add_fence(sub->listed[i].gem->resv, fence, usage);
	}
}

static void drover_submit_touch_lru(struct drover_vm *vm, struct drm_exec *exec)
{
	struct drm_gem_object *gem;

	spin_lock(&vm->drover->ttm.lru_lock);
	ttm_lru_bulk_move_tail(&vm->bulk);
	drm_exec_for_each_locked_object(exec, gem) {
		if (drover_is_bo(gem) && !gem_to_drover_bo(gem)->vm)
			ttm_bo_move_to_lru_tail(&gem_to_drover_bo(gem)->ttm);
	}
	spin_unlock(&vm->drover->ttm.lru_lock);
}

static void drover_sync_signal(struct drover_sync *sync, struct dma_fence *fence)
{
	if (sync->chain) {
		drm_syncobj_add_point(sync->syncobj, sync->chain, fence, sync->point);
		sync->chain = NULL;
	} else {
		drm_syncobj_replace_fence(sync->syncobj, fence);
	}
}

/*
 * The point of no return: everything is reachable, reserved and allocated.
 * -EAGAIN if the gate is closed, and can't be opened with what is locked so far.
 */
static int drover_submit_push(struct drover_submission *sub, struct drm_exec *exec, bool resume)
{
	struct drover_vm *vm = sub->vm;
	struct drover_job *job = sub->job;
	struct dma_fence *fence;
	u32 i;
	int ret;

	mutex_lock(&vm->gate);
	ret = drover_vm_usable(vm);
	if (!ret && !(resume ? drover_gate_open(vm) : drover_gate_is_open(vm)))
		ret = -EAGAIN;
	if (ret) {
		mutex_unlock(&vm->gate);
		return ret;
	}

	if (vm->is_longrun) {
		sub->job = NULL;
		vm->stats.submitted++;
		drover_longrun_submit(vm, job);
		mutex_unlock(&vm->gate);
		drover_submit_touch_lru(vm, exec);
		return 0;
	}

	drm_sched_job_arm(&job->base);
	fence = drover_fence_init(sub->fence, vm->fence_context, ++vm->fence_seqno);
	sub->fence = NULL;
	sub->job = NULL;
	job->fence = dma_fence_get(fence);
	drover_submit_add_fence(sub, exec, fence);
	dma_fence_put(vm->last_job);
	vm->last_job = dma_fence_get(fence);
	vm->stats.submitted++;
	WRITE_ONCE(vm->last_submit, jiffies);
	drm_sched_entity_push_job(&job->base);
	mutex_unlock(&vm->gate);

	drover_submit_touch_lru(vm, exec);
	for (i = 0; i < sub->args->num_out_syncs; i++)
		drover_sync_signal(&sub->out_syncs[i], fence);
	trace_drover_submit(vm->drover->index, vm->id, fence->seqno,
			    sub->args->num_commands, sub->args->num_buffers);
	dma_fence_put(fence);
	return 0;
}

static int drover_submit_finish(struct drover_submission *sub, struct drm_exec *exec,
				bool resume)
{
	int ret;

	ret = drover_exec_reserve(exec);
	if (!ret)
		ret = drover_submit_dependencies(sub);
	if (!ret)
		ret = drover_submit_push(sub, exec, resume);
	return ret;
}

static void drover_submit_init_exec(struct drover_submission *sub, struct drm_exec *exec)
{
	drm_exec_init(exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES,
		      sub->args->num_buffers);
}

/* The gate is open, most of the time. */
static int drover_submit_fast(struct drover_submission *sub)
{
	struct drm_exec exec;
	int ret = 0;

	drover_submit_init_exec(sub, &exec);
	drm_exec_until_all_locked(&exec) {
		ret = drover_submit_lock(sub, &exec);
		drm_exec_retry_on_contention(&exec);
		if (ret)
			break;
	}
	if (!ret)
		ret = drover_submit_finish(sub, &exec, false);
	drm_exec_fini(&exec);
	return ret;
}

/*
 * Something is unarmed. What is locked stays locked until the job is pushed; if
 * more is wanted by then, it is locked as well, so in the end nobody is left who
 * could want something.
 */
static int drover_submit_resume(void *data, bool evict_own)
{
	struct drover_submission *sub = data;
	struct drm_exec exec;
	int ret = 0, passes = 0;

	drover_submit_init_exec(sub, &exec);
	drm_exec_until_all_locked(&exec) {
		ret = drover_submit_lock(sub, &exec);
		drm_exec_retry_on_contention(&exec);
		if (!ret && !sub->vm->is_longrun && !drover_vm_is_drained(sub->vm))
			ret = -EINPROGRESS;
		if (ret)
			break;
		do {
			ret = drover_vm_validate(sub->vm, &exec, evict_own);
			drm_exec_retry_on_contention(&exec);
			if (!ret)
				ret = drover_submit_finish(sub, &exec, true);
		} while (ret == -EAGAIN && ++passes < DROVER_RESUME_PASSES);
		if (ret == -EAGAIN)
			ret = -ENOMEM;
		if (ret)
			break;
	}
	drm_exec_fini(&exec);
	return ret;
}

static int drover_submit_run(struct drover_submission *sub)
{
	int ret;

	do {
		ret = drover_submit_fast(sub);
		if (ret != -EAGAIN)
			break;
		/* The long wait comes before locks are taken that others want, too. */
		ret = sub->vm->is_longrun ? 0 : drover_vm_drain(sub->vm, true);
		if (!ret)
			ret = drover_make_room(drover_submit_resume, sub);
		/* Unless somebody else resumed and submitted in between. */
	} while (ret == -EINPROGRESS);
	return ret;
}

static int drover_submit_scheduled(struct drover_submission *sub)
{
	struct drover_job *job = sub->job;
	int ret;

	ret = drm_sched_job_init(&job->base, &sub->vm->entity, 1, NULL, sub->file->client_id);
	if (ret)
		return ret;
	ret = drover_submit_run(sub);
	if (ret)
		drm_sched_job_cleanup(&job->base);
	return ret;
}

/* There is no fence that could depend on the in-fences, so they come first. */
static int drover_submit_longrun(struct drover_submission *sub)
{
	long ret;
	u32 i;

	for (i = 0; i < sub->args->num_in_syncs; i++) {
		ret = dma_fence_wait(sub->in_syncs[i].fence, true);
		if (ret)
			return ret;
	}
	return drover_submit_run(sub);
}

static bool drover_vm_take_place(struct drover_vm *vm)
{
	int jobs = atomic_read(&vm->jobs);

	do {
		if (jobs >= DROVER_MAX_JOBS)
			return false;
	} while (!atomic_try_cmpxchg(&vm->jobs, &jobs, jobs + 1));
	return true;
}

/**
 * drover_vm_close_places - let nobody begin to submit to a VM any more
 * @vm: the closed VM
 *
 * Submissions that have a place go on; drover_vm_wait_places() waits for them.
 */
void drover_vm_close_places(struct drover_vm *vm)
{
	atomic_add(DROVER_JOBS_CLOSED, &vm->jobs);
	wake_up_all(&vm->jobs_wait);
}

/**
 * drover_vm_wait_places - wait until no job and no submission is left
 * @vm: the closed VM
 */
void drover_vm_wait_places(struct drover_vm *vm)
{
	wait_event(vm->jobs_wait, atomic_read(&vm->jobs) == DROVER_JOBS_CLOSED);
}

/**
 * drover_vm_free_place - a job of a VM is gone
 * @vm: the VM
 */
void drover_vm_free_place(struct drover_vm *vm)
{
	atomic_dec(&vm->jobs);
	wake_up_all(&vm->jobs_wait);
}

/**
 * drover_submit_ioctl - DRM_IOCTL_DROVER_SUBMIT
 * @drm: the DRM device
 * @data: struct drm_drover_submit
 * @file: the caller's file
 *
 * Return: 0 or a negative errno.
 */
int drover_submit_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_drover_submit *args = data;
	struct drover_submission sub = { .file = file, .args = args };
	bool has_place = false;
	int ret;

	if (args->flags)
		return -EINVAL;
	if (args->num_commands > DROVER_MAX_COMMANDS ||
	    args->num_in_syncs > DROVER_MAX_SYNCS ||
	    args->num_out_syncs > DROVER_MAX_SYNCS ||
	    args->num_buffers > DROVER_MAX_BUFFERS)
		return -E2BIG;

	sub.vm = drover_vm_lookup(file, args->vm_id);
	if (!sub.vm)
		return -ENOENT;

	if (sub.vm->is_longrun && (args->num_out_syncs || args->num_buffers)) {
		ret = -EINVAL;
		goto out_free;
	}

	ret = drover_submit_collect(&sub);
	if (ret)
		goto out_free;

	ret = wait_event_interruptible(sub.vm->jobs_wait, READ_ONCE(sub.vm->closed) ||
				       READ_ONCE(sub.vm->lost) ||
				       (has_place = drover_vm_take_place(sub.vm)));
	if (!ret && !has_place)
		ret = READ_ONCE(sub.vm->closed) ? -ENOENT : -ECANCELED;
	if (ret)
		goto out_free;

	ret = sub.vm->is_longrun ? drover_submit_longrun(&sub) : drover_submit_scheduled(&sub);
	if (ret)
		drover_vm_free_place(sub.vm);

out_free:
	drover_submit_free(&sub);
	drm_gpuvm_put(&sub.vm->base);
	return ret;
}

/* The scheduler's side. */

static struct dma_fence *drover_run_job(struct drm_sched_job *base)
{
	struct drover_job *job = container_of(base, struct drover_job, base);
	struct dma_fence *fence = dma_fence_get(job->fence);

	drover_engine_run(&job->vm->engine, job);
	return fence;
}

/*
 * A job that runs out of time, the engine's time, loses its VM. The engine gives up at the next
 * page, so the rest of the queue ends at once.
 */
static enum drm_gpu_sched_stat drover_timedout_job(struct drm_sched_job *base)
{
	struct drover_job *job = container_of(base, struct drover_job, base);
	struct drover_vm *vm = job->vm;
	bool cookie;

	/*
	 * Done at the last moment, and the next job may be running already; or the
	 * engine had too little of a busy processor.
	 */
	if (dma_fence_is_signaled(job->fence) ||
	    READ_ONCE(job->worked) < DROVER_JOB_TIMEOUT_MS * NSEC_PER_MSEC)
		return drover_sched_false_timeout(base);

	drm_dbg(&vm->drover->drm, "vm %u of pid %d lost: a job took more than %d ms\n",
		vm->id, vm->client->pid, DROVER_JOB_TIMEOUT_MS);
	cookie = dma_fence_begin_signalling();
	WRITE_ONCE(job->timed_out, true);
	drover_vm_lose(vm, ETIME);
	drover_engine_wait_idle(&vm->engine);
	drm_sched_stop(&vm->sched, base);
	drover_sched_start(&vm->sched);
	dma_fence_end_signalling(cookie);
	return DRM_GPU_SCHED_STAT_RESET;
}

/* Takes no lock but the wait queue's, and drops no reference but the fence's. */
static void drover_free_job(struct drm_sched_job *base)
{
	struct drover_job *job = container_of(base, struct drover_job, base);
	struct drover_vm *vm = job->vm;

	drm_sched_job_cleanup(base);
	dma_fence_put(job->fence);
	kvfree(job->commands);
	kfree(job);
	drover_vm_free_place(vm);
}

static const struct drm_sched_backend_ops drover_sched_ops = {
	.run_job = drover_run_job,
	.timedout_job = drover_timedout_job,
	.free_job = drover_free_job,
};

/**
 * drover_sched_start_vm - make the queue and the engine of a new VM
 * @vm: the VM
 *
 * Return: 0 or a negative errno, with nothing left behind.
 */
int drover_sched_start_vm(struct drover_vm *vm)
{
	struct drm_gpu_scheduler *sched = &vm->sched;
	struct drm_sched_init_args args = {
		.ops = &drover_sched_ops,
		.timeout_wq = vm->drover->timeout_wq,
		.num_rqs = DRM_SCHED_PRIORITY_COUNT,
		.credit_limit = 1,
		.timeout = msecs_to_jiffies(DROVER_JOB_TIMEOUT_MS),
		.name = "drover-vm",
		.dev = vm->drover->drm.dev,
	};
	int ret;

	if (vm->is_longrun)
		return drover_longrun_start(vm);

	vm->fence_context = dma_fence_context_alloc(1);

	vm->submit_wq = alloc_ordered_workqueue("drover-submit", WQ_MEM_RECLAIM);
	if (!vm->submit_wq)
		return -ENOMEM;
	args.submit_wq = vm->submit_wq;

	ret = drover_engine_start(&vm->engine, drover_engine_thread, &vm->engine,
				  vm->drover->index);
	if (ret)
		goto err_wq;
	ret = drover_sched_init(sched, &args);
	if (ret)
		goto err_engine;
	ret = drm_sched_entity_init(&vm->entity, DRM_SCHED_PRIORITY_NORMAL, &sched, 1, NULL);
	if (ret)
		goto err_sched;
	return 0;

err_sched:
	drm_sched_fini(sched);
err_engine:
	drover_engine_stop(&vm->engine);
err_wq:
	destroy_workqueue(vm->submit_wq);
	return ret;
}

/**
 * drover_sched_stop_vm - wait for the jobs of a closed VM and end its engine
 * @vm: the VM, to which nothing can be submitted any more
 */
void drover_sched_stop_vm(struct drover_vm *vm)
{
	if (vm->is_longrun) {
		drover_longrun_stop(vm);
		return;
	}

	drover_vm_wait_places(vm);
	drm_sched_entity_destroy(&vm->entity);
	drm_sched_fini(&vm->sched);
	drover_engine_stop(&vm->engine);
	destroy_workqueue(vm->submit_wq);
}
