// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A dma-buf importer that can't cope with moves, as most drivers can't, for
 * tests: attach, map, unmap and detach on request, and a look at what the DMA
 * addresses lead to. A file holds one attachment.
 */

#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "drover_static_importer.h"

MODULE_INFO(import_ns, "DMA_BUF");

static struct platform_device *static_importer_device;

struct static_importer {
	/* Protects the rest. */
	struct mutex lock;
	struct dma_buf *dma_buf;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
};

static int static_importer_attach(struct static_importer *importer, int fd)
{
	struct dma_buf_attachment *attach;
	struct dma_buf *dma_buf;

	if (importer->attach)
		return -EBUSY;
	dma_buf = dma_buf_get(fd);
	if (IS_ERR(dma_buf))
		return PTR_ERR(dma_buf);
	attach = dma_buf_attach(dma_buf, &static_importer_device->dev);
	if (IS_ERR(attach)) {
		dma_buf_put(dma_buf);
		return PTR_ERR(attach);
	}
	importer->dma_buf = dma_buf;
	importer->attach = attach;
	return 0;
}

static int static_importer_map(struct static_importer *importer)
{
	struct sg_table *sgt;

	if (!importer->attach || importer->sgt)
		return -EINVAL;
	sgt = dma_buf_map_attachment_unlocked(importer->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	importer->sgt = sgt;
	return 0;
}

static int static_importer_unmap(struct static_importer *importer)
{
	if (!importer->sgt)
		return -EINVAL;
	dma_buf_unmap_attachment_unlocked(importer->attach, importer->sgt, DMA_BIDIRECTIONAL);
	importer->sgt = NULL;
	return 0;
}

static int static_importer_detach(struct static_importer *importer)
{
	if (!importer->attach || importer->sgt)
		return -EINVAL;
	dma_buf_detach(importer->dma_buf, importer->attach);
	dma_buf_put(importer->dma_buf);
	importer->attach = NULL;
	importer->dma_buf = NULL;
	return 0;
}

static int static_importer_checksum(struct static_importer *importer, u64 __user *user)
{
	struct device *dev = &static_importer_device->dev;
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
			sum += words[k];
	}
	return copy_to_user(user, &sum, sizeof(sum)) ? -EFAULT : 0;
}

static long static_importer_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct static_importer *importer = file->private_data;
	s32 fd = -1;
	int ret;

	if (request == STATIC_IMPORTER_ATTACH && get_user(fd, (s32 __user *)argument))
		return -EFAULT;

	mutex_lock(&importer->lock);
	switch (request) {
	case STATIC_IMPORTER_ATTACH:
		ret = static_importer_attach(importer, fd);
		break;
	case STATIC_IMPORTER_MAP:
		ret = static_importer_map(importer);
		break;
	case STATIC_IMPORTER_UNMAP:
		ret = static_importer_unmap(importer);
		break;
	case STATIC_IMPORTER_DETACH:
		ret = static_importer_detach(importer);
		break;
	case STATIC_IMPORTER_CHECKSUM:
		ret = static_importer_checksum(importer, (u64 __user *)argument);
		break;
	default:
		ret = -ENOTTY;
	}
	mutex_unlock(&importer->lock);
	return ret;
}

static int static_importer_open(struct inode *inode, struct file *file)
{
	struct static_importer *importer = kzalloc(sizeof(*importer), GFP_KERNEL);

	if (!importer)
		return -ENOMEM;
	mutex_init(&importer->lock);
	file->private_data = importer;
	return 0;
}

static int static_importer_release(struct inode *inode, struct file *file)
{
	struct static_importer *importer = file->private_data;

	static_importer_unmap(importer);
	static_importer_detach(importer);
	mutex_destroy(&importer->lock);
	kfree(importer);
	return 0;
}

static const struct file_operations static_importer_fops = {
	.owner = THIS_MODULE,
	.open = static_importer_open,
	.release = static_importer_release,
	.unlocked_ioctl = static_importer_ioctl,
};

static struct miscdevice static_importer_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "drover-static-importer",
	.fops = &static_importer_fops,
	.mode = 0666,
};

static int __init static_importer_init(void)
{
	int ret;

	static_importer_device = platform_device_register_simple("drover-static-importer",
								 PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(static_importer_device))
		return PTR_ERR(static_importer_device);
	ret = dma_coerce_mask_and_coherent(&static_importer_device->dev, DMA_BIT_MASK(64));
	if (!ret)
		ret = misc_register(&static_importer_misc);
	if (ret)
		platform_device_unregister(static_importer_device);
	return ret;
}

static void __exit static_importer_exit(void)
{
	misc_deregister(&static_importer_misc);
	platform_device_unregister(static_importer_device);
}

module_init(static_importer_init);
module_exit(static_importer_exit);

MODULE_DESCRIPTION("Static dma-buf importer for drover's tests");
MODULE_LICENSE("Dual MIT/GPL");
