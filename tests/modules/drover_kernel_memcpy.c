// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * How fast this kernel copies memory, for benchmarks to compare with: each
 * reading of the parameter `ns` copies there and back by copy_page(), the
 * architecture's memcpy() of pages, and says how many nanoseconds that took. The
 * memory is allocated beforehand, in pieces of 256 KiB, and has been used.
 */

#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#define PIECE		SZ_256K
#define PIECE_ORDER	(ilog2(PIECE) - PAGE_SHIFT)

static unsigned int mib = 64;
module_param(mib, uint, 0444);
MODULE_PARM_DESC(mib, "how much is copied there and back");

struct memory {
	void **pieces;
	unsigned int count;
};

static struct memory here, there;
static DEFINE_MUTEX(copying);

static void memory_free(struct memory *memory)
{
	while (memory->count)
		free_pages((unsigned long)memory->pieces[--memory->count], PIECE_ORDER);
	kvfree(memory->pieces);
}

static int memory_alloc(struct memory *memory)
{
	unsigned int count = (u64)mib * SZ_1M / PIECE;
	void *piece;

	memory->pieces = kvcalloc(count, sizeof(*memory->pieces), GFP_KERNEL);
	if (!memory->pieces)
		return -ENOMEM;

	while (memory->count < count) {
		piece = (void *)__get_free_pages(GFP_KERNEL, PIECE_ORDER);
		if (!piece) {
			memory_free(memory);
			return -ENOMEM;
		}
		memset(piece, 0x5a, PIECE);
		memory->pieces[memory->count++] = piece;
	}
	return 0;
}

static void copy(const struct memory *to, const struct memory *from)
{
	unsigned int i, done;

	for (i = 0; i < to->count; i++) {
		for (done = 0; done < PIECE; done += PAGE_SIZE)
			copy_page(to->pieces[i] + done, from->pieces[i] + done);
		cond_resched();
	}
}

static int get_ns(char *buffer, const struct kernel_param *param)
{
	ktime_t start;
	s64 ns;

	if (mutex_lock_interruptible(&copying))
		return -ERESTARTSYS;
	start = ktime_get();
	copy(&there, &here);
	copy(&here, &there);
	ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	mutex_unlock(&copying);
	return sysfs_emit(buffer, "%lld\n", ns);
}

static const struct kernel_param_ops ns_ops = { .get = get_ns };
module_param_cb(ns, &ns_ops, NULL, 0400);
MODULE_PARM_DESC(ns, "reading copies, and says how long it took");

static int __init kernel_memcpy_init(void)
{
	int ret;

	ret = memory_alloc(&here);
	if (ret)
		return ret;
	ret = memory_alloc(&there);
	if (ret)
		memory_free(&here);
	return ret;
}

static void __exit kernel_memcpy_exit(void)
{
	memory_free(&there);
	memory_free(&here);
}

module_init(kernel_memcpy_init);
module_exit(kernel_memcpy_exit);

MODULE_DESCRIPTION("drover: how fast the kernel copies, for benchmarks");
MODULE_LICENSE("Dual MIT/GPL");
