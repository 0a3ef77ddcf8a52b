/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domains as volume groups, in vdsm's storage format 5, so that either agent can use what the other made.
 *
 *   the group      has the domain's id as its name, the tag RHAT_storage_domain, and the domain's metadata as tags MDT_<key>=<value>; what a tag
 *                  may not hold stands as &<code>&
 *   its own LVs    metadata (1 MiB + 8 KiB per volume: the metadata of slot n), ids, leases (100 + n leases of ALIGNMENT bytes), xleases, inbox, outbox, master
 *   a volume       an LV named by its id with the tags MD_<slot>, IU_<image>, PU_<parent>
 *
 * A volume is there when it has an MD_ tag and its image's. While it is made it has OVIRT_VOL_INITIALIZING: one lvchange that takes this tag away and gives
 * the others publishes it. Removing takes the image's tag away and gives IU__remove_me_<image>; sweeping removes what has one of these two tags. LVM's own
 * metadata change atomically, so this is safe against kill -9 at any instant. Who changes a group: block_lock.c.
 *
 * An opened domain is a picture (picture.c) of its group at that moment; what needs the newest (a free slot) takes a new one, under domain->changing, and
 * what is not in the picture is looked for once more. Reads of metadata go to the device, past the page cache.
 *
 * Whoever gets a raw volume may read what lay there before, unless volumes are removed with postZero. Limits: LVs of whole extents (128 MiB), 512 byte blocks.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include "agent/fault.h"
#include "agent/storage/form/block.h"
#include "agent/storage/form/lvm.h"
#include "agent/storage/lease/lock.h"
#include "common/log.h"

#define METADATA_BASE (INT64_C(1) << 20)
#define METADATA_SLOT 8192
#define RESERVED_LEASES 100
#define TAG_NEW "OVIRT_VOL_INITIALIZING"
#define TAG_ZERO "berth_zero"
#define TAG_SLOT "MD_"
#define TAG_IMAGE "IU_"
#define TAG_REMOVED "IU__remove_me_"
#define TAG_PARENT "PU_"
#define TAG_VALUE "MDT_"

static void lv_free(void *data)
{
	struct lv *lv = data;

	g_free(lv->name);
	g_strfreev(lv->tags);
	g_free(lv);
}

static void block_free(struct block *block)
{
	if (!block)
		return;
	g_ptr_array_unref(block->paths);
	g_hash_table_unref(block->lvs);
	g_strfreev(block->tags);
	g_free(block->group_id);
	storage_unref(block->storage);
	g_free(block);
}

/* ---- tags ---- */

static bool is_tag_char(char c)
{
	return g_ascii_isalnum(c) || strchr("_+.-/=!:#", c);
}

static char *tag_of_value(const char *key, const char *value)
{
	GString *tag = g_string_new(TAG_VALUE);

	g_string_append_printf(tag, "%s=", key);
	for (; *value; value++) {
		if (is_tag_char(*value))
			g_string_append_c(tag, *value);
		else
			g_string_append_printf(tag, "&%d&", (unsigned char)*value);
	}
	return g_string_free(tag, FALSE);
}

static char *value_of_tag(const char *text)
{
	GString *value = g_string_new(NULL);

	while (*text) {
		char *end;
		unsigned long code = *text == '&' ? strtoul(text + 1, &end, 10) : 0;

		if (code && code < 256 && *end == '&') {
			g_string_append_c(value, (char)code);
			text = end + 1;
		} else
			g_string_append_c(value, *text++);
	}
	return g_string_free(value, FALSE);
}

/* The rest of the tag with this prefix; NULL: none */
static const char *tag_after(char *const *tags, const char *prefix)
{
	for (; tags && *tags; tags++)
		if (g_str_has_prefix(*tags, prefix))
			return *tags + strlen(prefix);
	return NULL;
}

static bool has_tag(char *const *tags, const char *tag)
{
	return g_strv_contains((const char *const *)tags, tag);
}

/* The metadata in the group's tags, as a block of text. */
static char *text_of_tags(char *const *tags)
{
	GString *text = g_string_new(NULL);

	for (; *tags; tags++) {
		const char *equals = strchr(*tags, '=');
		g_autofree char *value = NULL;

		if (!g_str_has_prefix(*tags, TAG_VALUE) || !equals)
			continue;
		value = value_of_tag(equals + 1);
		g_string_append_printf(text, "%.*s=%s\n", (int)(equals - *tags - (int)strlen(TAG_VALUE)), *tags + strlen(TAG_VALUE), value);
	}
	return g_string_free(text, FALSE);
}

/* ---- the picture ---- */

bool block_reload(const struct domain *domain, GError **error)
{
	struct block *block = domain->block;
	json_t *rows = picture_rows(block->storage, domain->id, block->paths, error), *row;
	size_t i;

	if (!rows)
		return false;
	g_hash_table_remove_all(block->lvs);
	json_array_foreach(rows, i, row) {
		struct lv *lv = g_new0(struct lv, 1);

		if (i == 0) {
			g_free(block->group_id);
			g_strfreev(block->tags);
			block->group_id = g_strdup(lvm_text(row, "vg_uuid"));
			block->size = lvm_number(row, "vg_size");
			block->free = lvm_number(row, "vg_free");
			block->extent = lvm_number(row, "vg_extent_size");
			block->mda_size = lvm_number(row, "vg_mda_size");
			block->mda_free = lvm_number(row, "vg_mda_free");
			block->partial = lvm_number(row, "vg_missing_pv_count") > 0;
			block->tags = g_strsplit(lvm_text(row, "vg_tags"), ",", -1);
		}
		lv->name = g_strdup(lvm_text(row, "lv_name"));
		lv->size = lvm_number(row, "lv_size");
		lv->tags = g_strsplit(lvm_text(row, "lv_tags"), ",", -1);
		g_hash_table_replace(block->lvs, lv->name, lv);
	}
	json_decref(rows);
	if (block->tags && has_tag(block->tags, GROUP_TAG_DOMAIN))
		return true;
	error_set(error, ERR_STORAGE_DOMAIN_DOES_NOT_EXIST, "'%s'", domain->id);
	return false;
}

bool block_lvm(const struct domain *domain, enum error_code code, GError **error, ...)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	const char *word;
	va_list list;

	va_start(list, error);
	while ((word = va_arg(list, const char *)))
		g_ptr_array_add(words, (gpointer)word);
	va_end(list);
	g_ptr_array_add(words, NULL);
	return lvm_run(domain->block->paths, code, NULL, error, (const char *const *)words->pdata);
}

char *block_lv_path(const struct domain *domain, const char *name)
{
	return g_build_filename("/dev", domain->id, name, NULL);
}

char *block_lv_name(const struct domain *domain, const char *name)
{
	return g_build_filename(domain->id, name, NULL);
}

bool block_load(struct domain *domain, struct storage *storage, GPtrArray *paths, char **ret_text, GError **error)
{
	struct block *block = g_new0(struct block, 1);

	block->storage = storage_ref(storage);
	block->paths = g_ptr_array_ref(paths);
	block->lvs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, lv_free);
	domain->form = &form_block;
	domain->block = block;
	domain->mount = g_strdup("/dev");
	domain->path = g_build_filename("/dev", domain->id, NULL);
	if (!block_reload(domain, error) || !block_wake(domain, error))
		return false;
	*ret_text = text_of_tags(block->tags);
	return true;
}

/* ---- slots of metadata ---- */

static char *metadata_buffer(void)
{
	void *buffer = NULL;

	if (posix_memalign(&buffer, 4096, METADATA_SLOT))
		g_error("out of memory");
	memset(buffer, 0, METADATA_SLOT);
	return buffer;
}

/* Reads or writes a slot. false + errno */
static bool slot_io(const struct domain *domain, int64_t slot, bool write, char *buffer)
{
	g_autofree char *path = block_lv_path(domain, "metadata");
	autofd fd = open(path, (write ? O_RDWR | O_DSYNC : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	off_t at = METADATA_BASE + slot * METADATA_SLOT;

	if (slot < 0)
		errno = EINVAL;
	return fd >= 0 && slot >= 0 && (write ? pwrite(fd, buffer, METADATA_SLOT, at) : pread(fd, buffer, METADATA_SLOT, at)) == METADATA_SLOT;
}

static bool write_slot(const struct domain *domain, int64_t slot, const char *text)
{
	char *buffer = metadata_buffer();
	bool done = strlen(text) < METADATA_SLOT;

	if (done) {
		memcpy(buffer, text, strlen(text));
		done = slot_io(domain, slot, /* write= */ true, buffer);
	} else
		errno = EFBIG;
	free(buffer);
	return done;
}

static int64_t slot_of(const struct lv *lv)
{
	const char *text = tag_after(lv->tags, TAG_SLOT);
	gint64 slot;

	return text && g_ascii_string_to_signed(text, 10, 0, 1 << 20, &slot, NULL) ? slot : -1;
}

/* -1: the metadata volume is full */
static int64_t free_slot(const struct domain *domain)
{
	g_autoptr(GHashTable) taken = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	const struct lv *metadata_lv = g_hash_table_lookup(domain->block->lvs, "metadata");
	int64_t n = metadata_lv ? (metadata_lv->size - METADATA_BASE) / METADATA_SLOT : 0;
	GHashTableIter iter;
	void *lv;

	g_hash_table_iter_init(&iter, domain->block->lvs);
	while (g_hash_table_iter_next(&iter, NULL, &lv)) {
		int64_t *slot = g_new(int64_t, 1);

		*slot = slot_of(lv);
		g_hash_table_add(taken, slot);
	}
	for (int64_t slot = 1; slot < n; slot++)
		if (!g_hash_table_contains(taken, &slot))
			return slot;
	return -1;
}

/* ---- the domain ---- */

static void close_domain(struct domain *domain)
{
	block_free(domain->block);
}

bool block_save_tags(const struct domain *domain, metadata *values, const char *add, const char *remove, GError **error)
{
	g_autofree char *text = metadata_domain_text(values);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(words, g_strdup("vgchange"));
	g_ptr_array_add(words, g_strdup("-qq"));
	for (size_t i = 0; lines[i]; i++) {
		char *equals = strchr(lines[i], '=');

		if (!equals)
			continue;
		*equals = 0;
		g_ptr_array_add(wanted, tag_of_value(lines[i], equals + 1));
	}
	if (add)
		g_ptr_array_add(wanted, g_strdup(add));
	for (char **tag = domain->block->tags; tag && *tag; tag++)
		if ((g_str_has_prefix(*tag, TAG_VALUE) && !g_ptr_array_find_with_equal_func(wanted, *tag, g_str_equal, NULL)) ||
		    (remove && !strcmp(*tag, remove))) {
			g_ptr_array_add(words, g_strdup("--deltag"));
			g_ptr_array_add(words, g_strdup(*tag));
		}
	for (guint i = 0; i < wanted->len; i++)
		if (!domain->block->tags || !has_tag(domain->block->tags, wanted->pdata[i])) {
			g_ptr_array_add(words, g_strdup("--addtag"));
			g_ptr_array_add(words, g_strdup(wanted->pdata[i]));
		}
	if (words->len == 2)
		return true;
	g_ptr_array_add(words, g_strdup(domain->id));
	g_ptr_array_add(words, NULL);
	return lvm_run(domain->block->paths, ERR_VOLUME_GROUP_REPLACE_TAG_ERROR, NULL, error, (const char *const *)words->pdata);
}

static bool save_domain(struct domain *domain, GError **error)
{
	/* who makes a pool, or ends it, has no number in it (block_lock.c) */
	bool lock = lock_host_id(domain->block->storage->locks, domain->id) != 0, good;

	if (lock && !block_lock(domain, error))
		return false;
	good = block_save_tags(domain, domain->values, NULL, NULL, error);
	if (lock)
		block_unlock(domain);
	return good && block_reload(domain, error);
}

static bool has_devices(const struct domain *domain, GError **error)
{
	if (domain->block->partial)
		error_set(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, "a device of domain '%s' is missing", domain->id);
	return !domain->block->partial;
}

static bool check_domain(const struct domain *domain, GError **error)
{
	static const char *const names[] = { BLOCK_SPECIAL };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (!g_hash_table_contains(domain->block->lvs, names[i])) {
			error_set(error, ERR_STORAGE_DOMAIN_LAYOUT_ERROR, "domain '%s' has no volume '%s'", domain->id, names[i]);
			return false;
		}
	return has_devices(domain, error);
}

static bool probe(const struct domain *domain, GError **error)
{
	char *buffer = metadata_buffer();
	bool done = slot_io(domain, 0, /* write= */ false, buffer);

	if (!done)
		error_set_errno(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, errno, "'%s/metadata'", domain->path);
	free(buffer);
	return done && has_devices(domain, error);
}

static bool space(const struct domain *domain, int64_t *ret_total, int64_t *ret_free, GError **error)
{
	*ret_total = domain->block->size;
	*ret_free = domain->block->free;
	return true;
}

static char *area(const struct domain *domain, const char *name, int64_t *ret_offset, GError **error)
{
	if (!g_hash_table_contains(domain->block->lvs, name)) {
		error_set(error, ERR_STORAGE_DOMAIN_LAYOUT_ERROR, "domain '%s' has no volume '%s'", domain->id, name);
		return NULL;
	}
	*ret_offset = 0;
	return block_lv_path(domain, name);
}

/* ---- volumes that are there ---- */

static bool is_volume(const struct lv *lv)
{
	return files_is_uuid(lv->name) && slot_of(lv) >= 0 && !has_tag(lv->tags, TAG_NEW) && !tag_after(lv->tags, TAG_REMOVED) && tag_after(lv->tags, TAG_IMAGE);
}

static bool is_in(const struct lv *lv, const char *image)
{
	return !strcmp(tag_after(lv->tags, TAG_IMAGE), image);
}

static GPtrArray *images(const struct domain *domain, GError **error)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	void *lv;

	g_hash_table_iter_init(&iter, domain->block->lvs);
	while (g_hash_table_iter_next(&iter, NULL, &lv))
		if (is_volume(lv) && !g_ptr_array_find_with_equal_func(found, tag_after(((struct lv *)lv)->tags, TAG_IMAGE), g_str_equal, NULL))
			g_ptr_array_add(found, g_strdup(tag_after(((struct lv *)lv)->tags, TAG_IMAGE)));
	return found;
}

/* Adds the volumes with this parent; image NULL: in any. */
static void add_children(const struct domain *domain, const char *image, const char *volume, GPtrArray *found)
{
	GHashTableIter iter;
	void *lv;

	g_hash_table_iter_init(&iter, domain->block->lvs);
	while (g_hash_table_iter_next(&iter, NULL, &lv))
		if (is_volume(lv) && !g_strcmp0(tag_after(((struct lv *)lv)->tags, TAG_PARENT), volume) && (!image || is_in(lv, image)))
			g_ptr_array_add(found, g_strdup(((struct lv *)lv)->name));
}

const struct lv *block_find(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	for (int i = 0; i < 2; i++) {
		const struct lv *lv = g_hash_table_lookup(domain->block->lvs, volume);

		if (lv && is_volume(lv)) {
			g_autoptr(GPtrArray) below = g_ptr_array_new_with_free_func(g_free);

			add_children(domain, image, volume, below);
			if (is_in(lv, image) || below->len)
				return lv;
		}
		if (i == 0 && !block_reload(domain, error))
			return NULL;
	}
	error_set(error, ERR_VOLUME_DOES_NOT_EXIST, "'%s'", volume);
	return NULL;
}

static GPtrArray *list(const struct domain *domain, const char *image, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
	guint own;
	GHashTableIter iter;
	void *lv;

	g_hash_table_iter_init(&iter, domain->block->lvs);
	while (g_hash_table_iter_next(&iter, NULL, &lv))
		if (is_volume(lv) && is_in(lv, image))
			g_ptr_array_add(found, g_strdup(((struct lv *)lv)->name));
	own = found->len;
	for (guint i = 0; i < own; i++) {
		const struct lv *volume = g_hash_table_lookup(domain->block->lvs, found->pdata[i]);
		const char *parent = tag_after(volume->tags, TAG_PARENT);

		if (parent && strcmp(parent, BLANK_UUID) && !g_ptr_array_find_with_equal_func(found, parent, g_str_equal, NULL))
			g_ptr_array_add(found, g_strdup(parent));
	}
	if (own)
		return g_steal_pointer(&found);
	error_set(error, ERR_VOLUME_DOES_NOT_EXIST, "image '%s' in domain '%s'", image, domain->id);
	return NULL;
}

static GPtrArray *children(const struct domain *domain, const char *image, const char *volume, bool shared, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);

	add_children(domain, shared ? NULL : image, volume, found);
	return g_steal_pointer(&found);
}

static char *read_meta(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	const struct lv *lv = block_find(domain, image, volume, error);
	char *buffer, *text = NULL;

	if (!lv)
		return NULL;
	buffer = metadata_buffer();
	if (slot_io(domain, slot_of(lv), /* write= */ false, buffer))
		text = g_strndup(buffer, METADATA_SLOT);
	else
		error_set_errno(error, ERR_VOLUME_METADATA_READ_ERROR, errno, "'%s'", volume);
	free(buffer);
	return text;
}

/* One change in the picture, without looking again. old, new: NULL: none */
static void picture_retag(const struct domain *domain, const char *volume, const char *old, const char *new)
{
	struct lv *lv = g_hash_table_lookup(domain->block->lvs, volume);
	g_autoptr(GStrvBuilder) tags = g_strv_builder_new();

	for (char **tag = lv->tags; *tag; tag++)
		if (g_strcmp0(*tag, old))
			g_strv_builder_add(tags, *tag);
	if (new)
		g_strv_builder_add(tags, new);
	g_strfreev(lv->tags);
	lv->tags = g_strv_builder_end(tags);
}

/* The tags say the same as the metadata, which are written first: a killed change is seen by the tag that is still the old one, and may be repeated. */
static bool retag(const struct domain *domain, const struct lv *lv, const char *prefix, const char *wanted, GError **error)
{
	const char *actual = tag_after(lv->tags, prefix);
	g_autofree char *old = actual ? g_strconcat(prefix, actual, NULL) : NULL;
	g_autofree char *new = g_strconcat(prefix, wanted, NULL);
	g_autofree char *name = block_lv_name(domain, lv->name);

	if (!g_strcmp0(old, new))
		return true;
	if (!(old ? block_change(domain, ERR_LOGICAL_VOLUME_REPLACE_TAG_ERROR, error, "lvchange", "-qq", "--deltag", old, "--addtag", new, name, NULL)
		  : block_change(domain, ERR_LOGICAL_VOLUME_REPLACE_TAG_ERROR, error, "lvchange", "-qq", "--addtag", new, name, NULL)))
		return false;
	picture_retag(domain, lv->name, old, new);
	return true;
}

static bool write_meta(const struct domain *domain, const char *image, const char *volume, metadata *values, GError **error)
{
	const struct lv *lv = block_find(domain, image, volume, error);
	g_autofree char *text = metadata_volume_text(values);

	if (!lv)
		return false;
	if (!write_slot(domain, slot_of(lv), text)) {
		error_set_errno(error, ERR_VOLUME_METADATA_WRITE_ERROR, errno, "'%s'", volume);
		return false;
	}
	fault_point("lv: metadata written");
	return retag(domain, lv, TAG_PARENT, metadata_get(values, "PUUID"), error);
}

static bool exists(const struct domain *domain, const char *image, const char *volume)
{
	return g_hash_table_contains(domain->block->lvs, volume);
}

static int open_data(const struct domain *domain, const char *image, const char *volume, int flags, GError **error)
{
	g_autofree char *path = block_lv_path(domain, volume);
	int fd = -1;

	if (!block_find(domain, image, volume, error))
		return -1;
	if ((fd = open(path, flags | O_CLOEXEC)) < 0 && errno == ENOENT) {
		if (!block_activate(domain, volume, error))
			return -1;
		fd = open(path, flags | O_CLOEXEC);
	}
	if (fd < 0)
		error_set_errno(error, ERR_VOLUME_ACCESS_ERROR, errno, "'%s'", volume);
	return fd;
}

/* QEMU's locks are no use here: libvirt gives each machine device nodes of its own. But the kernel counts who has a device open. */
static bool in_use(const struct domain *domain, const char *image, const char *volume)
{
	g_autofree char *path = block_lv_path(domain, volume);
	g_autofree char *name = block_lv_name(domain, volume);
	json_t *rows = g_file_test(path, G_FILE_TEST_EXISTS) ? LVM_ROWS(domain->block->paths, NULL, "lvs", "-o", "lv_device_open", name) : NULL;
	bool used = rows && *lvm_text(json_array_get(rows, 0), "lv_device_open");

	json_decref(rows);
	return used;
}

static bool sizes(const struct domain *domain, const char *image, const char *volume, int64_t *ret_truesize, int64_t *ret_apparentsize, GError **error)
{
	const struct lv *lv = block_find(domain, image, volume, error);

	if (!lv)
		return false;
	*ret_truesize = *ret_apparentsize = lv->size;
	return true;
}

static int64_t lease_offset(const struct domain *domain, int64_t slot)
{
	return (RESERVED_LEASES + slot) * metadata_get_int(domain->values, "ALIGNMENT", 1 << 20);
}

static char *lease(const struct domain *domain, const char *image, const char *volume, int64_t *ret_offset, GError **error)
{
	const struct lv *lv = block_find(domain, image, volume, error);

	if (!lv)
		return NULL;
	*ret_offset = lease_offset(domain, slot_of(lv));
	return block_lv_path(domain, "leases");
}

/* ---- making ---- */

static bool make(const struct domain *domain, const struct volume_draft *draft, char **ret_path, int *ret_fd, GError **error)
{
	int64_t extent = domain->block->extent, bytes = ((draft->bytes ? draft->bytes : BLOCK_CHUNK) + extent - 1) / extent * extent;
	g_autofree char *size = g_strdup_printf("%" PRId64 "b", bytes);
	g_autofree char *image = g_strconcat(TAG_IMAGE, draft->image, NULL);
	g_autofree char *parent = g_strconcat(TAG_PARENT, draft->parent ? draft->parent : BLANK_UUID, NULL);
	g_autofree char *path = block_lv_path(domain, draft->volume);
	struct lv *lv;

	if (bytes > domain->block->free) {
		error_set(error, ERR_VOLUME_GROUP_SIZE_ERROR, "'%s': %" PRId64 " bytes wanted, %" PRId64 " free", domain->id, bytes, domain->block->free);
		return false;
	}
	if (!block_change(domain, ERR_CANNOT_CREATE_LOGICAL_VOLUME, error, "lvcreate", "-qq", "-y", "-W", "y", "-Z", "y", "-a", "y", "-L", size,
		       "--addtag", TAG_NEW, "--addtag", image, "--addtag", parent, "-n", draft->volume, domain->id, NULL))
		return false;
	fault_point("lv: made");
	/* into the picture without looking again: undo() must see it */
	lv = g_new0(struct lv, 1);
	lv->name = g_strdup(draft->volume);
	lv->size = bytes;
	lv->tags = g_strdupv((char *[]){ TAG_NEW, image, parent, NULL });
	g_hash_table_replace(domain->block->lvs, lv->name, lv);
	if ((*ret_fd = open(path, O_RDWR | O_CLOEXEC)) < 0) {
		error_set_errno(error, ERR_VOLUME_CREATION_ERROR, errno, "'%s'", path);
		return false;
	}
	*ret_path = g_steal_pointer(&path);
	return true;
}

static bool publish_slot(const struct domain *domain, const struct volume_draft *draft, metadata *values, GError **error)
{
	g_autofree char *text = metadata_volume_text(values);
	g_autofree char *name = block_lv_name(domain, draft->volume);
	g_autofree char *tag = NULL, *leases = NULL;
	int64_t slot;
	AUTO_LOCK(domain->changing);

	if (!block_reload(domain, error))
		return false;
	if ((slot = free_slot(domain)) < 0) {
		error_set(error, ERR_NO_SPACE_LEFT_ON_DOMAIN, "'%s': no room for the metadata of one more volume", domain->id);
		return false;
	}
	if (!write_slot(domain, slot, text)) {
		error_set_errno(error, ERR_VOLUME_METADATA_WRITE_ERROR, errno, "'%s'", draft->volume);
		return false;
	}
	fault_point("lv: slot written");
	leases = block_lv_path(domain, "leases");
	tag = g_strdup_printf(TAG_SLOT "%" PRId64, slot);
	if (!lock_format_volume(domain, &(struct lease){ .name = draft->volume, .path = leases, .offset = lease_offset(domain, slot) }, error) ||
	    !block_change(domain, ERR_LOGICAL_VOLUME_REPLACE_TAG_ERROR, error, "lvchange", "-qq", "--deltag", TAG_NEW, "--addtag", tag, name, NULL))
		return false;
	picture_retag(domain, draft->volume, TAG_NEW, tag);
	return true;
}

static bool publish(const struct domain *domain, const struct volume_draft *draft, metadata *values, GError **error)
{
	g_autofree char *name = block_lv_name(domain, draft->volume);
	g_autoptr(metadata) parent = NULL;
	bool good;

	if (draft->parent && !strcmp(draft->parent_image, draft->image)) {
		if (!(parent = volume_read(domain, draft->image, draft->parent, error)))
			return false;
		if (!strcmp(metadata_get(parent, "VOLTYPE"), "LEAF") &&
		    !volume_change(domain, draft->image, draft->parent, error, "VOLTYPE", "INTERNAL", NULL))
			return false;
	}
	if (!block_lock(domain, error))
		return false;
	good = publish_slot(domain, draft, values, error);
	block_unlock(domain);
	if (!good)
		return false;
	fault_point("lv: published");
	(void)block_lvm(domain, ERR_CANNOT_DEACTIVATE_LOGICAL_VOLUME, NULL, "lvchange", "-qq", "-an", name, NULL);
	return true;
}

static bool remove_lv(const struct domain *domain, const char *volume, GError **error)
{
	g_autofree char *name = block_lv_name(domain, volume);

	if (!block_change(domain, ERR_CANNOT_REMOVE_LOGICAL_VOLUME, error, "lvremove", "-qq", "-f", name, NULL))
		return false;
	g_hash_table_remove(domain->block->lvs, volume);
	return true;
}

/* A volume that is not there yet, or no more, goes: first its parent becomes what it is without it, so that who is killed in between finds the way back. */
static bool retype_parent(const struct domain *domain, const char *image, const struct lv *lv, GError **error)
{
	const char *parent = tag_after(lv->tags, TAG_PARENT);
	GError *problem = NULL;

	if (!parent || !strcmp(parent, BLANK_UUID) || volume_retype(domain, image, parent, &problem))
		return true;
	/* that of another image, of which this one had nothing else */
	if (error_is(problem, ERR_VOLUME_DOES_NOT_EXIST)) {
		g_error_free(problem);
		return true;
	}
	g_propagate_error(error, problem);
	return false;
}

static bool undo(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	const struct lv *lv;

	if (!(lv = g_hash_table_lookup(domain->block->lvs, volume)) || !has_tag(lv->tags, TAG_NEW))
		return true;
	return retype_parent(domain, image, lv, error) && remove_lv(domain, volume, error);
}

/* ---- removing ---- */

static bool unpublish(const struct domain *domain, const char *image, const char *volume, bool zero, GError **error)
{
	g_autofree char *own = g_strconcat(TAG_IMAGE, image, NULL);
	g_autofree char *removed = g_strconcat(TAG_REMOVED, image, NULL);
	g_autofree char *name = block_lv_name(domain, volume);
	AUTO_LOCK(domain->changing);

	if (!block_change(domain, ERR_LOGICAL_VOLUME_REPLACE_TAG_ERROR, error, "lvchange", "-qq", "--deltag", own, "--addtag", removed, name,
			  zero ? "--addtag" : NULL, TAG_ZERO, NULL))
		return false;
	picture_retag(domain, volume, own, removed);
	if (zero)
		picture_retag(domain, volume, NULL, TAG_ZERO);
	return true;
}

/* The device does it, if it can; else the kernel writes. */
static bool zero_lv(const struct domain *domain, const struct lv *lv, GError **error)
{
	g_autofree char *path = block_lv_path(domain, lv->name);
	uint64_t range[2] = { 0, (uint64_t)lv->size };
	autofd fd = block_activate(domain, lv->name, error) ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd >= 0 && ioctl(fd, BLKZEROOUT, range) == 0)
		return true;
	if (error && !*error)
		error_set_errno(error, ERR_VOLUMES_ZEROING_ERROR, errno, "'%s'", lv->name);
	return false;
}

static bool remove_volume(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	g_autofree char *link = NULL;
	g_autofree char *directory = block_link_directory(domain, image);
	const struct lv *lv;

	if (!(lv = g_hash_table_lookup(domain->block->lvs, volume)) || !tag_after(lv->tags, TAG_REMOVED))
		return true;
	fault_point("lv: unpublished");
	if (!retype_parent(domain, image, lv, error))
		return false;
	if (has_tag(lv->tags, TAG_ZERO) && !zero_lv(domain, lv, error))
		return false;
	fault_point("lv: zeroed");
	if (!remove_lv(domain, volume, error))
		return false;
	fault_point("lv: removed");
	link = g_build_filename(directory, volume, NULL);
	(void)unlink(link);
	(void)rmdir(directory);
	return true;
}

static GPtrArray *leftovers(const struct domain *domain)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(volume_leftover_free);
	GHashTableIter iter;
	void *value;

	g_hash_table_iter_init(&iter, domain->block->lvs);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct lv *lv = value;
		struct volume_leftover left = { .made = has_tag(lv->tags, TAG_NEW) };
		const char *image = tag_after(lv->tags, left.made ? TAG_IMAGE : TAG_REMOVED);

		if (!image)
			continue;
		left.image = g_strdup(image);
		left.volume = g_strdup(lv->name);
		g_ptr_array_add(found, g_memdup2(&left, sizeof(left)));
	}
	return found;
}

const struct domain_form form_block = {
	.name = "block", .close = close_domain, .save = save_domain, .check = check_domain, .probe = probe, .space = space, .area = area,
	.master = block_open_master, .images = images, .list = list, .children = children, .read = read_meta, .write = write_meta, .exists = exists,
	.open = open_data, .hold = block_hold, .release = block_release, .in_use = in_use, .fit = block_fit, .sizes = sizes, .lease = lease, .make = make,
	.publish = publish, .undo = undo, .unpublish = unpublish, .remove = remove_volume, .leftovers = leftovers,
};
