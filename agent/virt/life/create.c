/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.create, on the VM's lane: the VM is in the table, WaitForLaunch. TPM and UEFI state that came with it is read; parameters -> domain XML: volumes,
 * bridges and host devices looked up, files seen; then the state is kept, and what the XML ordered (payload images, mediated devices) is made. What is
 * wrong with any of it is the answer, and nothing is left. Then its start is queued behind this (start.c), and the answer goes out.
 *
 * Storage may hang. Who asked is told at the verb's deadline; the VM goes on waiting, and is Down with the reason if it fails then. VM.destroy forgets it at
 * once: nothing is made before it was seen that nobody did so. A VM.create whose caller was told before it came to its turn makes nothing.
 */
#define LOG_MODULE "virt"
#include <stdlib.h>
#include <string.h>
#include "agent/events.h"
#include "agent/fault.h"
#include "agent/storage/storage.h"
#include "agent/virt/domain/external_data.h"
#include "agent/virt/domain/vm_files.h"
#include "agent/virt/life/start.h"
#include "agent/virt/vm.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/lock.h"
#include "common/log.h"

char *vm_shown_xml(const char *xml)
{
	g_autoptr(GRegex) regex = g_regex_new("passwd=(\"[^\"]*\"|'[^']*')", 0, 0, NULL);

	return g_regex_replace_literal(regex, xml, -1, 0, "passwd=\"*****\"", 0, NULL);
}

/* What the domain is made of and with; outside, so that all of it is freed in one place. */
struct making {
	struct vm_xml_env env;
	struct external_blobs blobs;
	char *xml;
	struct memory_files files;      /* memory NULL: a start, not a restore */
};

static void making_clear(struct making *making)
{
	if (making->env.env.orders)
		g_ptr_array_unref(making->env.env.orders);
	json_decref(making->env.custom);
	external_blobs_clear(&making->blobs);
	g_free(making->xml);
	memory_files_clear(&making->files);
}

/* The VM's custom properties, whichever form they came in; new reference. */
static json_t *custom_of(const struct vm_params *params)
{
	g_autoptr(xmlDoc) doc = params->xml ? xml_parse(params->xml, strlen(params->xml), NULL) : NULL;

	return doc ? vm_metadata_custom(vm_metadata_of(xmlDocGetRootElement(doc))) : json_incref(params->custom);
}

static bool make_definition(struct agent *agent, const char *vm_id, const struct vm_params *params, struct making *making, GError **error)
{
	vm_xml_env(agent, vm_id, &making->env);
	making->env.custom = custom_of(params);
	making->env.env.orders = g_ptr_array_new_with_free_func(domain_order_free);
	if (!external_blobs_read(params, &making->blobs, error))
		return false;
	making->env.env.nvram_size = making->blobs.nvram ? g_bytes_get_size(making->blobs.nvram) : 0;
	making->xml = domain_xml_build(params, &making->env.env, error);
	return making->xml && (!params->memory_dump || memory_files_prepare(agent, vm_id, params->memory_dump, params->memory_conf, &making->files, error));
}

/* In the table before anything that can hang: nobody starts it twice, and VM.destroy knows it. */
static struct vm *enter(struct vms *vms, const struct vm_create_params *p, GError **error)
{
	AUTO_VM vm = vm_new(vms, p->vm_id);

	vm->launch = LAUNCH_PREPARES;
	vm->events_held = 1;            /* until it runs (start.c), or does not (give_up()) */
	set_string(&vm->name, p->params->vm_name);
	return vms_add(vms, vm, error) ? g_steal_pointer(&vm) : NULL;
}

/* From here on things are made, and VM.destroy waits. */
static bool make_sure_it_is_wanted(struct vm *vm, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->destroying)
		error_set(error, ERR_CANNOT_CREATE_VM, "VM %s was destroyed before its storage was ready", vm->id);
	else
		vm->launch = LAUNCH_STARTS;
	return !vm->destroying;
}

/* All that its start needs on the host; then the start is queued. */
static bool begin(struct vm *vm, const char *shown, struct making *making, GError **error)
{
	struct vms *vms = vm->vms;

	if (!make_sure_it_is_wanted(vm, error))
		return false;
	vm_take_xml(vm, shown);
	{
		AUTO_LOCK(&vms->lock);
		vm->params = vm->info ? record_ref(vm->info->params) : NULL;
		vm->custom = vm->info ? json_incref(vm->info->custom) : NULL;
	}
	if (external_blobs_keep(vms, vm->id, &making->blobs, error) && vm_files_make(vms->files_dir, vm->id, making->env.env.orders, error)) {
		fault_point("VM.create: files made");
		if (vm_start(vm, making->xml, &making->files, error))
			return true;
		vm_files_remove(vms->files_dir, vm->id);
	}
	return false;
}

/* Who asked for "auto" hears that it will be slow. */
static void tell_accelerator(const struct vm *vm, const struct vm_params *params, const struct domain_xml_env *env)
{
	const char *reason = env->no_kvm ? env->no_kvm : "no reason known";
	g_autofree char *method = g_strconcat(EVENT_VM_ACCELERATOR, vm->id, NULL);

	if (!domain_xml_falls_back(params, env))
		return;
	log_warn("VM %s runs without hardware acceleration: %s", vm->id, reason);
	events_publish(vm->vms->agent->events, method, json_pack("{s:{s:s, s:s}}", vm->id, "accelerator", "tcg", "reason", reason));
}

static bool is_late(const struct verb_call *call)
{
	return call->deadline_usec && now_usec() >= call->deadline_usec;
}

/* Who asked hears why; when he does no longer listen, the VM itself tells. */
static void give_up(struct vm *vm, const struct verb_call *call, const GError *error)
{
	bool told;

	{
		AUTO_LOCK(&vm->vms->lock);
		vm->launch = LAUNCH_OVER;
		told = vm->destroying;
	}
	storage_rest(vm->vms->agent->storage, vm->id);
	if (!is_late(call))
		vms_remove(vm->vms, vm);
	else if (!told)
		vm_set_down(vm, 1, VM_EXIT_GENERIC, error->message);
	vm_events_release(vm);
}

bool vm_create_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_create_params *p = params;
	g_autofree char *shown = NULL;
	g_autoptr(GError) cause = NULL;
	struct making making = { 0 };
	struct vm_short *answer;
	AUTO_VM vm = NULL;
	bool good;

	if (p->params->vm_id && strcmp(p->params->vm_id, p->vm_id)) {
		error_set(error, ERR_INVALID_PARAMETER, "vmParams/vmId is '%s', not vmID '%s'", p->params->vm_id, p->vm_id);
		return false;
	}
	if (is_late(call)) {
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "VM %s: an earlier VM.create hangs; this one is given up", p->vm_id);
		return false;
	}
	if (!(vm = enter(agent->vms, p, error)))
		return false;
	good = make_definition(agent, p->vm_id, p->params, &making, &cause);
	if (good) {
		shown = vm_shown_xml(making.xml);
		good = begin(vm, shown, &making, &cause);
	}
	if (good)
		tell_accelerator(vm, p->params, &making.env.env);
	making_clear(&making);
	if (!good) {
		give_up(vm, call, cause);
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	answer = record_new(&vm_short_type);
	set_string(&answer->vm_id, vm->id);
	SET(answer, status, VM_WIRE_WAIT_FOR_LAUNCH);
	SET(answer, status_time, events_time());
	answer->xml = g_steal_pointer(&shown);
	result_record(ret_result, answer);
	record_unref(answer);
	return true;
}
