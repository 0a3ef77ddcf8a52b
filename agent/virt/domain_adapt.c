/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A domain that the engine wrote for some host of its cluster, fitted to this one. Everything that is not named here stays as it came.
 *
 * - accelerator: kvm or qemu by what this host can; under TCG host CPUs become `maximum`, Hyper-V and KVM features and clocks go
 * - machine types of a distribution that is not this one (pc-q35-rhel8.6.0) become the plain q35 or pc
 * - disks: the metadata's domainID, imageID, volumeID are looked up in this host's storage; other files must exist
 * - NICs: the network (metadata, else the bridge's name) becomes the bridge it has here; vhost only where there is vhost
 * - consoles: masked passwords become unknown, expired ones; networks to listen on, which libvirt does not know, become our address; secure
 *   SPICE channels become any, since no TLS is set up for consoles
 * - the guest agent's channel is added, sockets of channels are libvirt's business
 */
#include <string.h>
#include <unistd.h>
#include "agent/virt/domain_xml.h"
#include "agent/virt/vm_metadata.h"
#include "agent/xml.h"
#include "common/error.h"

static void fit_type(xmlNode *domain, const struct domain_xml_env *env)
{
	xmlNode *type = xml_find(domain, "os/type"), *cpu = xml_child(domain, "cpu"), *features = xml_child(domain, "features"), *timer, *next;
	g_autofree char *machine = xml_get(type, "machine");

	xml_set(domain, "type", env->kvm ? "kvm" : "qemu");
	if (machine && strstr(machine, "rhel"))
		xml_set(type, "machine", strstr(machine, "q35") ? "q35" : "pc");
	if (env->kvm)
		return;
	if (xml_is(cpu, "mode", "host-passthrough") || xml_is(cpu, "mode", "host-model")) {
		xml_set(cpu, "mode", "maximum");
		xml_set(cpu, "match", NULL);
		xml_set(cpu, "check", NULL);
		xml_set(cpu, "migratable", NULL);
		xml_remove(xml_child(cpu, "model"));
		xml_remove(xml_child(cpu, "cache"));
		while (xml_child(cpu, "feature"))
			xml_remove(xml_child(cpu, "feature"));
	}
	xml_remove(xml_child(features, "hyperv"));
	xml_remove(xml_child(features, "kvm"));
	for (timer = xml_find(domain, "clock/timer"); timer; timer = next) {
		next = xml_next(timer, "timer");
		if (xml_is(timer, "name", "kvmclock") || xml_is(timer, "name", "hypervclock"))
			xml_remove(timer);
	}
}

/* What only the host knows of itself. */
static void fit_sysinfo(xmlNode *domain, const struct domain_xml_env *env)
{
	static const char *const marks[] = { "OS-NAME:", "OS-VERSION:", "HOST-SERIAL:" };
	const char *const values[] = { "Berth", "1", env->host_uuid };

	for XML_EACH(entry, xml_find(domain, "sysinfo/system"), "entry") {
		g_autofree char *text = xml_text(entry);

		for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
			if (text && !strcmp(text, marks[i]) && values[i])
				xmlNodeSetContent(entry, (const xmlChar *)values[i]);
	}
}

static bool fit_disk(xmlNode *disk, const xmlNode *metadata, const struct domain_xml_env *env, GError **error)
{
	xmlNode *source = xml_child(disk, "source"), *driver = xml_child(disk, "driver"), *device;
	g_autofree char *target = xml_get(xml_child(disk, "target"), "dev"), *file = xml_get(source, "file"), *dev = xml_get(source, "dev");
	g_autofree char *domain_id = NULL, *image_id = NULL, *volume_id = NULL, *path = NULL;
	const char *format = NULL, *given = file ? file : dev;
	bool block = false;

	device = target ? vm_metadata_device(metadata, "name", target) : NULL;
	domain_id = vm_metadata_get(device, "domainID");
	image_id = vm_metadata_get(device, "imageID");
	volume_id = vm_metadata_get(device, "volumeID");
	if (domain_id && image_id && volume_id) {
		if (!env->prepare(env->data, domain_id, image_id, volume_id, &path, &format, error))
			return false;
		given = path;
	}
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

static bool fit_nic(xmlNode *nic, const xmlNode *metadata, const struct domain_xml_env *env, GError **error)
{
	xmlNode *source = xml_child(nic, "source"), *driver = xml_child(nic, "driver");
	g_autofree char *mac = xml_get(xml_child(nic, "mac"), "address"), *bridge = xml_get(source, "bridge"), *network = NULL, *found = NULL, *real = NULL;
	g_autoptr(GError) cause = NULL;

	if (xml_is(driver, "name", "vhost") && access("/dev/vhost-net", R_OK | W_OK) < 0)
		xml_set(driver, "name", "qemu");
	if (!bridge || !xml_is(nic, "type", "bridge"))
		return true;
	network = vm_metadata_get(mac ? vm_metadata_device(metadata, "mac_address", mac) : NULL, "network");
	if ((network ? !*network : false) || !strcmp(bridge, ";vdsmdummy;")) {
		xml_remove(source);
		xml_set(nic, "type", "ethernet");
		xml_remove(xml_child(nic, "link"));
		xml_add_with(nic, "link", "state", "down", NULL);
		return true;
	}
	found = env->bridge(env->data, network ? network : bridge, &cause);
	if (!found) {
		real = g_strdup_printf("/sys/class/net/%s/bridge", bridge);
		if (strchr(bridge, '/') || access(real, F_OK) < 0) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
		return true;
	}
	xml_set(source, "bridge", found);
	return true;
}

static void fit_graphics(xmlNode *graphics, const struct vm_params *p, const struct domain_xml_env *env)
{
	g_autofree char *password = xml_get(graphics, "passwd"), *mode = xml_get(graphics, "defaultMode");
	xmlNode *listen = xml_child(graphics, "listen");

	if (p->ticket && *p->ticket)
		domain_xml_ticket(graphics, p->ticket, p->ticket_ttl, env);
	else if (!password || !strcmp(password, "*****"))
		domain_xml_ticket(graphics, NULL, 0, env);
	if (xml_is(listen, "type", "network")) {
		xml_set(listen, "type", "address");
		xml_set(listen, "network", NULL);
		xml_set(listen, "address", env->display_address);
		xml_set(graphics, "listen", NULL);
	}
	xml_set(graphics, "tlsPort", NULL);
	if (mode && !strcmp(mode, "secure"))
		xml_set(graphics, "defaultMode", "any");
	for XML_EACH(channel, graphics, "channel")
		if (xml_is(channel, "mode", "secure"))
			xml_set(channel, "mode", "any");
}

bool domain_xml_adapt(xmlNode *domain, const struct vm_params *params, const struct domain_xml_env *env, GError **error)
{
	xmlNode *devices = xml_child(domain, "devices"), *metadata = vm_metadata_of(domain);
	g_autofree char *kernel = xml_text(xml_find(domain, "os/kernel")), *initrd = xml_text(xml_find(domain, "os/initrd"));

	if (!devices) {
		error_set(error, ERR_INVALID_PARAMETER, "xml: the domain has no devices");
		return false;
	}
	fit_type(domain, env);
	fit_sysinfo(domain, env);
	if ((kernel && !domain_xml_check_file(kernel, "kernel", NULL, error)) || (initrd && !domain_xml_check_file(initrd, "initrd", NULL, error)))
		return false;
	for XML_EACH(disk, devices, "disk")
		if (!fit_disk(disk, metadata, env, error))
			return false;
	for XML_EACH(nic, devices, "interface")
		if (!fit_nic(nic, metadata, env, error))
			return false;
	for XML_EACH(graphics, devices, "graphics")
		fit_graphics(graphics, params, env);
	for XML_EACH(channel, devices, "channel")
		if (xml_is(channel, "type", "unix"))
			xml_remove(xml_child(channel, "source"));
	if (params->agent_channel)
		domain_xml_agent_channel(devices);
	return true;
}
