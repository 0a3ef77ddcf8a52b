/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More LUNs for a storage domain in a volume group.
 *
 *	record > connect > extend > settle          interrupted: goes on
 *
 * From *record* on the domain has the units and their connections, so that a host that comes up meanwhile connects to them, too. All hosts that are up must see
 * the LUNs before the group gets them: to one that does not see all of its group the whole domain is broken. What was added cannot be taken back: when *extend*
 * fails, but the group has the LUNs, the flow ends as if it had not.
 */
#include "engine/flow/extend_flow.h"

#include "common/error.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/flow/block_calls.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/storage_pool.h"
#include "engine/flow/storage_target.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/storage_connection.h"

#define LOG_MODULE "flow"

/* Event codes: AuditLogType */
#define EVENT_EXTENDED 972
#define EVENT_EXTEND_FAILED 973
#define EVENT_REFRESHED 1022

json_t *extend_data(const struct storage_domain *domain, const GPtrArray *units, const GPtrArray *connections, const GPtrArray *connection_ids, bool force)
{
	json_t *data = json_pack("{s:s, s:s, s:o, s:o, s:o, s:b}", "pool", domain->data_center.id, "name", domain->name, "devices", storage_unit_ids(units), "units",
				 storage_records_to_json(units), "connections", storage_records_to_json(connections), "force", force);
	json_t *ids = json_array();

	for (guint i = 0; i < connection_ids->len; i++)
		json_array_append_new(ids, json_string(connection_ids->pdata[i]));
	json_object_set_new(data, "connection_ids", ids);
	return data;
}

static const json_t *devices_of(const struct flow *flow)
{
	return json_object_get(flow->data, "devices");
}

/* ---- record ---- */

static bool is_active(const struct storage_domain *domain, GError **error)
{
	if (domain->state == DOMAIN_ACTIVE)
		return true;
	error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s: its LUNs can be changed only while it is active", domain->name,
		  domain->data_center.id ? storage_domain_state_names[domain->state] : "not attached");
	return false;
}

static bool edit_add(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	const struct flow *flow = data;
	json_t *item;
	size_t i;

	if (logical_unit_in(domain->logical_units, json_string_value(json_array_get(devices_of(flow), 0))))
		return false;
	if (!is_active(domain, error) || !storage_flow_add_connections(flow, change, error))
		return false;
	json_array_foreach(json_object_get(flow->data, "units"), i, item) {
		struct logical_unit *unit = storage_flow_record(item, &logical_unit_type, error);

		if (!unit)
			return false;
		if (!domain->logical_units)
			domain->logical_units = list_new();
		g_ptr_array_add(domain->logical_units, unit);
	}
	json_array_foreach(json_object_get(flow->data, "connection_ids"), i, item)
		if (!storage_domain_uses(domain, json_string_value(item))) {
			struct object_ref *ref = list_add(&domain->connections, &object_ref_type);

			set_string(&ref->id, json_string_value(item));
		}
	change_check(change, storage_place_is_free, domain);
	return true;
}

static bool extend_record(struct flow *flow, GError **error)
{
	return store_modify(flow->engine->store, &storage_domain_kind, flow->object_id, edit_add, flow, NULL, error);
}

static bool has_text(const json_t *array, const char *text)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)array, i, item)
		if (!g_strcmp0(json_string_value(item), text))
			return true;
	return false;
}

/* Connections that were there before stay: others of the domain's units may be reached by them. */
static bool edit_take_back(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	const struct flow *flow = data;
	json_t *item;
	size_t i;

	for (guint j = domain->logical_units ? domain->logical_units->len : 0; j > 0; j--)
		if (has_text(devices_of(flow), ((struct logical_unit *)domain->logical_units->pdata[j - 1])->id))
			g_ptr_array_remove_index(domain->logical_units, j - 1);
	json_array_foreach(json_object_get(flow->data, "connections"), i, item)
		for (guint j = domain->connections ? domain->connections->len : 0; j > 0; j--)
			if (!g_strcmp0(object_id(domain->connections->pdata[j - 1]), json_string_value(json_object_get(item, "@id"))))
				g_ptr_array_remove_index(domain->connections, j - 1);
	storage_flow_remove_connections(flow, change);
	return true;
}

static bool extend_take_back(struct flow *flow, GError **error)
{
	return flow_flag(flow, "settled") || store_modify(flow->engine->store, &storage_domain_kind, flow->object_id, edit_take_back, flow, NULL, error);
}

/* ---- connect ---- */

typedef bool (*host_fn)(const struct storage_call *call, const void *data, GError **error);

/* Of the hosts of the data center those that are up. Stops at the first that fails, unless it went away: it will do the same when it is back. */
static bool each_host(struct engine *engine, const char *data_center_id, const char *flow_id, host_fn fn, const void *data, GError **error)
{
	g_autoptr(GPtrArray) hosts = model_list(engine->model, &host_kind);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		const struct storage_call call = { engine, host->id, flow_id, AGENT_PATIENCE_NONE };
		g_autofree char *own = host->state == HOST_UP ? host_data_center(engine->model, host) : NULL;
		GError *problem = NULL;

		if (g_strcmp0(own, data_center_id) || fn(&call, data, &problem))
			continue;
		if (!agent_is_away(problem)) {
			error_wrap(&problem, "host '%s'", host->name);
			g_propagate_error(error, problem);
			return false;
		}
		g_error_free(problem);
	}
	return true;
}

static bool connect_host(const struct storage_call *call, const void *data, GError **error)
{
	const struct flow *flow = data;
	json_t *id;
	size_t i;
	bool ok = true;

	json_array_foreach(json_object_get(flow->data, "connection_ids"), i, id) {
		struct storage_connection *connection = model_get(flow->engine->model, &storage_connection_kind, json_string_value(id));
		json_t *target = connection ? storage_target_for(flow->engine->model, call->host_id, connection) : NULL;

		ok = ok && (!target || storage_connect(call, target, error));
		json_decref(target);
		record_unref(connection);
	}
	return ok && block_check_seen(call, devices_of(flow), error);
}

static bool extend_connect(struct flow *flow, GError **error)
{
	return each_host(flow->engine, flow_text(flow, "pool"), flow->id, connect_host, flow, error);
}

/* A session that stays behind does no harm. */
static bool disconnect_host(const struct storage_call *call, const void *data, GError **error)
{
	const struct flow *flow = data;
	g_autoptr(GError) own = NULL;

	if (!storage_flow_disconnect(flow, call, json_object_get(flow->data, "connections"), &own))
		log_info("storage domain %s: host %s stays connected: %s, ignoring", flow->object_id, call->host_id, own->message);
	return true;
}

static bool extend_disconnect(struct flow *flow, GError **error)
{
	return flow_flag(flow, "settled") || each_host(flow->engine, flow_text(flow, "pool"), flow->id, disconnect_host, flow, error);
}

/* ---- extend ---- */

static bool extend_extend(struct flow *flow, GError **error)
{
	const char *pool = flow_text(flow, "pool");
	g_autofree char *host = storage_manager_host(flow->engine, pool, error);
	const struct storage_call call = { flow->engine, host, flow->id, AGENT_PATIENCE_S };

	if (!host)
		return false;
	json_object_set_new(flow->data, "host", json_string(host));
	return block_extend(&call, flow->object_id, pool, devices_of(flow), flow_flag(flow, "force"), error);
}

/* ---- settle ---- */

struct settling { const struct flow *flow; char *group; GPtrArray *units; int64_t total, free; };

/* Only what was seen in the group has a size: so an engine that was killed between this and the end of the flow does not tell it twice. */
static bool is_settled(const struct storage_domain *domain, const struct flow *flow)
{
	const struct logical_unit *unit = logical_unit_in(domain->logical_units, json_string_value(json_array_get(devices_of(flow), 0)));

	return unit && HAS(unit, size);
}

static bool edit_group(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	const struct settling *settling = data;
	bool tells = settling->flow && !is_settled(domain, settling->flow);

	storage_domain_set_sizes(domain, settling->total, settling->free);
	if (settling->group)
		storage_domain_set_group(domain, settling->group, settling->units);
	if (tells)
		change_event(change, EVENT_EXTENDED, &settling->flow->actor, (void *[]){ domain, NULL }, "Storage Domain %s was extended by %s.", domain->name,
			     flow_user(settling->flow));
	return true;
}

/* flow: of an extension, NULL: none */
static bool settle(struct engine *engine, const struct storage_call *call, const char *domain_id, const struct flow *flow, GError **error)
{
	struct settling settling = { .flow = flow };
	bool ok = storage_sizes(call, domain_id, &settling.total, &settling.free, error) && block_group(call, domain_id, &settling.group, &settling.units, error) &&
		  store_modify(engine->store, &storage_domain_kind, domain_id, edit_group, &settling, NULL, error);

	g_free(settling.group);
	if (settling.units)
		g_ptr_array_unref(settling.units);
	return ok;
}

static bool extend_settle(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);

	if (flow_flag(flow, "settled"))
		return true;
	if (!settle(flow->engine, &call, flow->object_id, flow, error))
		return false;
	json_object_set_new(flow->data, "settled", json_true());
	storage_pool_spread(flow->engine, flow_text(flow, "pool"), NULL);
	return true;
}

/* It failed, or nobody knows. */
static bool extend_look(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	bool has = false;

	if (flow_flag(flow, "settled") || !call.host_id)
		return true;
	if (!block_has(&call, flow->object_id, devices_of(flow), &has, error))
		return false;
	if (has)
		flow->completed = extend_settle(flow, error);
	return !has || flow->completed;
}

static void extend_failed(struct flow *flow, const GError *cause)
{
	struct storage_domain *domain = storage_flow_domain(flow, NULL);

	if (!flow_flag(flow, "settled"))
		store_event(flow->engine->store, EVENT_EXTEND_FAILED, &flow->actor, (void *[]){ domain, NULL }, "Failed to extend Storage Domain %s. (User: %s): %s",
			    flow_text(flow, "name"), flow_user(flow), cause->message);
	record_unref(domain);
}

static const struct flow_step extend_steps[] = {
	{ "record", extend_record, extend_take_back },
	{ "connect", extend_connect, extend_disconnect },
	{ "extend", extend_extend, extend_look },
	{ "settle", extend_settle, NULL },
};

const struct flow_type extend_domain_flow = {
	.name = "extend_domain", .kind = &storage_domain_kind, .steps = extend_steps, .n_steps = G_N_ELEMENTS(extend_steps), .forward = true,
	.failed = extend_failed,
};

/* ---- LUNs that have grown ---- */

static bool look_host(const struct storage_call *call, const void *units, GError **error)
{
	return block_check_seen(call, units, error);
}

bool extend_refresh(struct engine *engine, const struct storage_domain *domain, const json_t *units, const struct actor *actor, GError **error)
{
	g_autofree char *host = is_active(domain, error) ? storage_manager_host(engine, domain->data_center.id, error) : NULL;
	const struct storage_call call = { engine, host, actor->correlation_id, AGENT_PATIENCE_NONE };
	bool ok = host && each_host(engine, domain->data_center.id, actor->correlation_id, look_host, units, error);
	json_t *unit;
	size_t i;

	json_array_foreach((json_t *)units, i, unit)
		ok = ok && block_resize(&call, domain->id, domain->data_center.id, json_string_value(unit), error);
	ok = ok && settle(engine, &call, domain->id, NULL, error);
	if (ok)
		store_event(engine->store, EVENT_REFRESHED, actor, (void *[]){ (void *)domain, NULL }, "Size of the LUNs of Storage Domain %s was refreshed by %s.",
			    domain->name, actor->user_name);
	return ok;
}
