// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * VRAM and GTT: who gets which part, and how it is described to engines and peers.
 */

#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include <drm/drm_managed.h>

#include "drover_drv.h"

#ifdef DROVER_HAS_DMEM_CGROUP
#include <linux/cgroup_dmem.h>
#endif

/**
 * DOC: VRAM and GTT
 *
 * VRAM is a fixed range of system memory that plays device memory: TTM takes it
 * for I/O memory, a buddy allocator gives it out, and what doesn't fit is
 * evicted. It is allocated in blocks as large as can be had, so that CPU
 * mappings of it stay in few pieces, and mapped once in the kernel.
 *
 * GTT is ordinary memory that the device reaches by DMA address. Its manager
 * only counts.
 *
 * &drover_vram.lock protects the buddy allocator and is taken innermost.
 */

struct drover_vram_resource {
	struct ttm_resource base;
	struct list_head blocks;
};

#define to_vram_resource(r) container_of(r, struct drover_vram_resource, base)

static struct drover_vram *to_vram(struct ttm_resource_manager *manager)
{
	return container_of(manager, struct drover_vram, manager);
}

/* The VRAM manager. */

static int drover_vram_alloc(struct ttm_resource_manager *manager,
			     struct ttm_buffer_object *bo,
			     const struct ttm_place *place,
			     struct ttm_resource **res)
{
	struct drover_vram *vram = to_vram(manager);
	struct drover_vram_resource *vres;
	u64 size = bo->base.size;
	int ret;

	vres = kzalloc_obj(*vres);
	if (!vres)
		return -ENOMEM;

	INIT_LIST_HEAD(&vres->blocks);
	ttm_resource_init(bo, place, &vres->base);

	mutex_lock(&vram->lock);
	if (size > vram->buddy.avail)
		ret = -ENOSPC;
	else
		ret = gpu_buddy_alloc_blocks(&vram->buddy, 0, vram->buddy.size,
					     size, PAGE_SIZE, &vres->blocks, 0);
	mutex_unlock(&vram->lock);
	if (ret) {
		ttm_resource_fini(manager, &vres->base);
		kfree(vres);
		return ret;
	}

	vres->base.bus.is_iomem = true;
	vres->base.bus.caching = ttm_cached;
	*res = &vres->base;
	return 0;
}

static void drover_vram_free(struct ttm_resource_manager *manager,
			     struct ttm_resource *res)
{
	struct drover_vram_resource *vres = to_vram_resource(res);
	struct drover_vram *vram = to_vram(manager);

	mutex_lock(&vram->lock);
	gpu_buddy_free_list(&vram->buddy, &vres->blocks, 0);
	mutex_unlock(&vram->lock);

	ttm_resource_fini(manager, res);
	kfree(vres);
}

static void drover_vram_debug(struct ttm_resource_manager *manager,
			      struct drm_printer *printer)
{
	struct drover_vram *vram = to_vram(manager);

	mutex_lock(&vram->lock);
	drm_printf(printer, "vram: %llu of %llu bytes free\n",
		   vram->buddy.avail, vram->buddy.size);
	mutex_unlock(&vram->lock);
}

static const struct ttm_resource_manager_func drover_vram_manager_func = {
	.alloc = drover_vram_alloc,
	.free = drover_vram_free,
	.debug = drover_vram_debug,
};

/* The GTT manager: a limit, nothing else. */

static int drover_gtt_alloc(struct ttm_resource_manager *manager,
			    struct ttm_buffer_object *bo,
			    const struct ttm_place *place,
			    struct ttm_resource **res)
{
	struct ttm_resource *node;

	node = kzalloc_obj(*node);
	if (!node)
		return -ENOMEM;

	/* Counts it, so that of two that race for the last room both may lose. */
	ttm_resource_init(bo, place, node);
	if (ttm_resource_manager_usage(manager) > manager->size << PAGE_SHIFT) {
		ttm_resource_fini(manager, node);
		kfree(node);
		return -ENOSPC;
	}

	*res = node;
	return 0;
}

static void drover_gtt_free(struct ttm_resource_manager *manager,
			    struct ttm_resource *res)
{
	ttm_resource_fini(manager, res);
	kfree(res);
}

static const struct ttm_resource_manager_func drover_gtt_manager_func = {
	.alloc = drover_gtt_alloc,
	.free = drover_gtt_free,
};

static void drover_manager_fini(struct drover_device *drover,
				struct ttm_resource_manager *manager, u32 type)
{
	ttm_resource_manager_set_used(manager, false);
	ttm_resource_manager_evict_all(&drover->ttm, manager);
	ttm_resource_manager_cleanup(manager);
	ttm_set_driver_manager(&drover->ttm, type, NULL);
}

static void drover_gtt_fini(struct drm_device *drm, void *unused)
{
	struct drover_device *drover = to_drover(drm);

	drover_manager_fini(drover, &drover->gtt, TTM_PL_TT);
}

/**
 * drover_gtt_init - set the limit of the system memory that the device reaches
 * @drover: device with an initialised TTM device
 * @size: bytes
 *
 * Undone when the DRM device goes.
 *
 * Return: 0 or -ENOMEM.
 */
int drover_gtt_init(struct drover_device *drover, u64 size)
{
	drover->gtt.use_tt = true;
	drover->gtt.func = &drover_gtt_manager_func;
	ttm_resource_manager_init(&drover->gtt, &drover->ttm, size >> PAGE_SHIFT);
	ttm_set_driver_manager(&drover->ttm, TTM_PL_TT, &drover->gtt);
	ttm_resource_manager_set_used(&drover->gtt, true);
	return drmm_add_action_or_reset(&drover->drm, drover_gtt_fini, NULL);
}

static void drover_vram_free_pages(struct drover_vram *vram)
{
	unsigned long i;

	for (i = 0; i < vram->num_pages && vram->pages[i]; i++)
		__free_page(vram->pages[i]);
	kvfree(vram->pages);
}

static int drover_vram_alloc_pages(struct drover_vram *vram, unsigned long count)
{
	unsigned int order = min_t(unsigned int, MAX_PAGE_ORDER, ilog2(count));
	unsigned long i = 0, k;
	struct page *block;

	vram->pages = kvcalloc(count, sizeof(*vram->pages), GFP_KERNEL);
	if (!vram->pages)
		return -ENOMEM;
	vram->num_pages = count;

	while (i < count) {
		while (count - i < 1UL << order)
			order--;
		block = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN |
				    (order ? __GFP_NORETRY : 0), order);
		if (!block) {
			if (!order)
				goto err_free;
			order--;
			continue;
		}
		split_page(block, order);
		for (k = 0; k < 1UL << order; k++)
			vram->pages[i++] = block + k;
	}
	return 0;

err_free:
	drover_vram_free_pages(vram);
	return -ENOMEM;
}

static void drover_vram_fini(struct drm_device *drm, void *unused)
{
	struct drover_device *drover = to_drover(drm);
	struct drover_vram *vram = &drover->vram;

	drover_manager_fini(drover, &vram->manager, TTM_PL_VRAM);
	gpu_buddy_fini(&vram->buddy);
	vunmap(vram->vaddr);
	drover_vram_free_pages(vram);
	mutex_destroy(&vram->lock);
}

/* VRAM of a device is a region of the dmem cgroup where the kernel has it. */
static int drover_vram_init_cgroup(struct drover_device *drover, u64 size)
{
#if defined(DROVER_HAS_DMEM_CGROUP) && IS_ENABLED(CONFIG_CGROUP_DMEM)
	struct dmem_cgroup_init init = { .size = size };
	struct dmem_cgroup_region *region;

	region = drmm_cgroup_register_region(&drover->drm, "vram", &init);
	if (IS_ERR(region))
		return PTR_ERR(region);
	ttm_resource_manager_set_dmem_region(&drover->vram.manager, region);
#endif
	return 0;
}

/**
 * drover_vram_init - allocate the memory that plays VRAM
 * @drover: device with an initialised TTM device
 * @size: bytes, a multiple of the page size
 *
 * Undone when the DRM device goes: what importers still have mapped stays
 * until then.
 *
 * Return: 0 or -ENOMEM.
 */
int drover_vram_init(struct drover_device *drover, u64 size)
{
	struct drover_vram *vram = &drover->vram;
	int ret;

	mutex_init(&vram->lock);
	ret = drover_vram_alloc_pages(vram, size >> PAGE_SHIFT);
	if (ret)
		goto err_lock;

	vram->vaddr = vmap(vram->pages, vram->num_pages, VM_MAP, PAGE_KERNEL);
	if (!vram->vaddr) {
		ret = -ENOMEM;
		goto err_pages;
	}

	ret = gpu_buddy_init(&vram->buddy, size, PAGE_SIZE);
	if (ret)
		goto err_vmap;

	vram->manager.func = &drover_vram_manager_func;
	ttm_resource_manager_init(&vram->manager, &drover->ttm, size);
	ttm_set_driver_manager(&drover->ttm, TTM_PL_VRAM, &vram->manager);
	ttm_resource_manager_set_used(&vram->manager, true);

	ret = drmm_add_action_or_reset(&drover->drm, drover_vram_fini, NULL);
	if (ret)
		return ret;
	return drover_vram_init_cgroup(drover, size);

err_vmap:
	vunmap(vram->vaddr);
err_pages:
	drover_vram_free_pages(vram);
err_lock:
	mutex_destroy(&vram->lock);
	return ret;
}

/**
 * drover_vram_write_ptes - write page table entries for a BO in VRAM
 * @res: its resource
 * @ptes: one entry per page
 */
void drover_vram_write_ptes(struct ttm_resource *res, u64 *ptes)
{
	struct drover_vram_resource *vres = to_vram_resource(res);
	struct gpu_buddy_block *block;
	u64 offset, end;

	list_for_each_entry(block, &vres->blocks, link) {
		offset = gpu_buddy_block_offset(block);
		end = offset + (PAGE_SIZE << gpu_buddy_block_order(block));
		while (offset < end) {
			*ptes = offset | DROVER_PTE_VRAM | DROVER_PTE_VALID;
			offset += PAGE_SIZE;
			ptes++;
		}
	}
}

/**
 * drover_vram_page_index - find a page of a BO in VRAM
 * @res: the BO's resource
 * @index: which of its pages
 *
 * Walks the BO's blocks, which are few. For one page after the other use a
 * &struct drover_page_cursor.
 *
 * Return: the page's number in VRAM.
 */
unsigned long drover_vram_page_index(struct ttm_resource *res, unsigned long index)
{
	struct drover_vram_resource *vres = to_vram_resource(res);
	struct gpu_buddy_block *block;
	unsigned long pages;

	list_for_each_entry(block, &vres->blocks, link) {
		pages = 1UL << gpu_buddy_block_order(block);
		if (index < pages)
			return (gpu_buddy_block_offset(block) >> PAGE_SHIFT) + index;
		index -= pages;
	}
	WARN_ON_ONCE(1);
	return 0;
}

/**
 * drover_page_cursor_first - start to walk the pages of a BO
 * @cursor: the cursor
 * @drover: the device
 * @res: where the BO is
 * @tt: its system memory, if @res isn't VRAM
 */
void drover_page_cursor_first(struct drover_page_cursor *cursor, struct drover_device *drover,
			      struct ttm_resource *res, struct ttm_tt *tt)
{
	cursor->blocks = NULL;
	cursor->pages = NULL;
	if (res->mem_type == TTM_PL_VRAM) {
		cursor->vram_pages = drover->vram.pages;
		cursor->blocks = &to_vram_resource(res)->blocks;
		cursor->block = list_entry(cursor->blocks, struct gpu_buddy_block, link);
		cursor->left = 0;
	} else {
		cursor->pages = tt->pages;
	}
}

/**
 * drover_page_cursor_run - how many pages in a row are in one piece?
 * @cursor: the cursor; must not be at the end
 * @max: how many there are left, or are of interest
 *
 * Return: between 1 and @max.
 */
unsigned long drover_page_cursor_run(struct drover_page_cursor *cursor, unsigned long max)
{
	unsigned long pfn, count = 1;

	if (cursor->blocks && !cursor->left) {
		cursor->block = list_next_entry(cursor->block, link);
		cursor->left = 1UL << gpu_buddy_block_order(cursor->block);
		cursor->pages = cursor->vram_pages +
				(gpu_buddy_block_offset(cursor->block) >> PAGE_SHIFT);
	}
	if (cursor->blocks)
		max = min(max, cursor->left);

	pfn = page_to_pfn(*cursor->pages);
	while (count < max && page_to_pfn(cursor->pages[count]) == pfn + count)
		count++;
	return count;
}

/**
 * drover_page_cursor_advance - walk on
 * @cursor: the cursor
 * @count: by how many pages: at most what drover_page_cursor_run() returned
 *
 * Return: the first page that is left behind.
 */
struct page *drover_page_cursor_advance(struct drover_page_cursor *cursor, unsigned long count)
{
	struct page *page = *cursor->pages;

	cursor->pages += count;
	cursor->left -= count;
	return page;
}

/**
 * drover_vram_pages - list the pages of a BO in VRAM
 * @drover: the device
 * @res: the BO's resource
 * @count: where their number goes
 *
 * Return: one entry per page in the BO's order, to be freed with kvfree(); or NULL.
 */
struct page **drover_vram_pages(struct drover_device *drover, struct ttm_resource *res,
				unsigned long *count)
{
	struct drover_vram_resource *vres = to_vram_resource(res);
	struct gpu_buddy_block *block;
	struct page **pages;
	unsigned long n = 0, first, len;

	*count = PFN_UP(res->size);
	pages = kvmalloc_array(*count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return NULL;

	list_for_each_entry(block, &vres->blocks, link) {
		first = gpu_buddy_block_offset(block) >> PAGE_SHIFT;
		len = 1UL << gpu_buddy_block_order(block);
		memcpy(pages + n, drover->vram.pages + first, len * sizeof(*pages));
		n += len;
	}
	return pages;
}

/* The most that one entry of an sg_table may describe, in pages. */
static unsigned long drover_max_segment(struct drover_device *drover)
{
	return min_t(size_t, dma_max_mapping_size(drover->drm.dev), UINT_MAX) >> PAGE_SHIFT;
}

/**
 * drover_vram_sg - describe a BO in VRAM to a peer
 * @drover: the device
 * @res: the BO's resource
 *
 * Return: an sg_table of its pages, not mapped for DMA yet, or an ERR_PTR.
 */
struct sg_table *drover_vram_sg(struct drover_device *drover, struct ttm_resource *res)
{
	unsigned long left, count, max = drover_max_segment(drover);
	struct drover_page_cursor cursor;
	unsigned int i, entries = 0;
	struct scatterlist *sg;
	struct sg_table *sgt;

	sgt = kzalloc_obj(*sgt);
	if (!sgt)
		return ERR_PTR(-ENOMEM);

	drover_page_cursor_first(&cursor, drover, res, NULL);
	for (left = PFN_UP(res->size); left; left -= count) {
		count = drover_page_cursor_run(&cursor, min(left, max));
		drover_page_cursor_advance(&cursor, count);
		entries++;
	}
	if (sg_alloc_table(sgt, entries, GFP_KERNEL)) {
		kfree(sgt);
		return ERR_PTR(-ENOMEM);
	}

	drover_page_cursor_first(&cursor, drover, res, NULL);
	left = PFN_UP(res->size);
	for_each_sgtable_sg(sgt, sg, i) {
		count = drover_page_cursor_run(&cursor, min(left, max));
		sg_set_page(sg, drover_page_cursor_advance(&cursor, count), count << PAGE_SHIFT, 0);
		left -= count;
	}
	return sgt;
}

/**
 * drover_sg_write_ptes - write page table entries for memory reached by DMA address
 * @sgt: its DMA mapping, in whole pages
 * @ptes: one entry per page
 */
void drover_sg_write_ptes(struct sg_table *sgt, u64 *ptes)
{
	struct sg_dma_page_iter iter;

	for_each_sgtable_dma_page(sgt, &iter, 0) {
		*ptes = sg_page_iter_dma_address(&iter) | DROVER_PTE_VALID;
		ptes++;
	}
}
