/* SPDX-License-Identifier: MIT */
/*
 * Which GPU addresses of a VM are in use: where the next memory object is bound.
 *
 * Addresses are multiples of 4096, and of 2 MiB for what is that large, so that the CPU may map it
 * with large pages. After each range at least one page stays unused, so that an overrun is an
 * error instead of somebody else's data. A range that was given back isn't taken again before
 * ADDRESSES_REST others were given back, unless there is no other room: the sooner an address means
 * something else, the more silently a use after free does harm.
 */
#ifndef DROVER_LAYER_ADDRESSES_H
#define DROVER_LAYER_ADDRESSES_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESSES_PAGE       4096ull
#define ADDRESSES_LARGE_PAGE (2ull << 20)
#define ADDRESSES_REST       64

/** struct address_range - the addresses from @start on, before @end */
struct address_range {
	uint64_t start;
	uint64_t end;
};

/** struct addresses - what is free in a range of addresses; all functions are thread-safe */
struct addresses {
	pthread_mutex_t lock;
	struct address_range all;
	/* in order; no two touch each other */
	struct address_range *free;
	size_t num_free;
	size_t capacity;
	size_t num_taken;
	/* given back, the oldest at @first_resting */
	struct address_range resting[ADDRESSES_REST];
	size_t first_resting;
	size_t num_resting;
};

/**
 * addresses_init() - everything from @start to @end is free
 * @start: not zero, a multiple of 4096
 * @end: a multiple of 4096, beyond @start
 *
 * Return: 0 or -ENOMEM.
 */
int addresses_init(struct addresses *addresses, uint64_t start, uint64_t end);

/** addresses_destroy() - undo addresses_init(), whatever is still taken */
void addresses_destroy(struct addresses *addresses);

/**
 * addresses_take() - find room
 * @size: bytes, a multiple of 4096, not zero
 * @start: out
 *
 * Return: 0; -ENOSPC: no such room; -ENOMEM: no memory to keep account.
 */
int addresses_take(struct addresses *addresses, uint64_t size, uint64_t *start);

/**
 * addresses_give_back() - undo addresses_take(); can't fail
 * @size: as it was taken
 */
void addresses_give_back(struct addresses *addresses, uint64_t start, uint64_t size);

#endif
