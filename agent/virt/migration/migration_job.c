/* SPDX-License-Identifier: Apache-2.0 */
/* The job of a VM that leaves: its steps, and what is done when they fail. Theory of operation in migration.c. */
#define LOG_MODULE "migration"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/fault.h"
#include "agent/peer.h"
#include "agent/virt/device/device_hooks.h"
#include "agent/virt/life/end_scripts.h"
#include "agent/virt/migration/migration.h"
#include "common/lock.h"
#include "common/log.h"

#define LOOK_USEC (G_USEC_PER_SEC / 2)
#define RETRY_USEC (2 * G_USEC_PER_SEC)         /* no room there, no answer from there, no libvirt here */
#define RESUME_USEC (5 * G_USEC_PER_SEC)        /* between two tries to continue a broken post-copy */
#define SETTLE_USEC (2 * G_USEC_PER_SEC)        /* libvirt begins at once what it is told; what it has not begun by then it was not told */
#define CREATE_USEC (INT64_C(170) * G_USEC_PER_SEC)      /* hooks run there */
#define ASK_USEC (20 * G_USEC_PER_SEC)          /* to end a QEMU that hangs takes 10 s */
#define GONE_USEC (60 * G_USEC_PER_SEC)         /* the VM is gone from here and nobody there answers: then it counts as lost */
#define UNDO_USEC (INT64_C(24) * 3600 * G_USEC_PER_SEC)
#define UNDO_RETRY_USEC (60 * G_USEC_PER_SEC)
#define FILE_MAX (4 * 1024 * 1024)              /* of an image that is sent along */

struct leave {
	struct vms *vms;
	struct migration *m;
	struct job *job;
	json_t *state;
	struct vm *vm;                          /* NULL: destroyed, or nobody knows it after a restart */
	bool destroyed;
};

/* What a step says beside enum job_run: go on with the one that is now in the state. */
#define NEXT ((enum job_run)-1)

/* ---- asking the other agent ---- */

/* Whose migration it was, and where it went. */
struct journey { const char *vm_id, *migration_id, *host; int port; };

static bool ask_arrival(struct agent *agent, const struct journey *j, enum arrival_end end, enum arrival *ret_arrival, GError **error)
{
	json_t *params = json_pack("{s:s, s:s, s:s}", "vmID", j->vm_id, "migrationID", j->migration_id, "end", arrival_end_names[end]);
	struct peer_call call = { .host = j->host, .port = j->port, .method = "VM.migrationArrival", .params = params, .timeout_usec = ASK_USEC };
	json_t *result = peer_ask(agent, &call, error);
	const char *text = json_string_value(json_object_get(result, "state"));
	int state = text ? enum_value(arrival_names, text) : -1;

	if (result && state < 0)
		error_set(error, ERR_NO_CONNECTION_TO_PEER, "agent of %s: an answer to %s that is not understood", call.host, call.method);
	json_decref(params);
	json_decref(result);
	if (state < 0)
		return false;
	*ret_arrival = (enum arrival)state;
	return true;
}

static bool ask(const struct leave *l, enum arrival_end end, enum arrival *ret_arrival, GError **error)
{
	struct journey journey = { l->m->vm_id, l->m->job, l->m->host, l->m->port };

	return ask_arrival(l->vms->agent, &journey, end, ret_arrival, error);
}

/* ---- undo: a job of its own, since the VM has nothing to do with it any more ---- */

static const char *text_of(const json_t *request, const char *member)
{
	return json_string_value(json_object_get(request, member));
}

static enum job_run undo_run(struct job *job, json_t *state, void *context, GError **error)
{
	struct vms *vms = context;
	const json_t *request = json_object_get(state, "request");
	struct journey journey = {
		text_of(request, "vmID"), text_of(request, "migrationID"), text_of(request, "host"), (int)json_integer_value(json_object_get(request, "port")),
	};
	int end = enum_value(arrival_end_names, text_of(request, "end"));
	int64_t age = (wall_msec() - json_integer_value(json_object_get(request, "since"))) * 1000;
	g_autoptr(GError) cause = NULL;
	enum arrival arrival;

	if (ask_arrival(vms->agent, &journey, (enum arrival_end)end, &arrival, &cause))
		return JOB_DONE;
	if (age > UNDO_USEC || job_canceled(job)) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return JOB_FAILED;
	}
	log_debug("what is left there of a migration that failed is not ended yet: %s", cause->message);
	job_wake_after(job, CLAMP(age / 8, RETRY_USEC, UNDO_RETRY_USEC));
	return JOB_WAITS;
}

const struct job_kind migration_undo_kind = { .name = "migration-undo", .type = "virt", .run = undo_run };

static void undo_later(const struct leave *l, enum arrival_end end)
{
	g_autofree char *lane = g_strconcat("migration-undo/", l->m->job, NULL), *what = g_strdup_printf("end what is left of VM %s on %s", l->m->vm_id, l->m->dst);
	struct job_order order = { .kind = &migration_undo_kind, .description = what, .lane = lane };
	g_autoptr(GError) error = NULL;

	order.request = json_pack("{s:s, s:s, s:s, s:i, s:s, s:I}", "vmID", l->m->vm_id, "migrationID", l->m->job, "host", l->m->host, "port", l->m->port, "end",
				  arrival_end_names[end], "since", (json_int_t)wall_msec());
	if (!jobs_begin(l->vms->agent->jobs, &order, NULL, &error))
		log_error("VM %s: what the agent of %s made ready is not taken back, it does so itself after a while: %s", l->m->vm_id, l->m->dst, error->message);
	json_decref(order.request);
}

/* At once, so that the VM may go there again as soon as it is told to stay; or when the other agent can be reached. */
static void undo(const struct leave *l, enum arrival_end end)
{
	g_autoptr(GError) error = NULL;
	enum arrival arrival;

	if (!json_object_get(l->state, "created") || ask(l, end, &arrival, &error))
		return;
	log_warn("VM %s: %s; trying again until it answers", l->m->vm_id, error->message);
	undo_later(l, end);
}

/* ---- ends ---- */

/* The VM stays here, or ended before libvirt was told. */
static enum job_run failed(struct leave *l, GError *cause, GError **error)
{
	undo(l, ARRIVAL_END);
	if (migration_is_canceled(l->vms, l->m) || job_canceled(l->job)) {
		g_clear_error(&cause);
		error_set_literal(&cause, ERR_MIGRATION_CANCELATION_FAILED, "Migration canceled");
	}
	/* first: who is told that it is Up may ask why at once */
	migration_over(l->vms, l->m, cause->code, cause->message);
	if (l->vm && vm_check_running(l->vm, NULL))
		migration_stay(l->vm);
	g_propagate_error(error, cause);
	return JOB_FAILED;
}

static enum job_run fail(struct leave *l, GError **error, enum error_code code, const char *why)
{
	GError *cause = NULL;

	error_set(&cause, code, "%s", why);
	return failed(l, cause, error);
}

/* After a restart nobody knows a VM whose domain is gone. */
static void show_down(struct leave *l, int code, enum vm_exit_reason reason, const char *message)
{
	if (!l->vm) {
		struct vm *vm = vm_new(l->vms, l->m->vm_id);

		set_string(&vm->name, json_string_value(json_object_get(json_object_get(l->state, "request"), "name")));
		{
			AUTO_LOCK(&l->vms->lock);
			vm->migration = migration_ref(l->m);
			l->m->known = true;
		}
		end_scripts_recall(vm);
		if (vms_add(l->vms, vm, NULL))
			l->vm = vm_ref(vm);
		vm_unref(vm);
	}
	if (l->vm)
		vm_set_down(l->vm, code, reason, message);
}

/* It is not here, and did not arrive there either, as far as can be known. */
static enum job_run lost(struct leave *l, enum vm_exit_reason reason, const char *why, GError **error)
{
	if (!l->destroyed)
		show_down(l, 1, reason, NULL);
	migration_over(l->vms, l->m, ERR_MIGRATION_ERROR, why);
	error_set(error, ERR_MIGRATION_ERROR, "%s", why);
	return JOB_FAILED;
}

static enum job_run migrated(struct leave *l, GError **error)
{
	if (!job_step(l->job, l->state, "finish", error))
		return JOB_FAILED;
	return NEXT;
}

/* ---- steps ---- */

static enum job_run wait(const struct leave *l, int64_t usec)
{
	job_wake_after(l->job, usec);
	return JOB_WAITS;
}

static enum job_run step(const struct leave *l, const char *name, GError **error)
{
	return job_step(l->job, l->state, name, error) ? NEXT : JOB_FAILED;
}

static enum job_run queued(struct leave *l, GError **error)
{
	int64_t left;

	if (!l->vm || !vm_check_running(l->vm, NULL))
		return fail(l, error, ERR_MIGRATION_ERROR, "the VM ended before it could leave");
	if (migration_is_canceled(l->vms, l->m))
		return fail(l, error, ERR_MIGRATION_CANCELATION_FAILED, "canceled");
	{
		AUTO_LOCK(&l->vms->lock);
		left = l->m->retry_usec - now_usec();
		if (left <= 0)
			l->m->retry_usec = 0;
		l->m->phase = PHASE_QUEUED;
	}
	if (left > 0)
		return wait(l, left);
	if (!migration_take_place(l->vms, l->m, /* force= */ false))
		return JOB_WAITS;
	migration_set_phase(l->vms, l->m, PHASE_PREPARING);
	return step(l, "prepare", error);
}

static enum job_run prepare(struct leave *l, GError **error)
{
	GError *cause = NULL;

	migration_set_phase(l->vms, l->m, PHASE_PREPARING);
	(void)migration_take_place(l->vms, l->m, /* force= */ true);
	if (!l->vm || !vm_check_running(l->vm, NULL))
		return fail(l, error, ERR_MIGRATION_ERROR, "the VM ended before it could leave");
	if (!device_hooks(l->vm, "before_device_migrate_source", NULL, NULL, &cause) ||
	    !vm_hook(l->vm, "before_vm_migrate_source", NULL, NULL, NULL, &cause))
		return failed(l, cause, error);
	json_object_set_new(l->state, "created", json_true());
	return step(l, "create", error);
}

/* Images that the agent made here, for this run of the VM: payload disks. */
static json_t *images_of(const struct leave *l)
{
	json_t *files = json_object();
	g_autoptr(GDir) names = g_dir_open(l->vms->files_dir, 0, NULL);
	const char *name;

	while (names && (name = g_dir_read_name(names))) {
		g_autofree char *path = g_build_filename(l->vms->files_dir, name, NULL), *content = NULL, *text = NULL;
		struct stat st;
		gsize length = 0;

		if (!g_str_has_prefix(name, l->m->vm_id) || !g_str_has_suffix(name, ".img") || lstat(path, &st) < 0 || st.st_size > FILE_MAX ||
		    !g_file_get_contents(path, &content, &length, NULL))
			continue;
		text = g_base64_encode((const guchar *)content, length);
		json_object_set_new(files, name, json_string(text));
	}
	return files;
}

static json_t *offer(const struct leave *l, const char *xml)
{
	struct migration_create_params *p = record_new(&migration_create_params_type);
	json_t *json;

	set_string(&p->vm_id, l->m->vm_id);
	p->params = record_new(&incoming_vm_type);
	set_string(&p->params->vm_id, l->m->vm_id);
	set_string(&p->params->xml, xml);
	set_string(&p->params->migration_id, l->m->job);
	set_string(&p->params->source, g_get_host_name());
	if (HAS(l->m->options, incoming_limit))
		SET(p, incoming_limit, l->m->options->incoming_limit);
	{
		AUTO_LOCK(&l->vms->lock);
		SET(p->params, elapsed, l->vm->start_time > 0 ? MAX((double)wall_msec() / 1e3 - l->vm->start_time, 0.0) : 0.0);
		SET(p->params, time_offset, l->vm->time_offset);
	}
	p->params->files = images_of(l);
	json = record_to_json(p, RECORD_CHANNEL);
	record_unref(p);
	return json;
}

static json_t *ask_create(const struct leave *l, const char *xml, GError **error)
{
	json_t *params = offer(l, xml), *answer;
	struct peer_call call = {
		.host = l->m->host, .port = l->m->port, .method = "VM.migrationCreate", .params = params,
		.flow_id = text_of(json_object_get(l->state, "request"), "flow"), .timeout_usec = CREATE_USEC, .job = l->job,
	};

	answer = peer_ask(l->vms->agent, &call, error);
	json_decref(params);
	return answer;
}

static struct migration_created *read_created(const struct leave *l, const json_t *json, GError **error)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct migration_created *created = record_from_json(&migration_created_type, json, &input, error);

	record_input_clear(&input);
	if (created && created->params && created->params->xml)
		return created;
	if (created)
		error_set(error, ERR_NO_CONNECTION_TO_PEER, "agent of %s: VM.migrationCreate answers without params/xml", l->m->host);
	record_unref(created);
	return NULL;
}

static enum job_run no_room(struct leave *l, GError **error)
{
	log_info("VM %s waits: %s has no room for more", l->m->vm_id, l->m->dst);
	{
		AUTO_LOCK(&l->vms->lock);
		l->m->retry_usec = now_usec() + RETRY_USEC;
	}
	migration_leave_place(l->vms, l->m);
	json_object_del(l->state, "created");
	return step(l, "queue", error);
}

static enum job_run start_call(struct leave *l, virDomainPtr domain, const struct migration_created *created, GError **error)
{
	GError *cause = NULL;

	if (created->params->address && *created->params->address) {
		set_string(&l->m->address, created->params->address);
		json_object_set_new(l->state, "address", json_string(l->m->address));
	}
	if (!migration_start_actions(l->vms, l->m, domain, &cause))
		return failed(l, cause, error);
	if (step(l, "run", error) != NEXT)
		return JOB_FAILED;
	migration_set_phase(l->vms, l->m, PHASE_RUNNING);
	if (!migration_call_begin(l->vms, l->m, created->params->xml, &cause))
		return failed(l, cause, error);
	fault_point("migration: libvirt is called");
	return wait(l, LOOK_USEC / 5);
}

static enum job_run create(struct leave *l, GError **error)
{
	g_autoptr(virDomain) domain = NULL;
	g_autofree char *xml = NULL;
	struct migration_created *created;
	GError *cause = NULL;
	json_t *answer;
	enum job_run next;

	migration_set_phase(l->vms, l->m, PHASE_PREPARING);
	(void)migration_take_place(l->vms, l->m, /* force= */ true);
	if (!l->vm || !vm_check_running(l->vm, NULL))
		return fail(l, error, ERR_MIGRATION_ERROR, "the VM ended before it could leave");
	if (!(domain = vm_domain(l->vm, &cause)) || !(xml = migration_domain_xml(domain, &cause)))
		return error_is(cause, ERR_RESOURCE_UNAVAILABLE) ? (g_clear_error(&cause), wait(l, RETRY_USEC)) : failed(l, cause, error);
	answer = ask_create(l, xml, &cause);
	if (!answer && error_is(cause, ERR_MIGRATION_LIMIT_EXCEEDED)) {
		g_clear_error(&cause);
		return no_room(l, error);
	}
	created = answer ? read_created(l, answer, &cause) : NULL;
	json_decref(answer);
	if (!created)
		return failed(l, cause, error);
	fault_point("migration: created");
	if (migration_is_canceled(l->vms, l->m))
		next = fail(l, error, ERR_MIGRATION_CANCELATION_FAILED, "canceled");
	else
		next = start_call(l, domain, created, error);
	record_unref(created);
	return next;
}

/* ---- run: what is true? ---- */

enum where { WHERE_UNKNOWN, WHERE_MOVING, WHERE_HERE, WHERE_HELD, WHERE_GONE, WHERE_BROKEN };

static enum where where(struct leave *l, enum migration_call call, virDomainPtr *ret_domain)
{
	g_autoptr(virConnect) conn = libvirt_connection_get(l->vms->connection, NULL);
	virDomainPtr domain = conn ? virDomainLookupByUUIDString(conn, l->m->vm_id) : NULL;
	int state = 0, reason = 0;

	*ret_domain = domain;
	if (!conn || (!domain && libvirt_error_code() != VIR_ERR_NO_DOMAIN))
		return WHERE_UNKNOWN;
	if (!domain || virDomainGetState(domain, &state, &reason, 0) < 0)
		return !domain || libvirt_error_code() == VIR_ERR_NO_DOMAIN ? WHERE_GONE : WHERE_UNKNOWN;
	if (state == VIR_DOMAIN_SHUTOFF || state == VIR_DOMAIN_CRASHED)
		return WHERE_GONE;
	if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED)
		return WHERE_BROKEN;
	/* in its downtime: whatever QEMU is asked now makes that longer */
	if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION && call == CALL_OUT)
		return WHERE_MOVING;
	if (migration_look(l->vms, l->m, l->job, l->state, domain))
		return WHERE_MOVING;
	return state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION ? WHERE_HELD : WHERE_HERE;
}

struct call_outcome { enum migration_call call; bool good; int code; char *error; };

static struct call_outcome outcome_of(const struct leave *l)
{
	AUTO_LOCK(&l->vms->lock);
	return (struct call_outcome){ l->m->call, l->m->call_good, l->m->call_code, g_strdup(l->m->call_error) };
}

/* Since when something is so, in the journal: a restart does not begin anew. */
static int64_t since(const struct leave *l, const char *what)
{
	json_t *at = json_object_get(l->state, what);

	if (!at)
		json_object_set_new(l->state, what, json_integer(wall_msec()));
	return at ? (wall_msec() - json_integer_value(at)) * 1000 : 0;
}

static bool is_given_up(const struct leave *l)
{
	AUTO_LOCK(&l->vms->lock);
	return l->m->given_up;
}

static enum job_run stays(struct leave *l, const struct call_outcome *outcome, GError **error)
{
	GError *cause = NULL;

	if ((outcome->call == CALL_NONE || outcome->good) && since(l, "here") < SETTLE_USEC)
		return wait(l, SETTLE_USEC / 4);
	/* the other QEMU may be the first to say that it was aborted, in its words */
	if (outcome->code == VIR_ERR_OPERATION_ABORTED || is_given_up(l)) {
		error_set_literal(&cause, ERR_MIGRATION_CANCELATION_FAILED, is_given_up(l) ? "Migration canceled: it did not converge" : "Migration canceled");
		return failed(l, cause, error);
	}
	return fail(l, error, outcome->code == VIR_ERR_OPERATION_FAILED ? ERR_MIGRATION_OPERATION_ERROR : ERR_MIGRATION_ERROR,
		    outcome->error ? outcome->error : "the agent was restarted, and libvirt does not migrate it any more");
}

static enum job_run not_known(struct leave *l, const GError *cause)
{
	log_warn("VM %s: it is not known whether it runs on %s: %s", l->m->vm_id, l->m->dst, cause->message);
	{
		AUTO_LOCK(&l->vms->lock);
		set_string(&l->m->message, cause->message);
	}
	return wait(l, RETRY_USEC);
}

static enum job_run held(struct leave *l, virDomainPtr domain, GError **error)
{
	g_autoptr(GError) cause = NULL;
	enum arrival arrival;

	if (!ask(l, since(l, "held") > GONE_USEC ? ARRIVAL_END_WAITING : ARRIVAL_KEEP, &arrival, &cause))
		return not_known(l, cause);
	if (arrival == ARRIVAL_ARRIVED) {
		log_warn("VM %s runs on %s: what is left of it here is ended", l->m->vm_id, l->m->dst);
		if (virDomainDestroy(domain) < 0 && libvirt_error_code() != VIR_ERR_NO_DOMAIN && libvirt_error_code() != VIR_ERR_OPERATION_INVALID)
			return wait(l, RETRY_USEC);
		return migrated(l, error);
	}
	if (arrival != ARRIVAL_NONE)
		return wait(l, RETRY_USEC);
	log_warn("VM %s did not come to %s: it goes on here", l->m->vm_id, l->m->dst);
	if (virDomainResume(domain) < 0) {
		libvirt_error_set(&cause, ERR_MIGRATION_ERROR, "resume");
		return not_known(l, cause);
	}
	return fail(l, error, ERR_MIGRATION_ERROR, "the connection broke at the end");
}

/* libvirt's last word on it */
static bool is_told_migrated(const struct leave *l)
{
	if (!l->vm)
		return false;
	AUTO_LOCK(&l->vms->lock);
	return l->vm->status == VM_WIRE_DOWN && l->vm->exit_reason == VM_EXIT_MIGRATED;
}

static enum job_run gone(struct leave *l, const struct call_outcome *outcome, GError **error)
{
	g_autoptr(GError) cause = NULL;
	enum arrival arrival = ARRIVAL_NONE;

	if ((outcome->call == CALL_BACK && outcome->good) || is_told_migrated(l))
		return migrated(l, error);
	if (l->destroyed) {
		undo(l, ARRIVAL_END_WAITING);
		return lost(l, VM_EXIT_ADMIN_SHUTDOWN, "the VM was destroyed", error);
	}
	if (!ask(l, ARRIVAL_KEEP, &arrival, &cause)) {
		if (since(l, "gone") < GONE_USEC)
			return not_known(l, cause);
		return lost(l, VM_EXIT_DOMAIN_MISSING, cause->message, error);
	}
	if (arrival == ARRIVAL_ARRIVED)
		return migrated(l, error);
	if ((arrival == ARRIVAL_WAITING || arrival == ARRIVAL_POSTCOPY) && since(l, "gone") < GONE_USEC)
		return wait(l, RETRY_USEC);
	undo(l, arrival == ARRIVAL_WAITING ? ARRIVAL_END_WAITING : ARRIVAL_END);
	return lost(l, arrival == ARRIVAL_NONE || arrival == ARRIVAL_WAITING ? VM_EXIT_LOST_QEMU : VM_EXIT_POSTCOPY_FAILED,
		    outcome->error ? outcome->error : "QEMU ended while its memory was sent", error);
}

static enum job_run broken(struct leave *l, const struct call_outcome *outcome, GError **error)
{
	g_autoptr(GError) cause = NULL;
	int64_t age = since(l, "broken");

	if (age < l->vms->migrations->settings.postcopy_usec) {
		/* QEMU may not have noticed that it is broken, and go on as soon as the network does; libvirt then refuses to continue it */
		if (outcome->call != CALL_OUT && now_usec() >= l->m->resume_usec) {
			l->m->resume_usec = now_usec() + RESUME_USEC;
			if (!migration_call_resume(l->vms, l->m, &cause))
				log_warn("VM %s: %s", l->m->vm_id, cause->message);
		}
		return wait(l, LOOK_USEC);
	}
	log_error("VM %s: its post-copy broke %.0f s ago and could not be continued: it is lost, both halves are ended", l->m->vm_id, (double)age / 1e6);
	undo(l, ARRIVAL_END);
	if (l->vm && !vm_cut_off(l->vm, 1, &cause)) {
		log_error("VM %s: %s", l->m->vm_id, cause->message);
		return wait(l, RETRY_USEC);
	}
	return lost(l, VM_EXIT_POSTCOPY_FAILED, outcome->error ? outcome->error : "post-copy failed", error);
}

/* One that was paused on its way: for libvirt that only makes the migration faster, it lets it run in the end. */
static bool is_to_pause(const struct leave *l)
{
	bool pause;

	if (!l->vm)
		return json_object_get(l->state, "pause");
	AUTO_LOCK(&l->vms->lock);
	pause = l->vm->pause_on_arrival || json_object_get(l->state, "pause");
	l->vm->pause_on_arrival = pause;
	return pause;
}

static void tell_pause(struct leave *l)
{
	json_t *params, *answer;
	struct peer_call call = { .host = l->m->host, .port = l->m->port, .method = "VM.pause", .timeout_usec = ASK_USEC };
	g_autoptr(GError) error = NULL;

	if (!is_to_pause(l) || json_is_true(json_object_get(l->state, "pause")))
		return;
	call.params = params = json_pack("{s:s}", "vmID", l->m->vm_id);
	answer = peer_ask(l->vms->agent, &call, &error);
	/* false: to be told yet */
	json_object_set_new(l->state, "pause", json_boolean(answer));
	if (!answer || !job_step(l->job, l->state, json_string_value(json_object_get(l->state, "step")), &error))
		log_warn("VM %s was paused on its way, and may run on %s: %s", l->m->vm_id, l->m->dst, error->message);
	json_decref(answer);
	json_decref(params);
}

static enum job_run run(struct leave *l, GError **error)
{
	g_autoptr(virDomain) domain = NULL;
	struct call_outcome outcome = outcome_of(l);
	enum where is = where(l, outcome.call, &domain);
	g_autofree G_GNUC_UNUSED char *words = outcome.error;
	enum job_run next = wait(l, LOOK_USEC);

	migration_set_phase(l->vms, l->m, PHASE_RUNNING);
	(void)migration_take_place(l->vms, l->m, /* force= */ true);
	fault_point("migration: looked");
	if (is == WHERE_UNKNOWN)
		return wait(l, RETRY_USEC);
	if (is == WHERE_MOVING || is == WHERE_BROKEN)
		json_object_del(l->state, "here");
	if (is == WHERE_MOVING)
		json_object_del(l->state, "broken");
	if (is == WHERE_BROKEN)
		return broken(l, &outcome, error);
	if (is == WHERE_MOVING)
		tell_pause(l);
	if (is == WHERE_MOVING || outcome.call == CALL_OUT)
		return next;
	switch (is) {
	case WHERE_HELD: return held(l, domain, error);
	case WHERE_GONE: return gone(l, &outcome, error);
	default: return stays(l, &outcome, error);
	}
}

static enum job_run finish(struct leave *l, GError **error)
{
	migration_set_phase(l->vms, l->m, PHASE_FINISHING);
	tell_pause(l);
	if (!l->destroyed)
		show_down(l, 0, VM_EXIT_MIGRATED, NULL);
	if (l->vm) {
		(void)vm_hook(l->vm, "after_vm_migrate_source", NULL, NULL, NULL, NULL);
		(void)device_hooks(l->vm, "after_device_migrate_source", NULL, NULL, NULL);
	}
	fault_point("migration: finished");
	migration_over(l->vms, l->m, 0, "Migration done");
	return JOB_DONE;
}

/* ---- the job ---- */

json_t *migration_request(struct vm *vm, const struct migrate_params *params, int64_t queued_msec, const char *flow_id)
{
	json_t *request = json_pack("{s:s, s:o, s:I}", "vmID", vm->id, "params", record_to_json(params->params, RECORD_CHANNEL), "queued",
				    (json_int_t)queued_msec);

	if (flow_id)
		json_object_set_new(request, "flow", json_string(flow_id));
	AUTO_LOCK(&vm->vms->lock);
	json_object_set_new(request, "name", json_string(vm->name ? vm->name : ""));
	return request;
}

/* After a restart: from what is in the file. */
static struct migration *revive(struct vms *vms, struct job *job, const json_t *state, GError **error)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct migrate_params *params = record_from_json(&migrate_params_type, json_object_get(state, "request"), &input, error);
	struct migration *m;
	struct vm *vm;

	record_input_clear(&input);
	if (!params)
		return NULL;
	m = migration_new(vms, job_id(job), params, json_integer_value(json_object_get(json_object_get(state, "request"), "queued")), error);
	record_unref(params);
	if (!m)
		return NULL;
	set_string(&m->address, text_of(state, "address"));
	AUTO_LOCK(&vms->lock);
	vm = g_hash_table_lookup(vms->table, m->vm_id);
	if (vm && !vm->migration && vm->status != VM_WIRE_DOWN) {
		vm->migration = migration_ref(m);
		vm->leaving = m->known = true;
	}
	return m;
}

static enum job_run migration_run(struct job *job, json_t *state, void *context, GError **error)
{
	static const struct { const char *name; enum job_run (*fn)(struct leave *l, GError **error); } steps[] = {
		{ "queue", queued }, { "prepare", prepare }, { "create", create }, { "run", run }, { "finish", finish },
	};
	struct vms *vms = context;
	AUTO_MIGRATION m = migration_find(vms, job_id(job));
	struct leave l = { .vms = vms, .job = job, .state = state };
	enum job_run next;

	if (!m && !(m = revive(vms, job, state, error)))
		return JOB_FAILED;
	l.m = m;
	l.vm = migration_vm(vms, m);
	l.destroyed = !l.vm && m->known;
	if (!json_object_get(state, "step"))
		json_object_set_new(state, "step", json_string("queue"));
	if (job_canceled(job))
		migration_cancel(vms, m);
	do {
		const char *name = json_string_value(json_object_get(state, "step"));
		size_t i = 0;

		while (i < G_N_ELEMENTS(steps) - 1 && strcmp(steps[i].name, name))
			i++;
		next = steps[i].fn(&l, error);
	} while (next == NEXT);
	vm_unref(l.vm);
	return next;
}

const struct job_kind migration_kind = { .name = "migration", .type = "virt", .run = migration_run };
