/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host.getExternalVmFromOva: what is in an OVA (DMTF DSP0243), in the form of vdsm (lib/vdsm/v2v.py).
 *
 * An OVA comes from anywhere, so nothing in it is trusted: only a regular file, a tar or a zip, or a directory is looked at (a FIFO would hang
 * us); at most ENTRIES_MAX entries are passed and OVF_MAX bytes of the OVF read, wherever it is; nothing is unpacked; entities of the XML are bounded by
 * the parser; names of disk files that lead out of the OVA and numbers that are none or too large are refused, naming the member.
 */
#define LOG_MODULE "host"
#include "agent/host/ova.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/xml.h"
#include "common/error.h"
#include "proto/host_calls.h"

#define OVF_MAX (4u << 20)
#define ENTRIES_MAX 10000
#define DISKS_MAX 1000
#define MEMORY_MIB_MAX (INT64_C(1) << 30)
#define CPUS_MAX 65536
/* rasd:ResourceType */
#define TYPE_CPU 3
#define TYPE_MEMORY 4
#define TYPE_NIC 10
#define ORIGIN_OVIRT 3

/* ---- the text ---- */

static bool is_ovf(const char *name)
{
	size_t length = strlen(name);

	return length > 4 && !g_ascii_strcasecmp(name + length - 4, ".ovf");
}

static char *too_large(const char *path, const char *name, GError **error)
{
	error_set(error, ERR_INVALID_PARAMETER, "%s: %s is larger than %u bytes", path, name, OVF_MAX);
	return NULL;
}

/* Takes fd over. */
static char *read_fd(int fd, const char *path, const char *name, GError **error)
{
	g_autofree char *text = g_malloc(OVF_MAX + 1);
	size_t length = 0;
	ssize_t n;

	while (length <= OVF_MAX && (n = read(fd, text + length, OVF_MAX + 1 - length)) != 0) {
		if (n < 0 && errno != EINTR) {
			error_set_errno(error, ERR_INVALID_PARAMETER, errno, "%s: %s", path, name);
			close(fd);
			return NULL;
		}
		length += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (length > OVF_MAX)
		return too_large(path, name, error);
	text[length] = '\0';
	return g_steal_pointer(&text);
}

static char *read_directory(const char *path, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	struct stat st;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = NULL;
		int fd;

		if (!is_ovf(name))
			continue;
		file = g_build_filename(path, name, NULL);
		fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
			return read_fd(fd, path, name, error);
		if (fd >= 0)
			close(fd);
		error_set(error, ERR_INVALID_PARAMETER, "%s: %s is no plain file", path, name);
		return NULL;
	}
	error_set(error, ERR_V2V_NO_SUCH_OVF, "the directory %s has no .ovf file", path);
	return NULL;
}

/* The entry at which the archive stands. */
static char *read_entry(struct archive *archive, const char *path, const char *name, GError **error)
{
	g_autofree char *text = g_malloc(OVF_MAX + 1);
	size_t length = 0;
	la_ssize_t n;

	while (length <= OVF_MAX && (n = archive_read_data(archive, text + length, OVF_MAX + 1 - length)) != 0) {
		if (n < 0) {
			error_set(error, ERR_INVALID_PARAMETER, "%s: %s: %s", path, name, archive_error_string(archive));
			return NULL;
		}
		length += (size_t)n;
	}
	if (length > OVF_MAX)
		return too_large(path, name, error);
	text[length] = '\0';
	return g_steal_pointer(&text);
}

static char *read_archive(int fd, const char *path, GError **error)
{
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	char *text = NULL;
	int r = ARCHIVE_OK, seen = 0;

	archive_read_support_format_tar(archive);
	archive_read_support_format_zip_seekable(archive);
	if (archive_read_open_fd(archive, fd, 65536) != ARCHIVE_OK) {
		error_set(error, ERR_INVALID_PARAMETER, "%s is neither a tar nor a zip file: %s", path, archive_error_string(archive));
		archive_read_free(archive);
		return NULL;
	}
	while (seen < ENTRIES_MAX && ((r = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN)) {
		const char *name = archive_entry_pathname(entry);

		seen++;
		if (!name || !is_ovf(name) || archive_entry_filetype(entry) != AE_IFREG)
			continue;
		text = read_entry(archive, path, name, error);
		archive_read_free(archive);
		return text;
	}
	if (r != ARCHIVE_EOF && seen < ENTRIES_MAX)
		error_set(error, ERR_INVALID_PARAMETER, "%s is no intact tar or zip file: %s", path, archive_error_string(archive));
	else
		error_set(error, ERR_V2V_NO_SUCH_OVF, "%s has no .ovf file among its first %d entries", path, seen);
	archive_read_free(archive);
	return NULL;
}

char *ova_read(const char *path, GError **error)
{
	int fd = g_path_is_absolute(path) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	struct stat st;
	char *text = NULL;

	if (!g_path_is_absolute(path)) {
		error_set(error, ERR_INVALID_PARAMETER, "ova_path '%s' is not absolute", path);
		return NULL;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		error_set_errno(error, ERR_V2V_NO_SUCH_OVF, errno, "%s", path);
	else if (S_ISDIR(st.st_mode))
		text = read_directory(path, error);
	else if (S_ISREG(st.st_mode))
		text = read_archive(fd, path, error);
	else
		error_set(error, ERR_INVALID_PARAMETER, "%s is neither a file nor a directory", path);
	if (fd >= 0)
		close(fd);
	return text;
}

/* ---- what it says ---- */

/* Elements of that name at any depth below node, in order, into list. */
static void collect(const xmlNode *node, const char *name, GPtrArray *list)
{
	for XML_EACH(child, node, NULL) {
		if (!strcmp((const char *)child->name, name))
			g_ptr_array_add(list, child);
		collect(child, name, list);
	}
}

static GPtrArray *all_of(const xmlNode *root, const char *name)
{
	GPtrArray *list = g_ptr_array_new();

	collect(root, name, list);
	return list;
}

/* A whole number from 0 to max, nothing else. */
static bool read_number(const char *text, int64_t max, const char *what, int64_t *ret, GError **error)
{
	gint64 number;

	if (!text || !g_ascii_string_to_signed(text, 10, 0, max, &number, NULL)) {
		error_set(error, ERR_INVALID_PARAMETER, "OVF: %s is %s%s%s, not a number up to %" G_GINT64_FORMAT, what, text ? "'" : "", text ? text : "missing",
			  text ? "'" : "", max);
		return false;
	}
	*ret = number;
	return true;
}

/* "byte * 2^20", "byte * 1024 * 2^10": programmatic units of DSP0004 with base byte; "MegaBytes" and the like are of old VMware. 0: unknown. */
static int64_t bytes_of_unit(const char *units)
{
	static const struct { const char *name; int64_t bytes; } old[] = {
		{ "KiloBytes", 1 << 10 }, { "MegaBytes", 1 << 20 }, { "GigaBytes", 1 << 30 }, { "MB", 1 << 20 }, { "GB", 1 << 30 },
	};
	g_auto(GStrv) factors = g_strsplit(units, "*", 8);
	int64_t bytes = 1;

	for (size_t i = 0; i < G_N_ELEMENTS(old); i++)
		if (!strcmp(units, old[i].name))
			return old[i].bytes;
	if (!*factors || strcmp(g_strstrip(*factors), "byte"))
		return 0;
	for (char **factor = factors + 1; *factor; factor++) {
		char *power = strchr(g_strstrip(*factor), '^');
		gint64 base, exponent = 1;

		if (power)
			*power++ = '\0';
		if (!g_ascii_string_to_signed(*factor, 10, 1, 1 << 20, &base, NULL) || (power && !g_ascii_string_to_signed(power, 10, 0, 62, &exponent, NULL)))
			return 0;
		while (exponent--)
			if (__builtin_mul_overflow(bytes, base, &bytes))
				return 0;
	}
	return bytes;
}

/* VirtualQuantity of the first item of that type; units: in MiB by its AllocationUnits, which are MiB when they are not given. */
static bool read_quantity(const GPtrArray *items, int type, int64_t max, const char *what, bool units, int64_t *ret, GError **error)
{
	for (guint i = 0; i < items->len; i++) {
		g_autofree char *kind = xml_text(xml_child(items->pdata[i], "ResourceType")), *text = xml_text(xml_child(items->pdata[i], "VirtualQuantity"));
		g_autofree char *unit = xml_text(xml_child(items->pdata[i], "AllocationUnits"));
		int64_t each = units && unit ? bytes_of_unit(unit) : 1 << 20, number;

		if (!kind || g_ascii_strtoll(kind, NULL, 10) != type)
			continue;
		if (!each) {
			error_set(error, ERR_INVALID_PARAMETER, "OVF: %s: AllocationUnits '%s' are not understood", what, unit);
			return false;
		}
		if (!read_number(text, INT64_MAX / each, what, &number, error))
			return false;
		number = units ? number * each >> 20 : number;
		if (number < 1 || number > max) {
			error_set(error, ERR_INVALID_PARAMETER, "OVF: %s %s is not from 1 to %" G_GINT64_FORMAT, what, text, max);
			return false;
		}
		*ret = number;
		return true;
	}
	error_set(error, ERR_INVALID_PARAMETER, "OVF: no %s (an Item with ResourceType %d)", what, type);
	return false;
}

static const xmlNode *file_of(const GPtrArray *files, const char *id)
{
	for (guint i = 0; i < files->len && id; i++) {
		g_autofree char *own = xml_get_any(files->pdata[i], "id");

		if (!g_strcmp0(own, id))
			return files->pdata[i];
	}
	return NULL;
}

static bool leads_out(const char *href)
{
	g_auto(GStrv) parts = g_strsplit(href, "/", -1);

	return *href == '/' || strstr(href, "://") || g_strv_contains((const char *const *)parts, "..");
}

static json_t *read_disk(const xmlNode *disk, const GPtrArray *files, GError **error)
{
	g_autofree char *id = xml_get_any(disk, "diskId"), *reference = xml_get_any(disk, "fileRef"), *text = xml_get_any(disk, "capacity"),
		*units = xml_get_any(disk, "capacityAllocationUnits"), *populated_text = xml_get_any(disk, "populatedSize");
	g_autofree char *what = g_strdup_printf("capacity of disk '%s'", id ? id : "?"), *size_text = NULL, *href = NULL;
	const xmlNode *file = file_of(files, reference);
	int64_t unit = units ? bytes_of_unit(units) : 1, capacity, populated = -1, size = -1;

	if (!unit) {
		error_set(error, ERR_INVALID_PARAMETER, "OVF: %s: capacityAllocationUnits '%s' are not understood", what, units);
		return NULL;
	}
	if (!read_number(text, INT64_MAX / unit, what, &capacity, error))
		return NULL;
	if (!file || !(href = xml_get_any(file, "href"))) {
		error_set(error, ERR_INVALID_PARAMETER, "OVF: disk '%s': no File '%s' with an href", id ? id : "?", reference ? reference : "");
		return NULL;
	}
	if (leads_out(href)) {
		error_set(error, ERR_INVALID_PARAMETER, "OVF: disk '%s': its file '%s' is not inside the OVA", id ? id : "?", href);
		return NULL;
	}
	size_text = xml_get_any(file, "size");
	if ((size_text && !read_number(size_text, INT64_MAX, "size of a File", &size, error)) ||
	    (populated_text && !read_number(populated_text, INT64_MAX, "populatedSize of a disk", &populated, error)))
		return NULL;
	size = MAX(size, populated);
	return json_pack("{s:s, s:s, s:o, s:o*}", "type", "disk", "alias", href, "capacity", json_sprintf("%" G_GINT64_FORMAT, capacity * unit), "allocation",
			 size >= 0 ? json_sprintf("%" G_GINT64_FORMAT, size) : NULL);
}

static json_t *read_disks(const xmlNode *root, GError **error)
{
	g_autoptr(GPtrArray) sections = all_of(root, "DiskSection");
	g_autoptr(GPtrArray) files = all_of(xml_child(root, "References"), "File");
	json_t *list = json_array();

	for (guint i = 0; i < sections->len; i++)
		for XML_EACH(disk, sections->pdata[i], "Disk") {
			json_t *entry = json_array_size(list) < DISKS_MAX ? read_disk(disk, files, error) : NULL;

			if (entry) {
				json_array_append_new(list, entry);
				continue;
			}
			if (json_array_size(list) == DISKS_MAX)
				error_set(error, ERR_INVALID_PARAMETER, "OVF: more than %d disks", DISKS_MAX);
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *read_networks(const GPtrArray *items)
{
	json_t *list = json_array();

	for (guint i = 0; i < items->len; i++) {
		g_autofree char *kind = xml_text(xml_child(items->pdata[i], "ResourceType")), *name = xml_text(xml_child(items->pdata[i], "ElementName"));
		g_autofree char *model = xml_text(xml_child(items->pdata[i], "ResourceSubType")), *bridge = xml_text(xml_child(items->pdata[i], "Connection"));

		if (kind && g_ascii_strtoll(kind, NULL, 10) == TYPE_NIC)
			json_array_append_new(list, json_pack("{s:s, s:s*, s:s*, s:s*}", "type", bridge ? "bridge" : "interface", "dev", name, "model", model,
							      "bridge", bridge));
	}
	return list;
}

json_t *ova_describe(const char *ovf, const char *file, GError **error)
{
	g_autoptr(xmlDoc) doc = xml_parse(ovf, strlen(ovf), error);
	const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
	g_autoptr(GPtrArray) items = all_of(root, "Item");
	g_autofree char *name = xml_text(xml_find(root, "VirtualSystem/Name")), *base = g_path_get_basename(file);
	int64_t memory, cpus;
	json_t *disks, *vm;

	if (!doc) {
		error_wrap(error, "%s: OVF", file);
		return NULL;
	}
	if (strcmp((const char *)root->name, "Envelope")) {
		error_set(error, ERR_INVALID_PARAMETER, "%s: the OVF is a <%s>, no <Envelope>", file, (const char *)root->name);
		return NULL;
	}
	if (!read_quantity(items, TYPE_MEMORY, MEMORY_MIB_MAX, "memory size", /* units= */ true, &memory, error) ||
	    !read_quantity(items, TYPE_CPU, CPUS_MAX, "number of CPUs", /* units= */ false, &cpus, error) || !(disks = read_disks(root, error)))
		return NULL;
	if (strrchr(base, '.') && strrchr(base, '.') > base)
		*strrchr(base, '.') = '\0';
	vm = json_pack("{s:s, s:s, s:I, s:I, s:o, s:o}", "vmName", name && *name ? name : base, "status", "Down", "memSize", (json_int_t)memory, "smp",
		       (json_int_t)cpus, "disks", disks, "networks", read_networks(items));
	for (const xmlNs *ns = root->nsDef; ns; ns = ns->next)
		if (ns->prefix && !strcmp((const char *)ns->prefix, "ovirt"))
			json_object_set_new(vm, "originType", json_integer(ORIGIN_OVIRT));
	return vm;
}

bool ova_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct ova_params *p = params;
	g_autofree char *ovf = ova_read(p->ova_path, error);
	json_t *vm = ovf ? ova_describe(ovf, p->ova_path, error) : NULL;

	if (!vm)
		return false;
	result_json(ret_result, vm);
	return true;
}
