// SPDX-License-Identifier: MIT
/*
 * GPU 1: imports every frame, keeps all imports, filters each frame together with two older
 * ones, and keeps all results.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

#include "filter_comp.h"

#define TILE 8

struct result {
	struct vk_buffer buffer;
	struct watched watched;
};

struct gpu1 {
	struct run *run;
	struct drover_device *dev;
	struct vk vk;
	struct vk_pipeline filter;
	struct vk_commands commands;
	VkDescriptorSet set;
	VkSampler sampler;
	struct vk_image frames[NUM_FRAMES];
	struct result results[NUM_FRAMES];
};

static int create_sampler(struct gpu1 *gpu)
{
	const VkSamplerCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SAMPLER_CREATE_INFO,
		.magFilter = VK_FILTER_LINEAR,
		.minFilter = VK_FILTER_LINEAR,
		.addressModeU = VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE,
		.addressModeV = VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE,
		.addressModeW = VK_SAMPLER_ADDRESS_MODE_CLAMP_TO_EDGE,
	};

	return vk_error(vkCreateSampler(gpu->vk.device, &info, NULL, &gpu->sampler));
}

static int gpu1_open(struct gpu1 *gpu)
{
	static const VkDescriptorType types[] = {
		VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
		VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
		VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
		VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
	};
	const struct vk_code code = {filter_comp, sizeof(filter_comp)};
	int ret;

	ret = open_gpu(1, gpu->run->mode, &gpu->dev);
	if (!ret)
		ret = vk_open(&gpu->vk, 1);
	if (!ret)
		ret = vk_pipeline_create(&gpu->vk, types, 4, NULL, &code, &gpu->filter);
	if (!ret)
		ret = vk_set_create(&gpu->vk, &gpu->filter, &gpu->set);
	if (!ret)
		ret = vk_commands_create(&gpu->vk, &gpu->commands);
	if (!ret)
		ret = create_sampler(gpu);
	if (ret)
		complain(ret, "GPU 1 can't be prepared");
	return ret;
}

static void gpu1_close(struct gpu1 *gpu)
{
	struct vk *vk = &gpu->vk;

	if (vk->device)
		vkDeviceWaitIdle(vk->device);
	for (unsigned int n = 0; n < NUM_FRAMES; n++) {
		drover_bo_unref(gpu->results[n].watched.bo);
		vk_buffer_destroy(vk, &gpu->results[n].buffer);
		vk_image_destroy(vk, &gpu->frames[n]);
	}
	vkDestroySampler(vk->device, gpu->sampler, NULL);
	vk_commands_destroy(vk, &gpu->commands);
	vk_pipeline_destroy(vk, &gpu->filter);
	vk_close(vk);
	drover_device_close(gpu->dev);
}

/* ---- Filtering ---- */

/* Each image is taken over from GPU 0, and given back, once, however often it is used. */
static void transfer(struct gpu1 *gpu, const unsigned int sources[3], bool acquire)
{
	for (unsigned int i = 0; i < 3; i++) {
		const struct vk_image *image = &gpu->frames[sources[i]];

		if ((i > 0 && sources[i] == sources[0]) || (i > 1 && sources[i] == sources[1]))
			continue;
		if (acquire)
			vk_acquire(&gpu->commands, image, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
				   VK_ACCESS_SHADER_READ_BIT);
		else
			vk_release(&gpu->commands, image, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
				   VK_ACCESS_SHADER_READ_BIT);
	}
}

static void dispatch(struct gpu1 *gpu)
{
	const uint32_t size[2] = {WIDTH, HEIGHT};
	const VkMemoryBarrier seen = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_HOST_READ_BIT,
	};
	VkCommandBuffer commands = gpu->commands.buffer;

	vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, gpu->filter.pipeline);
	vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, gpu->filter.layout, 0, 1,
				&gpu->set, 0, NULL);
	vkCmdPushConstants(commands, gpu->filter.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
			   sizeof(size), size);
	vkCmdDispatch(commands, (WIDTH + TILE - 1) / TILE, (HEIGHT + TILE - 1) / TILE, 1);
	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
			     VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &seen, 0, NULL, 0, NULL);
}

static int filter(struct gpu1 *gpu, unsigned int n)
{
	const unsigned int sources[3] = {n, ECHO_NEAR(n), ECHO_FAR(n)};
	int ret = vk_commands_begin(&gpu->vk, &gpu->commands);

	if (ret)
		return ret;
	for (unsigned int i = 0; i < 3; i++)
		vk_set_image(&gpu->vk, gpu->set, i, gpu->sampler, &gpu->frames[sources[i]]);
	vk_set_buffer(&gpu->vk, gpu->set, 3, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
		      &gpu->results[n].buffer);
	transfer(gpu, sources, true);
	dispatch(gpu);
	transfer(gpu, sources, false);
	ret = vk_commands_submit(&gpu->vk, &gpu->commands);
	return ret ? ret : vk_commands_wait(&gpu->vk, &gpu->commands);
}

static int make_result(struct gpu1 *gpu, unsigned int n)
{
	struct result *result = &gpu->results[n];
	int ret = vk_buffer_create(&gpu->vk, FRAME_BYTES, false, &result->buffer);

	if (!ret)
		ret = watch(&result->watched, gpu->dev, result->buffer.fd);
	return ret ? ret : filter(gpu, n);
}

static int process_frame(struct gpu1 *gpu, const struct message *message, uint32_t *stage)
{
	unsigned int n = message->argument;
	int ret;

	*stage = STAGE_IMPORT;
	ret = vk_image_import(&gpu->vk, message->fd, &message->layout, &gpu->frames[n]);
	if (ret)
		return ret;
	if (!gpu->frames[ECHO_NEAR(n)].image || !gpu->frames[ECHO_FAR(n)].image) {
		*stage = STAGE_ECHO;
		return 0;
	}
	*stage = STAGE_FILTER;
	ret = make_result(gpu, n);
	if (!ret)
		*stage = STAGE_DONE;
	return ret;
}

/* ---- Requests ---- */

/* 0 also if there was no memory, which is written down */
static int serve_frame(struct gpu1 *gpu, const struct message *message)
{
	struct frame *frame;
	int ret;

	if (message->argument >= NUM_FRAMES)
		return -EINVAL;
	frame = &gpu->run->frames[message->argument];
	ret = process_frame(gpu, message, &frame->stage);
	if (ret && !is_allocation_failure(ret)) {
		complain(ret, "frame %u: %s failed", message->argument, stage_name(frame->stage));
		return ret;
	}
	frame->error = ret;
	return 0;
}

static int serve_sample(struct gpu1 *gpu, unsigned int sample)
{
	int ret = 0;

	if (sample >= NUM_SAMPLES)
		return -EINVAL;
	for (unsigned int n = 0; !ret && n < NUM_FRAMES; n++)
		ret = watch_look(&gpu->results[n].watched,
				 &gpu->run->cells[sample][OBJECT_RESULT(n)]);
	return ret ? ret : count_imports(gpu->dev, &gpu->run->imports[sample]);
}

/* through the mapping, whose address stayed the same while the memory moved */
static void read_result(struct gpu1 *gpu, unsigned int n)
{
	struct run *run = gpu->run;

	if (run->frames[n].stage != STAGE_DONE)
		return;
	run->frames[n].checksum = picture_checksum(gpu->results[n].buffer.ptr);
	memcpy(run->last_picture, gpu->results[n].buffer.ptr, FRAME_BYTES);
	run->last_frame = (int32_t)n;
}

static int serve_finish(struct gpu1 *gpu)
{
	struct gpu_totals *totals = &gpu->run->gpu[1];

	for (unsigned int n = 0; n < NUM_FRAMES; n++) {
		totals_add_bo(totals, &gpu->results[n].watched);
		read_result(gpu, n);
	}
	return totals_add_device(totals, gpu->dev);
}

static int serve(struct gpu1 *gpu, const struct message *message)
{
	switch (message->request) {
	case REQUEST_FRAME:
		return serve_frame(gpu, message);
	case REQUEST_SAMPLE:
		return serve_sample(gpu, message->argument);
	case REQUEST_FINISH:
		return serve_finish(gpu);
	}
	return -EINVAL;
}

int gpu1_serve(int socket, struct run *run)
{
	struct gpu1 *gpu = calloc(1, sizeof(*gpu));
	struct message message;
	int ret;

	if (!gpu)
		return -ENOMEM;
	gpu->run = run;
	ret = gpu1_open(gpu);
	/* whether it is ready is the first reply */
	if (!send_reply(socket, ret) && !ret) {
		while (!receive_request(socket, &message)) {
			ret = serve(gpu, &message);
			if (message.fd >= 0)
				close(message.fd);
			if (send_reply(socket, ret))
				break;
		}
	}
	gpu1_close(gpu);
	free(gpu);
	return ret;
}
