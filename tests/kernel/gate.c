// SPDX-License-Identifier: MIT
/*
 * The gate: what a move stops, what it leaves alone, and that nothing is lost or
 * seen too late on the way. Four devices of 16 MiB of VRAM and of GTT.
 */
#include "common.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE (64 * KIB)

/* ---- Somebody who moves a BO, in a thread of its own ---- */

struct mover {
	struct drover_bo *bo;
	pthread_t thread;
	int result;
	atomic_bool done;
};

static void *mover_run(void *data)
{
	struct mover *mover = data;

	mover->result = drover_bo_evict(mover->bo, NULL);
	atomic_store(&mover->done, true);
	return NULL;
}

static void mover_start(struct mover *mover, struct drover_bo *bo)
{
	*mover = (struct mover){.bo = bo};
	mover->thread = test_thread(mover_run, mover);
}

static void check_mover_waits(struct mover *mover)
{
	sleep_ms(CHANCE_MS);
	check(!atomic_load(&mover->done), "the BO was moved while a job uses it");
}

static void mover_join(struct mover *mover)
{
	test_thread_join(mover->thread);
	check_ok(mover->result);
}

/* ---- What is stopped ---- */

/* One of many BOs moves: it alone is remapped, the others stay armed. */
static void only_what_moved_is_remapped(void)
{
	enum { COUNT = 12, MOVED = 3 };
	struct gpu exporter = gpu_open(0), importer = gpu_open(1), idle = gpu_open(2);
	struct client_bo bo[COUNT], imported[COUNT];
	struct drm_drover_vm_info info;
	unsigned int i;
	int fd;

	for (i = 0; i < COUNT; i++) {
		bo[i] = gpu_bo(&exporter, SIZE, VRAM | GTT);
		fd = bo_export(bo[i].bo);
		imported[i] = gpu_import(&importer, fd);
		gpu_import(&idle, fd);
		close(fd);
		check_ok(gpu_fill(&exporter, bo[i].va, SIZE, i, 1));
	}
	check_ok(gpu_check(&importer, imported[0].va, SIZE, 0, 1));
	check_eq(vm_info(&importer).remaps, 0);

	for (i = 0; i < MOVED; i++)
		check_ok(drover_bo_evict(bo[i * 4].bo, NULL));
	check_eq(vm_info(&importer).evicted_bos, MOVED);
	for (i = 0; i < COUNT; i++)
		check_ok(gpu_check(&importer, imported[i].va, SIZE, i, 1));
	info = vm_info(&importer);
	check_eq(info.suspends, 1);
	check_eq(info.resumes, 1);
	check_eq(info.evictions, MOVED);
	check_eq(info.invalidations, MOVED);
	check_eq(info.remaps, MOVED);
	check_eq(info.spurious_suspends, 0);
	/* Never used, so never armed: there was nothing to stop. */
	check_eq(vm_info(&idle).suspends, 0);
}

/* Each move stops each user once; each use brings it back once. */
static void counted_exactly(void)
{
	enum { ROUNDS = 5, USERS = 3 };
	struct gpu exporter = gpu_open(0), user[USERS];
	struct client_bo bo = gpu_bo(&exporter, SIZE, VRAM | GTT), imported[USERS];
	int fd = bo_export(bo.bo);
	struct drm_drover_vm_info info;
	unsigned int i, round;

	for (i = 0; i < USERS; i++) {
		user[i] = gpu_open(1 + i);
		imported[i] = gpu_import(&user[i], fd);
	}
	for (round = 0; round <= ROUNDS; round++) {
		check_ok(gpu_fill(&exporter, bo.va, SIZE, round, 1));
		for (i = 0; i < USERS; i++)
			check_ok(gpu_check(&user[i], imported[i].va, SIZE, round, 1));
		if (round < ROUNDS)
			check_ok(drover_bo_evict(bo.bo, NULL));
	}
	for (i = 0; i < USERS; i++) {
		info = vm_info(&user[i]);
		check_eq(info.suspends, ROUNDS);
		check_eq(info.remaps, ROUNDS);
		check_eq(info.resumes, ROUNDS);
		check_eq(info.spurious_suspends, 0);
	}
}

/* A job of another VM of the same device occupies its own engine, and delays no move. */
static void other_vms_jobs_delay_no_move(void)
{
	struct gpu exporter = gpu_open(0), busy = gpu_open(1), user = gpu_open(1);
	struct client_bo bo = gpu_bo(&exporter, SIZE, VRAM | GTT), imported;
	unsigned int spin_us = device_info(busy.dev).job_timeout_ms * 800;
	int fd = bo_export(bo.bo), tries;
	bool was_first = false;

	imported = gpu_import(&user, fd);
	/* Again if the machine was too slow for it: no try may be enough for a delayed one. */
	for (tries = 0; tries < 5 && !was_first; tries++) {
		struct job spin = job_new(&busy);

		check_ok(gpu_fill(&user, imported.va, SIZE, tries, 0));
		drover_submission_spin(spin.sub, spin_us);
		job_submit(&spin);
		check_ok(drover_bo_evict(bo.bo, NULL));
		was_first = !job_done(&spin);
		check_ok(job_wait(&spin));
		job_free(&spin);
	}
	check(was_first, "a move waits for a job that has nothing to do with the BO");
	check_eq(vm_info(&busy).suspends, 0);
}

/*
 * A move first asks all users to stop, and then waits: while one of them can't, the
 * others don't go on either.
 */
static void *submit_one(void *data)
{
	job_submit(data);
	return NULL;
}

static void all_gates_close_at_once(void)
{
	struct gpu exporter = gpu_open(0), user[2] = {gpu_open(1), gpu_open(2)};
	struct client_bo bo = gpu_bo(&exporter, SIZE, VRAM | GTT), imported[2];
	int fd = bo_export(bo.bo);
	struct held_fence hold[2] = {fence_hold(), fence_hold()};
	struct job held[2], next[2];
	pthread_t thread[2];
	struct mover mover;
	uint64_t submitted[2];
	unsigned int i;

	check_ok(gpu_fill(&exporter, bo.va, SIZE, 1, 0));
	for (i = 0; i < 2; i++) {
		imported[i] = gpu_import(&user[i], fd);
		held[i] = job_new(&user[i]);
		job_wait_fence(&user[i], &held[i], &hold[i]);
		drover_submission_check(held[i].sub, imported[i].va, SIZE, 1, 0);
		job_submit(&held[i]);
		next[i] = job_new(&user[i]);
		drover_submission_check(next[i].sub, imported[i].va, SIZE, 1, 0);
	}
	mover_start(&mover, bo.bo);
	for (i = 0; i < 2; i++)
		check(gate_closes(&user[i]), "the gate of user %u doesn't close", i);
	check_mover_waits(&mover);
	for (i = 0; i < 2; i++) {
		submitted[i] = vm_info(&user[i]).submitted;
		thread[i] = test_thread(submit_one, &next[i]);
	}
	sleep_ms(CHANCE_MS);
	for (i = 0; i < 2; i++)
		check_eq(vm_info(&user[i]).submitted, submitted[i]);

	/* One has stopped: the other is still waited for. */
	fence_release(&hold[0]);
	check_ok(job_wait(&held[0]));
	check_mover_waits(&mover);
	fence_release(&hold[1]);
	mover_join(&mover);
	for (i = 0; i < 2; i++) {
		test_thread_join(thread[i]);
		check_ok(job_wait(&held[i]));
		check_ok(job_wait(&next[i]));
	}
}

/* A job that doesn't end loses its VM within bounded time, and the move goes on. */
static void endless_job_stops_no_move(void)
{
	struct gpu exporter = gpu_open(0), hung = gpu_open(1), good = gpu_open(1);
	struct client_bo bo = gpu_bo(&exporter, SIZE, VRAM | GTT), imported;
	int fd = bo_export(bo.bo);
	struct job spin = job_new(&hung);
	uint64_t va;

	check_ok(gpu_fill(&exporter, bo.va, SIZE, 3, 1));
	imported = gpu_import(&good, fd);
	check_ok(gpu_check(&good, imported.va, SIZE, 3, 1));
	va = gpu_import(&hung, fd).va;
	drover_submission_spin(spin.sub, 60000000);
	drover_submission_fill(spin.sub, va, SIZE, 0xbad, 0);
	job_submit(&spin);

	check_ok(drover_bo_evict(bo.bo, NULL));
	check_err(job_wait(&spin), -ETIME);
	check_eq(vm_info(&hung).lost_reason, ETIME);
	check_err(gpu_check(&hung, va, SIZE, 3, 1), -ECANCELED);
	check_ok(gpu_check(&good, imported.va, SIZE, 3, 1));
	check_ok(gpu_check(&exporter, bo.va, SIZE, 3, 1));
}

/* ---- Who goes away meanwhile ---- */

static void destroyed_while_suspending(void)
{
	struct gpu exporter = gpu_open(0), user = gpu_open(1);
	struct client_bo bo = gpu_bo(&exporter, SIZE, VRAM | GTT), imported;
	struct held_fence hold = fence_hold();
	struct job job = job_new(&user);
	struct mover mover;

	check_ok(gpu_fill(&exporter, bo.va, SIZE, 3, 1));
	imported = gpu_import(&user, bo_export(bo.bo));
	job_wait_fence(&user, &job, &hold);
	drover_submission_add(job.sub, imported.va, imported.va, imported.va, SIZE);
	job_submit(&job);
	mover_start(&mover, bo.bo);
	check_mover_waits(&mover);
	drover_vm_destroy(user.vm);
	/* Its job was accepted, so it still uses the BO. */
	check_mover_waits(&mover);
	fence_release(&hold);
	check_ok(job_wait(&job));
	mover_join(&mover);
	check_ok(gpu_check(&exporter, bo.va, SIZE, 6, 2));
}

static void use_and_hang_around(int socket, const struct held_fence *hold)
{
	struct gpu user = gpu_open(1);
	struct client_bo imported = gpu_import(&user, receive_fd(socket));
	struct job job = job_new(&user);

	job_wait_fence(&user, &job, hold);
	drover_submission_add(job.sub, imported.va, imported.va, imported.va, SIZE);
	job_submit(&job);
	check_eq(write(socket, "", 1), 1);
	sleep_ms(60000);
	die("nobody killed this process");
}

static void killed_while_suspending(void)
{
	struct held_fence hold = fence_hold();
	struct client_bo bo;
	struct mover mover;
	struct gpu exporter;
	int socket[2];
	pid_t child;
	char byte;

	check_sys(socketpair(AF_UNIX, SOCK_STREAM, 0, socket));
	child = test_fork();
	if (!child)
		use_and_hang_around(socket[1], &hold);
	exporter = gpu_open(0);
	bo = gpu_bo(&exporter, SIZE, VRAM | GTT);
	check_ok(gpu_fill(&exporter, bo.va, SIZE, 3, 1));
	send_fd(socket[0], bo_export(bo.bo));
	check_eq(read(socket[0], &byte, 1), 1);

	mover_start(&mover, bo.bo);
	check_mover_waits(&mover);
	test_kill(child);
	check_mover_waits(&mover);
	fence_release(&hold);
	mover_join(&mover);
	check_ok(gpu_check(&exporter, bo.va, SIZE, 6, 2));
}

/* Unbinding comes after the jobs; the BO can't move before that either. */
static void *unbind_all(void *data)
{
	struct gpu *gpu = data;

	check_ok(drover_vm_unbind(gpu->vm, device_info(gpu->dev).va_start, gpu->va));
	return NULL;
}

static void unbound_while_suspending(void)
{
	struct gpu exporter = gpu_open(0), user = gpu_open(1);
	struct client_bo bo = gpu_bo(&exporter, SIZE, VRAM | GTT), imported;
	struct held_fence hold = fence_hold();
	struct job job = job_new(&user);
	struct mover mover;
	pthread_t thread;

	check_ok(gpu_fill(&exporter, bo.va, SIZE, 3, 1));
	imported = gpu_import(&user, bo_export(bo.bo));
	job_wait_fence(&user, &job, &hold);
	drover_submission_add(job.sub, imported.va, imported.va, imported.va, SIZE);
	job_submit(&job);
	mover_start(&mover, bo.bo);
	check_mover_waits(&mover);
	thread = test_thread(unbind_all, &user);
	check_mover_waits(&mover);
	fence_release(&hold);
	mover_join(&mover);
	test_thread_join(thread);
	check_ok(job_wait(&job));
	check_eq(vm_info(&user).bos, 0);
	check_ok(gpu_check(&exporter, bo.va, SIZE, 6, 2));
	/* And nothing of it is left that a second move would wait for. */
	check_ok(drover_bo_evict(bo.bo, NULL));
	check(vm_info(&user).suspends <= 1, "a VM that has nothing of it was suspended again");
}

/* ---- Under load ---- */

/*
 * Each user increments a page of its own in a BO that all share, and checks it
 * before: an access in the wrong place, too early or too late is a wrong number.
 * Somebody moves the BO all the time.
 */
struct user {
	struct gpu gpu;
	uint64_t page, one;
	struct client_bo private;
	uint32_t count;
};

struct load {
	struct gpu exporter;
	struct client_bo bo;
	struct user *users;
	unsigned int num_users, per_thread, jobs;
	atomic_bool stop;
};

static struct user user_new(struct gpu gpu, int dmabuf, unsigned int index)
{
	struct user user = {.gpu = gpu};

	user.page = gpu_import(&user.gpu, dmabuf).va + index * PAGE;
	user.private.bo = bo_new_private(&user.gpu, 2 * PAGE, VRAM | GTT);
	user.private.va = gpu_bind(&user.gpu, user.private.bo);
	user.one = user.private.va;
	check_ok(gpu_fill(&user.gpu, user.private.va, PAGE, 1, 0));
	return user;
}

/* Both the shared page and a private one count. */
static void user_submit(struct user *user)
{
	uint64_t own = user->private.va + PAGE;
	struct job job = job_new(&user->gpu);

	drover_submission_check(job.sub, user->page, PAGE, user->count, 0);
	drover_submission_add(job.sub, user->page, user->page, user->one, PAGE);
	drover_submission_add(job.sub, own, own, user->one, PAGE);
	drover_submission_check(job.sub, user->page, PAGE, ++user->count, 0);
	job_submit(&job);
	job_free(&job);
}

static void user_finish(struct user *user)
{
	struct drm_drover_vm_info info;

	check_ok(gpu_check(&user->gpu, user->page, PAGE, user->count, 0));
	check_ok(gpu_check(&user->gpu, user->private.va + PAGE, PAGE, user->count, 0));
	info = vm_info(&user->gpu);
	check_eq(info.flags, 0);
	check_eq(info.failed_checks, 0);
	check_eq(info.spurious_suspends, 0);
}

struct worker {
	struct load *load;
	unsigned int first;
};

static void *worker_run(void *data)
{
	struct worker *worker = data;
	struct load *load = worker->load;
	unsigned int i, job;

	/* a machine may be through with them before the mover has begun */
	for (job = 0; job < load->jobs || bo_info(load->bo.bo).evictions < 2; job++)
		for (i = 0; i < load->per_thread; i++)
			user_submit(&load->users[worker->first + i]);
	return NULL;
}

static void *move_it(void *data)
{
	struct load *load = data;

	while (!atomic_load(&load->stop)) {
		check_ok(drover_bo_evict(load->bo.bo, NULL));
		sched_yield();
	}
	return NULL;
}

static void load_run(struct load *load, unsigned int num_users, unsigned int threads)
{
	struct worker worker[8];
	pthread_t mover, thread[8];
	unsigned int i;

	load->num_users = num_users;
	load->per_thread = num_users / threads;
	mover = test_thread(move_it, load);
	for (i = 0; i < threads; i++) {
		worker[i] = (struct worker){load, i * load->per_thread};
		thread[i] = test_thread(worker_run, &worker[i]);
	}
	for (i = 0; i < threads; i++)
		test_thread_join(thread[i]);
	atomic_store(&load->stop, true);
	test_thread_join(mover);
	for (i = 0; i < num_users; i++)
		user_finish(&load->users[i]);
}

static void vms_on_all_devices(unsigned int per_device, unsigned int jobs)
{
	static struct user users[64];
	struct load load = {.exporter = gpu_open(0), .users = users, .jobs = jobs};
	unsigned int i, count = 0, suspended = 0;
	int fd;

	load.bo = gpu_bo(&load.exporter, 64 * PAGE, VRAM | GTT);
	fd = bo_export(load.bo.bo);
	for (i = 0; i < per_device; i++) {
		unsigned int device;

		for (device = 0; device < 4; device++, count++)
			users[count] = user_new(gpu_open(device), fd, count);
	}
	load_run(&load, count, 8);
	for (i = 0; i < count; i++)
		suspended += vm_info(&users[i].gpu).suspends > 0;
	check(suspended > count / 2, "%u of %u VMs only were ever suspended", suspended, count);
}

static void sixty_four_vms_share_a_moving_bo(void)
{
	vms_on_all_devices(16, 10);
}

/* Threads of one VM: their jobs are ordered, so they share the counter's VM but not the counter. */
static void eight_threads_submit_to_a_suspended_vm(void)
{
	static struct user users[8];
	struct load load = {.exporter = gpu_open(0), .users = users, .jobs = 25};
	struct gpu gpu = gpu_open(1);
	unsigned int i;
	int fd;

	load.bo = gpu_bo(&load.exporter, 64 * PAGE, VRAM | GTT);
	fd = bo_export(load.bo.bo);
	for (i = 0; i < ARRAY_SIZE(users); i++) {
		users[i] = user_new(gpu, fd, i);
		gpu.va = users[i].gpu.va;
	}
	load_run(&load, ARRAY_SIZE(users), 8);
	check(vm_info(&gpu).suspends > 1, "it was suspended %llu times only",
	      (unsigned long long)vm_info(&gpu).suspends);
}

/* ---- Poison: what is late finds 0xdb where the BO was ---- */

static void nobody_is_late(void)
{
	vms_on_all_devices(4, 40);
}

/* That it would show: without the invalidation, the old place holds poison. */
static void poison_shows(void)
{
	struct gpu exporter = gpu_open(0), user = gpu_open(1);
	struct client_bo bo = gpu_bo(&exporter, SIZE, VRAM | GTT), imported;
	char path[128];

	check_ok(gpu_fill(&exporter, bo.va, SIZE, 3, 1));
	imported = gpu_import(&user, bo_export(bo.bo));
	check_ok(gpu_check(&user, imported.va, SIZE, 3, 1));
	debugfs_path(exporter.dev, "skip_invalidations", path, sizeof(path));
	check_ok(write_file(path, "1"));
	check_ok(drover_bo_evict(bo.bo, NULL));
	check_err(gpu_check(&user, imported.va, SIZE, 3, 1), -EILSEQ);
	check_eq(vm_info(&user).check_found, 0xdbdbdbdb);
}

/* Private and shared BOs of two clients that don't fit together, poisoned at each move. */
static void nobody_is_late_under_pressure(void)
{
	enum { CLIENTS = 3, BOS = 6, ROUNDS = 6 };
	struct gpu gpu[CLIENTS];
	struct client_bo bo[CLIENTS][BOS];
	unsigned int i, k, round;

	for (i = 0; i < CLIENTS; i++) {
		gpu[i] = gpu_open(0);
		for (k = 0; k < BOS; k++) {
			bo[i][k].bo = k % 2 ? bo_new(&gpu[i], MIB, VRAM)
					    : bo_new_private(&gpu[i], 2 * MIB, VRAM);
			bo[i][k].va = gpu_bind(&gpu[i], bo[i][k].bo);
			check_ok(gpu_fill(&gpu[i], bo[i][k].va, MIB, i * BOS + k, 1));
		}
	}
	for (round = 0; round < ROUNDS; round++) {
		struct job job[CLIENTS];

		for (i = 0; i < CLIENTS; i++) {
			job[i] = job_new(&gpu[i]);
			for (k = 0; k < BOS; k++)
				drover_submission_check(job[i].sub, bo[i][k].va, MIB, i * BOS + k,
							1);
			job_submit(&job[i]);
		}
		for (i = 0; i < CLIENTS; i++) {
			check_ok(job_wait(&job[i]));
			job_free(&job[i]);
		}
	}
	for (i = 0; i < CLIENTS; i++)
		check(vm_info(&gpu[i]).remaps >= ROUNDS, "client %u was remapped %llu times only",
		      i, (unsigned long long)vm_info(&gpu[i]).remaps);
}

static const struct test tests[] = {
	TEST(only_what_moved_is_remapped),
	TEST(counted_exactly),
	TEST(other_vms_jobs_delay_no_move),
	TEST(all_gates_close_at_once),
	TEST(endless_job_stops_no_move),
	TEST(destroyed_while_suspending),
	TEST(killed_while_suspending),
	TEST(unbound_while_suspending),
	TEST(sixty_four_vms_share_a_moving_bo),
	TEST(eight_threads_submit_to_a_suspended_vm),
	TEST(poison_shows),
	TEST(nobody_is_late),
	TEST(nobody_is_late_under_pressure),
};

int main(int argc, char **argv)
{
	return test_main("gate", tests, ARRAY_SIZE(tests), argc, argv);
}
