/* SPDX-License-Identifier: MIT */
/* The face of a virtual GPU: what physical.c, features.c, formats.c and their helpers share. */
#ifndef LAYER_PHYSICAL_H
#define LAYER_PHYSICAL_H

#include "entry.h"
#include "virtual_gpu.h"

/* Whether virtual mode shows a device extension that the driver has. */
bool physical_allows_extension(const char *name);

/*
 * physical_gpu_of() - which virtual GPU a physical device is
 *
 * Return: NULL: none, or no memory to find out.
 */
const struct virtual_gpu *physical_gpu_of(VkPhysicalDevice handle);

/* What is below the commands of a virtual GPU. */
static inline const VkuInstanceDispatchTable *physical_below(VkPhysicalDevice handle)
{
	return &layer_instance_of(handle)->below[LAYER_MODULE_PHYSICAL];
}

/* features.c: takes what virtual mode doesn't have out of what the driver said. */
void features_hide(VkPhysicalDeviceFeatures *features);
void features_hide_chain(void *chain);
/* Return: whether a create-info asks for any of that. */
bool features_wanted_hidden(const VkDeviceCreateInfo *create_info);

/* memory_properties.c: heaps, types and the budget. */
void memory_properties_fill(const struct virtual_gpu *gpu,
			    VkPhysicalDeviceMemoryProperties *properties);
void memory_properties_fill_budget(const struct virtual_gpu *gpu,
				   VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget);

/* formats.c: entries for physical.c's table. */
VKAPI_ATTR VkResult VKAPI_CALL formats_image_properties(VkPhysicalDevice handle, VkFormat format,
							VkImageType type, VkImageTiling tiling,
							VkImageUsageFlags usage,
							VkImageCreateFlags flags,
							VkImageFormatProperties *properties);
VKAPI_ATTR VkResult VKAPI_CALL
formats_image_properties2(VkPhysicalDevice handle, const VkPhysicalDeviceImageFormatInfo2 *info,
			  VkImageFormatProperties2 *properties);
VKAPI_ATTR VkResult VKAPI_CALL
formats_image_properties2_khr(VkPhysicalDevice handle, const VkPhysicalDeviceImageFormatInfo2 *info,
			      VkImageFormatProperties2 *properties);
VKAPI_ATTR void VKAPI_CALL formats_external_buffer(VkPhysicalDevice handle,
						   const VkPhysicalDeviceExternalBufferInfo *info,
						   VkExternalBufferProperties *properties);
VKAPI_ATTR void VKAPI_CALL
formats_external_buffer_khr(VkPhysicalDevice handle, const VkPhysicalDeviceExternalBufferInfo *info,
			    VkExternalBufferProperties *properties);
VKAPI_ATTR void VKAPI_CALL formats_sparse_image_properties(
	VkPhysicalDevice handle, VkFormat format, VkImageType type, VkSampleCountFlagBits samples,
	VkImageUsageFlags usage, VkImageTiling tiling, uint32_t *count,
	VkSparseImageFormatProperties *properties);
VKAPI_ATTR void VKAPI_CALL formats_sparse_image_properties2(
	VkPhysicalDevice handle, const VkPhysicalDeviceSparseImageFormatInfo2 *info,
	uint32_t *count, VkSparseImageFormatProperties2 *properties);
VKAPI_ATTR void VKAPI_CALL formats_sparse_image_properties2_khr(
	VkPhysicalDevice handle, const VkPhysicalDeviceSparseImageFormatInfo2 *info,
	uint32_t *count, VkSparseImageFormatProperties2 *properties);

/* pipeline_cache.c: entries for physical.c's table. */
VKAPI_ATTR VkResult VKAPI_CALL pipeline_cache_create(VkDevice handle,
						     const VkPipelineCacheCreateInfo *create_info,
						     const VkAllocationCallbacks *allocator,
						     VkPipelineCache *cache);
VKAPI_ATTR VkResult VKAPI_CALL pipeline_cache_get_data(VkDevice handle, VkPipelineCache cache,
						       size_t *size, void *data);

#endif
