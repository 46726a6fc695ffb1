// SPDX-License-Identifier: MIT
/*
 * The dma-buf contract with drivers that aren't ours: a dynamic exporter that
 * moves in every order that is allowed, and a dynamic importer with fences of its
 * own; two modules that know nothing of the driver. Two devices of 16 MiB of VRAM
 * and of GTT, p2p=1.
 */
#include "common.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../modules/drover_foreign.h"

#define SIZE (64 * KIB)

enum { KERNEL_FENCES, WRITE_FENCES, READ_FENCES, BOOKKEEP_FENCES };

static int foreign_open(const char *path, const char *load)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 && !system(load))
		check(eventually((fd = open(path, O_RDWR | O_CLOEXEC)) >= 0),
		      "'%s' made no device node %s", load, path);
	check(fd >= 0, "'%s' failed: build tests/modules for this kernel", load);
	return fd;
}

static int request(int fd, unsigned long what, void *argument)
{
	int ret;

	do
		ret = ioctl(fd, what, argument);
	while (ret == -1 && errno == EINTR);
	return ret ? -errno : 0;
}

/* ---- Things that wait, in threads of their own ---- */

struct call {
	int (*run)(void *data, uint32_t argument);
	void *data;
	uint32_t argument;
	pthread_t thread;
	int result;
	atomic_bool done;
};

static void *call_run(void *data)
{
	struct call *call = data;

	call->result = call->run(call->data, call->argument);
	atomic_store(&call->done, true);
	return NULL;
}

static void call_start(struct call *call, int (*run)(void *, uint32_t), void *data,
		       uint32_t argument)
{
	*call = (struct call){.run = run, .data = data, .argument = argument};
	call->thread = test_thread(call_run, call);
}

static void check_call_waits(struct call *call, const char *what)
{
	sleep_ms(CHANCE_MS);
	check(!atomic_load(&call->done), "%s", what);
}

static void call_join(struct call *call)
{
	test_thread_join(call->thread);
	check_ok(call->result);
}

static int submit(void *job, uint32_t argument)
{
	(void)argument;
	return drover_submission_submit(((struct job *)job)->sub);
}

static int evict(void *bo, uint32_t argument)
{
	(void)argument;
	return drover_bo_evict(bo, NULL);
}

/* ---- The exporter ---- */

struct exporter {
	int fd, dmabuf;
};

static int exporter_open(void)
{
	return foreign_open(FOREIGN_EXPORTER_PATH, "modprobe drover_foreign_exporter");
}

static struct exporter exporter_new(uint32_t flags)
{
	struct foreign_buffer_create create = {.size = SIZE, .flags = flags};
	struct exporter exporter = {.fd = exporter_open()};

	check_ok(request(exporter.fd, FOREIGN_CREATE, &create));
	exporter.dmabuf = create.fd;
	return exporter;
}

static int exporter_move(void *data, uint32_t order)
{
	return request(((struct exporter *)data)->fd, FOREIGN_MOVE, &order);
}

static int exporter_finish(void *data, uint32_t argument)
{
	(void)argument;
	return request(((struct exporter *)data)->fd, FOREIGN_FINISH, NULL);
}

static struct foreign_buffer_state exporter_state(const struct exporter *exporter)
{
	struct foreign_buffer_state state;

	check_ok(request(exporter->fd, FOREIGN_STATE, &state));
	return state;
}

/* Old places given back, and never written to after the move. */
static void check_nothing_is_stale(const struct exporter *exporter)
{
	struct foreign_buffer_state state;

	check(eventually(!exporter_state(exporter).stale_maps), "an old mapping is never unmapped");
	state = exporter_state(exporter);
	check_eq(state.late_writes, 0);
	check_eq(state.unlocked_calls, 0);
}

/* A job that doubles a BO as soon as a fence is released. */
static struct job held_doubling(const struct gpu *gpu, uint64_t va, const struct held_fence *hold)
{
	struct job job = job_new(gpu);

	job_wait_fence(gpu, &job, hold);
	drover_submission_add(job.sub, va, va, va, SIZE);
	job_submit(&job);
	return job;
}

static void moved_in_each_order(void)
{
	static const uint32_t orders[] = {FOREIGN_MOVE_NOTIFY_FIRST, FOREIGN_MOVE_WAIT_FIRST};
	struct gpu one = gpu_open(0), two = gpu_open(1);
	unsigned int i, round;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		struct exporter exporter = exporter_new(0);
		struct client_bo first = gpu_import(&one, exporter.dmabuf);
		struct client_bo second = gpu_import(&two, exporter.dmabuf);
		struct drm_drover_vm_info before = vm_info(&one), after;

		check_eq(bo_info(first.bo).flags, DRM_DROVER_BO_IMPORTED);
		for (round = 0; round < 4; round++) {
			check_ok(gpu_fill(&one, first.va, SIZE, round, 1));
			check_ok(gpu_check(&two, second.va, SIZE, round, 1));
			check_ok(exporter_move(&exporter, orders[i]));
			check_ok(gpu_check(&two, second.va, SIZE, round, 1));
			check_ok(gpu_check(&one, first.va, SIZE, round, 1));
		}
		check_nothing_is_stale(&exporter);
		after = vm_info(&one);
		check_eq(after.suspends - before.suspends, round);
		check_eq(after.invalidations - before.invalidations, round);
		check_eq(after.remaps - before.remaps, round);
		check_eq(after.spurious_suspends, 0);
		check_ok(drover_vm_unbind(one.vm, first.va, SIZE));
		check_ok(drover_vm_unbind(two.vm, second.va, SIZE));
	}
}

static void drained_when_it_moves(void)
{
	static const uint32_t orders[] = {FOREIGN_MOVE_NOTIFY_FIRST, FOREIGN_MOVE_WAIT_FIRST};
	struct gpu gpu = gpu_open(0);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		struct exporter exporter = exporter_new(0);
		struct client_bo bo = gpu_import(&gpu, exporter.dmabuf);
		struct held_fence hold = fence_hold();
		struct call move;
		struct job job;

		check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
		job = held_doubling(&gpu, bo.va, &hold);
		call_start(&move, exporter_move, &exporter, orders[i]);
		check_call_waits(&move, "the exporter could move the buffer of a running job");
		fence_release(&hold);
		call_join(&move);
		check(job_done(&job), "the exporter moved before the job was done");
		check_ok(job_wait(&job));
		check_ok(gpu_check(&gpu, bo.va, SIZE, 2, 2));
		check_nothing_is_stale(&exporter);
	}
}

/* The old mapping goes without anybody using the buffer again. */
static void unmapped_soon(void)
{
	struct gpu gpu = gpu_open(0);
	struct exporter exporter = exporter_new(0);
	struct client_bo bo = gpu_import(&gpu, exporter.dmabuf);

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	check_eq(exporter_state(&exporter).maps, 1);
	check_ok(exporter_move(&exporter, FOREIGN_MOVE_NOTIFY_FIRST));
	check_nothing_is_stale(&exporter);
	check_eq(exporter_state(&exporter).maps, 0);
	check_eq(bo_info(bo.bo).placement, EVICTED);

	/* Nor does it come back by itself, nor is it in the way of a second move. */
	check_ok(exporter_move(&exporter, FOREIGN_MOVE_NOTIFY_FIRST));
	check_eq(exporter_state(&exporter).maps, 0);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
	check_eq(exporter_state(&exporter).maps, 1);
}

/* Many moves while jobs run: what counts is the number, and that old places stay poisoned. */
struct mover {
	struct exporter exporter;
	atomic_bool stop;
	atomic_uint moves;
};

static int move_all_the_time(void *data, uint32_t argument)
{
	struct mover *mover = data;
	int error = 0;

	(void)argument;
	while (!error && !atomic_load(&mover->stop)) {
		error = exporter_move(&mover->exporter, mover->moves % 2);
		mover->moves++;
	}
	return error;
}

static void moved_while_jobs_run(void)
{
	struct gpu gpu[2] = {gpu_open(0), gpu_open(1)};
	struct mover mover = {.exporter = exporter_new(0)};
	uint64_t page[2], one[2];
	struct call moving;
	uint32_t count, side;

	for (side = 0; side < 2; side++) {
		page[side] = gpu_import(&gpu[side], mover.exporter.dmabuf).va + side * PAGE;
		one[side] = gpu_bo(&gpu[side], PAGE, VRAM | GTT).va;
		check_ok(gpu_fill(&gpu[side], one[side], PAGE, 1, 0));
	}
	call_start(&moving, move_all_the_time, &mover, 0);
	for (count = 0; count < 50 || atomic_load(&mover.moves) < 3; count++) {
		for (side = 0; side < 2; side++) {
			struct job job = job_new(&gpu[side]);

			drover_submission_check(job.sub, page[side], PAGE, count, 0);
			drover_submission_add(job.sub, page[side], page[side], one[side], PAGE);
			drover_submission_check(job.sub, page[side], PAGE, count + 1, 0);
			job_submit(&job);
			job_free(&job);
		}
	}
	for (side = 0; side < 2; side++)
		check_ok(gpu_check(&gpu[side], page[side], PAGE, count, 0));
	atomic_store(&mover.stop, true);
	call_join(&moving);
	for (side = 0; side < 2; side++) {
		check_ok(gpu_check(&gpu[side], page[side], PAGE, count, 0));
		check_eq(vm_info(&gpu[side]).failed_checks, 0);
		check_eq(vm_info(&gpu[side]).flags, 0);
	}
	check_nothing_is_stale(&mover.exporter);
}

/* The new place is there at once, but its contents come with the KERNEL fence. */
static void kernel_fence_is_waited_for(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_open(0);
	struct exporter exporter = exporter_new(0);
	struct client_bo bo = gpu_import(&gpu, exporter.dmabuf);
	struct job job = job_new(&gpu);
	struct call submitting;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	check_ok(exporter_move(&exporter, FOREIGN_MOVE_FENCE));
	drover_submission_check(job.sub, bo.va, SIZE, 1, 1);
	drover_submission_add(job.sub, bo.va, bo.va, bo.va, SIZE);
	call_start(&submitting, submit, &job, 0);
	sleep_ms(CHANCE_MS);
	check_err(drover_sync_wait(job.done, 0, 0, DROVER_SYNC_WAIT_FOR_SUBMIT), -ETIME);
	/* Nobody else has to wait. */
	check_ok(gpu_fill(&other, gpu_bo(&other, SIZE, VRAM | GTT).va, SIZE, 1, 1));
	check_ok(exporter_finish(&exporter, 0));
	call_join(&submitting);
	check_ok(job_wait(&job));
	check_ok(gpu_check(&gpu, bo.va, SIZE, 2, 2));
	check_nothing_is_stale(&exporter);
}

/* The move with a fence begins while a job runs, and its copy comes after the job. */
static void move_with_fence_waits_for_jobs(void)
{
	struct gpu gpu = gpu_open(0);
	struct exporter exporter = exporter_new(0);
	struct client_bo bo = gpu_import(&gpu, exporter.dmabuf);
	struct held_fence hold = fence_hold();
	struct call finishing;
	struct job job;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	job = held_doubling(&gpu, bo.va, &hold);
	check_ok(exporter_move(&exporter, FOREIGN_MOVE_FENCE));
	/* Mapped until the job is done, and nobody keeps the lock for that long. */
	sleep_ms(CHANCE_MS);
	check_eq(exporter_state(&exporter).stale_maps, 1);
	check(!job_done(&job), "a job is done before the fence that it waits for");
	call_start(&finishing, exporter_finish, &exporter, 0);
	check_call_waits(&finishing, "the exporter could copy the buffer of a running job");
	fence_release(&hold);
	call_join(&finishing);
	check_ok(job_wait(&job));
	check_ok(gpu_check(&gpu, bo.va, SIZE, 2, 2));
	check_nothing_is_stale(&exporter);
}

/* Nor does anybody have to use it again if jobs were running. */
static void unmapped_soon_after_jobs(void)
{
	struct gpu gpu = gpu_open(0);
	struct exporter exporter = exporter_new(0);
	struct client_bo bo = gpu_import(&gpu, exporter.dmabuf);
	struct held_fence hold = fence_hold();
	struct job job;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	job = held_doubling(&gpu, bo.va, &hold);
	check_ok(exporter_move(&exporter, FOREIGN_MOVE_FENCE));
	check_eq(exporter_state(&exporter).stale_maps, 1);
	fence_release(&hold);
	check_ok(exporter_finish(&exporter, 0));
	check_ok(job_wait(&job));
	check_nothing_is_stale(&exporter);
	check_eq(exporter_state(&exporter).maps, 0);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 2, 2));
}

static void submit_and_wait(int socket)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_import(&gpu, receive_fd(socket));

	check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
	check_eq(write(socket, "", 1), 1);
	check_eq(read(socket, &(char){0}, 1), 1);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
	die("the job ran before its memory was there");
}

/* In the middle of a resume, which waits for something that doesn't come. */
static void killed_while_resuming(void)
{
	struct exporter exporter;
	struct client_bo bo;
	struct gpu gpu;
	int socket[2];
	pid_t child;
	char byte;

	check_sys(socketpair(AF_UNIX, SOCK_STREAM, 0, socket));
	child = test_fork();
	if (!child)
		submit_and_wait(socket[1]);
	exporter = exporter_new(0);
	check_ok(request(exporter.fd, FOREIGN_FILL, &(struct foreign_fill){1, 1}));
	send_fd(socket[0], exporter.dmabuf);
	check_eq(read(socket[0], &byte, 1), 1);
	check_ok(exporter_move(&exporter, FOREIGN_MOVE_FENCE));
	check_eq(write(socket[0], "", 1), 1);
	sleep_ms(CHANCE_MS);
	test_kill(child);

	gpu = gpu_open(1);
	check_ok(exporter_finish(&exporter, 0));
	bo = gpu_import(&gpu, exporter.dmabuf);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
	check_nothing_is_stale(&exporter);
}

/* ---- Waits without a move ---- */

/* Somebody waits for all fences and moves nothing: re-armed, not remapped, and counted. */
static void suspended_without_an_invalidation(void)
{
	enum { ROUNDS = 3 };
	struct gpu gpu = gpu_open(0);
	struct exporter waited = exporter_new(0), other = exporter_new(0);
	struct client_bo bo = gpu_import(&gpu, waited.dmabuf);
	struct drm_drover_vm_info info;
	unsigned int round;

	gpu_import(&gpu, other.dmabuf);
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	for (round = 1; round <= ROUNDS; round++) {
		check_ok(request(waited.fd, FOREIGN_WAIT, NULL));
		check_eq(vm_info(&gpu).suspends, round);
		check_eq(vm_info(&gpu).evicted_bos, 0);
		check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
		check_eq(exporter_state(&waited).fences[BOOKKEEP_FENCES], 1);
	}
	info = vm_info(&gpu);
	check_eq(info.suspends, ROUNDS);
	check_eq(info.spurious_suspends, ROUNDS);
	check_eq(info.resumes, ROUNDS);
	check_eq(info.remaps, 0);
	check_eq(info.evictions, 0);
	check_eq(bo_info(bo.bo).evictions, 0);
	check_eq(bo_info(bo.bo).remaps, 0);
	/* Mapped once, and still there. */
	check_eq(exporter_state(&waited).maps, 1);
	check_eq(exporter_state(&waited).stale_maps, 0);
}

/* A wait stops the VM, whatever runs in it, and a job that comes meanwhile comes afterwards. */
static int exporter_wait(void *data, uint32_t argument)
{
	(void)argument;
	return request(((struct exporter *)data)->fd, FOREIGN_WAIT, NULL);
}

static void wait_stops_the_vm(void)
{
	struct gpu gpu = gpu_open(0);
	struct exporter exporter = exporter_new(0);
	struct client_bo bo = gpu_import(&gpu, exporter.dmabuf);
	struct held_fence hold = fence_hold();
	struct call waiting, submitting;
	struct job held, next = job_new(&gpu);

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	held = held_doubling(&gpu, bo.va, &hold);
	call_start(&waiting, exporter_wait, &exporter, 0);
	check(gate_closes(&gpu), "the gate doesn't close");
	check_call_waits(&waiting, "a working-set fence signalled while a job runs");
	drover_submission_check(next.sub, bo.va, SIZE, 2, 2);
	call_start(&submitting, submit, &next, 0);
	check_call_waits(&submitting, "a job was armed while the gate is closing");
	fence_release(&hold);
	call_join(&waiting);
	call_join(&submitting);
	check_ok(job_wait(&held));
	check_ok(job_wait(&next));
	check_eq(vm_info(&gpu).remaps, 0);
}

/* Fences of different BOs of a VM signal each for itself, in whatever order they are wanted. */
static void bos_are_waited_for_one_by_one(void)
{
	struct gpu gpu = gpu_open(0);
	struct exporter first = exporter_new(0), second = exporter_new(0);
	struct client_bo bo = gpu_import(&gpu, first.dmabuf);
	struct foreign_buffer_state state;
	uint64_t context;

	gpu_import(&gpu, second.dmabuf);
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	state = exporter_state(&first);
	check_eq(state.fences[BOOKKEEP_FENCES], 1);
	context = state.contexts[0];
	state = exporter_state(&second);
	check_eq(state.fences[BOOKKEEP_FENCES], 1);
	check(state.contexts[0] != context, "two BOs' fences are in one context");

	check_ok(request(second.fd, FOREIGN_WAIT, NULL));
	check_eq(exporter_state(&second).fences[BOOKKEEP_FENCES], 0);
	check_eq(exporter_state(&first).fences[BOOKKEEP_FENCES], 1);
	/* With the gate closed, and nobody to open it, the other one signals as well. */
	check_ok(request(first.fd, FOREIGN_WAIT, NULL));
	check_eq(exporter_state(&first).fences[BOOKKEEP_FENCES], 0);
	check_eq(vm_info(&gpu).suspends, 1);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
	check_eq(exporter_state(&first).fences[BOOKKEEP_FENCES], 1);
	check_eq(exporter_state(&second).fences[BOOKKEEP_FENCES], 1);
	check_eq(vm_info(&gpu).spurious_suspends, 2);
}

/* ---- What a submission touches ---- */

static void check_fences(const struct exporter *exporter, uint32_t write, uint32_t read)
{
	struct foreign_buffer_state state = exporter_state(exporter);

	check_eq(state.fences[KERNEL_FENCES], 0);
	check_eq(state.fences[WRITE_FENCES], write);
	check_eq(state.fences[READ_FENCES], read);
	/* One, from the first use on, whatever runs. */
	check_eq(state.fences[BOOKKEEP_FENCES], 1);
}

static void fences_by_category(void)
{
	struct gpu gpu = gpu_open(0);
	struct exporter exporter = exporter_new(0);
	struct client_bo bo = gpu_import(&gpu, exporter.dmabuf);
	struct held_fence hold;
	struct job job[3];
	unsigned int i;

	check_eq(exporter_state(&exporter).fences[BOOKKEEP_FENCES], 0);
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	check_fences(&exporter, 0, 0);
	hold = fence_hold();
	for (i = 0; i < 3; i++) {
		static const uint32_t accesses[] = {0, DROVER_ACCESS_READ, DROVER_ACCESS_WRITE};

		job[i] = job_new(&gpu);
		job_wait_fence(&gpu, &job[i], &hold);
		if (accesses[i])
			drover_submission_buffer(job[i].sub, bo.bo, accesses[i]);
		job_submit(&job[i]);
		check_fences(&exporter, i >= 2, i == 1);
	}
	fence_release(&hold);
	for (i = 0; i < 3; i++)
		check_ok(job_wait(&job[i]));
	check_fences(&exporter, 0, 0);
}

static int hold_lock(void *data, uint32_t dmabuf)
{
	return request(*(int *)data, FOREIGN_HOLD, &dmabuf);
}

/* Somebody holds a shared BO's lock: who doesn't list it doesn't notice. */
static void check_lock_is_not_taken(struct gpu *gpu, struct client_bo bo, int dmabuf)
{
	struct exporter holder = {.fd = exporter_open()};
	struct job listed = job_new(gpu);
	struct call holding, submitting;
	int i;

	check_ok(gpu_fill(gpu, bo.va, SIZE, 1, 1));
	call_start(&holding, hold_lock, &holder.fd, dmabuf);
	check(eventually(exporter_state(&holder).locked), "nobody holds the lock");
	for (i = 0; i < 3; i++)
		check_ok(gpu_check(gpu, bo.va, SIZE, 1, 1));
	check(!atomic_load(&holding.done), "the lock was let go before the jobs were done");

	drover_submission_check(listed.sub, bo.va, SIZE, 1, 1);
	drover_submission_buffer(listed.sub, bo.bo, DROVER_ACCESS_READ);
	call_start(&submitting, submit, &listed, 0);
	check_call_waits(&submitting, "a listed BO was fenced while somebody else has its lock");
	check_ok(request(holder.fd, FOREIGN_LET_GO, NULL));
	call_join(&holding);
	call_join(&submitting);
	check_ok(job_wait(&listed));
	close(holder.fd);
}

static void submission_takes_no_shared_lock(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_open(1);
	struct exporter exporter = exporter_new(0);
	struct client_bo own = gpu_bo(&gpu, SIZE, VRAM | GTT);
	struct client_bo foreign = gpu_import(&gpu, exporter.dmabuf);
	int dmabuf = bo_export(own.bo);
	struct client_bo imported = gpu_import(&other, dmabuf);

	check_lock_is_not_taken(&gpu, foreign, exporter.dmabuf);
	check_lock_is_not_taken(&gpu, own, dmabuf);
	check_lock_is_not_taken(&other, imported, dmabuf);
}

/* ---- Afterwards ---- */

static void check_nothing_is_left(const struct exporter *exporter)
{
	struct foreign_buffer_state state;

	check(eventually(!exporter_state(exporter).fences[BOOKKEEP_FENCES]),
	      "a working-set fence outlives its pair");
	state = exporter_state(exporter);
	check_eq(state.left, 0);
	check_ok(request(exporter->fd, FOREIGN_WAIT, NULL));
}

static void no_fence_is_left_behind(void)
{
	struct gpu gpu = gpu_open(0), destroyed = gpu_open(1), closed = gpu_open(1);
	struct exporter exporter = exporter_new(0);
	struct client_bo bo = gpu_import(&gpu, exporter.dmabuf), imported;

	/* Signalled and armed again; and then unbound. */
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	check_ok(request(exporter.fd, FOREIGN_WAIT, NULL));
	check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
	check_ok(drover_vm_unbind(gpu.vm, bo.va, SIZE));
	check_nothing_is_left(&exporter);

	/* Or signalled and not armed again. */
	imported = gpu_import(&destroyed, exporter.dmabuf);
	check_ok(gpu_check(&destroyed, imported.va, SIZE, 1, 1));
	check_ok(request(exporter.fd, FOREIGN_WAIT, NULL));
	drover_vm_destroy(destroyed.vm);
	check(eventually(!exporter_state(&exporter).left), "a fence is left by a destroyed VM");
	check_nothing_is_left(&exporter);

	imported = gpu_import(&closed, exporter.dmabuf);
	check_ok(gpu_check(&closed, imported.va, SIZE, 1, 1));
	drover_bo_unref(imported.bo);
	gpu_close(&closed);
	check(eventually(!exporter_state(&exporter).left), "a fence is left by a closed file");
	check_nothing_is_left(&exporter);
	check_eq(vm_info(&gpu).suspends, 1);
}

/* Who lets go of a buffer stops nobody else who has it: neither an import nor the exporter's own VM. */
static void leaving_stops_nobody(void)
{
	struct gpu stays = gpu_open(0), leaves = gpu_open(1), owner = gpu_open(1);
	struct exporter exporter = exporter_new(0);
	struct client_bo bo = gpu_import(&stays, exporter.dmabuf), other, own, imported;
	int dmabuf;

	other = gpu_import(&leaves, exporter.dmabuf);
	own = gpu_bo(&owner, SIZE, VRAM | GTT);
	dmabuf = bo_export(own.bo);
	imported = gpu_import(&stays, dmabuf);
	close(dmabuf);
	check_ok(gpu_fill(&owner, own.va, SIZE, 5, 1));
	check_ok(gpu_fill(&leaves, other.va, SIZE, 1, 1));
	check_ok(gpu_check(&stays, bo.va, SIZE, 1, 1));
	check_eq(exporter_state(&exporter).fences[BOOKKEEP_FENCES], 2);

	drover_bo_unref(other.bo);
	gpu_close(&leaves);
	drover_bo_unref(own.bo);
	gpu_close(&owner);
	check(eventually(exporter_state(&exporter).maps == 1),
	      "a closed import is mapped for ever");
	check_ok(gpu_check(&stays, bo.va, SIZE, 1, 1));
	check_ok(gpu_check(&stays, imported.va, SIZE, 5, 1));
	check_eq(vm_info(&stays).suspends, 0);
	check_eq(exporter_state(&exporter).fences[BOOKKEEP_FENCES], 1);
}

/* The buffer outlives its exporter's file and descriptor for as long as it is imported. */
static void exporter_goes_first(void)
{
	struct gpu gpu = gpu_open(0);
	struct exporter exporter = exporter_new(0);
	struct client_bo bo = gpu_import(&gpu, exporter.dmabuf);

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	check_ok(exporter_move(&exporter, FOREIGN_MOVE_FENCE));
	close(exporter.fd);
	close(exporter.dmabuf);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
}

/* A core that pins what is mapped (6.12) keeps such a buffer in place; no other does. */
static void pinned_where_the_core_pins(void)
{
	struct gpu gpu = gpu_open(0);
	struct exporter exporter = exporter_new(FOREIGN_BUFFER_PINS);
	struct client_bo bo = gpu_import(&gpu, exporter.dmabuf);

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	if (kernel_before_7()) {
		check_eq(exporter_state(&exporter).pins, 1);
		check_err(exporter_move(&exporter, FOREIGN_MOVE_NOTIFY_FIRST), -EBUSY);
		check_ok(drover_vm_unbind(gpu.vm, bo.va, SIZE));
		drover_bo_unref(bo.bo);
		check(eventually(!exporter_state(&exporter).pins), "still pinned after its import");
	} else {
		check_eq(exporter_state(&exporter).pins, 0);
	}
	check_ok(exporter_move(&exporter, FOREIGN_MOVE_NOTIFY_FIRST));
	check_nothing_is_stale(&exporter);
}

/* ---- The importer ---- */

static int importer_new(int dmabuf, uint32_t flags)
{
	struct foreign_attach attach = {.fd = dmabuf, .flags = flags};
	int fd = foreign_open(FOREIGN_IMPORTER_PATH, "modprobe drover_foreign_importer");

	check_ok(request(fd, FOREIGN_ATTACH, &attach));
	return fd;
}

static struct foreign_log importer_log(int fd)
{
	struct foreign_log log;

	check_ok(request(fd, FOREIGN_LOG, &log));
	return log;
}

static bool has_event(int fd, enum foreign_event event)
{
	struct foreign_log log = importer_log(fd);
	unsigned int i;

	for (i = 0; i < log.count; i++)
		if (log.events[i] == event)
			return true;
	return false;
}

static void check_log(int fd, const uint32_t *expected, unsigned int count)
{
	struct foreign_log log = importer_log(fd);
	unsigned int i;

	check_eq(log.unlocked, 0);
	for (i = 0; i < count && i < log.count; i++)
		check(log.events[i] == expected[i], "event %u is %u, expected %u", i, log.events[i],
		      expected[i]);
	check_eq(log.count, count);
}

static void check_sum(int fd, uint32_t value)
{
	uint64_t sum;

	check_ok(request(fd, FOREIGN_CHECKSUM, &sum));
	check_eq(sum, (uint64_t)value * (SIZE / 4));
}

/* Told, waited for, and only then moved; unmapped; and the new place has the data. */
static void check_notified(uint32_t usage)
{
	static const uint32_t expected[] = {FOREIGN_EVENT_MAP,    FOREIGN_EVENT_FENCE,
					    FOREIGN_EVENT_NOTIFY, FOREIGN_EVENT_ENABLE,
					    FOREIGN_EVENT_SIGNAL, FOREIGN_EVENT_UNMAP};
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	int importer = importer_new(bo_export(bo.bo), FOREIGN_ATTACH_P2P);
	struct call evicting;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 7, 0));
	check_ok(request(importer, FOREIGN_MAP, NULL));
	check_eq(bo_info(bo.bo).placement, VRAM);
	check_sum(importer, 7);
	check_ok(request(importer, FOREIGN_USE, &usage));
	call_start(&evicting, evict, bo.bo, 0);
	check(eventually(has_event(importer, FOREIGN_EVENT_ENABLE)), "nobody waits for its fence");
	check_call_waits(&evicting, "moved while an importer's fence isn't signalled");
	check_sum(importer, 7);
	check_eq(bo_info(bo.bo).evictions, 0);
	check_ok(request(importer, FOREIGN_SIGNAL, NULL));
	call_join(&evicting);
	check(eventually(has_event(importer, FOREIGN_EVENT_UNMAP)), "the mapping isn't unmapped");
	check_log(importer, expected, ARRAY_SIZE(expected));

	check_ok(request(importer, FOREIGN_MAP, NULL));
	check_sum(importer, 7);
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 8, 0));
	check_sum(importer, 8);
	check_eq(bo_info(bo.bo).pins, 0);
	close(importer);
}

/* Where the core pins, it stays, and that is said. */
static void check_pinned(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	int importer = importer_new(bo_export(bo.bo), FOREIGN_ATTACH_P2P);

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 7, 0));
	check_ok(request(importer, FOREIGN_MAP, NULL));
	check_eq(bo_info(bo.bo).pins, 1);
	check_eq(device_info(gpu.dev).pinned, SIZE);
	check_err(drover_bo_evict(bo.bo, NULL), -EBUSY);
	check(!has_event(importer, FOREIGN_EVENT_NOTIFY), "notified, although it is pinned");
	check_ok(request(importer, FOREIGN_UNMAP, NULL));
	check_eq(bo_info(bo.bo).pins, 0);
	check_eq(device_info(gpu.dev).pinned, 0);
	check_ok(drover_bo_evict(bo.bo, NULL));
	check(has_event(importer, FOREIGN_EVENT_NOTIFY), "not notified, although attached");
	check_ok(request(importer, FOREIGN_MAP, NULL));
	check_sum(importer, 7);
}

static void importer_is_notified_and_waited_for(void)
{
	if (kernel_before_7()) {
		check_pinned();
	} else {
		check_notified(FOREIGN_USAGE_READ);
		check_notified(FOREIGN_USAGE_BOOKKEEP);
	}
}

/* The move back home is a move as well, and each later one, as long as it is attached. */
static void importer_is_notified_of_every_move(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM);
	int importer = importer_new(bo_export(bo.bo), FOREIGN_ATTACH_P2P);
	uint64_t moves;
	unsigned int i;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 7, 0));
	moves = bo_info(bo.bo).moves;
	for (i = 0; i < 3; i++) {
		check_ok(drover_bo_evict(bo.bo, NULL));
		check_ok(gpu_check(&gpu, bo.va, SIZE, 7, 0));
	}
	check_eq(bo_info(bo.bo).moves - moves, 6);
	check_eq(importer_log(importer).count, 6);
	check_eq(importer_log(importer).unlocked, 0);
	check_ok(request(importer, FOREIGN_DETACH, NULL));
	check_ok(drover_bo_evict(bo.bo, NULL));
	check_eq(importer_log(importer).count, 6);
}

/*
 * All who have to be waited for are asked first: the importer's fence isn't left
 * alone until a job of ours is done.
 */
static void all_fences_are_enabled_first(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct gpu gpu = gpu_open(0), user = gpu_open(1);
		struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
		int dmabuf = bo_export(bo.bo), importer = importer_new(dmabuf, FOREIGN_ATTACH_P2P);
		struct client_bo imported = gpu_import(&user, dmabuf);
		struct held_fence hold = fence_hold();
		uint32_t usage = FOREIGN_USAGE_BOOKKEEP;
		struct call evicting;
		struct job job;

		/* Before ours and after it. */
		if (i)
			check_ok(request(importer, FOREIGN_USE, &usage));
		check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
		job = held_doubling(&user, imported.va, &hold);
		if (!i)
			check_ok(request(importer, FOREIGN_USE, &usage));
		call_start(&evicting, evict, bo.bo, 0);
		check(eventually(has_event(importer, FOREIGN_EVENT_ENABLE)),
		      "nobody waits for the importer's fence while a job runs");
		check(!job_done(&job), "a job is done before the fence that it waits for");
		fence_release(&hold);
		check_ok(job_wait(&job));
		check_call_waits(&evicting, "moved while an importer's fence isn't signalled");
		check_ok(request(importer, FOREIGN_SIGNAL, NULL));
		call_join(&evicting);
		check_ok(gpu_check(&gpu, bo.va, SIZE, 2, 2));
		close(importer);
	}
}

/* Implicit sync sees the importer's READ fence, and only it. */
static void importers_fences_and_implicit_sync(void)
{
	unsigned int usage;

	for (usage = 0; usage < 2; usage++) {
		struct gpu gpu = gpu_open(0);
		struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
		int importer = importer_new(bo_export(bo.bo), FOREIGN_ATTACH_P2P);
		struct job writer = job_new(&gpu), reader = job_new(&gpu);

		check_ok(request(importer, FOREIGN_USE, &usage));
		check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 0));
		drover_submission_buffer(reader.sub, bo.bo, DROVER_ACCESS_READ);
		check_ok(job_run(&reader));
		drover_submission_buffer(writer.sub, bo.bo, DROVER_ACCESS_WRITE);
		job_submit(&writer);
		if (usage == FOREIGN_USAGE_READ)
			check_err(drover_sync_wait(writer.done, 0, CHANCE_MS * 1000000LL, 0),
				  -ETIME);
		else
			check_ok(job_wait(&writer));
		check_ok(request(importer, FOREIGN_SIGNAL, NULL));
		check_ok(job_wait(&writer));
		close(importer);
	}
}

/* One that can't reach VRAM gets it in GTT, for as long as it is attached. */
static void importer_without_p2p(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT), fixed = gpu_bo(&gpu, SIZE, VRAM);
	int importer = importer_new(bo_export(bo.bo), 0);
	int refused = importer_new(bo_export(fixed.bo), 0);

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 7, 0));
	check_eq(bo_info(bo.bo).placement, VRAM);
	check_ok(request(importer, FOREIGN_MAP, NULL));
	check_eq(bo_info(bo.bo).placement, GTT);
	check_sum(importer, 7);
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 8, 0));
	check_eq(bo_info(bo.bo).placement, GTT);
	check_sum(importer, 8);
	check_err(request(refused, FOREIGN_MAP, NULL), -EOPNOTSUPP);
	check_ok(gpu_fill(&gpu, fixed.va, SIZE, 1, 0));
}

static const struct test tests[] = {
	TEST(moved_in_each_order),
	TEST(drained_when_it_moves),
	TEST(unmapped_soon),
	TEST(moved_while_jobs_run),
	TEST(kernel_fence_is_waited_for),
	TEST(move_with_fence_waits_for_jobs),
	TEST(unmapped_soon_after_jobs),
	TEST(killed_while_resuming),
	TEST(suspended_without_an_invalidation),
	TEST(wait_stops_the_vm),
	TEST(bos_are_waited_for_one_by_one),
	TEST(fences_by_category),
	TEST(submission_takes_no_shared_lock),
	TEST(no_fence_is_left_behind),
	TEST(leaving_stops_nobody),
	TEST(exporter_goes_first),
	TEST(pinned_where_the_core_pins),
	TEST(importer_is_notified_and_waited_for),
	TEST(importer_is_notified_of_every_move),
	TEST(all_fences_are_enabled_first),
	TEST(importers_fences_and_implicit_sync),
	TEST(importer_without_p2p),
};

int main(int argc, char **argv)
{
	return test_main("contract", tests, ARRAY_SIZE(tests), argc, argv);
}
