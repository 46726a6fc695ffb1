// SPDX-License-Identifier: MIT
/*
 * A buffer that another device writes to, read with Vulkan, and no line about fences: the layer waits for the writer because
 * the ownership transfer says so.
 *
 *	cc import-dmabuf.c $(pkg-config --cflags --libs drover vulkan) -o import-dmabuf
 *	drover run ./import-dmabuf
 *
 * Virtual GPU 0 plays the other device: a camera, a compositor, another driver. It is slow, and its job is still running
 * when its dma-buf is imported. The Vulkan device is the last one, or the one whose number is given.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <drover/drover.h>
#include <vulkan/vulkan.h>

#define SIZE     (1 << 20)
#define WORDS    (SIZE / sizeof(uint32_t))
/* together much longer than what follows takes; a job of its own may take 0.5 s */
#define DELAYS   4
#define DELAY_US 150000

static void must(int ret, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-ret));
	exit(1);
}

static void must_vk(VkResult result, const char *what)
{
	if (result == VK_SUCCESS)
		return;
	fprintf(stderr, "%s: VkResult %d\n", what, result);
	exit(1);
}

#define VK(call) must_vk(call, #call)

/* ---- 1. The other device: word i becomes i + 1, a while from now ---- */

struct producer {
	struct drover_device *dev;
	struct drover_vm *vm;
	struct drover_bo *bo;
	struct drover_submission *delay;
	struct drover_submission *job;
};

static int producer_start(struct producer *producer)
{
	struct drm_drover_device_info info;
	int dmabuf;

	must(drover_device_open(0, &producer->dev), "open virtual GPU 0");
	must(drover_device_info(producer->dev, &info), "device info");
	must(drover_vm_create(producer->dev, &producer->vm), "create a VM");
	must(drover_bo_create(producer->dev, SIZE,
			      DRM_DROVER_PLACEMENT_VRAM | DRM_DROVER_PLACEMENT_GTT, 0, NULL,
			      &producer->bo),
	     "create a BO");
	must(drover_vm_bind(producer->vm, info.va_start, producer->bo, 0, SIZE, 0), "bind");
	must(drover_submission_create(producer->vm, &producer->delay), "create a submission");
	drover_submission_spin(producer->delay, DELAY_US);
	for (int i = 0; i < DELAYS; i++)
		must(drover_submission_submit(producer->delay), "submit");
	/* jobs run in their order */
	must(drover_submission_create(producer->vm, &producer->job), "create a submission");
	drover_submission_fill(producer->job, info.va_start, SIZE, 1, 1);
	/* implicit sync: whoever asks the dma-buf learns that it is being written to */
	drover_submission_buffer(producer->job, producer->bo, DROVER_ACCESS_WRITE);
	must(drover_submission_submit(producer->job), "submit");
	must(drover_bo_export(producer->bo, &dmabuf), "export");
	return dmabuf;
}

static void producer_end(struct producer *producer)
{
	drover_submission_destroy(producer->job);
	drover_submission_destroy(producer->delay);
	drover_bo_unref(producer->bo);
	drover_vm_destroy(producer->vm);
	drover_device_close(producer->dev);
}

/* ---- 2. A Vulkan device that can import dma-bufs and take them over from strangers ---- */

struct app {
	VkInstance instance;
	VkPhysicalDevice physical;
	VkDevice device;
	VkQueue queue;
	/* the dma-buf, and what is copied from it */
	VkBuffer import, copy;
	VkDeviceMemory import_memory, copy_memory;
	VkCommandPool pool;
	VkCommandBuffer commands;
};

static void choose_device(struct app *app, const char *wanted)
{
	VkPhysicalDeviceProperties properties;
	VkPhysicalDevice devices[16];
	uint32_t count = 16, index;

	if (vkEnumeratePhysicalDevices(app->instance, &count, devices) < 0 || !count)
		must_vk(VK_ERROR_INITIALIZATION_FAILED, "vkEnumeratePhysicalDevices");
	index = wanted ? (uint32_t)atoi(wanted) : count - 1;
	if (index >= count) {
		fprintf(stderr, "there is no device %u\n", index);
		exit(1);
	}
	app->physical = devices[index];
	vkGetPhysicalDeviceProperties(app->physical, &properties);
	printf("Vulkan device %u: %s\n", index, properties.deviceName);
}

static void create_device(struct app *app, const char *wanted)
{
	static const char *const extensions[] = {
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
		VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
		VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
	};
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = VK_API_VERSION_1_1,
	};
	const VkInstanceCreateInfo instance = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
	};
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	const VkDeviceCreateInfo device = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = 3,
		.ppEnabledExtensionNames = extensions,
	};

	VK(vkCreateInstance(&instance, NULL, &app->instance));
	choose_device(app, wanted);
	VK(vkCreateDevice(app->physical, &device, NULL, &app->device));
	vkGetDeviceQueue(app->device, 0, 0, &app->queue);
}

static VkBuffer create_buffer(struct app *app, VkBufferUsageFlags usage, const void *next)
{
	const VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = next,
		.size = SIZE,
		.usage = usage,
	};
	VkBuffer buffer;

	VK(vkCreateBuffer(app->device, &info, NULL, &buffer));
	return buffer;
}

/* The first memory type of @mask that has these properties. */
static uint32_t memory_type(struct app *app, uint32_t mask, VkMemoryPropertyFlags flags)
{
	VkPhysicalDeviceMemoryProperties memory;

	vkGetPhysicalDeviceMemoryProperties(app->physical, &memory);
	for (uint32_t i = 0; i < memory.memoryTypeCount; i++)
		if (mask & 1u << i && (memory.memoryTypes[i].propertyFlags & flags) == flags)
			return i;
	fprintf(stderr, "no memory type fits\n");
	exit(1);
}

static VkDeviceMemory allocate(struct app *app, VkBuffer buffer, uint32_t mask,
			       VkMemoryPropertyFlags flags, const void *next)
{
	VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
	VkMemoryRequirements requirements;
	VkDeviceMemory memory;

	vkGetBufferMemoryRequirements(app->device, buffer, &requirements);
	info.pNext = next;
	info.allocationSize = requirements.size;
	info.memoryTypeIndex = memory_type(app, mask & requirements.memoryTypeBits, flags);
	VK(vkAllocateMemory(app->device, &info, NULL, &memory));
	VK(vkBindBufferMemory(app->device, buffer, memory, 0));
	return memory;
}

/* ---- 3. The import; the memory takes the file descriptor over ---- */

static void import_dmabuf(struct app *app, int dmabuf)
{
	const VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	const VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
		.fd = dmabuf,
	};
	VkMemoryFdPropertiesKHR properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR,
	};
	PFN_vkGetMemoryFdPropertiesKHR get_properties =
		(PFN_vkGetMemoryFdPropertiesKHR)vkGetDeviceProcAddr(app->device,
								    "vkGetMemoryFdPropertiesKHR");

	VK(get_properties(app->device, import.handleType, dmabuf, &properties));
	app->import = create_buffer(app, VK_BUFFER_USAGE_TRANSFER_SRC_BIT, &external);
	app->import_memory = allocate(app, app->import, properties.memoryTypeBits, 0, &import);
}

/* ---- 4. Acquire, use, release: what the specification asks for, and all that the layer needs ---- */

static void transfer(struct app *app, bool acquire)
{
	const VkBufferMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
		.dstAccessMask = acquire ? VK_ACCESS_TRANSFER_READ_BIT : 0,
		.srcQueueFamilyIndex = acquire ? VK_QUEUE_FAMILY_FOREIGN_EXT : 0,
		.dstQueueFamilyIndex = acquire ? 0 : VK_QUEUE_FAMILY_FOREIGN_EXT,
		.buffer = app->import,
		.size = VK_WHOLE_SIZE,
	};

	vkCmdPipelineBarrier(
		app->commands,
		acquire ? VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT : VK_PIPELINE_STAGE_TRANSFER_BIT,
		acquire ? VK_PIPELINE_STAGE_TRANSFER_BIT : VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0,
		0, NULL, 1, &barrier, 0, NULL);
}

static void record(struct app *app)
{
	const VkCommandPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
	};
	VkCommandBufferAllocateInfo allocate_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandBufferCount = 1,
	};
	const VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
	};
	const VkMemoryBarrier for_host = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_HOST_READ_BIT,
	};
	const VkBufferCopy all = {.size = SIZE};

	VK(vkCreateCommandPool(app->device, &pool, NULL, &app->pool));
	allocate_info.commandPool = app->pool;
	VK(vkAllocateCommandBuffers(app->device, &allocate_info, &app->commands));
	VK(vkBeginCommandBuffer(app->commands, &begin));
	transfer(app, true);
	vkCmdCopyBuffer(app->commands, app->import, app->copy, 1, &all);
	transfer(app, false);
	vkCmdPipelineBarrier(app->commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
			     VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &for_host, 0, NULL, 0, NULL);
	VK(vkEndCommandBuffer(app->commands));
}

static void submit_and_wait(struct app *app)
{
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &app->commands,
	};

	VK(vkQueueSubmit(app->queue, 1, &info, VK_NULL_HANDLE));
	VK(vkQueueWaitIdle(app->queue));
}

/* ---- 5. What came of it ---- */

static size_t count_right(struct app *app)
{
	size_t right = 0;
	void *data;

	VK(vkMapMemory(app->device, app->copy_memory, 0, VK_WHOLE_SIZE, 0, &data));
	for (uint32_t i = 0; i < WORDS; i++)
		right += ((const uint32_t *)data)[i] == i + 1;
	vkUnmapMemory(app->device, app->copy_memory);
	return right;
}

static void destroy(struct app *app)
{
	vkDestroyCommandPool(app->device, app->pool, NULL);
	vkDestroyBuffer(app->device, app->copy, NULL);
	vkDestroyBuffer(app->device, app->import, NULL);
	vkFreeMemory(app->device, app->copy_memory, NULL);
	vkFreeMemory(app->device, app->import_memory, NULL);
	vkDestroyDevice(app->device, NULL);
	vkDestroyInstance(app->instance, NULL);
}

int main(int argc, char **argv)
{
	struct producer producer = {0};
	struct app app = {0};
	size_t right;
	int dmabuf;

	create_device(&app, argc > 1 ? argv[1] : NULL);
	app.copy = create_buffer(&app, VK_BUFFER_USAGE_TRANSFER_DST_BIT, NULL);
	app.copy_memory =
		allocate(&app, app.copy, UINT32_MAX,
			 VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
			 NULL);
	dmabuf = producer_start(&producer);
	import_dmabuf(&app, dmabuf);
	record(&app);
	submit_and_wait(&app);
	right = count_right(&app);
	printf("%zu of %zu words are what the other device wrote\n", right, WORDS);
	destroy(&app);
	producer_end(&producer);
	return right == WORDS ? EXIT_SUCCESS : EXIT_FAILURE;
}
