// SPDX-License-Identifier: MIT
/* Messages, strings and small files; see cli.h. */
#include "cli.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <getopt.h>
#include <zlib.h>

void die(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("drover: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

void usage_error(const char *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "drover %s: ", command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nSee: drover %s --help\n", command);
	/* after that command everything but its own status is the application's */
	exit(strcmp(command, "run") ? EXIT_USAGE : EXIT_RUN);
}

void bad_option(const char *command, int result, char **argv)
{
	const char *option = argv[optind - 1];

	if (result == ':')
		usage_error(command, "option %s needs a value", option);
	if (!strncmp(option, "--", 2) && strchr(option, '='))
		usage_error(command, "option %s is unknown, ambiguous, or takes no value", option);
	if (strncmp(option, "--", 2))
		usage_error(command, "there is no option -%c", optopt);
	usage_error(command, "there is no option %s", option);
}

char *text(const char *format, ...)
{
	va_list args;
	char *result;
	int length;

	va_start(args, format);
	length = vasprintf(&result, format, args);
	va_end(args);
	if (length < 0)
		die(EXIT_FAILURE, "no memory");
	return result;
}

void *xcalloc(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		die(EXIT_FAILURE, "no memory");
	return memory;
}

void *grow(void *array, size_t count, size_t size)
{
	array = reallocarray(array, count + 1, size);
	if (!array)
		die(EXIT_FAILURE, "no memory");
	memset((char *)array + count * size, 0, size);
	return array;
}

const char *human_bytes(uint64_t bytes, char buffer[16])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	/* 1023.96 would be printed as 1024.0 */
	if (unit && value >= 1023.95 && unit + 1 < ARRAY_SIZE(units)) {
		value = 1;
		unit++;
	}
	snprintf(buffer, 16, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buffer;
}

/* ---- Lists ---- */

void strings_add(struct strings *list, char *item)
{
	list->items = grow(list->items, list->count, sizeof(*list->items));
	list->items[list->count++] = item;
}

void strings_split(struct strings *list, const char *value, char separator)
{
	while (value && *value) {
		const char *end = strchrnul(value, separator);

		if (end > value)
			strings_add(list, text("%.*s", (int)(end - value), value));
		value = *end ? end + 1 : end;
	}
}

bool strings_contain(const struct strings *list, const char *item)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->items[i], item))
			return true;
	return false;
}

void strings_free(struct strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct strings){0};
}

/* ---- Files ---- */

char *read_text(const char *path)
{
	size_t used = 0, size = 16384;
	char *content;
	gzFile file;
	int got;

	/* gzopen() reads what isn't compressed as it is, and leaves the errno of open() */
	errno = 0;
	file = gzopen(path, "re");
	if (!file)
		return NULL;
	content = xcalloc(1, size);
	while ((got = gzread(file, content + used, (unsigned int)(size - used - 1))) > 0) {
		used += (size_t)got;
		if (size - used > 1)
			continue;
		size *= 2;
		content = realloc(content, size);
		if (!content)
			die(EXIT_FAILURE, "no memory");
	}
	gzclose_r(file);
	if (got < 0) {
		free(content);
		errno = EIO;
		return NULL;
	}
	content[used] = '\0';
	return content;
}

char *read_line(const char *path)
{
	char *content = read_text(path);

	if (content)
		content[strcspn(content, "\n")] = '\0';
	return content;
}

char *link_target(const char *path)
{
	char target[PATH_MAX];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	if (length < 0)
		return NULL;
	target[length] = '\0';
	return text("%s", basename(target));
}

char *next_line(char **rest)
{
	char *line = *rest, *end;

	if (!*line)
		return NULL;
	end = strchrnul(line, '\n');
	*rest = *end ? end + 1 : end;
	*end = '\0';
	return line;
}
