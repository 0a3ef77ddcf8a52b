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
	int status;                       /* out: exit status; negative: the signal that ended it */
	GString *output;                  /* out: standard output and error as they came, at most PROCESS_OUTPUT_MAX; g_string_free */
};
/* A process group of its own, LC_ALL=C; killed with all it started when the time is over (ERR_TIMEOUT). ERR_GENERAL: could not be started. */
bool process_run(struct process *process, GError **error);

#endif
