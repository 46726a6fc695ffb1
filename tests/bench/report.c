// SPDX-License-Identifier: MIT
/* The report of a benchmark: numbers and targets on the terminal, everything in a JSON file. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <json-c/json.h>

/* What the numbers depend on; nothing that names a machine. */
static struct json_object *describe_machine(void)
{
	struct json_object *machine = json_object_new_object();
	const char *role = getenv("DROVER_KERNEL");
	struct utsname name;
	double load = 0;

	uname(&name);
	getloadavg(&load, 1);
	json_object_object_add(machine, "kernel", json_object_new_string(name.release));
	json_object_object_add(machine, "kernel_role", json_object_new_string(role ? role : "?"));
	json_object_object_add(machine, "cpus",
			       json_object_new_int((int)sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_object_add(machine, "memory_mib",
			       json_object_new_int64((int64_t)sysconf(_SC_PHYS_PAGES) *
						     (int64_t)BENCH_PAGE / (int64_t)MIB));
	json_object_object_add(machine, "guest_load_at_start", json_object_new_double(load));
	return machine;
}

void report_begin(struct report *report, const char *name, int argc, char **argv)
{
	if (argc != 2)
		die("usage: bench_%s DIRECTORY (normally: ./dev bench %s)", name, name);
	setvbuf(stdout, NULL, _IOLBF, 0);
	report->name = name;
	report->directory = argv[1];
	report->root = json_object_new_object();
	report->raw = json_object_new_object();
	report->targets = json_object_new_object();
	json_object_object_add(report->root, "bench", json_object_new_string(name));
	json_object_object_add(report->root, "machine", describe_machine());
}

void report_add(struct report *report, const char *key, struct json_object *object)
{
	json_object_object_add(report->root, key, object);
}

void report_value(struct report *report, const char *key, double value)
{
	report_add(report, key, json_object_new_double(value));
}

static struct json_object *samples_object(const struct samples *samples)
{
	struct json_object *object = json_object_new_object();
	static const struct {
		const char *key;
		double quantile;
	} parts[] = {{"median", 0.5}, {"p25", 0.25}, {"p75", 0.75}, {"min", 0}, {"max", 1}};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		json_object_object_add(
			object, parts[i].key,
			json_object_new_double(samples_quantile(samples, parts[i].quantile)));
	json_object_object_add(object, "samples", json_object_new_int((int)samples->count));
	return object;
}

/* The object under a key, which is made when it is first asked for. */
static struct json_object *map_of(struct json_object *parent, const char *key)
{
	struct json_object *map;

	if (!json_object_object_get_ex(parent, key, &map)) {
		map = json_object_new_object();
		json_object_object_add(parent, key, map);
	}
	return map;
}

void report_raw(struct report *report, const char *map, const char *key,
		const struct samples *samples)
{
	json_object_object_add(map_of(report->raw, map), key, samples_object(samples));
}

/* Sizes and counts in full, parts as they are written. */
static const char *point_name(char name[32], double at)
{
	snprintf(name, 32, "%.15g", at);
	return name;
}

void report_value_at(struct report *report, const char *key, double at, double value)
{
	char name[32];

	json_object_object_add(map_of(report->root, key), point_name(name, at),
			       json_object_new_double(value));
}

void report_median(struct report *report, const char *key, const char *name,
		   const struct samples *samples)
{
	report_value(report, key, samples_median(samples));
	report_raw(report, key, name, samples);
}

void report_median_at(struct report *report, const char *key, double at,
		      const struct samples *samples)
{
	char name[32];

	report_value_at(report, key, at, samples_median(samples));
	report_raw(report, key, point_name(name, at), samples);
}

void report_target(struct report *report, const char *key, double value, enum bound bound,
		   double limit)
{
	bool met = bound == AT_MOST ? value <= limit : value >= limit;
	struct json_object *target = json_object_new_object();

	report_value(report, key, value);
	json_object_object_add(target, bound == AT_MOST ? "at_most" : "at_least",
			       json_object_new_double(limit));
	json_object_object_add(target, "met", json_object_new_boolean(met));
	json_object_object_add(report->targets, key, target);
	printf("  %-34s %10.3f   to reach: %s %-8g %s\n", key, value, bound == AT_MOST ? "≤" : "≥",
	       limit, met ? "reached" : "MISSED");
}

const char *report_path(const struct report *report, const char *extension)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s.%s", report->directory, report->name, extension);
	return path;
}

int report_finish(struct report *report)
{
	const char *path = report_path(report, "json");

	report_add(report, "targets", report->targets);
	report_add(report, "raw", report->raw);
	if (json_object_to_file_ext(path, report->root,
				    JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED))
		die("%s can't be written: %s", path, strerror(errno));
	json_object_put(report->root);
	printf("  all numbers: %s\n", path);
	return 0;
}
