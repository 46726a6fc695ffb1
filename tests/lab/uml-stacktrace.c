// SPDX-License-Identifier: GPL-2.0
/*
 * How the lab's kernels take a stack trace: along the frame pointers.
 *
 * Takes the place of User Mode Linux's own file of that name, which looks at
 * every word of the stack. With lockdep and KASAN, which keep a trace of almost
 * everything, that costs a second per fork, and each word that looks like a
 * text address ends up in a report.
 */

#include <linux/align.h>
#include <linux/compiler.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/stacktrace.h>

#include <asm/stacktrace.h>

static bool frame_is_on_stack(unsigned long frame, unsigned long low, unsigned long high)
{
	return frame >= low && frame + sizeof(struct stack_frame) <= high &&
	       IS_ALIGNED(frame, sizeof(unsigned long));
}

void dump_trace(struct task_struct *task, const struct stacktrace_ops *ops, void *data)
{
	struct pt_regs *regs = task->thread.segv_regs;
	unsigned long low = (unsigned long)get_stack_pointer(task, regs);
	unsigned long high = ALIGN(low + 1, THREAD_SIZE);
	unsigned long frame = get_frame_pointer(task, regs);

	while (frame_is_on_stack(frame, low, high)) {
		struct stack_frame *here = (struct stack_frame *)frame;
		unsigned long caller = READ_ONCE_NOCHECK(here->return_address);

		if (!__kernel_text_address(caller))
			return;
		ops->address(data, caller, 1);
		low = frame + sizeof(*here);
		frame = (unsigned long)READ_ONCE_NOCHECK(here->next_frame);
	}
}

static void keep_address(void *data, unsigned long address, int reliable)
{
	struct stack_trace *trace = data;

	if (trace->skip)
		trace->skip--;
	else if (trace->nr_entries < trace->max_entries)
		trace->entries[trace->nr_entries++] = address;
}

static const struct stacktrace_ops keep_ops = {
	.address = keep_address,
};

void save_stack_trace_tsk(struct task_struct *task, struct stack_trace *trace)
{
	dump_trace(task, &keep_ops, trace);
}
EXPORT_SYMBOL_GPL(save_stack_trace_tsk);

void save_stack_trace(struct stack_trace *trace)
{
	save_stack_trace_tsk(current, trace);
}
EXPORT_SYMBOL_GPL(save_stack_trace);
