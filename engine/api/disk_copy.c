/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The action copy of disks (REST 16.5.1). The copy floats and has a new id; it keeps what the disk is like. The permit on the disk stands in the action's row;
 * on the target it takes what making a disk there takes. While it is copied a disk is locked: two copies of it come one after the other.
 */
#include "engine/flow/disk_copy.h"

#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_disk.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/image_copies.h"
#include "engine/flow/rivals.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"

/* Event codes: AuditLogType of ovirt-engine */
#define EVENT_COPY_BEGUN 2011
#define EVENT_COPY_FAILED 2013

struct copy_disk { ACTION_MEMBERS struct ref storage_domain; char *name; };
static const struct field copy_fields[] = {
	ACTION_FIELDS(struct copy_disk),
	FIELD_REF_(struct copy_disk, storage_domain, "storage_domain", CREATE | REQUIRED, "storagedomains", "data domain that takes the copy"),
	FIELD_STRING_(struct copy_disk, name, "disk/name", CREATE, "name of the copy; absent: that of the disk", .min = 1, .max = 255),
	FIELD_STRING_(struct copy_disk, name, "disk/alias", CREATE | ALIAS, "other spelling of disk/name"),
};
const struct record_type copy_disk_type = RECORD_TYPE("action", NULL, struct copy_disk, copy_fields, "Where to copy a disk to");

static bool check_disk(const struct disk *disk, GError **error)
{
	if (!disk->image_id)
		error_set(error, ERR_OPERATION_FAILED, "disk '%s' is a LUN: only disks on storage domains are copied", disk_label(disk));
	else if (disk->state != DISK_OK)
		error_set(error, ERR_WRONG_STATE, "cannot copy disk '%s': it is %s", disk_label(disk), disk_state_names[disk->state]);
	else
		return true;
	return false;
}

static bool check_domains(const struct request *request, const struct storage_domain *source, const struct storage_domain *target, GError **error)
{
	if (g_strcmp0(source->data_center.id, target->data_center.id))
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is not in the data center of storage domain '%s'", target->name, source->name);
	else if (!request_permits(request, "create_disk", target))
		error_set(error, ERR_FORBIDDEN, "'%s' has no permit 'create_disk' on storage domain '%s'", request->actor.user_name, target->name);
	else
		return true;
	return false;
}

/* What is blocked for want of space leaves an event. */
static bool check_space(struct request *request, const struct disk *disk, const struct disk *copy, const struct storage_domain *target, GError **error)
{
	GError *own = NULL;

	domain_sizes_want(request->engine, target);
	if (domain_has_space(target, copy->sparse ? disk->actual_size : copy->size, &own))
		return true;
	store_event(request->engine->store, EVENT_COPY_FAILED, &request->actor, (void *[]){ (void *)disk, (void *)target, NULL },
		    "User %s finished with error copying disk %s to domain %s: %s", request->actor.user_name, disk_label(disk), target->name, own->message);
	g_propagate_error(error, own);
	return false;
}

static struct disk *plan(const struct disk *disk, const char *name, const struct storage_domain *target)
{
	struct disk *copy = record_copy(disk);
	struct object_ref *ref;

	set_string(&copy->id, NULL);
	set_string(&copy->image_id, NULL);
	copy->id = g_uuid_string_random();
	copy->image_id = g_uuid_string_random();
	if (name)
		set_string(&copy->name, name);
	set_ref(&copy->vm, NULL);
	set_ref(&copy->template, NULL);
	CLEAR(copy, active);
	if (g_strcmp0(disk_domain(disk), target->id))
		set_ref(&copy->disk_profile, NULL);
	CLEAR(copy, storage_domains);
	ref = list_add(&copy->storage_domains, &object_ref_type);
	set_string(&ref->id, target->id);
	copies_fit(copy, target);
	SET(copy, state, DISK_LOCKED);
	SET(copy, actual_size, 0);
	return copy;
}

struct beginning { struct request *request; struct disk *copy; const struct storage_domain *target; json_t *data; };

static bool edit_begin(void *record, struct change *change, void *data, GError **error)
{
	const struct beginning *beginning = data;
	struct request *request = beginning->request;
	struct disk *disk = record;

	if (!check_disk(disk, error))
		return false;
	SET(disk, state, DISK_LOCKED);
	change_check(change, disk_is_at_rest, disk);
	change_check(change, disk_domain_is_active, disk);
	change_check(change, disk_domain_is_active, beginning->copy);
	request_add(request, change, beginning->copy);
	change_check(change, disk_limits_fit, beginning->copy);
	flow_announce(change, &copy_disk_flow, disk->id, &request->actor, beginning->data);
	change_event(change, EVENT_COPY_BEGUN, &request->actor, (void *[]){ disk, (void *)beginning->target, NULL }, "User %s is copying disk %s to domain %s.",
		     request->actor.user_name, disk_label(disk), beginning->target->name);
	return true;
}

static bool begin_and_run(struct request *request, const struct disk *disk, struct disk *copy, const struct storage_domain *target, GError **error)
{
	struct beginning beginning = { request, copy, target, disk_copy_data(request->engine, disk, copy, target, error) };
	bool ok = beginning.data && store_modify(request->engine->store, &disk_kind, disk->id, edit_begin, &beginning, NULL, error);

	if (ok)
		ok = flow_run(request->engine, &copy_disk_flow, disk->id, &request->actor, json_incref(beginning.data), NULL, error);
	json_decref(beginning.data);
	return ok;
}

bool disk_copy(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct disk *disk = object;
	const struct copy_disk *how = params;
	struct model *model = request->engine->model;
	struct storage_domain *source = check_disk(disk, error) ? disk_usable_domain(model, disk_domain(disk), error) : NULL;
	struct storage_domain *target = source ? disk_usable_domain(model, how->storage_domain.id, error) : NULL;
	struct disk *copy = target && check_domains(request, source, target, error) ? plan(disk, how->name, target) : NULL;
	bool ok = copy && check_space(request, disk, copy, target, error) && begin_and_run(request, disk, copy, target, error);

	record_unref(copy);
	record_unref(target);
	record_unref(source);
	return ok;
}
