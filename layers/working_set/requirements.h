/* SPDX-License-Identifier: MIT */
/* The commands of requirements.c, for memory.c's table. Aliases are handled by the same functions. */
#ifndef LAYER_REQUIREMENTS_H
#define LAYER_REQUIREMENTS_H

#include <vulkan/vulkan.h>

VKAPI_ATTR void VKAPI_CALL requirements_of_buffer(VkDevice handle, VkBuffer buffer,
						  VkMemoryRequirements *requirements);
VKAPI_ATTR void VKAPI_CALL requirements_of_image(VkDevice handle, VkImage image,
						 VkMemoryRequirements *requirements);
VKAPI_ATTR void VKAPI_CALL requirements_of_buffer2(VkDevice handle,
						   const VkBufferMemoryRequirementsInfo2 *info,
						   VkMemoryRequirements2 *requirements);
VKAPI_ATTR void VKAPI_CALL requirements_of_buffer2_khr(VkDevice handle,
						       const VkBufferMemoryRequirementsInfo2 *info,
						       VkMemoryRequirements2 *requirements);
VKAPI_ATTR void VKAPI_CALL requirements_of_image2(VkDevice handle,
						  const VkImageMemoryRequirementsInfo2 *info,
						  VkMemoryRequirements2 *requirements);
VKAPI_ATTR void VKAPI_CALL requirements_of_image2_khr(VkDevice handle,
						      const VkImageMemoryRequirementsInfo2 *info,
						      VkMemoryRequirements2 *requirements);
VKAPI_ATTR void VKAPI_CALL requirements_of_buffer_info(VkDevice handle,
						       const VkDeviceBufferMemoryRequirements *info,
						       VkMemoryRequirements2 *requirements);
VKAPI_ATTR void VKAPI_CALL
requirements_of_buffer_info_khr(VkDevice handle, const VkDeviceBufferMemoryRequirements *info,
				VkMemoryRequirements2 *requirements);
VKAPI_ATTR void VKAPI_CALL requirements_of_image_info(VkDevice handle,
						      const VkDeviceImageMemoryRequirements *info,
						      VkMemoryRequirements2 *requirements);
VKAPI_ATTR void VKAPI_CALL
requirements_of_image_info_khr(VkDevice handle, const VkDeviceImageMemoryRequirements *info,
			       VkMemoryRequirements2 *requirements);

#endif
