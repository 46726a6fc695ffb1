// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * System memory of BOs: where its pages come from, and their mapping for DMA.
 */

#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include <drm/drm_managed.h>
#include <drm/drm_prime.h>
#include <drm/ttm/ttm_pool.h>

#include "drover_drv.h"

/**
 * DOC: system memory
 *
 * A &struct drover_tt is mapped for DMA when the BO comes to GTT, and for as long
 * as it has the same pages. Most evictions go beyond GTT and need no mapping.
 */

/**
 * DOC: kept pages
 *
 * A BO that comes back to VRAM leaves pages behind, and the next eviction needs
 * pages. Freed and allocated in between they'd be cleared where the kernel clears
 * all that it allocates (init_on_alloc, the default of many distributions), only
 * to be overwritten: more work than the copy itself. So a device keeps what was
 * left behind, at most as much as it has VRAM, for evictions of BOs of the same
 * size. Nobody sees what is in there: only a ttm_tt that TTM doesn't want zeroed
 * gets kept pages, and that one is overwritten as a whole, by a move or, if it was
 * swapped out, by TTM. A shrinker gives them back when memory is short. Like the
 * pages of TTM's own pool they count for neither TTM's limit nor a cgroup. With
 * init_on_free, whose point is that nothing stays in free memory, nothing is kept.
 */

/* Smaller BOs' pages aren't worth the bookkeeping. */
#define DROVER_KEEP_MIN_PAGES	16

struct drover_tt {
	struct ttm_tt base;
	struct sg_table *sgt;
	/* Its pages outlive the BO's use of them. */
	bool keep;
	/* They were filled with the debug mode's poison. */
	bool poisoned;
	/* In drover_kept_pages.lru and .by_size, once destroyed. */
	struct list_head lru;
	struct hlist_node by_size;
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

static void drover_tt_free(struct drover_tt *tt)
{
	ttm_tt_fini(&tt->base);
	kfree(tt);
}

static void drover_kept_remove(struct drover_kept_pages *kept, struct drover_tt *tt)
{
	lockdep_assert_held(&kept->lock);

	list_del(&tt->lru);
	hash_del(&tt->by_size);
	WRITE_ONCE(kept->pages, kept->pages - tt->base.num_pages);
}

#ifdef CONFIG_DRM_DROVER_TEST_HOOKS
/* Pages that nobody frees are out of KASAN's sight. */
static void drover_check_kept(struct drover_tt *tt)
{
	u32 i;

	for (i = 0; tt->poisoned && i < tt->base.num_pages; i++)
		WARN_ONCE(memchr_inv(page_address(tt->base.pages[i]), DROVER_POISON, PAGE_SIZE),
			  "somebody wrote to a page that its BO had left\n");
}
#else
static void drover_check_kept(struct drover_tt *tt)
{
}
#endif

/* What was kept for longest, if more than @limit pages are kept. */
static struct drover_tt *drover_kept_pop(struct drover_kept_pages *kept, unsigned long limit)
{
	struct drover_tt *tt = NULL;

	spin_lock(&kept->lock);
	if (kept->pages > limit) {
		tt = list_first_entry(&kept->lru, struct drover_tt, lru);
		drover_kept_remove(kept, tt);
	}
	spin_unlock(&kept->lock);
	return tt;
}

/* Frees lots until there are no more than @limit pages, or @max pages were freed. */
static unsigned long drover_kept_free(struct drover_device *drover, unsigned long limit,
				      unsigned long max)
{
	unsigned long freed = 0;
	struct drover_tt *tt;

	while (freed < max && (tt = drover_kept_pop(&drover->kept, limit))) {
		freed += tt->base.num_pages;
		drover_check_kept(tt);
		ttm_pool_free(&drover->ttm.pool, &tt->base);
		drover_tt_free(tt);
		cond_resched();
	}
	return freed;
}

static void drover_kept_add(struct drover_device *drover, struct drover_tt *tt)
{
	struct drover_kept_pages *kept = &drover->kept;

	spin_lock(&kept->lock);
	list_add_tail(&tt->lru, &kept->lru);
	hash_add(kept->by_size, &tt->by_size, tt->base.num_pages);
	WRITE_ONCE(kept->pages, kept->pages + tt->base.num_pages);
	spin_unlock(&kept->lock);

	drover_kept_free(drover, drover->vram.num_pages, ULONG_MAX);
}

/* Gives @tt kept pages, if there are as many in one lot. */
static bool drover_kept_take(struct drover_device *drover, struct ttm_tt *tt)
{
	struct drover_kept_pages *kept = &drover->kept;
	struct drover_tt *found;

	spin_lock(&kept->lock);
	hash_for_each_possible(kept->by_size, found, by_size, tt->num_pages) {
		if (found->base.num_pages == tt->num_pages)
			break;
	}
	if (found) {
		drover_kept_remove(kept, found);
		kept->taken++;
	}
	spin_unlock(&kept->lock);
	if (!found)
		return false;

	drover_check_kept(found);
	swap(tt->pages, found->base.pages);
	drover_tt_free(found);
	return true;
}

static unsigned long drover_kept_count(struct shrinker *shrinker, struct shrink_control *control)
{
	struct drover_device *drover = shrinker->private_data;

	return READ_ONCE(drover->kept.pages) ?: SHRINK_EMPTY;
}

static unsigned long drover_kept_scan(struct shrinker *shrinker, struct shrink_control *control)
{
	unsigned long freed = drover_kept_free(shrinker->private_data, 0, control->nr_to_scan);

	/* A lot may be many more than asked for. */
	control->nr_scanned = freed;
	return freed ?: SHRINK_STOP;
}

static void drover_kept_fini(struct drm_device *drm, void *data)
{
	struct drover_device *drover = to_drover(drm);

	shrinker_free(drover->kept.shrinker);
	drover_kept_free(drover, 0, ULONG_MAX);
}

/**
 * drover_kept_init - prepare to keep pages
 * @drover: the device, with VRAM and TTM
 *
 * What is kept goes with the device.
 *
 * Return: 0 or -ENOMEM.
 */
int drover_kept_init(struct drover_device *drover)
{
	struct drover_kept_pages *kept = &drover->kept;

	spin_lock_init(&kept->lock);
	INIT_LIST_HEAD(&kept->lru);
	hash_init(kept->by_size);
	kept->shrinker = shrinker_alloc(0, "drover:%s", dev_name(drover->drm.dev));
	if (!kept->shrinker)
		return -ENOMEM;

	kept->shrinker->count_objects = drover_kept_count;
	kept->shrinker->scan_objects = drover_kept_scan;
	kept->shrinker->private_data = drover;
	shrinker_register(kept->shrinker);
	return drmm_add_action_or_reset(&drover->drm, drover_kept_fini, NULL);
}

/**
 * drover_kept_unplug - free what is kept: nothing comes back to VRAM any more
 * @drover: the device
 */
void drover_kept_unplug(struct drover_device *drover)
{
	drover_kept_free(drover, 0, ULONG_MAX);
}

/**
 * drover_tt_keep - a BO's pages are to be kept when it leaves them
 * @tt: its populated ttm_tt, which TTM is about to destroy; the BO's reservation
 *	lock must be held
 * @poisoned: they are filled with the poison of the debug mode
 */
void drover_tt_keep(struct ttm_tt *tt, bool poisoned)
{
	if (tt->num_pages < DROVER_KEEP_MIN_PAGES || want_init_on_free())
		return;
	to_drover_tt(tt)->keep = true;
	to_drover_tt(tt)->poisoned = poisoned;
}

/**
 * drover_tt_stay - undo drover_tt_keep(): the BO stays where it is
 * @tt: its ttm_tt, or NULL; the BO's reservation lock must be held
 */
void drover_tt_stay(struct ttm_tt *tt)
{
	if (tt)
		to_drover_tt(tt)->keep = false;
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
	if (!(tt->page_flags & TTM_TT_FLAG_ZERO_ALLOC) &&
	    drover_kept_take(bdev_to_drover(bdev), tt))
		return 0;
	return ttm_pool_alloc(&bdev->pool, tt, ctx);
}

/**
 * drover_tt_unpopulate - &ttm_device_funcs.ttm_tt_unpopulate
 * @bdev: TTM's device
 * @ttm: a populated ttm_tt
 */
void drover_tt_unpopulate(struct ttm_device *bdev, struct ttm_tt *ttm)
{
	struct drover_tt *tt = to_drover_tt(ttm);

	drover_tt_unmap(bdev_to_drover(bdev), tt);
	if (!tt->keep)
		ttm_pool_free(&bdev->pool, ttm);
}

/**
 * drover_tt_destroy - &ttm_device_funcs.ttm_tt_destroy
 * @bdev: TTM's device
 * @ttm: a ttm_tt that was unpopulated
 */
void drover_tt_destroy(struct ttm_device *bdev, struct ttm_tt *ttm)
{
	struct drover_tt *tt = to_drover_tt(ttm);

	if (tt->keep)
		drover_kept_add(bdev_to_drover(bdev), tt);
	else
		drover_tt_free(tt);
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
