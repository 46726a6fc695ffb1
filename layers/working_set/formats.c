// SPDX-License-Identifier: MIT
/*
 * Owns what a virtual GPU says of images and buffers: the driver's answers, but memory that is shared
 * is the layer's, and nothing is sparse.
 */
#include <string.h>

#include "physical.h"

#define SPARSE_IMAGE_FLAGS                                                           \
	(VK_IMAGE_CREATE_SPARSE_BINDING_BIT | VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT | \
	 VK_IMAGE_CREATE_SPARSE_ALIASED_BIT)
#define SPARSE_BUFFER_FLAGS                                                            \
	(VK_BUFFER_CREATE_SPARSE_BINDING_BIT | VK_BUFFER_CREATE_SPARSE_RESIDENCY_BIT | \
	 VK_BUFFER_CREATE_SPARSE_ALIASED_BIT)

/* What is exported and imported is a dma-buf, whatever it is called. */
#define SHARED_TYPES                                    \
	(VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT | \
	 VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT)

static bool is_shared(VkExternalMemoryHandleTypeFlagBits type)
{
	return type & SHARED_TYPES;
}

/* @types: the types that such a resource can be shared as */
static VkExternalMemoryProperties shared_properties(VkExternalMemoryHandleTypeFlagBits type,
						    VkExternalMemoryHandleTypeFlags types)
{
	return (VkExternalMemoryProperties){
		.externalMemoryFeatures = VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT |
					  VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT,
		/* what came as a dma-buf may be another device's; an opaque fd never is */
		.exportFromImportedHandleTypes =
			type == VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT
				? types
				: VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
		.compatibleHandleTypes = types,
	};
}

/* ---- Buffers ---- */

static void external_buffer(PFN_vkGetPhysicalDeviceExternalBufferProperties below,
			    VkPhysicalDevice handle, const VkPhysicalDeviceExternalBufferInfo *info,
			    VkExternalBufferProperties *properties)
{
	if (!physical_gpu_of(handle)) {
		below(handle, info, properties);
		return;
	}
	if (info->flags & SPARSE_BUFFER_FLAGS)
		properties->externalMemoryProperties = (VkExternalMemoryProperties){0};
	else if (is_shared(info->handleType))
		properties->externalMemoryProperties =
			shared_properties(info->handleType, SHARED_TYPES);
	else
		below(handle, info, properties);
}

VKAPI_ATTR void VKAPI_CALL formats_external_buffer(VkPhysicalDevice handle,
						   const VkPhysicalDeviceExternalBufferInfo *info,
						   VkExternalBufferProperties *properties)
{
	external_buffer(physical_below(handle)->GetPhysicalDeviceExternalBufferProperties, handle,
			info, properties);
}

VKAPI_ATTR void VKAPI_CALL
formats_external_buffer_khr(VkPhysicalDevice handle, const VkPhysicalDeviceExternalBufferInfo *info,
			    VkExternalBufferProperties *properties)
{
	external_buffer(physical_below(handle)->GetPhysicalDeviceExternalBufferPropertiesKHR,
			handle, info, properties);
}

/* ---- Images ---- */

VKAPI_ATTR VkResult VKAPI_CALL formats_image_properties(VkPhysicalDevice handle, VkFormat format,
							VkImageType type, VkImageTiling tiling,
							VkImageUsageFlags usage,
							VkImageCreateFlags flags,
							VkImageFormatProperties *properties)
{
	if (flags & SPARSE_IMAGE_FLAGS && physical_gpu_of(handle)) {
		*properties = (VkImageFormatProperties){0};
		return VK_ERROR_FORMAT_NOT_SUPPORTED;
	}
	return physical_below(handle)->GetPhysicalDeviceImageFormatProperties(
		handle, format, type, tiling, usage, flags, properties);
}

/* What may be in the chain of the question besides the handle type; of each kind at most one. */
union image_format_struct {
	VkBaseInStructure base;
	VkImageFormatListCreateInfo format_list;
	VkImageStencilUsageCreateInfo stencil_usage;
	VkPhysicalDeviceImageDrmFormatModifierInfoEXT modifier;
	VkPhysicalDeviceImageViewImageFormatInfoEXT view;
	VkImageCompressionControlEXT compression;
	VkVideoProfileListInfoKHR video;
};

#define MAX_IMAGE_FORMAT_STRUCTS 6

static size_t image_format_struct_size(VkStructureType type)
{
	switch (type) {
	case VK_STRUCTURE_TYPE_IMAGE_FORMAT_LIST_CREATE_INFO:
		return sizeof(VkImageFormatListCreateInfo);
	case VK_STRUCTURE_TYPE_IMAGE_STENCIL_USAGE_CREATE_INFO:
		return sizeof(VkImageStencilUsageCreateInfo);
	case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_DRM_FORMAT_MODIFIER_INFO_EXT:
		return sizeof(VkPhysicalDeviceImageDrmFormatModifierInfoEXT);
	case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_VIEW_IMAGE_FORMAT_INFO_EXT:
		return sizeof(VkPhysicalDeviceImageViewImageFormatInfoEXT);
	case VK_STRUCTURE_TYPE_IMAGE_COMPRESSION_CONTROL_EXT:
		return sizeof(VkImageCompressionControlEXT);
	case VK_STRUCTURE_TYPE_VIDEO_PROFILE_LIST_INFO_KHR:
		return sizeof(VkVideoProfileListInfoKHR);
	default:
		return 0;
	}
}

/* Copies @chain without the handle type, and without what the layer can't know the size of. */
static const void *without_handle_type(struct layer_instance *instance, const void *chain,
				       union image_format_struct copies[MAX_IMAGE_FORMAT_STRUCTS])
{
	const VkBaseInStructure *structure;
	uint32_t count = 0;

	for (structure = chain; structure; structure = structure->pNext) {
		size_t size = image_format_struct_size(structure->sType);

		if (structure->sType ==
		    VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO)
			continue;
		if (!size || count == MAX_IMAGE_FORMAT_STRUCTS) {
			layer_log(&instance->log, LAYER_LOG_INFO,
				  "A question about the format of a shared image has a structure "
				  "of type %d, which the driver isn't asked about: the layer knows "
				  "no such structure there",
				  (int)structure->sType);
			continue;
		}
		memcpy(&copies[count], structure, size);
		copies[count].base.pNext = NULL;
		if (count)
			copies[count - 1].base.pNext = &copies[count].base;
		count++;
	}
	return count ? copies : NULL;
}

/* What images of a tiling can be shared as: nobody else knows the driver's own tiling. */
static VkExternalMemoryHandleTypeFlags shared_types_of_tiling(VkImageTiling tiling)
{
	return tiling == VK_IMAGE_TILING_OPTIMAL ? VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT
						 : SHARED_TYPES;
}

/* The driver says whether there can be such an image, the layer whether it can be shared. */
static VkResult shared_image(PFN_vkGetPhysicalDeviceImageFormatProperties2 below,
			     VkPhysicalDevice handle, const VkPhysicalDeviceImageFormatInfo2 *info,
			     VkExternalMemoryHandleTypeFlagBits type,
			     VkImageFormatProperties2 *properties)
{
	VkExternalMemoryHandleTypeFlags types = shared_types_of_tiling(info->tiling);
	union image_format_struct copies[MAX_IMAGE_FORMAT_STRUCTS];
	VkPhysicalDeviceImageFormatInfo2 changed = *info;
	VkExternalImageFormatProperties *external;
	VkResult result;

	external = (void *)layer_find_struct(properties->pNext,
					     VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES);
	if (external)
		external->externalMemoryProperties = (VkExternalMemoryProperties){0};
	if (!(types & type)) {
		properties->imageFormatProperties = (VkImageFormatProperties){0};
		return VK_ERROR_FORMAT_NOT_SUPPORTED;
	}
	changed.pNext = without_handle_type(layer_instance_of(handle), info->pNext, copies);
	result = below(handle, &changed, properties);
	if (external)
		external->externalMemoryProperties = result == VK_SUCCESS
							     ? shared_properties(type, types)
							     : (VkExternalMemoryProperties){0};
	return result;
}

static VkResult image_properties2(PFN_vkGetPhysicalDeviceImageFormatProperties2 below,
				  VkPhysicalDevice handle,
				  const VkPhysicalDeviceImageFormatInfo2 *info,
				  VkImageFormatProperties2 *properties)
{
	const VkPhysicalDeviceExternalImageFormatInfo *external = layer_find_struct(
		info->pNext, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO);

	if (!physical_gpu_of(handle))
		return below(handle, info, properties);
	if (info->flags & SPARSE_IMAGE_FLAGS) {
		properties->imageFormatProperties = (VkImageFormatProperties){0};
		return VK_ERROR_FORMAT_NOT_SUPPORTED;
	}
	if (external && is_shared(external->handleType))
		return shared_image(below, handle, info, external->handleType, properties);
	return below(handle, info, properties);
}

VKAPI_ATTR VkResult VKAPI_CALL
formats_image_properties2(VkPhysicalDevice handle, const VkPhysicalDeviceImageFormatInfo2 *info,
			  VkImageFormatProperties2 *properties)
{
	return image_properties2(physical_below(handle)->GetPhysicalDeviceImageFormatProperties2,
				 handle, info, properties);
}

VKAPI_ATTR VkResult VKAPI_CALL
formats_image_properties2_khr(VkPhysicalDevice handle, const VkPhysicalDeviceImageFormatInfo2 *info,
			      VkImageFormatProperties2 *properties)
{
	return image_properties2(physical_below(handle)->GetPhysicalDeviceImageFormatProperties2KHR,
				 handle, info, properties);
}

/* ---- Sparse images: there are none ---- */

VKAPI_ATTR void VKAPI_CALL formats_sparse_image_properties(
	VkPhysicalDevice handle, VkFormat format, VkImageType type, VkSampleCountFlagBits samples,
	VkImageUsageFlags usage, VkImageTiling tiling, uint32_t *count,
	VkSparseImageFormatProperties *properties)
{
	if (physical_gpu_of(handle))
		*count = 0;
	else
		physical_below(handle)->GetPhysicalDeviceSparseImageFormatProperties(
			handle, format, type, samples, usage, tiling, count, properties);
}

VKAPI_ATTR void VKAPI_CALL formats_sparse_image_properties2(
	VkPhysicalDevice handle, const VkPhysicalDeviceSparseImageFormatInfo2 *info,
	uint32_t *count, VkSparseImageFormatProperties2 *properties)
{
	if (physical_gpu_of(handle))
		*count = 0;
	else
		physical_below(handle)->GetPhysicalDeviceSparseImageFormatProperties2(
			handle, info, count, properties);
}

VKAPI_ATTR void VKAPI_CALL formats_sparse_image_properties2_khr(
	VkPhysicalDevice handle, const VkPhysicalDeviceSparseImageFormatInfo2 *info,
	uint32_t *count, VkSparseImageFormatProperties2 *properties)
{
	if (physical_gpu_of(handle))
		*count = 0;
	else
		physical_below(handle)->GetPhysicalDeviceSparseImageFormatProperties2KHR(
			handle, info, count, properties);
}
