/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_NET_PLAN_H
#define BERTH_AGENT_NET_PLAN_H
/* What the files of planning share. Theory of operation in plan.c. */
#include "agent/net/net-priv.h"

#define MTU_DEFAULT 1500
#define ACCEPT_RA_NEW 1                   /* of a new link, unless the host is told otherwise */
#define ACCEPT_RA_AUTOCONF 2              /* also on a host that routes */

/* What a plan is made with. */
struct plan {
	const json_t *host;              /* of net_config */
	struct net_state *state;
	GPtrArray *steps;
	struct net_topology *old, *new;
	GHashTable *touched;
	GPtrArray *lost;                 /* struct lost, of links that lose their addresses or go */
};

/* A route of somebody else, which cannot be without an address or a link that goes; step: which takes it away. */
struct lost { char *link; struct net_foreign *foreign; struct net_step *step; bool back; };

/* ---- plan_link.c ---- */
const struct net_want *plan_want(const struct net_topology *topology, const char *name);          /* NULL: it needs no such link */
bool plan_touches(const struct plan *plan, const struct net_want *want);      /* a network or bond of the request needs it */
const char *plan_user(const struct net_want *want);                           /* for messages: the first of its users in alphabetical order */
bool plan_has(const GPtrArray *texts, const char *text);
char *plan_route_text(const struct net_route *route);                         /* as in steps. g_free */
bool plan_is_route(const struct net_route *route, const char *text);
struct net_route *plan_find_route(const struct net_link *link, const char *text);
/* A step that sets KIND NAME=VALUE; the state is the caller's. */
void plan_set(struct plan *plan, const struct net_link *link, const char *kind, const char *name, const char *value, const char *old);
void plan_up(struct plan *plan, struct net_link *link, bool up);
bool plan_has_ipv6(const struct plan *plan);                                  /* the host */
void plan_accept_ra(struct plan *plan, struct net_link *link, int wanted);
/* A step that changes nothing: undone after the next one, which makes the kernel forget it, it gives it back. */
void plan_keep_accept_ra(struct plan *plan, const struct net_link *link);
void plan_mtu(struct plan *plan, struct net_link *link, unsigned mtu);
void plan_note_port(struct plan *plan, struct net_link *bridge);              /* a bridge whose MTU nobody set takes the least of its ports */
void plan_master(struct plan *plan, struct net_link *link, struct net_link *master);      /* NULL: out of its bridge or bond */
void plan_drop_route(struct plan *plan, struct net_link *link, guint i);      /* the i-th of the link */
void plan_drop_address(struct plan *plan, struct net_link *link, guint i);
void plan_drop_learned(struct plan *plan, struct net_link *link);             /* what routers told */
void plan_drop_peer(struct plan *plan, struct net_link *link, guint i);
void plan_drop_all(struct plan *plan, struct net_link *link);                 /* but the addresses that the kernel gives each link */
/* From the shares of was to those of will (NULL: none). Where somebody else has put a qdisc, it stays: ERR_USED_NIC */
bool plan_qos(struct plan *plan, const struct net_want *was, const struct net_want *will, const char *link, GError **error);

/* ---- plan.c ---- */
char *plan_random_mac(void);                                                  /* g_free */
/* Are the link's addresses those of the network (top) that it becomes part of? ERR_USED_NIC */
bool plan_check_addresses(const struct net_want *want, const struct net_want *top, const struct net_link *link, GError **error);
void plan_keep_routes(struct net_link *link, const char *top, GPtrArray *kept);          /* they go on over top */

/* ---- plan_ovs.c ---- */
bool plan_ovs_port_away(struct plan *plan, const struct net_want *was, const struct net_want *will, struct net_link *link, GError **error);
bool plan_ovs_bridge_away(struct plan *plan, const struct net_want *was, const struct net_want *will, GError **error);
bool plan_ovs_bridge(struct plan *plan, const struct net_want *want, struct net_link *link, GPtrArray *kept, GError **error);

/* ---- plan_away.c ---- */
void plan_deletions(struct plan *plan, const struct net_want *was, const struct net_want *will, struct net_link *link);
void plan_lose_routes(struct plan *plan, struct net_link *link, int family, const char *source);  /* of others. AF_UNSPEC: both; source NULL: any */
/* Those that there is a place for again, where they were: over a link of that name, from its addresses, by a gateway of its networks. */
void plan_routes_back(struct plan *plan, const struct net_want *want, struct net_link *link);
void plan_shared_back(struct plan *plan);                                     /* those of several hops and of next-hop objects, at the end */
void plan_mark_lost(struct plan *plan);                                       /* the others, when all is planned: NET_STEP_LOST */
void plan_lost_free(void *lost);
/* Down, before the link goes and one of Open vSwitch has its name, or the other way round: undone on the one that is there again, it is as it was. */
void plan_rest(struct plan *plan, struct net_link *link);
bool plan_away(struct plan *plan, GError **error);                            /* what is no longer wanted, or would have to be made anew */

#endif
