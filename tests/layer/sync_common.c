// SPDX-License-Identifier: MIT
/* See sync_guest.h. */
#include "sync_guest.h"

#include <stdlib.h>
#include <unistd.h>

#define LAYER      "VK_LAYER_DROVER_working_set"
#define VALIDATION "VK_LAYER_KHRONOS_validation"

int sync_main(const char *suite, const struct test *tests, size_t count, int argc, char **argv)
{
	/* The harness's layers and physical devices are for virtual mode; ours are set by each test. */
	setenv("DROVER_TEST_PLAIN", "1", 1);
	setenv("VK_KHRONOS_VALIDATION_VALIDATE_SYNC", "true", 1);
	return vulkan_main(suite, tests, count, argc, argv);
}

static void set_or_not(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

struct application application_open(const struct options *options)
{
	bool is_virtual = options->mode && strcmp(options->mode, "native") != 0;
	struct application application;

	setenv("DROVER_TEST_PLAIN", is_virtual ? "0" : "1", 1);
	set_or_not("VK_DROVER_WORKING_SET_MODE", options->mode ? options->mode : "native");
	set_or_not("VK_DROVER_WORKING_SET_IMPLICIT_SYNC", options->implicit_sync);
	set_or_not("VK_DROVER_WORKING_SET_TRACE_FILE", options->trace_file);
	setenv("VK_INSTANCE_LAYERS",
	       options->validation_below ? LAYER ":" VALIDATION : VALIDATION ":" LAYER, 1);
	application.device = vulkan_device_open(NULL, 0);
	application.copy = buffer_new(application.device, SIZE, gtt_type(application.device), 0);
	/* the first of everything takes longest */
	buffer_fill(&application.copy, 0, 0);
	return application;
}

void application_close(struct application *application)
{
	buffer_free(&application->copy);
	vulkan_device_close(application->device);
}

struct buffer shared_import(const struct application *application, int dmabuf)
{
	struct buffer shared;

	check_vk(buffer_import(application->device, SIZE, gtt_type(application->device),
			       VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
			       check_sys(dup(dmabuf)), &shared));
	return shared;
}

struct commands copy_commands(const struct application *application, const struct buffer *shared,
			      bool acquires, bool releases)
{
	struct commands commands = commands_begin(application->device);
	const VkBufferCopy all = {.size = SIZE};

	if (acquires)
		commands_acquire_buffer(&commands, shared);
	commands_barrier(&commands);
	vkCmdCopyBuffer(commands.handle, shared->handle, application->copy.handle, 1, &all);
	if (releases)
		commands_release_buffer(&commands, shared);
	return commands;
}

void busy_commands(struct commands *commands, const struct application *application)
{
	const struct buffer *buffer = &application->copy;
	const uint32_t arguments[3] = {SIZE / sizeof(uint32_t), 0, 0};
	unsigned int i;

	for (i = 0; i < 200; i++)
		commands_dispatch(commands, SHADER_FILL, &buffer, 1, NULL, arguments);
}

struct producer producer_open(void)
{
	struct producer producer = {.gpu = gpu_open(0)};

	producer.bo = gpu_bo(&producer.gpu, SIZE, VRAM | GTT);
	check_ok(gpu_fill(&producer.gpu, producer.bo.va, SIZE, OLD, 1));
	producer.dmabuf = bo_export(producer.bo.bo);
	return producer;
}

void producer_close(struct producer *producer)
{
	close(producer->dmabuf);
	drover_bo_unref(producer->bo.bo);
	gpu_close(&producer->gpu);
}

struct job producer_fill(struct producer *producer, const struct held_fence *hold,
			 unsigned int work_ms, uint32_t value, uint32_t access)
{
	struct job job = job_new(&producer->gpu);

	if (hold)
		job_wait_fence(&producer->gpu, &job, hold);
	if (work_ms)
		drover_submission_spin(job.sub, 1000 * work_ms);
	drover_submission_fill(job.sub, producer->bo.va, SIZE, value, 1);
	if (access)
		drover_submission_buffer(job.sub, producer->bo.bo, access);
	job_submit(&job);
	return job;
}

bool dmabuf_idle(int dmabuf, uint32_t access)
{
	int error = drover_dmabuf_wait(dmabuf, access, 0);

	check(!error || error == -ETIME, "drover_dmabuf_wait: %s", strerror(-error));
	return !error;
}
