/* SPDX-License-Identifier: MIT */
/*
 * What the benchmarks share: time, samples and their medians, the module in the mode that is to be measured, and a
 * report: a table on the terminal, a JSON file.
 *
 * A benchmark runs as root in a guest of its own (./dev bench NAME). Whatever goes wrong ends it with a message: half a
 * measurement is none.
 */
#ifndef DROVER_BENCH_H
#define DROVER_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <drover/drover.h>

#define KIB               1024ULL
#define MIB               (1024ULL * KIB)
#define BENCH_PAGE        4096ULL

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

struct json_object;

/* die() - says why on stderr and exits with status 1 */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* check() - dies unless ret, 0 or a negative errno of what the format says, is 0 */
void check(int ret, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* xcalloc() - zeroed memory, never NULL */
void *xcalloc(size_t count, size_t size);

/* now_ns() - CLOCK_MONOTONIC */
uint64_t now_ns(void);

/* ticks() - the processor's own clock: asking for the time may cost more than what is measured */
uint64_t ticks(void);
double ticks_to_ns(uint64_t ticks);

/* sleep_ms() - lets what was left to the kernel's threads come to its end */
void sleep_ms(unsigned int ms);

/* progress() - one line on stderr, rewritten on a terminal */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- Samples ---- */

/** struct samples - the values of one quantity, one per repetition; zeroed to begin with */
struct samples {
	double *values;
	size_t count;
};

void samples_add(struct samples *samples, double value);
/* samples_quantile() - interpolated; 0.5 is the median. At least one value is needed */
double samples_quantile(const struct samples *samples, double quantile);
double samples_median(const struct samples *samples);
/* samples_last() - the one added last, for ratios of neighbours in time */
double samples_last(const struct samples *samples);
/* samples_fold() - adds the median of samples, which are freed, to medians */
void samples_fold(struct samples *medians, struct samples *samples);
void samples_free(struct samples *samples);

/* ---- The module ---- */

/* module_load() - loads drover; params is a NULL-terminated list of NAME=VALUE */
void module_load(const char *const *params);
/* module_unload() - waits for what closed files leave to the kernel's threads */
void module_unload(void);

/* gpu_open() - the virtual GPU number index */
struct drover_device *gpu_open(unsigned int index);
struct drm_drover_device_info gpu_info(struct drover_device *dev);

/* ---- Buffers, address spaces and jobs ---- */

/* bo_array_create() - count BOs; vm is NULL for shared ones */
struct drover_bo **bo_array_create(struct drover_device *dev, struct drover_vm *vm, size_t count,
				   uint64_t size, uint32_t placements);
/* bo_array_import() - imports each of count BOs of another device, leaving no file descriptor open */
struct drover_bo **bo_array_import(struct drover_device *dev, struct drover_bo *const *bos,
				   size_t count);
void bo_array_free(struct drover_bo **bos, size_t count);
/* bind_all() - binds BOs of the same size one after the other from the first address on */
void bind_all(struct drover_vm *vm, uint64_t va, struct drover_bo *const *bos, size_t count);

/** struct queue - a VM with submissions for it and a sync to wait for them */
struct queue {
	struct drover_vm *vm;
	struct drover_sync *sync;
	/** @empty: no commands, no syncs, no listed buffers */
	struct drover_submission *empty;
	/** @last: no commands, but signals @sync */
	struct drover_submission *last;
};

struct queue queue_create(struct drover_device *dev);
/* queue_finish() - submits a job and waits until it is done and its place is free again */
void queue_finish(struct queue *queue);
void queue_destroy(struct queue *queue);

/* submit_and_wait() - submits what signals sync, waits for it, dies if the job failed */
void submit_and_wait(struct drover_submission *sub, struct drover_sync *sync);

/* ---- The report ---- */

/** struct report - what will be in the JSON, and where */
struct report {
	const char *name;
	const char *directory;
	struct json_object *root;
	struct json_object *raw;
	struct json_object *targets;
};

/* report_begin() - argv[1] is the directory for the JSON and the plot */
void report_begin(struct report *report, const char *name, int argc, char **argv);
/* report_value() - a number under a key at the top level */
void report_value(struct report *report, const char *key, double value);
/* report_add() - anything under a key at the top level; takes the object over */
void report_add(struct report *report, const char *key, struct json_object *object);
/* report_raw() - under raw.map.key: median, quartiles, extremes and number of samples */
void report_raw(struct report *report, const char *map, const char *key,
		const struct samples *samples);

/* report_value_at() - a number under key.at at the top level */
void report_value_at(struct report *report, const char *key, double at, double value);
/* report_median(), report_median_at() - the median at the top level, the rest under raw.key.name or raw.key.at */
void report_median(struct report *report, const char *key, const char *name,
		   const struct samples *samples);
void report_median_at(struct report *report, const char *key, double at,
		      const struct samples *samples);

enum bound { AT_MOST, AT_LEAST };

/* report_target() - the value under its key, and whether it reaches what it should, also on the terminal */
void report_target(struct report *report, const char *key, double value, enum bound bound,
		   double limit);
/* report_path() - DIRECTORY/NAME.extension, valid until the next call */
const char *report_path(const struct report *report, const char *extension);
/* report_finish() - writes the JSON; returns the exit status */
int report_finish(struct report *report);

/* ---- Plots ---- */

/** struct plot_line - one curve */
struct plot_line {
	const char *label;
	const double *x;
	const double *y;
	size_t count;
	/** @dashed: a bound or a reference rather than a measurement */
	bool dashed;
};

/** struct plot - curves over a common pair of axes */
struct plot {
	const char *title;
	const char *subtitle;
	const char *x_label;
	const char *y_label;
	/** @log_x, @log_y: logarithmic; linear axes begin at 0 */
	bool log_x, log_y;
	const struct plot_line *lines;
	size_t num_lines;
};

/* plot_lines() - as PNG next to the JSON, and says where */
void plot_lines(const struct report *report, const struct plot *plot);

#endif
