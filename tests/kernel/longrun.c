// SPDX-License-Identifier: MIT
/*
 * Long-running VMs: jobs without an end and without a fence, stopped when something
 * of theirs has to move, and going on where they were when it is back.
 * Two devices of 8 MiB of VRAM and 16 MiB of GTT, min_run_ms=40.
 */
#include "common.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xf86drm.h>

#define SIZE       (64 * KIB)
#define MIN_RUN_MS 40

typedef struct drm_drover_command command_t;

/* ---- Long-running VMs, which libdrover doesn't know: the ioctls themselves ---- */

struct longrun {
	struct drover_device *dev;
	uint32_t vm;
	uint64_t va;
};

struct longrun_bo {
	uint32_t handle;
	uint64_t va, size;
	volatile uint32_t *words;
};

static int call(const struct longrun *longrun, unsigned long request, void *argument)
{
	return drmIoctl(drover_device_fd(longrun->dev), request, argument) ? -errno : 0;
}

static struct longrun longrun_open(unsigned int index)
{
	struct drm_drover_vm_create create = {.flags = DRM_DROVER_VM_CREATE_LONG_RUNNING};
	struct longrun longrun = {.dev = device_open(index)};

	check_ok(call(&longrun, DRM_IOCTL_DROVER_VM_CREATE, &create));
	longrun.vm = create.vm_id;
	longrun.va = device_info(longrun.dev).va_start;
	return longrun;
}

static void longrun_destroy(struct longrun *longrun)
{
	struct drm_drover_vm_destroy destroy = {.vm_id = longrun->vm};

	check_ok(call(longrun, DRM_IOCTL_DROVER_VM_DESTROY, &destroy));
}

static struct drm_drover_vm_info longrun_info(const struct longrun *longrun)
{
	struct drm_drover_vm_info info = {.vm_id = longrun->vm};

	check_ok(call(longrun, DRM_IOCTL_DROVER_VM_INFO, &info));
	return info;
}

static int longrun_map(struct longrun *longrun, uint32_t handle, uint64_t va, uint64_t size)
{
	struct drm_drover_bind bind = {
		.op = handle ? DRM_DROVER_BIND_MAP : DRM_DROVER_BIND_UNMAP,
		.handle = handle,
		.va = va,
		.size = size,
	};
	struct drm_drover_vm_bind args = {
		.vm_id = longrun->vm,
		.num_binds = 1,
		.binds = (uintptr_t)&bind,
	};

	return call(longrun, DRM_IOCTL_DROVER_VM_BIND, &args);
}

static uint64_t longrun_bind(struct longrun *longrun, uint32_t handle, uint64_t size)
{
	uint64_t va = longrun->va;

	check_ok(longrun_map(longrun, handle, va, size));
	longrun->va += size + PAGE;
	return va;
}

static struct longrun_bo longrun_bo(struct longrun *longrun, uint64_t size, uint32_t placements,
				    bool private)
{
	struct drm_drover_bo_create create = {
		.size = size,
		.placements = placements,
		.vm_id = private ? longrun->vm : 0,
	};
	struct drm_drover_bo_mmap map = {0};
	struct longrun_bo bo = {.size = size};
	void *words;

	check_ok(call(longrun, DRM_IOCTL_DROVER_BO_CREATE, &create));
	bo.handle = create.handle;
	bo.va = longrun_bind(longrun, bo.handle, size);
	map.handle = bo.handle;
	check_ok(call(longrun, DRM_IOCTL_DROVER_BO_MMAP, &map));
	words = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, drover_device_fd(longrun->dev),
		     map.offset);
	check(words != MAP_FAILED, "mmap: %m");
	bo.words = words;
	return bo;
}

static int longrun_evict(const struct longrun *longrun, uint32_t target, uint32_t id)
{
	struct drm_drover_evict evict = {.target = target, .id = id};

	return call(longrun, DRM_IOCTL_DROVER_EVICT, &evict);
}

static command_t do_fill(uint64_t dst, uint64_t size, uint32_t value, uint32_t step)
{
	return (command_t){DRM_DROVER_OP_FILL, .dst = dst, .size = size, .value = value,
			   .step = step};
}

static command_t do_add(uint64_t dst, uint64_t src, uint64_t src2, uint64_t size)
{
	return (command_t){DRM_DROVER_OP_ADD, .dst = dst, .src = src, .src2 = src2, .size = size};
}

static command_t do_check(uint64_t src, uint64_t size, uint32_t value, uint32_t step)
{
	return (command_t){DRM_DROVER_OP_CHECK, .src = src, .size = size, .value = value,
			   .step = step};
}

static command_t do_spin(uint64_t microseconds)
{
	return (command_t){DRM_DROVER_OP_SPIN, .size = microseconds};
}

static command_t do_loop(uint64_t times)
{
	return (command_t){DRM_DROVER_OP_LOOP, .size = times};
}

static int submit(const struct longrun *longrun, const command_t *commands, uint32_t count)
{
	struct drm_drover_submit args = {
		.vm_id = longrun->vm,
		.commands = (uintptr_t)commands,
		.num_commands = count,
	};

	return call(longrun, DRM_IOCTL_DROVER_SUBMIT, &args);
}

#define SUBMIT(longrun, ...)                                         \
	({                                                           \
		const command_t commands_[] = {__VA_ARGS__};         \
		submit((longrun), commands_, ARRAY_SIZE(commands_)); \
	})

/* ---- What most tests run: endless counting, with a look at the data each time ---- */

/* A BO of pages: a counter, what is added to it, and a pattern. */
#define COUNTER(bo) ((bo)->va)
#define ONE(bo)     ((bo)->va + PAGE)
#define PATTERN(bo) ((bo)->va + 2 * PAGE)
#define BODY        3 /* commands of a round */

static void prepare(struct longrun_bo *bo, uint32_t value)
{
	fill_words(bo->words, PAGE, 0, 0);
	fill_words(bo->words + PAGE / 4, PAGE, 1, 0);
	fill_words(bo->words + 2 * PAGE / 4, bo->size - 2 * PAGE, value, 1);
}

static int count_up(struct longrun *longrun, struct longrun_bo *bo, uint32_t value, uint64_t times)
{
	return SUBMIT(longrun, do_add(COUNTER(bo), COUNTER(bo), ONE(bo), PAGE), do_spin(200),
		      do_check(PATTERN(bo), 4 * PAGE, value, 1), do_loop(times));
}

static bool progresses(struct longrun_bo *bo)
{
	uint32_t before = bo->words[0];

	return eventually(bo->words[0] - before >= 10);
}

static bool is_done(const struct longrun *longrun, uint64_t jobs)
{
	return eventually(longrun_info(longrun).completed >= jobs);
}

/* ---- What is taken and what is not ---- */

static void refused_and_accepted(void)
{
	struct longrun longrun = longrun_open(0);
	struct longrun_bo bo = longrun_bo(&longrun, SIZE, VRAM | GTT, false);
	struct drm_drover_vm_create flags = {.flags = 1u << 1};
	struct drover_sync *sync;
	struct drm_drover_sync out = {0};
	struct drm_drover_buffer listed = {bo.handle, DRM_DROVER_BUFFER_READ};
	struct drm_drover_submit args = {.vm_id = longrun.vm};
	struct gpu finite = gpu_open(0);
	struct longrun as_longrun = {.dev = finite.dev, .vm = drover_vm_id(finite.vm)};

	check_ok(drover_sync_create(longrun.dev, false, &sync));
	out.handle = drover_sync_handle(sync);
	args.out_syncs = (uintptr_t)&out;
	args.num_out_syncs = 1;
	check_err(call(&longrun, DRM_IOCTL_DROVER_SUBMIT, &args), -EINVAL);
	args.num_out_syncs = 0;
	args.buffers = (uintptr_t)&listed;
	args.num_buffers = 1;
	check_err(call(&longrun, DRM_IOCTL_DROVER_SUBMIT, &args), -EINVAL);
	args.num_buffers = 0;
	check_ok(call(&longrun, DRM_IOCTL_DROVER_SUBMIT, &args));

	check_err(SUBMIT(&longrun, do_loop(0)), -EINVAL);
	check_err(SUBMIT(&longrun, do_loop(0), do_spin(1)), -EINVAL);
	check_err(SUBMIT(&longrun, do_spin(1), do_loop(0), do_spin(1)), -EINVAL);
	check_err(SUBMIT(&longrun, do_spin(100001)), -EINVAL);
	check_ok(SUBMIT(&longrun, do_spin(100000)));
	check_err(SUBMIT(&as_longrun, do_spin(1), do_loop(1)), -EINVAL);
	check_ok(SUBMIT(&as_longrun, do_spin(100001)));
	check_err(call(&longrun, DRM_IOCTL_DROVER_VM_CREATE, &flags), -EINVAL);
	check_eq(longrun_info(&longrun).flags, DRM_DROVER_VM_LONG_RUNNING);
	check_eq(vm_info(&finite).flags, 0);
	check(is_done(&longrun, 2), "what was accepted doesn't end");
	check_eq(longrun_info(&longrun).submitted, 2);
}

static void loops_are_counted(void)
{
	struct longrun longrun = longrun_open(0);
	struct longrun_bo bo = longrun_bo(&longrun, SIZE, VRAM | GTT, false);

	prepare(&bo, 5);
	check_ok(count_up(&longrun, &bo, 5, 3));
	check_ok(SUBMIT(&longrun, do_add(COUNTER(&bo), COUNTER(&bo), COUNTER(&bo), PAGE)));
	check(is_done(&longrun, 2), "a job that loops three times doesn't end");
	/* Once, and three times more; then, in order, the doubling. */
	check_words(bo.words, PAGE, 8, 0);
	check_eq(longrun_info(&longrun).commands, 4 * BODY + 1);
	check_eq(longrun_info(&longrun).failed_checks, 0);
}

static void *submit_waiting(void *data)
{
	struct drm_drover_submit *args = ((void **)data)[1];

	check_ok(call(((void **)data)[0], DRM_IOCTL_DROVER_SUBMIT, args));
	return NULL;
}

static void submit_waits_for_in_syncs(void)
{
	struct longrun longrun = longrun_open(0);
	struct held_fence hold = fence_hold();
	struct drm_drover_sync in = {0};
	struct drm_drover_submit args = {
		.vm_id = longrun.vm,
		.in_syncs = (uintptr_t)&in,
		.num_in_syncs = 1,
	};
	void *arguments[] = {&longrun, &args};
	struct drover_sync *sync;
	pthread_t thread;

	check_ok(drover_sync_create(longrun.dev, true, &sync));
	check_ok(drover_sync_import_sync_file(sync, 0, hold.sync_file));
	in.handle = drover_sync_handle(sync);
	thread = test_thread(submit_waiting, arguments);
	sleep_ms(CHANCE_MS);
	check_eq(longrun_info(&longrun).submitted, 0);
	fence_release(&hold);
	test_thread_join(thread);
	check(is_done(&longrun, 1), "a job without commands doesn't end");
}

/* ---- Stopped and going on ---- */

static void check_undisturbed(const struct longrun *longrun)
{
	check_eq(longrun_info(longrun).flags, DRM_DROVER_VM_LONG_RUNNING);
	check_eq(longrun_info(longrun).failed_checks, 0);
}

/* Nobody submits again: it comes back by itself. Shared, private, all of the VM. */
static void goes_on_after_an_eviction(void)
{
	unsigned int kind;

	for (kind = 0; kind < 3; kind++) {
		struct longrun longrun = longrun_open(0);
		struct longrun_bo bo = longrun_bo(&longrun, SIZE, VRAM, kind == 1);
		unsigned int round;

		prepare(&bo, kind);
		check_ok(count_up(&longrun, &bo, kind, 0));
		for (round = 1; round <= 3; round++) {
			check(progresses(&bo), "no progress before eviction %u", round);
			if (kind == 2)
				check_ok(longrun_evict(&longrun, DRM_DROVER_EVICT_VM, longrun.vm));
			else
				check_ok(longrun_evict(&longrun, DRM_DROVER_EVICT_BO, bo.handle));
			check(progresses(&bo), "no progress after eviction %u", round);
			check_eq(longrun_info(&longrun).suspends, round);
			check_eq(longrun_info(&longrun).preemptions, round);
			check_eq(longrun_info(&longrun).remaps, round);
		}
		check_undisturbed(&longrun);
		longrun_destroy(&longrun);
	}
}

struct evictor {
	const struct longrun *longrun;
	uint32_t handle;
	atomic_bool stop;
};

static void *evict_all_the_time(void *data)
{
	struct evictor *evictor = data;

	while (!atomic_load(&evictor->stop)) {
		check_ok(longrun_evict(evictor->longrun, DRM_DROVER_EVICT_BO, evictor->handle));
		sched_yield();
	}
	return NULL;
}

static bool is_preempted(const struct longrun *longrun, uint64_t times)
{
	return longrun_info(longrun).preemptions >= times;
}

/*
 * Exactly as many rounds as without preemption, in as many jobs as it takes until there
 * were some; and never two preemptions within min_run_ms.
 */
static void nothing_is_lost_by_preemption(void)
{
	enum { ROUNDS = 500 };
	struct longrun longrun = longrun_open(0);
	struct longrun_bo bo = longrun_bo(&longrun, SIZE, VRAM, false);
	struct evictor evictor = {.longrun = &longrun, .handle = bo.handle};
	struct drm_drover_vm_info info;
	int64_t start = now_ns(), ms;
	unsigned int jobs = 0;
	pthread_t thread;

	prepare(&bo, 7);
	thread = test_thread(evict_all_the_time, &evictor);
	do {
		check_ok(count_up(&longrun, &bo, 7, ROUNDS - 1));
		check(is_done(&longrun, ++jobs),
		      "the job doesn't end while its BO is evicted again and again");
	} while (jobs < 2 || !is_preempted(&longrun, 3));
	ms = (now_ns() - start) / 1000000;
	atomic_store(&evictor.stop, true);
	test_thread_join(thread);

	info = longrun_info(&longrun);
	check_words(bo.words, PAGE, jobs * ROUNDS, 0);
	check_eq(info.commands, jobs * ROUNDS * BODY);
	check_undisturbed(&longrun);
	check(info.preemptions <= (uint64_t)ms * 2 / MIN_RUN_MS + 2,
	      "preempted %llu times in %lld ms: more often than min_run_ms allows",
	      (unsigned long long)info.preemptions, (long long)ms);
}

/* Commands that take long: wherever one is stopped, no word of it is done twice or left out. */
static void long_commands_go_on_where_they_were(void)
{
	enum { ROUNDS = 20 };
	const uint64_t half = 2 * MIB;
	struct longrun longrun = longrun_open(0);
	struct longrun_bo bo = longrun_bo(&longrun, 2 * half, VRAM, false);
	struct evictor evictor = {.longrun = &longrun, .handle = bo.handle};
	unsigned int jobs = 0;
	pthread_t thread;

	fill_words(bo.words, half, 0, 0);
	fill_words(bo.words + half / 4, half, 1, 0);
	thread = test_thread(evict_all_the_time, &evictor);
	do {
		check_ok(SUBMIT(&longrun, do_add(bo.va, bo.va, bo.va + half, half),
				do_add(bo.va, bo.va, bo.va + half, half), do_loop(ROUNDS - 1)));
		check(is_done(&longrun, ++jobs),
		      "the job doesn't end while its BO is evicted again and again");
	} while (jobs < 3 || !is_preempted(&longrun, 3));
	atomic_store(&evictor.stop, true);
	test_thread_join(thread);
	check_undisturbed(&longrun);
	check_words(bo.words, half, jobs * 2 * ROUNDS, 0);
}

/* Implicit sync of others on the same BO, sync files and CPU accesses stop nobody. */
static void implicit_sync_preempts_nobody(void)
{
	struct longrun longrun = longrun_open(1);
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	int fd = bo_export(bo.bo), sync_file;
	struct longrun_bo own = longrun_bo(&longrun, SIZE, VRAM, true);
	uint32_t handle;
	uint64_t va;
	int i;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 9, 1));
	check_sys(drmPrimeFDToHandle(drover_device_fd(longrun.dev), fd, &handle));
	va = longrun_bind(&longrun, handle, SIZE);
	prepare(&own, 0);
	check_ok(SUBMIT(&longrun, do_check(va, SIZE, 9, 1),
			do_add(COUNTER(&own), COUNTER(&own), ONE(&own), PAGE), do_loop(0)));
	check(progresses(&own), "no progress");
	for (i = 0; i < 3; i++) {
		struct job job = job_new(&gpu);

		drover_submission_fill(job.sub, bo.va, SIZE, 9, 1);
		drover_submission_buffer(job.sub, bo.bo, DROVER_ACCESS_WRITE);
		check_ok(job_run(&job));
		check_ok(drover_dmabuf_export_sync_file(fd, DROVER_ACCESS_WRITE, &sync_file));
		check_ok(drover_sync_file_wait(sync_file, WAIT_NS));
		check_ok(drover_dmabuf_wait(fd, DROVER_ACCESS_WRITE, WAIT_NS));
		check_ok(drover_dmabuf_begin_cpu_access(fd, DROVER_ACCESS_WRITE));
		check_ok(drover_dmabuf_end_cpu_access(fd, DROVER_ACCESS_WRITE));
		close(sync_file);
	}
	check(progresses(&own), "no progress");
	check_eq(longrun_info(&longrun).preemptions, 0);
	check_eq(longrun_info(&longrun).suspends, 0);

	/* The exporter's move, however, does, and the job goes on in the new place. */
	check_ok(drover_bo_evict(bo.bo, NULL));
	check(progresses(&own), "no progress after the exporter moved it");
	check_eq(longrun_info(&longrun).preemptions, 1);
	check_eq(longrun_info(&longrun).invalidations, 1);
	check_undisturbed(&longrun);
}

/* ---- Working sets that don't fit together ---- */

static uint64_t at_least(const uint64_t *values, unsigned int count)
{
	uint64_t least = values[0];
	unsigned int i;

	for (i = 1; i < count; i++)
		least = values[i] < least ? values[i] : least;
	return least;
}

static uint64_t at_most(const uint64_t *values, unsigned int count)
{
	uint64_t most = values[0];
	unsigned int i;

	for (i = 1; i < count; i++)
		most = values[i] > most ? values[i] : most;
	return most;
}

static bool is_equal(const uint64_t *values, unsigned int count)
{
	return at_least(values, count) * 10 >= at_most(values, count) * 8;
}

static void check_equal(const char *what, const uint64_t *values, unsigned int count)
{
	check(is_equal(values, count), "%s differ by more than 20 %%: from %llu to %llu", what,
	      (unsigned long long)at_least(values, count),
	      (unsigned long long)at_most(values, count));
}

struct rival {
	struct longrun longrun;
	struct longrun_bo bo;
};

static struct rival rival_new(uint64_t size, bool private, uint32_t value)
{
	struct rival rival = {.longrun = longrun_open(0)};

	rival.bo = longrun_bo(&rival.longrun, size, VRAM, private);
	prepare(&rival.bo, value);
	return rival;
}

static bool all_preempted(const struct rival *rivals, unsigned int count, uint64_t times)
{
	uint64_t preemptions[3];
	unsigned int i;

	for (i = 0; i < count; i++)
		preemptions[i] = longrun_info(&rivals[i].longrun).preemptions;
	return at_least(preemptions, count) >= times;
}

/* Waits without asking all the time, which would take the processor from those who run. */
static bool wait_until_preempted(const struct rival *rivals, unsigned int count, uint64_t times)
{
	int64_t until = now_ns() + WAIT_NS;

	while (!all_preempted(rivals, count, times) && now_ns() < until)
		sleep_ms(50);
	return all_preempted(rivals, count, times);
}

struct progress {
	uint64_t commands[3], counters[3];
};

static struct progress progress_of(const struct rival *rivals, unsigned int count)
{
	struct progress progress;
	unsigned int i;

	for (i = 0; i < count; i++)
		progress.commands[i] = longrun_info(&rivals[i].longrun).commands;
	for (i = 0; i < count; i++)
		progress.counters[i] = rivals[i].bo.words[0];
	return progress;
}

static struct progress progress_since(const struct progress *before, const struct rival *rivals,
				      unsigned int count)
{
	struct progress progress = progress_of(rivals, count);
	unsigned int i;

	for (i = 0; i < count; i++) {
		progress.commands[i] -= before->commands[i];
		progress.counters[i] -= before->counters[i];
	}
	return progress;
}

/*
 * Measured from when all of them have had to wait, over that many turns of each. A
 * turn is a time, and what a machine gets done in it varies with what else it does,
 * so if they differ, it is over four times as many: what is unfair stays so.
 */
static void rivals_take_turns(struct rival *rivals, unsigned int count, uint64_t turns)
{
	struct progress before, after, made;
	unsigned int i;

	for (i = 0; i < count; i++)
		check_ok(count_up(&rivals[i].longrun, &rivals[i].bo, 100 * i, 0));
	check(wait_until_preempted(rivals, count, 2),
	      "VMs that don't fit together don't take turns");
	before = progress_of(rivals, count);
	check(wait_until_preempted(rivals, count, turns + 2),
	      "%u VMs that don't fit together weren't preempted %llu times each", count,
	      (unsigned long long)turns);
	made = progress_since(&before, rivals, count);
	if (!is_equal(made.commands, count) || !is_equal(made.counters, count)) {
		wait_until_preempted(rivals, count, 4 * turns + 2);
		made = progress_since(&before, rivals, count);
	}
	after = progress_of(rivals, count);
	for (i = 0; i < count; i++) {
		struct drm_drover_vm_info info = longrun_info(&rivals[i].longrun);

		check_undisturbed(&rivals[i].longrun);
		check(info.remaps + 1 >= info.preemptions, "VM %u: %llu preemptions, %llu remaps",
		      i, (unsigned long long)info.preemptions, (unsigned long long)info.remaps);
		check(after.counters[i] * BODY + BODY >= after.commands[i],
		      "VM %u counted to %llu in %llu commands of which a third counts", i,
		      (unsigned long long)after.counters[i], (unsigned long long)after.commands[i]);
	}
	check_equal("finished commands", made.commands, count);
	check_equal("counters in memory", made.counters, count);
}

static void check_patterns(struct rival *rivals, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		longrun_destroy(&rivals[i].longrun);
		check_words(rivals[i].bo.words + 2 * PAGE / 4, rivals[i].bo.size - 2 * PAGE,
			    100 * i, 1);
	}
}

static void two_endless_vms_progress_equally(void)
{
	struct rival rivals[] = {rival_new(5 * MIB, false, 0), rival_new(5 * MIB, true, 100)};

	rivals_take_turns(rivals, 2, 18);
	check_patterns(rivals, 2);
}

static void three_endless_vms_progress(void)
{
	struct rival rivals[] = {rival_new(5 * MIB, true, 0), rival_new(5 * MIB, true, 100),
				 rival_new(5 * MIB, false, 200)};
	unsigned int i;

	for (i = 0; i < 3; i++)
		check_ok(count_up(&rivals[i].longrun, &rivals[i].bo, 100 * i, 0));
	check(wait_until_preempted(rivals, 3, 5), "three VMs don't take turns");
	for (i = 0; i < 3; i++)
		check_undisturbed(&rivals[i].longrun);
	check_patterns(rivals, 3);
}

/* Reading the counter would wait for the VM's turn; asking the VM doesn't bring it back. */
static bool gets_its_turn(struct longrun *longrun)
{
	uint64_t before = longrun_info(longrun).commands;

	return eventually(longrun_info(longrun).commands >= before + BODY);
}

/*
 * Jobs with an end need the same memory: both get on. Who runs has all of it, so a job
 * has to preempt the long-running VM once for each turn of that one.
 */
static void competes_with_jobs_that_end(void)
{
	struct rival rival = rival_new(5 * MIB, false, 0);
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, 5 * MIB, VRAM);
	uint64_t preemptions;
	unsigned int round;

	check_ok(count_up(&rival.longrun, &rival.bo, 0, 0));
	check_ok(gpu_fill(&gpu, bo.va, 5 * MIB, 1, 1));
	for (round = 0; round < 10; round++) {
		check(gets_its_turn(&rival.longrun), "the long-running VM wasn't restored");
		preemptions = longrun_info(&rival.longrun).preemptions;
		check_ok(gpu_check(&gpu, bo.va, 5 * MIB, 1, 1));
		check(longrun_info(&rival.longrun).preemptions > preemptions,
		      "the long-running VM wasn't preempted");
	}
	check(progresses(&rival.bo), "the long-running VM doesn't go on");
	check_undisturbed(&rival.longrun);
	check_eq(vm_info(&gpu).flags, 0);
	check(vm_info(&gpu).remaps >= 10, "the other VM was remapped %llu times only",
	      (unsigned long long)vm_info(&gpu).remaps);
}

/* ---- Memory that isn't there ---- */

static void too_large_is_an_error(void)
{
	struct longrun longrun = longrun_open(0);
	struct longrun_bo small = longrun_bo(&longrun, 5 * MIB, VRAM, false), large;
	int error;

	prepare(&small, 1);
	large = longrun_bo(&longrun, 5 * MIB, VRAM, false);
	error = count_up(&longrun, &small, 1, 0);
	check(error == -ENOMEM || error == -ENOSPC, "SUBMIT returned %d, expected -ENOMEM", error);
	check_eq(longrun_info(&longrun).submitted, 0);
	check_undisturbed(&longrun);
	check_ok(longrun_map(&longrun, 0, large.va, large.size));
	check_ok(count_up(&longrun, &small, 1, 0));
	check(progresses(&small), "no progress");
}

/* Bound while it runs: there is nobody to return the error to. */
static void too_large_later_loses_the_vm(void)
{
	struct longrun longrun = longrun_open(0), other = longrun_open(0);
	struct longrun_bo bo = longrun_bo(&longrun, 5 * MIB, VRAM, false), good;

	prepare(&bo, 1);
	check_ok(count_up(&longrun, &bo, 1, 0));
	longrun_bo(&longrun, 5 * MIB, VRAM, false);
	check(eventually(longrun_info(&longrun).flags & DRM_DROVER_VM_LOST),
	      "a working set that can't be restored doesn't lose the VM");
	check_eq(longrun_info(&longrun).lost_reason, ENOMEM);
	check_err(count_up(&longrun, &bo, 1, 0), -ECANCELED);
	good = longrun_bo(&other, SIZE, VRAM, false);
	prepare(&good, 1);
	check_ok(count_up(&other, &good, 1, 0));
	check(progresses(&good), "another VM doesn't progress");
}

/* ---- Changes and failures while it runs ---- */

static void bound_and_unbound_while_running(void)
{
	struct longrun longrun = longrun_open(0);
	struct longrun_bo bo = longrun_bo(&longrun, SIZE, VRAM | GTT, false), more;
	int i;

	prepare(&bo, 3);
	check_ok(count_up(&longrun, &bo, 3, 0));
	for (i = 0; i < 5; i++) {
		check(progresses(&bo), "no progress before bind %d", i);
		more = longrun_bo(&longrun, SIZE, VRAM, i % 2);
		check(progresses(&bo), "no progress after bind %d", i);
		check_ok(longrun_map(&longrun, 0, more.va, more.size));
	}
	check(progresses(&bo), "no progress");
	check_undisturbed(&longrun);

	/* What it uses goes: a page fault, at the first address that isn't there. */
	check_ok(longrun_map(&longrun, 0, bo.va, bo.size));
	check(eventually(longrun_info(&longrun).flags & DRM_DROVER_VM_LOST),
	      "a job whose memory is unbound runs on");
	check_eq(longrun_info(&longrun).lost_reason, EFAULT);
	check(longrun_info(&longrun).fault_address - bo.va < bo.size,
	      "the fault is at %#llx, not in the BO",
	      (unsigned long long)longrun_info(&longrun).fault_address);
}

static void failed_check_ends_the_job_alone(void)
{
	struct longrun longrun = longrun_open(0);
	struct longrun_bo bo = longrun_bo(&longrun, SIZE, VRAM | GTT, false);
	struct drm_drover_vm_info info;

	prepare(&bo, 3);
	check_ok(SUBMIT(&longrun, do_check(PATTERN(&bo), PAGE, 4, 1), do_loop(0)));
	check_ok(SUBMIT(&longrun, do_fill(COUNTER(&bo), PAGE, 11, 0)));
	check(is_done(&longrun, 2), "the next job doesn't run");
	check_words(bo.words, PAGE, 11, 0);
	info = longrun_info(&longrun);
	check_eq(info.flags, DRM_DROVER_VM_LONG_RUNNING);
	check_eq(info.failed_checks, 1);
	check_eq(info.check_address, PATTERN(&bo));
	check_eq(info.check_expected, 4);
	check_eq(info.check_found, 3);
}

static void page_fault_loses_the_vm(void)
{
	struct longrun longrun = longrun_open(0), other = longrun_open(0);
	struct longrun_bo bo = longrun_bo(&longrun, SIZE, VRAM, false);
	struct longrun_bo good = longrun_bo(&other, SIZE, VRAM, false);

	prepare(&good, 1);
	check_ok(count_up(&other, &good, 1, 0));
	check_ok(SUBMIT(&longrun, do_fill(bo.va, SIZE + 4, 1, 0), do_loop(0)));
	check(eventually(longrun_info(&longrun).flags & DRM_DROVER_VM_LOST),
	      "a page fault doesn't lose the VM");
	check_eq(longrun_info(&longrun).lost_reason, EFAULT);
	check_eq(longrun_info(&longrun).fault_address, bo.va + SIZE);
	check_err(SUBMIT(&longrun, do_spin(1)), -ECANCELED);
	/* The lost one is in nobody's way. */
	check_ok(longrun_evict(&longrun, DRM_DROVER_EVICT_BO, bo.handle));
	check(progresses(&good), "another VM doesn't progress");
}

/* ---- Ends ---- */

static void *submit_one_more(void *data)
{
	check_err(SUBMIT((struct longrun *)data, do_spin(1)), -ENOENT);
	return NULL;
}

/* With jobs that have no end, some of which never began, and somebody who waits for a place. */
static void destroyed_while_running(void)
{
	struct longrun longrun = longrun_open(0);
	struct longrun_bo bo = longrun_bo(&longrun, SIZE, VRAM | GTT, false);
	unsigned int i, max = device_info(longrun.dev).max_jobs;
	pthread_t thread;

	prepare(&bo, 3);
	for (i = 0; i < max; i++)
		check_ok(count_up(&longrun, &bo, 3, 0));
	check(progresses(&bo), "no progress");
	thread = test_thread(submit_one_more, &longrun);
	sleep_ms(CHANCE_MS);
	check_eq(longrun_info(&longrun).submitted, max);
	longrun_destroy(&longrun);
	test_thread_join(thread);
	/* Moves wait for nobody any more, and nobody writes. */
	check_ok(longrun_evict(&longrun, DRM_DROVER_EVICT_BO, bo.handle));
	fill_words(bo.words, PAGE, 0, 0);
	sleep_ms(CHANCE_MS);
	check_words(bo.words, PAGE, 0, 0);
}

static void run_for_ever(int socket)
{
	struct rival rival = rival_new(5 * MIB, true, 0);

	check_ok(count_up(&rival.longrun, &rival.bo, 0, 0));
	check(progresses(&rival.bo), "no progress");
	check_eq(write(socket, "", 1), 1);
	sleep_ms(60000);
	die("nobody killed this process");
}

/* At whatever point of its turns: preempting, evicted, restoring. */
static void killed_while_suspending(void)
{
	unsigned int i;

	for (i = 0; i < 5; i++) {
		struct rival rival = rival_new(5 * MIB, i % 2, 0);
		int pipe_[2];
		pid_t child;
		char byte;

		check_sys(pipe(pipe_));
		child = test_fork();
		if (!child)
			run_for_ever(pipe_[1]);
		check_eq(read(pipe_[0], &byte, 1), 1);
		check_ok(count_up(&rival.longrun, &rival.bo, 0, 0));
		sleep_ms(i * 11);
		test_kill(child);
		check(progresses(&rival.bo), "no progress after the other one was killed");
		check_undisturbed(&rival.longrun);
		longrun_destroy(&rival.longrun);
		check_words(rival.bo.words + 2 * PAGE / 4, rival.bo.size - 2 * PAGE, 0, 1);
		munmap((void *)rival.bo.words, rival.bo.size);
		drover_device_close(rival.longrun.dev);
	}
}

static const struct test tests[] = {
	TEST(refused_and_accepted),
	TEST(loops_are_counted),
	TEST(submit_waits_for_in_syncs),
	TEST(goes_on_after_an_eviction),
	TEST(nothing_is_lost_by_preemption),
	TEST(long_commands_go_on_where_they_were),
	TEST(implicit_sync_preempts_nobody),
	TEST(two_endless_vms_progress_equally),
	TEST(three_endless_vms_progress),
	TEST(competes_with_jobs_that_end),
	TEST(too_large_is_an_error),
	TEST(too_large_later_loses_the_vm),
	TEST(bound_and_unbound_while_running),
	TEST(failed_check_ends_the_job_alone),
	TEST(page_fault_loses_the_vm),
	TEST(destroyed_while_running),
	TEST(killed_while_suspending),
};

int main(int argc, char **argv)
{
	return test_main("longrun", tests, ARRAY_SIZE(tests), argc, argv);
}
