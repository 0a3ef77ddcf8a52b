/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/endpoint.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define KEPT CREATE                       /* as it is in the agent's file */

#define E struct net_endpoint
#define ID FIELD_UUID_(E, id, "endpointID", NEED, "the end point")
#define CHANGEABLE \
	FIELD_STRINGS_(E, ips, "ips", IN, "its addresses, 192.0.2.5/24: what DHCP of the network's subnets gives it, and what it has in a namespace"), \
	FIELD_STRINGS_(E, gateways, "gateways", IN, "default routers in a namespace, one of each family"), \
	FIELD_STRING_(E, name, "name", IN, "its name in the network, for DHCP and DNS"), \
	FIELD_JSON_(E, policies, "policies", IN, "what may pass, as of a VM's NIC (berth-network(7)); replaced as a whole")

static const struct field create_fields[] = {
	FIELD_UUID_(E, id, "endpointID", IN, "its id; absent: one is made. The same again with the same wish is fine"),
	FIELD_STRING_(E, network, "network", NEED, "network with a bridge that it is a port of"),
	FIELD_STRING_(E, mac, "macAddr", IN, "hardware address of what is attached; absent: one is made"),
	CHANGEABLE,
};
const struct record_type endpoint_create_params_type = RECORD_TYPE("Endpoint.create", NULL, E, create_fields, "An end point to be");

static const struct field modify_fields[] = {
	ID,
	FIELD_STRING_(E, network, "network", IN, "another network; absent: as it is, as all that follows"),
	CHANGEABLE,
};
const struct record_type endpoint_modify_params_type = RECORD_TYPE("Endpoint.modify", NULL, E, modify_fields, "Changes of an end point");

static const struct field id_fields[] = { ID };
const struct record_type endpoint_id_params_type = RECORD_TYPE("Endpoint.get", NULL, E, id_fields, "An end point");

static const struct field endpoint_fields[] = {
	ID,
	FIELD_STRING_(E, network, "network", KEPT, "its network"),
	FIELD_STRING_(E, mac, "macAddr", KEPT, "hardware address"),
	CHANGEABLE,
	FIELD_STRING_(E, tap, "tap", KEPT, "the host's end, in the network's bridge"),
	FIELD_UUID_(E, vm_id, "vmID", KEPT, "VM that it is attached to"),
	FIELD_STRING_(E, space, "namespace", KEPT, "or: network namespace"),
	FIELD_STRING_(E, link, "link", KEPT, "its name in the namespace"),
	FIELD_LONG_(E, received_bytes, "receivedBytes", KEPT, "what came to what is and was attached", .unit = "bytes", .def = "0"),
	FIELD_LONG_(E, sent_bytes, "sentBytes", KEPT, "what came from there", .unit = "bytes", .def = "0"),
	FIELD_LONG_(E, received_drops, "receivedDrops", KEPT, "lost on the way there", .unit = "packets", .def = "0"),
	FIELD_LONG_(E, sent_drops, "sentDrops", KEPT, "lost on the way from there", .unit = "packets", .def = "0"),
};
const struct record_type net_endpoint_type = RECORD_TYPE("endpoint", NULL, E, endpoint_fields, "An end point");

#define A struct endpoint_attach
static const struct field attach_fields[] = {
	FIELD_UUID_(A, id, "endpointID", NEED, "the end point"),
	FIELD_UUID_(A, vm_id, "vmID", IN, "a running VM, which gets a NIC"),
	FIELD_STRING_(A, space, "namespace", IN, "or: a network namespace, of a container: its name below /run/netns, or a path, /proc/PID/ns/net"),
	FIELD_STRING_(A, link, "link", IN, "its name in the namespace", .def = "eth0"),
	FIELD_STRING_(A, model, "nicModel", IN, "model of the NIC of a VM", .def = "virtio", .pattern = "virtio|e1000|e1000e|rtl8139"),
};
const struct record_type endpoint_attach_params_type = RECORD_TYPE("Endpoint.attach", NULL, A, attach_fields, "Where an end point is attached");

static const struct field detach_fields[] = {
	FIELD_UUID_(A, id, "endpointID", NEED, "the end point"),
	FIELD_UUID_(A, vm_id, "vmID", IN, "the VM that it is attached to; absent: a namespace"),
};
const struct record_type endpoint_detach_params_type = RECORD_TYPE("Endpoint.detach", NULL, A, detach_fields, "Where an end point is taken from");
