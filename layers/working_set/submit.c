// SPDX-License-Identifier: MIT
/*
 * Owns the commands that submit and that wait for a queue, and what is kept for each queue. Nearly all
 * submissions have nothing to do with shared memory and go down as they are.
 */
#include "submit.h"

#include <stdlib.h>
#include <string.h>

#include "batches.h"
#include "commands.h"
#include "entry.h"
#include "late.h"
#include "pieces.h"

/* Whether the call is anything but what goes down as it is. */
static bool needs_pieces(const struct call *call)
{
	const struct layer_device *device = call->device;
	const void *batch;
	uint32_t i, j;

	if (device->instance->settings.implicit_sync == LAYER_IMPLICIT_SYNC_EVERY_SUBMIT)
		return true;
	if (!track_attention(device))
		return false;
	for (i = 0; i < call->count; i++) {
		batch = pieces_batch(call, i);
		for (j = 0; j < call->format->num_command_buffers(batch); j++) {
			if (commands_recorded(device, call->format->command_buffer(batch, j)))
				return true;
		}
	}
	return false;
}

static VkResult submit(struct layer_device *device, VkQueue handle,
		       const struct batch_format *format, uint32_t count, const void *batches,
		       VkFence fence)
{
	struct call call = {
		.device = device,
		.handle = handle,
		.format = format,
		.count = count,
		.batches = batches,
		.fence = fence,
		.unfinished = true,
	};
	struct layer_queue *queue;
	VkResult result;

	queue = track_either(device) ? layer_queue_of(handle) : NULL;
	if (!queue)
		return format->submit(device, handle, count, batches, fence);

	call.queue = queue->submit;
	if (format->num_command_buffers && needs_pieces(&call))
		return pieces_submit(&call);
	pieces_account(&call, 0, count);
	result = format->submit(device, handle, count, batches, fence);
	pieces_account_result(&call, 0, count, result);
	return result;
}

/* Searching the chains would take longer than most calls without one. */
static bool may_have_values(uint32_t count, const VkSubmitInfo *submits)
{
	while (count--) {
		if (submits[count].pNext)
			return true;
	}
	return false;
}

static VkResult __attribute__((noinline)) VKAPI_PTR
queue_submit_attentively(VkQueue handle, uint32_t count, const VkSubmitInfo *submits, VkFence fence)
{
	struct layer_device *device = layer_device_of(handle);

	if (!track_attention(device) && !may_have_values(count, submits))
		return device->below[LAYER_MODULE_SUBMIT].QueueSubmit(handle, count, submits,
								      fence);
	return submit(device, handle, &batch_format_1, count, submits, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit(VkQueue handle, uint32_t count,
						   const VkSubmitInfo *submits, VkFence fence)
{
	struct layer_device *device = layer_device_recent(*(const void *const *)handle);
	PFN_vkQueueSubmit next = queue_submit_attentively;

	if (device && !track_either(device))
		next = device->below[LAYER_MODULE_SUBMIT].QueueSubmit;
	return next(handle, count, submits, fence);
}

/* Those of either type look alike. */
static bool has_semaphores(uint32_t count, const VkSubmitInfo2 *submits)
{
	while (count--) {
		if (submits[count].waitSemaphoreInfoCount ||
		    submits[count].signalSemaphoreInfoCount)
			return true;
	}
	return false;
}

static VkResult __attribute__((noinline)) VKAPI_PTR queue_submit2_attentively(
	VkQueue handle, uint32_t count, const VkSubmitInfo2 *submits, VkFence fence)
{
	struct layer_device *device = layer_device_of(handle);

	if (!track_attention(device) && !has_semaphores(count, submits))
		return device->below[LAYER_MODULE_SUBMIT].QueueSubmit2(handle, count, submits,
								       fence);
	return submit(device, handle, &batch_format_2, count, submits, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit2(VkQueue handle, uint32_t count,
						    const VkSubmitInfo2 *submits, VkFence fence)
{
	struct layer_device *device = layer_device_recent(*(const void *const *)handle);
	PFN_vkQueueSubmit2 next = queue_submit2_attentively;

	if (device && !track_either(device))
		next = device->below[LAYER_MODULE_SUBMIT].QueueSubmit2;
	return next(handle, count, submits, fence);
}

static VkResult __attribute__((noinline)) VKAPI_PTR queue_submit2_khr_attentively(
	VkQueue handle, uint32_t count, const VkSubmitInfo2 *submits, VkFence fence)
{
	struct layer_device *device = layer_device_of(handle);

	if (!track_attention(device) && !has_semaphores(count, submits))
		return device->below[LAYER_MODULE_SUBMIT].QueueSubmit2KHR(handle, count, submits,
									  fence);
	return submit(device, handle, &batch_format_2_khr, count, submits, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit2_khr(VkQueue handle, uint32_t count,
							const VkSubmitInfo2 *submits, VkFence fence)
{
	struct layer_device *device = layer_device_recent(*(const void *const *)handle);
	PFN_vkQueueSubmit2KHR next = queue_submit2_khr_attentively;

	if (device && !track_either(device))
		next = device->below[LAYER_MODULE_SUBMIT].QueueSubmit2KHR;
	return next(handle, count, submits, fence);
}

/*
 * Sparse binding goes down as it is, but other queues may wait for what it signals, and it may wait
 * for what isn't submitted.
 */
static VKAPI_ATTR VkResult VKAPI_CALL queue_bind_sparse(VkQueue handle, uint32_t count,
							const VkBindSparseInfo *infos,
							VkFence fence)
{
	return submit(layer_device_of(handle), handle, &batch_format_sparse, count, infos, fence);
}

/* The queue is, and nobody may submit to it meanwhile. */
static void is_idle(struct layer_device *device, struct submit_queue *queue)
{
	timelines_idle(device, &queue->timelines, queue->timelines.position);
	late_flush(device, queue);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_wait_idle(VkQueue handle)
{
	struct layer_device *device = layer_device_of(handle);
	struct layer_queue *queue = layer_queue_of(handle);
	VkResult result = device->below[LAYER_MODULE_SUBMIT].QueueWaitIdle(handle);

	if (result == VK_SUCCESS && queue)
		is_idle(device, queue->submit);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL device_wait_idle(VkDevice handle)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result = device->below[LAYER_MODULE_SUBMIT].DeviceWaitIdle(handle);
	uint32_t i;

	for (i = 0; i < device->queue_count && result == VK_SUCCESS; i++)
		is_idle(device, device->queues[i].submit);
	return result;
}

/* ---- The module ---- */

/* lavapipe offers the export, but it waits for all its work, and two devices at once crash in it. */
static void probe(struct layer_device *device)
{
	const VkuInstanceDispatchTable *next = &device->instance->next;
	VkPhysicalDevice physical_device = device->physical_device->handle;
	const VkPhysicalDeviceExternalSemaphoreInfo info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
		.handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	VkExternalSemaphoreProperties properties = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES,
	};

	if (!device->next.ImportSemaphoreFdKHR || !device->next.GetSemaphoreFdKHR)
		return;
	/* the entry point may be there without being allowed */
	if (device->api_version >= VK_API_VERSION_1_1)
		next->GetPhysicalDeviceExternalSemaphoreProperties(physical_device, &info,
								   &properties);
	else if (extension_set_has(&device->instance->extensions,
				   VK_KHR_EXTERNAL_SEMAPHORE_CAPABILITIES_EXTENSION_NAME))
		next->GetPhysicalDeviceExternalSemaphorePropertiesKHR(physical_device, &info,
								      &properties);
	device->submit->can_import =
		properties.externalSemaphoreFeatures & VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT;
	device->submit->can_export =
		properties.externalSemaphoreFeatures &
			VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT &&
		device->physical_device->driver_id != VK_DRIVER_ID_MESA_LLVMPIPE;
}

static void queue_destroy(struct layer_device *device, struct layer_queue *layer_queue)
{
	struct submit_queue *queue = layer_queue->submit;
	struct own_batch *own;

	if (!queue)
		return;
	timelines_queue_fini(device, &queue->timelines);
	semaphores_fini(device, &queue->semaphores);
	track_uses_fini(device, &queue->acquired);
	track_uses_fini(device, &queue->released);
	while ((own = queue->idle)) {
		queue->idle = own->next;
		free(own);
	}
	free(queue->batches);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
	layer_queue->submit = NULL;
}

void submit_stop(struct layer_device *device)
{
	if (!device->submit || !device->submit->late)
		return;
	/* the application's work is over, the layer's own behind it may not be */
	device->below[LAYER_MODULE_SUBMIT].DeviceWaitIdle(device->handle);
	late_fini(device);
}

static void device_destroy(struct layer_device *device)
{
	uint32_t i;

	if (!device->submit)
		return;
	submit_stop(device);
	for (i = 0; i < device->queue_count; i++)
		queue_destroy(device, &device->queues[i]);
	free(device->submit);
	device->submit = NULL;
}

static VkResult device_extensions(struct layer_device_request *request)
{
	VkResult result;

	if (!extension_set_application_has(&request->extensions,
					   VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME) ||
	    request->physical_device->instance->settings.implicit_sync == LAYER_IMPLICIT_SYNC_OFF)
		return VK_SUCCESS;
	result = request_extension(request, VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME);
	/* without it the CPU waits */
	return result == VK_ERROR_EXTENSION_NOT_PRESENT ? VK_SUCCESS : result;
}

static VkResult device_create(struct layer_device *device,
			      const struct layer_device_request *request)
{
	struct submit_queue *queue;
	uint32_t i;

	(void)request;
	if (!track_wanted(device))
		return VK_SUCCESS;
	device->submit = calloc(1, sizeof(*device->submit));
	if (!device->submit)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	if (!late_init(device))
		goto destroy;
	for (i = 0; i < device->queue_count; i++) {
		queue = calloc(1, sizeof(*queue));
		if (!queue)
			goto destroy;
		queue->queue = &device->queues[i];
		pthread_mutex_init(&queue->lock, NULL);
		device->queues[i].submit = queue;
	}
	probe(device);
	return VK_SUCCESS;

destroy:
	device_destroy(device);
	return VK_ERROR_OUT_OF_HOST_MEMORY;
}

static const struct layer_entry entries[] = {
	DEVICE_ENTRY(QueueSubmit, queue_submit, track_wanted),
	DEVICE_ENTRY(QueueSubmit2, queue_submit2, track_wanted),
	DEVICE_ENTRY(QueueSubmit2KHR, queue_submit2_khr, track_wanted),
	DEVICE_ENTRY(QueueBindSparse, queue_bind_sparse, track_wanted),
	DEVICE_ENTRY(QueueWaitIdle, queue_wait_idle, track_wanted),
	DEVICE_ENTRY(DeviceWaitIdle, device_wait_idle, track_wanted),
	{0},
};

const struct layer_module submit_module = {
	.name = "submit",
	.device_entries = entries,
	.device_extensions = device_extensions,
	.device_create = device_create,
	.device_destroy = device_destroy,
};
