/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host goes to maintenance: mark (preparing_for_maintenance; nothing starts there any more) > evacuate (its VMs migrate) > leave (its pool, as the manager
 * too) > settle. Interrupted: goes on. A VM that cannot go anywhere is told before anything is begun; one that stays all the same (its migration failed, or
 * was canceled) ends it, and the host is up again, without the VMs that have left.
 *
 * A host that does not answer leaves nothing: what it is to do it is told when it is up again. A manager that will not give the role up (a task of it is
 * not finished) keeps its host in use: the host is looked for anew and is up again.
 */
#include "engine/flow/host_flow.h"

#include "common/error.h"
#include "common/log.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/agent.h"
#include "engine/flow/host_evacuation.h"
#include "engine/flow/rivals.h"
#include "engine/flow/storage_pool.h"
#include "engine/flow/vm_migrate.h"
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "engine/sched/sched.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"
#define STATE(state) (1u << (state))
#define STATES_KEPT \
	(STATE(HOST_MAINTENANCE) | STATE(HOST_PREPARING_FOR_MAINTENANCE) | STATE(HOST_PENDING_APPROVAL) | STATE(HOST_INSTALLING) | STATE(HOST_INSTALLING_OS) | \
	 STATE(HOST_REBOOT) | STATE(HOST_KDUMPING))

#define REASONS_MAX 2000                  /* bytes, about */

/* Event codes, appendix C */
#define EVENT_MAINTENANCE 15
#define EVENT_MANAGER_KEPT 27

json_t *host_retire_data(const struct host *host, const char *reason)
{
	return json_pack("{s:s, s:s, s:s?}", "host", host->id, "name", host->name, "reason", reason);
}

static bool check_state(const struct host *host, GError **error)
{
	if (!(STATES_KEPT >> host->state & 1))
		return true;
	error_set(error, ERR_WRONG_STATE, "cannot deactivate host '%s': it is %s", host->name, host_state_names[host->state]);
	return false;
}

/* Could each of its VMs go somewhere? For all of them there may be too little room: that is seen when they go. */
static bool check_vms(struct engine *engine, const struct host *host, GError **error)
{
	g_autoptr(GPtrArray) vms = model_referring(engine->model, &vm_kind, offsetof(struct vm, host), host->id);
	const struct sched_move anywhere = { NULL, NULL };
	g_autoptr(GString) reasons = g_string_new(NULL);

	for (guint i = 0; i < vms->len && reasons->len < REASONS_MAX; i++) {
		g_autoptr(GError) own = NULL;

		if (vm_migrate_check(vms->pdata[i], &own))
			g_free(sched_pick_host(engine, vms->pdata[i], &anywhere, &own));
		if (own) {
			error_wrap(&own, "'%s'", object_name(vms->pdata[i]));
			g_string_append_printf(reasons, "%s%s", reasons->len ? "; " : "", own->message);
		}
	}
	if (reasons->len)
		error_set(error, ERR_WRONG_STATE, "cannot put host '%s' in maintenance: VMs run on it that cannot leave: %s", host->name, reasons->str);
	return !reasons->len;
}

bool host_retire_check(struct engine *engine, const struct host *host, GError **error)
{
	return check_state(host, error) && check_vms(engine, host, error);
}

static bool edit_mark(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	struct flow *flow = data;

	if (host->state == HOST_PREPARING_FOR_MAINTENANCE && flow_is_alone(flow, NULL))
		return false;
	if (!check_state(host, error))
		return false;
	SET(host, state, HOST_PREPARING_FOR_MAINTENANCE);
	set_string(&host->state_detail, flow_text(flow, "reason"));
	return true;
}

static bool mark(struct flow *flow, GError **error)
{
	if (!store_modify(flow->engine->store, &host_kind, flow->object_id, edit_mark, flow, NULL, error))
		return false;
	json_object_set_new(flow->data, "marked", json_true());
	return true;
}

static bool edit_unmark(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;

	if (host->state != HOST_PREPARING_FOR_MAINTENANCE)
		return false;
	SET(host, state, HOST_UNASSIGNED);
	set_string(&host->state_detail, NULL);
	return true;
}

static bool unmark(struct flow *flow, GError **error)
{
	if (!flow_flag(flow, "marked"))
		return true;
	if (!store_modify(flow->engine->store, &host_kind, flow->object_id, edit_unmark, NULL, NULL, error))
		return false;
	fleet_forget(flow->engine->fleet, flow->object_id);
	fleet_watch(flow->engine->fleet, flow->object_id);
	return true;
}

static bool evacuate(struct flow *flow, GError **error)
{
	return vms_evacuate(flow->engine, flow->object_id, &flow->actor, error);
}

static bool leave(struct flow *flow, GError **error)
{
	GError *own = NULL;

	if (fleet_is_connected(flow->engine->fleet, flow->object_id) && !storage_pool_leave(flow->engine, flow->object_id, &own) && !agent_is_away(own)) {
		json_object_set_new(flow->data, "kept", json_true());
		g_propagate_error(error, own);
		return false;
	}
	if (own)
		log_info("host %s leaves its pool when it is up again: %s", flow->object_id, own->message);
	g_clear_error(&own);
	return true;
}

static bool edit_settle(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	struct flow *flow = data;

	if (host->state != HOST_PREPARING_FOR_MAINTENANCE)
		return false;
	SET(host, state, HOST_MAINTENANCE);
	SET(host, storage_manager, false);
	SET(host, spm_state, SPM_NONE);
	change_event(change, EVENT_MAINTENANCE, &flow->actor, (void *[]){ host, NULL }, "Host %s was switched to Maintenance Mode.", host->name);
	return true;
}

static bool settle(struct flow *flow, GError **error)
{
	struct host *host = model_get(flow->engine->model, &host_kind, flow->object_id);
	g_autofree char *data_center = host ? host_data_center(flow->engine->model, host) : NULL;

	record_unref(host);
	if (!store_modify(flow->engine->store, &host_kind, flow->object_id, edit_settle, flow, NULL, error))
		return false;
	fleet_forget(flow->engine->fleet, flow->object_id);
	if (data_center)
		storage_manager_want(flow->engine, data_center);
	return true;
}

static void failed(struct flow *flow, const GError *cause)
{
	struct host *host = flow_flag(flow, "kept") ? model_get(flow->engine->model, &host_kind, flow->object_id) : NULL;

	if (host)
		store_event(flow->engine->store, EVENT_MANAGER_KEPT, &flow->actor, (void *[]){ host, NULL },
			    "Failed to change status of host %s due to a failure to stop the spm. %s", host->name, cause->message);
	record_unref(host);
}

static const struct flow_step steps[] = {
	{ "mark", mark, unmark }, { "evacuate", evacuate, NULL }, { "leave", leave, NULL }, { "settle", settle, NULL },
};

const struct flow_type retire_host_flow = {
	.name = "retire_host", .kind = &host_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};
