// SPDX-License-Identifier: MIT
/* Owns reading the settings, with Vulkan-Utility-Libraries' help. */
#include <stdlib.h>
#include <string.h>

#include <vulkan/layer/vk_layer_settings.h>

#include "layer.h"

static const char *const mode_names[] = {
	[LAYER_MODE_AUTO] = "auto",
	[LAYER_MODE_NATIVE] = "native",
	[LAYER_MODE_VIRTUAL] = "virtual",
	NULL,
};

static const char *const implicit_sync_names[] = {
	[LAYER_IMPLICIT_SYNC_OWNERSHIP] = "ownership",
	[LAYER_IMPLICIT_SYNC_EVERY_SUBMIT] = "every_submit",
	[LAYER_IMPLICIT_SYNC_OFF] = "off",
	NULL,
};

static const char *const setting_names[] = {"mode", "implicit_sync", "trace_file", "stats"};

/* The library's callback has no place for it. */
static _Thread_local struct layer_log *reading_log;

static void VKAPI_PTR report(const char *setting, const char *message)
{
	layer_log(reading_log, LAYER_LOG_WARNING, "setting %s: %s", setting, message);
}

/* Return: a copy of the string, or NULL if it isn't set (or empty, or no memory). */
static char *get_string(VkuLayerSettingSet set, const char *name)
{
	const char *value = NULL;
	uint32_t count = 1;

	if (!vkuHasLayerSetting(set, name))
		return NULL;
	if (vkuGetLayerSettingValues(set, name, VKU_LAYER_SETTING_TYPE_STRING, &count,
				     (void *)&value) < 0 ||
	    !count || !value || !*value)
		return NULL;
	return strdup(value);
}

/* Return: the value's index in @names; 0, the default, if it isn't set or not understood. */
static int get_choice(VkuLayerSettingSet set, const char *name, const char *const *names)
{
	char *value = get_string(set, name);
	int found = 0;

	if (!value)
		return 0;
	for (int i = 0; names[i]; i++)
		if (!strcmp(value, names[i]))
			found = i;
	if (strcmp(value, names[found]))
		layer_log(reading_log, LAYER_LOG_WARNING,
			  "setting %s: \"%s\" isn't one of %s, %s, %s; %s is used", name, value,
			  names[0], names[1], names[2], names[0]);
	free(value);
	return found;
}

static bool get_bool(VkuLayerSettingSet set, const char *name)
{
	VkBool32 value = VK_FALSE;
	uint32_t count = 1;

	if (!vkuHasLayerSetting(set, name) ||
	    vkuGetLayerSettingValues(set, name, VKU_LAYER_SETTING_TYPE_BOOL32, &count, &value) < 0)
		return false;
	return count && value;
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < sizeof(setting_names) / sizeof(setting_names[0]); i++)
		if (!strcmp(setting_names[i], name))
			return true;
	return false;
}

/* A misspelt setting would otherwise just do nothing. Other layers' settings are in the same lists. */
static void report_unknown(const VkLayerSettingsCreateInfoEXT *create_info)
{
	for (; create_info; create_info = vkuNextLayerSettingsCreateInfo(create_info))
		for (uint32_t i = 0; i < create_info->settingCount; i++)
			if (!strcmp(create_info->pSettings[i].pLayerName, LAYER_NAME) &&
			    !is_known(create_info->pSettings[i].pSettingName))
				report(create_info->pSettings[i].pSettingName,
				       "there is no such setting");
}

void layer_settings_read(struct layer_settings *settings, const VkInstanceCreateInfo *create_info,
			 struct layer_log *log)
{
	const VkLayerSettingsCreateInfoEXT *application =
		vkuFindLayerSettingsCreateInfo(create_info);
	VkuLayerSettingSet set = VK_NULL_HANDLE;

	*settings = (struct layer_settings){0};
	reading_log = log;
	if (vkuCreateLayerSettingSet(LAYER_NAME, application, NULL, report, &set) == VK_SUCCESS) {
		settings->mode = get_choice(set, "mode", mode_names);
		settings->implicit_sync = get_choice(set, "implicit_sync", implicit_sync_names);
		settings->trace_file = get_string(set, "trace_file");
		settings->stats = get_bool(set, "stats");
		vkuDestroyLayerSettingSet(set, NULL);
	}
	report_unknown(application);
	reading_log = NULL;
}

void layer_settings_free(struct layer_settings *settings)
{
	free(settings->trace_file);
	settings->trace_file = NULL;
}
