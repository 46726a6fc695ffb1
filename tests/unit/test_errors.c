// SPDX-License-Identifier: MIT
/*
 * Every call that reaches the kernel, in one table: each errno is passed on with
 * nothing left behind and no output touched, interruptions are restarted, and no
 * call survives a failed allocation with a leak.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/sync_file.h>

#include "fake.h"

static struct drover_device *dev;
static struct drover_vm *vm;
static struct drover_bo *bo;
static struct drover_sync *syncobj;
static int dmabuf = -1;

/* what a call has made, for the table's test to destroy */
static struct drover_device *made_dev;
static struct drover_vm *made_vm;
static struct drover_bo *made_bo;
static struct drover_sync *made_sync;
static struct drover_submission *made_sub;
static int made_fd = -1;

static int setup(void **state)
{
	if (fake_setup(state))
		return -1;
	dmabuf = fake_foreign_dmabuf(4096);
	return drover_device_open_fd(fake_node_fd("drover"), &dev) || drover_vm_create(dev, &vm) ||
	       drover_bo_create(dev, 4096, 1, 0, NULL, &bo) ||
	       drover_sync_create(dev, false, &syncobj);
}

static int teardown(void **state)
{
	drover_sync_destroy(syncobj);
	drover_bo_unref(bo);
	drover_vm_destroy(vm);
	drover_device_close(dev);
	close(dmabuf);
	return fake_teardown(state);
}

static bool made_anything(void)
{
	return made_dev || made_vm || made_bo || made_sync || made_sub || made_fd != -1;
}

static void destroy_what_was_made(void)
{
	drover_submission_destroy(made_sub);
	drover_sync_destroy(made_sync);
	drover_bo_unref(made_bo);
	drover_vm_destroy(made_vm);
	drover_device_close(made_dev);
	if (made_fd >= 0)
		close(made_fd);
	made_dev = NULL;
	made_vm = NULL;
	made_bo = NULL;
	made_sync = NULL;
	made_sub = NULL;
	made_fd = -1;
}

static int device_open_fd(void)
{
	return drover_device_open_fd(drover_device_fd(dev), &made_dev);
}

static int device_info(void)
{
	struct drm_drover_device_info info;

	return drover_device_info(dev, &info);
}

static int device_evict(void)
{
	return drover_device_evict(dev, NULL);
}

static int bo_create(void)
{
	return drover_bo_create(dev, 4096, 1, 0, NULL, &made_bo);
}

static int bo_import(void)
{
	return drover_bo_import(dev, dmabuf, &made_bo);
}

static int bo_export(void)
{
	return drover_bo_export(bo, &made_fd);
}

static int bo_map(void)
{
	void *ptr;
	int ret = drover_bo_map(bo, &ptr);

	return ret ? ret : drover_bo_unmap(bo);
}

static int bo_info(void)
{
	struct drm_drover_bo_info info;

	return drover_bo_info(bo, &info);
}

static int bo_evict(void)
{
	return drover_bo_evict(bo, NULL);
}

static int vm_create(void)
{
	return drover_vm_create(dev, &made_vm);
}

static int vm_bind(void)
{
	return drover_vm_bind(vm, 0, bo, 0, 4096, 0);
}

static int vm_unbind(void)
{
	return drover_vm_unbind(vm, 0, 4096);
}

static int vm_info(void)
{
	struct drm_drover_vm_info info;

	return drover_vm_info(vm, &info);
}

static int vm_evict(void)
{
	return drover_vm_evict(vm, NULL);
}

static int submit(void)
{
	int ret = drover_submission_create(vm, &made_sub);

	if (ret)
		return ret;
	drover_submission_spin(made_sub, 1);
	drover_submission_wait(made_sub, syncobj, 0);
	drover_submission_signal(made_sub, syncobj, 0);
	drover_submission_buffer(made_sub, bo, DROVER_ACCESS_WRITE);
	ret = drover_submission_submit(made_sub);
	drover_submission_destroy(made_sub);
	made_sub = NULL;
	return ret;
}

static int sync_create(void)
{
	return drover_sync_create(dev, false, &made_sync);
}

static int sync_wait(void)
{
	return drover_sync_wait(syncobj, 0, -1, 0);
}

static int sync_wait_timeline(void)
{
	return drover_sync_wait(syncobj, 1, -1, 0);
}

static int sync_reset(void)
{
	return drover_sync_reset(syncobj);
}

static int sync_signal(void)
{
	return drover_sync_signal(syncobj, 0);
}

static int sync_signal_timeline(void)
{
	return drover_sync_signal(syncobj, 1);
}

static int sync_query(void)
{
	uint64_t point;

	return drover_sync_query(syncobj, &point);
}

static int sync_export_sync_file(void)
{
	return drover_sync_export_sync_file(syncobj, 0, &made_fd);
}

static int sync_export_sync_file_timeline(void)
{
	return drover_sync_export_sync_file(syncobj, 1, &made_fd);
}

static int sync_import_sync_file(void)
{
	return drover_sync_import_sync_file(syncobj, 0, dmabuf);
}

static int sync_import_sync_file_timeline(void)
{
	return drover_sync_import_sync_file(syncobj, 1, dmabuf);
}

static int sync_export(void)
{
	return drover_sync_export(syncobj, &made_fd);
}

static int sync_import(void)
{
	return drover_sync_import(dev, dmabuf, &made_sync);
}

/* its success is 1 */
static int sync_status(void)
{
	int ret = drover_sync_status(syncobj, 0);

	return ret == 1 ? 0 : ret;
}

static int dmabuf_export_sync_file(void)
{
	return drover_dmabuf_export_sync_file(dmabuf, DROVER_ACCESS_READ, &made_fd);
}

static int dmabuf_import_sync_file(void)
{
	return drover_dmabuf_import_sync_file(dmabuf, DROVER_ACCESS_READ, dmabuf);
}

static int dmabuf_begin(void)
{
	return drover_dmabuf_begin_cpu_access(dmabuf, DROVER_ACCESS_READ);
}

static int dmabuf_end(void)
{
	return drover_dmabuf_end_cpu_access(dmabuf, DROVER_ACCESS_READ);
}

#define ENTRY(function, request) {#function " in " #request, function, request}

static const struct entry {
	const char *name;
	int (*call)(void);
	unsigned long request;
} entries[] = {
	ENTRY(device_info, DRM_IOCTL_DROVER_DEVICE_INFO),
	ENTRY(device_evict, DRM_IOCTL_DROVER_EVICT),
	ENTRY(bo_create, DRM_IOCTL_DROVER_BO_CREATE),
	ENTRY(bo_import, DRM_IOCTL_PRIME_FD_TO_HANDLE),
	ENTRY(bo_import, DRM_IOCTL_DROVER_BO_INFO),
	ENTRY(bo_export, DRM_IOCTL_PRIME_HANDLE_TO_FD),
	ENTRY(bo_map, DRM_IOCTL_DROVER_BO_MMAP),
	ENTRY(bo_info, DRM_IOCTL_DROVER_BO_INFO),
	ENTRY(bo_evict, DRM_IOCTL_DROVER_EVICT),
	ENTRY(vm_create, DRM_IOCTL_DROVER_VM_CREATE),
	ENTRY(vm_bind, DRM_IOCTL_DROVER_VM_BIND),
	ENTRY(vm_unbind, DRM_IOCTL_DROVER_VM_BIND),
	ENTRY(vm_info, DRM_IOCTL_DROVER_VM_INFO),
	ENTRY(vm_evict, DRM_IOCTL_DROVER_EVICT),
	ENTRY(submit, DRM_IOCTL_DROVER_SUBMIT),
	ENTRY(sync_create, DRM_IOCTL_SYNCOBJ_CREATE),
	ENTRY(sync_wait, DRM_IOCTL_SYNCOBJ_WAIT),
	ENTRY(sync_wait_timeline, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT),
	ENTRY(sync_reset, DRM_IOCTL_SYNCOBJ_RESET),
	ENTRY(sync_signal, DRM_IOCTL_SYNCOBJ_SIGNAL),
	ENTRY(sync_signal_timeline, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL),
	ENTRY(sync_query, DRM_IOCTL_SYNCOBJ_QUERY),
	ENTRY(sync_export_sync_file, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD),
	ENTRY(sync_export_sync_file_timeline, DRM_IOCTL_SYNCOBJ_TRANSFER),
	ENTRY(sync_import_sync_file, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE),
	ENTRY(sync_import_sync_file_timeline, DRM_IOCTL_SYNCOBJ_TRANSFER),
	ENTRY(sync_export, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD),
	ENTRY(sync_import, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE),
	ENTRY(sync_status, SYNC_IOC_FILE_INFO),
	ENTRY(dmabuf_export_sync_file, DMA_BUF_IOCTL_EXPORT_SYNC_FILE),
	ENTRY(dmabuf_import_sync_file, DMA_BUF_IOCTL_IMPORT_SYNC_FILE),
	ENTRY(dmabuf_begin, DMA_BUF_IOCTL_SYNC),
	ENTRY(dmabuf_end, DMA_BUF_IOCTL_SYNC),
};

#define NUM_ENTRIES (sizeof(entries) / sizeof(entries[0]))

static void every_errno_is_passed_on(void **state)
{
	static const int errors[] = {
		EPERM,  ENOENT, EIO,    E2BIG,  EBADF,  ENOMEM,     EACCES,    EFAULT, EBUSY,
		ENODEV, EINVAL, EMFILE, ENOSPC, ENOTTY, EOPNOTSUPP, ECANCELED, EILSEQ, ETIME,
	};

	(void)state;
	for (size_t i = 0; i < NUM_ENTRIES; i++) {
		for (size_t j = 0; j < sizeof(errors) / sizeof(errors[0]); j++) {
			unsigned int handles = fake_open_handles();
			int ret;

			fake_forget_calls();
			fake_fail(entries[i].request, errors[j]);
			ret = entries[i].call();
			if (ret != -errors[j])
				fail_msg("%s: got %d, expected %d", entries[i].name, ret,
					 -errors[j]);
			if (made_anything())
				fail_msg("%s: output written on error %d", entries[i].name,
					 errors[j]);
			assert_int_equal(fake_open_handles(), handles);
			assert_int_equal(fake_open_syncobjs(), 1);
		}
	}
}

static void interruptions_are_restarted(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM_ENTRIES; i++) {
		fake_forget_calls();
		fake_interrupt(3);
		if (entries[i].call())
			fail_msg("%s: failed because of a signal", entries[i].name);
		assert_true(fake_num_calls() >= 4);
		destroy_what_was_made();
	}
}

/* allocations 1, 2, … of each call fail until it needs no more of them */
static void failed_allocations(void **state)
{
	static const struct {
		const char *name;
		int (*call)(void);
		unsigned int allocations;
	} calls[] = {
		{"device_open_fd", device_open_fd, 2},
		{"bo_create", bo_create, 1},
		{"bo_import", bo_import, 1},
		{"vm_create", vm_create, 1},
		{"submit", submit, 5},
		{"sync_create", sync_create, 1},
		{"sync_import", sync_import, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		unsigned int n;

		for (n = 1; n < 20; n++) {
			unsigned int handles = fake_open_handles();
			int ret;

			fake_fail_allocation(n);
			ret = calls[i].call();
			if (!fake_allocation_failed()) {
				assert_int_equal(ret, 0);
				break;
			}
			if (ret != -ENOMEM || made_bo || made_dev || made_vm || made_sync)
				fail_msg("%s: allocation %u failed, got %d", calls[i].name, n, ret);
			drover_submission_destroy(made_sub);
			made_sub = NULL;
			assert_int_equal(fake_open_handles(), handles);
			assert_int_equal(fake_open_syncobjs(), 1);
		}
		fake_fail_allocation(0);
		destroy_what_was_made();
		if (n - 1 != calls[i].allocations)
			fail_msg("%s: made %u allocations, expected %u", calls[i].name, n - 1,
				 calls[i].allocations);
	}
}

static void failed_allocation_while_listing_nodes(void **state)
{
	static const struct fake_node nodes[] = {{"renderD128", "drover", 0}, {NULL, NULL, 0}};

	(void)state;
	fake_set_nodes(nodes);
	for (unsigned int n = 1; n <= 3; n++) {
		fake_fail_allocation(n);
		assert_int_equal(drover_device_open(0, &made_dev), -ENOMEM);
		assert_true(fake_allocation_failed());
		assert_null(made_dev);
	}
	fake_fail_allocation(0);
	assert_int_equal(drover_device_open(0, &made_dev), 0);
	destroy_what_was_made();
}

/* the table of BOs can't grow: slower, but nothing fails and nothing is lost */
static void failed_growth_of_the_table(void **state)
{
	enum { COUNT = 200 };
	static struct drover_bo *bos[COUNT];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		/* the BO itself is the first allocation, the larger table the second */
		fake_fail_allocation(2);
		assert_int_equal(drover_bo_create(dev, 4096, 1, 0, NULL, &bos[i]), 0);
	}
	assert_true(fake_allocation_failed());
	fake_fail_allocation(0);
	for (int i = 0; i < COUNT; i++) {
		int fd;

		assert_int_equal(drover_bo_export(bos[i], &fd), 0);
		assert_int_equal(drover_bo_import(dev, fd, &made_bo), 0);
		assert_ptr_equal(made_bo, bos[i]);
		destroy_what_was_made();
		close(fd);
	}
	for (int i = 0; i < COUNT; i++)
		drover_bo_unref(bos[i]);
}

#define error_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		error_test(every_errno_is_passed_on),
		error_test(interruptions_are_restarted),
		error_test(failed_allocations),
		error_test(failed_allocation_while_listing_nodes),
		error_test(failed_growth_of_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
