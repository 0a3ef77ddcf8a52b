/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.snapshot: disks of a running VM go over to new volumes, all at the same instant; what they were on is the snapshot. With memory, a VM can go on from it.
 *
 * The new volumes are there already (Volume.create), each based on the one its disk is on. A job, on the VM's lane:
 *
 *   plan     what is asked for is compared with what runs; before_vm_snapshot may fail it (1500)
 *   freeze   as VM.freeze with its hooks; not with memory, and not when the caller has done it. A guest that has no agent, or whose agent does not freeze,
 *            is taken as it is, as vdsm does; a script before_vm_freeze that fails ends the snapshot, and so does a disk that is full, for
 *            the guest stands still then, and its agent with it. When there is room it goes on, and is thawed
 *   take     libvirt is asked, on the lane "snapshot/<vm>"; QEMU changes all disks in one transaction. Until it answers the job looks every second:
 *            progress, cancel, time-out. Memory is saved while the VM runs; one that changes it faster than it can be written is stopped after half of the
 *            time, which brings the saving to its end
 *   end      thaw as VM.thaw, the ids of the new volumes in the domain's metadata; after_vm_snapshot with SNAPSHOT_RESULT done or failed, whatever came
 *            of it
 *
 * The guest is frozen for frozen_limit at most, measured from the freeze: then the clock thaws it, on the lane "guest/<vm>", whatever holds up the job: a
 * script, libvirt, QEMU. Before libvirt was asked that fails the snapshot. After it, it cannot be taken back, and is good, but no longer consistent
 * for the guest's programs: the log says so. A VM that stands still would be worse.
 *
 * When the agent dies, libvirt goes on with what it was asked. The next agent waits until it is through. If the disks are on the new volumes, it does
 * the rest; if not, it thaws and the job has failed: taken later, it would be the snapshot of another moment.
 */
#define LOG_MODULE "snapshot"
#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/fault.h"
#include "agent/storage/storage.h"
#include "agent/virt/backup/backup.h"
#include "agent/virt/disk/block_jobs.h"
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/guest/guest.h"
#include "agent/virt/life/memory_volume.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/lock.h"
#include "common/log.h"

#define MEMORY_ALIGNMENT 4096
#define WAIT_S (VERB_DEADLINE_S - 5)     /* VM.snapshot without a job id */

/* ---- what is asked of libvirt, on a lane of its own ---- */

/* Lives in vm->snapshot from the question until its job has seen the answer; the lane holds it, too. Below vms->lock, but for what never changes. */
struct snapshot_call {
	int refs;                        /* atomic */
	char *job_id, *xml, *conf;       /* conf: file for the memory's description; NULL: none */
	unsigned flags;
	bool over;
	GError *error;
};

static void call_unref(void *data)
{
	struct snapshot_call *call = data;

	if (!call || !g_atomic_int_dec_and_test(&call->refs))
		return;
	g_free(call->job_id);
	g_free(call->xml);
	g_free(call->conf);
	g_clear_error(&call->error);
	g_free(call);
}

bool snapshot_is_out(const struct vm *vm)
{
	return vm->snapshot && !vm->snapshot->over;
}

void snapshot_forget(struct vm *vm)
{
	call_unref(g_steal_pointer(&vm->snapshot));
}

static void call_run(struct vm *vm, void *data)
{
	struct snapshot_call *call = data;
	GError *error = NULL;
	g_autoptr(virDomain) domain = vm_domain(vm, &error);
	virDomainSnapshotPtr snapshot = NULL;

	if (domain && (!call->conf || memory_conf_keep(vm, call->conf, /* from_snapshot= */ true, &error))) {
		fault_point("snapshot: asking");
		snapshot = virDomainSnapshotCreateXML(domain, call->xml, call->flags);
		if (!snapshot)
			libvirt_error_set(&error, ERR_SNAPSHOT_FAILED, "VM %s", vm->id);
		fault_point("snapshot: answered");
	}
	if (snapshot)
		virDomainSnapshotFree(snapshot);
	{
		AUTO_LOCK(&vm->vms->lock);
		call->over = true;
		call->error = error;
	}
	jobs_wake(vm->vms->agent->jobs, call->job_id);
	call_unref(call);
}

/* ---- the request, as JSON ---- */

static const char *text(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

static int64_t number(const json_t *json, const char *name)
{
	return json_integer_value(json_object_get(json, name));
}

/* {"from": {...}, "to": {...}}: ids, or GUID or UUID. Names of vdsm, see disk_spec. */
static json_t *disk_request(const struct disk_spec *spec)
{
	json_t *from = json_object(), *to = json_object();

	if (spec->base_volume_id) {
		json_object_update_new(to, block_jobs_ids(spec));
		json_object_update(from, to);
		json_object_set_new(from, "volumeID", json_string(spec->base_volume_id));
	} else if (spec->base_guid && spec->guid) {
		json_object_set_new(from, "GUID", json_string(spec->base_guid));
		json_object_set_new(to, "GUID", json_string(spec->guid));
	} else if (spec->base_uuid && spec->uuid) {
		json_object_set_new(from, "UUID", json_string(spec->base_uuid));
		json_object_set_new(to, "UUID", json_string(spec->uuid));
	}
	return json_pack("{s:o, s:o}", "from", from, "to", to);
}

/* {"dst": handle, "dstparams"?: handle} of memory_files_prepare(): a text as it is, or vdsm's two maps, or one. NULL + error */
static json_t *memory_request(const json_t *memory, GError **error)
{
	const json_t *dump = json_object_get(memory, "dst"), *conf = json_object_get(memory, "dstparams");

	if (json_is_object(dump) && (!conf || json_is_object(conf)))
		return json_deep_copy(memory);
	if (json_is_string(memory) || text(memory, "volumeID"))
		return json_pack("{s:O}", "dst", memory);
	error_set(error, ERR_INVALID_PARAMETER, "snapMemory is neither \"domain,pool,image,volume,image,volume\" nor a map of volumes");
	return NULL;
}

static json_t *request_of(struct agent *agent, const struct snapshot_params *p, GError **error)
{
	json_t *memory = NULL, *disks, *request;
	bool wanted = p->memory && !json_is_null(p->memory) && !(json_is_string(p->memory) && !*json_string_value(p->memory));
	int frozen_limit = HAS(p, frozen_limit) ? p->frozen_limit : (int)config_int(agent->config, "vm", "frozen_limit");

	if (wanted && !(memory = memory_request(p->memory, error)))
		return NULL;
	disks = json_array();
	for (guint i = 0; i < p->disks->len; i++)
		json_array_append_new(disks, disk_request(p->disks->pdata[i]));
	request = json_pack("{s:s, s:o, s:b, s:i, s:i, s:i}", "vmID", p->vm_id, "disks", disks, "frozen", p->frozen, "timeout", p->timeout, "freezeTimeout",
			    p->freeze_timeout, "frozenLimit", frozen_limit);
	if (memory)
		json_object_set_new(request, "memory", memory);
	return request;
}

/* ---- the plan ---- */

static bool check_disk(struct block_job *b, const struct disk_chain *chain, GError **error)
{
	if (chain->shareable || chain->transient)
		error_set(error, ERR_TRANSIENT_ERROR, "disk %s of VM %s is %s", chain->target, b->vm->id, chain->shareable ? "shared with other VMs" : "transient");
	else if (chain->removable || chain->readonly)
		error_set(error, ERR_SNAPSHOT_FAILED, "disk %s of VM %s is %s", chain->target, b->vm->id, chain->removable ? "removable" : "read-only");
	else if (chain->job || chain->replica_volume)
		error_set(error, ERR_SNAPSHOT_FAILED, "disk %s of VM %s is being %s", chain->target, b->vm->id,
			  chain->job && strcmp(chain->job, "copy") ? "merged" : "replicated");
	else if (chain->volume && !disk_chain_is_on(chain, chain->volume))
		error_set(error, ERR_SNAPSHOT_FAILED, "disk %s of VM %s is not on volume %s", chain->target, b->vm->id, chain->volume);
	else
		return true;
	return false;
}

/* Path of the new volume, which must be based on what the disk is on. g_free; NULL + error */
static char *prepare(struct block_job *b, const struct disk_chain *chain, const struct disk_key *to, bool *ret_block, GError **error)
{
	struct storage *storage = b->vm->vms->agent->storage;
	g_autofree char *path = disk_key_path(to);
	g_autoptr(GError) cause = NULL;
	const char *format;
	bool based = path != NULL;               /* of a device only its owner knows */

	if ((path || (storage_prepare(storage, b->vm->id, to->domain, to->image, to->volume, &path, &format, &cause) &&
		      storage_is_based(storage, to->domain, to->image, to->volume, chain->volume, &based, &cause))) &&
	    based && domain_xml_check_file(path, "snapshot", ret_block, &cause))
		return g_steal_pointer(&path);
	if (cause)
		error_set(error, ERR_SNAPSHOT_FAILED, "disk %s of VM %s: %s", chain->target, b->vm->id, cause->message);
	else
		error_set(error, ERR_SNAPSHOT_FAILED, "disk %s of VM %s: volume %s is not based on volume %s", chain->target, b->vm->id, to->volume,
			  chain->volume);
	return NULL;
}

/* Adds {target, path, block, ids...} to plan; nothing when the disk is on the new volume already. */
static bool plan_disk(struct block_job *b, const json_t *wanted, json_t *plan, GError **error)
{
	const json_t *to_ids = json_object_get(wanted, "to");
	struct disk_key from = block_jobs_key(json_object_get(wanted, "from")), to = block_jobs_key(to_ids);
	const struct disk_chain *chain = disk_chains_find(b->chains, &to);
	g_autofree char *wish = NULL, *path = NULL;
	const json_t *other;
	bool block = false;
	size_t i;

	if (chain)
		return true;
	chain = disk_chains_find(b->chains, &from);
	if (!chain) {
		wish = disk_key_text(&from);
		error_set(error, ERR_SNAPSHOT_FAILED, "VM %s has no disk with %s", b->vm->id, *wish ? wish : "no ids at all");
		return false;
	}
	json_array_foreach(plan, i, other)
		if (!strcmp(text(other, "target"), chain->target)) {
			error_set(error, ERR_SNAPSHOT_FAILED, "disk %s of VM %s is named twice", chain->target, b->vm->id);
			return false;
		}
	if (!check_disk(b, chain, error) || !(path = prepare(b, chain, &to, &block, error)))
		return false;
	json_array_append_new(plan, json_pack("{s:s, s:s, s:b, s:O}", "target", chain->target, "path", path, "block", block, "ids", to_ids));
	return true;
}

/* {"disks": [...], "memory"?: path, "conf"?: path}; new reference; NULL + error. */
static json_t *plan_of(struct block_job *b, const char *job_id, const json_t *request, GError **error)
{
	const json_t *memory = json_object_get(request, "memory");
	struct memory_files files = { 0 };
	json_t *disks = json_array(), *plan = json_pack("{s:o}", "disks", disks), *wanted;
	size_t i;
	bool good = true;

	if (block_jobs_any(b->vm->vms, &snapshot_kind, "vmID", b->vm->id, job_id)) {
		error_set(error, ERR_SNAPSHOT_FAILED, "another snapshot of VM %s is under way", b->vm->id);
		good = false;
	}
	good = good && backup_allows(b->vm, NULL, ERR_SNAPSHOT_FAILED, "snapshot", error);
	json_array_foreach(json_object_get(request, "disks"), i, wanted)
		good = good && plan_disk(b, wanted, disks, error);
	if (good && memory)
		good = memory_files_prepare(b->vm->vms->agent, b->vm->id, json_object_get(memory, "dst"), json_object_get(memory, "dstparams"), &files, error);
	if (files.memory)
		json_object_set_new(plan, "memory", json_string(files.memory));
	if (files.conf)
		json_object_set_new(plan, "conf", json_string(files.conf));
	memory_files_clear(&files);
	if (good)
		return plan;
	json_decref(plan);
	return NULL;
}

/* <domainsnapshot>; g_free */
static char *snapshot_xml(const struct block_job *b, const json_t *plan)
{
	g_autoptr(xmlDoc) doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *root = xmlNewNode(NULL, (const xmlChar *)"domainsnapshot"), *disks;
	const char *memory = text(plan, "memory");
	json_t *planned;
	size_t i;

	xmlDocSetRootElement(doc, root);
	if (memory)
		xml_add_with(root, "memory", "snapshot", "external", "file", memory, NULL);
	disks = xml_add(root, "disks");
	for (guint k = 0; k < b->chains->len; k++) {
		const struct disk_chain *chain = b->chains->pdata[k];
		xmlNode *disk = xml_add_with(disks, "disk", "name", chain->target, "snapshot", "no", NULL);

		json_array_foreach(json_object_get(plan, "disks"), i, planned) {
			bool block = json_is_true(json_object_get(planned, "block"));

			if (strcmp(text(planned, "target"), chain->target))
				continue;
			xml_set(disk, "snapshot", "external");
			xml_set(disk, "type", block ? "block" : "file");
			xml_add_with(disk, "driver", "type", "qcow2", NULL);
			xml_add_with(disk, "source", block ? "dev" : "file", text(planned, "path"), NULL);
		}
	}
	return xml_to_text(root);
}

/* ---- the job ---- */

struct run {
	struct job *job;
	json_t *state;
	const json_t *request;
	struct vms *vms;
	struct block_job b;
};

static void tell_hook(struct vm *vm, bool good)
{
	json_t *result = json_pack("{s:s}", "SNAPSHOT_RESULT", good ? "done" : "failed");

	(void)vm_hook(vm, "after_vm_snapshot", NULL, result, NULL, NULL);
	json_decref(result);
}

static bool wants_freeze(const struct run *r)
{
	return !json_is_true(json_object_get(r->request, "frozen")) && !json_object_get(r->request, "memory");
}

/* What the guest still had to write found no room (or a broken disk), and so it stands still in the middle of the freeze. */
static bool check_not_paused(struct vm *vm, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);

	if (!vm->paused_by_error_usec)
		return true;
	error_set(error, ERR_SNAPSHOT_FAILED, "VM %s was paused by an I/O error (%s) while its file systems were being frozen", vm->id, vm->pause_code);
	return false;
}

/* false: it must not go on. A guest that cannot be frozen is no reason, but one whose disks are full is: it would stand still on new ones. */
static bool freeze(struct run *r, GError **error)
{
	struct vm *vm = r->b.vm;
	int limit_s = (int)MIN(number(r->request, "freezeTimeout") * 60, FREEZE_LIMIT_S);
	g_autoptr(GError) cause = NULL;
	int file_systems = 0;

	if (!job_step(r->job, r->state, "freeze", error))
		return false;
	(void)guest_freeze_hooked(vm, NULL, limit_s, (int)number(r->request, "frozenLimit"), &file_systems, &cause);
	fault_point("snapshot: frozen");
	json_object_set_new(r->state, "frozen", json_boolean(file_systems > 0));
	json_object_set_new(r->state, "process", json_integer(r->vms->agent->started_usec));
	if (error_is(cause, ERR_HOOK_ERROR)) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	if (cause && !check_not_paused(vm, error))
		return false;
	if (cause)
		log_warn("VM %s: snapshot of a guest that is not frozen: %s", vm->id, cause->message);
	return true;
}

/* Unless it is known not to be frozen (any more): "frozen" is not there when the agent died during the freeze. */
static void thaw(struct run *r)
{
	const json_t *frozen = json_object_get(r->state, "frozen");
	const char *step = text(r->state, "step");
	struct vm *vm = r->b.vm;
	g_autoptr(GError) error = NULL;

	if (!r->b.live || !step || !strcmp(step, "plan") || !wants_freeze(r) || json_is_false(frozen))
		return;
	/* a process that has just begun does not know */
	if (number(r->state, "process") == r->vms->agent->started_usec && !guest_is_frozen(vm))
		log_warn("VM %s: its file systems were thawed before the snapshot was over, after %" G_GINT64_FORMAT " s", vm->id,
			 number(r->request, "frozenLimit"));
	json_object_set_new(r->state, "frozen", json_false());
	if (!guest_thaw_hooked(vm, &error))
		log_warn("VM %s: %s", vm->id, error->message);
	fault_point("snapshot: thawed");
}

/* The end in both cases. */
static enum job_run over(struct run *r, bool good, GError *cause, GError **error)
{
	thaw(r);
	if (r->b.vm && text(r->state, "step"))
		tell_hook(r->b.vm, good);
	if (r->b.vm) {
		AUTO_LOCK(&r->vms->lock);
		snapshot_forget(r->b.vm);
	}
	if (good)
		return JOB_DONE;
	g_propagate_error(error, cause);
	return JOB_FAILED;
}

static enum job_run failed(struct run *r, GError **error, const char *why)
{
	GError *cause = NULL;

	error_set(&cause, ERR_SNAPSHOT_FAILED, "VM %s: %s", text(r->request, "vmID"), why);
	return over(r, false, cause, error);
}

/* Is libvirt to be asked now? */
static bool may_take(struct run *r, GError **error)
{
	int64_t spent_s = (wall_msec() - number(r->state, "begun")) / 1000;

	if (json_is_true(json_object_get(r->state, "frozen")) && !guest_is_frozen(r->b.vm))
		error_set(error, ERR_SNAPSHOT_FAILED, "VM %s: it was frozen for %" G_GINT64_FORMAT " s before the snapshot could begin, and is thawed", r->b.vm->id,
			  number(r->request, "frozenLimit"));
	else if (!json_object_get(r->request, "memory") && spent_s > number(r->request, "freezeTimeout") * 60)
		error_set(error, ERR_SNAPSHOT_FAILED, "VM %s: the snapshot could not begin for %" G_GINT64_FORMAT " s", r->b.vm->id, spent_s);
	else if (job_canceled(r->job))
		error_set(error, ERR_ACTION_STOPPED, "snapshot of VM %s", r->b.vm->id);
	else
		return true;
	return false;
}

static enum job_run take(struct run *r, GError **error)
{
	const json_t *plan = json_object_get(r->state, "plan");
	struct snapshot_call *call;
	GError *cause = NULL;

	if (!may_take(r, &cause) || !job_step(r->job, r->state, "take", &cause))
		return over(r, false, cause, error);
	call = g_new0(struct snapshot_call, 1);
	call->refs = 2;
	call->job_id = g_strdup(job_id(r->job));
	call->xml = snapshot_xml(&r->b, plan);
	call->conf = g_strdup(text(plan, "conf"));
	call->flags = VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT | VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA |
		      (text(plan, "memory") ? VIR_DOMAIN_SNAPSHOT_CREATE_LIVE : VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY);
	log_debug("VM %s: %s", r->b.vm->id, call->xml);
	{
		AUTO_LOCK(&r->vms->lock);
		snapshot_forget(r->b.vm);
		r->b.vm->snapshot = call;
	}
	if (!vm_queue_on(r->b.vm, "snapshot", "snapshot", call_run, call, call_unref, &cause)) {
		call_unref(call);
		return over(r, false, cause, error);
	}
	job_wake_after(r->job, BLOCK_JOB_LOOK_USEC);
	return JOB_WAITS;
}

static enum job_run begin(struct run *r, GError **error)
{
	json_t *plan;
	GError *cause = NULL;
	int64_t now = wall_msec();

	json_object_set_new(r->state, "begun", json_integer(now));
	plan = plan_of(&r->b, job_id(r->job), r->request, &cause);
	if (!plan)
		return over(r, false, cause, error);
	json_object_set_new(r->state, "plan", plan);
	if (!json_array_size(json_object_get(plan, "disks")) && !text(plan, "memory"))
		return over(r, true, NULL, error);
	if (!job_step(r->job, r->state, "plan", &cause) || !vm_hook(r->b.vm, "before_vm_snapshot", NULL, NULL, NULL, &cause) ||
	    (wants_freeze(r) && !freeze(r, &cause)))
		return over(r, false, cause, error);
	return take(r, error);
}

/* ---- while libvirt is at it ---- */

static void watch(struct run *r)
{
	virDomainPtr domain = r->b.live->domain;
	int64_t limit_ms = number(r->request, "timeout") * 60000, spent_ms = wall_msec() - number(r->state, "begun");
	virDomainJobInfo info = { 0 };

	if (!json_object_get(r->request, "memory"))
		return;
	if (virDomainGetJobInfo(domain, &info) == 0 && info.dataTotal > 0)
		job_progress(r->job, (int)(info.dataProcessed * 100 / info.dataTotal));
	if (job_canceled(r->job) || spent_ms > limit_ms) {
		if (!job_canceled(r->job))
			json_object_set_new(r->state, "late", json_true());
		if (virDomainAbortJob(domain) < 0)
			log_debug("VM %s: saving its memory does not end yet: %s", r->b.vm->id, virGetLastErrorMessage());
		else
			log_info("VM %s: libvirt is told to give up saving the memory", r->b.vm->id);
	} else if (spent_ms > limit_ms / 2 && !json_object_get(r->state, "stopped")) {
		log_warn("VM %s is stopped until its memory is saved, which it changes too fast", r->b.vm->id);
		json_object_set_new(r->state, "stopped", json_true());
		if (virDomainSuspend(domain) < 0)
			log_warn("VM %s cannot be stopped: %s", r->b.vm->id, virGetLastErrorMessage());
	}
}

enum answer { ANSWER_OUT, ANSWER_COME, ANSWER_LOST };

/* What our call said; lost: there is none, or the connection went away under it. */
static enum answer answer_of(struct run *r, GError **ret_error)
{
	const struct snapshot_call *call;

	AUTO_LOCK(&r->vms->lock);
	call = r->b.vm->snapshot;
	if (!call || strcmp(call->job_id, job_id(r->job)))
		return ANSWER_LOST;
	if (!call->over)
		return ANSWER_OUT;
	*ret_error = call->error ? g_error_copy(call->error) : NULL;
	return ANSWER_COME;
}

/* Our call is lost, or its answer is an error: does libvirt still work on it? live_keep() is done after any change that is under way. */
static bool is_busy(struct run *r, GError **error)
{
	virDomainJobInfo info = { 0 };

	if (virDomainGetJobInfo(r->b.live->domain, &info) < 0) {
		libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "VM %s", r->b.vm->id);
		return true;
	}
	return info.type != VIR_DOMAIN_JOB_NONE || !live_keep(r->b.live, error);
}

/* How many of the planned disks are on their new volumes. */
static size_t count_taken(const struct run *r, GString *names)
{
	const json_t *planned;
	size_t i, n = 0;

	json_array_foreach(json_object_get(json_object_get(r->state, "plan"), "disks"), i, planned) {
		struct disk_key key = { .target = text(planned, "target") };
		const struct disk_chain *chain = disk_chains_find(r->b.chains, &key);
		const struct disk_layer *active = chain && chain->layers->len ? chain->layers->pdata[0] : NULL;

		if (!active || strcmp(active->path, text(planned, "path")))
			continue;
		n++;
		g_string_append_printf(names, " %s", chain->target);
	}
	return n;
}

/* A file of whole blocks, or qemu-img copies it without its end. */
static void pad_memory(const char *path)
{
	int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    (S_ISREG(st.st_mode) && ftruncate(fd, (st.st_size + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT) < 0) || fsync(fd) < 0)
		log_warn("'%s' is not a whole number of blocks, ignoring: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* The disks are on the new volumes. */
static bool keep(struct run *r, GError **error)
{
	const json_t *plan = json_object_get(r->state, "plan"), *planned;
	size_t i;

	json_array_foreach(json_object_get(plan, "disks"), i, planned)
		block_jobs_set_ids(r->b.live, text(planned, "target"), json_object_get(planned, "ids"));
	if (!live_keep(r->b.live, error))
		return false;
	fault_point("snapshot: kept");
	if (text(plan, "memory"))
		pad_memory(text(plan, "memory"));
	return true;
}

static enum job_run look(struct run *r, GError *answer, GError **error)
{
	size_t wanted = json_array_size(json_object_get(json_object_get(r->state, "plan"), "disks")), taken;
	g_autoptr(GString) names = g_string_new(NULL);
	g_autoptr(GError) cause = NULL;
	bool good;

	if (!block_job_read(&r->b, &cause)) {
		g_clear_error(&answer);
		return block_job_is_lost(cause) ? failed(r, error, "it ended") : JOB_WAITS;
	}
	taken = count_taken(r, names);
	good = taken == wanted && (wanted || !answer);
	thaw(r);
	if (good && !keep(r, &cause)) {
		log_warn("VM %s: trying again: %s", r->b.vm->id, cause->message);
		g_clear_error(&answer);
		return JOB_WAITS;
	}
	vm_see(r->b.vm, r->b.live->domain);     /* libvirt stopped and resumed it */
	if (good) {
		g_clear_error(&answer);
		(void)block_job_read(&r->b, NULL);       /* the VM knows its new XML */
		watermark_arm(r->b.vm);
		vm_publish(r->b.vm);
		return over(r, true, NULL, error);
	}
	if (taken)
		log_error("VM %s: only the disks%s are on their new volumes", r->b.vm->id, names->str);
	if (answer && !json_object_get(r->state, "late"))
		return over(r, false, answer, error);
	g_clear_error(&answer);
	return failed(r, error, taken                               ? "not all disks went over to their new volumes"
				: json_object_get(r->state, "late") ? "its memory could not be saved in the time given"
								    : "the agent ended before it was taken");
}

static enum job_run wait_again(struct run *r, int64_t delay_usec)
{
	job_wake_after(r->job, delay_usec);
	return JOB_WAITS;
}

static enum job_run taking(struct run *r, GError **error)
{
	GError *answer = NULL;
	g_autoptr(GError) cause = NULL;
	enum answer come = answer_of(r, &answer);
	enum job_run outcome;

	if (come == ANSWER_OUT || ((come == ANSWER_LOST || answer) && is_busy(r, &cause))) {
		if (cause)
			log_info("VM %s: what came of its snapshot is not known yet: %s", r->b.vm->id, cause->message);
		g_clear_error(&answer);
		watch(r);
		return wait_again(r, BLOCK_JOB_LOOK_USEC);
	}
	outcome = look(r, answer, error);
	return outcome == JOB_WAITS ? wait_again(r, BLOCK_JOB_RETRY_USEC) : outcome;
}

static enum job_run snapshot_run(struct job *job, json_t *state, void *context, GError **error)
{
	struct run r = { .job = job, .state = state, .request = json_object_get(state, "request"), .vms = context };
	const char *step = text(state, "step");
	g_autoptr(GError) cause = NULL;
	enum job_run outcome;

	if (!block_job_open(&r.b, r.vms, text(r.request, "vmID"), &cause)) {
		if (block_job_is_lost(cause) || !step)
			outcome = over(&r, false, g_steal_pointer(&cause), error);
		else
			outcome = wait_again(&r, BLOCK_JOB_RETRY_USEC);
	} else if (!step) {
		outcome = begin(&r, error);
	} else if (strcmp(step, "take")) {
		outcome = failed(&r, error, "the agent ended before it was taken");
	} else {
		outcome = taking(&r, error);
	}
	block_job_clear(&r.b);
	return outcome;
}

const struct job_kind snapshot_kind = { .name = "snapshot", .type = "virt", .run = snapshot_run };

/* ---- the verb ---- */

/* What can be said at once is the answer and no job. */
static bool check(struct agent *agent, const struct snapshot_params *p, const json_t *request, GError **error)
{
	AUTO_BLOCK_JOB b = { 0 };
	json_t *plan = block_job_open(&b, agent->vms, p->vm_id, error) ? plan_of(&b, p->job_id, request, error) : NULL;
	bool good = plan != NULL;

	json_decref(plan);
	return good;
}

bool snapshot_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct snapshot_params *p = params;
	g_autofree char *lane = g_strconcat("vm/", p->vm_id, NULL), *description = g_strconcat("VM.snapshot ", p->vm_id, NULL), *id = NULL;
	json_t *request = request_of(agent, p, error);
	struct job_order order = { .id = p->job_id, .kind = &snapshot_kind, .description = description, .lane = lane, .request = request };
	bool good = request && ((p->job_id && jobs_has(agent->jobs, p->job_id)) || check(agent, p, request, error)) &&
		    jobs_begin(agent->jobs, &order, &id, error);

	json_decref(request);
	return good && (p->job_id || jobs_wait(agent->jobs, id, now_usec() + WAIT_S * (int64_t)G_USEC_PER_SEC, error));
}
