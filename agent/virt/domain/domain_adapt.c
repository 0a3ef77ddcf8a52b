/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A domain that the engine wrote for some host of its cluster, fitted to this one. Everything that is not named here stays as it came.
 *
 * - accelerator: kvm or qemu by what is wanted and what this host can; under TCG host CPUs become `maximum`, Hyper-V and KVM features and clocks go
 * - machine types and firmware of another distribution become this one's; the UEFI variables are a file of ours
 * - memtune/min_guarantee, which QEMU does not have, becomes minGuaranteedMemoryMb of the metadata
 * - SMBIOS: OS-NAME:, OS-VERSION: and HOST-SERIAL: become this host's
 * - disks: the metadata's domainID, imageID, volumeID are looked up in this host's storage; PAYLOAD: becomes an image of the metadata's files, whose
 *   contents are taken out of the metadata (they may be passwords); other files must exist
 * - leases: libvirt must hold them; LEASE-PATH: and LEASE-OFFSET: of a disk's volume become those of its lease, or of the VM's own
 * - NICs: the network (metadata, else the bridge's name) becomes the bridge, or for direct ones the link, it has here; vhost only where there is vhost; filters must be there
 * - host devices must be there; libvirt takes them from the host and gives them back; mediated ones (metadata: mdevType) are made
 * - consoles: masked passwords become unknown, expired ones; networks to listen on, which libvirt does not know, become an address; secure
 *   SPICE channels become any, since no TLS is set up for consoles; sockets of serial consoles are in a directory of ours
 * - TPM: its state outlives the domain
 * - the guest agent's channel is added, sockets of channels are libvirt's business
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/virt/device/device.h"
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"

#define PAYLOAD_MARK "PAYLOAD:"
#define DUMMY_BRIDGE ";vdsmdummy;"
#define NETWORK_PREFIX "vdsm-"                  /* of the libvirt networks that vdsm makes */

struct fit {
	const struct vm_params *params;
	const struct domain_xml_env *env;
	xmlNode *metadata;
};

/* ---- the machine ---- */

static void remove_children(xmlNode *parent, const char *name)
{
	while (xml_child(parent, name))
		xml_remove(xml_child(parent, name));
}

/* TCG has no host CPU and nothing of what KVM and Hyper-V offer. */
static void fit_tcg(xmlNode *domain)
{
	xmlNode *cpu = xml_child(domain, "cpu"), *features = xml_child(domain, "features"), *timer, *next;

	if (xml_is(cpu, "mode", "host-passthrough") || xml_is(cpu, "mode", "host-model")) {
		xml_set(cpu, "mode", "maximum");
		xml_set(cpu, "match", NULL);
		xml_set(cpu, "check", NULL);
		xml_set(cpu, "migratable", NULL);
		remove_children(cpu, "model");
		remove_children(cpu, "cache");
		remove_children(cpu, "feature");
	}
	remove_children(features, "hyperv");
	remove_children(features, "kvm");
	for (timer = xml_find(domain, "clock/timer"); timer; timer = next) {
		next = xml_next(timer, "timer");
		if (xml_is(timer, "name", "kvmclock") || xml_is(timer, "name", "hypervclock"))
			xml_remove(timer);
	}
}

static bool fit_os(xmlNode *domain, const struct domain_xml_env *env, GError **error)
{
	xmlNode *os = xml_child(domain, "os"), *type = xml_child(os, "type"), *loader = xml_child(os, "loader"), *emulator = xml_find(domain, "devices/emulator");
	g_autofree char *machine = xml_get(type, "machine"), *kernel = xml_text(xml_child(os, "kernel")), *initrd = xml_text(xml_child(os, "initrd"));
	g_autofree char *program = xml_text(emulator);
	bool secure = xml_is(loader, "secure", "yes");

	if (machine)
		xml_set(type, "machine", domain_xml_machine(machine));
	if (program && access(program, X_OK) < 0)
		xml_remove(emulator);
	for XML_EACH(feature, xml_child(os, "firmware"), "feature")
		secure |= xml_is(feature, "name", "secure-boot") && xml_is(feature, "enabled", "yes");
	if ((xml_is(os, "firmware", "efi") || xml_is(loader, "type", "pflash")) && !domain_xml_firmware(os, secure, env, error))
		return false;
	return (!kernel || domain_xml_check_file(kernel, "kernel", NULL, error)) && (!initrd || domain_xml_check_file(initrd, "initrd", NULL, error));
}

static void fit_memory(xmlNode *domain, xmlNode *metadata)
{
	xmlNode *guarantee = xml_find(domain, "memtune/min_guarantee");
	g_autofree char *kib = xml_text(guarantee), *mib = NULL, *known = vm_metadata_get(metadata, "minGuaranteedMemoryMb");

	if (!guarantee)
		return;
	mib = g_strdup_printf("%" G_GINT64_FORMAT, kib ? g_ascii_strtoll(kib, NULL, 10) / 1024 : 0);
	if (!known)
		vm_metadata_set(metadata, "minGuaranteedMemoryMb", "int", mib);
	remove_children(xml_child(domain, "memtune"), "min_guarantee");
}

/* What only the host knows of itself. */
static void fit_sysinfo(xmlNode *domain, const struct domain_xml_env *env)
{
	static const char *const marks[] = { "OS-NAME:", "OS-VERSION:", "HOST-SERIAL:" };
	const char *const values[] = { env->os_name, env->os_version, env->host_uuid };

	for XML_EACH(entry, xml_find(domain, "sysinfo/system"), "entry") {
		g_autofree char *text = xml_text(entry);

		for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
			if (text && g_str_has_prefix(text, marks[i]))
				xmlNodeSetContent(entry, (const xmlChar *)(values[i] ? values[i] : ""));
	}
}

/* ---- disks ---- */

/* The files, taken out of the metadata. */
static json_t *take_files(xmlNode *payload)
{
	json_t *files = json_object();

	for XML_EACH(file, payload, "file") {
		g_autofree char *path = xml_get(file, "path"), *content = xml_text(file);

		if (path)
			json_object_set_new(files, path, json_string(content ? content : ""));
	}
	remove_children(payload, "file");
	return files;
}

static bool fit_payload(xmlNode *disk, xmlNode *source, const char *target, xmlNode *device, const struct fit *fit, GError **error)
{
	xmlNode *payload = xml_child(device, "payload");
	g_autofree char *label = NULL, *path = NULL;
	json_t *files;

	if (!payload)
		payload = xml_find(device, "specParams/vmPayload");
	if (!payload) {
		error_set(error, ERR_INVALID_PARAMETER, "xml: disk %s has '" PAYLOAD_MARK "', but the metadata have no payload for it", target);
		return false;
	}
	label = vm_metadata_get(payload, "volId");
	files = take_files(payload);
	path = domain_xml_payload(target, xml_is(disk, "device", "floppy"), label, files, fit->env, error);
	json_decref(files);
	xml_set(source, "file", path);
	return path != NULL;
}

/* Of the metadata's ids; *ret_path stays NULL when there are none. */
static bool look_up_volume(const xmlNode *device, const struct domain_xml_env *env, char **ret_path, const char **ret_format, GError **error)
{
	static const char *const ids[] = { "domainID", "imageID", "volumeID", "poolID" };
	json_t *drive = json_object();
	bool good;

	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
		g_autofree char *id = vm_metadata_get(device, ids[i]);

		if (id)
			json_object_set_new(drive, ids[i], json_string(id));
	}
	good = json_object_size(drive) < 3 || !json_object_get(drive, "volumeID") || domain_xml_prepare(env, drive, ret_path, ret_format, error);
	json_decref(drive);
	return good;
}

static bool fit_disk(xmlNode *disk, const struct fit *fit, GError **error)
{
	xmlNode *source = xml_child(disk, "source"), *driver = xml_child(disk, "driver"), *device;
	g_autofree char *target = xml_get(xml_child(disk, "target"), "dev"), *file = xml_get(source, "file"), *dev = xml_get(source, "dev"), *path = NULL;
	const char *format = NULL, *given = file ? file : dev;
	bool block = false;

	device = target ? vm_metadata_device(fit->metadata, "name", target) : NULL;
	if (file && g_str_has_prefix(file, PAYLOAD_MARK))
		return fit_payload(disk, source, target ? target : "", device, fit, error);
	if (!look_up_volume(device, fit->env, &path, &format, error))
		return false;
	if (path)
		given = path;
	if (xml_is(disk, "type", "network") || !given || !*given)
		return true;
	if (!domain_xml_check_file(given, "disk image", &block, error))
		return false;
	if (!path)
		return true;
	if (!source)
		source = xml_add(disk, "source");
	xml_set(disk, "type", block ? "block" : "file");
	xml_set(source, "file", block ? NULL : path);
	xml_set(source, "dev", block ? path : NULL);
	if (!driver)
		driver = xml_add_with(disk, "driver", "name", "qemu", NULL);
	xml_set(driver, "type", format);
	if (!block && xml_is(driver, "io", "native") && !xml_is(driver, "cache", "none"))
		xml_set(driver, "io", "threads");
	return true;
}

/* That of a disk's volume, else one of its own name (the VM's): storage knows where. */
static bool fit_lease(xmlNode *lease, const struct fit *fit, GError **error)
{
	xmlNode *target = xml_child(lease, "target");
	g_autofree char *key = xml_text(xml_child(lease, "key")), *space = xml_text(xml_child(lease, "lockspace")), *path = xml_get(target, "path");
	g_autofree char *image = NULL, *found = NULL, *offset_text = NULL;
	int64_t offset;

	if (!fit->env->holds_leases(fit->env->data, error))
		return false;
	if (!path || !g_str_has_prefix(path, "LEASE-PATH:"))
		return true;
	if (!key || !space || !fit->env->lease) {
		error_set(error, ERR_INVALID_PARAMETER, "xml: lease '%s' of domain '%s' is no lease of this host's storage", key ? key : "", space ? space : "");
		return false;
	}
	for XML_EACH(device, fit->metadata, "device") {
		g_autofree char *volume = vm_metadata_get(device, "volumeID"), *domain = vm_metadata_get(device, "domainID");

		if (!image && !g_strcmp0(volume, key) && !g_strcmp0(domain, space))
			image = vm_metadata_get(device, "imageID");
	}
	if (!fit->env->lease(fit->env->data, space, image, key, &found, &offset, error))
		return false;
	offset_text = g_strdup_printf("%" G_GINT64_FORMAT, offset);
	xml_set(target, "path", found);
	xml_set(target, "offset", offset_text);
	return true;
}

/* ---- NICs, host devices ---- */

static int hex(const xmlNode *address, const char *attribute)
{
	g_autofree char *text = xml_get(address, attribute);

	return text ? (int)strtol(text, NULL, 0) : 0;
}

static bool fit_pci(xmlNode *hostdev, const struct domain_xml_env *env, GError **error)
{
	const xmlNode *address = xml_find(hostdev, "source/address");
	g_autofree char *name = g_strdup_printf("pci_%04x_%02x_%02x_%x", hex(address, "domain"), hex(address, "bus"), hex(address, "slot"), hex(address, "function"));
	g_autofree char *xml = env->node_device(env->data, name, error);

	if (!xml)
		return false;
	if (!strstr(xml, "<iommuGroup")) {
		error_set(error, ERR_HOSTDEV_DETACH_FAILED, "host device '%s': this host has no IOMMU, or it is off", name);
		return false;
	}
	xml_set(hostdev, "managed", "yes");
	return true;
}

/* This host may not have all networks: what is missing is told when the VM runs. */
static void expect_mirroring(const char *mac, const xmlNode *kept, const struct domain_xml_env *env)
{
	g_autoptr(GPtrArray) networks = vm_metadata_mirroring(kept);

	if (!networks || !env->mirror)
		return;
	g_ptr_array_add(networks, NULL);
	(void)env->mirror(env->data, mac, (const char *const *)networks->pdata, NULL);
}

static bool fit_nic(xmlNode *nic, const struct fit *fit, GError **error)
{
	xmlNode *source = xml_child(nic, "source"), *driver = xml_child(nic, "driver");
	g_autofree char *mac = xml_get(xml_child(nic, "mac"), "address"), *bridge = xml_get(source, "bridge"), *network = NULL, *found = NULL, *real = NULL;
	g_autofree char *filter = xml_get(xml_child(nic, "filterref"), "filter");
	const struct domain_xml_env *env = fit->env;
	const xmlNode *kept = mac ? vm_metadata_device(fit->metadata, "mac_address", mac) : NULL;
	g_autoptr(GError) cause = NULL;
	json_t *policies;
	bool good, has_policies;
	int tag = -1;

	if ((!mac || !*mac) && env->mac) {
		g_free(mac);
		mac = env->mac(env->data);
		xml_remove(xml_child(nic, "mac"));
		xml_add_with(nic, "mac", "address", mac, NULL);
	}
	if (xml_is(nic, "type", "hostdev"))
		return fit_pci(nic, env, error);
	if (filter && !env->filter(env->data, filter, error))
		return false;
	if (!vm_metadata_policies(kept, &policies, error))
		return false;
	good = device_policies(nic, mac, policies, env, error);
	has_policies = json_object_size(policies) > 0;
	json_decref(policies);
	if (!good)
		return false;
	expect_mirroring(mac, kept, env);
	if (xml_is(driver, "name", "vhost") && access("/dev/vhost-net", R_OK | W_OK) < 0)
		xml_set(driver, "name", "qemu");
	network = vm_metadata_get(kept, "network");
	if (network && xml_is(nic, "type", "direct")) {
		found = env->link(env->data, network, error);
		xml_set(source, "dev", found);
		return found != NULL;
	}
	if (!bridge || !xml_is(nic, "type", "bridge"))
		return true;
	if ((network ? !*network : false) || !strcmp(bridge, DUMMY_BRIDGE)) {
		xml_remove(source);
		xml_set(nic, "type", "ethernet");
		remove_children(nic, "link");
		xml_add_with(nic, "link", "state", "down", NULL);
		return true;
	}
	found = env->bridge(env->data, network ? network : bridge, &tag, &cause);
	if (!found) {
		real = g_strdup_printf("/sys/class/net/%s/bridge", bridge);
		if (strchr(bridge, '/') || access(real, F_OK) < 0) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
		return true;
	}
	if (tag >= 0 && (filter || xml_is(xml_child(nic, "target"), "managed", "no") || has_policies)) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "%s: NIC '%s' is in network '%s', which has switch 'ovs' on this host",
			  filter ? "filter" : has_policies ? "policies" : "end point", mac ? mac : "", network ? network : bridge);
		return false;
	}
	device_plug(nic, found, tag);
	return true;
}

static bool fit_hostdev(xmlNode *hostdev, const struct fit *fit, GError **error)
{
	const xmlNode *address = xml_find(hostdev, "source/address");
	g_autofree char *uuid = xml_get(address, "uuid"), *type = NULL;
	struct domain_order *order;

	if (xml_is(hostdev, "type", "pci"))
		return fit_pci(hostdev, fit->env, error);
	if (xml_is(hostdev, "type", "usb")) {
		xml_set(hostdev, "managed", "yes");
		return !address || fit->env->usb_device(fit->env->data, (unsigned)hex(address, "bus"), (unsigned)hex(address, "device"), error);
	}
	if (!xml_is(hostdev, "type", "mdev") || !uuid)
		return true;
	type = vm_metadata_get(vm_metadata_device(fit->metadata, "uuid", uuid), "mdevType");
	if (!type || !fit->env->orders)
		return true;            /* one that is there already */
	order = g_new0(struct domain_order, 1);
	order->kind = ORDER_MDEV;
	order->mdev_type = g_steal_pointer(&type);
	order->mdev_uuid = g_steal_pointer(&uuid);
	g_ptr_array_add(fit->env->orders, order);
	return true;
}

/* ---- consoles and the rest ---- */

static bool fit_graphics(xmlNode *graphics, const struct fit *fit, GError **error)
{
	g_autofree char *password = xml_get(graphics, "passwd"), *mode = xml_get(graphics, "defaultMode"), *network = NULL, *address = NULL;
	const struct domain_xml_env *env = fit->env;
	xmlNode *listen = xml_child(graphics, "listen");

	if (fit->params->ticket && *fit->params->ticket)
		domain_xml_ticket(graphics, fit->params->ticket, fit->params->ticket_ttl, env);
	else if (!password || !strcmp(password, "*****"))
		domain_xml_ticket(graphics, NULL, 0, env);
	if (xml_is(listen, "type", "network")) {
		network = xml_get(listen, "network");
		if (network)
			address = env->address(env->data, g_str_has_prefix(network, NETWORK_PREFIX) ? network + strlen(NETWORK_PREFIX) : network);
		xml_set(listen, "type", "address");
		xml_set(listen, "network", NULL);
		xml_set(listen, "address", address ? address : env->display_address);
		xml_set(graphics, "listen", NULL);
	}
	xml_set(graphics, "tlsPort", NULL);
	if (mode && !strcmp(mode, "secure"))
		xml_set(graphics, "defaultMode", "any");
	for XML_EACH(channel, graphics, "channel")
		if (xml_is(channel, "mode", "secure"))
			xml_set(channel, "mode", "any");
	return true;
}

static bool fit_channel(xmlNode *channel, const struct fit *fit, GError **error)
{
	if (xml_is(channel, "type", "unix"))
		remove_children(channel, "source");
	return true;
}

static bool fit_console(xmlNode *console, const struct fit *fit, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/%s.sock", fit->env->files_dir, fit->env->vm_id);

	if (xml_is(console, "type", "unix"))
		xml_set(xml_child(console, "source"), "path", path);
	return true;
}

static bool fit_rng(xmlNode *rng, const struct fit *fit, GError **error)
{
	g_autofree char *path = xml_text(xml_child(rng, "backend"));

	return !xml_is(xml_child(rng, "backend"), "model", "random") || domain_xml_check_file(path, "source of random numbers", NULL, error);
}

static bool fit_tpm(xmlNode *tpm, const struct fit *fit, GError **error)
{
	if (xml_is(xml_child(tpm, "backend"), "type", "emulator"))
		xml_set(xml_child(tpm, "backend"), "persistent_state", "yes");
	return true;
}

static const struct { const char *element; bool (*fit)(xmlNode *device, const struct fit *fit, GError **error); } rules[] = {
	{ "disk", fit_disk }, { "lease", fit_lease }, { "interface", fit_nic }, { "hostdev", fit_hostdev }, { "graphics", fit_graphics },
	{ "channel", fit_channel }, { "console", fit_console }, { "serial", fit_console }, { "rng", fit_rng }, { "tpm", fit_tpm },
};

bool domain_xml_fit(xmlNode *device, xmlNode *metadata, const struct vm_params *params, const struct domain_xml_env *env, GError **error)
{
	struct fit fit = { .params = params, .env = env, .metadata = metadata };

	for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
		if (!strcmp((const char *)device->name, rules[i].element))
			return rules[i].fit(device, &fit, error);
	return true;
}

bool domain_xml_adapt(xmlNode *domain, const struct vm_params *params, const struct domain_xml_env *env, GError **error)
{
	xmlNode *devices = xml_child(domain, "devices"), *metadata = vm_metadata_of(domain);
	const char *type = domain_xml_accelerator(params, env, error);

	if (!type)
		return false;
	if (!devices) {
		error_set(error, ERR_INVALID_PARAMETER, "xml: the domain has no devices");
		return false;
	}
	xml_set(domain, "type", type);
	if (strcmp(type, "kvm"))
		fit_tcg(domain);
	domain_xml_generation(domain, params, env);
	fit_memory(domain, metadata);
	fit_sysinfo(domain, env);
	if (!fit_os(domain, env, error))
		return false;
	for XML_EACH(device, devices, NULL)
		if (!domain_xml_fit(device, metadata, params, env, error))
			return false;
	if (params->agent_channel)
		domain_xml_agent_channel(devices);
	return true;
}
