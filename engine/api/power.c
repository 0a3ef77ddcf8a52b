/* SPDX-License-Identifier: Apache-2.0 */
/* See power.h. A restart is off, the device's word that it is off, and on. */
#include "engine/api/power.h"

#include <string.h>

#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/refs.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/agent.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "proto/host_calls.h"

#define LOG_MODULE "power"
#define FENCE_TIMEOUT_S 120
#define OFF_TRIES 30
#define OFF_PAUSE_USEC (2 * (int64_t)G_USEC_PER_SEC)

/* ---- proxies ---- */

static bool is_in(struct model *model, const struct host *host, const struct host *candidate, enum power_proxy_place place)
{
	struct cluster *own = model_get(model, &cluster_kind, host->cluster.id), *other = model_get(model, &cluster_kind, candidate->cluster.id);
	bool same_cluster = !g_strcmp0(host->cluster.id, candidate->cluster.id);
	bool same_center = own && other && own->data_center.id && !g_strcmp0(own->data_center.id, other->data_center.id);

	record_unref(own);
	record_unref(other);
	return place == PROXY_CLUSTER ? same_cluster : place == PROXY_DATACENTER ? same_center && !same_cluster : !same_center;
}

/* A host that is up and connected, where the host wants it to be looked for; g_free. NULL + error. */
static char *find_proxy(struct request *request, const struct host *host, GError **error)
{
	static const enum power_proxy_place usual[] = { PROXY_CLUSTER, PROXY_DATACENTER };
	struct model *model = request->engine->model;
	g_autoptr(GPtrArray) hosts = model_list(model, &host_kind);
	guint n = host->pm_proxies && host->pm_proxies->len ? host->pm_proxies->len : G_N_ELEMENTS(usual);

	for (guint i = 0; i < n; i++) {
		enum power_proxy_place place = host->pm_proxies && host->pm_proxies->len ?
						       (enum power_proxy_place)((const struct power_proxy *)host->pm_proxies->pdata[i])->type : usual[i];

		for (guint j = 0; j < hosts->len; j++) {
			const struct host *candidate = hosts->pdata[j];

			if (strcmp(candidate->id, host->id) && candidate->state == HOST_UP && fleet_is_connected(request->engine->fleet, candidate->id) &&
			    is_in(model, host, candidate, place))
				return g_strdup(candidate->id);
		}
	}
	error_set(error, ERR_OPERATION_FAILED, "host '%s': no other host is up that could reach its power device", host->name);
	return NULL;
}

/* ---- devices ---- */

static int by_order(gconstpointer a, gconstpointer b)
{
	return (*(const struct fence_agent *const *)a)->order - (*(const struct fence_agent *const *)b)->order;
}

/* In the order in which they are used; the one of power_management itself counts when there is no other. */
static GPtrArray *devices_of(struct model *model, const struct host *host)
{
	GPtrArray *devices = model_children(model, &fence_agent_kind, host->id);

	if (!devices->len && host->pm_type && host->pm_address) {
		struct fence_agent *agent = record_new(&fence_agent_type);

		set_string(&agent->type, host->pm_type);
		set_string(&agent->address, host->pm_address);
		set_string(&agent->username, host->pm_username);
		set_string(&agent->password, host->pm_password);
		SET(agent, order, 1);
		agent->options = host->pm_options ? g_ptr_array_ref(host->pm_options) : NULL;
		g_ptr_array_add(devices, agent);
	}
	g_ptr_array_sort(devices, by_order);
	return devices;
}

/*
 * What the guide's options are called by the programs fence_*. Where a device has several outlets, "slot" says which (their "port"), and "port" is that of
 * the connection.
 */
static const struct { const char *type, *option, *name; } option_names[] = {
	{ "apc", "port", "ipport" }, { "apc", "slot", "port" }, { "bladecenter", "port", "ipport" }, { "bladecenter", "slot", "port" },
	{ "cisco_ucs", "secure", "ssl" }, { "cisco_ucs", "slot", "port" }, { "drac5", "slot", "port" }, { "eps", "slot", "port" },
	{ "ilo", "secure", "ssl" }, { "ilo", "port", "ipport" }, { "ilo2", "secure", "ssl" }, { "ilo2", "port", "ipport" }, { "rsa", "port", "ipport" },
	{ "wti", "port", "ipport" }, { "wti", "slot", "port" },
};

static const char *option_name(const char *type, const char *option)
{
	for (size_t i = 0; i < G_N_ELEMENTS(option_names); i++)
		if (!strcmp(option_names[i].type, type) && !strcmp(option_names[i].option, option))
			return option_names[i].name;
	return option;
}

static void add_option(GString *text, const char *type, const char *name, const char *value)
{
	g_string_append_printf(text, "%s%s=%s", text->len ? "," : "", option_name(type, name), value);
}

static struct fence_params *params_of(const struct fence_agent *agent, const char *action)
{
	struct fence_params *params = record_new(&fence_params_type);
	GString *options = g_string_new(NULL);
	bool drac7 = !strcmp(agent->type, "drac7");        /* speaks IPMI */

	set_string(&params->agent, drac7 ? "ipmilan" : agent->type);
	set_string(&params->addr, agent->address);
	set_string(&params->username, agent->username ? agent->username : "");
	set_string(&params->password, agent->password ? agent->password : "");
	set_string(&params->action, action);
	SET(params, port, 0);
	if (drac7)
		add_option(options, agent->type, "lanplus", "1");
	if (agent->port) {
		g_autofree char *port = g_strdup_printf("%d", agent->port);

		add_option(options, agent->type, "port", port);
	}
	for (guint i = 0; agent->options && i < agent->options->len; i++) {
		const struct option_item *option = agent->options->pdata[i];
		bool is_secure = !strcmp(option_name(agent->type, option->name), "secure");

		if (is_secure)
			SET(params, secure, !g_ascii_strcasecmp(option->value ? option->value : "", "true"));
		else
			add_option(options, agent->type, option->name, option->value ? option->value : "");
	}
	params->options = g_string_free(options, FALSE);
	return params;
}

/* ---- calls ---- */

/* One order's calls, under way together; the last one frees it. */
struct volley {
	int refs;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct engine *engine;
	char *proxy_id, *flow_id;
	unsigned running, succeeded, on, off;
	GError *error;                       /* the first */
};
struct shot { struct volley *volley; struct fence_params *params; };

static void volley_unref(struct volley *volley)
{
	if (!g_atomic_int_dec_and_test(&volley->refs))
		return;
	pthread_mutex_destroy(&volley->lock);
	pthread_cond_destroy(&volley->cond);
	g_free(volley->proxy_id);
	g_free(volley->flow_id);
	g_clear_error(&volley->error);
	counted_free(volley);
}

static void shot_free(void *data)
{
	struct shot *shot = data;

	record_unref(shot->params);
	volley_unref(shot->volley);
	g_free(shot);
}

static void shoot(void *data)
{
	struct shot *shot = data;
	struct volley *volley = shot->volley;
	json_t *answer = NULL;
	GError *error = NULL;
	bool ok = agent_call_timed(volley->engine, volley->proxy_id, "Host.fenceNode", shot->params, volley->flow_id, FENCE_TIMEOUT_S, AGENT_PATIENCE_NONE, &answer,
				   &error);
	const char *power = json_string_value(json_object_get(answer, "power"));

	if (!ok)
		log_warn("power device %s '%s': %s: %s", shot->params->agent, shot->params->addr, shot->params->action, error->message);
	AUTO_LOCK(&volley->lock);
	volley->running--;
	volley->succeeded += ok;
	volley->on += !g_strcmp0(power, "on");
	volley->off += !g_strcmp0(power, "off");
	if (error && !volley->error)
		volley->error = g_steal_pointer(&error);
	g_clear_error(&error);
	json_decref(answer);
	pthread_cond_signal(&volley->cond);
}

/* The devices of one order, [from, to). */
static bool fire(struct request *request, const char *proxy, const GPtrArray *devices, guint from, guint to, const char *action, enum power_state *ret_state,
		 GError **error)
{
	struct volley *volley = g_new0(struct volley, 1);
	bool ok;

	*volley = (struct volley){ .refs = 1, .engine = request->engine, .proxy_id = g_strdup(proxy), .flow_id = g_strdup(request->actor.correlation_id) };
	pthread_mutex_init(&volley->lock, NULL);
	pthread_cond_init(&volley->cond, NULL);
	for (guint i = from; i < to; i++) {
		struct shot *shot = g_new0(struct shot, 1);
		struct lane_job job = { .name = "power device", .run = shoot, .data = shot, .free_data = shot_free };

		*shot = (struct shot){ volley, params_of(devices->pdata[i], action) };
		g_atomic_int_inc(&volley->refs);
		pthread_mutex_lock(&volley->lock);
		volley->running++;
		pthread_mutex_unlock(&volley->lock);
		/* the last one is this worker's own */
		if (i + 1 < to && lane_submit(request->engine->lanes, NULL, &job, NULL))
			continue;
		shoot(shot);
		shot_free(shot);
	}
	lane_wait_begin();
	pthread_mutex_lock(&volley->lock);
	/* every call has its own time limit */
	while (volley->running)
		pthread_cond_wait(&volley->cond, &volley->lock);
	lane_wait_end();
	*ret_state = volley->on ? POWER_ON : volley->off ? POWER_OFF : POWER_UNKNOWN;
	ok = !strcmp(action, "off") ? volley->succeeded == to - from : volley->succeeded > 0;
	if (!ok)
		g_propagate_error(error, g_steal_pointer(&volley->error));
	pthread_mutex_unlock(&volley->lock);
	volley_unref(volley);
	return ok;
}

static bool act(struct request *request, const char *proxy, const GPtrArray *devices, const char *action, enum power_state *ret_state, GError **error)
{
	GError *own = NULL;

	for (guint from = 0, to; from < devices->len; from = to) {
		int order = ((const struct fence_agent *)devices->pdata[from])->order;

		for (to = from + 1; to < devices->len && ((const struct fence_agent *)devices->pdata[to])->order == order; to++)
			;
		g_clear_error(&own);
		if (fire(request, proxy, devices, from, to, action, ret_state, &own))
			return true;
	}
	g_propagate_error(error, own);
	return false;
}

static bool wait_off(struct request *request, const char *proxy, const GPtrArray *devices, GError **error)
{
	for (int i = 0; i < OFF_TRIES; i++) {
		enum power_state state;

		if (!act(request, proxy, devices, "status", &state, error))
			return false;
		if (state == POWER_OFF)
			return true;
		lane_pause(OFF_PAUSE_USEC);
	}
	error_set(error, ERR_TIMEOUT, "the power device does not say that the power is off");
	return false;
}

bool power_switch(struct request *request, const struct host *host, enum fence_type what, enum power_state *ret_state, GError **error)
{
	g_autoptr(GPtrArray) devices = devices_of(request->engine->model, host);
	g_autofree char *proxy = NULL;
	enum power_state state;
	bool ok;

	if (!devices->len) {
		error_set(error, ERR_OPERATION_FAILED, "host '%s' has no power device", host->name);
		return false;
	}
	if (!(proxy = find_proxy(request, host, error)))
		return false;
	switch (what) {
	case FENCE_STATUS:
		return act(request, proxy, devices, "status", ret_state, error);
	case FENCE_START:
		*ret_state = POWER_ON;
		return act(request, proxy, devices, "on", &state, error);
	default:
		ok = act(request, proxy, devices, "off", &state, error) && wait_off(request, proxy, devices, error);
		*ret_state = what == FENCE_RESTART ? POWER_ON : POWER_OFF;
		return ok && (what == FENCE_STOP || act(request, proxy, devices, "on", &state, error));
	}
}
