/* SPDX-License-Identifier: MIT */
/* Batches with timeline semaphores, for tests in a struct world. */
#ifndef SYNC_BATCH_H
#define SYNC_BATCH_H

#include "sync_world.h"

/* struct batch - for submit_batch(); a handle that is null isn't there */
struct batch {
	VkSemaphore wait;
	uint64_t wait_value;
	VkCommandBuffer commands;
	VkSemaphore signal;
	uint64_t signal_value;
};

/* Return: its parts live until the caller's block ends. */
#define SUBMIT_INFO(batch)                                                                 \
	{                                                                                  \
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,                                    \
		.pNext =                                                                   \
			&(const VkTimelineSemaphoreSubmitInfo){                            \
				.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO, \
				.waitSemaphoreValueCount = !!(batch).wait,                 \
				.pWaitSemaphoreValues = &(batch).wait_value,               \
				.signalSemaphoreValueCount = !!(batch).signal,             \
				.pSignalSemaphoreValues = &(batch).signal_value,           \
			},                                                                 \
		.waitSemaphoreCount = !!(batch).wait,                                      \
		.pWaitSemaphores = &(batch).wait,                                          \
		.pWaitDstStageMask = &all_commands,                                        \
		.commandBufferCount = !!(batch).commands,                                  \
		.pCommandBuffers = &(batch).commands,                                      \
		.signalSemaphoreCount = !!(batch).signal,                                  \
		.pSignalSemaphores = &(batch).signal,                                      \
	}

static const VkPipelineStageFlags all_commands = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;

static inline void submit_batch(VkQueue queue, struct batch batch)
{
	const VkSubmitInfo info = SUBMIT_INFO(batch);

	check_vk(vkQueueSubmit(queue, 1, &info, VK_NULL_HANDLE));
}

static inline void host_signal(VkSemaphore semaphore, uint64_t value)
{
	const VkSemaphoreSignalInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
		.semaphore = semaphore,
		.value = value,
	};

	check_vk(vkSignalSemaphore(world.device, &info));
}

#endif
