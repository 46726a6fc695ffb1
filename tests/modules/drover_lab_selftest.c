// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Does one thing wrong on purpose when it is loaded, so that the lab can show
 * that it notices (suite `lab`).
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *what = "nothing";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "nothing, warn, overflow, inversion, atomic, leak, hang, oops");

static DEFINE_MUTEX(lock_a);
static DEFINE_MUTEX(lock_b);
static DEFINE_SPINLOCK(spin);

static void do_overflow(void)
{
	size_t size = 40;
	char *buffer;

	/* Hidden from the compiler, which would refuse it. */
	OPTIMIZER_HIDE_VAR(size);
	buffer = kmalloc(size, GFP_KERNEL);
	if (!buffer)
		return;
	WRITE_ONCE(buffer[size + 1], 1);
	kfree(buffer);
}

static void do_inversion(void)
{
	mutex_lock(&lock_a);
	mutex_lock(&lock_b);
	mutex_unlock(&lock_b);
	mutex_unlock(&lock_a);

	mutex_lock(&lock_b);
	mutex_lock(&lock_a);
	mutex_unlock(&lock_a);
	mutex_unlock(&lock_b);
}

static void do_atomic(void)
{
	spin_lock(&spin);
	mutex_lock(&lock_a);
	mutex_unlock(&lock_a);
	spin_unlock(&spin);
}

static void do_leak(void)
{
	void *lost;
	int i;

	/* Many: the slab allocator keeps stale copies of some pointers. */
	for (i = 0; i < 256; i++) {
		lost = kmalloc(1024, GFP_KERNEL);
		barrier_data(lost);
	}
}

static void do_oops(void)
{
	int *nowhere = NULL;

	OPTIMIZER_HIDE_VAR(nowhere);
	WRITE_ONCE(*nowhere, 1);
}

static int __init selftest_init(void)
{
	if (!strcmp(what, "warn"))
		WARN(1, "drover_lab_selftest: on purpose\n");
	else if (!strcmp(what, "overflow"))
		do_overflow();
	else if (!strcmp(what, "inversion"))
		do_inversion();
	else if (!strcmp(what, "atomic"))
		do_atomic();
	else if (!strcmp(what, "leak"))
		do_leak();
	else if (!strcmp(what, "hang"))
		msleep(3600 * 1000);
	else if (!strcmp(what, "oops"))
		do_oops();
	else if (strcmp(what, "nothing"))
		return -EINVAL;
	return 0;
}
module_init(selftest_init);

static void __exit selftest_exit(void)
{
}
module_exit(selftest_exit);

MODULE_DESCRIPTION("Does something wrong on purpose");
MODULE_LICENSE("Dual MIT/GPL");
