// SPDX-License-Identifier: MIT
/*
 * GPU 0: renders frames into exported BOs, and has other work to do, which
 * needs more memory than it has: nobody here evicts anything, or cares.
 */
#include <stdlib.h>
#include <string.h>

#include "demo.h"

/* where things are bound, from the lowest address of a VM */
#define VA_STAGING     0
#define VA_FRAME       (16u << 20)

/* what the assets hold, so that it can be checked */
#define ASSET_VALUE(i) (0x01000193u * ((i) + 1))
#define ASSET_STEP     2654435761u
/* how much of an asset a frame's work reads; it has to be there as a whole */
#define ASSET_SLICE    (256u << 10)

struct group {
	struct drover_vm *vm;
	struct drover_submission *sub;
};

struct gpu0 {
	struct run *run;
	struct drover_device *dev;
	struct drover_sync *render_done;
	struct drover_sync *work_done;
	uint64_t va_start;

	struct drover_vm *vm;
	struct drover_submission *sub;
	struct watched staging;
	void *staging_ptr;
	bool rendering;
	struct watched frames[NUM_FRAMES];

	struct group groups[NUM_GROUPS];
	struct watched assets[NUM_ASSETS];
};

/* waits for a job and returns how it ended */
static int wait_for(struct drover_sync *sync)
{
	int ret = drover_sync_wait(sync, 0, PATIENCE_NS, 0);

	if (ret)
		return ret;
	ret = drover_sync_status(sync, 0);
	return ret < 0 ? ret : 0;
}

static int open_staging(struct gpu0 *gpu)
{
	int ret;

	ret = drover_vm_create(gpu->dev, &gpu->vm);
	if (!ret)
		ret = drover_submission_create(gpu->vm, &gpu->sub);
	if (!ret)
		ret = drover_sync_create(gpu->dev, false, &gpu->render_done);
	if (!ret)
		ret = drover_sync_create(gpu->dev, false, &gpu->work_done);
	if (!ret)
		ret = drover_bo_create(gpu->dev, FRAME_BO_BYTES, DRM_DROVER_PLACEMENT_GTT, 0, NULL,
				       &gpu->staging.bo);
	if (!ret)
		ret = drover_bo_map(gpu->staging.bo, &gpu->staging_ptr);
	if (!ret)
		ret = drover_vm_bind(gpu->vm, gpu->va_start + VA_STAGING, gpu->staging.bo, 0,
				     FRAME_BO_BYTES, DRM_DROVER_BIND_READONLY);
	return ret;
}

static int open_asset(struct gpu0 *gpu, struct group *group, unsigned int i)
{
	uint64_t va = gpu->va_start + (uint64_t)(i % GROUP_BOS) * ASSET_BYTES;
	struct watched *asset = &gpu->assets[i];
	int ret;

	ret = drover_bo_create(gpu->dev, ASSET_BYTES, DRM_DROVER_PLACEMENT_VRAM, 0, NULL,
			       &asset->bo);
	if (ret)
		return ret;
	ret = drover_vm_bind(group->vm, va, asset->bo, 0, ASSET_BYTES, 0);
	if (ret)
		return ret;
	drover_submission_fill(group->sub, va, ASSET_BYTES, ASSET_VALUE(i), ASSET_STEP);
	return 0;
}

static int open_group(struct gpu0 *gpu, unsigned int g)
{
	struct group *group = &gpu->groups[g];
	int ret;

	ret = drover_vm_create(gpu->dev, &group->vm);
	if (!ret)
		ret = drover_submission_create(group->vm, &group->sub);
	for (unsigned int i = 0; !ret && i < GROUP_BOS; i++)
		ret = open_asset(gpu, group, g * GROUP_BOS + i);
	if (ret)
		return ret;
	drover_submission_signal(group->sub, gpu->work_done, 0);
	ret = drover_submission_submit(group->sub);
	return ret ? ret : wait_for(gpu->work_done);
}

int gpu0_open(bool pinned_mode, struct run *run, struct gpu0 **out)
{
	struct drm_drover_device_info info;
	struct gpu0 *gpu = calloc(1, sizeof(*gpu));
	int ret;

	if (!gpu)
		return -ENOMEM;
	gpu->run = run;
	ret = open_gpu(0, pinned_mode, &gpu->dev);
	if (ret)
		goto err;
	ret = drover_device_info(gpu->dev, &info);
	gpu->va_start = info.va_start;
	if (!ret)
		ret = open_staging(gpu);
	for (unsigned int g = 0; !ret && g < NUM_GROUPS; g++)
		ret = open_group(gpu, g);
	if (ret) {
		complain(ret, "GPU 0 can't be prepared");
		goto err;
	}
	*out = gpu;
	return 0;

err:
	gpu0_close(gpu);
	return ret;
}

/* one group's turn: all of its buffers have to be resident, and are read in part */
static int work(struct gpu0 *gpu, unsigned int n, bool all)
{
	unsigned int g = n % NUM_GROUPS;
	struct group *group = &gpu->groups[g];
	uint32_t slices = ASSET_BYTES / ASSET_SLICE;
	uint32_t offset = all ? 0 : n % slices * ASSET_SLICE;
	int ret;

	drover_submission_reset(group->sub);
	for (unsigned int i = 0; i < GROUP_BOS; i++)
		drover_submission_check(group->sub,
					gpu->va_start + (uint64_t)i * ASSET_BYTES + offset,
					all ? ASSET_BYTES : ASSET_SLICE,
					ASSET_VALUE(g * GROUP_BOS + i) + offset / 4 * ASSET_STEP,
					ASSET_STEP);
	drover_submission_signal(group->sub, gpu->work_done, 0);
	ret = drover_submission_submit(group->sub);
	return ret ? ret : wait_for(gpu->work_done);
}

static int render(struct gpu0 *gpu, struct drover_bo *bo, const uint32_t *pixels)
{
	uint64_t va = gpu->va_start + VA_FRAME;
	int ret;

	memcpy(gpu->staging_ptr, pixels, FRAME_BYTES);
	/* takes the place of the frame before, which may go where it likes from now on */
	ret = drover_vm_bind(gpu->vm, va, bo, 0, FRAME_BO_BYTES, 0);
	if (ret)
		return ret;
	drover_submission_reset(gpu->sub);
	drover_submission_copy(gpu->sub, va, gpu->va_start + VA_STAGING, FRAME_BYTES);
	drover_submission_buffer(gpu->sub, bo, DROVER_ACCESS_WRITE);
	drover_submission_signal(gpu->sub, gpu->render_done, 0);
	ret = drover_submission_submit(gpu->sub);
	gpu->rendering = !ret;
	if (ret)
		drover_vm_unbind(gpu->vm, va, FRAME_BO_BYTES);
	return ret;
}

static int try_frame(struct gpu0 *gpu, unsigned int n, const uint32_t *pixels, int *dmabuf)
{
	struct drover_bo *bo;
	int ret;

	ret = drover_bo_create(gpu->dev, FRAME_BO_BYTES,
			       DRM_DROVER_PLACEMENT_VRAM | DRM_DROVER_PLACEMENT_GTT,
			       DRM_DROVER_PLACEMENT_VRAM, NULL, &bo);
	if (ret)
		return ret;
	ret = render(gpu, bo, pixels);
	if (!ret)
		ret = drover_bo_export(bo, dmabuf);
	if (ret) {
		drover_bo_unref(bo);
		return ret;
	}
	/* not waited for: GPU 1's job waits for it by implicit sync */
	gpu->frames[n].bo = bo;
	return 0;
}

int gpu0_frame(struct gpu0 *gpu, unsigned int n, const uint32_t *pixels, int *dmabuf)
{
	struct frame *frame = &gpu->run->frames[n];
	int ret = 0;

	*dmabuf = -1;
	/* the staging buffer is read until then */
	if (gpu->rendering)
		ret = wait_for(gpu->render_done);
	gpu->rendering = false;
	if (!ret)
		ret = work(gpu, n, false);
	if (!ret)
		ret = try_frame(gpu, n, pixels, dmabuf);
	if (!is_allocation_failure(ret))
		return ret;
	frame->stage = STAGE_RENDER;
	frame->error = ret;
	return 0;
}

int gpu0_sample(struct gpu0 *gpu, unsigned int sample)
{
	struct cell *cells = gpu->run->cells[sample];
	struct cell unused = {0};
	int ret;

	ret = watch_own(&gpu->staging, &unused);
	for (unsigned int n = 0; !ret && n < NUM_FRAMES; n++)
		ret = watch_own(&gpu->frames[n], &cells[OBJECT_FRAME(n)]);
	for (unsigned int i = 0; !ret && i < NUM_ASSETS; i++)
		ret = watch_own(&gpu->assets[i], &cells[OBJECT_ASSET(i)]);
	return ret;
}

int gpu0_info(struct gpu0 *gpu, struct drm_drover_device_info *info)
{
	return drover_device_info(gpu->dev, info);
}

static int count_failed_checks(struct gpu0 *gpu)
{
	for (unsigned int g = 0; g < NUM_GROUPS; g++) {
		struct drm_drover_vm_info info;
		int ret = drover_vm_info(gpu->groups[g].vm, &info);

		if (ret)
			return ret;
		gpu->run->gpu[0].failed_checks += info.failed_checks;
	}
	return 0;
}

int gpu0_finish(struct gpu0 *gpu)
{
	struct gpu_totals *totals = &gpu->run->gpu[0];
	int ret = 0;

	if (gpu->rendering)
		ret = wait_for(gpu->render_done);
	/* every byte of the assets, after all that moving; what differs is counted */
	for (unsigned int g = 0; (!ret || ret == -EILSEQ) && g < NUM_GROUPS; g++)
		ret = work(gpu, g, true);
	if (ret && ret != -EILSEQ)
		return ret;
	ret = count_failed_checks(gpu);
	if (ret)
		return ret;

	totals_add_bo(totals, &gpu->staging, false);
	for (unsigned int n = 0; n < NUM_FRAMES; n++)
		totals_add_bo(totals, &gpu->frames[n], false);
	for (unsigned int i = 0; i < NUM_ASSETS; i++)
		totals_add_bo(totals, &gpu->assets[i], false);
	return totals_add_device(totals, gpu->dev);
}

void gpu0_close(struct gpu0 *gpu)
{
	for (unsigned int i = 0; i < NUM_ASSETS; i++)
		drover_bo_unref(gpu->assets[i].bo);
	for (unsigned int g = 0; g < NUM_GROUPS; g++) {
		drover_submission_destroy(gpu->groups[g].sub);
		drover_vm_destroy(gpu->groups[g].vm);
	}
	for (unsigned int n = 0; n < NUM_FRAMES; n++)
		drover_bo_unref(gpu->frames[n].bo);
	drover_bo_unref(gpu->staging.bo);
	drover_sync_destroy(gpu->work_done);
	drover_sync_destroy(gpu->render_done);
	drover_submission_destroy(gpu->sub);
	drover_vm_destroy(gpu->vm);
	drover_device_close(gpu->dev);
	free(gpu);
}
