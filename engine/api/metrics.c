/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics: what the engine counts, in the text form of Prometheus. Requests are observed as they are answered; hosts, virtual machines and what waits in
 * lanes are counted when asked.
 */
#include <string.h>
#include "common/lock.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "engine/api/api-priv.h"
#include "engine/fleet/fleet.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

void metrics_observe(struct call *call)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS" };
	const struct resource *resource = route_resource(&call->route);
	const struct action *action = call->route.action;
	uintptr_t method = 0;

	while (method < G_N_ELEMENTS(methods) - 1 && strcmp(methods[method], call->exchange->method) != 0)
		method++;
	/* one word: rows are constants below 2^47 */
	uint64_t key = (uint64_t)(uintptr_t)(action ? (const void *)action : (const void *)resource) | (uint64_t)method << 48 |
		       (uint64_t)(call->exchange->status & 1023) << 52;
	/* an answer that goes out before the work is done is seen by the worker, the others by the loop */
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	AUTO_LOCK(&lock);
	struct metric *metric = g_hash_table_lookup(call->api->metrics, &key);
	if (!metric) {
		g_autofree char *labels =
			g_strdup_printf("method=\"%s\",operation=\"%s%s%s%s%s\",status=\"%d\"", methods[method], resource && resource->parent ? resource->parent->path : "",
					resource && resource->parent ? "/" : "", resource ? resource->path : "-", action ? "/" : "", action ? action->name : "",
					call->exchange->status);
		metric = metric_histogram("berth_rest_request_seconds", labels, "Time from the end of a request to its answer");
		g_hash_table_insert(call->api->metrics, g_memdup2(&key, sizeof(key)), metric);
	}
	metric_observe(metric, now_usec() - call->started_usec);
}

/* Objects of the kind by the enumeration at `state`; absent ones are not counted. */
static void count_states(struct model *model, const struct kind *kind, size_t state, const char *const *names, const char *metric, const char *help)
{
	g_autoptr(GPtrArray) objects = model_list(model, kind);
	unsigned counts[64] = { 0 };

	for (guint i = 0; i < objects->len; i++) {
		const char *object = objects->pdata[i];
		int value = record_has(object, state) ? *(const int *)(const void *)(object + state) : -1;
		if (value >= 0 && value < (int)G_N_ELEMENTS(counts))
			counts[value]++;
	}
	for (int i = 0; names[i]; i++) {
		g_autofree char *labels = g_strdup_printf("state=\"%s\"", names[i]);
		metric_set(metric_gauge(metric, labels, help), counts[i]);
	}
}

static void count_jobs(struct lane_pool *lanes)
{
	json_t *jobs = lane_pool_list(lanes), *job;
	size_t i;
	unsigned running = 0, queued = 0;

	json_array_foreach(jobs, i, job) {
		if (g_strcmp0(json_string_value(json_object_get(job, "state")), "running") == 0)
			running++;
		else
			queued++;
	}
	json_decref(jobs);
	metric_set(metric_gauge("berth_jobs", "state=\"running\"", "Work under way or waiting for its turn"), running);
	metric_set(metric_gauge("berth_jobs", "state=\"queued\"", "Work under way or waiting for its turn"), queued);
}

void answer_metrics(struct call *call)
{
	const struct engine *engine = call->api->engine;
	GString *out = g_string_sized_new(8192);

	count_states(engine->model, &host_kind, offsetof(struct host, state), host_state_names, "berth_hosts", "Hosts by state");
	metric_set(metric_gauge("berth_hosts_connected", NULL, "Hosts whose agent is connected and has said what it is"), fleet_connected(engine->fleet));
	count_states(engine->model, &vm_kind, offsetof(struct vm, state), vm_state_names, "berth_vms", "Virtual machines by state");
	count_jobs(engine->lanes);
	metric_set(metric_gauge("berth_sessions", NULL, "Open sessions"), session_count(engine->auth));
	metric_set(metric_gauge("berth_events", NULL, "Events in memory"), (int64_t)model_count(engine->model, &event_kind));
	if (engine->store)
		metric_set(metric_gauge("berth_store_available", NULL, "1: changes can be stored; 0: the database does not answer"), !store_is_away(engine->store));
	metrics_write(out);
	exchange_answer(call->exchange, 200, "text/plain; version=0.0.4", out);
}
