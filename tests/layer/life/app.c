// SPDX-License-Identifier: MIT
/* A small Vulkan application; see app.h. */
#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE 65536

static const struct {
	const char *name;
	const char *manifest;
} drivers[NUM_DRIVERS] = {
	[DRIVER_LAVAPIPE] = {"lavapipe", "/usr/share/vulkan/icd.d/lvp_icd.json"},
	[DRIVER_SWIFTSHADER] = {"SwiftShader", "/usr/lib/drover-lab/icd/vk_swiftshader_icd.json"},
	[DRIVER_MOCK] = {"the mock driver", MOCK_MANIFEST},
};

const char *driver_name(enum driver driver)
{
	return drivers[driver].name;
}

void use_driver(enum driver driver, const char *layer)
{
	setenv("VK_DRIVER_FILES", drivers[driver].manifest, 1);
	/* Mesa's implicit layers look at the display */
	setenv("VK_LOADER_LAYERS_DISABLE", "~implicit~", 1);
	setenv("VK_LOADER_DEBUG", "none", 1);
	setenv("VK_DROVER_WORKING_SET_MODE", "native", 1);
	if (layer) {
		setenv("VK_ADD_LAYER_PATH", layer, 1);
		setenv("VK_INSTANCE_LAYERS", "VK_LAYER_DROVER_working_set", 1);
	} else {
		unsetenv("VK_ADD_LAYER_PATH");
		unsetenv("VK_INSTANCE_LAYERS");
	}
}

VkResult app_open_instance(struct app *app)
{
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = app->api_version,
	};
	const VkInstanceCreateInfo create_info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
	};
	uint32_t count = 1;
	VkResult result;

	result = vkCreateInstance(&create_info, app->allocator, &app->instance);
	if (result != VK_SUCCESS)
		return result;
	result = vkEnumeratePhysicalDevices(app->instance, &count, &app->physical_device);
	return result == VK_INCOMPLETE ? VK_SUCCESS : result;
}

static bool offers(const VkExtensionProperties *list, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (!strcmp(list[i].extensionName, name))
			return true;
	return false;
}

static VkResult look_at_device(struct app *app)
{
	static const VkPhysicalDeviceTimelineSemaphoreFeatures timeline_zero = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES};
	VkPhysicalDeviceTimelineSemaphoreFeatures timeline = timeline_zero;
	VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
					      .pNext = &timeline};
	VkExtensionProperties list[512];
	uint32_t count = 512;
	VkResult result =
		vkEnumerateDeviceExtensionProperties(app->physical_device, NULL, &count, list);

	if (result < 0)
		return result;
	app->can_export = offers(list, count, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME) &&
			  app->api_version >= VK_API_VERSION_1_1;
	app->can_transfer = offers(list, count, VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME) &&
			    app->api_version >= VK_API_VERSION_1_1;
	if (app->api_version >= VK_API_VERSION_1_2)
		vkGetPhysicalDeviceFeatures2(app->physical_device, &features);
	app->can_timeline = timeline.timelineSemaphore;
	return VK_SUCCESS;
}

VkResult app_open_device(struct app *app)
{
	VkPhysicalDeviceTimelineSemaphoreFeatures timeline = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
		.timelineSemaphore = VK_TRUE,
	};
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkDeviceCreateInfo create_info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
	};
	const char *extensions[2];
	VkResult result = look_at_device(app);

	if (result != VK_SUCCESS)
		return result;
	if (app->can_export)
		extensions[create_info.enabledExtensionCount++] =
			VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME;
	if (app->can_transfer)
		extensions[create_info.enabledExtensionCount++] =
			VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME;
	create_info.ppEnabledExtensionNames = extensions;
	if (app->can_timeline)
		create_info.pNext = &timeline;
	result = vkCreateDevice(app->physical_device, &create_info, app->allocator, &app->device);
	if (result == VK_SUCCESS)
		vkGetDeviceQueue(app->device, 0, 0, &app->queue);
	return result;
}

static VkResult open_buffer(struct app *app)
{
	const VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
	};
	const VkExportMemoryAllocateInfo export_info = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
	};
	const VkBufferCreateInfo create_info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = app->can_export ? &external : NULL,
		.size = BUFFER_SIZE,
		.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};
	VkMemoryAllocateInfo allocate_info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = app->can_export ? &export_info : NULL,
	};
	VkMemoryRequirements requirements;
	VkResult result = vkCreateBuffer(app->device, &create_info, app->allocator, &app->buffer);

	if (result != VK_SUCCESS)
		return result;
	vkGetBufferMemoryRequirements(app->device, app->buffer, &requirements);
	allocate_info.allocationSize = requirements.size;
	allocate_info.memoryTypeIndex = (uint32_t)__builtin_ctz(requirements.memoryTypeBits);
	result = vkAllocateMemory(app->device, &allocate_info, app->allocator, &app->memory);
	if (result != VK_SUCCESS)
		return result;
	return vkBindBufferMemory(app->device, app->buffer, app->memory, 0);
}

/* The memory goes out and comes in again. */
static VkResult share_memory(struct app *app)
{
	PFN_vkGetMemoryFdKHR get_fd =
		(PFN_vkGetMemoryFdKHR)vkGetDeviceProcAddr(app->device, "vkGetMemoryFdKHR");
	const VkMemoryGetFdInfoKHR get_info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.memory = app->memory,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
	};
	VkImportMemoryFdInfoKHR import_info = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
	};
	const VkMemoryAllocateInfo allocate_info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &import_info,
		.allocationSize = BUFFER_SIZE,
	};
	VkDeviceMemory imported;
	VkResult result = get_fd(app->device, &get_info, &import_info.fd);

	if (result != VK_SUCCESS)
		return result;
	result = vkAllocateMemory(app->device, &allocate_info, app->allocator, &imported);
	if (result == VK_SUCCESS)
		vkFreeMemory(app->device, imported, app->allocator);
	else
		close(import_info.fd);
	return result;
}

static VkResult record(struct app *app)
{
	const VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT,
	};
	VkBufferMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
		.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
		.srcQueueFamilyIndex =
			app->can_transfer ? VK_QUEUE_FAMILY_FOREIGN_EXT : VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = app->can_transfer ? 0 : VK_QUEUE_FAMILY_IGNORED,
		.buffer = app->buffer,
		.size = VK_WHOLE_SIZE,
	};
	VkResult result = vkBeginCommandBuffer(app->commands, &begin);

	if (result != VK_SUCCESS)
		return result;
	vkCmdPipelineBarrier(app->commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
			     VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 1, &barrier, 0, NULL);
	vkCmdFillBuffer(app->commands, app->buffer, 0, VK_WHOLE_SIZE, 42);
	barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
	barrier.dstAccessMask = 0;
	barrier.dstQueueFamilyIndex = barrier.srcQueueFamilyIndex;
	barrier.srcQueueFamilyIndex = app->can_transfer ? 0 : VK_QUEUE_FAMILY_IGNORED;
	vkCmdPipelineBarrier(app->commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
			     VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 1, &barrier, 0,
			     NULL);
	return vkEndCommandBuffer(app->commands);
}

static VkResult open_commands(struct app *app)
{
	const VkCommandPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
	};
	VkCommandBufferAllocateInfo allocate_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandBufferCount = 1,
	};
	VkResult result = vkCreateCommandPool(app->device, &pool, app->allocator, &app->pool);

	if (result != VK_SUCCESS)
		return result;
	allocate_info.commandPool = app->pool;
	result = vkAllocateCommandBuffers(app->device, &allocate_info, &app->commands);
	return result == VK_SUCCESS ? record(app) : result;
}

static VkResult open_sync(struct app *app)
{
	const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	const VkSemaphoreTypeCreateInfo type = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
	};
	const VkSemaphoreCreateInfo semaphore = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &type,
	};
	VkResult result = vkCreateFence(app->device, &fence, app->allocator, &app->fence);

	if (result != VK_SUCCESS || !app->can_timeline)
		return result;
	return vkCreateSemaphore(app->device, &semaphore, app->allocator, &app->timeline);
}

VkResult app_open_resources(struct app *app)
{
	VkResult result = open_buffer(app);

	if (result == VK_SUCCESS && app->can_export)
		result = share_memory(app);
	if (result == VK_SUCCESS)
		result = open_commands(app);
	if (result == VK_SUCCESS)
		result = open_sync(app);
	return result;
}

VkResult app_submit(struct app *app, pthread_mutex_t *lock)
{
	const uint64_t value = 1;
	const VkTimelineSemaphoreSubmitInfo timeline = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.signalSemaphoreValueCount = 1,
		.pSignalSemaphoreValues = &value,
	};
	VkSubmitInfo submits[2] = {
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.commandBufferCount = 1,
			.pCommandBuffers = &app->commands,
		},
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.commandBufferCount = 1,
			.pCommandBuffers = &app->commands,
		},
	};
	VkResult result;

	if (app->timeline) {
		submits[1].pNext = &timeline;
		submits[1].signalSemaphoreCount = 1;
		submits[1].pSignalSemaphores = &app->timeline;
	}
	if (lock)
		pthread_mutex_lock(lock);
	result = vkQueueSubmit(app->queue, 2, submits, app->fence);
	if (lock)
		pthread_mutex_unlock(lock);
	if (result != VK_SUCCESS)
		return result;
	return vkWaitForFences(app->device, 1, &app->fence, VK_TRUE, UINT64_MAX);
}

void app_close_resources(struct app *app)
{
	if (!app->device)
		return;
	vkDestroySemaphore(app->device, app->timeline, app->allocator);
	vkDestroyFence(app->device, app->fence, app->allocator);
	vkDestroyCommandPool(app->device, app->pool, app->allocator);
	vkDestroyBuffer(app->device, app->buffer, app->allocator);
	vkFreeMemory(app->device, app->memory, app->allocator);
	app->timeline = VK_NULL_HANDLE;
	app->fence = VK_NULL_HANDLE;
	app->pool = VK_NULL_HANDLE;
	app->commands = VK_NULL_HANDLE;
	app->buffer = VK_NULL_HANDLE;
	app->memory = VK_NULL_HANDLE;
}

void app_close_device(struct app *app)
{
	if (app->device) {
		vkDeviceWaitIdle(app->device);
		app_close_resources(app);
		vkDestroyDevice(app->device, app->allocator);
	}
	app->device = VK_NULL_HANDLE;
}

void app_close(struct app *app)
{
	app_close_device(app);
	if (app->instance)
		vkDestroyInstance(app->instance, app->allocator);
	app->instance = VK_NULL_HANDLE;
}

VkResult app_run(struct app *app)
{
	VkResult result = app_open_instance(app);

	if (result == VK_SUCCESS)
		result = app_open_device(app);
	if (result == VK_SUCCESS)
		result = app_open_resources(app);
	if (result == VK_SUCCESS)
		result = app_submit(app, NULL);
	app_close(app);
	return result;
}
