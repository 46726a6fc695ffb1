/* SPDX-License-Identifier: MIT */
/*
 * The layer's own objects: what it keeps for an instance, a physical device, a device and
 * a queue. They are found from Vulkan's handles, which stay the driver's (no wrapping).
 *
 * Lifetime follows Vulkan's objects; Vulkan's rules on external synchronization say who may
 * use them when. What changes after creation says by what it is protected.
 */
#ifndef LAYER_LAYER_H
#define LAYER_LAYER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vulkan/vulkan.h>
#include <vulkan/vk_layer.h>
#include <vulkan/utility/vk_dispatch_table.h>

#include "extensions.h"
#include "log.h"
#include "settings.h"
#include "table.h"

#define LAYER_NAME                   "VK_LAYER_DROVER_working_set"
#define LAYER_DESCRIPTION            "Drover: working sets for memory and imports, implicit sync"
#define LAYER_IMPLEMENTATION_VERSION 1

/* The modules, outermost first; see entry.h. */
enum layer_module_id {
	LAYER_MODULE_TELEMETRY,
	LAYER_MODULE_SUBMIT,
	LAYER_MODULE_COMMANDS,
	LAYER_MODULE_SEMAPHORES,
	LAYER_MODULE_BRIDGE,
	LAYER_MODULE_TRACK,
	LAYER_MODULE_MEMORY,
	LAYER_MODULE_PHYSICAL,
	LAYER_MODULE_LOST,
	LAYER_MODULE_TOOLS,
	LAYER_MODULE_COUNT
};

struct virtual_gpu;
struct virtual_gpu_device;
struct virtual_gpu_instance;

struct layer_instance {
	VkInstance handle;
	/* The application's, or NULL; a copy, good for the instance's life. */
	const VkAllocationCallbacks *allocator;
	VkAllocationCallbacks allocator_copy;

	/* What the application asked for; VK_API_VERSION_1_0 if it said nothing. */
	uint32_t api_version;
	struct extension_set extensions;
	struct layer_settings settings;
	struct layer_log log;

	/* The next layer. */
	PFN_vkGetInstanceProcAddr next_get_instance_proc_addr;
	PFN_GetPhysicalDeviceProcAddr next_get_physical_device_proc_addr;
	VkuInstanceDispatchTable next;
	/* For each module, what is below it. */
	VkuInstanceDispatchTable below[LAYER_MODULE_COUNT];
	/* What is above all modules: what the application calls. */
	VkuInstanceDispatchTable top;

	/* VkPhysicalDevice -> struct layer_physical_device; complete once `enumerated`. */
	struct table physical_devices;
	pthread_mutex_t physical_devices_lock;
	/* Written under the lock above. */
	_Atomic(bool) enumerated;

	/* The modules' own. */
	struct virtual_gpu_instance *virtual_gpus;
	struct telemetry_instance *telemetry;
	struct track_instance *track;
	struct submit_instance *submit;
};

struct layer_physical_device {
	VkPhysicalDevice handle;
	struct layer_instance *instance;
	/* As the driver says; never what virtual mode makes of it. */
	VkPhysicalDeviceProperties properties;
	/* 0, and zeros, where the driver, or the application's Vulkan 1.0, is too old to say. */
	VkDriverId driver_id;
	uint8_t driver_uuid[VK_UUID_SIZE];
	/* What the driver offers. */
	struct extension_set extensions;
	uint32_t queue_family_count;
	/* As the driver says. */
	VkQueueFamilyProperties *queue_families;
	/* NULL: native. */
	struct virtual_gpu *virtual_gpu;
};

struct layer_queue {
	VkQueue handle;
	struct layer_device *device;
	uint32_t family;
	uint32_t index;
	VkDeviceQueueCreateFlags flags;
	/* The driver's capabilities of the family. */
	VkQueueFlags capabilities;

	/* The modules' own. */
	struct submit_queue *submit;
	struct telemetry_queue *telemetry;
};

struct layer_device {
	VkDevice handle;
	const VkAllocationCallbacks *allocator;
	VkAllocationCallbacks allocator_copy;
	struct layer_instance *instance;
	struct layer_physical_device *physical_device;

	/* The lower of what the application asked for and what the driver has. */
	uint32_t api_version;
	/* What is enabled below: the application's and the layer's own. */
	struct extension_set extensions;
	/* How many physical devices the device has (device groups). */
	uint32_t group_size;

	/* The next layer. */
	VkuDeviceDispatchTable next;
	/* For each module, what is below it. */
	VkuDeviceDispatchTable below[LAYER_MODULE_COUNT];
	/* What is above all modules: what the application calls. */
	VkuDeviceDispatchTable top;
	/* Gives a dispatchable handle that the layer got by itself what the loader puts in front. */
	PFN_vkSetDeviceLoaderData set_loader_data;

	/* All queues that the application asked for. */
	uint32_t queue_count;
	struct layer_queue *queues;

	/* NULL: native mode. */
	struct virtual_gpu_device *virtual_gpu;
	/* The modules' own. */
	struct memory_device *memory;
	struct lost_device *lost;
	struct track_device *track;
	struct commands_device *commands;
	struct submit_device *submit;
	struct semaphores_device *semaphores;
	struct bridge_device *bridge;
	struct telemetry_device *telemetry;
};

/* A device that is being created. */
struct layer_device_request {
	struct layer_physical_device *physical_device;
	/* What goes down; pNext is the application's, the extension list the layer's. */
	VkDeviceCreateInfo create_info;
	/* What the application asked for. */
	const VkDeviceCreateInfo *application_create_info;
	const VkAllocationCallbacks *allocator;
	uint32_t api_version;
	/* The application's extensions and the layer's. */
	struct extension_set extensions;
};

/*
 * Return: NULL only for a handle that isn't of an instance with this layer. The first
 * parameter is any dispatchable handle of the object or its children: a VkPhysicalDevice has its
 * instance's dispatch pointer, a VkQueue and a VkCommandBuffer their device's.
 */
struct layer_instance *layer_instance_find(const void *dispatch_key);
struct layer_device *layer_device_find(const void *dispatch_key);

#define layer_instance_of(handle) layer_instance_find(*(const void *const *)(handle))
#define layer_device_of(handle)   layer_device_known(*(const void *const *)(handle))

/*
 * The first few devices that a process has at a time, in front of the table: what is looked up with
 * every call has to cost next to nothing. A slot that has the key of a living device isn't changed,
 * and nobody looks for another one.
 */
#define LAYER_RECENT_DEVICES      4

struct layer_recent_device {
	_Atomic(const void *) key;
	_Atomic(struct layer_device *) device;
};

extern struct layer_recent_device layer_recent_devices[LAYER_RECENT_DEVICES];

/*
 * layer_device_recent() - look among these few
 *
 * For a function that does nothing but call what is below, or another of its own kind if this
 * returns NULL: without any other call it needs no stack.
 */
static inline struct layer_device *layer_device_recent(const void *dispatch_key)
{
	for (int i = 0; i < LAYER_RECENT_DEVICES; i++)
		if (atomic_load_explicit(&layer_recent_devices[i].key, memory_order_acquire) ==
		    dispatch_key)
			return atomic_load_explicit(&layer_recent_devices[i].device,
						    memory_order_relaxed);
	return NULL;
}

static inline struct layer_device *layer_device_known(const void *dispatch_key)
{
	struct layer_device *device = layer_device_recent(dispatch_key);

	return device ? device : layer_device_find(dispatch_key);
}

/*
 * layer_physical_device_of() - what the layer knows of a physical device
 *
 * Return: NULL: no memory to remember it.
 */
struct layer_physical_device *layer_physical_device_of(VkPhysicalDevice handle);

/*
 * layer_physical_devices_enumerate() - have all physical devices of an instance remembered
 *
 * Done once; later calls return at once.
 */
VkResult layer_physical_devices_enumerate(struct layer_instance *instance);

/* Return: NULL: not a queue that vkGetDeviceQueue*() can have returned. */
struct layer_queue *layer_queue_of(VkQueue handle);

/* Whether an extension is enabled below, by the application or by the layer. */
bool layer_device_has_extension(const struct layer_device *device, const char *name);

/*
 * request_extension() - have an extension enabled below, with what it depends on
 *
 * Return: VK_SUCCESS, also if it was enabled anyway; VK_ERROR_EXTENSION_NOT_PRESENT: the
 * driver doesn't have it, or not what it depends on; nothing is added then;
 * VK_ERROR_OUT_OF_HOST_MEMORY. The commands of what is added stay hidden from the application.
 */
VkResult request_extension(struct layer_device_request *request, const char *name);

/*
 * layer_alloc() - zeroed memory from the application's callbacks, or from malloc()
 *
 * For what lives and dies within a call that has a pAllocator, or as long as the object that
 * was made with it. Side tables of objects use malloc().
 */
void *layer_alloc(const VkAllocationCallbacks *allocator, size_t size,
		  VkSystemAllocationScope scope);
void layer_free(const VkAllocationCallbacks *allocator, void *memory);

/* Return: the first structure of that type in a pNext chain, or NULL. */
const void *layer_find_struct(const void *chain, VkStructureType type);

/* The loader's entries, exported by layer.c. */
PFN_vkVoidFunction VKAPI_CALL layer_get_instance_proc_addr(VkInstance instance, const char *name);
PFN_vkVoidFunction VKAPI_CALL layer_get_device_proc_addr(VkDevice device, const char *name);
PFN_vkVoidFunction VKAPI_CALL layer_get_physical_device_proc_addr(VkInstance instance,
								  const char *name);

/* instance.c and device.c: the life of the layer's objects; called through layer.c's entries. */
VkResult VKAPI_CALL layer_create_instance(const VkInstanceCreateInfo *create_info,
					  const VkAllocationCallbacks *allocator,
					  VkInstance *handle);
void VKAPI_CALL layer_destroy_instance(VkInstance handle, const VkAllocationCallbacks *allocator);
VkResult VKAPI_CALL layer_create_device(VkPhysicalDevice physical_device,
					const VkDeviceCreateInfo *create_info,
					const VkAllocationCallbacks *allocator, VkDevice *handle);
void VKAPI_CALL layer_destroy_device(VkDevice handle, const VkAllocationCallbacks *allocator);

/* The modules' array, layer.c. */
extern const struct layer_module *const layer_modules[LAYER_MODULE_COUNT];

#endif
