// SPDX-License-Identifier: MIT
/* Time, samples, the module, and short names for BOs, address spaces and jobs; see bench.h. */
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MODULE_PATIENCE_MS 20000

void die(const char *format, ...)
{
	va_list args;

	fputs("bench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void check(int ret, const char *format, ...)
{
	char what[256];
	va_list args;

	if (!ret)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	die("%s: %s", what, ret < 0 ? strerror(-ret) : "failed");
}

void *xcalloc(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		die("no memory for %zu × %zu bytes", count, size);
	return memory;
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return now_ns();
#endif
}

/* Compares the two clocks once, over 100 ms. */
double ticks_to_ns(uint64_t count)
{
	static double ns_per_tick;

	if (ns_per_tick <= 0) {
		uint64_t ns = now_ns(), tick = ticks();

		sleep_ms(100);
		ns_per_tick = (double)(now_ns() - ns) / (double)(ticks() - tick);
	}
	return (double)count * ns_per_tick;
}

void sleep_ms(unsigned int ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

void progress(const char *format, ...)
{
	bool tty = isatty(STDERR_FILENO);
	va_list args;

	fputs(tty ? "\r\033[K" : "  ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (!tty)
		fputc('\n', stderr);
	fflush(stderr);
}

/* ---- Samples ---- */

void samples_add(struct samples *samples, double value)
{
	double *values = realloc(samples->values, (samples->count + 1) * sizeof(*values));

	if (!values)
		die("no memory for samples");
	values[samples->count++] = value;
	samples->values = values;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double samples_quantile(const struct samples *samples, double quantile)
{
	double *sorted, at, value;
	size_t below;

	if (!samples->count)
		die("a median of nothing");
	sorted = xcalloc(samples->count, sizeof(*sorted));
	memcpy(sorted, samples->values, samples->count * sizeof(*sorted));
	qsort(sorted, samples->count, sizeof(*sorted), compare_doubles);

	at = quantile * (double)(samples->count - 1);
	below = (size_t)floor(at);
	value = sorted[below];
	if (below + 1 < samples->count)
		value += (at - (double)below) * (sorted[below + 1] - sorted[below]);
	free(sorted);
	return value;
}

double samples_median(const struct samples *samples)
{
	return samples_quantile(samples, 0.5);
}

double samples_last(const struct samples *samples)
{
	if (!samples->count)
		die("the last of nothing");
	return samples->values[samples->count - 1];
}

void samples_fold(struct samples *medians, struct samples *samples)
{
	samples_add(medians, samples_median(samples));
	samples_free(samples);
}

void samples_free(struct samples *samples)
{
	free(samples->values);
	*samples = (struct samples){0};
}

/* ---- The module ---- */

static int run_program(char *const *argv)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		execvp(argv[0], argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

void module_load(const char *const *params)
{
	char *argv[16] = {(char *)"modprobe", (char *)"drover"};
	size_t n = 2;

	for (; *params && n + 1 < ARRAY_SIZE(argv); params++)
		argv[n++] = (char *)*params;
	if (run_program(argv))
		die("the module can't be loaded. This runs in a guest: ./dev bench NAME");
}

/* Whatever depended on drover stays loaded: rmmod, unlike modprobe -r, takes away nothing else. */
void module_unload(void)
{
	char *const argv[] = {(char *)"rmmod", (char *)"drover", NULL};
	char line[256];
	unsigned long refs;
	FILE *file;

	for (unsigned int waited = 0; waited < MODULE_PATIENCE_MS; waited += 20) {
		refs = 0;
		file = fopen("/proc/modules", "r");
		while (file && fgets(line, sizeof(line), file))
			if (sscanf(line, "drover %*s %lu", &refs) == 1)
				break;
		if (file)
			fclose(file);
		if (!refs) {
			check(run_program(argv), "rmmod drover");
			return;
		}
		sleep_ms(20);
	}
	die("the module is still in use %d s after everything was closed",
	    MODULE_PATIENCE_MS / 1000);
}

struct drm_drover_device_info gpu_info(struct drover_device *dev)
{
	struct drm_drover_device_info info;

	check(drover_device_info(dev, &info), "device info");
	return info;
}

struct drover_device *gpu_open(unsigned int index)
{
	struct drover_device *dev;
	int count = drover_device_count();

	for (int i = 0; i < count; i++) {
		check(drover_device_open((unsigned int)i, &dev), "opening virtual GPU %u", index);
		if (gpu_info(dev).device_index == index)
			return dev;
		drover_device_close(dev);
	}
	die("there is no virtual GPU %u", index);
}

/* ---- Buffers, address spaces and jobs ---- */

struct drover_bo **bo_array_create(struct drover_device *dev, struct drover_vm *vm, size_t count,
				   uint64_t size, uint32_t placements)
{
	struct drover_bo **bos = xcalloc(count, sizeof(struct drover_bo *));

	for (size_t i = 0; i < count; i++)
		check(drover_bo_create(dev, size, placements, 0, vm, &bos[i]),
		      "creating BO %zu of %zu", i, count);
	return bos;
}

struct drover_bo **bo_array_import(struct drover_device *dev, struct drover_bo *const *bos,
				   size_t count)
{
	struct drover_bo **imports = xcalloc(count, sizeof(struct drover_bo *));
	int fd;

	for (size_t i = 0; i < count; i++) {
		check(drover_bo_export(bos[i], &fd), "exporting BO %zu of %zu", i, count);
		check(drover_bo_import(dev, fd, &imports[i]), "importing BO %zu of %zu", i, count);
		close(fd);
	}
	return imports;
}

void bo_array_free(struct drover_bo **bos, size_t count)
{
	for (size_t i = 0; i < count; i++)
		drover_bo_unref(bos[i]);
	free(bos);
}

void bind_all(struct drover_vm *vm, uint64_t va, struct drover_bo *const *bos, size_t count)
{
	struct drm_drover_bind binds[1024];
	uint32_t n = 0;

	for (size_t i = 0; i < count; i++) {
		binds[n++] = (struct drm_drover_bind){
			.op = DRM_DROVER_BIND_MAP,
			.handle = drover_bo_handle(bos[i]),
			.va = va,
			.size = drover_bo_size(bos[i]),
		};
		va += drover_bo_size(bos[i]);
		if (n == ARRAY_SIZE(binds) || i + 1 == count) {
			check(drover_vm_bind_array(vm, binds, n, NULL), "binding %zu BOs", count);
			n = 0;
		}
	}
}

struct queue queue_create(struct drover_device *dev)
{
	struct queue queue;

	check(drover_vm_create(dev, &queue.vm), "creating a VM");
	check(drover_sync_create(dev, false, &queue.sync), "creating a sync");
	check(drover_submission_create(queue.vm, &queue.empty), "creating a submission");
	check(drover_submission_create(queue.vm, &queue.last), "creating a submission");
	drover_submission_signal(queue.last, queue.sync, 0);
	return queue;
}

void submit_and_wait(struct drover_submission *sub, struct drover_sync *sync)
{
	int status;

	check(drover_submission_submit(sub), "submitting");
	check(drover_sync_wait(sync, 0, -1, 0), "waiting for a job");
	status = drover_sync_status(sync, 0);
	if (status == -EILSEQ)
		die("a job found wrong data in its memory");
	if (status == -ETIME)
		die("a job ran into its time limit; is the machine busy with something else?");
	if (status != 1)
		die("a job failed: %s", strerror(-status));
}

void queue_finish(struct queue *queue)
{
	submit_and_wait(queue->last, queue->sync);
	/* A job's place is free a moment after its fence. */
	usleep(200);
}

void queue_destroy(struct queue *queue)
{
	drover_submission_destroy(queue->last);
	drover_submission_destroy(queue->empty);
	drover_sync_destroy(queue->sync);
	drover_vm_destroy(queue->vm);
}
