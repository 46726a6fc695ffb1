// SPDX-License-Identifier: MIT
/* Memory types, buffers and images with their memory, export and import; see harness.h. */
#include "harness.h"

#define LINEAR 0 /* DRM_FORMAT_MOD_LINEAR */

/* ---- Memory types and heaps ---- */

uint32_t memory_type(const struct device *device, uint32_t bits, VkMemoryPropertyFlags wanted,
		     VkMemoryPropertyFlags unwanted)
{
	uint32_t i;

	for (i = 0; i < device->memory.memoryTypeCount; i++) {
		VkMemoryPropertyFlags flags = device->memory.memoryTypes[i].propertyFlags;

		if (bits & 1u << i && (flags & wanted) == wanted && !(flags & unwanted))
			return i;
	}
	die("no memory type of %#x has %#x and not %#x", bits, wanted, unwanted);
}

uint32_t vram_type(const struct device *device)
{
	return memory_type(device, ~0u, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0);
}

uint32_t gtt_type(const struct device *device)
{
	return memory_type(device, ~0u, VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
			   is_plain() ? 0 : VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
}

VkDeviceSize heap_usage(const struct device *device, uint32_t type, VkDeviceSize *budget)
{
	uint32_t heap = device->memory.memoryTypes[type].heapIndex;
	VkPhysicalDeviceMemoryBudgetPropertiesEXT budgets = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT,
	};
	VkPhysicalDeviceMemoryProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
		.pNext = &budgets,
	};

	check(device->has_budget, "VK_EXT_memory_budget isn't there");
	vkGetPhysicalDeviceMemoryProperties2(device->physical, &properties);
	if (budget)
		*budget = budgets.heapBudget[heap];
	return budgets.heapUsage[heap];
}

/* ---- Buffers ---- */

struct buffer buffer_create(const struct device *device, VkDeviceSize size,
			    VkExternalMemoryHandleTypeFlags exports)
{
	const VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = exports,
	};
	const VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = exports ? &external : NULL,
		.size = size,
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
			 VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};
	struct buffer buffer = {.device = device, .size = size};

	check_vk(vkCreateBuffer(device->handle, &info, NULL, &buffer.handle));
	vkGetBufferMemoryRequirements(device->handle, buffer.handle, &buffer.requirements);
	return buffer;
}

VkResult buffer_allocate(struct buffer *buffer, uint32_t type, const void *next)
{
	const VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = next,
		.allocationSize = buffer->requirements.size,
		.memoryTypeIndex = type,
	};
	VkDevice device = buffer->device->handle;
	VkResult result = vkAllocateMemory(device, &info, NULL, &buffer->memory);

	if (result)
		return result;
	check_vk(vkBindBufferMemory(device, buffer->handle, buffer->memory, 0));
	return VK_SUCCESS;
}

struct buffer buffer_new(const struct device *device, VkDeviceSize size, uint32_t type,
			 VkExternalMemoryHandleTypeFlags exports)
{
	const VkExportMemoryAllocateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = exports,
	};
	struct buffer buffer = buffer_create(device, size, exports);

	check(buffer.requirements.memoryTypeBits & 1u << type,
	      "a buffer can't be in memory of type %u", type);
	check_vk(buffer_allocate(&buffer, type, exports ? &export : NULL));
	return buffer;
}

static uint32_t import_types(const struct device *device, int dmabuf)
{
	VkMemoryFdPropertiesKHR properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR,
	};

	check_vk(device->get_memory_fd_properties(device->handle,
						  VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
						  dmabuf, &properties));
	return properties.memoryTypeBits;
}

VkResult buffer_import(const struct device *device, VkDeviceSize size, uint32_t type,
		       VkExternalMemoryHandleTypeFlagBits handle_type, int fd,
		       struct buffer *buffer)
{
	const VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = handle_type,
		.fd = fd,
	};

	*buffer = buffer_create(device, size, handle_type);
	if (handle_type == VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT)
		type = memory_type(device,
				   buffer->requirements.memoryTypeBits & import_types(device, fd),
				   0, 0);
	return buffer_allocate(buffer, type, &import);
}

void buffer_free(struct buffer *buffer)
{
	vkDestroyBuffer(buffer->device->handle, buffer->handle, NULL);
	vkFreeMemory(buffer->device->handle, buffer->memory, NULL);
	*buffer = (struct buffer){0};
}

uint32_t *buffer_map(const struct buffer *buffer)
{
	void *words;

	check_vk(vkMapMemory(buffer->device->handle, buffer->memory, 0, VK_WHOLE_SIZE, 0, &words));
	return words;
}

int memory_export(const struct device *device, VkDeviceMemory memory,
		  VkExternalMemoryHandleTypeFlagBits handle_type)
{
	const VkMemoryGetFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.memory = memory,
		.handleType = handle_type,
	};
	int fd = -1;

	check_vk(device->get_memory_fd(device->handle, &info, &fd));
	check(fd >= 0, "an export gave the descriptor %d", fd);
	return fd;
}

/* ---- Images ---- */

static VkImageCreateInfo image_info(uint32_t width, uint32_t height, bool external)
{
	return (VkImageCreateInfo){
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.extent = {width, height, 1},
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = external ? VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT
				   : VK_IMAGE_TILING_OPTIMAL,
		.usage = VK_IMAGE_USAGE_STORAGE_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT |
			 VK_IMAGE_USAGE_TRANSFER_DST_BIT,
	};
}

/* Dedicated, as most drivers want it for images that are shared; next: export or import. */
static void image_allocate(struct image *image, uint32_t types, const void *next)
{
	const VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
		.pNext = next,
		.image = image->handle,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = image->exported ? &dedicated : NULL,
	};
	const struct device *device = image->device;
	VkMemoryRequirements requirements;

	vkGetImageMemoryRequirements(device->handle, image->handle, &requirements);
	info.allocationSize = requirements.size;
	info.memoryTypeIndex = memory_type(device, requirements.memoryTypeBits & types, 0, 0);
	check_vk(vkAllocateMemory(device->handle, &info, NULL, &image->memory));
	check_vk(vkBindImageMemory(device->handle, image->handle, image->memory, 0));
}

static void image_create_view(struct image *image)
{
	const VkImageViewCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
		.image = image->handle,
		.viewType = VK_IMAGE_VIEW_TYPE_2D,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1},
	};

	check_vk(vkCreateImageView(image->device->handle, &info, NULL, &image->view));
}

static void image_to_general(const struct image *image)
{
	const VkImageMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
		.newLayout = VK_IMAGE_LAYOUT_GENERAL,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.image = image->handle,
		.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1},
	};
	struct commands commands = commands_begin(image->device);

	vkCmdPipelineBarrier(commands.handle, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
			     VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
	commands_run(&commands);
}

static void get_plane_layout(struct image *image)
{
	const VkImageSubresource plane = {.aspectMask = VK_IMAGE_ASPECT_MEMORY_PLANE_0_BIT_EXT};

	vkGetImageSubresourceLayout(image->device->handle, image->handle, &plane, &image->layout);
}

static struct image image_new_exported(const struct device *device, uint32_t width, uint32_t height,
				       uint32_t type)
{
	const uint64_t linear = LINEAR;
	const VkImageDrmFormatModifierListCreateInfoEXT modifiers = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_LIST_CREATE_INFO_EXT,
		.drmFormatModifierCount = 1,
		.pDrmFormatModifiers = &linear,
	};
	const VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.pNext = &modifiers,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	const VkExportMemoryAllocateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	struct image image = {.device = device, .width = width, .height = height, .exported = true};
	VkImageCreateInfo info = image_info(width, height, true);

	info.pNext = &external;
	check_vk(vkCreateImage(device->handle, &info, NULL, &image.handle));
	image_allocate(&image, 1u << type, &export);
	get_plane_layout(&image);
	return image;
}

struct image image_new(const struct device *device, uint32_t width, uint32_t height, uint32_t type,
		       bool exported)
{
	const VkImageCreateInfo info = image_info(width, height, false);
	struct image image = {.device = device, .width = width, .height = height};

	if (exported) {
		image = image_new_exported(device, width, height, type);
	} else {
		check_vk(vkCreateImage(device->handle, &info, NULL, &image.handle));
		image_allocate(&image, 1u << type, NULL);
	}
	image_create_view(&image);
	image_to_general(&image);
	return image;
}

/* Its first use is to be commands_acquire_image(), from the layout that it was released in. */
struct image image_import(const struct device *device, uint32_t width, uint32_t height,
			  const VkSubresourceLayout *layout, int fd)
{
	const VkSubresourceLayout plane = {.offset = layout->offset, .rowPitch = layout->rowPitch};
	const VkImageDrmFormatModifierExplicitCreateInfoEXT modifier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT,
		.drmFormatModifier = LINEAR,
		.drmFormatModifierPlaneCount = 1,
		.pPlaneLayouts = &plane,
	};
	const VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.pNext = &modifier,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	const VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
		.fd = fd,
	};
	struct image image = {.device = device, .width = width, .height = height, .exported = true};
	VkImageCreateInfo info = image_info(width, height, true);

	info.pNext = &external;
	check_vk(vkCreateImage(device->handle, &info, NULL, &image.handle));
	image_allocate(&image, import_types(device, fd), &import);
	get_plane_layout(&image);
	check_eq(image.layout.rowPitch, layout->rowPitch);
	image_create_view(&image);
	return image;
}

void image_free(struct image *image)
{
	VkDevice device = image->device->handle;

	vkDestroyImageView(device, image->view, NULL);
	vkDestroyImage(device, image->handle, NULL);
	vkFreeMemory(device, image->memory, NULL);
	*image = (struct image){0};
}
