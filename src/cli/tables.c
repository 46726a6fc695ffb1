// SPDX-License-Identifier: MIT
/*
 * The driver's tables in debugfs. Columns are found by their names in the first line: newer modules have more of them,
 * older ones fewer.
 */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool table_open(struct table *table, unsigned int minor, const char *file)
{
	char *path = text("/sys/kernel/debug/dri/%u/%s", minor, file);

	*table = (struct table){.text = read_text(path)};
	free(path);
	if (!table->text)
		return false;
	table->rest = table->text;
	table->header = next_line(&table->rest);
	return table->header != NULL;
}

bool table_next(struct table *table)
{
	table->row = next_line(&table->rest);
	return table->row != NULL;
}

bool table_word(const struct table *table, const char *column, char *word, size_t size)
{
	const char *header = table->header, *row = table->row;
	size_t length = strlen(column);

	while (*header && *row) {
		size_t header_length = strcspn(header, " "), row_length = strcspn(row, " ");

		if (header_length == length && !strncmp(header, column, length)) {
			snprintf(word, size, "%.*s", (int)row_length, row);
			return true;
		}
		header += header_length + strspn(header + header_length, " ");
		row += row_length + strspn(row + row_length, " ");
	}
	return false;
}

int64_t table_number(const struct table *table, const char *column, int64_t missing)
{
	char word[32];

	return table_word(table, column, word, sizeof(word)) ? strtoll(word, NULL, 10) : missing;
}

void table_close(struct table *table)
{
	free(table->text);
	*table = (struct table){0};
}
