// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The module: parameters, devices, files, the ioctl table.
 */

#include <linux/cc_platform.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_managed.h>

#include "drover_drv.h"

/**
 * DOC: devices
 *
 * Each virtual GPU is a platform device of its own with a DRM device of its
 * own. Nothing is shared between two of them but the code, so what passes
 * between them goes through dma-buf.
 *
 * Unplug: ioctls are turned away, every VM is lost and drains, imports are
 * given back before the platform device goes, exports are invalidated and
 * refused from then on. VRAM lives until the last reference to the DRM device,
 * for whoever still has it mapped.
 *
 * &drover_device.objects_lock protects the lists by which a device finds its
 * objects, clients and VMs; only a VM's gate is taken under it.
 */

static unsigned int devices = 2;
module_param(devices, uint, 0444);
MODULE_PARM_DESC(devices, "number of virtual GPUs, 1 to 16 (default 2)");

static unsigned int vram_mib = 256;
module_param(vram_mib, uint, 0444);
MODULE_PARM_DESC(vram_mib, "VRAM of each GPU in MiB, allocated from system memory (default 256)");

static unsigned int gtt_mib;
module_param(gtt_mib, uint, 0444);
MODULE_PARM_DESC(gtt_mib, "system memory that each GPU may reach in MiB (default 0: half of it)");

static bool p2p = true;
module_param(p2p, bool, 0444);
MODULE_PARM_DESC(p2p, "peers may map VRAM in place; else it moves to GTT for them (default Y)");

static unsigned int pin_limit_mib;
module_param(pin_limit_mib, uint, 0444);
MODULE_PARM_DESC(pin_limit_mib, "how much of each GPU's memory may be pinned in MiB (default 0: half of gtt_mib)");

static bool pin_imports;
module_param(pin_imports, bool, 0444);
MODULE_PARM_DESC(pin_imports, "for comparison: pin imports, as most drivers do (default N)");

static unsigned int min_run_ms = 10;
module_param(min_run_ms, uint, 0444);
MODULE_PARM_DESC(min_run_ms, "what a VM used less than this ago is evicted only if nothing else is left (default 10)");

static char *fence_mode = "working_set";
module_param(fence_mode, charp, 0444);
MODULE_PARM_DESC(fence_mode, "working_set: submissions touch no shared BO (default); job: for comparison, each one fences each shared BO");

/* Closing of VMs and unmapping of stale imports. */
struct workqueue_struct *drover_wq;
/* Faults of the kernel's own, which may be as many as there are threads. */
struct workqueue_struct *drover_fault_wq;

/*
 * Held for writing by the later tries of an operation that found no memory, for
 * reading by the first ones, so that contention on reservation locks doesn't
 * pass for a lack of memory again. One for all devices: validating an import
 * moves BOs of its exporter.
 */
static DECLARE_RWSEM(drover_exclusive);

/* Who holds it for writing. */
static struct task_struct *drover_alone;

#define DROVER_ROOM_TRIES 4

static struct platform_device *drover_pdevs[DROVER_MAX_DEVICES];
static atomic_t drover_devices_alive = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(drover_devices_gone);

static bool drover_found_no_room(int ret)
{
	return ret == -ENOMEM || ret == -ENOSPC;
}

/**
 * drover_make_room - run something that may have to evict
 * @attempt: locks, validates and commits, or undoes everything; @evict_own is
 *	false the first time, and then true: whatever can be evicted may be
 * @data: its argument
 *
 * TTM reports a deadlock back-off and a BO that somebody else has locked as a lack
 * of memory. So that has to be said again with nobody beside: it still may
 * be a CPU's fault or a foreign driver that holds a lock, for a moment.
 *
 * Return: what the last attempt returned.
 */
int drover_make_room(int (*attempt)(void *data, bool evict_own), void *data)
{
	int ret, tries;

	ret = down_read_killable(&drover_exclusive);
	if (ret)
		return ret;
	ret = attempt(data, false);
	up_read(&drover_exclusive);
	if (!drover_found_no_room(ret))
		return ret;

	if (down_write_killable(&drover_exclusive))
		return -EINTR;
	WRITE_ONCE(drover_alone, current);
	for (tries = 0; drover_found_no_room(ret) && tries < DROVER_ROOM_TRIES; tries++) {
		if (tries)
			usleep_range(500, 1000);
		ret = attempt(data, true);
	}
	WRITE_ONCE(drover_alone, NULL);
	up_write(&drover_exclusive);
	return ret;
}

/**
 * drover_is_alone - is this a later try of drover_make_room()?
 *
 * Return: whether what has just been used may be evicted by now.
 */
bool drover_is_alone(void)
{
	return READ_ONCE(drover_alone) == current;
}

static void drover_client_free(struct kref *kref)
{
	struct drover_client *client = container_of(kref, struct drover_client, kref);

	xa_destroy(&client->vms);
	kfree(client);
}

/**
 * drover_client_put - drop a reference to what a file is charged for
 * @client: the client
 */
void drover_client_put(struct drover_client *client)
{
	kref_put(&client->kref, drover_client_free);
}

/**
 * drover_vm_lookup - find a VM by its number
 * @file: the file that it belongs to
 * @id: the number
 *
 * Return: the VM with a reference, to be dropped with drm_gpuvm_put(); or NULL.
 */
struct drover_vm *drover_vm_lookup(struct drm_file *file, u32 id)
{
	struct drover_client *client = file->driver_priv;
	struct drover_vm *vm;

	xa_lock(&client->vms);
	vm = xa_load(&client->vms, id);
	if (vm)
		drm_gpuvm_get(&vm->base);
	xa_unlock(&client->vms);
	return vm;
}

static int drover_open(struct drm_device *drm, struct drm_file *file)
{
	struct drover_device *drover = to_drover(drm);
	struct drover_client *client;

	client = kzalloc_obj(*client);
	if (!client)
		return -ENOMEM;

	kref_init(&client->kref);
	xa_init_flags(&client->vms, XA_FLAGS_ALLOC1);
	client->pid = task_tgid_nr(current);
	get_task_comm(client->comm, current);

	mutex_lock(&drover->objects_lock);
	list_add_tail(&client->link, &drover->clients);
	mutex_unlock(&drover->objects_lock);

	file->driver_priv = client;
	return 0;
}

static void drover_postclose(struct drm_device *drm, struct drm_file *file)
{
	struct drover_device *drover = to_drover(drm);
	struct drover_client *client = file->driver_priv;
	struct drover_vm *vm;
	unsigned long id;

	xa_for_each(&client->vms, id, vm) {
		xa_erase(&client->vms, id);
		drover_vm_close(vm);
	}

	mutex_lock(&drover->objects_lock);
	list_del(&client->link);
	mutex_unlock(&drover->objects_lock);

	drover_client_put(client);
}

static int drover_device_info_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drover_device *drover = to_drover(drm);
	struct drm_drover_device_info *info = data;

	*info = (struct drm_drover_device_info) {
		.flags = (drover->p2p ? DRM_DROVER_DEVICE_P2P : 0) |
			 (drover->pin_imports ? DRM_DROVER_DEVICE_PIN_IMPORTS : 0) |
			 (drover->fence_mode_job ? DRM_DROVER_DEVICE_FENCE_MODE_JOB : 0),
		.vram_size = drover->vram.buddy.size,
		.vram_used = ttm_resource_manager_usage(&drover->vram.manager),
		.gtt_size = drover->gtt.size << PAGE_SHIFT,
		.gtt_used = ttm_resource_manager_usage(&drover->gtt),
		.pin_limit = drover->pin_limit,
		.pinned = atomic64_read(&drover->pinned),
		.pinned_max = atomic64_read(&drover->pinned_max),
		.va_start = DROVER_VA_START,
		.va_end = DROVER_VA_END,
		.evictions = atomic64_read(&drover->evictions),
		.bytes_moved = atomic64_read(&drover->bytes_moved),
		.device_index = drover->index,
		.max_jobs = DROVER_MAX_JOBS,
		.job_timeout_ms = DROVER_JOB_TIMEOUT_MS,
		.max_commands = DROVER_MAX_COMMANDS,
		.max_syncs = DROVER_MAX_SYNCS,
		.max_buffers = DROVER_MAX_BUFFERS,
		.max_binds = DROVER_MAX_BINDS,
		.max_vms = DROVER_MAX_CLIENT_VMS,
	};
	return 0;
}

#define DROVER_IOCTL(name, func) \
	DRM_IOCTL_DEF_DRV(DROVER_##name, func, DRM_RENDER_ALLOW)

static const struct drm_ioctl_desc drover_ioctls[] = {
	DROVER_IOCTL(DEVICE_INFO, drover_device_info_ioctl),
	DROVER_IOCTL(BO_CREATE, drover_bo_create_ioctl),
	DROVER_IOCTL(BO_MMAP, drover_bo_mmap_ioctl),
	DROVER_IOCTL(BO_INFO, drover_bo_info_ioctl),
	DROVER_IOCTL(VM_CREATE, drover_vm_create_ioctl),
	DROVER_IOCTL(VM_DESTROY, drover_vm_destroy_ioctl),
	DROVER_IOCTL(VM_BIND, drover_vm_bind_ioctl),
	DROVER_IOCTL(VM_INFO, drover_vm_info_ioctl),
	DROVER_IOCTL(SUBMIT, drover_submit_ioctl),
	DROVER_IOCTL(EVICT, drover_evict_ioctl),
	DROVER_IOCTL(VM_MMAP, drover_vm_mmap_ioctl),
};

/*
 * What may touch the device; everything else may wait for long. As in the core
 * it is the number that counts: the size may be an older or a newer one.
 */
static bool drover_ioctl_needs_device(unsigned int command)
{
	unsigned int nr = DRM_IOCTL_NR(command);

	return (nr >= DRM_COMMAND_BASE && nr < DRM_COMMAND_END) ||
	       nr == DRM_IOCTL_NR(DRM_IOCTL_PRIME_FD_TO_HANDLE) ||
	       nr == DRM_IOCTL_NR(DRM_IOCTL_PRIME_HANDLE_TO_FD);
}

/* Unplug waits for these to return before it takes anything away. */
static long drover_call_ioctl(struct file *filp, unsigned int command, unsigned long arg,
			      long (*ioctl)(struct file *, unsigned int, unsigned long))
{
	struct drm_file *file = filp->private_data;
	long ret;
	int idx;

	if (!drover_ioctl_needs_device(command))
		return ioctl(filp, command, arg);

	if (!drm_dev_enter(file->minor->dev, &idx))
		return -ENODEV;
	ret = ioctl(filp, command, arg);
	drm_dev_exit(idx);
	return ret;
}

static long drover_ioctl(struct file *filp, unsigned int command, unsigned long arg)
{
	return drover_call_ioctl(filp, command, arg, drm_ioctl);
}

#ifdef CONFIG_COMPAT
static long drover_compat_ioctl(struct file *filp, unsigned int command, unsigned long arg)
{
	return drover_call_ioctl(filp, command, arg, drm_compat_ioctl);
}
#else
#define drover_compat_ioctl NULL
#endif

static const struct file_operations drover_fops = {
	.owner = THIS_MODULE,
	.open = drm_open,
	.release = drm_release,
	.unlocked_ioctl = drover_ioctl,
	.compat_ioctl = drover_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.mmap = drover_mmap,
	.show_fdinfo = drm_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

static const struct drm_driver drover_driver = {
	.driver_features = DRIVER_GEM | DRIVER_RENDER | DRIVER_SYNCOBJ |
			   DRIVER_SYNCOBJ_TIMELINE | DROVER_DRIVER_GEM_GPUVA,
	.name = "drover",
	.desc = "Virtual GPUs with evictable shared memory",
	.major = 0,
	.minor = 1,
	.fops = &drover_fops,
	.open = drover_open,
	.postclose = drover_postclose,
	.show_fdinfo = drover_show_fdinfo,
	.gem_prime_import = drover_gem_import,
	.ioctls = drover_ioctls,
	.num_ioctls = ARRAY_SIZE(drover_ioctls),
};

static int drover_check_dma(struct device *dev)
{
	if (device_iommu_mapped(dev)) {
		dev_err(dev, "behind an IOMMU: the engine could not find memory by DMA address\n");
		return -EOPNOTSUPP;
	}
	if (cc_platform_has(CC_ATTR_MEM_ENCRYPT)) {
		dev_err(dev, "memory is encrypted: the engine could not read it by DMA address\n");
		return -EOPNOTSUPP;
	}
	return dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
}

static void drover_device_gone(struct drm_device *drm, void *unused)
{
	xa_destroy(&to_drover(drm)->apertures);
	rhashtable_destroy(&to_drover(drm)->imports);
	mutex_destroy(&to_drover(drm)->objects_lock);
	if (atomic_dec_and_test(&drover_devices_alive))
		wake_up(&drover_devices_gone);
}

static void drover_destroy_wq(struct drm_device *drm, void *wq)
{
	destroy_workqueue(wq);
}

/* Takes over @wq, NULL included. */
static int drover_add_wq(struct drm_device *drm, struct workqueue_struct *wq)
{
	return wq ? drmm_add_action_or_reset(drm, drover_destroy_wq, wq) : -ENOMEM;
}

static void drover_fini_ttm(struct drm_device *drm, void *unused)
{
	ttm_device_fini(&to_drover(drm)->ttm);
}

static u64 drover_gtt_size(void)
{
	if (gtt_mib)
		return (u64)gtt_mib << 20;
	return (u64)(totalram_pages() / 2) << PAGE_SHIFT;
}

static void drover_init_fields(struct drover_device *drover, u32 index)
{
	drover->index = index;
	drover->p2p = p2p;
	drover->pin_imports = pin_imports;
	drover->fence_mode_job = !strcmp(fence_mode, "job");
	drover->min_run = msecs_to_jiffies(min_run_ms);
	drover->pin_limit = pin_limit_mib ? (u64)pin_limit_mib << 20 : drover_gtt_size() / 2;
	mutex_init(&drover->objects_lock);
	INIT_LIST_HEAD(&drover->objects);
	INIT_LIST_HEAD(&drover->clients);
	INIT_LIST_HEAD(&drover->vms);
	init_waitqueue_head(&drover->attachments_gone);
}

/* Everything is undone when the DRM device goes, in reverse. */
static int drover_init(struct drover_device *drover, u32 index)
{
	struct drm_device *drm = &drover->drm;
	int ret;

	drover_init_fields(drover, index);
	xa_init_flags(&drover->apertures, XA_FLAGS_ALLOC);
	ret = rhashtable_init(&drover->imports, &drover_import_params);
	if (ret)
		return ret;
	atomic_inc(&drover_devices_alive);
	ret = drmm_add_action_or_reset(drm, drover_device_gone, NULL);
	if (ret)
		return ret;

	/* On the way to signalled fences: both must go on when memory is short. */
	drover->timeout_wq = alloc_ordered_workqueue("drover-timeout", WQ_MEM_RECLAIM);
	ret = drover_add_wq(drm, drover->timeout_wq);
	if (ret)
		return ret;
	drover->gate_wq = alloc_workqueue("drover-gate", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	ret = drover_add_wq(drm, drover->gate_wq);
	if (ret)
		return ret;

	ret = drover_ttm_device_init(&drover->ttm, &drover_ttm_funcs, drm);
	if (ret)
		return ret;
	ret = drmm_add_action_or_reset(drm, drover_fini_ttm, NULL);
	if (ret)
		return ret;

	ret = drover_gtt_init(drover, drover_gtt_size());
	if (ret)
		return ret;
	ret = drover_vram_init(drover, (u64)vram_mib << 20);
	if (ret) {
		drm_err(drm, "no memory for %u MiB of VRAM: choose a smaller vram_mib\n", vram_mib);
		return ret;
	}
	return drover_kept_init(drover);
}

static int drover_probe(struct platform_device *pdev)
{
	struct drover_device *drover;
	int ret;

	ret = drover_check_dma(&pdev->dev);
	if (ret)
		return ret;

	drover = devm_drm_dev_alloc(&pdev->dev, &drover_driver, struct drover_device, drm);
	if (IS_ERR(drover))
		return PTR_ERR(drover);

	ret = drover_init(drover, platform_get_device_id(pdev)->driver_data);
	if (ret)
		return ret;

	drover_debugfs_init(drover);
	ret = drm_dev_register(&drover->drm, 0);
	if (ret)
		return ret;
	platform_set_drvdata(pdev, drover);
	return 0;
}

/*
 * A BO may be left to CPU mappings and to TTM alone, which count on their own, so
 * TTM's reference is taken.
 */
static bool drover_object_get(struct drover_object *object)
{
	struct drm_gem_object *gem = object->gem;

	return kref_get_unless_zero(drover_is_import(gem) ? &gem->refcount :
				    &gem_to_drover_bo(gem)->ttm.kref);
}

static void drover_object_unplug(struct drover_object *object)
{
	struct drm_gem_object *gem = object->gem;

	if (drover_is_import(gem)) {
		drover_import_unplug(to_drover_import(gem));
		drm_gem_object_put(gem);
	} else {
		drover_bo_unplug(gem_to_drover_bo(gem));
		drover_ttm_bo_fini(&gem_to_drover_bo(gem)->ttm);
	}
}

/* Any BO or import that isn't cut off yet, with a reference; those that are go last. */
static struct drover_object *drover_next_plugged(struct drover_device *drover)
{
	struct drover_object *object, *found = NULL;

	mutex_lock(&drover->objects_lock);
	list_for_each_entry(object, &drover->objects, link) {
		if (object->unplugged)
			break;
		if (!drover_object_get(object))
			continue;
		found = object;
		found->unplugged = true;
		list_move_tail(&found->link, &drover->objects);
		break;
	}
	mutex_unlock(&drover->objects_lock);
	return found;
}

static void drover_unplug_objects(struct drover_device *drover)
{
	struct drover_object *object;

	while ((object = drover_next_plugged(drover)))
		drover_object_unplug(object);

	/* Imports that were just being freed detach on their own. */
	wait_event(drover->attachments_gone, !atomic_read(&drover->attachments));
}

static void drover_lose_vms(struct drover_device *drover)
{
	struct drover_vm *vm;

	mutex_lock(&drover->objects_lock);
	list_for_each_entry(vm, &drover->vms, link)
		drover_vm_lose(vm, ENODEV);
	mutex_unlock(&drover->objects_lock);
}

static void drover_remove(struct platform_device *pdev)
{
	struct drover_device *drover = platform_get_drvdata(pdev);

	/* First, so that nobody waits for a job inside of what unplug waits for. */
	drover_lose_vms(drover);
	drm_dev_unplug(&drover->drm);
	/* What was made in the meantime. */
	drover_lose_vms(drover);
	drover_unplug_objects(drover);
	drover_kept_unplug(drover);
}

/*
 * Each device has a name of its own: libdrm takes platform devices with equal
 * names for one device.
 */
#define DROVER_ID(n) { .name = "drover" #n, .driver_data = n }

static const struct platform_device_id drover_ids[DROVER_MAX_DEVICES + 1] = {
	DROVER_ID(0), DROVER_ID(1), DROVER_ID(2), DROVER_ID(3),
	DROVER_ID(4), DROVER_ID(5), DROVER_ID(6), DROVER_ID(7),
	DROVER_ID(8), DROVER_ID(9), DROVER_ID(10), DROVER_ID(11),
	DROVER_ID(12), DROVER_ID(13), DROVER_ID(14), DROVER_ID(15),
};

static struct platform_driver drover_platform_driver = {
	.driver = { .name = "drover" },
	.id_table = drover_ids,
	.probe = drover_probe,
	.remove = drover_remove,
};

static void drover_unregister_devices(void)
{
	int i;

	for (i = 0; i < DROVER_MAX_DEVICES && drover_pdevs[i]; i++)
		platform_device_unregister(drover_pdevs[i]);
}

static int drover_register_devices(void)
{
	unsigned int i;

	for (i = 0; i < devices; i++) {
		struct platform_device *pdev;

		pdev = platform_device_register_simple(drover_ids[i].name,
						       PLATFORM_DEVID_NONE, NULL, 0);
		if (IS_ERR(pdev)) {
			drover_unregister_devices();
			return PTR_ERR(pdev);
		}
		drover_pdevs[i] = pdev;
		if (!platform_get_drvdata(pdev)) {
			pr_err("drover: GPU %u could not be set up; see the message above\n", i);
			drover_unregister_devices();
			return -ENODEV;
		}
	}
	return 0;
}

static int drover_check_parameters(void)
{
	if (strcmp(fence_mode, "working_set") && strcmp(fence_mode, "job")) {
		pr_err("drover: fence_mode=%s: expected working_set or job\n", fence_mode);
		return -EINVAL;
	}
	if (!devices || devices > DROVER_MAX_DEVICES) {
		pr_err("drover: devices=%u: expected 1 to %d\n", devices, DROVER_MAX_DEVICES);
		return -EINVAL;
	}
	if (min_run_ms > 1000) {
		pr_err("drover: min_run_ms=%u: expected 0 to 1000\n", min_run_ms);
		return -EINVAL;
	}
	if (!vram_mib || vram_mib > 1 << 20) {
		pr_err("drover: vram_mib=%u: expected 1 to %d\n", vram_mib, 1 << 20);
		return -EINVAL;
	}
	return 0;
}

static void drover_destroy_wqs(void)
{
	if (drover_fault_wq)
		destroy_workqueue(drover_fault_wq);
	if (drover_wq)
		destroy_workqueue(drover_wq);
}

static int __init drover_module_init(void)
{
	int ret;

	BUILD_BUG_ON(PAGE_SIZE != SZ_4K);

	ret = drover_check_parameters();
	if (ret)
		return ret;

	ret = drover_bo_cache_init();
	if (ret)
		return ret;

	drover_wq = alloc_workqueue("drover", WQ_UNBOUND, 0);
	drover_fault_wq = alloc_workqueue("drover-fault", WQ_UNBOUND, 0);
	if (!drover_wq || !drover_fault_wq) {
		ret = -ENOMEM;
		goto err_wq;
	}

	ret = platform_driver_register(&drover_platform_driver);
	if (ret)
		goto err_wq;
	ret = drover_register_devices();
	if (ret)
		goto err_driver;
	return 0;

err_driver:
	platform_driver_unregister(&drover_platform_driver);
	wait_event(drover_devices_gone, !atomic_read(&drover_devices_alive));
err_wq:
	drover_destroy_wqs();
	drover_bo_cache_fini();
	return ret;
}

/*
 * No file, dma-buf or fence is left, or the module could not go; what is left
 * is work under way.
 */
static void __exit drover_module_exit(void)
{
	drover_unregister_devices();
	platform_driver_unregister(&drover_platform_driver);
	wait_event(drover_devices_gone, !atomic_read(&drover_devices_alive));
	drover_destroy_wqs();
	drover_bo_cache_fini();
	rcu_barrier();
}

module_init(drover_module_init);
module_exit(drover_module_exit);

MODULE_DESCRIPTION("Virtual GPUs with evictable shared memory");
MODULE_VERSION("0.1.0");
MODULE_LICENSE("Dual MIT/GPL");
