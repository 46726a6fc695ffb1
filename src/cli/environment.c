// SPDX-License-Identifier: MIT
/*
 * The environment in which an application sees the virtual GPUs: the layer, where it is, its settings, and the CPU
 * driver once for each of them.
 */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Takes the value over. */
static void set(struct environment *environment, const char *name, char *value)
{
	if (environment->count == ARRAY_SIZE(environment->items))
		die(EXIT_FAILURE, "too many variables");
	environment->items[environment->count++] = (struct variable){text("%s", name), value};
}

/* ---- The layer ---- */

/*
 * Layers are listed from the application to the driver. Ours belongs below the others: validation looks at what the
 * application does, not at what we make of it.
 */
static void set_layers(struct environment *environment)
{
	const char *value = getenv("VK_INSTANCE_LAYERS");
	struct strings layers = {0};

	strings_split(&layers, value, ':');
	if (!strings_contain(&layers, LAYER_NAME))
		set(environment, "VK_INSTANCE_LAYERS",
		    layers.count ? text("%s:" LAYER_NAME, value) : text(LAYER_NAME));
	strings_free(&layers);
}

/* Where VK_LAYER_PATH is set, the loader looks nowhere else. */
static void set_layer_path(struct environment *environment, const char *add)
{
	const char *only = getenv("VK_LAYER_PATH"), *more = getenv("VK_ADD_LAYER_PATH");

	if (!add)
		return;
	if (only && *only)
		set(environment, "VK_LAYER_PATH", text("%s:%s", add, only));
	else if (more && *more)
		set(environment, "VK_ADD_LAYER_PATH", text("%s:%s", add, more));
	else
		set(environment, "VK_ADD_LAYER_PATH", text("%s", add));
}

/* ---- Settings ---- */

/* VK_EXT_layer_settings' variable: the layer's name without VK_LAYER_, and the key, in capitals. */
static void set_setting(struct environment *environment, const char *setting)
{
	const char *value = strchr(setting, '=');
	char *name = text("VK_DROVER_WORKING_SET_%.*s", (int)(value - setting), setting);

	for (char *at = name; *at; at++)
		*at = (char)toupper((unsigned char)*at);
	set(environment, name, text("%s", value + 1));
	free(name);
}

static char *joined(const struct strings *values)
{
	char *all = text("%s", values->items[0]);

	for (size_t i = 1; i < values->count; i++) {
		char *before = all;

		all = text("%s, %s", before, values->items[i]);
		free(before);
	}
	return all;
}

static char *unknown_setting(const struct setting *known, size_t count, const char *setting)
{
	char *all = text("the layer has no setting '%.*s'. It has:", (int)strcspn(setting, "="),
			 setting);

	for (size_t i = 0; i < count; i++) {
		char *before = all;

		all = text("%s\n  %-15s %s", before, known[i].key, known[i].description);
		free(before);
	}
	return all;
}

/* NULL if it is right. */
static char *setting_error(const struct setting *known, size_t count, const char *setting)
{
	size_t length = strcspn(setting, "="), i;
	char *values, *error;

	if (!length || !setting[length])
		return text("--setting %s: expected NAME=VALUE", setting);
	for (i = 0; i < count; i++)
		if (strlen(known[i].key) == length && !strncmp(known[i].key, setting, length))
			break;
	if (i == count)
		return unknown_setting(known, count, setting);
	if (!known[i].values.count || strings_contain(&known[i].values, setting + length + 1))
		return NULL;
	values = joined(&known[i].values);
	error = text("the setting %s can't be '%s'. It can be: %s", known[i].key,
		     setting + length + 1, values);
	free(values);
	return error;
}

static bool set_settings(struct environment *environment, const struct layer_place *place,
			 const struct strings *settings, char **error)
{
	size_t count;
	struct setting *known = layer_settings(place, &count);

	for (size_t i = 0; i < settings->count && !*error; i++) {
		*error = setting_error(known, count, settings->items[i]);
		if (!*error)
			set_setting(environment, settings->items[i]);
	}
	layer_settings_free(known, count);
	return !*error;
}

/* ---- Drivers ---- */

static bool is_lavapipe(const struct manifest *manifest)
{
	return strstr(manifest->library, "libvulkan_lvp");
}

static char *no_lavapipe(void)
{
	const char *variable = icds_variable();

	if (variable)
		return text(
			"%s names no manifest of lavapipe, Mesa's CPU driver. Unset it, or name the CPU driver's "
			"manifest with --icd FILE.",
			variable);
	return text(
		"lavapipe, Mesa's CPU driver, isn't installed (on Debian: apt install mesa-vulkan-drivers). "
		"Another CPU driver's manifest can be named with --icd FILE.");
}

/* The CPU driver's manifest as an absolute path, since applications change their directory; NULL with a message. */
static char *cpu_driver(const struct manifests *icds, const char *wanted, char **error)
{
	char *path = NULL;

	if (wanted) {
		path = realpath(wanted, NULL);
		if (!path)
			*error = text("--icd %s: %s", wanted, strerror(errno));
	} else {
		for (size_t i = 0; i < icds->count && !path; i++)
			if (is_lavapipe(&icds->items[i]))
				path = realpath(icds->items[i].path, NULL);
		if (!path)
			*error = no_lavapipe();
	}
	if (path && strchr(path, ':')) {
		*error = text(
			"the path of the driver's manifest contains a colon, which separates paths in "
			"VK_DRIVER_FILES: %s",
			path);
		free(path);
		path = NULL;
	}
	return path;
}

static void append(char **list, const char *item)
{
	char *before = *list;

	*list = before ? text("%s:%s", before, item) : text("%s", item);
	free(before);
}

/*
 * The loader loads a driver once per manifest and tells manifests apart by their path. So one file under several
 * spellings of its path is as many drivers, and nothing has to be cleaned up when the application ends.
 */
static void append_spellings(char **list, const char *path, unsigned int count)
{
	char *copy = text("%s", path), *file = text("%s", path);
	char *directory = dirname(copy), *name = basename(file), *dots = text("%s", "");

	for (unsigned int i = 0; i < count; i++) {
		char *spelling = text("%s/%s%s", directory, dots, name), *before = dots;

		append(list, spelling);
		free(spelling);
		dots = text("%s./", before);
		free(before);
	}
	free(dots);
	free(copy);
	free(file);
}

static bool set_drivers(struct environment *environment, const struct run_options *options,
			char **error)
{
	struct manifests icds = icds_list();
	char *list = NULL, *path = cpu_driver(&icds, options->icd, error);

	if (path) {
		append_spellings(&list, path, options->gpus);
		for (size_t i = 0; i < icds.count && options->keep_drivers; i++)
			if (!is_lavapipe(&icds.items[i]) && strcmp(icds.items[i].path, path))
				append(&list, icds.items[i].path);
		set(environment, "VK_DRIVER_FILES", list);
	}
	free(path);
	manifests_free(&icds);
	return path;
}

bool environment_make(const struct run_options *options, struct environment *environment,
		      char **error)
{
	struct layer_place place = layer_find();
	bool made = false;

	*environment = (struct environment){0};
	*error = NULL;
	if (!place.manifest) {
		*error = text("the layer " LAYER_NAME
			      " is neither installed nor beside this command. Install it with: "
			      "meson install -C BUILD");
	} else if (place.missing) {
		*error = text(
			"%s names a library that isn't there. Build or install the layer again.",
			place.manifest);
	} else if (set_settings(environment, &place, &options->settings, error)) {
		set_layers(environment);
		set_layer_path(environment, place.add);
		made = !options->gpus || set_drivers(environment, options, error);
	}
	layer_place_free(&place);
	return made;
}

void environment_apply(const struct environment *environment)
{
	for (size_t i = 0; i < environment->count; i++)
		if (setenv(environment->items[i].name, environment->items[i].value, 1))
			die(EXIT_FAILURE, "%s can't be set: %s", environment->items[i].name,
			    strerror(errno));
}

void environment_free(struct environment *environment)
{
	for (size_t i = 0; i < environment->count; i++) {
		free(environment->items[i].name);
		free(environment->items[i].value);
	}
	environment->count = 0;
}
