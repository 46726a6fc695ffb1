// SPDX-License-Identifier: MIT
/*
 * That the tests notice what they are there for: with the test hook that leaves
 * out one invalidation, an importer goes on reading where the BO was, and its
 * CHECK fails, because that memory is somebody else's by then. Without the hook
 * the same steps pass. 16 MiB of VRAM, p2p=1.
 */
#include "common.h"

#include <stdio.h>
#include <unistd.h>

#define SIZE   MIB
#define OTHERS 0xdeadbeef

struct share {
	struct gpu exporter, importer;
	struct client_bo bo, import;
};

static struct share share_new(void)
{
	struct share share = {.exporter = gpu_open(0), .importer = gpu_open(1)};
	int fd;

	share.bo = gpu_bo(&share.exporter, SIZE, VRAM | GTT);
	fd = bo_export(share.bo.bo);
	share.import = gpu_import(&share.importer, fd);
	close(fd);
	check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, 1, 1));
	check_ok(gpu_check(&share.importer, share.import.va, SIZE, 1, 1));
	check_eq(bo_info(share.bo.bo).placement, VRAM);
	return share;
}

static void skip_invalidations(struct drover_device *dev, const char *count)
{
	char path[128];

	debugfs_path(dev, "skip_invalidations", path, sizeof(path));
	check_ok(write_file(path, count));
}

/* Others use all of the VRAM, so that the place that the BO leaves is theirs and holds their pattern. */
static void overwrite_vram(struct drover_bo *bo)
{
	struct gpu others = gpu_open(0);

	check_ok(gpu_use_all(&others, VRAM, OTHERS));
	check(bo_info(bo).placement != VRAM, "the BO is still in VRAM");
}

static void invalidation_is_done(void)
{
	struct share share = share_new();

	overwrite_vram(share.bo.bo);
	check_eq(vm_info(&share.importer).invalidations, 1);
	check_ok(gpu_check(&share.importer, share.import.va, SIZE, 1, 1));
}

/* The exporter leaves it out for everybody. */
static void exporters_missing_invalidation_is_noticed(void)
{
	struct share share = share_new();
	struct drm_drover_vm_info info;

	skip_invalidations(share.exporter.dev, "1");
	overwrite_vram(share.bo.bo);
	check_eq(vm_info(&share.importer).invalidations, 0);
	check_err(gpu_check(&share.importer, share.import.va, SIZE, 1, 1), -EILSEQ);
	info = vm_info(&share.importer);
	check_eq(info.check_address, share.import.va);
	check_eq(info.check_expected, 1);
	check_eq(info.check_found, OTHERS);
}

/* The exporter says it; the importer doesn't listen. */
static void importers_missing_invalidation_is_noticed(void)
{
	struct share share = share_new();

	skip_invalidations(share.importer.dev, "1");
	overwrite_vram(share.bo.bo);
	check_err(gpu_check(&share.importer, share.import.va, SIZE, 1, 1), -EILSEQ);
	check_eq(vm_info(&share.importer).check_found, OTHERS);
}

/* The device's own VM, without any sharing. */
static void own_missing_invalidation_is_noticed(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM);

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	skip_invalidations(gpu.dev, "1");
	overwrite_vram(bo.bo);
	check_err(gpu_check(&gpu, bo.va, SIZE, 1, 1), -EILSEQ);
	check_eq(vm_info(&gpu).check_found, OTHERS);
}

/* As many as asked for, no more. */
static void hook_counts_down(void)
{
	struct share first = share_new(), second = share_new();

	skip_invalidations(first.exporter.dev, "1");
	check_ok(drover_bo_evict(first.bo.bo, NULL));
	check_eq(vm_info(&first.importer).invalidations, 0);
	check_ok(drover_bo_evict(second.bo.bo, NULL));
	check_eq(vm_info(&second.importer).invalidations, 1);
	check_ok(gpu_check(&second.importer, second.import.va, SIZE, 1, 1));
}

static const struct test tests[] = {
	TEST(invalidation_is_done),
	TEST(exporters_missing_invalidation_is_noticed),
	TEST(importers_missing_invalidation_is_noticed),
	TEST(own_missing_invalidation_is_noticed),
	TEST(hook_counts_down),
};

int main(int argc, char **argv)
{
	return test_main("hooks", tests, ARRAY_SIZE(tests), argc, argv);
}
