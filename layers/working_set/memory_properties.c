// SPDX-License-Identifier: MIT
/* Owns the heaps and memory types of a virtual GPU, and how much of them a process may expect to get. */
#include <string.h>

#include "physical.h"
#include "resident.h"
#include "usage.h"

_Static_assert((int)VIRTUAL_GPU_VRAM == USAGE_HEAP_VRAM && (int)VIRTUAL_GPU_GTT == USAGE_HEAP_GTT,
	       "heaps are numbered alike");

void memory_properties_fill(const struct virtual_gpu *gpu,
			    VkPhysicalDeviceMemoryProperties *properties)
{
	*properties = (VkPhysicalDeviceMemoryProperties){
		.memoryHeapCount = VIRTUAL_GPU_HEAPS,
		.memoryHeaps[VIRTUAL_GPU_VRAM] = {.size = gpu->info.vram_size,
						  .flags = VK_MEMORY_HEAP_DEVICE_LOCAL_BIT},
		.memoryHeaps[VIRTUAL_GPU_GTT] = {.size = gpu->info.gtt_size},
		.memoryTypeCount = VIRTUAL_GPU_HEAPS,
		.memoryTypes[VIRTUAL_GPU_VRAM] = {.propertyFlags =
							  VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
							  VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
							  VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
						  .heapIndex = VIRTUAL_GPU_VRAM},
		.memoryTypes[VIRTUAL_GPU_GTT] = {.propertyFlags =
							 VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
							 VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
							 VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
						 .heapIndex = VIRTUAL_GPU_GTT},
	};
}

/*
 * The heap without what others hold of it now. So what was evicted for them is missing, and who
 * has more than the budget is told to do with less. Never more than the heap, nor nothing: the
 * specification's limits.
 */
static void fill_heap(VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget, uint32_t heap,
		      uint64_t usage, uint64_t resident, uint64_t size, uint64_t used_by_all)
{
	uint64_t others = used_by_all > resident ? used_by_all - resident : 0;

	budget->heapUsage[heap] = usage;
	budget->heapBudget[heap] = others < size ? size - others : 1;
}

void memory_properties_fill_budget(const struct virtual_gpu *gpu,
				   VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget)
{
	uint64_t usage[USAGE_HEAP_COUNT], resident[USAGE_HEAP_COUNT];
	struct drm_drover_device_info info;

	if (drover_device_info(gpu->drover, &info))
		info = gpu->info; /* it went away */
	for (uint32_t i = 0; i < VK_MAX_MEMORY_HEAPS; i++)
		budget->heapUsage[i] = budget->heapBudget[i] = 0;
	for (enum usage_heap i = 0; i < USAGE_HEAP_COUNT; i++)
		usage[i] = usage_of(gpu->info.device_index, i);
	/* without /proc: as if nothing were evicted */
	if (resident_of(gpu->info.device_index, resident))
		memcpy(resident, usage, sizeof(resident));
	fill_heap(budget, VIRTUAL_GPU_VRAM, usage[USAGE_HEAP_VRAM], resident[USAGE_HEAP_VRAM],
		  info.vram_size, info.vram_used);
	fill_heap(budget, VIRTUAL_GPU_GTT, usage[USAGE_HEAP_GTT], resident[USAGE_HEAP_GTT],
		  info.gtt_size, info.gtt_used);
}
