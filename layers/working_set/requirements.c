// SPDX-License-Identifier: MIT
/*
 * Owns the answers to which memory a buffer or an image may lie in: what the driver takes as a
 * host pointer may be in any memory of the virtual GPU. Size and alignment are the driver's: an
 * allocation begins at a page, and only offsets within it have to be aligned. It makes no
 * difference whether a resource was created to be shared: BOs are all that can be shared.
 */
#include "entry.h"
#include "memory.h"
#include "requirements.h"

static void translate(const struct layer_device *device, VkMemoryRequirements *requirements)
{
	requirements->memoryTypeBits =
		memory_type_bits(device->memory, requirements->memoryTypeBits);
}

VKAPI_ATTR void VKAPI_CALL requirements_of_buffer(VkDevice handle, VkBuffer buffer,
						  VkMemoryRequirements *requirements)
{
	struct layer_device *device = layer_device_of(handle);

	device->below[LAYER_MODULE_MEMORY].GetBufferMemoryRequirements(handle, buffer,
								       requirements);
	translate(device, requirements);
}

VKAPI_ATTR void VKAPI_CALL requirements_of_image(VkDevice handle, VkImage image,
						 VkMemoryRequirements *requirements)
{
	struct layer_device *device = layer_device_of(handle);

	device->below[LAYER_MODULE_MEMORY].GetImageMemoryRequirements(handle, image, requirements);
	translate(device, requirements);
}

/* The second version of them all, and its alias: only what is asked about differs. */
#define REQUIREMENTS2(function, command, info_type)                                     \
	VKAPI_ATTR void VKAPI_CALL function(VkDevice handle, const info_type *info,     \
					    VkMemoryRequirements2 *requirements)        \
	{                                                                               \
		struct layer_device *device = layer_device_of(handle);                  \
                                                                                        \
		device->below[LAYER_MODULE_MEMORY].command(handle, info, requirements); \
		translate(device, &requirements->memoryRequirements);                   \
	}

REQUIREMENTS2(requirements_of_buffer2, GetBufferMemoryRequirements2,
	      VkBufferMemoryRequirementsInfo2)
REQUIREMENTS2(requirements_of_buffer2_khr, GetBufferMemoryRequirements2KHR,
	      VkBufferMemoryRequirementsInfo2)
REQUIREMENTS2(requirements_of_image2, GetImageMemoryRequirements2, VkImageMemoryRequirementsInfo2)
REQUIREMENTS2(requirements_of_image2_khr, GetImageMemoryRequirements2KHR,
	      VkImageMemoryRequirementsInfo2)
REQUIREMENTS2(requirements_of_buffer_info, GetDeviceBufferMemoryRequirements,
	      VkDeviceBufferMemoryRequirements)
REQUIREMENTS2(requirements_of_buffer_info_khr, GetDeviceBufferMemoryRequirementsKHR,
	      VkDeviceBufferMemoryRequirements)
REQUIREMENTS2(requirements_of_image_info, GetDeviceImageMemoryRequirements,
	      VkDeviceImageMemoryRequirements)
REQUIREMENTS2(requirements_of_image_info_khr, GetDeviceImageMemoryRequirementsKHR,
	      VkDeviceImageMemoryRequirements)
