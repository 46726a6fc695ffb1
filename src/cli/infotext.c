// SPDX-License-Identifier: MIT
/* drover info as text, and reading the JSON object that it is made from. */
#include "cli.h"
#include "info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <json-c/json.h>

/* ---- Members by path ---- */

struct json_object *member(struct json_object *object, const char *path)
{
	char key[64];

	while (object && *path) {
		size_t length = strcspn(path, "/");

		snprintf(key, sizeof(key), "%.*s", (int)length, path);
		if (!json_object_object_get_ex(object, key, &object))
			return NULL;
		path += length + (path[length] == '/');
	}
	return object;
}

const char *member_text(struct json_object *object, const char *path)
{
	object = member(object, path);
	return object ? json_object_get_string(object) : "";
}

uint64_t member_number(struct json_object *object, const char *path)
{
	return json_object_get_uint64(member(object, path));
}

bool member_bool(struct json_object *object, const char *path)
{
	return json_object_get_boolean(member(object, path));
}

size_t member_length(struct json_object *object, const char *path)
{
	object = member(object, path);
	return object ? json_object_array_length(object) : 0;
}

struct json_object *member_at(struct json_object *object, const char *path, size_t index)
{
	return json_object_array_get_idx(member(object, path), index);
}

/* ---- Printing ---- */

static unsigned int columns = 100;

static void find_width(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col >= 40)
		columns = size.ws_col;
}

/* Characters of a UTF-8 string that take a column: all that don't continue another. */
static size_t width(const char *string, size_t length)
{
	size_t columns_taken = 0;

	for (size_t i = 0; i < length; i++)
		columns_taken += (string[i] & 0xc0) != 0x80;
	return columns_taken;
}

/* Words, broken at the width of the terminal; what follows the first line is indented like the first word. */
static void print_words(const char *first, const char *words)
{
	size_t indent = width(first, strlen(first)), at = indent;
	bool line_start = true;

	fputs(first, stdout);
	while (*words) {
		size_t length = strcspn(words, " ");

		if (!line_start && at + 1 + width(words, length) > columns) {
			printf("\n%*s", (int)indent, "");
			at = indent;
			line_start = true;
		}
		printf("%s%.*s", line_start ? "" : " ", (int)length, words);
		at += width(words, length) + !line_start;
		line_start = false;
		words += length + strspn(words + length, " ");
	}
	putchar('\n');
}

static void print_paragraph(const char *first, char *words)
{
	print_words(first, words);
	free(words);
}

static void print_kernel(struct json_object *info)
{
	const char *config = member_text(info, "kernel/config");
	const char *version = member_text(info, "module/version");

	printf("Kernel\n  Linux %s; its configuration %s%s\n", member_text(info, "kernel/release"),
	       *config ? "is in " : "can't be read", config);
	if (!member_bool(info, "module/loaded"))
		printf("  drover.ko: not loaded%s\n",
		       member_bool(info, "module/installed") ? "" : ", nor installed");
	else
		printf("  drover.ko: loaded%s%s%s\n", *version ? ", version " : "", version,
		       !member_length(info, "virtual_gpus") ? ""
		       : member_bool(info, "module/aperture")
			       ? "; maps GPU address spaces (aperture)"
			       : "; can't map GPU address spaces (no aperture)");
}

static void print_gpu(struct json_object *gpu)
{
	char used[16], size[16], max[16];

	printf("  GPU %s  %s\n", member_text(gpu, "index"), member_text(gpu, "node"));
	printf("    VRAM    %s of %s used\n", human_bytes(member_number(gpu, "vram/used"), used),
	       human_bytes(member_number(gpu, "vram/size"), size));
	printf("    GTT     %s of %s used\n", human_bytes(member_number(gpu, "gtt/used"), used),
	       human_bytes(member_number(gpu, "gtt/size"), size));
	printf("    pinned  %s now, %s at most until now; allowed: %s\n",
	       human_bytes(member_number(gpu, "pinned/now"), used),
	       human_bytes(member_number(gpu, "pinned/max"), max),
	       human_bytes(member_number(gpu, "pinned/limit"), size));
	printf("    moved   %s in %s evictions\n",
	       human_bytes(member_number(gpu, "bytes_moved"), used), member_text(gpu, "evictions"));
	printf("    modes   p2p=%d (peers %s), pin_imports=%d, fence_mode=%s\n",
	       member_bool(gpu, "p2p"),
	       member_bool(gpu, "p2p") ? "map its VRAM in place" : "reach its buffers in GTT",
	       member_bool(gpu, "pin_imports"), member_text(gpu, "fence_mode"));
}

static void print_gpus(struct json_object *info)
{
	size_t count = member_length(info, "virtual_gpus");

	puts("\nVirtual GPUs");
	for (size_t i = 0; i < count; i++)
		print_gpu(member_at(info, "virtual_gpus", i));
	if (!count)
		puts("  none that can be opened");
}

static const char *sharing(struct json_object *node)
{
	if (*member_text(node, "error"))
		return member_text(node, "error");
	if (member_bool(node, "imports"))
		return member_bool(node, "exports") ? "imports and exports dma-bufs"
						    : "imports dma-bufs";
	return member_bool(node, "exports") ? "exports dma-bufs" : "shares no dma-bufs";
}

static void print_nodes(struct json_object *info)
{
	bool any = false;

	puts("\nOther DRM render nodes");
	for (size_t i = 0; i < member_length(info, "drm_nodes"); i++) {
		struct json_object *node = member_at(info, "drm_nodes", i);
		bool is_drover = !strcmp(member_text(node, "driver"), "drover");

		if (is_drover && !*member_text(node, "error"))
			continue;
		any = true;
		printf("  %s  %s, device %s: %s\n", member_text(node, "node"),
		       member_text(node, "driver"), member_text(node, "device"), sharing(node));
	}
	if (!any)
		puts("  none");
}

static const char *explain_pinning(struct json_object *info)
{
	const char *move_notify = member_text(info, "kernel/move_notify");

	if (!strcmp(move_notify, "off"))
		return "This kernel's dma-buf core pins every mapped import of every driver, since CONFIG_DMABUF_MOVE_NOTIFY is "
		       "off. Only imports of one virtual GPU by another are exempt: drover recognizes them.";
	if (!strcmp(move_notify, "on"))
		return "This kernel has CONFIG_DMABUF_MOVE_NOTIFY: imports by drivers that can be told of a move aren't pinned; "
		       "imports by all others are.";
	if (!strcmp(move_notify, "always"))
		return "This kernel's dma-buf core pins no import whose driver can be told of a move (from 7.0 on there is no "
		       "option for that); imports by all other drivers are pinned by their exporter.";
	return "Whether this kernel pins all imports can't be told: its configuration (CONFIG_DMABUF_MOVE_NOTIFY) isn't "
	       "readable, or doesn't mention it.";
}

static void print_use(const char *verb, struct json_object *use)
{
	const char *driver = member_text(use, "driver");
	char bytes[16];

	printf("    %s %s%s%s%s: %s, %s\n", verb, member_text(use, "name"), *driver ? " (" : "",
	       driver, *driver ? ")" : "", member_text(use, "buffers"),
	       human_bytes(member_number(use, "bytes"), bytes));
}

static void print_dmabufs(struct json_object *info)
{
	const char *error = member_text(info, "dma_bufs/error");
	char bytes[16];

	if (*error) {
		print_paragraph(
			"  ",
			text("dma-bufs: not known (/sys/kernel/debug/dma_buf/bufinfo: %s). %s",
			     error, geteuid() ? "Root may see them." : "Is debugfs mounted?"));
		return;
	}
	printf("  dma-bufs: %s, %s; %s of them imported\n", member_text(info, "dma_bufs/buffers"),
	       human_bytes(member_number(info, "dma_bufs/bytes"), bytes),
	       member_text(info, "dma_bufs/imported"));
	for (size_t i = 0; i < member_length(info, "dma_bufs/exporters"); i++)
		print_use("exported by", member_at(info, "dma_bufs/exporters", i));
	for (size_t i = 0; i < member_length(info, "dma_bufs/importers"); i++)
		print_use("imported by", member_at(info, "dma_bufs/importers", i));
}

static void print_pinning(struct json_object *info)
{
	size_t count = member_length(info, "pinned_bos");
	char bytes[16];

	puts("\nWhat is pinned, and why");
	print_words("  ", explain_pinning(info));
	print_dmabufs(info);
	for (size_t i = 0; i < count; i++) {
		struct json_object *bo = member_at(info, "pinned_bos", i);

		printf("  pinned: %s of GPU %s in %s, created by process %s, %s %s\n",
		       human_bytes(member_number(bo, "bytes"), bytes), member_text(bo, "gpu"),
		       member_text(bo, "placement"), member_text(bo, "pid"),
		       member_text(bo, "pins"), member_number(bo, "pins") == 1 ? "time" : "times");
	}
}

static void print_devices(struct json_object *answer, const char *heading)
{
	const char *error = member_text(answer, "error");
	size_t count = member_length(answer, "devices");

	printf("  %s\n", heading);
	if (*error)
		print_words("    ", error);
	else if (!count)
		puts("    none");
	for (size_t i = 0; i < count; i++) {
		struct json_object *device = member_at(answer, "devices", i);
		const char *mode = member_text(device, "mode");

		printf("    GPU%zu: %s (%s", i, member_text(device, "name"),
		       member_text(device, "type"));
		if (*mode)
			printf(", %s mode", mode);
		if (member(device, "render_minor"))
			printf(", /dev/dri/renderD%s", member_text(device, "render_minor"));
		puts(")");
	}
}

static void print_vulkan(struct json_object *info)
{
	const char *loader = member_text(info, "vulkan/now/loader");
	const char *manifest = member_text(info, "vulkan/layer/manifest");
	const char *variable = member_text(info, "vulkan/drivers_from");

	puts("\nVulkan");
	printf("  loader: %s\n", *loader ? loader : "none");
	printf("  layer: %s%s\n", *manifest ? manifest : "not installed",
	       member_bool(info, "vulkan/layer/library_missing") ? " (its library is missing)"
	       : *manifest && !*member_text(info, "vulkan/now/layer")
		       ? " (`drover run` only: the loader doesn't look there)"
		       : "");
	printf("  drivers%s%s:\n", *variable ? ", by " : "", variable);
	for (size_t i = 0; i < member_length(info, "vulkan/drivers"); i++) {
		struct json_object *driver = member_at(info, "vulkan/drivers", i);

		printf("    %s%s\n", member_text(driver, "manifest"),
		       member_bool(driver, "library_missing") ? " (its library is missing)" : "");
	}
	print_devices(member(info, "vulkan/now"), "devices of an application as things are:");
	print_devices(member(info, "vulkan/with_run"), "devices with `drover run`:");
}

static void print_problems(struct json_object *info)
{
	size_t count = member_length(info, "problems");

	puts(count ? "\nWhat to do" : "\nNothing is missing.");
	for (size_t i = 0; i < count; i++) {
		struct json_object *problem = member_at(info, "problems", i);
		char *number = text("  %zu. ", i + 1);

		print_words(number, member_text(problem, "problem"));
		print_words("     → ", member_text(problem, "todo"));
		free(number);
	}
}

void info_print(struct json_object *info)
{
	find_width();
	print_kernel(info);
	print_gpus(info);
	print_nodes(info);
	print_pinning(info);
	print_vulkan(info);
	print_problems(info);
}
