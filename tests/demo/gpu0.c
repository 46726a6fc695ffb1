// SPDX-License-Identifier: MIT
/*
 * GPU 0: renders frames into exported images, and has other work to do, which together
 * need more memory than it has: nobody here evicts anything, or cares.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"

#include "scene_frag.h"
#include "screen_vert.h"
#include "work_comp.h"

#define HERD           20
#define GROUPS         64

/* what the assets hold, so that it can be checked */
#define ASSET_VALUE(i) (0x01000193u * ((i) + 1))

/* as in scene.frag */
struct herd {
	float spheres[HERD][4];
	float paint[HERD][4];
	float view[4];
};

struct asset {
	struct vk_buffer buffer;
	struct watched watched;
	VkDescriptorSet set;
};

struct gpu0 {
	struct run *run;
	struct drover_device *dev;
	struct vk vk;

	struct vk_pipeline draw;
	VkDescriptorSet draw_set;
	struct vk_buffer herd;
	struct vk_commands render;
	struct vk_image frames[NUM_FRAMES];
	struct watched watched[NUM_FRAMES];

	struct vk_pipeline work;
	struct vk_commands working;
	struct vk_buffer wrong;
	struct asset assets[NUM_ASSETS];
};

/* ---- The scene ---- */

static float fract(float x)
{
	return x - floorf(x);
}

/* A sphere's place in the herd, a sunflower's seed, and where it hops about it. */
static void place_sphere(struct herd *herd, unsigned int i, float time)
{
	static const float paints[][4] = {
		{0.93f, 0.90f, 0.84f, 0.04f}, {0.80f, 0.22f, 0.12f, 0.14f},
		{0.88f, 0.86f, 0.82f, 0.04f}, {0.10f, 0.30f, 0.52f, 0.18f},
		{0.75f, 0.76f, 0.80f, 0.72f}, {0.90f, 0.56f, 0.14f, 0.12f},
		{0.92f, 0.88f, 0.80f, 0.04f},
	};
	float f = (float)i, angle = 2.399963f * f, distance = 0.86f * sqrtf(f + 0.6f);
	float radius = 0.34f + 0.28f * fract(f * 0.618034f), hop = sinf(3.1f * time + 1.9f * f);
	float *sphere = herd->spheres[i];

	sphere[0] = 1.45f * distance * cosf(angle) + 0.20f * sinf(1.1f * time + 1.7f * f);
	sphere[1] = radius + 0.34f * radius * hop * hop;
	sphere[2] = distance * sinf(angle) - 0.4f + 0.16f * cosf(0.9f * time + 2.3f * f);
	sphere[3] = radius;
	memcpy(herd->paint[i], paints[i % (sizeof(paints) / sizeof(paints[0]))], sizeof(paints[0]));
}

static void place_herd(struct gpu0 *gpu, unsigned int n)
{
	float time = 0.11f * (float)n + 2;
	struct herd *herd = gpu->herd.ptr;

	for (unsigned int i = 0; i < HERD; i++)
		place_sphere(herd, i, time);
	herd->view[0] = WIDTH;
	herd->view[1] = HEIGHT;
	herd->view[2] = time;
	herd->view[3] = 0.9f * time;
}

static int open_scene(struct gpu0 *gpu)
{
	static const VkDescriptorType uniform = VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER;
	const struct vk_code vertex = {screen_vert, sizeof(screen_vert)};
	const struct vk_code fragment = {scene_frag, sizeof(scene_frag)};
	struct vk *vk = &gpu->vk;
	int ret;

	ret = vk_buffer_create(vk, sizeof(struct herd), true, &gpu->herd);
	if (!ret)
		ret = vk_pipeline_create(vk, &uniform, 1, &vertex, &fragment, &gpu->draw);
	if (!ret)
		ret = vk_set_create(vk, &gpu->draw, &gpu->draw_set);
	if (!ret)
		ret = vk_commands_create(vk, &gpu->render);
	if (!ret)
		vk_set_buffer(vk, gpu->draw_set, 0, uniform, &gpu->herd);
	return ret;
}

/* From nothing to what is to be drawn on. */
static void image_from_nothing(struct vk_commands *commands, const struct vk_image *image)
{
	const VkImageMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.dstAccessMask = VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT,
		.newLayout = VK_IMAGE_LAYOUT_GENERAL,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.image = image->image,
		.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1},
	};

	vkCmdPipelineBarrier(commands->buffer, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
			     VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT, 0, 0, NULL, 0, NULL, 1,
			     &barrier);
}

static void draw(struct gpu0 *gpu, const struct vk_image *image)
{
	const VkRenderingAttachmentInfo attachment = {
		.sType = VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO,
		.imageView = image->view,
		.imageLayout = VK_IMAGE_LAYOUT_GENERAL,
		.loadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE,
		.storeOp = VK_ATTACHMENT_STORE_OP_STORE,
	};
	const VkRenderingInfo rendering = {
		.sType = VK_STRUCTURE_TYPE_RENDERING_INFO,
		.renderArea = {.extent = {WIDTH, HEIGHT}},
		.layerCount = 1,
		.colorAttachmentCount = 1,
		.pColorAttachments = &attachment,
	};
	VkCommandBuffer commands = gpu->render.buffer;

	vkCmdBeginRendering(commands, &rendering);
	vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, gpu->draw.pipeline);
	vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, gpu->draw.layout, 0, 1,
				&gpu->draw_set, 0, NULL);
	vkCmdDraw(commands, 3, 1, 0, 0);
	vkCmdEndRendering(commands);
}

/* Not waited for: GPU 1 waits when it takes the image over, by the fence that the release leaves. */
static int render(struct gpu0 *gpu, unsigned int n)
{
	const struct vk_image *image = &gpu->frames[n];
	int ret = vk_commands_begin(&gpu->vk, &gpu->render);

	if (ret)
		return ret;
	place_herd(gpu, n);
	image_from_nothing(&gpu->render, image);
	draw(gpu, image);
	vk_release(&gpu->render, image, VK_PIPELINE_STAGE_COLOR_ATTACHMENT_OUTPUT_BIT,
		   VK_ACCESS_COLOR_ATTACHMENT_WRITE_BIT);
	return vk_commands_submit(&gpu->vk, &gpu->render);
}

/* ---- The other work ---- */

static int run_work(struct gpu0 *gpu, const struct asset *first, unsigned int count, bool fill)
{
	const VkMemoryBarrier seen = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_SHADER_READ_BIT,
	};
	int ret = vk_commands_begin(&gpu->vk, &gpu->working);
	VkCommandBuffer commands = gpu->working.buffer;

	if (ret)
		return ret;
	vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, gpu->work.pipeline);
	for (const struct asset *asset = first; asset < first + count; asset++) {
		const uint32_t arguments[3] = {ASSET_BYTES / 4,
					       ASSET_VALUE((uint32_t)(asset - gpu->assets)), fill};

		vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, gpu->work.layout,
					0, 1, &asset->set, 0, NULL);
		vkCmdPushConstants(commands, gpu->work.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
				   sizeof(arguments), arguments);
		vkCmdDispatch(commands, GROUPS, 1, 1);
	}
	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
			     VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0,
			     1, &seen, 0, NULL, 0, NULL);
	ret = vk_commands_submit(&gpu->vk, &gpu->working);
	return ret ? ret : vk_commands_wait(&gpu->vk, &gpu->working);
}

static int open_asset(struct gpu0 *gpu, struct asset *asset)
{
	int ret = vk_buffer_create(&gpu->vk, ASSET_BYTES, false, &asset->buffer);

	if (!ret)
		ret = watch(&asset->watched, gpu->dev, asset->buffer.fd);
	if (!ret)
		ret = vk_set_create(&gpu->vk, &gpu->work, &asset->set);
	if (ret)
		return ret;
	vk_set_buffer(&gpu->vk, asset->set, 0, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, &asset->buffer);
	vk_set_buffer(&gpu->vk, asset->set, 1, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, &gpu->wrong);
	return 0;
}

static int open_work(struct gpu0 *gpu)
{
	static const VkDescriptorType types[] = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
						 VK_DESCRIPTOR_TYPE_STORAGE_BUFFER};
	const struct vk_code code = {work_comp, sizeof(work_comp)};
	int ret;

	ret = vk_buffer_create(&gpu->vk, sizeof(uint32_t), true, &gpu->wrong);
	if (!ret)
		ret = vk_pipeline_create(&gpu->vk, types, 2, NULL, &code, &gpu->work);
	if (!ret)
		ret = vk_commands_create(&gpu->vk, &gpu->working);
	for (unsigned int i = 0; !ret && i < NUM_ASSETS; i++)
		ret = open_asset(gpu, &gpu->assets[i]);
	return ret ? ret : run_work(gpu, gpu->assets, NUM_ASSETS, true);
}

/* ---- What the run asks for ---- */

int gpu0_open(struct run *run, struct gpu0 **out)
{
	struct gpu0 *gpu = calloc(1, sizeof(*gpu));
	int ret;

	if (!gpu)
		return -ENOMEM;
	gpu->run = run;
	ret = open_gpu(0, run->mode, &gpu->dev);
	if (!ret)
		ret = vk_open(&gpu->vk, 0);
	if (!ret)
		ret = open_scene(gpu);
	if (!ret)
		ret = open_work(gpu);
	if (ret) {
		complain(ret, "GPU 0 can't be prepared");
		gpu0_close(gpu);
		return ret;
	}
	*out = gpu;
	return 0;
}

static int try_frame(struct gpu0 *gpu, unsigned int n, int *dmabuf, VkSubresourceLayout *layout)
{
	int ret = vk_image_create(&gpu->vk, &gpu->frames[n], dmabuf);

	if (!ret)
		ret = watch(&gpu->watched[n], gpu->dev, *dmabuf);
	if (!ret)
		ret = render(gpu, n);
	*layout = gpu->frames[n].layout;
	return ret;
}

int gpu0_frame(struct gpu0 *gpu, unsigned int n, int *dmabuf, VkSubresourceLayout *layout)
{
	struct frame *frame = &gpu->run->frames[n];
	int ret;

	*dmabuf = -1;
	ret = run_work(gpu, &gpu->assets[n % NUM_GROUPS * GROUP_BUFFERS], GROUP_BUFFERS, false);
	if (!ret)
		ret = try_frame(gpu, n, dmabuf, layout);
	if (!is_allocation_failure(ret))
		return ret;
	frame->stage = STAGE_RENDER;
	frame->error = ret;
	return 0;
}

int gpu0_sample(struct gpu0 *gpu, unsigned int sample)
{
	struct cell *cells = gpu->run->cells[sample];
	int ret = 0;

	for (unsigned int n = 0; !ret && n < NUM_FRAMES; n++)
		ret = watch_look(&gpu->watched[n], &cells[OBJECT_FRAME(n)]);
	for (unsigned int i = 0; !ret && i < NUM_ASSETS; i++)
		ret = watch_look(&gpu->assets[i].watched, &cells[OBJECT_ASSET(i)]);
	return ret;
}

int gpu0_info(struct gpu0 *gpu, struct drm_drover_device_info *info)
{
	return drover_device_info(gpu->dev, info);
}

int gpu0_finish(struct gpu0 *gpu)
{
	struct gpu_totals *totals = &gpu->run->gpu[0];
	int ret = vk_commands_wait(&gpu->vk, &gpu->render);

	/* every byte of the assets, after all that moving */
	if (!ret)
		ret = run_work(gpu, gpu->assets, NUM_ASSETS, false);
	if (ret)
		return ret;
	totals->damaged = *(uint32_t *)gpu->wrong.ptr;
	for (unsigned int n = 0; n < NUM_FRAMES; n++)
		totals_add_bo(totals, &gpu->watched[n]);
	for (unsigned int i = 0; i < NUM_ASSETS; i++)
		totals_add_bo(totals, &gpu->assets[i].watched);
	return totals_add_device(totals, gpu->dev);
}

void gpu0_close(struct gpu0 *gpu)
{
	struct vk *vk = &gpu->vk;

	if (vk->device)
		vkDeviceWaitIdle(vk->device);
	for (unsigned int i = 0; i < NUM_ASSETS; i++) {
		drover_bo_unref(gpu->assets[i].watched.bo);
		vk_buffer_destroy(vk, &gpu->assets[i].buffer);
	}
	for (unsigned int n = 0; n < NUM_FRAMES; n++) {
		drover_bo_unref(gpu->watched[n].bo);
		vk_image_destroy(vk, &gpu->frames[n]);
	}
	vk_buffer_destroy(vk, &gpu->wrong);
	vk_buffer_destroy(vk, &gpu->herd);
	vk_commands_destroy(vk, &gpu->working);
	vk_commands_destroy(vk, &gpu->render);
	vk_pipeline_destroy(vk, &gpu->work);
	vk_pipeline_destroy(vk, &gpu->draw);
	vk_close(vk);
	drover_device_close(gpu->dev);
	free(gpu);
}
