/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>

static struct { bool any; char *name; int countdown, trace; } fault = { .trace = -1 };

static gpointer read_environment(gpointer unused)
{
	const char *wanted = getenv("BERTH_FAULT"), *trace = getenv("BERTH_FAULT_TRACE");
	char *count;

	if (wanted && *wanted) {
		fault.name = g_strdup(wanted);
		count = strrchr(fault.name, '#');
		fault.countdown = count ? atoi(count + 1) : 1;
		if (count)
			*count = '\0';
	}
	if (trace && *trace)
		fault.trace = open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	fault.any = fault.name || fault.trace >= 0;
	return NULL;
}

void fault_point(const char *name)
{
	static GOnce once = G_ONCE_INIT;

	g_once(&once, read_environment, NULL);
	if (!fault.any)
		return;
	if (fault.trace >= 0) {
		g_autofree char *line = g_strconcat(name, "\n", NULL);

		(void)!write(fault.trace, line, strlen(line));
	}
	if (fault.name && !strcmp(fault.name, name) && g_atomic_int_dec_and_test(&fault.countdown))
		raise(SIGKILL);
}
