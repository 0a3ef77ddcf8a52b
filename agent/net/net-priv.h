/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_NET_NET_PRIV_H
#define BERTH_AGENT_NET_NET_PRIV_H
/* What the files of agent/net share; nothing else includes this, but its unit tests. */
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include "agent/net/net.h"
#include "common/error.h"
#include "common/lock.h"
#include "proto/endpoint.h"

/* ---- netlink.c: the kernel's state ---- */
/* "192.0.2.1/24"; broadcast: "" when none; learned: by router advertisements */
struct net_address { int family; char *text, *broadcast; bool link_local, learned; };
/* destination: "default" or "10.0.0.0/8"; gateway "-": none; protocol: RTPROT_*. Those with a gateway of table main, and ours (NET_PROTOCOL) of others */
struct net_route { int family; char *destination, *gateway; uint32_t metric, table; unsigned protocol; uint32_t object; };
/*
 * What somebody put there, in whatever table: a route, a next-hop object, an address. raw is the kernel's message, source the route's address (NULL: any),
 * route.object the number of the object that it is or uses (0: none). See foreign.c
 */
struct net_hop { int index; char *link, *gateway; };
struct net_foreign { int type; struct net_route route; char *source; GPtrArray *hops; GBytes *raw; };
#define NET_PROTOCOL 66                   /* of our rules and the routes of their tables: tells them from those of others */
struct net_link {
	int index, master, lower;        /* master, lower (device below): index, 0: none */
	int vlan;                        /* id, of a VLAN */
	char *name, *kind, *mac;         /* kind: "" hardware, "bridge", "bond", "vlan", "veth", "tun", ... */
	unsigned flags;                  /* IFF_* */
	int type;                        /* ARPHRD_* */
	uint32_t mtu, max_mtu;           /* max_mtu 0: not told */
	bool running, made, auto_mtu;    /* made: by this plan; auto_mtu: a bridge of this plan, which takes the least of its ports */
	int accept_ra;                   /* of IPv6; -1: not told */
	GHashTable *options;             /* of bridges and bonds, see options.c; else NULL */
	char *vlans;                     /* "10-29,40", of a port that is not in its bridge's default VLAN; NULL: it is, or does not tell */
	char *permanent_mac, *active_slave, *partner_mac;       /* of slaves; of bonds. NULL: none */
	int aggregator;                  /* 802.3ad, of bonds and slaves; 0: none */
	uint64_t rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped;
	GPtrArray *addresses, *routes, *peers;        /* peers: of a VXLAN, texts */
	GPtrArray *foreign;              /* struct net_foreign: all routes but the kernel's own; some are in routes, too. What needs others is before them */
	GPtrArray *learned;              /* struct net_foreign: by router advertisements; default routes are in routes, too */
};
/* rules: ours, texts "from 192.0.2.0/24 table 7", "fwmark 7 table 7". resolv: content of resolv.conf, NULL: not read */
/* nft: digest of our table, "": none; NULL: not read, plan.c does when it needs it. forwarding: IPv4 */
/* ovs: of net_ovs_read(), NULL: not read, likewise */
struct net_state { GPtrArray *links, *rules; char *resolv, *nft; bool forwarding; json_t *ovs; };
struct netlink;
struct netlink *netlink_new(GError **error);
struct netlink *netlink_free(struct netlink *netlink);
struct net_state *net_state_read(struct netlink *netlink, bool addresses, GError **error);
struct net_state *net_state_new(void);                                        /* empty, for tests */
struct net_link *net_state_add(struct net_state *state, const char *name, const char *kind);
struct net_state *net_state_free(struct net_state *state);
struct net_link *net_state_link(const struct net_state *state, const char *name);
struct net_link *net_state_index(const struct net_state *state, int index);
bool net_link_is_nic(const struct net_link *link);
void net_link_add_address(struct net_link *link, const char *text);
/* Speed in Mb/s (0: unknown) and "full", "half", "unknown". */
void net_link_speed(const char *name, int *ret_speed, const char **ret_duplex);
bool net_mac_parse(const char *text, uint8_t *ret_mac);
char *net_mac_text(const uint8_t *mac);
/* Sends and frees the message; 0 or the kernel's errno. */
struct nl_msg;
int netlink_transact(struct netlink *netlink, struct nl_msg *message);
/* Sends and frees the message, which asks for a dump; each answer goes to on_message (NL_OK). 0 or libnl's error. */
int netlink_dump(struct netlink *netlink, struct nl_msg *message, int (*on_message)(struct nl_msg *message, void *data), void *data);

/* ---- netlink_change.c: single changes. 0, or the kernel's errno ---- */
int netlink_link(struct netlink *netlink, const char *name, const char *text, bool add);   /* "KIND name=value ...", see there */
/* A veth, whose other end is called peer in the network namespace. */
int netlink_veth(struct netlink *netlink, const char *name, int space, const char *peer, const char *peer_mac);
int netlink_link_delete(struct netlink *netlink, const char *name);
int netlink_address(struct netlink *netlink, const char *name, const char *address, bool add);     /* "192.0.2.1/24 brd 192.0.2.255" */
int netlink_route(struct netlink *netlink, const char *name, const char *route, bool add); /* "default via 192.0.2.254 metric 0 proto 4 table 254" */
int netlink_peer(struct netlink *netlink, const char *name, const char *peer, bool add);   /* of a VXLAN: "192.0.2.7" */
int netlink_rule(struct netlink *netlink, const char *rule, bool add);                     /* as in net_state */
int net_set_accept_ra(const char *name, const char *value);
int net_set_forwarding(const char *value);                                    /* IPv4, of the whole host */
/* Where the resolver's file is; another one in tests. Replaced as a whole. */
extern const char *net_resolv_path;
int net_write_resolv(const char *content);

/* ---- foreign.c: what others put on links, and what routers told ---- */
struct nlattr;
struct nlmsghdr;
void net_foreign_free(void *foreign);
bool net_foreign_is_shared(const struct net_foreign *foreign);                /* it is about other links, too: the kernel alone takes it away */
/* For what reads the state: of a message and its attributes. link NULL: several hops */
void net_foreign_route(const struct net_state *state, struct net_link *link, const struct net_route *route, struct nlmsghdr *header, struct nlattr **a);
void net_foreign_address(struct net_link *link, struct nlmsghdr *header, struct nlattr **a);      /* the last of its addresses */
int net_foreign_objects(struct netlink *netlink, struct net_state *state);    /* when links are known. 0 or libnl's error */
/* For steps; with the hops that are used (uses NULL: all). g_free */
char *net_foreign_text(const struct net_foreign *foreign, bool (*uses)(const struct net_hop *hop, void *data), void *data);
char *net_foreign_plain(const char *text);                                    /* of a step's text, for people: "10.0.0.0/8 via 192.0.2.9 ...". g_free */
int net_foreign_set(struct netlink *netlink, const char *link, const char *text, bool add);       /* 0 or errno */
void net_solicit(const char *link);                                           /* asks routers to tell about themselves */

/* ---- options.c ---- */
/* The options of a request, name -> value as the kernel tells it. NULL + error */
GHashTable *net_bond_options(const char *name, const char *text, GError **error);
GHashTable *net_bridge_options(const char *name, const char *text, GError **error);
GHashTable *net_options_read(const char *kind, struct nlattr *data);          /* NULL: kind has none */
bool net_option_put(struct nl_msg *message, const char *kind, const char *name, const char *value);
/* " mode=1 miimon=100": those that a new link does not have by itself, in the order of the tables. g_free */
char *net_options_text(const char *kind, GHashTable *options);
const char *net_option_standard(const char *kind, const char *name);
bool net_option_live(const char *kind, const char *name);

/* ---- address.c ---- */
#define NET_IPV6_MTU_MIN 1280             /* RFC 8200; on a link with less the kernel has no IPv6 */
struct net_prefix { int family; union { struct in_addr v4; struct in6_addr v6; } address; unsigned length; };
bool net_prefix_parse(const char *text, struct net_prefix *ret_prefix);       /* "192.0.2.1/24", "2001:db8::1/64" */
char *net_prefix_text(const struct net_prefix *prefix);
char *net_prefix_network(const char *text);                                   /* "192.0.2.0/24" of "192.0.2.1/24" */
bool net_prefix_contains(const struct net_prefix *prefix, const char *address);
int net_mask_length(const char *netmask);                                     /* "255.255.255.0" or "24"; -1: bad */
char *net_mask_text(unsigned length);                                         /* "255.255.255.0" */
/* "80,443,1000-2000" as an array of struct net_range, each 1 to max; NULL: it is no such list. g_array_unref */
struct net_range { unsigned from, to; };
GArray *net_ranges_parse(const char *text, unsigned max);
bool net_given(const char *text);                                             /* not NULL and not "" */
/* Checks one network of a request by itself: ERR_BAD_PARAMS, ERR_BAD_ADDR, ERR_BAD_VLAN..., ERR_UNSUPPORTED_OPERATION naming the member. */
bool net_check_config(const char *name, const struct network_config *config, GError **error);
bool net_check_bond(const char *name, const struct bond_config *config, GError **error);
/* Of network, bond or options "kind 'name'": absent or legacy; ERR_UNSUPPORTED_OPERATION */
bool net_check_switch(const char *kind, const char *name, const char *switch_type, GError **error);
/* The address of the config as "192.0.2.1/24", in the kernel's spelling; NULL: none. g_free */
char *net_config_ipv4(const struct network_config *config);
char *net_config_ipv6(const struct network_config *config);
/* The nic, bond or VLAN of a network that has one. g_free */
char *net_config_link(const struct network_config *config);

/* ---- config.c: what is wanted, and the files that keep it ---- */
struct net_config {
	GHashTable *networks, *bonds;    /* name -> struct network_config, struct bond_config */
	json_t *host;                    /* what the host had before networks changed it: {forwarding: false, nameservers: [...]}; absent: not changed */
};
/* json: {"networks", "bonds", "host"} as in the files; what is bad is logged. leases (may be NULL): what networks with DHCP were given, see dhcp.c */
struct net_config *net_config_new(const json_t *json, const json_t *leases);
struct net_config *net_config_free(struct net_config *config);

/* Notes in json, {"networks", "bonds", "host"}, what the steps changed of the host's own. (steps.c) */
void net_note_host(json_t *json, const GPtrArray *steps);
/* The name servers of a resolver's file (NULL: none). New reference. (capabilities.c) */
json_t *net_nameservers(const char *resolv);

/* A record of a request or file; what it does not know is logged at debug. NULL + ERR_BAD_PARAMS naming kind and name */
void *net_parse(const struct record_type *type, const char *name, const json_t *json, GError **error);

/* ---- nft.c: networks behind this host ---- */
bool net_check_forward(const char *name, const struct network_config *config, GError **error);
/* Output of commands, one transaction; NULL: it failed, *ret_problem (may be NULL) says why. g_free both */
char *net_nft_run(const char *command, char **ret_problem);
bool net_nft_check(const char *command, char **ret_problem);                  /* Would the kernel take it? Nothing is changed. */
/* Of a network with forward nat: its connections' mark and the table of its routes. 0: it is none */
uint32_t net_nat_mark(const struct net_config *config, const char *name);
#define NET_NAT_TABLE(mark) (0xff0000 | (mark & 0xffff))      /* no number of topology.c's: 0.255/16 has no addresses */
char *net_nat_vip(const struct network_config *config);                       /* "192.0.2.50/32"; NULL: none. g_free */
/* The text of our table for all of them, "": none is needed. NULL + error. g_free */
char *net_nft_ruleset(const struct net_config *config, GError **error);
/*
 * Rules for the place where bridges' connections are not tracked yet, "add rule CHAIN ..." each, "": none is needed: what comes in from a network is in
 * that network's zone there already. Where bridges track, too, the host does not look a second time. g_free
 */
char *net_nft_bridge_zones(const struct net_config *config, const char *chain);
char *net_nft_digest(const char *ruleset);
char *net_nft_read(void);                                                     /* digest of the table that is there; "": none. g_free */
int net_nft_write(const char *ruleset);                                       /* in the place of what is there. 0 or errno */

/* ---- overlay.c: networks over others ---- */
bool net_check_overlay(const char *name, const struct network_config *config, GError **error);
char *net_overlay_link(const struct overlay_config *overlay);                 /* name of its VXLAN. g_free */
GHashTable *net_overlay_options(const struct overlay_config *overlay);        /* as of options.c */
GPtrArray *net_overlay_peers(const struct overlay_config *overlay);           /* texts as the kernel spells them */

/* ---- qos.c: what networks on one nic or bond may send ---- */
bool net_check_qos(const char *name, const struct network_config *config, GError **error);
/* Adds the network's share, if it has one, to those of its nic or bond; *shares NULL: the first. Checked before. */
void net_qos_add(GArray **shares, const char *name, const struct network_config *config);
/* The text that steps carry, "": none (shares NULL); the rest of the nic's traffic gets its share here. g_free */
char *net_qos_text(GArray *shares);
/* Whether the kernel has what text says. FOREIGN: a root qdisc of somebody else, *ret_kind (may be NULL; g_free). Of "": nothing of ours. */
enum net_qos { NET_QOS_SAME, NET_QOS_OTHER, NET_QOS_FOREIGN };
enum net_qos net_qos_look(const char *link, const char *text, char **ret_kind);
int net_qos_set(const char *link, const char *text);                          /* in the place of what is there of ours. 0 or errno */

/* What the running network of this bridge is on, and what it may send over it (bytes/s; 0: unknown). NULL: nothing, as networks of others. (qos.c) */
const struct net_link *net_qos_uplink(struct net *net, const struct net_state *state, const struct net_link *bridge, uint64_t *ret_rate);

/* ---- tc.c ---- */
#define NET_TC_HANDLE (5001u << 16)       /* of queueing disciplines of ours */
struct nl_sock;
struct rtnl_qdisc;
struct rtnl_class;
struct net_htb { uint64_t rate, ceiling, burst, ceiling_burst; uint32_t quantum; };       /* bytes/s, bytes; burst 0: as libnl thinks */
struct nl_sock *net_tc_socket(GError **error);
struct rtnl_qdisc *net_tc_qdisc(int link, uint32_t parent, uint32_t handle, const char *kind);
struct rtnl_qdisc *net_tc_clsact(int link);
bool net_tc_has_clsact(struct nl_sock *sock, int link);
/* Kind of the root qdisc, "": none that somebody chose; whether it is ours. g_free */
char *net_tc_root(struct nl_sock *sock, int link, bool *ret_ours);
void net_tc_remove_root(struct nl_sock *sock, int link);                      /* ours */
struct rtnl_class *net_tc_class(int link, uint32_t parent, unsigned id, const char *kind);
int net_tc_htb(struct nl_sock *sock, int link, uint32_t parent, unsigned id, const struct net_htb *htb, int flags);     /* 0 or libnl's error */
/* Fair among the flows of a class; where the kernel has no fq_codel, first come first served. */
void net_tc_leaf(struct nl_sock *sock, int link, unsigned id);

/* ---- port_qos.c: what machines may send and get; theory of operation there ---- */
struct net_rate { uint64_t limit, peak, burst, reservation; unsigned weight; };           /* bytes/s, bytes; 0: not given */
struct net_port_qos { struct net_rate in, out; };
bool net_port_qos_parse(const json_t *json, struct net_port_qos *ret_qos, GError **error);        /* ERR_INVALID_PARAMETER naming the member */
/* For a tap that is there. ERR_INVALID_PARAMETER, ERR_FAILED_IFUP */
bool net_port_qos_set(struct net *net, const char *tap, const struct net_port_qos *qos, GError **error);
void net_port_qos_sweep(struct net *net);         /* what is left of taps that are gone; networks may have another rate now */

/* ---- ovsdb.c: a connection to Open vSwitch's database. ERR_OVS_CONNECTION. Workers ---- */
extern const char *net_openvswitch_path;          /* of its socket, in tests; NULL: db.sock in OVS_RUNDIR, as for its own tools, or /run/openvswitch */
extern int64_t net_openvswitch_usec;                                          /* how long it, and ovs-vswitchd, may take; less in tests */
bool net_has_openvswitch(void);                                               /* it runs. Does not block */
struct ovsdb;
struct ovsdb *ovsdb_new(GError **error);                                      /* does not block */
struct ovsdb *ovsdb_free(struct ovsdb *db);
int ovsdb_fd(const struct ovsdb *db);
/* The result (new reference); params and operations are taken over. NULL + error */
json_t *ovsdb_call(struct ovsdb *db, const char *method, json_t *params, int64_t limit_usec, GError **error);
/* One transaction: a result of each operation. *ret_waited (may be NULL): it was a "wait" that did not come true. Also ERR_FAILED_IFUP */
json_t *ovsdb_transact(struct ovsdb *db, json_t *operations, int64_t limit_usec, bool *ret_waited, GError **error);
bool ovsdb_send(struct ovsdb *db, const char *method, json_t *params, GError **error);   /* not waiting for the answer. Does not block */
json_t *ovsdb_next(struct ovsdb *db, GError **error);                         /* a message that has come; NULL: none, or + error. Does not block */

/* ---- ovs.c: bridges of Open vSwitch; theory of operation there ---- */
/* name -> {"ours", "ports": {name: {"ours", "interfaces", ...}}}. NULL + ERR_OVS_CONNECTION. Worker */
json_t *net_ovs_read(GError **error);
/* Makes the bridge so; strict: also looks whether what goes is in use (ERR_RESOURCE_UNAVAILABLE), and whether all could be made. Worker */
bool net_ovs_set(const char *name, const char *text, bool strict, bool waits, GError **error);
bool net_ovs_ready(GError **error);                                           /* ovs-vswitchd makes what is wanted. Worker */
const char *net_ovs_user(const json_t *bridge, const char *tag);              /* a port of others of this VLAN (NULL: any); NULL: none */

/* ---- ovs_watch.c: what changes in Open vSwitch ---- */
struct net_ovs_watch;
struct net_ovs_watch *net_ovs_watch_new(struct loop *loop, void (*changed)(void *data), void *data);
struct net_ovs_watch *net_ovs_watch_free(struct net_ovs_watch *watch);
void net_ovs_watch_set(struct net_ovs_watch *watch, const struct net_config *config);     /* it watches while there are networks of it. Any thread */

/* ---- topology_ovs.c ---- */
struct net_want;
struct net_topology;
bool net_is_ovs(const char *switch_type);
bool net_check_ovs(const char *name, const struct network_config *config, GError **error);        /* ERR_UNSUPPORTED_OPERATION naming the member */
bool net_check_ovs_bond(const char *name, const struct bond_config *config, GError **error);
char *net_ovs_bridge(const char *name, const struct network_config *config);  /* that the network is in. g_free */
int net_ovs_tag(const struct network_config *config);                         /* of its ports; 0: no VLAN */
bool net_ovs_add_bond(struct net_topology *topology, const char *name, const struct bond_config *config, GError **error);
struct net_want *net_ovs_add_network(struct net_topology *topology, const char *name, const struct network_config *config, GError **error);

/* ---- topology.c: the links that a configuration needs ---- */
struct net_want {
	const char *kind;                /* "" nic (or bond of others), "bond", "vlan", "vxlan", "bridge"; of Open vSwitch: "ovsbridge", "ovs" (a port) */
	char *name, *lower, *master;     /* lower, master: "" none */
	char *dhcp, *dhcpv6;             /* keys of the leases whose addresses are here; NULL: none */
	char *untagged;                  /* network that is on it without a VLAN; NULL: none */
	int vlan;
	unsigned mtu;
	char *mac;                       /* "" any */
	bool top, autoconf;              /* top: the host's addresses of its network are here */
	bool is_bond;                    /* of kind "": a bond of others */
	bool nat;                        /* the top of a network behind this host: its addresses may be those of another one */
	char *vip;                       /* "192.0.2.50/32": a further address, of outboundNat; NULL: none */
	bool mute;                       /* takes no part in ARP */
	char *ovs;                       /* of nics and of "ovs": the bridge of Open vSwitch that it is in; NULL: none */
	char *bond;                      /* of "ovsbridge": its bond; NULL: none */
	json_t *ports;                   /* of "ovsbridge": as ovs.c has them, without what is chosen when they are made */
	GHashTable *options;             /* name -> value; may be NULL */
	GArray *shares;                  /* of qos.c; NULL: none */
	char *qos;                       /* text of STEP_QOS; "" none */
	GHashTable *users;               /* names of networks and bonds that need it (a set) */
	GPtrArray *addresses, *routes, *rules, *peers;     /* texts as in steps */
};
struct net_topology {
	GPtrArray *wants;                /* nics, bonds, vlans, bridges; each by name */
	GHashTable *index;               /* name -> struct net_want */
	char *resolver;                  /* the network with the default route; NULL: none */
	GPtrArray *nameservers;          /* its; NULL: none of ours */
	char *ruleset;                   /* of nft.c */
	GHashTable *behind;              /* names of the networks it is about (a set) */
};
struct net_want *net_want_find(const struct net_topology *topology, const char *name);
struct net_want *net_want_add(struct net_topology *topology, const char *kind, const char *name);
/* NULL + error naming what contradicts what. */
struct net_topology *net_topology_new(const struct net_config *config, GError **error);
struct net_topology *net_topology_free(struct net_topology *topology);

/* ---- steps.c ---- */
enum net_step_kind {
	STEP_LINK_ADD, STEP_LINK_DELETE, STEP_LINK_SET, STEP_ACCEPT_RA, STEP_ADDRESS_ADD, STEP_ADDRESS_DELETE, STEP_ROUTE_ADD, STEP_ROUTE_DELETE,
	STEP_RULE_ADD, STEP_RULE_DELETE, STEP_PEER_ADD, STEP_PEER_DELETE, STEP_RESOLV, STEP_FORWARDING, STEP_RULESET, STEP_QOS,
	STEP_OVS,                                     /* a bridge of Open vSwitch as ovs.c has it */
	STEP_FOREIGN_AWAY, STEP_FOREIGN_BACK,         /* a route of somebody else (foreign.c, plan_away.c) */
	STEP_LEARNED_AWAY, STEP_LEARNED_BACK,         /* what routers told */
	STEP_KIND_MAX
};
struct net_step { enum net_step_kind kind; char *link, *value, *old; };
#define NET_STEP_LOST "lost"             /* old, of a route that goes away and does not come back */
void net_steps_warn(const GPtrArray *steps);                                  /* in the log: what was lost */
void net_step_free(void *step);
void net_step_add(GPtrArray *steps, enum net_step_kind kind, const char *link, const char *value, const char *old);      /* texts may be NULL: "" */
json_t *net_steps_to_json(const GPtrArray *steps);
GPtrArray *net_steps_from_json(const json_t *json);
/* [{"link", "property", "expected", "actual"}]: what steps would change. New reference */
json_t *net_steps_differences(const GPtrArray *steps);

/* ---- plan.c ---- */
/*
 * Steps from state to what `after` wants, for the networks and bonds in `touched` (a set of names) and the links they need; before: what was set up
 * by us. state is changed to what it will be. NULL + error: nothing to be done
 */
GPtrArray *net_plan(struct net_state *state, const struct net_config *before, const struct net_config *after, GHashTable *touched, GError **error);

/* ---- apply.c ---- */
extern void (*net_before_step)(unsigned n);       /* tests only: called before each step and, with n = number of steps, after the last */
/* All steps from `from` on in order, or none of them: what was done is undone; *ret_undone (may be NULL, set when it failed): as net_undo(). */
bool net_apply(struct netlink *netlink, const GPtrArray *steps, unsigned from, bool *ret_undone, GError **error);
/* Undoes steps n-1 .. 0, which may have been done or not. false: those of Open vSwitch could not be, as it does not answer; the others have been */
bool net_undo(struct netlink *netlink, const GPtrArray *steps, unsigned n);

/* ---- child.c: a program that runs beside the agent for one network ---- */
struct net_child_kind {
	const char *what;                /* for messages: "DHCP client" */
	int64_t restart_usec;            /* when one that ended by itself is started again */
	bool (*prepare)(void *data, GStrvBuilder *argv, GError **error);     /* adds its words; [0]: a program that is no daemon */
	void (*heard)(void *data, GString *output);                          /* takes off what it understands */
	void (*ended)(void *data, const char *why);                          /* may be NULL; why NULL: it ended by itself, else could not start */
};
struct net_child;
struct net_child *net_child_new(struct loop *loop, const struct net_child_kind *kind, const char *name, void *data);       /* started */
void net_child_restart(struct net_child *child);
struct net_child *net_child_free(struct net_child *child);                    /* and ended */

/* ---- dhcp.c ---- */
/* Leases are told apart by the network's name, and that and "/ipv6". */
bool net_lease_is_ipv6(const char *lease);
char *net_lease_ipv6(const char *network);                                    /* g_free */
char *net_lease_network(const char *lease);                                   /* g_free */
bool net_lease_wanted(const struct net_config *config, const char *lease);    /* does its network ask for it? */
void net_dhcp_new(struct net *net);
void net_dhcp_free(struct net *net);
/* Starts and stops clients so that there is one for each lease that is wanted. Any thread. */
void net_dhcp_sync(struct net *net, const struct net_config *config);
/* Takes what was offered into the networks: a transaction of its own. Worker. (net.c) */
void net_dhcp_apply(struct net *net);

/* ---- subnet.c: addresses and names that machines get from this host ---- */
bool net_check_subnets(const char *name, const struct network_config *config, GError **error);
char *net_subnets_text(const char *name, const struct network_config *network);      /* dnsmasq's configuration; NULL: it has none. g_free */
/* May an end point have the address, "192.0.2.5/24", in this network? ERR_BAD_ADDR, ERR_BAD_PARAMS */
bool net_subnets_check_address(const char *name, const struct network_config *network, const char *mac, const char *ip, const char *host, GError **error);
/* Adds to the configuration that it gets it; nothing when it is in no subnet, or reserved anyway. */
void net_subnets_reserve(const struct network_config *network, const char *mac, const char *ip, const char *host, GString *text);
bool net_subnets_is_name(const char *host);
json_t *net_subnets_leases(const char *content);        /* of dnsmasq's file (NULL: none) -> [{address, mac or duid, until (epoch, s), name}] */

/* ---- server.c: who gives them ---- */
void net_servers_new(struct net *net);
void net_servers_free(struct net *net);
/* Starts and stops servers so that there is one for each network that has subnets. Any thread. */
void net_servers_sync(struct net *net, const struct net_config *config);
/* Until those of the touched networks have started. ERR_FAILED_IFUP: one does not. Worker, while the loop runs. */
bool net_servers_wait(struct net *net, const struct net_config *config, GHashTable *touched, GError **error);
void net_servers_tidy(struct net *net, const struct net_config *config);     /* removes the files of networks without subnets. Worker */
/* Adds to a network of the capabilities: subnets, leases, serving, servingProblem. Any thread. */
void net_servers_describe(struct net *net, const char *name, const struct network_config *network, json_t *object);

/* ---- endpoint.c ---- */
struct net_endpoints;
void net_endpoints_new(struct net *net);
void net_endpoints_free(struct net *net);
void net_endpoints_restore(struct net *net);
/* What the network's server is told of them. Any thread. */
void net_endpoint_reservations(struct net *net, const char *network, const struct network_config *config, GString *text);

/* ---- lldp.c ---- */
struct net_lldp;
struct net_lldp *net_lldp_new(struct loop *loop, GError **error);
struct net_lldp *net_lldp_free(struct net_lldp *lldp);
void net_lldp_refresh(struct net_lldp *lldp);                                 /* listens on nics that are new; the loop's thread */
/* A frame without its Ethernet header as [{type, name, properties, oui, subtype}]; NULL: none. New reference */
json_t *net_lldp_parse(const uint8_t *frame, size_t length, unsigned *ret_seconds);
json_t *net_lldp_tlvs(struct net_lldp *lldp, int index);                      /* of the nic's neighbour, [] when none; new reference */
bool net_lldp_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* ---- capabilities.c, statistics.c, vfs.c: handlers ---- */
bool net_capabilities_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
struct net_rates;
struct net_rates *net_rates_new(void);
struct net_rates *net_rates_free(struct net_rates *rates);
bool net_statistics_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
extern const char *net_pci_devices, *net_class_devices;                       /* other directories in tests */
/* Adds to what is told of a nic: "sriov" {device, totalvfs, numvfs} when it can have virtual functions, "physfn" (name of a nic) when it is one. */
void net_describe_vfs(json_t *object, const char *nic);
bool net_numvfs_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* ---- port.c ---- */
char *net_port_chain(const char *way, const char *tap);                       /* of a tap's rules, in, out or across. g_free */

void net_pending_free(void *pending);
/* A link has come: what waited for it is set. Whether any still waits. Worker. */
bool net_ports_look(struct net *net);
void net_port_zones(struct net *net);             /* networks have changed: stateful rules are about the connections of each of them */

/* ---- port_vlan.c: VLANs of machines' ports; theory of operation there ---- */
#define NET_VLAN_MAX 4094u
#define NET_VLAN_BYTES 512
struct net_vlan {
	bool given, trunk;               /* not given: the bridge's default VLAN */
	unsigned untagged;               /* VLAN of what has no tag; 0: that is refused */
	uint8_t ids[NET_VLAN_BYTES];     /* bit set of all it is in, untagged with them */
};
bool net_vlan_parse(const json_t *json, struct net_vlan *ret_vlan, GError **error);        /* ERR_INVALID_PARAMETER naming the member */
void net_vlan_rules(GString *text, const char *rule, const struct net_vlan *vlan);         /* each begins with rule: what is not of them is dropped */
/* Can a port of that bridge, if it is there, have them? ERR_INVALID_PARAMETER */
bool net_vlan_bridge(const char *name, const struct net_vlan *vlan, GError **error);
/* ABSENT: it has some to be set, and is in no bridge yet; OTHER: it is in other VLANs; with set it is put into these. ERR_INVALID_PARAMETER, ERR_FAILED_IFUP */
enum net_port_state { NET_PORT_ABSENT, NET_PORT_SET, NET_PORT_OTHER };
bool net_vlan_port(struct net *net, const char *tap, const struct net_vlan *vlan, bool set, enum net_port_state *ret_state, GError **error);
int net_vlan_note(struct netlink *netlink, struct net_state *state);          /* link->vlans. 0 or libnl's error */
/* After networks have changed: their links are in the VLANs of their ports. */
void net_vlan_uplinks(struct net *net);

/* ---- mirror.c: whose traffic is copied to whom; theory of operation there ---- */
/*
 * All that the port with this hardware address sends and gets is copied to the NIC or end point with the other (to; NULL: to nobody), as soon as they are
 * there. ERR_INVALID_PARAMETER, ERR_FAILED_IFUP: nothing changed
 */
bool net_mirror_port(struct net *net, const char *tap, const char *mac, const char *to, GError **error);
void net_mirror_forget(struct net *net, const char *tap);                     /* which is gone */
void net_mirrored_free(void *port);
bool net_mirrors_look(struct net *net);                                       /* as net_ports_look(), also when one has gone */

/* ---- watch.c ---- */
struct net_watch;
/* changed: see there; port: the host's end of a machine's or container's NIC has come, changed or gone. On the loop. */
struct net_watch *net_watch_new(struct loop *loop, void (*changed)(void *data), void (*port)(void *data), void *data, GError **error);
struct net_watch *net_watch_free(struct net_watch *watch);

/* ---- net.c ---- */
void net_ports_await(struct net *net);                                        /* before something is wanted of a port: links that come matter. Any thread */
struct net {
	struct agent *agent;
	char *directory;                 /* state_dir/net */
	pthread_mutex_t lock;            /* guards what follows but clients and watch */
	pthread_cond_t confirm;
	bool confirmed;
	pthread_rwlock_t telling;        /* taken before lock; for writing: links and what is wanted of them do not fit together. Guards the next two */
	json_t *trying, *trying_leases;  /* as running and leases: what the kernel has been made to have, and is not yet kept. NULL: nothing */
	bool same_boot;                  /* running.json was of this boot when the agent started */
	json_t *running, *persistent;    /* {"version": 1, "boot_id": ..., "networks": {}, "bonds": {}}; replaced, never changed */
	json_t *leases, *offered;        /* key -> {ip, mask, gateway, nameservers, until (epoch, s)}; offered: not yet looked at, null: lost */
	GHashTable *clients, *servers;   /* of DHCP; the loop's thread only */
	json_t *serving;                 /* network -> {text, problem}: servers that have started, or did not (server.c) */
	struct net_endpoints *endpoints;
	struct net_watch *watch;
	struct net_ovs_watch *ovs_watch;
	struct net_lldp *lldp;
	struct net_rates *rates;
	GHashTable *pending_ports;       /* names of taps that have rules and will come -> what they wait for (port.c) */
	GHashTable *mirrored_ports;      /* names of taps whose traffic is copied -> to whom (mirror.c) */
	GHashTable *mirrored_nics;       /* hardware address -> bridges whose traffic it gets, until its tap is there (mirror.c) */
	int awaits_ports, looks_at_ports;       /* atomic: links that come or go matter, not 0, another number with each wish; a job that looks is queued */
};
/* {"networks", "bonds", "host"} of the running configuration; new reference. (config.c) */
json_t *net_running(struct net *net);
struct net_config *net_running_config(struct net *net);                       /* the same, with the leases. net_config_free */
struct net_config *net_tried_config(struct net *net);                         /* what links should be as now; telling is held. net_config_free */
bool net_write_running(struct net *net, json_t *config, GError **error);      /* takes over {"networks", "bonds", "host"} */
bool net_write_leases(struct net *net, json_t *leases, GError **error);       /* takes over key -> lease */
json_t *net_leases(struct net *net);                                          /* new reference, not to be changed */
bool net_write_persistent(struct net *net, GError **error);                   /* as the running one is */
bool net_config_load(struct net *net);                                        /* false: of another boot, running is now the persistent one (in memory) */

#endif
