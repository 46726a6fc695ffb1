// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Bind and unbind: what is mapped where in an address space.
 */

#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "drover_drv.h"

/**
 * DOC: bind
 *
 * A call is all or nothing. So everything that can fail comes first: arguments,
 * look-ups, memory for every mapping that the operations may need, the locks,
 * the wait for jobs submitted before. What follows only links prepared nodes.
 *
 * &drover_vm.bind_lock serialises calls. The tree of mappings also needs the
 * VM's reservation lock to change, which keeps submissions out, and a
 * drained engine: the engine walks the tree without a lock. Faults in the aperture look
 * into it under &drover_vm.va_lock.
 */

/* What one operation may make: a mapping, and what is left before and after it. */
enum drover_slot { DROVER_SLOT_MAP, DROVER_SLOT_PREV, DROVER_SLOT_NEXT, DROVER_SLOTS };

struct drover_bind {
	struct drm_drover_bind args;
	struct drm_gem_object *gem;
	struct drm_gpuvm_bo *vm_bo;
	struct drover_va *vas[DROVER_SLOTS];
	struct llist_head removed;
	/* CPUs may have entries for what was unmapped */
	bool in_aperture;
};

struct drover_bind_list {
	struct drover_vm *vm;
	struct drover_bind *binds;
	u32 count;
	u32 failed;
};

static struct drm_gpuvm_bo *drover_pair_alloc(void)
{
	struct drover_pair *pair;

	pair = kzalloc_obj(*pair);
	if (!pair)
		return NULL;
	drover_pair_init(pair);
	return &pair->base;
}

static void drover_pair_free(struct drm_gpuvm_bo *vm_bo)
{
	struct drover_pair *pair = to_drover_pair(vm_bo);

	drover_pair_remove(pair);
	kvfree(pair->ptes);
	kfree(pair);
}

static struct drover_va *drover_take_va(struct drover_va **slot)
{
	struct drover_va *va = *slot;

	*slot = NULL;
	return va;
}

static int drover_step_map(struct drm_gpuva_op *op, void *priv)
{
	struct drover_bind *bind = priv;
	struct drover_va *va = drover_take_va(&bind->vas[DROVER_SLOT_MAP]);

	va->readonly = bind->args.flags & DRM_DROVER_BIND_READONLY;
	drm_gpuva_map(bind->vm_bo->vm, &va->base, &op->map);
	drm_gpuva_link(&va->base, bind->vm_bo);
	return 0;
}

/*
 * Freeing a BO takes reservation locks, its VM's for example, so the last
 * reference must not go while some are held.
 */
static void drover_va_remove(struct drover_bind *bind, struct drm_gpuva *va)
{
	bind->in_aperture |= to_drover_pair(va->vm_bo)->in_aperture;
	drm_gem_object_get(va->gem.obj);
	drm_gpuva_unlink(va);
	__llist_add(&to_drover_va(va)->removed, &bind->removed);
}

static void drover_bind_put_removed(struct drover_bind *bind)
{
	struct drover_va *va, *next;

	llist_for_each_entry_safe(va, next, __llist_del_all(&bind->removed), removed) {
		drm_gem_object_put(va->base.gem.obj);
		kfree(va);
	}
}

static int drover_step_remap(struct drm_gpuva_op *op, void *priv)
{
	struct drm_gpuva *old = op->remap.unmap->va;
	struct drover_va *prev = NULL, *next = NULL;
	struct drover_bind *bind = priv;

	if (op->remap.prev) {
		prev = drover_take_va(&bind->vas[DROVER_SLOT_PREV]);
		prev->readonly = to_drover_va(old)->readonly;
	}
	if (op->remap.next) {
		next = drover_take_va(&bind->vas[DROVER_SLOT_NEXT]);
		next->readonly = to_drover_va(old)->readonly;
	}

	drm_gpuva_remap(prev ? &prev->base : NULL, next ? &next->base : NULL, &op->remap);
	if (prev)
		drm_gpuva_link(&prev->base, old->vm_bo);
	if (next)
		drm_gpuva_link(&next->base, old->vm_bo);
	drover_va_remove(bind, old);
	return 0;
}

static int drover_step_unmap(struct drm_gpuva_op *op, void *priv)
{
	struct drm_gpuva *va = op->unmap.va;

	drm_gpuva_unmap(&op->unmap);
	drover_va_remove(priv, va);
	return 0;
}

const struct drm_gpuvm_ops drover_gpuvm_ops = {
	.vm_free = drover_vm_free,
	.vm_bo_alloc = drover_pair_alloc,
	.vm_bo_free = drover_pair_free,
	.sm_step_map = drover_step_map,
	.sm_step_remap = drover_step_remap,
	.sm_step_unmap = drover_step_unmap,
};

static bool drover_range_ok(u64 start, u64 size, u64 limit_start, u64 limit_end)
{
	return size && PAGE_ALIGNED(start | size) && start >= limit_start &&
	       start < limit_end && size <= limit_end - start;
}

static int drover_bind_check(const struct drm_drover_bind *args)
{
	if (args->pad || !drover_range_ok(args->va, args->size, DROVER_VA_START, DROVER_VA_END))
		return -EINVAL;

	switch (args->op) {
	case DRM_DROVER_BIND_MAP:
		return args->flags & ~DRM_DROVER_BIND_READONLY ? -EINVAL : 0;
	case DRM_DROVER_BIND_UNMAP:
		return args->flags || args->handle || args->bo_offset ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

static int drover_bind_lookup(struct drover_vm *vm, struct drm_file *file,
			      struct drover_bind *bind)
{
	struct drover_bo *bo;

	bind->gem = drm_gem_object_lookup(file, bind->args.handle);
	if (!bind->gem)
		return -ENOENT;
	if (!drover_range_ok(bind->args.bo_offset, bind->args.size, 0, bind->gem->size))
		return -EINVAL;
	if (!drover_is_import(bind->gem)) {
		bo = gem_to_drover_bo(bind->gem);
		if (bo->vm && bo->vm != vm)
			return -EPERM;
	}
	return 0;
}

static int drover_bind_prepare(struct drover_bind_list *list, struct drm_file *file,
			       const struct drm_drover_bind *args)
{
	struct drover_bind *bind;
	int ret, k;
	u32 i;

	for (i = 0; i < list->count; i++) {
		bind = &list->binds[i];
		bind->args = args[i];
		ret = drover_bind_check(&bind->args);
		if (!ret && bind->args.op == DRM_DROVER_BIND_MAP)
			ret = drover_bind_lookup(list->vm, file, bind);
		if (ret) {
			list->failed = i;
			return ret;
		}
		for (k = 0; k < DROVER_SLOTS; k++) {
			bind->vas[k] = kzalloc_obj(*bind->vas[k]);
			if (!bind->vas[k])
				return -ENOMEM;
		}
	}
	return 0;
}

static void drover_bind_cleanup(struct drover_bind_list *list)
{
	struct drover_bind *bind;
	int k;

	for (bind = list->binds; bind < list->binds + list->count; bind++) {
		for (k = 0; k < DROVER_SLOTS; k++)
			kfree(bind->vas[k]);
		drover_bind_put_removed(bind);
		if (bind->gem)
			drm_gem_object_put(bind->gem);
	}
	kvfree(list->binds);
}

static int drover_bind_lock(struct drover_bind_list *list, struct drm_exec *exec)
{
	struct drm_gpuvm *gpuvm = &list->vm->base;
	struct drover_bind *bind;
	int ret;

	ret = drm_gpuvm_prepare_vm(gpuvm, exec, 0);
	for (bind = list->binds; !ret && bind < list->binds + list->count; bind++) {
		if (bind->gem)
			ret = drm_exec_lock_obj(exec, bind->gem);
		if (!ret)
			ret = drm_gpuvm_prepare_range(gpuvm, exec, bind->args.va,
						      bind->args.size, 0);
		if (!ret && signal_pending(current))
			ret = -ERESTARTSYS;
	}
	return ret;
}

static int drover_bind_obtain(struct drover_vm *vm, struct drover_bind *bind)
{
	struct drm_gpuvm_bo *vm_bo;
	struct drover_pair *pair;

	vm_bo = drover_gpuvm_bo_obtain(&vm->base, bind->gem);
	if (IS_ERR(vm_bo))
		return PTR_ERR(vm_bo);

	pair = to_drover_pair(vm_bo);
	if (!pair->ptes) {
		pair->ptes = kvcalloc(bind->gem->size >> PAGE_SHIFT, sizeof(*pair->ptes),
				      GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!pair->ptes) {
			drm_gpuvm_bo_put(vm_bo);
			return -ENOMEM;
		}
	}
	bind->vm_bo = vm_bo;
	return drover_pair_publish_resv(pair);
}

static bool drover_va_continues(struct drm_gpuva *va, struct drover_bind *bind,
				u64 address, u64 offset)
{
	bool readonly = bind->args.flags & DRM_DROVER_BIND_READONLY;

	return va && va->gem.obj == bind->gem &&
	       to_drover_va(va)->readonly == readonly &&
	       va->gem.offset + (address - va->va.addr) == offset;
}

static void drover_bind_map(struct drover_vm *vm, struct drover_bind *bind)
{
	u64 offset = bind->args.bo_offset, start = bind->args.va;
	u64 end = start + bind->args.size;
	struct drm_gpuva *va;
	int ret;

	drm_gpuvm_bo_extobj_add(bind->vm_bo);
	drover_pair_publish(to_drover_pair(bind->vm_bo));

	va = drm_gpuva_find_first(&vm->base, start - 1, 1);
	if (drover_va_continues(va, bind, start, offset)) {
		offset -= start - va->va.addr;
		start = va->va.addr;
	}
	va = drm_gpuva_find_first(&vm->base, end, 1);
	if (drover_va_continues(va, bind, end, bind->args.bo_offset + bind->args.size))
		end = va->va.addr + va->va.range;

	ret = drover_gpuvm_sm_map(&vm->base, bind, start, end - start, bind->gem, offset);
	drm_WARN_ON(&vm->drover->drm, ret);
}

static void drover_bind_change(struct drover_vm *vm, struct drover_bind *bind)
{
	u64 va = bind->args.va, size = bind->args.size;

	down_write(&vm->va_lock);
	if (bind->gem)
		drover_bind_map(vm, bind);
	else
		drm_WARN_ON(&vm->drover->drm,
			    drm_gpuvm_sm_unmap(&vm->base, bind, va, size));
	up_write(&vm->va_lock);
	if (bind->in_aperture)
		drover_aperture_remove(vm, va, size);
}

static int drover_bind_apply(struct drover_bind_list *list)
{
	struct drover_vm *vm = list->vm;
	struct drover_bind *bind, *end = list->binds + list->count;
	int ret = 0;

	for (bind = list->binds; bind < end; bind++) {
		if (!bind->gem)
			continue;
		ret = drover_bind_obtain(vm, bind);
		if (ret)
			goto out_put;
	}

	ret = drover_vm_drain(vm, true);
	if (ret)
		goto out_put;

	for (bind = list->binds; bind < end; bind++)
		drover_bind_change(vm, bind);

out_put:
	for (bind = list->binds; bind < end; bind++)
		drm_gpuvm_bo_put(bind->vm_bo);
	return ret;
}

static int drover_bind_execute(struct drover_bind_list *list)
{
	struct drm_exec exec;
	int ret;

	mutex_lock(&list->vm->gate);
	ret = drover_vm_usable(list->vm);
	mutex_unlock(&list->vm->gate);
	/* Most of the wait is over before locks are taken that others want, too. */
	if (!ret && !list->vm->is_longrun)
		ret = drover_vm_drain(list->vm, true);
	if (ret)
		return ret;

	drm_exec_init(&exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES, 0);
	drm_exec_until_all_locked(&exec) {
		ret = drover_bind_lock(list, &exec);
		drm_exec_retry_on_contention(&exec);
		if (ret)
			break;
	}
	if (!ret)
		ret = drover_bind_apply(list);
	drm_exec_fini(&exec);
	return ret;
}

/**
 * drover_vm_bind_ioctl - DRM_IOCTL_DROVER_VM_BIND
 * @drm: the DRM device
 * @data: struct drm_drover_vm_bind
 * @file: the caller's file
 *
 * Return: 0 or a negative errno.
 */
int drover_vm_bind_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_drover_vm_bind *args = data;
	struct drover_bind_list list = { .count = args->num_binds };
	struct drm_drover_bind *binds;
	int ret;

	args->failed_bind = args->num_binds;
	if (args->flags || !args->num_binds)
		return -EINVAL;
	if (args->num_binds > DROVER_MAX_BINDS)
		return -E2BIG;

	list.vm = drover_vm_lookup(file, args->vm_id);
	if (!list.vm)
		return -ENOENT;

	list.failed = args->num_binds;
	binds = vmemdup_array_user(u64_to_user_ptr(args->binds), args->num_binds,
				   sizeof(*binds));
	if (IS_ERR(binds)) {
		ret = PTR_ERR(binds);
		goto out_vm;
	}

	list.binds = kvcalloc(list.count, sizeof(*list.binds), GFP_KERNEL);
	if (!list.binds) {
		ret = -ENOMEM;
		goto out_binds;
	}

	ret = drover_bind_prepare(&list, file, binds);
	if (ret)
		goto out_list;

	ret = mutex_lock_interruptible(&list.vm->bind_lock);
	if (ret)
		goto out_list;
	ret = drover_bind_execute(&list);
	mutex_unlock(&list.vm->bind_lock);

out_list:
	drover_bind_cleanup(&list);
out_binds:
	kvfree(binds);
out_vm:
	args->failed_bind = list.failed;
	drm_gpuvm_put(&list.vm->base);
	return ret;
}

/**
 * drover_vm_unbind_all - unmap everything in a closed VM
 * @vm: the VM, with its engine stopped
 */
void drover_vm_unbind_all(struct drover_vm *vm)
{
	struct drm_gem_object *gem;
	struct drm_gpuva *va, *next;

	mutex_lock(&vm->bind_lock);
	drm_gpuvm_for_each_va_safe(va, next, &vm->base) {
		gem = va->gem.obj;
		drm_gem_object_get(gem);
		dma_resv_lock(gem->resv, NULL);
		down_write(&vm->va_lock);
		drm_gpuva_remove(va);
		up_write(&vm->va_lock);
		if (to_drover_pair(va->vm_bo)->in_aperture)
			drover_aperture_remove(vm, va->va.addr, va->va.range);
		drm_gpuva_unlink(va);
		dma_resv_unlock(gem->resv);
		drm_gem_object_put(gem);
		kfree(to_drover_va(va));
	}
	mutex_unlock(&vm->bind_lock);
}
