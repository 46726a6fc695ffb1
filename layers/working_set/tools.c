// SPDX-License-Identifier: MIT
/*
 * Owns the manners of a tool: it hears where its messages can go (the application's messengers)
 * and says that it is there when asked for the active tools.
 */
#include <string.h>

#include "entry.h"

static VKAPI_ATTR VkResult VKAPI_CALL
create_messenger(VkInstance handle, const VkDebugUtilsMessengerCreateInfoEXT *create_info,
		 const VkAllocationCallbacks *allocator, VkDebugUtilsMessengerEXT *messenger)
{
	struct layer_instance *instance = layer_instance_of(handle);
	VkResult result = instance->below[LAYER_MODULE_TOOLS].CreateDebugUtilsMessengerEXT(
		handle, create_info, allocator, messenger);

	if (result != VK_SUCCESS || layer_log_add(&instance->log, *messenger, create_info))
		return result;
	instance->below[LAYER_MODULE_TOOLS].DestroyDebugUtilsMessengerEXT(handle, *messenger,
									  allocator);
	return VK_ERROR_OUT_OF_HOST_MEMORY;
}

static VKAPI_ATTR void VKAPI_CALL destroy_messenger(VkInstance handle,
						    VkDebugUtilsMessengerEXT messenger,
						    const VkAllocationCallbacks *allocator)
{
	struct layer_instance *instance = layer_instance_of(handle);

	if (messenger)
		layer_log_remove(&instance->log, messenger);
	instance->below[LAYER_MODULE_TOOLS].DestroyDebugUtilsMessengerEXT(handle, messenger,
									  allocator);
}

static void describe(const struct layer_physical_device *physical_device,
		     VkPhysicalDeviceToolProperties *tool)
{
	const struct layer_settings *settings = &physical_device->instance->settings;

	memset(tool->name, 0, sizeof(tool->name));
	strcpy(tool->name, "Drover working set");
	memset(tool->version, 0, sizeof(tool->version));
	strcpy(tool->version, LAYER_VERSION);
	memset(tool->description, 0, sizeof(tool->description));
	strcpy(tool->description, LAYER_DESCRIPTION);
	memset(tool->layer, 0, sizeof(tool->layer));
	strcpy(tool->layer, LAYER_NAME);
	tool->purposes = VK_TOOL_PURPOSE_ADDITIONAL_FEATURES_BIT;
	if (physical_device->virtual_gpu)
		tool->purposes |= VK_TOOL_PURPOSE_MODIFYING_FEATURES_BIT;
	if (settings->trace_file)
		tool->purposes |= VK_TOOL_PURPOSE_TRACING_BIT;
	if (settings->stats)
		tool->purposes |= VK_TOOL_PURPOSE_PROFILING_BIT;
}

/* The layer's entry comes first, then what the layers below say. */
static VkResult get_tools(PFN_vkGetPhysicalDeviceToolProperties below, VkPhysicalDevice handle,
			  uint32_t *count, VkPhysicalDeviceToolProperties *tools)
{
	struct layer_physical_device *physical_device = layer_physical_device_of(handle);
	uint32_t room = *count, below_count = 0;
	VkResult result;

	if (!physical_device)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	if (!tools) {
		result = below(handle, &below_count, NULL);
		*count = below_count + 1;
		return result;
	}
	if (!room)
		return VK_INCOMPLETE;
	describe(physical_device, &tools[0]);
	below_count = room - 1;
	result = below(handle, &below_count, tools + 1);
	*count = below_count + 1;
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL get_tool_properties(VkPhysicalDevice handle, uint32_t *count,
							  VkPhysicalDeviceToolProperties *tools)
{
	struct layer_instance *instance = layer_instance_of(handle);

	return get_tools(instance->below[LAYER_MODULE_TOOLS].GetPhysicalDeviceToolProperties,
			 handle, count, tools);
}

static VKAPI_ATTR VkResult VKAPI_CALL get_tool_properties_ext(VkPhysicalDevice handle,
							      uint32_t *count,
							      VkPhysicalDeviceToolProperties *tools)
{
	struct layer_instance *instance = layer_instance_of(handle);

	return get_tools(instance->below[LAYER_MODULE_TOOLS].GetPhysicalDeviceToolPropertiesEXT,
			 handle, count, tools);
}

static const struct layer_instance_entry instance_entries[] = {
	INSTANCE_ENTRY(CreateDebugUtilsMessengerEXT, create_messenger, NULL),
	INSTANCE_ENTRY(DestroyDebugUtilsMessengerEXT, destroy_messenger, NULL),
	PHYSICAL_DEVICE_ENTRY(GetPhysicalDeviceToolProperties, get_tool_properties, NULL),
	PHYSICAL_DEVICE_ENTRY(GetPhysicalDeviceToolPropertiesEXT, get_tool_properties_ext, NULL),
	{0},
};

const struct layer_module tools_module = {
	.name = "tools",
	.instance_entries = instance_entries,
};
