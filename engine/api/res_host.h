/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_HOST_H
#define BERTH_ENGINE_RES_HOST_H
/* Hosts and what hangs on them. For resources.c, in an order with parents before children. */
#include "engine/api/resource.h"
#include "engine/model/host.h"

extern const struct resource resource_host, resource_host_statistic, resource_host_permission, resource_host_nic, resource_host_nic_statistic,
	resource_host_network_attachment;
extern const struct action host_actions[];

/* May a host be in the cluster? Data of host_fits_cluster(), for change_check(): a data center with local storage has one host. */
bool host_fits_cluster(struct model *model, void *host, GError **error);
/* Any call to the host's agent: over its session, or while it has none (maintenance) over a channel of its own. Worker. */
bool host_call(struct request *request, const struct host *host, const char *verb, const void *params, int timeout_s, json_t **ret_result, GError **error);
/* What it said last of itself, or, while it has no session, says now. NULL + error; new reference. Worker. */
struct host_caps *host_capabilities(struct request *request, const struct host *host, GError **error);

#endif
