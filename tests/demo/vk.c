// SPDX-License-Identifier: MIT
/* Vulkan in few words: a device per GPU, buffers, shared images, pipelines and commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

#define LAYER "VK_LAYER_DROVER_working_set"
#define ICD   "/usr/share/vulkan/icd.d/lvp_icd.json"

int vk_error(VkResult result)
{
	switch (result) {
	case VK_SUCCESS:
		return 0;
	case VK_ERROR_OUT_OF_DEVICE_MEMORY:
	case VK_ERROR_OUT_OF_HOST_MEMORY: /* all that vkGetMemoryFdPropertiesKHR can say */
		return -ENOMEM;
	case VK_TIMEOUT:
		return -ETIME;
	case VK_ERROR_DEVICE_LOST:
		return -ENODEV;
	default:
		return -EIO;
	}
}

/* ---- The device ---- */

/*
 * The CPU's driver is named once per virtual GPU. A name that comes twice counts once, so the
 * second is the same file by another path.
 */
void vk_set_up_loader(void)
{
	const char *build = getenv("DROVER_BUILD");
	char path[4096];

	snprintf(path, sizeof(path), "%s/layers/working_set/uninstalled",
		 build ? build : "build/root");
	setenv("VK_ADD_LAYER_PATH", path, 1);
	setenv("VK_INSTANCE_LAYERS", LAYER, 1);
	setenv("VK_DRIVER_FILES", ICD ":/usr/share/vulkan/../vulkan/icd.d/lvp_icd.json", 1);
}

static int create_instance(struct vk *vk)
{
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pApplicationName = "drover-demo",
		.apiVersion = VK_API_VERSION_1_3,
	};
	const VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
	};

	return vk_error(vkCreateInstance(&info, NULL, &vk->instance));
}

static int find_gpu(struct vk *vk, unsigned int gpu)
{
	VkPhysicalDevice devices[8];
	uint32_t count = sizeof(devices) / sizeof(devices[0]);
	char name[64];

	snprintf(name, sizeof(name), "Drover virtual GPU %u", gpu);
	if (vkEnumeratePhysicalDevices(vk->instance, &count, devices) < 0)
		return -EIO;
	for (uint32_t i = 0; i < count; i++) {
		VkPhysicalDeviceProperties properties;

		vkGetPhysicalDeviceProperties(devices[i], &properties);
		if (!strcmp(properties.deviceName, name)) {
			vk->physical = devices[i];
			vkGetPhysicalDeviceMemoryProperties(vk->physical, &vk->memory);
			return 0;
		}
	}
	complain(0, "Vulkan has no device \"%s\": is the layer found, and the module loaded?",
		 name);
	return -ENODEV;
}

static int create_device(struct vk *vk)
{
	static const char *const extensions[] = {
		VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
		VK_EXT_IMAGE_DRM_FORMAT_MODIFIER_EXTENSION_NAME,
		VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
	};
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	const VkPhysicalDeviceVulkan13Features features = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
		.dynamicRendering = VK_TRUE,
	};
	const VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = &features,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = sizeof(extensions) / sizeof(extensions[0]),
		.ppEnabledExtensionNames = extensions,
	};
	VkResult result = vkCreateDevice(vk->physical, &info, NULL, &vk->device);

	if (result)
		return vk_error(result);
	vkGetDeviceQueue(vk->device, 0, 0, &vk->queue);
	vk->get_memory_fd =
		(PFN_vkGetMemoryFdKHR)vkGetDeviceProcAddr(vk->device, "vkGetMemoryFdKHR");
	vk->get_memory_fd_properties = (PFN_vkGetMemoryFdPropertiesKHR)vkGetDeviceProcAddr(
		vk->device, "vkGetMemoryFdPropertiesKHR");
	return 0;
}

static int create_pools(struct vk *vk)
{
	const VkCommandPoolCreateInfo commands = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
	};
	const VkDescriptorPoolSize sizes[] = {
		{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 64},
		{VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, 4},
		{VK_DESCRIPTOR_TYPE_COMBINED_IMAGE_SAMPLER, 16},
	};
	const VkDescriptorPoolCreateInfo sets = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
		.maxSets = 32,
		.poolSizeCount = sizeof(sizes) / sizeof(sizes[0]),
		.pPoolSizes = sizes,
	};
	int ret = vk_error(vkCreateCommandPool(vk->device, &commands, NULL, &vk->pool));

	return ret ? ret : vk_error(vkCreateDescriptorPool(vk->device, &sets, NULL, &vk->sets));
}

int vk_open(struct vk *vk, unsigned int gpu)
{
	int ret = create_instance(vk);

	if (!ret)
		ret = find_gpu(vk, gpu);
	if (!ret)
		ret = create_device(vk);
	if (!ret)
		ret = create_pools(vk);
	if (ret)
		complain(ret, "GPU %u can't be used through Vulkan", gpu);
	return ret;
}

void vk_close(struct vk *vk)
{
	if (vk->device) {
		vkDestroyDescriptorPool(vk->device, vk->sets, NULL);
		vkDestroyCommandPool(vk->device, vk->pool, NULL);
		vkDestroyDevice(vk->device, NULL);
	}
	if (vk->instance)
		vkDestroyInstance(vk->instance, NULL);
}

/* ---- Memory ---- */

static uint32_t memory_type(const struct vk *vk, uint32_t bits, VkMemoryPropertyFlags wanted)
{
	for (uint32_t i = 0; i < vk->memory.memoryTypeCount; i++)
		if (bits & 1u << i && (vk->memory.memoryTypes[i].propertyFlags & wanted) == wanted)
			return i;
	return 0;
}

static int export_memory(struct vk *vk, VkDeviceMemory memory,
			 VkExternalMemoryHandleTypeFlagBits handle_type, int *fd)
{
	const VkMemoryGetFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.memory = memory,
		.handleType = handle_type,
	};

	return vk_error(vk->get_memory_fd(vk->device, &info, fd));
}

static int allocate_buffer(struct vk *vk, struct vk_buffer *buffer, bool for_cpu)
{
	const VkExportMemoryAllocateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &export,
	};
	VkMemoryRequirements requirements;
	int ret;

	vkGetBufferMemoryRequirements(vk->device, buffer->buffer, &requirements);
	info.allocationSize = requirements.size;
	info.memoryTypeIndex = memory_type(vk, requirements.memoryTypeBits,
					   for_cpu ? VK_MEMORY_PROPERTY_HOST_CACHED_BIT
						   : VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
	ret = vk_error(vkAllocateMemory(vk->device, &info, NULL, &buffer->memory));
	if (!ret)
		ret = vk_error(vkBindBufferMemory(vk->device, buffer->buffer, buffer->memory, 0));
	if (!ret)
		ret = vk_error(
			vkMapMemory(vk->device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &buffer->ptr));
	if (!ret)
		ret = export_memory(vk, buffer->memory,
				    VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT, &buffer->fd);
	return ret;
}

int vk_buffer_create(struct vk *vk, VkDeviceSize size, bool for_cpu, struct vk_buffer *buffer)
{
	const VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	const VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = &external,
		.size = size,
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT,
	};
	int ret;

	*buffer = (struct vk_buffer){.size = size, .fd = -1};
	ret = vk_error(vkCreateBuffer(vk->device, &info, NULL, &buffer->buffer));
	if (!ret)
		ret = allocate_buffer(vk, buffer, for_cpu);
	if (ret)
		vk_buffer_destroy(vk, buffer);
	return ret;
}

void vk_buffer_destroy(struct vk *vk, struct vk_buffer *buffer)
{
	if (buffer->buffer && buffer->fd >= 0)
		close(buffer->fd);
	vkDestroyBuffer(vk->device, buffer->buffer, NULL);
	vkFreeMemory(vk->device, buffer->memory, NULL);
	*buffer = (struct vk_buffer){.fd = -1};
}

/* ---- Images ---- */

static const VkImageCreateInfo frame_info = {
	.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
	.imageType = VK_IMAGE_TYPE_2D,
	.format = VK_FORMAT_B8G8R8A8_UNORM,
	.extent = {WIDTH, HEIGHT, 1},
	.mipLevels = 1,
	.arrayLayers = 1,
	.samples = VK_SAMPLE_COUNT_1_BIT,
	.tiling = VK_IMAGE_TILING_DRM_FORMAT_MODIFIER_EXT,
	.usage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_SAMPLED_BIT,
};

static int create_view(struct vk *vk, struct vk_image *image)
{
	const VkImageViewCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
		.image = image->image,
		.viewType = VK_IMAGE_VIEW_TYPE_2D,
		.format = frame_info.format,
		.subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1},
	};

	return vk_error(vkCreateImageView(vk->device, &info, NULL, &image->view));
}

/* types: what the memory may be of; next: what it is exported or imported as */
static int allocate_image(struct vk *vk, struct vk_image *image, uint32_t types, const void *next)
{
	const VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
		.pNext = next,
		.image = image->image,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &dedicated,
	};
	VkMemoryRequirements requirements;
	int ret;

	vkGetImageMemoryRequirements(vk->device, image->image, &requirements);
	info.allocationSize = requirements.size;
	info.memoryTypeIndex = memory_type(vk, requirements.memoryTypeBits & types, 0);
	ret = vk_error(vkAllocateMemory(vk->device, &info, NULL, &image->memory));
	if (!ret)
		ret = vk_error(vkBindImageMemory(vk->device, image->image, image->memory, 0));
	return ret ? ret : create_view(vk, image);
}

int vk_image_create(struct vk *vk, struct vk_image *image, int *dmabuf)
{
	const uint64_t linear = 0; /* DRM_FORMAT_MOD_LINEAR */
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
	const VkImageSubresource plane = {.aspectMask = VK_IMAGE_ASPECT_MEMORY_PLANE_0_BIT_EXT};
	VkImageCreateInfo info = frame_info;
	int ret;

	*image = (struct vk_image){0};
	info.pNext = &external;
	ret = vk_error(vkCreateImage(vk->device, &info, NULL, &image->image));
	if (!ret)
		ret = allocate_image(vk, image, ~0u, &export);
	if (!ret)
		ret = export_memory(vk, image->memory,
				    VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT, dmabuf);
	if (ret) {
		vk_image_destroy(vk, image);
		return ret;
	}
	vkGetImageSubresourceLayout(vk->device, image->image, &plane, &image->layout);
	return 0;
}

static int import_into(struct vk *vk, struct vk_image *image, int dmabuf)
{
	VkMemoryFdPropertiesKHR properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR,
	};
	VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
		.fd = dup(dmabuf),
	};
	int ret;

	if (import.fd < 0)
		return -errno;
	ret = vk_error(
		vk->get_memory_fd_properties(vk->device, import.handleType, dmabuf, &properties));
	if (!ret)
		ret = allocate_image(vk, image, properties.memoryTypeBits, &import);
	/* Vulkan's own once memory was made of it */
	if (!image->memory)
		close(import.fd);
	return ret;
}

int vk_image_import(struct vk *vk, int dmabuf, const VkSubresourceLayout *layout,
		    struct vk_image *image)
{
	const VkSubresourceLayout plane = {.offset = layout->offset, .rowPitch = layout->rowPitch};
	const VkImageDrmFormatModifierExplicitCreateInfoEXT modifier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT,
		.drmFormatModifierPlaneCount = 1,
		.pPlaneLayouts = &plane,
	};
	const VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
		.pNext = &modifier,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	VkImageCreateInfo info = frame_info;
	int ret;

	*image = (struct vk_image){0};
	info.pNext = &external;
	ret = vk_error(vkCreateImage(vk->device, &info, NULL, &image->image));
	if (!ret)
		ret = import_into(vk, image, dmabuf);
	if (ret)
		vk_image_destroy(vk, image);
	return ret;
}

void vk_image_destroy(struct vk *vk, struct vk_image *image)
{
	vkDestroyImageView(vk->device, image->view, NULL);
	vkDestroyImage(vk->device, image->image, NULL);
	vkFreeMemory(vk->device, image->memory, NULL);
	*image = (struct vk_image){0};
}
