/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a VM: what VM.create does after its answer, on the VM's lane.
 *
 *	boot      before_device_create, before_vm_start (may change the XML, may fail) -> virDomainCreateXML (transient: nothing stays behind) ->
 *	          Powering up -> after_vm_start, after_device_create
 *	restore   the files are looked at and the XML is made: that of the saved domain, its metadata with it, on the disks that VM.create names
 *	          now (restore.c) -> before_vm_start, before_vm_dehibernate (may fail) -> Restoring state -> virDomainRestore -> as it was, or Paused ->
 *	          after_vm_start, after_vm_dehibernate, after_device_create
 *
 * A start that fails ends Down: reason 3 with libvirt's words or what is wrong with the saved memory, 1 when a script failed, 10 when VM.destroy came before
 * libvirt was asked. When libvirt went away in the middle, what came of it is seen when it is back (recovery.c).
 */
#define LOG_MODULE "virt"
#include <errno.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/fault.h"
#include "agent/hooks.h"
#include "agent/virt/change/live.h"
#include "agent/virt/device/device_hooks.h"
#include "agent/virt/life/end_scripts.h"
#include "agent/virt/life/restore.h"
#include "agent/virt/life/start.h"
#include "common/lock.h"
#include "common/log.h"

#define GONE_USEC 5000000
#define START_TRIES 3

struct start {
	char *xml;                      /* of VM.create, with passwords */
	struct memory_files files;      /* memory NULL: boot */
	char *restored;                 /* XML to restore with */
	bool from_snapshot;             /* the memory is a snapshot's, to be restored again and again */
};

static void start_free(void *data)
{
	struct start *start = data;

	g_free(start->xml);
	g_free(start->restored);
	memory_files_clear(&start->files);
	g_free(start);
}

static bool is_restore(const struct start *start)
{
	return start->files.memory != NULL;
}

static bool is_destroying(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->destroying;
}

static bool starts_paused(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->params && HAS(vm->params, launch_paused) && vm->params->launch_paused;
}

static bool is_of_snapshot(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->params && HAS(vm->params, from_snapshot) && vm->params->from_snapshot;
}

static void failed(struct vm *vm, const struct start *start, enum vm_exit_reason reason, const GError *error)
{
	g_autofree char *message = is_restore(start) ? g_strdup_printf("Wake up from hibernation failed: %s", error->message) : g_strdup(error->message);

	log_error("VM %s could not be started: %s", vm->id, error->message);
	vm_set_down(vm, 1, reason, message);
}

/* ---- hooks ---- */

static bool restore_hook(struct vm *vm, const struct start *start, const char *point, GError **error)
{
	json_t *parameters = json_pack("{s:s}", "FROM_SNAPSHOT", start->from_snapshot ? "True" : "False");
	bool good = vm_hook(vm, point, start->restored, parameters, NULL, error);

	json_decref(parameters);
	return good;
}

static void take(char **xml, char **changed)
{
	if (!*changed)
		return;
	g_free(*xml);
	*xml = g_steal_pointer(changed);
}

/* What scripts leave of the XML counts for a boot only: the memory knows its devices. */
static bool hooks_before(struct vm *vm, struct start *start, GError **error)
{
	g_autofree char *changed = NULL;

	if (is_restore(start))
		return vm_hook(vm, "before_vm_start", start->restored, NULL, NULL, error) &&
		       restore_hook(vm, start, "before_vm_dehibernate", error);
	if (!device_hooks(vm, "before_device_create", start->xml, &changed, error))
		return false;
	take(&start->xml, &changed);
	if (!vm_hook(vm, "before_vm_start", start->xml, NULL, &changed, error))
		return false;
	take(&start->xml, &changed);
	return true;
}

static void hooks_after(struct vm *vm, const struct start *start)
{
	(void)vm_hook(vm, "after_vm_start", NULL, NULL, NULL, NULL);
	if (is_restore(start))
		(void)restore_hook(vm, start, "after_vm_dehibernate", NULL);
	(void)device_hooks(vm, "after_device_create", NULL, NULL, NULL);
}

/* ---- libvirt ---- */

static virDomainPtr restore(struct vm *vm, virConnectPtr conn, const struct start *start, bool paused)
{
	vm_set_status(vm, VM_WIRE_RESTORING);
	if (virDomainRestoreFlags(conn, start->files.memory, start->restored, paused ? VIR_DOMAIN_SAVE_PAUSED : VIR_DOMAIN_SAVE_RUNNING) < 0)
		return NULL;
	return virDomainLookupByUUIDString(conn, vm->id);
}

/*
 * One that ended just now keeps its name and its UUID until libvirt has cleared it away: a VM that is started again at once would be refused. libvirt does
 * that within a job of the domain, after its last event; so whoever asks for something that needs a job too has to wait for it.
 */
static void wait_until_gone(struct vm *vm, virConnectPtr conn)
{
	g_autofree char *name = NULL;

	{
		AUTO_LOCK(&vm->vms->lock);
		name = g_strdup(vm->name);
	}
	for (int64_t end = now_usec() + GONE_USEC; name && now_usec() < end;) {
		g_autoptr(virDomain) domain = virDomainLookupByName(conn, name);
		virDomainMemoryStatStruct unused;

		if (!domain || virDomainIsActive(domain) != 0 || virDomainIsPersistent(domain) != 0)
			return;
		(void)virDomainMemoryStats(domain, &unused, 1, 0);
	}
}

/* libvirt looks for a name that no tap device has, and then takes it: another libvirtd of this host may have been faster. It tries the next name then. */
static bool lost_a_race(void)
{
	virErrorPtr last = virGetLastError();

	return last && last->code == VIR_ERR_SYSTEM_ERROR && last->int1 == EBUSY;
}

/* flags: virDomainCreateFlags */
static virDomainPtr make(struct vm *vm, virConnectPtr conn, const struct start *start, unsigned flags, GError **error)
{
	for (unsigned i = 0; i < START_TRIES; i++) {
		virDomainPtr domain = is_restore(start) ? restore(vm, conn, start, flags & VIR_DOMAIN_START_PAUSED)
							: virDomainCreateXML(conn, start->xml, flags);

		if (domain)
			return domain;
		if (!lost_a_race())
			break;
	}
	error_set_literal(error, ERR_CANNOT_CREATE_VM, virGetLastErrorMessage());
	if (virConnectIsAlive(conn) != 1) {
		AUTO_LOCK(&vm->vms->lock);
		vm->start_unknown = true;
	}
	return NULL;
}

static void runs(struct vm *vm, virDomainPtr domain, const struct start *start, bool paused)
{
	{
		AUTO_LOCK(&vm->vms->lock);
		vm->running_since_usec = now_usec();
	}
	vm_refresh(vm, domain);
	if (is_restore(start)) {
		AUTO_LOCK(&vm->vms->lock);
		guest_time_is_stale(vm);
	}
	if (paused)
		vm_set_paused(vm, "NOERR");
	else
		vm_set_running(vm);
	vms_wake(vm->vms);
}

/* What was saved with it counts, as after a restart of the agent. */
static void take_saved(struct vm *vm, const char *xml)
{
	struct domain_info *info = domain_info_read(xml, NULL, NULL);
	AUTO_LOCK(&vm->vms->lock);

	if (info && info->params) {
		record_unref(vm->params);
		vm->params = record_ref(info->params);
	}
	if (info) {
		json_decref(vm->custom);
		vm->custom = json_incref(info->custom);
	}
	domain_info_unref(info);
}

static bool prepare(struct vm *vm, virConnectPtr conn, struct start *start, GError **error)
{
	if (!is_restore(start))
		return true;
	if (!restore_prepare(conn, vm->id, &start->files, start->xml, &start->restored, &start->from_snapshot, error))
		return false;
	start->from_snapshot |= is_of_snapshot(vm);
	take_saved(vm, start->restored);
	return true;
}

/* What libvirt told up to here is of the one before, which had this id. */
static void forget_the_one_before(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	vm_events_drop(vm);
}

/* true: it runs. */
static bool start_run(struct vm *vm, struct start *start)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(virConnect) conn = libvirt_connection_get(vm->vms->connection, &error);
	g_autoptr(virDomain) domain = NULL;
	unsigned flags = starts_paused(vm) ? VIR_DOMAIN_START_PAUSED : 0;
	int64_t begun = now_usec();

	if (!conn || !prepare(vm, conn, start, &error)) {
		failed(vm, start, VM_EXIT_LIBVIRT_START_FAILED, error);
		return false;
	}
	end_scripts_owe(vm);
	if (!hooks_before(vm, start, &error)) {
		failed(vm, start, VM_EXIT_GENERIC, error);
		return false;
	}
	fault_point("start: scripts have run");
	if (is_destroying(vm)) {
		vm_set_down(vm, 0, VM_EXIT_DESTROYED_ON_STARTUP, NULL);
		return false;
	}
	wait_until_gone(vm, conn);
	forget_the_one_before(vm);
	flags |= hooks_take_launch_flags(vm->vms->agent->hooks, vm->id);
	domain = make(vm, conn, start, flags, &error);
	if (!domain) {
		failed(vm, start, VM_EXIT_LIBVIRT_START_FAILED, error);
		return false;
	}
	fault_point("start: domain runs");
	log_info("VM %s runs, %.0f ms after its start began", vm->id, (double)(now_usec() - begun) / 1e3);
	runs(vm, domain, start, flags & VIR_DOMAIN_START_PAUSED);
	return true;
}

static void launch(struct vm *vm, void *data)
{
	bool runs = start_run(vm, data);

	vm_events_release(vm);          /* of enter() in create.c */
	if (runs) {
		live_settle(vm, NULL);
		fault_point("start: told");
		hooks_after(vm, data);
	}
	start_free(data);
	AUTO_LOCK(&vm->vms->lock);
	vm->launch = LAUNCH_OVER;
}

bool vm_start(struct vm *vm, const char *xml, struct memory_files *files, GError **error)
{
	struct start *start = g_new0(struct start, 1);

	start->xml = g_strdup(xml);
	start->files = *files;
	*files = (struct memory_files){ 0 };
	if (vm_queue(vm, "start", launch, start, start_free, error))
		return true;
	start_free(start);
	return false;
}
