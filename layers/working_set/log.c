// SPDX-License-Identifier: MIT
/* Owns the way of messages to people. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* What went to stderr, for all instances of the process. */
static struct table said_to_stderr;

static uint64_t text_key(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
	return hash | 1;
}

/*
 * Whether this is the first time. Two threads that say the same thing at once may both be
 * first, which does no harm; without memory it's said again.
 */
static bool first_time(struct table *said, const char *text)
{
	uint64_t key = text_key(text);

	if (table_get(said, key))
		return false;
	table_put(said, key, said);
	return true;
}

static void submit(struct layer_log *log, enum layer_log_level level, const char *text)
{
	static const VkDebugUtilsMessageSeverityFlagBitsEXT severities[] = {
		[LAYER_LOG_INFO] = VK_DEBUG_UTILS_MESSAGE_SEVERITY_INFO_BIT_EXT,
		[LAYER_LOG_WARNING] = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT,
		[LAYER_LOG_ERROR] = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
	};
	const VkDebugUtilsObjectNameInfoEXT object = {
		.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
		.objectType = VK_OBJECT_TYPE_INSTANCE,
		.objectHandle = (uint64_t)(uintptr_t)log->instance,
	};
	const VkDebugUtilsMessengerCallbackDataEXT data = {
		.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CALLBACK_DATA_EXT,
		.pMessageIdName = "VK_LAYER_DROVER_working_set",
		.pMessage = text,
		.objectCount = 1,
		.pObjects = &object,
	};

	log->submit(log->instance, severities[level], VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT,
		    &data);
}

static void say(struct layer_log *log, enum layer_log_level level, const char *text)
{
	if (!first_time(&log->said, text))
		return;
	if (log->submit && atomic_load(&log->messengers))
		submit(log, level, text);
	else if (level != LAYER_LOG_INFO && first_time(&said_to_stderr, text))
		fprintf(stderr, "VK_LAYER_DROVER_working_set: %s.\n", text);
}

/* Only warnings are said that early. */
static void wait_for_instance(struct layer_log *log, const char *text)
{
	for (int i = 0; i < LAYER_LOG_WAITING; i++) {
		if (log->waiting[i])
			continue;
		log->waiting[i] = strdup(text);
		return;
	}
}

void layer_log(struct layer_log *log, enum layer_log_level level, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (log->instance)
		say(log, level, text);
	else
		wait_for_instance(log, text);
}

void layer_log_begin(struct layer_log *log, VkInstance instance,
		     PFN_vkSubmitDebugUtilsMessageEXT submit, bool has_messenger)
{
	log->instance = instance;
	log->submit = submit;
	atomic_store(&log->messengers, has_messenger);
	for (int i = 0; i < LAYER_LOG_WAITING && log->waiting[i]; i++) {
		say(log, LAYER_LOG_WARNING, log->waiting[i]);
		free(log->waiting[i]);
		log->waiting[i] = NULL;
	}
}

void layer_log_fini(struct layer_log *log)
{
	for (int i = 0; i < LAYER_LOG_WAITING; i++)
		free(log->waiting[i]);
	table_fini(&log->said);
}
