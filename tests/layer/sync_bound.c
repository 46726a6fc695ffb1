// SPDX-License-Identifier: MIT
/*
 * In which memory a resource is known to lie, whichever command has bound it, and whether it can be written to,
 * wherever that is said. Lines of the log are explained in sync_recorder.c.
 */
#include "sync_world.h"

#include <unistd.h>

#define DMA_BUF VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT
#define DEPTH   VK_FORMAT_D24_UNORM_S8_UINT

/* A command buffer that gives away either. @chain: more of the accesses, beside a read. */
static VkCommandBuffer release_either(VkBuffer buffer, VkImage image, const void *chain)
{
	const VkBufferMemoryBarrier2 buffer_barrier = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER_2,
		.pNext = chain,
		.srcAccessMask = chain ? VK_ACCESS_2_SHADER_READ_BIT : 0,
		.srcQueueFamilyIndex = world.family,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_FOREIGN_EXT,
		.buffer = buffer,
		.size = VK_WHOLE_SIZE,
	};
	const VkImageMemoryBarrier2 image_barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2,
		.pNext = chain,
		.srcAccessMask = chain ? VK_ACCESS_2_SHADER_READ_BIT : 0,
		.srcQueueFamilyIndex = world.family,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_FOREIGN_EXT,
		.image = image,
	};
	const VkDependencyInfo dependency = {
		.sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
		.bufferMemoryBarrierCount = !!buffer,
		.pBufferMemoryBarriers = &buffer_barrier,
		.imageMemoryBarrierCount = !!image,
		.pImageMemoryBarriers = &image_barrier,
	};
	VkCommandBuffer commands = command_buffer("rel", VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	vkCmdPipelineBarrier2(commands, &dependency);
	check_vk(vkEndCommandBuffer(commands));
	return commands;
}

#define PUBLISHED "1[rel / !own] | export own | A+write"

/* ---- Buffers ---- */

static VkResult bind_buffer(VkBuffer buffer, VkDeviceMemory memory)
{
	return vkBindBufferMemory(world.device, buffer, memory, 0);
}

static VkResult bind_buffer_by(const char *function, VkBuffer buffer, VkDeviceMemory memory,
			       const void *chain)
{
	const VkBindBufferMemoryInfo info = {
		.sType = VK_STRUCTURE_TYPE_BIND_BUFFER_MEMORY_INFO,
		.pNext = chain,
		.buffer = buffer,
		.memory = memory,
	};
	PFN_vkBindBufferMemory2 bind =
		(PFN_vkBindBufferMemory2)vkGetDeviceProcAddr(world.device, function);

	assert_non_null(bind);
	return bind(world.device, 1, &info);
}

static VkResult bind_buffer2(VkBuffer buffer, VkDeviceMemory memory)
{
	return bind_buffer_by("vkBindBufferMemory2", buffer, memory, NULL);
}

static VkResult bind_buffer2_khr(VkBuffer buffer, VkDeviceMemory memory)
{
	return bind_buffer_by("vkBindBufferMemory2KHR", buffer, memory, NULL);
}

/* It says that this one has failed, whatever the call says. */
static VkResult bind_buffer2_failing(VkBuffer buffer, VkDeviceMemory memory)
{
	VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
	const VkBindMemoryStatus status = {
		.sType = VK_STRUCTURE_TYPE_BIND_MEMORY_STATUS,
		.pResult = &result,
	};

	return bind_buffer_by("vkBindBufferMemory2", buffer, memory, &status);
}

static void check_buffer(VkResult (*bind)(VkBuffer buffer, VkDeviceMemory memory),
			 const char *expected)
{
	int fd = dmabuf_new('A');
	VkDeviceMemory memory = memory_import(DMA_BUF, dup(fd));
	VkBuffer buffer = buffer_create(0, true);

	check_vk(bind(buffer, memory));
	submit(release_either(buffer, VK_NULL_HANDLE, NULL), false);
	check_log(expected);
	vkDestroyBuffer(world.device, buffer, NULL);
	vkFreeMemory(world.device, memory, NULL);
	close(fd);
	dmabufs_forget();
}

static void buffers(void **state)
{
	(void)state;
	check_buffer(bind_buffer, PUBLISHED);
	check_buffer(bind_buffer2, PUBLISHED);
	check_buffer(bind_buffer2_khr, PUBLISHED);
	check_buffer(bind_buffer2_failing, "1[rel]");
}

/* ---- Images ---- */

static VkResult bind_image(VkImage image, VkDeviceMemory memory)
{
	return vkBindImageMemory(world.device, image, memory, 0);
}

static VkResult bind_image_by(const char *function, VkImage image, VkDeviceMemory memory,
			      const void *chain)
{
	const VkBindImageMemoryInfo info = {
		.sType = VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO,
		.pNext = chain,
		.image = image,
		.memory = memory,
	};
	PFN_vkBindImageMemory2 bind =
		(PFN_vkBindImageMemory2)vkGetDeviceProcAddr(world.device, function);

	assert_non_null(bind);
	return bind(world.device, 1, &info);
}

static VkResult bind_image2(VkImage image, VkDeviceMemory memory)
{
	return bind_image_by("vkBindImageMemory2", image, memory, NULL);
}

static VkResult bind_image2_khr(VkImage image, VkDeviceMemory memory)
{
	return bind_image_by("vkBindImageMemory2KHR", image, memory, NULL);
}

static VkResult bind_image2_failing(VkImage image, VkDeviceMemory memory)
{
	VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
	const VkBindMemoryStatus status = {
		.sType = VK_STRUCTURE_TYPE_BIND_MEMORY_STATUS,
		.pResult = &result,
	};

	return bind_image_by("vkBindImageMemory2", image, memory, &status);
}

static void check_image(VkImage image, VkResult (*bind)(VkImage image, VkDeviceMemory memory),
			const char *expected)
{
	int fd = dmabuf_new('A');
	VkDeviceMemory memory = memory_import(DMA_BUF, dup(fd));

	check_vk(bind(image, memory));
	submit(release_either(VK_NULL_HANDLE, image, NULL), false);
	check_log(expected);
	vkDestroyImage(world.device, image, NULL);
	vkFreeMemory(world.device, memory, NULL);
	close(fd);
	dmabufs_forget();
}

static void images(void **state)
{
	const VkImageUsageFlags usage = VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT;

	(void)state;
	check_image(image_create(DEPTH, usage, 0, NULL), bind_image, PUBLISHED);
	check_image(image_create(DEPTH, usage, 0, NULL), bind_image2, PUBLISHED);
	check_image(image_create(DEPTH, usage, 0, NULL), bind_image2_khr, PUBLISHED);
	check_image(image_create(DEPTH, usage, 0, NULL), bind_image2_failing, "1[rel]");
}

/* ---- Usage ---- */

/* Of the stencil aspect it's said elsewhere. */
static void usage_of_the_stencil_aspect(void **state)
{
	const VkImageStencilUsageCreateInfo written = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_STENCIL_USAGE_CREATE_INFO,
		.stencilUsage = VK_IMAGE_USAGE_DEPTH_STENCIL_ATTACHMENT_BIT,
	};

	(void)state;
	check_image(image_create(DEPTH, VK_IMAGE_USAGE_SAMPLED_BIT, 0, NULL), bind_image,
		    "1[rel / !own] | export own | A+read");
	check_image(image_create(DEPTH, VK_IMAGE_USAGE_SAMPLED_BIT, 0, &written), bind_image,
		    PUBLISHED);
}

/* The 64 bits replace the others. */
static void check_usage(VkBufferUsageFlags usage, VkBufferUsageFlags2 usage2,
			const VkMemoryBarrierAccessFlags3KHR *mask3, const char *expected)
{
	const VkBufferUsageFlags2CreateInfo flags2 = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_USAGE_FLAGS_2_CREATE_INFO,
		.usage = usage2,
	};
	const VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.pNext = &flags2,
		.handleTypes = DMA_BUF,
	};
	const VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = &external,
		.size = 65536,
		.usage = usage,
	};
	int fd = dmabuf_new('A');
	VkDeviceMemory memory = memory_import(DMA_BUF, dup(fd));
	VkBuffer buffer;

	check_vk(vkCreateBuffer(world.device, &info, NULL, &buffer));
	check_vk(vkBindBufferMemory(world.device, buffer, memory, 0));
	submit(release_either(buffer, VK_NULL_HANDLE, mask3), false);
	check_log(expected);
	vkDestroyBuffer(world.device, buffer, NULL);
	vkFreeMemory(world.device, memory, NULL);
	close(fd);
	dmabufs_forget();
}

static void usage_in_64_bits(void **state)
{
	(void)state;
	check_usage(VK_BUFFER_USAGE_TRANSFER_SRC_BIT, VK_BUFFER_USAGE_2_STORAGE_BUFFER_BIT, NULL,
		    PUBLISHED);
	check_usage(VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, VK_BUFFER_USAGE_2_TRANSFER_SRC_BIT, NULL,
		    "1[rel / !own] | export own | A+read");
}

/* Accesses that have no place in the first 64 bits may be writes. */
static void accesses_beyond_64_bits(void **state)
{
	VkMemoryBarrierAccessFlags3KHR mask3 = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_ACCESS_FLAGS_3_KHR,
		.dstAccessMask3 = 1,
	};
	const VkBufferUsageFlags2 usage = VK_BUFFER_USAGE_2_STORAGE_BUFFER_BIT;

	(void)state;
	/* another family's accesses */
	check_usage(0, usage, &mask3, "1[rel / !own] | export own | A+read");
	mask3.srcAccessMask3 = 1;
	check_usage(0, usage, &mask3, PUBLISHED);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(buffers),
		TEST(images),
		TEST(usage_of_the_stencil_aspect),
		TEST(usage_in_64_bits),
		TEST(accesses_beyond_64_bits),
	};

	world_environment();
	return cmocka_run_group_tests_name("sync-bound", tests, NULL, NULL);
}
