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
 * waited for (VUID-vkQueueSubmit-pWaitSemaphores-03238). But that says nothing of events that the host sets
 * later: while any work of the device may wait for one, the CPU waits for none of it.
 *
 * All functions are thread-safe. They call the driver: hold no lock that its callbacks could need.
 */
#ifndef LAYER_TIMELINES_H
#define LAYER_TIMELINES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

struct host_watch;
struct layer_device;
struct unresolved;

/*
 * struct timeline_queue - what a queue's work waits for; all zeros: nothing
 *
 * "The submitter's" is what only who may submit to the queue reads and changes.
 */
struct timeline_queue {
	/* Waits that nothing submitted is certain to end, in the order of submission. */
	struct unresolved *unresolved;
	/* Changed under the lock; only the submitter adds, so what it finds empty stays so. */
	atomic_uint count;
	uint32_t capacity;
	/* Counts the batches; the submitter's. */
	uint64_t position;
	/* The last batch for which there was no memory to keep account; 0: none. Changed by the submitter only. */
	uint64_t unknown;
	/* Calls that wait for the host and aren't over; what is known of them. */
	uint32_t num_host;
	struct host_watch *host_watches;
	/* Being looked at: a second visit is a cycle, which nothing resolves. */
	bool visited;
};

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

/* timelines_idle() - the queue's batches up to @position are over */
void timelines_idle(struct layer_device *device, struct timeline_queue *queue, uint64_t position);

/*
 * timelines_host_begin() - what is about to be submitted waits for an event that the host sets
 *
 * It does until timelines_host_watch() or timelines_host_revoke() says more, or until the queue is idle.
 *
 * Return: for these; NULL: there was no memory.
 */
struct host_watch *timelines_host_begin(struct layer_device *device, struct timeline_queue *queue);

/* timelines_host_watch() - @fence was submitted behind it; it's destroyed when it's no longer needed */
void timelines_host_watch(struct layer_device *device, struct host_watch *watch, VkFence fence);

/* timelines_host_revoke() - nothing was submitted after all; @watch may be NULL */
void timelines_host_revoke(struct layer_device *device, struct timeline_queue *queue,
			   struct host_watch *watch);

/* timelines_host() - whether any work of the device may wait for the host */
bool timelines_host(struct layer_device *device);

/*
 * timelines_clear() - whether all that the queue's work waits for has been submitted
 * @position: of the last batch that matters: queue->position, now or earlier
 */
bool timelines_clear(struct layer_device *device, struct timeline_queue *queue, uint64_t position);

/* timelines_queue_fini() - before the device goes; the queue is idle */
void timelines_queue_fini(struct layer_device *device, struct timeline_queue *queue);

#endif
