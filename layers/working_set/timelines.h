/* SPDX-License-Identifier: MIT */
/*
 * Whether everything that a queue's work waits for has been submitted.
 *
 * A batch may wait for a value of a timeline semaphore that somebody signals only later. Until that
 * signal is submitted, the completion of the batch must not be exported as a sync file
 * (VUID-VkSemaphoreGetFdInfoKHR-handleType-03254), and nobody may wait for it on the thread that is
 * to submit the signal. So it is kept account of what has been submitted: values of timelines that are
 * certain to be reached, and, for each queue, waits for values that aren't.
 *
 * Binary semaphores need no account: what they depend on has to be submitted before they are
 * waited for (VUID-vkQueueSubmit-pWaitSemaphores-03238).
 *
 * All functions are thread-safe. They call the driver: hold no lock that its callbacks could need.
 */
#ifndef LAYER_TIMELINES_H
#define LAYER_TIMELINES_H

#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

struct layer_device;
struct unresolved;

/* struct timeline_queue - what a queue's work waits for; all zeros: nothing */
struct timeline_queue {
	/* Waits that nothing submitted is certain to end, in the order of submission. */
	struct unresolved *unresolved;
	uint32_t count;
	uint32_t capacity;
	/* Counts the batches. */
	uint64_t position;
	/* There was no memory to keep account. */
	bool unknown;
	/* Being looked at: a second visit is a cycle, which nothing resolves. */
	bool visited;
};

/* timelines_batch() - the position of the next batch of @queue, which is about to be submitted */
uint64_t timelines_batch(struct layer_device *device, struct timeline_queue *queue);

/* timelines_wait() - a batch that is about to be submitted waits; nothing happens for a binary semaphore */
void timelines_wait(struct layer_device *device, struct timeline_queue *queue, uint64_t position,
		    VkSemaphore semaphore, uint64_t value);

/*
 * timelines_signal() - a batch signals; nothing happens for a binary semaphore
 *
 * The batch has been submitted: somebody may take the signal for certain and wait for it with the CPU.
 */
void timelines_signal(struct layer_device *device, struct timeline_queue *queue, uint64_t position,
		      VkSemaphore semaphore, uint64_t value);

/* timelines_revoke() - batches from @position on weren't submitted after all: they wait for nothing */
void timelines_revoke(struct layer_device *device, struct timeline_queue *queue, uint64_t position);

/*
 * timelines_wait_fence() - the work up to here may wait for something unknown; @fence says when it's over
 * @fence: is submitted; destroyed when it's no longer needed
 */
void timelines_wait_fence(struct layer_device *device, struct timeline_queue *queue, VkFence fence);

/*
 * timelines_clear() - whether all that the queue's work waits for has been submitted
 * @position: of the last batch that matters: queue->position, now or earlier
 */
bool timelines_clear(struct layer_device *device, struct timeline_queue *queue, uint64_t position);

/* timelines_queue_fini() - before the device goes; the queue is idle */
void timelines_queue_fini(struct layer_device *device, struct timeline_queue *queue);

#endif
