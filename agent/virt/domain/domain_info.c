/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/domain/domain_info.h"

#include <stdlib.h>
#include <string.h>
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"

static void disk_free(void *data)
{
	struct domain_disk *disk = data;

	g_free(disk->target);
	g_free(disk->alias);
	g_free(disk->path);
	g_free(disk->domain_id);
	g_free(disk->image_id);
	g_free(disk->lun_guid);
	g_free(disk->serial);
	g_free(disk->guest_name);
	g_free(disk);
}

static void nic_free(void *data)
{
	struct domain_nic *nic = data;

	g_free(nic->target);
	g_free(nic->mac);
	g_free(nic->model);
	g_free(nic);
}

struct domain_info *domain_info_ref(struct domain_info *info)
{
	if (info)
		g_atomic_int_inc(&info->refs);
	return info;
}

void domain_info_unref(struct domain_info *info)
{
	if (!info || !g_atomic_int_dec_and_test(&info->refs))
		return;
	g_free(info->name);
	g_free(info->hash);
	g_ptr_array_unref(info->disks);
	g_ptr_array_unref(info->nics);
	g_ptr_array_unref(info->displays);
	record_unref(info->params);
	json_decref(info->custom);
	g_free(info->text);
	json_decref(info->io_tune);
	g_free(info);
}

/* Limits as texts, as vdsm has them; 0 is none. */
static void read_io_tune(struct domain_info *info, const struct domain_disk *disk, const xmlNode *iotune)
{
	json_t *limits = json_object();

	for (const xmlNode *node = iotune ? iotune->children : NULL; node; node = node->next) {
		g_autofree char *value = node->type == XML_ELEMENT_NODE ? xml_text(node) : NULL;

		if (value && strcmp(value, "0"))
			json_object_set_new(limits, (const char *)node->name, json_string(value));
	}
	if (json_object_size(limits)) {
		if (!info->io_tune)
			info->io_tune = json_array();
		json_array_append_new(info->io_tune, json_pack("{s:s, s:s, s:O}", "name", disk->target ? disk->target : "", "path",
							       disk->path ? disk->path : "", "ioTune", limits));
	}
	json_decref(limits);
}

static void read_disk(struct domain_info *info, const xmlNode *node, const xmlNode *metadata)
{
	struct domain_disk *disk = g_new0(struct domain_disk, 1);
	xmlNode *source = xml_child(node, "source");

	disk->target = xml_get(xml_child(node, "target"), "dev");
	disk->alias = xml_get(xml_child(node, "alias"), "name");
	disk->path = xml_get(source, "file");
	if (!disk->path)
		disk->path = xml_get(source, "dev");
	disk->removable = xml_is(node, "device", "cdrom") || xml_is(node, "device", "floppy");
	disk->serial = xml_text(xml_child(node, "serial"));
	if (disk->target) {
		const xmlNode *kept = vm_metadata_device(metadata, "name", disk->target);

		disk->domain_id = vm_metadata_get(kept, "domainID");
		disk->image_id = vm_metadata_get(kept, "imageID");
		disk->lun_guid = vm_metadata_get(kept, "GUID");
		disk->guest_name = vm_metadata_get(kept, "guestName");
	}
	read_io_tune(info, disk, xml_child(node, "iotune"));
	g_ptr_array_add(info->disks, disk);
}

static void read_nic(struct domain_info *info, const xmlNode *node)
{
	struct domain_nic *nic;

	if (xml_is(node, "type", "hostdev"))
		return;
	nic = g_new0(struct domain_nic, 1);
	nic->target = xml_get(xml_child(node, "target"), "dev");
	nic->mac = xml_get(xml_child(node, "mac"), "address");
	nic->model = xml_get(xml_child(node, "model"), "type");
	g_ptr_array_add(info->nics, nic);
}

static void read_display(struct domain_info *info, const xmlNode *node)
{
	struct vm_display *display = record_new(&vm_display_type);
	g_autofree char *port = xml_get(node, "port"), *tls = xml_get(node, "tlsPort");

	display->type = xml_get(node, "type");
	set_string(&display->port, port ? port : "-1");
	set_string(&display->tls_port, tls ? tls : "-1");
	display->ip_address = xml_get(xml_child(node, "listen"), "address");
	if (!display->ip_address)
		display->ip_address = xml_get(node, "listen");
	g_ptr_array_add(info->displays, display);
}

/* Of the devices, without what changes while they stay the same, and of what the guest calls its disks. Not salted: the same before and after a restart. */
static char *hash_of(xmlNode *devices, const GPtrArray *disks)
{
	g_autofree char *text = NULL;
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
	char *hash;

	for XML_EACH(channel, devices, "channel")
		xml_set(xml_child(channel, "target"), "state", NULL);
	for XML_EACH(graphics, devices, "graphics")
		xml_set(graphics, "passwdValidTo", NULL);
	text = xml_to_text(devices);
	g_checksum_update(sum, (const guchar *)text, -1);
	for (guint i = 0; i < disks->len; i++) {
		const struct domain_disk *disk = disks->pdata[i];

		if (disk->guest_name) {
			g_checksum_update(sum, (const guchar *)disk->target, -1);
			g_checksum_update(sum, (const guchar *)disk->guest_name, -1);
		}
	}
	hash = g_strndup(g_checksum_get_string(sum), 16);
	g_checksum_free(sum);
	return hash;
}

static int64_t number_of(const xmlNode *node)
{
	g_autofree char *text = xml_text(node);

	return text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

static int64_t kib_of(const xmlNode *node)
{
	static const struct { const char *name; int64_t kib; } units[] = { { "KiB", 1 }, { "MiB", 1024 }, { "GiB", 1 << 20 } };
	g_autofree char *text = xml_text(node), *unit = xml_get(node, "unit");
	int64_t value = text ? g_ascii_strtoll(text, NULL, 10) : 0;

	for (size_t i = 0; unit && i < G_N_ELEMENTS(units); i++)
		if (!strcmp(unit, units[i].name))
			return value * units[i].kib;
	return value;
}

static void read_all(struct domain_info *info, xmlNode *domain, const xmlNode *metadata)
{
	xmlNode *devices = xml_child(domain, "devices"), *vcpu = xml_child(domain, "vcpu");
	g_autofree char *cpus = xml_text(vcpu), *resume_behavior = NULL;

	info->name = xml_text(xml_child(domain, "name"));
	info->kvm = xml_is(domain, "type", "kvm");
	info->acpi = xml_find(domain, "features/acpi") != NULL;
	info->vcpus = (int)xml_get_number(vcpu, "current", cpus ? atoi(cpus) : 1);
	info->memory_kib = kib_of(xml_child(domain, "currentMemory"));
	info->max_memory_kib = kib_of(xml_child(domain, "memory"));
	info->vcpu_quota = number_of(xml_find(domain, "cputune/quota"));
	info->vcpu_period = number_of(xml_find(domain, "cputune/period"));
	info->vcpu_limit = (int)number_of(xml_find(domain, "metadata/qos/vcpuLimit"));
	for XML_EACH(disk, devices, "disk")
		read_disk(info, disk, metadata);
	for XML_EACH(nic, devices, "interface")
		read_nic(info, nic);
	for XML_EACH(graphics, devices, "graphics")
		read_display(info, graphics);
	for XML_EACH(channel, devices, "channel") {
		xmlNode *target = xml_child(channel, "target");

		if (xml_is(target, "name", AGENT_CHANNEL)) {
			info->agent_channel = true;
			info->agent_connected = xml_is(target, "state", "connected");
		}
	}
	info->balloon = xml_child(devices, "memballoon") && !xml_is(xml_child(devices, "memballoon"), "model", "none");
	info->external = xml_find(domain, "os/nvram") || xml_is(xml_find(devices, "tpm/backend"), "type", "emulator");
	info->start_time = vm_metadata_start_time(metadata);
	info->params = vm_metadata_params(metadata);
	info->custom = vm_metadata_custom(metadata);
	resume_behavior = vm_metadata_get(metadata, "resumeBehavior");
	info->kill_paused = !g_strcmp0(resume_behavior, "kill");
	info->leave_paused = !g_strcmp0(resume_behavior, "leave_paused");
	info->hash = hash_of(devices, info->disks);
}

struct domain_info *domain_info_read(const char *xml, bool *ret_ours, GError **error)
{
	g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), error);
	struct domain_info *info;
	xmlNode *root, *metadata;

	if (!doc)
		return NULL;
	root = xmlDocGetRootElement(doc);
	if (strcmp((const char *)root->name, "domain") || !xml_child(root, "devices")) {
		error_set(error, ERR_INVALID_PARAMETER, "not the XML of a domain");
		return NULL;
	}
	metadata = vm_metadata_of(root);
	info = g_new0(struct domain_info, 1);
	info->refs = 1;
	info->disks = g_ptr_array_new_with_free_func(disk_free);
	info->nics = g_ptr_array_new_with_free_func(nic_free);
	info->displays = list_new();
	read_all(info, root, metadata);
	if (ret_ours)
		*ret_ours = metadata != NULL;
	return info;
}

const struct domain_disk *domain_info_disk(const struct domain_info *info, const char *alias_or_path)
{
	for (guint i = 0; info && alias_or_path && i < info->disks->len; i++) {
		const struct domain_disk *disk = info->disks->pdata[i];

		if (!g_strcmp0(disk->alias, alias_or_path) || !g_strcmp0(disk->path, alias_or_path) || !g_strcmp0(disk->target, alias_or_path))
			return disk;
	}
	return NULL;
}

const struct domain_nic *domain_info_nic(const struct domain_info *info, const char *target)
{
	for (guint i = 0; info && i < info->nics->len; i++) {
		const struct domain_nic *nic = info->nics->pdata[i];

		if (!g_strcmp0(nic->target, target))
			return nic;
	}
	return NULL;
}
