// SPDX-License-Identifier: MIT
/* drover-demo: its command line. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"

static int usage(FILE *to, int status)
{
	fputs("Two Vulkan applications share frames between two virtual GPUs while the first needs three times its VRAM.\n"
	      "  drover-demo --mode reference --output DIR  everything fits: what the frames have to be\n"
	      "  drover-demo --mode pinned --output DIR     with the module's pin_imports=1\n"
	      "  drover-demo --mode evicted --output DIR    with pin_imports=0\n"
	      "  drover-demo --report --output DIR          compares them, writes the pictures\n"
	      "Load the module anew for each mode: devices=2 vram_mib=512 for the reference, devices=2 vram_mib=32\n"
	      "gtt_mib=96 for the others.\n",
	      to);
	return status;
}

static int run_mode(const char *name, const char *output)
{
	for (enum mode mode = 0; mode < NUM_MODES; mode++)
		if (!strcmp(name, mode_name(mode)))
			return demo_run(mode, output);
	return usage(stderr, 2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"mode", required_argument, NULL, 'm'},
		{"output", required_argument, NULL, 'o'},
		{"report", no_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *mode = NULL, *output = NULL;
	bool report = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'm':
			mode = optarg;
			break;
		case 'o':
			output = optarg;
			break;
		case 'r':
			report = true;
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	if (optind != argc || !output || report == !!mode)
		return usage(stderr, 2);
	if (report)
		return demo_report(output);
	return run_mode(mode, output);
}
