/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/domain_content.h"

#include "common/error.h"
#include "engine/model/disk.h"
#include "engine/model/kinds.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"

/* Event codes, appendix C */
#define EVENT_VM_REMOVED 113
#define EVENT_TEMPLATE_REMOVED 251

struct owners { GHashTable *losing, *keeping; };        /* ids: of who loses a disk, of who has another one elsewhere */

static const char *owner_of(const struct disk *disk)
{
	return disk->vm.id ? disk->vm.id : disk->template.id;
}

static bool is_on(const struct disk *disk, const GPtrArray *domains)
{
	return disk_domain(disk) && g_ptr_array_find_with_equal_func((GPtrArray *)domains, disk_domain(disk), g_str_equal, NULL);
}

static void find_owners(const GPtrArray *disks, const GPtrArray *domains, struct owners *owners)
{
	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		if (owner_of(disk) && disk_domain(disk))
			g_hash_table_add(is_on(disk, domains) ? owners->losing : owners->keeping, (void *)owner_of(disk));
	}
}

static void let_float(struct change *change, const struct disk *disk)
{
	struct disk *copy = record_copy(disk);

	CLEAR(copy, vm);
	change_replace(change, disk, copy);
	record_unref(copy);
}

static void forget_disks(struct change *change, const GPtrArray *disks, const GPtrArray *domains, const struct owners *owners)
{
	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		if (is_on(disk, domains))
			change_remove(change, disk);
		else if (disk->vm.id && g_hash_table_contains(owners->losing, disk->vm.id) && !g_hash_table_contains(owners->keeping, disk->vm.id))
			let_float(change, disk);
	}
}

static bool forget_vm(struct change *change, const struct vm *vm, const struct actor *actor, GError **error)
{
	if (vm_is_running(vm)) {
		error_set(error, ERR_OPERATION_FAILED, "VM '%s' is %s: it must be down", vm->name, vm_state_names[vm->state]);
		return false;
	}
	change_remove(change, vm);
	change_event(change, EVENT_VM_REMOVED, actor, (void *[]){ (void *)vm, NULL }, "VM %s was successfully removed.", vm->name);
	return true;
}

static void forget_template(struct change *change, const struct template *template, const struct actor *actor)
{
	change_remove(change, template);
	change_event(change, EVENT_TEMPLATE_REMOVED, actor, (void *[]){ (void *)template, NULL }, "Removal of Template %s has been completed.", template->name);
}

bool domain_content_forget(struct model *model, struct change *change, const GPtrArray *domains, const struct actor *actor, GHashTable *gone, GError **error)
{
	g_autoptr(GPtrArray) disks = model_list(model, &disk_kind);
	g_autoptr(GHashTable) losing = g_hash_table_new(g_str_hash, g_str_equal), keeping = g_hash_table_new(g_str_hash, g_str_equal);
	struct owners owners = { losing, keeping };
	GHashTableIter iter;
	void *id;
	bool good = true;

	find_owners(disks, domains, &owners);
	g_hash_table_iter_init(&iter, losing);
	while (good && g_hash_table_iter_next(&iter, &id, NULL)) {
		struct vm *vm = g_hash_table_contains(keeping, id) ? NULL : model_get(model, &vm_kind, id);
		struct template *template = vm || g_hash_table_contains(keeping, id) ? NULL : model_get(model, &template_kind, id);

		if (vm)
			good = forget_vm(change, vm, actor, error);
		if (vm && gone)
			g_hash_table_add(gone, g_strdup(vm->id));
		if (template)
			forget_template(change, template, actor);
		record_unref(template);
		record_unref(vm);
	}
	if (good)
		forget_disks(change, disks, domains, &owners);
	return good;
}
