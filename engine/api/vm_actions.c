/* SPDX-License-Identifier: Apache-2.0 */
/* Actions of virtual machines (REST 15.7). Each runs on the VM's lane and may wait for the agent. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_vm.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/vm_flow.h"
#include "engine/flow/vm_migrate.h"
#include "engine/model/cdrom.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"
#include "proto/vm.h"

#define TIMEOUT_S 60
#define FREEZE_TIMEOUT_S 170

/* Event codes, appendix C */
#define EVENT_STOPPED 33
#define EVENT_STOP_FAILED 56
#define EVENT_SHUTDOWN_ASKED 73
#define EVENT_REBOOT_ASKED 157
#define EVENT_RESUMED 40
#define EVENT_FROZEN 20374                   /* of our own */
#define EVENT_THAWED 20375
#define EVENT_TICKET 164
#define EVENT_TICKET_FAILED 165

static bool wrong_state(const struct vm *vm, const char *what, GError **error)
{
	error_set(error, ERR_WRONG_STATE, "cannot %s VM '%s': it is %s", what, vm->name, vm_state_names[vm->state]);
	return false;
}

bool vm_check_down(const struct vm *vm, const char *what, GError **error)
{
	return vm->state == VM_DOWN || wrong_state(vm, what, error);
}

static bool check(const struct vm *vm, uint32_t states, const char *what, GError **error)
{
	return states >> vm->state & 1 || wrong_state(vm, what, error);
}

#define UP (1u << VM_UP)
#define BOOTING (1u << VM_POWERING_UP | 1u << VM_REBOOT_IN_PROGRESS)
#define PAUSED (1u << VM_PAUSED)
#define GOING_DOWN (1u << VM_POWERING_DOWN)

/* Calls a verb that takes just the VM's id. */
static bool call(struct request *request, const struct vm *vm, const char *verb, int timeout_s, GError **error)
{
	struct vm_id_params *params = record_new(&vm_id_params_type);
	bool ok;

	set_string(&params->vm_id, vm->id);
	ok = fleet_call(request->engine->fleet, vm->host.id, verb, params, request->actor.correlation_id, timeout_s, NULL, error);
	record_unref(params);
	return ok;
}

static char *host_name(struct request *request, const struct vm *vm)
{
	struct host *host = vm->host.id ? model_get(request->engine->model, &host_kind, vm->host.id) : NULL;
	char *name = g_strdup(host ? host->name : "none");

	record_unref(host);
	return name;
}

/* ---- start ---- */

/* What may differ for one run: the same members as struct vm, none of them required. */
static const struct field once_fields[] = {
	FIELD_STRING_(struct vm, os_kernel, "os/kernel", CREATE, "kernel to boot directly"),
	FIELD_STRING_(struct vm, os_initrd, "os/initrd", CREATE, "its initrd"),
	FIELD_STRING_(struct vm, os_cmdline, "os/cmdline", CREATE, "its command line"),
	FIELD_LIST_(struct vm, boot, "os/boot", CREATE, &boot_item_type, "boot devices in order"),
	FIELD_ENUM_(struct vm, display_type, "display/type", CREATE, display_protocol_names, "console"),
	FIELD_BOOL_(struct vm, stateless, "stateless", CREATE, "nothing survives this run"),
	FIELD_REF_(struct vm, placement_host, "placement_policy/host", CREATE, "hosts", "start on this host"),
	FIELD_LIST_(struct vm, cdroms, "cdroms/cdrom", CREATE, &cdrom_type, "disc in the drive"),
	FIELD_LIST_(struct vm, custom_properties, "custom_properties/custom_property", CREATE, &option_item_type, "custom properties"),
};
static const struct record_type once_type = RECORD_TYPE("vm", NULL, struct vm, once_fields, "What holds for one run of a VM");

struct start_action { ACTION_MEMBERS bool pause; struct vm *vm; };
static const struct field start_fields[] = {
	ACTION_FIELDS(struct start_action),
	FIELD_BOOL_(struct start_action, pause, "pause", CREATE, "leave the VM paused after its start"),
	FIELD_RECORD_(struct start_action, vm, "vm", CREATE, &once_type, "values that hold for this run only"),
};
static const struct record_type start_action_type = RECORD_TYPE("action", NULL, struct start_action, start_fields, "How to start a VM");

static bool start(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vm *vm = object;
	const struct start_action *how = params;
	g_autofree char *host = host_name(request, vm);
	json_t *data;

	if (vm->state == VM_PAUSED) {
		if (!call(request, vm, "VM.cont", TIMEOUT_S, error))
			return false;
		store_event(request->engine->store, EVENT_RESUMED, &request->actor, (void *[]){ (void *)vm, NULL }, "VM %s was resumed by %s (Host: %s).", vm->name,
			    request->actor.user_name, host);
		return fleet_wait_vm(request->engine->fleet, vm->id, UP | BOOTING | GOING_DOWN | 1u << VM_DOWN, TIMEOUT_S, error);
	}
	if (!check(vm, 1u << VM_DOWN | 1u << VM_SUSPENDED, "start", error))
		return false;
	data = json_object();
	if (how->pause)
		json_object_set_new(data, "paused", json_true());
	if (how->vm)
		json_object_set_new(data, "once", record_to_json(how->vm, RECORD_STORE));
	return flow_run(request->engine, &start_vm_flow, vm->id, &request->actor, data, NULL, error);
}

/* ---- stop, shutdown, reboot ---- */

static bool stop(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vm *vm = object;
	struct vm_destroy_params *destroy;
	g_autofree char *host = host_name(request, vm);
	g_autoptr(GError) own = NULL;
	bool ok;

	if (vm->state == VM_SUSPENDED)
		return flow_run(request->engine, &discard_memory_flow, vm->id, &request->actor, json_object(), NULL, error);
	if (!check(vm, VM_STATES_RUNNING, "stop", error))
		return false;
	destroy = record_new(&vm_destroy_params_type);
	set_string(&destroy->vm_id, vm->id);
	ok = fleet_call(request->engine->fleet, vm->host.id, "VM.destroy", destroy, request->actor.correlation_id, TIMEOUT_S, NULL, &own);
	record_unref(destroy);
	if (!ok && !error_is(own, ERR_NO_SUCH_VM)) {
		store_event(request->engine->store, EVENT_STOP_FAILED, &request->actor, (void *[]){ (void *)vm, NULL },
			    "Failed to power off VM %s (Host: %s, User: %s).", vm->name, host, request->actor.user_name);
		g_propagate_error(error, g_steal_pointer(&own));
		return false;
	}
	if (!vm_mark_down(request->engine, vm->id, "powered off by the user", error))
		return false;
	store_event(request->engine->store, EVENT_STOPPED, &request->actor, (void *[]){ (void *)vm, NULL }, "VM %s powered off by %s (Host: %s).", vm->name,
		    request->actor.user_name, host);
	return true;
}

static bool ask_guest(struct request *request, const struct vm *vm, bool reboot, GError **error)
{
	struct vm_shutdown_params *params = record_new(&vm_shutdown_params_type);
	g_autofree char *host = host_name(request, vm);
	bool ok;

	set_string(&params->vm_id, vm->id);
	SET(params, reboot, reboot);
	ok = fleet_call(request->engine->fleet, vm->host.id, "VM.shutdown", params, request->actor.correlation_id, TIMEOUT_S, NULL, error);
	record_unref(params);
	if (ok)
		store_event(request->engine->store, reboot ? EVENT_REBOOT_ASKED : EVENT_SHUTDOWN_ASKED, &request->actor, (void *[]){ (void *)vm, NULL },
			    reboot ? "User %s initiated reboot of VM %s." : "VM shutdown initiated by %s on VM %s (Host: %s).",
			    request->actor.user_name, vm->name, host);
	return ok;
}

static bool shutdown_vm(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vm *vm = object;

	return check(vm, UP | BOOTING | GOING_DOWN, "shut down", error) && ask_guest(request, vm, false, error);
}

static bool reboot(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vm *vm = object;

	return check(vm, UP | BOOTING, "reboot", error) && ask_guest(request, vm, true, error);
}

static bool suspend(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vm *vm = object;

	return check(vm, UP, "suspend", error) && flow_run(request->engine, &suspend_vm_flow, vm->id, &request->actor, json_object(), NULL, error);
}

/* ---- migrate ---- */

struct migrate_action { ACTION_MEMBERS struct ref host, cluster; };
static const struct field migrate_fields[] = {
	ACTION_FIELDS(struct migrate_action),
	FIELD_REF_(struct migrate_action, host, "host", CREATE, "hosts", "where to; absent: the scheduler chooses"),
	FIELD_REF_(struct migrate_action, cluster, "cluster", CREATE, "clusters", "the VM's own: VMs move among the hosts of one cluster"),
};
static const struct record_type migrate_action_type = RECORD_TYPE("action", NULL, struct migrate_action, migrate_fields, "Where a VM is migrated to");

static bool migrate(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vm *vm = object;
	const struct migrate_action *how = params;

	if (how->cluster.id && g_strcmp0(how->cluster.id, vm->cluster.id)) {
		error_set(error, ERR_OPERATION_FAILED, "cannot migrate VM '%s' to another cluster", vm->name);
		return false;
	}
	return vm_migrate_check(vm, error) && vm_migrate(request->engine, vm->id, how->host.id, MIGRATE_USER, &request->actor, error);
}

static bool cancel_migration(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	return vm_migrate_cancel(request->engine, object, &request->actor, error);
}

/* ---- ticket ---- */

#define TICKET_LENGTH 12
#define TICKET_MINUTES 120
#define SECONDS_PER_EXPIRY 60          /* the guide counts minutes */

struct ticket_action { ACTION_MEMBERS char *value; int64_t expiry; };
static const struct field ticket_fields[] = {
	ACTION_FIELDS(struct ticket_action),
	FIELD_STRING_(struct ticket_action, value, "ticket/value", CREATE, "password of the console; drawn when absent", .min = 1, .max = 512),
	FIELD_LONG_(struct ticket_action, expiry, "ticket/expiry", CREATE, "validity", .unit = "min", .min = 0, .max = 35791394),
};
static const struct record_type ticket_action_type = RECORD_TYPE("action", NULL, struct ticket_action, ticket_fields, "A password for a VM's console");

static char *draw_ticket(void)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	char *ticket = g_malloc0(TICKET_LENGTH + 1);

	for (int i = 0; i < TICKET_LENGTH;) {
		unsigned char byte;

		/* 248 = 4 * 62: no letter is likelier than another */
		if (getrandom(&byte, 1, 0) == 1 && byte < 248)
			ticket[i++] = letters[byte % 62];
	}
	return ticket;
}

static bool ticket(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vm *vm = object;
	const struct ticket_action *wanted = params;
	struct ticket_action *result;
	struct vm_ticket_params *set;
	bool ok;

	if (!check(vm, UP | BOOTING | PAUSED | GOING_DOWN, "set the console password of", error))
		return false;
	result = record_new(&ticket_action_type);
	result->value = wanted->value ? g_strdup(wanted->value) : draw_ticket();
	SET(result, expiry, HAS(wanted, expiry) ? wanted->expiry : TICKET_MINUTES);
	set = record_new(&vm_ticket_params_type);
	set_string(&set->vm_id, vm->id);
	set_string(&set->password, result->value);
	SET(set, ttl, (int)(result->expiry * SECONDS_PER_EXPIRY));
	ok = fleet_call(request->engine->fleet, vm->host.id, "VM.setTicket", set, request->actor.correlation_id, TIMEOUT_S, NULL, error);
	record_unref(set);
	store_event(request->engine->store, ok ? EVENT_TICKET : EVENT_TICKET_FAILED, &request->actor, (void *[]){ (void *)vm, NULL },
		    ok ? "User %s initiated console session for VM %s" : "User %s failed to initiate a console session for VM %s",
		    request->actor.user_name, vm->name);
	if (ok)
		*ret_result = result;
	else
		record_unref(result);
	return ok;
}

/* ---- file systems ---- */

static bool call_and_tell(struct request *request, const struct vm *vm, const char *verb, int event, const char *what, GError **error)
{
	if (!call(request, vm, verb, FREEZE_TIMEOUT_S, error))
		return false;
	store_event(request->engine->store, event, &request->actor, (void *[]){ (void *)vm, NULL }, "The file systems of VM %s were %s by %s.", vm->name, what,
		    request->actor.user_name);
	return true;
}

static bool freeze(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vm *vm = object;

	return check(vm, UP, "freeze the file systems of", error) && call_and_tell(request, vm, "VM.freeze", EVENT_FROZEN, "frozen", error);
}

/* Also when nobody believes that the guest is frozen, and again: 15.7.15 */
static bool thaw(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct vm *vm = object;

	return check(vm, UP | BOOTING | PAUSED | GOING_DOWN, "thaw the file systems of", error) &&
	       call_and_tell(request, vm, "VM.thaw", EVENT_THAWED, "thawed", error);
}

const struct action vm_actions[] = {
	{ "start", &start_action_type, start, "run_vm", "Starts a VM that is down, or resumes one that is paused" },
	{ "stop", &plain_action_type, stop, "stop_vm", "Powers a VM off at once" },
	{ "shutdown", &plain_action_type, shutdown_vm, "shut_down_vm", "Asks the guest to shut down" },
	{ "reboot", &plain_action_type, reboot, "reboot_vm", "Asks the guest to reboot", "Reboot Virtual Machine" },
	{ "suspend", &plain_action_type, suspend, "hibernate_vm", "Saves the memory to storage and stops the VM; start goes on from there" },
	{ "migrate", &migrate_action_type, migrate, "migrate_vm", "Moves a VM that runs to another host of its cluster; answers when it runs there" },
	{ "cancelmigration", &plain_action_type, cancel_migration, "migrate_vm", "Ends a migration that is under way; the VM goes on where it is", .beside = true },
	{ "export", &export_action_type, vm_export, "import_export_vm", "Copies a VM that is down to an export domain" },
	{ "ticket", &ticket_action_type, ticket, "connect_to_vm", "Sets a password for the console, for some time" },
	{ "freezefilesystems", &plain_action_type, freeze, "run_vm", "Freezes the guest's file systems through the guest agent" },
	{ "thawfilesystems", &plain_action_type, thaw, "run_vm", "Thaws the guest's file systems" },
	{ 0 },
};
