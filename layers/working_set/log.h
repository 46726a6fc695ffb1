/* SPDX-License-Identifier: MIT */
/*
 * What the layer has to say to people: through the application's VK_EXT_debug_utils messengers if it
 * has any, otherwise to stderr.
 */
#ifndef LAYER_LOG_H
#define LAYER_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

#include <vulkan/vulkan.h>
#include <vulkan/utility/vk_dispatch_table.h>

#include "table.h"

enum layer_log_level {
	/* Of interest to who looks for it: only for messengers. */
	LAYER_LOG_INFO,
	/* Something asked for isn't done, or not as fast as it could be. */
	LAYER_LOG_WARNING,
	/* The application can't go on as it should. */
	LAYER_LOG_ERROR,
};

#define LAYER_LOG_WAITING 4

struct layer_log {
	/* NULL: not there yet; what is said waits (or is lost, if it is too much). */
	VkInstance instance;
	char *waiting[LAYER_LOG_WAITING];
	PFN_vkSubmitDebugUtilsMessageEXT submit;
	/* Messengers that exist, and those of the instance's create-info while it is being made. */
	atomic_uint messengers;
	/* What was said, by the text's hash. */
	struct table said;
};

/* Says what was waiting for the instance. Not for several threads, as the instance isn't yet. */
void layer_log_begin(struct layer_log *log, VkInstance instance,
		     PFN_vkSubmitDebugUtilsMessageEXT submit, bool has_messenger);
void layer_log_fini(struct layer_log *log);

/*
 * layer_log() - say something, once per instance
 *
 * The text is a sentence without a full stop: what is wrong, what was expected, what to do. The
 * same text isn't said again. Calls the application's code: hold no lock.
 */
void layer_log(struct layer_log *log, enum layer_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
