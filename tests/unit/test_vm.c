// SPDX-License-Identifier: MIT
/* Address spaces and eviction: what is sent and what comes back. */
#include <errno.h>
#include <string.h>

#include "fake.h"

static struct drover_device *dev;
static struct drover_vm *vm;
static struct drover_bo *bo;

static int setup(void **state)
{
	if (fake_setup(state))
		return -1;
	/* so that VM, BO and device have different numbers */
	fake_set_next_handle(77);
	return drover_device_open_fd(fake_node_fd("drover"), &dev) || drover_vm_create(dev, &vm) ||
	       drover_bo_create(dev, 0x10000, DRM_DROVER_PLACEMENT_VRAM, 0, NULL, &bo);
}

static int teardown(void **state)
{
	drover_bo_unref(bo);
	drover_vm_destroy(vm);
	drover_device_close(dev);
	return fake_teardown(state);
}

static void create_and_destroy(void **state)
{
	const struct drm_drover_vm_create zero = {0};
	struct drm_drover_vm_destroy expected = {0};
	struct drover_vm *second;

	(void)state;
	assert_int_equal(drover_vm_create(dev, NULL), -EINVAL);
	assert_int_equal(drover_vm_create(dev, &second), 0);
	assert_sent(DRM_IOCTL_DROVER_VM_CREATE, &zero);
	assert_int_not_equal(drover_vm_id(second), drover_vm_id(vm));
	expected.vm_id = drover_vm_id(second);
	drover_vm_destroy(second);
	assert_sent(DRM_IOCTL_DROVER_VM_DESTROY, &expected);
	fake_forget_calls();
	drover_vm_destroy(NULL);
	assert_int_equal(fake_num_calls(), 0);
}

/* all but the pointer, which is checked by what it leads to */
static void assert_bind_sent(const struct drm_drover_bind *binds, uint32_t count)
{
	struct drm_drover_vm_bind expected = {.vm_id = drover_vm_id(vm), .num_binds = count};
	struct drm_drover_vm_bind sent;

	memcpy(&sent, fake_last(DRM_IOCTL_DROVER_VM_BIND)->arg, sizeof(sent));
	sent.binds = 0;
	assert_memory_equal(&sent, &expected, sizeof(sent));
	assert_sent_array(DRM_IOCTL_DROVER_VM_BIND, FAKE_BINDS, binds, count * sizeof(*binds));
}

static void bind(void **state)
{
	const struct drm_drover_bind expected = {
		.op = DRM_DROVER_BIND_MAP,
		.flags = DRM_DROVER_BIND_READONLY,
		.handle = 77,
		.bo_offset = 0x3000,
		.va = 0x123456000,
		.size = 0x2000,
	};

	(void)state;
	assert_int_equal(drover_bo_handle(bo), 77);
	assert_int_equal(
		drover_vm_bind(vm, 0x123456000, bo, 0x3000, 0x2000, DRM_DROVER_BIND_READONLY), 0);
	assert_bind_sent(&expected, 1);
}

static void unbind(void **state)
{
	const struct drm_drover_bind expected = {
		.op = DRM_DROVER_BIND_UNMAP,
		.va = 0x5000,
		.size = 0x1000,
	};

	(void)state;
	assert_int_equal(drover_vm_unbind(vm, 0x5000, 0x1000), 0);
	assert_bind_sent(&expected, 1);
}

static void bind_array(void **state)
{
	struct drm_drover_bind binds[3];
	uint32_t failed = 99;

	(void)state;
	memset(binds, 0, sizeof(binds));
	for (uint32_t i = 0; i < 3; i++) {
		binds[i].op = i & 1;
		binds[i].va = 0x10000 + i * 0x1000;
		binds[i].size = 0x1000;
	}
	assert_int_equal(drover_vm_bind_array(vm, binds, 3, &failed), 0);
	assert_bind_sent(binds, 3);
	assert_int_equal(failed, 99);

	fake_fail(DRM_IOCTL_DROVER_VM_BIND, EINVAL);
	assert_int_equal(drover_vm_bind_array(vm, binds, 3, &failed), -EINVAL);
	assert_int_equal(failed, 2);
	fake_fail(DRM_IOCTL_DROVER_VM_BIND, ECANCELED);
	assert_int_equal(drover_vm_bind_array(vm, binds, 3, NULL), -ECANCELED);
}

static void bind_arguments(void **state)
{
	struct drm_drover_bind bind = {.op = DRM_DROVER_BIND_UNMAP, .size = 4096};
	struct drover_device *other;
	struct drover_bo *foreign;
	uint32_t failed = 99;

	(void)state;
	assert_int_equal(drover_device_open_fd(fake_node_fd("drover"), &other), 0);
	assert_int_equal(drover_bo_create(other, 4096, 1, 0, NULL, &foreign), 0);
	fake_forget_calls();

	assert_int_equal(drover_vm_bind(vm, 0, foreign, 0, 4096, 0), -EINVAL);
	assert_int_equal(drover_vm_bind_array(vm, NULL, 1, &failed), -EINVAL);
	assert_int_equal(failed, 1);
	assert_int_equal(drover_vm_bind_array(vm, &bind, 0, &failed), -EINVAL);
	assert_int_equal(failed, 0);
	assert_int_equal(drover_vm_bind_array(vm, &bind, 0, NULL), -EINVAL);
	assert_int_equal(drover_vm_info(vm, NULL), -EINVAL);
	assert_int_equal(fake_num_calls(), 0);

	drover_bo_unref(foreign);
	drover_device_close(other);
}

static void info(void **state)
{
	const struct drm_drover_vm_info expected = {.vm_id = drover_vm_id(vm)};
	struct drm_drover_vm_info out;

	(void)state;
	memset(&out, 0xff, sizeof(out));
	assert_int_equal(drover_vm_info(vm, &out), 0);
	assert_sent(DRM_IOCTL_DROVER_VM_INFO, &expected);
	assert_int_equal(out.mappings, 7);
	assert_int_equal(out.fault_address, 0);
}

static void evict_targets(void **state)
{
	struct drm_drover_evict expected = {.target = DRM_DROVER_EVICT_BO, .id = 77};
	struct drm_drover_evict result;

	(void)state;
	memset(&result, 0xff, sizeof(result));
	assert_int_equal(drover_bo_evict(bo, &result), 0);
	assert_sent(DRM_IOCTL_DROVER_EVICT, &expected);
	assert_int_equal(result.evicted, 3);
	assert_int_equal(result.evicted_bytes, 12288);

	assert_int_equal(drover_vm_evict(vm, NULL), 0);
	expected.target = DRM_DROVER_EVICT_VM;
	expected.id = drover_vm_id(vm);
	assert_sent(DRM_IOCTL_DROVER_EVICT, &expected);

	assert_int_equal(drover_device_evict(dev, NULL), 0);
	expected.target = DRM_DROVER_EVICT_ALL;
	expected.id = 0;
	assert_sent(DRM_IOCTL_DROVER_EVICT, &expected);
}

static void evict_reports_what_is_pinned(void **state)
{
	struct drm_drover_evict result = {0};

	(void)state;
	fake_fail(DRM_IOCTL_DROVER_EVICT, EBUSY);
	assert_int_equal(drover_device_evict(dev, &result), -EBUSY);
	assert_int_equal(result.evicted, 3);
	assert_int_equal(result.busy, 1);

	memset(&result, 0, sizeof(result));
	fake_fail(DRM_IOCTL_DROVER_EVICT, ENODEV);
	assert_int_equal(drover_device_evict(dev, &result), -ENODEV);
	assert_int_equal(result.evicted, 0);
	fake_fail(DRM_IOCTL_DROVER_EVICT, EBUSY);
	assert_int_equal(drover_vm_evict(vm, NULL), -EBUSY);
}

static void map_aperture(void **state)
{
	struct drm_drover_vm_mmap expected = {.target = DRM_DROVER_VM_MMAP_APERTURE};
	void *base, *second;

	(void)state;
	expected.vm_id = drover_vm_id(vm);
	assert_int_equal(drover_vm_map_aperture(vm, 0, &base), 0);
	assert_sent(DRM_IOCTL_DROVER_VM_MMAP, &expected);
	assert_int_equal((uintptr_t)base % (2 << 20), 0);
	assert_int_equal(drover_vm_map_aperture(vm, 4096, &second), 0);
	assert_ptr_not_equal(base, second);
	assert_int_equal(drover_vm_unmap_aperture(vm, second, 4096), 0);
	assert_int_equal(drover_vm_unmap_aperture(vm, base, 0), 0);

	assert_int_equal(drover_vm_map_aperture(vm, FAKE_APERTURE_SIZE + 4096, &base), -EINVAL);
	assert_int_equal(drover_vm_map_aperture(vm, 4097, &base), -EINVAL);
	assert_int_equal(drover_vm_map_aperture(vm, 0, NULL), -EINVAL);
	fake_fail(DRM_IOCTL_DROVER_VM_MMAP, EINVAL);
	assert_int_equal(drover_vm_map_aperture(vm, 0, &base), -EOPNOTSUPP);
	fake_fail(DRM_IOCTL_DROVER_VM_MMAP, ENOMEM);
	assert_int_equal(drover_vm_map_aperture(vm, 0, &base), -ENOMEM);
}

static void map_status(void **state)
{
	struct drm_drover_vm_mmap expected = {.target = DRM_DROVER_VM_MMAP_STATUS};
	const volatile struct drm_drover_vm_status *status;

	(void)state;
	expected.vm_id = drover_vm_id(vm);
	assert_int_equal(drover_vm_map_status(vm, &status), 0);
	assert_sent(DRM_IOCTL_DROVER_VM_MMAP, &expected);
	drover_vm_unmap_status(status);
	drover_vm_unmap_status(NULL);
	assert_int_equal(drover_vm_map_status(vm, NULL), -EINVAL);
	fake_fail(DRM_IOCTL_DROVER_VM_MMAP, EINVAL);
	assert_int_equal(drover_vm_map_status(vm, &status), -EOPNOTSUPP);
}

#define vm_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		vm_test(create_and_destroy),
		vm_test(bind),
		vm_test(unbind),
		vm_test(bind_array),
		vm_test(bind_arguments),
		vm_test(info),
		vm_test(map_aperture),
		vm_test(map_status),
		vm_test(evict_targets),
		vm_test(evict_reports_what_is_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
