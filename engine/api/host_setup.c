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
#define MTU_DEFAULT 1500
#define CONFIRM_USEC (500 * 1000)
#define CONFIRM_TIMEOUT_S 5
#define MARGIN_S 60                     /* what the agent may need beside the check */
#define REFRESH_TIMEOUT_S 30

/* Event codes, appendix C */
#define EVENT_UPDATED 43

/* ---- wishes ---- */

static bool fail(const struct network_attachment *attachment, enum error_code code, const char *why, GError **error)
{
	const char *which = attachment->name ? attachment->name : attachment->network.name ? attachment->network.name : attachment->network.id ?
			    attachment->network.id : attachment->id ? attachment->id : "";

	error_set(error, code, "network_attachment '%.128s': %s", which, why);
	return false;
}

static const struct network_attachment *attachment_by_id(const GPtrArray *attachments, const char *id)
{
	for (guint i = 0; i < attachments->len; i++)
		if (!g_strcmp0(object_id(attachments->pdata[i]), id))
			return attachments->pdata[i];
	return NULL;
}

static bool cluster_has(struct model *model, const char *cluster_id, const char *network_id)
{
	g_autoptr(GPtrArray) members = model_children(model, &cluster_network_kind, cluster_id);

	for (guint i = 0; i < members->len; i++)
		if (!g_strcmp0(((const struct cluster_network *)members->pdata[i])->network.id, network_id))
			return true;
	return false;
}

/* The network of a new attachment. NULL + error; new reference. */
static struct network *wished_network(struct request *request, const struct host *host, const struct network_attachment *wish, GError **error)
{
	struct model *model = request->engine->model;
	struct network *network;

	if (!wish->network.id && !wish->network.name) {
		error_set(error, ERR_INCOMPLETE, "NetworkAttachment [network.id|name] required for add");
		return NULL;
	}
	network = wish->network.id ? model_get(model, &network_kind, wish->network.id) : host_network_named(model, host, wish->network.name);
	if (!network)
		error_set(error, ERR_NOT_FOUND, "network '%.128s'", wish->network.id ? wish->network.id : wish->network.name);
	else if (!cluster_has(model, host->cluster.id, network->id)) {
		error_set(error, ERR_OPERATION_FAILED, "network '%s' is not in the cluster of host '%s'", network->name, host->name);
		record_unref(network);
		network = NULL;
	}
	return network;
}

/* Name of the interface that is wished: "" none. NULL + error; g_free. */
static char *wished_nic(const struct host *host, const struct host_caps *caps, const struct network_attachment *wish, GError **error)
{
	const char *name;
	json_t *value;

	if (!wish->host_nic_id && !wish->host_nic_name)
		return g_strdup("");
	if (caps->nics)
		json_object_foreach(caps->nics, name, value) {
			g_autofree char *id = host_part_id("nic", host->id, name);

			if (wish->host_nic_id ? !strcmp(wish->host_nic_id, id) : !strcmp(wish->host_nic_name, name))
				return g_strdup(name);
		}
	error_set(error, ERR_NOT_FOUND, "host_nic '%.128s' of host '%s' (only plain interfaces are supported so far)",
		  wish->host_nic_id ? wish->host_nic_id : wish->host_nic_name, host->name);
	return NULL;
}

static bool set_addresses(struct network_config *config, const struct network_attachment *wish, GError **error)
{
	const struct address_assignment *given = NULL;

	if (wish->assignments && wish->assignments->len > 1)
		return fail(wish, ERR_UNSUPPORTED_OPERATION, "more than one address is not supported yet", error);
	if (wish->assignments && wish->assignments->len)
		given = wish->assignments->pdata[0];
	if (given && HAS(given, method) && given->method == BOOT_DHCP) {
		set_string(&config->bootproto, "dhcp");
		return true;
	}
	if (given && HAS(given, method) && given->method == BOOT_NONE)
		return true;
	set_string(&config->ipaddr, given ? given->address : wish->ip_address);
	set_string(&config->netmask, given ? given->netmask : wish->ip_netmask);
	set_string(&config->gateway, given ? given->gateway : wish->ip_gateway);
	if (given && HAS(given, method) && given->method == BOOT_STATIC && !config->ipaddr)
		return fail(wish, ERR_INCOMPLETE, "IpAddressAssignment [ip.address] required for static", error);
	if (config->ipaddr && !config->netmask)
		return fail(wish, ERR_INCOMPLETE, "IpAddressAssignment [ip.netmask] required with ip.address", error);
	if (config->gateway)
		SET(config, default_route, true);
	return true;
}

static bool set_properties(struct network_config *config, const struct network_attachment *wish, GError **error)
{
	for (guint i = 0; wish->properties && i < wish->properties->len; i++) {
		const struct network_property *property = wish->properties->pdata[i];
		g_autofree char *value = g_strstrip(g_strdup(property->value ? property->value : ""));

		if (!property->name)
			return fail(wish, ERR_INCOMPLETE, "Property [name] required", error);
		if (!strcmp(property->name, "bridge_opts"))
			return fail(wish, ERR_UNSUPPORTED_OPERATION, "the property bridge_opts is not supported yet", error);
		if (!config->custom)
			config->custom = json_object();
		json_object_set_new(config->custom, property->name, json_string(value));
	}
	return true;
}

/* What the agent is sent for one wish; new reference. */
static json_t *config_of(const struct host *host, const struct host_caps *caps, const struct network *network, const struct network_attachment *wish, GError **error)
{
	struct network_config *config = record_new(&network_config_type);
	g_autofree char *nic = wished_nic(host, caps, wish, error);
	json_t *json = NULL;

	if (nic && set_addresses(config, wish, error) && set_properties(config, wish, error)) {
		if (*nic)
			set_string(&config->nic, nic);
		if (!config->bootproto)
			set_string(&config->bootproto, "none");
		if (network->vlan)
			SET(config, vlan, network->vlan);
		SET(config, mtu, network->mtu ? network->mtu : MTU_DEFAULT);
		SET(config, bridged, network_carries_vms(network));
		SET(config, stp, network->stp);
		json = record_to_json(config, RECORD_CHANNEL);
	}
	record_unref(config);
	return json;
}

/* The attachment as it is, with what the wish says laid over it; a new record. */
static struct network_attachment *changed(const struct network_attachment *current, const struct network_attachment *wish)
{
	struct network_attachment *whole = record_copy(current);

	if (wish->host_nic_id || wish->host_nic_name) {
		set_string(&whole->host_nic_id, wish->host_nic_id);
		set_string(&whole->host_nic_name, wish->host_nic_name);
	}
	if (wish->assignments || wish->ip_address) {
		CLEAR(whole, assignments);
		if (wish->assignments)
			whole->assignments = g_ptr_array_ref(wish->assignments);
		set_string(&whole->ip_address, wish->ip_address);
		set_string(&whole->ip_netmask, wish->ip_netmask);
		set_string(&whole->ip_gateway, wish->ip_gateway);
	}
	if (wish->properties) {
		CLEAR(whole, properties);
		whole->properties = g_ptr_array_ref(wish->properties);
	}
	return whole;
}

/* ---- the request ---- */

struct plan {
	struct request *request;
	const struct host *host;
	struct host_caps *caps;
	GPtrArray *current;                  /* struct network_attachment */
	json_t *networks;                    /* name -> what is sent */
	char *first;
};

static bool enter(struct plan *plan, const char *name, json_t *config, GError **error)
{
	if (!config)
		return false;
	if (json_object_get(plan->networks, name)) {
		error_set(error, ERR_BAD_VALUE, "network '%s' is named twice", name);
		json_decref(config);
		return false;
	}
	json_object_set_new(plan->networks, name, config);
	return true;
}

static bool plan_modified(struct plan *plan, const struct network_attachment *wish, GError **error)
{
	const struct network_attachment *current = wish->id ? attachment_by_id(plan->current, wish->id) : NULL;
	struct network_attachment *whole = current ? changed(current, wish) : record_ref(wish);
	struct network *network = NULL;
	bool ok = false;

	if (wish->id && !current)
		error_set(error, ERR_NOT_FOUND, "network_attachment '%.128s'", wish->id);
	else if (current && ((wish->network.id && strcmp(wish->network.id, current->network.id)) ||
			     (wish->network.name && g_ascii_strcasecmp(wish->network.name, current->name))))
		error_set(error, ERR_IMMUTABLE, "Attempt to set immutable field: network");
	else if (!current)
		network = wished_network(plan->request, plan->host, wish, error);
	else if (!(network = model_get(plan->request->engine->model, &network_kind, current->network.id)))
		error_set(error, ERR_NOT_FOUND, "network '%s'", current->name);
	if (network) {
		ok = enter(plan, network->name, config_of(plan->host, plan->caps, network, whole, error), error);
		if (ok && !plan->first)
			plan->first = g_strdup(network->name);
	}
	record_unref(network);
	record_unref(whole);
	return ok;
}

static bool plan_removed(struct plan *plan, const struct network_attachment *wish, GError **error)
{
	const struct network_attachment *current = attachment_by_id(plan->current, wish->id);
	struct network *network;
	bool management;

	if (!current) {
		error_set(error, ERR_NOT_FOUND, "network_attachment '%.128s'", wish->id ? wish->id : "");
		return false;
	}
	network = model_get(plan->request->engine->model, &network_kind, current->network.id);
	management = network && network->management;
	record_unref(network);
	if (management)
		return fail(current, ERR_OPERATION_FAILED, "the management network cannot be removed from a host", error);
	return enter(plan, current->name, json_pack("{s:b}", "remove", true), error);
}

static bool plan_all(struct plan *plan, const struct network_setup *setup, GError **error)
{
	for (guint i = 0; setup->modified && i < setup->modified->len; i++)
		if (!plan_modified(plan, setup->modified->pdata[i], error))
			return false;
	for (guint i = 0; setup->synchronized && i < setup->synchronized->len; i++)
		if (!plan_modified(plan, setup->synchronized->pdata[i], error))
			return false;
	for (guint i = 0; setup->removed && i < setup->removed->len; i++)
		if (!plan_removed(plan, setup->removed->pdata[i], error))
			return false;
	return true;
}

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

		agent_pause(CONFIRM_USEC);
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

static bool send(struct plan *plan, const struct network_setup *setup, GError **error)
{
	struct host_setup_networks_params *params = record_new(&host_setup_networks_params_type);
	int timeout_s = setup->check_connectivity ? setup->timeout_s : 0;
	struct confirmation *confirmation = setup->check_connectivity ? begin_confirming(plan->request, plan->host) : NULL;
	bool ok;

	params->networks = json_incref(plan->networks);
	params->bondings = json_object();
	params->options = json_pack("{s:b}", "connectivityCheck", setup->check_connectivity);
	if (setup->check_connectivity)
		json_object_set_new(params->options, "connectivityTimeout", json_integer(timeout_s));
	ok = host_call(plan->request, plan->host, "Host.setupNetworks", params, timeout_s + MARGIN_S, NULL, error);
	if (confirmation)
		end_confirming(confirmation);
	record_unref(params);
	return ok;
}

static bool edit_networks(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	const struct plan *plan = data;
	json_t *all = host->networks ? json_deep_copy(host->networks) : json_object();
	const char *name;
	json_t *config;

	json_object_foreach(plan->networks, name, config)
		if (json_is_true(json_object_get(config, "remove")))
			json_object_del(all, name);
		else
			json_object_set(all, name, config);
	CLEAR(host, networks);
	host->networks = all;
	change_event(change, EVENT_UPDATED, &plan->request->actor, (void *[]){ host, NULL }, "Networks of host %s were set up by %s.", host->name,
		     plan->request->actor.user_name);
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
	struct plan plan = { .request = request, .host = host };
	g_autoptr(GError) own = NULL;
	bool ok;

	if (!check_state(host, error) || !(plan.caps = host_capabilities(request, host, error)))
		return false;
	plan.current = host_attachments(request, host, plan.caps);
	plan.networks = json_object();
	ok = plan_all(&plan, setup, error);
	if (ok && json_object_size(plan.networks)) {
		ok = send(&plan, setup, error) && store_modify(request->engine->store, &host_kind, host->id, edit_networks, &plan, NULL, error);
		if (ok && fleet_is_connected(request->engine->fleet, host->id) &&
		    !fleet_refresh(request->engine->fleet, host->id, REFRESH_TIMEOUT_S, &own))
			log_warn("host '%s': %s, ignoring", host->name, own->message);
	}
	if (ok && ret_name)
		*ret_name = g_steal_pointer(&plan.first);
	g_free(plan.first);
	g_ptr_array_unref(plan.current);
	json_decref(plan.networks);
	record_unref(plan.caps);
	return ok;
}
