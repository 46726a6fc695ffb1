/* SPDX-License-Identifier: MIT */
/*
 * The layer's own semaphores and fences, for batches of its own on one queue.
 *
 * A semaphore is used again only after a fence has said that the batch that waits for it, or that
 * signals it, is over (VUID-vkImportSemaphoreFdKHR-semaphore-01142): now and then the layer submits a
 * fence behind what it has used. All functions are to be called by who may submit to the queue.
 */
#ifndef LAYER_SEMAPHORES_H
#define LAYER_SEMAPHORES_H

#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

struct layer_device;
struct retirement;

/* struct semaphore_list - an array; all zeros is empty */
struct semaphore_list {
	VkSemaphore *items;
	uint32_t count;
	uint32_t capacity;
};

/* semaphore_list_destroy() - destroy the semaphores, which nothing is pending for, and the array */
void semaphore_list_destroy(struct layer_device *device, struct semaphore_list *list);

/* struct semaphore_pool - of a queue; all zeros is empty */
struct semaphore_pool {
	struct semaphore_list free;
	/* In batches that no fence has been submitted behind. */
	struct semaphore_list used;
	/* In use for nobody knows how long, or signalled and never to be waited for. */
	struct semaphore_list lost;
	/* How many are out; `used` and `lost` have room for them, because that can't fail when work is submitted. */
	uint32_t num_taken;
	/* Batches with a fence behind them: the oldest and the latest. */
	struct retirement *oldest;
	struct retirement *latest;
	/* A fence that nothing is submitted with, or VK_NULL_HANDLE. */
	VkFence fence;
};

/*
 * semaphores_take() - a binary semaphore that nothing is pending for
 * @exportable: as a sync file; asked for by one pool always in the same way
 *
 * To be given to one of the following three.
 */
VkResult semaphores_take(struct layer_device *device, struct semaphore_pool *pool, bool exportable,
			 VkSemaphore *semaphore);

/* semaphores_used() - a batch with this semaphore has been submitted */
void semaphores_used(struct semaphore_pool *pool, VkSemaphore semaphore);

/* semaphores_drop() - a semaphore wasn't submitted, whatever was imported into it, or its work is over */
void semaphores_drop(struct layer_device *device, struct semaphore_pool *pool,
		     VkSemaphore semaphore);

/* semaphores_lose() - a batch with this semaphore has been submitted, and it can't be used again */
void semaphores_lose(struct semaphore_pool *pool, VkSemaphore semaphore);

/* semaphores_move() - have semaphores in @list instead, which has room for them */
void semaphores_move(struct semaphore_pool *pool, const VkSemaphore *semaphores, uint32_t count,
		     struct semaphore_list *list);

/* semaphores_retire() - submit a fence behind what was used, if it's time for one */
void semaphores_retire(struct layer_device *device, struct semaphore_pool *pool, VkQueue queue);

/*
 * semaphores_take_fence(), semaphores_give_back_fence() - a fence for any other purpose
 *
 * It's unsignalled when taken, and isn't pending when it's given back.
 */
VkResult semaphores_take_fence(struct layer_device *device, struct semaphore_pool *pool,
			       VkFence *fence);
void semaphores_give_back_fence(struct layer_device *device, struct semaphore_pool *pool,
				VkFence fence);

/* semaphores_fini() - destroy all; the queue is idle */
void semaphores_fini(struct layer_device *device, struct semaphore_pool *pool);

#endif
