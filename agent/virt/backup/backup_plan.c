/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for -> the disks that are meant, their scratch files, and what libvirt is told. */
#define LOG_MODULE "backup"
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/storage/qemu_img.h"
#include "agent/storage/storage.h"
#include "agent/virt/backup/backup.h"
#include "agent/virt/domain/domain_xml.h"
#include "common/xml.h"
#include "common/log.h"

static const char *text(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

/* ---- disks ---- */

static const struct disk_chain *find_disk(const GPtrArray *chains, const struct backup_disk *disk)
{
	return disk_chains_find(chains, &(struct disk_key){ .domain = disk->domain_id, .image = disk->image_id, .volume = disk->volume_id });
}

static bool is_incremental(const struct backup_config *config, const struct backup_disk *disk)
{
	return HAS(disk, mode) ? disk->mode == BACKUP_INCREMENTAL : config->from_checkpoint != NULL;
}

static bool check_disk(struct block_job *b, const struct backup_config *config, const struct backup_disk *disk, const struct disk_chain *chain, GError **error)
{
	const struct disk_layer *active = chain->layers->len ? chain->layers->pdata[0] : NULL;
	bool raw = active && g_strcmp0(active->format, "qcow2");

	if (!active || chain->removable || chain->transient)
		error_set(error, ERR_BACKUP_ERROR, "disk %s of VM %s is %s", chain->target, b->vm->id, chain->transient ? "transient" : "removable");
	else if (chain->job || chain->replica_volume || block_jobs_any(b->vm->vms, &merge_kind, "imageID", disk->image_id, NULL))
		error_set(error, ERR_BACKUP_ERROR, "disk %s of VM %s is being %s", chain->target, b->vm->id,
			  chain->replica_volume || !g_strcmp0(chain->job, "copy") ? "replicated" : "merged");
	else if (is_incremental(config, disk) && !config->from_checkpoint)
		error_set(error, ERR_BACKUP_ERROR, "disk %s of VM %s: incremental since when? from_checkpoint_id is missing", chain->target, b->vm->id);
	else if (raw && (disk->checkpoint || is_incremental(config, disk)))
		error_set(error, ERR_BACKUP_ERROR, "disk %s of VM %s is raw: it cannot have checkpoints, its backups are full ones", chain->target, b->vm->id);
	else
		return true;
	return false;
}

/* ---- scratch ---- */

/* A scratch disk that the caller has made. ret_path g_free */
static bool given_scratch(struct block_job *b, const struct backup_scratch *scratch, int64_t size, char **ret_path, bool *ret_block, GError **error)
{
	g_autofree char *path = g_strdup(scratch->path);
	json_t *info = NULL;
	int64_t bytes;
	const char *format;

	if (scratch->domain_id && scratch->image_id && scratch->volume_id) {
		g_clear_pointer(&path, g_free);
		if (!storage_prepare(b->vm->vms->agent->storage, b->vm->id, scratch->domain_id, scratch->image_id, scratch->volume_id, &path, &format,
				     error))
			return false;
	}
	for (guint i = 0; i < b->chains->len; i++) {
		const struct disk_chain *chain = b->chains->pdata[i];

		for (guint k = 0; k < chain->layers->len; k++)
			if (!strcmp(((struct disk_layer *)chain->layers->pdata[k])->path, path)) {
				error_set(error, ERR_BACKUP_ERROR, "scratch disk '%s' is a volume of disk %s", path, chain->target);
				return false;
			}
	}
	if (!domain_xml_check_file(path, "scratch disk", ret_block, error))
		return false;
	if (*ret_block != !strcmp(scratch->type, "block")) {
		error_set(error, ERR_BACKUP_ERROR, "scratch disk '%s' is no %s", path, scratch->type);
		return false;
	}
	info = qemu_img_info(path, "qcow2", error);
	bytes = json_integer_value(json_object_get(info, "virtual-size"));
	if (info && bytes != size)
		error_set(error, ERR_BACKUP_ERROR, "scratch disk '%s' has %" G_GINT64_FORMAT " bytes, the disk %" G_GINT64_FORMAT, path, bytes, size);
	if (info && bytes == size)
		*ret_path = g_steal_pointer(&path);
	json_decref(info);
	return *ret_path != NULL;
}

static json_t *plan_disk(struct block_job *b, const struct backup_config *config, const struct backup_disk *disk, GError **error)
{
	const struct disk_chain *chain = find_disk(b->chains, disk);
	g_autofree char *path = NULL;
	g_autoptr(GError) cause = NULL;
	const struct backup_scratch *scratch = disk->scratch;
	virDomainBlockInfo info;
	bool block = false;
	json_t *planned;

	if (!chain) {
		error_set(error, ERR_BACKUP_ERROR, "VM %s has no disk with domain %s, image %s, volume %s", b->vm->id, disk->domain_id, disk->image_id,
			  disk->volume_id);
		return NULL;
	}
	if (!check_disk(b, config, disk, chain, error))
		return NULL;
	if (virDomainGetBlockInfo(b->live->domain, chain->target, &info, 0) < 0) {
		live_failed(b->live, error, ERR_BACKUP_ERROR, "disk %s", chain->target);
		return NULL;
	}
	if (!scratch)
		path = g_strdup_printf("%s/scratch/%s.%s.%s", b->vm->vms->agent->state_dir, b->vm->id, config->id, chain->target);
	else if (!given_scratch(b, scratch, (int64_t)info.capacity, &path, &block, &cause)) {
		error_set(error, ERR_BACKUP_ERROR, "disk %s of VM %s: %s", chain->target, b->vm->id, cause->message);
		return NULL;
	}
	planned = json_pack("{s:s, s:s, s:s, s:b, s:I, s:b}", "target", chain->target, "imageID", disk->image_id, "scratch", path, "block", block, "size",
			    (json_int_t)info.capacity, "own", !scratch);
	if (scratch && scratch->domain_id && scratch->image_id && scratch->volume_id)
		json_object_set_new(planned, "volume", json_pack("{s:s, s:s, s:s}", "domainID", scratch->domain_id, "imageID", scratch->image_id, "volumeID",
								 scratch->volume_id));
	if (!is_incremental(config, disk) || marks_plan(b, chain, config->from_checkpoint, planned, error))
		return planned;
	json_decref(planned);
	return NULL;
}

static bool is_planned(const json_t *plan, const char *image)
{
	const json_t *other;
	size_t i;

	json_array_foreach(plan, i, other)
		if (!strcmp(text(other, "imageID"), image))
			return true;
	return false;
}

static bool check_checkpoint(const struct backup_config *config, GError **error)
{
	for (guint i = 0; i < config->disks->len; i++)
		if (((struct backup_disk *)config->disks->pdata[i])->checkpoint)
			return true;
	if (config->to_checkpoint)
		error_set(error, ERR_BACKUP_ERROR, "backup %s: no disk is part of checkpoint %s", config->id, config->to_checkpoint);
	return !config->to_checkpoint;
}

json_t *backup_plan(struct block_job *b, const struct backup_config *config, GError **error)
{
	json_t *plan;

	if (!config->disks || !config->disks->len) {
		error_set(error, ERR_BACKUP_ERROR, "backup %s of VM %s is without disks", config->id, b->vm->id);
		return NULL;
	}
	if (!check_checkpoint(config, error))
		return NULL;
	plan = json_array();
	for (guint i = 0; i < config->disks->len; i++) {
		const struct backup_disk *disk = config->disks->pdata[i];
		json_t *planned = NULL;

		if (is_planned(plan, disk->image_id))
			error_set(error, ERR_BACKUP_ERROR, "backup %s of VM %s: image %s is named twice", config->id, b->vm->id, disk->image_id);
		else
			planned = plan_disk(b, config, disk, error);
		if (!planned) {
			json_decref(plan);
			return NULL;
		}
		json_array_append_new(plan, planned);
	}
	return plan;
}

bool backup_make_scratch(const json_t *plan, GError **error)
{
	const struct group *kvm = getgrnam("kvm");
	const json_t *planned;
	size_t i;

	json_array_foreach(plan, i, planned) {
		struct qemu_img_create image = { .path = text(planned, "scratch"), .format = "qcow2",
						 .size = (uint64_t)json_integer_value(json_object_get(planned, "size")) };
		g_autoptr(GError) cause = NULL;

		if (!json_is_true(json_object_get(planned, "own")))
			continue;
		if (!qemu_img_create(&image, &cause)) {
			error_set(error, ERR_BACKUP_ERROR, "scratch disk '%s': %s", image.path, cause->message);
			return false;
		}
		if (chmod(image.path, 0660) < 0 || (kvm && chown(image.path, (uid_t)-1, kvm->gr_gid) < 0)) {
			error_set_errno(error, ERR_BACKUP_ERROR, errno, "scratch disk '%s'", image.path);
			return false;
		}
	}
	return true;
}

void backup_remove_scratch(const json_t *plan)
{
	const json_t *planned;
	size_t i;

	json_array_foreach(plan, i, planned)
		if (json_is_true(json_object_get(planned, "own")) && unlink(text(planned, "scratch")) < 0 && errno != ENOENT)
			log_warn("scratch disk '%s' cannot be removed: %s", text(planned, "scratch"), g_strerror(errno));
}

/* ---- XML ---- */

char *backup_xml(const struct backup_config *config, const json_t *plan, const char *socket)
{
	g_autoptr(xmlDoc) doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *root = xmlNewNode(NULL, (const xmlChar *)"domainbackup"), *disks;
	const json_t *planned;
	size_t i;

	xmlDocSetRootElement(doc, root);
	xml_set(root, "mode", "pull");
	if (config->from_checkpoint)
		xml_add_text(root, "incremental", config->from_checkpoint);
	xml_add_with(root, "server", "transport", "unix", "socket", socket, NULL);
	disks = xml_add(root, "disks");
	json_array_foreach(plan, i, planned) {
		bool block = json_is_true(json_object_get(planned, "block")), incremental = is_incremental(config, config->disks->pdata[i]);
		g_autofree char *since = marks_since(planned, config);
		xmlNode *disk = xml_add_with(disks, "disk", "name", text(planned, "target"), "backup", "yes", "type", block ? "block" : "file", "backupmode",
					     incremental ? "incremental" : "full", "incremental", incremental ? since : NULL, NULL);

		xml_add_with(disk, "driver", "type", "qcow2", NULL);
		xml_add_with(disk, "scratch", block ? "dev" : "file", text(planned, "scratch"), NULL);
	}
	return xml_to_text(root);
}

char *backup_checkpoint_xml(const struct backup_config *config, const GPtrArray *chains)
{
	g_autoptr(xmlDoc) doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *root = xmlNewNode(NULL, (const xmlChar *)"domaincheckpoint"), *disks;
	g_autofree char *description = g_strdup_printf("checkpoint for backup '%s'", config->id);
	g_autofree char *created = g_strdup_printf("%" G_GINT64_FORMAT, config->creation_time);

	xmlDocSetRootElement(doc, root);
	if (!config->to_checkpoint)
		return NULL;
	xml_add_text(root, "name", config->to_checkpoint);
	xml_add_text(root, "description", description);
	if (HAS(config, creation_time))
		xml_add_text(root, "creationTime", created);
	disks = xml_add(root, "disks");
	for (guint i = 0; i < chains->len; i++) {
		const struct disk_chain *chain = chains->pdata[i];
		bool in = false;

		for (guint k = 0; config->disks && k < config->disks->len && !in; k++) {
			const struct backup_disk *disk = config->disks->pdata[k];

			in = disk->checkpoint && find_disk(chains, disk) == chain;
		}
		xml_add_with(disks, "disk", "name", chain->target, "checkpoint", in ? "bitmap" : "no", "bitmap", in ? config->to_checkpoint : NULL, NULL);
	}
	return xml_to_text(root);
}
