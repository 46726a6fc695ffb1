/* SPDX-License-Identifier: MIT */
/*
 * A Vulkan device on the mock driver, under the layer and above the recorder, for tests of what exactly
 * the layer submits; with a log in which the driver's calls and the kernel's are in order.
 *
 * For cmocka tests: a check that fails ends the test.
 */
#ifndef SYNC_WORLD_H
#define SYNC_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <vulkan/vulkan.h>

#include "sync_kernel.h"
#include "sync_recorder.h"

/* struct options - how a world is made; all zeros is the usual one */
struct options {
	/* The setting; NULL: the default. */
	const char *implicit_sync;
	/* SYNC_FD can't be imported, or exported. */
	bool no_import;
	bool no_export;
	/* How many physical devices the device has. */
	uint32_t group_size;
	/* The settings. */
	bool stats;
	const char *trace_file;
	/* The application doesn't enable VK_KHR_external_memory_fd. */
	bool no_external_memory;
	/* It's one of Vulkan 1.0, with extensions and without timeline semaphores. */
	bool vulkan_1_0;
};

struct world {
	VkInstance instance;
	VkPhysicalDevice physical_devices[4];
	VkDevice device;
	/* Of two families, if the driver has them. */
	VkQueue queue;
	VkQueue other_queue;
	uint32_t family;
	VkCommandPool pool;
	VkFence fence;
	struct recorder *recorder;
	PFN_vkGetMemoryFdKHR get_memory_fd;
	PFN_vkQueueSubmit2KHR queue_submit2_khr;
	PFN_vkCmdPipelineBarrier2KHR cmd_pipeline_barrier2_khr;
	PFN_vkGetSemaphoreFdKHR get_semaphore_fd;
	PFN_vkImportSemaphoreFdKHR import_semaphore_fd;
};

extern struct world world;

/* world_open() - a new one; the log is empty and the fences `F` */
void world_open(const struct options *options);
void world_close(void);
/* world_set_up() / world_tear_down() - cmocka's, for tests without options */
int world_set_up(void **state);
int world_tear_down(void **state);

/* world_environment() - where the loader finds all this; before anything else */
void world_environment(void);

/* name() - what the log calls a handle of the test's */
void name_handle(uint64_t handle, const char *text);
#define name(handle, text)  name_handle((uint64_t)(uintptr_t)(handle), (text))

#define check_vk(call)      assert_int_equal((call), VK_SUCCESS)

/*
 * check_log() - the log has to be this, line by line, with " | " between the lines; empties it
 */
#define check_log(expected) check_log_at(__FILE__, __LINE__, (expected))
void check_log_at(const char *file, int line, const char *expected);
/* check_log_becomes() - the same, as soon as that is so (other threads are at work) */
#define check_log_becomes(expected) check_log_becomes_at(__FILE__, __LINE__, (expected))
void check_log_becomes_at(const char *file, int line, const char *expected);

/* struct shared - a buffer in a dma-buf */
struct shared {
	VkBuffer buffer;
	VkDeviceMemory memory;
	/* The dma-buf; the test's own descriptor. */
	int fd;
};

/* shared_import() - a buffer in an imported dma-buf of that name; 0: of the usual, writable usage */
struct shared shared_import(char dmabuf, VkBufferUsageFlags usage);
void shared_free(struct shared *shared);
/* memory_import() - import a descriptor, which is consumed */
VkDeviceMemory memory_import(VkExternalMemoryHandleTypeFlagBits type, int fd);
VkBuffer buffer_create(VkBufferUsageFlags usage, bool external);
/* event_new() - an event that isn't set */
VkEvent event_new(void);
/* image_create() - an image for dma-bufs; @chain: extends VkExternalMemoryImageCreateInfo, may be NULL */
VkImage image_create(VkFormat format, VkImageUsageFlags usage, VkImageCreateFlags flags,
		     const void *chain);

/* command_buffer() - a new one, recording */
VkCommandBuffer command_buffer(const char *text, VkCommandBufferLevel level);
/* acquire(), release() - record an ownership transfer with FOREIGN, with that mask on our side */
void acquire(VkCommandBuffer commands, const struct shared *shared, VkAccessFlags mask);
void release(VkCommandBuffer commands, const struct shared *shared, VkAccessFlags mask);

/* commands_acquire(), commands_release(), commands_plain() - command buffers that do just that */
VkCommandBuffer commands_acquire(const char *text, const struct shared *shared);
VkCommandBuffer commands_release(const char *text, const struct shared *shared);
VkCommandBuffer commands_plain(const char *text);

/* semaphore() - a timeline or a binary one */
VkSemaphore semaphore(const char *text, bool timeline);

/* submit() - one batch, with the fence F or without */
void submit(VkCommandBuffer commands, bool fence);

#endif
