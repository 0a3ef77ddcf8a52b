/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.updateDevice for NICs: link, network, MTU, QoS, mirroring and policies, all or nothing.
 *
 * A NIC that starts in a network is of libvirt's type bridge; libvirt moves it to another bridge while the VM runs. One that starts without a network is
 * of type ethernet, a tap that leads nowhere, and libvirt cannot make the one of the other while the VM runs. So where the NIC should be somewhere
 * else than its XML can say, the agent moves the tap itself, and keeps that it did, and where to, as <port> of the NIC's metadata ("": in no bridge):
 *
 *	XML               network wanted      XML becomes          <port>
 *	bridge A          B                   bridge B             none
 *	bridge A          none                link down            ""
 *	ethernet          B                   link up              B
 *	ethernet          none                link down            ""
 *
 * A NIC in a network of Open vSwitch stays in its bridge, in the VLAN of its XML; in no network its link is down.
 *
 * <network> of the metadata says which network it is in; empty: in none, which is how it starts on another host.
 * Mirroring is net/mirror.c, policies are net/port.c; <portMirroring> and <policies> of the metadata say what.
 */
#define LOG_MODULE "virt"
#include "agent/virt/change/nic.h"

#include <libvirt/virterror.h>
#include <string.h>
#include <unistd.h>
#include "agent/fault.h"
#include "agent/net/net.h"
#include "agent/virt/change/hotplug.h"
#include "agent/virt/device/device.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"

static struct net *net_of(const struct live *live)
{
	return live->vm->vms->agent->net;
}

static char *tap_of(const xmlNode *nic)
{
	return xml_get(xml_child(nic, "target"), "dev");
}

static char *mac_of(const xmlNode *nic)
{
	return xml_get(xml_child(nic, "mac"), "address");
}

/* A network of ours, or a bridge of that name; ret_tag: of net_bridge_of(). g_free */
static char *bridge_of(const struct live *live, const char *network, int *ret_tag, GError **error)
{
	g_autoptr(GError) cause = NULL;
	g_autofree char *path = g_strdup_printf("/sys/class/net/%s/bridge", network);
	char *bridge = net_bridge_of(net_of(live), network, ret_tag, &cause);

	if (ret_tag && !bridge)
		*ret_tag = -1;
	if (!bridge && !strchr(network, '/') && access(path, F_OK) == 0)
		return g_strdup(network);
	if (!bridge)
		g_propagate_error(error, g_steal_pointer(&cause));
	return bridge;
}

/* ---- mirroring ---- */

static void keep_mirrored(xmlNode *kept, const GPtrArray *names)
{
	xmlNode *list;

	xml_remove(xml_child(kept, "portMirroring"));
	if (!names || !names->len)
		return;
	vm_metadata_set(kept, "portMirroring", NULL, NULL);
	list = xml_child(kept, "portMirroring");
	for (guint i = 0; i < names->len; i++)
		xmlSetNs(xml_add_text(list, "network", names->pdata[i]), list->ns);
}

/* The tap is there: it gets a copy of these networks, and of no others. */
static bool mirror(const struct live *live, const char *tap, const GPtrArray *networks, GError **error)
{
	g_autoptr(GPtrArray) bridges = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; networks && i < networks->len; i++) {
		char *bridge = bridge_of(live, networks->pdata[i], /* ret_tag= */ NULL, error);

		if (!bridge)
			return false;
		g_ptr_array_add(bridges, bridge);
	}
	return net_tap_mirror(net_of(live), tap, bridges, error);
}

/* The tap is there: the policies that were to come with it hold. */
static bool settle_policies(struct live *live, const xmlNode *nic, const char *tap, const xmlNode *kept, GError **error)
{
	g_autofree char *mac = mac_of(nic);
	json_t *policies = NULL;
	bool good;

	net_port_settled(net_of(live), tap);
	if (mac)
		net_mirror_expected(net_of(live), mac, NULL);
	good = vm_metadata_policies(kept, &policies, error) && (!policies || net_port_set(net_of(live), tap, mac, policies, error));
	json_decref(policies);
	return good;
}

bool nic_plugged(struct live *live, xmlNode *device, GError **error)
{
	const xmlNode *kept = live_kept(live, device, /* make= */ false);
	g_autoptr(GPtrArray) networks = vm_metadata_mirroring(kept);
	g_autofree char *tap = tap_of(device);

	return (!tap || settle_policies(live, device, tap, kept, error)) && (!networks || mirror(live, tap, networks, error));
}

void nic_unplugged(struct live *live)
{
	net_mirror_sweep(net_of(live));
	net_port_sweep(net_of(live));
}

static void sweep(struct vm *vm, void *unused)
{
	struct net *net = vm->vms->agent->net;
	g_autofree char *xml = NULL;
	g_autoptr(xmlDoc) doc = NULL;

	{
		AUTO_LOCK(&vm->vms->lock);
		xml = g_strdup(vm->xml);
	}
	doc = xml ? xml_parse(xml, strlen(xml), NULL) : NULL;
	for XML_EACH(nic, xml_child(doc ? xmlDocGetRootElement(doc) : NULL, "devices"), "interface") {
		g_autofree char *mac = mac_of(nic);
		g_autofree char *tap = mac ? net_port_name(mac) : NULL;

		if (tap) {
			net_port_settled(net, tap);
			net_mirror_expected(net, mac, NULL);
		}
	}
	net_mirror_sweep(net);
	net_port_sweep(net);
}

void nic_ended(struct vm *vm)
{
	bool any;

	{
		AUTO_LOCK(&vm->vms->lock);
		any = vm->xml && (strstr(vm->xml, "portMirroring") || strstr(vm->xml, "policies"));
	}
	if (any)
		(void)vm_queue(vm, "end of its ports", sweep, NULL, NULL, NULL);
}

void nic_settle(struct live *live)
{
	for XML_EACH(nic, live->devices, "interface") {
		xmlNode *kept = live_kept(live, nic, /* make= */ false);
		g_autofree char *tap = tap_of(nic), *network = vm_metadata_get(kept, "network"), *port = NULL;
		g_autoptr(GPtrArray) networks = vm_metadata_mirroring(kept);
		g_autoptr(GError) error = NULL;
		g_autoptr(GError) cause = NULL;
		bool ours = xml_child(kept, "port") != NULL;

		if (!tap)
			continue;
		if (!ours && !settle_policies(live, nic, tap, kept, &cause))
			log_error("VM %s: NIC '%s' is without its policies: %s", live->vm->id, tap, cause->message);
		if (!ours && !networks)
			continue;
		/* the network may have another bridge here than where the metadata come from */
		port = !ours ? NULL : network && *network ? bridge_of(live, network, /* ret_tag= */ NULL, &error) : g_strdup("");
		if (error || (port && !net_tap_bridge(net_of(live), tap, port, &error)) || (networks && !mirror(live, tap, networks, &error)))
			log_warn("VM %s: NIC '%s' is not where it should be: %s", live->vm->id, tap, error->message);
		if (ours && !settle_policies(live, nic, tap, kept, &cause))         /* its VLANs are those of the bridge it is in now */
			log_error("VM %s: NIC '%s' is without its policies: %s", live->vm->id, tap, cause->message);
	}
}

/* ---- what is asked for ---- */

/* specParams of a <bandwidth>: a direction that it does not limit is {}. */
static json_t *bandwidth_params(const xmlNode *device)
{
	static const char *const numbers[] = { "average", "peak", "burst", "floor" };
	json_t *params = json_pack("{s:{}, s:{}}", "inbound", "outbound");

	for XML_EACH(direction, xml_child(device, "bandwidth"), NULL)
		for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
			g_autofree char *text = xml_get(direction, numbers[i]);
			json_t *limits = json_object_get(params, (const char *)direction->name);

			if (text && limits)
				json_object_set_new(limits, numbers[i], json_string(text));
		}
	return params;
}

/* The XML form, as if it had come member by member. Its NIC is found by alias or address. */
static struct device_update *from_xml(const struct live *live, const char *xml, GError **error)
{
	AUTO_WISH wish = { 0 };
	g_autofree char *alias = NULL, *bridge = NULL;
	struct device_update *u;
	xmlNode *kept, *there;

	if (!plug_wish_parse(xml, "interface", &wish, error))
		return NULL;
	alias = xml_get(xml_child(wish.device, "alias"), "name");
	there = alias && live_alias(live, "interface", alias) ? NULL : live_same(live, wish.device);
	kept = live_kept_in(wish.metadata, wish.device, /* make= */ false);
	bridge = xml_get(xml_child(wish.device, "source"), "bridge");
	u = record_new(&device_update_type);
	u->alias = there ? xml_get(xml_child(there, "alias"), "name") : g_steal_pointer(&alias);
	u->network = vm_metadata_get(kept, "network");
	if (!u->network)
		u->network = g_steal_pointer(&bridge);
	if (xml_child(wish.device, "link"))
		SET(u, link_active, !xml_is(xml_child(wish.device, "link"), "state", "down"));
	if (xml_child(wish.device, "mtu"))
		SET(u, mtu, (int)xml_get_number(xml_child(wish.device, "mtu"), "size", 0));
	u->spec_params = bandwidth_params(wish.device);
	u->port_mirroring = vm_metadata_mirroring(kept);
	if (!u->port_mirroring)
		u->port_mirroring = strings_new();
	u->custom = vm_metadata_custom(kept);
	if (!vm_metadata_policies(kept, &u->policies, error)) {
		record_unref(u);
		return NULL;
	}
	if (!u->policies)
		u->policies = json_object();
	return u;
}

/* A direction that is named replaces what there is; {} ends its limit. */
static bool set_bandwidth(xmlNode *nic, const json_t *spec_params, GError **error)
{
	json_t *texts = domain_json_texts(spec_params);
	xmlNode *bandwidth = xml_child(nic, "bandwidth");
	const char *direction;
	json_t *limits;
	bool good;

	json_object_foreach((json_t *)spec_params, direction, limits)
		xml_remove(xml_child(bandwidth, direction));
	good = device_bandwidth(nic, texts, error);
	bandwidth = xml_child(nic, "bandwidth");
	if (bandwidth && !xml_child(bandwidth, NULL))
		xml_remove(bandwidth);
	json_decref(texts);
	return good;
}

/* ---- the change ---- */

/* Where a NIC is and where it goes, and what may pass. port: bridge that the agent puts the tap in; NULL: where libvirt has it. */
struct place { char *network, *port; GPtrArray *mirrored; json_t *policies; };

static void place_clear(struct place *place)
{
	g_free(place->network);
	g_free(place->port);
	if (place->mirrored)
		g_ptr_array_unref(place->mirrored);
	json_decref(place->policies);
}
#define AUTO_PLACE __attribute__((cleanup(place_clear))) struct place

static void read_place(const xmlNode *kept, struct place *ret_place)
{
	*ret_place = (struct place){ .network = vm_metadata_get(kept, "network"), .port = vm_metadata_get(kept, "port"), .mirrored = vm_metadata_mirroring(kept) };
	(void)vm_metadata_policies(kept, &ret_place->policies, NULL);
}

static void keep_place(xmlNode *kept, const struct place *place)
{
	xml_remove(xml_child(kept, "port"));
	if (place->network)
		vm_metadata_set(kept, "network", NULL, place->network);
	if (place->port)
		vm_metadata_set(kept, "port", NULL, place->port);
	keep_mirrored(kept, place->mirrored);
	vm_metadata_set_policies(kept, place->policies);
}

/* Puts the tap there; xml: what libvirt believes now; moves: it is, or was, somewhere else than that. */
static bool go_to(const struct live *live, const char *tap, const char *xml, const struct place *place, bool moves, GError **error)
{
	g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), NULL);
	g_autofree char *bridge = doc ? xml_get(xml_child(xmlDocGetRootElement(doc), "source"), "bridge") : NULL;
	g_autofree char *mac = doc ? mac_of(xmlDocGetRootElement(doc)) : NULL;
	const char *port = place->port ? place->port : bridge ? bridge : "";

	if (moves && !net_tap_bridge(net_of(live), tap, port, error))
		return false;
	if (!net_port_set(net_of(live), tap, mac, place->policies, error))
		return false;
	fault_point("VM.updateDevice: moved");
	return mirror(live, tap, place->mirrored, error);
}

static bool is_out(const xmlNode *nic, const struct place *place)
{
	return place->network ? !*place->network : xml_is(nic, "type", "ethernet");
}

/* libvirt changes the VLAN of a port of Open vSwitch while the VM runs, but does not move it to another bridge, and the agent neither. */
static bool check_switch(const xmlNode *nic, const char *network, const char *bridge, int tag, GError **error)
{
	g_autofree char *now = xml_get(xml_child(nic, "source"), "bridge");

	if (!device_is_ovs(nic) == (tag < 0) && (tag < 0 || !g_strcmp0(now, bridge)))
		return true;
	error_set(error, ERR_UPDATE_DEVICE_FAILED, "a NIC in '%s' cannot go to network '%s' (%s '%s') while the VM runs", now ? now : "no network", network,
		  tag < 0 ? "bridge" : "Open vSwitch bridge", bridge);
	return false;
}

/* Network and link of the XML, and the place that goes with it. */
static bool set_network(const struct live *live, xmlNode *nic, const char *network, struct place *place, GError **error)
{
	bool was_out = is_out(nic, place), is_bridge = xml_is(nic, "type", "bridge");
	xmlNode *link = xml_child(nic, "link");
	g_autofree char *bridge = NULL;
	int tag = -1;

	if (!is_bridge && !xml_is(nic, "type", "ethernet")) {
		g_autofree char *type = xml_get(nic, "type");

		error_set(error, ERR_UPDATE_DEVICE_FAILED, "a NIC of type '%s' cannot change its network", type);
		return false;
	}
	if (*network && !(bridge = bridge_of(live, network, &tag, error)))
		return false;
	if (*network && !check_switch(nic, network, bridge, tag, error))
		return false;
	if (!link)
		link = xml_add(nic, "link");
	if (!*network)
		xml_set(link, "state", "down");
	else if (was_out)
		xml_set(link, "state", "up");
	if (*network && is_bridge)
		device_plug(nic, bridge, tag);
	g_free(place->port);
	place->port = is_bridge && (*network || device_is_ovs(nic)) ? NULL : g_strdup(bridge ? bridge : "");
	g_free(place->network);
	place->network = g_strdup(network);
	return true;
}

/* nic: a copy of the live one, which becomes what is wanted. */
static bool apply_wishes(const struct live *live, xmlNode *nic, const struct device_update *u, struct place *place, GError **error)
{
	xmlNode *node;

	if ((u->network || u->policies) && xml_is(xml_child(nic, "target"), "managed", "no")) {
		error_set(error, ERR_UPDATE_DEVICE_FAILED, "%s: the NIC is an end point: Endpoint.modify changes it", u->network ? "network" : "policies");
		return false;
	}
	if (u->network && !set_network(live, nic, u->network, place, error))
		return false;
	if (HAS(u, link_active)) {
		node = xml_child(nic, "link") ? xml_child(nic, "link") : xml_add(nic, "link");
		xml_set(node, "state", u->link_active && !is_out(nic, place) ? "up" : "down");
	}
	if (HAS(u, mtu)) {
		node = xml_child(nic, "mtu") ? xml_child(nic, "mtu") : xml_add(nic, "mtu");
		xml_set_number(node, "size", u->mtu);
	}
	if ((json_object_size(u->policies) || (u->port_mirroring && u->port_mirroring->len)) && !xml_is(nic, "type", "bridge") &&
	    !xml_is(nic, "type", "ethernet")) {
		g_autofree char *type = xml_get(nic, "type");

		error_set(error, ERR_UPDATE_DEVICE_FAILED, "%s: what a NIC of type '%s' sends passes the host's bridges by",
			  json_object_size(u->policies) ? "policies" : "portMirroring", type);
		return false;
	}
	if ((json_object_size(u->policies) || (u->port_mirroring && u->port_mirroring->len)) && device_is_ovs(nic)) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "%s: the NIC is in a network with switch 'ovs'",
			  json_object_size(u->policies) ? "policies" : "portMirroring");
		return false;
	}
	if (u->port_mirroring) {
		if (place->mirrored)
			g_ptr_array_unref(place->mirrored);
		place->mirrored = g_ptr_array_ref(u->port_mirroring);
	}
	if (u->policies) {
		json_decref(place->policies);
		place->policies = json_incref(u->policies);
	}
	return !u->spec_params || set_bandwidth(nic, u->spec_params, error);
}

/* From old to new; what fails is taken back. needs_us: libvirt does not do all of it. */
static bool carry_out(struct live *live, const char *tap, const char *old_xml, const struct place *old, const char *xml, const struct place *place,
		      GError **error)
{
	bool moves = place->port || old->port, needs_us = moves || place->mirrored || old->mirrored || place->policies || old->policies;

	/* libvirt puts it into the bridge's default VLAN */
	if (json_object_get(old->policies, "vlan") && g_strcmp0(old->network, place->network) && !net_port_hold(net_of(live), tap, error))
		return false;
	if (virDomainUpdateDeviceFlags(live->domain, xml, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		live_failed(live, error, ERR_UPDATE_DEVICE_FAILED, "NIC '%s'", tap);
	} else {
		g_autoptr(GError) cause = NULL;

		fault_point("VM.updateDevice: changed");
		if (!needs_us || go_to(live, tap, xml, place, moves, &cause))
			return true;
		error_set(error, ERR_UPDATE_DEVICE_FAILED, "VM %s: NIC '%s': %s", live->vm->id, tap, cause->message);
	}
	if (!strstr(old_xml, "<bandwidth>") && strstr(xml, "<bandwidth>"))         /* libvirt leaves the half of it that it came to */
		net_tap_unlimit(net_of(live), tap);
	if (virDomainUpdateDeviceFlags(live->domain, old_xml, VIR_DOMAIN_AFFECT_LIVE) < 0 || (needs_us && !go_to(live, tap, old_xml, old, moves, NULL)))
		log_warn("VM %s: NIC '%s' is not quite as it was before: %s", live->vm->id, tap, virGetLastErrorMessage());
	return false;
}

/* With the hooks, and kept. */
static bool change(struct live *live, xmlNode *nic, const struct device_update *u, GError **error)
{
	g_autofree char *tap = tap_of(nic), *old_xml = xml_to_text(nic), *xml = NULL, *changed = NULL;
	g_autoptr(xmlDoc) doc = xml_parse(old_xml, strlen(old_xml), NULL);
	AUTO_PLACE old = { 0 };
	AUTO_PLACE place = { 0 };
	xmlNode *kept;
	bool good;

	read_place(live_kept(live, nic, /* make= */ false), &old);
	read_place(live_kept(live, nic, /* make= */ false), &place);
	if (!apply_wishes(live, xmlDocGetRootElement(doc), u, &place, error))
		return false;
	xml = xml_to_text(xmlDocGetRootElement(doc));
	if (!vm_hook(live->vm, "before_update_device", xml, u->custom, &changed, error))
		return false;
	good = carry_out(live, tap ? tap : "", old_xml, &old, changed ? changed : xml, &place, error);
	if (good) {
		kept = live_kept(live, nic, /* make= */ true);
		keep_place(kept, &place);
		if (u->custom)
			vm_metadata_set_custom(kept, u->custom);
	}
	(void)vm_hook(live->vm, good ? "after_update_device" : "after_update_device_fail", changed ? changed : xml, u->custom, NULL, NULL);
	return good;
}

bool nic_update(struct live *live, const struct device_update_params *params, GError **error)
{
	struct device_update *u = params->params->xml ? from_xml(live, params->params->xml, error) : record_ref(params->params);
	xmlNode *nic = u && u->alias ? live_alias(live, "interface", u->alias) : NULL;
	bool good = nic && live_begin(live, "VM.updateDevice", params, error);

	if (u && !nic)
		error_set(error, ERR_UPDATE_DEVICE_FAILED, "VM %s has no NIC '%s'", live->vm->id, u->alias ? u->alias : "");
	if (good) {
		good = change(live, nic, u, error);
		live_recode(error, ERR_BAD_BRIDGE, ERR_UPDATE_DEVICE_FAILED);
		/* Without its end the change stays begun: it is made again after the next start. */
		good = live_end(live, good ? error : NULL) && good;
	}
	if (good)
		good = live_read(live, error);
	record_unref(u);
	return good;
}

bool nic_redo(struct live *live, const void *params, GError **error)
{
	return nic_update(live, params, error);
}
