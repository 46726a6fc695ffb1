// SPDX-License-Identifier: MIT
/* See memory_fake.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory_fake.h"

struct fake fake;

struct drover_bo {
	int references;
	uint64_t size;
	uint32_t placements;
	bool foreign;
	bool private_to_vm;
};

/* Only its address counts. */
struct drover_vm {
	char unused;
};

static struct drover_vm vm;
static struct virtual_gpu gpu = {
	/* usage goes by the device's number, not by how many others could be opened */
	.position = 1,
	.info = {.device_index = 3, .vram_size = FAKE_VRAM, .gtt_size = FAKE_GTT},
};
static struct virtual_gpu_device virtual_gpu = {
	.gpu = &gpu,
	.drover = (struct drover_device *)&vm,
	.vm = &vm,
	.aperture = (void *)(1ull << 40),
	.va_start = 0x10000,
	.va_end = 1ull << 30,
};
static struct layer_instance instance;
static struct layer_physical_device physical_device = {.virtual_gpu = &gpu};
static struct layer_device device;
/* A dispatchable handle's first word is all that is looked at. */
static void *dispatch_pointer;

static bool fails(void)
{
	return fake.fail_at && !--fake.fail_at;
}

/* ---- The virtual GPU ---- */

static struct drover_bo *new_bo(uint64_t size, uint32_t placements)
{
	struct drover_bo *bo = malloc(sizeof(*bo));

	if (!bo)
		abort();
	*bo = (struct drover_bo){.references = 1, .size = size, .placements = placements};
	fake.bos++;
	return bo;
}

int drover_bo_create(struct drover_device *dev, uint64_t size, uint32_t placements,
		     uint32_t preferred, struct drover_vm *of_vm, struct drover_bo **bo)
{
	if (fails())
		return fake.error;
	if (dev != virtual_gpu.drover || !size || size % 4096 || (of_vm && of_vm != &vm))
		return -EINVAL;
	*bo = new_bo(size, placements);
	(*bo)->private_to_vm = of_vm;
	fake.placements = placements;
	fake.preferred = preferred;
	fake.private_to_vm = of_vm;
	return 0;
}

int drover_bo_import(struct drover_device *dev, int dmabuf_fd, struct drover_bo **bo)
{
	if (fails())
		return fake.error;
	if (dev != virtual_gpu.drover || dmabuf_fd < 0)
		return -EBADF;
	*bo = new_bo(fake.import_size, fake.import_placements);
	(*bo)->foreign = fake.import_foreign;
	return 0;
}

int drover_bo_info(struct drover_bo *bo, struct drm_drover_bo_info *info)
{
	if (fails())
		return fake.error;
	*info = (struct drm_drover_bo_info){
		.size = bo->size,
		.placements = bo->placements,
		.flags = bo->foreign ? DRM_DROVER_BO_IMPORTED : 0,
	};
	return 0;
}

int drover_bo_export(struct drover_bo *bo, int *dmabuf_fd)
{
	if (fails())
		return fake.error;
	if (bo->private_to_vm)
		return -EPERM;
	*dmabuf_fd = 1000;
	return 0;
}

void drover_bo_unref(struct drover_bo *bo)
{
	if (--bo->references)
		return;
	fake.bos--;
	free(bo);
}

int drover_vm_bind(struct drover_vm *of_vm, uint64_t va, struct drover_bo *bo, uint64_t bo_offset,
		   uint64_t size, uint32_t flags)
{
	if (fails())
		return fake.error;
	if (of_vm != &vm || va % 4096 || bo_offset || size > bo->size || flags)
		return -EINVAL;
	fake.bindings++;
	fake.address = va;
	fake.bound_size = size;
	return 0;
}

int drover_vm_unbind(struct drover_vm *of_vm, uint64_t va, uint64_t size)
{
	(void)va;
	(void)size;
	fake.bindings--;
	return of_vm == &vm && !fails() ? 0 : -ENODEV;
}

/* ---- The driver ---- */

static void write_down(const VkMemoryAllocateInfo *info)
{
	fake.allocate_info = *info;
	fake.has_import = fake.has_flags = fake.has_others = false;
	for (const VkBaseInStructure *next = info->pNext; next; next = next->pNext) {
		switch (next->sType) {
		case VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT:
			fake.import = *(const VkImportMemoryHostPointerInfoEXT *)next;
			fake.has_import = true;
			break;
		case VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO:
			fake.flags = *(const VkMemoryAllocateFlagsInfo *)next;
			fake.has_flags = true;
			break;
		default:
			fake.has_others = true;
		}
	}
}

static VKAPI_ATTR VkResult VKAPI_CALL driver_allocate(VkDevice handle,
						      const VkMemoryAllocateInfo *info,
						      const VkAllocationCallbacks *allocator,
						      VkDeviceMemory *memory)
{
	static uint64_t next_handle = 0x1000;

	(void)handle;
	if (fails())
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	write_down(info);
	fake.allocator = allocator;
	fake.driver_memories++;
	next_handle += 16;
	*memory = (VkDeviceMemory)next_handle;
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL driver_free(VkDevice handle, VkDeviceMemory memory,
					      const VkAllocationCallbacks *allocator)
{
	(void)handle;
	fake.allocator = allocator;
	fake.bindings_at_free = fake.bindings;
	if (memory)
		fake.driver_memories--;
}

static VKAPI_ATTR VkResult VKAPI_CALL
driver_pointer_properties(VkDevice handle, VkExternalMemoryHandleTypeFlagBits handle_type,
			  const void *pointer, VkMemoryHostPointerPropertiesEXT *properties)
{
	(void)handle;
	if (fails() || handle_type != VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT)
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	properties->memoryTypeBits = pointer ? FAKE_DRIVER_TYPES : 0;
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL driver_set_priority(VkDevice handle, VkDeviceMemory memory,
						      float priority)
{
	(void)handle;
	(void)memory;
	(void)priority;
	fake.priorities++;
}

/* The handle says which types there are; the alignment, which of the commands was called. */
static VkMemoryRequirements requirements_of(uint64_t handle, enum fake_requirements command)
{
	return (VkMemoryRequirements){
		.size = 100,
		.alignment = 64u << command,
		.memoryTypeBits = (uint32_t)handle,
	};
}

static VKAPI_ATTR void VKAPI_CALL driver_buffer_requirements(VkDevice handle, VkBuffer buffer,
							     VkMemoryRequirements *requirements)
{
	(void)handle;
	*requirements = requirements_of((uint64_t)buffer, FAKE_OF_BUFFER);
}

static VKAPI_ATTR void VKAPI_CALL driver_image_requirements(VkDevice handle, VkImage image,
							    VkMemoryRequirements *requirements)
{
	(void)handle;
	*requirements = requirements_of((uint64_t)image, FAKE_OF_IMAGE);
}

#define DRIVER_REQUIREMENTS2(function, info_type, handle_of_info, command)                 \
	static VKAPI_ATTR void VKAPI_CALL function(VkDevice handle, const info_type *info, \
						   VkMemoryRequirements2 *requirements)    \
	{                                                                                  \
		(void)handle;                                                              \
		requirements->memoryRequirements =                                         \
			requirements_of((uint64_t)(handle_of_info), command);              \
	}

DRIVER_REQUIREMENTS2(driver_buffer_requirements2, VkBufferMemoryRequirementsInfo2, info->buffer,
		     FAKE_OF_BUFFER2)
DRIVER_REQUIREMENTS2(driver_buffer_requirements2_khr, VkBufferMemoryRequirementsInfo2, info->buffer,
		     FAKE_OF_BUFFER2_KHR)
DRIVER_REQUIREMENTS2(driver_image_requirements2, VkImageMemoryRequirementsInfo2, info->image,
		     FAKE_OF_IMAGE2)
DRIVER_REQUIREMENTS2(driver_image_requirements2_khr, VkImageMemoryRequirementsInfo2, info->image,
		     FAKE_OF_IMAGE2_KHR)
/* these have no handle: the create-info's size or width says which types there are */
DRIVER_REQUIREMENTS2(driver_buffer_info_requirements, VkDeviceBufferMemoryRequirements,
		     info->pCreateInfo->size, FAKE_OF_BUFFER_INFO)
DRIVER_REQUIREMENTS2(driver_buffer_info_requirements_khr, VkDeviceBufferMemoryRequirements,
		     info->pCreateInfo->size, FAKE_OF_BUFFER_INFO_KHR)
DRIVER_REQUIREMENTS2(driver_image_info_requirements, VkDeviceImageMemoryRequirements,
		     info->pCreateInfo->extent.width, FAKE_OF_IMAGE_INFO)
DRIVER_REQUIREMENTS2(driver_image_info_requirements_khr, VkDeviceImageMemoryRequirements,
		     info->pCreateInfo->extent.width, FAKE_OF_IMAGE_INFO_KHR)

static void fill_requirements(VkuDeviceDispatchTable *table)
{
	table->GetBufferMemoryRequirements = driver_buffer_requirements;
	table->GetImageMemoryRequirements = driver_image_requirements;
	table->GetBufferMemoryRequirements2 = driver_buffer_requirements2;
	table->GetBufferMemoryRequirements2KHR = driver_buffer_requirements2_khr;
	table->GetImageMemoryRequirements2 = driver_image_requirements2;
	table->GetImageMemoryRequirements2KHR = driver_image_requirements2_khr;
	table->GetDeviceBufferMemoryRequirements = driver_buffer_info_requirements;
	table->GetDeviceBufferMemoryRequirementsKHR = driver_buffer_info_requirements_khr;
	table->GetDeviceImageMemoryRequirements = driver_image_info_requirements;
	table->GetDeviceImageMemoryRequirementsKHR = driver_image_info_requirements_khr;
}

static VKAPI_ATTR void VKAPI_CALL driver_memory_types(VkPhysicalDevice handle,
						      VkPhysicalDeviceMemoryProperties *properties)
{
	(void)handle;
	*properties = (VkPhysicalDeviceMemoryProperties){
		.memoryTypeCount = 3,
		.memoryTypes[0].propertyFlags =
			VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
		.memoryTypes[1].propertyFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
		.memoryTypes[2].propertyFlags =
			VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
	};
}

/* ---- The rest of the layer ---- */

/* empty: what isn't there is looked for below */
struct layer_recent_device layer_recent_devices[LAYER_RECENT_DEVICES];

struct layer_device *layer_device_find(const void *dispatch_key)
{
	return dispatch_key == dispatch_pointer ? &device : NULL;
}

VkResult request_extension(struct layer_device_request *request, const char *name)
{
	(void)request;
	(void)name;
	return VK_SUCCESS;
}

void layer_log(struct layer_log *log, enum layer_log_level level, const char *format, ...)
{
	(void)log;
	(void)level;
	(void)format;
}

struct layer_device *fake_layer_device(void)
{
	return &device;
}

VkDevice fake_device_open(void)
{
	VkuDeviceDispatchTable *below = &device.below[LAYER_MODULE_MEMORY];

	memset(&fake, 0, sizeof(fake));
	memset(&device, 0, sizeof(device));
	dispatch_pointer = &device;
	instance.next.GetPhysicalDeviceMemoryProperties = driver_memory_types;
	physical_device.instance = &instance;
	device.instance = &instance;
	device.physical_device = &physical_device;
	device.handle = (VkDevice)&dispatch_pointer;
	virtual_gpu.process = getpid();
	device.virtual_gpu = &virtual_gpu;
	below->AllocateMemory = driver_allocate;
	below->FreeMemory = driver_free;
	below->GetMemoryHostPointerPropertiesEXT = driver_pointer_properties;
	below->SetDeviceMemoryPriorityEXT = driver_set_priority;
	fill_requirements(below);
	device.next = *below;
	return memory_module.device_create(&device, NULL) ? VK_NULL_HANDLE : device.handle;
}

void fake_device_close(void)
{
	memory_module.device_destroy(&device);
}

PFN_vkVoidFunction fake_command(const char *name)
{
	for (const struct layer_entry *entry = memory_module.device_entries; entry->name; entry++)
		if (!strcmp(entry->name, name))
			return !entry->wanted || entry->wanted(&device) ? entry->function : NULL;
	return NULL;
}
