// SPDX-License-Identifier: MIT
/*
 * More memory in use than there is VRAM, and VRAM that others take away while
 * shaders run: contents and results are what they are when there is room for all.
 * One device of 16 MiB of VRAM and 48 MiB of GTT.
 */
#include "harness.h"

#include <stdlib.h>
#include <unistd.h>

#define MAX_BUFFERS 64

/* ---- Three times the VRAM ---- */

struct herd {
	struct device *device;
	struct buffer buffers[MAX_BUFFERS];
	unsigned int count;
	struct vm_counters before;
	unsigned int presses;
};

/* Buffers of 1 MiB, three times as much as there is VRAM. */
static struct herd herd_new(void)
{
	uint64_t vram = gpu_info(0).vram_size;
	struct herd herd = {.device = vulkan_device_open(NULL, 0), .count = 3 * vram / MIB};
	unsigned int i;

	check(herd.count <= MAX_BUFFERS, "make MAX_BUFFERS larger: %u are needed", herd.count);
	herd.before = vm_counters(0, getpid());
	for (i = 0; i < herd.count; i++)
		herd.buffers[i] = buffer_new(herd.device, MIB, vram_type(herd.device), 0);
	return herd;
}

/* Another client takes all VRAM and all GTT, so that every buffer has to leave them. */
static void herd_press(struct herd *herd)
{
	memory_press(0);
	herd->presses++;
}

/* Two thirds never were in VRAM, or had to leave it; and whenever it was pressed, all had to. */
static void herd_free(struct herd *herd)
{
	struct vm_counters after = vm_counters(0, getpid());
	uint64_t evictions = after.evictions - herd->before.evictions;
	uint64_t remaps = after.remaps - herd->before.remaps;
	uint64_t expected = (uint64_t)herd->presses * herd->count;
	unsigned int i;

	check(evictions >= expected, "%llu evictions, expected at least %llu",
	      (unsigned long long)evictions, (unsigned long long)expected);
	check(remaps >= expected, "%llu remaps, expected at least %llu", (unsigned long long)remaps,
	      (unsigned long long)expected);
	for (i = 0; i < herd->count; i++)
		buffer_free(&herd->buffers[i]);
	vulkan_device_close(herd->device);
}

static void three_times_vram(void)
{
	struct herd herd;
	unsigned int i;

	need_gpus(1);
	herd = herd_new();
	for (i = 0; i < herd.count; i++)
		buffer_fill(&herd.buffers[i], i << 16, 3);
	for (i = 0; i < herd.count; i++)
		buffer_check(&herd.buffers[i], i << 16, 3);
	herd_press(&herd);
	for (i = herd.count; i-- > 0;)
		buffer_check(&herd.buffers[i], i << 16, 3);
	for (i = 0; i < herd.count; i++)
		buffer_fill(&herd.buffers[i], i << 16, 5);
	herd_press(&herd);
	for (i = 0; i < herd.count; i++)
		buffer_check(&herd.buffers[i], i << 16, 5);
	herd_free(&herd);
}

/* All of them in one command buffer, each given a part of its neighbour. */
static void three_times_vram_in_one_submission(void)
{
	struct commands commands;
	struct herd herd;
	unsigned int i;

	need_gpus(1);
	herd = herd_new();
	commands = commands_begin(herd.device);
	for (i = 0; i < herd.count; i++) {
		const struct buffer *buffer = &herd.buffers[i];
		const uint32_t arguments[3] = {buffer->size / 4, i << 16, 5};

		commands_dispatch(&commands, SHADER_FILL, &buffer, 1, NULL, arguments);
	}
	commands_run(&commands);
	herd_press(&herd);
	commands = commands_begin(herd.device);
	for (i = 0; i < herd.count; i++) {
		const VkBufferCopy half = {.size = MIB / 2, .dstOffset = MIB / 2};

		commands_barrier(&commands);
		vkCmdCopyBuffer(commands.handle, herd.buffers[(i + 1) % herd.count].handle,
				herd.buffers[i].handle, 1, &half);
	}
	commands_run(&commands);
	herd_press(&herd);
	for (i = 0; i < herd.count; i++) {
		uint32_t *words = buffer_map(&herd.buffers[i]);
		uint32_t neighbour = (i + 1) % herd.count;

		check_words(words, MIB / 2, i << 16, 5);
		check_words(words + MIB / 8, MIB / 2, neighbour << 16, 5);
	}
	herd_free(&herd);
}

static void three_times_vram_through_pointers(void)
{
	uint32_t *words[MAX_BUFFERS];
	struct herd herd;
	unsigned int i;

	need_gpus(1);
	herd = herd_new();
	for (i = 0; i < herd.count; i++) {
		words[i] = buffer_map(&herd.buffers[i]);
		fill_words(words[i], MIB, i, 7);
	}
	herd_press(&herd);
	for (i = 0; i < herd.count; i++)
		memcpy(words[i], words[(i + herd.count / 2) % herd.count], 64 * KIB);
	herd_press(&herd);
	for (i = 0; i < herd.count; i++) {
		/* those in the second half were given a copy of a copy */
		unsigned int from = i < herd.count / 2 ? i + herd.count / 2 : i;

		check_words(words[i], 64 * KIB, from, 7);
		check_words(words[i] + 16 * KIB, MIB - 64 * KIB, i + 16 * KIB * 7, 7);
	}
	herd_free(&herd);
}

static void three_times_vram_of_images(void)
{
	struct image images[MAX_BUFFERS];
	struct vm_counters before, after;
	struct device *device;
	unsigned int i, count;

	need_gpus(1);
	count = 3 * gpu_info(0).vram_size / MIB;
	device = vulkan_device_open(NULL, 0);
	before = vm_counters(0, getpid());
	for (i = 0; i < count; i++) {
		images[i] = image_new(device, 512, 512, vram_type(device), false);
		image_fill(&images[i], i);
	}
	memory_press(0);
	for (i = 0; i < count; i++)
		image_check(&images[i], i);
	after = vm_counters(0, getpid());
	check(after.evictions - before.evictions >= count,
	      "%u MiB of images were used, and only %llu evictions came of it", count,
	      (unsigned long long)(after.evictions - before.evictions));
	for (i = 0; i < count; i++)
		image_free(&images[i]);
	vulkan_device_close(device);
}

/* Three processes, each of which would have room by itself. */
static void three_clients(void)
{
	pid_t children[3];
	unsigned int i, j, round;
	uint64_t before;

	need_gpus(1);
	before = gpu_info(0).evictions;
	for (i = 0; i < ARRAY_SIZE(children); i++) {
		struct buffer buffers[12];
		struct device *device;

		children[i] = test_fork();
		if (children[i])
			continue;
		device = vulkan_device_open(NULL, 0);
		for (j = 0; j < ARRAY_SIZE(buffers); j++) {
			buffers[j] = buffer_new(device, MIB, vram_type(device), 0);
			buffer_fill(&buffers[j], i, j);
		}
		for (round = 0; round < 6; round++)
			for (j = 0; j < ARRAY_SIZE(buffers); j++)
				buffer_check(&buffers[j], i, j);
		test_exit();
	}
	for (i = 0; i < ARRAY_SIZE(children); i++)
		test_join(children[i]);
	check(gpu_info(0).evictions > before, "three clients of 12 MiB each evicted nothing");
}

/* ---- Results with and without eviction ---- */

#define WORKERS     6
#define ROUNDS      12
#define ROUND_SIZE  (256 * KIB)
#define IMAGE_WIDTH 256

static uint64_t hash_words(const uint32_t *words, uint64_t size, uint64_t hash)
{
	uint64_t i;

	for (i = 0; i < size / 4; i++)
		hash = (hash ^ words[i]) * 0x100000001b3ULL;
	return hash;
}

struct work {
	struct device *device;
	struct buffer buffers[WORKERS];
	struct image image;
	struct commands commands[ROUNDS];
};

/* A round computes each buffer from its neighbour, and draws an image that goes into one of them. */
static struct commands record_round(struct work *work, unsigned int round)
{
	struct commands commands = commands_begin(work->device);
	const uint32_t draw[3] = {IMAGE_WIDTH, IMAGE_WIDTH, round};
	const VkBufferImageCopy whole = {
		.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
		.imageExtent = {IMAGE_WIDTH, IMAGE_WIDTH, 1},
	};
	unsigned int i;

	commands_dispatch(&commands, SHADER_IMAGE_FILL, NULL, 0, &work->image, draw);
	commands_barrier(&commands);
	vkCmdCopyImageToBuffer(commands.handle, work->image.handle, VK_IMAGE_LAYOUT_GENERAL,
			       work->buffers[round % WORKERS].handle, 1, &whole);
	for (i = 0; i < WORKERS; i++) {
		const struct buffer *pair[] = {&work->buffers[(i + 1) % WORKERS],
					       &work->buffers[i]};
		const uint32_t mix[3] = {ROUND_SIZE / 4, round * WORKERS + i, 3};

		commands_dispatch(&commands, SHADER_MIX, pair, 2, NULL, mix);
	}
	return commands;
}

static uint64_t work_result(struct work *work)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	unsigned int i;

	for (i = 0; i < WORKERS; i++) {
		hash = hash_words(buffer_map(&work->buffers[i]), ROUND_SIZE, hash);
		vkUnmapMemory(work->device->handle, work->buffers[i].memory);
	}
	return hash;
}

/* All rounds, one after the other or all in flight at once; returns the hash of what comes out. */
static uint64_t work_run(struct work *work, bool in_flight)
{
	unsigned int i;

	for (i = 0; i < WORKERS; i++)
		buffer_fill(&work->buffers[i], i, 12345);
	for (i = 0; i < ROUNDS; i++) {
		work->commands[i] = record_round(work, i);
		check_vk(commands_submit(&work->commands[i]));
		if (!in_flight)
			check_vk(commands_wait(&work->commands[i]));
	}
	for (i = 0; in_flight && i < ROUNDS; i++)
		check_vk(commands_wait(&work->commands[i]));
	return work_result(work);
}

static struct work work_new(VkExternalMemoryHandleTypeFlags exports)
{
	struct work work = {.device = vulkan_device_open(NULL, 0)};
	unsigned int i;

	for (i = 0; i < WORKERS; i++)
		work.buffers[i] =
			buffer_new(work.device, ROUND_SIZE, vram_type(work.device), exports);
	work.image =
		image_new(work.device, IMAGE_WIDTH, IMAGE_WIDTH, vram_type(work.device), false);
	return work;
}

/* Goes on until enough was evicted, so that a fast machine is as thorough as a slow one. */
static void compare_with_quiet_run(struct work *work, const int *dmabufs, unsigned int num_dmabufs,
				   bool in_flight)
{
	uint64_t quiet = work_run(work, in_flight), runs = 0;
	struct vm_counters before = vm_counters(0, getpid()), after;
	struct disturber disturber = disturber_start(0, dmabufs, num_dmabufs);
	int64_t end = now_ns() + WAIT_NS;

	do {
		uint64_t disturbed = work_run(work, in_flight);

		check(disturbed == quiet, "run %llu with evictions gave %#llx, without %#llx",
		      (unsigned long long)runs, (unsigned long long)disturbed,
		      (unsigned long long)quiet);
		after = vm_counters(0, getpid());
		runs++;
	} while (after.evictions - before.evictions < 40 && now_ns() < end);
	disturber_stop(&disturber);
	check(after.evictions - before.evictions >= 20, "%llu evictions in %llu runs prove nothing",
	      (unsigned long long)(after.evictions - before.evictions), (unsigned long long)runs);
	check(work_run(work, in_flight) == quiet, "a quiet run afterwards gives something else");
}

static void results_are_the_same_under_pressure(void)
{
	struct work work;

	need_gpus(1);
	work = work_new(0);
	compare_with_quiet_run(&work, NULL, 0, false);
}

static void results_are_the_same_with_many_submissions_in_flight(void)
{
	struct work work;

	need_gpus(1);
	work = work_new(0);
	compare_with_quiet_run(&work, NULL, 0, true);
}

/* Evicted by name, through a handle of another process. */
static void results_are_the_same_when_exports_are_evicted(void)
{
	int dmabufs[WORKERS];
	struct work work;
	unsigned int i;

	need_gpus(1);
	work = work_new(VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT);
	for (i = 0; i < WORKERS; i++)
		dmabufs[i] = memory_export(work.device, work.buffers[i].memory,
					   VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT);
	compare_with_quiet_run(&work, dmabufs, WORKERS, true);
}

/* The computation itself, without any eviction: the same every time, and it depends on its input. */
static void results_can_be_compared(void)
{
	struct work work = work_new(0);
	uint64_t first = work_run(&work, false);

	check(work_run(&work, true) == first, "two runs give different results");
	fill_words(buffer_map(&work.buffers[2]), PAGE, 1, 1);
	vkUnmapMemory(work.device->handle, work.buffers[2].memory);
	check(work_result(&work) != first, "a changed page gives the same hash");
}

static const struct test tests[] = {
	TEST(three_times_vram),
	TEST(three_times_vram_in_one_submission),
	TEST(three_times_vram_through_pointers),
	TEST(three_times_vram_of_images),
	TEST(three_clients),
	TEST(results_can_be_compared),
	TEST(results_are_the_same_under_pressure),
	TEST(results_are_the_same_with_many_submissions_in_flight),
	TEST(results_are_the_same_when_exports_are_evicted),
};

int main(int argc, char **argv)
{
	return vulkan_main("vulkan-oversubscribe", tests, ARRAY_SIZE(tests), argc, argv);
}
