/* SPDX-License-Identifier: Apache-2.0 */
/* Limits and quotas of a data center (REST 9.5.3 and the link qoss of 9.2). */
#include "engine/api/res_qos.h"

#include <string.h>

#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/vm_limits.h"
#include "engine/model/kinds.h"
#include "engine/model/quota.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define SHARE_MAX 100                        /* as oVirt has it */

/* ---- what limits make sense ---- */

static enum qos_class class_of(const struct field *field)
{
	if (!strcmp(field->path, "cpu_limit"))
		return QOS_CPU;
	if (g_str_has_prefix(field->path, "max_"))
		return QOS_STORAGE;
	if (g_strv_contains((const char *const []){ "outbound_average_linkshare", "outbound_average_upperlimit", "outbound_average_realtime", NULL }, field->path))
		return QOS_HOSTNETWORK;
	return g_str_has_prefix(field->path, "inbound_") || g_str_has_prefix(field->path, "outbound_") ? QOS_NETWORK : QOS_CLASS_MAX;
}

static bool bad(const char *path, const char *why, GError **error)
{
	error_set(error, ERR_BAD_VALUE, "qos: %s: %s", path, why);
	return false;
}

static bool check_members(const struct qos *qos, GError **error)
{
	for (size_t i = 0; i < qos_type.n_fields; i++) {
		const struct field *field = &qos_type.fields[i];

		if (class_of(field) == QOS_CLASS_MAX || (int)class_of(field) == qos->type || !record_has(qos, field->offset))
			continue;
		error_set(error, ERR_BAD_VALUE, "qos: %s: type '%s' has no such limit", field->path, qos_class_names[qos->type]);
		return false;
	}
	return true;
}

static bool check_direction(const char *way, int average, int peak, int burst, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s_%s", way, !average && burst && !peak ? "burst" : "peak");

	if (!average && (peak || burst))
		return bad(path, "needs an average", error);
	return !peak || peak >= average || bad(path, "is below the average", error);
}

/* Run by the writer. */
static bool check(struct model *model, void *record, GError **error)
{
	const struct qos *qos = record;

	if (!check_members(qos, error))
		return false;
	if (qos->max_throughput && (qos->max_read_throughput || qos->max_write_throughput))
		return bad("max_throughput", "not together with max_read_throughput or max_write_throughput", error);
	if (qos->max_iops && (qos->max_read_iops || qos->max_write_iops))
		return bad("max_iops", "not together with max_read_iops or max_write_iops", error);
	if (qos->type == QOS_HOSTNETWORK && (qos->outbound_average_linkshare < 1 || qos->outbound_average_linkshare > SHARE_MAX))
		return bad("outbound_average_linkshare", "from 1 to 100 is needed", error);
	if (qos->outbound_average_upperlimit && qos->outbound_average_realtime > qos->outbound_average_upperlimit)
		return bad("outbound_average_realtime", "is above outbound_average_upperlimit", error);
	return check_direction("inbound", qos->inbound_average, qos->inbound_peak, qos->inbound_burst, error) &&
	       check_direction("outbound", qos->outbound_average, qos->outbound_peak, qos->outbound_burst, error);
}

bool qos_fits(struct model *model, const struct ref *ref, enum qos_class class_, const char *data_center_id, const char *what, GError **error)
{
	struct qos *qos = ref->id ? model_get(model, &qos_kind, ref->id) : NULL;
	bool fits = !qos;

	if (qos && qos->type != (int)class_)
		error_set(error, ERR_OPERATION_FAILED, "%s: qos '%s' limits %s, not %s", what, qos->name, qos_class_names[qos->type], qos_class_names[class_]);
	else if (qos && g_strcmp0(qos->data_center.id, data_center_id))
		error_set(error, ERR_OPERATION_FAILED, "%s: qos '%s' is of another data center", what, qos->name);
	else
		fits = true;
	record_unref(qos);
	return fits;
}

/* ---- quotas ---- */

bool quota_fits(struct model *model, const char *id, const char *data_center_id, const char *what, GError **error)
{
	struct quota *quota = id ? model_get(model, &quota_kind, id) : NULL;
	bool fits = !id || (quota && !g_strcmp0(quota->data_center.id, data_center_id));

	if (id && !quota)
		error_set(error, ERR_NOT_FOUND, "%s: quota '%s'", what, id);
	else if (!fits)
		error_set(error, ERR_OPERATION_FAILED, "%s: quota '%s' is of another data center", what, quota->name);
	record_unref(quota);
	return fits;
}

bool quota_is_seen(const struct request *request, const char *id, const char *what, GError **error)
{
	struct quota *quota = id ? model_get(request->engine->model, &quota_kind, id) : NULL;
	bool seen = !id || (quota && request_sees(request, quota));

	if (!seen)
		error_set(error, ERR_NOT_FOUND, "%s: quota '%s'", what, id);
	record_unref(quota);
	return seen;
}

/* Run by the writer. data: a struct quota */
static bool quota_is_unused(struct model *model, void *data, GError **error)
{
	const struct quota *quota = data;
	g_autoptr(GPtrArray) disks = model_list(model, &disk_kind), vms = model_list(model, &vm_kind);
	const char *user = NULL, *noun = "disk";

	for (guint i = 0; i < disks->len && !user; i++) {
		const struct disk *disk = disks->pdata[i];

		user = g_strcmp0(disk->quota, quota->id) ? NULL : disk_label(disk);
	}
	for (guint i = 0; i < vms->len && !user; i++) {
		const struct vm *vm = vms->pdata[i];

		noun = "VM";
		user = g_strcmp0(vm->quota, quota->id) ? NULL : vm->name;
	}
	if (user)
		error_set(error, ERR_OPERATION_FAILED, "quota '%s' cannot be removed: %s '%s' has it", quota->name, noun, user);
	return !user;
}

static bool remove_quota(struct request *request, const void *current, const void *options, GError **error)
{
	struct change *change = change_new(request->engine->store);

	change_check(change, quota_is_unused, (void *)current);
	change_remove(change, current);
	request_event(request, change, request->resource->event_removed, (void *)current, "removed");
	return change_commit(change, error);
}

/* ---- what follows from a change ---- */

void limits_of_all(struct request *request, const void *record)
{
	vm_limits_follow(request->engine, NULL, &request->actor);
}

void limits_of_vm(struct request *request, const void *record)
{
	vm_limits_follow(request->engine, object_id(record), &request->actor);
}

void limits_of_device(struct request *request, const void *record)
{
	vm_limits_follow(request->engine, object_id(request->parent), &request->actor);
}

const struct resource resource_datacenter_qos = {
	.kind = &qos_kind, .path = "qoss", .parent = &resource_datacenter, .methods = RESOURCE_ALL, .links = no_links, .check = check, .event_added = 10110,
	.event_removed = 10112, .event_updated = 10114, .permit_add = "edit_storage_pool_configuration", .permit_update = "edit_storage_pool_configuration",
	.permit_remove = "edit_storage_pool_configuration", .updated = limits_of_all, .doc = "Limits that the data center offers",
};

const struct resource resource_datacenter_quota = {
	.kind = &quota_kind, .path = "quotas", .parent = &resource_datacenter, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links,
	.event_added = 3000, .event_removed = 3004, .permit_add = "edit_storage_pool_configuration", .permit_remove = "edit_storage_pool_configuration",
	.doc = "Quotas of the data center", .remove = remove_quota,
};
