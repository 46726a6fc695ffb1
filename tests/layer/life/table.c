// SPDX-License-Identifier: MIT
/* The layer's hash table: what it keeps, what it forgets, and readers that meet writers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "table.h"

#define MANY 20000

static void *value_of(uint64_t key)
{
	return (void *)(uintptr_t)(key * 3 + 1);
}

static void keeps_and_forgets(void **state)
{
	struct table table;

	(void)state;
	table_init(&table);
	assert_null(table_get(&table, 1));
	assert_null(table_remove(&table, 1));
	for (uint64_t key = 1; key <= MANY; key++)
		assert_true(table_put(&table, key << 4, value_of(key)));
	for (uint64_t key = 1; key <= MANY; key += 2)
		assert_ptr_equal(table_remove(&table, key << 4), value_of(key));
	for (uint64_t key = 1; key <= MANY; key++)
		assert_ptr_equal(table_get(&table, key << 4), key % 2 ? NULL : value_of(key));
	/* again, with the same key */
	assert_true(table_put(&table, 2 << 4, value_of(7)));
	assert_ptr_equal(table_get(&table, 2 << 4), value_of(7));
	table_fini(&table);
}

static void count_entry(uint64_t key, void *value, void *data)
{
	assert_ptr_equal(value, value_of(key));
	*(unsigned int *)data += 1;
}

static void visits_each_once(void **state)
{
	unsigned int count = 0;
	struct table table;

	(void)state;
	table_init(&table);
	for (uint64_t key = 1; key <= 1000; key++)
		assert_true(table_put(&table, key, value_of(key)));
	table_for_each(&table, count_entry, &count);
	assert_int_equal(count, 1000);
	table_fini(&table);
}

static void puts_with_spare_memory(void **state)
{
	struct table_spare spare;
	struct table table;

	(void)state;
	table_init(&table);
	assert_true(table_spare_init(&spare));
	table_put_spare(&table, 5, value_of(5), &spare);
	assert_null(spare.node);
	assert_null(spare.buckets);
	assert_ptr_equal(table_get(&table, 5), value_of(5));
	table_spare_fini(&spare);
	table_fini(&table);
}

/* ---- Readers and writers ---- */

static struct table shared;
static atomic_bool stop;
static atomic_uint wrong;

/* What stays is always found, and what was never there never is. */
static void *read_stable(void *argument)
{
	(void)argument;
	while (!atomic_load(&stop))
		for (uint64_t key = 1; key <= 256; key++) {
			if (table_get(&shared, key) != value_of(key))
				atomic_fetch_add(&wrong, 1);
			if (table_get(&shared, key + (1ull << 40)))
				atomic_fetch_add(&wrong, 1);
		}
	return NULL;
}

static void readers_meet_writers(void **state)
{
	pthread_t readers[3];

	(void)state;
	for (uint64_t key = 1; key <= 256; key++)
		assert_true(table_put(&shared, key, value_of(key)));
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_stable, NULL), 0);
	/* growing moves all nodes; then removed ones are used again, in other chains */
	for (uint64_t key = 1000; key < 200000; key++)
		assert_true(table_put(&shared, key, value_of(key)));
	for (uint64_t key = 1000; key < 2000000; key++) {
		assert_ptr_equal(table_remove(&shared, key), value_of(key));
		assert_true(table_put(&shared, key + 199000, value_of(key + 199000)));
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(atomic_load(&wrong), 0);
	table_fini(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_and_forgets),
		cmocka_unit_test(visits_each_once),
		cmocka_unit_test(puts_with_spare_memory),
		cmocka_unit_test(readers_meet_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
