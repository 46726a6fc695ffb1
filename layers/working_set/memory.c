// SPDX-License-Identifier: MIT
/*
 * Owns the VkDeviceMemory of virtual mode: allocating, importing, exporting, freeing.
 *
 * The driver's memory object is an import of a host pointer: everything else that the application
 * asked for in vkAllocateMemory (export, dedicated, priority) concerns the BO, not the driver, which could
 * do nothing with it but harm: its answer to a priority is madvise() on the aperture. Mapping needs
 * nothing: the driver's pointer is the aperture's.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <drover/drover.h>

#include "backing.h"
#include "entry.h"
#include "memory.h"
#include "requirements.h"
#include "virtual_gpu.h"

#define PAGE 4096ull
/* What a BO can be exported and imported as. */
#define FD_TYPES                                        \
	(VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT | \
	 VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT)

_Static_assert((int)USAGE_HEAP_VRAM == VIRTUAL_GPU_VRAM && (int)USAGE_HEAP_GTT == VIRTUAL_GPU_GTT &&
		       (int)USAGE_HEAP_COUNT == VIRTUAL_GPU_HEAPS,
	       "a memory type has its heap's number");

/* What is kept for a VkDeviceMemory that lies in a BO. */
struct memory {
	struct backing backing;
};

/* What vkAllocateMemory was asked for, as far as it matters here. */
struct request {
	const VkMemoryAllocateInfo *info;
	const VkImportMemoryFdInfoKHR *import_fd;
	const VkImportMemoryHostPointerInfoEXT *import_pointer;
	bool exportable;
	VkMemoryAllocateFlags flags;
	uint32_t device_mask;
};

static bool is_virtual(const struct layer_device *device)
{
	return device->memory;
}

static struct memory *memory_find(const struct layer_device *device, VkDeviceMemory handle)
{
	return table_get(&device->memory->memories, table_key(handle));
}

static void read_request(const VkMemoryAllocateInfo *info, struct request *request)
{
	const VkExportMemoryAllocateInfo *export_info;
	const VkMemoryAllocateFlagsInfo *flags_info;

	*request = (struct request){.info = info};
	request->import_fd =
		layer_find_struct(info->pNext, VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR);
	if (request->import_fd && !request->import_fd->handleType)
		request->import_fd = NULL;
	request->import_pointer = layer_find_struct(
		info->pNext, VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT);
	if (request->import_pointer && !request->import_pointer->handleType)
		request->import_pointer = NULL;
	export_info = layer_find_struct(info->pNext, VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO);
	if (export_info)
		request->exportable = export_info->handleTypes & FD_TYPES;
	flags_info = layer_find_struct(info->pNext, VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO);
	if (flags_info) {
		request->flags = flags_info->flags & (VK_MEMORY_ALLOCATE_DEVICE_MASK_BIT |
						      VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT);
		request->device_mask = flags_info->deviceMask;
	}
}

/* Have the driver make a memory object of a host pointer. */
static VkResult allocate_below(struct layer_device *device, const struct request *request,
			       VkExternalMemoryHandleTypeFlagBits handle_type, void *pointer,
			       VkDeviceSize size, const VkAllocationCallbacks *allocator,
			       VkDeviceMemory *handle)
{
	VkMemoryAllocateFlagsInfo flags = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
		.flags = request->flags,
		.deviceMask = request->device_mask,
	};
	VkImportMemoryHostPointerInfoEXT import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		.pNext = request->flags ? &flags : NULL,
		.handleType = handle_type,
		.pHostPointer = pointer,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &import,
		.allocationSize = size,
		.memoryTypeIndex = device->memory->driver_memory_type,
	};

	return device->below[LAYER_MODULE_MEMORY].AllocateMemory(device->handle, &info, allocator,
								 handle);
}

static VkResult make_backing(struct memory_device *memory, const struct request *request,
			     struct backing *backing)
{
	VkDeviceSize size = request->info->allocationSize;
	enum usage_heap heap = request->info->memoryTypeIndex;

	if (!size || size > UINT64_MAX - (PAGE - 1) || heap >= USAGE_HEAP_COUNT)
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	size = (size + PAGE - 1) / PAGE * PAGE;
	if (!memory_is_ours(memory))
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	if (!request->import_fd)
		return backing_create(memory, size, heap, request->exportable, backing);
	return backing_import(memory, request->import_fd->fd,
			      request->import_fd->handleType ==
				      VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT,
			      size, heap, backing);
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice handle,
						      const VkMemoryAllocateInfo *info,
						      const VkAllocationCallbacks *allocator,
						      VkDeviceMemory *memory_handle)
{
	struct layer_device *device = layer_device_of(handle);
	VkDeviceMemory below = VK_NULL_HANDLE;
	struct request request;
	struct memory *memory;
	VkResult result;

	read_request(info, &request);
	if (request.import_pointer)
		return allocate_below(device, &request, request.import_pointer->handleType,
				      request.import_pointer->pHostPointer, info->allocationSize,
				      allocator, memory_handle);

	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	result = make_backing(device->memory, &request, &memory->backing);
	if (result != VK_SUCCESS)
		goto err_memory;
	result = allocate_below(device, &request,
				VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
				backing_pointer(device->memory, &memory->backing),
				memory->backing.size, allocator, &below);
	if (result != VK_SUCCESS)
		goto err_backing;
	if (!table_put(&device->memory->memories, table_key(below), memory)) {
		result = VK_ERROR_OUT_OF_HOST_MEMORY;
		goto err_below;
	}
	/* it is ours now that nothing can fail any more */
	if (request.import_fd)
		close(request.import_fd->fd);
	*memory_handle = below;
	return VK_SUCCESS;

err_below:
	device->below[LAYER_MODULE_MEMORY].FreeMemory(handle, below, allocator);
err_backing:
	backing_destroy(device->memory, &memory->backing);
err_memory:
	free(memory);
	return result;
}

static VKAPI_ATTR void VKAPI_CALL free_memory(VkDevice handle, VkDeviceMemory memory_handle,
					      const VkAllocationCallbacks *allocator)
{
	struct layer_device *device = layer_device_of(handle);
	struct memory *memory = NULL;

	/* out of the table first: the handle may be another object's as soon as the driver has it */
	if (memory_handle)
		memory = table_remove(&device->memory->memories, table_key(memory_handle));
	device->below[LAYER_MODULE_MEMORY].FreeMemory(handle, memory_handle, allocator);
	if (!memory)
		return;
	backing_destroy(device->memory, &memory->backing);
	free(memory);
}

/* OPAQUE_FD and DMA_BUF are the same: a dma-buf, from which an importer sees whose it is. */
static VKAPI_ATTR VkResult VKAPI_CALL get_memory_fd(VkDevice handle,
						    const VkMemoryGetFdInfoKHR *info, int *fd)
{
	struct layer_device *device = layer_device_of(handle);
	const struct memory *memory = memory_find(device, info->memory);
	int error;

	/* the application's own host pointer: the driver can't share it either */
	if (!memory)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	error = drover_bo_export(memory->backing.bo, fd);
	if (error == -EMFILE || error == -ENFILE)
		return VK_ERROR_TOO_MANY_OBJECTS;
	return error ? VK_ERROR_OUT_OF_HOST_MEMORY : VK_SUCCESS;
}

/* Which memory an import would be, seen from the virtual GPU. */
static uint32_t type_bits_of_import(const struct drm_drover_bo_info *info)
{
	if (info->placements & DRM_DROVER_PLACEMENT_VRAM)
		return 1u << USAGE_HEAP_VRAM;
	return 1u << USAGE_HEAP_GTT;
}

static VKAPI_ATTR VkResult VKAPI_CALL
get_memory_fd_properties(VkDevice handle, VkExternalMemoryHandleTypeFlagBits handle_type, int fd,
			 VkMemoryFdPropertiesKHR *properties)
{
	struct layer_device *device = layer_device_of(handle);
	struct drm_drover_bo_info info;
	struct drover_bo *bo;
	int error;

	/* nobody may ask about an opaque one */
	if (handle_type != VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT)
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	/* the parent may have the same import under the same handle */
	if (!memory_is_ours(device->memory))
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	error = drover_bo_import(device->memory->drover, fd, &bo);
	if (error)
		/* this call may not speak of device memory, which -ENOSPC is about */
		return error == -ENOMEM || error == -ENOSPC ? VK_ERROR_OUT_OF_HOST_MEMORY
							    : VK_ERROR_INVALID_EXTERNAL_HANDLE;
	error = drover_bo_info(bo, &info);
	drover_bo_unref(bo);
	if (error)
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	properties->memoryTypeBits = type_bits_of_import(&info);
	return VK_SUCCESS;
}

/* Host memory stays what it is: reached by the GPU, and none of its own. */
static VKAPI_ATTR VkResult VKAPI_CALL
get_host_pointer_properties(VkDevice handle, VkExternalMemoryHandleTypeFlagBits handle_type,
			    const void *pointer, VkMemoryHostPointerPropertiesEXT *properties)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result = device->below[LAYER_MODULE_MEMORY].GetMemoryHostPointerPropertiesEXT(
		handle, handle_type, pointer, properties);

	if (result == VK_SUCCESS)
		properties->memoryTypeBits =
			memory_type_bits(device->memory, properties->memoryTypeBits) &
			1u << USAGE_HEAP_GTT;
	return result;
}

/* A hint for whoever decides what is evicted first: the kernel, which goes by the last use. */
static VKAPI_ATTR void VKAPI_CALL set_memory_priority(VkDevice handle, VkDeviceMemory memory_handle,
						      float priority)
{
	struct layer_device *device = layer_device_of(handle);

	if (!memory_find(device, memory_handle))
		device->below[LAYER_MODULE_MEMORY].SetDeviceMemoryPriorityEXT(handle, memory_handle,
									      priority);
}

static VkResult memory_device_extensions(struct layer_device_request *request)
{
	if (!request->physical_device->virtual_gpu)
		return VK_SUCCESS;
	return request_extension(request, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
}

/* Which of the driver's memory types takes pointers into the aperture, and may be mapped. */
static VkResult find_driver_memory_type(struct layer_device *device, void *pointer, uint32_t *type)
{
	const VkMemoryPropertyFlags needed =
		VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	struct layer_instance *instance = device->instance;
	VkMemoryHostPointerPropertiesEXT accepted = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT,
	};
	VkPhysicalDeviceMemoryProperties types;
	VkResult result;

	result = device->next.GetMemoryHostPointerPropertiesEXT(
		device->handle, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT, pointer,
		&accepted);
	if (result != VK_SUCCESS)
		return VK_ERROR_INITIALIZATION_FAILED;
	instance->next.GetPhysicalDeviceMemoryProperties(device->physical_device->handle, &types);
	for (uint32_t i = 0; i < types.memoryTypeCount; i++) {
		if (!(accepted.memoryTypeBits & 1u << i) ||
		    (types.memoryTypes[i].propertyFlags & needed) != needed)
			continue;
		*type = i;
		return VK_SUCCESS;
	}
	return VK_ERROR_INITIALIZATION_FAILED;
}

static VkResult memory_device_create(struct layer_device *device,
				     const struct layer_device_request *request)
{
	const struct virtual_gpu_device *virtual_gpu = device->virtual_gpu;
	struct memory_device *memory;
	VkResult result;

	(void)request;
	if (!virtual_gpu)
		return VK_SUCCESS;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	memory->process = virtual_gpu->process;
	memory->drover = virtual_gpu->drover;
	memory->vm = virtual_gpu->vm;
	memory->aperture = virtual_gpu->aperture;
	memory->gpu = virtual_gpu->gpu->info.device_index;
	memory->heap_sizes[USAGE_HEAP_VRAM] = virtual_gpu->gpu->info.vram_size;
	memory->heap_sizes[USAGE_HEAP_GTT] = virtual_gpu->gpu->info.gtt_size;
	result = find_driver_memory_type(device, memory->aperture + virtual_gpu->va_start,
					 &memory->driver_memory_type);
	if (result != VK_SUCCESS) {
		layer_log(
			&device->instance->log, LAYER_LOG_ERROR,
			"The driver takes no pointer into a virtual GPU's address space as memory; "
			"expected a type that is host visible and coherent; use a current lavapipe, "
			"or the layer's setting mode=native");
		goto err_memory;
	}
	if (addresses_init(&memory->addresses, virtual_gpu->va_start, virtual_gpu->va_end)) {
		result = VK_ERROR_OUT_OF_HOST_MEMORY;
		goto err_memory;
	}
	table_init(&memory->memories);
	device->memory = memory;
	return VK_SUCCESS;

err_memory:
	free(memory);
	return result;
}

/* The VM goes next, and everything bound in it with it. */
static void forget_memory(uint64_t handle, void *value, void *data)
{
	struct memory *memory = value;

	(void)handle;
	backing_abandon(data, &memory->backing);
	free(memory);
}

static void memory_device_destroy(struct layer_device *device)
{
	struct memory_device *memory = device->memory;

	if (!memory)
		return;
	table_for_each(&memory->memories, forget_memory, memory);
	table_fini(&memory->memories);
	addresses_destroy(&memory->addresses);
	free(memory);
	device->memory = NULL;
}

static const struct layer_entry device_entries[] = {
	DEVICE_ENTRY(AllocateMemory, allocate_memory, is_virtual),
	DEVICE_ENTRY(FreeMemory, free_memory, is_virtual),
	DEVICE_ENTRY(GetMemoryFdKHR, get_memory_fd, is_virtual),
	DEVICE_ENTRY(GetMemoryFdPropertiesKHR, get_memory_fd_properties, is_virtual),
	DEVICE_ENTRY(GetMemoryHostPointerPropertiesEXT, get_host_pointer_properties, is_virtual),
	DEVICE_ENTRY(SetDeviceMemoryPriorityEXT, set_memory_priority, is_virtual),
	DEVICE_ENTRY(GetBufferMemoryRequirements, requirements_of_buffer, is_virtual),
	DEVICE_ENTRY(GetBufferMemoryRequirements2, requirements_of_buffer2, is_virtual),
	DEVICE_ENTRY(GetBufferMemoryRequirements2KHR, requirements_of_buffer2_khr, is_virtual),
	DEVICE_ENTRY(GetImageMemoryRequirements, requirements_of_image, is_virtual),
	DEVICE_ENTRY(GetImageMemoryRequirements2, requirements_of_image2, is_virtual),
	DEVICE_ENTRY(GetImageMemoryRequirements2KHR, requirements_of_image2_khr, is_virtual),
	DEVICE_ENTRY(GetDeviceBufferMemoryRequirements, requirements_of_buffer_info, is_virtual),
	DEVICE_ENTRY(GetDeviceBufferMemoryRequirementsKHR, requirements_of_buffer_info_khr,
		     is_virtual),
	DEVICE_ENTRY(GetDeviceImageMemoryRequirements, requirements_of_image_info, is_virtual),
	DEVICE_ENTRY(GetDeviceImageMemoryRequirementsKHR, requirements_of_image_info_khr,
		     is_virtual),
	{0},
};

const struct layer_module memory_module = {
	.name = "memory",
	.device_entries = device_entries,
	.device_extensions = memory_device_extensions,
	.device_create = memory_device_create,
	.device_destroy = memory_device_destroy,
};
