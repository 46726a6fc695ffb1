/* SPDX-License-Identifier: MIT */
/*
 * What the layer has to say to people: through the application's VK_EXT_debug_utils messengers if it
 * has any, otherwise to stderr.
 */
#ifndef LAYER_LOG_H
#define LAYER_LOG_H

#include <pthread.h>
#include <stdbool.h>

#include <vulkan/vulkan.h>

#include "table.h"

enum layer_log_level {
	/* Of interest to who looks for it: only for messengers. */
	LAYER_LOG_INFO,
	/* Something asked for isn't done, or not as fast as it could be. */
	LAYER_LOG_WARNING,
	/* The application can't go on as it should. */
	LAYER_LOG_ERROR,
};

struct layer_messenger;

struct layer_log {
	/* For the messages; NULL: not there yet. */
	VkInstance instance;
	pthread_mutex_t lock;
	/* Under the lock. */
	struct layer_messenger *messengers;
	/* What was said, by the text's hash. */
	struct table said;
};

void layer_log_init(struct layer_log *log);
void layer_log_fini(struct layer_log *log);

/*
 * layer_log_add() - hear the messages through a messenger of the application
 * @handle: of the messenger; null: it is in the instance's create-info, and is used only while the
 *	    instance is created and destroyed
 *
 * The callbacks are called by the layer itself: what the loader offers for it takes a lock that the loader
 * holds while it creates instances and devices.
 *
 * Return: false: no memory.
 */
bool layer_log_add(struct layer_log *log, VkDebugUtilsMessengerEXT handle,
		   const VkDebugUtilsMessengerCreateInfoEXT *info);
void layer_log_remove(struct layer_log *log, VkDebugUtilsMessengerEXT handle);

/* layer_log_during() - use those of the create-info, or don't */
void layer_log_during(struct layer_log *log, bool creation_or_destruction);

/*
 * layer_log() - say something, once per instance
 *
 * The text is a sentence without a full stop: what is wrong, what was expected, what to do. The
 * same text isn't said again. Calls the application's code: hold no lock.
 */
void layer_log(struct layer_log *log, enum layer_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
