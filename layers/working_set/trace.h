/* SPDX-License-Identifier: MIT */
/*
 * A trace file in Chrome's JSON format ("Trace Event Format"), which ui.perfetto.dev opens. Knows
 * nothing of Vulkan.
 *
 * One per process and path, however many devices write to it. After each write to it the file is
 * complete JSON, so a process that dies loses no more than the last moment; where the disk is full the
 * trace ends, and the file is complete up to there. A forked child adds nothing to its parent's
 * traces, but may have its own. All functions are thread-safe; times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef LAYER_TRACE_H
#define LAYER_TRACE_H

#include <stdint.h>

struct trace;

/*
 * trace_open() - open a trace, or the one that this process has there already
 * @path: a file; overwritten; if another process is writing to it, PATH.PID is used instead
 *
 * Return: to be given to trace_close(); NULL: see errno; ESPIPE: it's a pipe or a terminal.
 */
struct trace *trace_open(const char *path);
void trace_close(struct trace *trace);

/* trace_error() - Return: the errno that has ended the trace; 0: it hasn't ended */
int trace_error(const struct trace *trace);

/*
 * trace_span(), trace_begin(), trace_end(), trace_counters() - add an event
 * @category: what viewers filter by
 * @arguments: the members of a JSON object, without its braces; may be empty
 * @id: what begins and ends together, among those of the same name; needn't be on one thread
 */
void trace_span(struct trace *trace, const char *category, const char *name, uint64_t begin,
		uint64_t end, const char *arguments);
void trace_begin(struct trace *trace, const char *category, const char *name, uint64_t id,
		 uint64_t time, const char *arguments);
void trace_end(struct trace *trace, const char *category, const char *name, uint64_t id,
	       uint64_t time);
void trace_counters(struct trace *trace, const char *name, uint64_t time, const char *arguments);

#endif
