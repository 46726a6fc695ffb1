// SPDX-License-Identifier: MIT
/* Owns nothing: questions to the kernel about dma-bufs and sync files. */
#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <drover/drover.h>
#include <linux/sync_file.h>

/* linux/magic.h has had it since dma-bufs have a file system of their own, Linux 5.3. */
#define DMA_BUF_FILE_SYSTEM 0x444d4142

/* ioctl() that isn't interrupted; returns 0 or a negative errno. */
static int bridge_ioctl(int fd, unsigned long request, void *argument)
{
	while (ioctl(fd, request, argument)) {
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	return 0;
}

int bridge_identify(int fd, uint64_t *inode)
{
	struct statfs file_system;
	struct stat status;

	if (fstatfs(fd, &file_system) || fstat(fd, &status))
		return -errno;
	if (file_system.f_type != DMA_BUF_FILE_SYSTEM)
		return -ENOTTY;
	*inode = status.st_ino;
	return 0;
}

int bridge_dup(int fd)
{
	/* not below 3, where a program that closed its standard streams would write into it */
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

bool bridge_is_sync_file(int fd)
{
	struct sync_file_info info = {0};

	return !bridge_ioctl(fd, SYNC_IOC_FILE_INFO, &info);
}

bool bridge_signalled(int sync_file)
{
	return !drover_sync_file_wait(sync_file, 0);
}

uint64_t bridge_signalled_at(int sync_file)
{
	struct sync_file_info info = {0};
	struct sync_fence_info *fences;
	uint64_t latest = 0;
	uint32_t i;

	if (bridge_ioctl(sync_file, SYNC_IOC_FILE_INFO, &info) || !info.status || !info.num_fences)
		return 0;
	fences = calloc(info.num_fences, sizeof(*fences));
	if (!fences)
		return 0;
	info.sync_fence_info = (uintptr_t)fences;
	if (!bridge_ioctl(sync_file, SYNC_IOC_FILE_INFO, &info)) {
		for (i = 0; i < info.num_fences; i++) {
			if (fences[i].timestamp_ns > latest)
				latest = fences[i].timestamp_ns;
		}
	}
	free(fences);
	return latest;
}

int bridge_merge(int *sync_file, int other)
{
	struct sync_merge_data merge = {.name = "drover layer", .fd2 = other};
	int ret;

	if (*sync_file < 0) {
		*sync_file = other;
		return 0;
	}
	ret = bridge_ioctl(*sync_file, SYNC_IOC_MERGE, &merge);
	close(other);
	if (ret)
		return ret;
	close(*sync_file);
	*sync_file = merge.fence;
	return 0;
}
