/* SPDX-License-Identifier: MIT */
/*
 * A small Vulkan application that uses what the layer is interested in, in every order that tests
 * of its transparency and its life need; and the drivers to run it on.
 */
#ifndef DROVER_TESTS_LAYER_APP_H
#define DROVER_TESTS_LAYER_APP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

/** enum driver - a driver that needs no hardware */
enum driver { DRIVER_LAVAPIPE, DRIVER_SWIFTSHADER, DRIVER_MOCK, NUM_DRIVERS };

/**
 * use_driver() - let this process and its children have that driver alone
 * @layer: the layer's manifest, or its directory; NULL: without the layer
 *
 * In native mode. To be called before anything of Vulkan.
 */
void use_driver(enum driver driver, const char *layer);

const char *driver_name(enum driver driver);

/** struct app - what an application has; unused handles are null */
struct app {
	const VkAllocationCallbacks *allocator;
	uint32_t api_version;
	VkInstance instance;
	VkPhysicalDevice physical_device;
	VkDevice device;
	VkQueue queue;
	VkCommandPool pool;
	VkCommandBuffer commands;
	VkFence fence;
	VkSemaphore timeline;
	VkBuffer buffer;
	VkDeviceMemory memory;
	/* what the device offers of what the application would use */
	bool can_export;
	bool can_transfer;
	bool can_timeline;
};

/*
 * Steps of the application's life, each after the one before. They return the first error, and
 * leave to app_close() what is there already.
 */
VkResult app_open_instance(struct app *app);
VkResult app_open_device(struct app *app);
/* A buffer in memory that can be exported; commands that take ownership, fill it, and give it back. */
VkResult app_open_resources(struct app *app);
/* @lock: of the queue, or NULL */
VkResult app_submit(struct app *app, pthread_mutex_t *lock);

/* Undoes what was done, in the right order. */
void app_close_resources(struct app *app);
void app_close_device(struct app *app);
void app_close(struct app *app);

/** app_run() - all of that, once */
VkResult app_run(struct app *app);

#endif
