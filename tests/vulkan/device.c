// SPDX-License-Identifier: MIT
/* Instances whose messages fail the test, devices, and the pipelines of all shaders; see harness.h. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fill.h"
#include "check.h"
#include "mix.h"
#include "image_fill.h"
#include "image_check.h"

void test_check_result(const char *file, int line, const char *what, VkResult actual,
		       VkResult expected)
{
	if (actual != expected)
		test_fail(file, line, "%s: %s, expected %s", what, string_VkResult(actual),
			  string_VkResult(expected));
}

/* ---- Instances ---- */

static VkBool32 VKAPI_PTR message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
				  VkDebugUtilsMessageTypeFlagsEXT types,
				  const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
	const char *name = data->pMessageIdName ? data->pMessageIdName : "";
	struct instance *instance = user;

	(void)types;
	/* the loader warns of its own environment variables */
	if (severity == VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT &&
	    !strcmp(name, "Loader Message"))
		return VK_FALSE;
	instance->num_messages++;
	if (!instance->messages_expected)
		die("message: %s: %s", name, data->pMessage);
	return VK_FALSE;
}

static VkDebugUtilsMessengerCreateInfoEXT messenger_info(struct instance *instance)
{
	return (VkDebugUtilsMessengerCreateInfoEXT){
		.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
		.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
				   VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
		.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT |
			       VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
			       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
		.pfnUserCallback = message,
		.pUserData = instance,
	};
}

static void create_instance(struct instance *instance)
{
	const char *extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pApplicationName = "drover-test",
		.apiVersion = VK_API_VERSION_1_3,
	};
	const VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info(instance);
	const VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pNext = &messenger,
		.pApplicationInfo = &application,
		.enabledExtensionCount = 1,
		.ppEnabledExtensionNames = &extension,
	};
	PFN_vkCreateDebugUtilsMessengerEXT create;

	check_vk(vkCreateInstance(&info, NULL, &instance->handle));
	create = (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
		instance->handle, "vkCreateDebugUtilsMessengerEXT");
	check_vk(create(instance->handle, &messenger, NULL, &instance->messenger));
}

/* Which of drover's devices has a physical device's render node; -1: none. */
static int gpu_of(VkPhysicalDevice physical)
{
	VkPhysicalDeviceDrmPropertiesEXT drm = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRM_PROPERTIES_EXT,
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
		.pNext = &drm,
	};
	unsigned int i;

	vkGetPhysicalDeviceProperties2(physical, &properties);
	for (i = 0; drm.hasRender && i < num_gpus(); i++) {
		struct drover_device *dev = device_open(i);
		struct stat stat;

		check_sys(fstat(drover_device_fd(dev), &stat));
		drover_device_close(dev);
		if (drm.renderMajor == major(stat.st_rdev) &&
		    drm.renderMinor == minor(stat.st_rdev))
			return i;
	}
	return -1;
}

struct instance *instance_open(void)
{
	struct instance *instance = calloc(1, sizeof(*instance));
	VkPhysicalDevice physical[ARRAY_SIZE(instance->physical)];
	uint32_t i, count = ARRAY_SIZE(physical);

	check(instance, "no memory");
	create_instance(instance);
	check_vk(vkEnumeratePhysicalDevices(instance->handle, &count, physical));
	check_eq(count, num_gpus());
	for (i = 0; i < count; i++) {
		int gpu = is_plain() ? (int)i : gpu_of(physical[i]);

		check(gpu >= 0,
		      "Vulkan device %u is none of the virtual GPUs: is the layer's mode virtual?",
		      i);
		check(!instance->physical[gpu],
		      "two Vulkan devices say that they are virtual GPU %d", gpu);
		instance->physical[gpu] = physical[i];
	}
	return instance;
}

void instance_close(struct instance *instance)
{
	PFN_vkDestroyDebugUtilsMessengerEXT destroy =
		(PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
			instance->handle, "vkDestroyDebugUtilsMessengerEXT");

	destroy(instance->handle, instance->messenger, NULL);
	vkDestroyInstance(instance->handle, NULL);
	free(instance);
}

/* ---- Devices ---- */

struct extensions {
	const char *names[16];
	uint32_t count;
};

static bool enable(VkPhysicalDevice physical, struct extensions *extensions, const char *name)
{
	VkExtensionProperties *offered;
	uint32_t i, count = 0;
	bool found = false;

	check_vk(vkEnumerateDeviceExtensionProperties(physical, NULL, &count, NULL));
	offered = calloc(count, sizeof(*offered));
	check(offered, "no memory");
	check_vk(vkEnumerateDeviceExtensionProperties(physical, NULL, &count, offered));
	for (i = 0; i < count && !found; i++)
		found = !strcmp(offered[i].extensionName, name);
	free(offered);
	if (found)
		extensions->names[extensions->count++] = name;
	return found;
}

static void choose_extensions(struct device *device, struct extensions *extensions)
{
	VkPhysicalDevice physical = device->physical;

	enable(physical, extensions, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME);
	enable(physical, extensions, VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME);
	device->has_dma_buf =
		enable(physical, extensions, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME);
	device->has_modifiers =
		enable(physical, extensions, VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME);
	device->has_host_import =
		enable(physical, extensions, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
	device->has_budget = enable(physical, extensions, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
	device->has_priority = enable(physical, extensions, VK_EXT_MEMORY_PRIORITY_EXTENSION_NAME);
	device->has_pageable =
		device->has_priority &&
		enable(physical, extensions, VK_EXT_PAGEABLE_DEVICE_LOCAL_MEMORY_EXTENSION_NAME);
}

static void create_device(struct device *device)
{
	VkPhysicalDevicePageableDeviceLocalMemoryFeaturesEXT pageable = {
		.sType =
			VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PAGEABLE_DEVICE_LOCAL_MEMORY_FEATURES_EXT,
		.pageableDeviceLocalMemory = VK_TRUE,
	};
	VkPhysicalDeviceMemoryPriorityFeaturesEXT priority = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PRIORITY_FEATURES_EXT,
		.memoryPriority = VK_TRUE,
	};
	VkPhysicalDeviceTimelineSemaphoreFeatures timeline = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
		.timelineSemaphore = VK_TRUE,
	};
	const float queue_priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueFamilyIndex = device->family,
		.queueCount = 1,
		.pQueuePriorities = &queue_priority,
	};
	struct extensions extensions = {0};
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = &timeline,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
	};

	choose_extensions(device, &extensions);
	info.enabledExtensionCount = extensions.count;
	info.ppEnabledExtensionNames = extensions.names;
	if (device->has_priority)
		timeline.pNext = &priority;
	if (device->has_pageable)
		priority.pNext = &pageable;
	check_vk(vkCreateDevice(device->physical, &info, NULL, &device->handle));
	vkGetDeviceQueue(device->handle, device->family, 0, &device->queue);
}

#define GET(name) (PFN_##name) vkGetDeviceProcAddr(device->handle, #name)

static void get_functions(struct device *device)
{
	device->get_memory_fd = GET(vkGetMemoryFdKHR);
	device->get_memory_fd_properties = GET(vkGetMemoryFdPropertiesKHR);
	device->get_host_pointer_properties = GET(vkGetMemoryHostPointerPropertiesEXT);
	device->set_memory_priority = GET(vkSetDeviceMemoryPriorityEXT);
}

/* One layout for all shaders: three storage buffers, one storage image, three numbers. */
static void create_layouts(struct device *device)
{
	VkDescriptorSetLayoutBinding bindings[4];
	const VkDescriptorSetLayoutCreateInfo set = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
		.bindingCount = ARRAY_SIZE(bindings),
		.pBindings = bindings,
	};
	const VkPushConstantRange range = {
		.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
		.size = 3 * sizeof(uint32_t),
	};
	const VkPipelineLayoutCreateInfo pipeline = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.setLayoutCount = 1,
		.pSetLayouts = &device->set_layout,
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &range,
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(bindings); i++)
		bindings[i] = (VkDescriptorSetLayoutBinding){
			.binding = i,
			.descriptorType = i < 3 ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
						: VK_DESCRIPTOR_TYPE_STORAGE_IMAGE,
			.descriptorCount = 1,
			.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
		};
	check_vk(vkCreateDescriptorSetLayout(device->handle, &set, NULL, &device->set_layout));
	check_vk(vkCreatePipelineLayout(device->handle, &pipeline, NULL, &device->pipeline_layout));
}

static void create_pipeline(struct device *device, enum shader shader, const uint32_t *code,
			    size_t size)
{
	const VkShaderModuleCreateInfo module_info = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = size,
		.pCode = code,
	};
	VkComputePipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.stage =
			{
				.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
				.stage = VK_SHADER_STAGE_COMPUTE_BIT,
				.pName = "main",
			},
		.layout = device->pipeline_layout,
	};

	check_vk(vkCreateShaderModule(device->handle, &module_info, NULL, &info.stage.module));
	check_vk(vkCreateComputePipelines(device->handle, VK_NULL_HANDLE, 1, &info, NULL,
					  &device->pipelines[shader]));
	vkDestroyShaderModule(device->handle, info.stage.module, NULL);
}

static uint32_t compute_family(VkPhysicalDevice physical)
{
	VkQueueFamilyProperties families[8];
	uint32_t i, count = ARRAY_SIZE(families);

	vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
	for (i = 0; i < count; i++)
		if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)
			return i;
	die("no queue family can compute");
}

struct device *vulkan_device_open(struct instance *instance, unsigned int gpu)
{
	struct device *device = calloc(1, sizeof(*device));
	VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};

	check(device, "no memory");
	check(gpu < num_gpus(), "there is no virtual GPU %u", gpu);
	device->owns_instance = !instance;
	device->instance = instance ? instance : instance_open();
	device->gpu = gpu;
	device->physical = device->instance->physical[gpu];
	device->family = compute_family(device->physical);
	vkGetPhysicalDeviceMemoryProperties(device->physical, &device->memory);
	create_device(device);
	get_functions(device);
	pool.queueFamilyIndex = device->family;
	check_vk(vkCreateCommandPool(device->handle, &pool, NULL, &device->pool));
	create_layouts(device);
	create_pipeline(device, SHADER_FILL, fill_spv, sizeof(fill_spv));
	create_pipeline(device, SHADER_CHECK, check_spv, sizeof(check_spv));
	create_pipeline(device, SHADER_MIX, mix_spv, sizeof(mix_spv));
	create_pipeline(device, SHADER_IMAGE_FILL, image_fill_spv, sizeof(image_fill_spv));
	create_pipeline(device, SHADER_IMAGE_CHECK, image_check_spv, sizeof(image_check_spv));
	return device;
}

void vulkan_device_close(struct device *device)
{
	unsigned int i;

	for (i = 0; i < NUM_SHADERS; i++)
		vkDestroyPipeline(device->handle, device->pipelines[i], NULL);
	vkDestroyPipelineLayout(device->handle, device->pipeline_layout, NULL);
	vkDestroyDescriptorSetLayout(device->handle, device->set_layout, NULL);
	vkDestroyCommandPool(device->handle, device->pool, NULL);
	vkDestroyDevice(device->handle, NULL);
	if (device->owns_instance)
		instance_close(device->instance);
	free(device);
}

VkSemaphore timeline_new(VkDevice device)
{
	const VkSemaphoreTypeCreateInfo type = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
	};
	const VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &type,
	};
	VkSemaphore semaphore;

	check_vk(vkCreateSemaphore(device, &info, NULL, &semaphore));
	return semaphore;
}
