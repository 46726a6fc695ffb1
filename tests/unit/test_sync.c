// SPDX-License-Identifier: MIT
/* Syncobjs and sync files: what is sent, and time-outs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <linux/sync_file.h>

#include "fake.h"

static struct drover_device *dev;
static struct drover_sync *syncobj;
static uint32_t handle;

static int setup(void **state)
{
	struct drover_sync *first;

	/* so that the handle isn't the first number of everything */
	if (fake_setup(state) || drover_device_open_fd(fake_node_fd("drover"), &dev) ||
	    drover_sync_create(dev, false, &first) || drover_sync_create(dev, false, &syncobj))
		return -1;
	drover_sync_destroy(first);
	handle = drover_sync_handle(syncobj);
	return 0;
}

static int teardown(void **state)
{
	drover_sync_destroy(syncobj);
	drover_device_close(dev);
	return fake_teardown(state);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void create_and_destroy(void **state)
{
	struct drm_syncobj_create expected = {.flags = DRM_SYNCOBJ_CREATE_SIGNALED};
	struct drm_syncobj_destroy destroyed = {0};
	struct drover_sync *signaled;

	(void)state;
	assert_int_equal(drover_sync_create(dev, true, &signaled), 0);
	assert_sent(DRM_IOCTL_SYNCOBJ_CREATE, &expected);
	destroyed.handle = drover_sync_handle(signaled);
	assert_int_not_equal(destroyed.handle, handle);
	drover_sync_destroy(signaled);
	assert_sent(DRM_IOCTL_SYNCOBJ_DESTROY, &destroyed);

	assert_int_equal(drover_sync_create(dev, false, &signaled), 0);
	expected.flags = 0;
	assert_sent(DRM_IOCTL_SYNCOBJ_CREATE, &expected);
	drover_sync_destroy(signaled);
}

static void arguments(void **state)
{
	(void)state;
	fake_forget_calls();
	assert_int_equal(drover_sync_create(dev, false, NULL), -EINVAL);
	assert_int_equal(drover_sync_query(syncobj, NULL), -EINVAL);
	assert_int_equal(drover_sync_export_sync_file(syncobj, 0, NULL), -EINVAL);
	assert_int_equal(drover_sync_export_sync_file(syncobj, 3, NULL), -EINVAL);
	assert_int_equal(drover_sync_export(syncobj, NULL), -EINVAL);
	assert_int_equal(drover_sync_import(dev, 0, NULL), -EINVAL);
	assert_int_equal(drover_sync_wait(syncobj, 0, 0, 2), -EINVAL);
	assert_int_equal(drover_sync_file_wait(-1, 0), -EBADF);
	drover_sync_destroy(NULL);
	assert_int_equal(fake_num_calls(), 0);
}

static int64_t deadline_of_wait(int64_t timeout_ns)
{
	struct drm_syncobj_wait sent;

	assert_int_equal(drover_sync_wait(syncobj, 0, timeout_ns, 0), 0);
	memcpy(&sent, fake_last(DRM_IOCTL_SYNCOBJ_WAIT)->arg, sizeof(sent));
	assert_int_equal(sent.count_handles, 1);
	assert_int_equal(sent.flags, 0);
	assert_sent_array(DRM_IOCTL_SYNCOBJ_WAIT, FAKE_SYNCOBJS, &handle, sizeof(handle));
	return sent.timeout_nsec;
}

static void wait_deadlines(void **state)
{
	const int64_t hour = 3600 * 1000000000LL;
	int64_t before, deadline;

	(void)state;
	assert_true(deadline_of_wait(0) == 0);
	assert_true(deadline_of_wait(-1) == INT64_MAX);
	assert_true(deadline_of_wait(INT64_MIN) == INT64_MAX);
	assert_true(deadline_of_wait(INT64_MAX) == INT64_MAX);
	before = now_ns();
	deadline = deadline_of_wait(hour);
	assert_true(deadline >= before + hour && deadline <= now_ns() + hour);
}

static void wait_timeline(void **state)
{
	const uint64_t point = 1ULL << 33;
	struct drm_syncobj_timeline_wait sent;

	(void)state;
	assert_int_equal(drover_sync_wait(syncobj, point, -1, DROVER_SYNC_WAIT_FOR_SUBMIT), 0);
	memcpy(&sent, fake_last(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT)->arg, sizeof(sent));
	assert_true(sent.timeout_nsec == INT64_MAX);
	assert_int_equal(sent.count_handles, 1);
	assert_int_equal(sent.flags, DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT);
	assert_sent_array(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, FAKE_SYNCOBJS, &handle, 4);
	assert_sent_array(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, FAKE_POINTS, &point, 8);
}

static void wait_errors(void **state)
{
	(void)state;
	fake_fail(DRM_IOCTL_SYNCOBJ_WAIT, ETIME);
	assert_int_equal(drover_sync_wait(syncobj, 0, 0, 0), -ETIME);
	fake_fail(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, EINVAL);
	assert_int_equal(drover_sync_wait(syncobj, 1, 0, 0), -EINVAL);
}

static void reset_signal_query(void **state)
{
	const uint64_t point = 9;
	uint64_t value = 0;

	(void)state;
	assert_int_equal(drover_sync_reset(syncobj), 0);
	assert_sent_array(DRM_IOCTL_SYNCOBJ_RESET, FAKE_SYNCOBJS, &handle, 4);
	assert_int_equal(drover_sync_signal(syncobj, 0), 0);
	assert_sent_array(DRM_IOCTL_SYNCOBJ_SIGNAL, FAKE_SYNCOBJS, &handle, 4);
	assert_int_equal(drover_sync_signal(syncobj, point), 0);
	assert_sent_array(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, FAKE_SYNCOBJS, &handle, 4);
	assert_sent_array(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, FAKE_POINTS, &point, 8);
	assert_int_equal(drover_sync_query(syncobj, &value), 0);
	assert_int_equal(value, 42);
}

static void binary_sync_files(void **state)
{
	const struct drm_syncobj_handle exported = {
		.handle = handle,
		.flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
		.fd = -1,
	};
	struct drm_syncobj_handle imported = {
		.handle = handle,
		.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE,
	};
	int fd = -1;

	(void)state;
	assert_int_equal(drover_sync_export_sync_file(syncobj, 0, &fd), 0);
	assert_sent(DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &exported);
	imported.fd = fd;
	assert_int_equal(drover_sync_import_sync_file(syncobj, 0, fd), 0);
	assert_sent(DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &imported);
	assert_int_equal(close(fd), 0);
}

/* a point and a sync file meet in a binary syncobj, which is gone afterwards */
static void timeline_sync_files(void **state)
{
	struct drm_syncobj_transfer expected = {0};
	struct drm_syncobj_transfer sent;
	int fd = -1;

	(void)state;
	assert_int_equal(drover_sync_export_sync_file(syncobj, 5, &fd), 0);
	memcpy(&sent, fake_last(DRM_IOCTL_SYNCOBJ_TRANSFER)->arg, sizeof(sent));
	assert_int_not_equal(sent.dst_handle, handle);
	expected.src_handle = handle;
	expected.src_point = 5;
	expected.dst_handle = sent.dst_handle;
	assert_sent(DRM_IOCTL_SYNCOBJ_TRANSFER, &expected);
	assert_int_equal(fake_open_syncobjs(), 1);

	assert_int_equal(drover_sync_import_sync_file(syncobj, 6, fd), 0);
	memset(&expected, 0, sizeof(expected));
	expected.src_handle = sent.dst_handle;
	expected.dst_handle = handle;
	expected.dst_point = 6;
	assert_sent(DRM_IOCTL_SYNCOBJ_TRANSFER, &expected);
	assert_int_equal(fake_open_syncobjs(), 1);
	close(fd);
}

static void timeline_failures_leave_nothing(void **state)
{
	int fd = 77;

	(void)state;
	for (int i = 0; i < 3; i++) {
		static const unsigned long requests[] = {DRM_IOCTL_SYNCOBJ_CREATE,
							 DRM_IOCTL_SYNCOBJ_TRANSFER,
							 DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD};

		fake_fail(requests[i], EMFILE);
		assert_int_equal(drover_sync_export_sync_file(syncobj, 5, &fd), -EMFILE);
		assert_int_equal(fake_open_syncobjs(), 1);
		assert_int_equal(fd, 77);
	}
	for (int i = 0; i < 3; i++) {
		static const unsigned long requests[] = {DRM_IOCTL_SYNCOBJ_CREATE,
							 DRM_IOCTL_SYNCOBJ_TRANSFER,
							 DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE};

		fake_fail(requests[i], EMFILE);
		assert_int_equal(drover_sync_import_sync_file(syncobj, 5, 0), -EMFILE);
		assert_int_equal(fake_open_syncobjs(), 1);
	}
}

static void share(void **state)
{
	const struct drm_syncobj_handle exported = {.handle = handle, .fd = -1};
	struct drm_syncobj_handle imported = {0};
	struct drover_sync *second;
	int fd = -1;

	(void)state;
	assert_int_equal(drover_sync_export(syncobj, &fd), 0);
	assert_sent(DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &exported);
	assert_int_equal(drover_sync_import(dev, fd, &second), 0);
	imported.fd = fd;
	assert_sent(DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &imported);
	assert_int_not_equal(drover_sync_handle(second), handle);
	drover_sync_destroy(second);
	close(fd);
}

static void status(void **state)
{
	static const int values[] = {0, 1, -EILSEQ, -ECANCELED};
	const struct sync_file_info zero = {0};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		fake_set_sync_file_status(values[i]);
		assert_int_equal(drover_sync_status(syncobj, 0), values[i]);
		assert_int_equal(drover_sync_status(syncobj, 4), values[i]);
		assert_int_equal(drover_sync_file_status(0), values[i]);
	}
	assert_sent(SYNC_IOC_FILE_INFO, &zero);
	fake_fail(DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, EINVAL);
	assert_int_equal(drover_sync_status(syncobj, 0), -EINVAL);
	fake_fail(SYNC_IOC_FILE_INFO, ENOTTY);
	assert_int_equal(drover_sync_status(syncobj, 0), -ENOTTY);
}

/* a sync file is readable when it is signalled */
static void sync_file_wait(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(drover_sync_file_wait(fds[0], 0), -ETIME);
	assert_int_equal(drover_sync_file_wait(fds[0], 1000000), -ETIME);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(drover_sync_file_wait(fds[0], 0), 0);
	assert_int_equal(drover_sync_file_wait(fds[0], -1), 0);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(drover_sync_file_wait(fds[0], 0), -EBADF);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void wait_is_restarted_after_signals(void **state)
{
	const struct itimerval every_5_ms = {{0, 5000}, {0, 5000}}, off = {0};
	struct sigaction action = {.sa_handler = on_alarm}, old;
	int64_t before;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	sigaction(SIGALRM, &action, &old);
	setitimer(ITIMER_REAL, &every_5_ms, NULL);
	before = now_ns();
	assert_int_equal(drover_sync_file_wait(fds[0], 60000000), -ETIME);
	assert_true(now_ns() - before >= 60000000);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	close(fds[0]);
	close(fds[1]);
}

#define sync_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sync_test(create_and_destroy),
		sync_test(arguments),
		sync_test(wait_deadlines),
		sync_test(wait_timeline),
		sync_test(wait_errors),
		sync_test(reset_signal_query),
		sync_test(binary_sync_files),
		sync_test(timeline_sync_files),
		sync_test(timeline_failures_leave_nothing),
		sync_test(share),
		sync_test(status),
		sync_test(sync_file_wait),
		sync_test(wait_is_restarted_after_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
