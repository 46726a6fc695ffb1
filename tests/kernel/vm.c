// SPDX-License-Identifier: MIT
/*
 * Address spaces: what is mapped after binds and unbinds, and that it comes
 * back after an eviction. 16 MiB of VRAM, 32 MiB of GTT.
 */
#include "common.h"

#include <stdio.h>
#include <unistd.h>

#define SIZE (64 * KIB)

static struct drm_drover_bind map_op(struct drover_bo *bo, uint64_t va, uint64_t offset,
				     uint64_t size)
{
	return (struct drm_drover_bind){
		.op = DRM_DROVER_BIND_MAP,
		.handle = drover_bo_handle(bo),
		.bo_offset = offset,
		.va = va,
		.size = size,
	};
}

static struct drm_drover_bind unmap_op(uint64_t va, uint64_t size)
{
	return (struct drm_drover_bind){.op = DRM_DROVER_BIND_UNMAP, .va = va, .size = size};
}

/* A shared BO of SIZE with a value of its own, bound nowhere. */
static struct drover_bo *new_bo(struct gpu *gpu, uint32_t value)
{
	struct drover_bo *bo = bo_new(gpu, SIZE, VRAM);

	fill_words(bo_map(bo), SIZE, value, 0);
	return bo;
}

/* Says what VM_INFO counts. */
static void check_counts(struct gpu *gpu, uint32_t mappings, uint32_t bos)
{
	struct drm_drover_vm_info info = vm_info(gpu);

	check_eq(info.mappings, mappings);
	check_eq(info.bos, bos);
}

/* Whether an address is mapped; tried in a VM of its own, since a fault loses it. */
static void check_faults(struct gpu *gpu, uint64_t va)
{
	check_eq(gpu_check(gpu, va, 4, 0, 0), (uint64_t)-EFAULT);
	check_eq(vm_info(gpu).fault_address, va);
}

static void new_vm_is_empty(void)
{
	struct gpu gpu = gpu_open(0);
	struct drm_drover_vm_info info = vm_info(&gpu), empty = {.vm_id = info.vm_id};

	check(info.vm_id, "a VM has the number 0");
	check(!memcmp(&info, &empty, sizeof(info)), "a new VM isn't empty");
}

static void numbers_are_unique_and_expire(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_add_vm(&gpu), again;
	struct drm_drover_vm_info info;

	check(drover_vm_id(gpu.vm) != drover_vm_id(other.vm), "two VMs have the same number");
	drover_vm_destroy(other.vm);
	check_ok(drover_vm_info(gpu.vm, &info));
	again = gpu_add_vm(&gpu);
	check(drover_vm_id(gpu.vm) != drover_vm_id(again.vm), "two VMs have the same number");
	check_counts(&again, 0, 0);
}

static void bind_and_unbind(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = new_bo(&gpu, 1);
	uint64_t va = gpu.va;

	check_ok(drover_vm_bind(gpu.vm, va, bo, 0, SIZE, 0));
	check_counts(&gpu, 1, 1);
	check_ok(gpu_check(&gpu, va, SIZE, 1, 0));
	check_eq(vm_info(&gpu).resident_bytes, SIZE);
	check_ok(drover_vm_unbind(gpu.vm, va, SIZE));
	check_counts(&gpu, 0, 0);
	check_eq(vm_info(&gpu).resident_bytes, 0);
	check_faults(&gpu, va);
}

static void unbind_of_nothing(void)
{
	struct gpu gpu = gpu_open(0);

	check_ok(drover_vm_unbind(gpu.vm, gpu.va, SIZE));
	check_counts(&gpu, 0, 0);
}

static void ends_of_the_address_space(void)
{
	struct gpu gpu = gpu_open(0);
	struct drm_drover_device_info info = device_info(gpu.dev);
	struct drover_bo *bo = new_bo(&gpu, 7);

	check_ok(drover_vm_bind(gpu.vm, info.va_start, bo, 0, PAGE, 0));
	check_ok(drover_vm_bind(gpu.vm, info.va_end - PAGE, bo, PAGE, PAGE, 0));
	check_ok(gpu_check(&gpu, info.va_start, PAGE, 7, 0));
	check_ok(gpu_check(&gpu, info.va_end - PAGE, PAGE, 7, 0));
	check_err(drover_vm_bind(gpu.vm, info.va_end, bo, 0, PAGE, 0), -EINVAL);
	check_err(drover_vm_bind(gpu.vm, info.va_end - PAGE, bo, 0, 2 * PAGE, 0), -EINVAL);
	check_err(drover_vm_bind(gpu.vm, info.va_start - PAGE, bo, 0, PAGE, 0), -EINVAL);
	check_counts(&gpu, 2, 1);
}

static void part_of_a_bo(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = bo_new(&gpu, SIZE, VRAM);

	fill_words(bo_map(bo), SIZE, 0, 1);
	check_ok(drover_vm_bind(gpu.vm, gpu.va, bo, 3 * PAGE, 2 * PAGE, 0));
	check_ok(gpu_check(&gpu, gpu.va, 2 * PAGE, 3 * PAGE / 4, 1));
	check_eq(vm_info(&gpu).resident_bytes, SIZE);
	check_faults(&gpu, gpu.va + 2 * PAGE);
}

static void middle_unmapped_and_mapped_back(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = bo_new(&gpu, SIZE, VRAM);
	uint64_t va = gpu.va, middle = va + 4 * PAGE;

	fill_words(bo_map(bo), SIZE, 0, 1);
	check_ok(drover_vm_bind(gpu.vm, va, bo, 0, SIZE, 0));
	check_ok(drover_vm_unbind(gpu.vm, middle, 2 * PAGE));
	check_counts(&gpu, 2, 1);
	check_ok(gpu_check(&gpu, va, 4 * PAGE, 0, 1));
	check_ok(gpu_check(&gpu, middle + 2 * PAGE, SIZE - 6 * PAGE, 6 * PAGE / 4, 1));

	check_ok(drover_vm_bind(gpu.vm, middle, bo, 4 * PAGE, 2 * PAGE, 0));
	check_counts(&gpu, 1, 1);
	check_ok(gpu_check(&gpu, va, SIZE, 0, 1));

	check_ok(drover_vm_unbind(gpu.vm, middle, 2 * PAGE));
	check_faults(&gpu, middle);
}

static void merges_only_what_continues(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = new_bo(&gpu, 1), *other = new_bo(&gpu, 2);
	uint64_t va = gpu.va;

	check_ok(drover_vm_bind(gpu.vm, va, bo, 0, PAGE, 0));
	check_ok(drover_vm_bind(gpu.vm, va + PAGE, bo, PAGE, PAGE, 0));
	check_counts(&gpu, 1, 1);
	/* Other offset, other flags, other BO. */
	check_ok(drover_vm_bind(gpu.vm, va + 2 * PAGE, bo, 4 * PAGE, PAGE, 0));
	check_counts(&gpu, 2, 1);
	check_ok(drover_vm_bind(gpu.vm, va + 3 * PAGE, bo, 5 * PAGE, PAGE,
				DRM_DROVER_BIND_READONLY));
	check_counts(&gpu, 3, 1);
	check_ok(drover_vm_bind(gpu.vm, va + 4 * PAGE, other, 6 * PAGE, PAGE,
				DRM_DROVER_BIND_READONLY));
	check_counts(&gpu, 4, 2);
	/* With the neighbour below and above at once, in one call. */
	{
		struct drm_drover_bind ops[] = {
			map_op(bo, va + 8 * PAGE, 8 * PAGE, PAGE),
			map_op(bo, va + 10 * PAGE, 10 * PAGE, PAGE),
			map_op(bo, va + 9 * PAGE, 9 * PAGE, PAGE),
		};

		check_ok(drover_vm_bind_array(gpu.vm, ops, ARRAY_SIZE(ops), NULL));
	}
	check_counts(&gpu, 5, 2);
	check_ok(gpu_check(&gpu, va, 4 * PAGE, 1, 0));
	check_ok(gpu_check(&gpu, va + 4 * PAGE, PAGE, 2, 0));
	check_ok(gpu_check(&gpu, va + 8 * PAGE, 3 * PAGE, 1, 0));
}

static void overlapping_map_replaces(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *old = new_bo(&gpu, 1), *new = new_bo(&gpu, 2);
	uint64_t va = gpu.va;

	check_ok(drover_vm_bind(gpu.vm, va, old, 0, SIZE, 0));
	check_ok(drover_vm_bind(gpu.vm, va + 2 * PAGE, new, 0, 3 * PAGE, 0));
	check_counts(&gpu, 3, 2);
	check_ok(gpu_check(&gpu, va, 2 * PAGE, 1, 0));
	check_ok(gpu_check(&gpu, va + 2 * PAGE, 3 * PAGE, 2, 0));
	check_ok(gpu_check(&gpu, va + 5 * PAGE, SIZE - 5 * PAGE, 1, 0));

	/* Over the end of one, the hole and the start of another. */
	check_ok(drover_vm_bind(gpu.vm, va + 2 * SIZE, old, 0, SIZE, 0));
	check_ok(drover_vm_bind(gpu.vm, va + SIZE + SIZE / 2, new, 0, SIZE, 0));
	check_ok(gpu_check(&gpu, va + SIZE + SIZE / 2, SIZE, 2, 0));
	check_ok(gpu_check(&gpu, va + 2 * SIZE + SIZE / 2, SIZE / 2, 1, 0));

	/* All of it. */
	check_ok(drover_vm_bind(gpu.vm, va, new, 0, SIZE, 0));
	check_ok(gpu_check(&gpu, va, SIZE, 2, 0));
	check_ok(drover_vm_unbind(gpu.vm, va, 4 * SIZE));
	check_counts(&gpu, 0, 0);
}

static void one_bo_at_several_addresses(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_add_vm(&gpu);
	struct drover_bo *bo = new_bo(&gpu, 1);
	uint64_t one = gpu_bind(&gpu, bo), two = gpu_bind(&gpu, bo), three = gpu_bind(&other, bo);

	check_counts(&gpu, 2, 1);
	check_ok(gpu_fill(&gpu, one, SIZE, 5, 1));
	check_ok(gpu_check(&gpu, two, SIZE, 5, 1));
	check_ok(gpu_check(&other, three, SIZE, 5, 1));
	check_ok(drover_bo_evict(bo, NULL));
	check_ok(gpu_check(&gpu, two, SIZE, 5, 1));
	check_ok(gpu_check(&other, three, SIZE, 5, 1));
	check_ok(drover_vm_unbind(gpu.vm, one, SIZE));
	check_ok(gpu_check(&gpu, two, SIZE, 5, 1));
}

static void order_within_one_call(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *a = new_bo(&gpu, 1), *b = new_bo(&gpu, 2);
	struct drm_drover_bind ops[] = {
		map_op(a, gpu.va, 0, SIZE),    unmap_op(gpu.va + PAGE, PAGE),
		map_op(b, gpu.va, 0, PAGE),    map_op(b, gpu.va + SIZE, 0, SIZE),
		unmap_op(gpu.va + SIZE, SIZE),
	};

	check_ok(drover_vm_bind_array(gpu.vm, ops, ARRAY_SIZE(ops), NULL));
	check_counts(&gpu, 2, 2);
	check_ok(gpu_check(&gpu, gpu.va, PAGE, 2, 0));
	check_ok(gpu_check(&gpu, gpu.va + 2 * PAGE, SIZE - 2 * PAGE, 1, 0));
	check_faults(&gpu, gpu.va + PAGE);
}

static void all_or_nothing(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_add_vm(&gpu);
	struct drover_bo *a = new_bo(&gpu, 1), *b = new_bo(&gpu, 2);
	struct drover_bo *private = bo_new_private(&other, SIZE, VRAM);
	uint64_t va = gpu.va, end = device_info(gpu.dev).va_end;
	struct drm_drover_bind bad_handle = map_op(b, va + 8 * SIZE, 0, SIZE),
			       bad_flags = unmap_op(va, SIZE);
	struct {
		struct drm_drover_bind op;
		int error;
	} bad[] = {
		{bad_handle, -ENOENT},
		{bad_flags, -EINVAL},
		{map_op(private, va, 0, SIZE), -EPERM},
		{map_op(b, end, 0, SIZE), -EINVAL},
		{map_op(b, va, PAGE, SIZE), -EINVAL},
	};
	size_t i;

	bad[0].op.handle = 0x7fffffff;
	bad[1].op.flags = DRM_DROVER_BIND_READONLY;
	check_ok(drover_vm_bind(gpu.vm, va, a, 0, SIZE, 0));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct drm_drover_bind ops[] = {
			map_op(b, va + 2 * PAGE, 0, PAGE), /* would split */
			unmap_op(va + 4 * PAGE, PAGE),     /* would split again */
			map_op(b, va + SIZE, 0, SIZE),     /* would add a mapping and a BO */
			bad[i].op,
			unmap_op(va, SIZE),
		};
		uint32_t failed = 77;

		check_err(drover_vm_bind_array(gpu.vm, ops, ARRAY_SIZE(ops), &failed),
			  bad[i].error);
		check_eq(failed, 3);
		check_counts(&gpu, 1, 1);
		check_ok(gpu_check(&gpu, va, SIZE, 1, 0));
	}
	check_faults(&gpu, va + SIZE);
}

static void private_to_another_vm(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_add_vm(&gpu);
	struct drover_bo *bo = bo_new_private(&gpu, SIZE, VRAM);
	uint64_t va = gpu_bind(&gpu, bo);

	check_ok(gpu_fill(&gpu, va, SIZE, 3, 1));
	check_err(drover_vm_bind(other.vm, va, bo, 0, SIZE, 0), -EPERM);
	check_counts(&other, 0, 0);

	/* The BO outlives its VM, and still isn't anybody else's. */
	drover_vm_destroy(gpu.vm);
	check_err(drover_vm_bind(other.vm, va, bo, 0, SIZE, 0), -EPERM);
	check_words(bo_map(bo), SIZE, 3, 1);
}

static void read_only(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = new_bo(&gpu, 9);
	uint64_t writable = gpu_bind(&gpu, bo), va = gpu.va;

	check_ok(drover_vm_bind(gpu.vm, va, bo, 0, SIZE, DRM_DROVER_BIND_READONLY));
	check_ok(gpu_check(&gpu, va, SIZE, 9, 0));
	check_ok(gpu_fill(&gpu, writable, SIZE, 10, 0));
	check_ok(gpu_check(&gpu, va, SIZE, 10, 0));
	check_err(gpu_fill(&gpu, va + PAGE, 4, 11, 0), -EFAULT);
	check_eq(vm_info(&gpu).fault_address, va + PAGE);
	check_eq(vm_info(&gpu).lost_reason, EFAULT);
	check_words(bo_map(bo), SIZE, 10, 0);
}

/* A job that writes through a mapping that a later bind replaces. */
static void ordered_after_earlier_jobs(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *old = new_bo(&gpu, 0), *new = new_bo(&gpu, 0);
	uint64_t va = gpu_bind(&gpu, old);
	struct job job = job_new(&gpu);

	drover_submission_spin(job.sub, 100000);
	drover_submission_fill(job.sub, va, SIZE, 5, 1);
	job_submit(&job);
	check_ok(drover_vm_bind(gpu.vm, va, new, 0, SIZE, 0));
	check(job_done(&job), "the bind is done, an earlier job isn't");
	check_ok(job_wait(&job));
	check_words(bo_map(old), SIZE, 5, 1);
	check_words(bo_map(new), SIZE, 0, 0);

	drover_submission_reset(job.sub);
	drover_submission_signal(job.sub, job.done, 0);
	drover_submission_spin(job.sub, 100000);
	drover_submission_fill(job.sub, va, SIZE, 6, 1);
	job_submit(&job);
	check_ok(drover_vm_unbind(gpu.vm, va, SIZE));
	check(job_done(&job), "the unbind is done, an earlier job isn't");
	check_ok(job_wait(&job));
	check_words(bo_map(new), SIZE, 6, 1);
}

static void comes_back_after_an_eviction(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo shared = gpu_bo(&gpu, MIB, VRAM), gtt = gpu_bo(&gpu, MIB, GTT);
	struct drover_bo *private = bo_new_private(&gpu, MIB, VRAM);
	uint64_t va = gpu_bind(&gpu, private);
	struct drm_drover_evict result;
	struct drm_drover_vm_info info;

	check_ok(gpu_fill(&gpu, shared.va, MIB, 1, 1));
	check_ok(gpu_fill(&gpu, gtt.va, MIB, 2, 1));
	check_ok(gpu_fill(&gpu, va, MIB, 3, 1));
	info = vm_info(&gpu);
	check_eq(info.resident_bytes, 3 * MIB);
	check_eq(info.evicted_bos + info.evictions + info.remaps + info.resumes, 0);

	check_ok(drover_vm_evict(gpu.vm, &result));
	check_eq(result.evicted, 3);
	check_eq(result.evicted_bytes, 3 * MIB);
	info = vm_info(&gpu);
	check_eq(info.evicted_bos, 3);
	check_eq(info.evictions, 3);
	check_eq(info.invalidations, 0);
	check_eq(info.resident_bytes, 0);
	check_eq(info.mappings, 3);

	check_ok(gpu_check(&gpu, shared.va, MIB, 1, 1));
	info = vm_info(&gpu);
	check_eq(info.evicted_bos, 0);
	check_eq(info.remaps, 3);
	check_eq(info.resumes, 1);
	check_eq(info.resident_bytes, 3 * MIB);
	check_ok(gpu_check(&gpu, gtt.va, MIB, 2, 1));
	check_ok(gpu_check(&gpu, va, MIB, 3, 1));
	check_eq(vm_info(&gpu).resumes, 1);
	check_eq(bo_info(private).remaps, 1);
}

/* Private BOs that nothing is bound of belong to the VM, too. */
static void evicts_unbound_private_bos(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_add_vm(&gpu);
	struct drover_bo *mine = bo_new_private(&gpu, MIB, VRAM),
			 *others = bo_new_private(&other, MIB, VRAM),
			 *shared = bo_new(&gpu, MIB, VRAM);
	struct drm_drover_evict result;

	check_ok(drover_vm_evict(gpu.vm, &result));
	check_eq(result.evicted, 1);
	check_eq(bo_info(mine).placement, EVICTED);
	check_eq(bo_info(others).placement, VRAM);
	check_eq(bo_info(shared).placement, VRAM);
}

/* 16 + 1 MiB must be in 16 MiB of VRAM at once. */
static void working_set_larger_than_vram(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo[17];
	struct drm_drover_vm_info before;
	struct job job;
	uint32_t i;
	int error;

	for (i = 0; i < 16; i++) {
		bo[i] = gpu_bo(&gpu, MIB, VRAM);
		check_ok(gpu_fill(&gpu, bo[i].va, MIB, i, 1));
	}
	bo[16].bo = bo_new(&gpu, MIB, VRAM);
	fill_words(bo_map(bo[16].bo), MIB, 16, 1);
	bo[16].va = gpu_bind(&gpu, bo[16].bo);

	before = vm_info(&gpu);
	job = job_new(&gpu);
	drover_submission_fill(job.sub, bo[0].va, MIB, 99, 0);
	error = drover_submission_submit(job.sub);
	check(error == -ENOSPC || error == -ENOMEM, "a working set larger than VRAM: %d", error);
	check_eq(vm_info(&gpu).submitted, before.submitted);
	check_eq(vm_info(&gpu).flags, 0);
	check_err(drover_sync_status(job.done, 0), -EINVAL); /* still without a fence */

	check_ok(drover_vm_unbind(gpu.vm, bo[7].va, MIB));
	for (i = 0; i < 17; i++)
		if (i != 7)
			check_ok(gpu_check(&gpu, bo[i].va, MIB, i, 1));
	check_words(bo_map(bo[7].bo), MIB, 7, 1);
}

/* The same for private BOs, which share one lock: a client may have more of them than fit. */
static void private_bos_larger_than_vram(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo[24];
	uint32_t i;

	for (i = 0; i < 24; i++) {
		bo[i] = bo_new_private(&gpu, MIB, VRAM);
		check_ok(drover_vm_bind(gpu.vm, gpu.va, bo[i], 0, MIB, 0));
		check_ok(gpu_fill(&gpu, gpu.va, MIB, i, 1));
		check_ok(drover_vm_unbind(gpu.vm, gpu.va, MIB));
	}
	for (i = 0; i < 24; i++) {
		check_ok(drover_vm_bind(gpu.vm, gpu.va, bo[i], 0, MIB, 0));
		check_ok(gpu_check(&gpu, gpu.va, MIB, i, 1));
		check_ok(drover_vm_unbind(gpu.vm, gpu.va, MIB));
	}
	check(device_info(gpu.dev).vram_used <= 16 * MIB, "more VRAM in use than there is");
}

/* What allows GTT stays there instead of making the submission fail. */
static void working_set_overflows_to_gtt(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo[24];
	uint32_t i, in_gtt = 0;

	for (i = 0; i < 24; i++) {
		bo[i] = gpu_bo(&gpu, MIB, VRAM | GTT);
		check_ok(gpu_fill(&gpu, bo[i].va, MIB, i, 1));
	}
	check_ok(drover_vm_evict(gpu.vm, NULL));
	for (i = 0; i < 24; i++)
		check_ok(gpu_check(&gpu, bo[i].va, MIB, i, 1));
	for (i = 0; i < 24; i++)
		in_gtt += bo_info(bo[i].bo).placement == GTT;
	check(in_gtt >= 8, "24 BOs of 1 MiB in use, only %u of them not in 16 MiB of VRAM", in_gtt);
}

static void bound_in_a_destroyed_vm(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_add_vm(&gpu);
	struct drover_bo *bo = new_bo(&gpu, 1), *kept = new_bo(&gpu, 2);
	uint64_t va;

	gpu_bind(&other, bo);
	gpu_bind(&other, kept);
	va = gpu_bind(&gpu, kept);
	drover_bo_unref(bo);
	drover_vm_destroy(other.vm);
	check(eventually(device_info(gpu.dev).vram_used == SIZE),
	      "a destroyed VM keeps what was bound in it");
	check_ok(gpu_check(&gpu, va, SIZE, 2, 0));
}

static void array_limit(void)
{
	static struct drm_drover_bind ops[65536];
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = new_bo(&gpu, 1);
	uint32_t i, max = device_info(gpu.dev).max_binds, failed = 0;

	check(max > 0 && max < ARRAY_SIZE(ops), "max_binds is %u", max);
	for (i = 0; i <= max; i++)
		ops[i] = map_op(bo, gpu.va + 2 * i * PAGE, 0, PAGE);
	check_err(drover_vm_bind_array(gpu.vm, ops, max + 1, &failed), -E2BIG);
	check_eq(failed, max + 1);
	check_counts(&gpu, 0, 0);
	check_ok(drover_vm_bind_array(gpu.vm, ops, max, NULL));
	check_counts(&gpu, max, 1);
	check_ok(gpu_check(&gpu, gpu.va + 2 * (max - 1) * PAGE, PAGE, 1, 0));
	check_ok(drover_vm_unbind(gpu.vm, gpu.va, 2 * (uint64_t)max * PAGE));
	check_counts(&gpu, 0, 0);
}

static void lost_vm_refuses_binds(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = new_bo(&gpu, 1);

	check_faults(&gpu, gpu.va);
	check_err(drover_vm_bind(gpu.vm, gpu.va, bo, 0, SIZE, 0), -ECANCELED);
	check_counts(&gpu, 0, 0);
}

static const struct test tests[] = {
	TEST(new_vm_is_empty),
	TEST(numbers_are_unique_and_expire),
	TEST(bind_and_unbind),
	TEST(unbind_of_nothing),
	TEST(ends_of_the_address_space),
	TEST(part_of_a_bo),
	TEST(middle_unmapped_and_mapped_back),
	TEST(merges_only_what_continues),
	TEST(overlapping_map_replaces),
	TEST(one_bo_at_several_addresses),
	TEST(order_within_one_call),
	TEST(all_or_nothing),
	TEST(private_to_another_vm),
	TEST(read_only),
	TEST(ordered_after_earlier_jobs),
	TEST(comes_back_after_an_eviction),
	TEST(evicts_unbound_private_bos),
	TEST(working_set_larger_than_vram),
	TEST(private_bos_larger_than_vram),
	TEST(working_set_overflows_to_gtt),
	TEST(bound_in_a_destroyed_vm),
	TEST(array_limit),
	TEST(lost_vm_refuses_binds),
};

int main(int argc, char **argv)
{
	return test_main("vm", tests, ARRAY_SIZE(tests), argc, argv);
}
