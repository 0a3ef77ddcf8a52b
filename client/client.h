/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_CLIENT_CLIENT_H
#define BERTH_CLIENT_CLIENT_H
/*
 * What the parts of the `berth` command share: the table of commands, options, and how it speaks to people.
 *
 * Results go to standard output, all else to standard error, in one line that begins with "berth: " and says what to do.
 */
#include <stdbool.h>
#include <stdio.h>
#include <glib.h>

/* Exit statuses; what they mean is told by exit_statuses[] (say.c). EXIT_USAGE: nothing was sent anywhere. */
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_NOT_FOUND 3
#define EXIT_LOGIN 4
#define EXIT_NO_CONNECTION 5
#define EXIT_TIMEOUT 6
extern const char *const exit_statuses[EXIT_TIMEOUT + 1];

/* ---- commands (command.c) ---- */
struct command {
	const char *name, *doc;
	int (*run)(int argc, char **argv);                     /* argv[0] is the command's name */
	void (*complete)(GPtrArray *words, GPtrArray *ret);     /* words after the command's name, the last is the beginning of one; may be NULL */
	bool hidden;
};
extern const struct command commands[];
extern const size_t n_commands;
const struct command *command_find(const char *name);
int command_unknown(const char *name);                         /* complains; returns EXIT_USAGE */

int host_main(int argc, char **argv);
int pki_main(int argc, char **argv);
int engine_main(int argc, char **argv);
int login_main(int argc, char **argv);
int logout_main(int argc, char **argv);
int resource_main(int argc, char **argv);
int completion_main(int argc, char **argv);
int complete_main(int argc, char **argv);

void host_complete(GPtrArray *words, GPtrArray *ret);
void pki_complete(GPtrArray *words, GPtrArray *ret);
void login_complete(GPtrArray *words, GPtrArray *ret);
void completion_complete(GPtrArray *words, GPtrArray *ret);
void resource_complete(const char *collection, GPtrArray *words, GPtrArray *ret);

/* ---- help (help.c) ---- */
int help_main(int argc, char **argv);
void help_complete(GPtrArray *words, GPtrArray *ret);
void commands_help(FILE *out);

/* ---- options (options.c): one table is read for parsing, help and completion ---- */
struct cli_option {
	const char *name;
	char letter;                    /* 0: none */
	const char *argument;           /* "FILE"; NULL: a flag */
	const char *doc;
	bool *flag;                     /* exactly one of these three is set */
	const char **text;
	GPtrArray **list;               /* may be given more than once; made when the first is */
};
/* Options may stand anywhere before "--"; what is no option is added to words. false: said on standard error, exit EXIT_USAGE. */
bool options_parse(const struct cli_option *options, size_t n, const char *command, int argc, char **argv, GPtrArray *words);
void options_help(FILE *out, const struct cli_option *options, size_t n);
void options_complete(const struct cli_option *options, size_t n, GPtrArray *ret);
/* The words without options and their values (borrowed); the last word is the one to be completed and stays. */
GPtrArray *options_skip(const struct cli_option *options, size_t n, GPtrArray *words);
bool option_number(const char *name, const char *text, long min, long max, long *ret);      /* false: said on standard error */

/* ---- words for people (say.c) ---- */
void complain(const char *format, ...) G_GNUC_PRINTF(1, 2);
int usage_error(const char *format, ...) G_GNUC_PRINTF(1, 2);          /* complains; returns EXIT_USAGE */
int exit_status(const GError *error);                                  /* which status tells of this error */
int report_failure(const GError *error);                               /* complains; returns exit_status() */
char *printable(const char *text);                                     /* control characters, which could steer a terminal, as '?'; g_free */
char *joined(GPtrArray *names);                                        /* "a, b, c"; g_free */
void print_entry(FILE *out, const char *left, const char *doc);        /* "  left   doc" of a help text, on two lines when left is long */

/* ---- values for people (value.c) ---- */
char *parse_size(const char *text);                                    /* "1GiB", "1.5G" -> "1073741824", ...; NULL when it has no unit or is no size */
char *format_size(gint64 bytes);                                       /* "1.5 GiB" */
/* A number with its unit ("bytes", "ms", "%", or as statistics name them: "BYTES"); exact: a size in bytes. Text that is no number stays. g_free */
char *format_quantity(const char *text, const char *unit, bool exact);
/* Milliseconds since the epoch as ISO 8601 in local time; exact: with milliseconds. Text that is no number stays. g_free */
char *format_time(const char *text, bool exact);

/* ---- guesses (guess.c) ---- */
const char *nearest(const char *word, const GPtrArray *known);         /* the name that was probably meant; NULL: none is near */
char *did_you_mean(const char *word, const GPtrArray *known);          /* "; did you mean 'x'?", or ";": to be followed by what to do; g_free */

#endif
