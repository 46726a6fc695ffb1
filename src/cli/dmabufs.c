// SPDX-License-Identifier: MIT
/*
 * Who exports dma-bufs and who imports them, of all drivers, as /sys/kernel/debug/dma_buf/bufinfo tells. It doesn't
 * tell whether an attachment is mapped or dynamic.
 */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFINFO "/sys/kernel/debug/dma_buf/bufinfo"

/* A buffer's line: size, flags, mode, count, exporter, inode and name, between tabs. */
static bool parse_buffer(const char *line, uint64_t *size, char exporter[64])
{
	unsigned long long bytes;

	if (!isdigit((unsigned char)*line) ||
	    sscanf(line, "%llu %*x %*x %*u %63s", &bytes, exporter) != 2)
		return false;
	*size = bytes;
	return true;
}

static void count_use(struct dmabuf_use **uses, size_t *count, const char *name, uint64_t bytes)
{
	struct dmabuf_use *use;
	size_t i;

	for (i = 0; i < *count; i++)
		if (!strcmp((*uses)[i].name, name))
			break;
	if (i == *count) {
		*uses = grow(*uses, *count, sizeof(**uses));
		snprintf((*uses)[(*count)++].name, sizeof((*uses)->name), "%s", name);
	}
	use = &(*uses)[i];
	use->buffers++;
	use->bytes += bytes;
}

/* The attached devices follow their heading, one per line, after a tab each. */
static void parse(struct dmabufs *dmabufs, char *rest)
{
	char *line, exporter[64];
	bool devices = false, first = false;
	uint64_t size = 0;

	while ((line = next_line(&rest))) {
		if (parse_buffer(line, &size, exporter)) {
			dmabufs->buffers++;
			dmabufs->bytes += size;
			count_use(&dmabufs->exporters, &dmabufs->num_exporters, exporter, size);
			devices = false;
		} else if (strstr(line, "Attached Devices:")) {
			devices = first = true;
		} else if (devices && line[0] == '\t' && line[1]) {
			count_use(&dmabufs->importers, &dmabufs->num_importers, line + 1, size);
			dmabufs->attached += first;
			first = false;
		} else {
			devices = false;
		}
	}
}

/* Devices are named without their bus. */
static void find_driver(struct dmabuf_use *importer)
{
	static const char *const buses[] = {"platform", "pci", "faux", "usb", "virtio"};

	for (size_t i = 0; i < ARRAY_SIZE(buses); i++) {
		char *path = text("/sys/bus/%s/devices/%s/driver", buses[i], importer->name);
		char *driver = link_target(path);

		free(path);
		if (!driver)
			continue;
		snprintf(importer->driver, sizeof(importer->driver), "%s", driver);
		free(driver);
		return;
	}
}

struct dmabufs dmabufs_read(void)
{
	struct dmabufs dmabufs = {0};
	char *content = read_text(BUFINFO);

	if (!content) {
		dmabufs.error = errno ? errno : EIO;
		return dmabufs;
	}
	parse(&dmabufs, content);
	for (size_t i = 0; i < dmabufs.num_importers; i++)
		find_driver(&dmabufs.importers[i]);
	free(content);
	return dmabufs;
}

void dmabufs_free(struct dmabufs *dmabufs)
{
	free(dmabufs->exporters);
	free(dmabufs->importers);
}
