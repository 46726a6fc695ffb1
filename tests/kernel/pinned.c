// SPDX-License-Identifier: MIT
/*
 * The comparison: pin_imports=1, as on most of today's systems. What share.c
 * survives ends in an allocation failure here, with a clear error and with
 * nothing lost; pins are counted wherever they are said to be, and limited.
 * 16 MiB of VRAM and of GTT, of which 12 MiB may be pinned.
 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PINNED 10

/* Ten BOs of 1 MiB, each of them imported, and so pinned. */
struct pins {
	struct gpu exporter, importer;
	struct client_bo bo[PINNED], import[PINNED];
};

static struct pins pins_new(void)
{
	struct pins pins = {.exporter = gpu_open(0), .importer = gpu_open(1)};
	uint32_t i;

	for (i = 0; i < PINNED; i++) {
		pins.bo[i] = gpu_bo(&pins.exporter, MIB, VRAM | GTT);
		check_ok(gpu_fill(&pins.exporter, pins.bo[i].va, MIB, i, 1));
		pins.import[i] = gpu_import_bo(&pins.importer, pins.bo[i].bo);
	}
	return pins;
}

static void pins_check(struct pins *pins)
{
	uint32_t i;

	for (i = 0; i < PINNED; i++) {
		check_ok(gpu_check(&pins->importer, pins->import[i].va, MIB, i, 1));
		check_ok(gpu_check(&pins->exporter, pins->bo[i].va, MIB, i, 1));
	}
}

/* The number after a key of this client's fdinfo; fails if it isn't there or the unit is another. */
static uint64_t fdinfo(struct gpu *gpu, const char *key, const char *unit)
{
	char *text = read_file("/proc/self/fdinfo/%d", drover_device_fd(gpu->dev)), *line, *end;
	uint64_t value;

	check(text, "no fdinfo");
	line = strstr(text, key);
	check(line, "fdinfo has no %s:\n%s", key, text);
	value = strtoull(line + strlen(key) + 1, &end, 10);
	check(!strncmp(end, unit, strlen(unit)), "%s isn't in%s:\n%s", key, unit, text);
	free(text);
	return value;
}

static void mode_is_reported(void)
{
	struct drm_drover_device_info info = device_info(device_open(0));

	check(info.flags & DRM_DROVER_DEVICE_PIN_IMPORTS, "not in comparison mode: pin_imports=1");
	check_eq(info.pin_limit, 12 * MIB);
}

static void pins_are_counted(void)
{
	struct pins pins = pins_new();
	uint32_t i;

	check_eq(device_info(pins.exporter.dev).pinned, PINNED * MIB);
	check_eq(device_info(pins.importer.dev).pinned, 0); /* who owns the memory pays */
	check_eq(fdinfo(&pins.exporter, "drover-pinned:", " KiB"), PINNED * MIB / KIB);
	check_eq(fdinfo(&pins.importer, "drover-pinned:", " KiB"), 0);
	for (i = 0; i < PINNED; i++) {
		check_eq(bo_info(pins.bo[i].bo).pins, 1);
		check_eq(bo_info(pins.import[i].bo).flags,
			 DRM_DROVER_BO_IMPORTED | DRM_DROVER_BO_STATIC);
	}

	for (i = 0; i < PINNED; i++) {
		check_ok(drover_vm_unbind(pins.importer.vm, pins.import[i].va, MIB));
		drover_bo_unref(pins.import[i].bo);
		check(eventually(bo_info(pins.bo[i].bo).pins == 0),
		      "pinned by an import that's gone");
	}
	check_eq(device_info(pins.exporter.dev).pinned, 0);
	check_eq(device_info(pins.exporter.dev).pinned_max, PINNED * MIB);
	check_eq(fdinfo(&pins.exporter, "drover-pinned:", " KiB"), 0);
}

/* Two devices pin twice, but it's one piece of memory. */
static void pinned_twice_is_charged_once(void)
{
	struct gpu exporter = gpu_open(0), one = gpu_open(1), two = gpu_open(2);
	struct client_bo bo = gpu_bo(&exporter, MIB, VRAM | GTT);
	struct client_bo first = gpu_import_bo(&one, bo.bo), second = gpu_import_bo(&two, bo.bo);

	check_eq(bo_info(bo.bo).pins, 2);
	check_eq(device_info(exporter.dev).pinned, MIB);
	check_ok(drover_vm_unbind(one.vm, first.va, MIB));
	drover_bo_unref(first.bo);
	check(eventually(bo_info(bo.bo).pins == 1), "the first import is gone");
	check_eq(device_info(exporter.dev).pinned, MIB);
	check_ok(drover_vm_unbind(two.vm, second.va, MIB));
	drover_bo_unref(second.bo);
	check(eventually(device_info(exporter.dev).pinned == 0), "both imports are gone");
}

/* What share.c does to its BOs; here the memory that they are in can't be had. */
static void pressure_ends_in_a_failure(void)
{
	struct pins pins = pins_new();
	uint32_t placement = bo_info(pins.bo[0].bo).placement;
	struct gpu other = gpu_open(0);
	int error = gpu_use_all(&other, placement, 0xdeadbeef);
	uint32_t i;

	check(error == -ENOMEM || error == -ENOSPC,
	      "%u MiB are pinned, and others can use all of the memory: %d", PINNED, error);
	/* Nothing has moved, nothing is lost. */
	for (i = 0; i < PINNED; i++) {
		check_eq(bo_info(pins.bo[i].bo).placement, placement);
		check_eq(bo_info(pins.bo[i].bo).evictions, 0);
	}
	check_eq(vm_info(&pins.importer).evictions, 0);
	pins_check(&pins);
	check_eq(vm_info(&other).flags, 0);
	gpu_close(&other);

	/* Without the imports it works. */
	for (i = 0; i < PINNED; i++) {
		check_ok(drover_vm_unbind(pins.importer.vm, pins.import[i].va, MIB));
		drover_bo_unref(pins.import[i].bo);
	}
	check(eventually(!device_info(pins.exporter.dev).pinned), "the imports are gone");
	other = gpu_open(0);
	check_ok(gpu_use_all(&other, placement, 0xdeadbeef));
	gpu_close(&other);
	for (i = 0; i < PINNED; i++)
		check_ok(gpu_check(&pins.exporter, pins.bo[i].va, MIB, i, 1));
}

/* No BO of the size of what isn't pinned and one page more. */
static void allocation_fails_clearly(void)
{
	struct pins pins = pins_new();
	uint32_t placement = bo_info(pins.bo[0].bo).placement;
	uint64_t rest = (16 - PINNED) * MIB;
	struct gpu other = gpu_open(0);
	struct client_bo fits;
	struct drover_bo *bo;

	check_err(drover_bo_create(other.dev, rest + PAGE, placement, 0, NULL, &bo), -ENOMEM);
	check_err(drover_bo_create(other.dev, 16 * MIB, placement, 0, NULL, &bo), -ENOMEM);
	pins_check(&pins);
	check_ok(drover_device_evict(other.dev, NULL));
	fits = gpu_bo(&other, rest, placement);
	check_ok(gpu_fill(&other, fits.va, rest, 1, 1));
	pins_check(&pins);
}

static void limit_is_enforced(void)
{
	struct pins pins = pins_new();
	struct client_bo bo[3], import[2];
	struct drover_bo *refused;
	uint32_t i;
	int fd;

	for (i = 0; i < 3; i++) {
		bo[i] = gpu_bo(&pins.exporter, MIB, VRAM | GTT);
		check_ok(gpu_fill(&pins.exporter, bo[i].va, MIB, 100 + i, 1));
	}
	for (i = 0; i < 2; i++)
		import[i] = gpu_import_bo(&pins.importer, bo[i].bo);
	check_eq(device_info(pins.exporter.dev).pinned, 12 * MIB);
	fd = bo_export(bo[2].bo);
	check_err(drover_bo_import(pins.importer.dev, fd, &refused), -ENOSPC);
	check_eq(device_info(pins.exporter.dev).pinned, 12 * MIB);
	check_eq(device_info(pins.exporter.dev).pinned_max, 12 * MIB);
	check_eq(bo_info(bo[2].bo).pins, 0);
	check_ok(gpu_check(&pins.exporter, bo[2].va, MIB, 102, 1));
	check_ok(drover_bo_evict(bo[2].bo, NULL));
	pins_check(&pins);

	/* Room again: the same dma-buf can be imported. */
	check_ok(drover_vm_unbind(pins.importer.vm, import[0].va, MIB));
	drover_bo_unref(import[0].bo);
	check(eventually(device_info(pins.exporter.dev).pinned == 11 * MIB), "an import is gone");
	import[0] = gpu_import(&pins.importer, fd);
	check_ok(gpu_check(&pins.importer, import[0].va, MIB, 102, 1));
	close(fd);
}

static void evict_spares_what_is_pinned(void)
{
	struct pins pins = pins_new();
	struct client_bo free_bo = gpu_bo(&pins.exporter, MIB, VRAM);
	struct drm_drover_evict result;

	check_ok(gpu_fill(&pins.exporter, free_bo.va, MIB, 5, 1));
	check_err(drover_bo_evict(pins.bo[0].bo, &result), -EBUSY);
	check_eq(result.evicted, 0);
	check_eq(result.busy, 1);

	check_err(drover_vm_evict(pins.exporter.vm, &result), -EBUSY);
	check_eq(result.evicted, 1);
	check_eq(result.evicted_bytes, MIB);
	check_eq(result.busy, PINNED);
	check_eq(bo_info(free_bo.bo).placement, EVICTED);
	check_ok(gpu_check(&pins.exporter, free_bo.va, MIB, 5, 1));

	check_err(drover_device_evict(pins.exporter.dev, &result), -EBUSY);
	check_eq(result.evicted, 1);
	check_eq(result.busy, PINNED);
	check_eq(bo_info(free_bo.bo).placement, EVICTED);
	check_eq(vm_info(&pins.importer).evictions, 0);
	pins_check(&pins);
}

static void importers_process_unpins_when_it_dies(void)
{
	struct gpu exporter = gpu_open(0);
	struct client_bo bo = gpu_bo(&exporter, MIB, VRAM | GTT);
	int fd = bo_export(bo.bo);
	pid_t child = test_fork();

	if (!child) {
		struct gpu importer = gpu_open(1);

		gpu_bind(&importer, bo_import(&importer, fd));
		for (;;)
			pause();
	}
	check(eventually(bo_info(bo.bo).pins == 1), "an import in comparison mode doesn't pin");
	test_kill(child);
	check(eventually(bo_info(bo.bo).pins == 0), "the importer is dead and still pins");
	check_eq(device_info(exporter.dev).pinned, 0);
	check_ok(drover_bo_evict(bo.bo, NULL));
}

static const struct test tests[] = {
	TEST(mode_is_reported),
	TEST(pins_are_counted),
	TEST(pinned_twice_is_charged_once),
	TEST(pressure_ends_in_a_failure),
	TEST(allocation_fails_clearly),
	TEST(limit_is_enforced),
	TEST(evict_spares_what_is_pinned),
	TEST(importers_process_unpins_when_it_dies),
};

int main(int argc, char **argv)
{
	return test_main("pinned", tests, ARRAY_SIZE(tests), argc, argv);
}
