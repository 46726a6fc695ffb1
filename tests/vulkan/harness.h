/* SPDX-License-Identifier: MIT */
/*
 * What the Vulkan tests share: an environment in which every virtual GPU is a
 * Vulkan device under the layer, with the validation layer above it; instances,
 * devices, buffers, images and compute shaders in few words.
 *
 * Tests, checks and processes are those of the kernel's tests (common.h). A message
 * of the validation layer fails the test.
 *
 * From the environment: DROVER_TEST_PLAIN=1 runs without the layer, on the CPU's
 * driver as it is, to try a test where no virtual GPU is; what needs one is
 * skipped then. DROVER_TEST_VALIDATION=0 runs without the validation layer.
 */
#ifndef DROVER_TESTS_VULKAN_HARNESS_H
#define DROVER_TESTS_VULKAN_HARNESS_H

#include "../kernel/common.h"

#include <vulkan/vulkan.h>
#include <vulkan/vk_enum_string_helper.h>

/* ---- The program ---- */

/** vulkan_main() - main() of a suite: sets up the environment and runs the tests */
int vulkan_main(const char *suite, const struct test *tests, size_t count, int argc, char **argv);

/** num_gpus() - how many Vulkan devices there are to test */
unsigned int num_gpus(void);
/** is_plain() - whether the layer isn't there */
bool is_plain(void);
/** need_gpus() - skip the test unless that many virtual GPUs are there */
void need_gpus(unsigned int count);

/* A Vulkan call has to return this result. */
#define check_result(call, expected) \
	test_check_result(__FILE__, __LINE__, #call, (call), (expected))
#define check_vk(call) check_result(call, VK_SUCCESS)
void test_check_result(const char *file, int line, const char *what, VkResult actual,
		       VkResult expected);

/* ---- What the kernel says ---- */

/** gpu_info() - DEVICE_INFO of a virtual GPU, asked through a file of the test's own */
struct drm_drover_device_info gpu_info(unsigned int gpu);

/** struct vm_counters - sums over the address spaces that a process has on a virtual GPU */
struct vm_counters {
	uint64_t vms, evictions, invalidations, remaps, faults;
};
struct vm_counters vm_counters(unsigned int gpu, pid_t process);

/* ---- Instances and devices ---- */

/** struct instance - a VkInstance whose messages fail the test */
struct instance {
	VkInstance handle;
	VkDebugUtilsMessengerEXT messenger;
	/** @messages_expected: the test misuses Vulkan on purpose */
	bool messages_expected;
	/** @num_messages: how many there were, expected or not */
	unsigned int num_messages;
	/** @physical: one per virtual GPU, in the order of their numbers */
	VkPhysicalDevice physical[8];
};

struct instance *instance_open(void);
void instance_close(struct instance *instance);

enum shader {
	SHADER_FILL,
	SHADER_CHECK,
	SHADER_MIX,
	SHADER_IMAGE_FILL,
	SHADER_IMAGE_CHECK,
	NUM_SHADERS,
};

/** struct device - a VkDevice with one queue, and pipelines for all shaders */
struct device {
	struct instance *instance;
	bool owns_instance;
	unsigned int gpu;
	VkPhysicalDevice physical;
	VkDevice handle;
	VkQueue queue;
	uint32_t family;
	VkCommandPool pool;
	VkDescriptorSetLayout set_layout;
	VkPipelineLayout pipeline_layout;
	VkPipeline pipelines[NUM_SHADERS];
	VkPhysicalDeviceMemoryProperties memory;
	/** @has_modifiers: VK_EXT_image_drm_format_modifier */
	bool has_modifiers, has_dma_buf, has_budget, has_priority, has_pageable, has_host_import;
	PFN_vkGetMemoryFdKHR get_memory_fd;
	PFN_vkGetMemoryFdPropertiesKHR get_memory_fd_properties;
	PFN_vkGetMemoryHostPointerPropertiesEXT get_host_pointer_properties;
	PFN_vkSetDeviceMemoryPriorityEXT set_memory_priority;
};

/** vulkan_device_open() - a device for a virtual GPU; in an instance of its own if @instance is NULL */
struct device *vulkan_device_open(struct instance *instance, unsigned int gpu);
void vulkan_device_close(struct device *device);
/** timeline_new() - a timeline semaphore, at 0 */
VkSemaphore timeline_new(VkDevice device);

/* ---- Memory ---- */

/** memory_type() - the first type among @bits that has all of @wanted and none of @unwanted */
uint32_t memory_type(const struct device *device, uint32_t bits, VkMemoryPropertyFlags wanted,
		     VkMemoryPropertyFlags unwanted);
/** vram_type() / gtt_type() - among all types; in plain mode they are the same */
uint32_t vram_type(const struct device *device);
uint32_t gtt_type(const struct device *device);
/** heap_usage() - what VK_EXT_memory_budget says is in use; the budget is stored if @budget isn't NULL */
VkDeviceSize heap_usage(const struct device *device, uint32_t type, VkDeviceSize *budget);

/** struct buffer - a storage buffer and its memory, from offset 0 on */
struct buffer {
	const struct device *device;
	VkBuffer handle;
	VkDeviceMemory memory;
	VkDeviceSize size;
	VkMemoryRequirements requirements;
};

/** buffer_new() - @exports: handle types that it can be exported as, or 0 */
struct buffer buffer_new(const struct device *device, VkDeviceSize size, uint32_t type,
			 VkExternalMemoryHandleTypeFlags exports);
/** buffer_create() - without memory */
struct buffer buffer_create(const struct device *device, VkDeviceSize size,
			    VkExternalMemoryHandleTypeFlags exports);
/** buffer_allocate() - give it memory; the result of vkAllocateMemory(), bound if it is VK_SUCCESS */
VkResult buffer_allocate(struct buffer *buffer, uint32_t type, const void *next);
/**
 * buffer_import() - a buffer over the memory of a file descriptor, which is consumed on success
 * @type: an opaque descriptor's has to be the one that it was exported with; a dma-buf's is asked for
 */
VkResult buffer_import(const struct device *device, VkDeviceSize size, uint32_t type,
		       VkExternalMemoryHandleTypeFlagBits handle_type, int fd,
		       struct buffer *buffer);
void buffer_free(struct buffer *buffer);
/** buffer_map() - all of it; memory is unmapped when it is freed */
uint32_t *buffer_map(const struct buffer *buffer);
/** memory_export() - a file descriptor */
int memory_export(const struct device *device, VkDeviceMemory memory,
		  VkExternalMemoryHandleTypeFlagBits handle_type);

/** struct image - a two-dimensional RGBA8 storage image, in VK_IMAGE_LAYOUT_GENERAL when it is ready */
struct image {
	const struct device *device;
	VkImage handle;
	VkImageView view;
	VkDeviceMemory memory;
	uint32_t width, height;
	/** @exported: with the linear modifier, as a dma-buf, or imported so */
	bool exported;
	/** @layout: of the linear modifier's plane */
	VkSubresourceLayout layout;
};

struct image image_new(const struct device *device, uint32_t width, uint32_t height, uint32_t type,
		       bool exported);
struct image image_import(const struct device *device, uint32_t width, uint32_t height,
			  const VkSubresourceLayout *layout, int fd);
void image_free(struct image *image);

/* ---- Commands ---- */

/** struct commands - a command buffer with what its dispatches need; for use once */
struct commands {
	const struct device *device;
	VkCommandBuffer handle;
	VkDescriptorPool sets;
	VkFence done;
};

struct commands commands_begin(const struct device *device);
/** commands_dispatch() - run a shader over @buffers and perhaps @image; waits for the commands before it */
void commands_dispatch(struct commands *commands, enum shader shader,
		       const struct buffer *const *buffers, unsigned int num_buffers,
		       const struct image *image, const uint32_t arguments[3]);
/** commands_barrier() - everything before it is seen by everything after it, the CPU included */
void commands_barrier(struct commands *commands);
/** commands_acquire() / commands_release() - ownership from or to users outside of this driver */
void commands_acquire_buffer(struct commands *commands, const struct buffer *buffer);
void commands_release_buffer(struct commands *commands, const struct buffer *buffer);
void commands_acquire_image(struct commands *commands, const struct image *image);
void commands_release_image(struct commands *commands, const struct image *image);
/** commands_submit() - without waiting; the result of vkQueueSubmit() */
VkResult commands_submit(struct commands *commands);
/** commands_wait() - until they are done, and free them; the result of the wait */
VkResult commands_wait(struct commands *commands);
/** commands_run() - both have to succeed */
void commands_run(struct commands *commands);

/** buffer_fill() - words become value + i * step, by a shader */
void buffer_fill(const struct buffer *buffer, uint32_t value, uint32_t step);
/** buffer_wrong() - how many words a shader finds that aren't value + i * step */
uint32_t buffer_wrong(const struct buffer *buffer, uint32_t value, uint32_t step);
/** buffer_check() - the test fails unless a shader finds all words right */
#define buffer_check(buffer, value, step) \
	test_buffer_check(__FILE__, __LINE__, #buffer, (buffer), (value), (step))
void test_buffer_check(const char *file, int line, const char *what, const struct buffer *buffer,
		       uint32_t value, uint32_t step);
/** image_fill() / image_check() - the same with the pattern of a seed */
void image_fill(const struct image *image, uint32_t seed);
#define image_check(image, seed) test_image_check(__FILE__, __LINE__, #image, (image), (seed))
void test_image_check(const char *file, int line, const char *what, const struct image *image,
		      uint32_t seed);

/* ---- Other clients of a virtual GPU ---- */

/** struct disturber - a process that makes others' memory move, until it is stopped */
struct disturber {
	pid_t pid;
	unsigned int gpu;
};

/**
 * disturber_start() - begin; returns when it has taken and evicted memory for the first time
 * @gpu: the virtual GPU whose VRAM and GTT it takes and frees, again and again, at random moments
 * @dmabufs: exports of that GPU that it evicts by name as well
 * @num_dmabufs: how many
 */
struct disturber disturber_start(unsigned int gpu, const int *dmabufs, unsigned int num_dmabufs);
/** disturber_stop() - end it; fails if anything that it did failed */
void disturber_stop(struct disturber *disturber);

/** memory_press() - use all of a GPU's VRAM and GTT once, so that whatever was there has left both */
void memory_press(unsigned int gpu);

#endif
