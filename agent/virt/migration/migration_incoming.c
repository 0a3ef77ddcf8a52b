/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live migration: the host that a VM comes to. (The host it leaves: migration.c.)
 *
 *	VM.migrationCreate    the domain XML is fitted to this host: volumes and networks are looked up, images that came along are written; it goes back with the
 *	                      answer, for libvirt. The VM is in the table, "Migration Destination"; before_vm_migrate_destination,
 *	                      before_device_migrate_destination (a script that fails: 78, and nothing is left)
 *	waiting               for libvirt to start the domain and to fill it. Nothing comes within [migration] arrival_timeout: the VM is dropped
 *	arrived               it runs here (or is paused, as it was): Up. after_vm_migrate_destination, after_device_migrate_destination
 *	post-copy             it runs, and the rest of its memory follows. The job stays until that is here; if it can no longer come, the VM is ended here some
 *	                      time after the host it came from had to do so (postcopy_timeout and POSTCOPY_SLACK_USEC)
 *
 * To drop it: Down with reason 8, after_vm_destroy, after_device_destroy, and its entry is gone, with its images. The same when libvirt ends a domain that is
 * not full.
 *
 * VM.migrationCreate looks at storage, which may hang, and longer than the other host waits. When that gives up, or was told to, it asks for an end of what is
 * here (VM.migrationArrival): if that is nothing yet, the migration is *withdrawn*, and its VM.migrationCreate fails when it can go on.
 *
 * All of this after VM.migrationCreate is one journaled job on the VM's lane, with the id of the migration; the agent may die at any point. A domain that
 * libvirt is filling and that no job knows (somebody else migrates it) gets a job when it is seen. The id is kept in the domain's metadata, so that
 * VM.migrationArrival tells this migration from others for as long as the VM is here.
 */
#define LOG_MODULE "migration"
#include <errno.h>
#include <grp.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/events.h"
#include "agent/fault.h"
#include "agent/virt/change/live.h"
#include "agent/virt/device/device_hooks.h"
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/domain/vm_files.h"
#include "agent/virt/life/end_scripts.h"
#include "agent/virt/migration/migration.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/lock.h"
#include "common/log.h"

#define LOOK_USEC (5 * G_USEC_PER_SEC)          /* news come at once; this is for those that got lost with a connection */
#define LIBVIRT_USEC G_USEC_PER_SEC
#define POSTCOPY_SLACK_USEC (60 * G_USEC_PER_SEC)
#define WITHDRAWN_S (24 * 3600u)                /* no storage hangs for longer and comes back */
#define KEY_ID "migrationID"
#define KEY_INERT "notRunSinceArrival"

/* ---- the domain, fitted to this host ---- */

/* A name of ours, in our directory. */
static bool write_image(struct vms *vms, const char *vm_id, const char *name, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(vms->files_dir, name, NULL);
	const struct group *kvm = getgrnam("kvm");
	gsize length = 0;
	g_autofree guchar *content = g_base64_decode(text, &length);
	g_autoptr(GError) cause = NULL;

	if (!g_str_has_prefix(name, vm_id) || strchr(name, '/')) {
		error_set(error, ERR_INVALID_PARAMETER, "_X_files: '%s' is no name of a file of VM %s", name, vm_id);
		return false;
	}
	if (!g_file_set_contents_full(path, (const char *)content, (gssize)length, G_FILE_SET_CONTENTS_CONSISTENT, 0640, &cause)) {
		error_set(error, ERR_IO_FAILED, "image %s: %s", path, cause->message);
		return false;
	}
	if (kvm && chown(path, (uid_t)-1, kvm->gr_gid) < 0) {
		error_set_errno(error, ERR_IO_FAILED, errno, "image %s", path);
		return false;
	}
	return true;
}

static bool write_images(struct vms *vms, const char *vm_id, const json_t *files, GError **error)
{
	const char *name;
	json_t *text;

	json_object_foreach((json_t *)files, name, text)
		if (!write_image(vms, vm_id, name, json_is_string(text) ? json_string_value(text) : "", error))
			return false;
	return true;
}

static void fit_paths(xmlNode *device, const json_t *files, const struct domain_xml_env *env)
{
	xmlNode *source = xml_child(device, "source"), *listen = xml_child(device, "listen");
	g_autofree char *file = xml_get(source, "file"), *name = file ? g_path_get_basename(file) : NULL, *path = NULL;

	if (name && json_object_get(files, name)) {
		path = g_build_filename(env->files_dir, name, NULL);
		xml_set(source, "file", path);
	}
	/* libvirt looks for itself */
	xml_remove(xml_child(device, "backingStore"));
	if (!strcmp((const char *)device->name, "graphics") && xml_is(listen, "type", "address")) {
		xml_set(listen, "address", env->display_address);
		xml_set(device, "listen", NULL);
	}
}

static bool fit_host(xmlNode *domain, const struct domain_xml_env *env, GError **error)
{
	xmlNode *nvram = xml_find(domain, "os/nvram");
	g_autofree char *kernel = xml_text(xml_find(domain, "os/kernel")), *initrd = xml_text(xml_find(domain, "os/initrd"));
	g_autofree char *variables = xml_text(nvram), *name = variables ? g_path_get_basename(variables) : NULL;

	if (xml_is(domain, "type", "kvm") && !env->kvm) {
		error_set(error, ERR_CANNOT_CREATE_VM, "VM %s runs on KVM, which this host has not: %s", env->vm_id, env->no_kvm ? env->no_kvm : "");
		return false;
	}
	if (name) {
		g_autofree char *path = g_build_filename(env->nvram_dir, name, NULL);

		xmlNodeSetContent(nvram, (const xmlChar *)path);
	}
	return (!kernel || domain_xml_check_file(kernel, "kernel", NULL, error)) && (!initrd || domain_xml_check_file(initrd, "initrd", NULL, error));
}

static bool fit(xmlNode *domain, const struct incoming_vm *in, const char *migration_id, const struct domain_xml_env *env, GError **error)
{
	xmlNode *metadata = vm_metadata_make(domain);
	struct vm_params *params = vm_metadata_params(metadata);
	char started[32];
	bool good;

	if (!params)
		params = record_new(&vm_params_type);
	record_defaults(params, 0);
	/* Clocks of two hosts may differ: how long it has run does not. */
	g_ascii_formatd(started, sizeof(started), "%.3f", env->start_time - in->elapsed);
	vm_metadata_set(metadata, "startTime", "float", started);
	vm_metadata_set(metadata, KEY_ID, NULL, migration_id);
	/* until it runs here */
	vm_metadata_set(metadata, KEY_INERT, "bool", "True");
	good = fit_host(domain, env, error);
	for XML_EACH(device, xml_child(domain, "devices"), NULL) {
		fit_paths(device, in->files, env);
		good = good && domain_xml_fit(device, metadata, params, env, error);
	}
	record_unref(params);
	return good;
}

/* With passwords; g_free */
static char *fitted(struct vms *vms, const char *vm_id, const struct incoming_vm *in, const char *migration_id, GError **error)
{
	g_autoptr(GError) cause = NULL;
	g_autoptr(xmlDoc) doc = xml_parse(in->xml, strlen(in->xml), &cause);
	xmlNode *domain = doc ? xmlDocGetRootElement(doc) : NULL;
	g_autofree char *uuid = domain ? xml_text(xml_child(domain, "uuid")) : NULL;
	struct vm_xml_env env;

	if (!domain || strcmp((const char *)domain->name, "domain") || g_strcmp0(uuid, vm_id)) {
		error_set(error, ERR_INVALID_PARAMETER, "params/xml: %s", cause ? cause->message : "not the domain of this VM");
		return NULL;
	}
	vm_xml_env(vms->agent, vm_id, &env);
	if (!write_images(vms, vm_id, in->files, error) || !fit(domain, in, migration_id, &env.env, error))
		return NULL;
	return xml_to_text(domain);
}

/* ---- the entry ---- */

static struct vm *entry_new(struct vms *vms, const char *vm_id, const char *migration_id, const char *shown)
{
	struct vm *vm = vm_new(vms, vm_id);

	vm_take_xml(vm, shown);
	if (vm->info) {
		vm->params = record_ref(vm->info->params);
		vm->custom = json_incref(vm->info->custom);
	}
	vm->arriving = true;
	g_strlcpy(vm->arrival, migration_id, sizeof(vm->arrival));
	return vm;
}

/* The limit and the table at once: two that come at the same time. limit 0: none */
static bool add_entry(struct vm *vm, int limit, GError **error)
{
	struct vms *vms = vm->vms;
	GHashTableIter iter;
	gpointer other;
	int arriving = 0;

	AUTO_LOCK(&vms->lock);
	if (g_hash_table_contains(vms->migrations->withdrawn, vm->arrival)) {
		error_set(error, ERR_MIGRATION_CANCELATION_FAILED, "VM %s is not to come here any more", vm->id);
		return false;
	}
	g_hash_table_iter_init(&iter, vms->table);
	while (g_hash_table_iter_next(&iter, NULL, &other))
		arriving += ((struct vm *)other)->arriving;
	if (limit && arriving >= limit) {
		error_set(error, ERR_MIGRATION_LIMIT_EXCEEDED, "%d VMs are on their way here, the limit is %d", arriving, limit);
		return false;
	}
	if (g_hash_table_contains(vms->table, vm->id)) {
		error_set(error, ERR_VM_EXISTS, "{'vmId': '%s'}", vm->id);
		return false;
	}
	g_hash_table_insert(vms->table, vm->id, vm_ref(vm));
	return true;
}

static bool is_its(struct vm *vm, const char *migration_id)
{
	AUTO_LOCK(&vm->vms->lock);
	return !strcmp(vm->arrival, migration_id);
}

static void drop(struct vm *vm, enum vm_exit_reason reason, const char *why)
{
	if (!vm_claim_end(vm))
		return;
	log_warn("VM %s does not come here: %s", vm->id, why);
	vm_set_down(vm, 1, reason, NULL);
	vm_tell_end(vm, NULL);
	vms_remove(vm->vms, vm);
}

/* ---- VM.migrationCreate ---- */

static bool begin_job(struct vm *vm, const char *shown, const struct incoming_vm *in, const char *migration_id, GError **error)
{
	g_autofree char *lane = g_strconcat("vm/", vm->id, NULL), *what = NULL;
	struct job_order order = { .id = migration_id, .kind = &incoming_kind, .lane = lane };
	bool good;

	what = g_strdup_printf("VM %s comes from %s", vm->id, in && in->source ? in->source : "elsewhere");
	order.description = what;
	order.request = json_pack("{s:s, s:s?, s:I, s:I}", "vmID", vm->id, "xml", shown, "until",
				  (json_int_t)(wall_msec() + vm->vms->migrations->settings.arrival_usec / 1000), "agent", (json_int_t)vm->vms->agent->started_usec);
	good = jobs_begin(vm->vms->agent->jobs, &order, NULL, error);
	json_decref(order.request);
	return good;
}

static bool run_hooks(struct vm *vm, GError **error)
{
	g_autoptr(GError) cause = NULL;

	if (vm_hook(vm, "before_vm_migrate_destination", NULL, NULL, NULL, &cause) &&
	    device_hooks(vm, "before_device_migrate_destination", NULL, NULL, &cause))
		return true;
	error_set(error, ERR_HOOK_FAILED, "Destination hook failed: %s", cause->message);
	return false;
}

static bool make_ready(struct vms *vms, const struct migration_create_params *p, const char *migration_id, const char *xml, GError **error)
{
	g_autofree char *shown = vm_shown_xml(xml);
	AUTO_VM vm = entry_new(vms, p->vm_id, migration_id, shown);
	bool begun;

	{
		AUTO_LOCK(&vms->lock);
		vm->time_offset = p->params->time_offset;
	}
	if (!add_entry(vm, HAS(p, incoming_limit) ? p->incoming_limit : vms->migrations->settings.incoming_limit, error))
		return false;
	vm_set_status(vm, VM_WIRE_MIGRATION_DESTINATION);
	end_scripts_owe(vm);
	begun = begin_job(vm, shown, p->params, migration_id, error);
	if (begun && run_hooks(vm, error))
		return true;
	drop(vm, VM_EXIT_MIGRATION_FAILED, error && *error ? (*error)->message : "");
	if (begun)
		(void)jobs_cancel(vms->agent->jobs, migration_id, NULL);
	return false;
}

static void answer(struct vms *vms, const char *vm_id, const char *xml, GString *ret_result)
{
	struct migration_created *created = record_new(&migration_created_type);
	struct migration_created_vm *vm = record_new(&migration_created_vm_type);

	set_string(&vm->vm_id, vm_id);
	SET(vm, status, VM_WIRE_MIGRATION_DESTINATION);
	SET(vm, status_time, events_time());
	set_string(&vm->xml, xml);
	set_string(&vm->address, vms->migrations->settings.address);
	created->params = vm;
	SET(created, port, 0);
	result_record(ret_result, created);
	record_unref(created);
}

bool migration_create_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct migration_create_params *p = params;
	struct vms *vms = agent->vms;
	AUTO_VM old = vms_lookup(vms, p->vm_id);
	g_autofree char *migration_id = p->params->migration_id ? g_strdup(p->params->migration_id) : g_uuid_string_random(), *xml = NULL;
	bool again = old && is_its(old, migration_id);

	if (p->params->vm_id && g_ascii_strcasecmp(p->params->vm_id, p->vm_id)) {
		error_set(error, ERR_INVALID_PARAMETER, "params/vmId is '%s', not vmID '%s'", p->params->vm_id, p->vm_id);
		return false;
	}
	if (old && !again) {
		error_set(error, ERR_VM_EXISTS, "{'vmId': '%s'}", p->vm_id);
		return false;
	}
	xml = fitted(vms, p->vm_id, p->params, migration_id, error);
	if (!xml || (!again && !make_ready(vms, p, migration_id, xml, error))) {
		if (!again)
			vm_files_remove(vms->files_dir, p->vm_id);
		return false;
	}
	fault_point("VM.migrationCreate: ready");
	answer(vms, p->vm_id, xml, ret_result);
	return true;
}

/* ---- what libvirt has of it ---- */

static enum arrival arrival_of(virDomainPtr domain, bool *ret_paused)
{
	int state = 0, reason = 0;

	if (!domain || virDomainGetState(domain, &state, &reason, 0) < 0 || state == VIR_DOMAIN_SHUTOFF || state == VIR_DOMAIN_CRASHED)
		return ARRIVAL_NONE;
	*ret_paused = state == VIR_DOMAIN_PAUSED;
	if (state == VIR_DOMAIN_PAUSED && (reason == VIR_DOMAIN_PAUSED_MIGRATION || reason == VIR_DOMAIN_PAUSED_STARTING_UP))
		return ARRIVAL_WAITING;
	if (state == VIR_DOMAIN_RUNNING && reason == VIR_DOMAIN_RUNNING_POSTCOPY)
		return ARRIVAL_POSTCOPY;
	if ((state == VIR_DOMAIN_RUNNING && reason == VIR_DOMAIN_RUNNING_POSTCOPY_FAILED) ||
	    (state == VIR_DOMAIN_PAUSED && (reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED || reason == VIR_DOMAIN_PAUSED_POSTCOPY)))
		return ARRIVAL_BROKEN;
	return ARRIVAL_ARRIVED;
}

/* ---- the job ---- */

static enum job_run wait(struct job *job, int64_t usec)
{
	job_wake_after(job, usec);
	return JOB_WAITS;
}

static enum job_run gave_up(struct vm *vm, const char *why, GError **error)
{
	if (vm)
		drop(vm, VM_EXIT_MIGRATION_FAILED, why);
	error_set(error, ERR_MIGRATION_ERROR, "%s", why);
	return JOB_FAILED;
}

/* again: the agent that saw it arrive has died since. */
static void arrive(struct vm *vm, virDomainPtr domain, bool paused, bool again)
{
	bool connected, pause;

	vm_refresh(vm, domain);
	{
		AUTO_LOCK(&vm->vms->lock);
		pause = vm->pause_on_arrival && !paused;
		vm->pause_on_arrival = false;
		vm->arriving = false;
		vm->inert = paused;
		vm->running_since_usec = now_usec() - vm->vms->guest_wait_usec;         /* its guest is up */
		connected = vm->info && vm->info->agent_connected;
	}
	if (connected)
		guest_agent_connected(vm);
	if (pause && virDomainSuspend(domain) < 0)
		log_error("VM %s was paused on its way here, and runs: %s", vm->id, virGetLastErrorMessage());
	vm_see(vm, domain);
	if (!paused)
		migration_has_run(vm);
	vms_wake(vm->vms);
	live_settle(vm, NULL);
	if (again)
		return;
	(void)vm_hook(vm, "after_vm_migrate_destination", NULL, NULL, NULL, NULL);
	(void)device_hooks(vm, "after_device_migrate_destination", NULL, NULL, NULL);
}

/* The rest of its memory is still there, where it came from. */
static enum job_run watch_postcopy(struct vm *vm, struct job *job, json_t *state, bool broken, GError **error)
{
	json_t *since = json_object_get(state, "broken");
	int64_t limit = vm->vms->migrations->settings.postcopy_usec + POSTCOPY_SLACK_USEC;
	g_autoptr(GError) cause = NULL;

	if (!broken) {
		json_object_del(state, "broken");
		return wait(job, LOOK_USEC);
	}
	if (!since) {
		json_object_set_new(state, "broken", json_integer(wall_msec()));
		log_error("VM %s: the rest of its memory does not come any more", vm->id);
		vm_set_paused(vm, "POSTCOPY");
	}
	if (!since || (wall_msec() - json_integer_value(since)) * 1000 < limit)
		return wait(job, LOOK_USEC);
	if (vm_claim_end(vm) && !vm_cut_off(vm, 1, &cause))
		log_error("VM %s: %s", vm->id, cause->message);
	vm_set_down(vm, 1, VM_EXIT_POSTCOPY_FAILED, NULL);
	vm_tell_end(vm, NULL);
	error_set(error, ERR_MIGRATION_ERROR, "the rest of the VM's memory did not come");
	return JOB_FAILED;
}

static enum job_run done(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->arrival[0] = '\0';
	vm->arriving = false;
	return JOB_DONE;
}

/* After a restart the VM is there when its domain is, and else it is made again from the journal. NULL: it was destroyed. */
static struct vm *entry_of(struct vms *vms, struct job *job, json_t *state)
{
	const json_t *request = json_object_get(state, "request"), *seen_by = json_object_get(state, "agent");
	const char *vm_id = json_string_value(json_object_get(request, "vmID")), *xml = json_string_value(json_object_get(request, "xml"));
	bool same = json_integer_value(seen_by ? seen_by : json_object_get(request, "agent")) == vms->agent->started_usec;
	struct vm *vm = vms_lookup(vms, vm_id);

	if (vm && !same) {
		AUTO_LOCK(&vms->lock);
		g_strlcpy(vm->arrival, job_id(job), sizeof(vm->arrival));
	}
	if (!vm && !same && xml) {
		vm = entry_new(vms, vm_id, job_id(job), xml);
		if (add_entry(vm, /* limit= */ 0, NULL)) {
			vm_set_status(vm, VM_WIRE_MIGRATION_DESTINATION);
			end_scripts_owe(vm);
		}
	}
	json_object_set_new(state, "agent", json_integer(vms->agent->started_usec));
	if (vm && is_its(vm, job_id(job)))
		return vm;
	vm_unref(vm);
	return NULL;
}

static bool is_down(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status == VM_WIRE_DOWN;
}

static bool is_arriving(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->arriving;
}

static enum job_run incoming_run(struct job *job, json_t *state, void *context, GError **error)
{
	struct vms *vms = context;
	AUTO_VM vm = entry_of(vms, job, state);
	g_autoptr(virConnect) conn = libvirt_connection_get(vms->connection, NULL);
	g_autoptr(virDomain) domain = conn && vm ? virDomainLookupByUUIDString(conn, vm->id) : NULL;
	const char *step = json_string_value(json_object_get(state, "step"));
	int64_t left = json_integer_value(json_object_get(json_object_get(state, "request"), "until")) - wall_msec();
	bool paused = false, arrived = !g_strcmp0(step, "arrived");
	enum arrival arrival;

	if (!vm)
		return gave_up(NULL, "the VM was destroyed", error);
	if (!conn || (!domain && libvirt_error_code() != VIR_ERR_NO_DOMAIN))
		return wait(job, LIBVIRT_USEC);
	arrival = is_down(vm) ? ARRIVAL_NONE : arrival_of(domain, &paused);
	fault_point("incoming: looked");
	if (arrival == ARRIVAL_NONE) {
		if (!step && left > 0 && !job_canceled(job) && !is_down(vm))
			return wait(job, left * 1000);
		if (!arrived)
			return gave_up(vm, step ? "libvirt ended it before it was complete" : "libvirt did not begin to send it", error);
		if (is_arriving(vm))            /* the entry is of entry_of(): it ended while no agent was there */
			vm_set_down(vm, 1, VM_EXIT_DOMAIN_MISSING, NULL);
		return done(vm);
	}
	if (arrival == ARRIVAL_WAITING) {
		if (!step && !job_step(job, state, "seen", error))
			return JOB_FAILED;
		return wait(job, LOOK_USEC);
	}
	if (!arrived && !job_step(job, state, "arrived", error))
		return JOB_FAILED;
	if (!arrived || is_arriving(vm)) {
		arrive(vm, domain, paused, /* again= */ arrived);
		fault_point("incoming: after the hooks");
	}
	return arrival == ARRIVAL_ARRIVED ? done(vm) : watch_postcopy(vm, job, state, arrival == ARRIVAL_BROKEN, error);
}

const struct job_kind incoming_kind = { .name = "incoming", .type = "virt", .run = incoming_run };

bool migration_pause_on_arrival(struct vm *vm)
{
	bool arrives;

	{
		AUTO_LOCK(&vm->vms->lock);
		vm->pause_on_arrival = vm->arriving || vm->leaving;
		arrives = vm->arriving;
	}
	migration_news(vm);
	return arrives;
}

/* ---- seen without a job ---- */

static void watch(struct vm *vm, void *unused)
{
	g_autoptr(GPtrArray) ids = jobs_active(vm->vms->agent->jobs, &incoming_kind, "vmID", vm->id);
	g_autofree char *id = g_uuid_string_random();
	g_autoptr(GError) error = NULL;

	{
		AUTO_LOCK(&vm->vms->lock);
		if (!vm->arriving || ids->len)
			return;
		g_strlcpy(vm->arrival, id, sizeof(vm->arrival));
	}
	log_info("VM %s is on its way here, and nobody told us", vm->id);
	if (!begin_job(vm, NULL, NULL, id, &error))
		log_error("VM %s is on its way here, and is not waited for: %s", vm->id, error->message);
}

void migration_found_arriving(struct vm *vm)
{
	g_autoptr(GError) error = NULL;

	if (!vm_queue(vm, "wait for its arrival", watch, NULL, NULL, &error))
		log_error("VM %s is on its way here, and is not waited for: %s", vm->id, error->message);
}

void migration_destroyed(struct vm *vm)
{
	char job[37];

	{
		AUTO_LOCK(&vm->vms->lock);
		g_strlcpy(job, vm->arrival, sizeof(job));
		vm->arriving = false;
	}
	if (job[0])
		(void)jobs_cancel(vm->vms->agent->jobs, job, NULL);
	jobs_wake_about(vm->vms->agent->jobs, "vmID", vm->id);
}

bool migration_is_inert(const char *xml)
{
	g_autoptr(xmlDoc) doc = xml ? xml_parse(xml, strlen(xml), NULL) : NULL;

	return doc && xml_child(vm_metadata_of(xmlDocGetRootElement(doc)), KEY_INERT);
}

static void forget_inert(struct vm *vm, void *unused)
{
	g_autoptr(GError) error = NULL;
	AUTO_LIVE live = live_open(vm, &error);

	if (live)
		xml_remove(xml_child(live->metadata, KEY_INERT));
	if (!live || !live_keep(live, &error))
		log_debug("VM %s: that it has run is not kept: %s", vm->id, error->message);
}

void migration_has_run(struct vm *vm)
{
	(void)vm_queue(vm, "it has run since it came", forget_inert, NULL, NULL, NULL);
}

/* ---- VM.migrationArrival ---- */

static gboolean is_long_ago(gpointer id, gpointer at_s, gpointer now_s)
{
	return GPOINTER_TO_UINT(now_s) - GPOINTER_TO_UINT(at_s) > WITHDRAWN_S;
}

/* From here on no VM.migrationCreate of it makes anything ready. */
static void withdraw(struct vms *vms, const char *migration_id)
{
	gpointer now_s = GUINT_TO_POINTER((guint)(now_usec() / G_USEC_PER_SEC));

	AUTO_LOCK(&vms->lock);
	g_hash_table_foreach_remove(vms->migrations->withdrawn, is_long_ago, now_s);
	g_hash_table_insert(vms->migrations->withdrawn, g_strdup(migration_id), now_s);
}

static bool came_with(struct vm *vm, const char *migration_id)
{
	g_autofree char *xml = vm_xml(vm), *id = NULL;
	g_autoptr(xmlDoc) doc = xml ? xml_parse(xml, strlen(xml), NULL) : NULL;

	id = doc ? vm_metadata_get(vm_metadata_of(xmlDocGetRootElement(doc)), KEY_ID) : NULL;
	return is_its(vm, migration_id) || !g_strcmp0(id, migration_id);
}

/* One that ran here is lost with its post-copy: it stays as what it is, Down. Of any other nothing stays. */
static bool end_it(struct vm *vm, enum arrival arrival, GError **error)
{
	bool ran = arrival == ARRIVAL_POSTCOPY || arrival == ARRIVAL_BROKEN;

	if (!vm_claim_end(vm))
		return true;
	if (!vm_cut_off(vm, 1, error)) {
		AUTO_LOCK(&vm->vms->lock);
		vm->destroying = false;
		return false;
	}
	vm_set_down(vm, 1, ran ? VM_EXIT_POSTCOPY_FAILED : VM_EXIT_MIGRATION_FAILED, NULL);
	vm_tell_end(vm, NULL);
	if (!ran)
		vms_remove(vm->vms, vm);
	migration_destroyed(vm);
	return true;
}

bool migration_arrival_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct arrival_params *p = params;
	AUTO_VM vm = NULL;
	g_autoptr(virConnect) conn = libvirt_connection_get(agent->vms->connection, error);
	g_autoptr(virDomain) domain = conn ? virDomainLookupByUUIDString(conn, p->vm_id) : NULL;
	struct arrival_state *state;
	enum arrival arrival;
	bool paused = false;

	/* before the look: what comes after it cannot add one */
	if (p->end != ARRIVAL_KEEP)
		withdraw(agent->vms, p->migration_id);
	vm = vms_lookup(agent->vms, p->vm_id);
	if (!conn)
		return false;
	if (!domain && libvirt_error_code() != VIR_ERR_NO_DOMAIN) {
		libvirt_error_set(error, ERR_RESOURCE_UNAVAILABLE, "VM %s", p->vm_id);
		return false;
	}
	arrival = vm && came_with(vm, p->migration_id) ? arrival_of(domain, &paused) : ARRIVAL_NONE;
	if (arrival == ARRIVAL_NONE && vm && is_its(vm, p->migration_id) && is_arriving(vm))
		arrival = ARRIVAL_WAITING;
	if (arrival != ARRIVAL_NONE && (p->end == ARRIVAL_END || (p->end == ARRIVAL_END_WAITING && arrival == ARRIVAL_WAITING))) {
		if (!end_it(vm, arrival, error))
			return false;
		arrival = ARRIVAL_NONE;
	}
	state = record_new(&arrival_state_type);
	SET(state, state, arrival);
	result_record(ret_result, state);
	record_unref(state);
	return true;
}
