/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_GLUSTER_COMMAND_H
#define BERTH_AGENT_GLUSTER_COMMAND_H
/* A verb of Gluster is a command with words made of its parameters, and the shape of its answer. The rows are in commands.c. */
#include "agent/agent.h"
#include "agent/gluster/answer.h"
#include "common/error.h"

struct gluster_command {
	const char *verb;
	/*
	 * Words with blanks between. {x}: the parameter x; a list stands for as many words, {x,} for one with commas. [...] is left out when a parameter in it is
	 * absent, empty, 0 or false; {?x} in it only asks for x.
	 */
	const char *words;
	enum error_code code;                 /* of what Gluster refuses */
	const struct shape *answer;           /* NULL: {} */
	int missing_errno;                    /* not 0: with this number it means missing_code */
	enum error_code missing_code;
};
const struct gluster_command *gluster_command_find(const char *verb);

/* The words of the command; strings, terminated by NULL. */
GPtrArray *gluster_words(const char *words, const void *params);
/* The handler of every verb of Gluster. */
bool gluster_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
