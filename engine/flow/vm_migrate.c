/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrating a VM: reserve (a host is chosen; vm.migration_host) > reach (its LUNs there) > leave (VM.migrate, at the source) > arrive (until the news say that
 * it runs there) > announce (and the source forgets it). Interrupted, it goes forward: a VM.migrate that was given already is answered MigrationInProgress.
 *
 * The agents do the work and see to it that the VM runs on one host only, whatever dies. Where that is, their news say: vm.host changes in fleet/sync_vms.c and
 * nowhere else. While vm.migration_host is set, the memory that the VM will need there is taken (sched), and what that host says of the VM counts.
 *
 *	source             destination                 vm.state           vm.host
 *	Migration Source   Migration Destination       migrating_from     source
 *	Migration Source   Up                          up                 destination
 *	Down (migrated)    Migration Destination       migrating_to       destination
 *	Up                 -                           up                 source: it failed, VM.getMigrationStatus says why
 *	silent             -                           unknown            source, and migration_host stays: either of them tells later
 *
 * A host that is silent ends the flow for who asked. A VM that the source has no more and the destination does not know is down.
 */
#include "engine/flow/vm_migrate.h"

#include <string.h>

#include "common/error.h"
#include "common/lane.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/fleet/entries.h"
#include "engine/fleet/fleet.h"
#include "engine/flow/agent.h"
#include "engine/flow/lun.h"
#include "engine/flow/vm_flow.h"
#include "engine/flow/vm_limits.h"
#include "engine/model/cluster.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/sched/sched.h"
#include "engine/store/store.h"
#include "proto/migration.h"
#include "proto/vm.h"

#define LOG_MODULE "flow"
#define LOOK_S 5                          /* no news so long: it is looked at */
#define ASK_USEC (G_USEC_PER_SEC / 5)     /* the agent has an answer, and its news are on their way */
#define PICK_TRIES 10
#define HOSTS_TRIED 3                     /* for one VM, when nobody said where to; as oVirt's MaxRerunVmOnVdsCount */
#define CANCEL_S 60
#define SOURCE_S 60                       /* for the source to be through with it, once the VM is there */
#define UNSETTLED "unsettled"             /* member of the flow's data: the source could not say whether it goes on */

/* Event codes, appendix C */
#define EVENT_STARTED 62
#define EVENT_DONE 63
#define EVENT_ABORTED 64
#define EVENT_STARTED_BY_SYSTEM 67
#define EVENT_FAILED 120
#define EVENT_NEXT_HOST 128
#define EVENT_FAILED_IN_MAINTENANCE 140
#define EVENT_CANCELED 161
#define EVENT_CANCEL_FAILED 162
#define EVENT_NO_HOST 166

#define MIGRATABLE (1u << VM_UP | 1u << VM_POWERING_UP | 1u << VM_PAUSED | 1u << VM_REBOOT_IN_PROGRESS)
#define MOVING (1u << VM_MIGRATING_FROM | 1u << VM_MIGRATING_TO)

bool vm_migrate_check(const struct vm *vm, GError **error)
{
	const char *tie = vm->affinity == AFFINITY_PINNED ? "it is pinned to its host" :
			  vm->cpu_mode == CPU_MODE_HOST_PASSTHROUGH ? "its CPU mode is host_passthrough" : NULL;

	if (!(MIGRATABLE >> vm->state & 1))
		error_set(error, ERR_WRONG_STATE, "cannot migrate VM '%s': it is %s", vm->name, vm_state_names[vm->state]);
	else if (tie)
		error_set(error, ERR_OPERATION_FAILED, "cannot migrate VM '%s': %s", vm->name, tie);
	return MIGRATABLE >> vm->state & 1 && !tie;
}

static struct vm *vm_of(const struct flow *flow, GError **error)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);

	if (!vm)
		error_set(error, ERR_NOT_FOUND, "VM '%s'", flow->object_id);
	return vm;
}

static enum migrate_cause cause_of(const struct flow *flow)
{
	return (enum migrate_cause)json_integer_value(json_object_get(flow->data, "cause"));
}

static const char *source_of(const struct flow *flow) { return flow_text(flow, "source"); }
static const char *target_of(const struct flow *flow) { return flow_text(flow, "target"); }

/* "VM $v ($s -> $d) $u $w": v the VM, s the source, d the destination, u the user, w why */
static void tell(const struct flow *flow, int code, const char *text, const char *why)
{
	struct model *model = flow->engine->model;
	struct vm *vm = model_get(model, &vm_kind, flow->object_id);
	struct host *source = source_of(flow) ? model_get(model, &host_kind, source_of(flow)) : NULL;
	struct host *target = target_of(flow) ? model_get(model, &host_kind, target_of(flow)) : NULL;
	GString *line = g_string_new(text);

	g_string_replace(line, "$v", vm ? vm->name : "", 0);
	g_string_replace(line, "$s", source ? source->name : "<none>", 0);
	g_string_replace(line, "$d", target ? target->name : "<none>", 0);
	g_string_replace(line, "$u", flow_user(flow), 0);
	g_string_replace(line, "$w", why ? why : "", 0);
	if (vm)
		store_event(flow->engine->store, code, &flow->actor, (void *[]){ vm, source, NULL }, "%s", line->str);
	g_string_free(line, TRUE);
	record_unref(target);
	record_unref(source);
	record_unref(vm);
}

/* ---- reserve ---- */

struct reservation { struct flow *flow; struct vm *there; };

static bool edit_reserve(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	struct reservation *reservation = data;

	if (!g_strcmp0(vm->migration_host, target_of(reservation->flow)))
		return false;
	if (!vm_migrate_check(vm, error))
		return false;
	set_string(&vm->migration_host, target_of(reservation->flow));
	record_unref(reservation->there);
	reservation->there = record_copy(vm);
	set_ref(&reservation->there->host, target_of(reservation->flow));
	change_check(change, sched_still_fits, reservation->there);
	return true;
}

static bool take(struct flow *flow, GError **error)
{
	struct reservation reservation = { flow, NULL };
	bool ok = store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_reserve, &reservation, NULL, error);

	record_unref(reservation.there);
	return ok;
}

static char *pick(struct flow *flow, GError **error)
{
	const struct sched_move move = { flow_text(flow, "to"), json_object_get(flow->data, "but_not") };
	struct vm *vm = vm_of(flow, error);
	char *host = NULL;

	if (vm && vm_migrate_check(vm, error)) {
		host = sched_pick_host(flow->engine, vm, &move, error);
		json_object_set_new(flow->data, "source", json_string(vm->host.id));
		if (!host)
			json_object_set_new(flow->data, "nowhere", json_true());
	}
	record_unref(vm);
	return host;
}

static bool reserve(struct flow *flow, GError **error)
{
	for (int try = 1;; try++) {
		g_autofree char *host = pick(flow, error);
		g_autoptr(GError) own = NULL;

		if (!host)
			return false;
		json_object_set_new(flow->data, "target", json_string(host));
		if (take(flow, &own))
			return true;
		json_object_del(flow->data, "target");
		if (!error_is(own, ERR_RESOURCE_UNAVAILABLE) || try == PICK_TRIES) {
			g_propagate_error(error, g_steal_pointer(&own));
			return false;
		}
	}
}

/* Where it is while nobody knows, either host tells: sync_vms.c. */
static bool edit_release(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	const struct flow *flow = data;

	if (!vm->migration_host || vm->state == VM_UNKNOWN || flow_flag(flow, UNSETTLED))
		return false;
	set_string(&vm->migration_host, NULL);
	return true;
}

static bool release(struct flow *flow, GError **error)
{
	return store_modify(flow->engine->store, &vm_kind, flow->object_id, edit_release, flow, NULL, error);
}

/* ---- leave ---- */

static bool reach(struct flow *flow, GError **error)
{
	bool gone;

	/* what an earlier run left there would be in the way */
	if (!entry_drop(flow->engine->fleet, target_of(flow), flow->object_id, flow->id, &gone, error))
		return false;
	if (!gone)
		error_set(error, ERR_VM_EXISTS, "its agent has a VM '%s' that is not down", flow->object_id);
	return gone && lun_connect_vm(flow, target_of(flow), flow->object_id, error);
}

static struct migrate_params *migrate_params(const struct vm *vm, const struct host *source, const struct host *target, const struct cluster *cluster)
{
	struct migrate_params *params = record_new(&migrate_params_type);
	struct migrate_options *options = params->params = record_new(&migrate_options_type);

	set_string(&params->vm_id, vm->id);
	set_string(&options->vm_id, vm->id);
	set_string(&options->src, source->address);
	options->dst = g_strdup_printf(strchr(target->address, ':') ? "[%s]:%d" : "%s:%d", target->address, target->port);
	SET(options, tunneled, vm->tunnel_migration || (cluster && cluster->tunnel_migration));
	/* 0 and -1: as the agent is configured (15.1) */
	if (HAS(vm, migration_downtime) && vm->migration_downtime > 0)
		SET(options, downtime, vm->migration_downtime);
	record_defaults(options, 0);
	return params;
}

static bool leave(struct flow *flow, GError **error)
{
	struct model *model = flow->engine->model;
	struct vm *vm = vm_of(flow, error);
	struct host *source = model_get(model, &host_kind, source_of(flow)), *target = model_get(model, &host_kind, target_of(flow));
	struct cluster *cluster = vm ? model_get(model, &cluster_kind, vm->cluster.id) : NULL;
	bool first = vm && !g_strcmp0(vm->host.id, source_of(flow)), ok = vm && source && target;
	g_autoptr(GError) own = NULL;

	if (vm && !ok)
		error_set(error, ERR_NOT_FOUND, "host '%s'", source ? target_of(flow) : source_of(flow));
	/* taken up after a restart of the engine it may have left already */
	if (ok && first) {
		struct migrate_params *params = migrate_params(vm, source, target, cluster);

		ok = agent_call(flow->engine, source->id, "VM.migrate", params, flow->id, AGENT_PATIENCE_S, NULL, &own) || error_is(own, ERR_MIGRATION_IN_PROGRESS);
		record_unref(params);
		if (!ok)
			g_propagate_error(error, g_steal_pointer(&own));
		else if (cause_of(flow) == MIGRATE_USER)
			tell(flow, EVENT_STARTED, "Migration started (VM: $v, Source: $s, Destination: $d, User: $u).", NULL);
		else
			tell(flow, EVENT_STARTED_BY_SYSTEM, "Migration initiated by system (VM: $v, Source: $s, Destination: $d).", NULL);
	}
	record_unref(cluster);
	record_unref(target);
	record_unref(source);
	record_unref(vm);
	return ok;
}

static bool cancel_at(struct engine *engine, const char *host_id, const char *vm_id, const char *flow_id, int patience_s, GError **error)
{
	struct vm_id_params *params = record_new(&vm_id_params_type);
	bool ok;

	set_string(&params->vm_id, vm_id);
	ok = agent_call(engine, host_id, "VM.migrateCancel", params, flow_id, patience_s, NULL, error);
	record_unref(params);
	return ok;
}

/* What the source says. */
static struct migration_stats *status_at_source(const struct flow *flow, GError **error)
{
	struct vm_id_params *params = record_new(&vm_id_params_type);
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct migration_stats *stats = NULL;
	json_t *answer = NULL;

	set_string(&params->vm_id, flow->object_id);
	if (agent_call(flow->engine, source_of(flow), "VM.getMigrationStatus", params, flow->id, AGENT_PATIENCE_NONE, &answer, error))
		stats = record_from_json(&migration_stats_type, answer, &input, error);
	record_input_clear(&input);
	json_decref(answer);
	record_unref(params);
	return stats;
}

static bool is_over(const struct migration_stats *stats)
{
	return !stats->phase || !strcmp(stats->phase, "over");
}

/* The VM is its source's still, as far as is known. */
static bool is_at_source(const struct flow *flow)
{
	struct vm *vm = model_get(flow->engine->model, &vm_kind, flow->object_id);
	bool at = vm && vm_is_running(vm) && vm->state != VM_UNKNOWN && !g_strcmp0(vm->host.id, source_of(flow));

	record_unref(vm);
	return at;
}

/* Whatever went wrong here, the agent shall not go on by itself. One that has gone too far has: then the VM is over there. */
static bool call_back(struct flow *flow, GError **error)
{
	g_autoptr(GError) own = NULL;
	bool under_way = is_at_source(flow);

	if (under_way && !cancel_at(flow->engine, source_of(flow), flow->object_id, flow->id, AGENT_PATIENCE_NONE, &own))
		log_debug("VM %s: nothing to cancel: %s", flow->object_id, own->message);
	while (under_way) {
		g_autoptr(GError) problem = NULL;
		struct migration_stats *stats = status_at_source(flow, &problem);

		/* over and done: its news are on their way */
		under_way = stats && (!is_over(stats) || (stats->phase && stats->status && !stats->status->code)) && is_at_source(flow);
		record_unref(stats);
		if (agent_is_away(problem)) {
			json_object_set_new(flow->data, UNSETTLED, json_true());
			break;
		}
		if (under_way)
			lane_pause(ASK_USEC);
	}
	return true;
}

/* ---- arrive ---- */

/* It runs at the source, or says so: is that how it ended? */
static bool check_source(struct flow *flow, GError **error)
{
	g_autoptr(GError) own = NULL;
	struct migration_stats *stats = status_at_source(flow, &own);
	int code = stats && stats->status && is_over(stats) ? stats->status->code : 0;

	if (code == ERR_MIGRATION_CANCELATION_FAILED)
		error_set(error, ERR_CANCELED, "it was canceled");
	else if (code)
		error_set(error, ERR_MIGRATION_ERROR, "%s", stats->status->message);
	if (own)
		log_debug("VM %s: how its migration is: %s, asking again", flow->object_id, own->message);
	record_unref(stats);
	return !code;
}

/* The source has it no more: does the destination have it? As any news of it. */
static bool check_target(struct flow *flow, GError **error)
{
	struct vm_id_params *params = record_new(&vm_id_params_type);
	g_autoptr(GError) own = NULL;
	json_t *stats = NULL;

	set_string(&params->vm_id, flow->object_id);
	if (agent_call(flow->engine, target_of(flow), "VM.getStats", params, flow->id, AGENT_PATIENCE_NONE, &stats, &own))
		fleet_report_vm(flow->engine->fleet, target_of(flow), json_array_get(stats, 0));
	json_decref(stats);
	record_unref(params);
	if (!error_is(own, ERR_NO_SUCH_VM))
		return true;
	if (!vm_mark_down(flow->engine, flow->object_id, "it was lost while it migrated: neither host has it", error))
		return false;
	error_set(error, ERR_MIGRATION_ERROR, "neither host has the VM any more");
	return false;
}

/* One look. *ret_arrived: it runs there. */
static bool look(struct flow *flow, bool *ret_arrived, GError **error)
{
	struct vm *vm = vm_of(flow, error);
	bool there = vm && !g_strcmp0(vm->host.id, target_of(flow)), ok = vm != NULL;
	int state = vm ? vm->state : VM_DOWN;

	*ret_arrived = false;
	if (vm && !vm_is_running(vm)) {
		error_set(error, ERR_VM_IS_DOWN, "the VM went down%s%s", vm->stop_reason && *vm->stop_reason ? ": " : "", vm->stop_reason ? vm->stop_reason : "");
		ok = false;
	} else if (state == VM_UNKNOWN) {
		error_set(error, ERR_NO_CONNECTION, "the host does not answer any more; where the VM runs is seen when it does");
		ok = false;
	}
	record_unref(vm);
	if (!ok)
		return false;
	*ret_arrived = there && !(MOVING >> state & 1);
	if (*ret_arrived || (MOVING >> state & 1 && fleet_wait_vm(flow->engine->fleet, flow->object_id, ~(1u << state), LOOK_S, NULL)))
		return true;
	if (!(there ? check_target : check_source)(flow, error))
		return false;
	lane_pause(ASK_USEC);
	return true;
}

static bool arrive(struct flow *flow, GError **error)
{
	bool arrived = false;
	int64_t end;

	while (!arrived)
		if (!look(flow, &arrived, error))
			return false;
	/* the source has its part to do: until then the VM could not come back */
	end = now_usec() + SOURCE_S * (int64_t)G_USEC_PER_SEC;
	for (bool over = false; !over && now_usec() < end;) {
		struct migration_stats *stats = status_at_source(flow, NULL);

		over = !stats || is_over(stats);
		record_unref(stats);
		if (!over)
			lane_pause(ASK_USEC);
	}
	return true;
}

static bool announce(struct flow *flow, GError **error)
{
	g_autoptr(GError) own = NULL;
	bool gone;
	struct migration_stats *stats = status_at_source(flow, NULL);
	g_autofree char *text = stats ? g_strdup_printf("Migration completed (VM: $v, Source: $s, Destination: $d, Duration: %.1f seconds, Total: %.1f seconds, "
							"Actual downtime: %" G_GINT64_FORMAT "ms)", (double)stats->elapsed / 1000,
							(double)stats->elapsed / 1000, stats->downtime) :
					g_strdup("Migration completed (VM: $v, Source: $s, Destination: $d)");

	record_unref(stats);
	tell(flow, EVENT_DONE, text, NULL);
	/* at once, and not when its news come to it: with a host that goes to maintenance now nobody speaks for long */
	if (!entry_drop(flow->engine->fleet, source_of(flow), flow->object_id, flow->id, &gone, &own))
		log_debug("VM %s: its entry at the source: %s, later", flow->object_id, own->message);
	/* changed while it moved */
	vm_limits_follow(flow->engine, flow->object_id, &flow->actor);
	return true;
}

/* ---- failures ---- */

static void failed(struct flow *flow, const GError *cause)
{
	if (flow_flag(flow, "nowhere"))
		tell(flow, EVENT_NO_HOST, "No available host was found to migrate VM $v to. $w", cause->message);
	else if (error_is(cause, ERR_CANCELED))
		return;                  /* who canceled it has told */
	else if (cause_of(flow) == MIGRATE_MAINTENANCE)
		tell(flow, EVENT_FAILED_IN_MAINTENANCE, "Migration failed due to an Error: $w while Host is in 'preparing for maintenance' state. "
		     "(VM: $v, Source: $s, Destination: $d).", cause->message);
	else if (error_is(cause, ERR_MIGRATION_ERROR))
		tell(flow, EVENT_ABORTED, "Migration failed: $w (VM: $v, Source: $s, Destination: $d).", cause->message);
	else
		tell(flow, EVENT_FAILED, "Migration failed due to an Error: $w (VM: $v, Source: $s, Destination: $d).", cause->message);
}

static const struct flow_step steps[] = {
	{ "reserve", reserve, release }, { "reach", reach, NULL }, { "leave", leave, call_back }, { "arrive", arrive, NULL }, { "announce", announce, NULL },
};

const struct flow_type migrate_vm_flow = {
	.name = FLOW_MIGRATE_VM, .kind = &vm_kind, .steps = steps, .n_steps = G_N_ELEMENTS(steps), .forward = true, .failed = failed,
};

/* ---- one VM ---- */

/* Another host is worth a try: this one did not take it, and the VM runs on. */
static bool worth_another(const GError *error)
{
	return !error_is(error, ERR_CANCELED) && !error_is(error, ERR_WRONG_STATE) && !error_is(error, ERR_VM_IS_DOWN) && !error_is(error, ERR_NO_CONNECTION) &&
	       !error_is(error, ERR_STORE_AWAY);
}

/* One try. data: of the flow; afterwards it has the host that was chosen. */
static bool try_to_move(struct engine *engine, const char *vm_id, const struct actor *actor, json_t *data, GError **error)
{
	return flow_run(engine, &migrate_vm_flow, vm_id, actor, json_incref(data), NULL, error);
}

static void tell_next(struct engine *engine, const char *vm_id, const char *host_id, const struct actor *actor)
{
	struct vm *vm = model_get(engine->model, &vm_kind, vm_id);
	struct host *host = model_get(engine->model, &host_kind, host_id);

	if (vm && host)
		store_event(engine->store, EVENT_NEXT_HOST, actor, (void *[]){ vm, host, NULL },
			    "Failed to migrate VM %s to Host %s. Trying to migrate to another Host.", vm->name, host->name);
	record_unref(host);
	record_unref(vm);
}

bool vm_migrate(struct engine *engine, const char *vm_id, const char *to, enum migrate_cause cause, const struct actor *actor, GError **error)
{
	json_t *but_not = json_array();
	g_autoptr(GError) first = NULL;
	bool done = false, again = true;

	for (int try = 1; !done && again; try++) {
		json_t *data = json_pack("{s:i, s:s*, s:O}", "cause", (int)cause, "to", to, "but_not", but_not);
		const char *target;
		g_autoptr(GError) own = NULL;

		done = try_to_move(engine, vm_id, actor, data, &own);
		target = json_string_value(json_object_get(data, "target"));
		again = !done && !to && target && try < HOSTS_TRIED && worth_another(own);
		if (again) {
			tell_next(engine, vm_id, target, actor);
			json_array_append_new(but_not, json_string(target));
		}
		/* what the first host said, not that there is no other one */
		if (!done && !first)
			first = g_steal_pointer(&own);
		json_decref(data);
	}
	json_decref(but_not);
	if (!done)
		g_propagate_error(error, g_steal_pointer(&first));
	return done;
}

bool vm_migrate_cancel(struct engine *engine, const struct vm *vm, const struct actor *actor, GError **error)
{
	struct host *host = vm->host.id ? model_get(engine->model, &host_kind, vm->host.id) : NULL;
	g_autoptr(GError) own = NULL;
	struct vm *now;
	bool ok = false;

	if (!vm->migration_host)
		error_set(&own, ERR_WRONG_STATE, "VM '%s' does not migrate: it is %s", vm->name, vm_state_names[vm->state]);
	else
		ok = cancel_at(engine, vm->host.id, vm->id, actor->correlation_id, AGENT_PATIENCE_NONE, &own) &&
		     fleet_wait_vm(engine->fleet, vm->id, ~MOVING, CANCEL_S, &own);
	now = ok ? model_get(engine->model, &vm_kind, vm->id) : NULL;
	if (ok && (!now || g_strcmp0(now->host.id, vm->host.id))) {
		error_set(&own, ERR_WRONG_STATE, "VM '%s' had left already", vm->name);
		ok = false;
	}
	record_unref(now);
	if (ok)
		store_event(engine->store, EVENT_CANCELED, actor, (void *[]){ (void *)vm, host, NULL }, "Migration cancelled (VM: %s, Source: %s, User: %s).", vm->name,
			    host ? host->name : "<none>", actor->user_name ? actor->user_name : "the engine");
	else
		store_event(engine->store, EVENT_CANCEL_FAILED, actor, (void *[]){ (void *)vm, NULL }, "Failed to cancel migration for VM: %s", vm->name);
	record_unref(host);
	if (own)
		g_propagate_error(error, g_steal_pointer(&own));
	return ok;
}
