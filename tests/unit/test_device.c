// SPDX-License-Identifier: MIT
/* Finding and opening nodes, and the lifetime of the file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

/* unsorted, with gaps, other drivers and other kinds of nodes between */
static const struct fake_node mixed_nodes[] = {
	{"renderD131", "drover", 0},  {"card0", "drover", 0},
	{"by-path", "drover", 0},     {"renderD128", "amdgpu", 0},
	{"renderD1029", "drover", 0}, {"renderD130", "droverx", 0},
	{"renderD129", "drover", 0},  {"renderD132", "droves", 0},
	{"renderD133", NULL, 0},      {NULL, NULL, 0},
};

static void count_finds_drovers_only(void **state)
{
	(void)state;
	fake_set_nodes(mixed_nodes);
	assert_int_equal(drover_device_count(), 3);
}

static void count_without_nodes(void **state)
{
	static const struct fake_node none[] = {{NULL, NULL, 0}};

	(void)state;
	fake_set_nodes(none);
	assert_int_equal(drover_device_count(), 0);
	fake_fail_opendir(ENOENT);
	assert_int_equal(drover_device_count(), 0);
	fake_fail_opendir(EMFILE);
	assert_int_equal(drover_device_count(), -EMFILE);
}

static void count_without_permission(void **state)
{
	static const struct fake_node closed[] = {{"renderD128", "drover", EACCES},
						  {NULL, NULL, 0}};
	static const struct fake_node one_open[] = {
		{"renderD128", "drover", EACCES}, {"renderD129", "drover", 0}, {NULL, NULL, 0}};
	struct drover_device *dev;

	(void)state;
	fake_set_nodes(closed);
	assert_int_equal(drover_device_count(), -EACCES);
	assert_int_equal(drover_device_open(0, &dev), -EACCES);
	fake_set_nodes(one_open);
	assert_int_equal(drover_device_count(), 1);
}

static void assert_node(unsigned int index, const char *expected)
{
	struct drover_device *dev = NULL;

	/* nodes are tried in order and the search ends with the one that is wanted */
	assert_int_equal(drover_device_open(index, &dev), 0);
	assert_string_equal(fake_last_open(), expected);
	drover_device_close(dev);
}

static void open_by_minor(void **state)
{
	struct drover_device *dev = NULL;

	(void)state;
	fake_set_nodes(mixed_nodes);
	assert_node(0, "renderD129");
	assert_node(1, "renderD131");
	assert_node(2, "renderD1029");
	assert_int_equal(drover_device_open(3, &dev), -ENODEV);
	assert_int_equal(drover_device_open(UINT32_MAX, &dev), -ENODEV);
	assert_null(dev);
}

static void open_fd_duplicates(void **state)
{
	int fd = fake_node_fd("drover");
	struct drover_device *dev;

	(void)state;
	assert_int_equal(drover_device_open_fd(fd, &dev), 0);
	assert_int_not_equal(drover_device_fd(dev), fd);
	assert_true(fcntl(drover_device_fd(dev), F_GETFD) & FD_CLOEXEC);
	drover_device_close(dev);
	assert_true(fcntl(fd, F_GETFD) >= 0);
}

static void open_fd_refuses_others(void **state)
{
	struct drover_device *dev = NULL;

	(void)state;
	assert_int_equal(drover_device_open_fd(fake_node_fd("amdgpu"), &dev), -ENODEV);
	assert_int_equal(drover_device_open_fd(fake_node_fd("drover2"), &dev), -ENODEV);
	assert_int_equal(drover_device_open_fd(fake_node_fd("drove"), &dev), -ENODEV);
	assert_int_equal(drover_device_open_fd(fake_node_fd(NULL), &dev), -ENODEV);
	assert_int_equal(drover_device_open_fd(-1, &dev), -EBADF);
	assert_int_equal(drover_device_open_fd(fake_node_fd("drover"), NULL), -EINVAL);
	assert_int_equal(drover_device_open(0, NULL), -EINVAL);
	assert_null(dev);
}

static void close_of_null(void **state)
{
	(void)state;
	drover_device_close(NULL);
	assert_int_equal(fake_num_calls(), 0);
}

static void file_lives_as_long_as_objects(void **state)
{
	struct drover_device *dev;
	struct drover_sync *sync;
	struct drover_bo *bo;
	struct drover_vm *vm;
	int fd;

	(void)state;
	assert_int_equal(drover_device_open_fd(fake_node_fd("drover"), &dev), 0);
	fd = drover_device_fd(dev);
	assert_int_equal(drover_bo_create(dev, 4096, 1, 0, NULL, &bo), 0);
	assert_int_equal(drover_vm_create(dev, &vm), 0);
	assert_int_equal(drover_sync_create(dev, false, &sync), 0);

	drover_device_close(dev);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	drover_bo_unref(bo);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	drover_vm_destroy(vm);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	drover_sync_destroy(sync);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void info(void **state)
{
	const struct drm_drover_device_info zero = {0};
	struct drm_drover_device_info out;
	struct drover_device *dev;

	(void)state;
	memset(&out, 0xff, sizeof(out));
	assert_int_equal(drover_device_open_fd(fake_node_fd("drover"), &dev), 0);
	assert_int_equal(drover_device_info(dev, &out), 0);
	assert_sent(DRM_IOCTL_DROVER_DEVICE_INFO, &zero);
	assert_int_equal(fake_last(DRM_IOCTL_DROVER_DEVICE_INFO)->fd, drover_device_fd(dev));
	assert_int_equal(out.vram_size, 64 << 20);
	assert_int_equal(drover_device_info(dev, NULL), -EINVAL);
	drover_device_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_test(count_finds_drovers_only),
		fake_test(count_without_nodes),
		fake_test(count_without_permission),
		fake_test(open_by_minor),
		fake_test(open_fd_duplicates),
		fake_test(open_fd_refuses_others),
		fake_test(close_of_null),
		fake_test(file_lives_as_long_as_objects),
		fake_test(info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
