/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The action fence of hosts (REST 14.8.4): state rules around power_switch().
 *
 *	status    any state
 *	start     down, non_responsive, reboot, maintenance
 *	stop      maintenance
 *	restart   down, non_responsive, non_operational, error, reboot, maintenance; kdumping with force
 *	manual    somebody has seen to it that the host does not run: down, non_responsive, connecting, error, kdumping
 *
 * During it the host is in state reboot; a host that was in maintenance is so again afterwards, one that was stopped is down, others are looked for
 * (unassigned). Between two changes of the power lie [agent] fence_quiet seconds. VMs of a host that was switched off, or was so by hand, are down.
 */
#include "engine/api/fence.h"

#include "common/error.h"
#include "common/loop.h"
#include "engine/api/action.h"
#include "engine/api/power.h"
#include "engine/fleet/fleet.h"
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define STATE(state) (1u << (state))

/* Event codes: appendix C, and one of our own */
static const struct { uint32_t from; int event, failed; const char *done, *undone; } rules[] = {
	[FENCE_MANUAL] = { STATE(HOST_DOWN) | STATE(HOST_NON_RESPONSIVE) | STATE(HOST_CONNECTING) | STATE(HOST_ERROR) |
				    STATE(HOST_KDUMPING), 494, 495, "confirmed to be off", "confirm" },
	[FENCE_RESTART] = { STATE(HOST_DOWN) | STATE(HOST_NON_RESPONSIVE) | STATE(HOST_NON_OPERATIONAL) | STATE(HOST_ERROR) | STATE(HOST_REBOOT) |
				    STATE(HOST_MAINTENANCE) | STATE(HOST_KDUMPING), 41, 107, "restarted", "restart" },
	[FENCE_START] = { STATE(HOST_DOWN) | STATE(HOST_NON_RESPONSIVE) | STATE(HOST_REBOOT) | STATE(HOST_MAINTENANCE), 20, 118, "started", "start" },
	[FENCE_STOP] = { STATE(HOST_MAINTENANCE), 21, 137, "stopped", "stop" },
};

struct fence_action { ACTION_MEMBERS int fence_type, power; };
static const struct field fence_fields[] = {
	ACTION_FIELDS(struct fence_action),
	FIELD_ENUM_(struct fence_action, fence_type, "fence_type", CREATE | REQUIRED, fence_type_names, "what to do"),
	FIELD_ENUM_(struct fence_action, power, "power_management/status/state", READ_ONLY, power_state_names, "is the power on"),
};
const struct record_type fence_action_type = RECORD_TYPE("action", NULL, struct fence_action, fence_fields, "What to do with the power of a host");

struct fencing { struct request *request; enum fence_type what; int before; const char *failed; bool force; };

static bool check(const struct fencing *fencing, const struct host *host, GError **error)
{
	int64_t quiet_msec = config_int(fencing->request->engine->config, "agent", "fence_quiet") * 1000, since = wall_msec() - host->power_time;

	if (!(rules[fencing->what].from >> host->state & 1)) {
		error_set(error, ERR_WRONG_STATE, "cannot %s host '%s': it is %s", fence_type_names[fencing->what], host->name, host_state_names[host->state]);
		return false;
	}
	if (host->state == HOST_KDUMPING && fencing->what != FENCE_MANUAL && !fencing->force) {
		error_set(error, ERR_WRONG_STATE, "cannot %s host '%s': it is %s: without power its dump would be lost; force does it all the same",
			  fence_type_names[fencing->what], host->name, host_state_names[host->state]);
		return false;
	}
	if (fencing->what == FENCE_MANUAL || !HAS(host, power_time) || since < 0 || since >= quiet_msec)
		return true;
	error_set(error, ERR_OPERATION_FAILED, "host '%s': its power was switched %d s ago: wait until %d s have passed", host->name, (int)(since / 1000),
		  (int)(quiet_msec / 1000));
	return false;
}

static bool edit_begin(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	struct fencing *fencing = data;

	if (!check(fencing, host, error))
		return false;
	fencing->before = host->state;
	SET(host, power_time, wall_msec());
	SET(host, state, HOST_REBOOT);
	set_string(&host->state_detail, NULL);
	return true;
}

static bool edit_end(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	const struct fencing *fencing = data;
	bool kept = fencing->before == HOST_MAINTENANCE && fencing->what != FENCE_STOP;

	if (host->state == HOST_REBOOT)
		SET(host, state, fencing->failed || kept ? fencing->before : fencing->what == FENCE_STOP ? HOST_DOWN : HOST_UNASSIGNED);
	if (fencing->failed)
		change_event(change, rules[fencing->what].failed, &fencing->request->actor, (void *[]){ host, NULL }, "Failed to %s Host %s, (User: %s). %s",
			     rules[fencing->what].undone, host->name, fencing->request->actor.user_name, fencing->failed);
	else
		change_event(change, rules[fencing->what].event, &fencing->request->actor, (void *[]){ host, NULL }, "Host %s was %s by %s.", host->name,
			     rules[fencing->what].done, fencing->request->actor.user_name);
	return true;
}

static bool edit_vm_gone(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	const struct host *host = data;

	if (!vm_is_running(vm) || g_strcmp0(vm->host.id, host->id))
		return false;
	vm_end_run(vm, /* saved= */ false, "the power of its host was switched off", wall_msec());
	change_event(change, 143, NULL, (void *[]){ vm, (void *)host, NULL }, "Vm %s was shut down due to %s host reboot or manual fence", vm->name, host->name);
	return true;
}

static bool end_vms(struct request *request, const struct host *host, GError **error)
{
	g_autoptr(GPtrArray) vms = model_referring(request->engine->model, &vm_kind, offsetof(struct vm, host), host->id);

	for (guint i = 0; i < vms->len; i++)
		if (!store_modify(request->engine->store, &vm_kind, object_id(vms->pdata[i]), edit_vm_gone, (void *)host, NULL, error))
			return false;
	return true;
}

static bool fence_manually(struct request *request, const struct host *host, GError **error)
{
	struct fencing fencing = { .request = request, .what = FENCE_MANUAL, .before = host->state };

	return check(&fencing, host, error) && end_vms(request, host, error) &&
	       store_modify(request->engine->store, &host_kind, host->id, edit_end, &fencing, NULL, error);
}

static bool change_power(struct request *request, const struct host *host, enum fence_type what, bool force, enum power_state *ret_state, GError **error)
{
	struct fencing fencing = { .request = request, .what = what, .force = force };
	GError *own = NULL;
	bool ok;

	if (!store_modify(request->engine->store, &host_kind, host->id, edit_begin, &fencing, NULL, error))
		return false;
	ok = power_switch(request, host, what, ret_state, &own) && (what == FENCE_START || end_vms(request, host, &own));
	fencing.failed = own ? own->message : NULL;
	(void)store_modify(request->engine->store, &host_kind, host->id, edit_end, &fencing, NULL, ok ? error : NULL);
	if (ok && fencing.before != HOST_MAINTENANCE)
		fleet_watch(request->engine->fleet, host->id);
	if (own)
		g_propagate_error(error, own);
	return ok;
}

bool host_fence(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct fence_action *how = params;
	const struct host *host = object;
	enum power_state state = POWER_UNKNOWN;
	struct fence_action *result;

	if (how->fence_type == FENCE_MANUAL)
		return fence_manually(request, host, error);
	if (!host->pm_enabled) {
		error_set(error, ERR_OPERATION_FAILED, "host '%s': power management is not enabled", host->name);
		return false;
	}
	if (how->fence_type == FENCE_STATUS ? !power_switch(request, host, FENCE_STATUS, &state, error) :
					      !change_power(request, host, (enum fence_type)how->fence_type, how->force, &state, error))
		return false;
	result = record_copy(how);
	SET(result, power, (int)state);
	*ret_result = result;
	return true;
}
