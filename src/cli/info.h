/* SPDX-License-Identifier: MIT */
/* The parts of drover info: what was found is one JSON object, see docs/cli.md. */
#ifndef DROVER_CLI_INFO_H
#define DROVER_CLI_INFO_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

/*
 * Members by path ("vulkan/layer/manifest"). What isn't there is NULL, "", 0, false, or an array of no elements.
 */
struct json_object *member(struct json_object *object, const char *path);
const char *member_text(struct json_object *object, const char *path);
uint64_t member_number(struct json_object *object, const char *path);
bool member_bool(struct json_object *object, const char *path);
size_t member_length(struct json_object *object, const char *path);
struct json_object *member_at(struct json_object *object, const char *path, size_t index);

/* problems_of() - array of {"problem", "todo"} for a person */
struct json_object *problems_of(struct json_object *info);

/* info_print() - as text, on stdout */
void info_print(struct json_object *info);

#endif
