// SPDX-License-Identifier: MIT
/* Vulkan in few words: pipelines, what they are bound to, and commands; see demo.h. */
#include <string.h>

#include "demo.h"

#define MAX_BINDINGS   4
#define ARGUMENT_BYTES 64

/* ---- Pipelines ---- */

static int create_layouts(struct vk *vk, const VkDescriptorType *types, uint32_t num_types,
			  VkShaderStageFlags stage, struct vk_pipeline *pipeline)
{
	VkDescriptorSetLayoutBinding bindings[MAX_BINDINGS];
	const VkDescriptorSetLayoutCreateInfo set = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
		.bindingCount = num_types,
		.pBindings = bindings,
	};
	const VkPushConstantRange range = {stage, 0, ARGUMENT_BYTES};
	const VkPipelineLayoutCreateInfo layout = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.setLayoutCount = 1,
		.pSetLayouts = &pipeline->set_layout,
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &range,
	};
	int ret;

	for (uint32_t i = 0; i < num_types; i++)
		bindings[i] = (VkDescriptorSetLayoutBinding){i, types[i], 1, stage, NULL};
	ret = vk_error(vkCreateDescriptorSetLayout(vk->device, &set, NULL, &pipeline->set_layout));
	return ret ? ret
		   : vk_error(vkCreatePipelineLayout(vk->device, &layout, NULL, &pipeline->layout));
}

static int create_stage(struct vk *vk, VkShaderStageFlagBits stage, const struct vk_code *code,
			VkPipelineShaderStageCreateInfo *info)
{
	const VkShaderModuleCreateInfo module = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = code->bytes,
		.pCode = code->words,
	};

	*info = (VkPipelineShaderStageCreateInfo){
		.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
		.stage = stage,
		.pName = "main",
	};
	return vk_error(vkCreateShaderModule(vk->device, &module, NULL, &info->module));
}

static int create_compute(struct vk *vk, const struct vk_code *code, struct vk_pipeline *pipeline)
{
	VkComputePipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.layout = pipeline->layout,
	};
	int ret = create_stage(vk, VK_SHADER_STAGE_COMPUTE_BIT, code, &info.stage);

	if (ret)
		return ret;
	ret = vk_error(vkCreateComputePipelines(vk->device, VK_NULL_HANDLE, 1, &info, NULL,
						&pipeline->pipeline));
	vkDestroyShaderModule(vk->device, info.stage.module, NULL);
	return ret;
}

/* All the state of a pipeline that draws triangles over all of a frame. */
static int create_graphics_from(struct vk *vk, const VkPipelineShaderStageCreateInfo stages[2],
				struct vk_pipeline *pipeline)
{
	const VkFormat format = VK_FORMAT_B8G8R8A8_UNORM;
	const VkPipelineRenderingCreateInfo rendering = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_RENDERING_CREATE_INFO,
		.colorAttachmentCount = 1,
		.pColorAttachmentFormats = &format,
	};
	const VkPipelineVertexInputStateCreateInfo vertices = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO,
	};
	const VkPipelineInputAssemblyStateCreateInfo assembly = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO,
		.topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST,
	};
	const VkViewport viewport = {.width = WIDTH, .height = HEIGHT, .maxDepth = 1};
	const VkRect2D scissor = {.extent = {WIDTH, HEIGHT}};
	const VkPipelineViewportStateCreateInfo viewports = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO,
		.viewportCount = 1,
		.pViewports = &viewport,
		.scissorCount = 1,
		.pScissors = &scissor,
	};
	const VkPipelineRasterizationStateCreateInfo rasterization = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO,
		.lineWidth = 1,
	};
	const VkPipelineMultisampleStateCreateInfo samples = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO,
		.rasterizationSamples = VK_SAMPLE_COUNT_1_BIT,
	};
	const VkPipelineColorBlendAttachmentState all = {
		.colorWriteMask = VK_COLOR_COMPONENT_R_BIT | VK_COLOR_COMPONENT_G_BIT |
				  VK_COLOR_COMPONENT_B_BIT | VK_COLOR_COMPONENT_A_BIT,
	};
	const VkPipelineColorBlendStateCreateInfo blend = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO,
		.attachmentCount = 1,
		.pAttachments = &all,
	};
	const VkGraphicsPipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO,
		.pNext = &rendering,
		.stageCount = 2,
		.pStages = stages,
		.pVertexInputState = &vertices,
		.pInputAssemblyState = &assembly,
		.pViewportState = &viewports,
		.pRasterizationState = &rasterization,
		.pMultisampleState = &samples,
		.pColorBlendState = &blend,
		.layout = pipeline->layout,
	};

	return vk_error(vkCreateGraphicsPipelines(vk->device, VK_NULL_HANDLE, 1, &info, NULL,
						  &pipeline->pipeline));
}

static int create_graphics(struct vk *vk, const struct vk_code *vertex,
			   const struct vk_code *fragment, struct vk_pipeline *pipeline)
{
	VkPipelineShaderStageCreateInfo stages[2];
	int ret = create_stage(vk, VK_SHADER_STAGE_VERTEX_BIT, vertex, &stages[0]);

	if (ret)
		return ret;
	ret = create_stage(vk, VK_SHADER_STAGE_FRAGMENT_BIT, fragment, &stages[1]);
	if (!ret) {
		ret = create_graphics_from(vk, stages, pipeline);
		vkDestroyShaderModule(vk->device, stages[1].module, NULL);
	}
	vkDestroyShaderModule(vk->device, stages[0].module, NULL);
	return ret;
}

int vk_pipeline_create(struct vk *vk, const VkDescriptorType *types, uint32_t num_types,
		       const struct vk_code *vertex, const struct vk_code *code,
		       struct vk_pipeline *pipeline)
{
	int ret =
		create_layouts(vk, types, num_types,
			       vertex ? VK_SHADER_STAGE_FRAGMENT_BIT : VK_SHADER_STAGE_COMPUTE_BIT,
			       pipeline);

	if (ret)
		return ret;
	return vertex ? create_graphics(vk, vertex, code, pipeline)
		      : create_compute(vk, code, pipeline);
}

void vk_pipeline_destroy(struct vk *vk, struct vk_pipeline *pipeline)
{
	vkDestroyPipeline(vk->device, pipeline->pipeline, NULL);
	vkDestroyPipelineLayout(vk->device, pipeline->layout, NULL);
	vkDestroyDescriptorSetLayout(vk->device, pipeline->set_layout, NULL);
}

/* ---- Descriptor sets ---- */

int vk_set_create(struct vk *vk, const struct vk_pipeline *pipeline, VkDescriptorSet *set)
{
	const VkDescriptorSetAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
		.descriptorPool = vk->sets,
		.descriptorSetCount = 1,
		.pSetLayouts = &pipeline->set_layout,
	};

	return vk_error(vkAllocateDescriptorSets(vk->device, &info, set));
}

void vk_set_buffer(struct vk *vk, VkDescriptorSet set, uint32_t binding, VkDescriptorType type,
		   const struct vk_buffer *buffer)
{
	const VkDescriptorBufferInfo info = {buffer->buffer, 0, VK_WHOLE_SIZE};
	const VkWriteDescriptorSet write = {
		.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
		.dstSet = set,
		.dstBinding = binding,
		.descriptorCount = 1,
		.descriptorType = type,
		.pBufferInfo = &info,
	};

	vkUpdateDescriptorSets(vk->device, 1, &write, 0, NULL);
}

void vk_set_image(struct vk *vk, VkDescriptorSet set, uint32_t binding, VkSampler sampler,
		  const struct vk_image *image)
{
	const VkDescriptorImageInfo info = {sampler, image->view, VK_IMAGE_LAYOUT_GENERAL};
	const VkWriteDescriptorSet write = {
		.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
		.dstSet = set,
		.dstBinding = binding,
		.descriptorCount = 1,
		.descriptorType = VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER,
		.pImageInfo = &info,
	};

	vkUpdateDescriptorSets(vk->device, 1, &write, 0, NULL);
}

/* ---- Commands ---- */

int vk_commands_create(struct vk *vk, struct vk_commands *commands)
{
	const VkCommandBufferAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = vk->pool,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	int ret = vk_error(vkAllocateCommandBuffers(vk->device, &info, &commands->buffer));

	return ret ? ret : vk_error(vkCreateFence(vk->device, &fence, NULL, &commands->done));
}

void vk_commands_destroy(struct vk *vk, struct vk_commands *commands)
{
	vkDestroyFence(vk->device, commands->done, NULL);
}

int vk_commands_begin(struct vk *vk, struct vk_commands *commands)
{
	const VkCommandBufferBeginInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};
	int ret = vk_commands_wait(vk, commands);

	return ret ? ret : vk_error(vkBeginCommandBuffer(commands->buffer, &info));
}

int vk_commands_submit(struct vk *vk, struct vk_commands *commands)
{
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands->buffer,
	};
	int ret = vk_error(vkEndCommandBuffer(commands->buffer));

	if (!ret)
		ret = vk_error(vkQueueSubmit(vk->queue, 1, &info, commands->done));
	commands->pending = !ret;
	return ret;
}

int vk_commands_wait(struct vk *vk, struct vk_commands *commands)
{
	int ret;

	if (!commands->pending)
		return 0;
	ret = vk_error(vkWaitForFences(vk->device, 1, &commands->done, VK_TRUE, PATIENCE_NS));
	if (ret)
		return ret;
	commands->pending = false;
	return vk_error(vkResetFences(vk->device, 1, &commands->done));
}

static void transfer(struct vk_commands *commands, const struct vk_image *image, bool acquire,
		     VkPipelineStageFlags stage, VkAccessFlags access)
{
	const VkImageMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcAccessMask = acquire ? 0 : access,
		.dstAccessMask = acquire ? access : 0,
		.oldLayout = VK_IMAGE_LAYOUT_GENERAL,
		.newLayout = VK_IMAGE_LAYOUT_GENERAL,
		.srcQueueFamilyIndex = acquire ? VK_QUEUE_FAMILY_FOREIGN_EXT : 0,
		.dstQueueFamilyIndex = acquire ? 0 : VK_QUEUE_FAMILY_FOREIGN_EXT,
		.image = image->image,
		.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1},
	};

	vkCmdPipelineBarrier(commands->buffer, acquire ? VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT : stage,
			     acquire ? stage : VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0, 0, NULL, 0,
			     NULL, 1, &barrier);
}

void vk_acquire(struct vk_commands *commands, const struct vk_image *image,
		VkPipelineStageFlags stage, VkAccessFlags access)
{
	transfer(commands, image, true, stage, access);
}

void vk_release(struct vk_commands *commands, const struct vk_image *image,
		VkPipelineStageFlags stage, VkAccessFlags access)
{
	transfer(commands, image, false, stage, access);
}
