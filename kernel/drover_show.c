// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What can be seen from outside: fdinfo and debugfs.
 */

#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include <drm/drm_debugfs.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>

#include "drover_drv.h"

/**
 * DOC: fdinfo and debugfs
 *
 * fdinfo follows the DRM standard, so that gputop works as it is: a BO counts in
 * total for the region that it prefers, and as resident in the one where it is.
 * What is pinned comes in a key of our own.
 *
 * debugfs: gem, vms and client_stats list what there is (clients is the DRM
 * core's own), kept_pages counts what drover_tt.c keeps for evictions. Numbers
 * are snapshots; places and counters are read without the locks that they change
 * under.
 */

enum drover_region {
	DROVER_REGION_VRAM,
	DROVER_REGION_GTT,
	DROVER_REGION_FOREIGN,
	DROVER_REGIONS,
};

static const char * const drover_region_names[DROVER_REGIONS] = { "vram", "gtt", "foreign" };

static enum drover_region drover_preferred_region(struct drm_gem_object *gem)
{
	if (drover_is_import(gem))
		return DROVER_REGION_FOREIGN;
	return gem_to_drover_bo(gem)->preferred == DRM_DROVER_PLACEMENT_VRAM ?
		DROVER_REGION_VRAM : DROVER_REGION_GTT;
}

static void drover_count_object(struct drm_gem_object *gem, struct drm_memory_stats *stats)
{
	struct drm_memory_stats *total = &stats[drover_preferred_region(gem)];

	if (drm_gem_object_is_shared_for_memory_stats(gem))
		total->shared += gem->size;
	else
		total->private += gem->size;

	switch (READ_ONCE(drover_object_of(gem)->placement)) {
	case DRM_DROVER_PLACEMENT_VRAM:
		stats[DROVER_REGION_VRAM].resident += gem->size;
		break;
	case DRM_DROVER_PLACEMENT_GTT:
		stats[DROVER_REGION_GTT].resident += gem->size;
		break;
	case DRM_DROVER_PLACEMENT_FOREIGN:
		stats[DROVER_REGION_FOREIGN].resident += gem->size;
		break;
	}
}

/**
 * drover_show_fdinfo - print a client's share for /proc/PID/fdinfo
 * @p: where to
 * @file: the client's file
 */
void drover_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct drover_client *client = file->driver_priv;
	struct drm_memory_stats stats[DROVER_REGIONS] = {};
	struct drm_gem_object *gem;
	int i;

	spin_lock(&file->table_lock);
	idr_for_each_entry(&file->object_idr, gem, i)
		drover_count_object(gem, stats);
	spin_unlock(&file->table_lock);

	for (i = 0; i < DROVER_REGIONS; i++)
		drm_print_memory_stats(p, &stats[i], DRM_GEM_OBJECT_RESIDENT,
				       drover_region_names[i]);
	drm_printf(p, "drm-engine-kernel:\t%llu ns\n",
		   (u64)atomic64_read(&client->busy_ns));
	drm_printf(p, "drover-pinned:\t%llu KiB\n",
		   (u64)atomic64_read(&client->pinned) >> 10);
}

static const char *drover_placement_name(u32 placement)
{
	switch (placement) {
	case DRM_DROVER_PLACEMENT_VRAM:
		return "vram";
	case DRM_DROVER_PLACEMENT_GTT:
		return "gtt";
	case DRM_DROVER_PLACEMENT_FOREIGN:
		return "foreign";
	default:
		return "evicted";
	}
}

static int drover_debugfs_gem(struct seq_file *m, void *unused)
{
	struct drm_debugfs_entry *entry = m->private;
	struct drover_device *drover = to_drover(entry->dev);
	struct drover_object *object;
	struct drover_bo *bo;

	seq_puts(m, "size placement pins evictions moves remaps owner kind\n");
	mutex_lock(&drover->objects_lock);
	list_for_each_entry(object, &drover->objects, link) {
		bo = drover_is_bo(object->gem) ? gem_to_drover_bo(object->gem) : NULL;
		seq_printf(m, "%zu %s %u %lld %lld %lld %d %s\n",
			   object->gem->size,
			   drover_placement_name(READ_ONCE(object->placement)),
			   bo ? READ_ONCE(bo->ttm.pin_count) : 0,
			   atomic64_read(&object->evictions),
			   atomic64_read(&object->moves),
			   atomic64_read(&object->remaps),
			   bo ? bo->client->pid : 0,
			   !bo ? "import" : bo->vm ? "private" : "shared");
	}
	mutex_unlock(&drover->objects_lock);
	return 0;
}

static int drover_show_vm(struct seq_file *m, struct drover_vm *vm)
{
	struct drm_drover_vm_info info = {};
	struct drover_pair *pair;
	const char *state;
	u32 unarmed = 0;
	int ret;

	ret = drover_vm_get_info(vm, &info);
	if (ret)
		return ret;

	mutex_lock(&vm->gate);
	state = vm->lost ? "lost" : vm->suspended ? "suspended" : "running";
	list_for_each_entry(pair, &vm->unarmed, link)
		unarmed++;
	mutex_unlock(&vm->gate);

	seq_printf(m, "%d %u %s %u %llu %llu %llu %llu %llu %llu %llu %llu",
		   vm->client->pid, vm->id, state, unarmed, info.submitted, info.completed,
		   info.evictions, info.invalidations, info.remaps, info.suspends,
		   info.spurious_suspends, info.resumes);
	seq_printf(m, " %d %llu %u %u %llu %llu\n", vm->is_longrun, info.faults, info.bos,
		   info.evicted_bos, info.resident_bytes, info.evicted_bytes);
	return 0;
}

/*
 * The VM at a place in the device's list, with a reference. A VM has to be looked
 * at without the list's lock: its own locks come before that one.
 */
static struct drover_vm *drover_nth_vm(struct drover_device *drover, unsigned int n)
{
	struct drover_vm *vm, *found = NULL;

	mutex_lock(&drover->objects_lock);
	list_for_each_entry(vm, &drover->vms, link) {
		if (n--)
			continue;
		drm_gpuvm_get(&vm->base);
		found = vm;
		break;
	}
	mutex_unlock(&drover->objects_lock);
	return found;
}

static int drover_debugfs_vms(struct seq_file *m, void *unused)
{
	struct drm_debugfs_entry *entry = m->private;
	struct drover_device *drover = to_drover(entry->dev);
	struct drover_vm *vm;
	unsigned int n = 0;
	int ret = 0;

	seq_puts(m, "pid vm state unarmed submitted completed ");
	seq_puts(m, "evictions invalidations remaps suspends spurious_suspends resumes ");
	seq_puts(m, "long_running faults bos evicted_bos resident_bytes evicted_bytes\n");
	while (!ret && (vm = drover_nth_vm(drover, n++))) {
		ret = drover_show_vm(m, vm);
		drm_gpuvm_put(&vm->base);
	}
	return ret;
}

static int drover_debugfs_clients(struct seq_file *m, void *unused)
{
	struct drm_debugfs_entry *entry = m->private;
	struct drover_device *drover = to_drover(entry->dev);
	struct drover_client *client;

	seq_puts(m, "pid pinned busy_ns command\n");
	mutex_lock(&drover->objects_lock);
	list_for_each_entry(client, &drover->clients, link)
		seq_printf(m, "%d %lld %lld %s\n", client->pid,
			   atomic64_read(&client->pinned),
			   atomic64_read(&client->busy_ns), client->comm);
	mutex_unlock(&drover->objects_lock);
	return 0;
}

static int drover_debugfs_kept(struct seq_file *m, void *unused)
{
	struct drm_debugfs_entry *entry = m->private;
	struct drover_kept_pages *kept = &to_drover(entry->dev)->kept;

	seq_puts(m, "pages taken\n");
	spin_lock(&kept->lock);
	seq_printf(m, "%lu %llu\n", kept->pages, kept->taken);
	spin_unlock(&kept->lock);
	return 0;
}

static const struct drm_debugfs_info drover_debugfs_files[] = {
	{ "gem", drover_debugfs_gem },
	{ "vms", drover_debugfs_vms },
	{ "client_stats", drover_debugfs_clients },
	{ "kept_pages", drover_debugfs_kept },
};

/**
 * drover_debugfs_init - add the debugfs files
 * @drover: the device, not registered yet
 */
void drover_debugfs_init(struct drover_device *drover)
{
	drm_debugfs_add_files(&drover->drm, drover_debugfs_files,
			      ARRAY_SIZE(drover_debugfs_files));
#ifdef CONFIG_DRM_DROVER_TEST_HOOKS
	debugfs_create_atomic_t("skip_invalidations", 0600, drover->drm.debugfs_root,
				&drover->skip_invalidations);
	debugfs_create_bool("poison", 0600, drover->drm.debugfs_root, &drover->poison);
#endif
}
