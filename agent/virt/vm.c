/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual machine.
 *
 *   WaitForLaunch --made--> Powering up --agent connects, or guest_wait--> Up --pause, I/O error--> Paused --cont--> Up
 *        |                      |                                          |--VM.shutdown--> Powering down --gone--> Down
 *        |                      |                                          |                      `--STATUS_WAIT_USEC--> Up (the guest did not)
 *        |                      |                                          `--VM.reboot--> RebootInProgress --it reset--> Powering up
 *        `--not made---> Down <-'--qemu gone, guest off------------------------'
 *
 * Down is kept, with exit code, reason and message, until VM.destroy. A VM without a channel for the agent is Up as soon as it runs.
 *
 * Threads. Work on a VM is done on its lane "vm/<id>", one piece after the other: verbs, what libvirt's events told, the clock's orders.
 * Talking to the guest's agent for its news has a lane of its own, "guest/<id>", so that a guest that does not answer does not hold up a
 * pause or a destroy. The fields are under vms->lock, which nobody holds while something can block, so that lists and statistics
 * are answered at once whatever a VM is doing. Events are published under the lock: their order is that of the changes.
 */
#define LOG_MODULE "virt"
#include "agent/virt/vm.h"

#include <libvirt/virterror.h>
#include <string.h>
#include "agent/events.h"
#include "agent/hooks.h"
#include "agent/xml.h"
#include "common/lock.h"
#include "common/log.h"

#define STATUS_WAIT_USEC (60 * G_USEC_PER_SEC)

struct vm *vm_new(struct vms *vms, const char *id)
{
	struct vm *vm = g_new0(struct vm, 1);

	vm->refs = 1;
	vm->vms = vms;
	g_strlcpy(vm->id, id, sizeof(vm->id));
	vm->status = VM_WIRE_WAIT_FOR_LAUNCH;
	vm->guest.cpu_count = -1;
	pthread_mutex_init(&vm->agent_lock, NULL);
	return vm;
}

struct vm *vm_ref(struct vm *vm)
{
	g_atomic_int_inc(&vm->refs);
	return vm;
}

void vm_unref(void *data)
{
	struct vm *vm = data;

	if (!vm || !g_atomic_int_dec_and_test(&vm->refs))
		return;
	g_free(vm->exit_message);
	json_decref(vm->ioerror);
	g_free(vm->xml);
	domain_info_unref(vm->info);
	record_unref(vm->params);
	json_decref(vm->custom);
	g_free(vm->name);
	g_free(vm->client_ip);
	guest_facts_clear(&vm->guest);
	vm_sample_free(vm->sample);
	pthread_mutex_destroy(&vm->agent_lock);
	g_free(vm);
}

/* ---- lanes ---- */

struct task {
	struct vm *vm;
	vm_fn fn;
	void *data;
	GDestroyNotify free_data;
	bool done;
};

static void task_run(void *data)
{
	struct task *task = data;

	task->done = true;
	log_context_set(task->vm->id, NULL);
	task->fn(task->vm, task->data);
	log_context_clear();
}

static void task_free(void *data)
{
	struct task *task = data;

	if (!task->done && task->free_data)
		task->free_data(task->data);
	vm_unref(task->vm);
	g_free(task);
}

bool vm_queue_on(struct vm *vm, const char *lane_prefix, const char *name, vm_fn fn, void *data, GDestroyNotify free_data, GError **error)
{
	struct task *task = g_new0(struct task, 1);
	struct lane_job job = { .name = name, .run = task_run, .data = task, .free_data = task_free };
	g_autofree char *lane = g_strconcat(lane_prefix, "/", vm->id, NULL);

	*task = (struct task){ .vm = vm_ref(vm), .fn = fn, .data = data, .free_data = free_data };
	if (lane_submit(vm->vms->agent->lanes, lane, &job, error))
		return true;
	task->done = true;
	task_free(task);
	return false;
}

bool vm_queue(struct vm *vm, const char *name, vm_fn fn, void *data, GDestroyNotify free_data, GError **error)
{
	return vm_queue_on(vm, "vm", name, fn, data, free_data, error);
}

/* ---- libvirt ---- */

virDomainPtr vm_domain(struct vm *vm, GError **error)
{
	g_autoptr(virConnect) conn = NULL;
	virDomainPtr domain;

	if (!vm_check_running(vm, error) || !(conn = libvirt_connection_get(vm->vms->connection, error)))
		return NULL;
	domain = virDomainLookupByUUIDString(conn, vm->id);
	if (!domain) {
		if (libvirt_error_code() == VIR_ERR_NO_DOMAIN)
			error_set(error, ERR_VM_IS_DOWN, "{'vmId': '%s'}", vm->id);
		else
			libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "look up domain %s", vm->id);
	}
	return domain;
}

bool vm_is_running_status(enum vm_wire_status status)
{
	return status != VM_WIRE_DOWN && status != VM_WIRE_WAIT_FOR_LAUNCH;
}

bool vm_check_running(struct vm *vm, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm_is_running_status(vm->status))
		return true;
	error_set(error, ERR_VM_IS_DOWN, "{'vmId': '%s'}", vm->id);
	return false;
}

void vm_take_xml(struct vm *vm, const char *xml)
{
	struct domain_info *info = domain_info_read(xml, NULL, NULL);

	if (!info)
		return;
	AUTO_LOCK(&vm->vms->lock);
	g_free(vm->xml);
	vm->xml = g_strdup(xml);
	domain_info_unref(vm->info);
	vm->info = info;
	set_string(&vm->name, info->name);
	if (info->start_time > 0)
		vm->start_time = info->start_time;
}

void vm_refresh(struct vm *vm, virDomainPtr domain)
{
	char *xml = virDomainGetXMLDesc(domain, 0);

	if (xml)
		vm_take_xml(vm, xml);
	else
		log_debug("VM %s: its XML could not be read, ignoring: %s", vm->id, virGetLastErrorMessage());
	free(xml);
}

char *vm_xml(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return g_strdup(vm->xml);
}

/* ---- states ---- */

void vm_locked_publish(struct vm *vm)
{
	g_autofree char *method = g_strconcat(EVENT_VM_STATUS, vm->id, NULL);
	struct vm_stats *stats = vm_locked_stats(vm);
	json_t *params = json_object();

	json_object_set_new(params, vm->id, record_to_json(stats, RECORD_CHANNEL));
	record_unref(stats);
	events_publish(vm->vms->agent->events, method, params);
}

void vm_publish(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	vm_locked_publish(vm);
}

/* Lock held. */
static void change(struct vm *vm, enum vm_wire_status status, int64_t wait_usec)
{
	if (vm->status != status)
		log_info("VM %s (%s): %s -> %s", vm->id, vm->name ? vm->name : "", vm_wire_status_names[vm->status], vm_wire_status_names[status]);
	vm->status = status;
	vm->status_until_usec = wait_usec ? now_usec() + wait_usec : 0;
	vm->force_at_end = false;
	vm_locked_publish(vm);
}

void vm_set_status(struct vm *vm, enum vm_wire_status status)
{
	{
		AUTO_LOCK(&vm->vms->lock);
		if (vm->status == VM_WIRE_DOWN)
			return;
		change(vm, status, status == VM_WIRE_POWERING_DOWN || status == VM_WIRE_REBOOT_IN_PROGRESS ? STATUS_WAIT_USEC : 0);
	}
	vms_wake(vm->vms);
}

void vm_set_running(struct vm *vm)
{
	struct vms *vms = vm->vms;

	{
		AUTO_LOCK(&vms->lock);
		int64_t left = vm->running_since_usec + vms->guest_wait_usec - now_usec();

		if (vm->status == VM_WIRE_DOWN)
			return;
		vm->pause_code = vm->pause_code ? "NOERR" : NULL;
		vm->paused_by_error = false;
		json_decref(vm->ioerror);
		vm->ioerror = NULL;
		if (vm->agent_connected || !vm->info || !vm->info->agent_channel || left <= 0)
			change(vm, VM_WIRE_UP, 0);
		else
			change(vm, VM_WIRE_POWERING_UP, left);
	}
	vms_wake(vms);
}

void vm_set_up(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->status == VM_WIRE_POWERING_UP || vm->status == VM_WIRE_POWERING_DOWN || vm->status == VM_WIRE_REBOOT_IN_PROGRESS)
		change(vm, VM_WIRE_UP, 0);
}

void vm_set_paused(struct vm *vm, const char *code)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->status == VM_WIRE_DOWN)
		return;
	if (vm->status == VM_WIRE_PAUSED && (!code || !strcmp(code, "NOERR") || !g_strcmp0(code, vm->pause_code)))
		return;                         /* said already; a plain pause does not hide an I/O error */
	if (code)
		vm->pause_code = code;
	change(vm, VM_WIRE_PAUSED, 0);
}

void vm_locked_clear_guest(struct vm *vm)
{
	guest_facts_clear(&vm->guest);
	vm->agent_connected = false;
	vm->frozen = false;
	memset(vm->query_at_usec, 0, sizeof(vm->query_at_usec));
}

void vm_set_down(struct vm *vm, int code, enum vm_exit_reason reason, const char *message)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->status == VM_WIRE_DOWN)
		return;
	vm->exit_code = code;
	vm->exit_reason = reason;
	set_string(&vm->exit_message, message);
	vm_locked_clear_guest(vm);
	vm->shutdown_at_usec = 0;
	log_info("VM %s (%s) is down: exit code %d, reason %d: %s", vm->id, vm->name ? vm->name : "", code, (int)reason, message);
	change(vm, VM_WIRE_DOWN, 0);
}

/* ---- seen again after a restart or a lost connection ---- */

static const char *pause_code_of(virDomainPtr domain)
{
	virDomainDiskErrorPtr errors;
	const char *code = "EOTHER";
	int n = virDomainGetDiskErrors(domain, NULL, 0, 0);

	if (n <= 0)
		return code;
	errors = g_new0(virDomainDiskError, (unsigned)n);
	n = virDomainGetDiskErrors(domain, errors, (unsigned)n, 0);
	for (int i = 0; i < n; i++) {
		code = errors[i].error == VIR_DOMAIN_DISK_ERROR_NO_SPACE ? "ENOSPC" : "EIO";
		free(errors[i].disk);
	}
	g_free(errors);
	return code;
}

void vm_adopt(struct vm *vm, virDomainPtr domain)
{
	struct vms *vms = vm->vms;
	int state = 0, reason = 0;
	bool connected, was_running;

	vm_refresh(vm, domain);
	if (virDomainGetState(domain, &state, &reason, 0) < 0)
		return;
	{
		AUTO_LOCK(&vms->lock);
		was_running = vm_is_running_status(vm->status);
		if (!vm->params && vm->info)
			vm->params = record_ref(vm->info->params);
		if (!vm->custom && vm->info)
			vm->custom = json_incref(vm->info->custom);
		if (!was_running && vm->start_time > 0)
			vm->running_since_usec = now_usec() - MAX((int64_t)((double)wall_msec() - vm->start_time * 1000), 0) * 1000;
		connected = vm->info && vm->info->agent_connected;
	}
	if (connected && (state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED))
		guest_agent_connected(vm);
	switch (state) {
	case VIR_DOMAIN_PAUSED:
		vm_set_paused(vm, reason == VIR_DOMAIN_PAUSED_IOERROR ? pause_code_of(domain) : "NOERR");
		break;
	case VIR_DOMAIN_SHUTDOWN:
		vm_set_status(vm, VM_WIRE_POWERING_DOWN);
		break;
	case VIR_DOMAIN_SHUTOFF:
	case VIR_DOMAIN_CRASHED:
		vm_set_down(vm, 1, VM_EXIT_LOST_QEMU, "Lost connection with qemu process");
		break;
	default:
		/* One that is asked to go, or to start again, stays so. */
		if (!was_running || vm->status == VM_WIRE_PAUSED)
			vm_set_running(vm);
	}
}

/* ---- hooks ---- */

bool vm_hook(struct vm *vm, const char *point, const char *xml, const json_t *parameters, bool may_fail, char **ret_xml, GError **error)
{
	g_autofree char *seen = xml ? NULL : vm_xml(vm);
	struct hook_run run = { .point = point, .vm_id = vm->id, .domain_xml = xml ? xml : seen, .parameters = parameters, .may_fail = may_fail };
	json_t *custom;
	bool good;

	{
		AUTO_LOCK(&vm->vms->lock);
		custom = json_incref(vm->custom);
	}
	run.custom = custom;
	good = hooks_run(vm->vms->agent->hooks, &run, ret_xml, error);
	json_decref(custom);
	return good;
}
