// SPDX-License-Identifier: MIT
/*
 * Owns trace files: a buffer that is written out when it's full, every now and then, and at the
 * process's end. Behind the events there's always the end of the JSON text, which the next write
 * overwrites.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"

#define BUFFER_SIZE       65536
#define LONGEST_EVENT     2048
/* What is in the buffer for longer is written with the next event. */
#define WRITE_INTERVAL_NS 250000000ull

struct trace {
	pthread_mutex_t lock;
	char *path;
	int fd;
	/* Others add and write nothing: a fork's buffer is a copy, and its lock may be held for ever. */
	pid_t pid;
	/* An errno: it ends there. Changed under the lock. */
	atomic_int error;
	/* Where in the file the next event goes. */
	off_t offset;
	uint64_t last_write;
	size_t length;
	char buffer[BUFFER_SIZE];
	/* Who has been given a name. */
	pid_t threads[64];
	unsigned int num_threads;
	struct trace *next;
};

static const char head[] = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
static const char tail[] = "\n]}\n";

static pthread_mutex_t traces_lock = PTHREAD_MUTEX_INITIALIZER;
static struct trace *traces;
/* The process whose traces these are; asking the kernel for each event would take longer than the event. */
static pid_t process;
static pthread_once_t fork_handlers = PTHREAD_ONCE_INIT;

/* Return: 0 or an errno. */
static int write_at(int fd, const char *bytes, size_t count, off_t offset)
{
	ssize_t written;

	while (count) {
		written = pwrite(fd, bytes, count, offset);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written ? errno : EIO;
		bytes += written;
		count -= written;
		offset += written;
	}
	return 0;
}

/* What was written in part goes, and the end of the text is written where it was: there was room for it. */
static void end_where_it_was(struct trace *trace)
{
	if (ftruncate(trace->fd, trace->offset))
		return;
	if (!trace->offset && !write_at(trace->fd, head, sizeof(head) - 1, 0))
		trace->offset = sizeof(head) - 1;
	write_at(trace->fd, tail, sizeof(tail) - 1, trace->offset);
}

/* A full disk ends the trace; what is in the file stays. */
static void write_out(struct trace *trace)
{
	size_t events = trace->length;

	if (!events || trace->error)
		return;
	memcpy(trace->buffer + trace->length, tail, sizeof(tail) - 1);
	trace->error = write_at(trace->fd, trace->buffer, events + sizeof(tail) - 1, trace->offset);
	if (trace->error)
		end_where_it_was(trace);
	else
		trace->offset += events;
	trace->length = 0;
	trace->last_write = now_ns();
}

static void append(struct trace *trace, const char *text, size_t length)
{
	memcpy(trace->buffer + trace->length, text, length);
	trace->length += length;
}

/* Under the lock. What doesn't fit is left out as a whole. */
static void __attribute__((format(printf, 2, 3))) add_event(struct trace *trace, const char *format,
							    ...)
{
	char event[LONGEST_EVENT];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(event, sizeof(event), format, arguments);
	va_end(arguments);
	if (length < 0 || length >= LONGEST_EVENT || trace->error)
		return;
	if (trace->length + length + sizeof(head) + sizeof(tail) > BUFFER_SIZE)
		write_out(trace);
	if (trace->error)
		return;
	if (trace->offset + trace->length == 0)
		append(trace, head, sizeof(head) - 1);
	else
		append(trace, ",\n", 2);
	append(trace, event, length);
}

/* What the viewer shows instead of numbers. */
static void name_thread(struct trace *trace, pid_t thread)
{
	char name[17] = "";
	unsigned int i;
	char *c;

	for (i = 0; i < trace->num_threads; i++) {
		if (trace->threads[i] == thread)
			return;
	}
	if (i == sizeof(trace->threads) / sizeof(trace->threads[0]))
		return;
	trace->threads[trace->num_threads++] = thread;
	pthread_getname_np(pthread_self(), name, sizeof(name));
	for (c = name; *c; c++) {
		if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
	}
	if (!i)
		add_event(trace,
			  "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"tid\":%d,"
			  "\"args\":{\"name\":\"%s\"}}",
			  trace->pid, thread, name);
	add_event(trace,
		  "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%d,\"tid\":%d,"
		  "\"args\":{\"name\":\"%s\"}}",
		  trace->pid, thread, name);
}

/* Return: the caller's thread, named; 0: nothing is locked, and nothing may be added. */
static pid_t lock_trace(struct trace *trace)
{
	pid_t thread;

	if (trace->pid != process)
		return 0;
	thread = syscall(SYS_gettid);
	pthread_mutex_lock(&trace->lock);
	name_thread(trace, thread);
	return thread;
}

static void unlock_trace(struct trace *trace)
{
	if (now_ns() - trace->last_write > WRITE_INTERVAL_NS)
		write_out(trace);
	pthread_mutex_unlock(&trace->lock);
}

/* The format's times are microseconds. */
#define US     "%" PRIu64 ".%03" PRIu64
#define us(ns) (uint64_t)(ns) / 1000, (uint64_t)(ns) % 1000

void trace_span(struct trace *trace, const char *category, const char *name, uint64_t begin,
		uint64_t end, const char *arguments)
{
	pid_t thread = lock_trace(trace);

	if (!thread)
		return;
	add_event(trace,
		  "{\"ph\":\"X\",\"cat\":\"%s\",\"name\":\"%s\",\"pid\":%d,\"tid\":%d,\"ts\":" US
		  ",\"dur\":" US ",\"args\":{%s}}",
		  category, name, trace->pid, thread, us(begin), us(end - begin), arguments);
	unlock_trace(trace);
}

void trace_begin(struct trace *trace, const char *category, const char *name, uint64_t id,
		 uint64_t time, const char *arguments)
{
	pid_t thread = lock_trace(trace);

	if (!thread)
		return;
	add_event(trace,
		  "{\"ph\":\"b\",\"cat\":\"%s\",\"name\":\"%s\",\"id\":\"0x%" PRIx64
		  "\",\"pid\":%d,\"tid\":%d,\"ts\":" US ",\"args\":{%s}}",
		  category, name, id, trace->pid, thread, us(time), arguments);
	unlock_trace(trace);
}

void trace_end(struct trace *trace, const char *category, const char *name, uint64_t id,
	       uint64_t time)
{
	pid_t thread = lock_trace(trace);

	if (!thread)
		return;
	add_event(trace,
		  "{\"ph\":\"e\",\"cat\":\"%s\",\"name\":\"%s\",\"id\":\"0x%" PRIx64
		  "\",\"pid\":%d,\"tid\":%d,\"ts\":" US "}",
		  category, name, id, trace->pid, thread, us(time));
	unlock_trace(trace);
}

void trace_counters(struct trace *trace, const char *name, uint64_t time, const char *arguments)
{
	pid_t thread = lock_trace(trace);

	if (!thread)
		return;
	add_event(trace,
		  "{\"ph\":\"C\",\"name\":\"%s\",\"pid\":%d,\"tid\":%d,\"ts\":" US
		  ",\"args\":{%s}}",
		  name, trace->pid, thread, us(time), arguments);
	unlock_trace(trace);
}

/* ---- Files ---- */

/*
 * A pipe or a terminal is none: the end of the text couldn't be overwritten, and opening a pipe may wait
 * for who reads it.
 *
 * Return: a file that nobody else writes to, empty; or -1.
 */
static int open_alone(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);

	if (fd < 0)
		return -1;
	if (lseek(fd, 0, SEEK_CUR) < 0) {
		close(fd);
		errno = ESPIPE;
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		errno = EBUSY;
		return -1;
	}
	/* a device can't be, and needn't be */
	if (ftruncate(fd, 0) && errno != EINVAL) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_file(const char *path)
{
	char *other;
	int fd = open_alone(path);

	if (fd >= 0 || errno != EBUSY)
		return fd;
	if (asprintf(&other, "%s.%d", path, getpid()) < 0)
		return -1;
	fd = open_alone(other);
	free(other);
	return fd;
}

static struct trace *trace_new(const char *path)
{
	struct trace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return NULL;
	trace->path = strdup(path);
	if (!trace->path)
		goto free_trace;
	trace->fd = open_file(path);
	if (trace->fd < 0)
		goto free_path;
	trace->pid = process;
	pthread_mutex_init(&trace->lock, NULL);
	trace->next = traces;
	traces = trace;
	return trace;

free_path:
	free(trace->path);
free_trace:
	free(trace);
	return NULL;
}

static void before_fork(void)
{
	pthread_mutex_lock(&traces_lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&traces_lock);
}

/* What the parent has open is lost for the child, which doesn't know in which state it is. */
static void in_child(void)
{
	process = getpid();
	traces = NULL;
	pthread_mutex_unlock(&traces_lock);
}

static void add_fork_handlers(void)
{
	process = getpid();
	pthread_atfork(before_fork, in_parent, in_child);
}

struct trace *trace_open(const char *path)
{
	struct trace *trace;

	pthread_once(&fork_handlers, add_fork_handlers);
	pthread_mutex_lock(&traces_lock);
	for (trace = traces; trace; trace = trace->next) {
		if (!strcmp(trace->path, path))
			break;
	}
	if (!trace)
		trace = trace_new(path);
	pthread_mutex_unlock(&traces_lock);
	return trace;
}

/* The file stays open for the devices that may come: opening it again would empty it. */
void trace_close(struct trace *trace)
{
	if (trace->pid != process)
		return;
	pthread_mutex_lock(&trace->lock);
	write_out(trace);
	pthread_mutex_unlock(&trace->lock);
}

int trace_error(const struct trace *trace)
{
	return trace->error;
}

/* At exit(): other threads may still be at work, and hold a lock for ever. */
static void __attribute__((destructor)) write_all(void)
{
	struct trace *trace;

	if (pthread_mutex_trylock(&traces_lock))
		return;
	for (trace = traces; trace; trace = trace->next) {
		if (pthread_mutex_trylock(&trace->lock))
			continue;
		write_out(trace);
		pthread_mutex_unlock(&trace->lock);
	}
	pthread_mutex_unlock(&traces_lock);
}
