// SPDX-License-Identifier: MIT
/*
 * A submission that has to bring its working set back, while memory runs out: each
 * allocation on the way fails once, and from each point on everything fails. An
 * error leaves everything as it was, and the next try succeeds. Needs fault
 * injection, so the debug kernel. Two devices of 16 MiB of VRAM and of GTT.
 */
#include "common.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE    (64 * KIB)
#define IMPORTS 3
#define FAULTS  "/sys/kernel/debug/"

/* A VM with some of everything, and a job that looks at all of it. */
struct set {
	struct gpu exporter, user;
	struct client_bo exported[IMPORTS], imported[IMPORTS], own, private;
};

static struct set set_new(void)
{
	struct set set = {.exporter = gpu_open(0), .user = gpu_open(1)};
	unsigned int i;
	int fd;

	for (i = 0; i < IMPORTS; i++) {
		set.exported[i] = gpu_bo(&set.exporter, SIZE, VRAM | GTT);
		fd = bo_export(set.exported[i].bo);
		set.imported[i] = gpu_import(&set.user, fd);
		close(fd);
		check_ok(gpu_fill(&set.exporter, set.exported[i].va, SIZE, i, 1));
	}
	set.own = gpu_bo(&set.user, SIZE, VRAM);
	set.private.bo = bo_new_private(&set.user, SIZE, VRAM | GTT);
	set.private.va = gpu_bind(&set.user, set.private.bo);
	check_ok(gpu_fill(&set.user, set.own.va, SIZE, 10, 1));
	check_ok(gpu_fill(&set.user, set.private.va, SIZE, 20, 1));
	return set;
}

static struct job set_job(const struct set *set)
{
	struct job job = job_new(&set->user);
	unsigned int i;

	for (i = 0; i < IMPORTS; i++)
		drover_submission_check(job.sub, set->imported[i].va, SIZE, i, 1);
	drover_submission_check(job.sub, set->own.va, SIZE, 10, 1);
	drover_submission_check(job.sub, set->private.va, SIZE, 20, 1);
	drover_submission_buffer(job.sub, set->imported[0].bo, DROVER_ACCESS_WRITE);
	return job;
}

static void evict_all(const struct set *set)
{
	unsigned int i;

	for (i = 0; i < IMPORTS; i++)
		check_ok(drover_bo_evict(set->exported[i].bo, NULL));
	check_ok(drover_vm_evict(set->user.vm, NULL));
	check_eq(vm_info(&set->user).evicted_bos, IMPORTS + 2);
}

/* ---- Fault injection ---- */

static void set_fault(const char *name, const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), FAULTS "%s/%s", name, file);
	check(!write_file(path, value),
	      "%s can't be set: the kernel needs CONFIG_FAULT_INJECTION_DEBUG_FS, CONFIG_FAILSLAB and "
	      "CONFIG_FAIL_PAGE_ALLOC, and debugfs mounted",
	      path);
}

/* Every kind of allocation, nothing said about it. */
static void faults_init(void)
{
	static const char *const names[] = {"failslab", "fail_page_alloc"};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		set_fault(names[i], "probability", "0");
		set_fault(names[i], "verbose", "0");
		set_fault(names[i], "times", "-1");
		set_fault(names[i], "interval", "1");
		set_fault(names[i], "task-filter", "Y");
		set_fault(names[i], "ignore-gfp-wait", "N");
	}
	set_fault("failslab", "cache-filter", "N");
	set_fault("fail_page_alloc", "ignore-gfp-highmem", "N");
	set_fault("fail_page_alloc", "min-order", "0");
}

static int open_own(const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/thread-self/%s", file);
	return check_sys(open(path, O_RDWR | O_CLOEXEC));
}

/* Submits with the nth allocation failing; sets @reached to whether there were so many. */
static int submit_with_one_failure(struct job *job, int control, unsigned int nth, bool *reached)
{
	char text[16] = "";
	int error, length = snprintf(text, sizeof(text), "%u", nth);

	check_eq(check_sys(write(control, text, length)), length);
	error = drover_submission_submit(job->sub);
	memset(text, 0, sizeof(text));
	check_sys(pread(control, text, sizeof(text) - 1, 0));
	check_sys(write(control, "0", 1));
	*reached = !atoi(text);
	return error;
}

/* Submits with all allocations failing once @bytes were allocated. */
static int submit_with_all_failing(struct job *job, int control, unsigned int bytes)
{
	char text[16];
	int error;

	snprintf(text, sizeof(text), "%u", bytes);
	set_fault("failslab", "space", text);
	set_fault("failslab", "probability", "100");
	check_sys(write(control, "1", 1));
	error = drover_submission_submit(job->sub);
	check_sys(write(control, "0", 1));
	set_fault("failslab", "probability", "0");
	return error;
}

/* ---- The tests ---- */

/* After an error nothing has happened; after a success the job has seen everything. Either way it can be done again. */
static void check_consequences(const struct set *set, struct job *job, int error,
			       const struct drm_drover_vm_info *before)
{
	struct drm_drover_vm_info info = vm_info(&set->user);

	check_eq(info.flags, 0);
	check_eq(info.mappings, before->mappings);
	check_eq(info.bos, before->bos);
	if (error) {
		check(error == -ENOMEM || error == -ENOSPC, "SUBMIT returned %s",
		      strerrorname_np(-error));
		check_eq(info.submitted, before->submitted);
		check_err(drover_sync_wait(job->done, 0, 0, 0), -EINVAL);
		check_ok(drover_submission_submit(job->sub));
	}
	check_ok(job_wait(job));
	check_eq(vm_info(&set->user).submitted, before->submitted + 1);
	check_eq(vm_info(&set->user).evicted_bos, 0);
	job_free(job);
}

static void each_allocation_fails_once(void)
{
	struct set set = set_new();
	int control = open_own("fail-nth");
	unsigned int nth, errors = 0;
	bool reached = true;

	faults_init();
	for (nth = 1; reached; nth++) {
		struct drm_drover_vm_info before;
		struct job job = set_job(&set);
		int error;

		evict_all(&set);
		before = vm_info(&set.user);
		error = submit_with_one_failure(&job, control, nth, &reached);
		errors += error != 0;
		check(reached || !error, "SUBMIT fails without a reason");
		check_consequences(&set, &job, error, &before);
	}
	check(nth > 20, "a resume makes only %u allocations: nothing was injected", nth);
	check(errors, "%u failures of an allocation, and no error", nth);
	check_eq(vm_info(&set.user).failed_checks, 0);
}

static void everything_fails_from_a_point_on(void)
{
	struct set set = set_new();
	int control = open_own("make-it-fail");
	unsigned int bytes, errors = 0;
	int error = -ENOMEM;

	faults_init();
	for (bytes = 0; error; bytes += 512) {
		struct drm_drover_vm_info before;
		struct job job = set_job(&set);

		evict_all(&set);
		before = vm_info(&set.user);
		error = submit_with_all_failing(&job, control, bytes);
		errors += error != 0;
		check_consequences(&set, &job, error, &before);
		check(bytes < MIB, "SUBMIT doesn't succeed with a megabyte to allocate");
	}
	check(errors > 3, "%u errors only: nothing was injected", errors);
	check_eq(vm_info(&set.user).failed_checks, 0);
}

static const struct test tests[] = {
	TEST(each_allocation_fails_once),
	TEST(everything_fails_from_a_point_on),
};

int main(int argc, char **argv)
{
	return test_main("resumefail", tests, ARRAY_SIZE(tests), argc, argv);
}
