// SPDX-License-Identifier: MIT
/*
 * Implicit sync between two devices through one shared BO: what is listed is
 * ordered as its accesses say, what isn't listed isn't, and working-set fences
 * are seen by nobody but a move. The first job waits for a fence that the test
 * holds, so "doesn't wait" means: is done while the first one can't be.
 */
#include "common.h"

#include <poll.h>
#include <unistd.h>

#define READ   DROVER_ACCESS_READ
#define WRITE  DROVER_ACCESS_WRITE

#define SIZE   (64 * KIB)
/* What the BO holds before, what the first job writes, what the second one writes. */
#define OLD    1
#define FIRST  1000
#define SECOND 2000

/* A BO of device 0 in a VM of both devices, each with a BO to copy to. */
struct share {
	struct gpu gpu[2];
	struct client_bo bo[2], copy[2];
	int dmabuf;
};

static void use_all(struct share *share)
{
	unsigned int i;

	check_ok(gpu_fill(&share->gpu[0], share->bo[0].va, SIZE, OLD, 1));
	for (i = 0; i < 2; i++)
		check_ok(gpu_check(&share->gpu[i], share->bo[i].va, SIZE, OLD, 1));
}

static struct share share_new(void)
{
	struct share share = {.gpu = {gpu_open(0), gpu_open(1)}};
	unsigned int i;

	for (i = 0; i < 2; i++)
		share.copy[i] = gpu_bo(&share.gpu[i], SIZE, VRAM | GTT);
	share.bo[0] = gpu_bo(&share.gpu[0], SIZE, VRAM | GTT);
	share.dmabuf = bo_export(share.bo[0].bo);
	share.bo[1] = gpu_import(&share.gpu[1], share.dmabuf);
	use_all(&share);
	return share;
}

static void share_free(struct share *share)
{
	unsigned int i;

	close(share->dmabuf);
	for (i = 0; i < 2; i++) {
		drover_bo_unref(share->bo[i].bo);
		drover_bo_unref(share->copy[i].bo);
		gpu_close(&share->gpu[i]);
	}
}

static void check_nobody_was_stopped(const struct share *share)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct drm_drover_vm_info info = vm_info(&share->gpu[i]);

		check_eq(info.suspends, 0);
		check_eq(info.spurious_suspends, 0);
		check_eq(info.remaps, 0);
	}
}

/* A job on one side that reads (copies) or writes (fills) the BO, listed or not. */
static struct job access_job(const struct share *share, unsigned int side, uint32_t access,
			     uint32_t value, bool listed)
{
	struct job job = job_new(&share->gpu[side]);

	if (access == WRITE)
		drover_submission_fill(job.sub, share->bo[side].va, SIZE, value, 1);
	else
		drover_submission_copy(job.sub, share->copy[side].va, share->bo[side].va, SIZE);
	if (listed)
		drover_submission_buffer(job.sub, share->bo[side].bo, access);
	return job;
}

/* A job on that side that is listed and can't be done before the fence is released. */
static struct job held_job(const struct share *share, unsigned int side, uint32_t access,
			   const struct held_fence *hold)
{
	struct job job = access_job(share, side, access, FIRST, true);

	job_wait_fence(&share->gpu[side], &job, hold);
	job_submit(&job);
	return job;
}

static void check_waits(struct job *second)
{
	check_err(drover_sync_wait(second->done, 0, CHANCE_MS * 1000000LL, 0), -ETIME);
}

static void check_does_not_wait(struct job *second, struct job *first)
{
	check_ok(job_wait(second));
	check(!job_done(first), "the first job is done before the fence that it waits for");
}

/* ---- Orders ---- */

/* What both have read and written must be what they would have one after the other. */
static void check_order(const struct share *share, unsigned int side, uint32_t first,
			uint32_t second)
{
	uint32_t after_first = first == WRITE ? FIRST : OLD;
	uint32_t last = second == WRITE ? SECOND : after_first;

	if (first == READ)
		check_ok(gpu_check(&share->gpu[side], share->copy[side].va, SIZE, OLD, 1));
	if (second == READ)
		check_ok(
			gpu_check(&share->gpu[!side], share->copy[!side].va, SIZE, after_first, 1));
	check_ok(gpu_check(&share->gpu[0], share->bo[0].va, SIZE, last, 1));
	check_ok(gpu_check(&share->gpu[1], share->bo[1].va, SIZE, last, 1));
}

static void ordered_from(unsigned int side, uint32_t first, uint32_t second)
{
	struct share share = share_new();
	struct held_fence hold = fence_hold();
	struct job one = held_job(&share, side, first, &hold);
	struct job two = access_job(&share, !side, second, SECOND, true);

	job_submit(&two);
	check_waits(&two);
	fence_release(&hold);
	check_ok(job_wait(&two));
	check(job_done(&one), "the second job was done before the first");
	check_ok(job_wait(&one));
	check_order(&share, side, first, second);
	check_nobody_was_stopped(&share);
	job_free(&one);
	job_free(&two);
	share_free(&share);
}

static void ordered(uint32_t first, uint32_t second)
{
	ordered_from(0, first, second);
	ordered_from(1, first, second);
}

static void write_write(void)
{
	ordered(WRITE, WRITE);
}

static void write_read(void)
{
	ordered(WRITE, READ);
}

static void read_write(void)
{
	ordered(READ, WRITE);
}

static void read_read_is_not_ordered(void)
{
	unsigned int side;

	for (side = 0; side < 2; side++) {
		struct share share = share_new();
		struct held_fence hold = fence_hold();
		struct job one = held_job(&share, side, READ, &hold);
		struct job two = access_job(&share, !side, READ, 0, true);

		job_submit(&two);
		check_does_not_wait(&two, &one);
		fence_release(&hold);
		check_ok(job_wait(&one));
		check_order(&share, side, READ, READ);
		job_free(&one);
		job_free(&two);
		share_free(&share);
	}
}

/* The control: the same accesses without the list, on either side of the pair. */
static void unlisted_does_not_wait(void)
{
	unsigned int side;

	for (side = 0; side < 2; side++) {
		struct share share = share_new();
		struct held_fence hold = fence_hold();
		struct job one = held_job(&share, side, WRITE, &hold);
		struct job two = access_job(&share, !side, WRITE, SECOND, false);

		job_submit(&two);
		check_does_not_wait(&two, &one);
		check_ok(gpu_check(&share.gpu[!side], share.bo[!side].va, SIZE, SECOND, 1));
		fence_release(&hold);
		check_ok(job_wait(&one));
		check_ok(gpu_check(&share.gpu[!side], share.bo[!side].va, SIZE, FIRST, 1));
		job_free(&one);
		job_free(&two);
		share_free(&share);
	}
}

static void unlisted_is_not_waited_for(void)
{
	unsigned int side;

	for (side = 0; side < 2; side++) {
		struct share share = share_new();
		struct held_fence hold = fence_hold();
		struct job one = access_job(&share, side, WRITE, FIRST, false);
		struct job two = access_job(&share, !side, WRITE, SECOND, true);

		job_wait_fence(&share.gpu[side], &one, &hold);
		job_submit(&one);
		job_submit(&two);
		check_does_not_wait(&two, &one);
		fence_release(&hold);
		check_ok(job_wait(&one));
		job_free(&one);
		job_free(&two);
		share_free(&share);
	}
}

/* Two VMs of one device, which don't go through an import. */
static void vms_of_one_device(void)
{
	struct share share = share_new();
	struct gpu other = gpu_add_vm(&share.gpu[0]);
	uint64_t va = gpu_bind(&other, share.bo[0].bo);
	struct held_fence hold = fence_hold();
	struct job one = held_job(&share, 0, WRITE, &hold);
	struct job two = job_new(&other), control = job_new(&other);

	drover_submission_check(control.sub, va, SIZE, OLD, 1);
	job_submit(&control);
	check_does_not_wait(&control, &one);
	drover_submission_check(two.sub, va, SIZE, FIRST, 1);
	drover_submission_buffer(two.sub, share.bo[0].bo, READ);
	job_submit(&two);
	check_waits(&two);
	fence_release(&hold);
	check_ok(job_wait(&two));
}

/*
 * Increments by turns, none of which the CPU waits for: each reads what the other
 * device wrote just before.
 */
static void turns(void)
{
	enum { TURNS = 20 };
	struct share share = share_new();
	struct held_fence hold = fence_hold();
	struct client_bo one[2];
	struct job job[TURNS];
	unsigned int i, side;

	check_ok(gpu_fill(&share.gpu[0], share.bo[0].va, SIZE, 0, 0));
	for (side = 0; side < 2; side++) {
		one[side] = gpu_bo(&share.gpu[side], SIZE, VRAM | GTT);
		check_ok(gpu_fill(&share.gpu[side], one[side].va, SIZE, 1 + side, 0));
	}
	for (i = 0; i < TURNS; i++) {
		side = i % 2;
		job[i] = job_new(&share.gpu[side]);
		drover_submission_check(job[i].sub, share.bo[side].va, SIZE, i / 2 * 3 + side, 0);
		drover_submission_add(job[i].sub, share.bo[side].va, share.bo[side].va,
				      one[side].va, SIZE);
		drover_submission_buffer(job[i].sub, share.bo[side].bo, READ | WRITE);
		if (!i)
			job_wait_fence(&share.gpu[side], &job[i], &hold);
		job_submit(&job[i]);
	}
	/* All of them are in their queues before the first one runs. */
	fence_release(&hold);
	for (i = 0; i < TURNS; i++)
		check_ok(job_wait(&job[i]));
	check_ok(gpu_check(&share.gpu[0], share.bo[0].va, SIZE, TURNS / 2 * 3, 0));
}

/* ---- Sync files ---- */

/* Whether each access would have to wait, as a sync file says it. */
static void check_sync_files(const struct share *share, bool read_waits, bool write_waits)
{
	int fd;

	check_ok(drover_dmabuf_export_sync_file(share->dmabuf, READ, &fd));
	check_eq(drover_sync_file_status(fd), !read_waits);
	close(fd);
	check_ok(drover_dmabuf_export_sync_file(share->dmabuf, WRITE, &fd));
	check_eq(drover_sync_file_status(fd), !write_waits);
	close(fd);
}

/* An armed VM alone is no access: not before, not while it runs, not afterwards. */
static void sync_file_has_no_working_set_fence(void)
{
	struct share share = share_new();
	struct held_fence hold = fence_hold();
	struct job job = access_job(&share, 1, WRITE, FIRST, false);
	int fd;

	check_sync_files(&share, false, false);
	job_wait_fence(&share.gpu[1], &job, &hold);
	job_submit(&job);
	check_sync_files(&share, false, false);
	/* Waiting for one would suspend the VM if there were a fence of its in it. */
	check_ok(drover_dmabuf_export_sync_file(share.dmabuf, WRITE, &fd));
	check_ok(drover_sync_file_wait(fd, WAIT_NS));
	check(!job_done(&job), "a job is done before the fence that it waits for");
	fence_release(&hold);
	check_ok(job_wait(&job));
	check_nobody_was_stopped(&share);
}

static void sync_file_has_what_is_listed(void)
{
	unsigned int side;

	for (side = 0; side < 2; side++) {
		struct share share = share_new();
		struct held_fence hold = fence_hold();
		struct job reader = held_job(&share, side, READ, &hold), writer;
		int fd;

		check_sync_files(&share, false, true);
		writer = held_job(&share, side, WRITE, &hold);
		check_sync_files(&share, true, true);
		check_ok(drover_dmabuf_export_sync_file(share.dmabuf, READ, &fd));
		fence_release(&hold);
		check_ok(drover_sync_file_wait(fd, WAIT_NS));
		check(job_done(&writer), "the sync file is signalled before the writer is done");
		check_ok(job_wait(&reader));
		check_ok(job_wait(&writer));
		check_sync_files(&share, false, false);
		check_nobody_was_stopped(&share);
		close(fd);
		share_free(&share);
	}
}

/* Someone else's access, imported as a sync file: ordered as a listed one. */
static void imported_sync_file(uint32_t access, int sync_file, void (*release)(void *), void *data)
{
	struct share share = share_new();
	struct job job[3];
	unsigned int side = 1;

	check_ok(drover_dmabuf_import_sync_file(share.dmabuf, access, sync_file));
	check_sync_files(&share, access == WRITE, true);

	job[0] = access_job(&share, side, READ, 0, false);
	job_submit(&job[0]);
	check_ok(job_wait(&job[0]));
	job[1] = access_job(&share, side, READ, 0, true);
	job_submit(&job[1]);
	if (access == WRITE)
		check_waits(&job[1]);
	else
		check_ok(job_wait(&job[1]));
	job[2] = access_job(&share, !side, WRITE, SECOND, true);
	job_submit(&job[2]);
	check_waits(&job[2]);

	release(data);
	check_ok(job_wait(&job[1]));
	check_ok(job_wait(&job[2]));
	check_ok(gpu_check(&share.gpu[1], share.copy[1].va, SIZE, OLD, 1));
	check_nobody_was_stopped(&share);
}

static void release_fence(void *data)
{
	fence_release(data);
}

static void imported_sync_file_is_waited_for(void)
{
	static const uint32_t accesses[] = {READ, WRITE};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(accesses); i++) {
		struct held_fence hold = fence_hold();

		imported_sync_file(accesses[i], hold.sync_file, release_fence, &hold);
	}
}

/* The same with the fence of a job of ours, whose VM has nothing to do with the BO. */
static void imported_fence_of_a_job_is_waited_for(void)
{
	struct gpu gpu = gpu_open(0);
	struct held_fence hold = fence_hold();
	struct job job = job_new(&gpu);
	int fd;

	job_wait_fence(&gpu, &job, &hold);
	job_submit(&job);
	check_ok(drover_sync_export_sync_file(job.done, 0, &fd));
	imported_sync_file(WRITE, fd, release_fence, &hold);
}

/* ---- poll() ---- */

static int poll_now(const struct share *share, short events)
{
	struct pollfd fd = {.fd = share->dmabuf, .events = events};

	check_sys(poll(&fd, 1, 0));
	return fd.revents;
}

/* POLLIN: nobody writes; POLLOUT: nobody reads or writes. */
static void poll_sees_what_is_listed(void)
{
	struct share share = share_new();
	struct pollfd fd = {.fd = share.dmabuf, .events = POLLIN};
	struct held_fence hold = fence_hold();
	struct job reader, writer;

	check_eq(poll_now(&share, POLLIN | POLLOUT), POLLIN | POLLOUT);
	reader = held_job(&share, 0, READ, &hold);
	check_eq(poll_now(&share, POLLIN), POLLIN);
	check_eq(poll_now(&share, POLLOUT), 0);
	writer = held_job(&share, 1, WRITE, &hold);
	check_eq(poll_now(&share, POLLIN), 0);
	check_eq(poll_now(&share, POLLOUT), 0);

	fence_release(&hold);
	check_eq(check_sys(poll(&fd, 1, WAIT_NS / 1000000)), 1);
	check(job_done(&writer), "poll() says that nobody writes before the writer is done");
	check_ok(job_wait(&reader));
	check_ok(job_wait(&writer));
	check_nobody_was_stopped(&share);
}

/* Neither poll() nor a CPU access stops a VM that is just armed, or that runs unlisted jobs. */
static void poll_has_no_working_set_fence(void)
{
	struct share share = share_new();
	struct held_fence hold = fence_hold();
	struct job job = access_job(&share, 1, WRITE, FIRST, false);

	job_wait_fence(&share.gpu[1], &job, &hold);
	job_submit(&job);
	check_eq(poll_now(&share, POLLIN | POLLOUT), POLLIN | POLLOUT);
	check_ok(drover_dmabuf_wait(share.dmabuf, WRITE, WAIT_NS));
	check_ok(drover_dmabuf_begin_cpu_access(share.dmabuf, WRITE));
	check_ok(drover_dmabuf_end_cpu_access(share.dmabuf, WRITE));
	check(!job_done(&job), "a job is done before the fence that it waits for");
	fence_release(&hold);
	check_ok(job_wait(&job));
	check_nobody_was_stopped(&share);
}

static const struct test tests[] = {
	TEST(write_write),
	TEST(write_read),
	TEST(read_write),
	TEST(read_read_is_not_ordered),
	TEST(unlisted_does_not_wait),
	TEST(unlisted_is_not_waited_for),
	TEST(vms_of_one_device),
	TEST(turns),
	TEST(sync_file_has_no_working_set_fence),
	TEST(sync_file_has_what_is_listed),
	TEST(imported_sync_file_is_waited_for),
	TEST(imported_fence_of_a_job_is_waited_for),
	TEST(poll_sees_what_is_listed),
	TEST(poll_has_no_working_set_fence),
};

int main(int argc, char **argv)
{
	return test_main("sync", tests, ARRAY_SIZE(tests), argc, argv);
}
