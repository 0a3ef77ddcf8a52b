/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared storage on every host: VMs run on any host of a data center, so each that is up is connected to the active domains of its data center. When a domain
 * becomes active all hosts are, when a host comes up it is to all domains; each host on a lane of its own, so that one without a way to the storage keeps
 * nobody waiting. What cannot be connected is told by an event; the host stays up, and VMs that need the domain do not start on it.
 */
#include "common/error.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/storage_target.h"
#include "engine/model/cluster.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"
#define EVENT_NOT_CONNECTED 188              /* appendix C */

struct reach { struct engine *engine; char *host_id, *domain_id; };

static void reach_free(void *data)
{
	struct reach *reach = data;

	g_free(reach->host_id);
	g_free(reach->domain_id);
	g_free(reach);
}

static bool connect_host(struct engine *engine, const struct host *host, const struct storage_domain *domain, GError **error)
{
	const struct storage_call call = { engine, host->id, NULL, AGENT_PATIENCE_S };
	json_t *targets = storage_targets(engine->model, host->id, domain), *target;
	size_t i;
	bool ok = true;

	json_array_foreach(targets, i, target)
		ok = ok && storage_connect(&call, target, error);
	json_decref(targets);
	return ok;
}

static void run(void *data)
{
	struct reach *reach = data;
	struct host *host = model_get(reach->engine->model, &host_kind, reach->host_id);
	struct storage_domain *domain = model_get(reach->engine->model, &storage_domain_kind, reach->domain_id);
	g_autoptr(GError) error = NULL;

	if (host && domain && host->state == HOST_UP && domain->state == DOMAIN_ACTIVE && !connect_host(reach->engine, host, domain, &error))
		store_event(reach->engine->store, EVENT_NOT_CONNECTED, NULL, (void *[]){ host, domain, NULL },
			    "Failed to connect Host %s to the Storage Domains %s. (%s)", host->name, domain->name, error->message);
	record_unref(domain);
	record_unref(host);
}

static void submit(struct engine *engine, const char *host_id, const char *domain_id)
{
	g_autofree char *lane = g_strdup_printf("storage/%s", host_id);
	struct reach *reach = g_new0(struct reach, 1);
	struct lane_job job = { .name = "connect storage", .run = run, .data = reach, .free_data = reach_free };
	g_autoptr(GError) error = NULL;

	*reach = (struct reach){ engine, g_strdup(host_id), g_strdup(domain_id) };
	if (!lane_submit(engine->lanes, lane, &job, &error)) {
		log_warn("host %s: storage domain %s: %s, ignoring", host_id, domain_id, error->message);
		reach_free(reach);
	}
}

static bool is_in(struct model *model, const struct host *host, const char *data_center_id)
{
	struct cluster *cluster = model_get(model, &cluster_kind, host->cluster.id);
	bool in = cluster && data_center_id && !g_strcmp0(cluster->data_center.id, data_center_id);

	record_unref(cluster);
	return in;
}

void storage_spread(struct engine *engine, const char *domain_id)
{
	struct storage_domain *domain = model_get(engine->model, &storage_domain_kind, domain_id);
	g_autoptr(GPtrArray) hosts = model_list(engine->model, &host_kind);

	for (guint i = 0; domain && !domain->local_host.id && i < hosts->len; i++)
		if (((const struct host *)hosts->pdata[i])->state == HOST_UP && is_in(engine->model, hosts->pdata[i], domain->data_center.id))
			submit(engine, object_id(hosts->pdata[i]), domain_id);
	record_unref(domain);
}

void storage_host_up(struct engine *engine, const char *host_id)
{
	struct host *host = model_get(engine->model, &host_kind, host_id);
	g_autoptr(GPtrArray) domains = model_list(engine->model, &storage_domain_kind);

	for (guint i = 0; host && i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		if (domain->state == DOMAIN_ACTIVE && !domain->local_host.id && is_in(engine->model, host, domain->data_center.id))
			submit(engine, host_id, domain->id);
	}
	record_unref(host);
}
