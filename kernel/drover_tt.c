// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * System memory of BOs: where its pages come from, and their mapping for DMA.
 */

#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include <drm/drm_prime.h>
#include <drm/ttm/ttm_pool.h>

#include "drover_drv.h"

/**
 * DOC: system memory
 *
 * A &struct drover_tt is mapped for DMA when the BO comes to GTT, and for as long
 * as it has the same pages. Most evictions go beyond GTT and need no mapping.
 */

struct drover_tt {
	struct ttm_tt base;
	struct sg_table *sgt;
};

#define to_drover_tt(t) container_of(t, struct drover_tt, base)

/**
 * drover_tt_sg - the DMA mapping of a BO in GTT
 * @tt: its populated ttm_tt
 *
 * Return: the device's own mapping; owned by @tt.
 */
struct sg_table *drover_tt_sg(struct ttm_tt *tt)
{
	return to_drover_tt(tt)->sgt;
}

/**
 * drover_tt_create - &ttm_device_funcs.ttm_tt_create
 * @bo: the BO
 * @page_flags: TTM_TT_FLAG_*
 *
 * Return: a ttm_tt without pages, or NULL.
 */
struct ttm_tt *drover_tt_create(struct ttm_buffer_object *bo, u32 page_flags)
{
	struct drover_tt *tt;

	tt = kzalloc_obj(*tt);
	if (!tt)
		return NULL;

	if (ttm_tt_init(&tt->base, bo, page_flags, ttm_cached, 0)) {
		kfree(tt);
		return NULL;
	}
	return &tt->base;
}

/*
 * The engine reads what it finds at the CPU address that belongs to a DMA
 * address; a bounce buffer there would hide the memory itself.
 */
static bool drover_sg_is_direct(struct device *dev, struct sg_table *sgt)
{
	return dma_to_phys(dev, sg_dma_address(sgt->sgl)) == sg_phys(sgt->sgl);
}

/**
 * drover_tt_map - map a BO's pages for DMA, if they aren't yet
 * @drover: the device
 * @ttm: the BO's populated ttm_tt; its reservation lock must be held
 *
 * Return: 0 or a negative errno.
 */
int drover_tt_map(struct drover_device *drover, struct ttm_tt *ttm)
{
	struct drover_tt *tt = to_drover_tt(ttm);
	struct device *dev = drover->drm.dev;
	struct sg_table *sgt;
	int ret;

	if (tt->sgt)
		return 0;

	sgt = drm_prime_pages_to_sg(&drover->drm, tt->base.pages, tt->base.num_pages);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);

	ret = dma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
	if (ret)
		goto err_free;
	if (!drover_sg_is_direct(dev, sgt)) {
		drm_err_once(&drover->drm, "DMA is bounced (swiotlb=force?): system memory can't be used\n");
		ret = -EIO;
		goto err_unmap;
	}
	tt->sgt = sgt;
	return 0;

err_unmap:
	dma_unmap_sgtable(dev, sgt, DMA_BIDIRECTIONAL, 0);
err_free:
	sg_free_table(sgt);
	kfree(sgt);
	return ret;
}

static void drover_tt_unmap(struct drover_device *drover, struct drover_tt *tt)
{
	if (!tt->sgt)
		return;
	dma_unmap_sgtable(drover->drm.dev, tt->sgt, DMA_BIDIRECTIONAL, 0);
	sg_free_table(tt->sgt);
	kfree(tt->sgt);
	tt->sgt = NULL;
}

/**
 * drover_tt_populate - &ttm_device_funcs.ttm_tt_populate
 * @bdev: TTM's device
 * @tt: a ttm_tt without pages
 * @ctx: how to allocate
 *
 * Return: 0 or a negative errno.
 */
int drover_tt_populate(struct ttm_device *bdev, struct ttm_tt *tt,
		       struct ttm_operation_ctx *ctx)
{
	return ttm_pool_alloc(&bdev->pool, tt, ctx);
}

/**
 * drover_tt_unpopulate - &ttm_device_funcs.ttm_tt_unpopulate
 * @bdev: TTM's device
 * @tt: a populated ttm_tt
 */
void drover_tt_unpopulate(struct ttm_device *bdev, struct ttm_tt *tt)
{
	drover_tt_unmap(bdev_to_drover(bdev), to_drover_tt(tt));
	ttm_pool_free(&bdev->pool, tt);
}

/**
 * drover_tt_destroy - &ttm_device_funcs.ttm_tt_destroy
 * @bdev: TTM's device
 * @tt: a ttm_tt without pages
 */
void drover_tt_destroy(struct ttm_device *bdev, struct ttm_tt *tt)
{
	ttm_tt_fini(tt);
	kfree(to_drover_tt(tt));
}

/**
 * drover_tt_unplug - give back a BO's DMA mapping before the device goes
 * @drover: the device
 * @tt: the BO's ttm_tt, or NULL; its reservation lock must be held
 */
void drover_tt_unplug(struct drover_device *drover, struct ttm_tt *tt)
{
	if (tt)
		drover_tt_unmap(drover, to_drover_tt(tt));
}
