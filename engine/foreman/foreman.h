/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FOREMAN_FOREMAN_H
#define BERTH_ENGINE_FOREMAN_FOREMAN_H
/*
 * Questions to a Foreman server with Katello (external host providers). Worker threads.
 *
 * A question has a deadline, [foreman] timeout seconds, for all requests that it takes; at most WEB_WAITING_MAX wait at a time (web_gate). Nothing is kept:
 * what is told is what the server says now.
 * provider_id: of a host_provider; gone: ERR_NOT_FOUND. Other errors: ERR_PROVIDER_FAILURE, ERR_TIMEOUT, ERR_RESOURCE_EXHAUSTED; they name the provider.
 */
#include "engine/engine.h"
#include "engine/model/host_provider.h"

#define FOREMAN_ERRATA_MAX 10000         /* more are not listed */

/* Is it there, and lets us in? */
bool foreman_check(struct engine *engine, const char *provider_id, GError **error);
/* What the machine of that host name lacks: struct erratum. Empty when the server does not know it. NULL + error */
GPtrArray *foreman_errata(struct engine *engine, const char *provider_id, const char *machine, GError **error);
/* One of them; ERR_NOT_FOUND. NULL + error; new reference */
struct erratum *foreman_erratum(struct engine *engine, const char *provider_id, const char *machine, const char *id, GError **error);

#endif
