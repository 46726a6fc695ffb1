// SPDX-License-Identifier: MIT
/* The kernel's part, see sync_kernel.h. */
#include "sync_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/sync_file.h>

#define MAX                 256
#define DMA_BUF_FILE_SYSTEM 0x444d4142

struct sync_file {
	ino_t inode;
	/* -1: signalled */
	int write_end;
	/* For merged ones: those that it waits for, or -1. */
	int first;
	int second;
};

struct dmabuf {
	char name;
	ino_t inode;
	/* Numbers of sync files. */
	int fences[MAX];
	uint32_t accesses[MAX];
	unsigned int num_fences;
};

void (*kernel_say)(const char *line);
bool kernel_is_old;
bool kernel_lacks_descriptors;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sync_file sync_files[MAX * 16];
static unsigned int num_sync_files;
static struct dmabuf dmabufs[16];
static unsigned int num_dmabufs;

static ino_t inode_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) ? 0 : status.st_ino;
}

static struct dmabuf *dmabuf_of(int fd)
{
	ino_t inode = inode_of(fd);
	unsigned int i;

	for (i = 0; i < num_dmabufs; i++) {
		if (dmabufs[i].inode == inode)
			return &dmabufs[i];
	}
	return NULL;
}

static struct dmabuf *dmabuf_named(char name)
{
	unsigned int i;

	for (i = 0; i < num_dmabufs; i++) {
		if (dmabufs[i].name == name)
			return &dmabufs[i];
	}
	abort();
}

static int sync_file_of(int fd)
{
	ino_t inode = inode_of(fd);
	unsigned int i;

	for (i = num_sync_files; i--;) {
		if (sync_files[i].inode == inode)
			return i;
	}
	return -1;
}

/* ---- Sync files; under the lock ---- */

static void signal_number(int number)
{
	struct sync_file *file = &sync_files[number];
	unsigned int i;

	if (file->write_end < 0)
		return;
	/* nobody may be left who looks */
	if (write(file->write_end, "", 1) != 1 && errno != EPIPE)
		abort();
	/* stays readable: the byte is never read */
	close(file->write_end);
	file->write_end = -1;
	for (i = 0; i < num_sync_files; i++) {
		struct sync_file *other = &sync_files[i];

		if (other->first >= 0 && sync_files[other->first].write_end < 0 &&
		    sync_files[other->second].write_end < 0)
			signal_number(i);
	}
}

/* Return: a descriptor; the number is num_sync_files - 1. */
static int sync_file_new(int first, int second)
{
	struct sync_file *file = &sync_files[num_sync_files];
	int ends[2];

	if (num_sync_files == sizeof(sync_files) / sizeof(sync_files[0]))
		abort();
	if (pipe2(ends, O_CLOEXEC))
		return -1;
	*file = (struct sync_file){inode_of(ends[0]), ends[1], first, second};
	num_sync_files++;
	if (first >= 0 && sync_files[first].write_end < 0 && sync_files[second].write_end < 0)
		signal_number(num_sync_files - 1);
	return ends[0];
}

static int merged(struct dmabuf *dmabuf, uint32_t access)
{
	int fd = sync_file_new(-1, -1), all = num_sync_files - 1;
	unsigned int i;

	if (fd < 0)
		return -1;
	signal_number(all);
	for (i = 0; i < dmabuf->num_fences; i++) {
		if (!(access & WRITES) && !(dmabuf->accesses[i] & WRITES))
			continue;
		close(fd);
		fd = sync_file_new(all, dmabuf->fences[i]);
		all = num_sync_files - 1;
	}
	return fd;
}

static int export_sync_file(int fd, struct dma_buf_export_sync_file *args)
{
	struct dmabuf *dmabuf = dmabuf_of(fd);

	if (!dmabuf || kernel_is_old)
		return -ENOTTY;
	if (!args->flags || args->flags & ~3u)
		return -EINVAL;
	if (kernel_lacks_descriptors)
		return -EMFILE;
	args->fd = merged(dmabuf, args->flags);
	return args->fd < 0 ? -errno : 0;
}

static int import_sync_file(int fd, const struct dma_buf_import_sync_file *args)
{
	struct dmabuf *dmabuf = dmabuf_of(fd);
	int number = sync_file_of(args->fd);
	char line[16];

	if (!dmabuf || kernel_is_old)
		return -ENOTTY;
	if (!args->flags || args->flags & ~3u || number < 0)
		return -EINVAL;
	dmabuf->fences[dmabuf->num_fences] = number;
	dmabuf->accesses[dmabuf->num_fences++] = args->flags;
	snprintf(line, sizeof(line), "%c+%s", dmabuf->name,
		 args->flags & WRITES ? "write" : "read");
	if (kernel_say)
		kernel_say(line);
	return 0;
}

static int merge(int fd, struct sync_merge_data *args)
{
	int first = sync_file_of(fd), second = sync_file_of(args->fd2);

	if (first < 0 || second < 0)
		return -ENOENT;
	args->fence = sync_file_new(first, second);
	return args->fence < 0 ? -errno : 0;
}

static int file_info(int fd, struct sync_file_info *args)
{
	int number = sync_file_of(fd);

	if (number < 0)
		return -ENOTTY;
	args->status = sync_files[number].write_end < 0;
	args->num_fences = 1;
	return 0;
}

/* ---- What the layer calls ---- */

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;
	int ret = 1;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	pthread_mutex_lock(&lock);
	if (request == DMA_BUF_IOCTL_EXPORT_SYNC_FILE)
		ret = export_sync_file(fd, argument);
	else if (request == DMA_BUF_IOCTL_IMPORT_SYNC_FILE)
		ret = import_sync_file(fd, argument);
	else if (request == SYNC_IOC_MERGE)
		ret = merge(fd, argument);
	else if (request == SYNC_IOC_FILE_INFO)
		ret = file_info(fd, argument);
	pthread_mutex_unlock(&lock);
	if (ret > 0)
		return syscall(SYS_ioctl, fd, request, argument);
	errno = -ret;
	return ret ? -1 : 0;
}

int fstatfs(int fd, struct statfs *status)
{
	int ret = syscall(SYS_fstatfs, fd, status);

	if (!ret && dmabuf_of(fd))
		status->f_type = DMA_BUF_FILE_SYSTEM;
	return ret;
}

/* ---- What the test calls ---- */

int dmabuf_new(char name)
{
	int fd = memfd_create("dmabuf", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 65536))
		abort();
	dmabufs[num_dmabufs++] = (struct dmabuf){.name = name, .inode = inode_of(fd)};
	return fd;
}

unsigned int dmabuf_fds(char name)
{
	ino_t inode = dmabuf_named(name)->inode;
	unsigned int count = 0;
	int fd;

	for (fd = 0; fd < 1024; fd++)
		count += inode_of(fd) == inode;
	return count;
}

void dmabufs_forget(void)
{
	num_dmabufs = 0;
}

int fence_new(void)
{
	int fd;

	pthread_mutex_lock(&lock);
	fd = sync_file_new(-1, -1);
	pthread_mutex_unlock(&lock);
	return fd;
}

void fence_signal(int sync_file)
{
	pthread_mutex_lock(&lock);
	signal_number(sync_file_of(sync_file));
	pthread_mutex_unlock(&lock);
}

void fence_add(char name, uint32_t access, int sync_file)
{
	struct dmabuf *dmabuf = dmabuf_named(name);

	pthread_mutex_lock(&lock);
	dmabuf->fences[dmabuf->num_fences] = sync_file_of(sync_file);
	dmabuf->accesses[dmabuf->num_fences++] = access;
	pthread_mutex_unlock(&lock);
}

int fence_of(char name, uint32_t access)
{
	int fd;

	pthread_mutex_lock(&lock);
	fd = merged(dmabuf_named(name), access);
	pthread_mutex_unlock(&lock);
	return fd;
}

bool fence_signalled(int sync_file)
{
	struct pollfd pfd = {.fd = sync_file, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}
