// SPDX-License-Identifier: MIT
/*
 * Owns sets of extensions, and the layer's knowledge of those that it enables by itself. What
 * an extension requires and which commands it has: the registry (vk.xml).
 */
#include <string.h>

#include "layer.h"

static const struct known_extension known_extensions[] = {
	{
		.name = VK_KHR_GET_PHYSICAL_DEVICE_PROPERTIES_2_EXTENSION_NAME,
		.is_instance = true,
		.core_version = VK_API_VERSION_1_1,
		.commands = {"vkGetPhysicalDeviceFeatures2KHR", "vkGetPhysicalDeviceProperties2KHR",
			     "vkGetPhysicalDeviceFormatProperties2KHR",
			     "vkGetPhysicalDeviceImageFormatProperties2KHR",
			     "vkGetPhysicalDeviceQueueFamilyProperties2KHR",
			     "vkGetPhysicalDeviceMemoryProperties2KHR",
			     "vkGetPhysicalDeviceSparseImageFormatProperties2KHR"},
	},
	{
		.name = VK_KHR_EXTERNAL_MEMORY_CAPABILITIES_EXTENSION_NAME,
		.is_instance = true,
		.core_version = VK_API_VERSION_1_1,
		.requires = {VK_KHR_GET_PHYSICAL_DEVICE_PROPERTIES_2_EXTENSION_NAME},
		.commands = {"vkGetPhysicalDeviceExternalBufferPropertiesKHR"},
	},
	{
		.name = VK_KHR_EXTERNAL_SEMAPHORE_CAPABILITIES_EXTENSION_NAME,
		.is_instance = true,
		.core_version = VK_API_VERSION_1_1,
		.requires = {VK_KHR_GET_PHYSICAL_DEVICE_PROPERTIES_2_EXTENSION_NAME},
		.commands = {"vkGetPhysicalDeviceExternalSemaphorePropertiesKHR"},
	},
	{
		.name = VK_KHR_EXTERNAL_FENCE_CAPABILITIES_EXTENSION_NAME,
		.is_instance = true,
		.core_version = VK_API_VERSION_1_1,
		.requires = {VK_KHR_GET_PHYSICAL_DEVICE_PROPERTIES_2_EXTENSION_NAME},
		.commands = {"vkGetPhysicalDeviceExternalFencePropertiesKHR"},
	},
	{
		.name = VK_KHR_EXTERNAL_MEMORY_EXTENSION_NAME,
		.core_version = VK_API_VERSION_1_1,
		.requires = {VK_KHR_EXTERNAL_MEMORY_CAPABILITIES_EXTENSION_NAME},
	},
	{
		.name = VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
		.requires = {VK_KHR_EXTERNAL_MEMORY_EXTENSION_NAME},
		.commands = {"vkGetMemoryFdKHR", "vkGetMemoryFdPropertiesKHR"},
	},
	{
		.name = VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
		.requires = {VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME},
	},
	{
		.name = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME,
		.requires = {VK_KHR_EXTERNAL_MEMORY_EXTENSION_NAME},
		.commands = {"vkGetMemoryHostPointerPropertiesEXT"},
	},
	{
		.name = VK_KHR_EXTERNAL_SEMAPHORE_EXTENSION_NAME,
		.core_version = VK_API_VERSION_1_1,
		.requires = {VK_KHR_EXTERNAL_SEMAPHORE_CAPABILITIES_EXTENSION_NAME},
	},
	{
		.name = VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME,
		.requires = {VK_KHR_EXTERNAL_SEMAPHORE_EXTENSION_NAME},
		.commands = {"vkImportSemaphoreFdKHR", "vkGetSemaphoreFdKHR"},
	},
	{
		.name = VK_KHR_EXTERNAL_FENCE_EXTENSION_NAME,
		.core_version = VK_API_VERSION_1_1,
		.requires = {VK_KHR_EXTERNAL_FENCE_CAPABILITIES_EXTENSION_NAME},
	},
	{
		.name = VK_KHR_EXTERNAL_FENCE_FD_EXTENSION_NAME,
		.requires = {VK_KHR_EXTERNAL_FENCE_EXTENSION_NAME},
		.commands = {"vkImportFenceFdKHR", "vkGetFenceFdKHR"},
	},
	{
		.name = VK_KHR_GET_MEMORY_REQUIREMENTS_2_EXTENSION_NAME,
		.core_version = VK_API_VERSION_1_1,
		.commands = {"vkGetImageMemoryRequirements2KHR",
			     "vkGetBufferMemoryRequirements2KHR",
			     "vkGetImageSparseMemoryRequirements2KHR"},
	},
	{
		.name = VK_KHR_DEDICATED_ALLOCATION_EXTENSION_NAME,
		.core_version = VK_API_VERSION_1_1,
		.requires = {VK_KHR_GET_MEMORY_REQUIREMENTS_2_EXTENSION_NAME},
	},
	{
		.name = VK_KHR_BIND_MEMORY_2_EXTENSION_NAME,
		.core_version = VK_API_VERSION_1_1,
		.commands = {"vkBindImageMemory2KHR", "vkBindBufferMemory2KHR"},
	},
	{
		.name = VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME,
		.requires = {VK_KHR_EXTERNAL_MEMORY_EXTENSION_NAME},
	},
};

#define NUM_KNOWN (sizeof(known_extensions) / sizeof(known_extensions[0]))

const struct known_extension *extension_known(const char *name)
{
	for (size_t i = 0; i < NUM_KNOWN; i++)
		if (!strcmp(known_extensions[i].name, name))
			return &known_extensions[i];
	return NULL;
}

bool extension_is_core(const char *name, uint32_t api_version)
{
	const struct known_extension *known = extension_known(name);

	return known && known->core_version && api_version >= known->core_version;
}

static bool reserve(struct extension_set *set, uint32_t capacity)
{
	extension_name *names;

	if (capacity <= set->capacity)
		return true;
	names = layer_alloc(set->allocator, capacity * sizeof(*names), set->scope);
	if (!names)
		return false;
	if (set->count)
		memcpy(names, set->names, set->count * sizeof(*names));
	layer_free(set->allocator, set->names);
	set->names = names;
	set->capacity = capacity;
	return true;
}

/* A name that is too long can't be one of an extension that anybody knows. */
static void append(struct extension_set *set, const char *name)
{
	size_t length = strnlen(name, VK_MAX_EXTENSION_NAME_SIZE - 1);

	memcpy(set->names[set->count], name, length);
	set->names[set->count++][length] = '\0';
}

bool extension_set_init(struct extension_set *set, const VkAllocationCallbacks *allocator,
			VkSystemAllocationScope scope, const char *const *names, uint32_t count)
{
	*set = (struct extension_set){.allocator = allocator, .scope = scope};
	if (!reserve(set, count))
		return false;
	for (uint32_t i = 0; i < count; i++)
		append(set, names[i]);
	set->application_count = count;
	return true;
}

void extension_set_fini(struct extension_set *set)
{
	layer_free(set->allocator, set->names);
	*set = (struct extension_set){0};
}

static bool has(const struct extension_set *set, const char *name, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!strcmp(set->names[i], name))
			return true;
	return false;
}

bool extension_set_has(const struct extension_set *set, const char *name)
{
	return has(set, name, set->count);
}

bool extension_set_application_has(const struct extension_set *set, const char *name)
{
	return has(set, name, set->application_count);
}

bool extension_set_add(struct extension_set *set, const char *name)
{
	if (extension_set_has(set, name))
		return true;
	if (set->count == set->capacity && !reserve(set, set->capacity + 16))
		return false;
	append(set, name);
	return true;
}

void extension_set_remove(struct extension_set *set, const char *name)
{
	uint32_t kept = 0, kept_of_application = 0;

	for (uint32_t i = 0; i < set->count; i++) {
		if (!strcmp(set->names[i], name))
			continue;
		if (kept != i)
			memcpy(set->names[kept], set->names[i], sizeof(set->names[i]));
		kept++;
		if (i < set->application_count)
			kept_of_application++;
	}
	set->count = kept;
	set->application_count = kept_of_application;
}

const char **extension_set_pointers(const struct extension_set *set)
{
	/* one more, so that there is something to allocate */
	const char **pointers = layer_alloc(set->allocator, (set->count + 1) * sizeof(*pointers),
					    VK_SYSTEM_ALLOCATION_SCOPE_COMMAND);

	for (uint32_t i = 0; pointers && i < set->count; i++)
		pointers[i] = set->names[i];
	return pointers;
}

static bool brings(const struct known_extension *known, const char *command)
{
	for (const char *const *name = known->commands; *name; name++)
		if (!strcmp(*name, command))
			return true;
	return false;
}

bool extension_set_hides(const struct extension_set *set, const char *command)
{
	for (uint32_t i = set->application_count; i < set->count; i++) {
		const struct known_extension *known = extension_known(set->names[i]);

		if (known && brings(known, command))
			return true;
	}
	return false;
}
