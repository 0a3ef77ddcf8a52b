/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_CONFIG_H
#define BERTH_COMMON_CONFIG_H
/*
 * Configuration files (GKeyFile): a table says which keys exist, their defaults and their meaning; it is also where the man pages and
 * `--print-config` take them from. A key or section that the table does not know is refused by name and line.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <glib.h>

enum option_kind { OPTION_STRING, OPTION_PATH, OPTION_INT, OPTION_BOOL, OPTION_LIST /* comma list */ };

struct option {
	const char *section, *key;
	enum option_kind kind;
	const char *value;       /* default as text; NULL: none */
	int64_t min, max;        /* OPTION_INT; both 0: any */
	const char *doc;         /* one or two sentences with the unit */
};

struct config;

/* Reads file (NULL: defaults only). Errors name file, section, key, value. */
struct config *config_load(const char *file, const struct option *options, size_t n_options, GError **error);
struct config *config_free(struct config *config);

const char *config_string(const struct config *config, const char *section, const char *key);   /* NULL when unset */
int64_t config_int(const struct config *config, const char *section, const char *key);
bool config_bool(const struct config *config, const char *section, const char *key);
char **config_list(const struct config *config, const char *section, const char *key);          /* g_strfreev; never NULL */

/* The whole table as a commented file, defaults commented out. */
void config_print_defaults(FILE *out, const struct option *options, size_t n_options);

#endif
