/* SPDX-License-Identifier: MIT */
/*
 * What the tests of implicit sync with real fences share: a Vulkan device on lavapipe under the layer,
 * and dma-bufs that others write to: the engine of a virtual GPU, the CPU with vgem's or sw_sync's
 * fences.
 */
#ifndef SYNC_GUEST_H
#define SYNC_GUEST_H

#include "../vulkan/harness.h"

#define SIZE    (256 * KIB)
/* What a dma-buf holds before, and what others write. */
#define OLD     1u
#define NEW     0x10000u
/* For how long others work before they write. */
#define WORK_MS 300

/* struct options - of an application */
struct options {
	/* The layer's settings; NULL: the default. `mode` is "native" unless said. */
	const char *mode, *implicit_sync, *trace_file;
	/* Where the validation layer is, with synchronization validation: above unless said. */
	bool validation_below;
};

/* struct application - a device, and a buffer of its own to copy to */
struct application {
	struct device *device;
	struct buffer copy;
};

/* sync_main() - main() of these suites */
int sync_main(const char *suite, const struct test *tests, size_t count, int argc, char **argv);

struct application application_open(const struct options *options);
void application_close(struct application *application);

/* shared_import() - a buffer over a dma-buf, which stays the caller's */
struct buffer shared_import(const struct application *application, int dmabuf);

/* copy_commands() - copy a buffer's words to the application's own, with the transfers asked for */
struct commands copy_commands(const struct application *application, const struct buffer *shared,
			      bool acquires, bool releases);
/* busy_commands() - work that takes a while, into the copy */
void busy_commands(struct commands *commands, const struct application *application);

/* struct producer - the engine of a virtual GPU, and a BO of it that is shared */
struct producer {
	struct gpu gpu;
	struct client_bo bo;
	int dmabuf;
};

struct producer producer_open(void);
void producer_close(struct producer *producer);
/*
 * producer_fill() - a job that waits for `hold` (NULL: for nothing), works for a while and then writes
 * `value`; listed as that access, 0: not
 */
struct job producer_fill(struct producer *producer, const struct held_fence *hold,
			 unsigned int work_ms, uint32_t value, uint32_t access);

/* dmabuf_idle() - whether nobody has to be waited for */
bool dmabuf_idle(int dmabuf, uint32_t access);

#endif
