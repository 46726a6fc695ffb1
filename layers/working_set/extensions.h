/* SPDX-License-Identifier: MIT */
/*
 * Sets of Vulkan extensions: what is offered, what the application enabled and what the layer
 * enabled in addition; and what is known of the few extensions that the layer uses itself (what they
 * depend on, which commands they have).
 */
#ifndef LAYER_EXTENSIONS_H
#define LAYER_EXTENSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <vulkan/vulkan.h>

typedef char extension_name[VK_MAX_EXTENSION_NAME_SIZE];

struct extension_set {
	const VkAllocationCallbacks *allocator;
	VkSystemAllocationScope scope;
	extension_name *names;
	uint32_t count;
	uint32_t capacity;
	/* The first so many are the application's, as it named them; the others the layer added. */
	uint32_t application_count;
};

/* Return: false: no memory; the set is empty then. */
bool extension_set_init(struct extension_set *set, const VkAllocationCallbacks *allocator,
			VkSystemAllocationScope scope, const char *const *names, uint32_t count);
void extension_set_fini(struct extension_set *set);

/* Adds what isn't in the set. Return: false: no memory; nothing was added. */
bool extension_set_add(struct extension_set *set, const char *name);
/* Takes out what the application named but nobody below has to know of. */
void extension_set_remove(struct extension_set *set, const char *name);
bool extension_set_has(const struct extension_set *set, const char *name);
/* As above, but only what the application itself asked for. */
bool extension_set_application_has(const struct extension_set *set, const char *name);

/*
 * extension_set_pointers() - the names as Vulkan's create-infos want them
 *
 * Return: an array to be freed with layer_free(set->allocator, …), valid until the set changes; NULL:
 * no memory.
 */
const char **extension_set_pointers(const struct extension_set *set);

/* Whether the application must not see a command because only the layer enabled its extension. */
bool extension_set_hides(const struct extension_set *set, const char *command);

/*
 * struct known_extension - an extension that the layer may enable by itself
 */
struct known_extension {
	const char *name;
	/* Enabled on the instance, not on the device. */
	bool is_instance;
	/* The version of Vulkan that it became part of; 0: none. */
	uint32_t core_version;
	/* Ends with NULL. */
	const char *
		requires[
			4];
	/* Ends with NULL. */
	const char *commands[8];
};

/* Return: NULL if the layer doesn't know it. */
const struct known_extension *extension_known(const char *name);

/* Whether a version of Vulkan has what an extension brought. */
bool extension_is_core(const char *name, uint32_t api_version);

#endif
