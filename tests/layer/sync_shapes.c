// SPDX-License-Identifier: MIT
/*
 * What the layer submits, exactly: each test has command buffers that acquire and release, and the log of
 * what arrives at the driver and at the kernel. Lines are explained in sync_recorder.c.
 */
#include "sync_world.h"

#include <string.h>
#include <unistd.h>

/* Others' work on a dma-buf that isn't over. */
static int busy(char dmabuf, uint32_t access)
{
	int fence = fence_new();

	fence_add(dmabuf, access, fence);
	return fence;
}

/* ---- One batch ---- */

static void nothing_to_do(void **state)
{
	struct shared a = shared_import('A', 0);

	(void)state;
	busy('A', WRITES);
	submit(commands_plain("draw"), true);
	check_log("1[draw] F");
	shared_free(&a);
}

static void acquire_of_what_is_idle(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer commands = commands_acquire("acq", &a);

	(void)state;
	submit(commands, true);
	check_log("1[acq] F");
	fence_signal(busy('A', WRITES));
	submit(commands, true);
	check_log("1[acq] F");
	shared_free(&a);
}

static void acquire_of_what_is_in_use(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer commands = commands_acquire("acq", &a);

	(void)state;
	busy('A', WRITES);
	submit(commands, true);
	check_log("import own | 1[?own / acq] F");
	/* the same command buffer again */
	submit(commands, false);
	check_log("import own | 1[?own / acq]");
	shared_free(&a);
}

static void readers_wait_for_writers_only(void **state)
{
	struct shared a = shared_import('A', VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
	struct shared b = shared_import('B', 0);
	VkCommandBuffer read = command_buffer("read", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	VkCommandBuffer write = commands_acquire("write", &b);

	(void)state;
	/* of B only a reading access is announced, A can only be read */
	acquire(read, &a, VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT);
	acquire(read, &b, VK_ACCESS_TRANSFER_READ_BIT);
	check_vk(vkEndCommandBuffer(read));
	busy('A', READS);
	busy('B', READS);
	submit(read, true);
	check_log("1[read] F");
	submit(write, true);
	check_log("import own | 1[?own / write] F");
	busy('A', WRITES);
	submit(read, true);
	check_log("import own | 1[?own / read] F");
	shared_free(&a);
	shared_free(&b);
}

static int imported = -1;

static void remember_import(int fd)
{
	imported = dup(fd);
}

static void fences_are_merged(void **state)
{
	struct shared a = shared_import('A', 0), b = shared_import('B', 0);
	VkCommandBuffer commands = command_buffer("acq", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	int first, second;

	(void)state;
	acquire(commands, &a, 0);
	acquire(commands, &b, 0);
	acquire(commands, &a, 0);
	check_vk(vkEndCommandBuffer(commands));
	first = busy('A', WRITES);
	second = busy('B', READS);
	world.recorder->import_semaphore = remember_import;
	submit(commands, true);
	check_log("import own | 1[?own / acq] F");
	fence_signal(first);
	assert_false(fence_signalled(imported));
	fence_signal(second);
	assert_true(fence_signalled(imported));
	close(imported);
	shared_free(&a);
	shared_free(&b);
}

static void release_becomes_a_fence(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer commands = commands_release("rel", &a);
	int before, after;

	(void)state;
	before = fence_of('A', WRITES);
	assert_true(fence_signalled(before));
	submit(commands, true);
	check_log("1[rel / !own] F | export own | A+write");
	after = fence_of('A', READS);
	assert_false(fence_signalled(after));
	close(before);
	close(after);
	shared_free(&a);
}

static void release_of_a_reader(void **state)
{
	struct shared a = shared_import('A', VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
	struct shared b = shared_import('B', 0);
	VkCommandBuffer commands = command_buffer("rel", VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	(void)state;
	release(commands, &a, 0);
	release(commands, &b, VK_ACCESS_SHADER_READ_BIT);
	check_vk(vkEndCommandBuffer(commands));
	submit(commands, false);
	check_log("1[rel / !own] | export own | A+read | B+read");
	shared_free(&a);
	shared_free(&b);
}

static int no_fd(void)
{
	return -1;
}

static void completion_that_is_over(void **state)
{
	struct shared a = shared_import('A', 0);

	(void)state;
	world.recorder->export_semaphore = no_fd;
	submit(commands_release("rel", &a), true);
	check_log("1[rel / !own] F | export own");
	shared_free(&a);
}

/* ---- Several batches ---- */

static void pieces(void **state)
{
	struct shared a = shared_import('A', 0), b = shared_import('B', 0);
	VkCommandBuffer acquire_a = commands_acquire("acqA", &a);
	VkCommandBuffer release_a = commands_release("relA", &a);
	VkCommandBuffer acquire_b = commands_acquire("acqB", &b);
	VkCommandBuffer draw = commands_plain("draw");
	const VkSubmitInfo infos[] = {
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.commandBufferCount = 1,
			.pCommandBuffers = &draw,
		},
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.commandBufferCount = 1,
			.pCommandBuffers = &acquire_a,
		},
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.commandBufferCount = 2,
			.pCommandBuffers = (VkCommandBuffer[]){draw, release_a},
		},
		{.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO},
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.commandBufferCount = 1,
			.pCommandBuffers = &acquire_b,
		},
	};

	(void)state;
	busy('A', READS);
	busy('B', WRITES);
	check_vk(vkQueueSubmit(world.queue, 5, infos, world.fence));
	check_log("import own | 1[draw / ?own / acqA / draw relA / !own] | export own | A+write | "
		  "import own | 1[ / ?own / acqB] F");
	/* the release is last, and without a fence nothing is left to submit */
	check_vk(vkQueueSubmit(world.queue, 3, infos, VK_NULL_HANDLE));
	check_log("import own | 1[draw / ?own / acqA / draw relA / !own] | export own | A+write");
	check_vk(vkQueueSubmit(world.queue, 0, NULL, world.fence));
	check_log("1[] F");
	shared_free(&a);
	shared_free(&b);
}

/* Far more batches than the layer has room for at first. */
static void many_batches(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer draw = commands_plain("d"), commands = commands_acquire("acq", &a);
	char expected[1024] = "import own | 1[", *end = expected + strlen(expected);
	VkSubmitInfo infos[100];
	unsigned int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		infos[i] = (VkSubmitInfo){
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.commandBufferCount = 1,
			.pCommandBuffers = i == 70 ? &commands : &draw,
		};
		end = stpcpy(end, i == 70 ? "?own / acq" : "d");
		end = stpcpy(end, i < 99 ? " / " : "] F");
	}
	busy('A', WRITES);
	check_vk(vkQueueSubmit(world.queue, 100, infos, world.fence));
	check_log(expected);
	shared_free(&a);
}

static void semaphores_of_the_application(void **state)
{
	struct shared a = shared_import('A', 0);
	VkSemaphore binary[] = {semaphore("x", false), semaphore("y", false)};
	VkSemaphore timeline = semaphore("t", true);
	VkSemaphore waits[] = {binary[0], timeline}, signals[] = {timeline, binary[1]};
	const VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 2,
		.pWaitSemaphoreValues = (uint64_t[]){0, 4},
		.signalSemaphoreValueCount = 2,
		.pSignalSemaphoreValues = (uint64_t[]){5, 0},
	};
	VkCommandBuffer commands = commands_acquire("acq", &a);
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &values,
		.waitSemaphoreCount = 2,
		.pWaitSemaphores = waits,
		.pWaitDstStageMask = (VkPipelineStageFlags[]){1, 1},
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
		.signalSemaphoreCount = 2,
		.pSignalSemaphores = signals,
	};

	(void)state;
	busy('A', WRITES);
	check_vk(vkQueueSubmit(world.queue, 1, &info, VK_NULL_HANDLE));
	check_log("import own | 1[?own / ?x ?t=4 acq !t=5 !y {timeline}]");
	vkDestroySemaphore(world.device, binary[0], NULL);
	vkDestroySemaphore(world.device, binary[1], NULL);
	vkDestroySemaphore(world.device, timeline, NULL);
	shared_free(&a);
}

static void protected_batches(void **state)
{
	struct shared a = shared_import('A', 0);
	const VkProtectedSubmitInfo protected = {
		.sType = VK_STRUCTURE_TYPE_PROTECTED_SUBMIT_INFO,
		.protectedSubmit = VK_TRUE,
	};
	VkCommandBuffer commands = command_buffer("both", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &protected,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};
	const VkCommandBufferSubmitInfo command_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
		.commandBuffer = commands,
	};
	const VkSubmitInfo2 info2 = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
		.flags = VK_SUBMIT_PROTECTED_BIT,
		.commandBufferInfoCount = 1,
		.pCommandBufferInfos = &command_info,
	};

	(void)state;
	acquire(commands, &a, 0);
	release(commands, &a, 0);
	check_vk(vkEndCommandBuffer(commands));
	busy('A', WRITES);
	check_vk(vkQueueSubmit(world.queue, 1, &info, world.fence));
	check_log("import own | 1[?own / both {protected} / !own] F | export own | A+write");
	check_vk(vkQueueSubmit2(world.queue, 1, &info2, world.fence));
	check_log("import own | 2[?own / both {protected} / !own] F | export own | A+write");
	shared_free(&a);
}

static void submit2(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer commands = commands_acquire("acq", &a), end = commands_release("rel", &a);
	VkSemaphore timeline = semaphore("t", true), binary = semaphore("x", false);
	const VkCommandBufferSubmitInfo command_infos[] = {
		{
			.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
			.commandBuffer = commands,
		},
		{
			.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
			.commandBuffer = end,
		},
	};
	const VkSemaphoreSubmitInfo semaphores[] = {
		{
			.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
			.semaphore = binary,
			.stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
		},
		{
			.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
			.semaphore = timeline,
			.value = 7,
			.stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
		},
	};
	const VkSubmitInfo2 infos[] = {
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
			.waitSemaphoreInfoCount = 1,
			.pWaitSemaphoreInfos = semaphores,
			.commandBufferInfoCount = 2,
			.pCommandBufferInfos = command_infos,
			.signalSemaphoreInfoCount = 1,
			.pSignalSemaphoreInfos = &semaphores[1],
		},
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
			.waitSemaphoreInfoCount = 1,
			.pWaitSemaphoreInfos = &semaphores[1],
			.commandBufferInfoCount = 1,
			.pCommandBufferInfos = command_infos,
		},
	};

	(void)state;
	busy('A', READS);
	check_vk(vkQueueSubmit2(world.queue, 2, infos, world.fence));
	check_log("import own | 2[?own / ?x acq rel !t=7 / !own] | export own | A+write | "
		  "import own | 2[?own / ?t=7 acq] F");
	check_vk(world.queue_submit2_khr(world.queue, 2, infos, world.fence));
	check_log("import own | 2k[?own / ?x acq rel !t=7 / !own] | export own | A+write | "
		  "import own | 2k[?own / ?t=7 acq] F");
	vkDestroySemaphore(world.device, timeline, NULL);
	vkDestroySemaphore(world.device, binary, NULL);
	shared_free(&a);
}

static void two_queues(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer commands = commands_release("rel", &a);
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};

	(void)state;
	check_vk(vkQueueSubmit(world.other_queue, 1, &info, world.fence));
	check_log("1[rel / !own] F | export own | A+write");
	/* one queue's release is waited for by the other's acquire, as everybody else's */
	submit(commands_acquire("acq", &a), true);
	check_log("import own | 1[?own / acq] F");
	shared_free(&a);
}

static void device_groups(void **state)
{
	const VkDeviceGroupSubmitInfo group = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_GROUP_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBufferDeviceMasks = (uint32_t[]){3},
	};
	VkCommandBuffer commands;
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &group,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};
	VkCommandBufferSubmitInfo command_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
		.deviceMask = 3,
	};
	const VkSubmitInfo2 info2 = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
		.commandBufferInfoCount = 1,
		.pCommandBufferInfos = &command_info,
	};
	struct shared a;

	(void)state;
	world_close();
	world_open(&(struct options){.group_size = 2});
	a = shared_import('A', 0);
	commands = command_buffer("both", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	command_info.commandBuffer = commands;
	acquire(commands, &a, 0);
	release(commands, &a, 0);
	check_vk(vkEndCommandBuffer(commands));
	busy('A', WRITES);
	check_vk(vkQueueSubmit(world.queue, 1, &info, world.fence));
	check_log("import own | import own | 1[?own@0 ?own@1 {group} / both {group 3} / "
		  "!own@0 !own@1 {group}] F | export own | export own | A+write");
	check_vk(vkQueueSubmit2(world.queue, 1, &info2, world.fence));
	check_log("import own | import own | 2[?own@0 ?own@1 / both / !own@0 !own@1] F | "
		  "export own | export own | A+write");
	shared_free(&a);
}

static int exported[2], num_exported;

static int export_and_remember(void)
{
	int fence = fence_new();

	exported[num_exported++ % 2] = dup(fence);
	return fence;
}

/* Others wait for all of them, in whichever order they end. */
static void releases_of_device_groups(void **state)
{
	struct shared a;
	int i, fence;

	(void)state;
	for (i = 0; i < 2; i++) {
		world_close();
		world_open(&(struct options){.group_size = 2});
		world.recorder->export_semaphore = export_and_remember;
		a = shared_import('A', 0);
		submit(commands_release("rel", &a), true);
		fence = fence_of('A', READS);
		assert_false(fence_signalled(fence));
		fence_signal(exported[i]);
		assert_false(fence_signalled(fence));
		fence_signal(exported[!i]);
		assert_true(fence_signalled(fence));
		close(fence);
		close(exported[0]);
		close(exported[1]);
		shared_free(&a);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_to_do),
		TEST(acquire_of_what_is_idle),
		TEST(acquire_of_what_is_in_use),
		TEST(readers_wait_for_writers_only),
		TEST(fences_are_merged),
		TEST(release_becomes_a_fence),
		TEST(release_of_a_reader),
		TEST(completion_that_is_over),
		TEST(pieces),
		TEST(many_batches),
		TEST(semaphores_of_the_application),
		TEST(protected_batches),
		TEST(submit2),
		TEST(two_queues),
		TEST(device_groups),
		TEST(releases_of_device_groups),
	};

	world_environment();
	return cmocka_run_group_tests_name("sync-shapes", tests, NULL, NULL);
}
