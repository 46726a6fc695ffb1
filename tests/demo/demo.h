/* SPDX-License-Identifier: MIT */
/*
 * The demo: GPU 0 renders frames into exported BOs, GPU 1 imports all of them
 * and mixes each with older ones, while GPU 0 needs three times its VRAM.
 *
 * One run per mode of the module (pinned, evicted) fills a struct run, which is
 * written to a file; the report reads both files and compares them.
 */
#ifndef DROVER_TESTS_DEMO_H
#define DROVER_TESTS_DEMO_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <drover/drover.h>

#define MIB            (1024.0 * 1024.0)

/* ---- What is made: picture.c ---- */

#define WIDTH          800
#define HEIGHT         600
#define FRAME_BYTES    (WIDTH * HEIGHT * 4)
/* BOs come in pages */
#define FRAME_BO_BYTES ((FRAME_BYTES + 4095) / 4096 * 4096)
#define NUM_FRAMES     72

/* Draws frame n as XRGB with channels of at most MAX_CHANNEL, so that mixing doesn't overflow. */
#define MAX_CHANNEL    42
void picture_draw(unsigned int n, uint32_t *pixels);

/* every so many frames one is a key frame, which GPU 1 keeps bound for good */
#define KEY_DISTANCE 4
#define NUM_KEYS     (NUM_FRAMES / KEY_DISTANCE)

/*
 * GPU 1 makes 3 × frame n + 2 × frame echo_near(n) + frame echo_far(n) with its
 * ADD command; picture_mix() is the same by the CPU, channel by channel. The far
 * one is a key frame.
 */
unsigned int echo_near(unsigned int n);
unsigned int echo_far(unsigned int n);
void picture_mix(const uint32_t *frame, const uint32_t *near, const uint32_t *far,
		 uint32_t *result);

uint64_t picture_checksum(const uint32_t *pixels);

/* ---- What happened ---- */

/* GPU 0's other work: groups of buffers, one group in use per frame, each in a VM of its own */
#define NUM_GROUPS        4
#define GROUP_BOS         2
#define NUM_ASSETS        (NUM_GROUPS * GROUP_BOS)
#define ASSET_BYTES       (8u << 20)

/* rows of the timeline: GPU 0's frames and assets, GPU 1's results */
#define NUM_OBJECTS       (NUM_FRAMES + NUM_ASSETS + NUM_FRAMES)
#define OBJECT_FRAME(n)   (n)
#define OBJECT_ASSET(i)   (NUM_FRAMES + (i))
#define OBJECT_RESULT(n)  (NUM_FRAMES + NUM_ASSETS + (n))

/* after GPU 0's part of each frame, and after GPU 1's */
#define SAMPLES_PER_FRAME 2
#define NUM_SAMPLES       (NUM_FRAMES * SAMPLES_PER_FRAME)

enum place { PLACE_NONE, PLACE_VRAM, PLACE_GTT, PLACE_PINNED, PLACE_EVICTED };

/* what happened to a BO since the sample before */
#define MARK_EVICTED            (1u << 0)
#define MARK_REMAPPED           (1u << 1)
/* the same on the importing side of a frame */
#define MARK_IMPORT_INVALIDATED (1u << 2)
#define MARK_IMPORT_REMAPPED    (1u << 3)

struct cell {
	uint8_t place;        /* enum place */
	uint8_t marks;        /* MARK_* of the device that owns the BO */
	uint8_t import_marks; /* MARK_* of the importer, written by another process */
	uint8_t pad;
};

enum stage { STAGE_DONE, STAGE_PENDING, STAGE_RENDER, STAGE_IMPORT, STAGE_MIX, STAGE_ECHO };

/* how far a frame came: STAGE_DONE, or where and why it failed */
struct frame {
	uint32_t stage; /* enum stage */
	int32_t error;
	uint64_t checksum;
	uint64_t reference;
};

struct gpu_totals {
	uint64_t vram_size, gtt_size;
	uint64_t needed; /* bytes of all BOs of the program */
	uint64_t evictions;
	uint64_t remaps;
	uint64_t invalidations; /* of imports */
	uint64_t bytes_moved;
	uint64_t pinned_max;
	uint64_t failed_checks;
};

#define RUN_MAGIC 0x316e757272766f72ULL

struct run {
	uint64_t magic;
	uint32_t pinned_mode;
	uint32_t num_samples;
	double seconds;
	struct gpu_totals gpu[2];
	struct frame frames[NUM_FRAMES];
	struct cell cells[NUM_SAMPLES][NUM_OBJECTS];
	uint32_t last_picture[WIDTH * HEIGHT];
	/* the frame that last_picture shows; -1: none was finished */
	int32_t last_frame;
	uint32_t pad;
};

/* a lack of memory, which is what the demo is about; other errors end it */
bool is_allocation_failure(int error);
const char *stage_name(uint32_t stage);

/* ---- What both processes need: common.c ---- */

/* says on stderr what went wrong, and why if error isn't 0 */
void complain(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* opens one of the GPUs and makes sure that the module is in the mode; complains itself */
int open_gpu(unsigned int index, bool pinned_mode, struct drover_device **dev);

/* What one process watches, with what it saw last. */
struct watched {
	struct drover_bo *bo;
	uint64_t evictions;
	uint64_t remaps;
};

/* Looks at a BO of this device, or at an import, and writes what it finds into its cell. */
int watch_own(struct watched *watched, struct cell *cell);
int watch_import(struct watched *watched, struct cell *cell);

/* sums up: each BO after the last look at it, and the device */
void totals_add_bo(struct gpu_totals *totals, const struct watched *watched, bool imported);
int totals_add_device(struct gpu_totals *totals, struct drover_device *dev);

/* ---- The two processes ---- */

/* how long to wait for a GPU before it is called stuck */
#define PATIENCE_NS 60000000000LL

/* GPU 0's side: gpu0.c; in the process that drives the run. All return 0 or a negative errno. */
struct gpu0;
int gpu0_open(bool pinned_mode, struct run *run, struct gpu0 **out);
/*
 * Renders frame n, does its other work, and exports the frame: *dmabuf is the
 * caller's, or -1 if the frame failed for lack of memory, which isn't an error.
 */
int gpu0_frame(struct gpu0 *gpu, unsigned int n, const uint32_t *pixels, int *dmabuf);
int gpu0_sample(struct gpu0 *gpu, unsigned int sample);
int gpu0_info(struct gpu0 *gpu, struct drm_drover_device_info *info);
/* checks that the assets are what they were, and sums up */
int gpu0_finish(struct gpu0 *gpu);
void gpu0_close(struct gpu0 *gpu);

/* GPU 1's side: gpu1.c; in a process of its own. Answers requests until it is to finish. */
int gpu1_serve(int socket, bool pinned_mode, struct run *run);

/* protocol.c: what the two say to each other; 0 or a negative errno */
enum request {
	/* here is frame n's dma-buf */
	REQUEST_FRAME,
	/* look at your BOs */
	REQUEST_SAMPLE,
	/* read the results back, sum up, end */
	REQUEST_FINISH,
};

struct message {
	enum request request;
	uint32_t argument;
	int fd;
};

int send_request(int socket, enum request request, uint32_t argument, int fd);
/* -EPIPE: there will be no more */
int receive_request(int socket, struct message *message);
int send_reply(int socket, int result);
/* the reply's result, or what kept it from coming */
int receive_reply(int socket);

/* ---- Results ---- */

/* run.c: one mode, into DIRECTORY/{pinned,evicted}.run */
int demo_run(bool pinned_mode, const char *directory);

/* report.c: compares both modes; the exit status */
int demo_report(const char *directory);

/* timeline.c: 0 or a negative errno */
int draw_timeline(const struct run *pinned, const struct run *evicted, const char *path);
int draw_picture(const uint32_t *pixels, const char *path);

#endif
