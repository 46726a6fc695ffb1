// SPDX-License-Identifier: MIT
/*
 * The aperture: a VM's address range as the CPU sees it, while what is bound
 * there is evicted, moved, unbound and taken away. Devices with 16 MiB of VRAM and 16 MiB
 * of GTT. Thanks to the switch `poison`, which is on in every test, the driver checks each
 * removal of CPU entries.
 */
#include "common.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <linux/memfd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xf86drm.h>

#include "../modules/drover_static_importer.h"

#define SIZE  (1 * MIB)
#define RANGE (1024 * MIB)

/* A GPU with its aperture. */
struct window {
	struct gpu gpu;
	char *base;
};

static struct window window_open(unsigned int index)
{
	struct window window = {.gpu = gpu_open(index)};
	void *base;

	check_ok(drover_vm_map_aperture(window.gpu.vm, RANGE, &base));
	window.base = base;
	return window;
}

static uint32_t *window_words(const struct window *window, uint64_t va)
{
	return (uint32_t *)(window->base + va);
}

static uint64_t aperture_offset(const struct gpu *gpu, uint32_t target)
{
	struct drm_drover_vm_mmap args = {.vm_id = drover_vm_id(gpu->vm), .target = target};

	check_sys(drmIoctl(drover_device_fd(gpu->dev), DRM_IOCTL_DROVER_VM_MMAP, &args));
	return args.offset;
}

static void *try_mmap(const struct gpu *gpu, uint64_t size, int prot, int flags, uint64_t offset)
{
	return mmap(NULL, size, prot, flags, drover_device_fd(gpu->dev), (off_t)offset);
}

static void evict(struct drover_bo *bo)
{
	check_ok(drover_bo_evict(bo, NULL));
	check_eq(bo_info(bo).placement, EVICTED);
}

/* Whether the CPU has an entry for a word: if not, reading it is a fault. */
static bool word_is_mapped(const struct window *window, const volatile uint32_t *word)
{
	uint64_t before = vm_info(&window->gpu).faults;

	(void)*word;
	return vm_info(&window->gpu).faults == before;
}

/* ---- Signals that accesses end with ---- */

static sigjmp_buf after_signal;

static void on_signal(int number)
{
	siglongjmp(after_signal, number);
}

/* The signal that an access ends with, or 0. */
static int access_signal(volatile uint32_t *word, bool write)
{
	struct sigaction action = {.sa_handler = on_signal}, old_bus, old_segv;
	int number;

	sigaction(SIGBUS, &action, &old_bus);
	sigaction(SIGSEGV, &action, &old_segv);
	number = sigsetjmp(after_signal, 1);
	if (!number) {
		if (write)
			*word = 1;
		else
			(void)*word;
	}
	sigaction(SIGBUS, &old_bus, NULL);
	sigaction(SIGSEGV, &old_segv, NULL);
	return number;
}

/* ---- What is there ---- */

static void cpu_and_engine_see_the_same(void)
{
	static const uint32_t placements[] = {VRAM, GTT};
	struct window window = window_open(0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(placements); i++) {
		struct client_bo bo = gpu_bo(&window.gpu, SIZE, placements[i]);
		uint32_t *words = window_words(&window, bo.va);

		check_words(words, SIZE, 0, 0);
		fill_words(words, SIZE, 5, 3);
		check_ok(gpu_check(&window.gpu, bo.va, SIZE, 5, 3));
		check_ok(gpu_fill(&window.gpu, bo.va, SIZE, 7, 1));
		check_words(words, SIZE, 7, 1);
		check_words(bo_map(bo.bo), SIZE, 7, 1);
	}
	check(vm_info(&window.gpu).faults >= 2, "no fault was counted");
}

/* Parts of BOs, at odd places, next to each other. */
static void parts_of_bos(void)
{
	struct window window = window_open(0);
	struct drover_bo *a = bo_new(&window.gpu, SIZE, VRAM), *b = bo_new(&window.gpu, SIZE, GTT);
	const uint64_t va = 64 * MIB + 5 * PAGE;

	fill_words(bo_map(a), SIZE, 1, 1);
	fill_words(bo_map(b), SIZE, 0x40000000, 1);
	check_ok(drover_vm_bind(window.gpu.vm, va, a, 7 * PAGE, 11 * PAGE, 0));
	check_ok(drover_vm_bind(window.gpu.vm, va + 11 * PAGE, b, 0, 3 * PAGE, 0));
	check_ok(drover_vm_bind(window.gpu.vm, va + 14 * PAGE, a, 0, 7 * PAGE, 0));

	check_words(window_words(&window, va), 11 * PAGE, 1 + 7 * 1024, 1);
	check_words(window_words(&window, va + 11 * PAGE), 3 * PAGE, 0x40000000, 1);
	check_words(window_words(&window, va + 14 * PAGE), 7 * PAGE, 1, 1);
	check_eq(access_signal(window_words(&window, va - PAGE), false), SIGBUS);
	check_eq(access_signal(window_words(&window, va + 21 * PAGE), false), SIGBUS);
}

static void nothing_bound_is_a_bus_error(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM);
	uint32_t *words = window_words(&window, bo.va);

	check_eq(access_signal((uint32_t *)window.base, false), SIGBUS);
	check_eq(access_signal(window_words(&window, RANGE - PAGE), true), SIGBUS);
	check_eq(access_signal(words, true), 0);
	check_ok(drover_vm_unbind(window.gpu.vm, bo.va, PAGE));
	check_eq(access_signal(words, false), SIGBUS);
	check_eq(access_signal(words + PAGE / 4, false), 0);
	check_ok(drover_vm_bind(window.gpu.vm, bo.va, bo.bo, PAGE, PAGE, 0));
	check_eq(access_signal(words, false), 0);
	check_eq(vm_info(&window.gpu).lost_reason, 0);
}

static void readonly_is_a_segmentation_fault(void)
{
	struct window window = window_open(0);
	struct drover_bo *bo = bo_new(&window.gpu, SIZE, VRAM);
	uint64_t va = 16 * MIB;
	uint32_t *words = window_words(&window, va);

	check_ok(drover_vm_bind(window.gpu.vm, va, bo, 0, SIZE, DRM_DROVER_BIND_READONLY));
	/* with and without an entry that is there already */
	check_eq(access_signal(words, true), SIGSEGV);
	check_eq(access_signal(words, false), 0);
	check_eq(access_signal(words, true), SIGSEGV);
	check_eq(access_signal(words + PAGE / 4, true), SIGSEGV);
	check_words(bo_map(bo), SIZE, 0, 0);

	check_ok(drover_vm_bind(window.gpu.vm, va, bo, 0, SIZE, 0));
	check_eq(access_signal(words, true), 0);
	check_ok(drover_vm_bind(window.gpu.vm, va, bo, 0, SIZE, DRM_DROVER_BIND_READONLY));
	check_eq(access_signal(words, true), SIGSEGV);
}

/* A process that may only read so far, and then may write; the binding still says no. */
static void readonly_stays_so_after_mprotect(void)
{
	struct window window = window_open(0);
	struct drover_bo *bo = bo_new(&window.gpu, SIZE, VRAM);
	uint64_t va = 16 * MIB;
	uint32_t *words = window_words(&window, va);

	check_sys(mprotect(words, SIZE, PROT_READ));
	check_ok(drover_vm_bind(window.gpu.vm, va, bo, 0, SIZE, DRM_DROVER_BIND_READONLY));
	check_words(words, SIZE, 0, 0);
	check_sys(mprotect(words, SIZE, PROT_READ | PROT_WRITE));
	check_eq(access_signal(words, true), SIGSEGV);
	check_words(bo_map(bo), SIZE, 0, 0);
}

/*
 * Where addresses and memory are both multiples of 2 MiB and the processor has entries
 * that large, they are used: nothing else may change.
 */
static void large_entries(void)
{
	struct window window = window_open(0), other = window_open(1);
	const uint64_t va = 64 * MIB, size = 8 * MIB;
	struct drover_bo *bo = bo_new(&window.gpu, size, VRAM), *import;
	uint32_t *words = window_words(&window, va), *imported = window_words(&other, va);
	uint64_t i;

	check_ok(drover_vm_bind(window.gpu.vm, va, bo, 0, size, 0));
	import = bo_import(&other.gpu, bo_export(bo));
	check_ok(drover_vm_bind(other.gpu.vm, va, import, 0, size, 0));
	fill_words(words, size, 1, 1);
	check_words(imported, size, 1, 1);
	check(vm_info(&window.gpu).faults <= size / (2 * MIB), "%llu faults for 8 MiB",
	      (unsigned long long)vm_info(&window.gpu).faults);

	/* parts of it: read-only, unbound, unmapped, bound to something else */
	check_ok(drover_vm_bind(window.gpu.vm, va, bo, 0, 2 * MIB, DRM_DROVER_BIND_READONLY));
	check_eq(access_signal(words, false), 0);
	check_eq(access_signal(words, true), SIGSEGV);
	check_ok(drover_vm_unbind(window.gpu.vm, va + 2 * MIB + PAGE, PAGE));
	check_eq(access_signal(words + (2 * MIB + PAGE) / 4, false), SIGBUS);
	check_words(words + 2 * MIB / 4, PAGE, 1 + 2 * MIB / 4, 1);
	check_words(words + (2 * MIB + 2 * PAGE) / 4, MIB, 1 + (2 * MIB + 2 * PAGE) / 4, 1);
	check_sys(munmap(words + 5 * MIB / 4, MIB));
	check_eq(access_signal(words + 5 * MIB / 4, false), SIGSEGV);
	check_words(words + 4 * MIB / 4, MIB, 1 + 4 * MIB / 4, 1);
	check_ok(drover_vm_bind(window.gpu.vm, va + 6 * MIB, bo, PAGE, 2 * MIB - PAGE, 0));
	check_words(words + 6 * MIB / 4, 2 * MIB - PAGE, 1 + PAGE / 4, 1);

	for (i = 0; i < 3; i++) {
		evict(bo);
		check_words(imported, size, 1, 1);
		check_words(words + 6 * MIB / 4, 2 * MIB - PAGE, 1 + PAGE / 4, 1);
	}
	check(gpu_fill(&window.gpu, 512 * MIB, PAGE, 1, 1), "a job that writes nowhere passed");
	evict(bo);
	check_words(words + 6 * MIB / 4, MIB, 0, 0);
	fill_words(words + 6 * MIB / 4, MIB, 9, 9);
	check_words(imported, size, 1, 1);
}

/* ---- Eviction ---- */

static void evicted_and_faulted_back(void)
{
	static const uint32_t placements[] = {VRAM, GTT, VRAM | GTT};
	struct window window = window_open(0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(placements); i++) {
		struct client_bo bo = gpu_bo(&window.gpu, SIZE, placements[i]);
		uint32_t *words = window_words(&window, bo.va);
		struct drm_drover_vm_info before;

		fill_words(words, SIZE, 11, 2);
		check(word_is_mapped(&window, words), "a word that was just written has no entry");
		before = vm_info(&window.gpu);
		evict(bo.bo);
		check(!word_is_mapped(&window, words), "a stale entry is left after the eviction");
		check_words(words, SIZE, 11, 2);
		check(bo_info(bo.bo).placement & (VRAM | GTT), "it was used but isn't resident");
		check_eq(vm_info(&window.gpu).remaps, before.remaps + 1);
		check_eq(bo_info(bo.bo).remaps, 1);
		check_ok(gpu_check(&window.gpu, bo.va, SIZE, 11, 2));
		check_eq(vm_info(&window.gpu).remaps, before.remaps + 1);
	}
}

static void private_bos_are_evicted_and_faulted_back(void)
{
	struct window window = window_open(0);
	struct drover_bo *bos[40];
	uint64_t va[40];
	size_t i, round;

	/* more than VRAM, less than VRAM and GTT: each makes room for the next */
	for (i = 0; i < 24; i++) {
		bos[i] = bo_new_private(&window.gpu, SIZE, VRAM | GTT);
		va[i] = gpu_bind(&window.gpu, bos[i]);
		fill_words(window_words(&window, va[i]), SIZE, i << 24, 1);
	}
	for (round = 0; round < 3; round++) {
		check_ok(drover_vm_evict(window.gpu.vm, NULL));
		for (i = 0; i < 24; i++)
			check_words(window_words(&window, va[i]), SIZE, i << 24, 1);
	}
	check_eq(vm_info(&window.gpu).lost_reason, 0);
}

/* Twice the device's memory in BOs that must be in VRAM: each fault evicts another one. */
static void larger_than_the_memory(void)
{
	struct window window = window_open(0);
	struct drover_bo *bos[32];
	uint64_t va[32];
	size_t i, round;

	for (i = 0; i < ARRAY_SIZE(bos); i++) {
		bos[i] = bo_new_private(&window.gpu, SIZE, VRAM);
		va[i] = gpu_bind(&window.gpu, bos[i]);
		fill_words(window_words(&window, va[i]), SIZE, i << 24, 1);
	}
	for (round = 0; round < 2; round++)
		for (i = 0; i < ARRAY_SIZE(bos); i++)
			check_words(window_words(&window, va[i]), SIZE, i << 24, 1);
	check(device_info(window.gpu.dev).evictions >= 48, "%llu evictions only",
	      (unsigned long long)device_info(window.gpu.dev).evictions);
}

static void import_is_evicted_and_faulted_back(void)
{
	struct window exporter = window_open(0), importer = window_open(1);
	struct client_bo bo = gpu_bo(&exporter.gpu, SIZE, VRAM | GTT), import;
	uint32_t *from, *to;
	unsigned int round;
	int fd = bo_export(bo.bo);

	import = gpu_import(&importer.gpu, fd);
	from = window_words(&exporter, bo.va);
	to = window_words(&importer, import.va);

	for (round = 0; round < 4; round++) {
		fill_words(from, SIZE, round, 5);
		check_words(to, SIZE, round, 5);
		fill_words(to, SIZE, round, 9);
		evict(bo.bo);
		check(!word_is_mapped(&importer, to), "a stale entry is left at the importer");
		check_words(to, SIZE, round, 9);
		check_words(from, SIZE, round, 9);
	}
	check_eq(vm_info(&importer.gpu).invalidations, 4);
	check_eq(vm_info(&importer.gpu).remaps, 4);
	check_eq(bo_info(bo.bo).pins, 0);
}

/* A dma-buf of another driver, which doesn't move. */
static void foreign_import(void)
{
	struct window window = window_open(0);
	uint32_t *words, *own;
	struct client_bo import;

	import = gpu_import(&window.gpu, udmabuf_new(SIZE, &own));
	words = window_words(&window, import.va);
	fill_words(own, SIZE, 3, 3);
	check_words(words, SIZE, 3, 3);
	fill_words(words, SIZE, 4, 4);
	check_words(own, SIZE, 4, 4);
}

static void *keep_evicting(void *bo)
{
	for (;;) {
		drover_bo_evict(bo, NULL);
		usleep(300);
	}
	return NULL;
}

/* Threads write and read while another process's file evicts: nothing gets lost on the way. */
struct worker {
	uint32_t *words;
	uint32_t seed;
	int64_t end;
};

static void *write_and_read(void *argument)
{
	struct worker *worker = argument;
	uint32_t round;

	for (round = worker->seed; now_ns() < worker->end; round += 16) {
		fill_words(worker->words, SIZE / 2, round, 7);
		check_words(worker->words, SIZE / 2, round, 7);
	}
	return NULL;
}

static void evictions_while_threads_work(void)
{
	struct window exporter = window_open(0), importer = window_open(1);
	struct client_bo bo = gpu_bo(&exporter.gpu, SIZE, VRAM | GTT), import;
	int64_t end = now_ns() + 2 * SECOND_NS;
	struct worker workers[2];
	pthread_t threads[2];
	int fd = bo_export(bo.bo);
	unsigned int i;

	import = gpu_import(&importer.gpu, fd);
	test_thread(keep_evicting, bo.bo);
	for (i = 0; i < 2; i++) {
		workers[i] = (struct worker){
			.words = i ? window_words(&importer, import.va) + SIZE / 8
				   : window_words(&exporter, bo.va),
			.seed = i,
			.end = end,
		};
		threads[i] = test_thread(write_and_read, &workers[i]);
	}
	for (i = 0; i < 2; i++)
		test_thread_join(threads[i]);
	check(vm_info(&importer.gpu).remaps >= 5, "remapped %llu times only",
	      (unsigned long long)vm_info(&importer.gpu).remaps);
}

/* The engine's jobs and the CPU's threads, on the same BOs of one VM that don't fit. */
static void engine_and_cpu_take_turns(void)
{
	struct window window = window_open(0);
	struct drover_bo *bos[24];
	uint64_t va[24];
	uint32_t round;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bos); i++) {
		bos[i] = i & 1 ? bo_new(&window.gpu, SIZE, VRAM | GTT)
			       : bo_new_private(&window.gpu, SIZE, VRAM | GTT);
		va[i] = gpu_bind(&window.gpu, bos[i]);
	}
	for (round = 0; round < 8; round++) {
		for (i = 0; i < ARRAY_SIZE(bos); i++) {
			fill_words(window_words(&window, va[i]), PAGE, round * 100 + i, 1);
			check_ok(gpu_check(&window.gpu, va[i], PAGE, round * 100 + i, 1));
			check_ok(gpu_fill(&window.gpu, va[i], PAGE, round * 200 + i, 3));
		}
		check_ok(drover_vm_evict(window.gpu.vm, NULL));
		for (i = 0; i < ARRAY_SIZE(bos); i++)
			check_words(window_words(&window, va[i]), PAGE, round * 200 + i, 3);
	}
}

/*
 * Two processes, each with a set that must be in VRAM, and that doesn't fit beside the
 * other one: they take turns, and both get on.
 */
static bool poll_hup(int fd)
{
	struct pollfd poll_fd = {.fd = fd};

	return poll(&poll_fd, 1, 0) && poll_fd.revents & POLLHUP;
}

static void work_on_a_set(int progress)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, 12 * SIZE, VRAM);
	uint32_t *words = window_words(&window, bo.va);
	uint32_t round;

	/* to the end, for as long as the other one hasn't come so far */
	for (round = 0; round < 6; round++) {
		fill_words(words, SIZE / 4, round, 1);
		check_words(words, SIZE / 4, round, 1);
		sleep_ms(1);
	}
	check_eq(write(progress, "", 1), 1);
	for (; !poll_hup(progress); round++)
		words[round % (SIZE / 4)] = round;
	check_eq(vm_info(&window.gpu).lost_reason, 0);
	test_exit();
}

static void sets_that_do_not_fit_together(void)
{
	int sockets[2][2], i;
	pid_t child[2];
	char byte;

	for (i = 0; i < 2; i++) {
		check_sys(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets[i]));
		child[i] = test_fork();
		if (!child[i]) {
			close(sockets[0][0]);
			if (i)
				close(sockets[1][0]);
			work_on_a_set(sockets[i][1]);
		}
	}
	for (i = 0; i < 2; i++)
		check_eq(read(sockets[i][0], &byte, 1), 1);
	for (i = 0; i < 2; i++)
		close(sockets[i][0]);
	for (i = 0; i < 2; i++)
		test_join(child[i]);
}

/* The mapping of another process, by the same file. */
static void another_process_has_it_mapped(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM | GTT);
	uint64_t offset = aperture_offset(&window.gpu, DRM_DROVER_VM_MMAP_APERTURE);
	int fds[2];
	pid_t child;
	char byte;

	check_sys(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	fill_words(window_words(&window, bo.va), SIZE, 1, 3);
	child = test_fork();
	if (!child) {
		uint32_t *words = try_mmap(&window.gpu, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
					   offset + bo.va);

		check(words != MAP_FAILED, "mmap: %s", strerror(errno));
		check_words(words, SIZE, 1, 3);
		check_eq(write(fds[1], "", 1), 1);
		check_eq(read(fds[1], &byte, 1), 1);
		check_words(words, SIZE, 2, 5);
		test_exit();
	}
	check_eq(read(fds[0], &byte, 1), 1);
	evict(bo.bo);
	fill_words(window_words(&window, bo.va), SIZE, 2, 5);
	evict(bo.bo);
	check_eq(write(fds[0], "", 1), 1);
	test_join(child);
}

/* An engine without an end, preempted whenever a CPU's fault needs the room. */
static void long_running_vm(void)
{
	struct drm_drover_vm_create create = {.flags = DRM_DROVER_VM_CREATE_LONG_RUNNING};
	struct gpu gpu = gpu_open(0);
	struct window window = window_open(0);
	struct drm_drover_command commands[2] = {
		{.opcode = DRM_DROVER_OP_FILL,
		 .dst = 64 * MIB,
		 .size = PAGE,
		 .value = 5,
		 .step = 1},
		{.opcode = DRM_DROVER_OP_LOOP},
	};
	struct drm_drover_submit submit = {.commands = (uintptr_t)commands, .num_commands = 2};
	struct client_bo own = gpu_bo(&window.gpu, 9 * SIZE, VRAM);
	struct drm_drover_vm_info info = {0};
	struct drm_drover_bind bind = {.va = 64 * MIB, .size = 9 * SIZE};
	struct drm_drover_vm_bind binds = {.num_binds = 1, .binds = (uintptr_t)&bind};
	struct drm_drover_vm_mmap args = {0};
	int fd = drover_device_fd(gpu.dev);
	unsigned int round;
	uint32_t *words;

	check_sys(drmIoctl(fd, DRM_IOCTL_DROVER_VM_CREATE, &create));
	bind.handle = drover_bo_handle(bo_new(&gpu, 9 * SIZE, VRAM));
	submit.vm_id = binds.vm_id = info.vm_id = args.vm_id = create.vm_id;
	check_sys(drmIoctl(fd, DRM_IOCTL_DROVER_VM_BIND, &binds));
	check_sys(drmIoctl(fd, DRM_IOCTL_DROVER_VM_MMAP, &args));
	words = try_mmap(&gpu, 9 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 args.offset + 64 * MIB);
	check(words != MAP_FAILED, "mmap: %s", strerror(errno));
	check_sys(drmIoctl(fd, DRM_IOCTL_DROVER_SUBMIT, &submit));

	for (round = 0; round < 3; round++) {
		fill_words(words + PAGE / 4, PAGE, round, 3);
		fill_words(window_words(&window, own.va), PAGE, round, 1);
		check_words(words + PAGE / 4, PAGE, round, 3);
		check_words(window_words(&window, own.va), PAGE, round, 1);
	}
	check(eventually(words[1] == 6), "the engine doesn't run any more");
	check_sys(drmIoctl(fd, DRM_IOCTL_DROVER_VM_INFO, &info));
	check_eq(info.lost_reason, 0);
	check(info.preemptions, "nothing was preempted");
}

/* ---- The kernel's own accesses ---- */

static void system_calls_reach_evicted_memory(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM | GTT);
	uint32_t *words = window_words(&window, bo.va);
	uint32_t *copy = malloc(SIZE);
	int file = check_sys(memfd_create("copy", MFD_CLOEXEC));

	fill_words(words, SIZE, 1, 13);
	evict(bo.bo);
	check_eq(pwrite(file, words, SIZE, 0), SIZE);
	check_eq(pread(file, copy, SIZE, 0), SIZE);
	check_words(copy, SIZE, 1, 13);

	fill_words(copy, SIZE, 2, 17);
	check_eq(pwrite(file, copy, SIZE, 0), SIZE);
	evict(bo.bo);
	check_eq(pread(file, words, SIZE, 0), SIZE);
	check_words(words, SIZE, 2, 17);

	check_eq(pwrite(file, window.base, PAGE, 0), (uint64_t)-1);
	check_eq(errno, EFAULT);
	free(copy);
}

/* A futex of this process alone: the kernel can't let go of its locks when it faults there. */
static void private_futexes_reach_evicted_memory(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM | GTT);
	uint32_t *words = window_words(&window, bo.va), own = 0;
	unsigned int round;

	for (round = 0; round < 5; round++) {
		words[7] = round;
		evict(bo.bo);
		check_sys(syscall(SYS_futex, &own, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, 1,
				  &words[7], FUTEX_OP(FUTEX_OP_ADD, 10, FUTEX_OP_CMP_EQ, 1)));
		check_eq(words[7], round + 10);
	}
}

static void pages_are_nobody_elses(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM | GTT);
	struct iovec gift = {window.base + bo.va, 64};
	int pipes[2];

	fill_words(window_words(&window, bo.va), SIZE, 1, 1);
	check_sys(pipe(pipes));
	check_eq(vmsplice(pipes[1], &gift, 1, 0), (uint64_t)-1);
	check_eq(errno, EFAULT);
}

/* A kernel without ioremap_prot() never asks a driver on behalf of a debugger. */
static bool kernel_is_user_mode(void)
{
	char *cpu = read_file("/proc/cpuinfo");
	bool is_user_mode = cpu && strstr(cpu, "User Mode Linux");

	free(cpu);
	return is_user_mode;
}

/* What gdb does. */
static void debuggers_read_and_write(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM | GTT);
	uint32_t *words = window_words(&window, bo.va), read[2 * PAGE / 4];
	int mem = check_sys(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	off_t at = (off_t)(uintptr_t)words;

	fill_words(words, SIZE, 1, 3);
	evict(bo.bo);
	if (kernel_is_user_mode()) {
		check_eq(pread(mem, read, sizeof(read), at), (uint64_t)-1);
		return;
	}
	/* across pages, and not from the start of one */
	check_eq(pread(mem, read, sizeof(read), at + 8), sizeof(read));
	check_words(read, sizeof(read), 1 + 2 * 3, 3);
	evict(bo.bo);
	read[0] = 0x12345678;
	check_eq(pwrite(mem, read, 4, at + PAGE), 4);
	check_eq(words[PAGE / 4], 0x12345678);
	check_eq(pread(mem, read, 4, (off_t)(uintptr_t)window.base), (uint64_t)-1);
	/* what is no longer mapped isn't read, though it is bound */
	check_sys(munmap(words + 5 * PAGE / 4, PAGE));
	check_eq(pread(mem, read, 2 * PAGE, at + 4 * PAGE), PAGE);
	close(mem);
}

/* ---- Who may map what ---- */

#define check_mmap_fails(error, ...)                                  \
	do {                                                          \
		check(try_mmap(__VA_ARGS__) == MAP_FAILED, "mapped"); \
		check_eq(errno, error);                               \
	} while (0)

static void bad_arguments(void)
{
	struct gpu gpu = gpu_open(0), other = gpu_open(0);
	const int rw = PROT_READ | PROT_WRITE;
	uint64_t range = device_info(gpu.dev).va_end;
	uint64_t offset = aperture_offset(&gpu, DRM_DROVER_VM_MMAP_APERTURE);
	uint64_t status = aperture_offset(&gpu, DRM_DROVER_VM_MMAP_STATUS);
	struct drm_drover_vm_mmap args = {.vm_id = drover_vm_id(gpu.vm)};
	int fd = drover_device_fd(gpu.dev);

	args.target = 2;
	check_eq(drmIoctl(fd, DRM_IOCTL_DROVER_VM_MMAP, &args), (uint64_t)-1);
	check_eq(errno, EINVAL);
	args.target = 0;
	args.flags = 1;
	check_eq(drmIoctl(fd, DRM_IOCTL_DROVER_VM_MMAP, &args), (uint64_t)-1);
	check_eq(errno, EINVAL);
	args.flags = 0;
	args.vm_id = 77;
	check_eq(drmIoctl(fd, DRM_IOCTL_DROVER_VM_MMAP, &args), (uint64_t)-1);
	check_eq(errno, ENOENT);

	check_mmap_fails(EACCES, &other, PAGE, rw, MAP_SHARED, offset);
	check_mmap_fails(EACCES, &other, PAGE, PROT_READ, MAP_SHARED, status);
	check_mmap_fails(EINVAL, &gpu, PAGE, rw, MAP_PRIVATE, offset);
	check_mmap_fails(EINVAL, &gpu, PAGE, PROT_READ, MAP_PRIVATE, status);
	check_mmap_fails(EINVAL, &gpu, 2 * PAGE, rw, MAP_SHARED, offset + range - PAGE);
	check_mmap_fails(EPERM, &gpu, PAGE, rw, MAP_SHARED, status);
	check_mmap_fails(EINVAL, &gpu, 2 * PAGE, PROT_READ, MAP_SHARED, status);
	check_mmap_fails(EACCES, &gpu, PAGE, rw, MAP_SHARED, offset + 900 * range);
	check_mmap_fails(EACCES, &gpu, PAGE, PROT_READ, MAP_SHARED, status + 900 * PAGE);

	drover_vm_destroy(gpu.vm);
	check_mmap_fails(EACCES, &gpu, PAGE, rw, MAP_SHARED, offset);
}

static void second_mapping_is_the_same_memory(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM | GTT);
	uint64_t offset = aperture_offset(&window.gpu, DRM_DROVER_VM_MMAP_APERTURE);
	uint32_t *words = window_words(&window, bo.va), *second, *third;

	second = try_mmap(&window.gpu, SIZE, PROT_READ, MAP_SHARED, offset + bo.va);
	third = try_mmap(&window.gpu, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 offset + bo.va + PAGE);
	check(second != MAP_FAILED && third != MAP_FAILED, "mmap: %s", strerror(errno));
	fill_words(words, SIZE, 6, 5);
	check_words(second, SIZE, 6, 5);
	check_words(third, PAGE, 6 + 1024 * 5, 5);
	evict(bo.bo);
	check(!word_is_mapped(&window, words), "a stale entry is left in the first mapping");
	check(!word_is_mapped(&window, second), "a stale entry is left in the second mapping");
	check(!word_is_mapped(&window, third), "a stale entry is left in the third mapping");
	check_words(second, SIZE, 6, 5);
	third[0] = 99;
	check_eq(words[1024], 99);
	check_eq(access_signal(second, true), SIGSEGV);
	/* read-only so far; the entries that are there become writable with it */
	check_sys(mprotect(second, SIZE, PROT_READ | PROT_WRITE));
	check_eq(access_signal(second, true), 0);
	check_eq(words[0], 1);
}

static void unmapping_a_part(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, 4 * SIZE, VRAM | GTT);
	uint32_t *words = window_words(&window, bo.va);

	fill_words(words, 4 * SIZE, 1, 1);
	check_sys(munmap(words + SIZE / 4, SIZE));
	check_eq(access_signal(words + SIZE / 4, false), SIGSEGV);
	evict(bo.bo);
	check_words(words, SIZE, 1, 1);
	check_words(words + SIZE / 2, 2 * SIZE, 1 + SIZE / 2, 1);
	check_ok(drover_vm_unmap_aperture(window.gpu.vm, window.base, RANGE));
	check_eq(access_signal(words, false), SIGSEGV);
	check_ok(gpu_check(&window.gpu, bo.va, 4 * SIZE, 1, 1));
}

static void mremap_is_refused(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM);
	uint32_t *words = window_words(&window, bo.va);
	void *to = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	words[0] = 5;
	check(mremap(words, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED,
	      "mremap() worked");
	check_eq(words[0], 5);
	check(mremap(window.base, RANGE, 2 * RANGE, MREMAP_MAYMOVE) == MAP_FAILED,
	      "mremap() worked");
}

static void children_do_not_inherit_it(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM);
	const volatile struct drm_drover_vm_status *status;
	uint32_t *words = window_words(&window, bo.va);
	pid_t child;

	check_ok(drover_vm_map_status(window.gpu.vm, &status));
	words[0] = 5;
	child = test_fork();
	if (!child) {
		check_eq(access_signal(words, false), SIGSEGV);
		check_eq(status->lost_reason, 0);
		test_exit();
	}
	test_join(child);
	check_eq(words[0], 5);
}

/* The child execs while it has it mapped; what it was is gone, and the VM with its file. */
static void exec_ends_it(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct window window = window_open(0);
		struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM);

		window_words(&window, bo.va)[0] = 5;
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	check_sys(waitpid(child, &status, 0));
	check_eq(status, 0);
}

/* ---- Ends of all kinds ---- */

static void status_says_why_it_is_lost(void)
{
	struct gpu gpu = gpu_open(0), late;
	const volatile struct drm_drover_vm_status *status;

	check_ok(drover_vm_map_status(gpu.vm, &status));
	check_eq(status->lost_reason, 0);
	check(gpu_fill(&gpu, 32 * MIB, PAGE, 1, 1), "a job that writes nowhere passed");
	check_eq(vm_info(&gpu).lost_reason, EFAULT);
	check_eq(status->lost_reason, EFAULT);

	/* mapped after it happened, and read after the VM is gone */
	late = gpu_open(0);
	check(gpu_fill(&late, 32 * MIB, PAGE, 1, 1), "a job that writes nowhere passed");
	drover_vm_unmap_status(status);
	check_ok(drover_vm_map_status(late.vm, &status));
	check_eq(status->lost_reason, EFAULT);
	drover_vm_destroy(late.vm);
	check_eq(status->lost_reason, EFAULT);
	drover_vm_unmap_status(status);
}

/* All of GTT is pinned by a static importer: what can't be had isn't the end of the process. */
static void no_memory_loses_the_vm_only(void)
{
	struct window window = window_open(0), rest = window_open(0);
	struct client_bo victim = gpu_bo(&window.gpu, 2 * SIZE, GTT), other;
	const volatile struct drm_drover_vm_status *status;
	uint32_t *words = window_words(&window, victim.va);
	int importer, fd;

	check_ok(drover_vm_map_status(window.gpu.vm, &status));
	fill_words(words, 2 * SIZE, 1, 1);
	evict(victim.bo);
	other.bo = bo_new(&rest.gpu, 15 * MIB, GTT);
	fd = bo_export(other.bo);
	importer = static_importer_open();
	check_sys(ioctl(importer, STATIC_IMPORTER_ATTACH, &fd));
	check_sys(ioctl(importer, STATIC_IMPORTER_MAP, NULL));
	check_eq(bo_info(other.bo).pins, 1);

	check_eq(words[0], 0);
	words[5] = 77;
	check_eq(words[5], 77);
	check_eq(status->lost_reason, ENOMEM);
	check_eq(vm_info(&window.gpu).lost_reason, ENOMEM);
	check_eq(access_signal((uint32_t *)window.base, false), SIGBUS);
	/* nothing got lost, and nobody else noticed */
	check_ok(gpu_fill(&rest.gpu, gpu_bind(&rest.gpu, other.bo), SIZE, 1, 1));
	check_eq(bo_info(victim.bo).placement, EVICTED);
}

static void lost_vm_has_dummy_pages(void)
{
	struct window window = window_open(0), other = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM | GTT);
	struct client_bo fresh = gpu_bo(&window.gpu, 4 * PAGE, VRAM | GTT);
	struct client_bo bystander = gpu_bo(&other.gpu, SIZE, VRAM | GTT);
	uint32_t *words = window_words(&window, bo.va);

	fill_words(words, SIZE, 1, 1);
	fill_words(window_words(&other, bystander.va), SIZE, 3, 3);
	check(gpu_fill(&window.gpu, 512 * MIB, PAGE, 1, 1), "a job that writes nowhere passed");
	check_eq(vm_info(&window.gpu).lost_reason, EFAULT);
	evict(bo.bo);
	/* zeroed; written to without an effect on anything that means something */
	check_words(words, SIZE, 0, 0);
	fill_words(words, SIZE, 9, 9);
	window_words(&window, fresh.va)[0] = 1;
	check_words(bo_map(bo.bo), SIZE, 1, 1);
	check_words(window_words(&other, bystander.va), SIZE, 3, 3);
	check_eq(access_signal((uint32_t *)window.base, false), SIGBUS);
}

/* The device of what is mapped, and that of the exporter of what is mapped. */
static void unplugged_while_mapped(void)
{
	struct window exporter = window_open(0), importer = window_open(1);
	struct client_bo bo = gpu_bo(&exporter.gpu, SIZE, VRAM | GTT), import, own;
	const volatile struct drm_drover_vm_status *status, *status_of_importer;
	uint32_t *words = window_words(&exporter, bo.va), *imported;
	int fd = bo_export(bo.bo);

	import = gpu_import(&importer.gpu, fd);
	imported = window_words(&importer, import.va);
	own = gpu_bo(&importer.gpu, SIZE, VRAM);
	check_ok(drover_vm_map_status(exporter.gpu.vm, &status));
	check_ok(drover_vm_map_status(importer.gpu.vm, &status_of_importer));
	fill_words(words, SIZE, 1, 1);
	fill_words(window_words(&importer, own.va), SIZE, 2, 2);
	check_words(imported, SIZE, 1, 1);

	device_unbind(0);
	check_eq(status->lost_reason, ENODEV);
	check_words(words, SIZE, 0, 0);
	fill_words(words, SIZE, 3, 3);
	check_eq(access_signal((uint32_t *)exporter.base, false), SIGBUS);
	/* the importer learns it when it looks */
	check_eq(status_of_importer->lost_reason, 0);
	check_words(window_words(&importer, own.va), SIZE, 2, 2);
	check_words(imported, SIZE, 0, 0);
	check_eq(status_of_importer->lost_reason, ENODEV);
	check_sys(munmap(exporter.base, RANGE));
	devices_bind();
}

static void vm_is_destroyed_while_mapped(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM);
	uint32_t *words = window_words(&window, bo.va);

	fill_words(words, SIZE, 1, 1);
	drover_vm_destroy(window.gpu.vm);
	check(eventually(access_signal(words, true) == SIGBUS),
	      "memory of a destroyed VM can still be reached");
	/* its number may be given to another, which the old mapping must not see */
	window.gpu = gpu_open(0);
	bo = gpu_bo(&window.gpu, SIZE, VRAM);
	check_ok(gpu_fill(&window.gpu, bo.va, SIZE, 3, 3));
	check_eq(access_signal(words, false), SIGBUS);
}

static void file_is_closed_while_mapped(void)
{
	struct window window = window_open(0);
	struct client_bo bo = gpu_bo(&window.gpu, SIZE, VRAM | GTT);
	uint32_t *words = window_words(&window, bo.va);
	struct gpu presser = gpu_open(0);

	fill_words(words, SIZE, 1, 1);
	check_sys(close(drover_device_fd(window.gpu.dev)));
	check_ok(gpu_use_all(&presser, VRAM, 0));
	check_words(words, SIZE, 1, 1);
	check_sys(munmap(window.base, RANGE));
	_exit(0);
}

/* A BO that a job works on while it is being evicted: its lock is held until the job is done. */
struct busy {
	struct window window;
	struct client_bo bo;
};

static struct busy busy_new(void)
{
	struct busy busy = {.window = window_open(0)};

	busy.bo = gpu_bo(&busy.window.gpu, SIZE, VRAM | GTT);
	return busy;
}

static void *keep_busy(void *argument)
{
	struct busy *busy = argument;
	uint64_t last_page = busy->bo.va + SIZE - PAGE;

	for (;;) {
		struct job job = job_new(&busy->window.gpu);

		drover_submission_spin(job.sub, 5000);
		drover_submission_fill(job.sub, last_page, PAGE, 1, 1);
		job_submit(&job);
		check_ok(drover_bo_evict(busy->bo.bo, NULL));
		check_ok(job_wait(&job));
		job_free(&job);
	}
	return NULL;
}

/* kill -9 at any moment of a fault that waits: nothing is left, nothing hangs. */
static void killed_in_a_fault(void)
{
	unsigned int round;

	for (round = 0; round < 20; round++) {
		pid_t child = test_fork();

		if (!child) {
			struct busy busy = busy_new();
			uint32_t *words = window_words(&busy.window, busy.bo.va);
			int zero = check_sys(open("/dev/zero", O_RDONLY));

			test_thread(keep_busy, &busy);
			for (;;) {
				words[0]++;
				/* the kernel's own access */
				check_eq(read(zero, words, PAGE), PAGE);
			}
		}
		sleep_ms(40 + 7 * round);
		test_kill(child);
	}
}

/* Signals that have a handler interrupt a fault and don't stop it for ever. */
static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

static void signals_in_a_fault(void)
{
	struct busy busy = busy_new();
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerspec interval = {{0, 500000}, {0, 500000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	uint32_t *words = window_words(&busy.window, busy.bo.va), copy[PAGE / 4], round;
	timer_t timer;
	int pipes[2];

	fill_words(copy, PAGE, 1, 1);
	check_sys(pipe2(pipes, O_CLOEXEC));
	sigaction(SIGALRM, &action, NULL);
	check_sys(timer_create(CLOCK_MONOTONIC, &event, &timer));
	test_thread(keep_busy, &busy);
	check_sys(timer_settime(timer, 0, &interval, NULL));
	for (round = 0; round < 40 || alarms <= 10; round++) {
		fill_words(words, PAGE, round, 1);
		check_words(words, PAGE, round, 1);
		/* the kernel's own fault, which no handler may end */
		check_eq(write(pipes[1], copy, PAGE), PAGE);
		check_eq(read(pipes[0], words, PAGE), PAGE);
		check_words(words, PAGE, 1, 1);
		sleep_ms(round % 7);
	}
	timer_delete(timer);
	check_eq(vm_info(&busy.window.gpu).lost_reason, 0);
}

/* Bind and unbind under threads that touch: a word is right or a bus error, never something else. */
static void *keep_rebinding(void *argument)
{
	struct window *window = argument;
	struct drover_bo *bos[2];
	uint32_t round;

	for (round = 0; round < 2; round++) {
		bos[round] = bo_new(&window->gpu, SIZE, VRAM | GTT);
		fill_words(bo_map(bos[round]), SIZE, round + 1, 0);
	}
	for (round = 0;; round++) {
		check_ok(drover_vm_bind(window->gpu.vm, 32 * MIB, bos[round & 1], 0, SIZE, 0));
		if (round % 7 == 0)
			check_ok(drover_vm_unbind(window->gpu.vm, 32 * MIB, SIZE));
		if (round % 5 == 0)
			drover_bo_evict(bos[round & 1], NULL);
	}
	return NULL;
}

static volatile uint32_t seen;

static int read_signal(volatile uint32_t *word)
{
	struct sigaction action = {.sa_handler = on_signal}, old;
	int number;

	sigaction(SIGBUS, &action, &old);
	number = sigsetjmp(after_signal, 1);
	if (!number)
		seen = *word;
	sigaction(SIGBUS, &old, NULL);
	return number;
}

static void rebinding_while_touched(void)
{
	struct window window = window_open(0);
	int64_t end = now_ns() + 2 * SECOND_NS;
	uint64_t reads[3] = {0}, i;

	test_thread(keep_rebinding, &window);
	for (i = 0; now_ns() < end || !reads[1] || !reads[2]; i += 1021) {
		if (read_signal(window_words(&window, 32 * MIB) + i % (SIZE / 4))) {
			reads[0]++;
			continue;
		}
		check(seen == 1 || seen == 2, "found %u, which is in neither BO", seen);
		reads[seen]++;
	}
}

static const struct test tests[] = {
	TEST(cpu_and_engine_see_the_same),
	TEST(parts_of_bos),
	TEST(nothing_bound_is_a_bus_error),
	TEST(readonly_is_a_segmentation_fault),
	TEST(readonly_stays_so_after_mprotect),
	TEST(large_entries),
	TEST(evicted_and_faulted_back),
	TEST(private_bos_are_evicted_and_faulted_back),
	TEST(larger_than_the_memory),
	TEST(import_is_evicted_and_faulted_back),
	TEST(foreign_import),
	TEST(evictions_while_threads_work),
	TEST(engine_and_cpu_take_turns),
	TEST(sets_that_do_not_fit_together),
	TEST(another_process_has_it_mapped),
	TEST(long_running_vm),
	TEST(private_futexes_reach_evicted_memory),
	TEST(system_calls_reach_evicted_memory),
	TEST(pages_are_nobody_elses),
	TEST(debuggers_read_and_write),
	TEST(bad_arguments),
	TEST(second_mapping_is_the_same_memory),
	TEST(unmapping_a_part),
	TEST(mremap_is_refused),
	TEST(children_do_not_inherit_it),
	TEST(exec_ends_it),
	TEST(status_says_why_it_is_lost),
	TEST(no_memory_loses_the_vm_only),
	TEST(lost_vm_has_dummy_pages),
	TEST(vm_is_destroyed_while_mapped),
	TEST(file_is_closed_while_mapped),
	TEST(killed_in_a_fault),
	TEST(signals_in_a_fault),
	TEST(rebinding_while_touched),
	TEST(unplugged_while_mapped),
};

int main(int argc, char **argv)
{
	return test_main("aperture", tests, ARRAY_SIZE(tests), argc, argv);
}
