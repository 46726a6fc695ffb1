/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The structures of drover.ko and what its files offer each other. Each file's
 * DOC: block says what it owns and which locks protect it.
 *
 * Lock order, outermost first: mmap_lock, drover_vm.bind_lock, reservation
 * locks (one drm_exec per operation), drover_vm.va_lock, drover_vm.gate.
 */
#ifndef _DROVER_DRV_H_
#define _DROVER_DRV_H_

#include <linux/dma-fence.h>
#include <linux/gpu_buddy.h>
#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/llist.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/rhashtable-types.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_exec.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_gpuvm.h>
#include <drm/drm_print.h>
#include <drm/drover_drm.h>
#include <drm/gpu_scheduler.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_placement.h>
#include <drm/ttm/ttm_resource.h>
#include <drm/ttm/ttm_tt.h>

#include "drover_compat.h"

struct drm_exec;
struct sg_table;

#define DROVER_MAX_DEVICES	16

/* Limits that userspace learns from DRM_IOCTL_DROVER_DEVICE_INFO. */
#define DROVER_VA_START		SZ_64K
#define DROVER_VA_END		BIT_ULL(38)
#define DROVER_MAX_COMMANDS	4096
#define DROVER_MAX_SYNCS	256
#define DROVER_MAX_BUFFERS	65536
#define DROVER_MAX_BINDS	4096

/*
 * A move gives up a BO after 15 s (TTM). The last job of a full queue must be
 * done well before that.
 */
#define DROVER_MAX_JOBS		16
#define DROVER_JOB_TIMEOUT_MS	500

/* Added to drover_vm.jobs: there is no place any more. */
#define DROVER_JOBS_CLOSED	0x40000000

/* A VM is a thread or two. */
#define DROVER_MAX_CLIENT_VMS	256
#define DROVER_MAX_DEVICE_VMS	1024

/* What the debug mode fills places with that a BO has left. */
#define DROVER_POISON		0xdb

/* How often a resume looks again for what others wanted in the meantime. */
#define DROVER_RESUME_PASSES	64

/* Longest SPIN that a command may ask for; longer than any time-out. */
#define DROVER_MAX_SPIN_US	60000000ULL
#define DROVER_MAX_LONGRUN_SPIN_US	100000ULL

/**
 * struct drover_vram - the memory that plays VRAM
 *
 * Owned by drover_vram.c.
 */
struct drover_vram {
	/** @manager: TTM's view of it; first, for container_of() */
	struct ttm_resource_manager manager;
	/** @lock: protects @buddy */
	struct mutex lock;
	/** @buddy: which parts are free */
	struct gpu_buddy buddy;
	/** @pages: its pages in the order of their VRAM offset */
	struct page **pages;
	/** @vaddr: all of @pages in one piece */
	void *vaddr;
	/** @num_pages: length of @pages */
	unsigned long num_pages;
};

/**
 * struct drover_kept_pages - system memory that the next evictions get
 *
 * Owned by drover_tt.c.
 */
struct drover_kept_pages {
	/** @lock: protects what follows; nothing is taken inside */
	spinlock_t lock;
	/** @lru: ttm_tts with their pages, the oldest first */
	struct list_head lru;
	/** @by_size: the same by their number of pages */
	DECLARE_HASHTABLE(by_size, 6);
	/** @pages: of all of them */
	unsigned long pages;
	/** @taken: BOs that got kept pages */
	u64 taken;
	/** @shrinker: gives them back when memory is short */
	struct shrinker *shrinker;
};

/**
 * struct drover_device - a virtual GPU
 */
struct drover_device {
	/** @drm: the DRM device; first */
	struct drm_device drm;
	/** @index: 0-based number among drover's devices */
	u32 index;
	/** @p2p: peers may map VRAM in place */
	bool p2p;
	/** @pin_imports: comparison mode: imports are attached statically */
	bool pin_imports;
	/** @ttm: TTM's device */
	struct ttm_device ttm;
	/** @vram: VRAM */
	struct drover_vram vram;
	/** @gtt: manager of the system memory that the device can reach; a mere limit */
	struct ttm_resource_manager gtt;
	/** @kept: system memory that evicted BOs left when they came back */
	struct drover_kept_pages kept;
	/** @fence_mode_job: comparison mode: each submission fences each shared BO */
	bool fence_mode_job;
	/** @min_run: jiffies for which what a VM just used isn't worth evicting */
	unsigned long min_run;
	/** @timeout_wq: job time-outs, in turn */
	struct workqueue_struct *timeout_wq;
	/** @gate_wq: closes gates */
	struct workqueue_struct *gate_wq;
	/** @objects_lock: protects @objects, @imports, @clients and @vms */
	struct mutex objects_lock;
	/** @objects: all BOs and imports (struct drover_object.link) */
	struct list_head objects;
	/** @attachments: imports that are attached */
	atomic_t attachments;
	/** @attachments_gone: woken when @attachments falls */
	wait_queue_head_t attachments_gone;
	/** @num_vms: VMs that aren't freed yet */
	atomic_t num_vms;
	/** @imports: attached imports by their dma-buf; under @objects_lock */
	struct rhashtable imports;
	/** @apertures: VMs that can be mapped, by their number for that */
	struct xarray apertures;
	/** @clients: open files (struct drover_client.link) */
	struct list_head clients;
	/** @vms: VMs that aren't closed (struct drover_vm.link) */
	struct list_head vms;
	/** @pin_limit: how many bytes may be pinned */
	u64 pin_limit;
	/** @pinned: bytes pinned now */
	atomic64_t pinned;
	/** @pinned_max: highest value of @pinned */
	atomic64_t pinned_max;
	/** @evictions: BOs taken out of their placement */
	atomic64_t evictions;
	/** @bytes_moved: bytes copied between placements */
	atomic64_t bytes_moved;
#ifdef CONFIG_DRM_DROVER_TEST_HOOKS
	/** @skip_invalidations: test hook: how many invalidations to leave out */
	atomic_t skip_invalidations;
	/** @poison: test hook: overwrite the old place after each move */
	bool poison;
#endif
};

#define to_drover(d) container_of(d, struct drover_device, drm)
#define bdev_to_drover(b) container_of(b, struct drover_device, ttm)

/**
 * struct drover_client - what an open file is charged for
 *
 * Outlives the file for as long as something is charged to it.
 */
struct drover_client {
	/** @kref: the file, its VMs and its BOs hold references */
	struct kref kref;
	/** @link: in drover_device.clients */
	struct list_head link;
	/** @vms: VMs by number */
	struct xarray vms;
	/** @pinned: bytes of this client's BOs that are pinned */
	atomic64_t pinned;
	/** @busy_ns: time that engines worked for this client */
	atomic64_t busy_ns;
	/** @pid: who opened the file, for debugfs */
	pid_t pid;
	/** @comm: its name then */
	char comm[TASK_COMM_LEN];
};

/**
 * struct drover_object - what BOs and imports have in common
 */
struct drover_object {
	/** @link: in drover_device.objects */
	struct list_head link;
	/** @gem: the GEM object */
	struct drm_gem_object *gem;
	/** @placement: one DRM_DROVER_PLACEMENT_*; written under the reservation lock */
	u32 placement;
	/** @unplugged: cut off from the device; under drover_device.objects_lock */
	bool unplugged;
	/** @evictions: times it was taken out of reach */
	atomic64_t evictions;
	/** @moves: times its contents were copied */
	atomic64_t moves;
	/** @remaps: times it was made reachable again, over all VMs */
	atomic64_t remaps;
};

/**
 * struct drover_bo - a buffer object in this device's memory
 */
struct drover_bo {
	/** @ttm: TTM's object, which embeds the GEM object; first */
	struct ttm_buffer_object ttm;
	/** @object: what it has in common with imports */
	struct drover_object object;
	/** @placements: mask of allowed placements */
	u32 placements;
	/** @preferred: the one that is tried first */
	u32 preferred;
	/** @vm: the VM that it is private to, or NULL; a reference to it is held */
	struct drover_vm *vm;
	/** @client: who is charged for it */
	struct drover_client *client;
	/**
	 * @gtt_attachments: attachments that can't reach VRAM and have been
	 * mapped once; while there are any, GTT is the only place. Under the
	 * reservation lock.
	 */
	unsigned int gtt_attachments;
	/**
	 * @attached: its dma-buf while that has attachments, which keep it
	 * alive; under the reservation lock
	 */
	struct dma_buf *attached;
	/** @num_attachments: of @attached; same lock */
	unsigned int num_attachments;
	/** @placed: it has had memory: before that it has no users and no contents */
	bool placed;
	/** @validated: private: drover_vm.resumes when it was last validated; same lock */
	u64 validated;
	/** @put_vm_work: drops the reference to @vm at the very end */
	struct work_struct put_vm_work;
};

/**
 * struct drover_import - a buffer object in another device's memory
 *
 * A plain GEM object: TTM's kind for imports enables all of the exporter's
 * fences when it goes, which would suspend every VM that shares the buffer.
 */
struct drover_import {
	/** @gem: the GEM object; first */
	struct drm_gem_object gem;
	/** @object: what it has in common with BOs */
	struct drover_object object;
	/** @dma_buf: held for as long as its reservation object is in use here */
	struct dma_buf *dma_buf;
	/** @node: in drover_device.imports, if @hashed */
	struct rhash_head node;
	/** @hashed: further imports of the dma-buf find this one; under objects_lock */
	bool hashed;
	/** @attach: NULL after the device was unplugged */
	struct dma_buf_attachment *attach;
	/** @sgt: the present mapping, or NULL; under the reservation lock */
	struct sg_table *sgt;
	/** @stale: @sgt was invalidated and waits for its users to drain; same lock */
	bool stale;
	/** @is_static: the mapping never changes */
	bool is_static;
	/** @unmap_work: unmaps a stale @sgt if nobody remaps it first */
	struct work_struct unmap_work;
};

#define to_drover_import(g) container_of(g, struct drover_import, gem)

static inline struct drover_bo *to_drover_bo(struct ttm_buffer_object *ttm)
{
	return container_of(ttm, struct drover_bo, ttm);
}

static inline struct drover_bo *gem_to_drover_bo(struct drm_gem_object *gem)
{
	return container_of(gem, struct drover_bo, ttm.base);
}

/*
 * Page table entries: a DMA address or, for the device's own VRAM, an offset
 * into it. The low bits of a page address are free for flags.
 */
#define DROVER_PTE_VALID	BIT_ULL(0)
#define DROVER_PTE_VRAM		BIT_ULL(1)

struct drover_working_set_fence;

/**
 * struct drover_pair - a BO in a VM
 *
 * drover_gate.c says which states it has. Unless noted otherwise, fields are
 * protected by the VM's gate.
 */
struct drover_pair {
	/** @base: drm_gpuvm's view of it; first */
	struct drm_gpuvm_bo base;
	/** @link: in drover_vm.unarmed */
	struct list_head link;
	/** @resv: the BO's reservation object, if not the VM's; never changes */
	struct dma_resv *resv;
	/** @resv_node: in drover_vm.resvs, if @resv */
	struct rhash_head resv_node;
	/** @fence: its armed working-set fence, with a reference; or NULL */
	struct drover_working_set_fence *fence;
	/** @spare: the next one, not initialised; under the BO's reservation lock */
	struct drover_working_set_fence *spare;
	/** @last_fault: jiffies of the last CPU fault; under the BO's reservation lock */
	unsigned long last_fault;
	/** @fence_context: of its working-set fences */
	u64 fence_context;
	/** @fence_seqno: the last one given out */
	u64 fence_seqno;
	/** @ready: drover_vm.resumes when it was last locked and prepared for arming */
	u64 ready;
	/** @ptes: one entry per page of the BO; written while not @present */
	u64 *ptes;
	/** @evicted: the BO must be validated and @ptes written before it is armed */
	bool evicted;
	/** @present: the engine may use @ptes; stays set while an evicted pair drains */
	bool present;
	/** @was_present: it was present before */
	bool was_present;
	/** @was_validated: it was reachable before, so that the next time is a remap */
	bool was_validated;
	/** @in_aperture: CPUs may have entries of it; under the BO's reservation lock */
	bool in_aperture;
	/** @remapped: validated again since it was armed last */
	bool remapped;
};

#define to_drover_pair(b) container_of(b, struct drover_pair, base)

/**
 * struct drover_engine - a VM's kernel engine: one thread that runs one job at a time
 */
struct drover_engine {
	/** @thread: made with the VM: starting a job allocates nothing */
	struct task_struct *thread;
	/** @wait: woken when @job or @stop changes */
	wait_queue_head_t wait;
	/** @job: what it works on, or NULL; not used by long-running VMs */
	struct drover_job *job;
};

/**
 * struct drover_longrun - a long-running VM's jobs; under the gate
 */
struct drover_longrun {
	/** @commands: commands finished; not under the gate */
	atomic64_t commands;
	/** @jobs: to be run one after the other */
	struct list_head jobs;
	/** @restore_work: resumes the VM when it was suspended with jobs left */
	struct delayed_work restore_work;
	/** @opened: jiffies when the gate was opened last */
	unsigned long opened;
	/** @preempted: jiffies when the engine was asked to stop */
	unsigned long preempted;
	/** @tries: restores that failed in a row */
	unsigned int tries;
	/** @open: the engine may run */
	bool open;
	/** @running: the engine is in a turn; read without the gate */
	bool running;
	/** @preempt: the engine must stop at the next page; read without the gate */
	bool preempt;
	/** @go: there is something to do; read without the gate */
	bool go;
};

/**
 * struct drover_vm_stats - counters of a VM, see struct drm_drover_vm_info
 */
struct drover_vm_stats {
	/** @submitted: jobs */
	u64 submitted;
	/** @completed: jobs */
	u64 completed;
	/** @evictions: pairs taken out of reach */
	u64 evictions;
	/** @invalidations: those by an exporter's request */
	u64 invalidations;
	/** @remaps: pairs made reachable again */
	u64 remaps;
	/** @suspends: times the gate closed for somebody else's move */
	u64 suspends;
	/** @spurious_suspends: pairs that were unarmed and armed again where they were */
	u64 spurious_suspends;
	/** @preemptions: times a long-running job was stopped */
	u64 preemptions;
	/** @resumes: times the gate was opened again */
	u64 resumes;
	/** @failed_checks: CHECK commands */
	u64 failed_checks;
	/** @check_address: of the last one */
	u64 check_address;
	/** @check_found: what was there */
	u32 check_found;
	/** @check_expected: what should have been */
	u32 check_expected;
	/** @fault_address: GPU address of the page fault that lost the VM */
	u64 fault_address;
};

/**
 * struct drover_vm - a GPU address space
 */
struct drover_vm {
	/** @base: drm_gpuvm's view of it; its r_obj carries the shared dma_resv */
	struct drm_gpuvm base;
	/** @drover: the device */
	struct drover_device *drover;
	/** @client: who owns it */
	struct drover_client *client;
	/** @link: in drover_device.vms */
	struct list_head link;
	/** @id: its number in the client */
	u32 id;
	/** @bind_lock: serialises changes of the mappings */
	struct mutex bind_lock;
	/** @va_lock: held for writing while the tree of mappings changes; a leaf but for @gate */
	struct rw_semaphore va_lock;
	/** @aperture: its number in drover_device.apertures; valid if @has_aperture */
	u32 aperture;
	/** @has_aperture: it can be mapped; never changes back */
	bool has_aperture;
	/** @faults: CPU faults served; not under the gate */
	atomic64_t faults;
	/** @dummy: what a CPU finds once the VM is lost */
	struct page *dummy;
	/** @status: a struct drm_drover_vm_status */
	struct page *status;
#ifdef CONFIG_DRM_DROVER_TEST_HOOKS
	/** @aperture_vmas_lock: protects @aperture_vmas and keeps them */
	struct mutex aperture_vmas_lock;
	/** @aperture_vmas: who has the aperture mapped, for the check of removals */
	struct xarray aperture_vmas;
#endif
	/**
	 * @gate: innermost lock: protects the pairs, @unarmed, @last_job,
	 * @suspended, @closed, @lost and @stats. Nothing is allocated and no
	 * fence is waited for under it.
	 */
	struct mutex gate;
	/** @resvs: pairs by foreign reservation object; under the reservation lock */
	struct rhashtable resvs;
	/** @unarmed: pairs that must be armed before the next job */
	struct list_head unarmed;
	/** @gate_flags: DROVER_GATE_CLOSING, set without any lock */
	unsigned long gate_flags;
	/** @wanted: working-set fences that somebody waits for; filled without any lock */
	struct llist_head wanted;
	/** @suspend_work: signals @wanted once the VM has drained */
	struct delayed_work suspend_work;
	/** @is_longrun: a long-running VM */
	bool is_longrun;
	/** @longrun: its jobs */
	struct drover_longrun longrun;
	/** @fence: long-running: working-set fence of the private BOs; or NULL */
	struct drover_working_set_fence *fence;
	/** @spare: long-running: the next one; under the reservation lock */
	struct drover_working_set_fence *spare;
	/** @drain_cb: queues @suspend_work when @last_job is done */
	struct dma_fence_cb drain_cb;
	/** @drain_pending: @drain_cb is in use; cleared by the callback */
	bool drain_pending;
	/** @suspended: drained with the gate closed, not resumed yet */
	bool suspended;
	/** @last_submit: jiffies of the last submission; read without the gate */
	unsigned long last_submit;
	/** @last_job: fence of the last job, or NULL */
	struct dma_fence *last_job;
	/** @closed: no more submissions: the VM is being destroyed */
	bool closed;
	/** @lost: errno that it was lost for, or zero */
	int lost;
	/** @stats: counters */
	struct drover_vm_stats stats;
	/** @resumes: counts calls of drover_vm_validate(); under the reservation lock */
	u64 resumes;
	/** @resuming: such a call is under way; same lock */
	bool resuming;
	/** @bulk: the private BOs on TTM's LRU; under its lru_lock */
	struct ttm_lru_bulk_move bulk;
	/** @sched: one scheduler per VM: nobody stands in line behind another client */
	struct drm_gpu_scheduler sched;
	/** @entity: the only one of @sched */
	struct drm_sched_entity entity;
	/** @submit_wq: runs @sched */
	struct workqueue_struct *submit_wq;
	/** @engine: runs the jobs */
	struct drover_engine engine;
	/** @fence_context: of the jobs' fences */
	u64 fence_context;
	/** @fence_seqno: the last one given out; under the VM's reservation lock */
	u64 fence_seqno;
	/** @jobs: jobs in flight, plus DROVER_JOBS_CLOSED once the VM is closed */
	atomic_t jobs;
	/** @jobs_wait: woken when @jobs falls */
	wait_queue_head_t jobs_wait;
	/** @close_work: tears the VM down when its number is gone */
	struct work_struct close_work;
};

static inline struct drover_vm *to_drover_vm(struct drm_gpuvm *gpuvm)
{
	return container_of(gpuvm, struct drover_vm, base);
}

/**
 * struct drover_va - a mapping
 */
struct drover_va {
	/** @base: drm_gpuvm's view of it */
	struct drm_gpuva base;
	/** @readonly: GPU writes fault */
	bool readonly;
	/** @removed: unmapped, but holds its BO until all locks are dropped */
	struct llist_node removed;
};

#define to_drover_va(v) container_of(v, struct drover_va, base)

/**
 * struct drover_job - a submission on its way through the engine
 */
struct drover_job {
	/** @base: the scheduler's view of it */
	struct drm_sched_job base;
	/** @vm: outlives it: a VM waits for its jobs before it goes */
	struct drover_vm *vm;
	/** @fence: what was published: our own, not the scheduler's */
	struct dma_fence *fence;
	/** @worked: nanoseconds that the engine has worked on it; written by the engine */
	u64 worked;
	/** @step: when the engine counted that last */
	u64 step;
	/** @timed_out: it took too long, which is why the VM is lost */
	bool timed_out;
	/** @commands: what to do */
	struct drm_drover_command *commands;
	/** @num_commands: length of @commands */
	u32 num_commands;
	/** @next: long-running: the next command */
	u32 next;
	/** @offset: long-running: how much of that is done, in bytes or microseconds */
	u64 offset;
	/** @loops: long-running: how often it went back to the start */
	u64 loops;
	/** @link: in drover_longrun.jobs */
	struct list_head link;
};

extern struct workqueue_struct *drover_wq;
extern struct workqueue_struct *drover_fault_wq;
extern const struct dma_buf_ops drover_dma_buf_ops;

/* drover_drv.c */
void drover_client_put(struct drover_client *client);
struct drover_vm *drover_vm_lookup(struct drm_file *file, u32 id);

int drover_make_room(int (*attempt)(void *data, bool evict_own), void *data);
bool drover_is_alone(void);

/* drover_bo.c */
void drover_object_init(struct drover_object *object, struct drm_gem_object *gem);
void drover_object_add(struct drover_device *drover, struct drover_object *object);
void drover_object_fini(struct drover_device *drover, struct drover_object *object);
struct drover_object *drover_object_of(struct drm_gem_object *gem);
int drover_bo_cache_init(void);
void drover_bo_cache_fini(void);
bool drover_is_bo(struct drm_gem_object *gem);
bool drover_is_import(struct drm_gem_object *gem);
int drover_bo_validate(struct drover_bo *bo, struct ttm_operation_ctx *ctx, bool spare_hot);
bool drover_bo_is_hot(struct drover_bo *bo);
void drover_bo_write_ptes(struct drover_bo *bo, u64 *ptes);
int drover_bo_pin(struct drover_bo *bo, bool limited);
void drover_bo_unpin(struct drover_bo *bo);
void drover_bo_unplug(struct drover_bo *bo);
int drover_bo_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int drover_bo_mmap_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int drover_bo_info_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int drover_evict_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

/*
 * In ttm_place.flags, beside TTM's own: don't evict what a VM has just used. A
 * submission touches no shared BO, so those that are used most look cold on the LRU.
 */
#define DROVER_PLACE_SPARE_HOT	BIT(31)

/**
 * struct drover_page_cursor - walks the pages of a BO
 */
struct drover_page_cursor {
	/** @vram_pages: all pages of VRAM */
	struct page **vram_pages;
	/** @blocks: the BO's blocks in VRAM, or NULL */
	struct list_head *blocks;
	/** @block: the present one */
	struct gpu_buddy_block *block;
	/** @pages: the next page */
	struct page **pages;
	/** @left: pages that are left in @block */
	unsigned long left;
};

/* drover_vram.c */
int drover_vram_init(struct drover_device *drover, u64 size);
int drover_gtt_init(struct drover_device *drover, u64 size);
struct sg_table *drover_vram_sg(struct drover_device *drover, struct ttm_resource *res);
struct page **drover_vram_pages(struct drover_device *drover, struct ttm_resource *res,
				unsigned long *count);
unsigned long drover_vram_page_index(struct ttm_resource *res, unsigned long index);
void drover_page_cursor_first(struct drover_page_cursor *cursor, struct drover_device *drover,
			      struct ttm_resource *res, struct ttm_tt *tt);
unsigned long drover_page_cursor_run(struct drover_page_cursor *cursor, unsigned long max);
struct page *drover_page_cursor_advance(struct drover_page_cursor *cursor, unsigned long count);
void drover_vram_write_ptes(struct ttm_resource *res, u64 *ptes);
void drover_sg_write_ptes(struct sg_table *sgt, u64 *ptes);

/* drover_tt.c */
int drover_kept_init(struct drover_device *drover);
void drover_kept_unplug(struct drover_device *drover);
void drover_tt_keep(struct ttm_tt *tt, bool poisoned);
void drover_tt_stay(struct ttm_tt *tt);
struct ttm_tt *drover_tt_create(struct ttm_buffer_object *bo, u32 page_flags);
int drover_tt_populate(struct ttm_device *bdev, struct ttm_tt *tt,
		       struct ttm_operation_ctx *ctx);
void drover_tt_unpopulate(struct ttm_device *bdev, struct ttm_tt *tt);
void drover_tt_destroy(struct ttm_device *bdev, struct ttm_tt *tt);
int drover_tt_map(struct drover_device *drover, struct ttm_tt *ttm);
struct sg_table *drover_tt_sg(struct ttm_tt *tt);
void drover_tt_unplug(struct drover_device *drover, struct ttm_tt *tt);

/* drover_move.c */
extern const struct ttm_device_funcs drover_ttm_funcs;
int drover_bo_vmap(struct drm_gem_object *gem, struct iosys_map *map);
void drover_bo_vunmap(struct drm_gem_object *gem, struct iosys_map *map);

/* drover_vm.c */
int drover_vm_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int drover_vm_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int drover_vm_info_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int drover_vm_get_info(struct drover_vm *vm, struct drm_drover_vm_info *info);
void drover_vm_close(struct drover_vm *vm);
void drover_vm_free(struct drm_gpuvm *gpuvm);
int drover_pair_validate(struct drover_pair *pair, struct ttm_operation_ctx *ctx, bool spare_hot);
int drover_vm_validate(struct drover_vm *vm, struct drm_exec *exec, bool evict_own);
void drover_vm_lose_locked(struct drover_vm *vm, int reason);
void drover_vm_lose(struct drover_vm *vm, int reason);
int drover_vm_usable(struct drover_vm *vm);

/* drover_bind.c */
extern const struct drm_gpuvm_ops drover_gpuvm_ops;
int drover_vm_bind_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
void drover_vm_unbind_all(struct drover_vm *vm);

/* drover_gate.c */
void drover_pair_init(struct drover_pair *pair);
void drover_pair_publish(struct drover_pair *pair);
int drover_pair_prepare(struct drover_pair *pair);
int drover_gate_prepare(struct drover_vm *vm);
void drover_pair_validated(struct drover_pair *pair);
void drover_pair_remove(struct drover_pair *pair);
bool drover_gate_is_open(struct drover_vm *vm);
void drover_gate_close(struct drover_vm *vm);
bool drover_gate_open(struct drover_vm *vm);
void drover_gate_fini(struct drover_vm *vm);
void drover_vm_suspend_work(struct work_struct *work);
bool drover_object_invalidate(struct drm_gem_object *gem, bool by_exporter);
bool drover_object_is_present(struct drm_gem_object *gem);
void drover_object_unmap(struct drm_gem_object *gem);
int drover_object_drain(struct drm_gem_object *gem, bool interruptible);
int drover_vm_drain(struct drover_vm *vm, bool interruptible);
bool drover_vm_is_drained(struct drover_vm *vm);
struct dma_fence *drover_object_busy(struct drm_gem_object *gem);
int drover_pair_publish_resv(struct drover_pair *pair);
int drover_gate_init(struct drover_vm *vm);
void drover_gate_forget(struct drover_vm *vm, struct dma_resv *resv);

/* drover_exec.c */
int drover_submit_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int drover_exec_reserve(struct drm_exec *exec);
void drover_vm_free_place(struct drover_vm *vm);
void drover_vm_close_places(struct drover_vm *vm);
void drover_vm_wait_places(struct drover_vm *vm);
int drover_sched_start_vm(struct drover_vm *vm);
void drover_sched_stop_vm(struct drover_vm *vm);

/* drover_engine.c */
int drover_engine_thread(void *data);
int drover_engine_start(struct drover_engine *engine, int (*thread)(void *data), void *data,
			u32 device);
void drover_engine_stop(struct drover_engine *engine);
void drover_engine_run(struct drover_engine *engine, struct drover_job *job);
void drover_engine_wait_idle(struct drover_engine *engine);
int drover_engine_run_command(struct drover_job *job, const struct drm_drover_command *command);
int drover_command_check(const struct drm_drover_command *command, bool is_longrun, bool is_last);

/* drover_longrun.c */
int drover_longrun_start(struct drover_vm *vm);
void drover_longrun_stop(struct drover_vm *vm);
void drover_longrun_submit(struct drover_vm *vm, struct drover_job *job);
bool drover_longrun_check_drained(struct drover_vm *vm);
int drover_longrun_drain(struct drover_vm *vm, bool interruptible);
void drover_longrun_opened(struct drover_vm *vm);
void drover_longrun_restore(struct drover_vm *vm);

/* drover_aperture.c */
u64 drover_aperture_address(struct vm_area_struct *vma, unsigned long address);
void drover_aperture_drop(struct drover_vm *vm, u64 va, u64 size);
void drover_aperture_remove(struct drover_vm *vm, u64 va, u64 size);
void drover_aperture_remove_object(struct drm_gem_object *gem);
int drover_mmap(struct file *filp, struct vm_area_struct *vma);
int drover_vm_mmap_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
void drover_aperture_show_lost(struct drover_vm *vm);
void drover_aperture_forget(struct drover_vm *vm);
void drover_aperture_init(struct drover_vm *vm);
void drover_aperture_fini(struct drover_vm *vm);

/* drover_fault.c */
vm_fault_t drover_aperture_fault(struct vm_fault *vmf);
vm_fault_t drover_aperture_huge_fault(struct vm_fault *vmf, unsigned int order);
vm_fault_t drover_aperture_pfn_mkwrite(struct vm_fault *vmf);
int drover_aperture_access(struct vm_area_struct *vma, unsigned long address, void *buf, int len,
			   int write);

/* drover_prime.c */
extern const struct rhashtable_params drover_import_params;
struct dma_buf *drover_gem_export(struct drm_gem_object *gem, int flags);
struct drm_gem_object *drover_gem_import(struct drm_device *drm, struct dma_buf *dma_buf);
int drover_import_validate(struct drover_import *import);
void drover_import_unplug(struct drover_import *import);

/* drover_show.c */
void drover_show_fdinfo(struct drm_printer *p, struct drm_file *file);
void drover_debugfs_init(struct drover_device *drover);

#ifdef CONFIG_DRM_DROVER_TEST_HOOKS
static inline bool drover_hook_skip_invalidation(struct drover_device *drover)
{
	return atomic_dec_if_positive(&drover->skip_invalidations) >= 0;
}
#else
static inline bool drover_hook_skip_invalidation(struct drover_device *drover)
{
	return false;
}
#endif

#endif
