/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that only read, none of which asks libvirt: what is known is answered at once. And the table of all verbs about VMs. */
#include <string.h>
#include "agent/events.h"
#include "agent/hooks.h"
#include "agent/virt/domain/external_data.h"
#include "agent/virt/life/crash.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

#define LOG_MODULE "virt"

static struct vm_short *short_of(struct vm *vm)
{
	struct vm_short *entry = record_new(&vm_short_type);

	AUTO_LOCK(&vm->vms->lock);
	set_string(&entry->vm_id, vm->id);
	SET(entry, status, vm->status);
	SET(entry, status_time, events_time());
	return entry;
}

/* The VMs of a list of ids, or all of them; an id that is not there: NULL + error when strict, else left out. */
static GPtrArray *listed(struct vms *vms, const GPtrArray *ids, bool strict, GError **error)
{
	GPtrArray *chosen;

	if (!ids || !ids->len)
		return vms_all(vms);
	chosen = g_ptr_array_new_with_free_func(vm_unref);
	for (guint i = 0; i < ids->len; i++) {
		g_autofree char *id = g_ascii_strdown(ids->pdata[i], -1);
		struct vm *vm = strict ? vms_find(vms, id, error) : vms_lookup(vms, id);

		if (vm)
			g_ptr_array_add(chosen, vm);
		else if (strict) {
			g_ptr_array_unref(chosen);
			return NULL;
		}
	}
	return chosen;
}

static bool get_vm_list(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_list_params *p = params;
	g_autoptr(GPtrArray) vms = listed(agent->vms, p->vm_list, false, NULL);
	g_autoptr(GPtrArray) entries = list_new();

	if (p->only_uuid) {
		json_t *ids = json_array();

		for (guint i = 0; i < vms->len; i++)
			json_array_append_new(ids, json_string(((struct vm *)vms->pdata[i])->id));
		result_json(ret_result, ids);
		return true;
	}
	for (guint i = 0; i < vms->len; i++)
		g_ptr_array_add(entries, short_of(vms->pdata[i]));
	result_list(ret_result, entries);
	return true;
}

static bool get_vm_full_list(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_list_params *p = params;
	struct vm_list_params *plain = record_copy(p);
	bool good;

	SET(plain, only_uuid, false);
	good = get_vm_list(agent, call, plain, ret_result, error);
	record_unref(plain);
	return good;
}

/* Runs a JSON point over the answer; with no scripts nothing happens. */
static bool stats_hook(struct agent *agent, const char *point, const char *vm_id, bool may_fail, GString *result, GError **error)
{
	struct hook_run run = { .point = point, .vm_id = vm_id, .json = result ? result->str : "{}", .may_fail = may_fail };
	g_autofree char *changed = NULL;
	json_t *json;

	if (!hooks_run(agent->hooks, &run, &changed, error))
		return false;
	if (!result || !changed)
		return true;
	json = json_parse(changed, strlen(changed), NULL);
	if (!json) {
		log_warn("hook %s left what is not JSON, ignoring", point);
		return true;
	}
	g_string_truncate(result, 0);
	result_json(result, json);
	return true;
}

static void add_stats(struct vm *vm, GPtrArray *list)
{
	AUTO_LOCK(&vm->vms->lock);
	g_ptr_array_add(list, vm_locked_stats(vm));
}

static bool get_stats(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(GPtrArray) list = list_new();

	if (!vm || !stats_hook(agent, "before_get_vm_stats", p->vm_id, true, NULL, error))
		return false;
	add_stats(vm, list);
	result_list(ret_result, list);
	return stats_hook(agent, "after_get_vm_stats", p->vm_id, false, ret_result, error);
}

static bool get_all_stats(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	g_autoptr(GPtrArray) all = NULL;
	g_autoptr(GPtrArray) list = list_new();

	if (!stats_hook(agent, "before_get_all_vm_stats", NULL, true, NULL, error))
		return false;
	all = vms_all(agent->vms);
	for (guint i = 0; i < all->len; i++)
		add_stats(all->pdata[i], list);
	result_list(ret_result, list);
	return stats_hook(agent, "after_get_all_vm_stats", NULL, false, ret_result, error);
}

static bool get_info(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	struct vm_short *entry;

	if (!vm)
		return false;
	entry = short_of(vm);
	result_record(ret_result, entry);
	record_unref(entry);
	return true;
}

static bool dump_xmls(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_list_params *p = params;
	g_autoptr(GPtrArray) vms = listed(agent->vms, p->vm_list, true, error);
	json_t *map;

	if (!vms)
		return false;
	map = json_object();
	for (guint i = 0; i < vms->len; i++) {
		struct vm *vm = vms->pdata[i];
		g_autofree char *xml = vm_xml(vm);

		json_object_set_new(map, vm->id, json_string(xml ? xml : ""));
	}
	result_json(ret_result, json_pack("[o]", map));
	return true;
}

const struct verb_binding vm_bindings[] = {
	{ "Host.getVMList", get_vm_list },
	{ "Host.getVMFullList", get_vm_full_list },
	{ "Host.getAllVmStats", get_all_stats },
	{ "Host.dumpxmls", dump_xmls },
	{ "VM.getStats", get_stats },
	{ "VM.getInfo", get_info },
	{ "VM.create", vm_create_verb },
	{ "VM.getExternalData", external_data_verb },
	{ "VM.getCrashReport", crash_report_verb },
	{ "VM.destroy", vm_destroy_verb },
	{ "VM.shutdown", vm_shutdown_verb },
	{ "VM.reboot", vm_reboot_verb },
	{ "VM.reset", vm_reset_verb },
	{ "VM.pause", vm_pause_verb },
	{ "VM.cont", vm_cont_verb },
	{ "VM.hibernate", vm_hibernate_verb },
	{ "VM.qmp", vm_qmp_verb },
	{ "VM.seal", vm_seal_verb },
	{ "VM.setTicket", vm_ticket_verb },
};
const size_t n_vm_bindings = G_N_ELEMENTS(vm_bindings);
