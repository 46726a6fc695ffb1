// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A dma-buf exporter whose buffers move, for tests: pages of system memory, in a
 * new place when a test says so, in each of the orders that the dma-buf contract
 * allows. Earlier places are filled with poison and kept, so that late accesses
 * are seen on both ends. Nothing here is the driver's.
 */

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "drover_foreign.h"
#include "drover_foreign_fence.h"

#ifndef HAS_INVALIDATE_MAPPINGS
#define dma_buf_invalidate_mappings dma_buf_move_notify
#endif

MODULE_INFO(import_ns, "DMA_BUF");

#define OLD_PLACE	0xdbdbdbdb
#define NOT_YET_COPIED	0xbbbbbbbb
#define MAX_SIZE	SZ_1M
#define MAX_WAIT	(20 * HZ)

/* Where a buffer is, or was. */
struct place {
	struct list_head link;
	struct page **pages;
	unsigned int count;
	unsigned int maps;
};

struct mapping {
	struct sg_table sgt; /* first */
	struct place *place;
};

/* Protected by the dma-buf's reservation lock, but for what a FINISH works on. */
struct buffer {
	struct dma_buf *dma_buf;
	u32 flags;
	struct place *place;
	struct list_head old;
	u32 pins;
	u32 unlocked_calls;
	/* Of a move that waits for FINISH. */
	struct dma_fence *kernel_fence;
	struct dma_fence *users;
	struct place *from;
};

struct exporter {
	/* Protects the buffer's pointer, and serialises moves. */
	struct mutex lock;
	struct buffer *buffer;
	wait_queue_head_t wait;
	bool held;
	bool let_go;
};

static void place_fill(struct place *place, u32 value, u32 step)
{
	unsigned int i, k;
	u32 *words;

	for (i = 0; i < place->count; i++) {
		words = page_address(place->pages[i]);
		for (k = 0; k < PAGE_SIZE / sizeof(*words); k++, value += step)
			WRITE_ONCE(words[k], value);
	}
}

static u32 place_late_writes(struct place *place)
{
	unsigned int i, k;
	u32 *words, late = 0;

	for (i = 0; i < place->count; i++) {
		words = page_address(place->pages[i]);
		for (k = 0; k < PAGE_SIZE / sizeof(*words); k++)
			late += READ_ONCE(words[k]) != OLD_PLACE;
	}
	return late;
}

static void place_free(struct place *place)
{
	unsigned int i;

	for (i = 0; i < place->count && place->pages[i]; i++)
		__free_page(place->pages[i]);
	kfree(place->pages);
	kfree(place);
}

static struct place *place_new(unsigned int count)
{
	struct place *place = kzalloc(sizeof(*place), GFP_KERNEL);
	unsigned int i;

	if (!place)
		return NULL;
	place->count = count;
	place->pages = kcalloc(count, sizeof(*place->pages), GFP_KERNEL);
	if (!place->pages) {
		kfree(place);
		return NULL;
	}
	for (i = 0; i < count; i++) {
		place->pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!place->pages[i]) {
			place_free(place);
			return NULL;
		}
	}
	return place;
}

static void place_copy(struct place *to, struct place *from)
{
	unsigned int i;

	for (i = 0; i < to->count; i++)
		memcpy(page_address(to->pages[i]), page_address(from->pages[i]), PAGE_SIZE);
}

/* The dma-buf's side. */

static void check_locked(struct dma_buf *dma_buf)
{
	struct buffer *buffer = dma_buf->priv;

	dma_resv_assert_held(dma_buf->resv);
	if (!dma_resv_is_locked(dma_buf->resv))
		buffer->unlocked_calls++;
}

static bool pin_binds(struct dma_buf_attachment *attach)
{
	struct buffer *buffer = attach->dmabuf->priv;

	return !attach->importer_ops || buffer->flags & FOREIGN_BUFFER_PINS;
}

static int buffer_pin(struct dma_buf_attachment *attach)
{
	struct buffer *buffer = attach->dmabuf->priv;

	check_locked(attach->dmabuf);
	buffer->pins += pin_binds(attach);
	return 0;
}

static void buffer_unpin(struct dma_buf_attachment *attach)
{
	struct buffer *buffer = attach->dmabuf->priv;

	check_locked(attach->dmabuf);
	buffer->pins -= pin_binds(attach);
}

static struct sg_table *buffer_map(struct dma_buf_attachment *attach,
				   enum dma_data_direction direction)
{
	struct buffer *buffer = attach->dmabuf->priv;
	struct place *place = buffer->place;
	struct mapping *mapping;
	int ret;

	check_locked(attach->dmabuf);
	mapping = kzalloc_obj(*mapping);
	if (!mapping)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table_from_pages(&mapping->sgt, place->pages, place->count, 0,
					place->count * PAGE_SIZE, GFP_KERNEL);
	if (ret)
		goto err_free;
	ret = dma_map_sgtable(attach->dev, &mapping->sgt, direction, 0);
	if (ret)
		goto err_table;
	mapping->place = place;
	place->maps++;
	return &mapping->sgt;

err_table:
	sg_free_table(&mapping->sgt);
err_free:
	kfree(mapping);
	return ERR_PTR(ret);
}

static void buffer_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			 enum dma_data_direction direction)
{
	struct mapping *mapping = container_of(sgt, struct mapping, sgt);

	check_locked(attach->dmabuf);
	dma_unmap_sgtable(attach->dev, sgt, direction, 0);
	mapping->place->maps--;
	sg_free_table(sgt);
	kfree(mapping);
}

static void buffer_finish(struct buffer *buffer);

static void buffer_release(struct dma_buf *dma_buf)
{
	struct buffer *buffer = dma_buf->priv;
	struct place *place, *next;

	buffer_finish(buffer);
	list_for_each_entry_safe(place, next, &buffer->old, link)
		place_free(place);
	place_free(buffer->place);
	kfree(buffer);
}

static const struct dma_buf_ops buffer_ops = {
	.pin = buffer_pin,
	.unpin = buffer_unpin,
	.map_dma_buf = buffer_map,
	.unmap_dma_buf = buffer_unmap,
	.release = buffer_release,
};

/* Moves. */

static int wait_all(struct buffer *buffer)
{
	long ret = dma_resv_wait_timeout(buffer->dma_buf->resv, DMA_RESV_USAGE_BOOKKEEP, true,
					 MAX_WAIT);

	return ret < 0 ? ret : ret ? 0 : -ETIME;
}

/* Importers that map from here on get the new place. */
static struct place *buffer_switch(struct buffer *buffer, struct place *to)
{
	struct place *from = buffer->place;

	list_add(&from->link, &buffer->old);
	buffer->place = to;
	return from;
}

static void copy_and_poison(struct place *to, struct place *from)
{
	place_copy(to, from);
	place_fill(from, OLD_PLACE, 0);
}

static int move_with_fence(struct buffer *buffer, struct place *to)
{
	struct dma_resv *resv = buffer->dma_buf->resv;
	struct dma_fence *fence;
	int ret;

	ret = dma_resv_reserve_fences(resv, 1);
	if (ret)
		return ret;
	fence = foreign_fence_new(NULL, NULL);
	if (!fence)
		return -ENOMEM;
	dma_buf_invalidate_mappings(buffer->dma_buf);
	ret = dma_resv_get_singleton(resv, DMA_RESV_USAGE_BOOKKEEP, &buffer->users);
	if (ret) {
		dma_fence_signal(fence);
		dma_fence_put(fence);
		return ret;
	}
	dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_KERNEL);
	place_fill(to, NOT_YET_COPIED, 0);
	buffer->kernel_fence = fence;
	buffer->from = buffer_switch(buffer, to);
	return 0;
}

static void buffer_finish(struct buffer *buffer)
{
	if (!buffer->kernel_fence)
		return;
	if (buffer->users)
		dma_fence_wait(buffer->users, false);
	dma_fence_put(buffer->users);
	copy_and_poison(buffer->place, buffer->from);
	dma_fence_signal(buffer->kernel_fence);
	dma_fence_put(buffer->kernel_fence);
	buffer->kernel_fence = NULL;
}

static int move_locked(struct buffer *buffer, struct place *to, u32 order)
{
	int ret = 0;

	if (buffer->pins || buffer->kernel_fence)
		return -EBUSY;
	if (order == FOREIGN_MOVE_FENCE)
		return move_with_fence(buffer, to);

	if (order == FOREIGN_MOVE_WAIT_FIRST)
		ret = wait_all(buffer);
	if (!ret)
		dma_buf_invalidate_mappings(buffer->dma_buf);
	if (!ret && order == FOREIGN_MOVE_NOTIFY_FIRST)
		ret = wait_all(buffer);
	if (!ret)
		copy_and_poison(to, buffer_switch(buffer, to));
	return ret;
}

static int buffer_move(struct buffer *buffer, u32 order)
{
	struct place *to;
	int ret;

	if (order > FOREIGN_MOVE_FENCE)
		return -EINVAL;
	to = place_new(buffer->place->count);
	if (!to)
		return -ENOMEM;
	ret = dma_resv_lock_interruptible(buffer->dma_buf->resv, NULL);
	if (!ret) {
		ret = move_locked(buffer, to, order);
		dma_resv_unlock(buffer->dma_buf->resv);
	}
	if (ret)
		place_free(to);
	return ret;
}

static int buffer_wait(struct buffer *buffer)
{
	int ret = dma_resv_lock_interruptible(buffer->dma_buf->resv, NULL);

	if (ret)
		return ret;
	ret = wait_all(buffer);
	dma_resv_unlock(buffer->dma_buf->resv);
	return ret;
}

static int buffer_fill(struct buffer *buffer, struct foreign_fill __user *user)
{
	struct foreign_fill fill;

	if (copy_from_user(&fill, user, sizeof(fill)))
		return -EFAULT;
	place_fill(buffer->place, fill.value, fill.step);
	return 0;
}

static void count_fences(struct dma_resv *resv, struct foreign_buffer_state *state)
{
	struct dma_fence *stub = dma_fence_get_stub(), *fence;
	struct dma_resv_iter cursor;
	enum dma_resv_usage usage;

	dma_resv_for_each_fence(&cursor, resv, DMA_RESV_USAGE_BOOKKEEP, fence) {
		usage = dma_resv_iter_usage(&cursor);
		if (dma_fence_is_signaled(fence)) {
			if (usage == DMA_RESV_USAGE_BOOKKEEP && fence->context != stub->context)
				state->left++;
			continue;
		}
		if (usage == DMA_RESV_USAGE_BOOKKEEP && state->fences[usage] < 2)
			state->contexts[state->fences[usage]] = fence->context;
		state->fences[usage]++;
	}
	dma_fence_put(stub);
}

static int buffer_state(struct exporter *exporter, struct buffer *buffer,
			struct foreign_buffer_state __user *user)
{
	struct foreign_buffer_state state = { .locked = READ_ONCE(exporter->held) };
	struct place *place;
	int ret;

	if (buffer) {
		ret = dma_resv_lock_interruptible(buffer->dma_buf->resv, NULL);
		if (ret)
			return ret;
		state.pins = buffer->pins;
		state.unlocked_calls = buffer->unlocked_calls;
		state.maps = buffer->place->maps;
		list_for_each_entry(place, &buffer->old, link) {
			state.stale_maps += place->maps;
			if (!buffer->kernel_fence || place != buffer->from)
				state.late_writes += place_late_writes(place);
		}
		count_fences(buffer->dma_buf->resv, &state);
		dma_resv_unlock(buffer->dma_buf->resv);
	}
	return copy_to_user(user, &state, sizeof(state)) ? -EFAULT : 0;
}

static struct buffer *buffer_new(u64 size, u32 flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct buffer *buffer;
	struct dma_buf *dma_buf;

	if (!size || size > MAX_SIZE || !PAGE_ALIGNED(size) || flags & ~FOREIGN_BUFFER_PINS)
		return ERR_PTR(-EINVAL);
	buffer = kzalloc_obj(*buffer);
	if (!buffer)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&buffer->old);
	buffer->flags = flags;
	buffer->place = place_new(size >> PAGE_SHIFT);
	if (!buffer->place) {
		kfree(buffer);
		return ERR_PTR(-ENOMEM);
	}
	info.ops = &buffer_ops;
	info.size = size;
	info.flags = O_RDWR | O_CLOEXEC;
	info.priv = buffer;
	dma_buf = dma_buf_export(&info);
	if (IS_ERR(dma_buf)) {
		place_free(buffer->place);
		kfree(buffer);
		return ERR_CAST(dma_buf);
	}
	buffer->dma_buf = dma_buf;
	return buffer;
}

static int exporter_create(struct exporter *exporter, struct foreign_buffer_create __user *user)
{
	struct foreign_buffer_create args;
	struct buffer *buffer;

	if (exporter->buffer)
		return -EBUSY;
	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	buffer = buffer_new(args.size, args.flags);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	/* One reference is the descriptor's, one is this file's. */
	get_dma_buf(buffer->dma_buf);
	args.fd = dma_buf_fd(buffer->dma_buf, O_CLOEXEC);
	if (args.fd < 0) {
		dma_buf_put(buffer->dma_buf);
		dma_buf_put(buffer->dma_buf);
		return args.fd;
	}
	exporter->buffer = buffer;
	return copy_to_user(user, &args, sizeof(args)) ? -EFAULT : 0;
}

static int exporter_hold(struct exporter *exporter, s32 __user *user)
{
	struct dma_buf *dma_buf;
	s32 fd;
	int ret;

	if (get_user(fd, user))
		return -EFAULT;
	dma_buf = dma_buf_get(fd);
	if (IS_ERR(dma_buf))
		return PTR_ERR(dma_buf);
	ret = dma_resv_lock_interruptible(dma_buf->resv, NULL);
	if (!ret) {
		WRITE_ONCE(exporter->held, true);
		ret = wait_event_killable_timeout(exporter->wait, READ_ONCE(exporter->let_go),
						  MAX_WAIT);
		ret = ret < 0 ? ret : ret ? 0 : -ETIME;
		WRITE_ONCE(exporter->held, false);
		WRITE_ONCE(exporter->let_go, false);
		dma_resv_unlock(dma_buf->resv);
	}
	dma_buf_put(dma_buf);
	return ret;
}

static int exporter_let_go(struct exporter *exporter)
{
	WRITE_ONCE(exporter->let_go, true);
	wake_up_all(&exporter->wait);
	return 0;
}

static int exporter_move(struct buffer *buffer, u32 __user *user)
{
	u32 order;

	return get_user(order, user) ? -EFAULT : buffer_move(buffer, order);
}

static int buffer_request(struct exporter *exporter, unsigned int request, void __user *user)
{
	struct buffer *buffer = exporter->buffer;

	if (request == FOREIGN_STATE)
		return buffer_state(exporter, buffer, user);
	if (request == FOREIGN_CREATE)
		return exporter_create(exporter, user);
	if (!buffer)
		return -EINVAL;

	switch (request) {
	case FOREIGN_FILL:
		return buffer_fill(buffer, user);
	case FOREIGN_MOVE:
		return exporter_move(buffer, user);
	case FOREIGN_FINISH:
		buffer_finish(buffer);
		return 0;
	case FOREIGN_WAIT:
		return buffer_wait(buffer);
	default:
		return -ENOTTY;
	}
}

static long exporter_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct exporter *exporter = file->private_data;
	void __user *user = (void __user *)argument;
	long ret;

	/* These two are for different threads at a time. */
	if (request == FOREIGN_HOLD)
		return exporter_hold(exporter, user);
	if (request == FOREIGN_LET_GO)
		return exporter_let_go(exporter);

	ret = mutex_lock_interruptible(&exporter->lock);
	if (ret)
		return ret;
	ret = buffer_request(exporter, request, user);
	mutex_unlock(&exporter->lock);
	return ret;
}

static int exporter_open(struct inode *inode, struct file *file)
{
	struct exporter *exporter = kzalloc(sizeof(*exporter), GFP_KERNEL);

	if (!exporter)
		return -ENOMEM;
	mutex_init(&exporter->lock);
	init_waitqueue_head(&exporter->wait);
	file->private_data = exporter;
	return 0;
}

static int exporter_release(struct inode *inode, struct file *file)
{
	struct exporter *exporter = file->private_data;

	if (exporter->buffer) {
		buffer_finish(exporter->buffer);
		dma_buf_put(exporter->buffer->dma_buf);
	}
	mutex_destroy(&exporter->lock);
	kfree(exporter);
	return 0;
}

static const struct file_operations exporter_fops = {
	.owner = THIS_MODULE,
	.open = exporter_open,
	.release = exporter_release,
	.unlocked_ioctl = exporter_ioctl,
};

static struct miscdevice exporter_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "drover-foreign-exporter",
	.fops = &exporter_fops,
	.mode = 0666,
};

static int __init exporter_init(void)
{
	return misc_register(&exporter_misc);
}

static void __exit exporter_exit(void)
{
	misc_deregister(&exporter_misc);
	rcu_barrier();
}

module_init(exporter_init);
module_exit(exporter_exit);

MODULE_DESCRIPTION("Moving dma-buf exporter for drover's tests");
MODULE_LICENSE("Dual MIT/GPL");
