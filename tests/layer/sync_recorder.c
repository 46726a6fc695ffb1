// SPDX-License-Identifier: MIT
/*
 * The recording layer; see sync_recorder.h. What it says:
 *
 *	1[?a=3 cb !b / cb2] fence	vkQueueSubmit: two batches; the first waits for `a` to be 3,
 *					runs `cb`, signals `b`
 *	2[…], 2k[…], s[…]		vkQueueSubmit2, …2KHR, vkQueueBindSparse
 *	import own, export own		vkImportSemaphoreFdKHR, vkGetSemaphoreFdKHR
 *	wait fence			vkWaitForFences
 *
 * Handles that aren't the test's are called `own`, with the stages, ?own{stages 1}, if those aren't all. After a batch's parts comes what its pNext chain
 * has: {protected}, {group 0 1}, {timeline}. In a group, ?own@1 waits on physical device 1.
 */
#include "sync_recorder.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vulkan/utility/vk_dispatch_table.h>
#include <vulkan/vk_layer.h>

#define EXPORTED __attribute__((visibility("default")))

EXPORTED struct recorder sync_recorder;

/* One instance; its devices by dispatch pointer. */
static PFN_vkGetInstanceProcAddr next_instance_proc_addr;
static VkInstance instance_handle;
static VkuInstanceDispatchTable next_instance;
static struct {
	void *key;
	VkDevice handle;
	VkuDeviceDispatchTable next;
	uint32_t group_size;
} devices[8];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define key_of(handle) (*(void **)(handle))

/* Under the lock. */
static unsigned int find_index(void *key)
{
	unsigned int i;

	for (i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		if (devices[i].key == key)
			return i;
	}
	abort();
}

static unsigned int device_index(void *key)
{
	unsigned int index;

	pthread_mutex_lock(&lock);
	index = find_index(key);
	pthread_mutex_unlock(&lock);
	return index;
}

#define next_of(handle) (&devices[device_index(key_of(handle))].next)

/* ---- Lines ---- */

struct line {
	char text[1024];
	size_t length;
};

static void __attribute__((format(printf, 2, 3))) put(struct line *line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	line->length += vsnprintf(line->text + line->length, sizeof(line->text) - line->length,
				  format, arguments);
	va_end(arguments);
	if (line->length >= sizeof(line->text))
		abort();
}

static const char *name_of(uint64_t handle)
{
	const char *name = sync_recorder.name ? sync_recorder.name(handle) : NULL;

	return name ? name : "own";
}

#define name_of_handle(handle) name_of((uint64_t)(uintptr_t)(handle))

static void say(const struct line *line)
{
	if (sync_recorder.say)
		sync_recorder.say(line->text);
}

static void put_semaphore(struct line *line, char kind, VkSemaphore semaphore, uint64_t value,
			  uint32_t device, bool group)
{
	put(line, "%s%c%s",
	    line->text[line->length - 1] == '[' || line->text[line->length - 1] == ' ' ? "" : " ",
	    kind, name_of_handle(semaphore));
	if (value)
		put(line, "=%llu", (unsigned long long)value);
	if (group)
		put(line, "@%u", device);
}

/* The application's are its own affair, and a signal of vkQueueSubmit has none. */
static void put_stages(struct line *line, VkSemaphore semaphore, VkPipelineStageFlags2 stages)
{
	if (stages != VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT &&
	    !strcmp(name_of_handle(semaphore), "own"))
		put(line, "{stages %llx}", (unsigned long long)stages);
}

static void put_command_buffer(struct line *line, VkCommandBuffer command_buffer)
{
	put(line, "%s%s",
	    line->text[line->length - 1] == '[' || line->text[line->length - 1] == ' ' ? "" : " ",
	    name_of_handle(command_buffer));
}

static const void *find(const void *chain, VkStructureType type)
{
	const VkBaseInStructure *structure = chain;

	while (structure && structure->sType != type)
		structure = structure->pNext;
	return structure;
}

static void put_chain(struct line *line, const void *chain)
{
	const VkProtectedSubmitInfo *protected =
		find(chain, VK_STRUCTURE_TYPE_PROTECTED_SUBMIT_INFO);
	const VkDeviceGroupSubmitInfo *group =
		find(chain, VK_STRUCTURE_TYPE_DEVICE_GROUP_SUBMIT_INFO);
	uint32_t i;

	if (protected && protected->protectedSubmit)
		put(line, " {protected}");
	if (group) {
		put(line, " {group");
		for (i = 0; i < group->commandBufferCount; i++)
			put(line, " %x", group->pCommandBufferDeviceMasks[i]);
		put(line, "}");
	}
	if (find(chain, VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO))
		put(line, " {timeline}");
}

static void put_fence(struct line *line, VkFence fence)
{
	put(line, "]");
	if (fence)
		put(line, " %s", name_of_handle(fence));
}

static void put_batch_1(struct line *line, const VkSubmitInfo *info)
{
	const VkTimelineSemaphoreSubmitInfo *values =
		find(info->pNext, VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO);
	const VkDeviceGroupSubmitInfo *group =
		find(info->pNext, VK_STRUCTURE_TYPE_DEVICE_GROUP_SUBMIT_INFO);
	uint32_t i;

	for (i = 0; i < info->waitSemaphoreCount; i++) {
		put_semaphore(line, '?', info->pWaitSemaphores[i],
			      values && i < values->waitSemaphoreValueCount
				      ? values->pWaitSemaphoreValues[i]
				      : 0,
			      group && group->waitSemaphoreCount
				      ? group->pWaitSemaphoreDeviceIndices[i]
				      : 0,
			      group && group->waitSemaphoreCount);
		put_stages(line, info->pWaitSemaphores[i], info->pWaitDstStageMask[i]);
	}
	for (i = 0; i < info->commandBufferCount; i++)
		put_command_buffer(line, info->pCommandBuffers[i]);
	for (i = 0; i < info->signalSemaphoreCount; i++)
		put_semaphore(line, '!', info->pSignalSemaphores[i],
			      values && i < values->signalSemaphoreValueCount
				      ? values->pSignalSemaphoreValues[i]
				      : 0,
			      group && group->signalSemaphoreCount
				      ? group->pSignalSemaphoreDeviceIndices[i]
				      : 0,
			      group && group->signalSemaphoreCount);
	put_chain(line, info->pNext);
}

static void put_batch_sparse(struct line *line, const VkBindSparseInfo *info)
{
	const VkTimelineSemaphoreSubmitInfo *values =
		find(info->pNext, VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO);
	uint32_t i;

	for (i = 0; i < info->waitSemaphoreCount; i++)
		put_semaphore(line, '?', info->pWaitSemaphores[i],
			      values ? values->pWaitSemaphoreValues[i] : 0, 0, false);
	for (i = 0; i < info->signalSemaphoreCount; i++)
		put_semaphore(line, '!', info->pSignalSemaphores[i],
			      values ? values->pSignalSemaphoreValues[i] : 0, 0, false);
}

static void put_batch_2(struct line *line, const VkSubmitInfo2 *info, bool group)
{
	uint32_t i;

	for (i = 0; i < info->waitSemaphoreInfoCount; i++) {
		put_semaphore(line, '?', info->pWaitSemaphoreInfos[i].semaphore,
			      info->pWaitSemaphoreInfos[i].value,
			      info->pWaitSemaphoreInfos[i].deviceIndex, group);
		put_stages(line, info->pWaitSemaphoreInfos[i].semaphore,
			   info->pWaitSemaphoreInfos[i].stageMask);
	}
	for (i = 0; i < info->commandBufferInfoCount; i++)
		put_command_buffer(line, info->pCommandBufferInfos[i].commandBuffer);
	for (i = 0; i < info->signalSemaphoreInfoCount; i++) {
		put_semaphore(line, '!', info->pSignalSemaphoreInfos[i].semaphore,
			      info->pSignalSemaphoreInfos[i].value,
			      info->pSignalSemaphoreInfos[i].deviceIndex, group);
		put_stages(line, info->pSignalSemaphoreInfos[i].semaphore,
			   info->pSignalSemaphoreInfos[i].stageMask);
	}
	if (info->flags & VK_SUBMIT_PROTECTED_BIT)
		put(line, " {protected}");
	put_chain(line, info->pNext);
}

/* ---- What the device is asked to do ---- */

static VkResult submitting(void)
{
	return sync_recorder.submitting ? sync_recorder.submitting() : VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit(VkQueue queue, uint32_t count,
						   const VkSubmitInfo *infos, VkFence fence)
{
	struct line line = {0};
	VkResult result;
	uint32_t i;

	put(&line, "1[");
	for (i = 0; i < count; i++) {
		if (i)
			put(&line, " / ");
		put_batch_1(&line, &infos[i]);
	}
	put_fence(&line, fence);
	say(&line);
	result = submitting();
	return result == VK_SUCCESS ? next_of(queue)->QueueSubmit(queue, count, infos, fence)
				    : result;
}

static void say_2(const char *head, VkQueue queue, uint32_t count, const VkSubmitInfo2 *infos,
		  VkFence fence)
{
	struct line line = {0};
	uint32_t i;

	put(&line, "%s[", head);
	for (i = 0; i < count; i++) {
		if (i)
			put(&line, " / ");
		put_batch_2(&line, &infos[i], devices[device_index(key_of(queue))].group_size > 1);
	}
	put_fence(&line, fence);
	say(&line);
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit2(VkQueue queue, uint32_t count,
						    const VkSubmitInfo2 *infos, VkFence fence)
{
	VkResult result;

	say_2("2", queue, count, infos, fence);
	result = submitting();
	return result == VK_SUCCESS ? next_of(queue)->QueueSubmit2(queue, count, infos, fence)
				    : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit2_khr(VkQueue queue, uint32_t count,
							const VkSubmitInfo2 *infos, VkFence fence)
{
	VkResult result;

	say_2("2k", queue, count, infos, fence);
	result = submitting();
	return result == VK_SUCCESS ? next_of(queue)->QueueSubmit2KHR(queue, count, infos, fence)
				    : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_bind_sparse(VkQueue queue, uint32_t count,
							const VkBindSparseInfo *infos,
							VkFence fence)
{
	struct line line = {0};
	uint32_t i;

	put(&line, "s[");
	for (i = 0; i < count; i++) {
		if (i)
			put(&line, " / ");
		put_batch_sparse(&line, &infos[i]);
	}
	put_fence(&line, fence);
	say(&line);
	return next_of(queue)->QueueBindSparse(queue, count, infos, fence);
}

/* The mock driver knows nothing of what it imports, so the descriptor ends here. */
static VKAPI_ATTR VkResult VKAPI_CALL import_semaphore_fd(VkDevice device,
							  const VkImportSemaphoreFdInfoKHR *info)
{
	struct line line = {0};

	(void)device;
	put(&line, "import %s%s", name_of_handle(info->semaphore),
	    info->flags & VK_SEMAPHORE_IMPORT_TEMPORARY_BIT ? "" : " for good");
	say(&line);
	if (sync_recorder.import_semaphore)
		sync_recorder.import_semaphore(info->fd);
	if (info->fd >= 0)
		close(info->fd);
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL get_semaphore_fd(VkDevice device,
						       const VkSemaphoreGetFdInfoKHR *info, int *fd)
{
	struct line line = {0};

	(void)device;
	put(&line, "export %s", name_of_handle(info->semaphore));
	say(&line);
	if (sync_recorder.export_result != VK_SUCCESS)
		return sync_recorder.export_result;
	*fd = sync_recorder.export_semaphore ? sync_recorder.export_semaphore() : -1;
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL get_memory_fd(VkDevice device,
						    const VkMemoryGetFdInfoKHR *info, int *fd)
{
	(void)device;
	*fd = sync_recorder.export_memory(info->memory);
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice device,
						      const VkMemoryAllocateInfo *info,
						      const VkAllocationCallbacks *allocator,
						      VkDeviceMemory *memory)
{
	const VkImportMemoryFdInfoKHR *import =
		find(info->pNext, VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR);
	VkResult result = next_of(device)->AllocateMemory(device, info, allocator, memory);

	if (result == VK_SUCCESS && import)
		close(import->fd);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL get_fence_status(VkDevice device, VkFence fence)
{
	(void)device;
	(void)fence;
	return !sync_recorder.fences_signalled || sync_recorder.fences_signalled() ? VK_SUCCESS
										   : VK_NOT_READY;
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_for_fences(VkDevice device, uint32_t count,
						      const VkFence *fences, VkBool32 all,
						      uint64_t timeout)
{
	struct line line = {0};
	uint32_t i;

	(void)device;
	(void)all;
	(void)timeout;
	put(&line, "wait");
	for (i = 0; i < count; i++)
		put(&line, " %s", name_of_handle(fences[i]));
	say(&line);
	return sync_recorder.wait_result;
}

/* Only said if the layer has a reason to wait so. */
static VKAPI_ATTR VkResult VKAPI_CALL queue_wait_idle(VkQueue queue)
{
	struct line line = {0};

	put(&line, "wait for the queue");
	if (sync_recorder.wait_result != VK_SUCCESS)
		say(&line);
	return next_of(queue)->QueueWaitIdle(queue);
}

#define COUNTED(Type, type, counter)                                                              \
	static VKAPI_ATTR VkResult VKAPI_CALL create_##type(                                      \
		VkDevice device, const Vk##Type##CreateInfo *info,                                \
		const VkAllocationCallbacks *allocator, Vk##Type *handle)                         \
	{                                                                                         \
		VkResult result = next_of(device)->Create##Type(device, info, allocator, handle); \
                                                                                                  \
		sync_recorder.counter += result == VK_SUCCESS;                                    \
		return result;                                                                    \
	}                                                                                         \
	static VKAPI_ATTR void VKAPI_CALL destroy_##type(VkDevice device, Vk##Type handle,        \
							 const VkAllocationCallbacks *allocator)  \
	{                                                                                         \
		sync_recorder.counter -= handle != VK_NULL_HANDLE;                                \
		next_of(device)->Destroy##Type(device, handle, allocator);                        \
	}

COUNTED(Semaphore, semaphore, semaphores)
COUNTED(Fence, fence, fences)

static VKAPI_ATTR VkResult VKAPI_CALL get_counter_value(VkDevice device, VkSemaphore semaphore,
							uint64_t *value)
{
	(void)device;
	*value = sync_recorder.counter ? sync_recorder.counter(semaphore) : 0;
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL signal_semaphore(VkDevice device,
						       const VkSemaphoreSignalInfo *info)
{
	(void)device;
	(void)info;
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL get_semaphore_properties(
	VkPhysicalDevice physical_device, const VkPhysicalDeviceExternalSemaphoreInfo *info,
	VkExternalSemaphoreProperties *properties)
{
	next_instance.GetPhysicalDeviceExternalSemaphoreProperties(physical_device, info,
								   properties);
	if (info->handleType == VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT)
		properties->externalSemaphoreFeatures = sync_recorder.sync_fd;
}

static VKAPI_ATTR void VKAPI_CALL get_semaphore_properties_1_1(
	VkPhysicalDevice physical_device, const VkPhysicalDeviceExternalSemaphoreInfo *info,
	VkExternalSemaphoreProperties *properties)
{
	sync_recorder.core_queries++;
	get_semaphore_properties(physical_device, info, properties);
}

/* ---- The loader's side ---- */

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
						      const VkAllocationCallbacks *allocator,
						      VkInstance *instance)
{
	VkLayerInstanceCreateInfo *link = (VkLayerInstanceCreateInfo *)info->pNext;
	PFN_vkCreateInstance create;
	VkResult result;

	while (link->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO ||
	       link->function != VK_LAYER_LINK_INFO)
		link = (VkLayerInstanceCreateInfo *)link->pNext;
	next_instance_proc_addr = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	create = (PFN_vkCreateInstance)next_instance_proc_addr(NULL, "vkCreateInstance");
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	result = create(info, allocator, instance);
	if (result != VK_SUCCESS)
		return result;
	instance_handle = *instance;
	vkuInitInstanceDispatchTable(*instance, &next_instance, next_instance_proc_addr);
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical_device,
						    const VkDeviceCreateInfo *info,
						    const VkAllocationCallbacks *allocator,
						    VkDevice *device)
{
	const VkDeviceGroupDeviceCreateInfo *group =
		find(info->pNext, VK_STRUCTURE_TYPE_DEVICE_GROUP_DEVICE_CREATE_INFO);
	VkLayerDeviceCreateInfo *link = (VkLayerDeviceCreateInfo *)info->pNext;
	PFN_vkGetDeviceProcAddr get_device_proc_addr;
	PFN_vkCreateDevice create;
	unsigned int index;
	VkResult result;

	while (link->sType != VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO ||
	       link->function != VK_LAYER_LINK_INFO)
		link = (VkLayerDeviceCreateInfo *)link->pNext;
	create = (PFN_vkCreateDevice)link->u.pLayerInfo->pfnNextGetInstanceProcAddr(
		instance_handle, "vkCreateDevice");
	get_device_proc_addr = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	result = create(physical_device, info, allocator, device);
	if (result != VK_SUCCESS)
		return result;
	pthread_mutex_lock(&lock);
	index = find_index(NULL);
	devices[index].handle = *device;
	devices[index].group_size = group ? group->physicalDeviceCount : 1;
	vkuInitDeviceDispatchTable(*device, &devices[index].next, get_device_proc_addr);
	devices[index].key = key_of(*device);
	sync_recorder.cmd_pipeline_barrier =
		(PFN_vkVoidFunction)devices[index].next.CmdPipelineBarrier;
	pthread_mutex_unlock(&lock);
	return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL destroy_device(VkDevice device,
						 const VkAllocationCallbacks *allocator)
{
	unsigned int index = device_index(key_of(device));
	PFN_vkDestroyDevice destroy = devices[index].next.DestroyDevice;

	/* another device may get the same dispatch pointer as soon as it's free */
	pthread_mutex_lock(&lock);
	devices[index].key = NULL;
	pthread_mutex_unlock(&lock);
	destroy(device, allocator);
}

static PFN_vkVoidFunction VKAPI_CALL get_instance_proc_addr(VkInstance instance, const char *name);
static PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char *name);

#define FUNCTION(name, function) {"vk" #name, (PFN_vkVoidFunction)(function)}

static const struct {
	const char *name;
	PFN_vkVoidFunction function;
} instance_functions[] =
	{
		FUNCTION(GetInstanceProcAddr, get_instance_proc_addr),
		FUNCTION(CreateInstance, create_instance),
		FUNCTION(CreateDevice, create_device),
		FUNCTION(GetPhysicalDeviceExternalSemaphoreProperties,
			 get_semaphore_properties_1_1),
		FUNCTION(GetPhysicalDeviceExternalSemaphorePropertiesKHR, get_semaphore_properties),
},
  device_functions[] = {
	  FUNCTION(GetDeviceProcAddr, get_device_proc_addr),
	  FUNCTION(DestroyDevice, destroy_device),
	  FUNCTION(QueueSubmit, queue_submit),
	  FUNCTION(QueueSubmit2, queue_submit2),
	  FUNCTION(QueueSubmit2KHR, queue_submit2_khr),
	  FUNCTION(QueueBindSparse, queue_bind_sparse),
	  FUNCTION(ImportSemaphoreFdKHR, import_semaphore_fd),
	  FUNCTION(GetSemaphoreFdKHR, get_semaphore_fd),
	  FUNCTION(GetMemoryFdKHR, get_memory_fd),
	  FUNCTION(AllocateMemory, allocate_memory),
	  FUNCTION(GetFenceStatus, get_fence_status),
	  FUNCTION(WaitForFences, wait_for_fences),
	  FUNCTION(QueueWaitIdle, queue_wait_idle),
	  FUNCTION(CreateSemaphore, create_semaphore),
	  FUNCTION(DestroySemaphore, destroy_semaphore),
	  FUNCTION(CreateFence, create_fence),
	  FUNCTION(DestroyFence, destroy_fence),
	  FUNCTION(GetSemaphoreCounterValue, get_counter_value),
	  FUNCTION(GetSemaphoreCounterValueKHR, get_counter_value),
	  FUNCTION(SignalSemaphore, signal_semaphore),
	  FUNCTION(SignalSemaphoreKHR, signal_semaphore),
};

#define SEARCH(table, name)                                                \
	for (size_t i_ = 0; i_ < sizeof(table) / sizeof((table)[0]); i_++) \
		if (!strcmp((table)[i_].name, (name)))                     \
	return (table)[i_].function

static PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char *name)
{
	PFN_vkVoidFunction next = next_of(device)->GetDeviceProcAddr(device, name);

	if (!next)
		return NULL;
	SEARCH(device_functions, name);
	return next;
}

static PFN_vkVoidFunction VKAPI_CALL get_instance_proc_addr(VkInstance instance, const char *name)
{
	SEARCH(instance_functions, name);
	SEARCH(device_functions, name);
	return instance ? next_instance_proc_addr(instance, name) : NULL;
}

EXPORTED VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *negotiate)
{
	negotiate->loaderLayerInterfaceVersion = 2;
	negotiate->pfnGetInstanceProcAddr = get_instance_proc_addr;
	negotiate->pfnGetDeviceProcAddr = get_device_proc_addr;
	negotiate->pfnGetPhysicalDeviceProcAddr = NULL;
	return VK_SUCCESS;
}
