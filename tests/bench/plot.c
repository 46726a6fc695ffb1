// SPDX-License-Identifier: MIT
/* Curves over linear or logarithmic axes, as PNG. */
#include "bench.h"

#include <math.h>
#include <stdio.h>

#include <cairo.h>

#define WIDTH  760
#define HEIGHT 470
#define LEFT   82
#define RIGHT  24
#define TOP    74
#define BOTTOM 58
#define LEGEND 20
#define FONT   "DejaVu Sans"

struct colour {
	double r, g, b;
};

#define RGB(hex) {((hex) >> 16 & 255) / 255.0, ((hex) >> 8 & 255) / 255.0, ((hex) & 255) / 255.0}

static const struct colour ink = RGB(0x22262e), faint = RGB(0xd5d8de);
/* distinct for colour-blind eyes, too */
static const struct colour colours[] = {RGB(0x2f6fd6), RGB(0xb3202c), RGB(0x1fa187),
					RGB(0xf2a03d), RGB(0x7b4fb0), RGB(0x555b66)};

/* One axis: how a value becomes a place between 0 and 1. */
struct axis {
	bool logarithmic;
	double low, high;
};

struct canvas {
	cairo_t *cr;
	const struct plot *plot;
	struct axis x, y;
	double top;
};

static double axis_place(const struct axis *axis, double value)
{
	if (axis->logarithmic)
		return log10(value / axis->low) / log10(axis->high / axis->low);
	return (value - axis->low) / (axis->high - axis->low);
}

/* The distance of the lines of a linear axis: 1, 2 or 5 times a power of ten. */
static double axis_step(const struct axis *axis)
{
	double rough = (axis->high - axis->low) / 5;
	double power = pow(10, floor(log10(rough)));

	if (rough / power < 1.5)
		return power;
	if (rough / power < 3.5)
		return 2 * power;
	return rough / power < 7.5 ? 5 * power : 10 * power;
}

static struct axis axis_make(const struct plot *plot, bool is_x)
{
	struct axis axis = {.logarithmic = is_x ? plot->log_x : plot->log_y};
	double low = INFINITY, high = -INFINITY;

	for (size_t i = 0; i < plot->num_lines; i++) {
		const struct plot_line *line = &plot->lines[i];

		for (size_t j = 0; j < line->count; j++) {
			low = fmin(low, is_x ? line->x[j] : line->y[j]);
			high = fmax(high, is_x ? line->x[j] : line->y[j]);
		}
	}
	if (axis.logarithmic) {
		axis.low = pow(10, floor(log10(low) + 1e-9));
		axis.high = pow(10, ceil(log10(high) - 1e-9));
		if (axis.high <= axis.low)
			axis.high = axis.low * 10;
	} else {
		axis.high = high > 0 ? high * 1.06 : 1;
	}
	return axis;
}

static void set_colour(cairo_t *cr, struct colour colour)
{
	cairo_set_source_rgb(cr, colour.r, colour.g, colour.b);
}

static double text_width(cairo_t *cr, const char *string)
{
	cairo_text_extents_t extents;

	cairo_text_extents(cr, string, &extents);
	return extents.x_advance;
}

/* align: 0 left of x … 1 right of x */
static void draw_text(cairo_t *cr, double x, double y, double align, double size, bool bold,
		      const char *string)
{
	cairo_select_font_face(cr, FONT, CAIRO_FONT_SLANT_NORMAL,
			       bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
	cairo_set_font_size(cr, size);
	set_colour(cr, ink);
	cairo_move_to(cr, x - align * text_width(cr, string), y);
	cairo_show_text(cr, string);
	cairo_new_path(cr);
}

static double place_x(const struct canvas *canvas, double x)
{
	return LEFT + axis_place(&canvas->x, x) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct canvas *canvas, double y)
{
	double bottom = HEIGHT - BOTTOM;

	return bottom - axis_place(&canvas->y, y) * (bottom - canvas->top);
}

static void draw_grid_line(const struct canvas *canvas, bool is_x, double value)
{
	cairo_t *cr = canvas->cr;
	char label[32];
	double at;

	set_colour(cr, faint);
	cairo_set_line_width(cr, 1);
	if (is_x) {
		at = floor(place_x(canvas, value)) + 0.5;
		cairo_move_to(cr, at, canvas->top);
		cairo_line_to(cr, at, HEIGHT - BOTTOM);
	} else {
		at = floor(place_y(canvas, value)) + 0.5;
		cairo_move_to(cr, LEFT, at);
		cairo_line_to(cr, WIDTH - RIGHT, at);
	}
	cairo_stroke(cr);
	snprintf(label, sizeof(label), value >= 1e6 ? "%.0e" : "%.4g", value);
	if (is_x)
		draw_text(cr, at, HEIGHT - BOTTOM + 18, 0.5, 11, false, label);
	else
		draw_text(cr, LEFT - 8, at + 4, 1, 11, false, label);
}

static void draw_axis(const struct canvas *canvas, bool is_x)
{
	const struct axis *axis = is_x ? &canvas->x : &canvas->y;
	double step = axis->logarithmic ? 0 : axis_step(axis);

	for (double value = axis->low; value <= axis->high * 1.0001;
	     value = axis->logarithmic ? value * 10 : value + step)
		draw_grid_line(canvas, is_x, value);
}

static void draw_line(const struct canvas *canvas, const struct plot_line *line,
		      struct colour colour)
{
	static const double dashes[] = {6, 4};
	cairo_t *cr = canvas->cr;

	set_colour(cr, colour);
	cairo_set_line_width(cr, 2);
	cairo_set_dash(cr, dashes, line->dashed ? 2 : 0, 0);
	for (size_t i = 0; i < line->count; i++)
		cairo_line_to(cr, place_x(canvas, line->x[i]), place_y(canvas, line->y[i]));
	cairo_stroke(cr);
	cairo_set_dash(cr, NULL, 0, 0);
	for (size_t i = 0; !line->dashed && i < line->count; i++) {
		cairo_arc(cr, place_x(canvas, line->x[i]), place_y(canvas, line->y[i]), 3.5, 0,
			  2 * M_PI);
		cairo_fill(cr);
	}
}

static void draw_legend(const struct canvas *canvas)
{
	static const double dashes[] = {6, 4};
	cairo_t *cr = canvas->cr;

	for (size_t i = 0; i < canvas->plot->num_lines; i++) {
		const struct plot_line *line = &canvas->plot->lines[i];
		double x = LEFT + (double)(i % 2) * (WIDTH - LEFT - RIGHT) / 2;
		double y = TOP + (double)(i / 2) * LEGEND;

		set_colour(cr, colours[i % ARRAY_SIZE(colours)]);
		cairo_set_line_width(cr, 2);
		cairo_set_dash(cr, dashes, line->dashed ? 2 : 0, 0);
		cairo_move_to(cr, x, y - 4);
		cairo_line_to(cr, x + 26, y - 4);
		cairo_stroke(cr);
		cairo_set_dash(cr, NULL, 0, 0);
		draw_text(cr, x + 33, y, 0, 11.5, false, line->label);
	}
}

static void draw_frame(const struct canvas *canvas)
{
	const struct plot *plot = canvas->plot;
	cairo_t *cr = canvas->cr;

	cairo_set_source_rgb(cr, 1, 1, 1);
	cairo_paint(cr);
	draw_text(cr, LEFT, 28, 0, 17, true, plot->title);
	draw_text(cr, LEFT, 48, 0, 12, false, plot->subtitle);
	draw_axis(canvas, true);
	draw_axis(canvas, false);
	draw_text(cr, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 16, 0.5, 12, false, plot->x_label);

	cairo_save(cr);
	cairo_translate(cr, 20, (canvas->top + HEIGHT - BOTTOM) / 2);
	cairo_rotate(cr, -M_PI / 2);
	draw_text(cr, 0, 0, 0.5, 12, false, plot->y_label);
	cairo_restore(cr);
}

void plot_lines(const struct report *report, const struct plot *plot)
{
	cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
	struct canvas canvas = {
		.cr = cairo_create(surface),
		.plot = plot,
		.x = axis_make(plot, true),
		.y = axis_make(plot, false),
		.top = TOP + (double)((plot->num_lines + 1) / 2) * LEGEND,
	};
	const char *path = report_path(report, "png");
	cairo_status_t status;

	draw_frame(&canvas);
	for (size_t i = 0; i < plot->num_lines; i++)
		draw_line(&canvas, &plot->lines[i], colours[i % ARRAY_SIZE(colours)]);
	draw_legend(&canvas);

	status = cairo_status(canvas.cr);
	if (!status)
		status = cairo_surface_write_to_png(surface, path);
	cairo_destroy(canvas.cr);
	cairo_surface_destroy(surface);
	if (status)
		die("%s can't be written: %s", path, cairo_status_to_string(status));
	printf("  plot: %s\n", path);
}
