// SPDX-License-Identifier: MIT
/*
 * drover info: what there is on this machine. What is found is put into one JSON object; the text is made from it, so
 * both say the same.
 */
#include "cli.h"
#include "info.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

static const char help[] =
	"Usage: drover info [--json]\n"
	"\n"
	"Says what there is on this machine: the virtual GPUs and how full they are, what is pinned and why (for any\n"
	"driver), which Vulkan drivers and layers the loader finds, what an application would see, and what to do about\n"
	"what is missing. Changes nothing. Run it as root to see what debugfs knows, too.\n"
	"\n"
	"Options:\n"
	"  --json  the same as JSON; sizes are in bytes\n"
	"\n"
	"Examples:\n"
	"  drover info\n"
	"  sudo drover info                                  with the dma-bufs of all drivers\n"
	"  drover info --json | jq '.virtual_gpus[].pinned'  one part of it\n"
	"  drover info --json | jq -r '.problems[].todo'     what to do\n"
	"\n"
	"Exit status: 0 if it could look, whatever it found; 1 if it couldn't; 2 for wrong options.\n";

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* ---- Collecting ---- */

static void add_text(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, value ? json_object_new_string(value) : NULL);
}

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static void add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

static const char *move_notify_name(enum move_notify move_notify)
{
	static const char *const names[] = {
		[MOVE_NOTIFY_UNKNOWN] = "unknown",
		[MOVE_NOTIFY_OFF] = "off",
		[MOVE_NOTIFY_ON] = "on",
		[MOVE_NOTIFY_ALWAYS] = "always",
	};

	return names[move_notify];
}

static struct json_object *kernel_object(const struct kernel *kernel)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "release", kernel->release);
	add_text(object, "config", kernel->config);
	add_text(object, "move_notify", move_notify_name(kernel->move_notify));
	return object;
}

static struct json_object *module_object(const struct module *module, const struct gpu *gpus,
					 size_t num_gpus)
{
	struct json_object *object = json_object_new_object();

	add_bool(object, "loaded", module->loaded);
	add_bool(object, "installed", module->installed);
	add_text(object, "version", module->version);
	json_object_object_add(object, "aperture",
			       num_gpus ? json_object_new_boolean(gpus[0].aperture) : NULL);
	return object;
}

static struct json_object *usage_object(uint64_t used, uint64_t size)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "used", used);
	add_number(object, "size", size);
	return object;
}

static struct json_object *gpu_object(const struct gpu *gpu)
{
	const struct drm_drover_device_info *info = &gpu->info;
	struct json_object *object = json_object_new_object(), *pinned = json_object_new_object();

	add_number(object, "index", info->device_index);
	add_text(object, "node", gpu->node.path);
	json_object_object_add(object, "vram", usage_object(info->vram_used, info->vram_size));
	json_object_object_add(object, "gtt", usage_object(info->gtt_used, info->gtt_size));
	add_number(pinned, "now", info->pinned);
	add_number(pinned, "max", info->pinned_max);
	add_number(pinned, "limit", info->pin_limit);
	json_object_object_add(object, "pinned", pinned);
	add_number(object, "evictions", info->evictions);
	add_number(object, "bytes_moved", info->bytes_moved);
	add_bool(object, "p2p", info->flags & DRM_DROVER_DEVICE_P2P);
	add_bool(object, "pin_imports", info->flags & DRM_DROVER_DEVICE_PIN_IMPORTS);
	add_text(object, "fence_mode",
		 info->flags & DRM_DROVER_DEVICE_FENCE_MODE_JOB ? "job" : "working_set");
	return object;
}

static struct json_object *gpus_array(const struct gpu *gpus, size_t num_gpus)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < num_gpus; i++)
		json_object_array_add(array, gpu_object(&gpus[i]));
	return array;
}

static void add_access(struct json_object *object, const struct file_access *access)
{
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", access->mode);
	add_text(object, "error", access->error ? strerror(access->error) : NULL);
	add_text(object, "mode", mode);
	add_text(object, "group", access->group);
}

static struct json_object *nodes_array(const struct node *nodes, size_t num_nodes)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < num_nodes; i++) {
		struct json_object *object = json_object_new_object();

		add_text(object, "node", nodes[i].path);
		add_text(object, "driver", nodes[i].driver);
		add_text(object, "device", nodes[i].device);
		add_bool(object, "imports", nodes[i].import);
		add_bool(object, "exports", nodes[i].export);
		add_access(object, &nodes[i].access);
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *uses_array(const struct dmabuf_use *uses, size_t count)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < count; i++) {
		struct json_object *object = json_object_new_object();

		add_text(object, "name", uses[i].name);
		if (uses[i].driver[0])
			add_text(object, "driver", uses[i].driver);
		add_number(object, "buffers", uses[i].buffers);
		add_number(object, "bytes", uses[i].bytes);
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *dmabufs_object(void)
{
	struct json_object *object = json_object_new_object();
	struct dmabufs dmabufs = dmabufs_read();

	add_text(object, "error", dmabufs.error ? strerror(dmabufs.error) : NULL);
	if (!dmabufs.error) {
		add_number(object, "buffers", dmabufs.buffers);
		add_number(object, "bytes", dmabufs.bytes);
		add_number(object, "imported", dmabufs.attached);
		json_object_object_add(object, "exporters",
				       uses_array(dmabufs.exporters, dmabufs.num_exporters));
		json_object_object_add(object, "importers",
				       uses_array(dmabufs.importers, dmabufs.num_importers));
	}
	dmabufs_free(&dmabufs);
	return object;
}

/* The BOs of a virtual GPU that are pinned at the moment. */
static void add_pinned_bos(struct json_object *array, const struct gpu *gpu)
{
	struct table table;
	char placement[16], kind[16];

	if (!table_open(&table, gpu->node.minor, "gem"))
		return;
	while (table_next(&table)) {
		struct json_object *object;

		if (table_number(&table, "pins", 0) <= 0 ||
		    !table_word(&table, "placement", placement, sizeof(placement)) ||
		    !table_word(&table, "kind", kind, sizeof(kind)))
			continue;
		object = json_object_new_object();
		add_number(object, "gpu", gpu->info.device_index);
		add_number(object, "bytes", (uint64_t)table_number(&table, "size", 0));
		add_number(object, "pins", (uint64_t)table_number(&table, "pins", 0));
		add_number(object, "pid", (uint64_t)table_number(&table, "owner", 0));
		add_text(object, "placement", placement);
		json_object_array_add(array, object);
	}
	table_close(&table);
}

static struct json_object *pinned_array(const struct gpu *gpus, size_t num_gpus)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < num_gpus; i++)
		add_pinned_bos(array, &gpus[i]);
	return array;
}

static struct json_object *udmabuf_object(void)
{
	struct json_object *object = json_object_new_object();
	struct file_access access = access_of("/dev/udmabuf");

	add_access(object, &access);
	return object;
}

static struct json_object *layer_object(void)
{
	struct json_object *object = json_object_new_object();
	struct layer_place place = layer_find();

	add_text(object, "manifest", place.manifest);
	/* set if the loader doesn't look there by itself */
	add_text(object, "added_path", place.add);
	add_bool(object, "library_missing", place.missing);
	layer_place_free(&place);
	return object;
}

static struct json_object *icds_array(void)
{
	struct json_object *array = json_object_new_array();
	struct manifests icds = icds_list();

	for (size_t i = 0; i < icds.count; i++) {
		struct json_object *object = json_object_new_object();

		add_text(object, "manifest", icds.items[i].path);
		add_text(object, "library", icds.items[i].library);
		add_text(object, "api_version", icds.items[i].api_version);
		add_bool(object, "library_missing", icds.items[i].missing);
		json_object_array_add(array, object);
	}
	manifests_free(&icds);
	return array;
}

/* What applications see below `drover run`, or why it can't be told. */
static struct json_object *ask_with_run(size_t num_gpus)
{
	struct run_options options = {.gpus = (unsigned int)num_gpus};
	struct environment environment;
	struct json_object *answer;
	char *error;

	if (environment_make(&options, &environment, &error)) {
		answer = vulkan_ask(&environment);
	} else {
		answer = json_object_new_object();
		add_text(answer, "error", error);
		free(error);
	}
	environment_free(&environment);
	return answer;
}

/*
 * In virtual mode a device is a virtual GPU's and names its node; whatever else the layer is on stays as it is.
 */
static void add_modes(struct json_object *answer, const struct gpu *gpus, size_t num_gpus)
{
	struct json_object *devices, *device, *minor;

	if (!json_object_object_get_ex(answer, "devices", &devices))
		return;
	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		bool is_virtual = false;

		device = json_object_array_get_idx(devices, i);
		if (json_object_object_get_ex(device, "render_minor", &minor))
			for (size_t j = 0; j < num_gpus; j++)
				is_virtual |= json_object_get_uint64(minor) == gpus[j].node.minor;
		add_text(device, "mode", is_virtual ? "virtual" : "native");
	}
}

static struct json_object *vulkan_object(const struct gpu *gpus, size_t num_gpus)
{
	struct json_object *object = json_object_new_object();
	struct json_object *with_run = ask_with_run(num_gpus);

	add_modes(with_run, gpus, num_gpus);
	json_object_object_add(object, "layer", layer_object());
	add_text(object, "drivers_from", icds_variable());
	json_object_object_add(object, "drivers", icds_array());
	json_object_object_add(object, "now", vulkan_ask(NULL));
	json_object_object_add(object, "with_run", with_run);
	return object;
}

static struct json_object *collect(void)
{
	struct json_object *info = json_object_new_object();
	struct kernel kernel = kernel_read();
	struct module module = module_read(&kernel);
	struct node *nodes;
	struct gpu *gpus;
	size_t num_nodes = nodes_list(&nodes), num_gpus = gpus_list(nodes, num_nodes, &gpus);

	add_text(info, "version", DROVER_VERSION);
	json_object_object_add(info, "kernel", kernel_object(&kernel));
	json_object_object_add(info, "module", module_object(&module, gpus, num_gpus));
	json_object_object_add(info, "virtual_gpus", gpus_array(gpus, num_gpus));
	json_object_object_add(info, "drm_nodes", nodes_array(nodes, num_nodes));
	json_object_object_add(info, "pinned_bos", pinned_array(gpus, num_gpus));
	json_object_object_add(info, "dma_bufs", dmabufs_object());
	json_object_object_add(info, "udmabuf", udmabuf_object());
	json_object_object_add(info, "vulkan", vulkan_object(gpus, num_gpus));
	json_object_object_add(info, "problems", problems_of(info));
	free(gpus);
	free(nodes);
	module_free(&module);
	kernel_free(&kernel);
	return info;
}

int info_main(int argc, char **argv)
{
	struct json_object *info;
	bool json = false;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		default:
			bad_option("info", option, argv);
		}
	}
	if (optind < argc)
		usage_error("info", "'%s' is too much", argv[optind]);
	info = collect();
	if (json)
		puts(json_object_to_json_string_ext(info, JSON_C_TO_STRING_PRETTY |
								  JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		info_print(info);
	json_object_put(info);
	return EXIT_SUCCESS;
}
