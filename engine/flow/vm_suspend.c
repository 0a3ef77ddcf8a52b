/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suspending a VM.
 *
 *	suspend   mark (saving_state; where the memory will be) > volume > save (VM.hibernate, until the VM is gone)     interrupted: goes on
 *	discard   volume > forget (down)                                                                               interrupted: goes on
 *
 * vm.memory_volume is set before the volume exists and is unfinished until the agent's news of the end of the run says that it ended there (exit reason
 * SAVED): fleet/sync_vms.c, model/vm_run.c. Any other end, seen or unseen, leaves the VM down, and this flow removes the volume.
 *
 * A host that falls silent while it saves ends the flow for who asked. Its undo waits for the host, because only the host can tell whether the memory is
 * whole: then the VM is suspended and the volume stays. An undo that gives the volume up says so in vm.memory_volume before it removes it, so that news that
 * come later do not make a suspended VM without memory.
 */
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/agent.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/vm_definition.h"
#include "engine/flow/vm_flow.h"
#include "engine/flow/vm_memory.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/storage_domain.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"
#include "proto/vm.h"

#define LOG_MODULE "flow"
#define SAVE_TIMEOUT_S 600                       /* and what the size of the memory needs: vm_memory_seconds() */
#define SLOW_BYTES_PER_S (INT64_C(16) << 20)
#define OVERHEAD_BYTES (INT64_C(256) << 20)      /* of the saved state beyond the guest's memory */

/* Event codes, appendix C */
#define EVENT_SUSPENDED 39
#define EVENT_SUSPEND_FAILED 55
#define EVENT_DISCARDED 111

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static struct volume_place volume_of(const struct flow *flow, const json_t *memory)
{
	return (struct volume_place){
		.pool_id = text_of(memory, "pool"), .domain_id = text_of(memory, "domain"), .image_id = text_of(memory, "image"),
		.volume_id = text_of(memory, "volume"), .description = "memory of a suspended VM",
		.size = json_integer_value(json_object_get(flow->data, "size")), .sparse = true,
	};
}

/* The host that sees the domain. */
static char *host_for(struct flow *flow, const json_t *memory, GError **error)
{
	struct storage_domain *domain = model_get(flow->engine->model, &storage_domain_kind, text_of(memory, "domain"));
	char *host = domain ? storage_worker(flow->engine, domain, error) : NULL;

	if (!domain)
		error_set(error, ERR_NOT_FOUND, "storage domain '%s' of the saved memory", text_of(memory, "domain"));
	record_unref(domain);
	return host;
}

int vm_memory_seconds(int64_t size)
{
	return (int)(size / SLOW_BYTES_PER_S);
}

bool vm_memory_remove(struct flow *flow, const json_t *memory, GError **error)
{
	g_autofree char *host = host_for(flow, memory, error);
	const struct storage_call call = { flow->engine, host, flow->id, AGENT_PATIENCE_S };
	const struct volume_place volume = volume_of(flow, memory);

	return host && volume_remove(&call, &volume, error);
}

/* ---- suspend ---- */

/* An active data domain of the VM's data center. */
static struct storage_domain *pick_domain(struct flow *flow, const char *pool, GError **error)
{
	g_autoptr(GPtrArray) domains = model_list(flow->engine->model, &storage_domain_kind);

	for (guint i = 0; i < domains->len; i++) {
		struct storage_domain *domain = domains->pdata[i];

		if (domain->type == DOMAIN_DATA && domain->state == DOMAIN_ACTIVE && !g_strcmp0(domain->data_center.id, pool))
			return record_ref(domain);
	}
	error_set(error, ERR_OPERATION_FAILED, "the data center has no active data domain for the VM's memory");
	return NULL;
}

static bool edit_saving(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	struct flow *flow = data;

	if (vm->state == VM_SUSPENDED || (vm->state == VM_SAVING_STATE && vm->memory_volume))
		return false;
	if (vm->state != VM_UP) {
		error_set(error, ERR_WRONG_STATE, "VM '%s' is %s", vm->name, vm_state_names[vm->state]);
		return false;
	}
	SET(vm, state, VM_SAVING_STATE);
	CLEAR(vm, status_time);          /* news from before do not count: fleet/sync_vms.c */
	vm_set_memory(vm, json_object_get(flow->data, "memory"));
	return true;
}

static bool mark(struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	struct storage_domain *domain = NULL;
	g_autofree char *pool = vm ? vm_data_center(flow->engine, vm) : NULL;

	if (!vm) {
		error_set(error, ERR_NOT_FOUND, "VM '%s'", flow->object_id);
		return false;
	}
	json_object_set_new(flow->data, "host", json_string(vm->host.id ? vm->host.id : ""));
	json_object_set_new(flow->data, "size", json_integer(vm->memory + OVERHEAD_BYTES));
	/* Stopped between the mark and the note of it: where the memory goes is settled. */
	if (vm->state == VM_SAVING_STATE && vm->memory_volume)
		json_object_set(flow->data, "memory", vm->memory_volume);
	if (!json_object_get(flow->data, "memory") && (domain = pick_domain(flow, pool, error))) {
		g_autofree char *image = g_uuid_string_random(), *volume = g_uuid_string_random();

		json_object_set_new(flow->data, "memory",
				    json_pack("{s:s, s:s, s:s, s:s}", "pool", pool, "domain", domain->id, "image", image, "volume", volume));
	}
	record_unref(domain);
	record_unref(vm);
	return json_object_get(flow->data, "memory") && store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_saving, flow, NULL, error);
}

struct giving_up { const json_t *memory; bool kept; };

/* Unless the memory is whole after all: what is written there from now on is nobody's. Whether the VM still saves its next report says. */
static bool edit_give_up(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	struct giving_up *giving_up = data;
	bool mine = vm_memory_is(vm, giving_up->memory);

	giving_up->kept = mine && vm->memory_state != MEMORY_UNFINISHED;
	if (giving_up->kept)
		return false;
	if (mine)
		vm_set_memory(vm, NULL);
	if (vm->state == VM_SAVING_STATE)
		SET(vm, state, VM_UP);
	return true;
}

static bool give_up(struct flow *flow, bool *ret_kept, GError **error)
{
	struct giving_up giving_up = { .memory = json_object_get(flow->data, "memory") };
	bool ok = store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_give_up, &giving_up, NULL, error);

	*ret_kept = giving_up.kept;
	return ok;
}

static bool unmark(struct flow *flow, GError **error)
{
	bool kept;

	return give_up(flow, &kept, error);
}

static bool make_volume(struct flow *flow, GError **error)
{
	const json_t *memory = json_object_get(flow->data, "memory");
	g_autofree char *host = host_for(flow, memory, error);
	const struct storage_call call = { flow->engine, host, flow->id, AGENT_PATIENCE_S };
	const struct volume_place volume = volume_of(flow, memory);

	return host && volume_create(&call, &volume, error);
}

static int state_of(struct flow *flow)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	int state = vm ? vm->state : VM_UNASSIGNED;

	record_unref(vm);
	return state;
}

/* Neither was the end of the saving seen nor was it given up. */
static bool is_undecided(struct flow *flow)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	bool undecided = vm && vm_memory_is(vm, json_object_get(flow->data, "memory")) && vm->memory_state == MEMORY_UNFINISHED;

	record_unref(vm);
	return undecided;
}

/* Does the agent say that the VM runs, and does not save? An agent that does not have it any more has news of its end, or the lack of them is news. */
static bool ask_runs(struct flow *flow, bool *ret_runs, GError **error)
{
	struct vm_id_params *params = record_new(&vm_id_params_type);
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct vm_short *info = NULL;
	GError *own = NULL;
	json_t *answer = NULL;

	set_string(&params->vm_id, flow->object_id);
	if (agent_call(flow->engine, flow_text(flow, "host"), "VM.getInfo", params, flow->id, AGENT_PATIENCE_S, &answer, &own))
		info = record_from_json(&vm_short_type, answer, &input, &own);
	/* one whose agent was restarted while libvirt saves it is Paused there */
	*ret_runs = info && info->status != VM_WIRE_SAVING && info->status != VM_WIRE_PAUSED && info->status != VM_WIRE_DOWN;
	record_input_clear(&input);
	record_unref(info);
	json_decref(answer);
	record_unref(params);
	if (error_is(own, ERR_NO_SUCH_VM))
		g_clear_error(&own);
	if (own)
		g_propagate_error(error, own);
	return !own;
}

/* Until it is known how the saving ended, or that the VM runs on; what the model says in between may be older than the saving. ERR_NO_CONNECTION: nobody
 * can tell now; ERR_TIMEOUT. */
static bool settle(struct flow *flow, int timeout_s, GError **error)
{
	const uint32_t news = 1u << VM_SUSPENDED | 1u << VM_DOWN | 1u << VM_UP | 1u << VM_POWERING_UP | 1u << VM_UNKNOWN;
	int64_t end = now_usec() + timeout_s * (int64_t)G_USEC_PER_SEC;
	bool runs = false;

	while (is_undecided(flow)) {
		if (state_of(flow) == VM_UNKNOWN) {
			error_set(error, ERR_NO_CONNECTION, "the host does not answer any more; whether the VM is suspended is seen when it does");
			return false;
		}
		if (!ask_runs(flow, &runs, error))
			return false;
		if (runs)
			break;
		if (!fleet_wait_vm(flow->engine->fleet, flow->object_id, news, (int)MAX((end - now_usec()) / G_USEC_PER_SEC, 0), error))
			return false;
		if (state_of(flow) == VM_UP || state_of(flow) == VM_POWERING_UP)
			lane_pause(G_USEC_PER_SEC / 5);
	}
	return true;
}

static int save_timeout_s(const struct flow *flow)
{
	return SAVE_TIMEOUT_S + vm_memory_seconds(json_integer_value(json_object_get(flow->data, "size")));
}

static bool remove_volume(struct flow *flow, GError **error)
{
	GError *own = NULL;

	/* Its host is back after a silence and may be saving still. What does not come to an end is given up. */
	if (!settle(flow, flow->waited ? save_timeout_s(flow) : 0, &own) && agent_is_away(own)) {
		g_propagate_error(error, own);
		return false;
	}
	g_clear_error(&own);
	return give_up(flow, &flow->completed, error) && (flow->completed || vm_memory_remove(flow, json_object_get(flow->data, "memory"), error));
}

static bool save(struct flow *flow, GError **error)
{
	const json_t *memory = json_object_get(flow->data, "memory");
	struct vm_hibernate_params *params;
	GError *own = NULL;

	if (state_of(flow) == VM_SUSPENDED)
		return true;
	params = record_new(&vm_hibernate_params_type);
	set_string(&params->vm_id, flow->object_id);
	params->handle = json_pack("{s:O, s:O, s:O, s:O}", "poolID", json_object_get(memory, "pool"), "domainID", json_object_get(memory, "domain"), "imageID",
				   json_object_get(memory, "image"), "volumeID", json_object_get(memory, "volume"));
	/* One that is down by now may have been saved by an earlier try. */
	if (!agent_call(flow->engine, flow_text(flow, "host"), "VM.hibernate", params, flow->id, AGENT_PATIENCE_S, NULL, &own) &&
	    (error_is(own, ERR_VM_IS_DOWN) || error_is(own, ERR_NO_SUCH_VM)))
		g_clear_error(&own);
	record_unref(params);
	if (!own && settle(flow, save_timeout_s(flow), &own) && state_of(flow) != VM_SUSPENDED)
		error_set(&own, ERR_OPERATION_FAILED, "the VM's memory could not be saved, it %s", state_of(flow) == VM_DOWN ? "is down" : "runs on");
	if (own)
		g_propagate_error(error, own);
	return !own;
}

/* "VM $v was suspended by $u": v the VM, h the host it was on, u the user, w why */
static void tell(struct flow *flow, int code, const char *text, const char *why)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	struct host *host = flow_text(flow, "host") ? model_get(flow->engine->model, &host_kind, flow_text(flow, "host")) : NULL;
	GString *line = g_string_new(text);

	g_string_replace(line, "$h", host ? host->name : "<none>", 0);
	g_string_replace(line, "$u", flow_user(flow), 0);
	g_string_replace(line, "$v", vm ? vm->name : "", 0);
	if (vm)
		store_event(flow->engine->store, code, &flow->actor, (void *[]){ vm, NULL }, "%s%s%s", line->str, why ? " " : "", why ? why : "");
	g_string_free(line, TRUE);
	record_unref(host);
	record_unref(vm);
}

static bool announce(struct flow *flow, GError **error)
{
	tell(flow, EVENT_SUSPENDED, "VM $v was suspended by $u (Host: $h).", NULL);
	return true;
}

static void suspend_failed(struct flow *flow, const GError *cause)
{
	tell(flow, EVENT_SUSPEND_FAILED, "Failed to suspend VM $v (Host: $h, User: $u).", cause->message);
}

static const struct flow_step suspend_steps[] = {
	{ "mark", mark, unmark }, { "volume", make_volume, remove_volume }, { "save", save, NULL }, { "announce", announce, NULL },
};
const struct flow_type suspend_vm_flow = {
	.name = "suspend_vm", .kind = &vm_kind, .steps = suspend_steps, .n_steps = G_N_ELEMENTS(suspend_steps), .forward = true, .failed = suspend_failed,
};

/* ---- discard ---- */

static bool discard_volume(struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	bool ok = !vm || !vm->memory_volume || vm_memory_remove(flow, vm->memory_volume, error);

	record_unref(vm);
	return ok;
}

static bool edit_discarded(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;

	if (vm->state != VM_SUSPENDED)
		return false;
	vm_set_memory(vm, NULL);
	SET(vm, state, VM_DOWN);
	return true;
}

static bool discard_forget(struct flow *flow, GError **error)
{
	if (!store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_discarded, NULL, NULL, error))
		return false;
	tell(flow, EVENT_DISCARDED, "Suspended VM $v has had its save state cleared by $u.", NULL);
	return true;
}

static const struct flow_step discard_steps[] = { { "volume", discard_volume, NULL }, { "forget", discard_forget, NULL } };
const struct flow_type discard_memory_flow = {
	.name = "discard_memory", .kind = &vm_kind, .steps = discard_steps, .n_steps = G_N_ELEMENTS(discard_steps), .forward = true,
};
