// SPDX-License-Identifier: MIT
/* Owns nothing: errors as results, and time-outs. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <time.h>

#include <xf86drm.h>

#include "winsys.h"

#define NSEC_PER_SEC 1000000000LL

int device_ioctl(int fd, unsigned long request, void *arg)
{
	return drm_result(drmIoctl(fd, request, arg));
}

int drm_result(int ret)
{
	/* some of libdrm returns -1, some -errno; all leave errno as the ioctl set it */
	return ret < 0 ? -errno : 0;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t deadline_from_timeout(int64_t timeout_ns)
{
	int64_t now;

	if (timeout_ns < 0)
		return INT64_MAX;
	/* a deadline in the past: the kernel then asks without looking at the clock */
	if (timeout_ns == 0)
		return 0;
	now = now_ns();
	return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

int poll_until(int fd, short events, int64_t timeout_ns)
{
	int64_t deadline = deadline_from_timeout(timeout_ns);
	struct pollfd pfd = {.fd = fd, .events = events};

	/* poll() skips negative descriptors instead of failing */
	if (fd < 0)
		return -EBADF;

	for (;;) {
		int64_t left = deadline ? deadline - now_ns() : 0;
		struct timespec ts = {0};
		int ret;

		if (left > 0) {
			ts.tv_sec = left / NSEC_PER_SEC;
			ts.tv_nsec = left % NSEC_PER_SEC;
		}
		ret = ppoll(&pfd, 1, deadline == INT64_MAX ? NULL : &ts, NULL);
		if (ret == 0)
			return -ETIME;
		if (ret > 0) {
			if (pfd.revents & POLLNVAL)
				return -EBADF;
			return pfd.revents & events ? 0 : -EINVAL;
		}
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}
