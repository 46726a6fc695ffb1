/* SPDX-License-Identifier: MIT */
/*
 * How much memory of each heap of a virtual GPU this process has the use of at the moment, over all
 * its devices. Unlike what is allocated (usage.h) it changes with every eviction.
 */
#ifndef LAYER_RESIDENT_H
#define LAYER_RESIDENT_H

#include <stdint.h>

#include "usage.h"

/* A device's file; part of what it belongs to, which is where it is until it is removed. */
struct resident_file {
	struct resident_file *next;
	/* The virtual GPU's device_index. */
	uint32_t gpu;
	int fd;
};

/* All are thread-safe. */
void resident_add(struct resident_file *file);
void resident_remove(struct resident_file *file);

/*
 * resident_of() - ask the kernel, through /proc/self/fdinfo
 * @bytes: what lies in each heap
 *
 * What several files have in common counts for each of them.
 *
 * Return: 0, or a negative errno: it can't be found out.
 */
int resident_of(uint32_t gpu, uint64_t bytes[USAGE_HEAP_COUNT]);

#endif
