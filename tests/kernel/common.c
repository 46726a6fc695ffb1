// SPDX-License-Identifier: MIT
/*
 * Short names for devices, BOs, address spaces, jobs, memory pressure and
 * fences; see common.h.
 */
#include "common.h"

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <xf86drm.h>

#include <drm/vgem_drm.h>

#include "../modules/drover_static_importer.h"

#define PLATFORM_BUS "/sys/bus/platform"
#define DRIVER       "drivers/drover"

/* ---- Devices, BOs, address spaces ---- */

unsigned int device_count(void)
{
	int count = drover_device_count();

	check(count >= 0, "drover_device_count(): %s", strerrorname_np(-count));
	return count;
}

/* libdrover counts render nodes; after an unbind and bind their order may differ from the devices'. */
struct drover_device *device_open(unsigned int index)
{
	struct drm_drover_device_info info;
	struct drover_device *dev;
	unsigned int i, count = device_count();

	for (i = 0; i < count; i++) {
		check_ok(drover_device_open(i, &dev));
		check_ok(drover_device_info(dev, &info));
		if (info.device_index == index)
			return dev;
		drover_device_close(dev);
	}
	die("there is no drover device %u, only %u devices: load the module with devices=%u", index,
	    count, index + 1);
}

struct drm_drover_device_info device_info(struct drover_device *dev)
{
	struct drm_drover_device_info info;

	check_ok(drover_device_info(dev, &info));
	return info;
}

/* Whether device number @index is in a directory of the bus; its name there. */
static bool is_on_bus(const char *directory, unsigned int index, char name[32])
{
	char path[128];

	snprintf(name, 32, "drover%u", index);
	snprintf(path, sizeof(path), PLATFORM_BUS "/%s/%s", directory, name);
	return !access(path, F_OK);
}

void device_unbind(unsigned int index)
{
	char name[32];

	check(is_on_bus(DRIVER, index, name), "%s isn't bound", name);
	check_ok(write_file(PLATFORM_BUS "/" DRIVER "/unbind", name));
	check(!is_on_bus(DRIVER, index, name), "%s is still bound", name);
}

void devices_bind(void)
{
	unsigned int count;
	char name[32];

	for (count = 0; is_on_bus("devices", count, name); count++)
		if (!is_on_bus(DRIVER, count, name))
			check_ok(write_file(PLATFORM_BUS "/" DRIVER "/bind", name));
	check(eventually(device_count() == count), "%u devices can be opened of %u that are bound",
	      device_count(), count);
}

struct gpu gpu_open(unsigned int index)
{
	struct gpu gpu = {.dev = device_open(index)};

	gpu.va = device_info(gpu.dev).va_start;
	check_ok(drover_vm_create(gpu.dev, &gpu.vm));
	return gpu;
}

struct gpu gpu_add_vm(const struct gpu *gpu)
{
	struct gpu added = {.dev = gpu->dev, .va = device_info(gpu->dev).va_start};

	check_ok(drover_vm_create(gpu->dev, &added.vm));
	return added;
}

void gpu_close(struct gpu *gpu)
{
	while (gpu->num_held)
		drover_bo_unref(gpu->held[--gpu->num_held]);
	drover_vm_destroy(gpu->vm);
	drover_device_close(gpu->dev);
	*gpu = (struct gpu){0};
}

struct drover_bo *bo_new(const struct gpu *gpu, uint64_t size, uint32_t placements)
{
	struct drover_bo *bo;

	check_ok(drover_bo_create(gpu->dev, size, placements, 0, NULL, &bo));
	return bo;
}

struct drover_bo *bo_new_private(const struct gpu *gpu, uint64_t size, uint32_t placements)
{
	struct drover_bo *bo;

	check_ok(drover_bo_create(gpu->dev, size, placements, 0, gpu->vm, &bo));
	return bo;
}

struct drover_bo *bo_import(const struct gpu *gpu, int dmabuf)
{
	struct drover_bo *bo;

	check_ok(drover_bo_import(gpu->dev, dmabuf, &bo));
	return bo;
}

int bo_export(struct drover_bo *bo)
{
	int fd;

	check_ok(drover_bo_export(bo, &fd));
	return fd;
}

struct drm_drover_bo_info bo_info(struct drover_bo *bo)
{
	struct drm_drover_bo_info info;

	check_ok(drover_bo_info(bo, &info));
	return info;
}

struct drm_drover_vm_info vm_info(const struct gpu *gpu)
{
	struct drm_drover_vm_info info;

	check_ok(drover_vm_info(gpu->vm, &info));
	return info;
}

uint32_t *bo_map(struct drover_bo *bo)
{
	void *words;

	check_ok(drover_bo_map(bo, &words));
	return words;
}

uint64_t gpu_bind(struct gpu *gpu, struct drover_bo *bo)
{
	uint64_t va = gpu->va;

	check_ok(drover_vm_bind(gpu->vm, va, bo, 0, drover_bo_size(bo), 0));
	gpu->va +=
		drover_bo_size(bo) + PAGE; /* a hole, so that nothing merges and overruns fault */
	return va;
}

struct client_bo gpu_bo(struct gpu *gpu, uint64_t size, uint32_t placements)
{
	struct client_bo bo = {.bo = bo_new(gpu, size, placements)};

	bo.va = gpu_bind(gpu, bo.bo);
	return bo;
}

struct client_bo gpu_import(struct gpu *gpu, int dmabuf)
{
	struct client_bo bo = {.bo = bo_import(gpu, dmabuf)};

	bo.va = gpu_bind(gpu, bo.bo);
	return bo;
}

struct client_bo gpu_import_bo(struct gpu *gpu, struct drover_bo *bo)
{
	int dmabuf = bo_export(bo);
	struct client_bo import = gpu_import(gpu, dmabuf);

	close(dmabuf);
	return import;
}

void test_check_words(const char *file, int line, const volatile uint32_t *words, uint64_t size,
		      uint32_t value, uint32_t step)
{
	uint64_t i;

	for (i = 0; i < size / sizeof(*words); i++) {
		uint32_t found = words[i], expected = value + (uint32_t)i * step;

		if (found != expected)
			test_fail(file, line, "word %llu is %#x, expected %#x",
				  (unsigned long long)i, found, expected);
	}
}

void fill_words(volatile uint32_t *words, uint64_t size, uint32_t value, uint32_t step)
{
	uint64_t i;

	for (i = 0; i < size / sizeof(*words); i++)
		words[i] = value + (uint32_t)i * step;
}

/* ---- Jobs ---- */

struct job job_new(const struct gpu *gpu)
{
	struct job job;

	check_ok(drover_submission_create(gpu->vm, &job.sub));
	check_ok(drover_sync_create(gpu->dev, false, &job.done));
	drover_submission_signal(job.sub, job.done, 0);
	return job;
}

void job_submit(struct job *job)
{
	check_ok(drover_submission_submit(job->sub));
}

int job_wait(struct job *job)
{
	int status;

	check_ok(drover_sync_wait(job->done, 0, WAIT_NS, 0));
	status = drover_sync_status(job->done, 0);
	check(status, "a sync that was waited for says that it isn't signalled");
	return status > 0 ? 0 : status;
}

bool job_done(struct job *job)
{
	return drover_sync_status(job->done, 0) != 0;
}

int job_run(struct job *job)
{
	int error = drover_submission_submit(job->sub);

	if (!error)
		error = job_wait(job);
	job_free(job);
	return error;
}

void job_free(struct job *job)
{
	drover_submission_destroy(job->sub);
	drover_sync_destroy(job->done);
	*job = (struct job){0};
}

static void on_alarm(int signal)
{
	(void)signal;
}

int submit_now(const struct gpu *gpu)
{
	struct sigaction action = {.sa_handler = on_alarm}, old;
	/* again and again: the first may come before the call */
	struct itimerval timer = {{.tv_usec = 10000}, {.tv_usec = 100000}}, off = {0};
	struct drm_drover_submit submit = {.vm_id = drover_vm_id(gpu->vm)};
	int error;

	check_sys(sigaction(SIGALRM, &action, &old));
	check_sys(setitimer(ITIMER_REAL, &timer, NULL));
	error = ioctl(drover_device_fd(gpu->dev), DRM_IOCTL_DROVER_SUBMIT, &submit) ? -errno : 0;
	check_sys(setitimer(ITIMER_REAL, &off, NULL));
	check_sys(sigaction(SIGALRM, &old, NULL));
	return error;
}

bool gate_closes(const struct gpu *gpu)
{
	struct drm_drover_vm_info info;

	if (!eventually(submit_now(gpu) == -EINTR))
		return false;
	info = vm_info(gpu);
	return info.submitted - info.completed < device_info(gpu->dev).max_jobs;
}

int gpu_fill(const struct gpu *gpu, uint64_t va, uint64_t size, uint32_t value, uint32_t step)
{
	struct job job = job_new(gpu);

	drover_submission_fill(job.sub, va, size, value, step);
	return job_run(&job);
}

int gpu_check(const struct gpu *gpu, uint64_t va, uint64_t size, uint32_t value, uint32_t step)
{
	struct job job = job_new(gpu);

	drover_submission_check(job.sub, va, size, value, step);
	return job_run(&job);
}

int gpu_use_all(struct gpu *gpu, uint32_t placement, uint32_t value)
{
	struct drm_drover_device_info info = device_info(gpu->dev);
	uint64_t left = placement == VRAM ? info.vram_size : info.gtt_size;

	check(left / MIB + gpu->num_held <= ARRAY_SIZE(gpu->held), "make `held` larger");
	for (; left; left -= MIB) {
		struct drover_bo *bo;
		uint64_t va;
		int error;

		error = drover_bo_create(gpu->dev, MIB, placement, 0, NULL, &bo);
		if (error)
			return error;
		gpu->held[gpu->num_held++] = bo;
		va = gpu_bind(gpu, bo);
		error = gpu_fill(gpu, va, MIB, value, 0);
		if (error)
			return error;
	}
	return 0;
}

void gpu_press(unsigned int index, struct drover_bo *victim)
{
	struct drm_drover_bo_info before = bo_info(victim);
	struct gpu gpu = gpu_open(index);

	check_ok(gpu_use_all(&gpu, before.placement, 0xdeadbeef));
	check(bo_info(victim).evictions > before.evictions,
	      "all of its memory is in use by others, and the BO is still there");
	gpu_close(&gpu);
}

/* ---- Fences in the test's hand ---- */

static int open_driver(const char *name, bool primary)
{
	int i, first = primary ? 0 : 128;

	for (i = first; i < first + 64; i++) {
		drmVersionPtr version;
		char path[64];
		bool match;
		int fd;

		snprintf(path, sizeof(path), "/dev/dri/%s%d", primary ? "card" : "renderD", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		version = drmGetVersion(fd);
		match = version && !strcmp(version->name, name);
		drmFreeVersion(version);
		if (match)
			return fd;
		close(fd);
	}
	return -1;
}

int vgem_open(bool primary)
{
	int fd = open_driver("vgem", primary);

	if (fd < 0 && !system("modprobe vgem"))
		check(eventually((fd = open_driver("vgem", primary)) >= 0),
		      "vgem was loaded, but has no device node");
	check(fd >= 0, "vgem can't be loaded: install the kernel's vgem module in the guest");
	return fd;
}

static uint32_t vgem_dumb(void)
{
	struct drm_mode_create_dumb create = {.width = 32, .height = 32, .bpp = 32};
	int fd = vgem_open(true), dmabuf;

	/* Dumb buffers are the primary node's; fences are any node's: carry the buffer over. */
	check_sys(drmIoctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &create));
	check_ok(drmPrimeHandleToFD(fd, create.handle, DRM_CLOEXEC | DRM_RDWR, &dmabuf));
	close(fd);
	return dmabuf;
}

struct held_fence fence_hold(void)
{
	struct held_fence fence = {.fd = vgem_open(false)};
	struct drm_vgem_fence_attach attach = {.flags = VGEM_FENCE_WRITE};
	struct dma_buf_export_sync_file export = {.flags = DMA_BUF_SYNC_READ};
	int dmabuf = vgem_dumb();

	check_ok(drmPrimeFDToHandle(fence.fd, dmabuf, &fence.handle));
	attach.handle = fence.handle;
	check_sys(drmIoctl(fence.fd, DRM_IOCTL_VGEM_FENCE_ATTACH, &attach));
	fence.fence = attach.out_fence;
	check_sys(ioctl(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export));
	fence.sync_file = export.fd;
	close(dmabuf);
	return fence;
}

void fence_release(struct held_fence *fence)
{
	struct drm_vgem_fence_signal signal = {.fence = fence->fence};

	check_sys(drmIoctl(fence->fd, DRM_IOCTL_VGEM_FENCE_SIGNAL, &signal));
	close(fence->sync_file);
	close(fence->fd);
}

void job_wait_fence(const struct gpu *gpu, struct job *job, const struct held_fence *fence)
{
	struct drover_sync *sync;

	check_ok(drover_sync_create(gpu->dev, true, &sync));
	check_ok(drover_sync_import_sync_file(sync, 0, fence->sync_file));
	drover_submission_wait(job->sub, sync, 0);
}

int udmabuf_new(uint64_t size, uint32_t **words)
{
	int memfd = check_sys(memfd_create("drover-test", MFD_ALLOW_SEALING | MFD_CLOEXEC));
	int device = check_sys(open("/dev/udmabuf", O_RDWR | O_CLOEXEC)), dmabuf;
	struct udmabuf_create create = {
		.memfd = memfd, .flags = UDMABUF_FLAGS_CLOEXEC, .size = size};
	void *memory;

	check_sys(ftruncate(memfd, size));
	check_sys(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	check(memory != MAP_FAILED, "a memfd can't be mapped: %m");
	*words = memory;
	dmabuf = check_sys(ioctl(device, UDMABUF_CREATE, &create));
	close(device);
	close(memfd);
	return dmabuf;
}

int static_importer_open(void)
{
	int fd = open(STATIC_IMPORTER_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0 && !system("modprobe drover_static_importer"))
		check(eventually((fd = open(STATIC_IMPORTER_PATH, O_RDWR | O_CLOEXEC)) >= 0),
		      "drover_static_importer was loaded, but has no device node");
	check(fd >= 0,
	      "drover_static_importer can't be loaded: build tests/modules for this kernel");
	return fd;
}
