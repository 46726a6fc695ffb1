// SPDX-License-Identifier: MIT
/* Owns the fake kernel; see fake.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/sync_file.h>

#include "fake.h"

#define MAX_HANDLES 20000
#define MAX_NODES   16

struct handle {
	bool open;
	/* the memory that it stands for: a memfd, whose inode is its identity */
	int memfd;
	bool imported;
	uint64_t size;
};

static struct {
	pthread_mutex_t lock;
	struct fake_call calls[FAKE_MAX_CALLS];
	unsigned int num_calls;
	bool recording;
	bool widen_races;
	unsigned long fail_request;
	int fail_error;
	unsigned int interrupts;

	struct handle handles[MAX_HANDLES];
	unsigned int bad_handles;
	bool syncobjs[64];
	uint32_t next_vm;
	int sync_file_status;

	const struct fake_node *nodes;
	unsigned int next_node;
	const char *last_open;
	int opendir_error;
	int node_fds[MAX_NODES];
	unsigned int num_node_fds;

	uint32_t next_handle;
	unsigned int base_fds;
	int base_allocations;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* apart from the rest: the allocator is also called with the lock held */
static atomic_int live_allocations;
static atomic_uint allocations_until_failure;
static atomic_bool allocation_failed;

/* ---- The allocator ---- */

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__real_malloc(size_t size);
void __real_free(void *ptr);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void __wrap_free(void *ptr);

static bool allocation_must_fail(void)
{
	unsigned int n = atomic_load(&allocations_until_failure);

	if (!n)
		return false;
	atomic_store(&allocations_until_failure, n - 1);
	if (n != 1)
		return false;
	atomic_store(&allocation_failed, true);
	errno = ENOMEM;
	return true;
}

static void *counted(void *ptr)
{
	if (ptr)
		atomic_fetch_add(&live_allocations, 1);
	return ptr;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return allocation_must_fail() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_malloc(size_t size)
{
	return allocation_must_fail() ? NULL : counted(__real_malloc(size));
}

void *__wrap_realloc(void *ptr, size_t size)
{
	if (allocation_must_fail())
		return NULL;
	return ptr ? __real_realloc(ptr, size) : counted(__real_realloc(NULL, size));
}

void __wrap_free(void *ptr)
{
	if (ptr)
		atomic_fetch_sub(&live_allocations, 1);
	__real_free(ptr);
}

void fake_fail_allocation(unsigned int n)
{
	atomic_store(&allocation_failed, false);
	atomic_store(&allocations_until_failure, n);
}

bool fake_allocation_failed(void)
{
	return atomic_load(&allocation_failed);
}

/* ---- /dev/dri ---- */

DIR *__wrap_opendir(const char *path);
struct dirent *__wrap_readdir64(DIR *dir);
int __wrap_closedir(DIR *dir);
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

DIR *__wrap_opendir(const char *path)
{
	assert_string_equal(path, "/dev/dri");
	if (fake.opendir_error) {
		errno = fake.opendir_error;
		return NULL;
	}
	fake.next_node = 0;
	return (DIR *)&fake;
}

struct dirent *__wrap_readdir64(DIR *dir)
{
	static struct dirent entry;

	assert_ptr_equal(dir, &fake);
	if (!fake.nodes || !fake.nodes[fake.next_node].name)
		return NULL;
	snprintf(entry.d_name, sizeof(entry.d_name), "%s", fake.nodes[fake.next_node++].name);
	return &entry;
}

int __wrap_closedir(DIR *dir)
{
	assert_ptr_equal(dir, &fake);
	return 0;
}

/* the driver's name is the file's, so that duplicates have it, too */
static int new_node_fd(const char *driver)
{
	int fd = memfd_create(driver ? driver : "no device", MFD_CLOEXEC);

	/* room for what FAKE_MMAP_OFFSET() leads to */
	if (fd < 0 || ftruncate(fd, (off_t)FAKE_MMAP_OFFSET(1024)))
		abort();
	return fd;
}

int __wrap_open64(const char *path, int flags, ...)
{
	const char *name = strrchr(path, '/') + 1;

	assert_true(flags & O_CLOEXEC);
	for (const struct fake_node *node = fake.nodes; node && node->name; node++) {
		if (strcmp(node->name, name))
			continue;
		if (node->open_errno) {
			errno = node->open_errno;
			return -1;
		}
		fake.last_open = node->name;
		return new_node_fd(node->driver);
	}
	errno = ENOENT;
	return -1;
}

void fake_set_nodes(const struct fake_node *nodes)
{
	fake.nodes = nodes;
}

const char *fake_last_open(void)
{
	return fake.last_open;
}

void fake_fail_opendir(int error)
{
	fake.opendir_error = error;
}

int fake_node_fd(const char *driver)
{
	int fd = new_node_fd(driver);

	assert_true(fake.num_node_fds < MAX_NODES);
	fake.node_fds[fake.num_node_fds++] = fd;
	return fd;
}

int fake_foreign_dmabuf(uint64_t size)
{
	int fd = memfd_create("foreign", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size))
		abort();
	return fd;
}

/* ---- ioctls; called with the lock held, 0 or a positive errno ---- */

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

static struct handle *find_handle(uint32_t handle)
{
	if (handle && handle < MAX_HANDLES && fake.handles[handle].open)
		return &fake.handles[handle];
	fake.bad_handles++;
	return NULL;
}

/* the lowest free one, as the kernel does: so numbers are reused at once */
static uint32_t new_handle(int memfd, uint64_t size, bool imported)
{
	uint32_t first = fake.next_handle ? fake.next_handle : 1;

	fake.next_handle = 0;
	for (uint32_t i = first; i < MAX_HANDLES; i++) {
		if (fake.handles[i].open)
			continue;
		fake.handles[i] = (struct handle){
			.open = true, .memfd = memfd, .size = size, .imported = imported};
		return i;
	}
	abort();
}

static int do_version(int fd, struct drm_version *args)
{
	char link[64], target[64] = "";
	const char *driver;
	size_t length;

	/* what the memfd was named: "/memfd:NAME (deleted)" */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, target, sizeof(target) - 1) < 0)
		return EBADF;
	if (strncmp(target, "/memfd:", 7) || strstr(target, "no device"))
		return ENOTTY;
	driver = target + 7;
	length = strcspn(driver, " ");
	memcpy(args->name, driver, length < args->name_len ? length : args->name_len);
	args->name_len = length;
	return 0;
}

static int do_bo_create(struct drm_drover_bo_create *args)
{
	int memfd = memfd_create("bo", MFD_CLOEXEC);

	if (memfd < 0 || ftruncate(memfd, (off_t)args->size))
		abort();
	args->handle = new_handle(memfd, args->size, false);
	return 0;
}

static int do_bo_info(struct drm_drover_bo_info *args)
{
	struct handle *handle = find_handle(args->handle);

	if (!handle)
		return ENOENT;
	args->size = handle->size;
	args->flags = handle->imported ? DRM_DROVER_BO_IMPORTED : 0;
	args->placement = DRM_DROVER_PLACEMENT_GTT;
	return 0;
}

static int do_gem_close(struct drm_gem_close *args)
{
	struct handle *handle = find_handle(args->handle);

	if (!handle)
		return EINVAL;
	close(handle->memfd);
	handle->open = false;
	return 0;
}

static int do_prime_import(struct drm_prime_handle *args)
{
	ino_t inode = inode_of(args->fd);
	struct stat st;

	if (!inode)
		return EBADF;
	for (uint32_t i = 1; i < MAX_HANDLES; i++) {
		if (fake.handles[i].open && inode_of(fake.handles[i].memfd) == inode) {
			args->handle = i;
			return 0;
		}
	}
	fstat(args->fd, &st);
	args->handle = new_handle(dup(args->fd), (uint64_t)st.st_size, true);
	return 0;
}

static int do_prime_export(struct drm_prime_handle *args)
{
	struct handle *handle = find_handle(args->handle);

	if (!handle)
		return ENOENT;
	args->fd = fcntl(handle->memfd, F_DUPFD_CLOEXEC, 3);
	return 0;
}

static int do_bo_mmap(struct drm_drover_bo_mmap *args)
{
	if (!find_handle(args->handle))
		return ENOENT;
	args->offset = FAKE_MMAP_OFFSET(args->handle);
	return 0;
}

static int do_vm_mmap(struct drm_drover_vm_mmap *args)
{
	args->offset = FAKE_MMAP_OFFSET(1);
	args->size = args->target == DRM_DROVER_VM_MMAP_STATUS ? 4096 : FAKE_APERTURE_SIZE;
	return 0;
}

static int do_evict(struct drm_drover_evict *args)
{
	args->evicted = 3;
	args->busy = 1;
	args->evicted_bytes = 12288;
	return 0;
}

static int do_syncobj_create(uint32_t *handle)
{
	for (uint32_t i = 1; i < 64; i++) {
		if (!fake.syncobjs[i]) {
			fake.syncobjs[i] = true;
			*handle = i;
			return 0;
		}
	}
	abort();
}

static int do_syncobj_destroy(struct drm_syncobj_destroy *args)
{
	if (args->handle >= 64 || !fake.syncobjs[args->handle]) {
		fake.bad_handles++;
		return EINVAL;
	}
	fake.syncobjs[args->handle] = false;
	return 0;
}

static int do_syncobj_query(struct drm_syncobj_timeline_array *args)
{
	uint64_t *points = (uint64_t *)(uintptr_t)args->points;

	points[0] = 42;
	return 0;
}

static int do_syncobj_import(struct drm_syncobj_handle *args)
{
	if (args->flags & DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE)
		return 0;
	return do_syncobj_create(&args->handle);
}

static int new_sync_file(void)
{
	return memfd_create("sync file", MFD_CLOEXEC);
}

static int do_ioctl(int fd, unsigned long request, void *arg)
{
	switch (request) {
	case DRM_IOCTL_VERSION:
		return do_version(fd, arg);
	case DRM_IOCTL_GEM_CLOSE:
		return do_gem_close(arg);
	case DRM_IOCTL_PRIME_FD_TO_HANDLE:
		return do_prime_import(arg);
	case DRM_IOCTL_PRIME_HANDLE_TO_FD:
		return do_prime_export(arg);
	case DRM_IOCTL_SYNCOBJ_CREATE:
		return do_syncobj_create(&((struct drm_syncobj_create *)arg)->handle);
	case DRM_IOCTL_SYNCOBJ_DESTROY:
		return do_syncobj_destroy(arg);
	case DRM_IOCTL_SYNCOBJ_QUERY:
		return do_syncobj_query(arg);
	case DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE:
		return do_syncobj_import(arg);
	case DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD:
		((struct drm_syncobj_handle *)arg)->fd = new_sync_file();
		return 0;
	case DRM_IOCTL_DROVER_DEVICE_INFO:
		((struct drm_drover_device_info *)arg)->vram_size = 64 << 20;
		return 0;
	case DRM_IOCTL_DROVER_BO_CREATE:
		return do_bo_create(arg);
	case DRM_IOCTL_DROVER_BO_MMAP:
		return do_bo_mmap(arg);
	case DRM_IOCTL_DROVER_BO_INFO:
		return do_bo_info(arg);
	case DRM_IOCTL_DROVER_VM_CREATE:
		((struct drm_drover_vm_create *)arg)->vm_id = ++fake.next_vm;
		return 0;
	case DRM_IOCTL_DROVER_VM_INFO:
		((struct drm_drover_vm_info *)arg)->mappings = 7;
		return 0;
	case DRM_IOCTL_DROVER_VM_MMAP:
		return do_vm_mmap(arg);
	case DRM_IOCTL_DROVER_EVICT:
		return do_evict(arg);
	case DMA_BUF_IOCTL_EXPORT_SYNC_FILE:
		((struct dma_buf_export_sync_file *)arg)->fd = new_sync_file();
		return 0;
	case SYNC_IOC_FILE_INFO:
		((struct sync_file_info *)arg)->status = fake.sync_file_status;
		return 0;
	default:
		return 0;
	}
}

/* what a call that fails writes nevertheless, as the uAPI says */
static void write_output_of_failure(unsigned long request, void *arg)
{
	if (request == DRM_IOCTL_DROVER_VM_BIND)
		((struct drm_drover_vm_bind *)arg)->failed_bind = 2;
	else if (request == DRM_IOCTL_DROVER_EVICT)
		do_evict(arg);
}

static void record_array(struct fake_call *call, unsigned int which, uint64_t address, size_t size)
{
	call->sizes[which] = size;
	if (!size)
		return;
	call->arrays[which] = __real_malloc(size);
	memcpy(call->arrays[which], (const void *)(uintptr_t)address, size);
}

/* syncobj calls have the same array of handles at the same place, and some have points */
static void record_arrays(struct fake_call *call, unsigned long request, const void *arg)
{
	if (request == DRM_IOCTL_DROVER_VM_BIND) {
		const struct drm_drover_vm_bind *bind = arg;

		record_array(call, FAKE_BINDS, bind->binds,
			     bind->num_binds * sizeof(struct drm_drover_bind));
	} else if (request == DRM_IOCTL_DROVER_SUBMIT) {
		const struct drm_drover_submit *submit = arg;

		record_array(call, FAKE_COMMANDS, submit->commands,
			     submit->num_commands * sizeof(struct drm_drover_command));
		record_array(call, FAKE_IN_SYNCS, submit->in_syncs,
			     submit->num_in_syncs * sizeof(struct drm_drover_sync));
		record_array(call, FAKE_OUT_SYNCS, submit->out_syncs,
			     submit->num_out_syncs * sizeof(struct drm_drover_sync));
		record_array(call, FAKE_BUFFERS, submit->buffers,
			     submit->num_buffers * sizeof(struct drm_drover_buffer));
	} else if (request == DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT) {
		const struct drm_syncobj_timeline_wait *wait = arg;

		record_array(call, FAKE_SYNCOBJS, wait->handles, wait->count_handles * 4);
		record_array(call, FAKE_POINTS, wait->points, wait->count_handles * 8);
	} else if (request == DRM_IOCTL_SYNCOBJ_WAIT) {
		const struct drm_syncobj_wait *wait = arg;

		record_array(call, FAKE_SYNCOBJS, wait->handles, wait->count_handles * 4);
	} else if (request == DRM_IOCTL_SYNCOBJ_RESET || request == DRM_IOCTL_SYNCOBJ_SIGNAL) {
		const struct drm_syncobj_array *array = arg;

		record_array(call, FAKE_SYNCOBJS, array->handles, array->count_handles * 4);
	} else if (request == DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL) {
		const struct drm_syncobj_timeline_array *array = arg;

		record_array(call, FAKE_SYNCOBJS, array->handles, array->count_handles * 4);
		record_array(call, FAKE_POINTS, array->points, array->count_handles * 8);
	}
}

static void record(int fd, unsigned long request, const void *arg)
{
	struct fake_call *call;

	if (fake.num_calls == FAKE_MAX_CALLS || _IOC_SIZE(request) > FAKE_MAX_ARG)
		abort();
	call = &fake.calls[fake.num_calls++];
	*call = (struct fake_call){.request = request, .fd = fd};
	memcpy(call->arg, arg, _IOC_SIZE(request));
	record_arrays(call, request, arg);
}

/* 0 or a positive errno */
static int answer(int fd, unsigned long request, void *arg)
{
	if (fake.recording)
		record(fd, request, arg);
	if (fake.interrupts) {
		fake.interrupts--;
		return EINTR;
	}
	if (fake.fail_error && fake.fail_request == request) {
		int error = fake.fail_error;

		fake.fail_error = 0;
		write_output_of_failure(request, arg);
		return error;
	}
	return do_ioctl(fd, request, arg);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	int error;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);

	/* DRM, dma-bufs, sync files; the rest is the test framework's */
	if (_IOC_TYPE(request) != 'd' && _IOC_TYPE(request) != 'b' && _IOC_TYPE(request) != '>')
		return (int)syscall(SYS_ioctl, fd, request, arg);

	if (fake.widen_races && request == DRM_IOCTL_GEM_CLOSE)
		usleep(50);
	pthread_mutex_lock(&fake.lock);
	error = answer(fd, request, arg);
	pthread_mutex_unlock(&fake.lock);
	if (fake.widen_races && request == DRM_IOCTL_PRIME_FD_TO_HANDLE)
		usleep(50);
	errno = error ? error : errno;
	return error ? -1 : 0;
}

void fake_fail(unsigned long request, int error)
{
	fake.fail_request = request;
	fake.fail_error = error;
}

void fake_interrupt(unsigned int times)
{
	fake.interrupts = times;
}

void fake_widen_races(bool on)
{
	fake.widen_races = on;
}

void fake_set_next_handle(uint32_t handle)
{
	fake.next_handle = handle;
}

void fake_set_sync_file_status(int status)
{
	fake.sync_file_status = status;
}

/* ---- What happened ---- */

unsigned int fake_num_calls(void)
{
	return fake.num_calls;
}

unsigned int fake_num_calls_of(unsigned long request)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < fake.num_calls; i++)
		count += fake.calls[i].request == request;
	return count;
}

const struct fake_call *fake_last(unsigned long request)
{
	for (unsigned int i = fake.num_calls; i > 0; i--)
		if (fake.calls[i - 1].request == request)
			return &fake.calls[i - 1];
	fail_msg("ioctl %#lx was never called", request);
	return NULL;
}

void fake_forget_calls(void)
{
	for (unsigned int i = 0; i < fake.num_calls; i++)
		for (unsigned int j = 0; j < 4; j++)
			__real_free(fake.calls[i].arrays[j]);
	fake.num_calls = 0;
}

void fake_record(bool on)
{
	fake.recording = on;
}

unsigned int fake_open_handles(void)
{
	unsigned int count = 0;

	for (uint32_t i = 1; i < MAX_HANDLES; i++)
		count += fake.handles[i].open;
	return count;
}

bool fake_handle_is_open(uint32_t handle)
{
	return handle < MAX_HANDLES && fake.handles[handle].open;
}

unsigned int fake_bad_handles(void)
{
	return fake.bad_handles;
}

unsigned int fake_open_syncobjs(void)
{
	unsigned int count = 0;

	for (uint32_t i = 1; i < 64; i++)
		count += fake.syncobjs[i];
	return count;
}

/* ---- Fixtures ---- */

static unsigned int count_fds(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int fake_setup(void **state)
{
	(void)state;
	fake_forget_calls();
	memset(fake.handles, 0, sizeof(fake.handles));
	memset(fake.syncobjs, 0, sizeof(fake.syncobjs));
	fake.fail_error = 0;
	fake.interrupts = 0;
	fake.bad_handles = 0;
	fake.next_handle = 0;
	fake.next_vm = 0;
	fake.sync_file_status = 1;
	fake.nodes = NULL;
	fake.opendir_error = 0;
	fake.num_node_fds = 0;
	fake.recording = true;
	fake.widen_races = false;
	fake_fail_allocation(0);
	fake.base_fds = count_fds();
	fake.base_allocations = atomic_load(&live_allocations);
	return 0;
}

static int leaked(const char *what, long count)
{
	if (count)
		print_error("leak: %ld %s left by the test\n", count, what);
	return count ? -1 : 0;
}

int fake_teardown(void **state)
{
	int ret = 0;

	(void)state;
	fake_forget_calls();
	for (unsigned int i = 0; i < fake.num_node_fds; i++)
		close(fake.node_fds[i]);
	ret |= leaked("GEM handles", fake_open_handles());
	ret |= leaked("syncobjs", fake_open_syncobjs());
	ret |= leaked("uses of closed handles", fake.bad_handles);
	ret |= leaked("allocations", atomic_load(&live_allocations) - fake.base_allocations);
	ret |= leaked("file descriptors", (long)count_fds() - fake.base_fds);
	return ret;
}
