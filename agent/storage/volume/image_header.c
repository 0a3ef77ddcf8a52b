/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of images.
 *
 * Facts: QEMU docs/interop/qcow2.txt; the VHD specification 1.0 (footer: cookie at 0, place of the dynamic header at 16, current size at 48, type at 60;
 * dynamic header: cookie at 0, entries of its table at 28); VMware's Virtual Disk Format 5.0 (sparse header: capacity at 12, place and size of the
 * embedded description at 28 and 36); the VHDX specification 1.00 (region table at 192 KiB). A VMDK whose description names extents makes QEMU open
 * these files; so only the two sorts that are one file pass.
 *
 * What is judged must be what QEMU reads, and it does not always read what the header says: a parent of a VMDK is looked for in 10 KiB from the second
 * sector on, wherever the header has the description (block/vmdk.c, vmdk_parent_open()); the footer of a VHD is the copy at its start, if there is one,
 * and such an image is a dynamic one whatever type it claims (block/vpc.c, vpc_open()).
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
#define QCOW2_HEADER_V2 72
#define QCOW2_FORMAT_OF_BACKING 0xe2792acau
#define QCOW2_EXTENSIONS_MAX 64                /* QEMU writes 5 at most */
#define QCOW2_REFCOUNTS_MAX (INT64_C(8) << 20)  /* bytes of their table, QEMU's own bound */
#define VMDK_DESCRIPTION_MAX (64 * 1024)
#define VMDK_PARENT_AT 512
#define VMDK_PARENT_MAX (20 * 512)
#define VHD_ENTRIES_MAX (UINT32_C(4) << 20)     /* of 512 KiB each they are the 2040 GiB that a VHD can have */
#define VHDX_REGIONS_AT (192 * 1024)
#define VHDX_REGIONS_MAX 2047                  /* of the format */
#define VHDX_REGION_BYTES_MAX (64u << 20)       /* 8 TiB in blocks of 1 MiB, the smallest; 64 TiB in those of 8 MiB, which are usual */
#define SECTOR 512

struct qcow2 {
	uint32_t magic, version;
	uint64_t backing_offset;
	uint32_t backing_size, cluster_bits;
	uint64_t size;
	uint32_t crypt, l1_size;
	uint64_t l1_offset, refcount_offset;
	uint32_t refcount_clusters, snapshots;
	uint64_t snapshots_offset, incompatible, compatible, autoclear;
	uint32_t refcount_order, header_length;
} __attribute__((packed));

struct vmdk {
	char magic[4];
	uint32_t version, flags;
	uint64_t capacity, grain, description_offset, description_size;
} __attribute__((packed));

struct vhd { char cookie[8]; uint64_t features, data_offset; uint8_t rest[24]; uint64_t size; uint32_t geometry, type; } __attribute__((packed));
struct vhd_dynamic { char cookie[8]; uint64_t next, table; uint32_t version, entries; } __attribute__((packed));

struct vhdx_region { uint8_t guid[16]; uint64_t offset; uint32_t length, flags; } __attribute__((packed));
struct vhdx_regions { char magic[4]; uint32_t checksum, count, reserved; struct vhdx_region regions[VHDX_REGIONS_MAX]; } __attribute__((packed));

static bool refuse(GError **error, const char *name, const char *why)
{
	error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "'%s' %s", name, why);
	return false;
}

static bool read_at(int fd, void *to, size_t length, int64_t at)
{
	return at >= 0 && pread(fd, to, length, at) == (ssize_t)length;
}

static int64_t size_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

/* The one that QEMU uses; ret_dynamic: it is the copy at the start. */
static bool read_footer(int fd, struct vhd *ret_footer, bool *ret_dynamic)
{
	int64_t last = (size_of(fd) + SECTOR - 1) / SECTOR * SECTOR - SECTOR;

	*ret_dynamic = read_at(fd, ret_footer, sizeof(*ret_footer), 0) && !memcmp(ret_footer->cookie, "conectix", 8);
	return *ret_dynamic || (read_at(fd, ret_footer, sizeof(*ret_footer), last) && !memcmp(ret_footer->cookie, "conectix", 8));
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
	bool dynamic;

	if (pread(fd, start, sizeof(start), 0) < 0)
		return NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (!memcmp(start + known[i].at, known[i].magic, known[i].length))
			return known[i].format;
	return read_footer(fd, &footer, &dynamic) ? "vpc" : "raw";
}

/* The format of the backing file, as the last of the extensions has it, "" when none has; NULL: they make no sense. g_free */
static char *backing_format(int fd, const struct qcow2 *h)
{
	int64_t at = be32toh(h->version) == 2 ? QCOW2_HEADER_V2 : be32toh(h->header_length);
	int64_t end = h->backing_offset ? (int64_t)be64toh(h->backing_offset) : INT64_C(1) << be32toh(h->cluster_bits);
	g_autofree char *format = g_strdup("");

	for (int i = 0; at < end; i++) {
		struct { uint32_t type, length; } extension;
		char text[16] = "";

		if (i == QCOW2_EXTENSIONS_MAX || !read_at(fd, &extension, sizeof(extension), at))
			return NULL;
		extension.type = be32toh(extension.type);
		extension.length = be32toh(extension.length);
		at += (int64_t)sizeof(extension);
		if (!extension.type)
			break;
		if (extension.type == QCOW2_FORMAT_OF_BACKING) {
			if (extension.length >= sizeof(text) || !read_at(fd, text, extension.length, at))
				return NULL;
			g_free(format);
			format = g_strdup(text);
		}
		at += (int64_t)(extension.length + INT64_C(7)) & ~INT64_C(7);
	}
	return g_steal_pointer(&format);
}

/* Does the last cluster in use, by the last entry of the last refcount block, lie behind the end of the file? */
static bool is_cut(int fd, const struct qcow2 *h)
{
	const int order = be32toh(h->version) == 2 ? 4 : (int)be32toh(h->refcount_order);
	const int64_t cluster = INT64_C(1) << be32toh(h->cluster_bits), length = (int64_t)be32toh(h->refcount_clusters) * cluster;
	const int64_t each = cluster * 8 >> order;         /* entries of a block */
	g_autofree uint64_t *table = g_malloc((gsize)length);
	g_autofree uint8_t *block = g_malloc((gsize)cluster);
	int64_t n = length / 8, last = cluster;

	if (!read_at(fd, table, (size_t)length, (int64_t)be64toh(h->refcount_offset)))
		return true;
	while (n > 0 && !table[n - 1])
		n--;
	if (!n || !read_at(fd, block, (size_t)cluster, (int64_t)be64toh(table[n - 1])))
		return true;
	while (last > 0 && !block[last - 1])
		last--;
	if (!last)
		return false;
	/* entries of less than a byte begin with its lowest bits */
	last = (n - 1) * each + (((last - 1) * 8 + g_bit_nth_msf(block[last - 1], -1)) >> order);
	return last * cluster >= size_of(fd);
}

static bool qcow2(int fd, const char *name, struct image_header *ret_header, GError **error)
{
	struct qcow2 h = { 0 };
	g_autofree char *backing = NULL;
	g_autofree char *format = NULL;
	uint32_t version, length;
	uint64_t features;

	if (!read_at(fd, &h, QCOW2_HEADER_V2, 0) || be32toh(h.magic) != 0x514649fb)
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
	    be32toh(h.snapshots) > SNAPSHOTS_MAX || length > BACKING_MAX || be64toh(h.backing_offset) > UINT32_MAX ||
	    ((uint64_t)be32toh(h.refcount_clusters) << be32toh(h.cluster_bits)) > QCOW2_REFCOUNTS_MAX || (version == 3 && be32toh(h.refcount_order) > 6))
		return refuse(error, name, "has an impossible qcow2 header (cluster size, virtual size, table or name out of bounds)");
	backing = g_malloc0(length + 1);
	if (h.backing_offset && (!length || !read_at(fd, backing, length, (int64_t)be64toh(h.backing_offset)) || strlen(backing) != length))
		return refuse(error, name, "has a bad backing name");
	if (!(format = backing_format(fd, &h)))
		return refuse(error, name, "has header extensions that make no sense");
	*ret_header = (struct image_header){ .size = (int64_t)be64toh(h.size), .backing = h.backing_offset ? g_steal_pointer(&backing) : g_strdup(""),
					     .backing_format = g_steal_pointer(&format), .version = version, .cut = is_cut(fd, &h) };
	return true;
}

/* As QEMU does: up to the first zero byte. */
static bool names_parent(int fd)
{
	char text[VMDK_PARENT_MAX + 1] = "";

	return pread(fd, text, VMDK_PARENT_MAX, VMDK_PARENT_AT) < 0 || strstr(text, "parentFileNameHint");
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
	if (names_parent(fd) || strstr(text, "parentFileNameHint"))
		return refuse(error, name, "is based on another file");
	if (!strstr(text, "createType=\"monolithicSparse\"") && !strstr(text, "createType=\"streamOptimized\""))
		return refuse(error, name, "is a VMDK image of several files");
	*ret_header = (struct image_header){ .size = (int64_t)le64toh(h.capacity) * SECTOR, .version = le32toh(h.version) };
	return true;
}

static bool vpc(int fd, const char *name, struct image_header *ret_header, GError **error)
{
	struct vhd footer;
	struct vhd_dynamic h;
	bool dynamic;

	if (!read_footer(fd, &footer, &dynamic))
		return refuse(error, name, "is no VHD image");
	if (be32toh(footer.type) != 2 && be32toh(footer.type) != 3)
		return refuse(error, name, "is neither a fixed nor a dynamic VHD image (differencing ones are based on another file)");
	if (be64toh(footer.size) > (uint64_t)IMAGE_SIZE_MAX)
		return refuse(error, name, "has an impossible VHD footer");
	if (dynamic && (!read_at(fd, &h, sizeof(h), (int64_t)be64toh(footer.data_offset)) || memcmp(h.cookie, "cxsparse", 8) ||
			be32toh(h.entries) > VHD_ENTRIES_MAX))
		return refuse(error, name, "has an impossible dynamic VHD header");
	*ret_header = (struct image_header){ .size = (int64_t)be64toh(footer.size), .version = 1 };
	return true;
}

static bool vhdx(int fd, const char *name, GError **error)
{
	g_autofree struct vhdx_regions *table = g_new0(struct vhdx_regions, 1);
	char magic[8];
	uint32_t count;

	if (!read_at(fd, magic, sizeof(magic), 0) || memcmp(magic, "vhdxfile", 8) || !read_at(fd, table, sizeof(*table), VHDX_REGIONS_AT) ||
	    memcmp(table->magic, "regi", 4))
		return refuse(error, name, "is no VHDX image");
	count = le32toh(table->count);
	for (uint32_t i = 0; i < MIN(count, VHDX_REGIONS_MAX); i++)
		if (le32toh(table->regions[i].length) > VHDX_REGION_BYTES_MAX)
			count = UINT32_MAX;
	if (count > VHDX_REGIONS_MAX)
		return refuse(error, name, "has an impossible VHDX region table");
	return true;
}

void image_header_clear(struct image_header *header)
{
	g_free(header->backing);
	g_free(header->backing_format);
	header->backing = header->backing_format = NULL;
}

bool image_header_read(int fd, const char *format, const char *name, struct image_header *ret_header, GError **error)
{
	struct image_header header = { 0 };
	bool good = true;

	if (!strcmp(format, "qcow2"))
		good = qcow2(fd, name, &header, error);
	else if (!strcmp(format, "vmdk"))
		good = vmdk(fd, name, &header, error);
	else if (!strcmp(format, "vpc"))
		good = vpc(fd, name, &header, error);
	else if (!strcmp(format, "vhdx"))
		good = vhdx(fd, name, error);
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
