// SPDX-License-Identifier: MIT
/*
 * How fast a working set goes out of VRAM and comes back, against plain copies of as many bytes, both ways.
 *
 * Evict: VM_EVICT moves all of a VM's BOs to system memory. Remap: the next submission, whose job is empty, brings them
 * back. Compared, there and back, between memory that has been used before, with
 *
 * - the kernel's own memcpy() of pages, copy_page() (tests/modules/drover_kernel_memcpy.c): what a move in the kernel can't do
 *   without, and nothing else; the target is set by this one;
 * - the C library's memcpy(), in one piece and page by page;
 * - the engine's COPY command between VRAM and GTT, which translates each page's address.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZES         5
#define BYTES         (64 * MIB)
#define PIECES        16
#define REPS          15
#define HEADLINE      3
#define SETTLE_MS     20

#define KERNEL_MEMCPY "drover_kernel_memcpy"

/* the size of each BO of the working set */
static const uint64_t sizes[SIZES] = {64 * KIB, 256 * KIB, MIB, 4 * MIB, 64 * MIB};

struct working_set {
	struct queue queue;
	struct drover_bo **bos;
	size_t count;
};

/* The two BOs that the engine copies between. */
struct copy {
	struct queue queue;
	/* there, then back; in pieces, since a job has a time limit */
	struct drover_submission *pieces[PIECES];
	struct drover_bo **vram;
	struct drover_bo **gtt;
};

struct results {
	/* bytes per second: out and back, and each way by itself */
	struct samples evict_remap[SIZES];
	struct samples evict[SIZES];
	struct samples remap[SIZES];
	/* the first time, with nothing kept for it: it allocates what it needs */
	struct samples first_evict[SIZES];
	struct samples kernel_memcpy;
	struct samples user_memcpy;
	struct samples user_memcpy_pages;
	struct samples engine_copy;
	/* of evict + remap to each of these, measured right after it */
	struct samples to_kernel_memcpy[SIZES];
	struct samples to_user_memcpy[SIZES];
	struct samples to_user_memcpy_pages[SIZES];
	struct samples to_engine_copy[SIZES];
};

static struct working_set working_set_create(struct drover_device *dev, uint64_t size)
{
	struct working_set set = {.queue = queue_create(dev), .count = BYTES / size};

	set.bos = bo_array_create(dev, set.queue.vm, set.count, size, DRM_DROVER_PLACEMENT_VRAM);
	bind_all(set.queue.vm, gpu_info(dev).va_start, set.bos, set.count);
	queue_finish(&set.queue);
	return set;
}

static void working_set_destroy(struct working_set *set)
{
	queue_destroy(&set->queue);
	bo_array_free(set->bos, set->count);
	/* the VM goes in the background */
	sleep_ms(SETTLE_MS);
}

static struct copy copy_create(struct drover_device *dev)
{
	struct copy copy = {.queue = queue_create(dev)};
	uint64_t va = gpu_info(dev).va_start;

	copy.vram = bo_array_create(dev, copy.queue.vm, 1, BYTES, DRM_DROVER_PLACEMENT_VRAM);
	copy.gtt = bo_array_create(dev, copy.queue.vm, 1, BYTES, DRM_DROVER_PLACEMENT_GTT);
	bind_all(copy.queue.vm, va, copy.vram, 1);
	bind_all(copy.queue.vm, va + BYTES, copy.gtt, 1);
	for (unsigned int i = 0; i < PIECES; i++) {
		const uint64_t size = 2 * BYTES / PIECES;
		uint64_t vram = va + i % (PIECES / 2) * size, gtt = vram + BYTES;
		bool back = i >= PIECES / 2;

		check(drover_submission_create(copy.queue.vm, &copy.pieces[i]),
		      "creating a submission");
		drover_submission_copy(copy.pieces[i], back ? vram : gtt, back ? gtt : vram, size);
	}
	drover_submission_signal(copy.pieces[PIECES - 1], copy.queue.sync, 0);
	queue_finish(&copy.queue);
	return copy;
}

static void copy_destroy(struct copy *copy)
{
	for (unsigned int i = 0; i < PIECES; i++)
		drover_submission_destroy(copy->pieces[i]);
	queue_destroy(&copy->queue);
	bo_array_free(copy->vram, 1);
	bo_array_free(copy->gtt, 1);
}

static double rate(double bytes, uint64_t ns)
{
	return bytes * 1e9 / (double)ns;
}

static void time_evict(struct drover_device *dev, struct working_set *set, struct results *results,
		       size_t size)
{
	uint64_t moved = gpu_info(dev).bytes_moved;
	struct drm_drover_evict evicted;
	uint64_t start, out, back;

	start = now_ns();
	check(drover_vm_evict(set->queue.vm, &evicted), "evicting a VM");
	out = now_ns() - start;
	start = now_ns();
	submit_and_wait(set->queue.last, set->queue.sync);
	back = now_ns() - start;

	moved = gpu_info(dev).bytes_moved - moved;
	if (evicted.evicted_bytes != BYTES || moved != 2 * BYTES)
		die("%llu bytes evicted and %llu moved, expected %llu and %llu",
		    (unsigned long long)evicted.evicted_bytes, (unsigned long long)moved, BYTES,
		    2 * BYTES);
	samples_add(&results->evict[size], rate(BYTES, out));
	samples_add(&results->remap[size], rate(BYTES, back));
	samples_add(&results->evict_remap[size], rate(2 * BYTES, out + back));
}

static void copy_in_steps(uint8_t *to, const uint8_t *from, size_t step)
{
	for (size_t done = 0; done < BYTES; done += step) {
		memcpy(to + done, from + done, step);
		/* as far as the compiler knows somebody looks */
		__asm__ volatile("" : : "r"(to) : "memory");
	}
}

static void time_memcpy(uint8_t *a, uint8_t *b, size_t step, struct samples *samples)
{
	uint64_t start = now_ns();

	copy_in_steps(b, a, step);
	copy_in_steps(a, b, step);
	samples_add(samples, rate(2 * BYTES, now_ns() - start));
}

static void time_kernel_memcpy(struct results *results)
{
	FILE *file = fopen("/sys/module/" KERNEL_MEMCPY "/parameters/ns", "r");
	unsigned long long ns;

	if (!file || fscanf(file, "%llu", &ns) != 1 || !ns)
		die("the module " KERNEL_MEMCPY " doesn't say how long its copies took");
	fclose(file);
	samples_add(&results->kernel_memcpy, rate(2 * BYTES, ns));
}

static void time_engine(struct copy *copy, struct results *results)
{
	uint64_t start = now_ns();

	for (unsigned int i = 0; i < PIECES - 1; i++)
		check(drover_submission_submit(copy->pieces[i]), "submitting");
	submit_and_wait(copy->pieces[PIECES - 1], copy->queue.sync);
	samples_add(&results->engine_copy, rate(2 * BYTES, now_ns() - start));
}

/* What else runs on the machine changes the bandwidth from one second to the next, so ratios are of neighbours. */
static void add_ratios(struct results *results, size_t size)
{
	double both = samples_last(&results->evict_remap[size]);

	samples_add(&results->to_kernel_memcpy[size], both / samples_last(&results->kernel_memcpy));
	samples_add(&results->to_user_memcpy[size], both / samples_last(&results->user_memcpy));
	samples_add(&results->to_user_memcpy_pages[size],
		    both / samples_last(&results->user_memcpy_pages));
	samples_add(&results->to_engine_copy[size], both / samples_last(&results->engine_copy));
}

/* The driver keeps what remaps leave for the next evictions, until the kernel asks for it. */
static void forget_kept_pages(void)
{
	if (system("echo 2 > /proc/sys/vm/drop_caches"))
		die("can't write to /proc/sys/vm/drop_caches");
}

static void measure(struct drover_device *dev, struct results *results)
{
	uint8_t *a = xcalloc(BYTES, 1), *b = xcalloc(BYTES, 1);
	struct copy copy = copy_create(dev);
	struct results warm_up = {0};
	struct working_set set;

	memset(a, 1, BYTES);
	memset(b, 2, BYTES);
	for (unsigned int rep = 0; rep <= REPS; rep++) {
		/* the first of everything isn't counted */
		struct results *into = rep ? results : &warm_up;

		progress("repetition %u of %d", rep, REPS);
		for (size_t i = 0; i < SIZES; i++) {
			set = working_set_create(dev, sizes[i]);
			forget_kept_pages();
			time_evict(dev, &set, &warm_up, i);
			samples_add(&into->first_evict[i], samples_last(&warm_up.evict[i]));
			/* memory that is short goes out and back again and again */
			time_evict(dev, &set, into, i);
			time_kernel_memcpy(into);
			time_memcpy(a, b, BYTES, &into->user_memcpy);
			time_memcpy(a, b, BENCH_PAGE, &into->user_memcpy_pages);
			time_engine(&copy, into);
			add_ratios(into, i);
			working_set_destroy(&set);
		}
	}
	copy_destroy(&copy);
	free(a);
	free(b);
}

static void report_sizes(struct report *report, const struct results *results)
{
	for (size_t i = 0; i < SIZES; i++) {
		double size = (double)sizes[i];

		report_median_at(report, "evict_remap_bytes_per_s", size, &results->evict_remap[i]);
		report_median_at(report, "evict_bytes_per_s", size, &results->evict[i]);
		report_median_at(report, "remap_bytes_per_s", size, &results->remap[i]);
		report_median_at(report, "first_evict_bytes_per_s", size, &results->first_evict[i]);
		report_median_at(report, "ratio_to_memcpy_by_bo_size", size,
				 &results->to_kernel_memcpy[i]);
		report_median_at(report, "ratio_to_user_memcpy_by_bo_size", size,
				 &results->to_user_memcpy[i]);
		report_median_at(report, "ratio_to_user_memcpy_pages_by_bo_size", size,
				 &results->to_user_memcpy_pages[i]);
		report_median_at(report, "ratio_to_engine_copy_by_bo_size", size,
				 &results->to_engine_copy[i]);
	}
}

static void report_results(struct report *report, const struct results *results)
{
	report_sizes(report, results);
	report_median(report, "kernel_memcpy_bytes_per_s", "all", &results->kernel_memcpy);
	report_median(report, "user_memcpy_bytes_per_s", "all", &results->user_memcpy);
	report_median(report, "user_memcpy_pages_bytes_per_s", "all", &results->user_memcpy_pages);
	report_median(report, "engine_copy_bytes_per_s", "all", &results->engine_copy);

	printf("\na working set of %llu MiB out and back, MB/s (median of %d repetitions)\n",
	       BYTES / MIB, REPS);
	printf("  %10s %11s %8s %8s %8s   %s\n", "KiB per BO", "first evict", "evict", "remap",
	       "both",
	       "both, of the kernel's memcpy(), the C library's, page by page, the engine's COPY");
	for (size_t i = 0; i < SIZES; i++)
		printf("  %10llu %11.0f %8.0f %8.0f %8.0f   %.2f  %.2f  %.2f  %.2f\n",
		       (unsigned long long)(sizes[i] / KIB),
		       samples_median(&results->first_evict[i]) / 1e6,
		       samples_median(&results->evict[i]) / 1e6,
		       samples_median(&results->remap[i]) / 1e6,
		       samples_median(&results->evict_remap[i]) / 1e6,
		       samples_median(&results->to_kernel_memcpy[i]),
		       samples_median(&results->to_user_memcpy[i]),
		       samples_median(&results->to_user_memcpy_pages[i]),
		       samples_median(&results->to_engine_copy[i]));
	printf("  the kernel's memcpy() %.0f, the C library's %.0f, page by page %.0f, the engine's COPY %.0f\n",
	       samples_median(&results->kernel_memcpy) / 1e6,
	       samples_median(&results->user_memcpy) / 1e6,
	       samples_median(&results->user_memcpy_pages) / 1e6,
	       samples_median(&results->engine_copy) / 1e6);
	report_target(report, "ratio_to_memcpy",
		      samples_median(&results->to_kernel_memcpy[HEADLINE]), AT_LEAST, 0.9);
	report_value(report, "ratio_to_user_memcpy",
		     samples_median(&results->to_user_memcpy[HEADLINE]));
	report_value(report, "ratio_to_user_memcpy_pages",
		     samples_median(&results->to_user_memcpy_pages[HEADLINE]));
	report_value(report, "ratio_to_engine_copy",
		     samples_median(&results->to_engine_copy[HEADLINE]));
}

static void draw(const struct report *report, const struct results *results)
{
	double x[SIZES], y[6][SIZES];
	const struct plot_line lines[] = {
		{.label = "evict + remap", .x = x, .y = y[0], .count = SIZES},
		{.label = "evict", .x = x, .y = y[1], .count = SIZES},
		{.label = "remap", .x = x, .y = y[2], .count = SIZES},
		{.label = "the kernel's memcpy()",
		 .x = x,
		 .y = y[3],
		 .count = SIZES,
		 .dashed = true},
		{.label = "the C library's", .x = x, .y = y[4], .count = SIZES, .dashed = true},
		{.label = "the engine's COPY", .x = x, .y = y[5], .count = SIZES, .dashed = true},
	};
	const struct plot plot = {
		.title = "Evicting and remapping a working set",
		.subtitle = "64 MiB out of VRAM and back; medians",
		.x_label = "KiB per BO",
		.y_label = "MB/s",
		.log_x = true,
		.lines = lines,
		.num_lines = ARRAY_SIZE(lines),
	};

	for (size_t i = 0; i < SIZES; i++) {
		x[i] = (double)(sizes[i] / KIB);
		y[0][i] = samples_median(&results->evict_remap[i]) / 1e6;
		y[1][i] = samples_median(&results->evict[i]) / 1e6;
		y[2][i] = samples_median(&results->remap[i]) / 1e6;
		y[3][i] = samples_median(&results->kernel_memcpy) / 1e6;
		y[4][i] = samples_median(&results->user_memcpy) / 1e6;
		y[5][i] = samples_median(&results->engine_copy) / 1e6;
	}
	plot_lines(report, &plot);
}

int main(int argc, char **argv)
{
	const char *const params[] = {"devices=1", "vram_mib=256", NULL};
	struct results results = {0};
	struct drover_device *dev;
	struct report report;

	report_begin(&report, "evict", argc, argv);
	if (system("modprobe " KERNEL_MEMCPY))
		die("the module " KERNEL_MEMCPY " can't be loaded");
	module_load(params);
	dev = gpu_open(0);
	measure(dev, &results);
	drover_device_close(dev);
	module_unload();
	report_results(&report, &results);
	draw(&report, &results);
	return report_finish(&report);
}
