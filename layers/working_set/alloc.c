// SPDX-License-Identifier: MIT
/* Owns memory from the application's allocation callbacks, and walking pNext chains. */
#include <stdlib.h>
#include <string.h>

#include "layer.h"

void *layer_alloc(const VkAllocationCallbacks *allocator, size_t size,
		  VkSystemAllocationScope scope)
{
	void *memory;

	if (!allocator)
		return calloc(1, size ? size : 1);
	if (!size)
		size = 1;
	memory = allocator->pfnAllocation(allocator->pUserData, size, _Alignof(max_align_t), scope);
	if (memory)
		memset(memory, 0, size);
	return memory;
}

void layer_free(const VkAllocationCallbacks *allocator, void *memory)
{
	if (!memory)
		return;
	if (allocator)
		allocator->pfnFree(allocator->pUserData, memory);
	else
		free(memory);
}

const void *layer_find_struct(const void *chain, VkStructureType type)
{
	const VkBaseInStructure *structure = chain;

	while (structure && structure->sType != type)
		structure = structure->pNext;
	return structure;
}
