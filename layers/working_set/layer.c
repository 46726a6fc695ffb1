// SPDX-License-Identifier: MIT
/*
 * Owns what the loader calls: negotiation, vkGet*ProcAddr, enumeration of the layer itself; the
 * array of the modules and the dispatch tables that they make; finding the layer's objects from
 * handles. See entry.h for how modules work.
 */
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "entry.h"

#define EXPORTED __attribute__((visibility("default")))

/* One line for each module, outermost first, as in enum layer_module_id. */
const struct layer_module *const layer_modules[LAYER_MODULE_COUNT] = {
	[LAYER_MODULE_TELEMETRY] = &telemetry_module,
	[LAYER_MODULE_SUBMIT] = &submit_module,
	[LAYER_MODULE_COMMANDS] = &commands_module,
	[LAYER_MODULE_SEMAPHORES] = &semaphores_module,
	[LAYER_MODULE_TRACK] = &track_module,
	[LAYER_MODULE_MEMORY] = &memory_module,
	[LAYER_MODULE_PHYSICAL] = &physical_module,
	[LAYER_MODULE_LOST] = &lost_module,
	[LAYER_MODULE_TOOLS] = &tools_module,
};

/* Dispatch pointer -> struct layer_instance, struct layer_device. */
static struct table instances;
static struct table devices;
/* Some of them again; who fills and clears slots has the lock. */
struct layer_recent_device layer_recent_devices[LAYER_RECENT_DEVICES];
static pthread_mutex_t recent_devices_lock = PTHREAD_MUTEX_INITIALIZER;

struct layer_instance *layer_instance_find(const void *dispatch_key)
{
	return table_get(&instances, table_key(dispatch_key));
}

struct layer_device *layer_device_find(const void *dispatch_key)
{
	return table_get(&devices, table_key(dispatch_key));
}

void layer_instance_remember(struct layer_instance *instance, struct table_spare *spare)
{
	table_put_spare(&instances, table_key(*(void **)instance->handle), instance, spare);
}

void layer_instance_forget(struct layer_instance *instance)
{
	table_remove(&instances, table_key(*(void **)instance->handle));
}

void layer_device_remember(struct layer_device *device, struct table_spare *spare)
{
	const void *key = *(void **)device->handle;

	table_put_spare(&devices, table_key(key), device, spare);
	pthread_mutex_lock(&recent_devices_lock);
	for (int i = 0; i < LAYER_RECENT_DEVICES; i++) {
		if (atomic_load(&layer_recent_devices[i].key))
			continue;
		atomic_store(&layer_recent_devices[i].device, device);
		atomic_store(&layer_recent_devices[i].key, key);
		break;
	}
	pthread_mutex_unlock(&recent_devices_lock);
}

void layer_device_forget(struct layer_device *device)
{
	const void *key = *(void **)device->handle;

	pthread_mutex_lock(&recent_devices_lock);
	for (int i = 0; i < LAYER_RECENT_DEVICES; i++)
		if (atomic_load(&layer_recent_devices[i].key) == key)
			atomic_store(&layer_recent_devices[i].key, NULL);
	pthread_mutex_unlock(&recent_devices_lock);
	table_remove(&devices, table_key(key));
}

/* ---- Dispatch tables ---- */

static PFN_vkVoidFunction *slot(void *table, size_t offset)
{
	return (PFN_vkVoidFunction *)((char *)table + offset);
}

void layer_instance_build_dispatch(struct layer_instance *instance)
{
	VkuInstanceDispatchTable table = instance->next;

	for (int i = LAYER_MODULE_COUNT - 1; i >= 0; i--) {
		const struct layer_instance_entry *entry;

		instance->below[i] = table;
		if (!layer_modules[i] || !layer_modules[i]->instance_entries)
			continue;
		for (entry = layer_modules[i]->instance_entries; entry->name; entry++)
			if (*slot(&table, entry->offset) &&
			    (!entry->wanted || entry->wanted(instance)))
				*slot(&table, entry->offset) = entry->function;
	}
	instance->top = table;
}

void layer_device_build_dispatch(struct layer_device *device)
{
	VkuDeviceDispatchTable table = device->next;

	for (int i = LAYER_MODULE_COUNT - 1; i >= 0; i--) {
		const struct layer_entry *entry;

		device->below[i] = table;
		if (!layer_modules[i] || !layer_modules[i]->device_entries)
			continue;
		for (entry = layer_modules[i]->device_entries; entry->name; entry++)
			if (*slot(&table, entry->offset) &&
			    (!entry->wanted || entry->wanted(device)))
				*slot(&table, entry->offset) = entry->function;
	}
	device->top = table;
}

/* Return: the module's line for a command, of any module: all have the same offset for it. */
static const struct layer_instance_entry *find_instance_entry(const char *name)
{
	for (int i = 0; i < LAYER_MODULE_COUNT; i++) {
		const struct layer_instance_entry *entry;

		if (!layer_modules[i] || !layer_modules[i]->instance_entries)
			continue;
		for (entry = layer_modules[i]->instance_entries; entry->name; entry++)
			if (!strcmp(entry->name, name))
				return entry;
	}
	return NULL;
}

static const struct layer_entry *find_device_entry(const char *name)
{
	for (int i = 0; i < LAYER_MODULE_COUNT; i++) {
		const struct layer_entry *entry;

		if (!layer_modules[i] || !layer_modules[i]->device_entries)
			continue;
		for (entry = layer_modules[i]->device_entries; entry->name; entry++)
			if (!strcmp(entry->name, name))
				return entry;
	}
	return NULL;
}

/* ---- Enumeration of the layer itself ---- */

static VkResult enumerate_layer(uint32_t *count, VkLayerProperties *properties)
{
	static const VkLayerProperties self = {
		.layerName = LAYER_NAME,
		.specVersion = VK_HEADER_VERSION_COMPLETE,
		.implementationVersion = LAYER_IMPLEMENTATION_VERSION,
		.description = LAYER_DESCRIPTION,
	};

	if (!properties) {
		*count = 1;
		return VK_SUCCESS;
	}
	if (!*count)
		return VK_INCOMPLETE;
	*count = 1;
	properties[0] = self;
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL
enumerate_instance_layer_properties(uint32_t *count, VkLayerProperties *properties)
{
	return enumerate_layer(count, properties);
}

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_device_layer_properties(
	VkPhysicalDevice physical_device, uint32_t *count, VkLayerProperties *properties)
{
	(void)physical_device;
	return enumerate_layer(count, properties);
}

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_instance_extension_properties(
	const char *layer, uint32_t *count, VkExtensionProperties *properties)
{
	static const VkExtensionProperties own = {VK_EXT_LAYER_SETTINGS_EXTENSION_NAME,
						  VK_EXT_LAYER_SETTINGS_SPEC_VERSION};

	if (!layer || strcmp(layer, LAYER_NAME))
		return VK_ERROR_LAYER_NOT_PRESENT;
	if (properties && !*count)
		return VK_INCOMPLETE;
	*count = 1;
	if (properties)
		properties[0] = own;
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL
enumerate_device_extension_properties(VkPhysicalDevice physical_device, const char *layer,
				      uint32_t *count, VkExtensionProperties *properties)
{
	struct layer_instance *instance;

	if (layer && !strcmp(layer, LAYER_NAME)) {
		*count = 0;
		return VK_SUCCESS;
	}
	instance = layer_instance_of(physical_device);
	return instance->top.EnumerateDeviceExtensionProperties(physical_device, layer, count,
								properties);
}

/* ---- vkGet*ProcAddr ---- */

/* The commands that the layer always has: those that make and unmake what the rest relies on. */
static const struct own_command {
	const char *name;
	PFN_vkVoidFunction function;
	enum { GLOBAL, INSTANCE, PHYSICAL_DEVICE, DEVICE } level;
} own_commands[] = {
#define OWN(level, command, fn) {"vk" #command, LAYER_FUNCTION(vk##command, fn), level}
	OWN(GLOBAL, GetInstanceProcAddr, layer_get_instance_proc_addr),
	OWN(GLOBAL, CreateInstance, layer_create_instance),
	OWN(GLOBAL, EnumerateInstanceLayerProperties, enumerate_instance_layer_properties),
	OWN(GLOBAL, EnumerateInstanceExtensionProperties, enumerate_instance_extension_properties),
	OWN(INSTANCE, DestroyInstance, layer_destroy_instance),
	OWN(PHYSICAL_DEVICE, CreateDevice, layer_create_device),
	OWN(PHYSICAL_DEVICE, EnumerateDeviceLayerProperties, enumerate_device_layer_properties),
	OWN(PHYSICAL_DEVICE, EnumerateDeviceExtensionProperties,
	    enumerate_device_extension_properties),
	OWN(DEVICE, GetDeviceProcAddr, layer_get_device_proc_addr),
	OWN(DEVICE, DestroyDevice, layer_destroy_device),
#undef OWN
};

static const struct own_command *find_own(const char *name)
{
	for (size_t i = 0; i < sizeof(own_commands) / sizeof(own_commands[0]); i++)
		if (!strcmp(own_commands[i].name, name))
			return &own_commands[i];
	return NULL;
}

PFN_vkVoidFunction VKAPI_CALL layer_get_device_proc_addr(VkDevice handle, const char *name)
{
	struct layer_device *device = layer_device_of(handle);
	const struct own_command *own;
	const struct layer_entry *entry;
	PFN_vkVoidFunction next;

	if (!device)
		return NULL;
	next = device->next.GetDeviceProcAddr(handle, name);
	if (!next || extension_set_hides(&device->extensions, name))
		return NULL;
	own = find_own(name);
	if (own && own->level == DEVICE)
		return own->function;
	entry = find_device_entry(name);
	return entry ? *slot(&device->top, entry->offset) : next;
}

/*
 * Device-level commands that were asked for at the instance work for devices that want a module's
 * function as well as for those that don't. So only what every device wants can be given out here; loaders
 * and layers take the others from vkGetDeviceProcAddr.
 */
static PFN_vkVoidFunction instance_command(struct layer_instance *instance, const char *name,
					   PFN_vkVoidFunction next)
{
	const struct layer_instance_entry *entry = find_instance_entry(name);
	const struct layer_entry *device_entry;

	if (entry)
		return *slot(&instance->top, entry->offset);
	device_entry = find_device_entry(name);
	return device_entry && !device_entry->wanted ? device_entry->function : next;
}

PFN_vkVoidFunction VKAPI_CALL layer_get_instance_proc_addr(VkInstance handle, const char *name)
{
	const struct own_command *own = find_own(name);
	struct layer_instance *instance;
	PFN_vkVoidFunction next;

	/*
	 * The loader asks for vkCreateInstance with a handle that nobody has created yet, and layers
	 * ask for vkCreateDevice without one.
	 */
	instance = handle ? layer_instance_of(handle) : NULL;
	if (!instance || (own && own->level == GLOBAL))
		return own ? own->function : NULL;
	next = instance->next_get_instance_proc_addr(handle, name);
	if (!next || extension_set_hides(&instance->extensions, name))
		return NULL;
	return own ? own->function : instance_command(instance, name, next);
}

PFN_vkVoidFunction VKAPI_CALL layer_get_physical_device_proc_addr(VkInstance handle,
								  const char *name)
{
	struct layer_instance *instance = layer_instance_of(handle);
	const struct own_command *own = find_own(name);
	const struct layer_instance_entry *entry;
	PFN_vkVoidFunction next = NULL;

	if (!instance)
		return NULL;
	if (instance->next_get_physical_device_proc_addr)
		next = instance->next_get_physical_device_proc_addr(handle, name);
	if (!next || extension_set_hides(&instance->extensions, name))
		return NULL;
	if (own)
		return own->level == PHYSICAL_DEVICE ? own->function : NULL;
	entry = find_instance_entry(name);
	if (!entry)
		return next;
	return entry->physical_device ? *slot(&instance->top, entry->offset) : NULL;
}

EXPORTED VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface)
{
	if (!interface || interface->sType != LAYER_NEGOTIATE_INTERFACE_STRUCT ||
	    interface->loaderLayerInterfaceVersion < 2)
		return VK_ERROR_INITIALIZATION_FAILED;
	interface->loaderLayerInterfaceVersion = 2;
	interface->pfnGetInstanceProcAddr = layer_get_instance_proc_addr;
	interface->pfnGetDeviceProcAddr = layer_get_device_proc_addr;
	interface->pfnGetPhysicalDeviceProcAddr = layer_get_physical_device_proc_addr;
	return VK_SUCCESS;
}

/* For loaders that look for these instead of negotiating. */
EXPORTED VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance,
									const char *name)
{
	return layer_get_instance_proc_addr(instance, name);
}

EXPORTED VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetDeviceProcAddr(VkDevice device,
								      const char *name)
{
	return layer_get_device_proc_addr(device, name);
}
