/* SPDX-License-Identifier: Apache-2.0 */
#define LOG_MODULE "virt"
#include "agent/virt/disk/block_jobs.h"

#include <libvirt/virterror.h>
#include "agent/virt/backup/backup.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/lock.h"
#include "common/log.h"

static const struct job_kind *const kinds[] = { &snapshot_kind, &merge_kind, &replicate_kind, &backup_kind };

void block_jobs_register(struct vms *vms)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		jobs_register(vms->agent->jobs, kinds[i], vms);
}

bool block_jobs_any(struct vms *vms, const struct job_kind *kind, const char *member, const char *value, const char *self)
{
	g_autoptr(GPtrArray) ids = jobs_active(vms->agent->jobs, kind, member, value);

	for (guint i = 0; i < ids->len; i++)
		if (!self || g_ascii_strcasecmp(ids->pdata[i], self))
			return true;
	return false;
}

/* ---- vmJobs ---- */

void block_jobs_unknown(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->block_jobs_unknown = true;
}

void block_jobs_known(struct vm *vm, void *unused)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->block_jobs_unknown = false;
}

json_t *block_jobs_locked(const struct vm *vm)
{
	return vm->block_jobs_unknown ? NULL : json_copy(vm->block_jobs);
}

void block_jobs_tell(struct vm *vm, const char *job_id, json_t *entry)
{
	AUTO_LOCK(&vm->vms->lock);
	if (entry)
		json_object_set_new(vm->block_jobs, job_id, entry);
	else
		(void)json_object_del(vm->block_jobs, job_id);
}

bool block_jobs_told(struct vm *vm, const char *job_id)
{
	AUTO_LOCK(&vm->vms->lock);
	return json_object_get(vm->block_jobs, job_id) != NULL;
}

/* ---- ids ---- */

static const char *const id_names[] = { "poolID", "domainID", "imageID", "volumeID" };

json_t *block_jobs_ids(const struct disk_spec *spec)
{
	const char *const values[] = { spec->pool_id, spec->domain_id, spec->image_id, spec->volume_id };
	json_t *ids = json_object();

	for (size_t i = 0; i < G_N_ELEMENTS(id_names); i++)
		if (values[i])
			json_object_set_new(ids, id_names[i], json_string(values[i]));
	return ids;
}

static const char *member(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

struct disk_key block_jobs_key(const json_t *ids)
{
	return (struct disk_key){
		.domain = member(ids, "domainID"), .image = member(ids, "imageID"), .volume = member(ids, "volumeID"), .guid = member(ids, "GUID"),
		.uuid = member(ids, "UUID"), .target = member(ids, "target"),
	};
}

void block_jobs_set_ids(struct live *live, const char *target, const json_t *ids)
{
	xmlNode *device = vm_metadata_add_device(live->metadata, "disk", "name", target);

	for (size_t i = 0; i < G_N_ELEMENTS(id_names); i++)
		if (member(ids, id_names[i]))
			vm_metadata_set(device, id_names[i], NULL, member(ids, id_names[i]));
	xml_remove(xml_child(device, "diskReplicate"));
}

/* ---- as it is now ---- */

void block_job_clear(struct block_job *b)
{
	if (b->chains)
		g_ptr_array_unref(b->chains);
	live_free(b->live);
	vm_unref(b->vm);
	*b = (struct block_job){ 0 };
}

bool block_job_open(struct block_job *b, struct vms *vms, const char *vm_id, GError **error)
{
	b->vm = vms_find(vms, vm_id, error);
	b->live = b->vm ? live_open(b->vm, error) : NULL;
	if (b->live)
		b->chains = disk_chains_read(b->live->root);
	return b->live != NULL;
}

bool block_job_read(struct block_job *b, GError **error)
{
	if (!live_read(b->live, error))
		return false;
	g_ptr_array_unref(b->chains);
	b->chains = disk_chains_read(b->live->root);
	return true;
}

bool block_job_is_lost(const GError *error)
{
	return error_is(error, ERR_NO_SUCH_VM) || error_is(error, ERR_VM_IS_DOWN);
}

bool block_job_state(struct block_job *b, const char *target, struct block_job_state *ret_state, GError **error)
{
	virDomainBlockJobInfo info = { 0 };
	int r = virDomainGetBlockJobInfo(b->live->domain, target, &info, 0);

	if (r < 0) {
		libvirt_error_set(error, libvirt_error_code() == VIR_ERR_NO_DOMAIN ? ERR_VM_IS_DOWN : ERR_UNEXPECTED_ERROR, "VM %s: job of disk %s", b->vm->id,
				  target);
		return false;
	}
	*ret_state = (struct block_job_state){ .running = r > 0, .done = (int64_t)info.cur, .all = (int64_t)info.end, .bandwidth = (int)info.bandwidth };
	return true;
}

int block_job_percent(const struct block_job_state *state)
{
	return state->all > 0 ? (int)(state->done * 100 / state->all) : 0;
}

const struct verb_binding snapshot_bindings[] = {
	{ "VM.snapshot", snapshot_verb },
	{ "VM.merge", merge_verb },
	{ "VM.diskReplicateStart", replicate_start_verb },
	{ "VM.diskReplicateFinish", replicate_finish_verb },
};
const size_t n_snapshot_bindings = G_N_ELEMENTS(snapshot_bindings);
