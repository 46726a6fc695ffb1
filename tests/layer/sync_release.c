// SPDX-License-Identifier: MIT
/*
 * When a release can be published and when not: what is submitted and signalled decides, and what the driver
 * can do. Nothing here may wait for ever. Lines of the log are explained in sync_recorder.c.
 */
#include "sync_batch.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* For how long something that must not happen is given the chance to. */
#define CHANCE_US 30000

static atomic_bool fences_are_signalled;
static _Atomic(uint64_t) counter_value;
/* Whose that is; null: all semaphores'. */
static VkSemaphore counter_semaphore;

/* Whether asking takes so long that others get ahead, and whether somebody has asked. */
static atomic_bool fences_are_slow;
static atomic_bool fences_asked;

static bool fences_signalled(void)
{
	fences_asked = true;
	if (fences_are_slow)
		usleep(10 * CHANCE_US);
	return fences_are_signalled;
}

static uint64_t counter(VkSemaphore semaphore)
{
	return !counter_semaphore || semaphore == counter_semaphore ? counter_value : 0;
}

static void begin(const struct options *options)
{
	fences_are_signalled = false;
	fences_are_slow = false;
	counter_value = 0;
	counter_semaphore = VK_NULL_HANDLE;
	world_open(options);
	world.recorder->fences_signalled = fences_signalled;
	world.recorder->counter = counter;
}

static int set_up(void **state)
{
	(void)state;
	begin(&(struct options){0});
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fences_are_signalled = true;
	world_close();
	return 0;
}

/* Lets all end, and frees what a test has used. */
static void end(struct shared *shared, VkSemaphore one, VkSemaphore other)
{
	fences_are_signalled = true;
	check_vk(vkDeviceWaitIdle(world.device));
	vkDestroySemaphore(world.device, one, NULL);
	vkDestroySemaphore(world.device, other, NULL);
	shared_free(shared);
}

/* ---- Drivers that export ---- */

static void value_that_the_host_signals_later(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	VkCommandBuffer commands = commands_release("rel", &a);

	(void)state;
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 5, .commands = commands});
	check_log("1[?t=5 rel {timeline} / !own] | 1[] own");
	usleep(CHANCE_US);
	check_log("");
	host_signal(t, 4);
	usleep(CHANCE_US);
	check_log("");
	host_signal(t, 5);
	check_log_becomes("export own | A+write");
	fences_are_signalled = true;
	check_vk(vkQueueWaitIdle(world.queue));
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

static void value_that_is_signalled_before(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	VkCommandBuffer commands = commands_release("rel", &a);

	(void)state;
	host_signal(t, 5);
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 5, .commands = commands});
	check_log("1[?t=5 rel {timeline} / !own] | export own | A+write");
	/* or reached in any other way: nobody says, but the driver knows */
	counter_value = 9;
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 9, .commands = commands});
	check_log("1[?t=9 rel {timeline} / !own] | export own | A+write");
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

/* A batch on another queue signals it: submitted before, or later. */
static void value_that_a_queue_signals(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	VkCommandBuffer commands = commands_release("rel", &a);

	(void)state;
	submit_batch(world.other_queue, (struct batch){.signal = t, .signal_value = 3});
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 3, .commands = commands});
	check_log("1[!t=3 {timeline}] | 1[?t=3 rel {timeline} / !own] | export own | A+write");

	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 4, .commands = commands});
	check_log("1[?t=4 rel {timeline} / !own] | 1[] own");
	submit_batch(world.other_queue, (struct batch){.signal = t, .signal_value = 6});
	check_log_becomes("1[!t=6 {timeline}] | export own | A+write");
	end(&a, t, VK_NULL_HANDLE);
}

/* What the other queue signals is submitted, but waits itself for what isn't. */
static void value_that_depends_on_another(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true), u = semaphore("u", true);
	VkCommandBuffer commands = commands_release("rel", &a);

	(void)state;
	submit_batch(world.other_queue,
		     (struct batch){.wait = u, .wait_value = 1, .signal = t, .signal_value = 1});
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 1, .commands = commands});
	check_log("1[?u=1 !t=1 {timeline}] | 1[?t=1 rel {timeline} / !own] | 1[] own");
	usleep(CHANCE_US);
	check_log("");
	host_signal(u, 1);
	check_log_becomes("export own | A+write");
	end(&a, t, u);
}

static void bind_sparse(VkQueue queue, struct batch batch)
{
	const VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = !!batch.wait,
		.pWaitSemaphoreValues = &batch.wait_value,
		.signalSemaphoreValueCount = !!batch.signal,
		.pSignalSemaphoreValues = &batch.signal_value,
	};
	const VkBindSparseInfo info = {
		.sType = VK_STRUCTURE_TYPE_BIND_SPARSE_INFO,
		.pNext = &values,
		.waitSemaphoreCount = !!batch.wait,
		.pWaitSemaphores = &batch.wait,
		.signalSemaphoreCount = !!batch.signal,
		.pSignalSemaphores = &batch.signal,
	};

	check_vk(vkQueueBindSparse(queue, 1, &info, VK_NULL_HANDLE));
}

/* Sparse binding waits and signals as other work does. */
static void sparse_binding(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true), u = semaphore("u", true);
	VkCommandBuffer commands = commands_release("rel", &a);

	(void)state;
	bind_sparse(world.other_queue, (struct batch){.signal = t, .signal_value = 1});
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 1, .commands = commands});
	check_log("s[!t=1] | 1[?t=1 rel {timeline} / !own] | export own | A+write");
	bind_sparse(world.queue, (struct batch){.wait = u, .wait_value = 1});
	submit(commands, false);
	check_log("s[?u=1] | 1[rel / !own] | 1[] own");
	usleep(CHANCE_US);
	check_log("");
	host_signal(u, 1);
	check_log_becomes("export own | A+write");
	end(&a, t, u);
}

/* Two queues that wait for each other, and for something that ends it. */
static void queues_that_wait_for_each_other(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true), u = semaphore("u", true);

	(void)state;
	submit_batch(world.queue,
		     (struct batch){.wait = t, .wait_value = 1, .signal = u, .signal_value = 1});
	submit_batch(world.other_queue,
		     (struct batch){.wait = u, .wait_value = 1, .signal = t, .signal_value = 1});
	submit(commands_release("rel", &a), false);
	check_log("1[?t=1 !u=1 {timeline}] | 1[?u=1 !t=1 {timeline}] | 1[rel / !own] | 1[] own");
	usleep(CHANCE_US);
	check_log("");
	/* the host may signal it before the other queue does */
	host_signal(t, 1);
	check_log_becomes("export own | A+write");
	end(&a, t, u);
}

/*
 * Another process has signalled what a signal of ours waits for, and that is found out while it's asked for
 * that very timeline: the signal is certain, a later one that waits for something else isn't.
 */
static void values_of_one_timeline(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true), u = semaphore("u", true);
	VkCommandBuffer commands = commands_release("rel", &a);

	(void)state;
	counter_semaphore = t;
	submit_batch(world.other_queue,
		     (struct batch){.wait = t, .wait_value = 3, .signal = t, .signal_value = 5});
	submit_batch(world.queue,
		     (struct batch){.wait = u, .wait_value = 1, .signal = t, .signal_value = 9});
	counter_value = 5;
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 5});
	check_log("1[?t=3 !t=5 {timeline}] | 1[?u=1 !t=9 {timeline}] | 1[?t=5 {timeline}]");
	submit_batch(world.other_queue,
		     (struct batch){.wait = t, .wait_value = 9, .commands = commands});
	check_log("1[?t=9 rel {timeline} / !own] | 1[] own");
	usleep(CHANCE_US);
	check_log("");
	host_signal(u, 1);
	check_log_becomes("export own | A+write");
	end(&a, t, u);
}

/* The batch waits for nothing, but one before it on the queue does. */
static void earlier_batch_that_waits(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	VkCommandBuffer commands = commands_release("rel", &a);

	(void)state;
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 1});
	submit(commands, false);
	check_log("1[?t=1 {timeline}] | 1[rel / !own] | 1[] own");
	usleep(CHANCE_US);
	check_log("");
	/* the other queue has nothing to do with it */
	submit_batch(world.other_queue, (struct batch){.commands = commands});
	check_log("1[rel {timeline} / !own] | export own | A+write");
	host_signal(t, 1);
	check_log_becomes("export own | A+write");
	end(&a, t, VK_NULL_HANDLE);
}

/* A release, then a wait for whoever uses it: the release is published before the wait is submitted. */
static void release_then_wait_in_one_call(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	struct batch batches[] = {
		{.commands = commands_release("rel", &a)},
		{.wait = t, .wait_value = 1, .commands = commands_acquire("acq", &a)},
	};
	const VkSubmitInfo infos[] = {SUBMIT_INFO(batches[0]), SUBMIT_INFO(batches[1])};

	(void)state;
	check_vk(vkQueueSubmit(world.queue, 2, infos, world.fence));
	check_log("1[rel {timeline} / !own] | export own | A+write | import own | "
		  "1[?own / ?t=1 acq {timeline}] F");
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

/* Waits that were soon over are forgotten, though nobody asks. */
static void queue_that_only_waits(void **state)
{
	VkSemaphore t = semaphore("t", true);
	struct mallinfo2 before, after;
	uint64_t value;

	(void)state;
	world.recorder->say = NULL;
	before = mallinfo2();
	for (value = 1; value <= 20000; value++) {
		submit_batch(world.queue, (struct batch){.wait = t, .wait_value = value});
		counter_value = value;
	}
	after = mallinfo2();
	assert_true(after.uordblks + after.hblkhd < before.uordblks + before.hblkhd + 100000);
	vkDestroySemaphore(world.device, t, NULL);
}

/* The wait is over before anybody could export. */
static void work_that_is_over_meanwhile(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);

	(void)state;
	submit_batch(world.queue, (struct batch){.wait = t,
						 .wait_value = 1,
						 .commands = commands_release("rel", &a)});
	check_log("1[?t=1 rel {timeline} / !own] | 1[] own");
	fences_are_signalled = true;
	check_vk(vkQueueWaitIdle(world.queue));
	check_log("");
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

/* Whoever waits for the device finds that the worker is done, too, however long that takes. */
static void device_that_is_waited_for(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	VkCommandBuffer commands = commands_release("rel", &a);
	int semaphores = world.recorder->semaphores;

	(void)state;
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 1, .commands = commands});
	submit_batch(world.other_queue,
		     (struct batch){.wait = t, .wait_value = 1, .commands = commands});
	assert_int_equal(world.recorder->semaphores, semaphores + 2);
	fences_are_slow = true;
	fences_are_signalled = true;
	check_vk(vkDeviceWaitIdle(world.device));
	assert_int_equal(world.recorder->semaphores, semaphores);
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

/* The application destroys the device, and the worker is still at it. */
static void device_that_goes(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	int i;

	(void)state;
	for (i = 0; i < 5; i++)
		submit_batch(world.queue, (struct batch){.wait = t,
							 .wait_value = 1,
							 .commands = commands_release("rel", &a)});
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

/* The same while it counts what it does. */
static void device_that_goes_with_its_counters(void **state)
{
	int errors = dup(2), summary[2];
	char text[4096] = "";
	struct shared a;
	VkSemaphore t;

	(void)state;
	world_close();
	begin(&(struct options){.stats = true});
	a = shared_import('A', 0);
	t = semaphore("t", true);
	submit_batch(world.queue, (struct batch){.wait = t,
						 .wait_value = 1,
						 .commands = commands_release("rel", &a)});
	shared_free(&a);
	fences_are_slow = true;
	fences_are_signalled = true;
	fences_asked = false;
	while (!fences_asked)
		usleep(1000);
	assert_int_equal(pipe(summary), 0);
	dup2(summary[1], 2);
	vkDestroySemaphore(world.device, t, NULL);
	world_close();
	dup2(errors, 2);
	close(errors);
	close(summary[1]);
	/* for the end of the test */
	begin(&(struct options){0});
	assert_true(read(summary[0], text, sizeof(text) - 1) > 0);
	close(summary[0]);
	assert_non_null(strstr(text, "; 1 released, 1 of them too late"));
}

/* A semaphore whose payload is replaced starts anew. */
static void imported_timeline(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	VkImportSemaphoreFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
		.semaphore = t,
		.handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT,
		.fd = -1,
	};

	(void)state;
	host_signal(t, 5);
	check_vk(world.import_semaphore_fd(world.device, &import));
	submit_batch(world.queue, (struct batch){.wait = t,
						 .wait_value = 5,
						 .commands = commands_release("rel", &a)});
	check_log("import t for good | 1[?t=5 rel {timeline} / !own] | 1[] own");
	/* another process signals it */
	counter_value = 5;
	check_log_becomes("export own | A+write");
	fences_are_signalled = true;
	check_vk(vkQueueWaitIdle(world.queue));
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

/* What waited for the old payload is over; nothing of it waits for the new one. */
static void imported_timeline_that_was_waited_for(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	VkImportSemaphoreFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
		.semaphore = t,
		.handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT,
		.fd = -1,
	};

	(void)state;
	submit_batch(world.queue, (struct batch){.wait = t, .wait_value = 5});
	/* reached, in a way that nobody tells, and replaced before anybody asks */
	check_vk(world.import_semaphore_fd(world.device, &import));
	submit(commands_release("rel", &a), true);
	check_log("1[?t=5 {timeline}] | import t for good | 1[rel / !own] F | export own | "
		  "A+write");
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

static VkResult no_memory(void)
{
	return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

/* A submission that fails signals nothing, so nobody may count on it. */
static void submission_that_fails(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	struct batch batch = {.signal = t, .signal_value = 1};
	const VkSubmitInfo info = SUBMIT_INFO(batch);

	(void)state;
	world.recorder->submitting = no_memory;
	assert_int_equal(vkQueueSubmit(world.other_queue, 1, &info, VK_NULL_HANDLE),
			 VK_ERROR_OUT_OF_DEVICE_MEMORY);
	world.recorder->submitting = NULL;
	submit_batch(world.queue, (struct batch){.wait = t,
						 .wait_value = 1,
						 .commands = commands_release("rel", &a)});
	check_log("1[!t=1 {timeline}] | 1[?t=1 rel {timeline} / !own] | 1[] own");
	fences_are_signalled = true;
	check_vk(vkQueueWaitIdle(world.queue));
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

/* And it waits for nothing. */
static void wait_that_fails(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);
	struct batch batch = {.wait = t, .wait_value = 1};
	const VkSubmitInfo info = SUBMIT_INFO(batch);

	(void)state;
	world.recorder->submitting = no_memory;
	assert_int_equal(vkQueueSubmit(world.queue, 1, &info, VK_NULL_HANDLE),
			 VK_ERROR_OUT_OF_DEVICE_MEMORY);
	world.recorder->submitting = NULL;
	submit(commands_release("rel", &a), false);
	check_log("1[?t=1 {timeline}] | 1[rel / !own] | export own | A+write");
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

static VkResult takes_long(void)
{
	usleep(3 * CHANCE_US);
	kernel_say("submitted");
	return VK_SUCCESS;
}

/* A driver may refuse to export what depends on a signal that it hasn't seen, or wait for it. */
static void signal_on_its_way(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);

	(void)state;
	submit_batch(world.queue, (struct batch){.wait = t,
						 .wait_value = 1,
						 .commands = commands_release("rel", &a)});
	check_log("1[?t=1 rel {timeline} / !own] | 1[] own");
	world.recorder->submitting = takes_long;
	submit_batch(world.other_queue, (struct batch){.signal = t, .signal_value = 1});
	check_log_becomes("1[!t=1 {timeline}] | submitted | export own | A+write");
	world.recorder->submitting = NULL;
	end(&a, t, VK_NULL_HANDLE);
}

/* One with batches of the layer's: nothing is published, and the semaphores aren't used again. */
static void pieces_that_fail(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer both = command_buffer("both", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &both,
	};

	(void)state;
	acquire(both, &a, 0);
	release(both, &a, 0);
	check_vk(vkEndCommandBuffer(both));
	fence_add('A', WRITES, fence_new());
	world.recorder->submitting = no_memory;
	assert_int_equal(vkQueueSubmit(world.queue, 1, &info, VK_NULL_HANDLE),
			 VK_ERROR_OUT_OF_DEVICE_MEMORY);
	check_log("import own | 1[?own / both / !own]");
	world.recorder->submitting = NULL;
	submit(both, true);
	check_log("import own | 1[?own / both / !own] F | export own | A+write");
	shared_free(&a);
}

static unsigned int submissions_until_failure;

static VkResult no_memory_later(void)
{
	return submissions_until_failure-- ? VK_SUCCESS : VK_ERROR_OUT_OF_HOST_MEMORY;
}

/* What has gone down can't be taken back, so the application mustn't try again. */
static void later_piece_that_fails(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer commands = commands_release("rel", &a);
	struct batch batches[] = {{.commands = commands}, {.commands = commands}};
	const VkSubmitInfo infos[] = {SUBMIT_INFO(batches[0]), SUBMIT_INFO(batches[1])};

	(void)state;
	submissions_until_failure = 1;
	world.recorder->submitting = no_memory_later;
	assert_int_equal(vkQueueSubmit(world.queue, 2, infos, world.fence), VK_ERROR_DEVICE_LOST);
	check_log("1[rel {timeline} / !own] | export own | A+write | 1[rel {timeline} / !own] F");
	shared_free(&a);
}

/* What the layer adds behind it all is the layer's own problem. */
static void waiting_that_fails(void **state)
{
	struct shared a = shared_import('A', 0);

	(void)state;
	submissions_until_failure = 1;
	world.recorder->submitting = no_memory_later;
	world.recorder->export_result = VK_ERROR_OUT_OF_HOST_MEMORY;
	submit(commands_release("rel", &a), true);
	check_log("1[rel / !own] F | export own | 1[] own");
	shared_free(&a);
}

/* Nobody can be told when it's over. What it needed isn't lost, but goes with the device. */
static void late_release_that_fails(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);

	(void)state;
	submissions_until_failure = 1;
	world.recorder->submitting = no_memory_later;
	submit_batch(world.queue, (struct batch){.wait = t,
						 .wait_value = 1,
						 .commands = commands_release("rel", &a)});
	check_log("1[?t=1 rel {timeline} / !own] | 1[] own");
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

/* ---- Semaphores are used again, but not too early ---- */

static uint64_t seen[256];
static unsigned int num_seen;

static const char *remember(uint64_t handle)
{
	if (handle != (uint64_t)(uintptr_t)world.fence && num_seen < 256)
		seen[num_seen++] = handle;
	return NULL;
}

static unsigned int count_distinct(void)
{
	unsigned int i, j, distinct = 0;

	for (i = 0; i < num_seen; i++) {
		for (j = 0; j < i && seen[j] != seen[i]; j++)
			;
		distinct += i == j;
	}
	num_seen = 0;
	return distinct;
}

static int only_semaphores(VkQueue queue, VkCommandBuffer commands, unsigned int times)
{
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};

	while (times--)
		check_vk(vkQueueSubmit(queue, 1, &info, VK_NULL_HANDLE));
	return 0;
}

static void check_recycling(VkCommandBuffer commands)
{
	unsigned int busy, idle;

	world.recorder->say = NULL;
	world.recorder->name = remember;
	num_seen = 0;
	only_semaphores(world.queue, commands, 20);
	busy = count_distinct();
	/* 20 semaphores, the command buffer, and the fence behind 16 of them */
	assert_int_equal(busy, 22);
	fences_are_signalled = true;
	only_semaphores(world.queue, commands, 60);
	idle = count_distinct();
	assert_true(idle < 45);
}

static void semaphores_are_recycled(void **state)
{
	struct shared a = shared_import('A', 0);

	(void)state;
	fence_add('A', WRITES, fence_new());
	check_recycling(commands_acquire("acq", &a));
	shared_free(&a);
}

/* Exporting one doesn't make its signal be over. */
static void semaphores_of_releases_are_recycled(void **state)
{
	struct shared a = shared_import('A', 0);

	(void)state;
	check_recycling(commands_release("rel", &a));
	shared_free(&a);
}

/* The same for a release that waits for its time: it isn't forgotten. */
static void late_export_that_fails_once(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore t = semaphore("t", true);

	(void)state;
	submit_batch(world.queue, (struct batch){.wait = t,
						 .wait_value = 1,
						 .commands = commands_release("rel", &a)});
	check_log("1[?t=1 rel {timeline} / !own] | 1[] own");
	world.recorder->say = NULL;
	world.recorder->export_result = VK_ERROR_TOO_MANY_OBJECTS;
	host_signal(t, 1);
	usleep(3 * CHANCE_US);
	world.recorder->export_result = VK_SUCCESS;
	check_log_becomes("A+write");
	fences_are_signalled = true;
	check_vk(vkQueueWaitIdle(world.queue));
	vkDestroySemaphore(world.device, t, NULL);
	shared_free(&a);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(value_that_the_host_signals_later),
		TEST(value_that_is_signalled_before),
		TEST(value_that_a_queue_signals),
		TEST(value_that_depends_on_another),
		TEST(sparse_binding),
		TEST(queues_that_wait_for_each_other),
		TEST(values_of_one_timeline),
		TEST(earlier_batch_that_waits),
		TEST(release_then_wait_in_one_call),
		TEST(queue_that_only_waits),
		TEST(work_that_is_over_meanwhile),
		TEST(device_that_is_waited_for),
		TEST(device_that_goes),
		TEST(device_that_goes_with_its_counters),
		TEST(imported_timeline),
		TEST(imported_timeline_that_was_waited_for),
		TEST(submission_that_fails),
		TEST(wait_that_fails),
		TEST(signal_on_its_way),
		TEST(pieces_that_fail),
		TEST(later_piece_that_fails),
		TEST(waiting_that_fails),
		TEST(late_release_that_fails),
		TEST(semaphores_are_recycled),
		TEST(semaphores_of_releases_are_recycled),
		TEST(late_export_that_fails_once),
	};

	world_environment();
	return cmocka_run_group_tests_name("sync-release", tests, NULL, NULL);
}
