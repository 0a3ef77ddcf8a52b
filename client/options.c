/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option *find(const struct cli_option *options, size_t n, const char *name, size_t length)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(options[i].name) == length && strncmp(options[i].name, name, length) == 0)
			return &options[i];
	return NULL;
}

static const struct cli_option *find_letter(const struct cli_option *options, size_t n, char letter)
{
	for (size_t i = 0; i < n; i++)
		if (options[i].letter == letter)
			return &options[i];
	return NULL;
}

static void take(const struct cli_option *option, char *value)
{
	if (option->flag) {
		*option->flag = true;
	} else if (option->text) {
		*option->text = value;
	} else {
		if (!*option->list)
			*option->list = g_ptr_array_new();
		g_ptr_array_add(*option->list, value);
	}
}

/* "; did you mean '--search'?", or ";" */
static char *meant_option(const struct cli_option *options, size_t n, const char *arg)
{
	g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *name = g_strndup(arg, strcspn(arg, "="));

	options_complete(options, n, known);
	return did_you_mean(name, known);
}

bool options_parse(const struct cli_option *options, size_t n, const char *command, int argc, char **argv, GPtrArray *words)
{
	for (int i = 1; i < argc; i++) {
		char *arg = argv[i], *value = NULL;
		const struct cli_option *option;

		if (strcmp(arg, "--") == 0) {
			while (++i < argc)
				g_ptr_array_add(words, argv[i]);
			return true;
		}
		if (arg[0] != '-' || !arg[1]) {
			g_ptr_array_add(words, arg);
			continue;
		}
		if (arg[1] == '-') {
			value = strchr(arg, '=');
			option = find(options, n, arg + 2, value ? (size_t)(value - arg - 2) : strlen(arg + 2));
			if (value)
				value++;
		} else {
			option = find_letter(options, n, arg[1]);
			if (arg[2])
				value = arg + 2;
		}
		if (!option) {
			g_autofree char *meant = meant_option(options, n, arg);

			(void)usage_error("%s: unknown option '%s'%s `berth help %s` lists them", command, arg, meant, command);
			return false;
		}
		if (!option->argument && value) {
			(void)usage_error("%s: option '%s' takes no value", command, arg);
			return false;
		}
		if (option->argument && !value) {
			if (i + 1 >= argc) {
				(void)usage_error("%s: option '%s' needs a value: %s", command, arg, option->argument);
				return false;
			}
			value = argv[++i];
		}
		take(option, value);
	}
	return true;
}

GPtrArray *options_skip(const struct cli_option *options, size_t n, GPtrArray *words)
{
	GPtrArray *plain = g_ptr_array_new();

	for (guint i = 0; i < words->len; i++) {
		const char *word = words->pdata[i];
		const struct cli_option *option = NULL;

		if (i + 1 < words->len && *word == '-' && word[1]) {
			if (word[1] == '-')
				option = find(options, n, word + 2, strlen(word + 2));
			else if (!word[2])
				option = find_letter(options, n, word[1]);
			if (option && option->argument && i + 2 < words->len)
				i++;
			continue;
		}
		g_ptr_array_add(plain, (char *)word);
	}
	return plain;
}

void options_help(FILE *out, const struct cli_option *options, size_t n)
{
	fputs("\nOptions:\n", out);
	for (size_t i = 0; i < n; i++) {
		char letter[5] = "    ";
		g_autofree char *left = NULL;

		if (options[i].letter) {
			letter[0] = '-';
			letter[1] = options[i].letter;
			letter[2] = ',';
		}
		left = g_strdup_printf("%s--%s%s%s", letter, options[i].name, options[i].argument ? " " : "",
				       options[i].argument ? options[i].argument : "");
		print_entry(out, left, options[i].doc);
	}
}

void options_complete(const struct cli_option *options, size_t n, GPtrArray *ret)
{
	for (size_t i = 0; i < n; i++)
		g_ptr_array_add(ret, g_strdup_printf("--%s", options[i].name));
}

bool option_number(const char *name, const char *text, long min, long max, long *ret)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max) {
		(void)usage_error("--%s '%s': not a number from %ld to %ld", name, text, min, max);
		return false;
	}
	*ret = value;
	return true;
}
