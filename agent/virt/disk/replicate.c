/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.diskReplicateStart, VM.diskReplicateFinish: the active volume of a disk is copied to another one, usually on other storage, and the two are kept
 * alike until the VM goes over to the copy, or is told to stay. What is below the active volume, the caller copies meanwhile.
 *
 * Where it goes is in the domain's metadata (device/diskReplicate: poolID, domainID, imageID, volumeID, path, as vdsm has it), from before libvirt is asked to
 * copy until after the disk's own ids are right. So these say how far it came, whoever died when:
 *
 *   metadata   libvirt's copy job     the disk is on     then
 *   -          -                      the old volume     there is no replication
 *   yes        yes                    the old volume     it goes on
 *   yes        -                      the old volume     it did not begin, failed, or was given up: the metadata are removed
 *   yes        -                      the new volume     the VM has gone over: its ids become the disk's
 *
 * Checkpoints: libvirt copies the bitmaps of the active volume when the VM goes over (seen with 9.0); those of volumes below go with their data, which
 * the caller copies (SDM.copy_data with copy_bitmaps). A copy that is given up when both are alike is what the disk held at one moment: QEMU ends it so.
 *
 * The verbs do their steps at once, on the VM's lane. A job beside them, on the same lane, from start to finish, puts the last two lines right when the copy
 * fails, or libvirt or the agent went away, and shows in Host.getJobs how far the copy is: 100 % when the VM may go over.
 */
#define LOG_MODULE "replicate"
#include <libvirt/virterror.h>
#include <string.h>
#include "agent/fault.h"
#include "agent/storage/storage.h"
#include "agent/virt/backup/backup.h"
#include "agent/virt/disk/block_jobs.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/log.h"

#define READY_LOOK_USEC (60 * G_USEC_PER_SEC)            /* copied once, and kept alike: events tell the rest */

static const char *text(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

/* "<vm>/vda": what says which job is the disk's. g_free */
static char *disk_name(const struct block_job *b, const char *target)
{
	return g_strconcat(b->vm->id, "/", target, NULL);
}

/* ---- what is kept ---- */

static bool set_replica(struct block_job *b, const struct disk_chain *chain, const json_t *ids, const char *path, GError **error)
{
	xmlNode *device = vm_metadata_add_device(b->live->metadata, "disk", "name", chain->target), *replica;
	const char *name;
	json_t *value;

	vm_metadata_set(device, "diskReplicate", NULL, NULL);
	replica = xml_child(device, "diskReplicate");
	json_object_foreach((json_t *)ids, name, value)
		vm_metadata_set(replica, name, NULL, json_string_value(value));
	vm_metadata_set(replica, "path", NULL, path);
	return live_keep(b->live, error);
}

/* ids NULL: the disk stays what it is. */
static bool drop_replica(struct block_job *b, const char *target, const json_t *ids, GError **error)
{
	json_t *none = json_object();

	block_jobs_set_ids(b->live, target, ids ? ids : none);
	json_decref(none);
	if (!live_keep(b->live, error))
		return false;
	(void)block_job_read(b, NULL);                   /* the VM knows its new XML */
	vm_publish(b->vm);
	return true;
}

static json_t *replica_ids(const struct disk_chain *chain)
{
	json_t *ids = json_pack("{s:s, s:s, s:s}", "domainID", chain->replica_domain, "imageID", chain->replica_image, "volumeID", chain->replica_volume);

	if (chain->replica_pool)
		json_object_set_new(ids, "poolID", json_string(chain->replica_pool));
	return ids;
}

static bool is_over_there(const struct disk_chain *chain)
{
	const struct disk_layer *active = chain->layers->len ? chain->layers->pdata[0] : NULL;

	return active && !g_strcmp0(active->path, chain->replica_path);
}

/* ---- the job ---- */

static enum job_run wait_again(struct job *job, int64_t delay_usec)
{
	job_wake_after(job, delay_usec);
	return JOB_WAITS;
}

/* There is a copy job, ready or not. */
static enum job_run copying(struct job *job, struct block_job *b, const struct disk_chain *chain, GError **error)
{
	struct block_job_state now;
	g_autoptr(GError) cause = NULL;

	if (job_canceled(job) && virDomainBlockJobAbort(b->live->domain, chain->target, VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC) < 0)
		log_warn("VM %s, disk %s: cancel: %s", b->vm->id, chain->target, virGetLastErrorMessage());
	if (chain->mirror_ready)
		job_progress(job, 100);
	else if (block_job_state(b, chain->target, &now, &cause))
		job_progress(job, MIN(block_job_percent(&now), 99));
	return wait_again(job, chain->mirror_ready && !job_canceled(job) ? READY_LOOK_USEC : BLOCK_JOB_LOOK_USEC);
}

static enum job_run settle(struct job *job, json_t *state, struct block_job *b, GError **error)
{
	const json_t *request = json_object_get(state, "request");
	const struct disk_key key = { .target = text(request, "target") };
	const struct disk_chain *chain = disk_chains_find(b->chains, &key);
	json_t *ids = NULL;
	g_autoptr(GError) cause = NULL;
	bool over, good;

	if (!chain || !chain->replica_path) {
		/* diskReplicateFinish was here, or the verb did not come so far */
		if (chain && !g_strcmp0(chain->domain, text(request, "toDomainID")) && disk_chain_is_on(chain, text(request, "toVolumeID")))
			return JOB_DONE;
		error_set(error, job_canceled(job) ? ERR_ACTION_STOPPED : ERR_REPLICA_ERROR, "VM %s, disk %s: it stays where it was", b->vm->id, key.target);
		return JOB_FAILED;
	}
	if (chain->job)
		return copying(job, b, chain, error);
	/* A copy that is about to begin has the metadata already. Keeping them again comes after it. */
	if (!live_keep(b->live, &cause) || !block_job_read(b, &cause)) {
		log_info("VM %s: replication of disk %s is looked at again: %s", b->vm->id, key.target, cause->message);
		return wait_again(job, BLOCK_JOB_RETRY_USEC);
	}
	chain = disk_chains_find(b->chains, &key);
	if (!chain || chain->job || !chain->replica_path)
		return wait_again(job, BLOCK_JOB_LOOK_USEC);
	over = is_over_there(chain);
	if (over)
		ids = replica_ids(chain);
	good = drop_replica(b, key.target, ids, &cause);
	json_decref(ids);
	if (!good)
		return wait_again(job, BLOCK_JOB_RETRY_USEC);
	if (over)
		return JOB_DONE;
	error_set(error, job_canceled(job) ? ERR_ACTION_STOPPED : ERR_REPLICA_ERROR, "VM %s, disk %s: the copy to volume %s has ended; QEMU's log says more",
		  b->vm->id, key.target, text(request, "toVolumeID"));
	return JOB_FAILED;
}

static enum job_run replicate_run(struct job *job, json_t *state, void *context, GError **error)
{
	AUTO_BLOCK_JOB b = { 0 };
	g_autoptr(GError) cause = NULL;

	if (block_job_open(&b, context, text(json_object_get(state, "request"), "vmID"), &cause))
		return settle(job, state, &b, error);
	if (!block_job_is_lost(cause))
		return wait_again(job, BLOCK_JOB_RETRY_USEC);
	g_propagate_error(error, g_steal_pointer(&cause));
	return JOB_FAILED;
}

const struct job_kind replicate_kind = { .name = "replicate", .type = "virt", .run = replicate_run };

/* ---- start ---- */

static const struct disk_chain *find_disk(struct block_job *b, const struct disk_spec *spec, GError **error)
{
	const struct disk_key key = { .domain = spec->domain_id, .image = spec->image_id, .volume = spec->volume_id };
	const struct disk_chain *chain = disk_chains_find(b->chains, &key);
	g_autofree char *wish = disk_key_text(&key);

	if (!chain)
		error_set(error, ERR_IMAGE_FILE_NOT_FOUND, "VM %s has no disk with %s", b->vm->id, *wish ? wish : "no ids at all");
	return chain;
}

static bool check_start(struct block_job *b, const struct disk_chain *chain, const struct replicate_params *p, GError **error)
{
	const char *target = chain->target;

	if (!p->to->domain_id || !p->to->image_id || !p->to->volume_id)
		error_set(error, ERR_REPLICA_ERROR, "dstDisk: domainID, imageID and volumeID are needed");
	else if (!g_strcmp0(p->to->domain_id, chain->domain) && !g_strcmp0(p->to->volume_id, chain->volume))
		error_set(error, ERR_REPLICA_ERROR, "disk %s of VM %s is on volume %s of domain %s already", target, b->vm->id, chain->volume, chain->domain);
	else if (chain->replica_path || chain->job || block_jobs_any(b->vm->vms, &merge_kind, "imageID", chain->image, NULL))
		error_set(error, ERR_REPLICA_ERROR, "disk %s of VM %s is being %s", target, b->vm->id,
			  chain->replica_path || !g_strcmp0(chain->job, "copy") ? "replicated already" : "merged");
	else if (chain->removable || chain->readonly || chain->shareable || chain->transient)
		error_set(error, ERR_REPLICA_ERROR, "disk %s of VM %s is removable, read-only, shared or transient", target, b->vm->id);
	else
		return backup_allows(b->vm, target, ERR_REPLICA_ERROR, "replicated", error);
	return false;
}

/* The active layer only, onto the volume as it was made. */
static bool copy(struct block_job *b, const struct disk_chain *chain, const char *path, const char *format, bool block, GError **error)
{
	g_autoptr(xmlDoc) doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *disk = xmlNewNode(NULL, (const xmlChar *)"disk");
	g_autofree char *xml = NULL;

	xmlDocSetRootElement(doc, disk);
	xml_set(disk, "type", block ? "block" : "file");
	xml_add_with(disk, "driver", "type", format, NULL);
	xml_add_with(disk, "source", block ? "dev" : "file", path, NULL);
	xml = xml_to_text(disk);
	if (virDomainBlockCopy(b->live->domain, chain->target, xml, NULL, 0, VIR_DOMAIN_BLOCK_COPY_SHALLOW | VIR_DOMAIN_BLOCK_COPY_REUSE_EXT) == 0)
		return true;
	libvirt_error_set(error, ERR_REPLICA_ERROR, "VM %s, disk %s to '%s'", b->vm->id, chain->target, path);
	return false;
}

static bool begin_job(struct block_job *b, const struct disk_chain *chain, const struct replicate_params *p, GError **error)
{
	g_autofree char *lane = g_strconcat("vm/", b->vm->id, NULL), *description = g_strdup_printf("VM.diskReplicate %s", chain->image);
	g_autofree char *disk = disk_name(b, chain->target);
	json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:s}", "vmID", b->vm->id, "disk", disk, "target", chain->target, "toDomainID", p->to->domain_id,
				    "toVolumeID", p->to->volume_id);
	struct job_order order = { .kind = &replicate_kind, .description = description, .lane = lane, .request = request };
	bool good = jobs_begin(b->vm->vms->agent->jobs, &order, NULL, error);

	json_decref(request);
	return good;
}

bool replicate_start_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct replicate_params *p = params;
	AUTO_BLOCK_JOB b = { 0 };
	const struct disk_chain *chain = block_job_open(&b, agent->vms, p->vm_id, error) ? find_disk(&b, p->from, error) : NULL;
	g_autofree char *path = NULL;
	struct storage_disk disk;
	const char *format;
	json_t *ids;
	bool good, block;

	if (!chain || !check_start(&b, chain, p, error) ||
	    !storage_prepare(agent->storage, p->vm_id, p->to->domain_id, p->to->image_id, p->to->volume_id, &path, &format, error) ||
	    !domain_xml_check_file(path, "copy of the disk", &block, error))
		return false;
	disk = (struct storage_disk){ .domain = p->to->domain_id, .image = p->to->image_id, .volume = p->to->volume_id, .path = path };
	if ((p->need_extend && !storage_extend(agent->storage, &disk, error)) || !begin_job(&b, chain, p, error))
		return false;
	ids = block_jobs_ids(p->to);
	fault_point("replicate: begun");
	good = set_replica(&b, chain, ids, path, error);
	json_decref(ids);
	fault_point("replicate: kept");
	/* When the copy does not begin, the job finds the metadata without one and removes them. */
	good = good && copy(&b, chain, path, format, block, error);
	fault_point("replicate: copy runs");
	(void)live_read(b.live, NULL);
	return good;
}

/* ---- finish ---- */

/* Sees to it that the disk is not copied any more; flags: with or without going over. */
static bool end_copy(struct block_job *b, const struct disk_chain *chain, unsigned flags, GError **error)
{
	if (!chain->job)
		return true;
	if (virDomainBlockJobAbort(b->live->domain, chain->target, flags) < 0) {
		libvirt_error_set(error, libvirt_error_code() == VIR_ERR_BLOCK_COPY_ACTIVE ? ERR_RESOURCE_UNAVAILABLE : ERR_REPLICA_ERROR, "VM %s, disk %s",
				  b->vm->id, chain->target);
		return false;
	}
	return true;
}

static bool check_finish(struct block_job *b, const struct disk_chain *chain, const struct replicate_params *p, bool stay, GError **error)
{
	struct block_job_state now = { 0 };

	if (!chain->replica_path || (!stay && !chain->job && !is_over_there(chain))) {
		error_set(error, ERR_REPLICATION_NOT_IN_PROGRESS, "disk %s of VM %s", chain->target, b->vm->id);
		return false;
	}
	if (stay)
		return true;
	if (g_strcmp0(p->to->domain_id, chain->replica_domain) || g_strcmp0(p->to->volume_id, chain->replica_volume)) {
		error_set(error, ERR_REPLICA_ERROR, "disk %s of VM %s is replicated to volume %s of domain %s, not to %s of %s", chain->target, b->vm->id,
			  chain->replica_volume, chain->replica_domain, p->to->volume_id, p->to->domain_id);
		return false;
	}
	if (!chain->job || chain->mirror_ready)
		return true;
	(void)block_job_state(b, chain->target, &now, NULL);
	error_set(error, ERR_RESOURCE_UNAVAILABLE, "disk %s of VM %s: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " bytes are copied", chain->target, b->vm->id,
		  now.done, now.all);
	return false;
}

/* Its job ends as aborted. */
static void cancel_job(struct block_job *b, const char *target)
{
	struct jobs *jobs = b->vm->vms->agent->jobs;
	g_autofree char *name = disk_name(b, target);
	g_autoptr(GPtrArray) ids = jobs_active(jobs, &replicate_kind, "disk", name);

	for (guint i = 0; i < ids->len; i++)
		(void)jobs_cancel(jobs, ids->pdata[i], NULL);
}

bool replicate_finish_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct replicate_params *p = params;
	AUTO_BLOCK_JOB b = { 0 };
	const struct disk_chain *chain = block_job_open(&b, agent->vms, p->vm_id, error) ? find_disk(&b, p->from, error) : NULL;
	bool stay = !g_strcmp0(p->from->domain_id, p->to->domain_id) && !g_strcmp0(p->from->volume_id, p->to->volume_id), good;
	g_autofree char *target = chain ? g_strdup(chain->target) : NULL;
	json_t *ids;

	if (!chain || !check_finish(&b, chain, p, stay, error))
		return false;
	if (stay)
		cancel_job(&b, target);
	ids = stay ? NULL : replica_ids(chain);
	fault_point("replicate: finishing");
	good = end_copy(&b, chain, stay ? 0 : VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT, error);
	fault_point("replicate: copy ended");
	good = good && live_read(b.live, error) && drop_replica(&b, target, ids, error);
	fault_point("replicate: finished");
	json_decref(ids);
	jobs_wake_about(agent->jobs, "vmID", b.vm->id);
	return good;
}
