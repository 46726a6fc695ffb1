// SPDX-License-Identifier: MIT
/* See sync_world.h. */
#include "sync_world.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LAYER       "VK_LAYER_DROVER_working_set"
#define MAX_NAMES   256
#define SIZE        65536
#define PATIENCE_NS 20000000000ll

struct world world;

static struct {
	uint64_t handle;
	const char *text;
} names[MAX_NAMES];
static unsigned int num_names;

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[16384];

void world_environment(void)
{
	setenv("VK_DRIVER_FILES", MOCK_MANIFEST, 1);
	setenv("VK_LAYER_PATH", LAYER_DIRECTORY ":" RECORDER_DIRECTORY "/sync_recorder.json", 1);
	setenv("VK_INSTANCE_LAYERS", LAYER ":" SYNC_RECORDER_LAYER, 1);
	setenv("VK_IMPLICIT_LAYER_PATH", RECORDER_DIRECTORY "/none", 1);
	signal(SIGPIPE, SIG_IGN);
}

/* ---- The log ---- */

static void say(const char *line)
{
	pthread_mutex_lock(&log_lock);
	if (log_text[0])
		strcat(log_text, " | ");
	if (strlen(log_text) + strlen(line) + 8 > sizeof(log_text))
		abort();
	strcat(log_text, line);
	pthread_mutex_unlock(&log_lock);
}

void name_handle(uint64_t handle, const char *text)
{
	names[num_names].handle = handle;
	names[num_names++].text = text;
	if (num_names == MAX_NAMES)
		abort();
}

/* The latest: handles are used again. */
static const char *name_of(uint64_t handle)
{
	unsigned int i;

	for (i = num_names; i--;) {
		if (names[i].handle == handle)
			return names[i].text;
	}
	return NULL;
}

static bool log_is(const char *expected)
{
	bool is;

	pthread_mutex_lock(&log_lock);
	is = !strcmp(log_text, expected);
	pthread_mutex_unlock(&log_lock);
	return is;
}

void check_log_at(const char *file, int line, const char *expected)
{
	if (!log_is(expected)) {
		print_error("expected: %s\n  actual: %s\n", expected, log_text);
		_fail(file, line);
	}
	log_text[0] = '\0';
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

void check_log_becomes_at(const char *file, int line, const char *expected)
{
	int64_t until = now_ns() + PATIENCE_NS;

	while (!log_is(expected) && now_ns() < until)
		usleep(1000);
	check_log_at(file, line, expected);
}

/* ---- The world ---- */

static int find_recorder(struct dl_phdr_info *info, size_t size, void *data)
{
	void *library;

	(void)size;
	if (!strstr(info->dlpi_name, "libsync-recorder.so"))
		return 0;
	library = dlopen(info->dlpi_name, RTLD_NOW | RTLD_NOLOAD);
	*(struct recorder **)data = dlsym(library, SYNC_RECORDER_SYMBOL);
	dlclose(library);
	return 1;
}

static void create_instance(const struct options *options)
{
	static const char *const extensions[] = {
		VK_KHR_GET_PHYSICAL_DEVICE_PROPERTIES_2_EXTENSION_NAME,
		VK_KHR_EXTERNAL_MEMORY_CAPABILITIES_EXTENSION_NAME,
	};
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = options->vulkan_1_0 ? VK_API_VERSION_1_0 : VK_API_VERSION_1_3,
	};
	const VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
		.enabledExtensionCount = options->vulkan_1_0 ? 2 : 0,
		.ppEnabledExtensionNames = extensions,
	};
	uint32_t count = 4;

	if (options->implicit_sync)
		setenv("VK_DROVER_WORKING_SET_IMPLICIT_SYNC", options->implicit_sync, 1);
	else
		unsetenv("VK_DROVER_WORKING_SET_IMPLICIT_SYNC");
	if (options->trace_file)
		setenv("VK_DROVER_WORKING_SET_TRACE_FILE", options->trace_file, 1);
	else
		unsetenv("VK_DROVER_WORKING_SET_TRACE_FILE");
	setenv("VK_DROVER_WORKING_SET_STATS", options->stats ? "true" : "false", 1);
	check_vk(vkCreateInstance(&info, NULL, &world.instance));
	dl_iterate_phdr(find_recorder, &world.recorder);
	assert_non_null(world.recorder);
	*world.recorder = (struct recorder){
		.say = say,
		.name = name_of,
		.sync_fd = (options->no_import ? 0 : VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT) |
			   (options->no_export ? 0 : VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT),
		.export_semaphore = fence_new,
	};
	assert_in_range(vkEnumeratePhysicalDevices(world.instance, &count, world.physical_devices),
			VK_SUCCESS, VK_INCOMPLETE);
}

static void create_device(const struct options *options)
{
	static const char *const extensions[] = {
		VK_KHR_BIND_MEMORY_2_EXTENSION_NAME,
		VK_KHR_SYNCHRONIZATION_2_EXTENSION_NAME,
		VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
		VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
		VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
	};
	static const char *const extensions_1_0[] = {
		VK_KHR_EXTERNAL_MEMORY_EXTENSION_NAME,
		VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
		VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
	};
	const float priority = 1;
	VkDeviceQueueCreateInfo queues[2] = {
		{
			.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
			.queueCount = 1,
			.pQueuePriorities = &priority,
		},
		{
			.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
			.queueFamilyIndex = 1,
			.queueCount = 1,
			.pQueuePriorities = &priority,
		},
	};
	VkPhysicalDevice same[4];
	const VkDeviceGroupDeviceCreateInfo group = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_GROUP_DEVICE_CREATE_INFO,
		.physicalDeviceCount = options->group_size,
		.pPhysicalDevices = same,
	};
	const VkPhysicalDeviceVulkan13Features features13 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
		.pNext = options->group_size ? (void *)&group : NULL,
		.synchronization2 = VK_TRUE,
	};
	const VkPhysicalDeviceVulkan12Features features12 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
		.pNext = (void *)&features13,
		.timelineSemaphore = VK_TRUE,
	};
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = &features12,
		.queueCreateInfoCount = 2,
		.pQueueCreateInfos = queues,
		.enabledExtensionCount = options->no_external_memory ? 4 : 6,
		.ppEnabledExtensionNames = extensions,
	};
	uint32_t i;

	if (options->vulkan_1_0) {
		info.pNext = NULL;
		info.enabledExtensionCount = 4;
		info.ppEnabledExtensionNames = extensions_1_0;
	}
	for (i = 0; i < 4; i++)
		same[i] = world.physical_devices[0];
	check_vk(vkCreateDevice(world.physical_devices[0], &info, NULL, &world.device));
	vkGetDeviceQueue(world.device, 0, 0, &world.queue);
	vkGetDeviceQueue(world.device, 1, 0, &world.other_queue);
}

#define GET(name) (PFN_##name) vkGetDeviceProcAddr(world.device, #name)

void world_open(const struct options *options)
{
	const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	const VkCommandPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
	};

	world = (struct world){0};
	num_names = 0;
	kernel_say = say;
	kernel_is_old = false;
	dmabufs_forget();
	create_instance(options);
	create_device(options);
	check_vk(vkCreateCommandPool(world.device, &pool, NULL, &world.pool));
	check_vk(vkCreateFence(world.device, &fence, NULL, &world.fence));
	name(world.fence, "F");
	world.get_memory_fd = GET(vkGetMemoryFdKHR);
	world.queue_submit2_khr = GET(vkQueueSubmit2KHR);
	world.cmd_pipeline_barrier2_khr = GET(vkCmdPipelineBarrier2KHR);
	world.get_semaphore_fd = GET(vkGetSemaphoreFdKHR);
	world.import_semaphore_fd = GET(vkImportSemaphoreFdKHR);
	log_text[0] = '\0';
}

void world_close(void)
{
	vkDestroyFence(world.device, world.fence, NULL);
	vkDestroyCommandPool(world.device, world.pool, NULL);
	vkDestroyDevice(world.device, NULL);
	if (world.recorder->semaphores || world.recorder->fences)
		fail_msg("%d semaphores and %d fences were left when the device was destroyed",
			 world.recorder->semaphores, world.recorder->fences);
	vkDestroyInstance(world.instance, NULL);
	log_text[0] = '\0';
}

/* ---- Memory ---- */

VkDeviceMemory memory_import(VkExternalMemoryHandleTypeFlagBits type, int fd)
{
	const VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = type,
		.fd = fd,
	};
	const VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &import,
		.allocationSize = SIZE,
	};
	VkDeviceMemory memory;

	check_vk(vkAllocateMemory(world.device, &info, NULL, &memory));
	return memory;
}

VkBuffer buffer_create(VkBufferUsageFlags usage, bool external)
{
	const VkExternalMemoryBufferCreateInfo external_info = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	const VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = external ? &external_info : NULL,
		.size = SIZE,
		.usage = usage ? usage
			       : VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
					 VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
	};
	VkBuffer buffer;

	check_vk(vkCreateBuffer(world.device, &info, NULL, &buffer));
	return buffer;
}

VkImage image_create(VkFormat format, VkImageUsageFlags usage, VkImageCreateFlags flags,
		     const void *chain)
{
	const VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.pNext = chain,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	const VkImageCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.pNext = &external,
		.flags = flags,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = format,
		.extent = {16, 16, 1},
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.usage = usage,
	};
	VkImage image;

	check_vk(vkCreateImage(world.device, &info, NULL, &image));
	return image;
}

struct shared shared_import(char dmabuf, VkBufferUsageFlags usage)
{
	struct shared shared = {.fd = dmabuf_new(dmabuf)};

	shared.buffer = buffer_create(usage, true);
	shared.memory =
		memory_import(VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT, dup(shared.fd));
	check_vk(vkBindBufferMemory(world.device, shared.buffer, shared.memory, 0));
	return shared;
}

void shared_free(struct shared *shared)
{
	vkDestroyBuffer(world.device, shared->buffer, NULL);
	vkFreeMemory(world.device, shared->memory, NULL);
	close(shared->fd);
}

/* ---- Commands ---- */

VkCommandBuffer command_buffer(const char *text, VkCommandBufferLevel level)
{
	const VkCommandBufferAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = world.pool,
		.level = level,
		.commandBufferCount = 1,
	};
	const VkCommandBufferInheritanceInfo inheritance = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_INHERITANCE_INFO,
	};
	const VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT,
		.pInheritanceInfo = &inheritance,
	};
	VkCommandBuffer commands;

	check_vk(vkAllocateCommandBuffers(world.device, &info, &commands));
	check_vk(vkBeginCommandBuffer(commands, &begin));
	name(commands, text);
	return commands;
}

static void transfer(VkCommandBuffer commands, const struct shared *shared, VkAccessFlags source,
		     VkAccessFlags destination, uint32_t from, uint32_t to)
{
	const VkBufferMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
		.srcAccessMask = source,
		.dstAccessMask = destination,
		.srcQueueFamilyIndex = from,
		.dstQueueFamilyIndex = to,
		.buffer = shared->buffer,
		.size = VK_WHOLE_SIZE,
	};

	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
			     VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 1, &barrier, 0, NULL);
}

void acquire(VkCommandBuffer commands, const struct shared *shared, VkAccessFlags mask)
{
	transfer(commands, shared, 0, mask, VK_QUEUE_FAMILY_FOREIGN_EXT, world.family);
}

void release(VkCommandBuffer commands, const struct shared *shared, VkAccessFlags mask)
{
	transfer(commands, shared, mask, 0, world.family, VK_QUEUE_FAMILY_FOREIGN_EXT);
}

VkCommandBuffer commands_acquire(const char *text, const struct shared *shared)
{
	VkCommandBuffer commands = command_buffer(text, VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	acquire(commands, shared, VK_ACCESS_SHADER_WRITE_BIT);
	check_vk(vkEndCommandBuffer(commands));
	return commands;
}

VkCommandBuffer commands_release(const char *text, const struct shared *shared)
{
	VkCommandBuffer commands = command_buffer(text, VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	release(commands, shared, VK_ACCESS_SHADER_WRITE_BIT);
	check_vk(vkEndCommandBuffer(commands));
	return commands;
}

VkCommandBuffer commands_plain(const char *text)
{
	VkCommandBuffer commands = command_buffer(text, VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	check_vk(vkEndCommandBuffer(commands));
	return commands;
}

VkSemaphore semaphore(const char *text, bool timeline)
{
	const VkSemaphoreTypeCreateInfo type = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
	};
	const VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = timeline ? &type : NULL,
	};
	VkSemaphore semaphore;

	check_vk(vkCreateSemaphore(world.device, &info, NULL, &semaphore));
	name(semaphore, text);
	return semaphore;
}

void submit(VkCommandBuffer commands, bool fence)
{
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};

	check_vk(vkQueueSubmit(world.queue, 1, &info, fence ? world.fence : VK_NULL_HANDLE));
}

int world_set_up(void **state)
{
	(void)state;
	world_open(&(struct options){0});
	return 0;
}

int world_tear_down(void **state)
{
	(void)state;
	world_close();
	return 0;
}

VkEvent event_new(void)
{
	const VkEventCreateInfo info = {.sType = VK_STRUCTURE_TYPE_EVENT_CREATE_INFO};
	VkEvent event;

	check_vk(vkCreateEvent(world.device, &info, NULL, &event));
	return event;
}
