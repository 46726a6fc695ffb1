// SPDX-License-Identifier: MIT
/* One run: two processes, one per GPU, frame after frame, and what came of it in a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

struct driver {
	struct run *run;
	struct gpu0 *gpu0;
	int socket;
	bool said_why;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* a line that is rewritten on a terminal, and now and then a line elsewhere */
static void show_progress(struct driver *driver, unsigned int n)
{
	bool tty = isatty(STDERR_FILENO);
	struct drm_drover_device_info info;

	if (!tty && n % 12 && n != NUM_FRAMES - 1)
		return;
	if (gpu0_info(driver->gpu0, &info))
		return;
	/* short enough for 80 columns, or rewriting would leave its first part behind */
	fprintf(stderr,
		"%s%-9s frame %2u/%d; GPU 0: %4.1f VRAM %4.1f GTT %4.1f pinned MiB; %4llu evictions%s",
		tty ? "\r" : "", mode_name(driver->run->mode), n + 1, NUM_FRAMES,
		(double)info.vram_used / MIB, (double)info.gtt_used / MIB,
		(double)info.pinned / MIB, (unsigned long long)info.evictions,
		tty && n != NUM_FRAMES - 1 ? "\033[K" : "\n");
}

/* the first failure in full; the rest is counted */
static void explain_failure(struct driver *driver, unsigned int n)
{
	const struct frame *frame = &driver->run->frames[n];
	struct drm_drover_device_info info;

	if (!is_allocation_failure(frame->error) || driver->said_why)
		return;
	driver->said_why = true;
	complain(frame->error, "frame %u: %s failed", n, stage_name(frame->stage));
	if (gpu0_info(driver->gpu0, &info))
		return;
	fprintf(stderr,
		"  GPU 0 reaches %.0f MiB of VRAM and %.0f MiB of GTT; %.1f MiB are in use in VRAM, "
		"%.1f in GTT,\n  and %.1f MiB are pinned by imports, of %.0f MiB that may be. "
		"Going on with what can be done.\n",
		(double)info.vram_size / MIB, (double)info.gtt_size / MIB,
		(double)info.vram_used / MIB, (double)info.gtt_used / MIB,
		(double)info.pinned / MIB, (double)info.pin_limit / MIB);
}

static int ask(struct driver *driver, const struct message *message)
{
	int ret = send_request(driver->socket, message);

	return ret ? ret : receive_reply(driver->socket);
}

static int sample(struct driver *driver, unsigned int i)
{
	int ret;

	ret = gpu0_sample(driver->gpu0, i);
	if (!ret)
		ret = ask(driver, &(struct message){REQUEST_SAMPLE, .argument = i, .fd = -1});
	driver->run->num_samples = i + 1;
	return ret;
}

static int do_frame(struct driver *driver, unsigned int n)
{
	struct message message = {.request = REQUEST_FRAME, .argument = n};
	int ret;

	ret = gpu0_frame(driver->gpu0, n, &message.fd, &message.layout);
	if (!ret)
		ret = sample(driver, n * SAMPLES_PER_FRAME);
	if (!ret && message.fd >= 0)
		ret = ask(driver, &message);
	/* GPU 1 has it now, or never will */
	if (message.fd >= 0)
		close(message.fd);
	return ret ? ret : sample(driver, n * SAMPLES_PER_FRAME + 1);
}

static int do_frames(struct driver *driver)
{
	double start = now();

	for (unsigned int n = 0; n < NUM_FRAMES; n++) {
		int ret = do_frame(driver, n);

		if (ret) {
			complain(ret, "frame %u failed", n);
			return ret;
		}
		explain_failure(driver, n);
		show_progress(driver, n);
	}
	driver->run->seconds = now() - start;
	return 0;
}

static int drive(struct driver *driver)
{
	int ret;

	/* the other process is ready, or has said why not */
	ret = receive_reply(driver->socket);
	if (ret)
		return ret;
	ret = gpu0_open(driver->run, &driver->gpu0);
	if (ret)
		return ret;
	ret = do_frames(driver);
	if (!ret)
		ret = ask(driver, &(struct message){REQUEST_FINISH, .fd = -1});
	if (!ret)
		ret = gpu0_finish(driver->gpu0);
	if (ret)
		complain(ret, "the run in mode %s didn't come to its end",
			 mode_name(driver->run->mode));
	gpu0_close(driver->gpu0);
	return ret;
}

static int save(const struct run *run, const char *path)
{
	FILE *file = fopen(path, "wb");
	bool ok;

	if (!file) {
		complain(-errno, "%s can't be written", path);
		return -EIO;
	}
	ok = fwrite(run, sizeof(*run), 1, file) == 1;
	ok &= fclose(file) == 0;
	if (!ok)
		complain(-errno, "%s can't be written", path);
	return ok ? 0 : -EIO;
}

/* starts GPU 1's process; its end of the socket closes with it */
static int start_gpu1(struct driver *driver, pid_t *pid)
{
	const struct timeval patience = {.tv_sec = 2 * PATIENCE_NS / 1000000000};
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return -errno;
	*pid = fork();
	if (*pid < 0) {
		close(sockets[0]);
		close(sockets[1]);
		return -errno;
	}
	if (!*pid) {
		close(sockets[0]);
		_exit(gpu1_serve(sockets[1], driver->run) ? 1 : 0);
	}
	close(sockets[1]);
	setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	driver->socket = sockets[0];
	return 0;
}

static int run_both(struct driver *driver)
{
	int ret, status;
	pid_t pid = -1;

	ret = start_gpu1(driver, &pid);
	if (ret) {
		complain(ret, "no second process");
		return ret;
	}
	ret = drive(driver);
	close(driver->socket);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ret && (!WIFEXITED(status) || WEXITSTATUS(status))) {
		complain(0, "GPU 1's process failed with status %#x", status);
		ret = -EIO;
	}
	return ret;
}

int demo_run(enum mode mode, const char *directory)
{
	struct driver driver = {.socket = -1};
	char path[4096];
	int ret;

	/* both processes write into it */
	driver.run = mmap(NULL, sizeof(*driver.run), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (driver.run == MAP_FAILED) {
		complain(-ENOMEM, "the run can't be prepared");
		return 1;
	}
	driver.run->magic = RUN_MAGIC;
	driver.run->mode = mode;
	driver.run->last_frame = -1;
	for (unsigned int n = 0; n < NUM_FRAMES; n++)
		driver.run->frames[n].stage = STAGE_PENDING;

	/* a run that fails must not leave an older one's results to be reported */
	snprintf(path, sizeof(path), "%s/%s.run", directory, mode_name(mode));
	unlink(path);
	vk_set_up_loader();
	ret = run_both(&driver);
	if (!ret)
		ret = save(driver.run, path);
	munmap(driver.run, sizeof(*driver.run));
	return ret ? 1 : 0;
}
