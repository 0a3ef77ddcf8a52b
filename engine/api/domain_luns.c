/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LUNs of storage domains. A unit of an iSCSI domain that names its target is reached by a connection to it: the host logs in before the domain is made. One
 * that names none must be seen by the host already; then its connections are those that the host has, so that other hosts can log in, too. Units of Fibre
 * Channel need no connections.
 */
#include "engine/api/domain_luns.h"

#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_host.h"
#include "engine/api/res_storage_connection.h"
#include "engine/flow/agent.h"
#include "engine/flow/block_calls.h"
#include "engine/flow/extend_flow.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/storage_target.h"
#include "engine/model/kinds.h"

/* Codes: AuditLogType */
#define EVENT_REFRESH_FAILED 1023
#define EVENT_UNIDENTIFIED 20390                /* of our own */

struct domain_plan domain_plan_new(void)
{
	return (struct domain_plan){ json_array(), list_new(), strings_new() };
}

void domain_plan_clear(struct domain_plan *plan)
{
	json_decref(plan->targets);
	g_ptr_array_unref(plan->connections);
	g_ptr_array_unref(plan->connection_ids);
}

/* ---- what was given ---- */

static void add_missing(GPtrArray *names, const char *name)
{
	if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
		g_ptr_array_add(names, g_strdup(name));
}

static void units_missing(const GPtrArray *units, bool iscsi, GPtrArray *names)
{
	for (guint i = 0; units && i < units->len; i++) {
		const struct logical_unit *unit = units->pdata[i];

		if (!unit->id || !*unit->id)
			add_missing(names, "storage.logical_unit.id");
		if (iscsi && unit->address && !unit->target)
			add_missing(names, "storage.logical_unit.target");
		if (iscsi && unit->target && !unit->address)
			add_missing(names, "storage.logical_unit.address");
	}
}

void domain_luns_missing(const struct storage_domain *domain, GPtrArray *names)
{
	if (domain->import && !domain->id)
		add_missing(names, "id");
	if (!domain->import && !domain->name)
		add_missing(names, "name");
	if (!domain->import && (!domain->logical_units || !domain->logical_units->len))
		add_missing(names, "storage.logical_unit");
	units_missing(domain->logical_units, domain->storage_type == STORAGE_ISCSI, names);
}

static bool check_once(const GPtrArray *units, GError **error)
{
	for (guint i = 0; units && i < units->len; i++) {
		const struct logical_unit *unit = units->pdata[i];

		if (logical_unit_in(units, unit->id) == unit)
			continue;
		error_set(error, ERR_BAD_VALUE, "logical_unit: LUN '%s' is named twice", unit->id);
		return false;
	}
	return true;
}

/* ---- connections ---- */

/* The same among those that are planned, in the database, or a new one. */
static void plan_connection(struct model *model, const char *host_id, const struct logical_unit *unit, struct domain_plan *plan)
{
	struct storage_connection *wanted = record_new(&storage_connection_type), *same;

	SET(wanted, type, STORAGE_ISCSI);
	set_string(&wanted->address, unit->address);
	SET(wanted, port, HAS(unit, port) ? unit->port : ISCSI_PORT);
	set_string(&wanted->target, unit->target);
	set_string(&wanted->username, unit->username);
	set_string(&wanted->password, unit->password);
	same = storage_connection_twin(model, wanted);
	for (guint i = 0; i < plan->connections->len && !same; i++)
		if (storage_connection_same(plan->connections->pdata[i], wanted))
			same = record_ref(plan->connections->pdata[i]);
	if (!same) {
		wanted->id = g_uuid_string_random();
		same = record_ref(wanted);
		g_ptr_array_add(plan->connections, record_ref(wanted));
	}
	if (!g_ptr_array_find_with_equal_func(plan->connection_ids, same->id, g_str_equal, NULL)) {
		g_ptr_array_add(plan->connection_ids, g_strdup(same->id));
		json_array_append_new(plan->targets, storage_target_for(model, host_id, same));
	}
	record_unref(same);
	record_unref(wanted);
}

/* Each session that the host has with the device's target. */
static void plan_paths(const struct storage_call *call, const json_t *device, struct domain_plan *plan)
{
	json_t *path;
	size_t i;

	json_array_foreach(json_object_get(device, "pathlist"), i, path) {
		json_t *alone = json_pack("{s:[O]}", "pathlist", path);
		struct logical_unit *unit = block_unit(alone);

		if (unit->address && unit->target)
			plan_connection(call->engine->model, call->host_id, unit, plan);
		record_unref(unit);
		json_decref(alone);
	}
}

static bool plan_seen(const struct storage_call *call, int storage_type, const char *id, const json_t *devices, struct domain_plan *plan, GError **error)
{
	json_t *device, *found = NULL;
	size_t i;

	json_array_foreach((json_t *)devices, i, device)
		if (!g_strcmp0(json_string_value(json_object_get(device, "GUID")), id))
			found = device;
	if (!found)
		error_set(error, ERR_NOT_FOUND, "logical_unit: LUN '%s' is not seen by the host", id);
	else if (strcmp(block_device_type(found), storage_type_names[storage_type]))
		error_set(error, ERR_OPERATION_FAILED, "logical_unit: LUN '%s' is of type %s, not %s", id, block_device_type(found),
			  storage_type_names[storage_type]);
	else
		plan_paths(call, found, plan);
	return found && (!error || !*error);
}

bool domain_luns_plan(const struct storage_call *call, int storage_type, GPtrArray *units, struct domain_plan *plan, GError **error)
{
	json_t *here = json_array(), *devices = NULL, *id;
	bool ok = check_once(units, error);
	size_t i;

	for (guint n = 0; ok && units && n < units->len; n++) {
		struct logical_unit *unit = units->pdata[n];

		if (storage_type == STORAGE_ISCSI && unit->address)
			plan_connection(call->engine->model, call->host_id, unit, plan);
		else
			json_array_append_new(here, json_string(unit->id));
		/* these are the connection's */
		set_string(&unit->username, NULL);
		set_string(&unit->password, NULL);
	}
	if (ok && json_array_size(here))
		ok = (devices = block_devices(call, here, error));
	json_array_foreach(here, i, id)
		ok = ok && plan_seen(call, storage_type, json_string_value(id), devices, plan, error);
	json_decref(devices);
	json_decref(here);
	return ok;
}

/* ---- a domain that is there ---- */

static bool find_there(const struct storage_call *call, struct storage_domain *domain, GError **error)
{
	const char *type = storage_type_names[domain->storage_type];
	json_t *ids = block_domains(call, type, error), *id;
	g_autofree char *name = NULL, *flavor = NULL;
	bool there = false;
	size_t i;

	if (!ids)
		return false;
	json_array_foreach(ids, i, id)
		there = there || !g_strcmp0(json_string_value(id), domain->id);
	json_decref(ids);
	if (!there) {
		error_set(error, ERR_NOT_FOUND, "@id: the host sees no storage domain '%s' on %s storage", domain->id, type);
		return false;
	}
	if (!storage_identify(call, domain->id, &name, &flavor, error))
		return false;
	if (g_strcmp0(flavor, storage_domain_flavor_names[domain->type])) {
		error_set(error, ERR_OPERATION_FAILED, "type: storage domain '%s' is of type %s", domain->id, flavor ? flavor : "unknown");
		return false;
	}
	if (!domain->name)
		set_string(&domain->name, name && *name ? name : domain->id);
	return true;
}

static bool connect_to(const struct storage_call *call, const struct domain_plan *plan, GError **error)
{
	json_t *target;
	size_t i;

	json_array_foreach(plan->targets, i, target)
		if (!storage_connect(call, target, error))
			return false;
	return true;
}

bool domain_luns_import(const struct storage_call *call, struct storage_domain *domain, struct domain_plan *plan, GError **error)
{
	struct storage_domain *known = model_get(call->engine->model, &storage_domain_kind, domain->id);
	g_autofree char *group = NULL;
	g_autoptr(GPtrArray) units = NULL;
	json_t *ids, *devices;
	bool ok = false;

	if (known) {
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is known already", known->name);
		record_unref(known);
		return false;
	}
	if (!connect_to(call, plan, error) || !find_there(call, domain, error) || !block_group(call, domain->id, &group, &units, error))
		return false;
	CLEAR(domain, logical_units);
	domain->logical_units = g_ptr_array_ref(units);
	ids = storage_unit_ids(units);
	if ((devices = block_devices(call, ids, error))) {
		json_t *device;
		size_t i;

		json_array_foreach(devices, i, device)
			if (domain->storage_type == STORAGE_ISCSI)
				plan_paths(call, device, plan);
		ok = true;
	}
	json_decref(devices);
	json_decref(ids);
	return ok;
}

/* ---- more of them ---- */

bool domain_luns_extend(struct request *request, const struct storage_domain *current, struct storage_domain *changed, const struct storage_domain *input,
			bool *ret_extended, GError **error)
{
	struct model *model = request->engine->model;
	g_autoptr(GPtrArray) new = list_new(), names = g_ptr_array_new_with_free_func(g_free);
	struct domain_plan plan;
	g_autofree char *host = NULL;
	bool ok;

	*ret_extended = false;
	for (guint i = 0; input->logical_units && i < input->logical_units->len; i++) {
		const struct logical_unit *unit = input->logical_units->pdata[i];

		if (!logical_unit_in(current->logical_units, unit->id))
			g_ptr_array_add(new, record_copy(unit));
	}
	CLEAR(changed, logical_units);
	changed->logical_units = current->logical_units ? g_ptr_array_ref(current->logical_units) : NULL;
	CLEAR(changed, override_luns);
	if (!new->len)
		return true;
	units_missing(new, current->storage_type == STORAGE_ISCSI, names);
	if (names->len) {
		g_autofree char *text = NULL;

		g_ptr_array_add(names, NULL);
		text = g_strjoinv(", ", (char **)names->pdata);
		error_set(error, ERR_INCOMPLETE, "StorageDomain [%s] required for update", text);
		return false;
	}
	if (!record_equal(changed, current)) {
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s': what is beside storage/logical_unit is changed by a request of its own",
			  current->name);
		return false;
	}
	if (current->state != DOMAIN_ACTIVE) {
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s: only an active one can be extended", current->name,
			  storage_domain_state_names[current->state]);
		return false;
	}
	if (!(host = storage_host(request->engine, current, error)))
		return false;
	plan = domain_plan_new();
	const struct storage_call call = { request->engine, host, request->actor.correlation_id, AGENT_PATIENCE_NONE };
	CLEAR(changed, logical_units);
	changed->logical_units = g_ptr_array_ref(new);
	ok = storage_place_is_free(model, changed, error) && domain_luns_plan(&call, current->storage_type, new, &plan, error) &&
	     flow_run(request->engine, &extend_domain_flow, current->id, &request->actor,
		      extend_data(current, new, plan.connections, plan.connection_ids, input->override_luns), NULL, error);
	domain_plan_clear(&plan);
	*ret_extended = ok;
	return ok;
}

/* ---- actions ---- */

struct refresh_luns { ACTION_MEMBERS GPtrArray *units; };
static const struct field refresh_luns_fields[] = {
	ACTION_FIELDS(struct refresh_luns),
	FIELD_LIST_(struct refresh_luns, units, "logical_units/logical_unit", CREATE | REQUIRED, &logical_unit_type, "LUNs that have grown"),
};
const struct record_type refresh_luns_type = RECORD_TYPE("action", NULL, struct refresh_luns, refresh_luns_fields, "Which LUNs have grown");

bool domain_luns_refresh(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct storage_domain *domain = object;
	const struct refresh_luns *how = params;
	json_t *ids = storage_unit_ids(how->units);
	GError *own = NULL;

	for (guint i = 0; i < how->units->len && !own; i++) {
		const struct logical_unit *unit = how->units->pdata[i];

		if (!logical_unit_in(domain->logical_units, unit->id))
			error_set(&own, ERR_NOT_FOUND, "logical_units/logical_unit: LUN '%s' is none of storage domain '%s'", unit->id ? unit->id : "", domain->name);
	}
	if (!own && !extend_refresh(request->engine, domain, ids, &request->actor, &own))
		store_event(request->engine->store, EVENT_REFRESH_FAILED, &request->actor, (void *[]){ (void *)domain, NULL },
			    "Failed to refresh the size of the LUNs of Storage Domain %s. (User: %s): %s", domain->name, request->actor.user_name, own->message);
	json_decref(ids);
	if (own)
		g_propagate_error(error, own);
	return !own;
}

struct discover_domains { ACTION_MEMBERS char *address, *username, *password; int port; GPtrArray *targets, *domains; };
#define D struct discover_domains
static const struct field discover_domains_fields[] = {
	ACTION_FIELDS(D),
	FIELD_STRING_(D, address, "iscsi/address", CREATE, "portal to log in through; absent: only what the host sees", .min = 1, .max = 255, .pattern = "\\S+"),
	FIELD_INT_(D, port, "iscsi/port", CREATE, "its port", .min = 1, .max = 65535, .def = "3260"),
	FIELD_STRING_(D, username, "iscsi/username", CREATE, "CHAP user", .max = 255),
	FIELD_STRING_(D, password, "iscsi/password", CREATE | SECRET, "CHAP password", .max = 255),
	FIELD_STRINGS_(D, targets, "iscsi_target", CREATE, "targets to log in to"),
	FIELD_LIST_(D, domains, "storage_domains/storage_domain", READ_ONLY, &storage_domain_type, "domains that are not known yet"),
};
const struct record_type discover_domains_type = RECORD_TYPE("action", NULL, D, discover_domains_fields, "Where to look for storage domains");

static struct storage_domain *identify(const struct storage_call *call, enum storage_type type, const char *id, GError **error)
{
	g_autofree char *name = NULL, *flavor = NULL;
	struct storage_domain *found;

	if (!storage_identify(call, id, &name, &flavor, error))
		return NULL;
	if (enum_value(storage_domain_flavor_names, flavor) < 0) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "it is none for data, ISO images or exports");
		return NULL;
	}
	found = record_new(&storage_domain_type);
	set_string(&found->id, id);
	set_string(&found->name, name);
	SET(found, type, enum_value(storage_domain_flavor_names, flavor));
	SET(found, storage_type, type);
	set_ref(&found->host, call->host_id);
	return found;
}

/* One that cannot be identified is told of and left out: that what is on a LUN is damaged is no reason to hide the others. */
static bool discover_type(const struct storage_call *call, const struct host *host, const struct actor *actor, enum storage_type type, GPtrArray *domains,
			  GError **error)
{
	json_t *ids = block_domains(call, storage_type_names[type], error), *item;
	bool ok = ids;
	size_t i;

	json_array_foreach(ids, i, item) {
		const char *id = json_string_value(item);
		struct storage_domain *known = id ? model_get(call->engine->model, &storage_domain_kind, id) : NULL, *found;
		g_autoptr(GError) own = NULL;

		record_unref(known);
		if (!ok || !id || known)
			continue;
		found = identify(call, type, id, &own);
		if (found)
			g_ptr_array_add(domains, found);
		else if (agent_is_away(own)) {
			g_propagate_error(error, g_steal_pointer(&own));
			ok = false;
		} else {
			store_event(call->engine->store, EVENT_UNIDENTIFIED, actor, (void *[]){ (void *)host, NULL },
				    "Storage Domain %s, which Host %s sees, could not be identified: %s", id, host->name, own->message);
		}
	}
	json_decref(ids);
	return ok;
}

bool domain_luns_discover(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct discover_domains *how = params;
	const struct host *host = object;
	const struct storage_call call = { request->engine, host->id, request->actor.correlation_id, AGENT_PATIENCE_NONE };
	struct domain_plan plan;
	g_autoptr(GPtrArray) domains = list_new();
	bool ok = host_check_up(host, error);

	if (ok && how->address && (!how->targets || !how->targets->len)) {
		error_set(error, ERR_INCOMPLETE, "Action [iscsi_target] required for unregisteredstoragedomainsdiscover");
		ok = false;
	}
	plan = domain_plan_new();
	for (guint i = 0; ok && how->targets && i < how->targets->len; i++) {
		struct logical_unit *unit = record_new(&logical_unit_type);

		set_string(&unit->address, how->address);
		SET(unit, port, how->port);
		set_string(&unit->target, how->targets->pdata[i]);
		set_string(&unit->username, how->username);
		set_string(&unit->password, how->password);
		if (!how->address) {
			error_set(error, ERR_INCOMPLETE, "Action [iscsi.address] required for unregisteredstoragedomainsdiscover");
			ok = false;
		} else {
			plan_connection(request->engine->model, host->id, unit, &plan);
		}
		record_unref(unit);
	}
	ok = ok && connect_to(&call, &plan, error) && discover_type(&call, host, &request->actor, STORAGE_ISCSI, domains, error) &&
	     (how->address || discover_type(&call, host, &request->actor, STORAGE_FCP, domains, error));
	domain_plan_clear(&plan);
	if (ok) {
		struct discover_domains *result = record_copy(how);

		result->domains = g_steal_pointer(&domains);
		*ret_result = result;
	}
	return ok;
}
