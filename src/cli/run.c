// SPDX-License-Identifier: MIT
/* drover run: an application with the layer, on the virtual GPUs. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As with env(1), nice(1), timeout(1). */
#define EXIT_CANT_EXEC 126
#define EXIT_NOT_FOUND 127

#define ALL_GPUS       UINT32_MAX

static const char help[] =
	"Usage: drover run [OPTION…] [--] APPLICATION [ARGUMENT…]\n"
	"\n"
	"Runs a Vulkan application with the layer " LAYER_NAME
	", on the virtual GPUs: it sees one\n"
	"physical device per virtual GPU. The application takes this command's place, so its exit status and signals\n"
	"are its own.\n"
	"\n"
	"Options:\n"
	"  --gpus N              only the first N virtual GPUs; 0: none of them, the layer on top of the machine's own\n"
	"                        drivers (native mode). Without this option: all there are, which may be none\n"
	"  --mode MODE           the layer's setting mode: auto, native or virtual\n"
	"  --setting NAME=VALUE  any other setting of the layer; may come several times. docs/layer.md explains them\n"
	"  --icd FILE            manifest of the CPU driver that plays the virtual GPUs (lavapipe's)\n"
	"  --keep-drivers        the machine's other Vulkan drivers stay visible beside the virtual GPUs\n"
	"  --dry-run             print the environment as lines for a shell, and run nothing\n"
	"\n"
	"Examples:\n"
	"  drover run vkcube --gpu_number 1             vkcube on the second virtual GPU\n"
	"  drover run --gpus 1 -- vulkaninfo --summary  with one virtual GPU only\n"
	"  drover run --gpus 0 -- mpv film.mkv          implicit sync for imports, on the real GPU\n"
	"  drover run --setting stats=true -- APP       with a summary at the end\n"
	"  eval \"$(drover run --dry-run)\"               the same for everything started from this shell\n"
	"\n"
	"Exit status: the application's; 125 if something is wrong before it starts, 126 if it can't be executed, 127 if\n"
	"it isn't found.\n";

enum {
	OPTION_GPUS = 1,
	OPTION_MODE,
	OPTION_SETTING,
	OPTION_ICD,
	OPTION_KEEP,
	OPTION_DRY,
	OPTION_HELP
};

static const struct option long_options[] = {
	{"gpus", required_argument, NULL, OPTION_GPUS},
	{"mode", required_argument, NULL, OPTION_MODE},
	{"setting", required_argument, NULL, OPTION_SETTING},
	{"icd", required_argument, NULL, OPTION_ICD},
	{"keep-drivers", no_argument, NULL, OPTION_KEEP},
	{"dry-run", no_argument, NULL, OPTION_DRY},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static unsigned int parse_gpus(const char *value)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(value, &end, 10);
	if (errno || end == value || *end || *value == '-' || number > 64)
		usage_error("run", "--gpus %s: expected a number from 0 to 64", value);
	return (unsigned int)number;
}

/* Returns whether it is a dry run. */
static bool parse(int argc, char **argv, struct run_options *options)
{
	bool dry_run = false;
	int option;

	opterr = 0;
	/* '+': what follows the application's name is the application's */
	while ((option = getopt_long(argc, argv, "+:h", long_options, NULL)) != -1) {
		switch (option) {
		case OPTION_GPUS:
			options->gpus = parse_gpus(optarg);
			break;
		case OPTION_MODE:
			strings_add(&options->settings, text("mode=%s", optarg));
			break;
		case OPTION_SETTING:
			strings_add(&options->settings, text("%s", optarg));
			break;
		case OPTION_ICD:
			options->icd = optarg;
			break;
		case OPTION_KEEP:
			options->keep_drivers = true;
			break;
		case OPTION_DRY:
			dry_run = true;
			break;
		case OPTION_HELP:
		case 'h':
			fputs(help, stdout);
			exit(EXIT_SUCCESS);
		default:
			bad_option("run", option, argv);
		}
	}
	if (optind == argc && !dry_run)
		usage_error("run", "which application?");
	return dry_run;
}

/* As many as were asked for, or as there are. */
static unsigned int choose_gpus(unsigned int wanted)
{
	struct node *nodes;
	size_t num_nodes = nodes_list(&nodes), usable = 0, denied = 0;

	for (size_t i = 0; i < num_nodes; i++) {
		if (!nodes[i].is_drover)
			continue;
		usable += !nodes[i].access.error;
		denied += nodes[i].access.error != 0;
	}
	free(nodes);
	if (wanted != ALL_GPUS && wanted > usable)
		die(EXIT_RUN, "--gpus %u: there are %zu virtual GPUs that you can use%s", wanted,
		    usable,
		    denied ? "; others may not be opened by you. `drover info` says why"
			   : ". `drover info` says what is missing");
	if (wanted == ALL_GPUS && !usable)
		fprintf(stderr,
			"drover: there is no virtual GPU that you can use, so the layer runs on top of the machine's own drivers "
			"(native mode). `drover info` says what is missing; --gpus 0 says that this is wanted.\n");
	return wanted == ALL_GPUS ? (unsigned int)usable : wanted;
}

/* In single quotes a shell takes everything as it is, but for the quote itself. */
static void print_export(const struct variable *variable)
{
	printf("export %s='", variable->name);
	for (const char *at = variable->value; *at; at++) {
		if (*at == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*at);
	}
	puts("'");
}

static void print_exports(const struct environment *environment)
{
	for (size_t i = 0; i < environment->count; i++)
		print_export(&environment->items[i]);
}

static _Noreturn void execute(char **argv)
{
	int error;

	execvp(argv[0], argv);
	error = errno;
	if (error == ENOENT)
		die(EXIT_NOT_FOUND, "%s: there is no such program", argv[0]);
	die(EXIT_CANT_EXEC, "%s: %s", argv[0], strerror(error));
}

int run_main(int argc, char **argv)
{
	struct run_options options = {.gpus = ALL_GPUS};
	bool only_print = parse(argc, argv, &options);
	struct environment environment;
	char *error;

	options.gpus = choose_gpus(options.gpus);
	if (!environment_make(&options, &environment, &error))
		die(EXIT_RUN, "%s", error);
	strings_free(&options.settings);
	if (!only_print) {
		environment_apply(&environment);
		execute(argv + optind);
	}
	print_exports(&environment);
	environment_free(&environment);
	return EXIT_SUCCESS;
}
