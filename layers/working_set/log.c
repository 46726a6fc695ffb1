// SPDX-License-Identifier: MIT
/* Owns the way of messages to people. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

struct layer_messenger {
	struct layer_messenger *next;
	VkDebugUtilsMessengerEXT handle;
	VkDebugUtilsMessageSeverityFlagsEXT severities;
	VkDebugUtilsMessageTypeFlagsEXT types;
	PFN_vkDebugUtilsMessengerCallbackEXT callback;
	void *data;
	bool used;
};

/* So many are told, of one instance. */
#define MAX_TOLD 16

void layer_log_init(struct layer_log *log)
{
	pthread_mutex_init(&log->lock, NULL);
}

void layer_log_fini(struct layer_log *log)
{
	while (log->messengers) {
		struct layer_messenger *next = log->messengers->next;

		free(log->messengers);
		log->messengers = next;
	}
	pthread_mutex_destroy(&log->lock);
	table_fini(&log->said);
}

bool layer_log_add(struct layer_log *log, VkDebugUtilsMessengerEXT handle,
		   const VkDebugUtilsMessengerCreateInfoEXT *info)
{
	struct layer_messenger *messenger = calloc(1, sizeof(*messenger));

	if (!messenger)
		return false;
	messenger->handle = handle;
	messenger->severities = info->messageSeverity;
	messenger->types = info->messageType;
	messenger->callback = info->pfnUserCallback;
	messenger->data = info->pUserData;
	messenger->used = true;
	pthread_mutex_lock(&log->lock);
	messenger->next = log->messengers;
	log->messengers = messenger;
	pthread_mutex_unlock(&log->lock);
	return true;
}

void layer_log_remove(struct layer_log *log, VkDebugUtilsMessengerEXT handle)
{
	struct layer_messenger **link, *messenger;

	pthread_mutex_lock(&log->lock);
	for (link = &log->messengers; *link && (*link)->handle != handle; link = &(*link)->next)
		;
	messenger = *link;
	if (messenger)
		*link = messenger->next;
	pthread_mutex_unlock(&log->lock);
	free(messenger);
}

void layer_log_during(struct layer_log *log, bool creation_or_destruction)
{
	pthread_mutex_lock(&log->lock);
	for (struct layer_messenger *messenger = log->messengers; messenger;
	     messenger = messenger->next)
		if (!messenger->handle)
			messenger->used = creation_or_destruction;
	pthread_mutex_unlock(&log->lock);
}

/*
 * Copies, as no lock is held while they are called. Who destroys a messenger sees to it that
 * nobody works with the instance meanwhile. Return: how many.
 */
static uint32_t copy_messengers(struct layer_log *log, struct layer_messenger told[MAX_TOLD])
{
	uint32_t count = 0;

	pthread_mutex_lock(&log->lock);
	for (const struct layer_messenger *messenger = log->messengers;
	     messenger && count < MAX_TOLD; messenger = messenger->next)
		if (messenger->used)
			told[count++] = *messenger;
	pthread_mutex_unlock(&log->lock);
	return count;
}

/* Return: whether the messenger wants to hear it. */
static bool tell(const struct layer_log *log, const struct layer_messenger *messenger,
		 enum layer_log_level level, const char *text)
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
		.objectCount = log->instance ? 1 : 0,
		.pObjects = &object,
	};

	if (!(messenger->severities & severities[level]) ||
	    !(messenger->types & VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT))
		return false;
	messenger->callback(severities[level], VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT, &data,
			    messenger->data);
	return true;
}

void layer_log(struct layer_log *log, enum layer_log_level level, const char *format, ...)
{
	struct layer_messenger told[MAX_TOLD];
	char text[1024];
	bool heard = false;
	va_list arguments;
	uint32_t count;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!first_time(&log->said, text))
		return;
	count = copy_messengers(log, told);
	for (uint32_t i = 0; i < count; i++)
		heard |= tell(log, &told[i], level, text);
	if (!heard && level != LAYER_LOG_INFO && first_time(&said_to_stderr, text))
		fprintf(stderr, "VK_LAYER_DROVER_working_set: %s.\n", text);
}
