// SPDX-License-Identifier: MIT
/* The drover command: which part of it is meant. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"info", "what there is on this machine, what is pinned and why, and what is missing",
	 info_main},
	{"run", "run a Vulkan application with the layer, on the virtual GPUs", run_main},
	{"top", "watch devices, clients and their working sets", top_main},
};

static void print_help(void)
{
	puts("Usage: drover COMMAND [OPTION…]\n"
	     "\n"
	     "Virtual GPUs whose shared buffers are evicted and remapped instead of pinned.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-6s %s\n", commands[i].name, commands[i].summary);
	puts("\n"
	     "Examples:\n"
	     "  drover info              begin here: says what is missing, and what to do\n"
	     "  drover run vkcube        vkcube on the virtual GPUs\n"
	     "  sudo drover top          see its memory come and go\n"
	     "\n"
	     "`drover COMMAND --help` explains each. `drover --version` says which version this is.");
}

static int no_command(const char *name)
{
	fprintf(stderr, "drover: there is no command '%s'. There are:", name);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stderr, " %s", commands[i].name);
	fputs("\nSee: drover --help\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("drover: which command? See: drover --help\n", stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help();
		return EXIT_SUCCESS;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("drover " DROVER_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return no_command(argv[1]);
}
