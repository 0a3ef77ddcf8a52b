/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FLOW_AGENT_H
#define BERTH_ENGINE_FLOW_AGENT_H
/*
 * Calls from steps to a host's agent. An agent that is restarted in the middle of a flow should not end it, and a step that is taken up after a restart of the
 * engine runs before the hosts are connected again: patience says how long a missing connection or a recovering agent is waited for. A host whose grace is over
 * is not waited for.
 */
#include <jansson.h>
#include <stdbool.h>
#include "engine/engine.h"

#define AGENT_TIMEOUT_S 60
#define AGENT_PATIENCE_NONE (-1)
#define AGENT_PATIENCE_S 20              /* an agent that was restarted is back by then */
#define AGENT_PATIENCE_START_S 120       /* counted from the engine's start: so long all but AGENT_PATIENCE_NONE wait for a host's first sign of life */

/* The agent cannot be reached, or does not know its VMs yet: that passes. */
bool agent_is_away(const GError *error);
/* As fleet_call(). */
bool agent_call(struct engine *engine, const char *host_id, const char *verb, const void *params, const char *flow_id, int patience_s, json_t **ret_result,
		GError **error);
/* The same with the timeout of the call. */
bool agent_call_timed(struct engine *engine, const char *host_id, const char *verb, const void *params, const char *flow_id, int timeout_s, int patience_s,
		      json_t **ret_result, GError **error);
/* Starts a task of the agent (a verb that answers with a task's id) and waits until it is over; its error is ours. max_s: ERR_TIMEOUT after it.
 * ret_lost (may be NULL): the agent was restarted meanwhile and knows nothing of the task: look for yourself what became of it. */
bool agent_task(struct engine *engine, const char *host_id, const char *verb, const void *params, const char *flow_id, int patience_s, int max_s,
		bool *ret_lost, GError **error);
/* The same for a job whose id the caller has chosen: one that is there already, from before a restart of the engine, is waited for and not begun again. */
bool agent_job(struct engine *engine, const char *host_id, const char *verb, const void *params, const char *job_id, const char *flow_id, int patience_s,
	       int max_s, bool *ret_lost, GError **error);
/* Asks it to end and waits until it has; one that is not there, or is over: fine. */
bool agent_job_cancel(struct engine *engine, const char *host_id, const char *job_id, const char *flow_id, int patience_s, GError **error);

#endif
