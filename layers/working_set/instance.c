// SPDX-License-Identifier: MIT
/*
 * Owns struct layer_instance: creating and destroying it in the loader's chain, and the table
 * of its physical devices.
 */
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "entry.h"
#include "virtual_gpu.h"

/*
 * What virtual mode needs on an instance of Vulkan 1.0, in which the drivers wouldn't say who they are.
 * The loader takes these from layers whether the drivers have them or not.
 */
static const char *const virtual_extensions[] = {
	VK_KHR_GET_PHYSICAL_DEVICE_PROPERTIES_2_EXTENSION_NAME,
	VK_KHR_EXTERNAL_MEMORY_CAPABILITIES_EXTENSION_NAME,
	VK_KHR_EXTERNAL_SEMAPHORE_CAPABILITIES_EXTENSION_NAME,
	VK_KHR_EXTERNAL_FENCE_CAPABILITIES_EXTENSION_NAME,
	NULL,
};

/* What implicit sync needs where the application can import memory. */
static const char *const sync_extensions[] = {
	VK_KHR_EXTERNAL_SEMAPHORE_CAPABILITIES_EXTENSION_NAME,
	VK_KHR_EXTERNAL_FENCE_CAPABILITIES_EXTENSION_NAME,
	NULL,
};

/* The loader hands its structures over as const, but they are there to be written to. */
static VkLayerInstanceCreateInfo *find_link(const VkInstanceCreateInfo *create_info)
{
	const VkLayerInstanceCreateInfo *info = create_info->pNext;

	while (info && (info->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO ||
			info->function != VK_LAYER_LINK_INFO))
		info = info->pNext;
	return (VkLayerInstanceCreateInfo *)info;
}

static uint32_t requested_version(const VkInstanceCreateInfo *create_info)
{
	const VkApplicationInfo *application = create_info->pApplicationInfo;

	return application && application->apiVersion ? application->apiVersion
						      : VK_API_VERSION_1_0;
}

static void free_physical_device(uint64_t key, void *value, void *data)
{
	struct layer_physical_device *physical_device = value;

	(void)key;
	(void)data;
	extension_set_fini(&physical_device->extensions);
	layer_free(physical_device->instance->allocator, physical_device->queue_families);
	layer_free(physical_device->instance->allocator, physical_device);
}

static void free_instance(struct layer_instance *instance)
{
	/* points into what is freed */
	const VkAllocationCallbacks callbacks = instance->allocator_copy;
	const VkAllocationCallbacks *allocator = instance->allocator ? &callbacks : NULL;

	table_for_each(&instance->physical_devices, free_physical_device, NULL);
	table_fini(&instance->physical_devices);
	pthread_mutex_destroy(&instance->physical_devices_lock);
	layer_settings_free(&instance->settings);
	layer_log_fini(&instance->log);
	extension_set_fini(&instance->extensions);
	layer_free(allocator, instance);
}

/*
 * The loader takes the commands of what a layer adds for the application's, and nothing can hide them
 * again: so nothing is added that isn't needed. Without external memory (which these are
 * the way to) there's nothing to synchronize, unless memory is going to be a virtual GPU's.
 */
static const char *const *needed_extensions(const struct layer_instance *instance)
{
	static const char *const none[] = {NULL};

	if (instance->settings.mode != LAYER_MODE_NATIVE && drover_device_count() > 0)
		return virtual_extensions;
	if (extension_set_has(&instance->extensions,
			      VK_KHR_EXTERNAL_MEMORY_CAPABILITIES_EXTENSION_NAME))
		return sync_extensions;
	return none;
}

static bool add_extensions(struct layer_instance *instance)
{
	if (instance->api_version >= VK_API_VERSION_1_1)
		return true;
	for (const char *const *name = needed_extensions(instance); *name; name++)
		if (!extension_set_add(&instance->extensions, *name))
			return false;
	return true;
}

/* Those that are to hear what is said while the instance is created or destroyed. */
static bool add_messengers(struct layer_instance *instance, const VkInstanceCreateInfo *create_info)
{
	const VkBaseInStructure *structure = create_info->pNext;

	for (; structure; structure = structure->pNext)
		if (structure->sType == VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT &&
		    !layer_log_add(&instance->log, VK_NULL_HANDLE, (const void *)structure))
			return false;
	return true;
}

static struct layer_instance *new_instance(const VkInstanceCreateInfo *create_info,
					   const VkAllocationCallbacks *allocator)
{
	struct layer_instance *instance =
		layer_alloc(allocator, sizeof(*instance), VK_SYSTEM_ALLOCATION_SCOPE_INSTANCE);

	if (!instance)
		return NULL;
	if (allocator) {
		instance->allocator_copy = *allocator;
		instance->allocator = &instance->allocator_copy;
	}
	pthread_mutex_init(&instance->physical_devices_lock, NULL);
	layer_log_init(&instance->log);
	instance->api_version = requested_version(create_info);
	if (!extension_set_init(
		    &instance->extensions, instance->allocator, VK_SYSTEM_ALLOCATION_SCOPE_INSTANCE,
		    create_info->ppEnabledExtensionNames, create_info->enabledExtensionCount))
		goto err_free;
	if (!add_messengers(instance, create_info))
		goto err_free;
	layer_settings_read(&instance->settings, create_info, &instance->log);
	if (!add_extensions(instance))
		goto err_free;
	return instance;

err_free:
	free_instance(instance);
	return NULL;
}

/* Calls the next layer, with the layer's extensions added. */
static VkResult create_below(struct layer_instance *instance,
			     const VkInstanceCreateInfo *create_info,
			     const VkAllocationCallbacks *allocator, VkInstance *handle)
{
	VkLayerInstanceCreateInfo *link = find_link(create_info);
	VkInstanceCreateInfo changed = *create_info;
	PFN_vkCreateInstance create;
	const char **names;
	VkResult result;

	if (!link || !link->u.pLayerInfo)
		return VK_ERROR_INITIALIZATION_FAILED;
	instance->next_get_instance_proc_addr = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	instance->next_get_physical_device_proc_addr =
		link->u.pLayerInfo->pfnNextGetPhysicalDeviceProcAddr;
	create = (PFN_vkCreateInstance)instance->next_get_instance_proc_addr(NULL,
									     "vkCreateInstance");
	if (!create)
		return VK_ERROR_INITIALIZATION_FAILED;

	names = extension_set_pointers(&instance->extensions);
	if (!names)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	changed.ppEnabledExtensionNames = names;
	changed.enabledExtensionCount = instance->extensions.count;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	result = create(&changed, allocator, handle);
	layer_free(instance->extensions.allocator, names);
	return result;
}

static void destroy_modules(struct layer_instance *instance, int outermost)
{
	for (int i = outermost; i < LAYER_MODULE_COUNT; i++)
		if (layer_modules[i] && layer_modules[i]->instance_destroy)
			layer_modules[i]->instance_destroy(instance);
}

static VkResult create_modules(struct layer_instance *instance)
{
	for (int i = LAYER_MODULE_COUNT - 1; i >= 0; i--) {
		VkResult result = VK_SUCCESS;

		if (layer_modules[i] && layer_modules[i]->instance_create)
			result = layer_modules[i]->instance_create(instance);
		if (result != VK_SUCCESS) {
			destroy_modules(instance, i + 1);
			return result;
		}
	}
	return VK_SUCCESS;
}

/* What can't fail: loaders don't survive a layer that gives up an instance that was created below. */
static void finish_create(struct layer_instance *instance, struct table_spare *spare)
{
	vkuInitInstanceDispatchTable(instance->handle, &instance->next,
				     instance->next_get_instance_proc_addr);
	instance->log.instance = instance->handle;
	layer_instance_build_dispatch(instance);
	layer_instance_remember(instance, spare);
	layer_log_during(&instance->log, false);
}

VKAPI_ATTR VkResult VKAPI_CALL layer_create_instance(const VkInstanceCreateInfo *create_info,
						     const VkAllocationCallbacks *allocator,
						     VkInstance *handle)
{
	struct layer_instance *instance = new_instance(create_info, allocator);
	VkResult result = VK_ERROR_OUT_OF_HOST_MEMORY;
	struct table_spare spare;

	if (!instance)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	if (!table_spare_init(&spare))
		goto err_free;
	result = create_modules(instance);
	if (result != VK_SUCCESS)
		goto err_spare;
	result = create_below(instance, create_info, allocator, handle);
	if (result != VK_SUCCESS)
		goto err_modules;
	instance->handle = *handle;
	finish_create(instance, &spare);
	table_spare_fini(&spare);
	return VK_SUCCESS;

err_modules:
	destroy_modules(instance, 0);
err_spare:
	table_spare_fini(&spare);
err_free:
	free_instance(instance);
	return result;
}

VKAPI_ATTR void VKAPI_CALL layer_destroy_instance(VkInstance handle,
						  const VkAllocationCallbacks *allocator)
{
	struct layer_instance *instance;

	if (!handle)
		return;
	instance = layer_instance_of(handle);
	layer_log_during(&instance->log, true);
	destroy_modules(instance, 0);
	/* another instance may get the same dispatch pointer as soon as it's free */
	layer_instance_forget(instance);
	instance->next.DestroyInstance(handle, allocator);
	free_instance(instance);
}

/* ---- Physical devices ---- */

static bool read_extensions(struct layer_physical_device *physical_device)
{
	struct layer_instance *instance = physical_device->instance;
	const VkAllocationCallbacks *allocator = instance->allocator;
	VkExtensionProperties *list;
	uint32_t count = 0;
	bool done = false;

	instance->next.EnumerateDeviceExtensionProperties(physical_device->handle, NULL, &count,
							  NULL);
	list = layer_alloc(allocator, count * sizeof(*list), VK_SYSTEM_ALLOCATION_SCOPE_COMMAND);
	if (!list)
		return false;
	if (instance->next.EnumerateDeviceExtensionProperties(physical_device->handle, NULL, &count,
							      list) < 0)
		goto out;
	done = extension_set_init(&physical_device->extensions, allocator,
				  VK_SYSTEM_ALLOCATION_SCOPE_INSTANCE, NULL, 0);
	for (uint32_t i = 0; done && i < count; i++)
		done = extension_set_add(&physical_device->extensions, list[i].extensionName);
out:
	layer_free(allocator, list);
	return done;
}

static bool read_queue_families(struct layer_physical_device *physical_device)
{
	struct layer_instance *instance = physical_device->instance;
	uint32_t count = 0;

	instance->next.GetPhysicalDeviceQueueFamilyProperties(physical_device->handle, &count,
							      NULL);
	physical_device->queue_families =
		layer_alloc(instance->allocator, count * sizeof(*physical_device->queue_families),
			    VK_SYSTEM_ALLOCATION_SCOPE_INSTANCE);
	if (!physical_device->queue_families)
		return false;
	instance->next.GetPhysicalDeviceQueueFamilyProperties(physical_device->handle, &count,
							      physical_device->queue_families);
	physical_device->queue_family_count = count;
	return true;
}

/* Needs the list of extensions. */
static void read_identity(struct layer_physical_device *physical_device)
{
	const VkuInstanceDispatchTable *next = &physical_device->instance->next;
	uint32_t version = physical_device->properties.apiVersion;
	VkPhysicalDeviceDriverProperties driver = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
	VkPhysicalDeviceIDProperties id = {.sType =
						   VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};

	if (version >= VK_API_VERSION_1_1 ||
	    extension_set_has(&physical_device->extensions, VK_KHR_EXTERNAL_MEMORY_EXTENSION_NAME))
		properties.pNext = &id;
	if (version >= VK_API_VERSION_1_2 ||
	    extension_set_has(&physical_device->extensions,
			      VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME)) {
		driver.pNext = properties.pNext;
		properties.pNext = &driver;
	}
	if (physical_device->instance->api_version >= VK_API_VERSION_1_1)
		next->GetPhysicalDeviceProperties2(physical_device->handle, &properties);
	else if (extension_set_has(&physical_device->instance->extensions,
				   VK_KHR_GET_PHYSICAL_DEVICE_PROPERTIES_2_EXTENSION_NAME))
		next->GetPhysicalDeviceProperties2KHR(physical_device->handle, &properties);
	physical_device->driver_id = driver.driverID;
	memcpy(physical_device->driver_uuid, id.driverUUID, VK_UUID_SIZE);
}

/* With the lock held. */
static struct layer_physical_device *remember(struct layer_instance *instance,
					      VkPhysicalDevice handle)
{
	struct layer_physical_device *physical_device;

	physical_device = table_get(&instance->physical_devices, table_key(handle));
	if (physical_device)
		return physical_device;
	physical_device = layer_alloc(instance->allocator, sizeof(*physical_device),
				      VK_SYSTEM_ALLOCATION_SCOPE_INSTANCE);
	if (!physical_device)
		return NULL;
	physical_device->handle = handle;
	physical_device->instance = instance;
	instance->next.GetPhysicalDeviceProperties(handle, &physical_device->properties);
	if (!read_extensions(physical_device) || !read_queue_families(physical_device) ||
	    !table_put(&instance->physical_devices, table_key(handle), physical_device)) {
		free_physical_device(0, physical_device, NULL);
		return NULL;
	}
	read_identity(physical_device);
	return physical_device;
}

/* Return: the driver's physical devices, to be freed; or NULL, and the reason in @result. */
static VkPhysicalDevice *list_physical_devices(struct layer_instance *instance, uint32_t *count,
					       VkResult *result)
{
	VkPhysicalDevice *handles = NULL;

	do {
		layer_free(instance->allocator, handles);
		handles = NULL;
		*result = instance->next.EnumeratePhysicalDevices(instance->handle, count, NULL);
		if (*result != VK_SUCCESS)
			return NULL;
		handles = layer_alloc(instance->allocator, *count * sizeof(VkPhysicalDevice),
				      VK_SYSTEM_ALLOCATION_SCOPE_COMMAND);
		if (!handles) {
			*result = VK_ERROR_OUT_OF_HOST_MEMORY;
			return NULL;
		}
		*result = instance->next.EnumeratePhysicalDevices(instance->handle, count, handles);
	} while (*result == VK_INCOMPLETE);
	if (*result == VK_SUCCESS)
		return handles;
	layer_free(instance->allocator, handles);
	return NULL;
}

VkResult layer_physical_devices_enumerate(struct layer_instance *instance)
{
	VkPhysicalDevice *handles;
	uint32_t count = 0;
	VkResult result = VK_SUCCESS;

	if (atomic_load(&instance->enumerated))
		return VK_SUCCESS;
	pthread_mutex_lock(&instance->physical_devices_lock);
	if (atomic_load(&instance->enumerated))
		goto out;
	handles = list_physical_devices(instance, &count, &result);
	if (!handles)
		goto out;
	for (uint32_t i = 0; i < count && result == VK_SUCCESS; i++)
		if (!remember(instance, handles[i]))
			result = VK_ERROR_OUT_OF_HOST_MEMORY;
	if (result == VK_SUCCESS) {
		virtual_gpu_assign(instance, handles, count);
		atomic_store(&instance->enumerated, true);
	}
	layer_free(instance->allocator, handles);
out:
	pthread_mutex_unlock(&instance->physical_devices_lock);
	return result;
}

struct layer_physical_device *layer_physical_device_of(VkPhysicalDevice handle)
{
	struct layer_instance *instance = layer_instance_of(handle);
	struct layer_physical_device *physical_device;

	/* before that it isn't decided which is virtual */
	if (layer_physical_devices_enumerate(instance) != VK_SUCCESS)
		return NULL;
	physical_device = table_get(&instance->physical_devices, table_key(handle));
	if (physical_device)
		return physical_device;
	/* one that appeared after the enumeration */
	pthread_mutex_lock(&instance->physical_devices_lock);
	physical_device = remember(instance, handle);
	pthread_mutex_unlock(&instance->physical_devices_lock);
	return physical_device;
}
