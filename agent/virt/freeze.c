/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.freeze and VM.thaw: a moment in which the guest's disks are consistent.
 *
 *   before_vm_freeze   may fail the freeze (1500): then nothing is frozen
 *   freeze             through the guest agent, which runs the guest's own fsfreeze hook first; 19, 75, 76
 *   after_vm_freeze    always, also when the freeze or a script before it failed: what before_vm_freeze began can be ended there
 *   before_vm_thaw     its failure is logged: nothing may keep a guest frozen
 *   thaw               may be repeated, and is done although we do not believe it frozen (an earlier agent may have frozen it); 19, 75, 77
 *   after_vm_thaw      always
 *
 * Scripts see the outcome of what they come after in the variable `result`: "ok" or "failed". Between freeze and thaw nobody else asks the
 * guest anything. libvirt gives the guest FREEZE_LIMIT_S for each; the guest's own scripts are part of it.
 */
#define LOG_MODULE "virt"
#include <libvirt/virterror.h>
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

#define FREEZE_LIMIT_S 120

static enum error_code code_of(enum error_code otherwise)
{
	switch (libvirt_error_code()) {
	case VIR_ERR_AGENT_UNRESPONSIVE:
	case VIR_ERR_AGENT_UNSYNCED:
		return ERR_NON_RESPONSIVE_GUEST_AGENT;
	case VIR_ERR_NO_SUPPORT:
	case VIR_ERR_OPERATION_UNSUPPORTED:
	case VIR_ERR_CONFIG_UNSUPPORTED:
	case VIR_ERR_ARGUMENT_UNSUPPORTED:
		return ERR_UNSUPPORTED_OPERATION;
	default:
		return otherwise;
	}
}

/* Is there somebody to ask? */
static bool check_agent(struct vm *vm, enum error_code failed, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->info && !vm->info->agent_channel) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "VM %s has no channel for a guest agent", vm->id);
		return false;
	}
	if (vm->status == VM_WIRE_PAUSED) {
		error_set(error, failed, "VM %s is paused: its guest agent cannot answer", vm->id);
		return false;
	}
	if (!vm->agent_connected) {
		error_set(error, ERR_NON_RESPONSIVE_GUEST_AGENT, "VM %s has no guest agent connected", vm->id);
		return false;
	}
	return true;
}

static void set_frozen(struct vm *vm, bool frozen)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->frozen = frozen && vm->agent_connected;
}

static bool freeze_guest(struct vm *vm, GError **error)
{
	g_autoptr(virDomain) domain = vm_domain(vm, error);
	int n;

	if (!domain)
		return false;
	set_frozen(vm, true);           /* before: the poller must be silent already */
	(void)guest_agent_begin(vm, domain, FREEZE_LIMIT_S, /* wait= */ true);
	n = virDomainFSFreeze(domain, NULL, 0, 0);
	if (n < 0)
		libvirt_error_set(error, code_of(ERR_FREEZE_GUEST_FS_FAILED), "VM %s", vm->id);
	guest_agent_end(vm);
	if (n < 0) {
		set_frozen(vm, false);
		return false;
	}
	log_info("VM %s: %d file systems are frozen", vm->id, n);
	return true;
}

static bool thaw_guest(struct vm *vm, GError **error)
{
	g_autoptr(virDomain) domain = vm_domain(vm, error);
	int n;

	if (!domain)
		return false;
	(void)guest_agent_begin(vm, domain, FREEZE_LIMIT_S, /* wait= */ true);
	n = virDomainFSThaw(domain, NULL, 0, 0);
	if (n < 0)
		libvirt_error_set(error, code_of(ERR_THAW_GUEST_FS_FAILED), "VM %s", vm->id);
	guest_agent_end(vm);
	if (n < 0)
		return false;
	set_frozen(vm, false);
	log_info("VM %s: %d file systems are thawed", vm->id, n);
	return true;
}

static void hook_after(struct vm *vm, const char *point, bool good)
{
	json_t *result = json_pack("{s:s}", "result", good ? "ok" : "failed");

	(void)vm_hook(vm, point, NULL, result, /* may_fail= */ false, NULL, NULL);
	json_decref(result);
}

bool vm_freeze_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	bool good;

	if (!vm || !vm_check_running(vm, error) || !check_agent(vm, ERR_FREEZE_GUEST_FS_FAILED, error))
		return false;
	good = vm_hook(vm, "before_vm_freeze", NULL, NULL, /* may_fail= */ true, NULL, error) && freeze_guest(vm, error);
	hook_after(vm, "after_vm_freeze", good);
	return good;
}

bool vm_thaw_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	bool good;

	if (!vm || !vm_check_running(vm, error) || !check_agent(vm, ERR_THAW_GUEST_FS_FAILED, error))
		return false;
	(void)vm_hook(vm, "before_vm_thaw", NULL, NULL, /* may_fail= */ false, NULL, NULL);
	good = thaw_guest(vm, error);
	hook_after(vm, "after_vm_thaw", good);
	return good;
}
