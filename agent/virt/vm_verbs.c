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

/* Names of members; NULL or empty: all. */
static bool check_fields(const GPtrArray *fields, GError **error)
{
	for (guint i = 0; fields && i < fields->len; i++)
		if (!record_field(&vm_stats_type, fields->pdata[i])) {
			error_set(error, ERR_JSONRPC_INVALID_PARAMS, "fields: VM statistics have no member '%s'", (const char *)fields->pdata[i]);
			return false;
		}
	return true;
}

/* An array of VMs. */
static void write_stats(const GPtrArray *vms, const GPtrArray *fields, GString *out)
{
	g_string_append_c(out, '[');
	for (guint i = 0; i < vms->len; i++) {
		struct vm *vm = vms->pdata[i];
		AUTO_LOCK(&vm->vms->lock);

		if (i)
			g_string_append(out, ", ");
		vm_locked_write_stats(vm, fields && fields->len ? fields : NULL, out);
	}
	g_string_append_c(out, ']');
}

static bool get_stats(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_stats_params *p = params;
	struct vm *vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(vm_unref);

	if (vm)
		g_ptr_array_add(list, vm);
	if (!vm || !check_fields(p->fields, error) || !hooks_run_over(agent->hooks, "before_get_vm_stats", p->vm_id, NULL, error))
		return false;
	write_stats(list, p->fields, ret_result);
	return hooks_run_over(agent->hooks, "after_get_vm_stats", p->vm_id, ret_result, error);
}

static bool get_all_stats(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct all_vm_stats_params *p = params;
	g_autoptr(GPtrArray) all = NULL;

	if (!check_fields(p->fields, error) || !hooks_run_over(agent->hooks, "before_get_all_vm_stats", NULL, NULL, error))
		return false;
	all = vms_all(agent->vms);
	write_stats(all, p->fields, ret_result);
	return hooks_run_over(agent->hooks, "after_get_all_vm_stats", NULL, ret_result, error);
}

static bool get_all_figures(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_figures_params *p = params;
	g_autoptr(GPtrArray) vms = listed(agent->vms, p->vm_list, false, NULL);

	g_string_append_c(ret_result, '[');
	for (guint i = 0; i < vms->len; i++) {
		struct vm *vm = vms->pdata[i];
		AUTO_LOCK(&vm->vms->lock);

		if (i)
			g_string_append(ret_result, ", ");
		vm_locked_write_figures(vm, p->facts, ret_result);
	}
	g_string_append_c(ret_result, ']');
	return true;
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
	{ "Host.getAllVmFigures", get_all_figures },
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
