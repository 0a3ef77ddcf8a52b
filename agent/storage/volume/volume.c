/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes: data, metadata and lease, wherever the domain's form keeps them (form.h). What a volume is stands in its metadata; sizes come from the data.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/storage/data/data.h"
#include "agent/storage/volume/image_header.h"
#include "common/log.h"

/* QEMU locks bytes 100 + n (it does n) and 200 + n (it does not want others to do n) of a file it has open; n = 1: write (block/file-posix.c). */
#define QEMU_LOCK_WRITES 101
#define QEMU_LOCK_NO_WRITERS 201

static const char *const required_keys[] = { "CAP", "CTIME", "DISKTYPE", "DOMAIN", "FORMAT", "IMAGE", "LEGALITY", "PUUID", "TYPE", "VOLTYPE", NULL };

metadata *volume_read(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	g_autofree char *text = domain->form->read(domain, image, volume, error);
	g_autoptr(metadata) values = NULL;

	if (!text)
		return NULL;
	if (!(values = metadata_parse_volume(text, required_keys, error))) {
		error_wrap(error, "volume '%s'", volume);
		return NULL;
	}
	if (!files_is_uuid(metadata_get(values, "PUUID"))) {
		error_set(error, ERR_INVALID_METADATA, "volume '%s': PUUID is no id", volume);
		return NULL;
	}
	return g_steal_pointer(&values);
}

bool volume_save(const struct domain *domain, const char *image, const char *volume, metadata *values, GError **error)
{
	return domain->form->write(domain, image, volume, values, error);
}

bool volume_change(const struct domain *domain, const char *image, const char *volume, GError **error, ...)
{
	g_autoptr(metadata) values = NULL;
	bool differs = false;
	const char *key;
	va_list changes;

	AUTO_LOCK(domain->changing);
	if (!(values = volume_read(domain, image, volume, error)))
		return false;
	va_start(changes, error);
	while ((key = va_arg(changes, const char *))) {
		const char *value = va_arg(changes, const char *);

		differs |= strcmp(metadata_get(values, key), value) != 0;
		metadata_set(values, key, value);
	}
	va_end(changes);
	return !differs || volume_save(domain, image, volume, values, error);
}

GPtrArray *volume_list(const struct domain *domain, const char *image, GError **error)
{
	return image ? domain->form->list(domain, image, error) : listing_all(domain, error);
}

GPtrArray *volume_children(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	g_autoptr(metadata) values = volume_read(domain, image, volume, error);

	if (!values)
		return NULL;
	return domain->form->children(domain, image, volume, !strcmp(metadata_get(values, "VOLTYPE"), "SHARED") && !strcmp(metadata_get(values, "IMAGE"), image),
				      error);
}

bool volume_retype(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	g_autoptr(metadata) values = volume_read(domain, image, volume, error);
	g_autoptr(GPtrArray) children = NULL;

	if (!values)
		return false;
	if (!strcmp(metadata_get(values, "VOLTYPE"), "SHARED"))
		return true;
	if (!(children = volume_children(domain, image, volume, error)))
		return false;
	return volume_change(domain, image, volume, error, "VOLTYPE", children->len ? "INTERNAL" : "LEAF", NULL);
}

/* ---- what the form does ---- */

bool volume_exists(const struct domain *domain, const char *image, const char *volume)
{
	return domain->form->exists(domain, image, volume);
}

int volume_open(const struct domain *domain, const char *image, const char *volume, int flags, GError **error)
{
	return domain->form->open(domain, image, volume, flags, error);
}

bool volume_hold(const struct domain *domain, const char *image, const char *volume, bool write, char **ret_path, GError **error)
{
	return domain->form->hold(domain, image, volume, write, ret_path, error);
}

void volume_release(const struct domain *domain, const char *image, const char *volume)
{
	domain->form->release(domain, image, volume);
}

bool volume_sizes(const struct domain *domain, const char *image, const char *volume, int64_t *ret_truesize, int64_t *ret_apparentsize, GError **error)
{
	return domain->form->sizes(domain, image, volume, ret_truesize, ret_apparentsize, error);
}

char *volume_lease(const struct domain *domain, const char *image, const char *volume, int64_t *ret_offset, GError **error)
{
	return domain->form->lease(domain, image, volume, ret_offset, error);
}

bool volume_make(const struct domain *domain, const struct volume_draft *draft, char **ret_path, int *ret_fd, GError **error)
{
	return domain->form->make(domain, draft, ret_path, ret_fd, error);
}

bool volume_publish(const struct domain *domain, const struct volume_draft *draft, metadata *values, GError **error)
{
	return domain->form->publish(domain, draft, values, error);
}

bool volume_undo(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	return domain->form->undo(domain, image, volume, error);
}

bool volume_unpublish(const struct domain *domain, const char *image, const char *volume, bool zero, GError **error)
{
	return domain->form->unpublish(domain, image, volume, zero, error);
}

bool volume_remove(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	return domain->form->remove(domain, image, volume, error);
}

bool volume_fit(const struct domain *domain, const char *image, const char *volume, int64_t bytes, bool shrink, GError **error)
{
	return !domain->form->fit || domain->form->fit(domain, image, volume, bytes, shrink, error);
}

/* ---- what a killed agent left ---- */

/* Of a domain that other hosts use, too, what is half made may be what the manager of its pool is making now. */
static bool may_sweep(const struct domain *domain)
{
	const char *id = domain_pool(domain);
	autopool pool = *id && domain_is_shared(domain) ? pool_get(domain->storage, id, NULL) : NULL;

	return pool ? pool_is_spm(domain->storage, id) : !*id || !domain->block;
}

/* Not while a job has the image: it looks for its own leftovers, and what is half made may be its. */
static void clean_up(const struct domain *domain, const struct volume_leftover *left)
{
	const struct claim claim = { domain->id, left->image, true };
	g_autoptr(GError) problem = NULL;

	if (!claim_take(domain->storage, &claim, 1, NULL))
		return;
	if (left->made ? volume_undo(domain, left->image, left->volume, &problem) : volume_remove(domain, left->image, left->volume, &problem))
		log_info("storage domain %s: cleaned up after the interrupted %s of volume %s", domain->id, left->made ? "creation" : "removal", left->volume);
	else
		log_warn("storage domain %s: cannot clean up after volume %s: %s, ignoring", domain->id, left->volume, problem->message);
	claim_drop(domain->storage, &claim, 1);
}

void volume_leftover_free(void *data)
{
	struct volume_leftover *left = data;

	g_free(left->image);
	g_free(left->volume);
	g_free(left);
}

void volume_sweep(const struct domain *domain)
{
	g_autoptr(GPtrArray) found = may_sweep(domain) ? domain->form->leftovers(domain) : NULL;

	for (guint i = 0; found && i < found->len; i++)
		clean_up(domain, found->pdata[i]);
}

/* ---- what is in the data ---- */

bool volume_in_use(const struct domain *domain, const char *image, const char *volume)
{
	return domain->form->in_use(domain, image, volume);
}

/* The lock belongs to the open file, so also to a process that inherits it. */
bool volume_keep_writers_out(int fd, const char *volume, GError **error)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = QEMU_LOCK_NO_WRITERS, .l_len = 1 };
	struct flock writer = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = QEMU_LOCK_WRITES, .l_len = 1 };

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0 && fcntl(fd, F_OFD_GETLK, &writer) == 0 && writer.l_type == F_UNLCK)
		return true;
	error_set(error, ERR_VOLUME_IS_BUSY, "'%s' is being written", volume);
	return false;
}

char *volume_backing(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	autofd fd = volume_open(domain, image, volume, O_RDONLY, error);
	struct image_header header;
	char *backing = NULL;

	if (fd >= 0 && image_header_read(fd, "qcow2", volume, &header, error)) {
		backing = g_steal_pointer(&header.backing);
		image_header_clear(&header);
	}
	return backing;
}

/* Raw by any of the names that QEMU has for it: a guest's bytes are never taken for an image, which could name any file of the host. */
static bool is_format(const char *said, bool raw)
{
	return raw ? !strcmp(said, "raw") || !strcmp(said, "file") || !strcmp(said, "host_device") : !strcmp(said, "qcow2") || !said[0];
}

static bool is_on_parent(const struct domain *domain, const char *image, const char *volume, metadata *values, const struct image_header *header,
			 GError **error)
{
	const char *parent = volume_has_parent(values) ? metadata_get(values, "PUUID") : "";
	g_autoptr(metadata) below = NULL;

	if (strcmp(header->backing, parent)) {
		error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "volume '%s' is based on '%s' where '%s' is expected", volume, header->backing, parent);
		return false;
	}
	if (!parent[0])
		return true;
	if (!(below = volume_read(domain, image, parent, error)))
		return false;
	if (is_format(header->backing_format, !strcmp(volume_format(below), "raw")))
		return true;
	error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "volume '%s' says that '%s', on which it is based, is of format '%s', it is %s", volume, parent,
		  header->backing_format, volume_format(below));
	return false;
}

bool volume_check_header(const struct domain *domain, const char *image, const char *volume, metadata *values, bool *ret_cut, GError **error)
{
	autofd fd = volume_open(domain, image, volume, O_RDONLY, error);
	struct image_header header;
	bool good;

	if (fd < 0 || !image_header_read(fd, volume_format(values), volume, &header, error))
		return false;
	if ((good = is_on_parent(domain, image, volume, values, &header, error)))
		*ret_cut = header.cut;
	image_header_clear(&header);
	return good;
}

/* ---- verbs that read ---- */

static json_t *lease_of(const struct domain *domain, const char *image, const char *volume)
{
	int64_t offset = 0;
	g_autofree char *path = volume_lease(domain, image, volume, &offset, NULL);

	return path ? json_pack("{s:s, s:I, s:[], s:n}", "path", path, "offset", (json_int_t)offset, "owners", "version") : json_object();
}

bool volume_info_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	g_autoptr(metadata) values = domain ? volume_read(domain, params->image_id, params->volume_id, error) : NULL;
	g_autoptr(GPtrArray) children = NULL;
	int64_t truesize, apparentsize;
	struct volume_info *info;

	if (!values || !volume_sizes(domain, params->image_id, params->volume_id, &truesize, &apparentsize, error))
		return false;
	info = record_new(&volume_info_type);
	info->uuid = g_strdup(params->volume_id);
	info->pool = g_strdup(domain_pool(domain));
	info->domain = g_strdup(domain->id);
	info->image = g_strdup(metadata_get(values, "IMAGE"));
	info->parent = g_strdup(metadata_get(values, "PUUID"));
	info->format = g_strdup(metadata_get(values, "FORMAT"));
	info->type = g_strdup(metadata_get(values, "TYPE"));
	info->vol_type = g_strdup(metadata_get(values, "VOLTYPE"));
	info->disk_type = g_strdup(metadata_get(values, "DISKTYPE"));
	info->description = g_strdup(metadata_get(values, "DESCRIPTION"));
	info->legality = g_strdup(metadata_get(values, "LEGALITY"));
	info->status = g_strdup(!strcmp(info->legality, "ILLEGAL") ? "ILLEGAL" : "OK");
	SET(info, capacity, metadata_get_int(values, "CAP", 0));
	SET(info, truesize, truesize);
	SET(info, apparentsize, apparentsize);
	SET(info, ctime, metadata_get_int(values, "CTIME", 0));
	SET(info, generation, (int)metadata_get_int(values, "GEN", 0));
	SET(info, sequence, (int)metadata_get_int(values, "SEQ", 0));
	info->children = json_array();
	children = volume_children(domain, params->image_id, params->volume_id, NULL);
	for (guint i = 0; children && i < children->len; i++)
		json_array_append_new(info->children, json_string(children->pdata[i]));
	info->lease = lease_of(domain, params->image_id, params->volume_id);
	result_record(ret_result, info);
	record_unref(info);
	return true;
}

bool volume_size_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	g_autoptr(metadata) values = domain ? volume_read(domain, params->image_id, params->volume_id, error) : NULL;
	int64_t truesize, apparentsize;
	struct volume_size *size;

	if (!values || !volume_sizes(domain, params->image_id, params->volume_id, &truesize, &apparentsize, error))
		return false;
	size = record_new(&volume_size_type);
	SET(size, truesize, truesize);
	SET(size, apparentsize, apparentsize);
	result_record(ret_result, size);
	record_unref(size);
	return true;
}
