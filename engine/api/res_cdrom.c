/* SPDX-License-Identifier: Apache-2.0 */
/* The CD drive of a virtual machine (REST 15.6.4): exactly one, with a fixed id. */
#include <string.h>

#include "common/error.h"
#include "engine/api/res_vm.h"
#include "engine/model/cdrom.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"

static struct cdrom *drive(const struct vm *vm, bool current)
{
	struct cdrom *shown = record_new(&cdrom_type);
	const struct cdrom *stored = vm->cdroms && vm->cdroms->len ? vm->cdroms->pdata[0] : NULL;

	set_string(&shown->id, BLANK_ID);
	set_ref(&shown->vm, vm->id);
	set_string(&shown->file, current && vm->current_cdrom ? vm->current_cdrom : stored ? stored->file : NULL);
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

static bool edit(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	const char *file = data;
	struct cdrom *stored;

	CLEAR(vm, cdroms);
	if (file && *file) {
		stored = list_add(&vm->cdroms, &cdrom_type);
		set_string(&stored->file, file);
	}
	return true;
}

static bool change_disc(struct request *request, void *wanted, void **ret_record, GError **error)
{
	const struct vm *vm = request->parent;
	const struct cdrom *cdrom = wanted;
	struct vm *stored = NULL;

	if (request_flag(request, "current")) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "changing the disc of a running VM");
		return false;
	}
	/* There is no ISO domain yet whose files could be named. */
	if (cdrom->file && *cdrom->file) {
		error_set(error, ERR_NOT_FOUND, "file '%s': no active ISO domain of the VM's data center holds it", cdrom->file);
		return false;
	}
	if (!store_modify(request->engine->store, &vm_kind, vm->id, edit, cdrom->file, (void **)&stored, error))
		return false;
	*ret_record = drive(stored, false);
	record_unref(stored);
	return true;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	return change_disc(request, changed, ret_record, error);
}

const struct resource resource_vm_cdrom = {
	.type = &cdrom_type, .path = "cdroms", .parent = &resource_vm, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_UPDATE,
	.permit_add = "change_vm_cd", .permit_update = "change_vm_cd", .doc = "CD drive of a virtual machine",
	.list = list, .get = get, .add = change_disc, .update = update,
};
