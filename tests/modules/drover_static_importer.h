/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What tests ask the static-importer module for. One attachment per open file
 * of /dev/drover-static-importer.
 */
#ifndef DROVER_STATIC_IMPORTER_H
#define DROVER_STATIC_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define STATIC_IMPORTER_PATH	"/dev/drover-static-importer"

/* Attach to the dma-buf with that file descriptor, as a driver without any idea of moving. */
#define STATIC_IMPORTER_ATTACH	 _IOW('S', 0, __s32)
/* Map, unmap, detach. */
#define STATIC_IMPORTER_MAP	 _IO('S', 1)
#define STATIC_IMPORTER_UNMAP	 _IO('S', 2)
#define STATIC_IMPORTER_DETACH	 _IO('S', 3)
/* Sum of all u32 in the memory that the DMA addresses lead to; while mapped only. */
#define STATIC_IMPORTER_CHECKSUM _IOR('S', 4, __u64)

#endif
