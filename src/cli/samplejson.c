// SPDX-License-Identifier: MIT
/* A sample as JSON, for drover top --json. */
#include "cli.h"

#include <json-c/json.h>

/* What isn't known is null. */
static void add_count(struct json_object *object, const char *key, int64_t value)
{
	json_object_object_add(object, key, value < 0 ? NULL : json_object_new_int64(value));
}

static void add_rate(struct json_object *object, const char *key, double value)
{
	json_object_object_add(object, key, value < 0 ? NULL : json_object_new_double(value));
}

static void add_text(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, json_object_new_string(value));
}

static void add_counters(struct json_object *object, const struct counters *counters)
{
	add_count(object, "faults", counters->faults);
	add_count(object, "suspends", counters->suspends);
	add_count(object, "remaps", counters->remaps);
	add_count(object, "evictions", counters->evictions);
}

static void add_rates(struct json_object *object, const struct sample *now,
		      const struct sample *before, const struct client_sample *client)
{
	const struct client_sample *old = sample_client(before, client);
	const struct counters none = {-1, -1, -1, -1, -1};
	const struct counters *from = old ? &old->counters : &none, *to = &client->counters;
	double busy = sample_rate(from->busy_ns, to->busy_ns, before->time_ns, now->time_ns);

	add_rate(object, "faults_per_s",
		 sample_rate(from->faults, to->faults, before->time_ns, now->time_ns));
	add_rate(object, "suspends_per_s",
		 sample_rate(from->suspends, to->suspends, before->time_ns, now->time_ns));
	add_rate(object, "remaps_per_s",
		 sample_rate(from->remaps, to->remaps, before->time_ns, now->time_ns));
	add_rate(object, "busy_percent", busy < 0 ? busy : busy / 1e7);
}

static struct json_object *usage_object(uint64_t used, uint64_t size)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "used", json_object_new_uint64(used));
	json_object_object_add(object, "size", json_object_new_uint64(size));
	return object;
}

static struct json_object *gpu_object(const struct sample *now, const struct sample *before,
				      const struct gpu_sample *gpu)
{
	const struct drm_drover_device_info *info = &gpu->gpu.info;
	struct json_object *object = json_object_new_object();
	const struct gpu_sample *old = before ? sample_gpu(before, gpu) : NULL;

	add_count(object, "index", info->device_index);
	add_text(object, "node", gpu->gpu.node.path);
	json_object_object_add(object, "vram", usage_object(info->vram_used, info->vram_size));
	json_object_object_add(object, "gtt", usage_object(info->gtt_used, info->gtt_size));
	add_count(object, "evicted", gpu->evicted);
	add_count(object, "pinned", (int64_t)info->pinned);
	add_count(object, "pin_limit", (int64_t)info->pin_limit);
	add_count(object, "evictions", (int64_t)info->evictions);
	add_count(object, "bytes_moved", (int64_t)info->bytes_moved);
	if (old) {
		add_rate(object, "evictions_per_s",
			 sample_rate((int64_t)old->gpu.info.evictions, (int64_t)info->evictions,
				     before->time_ns, now->time_ns));
		add_rate(object, "bytes_moved_per_s",
			 sample_rate((int64_t)old->gpu.info.bytes_moved, (int64_t)info->bytes_moved,
				     before->time_ns, now->time_ns));
	}
	return object;
}

static struct json_object *vm_object(const struct vm_sample *vm)
{
	struct json_object *object = json_object_new_object();

	add_count(object, "id", vm->id);
	add_text(object, "state", vm->state);
	add_count(object, "resident", vm->resident);
	add_count(object, "evicted", vm->evicted);
	add_counters(object, &vm->counters);
	return object;
}

static struct json_object *client_object(const struct sample *now, const struct sample *before,
					 const struct client_sample *client)
{
	struct json_object *object = json_object_new_object(), *memory = json_object_new_object();
	struct json_object *vms = json_object_new_array();

	add_count(object, "pid", client->pid);
	add_text(object, "name", client->name);
	add_count(object, "gpu", now->gpus[client->gpu].gpu.info.device_index);
	add_count(memory, "total", (int64_t)client->total);
	add_count(memory, "in_place", (int64_t)client->in_place);
	json_object_object_add(object, "memory", memory);
	add_count(object, "resident", (int64_t)client->resident);
	add_count(object, "evicted", (int64_t)client->evicted);
	add_count(object, "pinned", (int64_t)client->pinned);
	add_count(object, "busy_ns", client->counters.busy_ns);
	add_counters(object, &client->counters);
	if (before)
		add_rates(object, now, before, client);
	for (size_t i = 0; i < client->num_vms; i++)
		json_object_array_add(vms, vm_object(&client->vms[i]));
	json_object_object_add(object, "working_sets", now->debugfs ? vms : NULL);
	if (!now->debugfs)
		json_object_put(vms);
	return object;
}

struct json_object *sample_json(const struct sample *sample, const struct sample *before)
{
	struct json_object *object = json_object_new_object(), *gpus = json_object_new_array(),
			   *clients = json_object_new_array();

	for (size_t i = 0; i < sample->num_gpus; i++)
		json_object_array_add(gpus, gpu_object(sample, before, &sample->gpus[i]));
	for (size_t i = 0; i < sample->num_clients; i++)
		json_object_array_add(clients, client_object(sample, before, &sample->clients[i]));
	if (before)
		add_rate(object, "interval_s", (double)(sample->time_ns - before->time_ns) / 1e9);
	json_object_object_add(object, "virtual_gpus", gpus);
	json_object_object_add(object, "clients", clients);
	json_object_object_add(object, "debugfs_readable",
			       json_object_new_boolean(sample->debugfs));
	add_count(object, "hidden_processes", (int64_t)sample->hidden_processes);
	add_count(object, "hidden_gpus", (int64_t)sample->hidden_gpus);
	return object;
}
