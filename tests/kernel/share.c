// SPDX-License-Identifier: MIT
/*
 * Sharing between devices: an import is evicted and remapped, never pinned.
 *
 * Four devices of 16 MiB of VRAM and of GTT, with p2p=1 (imports use VRAM where
 * it is) and with p2p=0 (they make it move to GTT). The memory of an exporter
 * is used up by others until the BO has to go; the importer's next job finds
 * the contents right, and nobody has told it anything.
 */
#include "common.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xf86drm.h>

#define SIZE    (1 * MIB)
#define DEVICES 4

/* A BO of one device, imported by another. */
struct share {
	struct gpu exporter, importer;
	struct client_bo bo, import;
};

static bool have_p2p(struct gpu *gpu)
{
	return device_info(gpu->dev).flags & DRM_DROVER_DEVICE_P2P;
}

static struct share share_new(unsigned int exporter, unsigned int importer)
{
	struct share share = {.exporter = gpu_open(exporter), .importer = gpu_open(importer)};

	share.bo = gpu_bo(&share.exporter, SIZE, VRAM | GTT);
	share.import = gpu_import_bo(&share.importer, share.bo.bo);
	return share;
}

/* Nothing is pinned, neither end, neither device, now or before. */
static void check_unpinned(struct share *share)
{
	check_eq(bo_info(share->bo.bo).pins, 0);
	check_eq(bo_info(share->import.bo).pins, 0);
	check_eq(device_info(share->exporter.dev).pinned_max, 0);
	check_eq(device_info(share->importer.dev).pinned_max, 0);
}

static void check_reads(struct share *share, uint32_t value, uint32_t step)
{
	check_ok(gpu_check(&share->importer, share->import.va, SIZE, value, step));
	check_unpinned(share);
}

static void importer_sees_what_exporter_writes(void)
{
	struct share share = share_new(0, 1);
	struct drm_drover_bo_info info;

	check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, 1, 1));
	check_reads(&share, 1, 1);
	info = bo_info(share.import.bo);
	check_eq(info.flags, DRM_DROVER_BO_IMPORTED);
	check_eq(info.size, SIZE);
	check_eq(info.placements | info.preferred, 0);
	check_eq(info.placement, FOREIGN);
	check_eq(bo_info(share.bo.bo).placement, have_p2p(&share.exporter) ? VRAM : GTT);

	/* And the other way. */
	check_ok(gpu_fill(&share.importer, share.import.va, SIZE, 2, 3));
	check_ok(gpu_check(&share.exporter, share.bo.va, SIZE, 2, 3));
	/* In the same memory: nothing is copied for it. */
	check_eq(device_info(share.importer.dev).vram_used, 0);
	check_eq(device_info(share.importer.dev).gtt_used, 0);
}

static void evicted_by_pressure_and_remapped(void)
{
	struct share share = share_new(0, 1);
	struct drm_drover_vm_info vm;
	unsigned int round;

	check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, 1, 1));
	check_reads(&share, 1, 1);
	for (round = 1; round <= 3; round++) {
		gpu_press(0, share.bo.bo);
		check_eq(vm_info(&share.importer).evicted_bos, 1);
		check_eq(vm_info(&share.importer).invalidations, round);
		check_eq(bo_info(share.import.bo).evictions, round);
		check_eq(bo_info(share.import.bo).placement, EVICTED);
		check_unpinned(&share);
		/* Nothing but a job that reads it. */
		check_reads(&share, 1, 1);
		check_eq(bo_info(share.import.bo).placement, FOREIGN);
		check_eq(bo_info(share.import.bo).remaps, round);
		vm = vm_info(&share.importer);
		check_eq(vm.evictions, round);
		check_eq(vm.remaps, round);
		check_eq(vm.resumes, round);
		check_eq(vm.evicted_bos, 0);
	}
	check_ok(gpu_check(&share.exporter, share.bo.va, SIZE, 1, 1));
	check(bo_info(share.bo.bo).evictions >= 3, "evicted %llu times, expected 3 at least",
	      (unsigned long long)bo_info(share.bo.bo).evictions);
	check_unpinned(&share);
}

static void evicted_by_ioctl_and_remapped(void)
{
	struct share share = share_new(0, 1);
	uint32_t round;

	for (round = 0; round < 6; round++) {
		/* Whoever comes first after the eviction. */
		check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, round, 1));
		check_ok(drover_bo_evict(share.bo.bo, NULL));
		check_reads(&share, round, 1);
		check_ok(gpu_fill(&share.importer, share.import.va, SIZE, round, 2));
		check_ok(drover_bo_evict(share.bo.bo, NULL));
		check_ok(gpu_check(&share.exporter, share.bo.va, SIZE, round, 2));
	}
	check_eq(vm_info(&share.importer).failed_checks, 0);
}

/* A fresh mapping must not be made of memory that was left long ago. */
static void imported_while_evicted(void)
{
	struct gpu exporter = gpu_open(0), importer = gpu_open(1);
	struct client_bo bo = gpu_bo(&exporter, SIZE, VRAM | GTT), import;

	check_ok(gpu_fill(&exporter, bo.va, SIZE, 8, 1));
	check_ok(drover_bo_evict(bo.bo, NULL));
	import = gpu_import_bo(&importer, bo.bo);
	check_eq(bo_info(import.bo).placement, EVICTED);
	check_ok(gpu_check(&importer, import.va, SIZE, 8, 1));
	check_ok(gpu_check(&exporter, bo.va, SIZE, 8, 1));
}

/* The exporter never has it in a VM; only importers use it. */
static void exporter_does_not_use_it(void)
{
	struct gpu exporter = gpu_open(0), importer = gpu_open(1), third = gpu_open(2);
	struct drover_bo *bo = bo_new(&exporter, SIZE, VRAM | GTT);
	struct client_bo one = gpu_import_bo(&importer, bo), two = gpu_import_bo(&third, bo);
	uint32_t round;

	for (round = 0; round < 3; round++) {
		check_ok(gpu_fill(&importer, one.va, SIZE, round, 1));
		gpu_press(0, bo);
		check_ok(gpu_check(&third, two.va, SIZE, round, 1));
		check_ok(gpu_check(&importer, one.va, SIZE, round, 1));
	}
	check_words(bo_map(bo), SIZE, round - 1, 1);
	/* More often if one importer's use brings it back to VRAM from where the other has it. */
	check(bo_info(one.bo).remaps >= 3 && bo_info(two.bo).remaps >= 2,
	      "three evictions, and the importers remapped %llu and %llu times",
	      (unsigned long long)bo_info(one.bo).remaps,
	      (unsigned long long)bo_info(two.bo).remaps);
}

/* Device 0's memory can't be reached by peers, or they make it move away, which it can't. */
static void vram_only(void)
{
	struct gpu exporter = gpu_open(0), importer = gpu_open(1);
	struct client_bo bo = gpu_bo(&exporter, SIZE, VRAM),
			 import = gpu_import_bo(&importer, bo.bo);

	check_ok(gpu_fill(&exporter, bo.va, SIZE, 5, 1));
	if (have_p2p(&exporter)) {
		check_ok(gpu_check(&importer, import.va, SIZE, 5, 1));
		gpu_press(0, bo.bo);
		check_eq(bo_info(bo.bo).placement, EVICTED);
		check_ok(gpu_check(&importer, import.va, SIZE, 5, 1));
		check_eq(bo_info(bo.bo).placement, VRAM);
	} else {
		check_err(gpu_check(&importer, import.va, SIZE, 5, 1), -EOPNOTSUPP);
		check_eq(vm_info(&importer).submitted, 0);
		/* The rest of that VM is usable without it. */
		check_ok(drover_vm_unbind(importer.vm, import.va, SIZE));
		check_ok(gpu_fill(&importer, 0, 0, 0, 0));
	}
	check_ok(gpu_check(&exporter, bo.va, SIZE, 5, 1));
}

static void stays_in_gtt_while_a_peer_needs_it_there(void)
{
	struct share share = share_new(0, 1);
	uint64_t moves;

	if (have_p2p(&share.exporter)) {
		check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, 1, 1));
		check_reads(&share, 1, 1);
		check_ok(gpu_check(&share.exporter, share.bo.va, SIZE, 1, 1));
		check_eq(bo_info(share.bo.bo).moves, 0);
		return;
	}
	check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, 1, 1));
	check_reads(&share, 1, 1);
	moves = bo_info(share.bo.bo).moves;
	check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, 2, 1));
	check_reads(&share, 2, 1);
	check_eq(bo_info(share.bo.bo).moves, moves);

	/* The attachment goes; the BO may go home. */
	check_ok(drover_vm_unbind(share.importer.vm, share.import.va, SIZE));
	drover_bo_unref(share.import.bo);
	check_ok(drover_bo_evict(share.bo.bo, NULL));
	check(eventually(!gpu_check(&share.exporter, share.bo.va, SIZE, 2, 1) &&
			 bo_info(share.bo.bo).placement == VRAM),
	      "the import is gone, and the BO is still kept in GTT");
}

static void ring(unsigned int devices)
{
	struct share share[DEVICES];
	unsigned int i, round;

	for (i = 0; i < devices; i++)
		share[i] = share_new(i, (i + 1) % devices);
	for (i = 0; i < devices; i++)
		check_ok(gpu_fill(&share[i].exporter, share[i].bo.va, SIZE, i, 1));
	for (round = 0; round < 2; round++) {
		for (i = 0; i < devices; i++)
			check_reads(&share[i], i, 1);
		for (i = 0; i < devices; i++)
			gpu_press(i, share[i].bo.bo);
		for (i = 0; i < devices; i++)
			check_reads(&share[i], i, 1);
		check_ok(drover_bo_evict(share[round % devices].bo.bo, NULL));
	}
	for (i = 0; i < devices; i++) {
		check(vm_info(&share[i].importer).remaps >= 2, "remapped %llu times only",
		      (unsigned long long)vm_info(&share[i].importer).remaps);
		check_ok(gpu_check(&share[i].exporter, share[i].bo.va, SIZE, i, 1));
	}
}

static void ring_of_2(void)
{
	ring(2);
}

static void ring_of_3(void)
{
	ring(3);
}

static void ring_of_4(void)
{
	ring(4);
}

/* One job of each device needs both BOs: its own and the other's. */
static void both_directions_at_once(void)
{
	struct gpu gpu[2] = {gpu_open(0), gpu_open(1)};
	struct client_bo own[2], other[2], sum[2];
	unsigned int i, round;

	for (i = 0; i < 2; i++) {
		own[i] = gpu_bo(&gpu[i], SIZE, VRAM | GTT);
		sum[i] = gpu_bo(&gpu[i], SIZE, VRAM | GTT);
		check_ok(gpu_fill(&gpu[i], own[i].va, SIZE, 100 + i, 1));
	}
	for (i = 0; i < 2; i++)
		other[i] = gpu_import_bo(&gpu[i], own[1 - i].bo);

	for (round = 0; round < 4; round++) {
		struct job job[2] = {job_new(&gpu[0]), job_new(&gpu[1])};

		if (round & 1)
			gpu_press(0, own[0].bo);
		if (round & 2)
			gpu_press(1, own[1].bo);
		for (i = 0; i < 2; i++) {
			drover_submission_add(job[i].sub, sum[i].va, own[i].va, other[i].va, SIZE);
			drover_submission_check(job[i].sub, sum[i].va, SIZE, 201, 2);
			drover_submission_fill(job[i].sub, sum[i].va, SIZE, 0, 0);
		}
		for (i = 0; i < 2; i++)
			job_submit(&job[i]);
		for (i = 0; i < 2; i++)
			check_ok(job_wait(&job[i]));
	}
	for (i = 0; i < 2; i++)
		check_eq(device_info(gpu[i].dev).pinned_max, 0);
}

/* More imports than fit at once: they take turns. */
static void imports_larger_than_the_exporters_memory(void)
{
	struct gpu exporter = gpu_open(0), importer = gpu_open(1);
	struct client_bo bo[24], import;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(bo); i++) {
		bo[i] = gpu_bo(&exporter, SIZE, VRAM | GTT);
		check_ok(gpu_fill(&exporter, bo[i].va, SIZE, i, 1));
		check_ok(drover_vm_unbind(exporter.vm, bo[i].va, SIZE));
	}
	for (i = 0; i < ARRAY_SIZE(bo); i++) {
		import = gpu_import_bo(&importer, bo[i].bo);
		check_ok(gpu_check(&importer, import.va, SIZE, i, 1));
		check_ok(drover_vm_unbind(importer.vm, import.va, SIZE));
	}
	check_eq(device_info(exporter.dev).pinned_max, 0);
}

static void many_imports_evicted_together(void)
{
	struct gpu exporter = gpu_open(0), importer = gpu_open(1);
	struct client_bo bo[40], import[40];
	struct drm_drover_evict result;
	struct job job;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(bo); i++) {
		bo[i] = gpu_bo(&exporter, 16 * KIB, VRAM | GTT);
		check_ok(gpu_fill(&exporter, bo[i].va, 16 * KIB, i, 1));
		import[i] = gpu_import_bo(&importer, bo[i].bo);
	}
	check_ok(gpu_fill(&importer, 0, 0, 0, 0)); /* makes them resident, by the way */
	check_eq(vm_info(&importer).resident_bytes, ARRAY_SIZE(bo) * 16 * KIB);
	check_ok(drover_device_evict(exporter.dev, &result));
	check_eq(result.evicted, ARRAY_SIZE(bo));
	check_eq(vm_info(&importer).evicted_bos, ARRAY_SIZE(bo));
	job = job_new(&importer);
	for (i = 0; i < ARRAY_SIZE(bo); i++)
		drover_submission_check(job.sub, import[i].va, 16 * KIB, i, 1);
	check_ok(job_run(&job));
	check_eq(vm_info(&importer).remaps, ARRAY_SIZE(bo));
	check_eq(vm_info(&importer).resumes, 1);
}

static void import_in_several_vms(void)
{
	struct share share = share_new(0, 1);
	struct gpu second = gpu_add_vm(&share.importer);
	uint64_t va = gpu_bind(&second, share.import.bo);

	check_ok(gpu_fill(&share.importer, share.import.va, SIZE, 1, 1));
	check_ok(gpu_check(&second, va, SIZE, 1, 1));
	gpu_press(0, share.bo.bo);
	check_eq(vm_info(&second).invalidations, 1);
	check_eq(vm_info(&share.importer).invalidations, 1);
	check_ok(gpu_check(&second, va, SIZE, 1, 1));
	check_reads(&share, 1, 1);
	check_eq(bo_info(share.import.bo).remaps, 2);
	check_eq(bo_info(share.import.bo).evictions, 1);
}

static void import_is_closed_while_bound(void)
{
	struct share share = share_new(0, 1);

	check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, 1, 1));
	check_reads(&share, 1, 1);
	drover_bo_unref(share.import.bo);
	drover_bo_unref(share.bo.bo);
	check_ok(drover_device_evict(share.exporter.dev, NULL));
	check_ok(drover_vm_evict(share.exporter.vm, NULL));
	check_ok(gpu_check(&share.importer, share.import.va, SIZE, 1, 1));
	check_ok(drover_vm_unbind(share.importer.vm, share.import.va, SIZE));
	check_ok(drover_vm_unbind(share.exporter.vm, share.bo.va, SIZE));
	check(eventually(!device_info(share.exporter.dev).vram_used &&
			 !device_info(share.exporter.dev).gtt_used),
	      "nobody uses the BO any more, and its memory is still in use");
}

/* The device that owns it, or another file of that device, gets the BO itself. */
static void comes_home(void)
{
	struct share share = share_new(0, 1);
	struct gpu home = gpu_open(0);
	int fd = bo_export(share.import.bo); /* what was imported can be passed on */
	struct drover_bo *same = bo_import(&share.exporter, fd), *again = bo_import(&home, fd);
	struct client_bo third;
	struct gpu other = gpu_open(2);
	uint64_t va = gpu_bind(&home, again);

	check(same == share.bo.bo, "a BO and its own dma-buf have two handles");
	check_eq(bo_info(again).flags, DRM_DROVER_BO_EXPORTED);
	check_ok(gpu_fill(&home, va, SIZE, 4, 1));
	third = gpu_import_bo(&other, share.import.bo);
	check_ok(gpu_check(&other, third.va, SIZE, 4, 1));
	check_reads(&share, 4, 1);
	close(fd);
}

static void import_belongs_to_its_exporter(void)
{
	struct share share = share_new(0, 1);
	struct drm_drover_bo_mmap arg = {.handle = drover_bo_handle(share.import.bo)};
	struct drm_drover_evict result;
	uint32_t *words;

	check_err(drover_bo_evict(share.import.bo, NULL), -EOPNOTSUPP);
	check_ok(drover_device_evict(share.importer.dev, &result));
	check_eq(result.evicted + result.busy, 0);
	check_ok(drover_vm_evict(share.importer.vm, &result));
	check_eq(result.evicted + result.busy, 0);
	check_err(drmIoctl(drover_device_fd(share.importer.dev), DRM_IOCTL_DROVER_BO_MMAP, &arg)
			  ? -errno
			  : 0,
		  -EOPNOTSUPP);

	/* libdrover maps it through the dma-buf; the mapping follows moves, too. */
	words = bo_map(share.import.bo);
	check_ok(drover_dmabuf_begin_cpu_access(bo_export(share.bo.bo), DROVER_ACCESS_WRITE));
	fill_words(words, SIZE, 6, 1);
	check_reads(&share, 6, 1);
	check_ok(drover_bo_evict(share.bo.bo, NULL));
	check_words(words, SIZE, 6, 1);
	fill_words(words, SIZE, 7, 1);
	check_reads(&share, 7, 1);
	check_words(words, SIZE, 7, 1);
}

/* A move must not pull the memory from under a job of either device. */
static void moves_wait_for_the_importers_job(void)
{
	struct share share = share_new(0, 1);
	struct job job = job_new(&share.importer);

	check_ok(gpu_fill(&share.exporter, share.bo.va, SIZE, 1, 1));
	check_reads(&share, 1, 1);
	drover_submission_spin(job.sub, 100000);
	drover_submission_check(job.sub, share.import.va, SIZE, 1, 1);
	drover_submission_fill(job.sub, share.import.va, SIZE, 2, 1);
	job_submit(&job);
	check_ok(drover_bo_evict(share.bo.bo, NULL));
	check(job_done(&job), "the BO was moved while an importer's job used it");
	check_ok(job_wait(&job));
	check_ok(gpu_check(&share.exporter, share.bo.va, SIZE, 2, 1));
}

static void moves_wait_for_the_exporters_job(void)
{
	struct share share = share_new(0, 1);
	struct job job = job_new(&share.exporter);

	drover_submission_spin(job.sub, 100000);
	drover_submission_fill(job.sub, share.bo.va, SIZE, 3, 1);
	job_submit(&job);
	check_ok(drover_bo_evict(share.bo.bo, NULL));
	check(job_done(&job), "the BO was moved while the exporter's job used it");
	check_ok(job_wait(&job));
	check_reads(&share, 3, 1);
}

/* Listed on both sides: the importer's reader waits for the exporter's writer, and sees what it wrote. */
static void implicit_sync_crosses_devices(void)
{
	struct share share = share_new(0, 1);
	struct held_fence hold = fence_hold();
	struct job writer = job_new(&share.exporter), reader = job_new(&share.importer);
	int fd = bo_export(share.bo.bo);

	check_ok(gpu_fill(&share.importer, 0, 0, 0, 0));
	check_ok(gpu_fill(&share.exporter, 0, 0, 0, 0));
	job_wait_fence(&share.exporter, &writer, &hold);
	drover_submission_fill(writer.sub, share.bo.va, SIZE, 9, 1);
	drover_submission_buffer(writer.sub, share.bo.bo, DROVER_ACCESS_WRITE);
	job_submit(&writer);
	drover_submission_check(reader.sub, share.import.va, SIZE, 9, 1);
	drover_submission_buffer(reader.sub, share.import.bo, DROVER_ACCESS_READ);
	job_submit(&reader);

	check_err(drover_dmabuf_wait(fd, DROVER_ACCESS_READ, 20000000), -ETIME);
	check(!job_done(&reader), "the reader didn't wait for the writer on the other device");
	fence_release(&hold);
	check_ok(drover_dmabuf_wait(fd, DROVER_ACCESS_WRITE, WAIT_NS));
	check_ok(job_wait(&reader));
	check_ok(job_wait(&writer));
}

/* What isn't listed, implicit sync doesn't see. */
static void unlisted_use_is_invisible(void)
{
	struct share share = share_new(0, 1);
	struct held_fence hold = fence_hold();
	struct job job = job_new(&share.importer);
	int fd = bo_export(share.bo.bo);

	check_ok(gpu_fill(&share.importer, share.import.va, SIZE, 0, 0));
	job_wait_fence(&share.importer, &job, &hold);
	drover_submission_fill(job.sub, share.import.va, SIZE, 9, 1);
	job_submit(&job);
	check_ok(drover_dmabuf_wait(fd, DROVER_ACCESS_WRITE, WAIT_NS));
	check(!job_done(&job), "a job is done before the fence that it waits for");
	fence_release(&hold);
	check_ok(job_wait(&job));
}

/* ---- Two processes ---- */

/* Exports, writes, and then keeps evicting it while the importer works. */
static void export_to(int socket)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	uint32_t round;
	char byte;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 0, 1));
	send_fd(socket, bo_export(bo.bo));
	for (round = 1; round <= 4; round++) {
		check_eq(read(socket, &byte, 1), 1); /* the importer has read the last round */
		check_ok(gpu_check(&gpu, bo.va, SIZE, round - 1, 2));
		check_ok(gpu_fill(&gpu, bo.va, SIZE, round, 1));
		gpu_press(0, bo.bo);
		check_eq(write(socket, "", 1), 1);
	}
	check_eq(read(socket, &byte, 1), 1);
	check_eq(device_info(gpu.dev).pinned_max, 0);
	test_exit();
}

static void two_processes(void)
{
	struct client_bo import;
	struct gpu importer;
	int socket[2], fd;
	uint32_t round;
	pid_t child;
	char byte;

	check_sys(socketpair(AF_UNIX, SOCK_STREAM, 0, socket));
	child = test_fork();
	if (!child) {
		close(socket[0]);
		export_to(socket[1]);
	}
	close(socket[1]);
	fd = receive_fd(socket[0]);
	importer = gpu_open(1);
	import = gpu_import(&importer, fd);
	close(fd);
	for (round = 0; round <= 4; round++) {
		if (round)
			check_eq(read(socket[0], &byte, 1), 1);
		check_ok(gpu_check(&importer, import.va, SIZE, round, 1));
		check_ok(gpu_fill(&importer, import.va, SIZE, round, 2));
		check_eq(write(socket[0], "", 1), 1);
	}
	test_join(child);
	check_eq(bo_info(import.bo).pins, 0);
	check(bo_info(import.bo).remaps >= 4, "remapped %llu times only",
	      (unsigned long long)bo_info(import.bo).remaps);
	/* The exporter's process has gone. */
	check_ok(gpu_check(&importer, import.va, SIZE, 4, 2));
}

/* ---- Evictions at any moment ---- */

static atomic_bool stop;

static void *keep_evicting(void *bo)
{
	uint64_t evicted = 0;

	while (!stop) {
		struct drm_drover_evict result;

		check_ok(drover_bo_evict(bo, &result));
		evicted += result.evicted;
		if (!result.evicted)
			sleep_ms(1);
	}
	check(evicted >= 5, "the BO was evicted %llu times only", (unsigned long long)evicted);
	return NULL;
}

/* One copies between its own BO and the import, until the time is over, and every word has to be right. */
static void work_on_import(struct share *share, int64_t end)
{
	struct client_bo own = gpu_bo(&share->importer, SIZE, VRAM | GTT);
	uint32_t round;

	for (round = 0; round < 8 || now_ns() < end; round++) {
		struct job job = job_new(&share->importer);

		drover_submission_fill(job.sub, share->import.va, SIZE, round, 1);
		check_ok(job_run(&job));
		job = job_new(&share->importer);
		drover_submission_check(job.sub, share->import.va, SIZE, round, 1);
		drover_submission_copy(job.sub, own.va, share->import.va, SIZE);
		check_ok(job_run(&job));
		check_ok(gpu_check(&share->importer, own.va, SIZE, round, 1));
	}
}

static void evictions_while_the_importer_works(void)
{
	struct share share = share_new(0, 1);
	pthread_t evictor = test_thread(keep_evicting, share.bo.bo);

	work_on_import(&share, now_ns() + 2 * SECOND_NS);
	stop = true;
	test_thread_join(evictor);
	check(vm_info(&share.importer).remaps >= 5, "remapped %llu times only",
	      (unsigned long long)vm_info(&share.importer).remaps);
	check_unpinned(&share);
}

/* Each of two devices imports from the other and evicts its own, all at once, in four processes. */
static void evictions_in_both_directions(void)
{
	int64_t end = now_ns() + 2 * SECOND_NS;
	pid_t child[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		child[i] = test_fork();
		if (!child[i]) {
			struct share share = share_new(i, 1 - i);
			pthread_t evictor = test_thread(keep_evicting, share.bo.bo);

			work_on_import(&share, end);
			stop = true;
			test_thread_join(evictor);
			test_exit();
		}
	}
	for (i = 0; i < 2; i++)
		test_join(child[i]);
}

/* Runs last: over all of the above. */
static void nothing_was_ever_pinned(void)
{
	unsigned int i, count = device_count();
	uint64_t evictions = 0;

	for (i = 0; i < count; i++) {
		struct drm_drover_device_info info = device_info(device_open(i));

		check_eq(info.pinned_max, 0);
		evictions += info.evictions;
	}
	check(evictions, "and nothing was ever evicted");
}

static const struct test tests[] = {
	TEST(importer_sees_what_exporter_writes),
	TEST(evicted_by_pressure_and_remapped),
	TEST(evicted_by_ioctl_and_remapped),
	TEST(imported_while_evicted),
	TEST(exporter_does_not_use_it),
	TEST(vram_only),
	TEST(stays_in_gtt_while_a_peer_needs_it_there),
	TEST(ring_of_2),
	TEST(ring_of_3),
	TEST(ring_of_4),
	TEST(both_directions_at_once),
	TEST(imports_larger_than_the_exporters_memory),
	TEST(many_imports_evicted_together),
	TEST(import_in_several_vms),
	TEST(import_is_closed_while_bound),
	TEST(comes_home),
	TEST(import_belongs_to_its_exporter),
	TEST(moves_wait_for_the_importers_job),
	TEST(moves_wait_for_the_exporters_job),
	TEST(implicit_sync_crosses_devices),
	TEST(unlisted_use_is_invisible),
	TEST(two_processes),
	TEST(evictions_while_the_importer_works),
	TEST(evictions_in_both_directions),
	TEST(nothing_was_ever_pinned),
};

int main(int argc, char **argv)
{
	return test_main("share", tests, ARRAY_SIZE(tests), argc, argv);
}
