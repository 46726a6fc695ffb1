// SPDX-License-Identifier: MIT
/*
 * Owns VK_ERROR_DEVICE_LOST in virtual mode. When the kernel can't give the driver its memory, the VM
 * is lost: the driver goes on, on memory without meaning, and doesn't know. So the layer looks at the
 * VM's status word wherever Vulkan lets a device be lost.
 *
 * After that nothing more is submitted. What was submitted before still runs below, and an
 * application that hears of the loss may destroy at once what that uses. So the first call that
 * reports the loss, whichever it is, waits for all of it, within bounds; QueueWaitIdle and
 * DeviceWaitIdle do so every time. Semaphores that refused work would have signalled are signalled
 * from here, lest what runs below wait for ever.
 *
 * Works as the innermost layer of all: what is above sees a driver that loses devices.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "entry.h"
#include "virtual_gpu.h"

/* How long a wait goes without a look at the status word. */
#define SLICE_NS     100000000ull
/* How long what was submitted may take to end on a lost device. */
#define LAST_WAIT_NS 2000000000ull

struct lost_device {
	/* The timeline semaphores that exist. */
	struct table timelines;
	/* Held for reading by who uses a queue; who has it for writing may use any. */
	pthread_rwlock_t queues_lock;
	/* The wait for what was submitted is over, or it doesn't end. */
	atomic_bool waited;
};

#define BELOW(device) (&(device)->below[LAYER_MODULE_LOST])

static bool is_virtual(const struct layer_device *device)
{
	return device->virtual_gpu;
}

static bool is_lost(const struct layer_device *device)
{
	return virtual_gpu_lost_reason(device->virtual_gpu) != 0;
}

/* Waits until what was submitted to a queue of a lost device is over. */
static void drain(struct layer_device *device, VkQueue queue, uint64_t until)
{
	const VkFenceCreateInfo create_info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	uint64_t now = now_ns();
	VkFence fence;

	if (BELOW(device)->CreateFence(device->handle, &create_info, NULL, &fence) != VK_SUCCESS)
		return;
	if (BELOW(device)->QueueSubmit(queue, 0, NULL, fence) != VK_SUCCESS ||
	    BELOW(device)->WaitForFences(device->handle, 1, &fence, VK_TRUE,
					 now < until ? until - now : 0) != VK_TIMEOUT)
		BELOW(device)->DestroyFence(device->handle, fence, NULL);
	/* else it is in use for good */
}

/*
 * Waits, but not for ever, for what was submitted to a lost device: it may itself wait for
 * something that never comes, as may another thread in a call with a queue of its own.
 */
static void drain_all(struct layer_device *device)
{
	struct lost_device *lost = device->lost;
	uint64_t until = now_ns() + LAST_WAIT_NS;
	const struct timespec deadline = {
		.tv_sec = (time_t)(until / 1000000000ull),
		.tv_nsec = (long)(until % 1000000000ull),
	};

	if (!pthread_rwlock_clockwrlock(&lost->queues_lock, CLOCK_MONOTONIC, &deadline)) {
		for (uint32_t i = 0; i < device->queue_count; i++)
			drain(device, device->queues[i].handle, until);
		pthread_rwlock_unlock(&lost->queues_lock);
	}
	atomic_store(&lost->waited, true);
}

/* Who calls has no queue in use. */
static VkResult report_lost(struct layer_device *device)
{
	if (!atomic_load(&device->lost->waited))
		drain_all(device);
	layer_log(&device->instance->log, LAYER_LOG_ERROR, "a device of \"%s\" is lost: %s",
		  device->virtual_gpu->gpu->name,
		  strerror((int)virtual_gpu_lost_reason(device->virtual_gpu)));
	return VK_ERROR_DEVICE_LOST;
}

/* For calls that wait by their nature: they do so every time. */
static VkResult report_lost_idle(struct layer_device *device)
{
	atomic_store(&device->lost->waited, false);
	return report_lost(device);
}

/* What a call that the driver took part in returns: its results don't count if the VM was lost. */
static VkResult checked(struct layer_device *device, VkResult result)
{
	return is_lost(device) ? report_lost(device) : result;
}

/* ---- Submitting ---- */

static uint64_t counter_value(struct layer_device *device, VkSemaphore semaphore)
{
	uint64_t value = 0;

	if (BELOW(device)->GetSemaphoreCounterValueKHR)
		BELOW(device)->GetSemaphoreCounterValueKHR(device->handle, semaphore, &value);
	else if (BELOW(device)->GetSemaphoreCounterValue)
		BELOW(device)->GetSemaphoreCounterValue(device->handle, semaphore, &value);
	return value;
}

/* Does what refused work would have done to a timeline; nothing for a binary semaphore. */
static void signal_semaphore(struct layer_device *device, VkSemaphore semaphore, uint64_t value)
{
	const VkSemaphoreSignalInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
		.semaphore = semaphore,
		.value = value,
	};

	if (!table_get(&device->lost->timelines, table_key(semaphore)) ||
	    counter_value(device, semaphore) >= value)
		return;
	if (BELOW(device)->SignalSemaphoreKHR)
		BELOW(device)->SignalSemaphoreKHR(device->handle, &info);
	else if (BELOW(device)->SignalSemaphore)
		BELOW(device)->SignalSemaphore(device->handle, &info);
}

/* What refused work of vkQueueSubmit or vkQueueBindSparse would have signalled. */
static void signal_all(struct layer_device *device, const void *chain, uint32_t count,
		       const VkSemaphore *semaphores)
{
	const VkTimelineSemaphoreSubmitInfo *timeline =
		layer_find_struct(chain, VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO);
	uint32_t values = timeline ? timeline->signalSemaphoreValueCount : 0;

	for (uint32_t i = 0; i < values && i < count; i++)
		signal_semaphore(device, semaphores[i], timeline->pSignalSemaphoreValues[i]);
}

/*
 * Return: whether a queue may be used, until end_queue_use(). Whoever finds the device lost later has to
 * wait for what is submitted in between.
 */
static bool begin_queue_use(struct layer_device *device)
{
	pthread_rwlock_rdlock(&device->lost->queues_lock);
	if (!is_lost(device))
		return true;
	pthread_rwlock_unlock(&device->lost->queues_lock);
	return false;
}

static void end_queue_use(struct layer_device *device)
{
	pthread_rwlock_unlock(&device->lost->queues_lock);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit(VkQueue queue, uint32_t count,
						   const VkSubmitInfo *submits, VkFence fence)
{
	struct layer_device *device = layer_device_of(queue);
	VkResult result;

	if (begin_queue_use(device)) {
		result = BELOW(device)->QueueSubmit(queue, count, submits, fence);
		end_queue_use(device);
		return result;
	}
	for (uint32_t i = 0; i < count; i++)
		signal_all(device, submits[i].pNext, submits[i].signalSemaphoreCount,
			   submits[i].pSignalSemaphores);
	return report_lost(device);
}

static VkResult submit2(PFN_vkQueueSubmit2 below, VkQueue queue, uint32_t count,
			const VkSubmitInfo2 *submits, VkFence fence)
{
	struct layer_device *device = layer_device_of(queue);
	VkResult result;

	if (begin_queue_use(device)) {
		result = below(queue, count, submits, fence);
		end_queue_use(device);
		return result;
	}
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < submits[i].signalSemaphoreInfoCount; j++)
			signal_semaphore(device, submits[i].pSignalSemaphoreInfos[j].semaphore,
					 submits[i].pSignalSemaphoreInfos[j].value);
	return report_lost(device);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit2(VkQueue queue, uint32_t count,
						    const VkSubmitInfo2 *submits, VkFence fence)
{
	return submit2(BELOW(layer_device_of(queue))->QueueSubmit2, queue, count, submits, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit2_khr(VkQueue queue, uint32_t count,
							const VkSubmitInfo2 *submits, VkFence fence)
{
	return submit2(BELOW(layer_device_of(queue))->QueueSubmit2KHR, queue, count, submits,
		       fence);
}

/* No queue says that it can, but empty batches with semaphores and fences work on all. */
static VKAPI_ATTR VkResult VKAPI_CALL queue_bind_sparse(VkQueue queue, uint32_t count,
							const VkBindSparseInfo *binds,
							VkFence fence)
{
	struct layer_device *device = layer_device_of(queue);
	VkResult result;

	if (begin_queue_use(device)) {
		result = BELOW(device)->QueueBindSparse(queue, count, binds, fence);
		end_queue_use(device);
		return result;
	}
	for (uint32_t i = 0; i < count; i++)
		signal_all(device, binds[i].pNext, binds[i].signalSemaphoreCount,
			   binds[i].pSignalSemaphores);
	return report_lost(device);
}

/* ---- Waiting ---- */

/* One wait of the driver's, of any kind. */
struct wait {
	struct layer_device *device;
	VkResult (*call)(const struct wait *wait, uint64_t timeout);
	PFN_vkWaitSemaphores wait_semaphores;
	const VkSemaphoreWaitInfo *info;
	uint32_t fence_count;
	const VkFence *fences;
	VkBool32 all;
};

static VkResult call_wait_for_fences(const struct wait *wait, uint64_t timeout)
{
	return BELOW(wait->device)
		->WaitForFences(wait->device->handle, wait->fence_count, wait->fences, wait->all,
				timeout);
}

static VkResult call_wait_semaphores(const struct wait *wait, uint64_t timeout)
{
	return wait->wait_semaphores(wait->device->handle, wait->info, timeout);
}

/*
 * A wait for something that will never be submitted, because the device was lost meanwhile, has to
 * end, so it's made of shorter ones. Time-outs of 0 to one slice are one call, as without the
 * layer.
 */
static VkResult wait_sliced(const struct wait *wait, uint64_t timeout)
{
	uint64_t start = now_ns(), elapsed = 0;
	VkResult result;

	do {
		uint64_t left = timeout - elapsed;

		if (is_lost(wait->device))
			return report_lost(wait->device);
		result = wait->call(wait, left < SLICE_NS ? left : SLICE_NS);
		elapsed = now_ns() - start;
	} while (result == VK_TIMEOUT && elapsed < timeout);
	return checked(wait->device, result);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_for_fences(VkDevice handle, uint32_t count,
						      const VkFence *fences, VkBool32 all,
						      uint64_t timeout)
{
	const struct wait wait = {
		.device = layer_device_of(handle),
		.call = call_wait_for_fences,
		.fence_count = count,
		.fences = fences,
		.all = all,
	};

	return wait_sliced(&wait, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_semaphores(VkDevice handle,
						      const VkSemaphoreWaitInfo *info,
						      uint64_t timeout)
{
	struct layer_device *device = layer_device_of(handle);
	const struct wait wait = {
		.device = device,
		.call = call_wait_semaphores,
		.wait_semaphores = BELOW(device)->WaitSemaphores,
		.info = info,
	};

	return wait_sliced(&wait, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_semaphores_khr(VkDevice handle,
							  const VkSemaphoreWaitInfo *info,
							  uint64_t timeout)
{
	struct layer_device *device = layer_device_of(handle);
	const struct wait wait = {
		.device = device,
		.call = call_wait_semaphores,
		.wait_semaphores = BELOW(device)->WaitSemaphoresKHR,
		.info = info,
	};

	return wait_sliced(&wait, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_wait_idle(VkQueue queue)
{
	struct layer_device *device = layer_device_of(queue);
	VkResult result;

	if (!begin_queue_use(device))
		return report_lost_idle(device);
	result = BELOW(device)->QueueWaitIdle(queue);
	end_queue_use(device);
	return checked(device, result);
}

static VKAPI_ATTR VkResult VKAPI_CALL device_wait_idle(VkDevice handle)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result;

	if (!begin_queue_use(device))
		return report_lost_idle(device);
	result = BELOW(device)->DeviceWaitIdle(handle);
	end_queue_use(device);
	return checked(device, result);
}

/* ---- Asking ---- */

static VKAPI_ATTR VkResult VKAPI_CALL get_fence_status(VkDevice handle, VkFence fence)
{
	struct layer_device *device = layer_device_of(handle);

	return checked(device, BELOW(device)->GetFenceStatus(handle, fence));
}

static VKAPI_ATTR VkResult VKAPI_CALL get_event_status(VkDevice handle, VkEvent event)
{
	struct layer_device *device = layer_device_of(handle);

	return checked(device, BELOW(device)->GetEventStatus(handle, event));
}

/* Waiting for results (VK_QUERY_RESULT_WAIT_BIT) of work that was refused would never end. */
static VKAPI_ATTR VkResult VKAPI_CALL get_query_pool_results(VkDevice handle, VkQueryPool pool,
							     uint32_t first, uint32_t count,
							     size_t size, void *data,
							     VkDeviceSize stride,
							     VkQueryResultFlags flags)
{
	struct layer_device *device = layer_device_of(handle);

	if (is_lost(device))
		return report_lost(device);
	return checked(device, BELOW(device)->GetQueryPoolResults(handle, pool, first, count, size,
								  data, stride, flags));
}

static VKAPI_ATTR VkResult VKAPI_CALL get_semaphore_counter_value(VkDevice handle,
								  VkSemaphore semaphore,
								  uint64_t *value)
{
	struct layer_device *device = layer_device_of(handle);

	return checked(device, BELOW(device)->GetSemaphoreCounterValue(handle, semaphore, value));
}

static VKAPI_ATTR VkResult VKAPI_CALL get_semaphore_counter_value_khr(VkDevice handle,
								      VkSemaphore semaphore,
								      uint64_t *value)
{
	struct layer_device *device = layer_device_of(handle);

	return checked(device,
		       BELOW(device)->GetSemaphoreCounterValueKHR(handle, semaphore, value));
}

/* ---- Presenting ---- */

static VKAPI_ATTR VkResult VKAPI_CALL acquire_next_image(VkDevice handle, VkSwapchainKHR swapchain,
							 uint64_t timeout, VkSemaphore semaphore,
							 VkFence fence, uint32_t *index)
{
	struct layer_device *device = layer_device_of(handle);

	if (is_lost(device))
		return report_lost(device);
	return BELOW(device)->AcquireNextImageKHR(handle, swapchain, timeout, semaphore, fence,
						  index);
}

static VKAPI_ATTR VkResult VKAPI_CALL acquire_next_image2(VkDevice handle,
							  const VkAcquireNextImageInfoKHR *info,
							  uint32_t *index)
{
	struct layer_device *device = layer_device_of(handle);

	if (is_lost(device))
		return report_lost(device);
	return BELOW(device)->AcquireNextImage2KHR(handle, info, index);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_present(VkQueue queue, const VkPresentInfoKHR *info)
{
	struct layer_device *device = layer_device_of(queue);
	VkResult result;

	if (begin_queue_use(device)) {
		result = BELOW(device)->QueuePresentKHR(queue, info);
		end_queue_use(device);
		return result;
	}
	for (uint32_t i = 0; info->pResults && i < info->swapchainCount; i++)
		info->pResults[i] = VK_ERROR_DEVICE_LOST;
	return report_lost(device);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_swapchain(VkDevice handle,
						       const VkSwapchainCreateInfoKHR *create_info,
						       const VkAllocationCallbacks *allocator,
						       VkSwapchainKHR *swapchain)
{
	struct layer_device *device = layer_device_of(handle);

	if (is_lost(device))
		return report_lost(device);
	return BELOW(device)->CreateSwapchainKHR(handle, create_info, allocator, swapchain);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_for_present(VkDevice handle, VkSwapchainKHR swapchain,
						       uint64_t present_id, uint64_t timeout)
{
	struct layer_device *device = layer_device_of(handle);

	if (is_lost(device))
		return report_lost(device);
	return checked(device,
		       BELOW(device)->WaitForPresentKHR(handle, swapchain, present_id, timeout));
}

/* ---- Which semaphores are timelines ---- */

static VKAPI_ATTR VkResult VKAPI_CALL create_semaphore(VkDevice handle,
						       const VkSemaphoreCreateInfo *create_info,
						       const VkAllocationCallbacks *allocator,
						       VkSemaphore *semaphore)
{
	struct layer_device *device = layer_device_of(handle);
	const VkSemaphoreTypeCreateInfo *type =
		layer_find_struct(create_info->pNext, VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO);
	VkResult result = BELOW(device)->CreateSemaphore(handle, create_info, allocator, semaphore);

	if (result != VK_SUCCESS || !type || type->semaphoreType != VK_SEMAPHORE_TYPE_TIMELINE)
		return result;
	if (table_put(&device->lost->timelines, table_key(*semaphore), device))
		return VK_SUCCESS;
	BELOW(device)->DestroySemaphore(handle, *semaphore, allocator);
	*semaphore = VK_NULL_HANDLE;
	return VK_ERROR_OUT_OF_HOST_MEMORY;
}

static VKAPI_ATTR void VKAPI_CALL destroy_semaphore(VkDevice handle, VkSemaphore semaphore,
						    const VkAllocationCallbacks *allocator)
{
	struct layer_device *device = layer_device_of(handle);

	if (semaphore)
		table_remove(&device->lost->timelines, table_key(semaphore));
	BELOW(device)->DestroySemaphore(handle, semaphore, allocator);
}

/* ---- The module ---- */

static VkResult create_device(struct layer_device *device,
			      const struct layer_device_request *request)
{
	(void)request;
	if (!device->physical_device->virtual_gpu)
		return VK_SUCCESS;
	device->lost = layer_alloc(device->allocator, sizeof(*device->lost),
				   VK_SYSTEM_ALLOCATION_SCOPE_DEVICE);
	if (!device->lost)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	if (pthread_rwlock_init(&device->lost->queues_lock, NULL)) {
		layer_free(device->allocator, device->lost);
		device->lost = NULL;
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	table_init(&device->lost->timelines);
	return VK_SUCCESS;
}

static void destroy_device(struct layer_device *device)
{
	if (!device->lost)
		return;
	table_fini(&device->lost->timelines);
	pthread_rwlock_destroy(&device->lost->queues_lock);
	layer_free(device->allocator, device->lost);
	device->lost = NULL;
}

static const struct layer_entry device_entries[] = {
#define ENTRY(command, function) DEVICE_ENTRY(command, function, is_virtual)
	ENTRY(QueueSubmit, queue_submit),
	ENTRY(QueueSubmit2, queue_submit2),
	ENTRY(QueueSubmit2KHR, queue_submit2_khr),
	ENTRY(QueueBindSparse, queue_bind_sparse),
	ENTRY(QueueWaitIdle, queue_wait_idle),
	ENTRY(DeviceWaitIdle, device_wait_idle),
	ENTRY(WaitForFences, wait_for_fences),
	ENTRY(WaitSemaphores, wait_semaphores),
	ENTRY(WaitSemaphoresKHR, wait_semaphores_khr),
	ENTRY(GetFenceStatus, get_fence_status),
	ENTRY(GetEventStatus, get_event_status),
	ENTRY(GetQueryPoolResults, get_query_pool_results),
	ENTRY(GetSemaphoreCounterValue, get_semaphore_counter_value),
	ENTRY(GetSemaphoreCounterValueKHR, get_semaphore_counter_value_khr),
	ENTRY(CreateSwapchainKHR, create_swapchain),
	ENTRY(AcquireNextImageKHR, acquire_next_image),
	ENTRY(AcquireNextImage2KHR, acquire_next_image2),
	ENTRY(QueuePresentKHR, queue_present),
	ENTRY(WaitForPresentKHR, wait_for_present),
	ENTRY(CreateSemaphore, create_semaphore),
	ENTRY(DestroySemaphore, destroy_semaphore),
#undef ENTRY
	{0},
};

const struct layer_module lost_module = {
	.name = "lost",
	.device_entries = device_entries,
	.device_create = create_device,
	.device_destroy = destroy_device,
};
