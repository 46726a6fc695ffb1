/* SPDX-License-Identifier: MIT */
/*
 * Virtual mode's memory: the application's VkDeviceMemory is a BO of the virtual GPU, which
 * the driver gets as a host pointer into the VM's aperture (VK_EXT_external_memory_host). The kernel
 * evicts and remaps it below the driver, which never sees its address change.
 */
#ifndef LAYER_MEMORY_H
#define LAYER_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#include <vulkan/vulkan.h>

#include "addresses.h"
#include "table.h"
#include "usage.h"

struct drover_device;
struct drover_vm;
struct layer_device;

/* Memory types of a virtual GPU; each is the one of its heap. */
#define MEMORY_TYPE_BITS ((1u << USAGE_HEAP_VRAM) | (1u << USAGE_HEAP_GTT))

/* What virtual mode keeps for a VkDevice. */
struct memory_device {
	/* see memory_is_ours() */
	pid_t process;
	struct drover_device *drover;
	struct drover_vm *vm;
	/* the aperture: the CPU's address of GPU address 0 */
	char *aperture;
	/* which virtual GPU: the kernel's number of it, see usage.h */
	uint32_t gpu;
	uint64_t heap_sizes[USAGE_HEAP_COUNT];
	/* the driver's memory type that host pointers are imported with */
	uint32_t driver_memory_type;
	struct addresses addresses;
	/* VkDeviceMemory -> struct memory */
	struct table memories;
};

/*
 * memory_is_ours() - whether this process is the one that created the device
 *
 * A child of fork() has its parent's file, and whatever it does there (its exit handlers may
 * destroy everything) happens to the parent's memory.
 */
static inline bool memory_is_ours(const struct memory_device *memory)
{
	return memory->process == getpid();
}

/*
 * memory_type_bits() - which of the virtual GPU's memory types stand for the driver's
 * @driver_bits: a mask of the driver's types
 */
static inline uint32_t memory_type_bits(const struct memory_device *memory, uint32_t driver_bits)
{
	return driver_bits & (1u << memory->driver_memory_type) ? MEMORY_TYPE_BITS : 0;
}

#endif
