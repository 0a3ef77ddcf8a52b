/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_PROCESS_H
#define BERTH_AGENT_PROCESS_H
/* Runs a program to its end, with bounds. Blocks: workers only. */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#define PROCESS_OUTPUT_MAX (64 * 1024)

struct process {
	const char *const *argv;          /* [0]: absolute path; NULL-terminated */
	const char *input;                /* for its standard input, which is then closed; NULL: none. May be secret: it is never logged */
	int64_t limit_usec;
	size_t output_max;                /* 0: PROCESS_OUTPUT_MAX */
	bool apart;                       /* standard error goes to `errors`, not into `output` */
	void (*heard)(void *data, const char *text, size_t length);      /* standard output as it comes; may be NULL */
	void *data;                       /* heard()'s */
	int keep_fd;                      /* stays open in the program, under its number; 0: none */
	int stop_fd;                      /* when it can be read, the program is killed; 0: none */
	int status;                       /* out: exit status; negative: the signal that ended it */
	bool cut, stopped;                /* out: it wrote more than output_max; it was killed because of stop_fd */
	GString *output, *errors;         /* out: what it wrote, as it came, at most output_max each; g_string_free. errors: NULL unless apart */
};
/* A process group of its own, LC_ALL=C; killed with all it started when the time is over (ERR_TIMEOUT). ERR_GENERAL: could not be started. One that was
 * stopped is true: the caller knows why. */
bool process_run(struct process *process, GError **error);

#endif
