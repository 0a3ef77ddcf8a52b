/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk snapshots of a data domain: the volumes below the one that a disk is written to, as disks have that were registered with the snapshots of another
 * engine. This engine makes none and keeps no record of them: the storage is asked, a call for each disk and each snapshot, when somebody looks. One that is
 * removed is merged (flow/disk_merge.h).
 */
#include <string.h>

#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/api/res_disk.h"
#include "engine/api/res_storage_domain.h"
#include "engine/flow/agent.h"
#include "engine/flow/disk_merge.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

#define S struct disk_snapshot
S { struct record record; char *id, *name, *image_id; struct ref disk, storage_domain; int64_t size, actual_size, created; int state, format; bool sparse; };
static const struct field snapshot_fields[] = {
	FIELD_STRING_(S, id, "@id", READ_ONLY, "the volume"),
	FIELD_STRING_(S, name, "alias", HEAD, "name of the disk"),
	FIELD_REF_(S, disk, "disk", READ_ONLY | WITHIN, "disks", "disk that is based on it"),
	FIELD_REF_(S, storage_domain, "storage_domain", READ_ONLY, "storagedomains", "where it is stored"),
	FIELD_STRING_(S, image_id, "image_id", READ_ONLY, "the volume, as disks call it"),
	FIELD_LONG_(S, size, "provisioned_size", READ_ONLY, "virtual size", .unit = "bytes"),
	FIELD_LONG_(S, actual_size, "actual_size", READ_ONLY, "space used", .unit = "bytes"),
	FIELD_ENUM_(S, state, "status/state", READ_ONLY, disk_state_names, "ok, locked with its disk, or illegal"),
	FIELD_ENUM_(S, format, "format", READ_ONLY, disk_format_names, "cow or raw"),
	FIELD_BOOL_(S, sparse, "sparse", READ_ONLY, "space was taken when it was needed"),
	FIELD_TIME_(S, created, "creation_time", READ_ONLY, "when the volume was made"),
};
static const struct record_type snapshot_type = RECORD_TYPE("disk_snapshot", "disk_snapshots", S, snapshot_fields, "What a disk held at an earlier moment");

static S *snapshot_new(const struct disk *disk, const struct volume_place *place, const struct volume_facts *volume)
{
	S *snapshot = record_new(&snapshot_type);

	set_string(&snapshot->id, place->volume_id);
	set_string(&snapshot->image_id, place->volume_id);
	set_string(&snapshot->name, disk_label(disk));
	set_ref(&snapshot->disk, disk->id);
	set_ref(&snapshot->storage_domain, place->domain_id);
	SET(snapshot, size, volume->capacity);
	SET(snapshot, actual_size, volume->used);
	SET(snapshot, state, !volume->good ? DISK_ILLEGAL : disk->state == DISK_LOCKED ? DISK_LOCKED : DISK_OK);
	SET(snapshot, format, volume->cow ? DISK_COW : DISK_RAW);
	SET(snapshot, sparse, volume->sparse);
	SET(snapshot, created, volume->created_s * 1000);
	return snapshot;
}

/* From the disk's own volume down, newest first. */
static bool add_chain(const struct storage_call *call, const struct storage_domain *domain, const struct disk *disk, GPtrArray *snapshots, GError **error)
{
	struct volume_facts volume = { .capacity = 0 };
	char id[sizeof(volume.parent_id)];
	g_autoptr(GError) own = NULL;

	g_strlcpy(id, disk->image_id, sizeof(id));
	for (int i = 0; i < DISK_CHAIN_MAX && *id; i++) {
		const struct volume_place place = { .pool_id = domain->data_center.id, .domain_id = domain->id, .image_id = disk->id, .volume_id = id };

		if (!volume_describe(call, &place, &volume, &own)) {
			/* one that is locked is being made, or goes */
			if (disk->state == DISK_LOCKED && (error_is(own, ERR_VOLUME_DOES_NOT_EXIST) || error_is(own, ERR_IMAGE_DOES_NOT_EXIST_IN_SD)))
				return true;
			g_propagate_error(error, g_steal_pointer(&own));
			error_wrap(error, "disk '%s'", disk_label(disk));
			return false;
		}
		if (i > 0)
			g_ptr_array_add(snapshots, snapshot_new(disk, &place, &volume));
		g_strlcpy(id, volume.parent_id, sizeof(id));
	}
	return true;
}

static GPtrArray *list(struct request *request, GError **error)
{
	const struct storage_domain *domain = request->parent;
	g_autoptr(GPtrArray) disks = model_list(request->engine->model, &disk_kind), snapshots = list_new();
	g_autofree char *host = NULL;
	struct storage_call call = { request->engine, NULL, request->actor.correlation_id, AGENT_PATIENCE_NONE };

	if (domain->type != DOMAIN_DATA)
		return g_steal_pointer(&snapshots);
	if (domain->state != DOMAIN_ACTIVE) {
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s: what is below its disks is not known", domain->name,
			  storage_domain_state_names[domain->state]);
		return NULL;
	}
	if (!(call.host_id = host = storage_host(request->engine, domain, error)))
		return NULL;
	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		if (!g_strcmp0(disk_domain(disk), domain->id) && disk->image_id && disk->state != DISK_ILLEGAL && request_sees(request, disk) &&
		    !add_chain(&call, domain, disk, snapshots, error))
			return NULL;
	}
	return g_steal_pointer(&snapshots);
}

static bool remove_snapshot(struct request *request, const void *current, const void *options, GError **error)
{
	const S *snapshot = current;
	struct disk *disk = model_get(request->engine->model, &disk_kind, snapshot->disk.id);
	json_t *data = NULL;

	if (!disk)
		error_set(error, ERR_NOT_FOUND, "disk '%s'", snapshot->disk.id);
	else if (disk->template.id)
		error_set(error, ERR_WRONG_STATE, "snapshot '%s': disk '%s' is a template's", snapshot->id, disk_label(disk));
	else if (disk->state == DISK_LOCKED)
		error_set(error, ERR_WRONG_STATE, "cannot remove snapshot '%s': disk '%s' is locked", snapshot->id, disk_label(disk));
	else
		data = disk_merge_data(request->engine, disk, snapshot->id, error);
	record_unref(disk);
	return data && flow_run(request->engine, &merge_disk_flow, snapshot->disk.id, &request->actor, data, NULL, error);
}

const struct resource resource_storage_domain_disk_snapshot = {
	.type = &snapshot_type, .path = "disksnapshots", .parent = &resource_storage_domain, .methods = RESOURCE_READ | RESOURCE_REMOVE,
	.links = no_links, .slow = true, .permit_remove = "delete_disk", .remove = remove_snapshot,
	.doc = "What disks on the domain are based on", .list = list,
};
