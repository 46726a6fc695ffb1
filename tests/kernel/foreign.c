// SPDX-License-Identifier: MIT
/*
 * Sharing with drivers that aren't ours. Static exporters: udmabuf, the system
 * dma-heap, vgem. Static importers: a module of ours that does what most
 * drivers do, and vgem. And the CPU, through the dma-buf's own mmap. Two
 * devices of 16 MiB of VRAM and of GTT, p2p=1.
 */
#include "common.h"

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xf86drm.h>

#include "../modules/drover_static_importer.h"

#define SIZE (256 * KIB)

/* ---- Static exporters ---- */

/* A dma-buf of another driver, and its memory as the CPU sees it. */
struct foreign {
	int dmabuf;
	uint32_t *words;
};

static uint32_t *map_fd(int fd, off_t offset)
{
	void *words = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	check(words != MAP_FAILED, "mmap: %m");
	return words;
}

static struct foreign new_udmabuf(void)
{
	struct foreign foreign;

	foreign.dmabuf = udmabuf_new(SIZE, &foreign.words);
	return foreign;
}

static struct foreign new_heap_buffer(void)
{
	int heap = check_sys(open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC));
	struct dma_heap_allocation_data data = {.len = SIZE, .fd_flags = O_RDWR | O_CLOEXEC};
	struct foreign foreign;

	check_sys(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data));
	foreign.dmabuf = data.fd;
	foreign.words = map_fd(data.fd, 0);
	close(heap);
	return foreign;
}

static struct foreign new_vgem_buffer(void)
{
	struct drm_mode_create_dumb create = {.width = 256, .height = SIZE / 1024, .bpp = 32};
	struct drm_mode_map_dumb map = {0};
	int fd = vgem_open(true);
	struct foreign foreign;

	check_sys(drmIoctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &create));
	check_eq(create.size, SIZE);
	map.handle = create.handle;
	check_sys(drmIoctl(fd, DRM_IOCTL_MODE_MAP_DUMB, &map));
	foreign.words = map_fd(fd, map.offset);
	check_ok(drmPrimeHandleToFD(fd, create.handle, DRM_CLOEXEC | DRM_RDWR, &foreign.dmabuf));
	close(fd);
	return foreign;
}

/* What every static exporter has to be good for. */
static void check_static_exporter(struct foreign foreign)
{
	struct gpu one = gpu_open(0), two = gpu_open(1);
	struct client_bo first, second;
	struct drm_drover_bo_info info;
	struct drm_drover_evict result;

	fill_words(foreign.words, SIZE, 1, 1);
	first = gpu_import(&one, foreign.dmabuf);
	check_ok(gpu_check(&one, first.va, SIZE, 1, 1));
	info = bo_info(first.bo);
	check_eq(info.flags, DRM_DROVER_BO_IMPORTED | DRM_DROVER_BO_STATIC);
	check_eq(info.size, SIZE);
	check_eq(info.placement, FOREIGN);
	/* It isn't memory of ours that is pinned. */
	check_eq(info.pins, 0);
	check_eq(device_info(one.dev).pinned, 0);
	check_eq(device_info(one.dev).vram_used + device_info(one.dev).gtt_used, 0);

	check_ok(gpu_fill(&one, first.va, SIZE, 2, 3));
	check_words(foreign.words, SIZE, 2, 3);

	/* Both devices, through what the first one passes on. */
	second = gpu_import(&two, bo_export(first.bo));
	close(foreign.dmabuf);
	check_ok(gpu_check(&two, second.va, SIZE, 2, 3));
	check_ok(drover_vm_evict(one.vm, &result));
	check_eq(result.evicted + result.busy, 0);
	check_err(drover_bo_evict(first.bo, NULL), -EOPNOTSUPP);

	/* One import goes, the other stays. */
	check_ok(drover_vm_unbind(one.vm, first.va, SIZE));
	drover_bo_unref(first.bo);
	check_ok(gpu_fill(&two, second.va, SIZE, 4, 5));
	check_words(foreign.words, SIZE, 4, 5);
	check_eq(bo_info(second.bo).evictions, 0);
}

static void imports_from_udmabuf(void)
{
	check_static_exporter(new_udmabuf());
}

static void imports_from_the_system_heap(void)
{
	check_static_exporter(new_heap_buffer());
}

static void imports_from_vgem(void)
{
	check_static_exporter(new_vgem_buffer());
}

/* Foreign memory doesn't mind what happens to ours. */
static void foreign_memory_beside_evictions(void)
{
	struct foreign foreign = new_udmabuf();
	struct gpu gpu = gpu_open(0);
	struct client_bo own = gpu_bo(&gpu, MIB, VRAM | GTT), import;
	uint32_t round;

	import = gpu_import(&gpu, foreign.dmabuf);
	fill_words(foreign.words, SIZE, 1, 1);
	check_ok(gpu_fill(&gpu, own.va, MIB, 2, 1));
	for (round = 0; round < 3; round++) {
		struct job job = job_new(&gpu);

		gpu_press(0, own.bo);
		drover_submission_check(job.sub, import.va, SIZE, 1, 1);
		drover_submission_check(job.sub, own.va, MIB, 2, 1);
		check_ok(job_run(&job));
	}
	check_eq(bo_info(import.bo).remaps, 0);
}

static void no_dmabuf_is_refused(void)
{
	struct gpu gpu = gpu_open(0);
	struct drover_bo *bo;
	int fd = check_sys(memfd_create("drover-test", MFD_CLOEXEC));

	check_err(drover_bo_import(gpu.dev, fd, &bo), -EINVAL);
	close(fd);
	check_err(drover_bo_import(gpu.dev, fd, &bo), -EBADF);
}

/* ---- A static importer ---- */

static int static_importer(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument) ? -errno : 0;
}

static uint64_t sum_of(uint32_t value, uint32_t step)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < SIZE / 4; i++)
		sum += value + i * step;
	return sum;
}

static void check_pinned(struct gpu *gpu, struct client_bo *bo, unsigned int pins)
{
	check_eq(bo_info(bo->bo).pins, pins);
	check_eq(device_info(gpu->dev).pinned, pins ? SIZE : 0);
	check_err(drover_bo_evict(bo->bo, NULL), pins ? -EBUSY : 0);
}

static void pinned_for_a_static_importer(void)
{
	/* On 6.x the core maps, and so pins, when a static importer attaches. */
	unsigned int attached = kernel_before_7() ? 1 : 0;
	struct gpu gpu = gpu_open(0), other = gpu_open(1);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT), import;
	int fd = bo_export(bo.bo), importer = static_importer_open();
	uint64_t sum;

	import = gpu_import(&other, fd);
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 7, 1));
	check_ok(gpu_check(&other, import.va, SIZE, 7, 1));
	check_pinned(&gpu, &bo, 0);

	check_ok(static_importer(importer, STATIC_IMPORTER_ATTACH, &fd));
	check_pinned(&gpu, &bo, attached);
	check_ok(static_importer(importer, STATIC_IMPORTER_MAP, NULL));
	check_pinned(&gpu, &bo, 1);
	check_ok(static_importer(importer, STATIC_IMPORTER_CHECKSUM, &sum));
	check_eq(sum, sum_of(7, 1));

	/* It sees what others write, and they use the memory where it is. */
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 8, 3));
	check_ok(gpu_check(&other, import.va, SIZE, 8, 3));
	check_ok(static_importer(importer, STATIC_IMPORTER_CHECKSUM, &sum));
	check_eq(sum, sum_of(8, 3));
	check_eq(bo_info(bo.bo).placement, GTT);
	check_pinned(&gpu, &bo, 1);

	check_ok(static_importer(importer, STATIC_IMPORTER_UNMAP, NULL));
	check_pinned(&gpu, &bo, attached);
	check_ok(static_importer(importer, STATIC_IMPORTER_MAP, NULL));
	check_ok(static_importer(importer, STATIC_IMPORTER_CHECKSUM, &sum));
	check_eq(sum, sum_of(8, 3));
	check_ok(static_importer(importer, STATIC_IMPORTER_UNMAP, NULL));
	check_ok(static_importer(importer, STATIC_IMPORTER_DETACH, NULL));
	check_pinned(&gpu, &bo, 0);
	check_ok(gpu_check(&other, import.va, SIZE, 8, 3));
	check_ok(gpu_check(&gpu, bo.va, SIZE, 8, 3));
}

/* Its memory is taken from others' pressure, for as long as it's mapped. */
static void pressure_spares_what_a_static_importer_has(void)
{
	struct gpu gpu = gpu_open(0), others = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	int fd = bo_export(bo.bo), importer = static_importer_open(), error;
	uint64_t sum;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 7, 1));
	check_ok(static_importer(importer, STATIC_IMPORTER_ATTACH, &fd));
	check_ok(static_importer(importer, STATIC_IMPORTER_MAP, NULL));
	check_eq(bo_info(bo.bo).placement, GTT);
	error = gpu_use_all(&others, GTT, 0xdeadbeef);
	check(error == -ENOMEM || error == -ENOSPC,
	      "memory is pinned, and others can use all of it: %d", error);
	check_ok(static_importer(importer, STATIC_IMPORTER_CHECKSUM, &sum));
	check_eq(sum, sum_of(7, 1));

	/* The file goes with everything that it has. */
	close(importer);
	check(eventually(bo_info(bo.bo).pins == 0), "pinned by an importer that's gone");
	gpu_close(&others);
	gpu_press(0, bo.bo);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 7, 1));
}

/* A static importer can't reach VRAM. */
static void vram_only_refuses_a_static_importer(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM);
	int fd = bo_export(bo.bo), importer = static_importer_open(), error;

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 7, 1));
	error = static_importer(importer, STATIC_IMPORTER_ATTACH, &fd);
	if (kernel_before_7()) {
		check_err(error, -EOPNOTSUPP);
	} else {
		check_ok(error);
		check_err(static_importer(importer, STATIC_IMPORTER_MAP, NULL), -EOPNOTSUPP);
	}
	check_pinned(&gpu, &bo, 0);
	close(importer);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 7, 1));
}

static void vgem_imports(void)
{
	/* On 6.x vgem attaches statically and the core maps for it; on 7.x it attaches without mapping. */
	unsigned int pins = kernel_before_7() ? 1 : 0;
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	struct drm_gem_close close_handle = {0};
	int fd = bo_export(bo.bo), vgem = vgem_open(false);

	check_ok(gpu_fill(&gpu, bo.va, SIZE, 9, 1));
	check_ok(drmPrimeFDToHandle(vgem, fd, &close_handle.handle));
	check_pinned(&gpu, &bo, pins);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 9, 1));
	check_pinned(&gpu, &bo, pins);
	check_sys(drmIoctl(vgem, DRM_IOCTL_GEM_CLOSE, &close_handle));
	check(eventually(bo_info(bo.bo).pins == 0), "vgem's import is gone, and the BO pinned");
	check_pinned(&gpu, &bo, 0);
	check_ok(gpu_check(&gpu, bo.va, SIZE, 9, 1));
}

/* ---- The CPU ---- */

static void cpu_mapping_of_the_dmabuf_follows_moves(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_open(1);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT), import;
	int fd = bo_export(bo.bo);
	uint32_t *words = map_fd(fd, 0), round;

	import = gpu_import(&other, fd);
	for (round = 0; round < 4; round++) {
		check_ok(drover_dmabuf_begin_cpu_access(fd, DROVER_ACCESS_WRITE));
		fill_words(words, SIZE, round, 1);
		check_ok(drover_bo_evict(bo.bo, NULL));
		check_words(words, SIZE, round, 1);
		check_ok(drover_dmabuf_end_cpu_access(fd, DROVER_ACCESS_WRITE));
		check_ok(gpu_check(round & 1 ? &other : &gpu, round & 1 ? import.va : bo.va, SIZE,
				   round, 1));
		check_ok(gpu_fill(&other, import.va, SIZE, round, 2));
		check_ok(drover_dmabuf_begin_cpu_access(fd, DROVER_ACCESS_READ));
		check_words(words, SIZE, round, 2);
		check_ok(drover_dmabuf_end_cpu_access(fd, DROVER_ACCESS_READ));
		gpu_press(0, bo.bo);
		check_words(words, SIZE, round, 2);
	}
	/* The mapping keeps the memory, whoever else is gone. */
	close(fd);
	gpu_close(&other);
	check_words(words, SIZE, 3, 2);
	check_sys(munmap(words, SIZE));
}

static atomic_bool stop;

struct mover {
	struct gpu *gpu;
	struct client_bo *bo;
	unsigned int moves;
};

/* Takes the BO out of VRAM and back again. */
static void *keep_moving(void *argument)
{
	struct mover *mover = argument;

	while (!stop) {
		check_ok(drover_bo_evict(mover->bo->bo, NULL));
		check_ok(gpu_fill(mover->gpu, mover->bo->va, 0, 0, 0));
		mover->moves++;
	}
	return NULL;
}

static void cpu_access_while_it_moves(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM);
	uint32_t *words = map_fd(bo_export(bo.bo), 0), round = 0;
	struct mover mover = {.gpu = &gpu, .bo = &bo};
	int64_t end = now_ns() + SECOND_NS;
	pthread_t thread = test_thread(keep_moving, &mover);

	do {
		fill_words(words, SIZE, round, 3);
		check_words(words, SIZE, round, 3);
		round++;
	} while (now_ns() < end || mover.moves < 5);
	stop = true;
	test_thread_join(thread);
	check_ok(gpu_check(&gpu, bo.va, SIZE, round - 1, 3));
}

static atomic_bool accessed;

static void *begin_access(void *dmabuf)
{
	check_ok(drover_dmabuf_begin_cpu_access(*(int *)dmabuf, DROVER_ACCESS_READ));
	accessed = true;
	return NULL;
}

/* DMA_BUF_IOCTL_SYNC waits for the engine's listed writer. */
static void cpu_access_waits_for_writers(void)
{
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	int fd = bo_export(bo.bo);
	struct held_fence hold = fence_hold();
	struct dma_buf_sync bad = {.flags = ~0ULL};
	struct job job = job_new(&gpu);
	pthread_t thread;

	job_wait_fence(&gpu, &job, &hold);
	drover_submission_fill(job.sub, bo.va, SIZE, 5, 1);
	drover_submission_buffer(job.sub, bo.bo, DROVER_ACCESS_WRITE);
	job_submit(&job);
	thread = test_thread(begin_access, &fd);
	sleep_ms(50);
	check(!accessed, "the CPU's access began before the engine's writer was done");
	fence_release(&hold);
	test_thread_join(thread);
	check_words(map_fd(fd, 0), SIZE, 5, 1);
	check_ok(drover_dmabuf_end_cpu_access(fd, DROVER_ACCESS_READ));
	check_ok(job_wait(&job));
	check_err(ioctl(fd, DMA_BUF_IOCTL_SYNC, &bad) ? -errno : 0, -EINVAL);
}

/* And the other way: a fence put into the dma-buf holds back who lists the BO. */
static void jobs_wait_for_imported_sync_files(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_open(1);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM | GTT), import;
	int fd = bo_export(bo.bo), sync_file;
	struct held_fence hold = fence_hold();
	struct job reader = job_new(&other), unlisted = job_new(&other);

	import = gpu_import(&other, fd);
	check_ok(drover_dmabuf_import_sync_file(fd, DROVER_ACCESS_WRITE, hold.sync_file));
	check_ok(drover_dmabuf_export_sync_file(fd, DROVER_ACCESS_READ, &sync_file));
	check_eq(drover_sync_file_status(sync_file), 0);

	drover_submission_check(unlisted.sub, import.va, SIZE, 0, 0);
	check_ok(job_run(&unlisted));
	drover_submission_buffer(reader.sub, import.bo, DROVER_ACCESS_READ);
	job_submit(&reader);
	sleep_ms(20);
	check(!job_done(&reader), "a listed reader didn't wait for the dma-buf's writer");
	fence_release(&hold);
	check_ok(job_wait(&reader));
	check_eq(drover_sync_file_status(sync_file), 1);
}

static const struct test tests[] = {
	TEST(imports_from_udmabuf),
	TEST(imports_from_the_system_heap),
	TEST(imports_from_vgem),
	TEST(foreign_memory_beside_evictions),
	TEST(no_dmabuf_is_refused),
	TEST(pinned_for_a_static_importer),
	TEST(pressure_spares_what_a_static_importer_has),
	TEST(vram_only_refuses_a_static_importer),
	TEST(vgem_imports),
	TEST(cpu_mapping_of_the_dmabuf_follows_moves),
	TEST(cpu_access_while_it_moves),
	TEST(cpu_access_waits_for_writers),
	TEST(jobs_wait_for_imported_sync_files),
};

int main(int argc, char **argv)
{
	return test_main("foreign", tests, ARRAY_SIZE(tests), argc, argv);
}
