/* SPDX-License-Identifier: MIT */
/*
 * A kernel made of a few tables, for unit tests of libdrover.
 *
 * ioctl() is replaced for the whole process, so that what libdrm sends on the
 * library's behalf is seen as well; directory listing, open() and the allocator
 * are replaced for the library and the test alone (ld --wrap). Every ioctl is
 * recorded as it arrived, may be told to fail, and otherwise does to the tables
 * what the real one does to a file's handles.
 */
#ifndef DROVER_TESTS_UNIT_FAKE_H
#define DROVER_TESTS_UNIT_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format off: cmocka needs the above first */
#include <cmocka.h>
/* clang-format on */

#include <drover/drover.h>
#include <xf86drm.h>

#define FAKE_MAX_ARG   256
#define FAKE_MAX_CALLS 4096
/* struct fake_call's arrays */
#define FAKE_BINDS     0
#define FAKE_COMMANDS  0
#define FAKE_IN_SYNCS  1
#define FAKE_OUT_SYNCS 2
#define FAKE_BUFFERS   3
#define FAKE_SYNCOBJS  0
#define FAKE_POINTS    1

struct fake_call {
	unsigned long request;
	int fd;
	/* the argument as the caller passed it */
	unsigned char arg[FAKE_MAX_ARG];
	/* copies of the arrays that the argument points to, in the order of FAKE_* */
	void *arrays[4];
	size_t sizes[4];
};

#define fake_test(function) cmocka_unit_test_setup_teardown(function, fake_setup, fake_teardown)

/* Both are cmocka fixtures; the teardown fails if anything leaked. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* The next call of this request fails with this errno; 0 switches it off. */
void fake_fail(unsigned long request, int error);
/* The next calls of any request are interrupted, so many times, with EINTR. */
void fake_interrupt(unsigned int times);
/* The n-th allocation from now fails (1: the next); 0 switches it off. */
void fake_fail_allocation(unsigned int n);
/* Whether that allocation has been asked for. */
bool fake_allocation_failed(void);

/* What is in /dev/dri: names and the driver of each, ended by a NULL name. */
struct fake_node {
	const char *name;
	const char *driver;
	int open_errno;
};
void fake_set_nodes(const struct fake_node *nodes);
/* The name of the node that was opened last. */
const char *fake_last_open(void);
/* opendir("/dev/dri") fails with this errno */
void fake_fail_opendir(int error);

/* What BO_MMAP returns for a handle; a BO must not be larger than this step. */
#define FAKE_MMAP_OFFSET(handle) ((uint64_t)(handle) << 20)
/* What VM_MMAP returns as the size of a VM's aperture. */
#define FAKE_APERTURE_SIZE       (64ULL << 20)

/* A file whose DRM driver has this name (NULL: no DRM device). Owned by the fake. */
int fake_node_fd(const char *driver);
/* A dma-buf of some other device. The caller closes it. */
int fake_foreign_dmabuf(uint64_t size);

/* The calls since the last fake_forget_calls(). */
unsigned int fake_num_calls(void);
unsigned int fake_num_calls_of(unsigned long request);
/* The last call of this request; the test fails if there was none. */
const struct fake_call *fake_last(unsigned long request);
void fake_forget_calls(void);
/* Whether calls are recorded at all; on at the start of each test. */
void fake_record(bool on);

/* Whether imports return late and closes arrive late, for tests with threads. */
void fake_widen_races(bool on);

/* What the tables hold. */
unsigned int fake_open_handles(void);
bool fake_handle_is_open(uint32_t handle);
/* Closes and uses of handles that weren't open. */
unsigned int fake_bad_handles(void);
unsigned int fake_open_syncobjs(void);
/* BO_CREATE and PRIME_FD_TO_HANDLE give this handle next, instead of the lowest free one. */
void fake_set_next_handle(uint32_t handle);
/* What SYNC_IOC_FILE_INFO reports for all sync files. */
void fake_set_sync_file_status(int status);

/* The last call's argument is exactly this, padding included. */
#define assert_sent(request, expected)                                          \
	do {                                                                    \
		const struct fake_call *call_ = fake_last(request);             \
		assert_int_equal(_IOC_SIZE(request), sizeof(*(expected)));      \
		assert_memory_equal(call_->arg, expected, sizeof(*(expected))); \
	} while (0)

/* One of its arrays is exactly this. */
#define assert_sent_array(request, which, expected, bytes)                  \
	do {                                                                \
		const struct fake_call *call_ = fake_last(request);         \
		assert_int_equal(call_->sizes[which], bytes);               \
		assert_memory_equal(call_->arrays[which], expected, bytes); \
	} while (0)

#endif
