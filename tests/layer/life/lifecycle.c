// SPDX-License-Identifier: MIT
/* Several instances and devices in a process, processes that fork, settings, and where messages go. */
#include "../../kernel/common.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app.h"

/* ---- Instances and devices ---- */

#define NUM_INSTANCES 3

static void open_all(struct app *app)
{
	check_eq(app_open_instance(app), VK_SUCCESS);
	check_eq(app_open_device(app), VK_SUCCESS);
	check_eq(app_open_resources(app), VK_SUCCESS);
}

/* Each works while others come and go, and whichever goes first. */
static void use_several(enum driver driver)
{
	struct app first[NUM_INSTANCES], second[NUM_INSTANCES];

	use_driver(driver, LAYER_DIRECTORY);
	for (int i = 0; i < NUM_INSTANCES; i++) {
		first[i] = (struct app){.api_version = VK_MAKE_API_VERSION(0, 1, i, 0)};
		open_all(&first[i]);
		/* another device of the same physical device */
		second[i] = first[i];
		second[i].device = VK_NULL_HANDLE;
		check_eq(app_open_device(&second[i]), VK_SUCCESS);
		second[i].commands = VK_NULL_HANDLE;
		check_eq(app_open_resources(&second[i]), VK_SUCCESS);
	}
	for (int i = 0; i < NUM_INSTANCES; i++)
		check_eq(app_submit(&first[i], NULL), VK_SUCCESS);
	app_close_device(&first[0]);
	app_close_device(&second[1]);
	check_eq(app_submit(&second[0], NULL), VK_SUCCESS);
	app_close_device(&first[1]);
	app_close(&second[1]);
	check_eq(app_submit(&second[2], NULL), VK_SUCCESS);
	app_close_device(&second[2]);
	app_close(&first[2]);
	app_close(&second[0]);
}

static void several_on_lavapipe(void)
{
	use_several(DRIVER_LAVAPIPE);
}

static void several_on_swiftshader(void)
{
	use_several(DRIVER_SWIFTSHADER);
}

static void several_on_the_mock_driver(void)
{
	use_several(DRIVER_MOCK);
}

static void again_and_again(void)
{
	use_driver(DRIVER_MOCK, LAYER_DIRECTORY);
	for (int i = 0; i < 50; i++) {
		struct app app = {.api_version = VK_API_VERSION_1_1};

		check_eq(app_run(&app), VK_SUCCESS);
	}
}

/* The child may not use what its parent has, but it may have its own. */
static void an_application_forks(void)
{
	struct app app = {.api_version = VK_API_VERSION_1_1};
	pid_t child;

	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	open_all(&app);
	child = test_fork();
	if (!child) {
		struct app own = {.api_version = VK_API_VERSION_1_1};

		check_eq(app_run(&own), VK_SUCCESS);
		test_exit();
	}
	test_join(child);
	check_eq(app_submit(&app, NULL), VK_SUCCESS);
	app_close(&app);
}

/* ---- Messages and settings ---- */

static struct {
	unsigned int count;
	char text[4096];
} heard;

static VKAPI_ATTR VkBool32 VKAPI_CALL hear(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
					   VkDebugUtilsMessageTypeFlagsEXT types,
					   const VkDebugUtilsMessengerCallbackDataEXT *data,
					   void *user)
{
	size_t used = strlen(heard.text);

	(void)severity;
	(void)types;
	(void)user;
	if (!data->pMessageIdName || strcmp(data->pMessageIdName, "VK_LAYER_DROVER_working_set"))
		return VK_FALSE;
	heard.count++;
	snprintf(heard.text + used, sizeof(heard.text) - used, "%s\n", data->pMessage);
	return VK_FALSE;
}

/* An instance with a messenger; the messenger outlives the creation if @and_later. */
static VkDebugUtilsMessageTypeFlagsEXT heard_types = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT;

static VkInstance create_with_messenger(const void *chain, bool and_later)
{
	static const char *const extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = VK_API_VERSION_1_1,
	};
	const VkDebugUtilsMessengerCreateInfoEXT messenger_info = {
		.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
		.pNext = chain,
		.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
				   VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
		.messageType = heard_types,
		.pfnUserCallback = hear,
	};
	const VkInstanceCreateInfo create_info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pNext = &messenger_info,
		.pApplicationInfo = &application,
		.enabledExtensionCount = 1,
		.ppEnabledExtensionNames = extensions,
	};
	PFN_vkCreateDebugUtilsMessengerEXT create_messenger;
	VkDebugUtilsMessengerEXT messenger;
	VkDebugUtilsMessengerCreateInfoEXT later = messenger_info;
	VkInstance instance;

	later.pNext = NULL;
	check_eq(vkCreateInstance(&create_info, NULL, &instance), VK_SUCCESS);
	create_messenger = (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
		instance, "vkCreateDebugUtilsMessengerEXT");
	if (and_later)
		check_eq(create_messenger(instance, &later, NULL, &messenger), VK_SUCCESS);
	return instance;
}

static void check_heard_of_mode(const char *value)
{
	char expected[128];

	snprintf(expected, sizeof(expected), "setting mode: \"%s\" isn't one of", value);
	check(strstr(heard.text, expected), "heard \"%s\", expected \"%s\"", heard.text, expected);
}

static void a_setting_in_the_environment_is_read(void)
{
	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	setenv("VK_DROVER_WORKING_SET_MODE", "nonsense", 1);
	vkDestroyInstance(create_with_messenger(NULL, false), NULL);
	check_heard_of_mode("nonsense");
	check_eq(heard.count, 1);
}

static void a_setting_of_the_application_is_read(void)
{
	const char *value = "rubbish";
	const VkBool32 whatever = VK_TRUE;
	const VkLayerSettingEXT settings[] = {
		{"VK_LAYER_DROVER_working_set", "mode", VK_LAYER_SETTING_TYPE_STRING_EXT, 1,
		 &value},
		{"VK_LAYER_DROVER_working_set", "statz", VK_LAYER_SETTING_TYPE_BOOL32_EXT, 1,
		 &whatever},
		{"VK_LAYER_DROVER_working_set", "stats", VK_LAYER_SETTING_TYPE_BOOL32_EXT, 1,
		 &whatever},
		{"VK_LAYER_SOMEONE_else", "validate_sync", VK_LAYER_SETTING_TYPE_BOOL32_EXT, 1,
		 &whatever},
	};
	const VkLayerSettingsCreateInfoEXT info = {
		.sType = VK_STRUCTURE_TYPE_LAYER_SETTINGS_CREATE_INFO_EXT,
		.settingCount = ARRAY_SIZE(settings),
		.pSettings = settings,
	};

	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	unsetenv("VK_DROVER_WORKING_SET_MODE");
	vkDestroyInstance(create_with_messenger(&info, false), NULL);
	check_heard_of_mode("rubbish");
	check(strstr(heard.text, "setting statz: there is no such setting"),
	      "heard \"%s\", expected something of a setting that isn't there", heard.text);
	check_eq(heard.count, 2);
}

static void a_setting_in_a_file_is_read(void)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/layer-lifecycle-%d.txt", getpid());
	file = fopen(path, "w");
	check(file, "%s: %m", path);
	fprintf(file, "drover_working_set.mode = gibberish\n");
	fclose(file);
	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	unsetenv("VK_DROVER_WORKING_SET_MODE");
	setenv("VK_LAYER_SETTINGS_PATH", path, 1);
	vkDestroyInstance(create_with_messenger(NULL, false), NULL);
	unlink(path);
	check_heard_of_mode("gibberish");
	check_eq(heard.count, 1);
}

/* Then it goes where it would go without a messenger. */
static void what_no_messenger_wants_goes_to_stderr(void)
{
	char path[64], *said;

	snprintf(path, sizeof(path), "/tmp/layer-lifecycle-%d.err", getpid());
	check(freopen(path, "w", stderr), "%s: %m", path);
	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	setenv("VK_DROVER_WORKING_SET_MODE", "nonsense", 1);
	heard_types = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
	vkDestroyInstance(create_with_messenger(NULL, false), NULL);
	fflush(stderr);
	said = read_file("%s", path);
	unlink(path);
	check_eq(heard.count, 0);
	check(said && strstr(said, "\"nonsense\""), "stderr got \"%s\", expected the message",
	      said ? said : "");
}

static void open_two_devices(VkInstance instance)
{
	struct app app = {.api_version = VK_API_VERSION_1_1, .instance = instance};
	uint32_t count = 1;

	check_eq(vkEnumeratePhysicalDevices(instance, &count, &app.physical_device), VK_SUCCESS);
	check_eq(app_open_device(&app), VK_SUCCESS);
	app_close_device(&app);
	check_eq(app_open_device(&app), VK_SUCCESS);
	app_close(&app);
}

static void without_a_virtual_gpu_it_says_why_once(void)
{
	if (drover_device_count() > 0)
		test_skip("this machine has a virtual GPU");
	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	unsetenv("VK_DROVER_WORKING_SET_MODE");
	open_two_devices(create_with_messenger(NULL, true));
	check_eq(heard.count, 1);
	check(strstr(heard.text, "stays its driver's: there is no virtual GPU for it"),
	      "heard \"%s\", expected the reason", heard.text);
}

static void in_native_mode_it_says_nothing(void)
{
	use_driver(DRIVER_LAVAPIPE, LAYER_DIRECTORY);
	open_two_devices(create_with_messenger(NULL, true));
	check(!heard.count, "heard \"%s\", expected nothing", heard.text);
}

/* A driver that can't use host memory; the mock driver says that it can't. */
static void a_driver_that_cannot_be_virtual_stays_native(void)
{
	use_driver(DRIVER_MOCK, LAYER_DIRECTORY);
	unsetenv("VK_DROVER_WORKING_SET_MODE");
	open_two_devices(create_with_messenger(NULL, true));
	check(!heard.count, "heard \"%s\", expected nothing", heard.text);
}

static const struct test tests[] = {
	TEST(several_on_lavapipe),
	TEST(several_on_swiftshader),
	TEST(several_on_the_mock_driver),
	TEST(again_and_again),
	TEST(an_application_forks),
	TEST(a_setting_in_the_environment_is_read),
	TEST(a_setting_of_the_application_is_read),
	TEST(a_setting_in_a_file_is_read),
	TEST(what_no_messenger_wants_goes_to_stderr),
	TEST(without_a_virtual_gpu_it_says_why_once),
	TEST(in_native_mode_it_says_nothing),
	TEST(a_driver_that_cannot_be_virtual_stays_native),
};

int main(int argc, char **argv)
{
	return test_main("layer-lifecycle", tests, ARRAY_SIZE(tests), argc, argv);
}
