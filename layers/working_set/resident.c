// SPDX-License-Identifier: MIT
/* Owns the list of this process's files of virtual GPUs; see resident.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resident.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Under the lock, as are the descriptors in it. */
static struct resident_file *files;

void resident_add(struct resident_file *file)
{
	pthread_mutex_lock(&lock);
	file->next = files;
	files = file;
	pthread_mutex_unlock(&lock);
}

void resident_remove(struct resident_file *file)
{
	struct resident_file **link;

	pthread_mutex_lock(&lock);
	for (link = &files; *link && *link != file; link = &(*link)->next)
		;
	if (*link)
		*link = file->next;
	pthread_mutex_unlock(&lock);
}

/* Return: the length of what was read, or a negative errno. */
static int read_fdinfo(int fd, char *text, size_t size)
{
	char path[64];
	ssize_t length;
	int fdinfo, error;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	fdinfo = open(path, O_RDONLY | O_CLOEXEC);
	if (fdinfo < 0)
		return -errno;
	length = read(fdinfo, text, size - 1);
	error = errno;
	close(fdinfo);
	if (length < 0)
		return -error;
	text[length] = '\0';
	return (int)length;
}

/* A line "KEY:\tNUMBER[ KiB| MiB]" of DRM's standard; 0 if it isn't there. */
static uint64_t bytes_of(const char *text, const char *key)
{
	const char *line = strstr(text, key);
	uint64_t number;
	char *unit;

	if (!line)
		return 0;
	number = strtoull(line + strlen(key), &unit, 10);
	if (!strncmp(unit, " KiB", 4))
		return number << 10;
	return strncmp(unit, " MiB", 4) ? number : number << 20;
}

int resident_of(uint32_t gpu, uint64_t bytes[USAGE_HEAP_COUNT])
{
	char text[4096];
	int ret = 0;

	bytes[USAGE_HEAP_VRAM] = bytes[USAGE_HEAP_GTT] = 0;
	pthread_mutex_lock(&lock);
	for (const struct resident_file *file = files; file && ret >= 0; file = file->next) {
		if (file->gpu != gpu)
			continue;
		ret = read_fdinfo(file->fd, text, sizeof(text));
		if (ret < 0)
			break;
		bytes[USAGE_HEAP_VRAM] += bytes_of(text, "\ndrm-resident-vram:");
		bytes[USAGE_HEAP_GTT] += bytes_of(text, "\ndrm-resident-gtt:");
	}
	pthread_mutex_unlock(&lock);
	return ret < 0 ? ret : 0;
}
