/* SPDX-License-Identifier: MIT */
/*
 * Which dma-bufs a device shares with others, and which of its buffers and images lie in them.
 *
 * Vulkan's memory objects that are imported from or exported as a file descriptor are
 * remembered, and what is bound to them; of each distinct dma-buf one file descriptor is kept, for
 * as long as a memory object stands for it. The module sees the application's own calls, so it
 * is the same in native and in virtual mode. Only applications that enable
 * VK_KHR_external_memory_fd are looked at.
 *
 * All functions are thread-safe.
 */
#ifndef LAYER_TRACK_H
#define LAYER_TRACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

#include "layer.h"

#define TRACK_MAX_PLANES 4

/* struct tracked_dmabuf - a dma-buf that memory objects of the device stand for */
struct tracked_dmabuf {
	/* Which: the same for all its file descriptors. */
	uint64_t inode;
	/* Our own file descriptor, close-on-exec. */
	int fd;
	uint64_t size;
	/* The kernel knows no sync files for it; said once. */
	atomic_bool deaf;
	/* Under the device's tracking lock. */
	uint32_t references;
};

struct tracked_memory;

#define TRACK_TIMELINE (1ull << 32)

struct track_device {
	/*
	 * How much there is that submissions have to look for: command buffers that have something
	 * recorded, and the setting every_submit. And, times TRACK_TIMELINE, how many timeline semaphores
	 * there are: what is submitted with one has to be accounted.
	 */
	_Atomic(uint64_t) attention;
	/* How many memory objects are known. */
	atomic_uint num_memories;
	/* Protects what is counted, and the list. */
	pthread_mutex_t lock;
	/* Those with a dma-buf. */
	struct tracked_memory *shared;
	/* inode -> struct tracked_dmabuf */
	struct table dmabufs;
	/* VkDeviceMemory -> struct tracked_memory */
	struct table memories;
	/* -> struct tracked_resource */
	struct table buffers;
	struct table images;
};

/* struct tracked_resource - a VkBuffer or VkImage that lies in such memory, or may do so later */
struct tracked_resource {
	/* Whether a device may write to it, as far as its usage says. */
	bool writable;
	uint32_t num_memories;
	struct tracked_memory *memories[TRACK_MAX_PLANES];
};

/* struct track_use - how a dma-buf is accessed */
struct track_use {
	struct tracked_dmabuf *dmabuf;
	/* enum drover_access */
	uint32_t access;
};

/* struct track_uses - each dma-buf once; all zeros is empty. Belongs to one thread at a time. */
struct track_uses {
	struct track_use *items;
	uint32_t count;
	uint32_t capacity;
};

/* Whether the device's calls are looked at: the application asked for file descriptors of memory. */
bool track_wanted(const struct layer_device *device);

/*
 * track_attention(), track_timelines(), track_either() - whether a submission may have something to do with shared
 * memory; whether it may have a timeline semaphore
 *
 * A load each; the device is track_wanted().
 */
static inline uint64_t track_either(const struct layer_device *device)
{
	return atomic_load_explicit(&device->track->attention, memory_order_relaxed);
}

static inline bool track_attention(const struct layer_device *device)
{
	return track_either(device) % TRACK_TIMELINE;
}

static inline bool track_timelines(const struct layer_device *device)
{
	return track_either(device) / TRACK_TIMELINE;
}

/*
 * track_buffer(), track_image() - what is known of a resource
 *
 * Return: valid until the resource is destroyed; NULL: nothing is to be done for it.
 */
const struct tracked_resource *track_buffer(const struct layer_device *device, VkBuffer buffer);
const struct tracked_resource *track_image(const struct layer_device *device, VkImage image);

/* A reference that outlives the VkDeviceMemory: what a command buffer has recorded. */
struct tracked_memory *track_memory_get(struct tracked_memory *memory);
void track_memory_put(struct tracked_memory *memory);

/*
 * track_uses_add() - add the dma-buf that a memory object stands for now, if any
 * @access: enum drover_access; added to what is there already
 *
 * Return: false: no memory.
 */
bool track_uses_add(struct layer_device *device, struct track_uses *uses,
		    struct tracked_memory *memory, uint32_t access);

/* track_uses_add_bound() - add every dma-buf that a buffer or image is bound to */
bool track_uses_add_bound(struct layer_device *device, struct track_uses *uses);

/* track_uses_clear() - forget them; keeps the array for the next time */
void track_uses_clear(struct layer_device *device, struct track_uses *uses);

/* track_uses_fini() - forget them, and the array */
void track_uses_fini(struct layer_device *device, struct track_uses *uses);

#endif
