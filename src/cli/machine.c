// SPDX-License-Identifier: MIT
/* The kernel and its configuration, drover.ko, and the DRM render nodes; see cli.h. */
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xf86drm.h>

#include <drover/drover.h>

/* ---- The kernel ---- */

/* @option as the configuration has it: 'y', 'm', 'n' (is not set), or 0 if it isn't mentioned. */
static char config_value(const char *config, const char *option)
{
	size_t length = strlen(option);

	for (const char *at = config; (at = strstr(at, option)); at += length) {
		bool line_start = at == config || at[-1] == '\n';

		if (line_start && at[length] == '=')
			return at[length + 1];
		if (at >= config + 2 && !strncmp(at - 2, "# ", 2) &&
		    !strncmp(at + length, " is not set", 11))
			return 'n';
	}
	return 0;
}

/* Linux 7.0 came without the option: dynamic mappings are never pinned by the core. */
static enum move_notify default_move_notify(const char *release)
{
	return atoi(release) >= 7 ? MOVE_NOTIFY_ALWAYS : MOVE_NOTIFY_UNKNOWN;
}

static enum move_notify move_notify_of(const char *config, const char *release)
{
	switch (config_value(config, "CONFIG_DMABUF_MOVE_NOTIFY")) {
	case 'y':
		return MOVE_NOTIFY_ON;
	case 'n':
		return MOVE_NOTIFY_OFF;
	default:
		return default_move_notify(release);
	}
}

struct kernel kernel_read(void)
{
	struct kernel kernel = {.release = read_line("/proc/sys/kernel/osrelease")};
	char *places[4];

	if (!kernel.release)
		kernel.release = text("unknown");
	kernel.move_notify = default_move_notify(kernel.release);
	places[0] = text("/proc/config.gz");
	places[1] = text("/boot/config-%s", kernel.release);
	places[2] = text("/lib/modules/%s/config", kernel.release);
	places[3] = text("/lib/modules/%s/build/.config", kernel.release);
	for (size_t i = 0; i < ARRAY_SIZE(places) && !kernel.config; i++) {
		char *config = read_text(places[i]);

		if (!config)
			continue;
		kernel.move_notify = move_notify_of(config, kernel.release);
		kernel.config = text("%s", places[i]);
		free(config);
	}
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		free(places[i]);
	return kernel;
}

void kernel_free(struct kernel *kernel)
{
	free(kernel->release);
	free(kernel->config);
}

/* ---- The module ---- */

struct module module_read(const struct kernel *kernel)
{
	char *dep = text("/lib/modules/%s/modules.dep", kernel->release);
	char *modules = read_text(dep);
	struct module module = {
		.loaded = !access("/sys/module/drover", F_OK),
		.installed = modules && strstr(modules, "/drover.ko"),
		.version = read_line("/sys/module/drover/version"),
	};

	free(modules);
	free(dep);
	return module;
}

void module_free(struct module *module)
{
	free(module->version);
}

/* ---- Device files ---- */

struct file_access access_of(const char *path)
{
	struct file_access result = {0};
	struct stat stat_buffer;
	struct group *group;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		result.error = errno;
	else
		close(fd);
	if (stat(path, &stat_buffer))
		return result;
	result.mode = stat_buffer.st_mode & 07777;
	group = getgrgid(stat_buffer.st_gid);
	if (group)
		snprintf(result.group, sizeof(result.group), "%s", group->gr_name);
	else
		snprintf(result.group, sizeof(result.group), "%u", stat_buffer.st_gid);
	return result;
}

static void set_name(char *to, size_t size, char *name)
{
	snprintf(to, size, "%s", name ? name : "?");
	free(name);
}

/* What sysfs says of a node, whether it can be opened or not. */
static void node_from_sysfs(struct node *node)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/drm/renderD%u/device", node->minor);
	set_name(node->device, sizeof(node->device), link_target(path));
	snprintf(path, sizeof(path), "/sys/class/drm/renderD%u/device/driver", node->minor);
	set_name(node->driver, sizeof(node->driver), link_target(path));
}

static void node_from_drm(struct node *node)
{
	int fd = open(node->path, O_RDWR | O_CLOEXEC);
	drmVersionPtr version;
	uint64_t prime = 0;

	if (fd < 0)
		return;
	version = drmGetVersion(fd);
	if (version)
		snprintf(node->driver, sizeof(node->driver), "%s", version->name);
	drmFreeVersion(version);
	if (!drmGetCap(fd, DRM_CAP_PRIME, &prime)) {
		node->import = prime & DRM_PRIME_CAP_IMPORT;
		node->export = prime & DRM_PRIME_CAP_EXPORT;
	}
	close(fd);
}

static int compare_nodes(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return (x->minor > y->minor) - (x->minor < y->minor);
}

size_t nodes_list(struct node **nodes)
{
	DIR *dir = opendir("/dev/dri");
	struct dirent *entry;
	size_t count = 0;

	*nodes = NULL;
	while (dir && (entry = readdir(dir))) {
		struct node *node;
		unsigned int minor;

		if (sscanf(entry->d_name, "renderD%u", &minor) != 1)
			continue;
		*nodes = grow(*nodes, count, sizeof(**nodes));
		node = &(*nodes)[count++];
		node->minor = minor;
		snprintf(node->path, sizeof(node->path), "/dev/dri/renderD%u", minor);
		node->access = access_of(node->path);
		node_from_sysfs(node);
		node_from_drm(node);
		node->is_drover = !strcmp(node->driver, "drover");
	}
	if (dir)
		closedir(dir);
	if (count)
		qsort(*nodes, count, sizeof(**nodes), compare_nodes);
	return count;
}

/* ---- Virtual GPUs ---- */

/* The status word came with the aperture, and mapping it takes no address space to speak of. */
static bool has_aperture(struct drover_device *dev)
{
	const volatile struct drm_drover_vm_status *status;
	struct drover_vm *vm;
	bool mapped;

	if (drover_vm_create(dev, &vm))
		return false;
	mapped = !drover_vm_map_status(vm, &status);
	if (mapped)
		drover_vm_unmap_status(status);
	drover_vm_destroy(vm);
	return mapped;
}

static bool gpu_open(const struct node *node, struct gpu *gpu)
{
	struct drover_device *dev;
	int fd = open(node->path, O_RDWR | O_CLOEXEC), ret;

	if (fd < 0)
		return false;
	ret = drover_device_open_fd(fd, &dev);
	close(fd);
	if (ret)
		return false;
	gpu->node = *node;
	ret = drover_device_info(dev, &gpu->info);
	if (!ret)
		gpu->aperture = has_aperture(dev);
	drover_device_close(dev);
	return !ret;
}

size_t gpus_list(const struct node *nodes, size_t num_nodes, struct gpu **gpus)
{
	size_t count = 0;

	*gpus = NULL;
	for (size_t i = 0; i < num_nodes; i++) {
		struct gpu gpu = {0};

		if (!nodes[i].is_drover || !gpu_open(&nodes[i], &gpu))
			continue;
		*gpus = grow(*gpus, count, sizeof(**gpus));
		(*gpus)[count++] = gpu;
	}
	return count;
}
