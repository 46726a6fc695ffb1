// SPDX-License-Identifier: MIT
/* The settings `stats` and `trace_file`: that the numbers and the fences are those that they should be. */
#include "sync_world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int errors = -1, messages[2];

/* What the layer says from here on is the test's to read. */
static void open_with(const struct options *options)
{
	assert_int_equal(pipe(messages), 0);
	errors = dup(2);
	assert_int_equal(dup2(messages[1], 2), 2);
	close(messages[1]);
	world_open(options);
}

/* Ends the world. */
static void read_messages(char *text, size_t size)
{
	ssize_t length;

	world_close();
	assert_int_equal(dup2(errors, 2), 2);
	close(errors);
	length = read(messages[0], text, size - 1);
	close(messages[0]);
	assert_true(length > 0);
	text[length] = '\0';
}

/* Ends the world. The first parts of the text are as printf() would say them, and the rest are times. */
static void check_summary(unsigned int submissions, const char *expected)
{
	char text[8192], wanted[512];

	read_messages(text, sizeof(text));
	snprintf(wanted, sizeof(wanted), ": %u submissions; %s", submissions, expected);
	if (!strstr(text, wanted)) {
		print_error("expected: %s\n  actual: %s\n", wanted, text);
		fail();
	}
}

#define STATS .stats = true

static void releases_and_acquires(void **state)
{
	struct shared a, b;

	(void)state;
	open_with(&(struct options){STATS});
	a = shared_import('A', 0);
	b = shared_import('B', 0);
	fence_add('B', WRITES, fence_new());
	submit(commands_acquire("acq", &a), false);
	submit(commands_acquire("acq", &b), false);
	submit(commands_release("rel", &a), false);
	submit(commands_plain("draw"), false);
	shared_free(&a);
	shared_free(&b);
	check_summary(4, "2 imports and 0 exports of dma-bufs; 2 acquired, 1 of them still in use");
}

static void check_releases(const struct options *options, VkResult export_result,
			   const char *expected)
{
	struct shared a;

	open_with(options);
	world.recorder->export_result = export_result;
	a = shared_import('A', 0);
	submit(commands_release("rel", &a), false);
	submit(commands_release("rel", &a), false);
	shared_free(&a);
	check_summary(2, expected);
}

#define NOTHING_BUT_RELEASES                                                                  \
	"1 imports and 0 exports of dma-bufs; 0 acquired, 0 of them still in use by others, " \
	"for 0.000 ms in all; "

static void releases(void **state)
{
	(void)state;
	check_releases(&(struct options){STATS}, VK_SUCCESS,
		       NOTHING_BUT_RELEASES "2 released, 0 of them too late to be waited for at "
					    "once; the CPU waited 0 times");
}

static void releases_by_waiting(void **state)
{
	(void)state;
	check_releases(&(struct options){STATS, .no_export = true}, VK_SUCCESS,
		       NOTHING_BUT_RELEASES "2 released, 0 of them too late to be waited for at "
					    "once; the CPU waited 2 times");
}

static void releases_that_cannot_be_exported(void **state)
{
	(void)state;
	check_releases(&(struct options){STATS}, VK_ERROR_TOO_MANY_OBJECTS,
		       NOTHING_BUT_RELEASES "2 released, 0 of them too late to be waited for at "
					    "once; the CPU waited 2 times");
}

static VkResult no_memory(void)
{
	return VK_ERROR_OUT_OF_HOST_MEMORY;
}

/* What comes to nothing isn't counted: failed submissions, dma-bufs that nobody could wait for. */
static void nothing_done(void **state)
{
	VkCommandBuffer commands;
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};
	struct shared a;

	(void)state;
	open_with(&(struct options){STATS});
	a = shared_import('A', 0);
	commands = commands_release("rel", &a);
	world.recorder->submitting = no_memory;
	assert_int_equal(vkQueueSubmit(world.queue, 1, &info, VK_NULL_HANDLE),
			 VK_ERROR_OUT_OF_HOST_MEMORY);
	world.recorder->submitting = NULL;
	kernel_is_old = true;
	/* the first one finds it out */
	submit(commands, false);
	submit(commands, false);
	submit(commands_acquire("acq", &a), false);
	shared_free(&a);
	check_summary(3, NOTHING_BUT_RELEASES "1 released, 0 of them");
}

static uint64_t no_value(VkSemaphore semaphore)
{
	(void)semaphore;
	return 0;
}

static bool never(void)
{
	return false;
}

/* Two releases behind a wait for later: those that are too late are among those that are released. */
static void check_late(const struct options *options)
{
	const uint64_t value = 1;
	const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &value,
	};
	VkSemaphore t;
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &values,
		.waitSemaphoreCount = 1,
		.pWaitSemaphores = &t,
		.pWaitDstStageMask = &stage,
	};
	struct shared a;

	open_with(options);
	world.recorder->counter = no_value;
	world.recorder->fences_signalled = never;
	t = semaphore("t", true);
	a = shared_import('A', 0);
	check_vk(vkQueueSubmit(world.queue, 1, &info, VK_NULL_HANDLE));
	submit(commands_release("rel", &a), false);
	submit(commands_release("rel", &a), false);
	world.recorder->fences_signalled = NULL;
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
	check_summary(3, NOTHING_BUT_RELEASES
		      "2 released, 2 of them too late to be waited for at once; "
		      "the CPU waited 0 times");
}

static void late_releases(void **state)
{
	(void)state;
	check_late(&(struct options){STATS});
	check_late(&(struct options){STATS, .no_export = true});
}

/* ---- Traces ---- */

#define MOST_FENCES 64

/* Return: how many events of a kind the file has; @ids: theirs. */
static unsigned int find_events(const char *path, const char *kind, unsigned long long *ids)
{
	FILE *file = fopen(path, "r");
	char line[1024], *id;
	unsigned int count = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		id = strstr(line, "\"id\":\"0x");
		if (!strstr(line, kind) || !id)
			continue;
		assert_true(count < 2 * MOST_FENCES);
		ids[count++] = strtoull(id + strlen("\"id\":\"0x"), NULL, 16);
	}
	fclose(file);
	return count;
}

static void check_distinct(const unsigned long long *ids, unsigned int count)
{
	unsigned int i, j;

	for (i = 0; i < count; i++) {
		for (j = 0; j < i; j++)
			assert_true(ids[i] != ids[j]);
	}
}

static VkDevice another_device(VkQueue *queue)
{
	const float priority = 1;
	const char *extensions[] = {VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
				    VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
				    VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME};
	const VkDeviceQueueCreateInfo queue_info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	const VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue_info,
		.enabledExtensionCount = 3,
		.ppEnabledExtensionNames = extensions,
	};
	VkDevice device;

	check_vk(vkCreateDevice(world.physical_devices[0], &info, NULL, &device));
	vkGetDeviceQueue(device, 0, 0, queue);
	return device;
}

/* A release on whichever device the world has now. */
static void release_once(char dmabuf)
{
	const VkCommandPoolCreateInfo pool_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
	};
	VkCommandPool pool = world.pool;
	struct shared a = shared_import(dmabuf, 0);

	check_vk(vkCreateCommandPool(world.device, &pool_info, NULL, &world.pool));
	submit(commands_release("rel", &a), false);
	vkDestroyCommandPool(world.device, world.pool, NULL);
	world.pool = pool;
	shared_free(&a);
}

/* One file, in which each fence is one of its own. */
static void trace_of_two_devices(void **state)
{
	char path[] = "/tmp/sync-stats.XXXXXX";
	unsigned long long begins[2 * MOST_FENCES], ends[2 * MOST_FENCES];
	int fd = mkstemp(path), i;
	VkDevice devices[2];
	VkQueue queues[2];

	(void)state;
	assert_true(fd >= 0);
	world_open(&(struct options){.trace_file = path});
	devices[0] = world.device;
	queues[0] = world.queue;
	devices[1] = another_device(&queues[1]);
	for (i = 0; i < 6; i++) {
		world.device = devices[i % 2];
		world.queue = queues[i % 2];
		release_once('A' + i);
	}
	world.device = devices[0];
	vkDestroyDevice(devices[1], NULL);
	world_close();
	assert_int_equal(find_events(path, "\"ph\":\"b\"", begins), 6);
	assert_int_equal(find_events(path, "\"ph\":\"e\"", ends), 6);
	check_distinct(begins, 6);
	check_distinct(ends, 6);
	close(fd);
	unlink(path);
}

/* No more descriptors are kept than that; what comes then isn't there at all. */
static void trace_of_many_fences(void **state)
{
	char path[] = "/tmp/sync-stats.XXXXXX";
	unsigned long long ids[2 * MOST_FENCES];
	int fd = mkstemp(path), i;
	struct shared a;

	(void)state;
	assert_true(fd >= 0);
	world_open(&(struct options){.trace_file = path});
	a = shared_import('A', 0);
	for (i = 0; i < 2 * MOST_FENCES; i++)
		submit(commands_release("rel", &a), false);
	shared_free(&a);
	world_close();
	assert_int_equal(find_events(path, "\"ph\":\"b\"", ids), MOST_FENCES);
	assert_int_equal(find_events(path, "\"ph\":\"e\"", ids), MOST_FENCES);
	check_distinct(ids, MOST_FENCES);
	close(fd);
	unlink(path);
}

/* It's said that the trace is at an end, once, however many devices write it. */
static void trace_without_room(void **state)
{
	static const char *const wanted = "the trace ends early: ";
	char path[] = "/tmp/sync-stats.XXXXXX", text[8192], *said;
	int fd = mkstemp(path), i;
	struct rlimit limit, less;
	VkDevice device;
	VkQueue queue;

	(void)state;
	assert_true(fd >= 0);
	signal(SIGXFSZ, SIG_IGN);
	open_with(&(struct options){.trace_file = path});
	world.recorder->say = NULL;
	device = another_device(&queue);
	getrlimit(RLIMIT_FSIZE, &limit);
	less = limit;
	less.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	for (i = 0; i < 2000; i++) {
		check_vk(vkQueueSubmit(world.queue, 0, NULL, VK_NULL_HANDLE));
		check_vk(vkQueueSubmit(queue, 0, NULL, VK_NULL_HANDLE));
	}
	vkDestroyDevice(device, NULL);
	read_messages(text, sizeof(text));
	setrlimit(RLIMIT_FSIZE, &limit);
	close(fd);
	unlink(path);
	said = strstr(text, wanted);
	assert_non_null(said);
	assert_null(strstr(said + 1, wanted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(releases_and_acquires),
		cmocka_unit_test(releases),
		cmocka_unit_test(releases_by_waiting),
		cmocka_unit_test(releases_that_cannot_be_exported),
		cmocka_unit_test(nothing_done),
		cmocka_unit_test(late_releases),
		cmocka_unit_test(trace_of_two_devices),
		cmocka_unit_test(trace_of_many_fences),
		cmocka_unit_test(trace_without_room),
	};

	world_environment();
	return cmocka_run_group_tests_name("sync-stats", tests, NULL, NULL);
}
