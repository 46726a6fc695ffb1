// SPDX-License-Identifier: MIT
/*
 * Owns the account of timeline semaphores.
 *
 * A value is certain if the semaphore has reached it, if the host has signalled it, or if a batch
 * that signals at least it has been submitted to a queue on which everything up to that batch
 * is certain. What isn't certain yet is asked again when somebody wants to know: the answer only ever
 * changes from no to yes, save that a semaphore's payload is replaced by an import.
 */
#include "timelines.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "late.h"
#include "submit.h"
#include "track.h"

/* A signal that was submitted while its queue had unresolved waits. */
struct signal {
	struct timeline_queue *queue;
	uint64_t position;
	uint64_t value;
};

struct timeline {
	VkSemaphore handle;
	/* The highest value that is certain; grows without the lock, too. */
	_Atomic(uint64_t) certain;
	struct signal *signals;
	/* Changed under the lock. */
	atomic_uint count;
	uint32_t capacity;
};

/* A wait for a timeline's value. */
struct unresolved {
	uint64_t position;
	struct timeline *timeline;
	uint64_t value;
};

/* A call that waits for the host. */
struct host_watch {
	/* Submitted behind it; VK_NULL_HANDLE: not yet. */
	VkFence fence;
	struct host_watch *next;
};

struct semaphores_device {
	/*
	 * Protects all timelines and all queues' accounts. Usually it isn't taken: who waits for what is
	 * certain changes nothing, and a queue that waits for nothing else makes signals certain.
	 */
	pthread_mutex_t lock;
	/* The sum of all queues' num_host; changed under the lock. */
	atomic_uint num_host;
	/* VkSemaphore -> struct timeline */
	struct table timelines;
};

/* Return: an array with room for one more, or NULL: no memory, @array is as before. */
static void *grow(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
	uint32_t wanted = *capacity ? 2 * *capacity : 4;
	void *larger;

	if (count < *capacity)
		return array;
	larger = realloc(array, wanted * size);
	if (larger)
		*capacity = wanted;
	return larger;
}

static struct timeline *timeline_find(const struct layer_device *device, VkSemaphore semaphore)
{
	return table_get(&device->semaphores->timelines, table_key(semaphore));
}

static uint64_t counter_value(struct layer_device *device, VkSemaphore semaphore)
{
	uint64_t value = 0;

	if (device->next.GetSemaphoreCounterValue)
		device->next.GetSemaphoreCounterValue(device->handle, semaphore, &value);
	else if (device->next.GetSemaphoreCounterValueKHR)
		device->next.GetSemaphoreCounterValueKHR(device->handle, semaphore, &value);
	return value;
}

/* ---- Certainty; under the lock ---- */

static bool queue_clear(struct layer_device *device, struct timeline_queue *queue,
			uint64_t position);

static void make_certain(struct timeline *timeline, uint64_t value)
{
	uint64_t certain = atomic_load(&timeline->certain);

	while (certain < value &&
	       !atomic_compare_exchange_weak(&timeline->certain, &certain, value))
		;
}

static void timeline_reaches(struct timeline *timeline, uint64_t value)
{
	uint32_t i = 0;

	make_certain(timeline, value);
	while (i < timeline->count) {
		if (timeline->signals[i].value <= timeline->certain)
			timeline->signals[i] = timeline->signals[--timeline->count];
		else
			i++;
	}
}

static bool value_certain(struct layer_device *device, struct timeline *timeline, uint64_t value)
{
	uint32_t i = 0, count;
	struct signal signal;

	if (timeline->certain >= value)
		return true;
	while (i < timeline->count) {
		/* a copy: what is asked next may ask for this timeline, and remove signals */
		signal = timeline->signals[i];
		count = timeline->count;
		if (signal.value >= value && queue_clear(device, signal.queue, signal.position)) {
			timeline_reaches(timeline, signal.value);
			return true;
		}
		/* those that are left have other places then */
		i = timeline->count == count ? i + 1 : 0;
	}
	timeline_reaches(timeline, counter_value(device, timeline->handle));
	return timeline->certain >= value;
}

static bool queue_clear(struct layer_device *device, struct timeline_queue *queue,
			uint64_t position)
{
	const struct unresolved *wait;
	bool clear = !queue->unknown;
	uint32_t over = 0;

	if (queue->visited)
		return false;
	queue->visited = true;
	while (clear && over < queue->count && queue->unresolved[over].position <= position) {
		wait = &queue->unresolved[over];
		clear = value_certain(device, wait->timeline, wait->value);
		over += clear;
	}
	queue->visited = false;
	if (over) {
		memmove(queue->unresolved, queue->unresolved + over,
			(queue->count - over) * sizeof(*queue->unresolved));
		queue->count -= over;
	}
	return clear;
}

static void add_unresolved(struct layer_device *device, struct timeline_queue *queue,
			   const struct unresolved *wait)
{
	struct unresolved *array;

	/* nobody may ever ask whether a queue is clear that releases and signals nothing */
	if (queue->count == queue->capacity)
		queue_clear(device, queue, queue->position);
	array = grow(queue->unresolved, queue->count, &queue->capacity, sizeof(*array));
	if (!array) {
		queue->unknown = wait->position;
		return;
	}
	queue->unresolved = array;
	array[queue->count++] = *wait;
}

/* ---- Submissions ---- */

void timelines_wait(struct layer_device *device, struct timeline_queue *queue, uint64_t position,
		    VkSemaphore semaphore, uint64_t value)
{
	struct semaphores_device *semaphores = device->semaphores;
	struct timeline *timeline = timeline_find(device, semaphore);

	if (!timeline || timeline->certain >= value)
		return;
	/* the driver is asked by who wants to know */
	pthread_mutex_lock(&semaphores->lock);
	add_unresolved(
		device, queue,
		&(struct unresolved){.position = position, .timeline = timeline, .value = value});
	pthread_mutex_unlock(&semaphores->lock);
}

void timelines_signal(struct layer_device *device, struct timeline_queue *queue, uint64_t position,
		      VkSemaphore semaphore, uint64_t value)
{
	struct semaphores_device *semaphores = device->semaphores;
	struct timeline *timeline = timeline_find(device, semaphore);
	struct signal *signals;

	if (!timeline)
		return;
	if (!queue->count && !queue->unknown && !timeline->count) {
		make_certain(timeline, value);
		return;
	}
	pthread_mutex_lock(&semaphores->lock);
	if (queue_clear(device, queue, position)) {
		timeline_reaches(timeline, value);
	} else {
		/* without memory it is found out when the semaphore has reached the value */
		signals = grow(timeline->signals, timeline->count, &timeline->capacity,
			       sizeof(*signals));
		if (signals) {
			timeline->signals = signals;
			signals[timeline->count++] = (struct signal){queue, position, value};
		}
	}
	pthread_mutex_unlock(&semaphores->lock);
}

void timelines_revoke(struct layer_device *device, struct timeline_queue *queue, uint64_t position)
{
	pthread_mutex_lock(&device->semaphores->lock);
	while (queue->count && queue->unresolved[queue->count - 1].position >= position)
		queue->count--;
	pthread_mutex_unlock(&device->semaphores->lock);
}

bool timelines_clear(struct layer_device *device, struct timeline_queue *queue, uint64_t position)
{
	bool clear;

	/* the worker has to ask with the lock */
	pthread_mutex_lock(&device->semaphores->lock);
	clear = queue_clear(device, queue, position);
	pthread_mutex_unlock(&device->semaphores->lock);
	return clear;
}

/* ---- Waits for the host ---- */

/* Under the lock. */
static bool watch_is_over(struct layer_device *device, const struct host_watch *watch)
{
	return watch->fence &&
	       device->below[LAYER_MODULE_SUBMIT].GetFenceStatus(device->handle, watch->fence) !=
		       VK_NOT_READY;
}

/* Under the lock. @all: they are over, all of them. */
static void look_at_host(struct layer_device *device, struct timeline_queue *queue, bool all)
{
	struct host_watch **link = &queue->host_watches, *watch;
	uint32_t before = queue->num_host;

	while ((watch = *link)) {
		if (!all && !watch_is_over(device, watch)) {
			link = &watch->next;
			continue;
		}
		*link = watch->next;
		device->next.DestroyFence(device->handle, watch->fence, NULL);
		free(watch);
		queue->num_host--;
	}
	if (all)
		queue->num_host = 0;
	device->semaphores->num_host -= before - queue->num_host;
}

struct host_watch *timelines_host_begin(struct layer_device *device, struct timeline_queue *queue)
{
	struct host_watch *watch = calloc(1, sizeof(*watch));

	pthread_mutex_lock(&device->semaphores->lock);
	look_at_host(device, queue, false);
	if (watch) {
		watch->next = queue->host_watches;
		queue->host_watches = watch;
	}
	queue->num_host++;
	device->semaphores->num_host++;
	pthread_mutex_unlock(&device->semaphores->lock);
	return watch;
}

void timelines_host_watch(struct layer_device *device, struct host_watch *watch, VkFence fence)
{
	pthread_mutex_lock(&device->semaphores->lock);
	watch->fence = fence;
	pthread_mutex_unlock(&device->semaphores->lock);
}

void timelines_host_revoke(struct layer_device *device, struct timeline_queue *queue,
			   struct host_watch *watch)
{
	struct host_watch **link;

	pthread_mutex_lock(&device->semaphores->lock);
	for (link = &queue->host_watches; *link && *link != watch; link = &(*link)->next)
		;
	if (watch)
		*link = watch->next;
	queue->num_host--;
	device->semaphores->num_host--;
	pthread_mutex_unlock(&device->semaphores->lock);
	free(watch);
}

bool timelines_host(struct layer_device *device)
{
	uint32_t i;

	if (!device->semaphores->num_host)
		return false;
	pthread_mutex_lock(&device->semaphores->lock);
	for (i = 0; i < device->queue_count; i++)
		look_at_host(device, &device->queues[i].submit->timelines, false);
	pthread_mutex_unlock(&device->semaphores->lock);
	return device->semaphores->num_host;
}

/* ---- Queues ---- */

void timelines_idle(struct layer_device *device, struct timeline_queue *queue, uint64_t position)
{
	uint32_t over = 0;

	if (!queue->count && !queue->unknown && !device->semaphores->num_host)
		return;
	pthread_mutex_lock(&device->semaphores->lock);
	while (over < queue->count && queue->unresolved[over].position <= position)
		over++;
	memmove(queue->unresolved, queue->unresolved + over,
		(queue->count - over) * sizeof(*queue->unresolved));
	queue->count -= over;
	if (queue->unknown <= position)
		queue->unknown = 0;
	look_at_host(device, queue, true);
	pthread_mutex_unlock(&device->semaphores->lock);
}

void timelines_queue_fini(struct layer_device *device, struct timeline_queue *queue)
{
	look_at_host(device, queue, true);
	free(queue->unresolved);
	*queue = (struct timeline_queue){0};
}

/* ---- Life of a timeline semaphore ---- */

static void timeline_forget_waits(struct timeline_queue *queue, const struct timeline *timeline)
{
	uint32_t i, kept = 0;

	for (i = 0; i < queue->count; i++) {
		if (queue->unresolved[i].timeline != timeline)
			queue->unresolved[kept++] = queue->unresolved[i];
	}
	queue->count = kept;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_semaphore(VkDevice handle,
						       const VkSemaphoreCreateInfo *info,
						       const VkAllocationCallbacks *allocator,
						       VkSemaphore *semaphore)
{
	struct layer_device *device = layer_device_of(handle);
	const VkSemaphoreTypeCreateInfo *type =
		layer_find_struct(info->pNext, VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO);
	struct timeline *timeline = NULL;
	VkResult result;

	if (type && type->semaphoreType == VK_SEMAPHORE_TYPE_TIMELINE) {
		timeline = calloc(1, sizeof(*timeline));
		if (!timeline)
			return VK_ERROR_OUT_OF_HOST_MEMORY;
		timeline->certain = type->initialValue;
	}
	result = device->below[LAYER_MODULE_SEMAPHORES].CreateSemaphore(handle, info, allocator,
									semaphore);
	if (result != VK_SUCCESS || !timeline)
		goto free_timeline;
	timeline->handle = *semaphore;
	if (!table_put(&device->semaphores->timelines, table_key(*semaphore), timeline)) {
		device->below[LAYER_MODULE_SEMAPHORES].DestroySemaphore(handle, *semaphore,
									allocator);
		*semaphore = VK_NULL_HANDLE;
		result = VK_ERROR_OUT_OF_HOST_MEMORY;
		goto free_timeline;
	}
	atomic_fetch_add(&device->track->attention, TRACK_TIMELINE);
	return VK_SUCCESS;

free_timeline:
	free(timeline);
	return result;
}

static VKAPI_ATTR void VKAPI_CALL destroy_semaphore(VkDevice handle, VkSemaphore semaphore,
						    const VkAllocationCallbacks *allocator)
{
	struct layer_device *device = layer_device_of(handle);
	struct semaphores_device *semaphores = device->semaphores;
	struct timeline *timeline = NULL;
	uint32_t i;

	if (semaphore && timeline_find(device, semaphore)) {
		pthread_mutex_lock(&semaphores->lock);
		timeline = table_remove(&semaphores->timelines, table_key(semaphore));
		/* what waited for it is over, or its owner couldn't destroy it */
		for (i = 0; i < device->queue_count; i++)
			timeline_forget_waits(&device->queues[i].submit->timelines, timeline);
		pthread_mutex_unlock(&semaphores->lock);
	}
	if (timeline) {
		atomic_fetch_sub(&device->track->attention, TRACK_TIMELINE);
		free(timeline->signals);
		free(timeline);
	}
	device->below[LAYER_MODULE_SEMAPHORES].DestroySemaphore(handle, semaphore, allocator);
}

static void host_signals(struct layer_device *device, const VkSemaphoreSignalInfo *info)
{
	struct timeline *timeline;

	pthread_mutex_lock(&device->semaphores->lock);
	timeline = timeline_find(device, info->semaphore);
	if (timeline)
		timeline_reaches(timeline, info->value);
	pthread_mutex_unlock(&device->semaphores->lock);
	late_retry(device);
}

static VKAPI_ATTR VkResult VKAPI_CALL signal_semaphore(VkDevice handle,
						       const VkSemaphoreSignalInfo *info)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result = device->below[LAYER_MODULE_SEMAPHORES].SignalSemaphore(handle, info);

	if (result == VK_SUCCESS)
		host_signals(device, info);
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL signal_semaphore_khr(VkDevice handle,
							   const VkSemaphoreSignalInfo *info)
{
	struct layer_device *device = layer_device_of(handle);
	VkResult result = device->below[LAYER_MODULE_SEMAPHORES].SignalSemaphoreKHR(handle, info);

	if (result == VK_SUCCESS)
		host_signals(device, info);
	return result;
}

/* Under the lock. What waited for the old payload is over, or it couldn't be replaced. */
static void forget_payload(struct layer_device *device, struct timeline *timeline)
{
	uint32_t i;

	timeline->certain = 0;
	timeline->count = 0;
	for (i = 0; i < device->queue_count; i++)
		timeline_forget_waits(&device->queues[i].submit->timelines, timeline);
}

/*
 * The semaphore now is somebody else's: what was certain of it was of its old payload. Meanwhile nobody else of
 * the layer may use it.
 */
static VKAPI_ATTR VkResult VKAPI_CALL import_semaphore_fd(VkDevice handle,
							  const VkImportSemaphoreFdInfoKHR *info)
{
	struct layer_device *device = layer_device_of(handle);
	struct timeline *timeline = timeline_find(device, info->semaphore);
	VkResult result;

	if (!timeline)
		return device->below[LAYER_MODULE_SEMAPHORES].ImportSemaphoreFdKHR(handle, info);
	pthread_mutex_lock(&device->semaphores->lock);
	result = device->below[LAYER_MODULE_SEMAPHORES].ImportSemaphoreFdKHR(handle, info);
	if (result == VK_SUCCESS)
		forget_payload(device, timeline);
	pthread_mutex_unlock(&device->semaphores->lock);
	return result;
}

/* ---- The module ---- */

static VkResult device_create(struct layer_device *device,
			      const struct layer_device_request *request)
{
	(void)request;
	if (!track_wanted(device))
		return VK_SUCCESS;
	device->semaphores = calloc(1, sizeof(*device->semaphores));
	if (!device->semaphores)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	pthread_mutex_init(&device->semaphores->lock, NULL);
	return VK_SUCCESS;
}

static void forget_timeline(uint64_t key, void *value, void *data)
{
	struct timeline *timeline = value;

	(void)key;
	(void)data;
	free(timeline->signals);
	free(timeline);
}

static void device_destroy(struct layer_device *device)
{
	struct semaphores_device *semaphores = device->semaphores;

	if (!semaphores)
		return;
	table_for_each(&semaphores->timelines, forget_timeline, NULL);
	table_fini(&semaphores->timelines);
	pthread_mutex_destroy(&semaphores->lock);
	free(semaphores);
	device->semaphores = NULL;
}

static const struct layer_entry entries[] = {
	DEVICE_ENTRY(CreateSemaphore, create_semaphore, track_wanted),
	DEVICE_ENTRY(DestroySemaphore, destroy_semaphore, track_wanted),
	DEVICE_ENTRY(SignalSemaphore, signal_semaphore, track_wanted),
	DEVICE_ENTRY(SignalSemaphoreKHR, signal_semaphore_khr, track_wanted),
	DEVICE_ENTRY(ImportSemaphoreFdKHR, import_semaphore_fd, track_wanted),
	{0},
};

const struct layer_module semaphores_module = {
	.name = "semaphores",
	.device_entries = entries,
	.device_create = device_create,
	.device_destroy = device_destroy,
};
