/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doing steps, and undoing them. Doing is strict: the first step that fails ends it, and what was done is undone in reverse order. Undoing is
 * lenient, because after a kill nobody knows which steps were done: what is already as it was is fine, other failures are logged and the rest
 * is undone all the same.
 */
#define LOG_MODULE "net"
#include <errno.h>
#include <string.h>
#include "agent/net/net-priv.h"
#include "common/log.h"

void (*net_before_step)(unsigned n);

static int unless(int errnum, int fine)
{
	return errnum == fine ? 0 : errnum;
}

/* Of Open vSwitch it is ovs.c, which says more. */
static int set(struct netlink *netlink, enum net_step_kind kind, const char *link, const char *value)
{
	switch (kind) {
	case STEP_LINK_ADD:
		return netlink_link(netlink, link, value, true);
	case STEP_LINK_DELETE:
		return netlink_link_delete(netlink, link);
	case STEP_LINK_SET:
		return netlink_link(netlink, link, value, false);
	case STEP_ACCEPT_RA:
		return net_set_accept_ra(link, value);
	case STEP_ADDRESS_ADD:
		return netlink_address(netlink, link, value, true);
	case STEP_ADDRESS_DELETE:
		return netlink_address(netlink, link, value, false);
	case STEP_ROUTE_ADD:
		return netlink_route(netlink, link, value, true);
	case STEP_ROUTE_DELETE:
		return netlink_route(netlink, link, value, false);
	case STEP_RULE_ADD:
		return netlink_rule(netlink, value, true);
	case STEP_RULE_DELETE:
		return netlink_rule(netlink, value, false);
	case STEP_PEER_ADD:
		return netlink_peer(netlink, link, value, true);
	case STEP_PEER_DELETE:
		return netlink_peer(netlink, link, value, false);
	case STEP_RESOLV:
		return net_write_resolv(value);
	case STEP_FORWARDING:
		return net_set_forwarding(value);
	case STEP_RULESET:
		return net_nft_write(value);
	case STEP_QOS:
		return net_qos_set(link, value);
	case STEP_FOREIGN_AWAY:
	case STEP_LEARNED_AWAY:
		return unless(unless(net_foreign_set(netlink, link, value, false), ESRCH), EADDRNOTAVAIL);
	case STEP_FOREIGN_BACK:
	case STEP_LEARNED_BACK:
		return unless(net_foreign_set(netlink, link, value, true), EEXIST);
	case STEP_OVS:
	case STEP_KIND_MAX:
		break;
	}
	return EINVAL;
}

static const enum net_step_kind inverse[] = { [STEP_LINK_ADD] = STEP_LINK_DELETE, [STEP_LINK_DELETE] = STEP_LINK_ADD, [STEP_LINK_SET] = STEP_LINK_SET,
	[STEP_ACCEPT_RA] = STEP_ACCEPT_RA, [STEP_ADDRESS_ADD] = STEP_ADDRESS_DELETE, [STEP_ADDRESS_DELETE] = STEP_ADDRESS_ADD,
	[STEP_ROUTE_ADD] = STEP_ROUTE_DELETE, [STEP_ROUTE_DELETE] = STEP_ROUTE_ADD, [STEP_RULE_ADD] = STEP_RULE_DELETE,
	[STEP_RULE_DELETE] = STEP_RULE_ADD, [STEP_PEER_ADD] = STEP_PEER_DELETE, [STEP_PEER_DELETE] = STEP_PEER_ADD, [STEP_RESOLV] = STEP_RESOLV,
	[STEP_FORWARDING] = STEP_FORWARDING, [STEP_RULESET] = STEP_RULESET,
	[STEP_QOS] = STEP_QOS, [STEP_OVS] = STEP_OVS, [STEP_FOREIGN_AWAY] = STEP_FOREIGN_BACK, [STEP_FOREIGN_BACK] = STEP_FOREIGN_AWAY,
	[STEP_LEARNED_AWAY] = STEP_LEARNED_BACK, [STEP_LEARNED_BACK] = STEP_LEARNED_AWAY };

static bool is_as_before(int errnum)
{
	return errnum == 0 || errnum == EEXIST || errnum == ENODEV || errnum == EADDRNOTAVAIL || errnum == ESRCH || errnum == ENOENT;
}

/* Is there a link that the step would have made? In its place there may still be one of another kind. */
static bool is_of_kind(struct netlink *netlink, const struct net_step *step)
{
	struct net_state *state = net_state_read(netlink, /* addresses= */ false, NULL);
	const struct net_link *link = state ? net_state_link(state, step->link) : NULL;
	bool same = !state || (link && strlen(link->kind) == strcspn(step->value, " ") && g_str_has_prefix(step->value, link->kind));

	net_state_free(state);
	return same;
}

/* false: as net_undo(). An ovs-vswitchd that does not make what it is told is waited for once only; so is the database. */
static bool undo(struct netlink *netlink, const GPtrArray *steps, unsigned from, unsigned n)
{
	bool whole = true, waits = true;         /* whole: the database of Open vSwitch answers */

	while (n-- > from) {
		const struct net_step *step = steps->pdata[n];
		enum net_step_kind kind = inverse[step->kind];
		bool two_sided = kind == step->kind;
		g_autoptr(GError) problem = NULL;
		int errnum = 0;

		if (step->kind == STEP_LINK_ADD && !is_of_kind(netlink, step))
			continue;
		if (step->kind != STEP_OVS)
			errnum = set(netlink, kind, step->link, two_sided ? step->old : step->value);
		else if (whole && !net_ovs_set(step->link, step->old, /* strict= */ false, waits, &problem)) {
			log_error("cannot undo on '%s': %s, ignoring", step->link, problem->message);
			whole = problem->code != ERR_OVS_CONNECTION;
			waits = false;
		}
		if (!is_as_before(errnum))
			log_error("cannot undo on '%s' ('%s'): %s, ignoring", step->link, step->value, g_strerror(errnum));
	}
	return whole;
}

bool net_undo(struct netlink *netlink, const GPtrArray *steps, unsigned n)
{
	return undo(netlink, steps, 0, n);
}

static enum error_code code_of(const struct net_step *step)
{
	switch (step->kind) {
	case STEP_LINK_ADD:
	case STEP_LINK_DELETE:
		return g_str_has_prefix(step->value, "bond") ? ERR_BAD_BONDING : g_str_has_prefix(step->value, "vlan") ? ERR_BAD_VLAN : ERR_BAD_BRIDGE;
	case STEP_LINK_SET:
		return strstr(step->value, " master=") ? ERR_BAD_NIC : ERR_BAD_PARAMS;
	case STEP_ADDRESS_ADD:
	case STEP_ADDRESS_DELETE:
		return ERR_BAD_ADDR;
	default:
		return ERR_FAILED_IFUP;
	}
}

static bool is_of_plan(const GPtrArray *steps, const char *link)
{
	for (guint i = 0; i < steps->len; i++)
		if (!strcmp(((const struct net_step *)steps->pdata[i])->link, link))
			return true;
	return false;
}

/* Since the state was read a machine may have started on what is about to go. */
static bool check_free(struct netlink *netlink, const GPtrArray *steps, guint from, GError **error)
{
	struct net_state *state = net_state_read(netlink, /* addresses= */ false, error);
	bool is_free = state != NULL;

	for (guint i = from; is_free && i < steps->len; i++) {
		const struct net_step *step = steps->pdata[i];
		const struct net_link *link = step->kind == STEP_LINK_DELETE ? net_state_link(state, step->link) : NULL;

		for (guint k = 0; link && is_free && k < state->links->len; k++) {
			const struct net_link *other = state->links->pdata[k];

			if ((other->master != link->index && (other->lower != link->index || !strcmp(other->kind, "veth"))) || is_of_plan(steps, other->name))
				continue;
			error_set(error, ERR_RESOURCE_UNAVAILABLE, "'%s' is used by %s now", link->name, other->name);
			is_free = false;
		}
	}
	net_state_free(state);
	return is_free;
}

static bool apply(struct netlink *netlink, const struct net_step *step, unsigned number, unsigned n, GError **error)
{
	int errnum;

	if (step->kind == STEP_OVS)
		return net_ovs_set(step->link, step->value, /* strict= */ true, /* waits= */ true, error);
	if (!(errnum = set(netlink, step->kind, step->link, step->value)))
		return true;
	error_set_errno(error, code_of(step), errnum, "'%s': step %u of %u ('%.128s')", step->link, number, n, step->value);
	return false;
}

bool net_apply(struct netlink *netlink, const GPtrArray *steps, unsigned from, bool *ret_undone, GError **error)
{
	bool checked = false, undone;

	if (!ret_undone)
		ret_undone = &undone;

	for (guint i = from; i < steps->len; i++) {
		const struct net_step *step = steps->pdata[i];

		if (net_before_step)
			net_before_step(i);
		if (step->kind == STEP_LINK_DELETE && !checked && !(checked = check_free(netlink, steps, i, error))) {
			*ret_undone = undo(netlink, steps, from, i);
			return false;
		}
		if (!apply(netlink, step, i + 1, steps->len, error)) {
			/* what is set may be set in part; what could not be made may be somebody else's */
			*ret_undone = undo(netlink, steps, from, step->kind == STEP_LINK_SET || step->kind == STEP_QOS || step->kind == STEP_OVS ? i + 1 : i);
			return false;
		}
	}
	if (net_before_step)
		net_before_step(steps->len);
	return true;
}
