// SPDX-License-Identifier: MIT
/*
 * Memory that several devices and processes use: dma-bufs between virtual GPUs,
 * buffers and linear images, opaque descriptors on one GPU, and who owns what when.
 * Two devices of 16 MiB of VRAM and 48 MiB of GTT, with p2p=1 and with p2p=0.
 */
#include "harness.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE    (512 * KIB)
#define WIDTH   320
#define HEIGHT  200

#define DMA_BUF VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT
#define OPAQUE  VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void release_buffer(const struct buffer *buffer)
{
	struct commands commands = commands_begin(buffer->device);

	commands_release_buffer(&commands, buffer);
	commands_run(&commands);
}

static void acquire_buffer(const struct buffer *buffer)
{
	struct commands commands = commands_begin(buffer->device);

	commands_acquire_buffer(&commands, buffer);
	commands_run(&commands);
}

static void release_image(const struct image *image)
{
	struct commands commands = commands_begin(image->device);

	commands_release_image(&commands, image);
	commands_run(&commands);
}

static void acquire_image(const struct image *image)
{
	struct commands commands = commands_begin(image->device);

	commands_acquire_image(&commands, image);
	commands_run(&commands);
}

static struct buffer import(const struct device *device, uint32_t type,
			    VkExternalMemoryHandleTypeFlagBits handle_type, int fd)
{
	struct buffer buffer;

	check_vk(buffer_import(device, SIZE, type, handle_type, fd, &buffer));
	return buffer;
}

/* ---- In one process ---- */

/* There and back: each side sees what the other one wrote. */
static void pass_buffer(const struct device *from, const struct device *to,
			VkExternalMemoryHandleTypeFlagBits handle_type, uint32_t type)
{
	struct buffer mine = buffer_new(from, SIZE, type, handle_type), theirs;

	buffer_fill(&mine, 11, 13);
	release_buffer(&mine);
	theirs = import(to, type, handle_type, memory_export(from, mine.memory, handle_type));
	acquire_buffer(&theirs);
	buffer_check(&theirs, 11, 13);
	buffer_fill(&theirs, 17, 19);
	release_buffer(&theirs);
	acquire_buffer(&mine);
	buffer_check(&mine, 17, 19);
	check_words(buffer_map(&mine), SIZE, 17, 19);
	buffer_free(&theirs);
	buffer_check(&mine, 17, 19);
	buffer_free(&mine);
}

static void buffers_between_gpus(void)
{
	struct instance *instance;
	struct device *devices[2];
	unsigned int i;

	need_gpus(2);
	instance = instance_open();
	devices[0] = vulkan_device_open(instance, 0);
	devices[1] = vulkan_device_open(instance, 1);
	for (i = 0; i < 2; i++) {
		pass_buffer(devices[i], devices[!i], DMA_BUF, vram_type(devices[i]));
		pass_buffer(devices[i], devices[!i], DMA_BUF, gtt_type(devices[i]));
	}
	vulkan_device_close(devices[0]);
	vulkan_device_close(devices[1]);
	instance_close(instance);
}

static void buffers_between_devices_of_one_gpu(void)
{
	struct instance *instance = instance_open();
	struct device *devices[] = {vulkan_device_open(instance, 0),
				    vulkan_device_open(instance, 0)};

	pass_buffer(devices[0], devices[1], OPAQUE, vram_type(devices[0]));
	pass_buffer(devices[0], devices[0], OPAQUE, gtt_type(devices[0]));
	/* the driver alone wants /dev/udmabuf for it */
	if (!is_plain()) {
		pass_buffer(devices[0], devices[1], DMA_BUF, vram_type(devices[0]));
		pass_buffer(devices[0], devices[0], DMA_BUF, vram_type(devices[0]));
	}
	vulkan_device_close(devices[0]);
	vulkan_device_close(devices[1]);
	instance_close(instance);
}

static void images_between_gpus(void)
{
	struct instance *instance = instance_open();
	struct device *devices[] = {vulkan_device_open(instance, 0),
				    vulkan_device_open(instance, 1)};
	struct image mine, theirs;
	int fd;

	if (!devices[0]->has_modifiers)
		test_skip(
			"VK_EXT_image_drm_format_modifier isn't there: the driver wants /dev/udmabuf");
	mine = image_new(devices[0], WIDTH, HEIGHT, vram_type(devices[0]), true);
	check(mine.layout.rowPitch >= WIDTH * 4, "a row of the linear image has %llu bytes",
	      (unsigned long long)mine.layout.rowPitch);
	image_fill(&mine, 23);
	release_image(&mine);
	fd = memory_export(devices[0], mine.memory, DMA_BUF);
	theirs = image_import(devices[1], WIDTH, HEIGHT, &mine.layout, fd);
	acquire_image(&theirs);
	image_check(&theirs, 23);
	image_fill(&theirs, 29);
	release_image(&theirs);
	acquire_image(&mine);
	image_check(&mine, 29);
	image_free(&mine);
	image_check(&theirs, 29);
	image_free(&theirs);
	vulkan_device_close(devices[0]);
	vulkan_device_close(devices[1]);
	instance_close(instance);
}

/* Each import is a memory object of its own, over the same memory. */
static void one_export_imported_many_times(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer mine = buffer_new(device, SIZE, vram_type(device), OPAQUE), theirs[20];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(theirs); i++)
		theirs[i] = import(device, vram_type(device), OPAQUE,
				   memory_export(device, mine.memory, OPAQUE));
	for (i = 0; i < ARRAY_SIZE(theirs); i++) {
		buffer_fill(&theirs[i], i, 1);
		buffer_check(&theirs[(i + 7) % ARRAY_SIZE(theirs)], i, 1);
		buffer_check(&mine, i, 1);
	}
	buffer_free(&mine);
	for (i = 0; i < ARRAY_SIZE(theirs); i++) {
		buffer_check(&theirs[i], ARRAY_SIZE(theirs) - 1, 1);
		buffer_free(&theirs[i]);
	}
	vulkan_device_close(device);
}

/* An import that fails leaves the descriptor with the application. */
static void opaque_descriptors_of_another_gpu_are_refused(void)
{
	struct instance *instance;
	struct device *devices[2];
	struct buffer mine, theirs;
	int fd;

	need_gpus(2);
	instance = instance_open();
	devices[0] = vulkan_device_open(instance, 0);
	devices[1] = vulkan_device_open(instance, 1);
	mine = buffer_new(devices[0], SIZE, vram_type(devices[0]), OPAQUE);
	fd = memory_export(devices[0], mine.memory, OPAQUE);
	instance->messages_expected = true; /* VUID-VkImportMemoryFdInfoKHR-fd-01746 */
	check_result(buffer_import(devices[1], SIZE, vram_type(devices[1]), OPAQUE, fd, &theirs),
		     VK_ERROR_INVALID_EXTERNAL_HANDLE);
	instance->messages_expected = false;
	check(is_open(fd), "a refused descriptor was closed");
	buffer_free(&theirs);
	/* it's good for the GPU that it is of */
	theirs = import(devices[0], vram_type(devices[0]), OPAQUE, fd);
	buffer_fill(&mine, 3, 3);
	buffer_check(&theirs, 3, 3);
	buffer_free(&theirs);
	buffer_free(&mine);
	vulkan_device_close(devices[0]);
	vulkan_device_close(devices[1]);
	instance_close(instance);
}

static void descriptors_that_are_no_memory_are_refused(void)
{
	struct device *device;
	struct buffer buffer;
	int pipes[2];

	need_gpus(1);
	device = vulkan_device_open(NULL, 0);
	check_sys(pipe(pipes));
	device->instance->messages_expected = true;
	buffer = buffer_create(device, SIZE, OPAQUE);
	check_result(buffer_allocate(&buffer, vram_type(device),
				     &(VkImportMemoryFdInfoKHR){
					     .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
					     .handleType = OPAQUE,
					     .fd = pipes[0],
				     }),
		     VK_ERROR_INVALID_EXTERNAL_HANDLE);
	check(is_open(pipes[0]), "a refused descriptor was closed");
	check_result(device->get_memory_fd_properties(
			     device->handle, DMA_BUF, pipes[0],
			     &(VkMemoryFdPropertiesKHR){
				     .sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR,
			     }),
		     VK_ERROR_INVALID_EXTERNAL_HANDLE);
	buffer_free(&buffer);
	vulkan_device_close(device);
}

static void descriptors_are_returned(void)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer mine = buffer_new(device, SIZE, vram_type(device), OPAQUE);
	int lowest = dup(0), again;
	unsigned int i;

	close(lowest);
	for (i = 0; i < 100; i++) {
		struct buffer theirs = import(device, vram_type(device), OPAQUE,
					      memory_export(device, mine.memory, OPAQUE));

		buffer_free(&theirs);
	}
	again = dup(0);
	check(again <= lowest + 2,
	      "after 100 exports and imports the lowest free descriptor is %d, it was %d", again,
	      lowest);
	buffer_free(&mine);
	vulkan_device_close(device);
}

static VkExternalMemoryFeatureFlags buffer_features(const struct device *device,
						    VkExternalMemoryHandleTypeFlagBits handle_type)
{
	const VkPhysicalDeviceExternalBufferInfo info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
		.handleType = handle_type,
	};
	VkExternalBufferProperties properties = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES,
	};

	vkGetPhysicalDeviceExternalBufferProperties(device->physical, &info, &properties);
	return properties.externalMemoryProperties.externalMemoryFeatures;
}

/* Asks whether images of the optimal tiling can be shared. */
static VkResult ask_about_optimal_images(const struct device *device,
					 VkExternalMemoryHandleTypeFlagBits handle_type,
					 VkExternalMemoryProperties *external)
{
	const VkPhysicalDeviceExternalImageFormatInfo handle_info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO,
		.handleType = handle_type,
	};
	const VkPhysicalDeviceImageFormatInfo2 info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
		.pNext = &handle_info,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.type = VK_IMAGE_TYPE_2D,
		.tiling = VK_IMAGE_TILING_OPTIMAL,
		.usage = VK_IMAGE_USAGE_TRANSFER_DST_BIT,
	};
	VkExternalImageFormatProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES,
		.externalMemoryProperties = {~0u, ~0u, ~0u},
	};
	VkImageFormatProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2,
		.pNext = &answer,
	};
	VkResult result =
		vkGetPhysicalDeviceImageFormatProperties2(device->physical, &info, &properties);

	*external = answer.externalMemoryProperties;
	return result;
}

/* What isn't supported isn't compatible with anything, either. */
static void optimal_images_are_opaque(void)
{
	VkExternalMemoryProperties external;
	struct device *device;

	need_gpus(1);
	device = vulkan_device_open(NULL, 0);
	check_vk(ask_about_optimal_images(device, OPAQUE, &external));
	check_eq(external.externalMemoryFeatures & VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT,
		 VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT);
	check_eq(external.compatibleHandleTypes, OPAQUE);
	check_eq(external.exportFromImportedHandleTypes, OPAQUE);
	check_result(ask_about_optimal_images(device, DMA_BUF, &external),
		     VK_ERROR_FORMAT_NOT_SUPPORTED);
	check_eq(external.externalMemoryFeatures, 0);
	check_eq(external.compatibleHandleTypes, 0);
	check_eq(external.exportFromImportedHandleTypes, 0);
	vulkan_device_close(device);
}

static void what_can_be_shared_is_said(void)
{
	const VkExternalMemoryFeatureFlags both = VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT |
						  VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT;
	struct device *device;

	need_gpus(1);
	device = vulkan_device_open(NULL, 0);
	check(device->has_dma_buf, "VK_EXT_external_memory_dma_buf isn't there");
	check_eq(buffer_features(device, OPAQUE) & both, both);
	check_eq(buffer_features(device, DMA_BUF) & both, both);
	check(!(buffer_features(device, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT) &
		VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT),
	      "host pointers are said to be exportable");
	vulkan_device_close(device);
}

/* ---- In two processes ---- */

/* Runs the importer in another process; neither has used Vulkan before. */
static void in_two_processes(void (*exporter)(int socket), void (*importer)(int socket))
{
	int sockets[2];
	pid_t child;

	check_sys(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
	child = test_fork();
	if (!child) {
		close(sockets[0]);
		importer(sockets[1]);
		test_exit();
	}
	close(sockets[1]);
	exporter(sockets[0]);
	test_join(child);
}

static void tell(int socket, const void *data, size_t size)
{
	check_eq(check_sys(send(socket, data, size, MSG_NOSIGNAL)), size);
}

static void hear(int socket, void *data, size_t size)
{
	check_eq(check_sys(recv(socket, data, size, 0)), size);
}

static void export_buffer(int socket, VkExternalMemoryHandleTypeFlagBits handle_type)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer buffer = buffer_new(device, SIZE, vram_type(device), handle_type);
	char done;
	int fd;

	buffer_fill(&buffer, 31, 37);
	release_buffer(&buffer);
	fd = memory_export(device, buffer.memory, handle_type);
	send_fd(socket, fd);
	close(fd);
	hear(socket, &done, 1);
	acquire_buffer(&buffer);
	buffer_check(&buffer, 41, 43);
	buffer_free(&buffer);
	vulkan_device_close(device);
	tell(socket, "", 1);
}

/* The exporter goes away in the middle; its memory stays for as long as it's imported. */
static void import_buffer(int socket, unsigned int gpu,
			  VkExternalMemoryHandleTypeFlagBits handle_type)
{
	struct device *device = vulkan_device_open(NULL, gpu);
	struct buffer buffer = import(device, vram_type(device), handle_type, receive_fd(socket));
	char gone;

	acquire_buffer(&buffer);
	buffer_check(&buffer, 31, 37);
	buffer_fill(&buffer, 41, 43);
	release_buffer(&buffer);
	tell(socket, "", 1);
	hear(socket, &gone, 1);
	acquire_buffer(&buffer);
	buffer_check(&buffer, 41, 43);
	buffer_fill(&buffer, 47, 53);
	buffer_check(&buffer, 47, 53);
	buffer_free(&buffer);
	vulkan_device_close(device);
}

static void export_dma_buf(int socket)
{
	export_buffer(socket, DMA_BUF);
}

static void export_opaque(int socket)
{
	export_buffer(socket, OPAQUE);
}

static void import_dma_buf_on_gpu_0(int socket)
{
	import_buffer(socket, 0, DMA_BUF);
}

static void import_dma_buf_on_gpu_1(int socket)
{
	import_buffer(socket, 1, DMA_BUF);
}

static void import_opaque(int socket)
{
	import_buffer(socket, 0, OPAQUE);
}

static void dma_bufs_between_processes_and_gpus(void)
{
	need_gpus(2);
	in_two_processes(export_dma_buf, import_dma_buf_on_gpu_1);
}

static void dma_bufs_between_processes_on_one_gpu(void)
{
	need_gpus(1);
	in_two_processes(export_dma_buf, import_dma_buf_on_gpu_0);
}

static void opaque_descriptors_between_processes(void)
{
	in_two_processes(export_opaque, import_opaque);
}

static void refuse_opaque(int socket)
{
	struct device *device = vulkan_device_open(NULL, 1);
	int fd = receive_fd(socket);
	struct buffer buffer;

	device->instance->messages_expected = true;
	check_result(buffer_import(device, SIZE, vram_type(device), OPAQUE, fd, &buffer),
		     VK_ERROR_INVALID_EXTERNAL_HANDLE);
	check(is_open(fd), "a refused descriptor was closed");
}

static void export_to_be_refused(int socket)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer buffer = buffer_new(device, SIZE, vram_type(device), OPAQUE);

	send_fd(socket, memory_export(device, buffer.memory, OPAQUE));
}

static void opaque_descriptors_of_another_process_and_gpu_are_refused(void)
{
	need_gpus(2);
	in_two_processes(export_to_be_refused, refuse_opaque);
}

static void export_image(int socket)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct image image = image_new(device, WIDTH, HEIGHT, vram_type(device), true);
	char done;

	image_fill(&image, 59);
	release_image(&image);
	tell(socket, &image.layout, sizeof(image.layout));
	send_fd(socket, memory_export(device, image.memory, DMA_BUF));
	hear(socket, &done, 1);
	acquire_image(&image);
	image_check(&image, 61);
	image_free(&image);
	vulkan_device_close(device);
}

static void import_image(int socket)
{
	struct device *device = vulkan_device_open(NULL, 1);
	VkSubresourceLayout layout;
	struct image image;

	hear(socket, &layout, sizeof(layout));
	image = image_import(device, WIDTH, HEIGHT, &layout, receive_fd(socket));
	acquire_image(&image);
	image_check(&image, 59);
	image_fill(&image, 61);
	release_image(&image);
	tell(socket, "", 1);
	image_free(&image);
	vulkan_device_close(device);
}

static void linear_images_between_processes_and_gpus(void)
{
	need_gpus(2);
	in_two_processes(export_image, import_image);
}

/* ---- Nothing is pinned ---- */

#define PRESSED_BUFFERS 6
#define PRESSED_ROUNDS  12

static void export_under_pressure(int socket)
{
	struct device *device = vulkan_device_open(NULL, 0);
	struct buffer buffers[PRESSED_BUFFERS];
	int fds[PRESSED_BUFFERS];
	struct disturber disturber;
	unsigned int i, round;
	char done;

	for (i = 0; i < PRESSED_BUFFERS; i++) {
		buffers[i] = buffer_new(device, SIZE, vram_type(device), DMA_BUF);
		fds[i] = memory_export(device, buffers[i].memory, DMA_BUF);
		release_buffer(&buffers[i]);
		send_fd(socket, fds[i]);
	}
	disturber = disturber_start(0, fds, PRESSED_BUFFERS);
	for (round = 0; round < PRESSED_ROUNDS; round++) {
		for (i = 0; i < PRESSED_BUFFERS; i++) {
			acquire_buffer(&buffers[i]);
			if (round)
				buffer_check(&buffers[i], i, round);
			buffer_fill(&buffers[i], round, i + 1);
			release_buffer(&buffers[i]);
		}
		tell(socket, "", 1);
		hear(socket, &done, 1);
	}
	disturber_stop(&disturber);
	check(vm_counters(0, getpid()).evictions, "nothing of the exporter was evicted");
}

static void import_under_pressure(int socket)
{
	struct device *device = vulkan_device_open(NULL, 1);
	struct buffer buffers[PRESSED_BUFFERS];
	struct vm_counters counters;
	unsigned int i, round;
	char ready;

	for (i = 0; i < PRESSED_BUFFERS; i++)
		buffers[i] = import(device, vram_type(device), DMA_BUF, receive_fd(socket));
	for (round = 0; round < PRESSED_ROUNDS; round++) {
		hear(socket, &ready, 1);
		for (i = 0; i < PRESSED_BUFFERS; i++) {
			acquire_buffer(&buffers[i]);
			buffer_check(&buffers[i], round, i + 1);
			buffer_fill(&buffers[i], i, round + 1);
			release_buffer(&buffers[i]);
		}
		tell(socket, "", 1);
	}
	counters = vm_counters(1, getpid());
	check(counters.invalidations,
	      "no import was invalidated: there was no pressure, or imports are pinned");
	check(counters.remaps >= counters.invalidations / 2,
	      "%llu imports were invalidated and all used again, and %llu were remapped",
	      (unsigned long long)counters.invalidations, (unsigned long long)counters.remaps);
}

static void imports_are_never_pinned(void)
{
	unsigned int i;

	need_gpus(2);
	/* counted since the module was loaded, for this suite */
	in_two_processes(export_under_pressure, import_under_pressure);
	for (i = 0; i < 2; i++)
		check_eq(gpu_info(i).pinned_max, 0);
}

static const struct test tests[] = {
	TEST(buffers_between_gpus),
	TEST(buffers_between_devices_of_one_gpu),
	TEST(images_between_gpus),
	TEST(one_export_imported_many_times),
	TEST(opaque_descriptors_of_another_gpu_are_refused),
	TEST(descriptors_that_are_no_memory_are_refused),
	TEST(descriptors_are_returned),
	TEST(what_can_be_shared_is_said),
	TEST(optimal_images_are_opaque),
	TEST(dma_bufs_between_processes_and_gpus),
	TEST(dma_bufs_between_processes_on_one_gpu),
	TEST(opaque_descriptors_between_processes),
	TEST(opaque_descriptors_of_another_process_and_gpu_are_refused),
	TEST(linear_images_between_processes_and_gpus),
	TEST(imports_are_never_pinned),
};

int main(int argc, char **argv)
{
	return vulkan_main("vulkan-share", tests, ARRAY_SIZE(tests), argc, argv);
}
