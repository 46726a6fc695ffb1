// SPDX-License-Identifier: MIT
/*
 * What the CPU waits for, where the driver can't export or import a sync file or has just failed to, and what it
 * must not wait for: the application may set an event or signal a value only after the submission. Lines of the log
 * are explained in sync_recorder.c.
 */
#include "sync_batch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* For how long something that must not happen is given the chance to. */
#define CHANCE_US 30000

static atomic_bool fences_are_signalled;

static bool fences_signalled(void)
{
	return fences_are_signalled;
}

static void begin(const struct options *options)
{
	fences_are_signalled = false;
	world_open(options);
	world.recorder->fences_signalled = fences_signalled;
}

static int set_up(void **state)
{
	(void)state;
	begin(&(struct options){0});
	return 0;
}

static int set_up_waiting(void **state)
{
	(void)state;
	begin(&(struct options){.no_export = true});
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fences_are_signalled = true;
	world_close();
	return 0;
}

static VkResult no_memory(void)
{
	return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

/* ---- Drivers that don't export ---- */

static void waiting(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer rel = commands_release("rel", &a), draw = commands_plain("draw");
	const VkSubmitInfo infos[] = {
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.commandBufferCount = 1,
			.pCommandBuffers = &rel,
		},
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.commandBufferCount = 1,
			.pCommandBuffers = &draw,
		},
	};

	(void)state;
	submit(rel, true);
	check_log("1[rel] F | wait F");
	submit(rel, false);
	check_log("1[rel] own | wait own");
	check_vk(vkQueueSubmit(world.queue, 2, infos, world.fence));
	check_log("1[rel] own | wait own | 1[draw] F");
	shared_free(&a);
}

static void waiting_is_not_done_for_ever(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	VkCommandBuffer commands = commands_release("rel", &a);

	(void)state;
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 1, .commands = commands});
	check_log("1[?t=1 rel {timeline}]");
	submit(commands, true);
	check_log("1[rel] F");
	/* once that is sure to end, waiting is safe again */
	host_signal(t, 1);
	submit(commands, true);
	check_log("1[rel] F | wait F");
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

static void wait_for_host(VkCommandBuffer commands, VkEvent event)
{
	vkCmdWaitEvents(commands, 1, &event, VK_PIPELINE_STAGE_HOST_BIT,
			VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, NULL, 0, NULL, 0, NULL);
}

static VkCommandBuffer commands_wait_for_host(VkEvent event)
{
	VkCommandBuffer commands = command_buffer("wait", VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	wait_for_host(commands, event);
	check_vk(vkEndCommandBuffer(commands));
	return commands;
}

/* The host may set an event when it likes, so nobody waits for whoever waits for it. */
static void events_of_the_host(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer wait = command_buffer("wait", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	VkCommandBuffer rel = commands_release("rel", &a);
	VkEvent event = event_new();

	(void)state;
	wait_for_host(wait, event);
	release(wait, &a, 0);
	check_vk(vkEndCommandBuffer(wait));
	submit(wait, true);
	check_log("1[wait] F | 1[] own");
	submit(rel, true);
	check_log("1[rel] F");
	fences_are_signalled = true;
	submit(rel, true);
	check_log("1[rel] F | wait F");
	vkDestroyEvent(world.device, event, NULL);
	shared_free(&a);
}

/* In a secondary command buffer, and with either function of Vulkan 1.3. */
static void events_elsewhere_in_a_command_buffer(void **state)
{
	static const VkMemoryBarrier2 barrier = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
		.srcStageMask = VK_PIPELINE_STAGE_2_HOST_BIT,
	};
	static const VkDependencyInfo dependency = {
		.sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
		.memoryBarrierCount = 1,
		.pMemoryBarriers = &barrier,
	};
	struct shared a = shared_import('A', 0);
	VkCommandBuffer inner = command_buffer("inner", VK_COMMAND_BUFFER_LEVEL_SECONDARY);
	VkCommandBuffer outer = command_buffer("outer", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	VkCommandBuffer newer = command_buffer("newer", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	VkEvent event = event_new();

	(void)state;
	wait_for_host(inner, event);
	check_vk(vkEndCommandBuffer(inner));
	vkCmdExecuteCommands(outer, 1, &inner);
	check_vk(vkEndCommandBuffer(outer));
	vkCmdWaitEvents2(newer, 1, &event, &dependency);
	release(newer, &a, 0);
	check_vk(vkEndCommandBuffer(newer));
	submit(outer, true);
	check_log("1[outer] F | 1[] own");
	submit(newer, true);
	check_log("1[newer] F | 1[] own");
	vkDestroyEvent(world.device, event, NULL);
	shared_free(&a);
}

/* Nor for another queue's work that waits for a semaphore of it, of whatever type. */
static void check_host_elsewhere(bool timeline)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer rel = commands_release("rel", &a);
	VkSemaphore x = semaphore("x", timeline);
	VkEvent event = event_new();
	VkCommandBuffer wait = commands_wait_for_host(event);

	submit_batch(world.other_queue,
		     (struct batch){.commands = wait, .signal = x, .signal_value = timeline});
	submit_batch(world.queue,
		     (struct batch){.wait = x, .wait_value = timeline, .commands = rel});
	check_log(timeline ? "1[wait !x=1 {timeline}] | 1[] own | 1[?x=1 rel {timeline}]"
			   : "1[wait !x {timeline}] | 1[] own | 1[?x rel {timeline}]");
	fences_are_signalled = true;
	submit(rel, true);
	check_log("1[rel] F | wait F");
	vkDestroyEvent(world.device, event, NULL);
	vkDestroySemaphore(world.device, x, NULL);
	shared_free(&a);
}

static void events_of_the_host_elsewhere(void **state)
{
	(void)state;
	check_host_elsewhere(false);
	fences_are_signalled = false;
	check_host_elsewhere(true);
}

/* A queue that is idle waits for nothing, whatever its fences say. */
static void events_before_the_queue_was_idle(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer rel = commands_release("rel", &a);
	VkEvent event = event_new();
	VkCommandBuffer wait = commands_wait_for_host(event);

	(void)state;
	submit(wait, true);
	submit(rel, false);
	check_log("1[wait] F | 1[] own | 1[rel]");
	check_vk(vkQueueWaitIdle(world.queue));
	submit(rel, true);
	check_log("1[rel] F | wait F");
	vkDestroyEvent(world.device, event, NULL);
	shared_free(&a);
}

/* A submission that failed doesn't wait for the host. */
static void events_in_a_submission_that_fails(void **state)
{
	struct shared a = shared_import('A', 0);
	VkEvent event = event_new();
	VkCommandBuffer wait = commands_wait_for_host(event);
	const VkSubmitInfo submission = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &wait,
	};

	(void)state;
	world.recorder->submitting = no_memory;
	assert_int_equal(vkQueueSubmit(world.queue, 1, &submission, VK_NULL_HANDLE),
			 VK_ERROR_OUT_OF_DEVICE_MEMORY);
	world.recorder->submitting = NULL;
	submit(commands_release("rel", &a), true);
	check_log("1[wait] | 1[rel] F | wait F");
	vkDestroyEvent(world.device, event, NULL);
	shared_free(&a);
}

/* A driver that can't export after all: what waited for the host before that is known. */
static void events_before_exports_fail(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer rel = commands_release("rel", &a);
	VkEvent event = event_new();
	VkCommandBuffer wait = commands_wait_for_host(event);

	(void)state;
	submit(wait, true);
	submit(rel, true);
	/* there is nothing wrong with a sync file that waits for the host */
	check_log("1[wait] F | 1[] own | 1[rel / !own] F | export own | A+write");
	world.recorder->export_result = VK_ERROR_INVALID_EXTERNAL_HANDLE;
	submit(rel, true);
	submit(rel, true);
	check_log("1[rel / !own] F | export own | 1[rel] F");
	fences_are_signalled = true;
	submit(rel, true);
	check_log("1[rel] F | wait F");
	vkDestroyEvent(world.device, event, NULL);
	shared_free(&a);
}

/* The driver has no memory to wait for a fence; the queue has to do. */
static void waiting_without_memory(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer rel = commands_release("rel", &a);

	(void)state;
	world.recorder->wait_result = VK_ERROR_OUT_OF_HOST_MEMORY;
	submit(rel, true);
	submit(rel, false);
	check_log("1[rel] F | wait F | wait for the queue | "
		  "1[rel] own | wait own | wait for the queue");
	shared_free(&a);
}

/* It said that it could. */
static void export_that_fails(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer commands = commands_release("rel", &a);

	(void)state;
	world.recorder->export_result = VK_ERROR_INVALID_EXTERNAL_HANDLE;
	submit(commands, true);
	check_log("1[rel / !own] F | export own | 1[] own | wait own");
	submit(commands, true);
	check_log("1[rel] F | wait F");
	shared_free(&a);
}

/* For want of a descriptor: that passes. */
static void export_that_fails_once(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer commands = commands_release("rel", &a);

	(void)state;
	world.recorder->export_result = VK_ERROR_TOO_MANY_OBJECTS;
	submit(commands, true);
	check_log("1[rel / !own] F | export own | 1[] own | wait own");
	world.recorder->export_result = VK_SUCCESS;
	submit(commands, true);
	check_log("1[rel / !own] F | export own | A+write");
	shared_free(&a);
}

static int standard_output(void)
{
	return 1;
}

/* The mock driver itself answers so. What isn't a sync file isn't ours to close. */
static void export_of_something_else(void **state)
{
	struct shared a = shared_import('A', 0);

	(void)state;
	world.recorder->export_semaphore = standard_output;
	submit(commands_release("rel", &a), true);
	check_log("1[rel / !own] F | export own | 1[] own | wait own");
	assert_int_not_equal(write(1, "", 0), -1);
	shared_free(&a);
}

static void *signal_soon(void *fence)
{
	usleep(CHANCE_US);
	fence_signal(*(int *)fence);
	return NULL;
}

/* A driver that can't wait for a sync file: the CPU does. */
static void acquire_by_waiting(void **state)
{
	int fence = fence_new();
	pthread_t thread;
	struct shared a;

	(void)state;
	world_close();
	begin(&(struct options){.no_import = true, .no_export = true});
	a = shared_import('A', 0);
	fence_add('A', WRITES, fence);
	assert_int_equal(pthread_create(&thread, NULL, signal_soon, &fence), 0);
	submit(commands_acquire("acq", &a), true);
	assert_true(fence_signalled(fence));
	check_log("1[acq] F");
	pthread_join(thread, NULL);
	shared_free(&a);
}

/* For want of a descriptor, too; what was submitted before isn't kept back meanwhile. */
static void acquire_without_descriptors(void **state)
{
	struct shared a = shared_import('A', 0);
	struct batch batches[] = {
		{.commands = commands_plain("draw")},
		{.commands = commands_acquire("acq", &a)},
	};
	const VkSubmitInfo infos[] = {SUBMIT_INFO(batches[0]), SUBMIT_INFO(batches[1])};

	(void)state;
	kernel_lacks_descriptors = true;
	check_vk(vkQueueSubmit(world.queue, 2, infos, world.fence));
	kernel_lacks_descriptors = false;
	check_log("1[draw {timeline}] | 1[acq {timeline}] F");
	shared_free(&a);
}

#define TEST(function)         cmocka_unit_test_setup_teardown(function, set_up, tear_down)
#define TEST_WAITING(function) cmocka_unit_test_setup_teardown(function, set_up_waiting, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WAITING(waiting),
		TEST_WAITING(waiting_is_not_done_for_ever),
		TEST_WAITING(waiting_without_memory),
		TEST_WAITING(events_of_the_host),
		TEST_WAITING(events_elsewhere_in_a_command_buffer),
		TEST_WAITING(events_of_the_host_elsewhere),
		TEST_WAITING(events_before_the_queue_was_idle),
		TEST_WAITING(events_in_a_submission_that_fails),
		TEST(events_before_exports_fail),
		TEST(export_that_fails),
		TEST(export_that_fails_once),
		TEST(export_of_something_else),
		TEST_WAITING(acquire_by_waiting),
		TEST(acquire_without_descriptors),
	};

	world_environment();
	return cmocka_run_group_tests_name("sync-waiting", tests, NULL, NULL);
}
