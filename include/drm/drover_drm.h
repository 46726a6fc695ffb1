/* SPDX-License-Identifier: MIT OR (GPL-2.0-only WITH Linux-syscall-note) */
/*
 * The userspace API of drover.ko, the DRM driver for virtual GPUs.
 *
 * Every ioctl's structure may grow at its end: an older userspace passes a
 * shorter one and the kernel reads zeros for the rest. Elements of arrays don't
 * grow. Padding fields, and flag bits that are not defined here, must be zero
 * (-EINVAL otherwise); fields that are marked "out" are ignored on the way in.
 * All ioctls work on a render node and none needs privileges.
 *
 * Errors that every ioctl may return: -EINVAL (a field is out of range, see the
 * field), -EFAULT (a pointer can't be read or written), -ENOENT (no such handle
 * or VM in this file), -ENOMEM (no memory; nothing was changed), -ENODEV (the
 * device was unplugged), -ETIMEDOUT (what had to move stayed in use for 15 s),
 * -EINTR (a signal arrived; call again). Pages are 4096 bytes.
 */
#ifndef _DROVER_DRM_H_
#define _DROVER_DRM_H_

#if defined(__KERNEL__)
#include <drm/drm.h>
#else
#include "drm.h"
#endif

#if defined(__cplusplus)
extern "C" {
#endif

#define DRM_DROVER_DEVICE_INFO		0x00
#define DRM_DROVER_BO_CREATE		0x01
#define DRM_DROVER_BO_MMAP		0x02
#define DRM_DROVER_BO_INFO		0x03
#define DRM_DROVER_VM_CREATE		0x04
#define DRM_DROVER_VM_DESTROY		0x05
#define DRM_DROVER_VM_BIND		0x06
#define DRM_DROVER_VM_INFO		0x07
#define DRM_DROVER_SUBMIT		0x08
#define DRM_DROVER_EVICT		0x09
#define DRM_DROVER_VM_MMAP		0x0a

#define DRM_IOCTL_DROVER_DEVICE_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DROVER_DEVICE_INFO, struct drm_drover_device_info)
#define DRM_IOCTL_DROVER_BO_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DROVER_BO_CREATE, struct drm_drover_bo_create)
#define DRM_IOCTL_DROVER_BO_MMAP \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DROVER_BO_MMAP, struct drm_drover_bo_mmap)
#define DRM_IOCTL_DROVER_BO_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DROVER_BO_INFO, struct drm_drover_bo_info)
#define DRM_IOCTL_DROVER_VM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DROVER_VM_CREATE, struct drm_drover_vm_create)
#define DRM_IOCTL_DROVER_VM_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_DROVER_VM_DESTROY, struct drm_drover_vm_destroy)
#define DRM_IOCTL_DROVER_VM_BIND \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DROVER_VM_BIND, struct drm_drover_vm_bind)
#define DRM_IOCTL_DROVER_VM_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DROVER_VM_INFO, struct drm_drover_vm_info)
#define DRM_IOCTL_DROVER_SUBMIT \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DROVER_SUBMIT, struct drm_drover_submit)
#define DRM_IOCTL_DROVER_EVICT \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DROVER_EVICT, struct drm_drover_evict)
#define DRM_IOCTL_DROVER_VM_MMAP \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_DROVER_VM_MMAP, struct drm_drover_vm_mmap)

/**
 * enum drm_drover_placement - where a BO may be
 *
 * A bit mask where placements are allowed, a single bit where one is reported.
 */
enum drm_drover_placement {
	/** @DRM_DROVER_PLACEMENT_VRAM: the device's own memory */
	DRM_DROVER_PLACEMENT_VRAM = 1 << 0,
	/** @DRM_DROVER_PLACEMENT_GTT: system memory that the device can reach */
	DRM_DROVER_PLACEMENT_GTT = 1 << 1,
	/**
	 * @DRM_DROVER_PLACEMENT_EVICTED: system memory out of the device's
	 * reach, or not allocated yet; reported only
	 */
	DRM_DROVER_PLACEMENT_EVICTED = 1 << 2,
	/**
	 * @DRM_DROVER_PLACEMENT_FOREIGN: memory of another device's driver,
	 * mapped through its dma-buf; reported only. An import that isn't
	 * mapped at the moment reports EVICTED.
	 */
	DRM_DROVER_PLACEMENT_FOREIGN = 1 << 3,
};

/* DRM_DROVER_DEVICE_P2P: peers may map this device's VRAM in place (module parameter p2p) */
#define DRM_DROVER_DEVICE_P2P			(1ULL << 0)
/* DRM_DROVER_DEVICE_PIN_IMPORTS: comparison mode: imports are pinned (parameter pin_imports) */
#define DRM_DROVER_DEVICE_PIN_IMPORTS		(1ULL << 1)
/*
 * DRM_DROVER_DEVICE_FENCE_MODE_JOB: each submission locks and fences each shared BO
 */
#define DRM_DROVER_DEVICE_FENCE_MODE_JOB	(1ULL << 2)

/**
 * struct drm_drover_device_info - DRM_IOCTL_DROVER_DEVICE_INFO: what the device is and how full
 *
 * All fields are out. Sizes are in bytes. The sums are snapshots; another client may change them
 * before the call returns.
 */
struct drm_drover_device_info {
	/** @flags: out: DRM_DROVER_DEVICE_* */
	__u64 flags;
	/** @vram_size: VRAM of the device */
	__u64 vram_size;
	/** @vram_used: VRAM in use by all clients */
	__u64 vram_used;
	/** @gtt_size: limit of the system memory that the device may reach */
	__u64 gtt_size;
	/** @gtt_used: GTT in use by all clients */
	__u64 gtt_used;
	/** @pin_limit: how many bytes may be pinned at a time */
	__u64 pin_limit;
	/** @pinned: bytes pinned now, in whichever placement */
	__u64 pinned;
	/** @pinned_max: highest value of @pinned since the device was created */
	__u64 pinned_max;
	/** @va_start: lowest GPU address of a VM */
	__u64 va_start;
	/** @va_end: end (exclusive) of the GPU addresses of a VM */
	__u64 va_end;
	/** @evictions: BOs moved out to make room or by request, since the device was created */
	__u64 evictions;
	/** @bytes_moved: bytes copied between placements since the device was created */
	__u64 bytes_moved;
	/** @device_index: 0-based number of the device among drover's */
	__u32 device_index;
	/** @max_jobs: how many jobs of a VM may be in flight; SUBMIT waits for a place */
	__u32 max_jobs;
	/** @job_timeout_ms: a job on which the engine works longer than this loses its VM */
	__u32 job_timeout_ms;
	/** @max_commands: how many commands a submission may have */
	__u32 max_commands;
	/** @max_syncs: how many in-syncs, and how many out-syncs, a submission may have */
	__u32 max_syncs;
	/** @max_buffers: how many buffers a submission may list for implicit sync */
	__u32 max_buffers;
	/** @max_binds: how many operations a VM_BIND may have */
	__u32 max_binds;
	/** @max_vms: how many VMs a file may have; a device has 1024 at most for all */
	__u32 max_vms;
};

/**
 * struct drm_drover_bo_create - DRM_IOCTL_DROVER_BO_CREATE: create a buffer object
 *
 * The memory reads as zeros. It is allocated now; whether it is resident later
 * is the kernel's decision. It lives for as long as a handle, a mapping in a VM,
 * a CPU mapping or a dma-buf refers to it. Errors: -ENOSPC: larger than all of every allowed
 * placement; -ENOMEM: no room could be made now.
 */
struct drm_drover_bo_create {
	/** @size: bytes; a multiple of 4096 and not zero */
	__u64 size;
	/** @placements: mask of DRM_DROVER_PLACEMENT_VRAM and _GTT that are allowed; not zero */
	__u32 placements;
	/** @preferred: one bit of @placements, or zero: VRAM if allowed */
	__u32 preferred;
	/**
	 * @vm_id: not zero: private to that VM: can be bound in that VM alone
	 * and can't be exported. Zero: shared.
	 */
	__u32 vm_id;
	/** @flags: must be zero */
	__u32 flags;
	/** @handle: out: GEM handle; close with DRM_IOCTL_GEM_CLOSE */
	__u32 handle;
	/** @pad: must be zero */
	__u32 pad;
};

/**
 * struct drm_drover_bo_mmap - DRM_IOCTL_DROVER_BO_MMAP: get the offset to mmap() a BO at
 *
 * Faults follow the BO wherever it moves. An imported BO is mapped through its
 * dma-buf's file instead (-EOPNOTSUPP).
 */
struct drm_drover_bo_mmap {
	/** @handle: GEM handle */
	__u32 handle;
	/** @flags: must be zero */
	__u32 flags;
	/** @offset: out: offset for mmap() on the device's file, MAP_SHARED */
	__u64 offset;
};

/* DRM_DROVER_BO_PRIVATE: private to one VM */
#define DRM_DROVER_BO_PRIVATE		(1U << 0)
/* DRM_DROVER_BO_IMPORTED: memory of another device */
#define DRM_DROVER_BO_IMPORTED		(1U << 1)
/*
 * DRM_DROVER_BO_EXPORTED: a dma-buf of it exists; DRM keeps it for as long as
 * the BO has a handle, even if no fd is left
 */
#define DRM_DROVER_BO_EXPORTED		(1U << 2)
/*
 * DRM_DROVER_BO_STATIC: imported, and its mapping stays as it is for as long
 * as the import lives: the exporter can't move its buffers, or pin_imports=1
 */
#define DRM_DROVER_BO_STATIC		(1U << 3)

/** struct drm_drover_bo_info - DRM_IOCTL_DROVER_BO_INFO: what a BO is and where */
struct drm_drover_bo_info {
	/** @handle: in: GEM handle */
	__u32 handle;
	/** @flags: out: DRM_DROVER_BO_* */
	__u32 flags;
	/** @size: bytes */
	__u64 size;
	/** @placements: mask of allowed placements; zero if imported */
	__u32 placements;
	/** @preferred: the preferred one of @placements; zero if imported */
	__u32 preferred;
	/** @placement: where it is now, one DRM_DROVER_PLACEMENT_* */
	__u32 placement;
	/** @pins: how often it is pinned now */
	__u32 pins;
	/**
	 * @evictions: times it was taken out of the GPU's reach: moved out of its
	 * placement to make room or by request; imported: invalidated by its exporter
	 */
	__u64 evictions;
	/** @moves: times its contents were moved; zero if imported */
	__u64 moves;
	/** @remaps: times it was made reachable again after an eviction or move, over all VMs */
	__u64 remaps;
};

/*
 * DRM_DROVER_VM_CREATE_LONG_RUNNING: jobs may have no end (DRM_DROVER_OP_LOOP) and
 * have no fence: they are preempted when something of the VM has to move, and
 * go on when it is back
 */
#define DRM_DROVER_VM_CREATE_LONG_RUNNING	(1U << 0)

/**
 * struct drm_drover_vm_create - DRM_IOCTL_DROVER_VM_CREATE: create an empty GPU address space
 *
 * Errors: -ENOSPC: the file or the device has as many as it may have.
 */
struct drm_drover_vm_create {
	/** @flags: DRM_DROVER_VM_CREATE_* */
	__u32 flags;
	/** @vm_id: out: number of the VM within this file, not zero */
	__u32 vm_id;
};

/**
 * struct drm_drover_vm_destroy - DRM_IOCTL_DROVER_VM_DESTROY: destroy an address space
 *
 * The number is free at once; jobs in flight finish first, then the rest goes.
 */
struct drm_drover_vm_destroy {
	/** @vm_id: number of the VM */
	__u32 vm_id;
	/** @pad: must be zero */
	__u32 pad;
};

/** enum drm_drover_bind_op - operation of a struct drm_drover_bind */
enum drm_drover_bind_op {
	/** @DRM_DROVER_BIND_MAP: map a range of a BO, in place of what was mapped there */
	DRM_DROVER_BIND_MAP = 0,
	/** @DRM_DROVER_BIND_UNMAP: unmap all that is mapped in a range, which may be nothing */
	DRM_DROVER_BIND_UNMAP = 1,
};

/* DRM_DROVER_BIND_READONLY: MAP: GPU writes through this mapping are GPU page faults */
#define DRM_DROVER_BIND_READONLY	(1U << 0)

/** struct drm_drover_bind - one operation of DRM_IOCTL_DROVER_VM_BIND */
struct drm_drover_bind {
	/** @op: enum drm_drover_bind_op */
	__u32 op;
	/** @flags: MAP: DRM_DROVER_BIND_*; UNMAP: must be zero */
	__u32 flags;
	/** @handle: MAP: GEM handle; UNMAP: must be zero */
	__u32 handle;
	/** @pad: must be zero */
	__u32 pad;
	/** @bo_offset: MAP: where in the BO, a multiple of 4096; UNMAP: must be zero */
	__u64 bo_offset;
	/** @va: GPU address, a multiple of 4096, within the device's va_start … va_end */
	__u64 va;
	/** @size: bytes, a multiple of 4096, not zero; MAP: within the BO */
	__u64 size;
};

/**
 * struct drm_drover_vm_bind - DRM_IOCTL_DROVER_VM_BIND: change what is mapped
 *
 * Synchronous, and ordered after the jobs submitted before it. The operations
 * take effect in their order and all together or, on any error, none. A mapping
 * that continues its neighbour (same BO, offset and flags) is merged with it.
 * Errors: -EPERM: private to another VM; -ECANCELED: the VM is lost;
 * -E2BIG: too many operations; -EOPNOTSUPP: the exporter uses one reservation
 * object for this BO and for another one in the VM.
 */
struct drm_drover_vm_bind {
	/** @vm_id: number of the VM */
	__u32 vm_id;
	/** @num_binds: how many operations, 1 … the device's max_binds */
	__u32 num_binds;
	/** @binds: pointer to an array of struct drm_drover_bind */
	__u64 binds;
	/** @flags: must be zero */
	__u32 flags;
	/**
	 * @failed_bind: out: on an error that is due to one operation, its index;
	 * otherwise @num_binds
	 */
	__u32 failed_bind;
};

/* DRM_DROVER_VM_LOST: nothing runs in it any more; @lost_reason says why */
#define DRM_DROVER_VM_LOST		(1U << 0)
/* DRM_DROVER_VM_LONG_RUNNING: created with DRM_DROVER_VM_CREATE_LONG_RUNNING */
#define DRM_DROVER_VM_LONG_RUNNING	(1U << 1)

/** struct drm_drover_vm_info - DRM_IOCTL_DROVER_VM_INFO: state and counters of a VM */
struct drm_drover_vm_info {
	/** @vm_id: in: number of the VM */
	__u32 vm_id;
	/** @flags: out: DRM_DROVER_VM_* */
	__u32 flags;
	/**
	 * @lost_reason: positive errno, zero while not lost: ETIME a job timed
	 * out, EFAULT a GPU page fault (see @fault_address), ENODEV the device went
	 * away, ENOMEM a long-running VM's working set could not be restored or a
	 * CPU's fault in the aperture not be served; EIO: what an exporter gave for
	 * one could not be used
	 */
	__u32 lost_reason;
	/** @mappings: mapped ranges */
	__u32 mappings;
	/** @bos: BOs with at least one mapping */
	__u32 bos;
	/** @evicted_bos: those of @bos that have to be remapped before the next use */
	__u32 evicted_bos;
	/** @resident_bytes: bytes of the BOs (not the mappings) that the engine can reach now */
	__u64 resident_bytes;
	/** @submitted: jobs submitted */
	__u64 submitted;
	/** @completed: jobs that finished, failed ones included */
	__u64 completed;
	/** @evictions: times a BO of this VM was taken out of reach */
	__u64 evictions;
	/** @invalidations: those of @evictions that an exporter asked for */
	__u64 invalidations;
	/** @remaps: times a BO was made reachable again */
	__u64 remaps;
	/**
	 * @resumes: submissions that had to end a suspend first, or to arm what was
	 * remapped, also by a fault
	 */
	__u64 resumes;
	/** @failed_checks: CHECK commands that found something else than expected */
	__u64 failed_checks;
	/** @check_address: GPU address where the last failed CHECK found a difference */
	__u64 check_address;
	/** @check_found: the value there */
	__u32 check_found;
	/** @check_expected: the value that was expected */
	__u32 check_expected;
	/** @fault_address: GPU address of the page fault that lost the VM */
	__u64 fault_address;
	/** @suspends: times it was stopped because something of it had to move */
	__u64 suspends;
	/** @spurious_suspends: BOs that had to be armed again although they had not moved */
	__u64 spurious_suspends;
	/** @preemptions: long-running: times a job was stopped before its end */
	__u64 preemptions;
	/** @commands: long-running: commands finished */
	__u64 commands;
	/** @faults: CPU faults in the aperture that were served with the memory bound there */
	__u64 faults;
	/** @evicted_bytes: bytes of the @evicted_bos */
	__u64 evicted_bytes;
};

/** enum drm_drover_vm_mmap_target - what DRM_IOCTL_DROVER_VM_MMAP is about */
enum drm_drover_vm_mmap_target {
	/**
	 * @DRM_DROVER_VM_MMAP_APERTURE: the VM's address range: the byte at offset
	 * + a is the one at GPU address a. Shared mappings of any part of it, any number of
	 * times. Nothing is made resident before it is touched; a BO may be evicted
	 * and moved at any moment, and the next access brings it back. An
	 * access where nothing is bound is a SIGBUS, a write to what is bound
	 * READONLY a SIGSEGV. If an access can't be served (no memory, device
	 * gone, VM lost), the VM is lost and the access finds memory without
	 * meaning, zeroed at first, so that it doesn't end the process.
	 *
	 * fork() doesn't pass the mapping on; mremap() is refused, munmap() of a part
	 * works; unbinding takes effect at once. What needs the memory's pages
	 * can't use it: O_DIRECT, vmsplice(), process_vm_readv(), futexes shared
	 * between processes (EFAULT).
	 */
	DRM_DROVER_VM_MMAP_APERTURE = 0,
	/** @DRM_DROVER_VM_MMAP_STATUS: a page with a struct drm_drover_vm_status; PROT_READ only */
	DRM_DROVER_VM_MMAP_STATUS = 1,
};

/**
 * struct drm_drover_vm_mmap - DRM_IOCTL_DROVER_VM_MMAP: prepare to mmap() something of a VM
 *
 * The offset is good for mmap() on the file that owns the VM only, MAP_SHARED
 * only, for as long as the VM exists; mappings made before it is destroyed
 * stay. Errors of mmap(): EACCES: another file's VM, or none; EINVAL: MAP_PRIVATE or beyond
 * the end; EPERM: STATUS to be written.
 */
struct drm_drover_vm_mmap {
	/** @vm_id: number of the VM */
	__u32 vm_id;
	/** @target: enum drm_drover_vm_mmap_target */
	__u32 target;
	/** @flags: must be zero */
	__u64 flags;
	/** @offset: out: for mmap() */
	__u64 offset;
	/** @size: out: bytes that may be mapped from @offset on */
	__u64 size;
};

/**
 * struct drm_drover_vm_status - what can be read about a VM without a call
 *
 * May grow; what the kernel doesn't know reads as zero. Read each field once:
 * it changes at any time.
 */
struct drm_drover_vm_status {
	/** @lost_reason: as in struct drm_drover_vm_info; never changes back to zero */
	__u32 lost_reason;
	/** @pad: zero */
	__u32 pad;
};

/** enum drm_drover_opcode - what a command does; all values are u32 in the CPU's byte order */
enum drm_drover_opcode {
	/** @DRM_DROVER_OP_FILL: dst[i] = value + i * step */
	DRM_DROVER_OP_FILL = 0,
	/** @DRM_DROVER_OP_COPY: dst[i] = src[i]; the ranges must not overlap */
	DRM_DROVER_OP_COPY = 1,
	/** @DRM_DROVER_OP_ADD: dst[i] = src[i] + src2[i], modulo 2^32; dst may equal src or src2 */
	DRM_DROVER_OP_ADD = 2,
	/**
	 * @DRM_DROVER_OP_CHECK: src[i] must be value + i * step. If not, the job
	 * ends here, its fence carries -EILSEQ and VM_INFO says where.
	 */
	DRM_DROVER_OP_CHECK = 3,
	/** @DRM_DROVER_OP_SPIN: keep the engine busy for @size microseconds */
	DRM_DROVER_OP_SPIN = 4,
	/**
	 * @DRM_DROVER_OP_LOOP: go on with the job's first command, @size times, or
	 * for ever if @size is zero; long-running VMs only, as the last command
	 * of several
	 */
	DRM_DROVER_OP_LOOP = 5,
};

/** struct drm_drover_command - one command of a job; unused fields must be zero */
struct drm_drover_command {
	/** @opcode: enum drm_drover_opcode */
	__u32 opcode;
	/** @flags: must be zero */
	__u32 flags;
	/** @dst: GPU address written, a multiple of 4 */
	__u64 dst;
	/** @src: GPU address read, a multiple of 4 */
	__u64 src;
	/** @src2: GPU address read, a multiple of 4 */
	__u64 src2;
	/**
	 * @size: bytes, a multiple of 4 (may be zero); SPIN: microseconds, at most
	 * 60,000,000, or 100,000 in a long-running VM; LOOP: times
	 */
	__u64 size;
	/** @value: first value */
	__u32 value;
	/** @step: what is added from each value to the next, modulo 2^32 */
	__u32 step;
};

/** struct drm_drover_sync - a DRM syncobj that a submission waits for or signals */
struct drm_drover_sync {
	/** @handle: syncobj handle */
	__u32 handle;
	/** @flags: must be zero */
	__u32 flags;
	/** @point: timeline point, or zero for a binary syncobj */
	__u64 point;
};

/* DRM_DROVER_BUFFER_READ: implicit sync: wait for writers, be waited for by writers */
#define DRM_DROVER_BUFFER_READ		(1U << 0)
/* DRM_DROVER_BUFFER_WRITE: implicit sync: wait for readers and writers, be waited for by both */
#define DRM_DROVER_BUFFER_WRITE		(1U << 1)

/**
 * struct drm_drover_buffer - a BO listed for implicit sync
 *
 * It needs not be mapped in the VM, and may be listed more than once: its flags
 * add up.
 */
struct drm_drover_buffer {
	/** @handle: GEM handle */
	__u32 handle;
	/** @flags: DRM_DROVER_BUFFER_READ, _WRITE or both; not zero */
	__u32 flags;
};

/**
 * struct drm_drover_submit - DRM_IOCTL_DROVER_SUBMIT: run commands in a VM
 *
 * Jobs of a VM run in the order of submission. Everything that is mapped in the
 * VM is made resident before the job runs, whether it is listed or not; only
 * what is listed takes part in implicit sync. Errors: -ECANCELED: the VM is
 * lost; -ENOMEM, -ENOSPC: the working set could not be made resident; -E2BIG:
 * an array is too long; -EINVAL also for an in-sync without a fence. On an error
 * nothing was submitted and no syncobj changed.
 *
 * The job's fence carries an error if it didn't do all of its work: -EILSEQ a
 * CHECK found something else, -EFAULT a GPU page fault, -ETIME it took longer
 * than the device's job_timeout_ms, -ECANCELED the VM was lost before or by
 * something else. The latter three go with a lost VM.
 *
 * A long-running VM takes no out-syncs and no listed buffers (-EINVAL); SUBMIT
 * waits for the in-syncs itself.
 */
struct drm_drover_submit {
	/** @vm_id: number of the VM */
	__u32 vm_id;
	/** @flags: must be zero */
	__u32 flags;
	/** @commands: pointer to an array of struct drm_drover_command */
	__u64 commands;
	/** @in_syncs: pointer to an array of struct drm_drover_sync to wait for */
	__u64 in_syncs;
	/** @out_syncs: pointer to an array of struct drm_drover_sync to signal */
	__u64 out_syncs;
	/** @buffers: pointer to an array of struct drm_drover_buffer */
	__u64 buffers;
	/** @num_commands: how many commands; may be zero */
	__u32 num_commands;
	/** @num_in_syncs: how many in-syncs; may be zero */
	__u32 num_in_syncs;
	/** @num_out_syncs: how many out-syncs; may be zero */
	__u32 num_out_syncs;
	/** @num_buffers: how many listed buffers; may be zero */
	__u32 num_buffers;
};

/** enum drm_drover_evict_target - what DRM_IOCTL_DROVER_EVICT evicts */
enum drm_drover_evict_target {
	/**
	 * @DRM_DROVER_EVICT_BO: the BO with GEM handle @id; -EOPNOTSUPP if
	 * imported: it is the exporter's to move
	 */
	DRM_DROVER_EVICT_BO = 0,
	/**
	 * @DRM_DROVER_EVICT_VM: the private BOs of the VM @id, and what else is
	 * mapped in it, except imports
	 */
	DRM_DROVER_EVICT_VM = 1,
	/** @DRM_DROVER_EVICT_ALL: all BOs that this file has handles for; @id must be zero */
	DRM_DROVER_EVICT_ALL = 2,
};

/**
 * struct drm_drover_evict - DRM_IOCTL_DROVER_EVICT: take BOs out of the GPU's reach
 *
 * For tests of whatever shares these BOs. They come back at the next use. A BO
 * that is pinned stays: the rest is evicted and the call returns -EBUSY.
 */
struct drm_drover_evict {
	/** @target: enum drm_drover_evict_target */
	__u32 target;
	/** @id: GEM handle or VM number, by @target */
	__u32 id;
	/** @evicted: out: BOs evicted by this call */
	__u32 evicted;
	/** @busy: out: BOs that stayed because they are pinned */
	__u32 busy;
	/** @evicted_bytes: out: bytes of @evicted */
	__u64 evicted_bytes;
	/** @flags: must be zero */
	__u64 flags;
};

#if defined(__cplusplus)
}
#endif

#endif
