// SPDX-License-Identifier: MIT
/* Owns the layer's own semaphores and fences, and knows when one may be used again. */
#include "semaphores.h"

#include <stdlib.h>

#include "layer.h"
#include "telemetry.h"

/* After how many semaphores a fence is submitted behind them: it costs a call of the driver. */
#define SEMAPHORES_PER_FENCE 16

/* struct retirement - semaphores that are free as soon as a fence has signalled */
struct retirement {
	VkFence fence;
	struct semaphore_list semaphores;
	struct retirement *next;
};

bool semaphore_list_add(struct semaphore_list *list, VkSemaphore semaphore)
{
	uint32_t capacity = list->capacity ? 2 * list->capacity : SEMAPHORES_PER_FENCE;
	VkSemaphore *items;

	if (list->count == list->capacity) {
		items = realloc(list->items, capacity * sizeof(*items));
		if (!items)
			return false;
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = semaphore;
	return true;
}

void semaphore_list_destroy(struct layer_device *device, struct semaphore_list *list)
{
	while (list->count)
		device->next.DestroySemaphore(device->handle, list->items[--list->count], NULL);
	free(list->items);
	*list = (struct semaphore_list){0};
}

/* The oldest batches' semaphores become free, in order, as far as their fences have signalled. */
static void reap(struct layer_device *device, struct semaphore_pool *pool)
{
	struct retirement *oldest;

	while ((oldest = pool->oldest) && device->below[LAYER_MODULE_SUBMIT].GetFenceStatus(
						  device->handle, oldest->fence) == VK_SUCCESS) {
		while (oldest->semaphores.count &&
		       semaphore_list_add(&pool->free,
					  oldest->semaphores.items[oldest->semaphores.count - 1]))
			oldest->semaphores.count--;
		pool->oldest = oldest->next;
		semaphores_give_back_fence(device, pool, oldest->fence);
		semaphore_list_destroy(device, &oldest->semaphores);
		free(oldest);
	}
}

VkResult semaphores_take(struct layer_device *device, struct semaphore_pool *pool, bool exportable,
			 VkSemaphore *semaphore)
{
	const VkExportSemaphoreCreateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	const VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = exportable ? &export : NULL,
	};

	if (!pool->free.count)
		reap(device, pool);
	if (pool->free.count) {
		*semaphore = pool->free.items[--pool->free.count];
		return VK_SUCCESS;
	}
	telemetry_count(device, TELEMETRY_SEMAPHORES, 1);
	return device->next.CreateSemaphore(device->handle, &info, NULL, semaphore);
}

void semaphores_used(struct layer_device *device, struct semaphore_pool *pool,
		     VkSemaphore semaphore)
{
	if (semaphore_list_add(&pool->used, semaphore))
		return;
	/* Without memory to remember it, it can only be waited for; no memory is the worse problem. */
	device->below[LAYER_MODULE_SUBMIT].DeviceWaitIdle(device->handle);
	semaphores_drop(device, semaphore);
}

void semaphores_drop(struct layer_device *device, VkSemaphore semaphore)
{
	device->next.DestroySemaphore(device->handle, semaphore, NULL);
}

void semaphores_retire(struct layer_device *device, struct semaphore_pool *pool, VkQueue queue)
{
	struct retirement *retirement;

	if (pool->used.count < SEMAPHORES_PER_FENCE)
		return;
	/* what fails here is tried again after the next submission */
	retirement = calloc(1, sizeof(*retirement));
	if (!retirement)
		return;
	if (semaphores_take_fence(device, pool, &retirement->fence) != VK_SUCCESS)
		goto free_retirement;
	if (device->below[LAYER_MODULE_SUBMIT].QueueSubmit(queue, 0, NULL, retirement->fence) !=
	    VK_SUCCESS)
		goto give_back_fence;

	retirement->semaphores = pool->used;
	pool->used = (struct semaphore_list){0};
	if (pool->oldest)
		pool->latest->next = retirement;
	else
		pool->oldest = retirement;
	pool->latest = retirement;
	return;

give_back_fence:
	semaphores_give_back_fence(device, pool, retirement->fence);
free_retirement:
	free(retirement);
}

VkResult semaphores_take_fence(struct layer_device *device, struct semaphore_pool *pool,
			       VkFence *fence)
{
	const VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};

	*fence = pool->fence;
	pool->fence = VK_NULL_HANDLE;
	if (*fence && device->next.ResetFences(device->handle, 1, fence) == VK_SUCCESS)
		return VK_SUCCESS;
	if (*fence)
		device->next.DestroyFence(device->handle, *fence, NULL);
	return device->next.CreateFence(device->handle, &info, NULL, fence);
}

void semaphores_give_back_fence(struct layer_device *device, struct semaphore_pool *pool,
				VkFence fence)
{
	if (pool->fence)
		device->next.DestroyFence(device->handle, fence, NULL);
	else
		pool->fence = fence;
}

void semaphores_fini(struct layer_device *device, struct semaphore_pool *pool)
{
	struct retirement *oldest;

	semaphore_list_destroy(device, &pool->free);
	semaphore_list_destroy(device, &pool->used);
	while ((oldest = pool->oldest)) {
		pool->oldest = oldest->next;
		device->next.DestroyFence(device->handle, oldest->fence, NULL);
		semaphore_list_destroy(device, &oldest->semaphores);
		free(oldest);
	}
	if (pool->fence)
		device->next.DestroyFence(device->handle, pool->fence, NULL);
	*pool = (struct semaphore_pool){0};
}
