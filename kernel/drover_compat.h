/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Every difference between the kernel versions that drover.ko supports (6.12
 * LTS and 7.3), and nothing else. The driver is written against 7.3; what
 * 6.12 calls otherwise is adapted here.
 */
#ifndef _DROVER_COMPAT_H_
#define _DROVER_COMPAT_H_

#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/slab.h>
#include <linux/version.h>

#include <drm/drm_drv.h>
#include <drm/drm_gpuvm.h>
#include <drm/gpu_scheduler.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_tt.h>

#define DROVER_BEFORE_7 (LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0))

/*
 * Before 7.0 the core pins in dma_buf_map_attachment() unless this option is
 * set, whatever both drivers can do; since then dynamic mappings are never
 * pinned by the core.
 */
#if DROVER_BEFORE_7 && !IS_ENABLED(CONFIG_DMABUF_MOVE_NOTIFY)
#define DROVER_CORE_PINS_DYNAMIC_IMPORTS 1
#else
#define DROVER_CORE_PINS_DYNAMIC_IMPORTS 0
#endif

/*
 * Before 7.0 a signalled fence still calls its ops, so the module must stay
 * for as long as a fence of it lives.
 */
#define DROVER_FENCE_HOLDS_MODULE DROVER_BEFORE_7

/* The dmem cgroup controller came with 6.14. */
#define DROVER_HAS_DMEM_CGROUP (!DROVER_BEFORE_7 && IS_ENABLED(CONFIG_CGROUP_DMEM))

#if DROVER_BEFORE_7

#define invalidate_mappings		move_notify
#define dma_buf_invalidate_mappings	dma_buf_move_notify
#define dma_fence_enable_signaling	dma_fence_enable_sw_signaling

#define kzalloc_obj(object)		kzalloc(sizeof(object), GFP_KERNEL)

#define DROVER_SCHED_STAT_RESET		DRM_GPU_SCHED_STAT_NOMINAL
#define DROVER_DRIVER_GEM_GPUVA		DRIVER_GEM_GPUVA

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

static inline int drover_sched_init(struct drm_gpu_scheduler *sched,
				    const struct drm_sched_init_args *args)
{
	return drm_sched_init(sched, args->ops, args->submit_wq, args->num_rqs,
			      args->credit_limit, args->hang_limit,
			      args->timeout, args->timeout_wq, args->score,
			      args->name, args->dev);
}

static inline void drover_sched_start(struct drm_gpu_scheduler *sched)
{
	drm_sched_start(sched);
}

static inline int drover_ttm_device_init(struct ttm_device *bdev,
					 const struct ttm_device_funcs *funcs,
					 struct drm_device *drm)
{
	return ttm_device_init(bdev, funcs, drm->dev,
			       drm->anon_inode->i_mapping,
			       drm->vma_offset_manager, false, false);
}

static inline void drover_ttm_bo_fini(struct ttm_buffer_object *bo)
{
	ttm_bo_put(bo);
}

static inline int drover_ttm_bo_populate(struct ttm_buffer_object *bo,
					 struct ttm_operation_ctx *ctx)
{
	return ttm_tt_populate(bo->bdev, bo->ttm, ctx);
}

static inline int drover_gpuvm_sm_map(struct drm_gpuvm *gpuvm, void *priv,
				      u64 va, u64 size,
				      struct drm_gem_object *obj, u64 offset)
{
	return drm_gpuvm_sm_map(gpuvm, priv, va, size, obj, offset);
}

static inline struct drm_gpuvm_bo *
drover_gpuvm_bo_obtain(struct drm_gpuvm *gpuvm, struct drm_gem_object *obj)
{
	return drm_gpuvm_bo_obtain(gpuvm, obj);
}

#else /* !DROVER_BEFORE_7 */

#define DROVER_SCHED_STAT_RESET		DRM_GPU_SCHED_STAT_RESET
#define DROVER_DRIVER_GEM_GPUVA		0

static inline int drover_sched_init(struct drm_gpu_scheduler *sched,
				    const struct drm_sched_init_args *args)
{
	return drm_sched_init(sched, args);
}

static inline void drover_sched_start(struct drm_gpu_scheduler *sched)
{
	drm_sched_start(sched, 0);
}

static inline int drover_ttm_device_init(struct ttm_device *bdev,
					 const struct ttm_device_funcs *funcs,
					 struct drm_device *drm)
{
	return ttm_device_init(bdev, funcs, drm->dev,
			       drm->anon_inode->i_mapping,
			       drm->vma_offset_manager, 0);
}

static inline void drover_ttm_bo_fini(struct ttm_buffer_object *bo)
{
	ttm_bo_fini(bo);
}

static inline int drover_ttm_bo_populate(struct ttm_buffer_object *bo,
					 struct ttm_operation_ctx *ctx)
{
	return ttm_bo_populate(bo, ctx);
}

static inline int drover_gpuvm_sm_map(struct drm_gpuvm *gpuvm, void *priv,
				      u64 va, u64 size,
				      struct drm_gem_object *obj, u64 offset)
{
	struct drm_gpuvm_map_req req = {
		.map.va.addr = va,
		.map.va.range = size,
		.map.gem.obj = obj,
		.map.gem.offset = offset,
	};

	return drm_gpuvm_sm_map(gpuvm, priv, &req);
}

static inline struct drm_gpuvm_bo *
drover_gpuvm_bo_obtain(struct drm_gpuvm *gpuvm, struct drm_gem_object *obj)
{
	return drm_gpuvm_bo_obtain_locked(gpuvm, obj);
}

#endif

#endif
