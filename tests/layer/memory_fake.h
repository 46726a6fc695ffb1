/* SPDX-License-Identifier: MIT */
/*
 * What is around virtual mode's memory objects: a virtual GPU that only counts, and a driver that
 * writes down what it is told. Every step that can fail can be made to.
 */
#ifndef DROVER_TESTS_LAYER_MEMORY_FAKE_H
#define DROVER_TESTS_LAYER_MEMORY_FAKE_H

#include "entry.h"
#include "memory.h"
#include "virtual_gpu.h"

#define FAKE_VRAM         (1ull << 20)
#define FAKE_GTT          (512ull << 10)
/* The driver's memory types that take host pointers; the first isn't host visible. */
#define FAKE_DRIVER_TYPES 0x6u
#define FAKE_DRIVER_TYPE  2u

/* The commands that ask for memory requirements. */
enum fake_requirements {
	FAKE_OF_BUFFER,
	FAKE_OF_IMAGE,
	FAKE_OF_BUFFER2,
	FAKE_OF_BUFFER2_KHR,
	FAKE_OF_IMAGE2,
	FAKE_OF_IMAGE2_KHR,
	FAKE_OF_BUFFER_INFO,
	FAKE_OF_BUFFER_INFO_KHR,
	FAKE_OF_IMAGE_INFO,
	FAKE_OF_IMAGE_INFO_KHR,
};

/* What exists, and what happened last. */
struct fake {
	int bos;
	int bindings;
	int driver_memories;
	/* counts down; the step that makes it zero fails */
	int fail_at;
	/* its error, for steps of the virtual GPU */
	int error;

	/* the last BO made or imported, and where it is bound */
	uint32_t placements;
	uint32_t preferred;
	bool private_to_vm;
	uint64_t address;
	uint64_t bound_size;

	/* what the driver was asked for */
	VkMemoryAllocateInfo allocate_info;
	VkImportMemoryHostPointerInfoEXT import;
	VkMemoryAllocateFlagsInfo flags;
	bool has_import;
	bool has_flags;
	bool has_others;
	const VkAllocationCallbacks *allocator;
	int priorities;

	/* what a descriptor stands for when it is imported */
	uint64_t import_size;
	bool import_foreign;
	uint32_t import_placements;
	/* how many things existed when the driver's object was freed */
	int bindings_at_free;
};

extern struct fake fake;

/* A device with the module; the handle is as good as any for the module's functions. */
VkDevice fake_device_open(void);
void fake_device_close(void);
struct layer_device *fake_layer_device(void);
/* Return: what an application gets for a command, or NULL. */
PFN_vkVoidFunction fake_command(const char *name);
#define FAKE_COMMAND(command) ((PFN_vk##command)fake_command("vk" #command))

#endif
