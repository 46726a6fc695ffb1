// SPDX-License-Identifier: MIT
/* drover-demo: its command line. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"

static int usage(FILE *to, int status)
{
	fputs("Two virtual GPUs share frames while the first needs three times its VRAM.\n"
	      "  drover-demo --mode pinned --output DIR    with the module's pin_imports=1\n"
	      "  drover-demo --mode evicted --output DIR   with pin_imports=0\n"
	      "  drover-demo --report --output DIR         compares the two, writes the pictures\n"
	      "Load the module anew for each mode: devices=2 vram_mib=64 gtt_mib=64 pin_limit_mib=64.\n",
	      to);
	return status;
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
	if (strcmp(mode, "pinned") && strcmp(mode, "evicted"))
		return usage(stderr, 2);
	return demo_run(!strcmp(mode, "pinned"), output);
}
