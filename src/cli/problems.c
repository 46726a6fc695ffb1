// SPDX-License-Identifier: MIT
/* What drover info has found that keeps something from working, and what to do about it. */
#include "cli.h"
#include "info.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

/* Adds a problem; both strings are freed. */
static void add(struct json_object *problems, char *problem, char *todo)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "problem", json_object_new_string(problem));
	json_object_object_add(object, "todo", json_object_new_string(todo));
	json_object_array_add(problems, object);
	free(problem);
	free(todo);
}

static void check_module(struct json_object *problems, struct json_object *info)
{
	if (!member_bool(info, "module/loaded"))
		add(problems, text("The module drover isn't loaded, so there are no virtual GPUs."),
		    member_bool(info, "module/installed")
			    ? text("Load it: sudo modprobe drover devices=2 vram_mib=256")
			    : text("Build it for this kernel and load it: README.md, section On your own machine. "
				   "Without it the layer works in native mode only."));
	else if (!member_length(info, "virtual_gpus") && !member_length(info, "drm_nodes"))
		add(problems, text("The module drover is loaded, but made no device."),
		    text("The kernel's log says why: sudo dmesg | grep drover"));
	else if (member_length(info, "virtual_gpus") && !member_bool(info, "module/aperture"))
		add(problems,
		    text("This drover module can't map a GPU's address space (the aperture), so the layer can't use "
			 "its devices."),
		    text("Load the module of version %s: sudo rmmod drover, then build and load it again.",
			 member_text(info, "version")));
}

/* For a file that can't be opened: by permission, or for another reason. */
static char *permission_todo(struct json_object *file, const char *path)
{
	const char *group = member_text(file, "group"), *mode = member_text(file, "mode");
	bool group_may = strlen(mode) == 4 && ((mode[2] - '0') & 6) == 6;

	if (strcmp(member_text(file, "error"), strerror(EACCES)))
		return text("Look at the kernel's log: sudo dmesg");
	if (group_may && *group && strcmp(group, "root"))
		return text("Join the group %s: sudo adduser $USER %s, then log in again.", group,
			    group);
	return text(
		"Nobody but root may use it (mode %s, group %s). Let a group do so with a udev rule, or for now: "
		"sudo chgrp render %s && sudo chmod 660 %s",
		mode, group, path, path);
}

static void check_nodes(struct json_object *problems, struct json_object *info)
{
	for (size_t i = 0; i < member_length(info, "drm_nodes"); i++) {
		struct json_object *node = member_at(info, "drm_nodes", i);
		const char *path = member_text(node, "node");

		if (*member_text(node, "error"))
			add(problems,
			    text("%s (%s) can't be opened: %s.", path, member_text(node, "driver"),
				 member_text(node, "error")),
			    permission_todo(node, path));
	}
}

static void check_pinning(struct json_object *problems, struct json_object *info)
{
	for (size_t i = 0; i < member_length(info, "virtual_gpus"); i++) {
		if (!member_bool(member_at(info, "virtual_gpus", i), "pin_imports"))
			continue;
		add(problems,
		    text("The module was loaded with pin_imports=1: the virtual GPUs pin what they import."),
		    text("That is for comparison only. Load it without: sudo rmmod drover && sudo modprobe drover"));
		break;
	}
	if (!strcmp(member_text(info, "kernel/move_notify"), "off"))
		add(problems,
		    text("This kernel pins every buffer that another driver's device has mapped, whatever both drivers can "
			 "do (CONFIG_DMABUF_MOVE_NOTIFY is off). Between virtual GPUs nothing is pinned."),
		    text("For other drivers: use a kernel with that option, or Linux 7.0 or later, where it is always on."));
}

static void check_udmabuf(struct json_object *problems, struct json_object *info)
{
	const char *error = member_text(info, "udmabuf/error");

	if (!*error)
		return;
	add(problems,
	    text("/dev/udmabuf can't be opened (%s). Without it lavapipe offers neither DRM format modifiers nor fences that "
		 "really signal later as sync files: images can be shared with linear tiling only.",
		 error),
	    strcmp(error, strerror(ENOENT))
		    ? permission_todo(member(info, "udmabuf"), "/dev/udmabuf")
		    : text("Load its module (sudo modprobe udmabuf), or use a kernel with CONFIG_UDMABUF."));
}

static void check_drivers(struct json_object *problems, struct json_object *info)
{
	const char *variable = member_text(info, "vulkan/drivers_from");

	for (size_t i = 0; i < member_length(info, "vulkan/drivers"); i++) {
		struct json_object *driver = member_at(info, "vulkan/drivers", i);

		if (member_bool(driver, "library_missing"))
			add(problems,
			    text("%s names a library that isn't there: %s.",
				 member_text(driver, "manifest"), member_text(driver, "library")),
			    text("Install the driver again, or remove the manifest."));
	}
	if (!member_length(info, "vulkan/drivers"))
		add(problems,
		    *variable ? text("%s names no Vulkan driver.", variable)
			      : text("No Vulkan driver is installed."),
		    *variable ? text("Unset it, or let it name the manifest of a driver.")
			      : text("On Debian: sudo apt install mesa-vulkan-drivers"));
}

static size_t devices_in_mode(struct json_object *info, const char *mode)
{
	size_t count = 0;

	for (size_t i = 0; i < member_length(info, "vulkan/with_run/devices"); i++)
		count += !strcmp(member_text(member_at(info, "vulkan/with_run/devices", i), "mode"),
				 mode);
	return count;
}

static void check_devices(struct json_object *problems, struct json_object *info)
{
	const char *error = member_text(info, "vulkan/with_run/error");
	size_t gpus = member_length(info, "virtual_gpus"), seen = devices_in_mode(info, "virtual");
	size_t messages = member_length(info, "vulkan/with_run/messages");
	const char *message =
		messages ? json_object_get_string(member_at(info, "vulkan/with_run/messages", 0))
			 : NULL;

	if (*error)
		add(problems, text("With `drover run`: %s.", error),
		    message ? text("It said: %s", message)
			    : text("More is said by: VK_LOADER_DEBUG=error,warn drover run vulkaninfo --summary"));
	else if (seen < gpus && member_bool(info, "module/aperture"))
		add(problems,
		    text("With `drover run` an application gets %zu of the %zu virtual GPUs.", seen,
			 gpus),
		    message ? text("The layer said: %s", message)
			    : text("More is said by: VK_LOADER_DEBUG=layer drover run vulkaninfo --summary"));
}

static void check_vulkan(struct json_object *problems, struct json_object *info)
{
	if (!*member_text(info, "vulkan/now/loader")) {
		add(problems,
		    text("There is no Vulkan loader (%s).", member_text(info, "vulkan/now/error")),
		    text("On Debian: sudo apt install libvulkan1 mesa-vulkan-drivers"));
		return;
	}
	check_drivers(problems, info);
	if (!*member_text(info, "vulkan/layer/manifest")) {
		add(problems, text("The layer " LAYER_NAME " isn't installed."),
		    text("Build and install it: meson setup build && sudo meson install -C build"));
		return;
	}
	if (!member_bool(info, "vulkan/layer/library_missing") &&
	    !*member_text(info, "vulkan/now/layer"))
		add(problems,
		    text("The Vulkan loader doesn't find the layer by itself; `drover run` tells it that it is in %s.",
			 member_text(info, "vulkan/layer/added_path")),
		    text("Nothing, if you use `drover run`. Otherwise install it (sudo meson install -C build), or: export "
			 "VK_ADD_LAYER_PATH='%s'",
			 member_text(info, "vulkan/layer/added_path")));
	check_devices(problems, info);
}

struct json_object *problems_of(struct json_object *info)
{
	struct json_object *problems = json_object_new_array();

	check_module(problems, info);
	check_nodes(problems, info);
	check_pinning(problems, info);
	check_udmabuf(problems, info);
	check_vulkan(problems, info);
	return problems;
}
