/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: libvirt notes in a bitmap of each disk what changed since one, and knows the order they were made in. The bitmaps are in the qcow2 volumes and
 * stay; what libvirt knows goes with the domain, so whoever keeps the ids tells it again (redefine), and libvirt looks whether the bitmaps are there and whole.
 * What comes first in a list is done first; at the first that fails it ends, and the answer says how far it came, with libvirt's code and words, as vdsm's.
 */
#define LOG_MODULE "backup"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/fault.h"
#include "agent/virt/backup/backup.h"
#include "common/xml.h"
#include "common/log.h"

char *checkpoint_describe(virDomainPtr domain, const char *id, GError **error)
{
	virDomainCheckpointPtr checkpoint = virDomainCheckpointLookupByName(domain, id, 0);
	char *xml = checkpoint ? virDomainCheckpointGetXMLDesc(checkpoint, 0) : NULL, *copy = g_strdup(xml);

	if (!xml)
		libvirt_error_set(error, libvirt_error_code() == VIR_ERR_NO_DOMAIN_CHECKPOINT ? ERR_NO_SUCH_CHECKPOINT_ERROR : ERR_CHECKPOINT_ERROR,
				  "checkpoint %s", id);
	if (checkpoint)
		virDomainCheckpointFree(checkpoint);
	free(xml);
	return copy;
}

bool checkpoint_is_known(virDomainPtr domain, const char *id)
{
	virDomainCheckpointPtr checkpoint = virDomainCheckpointLookupByName(domain, id, 0);

	if (checkpoint)
		virDomainCheckpointFree(checkpoint);
	return checkpoint;
}

bool checkpoint_define(virDomainPtr domain, const char *xml)
{
	virDomainCheckpointPtr checkpoint = virDomainCheckpointCreateXML(domain, xml, VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE |
											      VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE_VALIDATE);

	if (!checkpoint)
		return false;
	virDomainCheckpointFree(checkpoint);
	return true;
}

bool checkpoint_delete(virDomainPtr domain, const char *id)
{
	virDomainCheckpointPtr checkpoint = virDomainCheckpointLookupByName(domain, id, 0);
	bool good;

	if (!checkpoint)
		return libvirt_error_code() == VIR_ERR_NO_DOMAIN_CHECKPOINT;
	good = virDomainCheckpointDelete(checkpoint, 0) == 0;
	virDomainCheckpointFree(checkpoint);
	return good;
}

/* ---- how far a list came ---- */

static json_t *progress_new(void)
{
	return json_pack("{s:[]}", "checkpoint_ids");
}

/* false: this one failed, the list ends here. */
static bool progress_add(json_t *progress, const struct vm *vm, const char *what, const char *id, bool good)
{
	virErrorPtr error = virGetLastError();

	if (good) {
		json_array_append_new(json_object_get(progress, "checkpoint_ids"), json_string(id));
		log_info("VM %s: checkpoint %s is %s", vm->id, id, what);
		return true;
	}
	log_error("VM %s: checkpoint %s is not %s: %s", vm->id, id, what, virGetLastErrorMessage());
	json_object_set_new(progress, "error", json_pack("{s:i, s:s}", "code", error ? error->code : 0, "message", virGetLastErrorMessage()));
	return false;
}

/* ---- verbs ---- */

static virDomainPtr open_domain(struct agent *agent, const char *vm_id, GError **error)
{
	AUTO_VM vm = vms_find(agent->vms, vm_id, error);

	return vm ? vm_domain(vm, error) : NULL;
}

bool checkpoints_list_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	g_autoptr(virDomain) domain = open_domain(agent, p->vm_id, error);
	virDomainCheckpointPtr *checkpoints = NULL;
	json_t *ids;
	int n;

	if (!domain)
		return false;
	n = virDomainListAllCheckpoints(domain, &checkpoints, VIR_DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL);
	if (n < 0) {
		libvirt_error_set(error, ERR_CHECKPOINT_ERROR, "VM %s", p->vm_id);
		return false;
	}
	ids = json_array();
	for (int i = 0; i < n; i++) {
		if (!g_str_has_prefix(virDomainCheckpointGetName(checkpoints[i]), MARKS_PREFIX))
			json_array_append_new(ids, json_string(virDomainCheckpointGetName(checkpoints[i])));
		virDomainCheckpointFree(checkpoints[i]);
	}
	free(checkpoints);
	result_json(ret_result, ids);
	return true;
}

/* Is it the description of the checkpoint with that id? */
static bool check_xml(const struct checkpoint_spec *spec, GError **error)
{
	g_autoptr(xmlDoc) doc = xml_parse(spec->xml, strlen(spec->xml), error);
	g_autofree char *name = doc ? xml_text(xml_child(xmlDocGetRootElement(doc), "name")) : NULL;

	if (doc && g_strcmp0(name, spec->id))
		error_set(error, ERR_CHECKPOINT_ERROR, "checkpoint %s: its xml is that of '%s'", spec->id, name ? name : "");
	return doc && !g_strcmp0(name, spec->id);
}

/* g_free; NULL + error: it cannot be said what it was. */
static char *xml_of(struct block_job *b, const struct checkpoint_spec *spec, GError **error)
{
	if (!spec->config == !spec->xml) {
		error_set(error, ERR_CHECKPOINT_ERROR, "checkpoint %s: either xml or config is needed", spec->id);
		return NULL;
	}
	if (spec->xml)
		return check_xml(spec, error) ? g_strdup(spec->xml) : NULL;
	if (g_strcmp0(spec->config->to_checkpoint, spec->id)) {
		error_set(error, ERR_CHECKPOINT_ERROR, "checkpoint %s: its config made %s", spec->id,
			  spec->config->to_checkpoint ? spec->config->to_checkpoint : "none");
		return NULL;
	}
	for (guint i = 0; spec->config->disks && i < spec->config->disks->len; i++) {
		const struct backup_disk *disk = spec->config->disks->pdata[i];
		const struct disk_key key = { .domain = disk->domain_id, .image = disk->image_id, .volume = disk->volume_id };

		if (!disk_chains_find(b->chains, &key)) {
			error_set(error, ERR_BACKUP_ERROR, "checkpoint %s: VM %s has no disk with image %s, volume %s", spec->id, b->vm->id, disk->image_id,
				  disk->volume_id);
			return NULL;
		}
	}
	return backup_checkpoint_xml(spec->config, b->chains);
}

bool checkpoints_redefine_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct backup_params *p = params;
	AUTO_BLOCK_JOB b = { 0 };
	g_autoptr(GPtrArray) xmls = g_ptr_array_new_with_free_func(g_free);
	json_t *progress;
	bool good = block_job_open(&b, agent->vms, p->vm_id, error);

	/* before the first is told of: a bad one is an error, and nothing has changed */
	for (guint i = 0; i < p->checkpoints->len && good; i++) {
		char *xml = xml_of(&b, p->checkpoints->pdata[i], error);

		good = xml != NULL;
		g_ptr_array_add(xmls, xml);
	}
	if (!good)
		return false;
	progress = progress_new();
	for (guint i = 0; i < xmls->len && good; i++)
		good = progress_add(progress, b.vm, "defined anew", ((struct checkpoint_spec *)p->checkpoints->pdata[i])->id,
				    checkpoint_define(b.live->domain, xmls->pdata[i]));
	result_json(ret_result, progress);
	return true;
}

bool checkpoints_delete_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct backup_params *p = params;
	AUTO_BLOCK_JOB b = { 0 };
	json_t *progress;
	bool good = true;

	if (!block_job_open(&b, agent->vms, p->vm_id, error))
		return false;
	progress = progress_new();
	for (guint i = 0; i < p->checkpoint_ids->len && good; i++) {
		const char *id = p->checkpoint_ids->pdata[i];

		good = progress_add(progress, b.vm, "deleted", id, checkpoint_delete(b.live->domain, id));
		fault_point("checkpoint: deleted");
	}
	result_json(ret_result, progress);
	return true;
}

bool checkpoint_dump_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct backup_params *p = params;
	g_autoptr(virDomain) domain = open_domain(agent, p->vm_id, error);
	g_autofree char *xml = domain ? checkpoint_describe(domain, p->checkpoint_id, error) : NULL;

	if (!xml)
		return false;
	result_json(ret_result, json_pack("{s:s}", "checkpoint", xml));
	return true;
}
