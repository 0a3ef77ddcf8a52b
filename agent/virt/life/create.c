/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.create, on the VM's lane: TPM and UEFI state that came with it is read; parameters -> domain XML: volumes, bridges and host devices looked up, files seen;
 * then the state is kept, and what the XML ordered (payload images, mediated devices) is made. What is wrong with any of it is the answer, and nothing
 * is left. Then the VM is in the table, WaitForLaunch, its start is queued behind this (start.c), and the answer goes out.
 */
#define LOG_MODULE "virt"
#include <stdlib.h>
#include <string.h>
#include "agent/events.h"
#include "agent/fault.h"
#include "agent/virt/domain/external_data.h"
#include "agent/virt/domain/vm_files.h"
#include "agent/virt/life/start.h"
#include "agent/virt/vm.h"
#include "agent/virt/vm_metadata.h"
#include "agent/xml.h"
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
	return making->xml && (!params->memory_dump || memory_files_prepare(agent, params->memory_dump, params->memory_conf, &making->files, error));
}

/* In the table, with all that its start needs on the host. */
static struct vm *add_vm(struct agent *agent, const char *vm_id, const char *shown, struct making *making, GError **error)
{
	struct vms *vms = agent->vms;
	AUTO_VM vm = vm_new(vms, vm_id);

	vm_take_xml(vm, shown);
	{
		AUTO_LOCK(&vms->lock);
		vm->params = vm->info ? record_ref(vm->info->params) : NULL;
		vm->custom = vm->info ? json_incref(vm->info->custom) : NULL;
	}
	if (!vms_add(vms, vm, error))
		return NULL;
	if (external_blobs_keep(vms, vm_id, &making->blobs, error) && vm_files_make(vms->files_dir, vm_id, making->env.env.orders, error)) {
		fault_point("VM.create: files made");
		if (vm_start(vm, making->xml, &making->files, error))
			return vm_ref(vm);
		vm_files_remove(vms->files_dir, vm_id);
	}
	vms_remove(vms, vm);
	return NULL;
}

bool vm_create_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_create_params *p = params;
	g_autofree char *shown = NULL;
	struct making making = { 0 };
	struct vm_short *answer;
	AUTO_VM old = vms_lookup(agent->vms, p->vm_id);
	AUTO_VM vm = NULL;

	if (old) {
		error_set(error, ERR_VM_EXISTS, "{'vmId': '%s'}", p->vm_id);
		return false;
	}
	if (p->params->vm_id && strcmp(p->params->vm_id, p->vm_id)) {
		error_set(error, ERR_INVALID_PARAMETER, "vmParams/vmId is '%s', not vmID '%s'", p->params->vm_id, p->vm_id);
		return false;
	}
	if (make_definition(agent, p->vm_id, p->params, &making, error)) {
		shown = vm_shown_xml(making.xml);
		vm = add_vm(agent, p->vm_id, shown, &making, error);
	}
	making_clear(&making);
	if (!vm)
		return false;
	answer = record_new(&vm_short_type);
	set_string(&answer->vm_id, vm->id);
	SET(answer, status, VM_WIRE_WAIT_FOR_LAUNCH);
	SET(answer, status_time, events_time());
	answer->xml = g_steal_pointer(&shown);
	result_record(ret_result, answer);
	record_unref(answer);
	return true;
}
