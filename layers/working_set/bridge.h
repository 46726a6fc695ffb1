/* SPDX-License-Identifier: MIT */
/*
 * The kernel's side of implicit sync: what a file descriptor is, and what can be done with
 * sync files beyond libdrover's drover_dmabuf_*() and drover_sync_file_*(). Knows nothing of
 * Vulkan, keeps nothing; all functions are thread-safe and return 0 or a negative errno.
 */
#ifndef LAYER_BRIDGE_H
#define LAYER_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * bridge_identify() - whether @fd is a dma-buf, and which
 * @inode: out: not zero; the same for all file descriptors of one dma-buf, for as long as one is
 *	   open: all dma-bufs are in one file system
 *
 * An opaque file descriptor of Vulkan's may be anything: lavapipe's is a memfd.
 *
 * Return: 0; -ENOTTY: no dma-buf; -EBADF.
 */
int bridge_identify(int fd, uint64_t *inode);

/* bridge_dup() - a second file descriptor, close-on-exec; or a negative errno */
int bridge_dup(int fd);

/* bridge_is_sync_file() - whether @fd is a sync file */
bool bridge_is_sync_file(int fd);

/* bridge_signalled() - whether a sync file's fences have all signalled */
bool bridge_signalled(int sync_file);

/*
 * bridge_signalled_at() - when the last fence of a sync file signalled
 *
 * Return: nanoseconds of CLOCK_MONOTONIC, or 0 if one of them hasn't, or if the kernel doesn't say.
 */
uint64_t bridge_signalled_at(int sync_file);

/*
 * bridge_merge() - add the fences of another sync file to one
 * @sync_file: in: a sync file, or -1 for none; out: one that signals when both have
 * @other: is closed, also on errors
 *
 * On an error @sync_file is as before.
 */
int bridge_merge(int *sync_file, int other);

#endif
