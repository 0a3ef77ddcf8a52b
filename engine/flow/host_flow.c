/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host goes to maintenance: mark (preparing_for_maintenance) > leave (its pool, as the manager too) > settle. Interrupted: goes on.
 *
 * A host that does not answer leaves nothing: what it is to do it is told when it is up again. A manager that will not give the role up (a task of it is
 * not finished) keeps its host in use: the host is looked for anew and is up again.
 */
#include "engine/flow/host_flow.h"

#include "common/error.h"
#include "common/log.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/agent.h"
#include "engine/flow/rivals.h"
#include "engine/flow/storage_pool.h"
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"
#define STATE(state) (1u << (state))
#define STATES_KEPT \
	(STATE(HOST_MAINTENANCE) | STATE(HOST_PREPARING_FOR_MAINTENANCE) | STATE(HOST_PENDING_APPROVAL) | STATE(HOST_INSTALLING) | STATE(HOST_INSTALLING_OS) | \
	 STATE(HOST_REBOOT) | STATE(HOST_KDUMPING))

/* Event codes, appendix C */
#define EVENT_MAINTENANCE 15
#define EVENT_MANAGER_KEPT 27

json_t *host_retire_data(const struct host *host, const char *reason)
{
	return json_pack("{s:s, s:s, s:s?}", "host", host->id, "name", host->name, "reason", reason);
}

/* Run by the writer, too. data: a struct host */
static bool runs_nothing(struct model *model, void *data, GError **error)
{
	const struct host *host = data;
	g_autoptr(GPtrArray) vms = model_referring(model, &vm_kind, offsetof(struct vm, host), host->id);
	g_autoptr(GString) names = g_string_new(NULL);

	for (guint i = 0; i < vms->len && i < 10; i++)
		g_string_append_printf(names, "%s'%s'", names->len ? ", " : "", object_name(vms->pdata[i]));
	if (vms->len > 10)
		g_string_append_printf(names, " and %u more", vms->len - 10);
	if (vms->len)
		error_set(error, ERR_WRONG_STATE, "cannot put host '%s' in maintenance: VMs run on it: %s", host->name, names->str);
	return !vms->len;
}

static bool check_state(const struct host *host, GError **error)
{
	if (!(STATES_KEPT >> host->state & 1))
		return true;
	error_set(error, ERR_WRONG_STATE, "cannot deactivate host '%s': it is %s", host->name, host_state_names[host->state]);
	return false;
}

bool host_retire_check(struct model *model, const struct host *host, GError **error)
{
	return check_state(host, error) && runs_nothing(model, (void *)host, error);
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
	change_check(change, runs_nothing, host);
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

static const struct flow_step steps[] = { { "mark", mark, unmark }, { "leave", leave, NULL }, { "settle", settle, NULL } };

const struct flow_type retire_host_flow = {
	.name = "retire_host", .kind = &host_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};
