// SPDX-License-Identifier: MIT
/*
 * What the layer adds to a Vulkan call, and what its implicit sync costs against the same bridge written by hand.
 *
 * Three applications are in this process, each with an instance and a device of its own: one without a layer, one with
 * a layer that does nothing (passthrough-layer/), one with ours. They take turns, call by call and batch by batch; a
 * repetition's ratio is of neighbours in time, and what is reported is the median of the repetitions.
 *
 * The calls are made on Vulkan-ValidationLayers' mock driver, which does next to nothing itself, so that what is measured is
 * the layer. The bridge is measured on lavapipe: a submission that takes a dma-buf over from a foreign queue family and
 * gives it back. Our layer does what is due there; the application without a layer exports a sync file from the dma-buf,
 * lets the submission wait for it, and puts the submission's own fence into the dma-buf.
 */
#include "bench.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cairo.h>
#include <json-c/json.h>
#include <vulkan/vulkan.h>

#define REPS         51
#define CALLS        2000
#define BRIDGE_REPS  41
#define BRIDGE_CALLS 20
#define BYTES        (64 * KIB)
#define SPIN_US      50000
#define MOCK_LIBRARY "/usr/lib/drover-lab/icd/libVkICD_mock_icd.so"
#define LAVAPIPE     "/usr/share/vulkan/icd.d/lvp_icd.json"

enum variant { NONE, PASSTHROUGH, OURS, VARIANTS };

static const char *const variant_names[VARIANTS] = {"none", "passthrough", "layer"};
static const char *const layer_names[VARIANTS] = {NULL, "VK_LAYER_DROVER_passthrough",
						  "VK_LAYER_DROVER_working_set"};

enum call {
	SUBMIT,
	/* while another command buffer of the device takes over a dma-buf and gives it back */
	SUBMIT_BESIDE,
	/* while the device has a timeline semaphore; and with it: each waits for the one before */
	SUBMIT_TIMELINE,
	SUBMIT_VALUES,
	ALLOCATE,
	DRAW,
	BARRIER,
	NUM_CALLS
};

static const char *const call_names[NUM_CALLS] = {"queue_submit",
						  "queue_submit_beside_transfers",
						  "queue_submit_beside_timeline",
						  "queue_submit_with_values",
						  "allocate_memory",
						  "cmd_draw",
						  "cmd_pipeline_barrier"};
static const char *const call_labels[NUM_CALLS] = {"vkQueueSubmit",
						   "vkQueueSubmit beside transfers",
						   "vkQueueSubmit beside a timeline",
						   "vkQueueSubmit with a timeline",
						   "vkAllocateMemory + vkFreeMemory",
						   "vkCmdDraw",
						   "vkCmdPipelineBarrier"};

struct app {
	VkInstance instance;
	VkPhysicalDevice physical;
	VkDevice device;
	VkQueue queue;
	VkCommandPool pool;
	/* @empty is submitted, @open is recorded into, @transfers takes the dma-buf over and gives it back */
	VkCommandBuffer empty, open, transfers;
	VkBuffer buffer;
	VkDeviceMemory memory;
	/* null but for the calls that need it */
	VkSemaphore timeline;
	uint64_t value;
	/* the bridge by hand */
	VkSemaphore acquired, released;
	int dmabuf;

	PFN_vkQueueSubmit queue_submit;
	PFN_vkAllocateMemory allocate_memory;
	PFN_vkFreeMemory free_memory;
	PFN_vkCmdDraw cmd_draw;
	PFN_vkCmdPipelineBarrier cmd_pipeline_barrier;
	PFN_vkImportSemaphoreFdKHR import_semaphore_fd;
	PFN_vkGetSemaphoreFdKHR get_semaphore_fd;
};

/** enum bridge - what a submission with transfers is measured with */
enum bridge { BRIDGE_NONE, BRIDGE_BY_HAND, BRIDGE_LAYER, BRIDGES };

static const char *const bridge_names[BRIDGES] = {"no_bridge", "by_hand", "layer"};

struct results {
	struct samples ns[NUM_CALLS][VARIANTS];
	/* of the layer to what it is compared with, within a repetition */
	struct samples ratio[NUM_CALLS];
	struct samples bridge_ns[BRIDGES];
	struct samples bridge_ratio;
};

static void check_vk(VkResult result, const char *what)
{
	if (result)
		die("%s failed with %d", what, result);
}

#define VK(call) check_vk(call, #call)

/* ---- Applications ---- */

static VkPhysicalDevice find_device(VkInstance instance, const char *name)
{
	VkPhysicalDevice devices[16];
	uint32_t count = ARRAY_SIZE(devices);

	if (vkEnumeratePhysicalDevices(instance, &count, devices) < 0)
		die("there is no Vulkan device");
	for (uint32_t i = 0; i < count; i++) {
		VkPhysicalDeviceProperties properties;

		vkGetPhysicalDeviceProperties(devices[i], &properties);
		if (!strncmp(properties.deviceName, name, strlen(name)))
			return devices[i];
	}
	die("there is no Vulkan device whose name begins with \"%s\"", name);
}

static void create_instance(struct app *app, const char *layer)
{
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = VK_API_VERSION_1_2,
	};
	const VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
		.enabledLayerCount = layer ? 1 : 0,
		.ppEnabledLayerNames = &layer,
	};

	VK(vkCreateInstance(&info, NULL, &app->instance));
}

/* With the extensions of an application that shares memory: for others the layer has nothing to do. */
static void create_device(struct app *app)
{
	static const char *const extensions[] = {
		VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
		VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
		VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
	};
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	const VkPhysicalDeviceTimelineSemaphoreFeatures timelines = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
		.timelineSemaphore = VK_TRUE,
	};
	const VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = &timelines,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = ARRAY_SIZE(extensions),
		.ppEnabledExtensionNames = extensions,
	};

	VK(vkCreateDevice(app->physical, &info, NULL, &app->device));
	vkGetDeviceQueue(app->device, 0, 0, &app->queue);
}

#define LOAD(name) ((PFN_##name)vkGetDeviceProcAddr(app->device, #name))

static void load_functions(struct app *app)
{
	app->queue_submit = LOAD(vkQueueSubmit);
	app->allocate_memory = LOAD(vkAllocateMemory);
	app->free_memory = LOAD(vkFreeMemory);
	app->cmd_draw = LOAD(vkCmdDraw);
	app->cmd_pipeline_barrier = LOAD(vkCmdPipelineBarrier);
	app->import_semaphore_fd = LOAD(vkImportSemaphoreFdKHR);
	app->get_semaphore_fd = LOAD(vkGetSemaphoreFdKHR);
}

static VkCommandBuffer begin_commands(struct app *app)
{
	const VkCommandBufferAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = app->pool,
		.commandBufferCount = 1,
	};
	const VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
	};
	VkCommandBuffer commands;

	VK(vkAllocateCommandBuffers(app->device, &allocate, &commands));
	VK(vkBeginCommandBuffer(commands, &begin));
	return commands;
}

static struct app app_open(enum variant variant, const char *device)
{
	const VkCommandPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
	};
	struct app app = {.dmabuf = -1};

	create_instance(&app, layer_names[variant]);
	app.physical = find_device(app.instance, device);
	create_device(&app);
	load_functions(&app);
	VK(vkCreateCommandPool(app.device, &pool, NULL, &app.pool));
	app.empty = begin_commands(&app);
	VK(vkEndCommandBuffer(app.empty));
	app.open = begin_commands(&app);
	return app;
}

static void app_close(struct app *app)
{
	VK(vkDeviceWaitIdle(app->device));
	vkDestroySemaphore(app->device, app->acquired, NULL);
	vkDestroySemaphore(app->device, app->released, NULL);
	vkDestroyCommandPool(app->device, app->pool, NULL);
	vkDestroyBuffer(app->device, app->buffer, NULL);
	vkFreeMemory(app->device, app->memory, NULL);
	vkDestroyDevice(app->device, NULL);
	vkDestroyInstance(app->instance, NULL);
}

/* ---- A dma-buf in an application ---- */

static void create_shared_buffer(struct app *app)
{
	const VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	const VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = &external,
		.size = BYTES,
		.usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};

	VK(vkCreateBuffer(app->device, &info, NULL, &app->buffer));
}

/* @fd: a dma-buf, which stays the caller's. Returns the descriptor that the driver was given */
static int import_memory(struct app *app, int fd)
{
	VkMemoryFdPropertiesKHR properties = {.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR};
	VkMemoryRequirements requirements;
	VkImportMemoryFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
		.fd = dup(fd),
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &import,
		.allocationSize = BYTES,
	};
	PFN_vkGetMemoryFdPropertiesKHR get_properties = LOAD(vkGetMemoryFdPropertiesKHR);
	uint32_t types;

	vkGetBufferMemoryRequirements(app->device, app->buffer, &requirements);
	VK(get_properties(app->device, import.handleType, fd, &properties));
	/* the mock driver says nothing about file descriptors */
	types = requirements.memoryTypeBits;
	if (properties.memoryTypeBits)
		types &= properties.memoryTypeBits;
	if (!types)
		die("the driver has no memory type for this dma-buf");
	info.memoryTypeIndex = (uint32_t)__builtin_ctz(types);
	VK(vkAllocateMemory(app->device, &info, NULL, &app->memory));
	VK(vkBindBufferMemory(app->device, app->buffer, app->memory, 0));
	app->dmabuf = fd;
	return import.fd;
}

static void record_transfer(struct app *app, VkCommandBuffer commands, bool acquire)
{
	const VkBufferMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
		.srcAccessMask = acquire ? 0 : VK_ACCESS_TRANSFER_WRITE_BIT,
		.dstAccessMask = acquire ? VK_ACCESS_TRANSFER_WRITE_BIT : 0,
		.srcQueueFamilyIndex = acquire ? VK_QUEUE_FAMILY_FOREIGN_EXT : 0,
		.dstQueueFamilyIndex = acquire ? 0 : VK_QUEUE_FAMILY_FOREIGN_EXT,
		.buffer = app->buffer,
		.size = VK_WHOLE_SIZE,
	};

	app->cmd_pipeline_barrier(
		commands,
		acquire ? VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT : VK_PIPELINE_STAGE_TRANSFER_BIT,
		acquire ? VK_PIPELINE_STAGE_TRANSFER_BIT : VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, 0,
		0, NULL, 1, &barrier, 0, NULL);
}

static void record_transfers(struct app *app)
{
	app->transfers = begin_commands(app);
	record_transfer(app, app->transfers, true);
	vkCmdFillBuffer(app->transfers, app->buffer, 0, 64, 1);
	record_transfer(app, app->transfers, false);
	VK(vkEndCommandBuffer(app->transfers));
}

static void share(struct app *app, int dmabuf)
{
	const VkExportSemaphoreCreateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO,
		.handleTypes = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	const VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &export,
	};

	create_shared_buffer(app);
	import_memory(app, dmabuf);
	record_transfers(app);
	VK(vkCreateSemaphore(app->device, &info, NULL, &app->acquired));
	VK(vkCreateSemaphore(app->device, &info, NULL, &app->released));
}

/* ---- The calls ---- */

static void submit_batch(struct app *app)
{
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &app->empty,
	};

	for (unsigned int i = 0; i < CALLS; i++)
		VK(app->queue_submit(app->queue, 1, &info, VK_NULL_HANDLE));
}

static void submit_values_batch(struct app *app)
{
	const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	uint64_t next;
	const VkTimelineSemaphoreSubmitInfo values = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = 1,
		.pWaitSemaphoreValues = &app->value,
		.signalSemaphoreValueCount = 1,
		.pSignalSemaphoreValues = &next,
	};
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &values,
		.waitSemaphoreCount = 1,
		.pWaitSemaphores = &app->timeline,
		.pWaitDstStageMask = &stage,
		.commandBufferCount = 1,
		.pCommandBuffers = &app->empty,
		.signalSemaphoreCount = 1,
		.pSignalSemaphores = &app->timeline,
	};

	for (unsigned int i = 0; i < CALLS; i++) {
		next = app->value + 1;
		VK(app->queue_submit(app->queue, 1, &info, VK_NULL_HANDLE));
		app->value = next;
	}
}

static void allocate_batch(struct app *app)
{
	const VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.allocationSize = 4096,
	};
	VkDeviceMemory memory;

	for (unsigned int i = 0; i < CALLS; i++) {
		VK(app->allocate_memory(app->device, &info, NULL, &memory));
		app->free_memory(app->device, memory, NULL);
	}
}

static void draw_batch(struct app *app)
{
	for (unsigned int i = 0; i < CALLS; i++)
		app->cmd_draw(app->open, 3, 1, 0, 0);
}

static void barrier_batch(struct app *app)
{
	const VkBufferMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_SHADER_READ_BIT,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.buffer = app->buffer,
		.size = VK_WHOLE_SIZE,
	};

	for (unsigned int i = 0; i < CALLS; i++)
		app->cmd_pipeline_barrier(app->open, VK_PIPELINE_STAGE_TRANSFER_BIT,
					  VK_PIPELINE_STAGE_VERTEX_SHADER_BIT, 0, 0, NULL, 1,
					  &barrier, 0, NULL);
}

static void (*const batches[NUM_CALLS])(struct app *) = {
	[SUBMIT] = submit_batch,          [SUBMIT_BESIDE] = submit_batch,
	[SUBMIT_TIMELINE] = submit_batch, [SUBMIT_VALUES] = submit_values_batch,
	[ALLOCATE] = allocate_batch,      [DRAW] = draw_batch,
	[BARRIER] = barrier_batch,
};

static void create_timeline(struct app *app)
{
	const VkSemaphoreTypeCreateInfo type = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
	};
	const VkSemaphoreCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
		.pNext = &type,
	};

	VK(vkCreateSemaphore(app->device, &info, NULL, &app->timeline));
	app->value = 0;
}

/* ns per call of one batch */
static double time_batch(struct app *app, enum call call)
{
	uint64_t start;

	if (call == SUBMIT_BESIDE)
		record_transfers(app);
	if (call == SUBMIT_TIMELINE || call == SUBMIT_VALUES)
		create_timeline(app);
	/* what was done last is still in the caches */
	batches[call](app);
	start = ticks();
	batches[call](app);
	start = ticks() - start;
	if (call == SUBMIT_BESIDE)
		vkFreeCommandBuffers(app->device, app->pool, 1, &app->transfers);
	vkDestroySemaphore(app->device, app->timeline, NULL);
	app->timeline = VK_NULL_HANDLE;
	return ticks_to_ns(start) / CALLS;
}

static enum variant compared_with(enum call call)
{
	return call == DRAW ? NONE : PASSTHROUGH;
}

static void measure_calls(struct app apps[VARIANTS], unsigned int rep, struct results *results)
{
	for (unsigned int call = 0; call < NUM_CALLS; call++) {
		double ns[VARIANTS];

		if (call == SUBMIT_BESIDE && apps[OURS].dmabuf < 0)
			continue;
		for (unsigned int i = 0; i < VARIANTS; i++) {
			unsigned int variant = (i + rep) % VARIANTS;

			ns[variant] = time_batch(&apps[variant], call);
		}
		/* the first one warms up */
		if (!rep)
			continue;
		for (unsigned int variant = 0; variant < VARIANTS; variant++)
			samples_add(&results->ns[call][variant], ns[variant]);
		samples_add(&results->ratio[call], ns[OURS] / ns[compared_with(call)]);
	}
}

/* @dmabuf: one to import, or -1 */
static void measure_mock(int dmabuf, struct results *results)
{
	struct app apps[VARIANTS];
	int given[VARIANTS];

	for (unsigned int variant = 0; variant < VARIANTS; variant++) {
		apps[variant] = app_open(variant, "Vulkan Mock Device");
		create_shared_buffer(&apps[variant]);
		given[variant] = dmabuf < 0 ? -1 : import_memory(&apps[variant], dmabuf);
	}
	for (unsigned int rep = 0; rep <= REPS; rep++) {
		if (rep % 10 == 1)
			progress("calls, repetition %u of %d", rep, REPS);
		measure_calls(apps, rep, results);
	}
	for (unsigned int variant = 0; variant < VARIANTS; variant++) {
		app_close(&apps[variant]);
		/* a driver that owns it would have closed it */
		if (given[variant] >= 0)
			close(given[variant]);
	}
}

/* ---- The bridge ---- */

static void submit_transfers(struct app *app, const VkSemaphore *wait, const VkSemaphore *signal)
{
	const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.waitSemaphoreCount = wait ? 1 : 0,
		.pWaitSemaphores = wait,
		.pWaitDstStageMask = &stage,
		.commandBufferCount = 1,
		.pCommandBuffers = &app->transfers,
		.signalSemaphoreCount = signal ? 1 : 0,
		.pSignalSemaphores = signal,
	};

	VK(app->queue_submit(app->queue, 1, &info, VK_NULL_HANDLE));
}

static void submit_by_hand(struct app *app)
{
	VkImportSemaphoreFdInfoKHR import = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
		.semaphore = app->acquired,
		.flags = VK_SEMAPHORE_IMPORT_TEMPORARY_BIT,
		.handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	const VkSemaphoreGetFdInfoKHR get = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_GET_FD_INFO_KHR,
		.semaphore = app->released,
		.handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	int done;

	check(drover_dmabuf_export_sync_file(app->dmabuf, DROVER_ACCESS_READ | DROVER_ACCESS_WRITE,
					     &import.fd),
	      "exporting a sync file");
	VK(app->import_semaphore_fd(app->device, &import));
	submit_transfers(app, &app->acquired, &app->released);
	VK(app->get_semaphore_fd(app->device, &get, &done));
	/* -1: signalled already */
	if (done < 0)
		return;
	check(drover_dmabuf_import_sync_file(app->dmabuf, DROVER_ACCESS_WRITE, done),
	      "importing a sync file");
	close(done);
}

static void submit_bridge(struct app *app, enum bridge bridge)
{
	if (bridge == BRIDGE_BY_HAND)
		submit_by_hand(app);
	else
		submit_transfers(app, NULL, NULL);
	VK(vkQueueWaitIdle(app->queue));
}

static double time_bridge(struct app *app, enum bridge bridge)
{
	uint64_t start;

	submit_bridge(app, bridge);
	start = ticks();
	for (unsigned int i = 0; i < BRIDGE_CALLS; i++)
		submit_bridge(app, bridge);
	return ticks_to_ns(ticks() - start) / BRIDGE_CALLS;
}

/** struct producer - a virtual GPU whose buffer the applications import */
struct producer {
	struct drover_device *dev;
	struct queue queue;
	struct drover_bo *bo;
	struct drover_submission *spin;
	int dmabuf;
};

static struct producer producer_open(void)
{
	static const char *const params[] = {"devices=1", "vram_mib=16", "gtt_mib=16", NULL};
	struct producer producer;

	module_load(params);
	producer.dev = gpu_open(0);
	producer.queue = queue_create(producer.dev);
	check(drover_bo_create(producer.dev, BYTES, DRM_DROVER_PLACEMENT_GTT, 0, NULL,
			       &producer.bo),
	      "creating a BO");
	check(drover_bo_export(producer.bo, &producer.dmabuf), "exporting a BO");
	check(drover_submission_create(producer.queue.vm, &producer.spin), "creating a submission");
	drover_submission_spin(producer.spin, SPIN_US);
	drover_submission_buffer(producer.spin, producer.bo, DROVER_ACCESS_WRITE);
	drover_submission_signal(producer.spin, producer.queue.sync, 0);
	return producer;
}

static void producer_close(struct producer *producer)
{
	close(producer->dmabuf);
	drover_submission_destroy(producer->spin);
	queue_destroy(&producer->queue);
	drover_bo_unref(producer->bo);
	drover_device_close(producer->dev);
	module_unload();
}

/* A bridge that doesn't wait for the foreign writer isn't worth measuring. */
static void check_bridge(struct producer *producer, struct app *app, enum bridge bridge)
{
	check(drover_submission_submit(producer->spin), "submitting");
	submit_bridge(app, bridge);
	if (drover_sync_status(producer->queue.sync, 0) != 1)
		die("the submission (%s) didn't wait for who writes to the dma-buf",
		    bridge_names[bridge]);
}

static void measure_bridge(struct producer *producer, struct results *results)
{
	struct app plain = app_open(NONE, "llvmpipe"), layered = app_open(OURS, "llvmpipe");

	share(&plain, producer->dmabuf);
	share(&layered, producer->dmabuf);
	check_bridge(producer, &plain, BRIDGE_BY_HAND);
	check_bridge(producer, &layered, BRIDGE_LAYER);

	for (unsigned int rep = 0; rep <= BRIDGE_REPS; rep++) {
		double ns[BRIDGES];

		if (rep % 10 == 1)
			progress("bridge, repetition %u of %d", rep, BRIDGE_REPS);
		for (unsigned int i = 0; i < BRIDGES; i++) {
			unsigned int bridge = (i + rep) % BRIDGES;

			ns[bridge] =
				time_bridge(bridge == BRIDGE_LAYER ? &layered : &plain, bridge);
		}
		for (unsigned int bridge = 0; rep && bridge < BRIDGES; bridge++)
			samples_add(&results->bridge_ns[bridge], ns[bridge]);
		if (rep)
			samples_add(&results->bridge_ratio, ns[BRIDGE_LAYER] / ns[BRIDGE_BY_HAND]);
	}
	app_close(&layered);
	app_close(&plain);
}

/* ---- The report ---- */

static void print_table(const struct results *results)
{
	printf("\nns per call (median of %d repetitions of %d calls, mock driver)\n", REPS, CALLS);
	printf("  %-33s %10s %12s %10s\n", "", "no layer", "pass-through", "layer");
	for (unsigned int call = 0; call < NUM_CALLS; call++) {
		if (!results->ratio[call].count)
			continue;
		printf("  %-33s %10.1f %12.1f %10.1f\n", call_labels[call],
		       samples_median(&results->ns[call][NONE]),
		       samples_median(&results->ns[call][PASSTHROUGH]),
		       samples_median(&results->ns[call][OURS]));
	}
	if (!results->bridge_ratio.count)
		return;
	printf("\nns per submission with an acquire and a release, until it is done (lavapipe)\n");
	printf("  without any bridge %10.0f   by hand %10.0f   layer %10.0f\n",
	       samples_median(&results->bridge_ns[BRIDGE_NONE]),
	       samples_median(&results->bridge_ns[BRIDGE_BY_HAND]),
	       samples_median(&results->bridge_ns[BRIDGE_LAYER]));
}

static void report_numbers(struct report *report, const struct results *results)
{
	for (unsigned int call = 0; call < NUM_CALLS; call++) {
		char key[64];

		if (!results->ratio[call].count)
			continue;
		for (unsigned int variant = 0; variant < VARIANTS; variant++)
			report_raw(report, call_names[call], variant_names[variant],
				   &results->ns[call][variant]);
		snprintf(key, sizeof(key), "%s_vs_%s", call_names[call],
			 variant_names[compared_with(call)]);
		report_raw(report, "ratios", key, &results->ratio[call]);
		/*
		 * Between others' transfers each command buffer has to be looked up, beside a timeline
		 * each batch, and with one the timeline; that's little for a driver, and much for one
		 * that does nothing: no target.
		 */
		if (call == SUBMIT_BESIDE || call == SUBMIT_TIMELINE || call == SUBMIT_VALUES)
			report_value(report, key, samples_median(&results->ratio[call]));
		else
			report_target(report, key, samples_median(&results->ratio[call]), AT_MOST,
				      call == DRAW ? 1.02 : 1.2);
	}
	if (!results->bridge_ratio.count) {
		printf("  bridge_vs_by_hand: not measured; it needs a virtual GPU: ./dev bench layer\n");
		return;
	}
	for (unsigned int bridge = 0; bridge < BRIDGES; bridge++)
		report_raw(report, "bridge", bridge_names[bridge], &results->bridge_ns[bridge]);
	report_raw(report, "ratios", "bridge_vs_by_hand", &results->bridge_ratio);
	report_target(report, "bridge_vs_by_hand", samples_median(&results->bridge_ratio), AT_MOST,
		      1.2);
}

/* ---- The picture: bars, relative to no layer ---- */

static void draw_words(cairo_t *cr, double x, double y, double size, const char *words)
{
	cairo_select_font_face(cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
			       CAIRO_FONT_WEIGHT_NORMAL);
	cairo_set_font_size(cr, size);
	cairo_set_source_rgb(cr, 0.13, 0.15, 0.18);
	cairo_move_to(cr, x, y);
	cairo_show_text(cr, words);
}

static void draw_bar(cairo_t *cr, double y, double width, unsigned int variant, double ns)
{
	static const double colours[VARIANTS][3] = {
		{0.83, 0.84, 0.87}, {0.95, 0.63, 0.24}, {0.18, 0.44, 0.84}};
	char label[64];

	cairo_set_source_rgb(cr, colours[variant][0], colours[variant][1], colours[variant][2]);
	cairo_rectangle(cr, 260, y, width, 14);
	cairo_fill(cr);
	snprintf(label, sizeof(label), "%s %.1f ns", variant_names[variant], ns);
	draw_words(cr, 266 + width, y + 11, 11, label);
}

/* An allocation takes so much longer that nothing else would be seen. */
static bool is_drawn(const struct results *results, enum call call)
{
	return call != ALLOCATE && results->ratio[call].count;
}

static void draw(const struct report *report, const struct results *results)
{
	cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 760, 570);
	cairo_t *cr = cairo_create(surface);
	const char *path = report_path(report, "png");
	double most = 0;

	for (unsigned int call = 0; call < NUM_CALLS; call++)
		for (unsigned int variant = 0; is_drawn(results, call) && variant < VARIANTS;
		     variant++)
			if (samples_median(&results->ns[call][variant]) > most)
				most = samples_median(&results->ns[call][variant]);
	cairo_set_source_rgb(cr, 1, 1, 1);
	cairo_paint(cr);
	draw_words(cr, 24, 32, 17, "What a layer adds to a call");
	draw_words(cr, 24, 52, 12, "ns per call on the mock driver; medians");
	for (unsigned int call = 0, row = 0; call < NUM_CALLS; call++) {
		if (!is_drawn(results, call))
			continue;
		draw_words(cr, 24, 103 + row * 80, 12, call_labels[call]);
		for (unsigned int variant = 0; variant < VARIANTS; variant++) {
			double ns = samples_median(&results->ns[call][variant]);

			draw_bar(cr, 76 + row * 80 + variant * 18, 300 * ns / most, variant, ns);
		}
		row++;
	}
	if (cairo_surface_write_to_png(surface, path))
		die("%s can't be written", path);
	cairo_destroy(cr);
	cairo_surface_destroy(surface);
	printf("  plot: %s\n", path);
}

/* ---- What the loader finds ---- */

static void set_variable(const char *name, const char *value)
{
	if (setenv(name, value, 1))
		die("%s can't be set", name);
}

/* Both layers as they were built, both drivers, and nothing else that might take part. */
static void prepare_loader(const char *mock_manifest)
{
	char program[PATH_MAX], paths[2 * PATH_MAX + 64];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	const char *directory;

	if (length < 0)
		die("/proc/self/exe can't be read");
	program[length] = '\0';
	directory = dirname(program);
	snprintf(paths, sizeof(paths),
		 "%s/passthrough-layer:%s/../../layers/working_set/uninstalled", directory,
		 directory);
	set_variable("VK_LAYER_PATH", paths);
	snprintf(paths, sizeof(paths), "%s:%s", mock_manifest, LAVAPIPE);
	set_variable("VK_DRIVER_FILES", paths);
	set_variable("VK_LOADER_LAYERS_DISABLE", "~implicit~");
	set_variable("VK_DROVER_WORKING_SET_MODE", "native");
	unsetenv("VK_INSTANCE_LAYERS");
}

/* The distribution's package has the library without a manifest. */
static void write_mock_manifest(const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file)
		die("%s can't be written", path);
	fputs("{\"file_format_version\": \"1.0.1\", \"ICD\": {\"library_path\": \"" MOCK_LIBRARY
	      "\", \"api_version\": \"1.3.0\"}}\n",
	      file);
	fclose(file);
}

int main(int argc, char **argv)
{
	char manifest[] = "/tmp/mock_icd_XXXXXX.json";
	struct results results = {0};
	struct producer producer;
	struct report report;
	int fd;

	report_begin(&report, "layer", argc, argv);
	fd = mkstemps(manifest, strlen(".json"));
	if (fd < 0)
		die("%s can't be made", manifest);
	close(fd);
	write_mock_manifest(manifest);
	prepare_loader(manifest);

	if (getenv("DROVER_KERNEL")) {
		producer = producer_open();
		measure_mock(producer.dmabuf, &results);
		measure_bridge(&producer, &results);
		producer_close(&producer);
	} else {
		/* outside of a guest: the calls alone */
		measure_mock(-1, &results);
	}
	unlink(manifest);
	print_table(&results);
	report_numbers(&report, &results);
	draw(&report, &results);
	return report_finish(&report);
}
