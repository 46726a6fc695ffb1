// SPDX-License-Identifier: MIT
/*
 * What a VM has just used isn't worth evicting while something else is there, and
 * still goes if there isn't. Submissions don't touch shared BOs, so to the LRU
 * list a BO in steady use looks as old as its first use. 16 MiB of VRAM and 64 MiB
 * of GTT, min_run_ms=1000.
 */
#include "common.h"

#define MIN_RUN_NS SECOND_NS

/* Two BOs that fill VRAM together, both used; and some time in which nobody uses them. */
struct pair {
	struct gpu gpu[2];
	struct client_bo bo[2];
};

static struct pair pair_new(uint32_t placements)
{
	struct pair pair = {.gpu = {gpu_open(0), gpu_open(0)}};
	unsigned int i;

	for (i = 0; i < 2; i++) {
		pair.bo[i] = gpu_bo(&pair.gpu[i], 8 * MIB, placements);
		check_ok(gpu_fill(&pair.gpu[i], pair.bo[i].va, 8 * MIB, i, 1));
	}
	return pair;
}

static void pair_free(struct pair *pair)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		drover_bo_unref(pair->bo[i].bo);
		gpu_close(&pair->gpu[i]);
	}
}

/* Whether the one that was used last stays; false also if the machine was too slow to tell. */
static bool stays_when_hot(unsigned int hot, bool *in_time)
{
	struct pair pair = pair_new(VRAM | GTT);
	struct gpu other = gpu_open(0);
	struct drover_bo *bo;
	int64_t start;
	bool stays;

	sleep_ms(MIN_RUN_NS / 1000000 + 20);
	start = now_ns();
	check_ok(gpu_check(&pair.gpu[hot], pair.bo[hot].va, PAGE, hot, 1));
	bo = bo_new(&other, 8 * MIB, VRAM);
	*in_time = now_ns() - start < MIN_RUN_NS * 8 / 10;
	stays = bo_info(pair.bo[hot].bo).placement == VRAM;
	if (*in_time)
		check_eq(bo_info(pair.bo[!hot].bo).placement, stays ? GTT : VRAM);
	check_ok(gpu_check(&pair.gpu[!hot], pair.bo[!hot].va, 8 * MIB, !hot, 1));
	drover_bo_unref(bo);
	gpu_close(&other);
	pair_free(&pair);
	return stays;
}

/* Whichever is first on the list. */
static void hot_bo_is_spared(void)
{
	unsigned int hot, tries;

	for (hot = 0; hot < 2; hot++) {
		bool in_time = false, stays = false;

		for (tries = 0; tries < 5 && !in_time; tries++)
			stays = stays_when_hot(hot, &in_time);
		check(in_time, "this machine is too slow: it takes a second to allocate 8 MiB");
		check(stays, "what was just used was evicted, though something older was there");
	}
}

/* The same for what a CPU has just touched in an aperture; neither VM ever runs a job. */
static bool stays_when_touched(unsigned int touched, bool *in_time)
{
	struct gpu gpu[2] = {gpu_open(0), gpu_open(0)}, other = gpu_open(0);
	struct client_bo bo[2];
	volatile uint32_t *words;
	struct drover_bo *more;
	int64_t start = 0;
	unsigned int i;
	void *base[2];
	bool stays;

	for (i = 0; i < 2; i++) {
		bo[i] = gpu_bo(&gpu[i], 8 * MIB, VRAM | GTT);
		check_ok(drover_vm_map_aperture(gpu[i].vm, 64 * MIB, &base[i]));
		((volatile uint32_t *)base[i])[bo[i].va / 4] = i;
	}
	sleep_ms(MIN_RUN_NS / 1000000 + 20);
	start = now_ns();
	/* its entries are there: only a fault is seen */
	check_ok(drover_vm_unbind(gpu[touched].vm, bo[touched].va, 8 * MIB));
	check_ok(drover_vm_bind(gpu[touched].vm, bo[touched].va, bo[touched].bo, 0, 8 * MIB, 0));
	words = (volatile uint32_t *)base[touched];
	check_eq(words[bo[touched].va / 4], touched);
	more = bo_new(&other, 8 * MIB, VRAM);
	*in_time = now_ns() - start < MIN_RUN_NS * 8 / 10;
	stays = bo_info(bo[touched].bo).placement == VRAM;
	drover_bo_unref(more);
	gpu_close(&other);
	for (i = 0; i < 2; i++) {
		check_ok(drover_vm_unmap_aperture(gpu[i].vm, base[i], 64 * MIB));
		drover_bo_unref(bo[i].bo);
		gpu_close(&gpu[i]);
	}
	return stays;
}

static void touched_bo_is_spared(void)
{
	unsigned int touched, tries;

	for (touched = 0; touched < 2; touched++) {
		bool in_time = false, stays = false;

		for (tries = 0; tries < 5 && !in_time; tries++)
			stays = stays_when_touched(touched, &in_time);
		check(in_time, "this machine is too slow: it takes a second to allocate 8 MiB");
		check(stays, "what was just touched was evicted, though something older was there");
	}
}

/* Only hot ones are left: still no failure, and nothing is lost. */
static void hot_bos_go_if_they_must(void)
{
	struct pair pair = pair_new(VRAM);
	struct gpu other = gpu_open(0);
	struct client_bo bo;
	unsigned int i;

	for (i = 0; i < 2; i++)
		check_ok(gpu_check(&pair.gpu[i], pair.bo[i].va, 8 * MIB, i, 1));
	bo = gpu_bo(&other, 12 * MIB, VRAM);
	check_ok(gpu_fill(&other, bo.va, 12 * MIB, 5, 1));
	for (i = 0; i < 2; i++)
		check_ok(gpu_check(&pair.gpu[i], pair.bo[i].va, 8 * MIB, i, 1));
	check_ok(gpu_check(&other, bo.va, 12 * MIB, 5, 1));
}

static const struct test tests[] = {
	TEST(hot_bo_is_spared),
	TEST(touched_bo_is_spared),
	TEST(hot_bos_go_if_they_must),
};

int main(int argc, char **argv)
{
	return test_main("hot", tests, ARRAY_SIZE(tests), argc, argv);
}
