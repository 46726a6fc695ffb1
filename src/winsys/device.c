// SPDX-License-Identifier: MIT
/* Owns struct drover_device: finding render nodes, opening them, the file's lifetime. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xf86drm.h>

#include "winsys.h"

#define INITIAL_BUCKETS 64

/* 0 if the file is a DRM device of drover, -ENODEV if it is something else */
static int check_driver(int fd)
{
	char name[sizeof("drover")] = "";
	struct drm_version version = {.name = name, .name_len = sizeof(name) - 1};
	int ret = device_ioctl(fd, DRM_IOCTL_VERSION, &version);

	if (ret == -EBADF)
		return ret;
	/* name_len is the length of the whole name, however much of it fitted */
	if (ret || version.name_len != sizeof(name) - 1 || strcmp(name, "drover"))
		return -ENODEV;
	return 0;
}

/* takes the descriptor over, also when it fails */
static int device_new(int fd, struct drover_device **out)
{
	struct drover_device *dev;
	int ret;

	ret = check_driver(fd);
	if (ret)
		goto err_close;

	ret = -ENOMEM;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		goto err_close;
	dev->buckets = calloc(INITIAL_BUCKETS, sizeof(*dev->buckets));
	if (!dev->buckets)
		goto err_free;
	ret = -pthread_mutex_init(&dev->bos_lock, NULL);
	if (ret)
		goto err_buckets;

	dev->num_buckets = INITIAL_BUCKETS;
	dev->fd = fd;
	atomic_init(&dev->refs, 1);
	*out = dev;
	return 0;

err_buckets:
	free(dev->buckets);
err_free:
	free(dev);
err_close:
	close(fd);
	return ret;
}

static int compare_minors(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return (x > y) - (x < y);
}

/* The minors of all render nodes, sorted. Returns their number or a negative errno. */
static int list_render_minors(unsigned int **out)
{
	unsigned int *minors = NULL;
	size_t count = 0, capacity = 0;
	struct dirent *entry;
	DIR *dir;

	dir = opendir(DRM_DIR_NAME);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;

	while ((entry = readdir(dir))) {
		unsigned int minor;

		if (sscanf(entry->d_name, DRM_RENDER_MINOR_NAME "%u", &minor) != 1)
			continue;
		if (count == capacity) {
			unsigned int *grown;

			capacity = capacity ? 2 * capacity : 16;
			grown = realloc(minors, capacity * sizeof(*minors));
			if (!grown) {
				free(minors);
				closedir(dir);
				return -ENOMEM;
			}
			minors = grown;
		}
		minors[count++] = minor;
	}
	closedir(dir);
	if (count)
		qsort(minors, count, sizeof(*minors), compare_minors);
	*out = minors;
	return (int)count;
}

/*
 * Open the wanted one of drover's render nodes; UINT_MAX: just count.
 *
 * drmGetDevices2() isn't used on purpose: it folds devices with equal bus
 * information into one, and platform devices without firmware data are told
 * apart by their module alias alone, which all virtual GPUs may share.
 *
 * Returns the number of nodes seen; *fd >= 0 if the wanted one was among them.
 */
static int find_render_node(unsigned int wanted, int *fd)
{
	unsigned int *minors = NULL;
	int num_minors, found = 0, denied = 0;

	*fd = -1;
	num_minors = list_render_minors(&minors);
	if (num_minors < 0)
		return num_minors;

	for (int i = 0; i < num_minors && *fd < 0; i++) {
		char path[64];
		int node;

		snprintf(path, sizeof(path), DRM_DIR_NAME "/" DRM_RENDER_MINOR_NAME "%u",
			 minors[i]);
		node = open(path, O_RDWR | O_CLOEXEC);
		if (node < 0) {
			denied |= errno == EACCES || errno == EPERM;
			continue;
		}
		if (check_driver(node) == 0 && (unsigned int)found++ == wanted)
			*fd = node;
		else
			close(node);
	}
	free(minors);
	return *fd < 0 && !found && denied ? -EACCES : found;
}

int drover_device_count(void)
{
	int fd;

	return find_render_node(UINT_MAX, &fd);
}

int drover_device_open(unsigned int index, struct drover_device **dev)
{
	int fd, ret;

	if (!dev)
		return -EINVAL;
	ret = find_render_node(index, &fd);
	if (ret < 0)
		return ret;
	if (fd < 0)
		return -ENODEV;
	return device_new(fd, dev);
}

int drover_device_open_fd(int fd, struct drover_device **dev)
{
	int dup_fd;

	if (!dev)
		return -EINVAL;
	dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (dup_fd < 0)
		return -errno;
	return device_new(dup_fd, dev);
}

struct drover_device *device_ref(struct drover_device *dev)
{
	atomic_fetch_add_explicit(&dev->refs, 1, memory_order_relaxed);
	return dev;
}

void device_unref(struct drover_device *dev)
{
	if (atomic_fetch_sub_explicit(&dev->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&dev->bos_lock);
	free(dev->buckets);
	close(dev->fd);
	free(dev);
}

void drover_device_close(struct drover_device *dev)
{
	if (dev)
		device_unref(dev);
}

int drover_device_fd(const struct drover_device *dev)
{
	return dev->fd;
}

int drover_device_info(struct drover_device *dev, struct drm_drover_device_info *info)
{
	struct drm_drover_device_info args = {0};
	int ret;

	if (!info)
		return -EINVAL;
	ret = device_ioctl(dev->fd, DRM_IOCTL_DROVER_DEVICE_INFO, &args);
	if (!ret)
		*info = args;
	return ret;
}
