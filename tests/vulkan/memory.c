// SPDX-License-Identifier: MIT
/*
 * Memory of one virtual GPU: every type, buffers and images, contents seen by
 * shaders and by the CPU, new memory zeroed, budgets and limits. Two devices of
 * 16 MiB of VRAM and 48 MiB of GTT.
 */
#include "harness.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (256 * KIB)

/* ---- Buffers ---- */

static void check_cpu_and_shader_agree(const struct buffer *buffer)
{
	uint32_t *words = buffer_map(buffer);

	buffer_fill(buffer, 7, 3);
	check_words(words, buffer->size, 7, 3);
	fill_words(words, buffer->size, 1000, 5);
	buffer_check(buffer, 1000, 5);
	check(buffer_wrong(buffer, 1001, 5) == buffer->size / 4,
	      "a shader that looks for the wrong words finds them");
	vkUnmapMemory(buffer->device->handle, buffer->memory);
}

static void buffers_in_every_memory_type(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	static const VkDeviceSize sizes[] = {4, 4096, 4100, 3 * MIB};
	uint32_t type, tried = 0;
	unsigned int i;

	for (type = 0; type < device->memory.memoryTypeCount; type++) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct buffer buffer = buffer_new(device, sizes[i], type, 0);

			check_cpu_and_shader_agree(&buffer);
			buffer_free(&buffer);
			tried++;
		}
	}
	check(tried >= ARRAY_SIZE(sizes), "there is no memory type");
	vulkan_device_close(device);
}

/* Several in one allocation, each at its own offset, and none disturbs another. */
static void buffers_that_share_an_allocation(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer buffers[8];
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.memoryTypeIndex = vram_type(device),
	};
	VkDeviceSize offsets[ARRAY_SIZE(buffers)];
	VkDeviceMemory memory;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(buffers); i++) {
		buffers[i] = buffer_create(device, SIZE + 4 * i, 0);
		offsets[i] = (info.allocationSize + buffers[i].requirements.alignment - 1) /
			     buffers[i].requirements.alignment * buffers[i].requirements.alignment;
		info.allocationSize = offsets[i] + buffers[i].requirements.size;
	}
	check_vk(vkAllocateMemory(device->handle, &info, NULL, &memory));
	for (i = 0; i < ARRAY_SIZE(buffers); i++) {
		check_vk(vkBindBufferMemory(device->handle, buffers[i].handle, memory, offsets[i]));
		buffer_fill(&buffers[i], i << 24, 1);
	}
	for (i = 0; i < ARRAY_SIZE(buffers); i++) {
		buffer_check(&buffers[i], i << 24, 1);
		vkDestroyBuffer(device->handle, buffers[i].handle, NULL);
	}
	vkFreeMemory(device->handle, memory, NULL);
	vulkan_device_close(device);
}

/* The address stays the same, at an offset as well, and system calls may use it. */
static void mapped_memory(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer buffer = buffer_new(device, SIZE, vram_type(device), 0);
	uint32_t *words = buffer_map(&buffer), half[PAGE / 4];
	void *part;
	int pipes[2];

	vkUnmapMemory(device->handle, buffer.memory);
	check_vk(vkMapMemory(device->handle, buffer.memory, SIZE / 2, SIZE / 2, 0, &part));
	check(part == words + SIZE / 8, "a part is mapped at %p, all of it at %p", part,
	      (void *)words);
	fill_words(part, SIZE / 2, 5, 1);
	check_sys(pipe(pipes));
	check_eq(check_sys(write(pipes[1], part, PAGE)), PAGE);
	check_eq(check_sys(read(pipes[0], half, PAGE)), PAGE);
	check_words(half, PAGE, 5, 1);
	fill_words(half, PAGE, 9, 9);
	check_eq(check_sys(write(pipes[1], half, PAGE)), PAGE);
	check_eq(check_sys(read(pipes[0], part, PAGE)), PAGE);
	check_words(part, PAGE, 9, 9);
	buffer_free(&buffer);
	vulkan_device_close(device);
}

/* ---- New memory ---- */

static void new_memory_is_zeroed(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	uint32_t types[] = {vram_type(device), gtt_type(device)};
	unsigned int i, round;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		for (round = 0; round < 6; round++) {
			struct buffer buffer = buffer_new(device, 10 * MIB, types[i], 0);

			if (!is_plain())
				buffer_check(&buffer, 0, 0);
			buffer_fill(&buffer, 0xdeadbeef, 1);
			buffer_free(&buffer);
		}
	}
	vulkan_device_close(device);
}

/* What was freed is there again: many times all of the memory is allocated. */
static void freed_memory_comes_back(void)
{
	struct device *device;
	uint64_t before, round;

	need_gpus(1);
	device = vulkan_device_open(NULL, 0);
	before = gpu_info(0).vram_used;
	for (round = 0; round < 40; round++) {
		struct buffer buffer = buffer_new(device, 8 * MIB, vram_type(device), 0);

		check(gpu_info(0).vram_used >= before + 8 * MIB,
		      "8 MiB were allocated, and %llu more are in use",
		      (unsigned long long)(gpu_info(0).vram_used - before));
		buffer_free(&buffer);
	}
	check(eventually(gpu_info(0).vram_used == before),
	      "%llu bytes of VRAM are in use, expected %llu as before",
	      (unsigned long long)gpu_info(0).vram_used, (unsigned long long)before);
	vulkan_device_close(device);
}

/* ---- Images ---- */

static void storage_images_in_every_memory_type(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	static const uint32_t sizes[][2] = {{1, 1}, {64, 64}, {257, 129}, {1024, 512}};
	uint32_t type;
	unsigned int i;

	for (type = 0; type < device->memory.memoryTypeCount; type++) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct image image =
				image_new(device, sizes[i][0], sizes[i][1], type, false);

			image_fill(&image, i);
			image_check(&image, i);
			image_free(&image);
		}
	}
	vulkan_device_close(device);
}

struct format {
	VkFormat format;
	VkImageType type;
	uint32_t bytes;
	VkExtent3D extent;
	VkImageAspectFlags aspect;
};

static const struct format formats[] = {
	{VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D, 1, {300, 200, 1}, VK_IMAGE_ASPECT_COLOR_BIT},
	{VK_FORMAT_R16G16_UINT, VK_IMAGE_TYPE_2D, 4, {64, 31, 1}, VK_IMAGE_ASPECT_COLOR_BIT},
	{VK_FORMAT_B8G8R8A8_UNORM, VK_IMAGE_TYPE_2D, 4, {500, 300, 1}, VK_IMAGE_ASPECT_COLOR_BIT},
	{VK_FORMAT_R32G32B32A32_UINT, VK_IMAGE_TYPE_2D, 16, {33, 65, 1}, VK_IMAGE_ASPECT_COLOR_BIT},
	{VK_FORMAT_R8G8B8A8_UINT, VK_IMAGE_TYPE_3D, 4, {32, 32, 16}, VK_IMAGE_ASPECT_COLOR_BIT},
	{VK_FORMAT_R32_UINT, VK_IMAGE_TYPE_1D, 4, {1024, 1, 1}, VK_IMAGE_ASPECT_COLOR_BIT},
	{VK_FORMAT_D16_UNORM, VK_IMAGE_TYPE_2D, 2, {128, 128, 1}, VK_IMAGE_ASPECT_DEPTH_BIT},
};

static VkImage create_plain_image(const struct device *device, const struct format *format,
				  VkImageTiling tiling, uint32_t type, VkDeviceMemory *memory)
{
	const VkImageCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.imageType = format->type,
		.format = format->format,
		.extent = format->extent,
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = tiling,
		.usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT,
	};
	VkMemoryAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.memoryTypeIndex = type,
	};
	VkMemoryRequirements requirements;
	VkImage image;

	check_vk(vkCreateImage(device->handle, &info, NULL, &image));
	vkGetImageMemoryRequirements(device->handle, image, &requirements);
	allocate.allocationSize = requirements.size;
	check_vk(vkAllocateMemory(device->handle, &allocate, NULL, memory));
	check_vk(vkBindImageMemory(device->handle, image, *memory, 0));
	return image;
}

static void to_general(struct commands *commands, VkImage image, VkImageAspectFlags aspect)
{
	const VkImageMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
		.newLayout = VK_IMAGE_LAYOUT_GENERAL,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.image = image,
		.subresourceRange = {aspect, 0, 1, 0, 1},
	};

	vkCmdPipelineBarrier(commands->handle, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
			     VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
}

/* From a buffer into an image and from there into another buffer: the bytes are the same. */
static void carry_through_image(const struct device *device, const struct format *format,
				VkImageTiling tiling, uint32_t type)
{
	VkDeviceSize bytes = (VkDeviceSize)format->extent.width * format->extent.height *
			     format->extent.depth * format->bytes;
	struct buffer from = buffer_new(device, bytes, type, 0);
	struct buffer to = buffer_new(device, bytes, type, 0);
	const VkBufferImageCopy region = {
		.imageSubresource = {format->aspect, 0, 0, 1},
		.imageExtent = format->extent,
	};
	struct commands commands;
	VkDeviceMemory memory;
	VkImage image;

	image = create_plain_image(device, format, tiling, type, &memory);
	fill_words(buffer_map(&from), bytes, 77, 2654435761u);
	commands = commands_begin(device);
	to_general(&commands, image, format->aspect);
	vkCmdCopyBufferToImage(commands.handle, from.handle, image, VK_IMAGE_LAYOUT_GENERAL, 1,
			       &region);
	commands_barrier(&commands);
	vkCmdCopyImageToBuffer(commands.handle, image, VK_IMAGE_LAYOUT_GENERAL, to.handle, 1,
			       &region);
	commands_run(&commands);
	check_words(buffer_map(&to), bytes, 77, 2654435761u);
	vkDestroyImage(device->handle, image, NULL);
	vkFreeMemory(device->handle, memory, NULL);
	buffer_free(&from);
	buffer_free(&to);
}

static void images_of_many_formats(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	uint32_t types[] = {vram_type(device), gtt_type(device)};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		const struct format *format = &formats[i];

		for (j = 0; j < ARRAY_SIZE(types); j++) {
			carry_through_image(device, format, VK_IMAGE_TILING_OPTIMAL, types[j]);
			if (format->type == VK_IMAGE_TYPE_2D &&
			    format->aspect == VK_IMAGE_ASPECT_COLOR_BIT)
				carry_through_image(device, format, VK_IMAGE_TILING_LINEAR,
						    types[j]);
		}
	}
	vulkan_device_close(device);
}

static void dedicated_allocations(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer buffer = buffer_create(device, SIZE, 0);
	const VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
		.buffer = buffer.handle,
	};

	check_vk(buffer_allocate(&buffer, vram_type(device), &dedicated));
	check_cpu_and_shader_agree(&buffer);
	buffer_free(&buffer);
	vulkan_device_close(device);
}

/* ---- Limits ---- */

static void budget_follows_allocations(void)
{
	struct device *device;
	uint32_t type, heap;
	VkDeviceSize before, during, budget;
	struct buffer buffer;
	struct gpu other;

	need_gpus(1);
	device = vulkan_device_open(NULL, 0);
	type = vram_type(device);
	heap = device->memory.memoryTypes[type].heapIndex;
	before = heap_usage(device, type, &budget);
	check(budget && budget <= device->memory.memoryHeaps[heap].size,
	      "the budget is %llu bytes, of a heap of %llu", (unsigned long long)budget,
	      (unsigned long long)device->memory.memoryHeaps[heap].size);
	buffer = buffer_new(device, 4 * MIB, type, 0);
	during = heap_usage(device, type, NULL);
	check_eq(during - before, 4 * MIB);
	/* the layer's own: what another client has doesn't count */
	other = gpu_open(0);
	bo_new(&other, MIB, VRAM);
	check_eq(heap_usage(device, type, NULL), during);
	buffer_free(&buffer);
	check_eq(heap_usage(device, type, NULL), before);
	vulkan_device_close(device);
}

/* What others hold can't be had, however much of one's own was evicted for it. */
static void budget_leaves_out_what_others_hold(void)
{
	struct buffer buffers[18];
	VkDeviceSize budget, size;
	struct device *device;
	struct gpu other;
	uint32_t type;
	unsigned int i;

	need_gpus(1);
	device = vulkan_device_open(NULL, 0);
	type = vram_type(device);
	size = device->memory.memoryHeaps[device->memory.memoryTypes[type].heapIndex].size;
	check_eq(size, 16 * MIB);
	/* alone, all of it is one's own, also with more than that allocated */
	for (i = 0; i < ARRAY_SIZE(buffers); i++) {
		buffers[i] = buffer_new(device, MIB, type, 0);
		buffer_fill(&buffers[i], i, 1);
	}
	check_eq(heap_usage(device, type, &budget), ARRAY_SIZE(buffers) * MIB);
	check(budget > size - MIB && budget <= size, "alone, the budget is %llu bytes of %llu",
	      (unsigned long long)budget, (unsigned long long)size);

	other = gpu_open(0);
	for (i = 0; i < 6; i++)
		check_ok(gpu_fill(&other, gpu_bo(&other, MIB, VRAM).va, MIB, i, 1));
	check_eq(heap_usage(device, type, &budget), ARRAY_SIZE(buffers) * MIB);
	check(budget > size - 7 * MIB && budget <= size - 6 * MIB,
	      "the budget is %llu bytes of %llu, of which another client has %llu",
	      (unsigned long long)budget, (unsigned long long)size, 6 * MIB);
	for (i = 0; i < ARRAY_SIZE(buffers); i++) {
		buffer_check(&buffers[i], i, 1);
		buffer_free(&buffers[i]);
	}
	vulkan_device_close(device);
}

/* All of VRAM and GTT can be allocated, from one type, and no more. */
static void memory_ends_where_vram_and_gtt_end(void)
{
	struct drm_drover_device_info info;
	struct buffer buffers[128];
	struct device *device;
	unsigned int i, count, round;
	uint64_t all;

	need_gpus(1);
	device = vulkan_device_open(NULL, 0);
	info = gpu_info(0);
	all = (info.vram_size + info.gtt_size) / MIB;
	check(all < ARRAY_SIZE(buffers), "make `buffers` larger: %llu MiB are there",
	      (unsigned long long)all);
	for (round = 0; round < 2; round++) {
		VkResult result = VK_SUCCESS;

		for (count = 0; !result && count < ARRAY_SIZE(buffers); count++) {
			buffers[count] = buffer_create(device, MIB, 0);
			result = buffer_allocate(&buffers[count], vram_type(device), NULL);
		}
		check_result(result, VK_ERROR_OUT_OF_DEVICE_MEMORY);
		/* the last has no memory; some may be in use by what the layer itself needs */
		check(count - 1 <= all && count - 1 + 2 >= all, "%u MiB could be allocated of %llu",
		      count - 1, (unsigned long long)all);
		/* room for what the checks need */
		buffer_free(&buffers[--count]);
		buffer_free(&buffers[--count]);
		for (i = 0; i < count; i++)
			buffer_fill(&buffers[i], i, 3);
		for (i = 0; i < count; i++)
			buffer_check(&buffers[i], i, 3);
		for (i = 0; i < count; i++)
			buffer_free(&buffers[i]);
	}
	check(gpu_info(0).evictions > info.evictions,
	      "three times the VRAM was used and nothing was evicted");
	vulkan_device_close(device);
}

static void no_allocation_is_larger_than_its_heap(void)
{
	struct device *device;
	uint32_t types[2];
	unsigned int i;

	need_gpus(1);
	device = vulkan_device_open(NULL, 0);
	types[0] = vram_type(device);
	types[1] = gtt_type(device);
	device->instance->messages_expected = true; /* VUID-vkAllocateMemory-pAllocateInfo-01713 */
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		const VkMemoryAllocateInfo info = {
			.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
			.allocationSize =
				device->memory
					.memoryHeaps[device->memory.memoryTypes[types[i]].heapIndex]
					.size +
				PAGE,
			.memoryTypeIndex = types[i],
		};
		VkDeviceMemory memory;

		check_result(vkAllocateMemory(device->handle, &info, NULL, &memory),
			     VK_ERROR_OUT_OF_DEVICE_MEMORY);
	}
	vulkan_device_close(device);
}

/* ---- Priority ---- */

/* Whatever is done with the priority, contents stay. */
static void priority_changes_no_contents(void)
{
	static const float priorities[] = {0, 0.5, 1};
	struct device *device = vulkan_device_open(NULL, 0);
	unsigned int i, j;

	if (!device->has_priority)
		test_skip("VK_EXT_memory_priority isn't there");
	for (i = 0; i < ARRAY_SIZE(priorities); i++) {
		const VkMemoryPriorityAllocateInfoEXT info = {
			.sType = VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT,
			.priority = priorities[i],
		};
		struct buffer buffer = buffer_create(device, MIB, 0);

		check_vk(buffer_allocate(&buffer, vram_type(device), &info));
		buffer_fill(&buffer, 4, i);
		for (j = 0; device->has_pageable && j < ARRAY_SIZE(priorities); j++) {
			device->set_memory_priority(device->handle, buffer.memory, priorities[j]);
			buffer_check(&buffer, 4, i);
		}
		buffer_free(&buffer);
	}
	vulkan_device_close(device);
}

/* ---- The application's own memory ---- */

static void host_pointers_of_the_application(void)
{
	const VkExternalMemoryHandleTypeFlagBits handle_type =
		VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
	struct device *device = vulkan_device_open(NULL, 0);
	VkMemoryHostPointerPropertiesEXT properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT,
	};
	VkImportMemoryHostPointerInfoEXT import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		.handleType = handle_type,
	};
	const VkBufferCopy all = {.size = SIZE};
	struct buffer buffer = buffer_create(device, SIZE, handle_type);
	struct buffer vram = buffer_new(device, SIZE, vram_type(device), 0);
	struct commands commands;

	check(device->has_host_import, "VK_EXT_external_memory_host isn't there");
	import.pHostPointer =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(import.pHostPointer != MAP_FAILED, "mmap: %m");
	check_vk(device->get_host_pointer_properties(device->handle, handle_type,
						     import.pHostPointer, &properties));
	check_vk(buffer_allocate(
		&buffer,
		memory_type(device, properties.memoryTypeBits & buffer.requirements.memoryTypeBits,
			    0, 0),
		&import));
	buffer_fill(&buffer, 6, 7);
	check_words(import.pHostPointer, SIZE, 6, 7);
	fill_words(import.pHostPointer, SIZE, 8, 9);
	commands = commands_begin(device);
	vkCmdCopyBuffer(commands.handle, buffer.handle, vram.handle, 1, &all);
	commands_run(&commands);
	buffer_check(&vram, 8, 9);
	buffer_free(&buffer);
	buffer_free(&vram);
	/* still the application's */
	check_words(import.pHostPointer, SIZE, 8, 9);
	vulkan_device_close(device);
}

/* ---- Eviction by request ---- */

/* Whatever was in VRAM leaves it, and neither shaders nor pointers notice. */
static void evicted_memory_comes_back_unchanged(void)
{
	struct vm_counters before, after;
	struct buffer buffer, still;
	struct device *device;
	struct image image;
	uint32_t *words;

	need_gpus(1);
	device = vulkan_device_open(NULL, 0);
	buffer = buffer_new(device, 4 * MIB, vram_type(device), 0);
	still = buffer_new(device, 4 * MIB, vram_type(device), 0);
	image = image_new(device, 512, 512, vram_type(device), false);
	words = buffer_map(&buffer);
	buffer_fill(&buffer, 1, 1);
	buffer_fill(&still, 2, 2);
	image_fill(&image, 3);
	before = vm_counters(0, getpid());
	memory_press(0);
	check_words(words, buffer.size, 1, 1);
	buffer_check(&still, 2, 2);
	image_check(&image, 3);
	after = vm_counters(0, getpid());
	check(after.evictions >= before.evictions + 3,
	      "another client took all memory that three allocations were in, and there were %llu evictions",
	      (unsigned long long)(after.evictions - before.evictions));
	check(after.remaps >= before.remaps + 3,
	      "three evicted allocations were used, and %llu were remapped",
	      (unsigned long long)(after.remaps - before.remaps));
	image_free(&image);
	buffer_free(&still);
	buffer_free(&buffer);
	vulkan_device_close(device);
}

static const struct test tests[] = {
	TEST(buffers_in_every_memory_type),
	TEST(buffers_that_share_an_allocation),
	TEST(mapped_memory),
	TEST(new_memory_is_zeroed),
	TEST(freed_memory_comes_back),
	TEST(storage_images_in_every_memory_type),
	TEST(images_of_many_formats),
	TEST(dedicated_allocations),
	TEST(budget_follows_allocations),
	TEST(budget_leaves_out_what_others_hold),
	TEST(memory_ends_where_vram_and_gtt_end),
	TEST(no_allocation_is_larger_than_its_heap),
	TEST(priority_changes_no_contents),
	TEST(host_pointers_of_the_application),
	TEST(evicted_memory_comes_back_unchanged),
};

int main(int argc, char **argv)
{
	return vulkan_main("vulkan-memory", tests, ARRAY_SIZE(tests), argc, argv);
}
