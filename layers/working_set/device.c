// SPDX-License-Identifier: MIT
/*
 * Owns struct layer_device and its queues: creating and destroying them in the loader's chain,
 * and what the layer enables below on top of what the application asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "entry.h"

static VkLayerDeviceCreateInfo *find_info(const VkDeviceCreateInfo *create_info,
					  VkLayerFunction function)
{
	const VkLayerDeviceCreateInfo *info = create_info->pNext;

	while (info && (info->sType != VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO ||
			info->function != function))
		info = info->pNext;
	return (VkLayerDeviceCreateInfo *)info;
}

/* ---- Extensions ---- */

bool layer_device_has_extension(const struct layer_device *device, const char *name)
{
	return extension_is_core(name, device->api_version) ||
	       extension_set_has(&device->extensions, name);
}

/* Whether the instance or the device has it, or can have it with all that it depends on. */
static bool available(const struct layer_device_request *request, const char *name)
{
	const struct known_extension *known = extension_known(name);
	const struct layer_physical_device *physical_device = request->physical_device;

	if (extension_is_core(name, request->api_version))
		return true;
	if (known && known->is_instance)
		return extension_set_has(&physical_device->instance->extensions, name);
	if (!extension_set_has(&physical_device->extensions, name))
		return false;
	for (const char *const *required = known ? known->requires : NULL; required && *required;
	     required++)
		if (!available(request, *required))
			return false;
	return true;
}

static bool enable(struct layer_device_request *request, const char *name)
{
	const struct known_extension *known = extension_known(name);

	if (extension_is_core(name, request->api_version) || (known && known->is_instance))
		return true;
	for (const char *const *required = known ? known->requires : NULL; required && *required;
	     required++)
		if (!enable(request, *required))
			return false;
	return extension_set_add(&request->extensions, name);
}

VkResult request_extension(struct layer_device_request *request, const char *name)
{
	if (!available(request, name))
		return VK_ERROR_EXTENSION_NOT_PRESENT;
	return enable(request, name) ? VK_SUCCESS : VK_ERROR_OUT_OF_HOST_MEMORY;
}

static VkResult ask_modules(struct layer_device_request *request)
{
	for (int i = 0; i < LAYER_MODULE_COUNT; i++) {
		VkResult result = VK_SUCCESS;

		if (layer_modules[i] && layer_modules[i]->device_extensions)
			result = layer_modules[i]->device_extensions(request);
		if (result != VK_SUCCESS)
			return result;
	}
	return VK_SUCCESS;
}

/* ---- Queues ---- */

static VkQueue get_queue(struct layer_device *device, const VkDeviceQueueCreateInfo *info,
			 uint32_t index)
{
	const VkDeviceQueueInfo2 info2 = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_INFO_2,
		.flags = info->flags,
		.queueFamilyIndex = info->queueFamilyIndex,
		.queueIndex = index,
	};
	VkQueue handle = VK_NULL_HANDLE;

	if (!info->flags)
		device->next.GetDeviceQueue(device->handle, info->queueFamilyIndex, index, &handle);
	else if (device->next.GetDeviceQueue2)
		device->next.GetDeviceQueue2(device->handle, &info2, &handle);
	return handle;
}

static uint32_t count_queues(const VkDeviceCreateInfo *create_info)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < create_info->queueCreateInfoCount; i++)
		count += create_info->pQueueCreateInfos[i].queueCount;
	return count;
}

/*
 * All at once, so that looking one up never has to create anything. What the loader keeps in a
 * queue is set when the application asks for it; here the layer has to.
 */
static VkResult get_queues(struct layer_device *device, const VkDeviceCreateInfo *create_info)
{
	const VkDeviceQueueCreateInfo *infos = create_info->pQueueCreateInfos;
	const struct layer_physical_device *physical_device = device->physical_device;

	device->queues =
		layer_alloc(device->allocator, count_queues(create_info) * sizeof(*device->queues),
			    VK_SYSTEM_ALLOCATION_SCOPE_DEVICE);
	if (!device->queues)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	for (uint32_t i = 0; i < create_info->queueCreateInfoCount; i++) {
		for (uint32_t j = 0; j < infos[i].queueCount; j++) {
			struct layer_queue *queue = &device->queues[device->queue_count];

			queue->handle = get_queue(device, &infos[i], j);
			if (!queue->handle)
				continue;
			if (device->set_loader_data(device->handle, queue->handle) != VK_SUCCESS)
				return VK_ERROR_INITIALIZATION_FAILED;
			queue->device = device;
			queue->family = infos[i].queueFamilyIndex;
			queue->index = j;
			queue->flags = infos[i].flags;
			if (queue->family < physical_device->queue_family_count)
				queue->capabilities =
					physical_device->queue_families[queue->family].queueFlags;
			device->queue_count++;
		}
	}
	return VK_SUCCESS;
}

struct layer_queue *layer_queue_of(VkQueue handle)
{
	struct layer_device *device = layer_device_of(handle);

	for (uint32_t i = 0; i < device->queue_count; i++)
		if (device->queues[i].handle == handle)
			return &device->queues[i];
	return NULL;
}

/* ---- Creation and destruction ---- */

static void free_device(struct layer_device *device)
{
	/* points into what is freed */
	const VkAllocationCallbacks callbacks = device->allocator_copy;
	const VkAllocationCallbacks *allocator = device->allocator ? &callbacks : NULL;

	layer_free(allocator, device->queues);
	extension_set_fini(&device->extensions);
	layer_free(allocator, device);
}

static struct layer_device *new_device(struct layer_physical_device *physical_device,
				       const VkDeviceCreateInfo *create_info,
				       const VkAllocationCallbacks *allocator)
{
	struct layer_instance *instance = physical_device->instance;
	struct layer_device *device =
		layer_alloc(allocator ? allocator : instance->allocator, sizeof(*device),
			    VK_SYSTEM_ALLOCATION_SCOPE_DEVICE);
	const VkDeviceGroupDeviceCreateInfo *group = layer_find_struct(
		create_info->pNext, VK_STRUCTURE_TYPE_DEVICE_GROUP_DEVICE_CREATE_INFO);

	if (!device)
		return NULL;
	if (!allocator)
		allocator = instance->allocator;
	if (allocator) {
		device->allocator_copy = *allocator;
		device->allocator = &device->allocator_copy;
	}
	device->instance = instance;
	device->physical_device = physical_device;
	device->api_version = physical_device->properties.apiVersion < instance->api_version
				      ? physical_device->properties.apiVersion
				      : instance->api_version;
	device->group_size = group && group->physicalDeviceCount ? group->physicalDeviceCount : 1;
	return device;
}

/* Calls the next layer with the extensions of @request, whose set becomes the device's. */
static VkResult create_below(struct layer_device *device, struct layer_device_request *request,
			     VkDevice *handle)
{
	VkLayerDeviceCreateInfo *link = find_info(&request->create_info, VK_LAYER_LINK_INFO);
	VkLayerDeviceCreateInfo *data = find_info(&request->create_info, VK_LOADER_DATA_CALLBACK);
	struct layer_instance *instance = device->instance;
	PFN_vkGetInstanceProcAddr get_instance_proc_addr;
	PFN_vkGetDeviceProcAddr get_device_proc_addr;
	PFN_vkCreateDevice create;
	const char **names;
	VkResult result;

	if (!link || !link->u.pLayerInfo || !data)
		return VK_ERROR_INITIALIZATION_FAILED;
	device->set_loader_data = data->u.pfnSetDeviceLoaderData;
	get_instance_proc_addr = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	get_device_proc_addr = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
	create = (PFN_vkCreateDevice)get_instance_proc_addr(instance->handle, "vkCreateDevice");
	if (!create)
		return VK_ERROR_INITIALIZATION_FAILED;

	names = extension_set_pointers(&request->extensions);
	if (!names)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	request->create_info.ppEnabledExtensionNames = names;
	request->create_info.enabledExtensionCount = request->extensions.count;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	result = create(request->physical_device->handle, &request->create_info, request->allocator,
			handle);
	layer_free(request->extensions.allocator, names);
	if (result == VK_SUCCESS) {
		device->handle = *handle;
		vkuInitDeviceDispatchTable(device->handle, &device->next, get_device_proc_addr);
		/* until it is known what each module wants, for those that fail before that */
		for (int i = 0; i < LAYER_MODULE_COUNT; i++)
			device->below[i] = device->next;
	}
	return result;
}

static void destroy_modules(struct layer_device *device, int outermost)
{
	for (int i = outermost; i < LAYER_MODULE_COUNT; i++)
		if (layer_modules[i] && layer_modules[i]->device_destroy)
			layer_modules[i]->device_destroy(device);
}

static void finish_modules(struct layer_device *device)
{
	for (int i = 0; i < LAYER_MODULE_COUNT; i++)
		if (layer_modules[i] && layer_modules[i]->device_gone)
			layer_modules[i]->device_gone(device);
}

static VkResult create_modules(struct layer_device *device,
			       const struct layer_device_request *request)
{
	for (int i = LAYER_MODULE_COUNT - 1; i >= 0; i--) {
		VkResult result = VK_SUCCESS;

		if (layer_modules[i] && layer_modules[i]->device_create)
			result = layer_modules[i]->device_create(device, request);
		if (result != VK_SUCCESS) {
			destroy_modules(device, i + 1);
			return result;
		}
	}
	return VK_SUCCESS;
}

static VkResult create_device(struct layer_device *device, struct layer_device_request *request,
			      struct table_spare *spare, VkDevice *handle)
{
	VkResult result = ask_modules(request);

	if (result != VK_SUCCESS)
		return result;
	result = create_below(device, request, handle);
	if (result != VK_SUCCESS)
		return result;
	device->extensions = request->extensions;
	request->extensions = (struct extension_set){0};

	result = get_queues(device, &request->create_info);
	if (result != VK_SUCCESS)
		goto err_destroy;
	result = create_modules(device, request);
	if (result != VK_SUCCESS)
		goto err_destroy;
	layer_device_build_dispatch(device);
	layer_device_remember(device, spare);
	return VK_SUCCESS;

err_destroy:
	device->next.DestroyDevice(device->handle, request->allocator);
	finish_modules(device);
	return result;
}

VKAPI_ATTR VkResult VKAPI_CALL layer_create_device(VkPhysicalDevice handle,
						   const VkDeviceCreateInfo *create_info,
						   const VkAllocationCallbacks *allocator,
						   VkDevice *device_handle)
{
	struct layer_physical_device *physical_device;
	struct layer_device_request request = {
		.create_info = *create_info,
		.application_create_info = create_info,
		.allocator = allocator,
	};
	struct layer_device *device;
	struct table_spare spare;
	VkResult result = layer_physical_devices_enumerate(layer_instance_of(handle));

	if (result != VK_SUCCESS)
		return result;
	result = VK_ERROR_OUT_OF_HOST_MEMORY;
	physical_device = layer_physical_device_of(handle);
	if (!physical_device)
		return result;
	request.physical_device = physical_device;
	device = new_device(physical_device, create_info, allocator);
	if (!device)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	request.api_version = device->api_version;
	if (!table_spare_init(&spare))
		goto err_free;
	if (extension_set_init(
		    &request.extensions, device->allocator, VK_SYSTEM_ALLOCATION_SCOPE_DEVICE,
		    create_info->ppEnabledExtensionNames, create_info->enabledExtensionCount))
		result = create_device(device, &request, &spare, device_handle);
	extension_set_fini(&request.extensions);
	table_spare_fini(&spare);
	if (result == VK_SUCCESS)
		return VK_SUCCESS;

err_free:
	free_device(device);
	return result;
}

VKAPI_ATTR void VKAPI_CALL layer_destroy_device(VkDevice handle,
						const VkAllocationCallbacks *allocator)
{
	struct layer_device *device;

	if (!handle)
		return;
	device = layer_device_of(handle);
	destroy_modules(device, 0);
	/* another device may get the same dispatch pointer as soon as it's free */
	layer_device_forget(device);
	device->next.DestroyDevice(handle, allocator);
	finish_modules(device);
	free_device(device);
}
