/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every difference between the kernel versions that drover.ko supports, from
 * 6.12 LTS to 7.3, and nothing else. The driver is written against the newest;
 * Kbuild looks which of the DROVER_HAS_* this kernel's headers offer, and what
 * is missing is adapted here.
 */
#ifndef _DROVER_COMPAT_H_
#define _DROVER_COMPAT_H_

#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_gpuvm.h>
#include <drm/gpu_scheduler.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_tt.h>

/*
 * Where the callback still has its old name, the core pins in
 * dma_buf_map_attachment() unless an option is set, whatever both drivers can
 * do. Since then dynamic mappings are never pinned by the core.
 */
#ifdef DROVER_HAS_INVALIDATE_MAPPINGS
#define DROVER_CORE_PINS_DYNAMIC_IMPORTS 0
#else
#define DROVER_CORE_PINS_DYNAMIC_IMPORTS (!IS_ENABLED(CONFIG_DMABUF_MOVE_NOTIFY))
#define invalidate_mappings		move_notify
#define dma_buf_invalidate_mappings	dma_buf_move_notify
#endif

/*
 * A signalled fence that still calls its ops needs the module for as long as it
 * lives.
 */
#ifdef DROVER_HAS_INDEPENDENT_FENCES
#define DROVER_FENCE_HOLDS_MODULE 0
#else
#define DROVER_FENCE_HOLDS_MODULE 1
#endif

/*
 * What dma_fence_init() takes for a lock. Where a fence may outlive the module it
 * must be the fence's inline one, since ours would have its lockdep class here.
 */
#ifdef DROVER_HAS_INDEPENDENT_FENCES
#define drover_fence_lock(lock)		((void)(lock), (spinlock_t *)NULL)
#else
#define drover_fence_lock(lock) \
	({ spinlock_t *__lock = (lock); spin_lock_init(__lock); __lock; })
#endif

#ifdef DROVER_HAS_PFN_T
#include <linux/pfn_t.h>
#endif

#ifndef DROVER_HAS_ENABLE_SIGNALING
#define dma_fence_enable_signaling	dma_fence_enable_sw_signaling
#endif

#ifndef DROVER_HAS_KZALLOC_OBJ
#define kzalloc_obj(object)		kzalloc(sizeof(object), GFP_KERNEL)
#endif

#ifdef DROVER_HAS_DRIVER_GEM_GPUVA
#define DROVER_DRIVER_GEM_GPUVA		DRIVER_GEM_GPUVA
#else
#define DROVER_DRIVER_GEM_GPUVA		0
#endif

#ifndef DROVER_HAS_SCHED_STAT_RESET
#define DRM_GPU_SCHED_STAT_RESET	DRM_GPU_SCHED_STAT_NOMINAL
#endif

#ifndef DROVER_HAS_SCHED_INIT_ARGS
struct drm_sched_init_args {
	const struct drm_sched_backend_ops *ops;
	struct workqueue_struct *submit_wq;
	struct workqueue_struct *timeout_wq;
	u32 num_rqs;
	u32 credit_limit;
	unsigned int hang_limit;
	long timeout;
	atomic_t *score;
	const char *name;
	struct device *dev;
};
#endif

static inline int drover_sched_init(struct drm_gpu_scheduler *sched,
				    const struct drm_sched_init_args *args)
{
#ifdef DROVER_HAS_SCHED_INIT_ARGS
	return drm_sched_init(sched, args);
#else
	return drm_sched_init(sched, args->ops, args->submit_wq, args->num_rqs,
			      args->credit_limit, args->hang_limit,
			      args->timeout, args->timeout_wq, args->score,
			      args->name, args->dev);
#endif
}

static inline void drover_sched_start(struct drm_gpu_scheduler *sched)
{
#ifdef DROVER_HAS_SCHED_START_ERRNO
	drm_sched_start(sched, 0);
#else
	drm_sched_start(sched);
#endif
}

/* For a job that was done by the time that its time-out was handled. */
static inline enum drm_gpu_sched_stat drover_sched_false_timeout(struct drm_sched_job *job)
{
#ifdef DROVER_HAS_SCHED_STAT_NO_HANG
	return DRM_GPU_SCHED_STAT_NO_HANG;
#else
	struct drm_gpu_scheduler *sched = job->sched;

	/* Back to where the time-out took it from, and to be freed as others are. */
	spin_lock(&sched->job_list_lock);
	list_add(&job->list, &sched->pending_list);
	spin_unlock(&sched->job_list_lock);
	queue_work(sched->submit_wq, &sched->work_free_job);
	return DRM_GPU_SCHED_STAT_RESET;
#endif
}

static inline int drover_ttm_device_init(struct ttm_device *bdev,
					 const struct ttm_device_funcs *funcs,
					 struct drm_device *drm)
{
#ifdef DROVER_HAS_TTM_ALLOC_FLAGS
	return ttm_device_init(bdev, funcs, drm->dev,
			       drm->anon_inode->i_mapping,
			       drm->vma_offset_manager, 0);
#else
	return ttm_device_init(bdev, funcs, drm->dev,
			       drm->anon_inode->i_mapping,
			       drm->vma_offset_manager, false, false);
#endif
}

static inline void drover_ttm_bo_fini(struct ttm_buffer_object *bo)
{
#ifdef DROVER_HAS_TTM_BO_FINI
	ttm_bo_fini(bo);
#else
	ttm_bo_put(bo);
#endif
}

static inline int drover_ttm_bo_populate(struct ttm_buffer_object *bo,
					 struct ttm_operation_ctx *ctx)
{
#ifdef DROVER_HAS_TTM_BO_POPULATE
	return ttm_bo_populate(bo, ctx);
#else
	return ttm_tt_populate(bo->bdev, bo->ttm, ctx);
#endif
}

static inline vm_fault_t drover_vmf_insert_pfn_pmd(struct vm_fault *vmf, unsigned long pfn,
						   bool write)
{
#if !IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP)
	return VM_FAULT_FALLBACK;
#elif defined(DROVER_HAS_PFN_T)
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV), write);
#else
	return vmf_insert_pfn_pmd(vmf, pfn, write);
#endif
}

static inline int drover_gpuvm_sm_map(struct drm_gpuvm *gpuvm, void *priv,
				      u64 va, u64 size,
				      struct drm_gem_object *obj, u64 offset)
{
#ifdef DROVER_HAS_GPUVM_MAP_REQ
	struct drm_gpuvm_map_req req = {
		.map.va.addr = va,
		.map.va.range = size,
		.map.gem.obj = obj,
		.map.gem.offset = offset,
	};

	return drm_gpuvm_sm_map(gpuvm, priv, &req);
#else
	return drm_gpuvm_sm_map(gpuvm, priv, va, size, obj, offset);
#endif
}

static inline struct drm_gpuvm_bo *
drover_gpuvm_bo_obtain(struct drm_gpuvm *gpuvm, struct drm_gem_object *obj)
{
#ifdef DROVER_HAS_GPUVM_OBTAIN_LOCKED
	return drm_gpuvm_bo_obtain_locked(gpuvm, obj);
#else
	return drm_gpuvm_bo_obtain(gpuvm, obj);
#endif
}

#endif
