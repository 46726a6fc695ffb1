// SPDX-License-Identifier: MIT
/* Other clients of a virtual GPU, without Vulkan: whoever else uses the memory. See harness.h. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* It takes memory in parts, so many of VRAM and of GTT. */
#define PARTS     4
#define LOOKED_AT (64 * KIB)

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

void memory_press(unsigned int gpu)
{
	struct gpu client = gpu_open(gpu);

	check_ok(gpu_use_all(&client, VRAM, 0xdeadbeef));
	check_ok(gpu_use_all(&client, GTT, 0xdeadbeef));
	gpu_close(&client);
}

/* Memory of one kind, zeroed when it comes and the client's own until it goes; its beginning stands for all of it. */
static struct client_bo take(struct gpu *client, uint64_t size, uint32_t placement, uint32_t value)
{
	struct client_bo bo = gpu_bo(client, size, placement);

	check_ok(gpu_check(client, bo.va, LOOKED_AT, 0, 0));
	check_ok(gpu_fill(client, bo.va, LOOKED_AT, value, 0));
	return bo;
}

/* Some parts of VRAM, and some of GTT: what leaves VRAM stays in GTT while it can. */
static void take_and_give_back(unsigned int gpu, const struct drm_drover_device_info *info)
{
	const uint64_t part[2] = {info->vram_size / PARTS, info->gtt_size / PARTS};
	static const uint32_t placement[2] = {VRAM, GTT};
	unsigned int count[2] = {1 + random() % PARTS, random() % (PARTS + 1)}, i, kind;
	struct gpu client = gpu_open(gpu);
	struct client_bo bos[2][PARTS];

	for (kind = 0; kind < 2; kind++)
		for (i = 0; i < count[kind]; i++)
			bos[kind][i] = take(&client, part[kind], placement[kind], 0xdead0000 + i);
	for (kind = 0; kind < 2; kind++) {
		for (i = 0; i < count[kind]; i++) {
			check_ok(gpu_check(&client, bos[kind][i].va, LOOKED_AT, 0xdead0000 + i, 0));
			drover_bo_unref(bos[kind][i].bo);
		}
	}
	gpu_close(&client);
}

static void disturb_once(unsigned int gpu, struct drover_device *dev, bool exports)
{
	struct drm_drover_device_info info = device_info(dev);

	take_and_give_back(gpu, &info);
	if (exports)
		check_ok(drover_device_evict(dev, NULL));
}

/* Says through a pipe when it has come to work. */
static _Noreturn void disturb(unsigned int gpu, const int *dmabufs, unsigned int num_dmabufs,
			      int begun)
{
	struct drover_device *dev = device_open(gpu);
	unsigned int i;

	signal(SIGTERM, stop);
	srandom(getpid());
	for (i = 0; i < num_dmabufs; i++) {
		struct drover_bo *bo;

		/* kept: it's a handle of this file's for the exporter's own BO */
		check_ok(drover_bo_import(dev, dmabufs[i], &bo));
	}
	disturb_once(gpu, dev, num_dmabufs);
	check_eq(write(begun, "", 1), 1);
	while (!stopped) {
		sleep_ms(random() % 8);
		disturb_once(gpu, dev, num_dmabufs);
	}
	test_exit();
}

struct disturber disturber_start(unsigned int gpu, const int *dmabufs, unsigned int num_dmabufs)
{
	struct disturber disturber = {.gpu = gpu};
	int pipes[2];
	char byte;

	check_sys(pipe2(pipes, O_CLOEXEC));
	disturber.pid = test_fork();
	if (!disturber.pid)
		disturb(gpu, dmabufs, num_dmabufs, pipes[1]);
	close(pipes[1]);
	if (read(pipes[0], &byte, 1) != 1)
		test_join(disturber.pid); /* says why */
	close(pipes[0]);
	return disturber;
}

void disturber_stop(struct disturber *disturber)
{
	/* it may be in the middle of a system call: those of libdrover go on */
	check_sys(kill(disturber->pid, SIGTERM));
	test_join(disturber->pid);
}
