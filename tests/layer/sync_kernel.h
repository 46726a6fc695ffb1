/* SPDX-License-Identifier: MIT */
/*
 * dma-bufs and sync files without a kernel that has any: the program's own ioctl() and fstatfs(), which
 * the layer and libdrover then call. Fences are in the test's hand.
 *
 * A dma-buf is a memfd, a sync file the reading end of a pipe that becomes readable.
 */
#ifndef SYNC_KERNEL_H
#define SYNC_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

/* Accesses are drover's: 1 reads, 2 writes. */
#define READS  1u
#define WRITES 2u

/* kernel_say - told of each fence that is added to a dma-buf, as "A+write" */
extern void (*kernel_say)(const char *line);

/* The kernel knows no sync files for dma-bufs, as before Linux 6.0. */
extern bool kernel_is_old;
/* It has no descriptor for a dma-buf's fences. */
extern bool kernel_lacks_descriptors;

/* dmabuf_new() - a dma-buf; @name is one letter. The descriptor is the caller's. */
int dmabuf_new(char name);
/* dmabuf_fds() - how many descriptors of it this process has */
unsigned int dmabuf_fds(char name);
/* dmabuf_forget() - forget all dma-bufs */
void dmabufs_forget(void);

/* fence_new() - a sync file of a new fence; the descriptor is the caller's */
int fence_new(void);
/* fence_signal() - by any descriptor of a sync file */
void fence_signal(int sync_file);
/* fence_add() - add a fence to a dma-buf, as others' work */
void fence_add(char dmabuf, uint32_t access, int sync_file);
/* fence_of() - a new sync file of what an access has to wait for */
int fence_of(char dmabuf, uint32_t access);
bool fence_signalled(int sync_file);

#endif
