/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OVF text as a VM or template. See ovf.h. What is not known is passed over; what is known and wrong, twice there, or missing is an error that names it.
 * It is a template when its TemplateId is its own id, as ovirt-engine tells them apart (OvfParser.isTemplate).
 */
#include "engine/ovf/ovf.h"

#include <inttypes.h>
#include <string.h>

#include "common/error.h"
#include "common/xml.h"
#include "engine/model/cdrom.h"
#include "engine/model/misc.h"
#include "engine/ovf/ovf-priv.h"

#define MIB (1024 * 1024)
#define GIB (INT64_C(1024) * MIB)
#define GIB_MAX 65536                            /* no disk is larger: 64 TiB */
#define MIB_MAX (INT64_C(1) << 32)

/* ---- parts ---- */

/* The only child element of that name; NULL without error: there is none. */
static bool only(const xmlNode *parent, const char *name, xmlNode **ret_node, GError **error)
{
	xmlNode *node = xml_child(parent, name);

	if (node && xml_next(node, name)) {
		error_set(error, ERR_BAD_VALUE, "OVF: %s has more than one %s", (const char *)parent->name, name);
		return false;
	}
	*ret_node = node;
	return true;
}

/* Its text; NULL: it is not there, or empty. g_free */
static bool only_text(const xmlNode *parent, const char *name, char **ret_text, GError **error)
{
	xmlNode *node;

	*ret_text = NULL;
	if (!only(parent, name, &node, error))
		return false;
	*ret_text = xml_text(node);
	if (*ret_text && !**ret_text)
		g_clear_pointer(ret_text, g_free);
	return true;
}

static bool missing(const char *what, GError **error)
{
	error_set(error, ERR_INCOMPLETE, "OVF: no %s", what);
	return false;
}

static xmlNode *section_of(const xmlNode *parent, const char *type)
{
	for XML_EACH(section, parent, "Section") {
		g_autofree char *own = xml_get_any(section, "type");

		if (own && g_str_has_suffix(own, type))
			return section;
	}
	return NULL;
}

/* A member by the rules of the API's input. `what` is the OVF's name of it. A record that has no such member: fine. */
static bool put(void *record, const char *path, const char *text, const char *what, GError **error)
{
	const struct field *field = record_field(((const struct record *)record)->type, path);

	if (!field || !text || !*text || record_set_text(record, field, text, error))
		return true;
	error_wrap(error, "OVF: %s", what);
	return false;
}

/* From a child element of node. */
static bool put_child(void *record, const char *path, const xmlNode *node, const char *element, GError **error)
{
	g_autofree char *text = NULL;

	return only_text(node, element, &text, error) && put(record, path, text, element, error);
}

static bool put_attribute(void *record, const char *path, const xmlNode *node, const char *name, GError **error)
{
	g_autofree char *text = xml_get_any(node, name);

	return put(record, path, text, name, error);
}

static bool bad_value(const char *what, const char *text, GError **error)
{
	error_set(error, ERR_BAD_VALUE, "OVF: %s: '%.64s' is not known", what, text);
	return false;
}

static bool put_code(void *record, const char *path, const struct ovf_code *codes, const char *text, const char *what, GError **error)
{
	const char *name = text ? ovf_name_of(codes, text) : NULL;

	if (!text || !*text)
		return true;
	return name ? put(record, path, name, what, error) : bad_value(what, text, error);
}

static bool number(const char *text, int64_t max, const char *what, int64_t *ret_number, GError **error)
{
	guint64 value;

	if (!g_ascii_string_to_unsigned(text, 10, 0, (guint64)max, &value, NULL)) {
		error_set(error, ERR_BAD_VALUE, "OVF: %s: '%.64s' is not a number up to %" PRId64, what, text, max);
		return false;
	}
	*ret_number = (int64_t)value;
	return true;
}

static bool put_mib(void *record, const char *path, const char *text, const char *what, GError **error)
{
	g_autofree char *bytes = NULL;
	int64_t mib;

	if (!number(text, MIB_MAX, what, &mib, error))
		return false;
	bytes = g_strdup_printf("%" PRId64, mib * MIB);
	return put(record, path, bytes, what, error);
}

/* ---- Content's fields ---- */

/* A list member, or NULL when the record has none of that path. */
static GPtrArray **list_of(void *record, const char *path)
{
	const struct field *field = record_field(((const struct record *)record)->type, path);

	return field ? (GPtrArray **)(void *)((char *)record + field->offset) : NULL;
}

static bool put_time(void *record, const char *path, const char *text, const char *what, GError **error)
{
	const struct field *field = record_field(((const struct record *)record)->type, path);
	int year, month, day, hour, minute, second, end = 0;
	g_autoptr(GDateTime) time = NULL;

	/* older engines wrote dots */
	if (sscanf(text, "%4d%*1[/.]%2d%*1[/.]%2d %2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &end) == 6 && end > 0 && !text[end])
		time = g_date_time_new_utc(year, month, day, hour, minute, second);
	if (!time) {
		error_set(error, ERR_BAD_VALUE, "OVF: %s: '%.64s' is no time (2015/02/09 14:12:24)", what, text);
		return false;
	}
	*(int64_t *)(void *)((char *)record + field->offset) = g_date_time_to_unix(time) * 1000;
	record_mark(record, field->offset, true);
	return true;
}

static bool put_boot(void *record, const char *path, const char *text, const char *what, GError **error)
{
	GPtrArray **list = list_of(record, path);
	int64_t code;

	if (!number(text, (int64_t)n_ovf_boot_orders - 1, what, &code, error))
		return false;
	for (const char *letter = ovf_boot_orders[code]; list && *letter; letter++) {
		struct boot_item *item = list_add(list, &boot_item_type);

		SET(item, dev, *letter == 'c' ? BOOT_HD : *letter == 'd' ? BOOT_CDROM : BOOT_NETWORK);
	}
	return true;
}

static void put_sso(void *record, const char *path, const char *text)
{
	GPtrArray **list = list_of(record, path);
	struct sso_method *method;

	if (!list || g_ascii_strcasecmp(text, "guest_agent"))
		return;
	method = list_add(list, &sso_method_type);
	set_string(&method->id, "GUEST_AGENT");
}

static bool put_properties(void *record, const char *path, const char *text, const char *what, GError **error)
{
	GPtrArray **list = list_of(record, path);
	g_auto(GStrv) pairs = g_strsplit(text, ";", OVF_ITEMS_MAX + 1);

	if (g_strv_length(pairs) > OVF_ITEMS_MAX) {
		error_set(error, ERR_TOO_LARGE, "OVF: %s: more than %d", what, OVF_ITEMS_MAX);
		return false;
	}
	for (char **pair = pairs; list && *pair; pair++) {
		char *equals = strchr(*pair, '=');
		struct option_item *item;

		if (!equals || equals == *pair)
			continue;
		*equals = '\0';
		item = list_add(list, &option_item_type);
		set_string(&item->name, *pair);
		set_string(&item->value, equals + 1);
	}
	return true;
}

static bool read_field(void *record, const struct ovf_field *row, const char *text, GError **error)
{
	switch (row->form) {
	case OVF_PLAIN:
		return put(record, row->path, text, row->element, error);
	case OVF_MIB:
		return put_mib(record, row->path, text, row->element, error);
	case OVF_TIME:
		return put_time(record, row->path, text, row->element, error);
	case OVF_CODE:
		/* "false" is what stands for every other mode of the processor */
		return (!strcmp(row->element, "UseHostCpu") && strcmp(text, "true")) || put_code(record, row->path, row->codes, text, row->element, error);
	case OVF_BOOT:
		return put_boot(record, row->path, text, row->element, error);
	case OVF_SSO:
		put_sso(record, row->path, text);
		return true;
	case OVF_PROPERTIES:
		return put_properties(record, row->path, text, row->element, error);
	case OVF_FIXED:
	case OVF_WRITER:
		return true;
	}
	return true;
}

static bool read_fields(void *record, const xmlNode *content, GError **error)
{
	for (size_t i = 0; i < n_ovf_fields; i++) {
		g_autofree char *text = NULL;

		if (!only_text(content, ovf_fields[i].element, &text, error) || (text && !read_field(record, &ovf_fields[i], text, error)))
			return false;
	}
	return true;
}

/* ---- disks ---- */

/* "image/volume": both ids, lower case by the table's rules */
static bool put_file(struct disk *disk, const char *file, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(file, "/", 3);

	if (g_strv_length(parts) != 2 || !g_uuid_string_is_valid(parts[0]) || !g_uuid_string_is_valid(parts[1])) {
		error_set(error, ERR_BAD_VALUE, "OVF: Disk: fileRef: '%.128s' is not two ids with a '/' between", file);
		return false;
	}
	disk->id = g_ascii_strdown(parts[0], -1);
	disk->image_id = g_ascii_strdown(parts[1], -1);
	return true;
}

/* The size to the byte, where the file says it; else in GiB. */
static bool put_size(struct disk *disk, const xmlNode *references, const char *file, const char *gib, GError **error)
{
	int64_t size, exact;

	if (!gib)
		return missing("Disk size", error);
	if (!number(gib, GIB_MAX, "Disk: size", &size, error))
		return false;
	SET(disk, size, size * GIB);
	for XML_EACH(node, references, "File") {
		g_autofree char *href = xml_get_any(node, "href"), *text = xml_get_any(node, "size");

		if (href && !g_ascii_strcasecmp(href, file) && text && number(text, GIB_MAX * GIB, "File: size", &exact, NULL) && exact > (size - 1) * GIB &&
		    exact <= size * GIB)
			SET(disk, size, exact);
	}
	return true;
}

static bool read_disk(struct disk *disk, const xmlNode *node, const xmlNode *references, GError **error)
{
	g_autofree char *file = xml_get_any(node, "fileRef"), *gib = xml_get_any(node, "size"), *interface = xml_get_any(node, "disk-interface"),
		   *type = xml_get_any(node, "volume-type");

	if (!file)
		return missing("Disk fileRef", error);
	SET(disk, interface, DISK_VIRTIO);
	SET(disk, format, DISK_RAW);
	SET(disk, sparse, !type || g_ascii_strcasecmp(type, "Preallocated"));
	SET(disk, bootable, false);
	SET(disk, shareable, false);
	SET(disk, propagate_errors, false);
	SET(disk, read_only, false);
	SET(disk, wipe_after_delete, false);
	SET(disk, active, true);
	set_string(&disk->type, "system");
	return put_file(disk, file, error) && put_size(disk, references, file, gib, error) &&
	       put_code(disk, "interface", ovf_disk_interfaces, interface, "Disk: disk-interface", error) &&
	       put_attribute(disk, "format", node, "volume-format", error) && put_attribute(disk, "bootable", node, "boot", error) &&
	       put_attribute(disk, "alias", node, "disk-alias", error) && put_attribute(disk, "description", node, "disk-description", error) &&
	       put_attribute(disk, "wipe_after_delete", node, "wipe-after-delete", error);
}

/* Is the volume what another one is based on? Then it belongs to a snapshot, and its disk is the other. */
static bool is_parent(const xmlNode *section, const char *file)
{
	for XML_EACH(node, section, "Disk") {
		g_autofree char *parent = xml_get_any(node, "parentRef");

		if (parent && !g_ascii_strcasecmp(parent, file))
			return true;
	}
	return false;
}

static const struct disk *disk_of(const GPtrArray *disks, const char *id, const char *volume)
{
	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		if ((id && !strcmp(disk->id, id)) || (volume && !g_ascii_strcasecmp(disk->image_id, volume)))
			return disk;
	}
	return NULL;
}

/* Each volume is compared with all others. */
static bool is_bounded(const xmlNode *parent, const char *name, GError **error)
{
	int n = 0;

	for XML_EACH(node, parent, name)
		if (++n > OVF_VOLUMES_MAX) {
			error_set(error, ERR_TOO_LARGE, "OVF: more than %d times %s", OVF_VOLUMES_MAX, name);
			return false;
		}
	return true;
}

static bool read_disks(struct ovf *ovf, const xmlNode *envelope, GError **error)
{
	const xmlNode *section = section_of(envelope, "DiskSection_Type"), *references = xml_child(envelope, "References");

	if (!is_bounded(section, "Disk", error) || !is_bounded(references, "File", error))
		return false;
	for XML_EACH(node, section, "Disk") {
		struct disk *disk = record_new(&disk_type);
		bool ok = read_disk(disk, node, references, error);
		g_autofree char *file = ok ? g_strdup_printf("%s/%s", disk->id, disk->image_id) : NULL;

		if (ok && is_parent(section, file)) {
			record_unref(disk);
			continue;
		}
		if (ok && disk_of(ovf->disks, disk->id, disk->image_id)) {
			error_set(error, ERR_BAD_VALUE, "OVF: disk '%s' is there twice", disk->id);
			ok = false;
		} else if (ok && ovf->disks->len >= OVF_ITEMS_MAX) {
			error_set(error, ERR_TOO_LARGE, "OVF: more than %d disks", OVF_ITEMS_MAX);
			ok = false;
		}
		if (!ok) {
			record_unref(disk);
			return false;
		}
		g_ptr_array_add(ovf->disks, disk);
	}
	return true;
}

/* ---- items ---- */

static bool read_disk_item(struct ovf *ovf, const xmlNode *item, GError **error)
{
	g_autofree char *id = NULL;
	struct disk *disk;

	if (!only_text(item, "InstanceId", &id, error))
		return false;
	disk = id ? (struct disk *)disk_of(ovf->disks, NULL, id) : NULL;
	return !disk || (put_child(disk, "active", item, "IsPlugged", error) && put_child(disk, "read_only", item, "IsReadOnly", error));
}

static bool read_nic(struct ovf *ovf, const xmlNode *item, GError **error)
{
	struct nic *nic = record_new(&nic_type);
	g_autofree char *model = NULL, *network = NULL, *profile = NULL, *mac = NULL;
	bool ok;

	g_ptr_array_add(ovf->nics, nic);
	if (ovf->nics->len > OVF_ITEMS_MAX) {
		error_set(error, ERR_TOO_LARGE, "OVF: more than %d NICs", OVF_ITEMS_MAX);
		return false;
	}
	SET(nic, interface, NIC_VIRTIO);
	SET(nic, linked, true);
	SET(nic, plugged, true);
	ok = put_child(nic, "@id", item, "InstanceId", error) && put_child(nic, "name", item, "Name", error) && only_text(item, "MACAddress", &mac, error) &&
	     put(nic, "mac@address", mac, "MACAddress", error) && put_child(nic, "linked", item, "Linked", error) &&
	     put_child(nic, "plugged", item, "IsPlugged", error) && only_text(item, "ResourceSubType", &model, error) &&
	     put_code(nic, "interface", ovf_nic_models, model, "ResourceSubType", error) && only_text(item, "Connection", &network, error) &&
	     only_text(item, "OtherResourceType", &profile, error);
	if (ok && !nic->name)
		return missing("Name of a NIC", error);
	for (guint i = 0; ok && i + 1 < ovf->nics->len; i++) {
		const struct nic *other = ovf->nics->pdata[i];

		if ((nic->id && !g_strcmp0(other->id, nic->id)) || !g_ascii_strcasecmp(other->name, nic->name)) {
			error_set(error, ERR_BAD_VALUE, "OVF: NIC '%s' is there twice", nic->name);
			return false;
		}
	}
	nic->network.name = g_steal_pointer(&network);
	nic->vnic_profile.name = g_steal_pointer(&profile);
	return ok;
}

static bool read_cpu(void *record, const xmlNode *item, GError **error)
{
	return put_child(record, "cpu/topology@sockets", item, "num_of_sockets", error) && put_child(record, "cpu/topology@cores", item, "cpu_per_socket", error) &&
	       put_child(record, "cpu/topology@threads", item, "threads_per_cpu", error);
}

static bool read_memory(void *record, const xmlNode *item, GError **error)
{
	g_autofree char *unit = NULL, *quantity = NULL;

	if (!only_text(item, "AllocationUnits", &unit, error) || !only_text(item, "VirtualQuantity", &quantity, error))
		return false;
	if (unit && g_ascii_strcasecmp(unit, "MegaBytes"))
		return bad_value("AllocationUnits", unit, error);
	return quantity ? put_mib(record, "memory", quantity, "VirtualQuantity", error) : missing("VirtualQuantity of the memory", error);
}

static bool read_usb(void *record, const xmlNode *item, GError **error)
{
	g_autofree char *policy = NULL;
	const char *name;

	if (!only_text(item, "UsbPolicy", &policy, error) || !policy)
		return !policy;
	name = ovf_name_of(ovf_usb_policies, policy);
	if (!name)
		return bad_value("UsbPolicy", policy, error);
	return put(record, "usb/enabled", strcmp(name, "disabled") ? "true" : "false", "UsbPolicy", error) &&
	       (!strcmp(name, "disabled") || put(record, "usb/type", name, "UsbPolicy", error));
}

static bool read_cdrom(void *record, const xmlNode *item, GError **error)
{
	GPtrArray **list = list_of(record, "cdroms/cdrom");
	g_autofree char *file = xml_text(xml_find(item, "SpecParams/path"));
	struct cdrom *cdrom;

	if (!list || !file || !*file || (*list && (*list)->len))
		return true;
	cdrom = list_add(list, &cdrom_type);
	set_string(&cdrom->id, BLANK_ID);
	return put(cdrom, "file@id", file, "CDROM: path", error);
}

static bool read_device(void *record, const xmlNode *item, GError **error)
{
	g_autofree char *type = NULL;
	const xmlNode *params = xml_child(item, "SpecParams");

	if (!only_text(item, "Type", &type, error) || !type)
		return !type;
	if (!strcmp(type, "console"))
		return put(record, "console@enabled", "true", type, error);
	if (!strcmp(type, "sound"))
		return put(record, "soundcard_enabled", "true", type, error);
	if (!strcmp(type, "rng"))
		return put_child(record, "rng_device/source", params, "source", error) && put_child(record, "rng_device/rate/bytes", params, "bytes", error) &&
		       put_child(record, "rng_device/rate/period", params, "period", error);
	return true;
}

static bool read_item(struct ovf *ovf, void *record, const xmlNode *item, GError **error)
{
	g_autofree char *type = NULL;

	if (!only_text(item, "ResourceType", &type, error))
		return false;
	switch (type ? g_ascii_strtoll(type, NULL, 10) : -1) {
	case OVF_CPU:
		return read_cpu(record, item, error);
	case OVF_MEMORY:
		return read_memory(record, item, error);
	case OVF_DISK:
		return read_disk_item(ovf, item, error);
	case OVF_NIC:
		return read_nic(ovf, item, error);
	case OVF_USB:
		return read_usb(record, item, error);
	case OVF_VIDEO:
		return put_child(record, "display/monitors", item, "VirtualQuantity", error) &&
		       put_child(record, "display/single_qxl_pci", item, "SinglePciQxl", error);
	case OVF_CDROM:
		return read_cdrom(record, item, error);
	case OVF_OTHER:
		return read_device(record, item, error);
	default:
		return true;
	}
}

static bool read_hardware(struct ovf *ovf, void *record, const xmlNode *content, GError **error)
{
	const xmlNode *section = section_of(content, "VirtualHardwareSection_Type");
	const struct field *memory = record_field(((const struct record *)record)->type, "memory");

	if (!section)
		return missing("VirtualHardwareSection", error);
	for XML_EACH(item, section, "Item")
		if (!read_item(ovf, record, item, error))
			return false;
	return record_has(record, memory->offset) || missing("memory (an Item with ResourceType 4)", error);
}

/* ---- the whole ---- */

/* What it is and whose: the VM or template with its id. NULL + error */
static void *make_object(struct ovf *ovf, const xmlNode *content, GError **error)
{
	const xmlNode *system = section_of(content, "OperatingSystemSection_Type");
	g_autofree char *id = system ? xml_get_any(system, "id") : NULL, *template = NULL, *os = NULL;
	void *record;

	if (!id || !*id) {
		(void)missing("OperatingSystemSection with an id", error);
		return NULL;
	}
	if (!only_text(content, "TemplateId", &template, error) || !only_text(system, "Description", &os, error))
		return NULL;
	if (template && !g_ascii_strcasecmp(template, id))
		record = ovf->template = record_new(&template_type);
	else
		record = ovf->vm = record_new(&vm_type);
	return put(record, "@id", id, "id of the OperatingSystemSection", error) && put(record, "os@type", os, "Description of the OperatingSystemSection", error) ?
		       record : NULL;
}

static bool read_envelope(struct ovf *ovf, const xmlNode *envelope, GError **error)
{
	xmlNode *content;
	void *record;

	if (strcmp((const char *)envelope->name, "Envelope")) {
		error_set(error, ERR_BAD_VALUE, "OVF: it is a <%.64s>, no <Envelope>", (const char *)envelope->name);
		return false;
	}
	if (!only(envelope, "Content", &content, error))
		return false;
	if (!content)
		return missing("Content", error);
	if (!(record = make_object(ovf, content, error)) || !read_fields(record, content, error))
		return false;
	if (!object_name(record))
		return missing("Name", error);
	return read_disks(ovf, envelope, error) && read_hardware(ovf, record, content, error);
}

struct ovf *ovf_read(const char *text, size_t length, GError **error)
{
	g_autoptr(xmlDoc) doc = NULL;
	struct ovf *ovf;

	if (length > OVF_BYTES_MAX) {
		error_set(error, ERR_TOO_LARGE, "OVF: longer than %d bytes", OVF_BYTES_MAX);
		return NULL;
	}
	if (!(doc = xml_parse(text, length, error))) {
		error_wrap(error, "OVF");
		return NULL;
	}
	ovf = g_new0(struct ovf, 1);
	ovf->disks = list_new();
	ovf->nics = list_new();
	return read_envelope(ovf, xmlDocGetRootElement(doc), error) ? ovf : ovf_free(ovf);
}
