/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_PEER_H
#define BERTH_AGENT_PEER_H
/* Calls to the agent of another host, over its channel, with this agent's own certificate. Theory of operation in peer.c. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "agent/agent.h"
#include "agent/jobs.h"

#define PEER_PORT 54321

/* "host", "host:port", "[::1]", "[::1]:port"; ret_host without brackets, g_free. ERR_INVALID_PARAMETER */
bool peer_parse(const char *text, char **ret_host, int *ret_port, GError **error);
/* The host as it stands in a URI: IPv6 addresses in brackets; g_free */
char *peer_uri_host(const char *host);

/*
 * Directory run_dir/<name> with the agent's certificates under the names that some library looks for: files[0] the CA's, [1] the certificate, [2] the key.
 * Links, so that a renewed certificate is used at once. NULL + ERR_IO_FAILED. g_free
 */
char *peer_credentials(struct agent *agent, const char *name, const char *const files[3], GError **error);

struct peer_call {
	const char *host;             /* its certificate must have this name or address */
	int port;
	const char *method;
	const json_t *params;         /* borrowed */
	const char *flow_id;          /* may be NULL */
	int64_t timeout_usec;         /* for the answer, once it is connected */
	struct job *job;              /* that asks: when it is canceled, nothing is waited for any more; may be NULL */
};
/*
 * The result (a new reference), or NULL + the peer's error with its code, ERR_NO_CONNECTION_TO_PEER: it did not answer; ERR_TASK_ABORTED: the job was
 * canceled, and the peer may be doing it. Worker: waits.
 */
json_t *peer_ask(struct agent *agent, const struct peer_call *call, GError **error);

#endif
