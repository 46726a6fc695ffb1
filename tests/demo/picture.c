// SPDX-License-Identifier: MIT
/*
 * The image sequence: Julia sets along a path of their parameter, in integers,
 * so that it is quick without a floating point unit (the demo may run emulated).
 */
#include <math.h>

#include "demo.h"

/* fixed point with 24 fractional bits */
#define ONE            (1 << 24)
#define MAX_ITERATIONS 96
/* |z|² at which a point has escaped; large, for smooth colours */
#define ESCAPE         64
/* shades per iteration */
#define SHADES         16

struct tables {
	/* by |z|² at the escape: what part of an iteration it took, in shades */
	uint8_t part[ESCAPE * ESCAPE + 2 * ESCAPE];
	/* by shade: channels times 256, for dithering */
	uint16_t colours[(MAX_ITERATIONS + 1) * SHADES][3];
};

/* from far away (night) to the set's edge (embers), by position 0 … 1 */
static const struct stop {
	double at;
	double rgb[3];
} gradient[] = {
	{0.00, {0.01, 0.02, 0.10}}, {0.22, {0.03, 0.13, 0.38}}, {0.42, {0.13, 0.45, 0.80}},
	{0.58, {0.93, 1.00, 1.00}}, {0.70, {1.00, 0.67, 0.08}}, {0.84, {0.55, 0.10, 0.05}},
	{1.00, {0.02, 0.00, 0.02}},
};

/* 8×8 ordered dither: thresholds 0 … 63 */
static unsigned int dither(unsigned int x, unsigned int y)
{
	unsigned int v = 0, xy = x ^ y;

	for (int bit = 0; bit < 3; bit++)
		v |= (y >> bit & 1) << (4 - 2 * bit) | (xy >> bit & 1) << (5 - 2 * bit);
	return v;
}

static double gradient_at(double at, int channel)
{
	size_t i = 1;

	while (gradient[i].at < at && i + 1 < sizeof(gradient) / sizeof(gradient[0]))
		i++;
	at = fmin(1, (at - gradient[i - 1].at) / (gradient[i].at - gradient[i - 1].at));
	/* eased, so that the stops don't show as edges */
	at = at * at * (3 - 2 * at);
	return gradient[i - 1].rgb[channel] * (1 - at) + gradient[i].rgb[channel] * at;
}

static const struct tables *get_tables(void)
{
	const int num_shades = (MAX_ITERATIONS + 1) * SHADES;
	static struct tables tables;
	static bool ready;

	if (ready)
		return &tables;
	for (int m = 0; m < (int)sizeof(tables.part); m++) {
		double part = m > ESCAPE ? log2(log2(m) / log2(ESCAPE)) : 0;

		tables.part[m] = (uint8_t)fmin(SHADES * part, SHADES - 1);
	}
	for (int i = 0; i < num_shades; i++) {
		/* iterations double where details halve */
		double at = log2(1 + (double)i / SHADES) / log2(1 + MAX_ITERATIONS);

		for (int c = 0; c < 3; c++)
			tables.colours[i][c] = (uint16_t)(gradient_at(at, c) * MAX_CHANNEL * 256);
	}
	ready = true;
	return &tables;
}

/* how long z needs to escape under z² + c, in shades; -1: it doesn't */
static int escape_time(const struct tables *tables, int32_t zx, int32_t zy, int32_t cx, int32_t cy)
{
	for (int i = 0; i < MAX_ITERATIONS; i++) {
		int64_t xx = (int64_t)zx * zx >> 24, yy = (int64_t)zy * zy >> 24;

		if (xx + yy > (int64_t)ESCAPE * ONE)
			return (i + 1) * SHADES - tables->part[(xx + yy) >> 24];
		zy = (int32_t)(((int64_t)zx * zy >> 23) + cy);
		zx = (int32_t)(xx - yy + cx);
	}
	return -1;
}

static uint32_t shade(const struct tables *tables, int time, unsigned int x, unsigned int y)
{
	const uint16_t *colour;
	uint32_t pixel = 0;
	unsigned int threshold = dither(x, y) * 4;

	if (time < 0)
		return 0;
	colour = tables->colours[time];
	for (int c = 0; c < 3; c++) {
		unsigned int value = (colour[c] + threshold) >> 8;

		pixel = pixel << 8 | (value > MAX_CHANNEL ? MAX_CHANNEL : value);
	}
	return pixel;
}

void picture_draw(unsigned int n, uint32_t *pixels)
{
	const struct tables *tables = get_tables();
	double t = (double)n / NUM_FRAMES, angle = 1.9 + 0.9 * t, turn = -0.5 * t;
	double step = 3.1 / WIDTH * (1 - 0.35 * t);
	int32_t cx = (int32_t)(0.7885 * cos(angle) * ONE),
		cy = (int32_t)(0.7885 * sin(angle) * ONE);
	int32_t dx = (int32_t)(step * cos(turn) * ONE), dy = (int32_t)(step * sin(turn) * ONE);

	/* z and -z escape alike, so the lower half is the upper one turned around */
	for (int y = 0; y < HEIGHT / 2; y++) {
		for (int x = 0; x < WIDTH; x++) {
			/* doubled, since the centre is between pixels */
			int32_t px = 2 * x - (WIDTH - 1), py = 2 * y - (HEIGHT - 1);
			int32_t zx = px * (dx / 2) - py * (dy / 2);
			int32_t zy = px * (dy / 2) + py * (dx / 2);
			int time = escape_time(tables, zx, zy, cx, cy);
			int mx = WIDTH - 1 - x, my = HEIGHT - 1 - y;

			pixels[y * WIDTH + x] = shade(tables, time, x, y);
			pixels[my * WIDTH + mx] = shade(tables, time, mx, my);
		}
	}
}

unsigned int echo_near(unsigned int n)
{
	return n < 6 ? 0 : n - 6;
}

unsigned int echo_far(unsigned int n)
{
	return n / 2 / KEY_DISTANCE * KEY_DISTANCE;
}

void picture_mix(const uint32_t *frame, const uint32_t *near, const uint32_t *far, uint32_t *result)
{
	const uint8_t *a = (const uint8_t *)frame, *b = (const uint8_t *)near;
	const uint8_t *c = (const uint8_t *)far;
	uint8_t *out = (uint8_t *)result;

	for (size_t i = 0; i < FRAME_BYTES; i++)
		out[i] = (uint8_t)(3 * a[i] + 2 * b[i] + c[i]);
}

uint64_t picture_checksum(const uint32_t *pixels)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < WIDTH * HEIGHT; i++) {
		hash = (hash ^ pixels[i]) * 0x100000001b3ULL;
		hash ^= hash >> 29;
	}
	return hash;
}
