// SPDX-License-Identifier: MIT
/*
 * What a submission costs with 1 … 10,000 private BOs, and with as many imports, bound in its VM; with working-set fences,
 * and, for comparison, with a fence added to each shared BO each time (fence_mode=job).
 *
 * A job is empty, so that only the way to the engine counts. Submissions are timed in batches that fit into the queue, and
 * waited for outside of the measured time. The module is loaded in both modes in turns, several times, in one boot; within
 * a load the sizes come in turns.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <json-c/json.h>

#define SIZES       5
#define MOST        10000
#define ROUNDS      5
#define PASSES      3
#define BATCH       8
#define MAX_BATCHES 60
#define MIN_BATCHES 3
#define POINT_NS    120000000ULL
#define NO_SUCH_VM  0x7ffffff0U
#define NULL_IOCTL  "DRM_IOCTL_DROVER_VM_DESTROY of a number that doesn't exist"

static const size_t sizes[SIZES] = {1, 10, 100, 1000, 10000};

enum kind { KIND_PRIVATE, KIND_IMPORTS, KIND_EMPTY, KIND_NULL, KINDS };

/* What was measured in one mode; KIND_EMPTY and KIND_NULL have one size. */
struct results {
	struct samples ns[KINDS][SIZES];
};

struct gpus {
	struct drover_device *exporter;
	struct drover_device *importer;
	struct drover_bo **exported;
	struct drover_bo **imports;
	struct drover_bo **private[SIZES];
	struct queue queues[KINDS][SIZES];
};

static size_t sizes_of(enum kind kind)
{
	return kind == KIND_PRIVATE || kind == KIND_IMPORTS ? SIZES : 1;
}

static void add_private(struct gpus *gpus, size_t i, uint64_t va)
{
	struct queue *queue = &gpus->queues[KIND_PRIVATE][i];

	gpus->private[i] = bo_array_create(gpus->importer, queue->vm, sizes[i], BENCH_PAGE,
					   DRM_DROVER_PLACEMENT_VRAM);
	bind_all(queue->vm, va, gpus->private[i], sizes[i]);
}

static void gpus_open(struct gpus *gpus)
{
	uint64_t va;

	gpus->exporter = gpu_open(0);
	gpus->importer = gpu_open(1);
	va = gpu_info(gpus->importer).va_start;
	gpus->exported =
		bo_array_create(gpus->exporter, NULL, MOST, BENCH_PAGE, DRM_DROVER_PLACEMENT_VRAM);
	gpus->imports = bo_array_import(gpus->importer, gpus->exported, MOST);

	for (enum kind kind = 0; kind < KIND_NULL; kind++) {
		for (size_t i = 0; i < sizes_of(kind); i++) {
			struct queue *queue = &gpus->queues[kind][i];

			*queue = queue_create(gpus->importer);
			if (kind == KIND_PRIVATE)
				add_private(gpus, i, va);
			else if (kind == KIND_IMPORTS)
				bind_all(queue->vm, va, gpus->imports, sizes[i]);
			/* Everything becomes resident and armed. */
			queue_finish(queue);
		}
	}
}

static void gpus_close(struct gpus *gpus)
{
	for (enum kind kind = 0; kind < KIND_NULL; kind++)
		for (size_t i = 0; i < sizes_of(kind); i++)
			queue_destroy(&gpus->queues[kind][i]);
	for (size_t i = 0; i < SIZES; i++)
		bo_array_free(gpus->private[i], sizes[i]);
	bo_array_free(gpus->imports, MOST);
	bo_array_free(gpus->exported, MOST);
	drover_device_close(gpus->importer);
	drover_device_close(gpus->exporter);
}

static double time_submissions(struct queue *queue)
{
	uint64_t start = now_ns();
	int ret = 0;

	for (int i = 0; i < BATCH && !ret; i++)
		ret = drover_submission_submit(queue->empty);
	start = now_ns() - start;
	check(ret, "submitting");
	return (double)start / BATCH;
}

static double time_null_ioctl(int fd)
{
	struct drm_drover_vm_destroy args = {.vm_id = NO_SUCH_VM};
	uint64_t start = now_ns();
	int failed = 0;

	for (int i = 0; i < BATCH; i++)
		failed += ioctl(fd, DRM_IOCTL_DROVER_VM_DESTROY, &args) < 0;
	start = now_ns() - start;
	if (failed != BATCH)
		die("the ioctl that should do nothing did something");
	return (double)start / BATCH;
}

/* One repetition of one point: the median of its batches. */
static double measure(struct gpus *gpus, enum kind kind, size_t size)
{
	struct samples batches = {0};
	uint64_t start = now_ns();
	double median;

	while (batches.count < MAX_BATCHES &&
	       (batches.count < MIN_BATCHES || now_ns() - start < POINT_NS)) {
		if (kind == KIND_NULL) {
			samples_add(&batches, time_null_ioctl(drover_device_fd(gpus->importer)));
			continue;
		}
		samples_add(&batches, time_submissions(&gpus->queues[kind][size]));
		queue_finish(&gpus->queues[kind][size]);
	}
	median = samples_median(&batches);
	samples_free(&batches);
	return median;
}

/* All points in turns, beginning with another one each time. */
static void measure_all(struct gpus *gpus, struct results *results, unsigned int pass)
{
	const unsigned int points = KINDS * SIZES;

	for (unsigned int n = 0; n < points; n++) {
		unsigned int point = (n + pass * 7) % points;
		enum kind kind = point / SIZES;
		size_t size = point % SIZES;

		if (size < sizes_of(kind))
			samples_add(&results->ns[kind][size], measure(gpus, kind, size));
	}
}

static void measure_mode(bool job_mode, unsigned int round, struct results *results)
{
	const char *const params[] = {"devices=2", "vram_mib=128",
				      job_mode ? "fence_mode=job" : "fence_mode=working_set", NULL};
	struct gpus gpus = {0};

	progress("round %u of %d, fence_mode=%s", round + 1, ROUNDS,
		 job_mode ? "job" : "working_set");
	module_load(params);
	gpus_open(&gpus);
	if (job_mode != !!(gpu_info(gpus.importer).flags & DRM_DROVER_DEVICE_FENCE_MODE_JOB))
		die("the module isn't in the mode that was asked for");
	for (unsigned int pass = 0; pass < PASSES; pass++)
		measure_all(&gpus, results, round * PASSES + pass);
	gpus_close(&gpus);
	module_unload();
}

static double median(const struct results *results, enum kind kind, size_t size)
{
	return samples_median(&results->ns[kind][size]);
}

static void report_map(struct report *report, const char *key, const struct results *results,
		       enum kind kind)
{
	struct json_object *map = json_object_new_object();
	char name[32];

	for (size_t i = 0; i < SIZES; i++) {
		snprintf(name, sizeof(name), "%zu", sizes[i]);
		json_object_object_add(map, name, json_object_new_double(median(results, kind, i)));
		report_raw(report, key, name, &results->ns[kind][i]);
	}
	report_add(report, key, map);
}

static void print_table(const struct results *working_set, const struct results *job)
{
	printf("\nns per submission (median of %d repetitions)\n", ROUNDS * PASSES);
	printf("  %10s %14s %14s %22s\n", "BOs bound", "private", "imports",
	       "imports, a fence each");
	for (size_t i = 0; i < SIZES; i++)
		printf("  %10zu %14.0f %14.0f %22.0f\n", sizes[i],
		       median(working_set, KIND_PRIVATE, i), median(working_set, KIND_IMPORTS, i),
		       median(job, KIND_IMPORTS, i));
	printf("  %10s %14.0f\n", "none", median(working_set, KIND_EMPTY, 0));
	printf("  an ioctl that does nothing: %.0f ns\n", median(working_set, KIND_NULL, 0));
}

static void draw(const struct report *report, const struct results *working_set,
		 const struct results *job)
{
	double x[SIZES], y[4][SIZES];
	const struct plot_line lines[] = {
		{.label = "private BOs", .x = x, .y = y[0], .count = SIZES},
		{.label = "imports, fence_mode=job", .x = x, .y = y[2], .count = SIZES},
		{.label = "imports", .x = x, .y = y[1], .count = SIZES},
		{.label = "an ioctl that does nothing",
		 .x = x,
		 .y = y[3],
		 .count = SIZES,
		 .dashed = true},
	};
	const struct plot plot = {
		.title = "Cost of a submission",
		.subtitle =
			"empty job; medians; what is bound in the VM is resident, nothing is listed",
		.x_label = "BOs bound in the VM",
		.y_label = "ns",
		.log_x = true,
		.log_y = true,
		.lines = lines,
		.num_lines = ARRAY_SIZE(lines),
	};

	for (size_t i = 0; i < SIZES; i++) {
		x[i] = (double)sizes[i];
		y[0][i] = median(working_set, KIND_PRIVATE, i);
		y[1][i] = median(working_set, KIND_IMPORTS, i);
		y[2][i] = median(job, KIND_IMPORTS, i);
		y[3][i] = median(working_set, KIND_NULL, 0);
	}
	plot_lines(report, &plot);
}

static void report_results(struct report *report, const struct results *working_set,
			   const struct results *job)
{
	report_map(report, "private_ns", working_set, KIND_PRIVATE);
	report_map(report, "imports_ns", working_set, KIND_IMPORTS);
	report_map(report, "imports_job_mode_ns", job, KIND_IMPORTS);
	report_map(report, "private_job_mode_ns", job, KIND_PRIVATE);
	report_value(report, "empty_vm_ns", median(working_set, KIND_EMPTY, 0));
	report_raw(report, "empty_vm_ns", "0", &working_set->ns[KIND_EMPTY][0]);
	report_value(report, "null_ioctl_ns", median(working_set, KIND_NULL, 0));
	report_raw(report, "null_ioctl_ns", "0", &working_set->ns[KIND_NULL][0]);
	report_add(report, "null_ioctl", json_object_new_string(NULL_IOCTL));
	print_table(working_set, job);
	report_target(report, "private_flatness",
		      median(working_set, KIND_PRIVATE, SIZES - 1) /
			      median(working_set, KIND_PRIVATE, 0),
		      AT_MOST, 1.10);
	report_target(report, "imports_flatness",
		      median(working_set, KIND_IMPORTS, SIZES - 1) /
			      median(working_set, KIND_IMPORTS, 0),
		      AT_MOST, 1.10);
	report_target(report, "speedup_vs_job_at_10000",
		      median(job, KIND_IMPORTS, SIZES - 1) /
			      median(working_set, KIND_IMPORTS, SIZES - 1),
		      AT_LEAST, 100);
}

int main(int argc, char **argv)
{
	struct results working_set = {0}, job = {0};
	struct report report;

	report_begin(&report, "submit", argc, argv);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		measure_mode(false, round, &working_set);
		measure_mode(true, round, &job);
	}
	report_results(&report, &working_set, &job);
	draw(&report, &working_set, &job);
	return report_finish(&report);
}
