// SPDX-License-Identifier: MIT
/*
 * Jobs: what each command does, what they wait for and signal, how they fail,
 * and that a failure stays in its VM. 16 MiB of VRAM, two devices.
 */
#include "common.h"

#include <stdio.h>
#include <unistd.h>

#include <xf86drm.h>

#define SIZE  (64 * KIB)
#define WORDS (SIZE / 4)

static void fill(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM);
	uint32_t *words = bo_map(bo.bo);

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 0xfffffff0, 3)); /* wraps around */
	check_words(words, SIZE, 0xfffffff0, 3);
	/* A part that begins and ends inside of pages, and crosses one. */
	check_ok(gpu_fill(&gpu, bo.va + PAGE - 4, 12, 7, 0));
	check_words(words, PAGE - 4, 0xfffffff0, 3);
	check_words(words + PAGE / 4 - 1, 12, 7, 0);
	check_words(words + PAGE / 4 + 2, SIZE - PAGE - 8,
		    0xfffffff0 + 3u * (uint32_t)(PAGE / 4 + 2), 3);
	check_ok(
		gpu_fill(&gpu, bo.va + SIZE, 0, 7, 0)); /* nothing, at an address without mapping */
}

static void copy(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo from = gpu_bo(&gpu, SIZE, VRAM), to = gpu_bo(&gpu, SIZE, GTT);
	uint32_t *words = bo_map(to.bo);
	struct job job = job_new(&gpu);

	fill_words(bo_map(from.bo), SIZE, 100, 1);
	/* Source and destination cross their page ends at different places. */
	drover_submission_copy(job.sub, to.va + 8, from.va + 4, 3 * PAGE);
	check_ok(job_run(&job));
	check_words(words, 8, 0, 0);
	check_words(words + 2, 3 * PAGE, 101, 1);
	check_words(words + 2 + 3 * PAGE / 4, SIZE - 3 * PAGE - 8, 0, 0);
}

static void add(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo a = gpu_bo(&gpu, SIZE, VRAM), b = gpu_bo(&gpu, SIZE, VRAM),
			 sum = gpu_bo(&gpu, SIZE, VRAM);
	struct job job = job_new(&gpu);

	fill_words(bo_map(a.bo), SIZE, 0xffffff00, 1);
	fill_words(bo_map(b.bo), SIZE, 0x200, 2);
	drover_submission_add(job.sub, sum.va, a.va, b.va, SIZE);
	drover_submission_add(job.sub, a.va, a.va, b.va, SIZE / 2);         /* in place */
	drover_submission_add(job.sub, b.va + 4, sum.va, sum.va, SIZE - 4); /* one source twice */
	check_ok(job_run(&job));
	check_words(bo_map(sum.bo), SIZE, 0x100, 3);
	check_words(bo_map(a.bo), SIZE / 2, 0x100, 3);
	check_words(bo_map(a.bo) + WORDS / 2, SIZE / 2, 0xffffff00 + (uint32_t)WORDS / 2, 1);
	check_words(bo_map(b.bo) + 1, SIZE - 4, 0x200, 6);
}

static void check_passes_and_fails(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM);
	struct drm_drover_vm_info info;
	struct job job = job_new(&gpu);
	int sync_file;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1000, 5));
	check_ok(gpu_check(&gpu, bo.va, SIZE, 1000, 5));
	check_eq(vm_info(&gpu).failed_checks, 0);
	bo_map(bo.bo)[WORDS - 1] ^= 1u << 31;

	drover_submission_check(job.sub, bo.va, SIZE, 1000, 5);
	drover_submission_fill(job.sub, bo.va, 4, 77, 0); /* isn't reached */
	job_submit(&job);
	check_err(job_wait(&job), -EILSEQ);
	check_ok(drover_sync_export_sync_file(job.done, 0, &sync_file));
	check_err(drover_sync_file_status(sync_file), -EILSEQ);
	check_eq(bo_map(bo.bo)[0], 1000);

	info = vm_info(&gpu);
	check_eq(info.failed_checks, 1);
	check_eq(info.check_address, bo.va + SIZE - 4);
	check_eq(info.check_expected, 1000 + 5 * (WORDS - 1));
	check_eq(info.check_found, (1000 + 5 * (WORDS - 1)) ^ 1u << 31);
	/* The VM goes on. */
	check_eq(info.flags | info.lost_reason, 0);
	check_ok(gpu_check(&gpu, bo.va, SIZE - 4, 1000, 5));
	info = vm_info(&gpu);
	check_eq(info.submitted, 4);
	check_eq(info.completed, 4);
}

static void empty_job_signals(void)
{
	struct gpu gpu = gpu_open(0);
	struct job job = job_new(&gpu);

	check_ok(job_run(&job));
	check_eq(vm_info(&gpu).completed, 1);
}

static void spin_takes_time(void)
{
	struct gpu gpu = gpu_open(0);
	struct job job = job_new(&gpu);
	int64_t start = now_ns();

	drover_submission_spin(job.sub, 50000);
	drover_submission_spin(job.sub, 50000);
	check_ok(job_run(&job));
	check(now_ns() - start >= 100000000, "two SPINs of 50 ms took less than 100 ms");
}

/* Each job reads what the one before it wrote; only the first is held back. */
static void jobs_run_in_order(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, PAGE, VRAM);
	struct held_fence hold = fence_hold();
	struct job job[10];
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(job); i++) {
		job[i] = job_new(&gpu);
		if (!i)
			job_wait_fence(&gpu, &job[i], &hold);
		drover_submission_check(job[i].sub, bo.va, PAGE, i, 0);
		drover_submission_fill(job[i].sub, bo.va, PAGE, i + 1, 0);
		job_submit(&job[i]);
	}
	fence_release(&hold);
	for (i = 0; i < ARRAY_SIZE(job); i++)
		check_ok(job_wait(&job[i]));
	check_words(bo_map(bo.bo), PAGE, ARRAY_SIZE(job), 0);
}

static void waits_for_in_sync(void)
{
	struct gpu gpu = gpu_open(0), free_gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, PAGE, VRAM);
	struct held_fence hold = fence_hold();
	struct job job = job_new(&gpu), other = job_new(&free_gpu);

	job_wait_fence(&gpu, &job, &hold);
	drover_submission_check(job.sub, bo.va, PAGE, 5, 0);
	job_submit(&job);
	/* Another VM is held back by nothing. */
	drover_submission_spin(other.sub, 20000);
	check_ok(job_run(&other));
	check(!job_done(&job), "a job is done before the fence that it waits for");
	fill_words(bo_map(bo.bo), PAGE, 5, 0);
	fence_release(&hold);
	check_ok(job_wait(&job));
}

/* A writes, B waits for A on another device, through a sync file. */
static void syncs_cross_devices(void)
{
	struct gpu one = gpu_open(0), two = gpu_open(1);
	struct held_fence hold = fence_hold();
	struct drover_sync *imported;
	struct job first = job_new(&one), second = job_new(&two);
	int sync_file;

	job_wait_fence(&one, &first, &hold);
	drover_submission_spin(first.sub, 20000);
	job_submit(&first);
	check_ok(drover_sync_export_sync_file(first.done, 0, &sync_file));
	check_ok(drover_sync_create(two.dev, false, &imported));
	check_ok(drover_sync_import_sync_file(imported, 0, sync_file));
	drover_submission_wait(second.sub, imported, 0);
	job_submit(&second);
	sleep_ms(20);
	check(!job_done(&second), "a job is done before the job that it waits for");
	fence_release(&hold);
	check_ok(job_wait(&second));
	check(job_done(&first), "a job was done before the job that it waited for");
	check_ok(job_wait(&first));
}

static void timeline_points(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, PAGE, VRAM);
	struct held_fence hold = fence_hold();
	struct drover_sync *timeline;
	struct job job[3];
	uint64_t point;
	uint32_t i;

	check_ok(drover_sync_create(gpu.dev, false, &timeline));
	for (i = 0; i < 3; i++) {
		job[i] = job_new(&gpu);
		drover_submission_fill(job[i].sub, bo.va, PAGE, i, 0);
		drover_submission_signal(job[i].sub, timeline, 10 * (i + 1));
	}
	job_submit(&job[0]);
	check_ok(drover_sync_wait(timeline, 10, WAIT_NS, 0));
	job_wait_fence(&gpu, &job[1], &hold);
	job_submit(&job[1]);
	drover_submission_wait(job[2].sub, timeline, 20);
	job_submit(&job[2]);

	check_ok(drover_sync_query(timeline, &point));
	check_eq(point, 10);
	check_err(drover_sync_wait(timeline, 20, 0, 0), -ETIME);
	check_eq(drover_sync_status(timeline, 10), 1);
	check_eq(drover_sync_status(timeline, 30), 0);
	check_err(drover_sync_wait(timeline, 31, 0, 0), -EINVAL); /* no such point yet */
	fence_release(&hold);
	check_ok(drover_sync_wait(timeline, 30, WAIT_NS, 0));
	check_ok(drover_sync_query(timeline, &point));
	check_eq(point, 30);
	check_words(bo_map(bo.bo), PAGE, 2, 0);
	gpu_close(&other);
}

static void in_sync_without_fence_is_refused(void)
{
	struct gpu gpu = gpu_open(0);
	struct job job = job_new(&gpu);
	struct drover_sync *sync;

	check_ok(drover_sync_create(gpu.dev, false, &sync));
	drover_submission_wait(job.sub, sync, 0);
	check_err(drover_submission_submit(job.sub), -EINVAL);
	check_err(drover_sync_status(job.done, 0), -EINVAL); /* it has got no fence */
	check_eq(vm_info(&gpu).submitted, 0);

	check_ok(drover_sync_signal(sync, 3));
	drover_submission_reset(job.sub);
	drover_submission_signal(job.sub, job.done, 0);
	drover_submission_wait(job.sub, sync, 4);
	check_err(drover_submission_submit(job.sub), -EINVAL);
	check_err(drover_sync_status(job.done, 0), -EINVAL);
}

static void several_out_syncs(void)
{
	struct gpu gpu = gpu_open(0);
	struct held_fence hold = fence_hold();
	struct job job = job_new(&gpu);
	struct drover_sync *binary, *timeline;

	check_ok(drover_sync_create(gpu.dev, true, &binary)); /* its fence is replaced */
	check_ok(drover_sync_create(gpu.dev, false, &timeline));
	drover_submission_signal(job.sub, binary, 0);
	drover_submission_signal(job.sub, timeline, 1);
	job_wait_fence(&gpu, &job, &hold);
	job_submit(&job);
	check_eq(drover_sync_status(binary, 0), 0);
	fence_release(&hold);
	check_ok(drover_sync_wait(binary, 0, WAIT_NS, 0));
	check_ok(drover_sync_wait(timeline, 1, WAIT_NS, 0));
	check_ok(job_wait(&job));
}

/* Implicit sync: a reader of a listed buffer waits for its writer; who doesn't list it, doesn't. */
static void listed_buffers_are_ordered(void)
{
	struct gpu one = gpu_open(0), two = gpu_add_vm(&one);
	struct client_bo bo = gpu_bo(&one, PAGE, VRAM);
	struct held_fence hold = fence_hold();
	struct job writer = job_new(&one), reader = job_new(&two), unlisted = job_new(&two);
	uint64_t va = gpu_bind(&two, bo.bo);

	job_wait_fence(&one, &writer, &hold);
	drover_submission_fill(writer.sub, bo.va, PAGE, 4, 0);
	drover_submission_buffer(writer.sub, bo.bo, DROVER_ACCESS_WRITE);
	job_submit(&writer);

	drover_submission_check(unlisted.sub, va, PAGE, 0, 0);
	check_ok(job_run(&unlisted));

	drover_submission_check(reader.sub, va, PAGE, 4, 0);
	drover_submission_buffer(reader.sub, bo.bo, DROVER_ACCESS_READ);
	job_submit(&reader);
	sleep_ms(20);
	check(!job_done(&reader), "a reader didn't wait for the writer of a listed buffer");
	fence_release(&hold);
	check_ok(job_wait(&reader));
	check_ok(job_wait(&writer));
}

static void readers_of_listed_buffers_run_together(void)
{
	struct gpu one = gpu_open(0), two = gpu_add_vm(&one);
	struct client_bo bo = gpu_bo(&one, PAGE, VRAM);
	struct held_fence hold = fence_hold();
	struct job first = job_new(&one), second = job_new(&two), writer = job_new(&two);

	gpu_bind(&two, bo.bo);
	job_wait_fence(&one, &first, &hold);
	drover_submission_buffer(first.sub, bo.bo, DROVER_ACCESS_READ);
	job_submit(&first);
	drover_submission_buffer(second.sub, bo.bo, DROVER_ACCESS_READ);
	check_ok(job_run(&second));
	drover_submission_buffer(writer.sub, bo.bo, DROVER_ACCESS_WRITE);
	job_submit(&writer);
	sleep_ms(20);
	check(!job_done(&writer), "a writer didn't wait for the reader of a listed buffer");
	check(!job_done(&first), "a job is done before the fence that it waits for");
	fence_release(&hold);
	check_ok(job_wait(&writer));
	check_ok(job_wait(&first));
}

/* ---- Failures ---- */

/* Nothing may run in it any more, and it says why. */
static void check_lost(struct gpu *gpu, int reason)
{
	struct drm_drover_vm_info info = vm_info(gpu);

	check_eq(info.flags, DRM_DROVER_VM_LOST);
	check_eq(info.lost_reason, reason);
	check_eq(info.completed, info.submitted);
	check_err(gpu_fill(gpu, gpu->va, 0, 0, 0), -ECANCELED);
	check_eq(vm_info(gpu).submitted, info.submitted);
}

static void fault_loses_the_vm(void)
{
	static const enum drm_drover_opcode opcodes[] = {
		DRM_DROVER_OP_FILL,
		DRM_DROVER_OP_CHECK,
		DRM_DROVER_OP_COPY,
		DRM_DROVER_OP_ADD,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
		struct gpu gpu = gpu_open(0), other = gpu_add_vm(&gpu);
		struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM), good = gpu_bo(&other, SIZE, VRAM);
		struct job job = job_new(&gpu), queued = job_new(&gpu);
		uint64_t beyond = bo.va + SIZE;

		switch (opcodes[i]) {
		case DRM_DROVER_OP_FILL:
			drover_submission_fill(job.sub, beyond - PAGE, 2 * PAGE, 1, 0);
			break;
		case DRM_DROVER_OP_CHECK:
			drover_submission_check(job.sub, beyond - PAGE, 2 * PAGE, 0, 0);
			break;
		case DRM_DROVER_OP_COPY:
			drover_submission_copy(job.sub, bo.va, beyond - PAGE, 2 * PAGE);
			break;
		default:
			drover_submission_add(job.sub, bo.va, bo.va, beyond - PAGE, 2 * PAGE);
		}
		drover_submission_fill(job.sub, bo.va + PAGE, 4, 99, 0); /* isn't reached */
		drover_submission_fill(queued.sub, bo.va + PAGE, 4, 99, 0);
		{
			struct held_fence hold = fence_hold();

			job_wait_fence(&gpu, &job, &hold);
			job_submit(&job);
			job_submit(&queued);
			fence_release(&hold);
		}
		check_err(job_wait(&job), -EFAULT);
		check_err(job_wait(&queued), -ECANCELED);
		check_eq(vm_info(&gpu).fault_address, beyond);
		check_lost(&gpu, EFAULT);
		check_eq(bo_map(bo.bo)[PAGE / 4], 0);
		check_ok(gpu_fill(&other, good.va, SIZE, 2, 0));
		gpu_close(&gpu);
	}
}

static void hung_job_loses_its_vm_alone(void)
{
	struct gpu hung = gpu_open(0), same_client = gpu_add_vm(&hung), other_client = gpu_open(0),
		   other_device = gpu_open(1);
	struct gpu *others[] = {&same_client, &other_client, &other_device};
	uint64_t timeout_us = device_info(hung.dev).job_timeout_ms * 1000;
	struct client_bo bo[3], mine = gpu_bo(&hung, SIZE, VRAM);
	struct job job = job_new(&hung), queued = job_new(&hung), running[3];
	int64_t start = now_ns();
	uint32_t i;

	drover_submission_spin(job.sub, 50 * timeout_us);
	drover_submission_fill(queued.sub, mine.va, SIZE, 1, 0);
	job_submit(&job);
	job_submit(&queued);
	for (i = 0; i < 3; i++) {
		bo[i] = gpu_bo(others[i], SIZE, VRAM);
		running[i] = job_new(others[i]);
		drover_submission_spin(running[i].sub, timeout_us / 4);
		drover_submission_fill(running[i].sub, bo[i].va, SIZE, i, 1);
		job_submit(&running[i]);
	}
	for (i = 0; i < 3; i++)
		check_ok(job_wait(&running[i]));
	check_err(job_wait(&job), -ETIME);
	check(now_ns() - start >= (int64_t)timeout_us * 1000, "lost before its time was up");
	check(now_ns() - start < (int64_t)timeout_us * 40000, "lost when the SPIN ended only");
	check_err(job_wait(&queued), -ECANCELED);
	check_lost(&hung, ETIME);
	check_words(bo_map(mine.bo), SIZE, 0, 0);
	for (i = 0; i < 3; i++) {
		check_ok(gpu_check(others[i], bo[i].va, SIZE, i, 1));
		check_eq(vm_info(others[i]).flags, 0);
	}
}

/* Many short commands are no hang, however long the queue. */
static void long_queue_is_no_hang(void)
{
	struct gpu gpu = gpu_open(0);
	uint64_t timeout_us = device_info(gpu.dev).job_timeout_ms * 1000;
	struct job job[4];
	uint32_t i;

	for (i = 0; i < 4; i++) {
		job[i] = job_new(&gpu);
		drover_submission_spin(job[i].sub, timeout_us / 2);
		job_submit(&job[i]);
	}
	for (i = 0; i < 4; i++)
		check_ok(job_wait(&job[i]));
	check_eq(vm_info(&gpu).flags, 0);
}

/* What a lost VM had bound can be used on by others, and be moved. */
static void memory_of_a_lost_vm(void)
{
	struct gpu lost = gpu_open(0), other = gpu_add_vm(&lost);
	struct client_bo bo = gpu_bo(&lost, SIZE, VRAM);
	uint64_t va = gpu_bind(&other, bo.bo);

	check_ok(gpu_fill(&lost, bo.va, SIZE, 3, 1));
	check_err(gpu_fill(&lost, lost.va, 4, 0, 0), -EFAULT);
	check_ok(drover_bo_evict(bo.bo, NULL));
	check_ok(gpu_check(&other, va, SIZE, 3, 1));
	check_err(drover_vm_unbind(lost.vm, bo.va, SIZE), -ECANCELED);
	drover_vm_destroy(lost.vm);
	check_ok(gpu_check(&other, va, SIZE, 3, 1));
}

/* ---- Limits ---- */

/* One that nobody waits for. */
static void submit_empty(const struct gpu *gpu)
{
	struct job job = job_new(gpu);

	job_submit(&job);
	job_free(&job);
}

static void jobs_in_flight_are_limited(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_add_vm(&gpu);
	struct held_fence hold = fence_hold();
	uint32_t i, max = device_info(gpu.dev).max_jobs;
	struct job job = job_new(&gpu), next;

	check(max > 0 && max <= 1024, "max_jobs is %u", max);
	job_wait_fence(&gpu, &job, &hold);
	job_submit(&job);
	for (i = 1; i < max; i++)
		submit_empty(&gpu);
	check_err(submit_now(&gpu), -EINTR);
	check_eq(vm_info(&gpu).submitted, max);
	check_ok(submit_now(&other)); /* it's a limit per VM */

	fence_release(&hold);
	next = job_new(&gpu);
	check_ok(job_run(&next));
	check_ok(job_wait(&job));
	check_eq(vm_info(&gpu).completed, max + 1);
}

static void *release_soon(void *hold)
{
	sleep_ms(100);
	fence_release(hold);
	return NULL;
}

static void submit_waits_for_a_place(void)
{
	struct gpu gpu = gpu_open(0);
	struct held_fence hold = fence_hold();
	uint32_t i, max = device_info(gpu.dev).max_jobs;
	struct job job = job_new(&gpu), last;
	pthread_t thread;

	job_wait_fence(&gpu, &job, &hold);
	job_submit(&job);
	for (i = 1; i < max; i++)
		submit_empty(&gpu);
	thread = test_thread(release_soon, &hold);
	last = job_new(&gpu);
	job_submit(&last);
	check(job_done(&job), "more jobs in flight than allowed");
	check_ok(job_wait(&last));
	test_thread_join(thread);
}

static void longest_job(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, 64 * KIB, VRAM);
	uint32_t i, max = device_info(gpu.dev).max_commands;
	struct job job = job_new(&gpu);

	check(max <= 16384, "max_commands is %u", max);
	for (i = 0; i < max; i++)
		drover_submission_fill(job.sub, bo.va + 4 * i, 4, i, 0);
	check_ok(job_run(&job));
	check_words(bo_map(bo.bo), 4 * max, 0, 1);

	job = job_new(&gpu);
	for (i = 0; i <= max; i++)
		drover_submission_fill(job.sub, bo.va, 4, 99, 0);
	check_err(job_run(&job), -E2BIG);
	check_eq(vm_info(&gpu).submitted, 1);
}

/* ---- Threads ---- */

struct worker {
	struct gpu gpu;
	uint32_t number;
};

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct client_bo a = gpu_bo(&worker->gpu, SIZE, VRAM), b = gpu_bo(&worker->gpu, SIZE, VRAM);
	uint32_t i;

	for (i = 0; i < 12; i++) {
		uint32_t value = worker->number << 16 | i;
		struct job job = job_new(&worker->gpu);

		drover_submission_fill(job.sub, a.va, SIZE, value, 1);
		drover_submission_copy(job.sub, b.va, a.va, SIZE);
		drover_submission_add(job.sub, b.va, b.va, a.va, SIZE);
		drover_submission_check(job.sub, b.va, SIZE, 2 * value, 2);
		check_ok(job_run(&job));
	}
	check_eq(vm_info(&worker->gpu).completed, 12);
	return NULL;
}

static void eight_threads_submit_at_once(void)
{
	struct gpu gpu = gpu_open(0);
	struct worker worker[8];
	pthread_t thread[8];
	uint32_t i;

	for (i = 0; i < 8; i++)
		worker[i] = (struct worker){.gpu = gpu_add_vm(&gpu), .number = i + 1};
	for (i = 0; i < 8; i++)
		thread[i] = test_thread(work, &worker[i]);
	for (i = 0; i < 8; i++)
		test_thread_join(thread[i]);
}

static void *submit_to_shared_vm(void *argument)
{
	struct worker *worker = argument;
	uint64_t va = worker->gpu.va + worker->number * SIZE;
	uint32_t i;

	for (i = 0; i < 12; i++) {
		check_ok(gpu_fill(&worker->gpu, va, SIZE, i, worker->number));
		check_ok(gpu_check(&worker->gpu, va, SIZE, i, worker->number));
	}
	return NULL;
}

static void eight_threads_submit_to_one_vm(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = bo_new(&gpu, 8 * SIZE, VRAM);
	struct worker worker[8];
	pthread_t thread[8];
	uint32_t i;

	check_ok(drover_vm_bind(gpu.vm, gpu.va, bo, 0, 8 * SIZE, 0));
	for (i = 0; i < 8; i++) {
		worker[i] = (struct worker){.gpu = gpu, .number = i};
		thread[i] = test_thread(submit_to_shared_vm, &worker[i]);
	}
	for (i = 0; i < 8; i++)
		test_thread_join(thread[i]);
	check_eq(vm_info(&gpu).completed, 8 * 24);
}

static const struct test tests[] = {
	TEST(fill),
	TEST(copy),
	TEST(add),
	TEST(check_passes_and_fails),
	TEST(empty_job_signals),
	TEST(spin_takes_time),
	TEST(jobs_run_in_order),
	TEST(waits_for_in_sync),
	TEST(syncs_cross_devices),
	TEST(timeline_points),
	TEST(in_sync_without_fence_is_refused),
	TEST(several_out_syncs),
	TEST(listed_buffers_are_ordered),
	TEST(readers_of_listed_buffers_run_together),
	TEST(fault_loses_the_vm),
	TEST(hung_job_loses_its_vm_alone),
	TEST(long_queue_is_no_hang),
	TEST(memory_of_a_lost_vm),
	TEST(jobs_in_flight_are_limited),
	TEST(submit_waits_for_a_place),
	TEST(longest_job),
	TEST(eight_threads_submit_at_once),
	TEST(eight_threads_submit_to_one_vm),
};

int main(int argc, char **argv)
{
	return test_main("engine", tests, ARRAY_SIZE(tests), argc, argv);
}
