// SPDX-License-Identifier: MIT
/*
 * Owns counting and tracing. As the outermost module it sees the application's submissions and waits
 * as they are called; what is between is reported by the other modules.
 *
 * Fences are kept as sync files until they have signalled: the kernel knows when that was. They are
 * looked at whenever the application submits.
 */
#include "telemetry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <drover/drover.h>

#include "bridge.h"
#include "clock.h"
#include "entry.h"
#include "submit.h"
#include "trace.h"
#include "virtual_gpu.h"

/* So many file descriptors are kept at most; what comes then has no end in the trace. */
#define MAX_FENCES         64
#define SAMPLE_INTERVAL_NS 1000000ull

struct fence {
	enum telemetry_fence what;
	int sync_file;
	uint64_t id;
	uint64_t begin;
};

struct telemetry_device {
	_Atomic(uint64_t) counters[TELEMETRY_COUNTERS];
	/* NULL: only counted. */
	struct trace *trace;
	/* The trace ended early, and that was said. */
	atomic_bool trace_ended;
	pthread_mutex_t lock;
	/* Under the lock. */
	struct fence fences[MAX_FENCES];
	uint32_t num_fences;
	uint64_t last_sample;
	/* How long acquired dma-bufs were still in use. */
	uint64_t acquired_in_use_ns;
};

/* Of fences in a trace: devices may write the same one, and there ids have to differ. */
static _Atomic(uint64_t) next_id;

static const char *const fence_names[] = {
	[TELEMETRY_FENCE_ACQUIRE] = "acquired: still in use by others",
	[TELEMETRY_FENCE_RELEASE] = "released: work until then",
};

static const char *const wait_names[] = {
	[TELEMETRY_FENCE_ACQUIRE] = "wait for an acquire",
	[TELEMETRY_FENCE_RELEASE] = "wait for a release",
};

void telemetry_add(struct layer_device *device, enum telemetry_counter counter, uint64_t count)
{
	atomic_fetch_add_explicit(&device->telemetry->counters[counter], count,
				  memory_order_relaxed);
}

uint64_t telemetry_begin(const struct layer_device *device)
{
	return device->telemetry ? now_ns() : 0;
}

void telemetry_cpu_wait(struct layer_device *device, enum telemetry_fence what, uint64_t begin)
{
	uint64_t end;

	if (!device->telemetry)
		return;
	end = now_ns();
	telemetry_add(device, TELEMETRY_CPU_WAITS, 1);
	telemetry_add(device, TELEMETRY_CPU_WAIT_NS, end - begin);
	if (device->telemetry->trace)
		trace_span(device->telemetry->trace, "sync", wait_names[what], begin, end, "");
}

/* ---- Fences ---- */

/* Under the lock. */
static void fence_over(struct telemetry_device *telemetry, struct fence *fence, uint64_t end)
{
	if (fence->what == TELEMETRY_FENCE_ACQUIRE && end > fence->begin)
		telemetry->acquired_in_use_ns += end - fence->begin;
	if (telemetry->trace)
		trace_end(telemetry->trace, "sync", fence_names[fence->what], fence->id,
			  end > fence->begin ? end : fence->begin);
	close(fence->sync_file);
	*fence = telemetry->fences[--telemetry->num_fences];
}

static void look_at_fences(struct telemetry_device *telemetry)
{
	uint32_t i = 0;
	uint64_t end;

	pthread_mutex_lock(&telemetry->lock);
	while (i < telemetry->num_fences) {
		if (!bridge_signalled(telemetry->fences[i].sync_file)) {
			i++;
			continue;
		}
		end = bridge_signalled_at(telemetry->fences[i].sync_file);
		fence_over(telemetry, &telemetry->fences[i], end ? end : now_ns());
	}
	pthread_mutex_unlock(&telemetry->lock);
}

void telemetry_fence(struct layer_device *device, enum telemetry_fence what, int sync_file,
		     const struct track_use *use)
{
	struct telemetry_device *telemetry = device->telemetry;
	struct fence *fence;
	char arguments[128];
	int fd;

	if (!telemetry)
		return;
	if (what == TELEMETRY_FENCE_ACQUIRE)
		telemetry_add(device, TELEMETRY_ACQUIRES_IN_USE, 1);
	/* when a release was over is only told in a trace */
	else if (!telemetry->trace)
		return;
	fd = bridge_dup(sync_file);
	if (fd < 0)
		return;
	snprintf(arguments, sizeof(arguments),
		 "\"dmabuf\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"access\":\"%s\"",
		 use->dmabuf->inode, use->dmabuf->size,
		 use->access & DROVER_ACCESS_WRITE ? "write" : "read");
	pthread_mutex_lock(&telemetry->lock);
	if (telemetry->num_fences == MAX_FENCES) {
		close(fd);
	} else {
		fence = &telemetry->fences[telemetry->num_fences++];
		*fence = (struct fence){what, fd, atomic_fetch_add(&next_id, 1), now_ns()};
		if (telemetry->trace)
			trace_begin(telemetry->trace, "sync", fence_names[what], fence->id,
				    fence->begin, arguments);
	}
	pthread_mutex_unlock(&telemetry->lock);
}

/* ---- What the application calls ---- */

/* Evictions and remaps aren't told, but counted by the kernel. */
static void sample_vm(struct layer_device *device, uint64_t now)
{
	struct telemetry_device *telemetry = device->telemetry;
	struct drm_drover_vm_info info;
	char arguments[256];
	bool due;

	if (!telemetry->trace || !device->virtual_gpu)
		return;
	pthread_mutex_lock(&telemetry->lock);
	due = now - telemetry->last_sample >= SAMPLE_INTERVAL_NS;
	if (due)
		telemetry->last_sample = now;
	pthread_mutex_unlock(&telemetry->lock);
	if (!due || drover_vm_info(device->virtual_gpu->vm, &info))
		return;
	snprintf(arguments, sizeof(arguments),
		 "\"evictions\":%" PRIu64 ",\"invalidations\":%" PRIu64 ",\"remaps\":%" PRIu64,
		 (uint64_t)info.evictions, (uint64_t)info.invalidations, (uint64_t)info.remaps);
	trace_counters(telemetry->trace, "moves", now, arguments);
	snprintf(arguments, sizeof(arguments), "\"resident\":%" PRIu64,
		 (uint64_t)info.resident_bytes);
	trace_counters(telemetry->trace, "bytes", now, arguments);
}

static void look_at_trace(struct layer_device *device)
{
	struct telemetry_device *telemetry = device->telemetry;
	int error = telemetry->trace ? trace_error(telemetry->trace) : 0;

	if (!error || atomic_exchange(&telemetry->trace_ended, true))
		return;
	layer_log(&device->instance->log, LAYER_LOG_WARNING,
		  "the trace ends early: %s can't be written any more (%s); make room, or set "
		  "trace_file to a path elsewhere",
		  device->instance->settings.trace_file, strerror(error));
}

static void submitted(struct layer_device *device, const char *name, uint64_t begin, uint32_t count,
		      VkResult result)
{
	struct telemetry_device *telemetry = device->telemetry;
	uint64_t end = now_ns();
	char arguments[32];

	if (result == VK_SUCCESS)
		telemetry_add(device, TELEMETRY_SUBMISSIONS, 1);
	if (telemetry->trace) {
		snprintf(arguments, sizeof(arguments), "\"batches\":%u", count);
		trace_span(telemetry->trace, "submit", name, begin, end, arguments);
	}
	look_at_fences(telemetry);
	sample_vm(device, end);
	look_at_trace(device);
}

static void waited(struct layer_device *device, const char *name, uint64_t begin)
{
	if (device->telemetry->trace)
		trace_span(device->telemetry->trace, "wait", name, begin, now_ns(), "");
	look_at_fences(device->telemetry);
	look_at_trace(device);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit(VkQueue queue, uint32_t count,
						   const VkSubmitInfo *submits, VkFence fence)
{
	struct layer_device *device = layer_device_of(queue);
	uint64_t begin = now_ns();
	VkResult result =
		device->below[LAYER_MODULE_TELEMETRY].QueueSubmit(queue, count, submits, fence);

	submitted(device, "vkQueueSubmit", begin, count, result);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit2(VkQueue queue, uint32_t count,
						    const VkSubmitInfo2 *submits, VkFence fence)
{
	struct layer_device *device = layer_device_of(queue);
	uint64_t begin = now_ns();
	VkResult result =
		device->below[LAYER_MODULE_TELEMETRY].QueueSubmit2(queue, count, submits, fence);

	submitted(device, "vkQueueSubmit2", begin, count, result);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit2_khr(VkQueue queue, uint32_t count,
							const VkSubmitInfo2 *submits, VkFence fence)
{
	struct layer_device *device = layer_device_of(queue);
	uint64_t begin = now_ns();
	VkResult result =
		device->below[LAYER_MODULE_TELEMETRY].QueueSubmit2KHR(queue, count, submits, fence);

	submitted(device, "vkQueueSubmit2KHR", begin, count, result);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_wait_idle(VkQueue queue)
{
	struct layer_device *device = layer_device_of(queue);
	uint64_t begin = now_ns();
	VkResult result = device->below[LAYER_MODULE_TELEMETRY].QueueWaitIdle(queue);

	waited(device, "vkQueueWaitIdle", begin);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL device_wait_idle(VkDevice handle)
{
	struct layer_device *device = layer_device_of(handle);
	uint64_t begin = now_ns();
	VkResult result = device->below[LAYER_MODULE_TELEMETRY].DeviceWaitIdle(handle);

	waited(device, "vkDeviceWaitIdle", begin);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_for_fences(VkDevice handle, uint32_t count,
						      const VkFence *fences, VkBool32 all,
						      uint64_t timeout)
{
	struct layer_device *device = layer_device_of(handle);
	uint64_t begin = now_ns();
	VkResult result = device->below[LAYER_MODULE_TELEMETRY].WaitForFences(handle, count, fences,
									      all, timeout);

	waited(device, "vkWaitForFences", begin);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_semaphores(VkDevice handle,
						      const VkSemaphoreWaitInfo *info,
						      uint64_t timeout)
{
	struct layer_device *device = layer_device_of(handle);
	uint64_t begin = now_ns();
	VkResult result =
		device->below[LAYER_MODULE_TELEMETRY].WaitSemaphores(handle, info, timeout);

	waited(device, "vkWaitSemaphores", begin);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_semaphores_khr(VkDevice handle,
							  const VkSemaphoreWaitInfo *info,
							  uint64_t timeout)
{
	struct layer_device *device = layer_device_of(handle);
	uint64_t begin = now_ns();
	VkResult result =
		device->below[LAYER_MODULE_TELEMETRY].WaitSemaphoresKHR(handle, info, timeout);

	waited(device, "vkWaitSemaphoresKHR", begin);
	return result;
}

/* ---- The module ---- */

static bool is_on(const struct layer_device *device)
{
	return device->telemetry;
}

/* As a warning: what is only of interest doesn't go to stderr, and whoever asked for it wants to see it. */
static void say(struct layer_device *device)
{
	const struct telemetry_device *telemetry = device->telemetry;
	uint64_t counters[TELEMETRY_COUNTERS];
	char text[768];
	uint32_t i;

	for (i = 0; i < TELEMETRY_COUNTERS; i++)
		counters[i] = atomic_load(&telemetry->counters[i]);
	snprintf(text, sizeof(text),
		 "device %p: %" PRIu64 " submissions; %" PRIu64 " imports and %" PRIu64
		 " exports of dma-bufs; %" PRIu64 " acquired, %" PRIu64
		 " of them still in use by others, for %.3f ms in all; %" PRIu64
		 " released, %" PRIu64
		 " of them too late to be waited for at once; the CPU waited %" PRIu64
		 " times, %.3f ms in all; %" PRIu64 " semaphores",
		 (void *)device->handle, counters[TELEMETRY_SUBMISSIONS],
		 counters[TELEMETRY_IMPORTS], counters[TELEMETRY_EXPORTS],
		 counters[TELEMETRY_ACQUIRES], counters[TELEMETRY_ACQUIRES_IN_USE],
		 (double)telemetry->acquired_in_use_ns / 1e6, counters[TELEMETRY_RELEASES],
		 counters[TELEMETRY_LATE_RELEASES], counters[TELEMETRY_CPU_WAITS],
		 (double)counters[TELEMETRY_CPU_WAIT_NS] / 1e6, counters[TELEMETRY_SEMAPHORES]);
	layer_log(&device->instance->log, LAYER_LOG_WARNING, "%s", text);
}

static VkResult device_create(struct layer_device *device,
			      const struct layer_device_request *request)
{
	const struct layer_settings *settings = &device->instance->settings;
	struct telemetry_device *telemetry;

	(void)request;
	if (!settings->trace_file && !settings->stats)
		return VK_SUCCESS;
	telemetry = calloc(1, sizeof(*telemetry));
	if (!telemetry)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	pthread_mutex_init(&telemetry->lock, NULL);
	device->telemetry = telemetry;
	if (!settings->trace_file)
		return VK_SUCCESS;
	telemetry->trace = trace_open(settings->trace_file);
	if (!telemetry->trace)
		layer_log(
			&device->instance->log, LAYER_LOG_WARNING,
			"there will be no trace: %s can't be opened (%s); set trace_file to a path "
			"that can be written",
			settings->trace_file, strerror(errno));
	return VK_SUCCESS;
}

static void device_destroy(struct layer_device *device)
{
	struct telemetry_device *telemetry = device->telemetry;

	if (!telemetry)
		return;
	/* its worker counts, too */
	submit_stop(device);
	look_at_fences(telemetry);
	while (telemetry->num_fences)
		fence_over(telemetry, &telemetry->fences[0], now_ns());
	if (device->instance->settings.stats)
		say(device);
	if (telemetry->trace)
		trace_close(telemetry->trace);
	look_at_trace(device);
	pthread_mutex_destroy(&telemetry->lock);
	free(telemetry);
	device->telemetry = NULL;
}

static const struct layer_entry entries[] = {
	DEVICE_ENTRY(QueueSubmit, queue_submit, is_on),
	DEVICE_ENTRY(QueueSubmit2, queue_submit2, is_on),
	DEVICE_ENTRY(QueueSubmit2KHR, queue_submit2_khr, is_on),
	DEVICE_ENTRY(QueueWaitIdle, queue_wait_idle, is_on),
	DEVICE_ENTRY(DeviceWaitIdle, device_wait_idle, is_on),
	DEVICE_ENTRY(WaitForFences, wait_for_fences, is_on),
	DEVICE_ENTRY(WaitSemaphores, wait_semaphores, is_on),
	DEVICE_ENTRY(WaitSemaphoresKHR, wait_semaphores_khr, is_on),
	{0},
};

const struct layer_module telemetry_module = {
	.name = "telemetry",
	.device_entries = entries,
	.device_create = device_create,
	.device_destroy = device_destroy,
};
