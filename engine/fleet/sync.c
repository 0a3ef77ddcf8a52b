/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agents say goes into the model.
 *
 * Each piece of news is a job on the lane "fleet/<host id>": in the order it came, apart from the lanes of the objects it is about. News about a VM's
 * state carries the agent's statusTime; older than what the model holds it is dropped (an event may overtake the answer of a poll). The statusTime's
 * clock starts anew with the host, so after each connection the first report of every VM counts.
 *
 * A VM that the model has running on this host and that a full report no longer names is gone: it becomes down with the reason. One that is still
 * wait_for_launch is spared: its start is under way and knows better. VMs that the model does not know are left alone. What is Down and not placed here
 * (any more) leaves an entry to be dropped: entries.h.
 */
#include "engine/fleet/entries.h"
#include "engine/fleet/fleet-priv.h"
#include "engine/fleet/report.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/host.h"
#include "engine/model/misc.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define LOG_MODULE "fleet"
#define CAPS_TIMEOUT_S 60
#define RECOVERING_RETRIES 300          /* of 0.2 s: an agent that has just started answers 99 until it knows its VMs */

/* Event codes, appendix C */
#define EVENT_HOST_UP 13
#define EVENT_HOST_NON_RESPONSIVE 12
#define EVENT_HOST_NON_OPERATIONAL 517
#define EVENT_HOST_LEVEL 154
#define EVENT_VM_DOWN 61
#define EVENT_VM_DOWN_ERROR 119
#define EVENT_VM_PAUSED 1025

struct news {
	struct fleet *fleet;
	char *host_id, *vm_id, *reason;
	unsigned generation;
	int state;
	json_t *json;
	GBytes *rows;
};

static void news_free(void *data)
{
	struct news *news = data;

	g_free(news->host_id);
	g_free(news->vm_id);
	g_free(news->reason);
	json_decref(news->json);
	g_bytes_unref(news->rows);
	g_free(news);
}

static void submit(struct fleet *fleet, const char *what, void (*run)(void *data), struct news news, const char *host_id)
{
	struct news *copy = g_memdup2(&news, sizeof(news));
	g_autofree char *lane = g_strdup_printf("fleet/%s", host_id);
	struct lane_job job = { .name = what, .run = run, .data = copy, .free_data = news_free };
	g_autoptr(GError) error = NULL;

	copy->fleet = fleet;
	copy->host_id = g_strdup(host_id);
	if (!lane_submit(fleet->engine->lanes, lane, &job, &error)) {
		log_warn("host %s: %s: %s, ignoring", host_id, what, error->message);
		news_free(copy);
	}
}

static void tell_waiters(struct fleet *fleet)
{
	g_mutex_lock(&fleet->lock);
	g_cond_broadcast(&fleet->changed);
	g_mutex_unlock(&fleet->lock);
}

/* ---- state of the host ---- */

static bool keeps_state(const struct host *host)
{
	return host->state == HOST_MAINTENANCE || host->state == HOST_PREPARING_FOR_MAINTENANCE || host->state == HOST_INSTALL_FAILED ||
	       host->state == HOST_PENDING_APPROVAL;
}

static bool edit_silence(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	struct news *news = data;

	/* of one that saves its memory kdump.c says when that is over */
	if (keeps_state(host) || host->state == news->state || host->state == HOST_KDUMPING)
		return false;
	SET(host, state, news->state);
	set_string(&host->state_detail, news->reason);
	if (news->state == HOST_NON_RESPONSIVE)
		change_event(change, EVENT_HOST_NON_RESPONSIVE, NULL, (void *[]){ host, NULL }, "Host %s is non responsive. %s", host->name, news->reason);
	return true;
}

static bool edit_vm_unknown(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	const char *host_id = data;

	if (!vm_is_running(vm) || vm->state == VM_UNKNOWN || g_strcmp0(vm->host.id, host_id))
		return false;
	SET(vm, state, VM_UNKNOWN);
	set_string(&vm->state_detail, "the host does not answer");
	return true;
}

static GPtrArray *vms_of(struct fleet *fleet, const char *host_id)
{
	return model_referring(fleet->engine->model, &vm_kind, offsetof(struct vm, host), host_id);
}

static void run_silence(void *data)
{
	struct news *news = data;
	struct store *store = news->fleet->engine->store;
	g_autoptr(GError) error = NULL;

	if (!store_modify(store, &host_kind, news->host_id, edit_silence, news, NULL, &error))
		log_error("host %s: state: %s", news->host_id, error->message);
	if (news->state == HOST_NON_RESPONSIVE) {
		g_autoptr(GPtrArray) vms = vms_of(news->fleet, news->host_id);

		for (guint i = 0; i < vms->len; i++)
			if (!store_modify(store, &vm_kind, object_id(vms->pdata[i]), edit_vm_unknown, news->host_id, NULL, NULL))
				log_debug("VM %s: not marked unknown, ignoring", object_id(vms->pdata[i]));
		if (news->fleet->host_lost)
			news->fleet->host_lost(news->fleet->engine, news->host_id);
	}
	tell_waiters(news->fleet);
}

void sync_silence(struct fleet *fleet, const char *host_id, int state, const char *reason)
{
	submit(fleet, "silence", run_silence, (struct news){ .state = state, .reason = g_strdup(reason) }, host_id);
}

/* ---- capabilities ---- */

static void set_int_text(const char *text, int *ret) { *ret = text ? atoi(text) : 0; }

/* "4.5.7" */
static void split_version(const char *text, int parts[4])
{
	parts[0] = parts[1] = parts[2] = parts[3] = 0;
	if (text)
		(void)sscanf(text, "%d.%d.%d.%d", &parts[0], &parts[1], &parts[2], &parts[3]);
}

static const char *json_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void fill_hardware(struct host *host, const struct host_hardware *hardware)
{
	set_string(&host->hw_manufacturer, hardware->manufacturer);
	set_string(&host->hw_product_name, hardware->product_name);
	set_string(&host->hw_version, hardware->version);
	set_string(&host->hw_serial_number, hardware->serial_number);
	set_string(&host->hw_family, hardware->family);
	set_string(&host->hw_uuid, hardware->uuid);
}

static void fill_capabilities(struct host *host, const struct host_caps *caps)
{
	const json_t *libvirt = json_object_get(caps->packages2, "libvirt");
	int sockets = MAX(caps->cpu_sockets, 1), cores = MAX(caps->cpu_cores, 1), v[4];
	size_t i;
	json_t *source, *level;

	SET(host, cpu_sockets, sockets);
	SET(host, cpu_cores, MAX(cores / sockets, 1));
	SET(host, cpu_threads, MAX(caps->cpu_threads / cores, 1));
	set_string(&host->cpu_name, caps->cpu_model);
	SET(host, cpu_speed, caps->cpu_speed ? (int64_t)g_ascii_strtod(caps->cpu_speed, NULL) : 0);
	SET(host, memory, caps->mem_size * 1024 * 1024);
	split_version(caps->software_version, v);
	SET(host, version_major, v[0]);
	SET(host, version_minor, v[1]);
	SET(host, version_build, v[2]);
	set_int_text(caps->software_revision, &v[3]);
	SET(host, version_revision, v[3]);
	g_free(host->version_full);
	host->version_full = g_strdup_printf("berth-agent-%s-%s", caps->software_version ? caps->software_version : "?",
					     caps->software_revision ? caps->software_revision : "?");
	split_version(json_text(libvirt, "version"), v);
	SET(host, libvirt_major, v[0]);
	SET(host, libvirt_minor, v[1]);
	SET(host, libvirt_build, v[2]);
	SET(host, libvirt_revision, v[3]);
	g_free(host->libvirt_version);
	host->libvirt_version = g_strdup_printf("libvirt-%s", json_text(libvirt, "version") ? json_text(libvirt, "version") : "?");
	set_string(&host->os_type, json_text(caps->operating_system, "name"));
	g_free(host->os_version);
	host->os_version = g_strjoin("-", json_text(caps->operating_system, "version") ? json_text(caps->operating_system, "version") : "",
				     json_text(caps->operating_system, "release"), NULL);
	set_string(&host->iscsi_initiator, caps->iscsi_initiator);
	set_string(&host->selinux_mode, !g_strcmp0(json_text(caps->selinux, "mode"), "1") ? "enforcing" :
		   !g_strcmp0(json_text(caps->selinux, "mode"), "0") ? "permissive" : "disabled");
	set_string(&host->kdump_status, caps->kdump_status == 1 ? "enabled" : caps->kdump_status == 0 ? "disabled" : "unknown");
	set_string(&host->auto_numa_status, caps->auto_numa_balancing == 1 ? "enable" : caps->auto_numa_balancing == 0 ? "disable" : "unknown");
	SET(host, numa_supported, json_object_size(caps->numa_nodes) > 1);
	SET(host, update_available, false);          /* nobody looks for newer packages */
	SET(host, live_snapshot_support, !g_strcmp0(caps->live_snapshot, "true"));
	SET(host, device_passthrough, !g_strcmp0(caps->hostdev_passthrough, "true"));
	set_string(&host->acceleration, caps->acceleration);
	CLEAR(host, levels);
	host->levels = strings_new();
	json_array_foreach(caps->cluster_levels, i, level)
		if (json_is_string(level))
			g_ptr_array_add(host->levels, g_strdup(json_string_value(level)));
	if (host->rng_sources)
		g_ptr_array_unref(host->rng_sources);
	host->rng_sources = strings_new();
	json_array_foreach(caps->rng_sources, i, source)
		g_ptr_array_add(host->rng_sources, g_ascii_strup(json_string_value(source) ? json_string_value(source) : "", -1));
}

struct found { const struct host_caps *caps; const struct host_hardware *hardware; struct fleet *fleet; };

static void set_unfit(struct host *host, struct change *change, int event, const char *format, ...) G_GNUC_PRINTF(4, 5);
static void set_unfit(struct host *host, struct change *change, int event, const char *format, ...)
{
	va_list arguments;
	bool before = host->state == HOST_NON_OPERATIONAL;

	SET(host, state, HOST_NON_OPERATIONAL);
	g_free(host->state_detail);
	va_start(arguments, format);
	host->state_detail = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	if (!before)
		change_event(change, event, NULL, (void *[]){ host, NULL }, "Host %s is non operational: %s", host->name, host->state_detail);
}

static bool edit_found(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	struct found *found = data;
	bool same_agent = !host->agent_uuid || !g_strcmp0(host->agent_uuid, found->caps->uuid);
	struct cluster *cluster;
	struct level level = { 0, 0 }, known;

	if (keeps_state(host))
		return false;
	if (!same_agent) {
		if (host->state == HOST_NON_OPERATIONAL)
			return false;
		set_unfit(host, change, EVENT_HOST_NON_OPERATIONAL, "another agent answers at %s: its id is %s", host->address, found->caps->uuid);
		return true;
	}
	fill_capabilities(host, found->caps);
	fill_hardware(host, found->hardware);
	set_string(&host->agent_uuid, found->caps->uuid);
	cluster = model_get(found->fleet->engine->model, &cluster_kind, host->cluster.id);
	if (cluster)
		level = (struct level){ cluster->major, cluster->minor };
	known = host_level(host);
	if (level_compare(&known, &level) < 0) {
		set_unfit(host, change, EVENT_HOST_LEVEL, "its agent does not know the compatibility level %d.%d of cluster '%s'", level.major, level.minor,
			  cluster->name);
	} else if (host->state != HOST_UP) {
		SET(host, state, HOST_UP);
		set_string(&host->state_detail, NULL);
		change_event(change, EVENT_HOST_UP, NULL, (void *[]){ host, NULL }, "Status of host %s was set to Up.", host->name);
	}
	record_unref(cluster);
	return true;
}

/* Asks until the agent has recovered. */
static json_t *ask(struct news *news, const char *verb, const void *params, GError **error)
{
	json_t *result = NULL;

	for (int i = 0; i < RECOVERING_RETRIES; i++) {
		g_autoptr(GError) own = NULL;

		if (fleet_call(news->fleet, news->host_id, verb, params, NULL, CAPS_TIMEOUT_S, &result, &own))
			break;
		if (!error_is(own, ERR_RECOVERY_IN_PROGRESS) || i + 1 == RECOVERING_RETRIES) {
			g_propagate_error(error, g_steal_pointer(&own));
			break;
		}
		lane_pause(G_USEC_PER_SEC / 5);         /* the protocol has no event for the end of recovery */
	}
	return result;
}

/* By then it has recovered. */
static GBytes *ask_rows(struct news *news, GError **error)
{
	struct vm_figures_params *params = record_new(&vm_figures_params_type);
	GBytes *rows = NULL;

	SET(params, facts, true);
	(void)fleet_call_text(news->fleet, news->host_id, "Host.getAllVmFigures", params, CAPS_TIMEOUT_S, &rows, error);
	record_unref(params);
	return rows;
}

struct readiness { struct fleet *fleet; char *host_id, *why; unsigned generation; };

static void readiness_free(void *data)
{
	struct readiness *readiness = data;

	g_free(readiness->host_id);
	g_free(readiness->why);
	g_free(readiness);
}

static void tell_session(void *data)
{
	struct readiness *readiness = data;
	struct session *session = g_hash_table_lookup(readiness->fleet->sessions, readiness->host_id);

	if (session && readiness->why)
		session_retry(session, readiness->generation, readiness->why);
	else if (session)
		session_ready(session, readiness->generation);
	readiness_free(readiness);
}

static bool apply_report(struct fleet *fleet, const char *host_id, GBytes *rows, bool fresh, GError **error);

static bool is_up(struct fleet *fleet, const char *host_id)
{
	struct host *host = model_get(fleet->engine->model, &host_kind, host_id);
	bool up = host && host->state == HOST_UP;

	record_unref(host);
	return up;
}

static void run_host(void *data)
{
	struct news *news = data;
	struct fleet *fleet = news->fleet;
	struct record_input input = { .dialect = RECORD_CHANNEL };
	g_autoptr(GError) error = NULL;
	struct host_caps *caps = NULL;
	struct host_hardware *hardware = NULL;
	json_t *caps_json = ask(news, "Host.getCapabilities", /* params= */ NULL, &error), *hardware_json = NULL;
	g_autoptr(GBytes) rows = NULL;
	struct readiness *readiness = g_new0(struct readiness, 1);
	struct host_view *view;

	if (caps_json)
		caps = record_from_json(&host_caps_type, caps_json, &input, &error);
	if (caps)
		hardware_json = ask(news, "Host.getHardwareInfo", /* params= */ NULL, &error);
	if (hardware_json)
		hardware = record_from_json(&host_hardware_type, hardware_json, &input, &error);
	if (hardware)
		rows = ask_rows(news, &error);
	record_input_clear(&input);
	if (rows && apply_report(fleet, news->host_id, rows, true, &error)) {
		struct found found = { caps, hardware, fleet };

		g_mutex_lock(&fleet->lock);
		view = g_hash_table_lookup(fleet->views, news->host_id);
		if (view) {
			record_unref(view->caps);
			view->caps = record_ref(caps);
		}
		g_mutex_unlock(&fleet->lock);
		(void)store_modify(fleet->engine->store, &host_kind, news->host_id, edit_found, &found, NULL, &error);
	}
	if (error)
		log_warn("host %s: initialising: %s", news->host_id, error->message);
	else if (fleet->host_up && is_up(fleet, news->host_id))
		fleet->host_up(fleet->engine, news->host_id);
	*readiness = (struct readiness){ fleet, g_strdup(news->host_id), error ? g_strdup(error->message) : NULL, news->generation };
	record_unref(caps);
	record_unref(hardware);
	json_decref(caps_json);
	json_decref(hardware_json);
	tell_waiters(fleet);
	loop_post(fleet->engine->loop, tell_session, readiness, readiness_free);
}

void sync_host(struct fleet *fleet, const char *host_id, unsigned generation)
{
	submit(fleet, "capabilities", run_host, (struct news){ .generation = generation }, host_id);
}

void sync_host_stats(struct fleet *fleet, const char *host_id, const json_t *json)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	g_autoptr(GError) error = NULL;
	struct host_stats *stats = record_from_json(&host_stats_type, json, &input, &error);
	struct host_view *view;

	record_input_clear(&input);
	if (!stats) {
		log_warn("host %s: Host.getStats: %s, ignoring", host_id, error->message);
		return;
	}
	g_mutex_lock(&fleet->lock);
	view = g_hash_table_lookup(fleet->views, host_id);
	if (view) {
		record_unref(view->stats);
		view->stats = record_ref(stats);
	}
	g_mutex_unlock(&fleet->lock);
	record_unref(stats);
}

/* ---- VMs ---- */

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

static bool edit_vm(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;
	struct report *report = data;
	const struct vm_stats *stats = report->stats;
	int state = vm_state_of(stats->status), memory = vm->memory_state;
	bool was_saving = vm->state == VM_SAVING_STATE;

	report->applied = false;
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
	if (state == VM_DOWN) {
		end_run(vm, report, change);
		return true;
	}
	SET(vm, state, state);
	set_string(&vm->state_detail, state == VM_PAUSED && stats->pause_code && strcmp(stats->pause_code, "NOERR") ? stats->pause_code : NULL);
	if (HAS(stats, status_time))
		SET(vm, status_time, stats->status_time);
	if ((state == VM_UP || state == VM_POWERING_UP) && !HAS(vm, start_time))
		SET(vm, start_time, wall_msec() - stats->elapsed_time * 1000);
	return true;
}

/* Takes over figures; NULL: there are none any more. Lock held; seen: what is there now. */
static void keep(struct fleet *fleet, struct vm_seen *seen, const char *host_id, const char *vm_id, struct vm_figures *figures)
{
	if (!seen) {
		seen = g_malloc0(sizeof(*seen) + strlen(vm_id) + 1);
		strcpy(seen->id, vm_id);
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

/* false: its facts are not known. */
static bool remember_row(struct fleet *fleet, const char *host_id, const struct report_row *row)
{
	struct vm_figures *figures;
	struct vm_seen *seen;

	g_mutex_lock(&fleet->lock);
	seen = g_hash_table_lookup(fleet->vms, row->vm_id);
	figures = figures_from_row(row, base_of(seen, host_id));
	if (figures)
		keep(fleet, seen, host_id, row->vm_id, figures);
	g_mutex_unlock(&fleet->lock);
	return figures != NULL;
}

static void apply_state(struct fleet *fleet, const char *host_id, const struct vm_stats *stats, bool fresh)
{
	struct report report = { host_id, stats, fresh, false };
	struct vm *vm = model_get(fleet->engine->model, &vm_kind, stats->vm_id);
	g_autoptr(GError) error = NULL;
	bool known = vm != NULL, ours = vm && !g_strcmp0(vm->host.id, host_id);

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
	/* First, so that who sees the state sees the console that goes with it. */
	if (is_on(fleet, host_id, stats->vm_id))
		remember_stats(fleet, host_id, stats);
	apply_state(fleet, host_id, stats, fresh);
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
	tell_waiters(news->fleet);
}

void fleet_report_vm(struct fleet *fleet, const char *host_id, const json_t *json)
{
	struct vm_stats *stats = json ? stats_from(json, host_id) : NULL;

	/* It is launched: nothing new, but older than an event that came meanwhile may have told. */
	if (stats && stats->vm_id && stats->status != VM_WIRE_WAIT_FOR_LAUNCH)
		apply_stats(fleet, host_id, stats, false);
	record_unref(stats);
	tell_waiters(fleet);
}

void sync_vm_event(struct fleet *fleet, const char *host_id, const char *vm_id, const json_t *params)
{
	submit(fleet, "VM event", run_vm_event, (struct news){ .vm_id = g_strdup(vm_id), .json = json_incref((json_t *)params) }, host_id);
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

/* All VMs of the host. false: it is no report, and nothing was concluded from what is not in it. */
static bool apply_report(struct fleet *fleet, const char *host_id, GBytes *text, bool fresh, GError **error)
{
	g_autoptr(GPtrArray) ours = vms_of(fleet, host_id);
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
		if (!listed[i].named && vm_is_running(listed[i].vm) && listed[i].vm->state != VM_WAIT_FOR_LAUNCH)
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

	if (!apply_report(news->fleet, news->host_id, news->rows, false, &error))
		log_warn("host %s: report of its VMs: %s, ignoring the rest", news->host_id, error->message);
	tell_waiters(news->fleet);
}

void sync_vm_report(struct fleet *fleet, const char *host_id, GBytes *rows)
{
	submit(fleet, "report of VMs", run_report, (struct news){ .rows = g_bytes_ref(rows) }, host_id);
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
	submit(fleet, "facts of VMs", run_facts, (struct news){ .rows = g_bytes_ref(rows) }, host_id);
}
