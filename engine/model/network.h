/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_NETWORK_H
#define BERTH_ENGINE_MODEL_NETWORK_H
/* Logical networks (REST chapter 11) and which clusters have them (10.7.1). */
#include "common/record.h"

#define MANAGEMENT_NETWORK "ovirtmgmt"
#define MANAGEMENT_NETWORK_ID "00000000-0000-0000-0000-000000000009"       /* of the data center Default */

enum network_state { NETWORK_OPERATIONAL, NETWORK_NON_OPERATIONAL, NETWORK_STATE_MAX };
extern const char *const network_state_names[];
extern const char *const network_usage_names[];              /* vm, display, migration, management, gluster */

struct network {
	struct record record;
	char *id, *name, *description, *comment;
	struct ref data_center;
	struct ref cluster;                  /* only as a cluster shows it */
	int vlan;
	bool stp;
	int mtu;                             /* 0: default */
	int state;                           /* enum network_state */
	struct ref qos;                      /* of class hostnetwork: how hosts send on it; absent: no limits */
	bool display, required;              /* required: only as a cluster shows it */
	GPtrArray *usages;                   /* strings of network_usage_names */
	char *ip_address, *ip_netmask, *ip_gateway;
	bool profile_required;
	bool management;                     /* INTERNAL: cannot be removed */
	char *label;                         /* INTERNAL: shown as the one member of the sub-collection labels */
};
extern const struct record_type network_type;
/* The same rows with other flags (a record of one may become one of the others: record.type): what POST takes in
 * /datacenters/{}/networks and /clusters/{}/networks, where a network may be named by id or name. */
extern const struct record_type datacenter_network_type;
extern const struct record_type cluster_member_network_type;

/* A cluster has a network. Kind "clusternetworks", parent: cluster. Shown as a network. */
struct cluster_network {
	struct record record;
	char *id, *name;                     /* no name */
	struct ref cluster, network;
	bool required, display;
	GPtrArray *usages;
};
extern const struct record_type cluster_network_type;

#endif
