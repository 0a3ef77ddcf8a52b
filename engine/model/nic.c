/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces of virtual machines: the table. See nic.h. */
#include "engine/model/nic.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

const char *const nic_interface_names[] = { "e1000", "virtio", "rtl8139", "rtl8139_virtio", NULL };

#define CU (CREATE | UPDATE)

static const struct field nic_fields[] = {
	FIELD_UUID_(struct nic, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(struct nic, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "name inside the VM", .min = 1, .max = 50),
	FIELD_STRING_(struct nic, description, "description", CU | HEAD, "free text", .max = 4096),
	FIELD_REF_(struct nic, vm, "vm", READ_ONLY, "vms", "virtual machine that has it"),
	FIELD_REF_(struct nic, template, "template", READ_ONLY | FOLLOWS | WITHIN, "templates", "template that has it"),
	FIELD_REF_(struct nic, network, "network", CU, "networks", "network it is connected to; none: not connected"),
	FIELD_REF_(struct nic, vnic_profile, "vnic_profile", CU, "vnicprofiles", "what it may do on the network; given without network: on that of the profile"),
	FIELD_BOOL_(struct nic, linked, "linked", CU, "the cable is in", .def = "true"),
	FIELD_ENUM_(struct nic, interface, "interface", CU, nic_interface_names, "device model", .def = "virtio"),
	FIELD_ENUM_(struct nic, interface, "type", CU | ALIAS, nic_interface_names, "other spelling of interface"),
	FIELD_STRING_(struct nic, mac, "mac@address", CU | SEARCH, "hardware address; drawn from the pool when absent", .search = "mac",
		      .pattern = "[0-9A-Fa-f][02468aceACE](:[0-9A-Fa-f]{2}){5}"),
	FIELD_LIST_(struct nic, port_mirroring, "port_mirroring/networks/network", CU, &object_ref_type, "networks whose traffic it receives",
		    .target = "networks"),
	FIELD_BOOL_(struct nic, plugged, "plugged", CU, "the device is in the VM", .def = "true"),
	FIELD_BOOL_(struct nic, plugged, "active", CU | ALIAS, "other spelling of plugged"),
	FIELD_LIST_(struct nic, reported_ips, "reported_devices/reported_device/ips/ip", VOLATILE_, &ip_type, "addresses that the guest agent reports"),
};
const struct record_type nic_type = RECORD_TYPE("nic", "nics", struct nic, nic_fields, "A network interface of a virtual machine");
