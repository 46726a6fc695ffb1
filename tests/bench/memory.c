// SPDX-License-Identifier: MIT
/*
 * Kernel memory per imported and bound BO, per private bound BO, per VM, and of the module at rest; and whether it is all
 * back after close.
 *
 * Counted from outside, from /proc/meminfo: slab pages, vmalloc, per-CPU memory and kernel stacks, before and after
 * thousands of objects come, step by step, and after they went. So the slabs' own waste is in it. BOs are in VRAM, which is
 * the module's from the start, so what they hold isn't. The page allocator's free memory is read too, to check that
 * nothing is missed; it is less exact, as it also sees caches and the page lists of the processors.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#define COUNT        10000
#define VMS          64
#define DEVICES      2
#define VRAM_MIB     64
#define REPS         7
#define SETTLE_MS    300
#define SETTLE_TRIES 20

/*
 * One page's page table entry, and what describes one page to a device: a struct sg_table and one struct scatterlist, in
 * the sizes that the allocator gives out.
 */
#define PTE_BYTES    8
#define SG_BYTES     (16 + 32)

/** struct usage - bytes of kernel memory */
struct usage {
	double kernel;
	double free;
};

enum quantity {
	EXPORTED_BO,
	DMA_BUF,
	IMPORT,
	IMPORT_BOUND,
	IMPORT_ARMED,
	IMPORT_ALL,
	IMPORT_ALL_FREE,
	PRIVATE_BO,
	PRIVATE_BOUND,
	PRIVATE_ARMED,
	PRIVATE_ALL,
	PRIVATE_ALL_FREE,
	VM,
	VM_FREE,
	LEFT,
	MODULE,
	MODULE_FREE,
	QUANTITIES
};

static const char *const names[QUANTITIES] = {
	[EXPORTED_BO] = "shared_bo",
	[DMA_BUF] = "dma_buf_of_exporter",
	[IMPORT] = "import_part_import",
	[IMPORT_BOUND] = "import_part_bind",
	[IMPORT_ARMED] = "import_part_first_use",
	[IMPORT_ALL] = "import_with_ptes_and_sg",
	[IMPORT_ALL_FREE] = "import_by_free_memory",
	[PRIVATE_BO] = "private_part_create",
	[PRIVATE_BOUND] = "private_part_bind",
	[PRIVATE_ARMED] = "private_part_first_use",
	[PRIVATE_ALL] = "private_with_ptes",
	[PRIVATE_ALL_FREE] = "private_by_free_memory",
	[VM] = "vm",
	[VM_FREE] = "vm_by_free_memory",
	[LEFT] = "left_after_close",
	[MODULE] = "module",
	[MODULE_FREE] = "module_by_free_memory",
};

struct results {
	struct samples bytes[QUANTITIES];
};

static double median(const struct results *results, enum quantity quantity)
{
	return samples_median(&results->bytes[quantity]);
}

/* ---- What the kernel uses ---- */

/* Where stacks are in vmalloc memory they are counted there already. */
static bool stacks_in_vmalloc(void)
{
	FILE *file = fopen("/proc/vmallocinfo", "r");
	bool found = false;
	char line[256];

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, "dup_task_struct") || strstr(line, "thread_stack");
	if (file)
		fclose(file);
	return found;
}

static double meminfo_bytes(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	if (!at)
		die("/proc/meminfo doesn't say %s", key);
	return (double)strtoull(at + strlen(key), NULL, 10) * KIB;
}

/* Waits for what is freed later, by RCU and by the kernel's threads. */
static struct usage usage_now(void)
{
	struct usage usage;
	char text[8192];
	FILE *file;
	size_t len;

	sleep_ms(SETTLE_MS);
	file = fopen("/proc/meminfo", "r");
	len = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	if (!len)
		die("/proc/meminfo can't be read");
	fclose(file);
	text[len] = 0;

	usage.kernel = meminfo_bytes(text, "\nSlab:") + meminfo_bytes(text, "\nVmallocUsed:") +
		       meminfo_bytes(text, "\nPercpu:");
	if (!stacks_in_vmalloc())
		usage.kernel += meminfo_bytes(text, "\nKernelStack:");
	/* The process's own memory isn't the kernel's. */
	usage.free = meminfo_bytes(text, "MemFree:") + meminfo_bytes(text, "\nAnonPages:") +
		     meminfo_bytes(text, "\nPageTables:") + meminfo_bytes(text, "\nCached:");
	return usage;
}

/* Closing VMs takes a while: their threads and queues end one after the other, with grace periods between. */
static struct usage usage_settled(void)
{
	struct usage usage = usage_now(), last;
	unsigned int same = 0;

	for (unsigned int i = 0; i < SETTLE_TRIES && same < 3; i++) {
		last = usage;
		usage = usage_now();
		same = usage.kernel == last.kernel ? same + 1 : 0;
	}
	return usage;
}

static struct usage usage_step(struct results *results, enum quantity quantity, size_t count,
			       const struct usage *before)
{
	struct usage now = usage_now();

	samples_add(&results->bytes[quantity], (now.kernel - before->kernel) / (double)count);
	return now;
}

static void add_since(struct results *results, enum quantity quantity, enum quantity by_free,
		      size_t count, const struct usage *before, const struct usage *now)
{
	samples_add(&results->bytes[quantity], (now->kernel - before->kernel) / (double)count);
	samples_add(&results->bytes[by_free], (before->free - now->free) / (double)count);
}

/* ---- What is measured ---- */

static void measure_imports(struct results *results)
{
	struct drover_device *exporter = gpu_open(0), *importer = gpu_open(1);
	struct queue queue = queue_create(importer);
	struct drover_bo **bos, **imports;
	struct usage at, exported;
	int fd;

	queue_finish(&queue);
	at = usage_now();
	bos = bo_array_create(exporter, NULL, COUNT, BENCH_PAGE, DRM_DROVER_PLACEMENT_VRAM);
	at = usage_step(results, EXPORTED_BO, COUNT, &at);
	/* DRM keeps the dma-buf for as long as the BO has a handle. */
	for (size_t i = 0; i < COUNT; i++) {
		check(drover_bo_export(bos[i], &fd), "exporting BO %zu", i);
		close(fd);
	}
	at = exported = usage_step(results, DMA_BUF, COUNT, &at);
	imports = bo_array_import(importer, bos, COUNT);
	at = usage_step(results, IMPORT, COUNT, &at);
	bind_all(queue.vm, gpu_info(importer).va_start, imports, COUNT);
	at = usage_step(results, IMPORT_BOUND, COUNT, &at);
	queue_finish(&queue);
	at = usage_step(results, IMPORT_ARMED, COUNT, &at);
	add_since(results, IMPORT_ALL, IMPORT_ALL_FREE, COUNT, &exported, &at);

	queue_destroy(&queue);
	bo_array_free(imports, COUNT);
	bo_array_free(bos, COUNT);
	drover_device_close(importer);
	drover_device_close(exporter);
}

static void measure_private(struct results *results)
{
	struct drover_device *dev = gpu_open(0);
	struct queue queue = queue_create(dev);
	struct drover_bo **bos;
	struct usage at, before;

	queue_finish(&queue);
	at = before = usage_now();
	bos = bo_array_create(dev, queue.vm, COUNT, BENCH_PAGE, DRM_DROVER_PLACEMENT_VRAM);
	at = usage_step(results, PRIVATE_BO, COUNT, &at);
	bind_all(queue.vm, gpu_info(dev).va_start, bos, COUNT);
	at = usage_step(results, PRIVATE_BOUND, COUNT, &at);
	queue_finish(&queue);
	at = usage_step(results, PRIVATE_ARMED, COUNT, &at);
	add_since(results, PRIVATE_ALL, PRIVATE_ALL_FREE, COUNT, &before, &at);

	queue_destroy(&queue);
	bo_array_free(bos, COUNT);
	drover_device_close(dev);
}

static void measure_vms(struct results *results)
{
	struct drover_device *dev = gpu_open(0);
	struct usage before = usage_now(), now;
	struct drover_vm *vms[VMS];

	for (size_t i = 0; i < VMS; i++)
		check(drover_vm_create(dev, &vms[i]), "creating a VM");
	now = usage_now();
	add_since(results, VM, VM_FREE, VMS, &before, &now);
	for (size_t i = 0; i < VMS; i++)
		drover_vm_destroy(vms[i]);
	drover_device_close(dev);
}

static void wait_for_vram(unsigned int index)
{
	struct drover_device *dev = gpu_open(index);
	unsigned int waited = 0;

	while (gpu_info(dev).vram_used && waited++ < 1000)
		sleep_ms(10);
	if (gpu_info(dev).vram_used)
		die("%llu bytes of VRAM %u are still in use after everything was closed",
		    (unsigned long long)gpu_info(dev).vram_used, index);
	drover_device_close(dev);
}

/* Comes, is measured, and goes: what is left belongs to nobody any more. */
static void measure_cycle(struct results *results)
{
	struct usage before = usage_settled(), after;

	measure_imports(results);
	measure_private(results);
	measure_vms(results);
	for (unsigned int i = 0; i < DEVICES; i++)
		wait_for_vram(i);
	after = usage_settled();
	samples_add(&results->bytes[LEFT], after.kernel - before.kernel);
}

static void measure_module(struct results *results, const char *const *params)
{
	struct usage before = usage_now(), now;

	module_load(params);
	now = usage_now();
	samples_add(&results->bytes[MODULE], now.kernel - before.kernel);
	samples_add(&results->bytes[MODULE_FREE],
		    before.free - now.free - (double)(DEVICES * VRAM_MIB * MIB));
	module_unload();
}

/* ---- The report ---- */

static void print_line(const char *what, double value)
{
	printf("  %-52s %10.0f\n", what, value);
}

static void print_table(const struct results *results)
{
	printf("\nbytes of kernel memory (median of %d repetitions, %d objects each, %d VMs)\n",
	       REPS, COUNT, VMS);
	print_line("shared BO in VRAM, with its handle", median(results, EXPORTED_BO));
	print_line("its dma-buf", median(results, DMA_BUF));
	print_line("import of it", median(results, IMPORT));
	print_line("  + bound", median(results, IMPORT_BOUND));
	print_line("  + armed by the first submission", median(results, IMPORT_ARMED));
	print_line("  = imported and bound, PTE and sg_table included",
		   median(results, IMPORT_ALL));
	print_line("    as the free memory says", median(results, IMPORT_ALL_FREE));
	print_line("private BO in VRAM", median(results, PRIVATE_BO));
	print_line("  + bound", median(results, PRIVATE_BOUND));
	print_line("  + first submission", median(results, PRIVATE_ARMED));
	print_line("  = private and bound, PTE included", median(results, PRIVATE_ALL));
	print_line("    as the free memory says", median(results, PRIVATE_ALL_FREE));
	print_line("VM", median(results, VM));
	print_line("    as the free memory says", median(results, VM_FREE));
	print_line("module with 2 devices at rest, without VRAM", median(results, MODULE));
	print_line("    as the free memory says", median(results, MODULE_FREE));
	print_line("left of one such cycle after close, in all", median(results, LEFT));
}

/* What came in a cycle, to compare with what is left of it. */
static double cycle_bytes(const struct results *results)
{
	return COUNT * (median(results, EXPORTED_BO) + median(results, DMA_BUF) +
			median(results, IMPORT_ALL) + median(results, PRIVATE_ALL)) +
	       VMS * median(results, VM);
}

static void report_results(struct report *report, const struct results *results)
{
	for (size_t i = 0; i < QUANTITIES; i++)
		report_raw(report, "bytes", names[i], &results->bytes[i]);
	print_table(results);
	report_target(report, "import_bytes", median(results, IMPORT_ALL) - PTE_BYTES - SG_BYTES,
		      AT_MOST, 2 * KIB);
	report_target(report, "private_bytes", median(results, PRIVATE_ALL) - PTE_BYTES, AT_MOST,
		      1.5 * KIB);
	report_value(report, "vm_bytes", median(results, VM));
	report_value(report, "module_bytes", median(results, MODULE));
	report_value(report, "pte_and_sg_bytes_left_out", PTE_BYTES + SG_BYTES);
	report_value(report, "left_after_close_bytes", median(results, LEFT));
	report_target(report, "left_after_close_ratio",
		      median(results, LEFT) / cycle_bytes(results), AT_MOST, 0.01);
}

static void draw(const struct report *report, const struct results *results)
{
	static const enum quantity steps[2][3] = {
		{IMPORT, IMPORT_BOUND, IMPORT_ARMED},
		{PRIVATE_BO, PRIVATE_BOUND, PRIVATE_ARMED},
	};
	const double x[] = {0, 1, 2, 3}, import_limit[] = {2 * KIB, 2 * KIB, 2 * KIB, 2 * KIB};
	const double private_limit[] = {1.5 * KIB, 1.5 * KIB, 1.5 * KIB, 1.5 * KIB};
	double y[2][4] = {0};
	const struct plot_line lines[] = {
		{.label = "imported BO", .x = x, .y = y[0], .count = 4},
		{.label = "limit for it", .x = x, .y = import_limit, .count = 4, .dashed = true},
		{.label = "private BO", .x = x, .y = y[1], .count = 4},
		{.label = "limit for it", .x = x, .y = private_limit, .count = 4, .dashed = true},
	};
	const struct plot plot = {
		.title = "Kernel memory per BO",
		.subtitle =
			"adding up: 1 created or imported, 2 bound, 3 used by a submission; PTE and sg_table included",
		.x_label = "step",
		.y_label = "bytes",
		.lines = lines,
		.num_lines = ARRAY_SIZE(lines),
	};

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < 3; j++)
			y[i][j + 1] = y[i][j] + median(results, steps[i][j]);
	plot_lines(report, &plot);
}

int main(int argc, char **argv)
{
	const char *const params[] = {"devices=2", "vram_mib=64", NULL};
	struct results results = {0}, warm_up = {0};
	struct report report;

	report_begin(&report, "memory", argc, argv);
	/* Brings what drover depends on, which stays. */
	module_load(params);
	module_unload();
	for (unsigned int rep = 0; rep < REPS; rep++)
		measure_module(&results, params);

	module_load(params);
	measure_cycle(&warm_up);
	for (unsigned int rep = 0; rep < REPS; rep++) {
		progress("repetition %u of %d", rep + 1, REPS);
		measure_cycle(&results);
	}
	module_unload();
	report_results(&report, &results);
	draw(&report, &results);
	return report_finish(&report);
}
