// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Sharing between devices: dynamic export and import through dma-buf.
 */

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_prime.h>

#include "drover_drv.h"

MODULE_INFO(import_ns, "DMA_BUF");

/**
 * DOC: dma-buf
 *
 * Export: a shared BO may be mapped where it is by a peer that can reach VRAM
 * (p2p=1); for any other it moves to GTT and stays there while that
 * attachment exists. A static importer gets a pin, which is counted.
 *
 * Import: a dynamic attachment and a plain GEM object. With invalidation the
 * mapping goes at once if no job can be using it. Otherwise the import is
 * stale, and the mapping goes when this device's jobs have drained, either by
 * the next use or by a worker, whichever is first.
 *
 * All state is protected by the reservation lock, which exporter and importer
 * share. Attaching and detaching take it themselves.
 *
 * An import holds its dma-buf for as long as it lives, since it uses the
 * dma-buf's reservation object. A device has one import of a dma-buf at most.
 */

static void drover_import_invalidate(struct dma_buf_attachment *attach);

static const struct dma_buf_attach_ops drover_importer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = drover_import_invalidate,
};

/* Export. */

/*
 * Where the core asks for a pin for each mapping, two devices of this driver
 * don't need it: both know how to move.
 */
static bool drover_pin_is_needless(struct dma_buf_attachment *attach)
{
	return DROVER_CORE_PINS_DYNAMIC_IMPORTS &&
	       attach->importer_ops == &drover_importer_ops;
}

static struct drover_bo *dma_buf_to_bo(struct dma_buf *dma_buf)
{
	return gem_to_drover_bo(dma_buf->priv);
}

static int drover_dma_buf_attach(struct dma_buf *dma_buf, struct dma_buf_attachment *attach)
{
	struct drover_bo *bo = dma_buf_to_bo(dma_buf);
	int ret;

	if (!to_drover(bo->ttm.base.dev)->p2p)
		attach->peer2peer = false;

	ret = dma_resv_lock_interruptible(dma_buf->resv, NULL);
	if (ret)
		return ret;
	bo->attached = dma_buf;
	bo->num_attachments++;
	dma_resv_unlock(dma_buf->resv);
	return 0;
}

/* Attachments that keep the BO in GTT are marked in their priv pointer. */
static void drover_dma_buf_detach(struct dma_buf *dma_buf, struct dma_buf_attachment *attach)
{
	struct drover_bo *bo = dma_buf_to_bo(dma_buf);

	dma_resv_lock(dma_buf->resv, NULL);
	if (attach->priv)
		bo->gtt_attachments--;
	if (!--bo->num_attachments)
		bo->attached = NULL;
	dma_resv_unlock(dma_buf->resv);
}

/*
 * With a ticket there is one try: if it ended in a deadlock back-off, which TTM hides,
 * nothing may be locked with that ticket any more. This driver's own imports
 * come again by themselves.
 */
static int drover_dma_buf_validate(struct drover_bo *bo, struct dma_buf_attachment *attach)
{
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	bool comes_again = attach->importer_ops == &drover_importer_ops && !drover_is_alone();
	int ret;

	if (dma_resv_locking_ctx(bo->ttm.base.resv))
		return drover_bo_validate(bo, &ctx, comes_again);

	ret = drover_bo_validate(bo, &ctx, true);
	if (ret == -ENOMEM || ret == -ENOSPC)
		ret = drover_bo_validate(bo, &ctx, false);
	return ret;
}

/* Puts the BO where the attachment reaches it. */
static int drover_dma_buf_place(struct drover_bo *bo, struct dma_buf_attachment *attach)
{
	bool marked = false;
	int ret;

	if (!attach->peer2peer) {
		if (!(bo->placements & DRM_DROVER_PLACEMENT_GTT))
			return -EOPNOTSUPP;
		/* Pinned where this peer can't reach it. */
		if (bo->ttm.pin_count && bo->ttm.resource->mem_type == TTM_PL_VRAM)
			return -EOPNOTSUPP;
		if (!attach->priv) {
			attach->priv = bo;
			bo->gtt_attachments++;
			marked = true;
		}
	}

	ret = drover_dma_buf_validate(bo, attach);
	if (ret && marked) {
		attach->priv = NULL;
		bo->gtt_attachments--;
	}
	return ret;
}

static int drover_dma_buf_pin(struct dma_buf_attachment *attach)
{
	struct drover_bo *bo = dma_buf_to_bo(attach->dmabuf);
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (drover_pin_is_needless(attach))
		return 0;

	ret = drover_dma_buf_place(bo, attach);
	if (ret)
		return ret;
	return drover_bo_pin(bo, true);
}

static void drover_dma_buf_unpin(struct dma_buf_attachment *attach)
{
	dma_resv_assert_held(attach->dmabuf->resv);

	if (!drover_pin_is_needless(attach))
		drover_bo_unpin(dma_buf_to_bo(attach->dmabuf));
}

static struct sg_table *drover_bo_map_for(struct drover_bo *bo,
					  struct dma_buf_attachment *attach,
					  enum dma_data_direction direction)
{
	struct drover_device *drover = to_drover(bo->ttm.base.dev);
	struct ttm_tt *tt = bo->ttm.ttm;
	struct sg_table *sgt;
	int ret;

	if (bo->ttm.resource->mem_type == TTM_PL_VRAM)
		sgt = drover_vram_sg(drover, bo->ttm.resource);
	else
		sgt = drm_prime_pages_to_sg(&drover->drm, tt->pages, tt->num_pages);
	if (IS_ERR(sgt))
		return sgt;

	ret = dma_map_sgtable(attach->dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);
	if (ret) {
		sg_free_table(sgt);
		kfree(sgt);
		return ERR_PTR(ret);
	}
	return sgt;
}

static struct sg_table *drover_dma_buf_map(struct dma_buf_attachment *attach,
					   enum dma_data_direction direction)
{
	struct drover_bo *bo = dma_buf_to_bo(attach->dmabuf);
	struct sg_table *sgt;
	int idx, ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!drm_dev_enter(bo->ttm.base.dev, &idx))
		return ERR_PTR(-ENODEV);

	ret = drover_dma_buf_place(bo, attach);
	sgt = ret ? ERR_PTR(ret) : drover_bo_map_for(bo, attach, direction);
	drm_dev_exit(idx);
	return sgt;
}

/* The BO may be elsewhere by now: only the table says what was mapped. */
static void drover_dma_buf_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
				 enum dma_data_direction direction)
{
	dma_unmap_sgtable(attach->dev, sgt, direction, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(sgt);
	kfree(sgt);
}

const struct dma_buf_ops drover_dma_buf_ops = {
	.attach = drover_dma_buf_attach,
	.detach = drover_dma_buf_detach,
	.pin = drover_dma_buf_pin,
	.unpin = drover_dma_buf_unpin,
	.map_dma_buf = drover_dma_buf_map,
	.unmap_dma_buf = drover_dma_buf_unmap,
	.release = drm_gem_dmabuf_release,
	.mmap = drm_gem_dmabuf_mmap,
	.vmap = drm_gem_dmabuf_vmap,
	.vunmap = drm_gem_dmabuf_vunmap,
};

/**
 * drover_gem_export - export a BO as dma-buf
 * @gem: its GEM object
 * @flags: O_CLOEXEC, O_RDWR
 *
 * Return: the dma-buf; -EPERM for a private BO.
 */
struct dma_buf *drover_gem_export(struct drm_gem_object *gem, int flags)
{
	struct dma_buf *dma_buf;

	if (gem_to_drover_bo(gem)->vm)
		return ERR_PTR(-EPERM);

	dma_buf = drm_gem_prime_export(gem, flags);
	if (!IS_ERR(dma_buf))
		dma_buf->ops = &drover_dma_buf_ops;
	return dma_buf;
}

/* Import. */

static void drover_import_unmap(struct drover_import *import)
{
	dma_buf_unmap_attachment(import->attach, import->sgt, DMA_BIDIRECTIONAL);
	import->sgt = NULL;
	import->stale = false;
}

static int drover_import_unmap_stale(struct drover_import *import, bool interruptible)
{
	int ret;

	dma_resv_assert_held(import->gem.resv);

	if (!import->stale)
		return 0;

	ret = drover_object_drain(&import->gem, interruptible);
	if (ret)
		return ret;
	drover_object_unmap(&import->gem);
	drover_import_unmap(import);
	return 0;
}

static void drover_import_unmap_work(struct work_struct *work)
{
	struct drover_import *import = container_of(work, struct drover_import, unmap_work);
	struct dma_fence *busy;

	/* The exporter wants the lock, too, so it isn't held while jobs run. */
	dma_resv_lock(import->gem.resv, NULL);
	while (import->stale && (busy = drover_object_busy(&import->gem))) {
		dma_resv_unlock(import->gem.resv);
		dma_fence_wait(busy, false);
		dma_fence_put(busy);
		dma_resv_lock(import->gem.resv, NULL);
	}
	drover_import_unmap_stale(import, false);
	dma_resv_unlock(import->gem.resv);
}

static void drover_import_invalidate(struct dma_buf_attachment *attach)
{
	struct drover_import *import = attach->importer_priv;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!drover_object_invalidate(&import->gem, true) || !import->sgt || import->stale)
		return;

	WRITE_ONCE(import->object.placement, DRM_DROVER_PLACEMENT_EVICTED);
	atomic64_inc(&import->object.evictions);
	if (drover_object_is_present(&import->gem)) {
		import->stale = true;
		queue_work(drover_wq, &import->unmap_work);
	} else {
		drover_import_unmap(import);
	}
}

/* Entries need whole pages; few exporters give anything else. */
static bool drover_sg_is_paged(struct sg_table *sgt, size_t size)
{
	struct scatterlist *sg;
	u64 total = 0;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (!PAGE_ALIGNED(sg_dma_address(sg)) || !PAGE_ALIGNED(sg_dma_len(sg)))
			return false;
		total += sg_dma_len(sg);
	}
	return total == size;
}

static int drover_import_map(struct drover_import *import)
{
	struct sg_table *sgt;

	sgt = dma_buf_map_attachment(import->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);

	if (!drover_sg_is_paged(sgt, import->gem.size)) {
		drm_dbg(import->gem.dev, "import refused: its DMA mapping isn't in whole pages\n");
		dma_buf_unmap_attachment(import->attach, sgt, DMA_BIDIRECTIONAL);
		return -EINVAL;
	}
	import->sgt = sgt;
	WRITE_ONCE(import->object.placement, DRM_DROVER_PLACEMENT_FOREIGN);
	return 0;
}

/**
 * drover_import_validate - map an import where its exporter has it now
 * @import: the import; its reservation lock must be held
 *
 * The exporter's moves may still be under way: wait for the KERNEL fences.
 *
 * Return: 0 or a negative errno, the exporter's included; -ENODEV if either
 * device is gone.
 */
int drover_import_validate(struct drover_import *import)
{
	int idx, ret;

	dma_resv_assert_held(import->gem.resv);

	/* A CPU's fault may come at any time; after unplug nothing is mapped any more. */
	if (!drm_dev_enter(import->gem.dev, &idx))
		return -ENODEV;
	ret = import->attach ? drover_import_unmap_stale(import, true) : -ENODEV;
	if (!ret && !import->sgt)
		ret = drover_import_map(import);
	drm_dev_exit(idx);
	return ret;
}

const struct rhashtable_params drover_import_params = {
	.key_len = sizeof_field(struct drover_import, dma_buf),
	.key_offset = offsetof(struct drover_import, dma_buf),
	.head_offset = offsetof(struct drover_import, node),
	.automatic_shrinking = true,
};

static void drover_import_unhash_locked(struct drover_device *drover,
					struct drover_import *import)
{
	if (import->hashed)
		rhashtable_remove_fast(&drover->imports, &import->node, drover_import_params);
	import->hashed = false;
}

static void drover_import_unhash(struct drover_import *import)
{
	struct drover_device *drover = to_drover(import->gem.dev);

	mutex_lock(&drover->objects_lock);
	drover_import_unhash_locked(drover, import);
	mutex_unlock(&drover->objects_lock);
}

static int drover_import_hash(struct drover_device *drover, struct drover_import *import)
{
	int ret;

	mutex_lock(&drover->objects_lock);
	ret = rhashtable_insert_fast(&drover->imports, &import->node, drover_import_params);
	import->hashed = !ret;
	mutex_unlock(&drover->objects_lock);
	return ret;
}

/*
 * The import that the device has of a dma-buf already, with a reference. The core
 * finds it by itself only while the same file has a handle of it.
 */
static struct drover_import *drover_import_find(struct drover_device *drover,
						struct dma_buf *dma_buf)
{
	struct drover_import *import;

	mutex_lock(&drover->objects_lock);
	import = rhashtable_lookup_fast(&drover->imports, &dma_buf, drover_import_params);
	if (import && !kref_get_unless_zero(&import->gem.refcount)) {
		/* On its way out; makes room for a new one. */
		drover_import_unhash_locked(drover, import);
		import = NULL;
	}
	mutex_unlock(&drover->objects_lock);
	return import;
}

static void drover_import_detach(struct drover_import *import)
{
	struct drover_device *drover = to_drover(import->gem.dev);
	struct dma_buf_attachment *attach = import->attach;

	dma_resv_lock(import->gem.resv, NULL);
	if (import->sgt)
		dma_buf_unmap_attachment(attach, import->sgt, DMA_BIDIRECTIONAL);
	import->sgt = NULL;
	import->stale = false;
	import->attach = NULL;
	import->gem.import_attach = NULL;
	WRITE_ONCE(import->object.placement, DRM_DROVER_PLACEMENT_EVICTED);
	dma_resv_unlock(import->gem.resv);

	dma_buf_detach(import->dma_buf, attach);
	if (atomic_dec_and_test(&drover->attachments))
		wake_up(&drover->attachments_gone);
}

static void drover_import_free(struct drm_gem_object *gem)
{
	struct drover_import *import = to_drover_import(gem);

	if (import->attach)
		drover_import_detach(import);
	/* Queued by invalidation alone, which has come to an end. */
	cancel_work_sync(&import->unmap_work);
	drover_import_unhash(import);
	drover_object_fini(to_drover(gem->dev), &import->object);
	drm_gem_object_release(gem);
	dma_buf_put(import->dma_buf);
	kfree(import);
}

/**
 * drover_import_unplug - give an import back before its device goes
 * @import: the import; its VMs must be lost
 */
void drover_import_unplug(struct drover_import *import)
{
	dma_resv_lock(import->gem.resv, NULL);
	drover_object_invalidate(&import->gem, false);
	drover_object_drain(&import->gem, false);
	drover_object_unmap(&import->gem);
	dma_resv_unlock(import->gem.resv);

	if (import->attach)
		drover_import_detach(import);
}

static const struct drm_gem_object_funcs drover_import_funcs = {
	.free = drover_import_free,
};

static struct drover_import *drover_import_alloc(struct drover_device *drover,
						 struct dma_buf *dma_buf)
{
	struct drover_import *import;

	import = kzalloc_obj(*import);
	if (!import)
		return NULL;

	/* Complete before it is attached: invalidation may come at once. */
	drm_gem_private_object_init(&drover->drm, &import->gem, dma_buf->size);
	import->gem.funcs = &drover_import_funcs;
	import->gem.resv = dma_buf->resv;
	import->is_static = drover->pin_imports || !dma_buf->ops->pin;
	INIT_WORK(&import->unmap_work, drover_import_unmap_work);
	get_dma_buf(dma_buf);
	import->dma_buf = dma_buf;
	drover_object_init(&import->object, &import->gem);
	return import;
}

static int drover_import_attach(struct drover_device *drover, struct drover_import *import)
{
	struct dma_buf_attachment *attach;
	int ret;

	if (drover->pin_imports)
		attach = dma_buf_attach(import->dma_buf, drover->drm.dev);
	else
		attach = dma_buf_dynamic_attach(import->dma_buf, drover->drm.dev,
						&drover_importer_ops, import);
	if (IS_ERR(attach))
		return PTR_ERR(attach);

	import->attach = attach;
	import->gem.import_attach = attach;
	atomic_inc(&drover->attachments);
	drover_object_add(drover, &import->object);
	ret = drover_import_hash(drover, import);
	if (ret)
		return ret;
	if (!drover->pin_imports)
		return 0;

	/* As most drivers do: mapped, and so pinned, for as long as it lives. */
	ret = dma_resv_lock_interruptible(import->gem.resv, NULL);
	if (ret)
		return ret;
	ret = drover_import_map(import);
	dma_resv_unlock(import->gem.resv);
	return ret;
}

/**
 * drover_gem_import - import a dma-buf
 * @drm: the importing device
 * @dma_buf: any driver's dma-buf
 *
 * Return: the BO itself if it is one of the same device, else an import; an
 * ERR_PTR if the exporter refuses.
 */
struct drm_gem_object *drover_gem_import(struct drm_device *drm, struct dma_buf *dma_buf)
{
	struct drover_import *import;
	struct drm_gem_object *gem;
	int ret;

	if (dma_buf->ops == &drover_dma_buf_ops) {
		gem = dma_buf->priv;
		if (gem->dev == drm) {
			drm_gem_object_get(gem);
			return gem;
		}
	}
	if (!dma_buf->size || !PAGE_ALIGNED(dma_buf->size) || dma_buf->size > DROVER_VA_END)
		return ERR_PTR(-EINVAL);

	import = drover_import_find(to_drover(drm), dma_buf);
	if (import)
		return &import->gem;

	import = drover_import_alloc(to_drover(drm), dma_buf);
	if (!import)
		return ERR_PTR(-ENOMEM);

	ret = drover_import_attach(to_drover(drm), import);
	if (ret) {
		drm_gem_object_put(&import->gem);
		return ERR_PTR(ret);
	}
	return &import->gem;
}
