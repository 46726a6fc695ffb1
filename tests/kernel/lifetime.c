// SPDX-License-Identifier: MIT
/*
 * Things that go away while others use them: files, processes, address spaces,
 * file descriptors and whole devices, on either end of an import. Three devices
 * of 16 MiB of VRAM and of GTT, p2p=1. Devices are unbound from the driver and
 * bound again, as root may do at any moment.
 */
#include "common.h"

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xf86drm.h>

#define SIZE    (256 * KIB)
#define DEVICES 3

/* ---- Shares ---- */

struct share {
	struct gpu exporter, importer;
	struct client_bo bo, import;
};

static struct share share_new(unsigned int exporter, unsigned int importer, uint32_t value)
{
	struct share share = {.exporter = gpu_open(exporter), .importer = gpu_open(importer)};
	int fd;

	share.bo = gpu_bo(&share.exporter, SIZE, VRAM | GTT);
	check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, value, 1));
	fd = bo_export(share.bo.bo);
	share.import = gpu_import(&share.importer, fd);
	close(fd);
	check_ok(gpu_check(&share.importer, share.import.va, SIZE, value, 1));
	return share;
}

/* Moves whatever is in a device's VRAM, without any handle for it. */
static void press_device(unsigned int index)
{
	struct gpu gpu = gpu_open(index);

	check_ok(gpu_use_all(&gpu, VRAM, 0xdeadbeef));
	gpu_close(&gpu);
}

/* ---- Files and processes ---- */

static void exporter_closes_its_file(void)
{
	struct share share = share_new(0, 1, 1);

	drover_bo_unref(share.bo.bo);
	gpu_close(&share.exporter);
	check_ok(gpu_check(&share.importer, share.import.va, SIZE, 1, 1));
	press_device(0);
	check_eq(bo_info(share.import.bo).evictions, 1);
	check_ok(gpu_check(&share.importer, share.import.va, SIZE, 1, 1));
	check_ok(gpu_fill(&share.importer, share.import.va, SIZE, 2, 1));
	press_device(0);
	check_ok(gpu_check(&share.importer, share.import.va, SIZE, 2, 1));
}

/* The child exports a BO, begins a job that writes to it, and waits to be killed. */
static _Noreturn void export_and_wait(int socket)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	struct job job = job_new(&gpu);

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	drover_submission_spin(job.sub, 200000);
	drover_submission_fill(job.sub, bo.va, SIZE, 1, 1);
	drover_submission_buffer(job.sub, bo.bo, DROVER_ACCESS_WRITE);
	job_submit(&job);
	send_fd(socket, bo_export(bo.bo));
	for (;;)
		pause();
}

static void exporters_process_is_killed(void)
{
	struct job job;
	struct gpu importer;
	struct client_bo import;
	int socket[2], fd;
	pid_t child;

	check_sys(socketpair(AF_UNIX, SOCK_STREAM, 0, socket));
	child = test_fork();
	if (!child)
		export_and_wait(socket[1]);
	close(socket[1]);
	fd = receive_fd(socket[0]);
	importer = gpu_open(1);
	import = gpu_import(&importer, fd);
	close(fd);
	test_kill(child);

	/* Ordered after the job that the dead process left behind, if that still runs. */
	job = job_new(&importer);
	drover_submission_check(job.sub, import.va, SIZE, 1, 1);
	drover_submission_fill(job.sub, import.va, SIZE, 3, 1);
	drover_submission_buffer(job.sub, import.bo, DROVER_ACCESS_WRITE);
	check_ok(job_run(&job));
	sleep_ms(250);
	check_ok(gpu_check(&importer, import.va, SIZE, 3, 1));
	press_device(0);
	check_ok(gpu_check(&importer, import.va, SIZE, 3, 1));
}

/* The child imports, starts a job that takes a while, sends its fence, and waits to be killed. */
static _Noreturn void import_and_wait(int fd, int socket)
{
	int sync_file;
	struct gpu gpu = gpu_open(1);
	struct client_bo import = gpu_import(&gpu, fd);
	struct job job = job_new(&gpu);

	check_ok(gpu_check(&gpu, import.va, SIZE, 1, 1));
	drover_submission_spin(job.sub, 300000);
	drover_submission_check(job.sub, import.va, SIZE, 1, 1);
	job_submit(&job);
	check_ok(drover_sync_export_sync_file(job.done, 0, &sync_file));
	send_fd(socket, sync_file);
	for (;;)
		pause();
}

struct eviction {
	struct drover_bo *bo;
	atomic_bool done;
};

static void *evict(void *argument)
{
	struct eviction *eviction = argument;
	struct drm_drover_evict result;

	check_ok(drover_bo_evict(eviction->bo, &result));
	check_eq(result.evicted, 1);
	eviction->done = true;
	return NULL;
}

static void importer_is_killed_during_a_move(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	struct eviction eviction = {.bo = bo.bo};
	int fd = bo_export(bo.bo), socket[2], sync_file;
	pthread_t thread;
	pid_t child;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	check_sys(socketpair(AF_UNIX, SOCK_STREAM, 0, socket));
	child = test_fork();
	if (!child)
		import_and_wait(fd, socket[1]);
	close(socket[1]);
	sync_file = receive_fd(socket[0]);

	/* The move waits for the importer's job; while it does, the importer dies. */
	thread = test_thread(evict, &eviction);
	sleep_ms(30);
	check(!eviction.done || drover_sync_file_status(sync_file),
	      "the BO moved while an importer's job was running");
	test_kill(child);
	test_thread_join(thread);
	check(drover_sync_file_status(sync_file),
	      "the BO moved before a dead importer's job was done");
	check_eq(bo_info(bo.bo).placement, EVICTED);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
}

static atomic_bool stop;

static void *keep_evicting(void *bo)
{
	while (!stop) {
		int error = drover_bo_evict(bo, NULL);

		check(!error || error == -ENODEV, "evict: %d", error);
		sleep_ms(1);
	}
	return NULL;
}

/* Imports that begin and end while the BO is being moved, over and over. */
static void imports_come_and_go_during_moves(void)
{
	struct gpu gpu = gpu_open(0), importer = gpu_open(1);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	int fd = bo_export(bo.bo);
	pthread_t evictor;
	unsigned int round;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	evictor = test_thread(keep_evicting, bo.bo);
	for (round = 0; round < 60; round++) {
		struct client_bo import = gpu_import(&importer, fd);

		if (round % 3)
			check_ok(gpu_check(&importer, import.va, SIZE, 1, 1));
		if (round % 2)
			drover_bo_unref(import.bo);
		check_ok(drover_vm_unbind(importer.vm, import.va, SIZE));
		if (round % 2 == 0)
			drover_bo_unref(import.bo);
	}
	stop = true;
	test_thread_join(evictor);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
}

static void process_is_killed_with_jobs_in_flight(void)
{
	pid_t child[3];
	int pipes[2];
	unsigned int i;
	char byte;

	check_sys(pipe2(pipes, O_CLOEXEC));
	for (i = 0; i < 3; i++) {
		child[i] = test_fork();
		if (!child[i]) {
			struct gpu gpu = gpu_open(0);
			struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM);
			unsigned int j;

			for (j = 0; j < 4; j++) {
				struct job job = job_new(&gpu);

				drover_submission_spin(job.sub, 100000);
				drover_submission_fill(job.sub, bo.va, SIZE, j, 1);
				job_submit(&job);
			}
			check_eq(write(pipes[1], "", 1), 1);
			for (;;)
				pause();
		}
	}
	close(pipes[1]);
	for (i = 0; i < 3; i++)
		check_eq(read(pipes[0], &byte, 1), 1);
	for (i = 0; i < 3; i++)
		test_kill(child[i]);
	/* That their memory comes back is checked after each test. */
}

static void vm_is_destroyed_with_jobs_in_flight(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_add_vm(&gpu);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM);
	struct held_fence hold = fence_hold();
	struct job job = job_new(&gpu), last = job_new(&gpu);

	drover_submission_spin(job.sub, 100000);
	drover_submission_fill(job.sub, bo.va, SIZE, 1, 1);
	job_submit(&job);
	job_wait_fence(&gpu, &last, &hold);
	drover_submission_fill(last.sub, bo.va, SIZE, 2, 1);
	job_submit(&last);
	drover_vm_destroy(gpu.vm);
	check(!job_done(&last), "destroying a VM waited for its jobs");
	fence_release(&hold);
	check_ok(job_wait(&job));
	check_ok(job_wait(&last));
	check_words(bo_map(bo.bo), SIZE, 2, 1);
	drover_bo_unref(bo.bo);
	check(eventually(!device_info(other.dev).vram_used), "a destroyed VM keeps its memory");
}

/* ---- File descriptors ---- */

static void dmabuf_alone_keeps_the_memory(void)
{
	struct gpu gpu = gpu_open(0), importer;
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT), import;
	int fd = bo_export(bo.bo);
	unsigned int round;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 5, 1));
	drover_bo_unref(bo.bo);
	gpu_close(&gpu);
	for (round = 0; round < 2; round++) {
		importer = gpu_open(1 + round);
		import = gpu_import(&importer, fd);
		check_ok(gpu_check(&importer, import.va, SIZE, 5, 1));
		drover_bo_unref(import.bo);
		gpu_close(&importer);
		press_device(0); /* moved while nobody at all has a handle */
	}
	gpu = gpu_open(0);
	check(eventually(!device_info(gpu.dev).vram_used), "it wasn't evicted");
	import = gpu_import(&gpu, fd);
	check_ok(gpu_check(&gpu, import.va, SIZE, 5, 1));
	close(fd);
	check_ok(gpu_check(&gpu, import.va, SIZE, 5, 1));
}

static void descriptor_is_closed_before_and_after_import(void)
{
	struct gpu gpu = gpu_open(0), importer = gpu_open(1);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT), import;
	struct drover_bo *none;
	int fd = bo_export(bo.bo);

	close(fd);
	check_err(drover_bo_import(importer.dev, fd, &none), -EBADF);
	fd = bo_export(bo.bo);
	import = gpu_import(&importer, fd);
	close(fd);
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	check_ok(gpu_check(&importer, import.va, SIZE, 1, 1));
	fd = bo_export(import.bo); /* the same dma-buf again */
	check(bo_import(&importer, fd) == import.bo, "a dma-buf has two handles in one file");
	close(fd);
}

static atomic_int dmabuf_slot = -1;

/* Puts the dma-buf into a descriptor of the same number and takes it away again. */
static void *open_and_close(void *dmabuf)
{
	while (!stop) {
		check_sys(dup3(*(int *)dmabuf, dmabuf_slot, O_CLOEXEC));
		close(dmabuf_slot);
	}
	return NULL;
}

static void descriptor_is_closed_during_import(void)
{
	struct gpu gpu = gpu_open(0), importer = gpu_open(1);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	int64_t end = now_ns() + SECOND_NS;
	unsigned int imported = 0;
	int fd = bo_export(bo.bo);
	pthread_t thread;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	dmabuf_slot = check_sys(fcntl(fd, F_DUPFD_CLOEXEC, 500));
	close(dmabuf_slot);
	thread = test_thread(open_and_close, &fd);
	while (now_ns() < end || !imported) {
		struct drover_bo *import;
		int error = drover_bo_import(importer.dev, dmabuf_slot, &import);

		check(!error || error == -EBADF || error == -EINVAL, "import: %d", error);
		if (error)
			continue;
		imported++;
		check_ok(drover_vm_bind(importer.vm, importer.va, import, 0, SIZE, 0));
		check_ok(gpu_check(&importer, importer.va, SIZE, 1, 1));
		check_ok(drover_vm_unbind(importer.vm, importer.va, SIZE));
		drover_bo_unref(import);
	}
	stop = true;
	test_thread_join(thread);
}

#define FILES 6

static pthread_barrier_t together;

static void *import_again_and_again(void *dmabuf)
{
	struct gpu gpu = gpu_open(1);
	unsigned int round;

	for (round = 0; round < 40; round++) {
		struct drover_bo *import;

		pthread_barrier_wait(&together);
		import = bo_import(&gpu, *(int *)dmabuf);
		check_ok(drover_vm_bind(gpu.vm, gpu.va, import, 0, SIZE, 0));
		if (round % 4 == 0)
			check_ok(gpu_check(&gpu, gpu.va, SIZE, 1, 1));
		check_ok(drover_vm_unbind(gpu.vm, gpu.va, SIZE));
		drover_bo_unref(import);
	}
	return NULL;
}

/* Many files of one device import the same dma-buf and give it up again, all at once. */
static void many_files_import_the_same(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	pthread_t thread[FILES], evictor;
	int fd = bo_export(bo.bo);
	unsigned int i;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	check_ok(-pthread_barrier_init(&together, NULL, FILES));
	evictor = test_thread(keep_evicting, bo.bo);
	for (i = 0; i < FILES; i++)
		thread[i] = test_thread(import_again_and_again, &fd);
	for (i = 0; i < FILES; i++)
		test_thread_join(thread[i]);
	stop = true;
	test_thread_join(evictor);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 1, 1));
}

static void sync_file_outlives_everything(void)
{
	struct gpu gpu = gpu_open(0);
	struct job job = job_new(&gpu);
	int sync_file;

	drover_submission_spin(job.sub, 100000);
	job_submit(&job);
	check_ok(drover_sync_export_sync_file(job.done, 0, &sync_file));
	job_free(&job);
	gpu_close(&gpu);
	check_ok(drover_sync_file_wait(sync_file, WAIT_NS));
	check_eq(drover_sync_file_status(sync_file), 1);
}

/* ---- Devices ---- */

static sigjmp_buf bus_error;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(bus_error, 1);
}

/* Reads and writes a mapping whose memory may be gone. SIGBUS is an answer, too. */
static void touch(uint32_t *words)
{
	struct sigaction action = {.sa_handler = on_bus_error};
	volatile uint64_t i;

	check_sys(sigaction(SIGBUS, &action, NULL));
	for (i = 0; i < SIZE / 4; i += PAGE / 4)
		if (!sigsetjmp(bus_error, 1))
			((volatile uint32_t *)words)[i] += 1;
}

static uint32_t *map_fd(int fd)
{
	void *words = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	check(words != MAP_FAILED, "mmap: %m");
	return words;
}

/* A device that was bound again is as good as new. */
static void check_works(unsigned int exporter, unsigned int importer)
{
	struct share share = share_new(exporter, importer, 77);

	check_ok(drover_bo_evict(share.bo.bo, NULL));
	check_ok(gpu_check(&share.importer, share.import.va, SIZE, 77, 1));
	check_words(bo_map(share.bo.bo), SIZE, 77, 1);
}

static void every_ioctl_of_an_unplugged_device(void)
{
	struct drm_drover_device_info device = {0};
	struct drm_drover_bo_create create = {.size = PAGE, .placements = VRAM};
	struct drm_drover_bo_mmap mmap = {0};
	struct drm_drover_bo_info bo = {0};
	struct drm_drover_vm_create vm = {0};
	struct drm_drover_vm_destroy destroy = {0};
	struct drm_drover_vm_bind bind = {0};
	struct drm_drover_vm_info info = {0};
	struct drm_drover_submit submit = {0};
	struct drm_drover_evict evict = {.target = DRM_DROVER_EVICT_ALL};
	struct {
		unsigned long request;
		void *argument;
	} calls[] = {
		{DRM_IOCTL_DROVER_DEVICE_INFO, &device}, {DRM_IOCTL_DROVER_BO_CREATE, &create},
		{DRM_IOCTL_DROVER_BO_MMAP, &mmap},       {DRM_IOCTL_DROVER_BO_INFO, &bo},
		{DRM_IOCTL_DROVER_VM_CREATE, &vm},       {DRM_IOCTL_DROVER_VM_DESTROY, &destroy},
		{DRM_IOCTL_DROVER_VM_BIND, &bind},       {DRM_IOCTL_DROVER_VM_INFO, &info},
		{DRM_IOCTL_DROVER_SUBMIT, &submit},      {DRM_IOCTL_DROVER_EVICT, &evict},
	};
	struct gpu gpu;
	size_t i;

	gpu = gpu_open(0);
	gpu_bo(&gpu, SIZE, VRAM);
	bo_new_private(&gpu, SIZE, GTT);
	device_unbind(0);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		int error = drmIoctl(drover_device_fd(gpu.dev), calls[i].request, calls[i].argument)
				    ? -errno
				    : 0;

		check(error == -ENODEV, "ioctl %zu of an unplugged device: %d, expected %d", i,
		      error, -ENODEV);
	}
	gpu_close(&gpu);
	devices_bind();
	check_works(0, 1);
}

static void exporters_device_is_unbound(void)
{
	struct share share;
	struct client_bo own;
	struct drover_bo *again;
	uint32_t *words;
	int fd;

	share = share_new(0, 1, 1);
	own = gpu_bo(&share.importer, SIZE, VRAM);
	fd = bo_export(share.bo.bo);
	words = map_fd(fd);
	device_unbind(0);

	/* The import can't be used any more; the importer's device and VM are as good as before. */
	check_err(gpu_check(&share.importer, share.import.va, SIZE, 1, 1), -ENODEV);
	check_eq(vm_info(&share.importer).flags, 0);
	check_eq(vm_info(&share.importer).evicted_bos, 1);
	check_eq(bo_info(share.import.bo).placement, EVICTED);
	touch(words);
	if (!drover_bo_import(gpu_open(2).dev, fd, &again)) {
		struct gpu third = gpu_open(2);
		struct client_bo import = gpu_import(&third, fd);

		check_err(gpu_check(&third, import.va, SIZE, 1, 1), -ENODEV);
	}
	check_ok(drover_vm_unbind(share.importer.vm, share.import.va, SIZE));
	check_ok(gpu_fill(&share.importer, own.va, SIZE, 2, 1));
	drover_bo_unref(share.import.bo);
	close(fd);
	devices_bind();
	check_works(0, 1);
	check_ok(gpu_check(&share.importer, own.va, SIZE, 2, 1));
}

static void importers_device_is_unbound(void)
{
	struct share share;
	struct gpu third;
	struct client_bo import;
	struct job job;
	int fd;

	share = share_new(0, 1, 1);
	job = job_new(&share.importer);
	device_unbind(1);
	check_err(drover_submission_submit(job.sub), -ENODEV);

	/* The exporter isn't held up by it. */
	check_ok(gpu_check(&share.exporter, share.bo.va, SIZE, 1, 1));
	check_ok(drover_bo_evict(share.bo.bo, NULL));
	check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, 2, 1));
	third = gpu_open(2);
	fd = bo_export(share.bo.bo);
	import = gpu_import(&third, fd);
	check_ok(gpu_check(&third, import.va, SIZE, 2, 1));
	devices_bind();
	check_works(0, 1);
	check_works(1, 0);
	/* The unplugged device's file, with the import in it, goes only now. */
	drover_bo_unref(share.import.bo);
	gpu_close(&share.importer);
	check_ok(drover_bo_evict(share.bo.bo, NULL));
	check_ok(gpu_check(&third, import.va, SIZE, 2, 1));
}

static void unbound_with_a_running_job(void)
{
	struct share share;
	struct job job[2];
	int sync_file[2];
	uint32_t *words;
	unsigned int i;

	share = share_new(0, 1, 1);
	words = bo_map(share.bo.bo);
	for (i = 0; i < 2; i++) {
		struct gpu *gpu = i ? &share.importer : &share.exporter;
		uint64_t va = i ? share.import.va : share.bo.va;

		job[i] = job_new(gpu);
		drover_submission_spin(job[i].sub, 300000);
		drover_submission_fill(job[i].sub, va, SIZE, 2, 1);
		job_submit(&job[i]);
		check_ok(drover_sync_export_sync_file(job[i].done, 0, &sync_file[i]));
	}
	device_unbind(0);
	touch(words);
	for (i = 0; i < 2; i++) {
		check_ok(drover_sync_file_wait(sync_file[i], WAIT_NS));
		check(drover_sync_file_status(sync_file[i]) != 0, "a fence was never signalled");
	}
	/* The importer's job was allowed to finish, or it said that it didn't. */
	check_eq(vm_info(&share.importer).flags, 0);
	device_unbind(1);
	touch(words);
	devices_bind();
	check_works(0, 1);
}

static void mappings_of_an_unbound_device(void)
{
	static const uint32_t placements[] = {VRAM, GTT};
	uint32_t *untouched[2], *touched[2];
	struct gpu gpu;
	size_t i;

	gpu = gpu_open(0);
	for (i = 0; i < 2; i++) {
		touched[i] = bo_map(bo_new(&gpu, SIZE, placements[i]));
		untouched[i] = bo_map(bo_new(&gpu, SIZE, placements[i]));
		fill_words(touched[i], SIZE, 1, 1);
	}
	device_unbind(0);
	for (i = 0; i < 2; i++) {
		touch(touched[i]);
		touch(untouched[i]);
	}
	devices_bind();
	for (i = 0; i < 2; i++)
		touch(touched[i]);
	check_works(0, 1);
}

/* A process that works on an import until one of the two devices is gone. */
static _Noreturn void work_until_unplugged(unsigned int exporter, unsigned int importer, int ready)
{
	struct share share = share_new(exporter, importer, 1);
	pthread_t evictor = test_thread(keep_evicting, share.bo.bo);
	struct job job = job_new(&share.importer);
	int error;

	check_eq(write(ready, "", 1), 1);
	drover_submission_check(job.sub, share.import.va, SIZE, 1, 1);
	do {
		error = drover_submission_submit(job.sub);
		if (!error)
			error = drover_sync_wait(job.done, 0, WAIT_NS, 0);
		if (!error && drover_sync_status(job.done, 0) < 0)
			error = drover_sync_status(job.done, 0);
	} while (!error);
	check(error == -ENODEV || error == -ECANCELED, "on a device that is gone: %d", error);
	stop = true;
	test_thread_join(evictor);
	test_exit();
}

static void unbound_under_load(void)
{
	unsigned int round, i;

	for (round = 0; round < 2; round++) {
		pid_t child[2];
		int pipes[2];
		char byte;

		check_sys(pipe2(pipes, O_CLOEXEC));
		for (i = 0; i < 2; i++) {
			child[i] = test_fork();
			if (!child[i])
				work_until_unplugged(i, 1 - i, pipes[1]);
		}
		close(pipes[1]);
		for (i = 0; i < 2; i++)
			check_eq(read(pipes[0], &byte, 1), 1);
		sleep_ms(100);
		device_unbind(round);
		for (i = 0; i < 2; i++)
			test_join(child[i]);
		devices_bind();
		check_works(0, 1);
	}
}

/* Everything at once, and the files are closed after their devices came back. */
static void all_devices_are_unbound(void)
{
	struct share share[DEVICES];
	unsigned int i;

	for (i = 0; i < DEVICES; i++)
		share[i] = share_new(i, (i + 1) % DEVICES, i);
	for (i = 0; i < DEVICES; i++)
		device_unbind(i);
	check_eq(device_count(), 0);
	devices_bind();
	for (i = 0; i < DEVICES; i++)
		check_works(i, (i + 1) % DEVICES);
	for (i = 0; i < DEVICES; i++) {
		drover_bo_unref(share[i].bo.bo);
		drover_bo_unref(share[i].import.bo);
		gpu_close(&share[i].exporter);
		gpu_close(&share[i].importer);
	}
	check_works(0, 1);
}

static const struct test tests[] = {
	TEST(exporter_closes_its_file),
	TEST(exporters_process_is_killed),
	TEST(importer_is_killed_during_a_move),
	TEST(imports_come_and_go_during_moves),
	TEST(process_is_killed_with_jobs_in_flight),
	TEST(vm_is_destroyed_with_jobs_in_flight),
	TEST(dmabuf_alone_keeps_the_memory),
	TEST(descriptor_is_closed_before_and_after_import),
	TEST(descriptor_is_closed_during_import),
	TEST(many_files_import_the_same),
	TEST(sync_file_outlives_everything),
	TEST(every_ioctl_of_an_unplugged_device),
	TEST(exporters_device_is_unbound),
	TEST(importers_device_is_unbound),
	TEST(unbound_with_a_running_job),
	TEST(mappings_of_an_unbound_device),
	TEST(unbound_under_load),
	TEST(all_devices_are_unbound),
};

int main(int argc, char **argv)
{
	return test_main("lifetime", tests, ARRAY_SIZE(tests), argc, argv);
}
