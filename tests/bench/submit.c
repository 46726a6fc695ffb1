// SPDX-License-Identifier: MIT
/*
 * What a submission costs with 1 … 10,000 private BOs, and with as many imports, bound in its VM; with working-set fences,
 * and, for comparison, with a fence added to each shared BO each time (fence_mode=job).
 *
 * A job is empty, so that only the way to the engine counts. Submissions come in batches that fit into the queue; each
 * is timed, and waited for outside of the measured time. The module is loaded in both modes in turns, several times, in one boot; within
 * a load the points come in turns, batch by batch.
 *
 * Each point is measured with a busy engine and with an idle one. Behind a job that is running, a submission costs what
 * the ioctl does and nothing else. On an idle engine the scheduler's and the engine's threads go to work at once: on one
 * processor that is before the ioctl returns, so their time is in it. The busy one is the bench's headline.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <json-c/json.h>

#define SIZES      5
#define MOST       10000
#define ROUNDS     7
#define BATCH      8
#define BATCHES    40
#define SPIN_US    1000
#define NO_SUCH_VM 0x7ffffff0U
#define NULL_IOCTL "DRM_IOCTL_DROVER_VM_DESTROY of a number that doesn't exist"

static const size_t sizes[SIZES] = {1, 10, 100, 1000, 10000};

enum engine { ENGINE_BUSY, ENGINE_IDLE, ENGINES };

enum kind { KIND_PRIVATE, KIND_IMPORTS, KIND_EMPTY, KIND_NULL, KINDS };

/* A point of the measurement: engine, kind and size in one number. */
#define POINTS           (ENGINES * KINDS * SIZES)
#define ENGINE_OF(point) ((enum engine)((point) / SIZES / KINDS))
#define KIND_OF(point)   ((enum kind)((point) / SIZES % KINDS))
#define SIZE_OF(point)   ((point) % SIZES)

/* What was measured in one mode; KIND_EMPTY and KIND_NULL have one size. */
struct results {
	struct samples ns[ENGINES][KINDS][SIZES];
};

struct gpus {
	struct drover_device *exporter;
	struct drover_device *importer;
	struct drover_bo **exported;
	struct drover_bo **imports;
	struct drover_bo **private[SIZES];
	struct queue queues[KINDS][SIZES];
	/* keeps the engine of a queue busy for longer than a batch takes */
	struct drover_submission *spin[KINDS][SIZES];
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
			check(drover_submission_create(queue->vm, &gpus->spin[kind][i]),
			      "creating a submission");
			drover_submission_spin(gpus->spin[kind][i], SPIN_US);
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
		for (size_t i = 0; i < sizes_of(kind); i++) {
			drover_submission_destroy(gpus->spin[kind][i]);
			queue_destroy(&gpus->queues[kind][i]);
		}
	for (size_t i = 0; i < SIZES; i++)
		bo_array_free(gpus->private[i], sizes[i]);
	bo_array_free(gpus->imports, MOST);
	bo_array_free(gpus->exported, MOST);
	drover_device_close(gpus->importer);
	drover_device_close(gpus->exporter);
}

/* Each submission by itself: a batch would be hit by whatever else runs on this processor more often than not. */
static void time_submissions(struct queue *queue, struct samples *samples)
{
	uint64_t start;
	int ret;

	for (int i = 0; i < BATCH; i++) {
		start = ticks();
		ret = drover_submission_submit(queue->empty);
		start = ticks() - start;
		check(ret, "submitting");
		samples_add(samples, ticks_to_ns(start));
	}
}

static void time_null_ioctls(int fd, struct samples *samples)
{
	struct drm_drover_vm_destroy args = {.vm_id = NO_SUCH_VM};
	uint64_t start;
	int ret;

	for (int i = 0; i < BATCH; i++) {
		start = ticks();
		ret = ioctl(fd, DRM_IOCTL_DROVER_VM_DESTROY, &args);
		start = ticks() - start;
		if (ret >= 0)
			die("the ioctl that should do nothing did something");
		samples_add(samples, ticks_to_ns(start));
	}
}

/* With another one waiting already, those that follow wake nobody. */
static void make_busy(struct gpus *gpus, enum kind kind, size_t size)
{
	check(drover_submission_submit(gpus->spin[kind][size]), "submitting");
	check(drover_submission_submit(gpus->queues[kind][size].empty), "submitting");
}

static void time_batch(struct gpus *gpus, enum engine engine, enum kind kind, size_t size,
		       struct samples *samples)
{
	struct queue *queue = &gpus->queues[kind][size];

	if (kind == KIND_NULL) {
		time_null_ioctls(drover_device_fd(gpus->importer), samples);
		return;
	}
	if (engine == ENGINE_BUSY)
		make_busy(gpus, kind, size);
	time_submissions(queue, samples);
	queue_finish(queue);
}

/* One repetition: a batch of each point in turns, many times, so that what disturbs one point disturbs all. */
static void measure_all(struct gpus *gpus, struct results *results)
{
	struct samples samples[POINTS] = {0};

	for (unsigned int n = 0; n < BATCHES * POINTS; n++) {
		/* coprime: a point doesn't always follow the same one */
		unsigned int point = n % POINTS * (1 + n / POINTS % 2 * 6) % POINTS;

		if (SIZE_OF(point) < sizes_of(KIND_OF(point)))
			time_batch(gpus, ENGINE_OF(point), KIND_OF(point), SIZE_OF(point),
				   &samples[point]);
	}
	for (unsigned int point = 0; point < POINTS; point++) {
		if (samples[point].count)
			samples_add(&results->ns[ENGINE_OF(point)][KIND_OF(point)][SIZE_OF(point)],
				    samples_median(&samples[point]));
		samples_free(&samples[point]);
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
	measure_all(&gpus, results);
	gpus_close(&gpus);
	module_unload();
}

static double median(const struct results *results, enum engine engine, enum kind kind, size_t size)
{
	return samples_median(&results->ns[engine][kind][size]);
}

static void print_table(const struct results *working_set, const struct results *job,
			enum engine engine)
{
	printf("\nns per submission to %s engine (median of %d repetitions)\n",
	       engine == ENGINE_BUSY ? "a busy" : "an idle", ROUNDS);
	printf("  %10s %14s %14s %24s\n", "BOs bound", "private", "imports",
	       "imports, fence_mode=job");
	for (size_t i = 0; i < SIZES; i++)
		printf("  %10zu %14.0f %14.0f %24.0f\n", sizes[i],
		       median(working_set, engine, KIND_PRIVATE, i),
		       median(working_set, engine, KIND_IMPORTS, i),
		       median(job, engine, KIND_IMPORTS, i));
	printf("  %10s %14.0f\n", "none", median(working_set, engine, KIND_EMPTY, 0));
}

static void draw(const struct report *report, const struct results *working_set,
		 const struct results *job)
{
	double x[SIZES], y[4][SIZES];
	const struct plot_line lines[] = {
		{.label = "private BOs", .x = x, .y = y[0], .count = SIZES},
		{.label = "imports, fence_mode=job", .x = x, .y = y[1], .count = SIZES},
		{.label = "imports", .x = x, .y = y[2], .count = SIZES},
		{.label = "an ioctl that does nothing",
		 .x = x,
		 .y = y[3],
		 .count = SIZES,
		 .dashed = true},
	};
	const struct plot plot = {
		.title = "Cost of a submission",
		.subtitle =
			"empty job, busy engine, nothing listed; all that is bound is resident; medians",
		.x_label = "BOs bound in the VM",
		.y_label = "ns",
		.log_x = true,
		.log_y = true,
		.lines = lines,
		.num_lines = ARRAY_SIZE(lines),
	};

	for (size_t i = 0; i < SIZES; i++) {
		x[i] = (double)sizes[i];
		y[0][i] = median(working_set, ENGINE_BUSY, KIND_PRIVATE, i);
		y[1][i] = median(job, ENGINE_BUSY, KIND_IMPORTS, i);
		y[2][i] = median(working_set, ENGINE_BUSY, KIND_IMPORTS, i);
		y[3][i] = median(working_set, ENGINE_BUSY, KIND_NULL, 0);
	}
	plot_lines(report, &plot);
}

static void report_maps(struct report *report, const struct results *working_set,
			const struct results *job)
{
	for (size_t i = 0; i < SIZES; i++) {
		double count = (double)sizes[i];

		report_median_at(report, "private_ns", count,
				 &working_set->ns[ENGINE_BUSY][KIND_PRIVATE][i]);
		report_median_at(report, "imports_ns", count,
				 &working_set->ns[ENGINE_BUSY][KIND_IMPORTS][i]);
		report_median_at(report, "imports_job_mode_ns", count,
				 &job->ns[ENGINE_BUSY][KIND_IMPORTS][i]);
		report_median_at(report, "private_job_mode_ns", count,
				 &job->ns[ENGINE_BUSY][KIND_PRIVATE][i]);
		report_median_at(report, "private_idle_engine_ns", count,
				 &working_set->ns[ENGINE_IDLE][KIND_PRIVATE][i]);
		report_median_at(report, "imports_idle_engine_ns", count,
				 &working_set->ns[ENGINE_IDLE][KIND_IMPORTS][i]);
		report_median_at(report, "imports_job_mode_idle_engine_ns", count,
				 &job->ns[ENGINE_IDLE][KIND_IMPORTS][i]);
	}
	report_median(report, "empty_vm_ns", "0", &working_set->ns[ENGINE_BUSY][KIND_EMPTY][0]);
	report_median(report, "null_ioctl_ns", "0", &working_set->ns[ENGINE_BUSY][KIND_NULL][0]);
	report_add(report, "null_ioctl", json_object_new_string(NULL_IOCTL));
}

static double flatness(const struct results *results, enum engine engine, enum kind kind)
{
	return median(results, engine, kind, SIZES - 1) / median(results, engine, kind, 0);
}

static double speedup(const struct results *working_set, const struct results *job,
		      enum engine engine)
{
	return median(job, engine, KIND_IMPORTS, SIZES - 1) /
	       median(working_set, engine, KIND_IMPORTS, SIZES - 1);
}

static void report_results(struct report *report, const struct results *working_set,
			   const struct results *job)
{
	report_maps(report, working_set, job);
	print_table(working_set, job, ENGINE_BUSY);
	printf("  an ioctl that does nothing: %.0f ns\n",
	       median(working_set, ENGINE_BUSY, KIND_NULL, 0));
	report_target(report, "private_flatness", flatness(working_set, ENGINE_BUSY, KIND_PRIVATE),
		      AT_MOST, 1.10);
	report_target(report, "imports_flatness", flatness(working_set, ENGINE_BUSY, KIND_IMPORTS),
		      AT_MOST, 1.10);
	report_target(report, "speedup_vs_job_at_10000", speedup(working_set, job, ENGINE_BUSY),
		      AT_LEAST, 100);
	print_table(working_set, job, ENGINE_IDLE);
	report_target(report, "private_flatness_idle_engine",
		      flatness(working_set, ENGINE_IDLE, KIND_PRIVATE), AT_MOST, 1.10);
	report_target(report, "imports_flatness_idle_engine",
		      flatness(working_set, ENGINE_IDLE, KIND_IMPORTS), AT_MOST, 1.10);
	report_value(report, "speedup_vs_job_at_10000_idle_engine",
		     speedup(working_set, job, ENGINE_IDLE));
	printf("  %-34s %10.3f\n", "speed-up against job mode",
	       speedup(working_set, job, ENGINE_IDLE));
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
