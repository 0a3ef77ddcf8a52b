/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory policy of hosts (REST 10.1, 14.5): balloons when the cluster says so, merging of equal pages when the host or its cluster does. The agent keeps
 * what it was told last; it is told again whenever the host comes up, so what could not be said while it was away is said then.
 */
#include "engine/flow/host_policy.h"

#include "common/error.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/model/cluster.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"
#include "proto/host_calls.h"

#define LOG_MODULE "flow"
#define EVENT_POLICY_FAILED 20352             /* of our own */

struct push { struct engine *engine; char *host_id; };

static void push_free(void *data)
{
	struct push *push = data;

	g_free(push->host_id);
	g_free(push);
}

static void run(void *data)
{
	struct push *push = data;
	struct host *host = model_get(push->engine->model, &host_kind, push->host_id);
	struct cluster *cluster = host ? model_get(push->engine->model, &cluster_kind, host->cluster.id) : NULL;
	struct mom_parameters_params *params;
	g_autoptr(GError) error = NULL;

	if (host && cluster && host->state == HOST_UP) {
		params = record_new(&mom_parameters_params_type);
		params->values = json_pack("{s:b, s:b}", "balloonEnabled", cluster->ballooning_enabled, "ksmEnabled", host->ksm || cluster->ksm);
		if (!agent_call(push->engine, host->id, "Host.setMOMPolicyParameters", params, NULL, AGENT_PATIENCE_S, NULL, &error) && !agent_is_away(error))
			store_event(push->engine->store, EVENT_POLICY_FAILED, NULL, (void *[]){ host, NULL }, "The memory policy of host %s could not be set: %s", host->name,
				    error->message);
		record_unref(params);
	}
	record_unref(cluster);
	record_unref(host);
}

void host_policy_push(struct engine *engine, const char *host_id)
{
	g_autofree char *lane = g_strdup_printf("policy/%s", host_id);
	struct push *push = g_new0(struct push, 1);
	struct lane_job job = { .name = "memory policy", .run = run, .data = push, .free_data = push_free };
	g_autoptr(GError) error = NULL;

	*push = (struct push){ engine, g_strdup(host_id) };
	if (!lane_submit(engine->lanes, lane, &job, &error)) {
		log_warn("host %s: memory policy: %s, ignoring", host_id, error->message);
		push_free(push);
	}
}

void cluster_policy_push(struct engine *engine, const char *cluster_id)
{
	g_autoptr(GPtrArray) hosts = model_referring(engine->model, &host_kind, offsetof(struct host, cluster), cluster_id);

	for (guint i = 0; i < hosts->len; i++)
		host_policy_push(engine, object_id(hosts->pdata[i]));
}
