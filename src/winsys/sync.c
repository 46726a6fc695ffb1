// SPDX-License-Identifier: MIT
/*
 * Owns struct drover_sync: syncobjs, and the sync files that come out of them.
 *
 * Sync files and timeline points meet only through a binary syncobj, so calls
 * that have both a sync file and a point go through a temporary one.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/sync_file.h>
#include <xf86drm.h>

#include "winsys.h"

static struct drover_sync *sync_alloc(struct drover_device *dev)
{
	struct drover_sync *sync = calloc(1, sizeof(*sync));

	if (sync)
		sync->dev = device_ref(dev);
	return sync;
}

static void sync_free(struct drover_sync *sync)
{
	device_unref(sync->dev);
	free(sync);
}

int drover_sync_create(struct drover_device *dev, bool signaled, struct drover_sync **out)
{
	struct drover_sync *sync;
	int ret;

	if (!out)
		return -EINVAL;
	sync = sync_alloc(dev);
	if (!sync)
		return -ENOMEM;
	ret = drm_result(drmSyncobjCreate(dev->fd, signaled ? DRM_SYNCOBJ_CREATE_SIGNALED : 0,
					  &sync->handle));
	if (ret) {
		sync_free(sync);
		return ret;
	}
	*out = sync;
	return 0;
}

void drover_sync_destroy(struct drover_sync *sync)
{
	if (!sync)
		return;
	drmSyncobjDestroy(sync->dev->fd, sync->handle);
	sync_free(sync);
}

int drover_sync_wait(struct drover_sync *sync, uint64_t point, int64_t timeout_ns, uint32_t flags)
{
	int64_t deadline = deadline_from_timeout(timeout_ns);
	uint32_t drm_flags = 0;

	if (flags & ~DROVER_SYNC_WAIT_FOR_SUBMIT)
		return -EINVAL;
	if (flags & DROVER_SYNC_WAIT_FOR_SUBMIT)
		drm_flags |= DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT;
	if (point)
		return drm_result(drmSyncobjTimelineWait(sync->dev->fd, &sync->handle, &point, 1,
							 deadline, drm_flags, NULL));
	return drm_result(
		drmSyncobjWait(sync->dev->fd, &sync->handle, 1, deadline, drm_flags, NULL));
}

int drover_sync_reset(struct drover_sync *sync)
{
	return drm_result(drmSyncobjReset(sync->dev->fd, &sync->handle, 1));
}

int drover_sync_signal(struct drover_sync *sync, uint64_t point)
{
	if (point)
		return drm_result(
			drmSyncobjTimelineSignal(sync->dev->fd, &sync->handle, &point, 1));
	return drm_result(drmSyncobjSignal(sync->dev->fd, &sync->handle, 1));
}

int drover_sync_query(struct drover_sync *sync, uint64_t *point)
{
	uint64_t value;
	int ret;

	if (!point)
		return -EINVAL;
	ret = drm_result(drmSyncobjQuery(sync->dev->fd, &sync->handle, &value, 1));
	if (!ret)
		*point = value;
	return ret;
}

static int export_point(struct drover_sync *sync, uint64_t point, int *sync_file)
{
	int dev_fd = sync->dev->fd, ret;
	uint32_t binary;

	ret = drm_result(drmSyncobjCreate(dev_fd, 0, &binary));
	if (ret)
		return ret;
	ret = drm_result(drmSyncobjTransfer(dev_fd, binary, 0, sync->handle, point, 0));
	if (!ret)
		ret = drm_result(drmSyncobjExportSyncFile(dev_fd, binary, sync_file));
	drmSyncobjDestroy(dev_fd, binary);
	return ret;
}

int drover_sync_export_sync_file(struct drover_sync *sync, uint64_t point, int *sync_file)
{
	if (!sync_file)
		return -EINVAL;
	if (point)
		return export_point(sync, point, sync_file);
	return drm_result(drmSyncobjExportSyncFile(sync->dev->fd, sync->handle, sync_file));
}

static int import_point(struct drover_sync *sync, uint64_t point, int sync_file)
{
	int dev_fd = sync->dev->fd, ret;
	uint32_t binary;

	ret = drm_result(drmSyncobjCreate(dev_fd, 0, &binary));
	if (ret)
		return ret;
	ret = drm_result(drmSyncobjImportSyncFile(dev_fd, binary, sync_file));
	if (!ret)
		ret = drm_result(drmSyncobjTransfer(dev_fd, sync->handle, point, binary, 0, 0));
	drmSyncobjDestroy(dev_fd, binary);
	return ret;
}

int drover_sync_import_sync_file(struct drover_sync *sync, uint64_t point, int sync_file)
{
	if (point)
		return import_point(sync, point, sync_file);
	return drm_result(drmSyncobjImportSyncFile(sync->dev->fd, sync->handle, sync_file));
}

int drover_sync_status(struct drover_sync *sync, uint64_t point)
{
	int sync_file, ret;

	ret = drover_sync_export_sync_file(sync, point, &sync_file);
	if (ret)
		return ret;
	ret = drover_sync_file_status(sync_file);
	close(sync_file);
	return ret;
}

int drover_sync_export(struct drover_sync *sync, int *fd)
{
	if (!fd)
		return -EINVAL;
	return drm_result(drmSyncobjHandleToFD(sync->dev->fd, sync->handle, fd));
}

int drover_sync_import(struct drover_device *dev, int fd, struct drover_sync **out)
{
	struct drover_sync *sync;
	int ret;

	if (!out)
		return -EINVAL;
	sync = sync_alloc(dev);
	if (!sync)
		return -ENOMEM;
	/* unlike GEM handles, syncobj handles are new at every import */
	ret = drm_result(drmSyncobjFDToHandle(dev->fd, fd, &sync->handle));
	if (ret) {
		sync_free(sync);
		return ret;
	}
	*out = sync;
	return 0;
}

uint32_t drover_sync_handle(const struct drover_sync *sync)
{
	return sync->handle;
}

int drover_sync_file_wait(int sync_file, int64_t timeout_ns)
{
	return poll_until(sync_file, POLLIN, timeout_ns);
}

int drover_sync_file_status(int sync_file)
{
	/* num_fences zero: asks for the whole's status alone */
	struct sync_file_info info = {0};
	int ret = device_ioctl(sync_file, SYNC_IOC_FILE_INFO, &info);

	return ret ? ret : info.status;
}
