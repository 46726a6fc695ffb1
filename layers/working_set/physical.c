// SPDX-License-Identifier: MIT
/*
 * Owns the face of a virtual GPU: what its physical device says of itself, and what a device of it
 * may be created with. What isn't about memory or identity stays the driver's word.
 */
#include <string.h>
#include <sys/sysmacros.h>

#include "physical.h"

const struct virtual_gpu *physical_gpu_of(VkPhysicalDevice handle)
{
	const struct layer_physical_device *physical_device = layer_physical_device_of(handle);

	return physical_device ? physical_device->virtual_gpu : NULL;
}

static bool has_virtual_gpus(const struct layer_instance *instance)
{
	return instance->virtual_gpus;
}

static bool is_virtual(const struct layer_device *device)
{
	return device->virtual_gpu;
}

/* ---- Enumeration: decides which device is which before the application sees one ---- */

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_physical_devices(VkInstance handle, uint32_t *count,
								 VkPhysicalDevice *physical_devices)
{
	struct layer_instance *instance = layer_instance_of(handle);
	VkResult result = layer_physical_devices_enumerate(instance);

	if (result != VK_SUCCESS)
		return result;
	return instance->below[LAYER_MODULE_PHYSICAL].EnumeratePhysicalDevices(handle, count,
									       physical_devices);
}

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_groups(VkInstance handle, uint32_t *count,
						       VkPhysicalDeviceGroupProperties *groups)
{
	struct layer_instance *instance = layer_instance_of(handle);
	VkResult result = layer_physical_devices_enumerate(instance);

	if (result != VK_SUCCESS)
		return result;
	return instance->below[LAYER_MODULE_PHYSICAL].EnumeratePhysicalDeviceGroups(handle, count,
										    groups);
}

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_groups_khr(VkInstance handle, uint32_t *count,
							   VkPhysicalDeviceGroupProperties *groups)
{
	struct layer_instance *instance = layer_instance_of(handle);
	VkResult result = layer_physical_devices_enumerate(instance);

	if (result != VK_SUCCESS)
		return result;
	return instance->below[LAYER_MODULE_PHYSICAL].EnumeratePhysicalDeviceGroupsKHR(
		handle, count, groups);
}

/* ---- Properties ---- */

static void change_properties(const struct virtual_gpu *gpu, VkPhysicalDeviceProperties *properties)
{
	memset(properties->deviceName, 0, sizeof(properties->deviceName));
	strcpy(properties->deviceName, gpu->name);
	properties->deviceType = VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU;
	properties->deviceID = gpu->device_id;
	properties->limits.sparseAddressSpaceSize = 0;
	properties->sparseProperties = (VkPhysicalDeviceSparseProperties){0};
}

static void change_drm(const struct virtual_gpu *gpu, VkPhysicalDeviceDrmPropertiesEXT *drm)
{
	drm->hasPrimary = gpu->primary != 0;
	drm->primaryMajor = major(gpu->primary);
	drm->primaryMinor = minor(gpu->primary);
	drm->hasRender = gpu->render != 0;
	drm->renderMajor = major(gpu->render);
	drm->renderMinor = minor(gpu->render);
}

static void change_properties_chain(const struct virtual_gpu *gpu, void *chain)
{
	for (VkBaseOutStructure *structure = chain; structure; structure = structure->pNext) {
		switch (structure->sType) {
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES:
			memcpy(((VkPhysicalDeviceIDProperties *)structure)->deviceUUID, gpu->uuid,
			       VK_UUID_SIZE);
			break;
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES:
			memcpy(((VkPhysicalDeviceVulkan11Properties *)structure)->deviceUUID,
			       gpu->uuid, VK_UUID_SIZE);
			break;
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRM_PROPERTIES_EXT:
			change_drm(gpu, (VkPhysicalDeviceDrmPropertiesEXT *)structure);
			break;
		default:
			break;
		}
	}
}

static VKAPI_ATTR void VKAPI_CALL get_properties(VkPhysicalDevice handle,
						 VkPhysicalDeviceProperties *properties)
{
	const struct virtual_gpu *gpu = physical_gpu_of(handle);

	physical_below(handle)->GetPhysicalDeviceProperties(handle, properties);
	if (gpu)
		change_properties(gpu, properties);
}

static void get_any_properties2(PFN_vkGetPhysicalDeviceProperties2 below, VkPhysicalDevice handle,
				VkPhysicalDeviceProperties2 *properties)
{
	const struct virtual_gpu *gpu = physical_gpu_of(handle);

	below(handle, properties);
	if (!gpu)
		return;
	change_properties(gpu, &properties->properties);
	change_properties_chain(gpu, properties->pNext);
}

static VKAPI_ATTR void VKAPI_CALL get_properties2(VkPhysicalDevice handle,
						  VkPhysicalDeviceProperties2 *properties)
{
	get_any_properties2(physical_below(handle)->GetPhysicalDeviceProperties2, handle,
			    properties);
}

static VKAPI_ATTR void VKAPI_CALL get_properties2_khr(VkPhysicalDevice handle,
						      VkPhysicalDeviceProperties2 *properties)
{
	get_any_properties2(physical_below(handle)->GetPhysicalDeviceProperties2KHR, handle,
			    properties);
}

/* ---- Features ---- */

static VKAPI_ATTR void VKAPI_CALL get_features(VkPhysicalDevice handle,
					       VkPhysicalDeviceFeatures *features)
{
	physical_below(handle)->GetPhysicalDeviceFeatures(handle, features);
	if (physical_gpu_of(handle))
		features_hide(features);
}

static void get_any_features2(PFN_vkGetPhysicalDeviceFeatures2 below, VkPhysicalDevice handle,
			      VkPhysicalDeviceFeatures2 *features)
{
	below(handle, features);
	if (!physical_gpu_of(handle))
		return;
	features_hide(&features->features);
	features_hide_chain(features->pNext);
}

static VKAPI_ATTR void VKAPI_CALL get_features2(VkPhysicalDevice handle,
						VkPhysicalDeviceFeatures2 *features)
{
	get_any_features2(physical_below(handle)->GetPhysicalDeviceFeatures2, handle, features);
}

static VKAPI_ATTR void VKAPI_CALL get_features2_khr(VkPhysicalDevice handle,
						    VkPhysicalDeviceFeatures2 *features)
{
	get_any_features2(physical_below(handle)->GetPhysicalDeviceFeatures2KHR, handle, features);
}

/* ---- Memory ---- */

static VKAPI_ATTR void VKAPI_CALL get_memory(VkPhysicalDevice handle,
					     VkPhysicalDeviceMemoryProperties *properties)
{
	const struct virtual_gpu *gpu = physical_gpu_of(handle);

	if (gpu)
		memory_properties_fill(gpu, properties);
	else
		physical_below(handle)->GetPhysicalDeviceMemoryProperties(handle, properties);
}

static void get_any_memory2(PFN_vkGetPhysicalDeviceMemoryProperties2 below, VkPhysicalDevice handle,
			    VkPhysicalDeviceMemoryProperties2 *properties)
{
	const struct virtual_gpu *gpu = physical_gpu_of(handle);
	VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget;

	below(handle, properties);
	if (!gpu)
		return;
	memory_properties_fill(gpu, &properties->memoryProperties);
	budget = (void *)layer_find_struct(
		properties->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
	if (budget)
		memory_properties_fill_budget(gpu, budget);
}

static VKAPI_ATTR void VKAPI_CALL get_memory2(VkPhysicalDevice handle,
					      VkPhysicalDeviceMemoryProperties2 *properties)
{
	get_any_memory2(physical_below(handle)->GetPhysicalDeviceMemoryProperties2, handle,
			properties);
}

static VKAPI_ATTR void VKAPI_CALL get_memory2_khr(VkPhysicalDevice handle,
						  VkPhysicalDeviceMemoryProperties2 *properties)
{
	get_any_memory2(physical_below(handle)->GetPhysicalDeviceMemoryProperties2KHR, handle,
			properties);
}

/* ---- Queue families ---- */

static VKAPI_ATTR void VKAPI_CALL get_queue_families(VkPhysicalDevice handle, uint32_t *count,
						     VkQueueFamilyProperties *properties)
{
	physical_below(handle)->GetPhysicalDeviceQueueFamilyProperties(handle, count, properties);
	if (!properties || !physical_gpu_of(handle))
		return;
	for (uint32_t i = 0; i < *count; i++)
		properties[i].queueFlags &= ~(VkQueueFlags)VK_QUEUE_SPARSE_BINDING_BIT;
}

static void get_any_queue_families2(PFN_vkGetPhysicalDeviceQueueFamilyProperties2 below,
				    VkPhysicalDevice handle, uint32_t *count,
				    VkQueueFamilyProperties2 *properties)
{
	below(handle, count, properties);
	if (!properties || !physical_gpu_of(handle))
		return;
	for (uint32_t i = 0; i < *count; i++)
		properties[i].queueFamilyProperties.queueFlags &=
			~(VkQueueFlags)VK_QUEUE_SPARSE_BINDING_BIT;
}

static VKAPI_ATTR void VKAPI_CALL get_queue_families2(VkPhysicalDevice handle, uint32_t *count,
						      VkQueueFamilyProperties2 *properties)
{
	get_any_queue_families2(physical_below(handle)->GetPhysicalDeviceQueueFamilyProperties2,
				handle, count, properties);
}

static VKAPI_ATTR void VKAPI_CALL get_queue_families2_khr(VkPhysicalDevice handle, uint32_t *count,
							  VkQueueFamilyProperties2 *properties)
{
	get_any_queue_families2(physical_below(handle)->GetPhysicalDeviceQueueFamilyProperties2KHR,
				handle, count, properties);
}

/* ---- Device extensions ---- */

/* What the layer brings itself, with nothing to be enabled below. */
static const VkExtensionProperties own_extensions[] = {
	{VK_EXT_PHYSICAL_DEVICE_DRM_EXTENSION_NAME, VK_EXT_PHYSICAL_DEVICE_DRM_SPEC_VERSION},
	{VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, VK_EXT_MEMORY_BUDGET_SPEC_VERSION},
};

#define NUM_OWN (sizeof(own_extensions) / sizeof(own_extensions[0]))

static bool brings_itself(const struct layer_physical_device *physical_device, const char *name)
{
	for (size_t i = 0; i < NUM_OWN; i++)
		if (!strcmp(own_extensions[i].extensionName, name))
			return !extension_set_has(&physical_device->extensions, name);
	return false;
}

/* The driver's extensions that are let through, then those of the layer. Return: how many. */
static uint32_t filter(const struct layer_physical_device *physical_device,
		       const VkExtensionProperties *all, uint32_t count,
		       VkExtensionProperties *shown)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++)
		if (physical_allows_extension(all[i].extensionName))
			shown[kept++] = all[i];
	for (size_t i = 0; i < NUM_OWN; i++)
		if (brings_itself(physical_device, own_extensions[i].extensionName))
			shown[kept++] = own_extensions[i];
	return kept;
}

static VkResult enumerate_shown(struct layer_physical_device *physical_device, uint32_t *count,
				VkExtensionProperties *properties)
{
	struct layer_instance *instance = physical_device->instance;
	PFN_vkEnumerateDeviceExtensionProperties below =
		instance->below[LAYER_MODULE_PHYSICAL].EnumerateDeviceExtensionProperties;
	VkExtensionProperties *all, *shown;
	uint32_t total = 0, kept, room;
	VkResult result = below(physical_device->handle, NULL, &total, NULL);

	if (result != VK_SUCCESS)
		return result;
	all = layer_alloc(instance->allocator, (2 * total + NUM_OWN) * sizeof(*all),
			  VK_SYSTEM_ALLOCATION_SCOPE_COMMAND);
	if (!all)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	shown = all + total;
	result = below(physical_device->handle, NULL, &total, all);
	if (result < 0)
		goto out;
	kept = filter(physical_device, all, total, shown);
	result = VK_SUCCESS;
	if (properties) {
		room = *count < kept ? *count : kept;
		memcpy(properties, shown, room * sizeof(*shown));
		result = room < kept ? VK_INCOMPLETE : VK_SUCCESS;
		kept = room;
	}
	*count = kept;
out:
	layer_free(instance->allocator, all);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_extensions(VkPhysicalDevice handle,
							   const char *layer, uint32_t *count,
							   VkExtensionProperties *properties)
{
	struct layer_physical_device *physical_device = layer_physical_device_of(handle);

	if (layer || !physical_device || !physical_device->virtual_gpu)
		return physical_below(handle)->EnumerateDeviceExtensionProperties(
			handle, layer, count, properties);
	return enumerate_shown(physical_device, count, properties);
}

/* ---- Devices ---- */

/* What the physical device didn't show may not be enabled. */
static VkResult check_request(const struct layer_device_request *request)
{
	const VkDeviceCreateInfo *create_info = request->application_create_info;

	for (uint32_t i = 0; i < create_info->enabledExtensionCount; i++) {
		const char *name = create_info->ppEnabledExtensionNames[i];

		/* what the driver doesn't have is another layer's, or refused by the loader */
		if (extension_set_has(&request->physical_device->extensions, name) &&
		    !physical_allows_extension(name))
			return VK_ERROR_EXTENSION_NOT_PRESENT;
	}
	if (features_wanted_hidden(create_info))
		return VK_ERROR_FEATURE_NOT_PRESENT;
	return VK_SUCCESS;
}

static VkResult ask_for_extensions(struct layer_device_request *request)
{
	const struct layer_physical_device *physical_device = request->physical_device;
	VkResult result;

	if (!physical_device->virtual_gpu) {
		virtual_gpu_explain(physical_device);
		return VK_SUCCESS;
	}
	result = check_request(request);
	if (result != VK_SUCCESS)
		return result;
	for (size_t i = 0; i < NUM_OWN; i++)
		if (brings_itself(physical_device, own_extensions[i].extensionName))
			extension_set_remove(&request->extensions, own_extensions[i].extensionName);
	return request_extension(request, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
}

static VkResult create_device(struct layer_device *device,
			      const struct layer_device_request *request)
{
	(void)request;
	return virtual_gpu_device_create(device);
}

static const struct layer_instance_entry instance_entries[] = {
	INSTANCE_ENTRY(EnumeratePhysicalDevices, enumerate_physical_devices, has_virtual_gpus),
	INSTANCE_ENTRY(EnumeratePhysicalDeviceGroups, enumerate_groups, has_virtual_gpus),
	INSTANCE_ENTRY(EnumeratePhysicalDeviceGroupsKHR, enumerate_groups_khr, has_virtual_gpus),
#define ENTRY(command, function) PHYSICAL_DEVICE_ENTRY(command, function, has_virtual_gpus)
	ENTRY(GetPhysicalDeviceProperties, get_properties),
	ENTRY(GetPhysicalDeviceProperties2, get_properties2),
	ENTRY(GetPhysicalDeviceProperties2KHR, get_properties2_khr),
	ENTRY(GetPhysicalDeviceFeatures, get_features),
	ENTRY(GetPhysicalDeviceFeatures2, get_features2),
	ENTRY(GetPhysicalDeviceFeatures2KHR, get_features2_khr),
	ENTRY(GetPhysicalDeviceMemoryProperties, get_memory),
	ENTRY(GetPhysicalDeviceMemoryProperties2, get_memory2),
	ENTRY(GetPhysicalDeviceMemoryProperties2KHR, get_memory2_khr),
	ENTRY(GetPhysicalDeviceQueueFamilyProperties, get_queue_families),
	ENTRY(GetPhysicalDeviceQueueFamilyProperties2, get_queue_families2),
	ENTRY(GetPhysicalDeviceQueueFamilyProperties2KHR, get_queue_families2_khr),
	ENTRY(EnumerateDeviceExtensionProperties, enumerate_extensions),
	ENTRY(GetPhysicalDeviceImageFormatProperties, formats_image_properties),
	ENTRY(GetPhysicalDeviceImageFormatProperties2, formats_image_properties2),
	ENTRY(GetPhysicalDeviceImageFormatProperties2KHR, formats_image_properties2_khr),
	ENTRY(GetPhysicalDeviceExternalBufferProperties, formats_external_buffer),
	ENTRY(GetPhysicalDeviceExternalBufferPropertiesKHR, formats_external_buffer_khr),
	ENTRY(GetPhysicalDeviceSparseImageFormatProperties, formats_sparse_image_properties),
	ENTRY(GetPhysicalDeviceSparseImageFormatProperties2, formats_sparse_image_properties2),
	ENTRY(GetPhysicalDeviceSparseImageFormatProperties2KHR,
	      formats_sparse_image_properties2_khr),
#undef ENTRY
	{0},
};

static const struct layer_entry device_entries[] = {
	DEVICE_ENTRY(CreatePipelineCache, pipeline_cache_create, is_virtual),
	DEVICE_ENTRY(GetPipelineCacheData, pipeline_cache_get_data, is_virtual),
	{0},
};

const struct layer_module physical_module = {
	.name = "physical",
	.instance_entries = instance_entries,
	.device_entries = device_entries,
	.instance_create = virtual_gpu_instance_create,
	.instance_destroy = virtual_gpu_instance_destroy,
	.device_extensions = ask_for_extensions,
	.device_create = create_device,
	.device_gone = virtual_gpu_device_destroy,
};
