// SPDX-License-Identifier: MIT
/*
 * Owns the way of a submission through the layer. A call is cut behind each batch that releases,
 * because the release has to be visible to others before the next batch runs; the pieces go
 * down in order, the last one with the application's fence.
 *
 * Releases are published in one of two ways:
 * - as a sync file, where the driver exports one without waiting. If the batch depends on something
 *   that isn't submitted yet, a worker does it later (late.h).
 * - by waiting: the CPU waits until the batch is over, and then there is nothing to publish. That
 *   is for drivers without sync files, and for lavapipe, whose export waits for the whole device
 *   and isn't safe from several devices at once. If the batch depends on something that isn't
 *   submitted yet, waiting could be for ever: it isn't done, and that's counted.
 */
#include "pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <drover/drover.h>

#include "batches.h"
#include "bridge.h"
#include "commands.h"
#include "late.h"
#include "layer.h"
#include "submit.h"
#include "telemetry.h"

/* ---- Pieces ---- */

static bool gather_room(struct call *call)
{
	struct submit_queue *queue = call->queue;
	size_t needed = (call->gathered + 1) * call->format->size;
	size_t capacity = 2 * needed + 16 * call->format->size;
	void *batches;

	if (needed <= queue->capacity)
		return true;
	batches = realloc(queue->batches, capacity);
	if (!batches)
		return false;
	queue->batches = batches;
	queue->capacity = capacity;
	return true;
}

static void *gather_slot(struct call *call)
{
	return (char *)call->queue->batches + call->gathered++ * call->format->size;
}

/* Return: false: no memory. */
static bool gather_application(struct call *call)
{
	if (!gather_room(call))
		return false;
	memcpy(gather_slot(call), pieces_batch(call, call->next), call->format->size);
	call->next++;
	return true;
}

/* Return: with semaphores of its own; NULL: no memory, or the driver has none. */
static struct own_batch *own_batch_take(struct call *call)
{
	struct layer_device *device = call->device;
	struct submit_queue *queue = call->queue;
	struct own_batch *own = queue->idle;
	uint32_t i;

	if (own)
		queue->idle = own->next;
	else
		own = own_batch_new(device->group_size);
	if (!own)
		return NULL;
	for (i = 0; i < own->count; i++) {
		if (semaphores_take(device, &queue->semaphores,
				    atomic_load(&device->submit->can_export),
				    &own->semaphores[i]) != VK_SUCCESS)
			goto drop_semaphores;
	}
	return own;

drop_semaphores:
	while (i--)
		semaphores_drop(device, &queue->semaphores, own->semaphores[i]);
	own->next = queue->idle;
	queue->idle = own;
	return NULL;
}

static void own_batch_give_back(struct submit_queue *queue, struct own_batch *own)
{
	own->next = queue->idle;
	queue->idle = own;
}

static void own_batch_used(struct call *call, struct own_batch *own)
{
	uint32_t i;

	for (i = 0; i < own->count; i++)
		semaphores_used(&call->queue->semaphores, own->semaphores[i]);
	own_batch_give_back(call->queue, own);
}

static void own_batch_drop(struct call *call, struct own_batch *own)
{
	uint32_t i;

	for (i = 0; i < own->count; i++)
		semaphores_drop(call->device, &call->queue->semaphores, own->semaphores[i]);
	own_batch_give_back(call->queue, own);
}

static void own_batch_lose(struct call *call, struct own_batch *own)
{
	uint32_t i;

	for (i = 0; i < own->count; i++)
		semaphores_lose(&call->queue->semaphores, own->semaphores[i]);
	own_batch_give_back(call->queue, own);
}

void pieces_account(struct call *call, uint32_t first, uint32_t end)
{
	struct timeline_queue *queue = &call->queue->timelines;

	call->position = 0;
	/* without timelines nothing can be uncertain */
	if (!track_timelines(call->device))
		return;
	call->position = queue->position + 1;
	for (uint32_t i = first; i < end; i++)
		call->format->account_waits(call->device, queue, ++queue->position,
					    pieces_batch(call, i));
}

void pieces_account_result(struct call *call, uint32_t first, uint32_t end, VkResult result)
{
	struct timeline_queue *queue = &call->queue->timelines;

	if (result != VK_SUCCESS) {
		if (call->position)
			timelines_revoke(call->device, queue, call->position);
		return;
	}
	for (uint32_t i = first; i < end && call->position; i++)
		call->format->account_signals(call->device, queue, call->position + i - first,
					      pieces_batch(call, i));
	late_retry(call->device);
}

/* What is gathered is about to be submitted. */
static void account(struct call *call)
{
	if (!call->accounted)
		pieces_account(call, call->first, call->next);
	call->accounted = true;
}

/* Submits what is gathered. */
static VkResult flush(struct call *call, VkFence fence)
{
	struct own_batch *own;
	VkResult result;

	account(call);
	call->accounted = false;
	result = call->format->submit(call->device, call->handle, call->gathered,
				      call->queue->batches, fence);
	pieces_account_result(call, call->first, call->next, result);

	while ((own = call->queue->waiting)) {
		call->queue->waiting = own->next;
		if (result == VK_SUCCESS)
			own_batch_used(call, own);
		else
			own_batch_drop(call, own);
	}
	call->first = call->next;
	call->gathered = 0;
	if (fence == call->fence)
		call->fence = VK_NULL_HANDLE;
	call->unfinished = call->fence || call->next < call->count;
	call->begun |= result == VK_SUCCESS;
	return result;
}

/* ---- Acquire ---- */

/* There is no way to wait for others' work on it, or to let them wait. */
static void dmabuf_is_deaf(struct layer_device *device, struct track_use *use)
{
	atomic_store(&use->dmabuf->deaf, true);
	layer_log(&device->instance->log, LAYER_LOG_WARNING,
		  "a dma-buf has no implicit sync: this kernel, or its driver, knows no sync "
		  "files for it (Linux 6.0 or later does)");
}

/* Return: false: there was no descriptor or no memory for what the dma-buf's access has to wait for. */
static bool add_fences(struct layer_device *device, struct track_use *use, int *sync_file)
{
	int fd, ret;

	if (atomic_load(&use->dmabuf->deaf))
		return true;
	telemetry_count(device, TELEMETRY_ACQUIRES, 1);
	ret = drover_dmabuf_export_sync_file(use->dmabuf->fd, use->access, &fd);
	if (ret == -ENOTTY)
		dmabuf_is_deaf(device, use);
	if (ret)
		return ret == -ENOTTY;
	if (bridge_signalled(fd)) {
		close(fd);
		return true;
	}
	telemetry_fence(device, TELEMETRY_FENCE_ACQUIRE, fd, use);
	return !bridge_merge(sync_file, fd);
}

/* What is left without a file descriptor. */
static void wait_for_dmabufs(const struct track_uses *uses)
{
	uint32_t i;

	for (i = 0; i < uses->count; i++) {
		if (!atomic_load(&uses->items[i].dmabuf->deaf))
			drover_dmabuf_wait(uses->items[i].dmabuf->fd, uses->items[i].access, -1);
	}
}

/* Return: false: the driver can't wait for it; it's still open then. */
static bool import_sync_file(struct layer_device *device, const struct own_batch *own,
			     int sync_file)
{
	VkImportSemaphoreFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
		.flags = VK_SEMAPHORE_IMPORT_TEMPORARY_BIT,
		.handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	uint32_t i;

	for (i = 0; i < own->count; i++) {
		info.semaphore = own->semaphores[i];
		/* the driver takes it over; the last one may have the original */
		info.fd = i + 1 < own->count ? bridge_dup(sync_file) : sync_file;
		if (info.fd < 0)
			return false;
		if (device->next.ImportSemaphoreFdKHR(device->handle, &info) != VK_SUCCESS) {
			if (info.fd != sync_file)
				close(info.fd);
			return false;
		}
	}
	return true;
}

/* Return: false: it can't be done. Takes over the sync file if it can. */
static bool gather_wait(struct call *call, int sync_file)
{
	struct own_batch *own;

	if (!call->device->submit->can_import || !gather_room(call))
		return false;
	own = own_batch_take(call);
	if (!own)
		return false;
	if (!import_sync_file(call->device, own, sync_file)) {
		own_batch_drop(call, own);
		return false;
	}
	call->format->make(gather_slot(call), own, false);
	own->next = call->queue->waiting;
	call->queue->waiting = own;
	return true;
}

/* Makes the batches that are gathered next wait for the dma-bufs' fences. */
static VkResult acquire(struct call *call)
{
	struct track_uses *uses = &call->queue->acquired;
	struct layer_device *device = call->device;
	VkResult result = VK_SUCCESS;
	int sync_file = -1;
	bool all = true;
	uint64_t begin;
	uint32_t i;

	for (i = 0; i < uses->count; i++)
		all &= add_fences(device, &uses->items[i], &sync_file);
	if (all && (sync_file < 0 || gather_wait(call, sync_file)))
		return VK_SUCCESS;

	/* batches before this one needn't wait with the CPU, and it may be for them that it waits */
	if (call->gathered)
		result = flush(call, VK_NULL_HANDLE);
	begin = telemetry_begin(device);
	if (result == VK_SUCCESS && !all)
		wait_for_dmabufs(uses);
	else if (result == VK_SUCCESS)
		drover_sync_file_wait(sync_file, -1);
	telemetry_cpu_wait(device, TELEMETRY_FENCE_ACQUIRE, begin);
	if (sync_file >= 0)
		close(sync_file);
	return result;
}

/* ---- Release ---- */

void submit_publish(struct layer_device *device, const struct track_uses *uses, int sync_file)
{
	uint32_t i;
	int ret;

	for (i = 0; i < uses->count; i++) {
		struct track_use *use = &uses->items[i];

		if (sync_file < 0 || atomic_load(&use->dmabuf->deaf))
			continue;
		telemetry_fence(device, TELEMETRY_FENCE_RELEASE, sync_file, use);
		ret = drover_dmabuf_import_sync_file(use->dmabuf->fd, use->access, sync_file);
		if (ret == -ENOTTY)
			dmabuf_is_deaf(device, use);
		else if (ret)
			layer_log(&device->instance->log, LAYER_LOG_WARNING,
				  "others may use a dma-buf too early: the kernel refused a fence "
				  "for it (%s)",
				  strerror(-ret));
	}
}

/* Those that others could see at all. @late: for now, they can't. */
static void count_releases(const struct call *call, bool late)
{
	const struct track_uses *uses = &call->queue->released;
	uint32_t i, count = 0;

	for (i = 0; i < uses->count; i++)
		count += !atomic_load(&uses->items[i].dmabuf->deaf);
	telemetry_count(call->device, TELEMETRY_RELEASES, count);
	if (late)
		telemetry_count(call->device, TELEMETRY_LATE_RELEASES, count);
}

/* A lack of descriptors or memory passes. */
static bool is_lack(VkResult result)
{
	return result == VK_ERROR_TOO_MANY_OBJECTS || result == VK_ERROR_OUT_OF_HOST_MEMORY ||
	       result == VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

bool submit_export(struct layer_device *device, const VkSemaphore *semaphores, uint32_t count,
		   int *sync_file)
{
	VkSemaphoreGetFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_GET_FD_INFO_KHR,
		.handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT,
	};
	VkResult result = VK_SUCCESS;
	uint32_t i;
	int fd;

	*sync_file = -1;
	for (i = 0; i < count; i++) {
		info.semaphore = semaphores[i];
		fd = -1;
		result = device->next.GetSemaphoreFdKHR(device->handle, &info, &fd);
		if (result != VK_SUCCESS)
			goto fail;
		if (fd < 0)
			continue;
		/* what isn't a sync file may be anybody's, so it isn't closed */
		if (!bridge_is_sync_file(fd))
			goto fail;
		result = bridge_merge(sync_file, fd) ? VK_ERROR_TOO_MANY_OBJECTS : VK_SUCCESS;
		if (result != VK_SUCCESS)
			goto fail;
	}
	return true;

fail:
	if (*sync_file >= 0)
		close(*sync_file);
	*sync_file = -1;
	if (is_lack(result))
		return false;
	atomic_store(&device->submit->can_export, false);
	layer_log(&device->instance->log, LAYER_LOG_WARNING,
		  "the driver offers to export completions as sync files and can't: from now on, "
		  "submissions that release shared memory wait with the CPU");
	return false;
}

/*
 * Waits with the CPU until a fence, the last that was submitted to the queue, says that what was submitted
 * before is over. VK_TIMEOUT can't be. If the driver has no memory to wait for the fence, there is the queue.
 *
 * Return: VK_SUCCESS, VK_ERROR_DEVICE_LOST, or another error: it's in use for nobody knows how long.
 */
static VkResult wait_for_fence(struct call *call, VkFence fence)
{
	struct layer_device *device = call->device;
	uint64_t begin = telemetry_begin(device);
	VkResult result = device->below[LAYER_MODULE_SUBMIT].WaitForFences(
		device->handle, 1, &fence, VK_TRUE, UINT64_MAX);

	if (result != VK_SUCCESS && result != VK_ERROR_DEVICE_LOST)
		result = device->below[LAYER_MODULE_SUBMIT].QueueWaitIdle(call->handle);
	telemetry_cpu_wait(device, TELEMETRY_FENCE_RELEASE, begin);
	return result;
}

/* Whether a wait has failed. The application isn't told: its work has been submitted. */
static bool not_waited(struct call *call, VkResult result)
{
	if (result == VK_SUCCESS || result == VK_ERROR_DEVICE_LOST)
		return false;
	layer_log(&call->device->instance->log, LAYER_LOG_WARNING,
		  "others may use shared memory too early: the driver could neither export a "
		  "completion nor be waited for (VkResult %d)",
		  result);
	return true;
}

static bool is_clear(struct call *call)
{
	return timelines_clear(call->device, &call->queue->timelines,
			       call->queue->timelines.position);
}

/* Whether the CPU may wait for what is gathered or submitted: nothing that ends it is still to come. */
static bool may_wait(struct call *call)
{
	return is_clear(call) && !timelines_host(call->device);
}

static VkResult release_by_waiting(struct call *call)
{
	struct semaphore_pool *semaphores = &call->queue->semaphores;
	bool last = call->next == call->count, own = !last || !call->fence;
	VkResult result, waited = VK_SUCCESS;
	VkFence fence = call->fence;

	if (own) {
		result = semaphores_take_fence(call->device, semaphores, &fence);
		if (result != VK_SUCCESS)
			return result;
	}
	account(call);
	if (!may_wait(call)) {
		if (own)
			semaphores_give_back_fence(call->device, semaphores, fence);
		result = flush(call, own ? VK_NULL_HANDLE : fence);
		if (result == VK_SUCCESS)
			count_releases(call, true);
		return result;
	}
	result = flush(call, fence);
	if (result == VK_SUCCESS) {
		count_releases(call, false);
		waited = wait_for_fence(call, fence);
	}
	/* if it's in use for nobody knows how long, it's lost */
	if (own && !not_waited(call, waited))
		semaphores_give_back_fence(call->device, semaphores, fence);
	return waited == VK_ERROR_DEVICE_LOST ? waited : result;
}

/*
 * Leaves the release to the worker, with its semaphores. Without memory nobody does it, and the semaphores, which nobody
 * may use again, are lost.
 */
static void release_late(struct call *call, struct own_batch *own)
{
	struct submit_queue *queue = call->queue;
	struct late_release *release = calloc(1, sizeof(*release));

	if (!release)
		goto lose_semaphores;
	release->queue = queue;
	release->position = queue->timelines.position;
	release->semaphores.items = malloc(own->count * sizeof(*release->semaphores.items));
	if (!release->semaphores.items)
		goto free_release;
	if (semaphores_take_fence(call->device, &queue->semaphores, &release->fence) != VK_SUCCESS)
		goto free_semaphores;
	if (call->device->below[LAYER_MODULE_SUBMIT].QueueSubmit(call->handle, 0, NULL,
								 release->fence) != VK_SUCCESS)
		goto give_back_fence;
	semaphores_move(&queue->semaphores, own->semaphores, own->count, &release->semaphores);
	own_batch_give_back(queue, own);
	/* the worker's from here on, and a new array for the next batch */
	release->uses = queue->released;
	queue->released = (struct track_uses){0};
	late_add(call->device, release);
	return;

give_back_fence:
	semaphores_give_back_fence(call->device, &queue->semaphores, release->fence);
free_semaphores:
	free(release->semaphores.items);
free_release:
	free(release);
lose_semaphores:
	own_batch_lose(call, own);
}

/*
 * The export has failed: what was submitted is waited for after all, if nothing that ends it is still to come.
 *
 * Return: false: the work may go on.
 */
static bool wait_instead(struct call *call, VkResult *result)
{
	struct layer_device *device = call->device;
	VkResult waited;
	VkFence fence;
	bool pending;

	*result = VK_SUCCESS;
	if (!may_wait(call))
		return false;
	waited = semaphores_take_fence(device, &call->queue->semaphores, &fence);
	if (waited == VK_SUCCESS) {
		waited = device->below[LAYER_MODULE_SUBMIT].QueueSubmit(call->handle, 0, NULL,
									fence);
		pending = waited == VK_SUCCESS;
		if (pending) {
			waited = wait_for_fence(call, fence);
			pending = waited != VK_SUCCESS && waited != VK_ERROR_DEVICE_LOST;
		}
		/* if it's in use for nobody knows how long, it's lost */
		if (!pending)
			semaphores_give_back_fence(device, &call->queue->semaphores, fence);
	}
	if (waited == VK_ERROR_DEVICE_LOST)
		*result = waited;
	return !not_waited(call, waited);
}

static VkResult release_by_sync_file(struct call *call, struct own_batch *own)
{
	struct layer_device *device = call->device;
	bool last = call->next == call->count;
	VkResult result;
	int sync_file;

	call->format->make(gather_slot(call), own, true);
	result = flush(call, last ? call->fence : VK_NULL_HANDLE);
	if (result != VK_SUCCESS) {
		own_batch_drop(call, own);
		return result;
	}
	if (!is_clear(call)) {
		count_releases(call, true);
		release_late(call, own);
		return VK_SUCCESS;
	}
	count_releases(call, false);
	if (!submit_export(device, own->semaphores, own->count, &sync_file)) {
		if (wait_instead(call, &result))
			own_batch_drop(call, own);
		else
			own_batch_lose(call, own);
		return result;
	}
	submit_publish(device, &call->queue->released, sync_file);
	if (sync_file >= 0)
		close(sync_file);
	own_batch_used(call, own);
	return VK_SUCCESS;
}

/* Submits what is gathered, and lets others wait for it. */
static VkResult release(struct call *call)
{
	struct own_batch *own = NULL;

	if (atomic_load(&call->device->submit->can_export) && gather_room(call))
		own = own_batch_take(call);
	return own ? release_by_sync_file(call, own) : release_by_waiting(call);
}

/* ---- A call ---- */

/* Return: false: no memory. */
static bool add_recorded(struct call *call, const struct recorded *recorded)
{
	struct submit_queue *queue = call->queue;
	bool added = true;
	uint32_t i;

	for (i = 0; i < recorded->count && added; i++) {
		const struct transfer *transfer = &recorded->transfers[i];

		if (transfer->acquired)
			added = track_uses_add(call->device, &queue->acquired, transfer->memory,
					       transfer->acquired);
		if (transfer->released && added)
			added = track_uses_add(call->device, &queue->released, transfer->memory,
					       transfer->released);
	}
	if (recorded->everything && added)
		added = track_uses_add_bound(call->device, &queue->acquired) &&
			track_uses_add_bound(call->device, &queue->released);
	if (recorded->waits_for_host && !call->waits_for_host) {
		call->waits_for_host = true;
		call->host_watch = timelines_host_begin(call->device, &queue->timelines);
	}
	return added;
}

/*
 * Finds out what the next batch acquires and releases.
 *
 * Return: false: no memory.
 */
static bool look_at_batch(struct call *call)
{
	const void *batch = pieces_batch(call, call->next);
	uint32_t i, count = call->format->num_command_buffers(batch);
	struct layer_device *device = call->device;
	const struct recorded *recorded;

	if (call->next == call->first_at_work &&
	    !track_uses_add_bound(device, &call->queue->acquired))
		return false;
	if (call->next == call->last_at_work &&
	    !track_uses_add_bound(device, &call->queue->released))
		return false;
	for (i = 0; i < count; i++) {
		recorded = commands_recorded(device, call->format->command_buffer(batch, i));
		if (recorded && !add_recorded(call, recorded))
			return false;
	}
	return true;
}

static VkResult submit_batch(struct call *call)
{
	VkResult result = VK_SUCCESS;

	track_uses_clear(call->device, &call->queue->acquired);
	track_uses_clear(call->device, &call->queue->released);
	if (!look_at_batch(call))
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	if (call->queue->acquired.count)
		result = acquire(call);
	if (result != VK_SUCCESS)
		return result;
	if (!gather_application(call))
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	return call->queue->released.count ? release(call) : VK_SUCCESS;
}

/*
 * The host sets an event at some time, or never: whoever waits for this queue with the CPU, or for what its
 * work signals, may wait for ever, until a fence says that it's over.
 */
static void watch_host(struct call *call)
{
	struct layer_device *device = call->device;
	VkFence fence;

	if (!call->begun) {
		timelines_host_revoke(device, &call->queue->timelines, call->host_watch);
		return;
	}
	if (!call->host_watch)
		return;
	if (semaphores_take_fence(device, &call->queue->semaphores, &fence) != VK_SUCCESS)
		return;
	if (device->below[LAYER_MODULE_SUBMIT].QueueSubmit(call->handle, 0, NULL, fence) ==
	    VK_SUCCESS)
		timelines_host_watch(device, call->host_watch, fence);
	else
		semaphores_give_back_fence(device, &call->queue->semaphores, fence);
}

/* Finds the batches before and behind which all memory changes hands, if it does at every submission. */
static void find_batches_at_work(struct call *call)
{
	uint32_t i;

	call->first_at_work = UINT32_MAX;
	call->last_at_work = UINT32_MAX;
	if (call->device->instance->settings.implicit_sync != LAYER_IMPLICIT_SYNC_EVERY_SUBMIT)
		return;
	for (i = 0; i < call->count; i++) {
		if (!call->format->num_command_buffers(pieces_batch(call, i)))
			continue;
		if (call->first_at_work == UINT32_MAX)
			call->first_at_work = i;
		call->last_at_work = i;
	}
}

/* An error other than that says that nothing has happened, so that the application may try again. */
static VkResult half_done(struct call *call, VkResult result)
{
	if (result == VK_SUCCESS || result == VK_ERROR_DEVICE_LOST || !call->begun)
		return result;
	layer_log(&call->device->instance->log, LAYER_LOG_ERROR,
		  "a submission failed (VkResult %d) when the first of its batches had been "
		  "submitted: the device counts as lost",
		  result);
	return VK_ERROR_DEVICE_LOST;
}

VkResult pieces_submit(struct call *call)
{
	struct submit_queue *queue = call->queue;
	VkResult result = VK_SUCCESS;
	struct own_batch *own;

	find_batches_at_work(call);
	pthread_mutex_lock(&queue->lock);
	while (call->next < call->count && result == VK_SUCCESS)
		result = submit_batch(call);
	if (result == VK_SUCCESS && call->unfinished)
		result = flush(call, call->fence);
	/* what was gathered for a piece that didn't get so far */
	while ((own = queue->waiting)) {
		queue->waiting = own->next;
		own_batch_drop(call, own);
	}
	if (call->waits_for_host)
		watch_host(call);
	semaphores_retire(call->device, &queue->semaphores, call->handle);
	track_uses_clear(call->device, &queue->acquired);
	track_uses_clear(call->device, &queue->released);
	pthread_mutex_unlock(&queue->lock);
	return half_done(call, result);
}
