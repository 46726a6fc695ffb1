// SPDX-License-Identifier: MIT
/*
 * System memory that BOs leave when they come back to VRAM: the next evictions get
 * it, nobody sees what was in it, there's never more of it than VRAM, and the kernel
 * gets it back when memory is short. 16 MiB of VRAM, 32 MiB of GTT.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

#define VRAM_SIZE    (16 * MIB)
#define TTM_SWAPOUT  "/sys/kernel/debug/ttm/tt_shrink"
#define DROP_OBJECTS "2\n" /* admin-guide/sysctl/vm.rst, drop_caches: what shrinkers free */

struct kept {
	uint64_t pages, taken;
};

static struct kept kept_by(struct drover_device *dev)
{
	unsigned long long pages, taken;
	char path[128], *text;

	debugfs_path(dev, "kept_pages", path, sizeof(path));
	text = read_file("%s", path);
	check(text, "can't read %s: %m", path);
	check(sscanf(text, "pages taken %llu %llu", &pages, &taken) == 2, "%s says: %s", path,
	      text);
	free(text);
	return (struct kept){.pages = pages, .taken = taken};
}

static void shrink(void)
{
	check_ok(write_file("/proc/sys/vm/drop_caches", DROP_OBJECTS));
}

/* The device outlives tests and their files: each starts with nothing kept. */
static struct gpu gpu_with_nothing_kept(void)
{
	struct gpu gpu = gpu_open(0);

	shrink();
	check_eq(kept_by(gpu.dev).pages, 0);
	return gpu;
}

static void evict(const struct client_bo *bo)
{
	check_ok(drover_bo_evict(bo->bo, NULL));
	check_eq(bo_info(bo->bo).placement, EVICTED);
}

static void evict_and_bring_back(const struct gpu *gpu, const struct client_bo *bo, uint64_t size,
				 uint32_t value)
{
	evict(bo);
	check_ok(gpu_check(gpu, bo->va, size, value, 1));
	check_eq(bo_info(bo->bo).placement, VRAM);
}

static void evictions_take_what_was_left(void)
{
	struct gpu gpu = gpu_with_nothing_kept();
	struct client_bo bo[2] = {gpu_bo(&gpu, MIB, VRAM), gpu_bo(&gpu, MIB, VRAM)};
	uint64_t taken = kept_by(gpu.dev).taken;
	unsigned int i;

	for (i = 0; i < 2; i++)
		check_ok(gpu_fill(&gpu, bo[i].va, MIB, 1000 * i, 1));
	evict_and_bring_back(&gpu, &bo[0], MIB, 0);
	check_eq(kept_by(gpu.dev).pages, MIB / PAGE);
	check_eq(kept_by(gpu.dev).taken, taken);

	evict(&bo[1]);
	check_eq(kept_by(gpu.dev).pages, 0);
	check_eq(kept_by(gpu.dev).taken, taken + 1);
	evict(&bo[0]);
	check_eq(kept_by(gpu.dev).taken, taken + 1);

	for (i = 0; i < 10; i++) {
		check_ok(gpu_check(&gpu, bo[i % 2].va, MIB, 1000 * (i % 2), 1));
		evict(&bo[i % 2]);
	}
	check_eq(kept_by(gpu.dev).taken, taken + 11);
	gpu_close(&gpu);
}

/* Each time more than the last BO left: no lot fits, and all of them can't stay. */
static void no_more_than_vram_is_kept(void)
{
	struct gpu gpu = gpu_with_nothing_kept();
	uint64_t taken = kept_by(gpu.dev).taken, size, pages = 0;
	struct client_bo bo;

	for (size = 4 * MIB; size <= 8 * MIB; size += MIB) {
		bo = gpu_bo(&gpu, size, VRAM);
		check_ok(gpu_fill(&gpu, bo.va, size, size, 1));
		evict_and_bring_back(&gpu, &bo, size, size);
		check(kept_by(gpu.dev).pages <= VRAM_SIZE / PAGE, "%llu pages are kept",
		      (unsigned long long)kept_by(gpu.dev).pages);
		check_ok(drover_vm_unbind(gpu.vm, bo.va, size));
		drover_bo_unref(bo.bo);
		pages += size / PAGE;
	}
	check(pages > VRAM_SIZE / PAGE, "the test makes too few");
	check_eq(kept_by(gpu.dev).taken, taken);
	/* the oldest ones went: 4, 5 and 6 MiB */
	check_eq(kept_by(gpu.dev).pages, (7 + 8) * MIB / PAGE);
	gpu_close(&gpu);
}

static void new_memory_is_zeroed(void)
{
	struct gpu gpu = gpu_with_nothing_kept();
	struct client_bo secret = gpu_bo(&gpu, MIB, VRAM), untouched;
	struct drover_bo *bo;
	uint64_t taken;

	check_ok(gpu_fill(&gpu, secret.va, MIB, 0x5ec2e7, 1));
	evict_and_bring_back(&gpu, &secret, MIB, 0x5ec2e7);
	taken = kept_by(gpu.dev).taken;

	bo = bo_new(&gpu, MIB, GTT);
	check_words(bo_map(bo), MIB, 0, 0);
	check_eq(kept_by(gpu.dev).taken, taken);
	check_eq(kept_by(gpu.dev).pages, MIB / PAGE);

	untouched = gpu_bo(&gpu, MIB, VRAM);
	check_ok(gpu_check(&gpu, untouched.va, MIB, 0, 0));
	evict(&untouched);
	check_eq(kept_by(gpu.dev).taken, taken + 1);
	check_words(bo_map(untouched.bo), MIB, 0, 0);
	gpu_close(&gpu);
}

static void small_bos_leave_nothing(void)
{
	struct gpu gpu = gpu_with_nothing_kept();
	struct client_bo bo = gpu_bo(&gpu, 15 * PAGE, VRAM);

	check_ok(gpu_fill(&gpu, bo.va, 15 * PAGE, 1, 1));
	evict_and_bring_back(&gpu, &bo, 15 * PAGE, 1);
	check_eq(kept_by(gpu.dev).pages, 0);
	gpu_close(&gpu);
}

static void shrinker_frees_it(void)
{
	struct gpu gpu = gpu_with_nothing_kept();
	struct client_bo bo = gpu_bo(&gpu, 4 * MIB, VRAM);

	check_ok(gpu_fill(&gpu, bo.va, 4 * MIB, 1, 1));
	evict_and_bring_back(&gpu, &bo, 4 * MIB, 1);
	check_eq(kept_by(gpu.dev).pages, 4 * MIB / PAGE);
	shrink();
	check_eq(kept_by(gpu.dev).pages, 0);
	evict_and_bring_back(&gpu, &bo, 4 * MIB, 1);
	check_eq(kept_by(gpu.dev).pages, 4 * MIB / PAGE);
	gpu_close(&gpu);
}

/* What is swapped in is overwritten as well, so it may come into kept pages. */
static void swapped_out_bos_come_back(void)
{
	struct gpu gpu = gpu_with_nothing_kept();
	struct client_bo bo[2] = {gpu_bo(&gpu, MIB, VRAM), gpu_bo(&gpu, MIB, VRAM)};
	unsigned int i, round;
	long swapped = 0;
	char *text;

	for (i = 0; i < 2; i++)
		check_ok(gpu_fill(&gpu, bo[i].va, MIB, 1000 * i, 1));
	for (round = 0; round < 4; round++) {
		for (i = 0; i < 2; i++)
			evict(&bo[i]);
		/* TTM swaps out a BO each time that this is read, and says how many pages. */
		for (i = 0; i < 4; i++) {
			text = read_file(TTM_SWAPOUT);
			check(text, "can't read " TTM_SWAPOUT ": %m");
			swapped += strtol(text, NULL, 10);
			free(text);
		}
		for (i = 0; i < 2; i++)
			check_ok(gpu_check(&gpu, bo[i].va, MIB, 1000 * i, 1));
	}
	check(swapped > 0, "nothing was swapped out");
	gpu_close(&gpu);
}

/* While another thread shrinks without end. */
static void *shrink_on(void *stop)
{
	while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED))
		shrink();
	return NULL;
}

static void evictions_and_the_shrinker(void)
{
	struct gpu gpu = gpu_with_nothing_kept();
	struct client_bo bo[4];
	bool stop = false;
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		bo[i] = gpu_bo(&gpu, MIB, VRAM);
		check_ok(gpu_fill(&gpu, bo[i].va, MIB, i, 1));
	}
	thread = test_thread(shrink_on, &stop);
	for (i = 0; i < 200; i++) {
		evict(&bo[i % 4]);
		check_ok(gpu_check(&gpu, bo[(i + 2) % 4].va, MIB, (i + 2) % 4, 1));
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	test_thread_join(thread);
	for (i = 0; i < 4; i++)
		check_ok(gpu_check(&gpu, bo[i].va, MIB, i, 1));
	gpu_close(&gpu);
}

static const struct test tests[] = {
	TEST(evictions_take_what_was_left), TEST(no_more_than_vram_is_kept),
	TEST(new_memory_is_zeroed),         TEST(small_bos_leave_nothing),
	TEST(swapped_out_bos_come_back),    TEST(shrinker_frees_it),
	TEST(evictions_and_the_shrinker),
};

int main(int argc, char **argv)
{
	return test_main("kept", tests, ARRAY_SIZE(tests), argc, argv);
}
