/* SPDX-License-Identifier: Apache-2.0 */
/* Networks: the tables. See network.h. */
#include "engine/model/kinds.h"
#include "engine/model/network.h"

const char *const network_state_names[] = { "operational", "non_operational", NULL };
const char *const network_usage_names[] = { "vm", "display", "migration", "management", "gluster", NULL };

#define CU (CREATE | UPDATE)
#define REQUIRED_TEXT "a host of the cluster that lacks it becomes non_operational when its networks are next read"

#define NETWORK_FIELDS(id_flags, name_flags, data_center_flags, member_flags) \
	FIELD_UUID_(struct network, id, "@id", id_flags, "identity, given by the engine"), \
	FIELD_STRING_(struct network, name, "name", name_flags | SEARCH | HEAD, "name, unique in the data center; also that of the bridge", .min = 1, \
		      .max = 15, .pattern = "[-_a-zA-Z0-9]+"), \
	FIELD_STRING_(struct network, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000), \
	FIELD_STRING_(struct network, comment, "comment", CU | HEAD | SEARCH, "free text", .max = 4000), \
	FIELD_REF_(struct network, data_center, "data_center", data_center_flags | WITHIN, "datacenters", "data center it belongs to", .search = "datacenter"), \
	FIELD_REF_(struct network, cluster, "cluster", VOLATILE_ | WEAK, "clusters", "cluster that has it, as the cluster's collection shows it"), \
	FIELD_INT_(struct network, vlan, "vlan@id", CU | SEARCH, "VLAN tag", .search = "vlanid", .min = 0, .max = 4094), \
	FIELD_BOOL_(struct network, stp, "stp", CU | SEARCH, "spanning tree protocol on the bridge", .def = "false"), \
	FIELD_INT_(struct network, mtu, "mtu", CU | SEARCH, "largest packet; 0: the default", .unit = "bytes", .min = 0, .max = 65535, .def = "0"), \
	FIELD_ENUM_(struct network, state, "status/state", VOLATILE_ | SEARCH, network_state_names, \
		    "non_operational: a host that is up lacks it in a cluster that requires it", .search = "status"), \
	FIELD_BOOL_(struct network, display, "display", CU, "carries the consoles of VMs"), \
	FIELD_BOOL_(struct network, required, "required", member_flags | VOLATILE_, REQUIRED_TEXT), \
	FIELD_STRINGS_(struct network, usages, "usages/usage", CU, "what it is for", .names = network_usage_names), \
	FIELD_STRING_(struct network, ip_address, "ip@address", CU, "address", .max = 64), \
	FIELD_STRING_(struct network, ip_netmask, "ip@netmask", CU, "mask", .max = 64), \
	FIELD_STRING_(struct network, ip_gateway, "ip@gateway", CU, "gateway", .max = 64), \
	FIELD_REF_(struct network, qos, "qos", CU, "qoss", "share and rates of what hosts send on it"), \
	FIELD_BOOL_(struct network, profile_required, "profile_required", CREATE | INPUT_ONLY, "make a vNIC profile of the same name"), \
	FIELD_BOOL_(struct network, management, "management", INTERNAL, "the network between engine and hosts"), \
	FIELD_STRING_(struct network, label, "label", INTERNAL, "ties it to interfaces of hosts")

static const struct field network_fields[] = { NETWORK_FIELDS(READ_ONLY, CU | REQUIRED, CREATE | REQUIRED | SEARCH, READ_ONLY) };
const struct record_type network_type = RECORD_TYPE("network", "networks", struct network, network_fields, "A logical network");

static const struct field datacenter_network_fields[] = { NETWORK_FIELDS(CREATE, CU, CREATE | SEARCH, READ_ONLY) };
const struct record_type datacenter_network_type =
	RECORD_TYPE("network", "networks", struct network, datacenter_network_fields, "A network of the data center");

static const struct field cluster_member_network_fields[] = { NETWORK_FIELDS(CREATE, CREATE, CREATE, CU) };
const struct record_type cluster_member_network_type =
	RECORD_TYPE("network", "networks", struct network, cluster_member_network_fields, "A network that the cluster has");

static const struct field cluster_network_fields[] = {
	FIELD_UUID_(struct cluster_network, id, "@id", READ_ONLY, "identity, never shown"),
	FIELD_REF_(struct cluster_network, cluster, "cluster", CREATE | REQUIRED, "clusters", "the cluster"),
	FIELD_REF_(struct cluster_network, network, "network", CREATE | REQUIRED, "networks", "the network it has"),
	FIELD_BOOL_(struct cluster_network, required, "required", CU, REQUIRED_TEXT, .def = "true"),
	FIELD_BOOL_(struct cluster_network, display, "display", CU, "carries the consoles of VMs", .def = "false"),
	FIELD_STRINGS_(struct cluster_network, usages, "usages/usage", CU, "what it is for", .names = network_usage_names),
};
const struct record_type cluster_network_type =
	RECORD_TYPE("cluster_network", "cluster_networks", struct cluster_network, cluster_network_fields, "A cluster has a network");
