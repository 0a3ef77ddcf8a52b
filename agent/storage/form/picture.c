/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What LVM says of a group and its volumes, asked for once for each change of the group: every request opens its domain, and lvm takes 50 ms.
 *
 * LVM keeps a group's metadata as text in ring buffers on its devices. A change is committed by the write of one sector, the header of such a buffer, which
 * then has place, size and checksum of the new text. So what was read while the headers said what they say now is all there is to know. They are read past
 * the page cache, for other hosts change the group, too. Of a device that cannot be read, or on which LVM's label is not where it always puts it, nothing
 * is known: then lvm is asked, and says what is wrong.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "agent/storage/form/block.h"
#include "agent/storage/form/lvm.h"
#include "agent/storage/form/lvm_layout.h"

struct picture { GBytes *stamp; json_t *rows; };

void picture_free(void *data)
{
	struct picture *picture = data;

	g_bytes_unref(picture->stamp);
	json_decref(picture->rows);
	g_free(picture);
}

static bool add_sector(int fd, uint64_t at, char *sector, GByteArray *stamp)
{
	if (pread(fd, sector, LVM_SECTOR, (off_t)at) != LVM_SECTOR)
		return false;
	g_byte_array_append(stamp, (const guint8 *)sector, LVM_SECTOR);
	return true;
}

static bool add_header(int fd, uint64_t at, char *sector, GByteArray *stamp, bool *any)
{
	const struct lvm_header *header = (const void *)sector;

	if (!add_sector(fd, at, sector, stamp) || memcmp(header->magic, LVM_HEADER_MAGIC, sizeof(header->magic)))
		return false;
	*any |= header->text.offset && !(GUINT32_FROM_LE(header->text.flags) & LVM_HEADER_IGNORED);
	return true;
}

/* sector, label: aligned for O_DIRECT; any: of a buffer that is in use */
static bool add_device(int fd, char *label_sector, char *sector, GByteArray *stamp, bool *any)
{
	const struct lvm_label *label = (const void *)label_sector;
	int empty = 0;

	if (!add_sector(fd, LVM_LABEL_AT, label_sector, stamp) || memcmp(label->id, LVM_LABEL_ID, sizeof(label->id)) ||
	    memcmp(label->type, LVM_LABEL_TYPE, sizeof(label->type)))
		return false;
	for (size_t at = GUINT32_FROM_LE(label->offset) + sizeof(struct lvm_physical); empty < 2; at += sizeof(struct lvm_place)) {
		struct lvm_place place;

		if (at > LVM_SECTOR - sizeof(place))
			return false;
		memcpy(&place, label_sector + at, sizeof(place));
		if (!place.offset)
			empty++;
		else if (empty && !add_header(fd, GUINT64_FROM_LE(place.offset), sector, stamp, any))
			return false;
	}
	return true;
}

/* The sectors that each change of the group changes; NULL: not known */
static GBytes *stamp_of(const GPtrArray *paths)
{
	GByteArray *stamp = g_byte_array_new();
	void *buffer = NULL;
	bool any = false, good = posix_memalign(&buffer, LVM_SECTOR, 2 * LVM_SECTOR) == 0;

	for (guint i = 0; good && i < paths->len; i++) {
		autofd fd = open(paths->pdata[i], O_RDONLY | O_DIRECT | O_CLOEXEC);

		good = fd >= 0 && add_device(fd, buffer, (char *)buffer + LVM_SECTOR, stamp, &any);
	}
	free(buffer);
	if (good && any)
		return g_byte_array_free_to_bytes(stamp);
	g_byte_array_unref(stamp);
	return NULL;
}

static json_t *known(struct storage *storage, const char *name, GBytes *stamp)
{
	const struct picture *picture;
	AUTO_LOCK(&storage->lock);

	picture = g_hash_table_lookup(storage->pictures, name);
	return picture && g_bytes_equal(picture->stamp, stamp) ? json_incref(picture->rows) : NULL;
}

json_t *picture_rows(struct storage *storage, const char *name, const GPtrArray *paths, GError **error)
{
	g_autoptr(GBytes) stamp = stamp_of(paths);       /* before LVM is asked: a change in between is seen the next time */
	json_t *rows = stamp ? known(storage, name, stamp) : NULL;
	struct picture *picture;

	if (rows)
		return rows;
	rows = LVM_ROWS(paths, error, "lvs", "-o",
			"vg_uuid,vg_size,vg_free,vg_extent_size,vg_tags,vg_mda_size,vg_mda_free,vg_missing_pv_count,lv_name,lv_size,lv_tags", name);
	if (!rows || !stamp)
		return rows;
	picture = g_new(struct picture, 1);
	*picture = (struct picture){ .stamp = g_steal_pointer(&stamp), .rows = json_incref(rows) };
	AUTO_LOCK(&storage->lock);
	g_hash_table_replace(storage->pictures, g_strdup(name), picture);
	return rows;
}
