// SPDX-License-Identifier: MIT
/*
 * Implicit sync with real fences: others write to dma-bufs that a Vulkan application has imported, and the
 * application does nothing about it but transfer ownership. On lavapipe under the layer, in native mode
 * unless a test's name says virtual.
 *
 * lavapipe's releases are over when vkQueueSubmit returns: no CPU driver gives a fence for work that
 * isn't over, so what a GPU would do is tested with the mock driver (sync_release.c).
 */
#include "sync_guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <drm/vgem_drm.h>
#include <xf86drm.h>

#define READ  DROVER_ACCESS_READ
#define WRITE DROVER_ACCESS_WRITE

/* ---- Timelines ---- */

static void timeline_signal(VkDevice device, VkSemaphore semaphore, uint64_t value)
{
	const VkSemaphoreSignalInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
		.semaphore = semaphore,
		.value = value,
	};

	check_vk(vkSignalSemaphore(device, &info));
}

static void timeline_wait(VkDevice device, VkSemaphore semaphore, uint64_t value)
{
	const VkSemaphoreWaitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
		.semaphoreCount = 1,
		.pSemaphores = &semaphore,
		.pValues = &value,
	};

	check_vk(vkWaitSemaphores(device, &info, WAIT_NS));
}

/* Commands that wait for the timeline's value 1. */
static void submit_behind(const struct application *application, struct commands *commands,
			  VkSemaphore timeline)
{
	const uint64_t value = 1;
	const VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &value,
	};
	const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &values,
		.waitSemaphoreCount = 1,
		.pWaitSemaphores = &timeline,
		.pWaitDstStageMask = &stage,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands->handle,
	};

	check_vk(vkEndCommandBuffer(commands->handle));
	check_vk(vkQueueSubmit(application->device->queue, 1, &info, commands->done));
}

/* ---- Acquire ---- */

/*
 * The engine writes, the application copies. What it finds depends on the settings: if that is old, the
 * engine doesn't get on before the application has finished.
 */
static void check_copy(const struct options *options, bool acquires, uint32_t expected)
{
	struct application application = application_open(options);
	struct producer producer = producer_open();
	struct buffer shared = shared_import(&application, producer.dmabuf);
	unsigned int round;

	for (round = 0; round < 3; round++) {
		struct commands commands = copy_commands(&application, &shared, acquires, false);
		struct held_fence hold = fence_hold();
		struct job job;

		check_ok(gpu_fill(&producer.gpu, producer.bo.va, SIZE, OLD, 1));
		job = producer_fill(&producer, &hold, WORK_MS, NEW, WRITE);
		if (expected == NEW)
			fence_release(&hold);
		commands_run(&commands);
		if (expected == OLD)
			fence_release(&hold);
		buffer_check(&application.copy, expected, 1);
		check_ok(job_wait(&job));
		job_free(&job);
	}
	buffer_free(&shared);
	application_close(&application);
	producer_close(&producer);
}

static void acquire_waits_for_a_writer(void)
{
	check_copy(&(struct options){0}, true, NEW);
}

/* That the test can fail. */
static void without_implicit_sync_data_is_old(void)
{
	check_copy(&(struct options){.implicit_sync = "off"}, true, OLD);
}

static void without_a_transfer_data_is_old(void)
{
	check_copy(&(struct options){0}, false, OLD);
}

static void every_submission_acquires(void)
{
	check_copy(&(struct options){.implicit_sync = "every_submit"}, false, NEW);
}

static void acquire_with_validation_below(void)
{
	check_copy(&(struct options){.validation_below = true}, true, NEW);
}

static void virtual_acquire_waits_for_a_writer(void)
{
	check_copy(&(struct options){.mode = "auto"}, true, NEW);
}

static void virtual_without_implicit_sync_data_is_old(void)
{
	check_copy(&(struct options){.mode = "auto", .implicit_sync = "off"}, true, OLD);
}

/* The driver waits, not the thread that submits. */
static void acquire_does_not_block_the_submission(void)
{
	struct application application = application_open(&(struct options){0});
	struct producer producer = producer_open();
	struct buffer shared = shared_import(&application, producer.dmabuf);
	struct commands commands = copy_commands(&application, &shared, true, false);
	struct held_fence hold = fence_hold();
	struct job job = producer_fill(&producer, &hold, WORK_MS, NEW, WRITE);

	check_vk(commands_submit(&commands));
	check(!job_done(&job), "vkQueueSubmit has waited for the other's work");
	fence_release(&hold);
	check_vk(commands_wait(&commands));
	check(job_done(&job), "the application's commands haven't waited for the other's work");
	check_ok(job_wait(&job));
	buffer_check(&application.copy, NEW, 1);
	job_free(&job);
	buffer_free(&shared);
	application_close(&application);
	producer_close(&producer);
}

/* ---- Release ---- */

/* The application works for a while, then reads; the engine writes meanwhile, and has to wait. */
static void check_release(const struct options *options)
{
	struct application application = application_open(options);
	struct producer producer = producer_open();
	struct buffer shared = shared_import(&application, producer.dmabuf);
	struct commands commands = commands_begin(application.device);
	const VkBufferCopy all = {.size = SIZE};
	struct job job;

	busy_commands(&commands, &application);
	commands_acquire_buffer(&commands, &shared);
	commands_barrier(&commands);
	vkCmdCopyBuffer(commands.handle, shared.handle, application.copy.handle, 1, &all);
	commands_release_buffer(&commands, &shared);
	check_vk(commands_submit(&commands));
	job = producer_fill(&producer, NULL, 0, NEW, WRITE);
	check_ok(job_wait(&job));
	check_vk(commands_wait(&commands));
	buffer_check(&application.copy, OLD, 1);
	buffer_check(&shared, NEW, 1);
	job_free(&job);
	buffer_free(&shared);
	application_close(&application);
	producer_close(&producer);
}

static void writer_waits_for_a_release(void)
{
	check_release(&(struct options){0});
}

/* That the test can fail: the application reads only when the engine is through, which doesn't wait. */
static void without_implicit_sync_it_does_not(void)
{
	struct application application =
		application_open(&(struct options){.implicit_sync = "off"});
	struct producer producer = producer_open();
	struct buffer shared = shared_import(&application, producer.dmabuf);
	struct commands commands = copy_commands(&application, &shared, true, true);
	VkDevice device = application.device->handle;
	VkSemaphore written = timeline_new(device);
	struct job job;

	submit_behind(&application, &commands, written);
	job = producer_fill(&producer, NULL, 0, NEW, WRITE);
	check_ok(job_wait(&job));
	timeline_signal(device, written, 1);
	check_vk(commands_wait(&commands));
	buffer_check(&application.copy, NEW, 1);
	job_free(&job);
	vkDestroySemaphore(device, written, NULL);
	buffer_free(&shared);
	application_close(&application);
	producer_close(&producer);
}

static void release_with_validation_below(void)
{
	check_release(&(struct options){.validation_below = true});
}

static void virtual_writer_waits_for_a_release(void)
{
	check_release(&(struct options){.mode = "auto"});
}

/* ---- Other producers ---- */

/* A dma-buf of vgem, written by the CPU while vgem's own fence is attached to it. */
struct vgem_writer {
	int fd, dmabuf;
	uint32_t handle, fence;
	uint32_t *words;
};

static void *write_then_signal(void *argument)
{
	struct vgem_writer *writer = argument;
	struct drm_vgem_fence_signal signal = {.fence = writer->fence};

	sleep_ms(WORK_MS);
	fill_words(writer->words, SIZE, NEW, 1);
	check_sys(drmIoctl(writer->fd, DRM_IOCTL_VGEM_FENCE_SIGNAL, &signal));
	return NULL;
}

static struct vgem_writer vgem_writer_open(void)
{
	struct drm_mode_create_dumb create = {.width = SIZE / 4, .height = 1, .bpp = 32};
	struct drm_vgem_fence_attach attach = {.flags = VGEM_FENCE_WRITE};
	struct vgem_writer writer = {.fd = vgem_open(false)};
	int primary = vgem_open(true);

	check_sys(drmIoctl(primary, DRM_IOCTL_MODE_CREATE_DUMB, &create));
	check_ok(
		drmPrimeHandleToFD(primary, create.handle, DRM_CLOEXEC | DRM_RDWR, &writer.dmabuf));
	close(primary);
	writer.words = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, writer.dmabuf, 0);
	check(writer.words != MAP_FAILED, "a dma-buf of vgem can't be mapped: %m");
	fill_words(writer.words, SIZE, OLD, 1);
	check_ok(drmPrimeFDToHandle(writer.fd, writer.dmabuf, &writer.handle));
	attach.handle = writer.handle;
	check_sys(drmIoctl(writer.fd, DRM_IOCTL_VGEM_FENCE_ATTACH, &attach));
	writer.fence = attach.out_fence;
	return writer;
}

static void vgem_writes(void)
{
	struct application application = application_open(&(struct options){0});
	struct vgem_writer writer = vgem_writer_open();
	struct buffer shared = shared_import(&application, writer.dmabuf);
	struct commands commands = copy_commands(&application, &shared, true, true);
	pthread_t thread = test_thread(write_then_signal, &writer);

	commands_run(&commands);
	buffer_check(&application.copy, NEW, 1);
	test_thread_join(thread);
	buffer_free(&shared);
	application_close(&application);
}

struct held_writer {
	uint32_t *words;
	void (*signal)(void *data);
	void *data;
};

static void *write_then_release(void *argument)
{
	struct held_writer *writer = argument;

	sleep_ms(WORK_MS);
	fill_words(writer->words, SIZE, NEW, 1);
	writer->signal(writer->data);
	return NULL;
}

/* Somebody writes under a fence that isn't the dma-buf's exporter's. */
static void check_foreign_fence(int sync_file, void (*signal)(void *data), void *data)
{
	struct application application = application_open(&(struct options){0});
	struct held_writer writer = {.signal = signal, .data = data};
	int dmabuf = udmabuf_new(SIZE, &writer.words);
	struct buffer shared = shared_import(&application, dmabuf);
	struct commands commands = copy_commands(&application, &shared, true, true);
	pthread_t thread;

	check_ok(drover_dmabuf_import_sync_file(dmabuf, WRITE, sync_file));
	thread = test_thread(write_then_release, &writer);
	commands_run(&commands);
	buffer_check(&application.copy, NEW, 1);
	test_thread_join(thread);
	buffer_free(&shared);
	application_close(&application);
	close(dmabuf);
}

static void release_vgem_fence(void *fence)
{
	fence_release(fence);
}

static void fence_of_vgem_on_udmabuf(void)
{
	struct held_fence fence = fence_hold();

	check_foreign_fence(fence.sync_file, release_vgem_fence, &fence);
}

/* The kernel's interface, which has no header for userspace. */
struct sw_sync_create_fence {
	uint32_t value;
	char name[32];
	int32_t fence;
};

#define SW_SYNC_IOC_CREATE_FENCE _IOWR('W', 0, struct sw_sync_create_fence)
#define SW_SYNC_IOC_INC          _IOW('W', 1, uint32_t)

static void advance_sw_sync(void *timeline)
{
	uint32_t one = 1;

	check_sys(ioctl(*(int *)timeline, SW_SYNC_IOC_INC, &one));
}

static void fence_of_sw_sync_on_udmabuf(void)
{
	int timeline = open("/sys/kernel/debug/sync/sw_sync", O_RDWR | O_CLOEXEC);
	struct sw_sync_create_fence create = {.value = 1, .name = "drover"};

	if (timeline < 0)
		test_skip("this kernel has no sw_sync");
	check_sys(ioctl(timeline, SW_SYNC_IOC_CREATE_FENCE, &create));
	check_foreign_fence(create.fence, advance_sw_sync, &timeline);
}

/* A reader is waited for by who writes only. */
static void readers_do_not_wait_for_readers(void)
{
	struct application application = application_open(&(struct options){0});
	struct held_fence fence = fence_hold();
	uint32_t *words;
	int dmabuf = udmabuf_new(SIZE, &words);
	struct buffer shared = shared_import(&application, dmabuf);
	struct commands commands = commands_begin(application.device);
	const VkBufferMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
		.dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_FOREIGN_EXT,
		.dstQueueFamilyIndex = application.device->family,
		.buffer = shared.handle,
		.size = VK_WHOLE_SIZE,
	};

	vkCmdPipelineBarrier(commands.handle, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
			     VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 1, &barrier, 0, NULL);
	check_ok(drover_dmabuf_import_sync_file(dmabuf, READ, fence.sync_file));
	commands_run(&commands);
	check(!dmabuf_idle(dmabuf, WRITE), "the fence has signalled meanwhile");
	fence_release(&fence);
	buffer_free(&shared);
	application_close(&application);
	close(dmabuf);
}

/* ---- Nobody waits for ever ---- */

/* A release that waits for a value which the same thread signals only afterwards. */
static void release_behind_a_wait_for_later(void)
{
	struct application application = application_open(&(struct options){0});
	struct producer producer = producer_open();
	struct buffer shared = shared_import(&application, producer.dmabuf);
	struct commands commands = copy_commands(&application, &shared, true, true);
	VkDevice device = application.device->handle;
	VkSemaphore timeline = timeline_new(device);

	submit_behind(&application, &commands, timeline);
	timeline_signal(device, timeline, 1);
	check_vk(commands_wait(&commands));
	buffer_check(&application.copy, OLD, 1);
	vkDestroySemaphore(device, timeline, NULL);
	buffer_free(&shared);
	application_close(&application);
	producer_close(&producer);
}

struct foreign_user {
	struct producer *producer;
	VkDevice device;
	VkSemaphore released, written;
};

/* Who has been told that the application is done: writes, and tells it. */
static void *use_after_release(void *argument)
{
	struct foreign_user *user = argument;
	struct job job;

	timeline_wait(user->device, user->released, 1);
	job = producer_fill(user->producer, NULL, 50, NEW, WRITE);
	check_ok(job_wait(&job));
	job_free(&job);
	timeline_signal(user->device, user->written, 1);
	return NULL;
}

/* Both in one call: released in the first batch, and the second waits for who uses it then. */
static void release_then_wait_for_the_user(void)
{
	struct application application = application_open(&(struct options){0});
	struct producer producer = producer_open();
	struct buffer shared = shared_import(&application, producer.dmabuf);
	struct commands first = copy_commands(&application, &shared, true, true);
	struct commands second = copy_commands(&application, &shared, true, true);
	VkDevice device = application.device->handle;
	struct foreign_user user = {&producer, device, timeline_new(device), timeline_new(device)};
	const uint64_t one = 1;
	const VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &one,
		.signalSemaphoreValueCount = 1,
		.pSignalSemaphoreValues = &one,
	};
	const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	const VkSubmitInfo infos[] = {
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.pNext = &values,
			.commandBufferCount = 1,
			.pCommandBuffers = &first.handle,
			.signalSemaphoreCount = 1,
			.pSignalSemaphores = &user.released,
		},
		{
			.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
			.pNext = &values,
			.waitSemaphoreCount = 1,
			.pWaitSemaphores = &user.written,
			.pWaitDstStageMask = &stage,
			.commandBufferCount = 1,
			.pCommandBuffers = &second.handle,
		},
	};
	pthread_t thread = test_thread(use_after_release, &user);

	check_vk(vkEndCommandBuffer(first.handle));
	check_vk(vkEndCommandBuffer(second.handle));
	check_vk(vkQueueSubmit(application.device->queue, 2, infos, second.done));
	check_vk(commands_wait(&second));
	buffer_check(&application.copy, NEW, 1);
	test_thread_join(thread);
	check_vk(vkQueueWaitIdle(application.device->queue));
	vkDestroySemaphore(device, user.released, NULL);
	vkDestroySemaphore(device, user.written, NULL);
	vkDestroyFence(device, first.done, NULL);
	vkDestroyDescriptorPool(device, first.sets, NULL);
	buffer_free(&shared);
	application_close(&application);
	producer_close(&producer);
}

static void *release_often(void *dmabuf)
{
	struct application application = application_open(&(struct options){0});
	struct buffer shared = shared_import(&application, *(int *)dmabuf);
	unsigned int i;

	for (i = 0; i < 100; i++) {
		struct commands commands = copy_commands(&application, &shared, true, true);

		commands_run(&commands);
	}
	buffer_check(&application.copy, OLD, 1);
	buffer_free(&shared);
	application_close(&application);
	return NULL;
}

/* lavapipe crashes if two devices export at once. */
static void two_devices_release_at_once(void)
{
	struct producer producer = producer_open();
	pthread_t threads[2];
	unsigned int i;

	for (i = 0; i < 2; i++)
		threads[i] = test_thread(release_often, &producer.dmabuf);
	for (i = 0; i < 2; i++)
		test_thread_join(threads[i]);
	producer_close(&producer);
}

/* ---- What validation says, and that it does ---- */

static void validation_looks_at_synchronization(void)
{
	struct application application = application_open(&(struct options){0});
	struct producer producer = producer_open();
	struct buffer shared = shared_import(&application, producer.dmabuf);
	struct commands commands = commands_begin(application.device);
	const VkBufferCopy all = {.size = SIZE};

	/* two writes without a barrier between them: a message, which the harness takes for a failure */
	application.device->instance->messages_expected = true;
	vkCmdCopyBuffer(commands.handle, shared.handle, application.copy.handle, 1, &all);
	vkCmdCopyBuffer(commands.handle, shared.handle, application.copy.handle, 1, &all);
	check_vk(vkEndCommandBuffer(commands.handle));
	check(application.device->instance->num_messages,
	      "synchronization validation is off: the other tests' silence means nothing");
	check_vk(vkResetCommandPool(application.device->handle, application.device->pool, 0));
	vkDestroyFence(application.device->handle, commands.done, NULL);
	vkDestroyDescriptorPool(application.device->handle, commands.sets, NULL);
	buffer_free(&shared);
	application_close(&application);
	producer_close(&producer);
}

/* ---- Telemetry ---- */

/* An application that never destroys its device. */
static void traced_application(const struct options *options)
{
	struct application application = application_open(options);
	struct producer producer = producer_open();
	struct buffer shared = shared_import(&application, producer.dmabuf);
	struct commands commands = copy_commands(&application, &shared, true, true);
	struct job job = producer_fill(&producer, NULL, WORK_MS, NEW, WRITE);

	commands_run(&commands);
	job_free(&job);
	/* a sample behind it all, and the last moment is written at the exit */
	buffer_check(&application.copy, NEW, 1);
	exit(EXIT_SUCCESS);
}

static void check_trace(const char *mode, const char *expected)
{
	static const char script[] =
		"python3 - %s '%s' <<'END'\n"
		"import json, sys\n"
		"events = json.load(open(sys.argv[1]))['traceEvents']\n"
		"for event in events:\n"
		"    assert event['pid'] and event['tid'], event\n"
		"    assert event['ph'] == 'M' or event['ts'] > 0, event\n"
		"names = {e['ph'] + ':' + e['name'] for e in events}\n"
		"missing = set(sys.argv[2].split(',')) - names\n"
		"assert not missing, (missing, names)\n"
		"begins = [e for e in events if e['ph'] == 'b' and e['name'].startswith('acq')]\n"
		"ends = {e['id']: e for e in events if e['ph'] == 'e' and e['name'].startswith('acq')}\n"
		"for begin in begins:\n"
		"    assert ends[begin['id']]['ts'] - begin['ts'] > 5000, (begin, ends)\n"
		"END\n";
	char path[] = "/tmp/sync-trace.XXXXXX", command[sizeof(script) + 512];
	int fd = check_sys(mkstemp(path));
	pid_t child = test_fork();

	if (!child)
		traced_application(&(struct options){.mode = mode, .trace_file = path});
	test_join(child);
	snprintf(command, sizeof(command), script, path, expected);
	check(!system(command), "the trace isn't as it should be, see above");
	close(fd);
	unlink(path);
}

static void trace_of_an_application_that_exits(void)
{
	check_trace("native", "X:vkQueueSubmit,X:vkWaitForFences,X:wait for a release,"
			      "b:acquired: still in use by others,"
			      "e:acquired: still in use by others");
}

static void virtual_trace_has_the_moves(void)
{
	check_trace("auto", "X:vkQueueSubmit,C:moves,C:bytes,b:acquired: still in use by others");
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(acquire_waits_for_a_writer),
		TEST(without_implicit_sync_data_is_old),
		TEST(without_a_transfer_data_is_old),
		TEST(every_submission_acquires),
		TEST(acquire_with_validation_below),
		TEST(virtual_acquire_waits_for_a_writer),
		TEST(virtual_without_implicit_sync_data_is_old),
		TEST(acquire_does_not_block_the_submission),
		TEST(writer_waits_for_a_release),
		TEST(without_implicit_sync_it_does_not),
		TEST(release_with_validation_below),
		TEST(virtual_writer_waits_for_a_release),
		TEST(vgem_writes),
		TEST(fence_of_vgem_on_udmabuf),
		TEST(fence_of_sw_sync_on_udmabuf),
		TEST(readers_do_not_wait_for_readers),
		TEST(release_behind_a_wait_for_later),
		TEST(release_then_wait_for_the_user),
		TEST(two_devices_release_at_once),
		TEST(validation_looks_at_synchronization),
		TEST(trace_of_an_application_that_exits),
		TEST(virtual_trace_has_the_moves),
	};

	return sync_main("sync-guest", tests, ARRAY_SIZE(tests), argc, argv);
}
