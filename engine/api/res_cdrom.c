/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CD drive of a virtual machine (REST 15.6.4): exactly one, with a fixed id. Its disc is a file of an ISO domain of the VM's data center, by name. What is
 * stored is in it from the next start on; with ?current the drive of the running VM is meant, until it ends.
 */
#include <string.h>

#include "common/error.h"
#include "engine/api/res_vm.h"
#include "engine/flow/agent.h"
#include "engine/flow/iso_disc.h"
#include "engine/flow/vm_definition.h"
#include "engine/model/cdrom.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"
#include "proto/device.h"

/* Event codes: appendix C; AuditLogType */
#define EVENT_INSERTED 38
#define EVENT_FAILED 102
#define EVENT_EJECTED 528

static struct cdrom *drive(const struct vm *vm, bool current)
{
	struct cdrom *shown = record_new(&cdrom_type);
	const char *disc = current && vm->current_cdrom ? vm->current_cdrom : vm_disc(vm);

	set_string(&shown->id, BLANK_ID);
	set_ref(&shown->vm, vm->id);
	set_string(&shown->file, disc && *disc ? disc : NULL);
	return shown;
}

static GPtrArray *list(struct request *request, GError **error)
{
	GPtrArray *one = list_new();

	g_ptr_array_add(one, drive(request->parent, request_flag(request, "current")));
	return one;
}

static void *get(struct request *request, const char *id, GError **error)
{
	if (strcmp(id, BLANK_ID)) {
		error_set(error, ERR_NOT_FOUND, "cdrom '%s': a VM has one CD drive, its id is " BLANK_ID, id);
		return NULL;
	}
	return drive(request->parent, request_flag(request, "current"));
}

struct disc { struct request *request; const char *file; bool current; };       /* file "": none */

static bool edit(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	const struct disc *disc = data;
	const char *user = disc->request->actor.user_name;
	void *refs[] = { vm, NULL };

	if (disc->current) {
		if (!vm_is_running(vm))
			return false;                    /* it ended meanwhile, and its drive with it */
		set_string(&vm->current_cdrom, disc->file);
	} else {
		CLEAR(vm, cdroms);
		if (*disc->file) {
			struct cdrom *stored = list_add(&vm->cdroms, &cdrom_type);

			set_string(&stored->file, disc->file);
		}
	}
	if (*disc->file)
		change_event(change, EVENT_INSERTED, &disc->request->actor, refs, "CD %s was inserted to VM %s by %s.", disc->file, vm->name, user);
	else
		change_event(change, EVENT_EJECTED, &disc->request->actor, refs, "CD was ejected from VM %s by %s.", vm->name, user);
	return true;
}

/* Into the drive of the running VM, on its host. */
static bool change_now(struct request *request, const struct vm *vm, const char *path, GError **error)
{
	struct media_params *params = record_new(&media_params_type);
	bool ok;

	set_string(&params->vm_id, vm->id);
	params->drive = json_pack("{s:s}", "path", path);
	ok = agent_call(request->engine, vm->host.id, "VM.changeCD", params, request->actor.correlation_id, AGENT_PATIENCE_NONE, NULL, error);
	record_unref(params);
	return ok;
}

static bool put_in(struct request *request, const struct vm *vm, const struct disc *disc, struct vm **ret_vm, GError **error)
{
	g_autofree char *data_center = vm_data_center(request->engine, vm), *path = NULL;

	if (disc->current && (!vm_is_running(vm) || !vm->host.id)) {
		error_set(error, ERR_WRONG_STATE, "VM '%s' is %s: only a running one has a current disc", vm->name, vm_state_names[vm->state]);
		return false;
	}
	if (*disc->file && !(path = iso_disc_path(request->engine, data_center, disc->file, disc->current ? vm->host.id : NULL, error)))
		return false;
	return (!disc->current || change_now(request, vm, path ? path : "", error)) &&
	       store_modify(request->engine->store, &vm_kind, vm->id, edit, (void *)disc, (void **)ret_vm, error);
}

static bool change_disc(struct request *request, const char *file, void **ret_record, GError **error)
{
	const struct vm *vm = request->parent;
	const struct disc disc = { request, file ? file : "", request_flag(request, "current") };
	struct vm *stored = NULL;
	struct host *host;
	GError *own = NULL;

	if (!put_in(request, vm, &disc, &stored, &own)) {
		host = vm->host.id ? model_get(request->engine->model, &host_kind, vm->host.id) : NULL;
		store_event(request->engine->store, EVENT_FAILED, &request->actor, (void *[]){ (void *)vm, host, NULL },
			    "Failed to change disk in VM %s (Host: %s, User: %s). %s", vm->name, host ? host->name : "none",
			    request->actor.user_name, own->message);
		record_unref(host);
		g_propagate_error(error, own);
		return false;
	}
	if (ret_record)
		*ret_record = drive(stored ? stored : vm, disc.current);
	record_unref(stored);
	return true;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	return change_disc(request, ((struct cdrom *)input)->file, ret_record, error);
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	return change_disc(request, ((struct cdrom *)changed)->file, ret_record, error);
}

static bool eject(struct request *request, const void *current, const void *options, GError **error)
{
	return change_disc(request, NULL, NULL, error);
}

const struct resource resource_vm_cdrom = {
	.type = &cdrom_type, .path = "cdroms", .parent = &resource_vm, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_UPDATE | RESOURCE_REMOVE,
	.permit_add = "change_vm_cd", .permit_update = "change_vm_cd", .permit_remove = "change_vm_cd", .doc = "CD drive of a virtual machine",
	.list = list, .get = get, .add = add, .update = update, .remove = eject,
};
