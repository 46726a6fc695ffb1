// SPDX-License-Identifier: MIT
/*
 * Everything at once: processes that share BOs in a ring and do random things
 * with their own, on VRAM that is much too small, for a bounded time. Every word
 * is accounted for. What a process has bound always fits, so no operation may
 * fail. Three devices of 8 MiB of VRAM and of GTT.
 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROCESSES 4
#define DEVICES   3
#define SIZE      (128 * KIB)
#define BOS       32
#define BOUND     8
#define RUN_NS    (3 * SECOND_NS)

/* A BO and what has to be in it. */
struct slot {
	struct drover_bo *bo;
	uint32_t value, step;
	/* Its GPU address, 0 if it isn't bound. */
	uint64_t va;
};

struct worker {
	unsigned int number;
	uint64_t random;
	struct gpu gpu;
	struct slot slots[BOS];
	unsigned int bound;
	uint64_t next_va;
	/* What the ring shares: ours, and the one of the process before. */
	struct drover_bo *given, *taken;
	uint64_t given_va, taken_va;
	uint64_t operations;
};

static uint64_t below(struct worker *worker, uint64_t limit)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return worker->random % limit;
}

static void unbind_slot(struct worker *worker, struct slot *slot)
{
	if (!slot->va)
		return;
	check_ok(drover_vm_unbind(worker->gpu.vm, slot->va, SIZE));
	slot->va = 0;
	worker->bound--;
}

static void bind_slot(struct worker *worker, struct slot *slot)
{
	unsigned int i;

	if (slot->va)
		return;
	for (i = below(worker, BOS); worker->bound >= BOUND; i = (i + 1) % BOS)
		unbind_slot(worker, &worker->slots[i]);
	worker->next_va += SIZE;
	if (worker->next_va > 1ULL << 36)
		worker->next_va = 1ULL << 32;
	slot->va = worker->next_va;
	check_ok(drover_vm_bind(worker->gpu.vm, slot->va, slot->bo, 0, SIZE, 0));
	worker->bound++;
}

static void renew_slot(struct worker *worker, struct slot *slot)
{
	static const uint32_t placements[] = {VRAM, GTT, VRAM | GTT, VRAM | GTT};

	if (slot->bo) {
		unbind_slot(worker, slot);
		drover_bo_unref(slot->bo);
	}
	check_ok(drover_bo_create(worker->gpu.dev, SIZE, placements[below(worker, 4)], 0,
				  below(worker, 2) ? worker->gpu.vm : NULL, &slot->bo));
	slot->value = 0;
	slot->step = 0;
}

static void fill_slot(struct worker *worker, struct slot *slot)
{
	bind_slot(worker, slot);
	slot->value = below(worker, 1 << 30);
	slot->step = below(worker, 100);
	check_ok(gpu_fill(&worker->gpu, slot->va, SIZE, slot->value, slot->step));
}

static void check_slot(struct worker *worker, struct slot *slot)
{
	bind_slot(worker, slot);
	check_ok(gpu_check(&worker->gpu, slot->va, SIZE, slot->value, slot->step));
}

static void use_slot_by_cpu(struct worker *worker, struct slot *slot)
{
	uint32_t *words = bo_map(slot->bo);

	check_words(words, SIZE, slot->value, slot->step);
	if (below(worker, 2)) {
		slot->value++;
		fill_words(words, SIZE, slot->value, slot->step);
	}
	check_ok(drover_bo_unmap(slot->bo));
}

static void add_slots(struct worker *worker, struct slot *to, struct slot *from)
{
	struct job job;

	bind_slot(worker, to);
	bind_slot(worker, from);
	if (!to->va) /* gave way to the other one */
		return;
	job = job_new(&worker->gpu);
	drover_submission_add(job.sub, to->va, to->va, from->va, SIZE);
	check_ok(job_run(&job));
	to->value += from->value;
	to->step += from->step;
}

static void evict_something(struct worker *worker, struct slot *slot)
{
	switch (below(worker, 4)) {
	case 0:
		check_ok(drover_vm_evict(worker->gpu.vm, NULL));
		break;
	case 1:
		check_ok(drover_device_evict(worker->gpu.dev, NULL));
		break;
	case 2:
		check_ok(drover_bo_evict(worker->given, NULL));
		break;
	default:
		check_ok(drover_bo_evict(slot->bo, NULL));
	}
}

/* Ours is overwritten as a whole; who reads it sees one value or another, never both. */
static void write_given(struct worker *worker)
{
	struct job job = job_new(&worker->gpu);

	drover_submission_fill(job.sub, worker->given_va, SIZE, below(worker, 1 << 30), 1);
	drover_submission_buffer(job.sub, worker->given, DROVER_ACCESS_WRITE);
	check_ok(job_run(&job));
}

static void read_taken(struct worker *worker, struct slot *slot)
{
	struct job job;

	bind_slot(worker, slot);
	job = job_new(&worker->gpu);
	drover_submission_copy(job.sub, slot->va, worker->taken_va, SIZE);
	drover_submission_buffer(job.sub, worker->taken, DROVER_ACCESS_READ);
	check_ok(job_run(&job));
	slot->value = bo_map(slot->bo)[0];
	slot->step = 1;
	check_words(bo_map(slot->bo), SIZE, slot->value, 1);
	check_ok(drover_bo_unmap(slot->bo));
	check_ok(drover_bo_unmap(slot->bo));
}

static void work_once(struct worker *worker)
{
	struct slot *slot = &worker->slots[below(worker, BOS)];

	switch (below(worker, 10)) {
	case 0:
		renew_slot(worker, slot);
		break;
	case 1:
	case 2:
		fill_slot(worker, slot);
		break;
	case 3:
		check_slot(worker, slot);
		break;
	case 4:
		use_slot_by_cpu(worker, slot);
		break;
	case 5:
		add_slots(worker, slot, &worker->slots[below(worker, BOS)]);
		break;
	case 6:
		evict_something(worker, slot);
		break;
	case 7:
		write_given(worker);
		break;
	case 8:
		read_taken(worker, slot);
		break;
	default:
		unbind_slot(worker, slot);
	}
	worker->operations++;
}

/* Gives a BO to the next process, takes one from the process before. */
static void join_ring(struct worker *worker, int socket)
{
	int fd;

	worker->given = bo_new(&worker->gpu, SIZE, VRAM | GTT);
	worker->given_va = gpu_bind(&worker->gpu, worker->given);
	check_ok(gpu_fill(&worker->gpu, worker->given_va, SIZE, 1, 1));
	fd = bo_export(worker->given);
	send_fd(socket, fd);
	close(fd);
	fd = receive_fd(socket);
	worker->taken = bo_import(&worker->gpu, fd);
	worker->taken_va = gpu_bind(&worker->gpu, worker->taken);
	close(fd);
}

static _Noreturn void work(unsigned int number, uint64_t seed, int socket)
{
	struct worker worker = {
		.number = number,
		.random = (seed + number) * 0x9e3779b97f4a7c15ULL | 1,
		.gpu = gpu_open(number % DEVICES),
		.next_va = 1ULL << 32,
	};
	int64_t end;
	unsigned int i;

	join_ring(&worker, socket);
	for (i = 0; i < BOS; i++)
		renew_slot(&worker, &worker.slots[i]);
	for (end = now_ns() + RUN_NS; now_ns() < end;)
		work_once(&worker);
	for (i = 0; i < BOS; i++)
		check_slot(&worker, &worker.slots[i]);
	check_eq(vm_info(&worker.gpu).failed_checks, 0);
	check_eq(device_info(worker.gpu.dev).pinned_max, 0);
	check(worker.operations > 20, "%llu operations only",
	      (unsigned long long)worker.operations);
	test_exit();
}

static void random_operations_on_little_memory(void)
{
	const char *given = getenv("DROVER_STRESS_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 20261122, evictions = 0;
	int socket[PROCESSES][2], fd[PROCESSES];
	pid_t child[PROCESSES];
	unsigned int i;

	fprintf(stderr, "# stress: seed %llu (DROVER_STRESS_SEED)\n", (unsigned long long)seed);
	for (i = 0; i < PROCESSES; i++) {
		check_sys(socketpair(AF_UNIX, SOCK_STREAM, 0, socket[i]));
		child[i] = test_fork();
		if (!child[i]) {
			close(socket[i][0]);
			work(i, seed, socket[i][1]);
		}
		close(socket[i][1]);
	}
	for (i = 0; i < PROCESSES; i++)
		fd[i] = receive_fd(socket[i][0]);
	for (i = 0; i < PROCESSES; i++) {
		send_fd(socket[i][0], fd[(i + 1) % PROCESSES]);
		close(fd[(i + 1) % PROCESSES]);
	}
	for (i = 0; i < PROCESSES; i++)
		test_join(child[i]);
	for (i = 0; i < DEVICES; i++)
		evictions += device_info(device_open(i)).evictions;
	check(evictions > 20, "%llu evictions only", (unsigned long long)evictions);
}

static const struct test tests[] = {
	TEST(random_operations_on_little_memory),
};

int main(int argc, char **argv)
{
	return test_main("stress", tests, ARRAY_SIZE(tests), argc, argv);
}
