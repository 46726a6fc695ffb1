// SPDX-License-Identifier: MIT
/* Command buffers that run shaders over buffers and images, and what they find; see harness.h. */
#include "harness.h"

#define MAX_SETS   256
#define GROUPS     64
#define IMAGE_TILE 8

struct commands commands_begin(const struct device *device)
{
	const VkDescriptorPoolSize sizes[] = {
		{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 3 * MAX_SETS},
		{VK_DESCRIPTOR_TYPE_STORAGE_IMAGE, MAX_SETS},
	};
	const VkDescriptorPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
		.maxSets = MAX_SETS,
		.poolSizeCount = ARRAY_SIZE(sizes),
		.pPoolSizes = sizes,
	};
	const VkCommandBufferAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = device->pool,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	const VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};
	const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	struct commands commands = {.device = device};

	check_vk(vkCreateDescriptorPool(device->handle, &pool, NULL, &commands.sets));
	check_vk(vkAllocateCommandBuffers(device->handle, &allocate, &commands.handle));
	check_vk(vkCreateFence(device->handle, &fence, NULL, &commands.done));
	check_vk(vkBeginCommandBuffer(commands.handle, &begin));
	return commands;
}

static void write_buffers(const struct device *device, VkDescriptorSet set,
			  const struct buffer *const *buffers, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		const VkDescriptorBufferInfo info = {
			.buffer = buffers[i] ? buffers[i]->handle : VK_NULL_HANDLE,
			.range = VK_WHOLE_SIZE,
		};
		const VkWriteDescriptorSet write = {
			.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
			.dstSet = set,
			.dstBinding = i,
			.descriptorCount = 1,
			.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
			.pBufferInfo = &info,
		};

		if (buffers[i])
			vkUpdateDescriptorSets(device->handle, 1, &write, 0, NULL);
	}
}

static void write_image(const struct device *device, VkDescriptorSet set, const struct image *image)
{
	const VkDescriptorImageInfo info = {
		.imageView = image->view,
		.imageLayout = VK_IMAGE_LAYOUT_GENERAL,
	};
	const VkWriteDescriptorSet write = {
		.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
		.dstSet = set,
		.dstBinding = 3,
		.descriptorCount = 1,
		.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_IMAGE,
		.pImageInfo = &info,
	};

	vkUpdateDescriptorSets(device->handle, 1, &write, 0, NULL);
}

void commands_dispatch(struct commands *commands, enum shader shader,
		       const struct buffer *const *buffers, unsigned int num_buffers,
		       const struct image *image, const uint32_t arguments[3])
{
	const struct device *device = commands->device;
	const VkDescriptorSetAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
		.descriptorPool = commands->sets,
		.descriptorSetCount = 1,
		.pSetLayouts = &device->set_layout,
	};
	VkDescriptorSet set;

	check_vk(vkAllocateDescriptorSets(device->handle, &allocate, &set));
	write_buffers(device, set, buffers, num_buffers);
	if (image)
		write_image(device, set, image);
	commands_barrier(commands);
	vkCmdBindPipeline(commands->handle, VK_PIPELINE_BIND_POINT_COMPUTE,
			  device->pipelines[shader]);
	vkCmdBindDescriptorSets(commands->handle, VK_PIPELINE_BIND_POINT_COMPUTE,
				device->pipeline_layout, 0, 1, &set, 0, NULL);
	vkCmdPushConstants(commands->handle, device->pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT,
			   0, 3 * sizeof(*arguments), arguments);
	if (image)
		vkCmdDispatch(commands->handle, (image->width + IMAGE_TILE - 1) / IMAGE_TILE,
			      (image->height + IMAGE_TILE - 1) / IMAGE_TILE, 1);
	else
		vkCmdDispatch(commands->handle, GROUPS, 1, 1);
}

void commands_barrier(struct commands *commands)
{
	const VkMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT |
				 VK_ACCESS_HOST_READ_BIT,
	};

	vkCmdPipelineBarrier(commands->handle, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
			     VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
			     &barrier, 0, NULL, 0, NULL);
}

/* ---- Ownership ---- */

static void transfer_buffer(struct commands *commands, const struct buffer *buffer, uint32_t from,
			    uint32_t to)
{
	const VkBufferMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
		.srcAccessMask = to == VK_QUEUE_FAMILY_FOREIGN_EXT ? VK_ACCESS_MEMORY_WRITE_BIT : 0,
		.dstAccessMask = from == VK_QUEUE_FAMILY_FOREIGN_EXT
					 ? VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT
					 : 0,
		.srcQueueFamilyIndex = from,
		.dstQueueFamilyIndex = to,
		.buffer = buffer->handle,
		.size = VK_WHOLE_SIZE,
	};

	vkCmdPipelineBarrier(commands->handle, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
			     VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 1, &barrier, 0, NULL);
}

void commands_acquire_buffer(struct commands *commands, const struct buffer *buffer)
{
	transfer_buffer(commands, buffer, VK_QUEUE_FAMILY_FOREIGN_EXT, commands->device->family);
}

void commands_release_buffer(struct commands *commands, const struct buffer *buffer)
{
	transfer_buffer(commands, buffer, commands->device->family, VK_QUEUE_FAMILY_FOREIGN_EXT);
}

static void transfer_image(struct commands *commands, const struct image *image, uint32_t from,
			   uint32_t to)
{
	const VkImageMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcAccessMask = to == VK_QUEUE_FAMILY_FOREIGN_EXT ? VK_ACCESS_MEMORY_WRITE_BIT : 0,
		.dstAccessMask = from == VK_QUEUE_FAMILY_FOREIGN_EXT
					 ? VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT
					 : 0,
		.oldLayout = VK_IMAGE_LAYOUT_GENERAL,
		.newLayout = VK_IMAGE_LAYOUT_GENERAL,
		.srcQueueFamilyIndex = from,
		.dstQueueFamilyIndex = to,
		.image = image->handle,
		.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1},
	};

	vkCmdPipelineBarrier(commands->handle, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
			     VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
}

void commands_acquire_image(struct commands *commands, const struct image *image)
{
	transfer_image(commands, image, VK_QUEUE_FAMILY_FOREIGN_EXT, commands->device->family);
}

void commands_release_image(struct commands *commands, const struct image *image)
{
	transfer_image(commands, image, commands->device->family, VK_QUEUE_FAMILY_FOREIGN_EXT);
}

/* ---- Submission ---- */

VkResult commands_submit(struct commands *commands)
{
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands->handle,
	};

	commands_barrier(commands);
	check_vk(vkEndCommandBuffer(commands->handle));
	return vkQueueSubmit(commands->device->queue, 1, &info, commands->done);
}

VkResult commands_wait(struct commands *commands)
{
	const struct device *device = commands->device;
	VkResult result = vkWaitForFences(device->handle, 1, &commands->done, VK_TRUE, WAIT_NS);

	check(result != VK_TIMEOUT, "a submission isn't done after %lld s", WAIT_NS / SECOND_NS);
	vkDestroyFence(device->handle, commands->done, NULL);
	vkFreeCommandBuffers(device->handle, device->pool, 1, &commands->handle);
	vkDestroyDescriptorPool(device->handle, commands->sets, NULL);
	return result;
}

void commands_run(struct commands *commands)
{
	check_vk(commands_submit(commands));
	check_vk(commands_wait(commands));
}

/* ---- Contents ---- */

/* What the checking shaders write. */
struct result {
	uint32_t wrong;
	uint32_t first;
	uint32_t looked_at;
};

static struct buffer result_new(const struct device *device)
{
	struct buffer buffer = buffer_new(device, sizeof(struct result), gtt_type(device), 0);
	struct result *result = (struct result *)buffer_map(&buffer);

	*result = (struct result){.first = UINT32_MAX};
	return buffer;
}

static struct result result_read(struct buffer *buffer, uint64_t expected)
{
	const struct device *device = buffer->device;
	struct result result;

	vkUnmapMemory(device->handle, buffer->memory);
	result = *(struct result *)buffer_map(buffer);
	check(result.looked_at == expected, "a shader looked at %u elements, expected %llu",
	      result.looked_at, (unsigned long long)expected);
	buffer_free(buffer);
	return result;
}

void buffer_fill(const struct buffer *buffer, uint32_t value, uint32_t step)
{
	const uint32_t arguments[3] = {buffer->size / sizeof(uint32_t), value, step};
	struct commands commands = commands_begin(buffer->device);

	commands_dispatch(&commands, SHADER_FILL, &buffer, 1, NULL, arguments);
	commands_run(&commands);
}

static struct result look(const struct buffer *buffer, uint32_t value, uint32_t step)
{
	const uint32_t arguments[3] = {buffer->size / sizeof(uint32_t), value, step};
	struct commands commands = commands_begin(buffer->device);
	struct buffer result = result_new(buffer->device);
	const struct buffer *buffers[] = {buffer, &result};

	commands_dispatch(&commands, SHADER_CHECK, buffers, 2, NULL, arguments);
	commands_run(&commands);
	return result_read(&result, arguments[0]);
}

uint32_t buffer_wrong(const struct buffer *buffer, uint32_t value, uint32_t step)
{
	return look(buffer, value, step).wrong;
}

void test_buffer_check(const char *file, int line, const char *what, const struct buffer *buffer,
		       uint32_t value, uint32_t step)
{
	struct result result = look(buffer, value, step);

	if (result.wrong)
		test_fail(file, line,
			  "%s: %u of %llu words aren't what was written, the first is number %u",
			  what, result.wrong, (unsigned long long)buffer->size / 4, result.first);
}

void image_fill(const struct image *image, uint32_t seed)
{
	const uint32_t arguments[3] = {image->width, image->height, seed};
	struct commands commands = commands_begin(image->device);

	commands_dispatch(&commands, SHADER_IMAGE_FILL, NULL, 0, image, arguments);
	commands_run(&commands);
}

void test_image_check(const char *file, int line, const char *what, const struct image *image,
		      uint32_t seed)
{
	const uint32_t arguments[3] = {image->width, image->height, seed};
	struct commands commands = commands_begin(image->device);
	struct buffer buffer = result_new(image->device);
	const struct buffer *buffers[] = {NULL, &buffer};
	struct result result;

	commands_dispatch(&commands, SHADER_IMAGE_CHECK, buffers, 2, image, arguments);
	commands_run(&commands);
	result = result_read(&buffer, (uint64_t)image->width * image->height);
	if (result.wrong)
		test_fail(file, line,
			  "%s: %u of %u pixels aren't what was written, the first is (%u, %u)",
			  what, result.wrong, image->width * image->height,
			  result.first % image->width, result.first / image->width);
}
