/* SPDX-License-Identifier: MIT */
/*
 * How much memory of each heap of each virtual GPU this process has allocated, over all its instances
 * and devices; and whether it may have more.
 *
 * What is in VRAM and what isn't is the kernel's decision from one moment to the next. What an
 * application may have is not: all that it has must fit into VRAM and GTT together, what has to be in
 * GTT into GTT.
 *
 * Imports count where they were allocated.
 */
#ifndef LAYER_USAGE_H
#define LAYER_USAGE_H

#include <stdbool.h>
#include <stdint.h>

/* Heaps, and types of memory: each heap has one type, of the same number. */
enum usage_heap { USAGE_HEAP_VRAM, USAGE_HEAP_GTT, USAGE_HEAP_COUNT };

/*
 * usage_add() - count an allocation, if it may be made
 * @gpu: which virtual GPU: its device_index, which stays what it is when others come and go
 * @heap_sizes: how large the heaps are
 *
 * Thread-safe, as the others here.
 *
 * Return: false: there would be too much; nothing is counted then.
 */
bool usage_add(uint32_t gpu, enum usage_heap heap, uint64_t size,
	       const uint64_t heap_sizes[USAGE_HEAP_COUNT]);

/* usage_remove() - undo usage_add() */
void usage_remove(uint32_t gpu, enum usage_heap heap, uint64_t size);

/* Return: bytes that are counted now. */
uint64_t usage_of(uint32_t gpu, enum usage_heap heap);

#endif
