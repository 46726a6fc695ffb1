/* SPDX-License-Identifier: MIT */
/* The layer's clock. */
#ifndef LAYER_CLOCK_H
#define LAYER_CLOCK_H

#include <stdint.h>
#include <time.h>

/* now_ns() - CLOCK_MONOTONIC; any thread */
static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

#endif
