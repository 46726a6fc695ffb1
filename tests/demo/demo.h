/* SPDX-License-Identifier: MIT */
/*
 * The demo: two unmodified Vulkan applications under the layer. One renders frames on
 * GPU 0 into exported images; the other, in a process of its own, imports all of them on
 * GPU 1 and filters each together with older ones, while GPU 0 needs more than three
 * times its VRAM.
 *
 * One run per mode (pinned, evicted, and a reference in which everything fits) fills a
 * struct run, which is written to a file; the report reads the files and compares them.
 */
#ifndef DROVER_TESTS_DEMO_H
#define DROVER_TESTS_DEMO_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <drover/drover.h>
#include <vulkan/vulkan.h>

#define MIB               (1024.0 * 1024.0)

/* ---- What is made ---- */

#define WIDTH             960
#define HEIGHT            540
#define FRAME_BYTES       (WIDTH * HEIGHT * 4)
#define NUM_FRAMES        48

/* GPU 1 filters frame n together with these older ones; the first frames with the first one. */
#define ECHO_NEAR(n)      ((n) < 5 ? 0 : (n) - 5)
#define ECHO_FAR(n)       ((n) / 2)

/* ---- What happened ---- */

/* GPU 0's other work: groups of buffers, one group in use per frame */
#define NUM_GROUPS        4
#define GROUP_BUFFERS     2
#define NUM_ASSETS        (NUM_GROUPS * GROUP_BUFFERS)
#define ASSET_BYTES       (3u << 20)

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
#define MARK_EVICTED  (1u << 0)
#define MARK_REMAPPED (1u << 1)

struct cell {
	uint8_t place; /* enum place */
	uint8_t marks; /* MARK_* */
};

enum stage { STAGE_DONE, STAGE_PENDING, STAGE_RENDER, STAGE_IMPORT, STAGE_FILTER, STAGE_ECHO };

/* what had happened to GPU 1's address space so far */
struct imports {
	uint64_t invalidations; /* imports that GPU 0 took away */
	uint64_t remaps;        /* imports, and results, that came back at their next use */
};

/* how far a frame came: STAGE_DONE, or where and why it failed */
struct frame {
	uint32_t stage; /* enum stage */
	int32_t error;
	uint64_t checksum;
};

struct gpu_totals {
	uint64_t vram_size, gtt_size;
	uint64_t needed; /* bytes of all memory of the application */
	uint64_t evictions;
	uint64_t remaps;
	uint64_t invalidations; /* of imports */
	uint64_t bytes_moved;
	uint64_t pinned_max;
	uint64_t damaged; /* words of the other work that weren't what they should be */
};

enum mode { MODE_PINNED, MODE_EVICTED, MODE_REFERENCE, NUM_MODES };

#define RUN_MAGIC 0x336e757272766f72ULL

struct run {
	uint64_t magic;
	uint32_t mode; /* enum mode */
	uint32_t num_samples;
	double seconds;
	struct gpu_totals gpu[2];
	struct frame frames[NUM_FRAMES];
	struct cell cells[NUM_SAMPLES][NUM_OBJECTS];
	struct imports imports[NUM_SAMPLES];
	uint32_t last_picture[WIDTH * HEIGHT];
	/* the frame that last_picture shows; -1: none was finished */
	int32_t last_frame;
	uint32_t pad;
};

const char *mode_name(enum mode mode);
/* a lack of memory, which is what the demo is about; other errors end it */
bool is_allocation_failure(int error);
const char *stage_name(uint32_t stage);

/* ---- What both processes need: common.c ---- */

/* says on stderr what went wrong, and why if error isn't 0 */
void complain(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Looking at a GPU from outside of Vulkan: opens it and makes sure that the module is in the mode; complains itself. */
int open_gpu(unsigned int index, enum mode mode, struct drover_device **dev);

/* What one process watches, with what it saw last. */
struct watched {
	struct drover_bo *bo;
	uint64_t evictions;
	uint64_t remaps;
};

/* Finds the BO of exported memory; the descriptor stays the caller's. */
int watch(struct watched *watched, struct drover_device *dev, int fd);
/* Looks at it and writes what it finds into its cell. */
int watch_look(struct watched *watched, struct cell *cell);

/* What happened in this process's address spaces on a GPU; the layer's are among them. */
int count_imports(struct drover_device *dev, struct imports *imports);

/* sums up: each BO, and the device */
void totals_add_bo(struct gpu_totals *totals, const struct watched *watched);
int totals_add_device(struct gpu_totals *totals, struct drover_device *dev);

uint64_t picture_checksum(const uint32_t *pixels);

/* ---- Vulkan: vk.c. All return 0 or a negative errno. ---- */

/* how long to wait for a GPU before it is called stuck */
#define PATIENCE_NS 120000000000LL

/** struct vk - a Vulkan device on one of the GPUs */
struct vk {
	VkInstance instance;
	VkPhysicalDevice physical;
	VkDevice device;
	VkQueue queue;
	VkCommandPool pool;
	VkDescriptorPool sets;
	VkPhysicalDeviceMemoryProperties memory;
	PFN_vkGetMemoryFdKHR get_memory_fd;
	PFN_vkGetMemoryFdPropertiesKHR get_memory_fd_properties;
};

/* -ENOMEM for a lack of memory, -EIO for what shouldn't happen */
int vk_error(VkResult result);
/* The loader's environment: before the processes part. */
void vk_set_up_loader(void);
/* complains itself */
int vk_open(struct vk *vk, unsigned int gpu);
void vk_close(struct vk *vk);

/** struct vk_buffer - a storage buffer with its own memory, mapped; fd: an export, for watch() */
struct vk_buffer {
	VkBuffer buffer;
	VkDeviceMemory memory;
	VkDeviceSize size;
	void *ptr;
	int fd;
};

/* in VRAM unless it is for the CPU; -ENOMEM if there is no memory */
int vk_buffer_create(struct vk *vk, VkDeviceSize size, bool for_cpu, struct vk_buffer *buffer);
void vk_buffer_destroy(struct vk *vk, struct vk_buffer *buffer);

/** struct vk_image - a linear image of WIDTH × HEIGHT that another GPU can use */
struct vk_image {
	VkImage image;
	VkImageView view;
	VkDeviceMemory memory;
	VkSubresourceLayout layout;
};

int vk_image_create(struct vk *vk, struct vk_image *image, int *dmabuf);
int vk_image_import(struct vk *vk, int dmabuf, const VkSubresourceLayout *layout,
		    struct vk_image *image);
void vk_image_destroy(struct vk *vk, struct vk_image *image);

/** struct vk_pipeline - a shader with its layout, one descriptor set, and up to 64 bytes of arguments */
struct vk_pipeline {
	VkDescriptorSetLayout set_layout;
	VkPipelineLayout layout;
	VkPipeline pipeline;
};

struct vk_code {
	const uint32_t *words;
	size_t bytes;
};

/* types: of the bindings 0, 1, …; with a vertex shader it draws into a frame, otherwise it computes */
int vk_pipeline_create(struct vk *vk, const VkDescriptorType *types, uint32_t num_types,
		       const struct vk_code *vertex, const struct vk_code *code,
		       struct vk_pipeline *pipeline);
void vk_pipeline_destroy(struct vk *vk, struct vk_pipeline *pipeline);
int vk_set_create(struct vk *vk, const struct vk_pipeline *pipeline, VkDescriptorSet *set);
void vk_set_buffer(struct vk *vk, VkDescriptorSet set, uint32_t binding, VkDescriptorType type,
		   const struct vk_buffer *buffer);
void vk_set_image(struct vk *vk, VkDescriptorSet set, uint32_t binding, VkSampler sampler,
		  const struct vk_image *image);

/** struct vk_commands - a command buffer that is used again and again, and its fence */
struct vk_commands {
	VkCommandBuffer buffer;
	VkFence done;
	bool pending;
};

int vk_commands_create(struct vk *vk, struct vk_commands *commands);
void vk_commands_destroy(struct vk *vk, struct vk_commands *commands);
/* waits until the last submission is done */
int vk_commands_begin(struct vk *vk, struct vk_commands *commands);
int vk_commands_submit(struct vk *vk, struct vk_commands *commands);
int vk_commands_wait(struct vk *vk, struct vk_commands *commands);
/* ownership of a shared image: from or to whoever else uses it; the GPUs' drivers wait for each other by it */
void vk_acquire(struct vk_commands *commands, const struct vk_image *image,
		VkPipelineStageFlags stage, VkAccessFlags access);
void vk_release(struct vk_commands *commands, const struct vk_image *image,
		VkPipelineStageFlags stage, VkAccessFlags access);

/* ---- The two processes ---- */

/* GPU 0's side: gpu0.c; in the process that drives the run. All return 0 or a negative errno. */
struct gpu0;
int gpu0_open(struct run *run, struct gpu0 **out);
/*
 * Renders frame n, does its other work, and exports the frame: *dmabuf is the
 * caller's, or -1 if the frame failed for lack of memory, which isn't an error.
 */
int gpu0_frame(struct gpu0 *gpu, unsigned int n, int *dmabuf, VkSubresourceLayout *layout);
int gpu0_sample(struct gpu0 *gpu, unsigned int sample);
int gpu0_info(struct gpu0 *gpu, struct drm_drover_device_info *info);
/* checks that the assets are what they were, and sums up */
int gpu0_finish(struct gpu0 *gpu);
void gpu0_close(struct gpu0 *gpu);

/* GPU 1's side: gpu1.c; in a process of its own. Answers requests until it is to finish. */
int gpu1_serve(int socket, struct run *run);

/* protocol.c: what the two say to each other; 0 or a negative errno */
enum request {
	/* here is frame n's dma-buf */
	REQUEST_FRAME,
	/* look at your memory */
	REQUEST_SAMPLE,
	/* read the results back, sum up, end */
	REQUEST_FINISH,
};

struct message {
	enum request request;
	uint32_t argument;
	/* of the frame */
	VkSubresourceLayout layout;
	int fd;
};

int send_request(int socket, const struct message *message);
/* -EPIPE: there will be no more */
int receive_request(int socket, struct message *message);
int send_reply(int socket, int result);
/* the reply's result, or what kept it from coming */
int receive_reply(int socket);

/* ---- Results ---- */

/* run.c: one mode, into DIRECTORY/{pinned,evicted,reference}.run */
int demo_run(enum mode mode, const char *directory);

/* report.c: compares the modes; the exit status */
int demo_report(const char *directory);

/* json.c: all numbers; 0 or a negative errno */
int write_json(const char *path, struct run *const runs[NUM_MODES]);

/* what the table and the JSON say of a run, against the reference */
struct summary {
	unsigned int finished;
	unsigned int allocation_failures;
	unsigned int without_echo;
	unsigned int equal;
	uint64_t checksum;
	uint64_t reference;
	struct gpu_totals sum;
};

struct summary summarise(const struct run *run, const struct run *reference);

/* timeline.c: 0 or a negative errno */
int draw_timeline(const struct run *pinned, const struct run *evicted, const char *path);
int draw_picture(const uint32_t *pixels, const char *path);

#endif
