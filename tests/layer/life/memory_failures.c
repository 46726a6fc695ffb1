// SPDX-License-Identifier: MIT
/*
 * The layer without memory: each of its allocations fails once, from the application's callbacks
 * or from malloc(). Then the application gets an error that Vulkan knows, or none; nothing of its
 * memory is left; and the next try works.
 *
 * Only the layer's own allocations fail: which they are is seen from where the call came from. What
 * drivers make of a lack of memory is not the question here.
 */
#include "../../kernel/common.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app.h"

/* ---- Allocations of the layer ---- */

/* Where the layer's code is; nowhere before it is loaded. */
static uintptr_t layer_start, layer_end;

/* Which of the layer's allocations fails, counted from 1; 0: none. */
static unsigned int failing;
static unsigned int allocations;
/* The application's callbacks: what they gave out and didn't get back. */
static int callbacks_live;
/* The layer's malloc()s that weren't freed. */
static int mallocs_live;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void __libc_free(void *memory);

static bool is_layer(const void *caller)
{
	return (uintptr_t)caller >= layer_start && (uintptr_t)caller < layer_end;
}

/* Whether this allocation of the layer's is to fail. */
static bool has_to_fail(void)
{
	unsigned int number = __atomic_add_fetch(&allocations, 1, __ATOMIC_SEQ_CST);

	return failing && number == failing;
}

/* Which of malloc()'s memory is the layer's: a hash table without growth. */
#define MAX_OWNED  4096
#define MAX_PROBES 64

static void *owned[MAX_OWNED];

static void **owned_slot(const void *memory, unsigned int probe)
{
	return &owned[((uintptr_t)memory / 16 * 0x9e3779b1u + probe) % MAX_OWNED];
}

static bool exchange(void **slot, void *from, void *to)
{
	return __atomic_load_n(slot, __ATOMIC_SEQ_CST) == from &&
	       __atomic_compare_exchange_n(slot, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static void *own(void *memory)
{
	for (unsigned int i = 0; memory && i < MAX_PROBES; i++)
		if (exchange(owned_slot(memory, i), NULL, memory)) {
			__atomic_add_fetch(&mallocs_live, 1, __ATOMIC_SEQ_CST);
			break;
		}
	return memory;
}

static void disown(void *memory)
{
	for (unsigned int i = 0; memory && i < MAX_PROBES; i++)
		if (exchange(owned_slot(memory, i), memory, NULL)) {
			__atomic_sub_fetch(&mallocs_live, 1, __ATOMIC_SEQ_CST);
			break;
		}
}

void *malloc(size_t size)
{
	if (!is_layer(__builtin_return_address(0)))
		return __libc_malloc(size);
	return has_to_fail() ? NULL : own(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
	if (!is_layer(__builtin_return_address(0)))
		return __libc_calloc(count, size);
	return has_to_fail() ? NULL : own(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
	void *grown;

	if (!is_layer(__builtin_return_address(0)))
		return __libc_realloc(memory, size);
	if (has_to_fail())
		return NULL;
	grown = __libc_realloc(memory, size);
	if (grown) {
		disown(memory);
		own(grown);
	}
	return grown;
}

void free(void *memory)
{
	disown(memory);
	__libc_free(memory);
}

static void *VKAPI_PTR callback_alloc(void *data, size_t size, size_t alignment,
				      VkSystemAllocationScope scope)
{
	void *memory;

	(void)data;
	(void)scope;
	if (is_layer(__builtin_return_address(0)) && has_to_fail())
		return NULL;
	if (posix_memalign(&memory, alignment < 16 ? 16 : alignment, size))
		return NULL;
	__atomic_add_fetch(&callbacks_live, 1, __ATOMIC_SEQ_CST);
	return memory;
}

static void VKAPI_PTR callback_free(void *data, void *memory)
{
	(void)data;
	if (!memory)
		return;
	__atomic_sub_fetch(&callbacks_live, 1, __ATOMIC_SEQ_CST);
	free(memory);
}

/* Nobody knows how large the old memory is, so it is never given back before there's a new one. */
static void *VKAPI_PTR callback_realloc(void *data, void *old, size_t size, size_t alignment,
					VkSystemAllocationScope scope)
{
	void *memory;

	(void)alignment;
	if (!old)
		return callback_alloc(data, size, alignment, scope);
	memory = __libc_realloc(old, size);
	return memory;
}

static const VkAllocationCallbacks callbacks = {
	.pfnAllocation = callback_alloc,
	.pfnReallocation = callback_realloc,
	.pfnFree = callback_free,
};

/* ---- The layer ---- */

static int find_layer(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	(void)data;
	if (!strstr(info->dlpi_name, "drover_working_set"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
			layer_start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			layer_end = layer_start + info->dlpi_phdr[i].p_memsz;
		}
	return 1;
}

/* Loaded ahead, so that its first allocations are seen. */
static void load_layer(enum driver driver)
{
	use_driver(driver, LAYER_DIRECTORY);
	check(dlopen(LAYER_LIBRARY, RTLD_NOW), "%s", dlerror());
	dl_iterate_phdr(find_layer, NULL);
	check(layer_start, "the layer isn't where it was loaded");
}

/* ---- Tests ---- */

static bool is_lack_of_memory(VkResult result)
{
	return result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

/* A process in which the given allocation fails; its status tells whether there was one. */
#define NOTHING_FAILED   0
#define SOMETHING_FAILED 100

static VkResult run(const VkAllocationCallbacks *allocator, unsigned int number)
{
	struct app app = {.api_version = VK_API_VERSION_1_2, .allocator = allocator};
	VkResult result;

	allocations = 0;
	failing = number;
	result = app_run(&app);
	failing = 0;
	check(result == VK_SUCCESS || (number && is_lack_of_memory(result)),
	      "allocation %u of the layer failed: result %d, expected a lack of memory", number,
	      result);
	check(!callbacks_live,
	      "allocation %u of the layer failed (result %d): %d of the callbacks' are left",
	      number, result, callbacks_live);
	return result;
}

/*
 * Tables of the process grow with the first runs, but not with each; what is left behind does.
 */
static void check_malloc_leaks(const VkAllocationCallbacks *allocator, unsigned int number)
{
	int before = -1, now = mallocs_live;
	VkResult result = VK_SUCCESS;

	for (int i = 0; i < 60 && now != before; i++) {
		before = now;
		result = run(allocator, number);
		check_eq(run(allocator, 0), VK_SUCCESS);
		now = mallocs_live;
	}
	check(now == before,
	      "allocation %u of the layer failed (result %d): each time more of its malloc()s are "
	      "left, now %d",
	      number, result, now);
}

static int run_failing(enum driver driver, unsigned int number, bool with_callbacks)
{
	const VkAllocationCallbacks *allocator = with_callbacks ? &callbacks : NULL;

	load_layer(driver);
	run(allocator, number);
	if (allocations < number)
		return NOTHING_FAILED;
	check_eq(run(allocator, 0), VK_SUCCESS);
	check_malloc_leaks(allocator, number);
	return SOMETHING_FAILED;
}

static void each_allocation_fails(enum driver driver, bool with_callbacks)
{
	unsigned int number, failed = 0;
	int status = SOMETHING_FAILED;

	for (number = 1; status == SOMETHING_FAILED; number++) {
		pid_t child = test_fork();

		if (!child)
			_exit(run_failing(driver, number, with_callbacks));
		check_sys(waitpid(child, &status, 0));
		check(WIFEXITED(status), "allocation %u of the layer failed: killed by signal %d",
		      number, WTERMSIG(status));
		status = WEXITSTATUS(status);
		if (status == SOMETHING_FAILED)
			failed++;
		else if (status != NOTHING_FAILED)
			_exit(status);
	}
	printf("# %u allocations of the layer failed\n", failed);
	fflush(stdout);
	check(failed > 10, "only %u allocations of the layer were seen", failed);
}

static void lavapipe_with_callbacks(void)
{
	each_allocation_fails(DRIVER_LAVAPIPE, true);
}

static void lavapipe_without_callbacks(void)
{
	each_allocation_fails(DRIVER_LAVAPIPE, false);
}

static void swiftshader_with_callbacks(void)
{
	each_allocation_fails(DRIVER_SWIFTSHADER, true);
}

static void mock_with_callbacks(void)
{
	each_allocation_fails(DRIVER_MOCK, true);
}

/* What was allocated with the callbacks is freed with them, as without the layer. */
static void callbacks_balance(void)
{
	for (enum driver driver = 0; driver < NUM_DRIVERS; driver++) {
		pid_t child = test_fork();

		if (!child) {
			struct app app = {.api_version = VK_API_VERSION_1_2,
					  .allocator = &callbacks};

			load_layer(driver);
			check_eq(app_run(&app), VK_SUCCESS);
			check(allocations > 10, "%s: the layer allocated only %u times",
			      driver_name(driver), allocations);
			check_eq(callbacks_live, 0);
			test_exit();
		}
		test_join(child);
	}
}

static const struct test tests[] = {
	TEST(callbacks_balance),          TEST(lavapipe_with_callbacks),
	TEST(lavapipe_without_callbacks), TEST(swiftshader_with_callbacks),
	TEST(mock_with_callbacks),
};

int main(int argc, char **argv)
{
	return test_main("layer-memory-failures", tests, ARRAY_SIZE(tests), argc, argv);
}
