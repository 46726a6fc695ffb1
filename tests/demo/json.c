// SPDX-License-Identifier: MIT
/* All numbers of all runs, as JSON. */
#include <stdio.h>

#include "demo.h"

/* one letter per sample: what the timeline shows */
static void write_row(FILE *file, const struct run *run, unsigned int object, bool last)
{
	static const char letters[] = ".VGPE";

	fputs("        \"", file);
	for (unsigned int i = 0; i < run->num_samples; i++)
		fputc(letters[run->cells[i][object].place], file);
	fputs(last ? "\"\n" : "\",\n", file);
}

static void write_rows(FILE *file, const struct run *run, const char *name, unsigned int first,
		       unsigned int count, bool last)
{
	fprintf(file, "      \"%s\": [\n", name);
	for (unsigned int i = 0; i < count; i++)
		write_row(file, run, first + i, i + 1 == count);
	fprintf(file, "      ]%s\n", last ? "" : ",");
}

static void write_gpu(FILE *file, const char *name, const struct gpu_totals *gpu)
{
	fprintf(file,
		"    \"%s\": { \"vram_size\": %llu, \"gtt_size\": %llu, \"needed\": %llu, "
		"\"evictions\": %llu, \"remaps\": %llu, \"imports_invalidated\": %llu, "
		"\"bytes_moved\": %llu, \"pinned_bytes_max\": %llu, \"damaged_words\": %llu },\n",
		name, (unsigned long long)gpu->vram_size, (unsigned long long)gpu->gtt_size,
		(unsigned long long)gpu->needed, (unsigned long long)gpu->evictions,
		(unsigned long long)gpu->remaps, (unsigned long long)gpu->invalidations,
		(unsigned long long)gpu->bytes_moved, (unsigned long long)gpu->pinned_max,
		(unsigned long long)gpu->damaged);
}

static void write_mode(FILE *file, const char *name, const struct run *run,
		       const struct summary *summary)
{
	fprintf(file,
		"  \"%s\": {\n"
		"    \"frames\": %d,\n"
		"    \"frames_finished\": %u,\n"
		"    \"allocation_failures\": %u,\n"
		"    \"frames_without_older_frame\": %u,\n"
		"    \"pinned_bytes_max\": %llu,\n"
		"    \"evictions\": %llu,\n"
		"    \"remaps\": %llu,\n"
		"    \"bytes_moved\": %llu,\n"
		"    \"frames_equal_to_reference\": %u,\n"
		"    \"checksum\": \"%016llx\",\n"
		"    \"reference\": \"%016llx\",\n"
		"    \"seconds\": %.3f,\n",
		name, NUM_FRAMES, summary->finished, summary->allocation_failures,
		summary->without_echo, (unsigned long long)summary->sum.pinned_max,
		(unsigned long long)summary->sum.evictions, (unsigned long long)summary->sum.remaps,
		(unsigned long long)summary->sum.bytes_moved, summary->equal,
		(unsigned long long)summary->checksum, (unsigned long long)summary->reference,
		run->seconds);
	write_gpu(file, "gpu0", &run->gpu[0]);
	write_gpu(file, "gpu1", &run->gpu[1]);
	fputs("    \"timeline\": {\n"
	      "      \"letters\": \". not there, V VRAM, G GTT, P pinned in GTT, E evicted\",\n",
	      file);
	fprintf(file, "      \"samples_per_frame\": %d,\n", SAMPLES_PER_FRAME);
	write_rows(file, run, "frames", OBJECT_FRAME(0), NUM_FRAMES, false);
	write_rows(file, run, "other_buffers", OBJECT_ASSET(0), NUM_ASSETS, false);
	write_rows(file, run, "results", OBJECT_RESULT(0), NUM_FRAMES, true);
	fputs("    }\n  }", file);
}

int write_json(const char *path, struct run *const runs[NUM_MODES])
{
	FILE *file = fopen(path, "w");
	bool ok;

	if (!file) {
		complain(-errno, "%s can't be written", path);
		return -EIO;
	}
	fputs("{\n", file);
	for (enum mode mode = 0; mode < NUM_MODES; mode++) {
		const struct summary summary = summarise(runs[mode], runs[MODE_REFERENCE]);

		write_mode(file, mode_name(mode), runs[mode], &summary);
		fputs(mode + 1 < NUM_MODES ? ",\n" : "\n}\n", file);
	}
	ok = !ferror(file);
	ok &= fclose(file) == 0;
	if (!ok)
		complain(0, "%s can't be written", path);
	return ok ? 0 : -EIO;
}
