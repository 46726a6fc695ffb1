// SPDX-License-Identifier: MIT
/* Buffer objects: what is sent, CPU mappings, and the sharing of handles. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake.h"

static struct drover_device *dev;

static int setup(void **state)
{
	if (fake_setup(state))
		return -1;
	return drover_device_open_fd(fake_node_fd("drover"), &dev);
}

static int teardown(void **state)
{
	drover_device_close(dev);
	return fake_teardown(state);
}

static struct drover_bo *new_bo(uint64_t size)
{
	struct drover_bo *bo = NULL;

	assert_int_equal(drover_bo_create(dev, size, DRM_DROVER_PLACEMENT_VRAM, 0, NULL, &bo), 0);
	return bo;
}

static struct drover_bo *import(int fd)
{
	struct drover_bo *bo = NULL;

	assert_int_equal(drover_bo_import(dev, fd, &bo), 0);
	return bo;
}

static int export(struct drover_bo *bo)
{
	int fd = -1;

	assert_int_equal(drover_bo_export(bo, &fd), 0);
	assert_true(fd >= 0);
	return fd;
}

static void create_shared(void **state)
{
	const struct drm_drover_bo_create expected = {
		.size = 0x123000,
		.placements = DRM_DROVER_PLACEMENT_VRAM | DRM_DROVER_PLACEMENT_GTT,
		.preferred = DRM_DROVER_PLACEMENT_GTT,
	};
	struct drover_bo *bo;

	(void)state;
	fake_set_next_handle(17);
	assert_int_equal(drover_bo_create(dev, 0x123000, 3, 2, NULL, &bo), 0);
	assert_sent(DRM_IOCTL_DROVER_BO_CREATE, &expected);
	assert_int_equal(fake_last(DRM_IOCTL_DROVER_BO_CREATE)->fd, drover_device_fd(dev));
	assert_int_equal(drover_bo_handle(bo), 17);
	assert_int_equal(drover_bo_size(bo), 0x123000);
	drover_bo_unref(bo);
	assert_false(fake_handle_is_open(17));
}

static void create_private(void **state)
{
	struct drm_drover_bo_create expected = {.size = 4096, .placements = 1};
	struct drover_bo *bo;
	struct drover_vm *vm;

	(void)state;
	assert_int_equal(drover_vm_create(dev, &vm), 0);
	assert_int_equal(drover_bo_create(dev, 4096, 1, 0, vm, &bo), 0);
	expected.vm_id = drover_vm_id(vm);
	assert_int_not_equal(expected.vm_id, 0);
	assert_sent(DRM_IOCTL_DROVER_BO_CREATE, &expected);
	drover_bo_unref(bo);
	drover_vm_destroy(vm);
}

static void arguments(void **state)
{
	struct drover_device *other;
	struct drover_bo *bo = NULL;
	struct drover_vm *vm;
	int fd;

	(void)state;
	assert_int_equal(drover_device_open_fd(fake_node_fd("drover"), &other), 0);
	assert_int_equal(drover_vm_create(other, &vm), 0);
	fake_forget_calls();

	assert_int_equal(drover_bo_create(dev, 4096, 1, 0, NULL, NULL), -EINVAL);
	assert_int_equal(drover_bo_create(dev, 4096, 1, 0, vm, &bo), -EINVAL);
	assert_int_equal(drover_bo_import(dev, 0, NULL), -EINVAL);
	assert_int_equal(fake_num_calls(), 0);
	assert_int_equal(drover_bo_import(dev, -1, &bo), -EBADF);
	assert_null(bo);
	drover_bo_unref(NULL);

	bo = new_bo(4096);
	fake_forget_calls();
	assert_int_equal(drover_bo_export(bo, NULL), -EINVAL);
	assert_int_equal(drover_bo_map(bo, NULL), -EINVAL);
	assert_int_equal(drover_bo_info(bo, NULL), -EINVAL);
	assert_int_equal(drover_bo_unmap(bo), -EINVAL);
	assert_int_equal(fake_num_calls(), 0);

	fd = export(bo);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	drover_bo_unref(bo);
	drover_vm_destroy(vm);
	drover_device_close(other);
}

static void export_flags(void **state)
{
	struct drover_bo *bo = new_bo(4096);
	const struct drm_prime_handle expected = {
		.handle = drover_bo_handle(bo),
		.flags = DRM_CLOEXEC | DRM_RDWR,
		.fd = -1,
	};

	(void)state;
	close(export(bo));
	assert_sent(DRM_IOCTL_PRIME_HANDLE_TO_FD, &expected);
	drover_bo_unref(bo);
}

static void info(void **state)
{
	struct drover_bo *bo = new_bo(8192);
	const struct drm_drover_bo_info expected = {.handle = drover_bo_handle(bo)};
	struct drm_drover_bo_info out;

	(void)state;
	memset(&out, 0xff, sizeof(out));
	assert_int_equal(drover_bo_info(bo, &out), 0);
	assert_sent(DRM_IOCTL_DROVER_BO_INFO, &expected);
	assert_int_equal(out.size, 8192);
	assert_int_equal(out.placement, DRM_DROVER_PLACEMENT_GTT);
	drover_bo_unref(bo);
}

static void references(void **state)
{
	struct drover_bo *bo = new_bo(4096);
	uint32_t handle = drover_bo_handle(bo);

	(void)state;
	assert_ptr_equal(drover_bo_ref(bo), bo);
	drover_bo_unref(bo);
	assert_true(fake_handle_is_open(handle));
	drover_bo_unref(bo);
	assert_false(fake_handle_is_open(handle));
	assert_int_equal(fake_num_calls_of(DRM_IOCTL_GEM_CLOSE), 1);
}

/* ---- Handles are shared ---- */

static void import_twice(void **state)
{
	int fd = fake_foreign_dmabuf(8192);
	struct drover_bo *first = import(fd), *second = import(fd);

	(void)state;
	assert_ptr_equal(first, second);
	assert_int_equal(drover_bo_size(first), 8192);
	drover_bo_unref(first);
	/* closing one must not close the other */
	assert_true(fake_handle_is_open(drover_bo_handle(second)));
	assert_int_equal(fake_num_calls_of(DRM_IOCTL_GEM_CLOSE), 0);
	drover_bo_unref(second);
	assert_int_equal(fake_open_handles(), 0);
	close(fd);
}

static void import_of_own_export(void **state)
{
	struct drover_bo *bo = new_bo(4096), *again;
	int fd = export(bo);

	(void)state;
	again = import(fd);
	assert_ptr_equal(again, bo);
	drover_bo_unref(bo);
	assert_true(fake_handle_is_open(drover_bo_handle(again)));
	drover_bo_unref(again);
	assert_int_equal(fake_open_handles(), 0);
	close(fd);
}

static void import_after_close(void **state)
{
	int fd = fake_foreign_dmabuf(4096), other_fd = fake_foreign_dmabuf(12288);
	struct drover_bo *bo = import(fd);
	uint32_t handle = drover_bo_handle(bo);

	(void)state;
	drover_bo_unref(bo);
	/* the number is free again, now for another buffer */
	bo = import(other_fd);
	assert_int_equal(drover_bo_handle(bo), handle);
	assert_int_equal(drover_bo_size(bo), 12288);
	drover_bo_unref(bo);
	close(other_fd);
	close(fd);
}

/* a BO that is gone must not be found when its number comes back for another import */
static void table_forgets(void **state)
{
	int fds[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		fds[i] = fake_foreign_dmabuf(4096 * (uint64_t)(i + 1));
	for (int round = 0; round < 5; round++) {
		struct drover_bo *bos[3];

		for (int i = 0; i < 3; i++) {
			bos[i] = import(fds[(round + i) % 3]);
			assert_int_equal(drover_bo_size(bos[i]), 4096 * ((round + i) % 3 + 1));
		}
		for (int i = 0; i < 3; i++)
			drover_bo_unref(bos[i]);
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* enough to make the table grow several times, and handles far apart */
static void many_bos(void **state)
{
	enum { COUNT = 1000 };
	static struct drover_bo *bos[COUNT];
	static int fds[COUNT];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		if (i % 10 == 0)
			fake_set_next_handle(1 + (uint32_t)i * 17);
		bos[i] = new_bo(4096);
		fake_forget_calls();
	}
	for (int i = 0; i < COUNT; i += 7) {
		struct drover_bo *again;

		fds[i] = export(bos[i]);
		again = import(fds[i]);
		assert_ptr_equal(again, bos[i]);
		drover_bo_unref(again);
		close(fds[i]);
	}
	/* from both ends, so that chains are cut in the middle */
	for (int i = 0; i < COUNT / 2; i++) {
		drover_bo_unref(bos[i]);
		drover_bo_unref(bos[COUNT - 1 - i]);
		fake_forget_calls();
	}
	assert_int_equal(fake_open_handles(), 0);
}

static void failed_import_closes_handle(void **state)
{
	int fd = fake_foreign_dmabuf(4096);
	struct drover_bo *bo = NULL;

	(void)state;
	fake_fail(DRM_IOCTL_DROVER_BO_INFO, ENODEV);
	assert_int_equal(drover_bo_import(dev, fd, &bo), -ENODEV);
	assert_null(bo);
	assert_int_equal(fake_open_handles(), 0);
	close(fd);
}

struct import_race {
	int fd;
	unsigned int closed_under_us;
};

static void *import_in_a_loop(void *data)
{
	struct import_race *race = data;

	for (int i = 0; i < 500; i++) {
		struct drm_drover_bo_info info;
		struct drover_bo *bo;

		if (drover_bo_import(dev, race->fd, &bo)) {
			race->closed_under_us++;
			continue;
		}
		/* whoever closes the handle under us makes this fail */
		if (drover_bo_info(bo, &info) || info.size != 4096)
			race->closed_under_us++;
		drover_bo_unref(bo);
	}
	return NULL;
}

static void concurrent_imports(void **state)
{
	struct import_race races[4];
	pthread_t threads[4];
	int fd = fake_foreign_dmabuf(4096);

	(void)state;
	fake_record(false);
	fake_widen_races(true);
	for (int i = 0; i < 4; i++) {
		races[i] = (struct import_race){.fd = fd};
		assert_int_equal(pthread_create(&threads[i], NULL, import_in_a_loop, &races[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(races[i].closed_under_us, 0);
	assert_int_equal(fake_bad_handles(), 0);
	close(fd);
}

/* ---- CPU mappings ---- */

static bool is_mapped(void *ptr)
{
	unsigned char vec;

	return mincore(ptr, 1, &vec) == 0;
}

static void map_own(void **state)
{
	struct drover_bo *bo = new_bo(8192);
	const struct drm_drover_bo_mmap expected = {.handle = drover_bo_handle(bo)};
	uint32_t *ptr = NULL, *again = NULL, value = 0;
	off_t offset = (off_t)FAKE_MMAP_OFFSET(drover_bo_handle(bo));

	(void)state;
	assert_int_equal(drover_bo_map(bo, (void **)&ptr), 0);
	assert_sent(DRM_IOCTL_DROVER_BO_MMAP, &expected);
	ptr[2047] = 0xd205e7;
	assert_int_equal(pread(drover_device_fd(dev), &value, 4, offset + 8188), 4);
	assert_int_equal(value, 0xd205e7);

	assert_int_equal(drover_bo_map(bo, (void **)&again), 0);
	assert_ptr_equal(again, ptr);
	assert_int_equal(fake_num_calls_of(DRM_IOCTL_DROVER_BO_MMAP), 1);
	assert_int_equal(drover_bo_unmap(bo), 0);
	assert_true(is_mapped(ptr));
	assert_int_equal(drover_bo_unmap(bo), 0);
	assert_false(is_mapped(ptr));
	assert_int_equal(drover_bo_unmap(bo), -EINVAL);

	assert_int_equal(drover_bo_map(bo, (void **)&ptr), 0);
	assert_int_equal(ptr[2047], 0xd205e7);
	drover_bo_unref(bo);
	assert_false(is_mapped(ptr));
}

static void map_import(void **state)
{
	int fd = fake_foreign_dmabuf(8192);
	struct drover_bo *bo = import(fd);
	uint32_t *ptr = NULL, value = 0;

	(void)state;
	assert_int_equal(drover_bo_map(bo, (void **)&ptr), 0);
	assert_int_equal(fake_num_calls_of(DRM_IOCTL_DROVER_BO_MMAP), 0);
	ptr[1] = 0xbeef;
	assert_int_equal(pread(fd, &value, 4, 4), 4);
	assert_int_equal(value, 0xbeef);
	assert_int_equal(drover_bo_unmap(bo), 0);
	drover_bo_unref(bo);
	close(fd);
}

static void map_failures(void **state)
{
	struct drover_bo *bo = new_bo(4096), *imported, *empty;
	int fd = fake_foreign_dmabuf(4096), empty_fd = fake_foreign_dmabuf(0);
	void *ptr = &fd;

	(void)state;
	fake_fail(DRM_IOCTL_DROVER_BO_MMAP, EOPNOTSUPP);
	assert_int_equal(drover_bo_map(bo, &ptr), -EOPNOTSUPP);
	imported = import(fd);
	fake_fail(DRM_IOCTL_PRIME_HANDLE_TO_FD, EMFILE);
	assert_int_equal(drover_bo_map(imported, &ptr), -EMFILE);
	/* mmap() itself: a length of zero */
	empty = import(empty_fd);
	assert_int_equal(drover_bo_map(empty, &ptr), -EINVAL);
	assert_ptr_equal(ptr, &fd);

	/* a failure isn't counted as a mapping, and a later try may succeed */
	assert_int_equal(drover_bo_unmap(bo), -EINVAL);
	assert_int_equal(drover_bo_unmap(imported), -EINVAL);
	assert_int_equal(drover_bo_map(bo, &ptr), 0);
	drover_bo_unref(bo);
	drover_bo_unref(imported);
	drover_bo_unref(empty);
	close(empty_fd);
	close(fd);
}

#define bo_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		bo_test(create_shared),
		bo_test(create_private),
		bo_test(arguments),
		bo_test(export_flags),
		bo_test(info),
		bo_test(references),
		bo_test(import_twice),
		bo_test(import_of_own_export),
		bo_test(import_after_close),
		bo_test(table_forgets),
		bo_test(many_bos),
		bo_test(failed_import_closes_handle),
		bo_test(concurrent_imports),
		bo_test(map_own),
		bo_test(map_import),
		bo_test(map_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
