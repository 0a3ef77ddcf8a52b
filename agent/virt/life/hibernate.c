/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.hibernate: the VM's memory goes to a volume, and the VM ends. (Back from there: start.c.)
 *
 *	before_vm_hibernate     may fail it (1500); then VM.hibernate answers: what follows is a journaled job
 *	conf                    the description of what is saved, where the engine gave a volume for it (memory_volume.c)
 *	save                    libvirt: Saving State, and when the memory is on disk the VM is gone: Down, reason 5
 *	after_vm_hibernate
 *
 * One that cannot be saved goes on as before, with the error in the log and in the job. The job has a lane of its own, "save/<id>": it may take many minutes,
 * in which VM.destroy works, and other verbs say at once why they do not.
 *
 * The agent may die meanwhile, or libvirt; libvirt goes on with what it was told. The next one looks, and until it has done so the VM is Saving State, though
 * its domain be gone: who asks must not believe it lost. Still being saved: it waits for the end; the VM runs: nothing was saved, and nothing is (whoever
 * asked sees it run, and may have removed the volume already); it is gone: when the memory is in the volume, whole and of this VM, it is Down with
 * reason 5, else with reason 9.
 */
#define LOG_MODULE "virt"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/fault.h"
#include "agent/jobs.h"
#include "agent/virt/backup/backup.h"
#include "agent/virt/life/end_scripts.h"
#include "agent/virt/life/memory_volume.h"
#include "agent/virt/vm.h"
#include "common/xml.h"
#include "common/lock.h"
#include "common/log.h"

#define LOOK_USEC (500 * 1000)

static const char *requested(const json_t *state, const char *member)
{
	return json_string_value(json_object_get(json_object_get(state, "request"), member));
}

/* ---- saving ---- */

static void set_saving(struct vm *vm, bool saving)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->saving = saving;
}

/* As it was before. A VM that is down stays so. */
static void go_on(struct vm *vm)
{
	g_autoptr(virDomain) domain = vm_domain(vm, NULL);

	set_saving(vm, false);
	vm_see(vm, domain);
}

/* Neither question waits for QEMU. libvirt is at work as long as a job of it, or a command to the monitor, is under way. */
static bool may_be_saving(virDomainPtr domain)
{
	virDomainControlInfo control;
	int state = 0, reason = 0;

	return (virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_SAVE) ||
	       (virDomainGetControlInfo(domain, &control, 0) == 0 && control.state != VIR_DOMAIN_CONTROL_OK);
}

static enum job_run look_again(struct job *job, struct vm *vm)
{
	if (vm)
		vm_set_status(vm, VM_WIRE_SAVING);
	job_wake_after(job, LOOK_USEC);
	return JOB_WAITS;
}

/* A VM that went down in the middle did so by itself or by VM.destroy: its end is told by whoever saw it. */
static enum job_run save(struct job *job, struct vm *vm, const char *path, GError **error)
{
	g_autoptr(virDomain) domain = vm_domain(vm, error);
	int active;

	if (!domain) {
		go_on(vm);
		return JOB_FAILED;
	}
	if (virDomainSaveFlags(domain, path, NULL, 0) == 0)
		return JOB_DONE;
	libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "the memory of VM %s could not be saved", vm->id);
	active = virDomainIsActive(domain);
	if (active < 0) {
		log_warn("VM %s: libvirt went away while it saved the memory; what came of it is seen when it is back", vm->id);
		g_clear_error(error);
		return look_again(job, vm);
	}
	if (active)
		go_on(vm);
	return JOB_FAILED;
}

static enum job_run begin(struct job *job, json_t *state, struct vm *vm, GError **error)
{
	const char *memory = requested(state, "memory"), *conf = requested(state, "conf");
	bool good = !conf || (job_step(job, state, "conf", error) && memory_conf_keep(vm, conf, /* from_snapshot= */ false, error));
	enum job_run saved;

	if (!good || !job_step(job, state, "save", error)) {
		go_on(vm);
		return JOB_FAILED;
	}
	saved = save(job, vm, memory, error);
	if (saved != JOB_DONE)
		return saved;
	fault_point("hibernate: saved");
	(void)vm_hook(vm, "after_vm_hibernate", NULL, NULL, NULL, NULL);
	return JOB_DONE;
}

/* ---- after a restart of the agent or of libvirt ---- */

/* libvirt writes the head of the file last: one that it began and did not finish has none. */
static bool is_saved(virConnectPtr conn, const char *path, const char *vm_id)
{
	char *xml = virDomainSaveImageGetXMLDesc(conn, path, 0);
	g_autoptr(xmlDoc) doc = xml ? xml_parse(xml, strlen(xml), NULL) : NULL;
	g_autofree char *uuid = doc ? xml_text(xml_child(xmlDocGetRootElement(doc), "uuid")) : NULL;

	free(xml);
	return uuid && !g_ascii_strcasecmp(uuid, vm_id);
}

static enum job_run look(struct job *job, json_t *state, struct vms *vms, GError **error)
{
	const char *id = requested(state, "vmID");
	g_autoptr(virConnect) conn = libvirt_connection_get(vms->connection, NULL);
	g_autoptr(virDomain) domain = conn ? virDomainLookupByUUIDString(conn, id) : NULL;
	AUTO_VM vm = vms_lookup(vms, id);

	if (!vm) {
		error_set(error, ERR_NO_SUCH_VM, "{'vmId': '%s'}: it was destroyed while its memory was saved", id);
		return JOB_FAILED;
	}
	if (!conn || (domain ? may_be_saving(domain) : libvirt_error_code() != VIR_ERR_NO_DOMAIN))
		return look_again(job, vm);
	if (domain && virDomainIsActive(domain) == 1) {
		go_on(vm);
		error_set(error, ERR_UNEXPECTED_ERROR, "VM %s runs: its memory was not saved", id);
		return JOB_FAILED;
	}
	if (!is_saved(conn, requested(state, "memory"), id)) {
		if (virConnectIsAlive(conn) != 1)
			return look_again(job, vm);
		error_set(error, ERR_UNEXPECTED_ERROR, "VM %s ended and its memory was not saved", id);
		vm_set_down(vm, 1, VM_EXIT_DOMAIN_MISSING, "The VM ended and its memory was not saved");
		return JOB_FAILED;
	}
	vm_set_down(vm, 0, VM_EXIT_SAVED, NULL);
	(void)vm_hook(vm, "after_vm_hibernate", NULL, NULL, NULL, NULL);
	return JOB_DONE;
}

static enum job_run hibernate_run(struct job *job, json_t *state, void *context, GError **error)
{
	struct vms *vms = context;
	AUTO_VM vm = vms_lookup(vms, requested(state, "vmID"));
	bool mine = json_integer_value(json_object_get(json_object_get(state, "request"), "agent")) == vms->agent->started_usec;
	enum job_run outcome = mine && vm && !json_object_get(state, "step") ? begin(job, state, vm, error) : look(job, state, vms, error);

	if (vm && outcome != JOB_WAITS)
		set_saving(vm, false);
	return outcome;
}

const struct job_kind hibernate_kind = { .name = "hibernate", .type = "virt", .run = hibernate_run };

void hibernate_register(struct vms *vms)
{
	jobs_register(vms->agent->jobs, &hibernate_kind, vms);
}

/* A VM that ended meanwhile is not missing: it is being saved until its job has looked. */
void hibernate_resumed(struct vms *vms)
{
	g_autoptr(GPtrArray) requests = jobs_requests(vms->agent->jobs, &hibernate_kind, /* ending= */ true);

	for (guint i = 0; i < requests->len; i++) {
		const json_t *request = requests->pdata[i];
		const char *id = json_string_value(json_object_get(request, "vmID"));
		AUTO_VM vm = vms_lookup(vms, id);

		if (!vm) {
			vm = vm_new(vms, id);
			set_string(&vm->name, json_string_value(json_object_get(request, "name")));
			end_scripts_recall(vm);
			(void)vms_add(vms, vm, NULL);
		}
		set_saving(vm, true);
		vm_set_status(vm, VM_WIRE_SAVING);
	}
}

/* ---- the verb ---- */

/* An engine that was restarted asks again for what is under way. */
static bool is_saving(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status == VM_WIRE_SAVING;
}

static bool queue(struct agent *agent, struct vm *vm, const struct memory_files *files, GError **error)
{
	g_autofree char *lane = g_strconcat("save/", vm->id, NULL), *what = g_strconcat("VM.hibernate ", vm->id, NULL), *name = NULL;
	json_t *request;
	bool good;

	{
		AUTO_LOCK(&vm->vms->lock);
		name = g_strdup(vm->name);
	}
	request = json_pack("{s:s, s:s, s:s, s:I}", "vmID", vm->id, "name", name ? name : "", "memory", files->memory, "agent",
			    (json_int_t)agent->started_usec);
	if (files->conf)
		json_object_set_new(request, "conf", json_string(files->conf));
	good = jobs_begin(agent->jobs, &(struct job_order){ .kind = &hibernate_kind, .description = what, .lane = lane, .request = request }, NULL, error);
	json_decref(request);
	return good;
}

bool vm_hibernate_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_hibernate_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	struct memory_files files = { 0 };
	bool good;

	if (vm && is_saving(vm))
		return true;
	if (!vm || !vm_check_running(vm, error) || !backup_allows(vm, NULL, ERR_MISC_OPERATION_IN_PROGRESS, "saved", error) ||
	    !memory_files_prepare(agent, p->vm_id, p->handle, NULL, &files, error))
		return false;
	good = vm_hook(vm, "before_vm_hibernate", NULL, NULL, NULL, error);
	if (good) {
		set_saving(vm, true);
		vm_set_status(vm, VM_WIRE_SAVING);
		good = queue(agent, vm, &files, error);
		if (!good)
			go_on(vm);
	}
	memory_files_clear(&files);
	return good;
}
