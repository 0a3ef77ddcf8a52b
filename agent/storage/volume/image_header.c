/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of images.
 *
 * Facts: QEMU docs/interop/qcow2.txt; the VHD specification 1.0 (footer: cookie at 0, current size at 48, type at 60); VMware's Virtual Disk Format 5.0
 * (sparse header: capacity at 12, place and size of the embedded description at 28 and 36). A VMDK whose description names extents makes QEMU open these
 * files; so only the two sorts that are one file pass.
 */
#include "agent/storage/volume/image_header.h"
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include "common/error.h"

#define BACKING_MAX 1023                       /* of the format */
#define L1_ENTRIES_MAX (UINT32_C(32) << 20 >> 3)      /* QEMU's own bound, 32 MiB */
#define SNAPSHOTS_MAX 65536
#define QCOW2_CORRUPT (UINT64_C(1) << 1)
#define QCOW2_DATA_FILE (UINT64_C(1) << 2)
#define QCOW2_KNOWN UINT64_C(0x1f)             /* dirty, corrupt, data file, compression type, extended L2 entries */
#define VMDK_DESCRIPTION_MAX (64 * 1024)
#define SECTOR 512

struct qcow2 {
	uint32_t magic, version;
	uint64_t backing_offset;
	uint32_t backing_size, cluster_bits;
	uint64_t size;
	uint32_t crypt, l1_size;
	uint64_t l1_offset, refcount_offset;
	uint32_t refcount_clusters, snapshots;
	uint64_t snapshots_offset, incompatible;
} __attribute__((packed));

struct vmdk {
	char magic[4];
	uint32_t version, flags;
	uint64_t capacity, grain, description_offset, description_size;
} __attribute__((packed));

struct vhd { char cookie[8]; uint8_t rest[40]; uint64_t size; uint32_t geometry, type; } __attribute__((packed));

static bool refuse(GError **error, const char *name, const char *why)
{
	error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "'%s' %s", name, why);
	return false;
}

static bool read_at(int fd, void *to, size_t length, int64_t at)
{
	return at >= 0 && pread(fd, to, length, at) == (ssize_t)length;
}

static bool read_footer(int fd, struct vhd *ret_footer)
{
	off_t end = lseek(fd, 0, SEEK_END);

	return end >= SECTOR && (read_at(fd, ret_footer, sizeof(*ret_footer), end / SECTOR * SECTOR - SECTOR) || read_at(fd, ret_footer, sizeof(*ret_footer), 0)) &&
	       !memcmp(ret_footer->cookie, "conectix", 8);
}

const char *image_header_format(int fd)
{
	static const struct { const char *magic; size_t length, at; const char *format; } known[] = {
		{ "QFI\xfb", 4, 0, "qcow2" }, { "KDMV", 4, 0, "vmdk" }, { "COWD", 4, 0, "vmdk" }, { "# Disk Descriptor", 17, 0, "vmdk" },
		{ "vhdxfile", 8, 0, "vhdx" }, { "conectix", 8, 0, "vpc" }, { "QED\0", 4, 0, "qed" }, { "\x7f\x10\xda\xbe", 4, 64, "vdi" },
		{ "LUKS\xba\xbe", 6, 0, "luks" }, { "WithoutFreeSpace", 16, 0, "parallels" }, { "WithouFreSpacExt", 16, 0, "parallels" },
	};
	char start[80] = "";
	struct vhd footer;

	if (pread(fd, start, sizeof(start), 0) < 0)
		return NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (!memcmp(start + known[i].at, known[i].magic, known[i].length))
			return known[i].format;
	return read_footer(fd, &footer) ? "vpc" : "raw";
}

static bool qcow2(int fd, const char *name, struct image_header *ret_header, GError **error)
{
	struct qcow2 h = { 0 };
	g_autofree char *backing = NULL;
	uint32_t version, length;
	uint64_t features;

	if (!read_at(fd, &h, 72, 0) || be32toh(h.magic) != 0x514649fb)
		return refuse(error, name, "is no qcow2 image");
	version = be32toh(h.version);
	if (version < 2 || version > 3 || (version == 3 && !read_at(fd, &h, sizeof(h), 0)))
		return refuse(error, name, "is a qcow2 image of an unknown version");
	features = version == 3 ? be64toh(h.incompatible) : 0;
	length = be32toh(h.backing_size);
	if (be32toh(h.crypt))
		return refuse(error, name, "is encrypted");
	if (features & QCOW2_DATA_FILE)
		return refuse(error, name, "keeps its data in another file");
	if (features & QCOW2_CORRUPT)
		return refuse(error, name, "is marked as corrupt by QEMU");
	if (features & ~QCOW2_KNOWN)
		return refuse(error, name, "needs a newer QEMU");
	if (be32toh(h.cluster_bits) < 9 || be32toh(h.cluster_bits) > 21 || be64toh(h.size) > (uint64_t)IMAGE_SIZE_MAX || be32toh(h.l1_size) > L1_ENTRIES_MAX ||
	    be32toh(h.snapshots) > SNAPSHOTS_MAX || length > BACKING_MAX)
		return refuse(error, name, "has an impossible qcow2 header (cluster size, virtual size, table or name out of bounds)");
	backing = g_malloc0(length + 1);
	if (h.backing_offset && (!length || !read_at(fd, backing, length, (int64_t)be64toh(h.backing_offset)) || strlen(backing) != length))
		return refuse(error, name, "has a bad backing name");
	*ret_header = (struct image_header){ (int64_t)be64toh(h.size), h.backing_offset ? g_steal_pointer(&backing) : g_strdup(""), version };
	return true;
}

static bool vmdk(int fd, const char *name, struct image_header *ret_header, GError **error)
{
	struct vmdk h;
	g_autofree char *text = NULL;
	uint64_t at, length;

	if (!read_at(fd, &h, sizeof(h), 0) || memcmp(h.magic, "KDMV", 4) || !h.capacity)
		return refuse(error, name, "is no VMDK image of one file (monolithicSparse, streamOptimized)");
	at = le64toh(h.description_offset);
	length = le64toh(h.description_size);
	if (!at || at > UINT32_MAX || !length || length > VMDK_DESCRIPTION_MAX / SECTOR || le64toh(h.capacity) > (uint64_t)IMAGE_SIZE_MAX / SECTOR)
		return refuse(error, name, "has an impossible VMDK header");
	text = g_malloc0(length * SECTOR + 1);
	if (!read_at(fd, text, length * SECTOR, (int64_t)(at * SECTOR)))
		return refuse(error, name, "has no VMDK description");
	if (strstr(text, "parentFileNameHint"))
		return refuse(error, name, "is based on another file");
	if (!strstr(text, "createType=\"monolithicSparse\"") && !strstr(text, "createType=\"streamOptimized\""))
		return refuse(error, name, "is a VMDK image of several files");
	*ret_header = (struct image_header){ (int64_t)le64toh(h.capacity) * SECTOR, g_strdup(""), le32toh(h.version) };
	return true;
}

static bool vpc(int fd, const char *name, struct image_header *ret_header, GError **error)
{
	struct vhd footer;

	if (!read_footer(fd, &footer))
		return refuse(error, name, "is no VHD image");
	if (be32toh(footer.type) != 2 && be32toh(footer.type) != 3)
		return refuse(error, name, "is neither a fixed nor a dynamic VHD image (differencing ones are based on another file)");
	if (be64toh(footer.size) > (uint64_t)IMAGE_SIZE_MAX)
		return refuse(error, name, "has an impossible VHD footer");
	*ret_header = (struct image_header){ (int64_t)be64toh(footer.size), g_strdup(""), 1 };
	return true;
}

void image_header_clear(struct image_header *header)
{
	g_free(header->backing);
	header->backing = NULL;
}

bool image_header_read(int fd, const char *format, const char *name, struct image_header *ret_header, GError **error)
{
	struct image_header header = { 0 };
	char magic[8];
	bool good = true;

	if (!strcmp(format, "qcow2"))
		good = qcow2(fd, name, &header, error);
	else if (!strcmp(format, "vmdk"))
		good = vmdk(fd, name, &header, error);
	else if (!strcmp(format, "vpc"))
		good = vpc(fd, name, &header, error);
	else if (!strcmp(format, "vhdx"))
		good = (read_at(fd, magic, sizeof(magic), 0) && !memcmp(magic, "vhdxfile", 8)) || refuse(error, name, "is no VHDX image");
	else if (strcmp(format, "raw"))
		good = refuse(error, name, "is of a format that is not read here");
	if (good && !header.backing)
		header.backing = g_strdup("");
	if (good && ret_header)
		*ret_header = header;
	else
		image_header_clear(&header);
	return good;
}
