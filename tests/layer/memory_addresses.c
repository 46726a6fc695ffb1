// SPDX-License-Identifier: MIT
/* The account of GPU addresses that memory objects are bound at. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "addresses.h"

#define START 0x10000ull
#define PAGES 2048
#define END   (START + PAGES * ADDRESSES_PAGE)
#define MIB   (1ull << 20)

/* how many more reallocations succeed; negative: all */
static int reallocations_left = -1;

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_realloc(void *old, size_t size)
{
	if (!reallocations_left)
		return NULL;
	if (reallocations_left > 0)
		reallocations_left--;
	return __real_realloc(old, size);
}

static uint64_t take(struct addresses *addresses, uint64_t size)
{
	uint64_t start;

	assert_int_equal(addresses_take(addresses, size, &start), 0);
	assert_int_equal(start % ADDRESSES_PAGE, 0);
	assert_true(start >= addresses->all.start);
	assert_true(start + size <= addresses->all.end);
	return start;
}

/* let everything that rests be taken again, by giving back other things */
static void end_rest(struct addresses *addresses)
{
	uint64_t others[ADDRESSES_REST];

	for (int i = 0; i < ADDRESSES_REST; i++)
		others[i] = take(addresses, ADDRESSES_PAGE);
	for (int i = 0; i < ADDRESSES_REST; i++)
		addresses_give_back(addresses, others[i], ADDRESSES_PAGE);
}

static void alignment_and_bounds(void **state)
{
	struct addresses addresses;
	uint64_t first, large, small;

	(void)state;
	assert_int_equal(addresses_init(&addresses, START, START + 16 * MIB), 0);
	first = take(&addresses, ADDRESSES_PAGE);
	assert_int_equal(first, START);
	large = take(&addresses, 2 * MIB);
	assert_int_equal(large % (2 * MIB), 0);
	/* the gap before what was aligned is used, with a page between neighbours */
	small = take(&addresses, MIB);
	assert_int_equal(small, first + 2 * ADDRESSES_PAGE);
	assert_true(small + MIB + ADDRESSES_PAGE <= large);
	addresses_destroy(&addresses);
}

static void no_room(void **state)
{
	struct addresses addresses;
	uint64_t start = 42;

	(void)state;
	assert_int_equal(addresses_init(&addresses, START, END), 0);
	assert_int_equal(addresses_take(&addresses, UINT64_MAX - 4095, &start), -ENOSPC);
	assert_int_equal(addresses_take(&addresses, END - START, &start), -ENOSPC);
	assert_int_equal(start, 42);
	/* 2 MiB are left, but not at a multiple of 2 MiB */
	assert_int_equal(addresses_take(&addresses, 5 * MIB, &start), 0);
	assert_int_equal(addresses_take(&addresses, 2 * MIB, &start), -ENOSPC);
	addresses_destroy(&addresses);
}

static void not_taken_again_soon(void **state)
{
	struct addresses addresses;
	uint64_t first, again;

	(void)state;
	assert_int_equal(addresses_init(&addresses, START, END), 0);
	first = take(&addresses, ADDRESSES_PAGE);
	addresses_give_back(&addresses, first, ADDRESSES_PAGE);
	for (int i = 0; i < ADDRESSES_REST; i++) {
		again = take(&addresses, ADDRESSES_PAGE);
		assert_int_not_equal(again, first);
		addresses_give_back(&addresses, again, ADDRESSES_PAGE);
	}
	assert_int_equal(take(&addresses, ADDRESSES_PAGE), first);
	addresses_destroy(&addresses);
}

static void taken_again_when_there_is_no_other_room(void **state)
{
	const uint64_t most = END - START - ADDRESSES_PAGE;
	struct addresses addresses;
	uint64_t start;

	(void)state;
	/* where the start needs no alignment, all but the guard can be taken */
	assert_int_equal(addresses_init(&addresses, 2 * MIB, 2 * MIB + END - START), 0);
	for (int i = 0; i < 3; i++) {
		start = take(&addresses, most);
		addresses_give_back(&addresses, start, most);
	}
	addresses_destroy(&addresses);
}

static void neighbours_grow_together(void **state)
{
	static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					 {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	struct addresses addresses;
	uint64_t starts[3];

	(void)state;
	for (int order = 0; order < 6; order++) {
		assert_int_equal(addresses_init(&addresses, START, END), 0);
		for (int i = 0; i < 3; i++)
			starts[i] = take(&addresses, 16 * ADDRESSES_PAGE);
		for (int i = 0; i < 3; i++)
			addresses_give_back(&addresses, starts[orders[order][i]],
					    16 * ADDRESSES_PAGE);
		end_rest(&addresses);
		/* they had 16 each, and their guards */
		assert_int_equal(take(&addresses, 50 * ADDRESSES_PAGE), START);
		addresses_destroy(&addresses);
	}
}

struct live_range {
	uint64_t start;
	uint64_t size;
};

static void mark(unsigned char *pages, const struct live_range *range, bool live)
{
	/* with its guard */
	for (uint64_t at = range->start; at < range->start + range->size + 4096; at += 4096) {
		unsigned char *page = &pages[(at - START) / 4096];

		assert_int_equal(*page, !live);
		*page = live;
	}
}

static void random_against_a_map(void **state)
{
	static unsigned char pages[PAGES];
	struct live_range live[256];
	struct addresses addresses;
	unsigned int num_live = 0, full = 0;

	(void)state;
	srand(1);
	assert_int_equal(addresses_init(&addresses, START, END), 0);
	for (int i = 0; i < 50000; i++) {
		struct live_range range = {.size = (1 + rand() % 40) * ADDRESSES_PAGE};

		if (rand() % 64 == 0)
			range.size = 2 * MIB;
		if (num_live < 256 && rand() % 2) {
			if (addresses_take(&addresses, range.size, &range.start)) {
				full++;
				continue;
			}
			assert_int_equal(range.start % (range.size < 2 * MIB ? 4096 : 2 * MIB), 0);
			mark(pages, &range, true);
			live[num_live++] = range;
		} else if (num_live) {
			unsigned int victim = rand() % num_live;

			mark(pages, &live[victim], false);
			addresses_give_back(&addresses, live[victim].start, live[victim].size);
			live[victim] = live[--num_live];
		}
	}
	assert_int_not_equal(full, 0);
	while (num_live--)
		addresses_give_back(&addresses, live[num_live].start, live[num_live].size);
	/* nothing got lost: all of it is one range again */
	take(&addresses, 6 * MIB);
	addresses_destroy(&addresses);
}

static void no_memory(void **state)
{
	struct addresses addresses;
	uint64_t taken[64], start = 42;
	int count, ret;

	(void)state;
	assert_int_equal(addresses_init(&addresses, START, END), 0);
	reallocations_left = 0;
	for (count = 0; count < 64; count++) {
		ret = addresses_take(&addresses, ADDRESSES_PAGE, &taken[count]);
		if (ret)
			break;
	}
	assert_int_equal(ret, -ENOMEM);
	assert_int_equal(addresses_take(&addresses, ADDRESSES_PAGE, &start), -ENOMEM);
	assert_int_equal(start, 42);
	/* as many holes as there can be, without memory for any */
	for (int i = 0; i < count; i += 2)
		addresses_give_back(&addresses, taken[i], ADDRESSES_PAGE);
	for (int i = 1; i < count; i += 2)
		addresses_give_back(&addresses, taken[i], ADDRESSES_PAGE);
	reallocations_left = -1;
	take(&addresses, ADDRESSES_PAGE);
	addresses_destroy(&addresses);
}

static void *take_and_give_back(void *argument)
{
	struct addresses *addresses = argument;

	for (int i = 0; i < 20000; i++) {
		uint64_t start[4];

		for (int k = 0; k < 4; k++)
			if (addresses_take(addresses, (k + 1) * ADDRESSES_PAGE, &start[k]))
				return "no room";
		for (int k = 0; k < 4; k++)
			addresses_give_back(addresses, start[k], (k + 1) * ADDRESSES_PAGE);
	}
	return NULL;
}

static void several_threads(void **state)
{
	struct addresses addresses;
	pthread_t threads[4];
	void *complaint;

	(void)state;
	assert_int_equal(addresses_init(&addresses, START, END), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give_back, &addresses),
				 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &complaint), 0);
		assert_null(complaint);
	}
	take(&addresses, 6 * MIB);
	addresses_destroy(&addresses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alignment_and_bounds),
		cmocka_unit_test(no_room),
		cmocka_unit_test(not_taken_again_soon),
		cmocka_unit_test(taken_again_when_there_is_no_other_room),
		cmocka_unit_test(neighbours_grow_together),
		cmocka_unit_test(random_against_a_map),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(several_threads),
	};

	return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}
