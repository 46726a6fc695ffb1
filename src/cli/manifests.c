// SPDX-License-Identifier: MIT
/*
 * The JSON manifests of Vulkan drivers and of the layer, found where the loader finds them: variables first, else the
 * directories of the XDG base directory specification and /etc (the loader's LoaderDriverInterface.md and
 * LoaderLayerInterface.md).
 */
#include "cli.h"

#include <errno.h>
#include <dirent.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

/* ---- Where to look ---- */

static void add_directories(struct strings *list, const char *bases, const char *below)
{
	struct strings parts = {0};

	strings_split(&parts, bases, ':');
	for (size_t i = 0; i < parts.count; i++)
		strings_add(list, text("%s/vulkan/%s", parts.items[i], below));
	strings_free(&parts);
}

/* What a base directory of the user's is: by its variable, or below the home directory. */
static void add_home(struct strings *list, const char *variable, const char *below_home,
		     const char *below)
{
	const char *value = getenv(variable), *home = getenv("HOME");
	char *base;

	if (value && *value) {
		add_directories(list, value, below);
	} else if (home && *home) {
		base = text("%s/%s", home, below_home);
		add_directories(list, base, below);
		free(base);
	}
}

static const char *variable_or(const char *variable, const char *otherwise)
{
	const char *value = getenv(variable);

	return value && *value ? value : otherwise;
}

static void standard_directories(struct strings *list, const char *below)
{
	add_home(list, "XDG_CONFIG_HOME", ".config", below);
	add_directories(list, variable_or("XDG_CONFIG_DIRS", "/etc/xdg"), below);
	add_directories(list, "/etc", below);
	add_home(list, "XDG_DATA_HOME", ".local/share", below);
	add_directories(list, variable_or("XDG_DATA_DIRS", "/usr/local/share:/usr/share"), below);
}

static int is_json(const struct dirent *entry)
{
	const char *end = strrchr(entry->d_name, '.');

	return end && !strcmp(end, ".json");
}

/* The manifests in a directory, or the file itself. */
static void add_files(struct strings *files, const char *place)
{
	struct dirent **entries;
	struct stat buffer;
	int count;

	if (stat(place, &buffer))
		return;
	if (!S_ISDIR(buffer.st_mode)) {
		strings_add(files, text("%s", place));
		return;
	}
	count = scandir(place, &entries, is_json, alphasort);
	for (int i = 0; i < count; i++) {
		strings_add(files, text("%s/%s", place, entries[i]->d_name));
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

static struct strings files_in(const struct strings *places)
{
	struct strings files = {0};

	for (size_t i = 0; i < places->count; i++)
		add_files(&files, places->items[i]);
	return files;
}

/* ---- Drivers ---- */

const char *icds_variable(void)
{
	static const char *const names[] = {"VK_DRIVER_FILES", "VK_ICD_FILENAMES"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (*variable_or(names[i], ""))
			return names[i];
	return NULL;
}

static const char *string_member(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return "";
	return json_object_get_string(value);
}

/* A path is relative to the manifest; a name without a slash is looked up as the dynamic linker does. */
static bool library_missing(const char *manifest, const char *library)
{
	char *copy, *path;
	bool missing;

	if (!strchr(library, '/'))
		return false;
	if (*library == '/')
		return access(library, F_OK);
	copy = text("%s", manifest);
	path = text("%s/%s", dirname(copy), library);
	missing = access(path, F_OK);
	free(path);
	free(copy);
	return missing;
}

static void add_icd(struct manifests *list, const char *path)
{
	struct json_object *root = json_object_from_file(path), *icd;
	struct manifest *manifest;

	if (root && json_object_object_get_ex(root, "ICD", &icd)) {
		const char *library = string_member(icd, "library_path");

		list->items = grow(list->items, list->count, sizeof(*list->items));
		manifest = &list->items[list->count++];
		manifest->path = text("%s", path);
		manifest->library = text("%s", library);
		manifest->api_version = text("%s", string_member(icd, "api_version"));
		manifest->missing = library_missing(path, library);
	}
	json_object_put(root);
}

struct manifests icds_list(void)
{
	const char *variable = icds_variable();
	struct strings places = {0}, files;
	struct manifests list = {0};

	if (variable) {
		strings_split(&places, getenv(variable), ':');
	} else {
		strings_split(&places, getenv("VK_ADD_DRIVER_FILES"), ':');
		standard_directories(&places, "icd.d");
	}
	files = files_in(&places);
	for (size_t i = 0; i < files.count; i++)
		add_icd(&list, files.items[i]);
	strings_free(&files);
	strings_free(&places);
	return list;
}

void manifests_free(struct manifests *manifests)
{
	for (size_t i = 0; i < manifests->count; i++) {
		free(manifests->items[i].path);
		free(manifests->items[i].library);
		free(manifests->items[i].api_version);
	}
	free(manifests->items);
}

/* ---- The layer ---- */

/* The layer's object in a manifest, or NULL: other layers' manifests lie in the same directories. */
static struct json_object *layer_in(struct json_object *root)
{
	struct json_object *layer;

	if (!root || !json_object_object_get_ex(root, "layer", &layer) ||
	    strcmp(string_member(layer, "name"), LAYER_NAME))
		return NULL;
	return layer;
}

static bool layer_library_missing(const char *path)
{
	struct json_object *root = json_object_from_file(path), *layer = layer_in(root);
	bool missing = layer && library_missing(path, string_member(layer, "library_path"));

	json_object_put(root);
	return missing;
}

static bool is_layer_manifest(const char *path)
{
	struct json_object *root = json_object_from_file(path);
	bool is_layer = layer_in(root);

	json_object_put(root);
	return is_layer;
}

/* The layer's manifest in one of these places, or NULL. */
static char *find_manifest(const struct strings *places)
{
	struct strings files = files_in(places);
	char *found = NULL;

	for (size_t i = 0; i < files.count && !found; i++)
		if (is_layer_manifest(files.items[i]))
			found = text("%s", files.items[i]);
	strings_free(&files);
	return found;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The directories beside the command that would have the layer: of a build, and of an installation. */
static void places_beside(struct strings *places)
{
	static const char *const relative[] = {"../../layers/working_set/uninstalled",
					       "../share/vulkan/explicit_layer.d"};
	char program[PATH_MAX], *directory;
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (length < 0)
		return;
	program[length] = '\0';
	directory = dirname(program);
	for (size_t i = 0; i < ARRAY_SIZE(relative); i++) {
		char *place = text("%s/%s", directory, relative[i]);
		char *resolved = realpath(place, NULL);

		if (resolved)
			strings_add(places, resolved);
		free(place);
	}
}

struct layer_place layer_find(void)
{
	const char *override = getenv("VK_LAYER_PATH");
	struct strings beside = {0}, known = {0};
	struct layer_place place = {0};
	char *copy;

	if (override && *override) {
		strings_split(&known, override, ':');
	} else {
		strings_split(&known, getenv("VK_ADD_LAYER_PATH"), ':');
		standard_directories(&known, "explicit_layer.d");
	}
	places_beside(&beside);

	place.manifest = find_manifest(&beside);
	if (place.manifest) {
		copy = text("%s", place.manifest);
		place.add = text("%s", dirname(copy));
		free(copy);
		for (size_t i = 0; i < known.count && place.add; i++) {
			if (!same_file(known.items[i], place.add))
				continue;
			free(place.add);
			place.add = NULL;
		}
	} else {
		place.manifest = find_manifest(&known);
	}
	place.missing = place.manifest && layer_library_missing(place.manifest);
	strings_free(&beside);
	strings_free(&known);
	return place;
}

/* The keys of an ENUM's values. */
static struct strings values_of(struct json_object *setting)
{
	struct strings values = {0};
	struct json_object *flags;

	if (!strcmp(string_member(setting, "type"), "ENUM") &&
	    json_object_object_get_ex(setting, "flags", &flags))
		for (size_t i = 0; i < json_object_array_length(flags); i++)
			strings_add(&values,
				    text("%s", string_member(json_object_array_get_idx(flags, i),
							     "key")));
	return values;
}

struct setting *layer_settings(const struct layer_place *place, size_t *count)
{
	struct json_object *root = json_object_from_file(place->manifest), *layer = layer_in(root);
	struct json_object *features, *list;
	struct setting *settings = NULL;

	*count = 0;
	if (layer && json_object_object_get_ex(layer, "features", &features) &&
	    json_object_object_get_ex(features, "settings", &list)) {
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *object = json_object_array_get_idx(list, i);

			settings = grow(settings, *count, sizeof(*settings));
			settings[(*count)++] = (struct setting){
				.key = text("%s", string_member(object, "key")),
				.description = text("%s", string_member(object, "description")),
				.values = values_of(object),
			};
		}
	}
	json_object_put(root);
	return settings;
}

void layer_settings_free(struct setting *settings, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(settings[i].key);
		free(settings[i].description);
		strings_free(&settings[i].values);
	}
	free(settings);
}

void layer_place_free(struct layer_place *place)
{
	free(place->manifest);
	free(place->add);
}
