// SPDX-License-Identifier: MIT
/* Compares the two runs: the table, the JSON, the pictures, and whether they show what they should. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"

static struct run *load(const char *directory, enum mode mode)
{
	struct run *run = malloc(sizeof(*run));
	char path[4096];
	FILE *file;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s.run", directory, mode_name(mode));
	file = run ? fopen(path, "rb") : NULL;
	ok = file && fread(run, sizeof(*run), 1, file) == 1 && run->magic == RUN_MAGIC &&
	     run->mode == mode && run->num_samples <= NUM_SAMPLES;
	if (file)
		fclose(file);
	if (ok)
		return run;
	complain(0, "%s isn't a run of this program; make it with --mode %s", path,
		 mode_name(mode));
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
	sum->damaged += gpu->damaged;
}

struct summary summarise(const struct run *run, const struct run *reference)
{
	struct summary summary = {0};

	for (unsigned int n = 0; n < NUM_FRAMES; n++) {
		const struct frame *frame = &run->frames[n];

		summary.allocation_failures += is_allocation_failure(frame->error);
		summary.without_echo += frame->stage == STAGE_ECHO;
		if (frame->stage != STAGE_DONE)
			continue;
		summary.finished++;
		summary.equal += frame->checksum == reference->frames[n].checksum;
		summary.checksum = summary.checksum * 31 + frame->checksum;
		summary.reference = summary.reference * 31 + reference->frames[n].checksum;
	}
	add_totals(&summary.sum, &run->gpu[0]);
	add_totals(&summary.sum, &run->gpu[1]);
	return summary;
}

/* ---- The table ---- */

static void line(const char *label, const char *left, const char *right)
{
	printf("  %-40s %20s   %20s\n", label, left, right);
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
	line("frames equal to the reference", a, b);
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

	printf("\nTwo Vulkan applications on two virtual GPUs with %.0f MiB of VRAM each; GPU 0 needs %.0f MiB, that is %.1f "
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
	line_checksums("checksum of the reference", p->reference, e->reference);
	line_numbers("damaged words in GPU 0's other buffers", p->sum.damaged, e->sum.damaged);
	snprintf(a, sizeof(a), "%.1f s", pinned->seconds);
	snprintf(b, sizeof(b), "%.1f s", evicted->seconds);
	line("time", a, b);
	putchar('\n');
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
	       !summary->sum.damaged;
}

static void judge_reference(const struct run *reference, const struct summary *r)
{
	expect(r->finished == NUM_FRAMES, "reference: not all frames were finished");
	expect(!r->sum.evictions && !r->sum.damaged,
	       "reference: something was evicted or damaged; load the module with vram_mib=512");
	expect(reference->frames[0].checksum != reference->frames[NUM_FRAMES - 1].checksum,
	       "reference: the first frame and the last are the same");
}

static unsigned int judge(const struct run *evicted, const struct summary *p,
			  const struct summary *e)
{
	const struct gpu_totals *gpu0 = &evicted->gpu[0];

	expect(gpu0->needed >= 3 * gpu0->vram_size,
	       "GPU 0 didn't need three times its VRAM; load the module with vram_mib=32");
	expect(contents_right(e), "evicted: contents differ from the reference");
	expect(contents_right(p), "pinned: contents differ from the reference");
	expect(e->finished == NUM_FRAMES, "evicted: not all frames were finished");
	expect(!e->allocation_failures, "evicted: there were allocation failures");
	expect(!e->sum.pinned_max, "evicted: something was pinned");
	expect(gpu0->evictions, "evicted: GPU 0 evicted nothing, so there was no pressure");
	expect(evicted->gpu[1].invalidations, "evicted: no import was ever invalidated");
	expect(evicted->gpu[1].remaps, "evicted: GPU 1 remapped nothing");
	expect(p->finished, "pinned: not one frame was finished");
	expect(p->sum.pinned_max, "pinned: nothing was pinned");
	expect(p->allocation_failures,
	       "pinned: no allocation failed, so the comparison means nothing; "
	       "load the module with gtt_mib=96");
	return objections;
}

static int write_files(const char *directory, struct run *const runs[NUM_MODES])
{
	char timeline[4096], picture[4096], json[4096];
	int ret;

	snprintf(timeline, sizeof(timeline), "%s/timeline.png", directory);
	snprintf(picture, sizeof(picture), "%s/last-frame.png", directory);
	snprintf(json, sizeof(json), "%s/result.json", directory);
	ret = draw_timeline(runs[MODE_PINNED], runs[MODE_EVICTED], timeline);
	if (!ret)
		ret = draw_picture(runs[MODE_EVICTED]->last_picture, picture);
	if (!ret)
		ret = write_json(json, runs);
	if (!ret)
		printf("where every buffer was:  %s\nthe last frame:          %s\n"
		       "all numbers:             %s\n",
		       timeline, picture, json);
	return ret;
}

static int report(const char *directory, struct run *const runs[NUM_MODES])
{
	const struct run *reference = runs[MODE_REFERENCE];
	const struct summary p = summarise(runs[MODE_PINNED], reference);
	const struct summary e = summarise(runs[MODE_EVICTED], reference);
	const struct summary r = summarise(reference, reference);
	int status;

	print_table(runs[MODE_PINNED], &p, runs[MODE_EVICTED], &e);
	status = write_files(directory, runs) ? 1 : 0;
	judge_reference(reference, &r);
	return judge(runs[MODE_EVICTED], &p, &e) ? 1 : status;
}

int demo_report(const char *directory)
{
	struct run *runs[NUM_MODES];
	bool complete = true;
	int status = 1;

	for (enum mode mode = 0; mode < NUM_MODES; mode++) {
		runs[mode] = load(directory, mode);
		complete &= !!runs[mode];
	}
	if (complete)
		status = report(directory, runs);
	for (enum mode mode = 0; mode < NUM_MODES; mode++)
		free(runs[mode]);
	return status;
}
