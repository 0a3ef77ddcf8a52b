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

/* ---- netlink.c: the kernel's state and single changes of it ---- */
struct net_address { int family; char *text, *broadcast; bool link_local; };     /* "192.0.2.1/24"; broadcast: "" when none */
struct net_route { int family; char *destination, *gateway; uint32_t metric; unsigned protocol; };
/* destination: "default" or "10.0.0.0/8"; only routes with a gateway; protocol: RTPROT_* */
struct net_link {
	int index, master, lower;        /* master, lower (device below): index, 0: none */
	char *name, *kind, *mac;         /* kind: "" hardware, "bridge", "veth", "tun", ... */
	unsigned flags;                  /* IFF_* */
	int type;                        /* ARPHRD_* */
	uint32_t mtu, max_mtu;           /* max_mtu 0: not told */
	bool stp, running;               /* stp: of a bridge */
	uint64_t rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped;
	GPtrArray *addresses, *routes;
};
struct net_state { GPtrArray *links; };
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

/* One change. 0, or the kernel's errno. */
int netlink_bridge_add(struct netlink *netlink, const char *name, const char *mac);
int netlink_link_delete(struct netlink *netlink, const char *name);
int netlink_set_up(struct netlink *netlink, const char *name, bool up);
int netlink_set_master(struct netlink *netlink, const char *name, const char *master);     /* "": none */
int netlink_set_mtu(struct netlink *netlink, const char *name, uint32_t mtu);
int netlink_set_stp(struct netlink *netlink, const char *name, bool stp);
int netlink_address(struct netlink *netlink, const char *name, const char *address, bool add);     /* "192.0.2.1/24 brd 192.0.2.255" */
int netlink_route(struct netlink *netlink, const char *name, const char *route, bool add); /* "default via 192.0.2.254 metric 0 proto 4" */

/* ---- address.c ---- */
struct net_prefix { int family; union { struct in_addr v4; struct in6_addr v6; } address; unsigned length; };
bool net_prefix_parse(const char *text, struct net_prefix *ret_prefix);       /* "192.0.2.1/24", "2001:db8::1/64" */
char *net_prefix_text(const struct net_prefix *prefix);
bool net_prefix_contains(const struct net_prefix *prefix, const char *address);
int net_mask_length(const char *netmask);                                     /* "255.255.255.0" or "24"; -1: bad */
char *net_mask_text(unsigned length);                                         /* "255.255.255.0" */
/* Checks one network of a request: ERR_BAD_PARAMS, ERR_BAD_ADDR, ERR_BAD_VLAN..., ERR_UNSUPPORTED_OPERATION naming the member. */
bool net_check_config(const char *name, const struct network_config *config, GError **error);
/* The address of the config as "192.0.2.1/24"; NULL: none. g_free */
char *net_config_ipv4(const struct network_config *config);

/* ---- plan.c ---- */
enum net_step_kind {
	STEP_BRIDGE_ADD, STEP_LINK_DELETE, STEP_UP, STEP_DOWN, STEP_MASTER, STEP_MTU, STEP_STP, STEP_ADDRESS_ADD, STEP_ADDRESS_DELETE, STEP_ROUTE_ADD,
	STEP_ROUTE_DELETE, STEP_KIND_MAX
};
struct net_step { enum net_step_kind kind; char *link, *value, *old; };
void net_step_free(void *step);
/* Steps from state to the wishes. before, wishes: name -> struct network_config. state is changed to what it will be. NULL + error: nothing to be done */
GPtrArray *net_plan(struct net_state *state, GHashTable *before, GHashTable *wishes, GError **error);
json_t *net_steps_to_json(const GPtrArray *steps);
GPtrArray *net_steps_from_json(const json_t *json);
/* Does the kernel now have what the wishes say? ERR_FAILED_IFUP naming what is missing */
bool net_verify(const struct net_state *state, GHashTable *wishes, GError **error);

/* ---- apply.c ---- */
extern void (*net_before_step)(unsigned n);       /* tests only: called before each step and, with n = number of steps, after the last */
/* All steps in order, or none: what was done is undone. */
bool net_apply(struct netlink *netlink, const GPtrArray *steps, GError **error);
/* Undoes steps n-1 .. 0, which may have been done or not. */
void net_undo(struct netlink *netlink, const GPtrArray *steps, unsigned n);

/* ---- watch.c ---- */
struct net_watch;
struct net_watch *net_watch_new(struct loop *loop, void (*changed)(void *data), void *data, GError **error);
struct net_watch *net_watch_free(struct net_watch *watch);

/* ---- net.c ---- */
struct net {
	struct agent *agent;
	char *directory;                 /* state_dir/net */
	pthread_mutex_t lock;            /* guards running, persistent, confirmed */
	pthread_cond_t confirm;
	bool confirmed;
	json_t *running, *persistent;    /* {"version": 1, "boot_id": ..., "networks": {name: network_config}}; replaced, never changed */
	struct net_watch *watch;
};
json_t *net_running(struct net *net);                                         /* its networks; new reference */
GHashTable *net_configs(const json_t *networks);                              /* name -> struct network_config */

#endif
