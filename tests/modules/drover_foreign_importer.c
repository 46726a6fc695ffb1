// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A dma-buf importer that copes with moves, for tests: it attaches dynamically,
 * adds fences of its own, gives its mapping back after a notification, and
 * remembers what happened in which order. A file holds one attachment. Nothing
 * here is the driver's.
 */

#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "drover_foreign.h"
#include "drover_foreign_fence.h"

#ifndef HAS_INVALIDATE_MAPPINGS
#define invalidate_mappings move_notify
#endif

MODULE_INFO(import_ns, "DMA_BUF");

static struct platform_device *importer_device;

struct importer {
	/* Serialises requests. */
	struct mutex lock;
	struct dma_buf *dma_buf;
	struct dma_buf_attachment *attach;
	struct dma_fence *fence;
	/* These two under the reservation lock. */
	struct sg_table *sgt;
	bool stale;
	struct work_struct unmap_work;
	/* Protects the log; may be taken in a fence's callbacks. */
	spinlock_t log_lock;
	struct foreign_log log;
};

static void importer_log(struct importer *importer, enum foreign_event event)
{
	struct foreign_log *log = &importer->log;
	unsigned long flags;

	spin_lock_irqsave(&importer->log_lock, flags);
	if (log->count < ARRAY_SIZE(log->events))
		log->events[log->count++] = event;
	spin_unlock_irqrestore(&importer->log_lock, flags);
}

static void importer_unmap_locked(struct importer *importer)
{
	if (!importer->sgt)
		return;
	dma_buf_unmap_attachment(importer->attach, importer->sgt, DMA_BIDIRECTIONAL);
	importer->sgt = NULL;
	importer->stale = false;
	importer_log(importer, FOREIGN_EVENT_UNMAP);
}

/* Not before its own fence has signalled: until then it uses the mapping. */
static void importer_unmap_work(struct work_struct *work)
{
	struct importer *importer = container_of(work, struct importer, unmap_work);

	dma_resv_lock(importer->dma_buf->resv, NULL);
	if (importer->stale && (!importer->fence || dma_fence_is_signaled(importer->fence)))
		importer_unmap_locked(importer);
	dma_resv_unlock(importer->dma_buf->resv);
}

static void importer_notify(struct dma_buf_attachment *attach)
{
	struct importer *importer = attach->importer_priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	if (!dma_resv_is_locked(attach->dmabuf->resv))
		importer->log.unlocked++;
	importer_log(importer, FOREIGN_EVENT_NOTIFY);
	if (!importer->sgt)
		return;
	importer->stale = true;
	schedule_work(&importer->unmap_work);
}

static const struct dma_buf_attach_ops importer_ops = {
	.invalidate_mappings = importer_notify,
};

static const struct dma_buf_attach_ops importer_p2p_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = importer_notify,
};

static int importer_attach(struct importer *importer, struct foreign_attach __user *user)
{
	const struct dma_buf_attach_ops *ops;
	struct dma_buf_attachment *attach;
	struct foreign_attach args;
	struct dma_buf *dma_buf;

	if (importer->attach)
		return -EBUSY;
	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	dma_buf = dma_buf_get(args.fd);
	if (IS_ERR(dma_buf))
		return PTR_ERR(dma_buf);
	importer->dma_buf = dma_buf;
	ops = args.flags & FOREIGN_ATTACH_P2P ? &importer_p2p_ops : &importer_ops;
	attach = dma_buf_dynamic_attach(dma_buf, &importer_device->dev, ops, importer);
	if (IS_ERR(attach)) {
		dma_buf_put(dma_buf);
		return PTR_ERR(attach);
	}
	importer->attach = attach;
	return 0;
}

static int importer_map(struct importer *importer)
{
	struct dma_resv *resv = importer->dma_buf->resv;
	struct sg_table *sgt;
	long ret;

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	if (importer->sgt) {
		dma_resv_unlock(resv);
		return -EBUSY;
	}
	sgt = dma_buf_map_attachment(importer->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt)) {
		ret = PTR_ERR(sgt);
	} else {
		importer->sgt = sgt;
		importer_log(importer, FOREIGN_EVENT_MAP);
		ret = dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, true,
					    MAX_SCHEDULE_TIMEOUT);
	}
	dma_resv_unlock(resv);
	return ret < 0 ? ret : 0;
}

static int importer_unmap(struct importer *importer)
{
	dma_resv_lock(importer->dma_buf->resv, NULL);
	importer_unmap_locked(importer);
	dma_resv_unlock(importer->dma_buf->resv);
	return 0;
}

static void importer_fence_enabled(void *data)
{
	importer_log(data, FOREIGN_EVENT_ENABLE);
}

static int importer_use(struct importer *importer, u32 __user *user)
{
	struct dma_resv *resv = importer->dma_buf->resv;
	struct dma_fence *fence;
	u32 usage;
	int ret;

	if (get_user(usage, user))
		return -EFAULT;
	if (importer->fence)
		return -EBUSY;
	fence = foreign_fence_new(importer_fence_enabled, importer);
	if (!fence)
		return -ENOMEM;
	ret = dma_resv_lock_interruptible(resv, NULL);
	if (!ret) {
		ret = dma_resv_reserve_fences(resv, 1);
		if (!ret) {
			dma_resv_add_fence(resv, fence, usage == FOREIGN_USAGE_READ ?
					   DMA_RESV_USAGE_READ : DMA_RESV_USAGE_BOOKKEEP);
			importer->fence = fence;
			importer_log(importer, FOREIGN_EVENT_FENCE);
		}
		dma_resv_unlock(resv);
	}
	if (ret) {
		dma_fence_signal(fence);
		dma_fence_put(fence);
	}
	return ret;
}

/* Whoever waits holds the reservation lock, so that isn't taken here. */
static int importer_signal(struct importer *importer)
{
	struct dma_fence *fence = importer->fence;

	if (!fence)
		return -EINVAL;
	importer_log(importer, FOREIGN_EVENT_SIGNAL);
	dma_fence_signal(fence);
	schedule_work(&importer->unmap_work);
	return 0;
}

/*
 * Nor here: the test looks while somebody waits. The mapping stays until the
 * fence has signalled.
 */
static int importer_checksum(struct importer *importer, u64 __user *user)
{
	struct device *dev = &importer_device->dev;
	struct scatterlist *sg;
	u64 sum = 0;
	int i;

	if (!importer->sgt)
		return -EINVAL;
	for_each_sgtable_dma_sg(importer->sgt, sg, i) {
		phys_addr_t phys = dma_to_phys(dev, sg_dma_address(sg));
		const u32 *words = phys_to_virt(phys);
		unsigned int k;

		if (!pfn_valid(PHYS_PFN(phys)))
			return -EIO;
		for (k = 0; k < sg_dma_len(sg) / sizeof(*words); k++)
			sum += READ_ONCE(words[k]);
	}
	return copy_to_user(user, &sum, sizeof(sum)) ? -EFAULT : 0;
}

static int importer_read_log(struct importer *importer, struct foreign_log __user *user)
{
	struct foreign_log log;

	spin_lock_irq(&importer->log_lock);
	log = importer->log;
	spin_unlock_irq(&importer->log_lock);
	return copy_to_user(user, &log, sizeof(log)) ? -EFAULT : 0;
}

static void importer_detach(struct importer *importer)
{
	if (!importer->attach)
		return;
	if (importer->fence) {
		dma_fence_signal(importer->fence);
		/* The work looks at the fence. */
		cancel_work_sync(&importer->unmap_work);
		dma_fence_put(importer->fence);
		importer->fence = NULL;
	}
	importer_unmap(importer);
	/* Nothing is mapped any more, so a late notification queues no work. */
	cancel_work_sync(&importer->unmap_work);
	dma_buf_detach(importer->dma_buf, importer->attach);
	dma_buf_put(importer->dma_buf);
	importer->attach = NULL;
}

static int importer_request(struct importer *importer, unsigned int request, void __user *user)
{
	if (request == FOREIGN_ATTACH)
		return importer_attach(importer, user);
	if (request == FOREIGN_LOG)
		return importer_read_log(importer, user);
	if (!importer->attach)
		return -EINVAL;

	switch (request) {
	case FOREIGN_MAP:
		return importer_map(importer);
	case FOREIGN_UNMAP:
		return importer_unmap(importer);
	case FOREIGN_DETACH:
		importer_detach(importer);
		return 0;
	case FOREIGN_USE:
		return importer_use(importer, user);
	case FOREIGN_SIGNAL:
		return importer_signal(importer);
	case FOREIGN_CHECKSUM:
		return importer_checksum(importer, user);
	default:
		return -ENOTTY;
	}
}

static long importer_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct importer *importer = file->private_data;
	long ret;

	ret = mutex_lock_interruptible(&importer->lock);
	if (ret)
		return ret;
	ret = importer_request(importer, request, (void __user *)argument);
	mutex_unlock(&importer->lock);
	return ret;
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *importer = kzalloc(sizeof(*importer), GFP_KERNEL);

	if (!importer)
		return -ENOMEM;
	mutex_init(&importer->lock);
	spin_lock_init(&importer->log_lock);
	INIT_WORK(&importer->unmap_work, importer_unmap_work);
	file->private_data = importer;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct importer *importer = file->private_data;

	importer_detach(importer);
	mutex_destroy(&importer->lock);
	kfree(importer);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
};

static struct miscdevice importer_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "drover-foreign-importer",
	.fops = &importer_fops,
	.mode = 0666,
};

static int __init importer_init(void)
{
	int ret;

	importer_device = platform_device_register_simple("drover-foreign-importer",
							  PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(importer_device))
		return PTR_ERR(importer_device);
	ret = dma_coerce_mask_and_coherent(&importer_device->dev, DMA_BIT_MASK(64));
	if (!ret)
		ret = misc_register(&importer_misc);
	if (ret)
		platform_device_unregister(importer_device);
	return ret;
}

static void __exit importer_exit(void)
{
	misc_deregister(&importer_misc);
	platform_device_unregister(importer_device);
	rcu_barrier();
}

module_init(importer_init);
module_exit(importer_exit);

MODULE_DESCRIPTION("Dynamic dma-buf importer for drover's tests");
MODULE_LICENSE("Dual MIT/GPL");
