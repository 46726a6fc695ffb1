// SPDX-License-Identifier: MIT
/*
 * What both processes need besides Vulkan: a look at where the application's memory is, and
 * words for what went wrong. Vulkan doesn't say where memory is, so each process opens the GPU a
 * second time and finds the BO of an exported descriptor.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "demo.h"

const char *mode_name(enum mode mode)
{
	static const char *const names[] = {"pinned", "evicted", "reference"};

	return names[mode];
}

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

int watch(struct watched *watched, struct drover_device *dev, int fd)
{
	return drover_bo_import(dev, fd, &watched->bo);
}

int watch_look(struct watched *watched, struct cell *cell)
{
	struct drm_drover_bo_info info;
	int ret;

	if (!watched->bo)
		return 0;
	ret = drover_bo_info(watched->bo, &info);
	if (ret)
		return ret;
	cell->place = (uint8_t)place_of(&info);
	cell->marks = (uint8_t)((info.evictions != watched->evictions ? MARK_EVICTED : 0) |
				(info.remaps != watched->remaps ? MARK_REMAPPED : 0));
	watched->evictions = info.evictions;
	watched->remaps = info.remaps;
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
		[STAGE_FILTER] = "filtering on GPU 1",
		[STAGE_ECHO] = "filtering with an older frame that never came",
	};

	return stage < sizeof(names) / sizeof(names[0]) ? names[stage] : "?";
}

void totals_add_bo(struct gpu_totals *totals, const struct watched *watched)
{
	if (watched->bo)
		totals->needed += drover_bo_size(watched->bo);
}

/* The number in a line of a table under a column's name; 0 if there is none. */
static uint64_t column(const char *head, const char *line, const char *name)
{
	char heads[512], cells[512], *head_rest = heads, *cell_rest = cells, *cell;

	snprintf(heads, sizeof(heads), "%s", head);
	snprintf(cells, sizeof(cells), "%s", line);
	while ((cell = strsep(&cell_rest, " \n")) && head_rest)
		if (!strcmp(strsep(&head_rest, " \n"), name))
			return strtoull(cell, NULL, 10);
	return 0;
}

int count_imports(struct drover_device *dev, struct imports *imports)
{
	char path[64], head[512], line[512];
	struct stat stat;
	FILE *file;

	*imports = (struct imports){0};
	if (fstat(drover_device_fd(dev), &stat))
		return -errno;
	snprintf(path, sizeof(path), "/sys/kernel/debug/dri/%u/vms", minor(stat.st_rdev));
	file = fopen(path, "r");
	if (!file) {
		complain(-errno, "%s can't be read; be root, and mount debugfs", path);
		return -EACCES;
	}
	if (fgets(head, sizeof(head), file)) {
		while (fgets(line, sizeof(line), file)) {
			if (column(head, line, "pid") != (uint64_t)getpid())
				continue;
			imports->remaps += column(head, line, "remaps");
			imports->invalidations += column(head, line, "invalidations");
		}
	}
	fclose(file);
	return 0;
}

int totals_add_device(struct gpu_totals *totals, struct drover_device *dev)
{
	struct drm_drover_device_info info;
	struct imports imports;
	int ret = drover_device_info(dev, &info);

	if (!ret)
		ret = count_imports(dev, &imports);
	if (ret)
		return ret;
	totals->invalidations = imports.invalidations;
	totals->remaps = imports.remaps;
	totals->vram_size = info.vram_size;
	totals->gtt_size = info.gtt_size;
	totals->evictions = info.evictions;
	totals->bytes_moved = info.bytes_moved;
	totals->pinned_max = info.pinned_max;
	return 0;
}

int open_gpu(unsigned int index, enum mode mode, struct drover_device **out)
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
	if ((mode == MODE_PINNED) != !!(info.flags & DRM_DROVER_DEVICE_PIN_IMPORTS)) {
		ret = -EINVAL;
		complain(ret, "GPU %u: this mode needs the module loaded with pin_imports=%d",
			 index, mode == MODE_PINNED);
		goto err_close;
	}
	*out = dev;
	return 0;

err_close:
	drover_device_close(dev);
	return ret;
}

uint64_t picture_checksum(const uint32_t *pixels)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < WIDTH * HEIGHT; i++) {
		hash = (hash ^ pixels[i]) * 0x100000001b3ULL;
		hash ^= hash >> 29;
	}
	return hash;
}

void complain(int error, const char *format, ...)
{
	va_list args;

	fputs("\ndrover-demo: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (error)
		fprintf(stderr, ": %s", strerror(-error));
	fputc('\n', stderr);
}
