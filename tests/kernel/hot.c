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

/* What has just been closed may be there for a moment, and even be spared. */
static struct gpu gpu_open_empty(void)
{
	struct gpu gpu = gpu_open(0);

	check(eventually(!device_info(gpu.dev).vram_used), "VRAM of a closed client is in use");
	return gpu;
}

/* Whether the one that was used last stays; false also if the machine was too slow to tell. */
static bool stays_when_hot(unsigned int hot, bool *in_time)
{
	struct gpu other = gpu_open_empty();
	struct pair pair = pair_new(VRAM | GTT);
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

/*
 * Whether a BO that a CPU has touched in an aperture stays, and one goes that was made
 * later, which is after it on the list, and which nobody has used. No VM ever runs a job.
 */
static bool stays_when_touched(unsigned int ms_ago, bool *in_time)
{
	struct gpu gpu = gpu_open_empty(), other = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, 8 * MIB, VRAM | GTT);
	struct drover_bo *newer, *more;
	volatile uint32_t *words;
	int64_t touched;
	void *base;
	bool stays;

	check_ok(drover_vm_map_aperture(gpu.vm, 64 * MIB, &base));
	words = base;
	touched = now_ns();
	words[bo.va / 4] = 1;
	sleep_ms(ms_ago);
	newer = bo_new(&other, 8 * MIB, VRAM | GTT);
	check_eq(bo_info(bo.bo).placement, VRAM);
	check_eq(bo_info(newer).placement, VRAM);
	more = bo_new(&other, 8 * MIB, VRAM);
	*in_time = now_ns() - touched < MIN_RUN_NS * 8 / 10;
	stays = bo_info(bo.bo).placement == VRAM;
	check_eq(bo_info(newer).placement, stays ? GTT : VRAM);
	drover_bo_unref(more);
	drover_bo_unref(newer);
	gpu_close(&other);
	check_ok(drover_vm_unmap_aperture(gpu.vm, base, 64 * MIB));
	drover_bo_unref(bo.bo);
	gpu_close(&gpu);
	return stays;
}

static void touched_bo_is_spared(void)
{
	bool in_time = false, stays = false;
	unsigned int tries;

	for (tries = 0; tries < 5 && !in_time; tries++)
		stays = stays_when_touched(0, &in_time);
	check(in_time, "this machine is too slow: it takes a second to allocate 16 MiB");
	check(stays, "what was just touched was evicted, though nobody had used the other one");
}

/* And not for ever: then it's the first on the list that goes. */
static void bo_touched_long_ago_goes_first(void)
{
	bool in_time;

	check(!stays_when_touched(MIN_RUN_NS / 1000000 + 20, &in_time),
	      "what nobody has touched for min_run_ms was spared");
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
	TEST(bo_touched_long_ago_goes_first),
	TEST(hot_bos_go_if_they_must),
};

int main(int argc, char **argv)
{
	return test_main("hot", tests, ARRAY_SIZE(tests), argc, argv);
}
