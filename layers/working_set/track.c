// SPDX-License-Identifier: MIT
/*
 * Owns what is known of shared memory: dma-bufs, memory objects, and buffers and images bound to
 * them.
 *
 * One lock per device for all that is counted; the tables have their own. Nothing here is on
 * the way of a submission or a barrier that has no ownership transfer.
 */
#include "track.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <drover/drover.h>

#include "access.h"
#include "bridge.h"
#include "entry.h"
#include "telemetry.h"

struct tracked_memory {
	/* Of the VkDeviceMemory, of resources bound to it, and of command buffers. */
	atomic_uint references;
	/* The rest: under the lock. NULL: not exported yet, no dma-buf, or freed. */
	struct tracked_dmabuf *dmabuf;
	/* How many buffers and images are bound to it, and how many of them may be written to. */
	uint32_t bound;
	uint32_t bound_writable;
	struct tracked_memory *next;
	struct tracked_memory *previous;
};

static const VkExternalMemoryHandleTypeFlags fd_types =
	VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT |
	VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT;

bool track_wanted(const struct layer_device *device)
{
	return device->track;
}

/* ---- dma-bufs ---- */

static void dmabuf_put_locked(struct track_device *track, struct tracked_dmabuf *dmabuf)
{
	if (!dmabuf || --dmabuf->references)
		return;
	table_remove(&track->dmabufs, dmabuf->inode);
	close(dmabuf->fd);
	free(dmabuf);
}

static struct tracked_dmabuf *dmabuf_new(struct layer_device *device, int fd, uint64_t inode)
{
	struct tracked_dmabuf *dmabuf = calloc(1, sizeof(*dmabuf));

	if (!dmabuf)
		return NULL;
	dmabuf->inode = inode;
	dmabuf->references = 1;
	dmabuf->fd = bridge_dup(fd);
	if (dmabuf->fd < 0)
		goto free_dmabuf;
	drover_dmabuf_size(fd, &dmabuf->size);
	if (!table_put(&device->track->dmabufs, inode, dmabuf))
		goto close_fd;
	return dmabuf;

close_fd:
	close(dmabuf->fd);
free_dmabuf:
	free(dmabuf);
	return NULL;
}

/* Return: with a reference; NULL: no dma-buf, or nothing left to remember it with. */
static struct tracked_dmabuf *dmabuf_from_fd(struct layer_device *device, int fd)
{
	struct track_device *track = device->track;
	struct tracked_dmabuf *dmabuf;
	uint64_t inode;

	if (bridge_identify(fd, &inode))
		return NULL;
	pthread_mutex_lock(&track->lock);
	dmabuf = table_get(&track->dmabufs, inode);
	if (dmabuf)
		dmabuf->references++;
	else
		dmabuf = dmabuf_new(device, fd, inode);
	pthread_mutex_unlock(&track->lock);
	if (!dmabuf)
		layer_log(
			&device->instance->log, LAYER_LOG_WARNING,
			"a dma-buf was shared without implicit sync: no file descriptor or no memory "
			"was left to keep track of it; raise the limit on open files (ulimit -n)");
	return dmabuf;
}

/* ---- Memory objects ---- */

static struct tracked_memory *memory_find_or_add(struct track_device *track, VkDeviceMemory handle)
{
	struct tracked_memory *memory = table_get(&track->memories, table_key(handle));

	if (memory)
		return memory;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return NULL;
	memory->references = 1;
	if (!table_put(&track->memories, table_key(handle), memory)) {
		free(memory);
		return NULL;
	}
	atomic_fetch_add(&track->num_memories, 1);
	return memory;
}

struct tracked_memory *track_memory_get(struct tracked_memory *memory)
{
	atomic_fetch_add(&memory->references, 1);
	return memory;
}

void track_memory_put(struct tracked_memory *memory)
{
	if (memory && atomic_fetch_sub(&memory->references, 1) == 1)
		free(memory);
}

static void unlink_shared(struct track_device *track, struct tracked_memory *memory)
{
	if (memory->next)
		memory->next->previous = memory->previous;
	if (memory->previous)
		memory->previous->next = memory->next;
	else
		track->shared = memory->next;
}

/* Takes over the reference of @dmabuf, which may be NULL. */
static void memory_remember(struct layer_device *device, VkDeviceMemory handle,
			    struct tracked_dmabuf *dmabuf)
{
	struct track_device *track = device->track;
	struct tracked_memory *memory;

	pthread_mutex_lock(&track->lock);
	memory = memory_find_or_add(track, handle);
	if (!memory || memory->dmabuf) {
		dmabuf_put_locked(track, dmabuf);
	} else if (dmabuf) {
		memory->dmabuf = dmabuf;
		memory->previous = NULL;
		memory->next = track->shared;
		if (memory->next)
			memory->next->previous = memory;
		track->shared = memory;
	}
	pthread_mutex_unlock(&track->lock);
}

static void memory_forget(struct track_device *track, VkDeviceMemory handle)
{
	struct tracked_memory *memory;

	if (!handle || !table_get(&track->memories, table_key(handle)))
		return;
	pthread_mutex_lock(&track->lock);
	memory = table_remove(&track->memories, table_key(handle));
	if (memory)
		atomic_fetch_sub(&track->num_memories, 1);
	if (memory && memory->dmabuf) {
		unlink_shared(track, memory);
		dmabuf_put_locked(track, memory->dmabuf);
		memory->dmabuf = NULL;
	}
	pthread_mutex_unlock(&track->lock);
	track_memory_put(memory);
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice handle,
						      const VkMemoryAllocateInfo *info,
						      const VkAllocationCallbacks *allocator,
						      VkDeviceMemory *memory)
{
	struct layer_device *device = layer_device_of(handle);
	const VkExportMemoryAllocateInfo *export =
		layer_find_struct(info->pNext, VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO);
	const VkImportMemoryFdInfoKHR *import =
		layer_find_struct(info->pNext, VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR);
	struct tracked_dmabuf *dmabuf = NULL;
	VkResult result;

	/* before the call: with its success the file descriptor is the driver's */
	if (import && import->handleType & fd_types)
		dmabuf = dmabuf_from_fd(device, import->fd);
	result = device->below[LAYER_MODULE_TRACK].AllocateMemory(handle, info, allocator, memory);
	if (result == VK_SUCCESS && (dmabuf || (export && export->handleTypes & fd_types))) {
		memory_remember(device, *memory, dmabuf);
	} else if (dmabuf) {
		pthread_mutex_lock(&device->track->lock);
		dmabuf_put_locked(device->track, dmabuf);
		pthread_mutex_unlock(&device->track->lock);
	}
	if (dmabuf && result == VK_SUCCESS)
		telemetry_count(device, TELEMETRY_IMPORTS, 1);
	return result;
}

static VKAPI_ATTR void VKAPI_CALL free_memory(VkDevice handle, VkDeviceMemory memory,
					      const VkAllocationCallbacks *allocator)
{
	struct layer_device *device = layer_device_of(handle);

	/* first: the handle may mean something else as soon as the driver has it back */
	if (atomic_load_explicit(&device->track->num_memories, memory_order_relaxed))
		memory_forget(device->track, memory);
	device->below[LAYER_MODULE_TRACK].FreeMemory(handle, memory, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL get_memory_fd(VkDevice handle,
						    const VkMemoryGetFdInfoKHR *info, int *fd)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result = device->below[LAYER_MODULE_TRACK].GetMemoryFdKHR(handle, info, fd);
	struct tracked_dmabuf *dmabuf;

	if (result != VK_SUCCESS)
		return result;
	dmabuf = dmabuf_from_fd(device, *fd);
	if (dmabuf) {
		memory_remember(device, info->memory, dmabuf);
		telemetry_count(device, TELEMETRY_EXPORTS, 1);
	}
	return result;
}

/* ---- Buffers and images ---- */

/* Return: NULL: no memory. */
static struct tracked_resource *resource_add(struct table *table, uint64_t key, bool writable)
{
	struct tracked_resource *resource = calloc(1, sizeof(*resource));

	if (!resource)
		return NULL;
	resource->writable = writable;
	if (!table_put(table, key, resource)) {
		free(resource);
		return NULL;
	}
	return resource;
}

static void resource_bind(struct layer_device *device, struct table *table, uint64_t key,
			  VkDeviceMemory memory_handle)
{
	struct track_device *track = device->track;
	struct tracked_resource *resource = table_get(table, key);
	struct tracked_memory *memory;

	/* one of them says that they are to be shared; the other need not, though it should */
	if (!memory_handle || (!resource && !table_get(&track->memories, table_key(memory_handle))))
		return;
	if (!resource)
		resource = resource_add(table, key, true);
	if (!resource || resource->num_memories == TRACK_MAX_PLANES)
		return;
	pthread_mutex_lock(&track->lock);
	memory = memory_find_or_add(track, memory_handle);
	if (memory) {
		memory->bound++;
		memory->bound_writable += resource->writable;
		resource->memories[resource->num_memories++] = track_memory_get(memory);
	}
	pthread_mutex_unlock(&track->lock);
}

static void resource_free(struct track_device *track, struct tracked_resource *resource)
{
	uint32_t i;

	if (!resource)
		return;
	pthread_mutex_lock(&track->lock);
	for (i = 0; i < resource->num_memories; i++) {
		resource->memories[i]->bound--;
		resource->memories[i]->bound_writable -= resource->writable;
	}
	pthread_mutex_unlock(&track->lock);
	for (i = 0; i < resource->num_memories; i++)
		track_memory_put(resource->memories[i]);
	free(resource);
}

static bool is_shared(const void *chain, VkStructureType type)
{
	/* VkExternalMemoryBufferCreateInfo has the same members */
	const VkExternalMemoryImageCreateInfo *external = layer_find_struct(chain, type);

	return external && external->handleTypes & fd_types;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_buffer(VkDevice handle, const VkBufferCreateInfo *info,
						    const VkAllocationCallbacks *allocator,
						    VkBuffer *buffer)
{
	struct layer_device *device = layer_device_of(handle);
	const VkBufferUsageFlags2CreateInfo *usage2 =
		layer_find_struct(info->pNext, VK_STRUCTURE_TYPE_BUFFER_USAGE_FLAGS_2_CREATE_INFO);
	VkResult result =
		device->below[LAYER_MODULE_TRACK].CreateBuffer(handle, info, allocator, buffer);

	if (result == VK_SUCCESS &&
	    is_shared(info->pNext, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO))
		resource_add(&device->track->buffers, table_key(*buffer),
			     access_buffer_writable(usage2 ? usage2->usage : info->usage));
	return result;
}

static VKAPI_ATTR void VKAPI_CALL destroy_buffer(VkDevice handle, VkBuffer buffer,
						 const VkAllocationCallbacks *allocator)
{
	struct layer_device *device = layer_device_of(handle);

	if (buffer)
		resource_free(device->track,
			      table_remove(&device->track->buffers, table_key(buffer)));
	device->below[LAYER_MODULE_TRACK].DestroyBuffer(handle, buffer, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_image(VkDevice handle, const VkImageCreateInfo *info,
						   const VkAllocationCallbacks *allocator,
						   VkImage *image)
{
	struct layer_device *device = layer_device_of(handle);
	const VkImageStencilUsageCreateInfo *stencil =
		layer_find_struct(info->pNext, VK_STRUCTURE_TYPE_IMAGE_STENCIL_USAGE_CREATE_INFO);
	VkResult result =
		device->below[LAYER_MODULE_TRACK].CreateImage(handle, info, allocator, image);

	if (result == VK_SUCCESS &&
	    is_shared(info->pNext, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO))
		resource_add(&device->track->images, table_key(*image),
			     access_image_writable(info->usage |
						   (stencil ? stencil->stencilUsage : 0)));
	return result;
}

static VKAPI_ATTR void VKAPI_CALL destroy_image(VkDevice handle, VkImage image,
						const VkAllocationCallbacks *allocator)
{
	struct layer_device *device = layer_device_of(handle);

	if (image)
		resource_free(device->track,
			      table_remove(&device->track->images, table_key(image)));
	device->below[LAYER_MODULE_TRACK].DestroyImage(handle, image, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_buffer_memory(VkDevice handle, VkBuffer buffer,
							 VkDeviceMemory memory, VkDeviceSize offset)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result =
		device->below[LAYER_MODULE_TRACK].BindBufferMemory(handle, buffer, memory, offset);

	if (result == VK_SUCCESS)
		resource_bind(device, &device->track->buffers, table_key(buffer), memory);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_image_memory(VkDevice handle, VkImage image,
							VkDeviceMemory memory, VkDeviceSize offset)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result =
		device->below[LAYER_MODULE_TRACK].BindImageMemory(handle, image, memory, offset);

	if (result == VK_SUCCESS)
		resource_bind(device, &device->track->images, table_key(image), memory);
	return result;
}

/* Whether one bind of several has succeeded. */
static bool bind_succeeded(const void *chain, VkResult result)
{
	const VkBindMemoryStatus *status =
		layer_find_struct(chain, VK_STRUCTURE_TYPE_BIND_MEMORY_STATUS);

	if (status && status->pResult)
		result = *status->pResult;
	return result == VK_SUCCESS;
}

static void buffers_bound(struct layer_device *device, uint32_t count,
			  const VkBindBufferMemoryInfo *infos, VkResult result)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (bind_succeeded(infos[i].pNext, result))
			resource_bind(device, &device->track->buffers, table_key(infos[i].buffer),
				      infos[i].memory);
	}
}

static void images_bound(struct layer_device *device, uint32_t count,
			 const VkBindImageMemoryInfo *infos, VkResult result)
{
	uint32_t i;

	/* an image of a swapchain has no memory; the planes of a disjoint one come one by one */
	for (i = 0; i < count; i++) {
		if (bind_succeeded(infos[i].pNext, result))
			resource_bind(device, &device->track->images, table_key(infos[i].image),
				      infos[i].memory);
	}
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_buffer_memory2(VkDevice handle, uint32_t count,
							  const VkBindBufferMemoryInfo *infos)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result = device->below[LAYER_MODULE_TRACK].BindBufferMemory2(handle, count, infos);

	buffers_bound(device, count, infos, result);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_buffer_memory2_khr(VkDevice handle, uint32_t count,
							      const VkBindBufferMemoryInfo *infos)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result =
		device->below[LAYER_MODULE_TRACK].BindBufferMemory2KHR(handle, count, infos);

	buffers_bound(device, count, infos, result);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_image_memory2(VkDevice handle, uint32_t count,
							 const VkBindImageMemoryInfo *infos)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result = device->below[LAYER_MODULE_TRACK].BindImageMemory2(handle, count, infos);

	images_bound(device, count, infos, result);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_image_memory2_khr(VkDevice handle, uint32_t count,
							     const VkBindImageMemoryInfo *infos)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result =
		device->below[LAYER_MODULE_TRACK].BindImageMemory2KHR(handle, count, infos);

	images_bound(device, count, infos, result);
	return result;
}

const struct tracked_resource *track_buffer(const struct layer_device *device, VkBuffer buffer)
{
	return table_get(&device->track->buffers, table_key(buffer));
}

const struct tracked_resource *track_image(const struct layer_device *device, VkImage image)
{
	return table_get(&device->track->images, table_key(image));
}

/* ---- What a submission uses ---- */

static bool uses_add_locked(struct track_uses *uses, struct tracked_dmabuf *dmabuf, uint32_t access)
{
	struct track_use *items;
	uint32_t i, capacity;

	for (i = 0; i < uses->count; i++) {
		if (uses->items[i].dmabuf == dmabuf) {
			uses->items[i].access |= access;
			return true;
		}
	}
	if (uses->count == uses->capacity) {
		capacity = uses->capacity ? 2 * uses->capacity : 8;
		items = realloc(uses->items, capacity * sizeof(*items));
		if (!items)
			return false;
		uses->items = items;
		uses->capacity = capacity;
	}
	dmabuf->references++;
	uses->items[uses->count++] = (struct track_use){dmabuf, access};
	return true;
}

bool track_uses_add(struct layer_device *device, struct track_uses *uses,
		    struct tracked_memory *memory, uint32_t access)
{
	struct track_device *track = device->track;
	bool added = true;

	pthread_mutex_lock(&track->lock);
	if (memory->dmabuf)
		added = uses_add_locked(uses, memory->dmabuf, access);
	pthread_mutex_unlock(&track->lock);
	return added;
}

bool track_uses_add_bound(struct layer_device *device, struct track_uses *uses)
{
	struct track_device *track = device->track;
	struct tracked_memory *memory;
	bool added = true;

	pthread_mutex_lock(&track->lock);
	for (memory = track->shared; memory && added; memory = memory->next) {
		if (memory->bound)
			added = uses_add_locked(uses, memory->dmabuf,
						access_classify(memory->bound_writable, 0, 0));
	}
	pthread_mutex_unlock(&track->lock);
	return added;
}

void track_uses_clear(struct layer_device *device, struct track_uses *uses)
{
	struct track_device *track = device->track;

	if (!uses->count)
		return;
	pthread_mutex_lock(&track->lock);
	while (uses->count)
		dmabuf_put_locked(track, uses->items[--uses->count].dmabuf);
	pthread_mutex_unlock(&track->lock);
}

void track_uses_fini(struct layer_device *device, struct track_uses *uses)
{
	track_uses_clear(device, uses);
	free(uses->items);
	*uses = (struct track_uses){0};
}

/* ---- The module ---- */

static VkResult device_create(struct layer_device *device,
			      const struct layer_device_request *request)
{
	struct track_device *track;

	(void)request;
	if (!extension_set_application_has(&device->extensions,
					   VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME) ||
	    device->instance->settings.implicit_sync == LAYER_IMPLICIT_SYNC_OFF)
		return VK_SUCCESS;
	track = calloc(1, sizeof(*track));
	if (!track)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	pthread_mutex_init(&track->lock, NULL);
	track->attention =
		device->instance->settings.implicit_sync == LAYER_IMPLICIT_SYNC_EVERY_SUBMIT;
	device->track = track;
	return VK_SUCCESS;
}

static void forget_memory(uint64_t key, void *value, void *data)
{
	struct tracked_memory *memory = value;

	(void)key;
	if (memory->dmabuf)
		dmabuf_put_locked(data, memory->dmabuf);
	track_memory_put(memory);
}

static void forget_resource(uint64_t key, void *value, void *data)
{
	(void)key;
	resource_free(data, value);
}

static void device_destroy(struct layer_device *device)
{
	struct track_device *track = device->track;

	if (!track)
		return;
	table_for_each(&track->buffers, forget_resource, track);
	table_for_each(&track->images, forget_resource, track);
	table_for_each(&track->memories, forget_memory, track);
	table_fini(&track->buffers);
	table_fini(&track->images);
	table_fini(&track->memories);
	table_fini(&track->dmabufs);
	pthread_mutex_destroy(&track->lock);
	free(track);
	device->track = NULL;
}

static const struct layer_entry entries[] = {
	DEVICE_ENTRY(AllocateMemory, allocate_memory, track_wanted),
	DEVICE_ENTRY(FreeMemory, free_memory, track_wanted),
	DEVICE_ENTRY(GetMemoryFdKHR, get_memory_fd, track_wanted),
	DEVICE_ENTRY(CreateBuffer, create_buffer, track_wanted),
	DEVICE_ENTRY(DestroyBuffer, destroy_buffer, track_wanted),
	DEVICE_ENTRY(CreateImage, create_image, track_wanted),
	DEVICE_ENTRY(DestroyImage, destroy_image, track_wanted),
	DEVICE_ENTRY(BindBufferMemory, bind_buffer_memory, track_wanted),
	DEVICE_ENTRY(BindImageMemory, bind_image_memory, track_wanted),
	DEVICE_ENTRY(BindBufferMemory2, bind_buffer_memory2, track_wanted),
	DEVICE_ENTRY(BindBufferMemory2KHR, bind_buffer_memory2_khr, track_wanted),
	DEVICE_ENTRY(BindImageMemory2, bind_image_memory2, track_wanted),
	DEVICE_ENTRY(BindImageMemory2KHR, bind_image_memory2_khr, track_wanted),
	{0},
};

const struct layer_module track_module = {
	.name = "track",
	.device_entries = entries,
	.device_create = device_create,
	.device_destroy = device_destroy,
};
