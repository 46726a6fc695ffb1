// SPDX-License-Identifier: MIT
/*
 * Threads that create and destroy devices, import and export, record, submit and signal at once: some on
 * devices of their own, some on queues of one device, as Vulkan allows. Shows most under
 * ThreadSanitizer and AddressSanitizer; on its own, that nothing hangs, crashes or stays open.
 */
#include "sync_world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS 200

static int set_up(void **state)
{
	(void)state;
	world_open(&(struct options){0});
	world.recorder->say = NULL;
	world.recorder->name = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_close();
	return 0;
}

static atomic_bool odd;

/* A driver whose fences signal sooner or later. */
static bool sometimes(void)
{
	odd = !odd;
	return odd;
}

struct worker {
	VkQueue queue;
	uint32_t family;
	struct shared shared;
	VkSemaphore timeline;
};

static VkCommandPool pool_new(uint32_t family)
{
	const VkCommandPoolCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.queueFamilyIndex = family,
	};
	VkCommandPool pool;

	if (vkCreateCommandPool(world.device, &info, NULL, &pool))
		abort();
	return pool;
}

/* Both ways, and waiting for a value that is signalled later. */
static void submit_round(struct worker *worker, VkCommandPool pool, uint64_t value)
{
	const VkCommandBufferAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = pool,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	const VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
	};
	const VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &value,
	};
	const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	VkCommandBuffer commands;
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &values,
		.waitSemaphoreCount = 1,
		.pWaitSemaphores = &worker->timeline,
		.pWaitDstStageMask = &stage,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};
	const VkSemaphoreSignalInfo signal = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
		.semaphore = worker->timeline,
		.value = value,
	};

	if (vkAllocateCommandBuffers(world.device, &allocate, &commands) ||
	    vkBeginCommandBuffer(commands, &begin))
		abort();
	acquire(commands, &worker->shared, 0);
	release(commands, &worker->shared, 0);
	if (vkEndCommandBuffer(commands) ||
	    vkQueueSubmit(worker->queue, 1, &info, VK_NULL_HANDLE) ||
	    vkSignalSemaphore(world.device, &signal) || vkQueueWaitIdle(worker->queue))
		abort();
	vkFreeCommandBuffers(world.device, pool, 1, &commands);
}

static void *submit_often(void *argument)
{
	struct worker *worker = argument;
	VkCommandPool pool = pool_new(worker->family);
	uint64_t i;

	for (i = 1; i <= ROUNDS; i++)
		submit_round(worker, pool, i);
	vkDestroyCommandPool(world.device, pool, NULL);
	return NULL;
}

/* One dma-buf, imported again and again while others use it. */
static void *import_often(void *argument)
{
	const struct shared *shared = argument;
	VkDeviceMemory memory;
	VkBuffer buffer;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		memory = memory_import(VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
				       dup(shared->fd));
		buffer = buffer_create(0, true);
		if (vkBindBufferMemory(world.device, buffer, memory, 0))
			abort();
		vkDestroyBuffer(world.device, buffer, NULL);
		vkFreeMemory(world.device, memory, NULL);
	}
	return NULL;
}

static void *create_devices(void *argument)
{
	const float priority = 1;
	const char *extensions[] = {VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME};
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	const VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = 1,
		.ppEnabledExtensionNames = extensions,
	};
	VkDevice device;
	VkQueue handle;
	int i;

	(void)argument;
	for (i = 0; i < ROUNDS / 10; i++) {
		if (vkCreateDevice(world.physical_devices[0], &info, NULL, &device))
			abort();
		vkGetDeviceQueue(device, 0, 0, &handle);
		if (vkQueueSubmit(handle, 0, NULL, VK_NULL_HANDLE))
			abort();
		vkDestroyDevice(device, NULL);
	}
	return NULL;
}

static void all_at_once(void **state)
{
	struct worker workers[2] = {
		{.queue = world.queue, .shared = shared_import('A', 0)},
		{.queue = world.other_queue, .family = 1, .shared = shared_import('B', 0)},
	};
	pthread_t threads[6];
	unsigned int i;

	(void)state;
	world.recorder->fences_signalled = sometimes;
	world.recorder->export_semaphore = NULL;
	for (i = 0; i < 2; i++) {
		workers[i].timeline = semaphore("t", true);
		fence_add(i ? 'B' : 'A', WRITES, fence_new());
		assert_int_equal(pthread_create(&threads[i], NULL, submit_often, &workers[i]), 0);
		assert_int_equal(
			pthread_create(&threads[2 + i], NULL, import_often, &workers[i].shared), 0);
		assert_int_equal(pthread_create(&threads[4 + i], NULL, create_devices, NULL), 0);
	}
	for (i = 0; i < 6; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(dmabuf_fds(i ? 'B' : 'A'), 2);
		vkDestroySemaphore(world.device, workers[i].timeline, NULL);
		shared_free(&workers[i].shared);
		assert_int_equal(dmabuf_fds(i ? 'B' : 'A'), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_at_once, set_up, tear_down),
	};

	world_environment();
	return cmocka_run_group_tests_name("sync-threads", tests, NULL, NULL);
}
