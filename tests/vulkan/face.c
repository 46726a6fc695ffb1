// SPDX-License-Identifier: MIT
/*
 * What an application sees of the virtual GPUs before it uses them: who they are,
 * their heaps and memory types, and that what can't work over such memory isn't
 * offered. Two devices.
 */
/* provisional extensions, too */
#define VK_ENABLE_BETA_EXTENSIONS
#include "harness.h"

#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

/* ---- Who they are ---- */

struct identity {
	VkPhysicalDeviceDrmPropertiesEXT drm;
	VkPhysicalDeviceIDProperties id;
	VkPhysicalDeviceVulkan11Properties vulkan11;
	VkPhysicalDeviceProperties2 properties;
};

static struct identity *identity_of(VkPhysicalDevice physical)
{
	struct identity *identity = calloc(1, sizeof(*identity));

	check(identity, "no memory");
	identity->drm.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRM_PROPERTIES_EXT;
	identity->id.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES;
	identity->id.pNext = &identity->drm;
	identity->vulkan11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES;
	identity->properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
	identity->properties.pNext = &identity->id;
	vkGetPhysicalDeviceProperties2(physical, &identity->properties);
	/* the same again: the two don't go together in one chain */
	identity->properties.pNext = &identity->vulkan11;
	vkGetPhysicalDeviceProperties2(physical, &identity->properties);
	return identity;
}

static void each_gpu_has_a_name_and_ids_of_its_own(void)
{
	struct identity *identity[8];
	struct instance *instance;
	unsigned int i, j;

	need_gpus(2);
	instance = instance_open();
	for (i = 0; i < num_gpus(); i++) {
		char name[64];

		identity[i] = identity_of(instance->physical[i]);
		snprintf(name, sizeof(name), "Drover virtual GPU %u", i);
		check(!strcmp(identity[i]->properties.properties.deviceName, name),
		      "a device is called \"%s\", expected \"%s\"",
		      identity[i]->properties.properties.deviceName, name);
		check_eq(identity[i]->properties.properties.deviceType,
			 VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU);
		check(!memcmp(identity[i]->id.deviceUUID, identity[i]->vulkan11.deviceUUID,
			      VK_UUID_SIZE),
		      "two ways to ask for the device's UUID, two answers");
		check(!memcmp(identity[i]->id.driverUUID, identity[i]->vulkan11.driverUUID,
			      VK_UUID_SIZE),
		      "two ways to ask for the driver's UUID, two answers");
		for (j = 0; j < i; j++) {
			check(memcmp(identity[i]->id.deviceUUID, identity[j]->id.deviceUUID,
				     VK_UUID_SIZE),
			      "two virtual GPUs have the same UUID");
			check(!memcmp(identity[i]->id.driverUUID, identity[j]->id.driverUUID,
				      VK_UUID_SIZE),
			      "two virtual GPUs of one driver have different driver UUIDs");
			check(identity[i]->properties.properties.deviceID !=
				      identity[j]->properties.properties.deviceID,
			      "two virtual GPUs have the same device ID");
		}
	}
	instance_close(instance);
}

/* In another process as well: descriptors are shared by UUID. */
static void ids_are_the_same_in_every_process(void)
{
	struct identity *mine, *theirs;
	struct instance *instance;
	int pipes[2];
	pid_t child;

	need_gpus(1);
	theirs = calloc(1, sizeof(*theirs));
	check(theirs, "no memory");
	check_sys(pipe(pipes));
	child = test_fork();
	if (!child) {
		instance = instance_open();
		mine = identity_of(instance->physical[0]);
		check_eq(check_sys(write(pipes[1], mine, sizeof(*mine))), sizeof(*mine));
		test_exit();
	}
	check_eq(check_sys(read(pipes[0], theirs, sizeof(*theirs))), sizeof(*theirs));
	test_join(child);
	instance = instance_open();
	mine = identity_of(instance->physical[0]);
	check(!memcmp(mine->id.deviceUUID, theirs->id.deviceUUID, VK_UUID_SIZE),
	      "the same GPU has different UUIDs in two processes");
	check_eq(mine->drm.renderMinor, theirs->drm.renderMinor);
	instance_close(instance);
}

/* instance_open() knows each by its render node; their order has to be the nodes'. */
static void gpus_come_in_the_order_of_their_nodes(void)
{
	VkPhysicalDeviceGroupProperties groups[8] = {0};
	VkPhysicalDevice physical[8];
	struct instance *instance;
	uint32_t i, j, count = ARRAY_SIZE(physical), found = 0;

	need_gpus(2);
	instance = instance_open();
	check_vk(vkEnumeratePhysicalDevices(instance->handle, &count, physical));
	for (i = 0; i < count; i++)
		check(physical[i] == instance->physical[i], "Vulkan device %u isn't virtual GPU %u",
		      i, i);
	count = 1;
	check_result(vkEnumeratePhysicalDevices(instance->handle, &count, physical), VK_INCOMPLETE);
	check_eq(count, 1);
	check(physical[0] == instance->physical[0],
	      "an incomplete list begins with another device");
	count = ARRAY_SIZE(groups);
	for (i = 0; i < count; i++)
		groups[i].sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_GROUP_PROPERTIES;
	check_vk(vkEnumeratePhysicalDeviceGroups(instance->handle, &count, groups));
	check_eq(count, num_gpus());
	for (i = 0; i < count; i++)
		for (j = 0; j < num_gpus(); j++)
			found += groups[i].physicalDeviceCount == 1 &&
				 groups[i].physicalDevices[0] == instance->physical[j];
	check_eq(found, num_gpus());
	instance_close(instance);
}

/* ---- Heaps and types ---- */

static void heaps_are_the_gpus_memory(void)
{
	unsigned int i, j;

	need_gpus(1);
	for (i = 0; i < num_gpus(); i++) {
		const VkMemoryPropertyFlags vram = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
						   VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
						   VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
		const VkMemoryPropertyFlags gtt = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
						  VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
						  VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
		struct drm_drover_device_info info = gpu_info(i);
		struct device *device = vulkan_device_open(NULL, i);
		const VkPhysicalDeviceMemoryProperties *memory = &device->memory;

		check_eq(memory->memoryHeapCount, 2);
		for (j = 0; j < memory->memoryTypeCount; j++) {
			const VkMemoryType *type = &memory->memoryTypes[j];
			const VkMemoryHeap *heap = &memory->memoryHeaps[type->heapIndex];
			bool local = type->propertyFlags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;

			check_eq(type->propertyFlags, local ? vram : gtt);
			check_eq(heap->size, local ? info.vram_size : info.gtt_size);
			check_eq(heap->flags, local ? VK_MEMORY_HEAP_DEVICE_LOCAL_BIT : 0);
		}
		check(vram_type(device) < gtt_type(device),
		      "GTT comes before VRAM: applications take the first type that fits");
		vulkan_device_close(device);
	}
}

/* ---- What isn't offered ---- */

static void sparse_memory_is_hidden(void)
{
	VkQueueFamilyProperties families[8];
	VkSparseImageFormatProperties sparse[4];
	VkPhysicalDeviceProperties properties;
	VkPhysicalDeviceFeatures features;
	struct instance *instance;
	VkPhysicalDevice physical;
	uint32_t i, count = ARRAY_SIZE(families);

	need_gpus(1);
	instance = instance_open();
	physical = instance->physical[0];
	vkGetPhysicalDeviceFeatures(physical, &features);
	check(!features.sparseBinding && !features.sparseResidencyBuffer &&
		      !features.sparseResidencyImage2D && !features.sparseResidencyImage3D &&
		      !features.sparseResidencyAliased && !features.shaderResourceResidency,
	      "a sparse feature is offered");
	vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
	check(count, "there is no queue family");
	for (i = 0; i < count; i++)
		check(!(families[i].queueFlags & VK_QUEUE_SPARSE_BINDING_BIT),
		      "queue family %u can bind sparse memory", i);
	vkGetPhysicalDeviceProperties(physical, &properties);
	check_eq(properties.limits.sparseAddressSpaceSize, 0);
	check(!properties.sparseProperties.residencyStandard2DBlockShape,
	      "sparse properties are told");
	count = ARRAY_SIZE(sparse);
	vkGetPhysicalDeviceSparseImageFormatProperties(physical, VK_FORMAT_R8G8B8A8_UNORM,
						       VK_IMAGE_TYPE_2D, VK_SAMPLE_COUNT_1_BIT,
						       VK_IMAGE_USAGE_SAMPLED_BIT,
						       VK_IMAGE_TILING_OPTIMAL, &count, sparse);
	check_eq(count, 0);
	instance_close(instance);
}

static void a_device_with_sparse_binding_is_refused(void)
{
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	const VkPhysicalDeviceFeatures features = {.sparseBinding = VK_TRUE};
	const VkPhysicalDeviceFeatures2 features2 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
		.features = features,
	};
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.pEnabledFeatures = &features,
	};
	struct instance *instance;
	VkDevice device;

	need_gpus(1);
	instance = instance_open();
	instance->messages_expected = true;
	check_result(vkCreateDevice(instance->physical[0], &info, NULL, &device),
		     VK_ERROR_FEATURE_NOT_PRESENT);
	info.pEnabledFeatures = NULL;
	info.pNext = &features2;
	check_result(vkCreateDevice(instance->physical[0], &info, NULL, &device),
		     VK_ERROR_FEATURE_NOT_PRESENT);
	instance_close(instance);
}

static bool offers(VkPhysicalDevice physical, const char *name)
{
	VkExtensionProperties extensions[512];
	uint32_t i, count = ARRAY_SIZE(extensions);

	check_vk(vkEnumerateDeviceExtensionProperties(physical, NULL, &count, extensions));
	for (i = 0; i < count; i++)
		if (!strcmp(extensions[i].extensionName, name))
			return true;
	return false;
}

static void extensions_that_cannot_work_are_hidden(void)
{
	static const char *const hidden[] = {
		"VK_EXT_map_memory_placed",
		"VK_EXT_zero_initialize_device_memory",
		"VK_EXT_device_generated_commands",
		"VK_ANDROID_external_memory_android_hardware_buffer",
	};
	static const char *const offered[] = {
		"VK_KHR_external_memory_fd",
		"VK_EXT_external_memory_dma_buf",
		"VK_EXT_external_memory_host",
		"VK_EXT_queue_family_foreign",
		"VK_EXT_memory_budget",
		"VK_EXT_memory_priority",
		"VK_EXT_physical_device_drm",
		"VK_KHR_swapchain",
		"VK_EXT_image_drm_format_modifier",
	};
	struct instance *instance;
	unsigned int i;

	need_gpus(1);
	instance = instance_open();
	for (i = 0; i < ARRAY_SIZE(hidden); i++)
		check(!offers(instance->physical[0], hidden[i]), "%s is offered", hidden[i]);
	for (i = 0; i < ARRAY_SIZE(offered); i++)
		check(offers(instance->physical[0], offered[i]), "%s isn't offered", offered[i]);
	instance_close(instance);
}

/* By the registry. */
static const struct feature_structure {
	/* with any of these, separated by spaces, it may be asked for */
	const char *extensions;
	VkStructureType type;
	size_t size;
} feature_structures[] = {
#define FEATURES(extensions, type, structure) {extensions, type, sizeof(structure)},
#include "features.inc"
#undef FEATURES
};

static bool offers_any(VkPhysicalDevice physical, const char *names)
{
	char copy[512], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", names);
	while ((name = strsep(&rest, " ")))
		if (offers(physical, name))
			return true;
	return false;
}

static bool has_a_feature(VkPhysicalDevice physical, const struct feature_structure *structure)
{
	VkPhysicalDeviceFeatures2 features = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
	};
	VkBaseOutStructure *asked = calloc(1, structure->size);
	const VkBool32 *bits = (const VkBool32 *)(asked + 1);
	size_t i, count = (structure->size - sizeof(*asked)) / sizeof(*bits);
	bool found = false;

	check(asked, "no memory");
	asked->sType = structure->type;
	features.pNext = asked;
	vkGetPhysicalDeviceFeatures2(physical, &features);
	for (i = 0; i < count; i++)
		found |= bits[i];
	free(asked);
	return found;
}

static void features_of_hidden_extensions_are_hidden(void)
{
	unsigned int i, num_hidden = 0, num_offered = 0;
	struct instance *instance;

	need_gpus(1);
	instance = instance_open();
	/* about structures of extensions that aren't there */
	instance->messages_expected = true;
	for (i = 0; i < ARRAY_SIZE(feature_structures); i++) {
		const struct feature_structure *structure = &feature_structures[i];
		bool has = has_a_feature(instance->physical[0], structure);

		if (offers_any(instance->physical[0], structure->extensions)) {
			num_offered += has;
			continue;
		}
		num_hidden++;
		check(!has,
		      "%s is hidden, and a feature of it is there: hide it in "
		      "layers/working_set/features.c",
		      structure->extensions);
	}
	check(num_hidden && num_offered, "%u are hidden, %u are there: these aren't the features",
	      num_hidden, num_offered);
	instance_close(instance);
}

/* With the host's own memory the driver alone can't do without: still no trace of it. */
static void an_application_that_asks_for_nothing_gets_nothing(void)
{
	const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	const VkDeviceCreateInfo device_info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
	};
	static const char *const absent[] = {
		"vkGetMemoryFdKHR",       "vkGetMemoryHostPointerPropertiesEXT",
		"vkImportSemaphoreFdKHR", "vkQueueSubmit2KHR",
		"vkNoSuchFunction",
	};
	VkPhysicalDevice physical;
	VkInstance instance;
	uint32_t i, count = 1;
	VkDevice device;

	check_vk(vkCreateInstance(&info, NULL, &instance));
	check_result(vkEnumeratePhysicalDevices(instance, &count, &physical),
		     num_gpus() > 1 ? VK_INCOMPLETE : VK_SUCCESS);
	check_vk(vkCreateDevice(physical, &device_info, NULL, &device));
	for (i = 0; i < ARRAY_SIZE(absent); i++)
		check(!vkGetDeviceProcAddr(device, absent[i]),
		      "%s is there, and nobody asked for it", absent[i]);
	check(vkGetDeviceProcAddr(device, "vkAllocateMemory"), "vkAllocateMemory isn't there");
	vkDestroyDevice(device, NULL);
	vkDestroyInstance(instance, NULL);
}

static const struct test tests[] = {
	TEST(each_gpu_has_a_name_and_ids_of_its_own),
	TEST(ids_are_the_same_in_every_process),
	TEST(gpus_come_in_the_order_of_their_nodes),
	TEST(heaps_are_the_gpus_memory),
	TEST(sparse_memory_is_hidden),
	TEST(a_device_with_sparse_binding_is_refused),
	TEST(extensions_that_cannot_work_are_hidden),
	TEST(features_of_hidden_extensions_are_hidden),
	TEST(an_application_that_asks_for_nothing_gets_nothing),
};

int main(int argc, char **argv)
{
	return vulkan_main("vulkan-face", tests, ARRAY_SIZE(tests), argc, argv);
}
