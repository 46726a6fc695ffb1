// SPDX-License-Identifier: MIT
/* Owns what differs between vkQueueSubmit, vkQueueSubmit2 and vkQueueSubmit2KHR. */
#include "batches.h"

#include <stdlib.h>

#include "layer.h"
#include "timelines.h"

struct own_batch *own_batch_new(uint32_t count)
{
	size_t each = sizeof(VkSemaphoreSubmitInfo) + sizeof(VkSemaphore) + sizeof(uint32_t) +
		      sizeof(VkPipelineStageFlags);
	struct own_batch *own = calloc(1, sizeof(*own) + count * each);
	uint32_t i;

	if (!own)
		return NULL;
	own->count = count;
	own->infos = (VkSemaphoreSubmitInfo *)(own + 1);
	own->semaphores = (VkSemaphore *)(own->infos + count);
	own->devices = (uint32_t *)(own->semaphores + count);
	own->stages = (VkPipelineStageFlags *)(own->devices + count);
	for (i = 0; i < count; i++) {
		own->devices[i] = i;
		own->stages[i] = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	}
	return own;
}

/* ---- VkSubmitInfo ---- */

static uint32_t num_command_buffers_1(const void *batch)
{
	return ((const VkSubmitInfo *)batch)->commandBufferCount;
}

static VkCommandBuffer command_buffer_1(const void *batch, uint32_t index)
{
	return ((const VkSubmitInfo *)batch)->pCommandBuffers[index];
}

static const VkTimelineSemaphoreSubmitInfo *values_of(const void *chain)
{
	return layer_find_struct(chain, VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO);
}

/* A batch without the structure has no timelines; for binary semaphores the values mean nothing. */
static void account_waits(struct layer_device *device, struct timeline_queue *queue,
			  uint64_t position, const VkTimelineSemaphoreSubmitInfo *values,
			  uint32_t count, const VkSemaphore *semaphores)
{
	uint32_t i;

	for (i = 0; values && i < count && i < values->waitSemaphoreValueCount; i++)
		timelines_wait(device, queue, position, semaphores[i],
			       values->pWaitSemaphoreValues[i]);
}

static void account_signals(struct layer_device *device, struct timeline_queue *queue,
			    uint64_t position, const VkTimelineSemaphoreSubmitInfo *values,
			    uint32_t count, const VkSemaphore *semaphores)
{
	uint32_t i;

	for (i = 0; values && i < count && i < values->signalSemaphoreValueCount; i++)
		timelines_signal(device, queue, position, semaphores[i],
				 values->pSignalSemaphoreValues[i]);
}

static void account_waits_1(struct layer_device *device, struct timeline_queue *queue,
			    uint64_t position, const void *batch)
{
	const VkSubmitInfo *info = batch;

	account_waits(device, queue, position, values_of(info->pNext), info->waitSemaphoreCount,
		      info->pWaitSemaphores);
}

static void account_signals_1(struct layer_device *device, struct timeline_queue *queue,
			      uint64_t position, const void *batch)
{
	const VkSubmitInfo *info = batch;

	account_signals(device, queue, position, values_of(info->pNext), info->signalSemaphoreCount,
			info->pSignalSemaphores);
}

static void make_1(void *batch, struct own_batch *own, bool signals)
{
	VkSubmitInfo *info = batch;

	*info = (VkSubmitInfo){.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO};
	if (signals) {
		info->signalSemaphoreCount = own->count;
		info->pSignalSemaphores = own->semaphores;
	} else {
		info->waitSemaphoreCount = own->count;
		info->pWaitSemaphores = own->semaphores;
		info->pWaitDstStageMask = own->stages;
	}
	if (own->count == 1)
		return;
	own->group = (VkDeviceGroupSubmitInfo){
		.sType = VK_STRUCTURE_TYPE_DEVICE_GROUP_SUBMIT_INFO,
		.waitSemaphoreCount = info->waitSemaphoreCount,
		.pWaitSemaphoreDeviceIndices = own->devices,
		.signalSemaphoreCount = info->signalSemaphoreCount,
		.pSignalSemaphoreDeviceIndices = own->devices,
	};
	info->pNext = &own->group;
}

static VkResult submit_1(struct layer_device *device, VkQueue queue, uint32_t count,
			 const void *batches, VkFence fence)
{
	return device->below[LAYER_MODULE_SUBMIT].QueueSubmit(queue, count, batches, fence);
}

const struct batch_format batch_format_1 = {
	.size = sizeof(VkSubmitInfo),
	.num_command_buffers = num_command_buffers_1,
	.command_buffer = command_buffer_1,
	.account_waits = account_waits_1,
	.account_signals = account_signals_1,
	.make = make_1,
	.submit = submit_1,
};

/* ---- VkSubmitInfo2 ---- */

static uint32_t num_command_buffers_2(const void *batch)
{
	return ((const VkSubmitInfo2 *)batch)->commandBufferInfoCount;
}

static VkCommandBuffer command_buffer_2(const void *batch, uint32_t index)
{
	return ((const VkSubmitInfo2 *)batch)->pCommandBufferInfos[index].commandBuffer;
}

static void account_waits_2(struct layer_device *device, struct timeline_queue *queue,
			    uint64_t position, const void *batch)
{
	const VkSubmitInfo2 *info = batch;
	uint32_t i;

	for (i = 0; i < info->waitSemaphoreInfoCount; i++)
		timelines_wait(device, queue, position, info->pWaitSemaphoreInfos[i].semaphore,
			       info->pWaitSemaphoreInfos[i].value);
}

static void account_signals_2(struct layer_device *device, struct timeline_queue *queue,
			      uint64_t position, const void *batch)
{
	const VkSubmitInfo2 *info = batch;
	uint32_t i;

	for (i = 0; i < info->signalSemaphoreInfoCount; i++)
		timelines_signal(device, queue, position, info->pSignalSemaphoreInfos[i].semaphore,
				 info->pSignalSemaphoreInfos[i].value);
}

static void make_2(void *batch, struct own_batch *own, bool signals)
{
	VkSubmitInfo2 *info = batch;
	uint32_t i;

	for (i = 0; i < own->count; i++)
		own->infos[i] = (VkSemaphoreSubmitInfo){
			.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
			.semaphore = own->semaphores[i],
			.stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
			.deviceIndex = i,
		};
	*info = (VkSubmitInfo2){.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2};
	if (signals) {
		info->signalSemaphoreInfoCount = own->count;
		info->pSignalSemaphoreInfos = own->infos;
	} else {
		info->waitSemaphoreInfoCount = own->count;
		info->pWaitSemaphoreInfos = own->infos;
	}
}

static VkResult submit_2(struct layer_device *device, VkQueue queue, uint32_t count,
			 const void *batches, VkFence fence)
{
	return device->below[LAYER_MODULE_SUBMIT].QueueSubmit2(queue, count, batches, fence);
}

static VkResult submit_2_khr(struct layer_device *device, VkQueue queue, uint32_t count,
			     const void *batches, VkFence fence)
{
	return device->below[LAYER_MODULE_SUBMIT].QueueSubmit2KHR(queue, count, batches, fence);
}

const struct batch_format batch_format_2 = {
	.size = sizeof(VkSubmitInfo2),
	.num_command_buffers = num_command_buffers_2,
	.command_buffer = command_buffer_2,
	.account_waits = account_waits_2,
	.account_signals = account_signals_2,
	.make = make_2,
	.submit = submit_2,
};

const struct batch_format batch_format_2_khr = {
	.size = sizeof(VkSubmitInfo2),
	.num_command_buffers = num_command_buffers_2,
	.command_buffer = command_buffer_2,
	.account_waits = account_waits_2,
	.account_signals = account_signals_2,
	.make = make_2,
	.submit = submit_2_khr,
};

/* ---- VkBindSparseInfo ---- */

static void account_waits_sparse(struct layer_device *device, struct timeline_queue *queue,
				 uint64_t position, const void *batch)
{
	const VkBindSparseInfo *info = batch;

	account_waits(device, queue, position, values_of(info->pNext), info->waitSemaphoreCount,
		      info->pWaitSemaphores);
}

static void account_signals_sparse(struct layer_device *device, struct timeline_queue *queue,
				   uint64_t position, const void *batch)
{
	const VkBindSparseInfo *info = batch;

	account_signals(device, queue, position, values_of(info->pNext), info->signalSemaphoreCount,
			info->pSignalSemaphores);
}

static VkResult submit_sparse(struct layer_device *device, VkQueue queue, uint32_t count,
			      const void *batches, VkFence fence)
{
	return device->below[LAYER_MODULE_SUBMIT].QueueBindSparse(queue, count, batches, fence);
}

const struct batch_format batch_format_sparse = {
	.size = sizeof(VkBindSparseInfo),
	.account_waits = account_waits_sparse,
	.account_signals = account_signals_sparse,
	.submit = submit_sparse,
};
