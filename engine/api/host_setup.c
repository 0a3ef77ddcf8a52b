/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setting up the networks of a host: what the client wishes becomes one Host.setupNetworks, so it happens whole or not at all.
 *
 * With the connectivity check the agent waits, after the change, for a client that can still reach it, and takes the change back when none comes within the
 * timeout. While the call is under way a second worker says so (Host.confirmConnectivity) every CONFIRM_USEC.
 *
 * What is sent stays in host.networks. It lives on the host until its next boot only; Host.setSafeNetworkConfig (commitnetconfig) makes it permanent.
 */
#include "engine/api/host_network.h"

#include <string.h>

#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/refs.h"
#include "engine/api/res_host.h"
#include "engine/fleet/fleet.h"
#include "engine/fleet/refresh.h"
#include "engine/flow/agent.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

#define LOG_MODULE "api"
#define CONFIRM_USEC (500 * 1000)
#define CONFIRM_TIMEOUT_S 5
#define MARGIN_S 60                     /* what the agent may need beside the check */
#define REFRESH_TIMEOUT_S 30

/* Event codes: appendix C; and one of our own */
#define EVENT_SET_UP 10903
#define EVENT_LABEL_FAILED 1133

/* ---- confirmation ---- */

/* Shared by who waits for the set-up and who confirms; the last one frees it. */
struct confirmation { int refs; struct engine *engine; struct host *host; char *flow_id; gint over; };

static void confirmation_unref(void *data)
{
	struct confirmation *confirmation = data;

	if (!g_atomic_int_dec_and_test(&confirmation->refs))
		return;
	record_unref(confirmation->host);
	g_free(confirmation->flow_id);
	counted_free(confirmation);
}

static void confirm(void *data)
{
	struct confirmation *confirmation = data;
	struct fleet *fleet = confirmation->engine->fleet;
	const struct host *host = confirmation->host;

	while (!g_atomic_int_get(&confirmation->over)) {
		g_autoptr(GError) error = NULL;
		bool ok;

		lane_pause(CONFIRM_USEC);
		if (g_atomic_int_get(&confirmation->over))
			break;
		if (fleet_is_connected(fleet, host->id))
			ok = fleet_call(fleet, host->id, "Host.confirmConnectivity", NULL, confirmation->flow_id, CONFIRM_TIMEOUT_S, NULL, &error);
		else
			ok = fleet_probe(fleet, host->address, host->port, "Host.confirmConnectivity", NULL, CONFIRM_TIMEOUT_S, NULL, NULL, &error);
		if (!ok)
			log_debug("host '%s': connectivity not confirmed: %s, trying again", host->name, error->message);
	}
}

static struct confirmation *begin_confirming(struct request *request, const struct host *host)
{
	struct confirmation *confirmation = g_new0(struct confirmation, 1);
	struct lane_job job = { .name = "confirm connectivity", .run = confirm, .data = confirmation, .free_data = confirmation_unref };
	g_autoptr(GError) error = NULL;

	*confirmation = (struct confirmation){ 2, request->engine, record_ref(host), g_strdup(request->actor.correlation_id), 0 };
	if (!lane_submit(request->engine->lanes, NULL, &job, &error)) {
		log_warn("host '%s': connectivity will not be confirmed: %s, ignoring", host->name, error->message);
		confirmation_unref(confirmation);
	}
	return confirmation;
}

static void end_confirming(struct confirmation *confirmation)
{
	g_atomic_int_set(&confirmation->over, 1);
	confirmation_unref(confirmation);
}

/* ---- doing it ---- */

static bool send(struct request *request, const struct host *host, const struct network_plan *plan, const struct network_setup *setup, GError **error)
{
	struct host_setup_networks_params *params = record_new(&host_setup_networks_params_type);
	int timeout_s = setup->check_connectivity ? setup->timeout_s : 0;
	struct confirmation *confirmation = setup->check_connectivity ? begin_confirming(request, host) : NULL;
	g_autoptr(GError) own = NULL;
	bool ok;

	params->networks = json_incref(plan->networks);
	params->bondings = json_incref(plan->bonds);
	params->options = json_pack("{s:b}", "connectivityCheck", setup->check_connectivity);
	if (setup->check_connectivity)
		json_object_set_new(params->options, "connectivityTimeout", json_integer(timeout_s));
	ok = host_call(request, host, "Host.setupNetworks", params, timeout_s + MARGIN_S, NULL, &own);
	if (confirmation)
		end_confirming(confirmation);
	record_unref(params);
	/* what the agent answers when the check failed: trying again would end the same */
	if (error_is(own, ERR_NO_CONNECTION_TO_PEER)) {
		error_set(error, ERR_OPERATION_FAILED, "host '%s': %s", host->name, own->message);
		g_clear_error(&own);
	}
	if (own)
		g_propagate_error(error, g_steal_pointer(&own));
	return ok;
}

struct outcome { struct request *request; const struct network_plan *plan; };

static bool edit_networks(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	const struct outcome *outcome = data;
	json_t *all = host->networks ? json_deep_copy(host->networks) : json_object();
	const char *name;
	json_t *config;

	json_object_foreach(outcome->plan->networks, name, config)
		if (json_is_true(json_object_get(config, "remove")))
			json_object_del(all, name);
		else
			json_object_set(all, name, config);
	CLEAR(host, networks);
	host->networks = all;
	CLEAR(host, nic_labels);
	host->nic_labels = json_incref(outcome->plan->labels);
	change_event(change, EVENT_SET_UP, &outcome->request->actor, (void *[]){ host, NULL }, "Networks of host %s were set up by %s.", host->name,
		     outcome->request->actor.user_name);
	return true;
}

static bool check_state(const struct host *host, GError **error)
{
	if (host->state == HOST_UP || host->state == HOST_MAINTENANCE || host->state == HOST_NON_OPERATIONAL)
		return true;
	error_set(error, ERR_WRONG_STATE, "cannot set up the networks of host '%s': it is %s", host->name, host_state_names[host->state]);
	return false;
}

bool host_setup_networks(struct request *request, const struct host *host, const struct network_setup *setup, char **ret_name, GError **error)
{
	struct host_caps *caps = check_state(host, error) ? host_capabilities(request, host, error) : NULL;
	struct network_plan plan;
	g_autoptr(GError) own = NULL;
	bool ok, sent;

	if (!caps)
		return false;
	ok = network_plan_make(request, host, caps, setup, &plan, error);
	record_unref(caps);
	if (!ok)
		return false;
	sent = json_object_size(plan.networks) || json_object_size(plan.bonds);
	if (sent || !json_equal(plan.labels, host->nic_labels)) {
		struct outcome outcome = { request, &plan };

		ok = (!sent || send(request, host, &plan, setup, error)) &&
		     store_modify(request->engine->store, &host_kind, host->id, edit_networks, &outcome, NULL, error);
		if (ok && sent && fleet_is_connected(request->engine->fleet, host->id) && !fleet_refresh(request->engine->fleet, host->id, REFRESH_TIMEOUT_S, &own))
			log_warn("host '%s': %s, ignoring", host->name, own->message);
	}
	if (ok && ret_name)
		*ret_name = g_steal_pointer(&plan.first);
	network_plan_clear(&plan);
	return ok;
}

/* ---- labels of networks ---- */

struct following { struct engine *engine; char *host_id, *network_id, *lost, *user_id, *user_name, *correlation_id; };

static void following_free(void *data)
{
	struct following *following = data;

	g_free(following->host_id);
	g_free(following->network_id);
	g_free(following->lost);
	g_free(following->user_id);
	g_free(following->user_name);
	g_free(following->correlation_id);
	g_free(following);
}

/* The network's attachment, where it is on an interface with the label that it has lost. NULL: nothing is to be removed. */
static struct network_attachment *orphan(struct request *request, const struct host *host, const struct following *following)
{
	struct host_caps *caps = host_capabilities(request, host, NULL);
	g_autoptr(GPtrArray) attachments = host_attachments(request, host, caps);
	struct network_attachment *found = NULL;

	for (guint i = 0; i < attachments->len && !found; i++) {
		struct network_attachment *attachment = attachments->pdata[i];

		if (!g_strcmp0(attachment->network.id, following->network_id) && attachment->host_nic_name &&
		    host_nic_has_label(host->nic_labels, attachment->host_nic_name, following->lost))
			found = record_ref(attachment);
	}
	record_unref(caps);
	return found;
}

static void follow(void *data)
{
	struct following *following = data;
	struct host *host = model_get(following->engine->model, &host_kind, following->host_id);
	struct request request = {
		.engine = following->engine, .base = "/api",
		.actor = { .user_id = following->user_id, .user_name = following->user_name, .correlation_id = following->correlation_id },
	};
	struct network_setup setup = { .check_connectivity = true, .timeout_s = SETUP_TIMEOUT_S };
	struct network_attachment *gone = host && following->lost ? orphan(&request, host, following) : NULL;
	g_autoptr(GPtrArray) removed = list_new();
	g_autoptr(GError) error = NULL;

	if (gone)
		g_ptr_array_add(removed, gone);
	setup.removed = removed;
	/* what the labels bring is part of every set-up */
	if (host && !host_setup_networks(&request, host, &setup, NULL, &error))
		store_event(following->engine->store, EVENT_LABEL_FAILED, &request.actor, (void *[]){ host, NULL },
			    "Host %s does not follow the label of a network: %s", host->name, error->message);
	record_unref(host);
}

void hosts_follow_label(struct request *request, const struct network *network, const char *lost)
{
	struct engine *engine = request->engine;
	g_autoptr(GPtrArray) hosts = model_list(engine->model, &host_kind);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		struct network *own = json_object_size(host->nic_labels) ? host_network_named(engine->model, host, network->name) : NULL;
		bool concerned = own && !strcmp(own->id, network->id);
		g_autofree char *lane = g_strdup_printf("hosts/%s", host->id);
		struct following *following;
		struct lane_job job = { .name = "label of a network", .run = follow, .free_data = following_free };
		g_autoptr(GError) error = NULL;

		record_unref(own);
		if (!concerned)
			continue;
		following = g_new0(struct following, 1);
		*following = (struct following){ engine, g_strdup(host->id), g_strdup(network->id), g_strdup(lost), g_strdup(request->actor.user_id),
						 g_strdup(request->actor.user_name), g_strdup(request->actor.correlation_id) };
		job.data = following;
		if (!lane_submit(engine->lanes, lane, &job, &error)) {
			log_warn("host '%s': label of network '%s': %s, ignoring", host->name, network->name, error->message);
			following_free(following);
		}
	}
}
