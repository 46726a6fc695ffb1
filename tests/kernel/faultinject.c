// SPDX-License-Identifier: MIT
/*
 * No memory: each call is made again and again, and in the n-th of them the n-th
 * allocation fails, until there is no n-th. Each time it either succeeds or says
 * -ENOMEM, and then everything is as before. Only for kernels with fault
 * injection. Two devices of 16 MiB of VRAM and of GTT, p2p=1.
 */
#include "common.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <xf86drm.h>

#define SIZE            (32 * KIB)
#define DEBUGFS         "/sys/kernel/debug"
#define MAX_ALLOCATIONS 5000

/* What the calls work on. */
struct env {
	struct gpu gpu, importer;
	int fd, importer_fd;
	struct client_bo bo, gtt, import;
	struct drover_bo *private;
	uint64_t private_va;
	struct drover_sync *timeline, *signaled;
	uint64_t point;
	int dmabuf, other_dmabuf;
	/* What a successful call made, to be undone. */
	uint32_t made;
	int made_fd;
};

static void set(const char *directory, const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", directory, file);
	check_ok(write_file(path, value));
}

static void need_fault_injection(void)
{
	if (access("/proc/thread-self/fail-nth", F_OK))
		test_skip("this kernel is built without fault injection");
	set("failslab", "ignore-gfp-wait", "N");
	set("failslab", "verbose", "0");
	set("fail_page_alloc", "ignore-gfp-wait", "N");
	set("fail_page_alloc", "ignore-gfp-highmem", "N");
	set("fail_page_alloc", "min-order", "0");
	set("fail_page_alloc", "verbose", "0");
}

static struct env env_new(void)
{
	struct env env = {.gpu = gpu_open(0), .importer = gpu_open(1)};

	env.fd = drover_device_fd(env.gpu.dev);
	env.importer_fd = drover_device_fd(env.importer.dev);
	env.bo = gpu_bo(&env.gpu, SIZE, VRAM | GTT);
	env.gtt = gpu_bo(&env.gpu, SIZE, GTT);
	env.private = bo_new_private(&env.gpu, SIZE, VRAM);
	env.private_va = gpu_bind(&env.gpu, env.private);
	env.dmabuf = bo_export(env.bo.bo);
	env.other_dmabuf = bo_export(bo_new(&env.gpu, SIZE, VRAM | GTT));
	env.import = gpu_import(&env.importer, env.dmabuf);
	check_ok(drover_sync_create(env.gpu.dev, false, &env.timeline));
	check_ok(drover_sync_create(env.gpu.dev, true, &env.signaled));
	check_ok(gpu_fill(&env.gpu, env.bo.va, SIZE, 1, 1));
	check_ok(gpu_fill(&env.gpu, env.gtt.va, SIZE, 2, 1));
	check_ok(gpu_fill(&env.gpu, env.private_va, SIZE, 3, 1));
	return env;
}

/* What may never change by a call that failed. Where BOs are isn't part of it. */
struct state {
	struct drm_drover_vm_info vm, importer;
	uint64_t memory;
};

static struct state state_of(struct env *env)
{
	struct drm_drover_device_info device = device_info(env->gpu.dev);
	struct drm_drover_vm_info vm = vm_info(&env->gpu), importer = vm_info(&env->importer);

	return (struct state){
		.vm = {.flags = vm.flags,
		       .mappings = vm.mappings,
		       .bos = vm.bos,
		       .submitted = vm.submitted,
		       .failed_checks = vm.failed_checks},
		.importer = {.flags = importer.flags,
			     .mappings = importer.mappings,
			     .bos = importer.bos,
			     .submitted = importer.submitted,
			     .failed_checks = importer.failed_checks},
		.memory = device.vram_used + device.gtt_used,
	};
}

static void check_contents(struct env *env)
{
	struct job job = job_new(&env->gpu);

	drover_submission_check(job.sub, env->bo.va, SIZE, 1, 1);
	drover_submission_check(job.sub, env->gtt.va, SIZE, 2, 1);
	drover_submission_check(job.sub, env->private_va, SIZE, 3, 1);
	check_ok(job_run(&job));
	check_ok(gpu_check(&env->importer, env->import.va, SIZE, 1, 1));
}

struct call {
	const char *name;
	/* Before each call, if not NULL. */
	void (*prepare)(struct env *env);
	/* One system call; 0 or a negative errno. */
	int (*call)(struct env *env);
	/* After one that succeeded, if not NULL. */
	void (*undo)(struct env *env);
};

static int fail_nth_fd(void)
{
	/* Opened by each thread for itself; kept, so that writing it needs no allocation that could fail. */
	static int fd = -1;

	if (fd < 0)
		fd = check_sys(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC));
	return fd;
}

static void arm(unsigned int nth)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", nth);
	check_sys(pwrite(fail_nth_fd(), text, strlen(text), 0));
}

/* Whether the allocation that was to fail was reached. */
static bool disarm(void)
{
	char text[16] = "";

	check_sys(pread(fail_nth_fd(), text, sizeof(text) - 1, 0));
	arm(0);
	return atoi(text) == 0;
}

static void check_call(struct env *env, const struct call *call)
{
	unsigned int nth, failed = 0;

	for (nth = 1;; nth++) {
		struct state before, after;
		bool injected;
		int error;

		check(nth < MAX_ALLOCATIONS, "%s makes more than %u allocations", call->name, nth);
		if (call->prepare)
			call->prepare(env);
		before = state_of(env);
		arm(nth);
		error = call->call(env);
		injected = disarm();
		check(!error || (injected && error == -ENOMEM),
		      "%s with allocation %u failing: %s, expected success or ENOMEM", call->name,
		      nth, strerrorname_np(-error));
		after = state_of(env);
		check(!error || !memcmp(&before.vm, &after.vm, sizeof(before.vm)),
		      "%s with allocation %u failing: the VM isn't as before", call->name, nth);
		check(!error || !memcmp(&before.importer, &after.importer, sizeof(before.importer)),
		      "%s with allocation %u failing: the importer's VM isn't as before",
		      call->name, nth);
		failed += error != 0;
		if (!error && call->undo)
			call->undo(env);
		if (error || !injected)
			check_contents(env);
		if (!injected)
			break;
	}
	fprintf(stderr, "# %s: %u allocations, %u of them made it fail\n", call->name, nth - 1,
		failed);
}

static void check_calls(const struct call *calls, size_t count)
{
	struct env env;
	size_t i;

	need_fault_injection();
	env = env_new();
	for (i = 0; i < count; i++) {
		uint64_t memory = state_of(&env).memory;

		check_call(&env, &calls[i]);
		check_ok(drover_device_evict(env.gpu.dev, NULL));
		check_contents(&env); /* all of it is back where it was */
		check(eventually(state_of(&env).memory <= memory), "%s leaves memory in use",
		      calls[i].name);
	}
}

static int result(int returned)
{
	return returned ? -errno : 0;
}

/* ---- Buffer objects ---- */

static int create_bo(struct env *env, uint32_t placements, uint32_t vm)
{
	struct drm_drover_bo_create create = {.size = SIZE, .placements = placements, .vm_id = vm};
	int error = result(drmIoctl(env->fd, DRM_IOCTL_DROVER_BO_CREATE, &create));

	env->made = create.handle;
	return error;
}

static int create_vram(struct env *env)
{
	return create_bo(env, VRAM, 0);
}

static int create_gtt(struct env *env)
{
	return create_bo(env, GTT, 0);
}

static int create_private(struct env *env)
{
	return create_bo(env, VRAM | GTT, drover_vm_id(env->gpu.vm));
}

static void close_made(struct env *env)
{
	struct drm_gem_close close = {.handle = env->made};

	check_sys(drmIoctl(env->fd, DRM_IOCTL_GEM_CLOSE, &close));
}

static int get_info(struct env *env)
{
	struct drm_drover_device_info device = {0};
	struct drm_drover_bo_info bo = {.handle = drover_bo_handle(env->bo.bo)};
	struct drm_drover_vm_info vm = {.vm_id = drover_vm_id(env->gpu.vm)};
	struct drm_drover_bo_mmap mmap = {.handle = bo.handle};
	int error = result(drmIoctl(env->fd, DRM_IOCTL_DROVER_DEVICE_INFO, &device));

	if (!error)
		error = result(drmIoctl(env->fd, DRM_IOCTL_DROVER_BO_INFO, &bo));
	if (!error)
		error = result(drmIoctl(env->fd, DRM_IOCTL_DROVER_VM_INFO, &vm));
	return error ? error : result(drmIoctl(env->fd, DRM_IOCTL_DROVER_BO_MMAP, &mmap));
}

static int open_device(struct env *env)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", env->fd);
	env->made_fd = open(path, O_RDWR | O_CLOEXEC);
	return env->made_fd < 0 ? -errno : 0;
}

static void close_made_fd(struct env *env)
{
	close(env->made_fd);
}

static int evict_bo(struct env *env)
{
	return drover_bo_evict(env->bo.bo, NULL);
}

static int evict_vm(struct env *env)
{
	return drover_vm_evict(env->gpu.vm, NULL);
}

static int evict_all(struct env *env)
{
	return drover_device_evict(env->gpu.dev, NULL);
}

static void bos(void)
{
	static const struct call calls[] = {
		{"open", NULL, open_device, close_made_fd},
		{"BO_CREATE in VRAM", NULL, create_vram, close_made},
		{"BO_CREATE in GTT", NULL, create_gtt, close_made},
		{"BO_CREATE, private", NULL, create_private, close_made},
		{"DEVICE_INFO, BO_INFO, VM_INFO, BO_MMAP", NULL, get_info, NULL},
		{"EVICT of a BO", check_contents, evict_bo, NULL},
		{"EVICT of a VM", check_contents, evict_vm, NULL},
		{"EVICT of all", check_contents, evict_all, NULL},
	};

	check_calls(calls, ARRAY_SIZE(calls));
}

/* ---- Address spaces ---- */

static int create_vm(struct env *env)
{
	struct drm_drover_vm_create create = {0};
	int error = result(drmIoctl(env->fd, DRM_IOCTL_DROVER_VM_CREATE, &create));

	env->made = create.vm_id;
	return error;
}

static int destroy_vm(struct env *env)
{
	struct drm_drover_vm_destroy destroy = {.vm_id = env->made};

	return result(drmIoctl(env->fd, DRM_IOCTL_DROVER_VM_DESTROY, &destroy));
}

static void undo_create_vm(struct env *env)
{
	check_ok(destroy_vm(env));
}

static void prepare_destroy_vm(struct env *env)
{
	check_ok(create_vm(env));
}

static int bind_one(struct env *env)
{
	return drover_vm_bind(env->gpu.vm, 1ULL << 32, env->bo.bo, 0, SIZE, 0);
}

static void undo_bind(struct env *env)
{
	check_ok(drover_vm_unbind(env->gpu.vm, 1ULL << 32, 64 * SIZE));
}

static void prepare_unbind(struct env *env)
{
	undo_bind(env);
	check_ok(bind_one(env));
}

static int unbind_middle(struct env *env)
{
	return drover_vm_unbind(env->gpu.vm, (1ULL << 32) + PAGE, PAGE);
}

static int bind_many(struct env *env)
{
	struct drm_drover_bind ops[6] = {0};
	unsigned int i;

	for (i = 0; i < 6; i++)
		ops[i] = (struct drm_drover_bind){
			.op = DRM_DROVER_BIND_MAP,
			.handle = drover_bo_handle(i & 1 ? env->bo.bo : env->private),
			.va = (1ULL << 32) + i * SIZE / 2, /* each replaces half of the last */
			.size = SIZE,
		};
	return drover_vm_bind_array(env->gpu.vm, ops, 6, NULL);
}

static void vms(void)
{
	static const struct call calls[] = {
		{"VM_CREATE", NULL, create_vm, undo_create_vm},
		{"VM_DESTROY", prepare_destroy_vm, destroy_vm, NULL},
		{"VM_BIND of one", NULL, bind_one, undo_bind},
		{"VM_BIND that unmaps the middle", prepare_unbind, unbind_middle, undo_bind},
		{"VM_BIND of several", NULL, bind_many, undo_bind},
	};

	check_calls(calls, ARRAY_SIZE(calls));
}

/* ---- Submissions ---- */

static int submit(struct env *env)
{
	struct drm_drover_command command[2] = {
		{.opcode = DRM_DROVER_OP_CHECK,
		 .src = env->bo.va,
		 .size = SIZE,
		 .value = 1,
		 .step = 1},
		{.opcode = DRM_DROVER_OP_SPIN, .size = 1},
	};
	struct drm_drover_sync in = {.handle = drover_sync_handle(env->signaled)};
	struct drm_drover_sync out = {.handle = drover_sync_handle(env->timeline),
				      .point = ++env->point};
	struct drm_drover_buffer buffer = {.handle = drover_bo_handle(env->bo.bo),
					   .flags = DRM_DROVER_BUFFER_WRITE};
	struct drm_drover_submit arg = {
		.vm_id = drover_vm_id(env->gpu.vm),
		.commands = (uintptr_t)command,
		.in_syncs = (uintptr_t)&in,
		.out_syncs = (uintptr_t)&out,
		.buffers = (uintptr_t)&buffer,
		.num_commands = 2,
		.num_in_syncs = 1,
		.num_out_syncs = 1,
		.num_buffers = 1,
	};

	return result(drmIoctl(env->fd, DRM_IOCTL_DROVER_SUBMIT, &arg));
}

static int submit_to_importer(struct env *env)
{
	struct drm_drover_submit arg = {.vm_id = drover_vm_id(env->importer.vm)};

	return result(drmIoctl(env->importer_fd, DRM_IOCTL_DROVER_SUBMIT, &arg));
}

static void prepare_eviction(struct env *env)
{
	check_contents(env);
	check_ok(drover_device_evict(env->gpu.dev, NULL));
}

static void submissions(void)
{
	static const struct call calls[] = {
		{"SUBMIT", check_contents, submit, NULL},
		{"SUBMIT after an eviction", prepare_eviction, submit, NULL},
		{"SUBMIT of an importer after an eviction", prepare_eviction, submit_to_importer,
		 NULL},
	};

	check_calls(calls, ARRAY_SIZE(calls));
}

/* ---- Sharing ---- */

static int export_bo(struct env *env)
{
	return result(
		drmPrimeHandleToFD(env->fd, env->made, DRM_CLOEXEC | DRM_RDWR, &env->made_fd));
}

static void prepare_export(struct env *env)
{
	if (env->made) /* the last one, for which no export succeeded */
		close_made(env);
	check_ok(create_vram(env));
}

static void undo_export(struct env *env)
{
	close(env->made_fd);
	close_made(env);
	env->made = 0;
}

static int import_bo(struct env *env)
{
	return result(drmPrimeFDToHandle(env->importer_fd, env->other_dmabuf, &env->made));
}

static void undo_import(struct env *env)
{
	struct drm_gem_close close = {.handle = env->made};

	check_sys(drmIoctl(env->importer_fd, DRM_IOCTL_GEM_CLOSE, &close));
}

static void sharing(void)
{
	static const struct call calls[] = {
		{"PRIME_HANDLE_TO_FD", prepare_export, export_bo, undo_export},
		{"PRIME_FD_TO_HANDLE", NULL, import_bo, undo_import},
	};

	check_calls(calls, ARRAY_SIZE(calls));
}

static const struct test tests[] = {
	TEST(bos),
	TEST(vms),
	TEST(submissions),
	TEST(sharing),
};

int main(int argc, char **argv)
{
	return test_main("faultinject", tests, ARRAY_SIZE(tests), argc, argv);
}
