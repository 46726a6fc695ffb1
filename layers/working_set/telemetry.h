/* SPDX-License-Identifier: MIT */
/*
 * What the layer does and how long things take: the settings `trace_file` and `stats`. While neither is
 * set nothing is measured or counted, and the functions here cost a load.
 */
#ifndef LAYER_TELEMETRY_H
#define LAYER_TELEMETRY_H

#include <stdint.h>

#include "layer.h"
#include "track.h"

enum telemetry_counter {
	TELEMETRY_SUBMISSIONS,
	/* Memory objects that are dma-bufs. */
	TELEMETRY_IMPORTS,
	TELEMETRY_EXPORTS,
	/* dma-bufs acquired; those of them that were in use by others. */
	TELEMETRY_ACQUIRES,
	TELEMETRY_ACQUIRES_IN_USE,
	TELEMETRY_RELEASES,
	/* Releases of batches that waited for what wasn't submitted. */
	TELEMETRY_LATE_RELEASES,
	/* Waits of the CPU for an acquire or a release, and how long they took. */
	TELEMETRY_CPU_WAITS,
	TELEMETRY_CPU_WAIT_NS,
	/* Semaphores created. */
	TELEMETRY_SEMAPHORES,
	TELEMETRY_COUNTERS
};

/* What a fence is of. */
enum telemetry_fence {
	/* Others' work that an acquire waits for. */
	TELEMETRY_FENCE_ACQUIRE,
	/* Released work. */
	TELEMETRY_FENCE_RELEASE,
};

void telemetry_add(struct layer_device *device, enum telemetry_counter counter, uint64_t count);

static inline void telemetry_count(struct layer_device *device, enum telemetry_counter counter,
				   uint64_t count)
{
	if (device->telemetry)
		telemetry_add(device, counter, count);
}

/* telemetry_begin() - the time at which something begins; 0 if nobody wants to know */
uint64_t telemetry_begin(const struct layer_device *device);

/*
 * telemetry_cpu_wait() - the CPU has waited
 * @begin: telemetry_begin()'s
 */
void telemetry_cpu_wait(struct layer_device *device, enum telemetry_fence what, uint64_t begin);

/*
 * telemetry_fence() - a fence that hasn't signalled, perhaps
 * @sync_file: stays the caller's
 */
void telemetry_fence(struct layer_device *device, enum telemetry_fence what, int sync_file,
		     const struct track_use *use);

#endif
