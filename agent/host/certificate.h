/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_CERTIFICATE_H
#define BERTH_AGENT_CERTIFICATE_H
/* The agent's own certificate is made anew: Host.requestCertificate, Host.setCertificate; the files are those of [tls]. See common/renewal.c. */
#include "agent/agent.h"

bool certificate_request_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool certificate_set_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
