// SPDX-License-Identifier: MIT
/*
 * How fast a CPU gets at memory in a VM's aperture that it has no entries for.
 *
 * Refault: the working set was evicted; touching a word of each page brings all of it back, copy included. Resident: it
 * was only bound anew, so that the faults find everything in VRAM. Compared with a memcpy() of as many bytes, and with
 * the first touch of anonymous memory, in small pages and as the kernel likes.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SIZES     4
#define BYTES     (64 * MIB)
#define REPS      11
#define HEADLINE  2
#define SETTLE_MS 20

/* the size of each BO of the working set */
static const uint64_t sizes[SIZES] = {64 * KIB, MIB, 4 * MIB, 64 * MIB};

struct working_set {
	struct drover_vm *vm;
	struct drover_bo **bos;
	size_t count;
	uint64_t va;
	void *base;
};

struct results {
	/* bytes per second */
	struct samples refault[SIZES];
	struct samples resident[SIZES];
	/* faults that a refault of the working set took */
	struct samples faults[SIZES];
	struct samples memcpy;
	struct samples anonymous;
	struct samples anonymous_small;
	/* of the refault to each of these, measured right after it */
	struct samples to_memcpy[SIZES];
	struct samples to_anonymous[SIZES];
	struct samples resident_to_anonymous[SIZES];
};

static struct working_set working_set_create(struct drover_device *dev, uint64_t size)
{
	struct working_set set = {.count = BYTES / size, .va = BYTES};

	check(drover_vm_create(dev, &set.vm), "creating a VM");
	check(drover_vm_map_aperture(set.vm, 4 * BYTES, &set.base), "mapping an aperture");
	set.bos = bo_array_create(dev, set.vm, set.count, size, DRM_DROVER_PLACEMENT_VRAM);
	bind_all(set.vm, set.va, set.bos, set.count);
	return set;
}

static void working_set_destroy(struct working_set *set)
{
	check(drover_vm_unmap_aperture(set->vm, set->base, 4 * BYTES), "unmapping an aperture");
	drover_vm_destroy(set->vm);
	bo_array_free(set->bos, set->count);
	/* the VM goes in the background */
	sleep_ms(SETTLE_MS);
}

/* Writes a word of each page; bytes per second. */
static double touch(void *memory)
{
	volatile uint32_t *words = memory;
	uint64_t start = now_ns();

	for (size_t i = 0; i < BYTES / sizeof(*words); i += BENCH_PAGE / sizeof(*words))
		words[i] = (uint32_t)i;
	return (double)BYTES * 1e9 / (double)(now_ns() - start);
}

static uint64_t faults_of(struct drover_vm *vm)
{
	struct drm_drover_vm_info info;

	check(drover_vm_info(vm, &info), "asking about a VM");
	if (info.lost_reason)
		die("the VM was lost: %s", strerror((int)info.lost_reason));
	return info.faults;
}

static void time_faults(struct drover_device *dev, struct working_set *set, struct results *results,
			size_t size)
{
	uint8_t *memory = (uint8_t *)set->base + set->va;
	struct drm_drover_evict evicted;
	uint64_t faults, moved;

	samples_add(&results->resident[size], touch(memory));

	check(drover_vm_evict(set->vm, &evicted), "evicting a VM");
	faults = faults_of(set->vm);
	moved = gpu_info(dev).bytes_moved;
	samples_add(&results->refault[size], touch(memory));
	moved = gpu_info(dev).bytes_moved - moved;
	faults = faults_of(set->vm) - faults;
	if (evicted.evicted_bytes != BYTES || moved != BYTES || !faults)
		die("%llu bytes evicted, %llu brought back in %llu faults; expected %llu both ways",
		    (unsigned long long)evicted.evicted_bytes, (unsigned long long)moved,
		    (unsigned long long)faults, BYTES);
	samples_add(&results->faults[size], (double)faults);
}

static void time_anonymous(struct samples *samples, int advice)
{
	void *memory =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("no %llu bytes of anonymous memory: %s", BYTES, strerror(errno));
	if (advice)
		/* a kernel without huge pages has nothing to be told */
		(void)madvise(memory, BYTES, advice);
	samples_add(samples, touch(memory));
	munmap(memory, BYTES);
}

static void time_memcpy(uint8_t *to, const uint8_t *from, struct samples *samples)
{
	uint64_t start = now_ns();

	memcpy(to, from, BYTES);
	/* as far as the compiler knows somebody looks */
	__asm__ volatile("" : : "r"(to) : "memory");
	samples_add(samples, (double)BYTES * 1e9 / (double)(now_ns() - start));
}

static void measure(struct drover_device *dev, struct results *results)
{
	uint8_t *a = xcalloc(BYTES, 1), *b = xcalloc(BYTES, 1);
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
			time_faults(dev, &set, into, i);
			time_memcpy(b, a, &into->memcpy);
			time_anonymous(&into->anonymous, 0);
			time_anonymous(&into->anonymous_small, MADV_NOHUGEPAGE);
			samples_add(&into->to_memcpy[i],
				    samples_last(&into->refault[i]) / samples_last(&into->memcpy));
			samples_add(&into->to_anonymous[i], samples_last(&into->refault[i]) /
								    samples_last(&into->anonymous));
			samples_add(&into->resident_to_anonymous[i],
				    samples_last(&into->resident[i]) /
					    samples_last(&into->anonymous));
			working_set_destroy(&set);
		}
	}
	free(a);
	free(b);
}

static void report_sizes(struct report *report, const struct results *results)
{
	for (size_t i = 0; i < SIZES; i++) {
		double size = (double)sizes[i];

		report_median_at(report, "refault_bytes_per_s", size, &results->refault[i]);
		report_median_at(report, "resident_bytes_per_s", size, &results->resident[i]);
		report_median_at(report, "faults", size, &results->faults[i]);
		report_median_at(report, "refault_to_memcpy_by_bo_size", size,
				 &results->to_memcpy[i]);
		report_median_at(report, "refault_to_anonymous_by_bo_size", size,
				 &results->to_anonymous[i]);
		report_median_at(report, "resident_to_anonymous_by_bo_size", size,
				 &results->resident_to_anonymous[i]);
	}
}

static void report_results(struct report *report, const struct results *results)
{
	report_sizes(report, results);
	report_median(report, "memcpy_bytes_per_s", "all", &results->memcpy);
	report_median(report, "anonymous_bytes_per_s", "all", &results->anonymous);
	report_median(report, "anonymous_small_bytes_per_s", "all", &results->anonymous_small);

	printf("\na word of each page of %llu MiB, MB/s (median of %d repetitions)\n", BYTES / MIB,
	       REPS);
	printf("  %10s %8s %8s %8s   %s\n", "KiB per BO", "refault", "resident", "faults",
	       "refault: of memcpy(), of anonymous memory; resident: of anonymous memory");
	for (size_t i = 0; i < SIZES; i++)
		printf("  %10llu %8.0f %8.0f %8.0f   %.2f  %.2f  %.2f\n",
		       (unsigned long long)(sizes[i] / KIB),
		       samples_median(&results->refault[i]) / 1e6,
		       samples_median(&results->resident[i]) / 1e6,
		       samples_median(&results->faults[i]), samples_median(&results->to_memcpy[i]),
		       samples_median(&results->to_anonymous[i]),
		       samples_median(&results->resident_to_anonymous[i]));
	printf("  memcpy() %.0f, anonymous memory %.0f, in small pages %.0f\n",
	       samples_median(&results->memcpy) / 1e6, samples_median(&results->anonymous) / 1e6,
	       samples_median(&results->anonymous_small) / 1e6);
	report_value(report, "ratio_to_memcpy", samples_median(&results->to_memcpy[HEADLINE]));
	report_value(report, "ratio_to_anonymous",
		     samples_median(&results->to_anonymous[HEADLINE]));
}

static void draw(const struct report *report, const struct results *results)
{
	double x[SIZES], y[4][SIZES];
	const struct plot_line lines[] = {
		{.label = "refault after an eviction", .x = x, .y = y[0], .count = SIZES},
		{.label = "fault, resident", .x = x, .y = y[1], .count = SIZES},
		{.label = "memcpy()", .x = x, .y = y[2], .count = SIZES, .dashed = true},
		{.label = "anonymous memory", .x = x, .y = y[3], .count = SIZES, .dashed = true},
	};
	const struct plot plot = {
		.title = "Faults in the aperture",
		.subtitle = "a word of each page of 64 MiB; medians",
		.x_label = "KiB per BO",
		.y_label = "MB/s",
		.log_x = true,
		.log_y = true,
		.lines = lines,
		.num_lines = ARRAY_SIZE(lines),
	};

	for (size_t i = 0; i < SIZES; i++) {
		x[i] = (double)(sizes[i] / KIB);
		y[0][i] = samples_median(&results->refault[i]) / 1e6;
		y[1][i] = samples_median(&results->resident[i]) / 1e6;
		y[2][i] = samples_median(&results->memcpy) / 1e6;
		y[3][i] = samples_median(&results->anonymous) / 1e6;
	}
	plot_lines(report, &plot);
}

int main(int argc, char **argv)
{
	const char *const params[] = {"devices=1", "vram_mib=256", NULL};
	struct results results = {0};
	struct drover_device *dev;
	struct report report;

	report_begin(&report, "fault", argc, argv);
	module_load(params);
	dev = gpu_open(0);
	measure(dev, &results);
	drover_device_close(dev);
	module_unload();
	report_results(&report, &results);
	draw(&report, &results);
	return report_finish(&report);
}
