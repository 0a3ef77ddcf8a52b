/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a VM: reserve (a host is chosen; the VM is wait_for_launch there), launch (VM.create), running (the agent's news said that QEMU runs).
 *
 * Interrupted, it goes forward: VM.create of a VM that the agent has already is answered VMExists, which is success here; a VM whose start failed meanwhile
 * is Down at the agent and the news says so. After a restart the steps wait for the host to be connected again (agent.h).
 *
 * A start that fails is undone by VM.destroy. When nobody answers to that, the VM may run: it is unknown, not down, until its host tells.
 */
#include "engine/flow/vm_flow.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/agent.h"
#include "engine/flow/vm_definition.h"
#include "engine/flow/vm_memory.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/sched/sched.h"
#include "engine/store/store.h"
#include "proto/vm.h"

#define LOG_MODULE "flow"
#define CREATE_TIMEOUT_S 60
#define RUNNING_TIMEOUT_S 120
#define UNDESTROYED "undestroyed"         /* member of a flow's data: the undo of launch got no answer */

/* Event codes, appendix C */
#define EVENT_STARTED 153
#define EVENT_START_FAILED 54

static bool edit_down(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;

	if (!vm_is_running(vm))
		return false;
	vm_end_run(vm, data, wall_msec());
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

static bool edit_reserve(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
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
	json_decref(vm->run_once);
	vm->run_once = json_incref(json_object_get(flow->data, "once"));
	if (vm->memory_volume)
		json_object_set(flow->data, "memory", vm->memory_volume);
	return true;
}

/* The VM as this run wants it. */
static char *pick_host(struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id), *wanted, *run;
	char *host;

	if (!vm) {
		error_set(error, ERR_NOT_FOUND, "VM '%s'", flow->object_id);
		return NULL;
	}
	wanted = record_copy(vm);
	record_unref(vm);
	json_decref(wanted->run_once);
	wanted->run_once = json_incref(json_object_get(flow->data, "once"));
	run = vm_for_run(wanted, error);
	host = run ? sched_pick_host(flow->engine, run, error) : NULL;
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
			json_object_set(flow->data, "memory", vm->memory_volume);
	}
	record_unref(vm);
}

static bool reserve(struct flow *flow, GError **error)
{
	if (!host_of(flow))
		adopt_reservation(flow);
	if (!host_of(flow)) {
		g_autofree char *host = pick_host(flow, error);

		if (!host)
			return false;
		json_object_set_new(flow->data, "host", json_string(host));
	}
	return store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_reserve, flow, NULL, error);
}

static bool edit_unknown(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;

	SET(vm, state, VM_UNKNOWN);
	set_string(&vm->state_detail, "its start failed, and the host does not answer");
	return true;
}

static void release(struct flow *flow)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	g_autoptr(GError) error = NULL;
	bool known = !json_is_true(json_object_get(flow->data, UNDESTROYED));

	if (vm && !g_strcmp0(vm->host.id, host_of(flow)) &&
	    !(known ? vm_mark_down(flow->engine, flow->object_id, "its start failed", &error) :
		      store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_unknown, NULL, NULL, &error)))
		log_error("VM %s: not set back to %s: %s", flow->object_id, known ? "down" : "unknown", error->message);
	record_unref(vm);
}

#define LEFTOVER_TRIES 50             /* of 0.2 s: while libvirt is away the agent cannot say what became of an earlier start */

/* The entry of an earlier run that ended: true when it is gone now, false without error when the VM is not down: it is this start's, seen again. */
static bool drop_leftover(struct flow *flow, GError **error)
{
	struct vm_id_params *params = record_new(&vm_id_params_type);
	struct vm_destroy_params *end = record_new(&vm_destroy_params_type);
	json_t *info = NULL;
	const char *status;
	bool gone = false;

	set_string(&params->vm_id, flow->object_id);
	set_string(&end->vm_id, flow->object_id);
	if (agent_call(flow->engine, host_of(flow), "VM.getInfo", params, flow->id, 0, &info, error)) {
		status = json_string_value(json_object_get(info, "status"));
		for (int i = 0; !gone && !g_strcmp0(status, "Down"); i++) {
			g_autoptr(GError) own = NULL;

			gone = agent_call(flow->engine, host_of(flow), "VM.destroy", end, flow->id, 0, NULL, &own) || error_is(own, ERR_NO_SUCH_VM);
			if (!gone && (!error_is(own, ERR_RESOURCE_UNAVAILABLE) || i == LEFTOVER_TRIES)) {
				g_propagate_error(error, g_steal_pointer(&own));
				break;
			}
			if (!gone)
				agent_pause(G_USEC_PER_SEC / 5);
		}
	}
	json_decref(info);
	record_unref(params);
	record_unref(end);
	return gone;
}

static bool launch(struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	struct vm_create_params *params = vm ? vm_definition(flow->engine, vm, flow_flag(flow, "paused"), error) : NULL;
	GError *own = NULL;
	bool ok = false, again;

	record_unref(vm);
	if (!params)
		return false;
	do {
		GError *cause = NULL;

		g_clear_error(&own);
		ok = agent_call_timed(flow->engine, host_of(flow), "VM.create", params, flow->id, CREATE_TIMEOUT_S, /* patience_s= */ 0, NULL, &own);
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
	return ok;
}

static void destroy(struct flow *flow)
{
	struct vm_destroy_params *params = record_new(&vm_destroy_params_type);
	g_autoptr(GError) error = NULL;

	set_string(&params->vm_id, flow->object_id);
	if (!agent_call_timed(flow->engine, host_of(flow), "VM.destroy", params, flow->id, CREATE_TIMEOUT_S, AGENT_PATIENCE_UNDO_S, NULL, &error) &&
	    !error_is(error, ERR_NO_SUCH_VM)) {
		log_warn("VM %s: not destroyed after its start failed: %s, ignoring", flow->object_id, error->message);
		json_object_set_new(flow->data, UNDESTROYED, json_true());
	}
	record_unref(params);
}

static bool running(struct flow *flow, GError **error)
{
	const uint32_t launched = 1u << VM_UP | 1u << VM_POWERING_UP | 1u << VM_PAUSED | 1u << VM_REBOOT_IN_PROGRESS | 1u << VM_POWERING_DOWN;
	struct vm *vm;
	bool ok;

	if (!fleet_wait_vm(flow->engine->fleet, flow->object_id, launched | 1u << VM_DOWN, RUNNING_TIMEOUT_S, error))
		return false;
	vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	ok = vm && vm->state != VM_DOWN;
	if (!ok)
		error_set(error, ERR_CANNOT_CREATE_VM, "%s", vm && vm->stop_reason ? vm->stop_reason : "it went down at once");
	record_unref(vm);
	return ok;
}

/* The VM goes on from its memory: the volume that held it is waste. A leftover costs space only, so it does not fail the start. */
static bool drop_memory(struct flow *flow, GError **error)
{
	const json_t *memory = json_object_get(flow->data, "memory");
	g_autoptr(GError) own = NULL;

	if (memory && !vm_memory_remove(flow, memory, &own))
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
	record_unref(vm);
	record_unref(host);
	return true;
}

static void failed(struct flow *flow, const GError *cause)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);

	if (vm)
		store_event(flow->engine->store, EVENT_START_FAILED, &flow->actor, (void *[]){ vm, NULL }, "Failed to run VM %s (User: %s): %s", vm->name,
			    flow_user(flow), cause->message);
	record_unref(vm);
}

static const struct flow_step steps[] = {
	{ "reserve", reserve, release },
	{ "launch", launch, destroy },
	{ "running", running, NULL },
	{ "memory", drop_memory, NULL },
	{ "announce", announce, NULL },
};

const struct flow_type start_vm_flow = {
	.name = "start_vm", .kind = &vm_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};
