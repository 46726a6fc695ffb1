/* SPDX-License-Identifier: MIT */
/*
 * How the modules of the layer plug in.
 *
 * A module is a file (or a few) that intercepts commands. It defines one
 * `const struct layer_module X_module`, which has a line in layer.c's array of modules and its
 * file a line in meson.build; its place in enum layer_module_id says where it stands in the
 * layer's own chain. That's all: layer.c calls its hooks, builds the dispatch tables and answers
 * vkGet*ProcAddr.
 *
 * The chain. Modules are layers within the layer: several may intercept the same command. The
 * application calls the outermost module that wants it; each calls what is below it through
 *
 *	device->below[LAYER_MODULE_X].AllocateMemory(...)
 *
 * and never device->next, which skips the modules below (right for commands of the layer's own
 * that no module should see). The same goes for instances and physical devices.
 *
 * Names. Every alias (KHR, EXT suffix) is a line of its own and has a place of its own in the
 * dispatch tables: an application that got vkQueueSubmit2KHR needn't have vkQueueSubmit2. Inside the
 * layer, use the helpers that take whichever there is, or test for NULL.
 *
 * NULL stays NULL: an entry is used only if the next layer has the command, so the function may
 * rely on its own command's pointer below being there.
 *
 * What isn't wanted costs nothing: the application gets the next layer's pointer.
 */
#ifndef LAYER_ENTRY_H
#define LAYER_ENTRY_H

#include "layer.h"

/* A device-level command (its first parameter is a VkDevice, VkQueue or VkCommandBuffer). */
struct layer_entry {
	const char *name;
	PFN_vkVoidFunction function;
	/*
	 * Whether the device needs it; NULL: always. Asked once, after the device_create hooks
	 * of all modules.
	 */
	bool (*wanted)(const struct layer_device *device);
	/* Where the command is in VkuDeviceDispatchTable. */
	size_t offset;
};

/* An instance-level command (its first parameter is a VkInstance or VkPhysicalDevice). */
struct layer_instance_entry {
	const char *name;
	PFN_vkVoidFunction function;
	/* Asked once, after the instance_create hooks of all modules; NULL: always. */
	bool (*wanted)(const struct layer_instance *instance);
	/* Where the command is in VkuInstanceDispatchTable. */
	size_t offset;
	/* Its first parameter is a VkPhysicalDevice. */
	bool physical_device;
};

/* The conditional makes the compiler check the function's type. */
#define LAYER_FUNCTION(command, function) ((PFN_vkVoidFunction)(1 ? (function) : (PFN_##command)0))

/*
 * Lines of a module's tables, for example
 *	DEVICE_ENTRY(AllocateMemory, allocate_memory, is_virtual),
 */
#define DEVICE_ENTRY(command, fn, wanted_fn)          \
	{.name = "vk" #command,                       \
	 .function = LAYER_FUNCTION(vk##command, fn), \
	 .wanted = wanted_fn,                         \
	 .offset = offsetof(VkuDeviceDispatchTable, command)}

#define INSTANCE_ENTRY(command, fn, wanted_fn)        \
	{.name = "vk" #command,                       \
	 .function = LAYER_FUNCTION(vk##command, fn), \
	 .wanted = wanted_fn,                         \
	 .offset = offsetof(VkuInstanceDispatchTable, command)}

#define PHYSICAL_DEVICE_ENTRY(command, fn, wanted_fn)           \
	{.name = "vk" #command,                                 \
	 .function = LAYER_FUNCTION(vk##command, fn),           \
	 .wanted = wanted_fn,                                   \
	 .offset = offsetof(VkuInstanceDispatchTable, command), \
	 .physical_device = true}

/* All but @name may be NULL. */
struct layer_module {
	const char *name;

	/* Both end with an entry without a name. */
	const struct layer_instance_entry *instance_entries;
	const struct layer_entry *device_entries;

	/*
	 * The settings are read, but the instance isn't there yet: loaders don't survive a layer that
	 * gives up after that. An error undoes the modules before this one and is what
	 * vkCreateInstance returns. Called outermost module last, so that what is below is there.
	 */
	VkResult (*instance_create)(struct layer_instance *instance);
	/* In the reverse order, before the instance goes below, or when it couldn't be created. */
	void (*instance_destroy)(struct layer_instance *instance);

	/*
	 * Before the device exists: look at request->create_info, refuse it (any error is what
	 * vkCreateDevice returns), ask for extensions with request_extension(). Called outermost
	 * module first, as if each called the one below.
	 */
	VkResult (*device_extensions)(struct layer_device_request *request);

	/*
	 * The device exists below; device->next, device->queues and layer_device_has_extension()
	 * work. Order and errors as for instance_create.
	 */
	VkResult (*device_create)(struct layer_device *device,
				  const struct layer_device_request *request);
	/*
	 * Before the device goes below; no other thread uses it. Everything that the
	 * application didn't destroy (it may have lost the device) has to be given up here.
	 */
	void (*device_destroy)(struct layer_device *device);

	/*
	 * After the device went below: the driver's threads have ended. Also called when the device
	 * couldn't be created, then perhaps without device_create.
	 */
	void (*device_gone)(struct layer_device *device);
};

extern const struct layer_module telemetry_module;
extern const struct layer_module submit_module;
extern const struct layer_module commands_module;
extern const struct layer_module semaphores_module;
extern const struct layer_module bridge_module;
extern const struct layer_module track_module;
extern const struct layer_module memory_module;
extern const struct layer_module physical_module;
extern const struct layer_module lost_module;
extern const struct layer_module tools_module;

#endif
