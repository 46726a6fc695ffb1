// SPDX-License-Identifier: MIT
/*
 * What the layer knows of memory and command buffers: which calls make a dma-buf known, which commands
 * transfer it, and how long each is remembered. Lines of the log are explained in sync_recorder.c.
 */
#include "sync_world.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DMA_BUF   VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT
#define PLANES    VK_FORMAT_G8_B8R8_2PLANE_420_UNORM
#define OPAQUE_FD VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT
#define SIZE      65536

static void begin_again(const struct options *options)
{
	world_close();
	world_open(options);
}

/* Others' work that isn't over; so whoever acquires the dma-buf is seen. */
static void busy(char dmabuf)
{
	int fence = fence_new();

	fence_add(dmabuf, WRITES, fence);
	close(fence);
}

/* ---- Memory ---- */

static int exported;

static int export_memory(VkDeviceMemory memory)
{
	(void)memory;
	return dup(exported);
}

static VkDeviceMemory allocate(VkExternalMemoryHandleTypeFlags exports)
{
	const VkExportMemoryAllocateInfo export = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = exports,
	};
	const VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = exports ? &export : NULL,
		.allocationSize = SIZE,
	};
	VkDeviceMemory memory;

	check_vk(vkAllocateMemory(world.device, &info, NULL, &memory));
	return memory;
}

static int get_fd(VkDeviceMemory memory, VkExternalMemoryHandleTypeFlagBits type)
{
	const VkMemoryGetFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.memory = memory,
		.handleType = type,
	};
	int fd = -1;

	check_vk(world.get_memory_fd(world.device, &info, &fd));
	return fd;
}

/* Bound, recorded, and only then exported. */
static void export_after_recording(void **state)
{
	struct shared a = {.fd = dmabuf_new('A')};
	VkCommandBuffer commands;

	(void)state;
	world.recorder->export_memory = export_memory;
	exported = a.fd;
	a.memory = allocate(DMA_BUF);
	a.buffer = buffer_create(0, true);
	check_vk(vkBindBufferMemory(world.device, a.buffer, a.memory, 0));
	commands = commands_acquire("acq", &a);
	busy('A');
	submit(commands, false);
	check_log("1[acq]");
	close(get_fd(a.memory, DMA_BUF));
	submit(commands, false);
	check_log("import own | 1[?own / acq]");
	shared_free(&a);
}

/* An opaque descriptor may be a dma-buf, or anything else. */
static void opaque_descriptors(void **state)
{
	struct shared a = {.fd = dmabuf_new('A')}, b = {.fd = memfd_create("memory", 0)};

	(void)state;
	a.memory = memory_import(OPAQUE_FD, dup(a.fd));
	b.memory = memory_import(OPAQUE_FD, dup(b.fd));
	a.buffer = buffer_create(0, true);
	b.buffer = buffer_create(0, true);
	check_vk(vkBindBufferMemory(world.device, a.buffer, a.memory, 0));
	check_vk(vkBindBufferMemory(world.device, b.buffer, b.memory, 0));
	busy('A');
	submit(commands_acquire("acqA", &a), false);
	submit(commands_acquire("acqB", &b), false);
	submit(commands_release("relB", &b), false);
	check_log("import own | 1[?own / acqA] | 1[acqB] | 1[relB]");
	shared_free(&a);
	shared_free(&b);
}

/* However often it's imported; and only as long as something stands for it. */
static void one_descriptor_per_dmabuf(void **state)
{
	int fd = dmabuf_new('A');
	VkDeviceMemory memory[3];
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		memory[i] = memory_import(DMA_BUF, dup(fd));
		assert_int_equal(dmabuf_fds('A'), 2);
	}
	for (i = 0; i < 3; i++) {
		assert_int_equal(dmabuf_fds('A'), 2);
		vkFreeMemory(world.device, memory[i], NULL);
	}
	assert_int_equal(dmabuf_fds('A'), 1);
	close(fd);
}

static void descriptor_is_not_inherited(void **state)
{
	int fd = dmabuf_new('A'), other;
	VkDeviceMemory memory = memory_import(DMA_BUF, dup(fd));
	struct stat ours, status;

	(void)state;
	assert_int_equal(fstat(fd, &ours), 0);
	for (other = 0; other < 1024; other++) {
		if (!fstat(other, &status) && status.st_ino == ours.st_ino)
			assert_true(fcntl(other, F_GETFD) & FD_CLOEXEC);
	}
	vkFreeMemory(world.device, memory, NULL);
	close(fd);
}

static void no_descriptor_left(void **state)
{
	int fd = dmabuf_new('A'), second = dup(fd);
	struct rlimit limit, small;
	struct shared a = {0};

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	small = limit;
	small.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &small);
	a.memory = memory_import(DMA_BUF, second);
	setrlimit(RLIMIT_NOFILE, &limit);
	a.fd = fd;
	a.buffer = buffer_create(0, true);
	check_vk(vkBindBufferMemory(world.device, a.buffer, a.memory, 0));
	busy('A');
	submit(commands_acquire("acq", &a), false);
	check_log("1[acq]");
	shared_free(&a);
}

/* Created or bound without saying that it's to be shared, which it should have. */
static void resource_that_does_not_say_so(void **state)
{
	struct shared a = {.fd = dmabuf_new('A')};

	(void)state;
	a.memory = memory_import(DMA_BUF, dup(a.fd));
	a.buffer = buffer_create(VK_BUFFER_USAGE_TRANSFER_SRC_BIT, false);
	check_vk(vkBindBufferMemory(world.device, a.buffer, a.memory, 0));
	submit(commands_release("rel", &a), false);
	/* nobody knows its usage any more */
	check_log("1[rel / !own] | export own | A+write");
	shared_free(&a);
}

static void dmabuf_without_sync_files(void **state)
{
	struct shared a = shared_import('A', 0);

	(void)state;
	kernel_is_old = true;
	busy('A');
	submit(commands_acquire("acq", &a), false);
	submit(commands_release("rel", &a), false);
	submit(commands_acquire("acq", &a), false);
	check_log("1[acq] | 1[rel / !own] | export own | 1[acq]");
	shared_free(&a);
}

static void memory_freed_before_its_buffer(void **state)
{
	struct shared a = shared_import('A', 0);

	(void)state;
	vkFreeMemory(world.device, a.memory, NULL);
	assert_int_equal(dmabuf_fds('A'), 1);
	vkDestroyBuffer(world.device, a.buffer, NULL);
	close(a.fd);
}

/* ---- Images ---- */

/* Each plane in a dma-buf of its own. */
static void disjoint_planes(void **state)
{
	static const VkImageAspectFlagBits aspects[] = {VK_IMAGE_ASPECT_PLANE_0_BIT,
							VK_IMAGE_ASPECT_PLANE_1_BIT};
	VkImage image = image_create(PLANES, VK_IMAGE_USAGE_SAMPLED_BIT,
				     VK_IMAGE_CREATE_DISJOINT_BIT, NULL);
	int fds[2] = {dmabuf_new('A'), dmabuf_new('B')};
	VkBindImagePlaneMemoryInfo planes[2];
	VkBindImageMemoryInfo binds[2];
	VkImageMemoryBarrier2 barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_EXTERNAL,
		.image = image,
	};
	const VkDependencyInfo dependency = {
		.sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
		.imageMemoryBarrierCount = 1,
		.pImageMemoryBarriers = &barrier,
	};
	VkCommandBuffer commands = command_buffer("both", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		planes[i] = (VkBindImagePlaneMemoryInfo){
			.sType = VK_STRUCTURE_TYPE_BIND_IMAGE_PLANE_MEMORY_INFO,
			.planeAspect = aspects[i],
		};
		binds[i] = (VkBindImageMemoryInfo){
			.sType = VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO,
			.pNext = &planes[i],
			.image = image,
			.memory = memory_import(DMA_BUF, dup(fds[i])),
		};
	}
	check_vk(vkBindImageMemory2(world.device, 2, binds));
	vkCmdPipelineBarrier2(commands, &dependency);
	barrier.srcQueueFamilyIndex = 0;
	barrier.dstQueueFamilyIndex = VK_QUEUE_FAMILY_FOREIGN_EXT;
	world.cmd_pipeline_barrier2_khr(commands, &dependency);
	check_vk(vkEndCommandBuffer(commands));
	busy('B');
	submit(commands, false);
	check_log("import own | 1[?own / both / !own] | export own | A+read | B+read");
	vkDestroyImage(world.device, image, NULL);
	for (i = 0; i < 2; i++) {
		vkFreeMemory(world.device, binds[i].memory, NULL);
		close(fds[i]);
	}
}

/* The barrier of Vulkan 1.0, for an image. */
static void image_barriers(void **state)
{
	VkImage image = image_create(PLANES, VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT, 0, NULL);
	VkCommandBuffer commands = command_buffer("both", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	const VkImageMemoryBarrier acquire_barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_FOREIGN_EXT,
		.dstQueueFamilyIndex = world.family,
		.image = image,
	};
	const VkImageMemoryBarrier release_barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcQueueFamilyIndex = world.family,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_FOREIGN_EXT,
		.image = image,
	};
	const VkPipelineStageFlags all = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	int fd = dmabuf_new('A');
	VkDeviceMemory memory = memory_import(DMA_BUF, dup(fd));

	(void)state;
	check_vk(vkBindImageMemory(world.device, image, memory, 0));
	vkCmdPipelineBarrier(commands, all, all, 0, 0, NULL, 0, NULL, 1, &acquire_barrier);
	vkCmdPipelineBarrier(commands, all, all, 0, 0, NULL, 0, NULL, 1, &release_barrier);
	check_vk(vkEndCommandBuffer(commands));
	busy('A');
	submit(commands, false);
	check_log("import own | 1[?own / both / !own] | export own | A+write");
	vkDestroyImage(world.device, image, NULL);
	vkFreeMemory(world.device, memory, NULL);
	close(fd);
}

static void swapchain_images_have_no_memory(void **state)
{
	VkImage image = image_create(PLANES, VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT, 0, NULL);
	const VkBindImageMemorySwapchainInfoKHR swapchain = {
		.sType = VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_SWAPCHAIN_INFO_KHR,
	};
	const VkBindImageMemoryInfo bind = {
		.sType = VK_STRUCTURE_TYPE_BIND_IMAGE_MEMORY_INFO,
		.pNext = &swapchain,
		.image = image,
	};
	const VkImageMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_EXTERNAL,
		.image = image,
	};
	VkCommandBuffer commands = command_buffer("acq", VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	(void)state;
	check_vk(vkBindImageMemory2(world.device, 1, &bind));
	vkCmdPipelineBarrier(commands, 1, 1, 0, 0, NULL, 0, NULL, 1, &barrier);
	check_vk(vkEndCommandBuffer(commands));
	submit(commands, false);
	check_log("1[acq]");
	vkDestroyImage(world.device, image, NULL);
}

/* ---- Command buffers ---- */

static void secondary_command_buffers(void **state)
{
	struct shared a = shared_import('A', 0);
	VkCommandBuffer inner = command_buffer("inner", VK_COMMAND_BUFFER_LEVEL_SECONDARY);
	VkCommandBuffer outer = command_buffer("outer", VK_COMMAND_BUFFER_LEVEL_PRIMARY);

	(void)state;
	acquire(inner, &a, 0);
	release(inner, &a, 0);
	check_vk(vkEndCommandBuffer(inner));
	vkCmdExecuteCommands(outer, 1, &inner);
	check_vk(vkEndCommandBuffer(outer));
	busy('A');
	submit(outer, false);
	check_log("import own | 1[?own / outer / !own] | export own | A+write");
	shared_free(&a);
}

static void events_that_transfer(void **state)
{
	struct shared a = shared_import('A', 0);
	const VkBufferMemoryBarrier2 barrier = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER_2,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_FOREIGN_EXT,
		.buffer = a.buffer,
		.size = VK_WHOLE_SIZE,
	};
	const VkDependencyInfo dependency = {
		.sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
		.bufferMemoryBarrierCount = 1,
		.pBufferMemoryBarriers = &barrier,
	};
	VkCommandBuffer commands = command_buffer("wait", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	VkCommandBuffer again = command_buffer("again", VK_COMMAND_BUFFER_LEVEL_PRIMARY);
	PFN_vkCmdWaitEvents2KHR cmd_wait_events2_khr =
		(PFN_vkCmdWaitEvents2KHR)vkGetDeviceProcAddr(world.device, "vkCmdWaitEvents2KHR");
	VkEvent event = event_new();

	(void)state;
	vkCmdWaitEvents2(commands, 1, &event, &dependency);
	check_vk(vkEndCommandBuffer(commands));
	busy('A');
	submit(commands, false);
	check_log("import own | 1[?own / wait]");
	assert_non_null(cmd_wait_events2_khr);
	cmd_wait_events2_khr(again, 1, &event, &dependency);
	check_vk(vkEndCommandBuffer(again));
	submit(again, false);
	check_log("import own | 1[?own / again]");
	vkDestroyEvent(world.device, event, NULL);
	shared_free(&a);
}

static void what_is_recorded_again(void **state)
{
	const VkCommandBufferBeginInfo begin = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
	};
	struct shared a = shared_import('A', 0);
	VkCommandBuffer commands = commands_acquire("cb", &a);

	(void)state;
	busy('A');
	/* implicitly reset */
	check_vk(vkBeginCommandBuffer(commands, &begin));
	check_vk(vkEndCommandBuffer(commands));
	submit(commands, false);
	check_log("1[cb]");

	check_vk(vkBeginCommandBuffer(commands, &begin));
	acquire(commands, &a, 0);
	check_vk(vkEndCommandBuffer(commands));
	submit(commands, false);
	check_log("import own | 1[?own / cb]");
	check_vk(vkResetCommandBuffer(commands, 0));
	submit(commands, false);
	check_log("1[cb]");

	check_vk(vkBeginCommandBuffer(commands, &begin));
	acquire(commands, &a, 0);
	check_vk(vkEndCommandBuffer(commands));
	check_vk(vkResetCommandPool(world.device, world.pool, 0));
	submit(commands, false);
	check_log("1[cb]");
	shared_free(&a);
}

/* The mock driver gives the same handles again. */
static void handles_that_are_used_again(void **state)
{
	const VkCommandPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
	struct shared a = shared_import('A', 0);
	VkCommandPool own = world.pool;
	VkCommandBuffer commands, other;
	unsigned int i, again = 0;

	(void)state;
	busy('A');
	for (i = 0; i < 20; i++) {
		commands = commands_acquire("acq", &a);
		vkFreeCommandBuffers(world.device, world.pool, 1, &commands);
		other = commands_plain("plain");
		again += other == commands;
		submit(other, false);
		check_log("1[plain]");
		vkFreeCommandBuffers(world.device, world.pool, 1, &other);

		/* or all at once, with their pool */
		check_vk(vkCreateCommandPool(world.device, &info, NULL, &world.pool));
		commands_acquire("acq", &a);
		vkDestroyCommandPool(world.device, world.pool, NULL);
		world.pool = own;
		other = commands_plain("plain");
		submit(other, false);
		check_log("1[plain]");
		vkFreeCommandBuffers(world.device, world.pool, 1, &other);
	}
	shared_free(&a);
	/* under AddressSanitizer no handle comes back so soon */
	if (!again)
		skip();
}

/* ---- Settings, and who isn't looked at ---- */

static void off(void **state)
{
	struct shared a;

	(void)state;
	begin_again(&(struct options){.implicit_sync = "off"});
	a = shared_import('A', 0);
	assert_int_equal(dmabuf_fds('A'), 1);
	busy('A');
	submit(commands_acquire("acq", &a), true);
	submit(commands_release("rel", &a), true);
	check_log("1[acq] F | 1[rel] F");
	shared_free(&a);
}

static void every_submission(void **state)
{
	struct shared a, b, unbound = {0};
	VkCommandBuffer draw;
	VkSubmitInfo infos[4] = {{0}};
	unsigned int i;

	(void)state;
	begin_again(&(struct options){.implicit_sync = "every_submit"});
	a = shared_import('A', 0);
	b = shared_import('B', VK_BUFFER_USAGE_VERTEX_BUFFER_BIT);
	unbound.fd = dmabuf_new('C');
	unbound.memory = memory_import(DMA_BUF, dup(unbound.fd));
	draw = commands_plain("draw");
	for (i = 0; i < 4; i++)
		infos[i].sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
	infos[1].commandBufferCount = infos[2].commandBufferCount = 1;
	infos[1].pCommandBuffers = infos[2].pCommandBuffers = &draw;
	busy('A');
	busy('C');
	check_vk(vkQueueSubmit(world.queue, 4, infos, world.fence));
	check_log("import own | 1[ / ?own / draw / draw / !own] | export own | B+read | A+write | "
		  "1[] F");
	/* without a command buffer nothing is used */
	check_vk(vkQueueSubmit(world.queue, 1, infos, world.fence));
	check_log("1[] F");
	shared_free(&a);
	shared_free(&b);
	shared_free(&unbound);
}

static void without_the_extension(void **state)
{
	VkCommandBuffer commands;
	VkBuffer buffer;

	(void)state;
	begin_again(&(struct options){.no_external_memory = true});
	buffer = buffer_create(0, false);
	commands = commands_acquire("acq", &(struct shared){.buffer = buffer});
	submit(commands, true);
	check_log("1[acq] F");
	/* not only without effect: not on the way at all */
	assert_ptr_equal(vkGetDeviceProcAddr(world.device, "vkCmdPipelineBarrier"),
			 world.recorder->cmd_pipeline_barrier);
	vkDestroyBuffer(world.device, buffer, NULL);
}

/* Extensions do, and nothing that isn't allowed is called. */
static void vulkan_1_0(void **state)
{
	struct shared a;

	(void)state;
	begin_again(&(struct options){.vulkan_1_0 = true});
	a = shared_import('A', 0);
	busy('A');
	submit(commands_acquire("acq", &a), true);
	check_log("import own | 1[?own / acq] F");
	assert_int_equal(world.recorder->core_queries, 0);
	shared_free(&a);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(export_after_recording),
		TEST(opaque_descriptors),
		TEST(one_descriptor_per_dmabuf),
		TEST(descriptor_is_not_inherited),
		TEST(no_descriptor_left),
		TEST(resource_that_does_not_say_so),
		TEST(dmabuf_without_sync_files),
		TEST(memory_freed_before_its_buffer),
		TEST(disjoint_planes),
		TEST(image_barriers),
		TEST(swapchain_images_have_no_memory),
		TEST(secondary_command_buffers),
		TEST(events_that_transfer),
		TEST(what_is_recorded_again),
		TEST(handles_that_are_used_again),
		TEST(off),
		TEST(every_submission),
		TEST(without_the_extension),
		TEST(vulkan_1_0),
	};

	world_environment();
	return cmocka_run_group_tests_name("sync-recorded", tests, NULL, NULL);
}
