// SPDX-License-Identifier: MIT
/* Owns the account of what this process has allocated on each virtual GPU; see usage.h. */
#include <pthread.h>
#include <string.h>

#include "usage.h"

/* More than the kernel module ever makes. */
#define MAX_GPUS 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_handlers = PTHREAD_ONCE_INIT;
static uint64_t used[MAX_GPUS][USAGE_HEAP_COUNT];

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/* A child has none of its parent's memory objects. */
static void in_child(void)
{
	memset(used, 0, sizeof(used));
	pthread_mutex_unlock(&lock);
}

static void add_fork_handlers(void)
{
	pthread_atfork(before_fork, in_parent, in_child);
}

static bool fits(const uint64_t *already, enum usage_heap heap, uint64_t size,
		 const uint64_t heap_sizes[USAGE_HEAP_COUNT])
{
	uint64_t total = heap_sizes[USAGE_HEAP_VRAM] + heap_sizes[USAGE_HEAP_GTT];
	uint64_t before = already[USAGE_HEAP_VRAM] + already[USAGE_HEAP_GTT];

	if (before > total || size > total - before)
		return false;
	if (heap == USAGE_HEAP_VRAM)
		return true;
	return already[heap] <= heap_sizes[heap] && size <= heap_sizes[heap] - already[heap];
}

bool usage_add(uint32_t gpu, enum usage_heap heap, uint64_t size,
	       const uint64_t heap_sizes[USAGE_HEAP_COUNT])
{
	bool ok;

	if (gpu >= MAX_GPUS)
		return false;
	pthread_once(&fork_handlers, add_fork_handlers);
	pthread_mutex_lock(&lock);
	ok = fits(used[gpu], heap, size, heap_sizes);
	if (ok)
		used[gpu][heap] += size;
	pthread_mutex_unlock(&lock);
	return ok;
}

void usage_remove(uint32_t gpu, enum usage_heap heap, uint64_t size)
{
	pthread_mutex_lock(&lock);
	/* a child that frees its parent's objects has nothing to take back */
	used[gpu][heap] -= size < used[gpu][heap] ? size : used[gpu][heap];
	pthread_mutex_unlock(&lock);
}

uint64_t usage_of(uint32_t gpu, enum usage_heap heap)
{
	uint64_t size;

	if (gpu >= MAX_GPUS)
		return 0;
	pthread_mutex_lock(&lock);
	size = used[gpu][heap];
	pthread_mutex_unlock(&lock);
	return size;
}
