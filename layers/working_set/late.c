// SPDX-License-Identifier: MIT
/*
 * Owns the worker that exports releases which couldn't be exported when they were submitted.
 *
 * It sleeps until something is submitted or signalled by this process; a timeline that another
 * process signals doesn't tell, so while there's something to do it looks again and again, at growing
 * intervals. A release whose fence has signalled needs no export any more.
 */
#include "late.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "layer.h"
#include "submit.h"
#include "telemetry.h"

#define SHORTEST_INTERVAL_NS 1000000L
#define LONGEST_INTERVAL_NS  32000000L

struct late_worker {
	pthread_mutex_t lock;
	/* Something for the worker to look at. */
	pthread_cond_t wake;
	/* The worker has finished a release. */
	pthread_cond_t finished;
	pthread_t thread;
	bool running;
	bool stop;
	bool retry;
	/* The worker's alone but for additions at the head. */
	struct late_release *releases;
	/* How many; read without the lock. */
	atomic_uint count;
};

static void release_free(struct layer_device *device, struct late_release *release)
{
	semaphore_list_destroy(device, &release->semaphores);
	device->next.DestroyFence(device->handle, release->fence, NULL);
	track_uses_fini(device, &release->uses);
	free(release);
}

/* Exports a release if that's possible by now. Return: whether it's over, so that all in it can go. */
static bool release_look(struct layer_device *device, struct late_release *release)
{
	int sync_file;

	if (device->below[LAYER_MODULE_SUBMIT].GetFenceStatus(device->handle, release->fence) !=
	    VK_NOT_READY) {
		if (release->uses.count)
			submit_publish(device, &release->uses, -1);
		return true;
	}
	if (!release->uses.count ||
	    !timelines_clear(device, &release->queue->timelines, release->position))
		return false;
	if (submit_export(device, release->semaphores.items, release->semaphores.count,
			  &sync_file)) {
		submit_publish(device, &release->uses, sync_file);
		if (sync_file >= 0)
			close(sync_file);
	} else if (atomic_load(&device->submit->can_export) && release->semaphores.count == 1) {
		/* no descriptor or no memory was left: there may be one the next time */
		return false;
	}
	/* published; the rest stays until the semaphores are no longer in use */
	track_uses_clear(device, &release->uses);
	return false;
}

static void sleep_until_woken(struct late_worker *worker, long interval)
{
	struct timespec until;

	if (!worker->releases) {
		pthread_cond_wait(&worker->wake, &worker->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += interval;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_cond_timedwait(&worker->wake, &worker->lock, &until);
}

/* Under the lock, which is dropped meanwhile: others add at the head, nobody else removes. */
static void look_at_all(struct layer_device *device)
{
	struct late_worker *worker = device->submit->late;
	struct late_release *release = worker->releases, *next, **link;
	bool over;

	for (; release; release = next) {
		pthread_mutex_unlock(&worker->lock);
		over = release_look(device, release);
		pthread_mutex_lock(&worker->lock);
		next = release->next;
		if (!over)
			continue;
		for (link = &worker->releases; *link != release; link = &(*link)->next)
			;
		*link = next;
		release->queue->num_late--;
		atomic_fetch_sub(&worker->count, 1);
		pthread_cond_broadcast(&worker->finished);
		release_free(device, release);
	}
}

static void *work(void *argument)
{
	struct layer_device *device = argument;
	struct late_worker *worker = device->submit->late;
	long interval = SHORTEST_INTERVAL_NS;

	pthread_mutex_lock(&worker->lock);
	while (!worker->stop) {
		if (!worker->retry)
			sleep_until_woken(worker, interval);
		interval = worker->retry ? SHORTEST_INTERVAL_NS : 2 * interval;
		if (interval > LONGEST_INTERVAL_NS)
			interval = LONGEST_INTERVAL_NS;
		worker->retry = false;
		look_at_all(device);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* The application's signals are none of the worker's business. */
static bool start(struct layer_device *device)
{
	struct late_worker *worker = device->submit->late;
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&worker->thread, NULL, work, device);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error)
		return false;
	pthread_setname_np(worker->thread, "drover-release");
	return true;
}

/* Under the lock. Without a thread the releases wait for the next attempt, or for the device's end. */
static void retry(struct layer_device *device)
{
	struct late_worker *worker = device->submit->late;

	worker->retry = true;
	if (!worker->running)
		worker->running = start(device);
	pthread_cond_signal(&worker->wake);
}

void late_add(struct layer_device *device, struct late_release *release)
{
	struct late_worker *worker = device->submit->late;

	pthread_mutex_lock(&worker->lock);
	release->next = worker->releases;
	worker->releases = release;
	release->queue->num_late++;
	atomic_fetch_add(&worker->count, 1);
	retry(device);
	pthread_mutex_unlock(&worker->lock);
}

void late_retry(struct layer_device *device)
{
	struct late_worker *worker = device->submit->late;

	if (!atomic_load(&worker->count))
		return;
	pthread_mutex_lock(&worker->lock);
	retry(device);
	pthread_mutex_unlock(&worker->lock);
}

void late_flush(struct layer_device *device, struct submit_queue *queue)
{
	struct late_worker *worker = device->submit->late;

	if (!atomic_load_explicit(&worker->count, memory_order_relaxed))
		return;
	pthread_mutex_lock(&worker->lock);
	while (queue->num_late) {
		retry(device);
		if (!worker->running)
			break;
		pthread_cond_wait(&worker->finished, &worker->lock);
	}
	pthread_mutex_unlock(&worker->lock);
}

bool late_init(struct layer_device *device)
{
	struct late_worker *worker = calloc(1, sizeof(*worker));
	pthread_condattr_t monotonic;

	if (!worker)
		return false;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&worker->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_cond_init(&worker->finished, NULL);
	pthread_mutex_init(&worker->lock, NULL);
	device->submit->late = worker;
	return true;
}

void late_fini(struct layer_device *device)
{
	struct late_worker *worker = device->submit->late;
	struct late_release *release;

	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->stop = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
	if (worker->running)
		pthread_join(worker->thread, NULL);
	while ((release = worker->releases)) {
		worker->releases = release->next;
		release_free(device, release);
	}
	pthread_cond_destroy(&worker->finished);
	pthread_cond_destroy(&worker->wake);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
	device->submit->late = NULL;
}
