/* SPDX-License-Identifier: MIT */
/*
 * What the tests against the real module share: running each test in a process
 * of its own, checks that say what was expected, and short names for the steps
 * that nearly every test begins with.
 *
 * A test runs in a child process, with a time limit. So a test that fails or
 * hangs takes nothing down with it, and needs no clean-up: the kernel's is what
 * is tested. After each test nothing may be left on any device; that is a check
 * of its own. And each begins with all devices bound and poison on, whatever the one
 * before it did.
 *
 * Checks work in every thread and in every process that a test forks: the first
 * one that fails ends its process, and with it the test.
 */
#ifndef DROVER_TESTS_KERNEL_COMMON_H
#define DROVER_TESTS_KERNEL_COMMON_H

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <drover/drover.h>

#define KIB           1024ULL
#define MIB           (1024 * KIB)
#define PAGE          (4 * KIB)
#define SECOND_NS     1000000000LL
/* Longest wait for something that has to happen; nothing depends on its value but how fast a failure is seen. */
#define WAIT_NS       (30 * SECOND_NS)
/* For how long something that must not happen is given the chance to. */
#define CHANCE_MS     20

#define VRAM          DRM_DROVER_PLACEMENT_VRAM
#define GTT           DRM_DROVER_PLACEMENT_GTT
#define EVICTED       DRM_DROVER_PLACEMENT_EVICTED
#define FOREIGN       DRM_DROVER_PLACEMENT_FOREIGN

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- Tests ---- */

/** struct test - a test of a suite */
struct test {
	/** @name: what the report calls it */
	const char *name;
	/** @run: returns if it passed */
	void (*run)(void);
};

#define TEST(function) {#function, function}

/**
 * test_main() - run a suite
 * @suite: its name
 * @tests: its tests, in order
 * @count: how many
 * @argc: main()'s
 * @argv: main()'s; an argument is a pattern that selects tests by name
 *
 * Return: main()'s return value
 */
int test_main(const char *suite, const struct test *tests, size_t count, int argc, char **argv);

/** test_fail() - end the test: what was wrong, what was expected */
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** test_skip() - end the test as skipped, with the reason; only for what this kernel isn't built with */
_Noreturn void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define die(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

/* What has to be true, and what to say if it isn't. */
#define check(condition, ...)             \
	do {                              \
		if (!(condition))         \
			die(__VA_ARGS__); \
	} while (0)

/* Two numbers have to be equal. */
#define check_eq(actual, expected) \
	test_check_eq(__FILE__, __LINE__, #actual, (uint64_t)(actual), (uint64_t)(expected))
void test_check_eq(const char *file, int line, const char *what, uint64_t actual,
		   uint64_t expected);

/* A call has to return this errno (negative), or 0. */
#define check_err(call, error) test_check_err(__FILE__, __LINE__, #call, (call), (error))
#define check_ok(call)         check_err(call, 0)
void test_check_err(const char *file, int line, const char *what, int actual, int expected);

/* A system call that returns -1 and sets errno on errors; evaluates to its result. */
#define check_sys(call) test_check_sys(__FILE__, __LINE__, #call, (call))
long test_check_sys(const char *file, int line, const char *what, long result);

/** test_fork() - fork; the child ends with test_exit() */
pid_t test_fork(void);
/** test_exit() - end a child that test_fork() made, its checks passed */
_Noreturn void test_exit(void);
/** test_join() - wait for a child; fail unless its checks passed */
void test_join(pid_t child);
/** test_kill() - kill -9 a child and wait until it's gone */
void test_kill(pid_t child);

/** test_thread() - start a thread */
pthread_t test_thread(void *(*run)(void *), void *argument);
/** test_thread_join() - wait for a thread */
void test_thread_join(pthread_t thread);

/** now_ns() - CLOCK_MONOTONIC */
int64_t now_ns(void);
/** sleep_ms() - sleep */
void sleep_ms(unsigned int ms);

/** eventually() - whether a condition becomes true within WAIT_NS; asks again and again */
#define eventually(condition)                                      \
	({                                                         \
		int64_t until_ = now_ns() + WAIT_NS;               \
		bool met_;                                         \
		while (!(met_ = (condition)) && now_ns() < until_) \
			sleep_ms(2);                               \
		met_;                                              \
	})

/** kernel_before_7() - whether this is a 6.x kernel, where the dma-buf core pins */
bool kernel_before_7(void);

/** read_file() - all of a small text file, as a string to free(); NULL if it can't be opened */
char *read_file(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** write_file() - write a string to a file of sysfs, debugfs, …; 0 or a negative errno */
int write_file(const char *path, const char *text);
/** debugfs_path() - path of a debugfs file of a device; needs debugfs mounted at the usual place */
void debugfs_path(struct drover_device *dev, const char *file, char *path, size_t size);

/** send_fd() / receive_fd() - a file descriptor through a socket pair */
void send_fd(int socket, int fd);
int receive_fd(int socket);

/* ---- Devices, BOs, address spaces ---- */

/** struct gpu - an open device and a VM of it */
struct gpu {
	/** @dev: the device, opened for this alone: a client of its own */
	struct drover_device *dev;
	/** @vm: the VM */
	struct drover_vm *vm;
	/** @va: next free GPU address */
	uint64_t va;
	/** @held: what gpu_use_all() allocated */
	struct drover_bo *held[64];
	/** @num_held: length of @held */
	unsigned int num_held;
};

/** device_open() - open device number @index of drover's */
struct drover_device *device_open(unsigned int index);
/** device_count() - how many there are */
unsigned int device_count(void);
/** device_info() - DEVICE_INFO */
struct drm_drover_device_info device_info(struct drover_device *dev);

/** device_unbind() - take device number @index from the driver, as root may do at any moment */
void device_unbind(unsigned int index);
/** devices_bind() - give the driver all devices that it doesn't have, and wait until they can be opened */
void devices_bind(void);

/** gpu_open() - open device number @index and create a VM */
struct gpu gpu_open(unsigned int index);
/** gpu_add_vm() - one more VM of the same client; shares its device, so only the VM is to be destroyed */
struct gpu gpu_add_vm(const struct gpu *gpu);
/** gpu_close() - undo gpu_open(); the file is closed with the last BO that the test still has */
void gpu_close(struct gpu *gpu);

/** bo_new() - a shared BO that prefers VRAM if that is allowed */
struct drover_bo *bo_new(const struct gpu *gpu, uint64_t size, uint32_t placements);
/** bo_new_private() - a BO private to the VM of @gpu */
struct drover_bo *bo_new_private(const struct gpu *gpu, uint64_t size, uint32_t placements);
/** bo_import() / bo_export() - through a dma-buf */
struct drover_bo *bo_import(const struct gpu *gpu, int dmabuf);
int bo_export(struct drover_bo *bo);
/** bo_info() - BO_INFO */
struct drm_drover_bo_info bo_info(struct drover_bo *bo);
/** vm_info() - VM_INFO */
struct drm_drover_vm_info vm_info(const struct gpu *gpu);
/** bo_map() - map for the CPU */
uint32_t *bo_map(struct drover_bo *bo);

/** gpu_bind() - bind all of a BO at a new address; returns the address */
uint64_t gpu_bind(struct gpu *gpu, struct drover_bo *bo);

/** struct client_bo - a BO, bound in a VM */
struct client_bo {
	struct drover_bo *bo;
	uint64_t va;
};

/** gpu_bo() - bo_new() and gpu_bind() */
struct client_bo gpu_bo(struct gpu *gpu, uint64_t size, uint32_t placements);
/** gpu_import() - bo_import() and gpu_bind(); the dma-buf stays the caller's */
struct client_bo gpu_import(struct gpu *gpu, int dmabuf);
/** gpu_import_bo() - the same with a BO of another device, through a dma-buf of which nothing is left */
struct client_bo gpu_import_bo(struct gpu *gpu, struct drover_bo *bo);

/** check_words() - CPU memory has to be value + i * step */
#define check_words(words, size, value, step) \
	test_check_words(__FILE__, __LINE__, (words), (size), (value), (step))
void test_check_words(const char *file, int line, const volatile uint32_t *words, uint64_t size,
		      uint32_t value, uint32_t step);
/** fill_words() - CPU memory = value + i * step */
void fill_words(volatile uint32_t *words, uint64_t size, uint32_t value, uint32_t step);

/* ---- Jobs ---- */

/** struct job - a submission with a sync of its own that says when it's done */
struct job {
	struct drover_submission *sub;
	struct drover_sync *done;
};

/** job_new() - an empty job */
struct job job_new(const struct gpu *gpu);
/** job_submit() - submit; fails the test on errors */
void job_submit(struct job *job);
/** job_wait() - wait until it's done; 0 or the error that it ended with */
int job_wait(struct job *job);
/** job_done() - whether it's done */
bool job_done(struct job *job);
/** job_run() - submit and wait; 0 or the error of either; frees the job */
int job_run(struct job *job);
/** job_free() - free */
void job_free(struct job *job);

/**
 * submit_now() - submit an empty job, unless that has to wait
 *
 * Its timer's signal goes to the main thread, which alone may call it.
 *
 * Return: 0, or -EINTR if SUBMIT was still waiting after 100 ms
 */
int submit_now(const struct gpu *gpu);
/** gate_closes() - whether SUBMIT has to wait, now or soon, and not for a place in the queue; as submit_now() */
bool gate_closes(const struct gpu *gpu);

/** gpu_fill() - run one FILL; 0 or its error */
int gpu_fill(const struct gpu *gpu, uint64_t va, uint64_t size, uint32_t value, uint32_t step);
/** gpu_check() - run one CHECK; 0, -EILSEQ if the memory is something else, or another error */
int gpu_check(const struct gpu *gpu, uint64_t va, uint64_t size, uint32_t value, uint32_t step);

/**
 * gpu_use_all() - have a job use a whole placement, so that nothing else can be there
 * @gpu: a client of that device
 * @placement: VRAM or GTT
 * @value: what the memory is filled with
 *
 * What was allocated stays allocated, as far as it got, until gpu_close().
 *
 * Return: 0, or the error of the allocation or submission that failed
 */
int gpu_use_all(struct gpu *gpu, uint32_t placement, uint32_t value);

/**
 * gpu_press() - evict a BO by using up the memory that it is in, as any other client would
 * @index: number of the device that owns @victim
 * @victim: what has to go
 *
 * Fails the test if it stays.
 */
void gpu_press(unsigned int index, struct drover_bo *victim);

/* ---- Other drivers; and fences in the test's hand ---- */

/** struct held_fence - a fence of another driver (vgem) that signals when the test says so, or after 10 s */
struct held_fence {
	int fd;
	uint32_t handle;
	uint32_t fence;
	/** @sync_file: the fence */
	int sync_file;
};

/** fence_hold() - make one */
struct held_fence fence_hold(void);
/** fence_release() - signal it */
void fence_release(struct held_fence *fence);
/** job_wait_fence() - let a job wait for it */
void job_wait_fence(const struct gpu *gpu, struct job *job, const struct held_fence *fence);
/** udmabuf_new() - a dma-buf of a driver that has no fences of its own, and its memory, zeroed */
int udmabuf_new(uint64_t size, uint32_t **words);
/** vgem_open() - open vgem, loading it first if need be; @primary: its card node instead of the render node */
int vgem_open(bool primary);
/** static_importer_open() - the module that imports as older drivers do, loading it first if need be */
int static_importer_open(void);

#endif
