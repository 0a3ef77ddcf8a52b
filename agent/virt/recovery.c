/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs, seen after each connect to libvirt: at the agent's start (the table is empty), or when libvirt was away for a while.
 *
 *   domain with our metadata, not in the table   -> a VM again, with start time, parameters and custom properties of its metadata
 *   domain in the table                          -> its state is taken over
 *   domain of a VM whose start failed because libvirt went away: it was told to be Down, so it is ended - somebody may run it elsewhere by now
 *   VM in the table, no domain                   -> Down, reason 9 (nobody saw its end); one whose start is still queued is left to its lane
 *   domain without our metadata                  -> somebody else's, left alone
 *
 * Before a connection is handed out, on the worker that opened it. It costs two calls and two XMLs a VM: far below a second for hundreds. Nothing here
 * waits for a QEMU, which may hang.
 *
 * What libvirt still had to do when it was listed is seen by its "started" event: an agent that is killed in the middle of a start leaves libvirt going on
 * with it. Such a domain is treated the same, on its VM's lane. If its start was reported as failed, it is ended.
 *
 * One that is listed while libvirt starts it is "Restoring state" (LAUNCH_SEEN) until it runs, is paused as was asked for, or is gone: it is not Paused, which
 * would mean that its memory is all there. It is looked at with each event and each second. libvirt shows one that it restores, one that it has restored and
 * left paused, and one that comes from another host all the same: paused, migration. Only the answer to a question about its job tells them apart, for which
 * it may keep the asker waiting: so that is asked on the VM's lane. One whose arrival is in the journal is not asked about, nor one that was Paused before.
 */
#define LOG_MODULE "virt"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include "agent/virt/migration/migration.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

static void revive(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->status == VM_WIRE_DOWN)
		vm->status = VM_WIRE_WAIT_FOR_LAUNCH;
}

static bool was_told_down(struct vm *vm, bool just_started)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->start_unknown || (just_started && vm->status == VM_WIRE_DOWN && vm->exit_reason == VM_EXIT_LIBVIRT_START_FAILED);
}

static void start_is_known(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->start_unknown = false;
}

static bool is_ours(virDomainPtr domain)
{
	char *xml = virDomainGetXMLDesc(domain, 0);
	bool ours = false;
	struct domain_info *info = xml ? domain_info_read(xml, &ours, NULL) : NULL;

	domain_info_unref(info);
	free(xml);
	return ours;
}

static void see(struct vms *vms, const char *id, virDomainPtr domain, bool just_started)
{
	AUTO_VM vm = NULL;

	if (!is_ours(domain)) {
		log_debug("domain %s is not ours", id);
		return;
	}
	vm = vms_lookup(vms, id);
	if (!vm) {
		vm = vm_new(vms, id);
		if (!vms_add(vms, vm, NULL))
			return;         /* somebody else has seen it, just now */
		log_info("VM %s runs: recovered", id);
	}
	if (was_told_down(vm, just_started)) {
		log_warn("VM %s runs although its start failed when libvirt went away: ending it", id);
		/* libvirt may have ended it on its own, having found it half made */
		if (virDomainDestroy(domain) == 0 || libvirt_error_code() == VIR_ERR_NO_DOMAIN || libvirt_error_code() == VIR_ERR_OPERATION_INVALID)
			start_is_known(vm);
		else
			log_error("VM %s runs and cannot be ended: %s", id, virGetLastErrorMessage());
		return;
	}
	revive(vm);
	vm_adopt(vm, domain);
}

static bool is_missing(struct vm *vm, GHashTable *seen)
{
	AUTO_LOCK(&vm->vms->lock);
	/* One that is saved, leaves or arrives has a job that looks for it; one that is launched a lane. */
	return (vm_is_running_status(vm->status) || (vm->status == VM_WIRE_WAIT_FOR_LAUNCH && vm->launch == LAUNCH_OVER)) && !vm->saving && !vm->leaving &&
	       !vm->arriving && !g_hash_table_contains(seen, vm->id);
}

bool recovery_run(struct vms *vms, virConnectPtr conn, GError **error)
{
	GHashTable *seen;
	GPtrArray *all;
	virDomainPtr *domains = NULL;
	int n = virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);

	if (n < 0) {
		libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "list domains");
		return false;
	}
	seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	all = vms_all(vms);             /* before: a VM that starts meanwhile is not missing */
	for (int i = 0; i < n; i++) {
		char id[VIR_UUID_STRING_BUFLEN];

		if (virDomainGetUUIDString(domains[i], id) == 0) {
			g_hash_table_add(seen, g_strdup(id));
			see(vms, id, domains[i], /* just_started= */ false);
		}
		virDomainFree(domains[i]);
	}
	free(domains);
	for (guint i = 0; i < all->len; i++) {
		if (!g_hash_table_contains(seen, ((struct vm *)all->pdata[i])->id))
			start_is_known(all->pdata[i]);
		if (is_missing(all->pdata[i], seen))
			vm_set_down(all->pdata[i], 1, VM_EXIT_DOMAIN_MISSING, "The VM ended while libvirt was not connected");
	}
	g_ptr_array_unref(all);
	g_hash_table_destroy(seen);
	return true;
}

/* ---- started by libvirt for an agent that was killed ---- */

static bool is_announced(struct vm *vm)
{
	g_autoptr(GPtrArray) jobs = jobs_active(vm->vms->agent->jobs, &incoming_kind, "vmID", vm->id);

	return jobs->len > 0;
}

bool recovery_adopt_start(struct vm *vm, int pause_reason)
{
	if ((pause_reason != VIR_DOMAIN_PAUSED_STARTING_UP && pause_reason != VIR_DOMAIN_PAUSED_MIGRATION) || is_announced(vm))
		return false;
	{
		AUTO_LOCK(&vm->vms->lock);
		if (vm->leaving || vm->arriving || vm->status == VM_WIRE_PAUSED || (vm->launch != LAUNCH_OVER && vm->launch != LAUNCH_SEEN))
			return false;
		vm->events_held += vm->launch != LAUNCH_SEEN;   /* until start_is_over() */
		vm->launch = LAUNCH_SEEN;
	}
	vm_set_status(vm, VM_WIRE_RESTORING);
	return true;
}

static bool sees_start(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->look_queued = false;
	if (vm->launch == LAUNCH_SEEN)
		vm_events_drop(vm);             /* what they told is seen now */
	return vm->launch == LAUNCH_SEEN;
}

static void start_is_over(struct vm *vm)
{
	{
		AUTO_LOCK(&vm->vms->lock);
		vm->launch = LAUNCH_OVER;
	}
	vm_events_release(vm);
}

enum doing { DOING_UNKNOWN, DOING_NOTHING, DOING_ARRIVES };

/* Of the job of a domain that comes from another host libvirt 9.0 refuses to tell; of that of one that it restores it tells when that is over. */
static enum doing doing_of(virDomainPtr domain)
{
	virDomainJobInfo job;

	if (virDomainGetJobInfo(domain, &job) == 0)
		return job.type == VIR_DOMAIN_JOB_NONE ? DOING_NOTHING : DOING_UNKNOWN;
	return libvirt_error_code() == VIR_ERR_OPERATION_INVALID && virDomainIsActive(domain) == 1 ? DOING_ARRIVES : DOING_UNKNOWN;
}

/* paused: as it was asked for; else: as libvirt says. */
static void settle(struct vm *vm, virDomainPtr domain, bool paused)
{
	if (paused) {
		vm_refresh(vm, domain);
		vm_set_paused(vm, "NOERR");
	} else {
		vm_adopt(vm, domain);
	}
	start_is_over(vm);
	vm_adopted(vm);
}

static void look(struct vm *vm, void *unused)
{
	g_autoptr(virConnect) conn = NULL;
	g_autoptr(virDomain) domain = NULL;
	int state = 0, reason = 0;

	if (!sees_start(vm) || !(conn = libvirt_connection_get(vm->vms->connection, NULL)))
		return;
	if (!(domain = virDomainLookupByUUIDString(conn, vm->id)) || virDomainGetState(domain, &state, &reason, 0) < 0) {
		if (libvirt_error_code() != VIR_ERR_NO_DOMAIN)
			return;
		state = VIR_DOMAIN_SHUTOFF;
	}
	if (state == VIR_DOMAIN_SHUTOFF) {
		vm_set_down(vm, 1, VM_EXIT_LIBVIRT_START_FAILED, "It ended before it ran");
		start_is_over(vm);
		return;
	}
	if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_STARTING_UP)
		return;
	if (state != VIR_DOMAIN_PAUSED || reason != VIR_DOMAIN_PAUSED_MIGRATION) {
		settle(vm, domain, /* paused= */ false);
		return;
	}
	switch (doing_of(domain)) {
	case DOING_ARRIVES:
		(void)migration_adopt(vm);
		start_is_over(vm);
		break;
	case DOING_NOTHING:
		/* it was so before the question, but that may have waited for an end */
		if (virDomainGetState(domain, &state, &reason, 0) == 0)
			settle(vm, domain, state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION);
		break;
	case DOING_UNKNOWN:
		break;
	}
}

void recovery_tick(struct vm *vm)
{
	if (!vm->look_queued)
		vm->look_queued = vm_queue(vm, "look at a start", look, NULL, NULL, NULL);
}

/* ---- started by somebody else ---- */

struct started { struct vms *vms; virDomainPtr domain; char id[VIR_UUID_STRING_BUFLEN]; };

/* true: somebody deals with it already, as a rule the lane that started it */
static bool is_known(struct vms *vms, const char *id)
{
	AUTO_VM vm = vms_lookup(vms, id);

	if (!vm)
		return false;
	AUTO_LOCK(&vms->lock);
	return vm->status != VM_WIRE_DOWN;
}

static void started_run(void *data)
{
	struct started *started = data;

	if (!is_known(started->vms, started->id) && virDomainIsActive(started->domain) == 1)
		see(started->vms, started->id, started->domain, /* just_started= */ true);
}

static void started_free(void *data)
{
	struct started *started = data;

	virDomainFree(started->domain);
	g_free(started);
}

void recovery_started(struct vms *vms, virDomainPtr domain)
{
	struct started *started;
	struct lane_job job = { .name = "started event", .run = started_run, .free_data = started_free };
	char id[VIR_UUID_STRING_BUFLEN];
	g_autofree char *lane = NULL;
	g_autoptr(GError) error = NULL;

	if (virDomainGetUUIDString(domain, id) < 0 || is_known(vms, id))
		return;
	started = g_new0(struct started, 1);
	started->vms = vms;
	started->domain = domain;
	virDomainRef(domain);           /* with its connection: the one that is recovering is not handed out yet */
	g_strlcpy(started->id, id, sizeof(started->id));
	job.data = started;
	lane = g_strconcat("vm/", id, NULL);
	if (lane_submit(vms->agent->lanes, lane, &job, &error))
		return;
	log_warn("domain %s was started by somebody else and is not looked at: %s", id, error->message);
	started_free(started);
}
