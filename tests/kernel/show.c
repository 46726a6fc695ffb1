// SPDX-License-Identifier: MIT
/*
 * What is shown of it: fdinfo, debugfs and tracepoints say the same as the
 * ioctls. Two devices of 16 MiB of VRAM and of GTT, p2p=1.
 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing"

/* ---- fdinfo ---- */

/* The number after a key, in bytes or in the key's own unit; -1 if the key isn't there. */
static int64_t fdinfo_of(const char *text, const char *key)
{
	size_t length = strlen(key);
	const char *line = text;

	while (line && (strncmp(line, key, length) || line[length] != ':')) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return -1;
	{
		char *end;
		int64_t value = strtoll(line + length + 1, &end, 10);

		if (!strncmp(end, " KiB", 4))
			return value * KIB;
		if (!strncmp(end, " MiB", 4))
			return value * MIB;
		return value;
	}
}

static int64_t fdinfo(struct drover_device *dev, const char *key)
{
	char *text = read_file("/proc/self/fdinfo/%d", drover_device_fd(dev));
	int64_t value;

	check(text, "no fdinfo");
	value = fdinfo_of(text, key);
	check(value >= 0, "fdinfo has no %s:\n%s", key, text);
	free(text);
	return value;
}

static void fdinfo_says_whose_it_is(void)
{
	struct gpu one = gpu_open(0), two = gpu_open(0);
	char *text = read_file("/proc/self/fdinfo/%d", drover_device_fd(one.dev));

	check(text && strstr(text, "drm-driver:\tdrover\n"), "fdinfo names no driver:\n%s", text);
	check(fdinfo(one.dev, "drm-client-id") != fdinfo(two.dev, "drm-client-id"),
	      "two clients have the same id");
	free(text);
}

static void fdinfo_says_how_much_memory(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_open(1);
	struct client_bo vram, gtt, import;
	struct drover_bo *shared;

	check_eq(fdinfo(gpu.dev, "drm-total-vram"), 0);
	vram = gpu_bo(&gpu, 2 * MIB, VRAM);
	gtt = gpu_bo(&gpu, 3 * MIB, GTT);
	shared = bo_new(&gpu, MIB, VRAM | GTT);
	import = gpu_import(&other, bo_export(shared));
	check_ok(gpu_fill(&other, import.va, MIB, 1, 1));

	check_eq(fdinfo(gpu.dev, "drm-total-vram"), 3 * MIB);
	check_eq(fdinfo(gpu.dev, "drm-resident-vram"), 3 * MIB);
	check_eq(fdinfo(gpu.dev, "drm-shared-vram"), MIB);
	check_eq(fdinfo(gpu.dev, "drm-total-gtt"), 3 * MIB);
	check_eq(fdinfo(gpu.dev, "drm-resident-gtt"), 3 * MIB);
	check_eq(fdinfo(other.dev, "drm-total-foreign"), MIB);
	check_eq(fdinfo(other.dev, "drm-resident-foreign"), MIB);
	check_eq(fdinfo(other.dev, "drm-total-vram"), 0);

	/* An evicted BO still counts, but isn't resident. */
	check_ok(drover_device_evict(gpu.dev, NULL));
	check_eq(fdinfo(gpu.dev, "drm-total-vram"), 3 * MIB);
	check_eq(fdinfo(gpu.dev, "drm-resident-vram"), 0);
	check_eq(fdinfo(gpu.dev, "drm-resident-gtt"), 0);
	check_eq(fdinfo(other.dev, "drm-resident-foreign"), 0);
	check_ok(gpu_fill(&gpu, vram.va, MIB, 1, 1));
	check_eq(fdinfo(gpu.dev, "drm-resident-vram"), 2 * MIB);
	check_eq(fdinfo(gpu.dev, "drm-resident-gtt"), 3 * MIB);

	check_ok(drover_vm_unbind(gpu.vm, gtt.va, 3 * MIB));
	drover_bo_unref(gtt.bo);
	check_eq(fdinfo(gpu.dev, "drm-total-gtt"), 0);
	check_eq(fdinfo(gpu.dev, "drover-pinned"), 0);
}

static void fdinfo_says_how_busy(void)
{
	struct gpu gpu = gpu_open(0), idle = gpu_open(0);
	struct job job = job_new(&gpu);
	int64_t before = fdinfo(gpu.dev, "drm-engine-kernel"), busy;

	drover_submission_spin(job.sub, 50000);
	check_ok(job_run(&job));
	check(eventually((busy = fdinfo(gpu.dev, "drm-engine-kernel")) - before >= 50000000),
	      "an engine was busy for 50 ms, fdinfo says %lld ns", (long long)(busy - before));
	check_eq(fdinfo(idle.dev, "drm-engine-kernel"), 0);
}

/* ---- debugfs: tables with the columns' names in the first line ---- */

struct table {
	char *text;
	/* Of the row that next_row() went to. */
	char *row, *next;
};

static struct table open_table(struct drover_device *dev, const char *file)
{
	struct table table = {0};
	char path[128];

	debugfs_path(dev, file, path, sizeof(path));
	table.text = read_file("%s", path);
	check(table.text, "can't read %s: %m", path);
	table.next = strchr(table.text, '\n');
	check(table.next, "%s is empty", path);
	*table.next++ = '\0';
	return table;
}

static bool next_row(struct table *table)
{
	char *end;

	if (!*table->next)
		return false;
	table->row = table->next;
	end = strchr(table->row, '\n');
	check(end, "a row without an end: %s", table->row);
	*end = '\0';
	table->next = end + 1;
	return true;
}

/* The word of the present row below the header's word @column. */
static void cell(struct table *table, const char *column, char *word, size_t size)
{
	const char *header = table->text, *row = table->row;
	size_t length = strlen(column), found;

	for (;;) {
		found = strcspn(header, " ");
		if (found == length && !strncmp(header, column, length))
			break;
		header += found + strspn(header + found, " ");
		row += strcspn(row, " ");
		row += strspn(row, " ");
		check(*header && *row, "no column %s in: %s", column, table->text);
	}
	snprintf(word, size, "%.*s", (int)strcspn(row, " "), row);
}

static uint64_t number(struct table *table, const char *column)
{
	char word[64];

	cell(table, column, word, sizeof(word));
	return strtoull(word, NULL, 10);
}

static bool is(struct table *table, const char *column, const char *expected)
{
	char word[64];

	cell(table, column, word, sizeof(word));
	return !strcmp(word, expected);
}

struct gem_sums {
	uint64_t vram, gtt, evicted, foreign, pinned, evictions, moves, remaps;
	unsigned int rows, imports, private;
};

static struct gem_sums sum_gem(struct drover_device *dev)
{
	struct table table = open_table(dev, "gem");
	struct gem_sums sums = {0};

	while (next_row(&table)) {
		uint64_t size = number(&table, "size");

		sums.rows++;
		sums.vram += is(&table, "placement", "vram") ? size : 0;
		sums.gtt += is(&table, "placement", "gtt") ? size : 0;
		sums.evicted += is(&table, "placement", "evicted") ? size : 0;
		sums.foreign += is(&table, "placement", "foreign") ? size : 0;
		sums.pinned += number(&table, "pins") ? size : 0;
		sums.evictions += number(&table, "evictions");
		sums.moves += number(&table, "moves");
		sums.remaps += number(&table, "remaps");
		sums.imports += is(&table, "kind", "import");
		sums.private += is(&table, "kind", "private");
	}
	free(table.text);
	return sums;
}

static void debugfs_gem_sums_up(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_open(1);
	uint64_t evictions = device_info(gpu.dev).evictions;
	struct client_bo vram = gpu_bo(&gpu, 2 * MIB, VRAM), gtt = gpu_bo(&gpu, 3 * MIB, GTT),
			 import;
	struct drm_drover_device_info info;
	struct gem_sums sums;

	bo_new_private(&gpu, MIB, VRAM);
	import = gpu_import(&gpu, bo_export(bo_new(&other, MIB, VRAM)));
	check_ok(gpu_fill(&gpu, import.va, MIB, 1, 1));
	check_ok(drover_bo_evict(vram.bo, NULL));
	check_ok(gpu_fill(&gpu, vram.va, MIB, 1, 1));
	check_ok(drover_bo_evict(gtt.bo, NULL));

	sums = sum_gem(gpu.dev);
	info = device_info(gpu.dev);
	check_eq(sums.rows, 4);
	check_eq(sums.imports, 1);
	check_eq(sums.private, 1);
	check_eq(sums.vram, info.vram_used);
	check_eq(sums.vram, 3 * MIB);
	check_eq(sums.gtt, info.gtt_used);
	check_eq(sums.gtt, 0);
	check_eq(sums.evicted, 3 * MIB);
	check_eq(sums.foreign, MIB);
	check_eq(sums.pinned, info.pinned);
	check_eq(sums.evictions, info.evictions - evictions);
	check_eq(sums.evictions, 2);
	check_eq(sums.moves, 3);
	check_eq(sums.remaps, 1);
}

static void debugfs_vms_agree(void)
{
	struct gpu gpu = gpu_open(0), lost = gpu_add_vm(&gpu);
	struct client_bo bo = gpu_bo(&gpu, MIB, VRAM);
	struct drm_drover_vm_info info;
	struct table table;
	unsigned int rows = 0;

	check_ok(gpu_fill(&gpu, bo.va, MIB, 1, 1));
	check_ok(drover_bo_evict(bo.bo, NULL));
	check_ok(gpu_fill(&gpu, bo.va, MIB, 1, 1));
	check_err(gpu_fill(&lost, lost.va, 4, 1, 1), -EFAULT);
	table = open_table(gpu.dev, "vms");
	while (next_row(&table)) {
		struct gpu *which = number(&table, "vm") == drover_vm_id(gpu.vm) ? &gpu : &lost;

		info = vm_info(which);
		check_eq(number(&table, "pid"), getpid());
		check_eq(number(&table, "vm"), info.vm_id);
		check_eq(number(&table, "submitted"), info.submitted);
		check_eq(number(&table, "completed"), info.completed);
		check_eq(number(&table, "evictions"), info.evictions);
		check_eq(number(&table, "invalidations"), info.invalidations);
		check_eq(number(&table, "remaps"), info.remaps);
		check_eq(number(&table, "resumes"), info.resumes);
		check_eq(is(&table, "state", "lost"), which == &lost);
		rows++;
	}
	check_eq(rows, 2);
	free(table.text);
}

static void debugfs_clients_agree(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_open(0);
	struct job job = job_new(&gpu);
	unsigned int rows = 0;
	uint64_t busy = 0;
	struct table table;

	drover_submission_spin(job.sub, 20000);
	check_ok(job_run(&job));
	check(eventually(fdinfo(gpu.dev, "drm-engine-kernel") >= 20000000), "not busy");
	table = open_table(other.dev, "client_stats");
	while (next_row(&table)) {
		check_eq(number(&table, "pid"), getpid());
		check_eq(number(&table, "pinned"), 0);
		busy += number(&table, "busy_ns");
		rows++;
	}
	check_eq(rows, 2);
	check_eq(busy, fdinfo(gpu.dev, "drm-engine-kernel"));
	free(table.text);
}

/* ---- Tracepoints ---- */

static void need_tracing(void)
{
	if (access(TRACING "/trace", F_OK))
		test_skip("this kernel is built without tracing");
	check(!access(TRACING "/events/drover", F_OK), "there are no drover events");
}

static void trace(const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "/%s", file);
	check_ok(write_file(path, value));
}

/* How many lines of the trace hold both. */
static unsigned int count_lines(const char *text, const char *event, const char *fields)
{
	const char *line, *end;
	unsigned int count = 0;
	char copy[512];

	for (line = text; (end = strchr(line, '\n')); line = end + 1) {
		snprintf(copy, sizeof(copy), "%.*s", (int)(end - line), line);
		count += strstr(copy, event) && strstr(copy, fields);
	}
	return count;
}

static void events_exist(void)
{
	static const char *const events[] = {
		"drover_evict", "drover_invalidate", "drover_suspend", "drover_resume",
		"drover_remap", "drover_pin",        "drover_submit",
	};
	size_t i;

	need_tracing();
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		char path[128];

		snprintf(path, sizeof(path), TRACING "/events/drover/%s/format", events[i]);
		check(!access(path, F_OK), "there is no event %s", events[i]);
	}
}

static void events_fire(void)
{
	struct gpu exporter, importer;
	struct client_bo bo, import;
	unsigned int submits;
	char *text;

	need_tracing();
	exporter = gpu_open(0);
	importer = gpu_open(1);
	bo = gpu_bo(&exporter, 5 * PAGE, VRAM | GTT);
	import = gpu_import(&importer, bo_export(bo.bo));
	check_ok(gpu_fill(&importer, import.va, PAGE, 1, 1));
	check_ok(gpu_fill(&exporter, bo.va, PAGE, 1, 1));

	trace("trace", "");
	trace("events/drover/enable", "1");
	check_ok(drover_bo_evict(bo.bo, NULL));
	check_ok(gpu_check(&importer, import.va, PAGE, 1, 1));
	check_ok(gpu_check(&exporter, bo.va, PAGE, 1, 1));
	trace("events/drover/enable", "0");
	text = read_file(TRACING "/trace");
	check(text, "no trace");
	trace("trace", "");

	check(count_lines(text, "drover_evict:", "size=20480 from=0x1 to=0x4") == 1,
	      "one eviction from VRAM, not in the trace:\n%s", text);
	check(count_lines(text, "drover_invalidate:", "size=20480 by_exporter=0") >= 1,
	      "the exporter's invalidation isn't in the trace:\n%s", text);
	check(count_lines(text, "drover_invalidate:", "size=20480 by_exporter=1") >= 1,
	      "the importer's invalidation isn't in the trace:\n%s", text);
	check(count_lines(text, "drover_remap:", "size=20480") == 2,
	      "two VMs remapped, not in the trace:\n%s", text);
	check(count_lines(text, "drover_resume:", "vm=") == 2,
	      "two VMs resumed, not in the trace:\n%s", text);
	check(count_lines(text, "drover_suspend:", "vm=") == 2,
	      "two VMs were suspended, not in the trace:\n%s", text);
	submits = count_lines(text, "drover_submit:", "commands=1 buffers=0");
	check(submits == 2, "two submissions, %u in the trace:\n%s", submits, text);
	check(!count_lines(text, "drover_pin:", ""), "nothing was pinned; the trace says:\n%s",
	      text);
	free(text);
}

static const struct test tests[] = {
	TEST(fdinfo_says_whose_it_is),
	TEST(fdinfo_says_how_much_memory),
	TEST(fdinfo_says_how_busy),
	TEST(debugfs_gem_sums_up),
	TEST(debugfs_vms_agree),
	TEST(debugfs_clients_agree),
	TEST(events_exist),
	TEST(events_fire),
};

int main(int argc, char **argv)
{
	return test_main("show", tests, ARRAY_SIZE(tests), argc, argv);
}
