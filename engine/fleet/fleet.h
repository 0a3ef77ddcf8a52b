/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FLEET_H
#define BERTH_ENGINE_FLEET_H
/*
 * The fleet: one state machine per host. Theory of operation, states and the time diary are in fleet.c.
 * Any thread may call; fleet_call() blocks and is for workers only.
 */
#include <jansson.h>
#include <stdbool.h>
#include "engine/engine.h"
#include "engine/fleet/figures.h"
#include "engine/model/host.h"
#include "proto/host.h"

struct fleet *fleet_new(struct engine *engine, GError **error);
struct fleet *fleet_free(struct fleet *fleet);
bool fleet_reload(struct fleet *fleet, GError **error);                  /* certificates, for new connections */
/* Who is told, on a worker, each time a host was initialised and is up in the model, and when its grace is over; must not block. Before fleet_start(). */
void fleet_on_host_up(struct fleet *fleet, void (*host_up)(struct engine *engine, const char *host_id));
/* The same each time it was initialised and is found non-operational, but is still the host it was. */
void fleet_on_host_unfit(struct fleet *fleet, void (*host_unfit)(struct engine *engine, const char *host_id));
void fleet_on_host_lost(struct fleet *fleet, void (*host_lost)(struct engine *engine, const char *host_id));
void fleet_start(struct fleet *fleet);                                   /* begins sessions with every host of the model that should be connected */

void fleet_tell_again(struct fleet *fleet);                              /* the model gets what it could not take: loop's thread */

/* Begins (or keeps) the session of a host; its state goes connecting -> up | non_operational | non_responsive by itself. */
void fleet_watch(struct fleet *fleet, const char *host_id);
void fleet_forget(struct fleet *fleet, const char *host_id);             /* ends the session */

/* Calls a verb. params: a record of the verb's parameter type, or NULL. result: new reference (json true for verbs without data).
 * ERR_NO_CONNECTION at once when the host is not connected; ERR_MESSAGE_TIMEOUT after timeout_s. The agent's own errors come with their code. */
bool fleet_call(struct fleet *fleet, const char *host_id, const char *verb, const void *params, const char *flow_id, int timeout_s, json_t **ret_result,
		GError **error);
/* The same; the result as text, of which no tree was built (channel_call_text()). */
bool fleet_call_text(struct fleet *fleet, const char *host_id, const char *verb, const void *params, int timeout_s, GBytes **ret_text, GError **error);
/* One call without a host in the model (adding one): connects to address:port, calls, disconnects. ret_fingerprint: of the agent's certificate. */
bool fleet_probe(struct fleet *fleet, const char *address, int port, const char *verb, const void *params, int timeout_s, json_t **ret_result,
		 char **ret_subject, GError **error);
bool fleet_is_connected(struct fleet *fleet, const char *host_id);
enum fleet_reach {
	REACH_NEW,           /* since the session began it has not been connected, and its grace is not over */
	REACH_CONNECTED,
	REACH_AWAY,          /* it was, and is connected again */
	REACH_SILENT,        /* its grace is over: non_responsive (diary.h) */
};
enum fleet_reach fleet_reach(struct fleet *fleet, const char *host_id);
unsigned fleet_connected(struct fleet *fleet);                           /* hosts that are connected and have said what they are */

/* Latest figures; NULL when none. New references. */
struct vm_figures *fleet_vm_figures(struct fleet *fleet, const char *vm_id);
struct host_stats *fleet_host_stats(struct fleet *fleet, const char *host_id);
struct host_caps *fleet_host_caps(struct fleet *fleet, const char *host_id);

/* What the agent of a host is, into a copy of the host. */
void host_take_version(struct host *host, const struct host_caps *caps);
/* What a host has answered about one VM (an object as in VM.getStats) is in the model when this returns, like any news. Worker. */
void fleet_report_vm(struct fleet *fleet, const char *host_id, const json_t *json);
/* Waits until the VM's stored state is one of states (bit mask of enum vm_state) or the time is over. Worker. */
bool fleet_wait_vm(struct fleet *fleet, const char *vm_id, uint32_t states, int timeout_s, GError **error);

#endif
