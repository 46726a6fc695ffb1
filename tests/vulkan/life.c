// SPDX-License-Identifier: MIT
/*
 * Devices, instances, processes and threads, several at a time, that come and go;
 * and virtual GPUs that are lost under an application. Two devices of 16 MiB of
 * VRAM and 48 MiB of GTT, which are unbound from the driver and bound again.
 */
#include "harness.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (512 * KIB)

/* ---- Several at a time ---- */

static void devices_do_not_see_each_other(void)
{
	struct device *devices[6];
	struct buffer buffers[ARRAY_SIZE(devices)];
	unsigned int i, round;

	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		devices[i] = vulkan_device_open(NULL, i % num_gpus());
		buffers[i] = buffer_new(devices[i], SIZE, vram_type(devices[i]), 0);
	}
	for (round = 0; round < 3; round++) {
		for (i = 0; i < ARRAY_SIZE(devices); i++)
			buffer_fill(&buffers[i], i, round);
		for (i = 0; i < ARRAY_SIZE(devices); i++)
			buffer_check(&buffers[i], i, round);
	}
	/* in another order than they came */
	for (i = 0; i < ARRAY_SIZE(devices); i += 2) {
		buffer_free(&buffers[i]);
		vulkan_device_close(devices[i]);
	}
	for (i = 1; i < ARRAY_SIZE(devices); i += 2) {
		buffer_check(&buffers[i], i, 2);
		buffer_free(&buffers[i]);
		vulkan_device_close(devices[i]);
	}
}

static void *use_a_device(void *argument)
{
	unsigned int gpu = (uintptr_t)argument % num_gpus(), i;

	for (i = 0; i < 4; i++) {
		struct device *device = vulkan_device_open(NULL, gpu);
		struct buffer buffer = buffer_new(device, SIZE, vram_type(device), 0);

		buffer_fill(&buffer, i, 1);
		buffer_check(&buffer, i, 1);
		buffer_free(&buffer);
		vulkan_device_close(device);
	}
	return NULL;
}

static void threads_with_devices_of_their_own(void)
{
	pthread_t threads[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = test_thread(use_a_device, (void *)(uintptr_t)i);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		test_thread_join(threads[i]);
}

struct allocator {
	const struct device *device;
	unsigned int number;
};

static void *allocate_and_map(void *argument)
{
	const struct allocator *allocator = argument;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		struct buffer buffer =
			buffer_new(allocator->device, 16 * KIB, vram_type(allocator->device), 0);
		uint32_t *words = buffer_map(&buffer);

		if (!is_plain())
			check_words(words, buffer.size, 0, 0);
		fill_words(words, buffer.size, allocator->number, i);
		check_words(words, buffer.size, allocator->number, i);
		buffer_free(&buffer);
	}
	return NULL;
}

static void threads_that_allocate_from_one_device(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct allocator allocators[4];
	pthread_t threads[ARRAY_SIZE(allocators)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		allocators[i] = (struct allocator){device, i};
		threads[i] = test_thread(allocate_and_map, &allocators[i]);
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		test_thread_join(threads[i]);
	vulkan_device_close(device);
}

static unsigned int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	check(dir, "/proc/self/fd: %m");
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void nothing_is_left_of_devices_that_are_gone(void)
{
	unsigned int i, before = 0;

	for (i = 0; i < 12; i++) {
		struct device *device = vulkan_device_open(NULL, 0);
		struct buffer buffer = buffer_new(device, SIZE, vram_type(device), 0);

		buffer_fill(&buffer, 1, i);
		buffer_free(&buffer);
		vulkan_device_close(device);
		/* the first ones leave what the loader and the driver keep for good */
		if (i == 2)
			before = open_descriptors();
	}
	check_eq(open_descriptors(), before);
	if (is_plain())
		return;
	check(eventually(!vm_counters(0, getpid()).vms),
	      "an address space is left of a device that was destroyed");
	check(eventually(!gpu_info(0).vram_used),
	      "VRAM is in use though every device was destroyed");
}

/* ---- Processes ---- */

/* What the child does isn't Vulkan; the parent's memory isn't the child's. */
static void an_application_forks(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer buffer = buffer_new(device, SIZE, vram_type(device), 0);
	uint32_t *words = buffer_map(&buffer);
	unsigned int i;

	for (i = 0; i < 6; i++) {
		const uint32_t arguments[3] = {SIZE / 4, i, 3};
		const struct buffer *buffers[] = {&buffer};
		struct commands commands = commands_begin(device);
		pid_t child;

		commands_dispatch(&commands, SHADER_FILL, buffers, 1, NULL, arguments);
		check_vk(commands_submit(&commands));
		child = test_fork();
		if (!child) {
			if (i & 1)
				execl("/bin/true", "true", (char *)NULL);
			test_exit();
		}
		check_vk(commands_wait(&commands));
		check_words(words, SIZE, i, 3);
		test_join(child);
		buffer_check(&buffer, i, 3);
	}
	buffer_free(&buffer);
	vulkan_device_close(device);
}

/* As exit handlers do that a child has from its parent. */
static _Noreturn void destroy_all(struct device *device, struct buffer *buffer, int socket)
{
	struct buffer more = buffer_create(device, SIZE, 0);

	device->instance->messages_expected = true;
	if (!is_plain())
		check_result(buffer_allocate(&more, vram_type(device), NULL),
			     VK_ERROR_OUT_OF_DEVICE_MEMORY);
	buffer_free(buffer);
	check_eq(check_sys(send(socket, "", 1, 0)), 1);
	/* the driver may wait for threads that only its parent has, with or without the layer */
	vulkan_device_close(device);
	/* until it is killed */
	for (;;)
		pause();
}

static void a_child_destroys_what_its_parent_uses(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer freed = buffer_new(device, SIZE, vram_type(device), 0);
	struct buffer kept = buffer_new(device, SIZE, vram_type(device), 0);
	struct buffer more;
	int sockets[2];
	pid_t child;
	char byte;

	check_sys(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
	buffer_fill(&freed, 1, 2);
	buffer_fill(&kept, 3, 4);
	child = test_fork();
	if (!child)
		destroy_all(device, &freed, sockets[1]);
	close(sockets[1]);
	check_eq(check_sys(recv(sockets[0], &byte, 1, 0)), 1);
	sleep_ms(300);
	test_kill(child);
	buffer_check(&freed, 1, 2);
	buffer_check(&kept, 3, 4);
	/* what the child gave back isn't given to anybody else */
	more = buffer_new(device, SIZE, vram_type(device), 0);
	buffer_fill(&more, 5, 6);
	buffer_check(&freed, 1, 2);
	buffer_check(&kept, 3, 4);
	buffer_check(&more, 5, 6);
	buffer_free(&more);
	buffer_free(&kept);
	buffer_free(&freed);
	close(sockets[0]);
	vulkan_device_close(device);
}

static _Noreturn void work_for_ever(int socket)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer buffers[8];
	unsigned int i, round;

	for (i = 0; i < ARRAY_SIZE(buffers); i++)
		buffers[i] = buffer_new(device, MIB, vram_type(device), 0);
	for (round = 0;; round++) {
		for (i = 0; i < ARRAY_SIZE(buffers); i++)
			buffer_fill(&buffers[i], i, round);
		if (!round)
			check_eq(check_sys(send(socket, "", 1, 0)), 1);
	}
}

/* In the middle of shaders, and of faults; the runner looks at what is left. */
static void a_process_is_killed(void)
{
	unsigned int i;

	need_gpus(1);
	for (i = 0; i < 4; i++) {
		struct disturber disturber;
		int sockets[2];
		pid_t child;
		char byte;

		check_sys(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
		child = test_fork();
		if (!child)
			work_for_ever(sockets[1]);
		check_eq(check_sys(recv(sockets[0], &byte, 1, 0)), 1);
		disturber = disturber_start(0, NULL, 0);
		sleep_ms(30 + 20 * i);
		test_kill(child);
		disturber_stop(&disturber);
		close(sockets[0]);
		close(sockets[1]);
		check(eventually(!gpu_info(0).vram_used),
		      "a killed process still has %llu bytes of VRAM",
		      (unsigned long long)gpu_info(0).vram_used);
	}
}

/* ---- A GPU that is lost ---- */

static VkResult fill_result(const struct buffer *buffer)
{
	const uint32_t arguments[3] = {buffer->size / 4, 1, 1};
	struct commands commands = commands_begin(buffer->device);
	VkResult result;

	commands_dispatch(&commands, SHADER_FILL, &buffer, 1, NULL, arguments);
	result = commands_submit(&commands);
	return result ? result : commands_wait(&commands);
}

static VkResult timeline_wait(const struct device *device, VkSemaphore semaphore)
{
	const uint64_t value = 1;
	const VkSemaphoreWaitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
		.semaphoreCount = 1,
		.pSemaphores = &semaphore,
		.pValues = &value,
	};

	return vkWaitSemaphores(device->handle, &info, 0);
}

/* It goes while an application holds it: an error from every call, and no crash. */
static void a_gpu_goes_away(void)
{
	struct device *device, *other;
	struct buffer buffer, unaffected, more;
	VkSemaphore semaphore;
	uint32_t *words;
	uint64_t value;
	VkFence fence;

	need_gpus(2);
	device = vulkan_device_open(NULL, 1);
	other = vulkan_device_open(NULL, 0);
	buffer = buffer_new(device, SIZE, vram_type(device), 0);
	unaffected = buffer_new(other, SIZE, vram_type(other), 0);
	words = buffer_map(&buffer);
	buffer_fill(&buffer, 1, 1);
	buffer_fill(&unaffected, 2, 2);
	check_vk(vkCreateFence(device->handle,
			       &(VkFenceCreateInfo){.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO},
			       NULL, &fence));
	semaphore = timeline_new(device->handle);
	check_result(timeline_wait(device, semaphore), VK_TIMEOUT);
	device_unbind(1);

	/* the layer says that it's lost */
	device->instance->messages_expected = true;
	/* an access finds memory without meaning, but finds some */
	words[0] = 5;
	check_result(fill_result(&buffer), VK_ERROR_DEVICE_LOST);
	check_result(vkQueueSubmit(device->queue, 0, NULL, fence), VK_ERROR_DEVICE_LOST);
	check_result(vkGetFenceStatus(device->handle, fence), VK_ERROR_DEVICE_LOST);
	check_result(vkWaitForFences(device->handle, 1, &fence, VK_TRUE, 0), VK_ERROR_DEVICE_LOST);
	check_result(timeline_wait(device, semaphore), VK_ERROR_DEVICE_LOST);
	check_result(vkGetSemaphoreCounterValue(device->handle, semaphore, &value),
		     VK_ERROR_DEVICE_LOST);
	check_result(vkQueueWaitIdle(device->queue), VK_ERROR_DEVICE_LOST);
	check_result(vkDeviceWaitIdle(device->handle), VK_ERROR_DEVICE_LOST);
	more = buffer_create(device, SIZE, 0);
	check(buffer_allocate(&more, vram_type(device), NULL),
	      "memory of a GPU that is gone was allocated");
	buffer_free(&more);
	vkDestroySemaphore(device->handle, semaphore, NULL);
	vkDestroyFence(device->handle, fence, NULL);
	buffer_free(&buffer);
	/* still referenced by the lost submissions: the application may destroy the device nevertheless */
	buffer_check(&unaffected, 2, 2);
	buffer_free(&unaffected);
	vulkan_device_close(other);
	devices_bind();
}

/* It goes between the choice of a GPU and the use of it. */
static void a_gpu_goes_away_before_its_device_is_made(void)
{
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	const VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
	};
	struct instance *instance;
	VkDevice device;

	need_gpus(2);
	instance = instance_open();
	device_unbind(1);
	instance->messages_expected = true;
	check_result(vkCreateDevice(instance->physical[1], &info, NULL, &device),
		     VK_ERROR_DEVICE_LOST);
	instance_close(instance);
	devices_bind();
}

/* It goes while shaders run and memory moves. */
static void a_gpu_goes_away_while_shaders_run(void)
{
	struct device *device;
	struct buffer buffers[4];
	VkResult result = VK_SUCCESS;
	unsigned int i, round;
	pid_t child;

	need_gpus(2);
	device = vulkan_device_open(NULL, 1);
	for (i = 0; i < ARRAY_SIZE(buffers); i++)
		buffers[i] = buffer_new(device, 2 * MIB, vram_type(device), 0);
	device->instance->messages_expected = true;
	child = test_fork();
	if (!child) {
		sleep_ms(50);
		device_unbind(1);
		test_exit();
	}
	for (round = 0; !result; round++)
		result = fill_result(&buffers[round % ARRAY_SIZE(buffers)]);
	check_result(result, VK_ERROR_DEVICE_LOST);
	test_join(child);
	devices_bind();
}

/* A lost GPU that came back is a new one, for those who open it now. */
static void a_gpu_comes_back(void)
{
	struct device *device;
	struct buffer buffer;

	need_gpus(2);
	device_unbind(1);
	devices_bind();
	device = vulkan_device_open(NULL, 1);
	buffer = buffer_new(device, SIZE, vram_type(device), 0);
	buffer_fill(&buffer, 3, 4);
	buffer_check(&buffer, 3, 4);
	buffer_free(&buffer);
	vulkan_device_close(device);
}

static const struct test tests[] = {
	TEST(devices_do_not_see_each_other),
	TEST(threads_with_devices_of_their_own),
	TEST(threads_that_allocate_from_one_device),
	TEST(nothing_is_left_of_devices_that_are_gone),
	TEST(an_application_forks),
	TEST(a_child_destroys_what_its_parent_uses),
	TEST(a_process_is_killed),
	TEST(a_gpu_goes_away),
	TEST(a_gpu_goes_away_before_its_device_is_made),
	TEST(a_gpu_goes_away_while_shaders_run),
	TEST(a_gpu_comes_back),
};

int main(int argc, char **argv)
{
	return vulkan_main("vulkan-life", tests, ARRAY_SIZE(tests), argc, argv);
}
