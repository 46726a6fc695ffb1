// SPDX-License-Identifier: MIT
/* How much memory a process may have on a virtual GPU. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "usage.h"

#define VRAM USAGE_HEAP_VRAM
#define GTT  USAGE_HEAP_GTT

static const uint64_t sizes[USAGE_HEAP_COUNT] = {[VRAM] = 100, [GTT] = 40};

static void nothing_left(void)
{
	for (uint32_t gpu = 0; gpu < 3; gpu++) {
		assert_int_equal(usage_of(gpu, VRAM), 0);
		assert_int_equal(usage_of(gpu, GTT), 0);
	}
}

static void vram_goes_beyond_its_size(void **state)
{
	(void)state;
	assert_true(usage_add(0, VRAM, 100, sizes));
	assert_true(usage_add(0, VRAM, 39, sizes));
	assert_false(usage_add(0, VRAM, 2, sizes));
	assert_false(usage_add(0, GTT, 2, sizes));
	assert_true(usage_add(0, GTT, 1, sizes));
	assert_int_equal(usage_of(0, VRAM), 139);
	assert_int_equal(usage_of(0, GTT), 1);
	/* another GPU has its own */
	assert_true(usage_add(1, VRAM, 140, sizes));
	usage_remove(1, VRAM, 140);
	usage_remove(0, VRAM, 139);
	usage_remove(0, GTT, 1);
	nothing_left();
}

static void gtt_does_not(void **state)
{
	(void)state;
	assert_true(usage_add(2, GTT, 40, sizes));
	assert_false(usage_add(2, GTT, 1, sizes));
	assert_true(usage_add(2, VRAM, 100, sizes));
	assert_false(usage_add(2, VRAM, 1, sizes));
	usage_remove(2, GTT, 40);
	usage_remove(2, VRAM, 100);
	nothing_left();
}

static void large_numbers(void **state)
{
	(void)state;
	assert_false(usage_add(0, VRAM, UINT64_MAX, sizes));
	assert_true(usage_add(0, VRAM, 1, sizes));
	assert_false(usage_add(0, VRAM, UINT64_MAX, sizes));
	assert_false(usage_add(0, GTT, UINT64_MAX, sizes));
	usage_remove(0, VRAM, 1);
	/* a number that no GPU has */
	assert_false(usage_add(UINT32_MAX, VRAM, 1, sizes));
	assert_int_equal(usage_of(UINT32_MAX, VRAM), 0);
	nothing_left();
}

static void *add_and_remove(void *argument)
{
	uint64_t most = 0;

	(void)argument;
	for (int i = 0; i < 100000; i++) {
		if (!usage_add(0, VRAM, 30, sizes))
			continue;
		uint64_t now = usage_of(0, VRAM);

		most = now > most ? now : most;
		usage_remove(0, VRAM, 30);
	}
	return most > 140 ? "too much" : NULL;
}

static void several_threads(void **state)
{
	pthread_t threads[6];
	void *complaint;

	(void)state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_and_remove, NULL), 0);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(pthread_join(threads[i], &complaint), 0);
		assert_null(complaint);
	}
	nothing_left();
}

static void a_child_starts_with_nothing(void **state)
{
	pid_t child;
	int status;

	(void)state;
	assert_true(usage_add(0, VRAM, 140, sizes));
	child = fork();
	assert_int_not_equal(child, -1);
	if (!child) {
		/* what was its parent's isn't counted, neither when it goes */
		bool ok = usage_of(0, VRAM) == 0 && usage_add(0, VRAM, 100, sizes);

		usage_remove(0, VRAM, 140);
		_exit(ok && usage_of(0, VRAM) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(usage_of(0, VRAM), 140);
	usage_remove(0, VRAM, 140);
	nothing_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vram_goes_beyond_its_size),
		cmocka_unit_test(gtt_does_not),
		cmocka_unit_test(large_numbers),
		cmocka_unit_test(several_threads),
		cmocka_unit_test(a_child_starts_with_nothing),
	};

	return cmocka_run_group_tests_name("usage", tests, NULL, NULL);
}
