// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Buffer objects: create, place, pin, describe, evict, free.
 */

#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <drm/drm_exec.h>
#include <drm/drm_gem_ttm_helper.h>
#include <drm/drm_vma_manager.h>

#include "drover_drv.h"
#include "drover_trace.h"

/**
 * DOC: buffer objects
 *
 * A &struct drover_bo is in this device's memory and TTM's to move; a
 * &struct drover_import (drover_prime.c) is in another's. Both embed a
 * &struct drover_object, which is how the device finds all of them.
 *
 * A private BO shares its VM's reservation object and holds a reference to the
 * VM for that; on TTM's LRU all private BOs of a VM move as one.
 *
 * Pins are counted per device and per client, in bytes of the BO, when a BO's
 * first pin comes and its last one goes.
 */

/* Their size is an awkward one for the general caches. */
static struct kmem_cache *drover_bo_cache;

/**
 * drover_bo_cache_init - prepare for BOs, when the module comes
 *
 * Return: 0 or -ENOMEM.
 */
int drover_bo_cache_init(void)
{
	drover_bo_cache = KMEM_CACHE(drover_bo, 0);
	return drover_bo_cache ? 0 : -ENOMEM;
}

/**
 * drover_bo_cache_fini - undo drover_bo_cache_init(), when no BO is left
 */
void drover_bo_cache_fini(void)
{
	kmem_cache_destroy(drover_bo_cache);
}

/**
 * drover_object_init - prepare what BOs and imports have in common
 * @object: embedded in the BO or import
 * @gem: its GEM object
 */
void drover_object_init(struct drover_object *object, struct drm_gem_object *gem)
{
	INIT_LIST_HEAD(&object->link);
	object->gem = gem;
	object->placement = DRM_DROVER_PLACEMENT_EVICTED;
}

/**
 * drover_object_add - make an object known to its device
 * @drover: the device
 * @object: the object, which others may find and use from now on
 */
void drover_object_add(struct drover_device *drover, struct drover_object *object)
{
	mutex_lock(&drover->objects_lock);
	list_add_tail(&object->link, &drover->objects);
	mutex_unlock(&drover->objects_lock);
}

/**
 * drover_object_fini - undo drover_object_add(), if it was called
 * @drover: the device
 * @object: the object, about to be freed
 */
void drover_object_fini(struct drover_device *drover, struct drover_object *object)
{
	mutex_lock(&drover->objects_lock);
	list_del(&object->link);
	mutex_unlock(&drover->objects_lock);
}

/**
 * drover_object_of - what a BO and an import have in common
 * @gem: either's GEM object
 *
 * Return: its embedded object.
 */
struct drover_object *drover_object_of(struct drm_gem_object *gem)
{
	if (drover_is_import(gem))
		return &to_drover_import(gem)->object;
	return &gem_to_drover_bo(gem)->object;
}

static void drover_bo_put_vm_work(struct work_struct *work)
{
	struct drover_bo *bo = container_of(work, struct drover_bo, put_vm_work);

	drm_gpuvm_put(&bo->vm->base);
	kmem_cache_free(drover_bo_cache, bo);
}

static void drover_bo_destroy(struct ttm_buffer_object *ttm)
{
	struct drover_bo *bo = to_drover_bo(ttm);
	struct drover_device *drover = to_drover(ttm->base.dev);

	drover_object_fini(drover, &bo->object);
	drm_gem_object_release(&ttm->base);
	drover_client_put(bo->client);

	/*
	 * This may run on TTM's work queue, and the VM's reference to the
	 * device may be the last one, which ends that queue.
	 */
	if (bo->vm)
		queue_work(drover_wq, &bo->put_vm_work);
	else
		kmem_cache_free(drover_bo_cache, bo);
}

static void drover_bo_free(struct drm_gem_object *gem)
{
	struct drover_bo *bo = gem_to_drover_bo(gem);

	if (bo->vm) {
		dma_resv_lock(gem->resv, NULL);
		ttm_bo_set_bulk_move(&bo->ttm, NULL);
		dma_resv_unlock(gem->resv);
	}
	drover_ttm_bo_fini(&bo->ttm);
}

static const struct vm_operations_struct drover_bo_vm_ops = {
	.fault = ttm_bo_vm_fault,
	.open = ttm_bo_vm_open,
	.close = ttm_bo_vm_close,
	.access = ttm_bo_vm_access,
};

static const struct drm_gem_object_funcs drover_bo_funcs = {
	.free = drover_bo_free,
	.export = drover_gem_export,
	.mmap = drm_gem_ttm_mmap,
	.vmap = drover_bo_vmap,
	.vunmap = drover_bo_vunmap,
	.vm_ops = &drover_bo_vm_ops,
};

/**
 * drover_is_bo - is it in this device's memory?
 * @gem: any GEM object
 *
 * Return: true for a &struct drover_bo, false for a &struct drover_import or a
 * VM's object that only carries the reservation object.
 */
bool drover_is_bo(struct drm_gem_object *gem)
{
	return gem->funcs == &drover_bo_funcs;
}

/**
 * drover_is_import - is it in another device's memory?
 * @gem: GEM object with a handle or a mapping
 *
 * Return: true for a &struct drover_import, false for a &struct drover_bo.
 */
bool drover_is_import(struct drm_gem_object *gem)
{
	return !drover_is_bo(gem);
}

/* The preferred place first; the other one only if nothing can be evicted there. */
static void drover_bo_places(struct drover_bo *bo, bool spare_hot, struct ttm_place *places,
			     struct ttm_placement *placement)
{
	u32 allowed = bo->placements, preferred = bo->preferred;
	u32 flags = spare_hot ? DROVER_PLACE_SPARE_HOT : 0;
	unsigned int n = 0;

	if (bo->gtt_attachments) {
		allowed = DRM_DROVER_PLACEMENT_GTT;
		preferred = DRM_DROVER_PLACEMENT_GTT;
	}

	memset(places, 0, 2 * sizeof(*places));
	if (preferred == DRM_DROVER_PLACEMENT_VRAM) {
		places[n].flags = flags;
		places[n++].mem_type = TTM_PL_VRAM;
	}
	if (allowed & DRM_DROVER_PLACEMENT_GTT) {
		places[n].flags = flags | (n ? TTM_PL_FLAG_FALLBACK : 0);
		places[n++].mem_type = TTM_PL_TT;
	}
	if (preferred == DRM_DROVER_PLACEMENT_GTT && allowed & DRM_DROVER_PLACEMENT_VRAM) {
		places[n].flags = flags | TTM_PL_FLAG_FALLBACK;
		places[n++].mem_type = TTM_PL_VRAM;
	}
	placement->placement = places;
	placement->num_placement = n;
}

/* -EBUSY is what TTM says if a BO stays in use for 15 s; here it means pinned. */
static int drover_wait_error(int ret)
{
	return ret == -EBUSY ? -ETIMEDOUT : ret;
}

/**
 * drover_bo_validate - put a BO where the device can reach it
 * @bo: the BO; its reservation lock must be held
 * @ctx: how to wait and what may be evicted
 * @spare_hot: don't evict what a VM has just used
 *
 * Return: 0 or a negative errno; see drover_vm_validate() for -ENOMEM.
 */
int drover_bo_validate(struct drover_bo *bo, struct ttm_operation_ctx *ctx, bool spare_hot)
{
	struct ttm_placement placement;
	struct ttm_place places[2];
	int idx, ret;

	if (!drm_dev_enter(bo->ttm.base.dev, &idx))
		return -ENODEV;

	if (bo->ttm.pin_count) {
		ret = 0;
	} else {
		drover_bo_places(bo, spare_hot, places, &placement);
		ret = ttm_bo_validate(&bo->ttm, &placement, ctx);
	}
	drm_dev_exit(idx);
	return drover_wait_error(ret);
}

static bool drover_pair_is_hot(struct drover_pair *pair)
{
	struct drover_vm *vm = to_drover_vm(pair->base.vm);
	unsigned long min_run = vm->drover->min_run;

	if (READ_ONCE(pair->present) &&
	    time_before(jiffies, READ_ONCE(vm->last_submit) + min_run))
		return true;
	return time_before(jiffies, pair->last_fault + min_run);
}

/**
 * drover_bo_is_hot - has a VM of this device just used a BO?
 * @bo: the BO; its reservation lock must be held
 *
 * A hint, taken without any gate.
 *
 * Return: whether it is reachable in a VM that submitted, or was touched by a CPU,
 * within min_run_ms.
 */
bool drover_bo_is_hot(struct drover_bo *bo)
{
	struct drm_gpuvm_bo *vm_bo;

	drm_gem_for_each_gpuvm_bo(vm_bo, &bo->ttm.base)
		if (drover_pair_is_hot(to_drover_pair(vm_bo)))
			return true;
	return false;
}

/**
 * drover_bo_write_ptes - write page table entries for where a BO is
 * @bo: the BO, validated; its reservation lock must be held
 * @ptes: one entry per page
 */
void drover_bo_write_ptes(struct drover_bo *bo, u64 *ptes)
{
	if (bo->ttm.resource->mem_type == TTM_PL_VRAM)
		drover_vram_write_ptes(bo->ttm.resource, ptes);
	else
		drover_sg_write_ptes(drover_tt_sg(bo->ttm.ttm), ptes);
}

static bool drover_charge_pin(struct drover_device *drover, u64 size, bool limited)
{
	s64 pinned = atomic64_add_return(size, &drover->pinned);
	s64 max = atomic64_read(&drover->pinned_max);

	if (limited && pinned > drover->pin_limit) {
		atomic64_sub(size, &drover->pinned);
		return false;
	}
	while (pinned > max && !atomic64_try_cmpxchg(&drover->pinned_max, &max, pinned))
		;
	return true;
}

/**
 * drover_bo_pin - forbid moving a BO
 * @bo: the BO, validated; its reservation lock must be held
 * @limited: refuse it if it goes beyond the device's limit
 *
 * Return: 0, or -ENOSPC if the limit doesn't allow it.
 */
int drover_bo_pin(struct drover_bo *bo, bool limited)
{
	struct drm_gem_object *gem = &bo->ttm.base;

	if (!bo->ttm.pin_count) {
		if (!drover_charge_pin(to_drover(gem->dev), gem->size, limited)) {
			drm_dbg(gem->dev, "pin of %zu bytes refused: pin_limit_mib reached\n",
				gem->size);
			return -ENOSPC;
		}
		atomic64_add(gem->size, &bo->client->pinned);
	}
	ttm_bo_pin(&bo->ttm);
	trace_drover_pin(gem, true);
	return 0;
}

/**
 * drover_bo_unpin - undo one drover_bo_pin()
 * @bo: the BO; its reservation lock must be held
 */
void drover_bo_unpin(struct drover_bo *bo)
{
	struct drm_gem_object *gem = &bo->ttm.base;

	ttm_bo_unpin(&bo->ttm);
	if (!bo->ttm.pin_count) {
		/* 6.12 leaves it where eviction doesn't look if it was touched while pinned. */
		ttm_bo_move_to_lru_tail_unlocked(&bo->ttm);
		atomic64_sub(gem->size, &to_drover(gem->dev)->pinned);
		atomic64_sub(gem->size, &bo->client->pinned);
	}
	trace_drover_pin(gem, false);
}

/**
 * drover_bo_unplug - cut a BO off from its device, which goes away
 * @bo: the BO
 *
 * Importers are told, and can't map it again.
 */
void drover_bo_unplug(struct drover_bo *bo)
{
	dma_resv_lock(bo->ttm.base.resv, NULL);
	drover_object_invalidate(&bo->ttm.base, false);
	drover_object_drain(&bo->ttm.base, false);
	drover_tt_unplug(to_drover(bo->ttm.base.dev), bo->ttm.ttm);
	dma_resv_unlock(bo->ttm.base.resv);
}

static int drover_bo_check_create(struct drover_device *drover,
				  struct drm_drover_bo_create *args)
{
	const u32 all = DRM_DROVER_PLACEMENT_VRAM | DRM_DROVER_PLACEMENT_GTT;
	u64 largest = 0;

	if (args->flags || args->pad || !args->size || !PAGE_ALIGNED(args->size))
		return -EINVAL;
	if (!args->placements || args->placements & ~all)
		return -EINVAL;
	if (args->preferred && (hweight32(args->preferred) != 1 ||
				args->preferred & ~args->placements))
		return -EINVAL;
	if (args->placements & DRM_DROVER_PLACEMENT_VRAM)
		largest = drover->vram.buddy.size;
	if (args->placements & DRM_DROVER_PLACEMENT_GTT)
		largest = max_t(u64, largest, drover->gtt.size << PAGE_SHIFT);
	return args->size > largest ? -ENOSPC : 0;
}

static struct drover_bo *drover_bo_alloc(struct drover_device *drover,
					 const struct drm_drover_bo_create *args,
					 struct drover_client *client,
					 struct drover_vm *vm)
{
	struct drover_bo *bo;

	bo = kmem_cache_zalloc(drover_bo_cache, GFP_KERNEL);
	if (!bo)
		return NULL;

	drm_gem_private_object_init(&drover->drm, &bo->ttm.base, args->size);
	bo->ttm.base.funcs = &drover_bo_funcs;
	bo->placements = args->placements;
	bo->preferred = args->preferred;
	if (!bo->preferred)
		bo->preferred = args->placements & DRM_DROVER_PLACEMENT_VRAM ?
				DRM_DROVER_PLACEMENT_VRAM : DRM_DROVER_PLACEMENT_GTT;
	kref_get(&client->kref);
	bo->client = client;
	INIT_WORK(&bo->put_vm_work, drover_bo_put_vm_work);
	if (vm) {
		drm_gpuvm_get(&vm->base);
		bo->vm = vm;
	}
	drover_object_init(&bo->object, &bo->ttm.base);
	return bo;
}

/* Makes it TTM's, without memory yet. On an error TTM has destroyed it. */
static int drover_bo_init(struct drover_device *drover, struct drover_bo *bo)
{
	static const struct ttm_place place = { .mem_type = TTM_PL_SYSTEM };
	struct ttm_placement placement = { .placement = &place, .num_placement = 1 };
	struct dma_resv *resv = bo->vm ? drm_gpuvm_resv(&bo->vm->base) : NULL;
	struct ttm_operation_ctx ctx = { .interruptible = true };
	int ret;

	if (resv) {
		ret = dma_resv_lock_interruptible(resv, NULL);
		if (ret) {
			drover_bo_destroy(&bo->ttm);
			return ret;
		}
	}

	ret = ttm_bo_init_reserved(&drover->ttm, &bo->ttm, ttm_bo_type_device,
				   &placement, 0, &ctx, NULL, resv, drover_bo_destroy);
	if (!ret && resv)
		ttm_bo_set_bulk_move(&bo->ttm, &bo->vm->bulk);
	if (!ret || resv)
		dma_resv_unlock(resv ? resv : bo->ttm.base.resv);
	return ret;
}

/* With a ticket that is still open, so that TTM may wait for locks of what it evicts. */
static int drover_bo_try_place(void *data, bool evict_own)
{
	struct drover_bo *bo = data;
	struct ttm_operation_ctx ctx = {
		.interruptible = true,
		.gfp_retry_mayfail = true,
		.allow_res_evict = bo->vm,
		.resv = bo->ttm.base.resv,
	};
	struct drm_exec exec;
	int ret;

	drm_exec_init(&exec, DRM_EXEC_INTERRUPTIBLE_WAIT, 0);
	drm_exec_until_all_locked(&exec) {
		ret = drm_exec_lock_obj(&exec, &bo->ttm.base);
		drm_exec_retry_on_contention(&exec);
		if (!ret)
			ret = drover_bo_validate(bo, &ctx, !evict_own);
		if (ret)
			break;
	}
	drm_exec_fini(&exec);
	return ret;
}

static struct drover_bo *drover_bo_create(struct drover_device *drover,
					  const struct drm_drover_bo_create *args,
					  struct drover_client *client,
					  struct drover_vm *vm)
{
	struct drover_bo *bo;
	int ret;

	bo = drover_bo_alloc(drover, args, client, vm);
	if (!bo)
		return ERR_PTR(-ENOMEM);
	ret = drover_bo_init(drover, bo);
	if (ret)
		return ERR_PTR(ret);

	ret = drover_make_room(drover_bo_try_place, bo);
	if (ret) {
		drm_gem_object_put(&bo->ttm.base);
		return ERR_PTR(ret);
	}
	/* Only now that it is complete may others find it. */
	drover_object_add(drover, &bo->object);
	return bo;
}

/**
 * drover_bo_create_ioctl - DRM_IOCTL_DROVER_BO_CREATE
 * @drm: the DRM device
 * @data: struct drm_drover_bo_create
 * @file: the caller's file
 *
 * Return: 0 or a negative errno.
 */
int drover_bo_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drover_device *drover = to_drover(drm);
	struct drm_drover_bo_create *args = data;
	struct drover_vm *vm = NULL;
	struct drover_bo *bo;
	int ret;

	ret = drover_bo_check_create(drover, args);
	if (ret)
		return ret;

	if (args->vm_id) {
		vm = drover_vm_lookup(file, args->vm_id);
		if (!vm)
			return -ENOENT;
	}

	bo = drover_bo_create(drover, args, file->driver_priv, vm);
	if (vm)
		drm_gpuvm_put(&vm->base);
	if (IS_ERR(bo))
		return PTR_ERR(bo) == -ENOSPC ? -ENOMEM : PTR_ERR(bo);

	ret = drm_gem_handle_create(file, &bo->ttm.base, &args->handle);
	drm_gem_object_put(&bo->ttm.base);
	return ret;
}

/**
 * drover_bo_mmap_ioctl - DRM_IOCTL_DROVER_BO_MMAP
 * @drm: the DRM device
 * @data: struct drm_drover_bo_mmap
 * @file: the caller's file
 *
 * Return: 0 or a negative errno.
 */
int drover_bo_mmap_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_drover_bo_mmap *args = data;
	struct drm_gem_object *gem;
	int ret = 0;

	if (args->flags)
		return -EINVAL;

	gem = drm_gem_object_lookup(file, args->handle);
	if (!gem)
		return -ENOENT;
	if (drover_is_import(gem))
		ret = -EOPNOTSUPP;
	else
		args->offset = drm_vma_node_offset_addr(&gem->vma_node);
	drm_gem_object_put(gem);
	return ret;
}

/**
 * drover_bo_info_ioctl - DRM_IOCTL_DROVER_BO_INFO
 * @drm: the DRM device
 * @data: struct drm_drover_bo_info
 * @file: the caller's file
 *
 * Return: 0 or a negative errno.
 */
int drover_bo_info_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_drover_bo_info *args = data;
	struct drm_drover_bo_info info = { .handle = args->handle };
	struct drover_object *object;
	struct drm_gem_object *gem;
	struct drover_bo *bo;

	gem = drm_gem_object_lookup(file, args->handle);
	if (!gem)
		return -ENOENT;

	object = drover_object_of(gem);
	info.size = gem->size;
	info.placement = READ_ONCE(object->placement);
	info.evictions = atomic64_read(&object->evictions);
	info.moves = atomic64_read(&object->moves);
	info.remaps = atomic64_read(&object->remaps);

	if (drover_is_import(gem)) {
		info.flags = DRM_DROVER_BO_IMPORTED;
		if (to_drover_import(gem)->is_static)
			info.flags |= DRM_DROVER_BO_STATIC;
	} else {
		bo = gem_to_drover_bo(gem);
		info.flags = bo->vm ? DRM_DROVER_BO_PRIVATE : 0;
		if (READ_ONCE(gem->dma_buf))
			info.flags |= DRM_DROVER_BO_EXPORTED;
		info.placements = bo->placements;
		info.preferred = bo->preferred;
		info.pins = READ_ONCE(bo->ttm.pin_count);
	}
	drm_gem_object_put(gem);
	*args = info;
	return 0;
}

static int drover_bo_evict(struct drover_bo *bo, struct drm_drover_evict *args)
{
	static const struct ttm_place place = { .mem_type = TTM_PL_SYSTEM };
	struct ttm_placement placement = { .placement = &place, .num_placement = 1 };
	struct ttm_operation_ctx ctx = { .interruptible = true };
	int ret;

	ret = dma_resv_lock_interruptible(bo->ttm.base.resv, NULL);
	if (ret)
		return ret;

	if (bo->ttm.pin_count) {
		args->busy++;
	} else if (bo->object.placement != DRM_DROVER_PLACEMENT_EVICTED) {
		ret = drover_wait_error(ttm_bo_validate(&bo->ttm, &placement, &ctx));
		if (!ret) {
			args->evicted++;
			args->evicted_bytes += bo->ttm.base.size;
		}
	}
	dma_resv_unlock(bo->ttm.base.resv);
	return ret;
}

static int drover_evict_one(struct drm_file *file, struct drm_drover_evict *args)
{
	struct drm_gem_object *gem;
	int ret;

	gem = drm_gem_object_lookup(file, args->id);
	if (!gem)
		return -ENOENT;
	if (drover_is_import(gem))
		ret = -EOPNOTSUPP;
	else
		ret = drover_bo_evict(gem_to_drover_bo(gem), args);
	drm_gem_object_put(gem);
	return ret;
}

/*
 * The next BO after @last on the device's list that is alive, with a reference;
 * drops the one of @last.
 */
static struct drover_bo *drover_next_bo(struct drover_device *drover, struct drover_bo *last)
{
	struct drover_object *object;
	struct drover_bo *found = NULL;

	mutex_lock(&drover->objects_lock);
	object = last ? &last->object :
		 list_entry(&drover->objects, struct drover_object, link);
	list_for_each_entry_continue(object, &drover->objects, link) {
		if (!drover_is_import(object->gem) &&
		    kref_get_unless_zero(&object->gem->refcount)) {
			found = gem_to_drover_bo(object->gem);
			break;
		}
	}
	mutex_unlock(&drover->objects_lock);

	if (last)
		drm_gem_object_put(&last->ttm.base);
	return found;
}

static int drover_evict_private(struct drover_vm *vm, struct drm_drover_evict *args)
{
	struct drover_bo *bo = NULL;
	int ret = 0;

	while (!ret && (bo = drover_next_bo(vm->drover, bo))) {
		if (bo->vm == vm)
			ret = drover_bo_evict(bo, args);
		if (!ret && signal_pending(current))
			ret = -ERESTARTSYS;
	}
	if (bo)
		drm_gem_object_put(&bo->ttm.base);
	return ret;
}

static int drover_evict_vm(struct drm_file *file, struct drm_drover_evict *args)
{
	struct drm_gem_object *gem;
	struct drover_vm *vm;
	struct drm_gpuva *va;
	int ret;

	vm = drover_vm_lookup(file, args->id);
	if (!vm)
		return -ENOENT;

	ret = drover_evict_private(vm, args);
	if (!ret)
		ret = mutex_lock_interruptible(&vm->bind_lock);
	if (ret)
		goto out_put;

	drm_gpuvm_for_each_va(va, &vm->base) {
		gem = va->gem.obj;
		if (drover_is_import(gem) || gem_to_drover_bo(gem)->vm ||
		    !list_is_first(&va->gem.entry, &va->vm_bo->list.gpuva))
			continue;
		ret = drover_bo_evict(gem_to_drover_bo(gem), args);
		if (ret)
			break;
	}
	mutex_unlock(&vm->bind_lock);

out_put:
	drm_gpuvm_put(&vm->base);
	return ret;
}

static struct drm_gem_object *drover_next_handle(struct drm_file *file, int *handle)
{
	struct drm_gem_object *gem;

	spin_lock(&file->table_lock);
	gem = idr_get_next(&file->object_idr, handle);
	if (gem)
		drm_gem_object_get(gem);
	spin_unlock(&file->table_lock);
	return gem;
}

static int drover_evict_all(struct drm_file *file, struct drm_drover_evict *args)
{
	struct drm_gem_object *gem;
	int handle, ret = 0;

	for (handle = 1; !ret && (gem = drover_next_handle(file, &handle)); handle++) {
		if (!drover_is_import(gem))
			ret = drover_bo_evict(gem_to_drover_bo(gem), args);
		drm_gem_object_put(gem);
		if (!ret && signal_pending(current))
			ret = -ERESTARTSYS;
	}
	return ret;
}

/**
 * drover_evict_ioctl - DRM_IOCTL_DROVER_EVICT
 * @drm: the DRM device
 * @data: struct drm_drover_evict
 * @file: the caller's file
 *
 * Return: 0 or a negative errno; -EBUSY if something is pinned.
 */
int drover_evict_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_drover_evict *args = data;
	int ret;

	if (args->flags)
		return -EINVAL;
	args->evicted = 0;
	args->busy = 0;
	args->evicted_bytes = 0;

	switch (args->target) {
	case DRM_DROVER_EVICT_BO:
		ret = drover_evict_one(file, args);
		break;
	case DRM_DROVER_EVICT_VM:
		ret = drover_evict_vm(file, args);
		break;
	case DRM_DROVER_EVICT_ALL:
		if (args->id)
			return -EINVAL;
		ret = drover_evict_all(file, args);
		break;
	default:
		return -EINVAL;
	}
	return ret ? ret : args->busy ? -EBUSY : 0;
}
