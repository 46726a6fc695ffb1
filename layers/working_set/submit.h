/* SPDX-License-Identifier: MIT */
/*
 * Implicit sync around vkQueueSubmit, vkQueueSubmit2 and vkQueueSubmit2KHR.
 *
 * A batch whose command buffers acquire shared memory is preceded by a batch of the layer's that
 * waits for the dma-bufs' fences; one whose command buffers release some is followed by one that
 * signals, and that completion becomes a fence of the dma-bufs before any later batch runs. The
 * application's own batches aren't changed.
 */
#ifndef LAYER_SUBMIT_H
#define LAYER_SUBMIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

#include "semaphores.h"
#include "timelines.h"
#include "track.h"

struct late_worker;
struct layer_device;
struct layer_queue;
struct own_batch;

/* struct submit_queue - what the layer needs to add its own batches to a queue's */
struct submit_queue {
	struct layer_queue *queue;
	/* Protects the following. Vulkan already lets only one submit at a time, usually. */
	pthread_mutex_t lock;
	struct semaphore_pool semaphores;
	/* Of the batch that is being looked at. */
	struct track_uses acquired;
	struct track_uses released;
	/* The batches of the next call below. */
	void *batches;
	size_t capacity;
	/* Those among them that wait, and some for later. */
	struct own_batch *waiting;
	struct own_batch *idle;

	struct timeline_queue timelines;
	/* Releases that late.h has of this queue. */
	uint32_t num_late;
};

struct submit_device {
	/* Whether the driver can wait for a sync file. */
	bool can_import;
	/* Whether its completions can be exported as such without the CPU's waiting; false after a failure. */
	atomic_bool can_export;
	struct late_worker *late;
};

/*
 * submit_stop() - the worker ends, and all work is over; nothing may be submitted any more
 *
 * For modules that go before this one and that it uses. Harmless if it has been called, or if there's nothing.
 */
void submit_stop(struct layer_device *device);

/*
 * submit_publish() - let others wait for the accesses to dma-bufs
 * @sync_file: when they are over; -1: they are; stays the caller's
 */
void submit_publish(struct layer_device *device, const struct track_uses *uses, int sync_file);

/*
 * submit_export() - the completion of batches as a sync file
 * @semaphores: signalled by batches that wait for nothing that isn't submitted
 * @sync_file: out: -1: they are over
 *
 * Return: false: the driver can't, or couldn't this time (can_export says which). If there are several
 * semaphores, they are in an unknown state then; a single one is as it was.
 */
bool submit_export(struct layer_device *device, const VkSemaphore *semaphores, uint32_t count,
		   int *sync_file);

#endif
