/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the drover command share: messages, strings, files, and what each part finds out.
 *
 * A command ends with EXIT_SUCCESS, EXIT_FAILURE if it couldn't do what was asked, or EXIT_USAGE if it wasn't asked
 * properly. Running out of memory ends the program.
 */
#ifndef DROVER_CLI_H
#define DROVER_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <drm/drover_drm.h>

#define EXIT_USAGE        2
/* `drover run` failed before the application ran; told apart from the application's own statuses, as with env(1) */
#define EXIT_RUN          125

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define LAYER_NAME        "VK_LAYER_DROVER_working_set"

struct json_object;

/* ---- text.c: messages, strings, files ---- */

/* die() - says why on stderr, after the command's name, and ends the program */
_Noreturn void die(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* usage_error() - as die(), with the status for wrong usage and a pointer to the command's --help */
_Noreturn void usage_error(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* bad_option() - what getopt_long() returned '?' or ':' for, as a usage error */
_Noreturn void bad_option(const char *command, int result, char **argv);

/* text() - printf() into a new string, which is the caller's to free */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* xcalloc() - zeroed memory, never NULL */
void *xcalloc(size_t count, size_t size);
/* grow() - memory for one more element of @size bytes, zeroed; returns the new array */
void *grow(void *array, size_t count, size_t size);

/* human_bytes() - "34.0 MiB" in @buffer, which it returns */
const char *human_bytes(uint64_t bytes, char buffer[16]);

/** struct strings - a list; zeroed to begin with */
struct strings {
	char **items;
	size_t count;
};

/* strings_add() - takes the string over */
void strings_add(struct strings *list, char *item);
/* strings_split() - adds the non-empty parts of @value (may be NULL) between @separator */
void strings_split(struct strings *list, const char *value, char separator);
bool strings_contain(const struct strings *list, const char *item);
void strings_free(struct strings *list);

/* read_text() - a whole file, or NULL with errno; the caller frees it. Compressed files are unpacked */
char *read_text(const char *path);
/* read_line() - the first line of a file without its end, or NULL */
char *read_line(const char *path);
/* link_target() - the last part of what a symbolic link names, or NULL */
char *link_target(const char *path);
/* next_line() - cuts the next line off *@rest; NULL at the end */
char *next_line(char **rest);

/* ---- machine.c: the kernel, its modules, and DRM nodes ---- */

/** enum move_notify - whether the dma-buf core leaves mapped imports movable */
enum move_notify {
	/** @MOVE_NOTIFY_UNKNOWN: can't be read on this machine */
	MOVE_NOTIFY_UNKNOWN,
	/** @MOVE_NOTIFY_OFF: CONFIG_DMABUF_MOVE_NOTIFY exists and is off: every mapping is a pin */
	MOVE_NOTIFY_OFF,
	/** @MOVE_NOTIFY_ON: it is on: only static importers pin */
	MOVE_NOTIFY_ON,
	/** @MOVE_NOTIFY_ALWAYS: a kernel that has no such option any more: as on */
	MOVE_NOTIFY_ALWAYS,
};

/** struct kernel - which kernel runs, and what its configuration says */
struct kernel {
	char *release;
	/** @config: path of the configuration that was read, or NULL */
	char *config;
	enum move_notify move_notify;
};

struct kernel kernel_read(void);
void kernel_free(struct kernel *kernel);

/** struct module - drover.ko */
struct module {
	bool loaded;
	/** @installed: depmod has heard of it, so modprobe finds it */
	bool installed;
	/** @version: or NULL if it isn't loaded or doesn't say */
	char *version;
};

struct module module_read(const struct kernel *kernel);
void module_free(struct module *module);

/** struct file_access - whether this process may use a device file, and who may */
struct file_access {
	/** @error: 0, or why it can't be opened for reading and writing (errno) */
	int error;
	mode_t mode;
	/** @group: name of the file's group, or its number */
	char group[64];
};

/* access_of() - by opening it, which is what counts */
struct file_access access_of(const char *path);

/** struct node - a DRM render node of any driver */
struct node {
	char path[64];
	unsigned int minor;
	/** @device: its name in sysfs, such as drover0 or 0000:03:00.0 */
	char device[64];
	/** @driver: as DRM says, or the kernel's driver if the node can't be opened */
	char driver[64];
	bool is_drover;
	struct file_access access;
	/** @import, @export: DRM_CAP_PRIME; only if it can be opened */
	bool import, export;
};

/* nodes_list() - all of them by minor; the caller frees the array */
size_t nodes_list(struct node **nodes);

/** struct gpu - a virtual GPU that can be opened */
struct gpu {
	struct node node;
	struct drm_drover_device_info info;
	/** @aperture: whether the module can map a VM's address range */
	bool aperture;
};

/* gpus_list() - those of the nodes that are virtual GPUs and can be opened */
size_t gpus_list(const struct node *nodes, size_t num_nodes, struct gpu **gpus);

/* ---- dmabufs.c: debugfs' list of dma-bufs ---- */

/** struct dmabuf_use - one device that imports, or one driver that exports */
struct dmabuf_use {
	char name[64];
	/** @driver: of an importing device, or "" */
	char driver[64];
	uint64_t buffers;
	uint64_t bytes;
};

/** struct dmabufs - what bufinfo says */
struct dmabufs {
	/** @error: 0, or why it can't be read (errno) */
	int error;
	uint64_t buffers, bytes;
	/** @attached: buffers that at least one device imports */
	uint64_t attached;
	struct dmabuf_use *exporters, *importers;
	size_t num_exporters, num_importers;
};

struct dmabufs dmabufs_read(void);
void dmabufs_free(struct dmabufs *dmabufs);

/* ---- tables.c: the driver's tables in debugfs, whose first line names the columns ---- */

/** struct table - a file of debugfs and the row that table_next() went to */
struct table {
	char *text;
	char *header;
	char *rest;
	char *row;
};

/* table_open() - false with errno if it can't be read */
bool table_open(struct table *table, unsigned int minor, const char *file);
bool table_next(struct table *table);
/* table_word() - the row's word in that column; false if there is no such column */
bool table_word(const struct table *table, const char *column, char *word, size_t size);
/* table_number() - the row's number in that column, or @missing */
int64_t table_number(const struct table *table, const char *column, int64_t missing);
void table_close(struct table *table);

/* ---- manifests.c: which Vulkan drivers and layers there are ---- */

/** struct manifest - a driver's or layer's JSON file */
struct manifest {
	char *path;
	/** @library: as the manifest names it */
	char *library;
	/** @api_version: or "" */
	char *api_version;
	/** @missing: the manifest names a file that isn't there */
	bool missing;
};

/** struct manifests - a list */
struct manifests {
	struct manifest *items;
	size_t count;
};

/* icds_list() - the drivers that the loader would look at, in its order, by the present environment */
struct manifests icds_list(void);
/* icds_variable() - the variable that names the drivers now, or NULL if the standard directories do */
const char *icds_variable(void);
void manifests_free(struct manifests *manifests);

/** struct layer_place - where the layer's manifest is */
struct layer_place {
	/** @manifest: its path, or NULL if it wasn't found */
	char *manifest;
	/** @add: the directory that the loader has to be told about, or NULL if it looks there anyway */
	char *add;
	/** @missing: the manifest names a library that isn't there */
	bool missing;
};

/* layer_find() - beside the command (a build tree, a prefix of its own) or where the loader looks */
struct layer_place layer_find(void);
void layer_place_free(struct layer_place *place);

/** struct setting - one of the layer's settings, as its manifest describes them */
struct setting {
	char *key;
	char *description;
	/** @values: what it may be; empty if that isn't a choice of few */
	struct strings values;
};

/* layer_settings() - all of them */
struct setting *layer_settings(const struct layer_place *place, size_t *count);
void layer_settings_free(struct setting *settings, size_t count);

/* ---- environment.c: what `drover run` sets ---- */

/** struct variable - one variable of the environment */
struct variable {
	char *name;
	char *value;
};

/** struct environment - what has to be set */
struct environment {
	struct variable items[32];
	size_t count;
};

/** struct run_options - what the user asked for */
struct run_options {
	/** @gpus: how many virtual GPUs the application sees */
	unsigned int gpus;
	/** @icd: the CPU driver's manifest, or NULL for lavapipe's */
	const char *icd;
	/** @keep_drivers: the machine's other drivers stay visible */
	bool keep_drivers;
	/** @settings: "name=value" of the layer */
	struct strings settings;
};

/*
 * environment_make() - false with a message for the user in *@error, which is the caller's to free
 */
bool environment_make(const struct run_options *options, struct environment *environment,
		      char **error);
/* environment_apply() - sets them in this process */
void environment_apply(const struct environment *environment);
void environment_free(struct environment *environment);

/* ---- vulkan.c: what the loader says ---- */

/*
 * vulkan_ask() - asks the Vulkan loader in a process of its own, so that a driver that crashes or hangs does no
 * harm: {"loader", "layer", "devices": [{"name", "type", "driver", "render_minor"}], "error"}
 * @environment: to be set first, or NULL
 */
struct json_object *vulkan_ask(const struct environment *environment);

/* ---- sample.c: what top shows ---- */

/* now_ns() - CLOCK_MONOTONIC */
uint64_t now_ns(void);

/** struct counters - what only grows; -1: not known */
struct counters {
	int64_t faults, suspends, remaps, evictions, busy_ns;
};

/** struct vm_sample - one working set */
struct vm_sample {
	unsigned int id;
	char state[16];
	/** @resident, @evicted: bytes, or -1 */
	int64_t resident, evicted;
	struct counters counters;
};

/** struct client_sample - what a process has on one virtual GPU, however many files of it are open */
struct client_sample {
	pid_t pid;
	char name[32];
	/** @gpu: index in the sample */
	size_t gpu;
	/** @total, @in_place, @pinned: bytes of its BOs, of those that are in VRAM, GTT or mapped, of those pinned */
	uint64_t total, in_place, pinned;
	/**
	 * @resident, @evicted: bytes bound in its working sets that the GPU can reach, or that have to be brought back
	 * first; without debugfs bytes of its BOs that are in place, or aren't
	 */
	uint64_t resident, evicted;
	/** @counters: sums over its working sets */
	struct counters counters;
	struct vm_sample *vms;
	size_t num_vms;
};

/** struct known_file - a client in DRM's sense: files that were passed on or inherited are one */
struct known_file {
	size_t gpu;
	uint64_t id;
};

/** struct gpu_sample - one virtual GPU */
struct gpu_sample {
	struct gpu gpu;
	/** @evicted: bytes of BOs that are out of reach, or -1 if debugfs can't be read */
	int64_t evicted;
};

/** struct sample - everything at one moment */
struct sample {
	uint64_t time_ns;
	struct gpu_sample *gpus;
	size_t num_gpus;
	struct client_sample *clients;
	size_t num_clients;
	/** @files: those that were counted */
	struct known_file *files;
	size_t num_files;
	/** @hidden_processes: processes whose files can't be looked at */
	size_t hidden_processes;
	/** @hidden_gpus: virtual GPUs that can't be opened */
	size_t hidden_gpus;
	/** @debugfs: whether the working sets' counters can be read */
	bool debugfs;
};

struct sample sample_take(void);
void sample_free(struct sample *sample);

/*
 * sample_rate() - per second, between two samples of a counter; negative: not known
 */
double sample_rate(int64_t before, int64_t now, uint64_t before_ns, uint64_t now_ns);
/* sample_client() - the same client in another sample, or NULL */
const struct client_sample *sample_client(const struct sample *sample,
					  const struct client_sample *client);
/* sample_gpu() - the same device in another sample, or NULL */
const struct gpu_sample *sample_gpu(const struct sample *sample, const struct gpu_sample *gpu);
/* sample_json() - @before: adds rates since then, or NULL */
struct json_object *sample_json(const struct sample *sample, const struct sample *before);

/* ---- screen.c: top on a terminal ---- */

/* screen_run() - until the user quits; returns the exit status */
int screen_run(double interval);

/* ---- The commands ---- */

int info_main(int argc, char **argv);
int run_main(int argc, char **argv);
int top_main(int argc, char **argv);

#endif
