// SPDX-License-Identifier: MIT
/*
 * Owns the header of pipeline caches. It names the device by vendorID and deviceID, and
 * applications compare them with the device's properties; the deviceID is the virtual GPU's, so the header's
 * has to be, too. The driver gets to see its own.
 */
#include <string.h>

#include "physical.h"

static bool has_header(const void *data, size_t size)
{
	VkPipelineCacheHeaderVersionOne header;

	if (!data || size < sizeof(header))
		return false;
	memcpy(&header, data, sizeof(header));
	return header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE;
}

static uint32_t device_id(const void *data)
{
	uint32_t id;

	memcpy(&id, (const char *)data + offsetof(VkPipelineCacheHeaderVersionOne, deviceID),
	       sizeof(id));
	return id;
}

static void set_device_id(void *data, uint32_t id)
{
	memcpy((char *)data + offsetof(VkPipelineCacheHeaderVersionOne, deviceID), &id, sizeof(id));
}

VKAPI_ATTR VkResult VKAPI_CALL pipeline_cache_create(VkDevice handle,
						     const VkPipelineCacheCreateInfo *create_info,
						     const VkAllocationCallbacks *allocator,
						     VkPipelineCache *cache)
{
	struct layer_device *device = layer_device_of(handle);
	PFN_vkCreatePipelineCache below = device->below[LAYER_MODULE_PHYSICAL].CreatePipelineCache;
	const VkAllocationCallbacks *callbacks = allocator ? allocator : device->allocator;
	VkPipelineCacheCreateInfo changed = *create_info;
	VkResult result;
	void *data;

	/* a cache of another device stays one */
	if (!has_header(create_info->pInitialData, create_info->initialDataSize) ||
	    device_id(create_info->pInitialData) != device->virtual_gpu->gpu->device_id)
		return below(handle, create_info, allocator, cache);

	data = layer_alloc(callbacks, create_info->initialDataSize,
			   VK_SYSTEM_ALLOCATION_SCOPE_COMMAND);
	if (!data)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	memcpy(data, create_info->pInitialData, create_info->initialDataSize);
	set_device_id(data, device->physical_device->properties.deviceID);
	changed.pInitialData = data;
	result = below(handle, &changed, allocator, cache);
	layer_free(callbacks, data);
	return result;
}

VKAPI_ATTR VkResult VKAPI_CALL pipeline_cache_get_data(VkDevice handle, VkPipelineCache cache,
						       size_t *size, void *data)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result = device->below[LAYER_MODULE_PHYSICAL].GetPipelineCacheData(handle, cache,
										    size, data);

	if (result >= 0 && has_header(data, data ? *size : 0))
		set_device_id(data, device->virtual_gpu->gpu->device_id);
	return result;
}
