/* SPDX-License-Identifier: MIT */
/*
 * VkSubmitInfo and VkSubmitInfo2 as one: what the layer has to know of the application's batches, and
 * batches of its own among them. The application's are copied by value and stay as they are, with
 * all that they point to.
 */
#ifndef LAYER_BATCHES_H
#define LAYER_BATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

struct layer_device;
struct timeline_queue;

/* struct own_batch - a batch of the layer's: it only waits for semaphores, or only signals them */
struct own_batch {
	/* As many as the device has physical devices, one for each. */
	uint32_t count;
	VkSemaphore *semaphores;
	/* What the two kinds of batches point to. */
	VkPipelineStageFlags *stages;
	uint32_t *devices;
	VkSemaphoreSubmitInfo *infos;
	VkDeviceGroupSubmitInfo group;
	struct own_batch *next;
};

/* own_batch_new() - Return: to be free()d; NULL: no memory */
struct own_batch *own_batch_new(uint32_t count);

/* struct batch_format - one of the commands that submit; batches are pointers into its array */
struct batch_format {
	/* Of one batch. */
	size_t size;
	uint32_t (*num_command_buffers)(const void *batch);
	VkCommandBuffer (*command_buffer)(const void *batch, uint32_t index);
	/* Tell timelines.h of what the batch at this position waits for, or signals. */
	void (*account_waits)(struct layer_device *device, struct timeline_queue *queue,
			      uint64_t position, const void *batch);
	void (*account_signals)(struct layer_device *device, struct timeline_queue *queue,
				uint64_t position, const void *batch);
	/* Make a batch that waits for, or signals, the semaphores of @own, which has to live on. */
	void (*make)(void *batch, struct own_batch *own, bool signals);
	/* Call the next module. */
	VkResult (*submit)(struct layer_device *device, VkQueue queue, uint32_t count,
			   const void *batches, VkFence fence);
};

extern const struct batch_format batch_format_1;
extern const struct batch_format batch_format_2;
extern const struct batch_format batch_format_2_khr;
/* vkQueueBindSparse: no command buffers, and no batches of the layer's. */
extern const struct batch_format batch_format_sparse;

#endif
