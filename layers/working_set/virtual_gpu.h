/* SPDX-License-Identifier: MIT */
/*
 * Virtual mode's hardware: which physical device is which virtual GPU, and what a VkDevice has
 * of it: an address space, its aperture, its status word.
 *
 * The k-th physical device of the CPU driver is the k-th of drover's render nodes by minor; the
 * driver's surplus devices stay native. All devices of other drivers do.
 */
#ifndef LAYER_VIRTUAL_GPU_H
#define LAYER_VIRTUAL_GPU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <vulkan/vulkan.h>

#include <drover/drover.h>

#include "resident.h"

struct layer_device;
struct layer_instance;
struct layer_physical_device;

/* Heaps, and memory types, of a virtual GPU; each heap has the one type of the same number. */
#define VIRTUAL_GPU_VRAM  0
#define VIRTUAL_GPU_GTT   1
#define VIRTUAL_GPU_HEAPS 2

/* A virtual GPU, as an instance sees it. Nothing changes once it is assigned. */
struct virtual_gpu {
	/* Among drover's nodes when the instance was created. */
	uint32_t position;
	/* Open for questions about the device; each VkDevice opens its own. */
	struct drover_device *drover;
	/* As it was when the instance was created: for what doesn't change. */
	struct drm_drover_device_info info;
	/* The same in every process, for as long as the machine has this virtual GPU. */
	uint8_t uuid[VK_UUID_SIZE];
	uint32_t device_id;
	char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
	/* Device numbers of its nodes; 0: it has none. */
	dev_t primary;
	dev_t render;
};

/* What a VkDevice has of its virtual GPU. Nothing changes as long as the device lives. */
struct virtual_gpu_device {
	const struct virtual_gpu *gpu;
	/* The one that created it: a child of fork() must leave the VM alone. */
	pid_t process;
	struct drover_device *drover;
	struct resident_file file;
	struct drover_vm *vm;
	/* The byte at GPU address a is at aperture + a. */
	void *aperture;
	uint64_t aperture_size;
	/* Where in the VM things may be bound; within the aperture. */
	uint64_t va_start;
	uint64_t va_end;
	/* Read by virtual_gpu_lost_reason(). */
	const volatile struct drm_drover_vm_status *status;
};

/* All may be called with anything; they do nothing where virtual mode isn't possible. */
VkResult virtual_gpu_instance_create(struct layer_instance *instance);
void virtual_gpu_instance_destroy(struct layer_instance *instance);

/*
 * virtual_gpu_assign() - say which physical devices are which virtual GPUs
 * @handles: all physical devices, in the driver's order; they are remembered already
 *
 * Called once for an instance, by layer_physical_devices_enumerate().
 */
void virtual_gpu_assign(struct layer_instance *instance, const VkPhysicalDevice *handles,
			uint32_t count);

/* Says, once, why a device that could have been virtual isn't. */
void virtual_gpu_explain(const struct layer_physical_device *physical_device);

/*
 * virtual_gpu_device_create() - a VM, its aperture and status word
 *
 * Sets device->virtual_gpu if the physical device is a virtual GPU.
 */
VkResult virtual_gpu_device_create(struct layer_device *device);
void virtual_gpu_device_destroy(struct layer_device *device);

/* Return: why the VM is lost, a positive errno; 0: it isn't. Costs a memory access. */
static inline uint32_t virtual_gpu_lost_reason(const struct virtual_gpu_device *device)
{
	return device->status->lost_reason;
}

#endif
