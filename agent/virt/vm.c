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
 * Threads. Work on a VM is done on its lane "vm/<id>", one piece after the other: verbs, jobs, the clock's orders. What libvirt tells of its state is
 * taken in beside it (vm_events.c): a state may change while a verb is at work, and one that looks at it and then sets it holds the events.
 * Talking to the guest's agent for its news has a lane of its own, "guest/<id>", so that a guest that does not answer does not hold up a
 * pause or a destroy. The fields are under vms->lock, which nobody holds while something can block, so that lists and statistics
 * are answered at once whatever a VM is doing. Events are published under the lock: their order is that of the changes.
 */
#define LOG_MODULE "virt"
#include "agent/virt/migration/migration.h"
#include "agent/virt/vm.h"

#include <libvirt/virterror.h>
#include <string.h>
#include "agent/events.h"
#include "agent/hooks.h"
#include "agent/jobs.h"
#include "agent/storage/storage.h"
#include "agent/virt/change/live.h"
#include "agent/virt/change/nic.h"
#include "agent/virt/disk/block_jobs.h"
#include "agent/virt/domain/vm_files.h"
#include "agent/virt/life/crash.h"
#include "agent/virt/life/end_scripts.h"
#include "agent/virt/stats/vm_sample.h"
#include "common/xml.h"
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
	vm->block_jobs = json_object();
	vm->disk_sizes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	pthread_mutex_init(&vm->agent_lock, NULL);
	pthread_mutex_init(&vm->end_lock, NULL);
	pthread_cond_init(&vm->event_over, NULL);
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
	json_decref(vm->watchdog_event);
	g_free(vm->xml);
	domain_info_unref(vm->info);
	record_unref(vm->params);
	json_decref(vm->custom);
	for (size_t i = 0; i < G_N_ELEMENTS(vm->external); i++) {
		g_free(vm->external[i].hash);
		g_free(vm->external[i].told);
	}
	g_free(vm->name);
	g_free(vm->client_ip);
	guest_facts_clear(&vm->guest);
	vm_sample_free(vm->sample);
	g_hash_table_unref(vm->disk_sizes);
	migration_unref(vm->migration);
	json_decref(vm->block_jobs);
	snapshot_forget(vm);
	vm_events_drop(vm);
	pthread_mutex_destroy(&vm->agent_lock);
	pthread_mutex_destroy(&vm->end_lock);
	pthread_cond_destroy(&vm->event_over);
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

static unsigned next_read(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return ++vm->xml_reads;
}

/* Takes info over. */
static void locked_take(struct vm *vm, const char *xml, struct domain_info *info)
{
	if (g_strcmp0(vm->xml, xml)) {
		g_free(vm->xml);
		vm->xml = g_strdup(xml);
		vm->xml_version++;
	}
	domain_info_unref(vm->info);
	vm->info = info;
	if (vm->sample)                 /* it names disks and NICs by it */
		g_clear_pointer(&vm->sample->text, g_free);
	set_string(&vm->name, info->name);
	if (info->start_time > 0)
		vm->start_time = info->start_time;
}

/* read: its number. One that is known to be older than the last taken is not; 0: it was not read from libvirt. */
static void take_xml(struct vm *vm, const char *xml, unsigned read)
{
	struct domain_info *info = domain_info_read(xml, NULL, NULL);
	bool changed;

	if (!info)
		return;
	{
		AUTO_LOCK(&vm->vms->lock);
		if (read && read < vm->xml_taken) {
			domain_info_unref(info);
		} else {
			vm->xml_taken = MAX(read, vm->xml_taken);
			changed = vm->info && strcmp(vm->info->hash, info->hash) && vm_is_running_status(vm->status);
			locked_take(vm, xml, info);
			if (changed)
				vm_locked_publish(vm);
		}
	}
	/* also what somebody else took just now: who asked for a change is answered when the scripts of the end know of it, too */
	end_scripts_keep(vm);
}

void vm_take_xml(struct vm *vm, const char *xml)
{
	take_xml(vm, xml, /* read= */ 0);
}

char *vm_read_xml(struct vm *vm, virDomainPtr domain)
{
	unsigned read = next_read(vm);
	char *xml = virDomainGetXMLDesc(domain, 0);

	if (xml)
		take_xml(vm, xml, read);
	return xml;
}

void vm_refresh(struct vm *vm, virDomainPtr domain)
{
	char *xml = vm_read_xml(vm, domain);

	if (!xml)
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
	g_autoptr(GString) stats = g_string_new(NULL);
	json_t *params = json_object();

	vm_locked_write_stats(vm, NULL, stats);
	json_object_set_new(params, vm->id, json_parse(stats->str, stats->len, NULL));
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
	if (status == VM_WIRE_DOWN)
		vm->leaving = vm->arriving = false;
	if (vm->leaving || vm->arriving) {
		status = vm->arriving ? VM_WIRE_MIGRATION_DESTINATION : migration_locked_postcopy(vm) ? VM_WIRE_PAUSED : VM_WIRE_MIGRATION_SOURCE;
		wait_usec = 0;
	}
	if (vm->status != status)
		log_info("VM %s (%s): %s -> %s", vm->id, vm->name ? vm->name : "", vm_wire_status_names[vm->status], vm_wire_status_names[status]);
	vm->status = status;
	vm->status_until_usec = wait_usec ? now_usec() + wait_usec : 0;
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
	bool inert;

	{
		AUTO_LOCK(&vms->lock);
		int64_t left = vm->running_since_usec + vms->guest_wait_usec - now_usec();
		bool stale;

		if (vm->status == VM_WIRE_DOWN)
			return;
		inert = vm->inert;
		vm->inert = false;
		stale = vm->time_is_stale || (vm->status == VM_WIRE_PAUSED && vm->agent_connected) || vm->status == VM_WIRE_MIGRATION_DESTINATION;
		vm->pause_code = vm->pause_code ? "NOERR" : NULL;
		vm->paused_by_error_usec = 0;
		vm->keep_paused = false;
		json_decref(vm->ioerror);
		vm->ioerror = NULL;
		if (vm->agent_connected || !vm->info || !vm->info->agent_channel || left <= 0)
			change(vm, VM_WIRE_UP, 0);
		else
			change(vm, VM_WIRE_POWERING_UP, left);
		if (stale)
			guest_time_is_stale(vm);
	}
	if (inert)
		migration_has_run(vm);
	jobs_wake_about(vms->agent->jobs, "vmID", vm->id);
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
	if (code && strcmp(code, "NOERR") && !vm->paused_by_error_usec)
		vm->paused_by_error_usec = now_usec();
	change(vm, VM_WIRE_PAUSED, 0);
}

void vm_locked_clear_guest(struct vm *vm)
{
	guest_facts_clear(&vm->guest);
	vm->agent_connected = false;
	vm->agent_silences = 0;
	vm->frozen = false;
	memset(vm->query_at_usec, 0, sizeof(vm->query_at_usec));
}

static bool set_down(struct vm *vm, int code, enum vm_exit_reason reason, const char *message)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->status == VM_WIRE_DOWN)
		return false;
	vm->exit_code = code;
	vm->exit_reason = reason;
	set_string(&vm->exit_message, message);
	vm_locked_clear_guest(vm);
	vm->thaw_at_usec = vm->paused_by_error_usec = 0;
	vm->time_is_stale = false;
	log_info("VM %s (%s) is down: exit code %d, reason %d: %s", vm->id, vm->name ? vm->name : "", code, (int)reason, message);
	change(vm, VM_WIRE_DOWN, 0);
	return true;
}

void vm_set_down(struct vm *vm, int code, enum vm_exit_reason reason, const char *message)
{
	bool down, unknown, destroying;

	{
		AUTO_LOCK(&vm->vms->lock);
		down = vm->status == VM_WIRE_DOWN;
		unknown = vm->start_unknown;
		destroying = vm->destroying;
	}
	if (down)               /* the files may be those of the next one with its id */
		return;
	if (!unknown) {         /* else it may turn up, and need them */
		vm_files_remove(vm->vms->files_dir, vm->id);
		storage_rest(vm->vms->agent->storage, vm->id);
	}
	nic_ended(vm);
	if (!set_down(vm, code, reason, message ? message : ending_text(reason)))
		return;
	jobs_wake_about(vm->vms->agent->jobs, "vmID", vm->id);
	if (reason != VM_EXIT_MIGRATED && reason != VM_EXIT_SAVED && !destroying)
		(void)vm_queue(vm, "scripts of its end", vm_tell_end, NULL, NULL, NULL);
}

/* ---- as libvirt sees it ---- */

/* What paused it: an error that is known already is not hidden by one that is not. */
static const char *code_of(struct vm *vm, int reason)
{
	bool known;

	if (reason != VIR_DOMAIN_PAUSED_IOERROR)
		return "NOERR";
	AUTO_LOCK(&vm->vms->lock);
	known = vm->pause_code && strcmp(vm->pause_code, "NOERR") && strcmp(vm->pause_code, "POSTCOPY");
	return known ? NULL : "EOTHER";
}

/* Its state says that it does not run, and nobody else will say that it does. */
static bool is_said_to_stand(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return !vm->saving && vm->status != VM_WIRE_UP && vm->status != VM_WIRE_POWERING_UP && vm->status != VM_WIRE_POWERING_DOWN &&
	       vm->status != VM_WIRE_REBOOT_IN_PROGRESS;
}

void vm_see(struct vm *vm, virDomainPtr domain)
{
	int state = VIR_DOMAIN_RUNNING, reason = 0;

	vm_events_hold(vm);
	if (domain && virDomainGetState(domain, &state, &reason, 0) < 0)
		state = VIR_DOMAIN_RUNNING;             /* it ends: libvirt tells */
	if (state == VIR_DOMAIN_PAUSED)
		vm_set_paused(vm, code_of(vm, reason));
	else if (is_said_to_stand(vm))
		vm_set_running(vm);
	vm_events_release(vm);
}

/* ---- seen again after a restart or a lost connection ---- */

static bool is_paused_by_unknown(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status == VM_WIRE_PAUSED && !g_strcmp0(vm->pause_code, "EOTHER");
}

static bool is_starting(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->launch == LAUNCH_SEEN;
}

void vm_adopted(struct vm *vm)
{
	if (is_starting(vm))
		return;                         /* when it runs */
	watermark_arm(vm);
	(void)vm_queue(vm, "settle", live_settle, NULL, NULL, NULL);
	if (is_paused_by_unknown(vm))
		(void)vm_queue_on(vm, "error", "ask for the I/O error", vm_ask_io_error, NULL, NULL, NULL);
	(void)vm_queue_on(vm, "end", "look for a crash", crash_look, NULL, NULL, NULL);
	(void)vm_queue(vm, "its block jobs are known", block_jobs_known, NULL, NULL, NULL);
}

static bool has_path(struct vm *vm, const char *target)
{
	AUTO_LOCK(&vm->vms->lock);
	const struct domain_disk *disk = domain_info_disk(vm->info, target);

	return disk && disk->path;
}

/* QEMU (7.2) does not forget an error when the disk has been mended. When there are several, a disk without a path is the likely one: libvirt would
 * have told of the others. */
void vm_ask_io_error(struct vm *vm, void *unused)
{
	g_autoptr(virDomain) domain = is_paused_by_unknown(vm) ? vm_domain(vm, NULL) : NULL;
	int n = domain ? virDomainGetDiskErrors(domain, NULL, 0, 0) : 0;
	virDomainDiskErrorPtr errors, found = NULL;

	if (n <= 0)
		return;
	errors = g_new0(virDomainDiskError, (unsigned)n);
	n = virDomainGetDiskErrors(domain, errors, (unsigned)n, 0);
	for (int i = 0; i < n; i++)
		if (!found || !has_path(vm, errors[i].disk))
			found = &errors[i];
	if (found && is_paused_by_unknown(vm))
		vm_set_io_error(vm, found->error == VIR_DOMAIN_DISK_ERROR_NO_SPACE ? "enospc" : "eio", found->disk, NULL);
	for (int i = 0; i < n; i++)
		free(errors[i].disk);
	g_free(errors);
}

static void adopt(struct vm *vm, virDomainPtr domain)
{
	struct vms *vms = vm->vms;
	int state = 0, reason = 0;
	bool connected, was_running, was_paused;

	vm_refresh(vm, domain);
	if (virDomainGetState(domain, &state, &reason, 0) < 0) {
		if (libvirt_error_code() != VIR_ERR_NO_DOMAIN)
			return;
		state = VIR_DOMAIN_SHUTOFF;             /* it ended after it was listed */
	}
	{
		AUTO_LOCK(&vms->lock);
		was_running = vm_is_running_status(vm->status) && vm->launch != LAUNCH_SEEN;
		was_paused = vm->status == VM_WIRE_PAUSED;
		if (!vm->params && vm->info)
			vm->params = record_ref(vm->info->params);
		if (!vm->custom && vm->info)
			vm->custom = json_incref(vm->info->custom);
		if (!was_running && vm->start_time > 0)
			vm->running_since_usec = now_usec() - MAX((int64_t)((double)wall_msec() - vm->start_time * 1000), 0) * 1000;
		connected = vm->info && vm->info->agent_connected;
		if (!was_running)
			vm->inert = migration_is_inert(vm->xml);
	}
	end_scripts_owe(vm);
	if (connected)
		guest_agent_connected(vm);
	switch (state) {
	case VIR_DOMAIN_PAUSED:
		if (reason == VIR_DOMAIN_PAUSED_SAVE) {
			vm_set_status(vm, VM_WIRE_SAVING);
			break;
		}
		if (recovery_adopt_start(vm, reason) || (reason == VIR_DOMAIN_PAUSED_MIGRATION && !was_paused && migration_adopt(vm)))
			break;
		vm_set_paused(vm, code_of(vm, reason));
		break;
	case VIR_DOMAIN_SHUTDOWN:
		vm_set_status(vm, VM_WIRE_POWERING_DOWN);
		break;
	case VIR_DOMAIN_CRASHED:
		if (virDomainIsActive(domain) == 1) {           /* its guest; what is to be done about it: vm_adopted() */
			vm_set_paused(vm, "NOERR");
			break;
		}
		/* fall through */
	case VIR_DOMAIN_SHUTOFF:
		vm_set_down(vm, 1, VM_EXIT_LOST_QEMU, "Lost connection with qemu process");
		break;
	default:
		/* One that is asked to go, or to start again, stays so. */
		if (!was_running || vm->status == VM_WIRE_PAUSED)
			vm_set_running(vm);
	}
}

void vm_adopt(struct vm *vm, virDomainPtr domain)
{
	vm_events_hold(vm);
	adopt(vm, domain);
	vm_events_release(vm);
}

/* ---- hooks ---- */

bool vm_hook(struct vm *vm, const char *point, const char *data, const json_t *parameters, char **ret_data, GError **error)
{
	g_autofree char *seen = data ? NULL : vm_xml(vm);
	struct hook_run run = { .point = point, .vm_id = vm->id, .data = data ? data : seen, .parameters = parameters };
	json_t *custom;
	bool good;

	{
		AUTO_LOCK(&vm->vms->lock);
		custom = json_incref(vm->custom);
	}
	run.custom = custom;
	good = hooks_run(vm->vms->agent->hooks, &run, ret_data, error);
	json_decref(custom);
	return good;
}
