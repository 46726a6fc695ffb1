/* SPDX-License-Identifier: MIT */
/*
 * Releases whose completion can't be exported yet, because they wait for something that nobody has
 * submitted (timelines.h). A worker of the device exports each as soon as that has happened.
 *
 * Until then others don't see that the memory is in use; there is no way to tell them
 * that doesn't risk a deadlock. That's counted.
 */
#ifndef LAYER_LATE_H
#define LAYER_LATE_H

#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

#include "semaphores.h"
#include "track.h"

struct layer_device;
struct submit_queue;

/* struct late_release - a submitted batch's completion, to be exported */
struct late_release {
	struct submit_queue *queue;
	/* The last of the batches that it depends on. */
	uint64_t position;
	/* Signalled by the batch; one for each physical device of a group. */
	struct semaphore_list semaphores;
	/* Submitted behind the batch. */
	VkFence fence;
	struct track_uses uses;
	struct late_release *next;
};

/* late_init() - Return: false: no memory */
bool late_init(struct layer_device *device);

/*
 * late_add() - leave a release to the worker
 *
 * Takes over @release, from malloc(), and all in it.
 */
void late_add(struct layer_device *device, struct late_release *release);

/* late_retry() - something has been submitted or signalled that a release may wait for */
void late_retry(struct layer_device *device);

/* late_flush() - wait until the worker is done with what was given up for a queue, which is idle */
void late_flush(struct layer_device *device, struct submit_queue *queue);

/* late_fini() - end the worker; the device is idle */
void late_fini(struct layer_device *device);

#endif
