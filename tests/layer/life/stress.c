// SPDX-License-Identifier: MIT
/*
 * Several threads create and destroy instances and devices and submit at once: for the sanitizers,
 * with which this and the layer are built; see check-sanitizers. Its argument is the driver's number.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

#define ROUNDS  6
#define THREADS 2

/* Of the threads that share an instance, or a device. */
static struct app shared;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;

static void must(VkResult result, const char *what)
{
	if (result == VK_SUCCESS)
		return;
	fprintf(stderr, "%s: %d\n", what, result);
	abort();
}

static void *instances_of_their_own(void *argument)
{
	(void)argument;
	for (int i = 0; i < ROUNDS; i++) {
		struct app app = {.api_version = VK_API_VERSION_1_2};

		must(app_run(&app), "an instance of its own");
	}
	return NULL;
}

static void *devices_of_one_instance(void *argument)
{
	(void)argument;
	for (int i = 0; i < ROUNDS; i++) {
		struct app app = shared;

		app.device = VK_NULL_HANDLE;
		must(app_open_device(&app), "a device of its own");
		must(app_open_resources(&app), "resources of its own device");
		must(app_submit(&app, NULL), "a submission to its own device");
		app_close_device(&app);
	}
	return NULL;
}

static void *one_device(void *argument)
{
	(void)argument;
	for (int i = 0; i < 10 * ROUNDS; i++) {
		struct app app = shared;

		must(app_open_resources(&app), "resources of a shared device");
		must(app_submit(&app, &queue_lock), "a submission to a shared device");
		app_close_resources(&app);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static void *(*const roles[])(void *) = {instances_of_their_own, devices_of_one_instance,
						 one_device};
	pthread_t threads[3 * THREADS];
	int count = 0;

	if (argc < 2)
		return 2;
	use_driver((enum driver)atoi(argv[1]), LAYER_MANIFEST);
	shared.api_version = VK_API_VERSION_1_2;
	must(app_open_instance(&shared), "the shared instance");
	must(app_open_device(&shared), "the shared device");
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		for (int j = 0; j < THREADS; j++)
			pthread_create(&threads[count++], NULL, roles[i], NULL);
	while (count)
		pthread_join(threads[--count], NULL);
	app_close(&shared);
	printf("done\n");
	return 0;
}
