// SPDX-License-Identifier: MIT
/* drover top: its options, and the one-shot JSON. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

static const char help[] =
	"Usage: drover top [--interval SECONDS] [--json]\n"
	"\n"
	"Shows the virtual GPUs and their clients, live: what is resident, evicted and pinned, and how often working sets\n"
	"are faulted in, suspended and remapped. Without root only your own processes are seen, and no working sets.\n"
	"\n"
	"Options:\n"
	"  --interval SECONDS  time between two looks, 0.1 to 3600 (1)\n"
	"  --json              print one snapshot as JSON and end: sizes in bytes, counters since the client's start, null\n"
	"                      for what can't be seen. With --interval also what happened in that time, per second\n"
	"\n"
	"Keys: q quit, s sort by the next column, + and - longer and shorter interval, arrows and page keys scroll.\n"
	"\n"
	"Columns of a GPU: VRAM and GTT in use and their sizes; EVICTED: BOs out of its reach; PINNED: may not move, and how\n"
	"much may be at most; MOVED/S: bytes copied between placements; EVICT/S: BOs taken out of VRAM or GTT.\n"
	"Columns of a client (a process on a GPU): RESIDENT: what is bound in its working sets and in the GPU's reach;\n"
	"EVICTED: what has to be brought back first (without root: bytes of its BOs); PINNED; SETS: working sets; FAULT/S: CPU\n"
	"faults that brought memory back; SUSP/S: working sets stopped because something had to move; REMAP/S: BOs made\n"
	"reachable again; BUSY: share of the time that its jobs ran on an engine. A dash: not known.\n"
	"\n"
	"Examples:\n"
	"  sudo drover top\n"
	"  drover top --interval 0.2\n"
	"  sudo drover top --json --interval 5 | jq '.clients[] | {name, evicted, faults_per_s}'\n"
	"\n"
	"Exit status: 0; 1 if there is nothing to look at; 2 for wrong options.\n";

static const struct option long_options[] = {
	{"interval", required_argument, NULL, 'i'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static double parse_interval(const char *value)
{
	double seconds;
	char *end;

	errno = 0;
	seconds = strtod(value, &end);
	if (errno || end == value || *end || !(seconds >= 0.1 && seconds <= 3600))
		usage_error("top", "--interval %s: expected 0.1 to 3600 seconds", value);
	return seconds;
}

static void sleep_seconds(double seconds)
{
	struct timespec left = {.tv_sec = (time_t)seconds};

	left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static int print_json(double interval, bool with_rates)
{
	struct sample before = {0}, now;
	struct json_object *object;

	if (with_rates) {
		before = sample_take();
		sleep_seconds(interval);
	}
	now = sample_take();
	object = sample_json(&now, with_rates ? &before : NULL);
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
	sample_free(&before);
	sample_free(&now);
	return EXIT_SUCCESS;
}

static void need_gpus(void)
{
	struct node *nodes;
	size_t count = nodes_list(&nodes), drovers = 0;

	for (size_t i = 0; i < count; i++)
		drovers += nodes[i].is_drover && !nodes[i].access.error;
	free(nodes);
	if (!drovers)
		die(EXIT_FAILURE,
		    "there is no virtual GPU that you can use. `drover info` says what is missing.");
}

int top_main(int argc, char **argv)
{
	bool json = false, interval_given = false;
	double interval = 1;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		switch (option) {
		case 'i':
			interval = parse_interval(optarg);
			interval_given = true;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		default:
			bad_option("top", option, argv);
		}
	}
	if (optind < argc)
		usage_error("top", "'%s' is too much", argv[optind]);
	if (json)
		return print_json(interval, interval_given);
	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		die(EXIT_FAILURE, "top needs a terminal; `drover top --json` doesn't.");
	need_gpus();
	return screen_run(interval);
}
