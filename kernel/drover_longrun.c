// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Long-running VMs: jobs that may have no end, and so no fence.
 */

#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/kthread.h>
#include <linux/slab.h>

#include <drm/drm_exec.h>

#include "drover_drv.h"
#include "drover_trace.h"

/**
 * DOC: long-running VMs
 *
 * The jobs of a long-running VM don't pass through the scheduler: the VM's
 * engine takes them from a list, one after the other, and a job may go on for
 * ever. So draining is done by preemption: at the next page, or within a SPIN,
 * the engine stops, and the job goes on from there later.
 *
 * Beside the pairs' working-set fences there is one for the VM's private BOs, in
 * the VM's own reservation object.
 *
 * Nobody submits again when a VM was suspended, so a restore worker resumes it:
 * it validates what was evicted and opens the gate. A resumed VM runs for
 * min_run_ms before the next request to suspend is honoured: two working sets
 * that don't fit together run in turns.
 *
 * &drover_vm.longrun is protected by the gate. Should the engine not stop within
 * the time that a job may take elsewhere, the VM is lost.
 */

/* A restore that finds no memory is tried again; the last try gives up the VM. */
#define DROVER_RESTORE_TRIES	20
#define DROVER_RESTORE_DELAY	msecs_to_jiffies(20)

/* Whether the engine may take up work. */
static bool drover_longrun_may_run(struct drover_vm *vm)
{
	lockdep_assert_held(&vm->gate);

	return vm->longrun.open && !vm->longrun.preempt && !vm->closed && !vm->lost &&
	       !list_empty(&vm->longrun.jobs);
}

static void drover_longrun_update(struct drover_vm *vm)
{
	WRITE_ONCE(vm->longrun.go, drover_longrun_may_run(vm));
	wake_up_all(&vm->engine.wait);
}

/* Goes to the next command; returns whether there is one. */
static bool drover_longrun_advance(struct drover_job *job)
{
	const struct drm_drover_command *command;

	if (++job->next == job->num_commands)
		return false;

	command = &job->commands[job->next];
	if (command->opcode != DRM_DROVER_OP_LOOP)
		return true;
	if (command->size && ++job->loops > command->size)
		return false;
	job->next = 0;
	return true;
}

/* Runs until it is preempted or done; returns whether it is done. */
static bool drover_longrun_run(struct drover_vm *vm, struct drover_job *job)
{
	ktime_t start = ktime_get(), now;
	bool done = !job->num_commands;
	int ret = 0;

	while (!done && !ret) {
		ret = drover_engine_run_command(job, &job->commands[job->next]);
		if (!ret) {
			atomic64_inc(&vm->longrun.commands);
			done = !drover_longrun_advance(job);
		}
		now = ktime_get();
		atomic64_add(ktime_to_ns(ktime_sub(now, start)), &vm->client->busy_ns);
		start = now;
	}
	return done || ret != -EAGAIN;
}

static void drover_longrun_end_turn(struct drover_vm *vm, struct drover_job *job, bool done)
{
	mutex_lock(&vm->gate);
	WRITE_ONCE(vm->longrun.running, false);
	if (done) {
		list_del(&job->link);
		vm->stats.completed++;
	}
	if (vm->longrun.preempt) {
		vm->longrun.open = false;
		vm->stats.preemptions++;
		mod_delayed_work(vm->drover->gate_wq, &vm->suspend_work, 0);
		/* Whoever asked may have given up waiting. */
		drover_longrun_restore(vm);
	}
	drover_longrun_update(vm);
	mutex_unlock(&vm->gate);
}

static void drover_longrun_free_job(struct drover_vm *vm, struct drover_job *job)
{
	kvfree(job->commands);
	kfree(job);
	drover_vm_free_place(vm);
}

static void drover_longrun_turn(struct drover_vm *vm)
{
	struct drover_job *job = NULL;
	bool cookie, done;

	/* Whoever waits for the gate waits for the end of the turn. */
	cookie = dma_fence_begin_signalling();
	mutex_lock(&vm->gate);
	if (drover_longrun_may_run(vm)) {
		job = list_first_entry(&vm->longrun.jobs, struct drover_job, link);
		WRITE_ONCE(vm->longrun.running, true);
	} else {
		WRITE_ONCE(vm->longrun.go, false);
	}
	mutex_unlock(&vm->gate);

	done = job && drover_longrun_run(vm, job);
	if (job)
		drover_longrun_end_turn(vm, job, done);
	dma_fence_end_signalling(cookie);

	if (done)
		drover_longrun_free_job(vm, job);
}

static int drover_longrun_thread(void *data)
{
	struct drover_vm *vm = data;

	while (!kthread_should_stop()) {
		wait_event_idle(vm->engine.wait, kthread_should_stop() ||
				READ_ONCE(vm->longrun.go));
		if (!kthread_should_stop())
			drover_longrun_turn(vm);
	}
	return 0;
}

/**
 * drover_longrun_submit - append a job
 * @vm: the VM; its gate must be held
 * @job: the job; taken over
 */
void drover_longrun_submit(struct drover_vm *vm, struct drover_job *job)
{
	lockdep_assert_held(&vm->gate);

	list_add_tail(&job->link, &vm->longrun.jobs);
	drover_longrun_update(vm);
	if (!vm->longrun.open)
		mod_delayed_work(drover_wq, &vm->longrun.restore_work, 0);
}

/**
 * drover_longrun_check_drained - is the engine stopped? If not, stop it
 * @vm: the VM, with its gate closing; its gate must be held
 *
 * Return: true if no job runs and none will; false if drover_vm.suspend_work
 * will be run again when that is so.
 */
bool drover_longrun_check_drained(struct drover_vm *vm)
{
	unsigned long now = jiffies, until = vm->longrun.opened + vm->drover->min_run;

	lockdep_assert_held(&vm->gate);

	if (vm->longrun.open && !list_empty(&vm->longrun.jobs) && !vm->closed &&
	    time_before(now, until)) {
		mod_delayed_work(vm->drover->gate_wq, &vm->suspend_work, until - now);
		return false;
	}
	if (!vm->longrun.preempt) {
		WRITE_ONCE(vm->longrun.preempt, true);
		vm->longrun.preempted = now;
	}
	if (!vm->longrun.running) {
		vm->longrun.open = false;
		return true;
	}

	until = vm->longrun.preempted + msecs_to_jiffies(DROVER_JOB_TIMEOUT_MS);
	if (time_before(now, until)) {
		mod_delayed_work(vm->drover->gate_wq, &vm->suspend_work, until - now);
	} else if (!vm->lost) {
		drm_dbg(&vm->drover->drm, "vm %u of pid %d lost: not preempted within %d ms\n",
			vm->id, vm->client->pid, DROVER_JOB_TIMEOUT_MS);
		drover_vm_lose_locked(vm, ETIME);
	}
	return false;
}

/**
 * drover_longrun_drain - preempt a VM, and let it be restored later
 * @vm: the VM
 * @interruptible: a signal ends the wait
 *
 * The restore takes the VM's reservation lock, so it comes after whatever the
 * caller does under it.
 *
 * Return: 0 or -ERESTARTSYS.
 */
int drover_longrun_drain(struct drover_vm *vm, bool interruptible)
{
	int ret = 0;

	mutex_lock(&vm->gate);
	if (!vm->longrun.preempt) {
		WRITE_ONCE(vm->longrun.preempt, true);
		vm->longrun.preempted = jiffies;
	}
	mutex_unlock(&vm->gate);

	/* No turn begins while preemption is asked for. */
	if (interruptible)
		ret = wait_event_interruptible(vm->engine.wait,
					       !READ_ONCE(vm->longrun.running));
	else
		wait_event(vm->engine.wait, !READ_ONCE(vm->longrun.running));

	mutex_lock(&vm->gate);
	if (!vm->longrun.running)
		vm->longrun.open = false;
	mutex_unlock(&vm->gate);
	drover_longrun_restore(vm);
	return ret;
}

/**
 * drover_longrun_opened - the gate is open
 * @vm: the VM; its gate must be held
 */
void drover_longrun_opened(struct drover_vm *vm)
{
	lockdep_assert_held(&vm->gate);

	vm->longrun.open = true;
	vm->longrun.opened = jiffies;
	WRITE_ONCE(vm->last_submit, jiffies);
	vm->longrun.tries = 0;
	WRITE_ONCE(vm->longrun.preempt, false);
	drover_longrun_update(vm);
}

/**
 * drover_longrun_restore - have a suspended VM resumed
 * @vm: the VM
 */
void drover_longrun_restore(struct drover_vm *vm)
{
	if (!READ_ONCE(vm->closed))
		mod_delayed_work(drover_wq, &vm->longrun.restore_work, 0);
}

static int drover_longrun_open_gate(struct drover_vm *vm)
{
	int ret;

	mutex_lock(&vm->gate);
	ret = drover_vm_usable(vm);
	if (!ret && !drover_gate_open(vm))
		ret = -EAGAIN;
	mutex_unlock(&vm->gate);
	return ret;
}

static int drover_longrun_try_restore(void *data, bool evict_own)
{
	struct drover_vm *vm = data;
	struct drm_exec exec;
	int ret, passes = 0;

	drm_exec_init(&exec, DRM_EXEC_IGNORE_DUPLICATES, 0);
	drm_exec_until_all_locked(&exec) {
		ret = drm_gpuvm_prepare_vm(&vm->base, &exec, 0);
		drm_exec_retry_on_contention(&exec);
		if (ret)
			break;
		do {
			ret = drover_vm_validate(vm, &exec, evict_own);
			drm_exec_retry_on_contention(&exec);
			if (!ret)
				ret = drover_exec_reserve(&exec);
			if (!ret)
				ret = drover_longrun_open_gate(vm);
		} while (ret == -EAGAIN && ++passes < DROVER_RESUME_PASSES);
		if (ret == -EAGAIN)
			ret = -ENOMEM;
		if (ret)
			break;
	}
	drm_exec_fini(&exec);
	return ret;
}

static bool drover_longrun_needs_restore(struct drover_vm *vm)
{
	bool needed;

	mutex_lock(&vm->gate);
	needed = !vm->longrun.open && !list_empty(&vm->longrun.jobs) && !drover_vm_usable(vm);
	mutex_unlock(&vm->gate);
	return needed;
}

static void drover_longrun_restore_work(struct work_struct *work)
{
	struct drover_vm *vm = container_of(to_delayed_work(work), struct drover_vm,
					    longrun.restore_work);
	int idx, ret;

	if (!drover_longrun_needs_restore(vm) || !drm_dev_enter(&vm->drover->drm, &idx))
		return;
	ret = drover_make_room(drover_longrun_try_restore, vm);
	drm_dev_exit(idx);
	if (!ret || ret == -ECANCELED || ret == -ENOENT)
		return;

	if (++vm->longrun.tries < DROVER_RESTORE_TRIES) {
		mod_delayed_work(drover_wq, &vm->longrun.restore_work, DROVER_RESTORE_DELAY);
	} else {
		drm_dbg(&vm->drover->drm, "vm %u of pid %d lost: its working set can't be restored: %d\n",
			vm->id, vm->client->pid, ret);
		drover_vm_lose(vm, -ret);
	}
}

/**
 * drover_longrun_start - make the engine of a new long-running VM
 * @vm: the VM
 *
 * Return: 0 or a negative errno.
 */
int drover_longrun_start(struct drover_vm *vm)
{
	INIT_LIST_HEAD(&vm->longrun.jobs);
	INIT_DELAYED_WORK(&vm->longrun.restore_work, drover_longrun_restore_work);
	vm->fence_context = dma_fence_context_alloc(1);
	return drover_engine_start(&vm->engine, drover_longrun_thread, vm, vm->drover->index);
}

/**
 * drover_longrun_stop - end the engine of a closed long-running VM, and its jobs
 * @vm: the VM
 */
void drover_longrun_stop(struct drover_vm *vm)
{
	struct drover_job *job, *next;

	disable_delayed_work_sync(&vm->longrun.restore_work);
	drover_longrun_drain(vm, false);
	drover_engine_stop(&vm->engine);
	list_for_each_entry_safe(job, next, &vm->longrun.jobs, link) {
		list_del(&job->link);
		drover_longrun_free_job(vm, job);
	}
	drover_vm_wait_places(vm);
}
