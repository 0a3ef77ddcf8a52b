/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/block_calls.h"

#include <string.h>

#include "common/error.h"
#include "engine/flow/agent.h"
#include "proto/block.h"

#define BLOCK_TIMEOUT_S 600              /* many LUNs, each of which LVM looks at */

static bool ask(const struct storage_call *call, const char *verb, void *params, json_t **ret_result, GError **error)
{
	bool ok = agent_call_timed(call->engine, call->host_id, verb, params, call->flow_id, BLOCK_TIMEOUT_S, call->patience_s, ret_result, error);

	record_unref(params);
	return ok;
}

static GPtrArray *texts(const json_t *array)
{
	GPtrArray *list = strings_new();
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)array, i, item)
		g_ptr_array_add(list, g_strdup(json_string_value(item)));
	return list;
}

/* ---- devices ---- */

/* vdsm's numbers are texts, other agents' may be numbers. */
static int64_t number(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? g_ascii_strtoll(json_string_value(value), NULL, 10) : json_integer_value(value);
}

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value && *value ? value : NULL;
}

const char *block_device_type(const json_t *device)
{
	return g_strcmp0(text(device, "devtype"), "iSCSI") ? "fcp" : "iscsi";
}

struct logical_unit *block_unit(const json_t *device)
{
	struct logical_unit *unit = record_new(&logical_unit_type);
	const json_t *path = json_array_get(json_object_get(device, "pathlist"), 0), *states = json_object_get(device, "pathstatus");
	const char *status = text(device, "status");

	set_string(&unit->id, text(device, "GUID"));
	set_string(&unit->address, text(path, "connection"));
	if (number(path, "port"))
		SET(unit, port, (int)number(path, "port"));
	set_string(&unit->target, text(path, "iqn"));
	set_string(&unit->serial, text(device, "serial"));
	set_string(&unit->vendor_id, text(device, "vendorID"));
	set_string(&unit->product_id, text(device, "productID"));
	if (json_array_size(states))
		SET(unit, lun_mapping, (int)number(json_array_get(states, 0), "lun"));
	SET(unit, size, number(device, "capacity"));
	SET(unit, paths, (int)json_array_size(states));
	set_string(&unit->volume_group_id, text(device, "vgUUID"));
	set_string(&unit->status, status ? status : unit->volume_group_id ? "used" : "free");
	return unit;
}

json_t *block_devices(const struct storage_call *call, const json_t *ids, GError **error)
{
	struct device_list_params *params = record_new(&device_list_params_type);
	json_t *devices = NULL;

	if (ids)
		params->guids = texts(ids);
	SET(params, check_status, !ids);
	(void)ask(call, "Host.getDeviceList", params, &devices, error);
	return devices;
}

bool block_check_seen(const struct storage_call *call, const json_t *ids, GError **error)
{
	json_t *devices = block_devices(call, ids, error), *id, *device;
	bool ok = devices;
	size_t i, j;

	json_array_foreach((json_t *)ids, i, id) {
		bool seen = false;

		json_array_foreach(devices, j, device)
			seen = seen || !g_strcmp0(text(device, "GUID"), json_string_value(id));
		if (ok && !seen) {
			error_set(error, ERR_NOT_FOUND, "LUN '%s' is not seen by the host", json_string_value(id));
			ok = false;
		}
	}
	json_decref(devices);
	return ok;
}

/* ---- volume groups ---- */

bool block_domain_on(const struct storage_call *call, const char *device, char **ret_domain_id, GError **error)
{
	json_t *groups = NULL, *group, *unit;
	const char *domain = NULL;
	size_t i, j;

	if (!ask(call, "Host.getLVMVolumeGroups", record_new(&group_list_params_type), &groups, error))
		return false;
	json_array_foreach(groups, i, group)
		json_array_foreach(json_object_get(group, "pvlist"), j, unit)
			if (!g_strcmp0(text(unit, "GUID"), device))
				domain = text(group, "name");
	*ret_domain_id = g_strdup(domain);
	json_decref(groups);
	return true;
}

/* NULL: error, or there is none; new reference */
static json_t *group_named(const struct storage_call *call, const char *name, GError **error)
{
	json_t *groups = NULL, *group, *found = NULL;
	size_t i;

	if (!ask(call, "Host.getLVMVolumeGroups", record_new(&group_list_params_type), &groups, error))
		return NULL;
	json_array_foreach(groups, i, group)
		if (!found && !g_strcmp0(text(group, "name"), name))
			found = json_incref(group);
	json_decref(groups);
	return found;
}

bool block_group(const struct storage_call *call, const char *domain_id, char **ret_group, GPtrArray **ret_units, GError **error)
{
	GError *own = NULL;
	json_t *group = group_named(call, domain_id, &own), *device;
	size_t i;

	if (own) {
		g_propagate_error(error, own);
		return false;
	}
	*ret_group = g_strdup(text(group, "vgUUID"));
	*ret_units = list_new();
	json_array_foreach(json_object_get(group, "pvlist"), i, device)
		g_ptr_array_add(*ret_units, block_unit(device));
	json_decref(group);
	return true;
}

/* The id of the group, made unless an earlier try did; g_free */
static char *group_make(const struct storage_call *call, const char *name, const struct block_place *place, GError **error)
{
	struct group_params *params = record_new(&group_create_params_type);
	GError *own = NULL;
	json_t *answer = NULL;
	char *id = NULL;

	set_string(&params->name, name);
	params->devices = texts(place->devices);
	SET(params, force, place->force);
	if (ask(call, "LVMVolumeGroup.create", params, &answer, &own)) {
		id = g_strdup(json_string_value(answer));
		if (!id)
			error_set(error, ERR_JSONRPC_INTERNAL, "LVMVolumeGroup.create: the agent did not name the group");
	} else {
		/* the name is ours: one that is there was made by an earlier try */
		json_t *there = group_named(call, name, NULL);

		id = g_strdup(text(there, "vgUUID"));
		json_decref(there);
		if (id)
			g_error_free(own);
		else
			g_propagate_error(error, own);
	}
	json_decref(answer);
	return id;
}

bool block_domain_create(const struct storage_call *call, const char *domain_id, const char *name, const struct block_place *place, GError **error)
{
	g_autofree char *group = group_make(call, domain_id, place, error);

	return group && storage_create_in(call, domain_id, name, place->type, group, error);
}

bool block_group_remove(const struct storage_call *call, const char *domain_id, GError **error)
{
	GError *own = NULL;
	json_t *group = group_named(call, domain_id, &own);
	struct group_params *params;

	if (!group) {
		if (own)
			g_propagate_error(error, own);
		return !own;
	}
	params = record_new(&group_id_params_type);
	set_string(&params->id, text(group, "vgUUID"));
	json_decref(group);
	return ask(call, "LVMVolumeGroup.remove", params, NULL, error);
}

/* ---- devices of a domain ---- */

bool block_extend(const struct storage_call *call, const char *domain_id, const char *pool_id, const json_t *devices, bool force, GError **error)
{
	struct domain_change_params *params = record_new(&domain_extend_params_type);
	GError *own = NULL;
	bool has = false;

	set_string(&params->domain_id, domain_id);
	set_string(&params->pool_id, pool_id);
	params->devices = texts(devices);
	SET(params, force, force);
	/* extended by an earlier try */
	if (!ask(call, "StorageDomain.extend", params, NULL, &own) && block_has(call, domain_id, devices, &has, NULL) && has)
		g_clear_error(&own);
	if (own)
		g_propagate_error(error, own);
	return !own;
}

bool block_has(const struct storage_call *call, const char *domain_id, const json_t *devices, bool *ret_has, GError **error)
{
	g_autofree char *group = NULL;
	g_autoptr(GPtrArray) units = NULL;
	json_t *device;
	size_t i;

	if (!block_group(call, domain_id, &group, &units, error))
		return false;
	*ret_has = true;
	json_array_foreach((json_t *)devices, i, device)
		*ret_has = *ret_has && logical_unit_in(units, json_string_value(device));
	return true;
}

bool block_resize(const struct storage_call *call, const char *domain_id, const char *pool_id, const char *device, GError **error)
{
	struct domain_change_params *params = record_new(&domain_resize_pv_params_type);

	set_string(&params->domain_id, domain_id);
	set_string(&params->pool_id, pool_id);
	set_string(&params->guid, device);
	return ask(call, "StorageDomain.resizePV", params, NULL, error);
}

json_t *block_domains(const struct storage_call *call, const char *type, GError **error)
{
	struct domain_list_params *params = record_new(&domain_list_params_type);
	json_t *ids = NULL;

	SET(params, storage_type, storage_wire_type(type));
	(void)ask(call, "Host.getStorageDomains", params, &ids, error);
	return ids;
}
