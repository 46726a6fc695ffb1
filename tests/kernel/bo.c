// SPDX-License-Identifier: MIT
/*
 * Buffer objects on one device: where they are, what is in them, how they are
 * mapped, and what doesn't fit. 16 MiB of VRAM, 32 MiB of GTT.
 */
#include "common.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xf86drm.h>

#define PATTERN 0x51000000

static void reports_what_was_asked_for(void)
{
	static const struct {
		uint32_t placements, preferred, reported, placement;
	} cases[] = {
		{VRAM, 0, VRAM, VRAM},       {GTT, 0, GTT, GTT},
		{VRAM | GTT, 0, VRAM, VRAM}, {VRAM | GTT, VRAM, VRAM, VRAM},
		{VRAM | GTT, GTT, GTT, GTT}, {VRAM, VRAM, VRAM, VRAM},
	};
	struct gpu gpu = gpu_open(0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct drm_drover_bo_info info;
		struct drover_bo *bo;

		check_ok(drover_bo_create(gpu.dev, 3 * PAGE, cases[i].placements,
					  cases[i].preferred, i & 1 ? gpu.vm : NULL, &bo));
		info = bo_info(bo);
		check_eq(info.size, 3 * PAGE);
		check_eq(info.placements, cases[i].placements);
		check_eq(info.preferred, cases[i].reported);
		check_eq(info.placement, cases[i].placement);
		check_eq(info.flags, i & 1 ? DRM_DROVER_BO_PRIVATE : 0);
		check_eq(info.pins + info.evictions + info.moves + info.remaps, 0);
		drover_bo_unref(bo);
	}
}

static void counts_memory_in_use(void)
{
	struct gpu gpu = gpu_open(0);
	struct drm_drover_device_info info = device_info(gpu.dev);
	struct drover_bo *vram, *gtt;

	check_eq(info.vram_size, 16 * MIB);
	check_eq(info.gtt_size, 32 * MIB);
	check_eq(info.vram_used, 0);
	check_eq(info.gtt_used, 0);

	vram = bo_new(&gpu, 3 * MIB, VRAM);
	gtt = bo_new_private(&gpu, 5 * MIB, GTT);
	info = device_info(gpu.dev);
	check_eq(info.vram_used, 3 * MIB);
	check_eq(info.gtt_used, 5 * MIB);

	drover_bo_unref(vram);
	check(eventually(device_info(gpu.dev).vram_used == 0), "a closed BO keeps its VRAM");
	check_eq(device_info(gpu.dev).gtt_used, 5 * MIB);
	drover_bo_unref(gtt);
	check(eventually(device_info(gpu.dev).gtt_used == 0), "a closed BO keeps its GTT");
}

static void exported_is_reported(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = bo_new(&gpu, PAGE, VRAM), *private;
	int fd;

	check_eq(bo_info(bo).flags, 0);
	fd = bo_export(bo);
	check_eq(bo_info(bo).flags, DRM_DROVER_BO_EXPORTED);
	close(fd);

	private = bo_new_private(&gpu, PAGE, VRAM);
	check_err(drover_bo_export(private, &fd), -EPERM);
	check_eq(bo_info(private).flags, DRM_DROVER_BO_PRIVATE);
}

static void new_memory_is_zero(void)
{
	static const uint32_t placements[] = {VRAM, GTT};
	struct gpu gpu = gpu_open(0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(placements); i++) {
		struct client_bo bo = gpu_bo(&gpu, MIB, placements[i]);

		check_words(bo_map(bo.bo), MIB, 0, 0);
		check_ok(gpu_check(&gpu, bo.va, MIB, 0, 0));
	}
}

/* What another client left in the memory. */
static void dirty_all_memory(void)
{
	struct gpu gpu = gpu_open(0);
	unsigned int i;

	for (i = 0; i < 16 + 32; i++) {
		struct client_bo bo = gpu_bo(&gpu, MIB, i < 16 ? VRAM : GTT);

		check_ok(gpu_fill(&gpu, bo.va, MIB, PATTERN, 1));
	}
	check_eq(device_info(gpu.dev).vram_used, 16 * MIB);
	check_eq(device_info(gpu.dev).gtt_used, 32 * MIB);
	test_exit();
}

static void reused_memory_is_zero(void)
{
	pid_t other = test_fork();
	struct gpu gpu;
	unsigned int i;

	if (!other)
		dirty_all_memory();
	test_join(other);

	gpu = gpu_open(0);
	check(eventually(device_info(gpu.dev).vram_used + device_info(gpu.dev).gtt_used == 0),
	      "memory of a process that has ended is still in use");
	for (i = 0; i < 16 + 32; i++) {
		struct client_bo bo = gpu_bo(&gpu, MIB, i < 16 ? VRAM : GTT);

		check_ok(gpu_check(&gpu, bo.va, MIB, 0, 0));
		if (i % 16 == 0)
			check_words(bo_map(bo.bo), MIB, 0, 0);
	}
}

/* The place that a BO leaves by a move is dirty, too. */
static void memory_reused_after_a_move_is_zero(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo old = gpu_bo(&gpu, 16 * MIB, VRAM), new;

	check_ok(gpu_fill(&gpu, old.va, 16 * MIB, PATTERN, 3));
	check_ok(drover_bo_evict(old.bo, NULL));
	check_ok(drover_vm_unbind(gpu.vm, old.va, 16 * MIB));

	new = gpu_bo(&gpu, 16 * MIB, VRAM);
	check_ok(gpu_check(&gpu, new.va, 16 * MIB, 0, 0));
	check_words(bo_map(old.bo), 16 * MIB, PATTERN, 3);
	check_words(bo_map(new.bo), 16 * MIB, 0, 0);
}

static void mapping_shows_what_the_engine_wrote(void)
{
	static const uint32_t placements[] = {VRAM, GTT};
	struct gpu gpu = gpu_open(0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(placements); i++) {
		struct client_bo bo = gpu_bo(&gpu, 64 * KIB, placements[i]);
		uint32_t *words = bo_map(bo.bo);

		check_ok(gpu_fill(&gpu, bo.va, 64 * KIB, PATTERN, 5));
		check_words(words, 64 * KIB, PATTERN, 5);
		fill_words(words, 64 * KIB, PATTERN + 1, 7);
		check_ok(gpu_check(&gpu, bo.va, 64 * KIB, PATTERN + 1, 7));
	}
}

static void mapping_follows_moves(void)
{
	static const uint32_t placements[] = {VRAM, GTT, VRAM | GTT};
	struct gpu gpu = gpu_open(0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(placements); i++) {
		struct client_bo bo = gpu_bo(&gpu, 256 * KIB, placements[i]);
		uint32_t before = bo_info(bo.bo).placement;
		uint32_t *words = bo_map(bo.bo);
		unsigned int round;

		for (round = 0; round < 4; round++) {
			uint32_t value = PATTERN + round * 0x100000;

			check_ok(gpu_fill(&gpu, bo.va, 256 * KIB, value, 1));
			check_ok(drover_bo_evict(bo.bo, NULL));
			check(bo_info(bo.bo).placement != before, "evicted, and still in place %u",
			      before);
			check_words(words, 256 * KIB, value, 1);
			fill_words(words, 256 * KIB, value, 2); /* written while evicted */
			check_ok(gpu_check(&gpu, bo.va, 256 * KIB, value, 2));
			fill_words(words, 256 * KIB, value, 3); /* and after it came back */
			check_ok(gpu_check(&gpu, bo.va, 256 * KIB, value, 3));
		}
	}
}

/* Only the device decides where it is, so a fault alone must not bring it back, nor lose a word. */
static void mapping_is_made_while_evicted(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, 64 * KIB, VRAM);

	check_ok(gpu_fill(&gpu, bo.va, 64 * KIB, PATTERN, 1));
	check_ok(drover_bo_evict(bo.bo, NULL));
	check_words(bo_map(bo.bo), 64 * KIB, PATTERN, 1);
	check_ok(gpu_check(&gpu, bo.va, 64 * KIB, PATTERN, 1));
	check_eq(bo_info(bo.bo).placement, VRAM);
}

static void counters_tell_evictions_and_moves(void)
{
	struct gpu gpu = gpu_open(0);
	struct drm_drover_device_info before = device_info(gpu.dev), after;
	struct client_bo bo = gpu_bo(&gpu, MIB, VRAM);
	struct drm_drover_evict result;
	struct drm_drover_bo_info info;

	check_ok(gpu_fill(&gpu, bo.va, MIB, 1, 0));
	check_ok(drover_bo_evict(bo.bo, &result));
	check_eq(result.evicted, 1);
	check_eq(result.evicted_bytes, MIB);
	check_eq(result.busy, 0);
	info = bo_info(bo.bo);
	check_eq(info.placement, EVICTED);
	check_eq(info.evictions, 1);
	check_eq(info.moves, 1);
	check_eq(info.remaps, 0);
	check_eq(device_info(gpu.dev).vram_used, 0);

	/* Evicted already: nothing is left to do. */
	check_ok(drover_bo_evict(bo.bo, &result));
	check_eq(result.evicted, 0);

	check_ok(gpu_check(&gpu, bo.va, MIB, 1, 0));
	info = bo_info(bo.bo);
	check_eq(info.placement, VRAM);
	check_eq(info.evictions, 1);
	check_eq(info.moves, 2);
	check_eq(info.remaps, 1);
	after = device_info(gpu.dev);
	check_eq(after.evictions - before.evictions, 1);
	check_eq(after.bytes_moved - before.bytes_moved, 2 * MIB);
}

static void too_large_for_every_placement(void)
{
	static const struct {
		uint64_t size;
		uint32_t placements;
		int error;
	} cases[] = {
		{16 * MIB, VRAM, 0},
		{16 * MIB + PAGE, VRAM, -ENOSPC},
		{32 * MIB, GTT, 0},
		{32 * MIB + PAGE, GTT, -ENOSPC},
		{20 * MIB, VRAM | GTT, 0},
		{33 * MIB, VRAM | GTT, -ENOSPC},
		{1024 * MIB, VRAM | GTT, -ENOSPC},
		{1ULL << 40, VRAM, -ENOSPC},
	};
	struct gpu gpu = gpu_open(0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct drover_bo *bo = NULL;
		int error = drover_bo_create(gpu.dev, cases[i].size, cases[i].placements, 0,
					     i & 1 ? gpu.vm : NULL, &bo);

		check(error == cases[i].error, "%llu bytes in placements %u: %d, expected %d",
		      (unsigned long long)cases[i].size, cases[i].placements, error,
		      cases[i].error);
		if (!error && cases[i].size == 20 * MIB)
			check_eq(bo_info(bo).placement, GTT);
		if (!error)
			drover_bo_unref(bo);
	}
}

/* All of the VRAM can be used, and the next BO evicts exactly one: the one not used for longest. */
static void least_recently_used_goes_first(void)
{
	struct gpu gpu = gpu_open(0);
	uint64_t before = device_info(gpu.dev).evictions;
	struct client_bo bo[16];
	uint32_t i;

	for (i = 0; i < 16; i++) {
		bo[i] = gpu_bo(&gpu, MIB, VRAM);
		check_ok(gpu_fill(&gpu, bo[i].va, MIB, i, 0));
		check_ok(drover_vm_unbind(gpu.vm, bo[i].va, MIB));
	}
	check_eq(device_info(gpu.dev).evictions, before);
	check_eq(device_info(gpu.dev).vram_used, 16 * MIB);

	for (i = 0; i < 4; i++) {
		uint32_t j;

		bo_new(&gpu, MIB, VRAM);
		check_eq(device_info(gpu.dev).evictions, before + i + 1);
		for (j = 0; j < 16; j++)
			check_eq(bo_info(bo[j].bo).placement, j <= i ? EVICTED : VRAM);
	}
	for (i = 0; i < 16; i++)
		check_words(bo_map(bo[i].bo), MIB, i, 0);
}

static void working_sets_take_turns(void)
{
	struct gpu one = gpu_open(0), two = gpu_open(0);
	struct client_bo a = gpu_bo(&one, 10 * MIB, VRAM), b = gpu_bo(&two, 10 * MIB, VRAM);
	uint32_t i;

	check_ok(gpu_fill(&one, a.va, 10 * MIB, PATTERN, 1));
	check_ok(gpu_fill(&two, b.va, 10 * MIB, PATTERN, 2));
	for (i = 0; i < 3; i++) {
		check_ok(gpu_check(&one, a.va, 10 * MIB, PATTERN, 1));
		check_ok(gpu_check(&two, b.va, 10 * MIB, PATTERN, 2));
	}
	check(bo_info(a.bo).evictions >= 3, "two BOs of 10 MiB were in 16 MiB of VRAM at once");
}

/* Three clients need all of it, in turns; the third finds the first one's VM gone, its BOs still there. */
static void idle_memory_makes_room(void)
{
	static const uint32_t placements[] = {VRAM, GTT};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(placements); i++) {
		struct gpu one = gpu_open(0), two = gpu_open(0), three = gpu_open(0);

		check_ok(gpu_use_all(&one, placements[i], 1));
		check_ok(gpu_use_all(&two, placements[i], 2));
		drover_vm_destroy(one.vm);
		one.vm = NULL;
		check_ok(gpu_use_all(&three, placements[i], 3));
		check_words(bo_map(one.held[0]), MIB, 1, 0);
		check_words(bo_map(two.held[0]), MIB, 2, 0);
		check_words(bo_map(three.held[0]), MIB, 3, 0);
		gpu_close(&one);
		gpu_close(&two);
		gpu_close(&three);
	}
}

static void gtt_is_limited(void)
{
	struct gpu one = gpu_open(0), two = gpu_open(0);
	struct client_bo a = gpu_bo(&one, 20 * MIB, GTT), b;

	check_ok(gpu_fill(&one, a.va, 20 * MIB, PATTERN, 1));
	b = gpu_bo(&two, 20 * MIB, GTT);
	check(device_info(one.dev).gtt_used <= 32 * MIB, "more GTT in use than there is");
	check_ok(gpu_fill(&two, b.va, 20 * MIB, PATTERN, 2));
	check_ok(gpu_check(&one, a.va, 20 * MIB, PATTERN, 1));
	check_ok(gpu_check(&two, b.va, 20 * MIB, PATTERN, 2));
	check(bo_info(a.bo).evictions + bo_info(b.bo).evictions > 0,
	      "two BOs of 20 MiB are in 32 MiB of GTT at once");
}

static void evict_spares_other_clients(void)
{
	struct gpu one = gpu_open(0), two = gpu_open(0);
	struct client_bo a = gpu_bo(&one, MIB, VRAM), b = gpu_bo(&one, 2 * MIB, GTT),
			 c = gpu_bo(&two, MIB, VRAM);
	struct drover_bo *private = bo_new_private(&one, 4 * MIB, VRAM);
	struct drm_drover_evict result;

	check_ok(drover_device_evict(one.dev, &result));
	check_eq(result.evicted, 3);
	check_eq(result.evicted_bytes, 7 * MIB);
	check_eq(result.busy, 0);
	check_eq(bo_info(a.bo).placement, EVICTED);
	check_eq(bo_info(b.bo).placement, EVICTED);
	check_eq(bo_info(private).placement, EVICTED);
	check_eq(bo_info(c.bo).placement, VRAM);
}

static uint32_t *raw_mmap(struct gpu *gpu, struct drover_bo *bo, int protection, int flags)
{
	struct drm_drover_bo_mmap mmap_offset = {.handle = drover_bo_handle(bo)};
	int fd = drover_device_fd(gpu->dev);

	check_sys(drmIoctl(fd, DRM_IOCTL_DROVER_BO_MMAP, &mmap_offset));
	return mmap(NULL, drover_bo_size(bo), protection, flags, fd, mmap_offset.offset);
}

static void closed_while_mapped(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, MIB, VRAM);
	uint32_t *words = raw_mmap(&gpu, bo.bo, PROT_READ | PROT_WRITE, MAP_SHARED);

	check(words != MAP_FAILED, "mmap: %m");
	check_ok(gpu_fill(&gpu, bo.va, MIB, PATTERN, 1));
	check_ok(drover_vm_unbind(gpu.vm, bo.va, MIB));
	drover_bo_unref(bo.bo);
	check_words(words, MIB, PATTERN, 1);
	fill_words(words, MIB, PATTERN, 2);

	/* It has no handle left, but can still be moved. */
	check_ok(gpu_use_all(&gpu, VRAM, 0xdead));
	check_words(words, MIB, PATTERN, 2);

	gpu_close(&gpu);
	check_words(words, MIB, PATTERN, 2);
	check_sys(munmap(words, MIB));
}

static void mapping_survives_fork(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, MIB, VRAM);
	uint32_t *words = bo_map(bo.bo);
	pid_t child;

	fill_words(words, MIB, PATTERN, 1);
	child = test_fork();
	if (!child) {
		check_words(words, MIB, PATTERN, 1);
		check_ok(drover_bo_evict(bo.bo, NULL));
		fill_words(words, MIB, PATTERN, 2);
		test_exit();
	}
	test_join(child);
	check_words(words, MIB, PATTERN, 2);
	check_ok(gpu_check(&gpu, bo.va, MIB, PATTERN, 2));
}

static void private_mapping_is_refused(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = bo_new(&gpu, PAGE, VRAM);

	/* A copy on write couldn't follow the BO. */
	check(raw_mmap(&gpu, bo, PROT_READ | PROT_WRITE, MAP_PRIVATE) == MAP_FAILED,
	      "MAP_PRIVATE was allowed");
}

static void offset_is_no_key_to_others(void)
{
	struct gpu one = gpu_open(0), two = gpu_open(0);
	struct drm_drover_bo_mmap arg = {.handle = drover_bo_handle(bo_new(&one, PAGE, VRAM))};

	check_sys(drmIoctl(drover_device_fd(one.dev), DRM_IOCTL_DROVER_BO_MMAP, &arg));
	check(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, drover_device_fd(two.dev), arg.offset) ==
		      MAP_FAILED,
	      "another client can map a BO that it has no handle for");
	check_eq(errno, EACCES);
}

static void mapping_ends_with_the_bo(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = bo_new(&gpu, 2 * PAGE, VRAM);
	struct drm_drover_bo_mmap arg = {.handle = drover_bo_handle(bo)};

	check_sys(drmIoctl(drover_device_fd(gpu.dev), DRM_IOCTL_DROVER_BO_MMAP, &arg));
	check(mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, drover_device_fd(gpu.dev), arg.offset) ==
		      MAP_FAILED,
	      "more than the BO can be mapped");
}

/* The handle is gone; the memory is not, because it's bound. */
static void closed_while_bound(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, MIB, VRAM);

	check_ok(gpu_fill(&gpu, bo.va, MIB, PATTERN, 1));
	drover_bo_unref(bo.bo);
	check_ok(gpu_check(&gpu, bo.va, MIB, PATTERN, 1));
	check_eq(device_info(gpu.dev).vram_used, MIB);
	check_ok(drover_vm_unbind(gpu.vm, bo.va, MIB));
	check(eventually(device_info(gpu.dev).vram_used == 0), "an unbound, closed BO keeps VRAM");
}

static const struct test tests[] = {
	TEST(reports_what_was_asked_for),
	TEST(counts_memory_in_use),
	TEST(exported_is_reported),
	TEST(new_memory_is_zero),
	TEST(reused_memory_is_zero),
	TEST(memory_reused_after_a_move_is_zero),
	TEST(mapping_shows_what_the_engine_wrote),
	TEST(mapping_follows_moves),
	TEST(mapping_is_made_while_evicted),
	TEST(counters_tell_evictions_and_moves),
	TEST(too_large_for_every_placement),
	TEST(least_recently_used_goes_first),
	TEST(working_sets_take_turns),
	TEST(idle_memory_makes_room),
	TEST(gtt_is_limited),
	TEST(evict_spares_other_clients),
	TEST(closed_while_mapped),
	TEST(mapping_survives_fork),
	TEST(private_mapping_is_refused),
	TEST(offset_is_no_key_to_others),
	TEST(mapping_ends_with_the_bo),
	TEST(closed_while_bound),
};

int main(int argc, char **argv)
{
	return test_main("bo", tests, ARRAY_SIZE(tests), argc, argv);
}
