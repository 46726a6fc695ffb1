// SPDX-License-Identifier: MIT
/*
 * What it costs to resume a VM with 10,000 imports bound after k of them moved: the time of the next submission.
 *
 * "Moved" is: evicted by the exporter, which invalidates the import. The resume maps it anew, which brings it back into
 * the exporter's VRAM, writes its entries and arms its fence. The job is empty and runs behind nothing. For comparison a
 * VM with one import, moved, and a submission when nothing moved.
 */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZES            5
#define MOST             10000
#define BATCHES          9
#define CACHE_BYTES      (64 * MIB)
#define SETTLE_MS        20
#define SETTLE_US_PER_BO 100

static const size_t sizes[SIZES] = {1, 10, 100, 1000, 10000};

/* how often each is measured in a repetition; the median counts */
static const unsigned int tries[SIZES] = {40, 20, 5, 2, 1};

struct gpus {
	struct drover_device *exporter;
	struct drover_device *importer;
	struct drover_bo **exported;
	struct drover_bo **imports;
	/* the exporter's BO and the import of the VM that has only one */
	struct drover_bo **single;
	struct drover_bo **single_import;
	struct queue many;
	struct queue one;
	/* where the next imports to move are taken from */
	size_t next;
};

struct results {
	struct samples moved[SIZES];
	struct samples one_of_one;
	struct samples none;
};

static void gpus_open(struct gpus *gpus)
{
	uint64_t va;

	gpus->exporter = gpu_open(0);
	gpus->importer = gpu_open(1);
	va = gpu_info(gpus->importer).va_start;
	gpus->exported =
		bo_array_create(gpus->exporter, NULL, MOST, BENCH_PAGE, DRM_DROVER_PLACEMENT_VRAM);
	gpus->single =
		bo_array_create(gpus->exporter, NULL, 1, BENCH_PAGE, DRM_DROVER_PLACEMENT_VRAM);
	gpus->imports = bo_array_import(gpus->importer, gpus->exported, MOST);
	gpus->single_import = bo_array_import(gpus->importer, gpus->single, 1);
	gpus->many = queue_create(gpus->importer);
	gpus->one = queue_create(gpus->importer);
	bind_all(gpus->many.vm, va, gpus->imports, MOST);
	bind_all(gpus->one.vm, va, gpus->single_import, 1);
	queue_finish(&gpus->many);
	queue_finish(&gpus->one);
}

static void gpus_close(struct gpus *gpus)
{
	queue_destroy(&gpus->many);
	queue_destroy(&gpus->one);
	bo_array_free(gpus->imports, MOST);
	bo_array_free(gpus->single_import, 1);
	bo_array_free(gpus->exported, MOST);
	bo_array_free(gpus->single, 1);
	drover_device_close(gpus->importer);
	drover_device_close(gpus->exporter);
}

static void evict(struct drover_bo *bo)
{
	struct drm_drover_evict result;

	check(drover_bo_evict(bo, &result), "evicting a BO");
	if (result.evicted != 1)
		die("a BO that should have been resident wasn't: %u evicted, %u pinned",
		    result.evicted, result.busy);
}

static struct drm_drover_vm_info vm_info(struct drover_vm *vm)
{
	struct drm_drover_vm_info info;

	check(drover_vm_info(vm, &info), "VM info");
	return info;
}

/*
 * A few BOs would still be in the caches from their eviction a moment ago, many wouldn't: none shall. Written, not read, so
 * that it takes the caches for sure.
 */
static void chill_caches(void)
{
	static uint8_t *memory;

	if (!memory)
		memory = xcalloc(CACHE_BYTES, 1);
	memset(memory, memory[0] + 1, CACHE_BYTES);
}

/* The next submission's ns, which has to remap exactly what was evicted. */
static double time_resume(struct queue *queue, size_t moved)
{
	uint64_t start, remaps = vm_info(queue->vm).remaps;

	/* The stale mappings are the importer's worker's to unmap; it isn't what is measured, for no k. */
	sleep_ms(SETTLE_MS + (unsigned int)(moved * SETTLE_US_PER_BO / 1000));
	chill_caches();
	start = ticks();
	check(drover_submission_submit(queue->empty), "resuming");
	start = ticks() - start;
	queue_finish(queue);
	remaps = vm_info(queue->vm).remaps - remaps;
	if (remaps != moved)
		die("a resume remapped %llu imports, expected %zu", (unsigned long long)remaps,
		    moved);
	return ticks_to_ns(start);
}

static double resume_of_many(struct gpus *gpus, size_t moved)
{
	for (size_t i = 0; i < moved; i++)
		evict(gpus->exported[(gpus->next + i * 7919) % MOST]);
	gpus->next = (gpus->next + 13) % MOST;
	return time_resume(&gpus->many, moved);
}

static double resume_of_one(struct gpus *gpus)
{
	evict(gpus->single[0]);
	return time_resume(&gpus->one, 1);
}

/* One repetition: everything in turns, the small ones more often. */
static void measure_all(struct gpus *gpus, struct results *results)
{
	struct samples moved[SIZES] = {0}, one = {0}, none = {0};

	for (unsigned int n = 0; n < tries[0]; n++) {
		for (size_t i = 0; i < SIZES; i++)
			if (n % (tries[0] / tries[i]) == 0)
				samples_add(&moved[i], resume_of_many(gpus, sizes[i]));
		samples_add(&one, resume_of_one(gpus));
		samples_add(&none, time_resume(&gpus->many, 0));
	}
	for (size_t i = 0; i < SIZES; i++)
		samples_fold(&results->moved[i], &moved[i]);
	samples_fold(&results->one_of_one, &one);
	samples_fold(&results->none, &none);
}

/*
 * Most / least ns per import. Below 100 the fixed cost of a submission and a resume shows. On a busy machine long resumes
 * are interrupted and short ones aren't, so the fastest repetitions say more than the medians.
 */
static void report_spread(struct report *report, const char *key, const struct results *results,
			  double quantile)
{
	double low = INFINITY, high = 0;

	for (size_t i = 0; i < SIZES; i++) {
		double per_bo = samples_quantile(&results->moved[i], quantile) / (double)sizes[i];

		if (sizes[i] < 100)
			continue;
		low = fmin(low, per_bo);
		high = fmax(high, per_bo);
	}
	report_value(report, key, high / low);
	printf("  %-38s %6.3f\n", key, high / low);
}

static void report_results(struct report *report, const struct results *results)
{
	double one_of_one = samples_median(&results->one_of_one);

	for (size_t i = 0; i < SIZES; i++) {
		double count = (double)sizes[i];

		report_median_at(report, "resume_ns", count, &results->moved[i]);
		report_value_at(report, "resume_per_bo_ns", count,
				samples_median(&results->moved[i]) / count);
	}
	report_median(report, "resume_1_of_1_ns", "1", &results->one_of_one);
	report_median(report, "nothing_moved_ns", "0", &results->none);

	printf("\nresuming a VM with %d imports (median of %d repetitions)\n", MOST, BATCHES);
	printf("  %10s %16s %16s %16s\n", "moved", "ns", "ns per import", "fastest");
	for (size_t i = 0; i < SIZES; i++) {
		double ns = samples_median(&results->moved[i]);

		printf("  %10zu %16.0f %16.0f %16.0f\n", sizes[i], ns, ns / (double)sizes[i],
		       samples_quantile(&results->moved[i], 0) / (double)sizes[i]);
	}
	printf("  %10s %16.0f\n", "none", samples_median(&results->none));
	printf("  %10s %16.0f   (a VM with one import)\n", "1 of 1", one_of_one);
	report_target(report, "resume_1_of_10000_vs_1_of_1",
		      samples_median(&results->moved[0]) / one_of_one, AT_MOST, 1.5);
	report_spread(report, "resume_per_bo_spread_from_100", results, 0.5);
	report_spread(report, "resume_per_bo_spread_from_100_fastest", results, 0);
}

static void draw(const struct report *report, const struct results *results)
{
	double x[SIZES], y[SIZES], proportional[SIZES], none[SIZES];
	const struct plot_line lines[] = {
		{.label = "submission after k imports moved", .x = x, .y = y, .count = SIZES},
		{.label = "proportional to k, from 10,000",
		 .x = x,
		 .y = proportional,
		 .count = SIZES,
		 .dashed = true},
		{.label = "submission when nothing moved",
		 .x = x,
		 .y = none,
		 .count = SIZES,
		 .dashed = true},
	};
	const struct plot plot = {
		.title = "Resuming a VM with 10,000 imports",
		.subtitle = "time of the next submission; medians",
		.x_label = "imports that moved (k)",
		.y_label = "ns",
		.log_x = true,
		.log_y = true,
		.lines = lines,
		.num_lines = ARRAY_SIZE(lines),
	};

	for (size_t i = 0; i < SIZES; i++) {
		x[i] = (double)sizes[i];
		y[i] = samples_median(&results->moved[i]);
		proportional[i] = samples_median(&results->moved[SIZES - 1]) * x[i] / MOST;
		none[i] = samples_median(&results->none);
	}
	plot_lines(report, &plot);
}

int main(int argc, char **argv)
{
	const char *const params[] = {"devices=2", "vram_mib=128", NULL};
	struct results results = {0};
	struct gpus gpus = {0};
	struct report report;

	report_begin(&report, "resume", argc, argv);
	module_load(params);
	gpus_open(&gpus);
	/* not counted: the first of everything */
	resume_of_many(&gpus, MOST);
	resume_of_one(&gpus);
	for (unsigned int batch = 0; batch < BATCHES; batch++) {
		progress("repetition %u of %d", batch + 1, BATCHES);
		measure_all(&gpus, &results);
	}
	gpus_close(&gpus);
	module_unload();
	report_results(&report, &results);
	draw(&report, &results);
	return report_finish(&report);
}
