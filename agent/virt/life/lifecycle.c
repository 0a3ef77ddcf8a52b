/* SPDX-License-Identifier: Apache-2.0 */
/* Ending, resetting and pausing VMs. (Starting: create.c. Asking the guest: shutdown.c.) */
#define LOG_MODULE "virt"
#include <libvirt/virterror.h>
#include <string.h>
#include "agent/events.h"
#include "agent/virt/backup/backup.h"
#include "agent/virt/device/device_hooks.h"
#include "agent/virt/domain/external_data.h"
#include "agent/virt/migration/migration.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

#define LET_END_USEC (5 * G_USEC_PER_SEC)

/* ---- destroy ---- */

bool vm_cut_off(struct vm *vm, int attempts, GError **error)
{
	g_autoptr(virDomain) domain = vm_domain(vm, error);
	int r = -1;

	if (!domain) {
		bool gone = error_is(*error, ERR_VM_IS_DOWN);

		if (gone)
			g_clear_error(error);
		return gone;
	}
	/* The plain way is SIGTERM, 10 s, SIGKILL: one attempt. Each more is 15 s of SIGTERM only (and 45 s when another call on a hung QEMU is out). */
	for (int i = 1; i < attempts && r < 0; i++)
		r = virDomainDestroyFlags(domain, VIR_DOMAIN_DESTROY_GRACEFUL);
	if (r < 0)
		r = virDomainDestroyFlags(domain, VIR_DOMAIN_DESTROY_DEFAULT);
	if (r < 0 && (libvirt_error_code() == VIR_ERR_NO_DOMAIN || libvirt_error_code() == VIR_ERR_OPERATION_INVALID))
		r = 0;                  /* it ended by itself meanwhile */
	if (r < 0)
		libvirt_error_set(error, ERR_VM_DESTROY_FAILED, "VM %s", vm->id);
	return r == 0;
}

static void set_end_prepared(struct vm *vm, bool prepared)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->end_prepared = prepared;
}

bool vm_power_off(struct vm *vm, int attempts, GError **error)
{
	g_autoptr(GError) cause = NULL;
	bool may;

	/* An end that comes while they run is libvirt's news, and not held up by them. */
	set_end_prepared(vm, true);
	may = device_hooks(vm, "before_device_destroy", NULL, NULL, &cause);
	if (may)
		(void)vm_hook(vm, "before_vm_destroy", NULL, NULL, NULL, NULL);
	set_end_prepared(vm, false);
	if (!vm_check_running(vm, NULL))
		return true;
	if (!may)
		g_propagate_error(error, g_steal_pointer(&cause));
	return may && vm_cut_off(vm, attempts, error);
}

/* Somebody waits for a place on the VM's lane. The lane's job and who waits share it; the last one frees it. */
struct turn {
	int refs;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool come;
};

static void turn_unref(void *data)
{
	struct turn *turn = data;

	if (!g_atomic_int_dec_and_test(&turn->refs))
		return;
	pthread_mutex_destroy(&turn->lock);
	pthread_cond_destroy(&turn->cond);
	g_free(turn);
}

static void turn_come(struct vm *vm, void *data)
{
	struct turn *turn = data;

	{
		AUTO_LOCK(&turn->lock);
		turn->come = true;
		pthread_cond_signal(&turn->cond);
	}
	turn_unref(turn);
}

/* Until what is on it now is done. (VM.destroy is not on the VM's own lane.) */
static bool wait_for_lane(struct vm *vm, const char *what, GError **error)
{
	struct turn *turn = g_new0(struct turn, 1);

	turn->refs = 2;
	pthread_mutex_init(&turn->lock, NULL);
	pthread_cond_init(&turn->cond, NULL);
	if (!vm_queue(vm, what, turn_come, turn, turn_unref, error)) {
		turn_unref(turn);
		return false;
	}
	{
		AUTO_LOCK(&turn->lock);
		while (!turn->come)
			pthread_cond_wait(&turn->cond, &turn->lock);
	}
	turn_unref(turn);
	return true;
}

/* Its domain may turn up when libvirt is back: without its entry nobody would end it then. */
static bool check_start_known(struct vm *vm, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->start_unknown)
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "libvirt went away while VM %s was started; what came of it is seen when it is back", vm->id);
	return !vm->start_unknown;
}

/* From here on the news of its end are ours to tell, and a start that has not come to libvirt yet does not go there. */
static enum vm_launch set_destroying(struct vm *vm, bool destroying)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->destroying = destroying;
	return vm->launch;
}

bool vm_claim_end(struct vm *vm)
{
	bool first;

	AUTO_LOCK(&vm->vms->lock);
	first = !vm->destroying;
	vm->destroying = true;
	return first;
}

static bool is_telling_end(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->telling_end;
}

/* Jobs that find their VM down end, and some need its entry for that; one that hangs on its storage is not waited for to the end. */
static void let_end(struct vm *vm, const struct job_kind *kind)
{
	struct jobs *jobs = vm->vms->agent->jobs;
	g_autoptr(GPtrArray) ids = jobs_active(jobs, kind, "vmID", vm->id);
	int64_t until = now_usec() + LET_END_USEC;

	for (guint i = 0; i < ids->len; i++) {
		g_autoptr(GError) error = NULL;

		if (!jobs_wait(jobs, ids->pdata[i], until, &error))
			log_debug("VM %s is forgotten: job '%s': %s", vm->id, kind->name, error->message);
	}
}

static bool end_now(struct vm *vm, int attempts, int code, enum vm_exit_reason reason, GError **error)
{
	if (vm_check_running(vm, NULL)) {
		if (!vm_power_off(vm, attempts, error))
			return false;
		vm_set_down(vm, code, reason, NULL);
	}
	vm_tell_end(vm, NULL);
	return !is_telling_end(vm) || wait_for_lane(vm, "wait for the scripts of its end", error);
}

bool vm_destroy_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_destroy_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	enum vm_launch launch = vm ? set_destroying(vm, true) : LAUNCH_OVER;

	if (!vm)
		return false;
	if (launch == LAUNCH_PREPARES) {
		/* Its lane may hang on the storage; whoever prepares sees that it is unwanted before he makes anything. */
		vm_set_down(vm, 0, VM_EXIT_DESTROYED_ON_STARTUP, NULL);
		vms_remove(agent->vms, vm);
		return true;
	}
	/* What a start makes would outlive the VM's entry: it comes to its end first. */
	if ((launch == LAUNCH_OVER || wait_for_lane(vm, "wait for the start", error)) && check_start_known(vm, error) &&
	    end_now(vm, p->graceful_attempts, 0, launch == LAUNCH_STARTS ? VM_EXIT_DESTROYED_ON_STARTUP : VM_EXIT_ADMIN_SHUTDOWN, error)) {
		let_end(vm, &hibernate_kind);
		let_end(vm, &backup_kind);
		external_forget(vm);
		vms_remove(agent->vms, vm);
		migration_destroyed(vm);
		return true;
	}
	(void)set_destroying(vm, false);
	return false;
}

static bool is_paused_by_error(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status == VM_WIRE_PAUSED && vm->paused_by_error_usec;
}

void vm_kill_paused(struct vm *vm, void *unused)
{
	g_autoptr(GError) error = NULL;

	if (!is_paused_by_error(vm))
		return;
	log_warn("VM %s was paused by an I/O error for more than %d s: power off, as its resumeBehavior says", vm->id,
		 (int)(vm->vms->kill_paused_usec / G_USEC_PER_SEC));
	(void)set_destroying(vm, true);
	if (!end_now(vm, 1, 1, VM_EXIT_DESTROYED_ON_PAUSE_TIMEOUT, &error))
		log_error("VM %s: %s", vm->id, error->message);
	(void)set_destroying(vm, false);
}

/* ---- reset ---- */

/* libvirt would make who asks wait for half a minute, and refuse then. */
static bool check_not_in(struct vm *vm, enum vm_wire_status status, enum error_code code, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->status != status)
		return true;
	error_set(error, code, "VM %s is in state '%s'", vm->id, vm_wire_status_names[status]);
	return false;
}

bool vm_reset_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(virDomain) domain = vm && check_not_in(vm, VM_WIRE_SAVING, ERR_MIGRATION_IN_PROGRESS, error) ? vm_domain(vm, error) : NULL;

	if (!domain)
		return false;
	if (virDomainReset(domain, 0) < 0) {
		libvirt_error_set(error, ERR_RESET_FAILED, "VM %s", vm->id);
		return false;
	}
	return true;                    /* the rest comes with the reboot event */
}

/* ---- pause, cont ---- */

static void empty_list(GString *out)
{
	g_string_append(out, "{\"vmList\": {}}");
}

/* One that an I/O error paused would go on by itself. */
static void set_keep_paused(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->keep_paused = true;
}

bool vm_pause_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	bool arrives = vm && migration_pause_on_arrival(vm);
	g_autoptr(virDomain) domain = NULL;

	if (arrives) {
		empty_list(ret_result);
		return true;
	}
	if (vm && check_not_in(vm, VM_WIRE_SAVING, ERR_MIGRATION_IN_PROGRESS, error))
		domain = vm_domain(vm, error);
	if (!domain || !vm_hook(vm, "before_vm_pause", NULL, NULL, NULL, error))
		return false;
	if (virDomainSuspend(domain) < 0) {
		libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "pause VM %s", vm->id);
		return false;
	}
	vm_see(vm, domain);
	set_keep_paused(vm);
	(void)vm_hook(vm, "after_vm_pause", NULL, NULL, NULL, NULL);
	empty_list(ret_result);
	return true;
}

static bool is_running(virDomainPtr domain)
{
	int state = 0;

	return virDomainGetState(domain, &state, NULL, 0) == 0 && (state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED);
}

bool vm_cont_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	/* vdsm's code for these two: unexpected */
	bool may = vm && check_not_in(vm, VM_WIRE_SAVING, ERR_UNEXPECTED_ERROR, error) &&
		   check_not_in(vm, VM_WIRE_MIGRATION_SOURCE, ERR_UNEXPECTED_ERROR, error);
	g_autoptr(virDomain) domain = may ? vm_domain(vm, error) : NULL;
	g_autoptr(GError) cause = NULL;

	if (!domain || !vm_hook(vm, "before_vm_cont", NULL, NULL, NULL, error))
		return false;
	if (virDomainResume(domain) < 0) {
		libvirt_error_set(&cause, ERR_UNEXPECTED_ERROR, "resume VM %s", vm->id);
		/* It may run already: that is what was wanted. */
		if (!is_running(domain)) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
	}
	vm_see(vm, domain);
	(void)vm_hook(vm, "after_vm_cont", NULL, NULL, NULL, NULL);
	empty_list(ret_result);
	return true;
}
