// SPDX-License-Identifier: MIT
/*
 * Bad input: every ioctl, every field. The errno is the one that the header
 * documents, nothing is changed, nothing is leaked. Raw ioctls, since the
 * library refuses most of it. 64 MiB of VRAM and of GTT.
 */
#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xf86drm.h>

#define SIZE           (64 * KIB)
#define NO_HANDLE      0x7fffffffu
#define KERNEL_ADDRESS 0xffff888000001000ULL

/* What a client has that may be named: everything here is valid. */
struct env {
	struct gpu gpu;
	int fd;
	uint32_t vm, other_vm;
	uint64_t va;
	/* In fd: one shared and bound, one private to other_vm; a second client's handle and VM number. */
	struct drover_bo *bo, *private;
	uint32_t handle, private_handle, foreign_handle, foreign_vm;
	struct drover_sync *signaled, *empty;
	/* A page to be written and, after it, a page that isn't there. */
	char *edge;
};

static struct env env_new(void)
{
	struct gpu other_client = gpu_open(0), other;
	struct env env = {.gpu = gpu_open(0)};
	unsigned int i;

	env.fd = drover_device_fd(env.gpu.dev);
	env.bo = bo_new(&env.gpu, SIZE, VRAM);
	env.va = gpu_bind(&env.gpu, env.bo);
	check_ok(gpu_fill(&env.gpu, env.va, SIZE, 3, 1));
	other = gpu_add_vm(&env.gpu);
	env.private = bo_new_private(&other, SIZE, VRAM);
	env.handle = drover_bo_handle(env.bo);
	env.private_handle = drover_bo_handle(env.private);
	env.vm = drover_vm_id(env.gpu.vm);
	env.other_vm = drover_vm_id(other.vm);
	check_ok(drover_sync_create(env.gpu.dev, true, &env.signaled));
	check_ok(drover_sync_create(env.gpu.dev, false, &env.empty));

	/* Numbers are small and per client: take one that this client doesn't have. */
	for (i = 0; i < 8; i++) {
		env.foreign_handle = drover_bo_handle(bo_new(&other_client, PAGE, VRAM));
		env.foreign_vm = drover_vm_id(gpu_add_vm(&other_client).vm);
	}
	env.edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(env.edge != MAP_FAILED, "mmap: %m");
	check_sys(munmap(env.edge + PAGE, PAGE));
	return env;
}

/* All that an ioctl could have changed. */
struct snapshot {
	struct drm_drover_device_info device;
	struct drm_drover_vm_info vm, other_vm;
	struct drm_drover_bo_info bo, private;
};

static struct snapshot snapshot(struct env *env)
{
	struct snapshot now;

	memset(&now, 0, sizeof(now));
	now.device = device_info(env->gpu.dev);
	now.vm = vm_info(&env->gpu);
	now.other_vm.vm_id = env->other_vm;
	check_sys(drmIoctl(env->fd, DRM_IOCTL_DROVER_VM_INFO, &now.other_vm));
	now.bo = bo_info(env->bo);
	now.private = bo_info(env->private);
	return now;
}

static int raw_ioctl(int fd, unsigned long request, void *argument)
{
	return drmIoctl(fd, request, argument) ? -errno : 0;
}

/* ---- The tables ---- */

/* One field of a valid argument, made bad. */
struct bad_field {
	const char *what;
	size_t offset, size;
	uint64_t value;
	int error;
};

#define BAD(type, field, value, error)                                \
	{#type "." #field " = " #value, offsetof(struct type, field), \
	 sizeof(((struct type *)0)->field), (value), (error)}

/* What is called, and which part of what it's called with the table is about. */
struct target {
	struct env *env;
	unsigned long request;
	void *argument;
	/* The structure that is made bad: the argument itself, or an element of an array of its. */
	void *part;
	size_t part_size;
};

static void check_bad(struct target *target, const struct bad_field *bad, size_t count)
{
	struct snapshot before = snapshot(target->env), after;
	char argument[256], part[256];
	size_t i;

	check(_IOC_SIZE(target->request) <= sizeof(argument) && target->part_size <= sizeof(part),
	      "make the test's buffers larger");
	memcpy(argument, target->argument, _IOC_SIZE(target->request));
	memcpy(part, target->part, target->part_size);
	for (i = 0; i < count; i++, bad++) {
		int error;

		memcpy((char *)target->part + bad->offset, &bad->value, bad->size);
		error = raw_ioctl(target->env->fd, target->request, target->argument);
		check(error == bad->error, "%s: %d (%s), expected %d (%s)", bad->what, error,
		      strerror(-error), bad->error, strerror(-bad->error));
		after = snapshot(target->env);
		check(!memcmp(&before, &after, sizeof(before)),
		      "%s: refused, but changed something", bad->what);
		memcpy(target->part, part, target->part_size);
		memcpy(target->argument, argument, _IOC_SIZE(target->request));
	}
	/* The structure is in the state from which one bad field makes it fail. */
	check_ok(gpu_check(&target->env->gpu, target->env->va, SIZE, 3, 1));
}

#define CHECK_BAD(env_, request_, argument_, part_, bad_)          \
	check_bad(&(struct target){.env = (env_),                  \
				   .request = (request_),          \
				   .argument = (argument_),        \
				   .part = (part_),                \
				   .part_size = sizeof(*(part_))}, \
		  (bad_), ARRAY_SIZE(bad_))

/* Argument pointers that lead nowhere, of every ioctl. */
static void bad_argument_pointers(void)
{
	static const unsigned long requests[] = {
		DRM_IOCTL_DROVER_DEVICE_INFO, DRM_IOCTL_DROVER_BO_CREATE,
		DRM_IOCTL_DROVER_BO_MMAP,     DRM_IOCTL_DROVER_BO_INFO,
		DRM_IOCTL_DROVER_VM_CREATE,   DRM_IOCTL_DROVER_VM_DESTROY,
		DRM_IOCTL_DROVER_VM_BIND,     DRM_IOCTL_DROVER_VM_INFO,
		DRM_IOCTL_DROVER_SUBMIT,      DRM_IOCTL_DROVER_EVICT,
		DRM_IOCTL_DROVER_VM_MMAP,
	};
	struct env env = env_new();
	struct snapshot before = snapshot(&env), after;
	void *pointers[] = {
		NULL,      (void *)8, env.edge + PAGE, env.edge + PAGE - 4, (void *)KERNEL_ADDRESS,
		(void *)-1};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		for (j = 0; j < ARRAY_SIZE(pointers); j++) {
			int error = raw_ioctl(env.fd, requests[i], pointers[j]);

			check(error == -EFAULT,
			      "ioctl %#lx with its argument at %p: %d, expected %d", requests[i],
			      pointers[j], error, -EFAULT);
		}
	}
	after = snapshot(&env);
	check(!memcmp(&before, &after, sizeof(before)), "refused, but changed something");
}

/* What is only "out" may hold anything on the way in, such as the last answer. */
static void out_fields_are_ignored(void)
{
	struct env env = env_new();
	struct drm_drover_device_info device, device_again;
	struct drm_drover_bo_info bo = {.handle = env.handle}, bo_again;
	struct drm_drover_vm_info vm = {.vm_id = env.vm}, vm_again;

	memset(&device, 0, sizeof(device));
	memset(&device_again, 0xff, sizeof(device_again));
	memset(&bo_again, 0xff, sizeof(bo_again));
	memset(&vm_again, 0xff, sizeof(vm_again));
	bo_again.handle = env.handle;
	vm_again.vm_id = env.vm;

	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_DEVICE_INFO, &device));
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_DEVICE_INFO, &device_again));
	check(!memcmp(&device, &device_again, sizeof(device)),
	      "DEVICE_INFO depends on its out fields");
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_BO_INFO, &bo));
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_BO_INFO, &bo_again));
	check(!memcmp(&bo, &bo_again, sizeof(bo)), "BO_INFO depends on its out fields");
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_INFO, &vm));
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_INFO, &vm_again));
	check(!memcmp(&vm, &vm_again, sizeof(vm)), "VM_INFO depends on its out fields");
}

static void bo_create_fields(void)
{
	struct env env = env_new();
	struct drm_drover_bo_create create = {.size = SIZE, .placements = VRAM | GTT};
	const struct bad_field bad[] = {
		BAD(drm_drover_bo_create, size, 0, -EINVAL),
		BAD(drm_drover_bo_create, size, 1, -EINVAL),
		BAD(drm_drover_bo_create, size, PAGE - 1, -EINVAL),
		BAD(drm_drover_bo_create, size, PAGE + 4, -EINVAL),
		BAD(drm_drover_bo_create, size, ~0ULL, -EINVAL),
		BAD(drm_drover_bo_create, size, 64 * MIB + PAGE, -ENOSPC),
		BAD(drm_drover_bo_create, size, 1024 * MIB, -ENOSPC),
		BAD(drm_drover_bo_create, size, 1ULL << 32, -ENOSPC),
		BAD(drm_drover_bo_create, size, 1ULL << 44, -ENOSPC),
		BAD(drm_drover_bo_create, size, 1ULL << 63, -ENOSPC),
		BAD(drm_drover_bo_create, size, ~0ULL << 12, -ENOSPC),
		BAD(drm_drover_bo_create, placements, 0, -EINVAL),
		BAD(drm_drover_bo_create, placements, VRAM | EVICTED, -EINVAL),
		BAD(drm_drover_bo_create, placements, FOREIGN, -EINVAL),
		BAD(drm_drover_bo_create, placements, VRAM | 1u << 31, -EINVAL),
		BAD(drm_drover_bo_create, preferred, VRAM | GTT, -EINVAL),
		BAD(drm_drover_bo_create, preferred, EVICTED, -EINVAL),
		BAD(drm_drover_bo_create, preferred, 1u << 31, -EINVAL),
		BAD(drm_drover_bo_create, vm_id, NO_HANDLE, -ENOENT),
		BAD(drm_drover_bo_create, vm_id, ~0u, -ENOENT),
		BAD(drm_drover_bo_create, vm_id, env.foreign_vm, -ENOENT),
		BAD(drm_drover_bo_create, flags, 1, -EINVAL),
		BAD(drm_drover_bo_create, flags, 1u << 31, -EINVAL),
		BAD(drm_drover_bo_create, pad, 1, -EINVAL),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_BO_CREATE, &create, &create, bad);
	create.placements = VRAM;
	create.preferred = GTT; /* isn't one of them */
	check_err(raw_ioctl(env.fd, DRM_IOCTL_DROVER_BO_CREATE, &create), -EINVAL);
	create.preferred = 0;
	create.handle = NO_HANDLE; /* is an output */
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_BO_CREATE, &create));
	check(create.handle && create.handle != NO_HANDLE, "no handle");
}

static void bo_mmap_fields(void)
{
	struct env env = env_new();
	struct drm_drover_bo_mmap arg = {.handle = env.handle};
	const struct bad_field bad[] = {
		BAD(drm_drover_bo_mmap, handle, 0, -ENOENT),
		BAD(drm_drover_bo_mmap, handle, NO_HANDLE, -ENOENT),
		BAD(drm_drover_bo_mmap, handle, ~0u, -ENOENT),
		BAD(drm_drover_bo_mmap, handle, env.foreign_handle, -ENOENT),
		BAD(drm_drover_bo_mmap, flags, 1, -EINVAL),
		BAD(drm_drover_bo_mmap, flags, 1u << 31, -EINVAL),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_BO_MMAP, &arg, &arg, bad);
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_BO_MMAP, &arg));
}

static void bo_info_fields(void)
{
	struct env env = env_new();
	struct drm_drover_bo_info arg = {.handle = env.handle};
	const struct bad_field bad[] = {
		BAD(drm_drover_bo_info, handle, 0, -ENOENT),
		BAD(drm_drover_bo_info, handle, NO_HANDLE, -ENOENT),
		BAD(drm_drover_bo_info, handle, env.foreign_handle, -ENOENT),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_BO_INFO, &arg, &arg, bad);
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_BO_INFO, &arg));
}

static void vm_fields(void)
{
	struct env env = env_new();
	struct drm_drover_vm_create create = {0};
	struct drm_drover_vm_destroy destroy = {.vm_id = env.other_vm};
	struct drm_drover_vm_info info = {.vm_id = env.vm};
	const struct bad_field bad_create[] = {
		BAD(drm_drover_vm_create, flags, 2, -EINVAL),
		BAD(drm_drover_vm_create, flags, 1u << 31, -EINVAL),
	};
	const struct bad_field bad_destroy[] = {
		BAD(drm_drover_vm_destroy, vm_id, 0, -ENOENT),
		BAD(drm_drover_vm_destroy, vm_id, NO_HANDLE, -ENOENT),
		BAD(drm_drover_vm_destroy, vm_id, ~0u, -ENOENT),
		BAD(drm_drover_vm_destroy, vm_id, env.foreign_vm, -ENOENT),
		BAD(drm_drover_vm_destroy, pad, 1, -EINVAL),
		BAD(drm_drover_vm_destroy, pad, 1u << 31, -EINVAL),
	};
	const struct bad_field bad_info[] = {
		BAD(drm_drover_vm_info, vm_id, 0, -ENOENT),
		BAD(drm_drover_vm_info, vm_id, NO_HANDLE, -ENOENT),
		BAD(drm_drover_vm_info, vm_id, env.foreign_vm, -ENOENT),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_VM_CREATE, &create, &create, bad_create);
	CHECK_BAD(&env, DRM_IOCTL_DROVER_VM_DESTROY, &destroy, &destroy, bad_destroy);
	CHECK_BAD(&env, DRM_IOCTL_DROVER_VM_INFO, &info, &info, bad_info);
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_CREATE, &create));
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_INFO, &info));
}

static void vm_bind_fields(void)
{
	struct env env = env_new();
	struct drm_drover_bind op = {
		.op = DRM_DROVER_BIND_MAP,
		.handle = env.handle,
		.va = env.va + MIB,
		.size = SIZE,
	};
	struct drm_drover_vm_bind arg = {.vm_id = env.vm, .num_binds = 1, .binds = (uintptr_t)&op};
	const struct bad_field bad[] = {
		BAD(drm_drover_vm_bind, vm_id, 0, -ENOENT),
		BAD(drm_drover_vm_bind, vm_id, NO_HANDLE, -ENOENT),
		BAD(drm_drover_vm_bind, vm_id, env.foreign_vm, -ENOENT),
		BAD(drm_drover_vm_bind, num_binds, 0, -EINVAL),
		BAD(drm_drover_vm_bind, num_binds, device_info(env.gpu.dev).max_binds + 1, -E2BIG),
		BAD(drm_drover_vm_bind, num_binds, 1u << 31, -E2BIG),
		BAD(drm_drover_vm_bind, num_binds, ~0u, -E2BIG),
		BAD(drm_drover_vm_bind, binds, 0, -EFAULT),
		BAD(drm_drover_vm_bind, binds, (uintptr_t)env.edge + PAGE, -EFAULT),
		BAD(drm_drover_vm_bind, binds, (uintptr_t)env.edge + PAGE - 8, -EFAULT),
		BAD(drm_drover_vm_bind, binds, KERNEL_ADDRESS, -EFAULT),
		BAD(drm_drover_vm_bind, binds, ~0ULL, -EFAULT),
		BAD(drm_drover_vm_bind, flags, 1, -EINVAL),
		BAD(drm_drover_vm_bind, flags, 1u << 31, -EINVAL),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_VM_BIND, &arg, &arg, bad);
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_BIND, &arg));
}

static void vm_bind_map_fields(void)
{
	struct env env = env_new();
	struct drm_drover_bind op = {
		.op = DRM_DROVER_BIND_MAP,
		.handle = env.handle,
		.va = env.va + MIB,
		.size = SIZE,
	};
	struct drm_drover_vm_bind arg = {.vm_id = env.vm, .num_binds = 1, .binds = (uintptr_t)&op};
	uint64_t end = device_info(env.gpu.dev).va_end;
	const struct bad_field bad[] = {
		BAD(drm_drover_bind, op, 2, -EINVAL),
		BAD(drm_drover_bind, op, ~0u, -EINVAL),
		BAD(drm_drover_bind, flags, 2, -EINVAL),
		BAD(drm_drover_bind, flags, 1u << 31, -EINVAL),
		BAD(drm_drover_bind, handle, 0, -ENOENT),
		BAD(drm_drover_bind, handle, NO_HANDLE, -ENOENT),
		BAD(drm_drover_bind, handle, env.foreign_handle, -ENOENT),
		BAD(drm_drover_bind, handle, env.private_handle, -EPERM),
		BAD(drm_drover_bind, pad, 1, -EINVAL),
		BAD(drm_drover_bind, bo_offset, 4, -EINVAL),
		BAD(drm_drover_bind, bo_offset, PAGE, -EINVAL), /* the end is out of the BO */
		BAD(drm_drover_bind, bo_offset, SIZE, -EINVAL),
		BAD(drm_drover_bind, bo_offset, 1ULL << 63, -EINVAL),
		BAD(drm_drover_bind, bo_offset, 0ULL - SIZE, -EINVAL), /* wraps around to 0 */
		BAD(drm_drover_bind, bo_offset, 0ULL - PAGE, -EINVAL), /* wraps into the BO */
		BAD(drm_drover_bind, va, 0, -EINVAL),
		BAD(drm_drover_bind, va, 4, -EINVAL),
		BAD(drm_drover_bind, va, env.va + MIB + 8, -EINVAL),
		BAD(drm_drover_bind, va, end, -EINVAL),
		BAD(drm_drover_bind, va, end - PAGE, -EINVAL),
		BAD(drm_drover_bind, va, 1ULL << 63, -EINVAL),
		BAD(drm_drover_bind, va, 0ULL - SIZE, -EINVAL),
		BAD(drm_drover_bind, va, 0ULL - PAGE, -EINVAL),
		BAD(drm_drover_bind, size, 0, -EINVAL),
		BAD(drm_drover_bind, size, 4, -EINVAL),
		BAD(drm_drover_bind, size, PAGE + 4, -EINVAL),
		BAD(drm_drover_bind, size, SIZE + PAGE, -EINVAL),
		BAD(drm_drover_bind, size, 1ULL << 63, -EINVAL),
		BAD(drm_drover_bind, size, 0ULL - PAGE, -EINVAL),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_VM_BIND, &arg, &op, bad);
	arg.failed_bind = 77;
	op.handle = NO_HANDLE;
	check_err(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_BIND, &arg), -ENOENT);
	check_eq(arg.failed_bind, 0);
	op.handle = env.handle;
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_BIND, &arg));
}

static void vm_bind_unmap_fields(void)
{
	struct env env = env_new();
	struct drm_drover_bind op = {.op = DRM_DROVER_BIND_UNMAP, .va = env.va, .size = SIZE};
	struct drm_drover_vm_bind arg = {.vm_id = env.vm, .num_binds = 1, .binds = (uintptr_t)&op};
	const struct bad_field bad[] = {
		BAD(drm_drover_bind, flags, DRM_DROVER_BIND_READONLY, -EINVAL),
		BAD(drm_drover_bind, handle, env.handle, -EINVAL),
		BAD(drm_drover_bind, pad, 1, -EINVAL),
		BAD(drm_drover_bind, bo_offset, PAGE, -EINVAL),
		BAD(drm_drover_bind, va, 0, -EINVAL),
		BAD(drm_drover_bind, va, env.va + 4, -EINVAL),
		BAD(drm_drover_bind, va, 1ULL << 63, -EINVAL),
		BAD(drm_drover_bind, va, 0ULL - PAGE, -EINVAL),
		BAD(drm_drover_bind, size, 0, -EINVAL),
		BAD(drm_drover_bind, size, 4, -EINVAL),
		BAD(drm_drover_bind, size, 1ULL << 63, -EINVAL),
		BAD(drm_drover_bind, size, 0ULL - PAGE, -EINVAL),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_VM_BIND, &arg, &op, bad);
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_BIND, &arg));
	check_eq(vm_info(&env.gpu).mappings, 0);
}

static void submit_fields(void)
{
	struct env env = env_new();
	struct drm_drover_device_info info = device_info(env.gpu.dev);
	struct drm_drover_command command = {.opcode = DRM_DROVER_OP_FILL, .dst = env.va};
	struct drm_drover_sync sync = {.handle = drover_sync_handle(env.signaled)};
	struct drm_drover_buffer buffer = {.handle = env.handle, .flags = DRM_DROVER_BUFFER_READ};
	struct drm_drover_submit arg = {
		.vm_id = env.vm,
		.commands = (uintptr_t)&command,
		.in_syncs = (uintptr_t)&sync,
		.out_syncs = (uintptr_t)&sync,
		.buffers = (uintptr_t)&buffer,
		.num_commands = 1,
		.num_in_syncs = 1,
		.num_out_syncs = 1,
		.num_buffers = 1,
	};
	const struct bad_field bad[] = {
		BAD(drm_drover_submit, vm_id, 0, -ENOENT),
		BAD(drm_drover_submit, vm_id, NO_HANDLE, -ENOENT),
		BAD(drm_drover_submit, vm_id, env.foreign_vm, -ENOENT),
		BAD(drm_drover_submit, flags, 1, -EINVAL),
		BAD(drm_drover_submit, flags, 1u << 31, -EINVAL),
		BAD(drm_drover_submit, commands, 0, -EFAULT),
		BAD(drm_drover_submit, commands, (uintptr_t)env.edge + PAGE, -EFAULT),
		BAD(drm_drover_submit, commands, (uintptr_t)env.edge + PAGE - 8, -EFAULT),
		BAD(drm_drover_submit, commands, KERNEL_ADDRESS, -EFAULT),
		BAD(drm_drover_submit, in_syncs, 0, -EFAULT),
		BAD(drm_drover_submit, in_syncs, (uintptr_t)env.edge + PAGE - 8, -EFAULT),
		BAD(drm_drover_submit, in_syncs, KERNEL_ADDRESS, -EFAULT),
		BAD(drm_drover_submit, out_syncs, 0, -EFAULT),
		BAD(drm_drover_submit, out_syncs, (uintptr_t)env.edge + PAGE - 8, -EFAULT),
		BAD(drm_drover_submit, out_syncs, KERNEL_ADDRESS, -EFAULT),
		BAD(drm_drover_submit, buffers, 0, -EFAULT),
		BAD(drm_drover_submit, buffers, (uintptr_t)env.edge + PAGE - 4, -EFAULT),
		BAD(drm_drover_submit, buffers, KERNEL_ADDRESS, -EFAULT),
		BAD(drm_drover_submit, num_commands, info.max_commands + 1, -E2BIG),
		BAD(drm_drover_submit, num_commands, ~0u, -E2BIG),
		BAD(drm_drover_submit, num_in_syncs, info.max_syncs + 1, -E2BIG),
		BAD(drm_drover_submit, num_in_syncs, ~0u, -E2BIG),
		BAD(drm_drover_submit, num_out_syncs, info.max_syncs + 1, -E2BIG),
		BAD(drm_drover_submit, num_out_syncs, ~0u, -E2BIG),
		BAD(drm_drover_submit, num_buffers, info.max_buffers + 1, -E2BIG),
		BAD(drm_drover_submit, num_buffers, ~0u, -E2BIG),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_SUBMIT, &arg, &arg, bad);
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_SUBMIT, &arg));
}

/* Every field that an opcode doesn't use, and every bad value of those that it does. */
static void command_fields(void)
{
	struct env env = env_new();
	const struct bad_field bad[] = {
		BAD(drm_drover_command, opcode, 5, -EINVAL),
		BAD(drm_drover_command, opcode, ~0u, -EINVAL),
		BAD(drm_drover_command, flags, 1, -EINVAL),
		BAD(drm_drover_command, flags, 1u << 31, -EINVAL),
	};
	const struct bad_field fill[] = {
		BAD(drm_drover_command, dst, env.va + 2, -EINVAL),
		BAD(drm_drover_command, dst, 0ULL - 4, -EINVAL), /* wraps around */
		BAD(drm_drover_command, src, 4, -EINVAL),
		BAD(drm_drover_command, src2, 4, -EINVAL),
		BAD(drm_drover_command, size, 3, -EINVAL),
		BAD(drm_drover_command, size, 0ULL - 4, -EINVAL),
	};
	const struct bad_field check[] = {
		BAD(drm_drover_command, dst, 4, -EINVAL),
		BAD(drm_drover_command, src, env.va + 1, -EINVAL),
		BAD(drm_drover_command, src, 0ULL - 4, -EINVAL),
		BAD(drm_drover_command, src2, 4, -EINVAL),
		BAD(drm_drover_command, size, 1, -EINVAL),
	};
	const struct bad_field copy[] = {
		BAD(drm_drover_command, dst, env.va + 2, -EINVAL),
		BAD(drm_drover_command, dst, env.va + 8, -EINVAL), /* overlaps */
		BAD(drm_drover_command, dst, env.va, -EINVAL),
		BAD(drm_drover_command, src, env.va + 3, -EINVAL),
		BAD(drm_drover_command, src, 0ULL - 4, -EINVAL),
		BAD(drm_drover_command, src2, 4, -EINVAL),
		BAD(drm_drover_command, size, 6, -EINVAL),
		BAD(drm_drover_command, value, 1, -EINVAL),
		BAD(drm_drover_command, step, 1, -EINVAL),
	};
	const struct bad_field add[] = {
		BAD(drm_drover_command, dst, env.va + 1, -EINVAL),
		BAD(drm_drover_command, src, env.va + 2, -EINVAL),
		BAD(drm_drover_command, src2, env.va + 3, -EINVAL),
		BAD(drm_drover_command, src2, 0ULL - 8, -EINVAL),
		BAD(drm_drover_command, size, 2, -EINVAL),
		BAD(drm_drover_command, value, 1, -EINVAL),
		BAD(drm_drover_command, step, 1, -EINVAL),
	};
	const struct bad_field spin[] = {
		BAD(drm_drover_command, size, 60000001, -EINVAL),
		BAD(drm_drover_command, size, ~0ULL, -EINVAL),
		BAD(drm_drover_command, dst, 4, -EINVAL),
		BAD(drm_drover_command, src, 4, -EINVAL),
		BAD(drm_drover_command, src2, 4, -EINVAL),
		BAD(drm_drover_command, value, 1, -EINVAL),
		BAD(drm_drover_command, step, 1, -EINVAL),
	};
	const struct {
		struct drm_drover_command command;
		const struct bad_field *bad;
		size_t count;
	} cases[] = {
		{{.opcode = DRM_DROVER_OP_FILL, .dst = env.va, .size = 16}, bad, ARRAY_SIZE(bad)},
		{{.opcode = DRM_DROVER_OP_FILL, .dst = env.va, .size = 16}, fill, ARRAY_SIZE(fill)},
		{{.opcode = DRM_DROVER_OP_CHECK, .src = env.va, .size = 16},
		 check,
		 ARRAY_SIZE(check)},
		{{.opcode = DRM_DROVER_OP_COPY, .dst = env.va + 16, .src = env.va, .size = 16},
		 copy,
		 ARRAY_SIZE(copy)},
		{{.opcode = DRM_DROVER_OP_ADD,
		  .dst = env.va,
		  .src = env.va,
		  .src2 = env.va,
		  .size = 16},
		 add,
		 ARRAY_SIZE(add)},
		{{.opcode = DRM_DROVER_OP_SPIN, .size = 1}, spin, ARRAY_SIZE(spin)},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		/* A good one first: a job runs as a whole or not at all. */
		struct drm_drover_command commands[2] = {
			{.opcode = DRM_DROVER_OP_FILL, .dst = env.va, .size = SIZE, .value = 99},
			cases[i].command,
		};
		struct drm_drover_submit arg = {
			.vm_id = env.vm,
			.commands = (uintptr_t)commands,
			.num_commands = 2,
		};

		check_bad(&(struct target){.env = &env,
					   .request = DRM_IOCTL_DROVER_SUBMIT,
					   .argument = &arg,
					   .part = &commands[1],
					   .part_size = sizeof(commands[1])},
			  cases[i].bad, cases[i].count);
		/* Unharmed, it is taken. */
		arg.commands = (uintptr_t)&commands[1];
		arg.num_commands = 1;
		check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_SUBMIT, &arg));
		check_ok(gpu_fill(&env.gpu, env.va, SIZE, 3, 1));
	}
}

static void sync_and_buffer_fields(void)
{
	struct env env = env_new();
	struct drm_drover_sync sync = {.handle = drover_sync_handle(env.signaled)};
	struct drm_drover_buffer buffer = {.handle = env.handle, .flags = DRM_DROVER_BUFFER_READ};
	struct drm_drover_submit in = {
		.vm_id = env.vm,
		.in_syncs = (uintptr_t)&sync,
		.num_in_syncs = 1,
	};
	struct drm_drover_submit out = {
		.vm_id = env.vm,
		.out_syncs = (uintptr_t)&sync,
		.num_out_syncs = 1,
	};
	struct drm_drover_submit listed = {
		.vm_id = env.vm,
		.buffers = (uintptr_t)&buffer,
		.num_buffers = 1,
	};
	const struct bad_field bad_in[] = {
		BAD(drm_drover_sync, handle, 0, -ENOENT),
		BAD(drm_drover_sync, handle, NO_HANDLE, -ENOENT),
		BAD(drm_drover_sync, handle, drover_sync_handle(env.empty), -EINVAL),
		BAD(drm_drover_sync, flags, 1, -EINVAL),
		BAD(drm_drover_sync, point, 1ULL << 63, -EINVAL),
	};
	const struct bad_field bad_out[] = {
		BAD(drm_drover_sync, handle, 0, -ENOENT),
		BAD(drm_drover_sync, handle, NO_HANDLE, -ENOENT),
		BAD(drm_drover_sync, flags, 1, -EINVAL),
		BAD(drm_drover_sync, flags, 1u << 31, -EINVAL),
	};
	const struct bad_field bad_listed[] = {
		BAD(drm_drover_buffer, handle, 0, -ENOENT),
		BAD(drm_drover_buffer, handle, NO_HANDLE, -ENOENT),
		BAD(drm_drover_buffer, handle, env.foreign_handle, -ENOENT),
		BAD(drm_drover_buffer, flags, 0, -EINVAL),
		BAD(drm_drover_buffer, flags, 4, -EINVAL),
		BAD(drm_drover_buffer, flags, 1u << 31, -EINVAL),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_SUBMIT, &in, &sync, bad_in);
	CHECK_BAD(&env, DRM_IOCTL_DROVER_SUBMIT, &out, &sync, bad_out);
	CHECK_BAD(&env, DRM_IOCTL_DROVER_SUBMIT, &listed, &buffer, bad_listed);
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_SUBMIT, &in));
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_SUBMIT, &out));
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_SUBMIT, &listed));
}

/* A submission that fails late must not have signalled or replaced anything. */
static void failed_submission_changes_no_syncobj(void)
{
	struct env env = env_new();
	struct drm_drover_sync out[2] = {
		{.handle = drover_sync_handle(env.empty)},
		{.handle = NO_HANDLE},
	};
	struct drm_drover_submit arg = {
		.vm_id = env.vm,
		.out_syncs = (uintptr_t)out,
		.num_out_syncs = 2,
	};

	check_err(raw_ioctl(env.fd, DRM_IOCTL_DROVER_SUBMIT, &arg), -ENOENT);
	check_err(drover_sync_status(env.empty, 0), -EINVAL); /* still no fence */
}

/* The same thing twice in an array is no error, and no deadlock. */
static void duplicates(void)
{
	struct env env = env_new();
	struct drm_drover_sync sync[2] = {
		{.handle = drover_sync_handle(env.signaled)},
		{.handle = drover_sync_handle(env.signaled)},
	};
	struct drm_drover_buffer buffer[3] = {
		{.handle = env.handle, .flags = DRM_DROVER_BUFFER_READ},
		{.handle = env.handle, .flags = DRM_DROVER_BUFFER_WRITE},
		{.handle = env.handle, .flags = 3},
	};
	struct drm_drover_submit arg = {
		.vm_id = env.vm,
		.in_syncs = (uintptr_t)sync,
		.out_syncs = (uintptr_t)sync,
		.buffers = (uintptr_t)buffer,
		.num_in_syncs = 2,
		.num_out_syncs = 2,
		.num_buffers = 3,
	};
	unsigned int i;

	for (i = 0; i < 3; i++)
		check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_SUBMIT, &arg));
	check_ok(drover_sync_wait(env.signaled, 0, WAIT_NS, 0));
}

static void evict_fields(void)
{
	struct env env = env_new();
	struct drm_drover_evict bo = {.target = DRM_DROVER_EVICT_BO, .id = env.handle};
	struct drm_drover_evict vm = {.target = DRM_DROVER_EVICT_VM, .id = env.vm};
	struct drm_drover_evict all = {.target = DRM_DROVER_EVICT_ALL};
	const struct bad_field bad_bo[] = {
		BAD(drm_drover_evict, target, 3, -EINVAL),
		BAD(drm_drover_evict, target, ~0u, -EINVAL),
		BAD(drm_drover_evict, id, 0, -ENOENT),
		BAD(drm_drover_evict, id, NO_HANDLE, -ENOENT),
		BAD(drm_drover_evict, id, env.foreign_handle, -ENOENT),
		BAD(drm_drover_evict, flags, 1, -EINVAL),
		BAD(drm_drover_evict, flags, 1ULL << 63, -EINVAL),
	};
	const struct bad_field bad_vm[] = {
		BAD(drm_drover_evict, id, 0, -ENOENT),
		BAD(drm_drover_evict, id, NO_HANDLE, -ENOENT),
		BAD(drm_drover_evict, id, env.foreign_vm, -ENOENT),
	};
	const struct bad_field bad_all[] = {
		BAD(drm_drover_evict, id, 1, -EINVAL),
		BAD(drm_drover_evict, id, ~0u, -EINVAL),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_EVICT, &bo, &bo, bad_bo);
	CHECK_BAD(&env, DRM_IOCTL_DROVER_EVICT, &vm, &vm, bad_vm);
	CHECK_BAD(&env, DRM_IOCTL_DROVER_EVICT, &all, &all, bad_all);
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_EVICT, &bo));
	check_eq(bo.evicted, 1);
}

static void vm_mmap_fields(void)
{
	struct env env = env_new();
	struct drm_drover_vm_mmap arg = {.vm_id = env.vm};
	const struct bad_field bad[] = {
		BAD(drm_drover_vm_mmap, vm_id, 0, -ENOENT),
		BAD(drm_drover_vm_mmap, vm_id, NO_HANDLE, -ENOENT),
		BAD(drm_drover_vm_mmap, vm_id, env.foreign_vm, -ENOENT),
		BAD(drm_drover_vm_mmap, target, 2, -EINVAL),
		BAD(drm_drover_vm_mmap, target, ~0u, -EINVAL),
		BAD(drm_drover_vm_mmap, flags, 1, -EINVAL),
		BAD(drm_drover_vm_mmap, flags, 1ULL << 63, -EINVAL),
	};

	CHECK_BAD(&env, DRM_IOCTL_DROVER_VM_MMAP, &arg, &arg, bad);
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_MMAP, &arg));
	check_eq(arg.size, device_info(env.gpu.dev).va_end);
}

/* ---- Beyond single fields ---- */

static void destroyed_twice(void)
{
	struct env env = env_new();
	struct drm_drover_bo_create create = {.size = PAGE, .placements = VRAM};
	struct drm_drover_vm_create vm = {0};
	struct drm_drover_vm_destroy destroy;
	struct drm_gem_close close = {0};
	struct snapshot before = snapshot(&env), after;

	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_BO_CREATE, &create));
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_CREATE, &vm));
	close.handle = create.handle;
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_GEM_CLOSE, &close));
	check_err(raw_ioctl(env.fd, DRM_IOCTL_GEM_CLOSE, &close), -EINVAL);
	destroy = (struct drm_drover_vm_destroy){.vm_id = vm.vm_id};
	check_ok(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_DESTROY, &destroy));
	check_err(raw_ioctl(env.fd, DRM_IOCTL_DROVER_VM_DESTROY, &destroy), -ENOENT);
	check(eventually(device_info(env.gpu.dev).vram_used == before.device.vram_used),
	      "a closed BO keeps its memory");
	after = snapshot(&env);
	check(!memcmp(&before, &after, sizeof(before)), "destroying twice changed something");
}

static void unknown_ioctls(void)
{
	struct env env = env_new();
	struct snapshot before = snapshot(&env), after;
	char argument[512];
	unsigned int nr;

	for (nr = DRM_DROVER_VM_MMAP + 1; nr < DRM_COMMAND_END - DRM_COMMAND_BASE; nr++) {
		memset(argument, 0, sizeof(argument));
		check_err(raw_ioctl(env.fd, DRM_IOWR(DRM_COMMAND_BASE + nr, char[512]), argument),
			  -EINVAL);
	}
	after = snapshot(&env);
	check(!memcmp(&before, &after, sizeof(before)), "an unknown ioctl changed something");
}

#define SHORTER(request, size) _IOC(_IOC_DIR(request), DRM_IOCTL_BASE, _IOC_NR(request), (size))

/* An older userspace: it passes what it knows, gets that back, and nothing beyond it is written. */
static void shorter_structures(void)
{
	struct env env = env_new();
	struct {
		struct drm_drover_device_info info;
	} info = {0};
	struct drm_drover_bo_create create = {.size = PAGE, .placements = VRAM, .pad = 0xdead};
	struct drm_drover_submit submit = {
		.vm_id = env.vm,
		.num_buffers = 0xdead,
	};
	struct drm_drover_evict evict = {.target = DRM_DROVER_EVICT_ALL, .flags = 0xdead};
	size_t length = offsetof(struct drm_drover_device_info, vram_used);
	struct snapshot before;

	memset((char *)&info + length, 0xaa, sizeof(info) - length);
	check_ok(raw_ioctl(env.fd, SHORTER(DRM_IOCTL_DROVER_DEVICE_INFO, length), &info));
	check_eq(info.info.vram_size, 64 * MIB);
	check_eq(info.info.vram_used, 0xaaaaaaaaaaaaaaaaULL);

	length = offsetof(struct drm_drover_bo_create, pad);
	check_ok(raw_ioctl(env.fd, SHORTER(DRM_IOCTL_DROVER_BO_CREATE, length), &create));
	check(create.handle, "no handle");
	check_eq(create.pad, 0xdead);

	before = snapshot(&env);
	length = offsetof(struct drm_drover_submit, num_buffers);
	check_ok(raw_ioctl(env.fd, SHORTER(DRM_IOCTL_DROVER_SUBMIT, length), &submit));
	check_eq(vm_info(&env.gpu).submitted, before.vm.submitted + 1);

	length = offsetof(struct drm_drover_evict, flags);
	check_ok(raw_ioctl(env.fd, SHORTER(DRM_IOCTL_DROVER_EVICT, length), &evict));
	check_eq(evict.flags, 0xdead);
	check_eq(evict.evicted, 3);
}

/* A newer userspace: what this kernel doesn't know is left alone. */
static void longer_structures(void)
{
	struct env env = env_new();
	struct {
		struct drm_drover_bo_create create;
		uint64_t tail[4];
	} longer = {
		.create = {.size = PAGE, .placements = VRAM},
		.tail = {0, 0, 0, 0},
	};
	size_t i;

	check_ok(raw_ioctl(env.fd, SHORTER(DRM_IOCTL_DROVER_BO_CREATE, sizeof(longer)), &longer));
	check(longer.create.handle, "no handle");
	for (i = 0; i < ARRAY_SIZE(longer.tail); i++)
		check_eq(longer.tail[i], 0);
}

/* No argument at all: as if it were all zeros. */
static void without_argument(void)
{
	static const struct {
		unsigned int nr;
		int error;
	} cases[] = {
		{DRM_DROVER_DEVICE_INFO, 0},      {DRM_DROVER_BO_CREATE, -EINVAL},
		{DRM_DROVER_BO_MMAP, -ENOENT},    {DRM_DROVER_BO_INFO, -ENOENT},
		{DRM_DROVER_VM_DESTROY, -ENOENT}, {DRM_DROVER_VM_BIND, -EINVAL},
		{DRM_DROVER_VM_INFO, -ENOENT},    {DRM_DROVER_SUBMIT, -ENOENT},
		{DRM_DROVER_EVICT, -ENOENT},      {DRM_DROVER_VM_MMAP, -ENOENT},
	};
	struct env env = env_new();
	struct snapshot before = snapshot(&env), after;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		check_err(raw_ioctl(env.fd, DRM_IO(DRM_COMMAND_BASE + cases[i].nr), NULL),
			  cases[i].error);
	after = snapshot(&env);
	check(!memcmp(&before, &after, sizeof(before)), "changed something");
}

/* All of this is for everybody. */
static void needs_no_privileges(void)
{
	struct client_bo bo, import;
	struct gpu gpu, other;

	check_sys(setresgid(65534, 65534, 65534));
	check_sys(setresuid(65534, 65534, 65534));
	gpu = gpu_open(0);
	other = gpu_open(1);
	bo = gpu_bo(&gpu, SIZE, VRAM | GTT);
	import = gpu_import(&other, bo_export(bo.bo));
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	check_ok(gpu_check(&other, import.va, SIZE, 1, 1));
	check_ok(drover_bo_evict(bo.bo, NULL));
	check_ok(drover_vm_evict(gpu.vm, NULL));
	check_ok(drover_device_evict(gpu.dev, NULL));
	check_words(bo_map(bo.bo), SIZE, 1, 1);
	bo_info(import.bo);
	vm_info(&gpu);
	check_ok(drover_vm_unbind(gpu.vm, bo.va, SIZE));
	gpu_close(&gpu);
}

/* ---- Random input ---- */

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t below(uint64_t limit)
{
	return next_random() % limit;
}

static uint64_t interesting(struct env *env)
{
	const uint64_t values[] = {
		0,
		1,
		2,
		3,
		4,
		5,
		PAGE,
		SIZE,
		MIB,
		64 * MIB,
		1ULL << 31,
		1ULL << 32,
		1ULL << 38,
		1ULL << 63,
		0ULL - PAGE,
		~0ULL,
		0xffffffff,
		env->va,
		env->va + MIB,
		env->handle,
		env->private_handle,
		env->vm,
		env->other_vm,
		(uintptr_t)env->edge,
		(uintptr_t)env->edge + PAGE - 8,
		KERNEL_ADDRESS,
		next_random(),
		below(100),
	};

	return values[below(ARRAY_SIZE(values))];
}

/* Zero to two fields of an otherwise valid argument become something else. */
static void disturb(struct env *env, void *argument, size_t size)
{
	uint64_t i, times = below(3);

	for (i = 0; i < times; i++) {
		uint64_t value = interesting(env);
		size_t width = below(2) ? 4 : 8;

		if (width <= size)
			memcpy((char *)argument + below((size - width) / 4 + 1) * 4, &value, width);
	}
}

#define DISTURB(env, part) disturb(env, &(part), sizeof(part))

static void fuzz_bind(struct env *env)
{
	struct drm_drover_bind ops[4];
	struct drm_drover_vm_bind arg = {
		.vm_id = env->vm,
		.num_binds = 1 + below(4),
		.binds = (uintptr_t)ops,
	};
	unsigned int i;

	for (i = 0; i < 4; i++) {
		bool map = below(2);

		ops[i] = (struct drm_drover_bind){
			.op = map ? DRM_DROVER_BIND_MAP : DRM_DROVER_BIND_UNMAP,
			.handle = map ? env->handle : 0,
			.bo_offset = map ? below(4) * PAGE : 0,
			.va = env->va + below(64) * PAGE,
			.size = (1 + below(8)) * PAGE,
		};
		DISTURB(env, ops[i]);
	}
	DISTURB(env, arg);
	raw_ioctl(env->fd, DRM_IOCTL_DROVER_VM_BIND, &arg);
}

static int fuzz_submit(struct env *env)
{
	struct drm_drover_command commands[4];
	struct drm_drover_sync in = {.handle = drover_sync_handle(env->signaled)}, out = in;
	struct drm_drover_buffer buffer = {.handle = env->handle, .flags = 1 + below(3)};
	struct drm_drover_submit arg = {
		.vm_id = env->vm,
		.commands = (uintptr_t)commands,
		.in_syncs = (uintptr_t)&in,
		.out_syncs = (uintptr_t)&out,
		.buffers = (uintptr_t)&buffer,
		.num_commands = 1 + below(4),
		.num_in_syncs = below(2),
		.num_out_syncs = below(2),
		.num_buffers = below(2),
	};
	unsigned int i;

	for (i = 0; i < 4; i++) {
		uint32_t opcode = below(5);

		commands[i] = (struct drm_drover_command){.opcode = opcode, .size = 4 * below(64)};
		if (opcode == DRM_DROVER_OP_FILL || opcode == DRM_DROVER_OP_COPY ||
		    opcode == DRM_DROVER_OP_ADD)
			commands[i].dst = env->va + 4 * below(SIZE / 4);
		if (opcode == DRM_DROVER_OP_CHECK || opcode == DRM_DROVER_OP_COPY ||
		    opcode == DRM_DROVER_OP_ADD)
			commands[i].src = env->va + 4 * below(SIZE / 4);
		if (opcode == DRM_DROVER_OP_ADD)
			commands[i].src2 = env->va;
		if (!below(4))
			DISTURB(env, commands[i]);
	}
	if (!below(4))
		DISTURB(env, in);
	if (!below(4))
		DISTURB(env, buffer);
	DISTURB(env, arg);
	return raw_ioctl(env->fd, DRM_IOCTL_DROVER_SUBMIT, &arg);
}

static void fuzz_other(struct env *env)
{
	struct drm_drover_bo_create create = {
		.size = PAGE * (1 + below(32)),
		.placements = 1 + below(3),
		.vm_id = env->vm * below(2),
	};
	struct drm_drover_bo_mmap mmap = {.handle = env->handle};
	struct drm_drover_bo_info bo = {.handle = env->handle};
	struct drm_drover_vm_info vm = {.vm_id = env->vm};
	struct drm_drover_evict evict = {.target = below(3), .id = env->vm * below(2)};
	struct drm_drover_vm_mmap window = {.vm_id = env->vm, .target = below(2)};
	struct drm_drover_device_info device = {0};
	const struct {
		unsigned long request;
		void *argument;
	} calls[] = {
		{DRM_IOCTL_DROVER_BO_CREATE, &create}, {DRM_IOCTL_DROVER_BO_MMAP, &mmap},
		{DRM_IOCTL_DROVER_BO_INFO, &bo},       {DRM_IOCTL_DROVER_VM_INFO, &vm},
		{DRM_IOCTL_DROVER_EVICT, &evict},      {DRM_IOCTL_DROVER_DEVICE_INFO, &device},
		{DRM_IOCTL_DROVER_VM_MMAP, &window},
	};
	size_t which = below(ARRAY_SIZE(calls));
	unsigned long request = calls[which].request;

	disturb(env, calls[which].argument, _IOC_SIZE(request));
	if (!below(16)) /* shorter than it is */
		request = SHORTER(request, below(_IOC_SIZE(request)));
	if (!raw_ioctl(env->fd, request, calls[which].argument) &&
	    request == DRM_IOCTL_DROVER_BO_CREATE) {
		struct drm_gem_close close = {.handle = create.handle};

		raw_ioctl(env->fd, DRM_IOCTL_GEM_CLOSE, &close);
	}
}

static void renew_vm(struct env *env)
{
	drover_vm_destroy(env->gpu.vm);
	check_ok(drover_vm_create(env->gpu.dev, &env->gpu.vm));
	env->vm = drover_vm_id(env->gpu.vm);
	check_ok(drover_vm_bind(env->gpu.vm, env->va, env->bo, 0, SIZE, 0));
}

/* Any error is fine; a hang, a warning (the lab looks for those), or a device that is no good afterwards isn't. */
static void random_input(void)
{
	const char *given = getenv("DROVER_FUZZ_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 20261122, calls = 0;
	int64_t end = now_ns() + 2 * SECOND_NS;
	struct env env = env_new();
	struct gpu gpu = gpu_open(0);
	struct client_bo bo = gpu_bo(&gpu, SIZE, VRAM);

	random_state = seed | 1;
	while (now_ns() < end) {
		uint64_t which = below(4);
		int error = 0;

		if (which == 0)
			fuzz_bind(&env);
		else if (which == 1)
			error = fuzz_submit(&env);
		else
			fuzz_other(&env);
		calls++;
		if (error == -ECANCELED) /* lost: it's no use any more */
			renew_vm(&env);
	}
	check_ok(gpu_fill(&gpu, bo.va, SIZE, 1, 1));
	check_words(bo_map(bo.bo), SIZE, 1, 1);
	fprintf(stderr, "# random_input: seed %llu (DROVER_FUZZ_SEED), %llu calls\n",
		(unsigned long long)seed, (unsigned long long)calls);
	check(calls > 50, "%llu calls only", (unsigned long long)calls);
}

static const struct test tests[] = {
	TEST(bad_argument_pointers),
	TEST(out_fields_are_ignored),
	TEST(bo_create_fields),
	TEST(bo_mmap_fields),
	TEST(bo_info_fields),
	TEST(vm_fields),
	TEST(vm_bind_fields),
	TEST(vm_bind_map_fields),
	TEST(vm_bind_unmap_fields),
	TEST(submit_fields),
	TEST(command_fields),
	TEST(sync_and_buffer_fields),
	TEST(failed_submission_changes_no_syncobj),
	TEST(duplicates),
	TEST(evict_fields),
	TEST(vm_mmap_fields),
	TEST(destroyed_twice),
	TEST(unknown_ioctls),
	TEST(shorter_structures),
	TEST(longer_structures),
	TEST(without_argument),
	TEST(needs_no_privileges),
	TEST(random_input),
};

int main(int argc, char **argv)
{
	return test_main("badinput", tests, ARRAY_SIZE(tests), argc, argv);
}
