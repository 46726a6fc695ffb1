// SPDX-License-Identifier: MIT
/* The submission builder: commands, syncs, buffers, growth, and the sticky error. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

static struct drover_device *dev, *other;
static struct drover_vm *vm;
static struct drover_submission *sub;
static struct drover_sync *sync_a, *sync_b, *other_sync;
static struct drover_bo *bo, *other_bo;

static int setup(void **state)
{
	if (fake_setup(state))
		return -1;
	fake_set_next_handle(55);
	return drover_device_open_fd(fake_node_fd("drover"), &dev) ||
	       drover_device_open_fd(fake_node_fd("drover"), &other) ||
	       drover_vm_create(dev, &vm) || drover_submission_create(vm, &sub) ||
	       drover_sync_create(dev, false, &sync_a) || drover_sync_create(dev, false, &sync_b) ||
	       drover_sync_create(other, false, &other_sync) ||
	       drover_bo_create(dev, 4096, 1, 0, NULL, &bo) ||
	       drover_bo_create(other, 4096, 1, 0, NULL, &other_bo);
}

static int teardown(void **state)
{
	drover_bo_unref(other_bo);
	drover_bo_unref(bo);
	drover_sync_destroy(other_sync);
	drover_sync_destroy(sync_b);
	drover_sync_destroy(sync_a);
	drover_submission_destroy(sub);
	drover_vm_destroy(vm);
	drover_device_close(other);
	drover_device_close(dev);
	return fake_teardown(state);
}

static struct drm_drover_submit last_submit(void)
{
	struct drm_drover_submit submit;

	memcpy(&submit, fake_last(DRM_IOCTL_DROVER_SUBMIT)->arg, sizeof(submit));
	return submit;
}

static void create_arguments(void **state)
{
	(void)state;
	assert_int_equal(drover_submission_create(vm, NULL), -EINVAL);
	drover_submission_destroy(NULL);
}

static void empty(void **state)
{
	const struct drm_drover_submit expected = {.vm_id = drover_vm_id(vm)};

	(void)state;
	assert_int_equal(drover_submission_submit(sub), 0);
	assert_sent(DRM_IOCTL_DROVER_SUBMIT, &expected);
	assert_int_equal(fake_last(DRM_IOCTL_DROVER_SUBMIT)->fd, drover_device_fd(dev));
}

static void commands(void **state)
{
	/* unused fields zero, as the kernel demands */
	const struct drm_drover_command expected[] = {
		{.opcode = 0, .dst = 0x1000, .size = 64, .value = 7, .step = 3},
		{.opcode = 1, .dst = 0x1000, .src = 0x2000, .size = 128},
		{.opcode = 2, .dst = 0x1000, .src = 0x2000, .src2 = 0x3000, .size = 256},
		{.opcode = 3, .src = 0x2000, .size = 512, .value = 9, .step = 5},
		{.opcode = 4, .size = 1500},
	};
	struct drm_drover_submit submit;

	(void)state;
	drover_submission_fill(sub, 0x1000, 64, 7, 3);
	drover_submission_copy(sub, 0x1000, 0x2000, 128);
	drover_submission_add(sub, 0x1000, 0x2000, 0x3000, 256);
	drover_submission_check(sub, 0x2000, 512, 9, 5);
	drover_submission_spin(sub, 1500);
	assert_int_equal(fake_num_calls_of(DRM_IOCTL_DROVER_SUBMIT), 0);
	assert_int_equal(drover_submission_submit(sub), 0);

	submit = last_submit();
	assert_int_equal(submit.vm_id, drover_vm_id(vm));
	assert_int_equal(submit.flags, 0);
	assert_int_equal(submit.num_commands, 5);
	assert_int_equal(submit.num_in_syncs, 0);
	assert_int_equal(submit.num_out_syncs, 0);
	assert_int_equal(submit.num_buffers, 0);
	assert_sent_array(DRM_IOCTL_DROVER_SUBMIT, FAKE_COMMANDS, expected, sizeof(expected));
}

static void syncs_and_buffers(void **state)
{
	const struct drm_drover_sync in[] = {{.handle = drover_sync_handle(sync_a)},
					     {.handle = drover_sync_handle(sync_b),
					      .point = 1ULL << 40}};
	const struct drm_drover_sync out[] = {{.handle = drover_sync_handle(sync_b), .point = 12}};
	const struct drm_drover_buffer buffers[] = {
		{.handle = 55, .flags = DRM_DROVER_BUFFER_READ},
		{.handle = 55, .flags = DRM_DROVER_BUFFER_WRITE},
		{.handle = 55, .flags = DRM_DROVER_BUFFER_READ | DRM_DROVER_BUFFER_WRITE},
	};

	(void)state;
	assert_int_not_equal(in[0].handle, in[1].handle);
	drover_submission_wait(sub, sync_a, 0);
	drover_submission_wait(sub, sync_b, 1ULL << 40);
	drover_submission_signal(sub, sync_b, 12);
	drover_submission_buffer(sub, bo, DROVER_ACCESS_READ);
	drover_submission_buffer(sub, bo, DROVER_ACCESS_WRITE);
	drover_submission_buffer(sub, bo, DROVER_ACCESS_READ | DROVER_ACCESS_WRITE);
	assert_int_equal(drover_submission_submit(sub), 0);

	assert_int_equal(last_submit().num_commands, 0);
	assert_sent_array(DRM_IOCTL_DROVER_SUBMIT, FAKE_IN_SYNCS, in, sizeof(in));
	assert_sent_array(DRM_IOCTL_DROVER_SUBMIT, FAKE_OUT_SYNCS, out, sizeof(out));
	assert_sent_array(DRM_IOCTL_DROVER_SUBMIT, FAKE_BUFFERS, buffers, sizeof(buffers));
}

static void grows(void **state)
{
	enum { COUNT = 5000 };
	struct drm_drover_command *expected = calloc(COUNT, sizeof(*expected));

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++) {
		expected[i].dst = 4 * i;
		expected[i].size = 4;
		expected[i].value = i * 2654435761u;
		drover_submission_fill(sub, 4 * i, 4, i * 2654435761u, 0);
		drover_submission_wait(sub, sync_a, i + 1);
		drover_submission_signal(sub, sync_b, i + 1);
		drover_submission_buffer(sub, bo, DROVER_ACCESS_READ);
	}
	assert_int_equal(drover_submission_submit(sub), 0);
	assert_int_equal(last_submit().num_in_syncs, COUNT);
	assert_int_equal(last_submit().num_out_syncs, COUNT);
	assert_int_equal(last_submit().num_buffers, COUNT);
	assert_sent_array(DRM_IOCTL_DROVER_SUBMIT, FAKE_COMMANDS, expected,
			  COUNT * sizeof(*expected));
	free(expected);
}

static void submit_again_and_reset(void **state)
{
	const struct drm_drover_command first = {.opcode = 4, .size = 1};
	const struct drm_drover_command second = {.opcode = 4, .size = 2};

	(void)state;
	drover_submission_spin(sub, 1);
	drover_submission_wait(sub, sync_a, 0);
	drover_submission_signal(sub, sync_a, 0);
	drover_submission_buffer(sub, bo, DROVER_ACCESS_READ);
	assert_int_equal(drover_submission_submit(sub), 0);
	fake_forget_calls();
	assert_int_equal(drover_submission_submit(sub), 0);
	assert_sent_array(DRM_IOCTL_DROVER_SUBMIT, FAKE_COMMANDS, &first, sizeof(first));

	drover_submission_reset(sub);
	drover_submission_spin(sub, 2);
	assert_int_equal(drover_submission_submit(sub), 0);
	assert_sent_array(DRM_IOCTL_DROVER_SUBMIT, FAKE_COMMANDS, &second, sizeof(second));
	assert_int_equal(last_submit().num_in_syncs, 0);
	assert_int_equal(last_submit().num_out_syncs, 0);
	assert_int_equal(last_submit().num_buffers, 0);
}

static void assert_sticky(int error)
{
	assert_int_equal(drover_submission_submit(sub), error);
	/* what comes after is of no avail */
	drover_submission_spin(sub, 1);
	assert_int_equal(drover_submission_submit(sub), error);
	assert_int_equal(fake_num_calls_of(DRM_IOCTL_DROVER_SUBMIT), 0);
	drover_submission_reset(sub);
	assert_int_equal(drover_submission_submit(sub), 0);
	fake_forget_calls();
}

static void foreign_objects(void **state)
{
	(void)state;
	fake_forget_calls();
	drover_submission_wait(sub, other_sync, 0);
	assert_sticky(-EINVAL);
	drover_submission_signal(sub, other_sync, 0);
	assert_sticky(-EINVAL);
	drover_submission_buffer(sub, other_bo, DROVER_ACCESS_READ);
	assert_sticky(-EINVAL);
	drover_submission_buffer(sub, bo, 0);
	assert_sticky(-EINVAL);
}

/* the arrays grow at different times, so each way of adding meets a failure */
static void no_memory(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		fake_forget_calls();
		fake_fail_allocation(1);
		for (int i = 0; i < 100 && !fake_allocation_failed(); i++) {
			if (kind == 0)
				drover_submission_spin(sub, 1);
			else if (kind == 1)
				drover_submission_wait(sub, sync_a, 0);
			else if (kind == 2)
				drover_submission_signal(sub, sync_a, 0);
			else
				drover_submission_buffer(sub, bo, DROVER_ACCESS_READ);
		}
		assert_true(fake_allocation_failed());
		assert_sticky(-ENOMEM);
	}
}

/* the first error counts, and memory that couldn't grow isn't lost */
static void no_memory_while_growing(void **state)
{
	(void)state;
	drover_submission_spin(sub, 1);
	fake_fail_allocation(1);
	for (int i = 0; i < 100 && !fake_allocation_failed(); i++)
		drover_submission_spin(sub, 1);
	assert_true(fake_allocation_failed());
	drover_submission_wait(sub, other_sync, 0);
	assert_int_equal(drover_submission_submit(sub), -ENOMEM);

	drover_submission_reset(sub);
	for (int i = 0; i < 40; i++)
		drover_submission_spin(sub, 1);
	assert_int_equal(drover_submission_submit(sub), 0);
	assert_int_equal(last_submit().num_commands, 40);
}

static void kernel_error_is_not_sticky(void **state)
{
	(void)state;
	drover_submission_spin(sub, 1);
	fake_fail(DRM_IOCTL_DROVER_SUBMIT, ENOMEM);
	assert_int_equal(drover_submission_submit(sub), -ENOMEM);
	assert_int_equal(drover_submission_submit(sub), 0);
	assert_int_equal(last_submit().num_commands, 1);
}

#define submission_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		submission_test(create_arguments),
		submission_test(empty),
		submission_test(commands),
		submission_test(syncs_and_buffers),
		submission_test(grows),
		submission_test(submit_again_and_reset),
		submission_test(foreign_objects),
		submission_test(no_memory),
		submission_test(no_memory_while_growing),
		submission_test(kernel_error_is_not_sticky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
