// SPDX-License-Identifier: MIT
/*
 * A lost virtual GPU is VK_ERROR_DEVICE_LOST from every call that may return it by Vulkan's registry,
 * and from the first of them on nothing of the application's is in use any more. Two devices, which
 * are unbound from the driver and bound again.
 */
#include "harness.h"

#include <stdlib.h>
#include <sys/mman.h>

#define SIZE (512 * KIB)

/* ---- A device with everything that the virtual GPU offers, and an object of each kind ---- */

struct world {
	VkInstance instance;
	VkPhysicalDevice physical;
	VkDevice handle;
	VkQueue queue;
	VkFence fence;
	VkEvent event;
	VkQueryPool queries;
	VkSemaphore timeline, acquired[2];
	VkSurfaceKHR surface, other_surface;
	VkSwapchainKHR swapchain;
	uint32_t image;
};

#define GET(world, name) ((PFN_##name)vkGetDeviceProcAddr((world)->handle, #name))

static void create_instance(struct world *world)
{
	static const char *const extensions[] = {
		VK_KHR_SURFACE_EXTENSION_NAME,
		VK_EXT_HEADLESS_SURFACE_EXTENSION_NAME,
	};
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = VK_API_VERSION_1_3,
	};
	const VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
		.enabledExtensionCount = ARRAY_SIZE(extensions),
		.ppEnabledExtensionNames = extensions,
	};

	check_vk(vkCreateInstance(&info, NULL, &world->instance));
}

static VkSurfaceKHR surface_new(const struct world *world)
{
	const VkHeadlessSurfaceCreateInfoEXT info = {
		.sType = VK_STRUCTURE_TYPE_HEADLESS_SURFACE_CREATE_INFO_EXT,
	};
	PFN_vkCreateHeadlessSurfaceEXT create =
		(PFN_vkCreateHeadlessSurfaceEXT)vkGetInstanceProcAddr(world->instance,
								      "vkCreateHeadlessSurfaceEXT");
	VkSurfaceKHR surface;

	check_vk(create(world->instance, &info, NULL, &surface));
	return surface;
}

/* All extensions: a command that is there with any of them is to be tried. */
static void create_device(struct world *world)
{
	VkPhysicalDevicePresentWaitFeaturesKHR present_wait = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PRESENT_WAIT_FEATURES_KHR,
		.presentWait = VK_TRUE,
	};
	VkPhysicalDevicePresentIdFeaturesKHR present_id = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PRESENT_ID_FEATURES_KHR,
		.pNext = &present_wait,
		.presentId = VK_TRUE,
	};
	VkPhysicalDeviceVulkan13Features vulkan13 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
		.pNext = &present_id,
		.synchronization2 = VK_TRUE,
	};
	VkPhysicalDeviceVulkan12Features vulkan12 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
		.pNext = &vulkan13,
		.timelineSemaphore = VK_TRUE,
	};
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkExtensionProperties offered[512];
	const char *names[ARRAY_SIZE(offered)];
	uint32_t i, count = ARRAY_SIZE(offered);
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = &vulkan12,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.ppEnabledExtensionNames = names,
	};

	check_vk(vkEnumerateDeviceExtensionProperties(world->physical, NULL, &count, offered));
	for (i = 0; i < count; i++)
		names[i] = offered[i].extensionName;
	info.enabledExtensionCount = count;
	check_vk(vkCreateDevice(world->physical, &info, NULL, &world->handle));
	vkGetDeviceQueue(world->handle, 0, 0, &world->queue);
}

static VkSemaphore semaphore_new(const struct world *world, VkSemaphoreType kind)
{
	const VkSemaphoreTypeCreateInfo type = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = kind,
	};
	const VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &type,
	};
	VkSemaphore semaphore;

	check_vk(vkCreateSemaphore(world->handle, &info, NULL, &semaphore));
	return semaphore;
}

static VkResult swapchain_new(const struct world *world, VkSurfaceKHR surface,
			      VkSwapchainKHR *swapchain)
{
	const VkSwapchainCreateInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_SWAPCHAIN_CREATE_INFO_KHR,
		.surface = surface,
		.minImageCount = 4,
		.imageFormat = VK_FORMAT_B8G8R8A8_UNORM,
		.imageColorSpace = VK_COLOR_SPACE_SRGB_NONLINEAR_KHR,
		.imageExtent = {16, 16},
		.imageArrayLayers = 1,
		.imageUsage = VK_IMAGE_USAGE_TRANSFER_DST_BIT,
		.preTransform = VK_SURFACE_TRANSFORM_IDENTITY_BIT_KHR,
		.compositeAlpha = VK_COMPOSITE_ALPHA_OPAQUE_BIT_KHR,
		.presentMode = VK_PRESENT_MODE_FIFO_KHR,
	};

	return GET(world, vkCreateSwapchainKHR)(world->handle, &info, NULL, swapchain);
}

static void create_objects(struct world *world)
{
	const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	const VkEventCreateInfo event = {.sType = VK_STRUCTURE_TYPE_EVENT_CREATE_INFO};
	const VkQueryPoolCreateInfo queries = {
		.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
		.queryType = VK_QUERY_TYPE_OCCLUSION,
		.queryCount = 1,
	};

	check_vk(vkCreateFence(world->handle, &fence, NULL, &world->fence));
	check_vk(vkCreateEvent(world->handle, &event, NULL, &world->event));
	check_vk(vkCreateQueryPool(world->handle, &queries, NULL, &world->queries));
	world->timeline = semaphore_new(world, VK_SEMAPHORE_TYPE_TIMELINE);
	world->acquired[0] = semaphore_new(world, VK_SEMAPHORE_TYPE_BINARY);
	world->acquired[1] = semaphore_new(world, VK_SEMAPHORE_TYPE_BINARY);
	world->surface = surface_new(world);
	world->other_surface = surface_new(world);
	check_vk(swapchain_new(world, world->surface, &world->swapchain));
}

static struct world world_open(unsigned int gpu)
{
	VkPhysicalDevice physical[8];
	uint32_t count = ARRAY_SIZE(physical);
	struct world world = {0};

	create_instance(&world);
	check_vk(vkEnumeratePhysicalDevices(world.instance, &count, physical));
	check_eq(count, num_gpus());
	/* they come in the order of their nodes; vulkan-face sees to it */
	world.physical = physical[gpu];
	create_device(&world);
	create_objects(&world);
	return world;
}

static void world_close(struct world *world)
{
	PFN_vkDestroySurfaceKHR destroy_surface = (PFN_vkDestroySurfaceKHR)vkGetInstanceProcAddr(
		world->instance, "vkDestroySurfaceKHR");

	GET(world, vkDestroySwapchainKHR)(world->handle, world->swapchain, NULL);
	vkDestroySemaphore(world->handle, world->acquired[0], NULL);
	vkDestroySemaphore(world->handle, world->acquired[1], NULL);
	vkDestroySemaphore(world->handle, world->timeline, NULL);
	vkDestroyQueryPool(world->handle, world->queries, NULL);
	vkDestroyEvent(world->handle, world->event, NULL);
	vkDestroyFence(world->handle, world->fence, NULL);
	vkDestroyDevice(world->handle, NULL);
	destroy_surface(world->instance, world->other_surface, NULL);
	destroy_surface(world->instance, world->surface, NULL);
	vkDestroyInstance(world->instance, NULL);
}

/* ---- The calls ---- */

#define CALL(name, ...)                                  \
	static VkResult call_##name(struct world *world) \
	{                                                \
		return GET(world, name)(__VA_ARGS__);    \
	}

CALL(vkQueueSubmit, world->queue, 0, NULL, VK_NULL_HANDLE)
CALL(vkQueueSubmit2, world->queue, 0, NULL, VK_NULL_HANDLE)
CALL(vkQueueSubmit2KHR, world->queue, 0, NULL, VK_NULL_HANDLE)
CALL(vkQueueBindSparse, world->queue, 0, NULL, VK_NULL_HANDLE)
CALL(vkQueueWaitIdle, world->queue)
CALL(vkDeviceWaitIdle, world->handle)
CALL(vkGetFenceStatus, world->handle, world->fence)
CALL(vkWaitForFences, world->handle, 1, &world->fence, VK_TRUE, 0)
CALL(vkGetEventStatus, world->handle, world->event)

static VkResult call_vkGetQueryPoolResults(struct world *world)
{
	uint64_t data;

	return vkGetQueryPoolResults(world->handle, world->queries, 0, 1, sizeof(data), &data,
				     sizeof(data), VK_QUERY_RESULT_64_BIT);
}

static VkResult get_counter(struct world *world, PFN_vkGetSemaphoreCounterValue get)
{
	uint64_t value;

	return get(world->handle, world->timeline, &value);
}

static VkResult call_vkGetSemaphoreCounterValue(struct world *world)
{
	return get_counter(world, GET(world, vkGetSemaphoreCounterValue));
}

static VkResult call_vkGetSemaphoreCounterValueKHR(struct world *world)
{
	return get_counter(world, GET(world, vkGetSemaphoreCounterValueKHR));
}

static VkResult wait_semaphores(struct world *world, PFN_vkWaitSemaphores wait)
{
	const uint64_t value = 1;
	const VkSemaphoreWaitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
		.semaphoreCount = 1,
		.pSemaphores = &world->timeline,
		.pValues = &value,
	};

	return wait(world->handle, &info, 0);
}

static VkResult call_vkWaitSemaphores(struct world *world)
{
	return wait_semaphores(world, GET(world, vkWaitSemaphores));
}

static VkResult call_vkWaitSemaphoresKHR(struct world *world)
{
	return wait_semaphores(world, GET(world, vkWaitSemaphoresKHR));
}

static VkResult call_vkCreateSwapchainKHR(struct world *world)
{
	VkSwapchainKHR swapchain;
	VkResult result = swapchain_new(world, world->other_surface, &swapchain);

	if (result == VK_SUCCESS)
		GET(world, vkDestroySwapchainKHR)(world->handle, swapchain, NULL);
	return result;
}

static VkResult call_vkAcquireNextImageKHR(struct world *world)
{
	return GET(world, vkAcquireNextImageKHR)(world->handle, world->swapchain, UINT64_MAX,
						 world->acquired[0], VK_NULL_HANDLE, &world->image);
}

static VkResult call_vkAcquireNextImage2KHR(struct world *world)
{
	const VkAcquireNextImageInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_ACQUIRE_NEXT_IMAGE_INFO_KHR,
		.swapchain = world->swapchain,
		.timeout = UINT64_MAX,
		.semaphore = world->acquired[1],
		.deviceMask = 1,
	};
	uint32_t image;

	return GET(world, vkAcquireNextImage2KHR)(world->handle, &info, &image);
}

static VkResult call_vkQueuePresentKHR(struct world *world)
{
	const VkPresentInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_PRESENT_INFO_KHR,
		.swapchainCount = 1,
		.pSwapchains = &world->swapchain,
		.pImageIndices = &world->image,
	};

	return GET(world, vkQueuePresentKHR)(world->queue, &info);
}

CALL(vkWaitForPresentKHR, world->handle, world->swapchain, 1, 0)

/* In an order in which all work on a device that isn't lost. */
static const struct call {
	const char *name;
	VkResult (*call)(struct world *world);
} calls[] = {
#define LINE(name) {#name, call_##name}
	LINE(vkQueueSubmit),
	LINE(vkQueueSubmit2),
	LINE(vkQueueSubmit2KHR),
	LINE(vkQueueBindSparse),
	LINE(vkQueueWaitIdle),
	LINE(vkDeviceWaitIdle),
	LINE(vkGetFenceStatus),
	LINE(vkWaitForFences),
	LINE(vkGetEventStatus),
	LINE(vkGetQueryPoolResults),
	LINE(vkGetSemaphoreCounterValue),
	LINE(vkGetSemaphoreCounterValueKHR),
	LINE(vkWaitSemaphores),
	LINE(vkWaitSemaphoresKHR),
	LINE(vkCreateSwapchainKHR),
	LINE(vkAcquireNextImageKHR),
	LINE(vkAcquireNextImage2KHR),
	LINE(vkQueuePresentKHR),
	LINE(vkWaitForPresentKHR),
#undef LINE
};

/* By the registry. */
static const char *const may_lose_the_device[] = {
#include "lost.inc"
};

static bool is_tried(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		if (!strcmp(calls[i].name, name))
			return true;
	return false;
}

static void check_all_are_tried(const struct world *world)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(may_lose_the_device); i++)
		check(is_tried(may_lose_the_device[i]) ||
			      !vkGetDeviceProcAddr(world->handle, may_lose_the_device[i]),
		      "%s may return VK_ERROR_DEVICE_LOST, and isn't tried: add it to `calls`, and to "
		      "layers/working_set/lost.c",
		      may_lose_the_device[i]);
}

static void check_calls(struct world *world, bool lost)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		VkResult result;

		if (!vkGetDeviceProcAddr(world->handle, calls[i].name)) {
			/* of an extension that drivers needn't have */
			check(!strcmp(calls[i].name, "vkWaitForPresentKHR"), "%s isn't there",
			      calls[i].name);
			continue;
		}
		result = calls[i].call(world);
		if (lost)
			check(result == VK_ERROR_DEVICE_LOST,
			      "%s on a lost device: %s, expected VK_ERROR_DEVICE_LOST",
			      calls[i].name, string_VkResult(result));
		else
			check(result >= 0, "%s: %s", calls[i].name, string_VkResult(result));
	}
}

/* ---- Ways to lose it ---- */

static void its_device_is_unbound(void)
{
	struct world world;

	need_gpus(2);
	world = world_open(1);
	check_all_are_tried(&world);
	check_calls(&world, false);
	device_unbind(1);
	check_calls(&world, true);
	world_close(&world);
	devices_bind();
}

/* Memory that is another device's, which goes away: the device itself stays. */
static void a_fault_cannot_be_served(void)
{
	VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	const VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &import,
		.allocationSize = SIZE,
	};
	struct gpu exporter;
	VkDeviceMemory memory;
	struct world world;
	uint32_t *words;
	void *pointer;

	need_gpus(2);
	world = world_open(0);
	exporter = gpu_open(1);
	import.fd = bo_export(bo_new(&exporter, SIZE, VRAM | GTT));
	check_vk(vkAllocateMemory(world.handle, &info, NULL, &memory));
	check_vk(vkMapMemory(world.handle, memory, 0, VK_WHOLE_SIZE, 0, &pointer));
	words = pointer;
	words[0] = 1;
	device_unbind(1);
	check_calls(&world, false);
	check_eq(words[0], 0);
	check_calls(&world, true);
	vkFreeMemory(world.handle, memory, NULL);
	world_close(&world);
	devices_bind();
}

/* ---- What was submitted before ---- */

/* Work that waits for a timeline, and writes to memory that a loss takes nothing away from. */
struct work {
	struct device *device;
	VkSemaphore start;
	struct buffer buffer;
	uint32_t *words;
	struct commands commands;
};

/* So many times is all of the memory written: this takes a while. */
#define ROUNDS 100

static void allocate_from_the_host(struct work *work)
{
	const VkExternalMemoryHandleTypeFlagBits handle_type =
		VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
	VkMemoryHostPointerPropertiesEXT properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT,
	};
	VkImportMemoryHostPointerInfoEXT import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		.handleType = handle_type,
	};
	struct device *device = work->device;

	import.pHostPointer =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(import.pHostPointer != MAP_FAILED, "mmap: %m");
	check_vk(device->get_host_pointer_properties(device->handle, handle_type,
						     import.pHostPointer, &properties));
	work->words = import.pHostPointer;
	work->buffer = buffer_create(device, SIZE, handle_type);
	check_vk(buffer_allocate(&work->buffer,
				 memory_type(device,
					     properties.memoryTypeBits &
						     work->buffer.requirements.memoryTypeBits,
					     0, 0),
				 &import));
}

static void submit_wait(const struct work *work)
{
	const uint64_t value = 1;
	const VkPipelineStageFlags stages = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	const VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &value,
	};
	const VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &values,
		.waitSemaphoreCount = 1,
		.pWaitSemaphores = &work->start,
		.pWaitDstStageMask = &stages,
	};

	check_vk(vkQueueSubmit(work->device->queue, 1, &submit, VK_NULL_HANDLE));
}

/* On virtual GPU 1. */
static struct work work_submit(void)
{
	struct work work = {.device = vulkan_device_open(NULL, 1)};
	const struct buffer *buffers[] = {&work.buffer};
	uint32_t i;

	work.device->instance->messages_expected = true;
	work.start = timeline_new(work.device->handle);
	allocate_from_the_host(&work);
	work.commands = commands_begin(work.device);
	for (i = 1; i <= ROUNDS; i++) {
		const uint32_t arguments[3] = {SIZE / 4, i, i};

		commands_dispatch(&work.commands, SHADER_FILL, buffers, 1, NULL, arguments);
	}
	submit_wait(&work);
	check_vk(commands_submit(&work.commands));
	return work;
}

static void check_work_is_over(const struct work *work)
{
	check_words(work->words, SIZE, ROUNDS, ROUNDS);
}

static void work_end(struct work *work)
{
	check_result(commands_wait(&work->commands), VK_ERROR_DEVICE_LOST);
	vkDestroySemaphore(work->device->handle, work->start, NULL);
	buffer_free(&work->buffer);
	vulkan_device_close(work->device);
}

/* An application that hears of it may destroy everything, whichever call tells it. */
static void nothing_runs_any_more_when_it_is_told(void)
{
	VkSemaphoreSignalInfo start = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
		.value = 1,
	};
	struct work work;

	need_gpus(2);
	work = work_submit();
	device_unbind(1);
	start.semaphore = work.start;
	check_eq(work.words[0], 0);
	check_vk(vkSignalSemaphore(work.device->handle, &start));
	check_result(vkGetFenceStatus(work.device->handle, work.commands.done),
		     VK_ERROR_DEVICE_LOST);
	check_work_is_over(&work);
	work_end(&work);
	devices_bind();
}

static VkResult signal_by_submit(const struct work *work)
{
	const uint64_t value = 1;
	const VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.signalSemaphoreValueCount = 1,
		.pSignalSemaphoreValues = &value,
	};
	const VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &values,
		.signalSemaphoreCount = 1,
		.pSignalSemaphores = &work->start,
	};

	return vkQueueSubmit(work->device->queue, 1, &submit, VK_NULL_HANDLE);
}

static VkResult signal_by_submit2(const struct work *work)
{
	const VkSemaphoreSubmitInfo semaphore = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
		.semaphore = work->start,
		.value = 1,
		.stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
	};
	const VkSubmitInfo2 submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
		.signalSemaphoreInfoCount = 1,
		.pSignalSemaphoreInfos = &semaphore,
	};

	return vkQueueSubmit2(work->device->queue, 1, &submit, VK_NULL_HANDLE);
}

static VkResult signal_by_bind(const struct work *work)
{
	const uint64_t value = 1;
	const VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.signalSemaphoreValueCount = 1,
		.pSignalSemaphoreValues = &value,
	};
	const VkBindSparseInfo bind = {
		.sType = VK_STRUCTURE_TYPE_BIND_SPARSE_INFO,
		.pNext = &values,
		.signalSemaphoreCount = 1,
		.pSignalSemaphores = &work->start,
	};

	return vkQueueBindSparse(work->device->queue, 1, &bind, VK_NULL_HANDLE);
}

/* What runs may wait for it. */
static void refused_work_signals_its_timelines(void)
{
	static VkResult (*const signals[])(const struct work *work) = {
		signal_by_submit,
		signal_by_submit2,
		signal_by_bind,
	};
	unsigned int i;

	need_gpus(2);
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		struct work work;

		devices_bind();
		work = work_submit();
		device_unbind(1);
		check_result(signals[i](&work), VK_ERROR_DEVICE_LOST);
		check_work_is_over(&work);
		work_end(&work);
	}
	devices_bind();
}

/* It never comes: calls end nevertheless, and what ends later is waited for by those that wait. */
static void what_never_ends_holds_nobody_up(void)
{
	VkSemaphoreSignalInfo start = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
		.value = 1,
	};
	struct work work;

	need_gpus(2);
	work = work_submit();
	device_unbind(1);
	check_result(vkGetFenceStatus(work.device->handle, work.commands.done),
		     VK_ERROR_DEVICE_LOST);
	check_result(vkQueueSubmit(work.device->queue, 0, NULL, VK_NULL_HANDLE),
		     VK_ERROR_DEVICE_LOST);
	check_result(vkQueueWaitIdle(work.device->queue), VK_ERROR_DEVICE_LOST);
	check_eq(work.words[0], 0);
	start.semaphore = work.start;
	check_vk(vkSignalSemaphore(work.device->handle, &start));
	check_result(vkDeviceWaitIdle(work.device->handle), VK_ERROR_DEVICE_LOST);
	check_work_is_over(&work);
	work_end(&work);
	devices_bind();
}

static const struct test tests[] = {
	TEST(its_device_is_unbound),
	TEST(a_fault_cannot_be_served),
	TEST(nothing_runs_any_more_when_it_is_told),
	TEST(refused_work_signals_its_timelines),
	TEST(what_never_ends_holds_nobody_up),
};

int main(int argc, char **argv)
{
	/* calls without effect, and devices with all extensions at once, are no business of its */
	setenv("DROVER_TEST_VALIDATION", "0", 1);
	return vulkan_main("vulkan-lost", tests, ARRAY_SIZE(tests), argc, argv);
}
