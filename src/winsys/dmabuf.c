// SPDX-License-Identifier: MIT
/* Owns nothing: what can be done with the file descriptor of any driver's dma-buf. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include "winsys.h"

_Static_assert(DROVER_ACCESS_READ == DMA_BUF_SYNC_READ, "passed on as it is");
_Static_assert(DROVER_ACCESS_WRITE == DMA_BUF_SYNC_WRITE, "passed on as it is");

static int check_access(uint32_t access)
{
	if (!access || access & ~(uint32_t)(DROVER_ACCESS_READ | DROVER_ACCESS_WRITE))
		return -EINVAL;
	return 0;
}

int drover_dmabuf_size(int dmabuf_fd, uint64_t *size)
{
	off_t end;

	if (!size)
		return -EINVAL;
	/* a dma-buf's file has a size but no position, so this moves nothing */
	end = lseek(dmabuf_fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	*size = (uint64_t)end;
	return 0;
}

int drover_dmabuf_export_sync_file(int dmabuf_fd, uint32_t access, int *sync_file)
{
	struct dma_buf_export_sync_file args = {.flags = access, .fd = -1};
	int ret;

	if (!sync_file || check_access(access))
		return -EINVAL;
	ret = device_ioctl(dmabuf_fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &args);
	if (!ret)
		*sync_file = args.fd;
	return ret;
}

int drover_dmabuf_import_sync_file(int dmabuf_fd, uint32_t access, int sync_file)
{
	struct dma_buf_import_sync_file args = {.flags = access, .fd = sync_file};

	if (check_access(access))
		return -EINVAL;
	return device_ioctl(dmabuf_fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &args);
}

int drover_dmabuf_wait(int dmabuf_fd, uint32_t access, int64_t timeout_ns)
{
	if (check_access(access))
		return -EINVAL;
	/* one event only: poll() returns with the first of several */
	return poll_until(dmabuf_fd, access & DROVER_ACCESS_WRITE ? POLLOUT : POLLIN, timeout_ns);
}

static int cpu_access(int dmabuf_fd, uint64_t phase, uint32_t access)
{
	struct dma_buf_sync args = {.flags = phase | access};

	if (check_access(access))
		return -EINVAL;
	return device_ioctl(dmabuf_fd, DMA_BUF_IOCTL_SYNC, &args);
}

int drover_dmabuf_begin_cpu_access(int dmabuf_fd, uint32_t access)
{
	return cpu_access(dmabuf_fd, DMA_BUF_SYNC_START, access);
}

int drover_dmabuf_end_cpu_access(int dmabuf_fd, uint32_t access)
{
	return cpu_access(dmabuf_fd, DMA_BUF_SYNC_END, access);
}
