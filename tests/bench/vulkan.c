// SPDX-License-Identifier: MIT
/*
 * A Vulkan application whose working set is 0.5 to 3 × VRAM, on a virtual GPU under the layer, against the same
 * application on the CPU's driver as it is.
 *
 * A frame is one submission that runs a compute shader over each buffer of the working set once. Both applications are in
 * this process, each with an instance of its own, and take turns, frame by frame; ratios are of neighbours. In the end
 * both must have computed the same.
 *
 * What doesn't fit into VRAM is evicted once, when it is allocated, and used from GTT. So that is measured, and
 * besides the worst that another client can do: before each frame it takes all VRAM and all GTT and gives them back,
 * and the frame has to bring back everything.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vulkan/vulkan.h>

#include "vulkan_comp.h"

#define VRAM         (64 * MIB)
#define BUFFER_BYTES (2 * MIB)
#define MAX_BUFFERS  96
#define GROUPS       64
#define REPS         9
/* a repetition's frames at 1 × VRAM: more of smaller ones */
#define FRAMES       6
#define SIZES        5
/* everything fits: the one that the target is about */
#define HEADLINE     0

static const double sizes[SIZES] = {0.5, 1, 1.5, 2, 3};

struct app {
	VkInstance instance;
	VkPhysicalDevice physical;
	VkDevice device;
	VkQueue queue;
	uint32_t family;
	uint32_t memory_type;
	VkDescriptorSetLayout set_layout;
	VkPipelineLayout layout;
	VkPipeline pipeline;
	VkCommandPool commands;
	VkDescriptorPool sets;
	VkFence done;
};

struct working_set {
	struct app *app;
	size_t count;
	VkBuffer buffers[MAX_BUFFERS];
	VkDeviceMemory memory[MAX_BUFFERS];
	uint32_t *words[MAX_BUFFERS];
	VkDescriptorSet sets[MAX_BUFFERS];
	VkCommandBuffer frame;
	uint32_t number;
};

struct results {
	struct samples plain[SIZES];
	struct samples layer[SIZES];
	struct samples ratio[SIZES];
	/* when everything has to come back in each frame: frames/s, what moves, and how it compares */
	struct samples pressed[SIZES];
	struct samples bytes_moved[SIZES];
	struct samples pressed_ratio[SIZES];
	/* with the speed that would be left if what moves were copied by memcpy(), and all else cost nothing */
	struct samples to_copies[SIZES];
	struct samples memcpy_rate;
	uint64_t evictions[SIZES];
};

static void check_vk(VkResult result, const char *what)
{
	if (result)
		die("%s failed with %d", what, result);
}

#define VK(call) check_vk(call, #call)

/* ---- An application ---- */

static void create_instance(struct app *app, const char *layer)
{
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = VK_API_VERSION_1_3,
	};
	const VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
		.enabledLayerCount = layer ? 1 : 0,
		.ppEnabledLayerNames = &layer,
	};
	VkPhysicalDeviceProperties properties;
	uint32_t count = 1;

	VK(vkCreateInstance(&info, NULL, &app->instance));
	if (vkEnumeratePhysicalDevices(app->instance, &count, &app->physical) || !count)
		die("there is no Vulkan device");
	vkGetPhysicalDeviceProperties(app->physical, &properties);
	if (!layer != !!strncmp(properties.deviceName, "Drover", 6))
		die("\"%s\" isn't the device that was to be measured", properties.deviceName);
}

static void create_device(struct app *app)
{
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	const VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
	};
	const VkCommandPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
	};
	const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	VkPhysicalDeviceMemoryProperties memory;

	VK(vkCreateDevice(app->physical, &info, NULL, &app->device));
	vkGetDeviceQueue(app->device, 0, 0, &app->queue);
	VK(vkCreateCommandPool(app->device, &pool, NULL, &app->commands));
	VK(vkCreateFence(app->device, &fence, NULL, &app->done));
	vkGetPhysicalDeviceMemoryProperties(app->physical, &memory);
	while (!(memory.memoryTypes[app->memory_type].propertyFlags &
		 VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT))
		if (++app->memory_type == memory.memoryTypeCount)
			die("no memory is device-local");
}

static void create_layouts(struct app *app)
{
	const VkDescriptorSetLayoutBinding bindings[] = {
		{0, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL},
		{1, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL},
	};
	const VkDescriptorSetLayoutCreateInfo set = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
		.bindingCount = ARRAY_SIZE(bindings),
		.pBindings = bindings,
	};
	const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, 2 * sizeof(uint32_t)};
	const VkPipelineLayoutCreateInfo layout = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.setLayoutCount = 1,
		.pSetLayouts = &app->set_layout,
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &range,
	};
	const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 2 * MAX_BUFFERS};
	const VkDescriptorPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
		.maxSets = MAX_BUFFERS,
		.poolSizeCount = 1,
		.pPoolSizes = &size,
	};

	VK(vkCreateDescriptorSetLayout(app->device, &set, NULL, &app->set_layout));
	VK(vkCreatePipelineLayout(app->device, &layout, NULL, &app->layout));
	VK(vkCreateDescriptorPool(app->device, &pool, NULL, &app->sets));
}

static void create_pipeline(struct app *app)
{
	const VkShaderModuleCreateInfo module = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = sizeof(vulkan_spv),
		.pCode = vulkan_spv,
	};
	VkComputePipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.layout = app->layout,
	};

	info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
	info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
	info.stage.pName = "main";
	VK(vkCreateShaderModule(app->device, &module, NULL, &info.stage.module));
	VK(vkCreateComputePipelines(app->device, VK_NULL_HANDLE, 1, &info, NULL, &app->pipeline));
	vkDestroyShaderModule(app->device, info.stage.module, NULL);
}

static struct app app_open(const char *layer)
{
	struct app app = {0};

	create_instance(&app, layer);
	create_device(&app);
	create_layouts(&app);
	create_pipeline(&app);
	return app;
}

static void app_close(struct app *app)
{
	vkDestroyPipeline(app->device, app->pipeline, NULL);
	vkDestroyDescriptorPool(app->device, app->sets, NULL);
	vkDestroyPipelineLayout(app->device, app->layout, NULL);
	vkDestroyDescriptorSetLayout(app->device, app->set_layout, NULL);
	vkDestroyFence(app->device, app->done, NULL);
	vkDestroyCommandPool(app->device, app->commands, NULL);
	vkDestroyDevice(app->device, NULL);
	vkDestroyInstance(app->instance, NULL);
}

/* ---- Its working set ---- */

static void create_buffer(struct working_set *set, size_t i)
{
	const VkBufferCreateInfo buffer = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = BUFFER_BYTES,
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
	};
	VkMemoryAllocateInfo memory = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.memoryTypeIndex = set->app->memory_type,
	};
	VkDevice device = set->app->device;
	VkMemoryRequirements requirements;
	void *words;

	VK(vkCreateBuffer(device, &buffer, NULL, &set->buffers[i]));
	vkGetBufferMemoryRequirements(device, set->buffers[i], &requirements);
	memory.allocationSize = requirements.size;
	VK(vkAllocateMemory(device, &memory, NULL, &set->memory[i]));
	VK(vkBindBufferMemory(device, set->buffers[i], set->memory[i], 0));
	VK(vkMapMemory(device, set->memory[i], 0, VK_WHOLE_SIZE, 0, &words));
	set->words[i] = words;
	for (size_t w = 0; w < BUFFER_BYTES / 4; w++)
		set->words[i][w] = (uint32_t)(w * 2654435761u + i);
}

static void write_set(struct working_set *set, size_t i)
{
	const VkDescriptorSetAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
		.descriptorPool = set->app->sets,
		.descriptorSetCount = 1,
		.pSetLayouts = &set->app->set_layout,
	};
	const VkDescriptorBufferInfo buffers[] = {
		{set->buffers[i], 0, VK_WHOLE_SIZE},
		{set->buffers[(i + 1) % set->count], 0, VK_WHOLE_SIZE},
	};
	VkWriteDescriptorSet write = {
		.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
		.descriptorCount = ARRAY_SIZE(buffers),
		.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
		.pBufferInfo = buffers,
	};

	VK(vkAllocateDescriptorSets(set->app->device, &allocate, &set->sets[i]));
	write.dstSet = set->sets[i];
	vkUpdateDescriptorSets(set->app->device, 1, &write, 0, NULL);
}

static struct working_set *set_create(struct app *app, double size)
{
	struct working_set *set = xcalloc(1, sizeof(*set));
	VkCommandBufferAllocateInfo allocate = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = app->commands,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};

	set->app = app;
	set->count = (size_t)(size * VRAM / BUFFER_BYTES);
	for (size_t i = 0; i < set->count; i++)
		create_buffer(set, i);
	for (size_t i = 0; i < set->count; i++)
		write_set(set, i);
	VK(vkAllocateCommandBuffers(app->device, &allocate, &set->frame));
	return set;
}

static void set_destroy(struct working_set *set)
{
	VkDevice device = set->app->device;

	vkFreeCommandBuffers(device, set->app->commands, 1, &set->frame);
	VK(vkResetDescriptorPool(device, set->app->sets, 0));
	for (size_t i = 0; i < set->count; i++) {
		vkDestroyBuffer(device, set->buffers[i], NULL);
		vkFreeMemory(device, set->memory[i], NULL);
	}
	free(set);
}

/* ---- A frame ---- */

static void record_frame(struct working_set *set)
{
	const VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};
	const VkMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
				 VK_ACCESS_HOST_READ_BIT,
	};
	const uint32_t arguments[] = {BUFFER_BYTES / 4, set->number++};
	struct app *app = set->app;

	VK(vkBeginCommandBuffer(set->frame, &begin));
	vkCmdBindPipeline(set->frame, VK_PIPELINE_BIND_POINT_COMPUTE, app->pipeline);
	vkCmdPushConstants(set->frame, app->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
			   sizeof(arguments), arguments);
	for (size_t i = 0; i < set->count; i++) {
		vkCmdBindDescriptorSets(set->frame, VK_PIPELINE_BIND_POINT_COMPUTE, app->layout, 0,
					1, &set->sets[i], 0, NULL);
		vkCmdDispatch(set->frame, GROUPS, 1, 1);
		vkCmdPipelineBarrier(set->frame, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
				     VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT |
					     VK_PIPELINE_STAGE_HOST_BIT,
				     0, 1, &barrier, 0, NULL, 0, NULL);
	}
	VK(vkEndCommandBuffer(set->frame));
}

/* Seconds that a frame takes. */
static double run_frame(struct working_set *set)
{
	const VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &set->frame,
	};
	struct app *app = set->app;
	uint64_t start = now_ns();

	record_frame(set);
	VK(vkQueueSubmit(app->queue, 1, &submit, app->done));
	VK(vkWaitForFences(app->device, 1, &app->done, VK_TRUE, UINT64_MAX));
	VK(vkResetFences(app->device, 1, &app->done));
	return (double)(now_ns() - start) / 1e9;
}

static void compare(const struct working_set *plain, const struct working_set *layer)
{
	for (size_t i = 0; i < plain->count; i++)
		if (memcmp(plain->words[i], layer->words[i], BUFFER_BYTES))
			die("buffer %zu of %zu isn't what the plain driver computes", i,
			    plain->count);
}

/* ---- Measuring ---- */

/* What moving a byte costs at least, here and now: bytes per second of memcpy() over memory that isn't cached. */
static double copy_rate(void)
{
	static uint8_t *from, *to;
	uint64_t start;

	if (!from) {
		from = xcalloc(VRAM, 1);
		to = xcalloc(VRAM, 1);
		memset(from, 1, VRAM);
		memset(to, 2, VRAM);
	}
	start = now_ns();
	memcpy(to, from, VRAM);
	__asm__ volatile("" : : "r"(to) : "memory");
	return (double)VRAM * 1e9 / (double)(now_ns() - start);
}

/* Another client takes all memory of one kind, and gives it back. */
static void press(struct drover_device *other, uint64_t size, uint32_t placement)
{
	struct drover_bo *bo;

	check(drover_bo_create(other, size, placement, 0, NULL, &bo), "taking all memory");
	drover_bo_unref(bo);
}

/* A frame of each, right after one another; which one is first changes. */
static void measure_pair(struct working_set *plain, struct working_set *layer,
			 struct results *results, size_t size, bool plain_first)
{
	double plain_time = plain_first ? run_frame(plain) : 0, layer_time = run_frame(layer);

	if (!plain_first)
		plain_time = run_frame(plain);
	samples_add(&results->plain[size], 1 / plain_time);
	samples_add(&results->layer[size], 1 / layer_time);
	samples_add(&results->ratio[size], plain_time / layer_time);
}

static void measure_pressed(struct drover_device *other, struct working_set *plain,
			    struct working_set *layer, struct results *results, size_t size)
{
	const struct drm_drover_device_info info = gpu_info(other);
	double plain_time, pressed_time, rate = copy_rate();
	uint64_t moved;

	press(other, info.vram_size, DRM_DROVER_PLACEMENT_VRAM);
	press(other, info.gtt_size, DRM_DROVER_PLACEMENT_GTT);
	moved = gpu_info(other).bytes_moved;
	pressed_time = run_frame(layer);
	moved = gpu_info(other).bytes_moved - moved;
	plain_time = run_frame(plain);
	samples_add(&results->pressed[size], 1 / pressed_time);
	samples_add(&results->pressed_ratio[size], plain_time / pressed_time);
	samples_add(&results->bytes_moved[size], (double)moved);
	samples_add(&results->to_copies[size], (plain_time + (double)moved / rate) / pressed_time);
	samples_add(&results->memcpy_rate, rate);
}

static void measure(struct drover_device *other, struct results *results, struct app *plain_app,
		    struct app *layer_app, size_t size)
{
	uint64_t before = gpu_info(other).evictions;
	struct working_set *plain = set_create(plain_app, sizes[size]);
	struct working_set *layer = set_create(layer_app, sizes[size]);

	/* the first frames, which compile and allocate, aren't counted */
	run_frame(plain);
	run_frame(layer);
	if (sizes[size] > 1 && gpu_info(other).evictions == before)
		die("a working set of %.1f × VRAM, and nothing was evicted", sizes[size]);
	before = gpu_info(other).evictions;
	for (unsigned int rep = 0; rep < REPS; rep++) {
		progress("%.1f × VRAM, repetition %u of %d", sizes[size], rep + 1, REPS);
		for (unsigned int i = 0; i < FRAMES / sizes[size]; i++)
			measure_pair(plain, layer, results, size, i % 2);
		measure_pressed(other, plain, layer, results, size);
	}
	results->evictions[size] = gpu_info(other).evictions - before;
	if (results->evictions[size] < REPS * layer->count)
		die("all memory was taken %d times from %zu buffers, and there were %llu evictions",
		    REPS, layer->count, (unsigned long long)results->evictions[size]);
	compare(plain, layer);
	set_destroy(layer);
	set_destroy(plain);
}

/* ---- The report ---- */

static void report_sizes(struct report *report, const struct results *results)
{
	for (size_t i = 0; i < SIZES; i++) {
		report_median_at(report, "plain_frames_per_s", sizes[i], &results->plain[i]);
		report_median_at(report, "layer_frames_per_s", sizes[i], &results->layer[i]);
		report_median_at(report, "ratio_to_plain_by_size", sizes[i], &results->ratio[i]);
		report_median_at(report, "pressed_frames_per_s", sizes[i], &results->pressed[i]);
		report_median_at(report, "pressed_ratio_to_plain_by_size", sizes[i],
				 &results->pressed_ratio[i]);
		report_median_at(report, "pressed_ratio_to_copies_by_size", sizes[i],
				 &results->to_copies[i]);
		report_median_at(report, "pressed_bytes_moved_per_frame", sizes[i],
				 &results->bytes_moved[i]);
	}
}

static void report_results(struct report *report, const struct results *results)
{
	report_value(report, "vram_bytes", (double)VRAM);
	report_sizes(report, results);
	report_value(report, "memcpy_bytes_per_s", samples_median(&results->memcpy_rate));

	printf("\na compute shader over every buffer of the working set, once per frame (median of %d repetitions)\n",
	       REPS);
	printf("  %7s %10s %10s %7s %12s %7s %11s %10s\n", "", "plain", "layer", "", "taken away",
	       "", "moved then", "");
	printf("  %7s %10s %10s %7s %12s %7s %11s %10s\n", "x VRAM", "frames/s", "frames/s",
	       "ratio", "frames/s", "ratio", "MiB/frame", "of copies");
	for (size_t i = 0; i < SIZES; i++)
		printf("  %7.1f %10.2f %10.2f %7.3f %12.2f %7.3f %11.1f %10.2f\n", sizes[i],
		       samples_median(&results->plain[i]), samples_median(&results->layer[i]),
		       samples_median(&results->ratio[i]), samples_median(&results->pressed[i]),
		       samples_median(&results->pressed_ratio[i]),
		       samples_median(&results->bytes_moved[i]) / (double)MIB,
		       samples_median(&results->to_copies[i]));
	printf("  taken away: before each frame another client takes all VRAM and GTT for a moment\n"
	       "  of copies: of the speed that would be left if what moves were copied by memcpy(), at %.0f MB/s\n",
	       samples_median(&results->memcpy_rate) / 1e6);
	report_target(report, "ratio_to_plain", samples_median(&results->ratio[HEADLINE]), AT_LEAST,
		      0.95);
}

/* Ratios: what else runs on the machine changes between one size and the next, and for both alike. */
static void draw(const struct report *report, const struct results *results)
{
	double x[SIZES], y[3][SIZES];
	const struct plot_line lines[] = {
		{.label = "the layer, on a virtual GPU", .x = x, .y = y[0], .count = SIZES},
		{.label = "with all memory taken away before each frame",
		 .x = x,
		 .y = y[1],
		 .count = SIZES},
		{.label = "plain lavapipe", .x = x, .y = y[2], .count = SIZES, .dashed = true},
	};
	const struct plot plot = {
		.title = "A Vulkan application with more memory than VRAM",
		.subtitle = "a compute shader over the whole working set per frame; medians",
		.x_label = "working set, × VRAM (64 MiB)",
		.y_label = "frames/s, of plain lavapipe's",
		.lines = lines,
		.num_lines = ARRAY_SIZE(lines),
	};

	for (size_t i = 0; i < SIZES; i++) {
		x[i] = sizes[i];
		y[0][i] = samples_median(&results->ratio[i]);
		y[1][i] = samples_median(&results->pressed_ratio[i]);
		y[2][i] = 1;
	}
	plot_lines(report, &plot);
}

/* The loader's environment: lavapipe once, for one virtual GPU, and the layer where it was built. */
static void set_up_loader(void)
{
	const char *build = getenv("DROVER_BUILD");
	char path[4096];

	snprintf(path, sizeof(path), "%s/layers/working_set/uninstalled",
		 build ? build : "build/root");
	setenv("VK_ADD_LAYER_PATH", path, 1);
	setenv("VK_DRIVER_FILES", "/usr/share/vulkan/icd.d/lvp_icd.json", 1);
	setenv("VK_LOADER_LAYERS_DISABLE", "~implicit~", 1);
	unsetenv("VK_INSTANCE_LAYERS");
}

int main(int argc, char **argv)
{
	const char *const params[] = {"devices=1", "vram_mib=64", "gtt_mib=256", NULL};
	struct results results = {0};
	struct drover_device *dev;
	struct app plain, layer;
	struct report report;

	report_begin(&report, "vulkan", argc, argv);
	set_up_loader();
	module_load(params);
	dev = gpu_open(0);
	plain = app_open(NULL);
	layer = app_open("VK_LAYER_DROVER_working_set");
	for (size_t i = 0; i < SIZES; i++)
		measure(dev, &results, &plain, &layer, i);
	app_close(&layer);
	app_close(&plain);
	drover_device_close(dev);
	module_unload();
	report_results(&report, &results);
	draw(&report, &results);
	return report_finish(&report);
}
