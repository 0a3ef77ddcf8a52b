/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agents say goes into the model: of the hosts here, of their VMs in sync_vms.c.
 *
 * Each piece of news is a job on the lane "fleet/<host id>": in the order it came, apart from the lanes of the objects it is about.
 */
#include "engine/fleet/fleet-priv.h"
#include "engine/fleet/required_networks.h"

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
#define EVENT_HOST_NETWORKS 519
#define EVENT_HOST_LEVEL 154

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

void sync_submit(struct fleet *fleet, const char *what, void (*run)(void *data), struct news news, const char *host_id)
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

void sync_tell_waiters(struct fleet *fleet)
{
	g_mutex_lock(&fleet->lock);
	g_cond_broadcast(&fleet->changed);
	g_mutex_unlock(&fleet->lock);
}

/* ---- state of the host ---- */

static bool keeps_state(const struct host *host)
{
	return host->state == HOST_MAINTENANCE || host->state == HOST_PREPARING_FOR_MAINTENANCE || host->state == HOST_INSTALL_FAILED ||
	       host->state == HOST_PENDING_APPROVAL || host->state == HOST_INSTALLING;
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

GPtrArray *sync_vms_of(struct fleet *fleet, const char *host_id)
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
		g_autoptr(GPtrArray) vms = sync_vms_of(news->fleet, news->host_id);

		for (guint i = 0; i < vms->len; i++)
			if (!store_modify(store, &vm_kind, object_id(vms->pdata[i]), edit_vm_unknown, news->host_id, NULL, NULL))
				log_debug("VM %s: not marked unknown, ignoring", object_id(vms->pdata[i]));
		if (news->fleet->host_lost)
			news->fleet->host_lost(news->fleet->engine, news->host_id);
	}
	sync_tell_waiters(news->fleet);
}

void sync_silence(struct fleet *fleet, const char *host_id, int state, const char *reason)
{
	sync_submit(fleet, "silence", run_silence, (struct news){ .state = state, .reason = g_strdup(reason) }, host_id);
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

void host_take_version(struct host *host, const struct host_caps *caps)
{
	int v[4];

	split_version(caps->software_version, v);
	SET(host, version_major, v[0]);
	SET(host, version_minor, v[1]);
	SET(host, version_build, v[2]);
	set_int_text(caps->software_revision, &v[3]);
	SET(host, version_revision, v[3]);
	g_free(host->version_full);
	host->version_full = g_strdup_printf("berth-agent-%s-%s", caps->software_version ? caps->software_version : "?",
					     caps->software_revision ? caps->software_revision : "?");
}

/* Installed as a whole, from an image: names that such systems give themselves. */
static bool is_image(const char *os)
{
	return !g_strcmp0(os, "RHEV Hypervisor") || !g_strcmp0(os, "oVirt Node");
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
	host_take_version(host, caps);
	split_version(json_text(libvirt, "version"), v);
	SET(host, libvirt_major, v[0]);
	SET(host, libvirt_minor, v[1]);
	SET(host, libvirt_build, v[2]);
	SET(host, libvirt_revision, v[3]);
	g_free(host->libvirt_version);
	host->libvirt_version = g_strdup_printf("libvirt-%s", json_text(libvirt, "version") ? json_text(libvirt, "version") : "?");
	set_string(&host->os_type, json_text(caps->operating_system, "name"));
	SET(host, type, is_image(host->os_type) ? HOST_RHEV_H : HOST_RHEL);
	g_free(host->os_version);
	host->os_version = g_strjoin("-", json_text(caps->operating_system, "version") ? json_text(caps->operating_system, "version") : "",
				     json_text(caps->operating_system, "release"), NULL);
	set_string(&host->iscsi_initiator, caps->iscsi_initiator);
	set_string(&host->selinux_mode, !g_strcmp0(json_text(caps->selinux, "mode"), "1") ? "enforcing" :
		   !g_strcmp0(json_text(caps->selinux, "mode"), "0") ? "permissive" : "disabled");
	set_string(&host->kdump_status, caps->kdump_status == 1 ? "enabled" : caps->kdump_status == 0 ? "disabled" : "unknown");
	set_string(&host->auto_numa_status, caps->auto_numa_balancing == 1 ? "enable" : caps->auto_numa_balancing == 0 ? "disable" : "unknown");
	SET(host, numa_supported, json_object_size(caps->numa_nodes) > 1);
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

struct found {
	const struct host_caps *caps;
	const struct host_hardware *hardware;
	struct fleet *fleet;
	bool unfit;                        /* out: it is the host it was, and of no use */
};

/* Returns whether that is new. */
static bool set_unfit(struct host *host, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool set_unfit(struct host *host, const char *format, ...)
{
	va_list arguments;
	bool before = host->state == HOST_NON_OPERATIONAL;

	SET(host, state, HOST_NON_OPERATIONAL);
	g_free(host->state_detail);
	va_start(arguments, format);
	host->state_detail = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	return !before;
}

static void tell_unfit(struct change *change, int event, struct host *host)
{
	change_event(change, event, NULL, (void *[]){ host, NULL }, "Host %s is non operational: %s", host->name, host->state_detail);
}

static bool edit_found(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	struct found *found = data;
	bool same_agent = !host->agent_uuid || !g_strcmp0(host->agent_uuid, found->caps->uuid);
	struct cluster *cluster;
	struct level level = { 0, 0 }, known;
	g_autofree char *missing = NULL;

	if (keeps_state(host))
		return false;
	if (!same_agent) {
		if (host->state == HOST_NON_OPERATIONAL)
			return false;
		if (set_unfit(host, "another agent answers at %s: its id is %s", host->address, found->caps->uuid))
			tell_unfit(change, EVENT_HOST_NON_OPERATIONAL, host);
		return true;
	}
	fill_capabilities(host, found->caps);
	fill_hardware(host, found->hardware);
	set_string(&host->agent_uuid, found->caps->uuid);
	cluster = model_get(found->fleet->engine->model, &cluster_kind, host->cluster.id);
	if (cluster)
		level = (struct level){ cluster->major, cluster->minor };
	known = host_level(host);
	missing = required_networks_missing(found->fleet->engine->model, host->cluster.id, found->caps);
	found->unfit = missing || (cluster && level_compare(&known, &level) < 0);
	if (cluster && level_compare(&known, &level) < 0) {
		if (set_unfit(host, "its agent does not know the compatibility level %d.%d of cluster '%s'", level.major, level.minor, cluster->name))
			tell_unfit(change, EVENT_HOST_LEVEL, host);
	} else if (missing) {
		if (set_unfit(host, "the following networks that its cluster requires are missing: %s", missing))
			change_event(change, EVENT_HOST_NETWORKS, NULL, (void *[]){ host, cluster, NULL },
				     "Host %s does not comply with the cluster %s networks, the following networks are missing on host: '%s'", host->name,
				     cluster ? cluster->name : "", missing);
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
	fleet_tidy_soon(readiness->fleet);
	readiness_free(readiness);
}

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
	bool unfit = false;

	if (caps_json)
		caps = record_from_json(&host_caps_type, caps_json, &input, &error);
	if (caps)
		hardware_json = ask(news, "Host.getHardwareInfo", /* params= */ NULL, &error);
	if (hardware_json)
		hardware = record_from_json(&host_hardware_type, hardware_json, &input, &error);
	if (hardware)
		rows = ask_rows(news, &error);
	record_input_clear(&input);
	if (rows && sync_apply_report(fleet, news->host_id, rows, true, &error)) {
		struct found found = { caps, hardware, fleet, false };

		g_mutex_lock(&fleet->lock);
		view = g_hash_table_lookup(fleet->views, news->host_id);
		if (view) {
			record_unref(view->caps);
			view->caps = record_ref(caps);
		}
		g_mutex_unlock(&fleet->lock);
		(void)store_modify(fleet->engine->store, &host_kind, news->host_id, edit_found, &found, NULL, &error);
		unfit = found.unfit;
	}
	if (error)
		log_warn("host %s: initialising: %s", news->host_id, error->message);
	else if (fleet->host_up && is_up(fleet, news->host_id))
		fleet->host_up(fleet->engine, news->host_id);
	else if (fleet->host_unfit && unfit)
		fleet->host_unfit(fleet->engine, news->host_id);
	*readiness = (struct readiness){ fleet, g_strdup(news->host_id), error ? g_strdup(error->message) : NULL, news->generation };
	record_unref(caps);
	record_unref(hardware);
	json_decref(caps_json);
	json_decref(hardware_json);
	sync_tell_waiters(fleet);
	loop_post(fleet->engine->loop, tell_session, readiness, readiness_free);
}

void sync_host(struct fleet *fleet, const char *host_id, unsigned generation)
{
	sync_submit(fleet, "capabilities", run_host, (struct news){ .generation = generation }, host_id);
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
