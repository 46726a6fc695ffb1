// SPDX-License-Identifier: MIT
/*
 * Prints all that an application can learn of a driver, one fact a line, so that two runs can be
 * compared: layer-facts VERSION (Vulkan's minor version), or VERSION all: with all extensions enabled. The
 * driver and the layers come from the environment.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vulkan/vulkan.h>
#include <vulkan/vk_enum_string_helper.h>

static const char *const commands[] = {
#include "commands.inc"
};

#define NUM_COMMANDS   (sizeof(commands) / sizeof(commands[0]))
#define MAX_EXTENSIONS 512
#define MAX_DEVICES    8

static uint32_t version;
static const char *instance_extensions[MAX_EXTENSIONS];

static void print_bytes(const char *what, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	printf("%s ", what);
	for (size_t i = 0; i < size; i++)
		printf("%02x", bytes[i]);
	printf("\n");
}

/* Drivers copy what happens to be in the padding. */
#define print_value(what, value)                            \
	do {                                                \
		__builtin_clear_padding(&(value));          \
		print_bytes(what, &(value), sizeof(value)); \
	} while (0)

static void must(VkResult result, const char *what)
{
	if (result == VK_SUCCESS)
		return;
	fprintf(stderr, "%s: %s\n", what, string_VkResult(result));
	exit(1);
}

/* ---- Extensions ---- */

static uint32_t print_extensions(const char *what, const VkExtensionProperties *list,
				 uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		printf("%s %s %u\n", what, list[i].extensionName, list[i].specVersion);
	return count;
}

static VkInstance create_instance(bool all)
{
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = version,
	};
	VkInstanceCreateInfo create_info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
		.ppEnabledExtensionNames = instance_extensions,
	};
	static VkExtensionProperties list[MAX_EXTENSIONS];
	uint32_t count = MAX_EXTENSIONS;
	VkInstance instance;

	must(vkEnumerateInstanceExtensionProperties(NULL, &count, list), "instance extensions");
	print_extensions("instance-extension", list, count);
	for (uint32_t i = 0; all && i < count; i++)
		/* these would make the loader look for drivers elsewhere */
		if (!strstr(list[i].extensionName, "portability") &&
		    !strstr(list[i].extensionName, "direct_driver_loading"))
			instance_extensions[create_info.enabledExtensionCount++] =
				list[i].extensionName;
	must(vkCreateInstance(&create_info, NULL, &instance), "vkCreateInstance");
	return instance;
}

static VkDevice create_device(VkPhysicalDevice physical_device, bool all)
{
	static const char *names[MAX_EXTENSIONS];
	static VkExtensionProperties list[MAX_EXTENSIONS];
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
		.ppEnabledExtensionNames = names,
	};
	uint32_t count = MAX_EXTENSIONS;
	VkDevice device = VK_NULL_HANDLE;

	must(vkEnumerateDeviceExtensionProperties(physical_device, NULL, &count, list),
	     "device extensions");
	print_extensions("device-extension", list, count);
	for (uint32_t i = 0; all && i < count; i++)
		names[create_info.enabledExtensionCount++] = list[i].extensionName;
	printf("vkCreateDevice %s\n",
	       string_VkResult(vkCreateDevice(physical_device, &create_info, NULL, &device)));
	return device;
}

/* ---- Commands ---- */

static void print_commands(VkInstance instance, VkDevice device)
{
	for (size_t i = 0; i < NUM_COMMANDS; i++) {
		printf("vkGetInstanceProcAddr(NULL) %s %d\n", commands[i],
		       vkGetInstanceProcAddr(NULL, commands[i]) != NULL);
		printf("vkGetInstanceProcAddr %s %d\n", commands[i],
		       vkGetInstanceProcAddr(instance, commands[i]) != NULL);
		if (device)
			printf("vkGetDeviceProcAddr %s %d\n", commands[i],
			       vkGetDeviceProcAddr(device, commands[i]) != NULL);
	}
	printf("vkGetInstanceProcAddr vkNoSuchCommand %d\n",
	       vkGetInstanceProcAddr(instance, "vkNoSuchCommand") != NULL);
}

/* ---- Physical devices ---- */

static void print_core(VkPhysicalDevice physical_device)
{
	VkPhysicalDeviceProperties properties = {0};
	VkPhysicalDeviceFeatures features = {0};
	VkPhysicalDeviceMemoryProperties memory = {0};
	VkQueueFamilyProperties families[16] = {0};
	uint32_t count = 16;

	vkGetPhysicalDeviceProperties(physical_device, &properties);
	printf("device-name %s\n", properties.deviceName);
	print_value("properties", properties);
	vkGetPhysicalDeviceFeatures(physical_device, &features);
	print_value("features", features);
	vkGetPhysicalDeviceMemoryProperties(physical_device, &memory);
	print_value("memory", memory);
	vkGetPhysicalDeviceQueueFamilyProperties(physical_device, &count, families);
	print_bytes("queue-families", families, count * sizeof(families[0]));
}

/* One structure in the chain of a question; the pointer to the next isn't a fact. */
#define ASK(question, member, structure_type, type_name, chained)                             \
	do {                                                                                  \
		chained answer = {.sType = VK_STRUCTURE_TYPE_##type_name};                    \
		structure_type all = {.sType = VK_STRUCTURE_TYPE_##member, .pNext = &answer}; \
		question(physical_device, &all);                                              \
		print_bytes(#chained, (char *)&answer + sizeof(VkBaseOutStructure),           \
			    sizeof(answer) - sizeof(VkBaseOutStructure));                     \
	} while (0)
#define PROPERTIES(type_name, chained)                                    \
	ASK(vkGetPhysicalDeviceProperties2, PHYSICAL_DEVICE_PROPERTIES_2, \
	    VkPhysicalDeviceProperties2, type_name, chained)
#define FEATURES(type_name, chained)                                                             \
	ASK(vkGetPhysicalDeviceFeatures2, PHYSICAL_DEVICE_FEATURES_2, VkPhysicalDeviceFeatures2, \
	    type_name, chained)

static void print_newer(VkPhysicalDevice physical_device, uint32_t device_version)
{
	PROPERTIES(PHYSICAL_DEVICE_ID_PROPERTIES, VkPhysicalDeviceIDProperties);
	PROPERTIES(PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, VkPhysicalDeviceSubgroupProperties);
	PROPERTIES(PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES,
		   VkPhysicalDeviceMaintenance3Properties);
	FEATURES(PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES, VkPhysicalDevice16BitStorageFeatures);
	FEATURES(PHYSICAL_DEVICE_PROTECTED_MEMORY_FEATURES,
		 VkPhysicalDeviceProtectedMemoryFeatures);
	if (version < VK_API_VERSION_1_2 || device_version < VK_API_VERSION_1_2)
		return;
	PROPERTIES(PHYSICAL_DEVICE_DRIVER_PROPERTIES, VkPhysicalDeviceDriverProperties);
	PROPERTIES(PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES, VkPhysicalDeviceVulkan11Properties);
	PROPERTIES(PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES, VkPhysicalDeviceVulkan12Properties);
	FEATURES(PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, VkPhysicalDeviceVulkan11Features);
	FEATURES(PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, VkPhysicalDeviceVulkan12Features);
	if (version < VK_API_VERSION_1_3 || device_version < VK_API_VERSION_1_3)
		return;
	PROPERTIES(PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES, VkPhysicalDeviceVulkan13Properties);
	FEATURES(PHYSICAL_DEVICE_VULKAN_1_3_FEATURES, VkPhysicalDeviceVulkan13Features);
	if (version < VK_API_VERSION_1_4 || device_version < VK_API_VERSION_1_4)
		return;
	FEATURES(PHYSICAL_DEVICE_VULKAN_1_4_FEATURES, VkPhysicalDeviceVulkan14Features);
}

static void print_formats(VkPhysicalDevice physical_device)
{
	for (VkFormat format = 0; format <= VK_FORMAT_ASTC_12x12_SRGB_BLOCK; format++) {
		VkFormatProperties properties = {0};

		vkGetPhysicalDeviceFormatProperties(physical_device, format, &properties);
		printf("format %d ", format);
		print_value("", properties);
		for (VkImageTiling tiling = 0; tiling < 2; tiling++) {
			VkImageFormatProperties image = {0};
			VkResult result = vkGetPhysicalDeviceImageFormatProperties(
				physical_device, format, VK_IMAGE_TYPE_2D, tiling,
				VK_IMAGE_USAGE_SAMPLED_BIT, 0, &image);

			printf("image-format %d %d %s ", format, tiling, string_VkResult(result));
			print_value("", image);
		}
	}
}

static void print_external_image(VkPhysicalDevice physical_device, uint32_t type)
{
	const VkPhysicalDeviceExternalImageFormatInfo external_info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO,
		.handleType = type,
	};
	const VkPhysicalDeviceImageFormatInfo2 info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
		.pNext = &external_info,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.type = VK_IMAGE_TYPE_2D,
		.tiling = VK_IMAGE_TILING_LINEAR,
		.usage = VK_IMAGE_USAGE_SAMPLED_BIT,
	};
	VkExternalImageFormatProperties external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES};
	VkImageFormatProperties2 properties = {.sType = VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2,
					       .pNext = &external};
	VkResult result =
		vkGetPhysicalDeviceImageFormatProperties2(physical_device, &info, &properties);

	printf("external-image %#x %s ", type, string_VkResult(result));
	print_value("", external.externalMemoryProperties);
}

static void print_external(VkPhysicalDevice physical_device)
{
	for (uint32_t type = 1; type <= VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT; type *= 2) {
		const VkPhysicalDeviceExternalBufferInfo info = {
			.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
			.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
			.handleType = type,
		};
		VkExternalBufferProperties buffer = {
			.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES};

		vkGetPhysicalDeviceExternalBufferProperties(physical_device, &info, &buffer);
		printf("external-buffer %#x ", type);
		print_value("", buffer.externalMemoryProperties);
		print_external_image(physical_device, type);
	}
	for (uint32_t type = 1; type <= VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT; type *= 2) {
		const VkPhysicalDeviceExternalSemaphoreInfo info = {
			.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
			.handleType = type,
		};
		VkExternalSemaphoreProperties semaphore = {
			.sType = VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES};

		vkGetPhysicalDeviceExternalSemaphoreProperties(physical_device, &info, &semaphore);
		printf("external-semaphore %#x %#x %#x %#x\n", type,
		       semaphore.exportFromImportedHandleTypes, semaphore.compatibleHandleTypes,
		       semaphore.externalSemaphoreFeatures);
	}
}

/* ---- Memory ---- */

static void print_memory(VkPhysicalDevice physical_device, VkDevice device)
{
	const VkBufferCreateInfo create_info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = 10000,
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
	};
	VkPhysicalDeviceMemoryProperties properties;
	VkMemoryRequirements requirements = {0};
	VkBuffer buffer;

	must(vkCreateBuffer(device, &create_info, NULL, &buffer), "vkCreateBuffer");
	vkGetBufferMemoryRequirements(device, buffer, &requirements);
	print_value("requirements", requirements);
	vkDestroyBuffer(device, buffer, NULL);

	vkGetPhysicalDeviceMemoryProperties(physical_device, &properties);
	for (uint32_t i = 0; i < properties.memoryTypeCount; i++) {
		const VkMemoryAllocateInfo info = {
			.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
			.allocationSize = 65536,
			.memoryTypeIndex = i,
		};
		VkDeviceMemory memory = VK_NULL_HANDLE;

		printf("vkAllocateMemory %u %s\n", i,
		       string_VkResult(vkAllocateMemory(device, &info, NULL, &memory)));
		vkFreeMemory(device, memory, NULL);
	}
}

int main(int argc, char **argv)
{
	bool all = argc > 2;
	VkPhysicalDevice physical_devices[MAX_DEVICES];
	VkPhysicalDeviceProperties properties;
	uint32_t count = MAX_DEVICES;
	VkInstance instance;

	if (argc < 2)
		return 2;
	version = VK_MAKE_API_VERSION(0, 1, atoi(argv[1]), 0);
	instance = create_instance(all);
	must(vkEnumeratePhysicalDevices(instance, &count, physical_devices), "physical devices");
	printf("physical-devices %u\n", count);
	for (uint32_t i = 0; i < count; i++) {
		VkDevice device = create_device(physical_devices[i], all);

		print_commands(instance, device);
		print_core(physical_devices[i]);
		print_formats(physical_devices[i]);
		vkGetPhysicalDeviceProperties(physical_devices[i], &properties);
		if (version >= VK_API_VERSION_1_1 && properties.apiVersion >= VK_API_VERSION_1_1) {
			print_newer(physical_devices[i], properties.apiVersion);
			print_external(physical_devices[i]);
		}
		if (!device)
			continue;
		print_memory(physical_devices[i], device);
		vkDestroyDevice(device, NULL);
	}
	vkDestroyInstance(instance, NULL);
	return 0;
}
