// SPDX-License-Identifier: MIT
/*
 * VK_LAYER_DROVER_passthrough: a layer that does nothing, for bench layer to compare with. It intercepts the commands that are
 * measured and hands them on, as cheaply as a layer can: what this costs, every layer costs.
 *
 * For a program with one thread and few devices: the table of devices is an array without a lock.
 */
#include <stdlib.h>
#include <string.h>

#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#define MAX_DEVICES 8
#define EXPORT      __attribute__((visibility("default")))

/* The loader's dispatch table, which all handles of a device begin with. */
#define KEY(handle) (*(void **)(handle))

struct device {
	void *key;
	PFN_vkGetDeviceProcAddr get_proc_addr;
	PFN_vkDestroyDevice destroy_device;
	PFN_vkQueueSubmit queue_submit;
	PFN_vkAllocateMemory allocate_memory;
	PFN_vkFreeMemory free_memory;
	PFN_vkCmdPipelineBarrier cmd_pipeline_barrier;
};

struct instance {
	/* physical devices have it, too */
	void *key;
	VkInstance handle;
	PFN_vkGetInstanceProcAddr get_proc_addr;
};

static struct device devices[MAX_DEVICES];
static struct instance instances[MAX_DEVICES];

static struct device *device_of(void *handle)
{
	void *key = KEY(handle);

	for (struct device *device = devices; device < devices + MAX_DEVICES; device++)
		if (device->key == key)
			return device;
	return NULL;
}

/* ---- What is measured ---- */

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit(VkQueue queue, uint32_t count,
						   const VkSubmitInfo *submits, VkFence fence)
{
	return device_of(queue)->queue_submit(queue, count, submits, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice handle,
						      const VkMemoryAllocateInfo *info,
						      const VkAllocationCallbacks *allocator,
						      VkDeviceMemory *memory)
{
	return device_of(handle)->allocate_memory(handle, info, allocator, memory);
}

static VKAPI_ATTR void VKAPI_CALL free_memory(VkDevice handle, VkDeviceMemory memory,
					      const VkAllocationCallbacks *allocator)
{
	device_of(handle)->free_memory(handle, memory, allocator);
}

static VKAPI_ATTR void VKAPI_CALL
cmd_pipeline_barrier(VkCommandBuffer commands, VkPipelineStageFlags src, VkPipelineStageFlags dst,
		     VkDependencyFlags flags, uint32_t num_memory, const VkMemoryBarrier *memory,
		     uint32_t num_buffers, const VkBufferMemoryBarrier *buffers,
		     uint32_t num_images, const VkImageMemoryBarrier *images)
{
	device_of(commands)->cmd_pipeline_barrier(commands, src, dst, flags, num_memory, memory,
						  num_buffers, buffers, num_images, images);
}

/* ---- Instances and devices ---- */

static struct instance *instance_of(void *handle)
{
	for (size_t i = 0; i < MAX_DEVICES; i++)
		if (instances[i].key == KEY(handle))
			return &instances[i];
	return NULL;
}

/* What the loader put into the chain for this layer. */
static void *link_info(const void *next, VkStructureType type)
{
	for (const VkBaseInStructure *at = next; at; at = at->pNext)
		/* both kinds have function after pNext, and the link has the same number */
		if (at->sType == type &&
		    ((const VkLayerInstanceCreateInfo *)at)->function == VK_LAYER_LINK_INFO)
			return (void *)at;
	return NULL;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
						      const VkAllocationCallbacks *allocator,
						      VkInstance *instance)
{
	VkLayerInstanceCreateInfo *link =
		link_info(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
	PFN_vkGetInstanceProcAddr get;
	PFN_vkCreateInstance create;
	VkResult result;

	if (!link)
		return VK_ERROR_INITIALIZATION_FAILED;
	get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	create = (PFN_vkCreateInstance)get(NULL, "vkCreateInstance");
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	result = create(info, allocator, instance);
	if (result)
		return result;
	for (size_t i = 0; i < MAX_DEVICES; i++) {
		if (instances[i].key)
			continue;
		instances[i] = (struct instance){KEY(*instance), *instance, get};
		return VK_SUCCESS;
	}
	((PFN_vkDestroyInstance)get(*instance, "vkDestroyInstance"))(*instance, allocator);
	return VK_ERROR_INITIALIZATION_FAILED;
}

static VKAPI_ATTR void VKAPI_CALL destroy_instance(VkInstance handle,
						   const VkAllocationCallbacks *allocator)
{
	struct instance *instance = handle ? instance_of(handle) : NULL;

	if (!instance)
		return;
	instance->key = NULL;
	((PFN_vkDestroyInstance)instance->get_proc_addr(handle, "vkDestroyInstance"))(handle,
										      allocator);
}

static VKAPI_ATTR void VKAPI_CALL destroy_device(VkDevice handle,
						 const VkAllocationCallbacks *allocator)
{
	struct device *device;

	if (!handle)
		return;
	device = device_of(handle);
	device->key = NULL;
	device->destroy_device(handle, allocator);
}

#define LOAD(name) ((PFN_##name)get(*handle, #name))

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical,
						    const VkDeviceCreateInfo *info,
						    const VkAllocationCallbacks *allocator,
						    VkDevice *handle)
{
	VkLayerDeviceCreateInfo *link =
		link_info(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
	struct instance *instance = instance_of(physical);
	PFN_vkGetInstanceProcAddr get_instance;
	PFN_vkGetDeviceProcAddr get;
	struct device *device = devices;
	PFN_vkCreateDevice create;
	VkResult result;

	while (device < devices + MAX_DEVICES && device->key)
		device++;
	if (!link || !instance || device == devices + MAX_DEVICES)
		return VK_ERROR_INITIALIZATION_FAILED;
	get_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	get = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
	create = (PFN_vkCreateDevice)get_instance(instance->handle, "vkCreateDevice");
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	result = create(physical, info, allocator, handle);
	if (result)
		return result;
	*device = (struct device){
		.key = KEY(*handle),
		.get_proc_addr = get,
		.destroy_device = LOAD(vkDestroyDevice),
		.queue_submit = LOAD(vkQueueSubmit),
		.allocate_memory = LOAD(vkAllocateMemory),
		.free_memory = LOAD(vkFreeMemory),
		.cmd_pipeline_barrier = LOAD(vkCmdPipelineBarrier),
	};
	return VK_SUCCESS;
}

/* ---- Which functions are ours ---- */

#define OURS(name, function) {#name, (PFN_vkVoidFunction)(1 ? (function) : (PFN_##name)NULL)}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device,
								     const char *name);
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc_addr(VkInstance instance,
								       const char *name);

static const struct ours {
	const char *name;
	PFN_vkVoidFunction function;
} of_instance[] =
	{
		OURS(vkGetInstanceProcAddr, get_instance_proc_addr),
		OURS(vkCreateInstance, create_instance),
		OURS(vkDestroyInstance, destroy_instance),
		OURS(vkCreateDevice, create_device),
},
  of_device[] = {
	  OURS(vkGetDeviceProcAddr, get_device_proc_addr),
	  OURS(vkDestroyDevice, destroy_device),
	  OURS(vkQueueSubmit, queue_submit),
	  OURS(vkAllocateMemory, allocate_memory),
	  OURS(vkFreeMemory, free_memory),
	  OURS(vkCmdPipelineBarrier, cmd_pipeline_barrier),
};

static PFN_vkVoidFunction find(const struct ours *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i].name, name))
			return list[i].function;
	return NULL;
}

#define FIND(list, name) find(list, sizeof(list) / sizeof((list)[0]), name)

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device,
								     const char *name)
{
	PFN_vkVoidFunction function = FIND(of_device, name);

	return function ? function : device_of(device)->get_proc_addr(device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc_addr(VkInstance instance,
								       const char *name)
{
	PFN_vkVoidFunction function = FIND(of_instance, name);
	struct instance *known;

	if (!function)
		function = FIND(of_device, name);
	if (function)
		return function;
	known = instance ? instance_of(instance) : NULL;
	return known ? known->get_proc_addr(instance, name) : NULL;
}

EXPORT VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *version)
{
	if (version->loaderLayerInterfaceVersion > 2)
		version->loaderLayerInterfaceVersion = 2;
	version->pfnGetInstanceProcAddr = get_instance_proc_addr;
	version->pfnGetDeviceProcAddr = get_device_proc_addr;
	version->pfnGetPhysicalDeviceProcAddr = NULL;
	return VK_SUCCESS;
}
