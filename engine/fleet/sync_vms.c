/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agents say of VMs goes into the model (their states) and into the fleet's table of figures.
 *
 * News about a VM's state carries the agent's statusTime; older than what the model holds it is dropped (an event may overtake the answer of a poll). The
 * statusTime's clock starts anew with the host, so after each connection the first report of every VM counts.
 *
 * A VM that the model has running on this host and that a full report no longer names is gone: it becomes down with the reason. One that is still
 * wait_for_launch, or migrating_to with its flow, is spared. VMs that the model does not know are left alone. What is Down and not placed here
 * (any more) leaves an entry to be dropped: entries.h.
 *
 * A VM that migrates (vm.migration_host, flow/vm_migrate.c) is its source's until either side says that it has left: the destination that it runs there, the
 * source that it is down because it migrated, or, after a silence of the engine, that it does not know the VM any more. From then on it is the destination's,
 * and what that one does not name is gone as any other VM.
 *
 * Every report tells the state and the figures of every VM. Facts (proto/vm.h, struct vm_figures_row) come with the first report of a connection, and later
 * for those VMs whose digest is not that of the facts that are held: these are asked for. Until they are there the VM keeps the figures it has.
 */
#include "engine/fleet/entries.h"
#include "engine/fleet/fleet-priv.h"
#include "engine/fleet/report.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define LOG_MODULE "fleet"

/* Event codes, appendix C */
#define EVENT_VM_DOWN 61
#define EVENT_VM_DOWN_ERROR 119
#define EVENT_VM_PAUSED_ENOSPC 138
#define EVENT_VM_PAUSED_ERROR 139
#define EVENT_VM_PAUSED_EIO 145
#define EVENT_VM_PAUSED 1025
#define EVENT_VM_BALLOON_IGNORED 176

/* It runs, and nobody made it paused from the beginning. */
#define STATES_EXECUTING (1u << VM_UP | 1u << VM_POWERING_UP | 1u << VM_POWERING_DOWN | 1u << VM_REBOOT_IN_PROGRESS)
#define STATES_ARRIVED (STATES_EXECUTING | 1u << VM_PAUSED)

/* ---- state ---- */

static int vm_state_of(int wire)
{
	static const int states[VM_WIRE_STATUS_MAX] = {
		[VM_WIRE_UP] = VM_UP, [VM_WIRE_DOWN] = VM_DOWN, [VM_WIRE_MIGRATION_SOURCE] = VM_MIGRATING_FROM,
		[VM_WIRE_MIGRATION_DESTINATION] = VM_MIGRATING_TO, [VM_WIRE_PAUSED] = VM_PAUSED, [VM_WIRE_POWERING_DOWN] = VM_POWERING_DOWN,
		[VM_WIRE_POWERING_UP] = VM_POWERING_UP, [VM_WIRE_REBOOT_IN_PROGRESS] = VM_REBOOT_IN_PROGRESS, [VM_WIRE_RESTORING] = VM_RESTORING_STATE,
		[VM_WIRE_SAVING] = VM_SAVING_STATE, [VM_WIRE_WAIT_FOR_LAUNCH] = VM_WAIT_FOR_LAUNCH,
	};

	return wire >= 0 && wire < VM_WIRE_STATUS_MAX ? states[wire] : VM_UNKNOWN;
}

/* What the host says of the VM counts: it runs there, or is on its way there. */
static bool concerns(const struct vm *vm, const char *host_id)
{
	return vm && (!g_strcmp0(vm->host.id, host_id) || !g_strcmp0(vm->migration_host, host_id));
}

/* It has left its host: it is the destination's now, whose clock is another one. */
static void arrive(struct vm *vm)
{
	set_ref(&vm->host, vm->migration_host);
	set_string(&vm->migration_host, NULL);
	SET(vm, state, VM_MIGRATING_TO);
	CLEAR(vm, status_time);
}

struct report { const char *host_id; const struct vm_stats *stats; bool fresh, applied; };

static void end_run(struct vm *vm, const struct report *report, struct change *change)
{
	const struct vm_stats *stats = report->stats;
	const char *why = stats->exit_message ? stats->exit_message : "none";

	vm_end_run(vm, stats->exit_reason == VM_EXIT_SAVED, stats->exit_message, wall_msec());
	set_ref(&vm->entry_host, report->host_id);
	if (stats->exit_code)
		change_event(change, EVENT_VM_DOWN_ERROR, NULL, (void *[]){ vm, NULL }, "VM %s is down with error. Exit message: %s.", vm->name, why);
	else if (vm->state == VM_DOWN)
		change_event(change, EVENT_VM_DOWN, NULL, (void *[]){ vm, NULL }, "VM %s is down. Exit message: %s.", vm->name, why);
}

/* code: NULL: it was asked for */
static void tell_paused(const struct vm *vm, const char *code, struct change *change)
{
	void *refs[] = { (void *)vm, NULL };

	if (!code)
		change_event(change, EVENT_VM_PAUSED, NULL, refs, "VM %s has been paused.", vm->name);
	else if (!strcmp(code, "ENOSPC"))
		change_event(change, EVENT_VM_PAUSED_ENOSPC, NULL, refs, "VM %s has been paused due to no Storage space error.", vm->name);
	else if (!strcmp(code, "EIO"))
		change_event(change, EVENT_VM_PAUSED_EIO, NULL, refs, "VM %s has been paused due to storage I/O problem.", vm->name);
	else
		change_event(change, EVENT_VM_PAUSED_ERROR, NULL, refs, "VM %s has been paused due to unknown storage error.", vm->name);
}

static bool edit_vm(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	struct report *report = data;
	const struct vm_stats *stats = report->stats;
	int state = vm_state_of(stats->status), memory = vm->memory_state;
	bool was_saving = vm->state == VM_SAVING_STATE;
	const char *pause_code;

	report->applied = false;
	if (!g_strcmp0(vm->migration_host, report->host_id)) {
		if (!(STATES_ARRIVED >> state & 1))
			return false;
		arrive(vm);
	}
	/* Another host's VM, or an earlier run's: of this one its host knows when VM.create was answered (flow/vm_flow.c). */
	if (g_strcmp0(vm->host.id, report->host_id) || (vm->state == VM_WAIT_FOR_LAUNCH && !HAS(vm, status_time)))
		return false;
	if (!report->fresh && HAS(stats, status_time) && HAS(vm, status_time) && stats->status_time < vm->status_time)
		return false;
	/*
	 * Saving: libvirt pauses the VM for it. The flow that saves clears status_time; until the agent has said itself that it saves, a report that the VM
	 * runs is an older one that was on its way. Either would end the wait for the memory that is being written.
	 */
	if (was_saving && (state == VM_PAUSED || (!HAS(vm, status_time) && (state == VM_UP || state == VM_POWERING_UP))))
		return false;
	vm_see_memory(vm, state);
	if (vm->state == state && vm->memory_state == memory && state != VM_DOWN && (HAS(vm, status_time) || !was_saving))
		return false;
	report->applied = true;
	if (state == VM_DOWN && vm->migration_host && (stats->exit_reason == VM_EXIT_MIGRATED || stats->exit_reason == VM_EXIT_DOMAIN_MISSING)) {
		arrive(vm);
		return true;
	}
	/* the silence in which it might have left is over */
	if (vm->state == VM_UNKNOWN && STATES_EXECUTING >> state & 1)
		set_string(&vm->migration_host, NULL);
	if (state == VM_DOWN) {
		end_run(vm, report, change);
		return true;
	}
	pause_code = state == VM_PAUSED && g_strcmp0(stats->pause_code, "NOERR") ? stats->pause_code : NULL;
	if (state == VM_PAUSED && STATES_EXECUTING >> vm->state & 1)
		tell_paused(vm, pause_code, change);
	SET(vm, state, state);
	set_string(&vm->state_detail, pause_code);
	if (HAS(stats, status_time))
		SET(vm, status_time, stats->status_time);
	if ((state == VM_UP || state == VM_POWERING_UP) && !HAS(vm, start_time))
		SET(vm, start_time, wall_msec() - stats->elapsed_time * 1000);
	return true;
}

/* ---- figures ---- */

/* Takes over figures. Lock held; seen: what is there now, or NULL. */
static void keep(struct fleet *fleet, struct vm_seen *seen, const char *host_id, const char *vm_id, struct vm_figures *figures)
{
	if (!seen) {
		size_t size = strlen(vm_id) + 1;

		seen = g_malloc0(sizeof(*seen) + size);
		memcpy(seen->id, vm_id, size);
		g_hash_table_insert(fleet->vms, seen->id, seen);
	}
	figures_unref(seen->figures);
	seen->figures = figures;
	if (g_strcmp0(seen->host_id, host_id)) {
		g_clear_pointer(&seen->host_id, g_ref_string_release);
		seen->host_id = g_ref_string_new_intern(host_id);
	}
}

static void forget(struct fleet *fleet, const char *host_id, const char *vm_id)
{
	const struct vm_seen *seen;

	g_mutex_lock(&fleet->lock);
	seen = g_hash_table_lookup(fleet->vms, vm_id);
	if (seen && !g_strcmp0(seen->host_id, host_id))
		g_hash_table_remove(fleet->vms, vm_id);
	g_mutex_unlock(&fleet->lock);
}

/* What another host told is no base for what this one tells. */
static struct vm_figures *base_of(const struct vm_seen *seen, const char *host_id)
{
	return seen && !g_strcmp0(seen->host_id, host_id) ? seen->figures : NULL;
}

static void remember_stats(struct fleet *fleet, const char *host_id, const struct vm_stats *stats)
{
	struct vm_seen *seen;

	if (stats->status == VM_WIRE_DOWN) {
		forget(fleet, host_id, stats->vm_id);
		return;
	}
	g_mutex_lock(&fleet->lock);
	seen = g_hash_table_lookup(fleet->vms, stats->vm_id);
	keep(fleet, seen, host_id, stats->vm_id, figures_from_stats(stats, base_of(seen, host_id)));
	g_mutex_unlock(&fleet->lock);
}

static void tell_balloon(struct fleet *fleet, const char *host_id, const char *vm_id)
{
	struct vm *vm = model_get(fleet->engine->model, &vm_kind, vm_id);
	struct host *host = model_get(fleet->engine->model, &host_kind, host_id);

	if (vm && host)
		store_event(fleet->engine->store, EVENT_VM_BALLOON_IGNORED, NULL, (void *[]){ vm, host, NULL },
			    "The Balloon driver on VM %s on host %s is requested but unavailable.", vm->name, host->name);
	record_unref(host);
	record_unref(vm);
}

/* false: its facts are not known. */
static bool remember_row(struct fleet *fleet, const char *host_id, const struct report_row *row)
{
	struct vm_figures *figures;
	bool first_ignored = false;
	struct vm_seen *seen;

	g_mutex_lock(&fleet->lock);
	seen = g_hash_table_lookup(fleet->vms, row->vm_id);
	figures = figures_from_row(row, base_of(seen, host_id));
	if (figures) {
		first_ignored = figures->balloon_ignored && !(seen && seen->figures && seen->figures->balloon_ignored);
		keep(fleet, seen, host_id, row->vm_id, figures);
	}
	g_mutex_unlock(&fleet->lock);
	if (first_ignored)
		tell_balloon(fleet, host_id, row->vm_id);
	return figures != NULL;
}

/* ---- news of one VM ---- */

static void apply_state(struct fleet *fleet, const char *host_id, const struct vm_stats *stats, bool fresh)
{
	struct report report = { host_id, stats, fresh, false };
	struct vm *vm = model_get(fleet->engine->model, &vm_kind, stats->vm_id);
	g_autoptr(GError) error = NULL;
	bool known = vm != NULL, ours = concerns(vm, host_id);

	record_unref(vm);
	if (ours && !store_modify(fleet->engine->store, &vm_kind, stats->vm_id, edit_vm, &report, NULL, &error))
		log_error("VM %s: state: %s", stats->vm_id, error->message);
	/* A report that was dropped is about an earlier run. */
	if (stats->status == VM_WIRE_DOWN && known && (!ours || report.applied))
		entry_drop_later(fleet, host_id, stats->vm_id);
}

static bool is_on(struct fleet *fleet, const char *host_id, const char *vm_id)
{
	struct vm *vm = model_get(fleet->engine->model, &vm_kind, vm_id);
	bool on = vm && !g_strcmp0(vm->host.id, host_id);

	record_unref(vm);
	return on;
}

/* Of one VM: an event, or an answer. */
static void apply_stats(struct fleet *fleet, const char *host_id, const struct vm_stats *stats, bool fresh)
{
	bool before = is_on(fleet, host_id, stats->vm_id);

	/* First, so that who sees the state sees the console that goes with it. */
	if (before)
		remember_stats(fleet, host_id, stats);
	apply_state(fleet, host_id, stats, fresh);
	if (!before && is_on(fleet, host_id, stats->vm_id))      /* it has arrived */
		remember_stats(fleet, host_id, stats);
}

static struct vm_stats *stats_from(const json_t *json, const char *host_id)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	g_autoptr(GError) error = NULL;
	struct vm_stats *stats = record_from_json(&vm_stats_type, json, &input, &error);

	record_input_clear(&input);
	if (!stats)
		log_warn("host %s: statistics of a VM: %s, ignoring", host_id, error->message);
	return stats;
}

static void run_vm_event(void *data)
{
	struct news *news = data;
	struct vm_stats *stats = stats_from(json_object_get(news->json, news->vm_id), news->host_id);
	const json_t *time = json_object_get(news->json, "notify_time");

	if (!stats)
		return;
	set_string(&stats->vm_id, news->vm_id);
	if (!HAS(stats, status_time) && json_is_integer(time))
		SET(stats, status_time, json_integer_value(time));
	/* Guest fields may come without a status. */
	if (HAS(stats, status))
		apply_stats(news->fleet, news->host_id, stats, false);
	else
		remember_stats(news->fleet, news->host_id, stats);
	record_unref(stats);
	sync_tell_waiters(news->fleet);
}

void fleet_report_vm(struct fleet *fleet, const char *host_id, const json_t *json)
{
	struct vm_stats *stats = json ? stats_from(json, host_id) : NULL;

	/* It is launched: nothing new, but older than an event that came meanwhile may have told. */
	if (stats && stats->vm_id && stats->status != VM_WIRE_WAIT_FOR_LAUNCH)
		apply_stats(fleet, host_id, stats, false);
	record_unref(stats);
	sync_tell_waiters(fleet);
}

void sync_vm_event(struct fleet *fleet, const char *host_id, const char *vm_id, const json_t *params)
{
	sync_submit(fleet, "VM event", run_vm_event, (struct news){ .vm_id = g_strdup(vm_id), .json = json_incref((json_t *)params) }, host_id);
}

/* ---- reports ---- */

struct listed { struct vm *vm; bool named; };

struct rows {
	struct fleet *fleet;
	const char *host_id;
	bool fresh;
	GHashTable *ours;               /* VM id -> struct listed: those that the model has there */
	GPtrArray *unknown;             /* ids of those whose facts are to be asked for */
};

/* Most rows: edit_vm() would find nothing to do. */
static bool says_nothing_new(const struct vm *vm, const struct report_row *row)
{
	return vm->state == vm_state_of(row->status) && vm->state != VM_DOWN && !vm->memory_volume &&
	       (HAS(vm, status_time) || vm->state != VM_SAVING_STATE);
}

static struct vm_stats *state_of_row(const struct report_row *row)
{
	struct vm_stats *stats = record_new(&vm_stats_type);

	set_string(&stats->vm_id, row->vm_id);
	SET(stats, status, row->status);
	if (row->status_time)
		SET(stats, status_time, row->status_time);
	if (row->exit_code >= 0)
		SET(stats, exit_code, row->exit_code);
	if (row->exit_reason >= 0)
		SET(stats, exit_reason, row->exit_reason);
	set_string(&stats->exit_message, row->exit_message);
	set_string(&stats->pause_code, row->pause_code);
	SET(stats, elapsed_time, row->elapsed_time);
	return stats;
}

static void take_row(const struct report_row *row, void *data)
{
	struct rows *rows = data;
	struct listed *listed = g_hash_table_lookup(rows->ours, row->vm_id);
	bool ours = listed || is_on(rows->fleet, rows->host_id, row->vm_id);
	struct vm_stats *stats;

	if (listed)
		listed->named = true;
	if (ours && row->status == VM_WIRE_DOWN)
		forget(rows->fleet, rows->host_id, row->vm_id);
	else if (ours && row->digest && !remember_row(rows->fleet, rows->host_id, row))
		g_ptr_array_add(rows->unknown, g_strdup(row->vm_id));
	if (listed && says_nothing_new(listed->vm, row))
		return;
	stats = state_of_row(row);
	apply_state(rows->fleet, rows->host_id, stats, rows->fresh);
	record_unref(stats);
}

/* The flow that starts or moves it knows better. */
static bool is_spared(struct fleet *fleet, const struct vm *vm)
{
	g_autoptr(GPtrArray) flows = vm->state == VM_MIGRATING_TO ? model_list(fleet->engine->model, &flow_kind) : NULL;

	for (guint i = 0; flows && i < flows->len; i++) {
		const struct flow_record *flow = flows->pdata[i];

		if (!strcmp(flow->name, FLOW_MIGRATE_VM) && !g_strcmp0(flow->object_id, vm->id))
			return true;
	}
	return vm->state == VM_WAIT_FOR_LAUNCH;
}

static void end_missing(struct fleet *fleet, const char *host_id, const struct vm *vm)
{
	struct vm_stats *gone = record_new(&vm_stats_type);

	set_string(&gone->vm_id, vm->id);
	SET(gone, status, VM_WIRE_DOWN);
	SET(gone, exit_code, 1);
	SET(gone, exit_reason, VM_EXIT_DOMAIN_MISSING);
	set_string(&gone->exit_message, "the VM is no longer on its host");
	apply_stats(fleet, host_id, gone, true);
	record_unref(gone);
}

struct wanted_facts { struct fleet *fleet; char *host_id, *params; };

static void wanted_free(void *data)
{
	struct wanted_facts *wanted = data;

	g_free(wanted->host_id);
	g_free(wanted->params);
	g_free(wanted);
}

static void ask_on_loop(void *data)
{
	struct wanted_facts *wanted = data;
	struct session *session = g_hash_table_lookup(wanted->fleet->sessions, wanted->host_id);

	if (session)
		session_ask_facts(session, wanted->params);
	wanted_free(wanted);
}

/* Takes over ids. */
static void ask_facts(struct fleet *fleet, const char *host_id, GPtrArray *ids)
{
	struct vm_figures_params *params = record_new(&vm_figures_params_type);
	struct wanted_facts *wanted = g_new0(struct wanted_facts, 1);

	params->vm_list = ids;
	SET(params, facts, true);
	*wanted = (struct wanted_facts){ fleet, g_strdup(host_id), record_to_text(params, RECORD_CHANNEL) };
	record_unref(params);
	loop_post(fleet->engine->loop, ask_on_loop, wanted, wanted_free);
}

bool sync_apply_report(struct fleet *fleet, const char *host_id, GBytes *text, bool fresh, GError **error)
{
	g_autoptr(GPtrArray) ours = sync_vms_of(fleet, host_id);
	g_autoptr(GHashTable) by_id = g_hash_table_new(g_str_hash, g_str_equal);
	g_autofree struct listed *listed = g_new0(struct listed, ours->len + 1);
	struct rows rows = { fleet, host_id, fresh, by_id, strings_new() };
	bool good;

	for (guint i = 0; i < ours->len; i++) {
		listed[i].vm = ours->pdata[i];
		g_hash_table_insert(by_id, listed[i].vm->id, &listed[i]);
	}
	good = report_read(text, take_row, &rows, error);
	for (guint i = 0; good && i < ours->len; i++)
		if (!listed[i].named && vm_is_running(listed[i].vm) && !is_spared(fleet, listed[i].vm))
			end_missing(fleet, host_id, listed[i].vm);
	if (rows.unknown->len)
		ask_facts(fleet, host_id, rows.unknown);
	else
		g_ptr_array_unref(rows.unknown);
	return good;
}

static void run_report(void *data)
{
	struct news *news = data;
	g_autoptr(GError) error = NULL;

	if (!sync_apply_report(news->fleet, news->host_id, news->rows, false, &error))
		log_warn("host %s: report of its VMs: %s, ignoring the rest", news->host_id, error->message);
	sync_tell_waiters(news->fleet);
}

void sync_vm_report(struct fleet *fleet, const char *host_id, GBytes *rows)
{
	sync_submit(fleet, "report of VMs", run_report, (struct news){ .rows = g_bytes_ref(rows) }, host_id);
}

static void take_facts(const struct report_row *row, void *data)
{
	const struct news *news = data;

	if (row->digest && is_on(news->fleet, news->host_id, row->vm_id))
		(void)remember_row(news->fleet, news->host_id, row);
}

static void run_facts(void *data)
{
	struct news *news = data;
	g_autoptr(GError) error = NULL;

	if (!report_read(news->rows, take_facts, news, &error))
		log_warn("host %s: facts of its VMs: %s, ignoring the rest", news->host_id, error->message);
}

void sync_vm_facts(struct fleet *fleet, const char *host_id, GBytes *rows)
{
	sync_submit(fleet, "facts of VMs", run_facts, (struct news){ .rows = g_bytes_ref(rows) }, host_id);
}
