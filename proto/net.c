/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/net.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY
#define N struct network_config
#define B struct bond_config

static const struct field setup_networks_fields[] = {
	FIELD_JSON_(struct host_setup_networks_params, networks, "networks", NEED, "name -> network_config"),
	FIELD_JSON_(struct host_setup_networks_params, bondings, "bondings", NEED, "name -> bond_config"),
	FIELD_JSON_(struct host_setup_networks_params, options, "options", NEED, "connectivityCheck, connectivityTimeout (s, default 4), commitOnSuccess"),
};
const struct record_type host_setup_networks_params_type =
	RECORD_TYPE("Host.setupNetworks", NULL, struct host_setup_networks_params, setup_networks_fields, "Parameters of Host.setupNetworks");

#define R struct reservation_config
static const struct field reservation_config_fields[] = {
	FIELD_STRING_(R, mac, "mac", NEED, "hardware address of a machine's NIC"),
	FIELD_STRING_(R, address, "address", NEED, "the address that it always gets"),
	FIELD_STRING_(R, name, "name", IN, "its name in the network; absent: the one that it tells when it asks for its address"),
};
const struct record_type reservation_config_type = RECORD_TYPE("reservation", NULL, R, reservation_config_fields, "An address of one machine");

#define S struct subnet_config
static const struct field subnet_config_fields[] = {
	FIELD_STRING_(S, prefix, "prefix", NEED, "192.0.2.0/24, 2001:db8::/64: that of the network's ipaddr or ipv6addr; one subnet of each family"),
	FIELD_STRING_(S, gateway, "gateway", IN,
		      "router that machines are told; absent: with forward nat the host (IPv4), else none. IPv6: only the network's ipv6addr"),
	FIELD_STRING_(S, pool, "pool", IN, "FIRST-LAST: addresses that this host, and no other, gives; absent: only reservations"),
	FIELD_STRINGS_(S, other_pools, "otherPools", IN, "FIRST-LAST: what other hosts of the network give; must not overlap with what this one does"),
	FIELD_STRINGS_(S, dns, "dns", IN,
		       "servers that are asked for names from outside; absent: those of the host, with forward nat or bridge, else nobody is asked"),
	FIELD_STRING_(S, domain, "domain", IN, "domain of the machines' names; absent: NETWORK.internal"),
	FIELD_INT_(S, lease_time, "leaseTime", IN, "how long an address is given for", .unit = "s", .def = "3600", .min = 120, .max = 31536000),
	FIELD_LIST_(S, reservations, "reservations", IN, &reservation_config_type, "addresses that belong to a NIC, in or outside of the pool"),
};
const struct record_type subnet_config_type =
	RECORD_TYPE("subnet", NULL, S, subnet_config_fields, "Addresses of one family that machines of a network get (a record of our own)");

#define O struct overlay_config
static const struct field overlay_config_fields[] = {
	FIELD_INT_(O, vni, "vni", NEED, "number of the network, the same on all its hosts", .min = 1, .max = 16777215),
	FIELD_STRING_(O, local, "local", NEED, "this host's address that the others reach it by"),
	FIELD_STRINGS_(O, remotes, "remotes", IN, "the other hosts' addresses, of the same family"),
	FIELD_STRING_(O, group, "group", IN, "instead of remotes: multicast address at which they find each other"),
	FIELD_STRING_(O, dev, "dev", IN, "link that the group is on; with group"),
	FIELD_INT_(O, port, "port", IN, "UDP port", .def = "4789", .min = 1, .max = 65535),
};
const struct record_type overlay_config_type =
	RECORD_TYPE("overlay", NULL, O, overlay_config_fields, "A network over others, VXLAN (RFC 7348) between hosts (a record of our own)");

static const struct field network_config_fields[] = {
	FIELD_STRING_(N, bonding, "bonding", IN, "bond the network is on"),
	FIELD_STRING_(N, nic, "nic", IN, "interface the network is on; a network without nic and bonding is a bridge without ports"),
	FIELD_INT_(N, vlan, "vlan", IN, "VLAN id, 0 to 4094"),
	FIELD_STRING_(N, bootproto, "bootproto", IN, "none or dhcp", .def = "none", .pattern = "none|dhcp"),
	FIELD_STRING_(N, ipaddr, "ipaddr", IN, "IPv4 address"),
	FIELD_STRING_(N, netmask, "netmask", IN, "IPv4 netmask, 255.255.255.0 or prefix length"),
	FIELD_STRING_(N, gateway, "gateway", IN, "IPv4 gateway: of the host with defaultRoute, else only of what comes from the network's own addresses"),
	FIELD_STRING_(N, ipv6addr, "ipv6addr", IN, "IPv6 address/prefix"),
	FIELD_STRING_(N, ipv6gateway, "ipv6gateway", IN, "IPv6 gateway, as gateway; may be link-local"),
	FIELD_BOOL_(N, ipv6autoconf, "ipv6autoconf", IN, "IPv6 autoconfiguration", .def = "false"),
	FIELD_BOOL_(N, dhcpv6, "dhcpv6", IN, "a DHCPv6 server gives the IPv6 address, as /128; not together with ipv6addr", .def = "false"),
	FIELD_BOOL_(N, default_route, "defaultRoute", IN, "the host's default route goes here; at most one network", .def = "false"),
	FIELD_STRINGS_(N, nameservers, "nameservers", IN, "DNS servers, only with defaultRoute"),
	FIELD_INT_(N, mtu, "mtu", IN, "MTU", .unit = "bytes", .def = "1500", .min = 68, .max = 65535),
	FIELD_BOOL_(N, bridged, "bridged", IN, "VMs can be attached", .def = "true"),
	FIELD_BOOL_(N, stp, "stp", IN, "Spanning Tree Protocol", .def = "false"),
	FIELD_STRINGS_(N, roles, "roles", IN, "what it is for: management, migration, display (of one network each), vm; only told again (a member of our own)"),
	FIELD_STRING_(N, forward, "forward", IN,
		      "bridge; nat: machines get out with the host's address (IPv4); isolated: they do not; internal: the same, and the host has an address; "
		      "private: not even the host is reached (a member of our own, for bridges without a nic)",
		      .def = "bridge", .pattern = "bridge|nat|isolated|internal|private"),
	FIELD_JSON_(N, port_forwards, "portForwards", IN,
		    "[{protocol tcp or udp, port of the host, address of a machine, toPort (default: port)}], with forward nat (a member of our own)"),
	FIELD_JSON_(N, outbound_nat, "outboundNat", IN,
		    "{vip: address that machines get out with, exceptions: [networks that see their own]}, with forward nat (a member of our own)"),
	FIELD_JSON_(N, host_qos, "hostQos", IN, "{out: {ls, ul, rt: {m1 bit/s, d us, m2 bit/s}}}: share and rates of the host's own traffic"),
	FIELD_JSON_(N, custom, "custom", IN, "custom properties, handed to hook scripts; bridge_opts \"name=value ...\" is carried out"),
	FIELD_RECORD_(N, overlay, "overlay", IN, &overlay_config_type, "the bridge goes on to other hosts (a member of our own)"),
	FIELD_LIST_(N, subnets, "subnets", IN, &subnet_config_type,
		    "addresses and names that machines get from this host by DHCP and DNS, at most one of each family (a member of our own)"),
	FIELD_STRING_(N, switch_type, "switch", IN, "legacy (Linux bridge) or ovs (Open vSwitch, where it runs)", .def = "legacy", .pattern = "legacy|ovs"),
	FIELD_BOOL_(N, remove, "remove", IN, "remove the network", .def = "false"),
};
const struct record_type network_config_type = RECORD_TYPE("network", NULL, N, network_config_fields, "One network of Host.setupNetworks");

static const struct field bond_config_fields[] = {
	FIELD_STRINGS_(B, nics, "nics", IN, "interfaces, at least one"),
	FIELD_STRING_(B, options, "options", IN,
		      "options of the kernel's bonding driver, \"mode=4 miimon=100\"; miimon is 100 when neither it nor arp_interval is given. With switch ovs: "
		      "mode active-backup, balance-slb, balance-tcp or lacp; lacp off, active or passive; lacp_rate, miimon, updelay, downdelay, primary"),
	FIELD_STRING_(B, hwaddr, "hwaddr", IN, "MAC address; absent: of an interface"),
	FIELD_STRING_(B, switch_type, "switch", IN, "legacy or ovs", .def = "legacy", .pattern = "legacy|ovs"),
	FIELD_BOOL_(B, remove, "remove", IN, "remove the bond", .def = "false"),
};
const struct record_type bond_config_type = RECORD_TYPE("bond", NULL, B, bond_config_fields, "One bond of Host.setupNetworks");

static const struct field network_caps_fields[] = {
	FIELD_JSON_(struct network_caps, networks, "networks", OUT,
		    "name -> network, of those whose link is there; of our own: in_sync, differences [{link, property, expected, actual}]; with subnets also subnets, "
		    "serving, servingProblem, leases [{address, mac or duid, name, until (s since the epoch)}]"),
	FIELD_JSON_(struct network_caps, bridges, "bridges", OUT, "name -> bridge"),
	FIELD_JSON_(struct network_caps, bondings, "bondings", OUT, "name -> bond"),
	FIELD_JSON_(struct network_caps, nics, "nics", OUT,
		    "name -> interface; sriov {device, totalvfs, numvfs}: it can have virtual functions; physfn: it is one, of that interface"),
	FIELD_JSON_(struct network_caps, vlans, "vlans", OUT, "name -> VLAN"),
	FIELD_JSON_(struct network_caps, nameservers, "nameservers", OUT, "addresses"),
	FIELD_BOOL_(struct network_caps, supports_ipv6, "supportsIPv6", OUT, "true"),
	FIELD_BOOL_(struct network_caps, openvswitch, "openvswitch", OUT, "Open vSwitch runs on this host: networks can have switch ovs (a member of our own)"),
	FIELD_STRING_(struct network_caps, net_config_dirty, "netConfigDirty", OUT, "True when the running network configuration is not saved"),
	FIELD_STRING_(struct network_caps, last_client_iface, "lastClientIface", OUT, "device through which this client came in"),
};
const struct record_type network_caps_type = RECORD_TYPE("networkCapabilities", NULL, struct network_caps, network_caps_fields, "Host.getNetworkCapabilities");

static const struct field network_stats_fields[] = {
	FIELD_JSON_(struct network_stats, network, "network", OUT, "name -> counters of each link; rxRate and txRate (bytes/s) are of our own"),
	FIELD_LONG_(struct network_stats, rx_dropped, "rxDropped", TEXT, "sum over links", .unit = "packets"),
	FIELD_LONG_(struct network_stats, tx_dropped, "txDropped", TEXT, "sum over links", .unit = "packets"),
};
const struct record_type network_stats_type = RECORD_TYPE("networkStats", NULL, struct network_stats, network_stats_fields, "Host.getNetworkStatistics");

static const struct field lldp_fields[] = { FIELD_JSON_(struct lldp_params, filter, "filter", IN, "{devices: [names]}; all when absent or empty") };
const struct record_type lldp_params_type = RECORD_TYPE("Host.getLldp", NULL, struct lldp_params, lldp_fields, "Parameters of Host.getLldp");

static const struct field numvfs_fields[] = {
	FIELD_STRING_(struct numvfs_params, device_name, "deviceName", NEED, "PCI device as Host.hostdevListByCaps names it, pci_0000_03_00_0"),
	FIELD_INT_(struct numvfs_params, numvfs, "numvfs", NEED, "number of virtual functions", .min = 0, .max = 65535),
};
const struct record_type numvfs_params_type =
	RECORD_TYPE("Host.hostdevChangeNumvfs", NULL, struct numvfs_params, numvfs_fields, "Parameters of Host.hostdevChangeNumvfs");
