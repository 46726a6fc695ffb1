// SPDX-License-Identifier: MIT
/* Trace files: that what is in them is JSON, after a full disk and in forked children, too. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "trace.h"

static char directory[] = "/tmp/sync-trace.XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

/* Nothing may follow the JSON text. */
static struct json_object *parse(const char *name)
{
	struct json_tokener *tokener = json_tokener_new();
	FILE *file = fopen(path_of(name), "r");
	struct json_object *object;
	char *text = NULL;
	size_t size = 0;
	ssize_t length;

	assert_non_null(file);
	length = getdelim(&text, &size, 0, file);
	assert_true(length > 0);
	fclose(file);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = json_tokener_parse_ex(tokener, text, (int)length + 1);
	assert_int_equal(json_tokener_get_error(tokener), json_tokener_success);
	json_tokener_free(tokener);
	free(text);
	return object;
}

/* Return: how many events of that name the file has. */
static unsigned int count_events(const char *name, const char *event)
{
	struct json_object *file = parse(name), *events, *text;
	unsigned int count = 0;
	size_t i;

	assert_true(json_object_object_get_ex(file, "traceEvents", &events));
	for (i = 0; i < json_object_array_length(events); i++) {
		assert_true(json_object_object_get_ex(json_object_array_get_idx(events, i), "name",
						      &text));
		count += !strcmp(json_object_get_string(text), event);
	}
	json_object_put(file);
	return count;
}

static void add_events(struct trace *trace, const char *name, unsigned int count)
{
	while (count--)
		trace_span(trace, "test", name, 1000, 2000, "\"bytes\":4096");
}

static void join(pid_t child)
{
	int status;

	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void everything_is_written(void **state)
{
	struct trace *trace = trace_open(path_of("all"));

	(void)state;
	assert_non_null(trace);
	add_events(trace, "event", 3000);
	trace_close(trace);
	assert_int_equal(count_events("all", "event"), 3000);
	/* as another device of this process does */
	assert_ptr_equal(trace_open(path_of("all")), trace);
	add_events(trace, "later", 1);
	trace_close(trace);
	assert_int_equal(count_events("all", "event"), 3000);
	assert_int_equal(count_events("all", "later"), 1);
	assert_int_equal(trace_error(trace), 0);
}

/* A child may go on with what it has inherited; that's far more than the buffer holds. */
static void forked_child(void **state)
{
	struct trace *trace = trace_open(path_of("fork"));
	pid_t child;

	(void)state;
	add_events(trace, "before", 10);
	child = fork();
	if (!child) {
		add_events(trace, "child", 20000);
		trace_close(trace);
		exit(0);
	}
	join(child);
	add_events(trace, "after", 10);
	trace_close(trace);
	assert_int_equal(count_events("fork", "before"), 10);
	assert_int_equal(count_events("fork", "child"), 0);
	assert_int_equal(count_events("fork", "after"), 10);
}

/* struct busy - a thread that opens a trace and adds to it, again and again */
struct busy {
	char path[128];
	volatile bool stop;
};

static void *write_events(void *argument)
{
	struct busy *busy = argument;
	struct trace *trace;
	int i;

	while (!busy->stop) {
		for (i = 0; i < 1000; i++)
			trace = trace_open(busy->path);
		add_events(trace, "event", 10);
		trace_close(trace);
	}
	return NULL;
}

/* It has traces of its own, whatever the parent's threads were doing. */
static void forked_child_with_its_own_trace(void **state)
{
	static struct busy busy;
	struct trace *trace;
	pthread_t thread;
	pid_t child;
	int i;

	(void)state;
	snprintf(busy.path, sizeof(busy.path), "%s", path_of("busy"));
	assert_int_equal(pthread_create(&thread, NULL, write_events, &busy), 0);
	for (i = 0; i < 100; i++) {
		child = fork();
		if (!child) {
			alarm(20);
			trace = trace_open(path_of("own"));
			if (!trace)
				_exit(1);
			add_events(trace, "child", 5);
			trace_close(trace);
			_exit(0);
		}
		join(child);
		assert_int_equal(count_events("own", "child"), 5);
	}
	busy.stop = true;
	pthread_join(thread, NULL);
}

/* The disk is full in the midst of a write: what was there before stays, and is complete. */
static void no_room(void **state)
{
	struct rlimit limit, less;
	struct trace *trace;
	struct stat file;
	unsigned int i;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	trace = trace_open(path_of("full"));
	add_events(trace, "event", 100);
	trace_close(trace);
	assert_int_equal(stat(path_of("full"), &file), 0);
	getrlimit(RLIMIT_FSIZE, &limit);
	less = limit;
	less.rlim_cur = file.st_size + 100;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	for (i = 0; i < 3; i++) {
		add_events(trace, "more", 1000);
		trace_close(trace);
	}
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(trace_error(trace), EFBIG);
	assert_int_equal(count_events("full", "event"), 100);
	assert_int_equal(count_events("full", "more"), 0);
	/* there is room again, but what is missing would look as if nothing had happened */
	add_events(trace, "later", 1);
	trace_close(trace);
	assert_int_equal(count_events("full", "later"), 0);
}

static void no_room_from_the_beginning(void **state)
{
	struct rlimit limit, less;
	struct trace *trace = trace_open(path_of("empty"));

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	less = limit;
	less.rlim_cur = 60;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	add_events(trace, "event", 1);
	trace_close(trace);
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(trace_error(trace), EFBIG);
	assert_int_equal(count_events("empty", "event"), 0);
}

/* Opening it mustn't wait for who reads it, and the end of the text couldn't be overwritten. */
static void pipe_instead_of_a_file(void **state)
{
	int reader;

	(void)state;
	assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
	alarm(20);
	assert_null(trace_open(path_of("pipe")));
	alarm(0);
	reader = open(path_of("pipe"), O_RDONLY | O_NONBLOCK);
	assert_null(trace_open(path_of("pipe")));
	assert_int_equal(errno, ESPIPE);
	close(reader);
}

static int set_up(void **state)
{
	(void)state;
	return !mkdtemp(directory);
}

static int tear_down(void **state)
{
	static const char *const names[] = {"all", "fork", "busy", "own", "full", "empty", "pipe"};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_written),
		cmocka_unit_test(forked_child),
		cmocka_unit_test(forked_child_with_its_own_trace),
		cmocka_unit_test(no_room),
		cmocka_unit_test(no_room_from_the_beginning),
		cmocka_unit_test(pipe_instead_of_a_file),
	};

	return cmocka_run_group_tests_name("sync-trace", tests, set_up, tear_down);
}
