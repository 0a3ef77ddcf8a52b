/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_NET_H
#define BERTH_AGENT_NET_H
/* Networks of this host through netlink. Theory of operation in net.c. */
#include <jansson.h>
#include <stdbool.h>
#include <glib.h>
#include "agent/agent.h"
#include "proto/host.h"
#include "proto/net.h"

struct net *net_new(struct agent *agent, GError **error);
struct net *net_free(struct net *net);
/* Restores the persistent configuration after a boot (bridges that are missing). Worker. */
bool net_restore(struct net *net, GError **error);

/* Fills networks, bridges, bondings, nics, vlans, nameservers, netConfigDirty, lastClientIface (by local address). Worker. */
bool net_capabilities(struct net *net, const char *local_address, struct host_caps *caps, GError **error);
/* name -> counters, and the sums of drops. Worker. */
bool net_statistics(struct net *net, struct host_stats *stats, GError **error);
/*
 * The bridge a VM's NIC is plugged into: ERR_BAD_BRIDGE... when the network is unknown or has no bridge. *ret_tag: -1, a bridge of the kernel; else one of
 * Open vSwitch, and the VLAN of the NIC's port, which libvirt makes there. ret_tag NULL: one of Open vSwitch will not do, ERR_UNSUPPORTED_OPERATION.
 * Worker. g_free.
 */
char *net_bridge_of(struct net *net, const char *network, int *ret_tag, GError **error);
/* The link below a network without a bridge, which machines attach to directly (macvtap): ERR_BAD_BRIDGE when it is unknown or has one. Worker. g_free. */
char *net_link_of(struct net *net, const char *network, GError **error);
/* The host's end of a VM's NIC into a bridge ("": into none). Worker. (tap.c) */
bool net_tap_bridge(struct net *net, const char *tap, const char *bridge, GError **error);
/* No limit on what passes the tap: what is left of one that could not be set up whole. Worker. */
void net_tap_unlimit(struct net *net, const char *tap);
/* The tap gets a copy of all that these bridges (char *; NULL: none) carry, and of no others; when that fails, of none. Worker. (mirror.c) */
bool net_tap_mirror(struct net *net, const char *tap, const GPtrArray *bridges, GError **error);
/* Ends copies to taps that are gone. Worker. */
void net_mirror_sweep(struct net *net);
/* The tap of the NIC with this hardware address, which will come, gets a copy of these bridges at once; NULL: has come, or will not. Worker. */
void net_mirror_expected(struct net *net, const char *mac, GPtrArray *bridges);
/* What a machine's NIC is called on this host when it has policies from the start; NULL: no MAC. g_free (port.c) */
char *net_port_name(const char *mac);
/*
 * From now on these policies (what they are: port.c) hold for the tap, which need not be there yet, all at once; NULL or {}: none.
 * ERR_INVALID_PARAMETER naming the member, ERR_FAILED_IFUP: nothing changed. Worker.
 */
bool net_port_set(struct net *net, const char *tap, const char *mac, const json_t *policies, GError **error);
/* Can a NIC in that bridge, which need not be there yet, have these policies? ERR_INVALID_PARAMETER. Worker. */
bool net_port_check(const char *bridge, const json_t *policies, GError **error);
/* Nothing passes the tap until its policies are set again: it is about to go into another bridge, where its VLANs are not set yet. Worker. */
bool net_port_hold(struct net *net, const char *tap, GError **error);
/*
 * What the rules of the tap, which has these policies, have counted since they were set: {"acls": [as in policies], "macGuard", ..., "vlan", "isolated",
 * "tagged", "answers", "waiting": {"packets", "bytes"}}, those that there are. New reference; NULL + ERR_FAILED_IFUP. Worker. (port_counts.c)
 */
json_t *net_port_counts(const char *tap, const json_t *policies, GError **error);
/* A tap that was to come has come, or has been and is gone. Any thread. */
void net_port_settled(struct net *net, const char *tap);
/* A tap goes and comes again: what holds for it stays until net_port_settled(). Any thread. */
void net_port_expected(struct net *net, const char *tap);
/* Forgets policies of taps that are gone. Worker. */
void net_port_sweep(struct net *net);
bool net_config_dirty(struct net *net);
/*
 * End points (endpoint.c). Those of begin and get are the caller's own copies, to be changed by nobody else between begin and end; with get, and in all,
 * as they are told: with the counters of their links. Workers; create, modify and delete on the lane of networks.
 */
struct net_endpoint;
struct net_endpoint *net_endpoint_get(struct net *net, const char *id, GError **error);          /* ERR_BAD_NIC: no such one. record_unref */
GPtrArray *net_endpoint_all(struct net *net);
struct net_endpoint *net_endpoint_begin(struct net *net, const char *id, GError **error);        /* also ERR_RESOURCE_UNAVAILABLE: somebody is at it */
void net_endpoint_end(struct net *net, struct net_endpoint *endpoint);                           /* NULL: nothing */
bool net_endpoint_create(struct net *net, struct net_endpoint *endpoint, GError **error);        /* with id and mac; the rest is filled in */
bool net_endpoint_modify(struct net *net, const struct net_endpoint *wish, GError **error);      /* the members that are there */
bool net_endpoint_delete(struct net *net, struct net_endpoint *endpoint, GError **error);        /* of begin */
bool net_endpoint_note(struct net *net, struct net_endpoint *endpoint, const char *vm_id, GError **error);       /* attached to that VM, NULL: to none */
bool net_endpoint_enter(struct net *net, struct net_endpoint *endpoint, const char *space, const char *link, GError **error);
bool net_endpoint_leave(struct net *net, struct net_endpoint *endpoint, GError **error);

/* A client can still reach this host (Host.confirmConnectivity, Host.ping): releases a waiting setupNetworks. Any thread, never blocks long. */
void net_confirm(struct net *net);

#endif
