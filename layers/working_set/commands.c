// SPDX-License-Identifier: MIT
/*
 * Owns the records of command buffers, from vkAllocateCommandBuffers to vkFreeCommandBuffers or the
 * end of their pool. Handles are used again, so a record ends with its command buffer, and
 * its contents with each vkBeginCommandBuffer and reset.
 *
 * A barrier without an ownership transfer costs a look at its queue families.
 */
#include "commands.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "access.h"
#include "entry.h"
#include "track.h"

struct command_pool;

struct command_buffer {
	VkCommandBuffer handle;
	struct recorded recorded;
	/* Whether it counts in track_device.attention. */
	bool counted;
	struct command_pool *pool;
	struct command_buffer *next;
	struct command_buffer *previous;
};

/* Its list is protected as Vulkan's pool is: whoever allocates or frees has it for himself. */
struct command_pool {
	struct command_buffer *buffers;
};

struct commands_device {
	/* VkCommandPool -> struct command_pool */
	struct table pools;
	/* VkCommandBuffer -> struct command_buffer */
	struct table buffers;
};

const struct recorded *commands_recorded(const struct layer_device *device,
					 VkCommandBuffer command_buffer)
{
	const struct command_buffer *buffer =
		table_get(&device->commands->buffers, table_key(command_buffer));

	return buffer && buffer->counted ? &buffer->recorded : NULL;
}

/* ---- Records ---- */

static void record_clear(struct layer_device *device, struct command_buffer *buffer)
{
	struct recorded *recorded = &buffer->recorded;

	if (!buffer->counted)
		return;
	while (recorded->count)
		track_memory_put(recorded->transfers[--recorded->count].memory);
	recorded->everything = false;
	recorded->waits_for_host = false;
	buffer->counted = false;
	atomic_fetch_sub(&device->track->attention, 1);
}

static struct recorded *record_begin(struct layer_device *device, struct command_buffer *buffer)
{
	if (!buffer->counted) {
		buffer->counted = true;
		atomic_fetch_add(&device->track->attention, 1);
	}
	return &buffer->recorded;
}

static void record_transfer(struct recorded *recorded, struct tracked_memory *memory,
			    uint32_t acquired, uint32_t released)
{
	struct transfer *transfers = recorded->transfers;
	uint32_t i, capacity;

	for (i = 0; i < recorded->count; i++) {
		if (transfers[i].memory == memory) {
			transfers[i].acquired |= acquired;
			transfers[i].released |= released;
			return;
		}
	}
	if (recorded->count == recorded->capacity) {
		capacity = recorded->capacity ? 2 * recorded->capacity : 4;
		transfers = realloc(transfers, capacity * sizeof(*transfers));
		if (!transfers) {
			recorded->everything = true;
			return;
		}
		recorded->transfers = transfers;
		recorded->capacity = capacity;
	}
	transfers[recorded->count++] =
		(struct transfer){track_memory_get(memory), acquired, released};
}

/* The executed command buffer's commands become a part of the other. */
static void record_append(struct recorded *recorded, const struct recorded *executed)
{
	uint32_t i;

	for (i = 0; i < executed->count; i++)
		record_transfer(recorded, executed->transfers[i].memory,
				executed->transfers[i].acquired, executed->transfers[i].released);
	recorded->everything |= executed->everything;
	recorded->waits_for_host |= executed->waits_for_host;
}

/* ---- Pools and command buffers ---- */

static struct command_buffer *buffer_find(struct layer_device *device, VkCommandBuffer handle)
{
	return table_get(&device->commands->buffers, table_key(handle));
}

/* Return: false: no memory. */
static bool buffer_add(struct commands_device *commands, struct command_pool *pool,
		       VkCommandBuffer handle)
{
	struct command_buffer *buffer = calloc(1, sizeof(*buffer));

	if (!buffer)
		return false;
	if (!table_put(&commands->buffers, table_key(handle), buffer)) {
		free(buffer);
		return false;
	}
	buffer->handle = handle;
	buffer->pool = pool;
	buffer->next = pool->buffers;
	if (buffer->next)
		buffer->next->previous = buffer;
	pool->buffers = buffer;
	return true;
}

static void buffer_remove(struct layer_device *device, VkCommandBuffer handle)
{
	struct commands_device *commands = device->commands;
	struct command_buffer *buffer = table_remove(&commands->buffers, table_key(handle));

	if (!buffer)
		return;
	record_clear(device, buffer);
	if (buffer->next)
		buffer->next->previous = buffer->previous;
	if (buffer->previous)
		buffer->previous->next = buffer->next;
	else
		buffer->pool->buffers = buffer->next;
	free(buffer->recorded.transfers);
	free(buffer);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_command_pool(VkDevice handle,
							  const VkCommandPoolCreateInfo *info,
							  const VkAllocationCallbacks *allocator,
							  VkCommandPool *pool_handle)
{
	struct layer_device *device = layer_device_of(handle);
	struct command_pool *pool = calloc(1, sizeof(*pool));
	VkResult result;

	if (!pool)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	result = device->below[LAYER_MODULE_COMMANDS].CreateCommandPool(handle, info, allocator,
									pool_handle);
	if (result != VK_SUCCESS) {
		free(pool);
		return result;
	}
	if (!table_put(&device->commands->pools, table_key(*pool_handle), pool)) {
		device->below[LAYER_MODULE_COMMANDS].DestroyCommandPool(handle, *pool_handle,
									allocator);
		*pool_handle = VK_NULL_HANDLE;
		free(pool);
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL destroy_command_pool(VkDevice handle, VkCommandPool pool_handle,
						       const VkAllocationCallbacks *allocator)
{
	struct layer_device *device = layer_device_of(handle);
	struct command_pool *pool = NULL;

	if (pool_handle)
		pool = table_remove(&device->commands->pools, table_key(pool_handle));
	while (pool && pool->buffers)
		buffer_remove(device, pool->buffers->handle);
	free(pool);
	device->below[LAYER_MODULE_COMMANDS].DestroyCommandPool(handle, pool_handle, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL reset_command_pool(VkDevice handle, VkCommandPool pool_handle,
							 VkCommandPoolResetFlags flags)
{
	struct layer_device *device = layer_device_of(handle);
	struct command_pool *pool = table_get(&device->commands->pools, table_key(pool_handle));
	struct command_buffer *buffer;

	for (buffer = pool ? pool->buffers : NULL; buffer; buffer = buffer->next)
		record_clear(device, buffer);
	return device->below[LAYER_MODULE_COMMANDS].ResetCommandPool(handle, pool_handle, flags);
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_command_buffers(
	VkDevice handle, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *buffers)
{
	struct layer_device *device = layer_device_of(handle);
	struct commands_device *commands = device->commands;
	struct command_pool *pool = table_get(&commands->pools, table_key(info->commandPool));
	VkResult result =
		device->below[LAYER_MODULE_COMMANDS].AllocateCommandBuffers(handle, info, buffers);
	uint32_t i;

	if (result != VK_SUCCESS || !pool)
		return result;
	for (i = 0; i < info->commandBufferCount; i++) {
		if (!buffer_add(commands, pool, buffers[i]))
			goto remove_buffers;
	}
	return VK_SUCCESS;

remove_buffers:
	while (i--)
		buffer_remove(device, buffers[i]);
	device->below[LAYER_MODULE_COMMANDS].FreeCommandBuffers(handle, info->commandPool,
								info->commandBufferCount, buffers);
	for (i = 0; i < info->commandBufferCount; i++)
		buffers[i] = VK_NULL_HANDLE;
	return VK_ERROR_OUT_OF_HOST_MEMORY;
}

static VKAPI_ATTR void VKAPI_CALL free_command_buffers(VkDevice handle, VkCommandPool pool,
						       uint32_t count,
						       const VkCommandBuffer *buffers)
{
	struct layer_device *device = layer_device_of(handle);
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (buffers[i])
			buffer_remove(device, buffers[i]);
	}
	device->below[LAYER_MODULE_COMMANDS].FreeCommandBuffers(handle, pool, count, buffers);
}

static VKAPI_ATTR VkResult VKAPI_CALL begin_command_buffer(VkCommandBuffer handle,
							   const VkCommandBufferBeginInfo *info)
{
	struct layer_device *device = layer_device_of(handle);
	struct command_buffer *buffer = buffer_find(device, handle);

	if (buffer)
		record_clear(device, buffer);
	return device->below[LAYER_MODULE_COMMANDS].BeginCommandBuffer(handle, info);
}

static VKAPI_ATTR VkResult VKAPI_CALL reset_command_buffer(VkCommandBuffer handle,
							   VkCommandBufferResetFlags flags)
{
	struct layer_device *device = layer_device_of(handle);
	struct command_buffer *buffer = buffer_find(device, handle);

	if (buffer)
		record_clear(device, buffer);
	return device->below[LAYER_MODULE_COMMANDS].ResetCommandBuffer(handle, flags);
}

static VKAPI_ATTR void VKAPI_CALL execute_commands(VkCommandBuffer handle, uint32_t count,
						   const VkCommandBuffer *executed)
{
	struct layer_device *device = layer_device_of(handle);
	struct command_buffer *buffer =
		track_attention(device) ? buffer_find(device, handle) : NULL;
	const struct recorded *recorded;
	uint32_t i;

	for (i = 0; buffer && i < count; i++) {
		recorded = commands_recorded(device, executed[i]);
		if (recorded)
			record_append(record_begin(device, buffer), recorded);
	}
	device->below[LAYER_MODULE_COMMANDS].CmdExecuteCommands(handle, count, executed);
}

/* ---- Barriers ---- */

/* The resource has been transferred; @mask is the accesses on the device's side. */
static void __attribute__((noinline)) resource_transferred(struct layer_device *device,
							   VkCommandBuffer handle,
							   const struct tracked_resource *resource,
							   enum access_transfer transfer,
							   VkAccessFlags2 mask,
							   VkAccessFlags3KHR mask3)
{
	struct command_buffer *buffer = buffer_find(device, handle);
	uint32_t access, i;

	if (!resource || !buffer)
		return;
	access = access_classify(resource->writable, mask, mask3);
	for (i = 0; i < resource->num_memories; i++)
		record_transfer(record_begin(device, buffer), resource->memories[i],
				transfer == ACCESS_TRANSFER_ACQUIRE ? access : 0,
				transfer == ACCESS_TRANSFER_RELEASE ? access : 0);
}

static void look_at_barriers(struct layer_device *device, VkCommandBuffer handle,
			     uint32_t num_buffers, const VkBufferMemoryBarrier *buffers,
			     uint32_t num_images, const VkImageMemoryBarrier *images)
{
	enum access_transfer transfer;
	uint32_t i;

	for (i = 0; i < num_buffers; i++) {
		transfer = access_transfer_of(buffers[i].srcQueueFamilyIndex,
					      buffers[i].dstQueueFamilyIndex);
		if (transfer)
			resource_transferred(device, handle,
					     track_buffer(device, buffers[i].buffer), transfer,
					     transfer == ACCESS_TRANSFER_ACQUIRE
						     ? buffers[i].dstAccessMask
						     : buffers[i].srcAccessMask,
					     0);
	}
	for (i = 0; i < num_images; i++) {
		transfer = access_transfer_of(images[i].srcQueueFamilyIndex,
					      images[i].dstQueueFamilyIndex);
		if (transfer)
			resource_transferred(device, handle, track_image(device, images[i].image),
					     transfer,
					     transfer == ACCESS_TRANSFER_ACQUIRE
						     ? images[i].dstAccessMask
						     : images[i].srcAccessMask,
					     0);
	}
}

static VkAccessFlags3KHR mask3_of(const void *chain, enum access_transfer transfer)
{
	const VkMemoryBarrierAccessFlags3KHR *flags3 =
		layer_find_struct(chain, VK_STRUCTURE_TYPE_MEMORY_BARRIER_ACCESS_FLAGS_3_KHR);

	if (!flags3)
		return 0;
	return transfer == ACCESS_TRANSFER_ACQUIRE ? flags3->dstAccessMask3
						   : flags3->srcAccessMask3;
}

static void look_at_dependency(struct layer_device *device, VkCommandBuffer handle,
			       const VkDependencyInfo *info)
{
	enum access_transfer transfer;
	uint32_t i;

	for (i = 0; i < info->bufferMemoryBarrierCount; i++) {
		const VkBufferMemoryBarrier2 *barrier = &info->pBufferMemoryBarriers[i];

		transfer = access_transfer_of(barrier->srcQueueFamilyIndex,
					      barrier->dstQueueFamilyIndex);
		if (transfer)
			resource_transferred(device, handle, track_buffer(device, barrier->buffer),
					     transfer,
					     transfer == ACCESS_TRANSFER_ACQUIRE
						     ? barrier->dstAccessMask
						     : barrier->srcAccessMask,
					     mask3_of(barrier->pNext, transfer));
	}
	for (i = 0; i < info->imageMemoryBarrierCount; i++) {
		const VkImageMemoryBarrier2 *barrier = &info->pImageMemoryBarriers[i];

		transfer = access_transfer_of(barrier->srcQueueFamilyIndex,
					      barrier->dstQueueFamilyIndex);
		if (transfer)
			resource_transferred(device, handle, track_image(device, barrier->image),
					     transfer,
					     transfer == ACCESS_TRANSFER_ACQUIRE
						     ? barrier->dstAccessMask
						     : barrier->srcAccessMask,
					     mask3_of(barrier->pNext, transfer));
	}
}

static bool has_transfer(uint32_t num_buffers, const VkBufferMemoryBarrier *buffers,
			 uint32_t num_images, const VkImageMemoryBarrier *images)
{
	uint32_t i;

	for (i = 0; i < num_buffers; i++) {
		if (access_transfer_of(buffers[i].srcQueueFamilyIndex,
				       buffers[i].dstQueueFamilyIndex))
			return true;
	}
	for (i = 0; i < num_images; i++) {
		if (access_transfer_of(images[i].srcQueueFamilyIndex,
				       images[i].dstQueueFamilyIndex))
			return true;
	}
	return false;
}

/* Apart from the other, which is on the way of every barrier and so needs no stack. */
static VKAPI_ATTR void __attribute__((noinline)) VKAPI_CALL cmd_pipeline_barrier_transfer(
	VkCommandBuffer handle, VkPipelineStageFlags source_stages,
	VkPipelineStageFlags destination_stages, VkDependencyFlags flags, uint32_t num_memory,
	const VkMemoryBarrier *memory, uint32_t num_buffers, const VkBufferMemoryBarrier *buffers,
	uint32_t num_images, const VkImageMemoryBarrier *images)
{
	struct layer_device *device = layer_device_of(handle);

	look_at_barriers(device, handle, num_buffers, buffers, num_images, images);
	device->below[LAYER_MODULE_COMMANDS].CmdPipelineBarrier(handle, source_stages,
								destination_stages, flags,
								num_memory, memory, num_buffers,
								buffers, num_images, images);
}

static VKAPI_ATTR void VKAPI_CALL cmd_pipeline_barrier(
	VkCommandBuffer handle, VkPipelineStageFlags source_stages,
	VkPipelineStageFlags destination_stages, VkDependencyFlags flags, uint32_t num_memory,
	const VkMemoryBarrier *memory, uint32_t num_buffers, const VkBufferMemoryBarrier *buffers,
	uint32_t num_images, const VkImageMemoryBarrier *images)
{
	struct layer_device *device = layer_device_recent(*(const void *const *)handle);

	if (device && !has_transfer(num_buffers, buffers, num_images, images))
		device->below[LAYER_MODULE_COMMANDS].CmdPipelineBarrier(
			handle, source_stages, destination_stages, flags, num_memory, memory,
			num_buffers, buffers, num_images, images);
	else
		cmd_pipeline_barrier_transfer(handle, source_stages, destination_stages, flags,
					      num_memory, memory, num_buffers, buffers, num_images,
					      images);
}

static VKAPI_ATTR void VKAPI_CALL cmd_pipeline_barrier2(VkCommandBuffer handle,
							const VkDependencyInfo *info)
{
	struct layer_device *device = layer_device_of(handle);

	look_at_dependency(device, handle, info);
	device->below[LAYER_MODULE_COMMANDS].CmdPipelineBarrier2(handle, info);
}

static VKAPI_ATTR void VKAPI_CALL cmd_pipeline_barrier2_khr(VkCommandBuffer handle,
							    const VkDependencyInfo *info)
{
	struct layer_device *device = layer_device_of(handle);

	look_at_dependency(device, handle, info);
	device->below[LAYER_MODULE_COMMANDS].CmdPipelineBarrier2KHR(handle, info);
}

/* ---- Events ---- */

static void waits_for_host(struct layer_device *device, VkCommandBuffer handle)
{
	struct command_buffer *buffer = buffer_find(device, handle);

	if (buffer)
		record_begin(device, buffer)->waits_for_host = true;
}

/* Can't carry ownership transfers: VUID-vkCmdWaitEvents-srcQueueFamilyIndex-02803. */
static VKAPI_ATTR void VKAPI_CALL
cmd_wait_events(VkCommandBuffer handle, uint32_t num_events, const VkEvent *events,
		VkPipelineStageFlags source_stages, VkPipelineStageFlags destination_stages,
		uint32_t num_memory, const VkMemoryBarrier *memory, uint32_t num_buffers,
		const VkBufferMemoryBarrier *buffers, uint32_t num_images,
		const VkImageMemoryBarrier *images)
{
	struct layer_device *device = layer_device_of(handle);

	if (source_stages & VK_PIPELINE_STAGE_HOST_BIT)
		waits_for_host(device, handle);
	device->below[LAYER_MODULE_COMMANDS].CmdWaitEvents(handle, num_events, events,
							   source_stages, destination_stages,
							   num_memory, memory, num_buffers, buffers,
							   num_images, images);
}

static bool has_host_stage(const VkDependencyInfo *info)
{
	uint32_t i;

	for (i = 0; i < info->memoryBarrierCount; i++) {
		if (info->pMemoryBarriers[i].srcStageMask & VK_PIPELINE_STAGE_2_HOST_BIT)
			return true;
	}
	for (i = 0; i < info->bufferMemoryBarrierCount; i++) {
		if (info->pBufferMemoryBarriers[i].srcStageMask & VK_PIPELINE_STAGE_2_HOST_BIT)
			return true;
	}
	for (i = 0; i < info->imageMemoryBarrierCount; i++) {
		if (info->pImageMemoryBarriers[i].srcStageMask & VK_PIPELINE_STAGE_2_HOST_BIT)
			return true;
	}
	return false;
}

static void look_at_events(struct layer_device *device, VkCommandBuffer handle, uint32_t count,
			   const VkDependencyInfo *infos)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		look_at_dependency(device, handle, &infos[i]);
		if (has_host_stage(&infos[i]))
			waits_for_host(device, handle);
	}
}

static VKAPI_ATTR void VKAPI_CALL cmd_wait_events2(VkCommandBuffer handle, uint32_t count,
						   const VkEvent *events,
						   const VkDependencyInfo *infos)
{
	struct layer_device *device = layer_device_of(handle);

	look_at_events(device, handle, count, infos);
	device->below[LAYER_MODULE_COMMANDS].CmdWaitEvents2(handle, count, events, infos);
}

static VKAPI_ATTR void VKAPI_CALL cmd_wait_events2_khr(VkCommandBuffer handle, uint32_t count,
						       const VkEvent *events,
						       const VkDependencyInfo *infos)
{
	struct layer_device *device = layer_device_of(handle);

	look_at_events(device, handle, count, infos);
	device->below[LAYER_MODULE_COMMANDS].CmdWaitEvents2KHR(handle, count, events, infos);
}

/* ---- The module ---- */

static VkResult device_create(struct layer_device *device,
			      const struct layer_device_request *request)
{
	(void)request;
	if (!track_wanted(device))
		return VK_SUCCESS;
	device->commands = calloc(1, sizeof(*device->commands));
	return device->commands ? VK_SUCCESS : VK_ERROR_OUT_OF_HOST_MEMORY;
}

static void forget_buffer(uint64_t key, void *value, void *data)
{
	struct command_buffer *buffer = value;

	(void)key;
	record_clear(data, buffer);
	free(buffer->recorded.transfers);
	free(buffer);
}

static void forget_pool(uint64_t key, void *value, void *data)
{
	(void)key;
	(void)data;
	free(value);
}

static void device_destroy(struct layer_device *device)
{
	struct commands_device *commands = device->commands;

	if (!commands)
		return;
	table_for_each(&commands->buffers, forget_buffer, device);
	table_for_each(&commands->pools, forget_pool, NULL);
	table_fini(&commands->buffers);
	table_fini(&commands->pools);
	free(commands);
	device->commands = NULL;
}

static const struct layer_entry entries[] = {
	DEVICE_ENTRY(CreateCommandPool, create_command_pool, track_wanted),
	DEVICE_ENTRY(DestroyCommandPool, destroy_command_pool, track_wanted),
	DEVICE_ENTRY(ResetCommandPool, reset_command_pool, track_wanted),
	DEVICE_ENTRY(AllocateCommandBuffers, allocate_command_buffers, track_wanted),
	DEVICE_ENTRY(FreeCommandBuffers, free_command_buffers, track_wanted),
	DEVICE_ENTRY(BeginCommandBuffer, begin_command_buffer, track_wanted),
	DEVICE_ENTRY(ResetCommandBuffer, reset_command_buffer, track_wanted),
	DEVICE_ENTRY(CmdExecuteCommands, execute_commands, track_wanted),
	DEVICE_ENTRY(CmdPipelineBarrier, cmd_pipeline_barrier, track_wanted),
	DEVICE_ENTRY(CmdPipelineBarrier2, cmd_pipeline_barrier2, track_wanted),
	DEVICE_ENTRY(CmdPipelineBarrier2KHR, cmd_pipeline_barrier2_khr, track_wanted),
	DEVICE_ENTRY(CmdWaitEvents, cmd_wait_events, track_wanted),
	DEVICE_ENTRY(CmdWaitEvents2, cmd_wait_events2, track_wanted),
	DEVICE_ENTRY(CmdWaitEvents2KHR, cmd_wait_events2_khr, track_wanted),
	{0},
};

const struct layer_module commands_module = {
	.name = "commands",
	.device_entries = entries,
	.device_create = device_create,
	.device_destroy = device_destroy,
};
