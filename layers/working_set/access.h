/* SPDX-License-Identifier: MIT */
/*
 * What Vulkan's usages and access masks mean for implicit sync: a read, which waits for writers,
 * or a write, which waits for all. Pure functions.
 */
#ifndef LAYER_ACCESS_H
#define LAYER_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

/* Whether a device may write to a buffer or image of that usage. Unknown bits: it may. */
bool access_buffer_writable(VkBufferUsageFlags2 usage);
bool access_image_writable(VkImageUsageFlags usage);

/*
 * access_classify() - what a queue-family ownership transfer means
 * @writable: of the resource, see above
 * @mask: the access mask on the device's own side of the transfer
 * @mask3: that of VkMemoryBarrierAccessFlags3KHR, or 0
 *
 * A mask of zero says nothing: many give none, since the other side's accesses are what the transfer
 * is about.
 *
 * Return: enum drover_access
 */
uint32_t access_classify(bool writable, VkAccessFlags2 mask, VkAccessFlags3KHR mask3);

/* enum access_transfer - where an ownership transfer goes, seen from the device */
enum access_transfer {
	/* Not between the device and others. */
	ACCESS_TRANSFER_NONE,
	/* From others, who have to be waited for. */
	ACCESS_TRANSFER_ACQUIRE,
	/* To others, who have to wait. */
	ACCESS_TRANSFER_RELEASE,
};

static inline bool access_is_outside(uint32_t family)
{
	return family == VK_QUEUE_FAMILY_FOREIGN_EXT || family == VK_QUEUE_FAMILY_EXTERNAL;
}

/* Inline: nearly all barriers are none, and have to cost nothing. */
static inline enum access_transfer access_transfer_of(uint32_t source_family,
						      uint32_t destination_family)
{
	if (source_family == destination_family ||
	    access_is_outside(source_family) == access_is_outside(destination_family))
		return ACCESS_TRANSFER_NONE;
	return access_is_outside(source_family) ? ACCESS_TRANSFER_ACQUIRE : ACCESS_TRANSFER_RELEASE;
}

#endif
