// SPDX-License-Identifier: MIT
/*
 * In native mode an application can't tell that the layer is there: what each driver says of
 * itself, through every question that Vulkan has, is the same with and without it.
 */
#include "../../kernel/common.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app.h"

extern char **environ;

/* ---- The same facts with and without ---- */

/* What layer-facts prints. */
static char *facts(enum driver driver, const char *layer, char *const *arguments, const char *file)
{
	posix_spawn_file_actions_t actions;
	char *text;
	pid_t child;
	int status;

	use_driver(driver, layer);
	check_ok(-posix_spawn_file_actions_init(&actions));
	check_ok(-posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, file,
						   O_WRONLY | O_CREAT | O_TRUNC, 0600));
	check_ok(-posix_spawn(&child, FACTS_PROGRAM, &actions, NULL, arguments, environ));
	check_sys(waitpid(child, &status, 0));
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	      "layer-facts on %s %s the layer: wait status %#x", driver_name(driver),
	      layer ? "with" : "without", status);
	text = read_file("%s", file);
	check(text, "%s can't be read", file);
	unlink(file);
	return text;
}

static size_t line_length(const char *text)
{
	return strcspn(text, "\n");
}

/* Fails with the first line that differs. */
static void compare(const char *without, const char *with)
{
	unsigned int lines = 0;

	while (*without || *with) {
		size_t a = line_length(without), b = line_length(with);

		if (a != b || memcmp(without, with, a))
			die("line %u is \"%.*s\" with the layer, expected \"%.*s\"", lines + 1,
			    (int)(b < 300 ? b : 300), with, (int)(a < 300 ? a : 300), without);
		without += a + (without[a] == '\n');
		with += b + (with[b] == '\n');
		lines++;
	}
	/* the names of the commands alone are more */
	check(lines > 1000, "only %u facts were compared", lines);
}

static void same_facts(enum driver driver, const char *version, bool all)
{
	char *arguments[] = {"layer-facts", (char *)version, all ? "all" : NULL, NULL};
	char file[64];
	char *without, *with;

	snprintf(file, sizeof(file), "/tmp/layer-facts-%d", getpid());
	without = facts(driver, NULL, arguments, file);
	with = facts(driver, LAYER_DIRECTORY, arguments, file);
	compare(without, with);
}

#define SAME_FACTS(driver, DRIVER)                                             \
	static void driver##_says_the_same_in_vulkan_1_0(void)                 \
	{                                                                      \
		same_facts(DRIVER_##DRIVER, "0", false);                       \
	}                                                                      \
	static void driver##_says_the_same_in_vulkan_1_0_with_extensions(void) \
	{                                                                      \
		same_facts(DRIVER_##DRIVER, "0", true);                        \
	}                                                                      \
	static void driver##_says_the_same_in_vulkan_1_1(void)                 \
	{                                                                      \
		same_facts(DRIVER_##DRIVER, "1", false);                       \
	}                                                                      \
	static void driver##_says_the_same_in_vulkan_1_4(void)                 \
	{                                                                      \
		same_facts(DRIVER_##DRIVER, "4", false);                       \
	}                                                                      \
	static void driver##_says_the_same_in_vulkan_1_4_with_extensions(void) \
	{                                                                      \
		same_facts(DRIVER_##DRIVER, "4", true);                        \
	}

SAME_FACTS(lavapipe, LAVAPIPE)
SAME_FACTS(swiftshader, SWIFTSHADER)
SAME_FACTS(mock, MOCK)

/* ---- What isn't needed isn't intercepted ---- */

static bool is_in_layer(PFN_vkVoidFunction function)
{
	Dl_info info;

	return dladdr((void *)function, &info) && strstr(info.dli_fname, "drover_working_set");
}

/* Whether the layer has a command of its own in the device's dispatch. */
static bool is_intercepted(const struct app *app, const char *command)
{
	PFN_vkVoidFunction function = vkGetDeviceProcAddr(app->device, command);

	check(function, "%s isn't there", command);
	return is_in_layer(function);
}

static void what_is_not_needed_costs_nothing(void)
{
	static const char *const untouched[] = {
		"vkCmdDraw",
		"vkCmdDrawIndexed",
		"vkCmdDispatch",
		"vkCmdBindPipeline",
		"vkCmdBindDescriptorSets",
		"vkCmdCopyBuffer",
		"vkCmdCopyImage",
		"vkCmdPushConstants",
		"vkMapMemory",
		"vkUpdateDescriptorSets",
		"vkCreateGraphicsPipelines",
		"vkCreatePipelineCache",
		"vkGetPipelineCacheData",
		"vkGetFenceStatus",
		"vkGetQueryPoolResults",
	};
	struct app app = {.api_version = VK_API_VERSION_1_1};

	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	check_eq(app_open_instance(&app), VK_SUCCESS);
	check_eq(app_open_device(&app), VK_SUCCESS);
	/* so that this test can tell */
	check(is_intercepted(&app, "vkAllocateMemory"), "the layer isn't there");
	for (size_t i = 0; i < ARRAY_SIZE(untouched); i++)
		check(!is_intercepted(&app, untouched[i]),
		      "%s goes through the layer, which doesn't need it", untouched[i]);
	app_close(&app);
}

/* What the layer enables for itself stays its own. */
static void extensions_of_the_layer_are_hidden(void)
{
	static const char *const hidden[] = {
		"vkGetMemoryHostPointerPropertiesEXT",
		"vkImportSemaphoreFdKHR",
		"vkGetSemaphoreFdKHR",
		"vkImportFenceFdKHR",
		"vkGetFenceFdKHR",
	};
	struct app app = {.api_version = VK_API_VERSION_1_1};

	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	check_eq(app_open_instance(&app), VK_SUCCESS);
	check_eq(app_open_device(&app), VK_SUCCESS);
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		check(!vkGetDeviceProcAddr(app.device, hidden[i]),
		      "%s is there, although its extension wasn't enabled", hidden[i]);
	app_close(&app);
}

/* ---- What an application may ask a layer itself ---- */

static void the_layer_says_what_it_is(void)
{
	static const char name[] = "VK_LAYER_DROVER_working_set";
	VkLayerProperties layers[64];
	VkExtensionProperties extension;
	uint32_t count = 64, extensions = 1;
	unsigned int found = 0;

	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	check_eq(vkEnumerateInstanceLayerProperties(&count, layers), VK_SUCCESS);
	for (uint32_t i = 0; i < count; i++)
		found += !strcmp(layers[i].layerName, name);
	check_eq(found, 1);
	check_eq(vkEnumerateInstanceExtensionProperties(name, &extensions, &extension), VK_SUCCESS);
	check_eq(extensions, 1);
	check(!strcmp(extension.extensionName, VK_EXT_LAYER_SETTINGS_EXTENSION_NAME),
	      "the layer's extension is %s", extension.extensionName);
}

static void tools_are_told(void)
{
	VkPhysicalDeviceToolProperties tools[8];
	struct app app = {.api_version = VK_API_VERSION_1_3};
	uint32_t all = 0, some = 8;
	unsigned int found = 0;

	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	check_eq(app_open_instance(&app), VK_SUCCESS);
	check_eq(vkGetPhysicalDeviceToolProperties(app.physical_device, &all, NULL), VK_SUCCESS);
	memset(tools, 0, sizeof(tools));
	for (int i = 0; i < 8; i++)
		tools[i].sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TOOL_PROPERTIES;
	check_eq(vkGetPhysicalDeviceToolProperties(app.physical_device, &some, tools), VK_SUCCESS);
	check_eq(some, all);
	for (uint32_t i = 0; i < some; i++)
		found += !strcmp(tools[i].layer, "VK_LAYER_DROVER_working_set");
	check_eq(found, 1);
	/* native mode changes no features */
	for (uint32_t i = 0; i < some; i++)
		if (!strcmp(tools[i].layer, "VK_LAYER_DROVER_working_set"))
			check(!(tools[i].purposes & VK_TOOL_PURPOSE_MODIFYING_FEATURES_BIT),
			      "the layer says that it modifies features");
	some = 0;
	check_eq(vkGetPhysicalDeviceToolProperties(app.physical_device, &some, tools),
		 VK_INCOMPLETE);
	app_close(&app);
}

static const struct test tests[] = {
	TEST(lavapipe_says_the_same_in_vulkan_1_0),
	TEST(lavapipe_says_the_same_in_vulkan_1_0_with_extensions),
	TEST(lavapipe_says_the_same_in_vulkan_1_1),
	TEST(lavapipe_says_the_same_in_vulkan_1_4),
	TEST(lavapipe_says_the_same_in_vulkan_1_4_with_extensions),
	TEST(swiftshader_says_the_same_in_vulkan_1_0),
	TEST(swiftshader_says_the_same_in_vulkan_1_0_with_extensions),
	TEST(swiftshader_says_the_same_in_vulkan_1_1),
	TEST(swiftshader_says_the_same_in_vulkan_1_4),
	TEST(swiftshader_says_the_same_in_vulkan_1_4_with_extensions),
	TEST(mock_says_the_same_in_vulkan_1_0),
	TEST(mock_says_the_same_in_vulkan_1_0_with_extensions),
	TEST(mock_says_the_same_in_vulkan_1_1),
	TEST(mock_says_the_same_in_vulkan_1_4),
	TEST(mock_says_the_same_in_vulkan_1_4_with_extensions),
	TEST(what_is_not_needed_costs_nothing),
	TEST(extensions_of_the_layer_are_hidden),
	TEST(the_layer_says_what_it_is),
	TEST(tools_are_told),
};

int main(int argc, char **argv)
{
	return test_main("layer-transparency", tests, ARRAY_SIZE(tests), argc, argv);
}
