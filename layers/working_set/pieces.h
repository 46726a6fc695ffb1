/* SPDX-License-Identifier: MIT */
/*
 * A call of vkQueueSubmit* that acquires or releases shared memory: cut into pieces, with batches of
 * the layer's between the application's.
 */
#ifndef LAYER_PIECES_H
#define LAYER_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

#include "batches.h"

struct layer_device;
struct submit_queue;

/* struct call - one of the application's calls on its way */
struct call {
	struct layer_device *device;
	struct submit_queue *queue;
	VkQueue handle;
	const struct batch_format *format;
	uint32_t count;
	const char *batches;
	/* VK_NULL_HANDLE as soon as it has gone down. */
	VkFence fence;
	/* Something is still to go down, be it the fence alone. */
	bool unfinished;
	/* Something has gone down. */
	bool begun;
	/* How many batches are gathered for the next piece. */
	uint32_t gathered;
	/* The application's batches among them: from @first on, before @next. */
	uint32_t first;
	uint32_t next;
	/* The position in the account of the first of them; 0: no account is kept. */
	uint64_t position;
	/* The account has them already. */
	bool accounted;
	/* A batch waits for an event that the host sets; may be NULL even so. */
	bool waits_for_host;
	struct host_watch *host_watch;
	/* With `every_submit`, the first and the last batch that do something; else UINT32_MAX. */
	uint32_t first_at_work;
	uint32_t last_at_work;
};

/* pieces_batch() - the application's batch number @index */
static inline const void *pieces_batch(const struct call *call, uint32_t index)
{
	return call->batches + index * call->format->size;
}

/*
 * pieces_account(), pieces_account_result() - keep timelines.h informed, before and after batches are submitted
 *
 * So the queue waits for something a bit too early, and a signal is certain a bit too late.
 */
void pieces_account(struct call *call, uint32_t first, uint32_t end);
void pieces_account_result(struct call *call, uint32_t first, uint32_t end, VkResult result);

/* pieces_submit() - submit the call; @call has its first members, up to @unfinished, set */
VkResult pieces_submit(struct call *call);

#endif
