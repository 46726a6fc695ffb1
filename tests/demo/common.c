// SPDX-License-Identifier: MIT
/* What both processes need: a GPU, a look at its BOs, and words for what went wrong. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"

static enum place place_of(const struct drm_drover_bo_info *info)
{
	if (info->pins)
		return PLACE_PINNED;
	switch (info->placement) {
	case DRM_DROVER_PLACEMENT_VRAM:
		return PLACE_VRAM;
	case DRM_DROVER_PLACEMENT_GTT:
		return PLACE_GTT;
	default:
		return PLACE_EVICTED;
	}
}

/* writes down what is new in the BO's counters */
static uint8_t marks_of(struct watched *watched, const struct drm_drover_bo_info *info,
			unsigned int evicted, unsigned int remapped)
{
	unsigned int marks = 0;

	if (info->evictions != watched->evictions)
		marks |= evicted;
	if (info->remaps != watched->remaps)
		marks |= remapped;
	watched->evictions = info->evictions;
	watched->remaps = info->remaps;
	return (uint8_t)marks;
}

int watch_own(struct watched *watched, struct cell *cell)
{
	struct drm_drover_bo_info info;
	int ret;

	if (!watched->bo)
		return 0;
	ret = drover_bo_info(watched->bo, &info);
	if (ret)
		return ret;
	cell->place = (uint8_t)place_of(&info);
	cell->marks = marks_of(watched, &info, MARK_EVICTED, MARK_REMAPPED);
	return 0;
}

int watch_import(struct watched *watched, struct cell *cell)
{
	struct drm_drover_bo_info info;
	int ret;

	if (!watched->bo)
		return 0;
	ret = drover_bo_info(watched->bo, &info);
	if (ret)
		return ret;
	cell->import_marks =
		marks_of(watched, &info, MARK_IMPORT_INVALIDATED, MARK_IMPORT_REMAPPED);
	return 0;
}

bool is_allocation_failure(int error)
{
	return error == -ENOMEM || error == -ENOSPC;
}

const char *stage_name(uint32_t stage)
{
	static const char *const names[] = {
		[STAGE_DONE] = "finished",
		[STAGE_PENDING] = "not begun",
		[STAGE_RENDER] = "rendering on GPU 0",
		[STAGE_IMPORT] = "importing on GPU 1",
		[STAGE_MIX] = "mixing on GPU 1",
		[STAGE_ECHO] = "mixing with an older frame that never came",
	};

	return stage < sizeof(names) / sizeof(names[0]) ? names[stage] : "?";
}

void totals_add_bo(struct gpu_totals *totals, const struct watched *watched, bool imported)
{
	if (!watched->bo)
		return;
	totals->remaps += watched->remaps;
	if (imported)
		totals->invalidations += watched->evictions;
	else
		totals->needed += drover_bo_size(watched->bo);
}

int totals_add_device(struct gpu_totals *totals, struct drover_device *dev)
{
	struct drm_drover_device_info info;
	int ret = drover_device_info(dev, &info);

	if (ret)
		return ret;
	totals->vram_size = info.vram_size;
	totals->gtt_size = info.gtt_size;
	totals->evictions = info.evictions;
	totals->bytes_moved = info.bytes_moved;
	totals->pinned_max = info.pinned_max;
	return 0;
}

int open_gpu(unsigned int index, bool pinned_mode, struct drover_device **out)
{
	struct drm_drover_device_info info;
	struct drover_device *dev;
	int ret;

	ret = drover_device_open(index, &dev);
	if (ret) {
		complain(ret, "GPU %u can't be opened; load the module: modprobe drover devices=2",
			 index);
		return ret;
	}
	ret = drover_device_info(dev, &info);
	if (ret) {
		complain(ret, "GPU %u doesn't say what it is", index);
		goto err_close;
	}
	if (pinned_mode != !!(info.flags & DRM_DROVER_DEVICE_PIN_IMPORTS)) {
		ret = -EINVAL;
		complain(ret, "GPU %u: this mode needs the module loaded with pin_imports=%d",
			 index, pinned_mode);
		goto err_close;
	}
	*out = dev;
	return 0;

err_close:
	drover_device_close(dev);
	return ret;
}

void complain(int error, const char *format, ...)
{
	va_list args;

	fputs("\ndrover-demo: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	/* the GPU's word for it, which strerror() has another meaning for */
	if (error == -EILSEQ)
		fputs(": memory doesn't hold what was written", stderr);
	else if (error)
		fprintf(stderr, ": %s", strerror(-error));
	fputc('\n', stderr);
}
