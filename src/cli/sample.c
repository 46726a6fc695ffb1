// SPDX-License-Identifier: MIT
/*
 * One look at all virtual GPUs and their clients: DEVICE_INFO for the devices, /proc/PID/fdinfo for what each client
 * has where (DRM's standard keys, and drover-pinned), debugfs for the working sets' counters.
 */
#include "cli.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#define DRM_MAJOR   226
#define NO_COUNTERS {-1, -1, -1, -1, -1}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- Devices ---- */

static void sample_gpus(struct sample *sample)
{
	struct node *nodes;
	struct gpu *gpus;
	size_t num_nodes = nodes_list(&nodes), num_gpus = gpus_list(nodes, num_nodes, &gpus);

	for (size_t i = 0; i < num_nodes; i++)
		sample->hidden_gpus += nodes[i].is_drover && nodes[i].access.error;
	sample->gpus = xcalloc(num_gpus + 1, sizeof(*sample->gpus));
	sample->num_gpus = num_gpus;
	for (size_t i = 0; i < num_gpus; i++)
		sample->gpus[i] = (struct gpu_sample){.gpu = gpus[i], .evicted = -1};
	free(gpus);
	free(nodes);
}

static void sample_evicted(struct gpu_sample *gpu)
{
	struct table table;
	char placement[16];

	if (!table_open(&table, gpu->gpu.node.minor, "gem"))
		return;
	gpu->evicted = 0;
	while (table_next(&table))
		if (table_word(&table, "placement", placement, sizeof(placement)) &&
		    !strcmp(placement, "evicted"))
			gpu->evicted += table_number(&table, "size", 0);
	table_close(&table);
}

/* The GPU whose node a file is: render node and card are the same device. */
static bool find_gpu(const struct sample *sample, dev_t device, size_t *index)
{
	char *path = text("/sys/dev/char/%u:%u/device", major(device), minor(device));
	char *name = link_target(path);
	bool found = false;

	for (*index = 0; name && *index < sample->num_gpus; ++*index) {
		found = !strcmp(sample->gpus[*index].gpu.node.device, name);
		if (found)
			break;
	}
	free(name);
	free(path);
	return found;
}

/* ---- Clients ---- */

/* A size with its unit, as fdinfo has them. */
static uint64_t parse_bytes(const char *value)
{
	char *unit;
	uint64_t number = strtoull(value, &unit, 10);

	unit += strspn(unit, " ");
	if (!strncmp(unit, "KiB", 3))
		return number << 10;
	if (!strncmp(unit, "MiB", 3))
		return number << 20;
	return number;
}

/* Whether @line is "@prefix…: value"; *value is after the colon and white space. */
static bool has_key(const char *line, const char *prefix, const char **value)
{
	const char *colon = strchr(line, ':');

	if (strncmp(line, prefix, strlen(prefix)) || !colon)
		return false;
	*value = colon + 1 + strspn(colon + 1, " \t");
	return true;
}

/* False if it is another driver's file. */
static bool parse_fdinfo(char *fdinfo, struct client_sample *client, uint64_t *id)
{
	bool is_drover = false;
	const char *value;
	char *line;

	client->counters.busy_ns = 0;
	while ((line = next_line(&fdinfo))) {
		if (has_key(line, "drm-driver:", &value))
			is_drover = !strcmp(value, "drover");
		else if (has_key(line, "drm-client-id:", &value))
			*id = strtoull(value, NULL, 10);
		else if (has_key(line, "drm-total-", &value))
			client->total += parse_bytes(value);
		else if (has_key(line, "drm-resident-", &value))
			client->in_place += parse_bytes(value);
		else if (has_key(line, "drm-engine-", &value))
			client->counters.busy_ns += strtoll(value, NULL, 10);
		else if (has_key(line, "drover-pinned:", &value))
			client->pinned = parse_bytes(value);
	}
	return is_drover;
}

/* Whether a client was counted already: several files may be the same one (dup, fork). */
static bool is_known(struct sample *sample, size_t gpu, uint64_t id)
{
	for (size_t i = 0; i < sample->num_files; i++)
		if (sample->files[i].gpu == gpu && sample->files[i].id == id)
			return true;
	sample->files = grow(sample->files, sample->num_files, sizeof(*sample->files));
	sample->files[sample->num_files++] = (struct known_file){gpu, id};
	return false;
}

static struct client_sample *client_of(const struct sample *sample, size_t gpu, pid_t pid)
{
	for (size_t i = 0; i < sample->num_clients; i++)
		if (sample->clients[i].gpu == gpu && sample->clients[i].pid == pid)
			return &sample->clients[i];
	return NULL;
}

static void read_name(struct client_sample *client)
{
	char *path = text("/proc/%d/comm", (int)client->pid), *name = read_line(path);

	snprintf(client->name, sizeof(client->name), "%s", name ? name : "?");
	free(name);
	free(path);
}

/* Adds what one more file has to what its process has. */
static void add_file(struct sample *sample, const struct client_sample *file)
{
	struct client_sample *client = client_of(sample, file->gpu, file->pid);

	if (client) {
		client->total += file->total;
		client->in_place += file->in_place;
		client->pinned += file->pinned;
		client->counters.busy_ns += file->counters.busy_ns;
		return;
	}
	sample->clients = grow(sample->clients, sample->num_clients, sizeof(*client));
	client = &sample->clients[sample->num_clients++];
	*client = *file;
	read_name(client);
}

static void sample_file(struct sample *sample, pid_t pid, const char *fd)
{
	char *path = text("/proc/%d/fd/%s", (int)pid, fd), *fdinfo = NULL;
	struct client_sample client = {.pid = pid, .counters = NO_COUNTERS};
	struct stat file;
	uint64_t id = 0;

	if (stat(path, &file) || !S_ISCHR(file.st_mode) || major(file.st_rdev) != DRM_MAJOR ||
	    !find_gpu(sample, file.st_rdev, &client.gpu))
		goto out;
	free(path);
	path = text("/proc/%d/fdinfo/%s", (int)pid, fd);
	fdinfo = read_text(path);
	if (fdinfo && parse_fdinfo(fdinfo, &client, &id) && !is_known(sample, client.gpu, id))
		add_file(sample, &client);
out:
	free(fdinfo);
	free(path);
}

static void sample_process(struct sample *sample, pid_t pid)
{
	char *path = text("/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		sample->hidden_processes += errno == EACCES || errno == EPERM;
	while (dir && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			sample_file(sample, pid, entry->d_name);
	if (dir)
		closedir(dir);
	free(path);
}

static void sample_clients(struct sample *sample)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			sample_process(sample, (pid_t)strtol(entry->d_name, NULL, 10));
	if (dir)
		closedir(dir);
}

/* ---- Working sets ---- */

static void add_counter(int64_t *sum, int64_t value)
{
	if (value >= 0)
		*sum = (*sum < 0 ? 0 : *sum) + value;
}

static void add_vm(struct client_sample *client, const struct table *table)
{
	struct vm_sample vm = {
		.id = (unsigned int)table_number(table, "vm", 0),
		.resident = table_number(table, "resident_bytes", -1),
		.evicted = table_number(table, "evicted_bytes", -1),
		.counters =
			{
				.faults = table_number(table, "faults", -1),
				.suspends = table_number(table, "suspends", -1),
				.remaps = table_number(table, "remaps", -1),
				.evictions = table_number(table, "evictions", -1),
				.busy_ns = -1,
			},
	};

	if (!table_word(table, "state", vm.state, sizeof(vm.state)))
		snprintf(vm.state, sizeof(vm.state), "?");
	client->vms = grow(client->vms, client->num_vms, sizeof(vm));
	client->vms[client->num_vms++] = vm;
	add_counter(&client->counters.faults, vm.counters.faults);
	add_counter(&client->counters.suspends, vm.counters.suspends);
	add_counter(&client->counters.remaps, vm.counters.remaps);
	add_counter(&client->counters.evictions, vm.counters.evictions);
}

/* Once all is known. Each total counts where a BO prefers to be, each resident where it is. */
static void sum_up(struct client_sample *client, bool debugfs)
{
	client->resident = client->in_place;
	client->evicted = client->total > client->in_place ? client->total - client->in_place : 0;
	if (!debugfs || (client->num_vms && client->vms[0].resident < 0))
		return;
	client->resident = client->evicted = 0;
	for (size_t i = 0; i < client->num_vms; i++) {
		client->resident += (uint64_t)client->vms[i].resident;
		client->evicted += (uint64_t)client->vms[i].evicted;
	}
}

static void sample_vms(struct sample *sample, size_t gpu)
{
	struct client_sample *client;
	struct table table;

	if (!table_open(&table, sample->gpus[gpu].gpu.node.minor, "vms"))
		return;
	sample->debugfs = true;
	while (table_next(&table)) {
		client = client_of(sample, gpu, (pid_t)table_number(&table, "pid", 0));
		if (client)
			add_vm(client, &table);
	}
	table_close(&table);
}

/* ---- Samples ---- */

struct sample sample_take(void)
{
	struct sample sample = {.time_ns = now_ns()};

	sample_gpus(&sample);
	sample_clients(&sample);
	for (size_t i = 0; i < sample.num_gpus; i++) {
		sample_evicted(&sample.gpus[i]);
		sample_vms(&sample, i);
	}
	for (size_t i = 0; i < sample.num_clients; i++)
		sum_up(&sample.clients[i], sample.debugfs);
	return sample;
}

void sample_free(struct sample *sample)
{
	for (size_t i = 0; i < sample->num_clients; i++)
		free(sample->clients[i].vms);
	free(sample->clients);
	free(sample->files);
	free(sample->gpus);
	*sample = (struct sample){0};
}

double sample_rate(int64_t before, int64_t now, uint64_t before_ns, uint64_t now_ns)
{
	if (before < 0 || now < before || now_ns <= before_ns)
		return -1;
	return (double)(now - before) * 1e9 / (double)(now_ns - before_ns);
}

const struct client_sample *sample_client(const struct sample *sample,
					  const struct client_sample *client)
{
	return client_of(sample, client->gpu, client->pid);
}

const struct gpu_sample *sample_gpu(const struct sample *sample, const struct gpu_sample *gpu)
{
	for (size_t i = 0; i < sample->num_gpus; i++)
		if (sample->gpus[i].gpu.node.minor == gpu->gpu.node.minor)
			return &sample->gpus[i];
	return NULL;
}
