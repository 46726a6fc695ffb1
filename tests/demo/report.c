// SPDX-License-Identifier: MIT
/* Compares the two runs: the table, the JSON, the pictures, and whether they show what they should. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"

/* what the table's lines are made of */
struct summary {
	unsigned int finished;
	unsigned int allocation_failures;
	unsigned int without_echo;
	unsigned int equal;
	uint64_t checksum;
	uint64_t reference;
	struct gpu_totals sum;
};

static struct run *load(const char *directory, const char *name, bool pinned_mode)
{
	struct run *run = malloc(sizeof(*run));
	char path[4096];
	FILE *file;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s.run", directory, name);
	file = run ? fopen(path, "rb") : NULL;
	ok = file && fread(run, sizeof(*run), 1, file) == 1 && run->magic == RUN_MAGIC &&
	     run->pinned_mode == pinned_mode && run->num_samples <= NUM_SAMPLES;
	if (file)
		fclose(file);
	if (ok)
		return run;
	complain(0, "%s isn't a run of this program; make it with --mode %s", path, name);
	free(run);
	return NULL;
}

static void add_totals(struct gpu_totals *sum, const struct gpu_totals *gpu)
{
	sum->needed += gpu->needed;
	sum->evictions += gpu->evictions;
	sum->remaps += gpu->remaps;
	sum->invalidations += gpu->invalidations;
	sum->bytes_moved += gpu->bytes_moved;
	sum->pinned_max += gpu->pinned_max;
	sum->failed_checks += gpu->failed_checks;
}

static struct summary summarise(const struct run *run)
{
	struct summary summary = {0};

	for (unsigned int n = 0; n < NUM_FRAMES; n++) {
		const struct frame *frame = &run->frames[n];

		summary.allocation_failures += is_allocation_failure(frame->error);
		summary.without_echo += frame->stage == STAGE_ECHO;
		if (frame->stage != STAGE_DONE)
			continue;
		summary.finished++;
		summary.equal += frame->checksum == frame->reference;
		summary.checksum = summary.checksum * 31 + frame->checksum;
		summary.reference = summary.reference * 31 + frame->reference;
	}
	add_totals(&summary.sum, &run->gpu[0]);
	add_totals(&summary.sum, &run->gpu[1]);
	return summary;
}

/* ---- The table ---- */

static void line(const char *label, const char *left, const char *right)
{
	printf("  %-38s %20s   %20s\n", label, left, right);
}

static void line_numbers(const char *label, uint64_t left, uint64_t right)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "%llu", (unsigned long long)left);
	snprintf(b, sizeof(b), "%llu", (unsigned long long)right);
	line(label, a, b);
}

static void line_bytes(const char *label, uint64_t left, uint64_t right)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "%.1f MiB", (double)left / MIB);
	snprintf(b, sizeof(b), "%.1f MiB", (double)right / MIB);
	line(label, a, b);
}

static void line_finished(unsigned int left, unsigned int right)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "%u of %d", left, NUM_FRAMES);
	snprintf(b, sizeof(b), "%u of %d", right, NUM_FRAMES);
	line("frames finished", a, b);
}

static void format_equal(char *buffer, size_t size, const struct summary *summary)
{
	snprintf(buffer, size, "%u of %u %s", summary->equal, summary->finished,
		 summary->equal == summary->finished ? "ok" : "MISMATCH");
}

static void line_equal(const struct summary *left, const struct summary *right)
{
	char a[32], b[32];

	format_equal(a, sizeof(a), left);
	format_equal(b, sizeof(b), right);
	line("frames equal to the CPU's", a, b);
}

static void line_checksums(const char *label, uint64_t left, uint64_t right)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "%016llx", (unsigned long long)left);
	snprintf(b, sizeof(b), "%016llx", (unsigned long long)right);
	line(label, a, b);
}

static void print_table(const struct run *pinned, const struct summary *p,
			const struct run *evicted, const struct summary *e)
{
	char a[32], b[32];

	printf("\nTwo virtual GPUs with %.0f MiB of VRAM each; GPU 0 needs %.0f MiB, that is %.1f "
	       "times its VRAM.\n\n",
	       (double)evicted->gpu[0].vram_size / MIB, (double)evicted->gpu[0].needed / MIB,
	       (double)evicted->gpu[0].needed / (double)evicted->gpu[0].vram_size);
	line("", "pinned", "evicted and remapped");
	line("", "--------------------", "--------------------");
	line_finished(p->finished, e->finished);
	line_numbers("allocation failures", p->allocation_failures, e->allocation_failures);
	line_bytes("pinned at most", p->sum.pinned_max, e->sum.pinned_max);
	line_numbers("evictions, GPU 0", pinned->gpu[0].evictions, evicted->gpu[0].evictions);
	line_numbers("evictions, GPU 1", pinned->gpu[1].evictions, evicted->gpu[1].evictions);
	line_numbers("imports invalidated", p->sum.invalidations, e->sum.invalidations);
	line_numbers("remaps, GPU 0", pinned->gpu[0].remaps, evicted->gpu[0].remaps);
	line_numbers("remaps, GPU 1", pinned->gpu[1].remaps, evicted->gpu[1].remaps);
	line_bytes("moved", p->sum.bytes_moved, e->sum.bytes_moved);
	line_equal(p, e);
	line_checksums("checksum of all finished frames", p->checksum, e->checksum);
	line_checksums("checksum of the CPU's reference", p->reference, e->reference);
	line_numbers("GPU 0's other buffers damaged", p->sum.failed_checks, e->sum.failed_checks);
	snprintf(a, sizeof(a), "%.1f s", pinned->seconds);
	snprintf(b, sizeof(b), "%.1f s", evicted->seconds);
	line("time", a, b);
	putchar('\n');
}

/* ---- The JSON ---- */

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
		"\"bytes_moved\": %llu, \"pinned_bytes_max\": %llu, \"failed_checks\": %llu },\n",
		name, (unsigned long long)gpu->vram_size, (unsigned long long)gpu->gtt_size,
		(unsigned long long)gpu->needed, (unsigned long long)gpu->evictions,
		(unsigned long long)gpu->remaps, (unsigned long long)gpu->invalidations,
		(unsigned long long)gpu->bytes_moved, (unsigned long long)gpu->pinned_max,
		(unsigned long long)gpu->failed_checks);
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

static int write_json(const char *path, const struct run *pinned, const struct summary *p,
		      const struct run *evicted, const struct summary *e)
{
	FILE *file = fopen(path, "w");
	bool ok;

	if (!file) {
		complain(-errno, "%s can't be written", path);
		return -EIO;
	}
	fputs("{\n", file);
	write_mode(file, "pinned", pinned, p);
	fputs(",\n", file);
	write_mode(file, "evicted", evicted, e);
	fputs("\n}\n", file);
	ok = !ferror(file);
	ok &= fclose(file) == 0;
	if (!ok)
		complain(0, "%s can't be written", path);
	return ok ? 0 : -EIO;
}

/* ---- Whether it shows what it should ---- */

static unsigned int objections;

static void expect(bool right, const char *objection)
{
	if (right)
		return;
	objections++;
	printf("NOT SHOWN: %s\n", objection);
}

static bool contents_right(const struct summary *summary)
{
	return summary->equal == summary->finished && summary->checksum == summary->reference &&
	       !summary->sum.failed_checks;
}

static unsigned int judge(const struct run *evicted, const struct summary *p,
			  const struct summary *e)
{
	const struct gpu_totals *gpu0 = &evicted->gpu[0];

	expect(gpu0->needed >= 3 * gpu0->vram_size,
	       "GPU 0 didn't need three times its VRAM; load the module with vram_mib=64");
	expect(contents_right(e), "evicted: contents differ from the CPU's reference");
	expect(contents_right(p), "pinned: contents differ from the CPU's reference");
	expect(e->finished == NUM_FRAMES, "evicted: not all frames were finished");
	expect(!e->allocation_failures, "evicted: there were allocation failures");
	expect(!e->sum.pinned_max, "evicted: something was pinned");
	expect(gpu0->evictions, "evicted: GPU 0 evicted nothing, so there was no pressure");
	expect(e->sum.invalidations, "evicted: no import was ever invalidated");
	expect(evicted->gpu[1].remaps, "evicted: GPU 1 remapped nothing");
	expect(p->finished, "pinned: not one frame was finished");
	expect(p->sum.pinned_max, "pinned: nothing was pinned");
	expect(p->allocation_failures,
	       "pinned: no allocation failed, so the comparison means nothing; "
	       "load the module with gtt_mib=64");
	return objections;
}

static int write_files(const char *directory, const struct run *pinned, const struct summary *p,
		       const struct run *evicted, const struct summary *e)
{
	char timeline[4096], picture[4096], json[4096];
	int ret;

	snprintf(timeline, sizeof(timeline), "%s/timeline.png", directory);
	snprintf(picture, sizeof(picture), "%s/last-frame.png", directory);
	snprintf(json, sizeof(json), "%s/result.json", directory);
	ret = draw_timeline(pinned, evicted, timeline);
	if (!ret)
		ret = draw_picture(evicted->last_picture, picture);
	if (!ret)
		ret = write_json(json, pinned, p, evicted, e);
	if (!ret)
		printf("where every buffer was:  %s\nthe last frame:          %s\n"
		       "all numbers:             %s\n",
		       timeline, picture, json);
	return ret;
}

int demo_report(const char *directory)
{
	struct run *pinned = load(directory, "pinned", true);
	struct run *evicted = load(directory, "evicted", false);
	struct summary p, e;
	int status = 1;

	if (pinned && evicted) {
		p = summarise(pinned);
		e = summarise(evicted);
		print_table(pinned, &p, evicted, &e);
		status = write_files(directory, pinned, &p, evicted, &e) ? 1 : 0;
		if (judge(evicted, &p, &e))
			status = 1;
	}
	free(evicted);
	free(pinned);
	return status;
}
