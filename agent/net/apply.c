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

static int set(struct netlink *netlink, enum net_step_kind kind, const char *link, const char *value)
{
	switch (kind) {
	case STEP_BRIDGE_ADD:
		return netlink_bridge_add(netlink, link, value);
	case STEP_LINK_DELETE:
		return netlink_link_delete(netlink, link);
	case STEP_UP:
		return netlink_set_up(netlink, link, true);
	case STEP_DOWN:
		return netlink_set_up(netlink, link, false);
	case STEP_MASTER:
		return netlink_set_master(netlink, link, value);
	case STEP_MTU:
		return netlink_set_mtu(netlink, link, (uint32_t)g_ascii_strtoull(value, NULL, 10));
	case STEP_STP:
		return netlink_set_stp(netlink, link, !strcmp(value, "on"));
	case STEP_ADDRESS_ADD:
		return netlink_address(netlink, link, value, true);
	case STEP_ADDRESS_DELETE:
		return netlink_address(netlink, link, value, false);
	case STEP_ROUTE_ADD:
		return netlink_route(netlink, link, value, true);
	case STEP_ROUTE_DELETE:
		return netlink_route(netlink, link, value, false);
	case STEP_KIND_MAX:
		break;
	}
	return EINVAL;
}

static const enum net_step_kind inverse[] = { [STEP_BRIDGE_ADD] = STEP_LINK_DELETE, [STEP_LINK_DELETE] = STEP_BRIDGE_ADD, [STEP_UP] = STEP_DOWN,
	[STEP_DOWN] = STEP_UP, [STEP_MASTER] = STEP_MASTER, [STEP_MTU] = STEP_MTU, [STEP_STP] = STEP_STP, [STEP_ADDRESS_ADD] = STEP_ADDRESS_DELETE,
	[STEP_ADDRESS_DELETE] = STEP_ADDRESS_ADD, [STEP_ROUTE_ADD] = STEP_ROUTE_DELETE, [STEP_ROUTE_DELETE] = STEP_ROUTE_ADD };

static bool is_as_before(int errnum)
{
	return errnum == 0 || errnum == EEXIST || errnum == ENODEV || errnum == EADDRNOTAVAIL || errnum == ESRCH;
}

void net_undo(struct netlink *netlink, const GPtrArray *steps, unsigned n)
{
	while (n-- > 0) {
		const struct net_step *step = steps->pdata[n];
		enum net_step_kind kind = inverse[step->kind];
		bool two_sided = kind == step->kind;
		int errnum = set(netlink, kind, step->link, two_sided ? step->old : step->value);

		if (!is_as_before(errnum))
			log_error("cannot undo on '%s' ('%s'): %s, ignoring", step->link, step->value, g_strerror(errnum));
	}
}

static enum error_code code_of(enum net_step_kind kind)
{
	switch (kind) {
	case STEP_BRIDGE_ADD:
	case STEP_LINK_DELETE:
	case STEP_STP:
		return ERR_BAD_BRIDGE;
	case STEP_MASTER:
		return ERR_BAD_NIC;
	case STEP_ADDRESS_ADD:
	case STEP_ADDRESS_DELETE:
		return ERR_BAD_ADDR;
	case STEP_MTU:
		return ERR_BAD_PARAMS;
	default:
		return ERR_FAILED_IFUP;
	}
}

bool net_apply(struct netlink *netlink, const GPtrArray *steps, GError **error)
{
	for (guint i = 0; i < steps->len; i++) {
		const struct net_step *step = steps->pdata[i];
		int errnum;

		if (net_before_step)
			net_before_step(i);
		if ((errnum = set(netlink, step->kind, step->link, step->value))) {
			error_set_errno(error, code_of(step->kind), errnum, "'%s': step %u of %u ('%s')", step->link, i + 1, steps->len, step->value);
			net_undo(netlink, steps, i);
			return false;
		}
	}
	if (net_before_step)
		net_before_step(steps->len);
	return true;
}
