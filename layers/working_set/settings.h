/* SPDX-License-Identifier: MIT */
/*
 * The layer's settings. Each can be set, in rising order of precedence, in a vk_layer_settings.txt
 * (drover_working_set.NAME = value), in the environment (VK_DROVER_WORKING_SET_NAME, in upper
 * case) and by the application (VK_EXT_layer_settings). They are read when an instance
 * is created and never change. The manifest describes them for vkconfig; keep both alike.
 */
#ifndef LAYER_SETTINGS_H
#define LAYER_SETTINGS_H

#include <stdbool.h>

#include <vulkan/vulkan.h>

struct layer_log;

enum layer_mode {
	/* Virtual where there's a CPU driver and a virtual GPU for it, otherwise native. */
	LAYER_MODE_AUTO,
	/* Memory stays the driver's. */
	LAYER_MODE_NATIVE,
	/* As auto, but for any driver that can use host memory; says so where it can't be done. */
	LAYER_MODE_VIRTUAL,
};

enum layer_implicit_sync {
	/* At queue-family ownership transfers from and to FOREIGN and EXTERNAL. */
	LAYER_IMPLICIT_SYNC_OWNERSHIP,
	/* Each submission waits for, and releases, all imports and exports of its device. */
	LAYER_IMPLICIT_SYNC_EVERY_SUBMIT,
	/* Not at all. */
	LAYER_IMPLICIT_SYNC_OFF,
};

struct layer_settings {
	/* `mode`: auto (default), native or virtual */
	enum layer_mode mode;
	/* `implicit_sync`: ownership (default), every_submit or off */
	enum layer_implicit_sync implicit_sync;
	/* `trace_file`: where to write a trace in Chrome's JSON format; NULL (default): no trace */
	char *trace_file;
	/* `stats`: say at the end of each device what the layer did; default: false */
	bool stats;
};

/* What can't be understood is said in @log, and the default used. */
void layer_settings_read(struct layer_settings *settings, const VkInstanceCreateInfo *create_info,
			 struct layer_log *log);
void layer_settings_free(struct layer_settings *settings);

#endif
