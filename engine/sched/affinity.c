/* SPDX-License-Identifier: Apache-2.0 */
/* The VM's groups with those of their other VMs that run. */
#include "engine/sched/affinity.h"

#include "engine/model/affinity_group.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

struct bond { struct affinity_group *group; GPtrArray *others; };         /* others: struct vm, each with a host */
struct affinity { GPtrArray *bonds; };

static void bond_free(void *data)
{
	struct bond *bond = data;

	record_unref(bond->group);
	g_ptr_array_unref(bond->others);
	g_free(bond);
}

static bool has_member(const struct affinity_group *group, const char *vm_id)
{
	for (guint i = 0; group->vms && i < group->vms->len; i++)
		if (!g_strcmp0(object_id(group->vms->pdata[i]), vm_id))
			return true;
	return false;
}

/* Others of the group that are still in its cluster and run. */
static GPtrArray *others_of(struct model *model, const struct affinity_group *group, const char *vm_id)
{
	GPtrArray *others = list_new();

	for (guint i = 0; i < group->vms->len; i++) {
		const char *id = object_id(group->vms->pdata[i]);
		struct vm *vm = g_strcmp0(id, vm_id) ? model_get(model, &vm_kind, id) : NULL;

		if (vm && vm->host.id && vm_is_running(vm) && !g_strcmp0(vm->cluster.id, group->cluster.id))
			g_ptr_array_add(others, record_ref(vm));
		record_unref(vm);
	}
	return others;
}

struct affinity *affinity_new(struct model *model, const struct vm *vm)
{
	g_autoptr(GPtrArray) groups = model_children(model, &affinity_group_kind, vm->cluster.id);
	struct affinity *affinity = g_new0(struct affinity, 1);

	affinity->bonds = g_ptr_array_new_with_free_func(bond_free);
	for (guint i = 0; i < groups->len; i++) {
		struct affinity_group *group = groups->pdata[i];
		struct bond *bond;

		if (!has_member(group, vm->id))
			continue;
		bond = g_new0(struct bond, 1);
		bond->group = record_ref(group);
		bond->others = others_of(model, group, vm->id);
		g_ptr_array_add(affinity->bonds, bond);
	}
	return affinity;
}

struct affinity *affinity_free(struct affinity *affinity)
{
	if (!affinity)
		return NULL;
	g_ptr_array_unref(affinity->bonds);
	g_free(affinity);
	return NULL;
}

/* The VM because of which the group does not want this host; NULL: it does. A positive group whose VMs are on several hosts is content with each of them. */
static const struct vm *unwanted(const struct bond *bond, const char *host_id)
{
	const struct vm *elsewhere = NULL;

	for (guint i = 0; i < bond->others->len; i++) {
		const struct vm *other = bond->others->pdata[i];
		bool here = !g_strcmp0(other->host.id, host_id);

		if (here)
			return bond->group->positive ? NULL : other;
		elsewhere = other;
	}
	return bond->group->positive ? elsewhere : NULL;
}

char *affinity_forbids(const struct affinity *affinity, const char *host_id)
{
	for (guint i = 0; i < affinity->bonds->len; i++) {
		const struct bond *bond = affinity->bonds->pdata[i];
		const struct vm *other = bond->group->enforcing ? unwanted(bond, host_id) : NULL;

		if (other)
			return g_strdup_printf(bond->group->positive ? "affinity group '%s' wants the VM where VM '%s' runs"
								     : "affinity group '%s' keeps the VM apart from VM '%s'", bond->group->name, other->name);
	}
	return NULL;
}

unsigned affinity_broken(const struct affinity *affinity, const char *host_id)
{
	unsigned broken = 0;

	for (guint i = 0; i < affinity->bonds->len; i++) {
		const struct bond *bond = affinity->bonds->pdata[i];

		broken += !bond->group->enforcing && unwanted(bond, host_id);
	}
	return broken;
}
