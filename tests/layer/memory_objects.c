// SPDX-License-Identifier: MIT
/*
 * Virtual mode's memory objects: what becomes of what vkAllocateMemory is asked for, and that
 * nothing is left of what fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "memory_fake.h"

#define PAGE         4096ull
#define VRAM         VIRTUAL_GPU_VRAM
#define GTT          VIRTUAL_GPU_GTT
#define OPAQUE       VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT
#define DMA_BUF      VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT
#define HOST_POINTER VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT

static VkDevice device;
/* how many more calls of calloc() succeed; negative: all */
static int callocs_left = -1;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	if (!callocs_left)
		return NULL;
	if (callocs_left > 0)
		callocs_left--;
	return __real_calloc(count, size);
}

static int setup(void **state)
{
	(void)state;
	callocs_left = -1;
	device = fake_device_open();
	return device ? 0 : -1;
}

static void assert_nothing_exists(void)
{
	assert_int_equal(fake.bos, 0);
	assert_int_equal(fake.bindings, 0);
	assert_int_equal(fake.driver_memories, 0);
	assert_int_equal(usage_of(3, USAGE_HEAP_VRAM), 0);
	assert_int_equal(usage_of(3, USAGE_HEAP_GTT), 0);
}

static int teardown(void **state)
{
	(void)state;
	callocs_left = -1;
	fake.fail_at = 0;
	fake_device_close();
	return 0;
}

static VkResult allocate(VkDeviceSize size, uint32_t type, const void *next, VkDeviceMemory *memory)
{
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = next,
		.allocationSize = size,
		.memoryTypeIndex = type,
	};

	return FAKE_COMMAND(AllocateMemory)(device, &info, NULL, memory);
}

static void free_memory(VkDeviceMemory memory)
{
	FAKE_COMMAND(FreeMemory)(device, memory, NULL);
}

static VkResult import(int fd, VkExternalMemoryHandleTypeFlagBits type, VkDeviceSize size,
		       VkDeviceMemory *memory)
{
	VkImportMemoryFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = type,
		.fd = fd,
	};

	return allocate(size, GTT, &info, memory);
}

static int new_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void the_driver_gets_a_pointer(void **state)
{
	VkDeviceMemory memory;

	(void)state;
	assert_int_equal(allocate(100, VRAM, NULL, &memory), VK_SUCCESS);
	assert_int_equal(fake.placements, DRM_DROVER_PLACEMENT_VRAM | DRM_DROVER_PLACEMENT_GTT);
	assert_int_equal(fake.preferred, DRM_DROVER_PLACEMENT_VRAM);
	assert_true(fake.private_to_vm);
	assert_int_equal(fake.allocate_info.allocationSize, PAGE);
	assert_int_equal(fake.allocate_info.memoryTypeIndex, FAKE_DRIVER_TYPE);
	assert_true(fake.has_import && !fake.has_flags && !fake.has_others);
	assert_int_equal(fake.import.handleType, HOST_POINTER);
	assert_int_equal((uintptr_t)fake.import.pHostPointer, (1ull << 40) + fake.address);
	assert_int_equal(usage_of(3, USAGE_HEAP_VRAM), PAGE);
	free_memory(memory);
	/* the driver let go of it before it was unbound */
	assert_int_equal(fake.bindings_at_free, 1);
	assert_nothing_exists();

	assert_int_equal(allocate(PAGE, GTT, NULL, &memory), VK_SUCCESS);
	assert_int_equal(fake.placements, DRM_DROVER_PLACEMENT_GTT);
	free_memory(memory);
	free_memory(VK_NULL_HANDLE);
	assert_nothing_exists();
}

static void what_the_driver_need_not_know(void **state)
{
	VkMemoryPriorityAllocateInfoEXT priority = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT, .priority = 1};
	VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO, .pNext = &priority};
	VkMemoryAllocateFlagsInfo flags = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
		.pNext = &dedicated,
		.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT |
			 VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_CAPTURE_REPLAY_BIT,
	};
	VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.pNext = &flags,
		.handleTypes = OPAQUE,
	};
	const VkAllocationCallbacks *allocator = (const VkAllocationCallbacks *)&exported;
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &exported,
		.allocationSize = PAGE,
	};
	VkDeviceMemory memory;

	(void)state;
	assert_int_equal(FAKE_COMMAND(AllocateMemory)(device, &info, allocator, &memory),
			 VK_SUCCESS);
	assert_ptr_equal(fake.allocator, allocator);
	assert_true(fake.has_import && fake.has_flags && !fake.has_others);
	assert_int_equal(fake.flags.flags, VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT);
	assert_false(fake.private_to_vm);
	FAKE_COMMAND(SetDeviceMemoryPriorityEXT)(device, memory, 0.5f);
	assert_int_equal(fake.priorities, 0);
	fake.allocator = NULL;
	FAKE_COMMAND(FreeMemory)(device, memory, allocator);
	assert_ptr_equal(fake.allocator, allocator);
	/* the application's chain is as it was */
	assert_ptr_equal(info.pNext, &exported);
	assert_ptr_equal(exported.pNext, &flags);
	assert_ptr_equal(flags.pNext, &dedicated);
	assert_nothing_exists();
}

static void how_much_there_is(void **state)
{
	VkDeviceMemory all[3], memory;

	(void)state;
	assert_int_equal(allocate(0, VRAM, NULL, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_int_equal(allocate(UINT64_MAX, VRAM, NULL, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_int_equal(allocate(UINT64_MAX - 4095, VRAM, NULL, &memory),
			 VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_int_equal(allocate(FAKE_VRAM + 1, VRAM, NULL, &memory),
			 VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_int_equal(allocate(FAKE_GTT + 1, GTT, NULL, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_int_equal(allocate(PAGE, 2, NULL, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_nothing_exists();

	assert_int_equal(allocate(FAKE_VRAM, VRAM, NULL, &all[0]), VK_SUCCESS);
	assert_int_equal(allocate(FAKE_GTT - PAGE, VRAM, NULL, &all[1]), VK_SUCCESS);
	assert_int_equal(allocate(PAGE, GTT, NULL, &all[2]), VK_SUCCESS);
	assert_int_equal(allocate(1, VRAM, NULL, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_int_equal(allocate(1, GTT, NULL, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	for (int i = 0; i < 3; i++)
		free_memory(all[i]);
	assert_nothing_exists();
}

/* Fail every step in turn, until none is left to fail. Return: how many there were. */
static int fail_each_step(int error, VkResult expected, VkResult of_driver,
			  VkResult (*attempt)(VkDeviceMemory *memory))
{
	for (int step = 1;; step++) {
		VkDeviceMemory memory = (VkDeviceMemory)0x42;
		VkResult result;

		fake.error = error;
		fake.fail_at = step;
		result = attempt(&memory);
		if (fake.fail_at) {
			fake.fail_at = 0;
			assert_int_equal(result, VK_SUCCESS);
			free_memory(memory);
			assert_nothing_exists();
			return step - 1;
		}
		assert_true(result == expected || result == of_driver);
		assert_int_equal((uint64_t)memory, 0x42);
		assert_nothing_exists();
	}
}

static VkResult attempt_new(VkDeviceMemory *memory)
{
	return allocate(PAGE, VRAM, NULL, memory);
}

static VkResult attempt_import(VkDeviceMemory *memory)
{
	int fd = new_fd();
	VkResult result = import(fd, DMA_BUF, PAGE, memory);

	/* taken only if it succeeded */
	assert_int_equal(is_open(fd), result != VK_SUCCESS);
	if (result != VK_SUCCESS)
		close(fd);
	return result;
}

static void nothing_is_left_of_what_fails(void **state)
{
	(void)state;
	fake.import_size = PAGE;
	/* create, bind, the driver */
	assert_int_equal(fail_each_step(-ENOMEM, VK_ERROR_OUT_OF_DEVICE_MEMORY,
					VK_ERROR_OUT_OF_HOST_MEMORY, attempt_new),
			 3);
	/* a lost VM */
	assert_int_equal(fail_each_step(-ECANCELED, VK_ERROR_OUT_OF_DEVICE_MEMORY,
					VK_ERROR_OUT_OF_HOST_MEMORY, attempt_new),
			 3);
	/* import, info, bind, the driver */
	assert_int_equal(fail_each_step(-EOPNOTSUPP, VK_ERROR_INVALID_EXTERNAL_HANDLE,
					VK_ERROR_OUT_OF_HOST_MEMORY, attempt_import),
			 4);
}

/* a limit of what may be pinned is a lack of memory, not a bad descriptor */
static void no_room_for_an_import(void **state)
{
	static const struct {
		int error;
		VkResult result;
	} cases[] = {
		{-ENOMEM, VK_ERROR_OUT_OF_HOST_MEMORY},
		{-ENOSPC, VK_ERROR_OUT_OF_DEVICE_MEMORY},
	};
	VkMemoryFdPropertiesKHR properties = {.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR};
	VkDeviceMemory memory;

	(void)state;
	fake.import_size = PAGE;
	for (int i = 0; i < 2; i++) {
		fake.error = cases[i].error;
		fake.fail_at = 1;
		assert_int_equal(import(5, DMA_BUF, PAGE, &memory), cases[i].result);
		fake.fail_at = 1;
		assert_int_equal(FAKE_COMMAND(GetMemoryFdPropertiesKHR)(device, DMA_BUF, 5,
									&properties),
				 VK_ERROR_OUT_OF_HOST_MEMORY);
		/* imported, but not bound */
		fake.fail_at = 3;
		assert_int_equal(import(5, DMA_BUF, PAGE, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
		assert_nothing_exists();
	}
}

static void no_memory_for_the_layer(void **state)
{
	VkDeviceMemory memory;
	int failures = 0;

	(void)state;
	for (;; failures++) {
		VkResult result;

		callocs_left = failures;
		result = attempt_new(&memory);
		callocs_left = -1;
		if (result == VK_SUCCESS)
			break;
		assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
		assert_nothing_exists();
	}
	/* the object, the table's buckets and their entry */
	assert_int_equal(failures, 3);
	free_memory(memory);
	assert_nothing_exists();
}

static void imports(void **state)
{
	VkDeviceMemory memory, other;
	int fd = new_fd();

	(void)state;
	/* of the same virtual GPU: either way */
	fake.import_size = 4 * PAGE;
	fake.import_placements = DRM_DROVER_PLACEMENT_VRAM;
	assert_int_equal(import(fd, OPAQUE, 2 * PAGE + 1, &memory), VK_SUCCESS);
	assert_false(is_open(fd));
	/* all of it is there */
	assert_int_equal(fake.bound_size, 4 * PAGE);
	assert_int_equal(fake.allocate_info.allocationSize, 4 * PAGE);
	assert_true(fake.has_import && !fake.has_others);
	/* it counts where it was allocated: neither when it comes nor when it goes */
	assert_int_equal(allocate(PAGE, GTT, NULL, &other), VK_SUCCESS);
	assert_int_equal(usage_of(3, USAGE_HEAP_GTT), PAGE);
	free_memory(memory);
	assert_int_equal(usage_of(3, USAGE_HEAP_GTT), PAGE);
	free_memory(other);
	assert_nothing_exists();

	fd = new_fd();
	assert_int_equal(import(fd, DMA_BUF, 4 * PAGE + 1, &memory),
			 VK_ERROR_INVALID_EXTERNAL_HANDLE);
	fake.import_foreign = true;
	assert_int_equal(import(fd, OPAQUE, PAGE, &memory), VK_ERROR_INVALID_EXTERNAL_HANDLE);
	assert_int_equal(import(-1, DMA_BUF, PAGE, &memory), VK_ERROR_INVALID_EXTERNAL_HANDLE);
	assert_nothing_exists();
	assert_true(is_open(fd));
	/* a size that isn't zero only before it is rounded */
	assert_int_not_equal(import(fd, DMA_BUF, UINT64_MAX, &memory), VK_SUCCESS);
	/* larger than the heap that it isn't in */
	fake.import_size = 4 * FAKE_GTT;
	assert_int_equal(import(fd, DMA_BUF, 4 * FAKE_GTT, &memory), VK_SUCCESS);
	free_memory(memory);
	assert_nothing_exists();

	/* a handle type of zero means that nothing is imported */
	assert_int_equal(import(-1, 0, PAGE, &memory), VK_SUCCESS);
	assert_int_equal(usage_of(3, USAGE_HEAP_GTT), PAGE);
	free_memory(memory);
	assert_nothing_exists();
}

static void exports(void **state)
{
	VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = DMA_BUF,
	};
	VkMemoryGetFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.handleType = DMA_BUF,
	};
	VkDeviceMemory memory;
	int fd = -7;

	(void)state;
	assert_int_equal(allocate(PAGE, VRAM, &exported, &memory), VK_SUCCESS);
	info.memory = memory;
	assert_int_equal(FAKE_COMMAND(GetMemoryFdKHR)(device, &info, &fd), VK_SUCCESS);
	assert_int_equal(fd, 1000);
	fake.fail_at = 1;
	fake.error = -EMFILE;
	assert_int_equal(FAKE_COMMAND(GetMemoryFdKHR)(device, &info, &fd),
			 VK_ERROR_TOO_MANY_OBJECTS);
	free_memory(memory);

	/* what wasn't meant to be exported */
	fd = -7;
	exported.handleTypes = HOST_POINTER;
	assert_int_equal(allocate(PAGE, VRAM, &exported, &memory), VK_SUCCESS);
	info.memory = memory;
	assert_int_equal(FAKE_COMMAND(GetMemoryFdKHR)(device, &info, &fd),
			 VK_ERROR_OUT_OF_HOST_MEMORY);
	assert_int_equal(fd, -7);
	free_memory(memory);
	assert_nothing_exists();
}

static void questions_about_descriptors(void **state)
{
	VkMemoryFdPropertiesKHR properties = {.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR};
	PFN_vkGetMemoryFdPropertiesKHR ask = FAKE_COMMAND(GetMemoryFdPropertiesKHR);

	(void)state;
	fake.import_size = PAGE;
	fake.import_placements = DRM_DROVER_PLACEMENT_VRAM | DRM_DROVER_PLACEMENT_GTT;
	assert_int_equal(ask(device, DMA_BUF, 5, &properties), VK_SUCCESS);
	assert_int_equal(properties.memoryTypeBits, 1 << VRAM);
	fake.import_placements = DRM_DROVER_PLACEMENT_GTT;
	assert_int_equal(ask(device, DMA_BUF, 5, &properties), VK_SUCCESS);
	assert_int_equal(properties.memoryTypeBits, 1 << GTT);
	/* of another device: it has no placements */
	fake.import_foreign = true;
	fake.import_placements = 0;
	assert_int_equal(ask(device, DMA_BUF, 5, &properties), VK_SUCCESS);
	assert_int_equal(properties.memoryTypeBits, 1 << GTT);
	assert_int_equal(ask(device, OPAQUE, 5, &properties), VK_ERROR_INVALID_EXTERNAL_HANDLE);
	assert_int_equal(ask(device, DMA_BUF, -1, &properties), VK_ERROR_INVALID_EXTERNAL_HANDLE);
	assert_nothing_exists();
}

static void host_pointers_of_the_application(void **state)
{
	VkMemoryHostPointerPropertiesEXT properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
	VkMemoryPriorityAllocateInfoEXT priority = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT, .priority = 1};
	VkImportMemoryHostPointerInfoEXT info = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		.pNext = &priority,
		.handleType = HOST_POINTER,
		.pHostPointer = &info,
	};
	VkMemoryGetFdInfoKHR get_fd = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.handleType = DMA_BUF,
	};
	VkDeviceMemory memory;
	int fd;

	(void)state;
	assert_int_equal(FAKE_COMMAND(GetMemoryHostPointerPropertiesEXT)(device, HOST_POINTER,
									 &info, &properties),
			 VK_SUCCESS);
	assert_int_equal(properties.memoryTypeBits, 1 << GTT);
	assert_int_equal(allocate(8 * FAKE_GTT, GTT, &info, &memory), VK_SUCCESS);
	assert_ptr_equal(fake.import.pHostPointer, &info);
	assert_int_equal(fake.allocate_info.allocationSize, 8 * FAKE_GTT);
	assert_int_equal(fake.allocate_info.memoryTypeIndex, FAKE_DRIVER_TYPE);
	assert_false(fake.has_others);
	assert_int_equal(fake.bos, 0);
	get_fd.memory = memory;
	assert_int_equal(FAKE_COMMAND(GetMemoryFdKHR)(device, &get_fd, &fd),
			 VK_ERROR_OUT_OF_HOST_MEMORY);
	free_memory(memory);
	assert_nothing_exists();
}

/* @types: what the driver says; @command: which of its commands has to have been asked */
static void check_requirements(const VkMemoryRequirements *answer, uint32_t types,
			       enum fake_requirements command)
{
	/* what can't be in a host pointer can't be in a BO */
	assert_int_equal(answer->memoryTypeBits,
			 types & 1u << FAKE_DRIVER_TYPE ? 1u << VRAM | 1u << GTT : 0);
	assert_int_equal(answer->size, 100);
	assert_int_equal(answer->alignment, 64u << command);
}

/* Asks one of the second versions, whose structures differ. */
#define CHECK_REQUIREMENTS2(name, info, types, command)                                            \
	do {                                                                                       \
		VkMemoryRequirements2 answer2 = {.sType =                                          \
							 VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2}; \
		PFN_vkGet##name ask2 = FAKE_COMMAND(Get##name);                                    \
                                                                                                   \
		assert_non_null(ask2);                                                             \
		ask2(device, info, &answer2);                                                      \
		check_requirements(&answer2.memoryRequirements, types, command);                   \
	} while (0)

static void check_requirements_of_objects(uint32_t types)
{
	VkBufferMemoryRequirementsInfo2 buffer = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2,
		.buffer = (VkBuffer)(uint64_t)types,
	};
	VkImageMemoryRequirementsInfo2 image = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2,
		.image = (VkImage)(uint64_t)types,
	};
	VkMemoryRequirements answer;

	FAKE_COMMAND(GetBufferMemoryRequirements)(device, buffer.buffer, &answer);
	check_requirements(&answer, types, FAKE_OF_BUFFER);
	FAKE_COMMAND(GetImageMemoryRequirements)(device, image.image, &answer);
	check_requirements(&answer, types, FAKE_OF_IMAGE);
	CHECK_REQUIREMENTS2(BufferMemoryRequirements2, &buffer, types, FAKE_OF_BUFFER2);
	CHECK_REQUIREMENTS2(BufferMemoryRequirements2KHR, &buffer, types, FAKE_OF_BUFFER2_KHR);
	CHECK_REQUIREMENTS2(ImageMemoryRequirements2, &image, types, FAKE_OF_IMAGE2);
	CHECK_REQUIREMENTS2(ImageMemoryRequirements2KHR, &image, types, FAKE_OF_IMAGE2_KHR);
}

static void check_requirements_of_infos(uint32_t types)
{
	VkBufferCreateInfo buffer_info = {.size = types};
	VkImageCreateInfo image_info = {.extent.width = types};
	VkDeviceBufferMemoryRequirements buffer = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_BUFFER_MEMORY_REQUIREMENTS,
		.pCreateInfo = &buffer_info,
	};
	VkDeviceImageMemoryRequirements image = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_IMAGE_MEMORY_REQUIREMENTS,
		.pCreateInfo = &image_info,
	};

	CHECK_REQUIREMENTS2(DeviceBufferMemoryRequirements, &buffer, types, FAKE_OF_BUFFER_INFO);
	CHECK_REQUIREMENTS2(DeviceBufferMemoryRequirementsKHR, &buffer, types,
			    FAKE_OF_BUFFER_INFO_KHR);
	CHECK_REQUIREMENTS2(DeviceImageMemoryRequirements, &image, types, FAKE_OF_IMAGE_INFO);
	CHECK_REQUIREMENTS2(DeviceImageMemoryRequirementsKHR, &image, types,
			    FAKE_OF_IMAGE_INFO_KHR);
}

static void requirements(void **state)
{
	(void)state;
	check_requirements_of_objects(FAKE_DRIVER_TYPES);
	check_requirements_of_infos(FAKE_DRIVER_TYPES);
	check_requirements_of_objects(1u << 0);
	check_requirements_of_infos(1u << 0);
}

static void a_bind_that_fails_costs_no_address(void **state)
{
	VkDeviceMemory memory;
	uint64_t first;

	(void)state;
	assert_int_equal(attempt_new(&memory), VK_SUCCESS);
	first = fake.address;
	for (int i = 0; i < 4 * ADDRESSES_REST; i++) {
		VkDeviceMemory none;

		fake.error = -ENOMEM;
		fake.fail_at = 2;
		assert_int_not_equal(attempt_new(&none), VK_SUCCESS);
	}
	free_memory(memory);
	assert_int_equal(attempt_new(&memory), VK_SUCCESS);
	/* each with its guard; some rest */
	assert_true(fake.address <= first + 2 * PAGE * (ADDRESSES_REST + 2));
	free_memory(memory);
}

static void an_unbind_that_fails_costs_the_address(void **state)
{
	VkDeviceMemory memory;
	uint64_t address;

	(void)state;
	assert_int_equal(attempt_new(&memory), VK_SUCCESS);
	address = fake.address;
	fake.fail_at = 1;
	free_memory(memory);
	assert_int_equal(fake.fail_at, 0);
	assert_nothing_exists();
	/* more often than addresses rest */
	for (int i = 0; i < 3 * ADDRESSES_REST; i++) {
		assert_int_equal(attempt_new(&memory), VK_SUCCESS);
		assert_int_not_equal(fake.address, address);
		free_memory(memory);
	}
}

static void a_device_goes_with_its_memory(void **state)
{
	VkDeviceMemory memory;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(allocate(PAGE, i % 2, NULL, &memory), VK_SUCCESS);
	fake_device_close();
	assert_int_equal(fake.bos, 0);
	assert_int_equal(usage_of(3, USAGE_HEAP_VRAM), 0);
	assert_int_equal(usage_of(3, USAGE_HEAP_GTT), 0);
	assert_null(fake_layer_device()->memory);
	/* and without virtual mode, or without memory, there is nothing */
	assert_null(fake_command("vkAllocateMemory"));
	fake_layer_device()->virtual_gpu = NULL;
	assert_int_equal(memory_module.device_create(fake_layer_device(), NULL), VK_SUCCESS);
	assert_null(fake_layer_device()->memory);
}

/* What is the parent's stays as it is, whatever its child does with it. */
static void a_child_of_fork_changes_nothing(void **state)
{
	VkMemoryFdPropertiesKHR properties = {0};
	VkDeviceMemory freed, kept, more;
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(allocate(PAGE, VRAM, NULL, &freed), VK_SUCCESS);
	assert_int_equal(allocate(PAGE, VRAM, NULL, &kept), VK_SUCCESS);
	child = fork();
	if (!child) {
		bool ok = allocate(PAGE, VRAM, NULL, &more) == VK_ERROR_OUT_OF_DEVICE_MEMORY;

		ok &= FAKE_COMMAND(GetMemoryFdPropertiesKHR)(
			      device, VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT, 0,
			      &properties) == VK_ERROR_OUT_OF_HOST_MEMORY;
		free_memory(freed);
		fake_device_close();
		_exit(ok && fake.bos == 2 && fake.bindings == 2 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	free_memory(freed);
	free_memory(kept);
	assert_nothing_exists();
}

/* A device that gets no memory objects has nothing of them, and another can be made. */
static void a_device_that_cannot_be_made(void **state)
{
	struct layer_device *layer_device = fake_layer_device();
	int failures = 0;

	(void)state;
	fake_device_close();
	/* the driver takes no pointer into the aperture */
	fake.fail_at = 1;
	assert_int_equal(memory_module.device_create(layer_device, NULL),
			 VK_ERROR_INITIALIZATION_FAILED);
	assert_null(layer_device->memory);
	for (;; failures++) {
		VkResult result;

		callocs_left = failures;
		result = memory_module.device_create(layer_device, NULL);
		callocs_left = -1;
		if (result == VK_SUCCESS)
			break;
		assert_int_equal(result, VK_ERROR_OUT_OF_HOST_MEMORY);
		assert_null(layer_device->memory);
		assert_null(fake_command("vkAllocateMemory"));
		/* as layer_destroy_device() does it: nothing is undone twice */
		memory_module.device_destroy(layer_device);
	}
	/* the module's own, and the account of addresses */
	assert_int_equal(failures, 2);
	assert_non_null(fake_command("vkAllocateMemory"));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_driver_gets_a_pointer),
		TEST(what_the_driver_need_not_know),
		TEST(how_much_there_is),
		TEST(nothing_is_left_of_what_fails),
		TEST(no_room_for_an_import),
		TEST(no_memory_for_the_layer),
		TEST(imports),
		TEST(exports),
		TEST(questions_about_descriptors),
		TEST(host_pointers_of_the_application),
		TEST(requirements),
		TEST(a_bind_that_fails_costs_no_address),
		TEST(an_unbind_that_fails_costs_the_address),
		TEST(a_device_goes_with_its_memory),
		TEST(a_child_of_fork_changes_nothing),
		TEST(a_device_that_cannot_be_made),
	};

	return cmocka_run_group_tests_name("memory objects", tests, NULL, NULL);
}
