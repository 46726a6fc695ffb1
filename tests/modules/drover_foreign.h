/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What tests ask the foreign dma-buf exporter and importer for. One buffer, or
 * one attachment, per open file.
 */
#ifndef DROVER_FOREIGN_H
#define DROVER_FOREIGN_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* ---- The exporter: a buffer of system pages that moves when it is told to ---- */

#define FOREIGN_EXPORTER_PATH	"/dev/drover-foreign-exporter"

/* On 6.12 the core pins what is mapped: pins of importers that can move bind, too. */
#define FOREIGN_BUFFER_PINS	0x1

struct foreign_buffer_create {
	__u64 size;
	__u32 flags;
	__s32 fd; /* out */
};

enum foreign_move {
	/* Invalidate, wait for all fences, copy. */
	FOREIGN_MOVE_NOTIFY_FIRST = 0,
	/* Wait for all fences, invalidate, copy. */
	FOREIGN_MOVE_WAIT_FIRST = 1,
	/* Invalidate, add a KERNEL fence; the rest when FINISH comes. */
	FOREIGN_MOVE_FENCE = 2,
};

struct foreign_fill {
	__u32 value;
	__u32 step;
};

struct foreign_buffer_state {
	__u32 pins;
	__u32 maps;		/* mappings of the present place */
	__u32 stale_maps;	/* mappings of earlier places */
	__u32 unlocked_calls;	/* map, unmap, pin or unpin without the reservation lock */
	__u32 late_writes;	/* words of earlier places written after the move */
	__u32 locked;		/* a HOLD has the lock now */
	/* Unsignalled fences by usage: KERNEL, WRITE, READ, BOOKKEEP. */
	__u32 fences[4];
	/* Signalled ones at BOOKKEEP that are somebody's still, and not the stub. */
	__u32 left;
	__u32 pad;
	/* Fence contexts of the first two at BOOKKEEP that aren't signalled. */
	__u64 contexts[2];
};

#define FOREIGN_CREATE	_IOWR('F', 0, struct foreign_buffer_create)
#define FOREIGN_FILL	_IOW('F', 1, struct foreign_fill)
/* -EBUSY while it is pinned. */
#define FOREIGN_MOVE	_IOW('F', 2, __u32)
#define FOREIGN_FINISH	_IO('F', 3)
/* Wait for all fences with the lock held, and do nothing then. */
#define FOREIGN_WAIT	_IO('F', 4)
#define FOREIGN_STATE	_IOR('F', 5, struct foreign_buffer_state)
/* Hold the reservation lock of any dma-buf, by descriptor, until LET_GO on the same file. */
#define FOREIGN_HOLD	_IOW('F', 6, __s32)
#define FOREIGN_LET_GO	_IO('F', 7)

/* ---- The importer: dynamic, with fences of its own ---- */

#define FOREIGN_IMPORTER_PATH	"/dev/drover-foreign-importer"

#define FOREIGN_ATTACH_P2P	0x1

struct foreign_attach {
	__s32 fd;
	__u32 flags;
};

enum foreign_usage { FOREIGN_USAGE_READ, FOREIGN_USAGE_BOOKKEEP };

enum foreign_event {
	FOREIGN_EVENT_MAP = 1,
	FOREIGN_EVENT_FENCE,	/* one was added */
	FOREIGN_EVENT_NOTIFY,
	FOREIGN_EVENT_ENABLE,	/* somebody waits for the fence */
	FOREIGN_EVENT_SIGNAL,
	FOREIGN_EVENT_UNMAP,
};

struct foreign_log {
	__u32 count;
	__u32 unlocked; /* notifications without the reservation lock */
	__u32 events[30];
};

#define FOREIGN_ATTACH	 _IOW('F', 16, struct foreign_attach)
#define FOREIGN_MAP	 _IO('F', 17)
#define FOREIGN_UNMAP	 _IO('F', 18)
#define FOREIGN_DETACH	 _IO('F', 19)
/* Use the mapping: add a fence, enum foreign_usage, that signals on SIGNAL. */
#define FOREIGN_USE	 _IOW('F', 20, __u32)
#define FOREIGN_SIGNAL	 _IO('F', 21)
/* Sum of all u32 that the mapping leads to, stale or not. */
#define FOREIGN_CHECKSUM _IOR('F', 22, __u64)
#define FOREIGN_LOG	 _IOR('F', 23, struct foreign_log)

#endif
