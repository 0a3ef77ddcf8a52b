/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live migration: the host that a VM leaves. (The host it comes to: migration_incoming.c.)
 *
 * VM.migrate answers when the migration is a job on disk; the VM is "Migration Source" from then on. The job (migration_job.c), on its lane "migration/<id>":
 *
 *	queued      there is no place: as many as [migration] outgoing_limit, or outgoingLimit, leave at a time; first come, first served
 *	prepare     before_device_migrate_source, before_vm_migrate_source; may fail it
 *	create      the other agent makes ready (VM.migrationCreate) and answers with the domain XML fitted to its host. It has no room (82): back to the queue
 *	run         virDomainMigrateToURI3(), peer to peer: libvirtd here talks to libvirtd there, QEMU to QEMU. It is watched (migration_monitor.c)
 *	finish      the VM runs there: Down here, reason 4, until VM.destroy; after_vm_migrate_source, after_device_migrate_source
 *	undo        it did not come: the VM goes on here, and what the other agent made ready is taken back, as long as that takes
 *
 * The call takes as long as the migration. It has a thread and a lane of its own, "migration-call/<id>"; the job looks at what is true and waits
 * without one. So pause, destroy and statistics go on meanwhile; verbs whose row says not_migrating are refused (51).
 *
 * Whose VM is it? Exactly one side runs it; libvirt sees to that while both libvirtds live and hear each other. The job never guesses:
 *
 *	domain here                        call                 what it means
 *	libvirt says "migrating out"       any                  it goes on: watch it
 *	runs, or was paused by somebody    back, with an error  it stays: undo there, whatever is there
 *	runs                               none (agent restarted)  libvirt was never told, or it failed meanwhile: the same
 *	paused by the migration itself     back or none         nobody heard how it ended: ask the other agent. It runs there: end it here; it does not: resume it
 *	gone                               back, good           migrated
 *	gone                               else                 ask the other agent: migrated, or lost with its QEMU
 *	post-copy failed                   any                  both halves stand still: continue it (libvirt's resume) for postcopy_timeout, then end both
 *
 * "Ask the other agent" is VM.migrationArrival with the id of this migration, repeated until it answers. What it ends is only what came with that id, so that
 * an answer that comes late cannot hit the VM when it went there by a later migration. A domain that was paused by the migration stays so until it is known.
 *
 * The agent may die at any point: libvirt goes on with what it was told, and the next agent's job looks at the same table, its call being "none". What
 * it must remember is in the job's file: the step, the options, how far the schedule is.
 *
 * QEMU 7.2: a guest that arrived paused and did not run since has disks that are not active; to migrate it again would abort QEMU. It is refused (12)
 * until it was resumed once. The metadata of every domain that arrives say so, until it runs there.
 */
#define LOG_MODULE "migration"
#include "agent/virt/migration/migration.h"

#include <libvirt/virterror.h>
#include <string.h>
#include "agent/events.h"
#include "agent/peer.h"
#include "agent/virt/backup/backup.h"
#include "agent/virt/migration/convergence.h"
#include "common/lock.h"
#include "common/log.h"

/* ---- one migration ---- */

struct migration *migration_ref(struct migration *m)
{
	g_atomic_int_inc(&m->refs);
	return m;
}

void migration_unref(void *data)
{
	struct migration *m = data;

	if (!m || !g_atomic_int_dec_and_test(&m->refs))
		return;
	g_free(m->host);
	g_free(m->dst);
	g_free(m->address);
	record_unref(m->options);
	record_unref(m->schedule);
	g_free(m->message);
	g_free(m->call_error);
	g_free(m);
}

struct migration *migration_new(struct vms *vms, const char *job, const struct migrate_params *params, int64_t queued_msec, GError **error)
{
	const struct migration_settings *settings = &vms->migrations->settings;
	const struct migrate_options *o = params->params;
	struct migration *m = g_new0(struct migration, 1);

	m->refs = 1;
	if (!peer_parse(o->dst, &m->host, &m->port, error)) {
		error_wrap(error, "params/dst");
		migration_unref(m);
		return NULL;
	}
	g_strlcpy(m->job, job, sizeof(m->job));
	g_strlcpy(m->vm_id, params->vm_id, sizeof(m->vm_id));
	m->dst = g_strdup(o->dst);
	m->options = record_copy(o);
	m->schedule = o->schedule ? record_ref(o->schedule) : convergence_default(HAS(o, downtime) ? o->downtime : settings->downtime_ms);
	m->max_bandwidth = HAS(o, max_bandwidth) ? o->max_bandwidth : settings->bandwidth;
	m->queued_msec = m->begun_msec = queued_msec;
	m->message = g_strdup("Migration in progress");
	m->downtime = -1;
	AUTO_LOCK(&vms->lock);
	g_hash_table_insert(vms->migrations->outgoing, m->job, migration_ref(m));
	return m;
}

struct migration *migration_find(struct vms *vms, const char *job)
{
	struct migration *m;

	AUTO_LOCK(&vms->lock);
	m = g_hash_table_lookup(vms->migrations->outgoing, job);
	return m ? migration_ref(m) : NULL;
}

struct vm *migration_vm(struct vms *vms, const struct migration *m)
{
	struct vm *vm;

	AUTO_LOCK(&vms->lock);
	vm = g_hash_table_lookup(vms->table, m->vm_id);
	return vm && vm->migration == m ? vm_ref(vm) : NULL;
}

void migration_set_phase(struct vms *vms, struct migration *m, enum migration_phase phase)
{
	AUTO_LOCK(&vms->lock);
	m->phase = phase;
}

void migration_cancel(struct vms *vms, struct migration *m)
{
	AUTO_LOCK(&vms->lock);
	m->canceled = true;
	if (m->phase != PHASE_OVER)
		set_string(&m->message, "Migration process cancelled");
}

bool migration_is_canceled(struct vms *vms, const struct migration *m)
{
	AUTO_LOCK(&vms->lock);
	return m->canceled;
}

/* ---- places ---- */

static int limit_of(const struct vms *vms, const struct migration *m)
{
	return HAS(m->options, outgoing_limit) ? m->options->outgoing_limit : vms->migrations->settings.outgoing_limit;
}

bool migration_take_place(struct vms *vms, struct migration *m, bool force)
{
	int leaving = 0, before = 0;
	GHashTableIter iter;
	gpointer value;

	AUTO_LOCK(&vms->lock);
	g_hash_table_iter_init(&iter, vms->migrations->outgoing);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct migration *other = value;

		leaving += other->placed && other != m;
		before += !other->placed && other->phase == PHASE_QUEUED && !other->retry_usec && other->queued_msec < m->queued_msec;
	}
	m->placed = force || leaving + before < limit_of(vms, m);
	return m->placed;
}

/* There is room: the jobs that wait look, and the first of them takes it. */
static void wake_queue(struct vms *vms)
{
	g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	gpointer value;

	{
		AUTO_LOCK(&vms->lock);
		g_hash_table_iter_init(&iter, vms->migrations->outgoing);
		while (g_hash_table_iter_next(&iter, NULL, &value))
			if (((struct migration *)value)->phase == PHASE_QUEUED)
				g_ptr_array_add(ids, g_strdup(((struct migration *)value)->job));
	}
	for (guint i = 0; i < ids->len; i++)
		jobs_wake(vms->agent->jobs, ids->pdata[i]);
}

void migration_leave_place(struct vms *vms, struct migration *m)
{
	{
		AUTO_LOCK(&vms->lock);
		m->placed = false;
	}
	wake_queue(vms);
}

void migration_over(struct vms *vms, struct migration *m, int code, const char *message)
{
	AUTO_MIGRATION held = migration_ref(m);

	{
		AUTO_LOCK(&vms->lock);
		m->phase = PHASE_OVER;
		m->placed = false;
		m->code = code;
		set_string(&m->message, message);
		m->ended_msec = wall_msec();
		if (!code)
			m->progress = 100;
		migration_publish(vms, m);
		g_hash_table_remove(vms->migrations->outgoing, m->job);
	}
	wake_queue(vms);
}

/* ---- events ---- */

void migration_publish(struct vms *vms, const struct migration *m)
{
	g_autofree char *method = g_strconcat(EVENT_MIGRATION_STATUS, m->vm_id, NULL);
	json_t *told = json_pack("{s:i, s:b}", "progress", m->progress, "postcopy", m->postcopy);

	if (m->downtime >= 0)
		json_object_set_new(told, "downtime", json_integer(m->downtime));
	events_publish(vms->agent->events, method, json_pack("{s:o}", m->vm_id, told));
}

void migration_completed(struct vm *vm, virTypedParameterPtr params, int n)
{
	unsigned long long downtime = 0, bytes = 0, ms = 0;
	int operation = 0, success = 1;

	if (virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation) < 1 || operation != VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)
		return;
	(void)virTypedParamsGetBoolean(params, n, VIR_DOMAIN_JOB_SUCCESS, &success);
	/* Without the network's part, if it is known: clocks of two hosts differ. */
	if (virTypedParamsGetULLong(params, n, VIR_DOMAIN_JOB_DOWNTIME_NET, &downtime) < 1 &&
	    virTypedParamsGetULLong(params, n, VIR_DOMAIN_JOB_DOWNTIME, &downtime) < 1)
		return;
	(void)virTypedParamsGetULLong(params, n, VIR_DOMAIN_JOB_MEMORY_PROCESSED, &bytes);
	(void)virTypedParamsGetULLong(params, n, VIR_DOMAIN_JOB_TIME_ELAPSED, &ms);
	AUTO_LOCK(&vm->vms->lock);
	if (!vm->migration || !success)
		return;
	vm->migration->downtime = (int64_t)downtime;
	vm->migration->progress = 100;
	vm->migration->remaining = 0;
	if (ms)
		vm->vms->migrations->reached = (int64_t)(bytes * 1000 / ms);
	migration_publish(vm->vms, vm->migration);
}

void migration_news(struct vm *vm)
{
	bool moving;

	{
		AUTO_LOCK(&vm->vms->lock);
		moving = vm->leaving || vm->arrival[0];
	}
	if (moving)
		jobs_wake_about(vm->vms->agent->jobs, "vmID", vm->id);
}

bool migration_adopt(struct vm *vm)
{
	{
		AUTO_LOCK(&vm->vms->lock);
		if (vm->leaving)
			return false;
		vm->arriving = true;
	}
	vm_set_status(vm, VM_WIRE_MIGRATION_DESTINATION);
	if (!vms_recovering(vm->vms))
		migration_found_arriving(vm);
	return true;
}

int migration_locked_progress(const struct vm *vm)
{
	return vm->leaving && vm->migration ? vm->migration->progress : -1;
}

bool migration_locked_postcopy(const struct vm *vm)
{
	return vm->leaving && vm->migration && vm->migration->postcopy;
}

bool vms_check_still(struct vms *vms, const char *id, GError **error)
{
	const struct vm *vm;

	AUTO_LOCK(&vms->lock);
	vm = id ? g_hash_table_lookup(vms->table, id) : NULL;
	if (!vm || (!vm->leaving && !vm->arriving))
		return true;
	error_set(error, ERR_MIGRATION_IN_PROGRESS, "VM %s is in state '%s'", id, vm_wire_status_names[vm->status]);
	return false;
}

/* ---- VM.migrate ---- */

static bool refuse(GError **error, const char *why)
{
	error_set_literal(error, ERR_INVALID_PARAMETER, why);
	return false;
}

/* What libvirt would refuse in the middle is refused here, before anything is begun. */
static bool check_options(const struct vms *vms, const char *vm_id, const struct migrate_options *o, GError **error)
{
	const struct migration_settings *settings = &vms->migrations->settings;
	bool encrypted = HAS(o, encrypted) ? o->encrypted : settings->encrypted, postcopy = o->postcopy || convergence_wants_postcopy(o->schedule);

	if (o->vm_id && g_ascii_strcasecmp(o->vm_id, vm_id)) {
		error_set(error, ERR_INVALID_PARAMETER, "params/vmId is '%s', not vmID '%s'", o->vm_id, vm_id);
		return false;
	}
	if (o->tunneled && (o->parallel || postcopy))
		return refuse(error, "params: tunneled goes neither with parallel nor with post-copy");
	if (o->tunneled && encrypted && !settings->tls)
		return refuse(error, "params: tunneled and encrypted needs [migration] transport=tls");
	if (o->zerocopy && (!o->parallel || encrypted || o->compressed))
		return refuse(error, "params: zerocopy needs parallel, and goes neither with encrypted nor with compressed");
	if (o->parallel && postcopy)
		return refuse(error, "params: parallel does not go with post-copy");
	return convergence_check(o->schedule, error);
}

/* Lock held. */
static bool locked_may_leave(const struct vm *vm, GError **error)
{
	if (!vm_is_running_status(vm->status) || vm->status == VM_WIRE_RESTORING) {
		error_set(error, ERR_NO_SUCH_VM, "{'vmId': '%s'}: it is in state '%s'", vm->id, vm_wire_status_names[vm->status]);
		return false;
	}
	if (vm->leaving || vm->arriving || vm->status == VM_WIRE_SAVING) {
		error_set(error, ERR_MIGRATION_IN_PROGRESS, "VM %s is in state '%s'", vm->id, vm_wire_status_names[vm->status]);
		return false;
	}
	if (vm->inert && vm->status == VM_WIRE_PAUSED) {
		error_set(error, ERR_MIGRATION_ERROR, "VM %s came here paused and did not run since: QEMU cannot send it on before it was resumed once", vm->id);
		return false;
	}
	return true;
}

/* From here on it leaves. */
static bool begin_leaving(struct vm *vm, struct migration *m, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (!locked_may_leave(vm, error))
		return false;
	migration_unref(vm->migration);
	vm->migration = migration_ref(m);
	vm->leaving = m->known = true;
	return true;
}

static bool begin(struct vm *vm, const struct migrate_params *p, const char *flow_id, GError **error)
{
	struct vms *vms = vm->vms;
	g_autofree char *id = g_uuid_string_random(), *lane = g_strconcat("migration/", vm->id, NULL), *what = NULL;
	AUTO_MIGRATION m = migration_new(vms, id, p, wall_msec(), error);
	struct job_order order = { .id = id, .kind = &migration_kind, .lane = lane };
	bool leaves, good;

	if (!m)
		return false;
	what = g_strdup_printf("VM.migrate %s to %s", vm->id, m->dst);
	order.description = what;
	order.request = migration_request(vm, p, m->queued_msec, flow_id);
	leaves = begin_leaving(vm, m, error);
	if (leaves)
		vm_set_status(vm, VM_WIRE_MIGRATION_SOURCE);
	good = leaves && jobs_begin(vms->agent->jobs, &order, NULL, error);
	if (!good)
		migration_over(vms, m, ERR_MIGRATION_ERROR, "Migration not begun");
	if (leaves && !good)
		migration_stay(vm);
	json_decref(order.request);
	return good;
}

static bool migrate_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct migrate_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);

	if (!vm || !check_options(agent->vms, vm->id, p->params, error) || !backup_allows(vm, NULL, ERR_MIGRATION_ERROR, "migrated", error))
		return false;
	return begin(vm, p, *call->flow_id ? call->flow_id : NULL, error);
}

void migration_stay(struct vm *vm)
{
	g_autoptr(virDomain) domain = vm_domain(vm, NULL);
	bool pause;

	{
		AUTO_LOCK(&vm->vms->lock);
		pause = vm->pause_on_arrival;
		vm->leaving = vm->pause_on_arrival = false;
	}
	/* libvirt lets it run when the migration failed, as it did before */
	if (pause && domain && virDomainSuspend(domain) < 0)
		log_error("VM %s was paused, and runs: %s", vm->id, virGetLastErrorMessage());
	vm_see(vm, domain);
}

/* ---- the other verbs ---- */

/* The one under way; a reference. NULL + code. */
static struct migration *under_way(struct vm *vm, enum error_code code, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->leaving && vm->migration)
		return migration_ref(vm->migration);
	error_set(error, code, "VM %s", vm->id);
	return NULL;
}

static bool is_running_phase(struct vms *vms, const struct migration *m, bool *ret_postcopy)
{
	AUTO_LOCK(&vms->lock);
	*ret_postcopy = m->postcopy;
	return m->phase == PHASE_RUNNING;
}

/* Before libvirt has begun and after it has ended there is nothing for it to abort: the job sees the wish, also while it waits for the other agent. */
static bool cancel_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	AUTO_MIGRATION m = vm ? under_way(vm, ERR_MIGRATION_CANCELATION_FAILED, error) : NULL;
	g_autoptr(virDomain) domain = NULL;
	g_autoptr(GError) cause = NULL;
	bool postcopy;

	if (!m)
		return false;
	if (is_running_phase(agent->vms, m, &postcopy)) {
		if (!(domain = vm_domain(vm, error)))
			return false;
		if (postcopy || (virDomainAbortJob(domain) < 0 && libvirt_error_code() != VIR_ERR_OPERATION_INVALID)) {
			if (postcopy)
				error_set(error, ERR_MIGRATION_CANCELATION_FAILED, "VM %s runs on %s already", vm->id, m->dst);
			else
				libvirt_error_set(error, ERR_MIGRATION_CANCELATION_FAILED, "VM %s", vm->id);
			return false;
		}
	}
	if (!jobs_cancel(agent->jobs, m->job, &cause) && !error_is(cause, ERR_JOB_NOT_ACTIVE)) {
		error_set(error, ERR_MIGRATION_CANCELATION_FAILED, "VM %s: %s", vm->id, cause->message);
		return false;
	}
	migration_cancel(agent->vms, m);
	return true;
}

static bool changed(int r, struct vm *vm, const char *what, GError **error)
{
	if (r < 0)
		libvirt_error_set(error, libvirt_error_code() == VIR_ERR_OPERATION_INVALID ? ERR_MIGRATION_NOT_IN_PROGRESS : ERR_MIGRATION_ERROR, "VM %s: %s", vm->id,
				  what);
	return r == 0;
}

unsigned long long migration_speed(int mib)
{
	return mib ? (unsigned long long)mib : (unsigned long long)(G_MAXINT64 >> 20);
}

static bool change_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct migration_change_params *p = params;
	const struct migration_change *c = p->params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	AUTO_MIGRATION m = vm ? under_way(vm, ERR_MIGRATION_NOT_IN_PROGRESS, error) : NULL;
	g_autoptr(virDomain) domain = m ? vm_domain(vm, error) : NULL;
	bool postcopy;

	if (!domain)
		return false;
	if (!is_running_phase(agent->vms, m, &postcopy)) {
		error_set(error, ERR_MIGRATION_NOT_IN_PROGRESS, "VM %s is not being sent yet", vm->id);
		return false;
	}
	if ((HAS(c, max_bandwidth) && !changed(virDomainMigrateSetMaxSpeed(domain, migration_speed(c->max_bandwidth),
									    postcopy ? VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY : 0), vm, "maxBandwidth", error)) ||
	    (HAS(c, downtime) && !changed(virDomainMigrateSetMaxDowntime(domain, (unsigned long long)c->downtime, 0), vm, "downtime", error)) ||
	    (c->postcopy && !postcopy && !changed(virDomainMigrateStartPostCopy(domain, 0), vm, "postcopy", error)))
		return false;
	AUTO_LOCK(&agent->vms->lock);
	if (HAS(c, max_bandwidth))
		m->max_bandwidth = c->max_bandwidth;
	if (HAS(c, downtime))
		m->max_downtime = c->downtime;
	return true;
}

static bool status_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	struct migration_stats *stats;

	if (!vm)
		return false;
	{
		AUTO_LOCK(&agent->vms->lock);
		stats = migration_locked_stats(vm->migration);
	}
	result_record(ret_result, stats);
	record_unref(stats);
	return true;
}

const struct verb_binding migration_bindings[] = {
	{ "VM.migrate", migrate_verb },
	{ "VM.migrateCancel", cancel_verb },
	{ "VM.migrateChangeParams", change_verb },
	{ "VM.getMigrationStatus", status_verb },
	{ "VM.migrationForecast", migration_forecast_verb },
	{ "VM.migrationCreate", migration_create_verb },
	{ "VM.migrationArrival", migration_arrival_verb },
};
const size_t n_migration_bindings = G_N_ELEMENTS(migration_bindings);

/* ---- at start ---- */

static bool read_settings(const struct config *config, struct migration_settings *s, GError **error)
{
	const char *transport = config_string(config, "migration", "transport");

	*s = (struct migration_settings){
		.outgoing_limit = (int)config_int(config, "migration", "outgoing_limit"),
		.incoming_limit = (int)config_int(config, "migration", "incoming_limit"),
		.bandwidth = (int)config_int(config, "migration", "bandwidth"),
		.downtime_ms = (int)config_int(config, "migration", "downtime"),
		.encrypted = config_bool(config, "migration", "encrypted"),
		.address = config_string(config, "migration", "address"),
		.look_usec = config_int(config, "migration", "schedule_period") * G_USEC_PER_SEC,
		.arrival_usec = config_int(config, "migration", "arrival_timeout") * G_USEC_PER_SEC,
		.postcopy_usec = config_int(config, "migration", "postcopy_timeout") * G_USEC_PER_SEC,
	};
	s->tls = transport && !strcmp(transport, "tls");
	if (s->tls || (transport && !strcmp(transport, "tcp")))
		return true;
	error_set(error, ERR_INVALID_CONFIGURATION, "[migration] transport=%s is neither tls nor tcp", transport ? transport : "");
	return false;
}

struct migrations *migrations_new(struct vms *vms, GError **error)
{
	struct migrations *migrations = g_new0(struct migrations, 1);

	migrations->vms = vms;
	migrations->outgoing = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, migration_unref);
	migrations->withdrawn = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (!read_settings(vms->agent->config, &migrations->settings, error))
		return migrations_free(migrations);
	jobs_register(vms->agent->jobs, &migration_kind, vms);
	jobs_register(vms->agent->jobs, &migration_undo_kind, vms);
	jobs_register(vms->agent->jobs, &incoming_kind, vms);
	return migrations;
}

struct migrations *migrations_free(struct migrations *migrations)
{
	if (!migrations)
		return NULL;
	g_hash_table_destroy(migrations->outgoing);
	g_hash_table_destroy(migrations->withdrawn);
	g_free(migrations);
	return NULL;
}

static bool has_job(struct vms *vms, const struct job_kind *kind, const char *vm_id)
{
	g_autoptr(GPtrArray) ids = jobs_active(vms->agent->jobs, kind, "vmID", vm_id);

	return ids->len > 0;
}

bool migration_has_job(struct vms *vms, const char *vm_id)
{
	return has_job(vms, &migration_kind, vm_id) || has_job(vms, &incoming_kind, vm_id);
}

void migrations_resumed(struct vms *vms)
{
	g_autoptr(GPtrArray) all = vms_all(vms);

	for (guint i = 0; i < all->len; i++) {
		struct vm *vm = all->pdata[i];
		bool leaves = has_job(vms, &migration_kind, vm->id), arrives;

		{
			AUTO_LOCK(&vms->lock);
			vm->leaving = leaves && vm->status != VM_WIRE_DOWN;
			vm->arriving = vm->arriving && !leaves;
			arrives = vm->arriving;
			leaves = vm->leaving;
		}
		if (leaves)
			vm_set_status(vm, VM_WIRE_MIGRATION_SOURCE);
		if (arrives)
			migration_found_arriving(vm);
	}
}
