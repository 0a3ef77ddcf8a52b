/* SPDX-License-Identifier: Apache-2.0 */
/* A VM or template as OVF text. See ovf.h. */
#include "engine/ovf/ovf.h"

#include <inttypes.h>
#include <string.h>

#include "common/xml.h"
#include "engine/model/cdrom.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/vnic_profile.h"
#include "engine/ovf/ovf-priv.h"

#define MIB (1024 * 1024)
#define GIB (INT64_C(1024) * MIB)
#define EPOCH "1970/01/01 00:00:00"
#define FORMAT_RAW "http://www.vmware.com/specifications/vmdk.html#sparse"
#define FORMAT_COW "http://www.gnome.org/~markmc/qcow-image-format.html"
#define USB_INSTANCE "3"

struct pen { struct model *model; const struct vm *vm; xmlDoc *doc; xmlNs *ovf, *rasd, *vssd, *xsi; int64_t now_msec; };

/* Without what XML cannot hold at all. g_free */
static char *clean(const char *text)
{
	GString *out = g_string_new(NULL);

	for (const char *p = text ? text : ""; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (c >= 0x20 ? c != 0xfffe && c != 0xffff : c == '\t' || c == '\n' || c == '\r')
			g_string_append_unichar(out, c);
	}
	return g_string_free(out, FALSE);
}

/* xml_add() would give the parent's namespace to the child. */
static xmlNode *add(const struct pen *pen, xmlNode *parent, xmlNs *ns, const char *name)
{
	return xmlAddChild(parent, xmlNewDocRawNode(pen->doc, ns, (const xmlChar *)name, NULL));
}

static void add_text(const struct pen *pen, xmlNode *parent, xmlNs *ns, const char *name, const char *text)
{
	g_autofree char *good = clean(text);

	(void)xmlAddChild(parent, xmlNewDocRawNode(pen->doc, ns, (const xmlChar *)name, (const xmlChar *)good));
}

static void set(xmlNode *node, xmlNs *ns, const char *name, const char *value)
{
	g_autofree char *good = clean(value);

	xmlSetNsProp(node, ns, (const xmlChar *)name, (const xmlChar *)good);
}

static void set_number(xmlNode *node, xmlNs *ns, const char *name, int64_t number)
{
	char text[24];

	g_snprintf(text, sizeof(text), "%" PRId64, number);
	set(node, ns, name, text);
}

static void add_number(const struct pen *pen, xmlNode *parent, xmlNs *ns, const char *name, int64_t number)
{
	char text[24];

	g_snprintf(text, sizeof(text), "%" PRId64, number);
	add_text(pen, parent, ns, name, text);
}

static const char *truth(bool is)
{
	return is ? "true" : "false";
}

static char *time_text(int64_t msec)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(msec / 1000);

	return time ? g_date_time_format(time, OVF_TIME_FORMAT) : g_strdup(EPOCH);
}

static xmlNode *add_section(const struct pen *pen, xmlNode *parent, const char *type, const char *info)
{
	xmlNode *section = add(pen, parent, NULL, "Section");

	set(section, pen->xsi, "type", type);
	add_text(pen, section, NULL, "Info", info);
	return section;
}

/* ---- what the items are about ---- */

static char *network_name(const struct pen *pen, const struct nic *nic)
{
	struct network *network = nic->network.id ? model_get(pen->model, &network_kind, nic->network.id) : NULL;
	char *name = g_strdup(network ? network->name : "");

	record_unref(network);
	return name;
}

static char *profile_name(const struct pen *pen, const struct nic *nic)
{
	struct vnic_profile *profile = nic->vnic_profile.id ? model_get(pen->model, &vnic_profile_kind, nic->vnic_profile.id) : NULL;
	char *name = g_strdup(profile ? profile->name : "");

	record_unref(profile);
	return name;
}

static char *file_of(const struct disk *disk)
{
	return g_strdup_printf("%s/%s", disk->id, disk->image_id);
}

/* ---- references, networks, disks ---- */

static void write_references(const struct pen *pen, xmlNode *envelope, const GPtrArray *disks, const GPtrArray *nics)
{
	xmlNode *references = add(pen, envelope, NULL, "References");

	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];
		g_autofree char *file = file_of(disk);
		xmlNode *node = add(pen, references, NULL, "File");

		set(node, pen->ovf, "href", file);
		set(node, pen->ovf, "id", disk->image_id);
		set_number(node, pen->ovf, "size", disk->size);
		set(node, pen->ovf, "description", OVF_ACTIVE_VM);
	}
	for (guint i = 0; i < nics->len; i++)
		set(add(pen, references, NULL, "Nic"), pen->ovf, "id", object_id(nics->pdata[i]));
}

static void write_networks(const struct pen *pen, xmlNode *envelope)
{
	/* the name is oVirt's label; which networks they are the NICs say */
	set(add(pen, add_section(pen, envelope, "ovf:NetworkSection_Type", "List of networks"), NULL, "Network"), pen->ovf, "name", "Network 1");
}

static int64_t whole_gib(int64_t bytes)
{
	return (bytes + GIB - 1) / GIB;
}

static void write_disks(const struct pen *pen, xmlNode *envelope, const GPtrArray *disks)
{
	xmlNode *section = add_section(pen, envelope, "ovf:DiskSection_Type", "List of Virtual Disks");

	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];
		g_autofree char *file = file_of(disk);
		xmlNode *node = add(pen, section, NULL, "Disk");

		set(node, pen->ovf, "diskId", disk->image_id);
		set_number(node, pen->ovf, "size", whole_gib(disk->size));
		set_number(node, pen->ovf, "actual_size", whole_gib(disk->actual_size));
		set(node, pen->ovf, "vm_snapshot_id", BLANK_ID);
		set(node, pen->ovf, "parentRef", "");
		set(node, pen->ovf, "fileRef", file);
		set(node, pen->ovf, "format", disk->format == DISK_COW ? FORMAT_COW : FORMAT_RAW);
		set(node, pen->ovf, "volume-format", disk->format == DISK_COW ? "COW" : "RAW");
		set(node, pen->ovf, "volume-type", disk->sparse ? "Sparse" : "Preallocated");
		set(node, pen->ovf, "disk-interface", ovf_code_of(ovf_disk_interfaces, disk_interface_names[disk->interface]));
		set(node, pen->ovf, "boot", truth(disk->bootable));
		set(node, pen->ovf, "disk-alias", disk->name);
		if (disk->description)
			set(node, pen->ovf, "disk-description", disk->description);
		set(node, pen->ovf, "wipe-after-delete", truth(disk->wipe_after_delete));
	}
}

/* ---- content ---- */

static const char *boot_order(const struct vm *vm)
{
	static const char letters[] = { [BOOT_HD] = 'c', [BOOT_CDROM] = 'd', [BOOT_NETWORK] = 'n' };
	char order[4] = "";
	guint n = vm->boot ? MIN(vm->boot->len, sizeof(order) - 1) : 0;

	for (guint i = 0; i < n; i++)
		order[i] = letters[((const struct boot_item *)vm->boot->pdata[i])->dev];
	for (size_t i = 0; i < n_ovf_boot_orders; i++)
		if (!strcmp(ovf_boot_orders[i], order)) {
			static const char *const digits[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14" };

			return digits[i];
		}
	return "0";
}

/* "name=value;name=value"; values with a ';' cannot be told apart there and are left out. g_free; NULL: none */
static char *properties(const struct vm *vm)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; vm->custom_properties && i < vm->custom_properties->len; i++) {
		const struct option_item *item = vm->custom_properties->pdata[i];

		if (item->name && !strpbrk(item->name, "=;") && !strchr(item->value ? item->value : "", ';'))
			g_string_append_printf(text, "%s%s=%s", text->len ? ";" : "", item->name, item->value ? item->value : "");
	}
	return g_string_free(text, !text->len);
}

static char *sso(const struct vm *vm)
{
	const struct sso_method *method = vm->sso_methods && vm->sso_methods->len ? vm->sso_methods->pdata[0] : NULL;

	return g_ascii_strdown(method && method->id ? method->id : "none", -1);
}

/* What the writer knows beside the VM. g_free; NULL: nothing */
static char *known(const struct pen *pen, const char *element)
{
	struct template *template = pen->vm->template.id ? model_get(pen->model, &template_kind, pen->vm->template.id) : NULL;
	char *text = !strcmp(element, "ExportDate") ? time_text(pen->now_msec) :
		     g_str_has_suffix(element, "Id") ? g_strdup(template ? template->id : BLANK_ID) : g_strdup(template ? template->name : "Blank");

	record_unref(template);
	return text;
}

/* Text of a member in its outside form; g_free; NULL: it is not written */
static char *text_of(const struct pen *pen, const struct ovf_field *row)
{
	const struct field *field = row->path ? record_field(&vm_type, row->path) : NULL;
	g_autofree char *text = NULL;

	switch (row->form) {
	case OVF_FIXED:
		return g_strdup(row->path);
	case OVF_WRITER:
		return known(pen, row->element);
	case OVF_BOOT:
		return g_strdup(boot_order(pen->vm));
	case OVF_SSO:
		return sso(pen->vm);
	case OVF_PROPERTIES:
		return properties(pen->vm);
	default:
		break;
	}
	if (!field || !record_has(pen->vm, field->offset))
		return NULL;
	if (row->form == OVF_TIME)
		return time_text(*(const int64_t *)(const void *)((const char *)pen->vm + field->offset));
	if (row->form == OVF_MIB)
		return g_strdup_printf("%" PRId64, *(const int64_t *)(const void *)((const char *)pen->vm + field->offset) / MIB);
	text = record_text(pen->vm, field);
	return row->form == OVF_CODE ? g_strdup(ovf_code_of(row->codes, text)) : g_steal_pointer(&text);
}

static bool is_older_spelling(const struct ovf_field *row)
{
	return !strcmp(row->element, "default_display_type");
}

static void write_fields(const struct pen *pen, xmlNode *content)
{
	for (size_t i = 0; i < n_ovf_fields; i++) {
		g_autofree char *text = is_older_spelling(&ovf_fields[i]) ? NULL : text_of(pen, &ovf_fields[i]);

		if (text)
			add_text(pen, content, NULL, ovf_fields[i].element, text);
	}
}

static xmlNode *add_item(const struct pen *pen, xmlNode *section, const char *caption, const char *description, const char *instance, enum ovf_resource type)
{
	xmlNode *item = add(pen, section, NULL, "Item");

	add_text(pen, item, pen->rasd, "Caption", caption);
	if (description)
		add_text(pen, item, pen->rasd, "Description", description);
	add_text(pen, item, pen->rasd, "InstanceId", instance);
	add_number(pen, item, pen->rasd, "ResourceType", type);
	return item;
}

/* The part that describes a device; read only: a disc, a picture */
static void add_device(const struct pen *pen, xmlNode *item, const char *type, const char *device, int boot_order, bool plugged, bool read_only)
{
	add_text(pen, item, NULL, "Type", type);
	add_text(pen, item, NULL, "Device", device);
	add_text(pen, item, pen->rasd, "Address", "");
	add_number(pen, item, NULL, "BootOrder", boot_order);
	add_text(pen, item, NULL, "IsPlugged", truth(plugged));
	add_text(pen, item, NULL, "IsReadOnly", truth(read_only));
	add_text(pen, item, NULL, "Alias", "");
}

static void add_other(const struct pen *pen, xmlNode *section, const char *type, const char *device, xmlNode **ret_item)
{
	g_autofree char *id = g_uuid_string_random();

	*ret_item = add(pen, section, NULL, "Item");
	add_number(pen, *ret_item, pen->rasd, "ResourceType", OVF_OTHER);
	add_text(pen, *ret_item, pen->rasd, "InstanceId", id);
	add_device(pen, *ret_item, type, device, 0, true, false);
}

static void write_disk_items(const struct pen *pen, xmlNode *section, const GPtrArray *disks)
{
	struct cluster *cluster = pen->vm->cluster.id ? model_get(pen->model, &cluster_kind, pen->vm->cluster.id) : NULL;

	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];
		g_autofree char *file = file_of(disk), *now = time_text(pen->now_msec);
		xmlNode *item = add_item(pen, section, disk->name, NULL, disk->image_id, OVF_DISK);

		add_text(pen, item, pen->rasd, "HostResource", file);
		add_text(pen, item, pen->rasd, "Parent", BLANK_ID);
		add_text(pen, item, pen->rasd, "Template", BLANK_ID);
		add_text(pen, item, pen->rasd, "ApplicationList", "");
		add_text(pen, item, pen->rasd, "StoragePoolId", cluster && cluster->data_center.id ? cluster->data_center.id : BLANK_ID);
		add_text(pen, item, pen->rasd, "CreationDate", now);
		add_text(pen, item, pen->rasd, "LastModified", EPOCH);
		add_text(pen, item, pen->rasd, "last_modified_date", now);
		add_device(pen, item, "disk", "disk", disk->bootable ? 1 : 0, disk->active, disk->read_only);
	}
	record_unref(cluster);
}

static void write_nic_items(const struct pen *pen, xmlNode *section, const GPtrArray *nics)
{
	for (guint i = 0; i < nics->len; i++) {
		const struct nic *nic = nics->pdata[i];
		g_autofree char *network = network_name(pen, nic), *profile = profile_name(pen, nic);
		g_autofree char *caption = g_strdup_printf("Ethernet adapter on %s", *network ? network : "[No Network]");
		xmlNode *item = add_item(pen, section, caption, NULL, nic->id, OVF_NIC);

		add_text(pen, item, pen->rasd, "OtherResourceType", profile);
		add_text(pen, item, pen->rasd, "ResourceSubType", ovf_code_of(ovf_nic_models, nic_interface_names[nic->interface]));
		add_text(pen, item, pen->rasd, "Connection", network);
		add_text(pen, item, pen->rasd, "Linked", truth(nic->linked));
		add_text(pen, item, pen->rasd, "Name", nic->name);
		add_text(pen, item, pen->rasd, "MACAddress", nic->mac);
		add_number(pen, item, pen->rasd, "speed", nic->interface == NIC_RTL8139 ? 100 : 1000);
		add_device(pen, item, "interface", "bridge", 0, nic->plugged, false);
	}
}

static void write_other_items(const struct pen *pen, xmlNode *section)
{
	const struct vm *vm = pen->vm;
	const struct cdrom *cdrom = vm->cdroms && vm->cdroms->len ? vm->cdroms->pdata[0] : NULL;
	xmlNode *item = add_item(pen, section, "USB Controller", NULL, USB_INSTANCE, OVF_USB);

	add_text(pen, item, pen->rasd, "UsbPolicy", ovf_code_of(ovf_usb_policies, vm->usb_enabled ? usb_policy_names[vm->usb_type] : "disabled"));
	if (vm->display_monitors > 1 || vm->display_single_qxl_pci) {
		g_autofree char *id = g_uuid_string_random();

		item = add_item(pen, section, "Graphical Controller", NULL, id, OVF_VIDEO);
		add_number(pen, item, pen->rasd, "VirtualQuantity", vm->display_monitors);
		add_text(pen, item, pen->rasd, "SinglePciQxl", truth(vm->display_single_qxl_pci));
		add_device(pen, item, "video", vm->display_type == DISPLAY_SPICE ? "qxl" : "cirrus", 0, true, true);
	}
	if (cdrom && cdrom->file && *cdrom->file) {
		g_autofree char *id = g_uuid_string_random();

		item = add_item(pen, section, "CDROM", NULL, id, OVF_CDROM);
		add_device(pen, item, "disk", "cdrom", 0, true, true);
		add_text(pen, add(pen, item, NULL, "SpecParams"), NULL, "path", cdrom->file);
	}
	if (vm->console_enabled)
		add_other(pen, section, "console", "console", &item);
	if (vm->soundcard_enabled)
		add_other(pen, section, "sound", "ich6", &item);
	if (vm->rng_source) {
		xmlNode *params;

		add_other(pen, section, "rng", "virtio", &item);
		params = add(pen, item, NULL, "SpecParams");
		add_text(pen, params, NULL, "source", vm->rng_source);
		if (HAS(vm, rng_bytes))
			add_number(pen, params, NULL, "bytes", vm->rng_bytes);
		if (HAS(vm, rng_period))
			add_number(pen, params, NULL, "period", vm->rng_period);
	}
}

static void write_hardware(const struct pen *pen, xmlNode *content, const GPtrArray *disks, const GPtrArray *nics)
{
	const struct vm *vm = pen->vm;
	int sockets = MAX(vm->sockets, 1), cores = MAX(vm->cores, 1), threads = MAX(vm->threads, 1);
	int64_t memory = vm->memory / MIB;
	g_autofree char *info = g_strdup_printf("%d CPU, %" PRId64 " Memeory", sockets * cores * threads, memory);      /* sic: oVirt's spelling */
	g_autofree char *cpus = g_strdup_printf("%d virtual cpu", sockets * cores * threads), *mib = g_strdup_printf("%" PRId64 " MB of memory", memory);
	xmlNode *section = add_section(pen, content, "ovf:VirtualHardwareSection_Type", info), *item;

	add_text(pen, add(pen, section, NULL, "System"), pen->vssd, "VirtualSystemType", "ENGINE 3.6.0.0");
	item = add_item(pen, section, cpus, "Number of virtual CPU", "1", OVF_CPU);
	add_number(pen, item, pen->rasd, "num_of_sockets", sockets);
	add_number(pen, item, pen->rasd, "cpu_per_socket", cores);
	if (threads > 1)
		add_number(pen, item, pen->rasd, "threads_per_cpu", threads);
	item = add_item(pen, section, mib, "Memory Size", "2", OVF_MEMORY);
	add_text(pen, item, pen->rasd, "AllocationUnits", "MegaBytes");
	add_number(pen, item, pen->rasd, "VirtualQuantity", memory);
	write_disk_items(pen, section, disks);
	write_nic_items(pen, section, nics);
	write_other_items(pen, section);
}

static void write_content(const struct pen *pen, xmlNode *envelope, const GPtrArray *disks, const GPtrArray *nics)
{
	xmlNode *content = add(pen, envelope, NULL, "Content"), *system;

	set(content, pen->ovf, "id", "out");
	set(content, pen->xsi, "type", "ovf:VirtualSystem_Type");
	write_fields(pen, content);
	system = add_section(pen, content, "ovf:OperatingSystemSection_Type", "Guest Operating System");
	set(system, pen->ovf, "id", pen->vm->id);
	set(system, pen->ovf, "required", "false");
	add_text(pen, system, NULL, "Description", pen->vm->os_type ? pen->vm->os_type : "other");
	write_hardware(pen, content, disks, nics);
}

static char *write_vm(struct model *model, const struct vm *vm, const GPtrArray *disks, const GPtrArray *nics, int64_t now_msec)
{
	g_autoptr(xmlDoc) doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *envelope = xmlNewDocNode(doc, NULL, (const xmlChar *)"Envelope", NULL);
	struct pen pen = { .model = model, .vm = vm, .doc = doc, .now_msec = now_msec };
	g_autofree char *text = NULL;

	xmlDocSetRootElement(doc, envelope);
	pen.ovf = xmlNewNs(envelope, (const xmlChar *)OVF_NS, (const xmlChar *)"ovf");
	pen.rasd = xmlNewNs(envelope, (const xmlChar *)RASD_NS, (const xmlChar *)"rasd");
	pen.vssd = xmlNewNs(envelope, (const xmlChar *)VSSD_NS, (const xmlChar *)"vssd");
	pen.xsi = xmlNewNs(envelope, (const xmlChar *)XSI_NS, (const xmlChar *)"xsi");
	xmlSetNs(envelope, pen.ovf);
	set(envelope, pen.ovf, "version", "3.6.0.0");
	write_references(&pen, envelope, disks, nics);
	write_networks(&pen, envelope);
	write_disks(&pen, envelope, disks);
	write_content(&pen, envelope, disks, nics);
	text = xml_to_text(envelope);
	return g_strconcat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", text, NULL);
}

/* A template is written as a VM that is made from itself: that is how it is told apart. */
char *ovf_write(struct model *model, const void *object, const GPtrArray *disks, int64_t now_msec)
{
	bool is_template = kind_of(object) == &template_kind;
	struct vm *vm = is_template ? template_as_vm(object) : record_ref(object);
	g_autoptr(GPtrArray) nics = is_template ? template_nics(model, vm->id) : model_children(model, &nic_kind, vm->id);
	char *text = write_vm(model, vm, disks, nics, now_msec);

	record_unref(vm);
	return text;
}
