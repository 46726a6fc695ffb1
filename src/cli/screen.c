// SPDX-License-Identifier: MIT
/* drover top on a terminal. */
#include "cli.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curses.h>

#define UNKNOWN "-"

enum sort { SORT_RESIDENT, SORT_EVICTED, SORT_FAULTS, SORT_REMAPS, SORT_BUSY, SORT_PID, SORTS };

static const char *const sort_names[SORTS] = {"resident", "evicted", "faults",
					      "remaps",   "busy",    "pid"};

/* What is shown of a client: it is sorted by this. */
struct line {
	const struct client_sample *client;
	double faults, suspends, remaps, busy;
};

struct screen {
	double interval;
	enum sort sort;
	/* the first client that is shown */
	size_t first;
	struct sample before, now;
};

static void format_rate(double rate, char buffer[16])
{
	if (rate < 0)
		snprintf(buffer, 16, UNKNOWN);
	else
		snprintf(buffer, 16, rate < 10 ? "%.1f" : "%.0f", rate);
}

static void format_percent(double percent, char buffer[16])
{
	if (percent < 0)
		snprintf(buffer, 16, UNKNOWN);
	else
		snprintf(buffer, 16, "%.0f%%", percent);
}

/* A line of the screen, cut at its right edge. */
static void put_line(int row, bool heading, const char *content)
{
	if (row >= LINES)
		return;
	move(row, 0);
	if (heading)
		attron(A_REVERSE);
	printw("%.*s", COLS, content);
	if (heading) {
		for (int column = getcurx(stdscr); column && column < COLS; column++)
			addch(' ');
		attroff(A_REVERSE);
	}
}

static void put_text(int row, bool heading, char *content)
{
	put_line(row, heading, content);
	free(content);
}

/* ---- Devices ---- */

static char *of_total(uint64_t used, uint64_t size)
{
	char a[16], b[16];

	return text("%s / %s", human_bytes(used, a), human_bytes(size, b));
}

static void put_gpu(const struct screen *screen, int row, const struct gpu_sample *gpu)
{
	const struct drm_drover_device_info *info = &gpu->gpu.info;
	const struct gpu_sample *old = sample_gpu(&screen->before, gpu);
	const uint64_t from = screen->before.time_ns, to = screen->now.time_ns;
	char *vram = of_total(info->vram_used, info->vram_size);
	char *gtt = of_total(info->gtt_used, info->gtt_size);
	char *pinned = of_total(info->pinned, info->pin_limit);
	char evicted[16] = UNKNOWN, moved[16] = UNKNOWN, evictions[16] = UNKNOWN;

	if (gpu->evicted >= 0)
		human_bytes((uint64_t)gpu->evicted, evicted);
	if (old) {
		double bytes = sample_rate((int64_t)old->gpu.info.bytes_moved,
					   (int64_t)info->bytes_moved, from, to);

		if (bytes >= 0)
			human_bytes((uint64_t)bytes, moved);
		format_rate(sample_rate((int64_t)old->gpu.info.evictions, (int64_t)info->evictions,
					from, to),
			    evictions);
	}
	put_text(row, false,
		 text("%3u %23s %23s %11s %23s %11s %8s", info->device_index, vram, gtt, evicted,
		      pinned, moved, evictions));
	free(pinned);
	free(gtt);
	free(vram);
}

/* ---- Clients ---- */

static struct line make_line(const struct screen *screen, const struct client_sample *client)
{
	const struct client_sample *old = sample_client(&screen->before, client);
	const struct counters none = {-1, -1, -1, -1, -1};
	const struct counters *a = old ? &old->counters : &none, *b = &client->counters;
	const uint64_t from = screen->before.time_ns, to = screen->now.time_ns;
	double busy = sample_rate(a->busy_ns, b->busy_ns, from, to);

	return (struct line){
		.client = client,
		.faults = sample_rate(a->faults, b->faults, from, to),
		.suspends = sample_rate(a->suspends, b->suspends, from, to),
		.remaps = sample_rate(a->remaps, b->remaps, from, to),
		.busy = busy < 0 ? busy : busy / 1e7,
	};
}

static double sort_key(const struct line *line, enum sort sort)
{
	switch (sort) {
	case SORT_EVICTED:
		return (double)line->client->evicted;
	case SORT_FAULTS:
		return line->faults;
	case SORT_REMAPS:
		return line->remaps;
	case SORT_BUSY:
		return line->busy;
	case SORT_PID:
		return -(double)line->client->pid;
	default:
		return (double)line->client->resident;
	}
}

static int compare_lines(const void *a, const void *b, void *sort)
{
	double x = sort_key(a, *(enum sort *)sort), y = sort_key(b, *(enum sort *)sort);

	return (x < y) - (x > y);
}

static void put_client(const struct screen *screen, int row, const struct line *line)
{
	const struct client_sample *client = line->client;
	char resident[16], evicted[16], pinned[16], faults[16], suspends[16], remaps[16], busy[16];
	char sets[16] = UNKNOWN;

	if (screen->now.debugfs)
		snprintf(sets, sizeof(sets), "%zu", client->num_vms);
	format_rate(line->faults, faults);
	format_rate(line->suspends, suspends);
	format_rate(line->remaps, remaps);
	format_percent(line->busy, busy);
	put_text(row, false,
		 text("%8d %-15.15s %3u %11s %11s %11s %5s %8s %7s %8s %6s", (int)client->pid,
		      client->name, screen->now.gpus[client->gpu].gpu.info.device_index,
		      human_bytes(client->resident, resident),
		      human_bytes(client->evicted, evicted), human_bytes(client->pinned, pinned),
		      sets, faults, suspends, remaps, busy));
}

static void put_clients(struct screen *screen, int row, int rows)
{
	size_t count = screen->now.num_clients;
	struct line *lines = xcalloc(count + 1, sizeof(*lines));

	for (size_t i = 0; i < count; i++)
		lines[i] = make_line(screen, &screen->now.clients[i]);
	qsort_r(lines, count, sizeof(*lines), compare_lines, &screen->sort);
	if (screen->first >= count)
		screen->first = count ? count - 1 : 0;
	for (size_t i = screen->first; i < count && rows > 0; i++, rows--)
		put_client(screen, row++, &lines[i]);
	free(lines);
}

/* ---- The whole ---- */

static char *hidden(const struct sample *sample)
{
	char *processes = sample->hidden_processes
				  ? text("%zu processes of other users; ", sample->hidden_processes)
				  : text("%s", "");
	char *gpus = sample->hidden_gpus
			     ? text("%zu virtual GPUs that you may not open; ", sample->hidden_gpus)
			     : text("%s", "");
	char *all = NULL;

	if (sample->hidden_processes || sample->hidden_gpus || !sample->debugfs)
		all = text("Not seen: %s%s%sroot sees more.", processes, gpus,
			   sample->debugfs ? "" : "working sets (debugfs); ");
	free(gpus);
	free(processes);
	return all;
}

static void draw(struct screen *screen)
{
	char *not_seen = hidden(&screen->now);
	int row = 0, last = not_seen ? LINES - 1 : LINES;

	erase();
	put_text(
		row++, false,
		text("drover top: %zu virtual GPUs, %zu clients by %s, every %.1f s      q quit  s sort  +- interval",
		     screen->now.num_gpus, screen->now.num_clients, sort_names[screen->sort],
		     screen->interval));
	row++;
	put_text(row++, true,
		 text("%3s %23s %23s %11s %23s %11s %8s", "GPU", "VRAM", "GTT", "EVICTED",
		      "PINNED / LIMIT", "MOVED/S", "EVICT/S"));
	for (size_t i = 0; i < screen->now.num_gpus; i++)
		put_gpu(screen, row++, &screen->now.gpus[i]);
	row++;
	put_text(row++, true,
		 text("%8s %-15s %3s %11s %11s %11s %5s %8s %7s %8s %6s", "PID", "NAME", "GPU",
		      "RESIDENT", "EVICTED", "PINNED", "SETS", "FAULT/S", "SUSP/S", "REMAP/S",
		      "BUSY"));
	put_clients(screen, row, last - row);
	if (not_seen)
		put_text(LINES - 1, false, not_seen);
	refresh();
}

static void look(struct screen *screen)
{
	sample_free(&screen->before);
	screen->before = screen->now;
	screen->now = sample_take();
}

static void scroll_by(struct screen *screen, int lines)
{
	if (lines < 0 && (size_t)-lines > screen->first)
		screen->first = 0;
	else
		screen->first += (size_t)lines;
}

/* Returns false to quit. */
static bool handle_key(struct screen *screen, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case 's':
		screen->sort = (screen->sort + 1) % SORTS;
		break;
	case '+':
		screen->interval = screen->interval * 2 > 3600 ? 3600 : screen->interval * 2;
		break;
	case '-':
		screen->interval = screen->interval / 2 < 0.1 ? 0.1 : screen->interval / 2;
		break;
	case KEY_UP:
		scroll_by(screen, -1);
		break;
	case KEY_DOWN:
		scroll_by(screen, 1);
		break;
	case KEY_PPAGE:
		scroll_by(screen, -LINES / 2);
		break;
	case KEY_NPAGE:
		scroll_by(screen, LINES / 2);
		break;
	}
	return true;
}

/* Until the next look is due; keys don't put it off. */
static int ms_left(const struct screen *screen)
{
	uint64_t due = screen->now.time_ns + (uint64_t)(screen->interval * 1e9), now = now_ns();

	return due > now ? (int)((due - now) / 1000000) + 1 : 0;
}

int screen_run(double interval)
{
	struct screen screen = {.interval = interval};

	setlocale(LC_ALL, "");
	if (!newterm(NULL, stdout, stdin))
		die(EXIT_FAILURE,
		    "the terminal's type isn't known (TERM=%s); `drover top --json` works without.",
		    getenv("TERM") ? getenv("TERM") : "");
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	look(&screen);
	do {
		if (!ms_left(&screen))
			look(&screen);
		draw(&screen);
		timeout(ms_left(&screen));
	} while (handle_key(&screen, getch()));
	endwin();
	sample_free(&screen.before);
	sample_free(&screen.now);
	return EXIT_SUCCESS;
}
