// SPDX-License-Identifier: MIT
/*
 * The module comes and goes: parameters, what keeps it loaded, and what outlives
 * it. Loads the module itself.
 */
#include "common.h"

#include <fcntl.h>
#include <linux/sync_file.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../modules/drover_static_importer.h"

#define SIZE   (64 * KIB)
#define MODULE "/sys/module/drover"
#define SMALL  "devices=1 vram_mib=4 gtt_mib=4"

static bool is_loaded(void)
{
	return !access(MODULE, F_OK);
}

/* Whether it worked. */
static bool try_load(const char *parameters)
{
	char command[256];

	snprintf(command, sizeof(command), "modprobe drover %s 2>/dev/null", parameters);
	return !system(command) && is_loaded();
}

/* 0, or -EWOULDBLOCK while it is in use. */
static int try_unload(void)
{
	return syscall(SYS_delete_module, "drover", O_NONBLOCK) ? -errno : 0;
}

/* What was closed a moment ago may take another one. */
static void unload(void)
{
	int error;

	check(eventually((error = try_unload()) != -EWOULDBLOCK),
	      "everything is closed, and the module is still in use");
	check_ok(error);
	check(!is_loaded(), "unloaded, and still there");
}

/* Each test starts without the module, whatever the one before it left. */
static void load(const char *parameters)
{
	if (is_loaded())
		unload();
	check(try_load(parameters), "the module can't be loaded with %s", parameters);
	check(eventually(device_count() > 0), "the module is loaded, and there's no device");
}

static int uses(void)
{
	char *count = read_file(MODULE "/refcnt");
	int number = count ? atoi(count) : 0;

	free(count);
	return number;
}

/* It must not go now. Asked only while it's counted as used, so that a failure doesn't take it away. */
static void check_in_use(const char *by)
{
	check(uses() > 0, "nothing but %s is left, and the module isn't in use", by);
	check_err(try_unload(), -EWOULDBLOCK);
}

static void check_unused(const char *after)
{
	check(eventually(uses() == 0), "%s is gone, and the module is still in use", after);
}

static void parameters_take_effect(void)
{
	struct drm_drover_device_info info;

	load("devices=3 vram_mib=8 gtt_mib=12 p2p=0 pin_limit_mib=5");
	check_eq(device_count(), 3);
	info = device_info(device_open(2));
	check_eq(info.vram_size, 8 * MIB);
	check_eq(info.gtt_size, 12 * MIB);
	check_eq(info.pin_limit, 5 * MIB);
	check(!(info.flags & (DRM_DROVER_DEVICE_P2P | DRM_DROVER_DEVICE_PIN_IMPORTS)),
	      "flags are %#llx", (unsigned long long)info.flags);
}

static void defaults_are_sensible(void)
{
	struct drm_drover_device_info info;
	struct client_bo bo;
	struct gpu gpu;

	load("");
	gpu = gpu_open(0);
	info = device_info(gpu.dev);
	check(info.vram_size >= 16 * MIB && info.gtt_size >= 16 * MIB, "no memory by default");
	check(info.flags & DRM_DROVER_DEVICE_P2P, "p2p is off by default");
	check(!(info.flags & DRM_DROVER_DEVICE_PIN_IMPORTS), "imports are pinned by default");
	bo = gpu_bo(&gpu, MIB, VRAM);
	check_ok(gpu_fill(&gpu, bo.va, MIB, 1, 1));
}

static void bad_parameters_are_refused(void)
{
	static const char *const bad[] = {
		"devices=0",         "devices=17", "devices=-1", "vram_mib=0",
		"vram_mib=99999999", "vram_mib=x", "p2p=maybe",
	};
	size_t i;

	if (is_loaded())
		unload();
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		check(!try_load(bad[i]) && !is_loaded(), "loaded with %s", bad[i]);
	/* As many devices as there may be. */
	load("devices=16 vram_mib=1 gtt_mib=1");
	check_eq(device_count(), 16);
}

static void comes_and_goes(void)
{
	unsigned int round;

	for (round = 0; round < 2; round++) {
		load(SMALL);
		if (round & 1) {
			struct gpu gpu = gpu_open(0);
			struct drover_bo *bo = bo_new(&gpu, MIB, VRAM);

			check_ok(gpu_fill(&gpu, gpu_bind(&gpu, bo), MIB, 1, 1));
			drover_bo_unref(bo);
			gpu_close(&gpu);
		}
		unload();
		check_eq(device_count(), 0);
	}
}

/* A BO of which nothing but a dma-buf is left. */
static int orphaned_dmabuf(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo = bo_new(&gpu, SIZE, VRAM | GTT);
	int fd = bo_export(bo);

	drover_bo_unref(bo);
	gpu_close(&gpu);
	return fd;
}

static void stays_while_anything_is_left(void)
{
	struct drover_device *dev;
	int fd, importer;
	void *words;

	load(SMALL);
	check_unused("modprobe");
	dev = device_open(0);
	check_in_use("an open file");
	drover_device_close(dev);
	check_unused("an open file");

	fd = orphaned_dmabuf();
	check_in_use("a dma-buf");
	words = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(words != MAP_FAILED, "mmap: %m");
	close(fd);
	check_in_use("a mapping");
	fill_words(words, SIZE, 1, 1);
	check_words(words, SIZE, 1, 1);
	check_sys(munmap(words, SIZE));
	check_unused("a mapping");

	check(!system("modprobe drover_static_importer"), "no drover_static_importer module");
	check(eventually((importer = open(STATIC_IMPORTER_PATH, O_RDWR | O_CLOEXEC)) >= 0),
	      "drover_static_importer has no device node");
	fd = orphaned_dmabuf();
	check_sys(ioctl(importer, STATIC_IMPORTER_ATTACH, &fd));
	check_sys(ioctl(importer, STATIC_IMPORTER_MAP));
	close(fd);
	check_in_use("another driver's attachment");
	close(importer);
	unload();
}

/* Unloading waits for what a dead process left running. */
static void goes_after_a_killed_process(void)
{
	int pipes[2];
	pid_t child;
	char byte;

	load(SMALL);
	check_sys(pipe2(pipes, O_CLOEXEC));
	child = test_fork();
	if (!child) {
		struct gpu gpu = gpu_open(0);
		struct job job = job_new(&gpu);

		drover_submission_spin(job.sub, 200000);
		job_submit(&job);
		check_eq(write(pipes[1], "", 1), 1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	check_eq(read(pipes[0], &byte, 1), 1);
	test_kill(child);
	unload();
}

/* What the kernel says of the fence in a sync file: asks the fence, if that is still there. */
static void describe(int sync_file)
{
	struct sync_fence_info fence = {0};
	struct sync_file_info info = {.num_fences = 1, .sync_fence_info = (uintptr_t)&fence};

	check_sys(ioctl(sync_file, SYNC_IOC_FILE_INFO, &info));
	check_eq(info.status, 1);
	check(memchr(fence.driver_name, '\0', sizeof(fence.driver_name)), "no driver name");
}

static void a_signalled_fence_may_stay_behind(void)
{
	int sync_file;
	struct gpu gpu;
	struct job job;

	load(SMALL);
	gpu = gpu_open(0);
	job = job_new(&gpu);
	job_submit(&job);
	check_ok(drover_sync_export_sync_file(job.done, 0, &sync_file));
	check_ok(job_wait(&job));
	job_free(&job);
	gpu_close(&gpu);
	describe(sync_file);
	if (kernel_before_7()) {
		/* There even a signalled fence calls into its driver. */
		check_in_use("a fence");
		close(sync_file);
		unload();
		return;
	}
	unload();
	describe(sync_file);
	check_eq(drover_sync_file_status(sync_file), 1);
	close(sync_file);
}

/* The fence of a job that listed another driver's buffer is in that buffer's reservation object. */
static void a_fence_in_foreign_hands(void)
{
	uint32_t *words;
	int dmabuf = udmabuf_new(SIZE, &words), sync_file;
	struct drover_bo *import;
	struct gpu gpu;
	struct job job;

	load(SMALL);
	gpu = gpu_open(0);
	import = bo_import(&gpu, dmabuf);
	job = job_new(&gpu);
	drover_submission_fill(job.sub, gpu_bind(&gpu, import), SIZE, 1, 1);
	drover_submission_buffer(job.sub, import, DROVER_ACCESS_WRITE);
	check_ok(job_run(&job));
	drover_bo_unref(import);
	gpu_close(&gpu);

	if (eventually(try_unload() == 0 || kernel_before_7()) && is_loaded())
		check_in_use("a fence in another driver's buffer");
	check_ok(drover_dmabuf_wait(dmabuf, DROVER_ACCESS_WRITE, WAIT_NS));
	check_ok(drover_dmabuf_export_sync_file(dmabuf, DROVER_ACCESS_WRITE, &sync_file));
	describe(sync_file);
	close(sync_file);
	close(dmabuf);
	if (is_loaded())
		unload();
}

/* Runs last: leaves the lab what it found. */
static void leaves_nothing_loaded(void)
{
	if (is_loaded())
		unload();
}

static const struct test tests[] = {
	TEST(parameters_take_effect),
	TEST(defaults_are_sensible),
	TEST(bad_parameters_are_refused),
	TEST(comes_and_goes),
	TEST(stays_while_anything_is_left),
	TEST(goes_after_a_killed_process),
	TEST(a_signalled_fence_may_stay_behind),
	TEST(a_fence_in_foreign_hands),
	TEST(leaves_nothing_loaded),
};

int main(int argc, char **argv)
{
	return test_main("unload", tests, ARRAY_SIZE(tests), argc, argv);
}
