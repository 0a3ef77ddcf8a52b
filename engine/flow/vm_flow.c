/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a VM: reserve (a host is chosen; the VM is wait_for_launch there), launch (VM.create), running (the agent's news said that QEMU runs), memory
 * (the volume of a memory that was restored is removed).
 *
 * Interrupted, it goes forward: VM.create of a VM that the agent has already is answered VMExists, which is success here; a VM whose start failed meanwhile
 * is Down at the agent and the news says so. After a restart the steps wait for the host to be connected again (agent.h).
 *
 * A start that fails is undone by VM.destroy. When nobody answers to that, or the host has fallen silent while it was started, the VM may run: it is unknown,
 * not down, and stays placed on its host, so nothing starts it elsewhere, until the host tells.
 *
 * From memory: the guest is restored paused, and let run when "it is in the guest" is stored (memory_state loaded: model/vm.h). So what is saved has never
 * been run from: a start that ends before that, for whatever reason, leaves the VM suspended; one that ends after it is not taken back. The undo of
 * such a start waits for a host that is away, for the volume's sake.
 */
#include "engine/flow/vm_flow.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/fleet/entries.h"
#include "engine/flow/agent.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/lun.h"
#include "engine/flow/vm_definition.h"
#include "engine/flow/vm_limits.h"
#include "engine/flow/vm_memory.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/sched/sched.h"
#include "engine/store/store.h"
#include "proto/vm.h"

#define LOG_MODULE "flow"
#define CREATE_TIMEOUT_S 60
#define RUNNING_TIMEOUT_S 120
#define PICK_TRIES 10                     /* other starts took the place meanwhile, so often */
#define LOOK_S 5                          /* no news so long: it is looked at */
/* Members of a flow's data: what the undo of launch came to */
#define DESTROYED "destroyed"             /* the VM is not there */
#define UNDESTROYED "undestroyed"         /* it may be there */

/* Event codes, appendix C */
#define EVENT_STARTED 153
#define EVENT_START_FAILED 54

static bool edit_down(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;

	if (!vm_is_running(vm))
		return false;
	vm_end_run(vm, /* saved= */ false, data, wall_msec());
	return true;
}

bool vm_mark_down(struct engine *engine, const char *vm_id, const char *reason, GError **error)
{
	return store_modify(engine->store, &vm_kind, vm_id, edit_down, (void *)reason, NULL, error);
}

static const char *host_of(const struct flow *flow)
{
	return flow_text(flow, "host");
}

/* Run by the writer: none of their storage domains is on its way to maintenance. data: the VM */
static bool disks_are_there(struct model *model, void *data, GError **error)
{
	g_autoptr(GPtrArray) disks = model_children(model, &disk_kind, object_id(data));

	for (guint i = 0; i < disks->len; i++)
		if (((const struct disk *)disks->pdata[i])->active && !disk_domain_is_active(model, disks->pdata[i], error))
			return false;
	return true;
}

static bool edit_reserve(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy, *run;
	struct flow *flow = data;

	if (vm->state == VM_WAIT_FOR_LAUNCH && !g_strcmp0(vm->host.id, host_of(flow)))
		return false;
	if (vm->state != VM_DOWN && vm->state != VM_SUSPENDED) {
		error_set(error, ERR_WRONG_STATE, "VM '%s' is %s", vm->name, vm_state_names[vm->state]);
		return false;
	}
	SET(vm, state, VM_WAIT_FOR_LAUNCH);
	set_ref(&vm->host, host_of(flow));
	set_string(&vm->state_detail, NULL);
	set_string(&vm->stop_reason, NULL);
	CLEAR(vm, status_time);
	CLEAR(vm, start_time);
	SET(vm, user_stop, false);
	json_decref(vm->limits);
	vm->limits = vm_limits(flow->engine->model, vm);
	json_decref(vm->run_once);
	vm->run_once = json_incref(json_object_get(flow->data, "once"));
	if (!(run = vm_for_run(vm, error)))
		return false;
	set_string(&vm->current_cdrom, vm_disc(run) ? vm_disc(run) : "");
	record_unref(run);
	change_check(change, sched_still_fits, vm);
	change_check(change, disks_are_there, vm);
	if (vm_has_saved_memory(vm))
		json_object_set_new(flow->data, "memory", json_deep_copy(vm->memory_volume));
	return true;
}

static struct vm *vm_of(const struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);

	if (!vm)
		error_set(error, ERR_NOT_FOUND, "VM '%s'", flow->object_id);
	return vm;
}

/* The VM as this run wants it. */
static char *pick_host(struct flow *flow, GError **error)
{
	struct vm *vm = vm_of(flow, error), *wanted, *run;
	char *host;

	if (!vm)
		return NULL;
	wanted = record_copy(vm);
	record_unref(vm);
	json_decref(wanted->run_once);
	wanted->run_once = json_incref(json_object_get(flow->data, "once"));
	run = vm_for_run(wanted, error);
	host = run ? sched_pick_host(flow->engine, run, NULL, error) : NULL;
	record_unref(wanted);
	record_unref(run);
	return host;
}

/* The engine was stopped between the reservation and the note of it: only this flow can have made the VM wait_for_launch. */
static void adopt_reservation(struct flow *flow)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);

	if (vm && vm->state == VM_WAIT_FOR_LAUNCH && vm->host.id) {
		json_object_set_new(flow->data, "host", json_string(vm->host.id));
		if (vm->memory_volume)
			json_object_set_new(flow->data, "memory", json_deep_copy(vm->memory_volume));
	}
	record_unref(vm);
}

static bool reserve(struct flow *flow, GError **error)
{
	if (!host_of(flow))
		adopt_reservation(flow);
	if (host_of(flow))
		return store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_reserve, flow, NULL, error);
	for (int try = 1;; try++) {
		g_autofree char *host = pick_host(flow, error);
		g_autoptr(GError) own = NULL;

		if (!host)
			return false;
		json_object_set_new(flow->data, "host", json_string(host));
		if (store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_reserve, flow, NULL, &own))
			return true;
		json_object_del(flow->data, "host");
		if (!error_is(own, ERR_RESOURCE_UNAVAILABLE) || try == PICK_TRIES) {
			g_propagate_error(error, g_steal_pointer(&own));
			return false;
		}
	}
}

static const json_t *memory_of(const struct flow *flow)
{
	return json_object_get(flow->data, "memory");
}

static bool is_starting(const struct vm *vm)
{
	return vm->state == VM_WAIT_FOR_LAUNCH || vm->state == VM_RESTORING_STATE;
}

static bool edit_release(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	const struct flow *flow = data;

	/* The news may have had the last word meanwhile. */
	if (g_strcmp0(vm->host.id, host_of(flow)) || !(flow_flag(flow, DESTROYED) ? vm_is_running(vm) : is_starting(vm)))
		return false;
	if (flow_flag(flow, UNDESTROYED)) {
		SET(vm, state, VM_UNKNOWN);
		set_string(&vm->state_detail, "its start failed, and the host does not answer");
	} else {
		vm_end_run(vm, /* saved= */ false, "its start failed", wall_msec());
	}
	return true;
}

/* Nothing goes on from the volume any more: it was restored from, or lost with the guest. */
static bool drop_used_memory(struct flow *flow, GError **error)
{
	const json_t *memory = memory_of(flow);
	struct vm *vm = memory ? model_get(flow->engine->model, &vm_kind, flow->object_id) : NULL;
	bool used = memory && !(vm && vm_has_saved_memory(vm) && vm_memory_is(vm, memory));

	record_unref(vm);
	return !used || vm_memory_remove(flow, memory, error);
}

static bool release(struct flow *flow, GError **error)
{
	return store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_release, flow, NULL, error) && drop_used_memory(flow, error);
}

#define LEFTOVER_TRIES 50             /* of 0.2 s: while libvirt is away the agent cannot say what became of an earlier start */

/* The entry of an earlier run that ended: true when it is gone now, false without error when the VM is not down: it is this start's, seen again. */
static bool drop_leftover(struct flow *flow, GError **error)
{
	bool gone = false;

	for (int i = 0; i <= LEFTOVER_TRIES; i++) {
		g_autoptr(GError) own = NULL;

		if (entry_drop(flow->engine->fleet, host_of(flow), flow->object_id, flow->id, &gone, &own))
			break;
		if (!error_is(own, ERR_RESOURCE_UNAVAILABLE) || i == LEFTOVER_TRIES) {
			g_propagate_error(error, g_steal_pointer(&own));
			break;
		}
		lane_pause(G_USEC_PER_SEC / 5);
	}
	return gone;
}

/* From now on what its host says of the VM is about this start (fleet/sync_vms.c). answer: of VM.create; NULL: it was given to an engine that was killed. */
static bool edit_launched(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	const char *time = json_string_value(json_object_get(data, "statusTime"));

	if (vm->state != VM_WAIT_FOR_LAUNCH || HAS(vm, status_time))
		return false;
	SET(vm, status_time, time ? g_ascii_strtoll(time, NULL, 10) : 0);
	return true;
}

/*
 * What its host says of the VM now, as any news of it: some may have come too early to count, and an agent that died between its answer to VM.create and
 * libvirt's start has forgotten the VM, and no news comes of what nobody knows. A host that does not answer tells when it is back.
 */
static bool look(struct flow *flow, GError **error)
{
	struct vm_id_params *params = record_new(&vm_id_params_type);
	g_autoptr(GError) own = NULL;
	json_t *stats = NULL;

	set_string(&params->vm_id, flow->object_id);
	if (agent_call(flow->engine, host_of(flow), "VM.getStats", params, flow->id, AGENT_PATIENCE_NONE, &stats, &own))
		fleet_report_vm(flow->engine->fleet, host_of(flow), json_array_get(stats, 0));
	json_decref(stats);
	record_unref(params);
	if (!error_is(own, ERR_NO_SUCH_VM))
		return true;
	error_set_literal(error, ERR_CANNOT_CREATE_VM, "its host has forgotten it: the agent there was restarted");
	return false;
}

static bool launch(struct flow *flow, GError **error)
{
	struct vm *vm = vm_of(flow, error);
	bool reached = vm && lun_connect_vm(flow, host_of(flow), vm->id, error);
	struct vm_create_params *params = reached ? vm_definition(flow->engine, vm, flow_flag(flow, "paused"), error) : NULL;
	json_t *answer = NULL;
	GError *own = NULL;
	bool ok = false, again;

	record_unref(vm);
	if (!params)
		return false;
	do {
		GError *cause = NULL;

		g_clear_error(&own);
		ok = agent_call_timed(flow->engine, host_of(flow), "VM.create", params, flow->id, CREATE_TIMEOUT_S, AGENT_PATIENCE_S, &answer, &own);
		again = !ok && error_is(own, ERR_VM_EXISTS) && drop_leftover(flow, &cause);
		if (!ok && !again && error_is(own, ERR_VM_EXISTS)) {
			/* Taken up after a restart: what the agent has is this start's. */
			ok = !cause;
			g_clear_error(&own);
			own = cause;
		}
	} while (again);
	record_unref(params);
	if (!ok)
		g_propagate_error(error, own);
	else
		ok = store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_launched, answer, NULL, error) && look(flow, error);
	json_decref(answer);
	return ok;
}

/* The guest has its memory and may have run: it is left as it is. */
static bool edit_loaded(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;

	if (!vm_memory_is(vm, data) || vm->memory_state != MEMORY_LOADED)
		return false;
	vm_set_memory(vm, NULL);
	return true;
}

static bool keep_loaded(struct flow *flow, GError **error)
{
	return store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_loaded, (void *)memory_of(flow), NULL, error);
}

static bool destroy(struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	const json_t *memory = memory_of(flow);
	bool loaded = memory && vm && !(vm_has_saved_memory(vm) && vm_memory_is(vm, memory)), ok;
	struct vm_destroy_params *params;
	GError *own = NULL;

	record_unref(vm);
	if (loaded)
		return keep_loaded(flow, error);
	params = record_new(&vm_destroy_params_type);
	set_string(&params->vm_id, flow->object_id);
	ok = agent_call_timed(flow->engine, host_of(flow), "VM.destroy", params, flow->id, CREATE_TIMEOUT_S, AGENT_PATIENCE_S, NULL, &own) ||
	     error_is(own, ERR_NO_SUCH_VM);
	record_unref(params);
	if (!ok && memory && agent_is_away(own)) {
		g_propagate_error(error, own);
		return false;
	}
	json_object_set_new(flow->data, ok ? DESTROYED : UNDESTROYED, json_true());
	if (!ok)
		log_warn("VM %s: not destroyed after its start failed: %s, ignoring", flow->object_id, own->message);
	g_clear_error(&own);
	return true;
}

#define STATES_RUN (1u << VM_UP | 1u << VM_POWERING_UP | 1u << VM_REBOOT_IN_PROGRESS | 1u << VM_POWERING_DOWN)
#define STATES_END (1u << VM_DOWN | 1u << VM_SUSPENDED | 1u << VM_UNKNOWN)

/* As fleet_wait_vm() */
static bool wait_state(struct flow *flow, uint32_t states, int timeout_s, GError **error)
{
	for (int left = timeout_s; ; left -= LOOK_S) {
		g_autoptr(GError) own = NULL;

		if (fleet_wait_vm(flow->engine->fleet, flow->object_id, states, MIN(left, LOOK_S), &own))
			return true;
		if (!error_is(own, ERR_TIMEOUT)) {
			g_propagate_error(error, g_steal_pointer(&own));
			return false;
		}
		if (left <= LOOK_S) {
			error_set(error, ERR_TIMEOUT, "it does not run after %d s", timeout_s);
			return false;
		}
		if (!look(flow, error))
			return false;
	}
}

/* Waits for a state of these or an end; an end is an error. ret_loaded: it is paused with its memory restored. */
static bool wait_for(struct flow *flow, uint32_t states, int timeout_s, bool *ret_loaded, GError **error)
{
	struct vm *vm;
	bool ok;

	if (!wait_state(flow, states | STATES_END, timeout_s, error))
		return false;
	vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	ok = vm && !(STATES_END >> vm->state & 1);
	if (vm && vm->state == VM_UNKNOWN)
		error_set(error, ERR_NO_CONNECTION, "the host does not answer any more; whether VM '%s' runs is seen when it does", vm->name);
	else if (!ok)
		error_set(error, ERR_CANNOT_CREATE_VM, "%s", vm && vm->stop_reason ? vm->stop_reason : "it went down at once");
	*ret_loaded = ok && vm->state == VM_PAUSED && vm->memory_volume && vm->memory_state == MEMORY_LOADED;
	record_unref(vm);
	return ok;
}

static bool let_run(struct flow *flow, GError **error)
{
	struct vm_id_params *params = record_new(&vm_id_params_type);
	bool ok;

	set_string(&params->vm_id, flow->object_id);
	ok = agent_call(flow->engine, host_of(flow), "VM.cont", params, flow->id, AGENT_PATIENCE_S, NULL, error);
	record_unref(params);
	return ok;
}

static bool running(struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	int timeout_s = RUNNING_TIMEOUT_S + (memory_of(flow) && vm ? vm_memory_seconds(vm->memory) : 0);
	bool loaded;

	record_unref(vm);
	if (!wait_for(flow, STATES_RUN | 1u << VM_PAUSED, timeout_s, &loaded, error))
		return false;
	if (!loaded || flow_flag(flow, "paused"))
		return true;
	return let_run(flow, error) && wait_for(flow, STATES_RUN, RUNNING_TIMEOUT_S, &loaded, error);
}

static bool drop_memory(struct flow *flow, GError **error)
{
	g_autoptr(GError) own = NULL;

	if (!memory_of(flow) || (keep_loaded(flow, &own) && drop_used_memory(flow, &own)))
		return true;
	if (agent_is_away(own)) {
		g_propagate_error(error, g_steal_pointer(&own));
		return false;
	}
	log_warn("VM %s: volume of its saved memory: %s, ignoring", flow->object_id, own->message);
	return true;
}

static bool announce(struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	struct host *host = model_get(flow->engine->model, &host_kind, host_of(flow));

	if (vm && host)
		store_event(flow->engine->store, EVENT_STARTED, &flow->actor, (void *[]){ vm, host, NULL }, "VM %s was started by %s (Host: %s).", vm->name,
			    flow_user(flow), host->name);
	/* changed since the reservation */
	vm_limits_follow(flow->engine, flow->object_id, &flow->actor);
	record_unref(vm);
	record_unref(host);
	return true;
}

static void failed(struct flow *flow, const GError *cause)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);

	if (vm)
		store_event(flow->engine->store, EVENT_START_FAILED, &flow->actor, (void *[]){ vm, NULL }, "Failed to run VM %s (User: %s). %s", vm->name,
			    flow_user(flow), cause->message);
	record_unref(vm);
}

static const struct flow_step steps[] = {
	{ "reserve", reserve, release },
	{ "launch", launch, destroy },
	{ "running", running, NULL },
	{ "memory", drop_memory, NULL, .waits = true },
	{ "announce", announce, NULL },
};

const struct flow_type start_vm_flow = {
	.name = "start_vm", .kind = &vm_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};
