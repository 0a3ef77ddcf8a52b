/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration.
 *
 * GKeyFile parses; the table decides. Everything is read and checked when the file is loaded, so the getters cannot fail: what they are
 * asked for must be in the table with that kind, and anything else is a mistake in the program. Values are kept as text beside
 * their option, numbers and truth values converted.
 *
 * An empty value means: none (a path or string that is switched off). A path must be absolute, since daemons have no directory.
 * A key that stands twice is refused like an unknown one: of two lines one would be silently without effect.
 */
#include <errno.h>
#include <string.h>
#include "common/config.h"
#include "common/error.h"

#define COLUMNS 100

struct setting {
	char *text;              /* NULL: unset */
	int64_t number;          /* OPTION_INT, OPTION_BOOL */
};

struct config {
	const struct option *options;
	size_t n_options;
	struct setting *settings;            /* one an option */
};

static const char *const kind_names[] = {
	[OPTION_STRING] = "text", [OPTION_PATH] = "absolute path", [OPTION_INT] = "number", [OPTION_BOOL] = "true or false",
	[OPTION_LIST] = "comma list",
};

static bool parse_bool(const char *text, int64_t *ret_value)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (!g_ascii_strcasecmp(text, words[i])) {
			*ret_value = i % 2;
			return true;
		}
	return false;
}

static bool any_number(const struct option *option)
{
	return option->min == 0 && option->max == 0;
}

static bool set_value(struct setting *setting, const struct option *option, const char *text, GError **error)
{
	int64_t min = any_number(option) ? INT64_MIN : option->min, max = any_number(option) ? INT64_MAX : option->max;
	bool good = true;

	if (option->kind == OPTION_PATH)
		good = !*text || g_path_is_absolute(text);
	else if (option->kind == OPTION_BOOL)
		good = parse_bool(text, &setting->number);
	else if (option->kind == OPTION_INT && !g_ascii_string_to_signed(text, 10, min, max, &setting->number, NULL)) {
		if (any_number(option))
			error_set(error, ERR_CONFIG_INVALID, "[%s] %s=%s: not a number", option->section, option->key, text);
		else
			error_set(error, ERR_CONFIG_INVALID, "[%s] %s=%s: not a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
				  option->section, option->key, text, min, max);
		return false;
	}
	if (!good) {
		error_set(error, ERR_CONFIG_INVALID, "[%s] %s=%s: not %s%s", option->section, option->key, text,
			  option->kind == OPTION_PATH ? "an " : "", kind_names[option->kind]);
		return false;
	}
	g_free(setting->text);
	setting->text = *text ? g_strdup(text) : NULL;
	return true;
}

/* How often a key, or with key NULL a section's head, stands in the text; *ret_line is the last of them. */
static unsigned find_lines(char **lines, const char *section, const char *key, unsigned *ret_line)
{
	g_autofree char *head = g_strdup_printf("[%s]", section);
	bool inside = false;
	unsigned n = 0;

	*ret_line = 0;
	for (unsigned i = 0; lines[i]; i++) {
		g_autofree char *line = g_strstrip(g_strdup(lines[i]));
		bool found;

		if (*line == '[') {
			inside = !strcmp(line, head);
			found = inside && !key;
		} else {
			char *equals = strchr(line, '=');

			if (equals)
				*equals = 0;
			found = inside && key && equals && !strcmp(g_strchomp(line), key);
		}
		if (found) {
			*ret_line = i + 1;
			n++;
		}
	}
	return n;
}

static const struct option *find_option(const struct option *options, size_t n_options, const char *section, const char *key)
{
	for (size_t i = 0; i < n_options; i++)
		if (!strcmp(options[i].section, section) && (!key || !strcmp(options[i].key, key)))
			return &options[i];
	return NULL;
}

static bool read_section(struct config *config, GKeyFile *file, char **lines, const char *section, GError **error)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file, section, NULL, NULL);
	unsigned line;

	if (!find_option(config->options, config->n_options, section, /* key= */ NULL)) {
		(void)find_lines(lines, section, /* key= */ NULL, &line);
		error_set(error, ERR_CONFIG_INVALID, "line %u: unknown section [%s]", line, section);
		return false;
	}
	for (char **key = keys; key && *key; key++) {
		const struct option *option = find_option(config->options, config->n_options, section, *key);
		unsigned times = find_lines(lines, section, *key, &line);
		g_autofree char *value = NULL;

		if (!option || times > 1) {
			error_set(error, ERR_CONFIG_INVALID, "line %u: [%s] %s: %s", line, section, *key, option ? "set twice" : "unknown key");
			return false;
		}
		value = option->kind == OPTION_INT || option->kind == OPTION_BOOL ? g_key_file_get_value(file, section, *key, NULL) :
										     g_key_file_get_string(file, section, *key, NULL);
		if (!value) {
			error_set(error, ERR_CONFIG_INVALID, "line %u: [%s] %s: not UTF-8 text, or a bad escape", line, section, *key);
			return false;
		}
		if (!set_value(&config->settings[option - config->options], option, g_strstrip(value), error)) {
			error_wrap(error, "line %u", line);
			return false;
		}
	}
	return true;
}

static bool read_file(struct config *config, const char *name, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) reason = NULL;
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL, sections = NULL;
	size_t length;

	if (!g_file_get_contents(name, &text, &length, &reason) || !g_key_file_load_from_data(file, text, length, G_KEY_FILE_NONE, &reason)) {
		/* an empty file is a good one */
		if (g_error_matches(reason, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_PARSE) && text && !*g_strstrip(text))
			return true;
		error_set(error, ERR_CONFIG_INVALID, "%s", reason->message);
		return false;
	}
	lines = g_strsplit(text, "\n", -1);
	sections = g_key_file_get_groups(file, NULL);
	for (char **section = sections; *section; section++)
		if (!read_section(config, file, lines, *section, error))
			return false;
	return true;
}

struct config *config_load(const char *file, const struct option *options, size_t n_options, GError **error)
{
	struct config *config = g_new0(struct config, 1);

	config->options = options;
	config->n_options = n_options;
	config->settings = g_new0(struct setting, n_options);
	for (size_t i = 0; i < n_options; i++)
		if (options[i].value && !set_value(&config->settings[i], &options[i], options[i].value, error)) {
			error_wrap(error, "defaults");
			return config_free(config);
		}
	if (file && !read_file(config, file, error)) {
		error_wrap(error, "%s", file);
		return config_free(config);
	}
	return config;
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;
	for (size_t i = 0; i < config->n_options; i++)
		g_free(config->settings[i].text);
	g_free(config->settings);
	g_free(config);
	return NULL;
}

static const struct setting *get(const struct config *config, const char *section, const char *key)
{
	const struct option *option = find_option(config->options, config->n_options, section, key);

	if (!option)
		g_error("no option [%s] %s", section, key);
	return &config->settings[option - config->options];
}

const char *config_string(const struct config *config, const char *section, const char *key)
{
	return get(config, section, key)->text;
}

int64_t config_int(const struct config *config, const char *section, const char *key)
{
	return get(config, section, key)->number;
}

bool config_bool(const struct config *config, const char *section, const char *key)
{
	return get(config, section, key)->number != 0;
}

char **config_list(const struct config *config, const char *section, const char *key)
{
	const char *text = get(config, section, key)->text;
	g_auto(GStrv) parts = g_strsplit(text ? text : "", ",", -1);
	g_autoptr(GPtrArray) list = g_ptr_array_new();

	for (char **part = parts; *part; part++)
		if (*g_strstrip(*part))
			g_ptr_array_add(list, g_strdup(*part));
	g_ptr_array_add(list, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&list), /* free_seg= */ FALSE);
}

/* "# " and words, broken at COLUMNS */
static void print_comment(FILE *out, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	size_t column = 0;

	for (char **word = words; *word; word++) {
		if (!column || column + 1 + strlen(*word) > COLUMNS)
			column = (size_t)fprintf(out, "%s#", column ? "\n" : "");
		column += (size_t)fprintf(out, " %s", *word);
	}
	fputc('\n', out);
}

static void print_option(FILE *out, const struct option *option)
{
	g_autofree char *range = option->kind == OPTION_INT && !any_number(option) ?
					 g_strdup_printf(", %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, option->min, option->max) : g_strdup("");
	g_autofree char *comment = g_strdup_printf("%s (%s%s)", option->doc, kind_names[option->kind], range);

	print_comment(out, comment);
	fprintf(out, "#%s=%s\n\n", option->key, option->value ? option->value : "");
}

void config_print_defaults(FILE *out, const struct option *options, size_t n_options)
{
	/* a section comes where its first option stands, with all its options */
	for (size_t i = 0; i < n_options; i++) {
		if (find_option(options, n_options, options[i].section, /* key= */ NULL) != &options[i])
			continue;
		fprintf(out, "[%s]\n", options[i].section);
		for (size_t j = i; j < n_options; j++)
			if (!strcmp(options[j].section, options[i].section))
				print_option(out, &options[j]);
	}
}
