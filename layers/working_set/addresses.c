// SPDX-License-Identifier: MIT
/* Owns the account of a VM's addresses; see addresses.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "addresses.h"

int addresses_init(struct addresses *addresses, uint64_t start, uint64_t end)
{
	*addresses = (struct addresses){.all = {start, end}, .num_free = 1, .capacity = 16};
	addresses->free = calloc(addresses->capacity, sizeof(*addresses->free));
	if (!addresses->free)
		return -ENOMEM;
	addresses->free[0] = addresses->all;
	if (pthread_mutex_init(&addresses->lock, NULL)) {
		free(addresses->free);
		return -ENOMEM;
	}
	return 0;
}

void addresses_destroy(struct addresses *addresses)
{
	pthread_mutex_destroy(&addresses->lock);
	free(addresses->free);
}

/*
 * What is taken or resting separates what is free, so there can't be more free ranges than those
 * plus one. Having the room for them from the start is why giving back can't fail.
 */
static int reserve_one_more(struct addresses *addresses)
{
	size_t needed = addresses->num_taken + addresses->num_resting + 2;
	struct address_range *larger;

	if (needed <= addresses->capacity)
		return 0;
	larger = realloc(addresses->free, 2 * needed * sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	addresses->free = larger;
	addresses->capacity = 2 * needed;
	return 0;
}

static void insert_free(struct addresses *addresses, size_t at, struct address_range range)
{
	struct address_range *free = addresses->free;

	memmove(&free[at + 1], &free[at], (addresses->num_free - at) * sizeof(*free));
	free[at] = range;
	addresses->num_free++;
}

static void remove_free(struct addresses *addresses, size_t at)
{
	struct address_range *free = addresses->free;

	addresses->num_free--;
	memmove(&free[at], &free[at + 1], (addresses->num_free - at) * sizeof(*free));
}

/* The first free range beyond @start. */
static size_t find_next_free(const struct addresses *addresses, uint64_t start)
{
	size_t low = 0, high = addresses->num_free;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (addresses->free[middle].start > start)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void add_free(struct addresses *addresses, struct address_range range)
{
	struct address_range *free = addresses->free;
	size_t next = find_next_free(addresses, range.start);
	bool joins_previous = next > 0 && free[next - 1].end == range.start;
	bool joins_next = next < addresses->num_free && free[next].start == range.end;

	if (joins_previous && joins_next) {
		free[next - 1].end = free[next].end;
		remove_free(addresses, next);
	} else if (joins_previous) {
		free[next - 1].end = range.end;
	} else if (joins_next) {
		free[next].start = range.start;
	} else {
		insert_free(addresses, next, range);
	}
}

static void release_oldest_resting(struct addresses *addresses)
{
	struct address_range range = addresses->resting[addresses->first_resting];

	addresses->first_resting = (addresses->first_resting + 1) % ADDRESSES_REST;
	addresses->num_resting--;
	add_free(addresses, range);
}

/* Cut @range out of the free range number @at. */
static void carve(struct addresses *addresses, size_t at, struct address_range range)
{
	struct address_range *free = &addresses->free[at];
	struct address_range rest = {range.end, free->end};

	free->end = range.start;
	if (rest.start < rest.end)
		insert_free(addresses, at + 1, rest);
	if (addresses->free[at].start == addresses->free[at].end)
		remove_free(addresses, at);
}

/*
 * The lowest room that is large enough: page tables are kept for every address that was ever used,
 * so the fewer different ones the better.
 */
static bool take_lowest(struct addresses *addresses, uint64_t length, uint64_t align,
			uint64_t *start)
{
	for (size_t i = 0; i < addresses->num_free; i++) {
		const struct address_range *free = &addresses->free[i];
		uint64_t first = (free->start + align - 1) / align * align;

		if (first >= free->end || free->end - first < length)
			continue;
		carve(addresses, i, (struct address_range){first, first + length});
		*start = first;
		return true;
	}
	return false;
}

static uint64_t length_with_guard(uint64_t size)
{
	return size + ADDRESSES_PAGE;
}

int addresses_take(struct addresses *addresses, uint64_t size, uint64_t *start)
{
	uint64_t align = size >= ADDRESSES_LARGE_PAGE ? ADDRESSES_LARGE_PAGE : ADDRESSES_PAGE;
	int ret;

	if (size >= addresses->all.end - addresses->all.start)
		return -ENOSPC;

	pthread_mutex_lock(&addresses->lock);
	ret = reserve_one_more(addresses);
	if (ret)
		goto out;
	while (!take_lowest(addresses, length_with_guard(size), align, start)) {
		if (!addresses->num_resting) {
			ret = -ENOSPC;
			goto out;
		}
		release_oldest_resting(addresses);
	}
	addresses->num_taken++;
out:
	pthread_mutex_unlock(&addresses->lock);
	return ret;
}

void addresses_give_back(struct addresses *addresses, uint64_t start, uint64_t size)
{
	size_t last;

	pthread_mutex_lock(&addresses->lock);
	if (addresses->num_resting == ADDRESSES_REST)
		release_oldest_resting(addresses);
	last = (addresses->first_resting + addresses->num_resting) % ADDRESSES_REST;
	addresses->resting[last] = (struct address_range){start, start + length_with_guard(size)};
	addresses->num_resting++;
	addresses->num_taken--;
	pthread_mutex_unlock(&addresses->lock);
}
