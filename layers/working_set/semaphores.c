// SPDX-License-Identifier: MIT
/* Owns the layer's own semaphores and fences, and knows when one may be used again. */
#include "semaphores.h"

#include <stdlib.h>
#include <string.h>

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

/* Return: whether there is room for so many more. */
static bool list_room(struct semaphore_list *list, uint32_t count)
{
	uint32_t capacity = list->capacity ? 2 * list->capacity : SEMAPHORES_PER_FENCE;
	VkSemaphore *items;

	if (list->count + count <= list->capacity)
		return true;
	if (capacity < list->count + count)
		capacity = list->count + count;
	items = realloc(list->items, capacity * sizeof(*items));
	if (!items)
		return false;
	list->items = items;
	list->capacity = capacity;
	return true;
}

static bool list_add(struct semaphore_list *list, VkSemaphore semaphore)
{
	if (!list_room(list, 1))
		return false;
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
		       list_add(&pool->free,
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
	VkResult result = VK_SUCCESS;

	if (!list_room(&pool->used, pool->num_taken + 1) ||
	    !list_room(&pool->lost, pool->num_taken + 1))
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	if (!pool->free.count)
		reap(device, pool);
	if (pool->free.count) {
		*semaphore = pool->free.items[--pool->free.count];
	} else {
		telemetry_count(device, TELEMETRY_SEMAPHORES, 1);
		result = device->next.CreateSemaphore(device->handle, &info, NULL, semaphore);
	}
	pool->num_taken += result == VK_SUCCESS;
	return result;
}

void semaphores_used(struct semaphore_pool *pool, VkSemaphore semaphore)
{
	pool->used.items[pool->used.count++] = semaphore;
	pool->num_taken--;
}

void semaphores_drop(struct layer_device *device, struct semaphore_pool *pool,
		     VkSemaphore semaphore)
{
	device->next.DestroySemaphore(device->handle, semaphore, NULL);
	pool->num_taken--;
}

void semaphores_lose(struct semaphore_pool *pool, VkSemaphore semaphore)
{
	pool->lost.items[pool->lost.count++] = semaphore;
	pool->num_taken--;
}

void semaphores_move(struct semaphore_pool *pool, const VkSemaphore *semaphores, uint32_t count,
		     struct semaphore_list *list)
{
	memcpy(list->items + list->count, semaphores, count * sizeof(*semaphores));
	list->count += count;
	pool->num_taken -= count;
}

void semaphores_retire(struct layer_device *device, struct semaphore_pool *pool, VkQueue queue)
{
	struct retirement *retirement;

	/* those that are out have room in the list */
	if (pool->used.count < SEMAPHORES_PER_FENCE || pool->num_taken)
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
	semaphore_list_destroy(device, &pool->lost);
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
