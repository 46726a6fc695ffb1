// SPDX-License-Identifier: MIT
/* Owns struct drover_submission: four growing arrays that SUBMIT takes as they are. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "winsys.h"

#define INITIAL_CAPACITY 16

_Static_assert(DROVER_ACCESS_READ == DRM_DROVER_BUFFER_READ, "passed on as it is");
_Static_assert(DROVER_ACCESS_WRITE == DRM_DROVER_BUFFER_WRITE, "passed on as it is");

struct array {
	void *items;
	uint32_t count;
	uint32_t capacity;
};

struct drover_submission {
	struct drover_vm *vm;
	struct array commands;  /* struct drm_drover_command */
	struct array in_syncs;  /* struct drm_drover_sync */
	struct array out_syncs; /* struct drm_drover_sync */
	struct array buffers;   /* struct drm_drover_buffer */
	/* the first error since the last reset */
	int error;
};

static void set_error(struct drover_submission *sub, int error)
{
	if (!sub->error)
		sub->error = error;
}

static int array_grow(struct array *array, size_t item_size)
{
	uint32_t capacity = array->capacity ? 2 * array->capacity : INITIAL_CAPACITY;
	void *items;

	if (array->capacity > UINT32_MAX / 2)
		return -E2BIG;
	items = realloc(array->items, (size_t)capacity * item_size);
	if (!items)
		return -ENOMEM;
	array->items = items;
	array->capacity = capacity;
	return 0;
}

static void append(struct drover_submission *sub, struct array *array, const void *item,
		   size_t item_size)
{
	int ret;

	if (array->count == array->capacity) {
		ret = array_grow(array, item_size);
		if (ret) {
			set_error(sub, ret);
			return;
		}
	}
	memcpy((char *)array->items + array->count * item_size, item, item_size);
	array->count++;
}

int drover_submission_create(struct drover_vm *vm, struct drover_submission **out)
{
	struct drover_submission *sub;

	if (!out)
		return -EINVAL;
	sub = calloc(1, sizeof(*sub));
	if (!sub)
		return -ENOMEM;
	sub->vm = vm;
	*out = sub;
	return 0;
}

void drover_submission_destroy(struct drover_submission *sub)
{
	if (!sub)
		return;
	free(sub->commands.items);
	free(sub->in_syncs.items);
	free(sub->out_syncs.items);
	free(sub->buffers.items);
	free(sub);
}

void drover_submission_reset(struct drover_submission *sub)
{
	/* the memory stays for what comes next */
	sub->commands.count = 0;
	sub->in_syncs.count = 0;
	sub->out_syncs.count = 0;
	sub->buffers.count = 0;
	sub->error = 0;
}

static void append_command(struct drover_submission *sub, const struct drm_drover_command *command)
{
	append(sub, &sub->commands, command, sizeof(*command));
}

void drover_submission_fill(struct drover_submission *sub, uint64_t dst, uint64_t size,
			    uint32_t value, uint32_t step)
{
	append_command(sub, &(struct drm_drover_command){
				    .opcode = DRM_DROVER_OP_FILL,
				    .dst = dst,
				    .size = size,
				    .value = value,
				    .step = step,
			    });
}

void drover_submission_copy(struct drover_submission *sub, uint64_t dst, uint64_t src,
			    uint64_t size)
{
	append_command(sub, &(struct drm_drover_command){
				    .opcode = DRM_DROVER_OP_COPY,
				    .dst = dst,
				    .src = src,
				    .size = size,
			    });
}

void drover_submission_add(struct drover_submission *sub, uint64_t dst, uint64_t src, uint64_t src2,
			   uint64_t size)
{
	append_command(sub, &(struct drm_drover_command){
				    .opcode = DRM_DROVER_OP_ADD,
				    .dst = dst,
				    .src = src,
				    .src2 = src2,
				    .size = size,
			    });
}

void drover_submission_check(struct drover_submission *sub, uint64_t src, uint64_t size,
			     uint32_t value, uint32_t step)
{
	append_command(sub, &(struct drm_drover_command){
				    .opcode = DRM_DROVER_OP_CHECK,
				    .src = src,
				    .size = size,
				    .value = value,
				    .step = step,
			    });
}

void drover_submission_spin(struct drover_submission *sub, uint64_t microseconds)
{
	append_command(sub, &(struct drm_drover_command){
				    .opcode = DRM_DROVER_OP_SPIN,
				    .size = microseconds,
			    });
}

static void append_sync(struct drover_submission *sub, struct array *array,
			const struct drover_sync *sync, uint64_t point)
{
	struct drm_drover_sync item = {.handle = sync->handle, .point = point};

	/* the handle would name something else there */
	if (sync->dev != sub->vm->dev) {
		set_error(sub, -EINVAL);
		return;
	}
	append(sub, array, &item, sizeof(item));
}

void drover_submission_wait(struct drover_submission *sub, struct drover_sync *sync, uint64_t point)
{
	append_sync(sub, &sub->in_syncs, sync, point);
}

void drover_submission_signal(struct drover_submission *sub, struct drover_sync *sync,
			      uint64_t point)
{
	append_sync(sub, &sub->out_syncs, sync, point);
}

void drover_submission_buffer(struct drover_submission *sub, struct drover_bo *bo, uint32_t access)
{
	struct drm_drover_buffer item = {.handle = drover_bo_handle(bo), .flags = access};

	if (bo_device(bo) != sub->vm->dev || !access) {
		set_error(sub, -EINVAL);
		return;
	}
	append(sub, &sub->buffers, &item, sizeof(item));
}

int drover_submission_submit(struct drover_submission *sub)
{
	struct drm_drover_submit args = {
		.vm_id = sub->vm->id,
		.commands = (uintptr_t)sub->commands.items,
		.in_syncs = (uintptr_t)sub->in_syncs.items,
		.out_syncs = (uintptr_t)sub->out_syncs.items,
		.buffers = (uintptr_t)sub->buffers.items,
		.num_commands = sub->commands.count,
		.num_in_syncs = sub->in_syncs.count,
		.num_out_syncs = sub->out_syncs.count,
		.num_buffers = sub->buffers.count,
	};

	if (sub->error)
		return sub->error;
	return device_ioctl(sub->vm->dev->fd, DRM_IOCTL_DROVER_SUBMIT, &args);
}
