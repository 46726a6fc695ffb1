/* SPDX-License-Identifier: MIT */
/*
 * What is behind a VkDeviceMemory in virtual mode: a BO of the virtual GPU, bound in the
 * device's VM at an address that stays the same for as long as the memory lives. The CPU, and with
 * it the driver, finds it in the aperture.
 */
#ifndef LAYER_BACKING_H
#define LAYER_BACKING_H

#include <stdint.h>

#include <vulkan/vulkan.h>

#include "memory.h"
#include "usage.h"

struct backing {
	struct drover_bo *bo;
	uint64_t address;
	/* bytes that are bound */
	uint64_t size;
	enum usage_heap heap;
	/* whether the BO counts for this process */
	bool counted;
};

/*
 * backing_create() - new memory, all zeros
 * @size: bytes, a multiple of 4096
 * @exportable: whether it may become a dma-buf
 *
 * Return: VK_SUCCESS; VK_ERROR_OUT_OF_DEVICE_MEMORY: larger than its heap, too much in sum, no
 * room, or the VM is lost; VK_ERROR_OUT_OF_HOST_MEMORY.
 */
VkResult backing_create(struct memory_device *memory, uint64_t size, enum usage_heap heap,
			bool exportable, struct backing *backing);

/*
 * backing_import() - the memory of a dma-buf
 * @size: how many bytes it has to have
 * @opaque: it has to be memory of the same virtual GPU
 *
 * @fd stays the caller's. All of the dma-buf is bound, which may be more than @size.
 *
 * Return: as backing_create(); VK_ERROR_INVALID_EXTERNAL_HANDLE: not a dma-buf, too small, from elsewhere
 * though @opaque, or refused by its exporter.
 */
VkResult backing_import(struct memory_device *memory, int fd, bool opaque, uint64_t size,
			enum usage_heap heap, struct backing *backing);

/*
 * backing_destroy() - unbind it and let go of it; the CPU must not touch it any more
 *
 * Leaves it to the parent in a child of fork(), as does backing_abandon().
 */
void backing_destroy(struct memory_device *memory, struct backing *backing);

/* backing_abandon() - the same where the VM goes anyway: what is bound in it is unbound with it */
void backing_abandon(struct memory_device *memory, struct backing *backing);

/* Where the CPU finds it. */
void *backing_pointer(const struct memory_device *memory, const struct backing *backing);

#endif
