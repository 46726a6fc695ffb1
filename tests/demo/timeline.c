// SPDX-License-Identifier: MIT
/*
 * The picture of where every BO was: a row per BO, a column per sample, one panel
 * per mode, and under each panel the sum over GPU 0's BOs.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cairo.h>

#include "demo.h"

#define CELL_WIDTH     12
#define FRAME_ROW      6
#define ASSET_ROW      9
#define BAND_GAP       10
/* GPU 1's imports: one square for each that was taken away, above the line, or came back, below it */
#define SQUARE         7
#define MAX_SQUARES    4
#define IMPORTS_HEIGHT (2 * MAX_SQUARES * SQUARE)
#define LEFT           190
#define RIGHT          76
#define TOP            118
#define PANEL_TITLE    34
#define SUM_HEIGHT     120
#define AXIS_HEIGHT    48
#define PANEL_GAP      26
#define FONT           "DejaVu Sans"

#define PLOT_WIDTH     (NUM_SAMPLES * CELL_WIDTH)
#define ROWS_HEIGHT \
	(2 * NUM_FRAMES * FRAME_ROW + NUM_ASSETS * ASSET_ROW + IMPORTS_HEIGHT + 3 * BAND_GAP)
#define PANEL_HEIGHT (PANEL_TITLE + ROWS_HEIGHT + BAND_GAP + SUM_HEIGHT + AXIS_HEIGHT)
#define IMAGE_WIDTH  (LEFT + PLOT_WIDTH + RIGHT)
#define IMAGE_HEIGHT (TOP + 2 * PANEL_HEIGHT + PANEL_GAP)

struct colour {
	double r, g, b;
};

#define RGB(hex) {((hex) >> 16 & 255) / 255.0, ((hex) >> 8 & 255) / 255.0, ((hex) & 255) / 255.0}

/* distinct for colour-blind eyes, too, and in grey */
static const struct colour vram0 = RGB(0x2f6fd6), vram1 = RGB(0x1fa187), gtt = RGB(0xf2b134);
static const struct colour pinned = RGB(0xb3202c), evicted = RGB(0xd5d8de), empty = RGB(0xfafafa);
static const struct colour ink = RGB(0x22262e), faint = RGB(0x9aa0ab), white = RGB(0xffffff);

static void set_colour(cairo_t *cr, struct colour colour)
{
	cairo_set_source_rgb(cr, colour.r, colour.g, colour.b);
}

static void fill_rect(cairo_t *cr, struct colour colour, double x, double y, double width,
		      double height)
{
	set_colour(cr, colour);
	cairo_rectangle(cr, x, y, width, height);
	cairo_fill(cr);
}

static double text_width(cairo_t *cr, const char *text)
{
	cairo_text_extents_t extents;

	cairo_text_extents(cr, text, &extents);
	return extents.x_advance;
}

/* align: 0 left of x … 1 right of x */
static void text(cairo_t *cr, double x, double y, double align, double size, bool bold,
		 struct colour colour, const char *string)
{
	cairo_select_font_face(cr, FONT, CAIRO_FONT_SLANT_NORMAL,
			       bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
	cairo_set_font_size(cr, size);
	set_colour(cr, colour);
	cairo_move_to(cr, x - align * text_width(cr, string), y);
	cairo_show_text(cr, string);
}

static struct colour place_colour(uint8_t place, struct colour vram)
{
	switch (place) {
	case PLACE_VRAM:
		return vram;
	case PLACE_GTT:
		return gtt;
	case PLACE_PINNED:
		return pinned;
	case PLACE_EVICTED:
		return evicted;
	default:
		return empty;
	}
}

/* ---- The rows ---- */

static void draw_marks(cairo_t *cr, const struct cell *cell, double x, double y, double height)
{
	unsigned int marks = cell->marks;

	if (marks & MARK_EVICTED)
		fill_rect(cr, ink, x, y, 2, height);
	if (marks & MARK_REMAPPED) {
		fill_rect(cr, ink, x + 3, y, 4, height);
		fill_rect(cr, white, x + 4, y, 2, height);
	}
}

static void draw_row(cairo_t *cr, const struct run *run, unsigned int object, struct colour vram,
		     double y, double height)
{
	for (unsigned int i = 0; i < run->num_samples; i++) {
		const struct cell *cell = &run->cells[i][object];
		double x = LEFT + (double)i * CELL_WIDTH;

		if (cell->place == PLACE_NONE)
			continue;
		fill_rect(cr, place_colour(cell->place, vram), x, y, CELL_WIDTH, height);
		draw_marks(cr, cell, x, y, height);
	}
}

/* a frame that couldn't be made, or given to GPU 1 */
static void draw_failure(cairo_t *cr, double x, double y)
{
	set_colour(cr, pinned);
	cairo_set_line_width(cr, 1.6);
	cairo_move_to(cr, x - 3.5, y - 1.5);
	cairo_line_to(cr, x + 3.5, y + FRAME_ROW + 1.5);
	cairo_move_to(cr, x + 3.5, y - 1.5);
	cairo_line_to(cr, x - 3.5, y + FRAME_ROW + 1.5);
	cairo_stroke(cr);
}

static void draw_band_label(cairo_t *cr, double y, double height, const char *line1,
			    const char *line2, const char *line3)
{
	double middle = y + height / 2;

	text(cr, LEFT - 14, middle - 7, 1, 13, true, ink, line1);
	text(cr, LEFT - 14, middle + 9, 1, 11, false, ink, line2);
	text(cr, LEFT - 14, middle + 24, 1, 11, false, ink, line3);
	set_colour(cr, faint);
	cairo_set_line_width(cr, 1);
	cairo_rectangle(cr, LEFT - 0.5, y - 0.5, PLOT_WIDTH + 1, height + 1);
	cairo_stroke(cr);
}

static double draw_frames_band(cairo_t *cr, const struct run *run, double y)
{
	double height = NUM_FRAMES * FRAME_ROW;

	fill_rect(cr, empty, LEFT, y, PLOT_WIDTH, height);
	for (unsigned int n = 0; n < NUM_FRAMES; n++)
		draw_row(cr, run, OBJECT_FRAME(n), vram0, y + n * FRAME_ROW, FRAME_ROW);
	for (unsigned int n = 0; n < NUM_FRAMES; n++)
		if (is_allocation_failure(run->frames[n].error))
			draw_failure(cr, LEFT + (n + 0.5) * SAMPLES_PER_FRAME * CELL_WIDTH,
				     y + n * FRAME_ROW);
	draw_band_label(cr, y, height, "frames", "exported by GPU 0,", "imported by GPU 1");
	return y + height + BAND_GAP;
}

static double draw_assets_band(cairo_t *cr, const struct run *run, double y)
{
	double height = NUM_ASSETS * ASSET_ROW;

	fill_rect(cr, empty, LEFT, y, PLOT_WIDTH, height);
	for (unsigned int i = 0; i < NUM_ASSETS; i++)
		draw_row(cr, run, OBJECT_ASSET(i), vram0, y + i * ASSET_ROW + 0.5, ASSET_ROW - 1);
	draw_band_label(cr, y, height, "other work", "of GPU 0, in turns", "3 MiB each");
	return y + height + BAND_GAP;
}

static void draw_squares(cairo_t *cr, double x, double y, uint64_t count, double step, bool filled)
{
	for (uint64_t i = 0; i < count && i < MAX_SQUARES; i++) {
		double top = y + (double)i * step - (step < 0 ? SQUARE : 0);

		fill_rect(cr, ink, x + 2, top + 1, SQUARE - 2, SQUARE - 2);
		if (!filled)
			fill_rect(cr, white, x + 3, top + 2, SQUARE - 4, SQUARE - 4);
	}
}

static double draw_imports_band(cairo_t *cr, const struct run *run, double y)
{
	double middle = y + IMPORTS_HEIGHT / 2.0;
	struct imports before = {0};

	fill_rect(cr, empty, LEFT, y, PLOT_WIDTH, IMPORTS_HEIGHT);
	for (unsigned int i = 0; i < run->num_samples; i++) {
		const struct imports *now = &run->imports[i];
		double x = LEFT + (double)i * CELL_WIDTH;

		draw_squares(cr, x, middle, now->invalidations - before.invalidations, -SQUARE,
			     true);
		draw_squares(cr, x, middle, now->remaps - before.remaps, SQUARE, false);
		before = *now;
	}
	fill_rect(cr, faint, LEFT, middle, PLOT_WIDTH, 1);
	draw_band_label(cr, y, IMPORTS_HEIGHT, "imports of GPU 1", "taken away (full),",
			"and mapped again");
	return y + IMPORTS_HEIGHT + BAND_GAP;
}

static double draw_results_band(cairo_t *cr, const struct run *run, double y)
{
	double height = NUM_FRAMES * FRAME_ROW;

	fill_rect(cr, empty, LEFT, y, PLOT_WIDTH, height);
	for (unsigned int n = 0; n < NUM_FRAMES; n++)
		draw_row(cr, run, OBJECT_RESULT(n), vram1, y + n * FRAME_ROW, FRAME_ROW);
	draw_band_label(cr, y, height, "results", "of GPU 1, read back", "and checked at the end");
	return y + height + BAND_GAP;
}

/* ---- The sum over GPU 0's BOs ---- */

static double bytes_in(const struct run *run, unsigned int sample, enum place place)
{
	double bytes = 0;

	for (unsigned int n = 0; n < NUM_FRAMES; n++)
		if (run->cells[sample][OBJECT_FRAME(n)].place == place)
			bytes += FRAME_BYTES;
	for (unsigned int i = 0; i < NUM_ASSETS; i++)
		if (run->cells[sample][OBJECT_ASSET(i)].place == place)
			bytes += ASSET_BYTES;
	return bytes;
}

static void draw_sum_grid(cairo_t *cr, const struct run *run, double y, double scale)
{
	static const double dashes[] = {3, 3};

	cairo_set_line_width(cr, 1);
	for (int i = 1; i <= 3; i++) {
		double line = y + SUM_HEIGHT - i * (double)run->gpu[0].vram_size * scale;
		char label[64];

		set_colour(cr, ink);
		cairo_set_dash(cr, dashes, 2, 0);
		cairo_move_to(cr, LEFT, floor(line) + 0.5);
		cairo_line_to(cr, LEFT + PLOT_WIDTH, floor(line) + 0.5);
		cairo_stroke(cr);
		cairo_set_dash(cr, NULL, 0, 0);
		snprintf(label, sizeof(label), "%d × VRAM", i);
		text(cr, LEFT + PLOT_WIDTH + 8, line + 4, 0, 11, false, ink, label);
	}
}

static double draw_sum(cairo_t *cr, const struct run *run, double y)
{
	static const enum place order[] = {PLACE_VRAM, PLACE_PINNED, PLACE_GTT, PLACE_EVICTED};
	double scale = SUM_HEIGHT / (4.0 * (double)run->gpu[0].vram_size);

	fill_rect(cr, empty, LEFT, y, PLOT_WIDTH, SUM_HEIGHT);
	for (unsigned int i = 0; i < run->num_samples; i++) {
		double top = y + SUM_HEIGHT;

		for (size_t j = 0; j < sizeof(order) / sizeof(order[0]); j++) {
			double height = bytes_in(run, i, order[j]) * scale;

			top -= height;
			fill_rect(cr, place_colour(order[j], vram0), LEFT + (double)i * CELL_WIDTH,
				  top, CELL_WIDTH, height);
		}
	}
	draw_sum_grid(cr, run, y, scale);
	draw_band_label(cr, y, SUM_HEIGHT, "sum", "of GPU 0's buffers,", "against its VRAM");
	return y + SUM_HEIGHT;
}

/* ---- A panel ---- */

static void draw_axis(cairo_t *cr, double y)
{
	char label[16];

	set_colour(cr, ink);
	cairo_set_line_width(cr, 1);
	for (unsigned int n = 0; n <= NUM_FRAMES; n += 4) {
		double x = LEFT + (double)n * SAMPLES_PER_FRAME * CELL_WIDTH;

		set_colour(cr, ink);
		cairo_move_to(cr, x + 0.5, y);
		cairo_line_to(cr, x + 0.5, y + 5);
		cairo_stroke(cr);
		snprintf(label, sizeof(label), "%u", n);
		text(cr, x, y + 18, 0.5, 11, false, ink, label);
	}
	text(cr, LEFT + PLOT_WIDTH / 2.0, y + 36, 0.5, 12, false, ink,
	     "time, in frames: GPU 0 renders one, GPU 1 filters it together with older ones");
}

static void draw_panel(cairo_t *cr, const struct run *run, double y, const char *title,
		       const char *summary)
{
	text(cr, LEFT, y + 20, 0, 17, true, run->mode == MODE_PINNED ? pinned : ink, title);
	text(cr, LEFT + PLOT_WIDTH, y + 20, 1, 13, false, ink, summary);
	y += PANEL_TITLE;
	y = draw_frames_band(cr, run, y);
	y = draw_assets_band(cr, run, y);
	y = draw_imports_band(cr, run, y);
	y = draw_results_band(cr, run, y);
	y = draw_sum(cr, run, y);
	draw_axis(cr, y + 4);
}

static void describe(const struct run *run, char *buffer, size_t size)
{
	unsigned int done = 0, failed = 0;

	for (unsigned int n = 0; n < NUM_FRAMES; n++) {
		done += run->frames[n].stage == STAGE_DONE;
		failed += is_allocation_failure(run->frames[n].error);
	}
	snprintf(buffer, size,
		 "%u of %d frames finished · %u allocation failures · at most %.1f MiB pinned · "
		 "%llu evictions · %llu remaps",
		 done, NUM_FRAMES, failed,
		 (double)(run->gpu[0].pinned_max + run->gpu[1].pinned_max) / MIB,
		 (unsigned long long)(run->gpu[0].evictions + run->gpu[1].evictions),
		 (unsigned long long)(run->gpu[0].remaps + run->gpu[1].remaps));
}

/* ---- The head ---- */

static double legend_box(cairo_t *cr, double x, double y, struct colour colour, const char *label)
{
	fill_rect(cr, colour, x, y - 11, 22, 13);
	set_colour(cr, faint);
	cairo_set_line_width(cr, 1);
	cairo_rectangle(cr, x + 0.5, y - 10.5, 21, 12);
	cairo_stroke(cr);
	text(cr, x + 29, y, 0, 12.5, false, ink, label);
	return x + 29 + text_width(cr, label) + 24;
}

static double legend_mark(cairo_t *cr, double x, double y, unsigned int marks, const char *label)
{
	const struct cell cell = {.marks = (uint8_t)marks};

	fill_rect(cr, vram0, x, y - 11, 14, 13);
	draw_marks(cr, &cell, x + 3, y - 11, 13);
	text(cr, x + 21, y, 0, 12.5, false, ink, label);
	return x + 21 + text_width(cr, label) + 24;
}

static void draw_head(cairo_t *cr, const struct run *run)
{
	char line[256];
	double x = LEFT;

	text(cr, LEFT, 36, 0, 24, true, ink, "Where every buffer was");
	snprintf(
		line, sizeof(line),
		"Two Vulkan applications on two virtual GPUs with %.0f MiB of VRAM each. GPU 0's needs %.0f MiB; "
		"GPU 1's keeps all its frames imported.",
		(double)run->gpu[0].vram_size / MIB, (double)run->gpu[0].needed / MIB);
	text(cr, LEFT, 60, 0, 13.5, false, ink, line);

	x = legend_box(cr, x, 92, vram0, "VRAM of GPU 0");
	x = legend_box(cr, x, 92, vram1, "VRAM of GPU 1");
	x = legend_box(cr, x, 92, gtt, "GTT (system memory)");
	x = legend_box(cr, x, 92, evicted, "evicted");
	x = legend_box(cr, x, 92, pinned, "pinned in GTT");
	x = legend_mark(cr, x, 92, MARK_EVICTED, "eviction");
	x = legend_mark(cr, x, 92, MARK_REMAPPED, "remap");
	draw_failure(cr, x + 6, 86);
	text(cr, x + 20, 92, 0, 12.5, false, ink, "no memory");
}

static int write_png(cairo_t *cr, cairo_surface_t *surface, const char *path)
{
	cairo_status_t status = cairo_status(cr);

	if (!status)
		status = cairo_surface_write_to_png(surface, path);
	cairo_destroy(cr);
	cairo_surface_destroy(surface);
	if (status)
		complain(0, "%s can't be written: %s", path, cairo_status_to_string(status));
	return status ? -EIO : 0;
}

int draw_timeline(const struct run *pinned_run, const struct run *evicted_run, const char *path)
{
	cairo_surface_t *surface =
		cairo_image_surface_create(CAIRO_FORMAT_RGB24, IMAGE_WIDTH, IMAGE_HEIGHT);
	cairo_t *cr = cairo_create(surface);
	char summary[256];

	fill_rect(cr, white, 0, 0, IMAGE_WIDTH, IMAGE_HEIGHT);
	draw_head(cr, evicted_run);
	describe(pinned_run, summary, sizeof(summary));
	draw_panel(cr, pinned_run, TOP, "Imports pinned", summary);
	describe(evicted_run, summary, sizeof(summary));
	draw_panel(cr, evicted_run, TOP + PANEL_HEIGHT + PANEL_GAP, "Imports evicted and remapped",
		   summary);
	return write_png(cr, surface, path);
}

int draw_picture(const uint32_t *pixels, const char *path)
{
	cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
	cairo_t *cr = cairo_create(surface);
	unsigned char *data = cairo_image_surface_get_data(surface);
	int stride = cairo_image_surface_get_stride(surface);

	cairo_surface_flush(surface);
	for (int y = 0; data && y < HEIGHT; y++)
		memcpy(data + (size_t)y * (size_t)stride, pixels + (size_t)y * WIDTH, WIDTH * 4);
	cairo_surface_mark_dirty(surface);
	return write_png(cr, surface, path);
}
