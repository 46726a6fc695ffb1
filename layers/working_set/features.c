// SPDX-License-Identifier: MIT
/*
 * Owns what virtual mode takes out of the driver's features: everything sparse (a sparse bind over a
 * host pointer goes wrong in lavapipe), and what belongs to extensions that aren't shown.
 */
#include <string.h>

#include "physical.h"

/* Of an extension that is newer than the headers; its structure has this one member. */
#define STRUCTURE_TYPE_ZERO_INITIALIZE_DEVICE_MEMORY_FEATURES ((VkStructureType)1000620000)

struct one_feature {
	VkStructureType sType;
	void *pNext;
	VkBool32 feature;
};

/* Which VkBool32 of which structure. */
static const struct hidden_feature {
	VkStructureType type;
	size_t offset;
} hidden_features[] = {
#define HIDDEN(type, structure, member) \
	{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_##type, offsetof(structure, member)}
	HIDDEN(SHADER_ATOMIC_FLOAT_FEATURES_EXT, VkPhysicalDeviceShaderAtomicFloatFeaturesEXT,
	       sparseImageFloat32Atomics),
	HIDDEN(SHADER_ATOMIC_FLOAT_FEATURES_EXT, VkPhysicalDeviceShaderAtomicFloatFeaturesEXT,
	       sparseImageFloat32AtomicAdd),
	HIDDEN(SHADER_ATOMIC_FLOAT_2_FEATURES_EXT, VkPhysicalDeviceShaderAtomicFloat2FeaturesEXT,
	       sparseImageFloat32AtomicMinMax),
	HIDDEN(SHADER_IMAGE_ATOMIC_INT64_FEATURES_EXT,
	       VkPhysicalDeviceShaderImageAtomicInt64FeaturesEXT, sparseImageInt64Atomics),
	HIDDEN(EXTENDED_SPARSE_ADDRESS_SPACE_FEATURES_NV,
	       VkPhysicalDeviceExtendedSparseAddressSpaceFeaturesNV, extendedSparseAddressSpace),
	HIDDEN(DEVICE_GENERATED_COMMANDS_FEATURES_EXT,
	       VkPhysicalDeviceDeviceGeneratedCommandsFeaturesEXT, deviceGeneratedCommands),
	HIDDEN(DEVICE_GENERATED_COMMANDS_FEATURES_EXT,
	       VkPhysicalDeviceDeviceGeneratedCommandsFeaturesEXT, dynamicGeneratedPipelineLayout),
	HIDDEN(MAP_MEMORY_PLACED_FEATURES_EXT, VkPhysicalDeviceMapMemoryPlacedFeaturesEXT,
	       memoryMapPlaced),
	HIDDEN(MAP_MEMORY_PLACED_FEATURES_EXT, VkPhysicalDeviceMapMemoryPlacedFeaturesEXT,
	       memoryMapRangePlaced),
	HIDDEN(MAP_MEMORY_PLACED_FEATURES_EXT, VkPhysicalDeviceMapMemoryPlacedFeaturesEXT,
	       memoryUnmapReserve),
	/* an address that the memory had in another run can't be asked for */
	HIDDEN(BUFFER_DEVICE_ADDRESS_FEATURES, VkPhysicalDeviceBufferDeviceAddressFeatures,
	       bufferDeviceAddressCaptureReplay),
	/* of an extension that isn't shown: there is a newer one, and Vulkan 1.2 */
	HIDDEN(BUFFER_DEVICE_ADDRESS_FEATURES_EXT, VkPhysicalDeviceBufferDeviceAddressFeaturesEXT,
	       bufferDeviceAddress),
	HIDDEN(BUFFER_DEVICE_ADDRESS_FEATURES_EXT, VkPhysicalDeviceBufferDeviceAddressFeaturesEXT,
	       bufferDeviceAddressCaptureReplay),
	HIDDEN(BUFFER_DEVICE_ADDRESS_FEATURES_EXT, VkPhysicalDeviceBufferDeviceAddressFeaturesEXT,
	       bufferDeviceAddressMultiDevice),
	HIDDEN(VULKAN_1_2_FEATURES, VkPhysicalDeviceVulkan12Features,
	       bufferDeviceAddressCaptureReplay),
	{STRUCTURE_TYPE_ZERO_INITIALIZE_DEVICE_MEMORY_FEATURES,
	 offsetof(struct one_feature, feature)},
#undef HIDDEN
};

#define NUM_HIDDEN (sizeof(hidden_features) / sizeof(hidden_features[0]))

void features_hide(VkPhysicalDeviceFeatures *features)
{
	features->shaderResourceResidency = VK_FALSE;
	features->sparseBinding = VK_FALSE;
	features->sparseResidencyBuffer = VK_FALSE;
	features->sparseResidencyImage2D = VK_FALSE;
	features->sparseResidencyImage3D = VK_FALSE;
	features->sparseResidency2Samples = VK_FALSE;
	features->sparseResidency4Samples = VK_FALSE;
	features->sparseResidency8Samples = VK_FALSE;
	features->sparseResidency16Samples = VK_FALSE;
	features->sparseResidencyAliased = VK_FALSE;
}

void features_hide_chain(void *chain)
{
	for (VkBaseOutStructure *structure = chain; structure; structure = structure->pNext)
		for (size_t i = 0; i < NUM_HIDDEN; i++)
			if (hidden_features[i].type == structure->sType)
				*(VkBool32 *)((char *)structure + hidden_features[i].offset) =
					VK_FALSE;
}

static bool wants(const VkPhysicalDeviceFeatures *features)
{
	VkPhysicalDeviceFeatures without = *features;

	features_hide(&without);
	return memcmp(&without, features, sizeof(without)) != 0;
}

bool features_wanted_hidden(const VkDeviceCreateInfo *create_info)
{
	const VkBaseInStructure *structure = create_info->pNext;

	if (create_info->pEnabledFeatures && wants(create_info->pEnabledFeatures))
		return true;
	for (; structure; structure = structure->pNext) {
		if (structure->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2 &&
		    wants(&((const VkPhysicalDeviceFeatures2 *)structure)->features))
			return true;
		for (size_t i = 0; i < NUM_HIDDEN; i++)
			if (hidden_features[i].type == structure->sType &&
			    *(const VkBool32 *)((const char *)structure +
						hidden_features[i].offset))
				return true;
	}
	return false;
}
