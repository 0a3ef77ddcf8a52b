/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_NET_H
#define BERTH_PROTO_NET_H
/* Networks of a host: what Host.setupNetworks is sent and what is told of them. Capabilities and statistics are in proto/host.h. */
#include "common/record.h"

struct host_setup_networks_params { struct record record; json_t *networks, *bondings, *options; };
extern const struct record_type host_setup_networks_params_type;

/* Addresses of one family that machines of a network get from this host. */
struct subnet_config {
	struct record record;
	char *prefix, *gateway, *pool, *domain;
	GPtrArray *other_pools, *dns, *reservations;
	int lease_time;
};
/* A network over others: VXLAN between hosts. */
struct overlay_config { struct record record; char *local, *group, *dev; GPtrArray *remotes; int vni, port; };
extern const struct record_type overlay_config_type;
struct reservation_config { struct record record; char *mac, *address, *name; };
extern const struct record_type subnet_config_type, reservation_config_type;

/* One network of setupNetworks. remove: all other members are ignored. */
struct network_config {
	struct record record;
	char *bonding, *nic, *bootproto, *ipaddr, *netmask, *gateway, *ipv6addr, *ipv6gateway, *switch_type, *forward;
	int vlan, mtu;
	bool bridged, stp, default_route, remove, dhcpv6, ipv6autoconf;
	GPtrArray *nameservers, *roles, *subnets;
	struct overlay_config *overlay;
	json_t *custom, *host_qos, *port_forwards, *outbound_nat;
};
extern const struct record_type network_config_type;

/* One bond of setupNetworks. remove: all other members are ignored. */
struct bond_config {
	struct record record;
	GPtrArray *nics;
	char *options, *hwaddr, *switch_type;
	bool remove;
};
extern const struct record_type bond_config_type;

/* The network part of host_caps and of host_stats, under the same names. */
struct network_caps {
	struct record record;
	json_t *networks, *bridges, *bondings, *nics, *vlans, *nameservers;
	bool supports_ipv6, openvswitch;
	char *net_config_dirty, *last_client_iface;
};
extern const struct record_type network_caps_type;

struct network_stats {
	struct record record;
	json_t *network;
	int64_t rx_dropped, tx_dropped;
};
extern const struct record_type network_stats_type;

struct lldp_params { struct record record; json_t *filter; };
extern const struct record_type lldp_params_type;

struct numvfs_params { struct record record; char *device_name; int numvfs; };
extern const struct record_type numvfs_params_type;

#endif
