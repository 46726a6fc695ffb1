/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The tracepoints of drover.ko: what moved, and what it cost whom.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM drover

#if !defined(_DROVER_TRACE_H_) || defined(TRACE_HEADER_MULTI_READ)
#define _DROVER_TRACE_H_

#include <linux/tracepoint.h>

#include "drover_drv.h"

TRACE_EVENT(drover_evict,
	TP_PROTO(struct drm_gem_object *gem, u32 from, u32 to),
	TP_ARGS(gem, from, to),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(const void *, bo)
		__field(u64, size)
		__field(u32, from)
		__field(u32, to)
	),
	TP_fast_assign(
		__entry->device = to_drover(gem->dev)->index;
		__entry->bo = gem;
		__entry->size = gem->size;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("device=%u bo=%p size=%llu from=%#x to=%#x",
		  __entry->device, __entry->bo, __entry->size,
		  __entry->from, __entry->to)
);

TRACE_EVENT(drover_invalidate,
	TP_PROTO(struct drm_gem_object *gem, bool by_exporter),
	TP_ARGS(gem, by_exporter),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(const void *, bo)
		__field(u64, size)
		__field(bool, by_exporter)
	),
	TP_fast_assign(
		__entry->device = to_drover(gem->dev)->index;
		__entry->bo = gem;
		__entry->size = gem->size;
		__entry->by_exporter = by_exporter;
	),
	TP_printk("device=%u bo=%p size=%llu by_exporter=%d",
		  __entry->device, __entry->bo, __entry->size,
		  __entry->by_exporter)
);

TRACE_EVENT(drover_remap,
	TP_PROTO(struct drm_gem_object *gem, u32 vm),
	TP_ARGS(gem, vm),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(const void *, bo)
		__field(u64, size)
		__field(u32, vm)
	),
	TP_fast_assign(
		__entry->device = to_drover(gem->dev)->index;
		__entry->bo = gem;
		__entry->size = gem->size;
		__entry->vm = vm;
	),
	TP_printk("device=%u bo=%p size=%llu vm=%u",
		  __entry->device, __entry->bo, __entry->size, __entry->vm)
);

TRACE_EVENT(drover_fault,
	TP_PROTO(struct drm_gem_object *gem, u32 vm, u64 address),
	TP_ARGS(gem, vm, address),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(const void *, bo)
		__field(u32, vm)
		__field(u64, address)
	),
	TP_fast_assign(
		__entry->device = to_drover(gem->dev)->index;
		__entry->bo = gem;
		__entry->vm = vm;
		__entry->address = address;
	),
	TP_printk("device=%u bo=%p vm=%u address=%#llx",
		  __entry->device, __entry->bo, __entry->vm, __entry->address)
);

DECLARE_EVENT_CLASS(drover_gate,
	TP_PROTO(u32 device, u32 vm),
	TP_ARGS(device, vm),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(u32, vm)
	),
	TP_fast_assign(
		__entry->device = device;
		__entry->vm = vm;
	),
	TP_printk("device=%u vm=%u", __entry->device, __entry->vm)
);

DEFINE_EVENT(drover_gate, drover_suspend,
	TP_PROTO(u32 device, u32 vm), TP_ARGS(device, vm));

DEFINE_EVENT(drover_gate, drover_resume,
	TP_PROTO(u32 device, u32 vm), TP_ARGS(device, vm));

TRACE_EVENT(drover_pin,
	TP_PROTO(struct drm_gem_object *gem, bool pin),
	TP_ARGS(gem, pin),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(const void *, bo)
		__field(u64, size)
		__field(bool, pin)
	),
	TP_fast_assign(
		__entry->device = to_drover(gem->dev)->index;
		__entry->bo = gem;
		__entry->size = gem->size;
		__entry->pin = pin;
	),
	TP_printk("device=%u bo=%p size=%llu pin=%d",
		  __entry->device, __entry->bo, __entry->size, __entry->pin)
);

TRACE_EVENT(drover_submit,
	TP_PROTO(u32 device, u32 vm, u64 seqno, u32 commands, u32 buffers),
	TP_ARGS(device, vm, seqno, commands, buffers),
	TP_STRUCT__entry(
		__field(u32, device)
		__field(u32, vm)
		__field(u64, seqno)
		__field(u32, commands)
		__field(u32, buffers)
	),
	TP_fast_assign(
		__entry->device = device;
		__entry->vm = vm;
		__entry->seqno = seqno;
		__entry->commands = commands;
		__entry->buffers = buffers;
	),
	TP_printk("device=%u vm=%u seqno=%llu commands=%u buffers=%u",
		  __entry->device, __entry->vm, __entry->seqno,
		  __entry->commands, __entry->buffers)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE drover_trace
#include <trace/define_trace.h>
