/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* A fence that signals when it is told to, and tells who asks when somebody waits for it. */
#ifndef DROVER_FOREIGN_FENCE_H
#define DROVER_FOREIGN_FENCE_H

#include <linux/dma-fence.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

struct foreign_fence {
	struct dma_fence base;
	spinlock_t lock; /* the fence's own */
	/* Called once, with the lock held; may be NULL. */
	void (*enabled)(void *data);
	void *data;
};

static const char *foreign_fence_name(struct dma_fence *fence)
{
	return "drover-foreign";
}

static bool foreign_fence_enable_signaling(struct dma_fence *base)
{
	struct foreign_fence *fence = container_of(base, struct foreign_fence, base);

	if (fence->enabled)
		fence->enabled(fence->data);
	return true;
}

/* Module exit waits for these. */
static void foreign_fence_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct foreign_fence, base.rcu));
	module_put(THIS_MODULE);
}

static void foreign_fence_release(struct dma_fence *fence)
{
	call_rcu(&fence->rcu, foreign_fence_free_rcu);
}

static const struct dma_fence_ops foreign_fence_ops = {
	.get_driver_name = foreign_fence_name,
	.get_timeline_name = foreign_fence_name,
	.enable_signaling = foreign_fence_enable_signaling,
	.release = foreign_fence_release,
};

static struct dma_fence *foreign_fence_new(void (*enabled)(void *data), void *data)
{
	struct foreign_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL);

	if (!fence)
		return NULL;
	__module_get(THIS_MODULE);
	fence->enabled = enabled;
	fence->data = data;
	spin_lock_init(&fence->lock);
	dma_fence_init(&fence->base, &foreign_fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);
	return &fence->base;
}

#endif
