// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The kernel engine: what runs a job's commands.
 */

#include <linux/delay.h>
#include <linux/dma-direct.h>
#include <linux/kthread.h>
#include <linux/slab.h>

#include "drover_drv.h"

/**
 * DOC: the kernel engine
 *
 * One thread per VM, made with the VM, that runs one job at a time. It reaches
 * memory through the page table entries of the VM's pairs and through nothing
 * else, so a missing invalidation shows up as wrong data or as a page fault.
 * Before each page it looks whether it has to stop: the VM was lost or, if it is
 * a long-running one, is preempted.
 *
 * It holds no lock while it works. The tree of mappings changes only while
 * the VM is drained, and entries only while their pair isn't present.
 *
 * Everything between taking a job and signalling its fence is part of the fence
 * signalling path: no memory is allocated there.
 */

/* How a range of GPU addresses is walked. */
struct drover_access {
	struct drover_job *job;
	u64 address;
	bool write;
	struct drm_gpuva *va;
	u32 *ptr;
};

/* What ended a job: a fault and a failed check are the job's own. */
static int drover_engine_fault(struct drover_access *access)
{
	struct drover_vm *vm = access->job->vm;

	mutex_lock(&vm->gate);
	if (!vm->lost)
		vm->stats.fault_address = access->address;
	drover_vm_lose_locked(vm, EFAULT);
	mutex_unlock(&vm->gate);
	return -EFAULT;
}

static void *drover_engine_address(struct drover_vm *vm, u64 pte)
{
	struct drover_device *drover = vm->drover;
	u64 address = pte & PAGE_MASK;
	phys_addr_t phys;

	if (pte & DROVER_PTE_VRAM)
		return drover->vram.vaddr + address;

	phys = dma_to_phys(drover->drm.dev, address);
	return pfn_valid(PHYS_PFN(phys)) ? phys_to_virt(phys) : NULL;
}

/*
 * Makes access->ptr point to access->address, which must not be used beyond
 * the end of the page.
 */
static int drover_engine_translate(struct drover_access *access)
{
	struct drover_vm *vm = access->job->vm;
	struct drm_gpuva *va = access->va;
	struct drover_pair *pair;
	void *page;
	u64 pte;

	if (!va || access->address < va->va.addr ||
	    access->address - va->va.addr >= va->va.range) {
		va = drm_gpuva_find_first(&vm->base, access->address, 1);
		access->va = va;
	}
	if (!va || (access->write && to_drover_va(va)->readonly))
		return drover_engine_fault(access);

	pair = to_drover_pair(va->vm_bo);
	if (!READ_ONCE(pair->present))
		return drover_engine_fault(access);
	pte = pair->ptes[(va->gem.offset + access->address - va->va.addr) >> PAGE_SHIFT];
	page = pte & DROVER_PTE_VALID ? drover_engine_address(vm, pte) : NULL;
	if (!page)
		return drover_engine_fault(access);

	access->ptr = page + offset_in_page(access->address);
	return 0;
}

/*
 * A page takes microseconds. Longer than this, and the CPU was somewhere else,
 * which isn't the job's fault: engines have no processor of their own.
 */
#define DROVER_MAX_STEP_NS	NSEC_PER_MSEC

/* Counts the time that the engine has worked on a job, see drover_timedout_job(). */
static void drover_engine_count(struct drover_job *job, u64 max_step)
{
	u64 now = ktime_get_ns();

	WRITE_ONCE(job->worked, job->worked + min(now - job->step, max_step));
	job->step = now;
}

static int drover_engine_check_stop(struct drover_job *job)
{
	struct drover_vm *vm = job->vm;

	/* Pairs with drover_vm_lose(): whose time-out it was is known by then. */
	if (smp_load_acquire(&vm->lost))
		return READ_ONCE(job->timed_out) ? -ETIME : -ECANCELED;
	/* Preempted: goes on later from where it is. */
	if (READ_ONCE(vm->longrun.preempt))
		return -EAGAIN;
	cond_resched();
	return 0;
}

static int drover_op_check(struct drover_job *job, const u32 *src, u64 address,
			   u32 value, u32 step, u32 count)
{
	struct drover_vm *vm = job->vm;
	u32 i, found;

	for (i = 0; i < count; i++, value += step) {
		found = READ_ONCE(src[i]);
		if (found == value)
			continue;
		mutex_lock(&vm->gate);
		vm->stats.failed_checks++;
		vm->stats.check_address = address + i * sizeof(u32);
		vm->stats.check_found = found;
		vm->stats.check_expected = value;
		mutex_unlock(&vm->gate);
		return -EILSEQ;
	}
	return 0;
}

/* One piece of a command: at most a page, contiguous for every operand. */
static int drover_op_piece(struct drover_job *job, const struct drm_drover_command *command,
			   struct drover_access *dst, struct drover_access *src,
			   struct drover_access *src2, u32 value, u32 count)
{
	u32 i;

	switch (command->opcode) {
	case DRM_DROVER_OP_FILL:
		for (i = 0; i < count; i++)
			dst->ptr[i] = value + i * command->step;
		return 0;
	case DRM_DROVER_OP_COPY:
		memcpy(dst->ptr, src->ptr, count * sizeof(u32));
		return 0;
	case DRM_DROVER_OP_ADD:
		for (i = 0; i < count; i++)
			dst->ptr[i] = src->ptr[i] + src2->ptr[i];
		return 0;
	default:
		return drover_op_check(job, src->ptr, src->address, value, command->step, count);
	}
}

static int drover_access_prepare(struct drover_access *access, u64 *bytes)
{
	int ret;

	ret = drover_engine_translate(access);
	if (!ret)
		*bytes = min_t(u64, *bytes, PAGE_SIZE - offset_in_page(access->address));
	return ret;
}

static int drover_op_memory(struct drover_job *job, const struct drm_drover_command *command)
{
	u64 done = job->offset;
	struct drover_access dst = { .job = job, .address = command->dst + done, .write = true };
	struct drover_access src = { .job = job, .address = command->src + done };
	struct drover_access src2 = { .job = job, .address = command->src2 + done };
	bool has_dst = command->opcode != DRM_DROVER_OP_CHECK;
	bool has_src = command->opcode != DRM_DROVER_OP_FILL;
	bool has_src2 = command->opcode == DRM_DROVER_OP_ADD;
	u32 value = command->value + command->step * (u32)(done / sizeof(u32));
	u64 bytes;
	int ret;

	while (done < command->size) {
		bytes = command->size - done;
		drover_engine_count(job, DROVER_MAX_STEP_NS);
		ret = drover_engine_check_stop(job);
		if (!ret && has_dst)
			ret = drover_access_prepare(&dst, &bytes);
		if (!ret && has_src)
			ret = drover_access_prepare(&src, &bytes);
		if (!ret && has_src2)
			ret = drover_access_prepare(&src2, &bytes);
		if (!ret)
			ret = drover_op_piece(job, command, &dst, &src, &src2, value,
					      bytes / sizeof(u32));
		if (ret) {
			job->offset = done;
			return ret;
		}

		dst.address += bytes;
		src.address += bytes;
		src2.address += bytes;
		value += command->step * (u32)(bytes / sizeof(u32));
		done += bytes;
	}
	return 0;
}

static int drover_op_spin(struct drover_job *job, u64 duration_us)
{
	ktime_t start = ktime_get(), end = ktime_add_us(start, duration_us - job->offset);
	int ret = 0;

	while (!ret && ktime_before(ktime_get(), end)) {
		usleep_range(50, 100);
		drover_engine_count(job, U64_MAX);
		ret = drover_engine_check_stop(job);
	}
	job->offset += ktime_us_delta(ktime_get(), start);
	return ret;
}

/**
 * drover_engine_run_command - run one command
 * @job: the job that it is of
 * @command: the command
 *
 * Part of the fence signalling path.
 *
 * Return: 0; -EAGAIN if it was preempted and has to be run again, which goes on
 * from there; or a negative errno for the job's fence.
 */
int drover_engine_run_command(struct drover_job *job, const struct drm_drover_command *command)
{
	int ret = drover_engine_check_stop(job);

	if (!ret && command->opcode == DRM_DROVER_OP_SPIN)
		ret = drover_op_spin(job, command->size);
	else if (!ret)
		ret = drover_op_memory(job, command);
	if (!ret)
		job->offset = 0;
	return ret;
}

static int drover_job_run_commands(struct drover_job *job)
{
	u32 i;
	int ret;

	ret = drover_engine_check_stop(job);
	for (i = 0; !ret && i < job->num_commands; i++)
		ret = drover_engine_run_command(job, &job->commands[i]);
	return ret;
}

static bool drover_addresses_ok(u64 address, u64 size, bool used)
{
	if (!used)
		return !address;
	return IS_ALIGNED(address, sizeof(u32)) && address <= U64_MAX - size;
}

/**
 * drover_command_check - is a command from userspace well formed?
 * @command: the command
 * @is_longrun: it is for a long-running VM
 * @is_last: it is the job's last one, and not its first
 *
 * Addresses aren't looked up: what isn't mapped is a GPU page fault.
 *
 * Return: 0 or -EINVAL.
 */
int drover_command_check(const struct drm_drover_command *command, bool is_longrun, bool is_last)
{
	u64 max_spin = is_longrun ? DROVER_MAX_LONGRUN_SPIN_US : DROVER_MAX_SPIN_US;
	bool loop = command->opcode == DRM_DROVER_OP_LOOP;
	bool fill = command->opcode == DRM_DROVER_OP_FILL;
	bool copy = command->opcode == DRM_DROVER_OP_COPY;
	bool add = command->opcode == DRM_DROVER_OP_ADD;
	bool check = command->opcode == DRM_DROVER_OP_CHECK;

	if (command->opcode > DRM_DROVER_OP_LOOP || command->flags)
		return -EINVAL;
	if (loop && !(is_longrun && is_last))
		return -EINVAL;
	if (command->opcode == DRM_DROVER_OP_SPIN && command->size > max_spin)
		return -EINVAL;
	if ((fill || copy || add || check) && !IS_ALIGNED(command->size, sizeof(u32)))
		return -EINVAL;
	if (!fill && !check && (command->value || command->step))
		return -EINVAL;
	if (!drover_addresses_ok(command->dst, command->size, fill || copy || add) ||
	    !drover_addresses_ok(command->src, command->size, copy || add || check) ||
	    !drover_addresses_ok(command->src2, command->size, add))
		return -EINVAL;
	if (copy && command->dst < command->src + command->size &&
	    command->src < command->dst + command->size)
		return -EINVAL;
	return 0;
}

static void drover_engine_run_job(struct drover_job *job)
{
	struct dma_fence *fence = job->fence;
	struct drover_vm *vm = job->vm;
	ktime_t start = ktime_get();
	bool cookie;
	int ret;

	job->step = ktime_to_ns(start);
	cookie = dma_fence_begin_signalling();
	ret = drover_job_run_commands(job);
	if (ret)
		dma_fence_set_error(fence, ret);

	mutex_lock(&vm->gate);
	vm->stats.completed++;
	mutex_unlock(&vm->gate);
	atomic64_add(ktime_to_ns(ktime_sub(ktime_get(), start)), &vm->client->busy_ns);

	/* The job is the scheduler's to free as soon as this is signalled. */
	dma_fence_signal(fence);
	dma_fence_end_signalling(cookie);
}

/**
 * drover_engine_thread - the engine of a VM whose jobs have an end
 * @data: struct drover_engine
 *
 * Return: 0.
 */
int drover_engine_thread(void *data)
{
	struct drover_engine *engine = data;

	while (!kthread_should_stop()) {
		struct drover_job *job;
		struct dma_fence *fence;

		wait_event_idle(engine->wait, kthread_should_stop() ||
				READ_ONCE(engine->job));
		/* Pairs with drover_engine_run(). */
		job = smp_load_acquire(&engine->job);
		if (!job)
			continue;

		fence = dma_fence_get(job->fence);
		drover_engine_run_job(job);
		dma_fence_put(fence);
		/* Pairs with whoever waits until the engine is idle. */
		smp_store_release(&engine->job, NULL);
		wake_up_all(&engine->wait);
	}
	return 0;
}

/**
 * drover_engine_start - make the engine of a new VM
 * @engine: the engine
 * @thread: what it runs
 * @data: its argument
 * @device: for the thread's name
 *
 * Return: 0 or a negative errno.
 */
int drover_engine_start(struct drover_engine *engine, int (*thread)(void *data), void *data,
			u32 device)
{
	struct task_struct *task;

	init_waitqueue_head(&engine->wait);
	task = kthread_run(thread, data, "drover-engine/%u", device);
	if (IS_ERR(task))
		return PTR_ERR(task);
	engine->thread = task;
	return 0;
}

/**
 * drover_engine_stop - end an engine without a job
 * @engine: the engine
 */
void drover_engine_stop(struct drover_engine *engine)
{
	kthread_stop(engine->thread);
}

/**
 * drover_engine_run - start a job
 * @engine: the engine, without a job
 * @job: what to run; must live until its fence is signalled
 */
void drover_engine_run(struct drover_engine *engine, struct drover_job *job)
{
	/* The last job's fence is signalled a moment before its place is free. */
	wait_event_idle(engine->wait, !READ_ONCE(engine->job));
	/* Pairs with drover_engine_thread(). */
	smp_store_release(&engine->job, job);
	wake_up_all(&engine->wait);
}

/**
 * drover_engine_wait_idle - wait until the running job, if any, has ended
 * @engine: the engine, of a lost VM
 */
void drover_engine_wait_idle(struct drover_engine *engine)
{
	wait_event_idle(engine->wait, !READ_ONCE(engine->job));
}
