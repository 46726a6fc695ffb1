// SPDX-License-Identifier: MIT
/*
 * What a suite's program does before its tests: the loader's environment, with one
 * driver manifest per virtual GPU. And the kernel's counters.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LAYER             "VK_LAYER_DROVER_working_set"
#define VALIDATION        "VK_LAYER_KHRONOS_validation"
#define SYSTEM_LAYERS     "/usr/share/vulkan/explicit_layer.d"
#define DRIVER_MANIFEST   "/usr/share/vulkan/icd.d/lvp_icd.json"
#define MAX_GPUS          8
/* without the layer, so that tests of several devices can be tried */
#define NUM_PLAIN_DEVICES 2

#define PATH_SIZE         96

static char directory[64];
static unsigned int gpus;

bool is_plain(void)
{
	const char *plain = getenv("DROVER_TEST_PLAIN");

	return plain && !strcmp(plain, "1");
}

unsigned int num_gpus(void)
{
	return gpus;
}

void need_gpus(unsigned int count)
{
	if (is_plain())
		test_skip("needs virtual GPUs and the layer, and this is a run without");
	check(gpus >= count, "needs %u virtual GPUs, there are %u: load the module with devices=%u",
	      count, gpus, count);
}

static void set(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void set(const char *name, const char *format, ...)
{
	char value[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(value, sizeof(value), format, arguments);
	va_end(arguments);
	setenv(name, value, 1);
}

static void manifest_path(unsigned int gpu, char *path, size_t size)
{
	snprintf(path, size, "%s/lvp_%u.json", directory, gpu);
}

/* The loader takes a file that is named twice for one driver: so each GPU has a copy. */
static int copy_manifests(const char *text)
{
	char files[MAX_GPUS * PATH_SIZE] = "", path[PATH_SIZE];
	unsigned int i;

	for (i = 0; i < gpus; i++) {
		FILE *file;

		manifest_path(i, path, sizeof(path));
		file = fopen(path, "w");
		if (!file || fputs(text, file) < 0 || fclose(file))
			return -EIO;
		if (i)
			strcat(files, ":");
		strcat(files, path);
	}
	set("VK_DRIVER_FILES", "%s", files);
	return 0;
}

static int set_up_drivers(void)
{
	char *text = read_file(DRIVER_MANIFEST);
	int error;

	if (!text) {
		fprintf(stderr, "# %s can't be read: install Mesa's Vulkan drivers\n",
			DRIVER_MANIFEST);
		return -ENOENT;
	}
	strcpy(directory, "/tmp/drover-vulkan.XXXXXX");
	if (!mkdtemp(directory)) {
		free(text);
		return -errno;
	}
	error = copy_manifests(text);
	free(text);
	return error;
}

static void set_up_layers(void)
{
	const char *validation = getenv("DROVER_TEST_VALIDATION"), *where = getenv("VK_LAYER_PATH");
	const char *above = validation && !strcmp(validation, "0") ? "" : VALIDATION;
	const char *below = is_plain() ? "" : LAYER;

	set("VK_LAYER_PATH", "%s:%s", where ? where : LAYER_DIRECTORY, SYSTEM_LAYERS);
	/* the first one named is next to the application */
	set("VK_INSTANCE_LAYERS", "%s%s%s", above, *above && *below ? ":" : "", below);
	/* the implicit ones aren't what is tested: look for them where there are none */
	set("VK_IMPLICIT_LAYER_PATH", "%s/none", directory);
}

static void clean_up(void)
{
	char path[PATH_SIZE];
	unsigned int i;

	for (i = 0; i < gpus; i++) {
		manifest_path(i, path, sizeof(path));
		unlink(path);
	}
	rmdir(directory);
}

int vulkan_main(const char *suite, const struct test *tests, size_t count, int argc, char **argv)
{
	int status, found = drover_device_count();

	gpus = is_plain() ? NUM_PLAIN_DEVICES : found < 0 ? 0 : found;
	if (!gpus || gpus > MAX_GPUS) {
		fprintf(stderr,
			"# %u virtual GPUs can be opened, 1 to %d are needed: run this in a guest, "
			"or with DROVER_TEST_PLAIN=1\n",
			gpus, MAX_GPUS);
		return EXIT_FAILURE;
	}
	if (set_up_drivers())
		return EXIT_FAILURE;
	set_up_layers();
	status = test_main(suite, tests, count, argc, argv);
	clean_up();
	return status;
}

/* ---- What the kernel says ---- */

struct drm_drover_device_info gpu_info(unsigned int gpu)
{
	struct drover_device *dev = device_open(gpu);
	struct drm_drover_device_info info = device_info(dev);

	drover_device_close(dev);
	return info;
}

/* The number in a line of a table under a column's name; 0 if there is no such column. */
static uint64_t column(const char *head, const char *line, const char *name)
{
	char heads[512], cells[512], *head_rest = heads, *cell_rest = cells, *cell;

	snprintf(heads, sizeof(heads), "%s", head);
	snprintf(cells, sizeof(cells), "%s", line);
	while ((cell = strsep(&cell_rest, " ")) && head_rest)
		if (!strcmp(strsep(&head_rest, " "), name))
			return strtoull(cell, NULL, 10);
	return 0;
}

struct vm_counters vm_counters(unsigned int gpu, pid_t process)
{
	struct drover_device *dev = device_open(gpu);
	struct vm_counters sum = {0};
	char path[128], *text, *rest, *head, *line;

	debugfs_path(dev, "vms", path, sizeof(path));
	drover_device_close(dev);
	text = read_file("%s", path);
	check(text, "%s can't be read: mount debugfs, and be root", path);
	rest = text;
	head = strsep(&rest, "\n");
	while ((line = strsep(&rest, "\n")) && *line) {
		if (column(head, line, "pid") != (uint64_t)process)
			continue;
		sum.vms++;
		sum.evictions += column(head, line, "evictions");
		sum.invalidations += column(head, line, "invalidations");
		sum.remaps += column(head, line, "remaps");
		sum.faults += column(head, line, "faults");
	}
	free(text);
	return sum;
}
