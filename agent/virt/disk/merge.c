/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.merge: the data of a snapshot's volume (top, with all between) go into a volume below it (base) while the VM runs. A job, on the VM's lane; no thread
 * waits: libvirt's block job events wake it, and once a second it looks how far QEMU is, for vmJobs and Host.getJobs.
 *
 *   commit   virDomainBlockCommit; QEMU makes base larger first when top is. libvirt merges the dirty bitmaps of the volumes
 *   top is below the active volume: QEMU ends by itself: then the volume above is based on base
 *   top is the active volume: the job becomes "ready": base is kept alike until
 *   pivot    the storage's metadata say that top is illegal and how large base is; then the VM goes over to base. As with vdsm, who finds
 *            the VM down after that starts it on base
 *   keep     the storage's metadata follow (storage_merge_record()), and those of the domain
 *
 * The volumes that were merged stay until Volume.delete. A job that is canceled, or that fails before the pivot, leaves the chain as it was: what came into
 * base is covered by top. What is true is asked each time: of the domain's XML, and of the file of the volume above when the VM is down.
 *
 * The agent dies: QEMU goes on. A commit that was to begin is begun again unless QEMU is at it or it is done; a pivot is asked for again. The same when
 * libvirt dies while it is asked for the commit: nobody knows whether it did it.
 */
#define LOG_MODULE "merge"
#include <libvirt/virterror.h>
#include <string.h>
#include "agent/fault.h"
#include "agent/storage/storage.h"
#include "agent/virt/backup/backup.h"
#include "agent/virt/disk/block_jobs.h"
#include "common/log.h"

#define PIVOTS_MAX 10

struct run {
	struct job *job;
	json_t *state;
	const json_t *request;
	struct vms *vms;
	struct block_job b;
	const struct disk_chain *chain;          /* of the disk, as it is now */
};

static const char *text(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

/* child is known from the commit on; that there is none is, too. */
static struct storage_merge merge_of(const struct run *r)
{
	return (struct storage_merge){
		.domain = text(r->request, "domainID"), .image = text(r->request, "imageID"), .base = text(r->request, "base"),
		.top = text(r->request, "top"), .child = text(r->state, "child"),
	};
}

static bool is_active(const struct run *r)
{
	return !text(r->state, "child");
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Of vmJobs. Numbers are texts, as vdsm has them. */
static json_t *entry_of(const char *id, const char *target, const json_t *request, const struct block_job_state *now)
{
	g_autofree char *done = g_strdup_printf("%" G_GINT64_FORMAT, now->done), *all = g_strdup_printf("%" G_GINT64_FORMAT, now->all);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "id", id, "jobType", "block", "blockJobType", "commit", "drive", target, "imgUUID",
			 text(request, "imageID"), "bandwidth", now->bandwidth, "cur", done, "end", all);
}

/* ---- checks ---- */

static const struct disk_chain *find_disk(struct block_job *b, const json_t *request)
{
	const struct disk_key key = { .domain = text(request, "domainID"), .image = text(request, "imageID"), .volume = text(request, "volumeID") };

	return disk_chains_find(b->chains, &key);
}

/* ret_child: of the volume right above top; NULL: top is the active one. */
static bool check(struct block_job *b, const char *job_id, const json_t *request, const struct disk_chain **ret_chain, char **ret_child, GError **error)
{
	struct storage_merge merge = { .domain = text(request, "domainID"), .image = text(request, "imageID"), .base = text(request, "base"),
				       .top = text(request, "top") };
	const struct disk_chain *chain = find_disk(b, request);
	const struct disk_layer *top, *base, *above = NULL;
	bool found = false;

	if (!chain) {
		error_set(error, ERR_IMAGE_FILE_NOT_FOUND, "VM %s has no disk with image %s, volume %s", b->vm->id, merge.image, text(request, "volumeID"));
		return false;
	}
	top = disk_chain_layer(chain, merge.top);
	base = disk_chain_layer(chain, merge.base);
	if (!top || !base) {
		error_set(error, ERR_MERGE_FAILED, "disk %s of VM %s: volume %s is not in its chain", chain->target, b->vm->id, top ? merge.base : merge.top);
		return false;
	}
	above = disk_chain_above(chain, top);
	for (const struct disk_layer *layer = base; layer && !found; layer = disk_chain_above(chain, layer))
		found = layer == top && layer != base;
	if (!found)
		error_set(error, ERR_MERGE_FAILED, "disk %s of VM %s: volume %s is not above volume %s", chain->target, b->vm->id, merge.top, merge.base);
	else if (chain->job || chain->replica_volume)
		error_set(error, ERR_MERGE_FAILED, "disk %s of VM %s is being %s", chain->target, b->vm->id,
			  chain->job && strcmp(chain->job, "copy") ? "merged" : "replicated");
	else if (block_jobs_any(b->vm->vms, &merge_kind, "imageID", merge.image, job_id))
		error_set(error, ERR_MERGE_FAILED, "disk %s of VM %s is being merged", chain->target, b->vm->id);
	else if (backup_allows(b->vm, chain->target, ERR_MERGE_FAILED, "merged", error) && storage_merge_check(b->vm->vms->agent->storage, &merge, error)) {
		*ret_chain = chain;
		*ret_child = above ? g_strdup(base_name(above->path)) : NULL;
		return true;
	}
	return false;
}

/* ---- ends ---- */

static enum job_run wait_again(struct run *r, int64_t delay_usec)
{
	job_wake_after(r->job, delay_usec);
	return JOB_WAITS;
}

static enum job_run end(struct run *r, GError *cause, GError **error)
{
	AUTO_VM vm = vms_lookup(r->vms, text(r->request, "vmID"));

	if (vm)
		block_jobs_tell(vm, job_id(r->job), NULL);
	if (!cause)
		return JOB_DONE;
	g_propagate_error(error, cause);
	return JOB_FAILED;
}

static enum job_run fail(struct run *r, const char *why, GError **error)
{
	GError *cause = NULL;

	error_set(&cause, job_canceled(r->job) ? ERR_ACTION_STOPPED : ERR_MERGE_FAILED, "VM %s, volume %s into %s: %s", text(r->request, "vmID"),
		  text(r->request, "top"), text(r->request, "base"), why);
	return end(r, cause, error);
}

/* The VM is on top and stays there. */
static enum job_run stayed(struct run *r, const char *why, GError **error)
{
	struct storage_merge merge = merge_of(r);
	g_autoptr(GError) cause = NULL;

	if (is_active(r) && !g_strcmp0(text(r->state, "step"), "pivot") && !storage_merge_undo(r->vms->agent->storage, &merge, &cause)) {
		log_warn("volume %s: trying again: %s", merge.top, cause->message);
		return wait_again(r, BLOCK_JOB_RETRY_USEC);
	}
	return fail(r, why, error);
}

/* QEMU has merged them. */
static enum job_run keep(struct run *r, GError **error)
{
	struct storage_merge merge = merge_of(r);
	json_t *ids = json_pack("{s:s}", "volumeID", merge.base);
	g_autoptr(GError) cause = NULL;
	bool good;

	json_object_set_new(r->state, "merged", json_true());
	fault_point("merge: merged");
	good = storage_merge_record(r->vms->agent->storage, &merge, &cause);
	fault_point("merge: recorded");
	if (good && r->chain && is_active(r)) {
		block_jobs_set_ids(r->b.live, r->chain->target, ids);
		good = live_keep(r->b.live, &cause);
	}
	json_decref(ids);
	if (!good) {
		log_warn("VM %s: volume %s is merged into %s, its metadata are not right yet, trying again: %s", text(r->request, "vmID"), merge.top, merge.base,
			 cause->message);
		return wait_again(r, BLOCK_JOB_RETRY_USEC);
	}
	if (r->chain) {
		(void)block_job_read(&r->b, NULL);       /* the VM knows its new XML */
		vm_publish(r->b.vm);
	}
	return end(r, NULL, error);
}

/* ---- steps ---- */

static void tell(struct run *r, const struct block_job_state *now)
{
	block_jobs_tell(r->b.vm, job_id(r->job), entry_of(job_id(r->job), text(r->state, "target"), r->request, now));
	job_progress(r->job, block_job_percent(now));
}

/* Asks libvirt for it. The job goes on when it does, and when it has ended without an answer. */
static enum job_run start_commit(struct run *r, GError **error)
{
	const struct disk_layer *top = disk_chain_layer(r->chain, text(r->request, "top")), *base = disk_chain_layer(r->chain, text(r->request, "base"));
	g_autofree char *top_name = g_strdup_printf("%s[%d]", r->chain->target, top->index);
	g_autofree char *base_text = g_strdup_printf("%s[%d]", r->chain->target, base->index);
	unsigned flags = VIR_DOMAIN_BLOCK_COMMIT_RELATIVE | (is_active(r) ? VIR_DOMAIN_BLOCK_COMMIT_ACTIVE : 0);
	GError *cause = NULL;

	/* Not in the file: a new process begins again what it does not find under way. */
	json_object_set_new(r->state, "process", json_integer(r->vms->agent->started_usec));
	if (virDomainBlockCommit(r->b.live->domain, r->chain->target, base_text, top_name, (unsigned long)json_integer_value(json_object_get(r->request, "bandwidth")),
				 flags) == 0) {
		fault_point("merge: commit runs");
		return wait_again(r, BLOCK_JOB_LOOK_USEC);
	}
	libvirt_error_set(&cause, ERR_MERGE_FAILED, "VM %s, disk %s, volume %s into %s", r->b.vm->id, r->chain->target, text(r->request, "top"),
			  text(r->request, "base"));
	if (virConnectIsAlive(virDomainGetConnect(r->b.live->domain)) == 1)
		return end(r, cause, error);
	log_info("whether the commit has begun is looked at when libvirt is back: %s", cause->message);
	g_error_free(cause);
	json_object_del(r->state, "process");
	return wait_again(r, BLOCK_JOB_RETRY_USEC);
}

/* In every call of run() that follows, the disk is looked for by its name in the VM: the ids change. */
static enum job_run begin(struct run *r, GError **error)
{
	g_autofree char *child = NULL;
	GError *cause = NULL;

	if (job_canceled(r->job))
		return fail(r, "canceled", error);
	if (!check(&r->b, job_id(r->job), r->request, &r->chain, &child, &cause))
		return end(r, cause, error);
	job_progress(r->job, 0);
	json_object_set_new(r->state, "target", json_string(r->chain->target));
	if (child)
		json_object_set_new(r->state, "child", json_string(child));
	if (!job_step(r->job, r->state, "commit", &cause))
		return end(r, cause, error);
	return start_commit(r, error);
}

static bool was_begun_here(const struct run *r)
{
	return json_integer_value(json_object_get(r->state, "process")) == r->vms->agent->started_usec;
}

static enum job_run pivot(struct run *r, GError **error)
{
	struct storage_merge merge = merge_of(r);
	int64_t pivots = json_integer_value(json_object_get(r->state, "pivots"));
	GError *cause = NULL;

	if (g_strcmp0(text(r->state, "step"), "pivot") && !job_step(r->job, r->state, "pivot", &cause))
		return end(r, cause, error);
	json_object_set_new(r->state, "pivots", json_integer(pivots + 1));
	if (!storage_merge_record(r->vms->agent->storage, &merge, &cause)) {
		log_warn("VM %s: volume %s is not merged yet, trying again: %s", r->b.vm->id, merge.top, cause->message);
		g_clear_error(&cause);
		return wait_again(r, BLOCK_JOB_RETRY_USEC);
	}
	fault_point("merge: illegal");
	if (virDomainBlockJobAbort(r->b.live->domain, r->chain->target,
				   (pivots < PIVOTS_MAX ? VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT : 0) | VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC) < 0)
		log_warn("VM %s, disk %s does not go over to volume %s yet: %s", r->b.vm->id, r->chain->target, merge.base, virGetLastErrorMessage());
	fault_point("merge: pivot asked");
	return wait_again(r, BLOCK_JOB_LOOK_USEC);
}

static enum job_run cancel(struct run *r)
{
	if (virDomainBlockJobAbort(r->b.live->domain, r->chain->target, VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC) < 0)
		log_warn("VM %s, disk %s: cancel: %s", r->b.vm->id, r->chain->target, virGetLastErrorMessage());
	return wait_again(r, BLOCK_JOB_LOOK_USEC);
}

/* QEMU has a job on the disk. */
static enum job_run running(struct run *r, const struct block_job_state *now, GError **error)
{
	bool pivoting = !g_strcmp0(text(r->state, "step"), "pivot");

	tell(r, now);
	if (job_canceled(r->job) && !pivoting)
		return cancel(r);
	if (is_active(r) && r->chain->job && !strcmp(r->chain->job, "active-commit") && r->chain->mirror_ready)
		return pivot(r, error);
	return wait_again(r, BLOCK_JOB_LOOK_USEC);
}

static bool is_merged(const struct run *r)
{
	return is_active(r) ? disk_chain_is_on(r->chain, text(r->request, "base")) : !disk_chain_layer(r->chain, text(r->request, "top"));
}

static enum job_run look(struct run *r, GError **error)
{
	struct disk_key key = { .target = text(r->state, "target") };
	struct block_job_state now;
	g_autoptr(GError) cause = NULL;

	r->chain = disk_chains_find(r->b.chains, &key);
	if (!r->chain)
		return fail(r, "the VM has no such disk any more", error);
	if (!block_job_state(&r->b, r->chain->target, &now, &cause)) {
		log_debug("%s", cause->message);
		return wait_again(r, BLOCK_JOB_RETRY_USEC);
	}
	if (now.running)
		return running(r, &now, error);
	/* the XML is from before: the job may have come to its end in between */
	if (!block_job_read(&r->b, &cause))
		return wait_again(r, BLOCK_JOB_RETRY_USEC);
	r->chain = disk_chains_find(r->b.chains, &key);
	if (r->chain && is_merged(r))
		return keep(r, error);
	if (job_canceled(r->job))
		return stayed(r, "canceled", error);
	if (was_begun_here(r) || !strcmp(text(r->state, "step"), "pivot"))
		return stayed(r, "QEMU's job has failed; its log says more", error);
	if (!r->chain || !disk_chain_layer(r->chain, text(r->request, "top")) || !disk_chain_layer(r->chain, text(r->request, "base")))
		return stayed(r, "the volumes are not in its chain any more", error);
	return start_commit(r, error);
}

/* The VM is down. Below the active volume the file says whether QEMU was done. For the active one, from the pivot on, base counts: see above. */
static enum job_run lost(struct run *r, GError **error)
{
	struct storage_merge merge = merge_of(r);
	g_autoptr(GError) cause = NULL;
	bool merged = false;

	if (is_active(r) && json_object_get(r->state, "merged"))
		return end(r, NULL, error);
	if (is_active(r))
		return fail(r, strcmp(text(r->state, "step"), "pivot") ? "the VM ended" : "the VM ended as it went over; it is to be started on the base volume",
			    error);
	if (!storage_is_based(r->vms->agent->storage, merge.domain, merge.image, merge.child, merge.base, &merged, &cause)) {
		log_warn("volume %s: trying again: %s", merge.child, cause->message);
		return wait_again(r, BLOCK_JOB_RETRY_USEC);
	}
	return merged ? keep(r, error) : fail(r, "the VM ended", error);
}

static enum job_run merge_run(struct job *job, json_t *state, void *context, GError **error)
{
	struct run r = { .job = job, .state = state, .request = json_object_get(state, "request"), .vms = context };
	bool begun = text(state, "step") != NULL;
	g_autoptr(GError) cause = NULL;
	enum job_run outcome;

	if (block_job_open(&r.b, r.vms, text(r.request, "vmID"), &cause))
		outcome = begun ? look(&r, error) : begin(&r, error);
	else if (block_job_is_lost(cause))
		outcome = begun ? lost(&r, error) : end(&r, g_steal_pointer(&cause), error);
	else
		outcome = wait_again(&r, BLOCK_JOB_RETRY_USEC);
	if (outcome == JOB_WAITS && r.b.vm && !block_jobs_told(r.b.vm, job_id(job)))
		tell(&r, &(struct block_job_state){ 0 });        /* the first after a start of the agent, and libvirt does not answer */
	block_job_clear(&r.b);
	return outcome;
}

const struct job_kind merge_kind = { .name = "merge", .type = "virt", .run = merge_run };

/* ---- the verb ---- */

static json_t *request_of(const struct merge_params *p)
{
	json_t *request = block_jobs_ids(p->disk);

	json_object_set_new(request, "vmID", json_string(p->vm_id));
	json_object_set_new(request, "base", json_string(p->base));
	json_object_set_new(request, "top", json_string(p->top));
	json_object_set_new(request, "bandwidth", json_integer(p->bandwidth));
	return request;
}

static bool begin_job(struct agent *agent, const struct merge_params *p, const json_t *request, GError **error)
{
	g_autofree char *lane = g_strconcat("vm/", p->vm_id, NULL), *child = NULL, *id = p->job_id ? g_strdup(p->job_id) : g_uuid_string_random();
	g_autofree char *description = g_strdup_printf("VM.merge %s into %s", p->top, p->base);
	struct job_order order = { .id = id, .kind = &merge_kind, .description = description, .lane = lane, .request = (json_t *)request };
	AUTO_BLOCK_JOB b = { 0 };
	const struct disk_chain *chain;

	if (jobs_has(agent->jobs, id))
		return jobs_begin(agent->jobs, &order, NULL, error);
	if (!block_job_open(&b, agent->vms, p->vm_id, error) || !check(&b, id, request, &chain, &child, error))
		return false;
	/* before the answer: an engine that does not find it in vmJobs takes it for done */
	block_jobs_tell(b.vm, id, entry_of(id, chain->target, request, &(struct block_job_state){ 0 }));
	if (jobs_begin(agent->jobs, &order, NULL, error))
		return true;
	block_jobs_tell(b.vm, id, NULL);
	return false;
}

bool merge_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct merge_params *p = params;
	json_t *request;
	bool good;

	/* all of the ids, or it could be another disk */
	if (!p->disk->domain_id || !p->disk->image_id || !p->disk->volume_id) {
		error_set(error, ERR_MISSING_PARAMETER, "drive: domainID, imageID and volumeID are needed");
		return false;
	}
	request = request_of(p);
	good = begin_job(agent, p, request, error);
	json_decref(request);
	return good;
}
