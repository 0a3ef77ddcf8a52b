/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/lun.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/flow/block_calls.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/storage_target.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"

bool lun_is_free(struct model *model, void *data, GError **error)
{
	const struct disk *disk = data;

	return storage_units_are_free(model, disk->logical_units, disk->id, error);
}

static bool has_host(const struct disk *disk, const char *host_id)
{
	return disk->lun_hosts && g_ptr_array_find_with_equal_func(disk->lun_hosts, host_id, g_str_equal, NULL);
}

bool lun_needs(struct model *model, const char *connection_id, const char *host_id)
{
	g_autoptr(GPtrArray) disks = model_list(model, &disk_kind);

	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		if (has_host(disk, host_id) && storage_is_among(disk->connections, connection_id))
			return true;
	}
	return false;
}

static bool edit_note_host(void *copy, struct change *change, void *data, GError **error)
{
	struct disk *disk = copy;

	if (has_host(disk, data))
		return false;
	if (!disk->lun_hosts)
		disk->lun_hosts = strings_new();
	g_ptr_array_add(disk->lun_hosts, g_strdup(data));
	return true;
}

static bool connect_to(const struct flow *flow, const char *host_id, const struct disk *disk, GError **error)
{
	const struct storage_call call = { flow->engine, host_id, flow->id, AGENT_PATIENCE_S };
	json_t *targets = storage_targets(flow->engine->model, host_id, disk->connections), *target;
	bool ok = !json_array_size(targets) || store_modify(flow->engine->store, &disk_kind, disk->id, edit_note_host, (void *)host_id, NULL, error);
	size_t i;

	json_array_foreach(targets, i, target)
		ok = ok && storage_connect(&call, target, error);
	json_decref(targets);
	return ok;
}

bool lun_connect_vm(const struct flow *flow, const char *host_id, const char *vm_id, GError **error)
{
	g_autoptr(GPtrArray) disks = model_children(flow->engine->model, &disk_kind, vm_id);

	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		if (disk->active && !connect_to(flow, host_id, disk, error)) {
			error_wrap(error, "disk '%s'", disk_label(disk));
			return false;
		}
	}
	return true;
}

static struct disk *disk_of(const struct flow *flow)
{
	return model_get(flow->engine->model, &disk_kind, flow->object_id);
}

bool lun_reach(const struct flow *flow, GError **error)
{
	struct disk *disk = disk_of(flow);
	bool ok = !disk || connect_to(flow, flow_text(flow, "host"), disk, error);

	record_unref(disk);
	return ok;
}

void lun_leave(const struct flow *flow)
{
	struct disk *disk = disk_of(flow);

	for (guint i = 0; disk && disk->lun_hosts && i < disk->lun_hosts->len; i++) {
		const char *host_id = disk->lun_hosts->pdata[i];
		const struct storage_call call = { flow->engine, host_id, flow->id, AGENT_PATIENCE_NONE };
		struct host *host = model_get(flow->engine->model, &host_kind, host_id);
		json_t *targets = host ? storage_targets(flow->engine->model, host_id, disk->connections) : NULL;
		g_autoptr(GError) own = NULL;

		if (host && !storage_flow_disconnect(flow, &call, targets, &own))
			log_warn("host %s: the storage of disk %s stays connected: %s, ignoring", host->name, disk_label(disk), own->message);
		json_decref(targets);
		record_unref(host);
	}
	record_unref(disk);
}

/* Is it what the client says, and nobody's? */
static bool check_device(const struct storage_call *call, const char *type, const char *id, const json_t *device, GError **error)
{
	g_autofree char *domain = NULL;

	if (!device)
		error_set(error, ERR_NOT_FOUND, "LUN '%s' is not seen by the host", id);
	else if (type && strcmp(block_device_type(device), type))
		error_set(error, ERR_OPERATION_FAILED, "lun_storage/type: LUN '%s' is of type %s, not %s", id, block_device_type(device), type);
	else if (!block_domain_on(call, id, &domain, error))
		return false;
	else if (domain)
		error_set(error, ERR_OPERATION_FAILED, "LUN '%s' holds storage domain '%s', which is not known here", id, domain);
	else
		return true;
	return false;
}

static struct logical_unit *look_at(const struct storage_call *call, const struct disk *disk, GError **error)
{
	json_t *ids = storage_unit_ids(disk->logical_units), *devices = block_devices(call, ids, error), *device = json_array_get(devices, 0);
	bool ok = devices && check_device(call, disk->lun_type, json_string_value(json_array_get(ids, 0)), device, error);
	struct logical_unit *unit = ok ? block_unit(device) : NULL;

	json_decref(devices);
	json_decref(ids);
	return unit;
}

struct logical_unit *lun_look(const struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	struct disk *disk = disk_of(flow);
	struct logical_unit *unit = disk ? look_at(&call, disk, error) : NULL;

	if (!disk)
		error_set(error, ERR_NOT_FOUND, "disk '%s'", flow->object_id);
	record_unref(disk);
	return unit;
}

void lun_take(struct disk *disk, struct logical_unit *unit)
{
	if (!disk->lun_type)
		set_string(&disk->lun_type, unit->target ? "iscsi" : "fcp");
	/* what is only true now; its size is the disk's */
	CLEAR(unit, size);
	CLEAR(unit, paths);
	CLEAR(unit, status);
	CLEAR(unit, volume_group_id);
	CLEAR(disk, logical_units);
	disk->logical_units = list_new();
	g_ptr_array_add(disk->logical_units, record_ref(unit));
}
