/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_HOST_H
#define BERTH_ENGINE_RES_HOST_H
/* Hosts and what hangs on them. For resources.c, in an order with parents before children. */
#include "engine/api/resource.h"
#include "engine/model/host.h"

extern const struct resource resource_host, resource_host_statistic, resource_host_permission, resource_host_nic, resource_host_nic_statistic,
	resource_host_network_attachment, resource_nic_network_attachment, resource_host_nic_label, resource_host_numa_node, resource_host_numa_node_statistic,
	resource_host_storage, resource_host_device, resource_host_hook, resource_host_unmanaged_network, resource_host_fence_agent,
	resource_host_connection_extension, resource_host_erratum, resource_host_nic_vfs_label, resource_host_nic_vfs_network;
extern const struct action host_actions[];

/* A host's power devices, into a copy that is shown; and from a request, with the change of the host itself. */
void host_show_agents(struct model *model, struct host *shown);
bool host_take_agents(struct model *model, struct change *change, const struct host *host, const GPtrArray *wanted, GError **error);

/* May a host be in the cluster? Data of host_fits_cluster(), for change_check(): a data center with local storage has one host. */
bool host_fits_cluster(struct model *model, void *host, GError **error);
/*
 * Its agent answers, before until_usec (0: at once), is the one that the host was added with, if it ever was, and belongs to this engine (from now on). What it
 * says of itself is in the host, a copy, afterwards: host_known() copies that. Worker.
 */
bool host_take_over(struct request *request, struct host *host, int64_t until_usec, GError **error);
void host_known(struct host *host, const struct host *taken_over);
/* What only a host that is up can be asked: else ERR_WRONG_STATE. */
bool host_check_up(const struct host *host, GError **error);
/* Any call to the host's agent: over its session, or while it has none (maintenance) over a channel of its own. Worker. */
bool host_call(struct request *request, const struct host *host, const char *verb, const void *params, int timeout_s, json_t **ret_result, GError **error);
/* What it said last of itself, or, while it has no session, says now. NULL + error; new reference. Worker. */
struct host_caps *host_capabilities(struct request *request, const struct host *host, GError **error);

#endif
