/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.start_backup, VM.stop_backup, VM.backup_info: disks of a running VM as they were at one moment, to be read over NBD while the guest goes on.
 *
 * libvirt's pull mode: QEMU keeps what the guest overwrites in a scratch disk for each disk and serves both on the socket run_dir/backup/<backup id>;
 * since a checkpoint, with what has changed as qemu:dirty-bitmap:backup-<disk>. The socket's name says whose backup libvirt's is. libvirt can do one at a time.
 *
 * VM.start_backup, on the VM's lane:
 *
 *	begun      the job is on disk: from here on nothing is left behind, whoever dies
 *	hook       before_vm_backup may fail it (1500)
 *	scratch    state_dir/scratch/<vm>.<backup>.<disk>, unless the caller has made one
 *	join       when libvirt cannot count what changed since the checkpoint (marks.c)
 *	freeze     as VM.freeze with its hooks; frozen by the caller already: left as it is. A guest that cannot be frozen is taken as it is, unless
 *	           require_consistency; a script before_vm_freeze that fails ends it
 *	begin      virDomainBackupBegin(); then thaw, at vm.frozen_limit at the latest. That late, the guest wrote before its moment came: with
 *	           require_consistency it is undone
 *
 * The job, on the same lane, is there from "begun" to the end. It asks libvirt whether the backup runs:
 *
 *	yes                          it waits: for libvirt's event that it ended, or to be canceled, which VM.stop_backup does, or for a scratch disk without room
 *	                             (is_starved()): then libvirt is to end it. It is not canceled while a disk is attached or served as it was at its moment:
 *	                             whoever did that ends it first
 *	no, or the VM has ended      the scratch disks and the socket are removed, after_vm_backup, over
 *	libvirt is still at it       it looks again
 *
 * So it does not matter at which step an agent died: the next one's job finds a backup that runs, which VM.backup_info tells of and the same
 * VM.start_backup again, or removes what there is of it. A guest that the dead one may have frozen for it is thawed.
 *
 * What does not go together with a backup is refused as long as the job is there (backup_allows()): libvirt would let the caller wait for half a minute.
 */
#define LOG_MODULE "backup"
#include "agent/virt/backup/backup.h"

#include <errno.h>
#include <grp.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/fault.h"
#include "agent/storage/storage.h"
#include "agent/virt/guest/guest.h"
#include "common/xml.h"
#include "common/lock.h"
#include "common/log.h"

#define LOOK_USEC (60 * G_USEC_PER_SEC)          /* at one that runs: events tell sooner */
#define STOP_WAIT_S (VERB_DEADLINE_S - 5)

static const char *text(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

/* ---- files ---- */

/* Others than root pass it and make files in it, but do not see what is there. */
static bool make_dir(const char *parent, const char *name, mode_t mode, GError **error)
{
	g_autofree char *dir = g_build_filename(parent, name, NULL);
	const struct group *kvm = getgrnam("kvm");

	if ((mkdir(dir, 0700) == 0 || errno == EEXIST) && (!kvm || chown(dir, (uid_t)-1, kvm->gr_gid) == 0) && chmod(dir, mode) == 0)
		return true;
	error_set_errno(error, ERR_IO_FAILED, errno, "directory %s", dir);
	return false;
}

bool backup_make_dirs(struct agent *agent, GError **error)
{
	return make_dir(agent->run_dir, "backup", 0730, error) && make_dir(agent->state_dir, "scratch", 0710, error);
}

static char *socket_path(const struct agent *agent, const char *id)
{
	return g_build_filename(agent->run_dir, "backup", id, NULL);
}

/* ---- what libvirt says ---- */

enum truth { TRUTH_UNKNOWN, TRUTH_NONE, TRUTH_RUNS };

/* ret_doc: libvirt's <domainbackup> when it runs; may be NULL. */
static enum truth look(struct block_job *b, const char *id, xmlDoc **ret_doc, GError **error)
{
	char *xml = virDomainBackupGetXMLDesc(b->live->domain, 0);
	g_autofree char *socket = socket_path(b->vm->vms->agent, id);
	g_autoptr(xmlDoc) doc = NULL;
	bool ours;

	if (!xml && libvirt_error_code() == VIR_ERR_NO_DOMAIN_BACKUP)
		return TRUTH_NONE;
	if (!xml) {
		live_failed(b->live, error, ERR_BACKUP_ERROR, "backup %s", id);
		return TRUTH_UNKNOWN;
	}
	doc = xml_parse(xml, strlen(xml), error);
	free(xml);
	ours = doc && xml_is(xml_child(xmlDocGetRootElement(doc), "server"), "socket", socket);
	if (ours && ret_doc)
		*ret_doc = g_steal_pointer(&doc);
	return ours ? TRUTH_RUNS : doc ? TRUTH_NONE : TRUTH_UNKNOWN;
}

/* A call of an agent that died, or whose connection did, may still be under way. */
static bool may_begin_yet(struct block_job *b)
{
	virDomainJobInfo info = { 0 };

	return virDomainGetJobInfo(b->live->domain, &info) < 0 || info.type != VIR_DOMAIN_JOB_NONE;
}

/* {disks: {imageID: url}, checkpoint?}: as with vdsm, without it when libvirt does not know it. */
static void answer(struct block_job *b, xmlDoc *doc, const char *checkpoint_id, GString *ret_result)
{
	xmlNode *root = xmlDocGetRootElement(doc);
	g_autofree char *socket = xml_get(xml_child(root, "server"), "socket");
	g_autoptr(GError) cause = NULL;
	g_autofree char *checkpoint = checkpoint_id ? checkpoint_describe(b->live->domain, checkpoint_id, &cause) : NULL;
	json_t *urls = json_object(), *answer = json_pack("{s:o}", "disks", urls);

	for XML_EACH(disk, xml_child(root, "disks"), "disk") {
		g_autofree char *target = xml_get(disk, "name"), *export = xml_get(disk, "exportname");
		const struct disk_chain *chain = disk_chains_find(b->chains, &(struct disk_key){ .target = target });

		if (xml_is(disk, "backup", "yes") && chain && chain->image)
			json_object_set_new(urls, chain->image, json_sprintf("nbd:unix:%s:exportname=%s", socket, export ? export : target));
	}
	if (checkpoint)
		json_object_set_new(answer, "checkpoint", json_string(checkpoint));
	if (cause)
		log_warn("VM %s: %s", b->vm->id, cause->message);
	result_json(ret_result, answer);
}

/* ---- which backups there are ---- */

/* The request of the one of the VM; new reference; NULL: none. */
static json_t *active(struct vms *vms, const char *vm_id)
{
	g_autoptr(GPtrArray) requests = jobs_requests(vms->agent->jobs, &backup_kind, /* ending= */ true);

	for (guint i = 0; i < requests->len; i++)
		if (!g_strcmp0(text(requests->pdata[i], "vmID"), vm_id))
			return json_incref(requests->pdata[i]);
	return NULL;
}

static bool has_disk(const json_t *request, const char *target)
{
	const json_t *planned;
	size_t i;

	json_array_foreach(json_object_get(request, "disks"), i, planned)
		if (!strcmp(text(planned, "target"), target))
			return true;
	return false;
}

bool backup_allows(struct vm *vm, const char *target, enum error_code code, const char *done, GError **error)
{
	json_t *request = active(vm->vms, vm->id);
	bool busy = request && (!target || has_disk(request, target));

	if (busy && target)
		error_set(error, code, "disk %s of VM %s is in backup %s and cannot be %s before that ends", target, vm->id, text(request, "backupID"), done);
	else if (busy)
		error_set(error, code, "VM %s is in backup %s and cannot be %s before that ends", vm->id, text(request, "backupID"), done);
	json_decref(request);
	return !busy;
}

/* The disk's place in the config; NULL: it is not in the backup, or with another volume. */
static const char *target_of(const json_t *request, const struct storage_disk *disk)
{
	const json_t *wanted;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(request, "config"), "disks"), i, wanted)
		if (!g_strcmp0(text(wanted, "domainID"), disk->domain) && !g_strcmp0(text(wanted, "imageID"), disk->image) &&
		    !g_strcmp0(text(wanted, "volumeID"), disk->volume))
			return text(json_array_get(json_object_get(request, "disks"), i), "target");
	return NULL;
}

char *backup_moment(struct agent *agent, const struct storage_disk *disk, const char *moment, GError **error)
{
	g_autoptr(GPtrArray) requests = jobs_requests(agent->jobs, &backup_kind, /* ending= */ false);
	bool found = false;

	for (guint i = 0; i < requests->len; i++) {
		const json_t *request = requests->pdata[i];
		const char *id = text(request, "backupID"), *target = target_of(request, disk);
		g_autofree char *socket = socket_path(agent, id);

		if (strcmp(id, moment) && g_strcmp0(text(json_object_get(request, "config"), "to_checkpoint_id"), moment))
			continue;
		if (target)
			return g_strdup_printf("nbd:unix:%s:exportname=%s", socket, target);
		found = true;
	}
	if (found)
		error_set(error, ERR_NO_SUCH_CHECKPOINT_ERROR, "%s: volume %s of image %s is not in that backup", moment, disk->volume, disk->image);
	else
		error_set(error, ERR_NO_SUCH_CHECKPOINT_ERROR,
			  "%s: no backup that runs was made with it; what image %s was then is kept only until that ends", moment, disk->image);
	return NULL;
}

/* ---- the job ---- */

static enum job_run wait_again(struct job *job, int64_t delay_usec)
{
	job_wake_after(job, delay_usec);
	return JOB_WAITS;
}

static void tell_hook(struct vm *vm, const char *point, const char *id, const char *result)
{
	json_t *parameters = json_pack("{s:s, s:s}", "BACKUP_ID", id, "BACKUP_RESULT", result);

	(void)vm_hook(vm, point, NULL, parameters, NULL, NULL);
	json_decref(parameters);
}

/* It does not run (any more). */
static enum job_run over(struct job *job, json_t *state, struct vms *vms, const char *why, GError **error)
{
	const json_t *request = json_object_get(state, "request");
	const char *id = text(request, "backupID");
	g_autofree char *socket = socket_path(vms->agent, id);
	AUTO_VM vm = vms_lookup(vms, text(request, "vmID"));
	bool stopped = job_canceled(job);

	backup_remove_scratch(json_object_get(request, "disks"));
	fault_point("backup: scratch removed");
	if (unlink(socket) < 0 && errno != ENOENT)
		log_warn("'%s' cannot be removed: %s", socket, g_strerror(errno));
	if (vm)
		tell_hook(vm, "after_vm_backup", id, stopped ? "done" : "failed");
	fault_point("backup: told");
	if (!stopped)
		error_set(error, ERR_BACKUP_ERROR, "backup %s of VM %s: %s", id, text(request, "vmID"), why);
	return stopped ? JOB_DONE : JOB_FAILED;
}

/*
 * QEMU does not write over what it cannot keep: when a scratch disk is full it stops the guest. One that is a thin volume becomes larger here, as disks do, and
 * the guest goes on (resume.c). If there is no room to be had, the guest is worth more than its backup.
 */
static bool is_starved(const struct vm *vm, const json_t *request)
{
	const json_t *planned;
	size_t i;

	{
		AUTO_LOCK(&vm->vms->lock);
		if (!vm->paused_by_error_usec || g_strcmp0(vm->pause_code, "ENOSPC"))
			return false;
	}
	json_array_foreach(json_object_get(request, "disks"), i, planned) {
		struct disk_key key = block_jobs_key(json_object_get(planned, "volume"));
		struct storage_disk disk = { .domain = key.domain, .image = key.image, .volume = key.volume, .path = text(planned, "scratch") };
		g_autoptr(GError) cause = NULL;

		if (storage_extend(vm->vms->agent->storage, &disk, &cause))
			continue;
		log_warn("VM %s: the scratch disk of %s is full, ending its backup: %s", vm->id, text(planned, "target"), cause->message);
		return true;
	}
	return false;
}

/* libvirt does not need them (any more). false: to be tried again */
static bool drop_marks(json_t *state, struct block_job *b)
{
	const json_t *request = json_object_get(state, "request");
	g_autoptr(GError) error = NULL;

	if (json_object_get(state, "dropped") || marks_drop(b, json_object_get(request, "disks"), text(request, "backupID"), &error)) {
		json_object_set_new(state, "dropped", json_true());
		return true;
	}
	log_warn("VM %s: marks that were joined for backup %s stay: %s", b->vm->id, text(request, "backupID"), error->message);
	return false;
}

static enum job_run running(struct job *job, json_t *state, struct block_job *b)
{
	g_autoptr(GError) cause = NULL;
	bool starved = !job_canceled(job) && is_starved(b->vm, json_object_get(state, "request")), dropped = drop_marks(state, b);

	if (starved)
		json_object_set_new(state, "full", json_true());
	if (!job_canceled(job) && !starved) {
		if (!text(state, "step") && !job_step(job, state, "run", &cause))
			log_warn("VM %s: trying again: %s", b->vm->id, cause->message);
		return wait_again(job, cause || !dropped ? BLOCK_JOB_RETRY_USEC : LOOK_USEC);
	}
	fault_point("backup: ending");
	if (virDomainAbortJob(b->live->domain) < 0 && libvirt_error_code() != VIR_ERR_OPERATION_INVALID)       /* else it has just ended */
		log_warn("VM %s: its backup does not end yet: %s", b->vm->id, virGetLastErrorMessage());
	fault_point("backup: ended");
	return wait_again(job, BLOCK_JOB_LOOK_USEC);
}

/* The agent that began it did not come to its end, and may have frozen the guest. */
static void thaw_left(json_t *state, struct block_job *b)
{
	json_t *request = json_object_get(state, "request");
	g_autoptr(GError) error = NULL;

	if (text(state, "step") || !json_is_true(json_object_get(request, "freeze")) ||
	    json_integer_value(json_object_get(request, "process")) == b->vm->vms->agent->started_usec || json_object_get(state, "thawed"))
		return;
	json_object_set_new(state, "thawed", json_true());
	if (!guest_thaw_hooked(b->vm, &error))
		log_warn("VM %s: %s", b->vm->id, error->message);
}

static enum job_run backup_run(struct job *job, json_t *state, void *context, GError **error)
{
	const json_t *request = json_object_get(state, "request");
	AUTO_BLOCK_JOB b = { 0 };
	g_autoptr(GError) cause = NULL;
	enum truth truth;

	if (!block_job_open(&b, context, text(request, "vmID"), &cause) && !block_job_is_lost(cause))
		return wait_again(job, BLOCK_JOB_RETRY_USEC);
	if (cause) {
		if (!json_object_get(state, "dropped"))
			marks_drop_stored(((struct vms *)context)->agent->storage, request);
		return over(job, state, context, "the VM ended", error);
	}
	thaw_left(state, &b);
	truth = look(&b, text(request, "backupID"), NULL, &cause);
	if (truth == TRUTH_RUNS)
		return running(job, state, &b);
	if (truth == TRUTH_UNKNOWN)
		return wait_again(job, BLOCK_JOB_RETRY_USEC);
	if (may_begin_yet(&b))
		return wait_again(job, BLOCK_JOB_LOOK_USEC);
	(void)drop_marks(state, &b);
	return over(job, state, context,
		    json_object_get(state, "full") ? "a scratch disk was full"
		    : text(state, "step")          ? "it ended by itself; QEMU's log says more"
						   : "it did not begin", error);
}

/* Not under those who read what the disks were: they would take what is missing for a broken disk. */
static bool backup_may_end(const json_t *request, void *context, GError **error)
{
	const struct vms *vms = context;
	const char *id = text(request, "backupID");
	const char *const moments[] = { id, text(json_object_get(request, "config"), "to_checkpoint_id"), NULL };
	g_autofree char *reader = storage_moment_reader(vms->agent->storage, moments);

	if (reader)
		error_set(error, ERR_BACKUP_ERROR, "backup %s of VM %s is read by %s", id, text(request, "vmID"), reader);
	return !reader;
}

const struct job_kind backup_kind = { .name = "backup", .type = "virt", .run = backup_run, .may_end = backup_may_end };

/* ---- start ---- */

/* What else is done to the VM as a whole. */
static bool check_idle(struct block_job *b, const char *id, GError **error)
{
	json_t *other = active(b->vm->vms, b->vm->id);
	bool snapshot = block_jobs_any(b->vm->vms, &snapshot_kind, "vmID", b->vm->id, NULL);

	if (other && !strcmp(text(other, "backupID"), id))
		error_set(error, ERR_BACKUP_ERROR, "backup %s of VM %s is under way already, with another config, or is ending", id, b->vm->id);
	else if (other)
		error_set(error, ERR_BACKUP_ERROR, "backup %s of VM %s is under way, and there can be one at a time", text(other, "backupID"), b->vm->id);
	else if (snapshot)
		error_set(error, ERR_BACKUP_ERROR, "a snapshot of VM %s is under way", b->vm->id);
	json_decref(other);
	return !other && !snapshot;
}

/* false: it must not go on. */
static bool freeze(struct block_job *b, const struct backup_config *config, bool *ret_frozen, GError **error)
{
	int limit_s = (int)config_int(b->vm->vms->agent->config, "vm", "frozen_limit"), file_systems = 0;
	g_autoptr(GError) cause = NULL;

	if (guest_freeze_hooked(b->vm, NULL, FREEZE_LIMIT_S, limit_s, &file_systems, &cause)) {
		fault_point("backup: frozen");
		*ret_frozen = file_systems > 0;
		return true;
	}
	if (error_is(cause, ERR_HOOK_ERROR)) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	if (config->require_consistency)
		error_set(error, ERR_BACKUP_ERROR, "VM %s cannot be frozen: %s", b->vm->id, cause->message);
	else
		log_warn("VM %s: backup of a guest that is not frozen: %s", b->vm->id, cause->message);
	return !config->require_consistency;
}

static bool ask_libvirt(struct block_job *b, const struct backup_config *config, const json_t *plan, GError **error)
{
	g_autofree char *socket = socket_path(b->vm->vms->agent, config->id), *xml = backup_xml(config, plan, socket);
	g_autofree char *checkpoint = backup_checkpoint_xml(config, b->chains);
	bool good = virDomainBackupBegin(b->live->domain, xml, checkpoint, VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL) == 0;

	if (!good)
		live_failed(b->live, error, libvirt_error_code() == VIR_ERR_CHECKPOINT_INCONSISTENT ? ERR_INCONSISTENT_CHECKPOINT_ERROR : ERR_BACKUP_ERROR,
			    "backup %s", config->id);
	fault_point("backup: answered");
	return good;
}

/* It has begun and is not what was asked for: nothing of it stays. job: its. */
static void take_back(struct block_job *b, const char *job, const struct backup_config *config)
{
	if (config->to_checkpoint && !checkpoint_delete(b->live->domain, config->to_checkpoint))
		log_warn("VM %s: checkpoint %s stays: %s", b->vm->id, config->to_checkpoint, virGetLastErrorMessage());
	if (virDomainAbortJob(b->live->domain) == 0)
		return;
	log_warn("VM %s: its backup does not end yet: %s", b->vm->id, virGetLastErrorMessage());
	(void)jobs_cancel(b->vm->vms->agent->jobs, job, NULL);
}

/* The moment. */
static bool take(struct block_job *b, const char *job, bool freezes, const struct backup_config *config, const json_t *plan, GError **error)
{
	g_autoptr(GError) cause = NULL;
	bool frozen = false, late = false, good = (!freezes || freeze(b, config, &frozen, error)) && ask_libvirt(b, config, plan, error);

	if (frozen) {
		late = !guest_is_frozen(b->vm);
		if (!guest_thaw_hooked(b->vm, &cause))
			log_warn("VM %s: %s", b->vm->id, cause->message);
		fault_point("backup: thawed");
	}
	if (!good || !late)
		return good;
	log_warn("VM %s: its file systems were thawed before backup %s had begun", b->vm->id, config->id);
	if (!config->require_consistency)
		return true;
	take_back(b, job, config);
	error_set(error, ERR_BACKUP_ERROR, "VM %s was thawed before backup %s had begun: it took too long", b->vm->id, config->id);
	return false;
}

static bool begin(struct block_job *b, const struct backup_config *config, json_t *config_json, json_t *plan, GError **error)
{
	struct agent *agent = b->vm->vms->agent;
	g_autofree char *lane = g_strconcat("vm/", b->vm->id, NULL), *description = g_strconcat("VM.backup ", b->vm->id, NULL), *job = NULL;
	bool freezes = !guest_is_frozen(b->vm), may_be_frozen = freezes && guest_check_agent(b->vm, ERR_FREEZE_GUEST_FS_FAILED, NULL), good;
	json_t *request = json_pack("{s:s, s:s, s:O, s:O, s:b, s:I}", "vmID", b->vm->id, "backupID", config->id, "config", config_json, "disks", plan, "freeze",
				    may_be_frozen, "process", (json_int_t)agent->started_usec);
	json_t *parameters = json_pack("{s:s}", "BACKUP_ID", config->id);
	struct job_order order = { .kind = &backup_kind, .description = description, .lane = lane, .request = request };

	good = jobs_begin(agent->jobs, &order, &job, error);
	fault_point("backup: begun");
	good = good && vm_hook(b->vm, "before_vm_backup", NULL, parameters, NULL, error) && backup_make_scratch(plan, error);
	fault_point("backup: scratch made");
	good = good && marks_join(b, plan, config->from_checkpoint, config->id, error);
	good = good && take(b, job, freezes, config, plan, error);
	json_decref(parameters);
	json_decref(request);
	return good;
}

/* Is it the one that runs? Whoever did not hear the first answer asks again. */
static bool is_same(struct block_job *b, const json_t *config_json)
{
	json_t *other = active(b->vm->vms, b->vm->id);
	bool same = other && json_equal(json_object_get(other, "config"), config_json);

	json_decref(other);
	return same;
}

static bool start(struct block_job *b, const struct backup_config *config, json_t *config_json, xmlDoc **ret_doc, GError **error)
{
	json_t *plan;
	bool good;

	if (is_same(b, config_json) && look(b, config->id, ret_doc, NULL) == TRUTH_RUNS)
		return true;
	if (!check_idle(b, config->id, error) || !(plan = backup_plan(b, config, error)))
		return false;
	good = begin(b, config, config_json, plan, error);
	json_decref(plan);
	if (!good)
		return false;
	if (look(b, config->id, ret_doc, error) == TRUTH_NONE)
		error_set(error, ERR_BACKUP_ERROR, "backup %s of VM %s ended at once; QEMU's log says more", config->id, b->vm->id);
	return *ret_doc != NULL;
}

static bool start_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct backup_params *p = params;
	json_t *config = record_to_json(p->config, RECORD_CHANNEL);
	AUTO_BLOCK_JOB b = { 0 };
	g_autoptr(xmlDoc) doc = NULL;
	bool good = block_job_open(&b, agent->vms, p->vm_id, error) && start(&b, p->config, config, &doc, error);

	json_decref(config);
	if (good)
		answer(&b, doc, p->config->to_checkpoint, ret_result);
	return good;
}

/* ---- the other verbs ---- */

static bool is_active(struct vm *vm, const char *id)
{
	json_t *request = active(vm->vms, vm->id);
	bool is = request && !strcmp(text(request, "backupID"), id);

	json_decref(request);
	return is;
}

static bool stop_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct backup_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(GPtrArray) ids = jobs_active(agent->jobs, &backup_kind, "vmID", p->vm_id);
	g_autoptr(GError) cause = NULL;

	if (!vm)
		return false;
	for (guint i = 0; i < ids->len && is_active(vm, p->backup_id); i++) {
		if (!jobs_cancel(agent->jobs, ids->pdata[i], &cause) && !error_is(cause, ERR_NO_SUCH_JOB) && !error_is(cause, ERR_JOB_NOT_ACTIVE)) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
		g_clear_error(&cause);
		if (!jobs_wait(agent->jobs, ids->pdata[i], now_usec() + STOP_WAIT_S * (int64_t)G_USEC_PER_SEC, &cause) && error_is(cause, ERR_TIMEOUT)) {
			error_set(error, ERR_BACKUP_ERROR, "backup %s of VM %s is being ended, which takes long", p->backup_id, p->vm_id);
			return false;
		}
		g_clear_error(&cause);           /* it ended by itself meanwhile: over it is */
	}
	live_answer_done(ret_result);
	return true;
}

static bool info_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct backup_params *p = params;
	AUTO_BLOCK_JOB b = { 0 };
	g_autoptr(xmlDoc) doc = NULL;

	if (!block_job_open(&b, agent->vms, p->vm_id, error))
		return false;
	if (look(&b, p->backup_id, &doc, error) == TRUTH_NONE)
		error_set(error, ERR_NO_SUCH_BACKUP_ERROR, "VM %s has no backup %s", p->vm_id, p->backup_id);
	if (doc)
		answer(&b, doc, p->checkpoint_id, ret_result);
	return doc != NULL;
}

const struct verb_binding backup_bindings[] = {
	{ "VM.start_backup", start_verb },
	{ "VM.stop_backup", stop_verb },
	{ "VM.backup_info", info_verb },
	{ "VM.list_checkpoints", checkpoints_list_verb },
	{ "VM.redefine_checkpoints", checkpoints_redefine_verb },
	{ "VM.delete_checkpoints", checkpoints_delete_verb },
	{ "VM.dump_checkpoint", checkpoint_dump_verb },
};
const size_t n_backup_bindings = G_N_ELEMENTS(backup_bindings);
