/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_CLIENT_TABLE_H
#define BERTH_CLIENT_TABLE_H
/*
 * Aligned tables and JSON for people and scripts. A table's rows are kept until table_print(); the widths are those of the terminal (wide and
 * combining characters are counted as such). Titles are bold on a terminal, nothing has colours.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <glib.h>

struct table;
struct table *table_new(void);
struct table *table_free(struct table *table);                                  /* NULL accepted; returns NULL */
void table_column(struct table *table, const char *title, bool right);         /* before the first row */
void table_cell(struct table *table, const char *text);                        /* row by row; NULL: empty; control characters are replaced */
void table_print(const struct table *table, FILE *out, bool titles);
int text_width(const char *text);

/* Indent 4, keys sorted, ASCII: the bytes that vdsm-client prints (Python's json.dumps). A newline at the end. */
void json_print(FILE *out, const json_t *json);

#endif
