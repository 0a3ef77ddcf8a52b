/* SPDX-License-Identifier: Apache-2.0 */
/* NICs: a tap in the bridge of a network, a macvtap on the link of a network without a bridge, or a virtual function of a real card. */
#include <string.h>
#include <unistd.h>
#include "agent/virt/device/device.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"

static void keep(const struct device_build *b, bool plugged)
{
	const struct vm_device *d = b->device;
	xmlNode *kept, *mirroring;
	json_t *network;
	size_t i;

	if (!b->metadata || !d->mac_addr || !(plugged || d->device_id || json_array_size(d->port_mirroring) || json_object_size(d->policies)))
		return;
	kept = vm_metadata_add_device(b->metadata, "interface", "mac_address", d->mac_addr);
	if (plugged)
		vm_metadata_set(kept, "network", NULL, d->network);
	if (d->device_id)
		vm_metadata_set(kept, "deviceId", NULL, d->device_id);
	vm_metadata_set_policies(kept, d->policies);
	mirroring = json_array_size(d->port_mirroring) ? vm_metadata_add(kept, "portMirroring", NULL) : NULL;
	json_array_foreach(d->port_mirroring, i, network)
		vm_metadata_add(mirroring, "network", json_string_value(network));
}

/* Custom properties: queues of the device; vhost of the VM, "network:true,network:false"; sndbuf of the VM. */
static void add_tuning(xmlNode *nic, const struct device_build *b)
{
	const struct vm_device *d = b->device;
	const json_t *custom = b->scope->params->custom;
	const char *queues = json_string_value(json_object_get(d->custom, "queues")), *sndbuf = json_string_value(json_object_get(custom, "sndbuf"));
	const char *vhost = json_string_value(json_object_get(custom, "vhost")), *driver = queues ? "vhost" : NULL;
	g_auto(GStrv) pairs = g_strsplit(vhost ? vhost : "", ",", -1);

	for (char **pair = pairs; *pair; pair++) {
		char *colon = strrchr(*pair, ':');

		if (colon && d->network && strlen(d->network) == (size_t)(colon - *pair) && g_str_has_prefix(*pair, d->network))
			driver = g_ascii_strcasecmp(colon + 1, "true") ? "qemu" : "vhost";
	}
	if (driver && access("/dev/vhost-net", R_OK | W_OK) < 0)
		driver = "qemu";
	if (driver)
		xml_add_with(nic, "driver", "name", driver, "queues", queues, NULL);
	if (sndbuf)
		xml_add_text(xml_add(nic, "tune"), "sndbuf", sndbuf);
}

static bool add_filter(xmlNode *nic, const struct device_build *b, GError **error)
{
	const struct domain_xml_env *env = b->scope->env;
	const struct vm_device *d = b->device;
	json_t *parameter;
	xmlNode *filter;
	size_t i;

	if (!d->filter || !*d->filter)
		return true;
	if (!env->filter(env->data, d->filter, error))
		return false;
	filter = xml_add_with(nic, "filterref", "filter", d->filter, NULL);
	json_array_foreach(d->filter_parameters, i, parameter)
		xml_add_with(filter, "parameter", "name", json_string_value(json_object_get(parameter, "name")), "value",
			     json_string_value(json_object_get(parameter, "value")), NULL);
	return true;
}

bool device_bandwidth(xmlNode *nic, const json_t *spec_params, GError **error)
{
	static const char *const ways[] = { "inbound", "outbound" }, *const limits[] = { "average", "peak", "burst" };
	xmlNode *bandwidth = xml_child(nic, "bandwidth");

	for (size_t w = 0; w < G_N_ELEMENTS(ways); w++) {
		const json_t *way = json_object_get(spec_params, ways[w]);
		xmlNode *node;

		if (!json_object_size(way))
			continue;
		bandwidth = bandwidth ? bandwidth : xml_add(nic, "bandwidth");
		node = xml_add(bandwidth, ways[w]);
		for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
			const char *limit = json_string_value(json_object_get(way, limits[i]));

			if ((limit || !i) && (!limit || !g_ascii_string_to_unsigned(limit, 10, 1, G_MAXUINT32, NULL, NULL))) {
				error_set(error, ERR_INVALID_PARAMETER, "specParams/%s/%s: '%s' is not a number", ways[w], limits[i], limit ? limit : "");
				return false;
			}
			xml_set(node, limits[i], limit);
		}
	}
	return true;
}

bool device_is_ovs(const xmlNode *nic)
{
	return xml_is(xml_child(nic, "virtualport"), "type", "openvswitch");
}

void device_plug(xmlNode *nic, const char *bridge, int tag)
{
	g_autofree char *id = g_strdup_printf("%d", tag);

	if (tag < 0 || !device_is_ovs(nic))            /* one that is there already has a number of libvirt's, which stays */
		xml_remove(xml_child(nic, "virtualport"));
	xml_remove(xml_child(nic, "vlan"));
	xml_set(xml_child(nic, "source") ? xml_child(nic, "source") : xml_add(nic, "source"), "bridge", bridge);
	if (tag < 0)
		return;
	if (!device_is_ovs(nic))
		xml_add_with(nic, "virtualport", "type", "openvswitch", NULL);
	xml_add_with(xml_add(nic, "vlan"), "tag", "id", id, NULL);
}

bool device_policies(xmlNode *nic, const char *mac, const json_t *policies, const struct domain_xml_env *env, GError **error)
{
	g_autofree char *tap = NULL, *bridge = xml_get(xml_child(nic, "source"), "bridge");

	if (!policies || (json_is_object(policies) && !json_object_size(policies)))
		return true;
	if (xml_is(nic, "type", "hostdev") || xml_is(nic, "type", "direct")) {
		error_set(error, ERR_INVALID_PARAMETER, "policies: what a NIC of device %s sends passes the host's bridges by",
			  xml_is(nic, "type", "direct") ? "direct" : "hostdev");
		return false;
	}
	if (device_is_ovs(nic)) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "policies: NIC '%s' is in a network with switch 'ovs', which has none", mac ? mac : "");
		return false;
	}
	if (!(tap = env->port(env->data, mac, bridge, policies, error)))
		return false;
	xml_remove(xml_child(nic, "target"));
	xml_add_with(nic, "target", "dev", tap, NULL);
	return true;
}

static bool add_mirroring(const struct device_build *b, GError **error)
{
	const struct domain_xml_env *env = b->scope->env;
	const struct vm_device *d = b->device;
	size_t n = json_array_size(d->port_mirroring);
	g_autofree const char **networks = g_new0(const char *, n + 1);

	for (size_t i = 0; i < n; i++)
		if (!(networks[i] = json_string_value(json_array_get(d->port_mirroring, i)))) {
			error_set(error, ERR_INVALID_PARAMETER, "portMirroring: entry %zu is no name of a network", i);
			return false;
		}
	return !n || !env->mirror || env->mirror(env->data, d->mac_addr, networks, error);
}

static bool add_function(const struct device_build *b, GError **error)
{
	const struct vm_device *d = b->device;
	const char *vlan = device_text(d, "vlanid", NULL);
	xmlNode *nic;

	if (!d->hostdev) {
		error_set(error, ERR_MISSING_PARAMETER, "hostdev of an interface of device 'hostdev'");
		return false;
	}
	nic = xml_add_with(b->parent, "interface", "type", "hostdev", "managed", "yes", NULL);
	if (!device_pci_source(nic, d->hostdev, b->scope->env, error))
		return false;
	if (!device_policies(nic, d->mac_addr, d->policies, b->scope->env, error))
		return false;
	xml_add_with(nic, "driver", "name", "vfio", NULL);
	if (d->mac_addr)
		xml_add_with(nic, "mac", "address", d->mac_addr, NULL);
	if (vlan)
		xml_add_with(xml_add(nic, "vlan"), "tag", "id", vlan, NULL);
	device_common(nic, d);
	keep(b, d->network && *d->network);
	return true;
}

/* What a port of Open vSwitch cannot have; policies are in device_policies(). */
static bool check_ovs(const struct vm_device *d, GError **error)
{
	bool filter = d->filter && *d->filter;

	if (!filter && !json_array_size(d->port_mirroring))
		return true;
	error_set(error, ERR_UNSUPPORTED_OPERATION, "%s: NIC '%s' is in network '%s', which has switch 'ovs'", filter ? "filter" : "portMirroring",
		  d->mac_addr ? d->mac_addr : "", d->network);
	return false;
}

/* <source>: where a NIC of this device is attached. */
static bool add_source(xmlNode *nic, const struct device_build *b, GError **error)
{
	static const char *const modes[] = { "bridge", "vepa", "private", NULL };
	const struct domain_xml_env *env = b->scope->env;
	const struct vm_device *d = b->device;
	const char *mode = device_text(d, "mode", "bridge");
	g_autofree char *place = NULL;
	int tag = -1;

	if (!xml_is(nic, "type", "direct")) {
		if (!(place = env->bridge(env->data, d->network, &tag, error)))
			return false;
		device_plug(nic, place, tag);
		return tag < 0 || check_ovs(d, error);
	}
	if ((d->filter && *d->filter) || json_array_size(d->port_mirroring)) {
		error_set(error, ERR_INVALID_PARAMETER, "%s: what a NIC of device direct sends passes the host's bridges by",
			  json_array_size(d->port_mirroring) ? "portMirroring" : "filter");
		return false;
	}
	if (!device_check("specParams/mode", mode, modes, error) || !(place = env->link(env->data, d->network, error)))
		return false;
	xml_add_with(nic, "source", "dev", place, "mode", mode, NULL);
	return true;
}

bool device_nic(const struct device_build *b, GError **error)
{
	static const char *const models[] = { "virtio", "pv", "e1000", "e1000e", "rtl8139", "ne2k_pci", "vmxnet3", NULL };
	const struct domain_xml_env *env = b->scope->env;
	const struct vm_device *d = b->device;
	bool plugged = d->network && *d->network, direct = !g_strcmp0(d->device, "direct");
	xmlNode *nic, *mtu;

	if (!g_strcmp0(d->device, "hostdev"))
		return add_function(b, error);
	if (!device_check("nicModel", d->nic_model, models, error))
		return false;
	if (direct && !plugged) {
		error_set(error, ERR_MISSING_PARAMETER, "network of an interface of device 'direct'");
		return false;
	}
	/* Not connected: a tap that leads nowhere; it can be plugged into a network while the VM runs. */
	nic = xml_add_with(b->parent, "interface", "type", direct ? "direct" : plugged ? "bridge" : "ethernet", NULL);
	if (d->mac_addr)
		xml_add_with(nic, "mac", "address", d->mac_addr, NULL);
	if (plugged && !add_source(nic, b, error))
		return false;
	xml_add_with(nic, "model", "type", !strcmp(d->nic_model, "pv") ? "virtio" : d->nic_model, NULL);
	xml_add_with(nic, "link", "state", plugged && d->link_active ? "up" : "down", NULL);
	if (HAS(d, mtu)) {
		mtu = xml_add(nic, "mtu");
		xml_set_number(mtu, "size", d->mtu);
	}
	add_tuning(nic, b);
	if (!add_filter(nic, b, error) || !device_bandwidth(nic, d->spec_params, error) ||
	    !device_policies(nic, d->mac_addr, d->policies, env, error) || !add_mirroring(b, error))
		return false;
	device_common(nic, d);
	keep(b, plugged);
	return true;
}
