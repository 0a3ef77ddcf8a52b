/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A LUN is of no data center: whoever gives one to a VM gives away a part of a storage system that nobody here keeps an account of. So it takes the permit
 * create_disk on everything, whatever the user may do with the VM. Its size, serial number and so on are what a host sees when the disk is made.
 */
#include "engine/api/disk_lun.h"

#include <string.h>

#include "common/error.h"
#include "engine/api/res_host.h"
#include "engine/flow/agent.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/vm_definition.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

bool disk_keep_lun(const struct disk *before, struct disk *disk, GError **error)
{
	for (guint i = 0; disk->logical_units && i < disk->logical_units->len; i++)
		if (!logical_unit_in(before->logical_units, object_id(disk->logical_units->pdata[i]))) {
			error_set(error, ERR_IMMUTABLE, "Attempt to set immutable field: lun_storage/logical_unit");
			return false;
		}
	CLEAR(disk, logical_units);
	disk->logical_units = before->logical_units ? g_ptr_array_ref(before->logical_units) : NULL;
	return true;
}

bool disk_wants_lun(const struct disk *disk)
{
	return disk->lun_type || disk->logical_units;
}

static bool missing(const char *what, GError **error)
{
	error_set(error, ERR_INCOMPLETE, "Disk [%s] required for add", what);
	return false;
}

static bool check_unit(const struct disk *disk, const struct logical_unit *unit, GError **error)
{
	if (!unit->id || !*unit->id)
		return missing("lun_storage.logical_unit.id", error);
	if (unit->address && !unit->target)
		return missing("lun_storage.logical_unit.target", error);
	if (unit->target && !unit->address)
		return missing("lun_storage.logical_unit.address", error);
	if (!disk->lun_type)
		return missing("lun_storage.type", error);
	if (unit->target && strcmp(disk->lun_type, "iscsi"))
		error_set(error, ERR_BAD_VALUE, "disk: lun_storage/type: '%s' has no target, '%s' is given", disk->lun_type, unit->target);
	else if (disk_domain(disk))
		error_set(error, ERR_BAD_VALUE, "disk: storage_domains: LUN '%s' is on no storage domain, '%s' is given", unit->id, disk_domain(disk));
	else if (HAS(disk, format) && disk->format != DISK_RAW)
		error_set(error, ERR_BAD_VALUE, "disk: format: a LUN is raw, '%s' is given", disk_format_names[disk->format]);
	else
		return true;
	return false;
}

/* Exactly one; a representation that is sent back has it twice, under both of its names. */
static bool check_input(struct disk *disk, GError **error)
{
	const struct logical_unit *unit;

	if (!disk_is_lun(disk))
		return missing("lun_storage.logical_unit", error);
	unit = disk->logical_units->pdata[0];
	while (disk->logical_units->len > 1 && !g_strcmp0(object_id(disk->logical_units->pdata[disk->logical_units->len - 1]), unit->id))
		g_ptr_array_remove_index(disk->logical_units, disk->logical_units->len - 1);
	if (disk->logical_units->len > 1) {
		error_set(error, ERR_BAD_VALUE, "disk: lun_storage/logical_unit: a disk is one LUN, %u are named", disk->logical_units->len);
		return false;
	}
	if (!disk->lun_type && unit->target)
		set_string(&disk->lun_type, "iscsi");
	return check_unit(disk, unit, error);
}

/* Id of the host that looks: the one that is named, or one of the VM's data center; g_free */
static char *choose_host(struct request *request, const struct vm *vm, const struct disk *disk, GError **error)
{
	struct model *model = request->engine->model;
	g_autofree char *data_center = vm ? vm_data_center(request->engine, vm) : NULL;
	struct host *host = disk->lun_host.id ? model_get(model, &host_kind, disk->lun_host.id) : NULL;
	char *id = NULL;

	if (disk->lun_host.id && !host)
		error_set(error, ERR_NOT_FOUND, "lun_storage/host: host '%s'", disk->lun_host.id);
	else if (host)
		id = host_check_up(host, error) ? g_strdup(host->id) : NULL;
	else if (!(id = storage_any_host(model, data_center)))
		error_set(error, ERR_WRONG_STATE, "disk '%s': no host%s is up that could look at its LUN", disk->name ? disk->name : "",
			  vm ? " of the VM's data center" : "");
	record_unref(host);
	return id;
}

bool disk_plan_lun(struct request *request, const struct vm *vm, struct disk *disk, struct domain_plan *plan, GError **error)
{
	struct storage_call call = { request->engine, NULL, request->actor.correlation_id, AGENT_PATIENCE_NONE };
	g_autofree char *host = NULL;

	if (!check_input(disk, error))
		return false;
	if (!request_permits(request, "create_disk", NULL)) {
		error_set(error, ERR_FORBIDDEN, "'%s' has no permit 'create_disk' on everything: a disk that is a LUN needs it", request->actor.user_name);
		return false;
	}
	if (!(call.host_id = host = choose_host(request, vm, disk, error)) ||
	    !domain_luns_plan(&call, !strcmp(disk->lun_type, "iscsi") ? STORAGE_ISCSI : STORAGE_FCP, disk->logical_units, plan, error))
		return false;
	CLEAR(disk, connections);
	for (guint i = 0; i < plan->connection_ids->len; i++) {
		struct object_ref *ref = list_add(&disk->connections, &object_ref_type);

		set_string(&ref->id, plan->connection_ids->pdata[i]);
	}
	CLEAR(disk, lun_hosts);
	disk->lun_hosts = strings_new();
	g_ptr_array_add(disk->lun_hosts, g_strdup(host));
	SET(disk, format, DISK_RAW);
	SET(disk, sparse, false);
	SET(disk, size, 0);
	return true;
}
