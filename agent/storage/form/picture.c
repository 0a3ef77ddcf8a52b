/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What LVM says of a group and its volumes, asked for once for each change of the group: every request opens its domain, and lvm takes 50 ms.
 *
 * LVM keeps a group's metadata as text in ring buffers on its devices. A change is committed by the write of one sector, the header of such a buffer, which
 * then has place, size and checksum of the new text. So what was read while the headers said what they say now is all there is to know. They are read past
 * the page cache, for other hosts change the group, too. Of a device that cannot be read, or on which LVM's label is not where it always puts it, nothing
 * is known: then lvm is asked, and says what is wrong.
 *
 * Layout on disk, little endian: lvm2, lib/label/label.h and lib/format_text/layout.h.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "agent/storage/form/block.h"
#include "agent/storage/form/lvm.h"

#define SECTOR 512
#define LABEL_AT SECTOR
#define LABEL_ID "LABELONE"
#define LABEL_TYPE "LVM2 001"
#define HEADER_MAGIC " LVM2 x[5A%r0N*>"
#define HEADER_IGNORED 1u

struct label { char id[8]; uint64_t sector; uint32_t crc, offset; char type[8]; };
struct place { uint64_t offset, size; };
/* At label.offset; where the data lie, an empty place, where the headers lie, an empty place. */
struct physical { char id[32]; uint64_t size; struct place places[]; };
struct header { uint32_t crc; char magic[16]; uint32_t version; uint64_t start, size; struct { uint64_t offset, size; uint32_t crc, flags; } text; };

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
	if (pread(fd, sector, SECTOR, (off_t)at) != SECTOR)
		return false;
	g_byte_array_append(stamp, (const guint8 *)sector, SECTOR);
	return true;
}

static bool add_header(int fd, uint64_t at, char *sector, GByteArray *stamp, bool *any)
{
	const struct header *header = (const void *)sector;

	if (!add_sector(fd, at, sector, stamp) || memcmp(header->magic, HEADER_MAGIC, sizeof(header->magic)))
		return false;
	*any |= header->text.offset && !(GUINT32_FROM_LE(header->text.flags) & HEADER_IGNORED);
	return true;
}

/* sector, label: aligned for O_DIRECT; any: of a buffer that is in use */
static bool add_device(int fd, char *label_sector, char *sector, GByteArray *stamp, bool *any)
{
	const struct label *label = (const void *)label_sector;
	int empty = 0;

	if (!add_sector(fd, LABEL_AT, label_sector, stamp) || memcmp(label->id, LABEL_ID, sizeof(label->id)) ||
	    memcmp(label->type, LABEL_TYPE, sizeof(label->type)))
		return false;
	for (size_t at = GUINT32_FROM_LE(label->offset) + sizeof(struct physical); empty < 2; at += sizeof(struct place)) {
		struct place place;

		if (at > SECTOR - sizeof(place))
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
	bool any = false, good = posix_memalign(&buffer, SECTOR, 2 * SECTOR) == 0;

	for (guint i = 0; good && i < paths->len; i++) {
		autofd fd = open(paths->pdata[i], O_RDONLY | O_DIRECT | O_CLOEXEC);

		good = fd >= 0 && add_device(fd, buffer, (char *)buffer + SECTOR, stamp, &any);
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
