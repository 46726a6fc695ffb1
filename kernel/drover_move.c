// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * How contents move between VRAM, GTT and out of reach, and how the CPU gets at them.
 */

#include <linux/iosys-map.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "drover_drv.h"
#include "drover_trace.h"

/**
 * DOC: moves
 *
 * Moves are copies by the CPU: invalidate everybody who has the old place, wait
 * for all fences, copy. They run under the BO's reservation lock.
 */

static struct page *drover_bo_page(struct drover_device *drover,
				   struct ttm_buffer_object *bo,
				   struct ttm_resource *res, unsigned long index)
{
	if (res->mem_type == TTM_PL_VRAM)
		return drover->vram.pages[drover_vram_page_index(res, index)];
	return bo->ttm->pages[index];
}

/* How many pages are copied at once: some 50 us. */
#define DROVER_COPY_PAGES	(SZ_256K >> PAGE_SHIFT)

/*
 * Page by page: one memcpy() of many pages is no faster, and many times slower
 * where its "rep movsb" is emulated.
 */
static void drover_copy_pages(void *to, void *from, unsigned long count)
{
	for (; count; count--, to += PAGE_SIZE) {
		if (from) {
			copy_page(to, from);
			from += PAGE_SIZE;
		} else {
			clear_page(to);
		}
	}
}

/*
 * TTM's own copy goes through the accessors for I/O memory, which warn and drop
 * data on architectures that have no such memory.
 */
static void drover_copy(struct drover_device *drover, struct ttm_buffer_object *bo,
			struct ttm_resource *to, struct ttm_resource *from)
{
	unsigned long left = PFN_UP(bo->base.size), count;
	struct drover_page_cursor dst, src;
	void *dst_ptr, *src_ptr = NULL;

	drover_page_cursor_first(&dst, drover, to, bo->ttm);
	if (from)
		drover_page_cursor_first(&src, drover, from, bo->ttm);

	for (; left; left -= count) {
		count = min(left, DROVER_COPY_PAGES);
		count = drover_page_cursor_run(&dst, count);
		if (from) {
			count = drover_page_cursor_run(&src, count);
			src_ptr = page_address(drover_page_cursor_advance(&src, count));
		}
		dst_ptr = page_address(drover_page_cursor_advance(&dst, count));
		drover_copy_pages(dst_ptr, src_ptr, count);
		cond_resched();
	}
	if (from)
		atomic64_add(bo->base.size, &drover->bytes_moved);
}

#ifdef CONFIG_DRM_DROVER_TEST_HOOKS
/* Whoever still uses the old place after its fences have signalled finds this. */
static bool drover_poison(struct drover_device *drover, struct ttm_buffer_object *bo)
{
	unsigned long left = PFN_UP(bo->base.size), count;
	struct drover_page_cursor old;

	if (!READ_ONCE(drover->poison))
		return false;
	drover_page_cursor_first(&old, drover, bo->resource, bo->ttm);
	for (; left; left -= count) {
		count = drover_page_cursor_run(&old, left);
		memset(page_address(drover_page_cursor_advance(&old, count)), DROVER_POISON,
		       count << PAGE_SHIFT);
	}
	return true;
}
#else
static bool drover_poison(struct drover_device *drover, struct ttm_buffer_object *bo)
{
	return false;
}
#endif

static bool drover_bo_has_contents(struct ttm_buffer_object *bo)
{
	struct ttm_resource *res = bo->resource;

	if (!res)
		return false;
	if (res->mem_type == TTM_PL_VRAM)
		return true;
	return bo->ttm && (ttm_tt_is_populated(bo->ttm) ||
			   bo->ttm->page_flags & TTM_TT_FLAG_SWAPPED);
}

/*
 * Working-set fences close their gates when somebody enables them. All of them
 * are enabled before the first is waited for, so that they close in parallel.
 */
static int drover_bo_wait_idle(struct ttm_buffer_object *bo, struct ttm_operation_ctx *ctx)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	if (!ctx->no_wait_gpu)
		dma_resv_for_each_fence(&cursor, bo->base.resv, DMA_RESV_USAGE_BOOKKEEP, fence)
			dma_fence_enable_signaling(fence);
	return ttm_bo_wait_ctx(bo, ctx);
}

/*
 * Private, out of reach, and back: nobody has used it since, and the fences are
 * those of the whole VM's jobs, which needn't stop for it.
 */
static bool drover_bo_is_unused(struct drover_bo *bo, u32 placement)
{
	return bo->vm && placement == DRM_DROVER_PLACEMENT_EVICTED &&
	       !drover_object_is_present(&bo->ttm.base);
}

static int drover_bo_move_contents(struct drover_device *drover,
				   struct ttm_buffer_object *bo,
				   struct ttm_operation_ctx *ctx,
				   struct ttm_resource *new_mem)
{
	bool system_only = bo->resource && bo->resource->mem_type != TTM_PL_VRAM &&
			   new_mem->mem_type != TTM_PL_VRAM;
	bool has_contents = drover_bo_has_contents(bo), poisoned = false;
	int ret;

	if (new_mem->mem_type == TTM_PL_TT) {
		ret = drover_tt_map(drover, bo->ttm);
		if (ret)
			return ret;
	}

	if (!bo->resource || system_only)
		goto no_copy;

	if (bo->ttm && (new_mem->mem_type != TTM_PL_VRAM || has_contents)) {
		ret = drover_ttm_bo_populate(bo, ctx);
		if (ret)
			return ret;
	}
	drover_copy(drover, bo, new_mem, has_contents ? bo->resource : NULL);
	if (has_contents)
		poisoned = drover_poison(drover, bo);
	if (has_contents && new_mem->mem_type == TTM_PL_VRAM &&
	    bo->resource->mem_type != TTM_PL_VRAM)
		drover_tt_keep(bo->ttm, poisoned);
	ttm_bo_move_sync_cleanup(bo, new_mem);
	if (bo->resource != new_mem) {
		/* Somebody's fence takes longer than TTM waits. */
		drover_tt_stay(bo->ttm);
		return -EBUSY;
	}
	return 0;

no_copy:
	if (new_mem->mem_type == TTM_PL_VRAM)
		drover_copy(drover, bo, new_mem, NULL);
	ttm_bo_move_null(bo, new_mem);
	return 0;
}

static u32 drover_resource_placement(struct ttm_resource *res)
{
	if (!res || res->mem_type == TTM_PL_SYSTEM)
		return DRM_DROVER_PLACEMENT_EVICTED;
	return res->mem_type == TTM_PL_VRAM ? DRM_DROVER_PLACEMENT_VRAM :
					      DRM_DROVER_PLACEMENT_GTT;
}

static void drover_count_move(struct drover_device *drover, struct drover_bo *bo,
			      u32 from, u32 to, bool evict)
{
	if (from == to)
		return;
	WRITE_ONCE(bo->object.placement, to);
	atomic64_inc(&bo->object.moves);
	if (evict || to == DRM_DROVER_PLACEMENT_EVICTED) {
		atomic64_inc(&bo->object.evictions);
		atomic64_inc(&drover->evictions);
		trace_drover_evict(&bo->ttm.base, from, to);
	}
}

static int drover_bo_move(struct ttm_buffer_object *ttm, bool evict,
			  struct ttm_operation_ctx *ctx,
			  struct ttm_resource *new_mem, struct ttm_place *hop)
{
	struct drover_device *drover = bdev_to_drover(ttm->bdev);
	struct drover_bo *bo = to_drover_bo(ttm);
	u32 from = drover_resource_placement(ttm->resource);
	u32 to = drover_resource_placement(new_mem);
	bool fresh = !bo->placed;
	int ret;

	if (!fresh) {
		drover_object_invalidate(&ttm->base, false);
		ret = drover_bo_is_unused(bo, from) ? 0 : drover_bo_wait_idle(ttm, ctx);
		if (ret)
			return ret;
		drover_object_unmap(&ttm->base);
	}

	ret = drover_bo_move_contents(drover, ttm, ctx, new_mem);
	if (ret)
		return ret;

	bo->placed |= to != DRM_DROVER_PLACEMENT_EVICTED;
	if (fresh)
		WRITE_ONCE(bo->object.placement, to);
	else
		drover_count_move(drover, bo, from, to, evict);
	return 0;
}

static void drover_evict_flags(struct ttm_buffer_object *ttm,
			       struct ttm_placement *placement)
{
	static const struct ttm_place places[] = {
		{ .mem_type = TTM_PL_TT },
		{ .mem_type = TTM_PL_SYSTEM },
	};
	struct drover_bo *bo = to_drover_bo(ttm);
	bool gtt = bo->placements & DRM_DROVER_PLACEMENT_GTT;

	if (ttm->resource->mem_type == TTM_PL_VRAM && gtt) {
		placement->placement = places;
		placement->num_placement = 2;
	} else {
		placement->placement = places + 1;
		placement->num_placement = 1;
	}
}

/*
 * TTM asks at each CPU fault; without an offset of its own the answer is only
 * that there is something to map. Pages come from io_mem_pfn().
 */
static int drover_io_mem_reserve(struct ttm_device *bdev, struct ttm_resource *mem)
{
	struct drover_device *drover = bdev_to_drover(bdev);

	if (mem->mem_type != TTM_PL_VRAM)
		return 0;
	mem->bus.addr = drover->vram.vaddr +
			(drover_vram_page_index(mem, 0) << PAGE_SHIFT);
	mem->bus.is_iomem = true;
	mem->bus.caching = ttm_cached;
	return 0;
}

static unsigned long drover_io_mem_pfn(struct ttm_buffer_object *bo,
				       unsigned long page_offset)
{
	struct drover_device *drover = bdev_to_drover(bo->bdev);

	return page_to_pfn(drover_bo_page(drover, bo, bo->resource, page_offset));
}

/* For debuggers that look through a CPU mapping of VRAM. */
static int drover_access_memory(struct ttm_buffer_object *bo, unsigned long offset,
				void *buf, int len, int write)
{
	struct drover_device *drover = bdev_to_drover(bo->bdev);
	int done = 0, chunk;
	void *ptr;

	while (done < len) {
		chunk = min_t(int, len - done, PAGE_SIZE - offset_in_page(offset));
		ptr = page_address(drover_bo_page(drover, bo, bo->resource,
						  offset >> PAGE_SHIFT));
		ptr += offset_in_page(offset);
		if (write)
			memcpy(ptr, buf + done, chunk);
		else
			memcpy(buf + done, ptr, chunk);
		offset += chunk;
		done += chunk;
	}
	return done;
}

/**
 * drover_bo_vmap - map a BO in the kernel
 * @gem: its GEM object; its reservation lock must be held
 * @map: where the address goes: a plain address also for VRAM
 *
 * The BO is pinned where it is until drover_bo_vunmap().
 *
 * Return: 0 or a negative errno.
 */
int drover_bo_vmap(struct drm_gem_object *gem, struct iosys_map *map)
{
	struct drover_device *drover = to_drover(gem->dev);
	struct drover_bo *bo = gem_to_drover_bo(gem);
	/* The core takes no for a bug, so no signal and no limit ends this. */
	struct ttm_operation_ctx ctx = {};
	struct page **pages = NULL;
	unsigned long count;
	void *vaddr;
	int ret;

	ret = drover_bo_validate(bo, &ctx, false);
	if (ret)
		return ret;
	ret = drover_bo_pin(bo, false);
	if (ret)
		return ret;

	if (bo->ttm.resource->mem_type == TTM_PL_VRAM) {
		pages = drover_vram_pages(drover, bo->ttm.resource, &count);
		vaddr = pages ? vmap(pages, count, VM_MAP, PAGE_KERNEL) : NULL;
		kvfree(pages);
	} else {
		vaddr = vmap(bo->ttm.ttm->pages, bo->ttm.ttm->num_pages, VM_MAP, PAGE_KERNEL);
	}
	if (!vaddr) {
		drover_bo_unpin(bo);
		return -ENOMEM;
	}
	iosys_map_set_vaddr(map, vaddr);
	return 0;
}

/**
 * drover_bo_vunmap - undo drover_bo_vmap()
 * @gem: the GEM object; its reservation lock must be held
 * @map: what drover_bo_vmap() filled in
 */
void drover_bo_vunmap(struct drm_gem_object *gem, struct iosys_map *map)
{
	vunmap(map->vaddr);
	iosys_map_clear(map);
	drover_bo_unpin(gem_to_drover_bo(gem));
}

/* The BO has a reservation object of its own by now, unless memory is short. */
static void drover_release_notify(struct ttm_buffer_object *ttm)
{
	struct drover_vm *vm = to_drover_bo(ttm)->vm;
	struct dma_resv *resv = &ttm->base._resv;

	if (vm && vm->is_longrun && ttm->base.resv == resv && dma_resv_trylock(resv)) {
		drover_gate_forget(vm, resv);
		dma_resv_unlock(resv);
	}
}

static bool drover_eviction_valuable(struct ttm_buffer_object *bo,
				     const struct ttm_place *place)
{
	struct drover_vm *vm = to_drover_bo(bo)->vm;

	/* What a resume has validated stays until it is through. */
	if (vm && vm->resuming && to_drover_bo(bo)->validated == vm->resumes)
		return false;

	if (place && place->flags & DROVER_PLACE_SPARE_HOT && drover_bo_is_hot(to_drover_bo(bo)))
		return false;

	/* The dmem cgroup asks without a place: any memory of the BO will do. */
	return !place || ttm_bo_eviction_valuable(bo, place);
}

const struct ttm_device_funcs drover_ttm_funcs = {
	.ttm_tt_create = drover_tt_create,
	.ttm_tt_populate = drover_tt_populate,
	.ttm_tt_unpopulate = drover_tt_unpopulate,
	.ttm_tt_destroy = drover_tt_destroy,
	.eviction_valuable = drover_eviction_valuable,
	.evict_flags = drover_evict_flags,
	.move = drover_bo_move,
	.io_mem_reserve = drover_io_mem_reserve,
	.io_mem_pfn = drover_io_mem_pfn,
	.access_memory = drover_access_memory,
	.release_notify = drover_release_notify,
};
