// SPDX-License-Identifier: MIT
/* The setting `stats`: that the summary has the numbers that it should have. */
#include "sync_world.h"

#include <stdio.h>
#include <string.h>
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

/* Ends the world. The first parts of the text are as printf() would say them, and the rest are times. */
static void check_summary(unsigned int submissions, const char *expected)
{
	char text[8192] = "", wanted[512];
	ssize_t length;

	world_close();
	assert_int_equal(dup2(errors, 2), 2);
	close(errors);
	length = read(messages[0], text, sizeof(text) - 1);
	close(messages[0]);
	assert_true(length > 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(releases_and_acquires),
		cmocka_unit_test(releases),
		cmocka_unit_test(releases_by_waiting),
		cmocka_unit_test(releases_that_cannot_be_exported),
		cmocka_unit_test(nothing_done),
		cmocka_unit_test(late_releases),
	};

	world_environment();
	return cmocka_run_group_tests_name("sync-stats", tests, NULL, NULL);
}
