/* SPDX-License-Identifier: MIT */
/*
 * What is recorded in command buffers that matters to implicit sync: queue-family ownership
 * transfers of shared memory from and to VK_QUEUE_FAMILY_FOREIGN_EXT and _EXTERNAL.
 *
 * Vulkan's rules on external synchronization protect a command buffer's record: it is written
 * while the command buffer is recorded and read when it is submitted.
 */
#ifndef LAYER_COMMANDS_H
#define LAYER_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

struct layer_device;
struct tracked_memory;

/* struct transfer - what happens to one memory object */
struct transfer {
	struct tracked_memory *memory;
	/* enum drover_access of what is acquired and what is released; 0: nothing */
	uint32_t acquired;
	uint32_t released;
};

/* struct recorded - of one command buffer */
struct recorded {
	struct transfer *transfers;
	uint32_t count;
	uint32_t capacity;
	/* There was no memory to record a transfer: take all shared memory as transferred both ways. */
	bool everything;
	/* It waits for an event that the host sets, possibly after the submission. */
	bool waits_for_host;
};

/* Return: what a command buffer has recorded; NULL: nothing. */
const struct recorded *commands_recorded(const struct layer_device *device,
					 VkCommandBuffer command_buffer);

#endif
