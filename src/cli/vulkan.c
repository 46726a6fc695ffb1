// SPDX-License-Identifier: MIT
/*
 * What the Vulkan loader, the drivers and the layer say, asked for in a process of its own: drivers may crash, hang, or
 * write to stderr.
 */
#include "cli.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>
#include <vulkan/vulkan.h>

#define PATIENCE_SECONDS 60
#define MAX_DEVICES      64

static PFN_vkGetInstanceProcAddr get_proc;

#define LOAD(instance, name) ((PFN_##name)get_proc(instance, #name))

static void add_text(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, json_object_new_string(value));
}

static const char *type_name(VkPhysicalDeviceType type)
{
	switch (type) {
	case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
		return "integrated GPU";
	case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
		return "discrete GPU";
	case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
		return "virtual GPU";
	case VK_PHYSICAL_DEVICE_TYPE_CPU:
		return "CPU";
	default:
		return "other";
	}
}

static char *version_text(uint32_t version)
{
	return text("%u.%u.%u", VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version),
		    VK_API_VERSION_PATCH(version));
}

static bool device_has(VkInstance instance, VkPhysicalDevice device, const char *extension)
{
	PFN_vkEnumerateDeviceExtensionProperties enumerate =
		LOAD(instance, vkEnumerateDeviceExtensionProperties);
	VkExtensionProperties *properties;
	uint32_t count = 0;
	bool found = false;

	if (enumerate(device, NULL, &count, NULL))
		return false;
	properties = xcalloc(count + 1, sizeof(*properties));
	if (enumerate(device, NULL, &count, properties) >= 0)
		for (uint32_t i = 0; i < count && !found; i++)
			found = !strcmp(properties[i].extensionName, extension);
	free(properties);
	return found;
}

static struct json_object *describe_device(VkInstance instance, VkPhysicalDevice device)
{
	VkPhysicalDeviceDrmPropertiesEXT drm = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRM_PROPERTIES_EXT,
	};
	VkPhysicalDeviceDriverProperties driver = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES,
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
		.pNext = &driver,
	};
	struct json_object *object = json_object_new_object();

	if (device_has(instance, device, VK_EXT_PHYSICAL_DEVICE_DRM_EXTENSION_NAME))
		driver.pNext = &drm;
	LOAD(instance, vkGetPhysicalDeviceProperties2)(device, &properties);
	add_text(object, "name", properties.properties.deviceName);
	add_text(object, "type", type_name(properties.properties.deviceType));
	add_text(object, "driver", driver.driverName);
	if (drm.hasRender)
		json_object_object_add(object, "render_minor",
				       json_object_new_int64(drm.renderMinor));
	return object;
}

static void ask_layer(struct json_object *answer)
{
	PFN_vkEnumerateInstanceLayerProperties enumerate =
		LOAD(NULL, vkEnumerateInstanceLayerProperties);
	VkLayerProperties *layers;
	uint32_t count = 0;

	if (!enumerate || enumerate(&count, NULL))
		return;
	layers = xcalloc(count + 1, sizeof(*layers));
	if (enumerate(&count, layers) >= 0) {
		for (uint32_t i = 0; i < count; i++)
			if (!strcmp(layers[i].layerName, LAYER_NAME))
				add_text(answer, "layer", layers[i].description);
	}
	free(layers);
}

static void ask_devices(VkInstance instance, struct json_object *answer)
{
	struct json_object *devices = json_object_new_array();
	VkPhysicalDevice handles[MAX_DEVICES];
	uint32_t count = MAX_DEVICES;

	if (LOAD(instance, vkEnumeratePhysicalDevices)(instance, &count, handles) < 0)
		count = 0;
	for (uint32_t i = 0; i < count; i++)
		json_object_array_add(devices, describe_device(instance, handles[i]));
	json_object_object_add(answer, "devices", devices);
}

static void ask_instance(struct json_object *answer)
{
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pApplicationName = "drover info",
		.apiVersion = VK_API_VERSION_1_1,
	};
	const VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
	};
	VkInstance instance;
	VkResult result = LOAD(NULL, vkCreateInstance)(&info, NULL, &instance);

	if (result) {
		char *error =
			result == VK_ERROR_INCOMPATIBLE_DRIVER
				? text("the loader found no driver that works")
				: text("vkCreateInstance failed with VkResult %d", (int)result);

		add_text(answer, "error", error);
		free(error);
		return;
	}
	ask_devices(instance, answer);
	LOAD(instance, vkDestroyInstance)(instance, NULL);
}

static struct json_object *ask(void)
{
	struct json_object *answer = json_object_new_object();
	PFN_vkEnumerateInstanceVersion get_version;
	uint32_t version = VK_API_VERSION_1_0;
	void *loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
	char *version_string;

	if (!loader) {
		add_text(answer, "error", dlerror());
		return answer;
	}
	get_proc = (PFN_vkGetInstanceProcAddr)dlsym(loader, "vkGetInstanceProcAddr");
	get_version = LOAD(NULL, vkEnumerateInstanceVersion);
	if (get_version)
		get_version(&version);
	version_string = version_text(version);
	add_text(answer, "loader", version_string);
	free(version_string);
	ask_layer(answer);
	ask_instance(answer);
	return answer;
}

/* The part that runs in the child: the answer as JSON, messages of loader and layers in a file of their own. */
static _Noreturn void child(const struct environment *environment, int answer_fd, int messages_fd)
{
	struct json_object *answer;

	alarm(PATIENCE_SECONDS);
	dup2(messages_fd, STDOUT_FILENO);
	dup2(messages_fd, STDERR_FILENO);
	if (environment)
		environment_apply(environment);
	answer = ask();
	_exit(json_object_to_fd(answer_fd, answer, JSON_C_TO_STRING_PLAIN) ? EXIT_FAILURE
									   : EXIT_SUCCESS);
}

/* What was written into a memfd. */
static char *content_of(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *content = xcalloc(1, (size_t)size + 1);

	if (pread(fd, content, (size_t)size, 0) != size)
		content[0] = '\0';
	return content;
}

static struct json_object *collect(int status, int answer_fd, int messages_fd)
{
	char *content = content_of(answer_fd), *messages = content_of(messages_fd), *rest, *line;
	struct json_object *answer = json_tokener_parse(content), *list;

	if (!answer)
		answer = json_object_new_object();
	if (WIFSIGNALED(status)) {
		char *error = WTERMSIG(status) == SIGALRM
				      ? text("a driver or layer didn't answer within %d s",
					     PATIENCE_SECONDS)
				      : text("a driver or layer crashed (%s)",
					     strsignal(WTERMSIG(status)));

		add_text(answer, "error", error);
		free(error);
	}
	list = json_object_new_array();
	rest = messages;
	while ((line = next_line(&rest)))
		if (*line)
			json_object_array_add(list, json_object_new_string(line));
	json_object_object_add(answer, "messages", list);
	free(messages);
	free(content);
	return answer;
}

struct json_object *vulkan_ask(const struct environment *environment)
{
	int answer_fd = memfd_create("answer", MFD_CLOEXEC);
	int messages_fd = memfd_create("messages", MFD_CLOEXEC);
	struct json_object *answer;
	int status;
	pid_t pid;

	if (answer_fd < 0 || messages_fd < 0)
		die(EXIT_FAILURE, "memfd_create: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die(EXIT_FAILURE, "fork: %s", strerror(errno));
	if (!pid)
		child(environment, answer_fd, messages_fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die(EXIT_FAILURE, "waitpid: %s", strerror(errno));
	answer = collect(status, answer_fd, messages_fd);
	close(answer_fd);
	close(messages_fd);
	return answer;
}
