// SPDX-License-Identifier: MIT
/* Other clients of a virtual GPU, without Vulkan: whoever else uses the memory. See harness.h. */
#include "harness.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

/* What it allocates at once, of all VRAM. */
#define PARTS 4

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

void vram_press(unsigned int gpu)
{
	struct gpu client = gpu_open(gpu);

	check_ok(gpu_use_all(&client, VRAM, 0xdeadbeef));
	gpu_close(&client);
}

/* Takes some parts of VRAM, and checks on the way that they are zeroed and its own. */
static void take_and_give_back(unsigned int gpu, uint64_t part, unsigned int parts)
{
	struct gpu client = gpu_open(gpu);
	struct client_bo bos[PARTS];
	unsigned int i;

	for (i = 0; i < parts; i++) {
		bos[i] = gpu_bo(&client, part, VRAM);
		check_ok(gpu_check(&client, bos[i].va, part, 0, 0));
		check_ok(gpu_fill(&client, bos[i].va, part, 0xdead0000 + i, 0));
	}
	for (i = 0; i < parts; i++) {
		check_ok(gpu_check(&client, bos[i].va, part, 0xdead0000 + i, 0));
		drover_bo_unref(bos[i].bo);
	}
	gpu_close(&client);
}

static _Noreturn void disturb(unsigned int gpu, const int *dmabufs, unsigned int num_dmabufs)
{
	uint64_t part = device_info(device_open(gpu)).vram_size / PARTS;
	struct drover_device *dev = device_open(gpu);
	unsigned int i, rounds = 0;

	signal(SIGTERM, stop);
	srandom(getpid());
	for (i = 0; i < num_dmabufs; i++) {
		struct drover_bo *bo;

		/* kept: it's a handle of this file's for the exporter's own BO */
		check_ok(drover_bo_import(dev, dmabufs[i], &bo));
	}
	while (!stopped) {
		take_and_give_back(gpu, part, 1 + random() % PARTS);
		if (num_dmabufs)
			check_ok(drover_device_evict(dev, NULL));
		sleep_ms(random() % 8);
		rounds++;
	}
	check(rounds, "it was stopped before it had begun");
	test_exit();
}

struct disturber disturber_start(unsigned int gpu, const int *dmabufs, unsigned int num_dmabufs)
{
	struct disturber disturber = {.gpu = gpu, .pid = test_fork()};

	if (!disturber.pid)
		disturb(gpu, dmabufs, num_dmabufs);
	return disturber;
}

void disturber_stop(struct disturber *disturber)
{
	/* it may be in the middle of a system call: those of libdrover go on */
	check_sys(kill(disturber->pid, SIGTERM));
	test_join(disturber->pid);
}
