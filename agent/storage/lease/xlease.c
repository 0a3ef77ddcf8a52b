/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External leases, as vdsm keeps them (lib/vdsm/storage/xlease.py), so that either finds the other's. The area is a row of slots of the domain's ALIGNMENT:
 *
 *	slot 0      not used
 *	slot 1      the index
 *	slot 2      not used
 *	slot 3+n    the lease of record n, in sanlock's format
 *
 * The index: a block (BLOCK_SIZE) of which the first 512 bytes are
 *	0 magic 0x12152016, big endian   5 version "0001"   10 lockspace, 48 bytes   59 time, "%010d"   70 'u' while all of it is written, else '-'   511 '\n'
 * and then RECORDS records of 64 bytes:
 *	0 name, 48 bytes, empty when free   49 offset, "%011d"   61 'u' while the lease is written, else '-'   62 '-'   63 '\n'
 * The offset in a record is for people; that of a lease follows from its record's place.
 *
 * A change writes one block, which storage takes as a whole: record with 'u', lease, record without. Only the manager of the pool makes changes, one at a
 * time; so a record with 'u' that it meets is what a killed change left, and free. The index is a copy of what the leases say: rebuild makes it anew.
 * An area of zeros is one that nobody used.
 */
#define LOG_MODULE "storage"
#include "agent/storage/lease/xlease.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "agent/fault.h"
#include "agent/storage/storage-priv.h"

#define MAGIC 0x12152016u
#define RECORDS 4000
#define RECORD_SIZE 64
#define NAME_SIZE 48
#define FIRST_SLOT 3
#define HEAD_SIZE 512
#define SECTOR 4096              /* what O_DIRECT can do everywhere */

struct index {
	const struct domain *domain;
	char *path, *bytes;      /* bytes: from the index slot's begin */
	size_t size;
	int64_t base, slot;      /* base: of the area in path */
	int block, fd;
};

static void index_close(struct index *index)
{
	if (index->fd >= 0)
		close(index->fd);
	free(index->bytes);
	g_free(index->path);
}
#define AUTO_INDEX __attribute__((cleanup(index_close))) struct index

static char *record_at(const struct index *index, int n)
{
	return index->bytes + index->block + n * RECORD_SIZE;
}

static int64_t offset_of(const struct index *index, int n)
{
	return index->base + (FIRST_SLOT + n) * index->slot;
}

static bool failed(const struct index *index, const char *what, GError **error)
{
	files_error(error, ERR_STORAGE_EXCEPTION, errno, "leases of domain '%s': %s '%s'", index->domain->id, what, index->path);
	return false;
}

static void write_record(struct index *index, int n, const char *name, char flag)
{
	char *record = record_at(index, n);
	char offset[12];

	memset(record, 0, RECORD_SIZE);
	memcpy(record, name, MIN(strlen(name), NAME_SIZE));
	g_snprintf(offset, sizeof(offset), "%011" PRId64, *name ? offset_of(index, n) - index->base : 0);
	memcpy(record + 49, offset, 11);
	record[61] = flag;
	record[62] = '-';
	record[63] = '\n';
}

static void write_head(struct index *index, char flag)
{
	const uint32_t magic = GUINT32_TO_BE(MAGIC);
	char text[24];

	memset(index->bytes, 0, (size_t)index->block);
	memcpy(index->bytes, &magic, sizeof(magic));
	memcpy(index->bytes + 5, "0001", 4);
	memcpy(index->bytes + 10, index->domain->id, strlen(index->domain->id));
	g_snprintf(text, sizeof(text), "%010" PRId64, (int64_t)time(NULL));
	memcpy(index->bytes + 59, text, 10);
	index->bytes[70] = flag;
	index->bytes[HEAD_SIZE - 1] = '\n';
}

/* The sectors from..to of the index, whole. */
static bool put(struct index *index, size_t from, size_t to, GError **error)
{
	size_t start = from / SECTOR * SECTOR, end = MIN((to + SECTOR - 1) / SECTOR * SECTOR, index->size);
	ssize_t n = pwrite(index->fd, index->bytes + start, end - start, index->base + index->slot + (off_t)start);

	if (n == (ssize_t)(end - start) && fsync(index->fd) == 0)
		return true;
	if (n >= 0 && n < (ssize_t)(end - start))
		errno = EIO;
	return failed(index, "write", error);
}

static bool put_record(struct index *index, int n, const char *name, char flag, GError **error)
{
	size_t at = (size_t)(index->block + n * RECORD_SIZE);

	write_record(index, n, name, flag);
	return put(index, at, at + RECORD_SIZE, error);
}

/* A new or broken index: first its head says that it is not to be used, last that it is. */
static bool put_all(struct index *index, GError **error)
{
	write_head(index, 'u');
	if (!put(index, 0, (size_t)index->block, error))
		return false;
	fault_point("xlease: index half written");
	if (!put(index, (size_t)index->block, index->size, error))
		return false;
	write_head(index, '-');
	return put(index, 0, (size_t)index->block, error);
}

static bool index_open(struct index *index, const struct domain *domain, GError **error)
{
	ssize_t n;

	*index = (struct index){ .domain = domain, .fd = -1, .slot = metadata_get_int(domain->values, "ALIGNMENT", 1 << 20),
				 .block = (int)metadata_get_int(domain->values, "BLOCK_SIZE", 512) };
	if (!(index->path = domain_area(domain, "xleases", &index->base, error)))
		return false;
	index->size = ((size_t)index->block + RECORDS * RECORD_SIZE + SECTOR - 1) / SECTOR * SECTOR;
	if (posix_memalign((void **)&index->bytes, SECTOR, index->size)) {
		errno = ENOMEM;
		index->bytes = NULL;
		return failed(index, "read", error);
	}
	index->fd = open(index->path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (index->fd < 0 && errno == EINVAL)
		index->fd = open(index->path, O_RDWR | O_CLOEXEC);
	n = index->fd < 0 ? -1 : pread(index->fd, index->bytes, index->size, index->base + index->slot);
	if (n == (ssize_t)index->size)
		return true;
	if (n >= 0)
		errno = EIO;
	return failed(index, "read", error);
}

static bool is_zero(const struct index *index)
{
	return !index->bytes[0] && !memcmp(index->bytes, index->bytes + 1, HEAD_SIZE - 1);
}

/* For use: valid, or new. */
static bool index_load(struct index *index, const struct domain *domain, GError **error)
{
	const uint32_t magic = GUINT32_TO_BE(MAGIC);
	const char *why = NULL;

	if (!index_open(index, domain, error))
		return false;
	if (is_zero(index)) {
		for (int i = 0; i < RECORDS; i++)
			write_record(index, i, "", '-');
		return true;
	}
	if (memcmp(index->bytes, &magic, sizeof(magic)))
		why = "is no index";
	else if (memcmp(index->bytes + 5, "0001", 4))
		why = "is an index of a version that is not known";
	else if (strncmp(index->bytes + 10, domain->id, NAME_SIZE))
		why = "is the index of another domain";
	else if (index->bytes[70] != '-')
		why = "was half written";
	if (!why)
		return true;
	error_set(error, ERR_STORAGE_EXCEPTION, "leases of domain '%s': '%s' %s (Lease.rebuild_leases)", domain->id, index->path, why);
	return false;
}

static bool is_name(const char *record, const char *name)
{
	return strncmp(record, name, NAME_SIZE) == 0;
}

static bool is_whole(const char *record)
{
	return record[61] == '-';
}

/* Number of the record; -1: none. whole: not one that is half written */
static int find(const struct index *index, const char *id, bool whole)
{
	for (int i = 0; i < RECORDS; i++)
		if (is_name(record_at(index, i), id) && (!whole || is_whole(record_at(index, i))))
			return i;
	return -1;
}

static int find_free(const struct index *index)
{
	for (int i = 0; i < RECORDS; i++)
		if (!record_at(index, i)[0] || !is_whole(record_at(index, i)))
			return i;
	return -1;
}

static bool no_lease(const struct domain *domain, const char *id, GError **error)
{
	error_set(error, ERR_NO_SUCH_LEASE, "'%s' in domain '%s'", id, domain->id);
	return false;
}

bool xlease_find(const struct domain *domain, const char *id, struct lease *ret_lease, GError **error)
{
	AUTO_INDEX index;
	int n;

	if (!index_load(&index, domain, error))
		return false;
	if ((n = find(&index, id, true)) < 0)
		return no_lease(domain, id, error);
	*ret_lease = (struct lease){ .name = id, .path = g_steal_pointer(&index.path), .offset = offset_of(&index, n) };
	return true;
}

/* A file has the slots that were needed so far; a device those it has. */
static bool make_room(const struct index *index, int n, GError **error)
{
	const off_t end = offset_of(index, n) + index->slot;
	struct stat st;

	if (fstat(index->fd, &st) < 0)
		return failed(index, "look at", error);
	if (S_ISREG(st.st_mode) && st.st_size < end && ftruncate(index->fd, end) < 0)
		return failed(index, "extend", error);
	if (!S_ISREG(st.st_mode) && lseek(index->fd, 0, SEEK_END) < end) {
		error_set(error, ERR_NO_SPACE_LEFT_ON_DOMAIN, "domain '%s': '%s' has no room for lease %d", index->domain->id, index->path, n);
		return false;
	}
	return true;
}

bool xlease_add(const struct domain *domain, const char *id, const char *note, GError **error)
{
	AUTO_INDEX index;
	struct lease lease = { .name = id };
	int n;

	if (!index_load(&index, domain, error))
		return false;
	if (find(&index, id, true) >= 0)
		return true;
	if (!index.bytes[0] && is_zero(&index) && !put_all(&index, error))
		return false;
	if ((n = find(&index, id, false)) < 0 && (n = find_free(&index)) < 0) {
		error_set(error, ERR_NO_SPACE_LEFT_ON_DOMAIN, "domain '%s' has %d leases already", domain->id, RECORDS);
		return false;
	}
	lease.path = index.path;
	lease.offset = offset_of(&index, n);
	fault_point("lease add: begin");
	if (!make_room(&index, n, error) || !put_record(&index, n, id, 'u', error))
		return false;
	fault_point("lease add: marked");
	if (!lock_format_lease(domain, &lease, error) || (note && !lock_write_note(domain, &lease, note, error)))
		return false;
	fault_point("lease add: made");
	return put_record(&index, n, id, '-', error);
}

bool xlease_remove(const struct domain *domain, const char *id, GError **error)
{
	AUTO_INDEX index;
	struct lease lease = { .name = id };
	int n;

	if (!index_load(&index, domain, error))
		return false;
	if ((n = find(&index, id, false)) < 0)
		return no_lease(domain, id, error);
	lease.path = index.path;
	lease.offset = offset_of(&index, n);
	fault_point("lease remove: begin");
	if (!put_record(&index, n, id, 'u', error))
		return false;
	fault_point("lease remove: marked");
	if (!lock_clear_lease(domain, &lease, error))
		return false;
	fault_point("lease remove: cleared");
	return put_record(&index, n, "", '-', error);
}

bool xlease_rebuild(const struct domain *domain, GError **error)
{
	AUTO_INDEX index;
	off_t size;

	if (!index_open(&index, domain, error))
		return false;
	if ((size = lseek(index.fd, 0, SEEK_END)) < 0)
		return failed(&index, "look at", error);
	for (int i = 0; i < RECORDS; i++) {
		g_autofree char *name = NULL;

		write_record(&index, i, "", '-');
		if (offset_of(&index, i) + index.slot > size)
			continue;
		if (!(name = lock_read_lease(domain, index.path, offset_of(&index, i), error)))
			return false;
		if (*name)
			write_record(&index, i, name, '-');
	}
	return put_all(&index, error);
}

GPtrArray *xlease_list(const struct domain *domain, GError **error)
{
	AUTO_INDEX index;
	GPtrArray *names;

	if (!index_load(&index, domain, error))
		return NULL;
	names = g_ptr_array_new_with_free_func(g_free);
	for (int i = 0; i < RECORDS; i++)
		if (record_at(&index, i)[0] && is_whole(record_at(&index, i)))
			g_ptr_array_add(names, g_strndup(record_at(&index, i), NAME_SIZE));
	return names;
}
