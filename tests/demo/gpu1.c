// SPDX-License-Identifier: MIT
/*
 * GPU 1: imports every frame, keeps all imports, mixes each frame with two older
 * ones, and keeps all results.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

struct gpu1 {
	struct run *run;
	struct drover_device *dev;
	struct drover_vm *vm;
	struct drover_submission *sub;
	struct drover_sync *done;
	uint64_t va_start;
	struct watched frames[NUM_FRAMES];
	struct watched results[NUM_FRAMES];
};

/*
 * What a job works on besides key frames; the next one's takes its place. Key
 * frames follow at addresses of their own: they stay part of the working set.
 */
enum slot { SLOT_FRAME, SLOT_NEAR, SLOT_RESULT, NUM_SLOTS };

static uint64_t slot_va(struct gpu1 *gpu, enum slot slot)
{
	return gpu->va_start + (uint64_t)slot * FRAME_BO_BYTES;
}

static uint64_t key_va(struct gpu1 *gpu, unsigned int n)
{
	return slot_va(gpu, NUM_SLOTS) + (uint64_t)(n / KEY_DISTANCE) * FRAME_BO_BYTES;
}

static int gpu1_open(struct gpu1 *gpu, bool pinned_mode)
{
	struct drm_drover_device_info info;
	int ret;

	ret = open_gpu(1, pinned_mode, &gpu->dev);
	if (ret)
		return ret;
	ret = drover_device_info(gpu->dev, &info);
	gpu->va_start = info.va_start;
	if (!ret)
		ret = drover_vm_create(gpu->dev, &gpu->vm);
	if (!ret)
		ret = drover_submission_create(gpu->vm, &gpu->sub);
	if (!ret)
		ret = drover_sync_create(gpu->dev, false, &gpu->done);
	if (ret)
		complain(ret, "GPU 1 can't be prepared");
	return ret;
}

static void gpu1_close(struct gpu1 *gpu)
{
	for (unsigned int n = 0; n < NUM_FRAMES; n++) {
		drover_bo_unref(gpu->results[n].bo);
		drover_bo_unref(gpu->frames[n].bo);
	}
	drover_sync_destroy(gpu->done);
	drover_submission_destroy(gpu->sub);
	drover_vm_destroy(gpu->vm);
	drover_device_close(gpu->dev);
}

static int bind_slots(struct gpu1 *gpu, struct drover_bo *const bos[NUM_SLOTS])
{
	struct drm_drover_bind binds[NUM_SLOTS];

	memset(binds, 0, sizeof(binds));
	for (unsigned int slot = 0; slot < NUM_SLOTS; slot++) {
		binds[slot].op = DRM_DROVER_BIND_MAP;
		binds[slot].flags = slot == SLOT_RESULT ? 0 : DRM_DROVER_BIND_READONLY;
		binds[slot].handle = drover_bo_handle(bos[slot]);
		binds[slot].va = slot_va(gpu, slot);
		binds[slot].size = FRAME_BO_BYTES;
	}
	return drover_vm_bind_array(gpu->vm, binds, NUM_SLOTS, NULL);
}

static void add_mix(struct gpu1 *gpu, unsigned int n)
{
	uint64_t frame = slot_va(gpu, SLOT_FRAME), near = slot_va(gpu, SLOT_NEAR);
	uint64_t far = key_va(gpu, echo_far(n)), result = slot_va(gpu, SLOT_RESULT);

	/* 3 × frame + 2 × near + far; no channel reaches 256, so none spills into the next */
	drover_submission_add(gpu->sub, result, frame, frame, FRAME_BYTES);
	drover_submission_add(gpu->sub, result, result, frame, FRAME_BYTES);
	drover_submission_add(gpu->sub, result, result, near, FRAME_BYTES);
	drover_submission_add(gpu->sub, result, result, near, FRAME_BYTES);
	drover_submission_add(gpu->sub, result, result, far, FRAME_BYTES);
}

static int mix(struct gpu1 *gpu, unsigned int n, struct drover_bo *const bos[NUM_SLOTS])
{
	int ret;

	ret = bind_slots(gpu, bos);
	if (ret)
		return ret;
	drover_submission_reset(gpu->sub);
	add_mix(gpu, n);
	/* implicit sync with GPU 0, which may be rendering still */
	drover_submission_buffer(gpu->sub, bos[SLOT_FRAME], DROVER_ACCESS_READ);
	drover_submission_buffer(gpu->sub, bos[SLOT_NEAR], DROVER_ACCESS_READ);
	drover_submission_buffer(gpu->sub, gpu->frames[echo_far(n)].bo, DROVER_ACCESS_READ);
	drover_submission_signal(gpu->sub, gpu->done, 0);
	ret = drover_submission_submit(gpu->sub);
	if (!ret)
		ret = drover_sync_wait(gpu->done, 0, PATIENCE_NS, 0);
	if (ret)
		return ret;
	ret = drover_sync_status(gpu->done, 0);
	return ret < 0 ? ret : 0;
}

static int make_result(struct gpu1 *gpu, unsigned int n)
{
	struct drover_bo *bos[NUM_SLOTS] = {
		[SLOT_FRAME] = gpu->frames[n].bo,
		[SLOT_NEAR] = gpu->frames[echo_near(n)].bo,
	};
	int ret;

	ret = drover_bo_create(gpu->dev, FRAME_BO_BYTES,
			       DRM_DROVER_PLACEMENT_VRAM | DRM_DROVER_PLACEMENT_GTT,
			       DRM_DROVER_PLACEMENT_VRAM, NULL, &bos[SLOT_RESULT]);
	if (ret)
		return ret;
	ret = mix(gpu, n, bos);
	if (ret)
		drover_bo_unref(bos[SLOT_RESULT]);
	else
		gpu->results[n].bo = bos[SLOT_RESULT];
	return ret;
}

static int import_frame(struct gpu1 *gpu, unsigned int n, int dmabuf)
{
	int ret;

	ret = drover_bo_import(gpu->dev, dmabuf, &gpu->frames[n].bo);
	if (ret || n % KEY_DISTANCE)
		return ret;
	return drover_vm_bind(gpu->vm, key_va(gpu, n), gpu->frames[n].bo, 0, FRAME_BO_BYTES,
			      DRM_DROVER_BIND_READONLY);
}

static int process_frame(struct gpu1 *gpu, unsigned int n, int dmabuf, uint32_t *stage)
{
	int ret;

	*stage = STAGE_IMPORT;
	ret = import_frame(gpu, n, dmabuf);
	if (ret)
		return ret;
	if (!gpu->frames[echo_near(n)].bo || !gpu->frames[echo_far(n)].bo) {
		*stage = STAGE_ECHO;
		return 0;
	}
	*stage = STAGE_MIX;
	ret = make_result(gpu, n);
	if (!ret)
		*stage = STAGE_DONE;
	return ret;
}

/* 0 also if there was no memory, which is written down */
static int serve_frame(struct gpu1 *gpu, unsigned int n, int dmabuf)
{
	struct frame *frame;
	int ret;

	if (n >= NUM_FRAMES)
		return -EINVAL;
	frame = &gpu->run->frames[n];
	ret = process_frame(gpu, n, dmabuf, &frame->stage);
	if (ret && !is_allocation_failure(ret)) {
		complain(ret, "frame %u: %s failed", n, stage_name(frame->stage));
		return ret;
	}
	frame->error = ret;
	return 0;
}

static int serve_sample(struct gpu1 *gpu, unsigned int sample)
{
	struct cell *cells;
	int ret = 0;

	if (sample >= NUM_SAMPLES)
		return -EINVAL;
	cells = gpu->run->cells[sample];
	for (unsigned int n = 0; !ret && n < NUM_FRAMES; n++) {
		ret = watch_import(&gpu->frames[n], &cells[OBJECT_FRAME(n)]);
		if (!ret)
			ret = watch_own(&gpu->results[n], &cells[OBJECT_RESULT(n)]);
	}
	return ret;
}

/* through the CPU's mapping, which follows each result to wherever it is by now */
static int read_result(struct gpu1 *gpu, unsigned int n)
{
	struct run *run = gpu->run;
	void *pixels;
	int ret;

	ret = drover_bo_map(gpu->results[n].bo, &pixels);
	if (ret)
		return ret;
	run->frames[n].checksum = picture_checksum(pixels);
	memcpy(run->last_picture, pixels, FRAME_BYTES);
	run->last_frame = (int32_t)n;
	return drover_bo_unmap(gpu->results[n].bo);
}

static int serve_finish(struct gpu1 *gpu)
{
	struct gpu_totals *totals = &gpu->run->gpu[1];
	int ret = 0;

	for (unsigned int n = 0; !ret && n < NUM_FRAMES; n++) {
		totals_add_bo(totals, &gpu->frames[n], true);
		totals_add_bo(totals, &gpu->results[n], false);
		if (gpu->results[n].bo)
			ret = read_result(gpu, n);
	}
	return ret ? ret : totals_add_device(totals, gpu->dev);
}

static int serve(struct gpu1 *gpu, const struct message *message)
{
	switch (message->request) {
	case REQUEST_FRAME:
		return serve_frame(gpu, message->argument, message->fd);
	case REQUEST_SAMPLE:
		return serve_sample(gpu, message->argument);
	case REQUEST_FINISH:
		return serve_finish(gpu);
	}
	return -EINVAL;
}

int gpu1_serve(int socket, bool pinned_mode, struct run *run)
{
	struct gpu1 *gpu = calloc(1, sizeof(*gpu));
	struct message message;
	int ret;

	if (!gpu)
		return -ENOMEM;
	gpu->run = run;
	ret = gpu1_open(gpu, pinned_mode);
	/* whether it is ready is the first reply */
	if (!send_reply(socket, ret) && !ret) {
		while (!receive_request(socket, &message)) {
			ret = serve(gpu, &message);
			if (message.fd >= 0)
				close(message.fd);
			if (send_reply(socket, ret))
				break;
		}
	}
	gpu1_close(gpu);
	free(gpu);
	return ret;
}
