/* SPDX-License-Identifier: MIT */
/*
 * libdrover: devices, buffers, address spaces, submissions and synchronization
 * on virtual GPUs (drover.ko).
 *
 * Conventions, valid for every function unless it says otherwise:
 *
 * - Errors. Functions that return int return 0, or a negative errno: the one
 *   that the kernel gave, -ENOMEM if the library itself had no memory, or
 *   -EINVAL for an argument that can't be right. Nothing is changed and no
 *   output is written on an error. System calls interrupted by a signal are
 *   restarted, so -EINTR is never returned.
 * - Units. Sizes, offsets and GPU addresses are in bytes, times in nanoseconds.
 * - Time-outs are relative to the call, on CLOCK_MONOTONIC: 0 asks and returns
 *   at once, a negative value waits for ever. A wait that ran out is -ETIME.
 * - File descriptors. What is passed in stays the caller's. What comes out
 *   belongs to the caller, is close-on-exec, and is closed with close().
 * - Pointers. Objects passed in must be valid; only destructors accept NULL, and
 *   do nothing then. Output pointers must not be NULL unless said.
 * - Threads. There are no globals. All objects but submissions may be used from
 *   any number of threads at the same time; a submission belongs to one thread
 *   at a time. Destroying an object while another thread uses it is a bug of
 *   the caller's.
 * - Lifetime. Every object keeps what the library needs of its device open, so
 *   that objects may be destroyed in any order; a submission is used no longer
 *   than its VM lives.
 *
 * Structures and constants named drm_drover_* and DRM_DROVER_* are the kernel's
 * and documented in drm/drover_drm.h.
 */
#ifndef DROVER_DROVER_H
#define DROVER_DROVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <drm/drover_drm.h>

#if defined(__cplusplus)
extern "C" {
#endif

/** struct drover_device - an open render node of a virtual GPU */
struct drover_device;
/** struct drover_bo - a buffer object of one device, reference counted */
struct drover_bo;
/** struct drover_vm - a GPU address space of one device */
struct drover_vm;
/** struct drover_submission - a list of commands and what they wait for and signal */
struct drover_submission;
/** struct drover_sync - a DRM syncobj: binary, or a timeline of points */
struct drover_sync;

/** enum drover_access - how memory is accessed; values may be combined */
enum drover_access {
	/** @DROVER_ACCESS_READ: reads: ordered after writers, and before later writers */
	DROVER_ACCESS_READ = 1 << 0,
	/** @DROVER_ACCESS_WRITE: writes: ordered after readers and writers, and before later ones */
	DROVER_ACCESS_WRITE = 1 << 1,
};

/* ---- Devices ---- */

/**
 * drover_device_count() - how many virtual GPUs this process can open
 *
 * Return: the number, which may be 0, or a negative errno.
 */
int drover_device_count(void);

/**
 * drover_device_open() - open a virtual GPU by its position
 * @index: 0-based position among the render nodes whose driver is drover, in
 *	   the order of their minor numbers
 * @dev: out: the device; drover_device_close() it
 *
 * Return: 0; -ENODEV: there are not so many; -EACCES: no permission to open the
 * render nodes.
 */
int drover_device_open(unsigned int index, struct drover_device **dev);

/**
 * drover_device_open_fd() - use a render node that is open already
 * @fd: a file descriptor of the render node
 * @dev: out: the device; drover_device_close() it
 *
 * The file descriptor is duplicated. GEM handles belong to the open file, which
 * the duplicate shares: whoever else works on it (a second device opened from
 * the same file included) must not close or import handles that this device
 * has.
 *
 * Return: 0; -EBADF: not a file descriptor; -ENODEV: another driver's device,
 * or no DRM device.
 */
int drover_device_open_fd(int fd, struct drover_device **dev);

/**
 * drover_device_close() - give up a device
 * @dev: the device, or NULL
 *
 * The file is closed as soon as the last object made from it is gone.
 */
void drover_device_close(struct drover_device *dev);

/**
 * drover_device_fd() - the file descriptor of a device
 *
 * Return: the descriptor, which stays the device's: don't close it.
 */
int drover_device_fd(const struct drover_device *dev);

/**
 * drover_device_info() - what a device is and how full it is
 * @info: out: asked from the kernel at every call
 */
int drover_device_info(struct drover_device *dev, struct drm_drover_device_info *info);

/**
 * drover_device_evict() - evict all BOs that this device's file has handles for
 * @result: out, may be NULL: what was evicted and what is pinned; also written
 *	    when -EBUSY is returned
 *
 * Return: 0; -EBUSY: some are pinned and stay, the rest was evicted.
 */
int drover_device_evict(struct drover_device *dev, struct drm_drover_evict *result);

/* ---- Buffer objects ---- */

/**
 * drover_bo_create() - create a buffer object; its memory reads as zeros
 * @size: a multiple of 4096, not zero
 * @placements: mask of DRM_DROVER_PLACEMENT_VRAM and _GTT
 * @preferred: one of @placements, or 0 for VRAM if allowed
 * @vm: the only VM that it may be bound in (private, can't be exported), or NULL
 *	(shared); has to be of the same device
 * @bo: out: the BO with one reference
 *
 * Return: 0; -ENOSPC: larger than all of every allowed placement; -ENOMEM: no
 * room could be made, or no system memory.
 */
int drover_bo_create(struct drover_device *dev, uint64_t size, uint32_t placements,
		     uint32_t preferred, struct drover_vm *vm, struct drover_bo **bo);

/**
 * drover_bo_import() - import a dma-buf of any driver
 * @dmabuf_fd: the dma-buf; needn't stay open
 * @bo: out: the BO with one reference
 *
 * A GEM handle stands for one buffer: importing a dma-buf that this device has
 * already (imported before, or its own export) returns the same struct
 * drover_bo with one more reference.
 *
 * Return: 0; -EBADF or -EINVAL: no dma-buf; what else its exporter returned.
 */
int drover_bo_import(struct drover_device *dev, int dmabuf_fd, struct drover_bo **bo);

/**
 * drover_bo_export() - make a dma-buf of a BO
 * @dmabuf_fd: out: a new file descriptor, readable and writable
 *
 * Return: 0; -EPERM: private to a VM.
 */
int drover_bo_export(struct drover_bo *bo, int *dmabuf_fd);

/**
 * drover_bo_ref() - take a reference
 *
 * Return: @bo
 */
struct drover_bo *drover_bo_ref(struct drover_bo *bo);

/**
 * drover_bo_unref() - drop a reference
 * @bo: the BO, or NULL
 *
 * With the last one the CPU mapping goes and the GEM handle is closed. What is
 * bound in a VM keeps the memory until it is unbound; a dma-buf keeps it, too.
 */
void drover_bo_unref(struct drover_bo *bo);

/**
 * drover_bo_map() - map a BO for the CPU
 * @ptr: out: address of the first byte; the whole BO is mapped, readable and
 *	 writable
 *
 * Calls are counted, the address is the same until the last drover_bo_unmap().
 * The mapping follows the BO wherever it moves. An import is mapped through its
 * dma-buf: use drover_dmabuf_begin_cpu_access() around accesses there, and
 * expect the exporter's errors (-EACCES if the dma-buf is read-only).
 * Mapping waits for nothing: order the CPU's accesses after the GPU's with
 * drover_sync_wait() or drover_dmabuf_wait().
 */
int drover_bo_map(struct drover_bo *bo, void **ptr);

/**
 * drover_bo_unmap() - undo one drover_bo_map()
 *
 * Return: 0; -EINVAL: not mapped.
 */
int drover_bo_unmap(struct drover_bo *bo);

/**
 * drover_bo_info() - what a BO is, where it is now, what happened to it
 * @info: out: asked from the kernel at every call
 */
int drover_bo_info(struct drover_bo *bo, struct drm_drover_bo_info *info);

/**
 * drover_bo_evict() - take a BO out of the GPU's reach; it comes back at the next use
 * @result: out, may be NULL: see struct drm_drover_evict; also written when
 *	    -EBUSY is returned
 *
 * Return: 0; -EBUSY: it is pinned; -EOPNOTSUPP: it is imported.
 */
int drover_bo_evict(struct drover_bo *bo, struct drm_drover_evict *result);

/**
 * drover_bo_handle() - the GEM handle, valid for the device's file
 *
 * Return: the handle, which stays the BO's: don't close it.
 */
uint32_t drover_bo_handle(const struct drover_bo *bo);

/** drover_bo_size() - bytes of a BO */
uint64_t drover_bo_size(const struct drover_bo *bo);

/* ---- Address spaces ---- */

/**
 * drover_vm_create() - create an empty GPU address space
 * @vm: out: drover_vm_destroy() it
 */
int drover_vm_create(struct drover_device *dev, struct drover_vm **vm);

/**
 * drover_vm_destroy() - destroy an address space and all that is bound in it
 * @vm: the VM, or NULL
 *
 * Doesn't wait: jobs in flight finish, then the kernel frees what they used.
 */
void drover_vm_destroy(struct drover_vm *vm);

/**
 * drover_vm_bind() - bind a range of a BO, replacing what was bound there
 * @va: GPU address, a multiple of 4096, within the device's va_start … va_end
 * @bo: the BO, of the same device
 * @bo_offset: where in @bo, a multiple of 4096
 * @size: a multiple of 4096, not zero
 * @flags: 0 or DRM_DROVER_BIND_READONLY
 *
 * Done when it returns; ordered after the jobs submitted before it.
 *
 * Return: 0; -EPERM: @bo is private to another VM; -ECANCELED: the VM is lost.
 */
int drover_vm_bind(struct drover_vm *vm, uint64_t va, struct drover_bo *bo, uint64_t bo_offset,
		   uint64_t size, uint32_t flags);

/**
 * drover_vm_unbind() - unbind all that is bound in a range, which may be nothing
 * @va: GPU address, a multiple of 4096
 * @size: a multiple of 4096, not zero
 */
int drover_vm_unbind(struct drover_vm *vm, uint64_t va, uint64_t size);

/**
 * drover_vm_bind_array() - several binds and unbinds: all of them or none
 * @binds: the operations, in their order; handles are drover_bo_handle()'s
 * @count: how many, 1 … the device's max_binds
 * @failed: out, may be NULL; written on errors: the index of the operation that
 *	    the error is due to, or @count if it isn't due to one
 *
 * Return: as drover_vm_bind(); -E2BIG: too many.
 */
int drover_vm_bind_array(struct drover_vm *vm, const struct drm_drover_bind *binds, uint32_t count,
			 uint32_t *failed);

/**
 * drover_vm_info() - state and counters of a VM
 * @info: out: asked from the kernel at every call
 */
int drover_vm_info(struct drover_vm *vm, struct drm_drover_vm_info *info);

/**
 * drover_vm_evict() - evict all BOs bound in a VM that its device can move, and its private BOs
 * @result: out, may be NULL: what was evicted and what is pinned; also written
 *	    when -EBUSY is returned
 *
 * Return: 0; -EBUSY: some are pinned and stay, the rest was evicted.
 */
int drover_vm_evict(struct drover_vm *vm, struct drm_drover_evict *result);

/**
 * drover_vm_map_aperture() - map a VM's address range into the process
 * @size: bytes from GPU address 0 on, a multiple of 4096; 0: the whole range (the device's va_end)
 * @base: out: the byte at GPU address a is at @base + a; a multiple of 2 MiB
 *
 * Takes address space only: memory comes when it is touched, is evicted when somebody else
 * needs it, and comes back at the next touch. An access where nothing is bound is a SIGBUS.
 * If the kernel can't serve an access, the VM is lost and the access finds
 * memory without meaning: look at drover_vm_map_status().
 * See DRM_DROVER_VM_MMAP_APERTURE for what can't be done with such memory.
 *
 * The mapping doesn't keep the VM: after drover_vm_destroy() nothing is bound in it.
 *
 * Return: 0; -ENOMEM: not so much address space; -EINVAL: @size is beyond the range; -EOPNOTSUPP:
 * the kernel module has no aperture.
 */
int drover_vm_map_aperture(struct drover_vm *vm, uint64_t size, void **base);

/**
 * drover_vm_unmap_aperture() - undo drover_vm_map_aperture()
 * @base: what it returned
 * @size: what it was called with
 *
 * Before drover_vm_destroy().
 */
int drover_vm_unmap_aperture(struct drover_vm *vm, void *base, uint64_t size);

/**
 * drover_vm_map_status() - map the word that says whether a VM is lost
 * @status: out: stays readable, also after drover_vm_destroy(), until drover_vm_unmap_status()
 *
 * Reading it costs a memory access and no call. It may be read from any thread.
 *
 * Return: 0; -EOPNOTSUPP: the kernel module has none.
 */
int drover_vm_map_status(struct drover_vm *vm, const volatile struct drm_drover_vm_status **status);

/** drover_vm_unmap_status() - undo drover_vm_map_status() */
void drover_vm_unmap_status(const volatile struct drm_drover_vm_status *status);

/** drover_vm_id() - the kernel's number of a VM, valid for the device's file */
uint32_t drover_vm_id(const struct drover_vm *vm);

/* ---- Submissions ---- */

/**
 * drover_submission_create() - create an empty submission for a VM
 * @vm: where it runs; has to live as long as the submission is used
 * @sub: out: drover_submission_destroy() it
 *
 * Add commands and what to synchronize with in any order, then
 * drover_submission_submit(). Adding doesn't report errors: the first one is
 * kept and returned by drover_submission_submit(). What is added (BOs, syncs)
 * isn't referenced: it has to live until drover_submission_submit() returns.
 */
int drover_submission_create(struct drover_vm *vm, struct drover_submission **sub);

/**
 * drover_submission_destroy() - destroy a submission
 * @sub: the submission, or NULL
 *
 * What was submitted isn't affected.
 */
void drover_submission_destroy(struct drover_submission *sub);

/** drover_submission_reset() - forget everything that was added, and the error */
void drover_submission_reset(struct drover_submission *sub);

/**
 * drover_submission_fill() - add a command: dst[i] = value + i * step, as u32
 * @dst: GPU address, a multiple of 4
 * @size: bytes, a multiple of 4
 */
void drover_submission_fill(struct drover_submission *sub, uint64_t dst, uint64_t size,
			    uint32_t value, uint32_t step);

/**
 * drover_submission_copy() - add a command: dst[i] = src[i]
 * @dst: GPU address, a multiple of 4
 * @src: GPU address, a multiple of 4; the ranges must not overlap
 * @size: bytes, a multiple of 4
 */
void drover_submission_copy(struct drover_submission *sub, uint64_t dst, uint64_t src,
			    uint64_t size);

/**
 * drover_submission_add() - add a command: dst[i] = src[i] + src2[i], as u32 modulo 2^32
 * @dst: GPU address, a multiple of 4; may equal @src or @src2
 * @src: GPU address, a multiple of 4
 * @src2: GPU address, a multiple of 4
 * @size: bytes, a multiple of 4
 */
void drover_submission_add(struct drover_submission *sub, uint64_t dst, uint64_t src, uint64_t src2,
			   uint64_t size);

/**
 * drover_submission_check() - add a command: fail the job unless src[i] == value + i * step
 * @src: GPU address, a multiple of 4
 * @size: bytes, a multiple of 4
 *
 * A job that fails ends there and its fence carries -EILSEQ, which
 * drover_sync_status() reports; drover_vm_info() says where and what.
 */
void drover_submission_check(struct drover_submission *sub, uint64_t src, uint64_t size,
			     uint32_t value, uint32_t step);

/** drover_submission_spin() - add a command: keep the engine busy for @microseconds */
void drover_submission_spin(struct drover_submission *sub, uint64_t microseconds);

/**
 * drover_submission_wait() - let the job wait for a sync
 * @sync: of the same device (sticky -EINVAL otherwise); has to have a fence (be
 *	  submitted to) when this is submitted
 * @point: timeline point, or 0 for a binary sync
 */
void drover_submission_wait(struct drover_submission *sub, struct drover_sync *sync,
			    uint64_t point);

/**
 * drover_submission_signal() - let the job signal a sync when it is done
 * @sync: of the same device (sticky -EINVAL otherwise)
 * @point: timeline point, or 0 for a binary sync, whose fence is replaced
 */
void drover_submission_signal(struct drover_submission *sub, struct drover_sync *sync,
			      uint64_t point);

/**
 * drover_submission_buffer() - list a BO for implicit sync
 * @bo: of the same device (sticky -EINVAL otherwise); needn't be bound
 * @access: enum drover_access, not zero
 *
 * Residency doesn't depend on this: all that is bound in the VM is resident.
 */
void drover_submission_buffer(struct drover_submission *sub, struct drover_bo *bo, uint32_t access);

/**
 * drover_submission_submit() - hand a submission to the kernel
 *
 * The submission stays as it is and may be submitted again, added to, or reset.
 * Waits for a place if max_jobs of the VM are in flight.
 *
 * Return: 0; the first error met while adding; -ECANCELED: the VM is lost (see
 * drover_vm_info()); -ENOMEM or -ENOSPC: the working set couldn't be made
 * resident; -E2BIG: too many commands, syncs or buffers; -EINVAL: an invalid
 * command, or a wait for a sync that has no fence. Nothing was submitted then.
 */
int drover_submission_submit(struct drover_submission *sub);

/* ---- Synchronization objects ---- */

/**
 * drover_sync_create() - create a sync
 * @signaled: whether it is signalled from the start; otherwise it has no fence
 * @sync: out: drover_sync_destroy() it
 */
int drover_sync_create(struct drover_device *dev, bool signaled, struct drover_sync **sync);

/**
 * drover_sync_destroy() - destroy a sync
 * @sync: the sync, or NULL
 *
 * Jobs that wait for it or signal it aren't affected.
 */
void drover_sync_destroy(struct drover_sync *sync);

/** @DROVER_SYNC_WAIT_FOR_SUBMIT: wait for a fence to appear first, instead of -EINVAL */
#define DROVER_SYNC_WAIT_FOR_SUBMIT (1U << 0)

/**
 * drover_sync_wait() - wait on the CPU
 * @point: timeline point, or 0 for a binary sync
 * @timeout_ns: see the top of this file
 * @flags: 0 or DROVER_SYNC_WAIT_FOR_SUBMIT
 *
 * A job that failed signals, too: ask drover_sync_status().
 *
 * Return: 0: signalled; -ETIME: not yet; -EINVAL: no fence.
 */
int drover_sync_wait(struct drover_sync *sync, uint64_t point, int64_t timeout_ns, uint32_t flags);

/**
 * drover_sync_status() - how the job that signals a sync ended
 * @point: timeline point, or 0 for a binary sync
 *
 * Return: 1: signalled, no error; 0: not signalled yet; the error that its
 * fence carries (-EILSEQ: a check failed, -ETIME: timed out, -ECANCELED or
 * -EFAULT: VM lost, …), or the error of the question itself (-EINVAL: no fence).
 * Timelines don't keep errors: a point that is signalled is always 1, so let a
 * job signal a binary sync as well if you want to know.
 */
int drover_sync_status(struct drover_sync *sync, uint64_t point);

/** drover_sync_reset() - take the fence out of a sync */
int drover_sync_reset(struct drover_sync *sync);

/**
 * drover_sync_signal() - signal from the CPU
 * @point: timeline point, or 0 for a binary sync
 */
int drover_sync_signal(struct drover_sync *sync, uint64_t point);

/**
 * drover_sync_query() - the highest timeline point that is signalled
 * @point: out
 */
int drover_sync_query(struct drover_sync *sync, uint64_t *point);

/**
 * drover_sync_export_sync_file() - make a sync file of the fence in a sync
 * @point: timeline point, or 0 for a binary sync
 * @sync_file: out: a new file descriptor
 *
 * Return: 0; -EINVAL: no fence.
 */
int drover_sync_export_sync_file(struct drover_sync *sync, uint64_t point, int *sync_file);

/**
 * drover_sync_import_sync_file() - put the fence of a sync file into a sync
 * @point: timeline point, or 0 for a binary sync, whose fence is replaced
 */
int drover_sync_import_sync_file(struct drover_sync *sync, uint64_t point, int sync_file);

/**
 * drover_sync_export() - share a sync, as an object, with others
 * @fd: out: a new file descriptor
 */
int drover_sync_export(struct drover_sync *sync, int *fd);

/**
 * drover_sync_import() - use a sync that was shared with drover_sync_export() or by another driver
 * @fd: the syncobj; needn't stay open
 * @sync: out: drover_sync_destroy() it
 */
int drover_sync_import(struct drover_device *dev, int fd, struct drover_sync **sync);

/** drover_sync_handle() - the syncobj's handle, which stays the sync's: don't destroy it */
uint32_t drover_sync_handle(const struct drover_sync *sync);

/**
 * drover_sync_file_wait() - wait for a sync file
 * @timeout_ns: see the top of this file
 *
 * Return: 0: signalled; -ETIME: not yet.
 */
int drover_sync_file_wait(int sync_file, int64_t timeout_ns);

/**
 * drover_sync_file_status() - state of a sync file
 *
 * Return: 1: signalled, no error; 0: not yet; otherwise the error that the fence
 * carries, or that of the question itself.
 */
int drover_sync_file_status(int sync_file);

/* ---- dma-bufs of any driver ---- */

/**
 * drover_dmabuf_size() - bytes of a dma-buf
 * @size: out
 */
int drover_dmabuf_size(int dmabuf_fd, uint64_t *size);

/**
 * drover_dmabuf_export_sync_file() - what an access has to wait for, as a sync file
 * @access: enum drover_access, the access that is to follow: READ waits for
 *	    writers, WRITE for readers and writers
 * @sync_file: out: a new file descriptor, signalled already if there is nothing
 */
int drover_dmabuf_export_sync_file(int dmabuf_fd, uint32_t access, int *sync_file);

/**
 * drover_dmabuf_import_sync_file() - let others wait for an access
 * @access: enum drover_access, what is done until @sync_file signals
 */
int drover_dmabuf_import_sync_file(int dmabuf_fd, uint32_t access, int sync_file);

/**
 * drover_dmabuf_wait() - wait until an access may begin
 * @access: enum drover_access, as for drover_dmabuf_export_sync_file()
 * @timeout_ns: see the top of this file
 *
 * Return: 0; -ETIME: not yet.
 */
int drover_dmabuf_wait(int dmabuf_fd, uint32_t access, int64_t timeout_ns);

/**
 * drover_dmabuf_begin_cpu_access() - announce accesses through a CPU mapping
 * @access: enum drover_access
 *
 * Waits for the fences that @access has to wait for, and makes caches coherent.
 */
int drover_dmabuf_begin_cpu_access(int dmabuf_fd, uint32_t access);

/**
 * drover_dmabuf_end_cpu_access() - end what drover_dmabuf_begin_cpu_access() began
 * @access: the same as there
 */
int drover_dmabuf_end_cpu_access(int dmabuf_fd, uint32_t access);

#if defined(__cplusplus)
}
#endif

#endif
