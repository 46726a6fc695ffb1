// SPDX-License-Identifier: MIT
/*
 * vulkan-disturb GPU COMMAND...: runs a command while another client of the virtual
 * GPU takes and frees its VRAM at random moments. The exit status is the command's;
 * 1 if nothing of it was evicted, for then nothing was shown.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* The command's address spaces are gone when it ends, so the highest number seen counts. */
static uint64_t watch(unsigned int gpu, pid_t command, int *status)
{
	uint64_t evictions = 0;

	while (!check_sys(waitpid(command, status, WNOHANG))) {
		uint64_t now = vm_counters(gpu, command).evictions;

		if (now > evictions)
			evictions = now;
		sleep_ms(2);
	}
	return evictions;
}

int main(int argc, char **argv)
{
	struct disturber disturber;
	uint64_t evictions;
	unsigned int gpu;
	pid_t command;
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: vulkan-disturb GPU COMMAND...\n");
		return 2;
	}
	gpu = atoi(argv[1]);
	disturber = disturber_start(gpu, NULL, 0);
	command = test_fork();
	if (!command) {
		execvp(argv[2], argv + 2);
		fprintf(stderr, "%s: %m\n", argv[2]);
		_exit(127);
	}
	evictions = watch(gpu, command, &status);
	disturber_stop(&disturber);
	fprintf(stderr, "vulkan-disturb: %llu evictions\n", (unsigned long long)evictions);
	if (!WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status) ? WEXITSTATUS(status) : !evictions;
}
