/* SPDX-License-Identifier: MIT */
/*
 * A layer for tests, to be put between the layer and a driver that executes nothing (the mock
 * driver): it says what arrives, and plays the parts of the driver that matter to implicit sync.
 *
 * The test finds it with dlopen() of the file that the loader has loaded, and dlsym().
 */
#ifndef SYNC_RECORDER_H
#define SYNC_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

#define SYNC_RECORDER_LAYER "VK_LAYER_DROVER_test_recorder"

/* struct recorder - what the test decides, and what it is told; everything but `say` may be NULL or zero */
struct recorder {
	/* A line for each call: see sync_recorder.c. */
	void (*say)(const char *line);
	/* The name of a handle of the test's; NULL: it's none. */
	const char *(*name)(uint64_t handle);
	/* A sync file for a semaphore that is exported; -1: signalled. */
	int (*export_semaphore)(void);
	/* A sync file is imported; the descriptor isn't the test's. */
	void (*import_semaphore)(int fd);
	/* A file descriptor for memory that is exported, and for each call. */
	int (*export_memory)(VkDeviceMemory memory);
	/* What vkGetSemaphoreCounterValue answers. */
	uint64_t (*counter)(VkSemaphore semaphore);
	/* Fences have signalled. */
	bool (*fences_signalled)(void);
	/* Before a call of vkQueueSubmit* goes to the driver: the result, if it isn't to. */
	VkResult (*submitting)(void);
	/* SYNC_FD's features; how often they were asked for with Vulkan 1.1's function. */
	VkExternalSemaphoreFeatureFlags sync_fd;
	unsigned int core_queries;
	/* What vkGetSemaphoreFdKHR fails with, and vkWaitForFences. */
	VkResult export_result;
	VkResult wait_result;
	/* How many there are. */
	_Atomic(int) semaphores;
	_Atomic(int) fences;
	/* The recorder's own: what the driver's function is. */
	PFN_vkVoidFunction cmd_pipeline_barrier;
};

/* The recorder's, for dlsym(): a struct recorder. */
#define SYNC_RECORDER_SYMBOL "sync_recorder"

#endif
