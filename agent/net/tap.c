/* SPDX-License-Identifier: Apache-2.0 */
/* The host's ends of VMs' NICs: which bridge each is in, and which limits are left on it. */
#include <linux/pkt_sched.h>
#include <netlink/route/qdisc.h>
#include "agent/net/net-priv.h"

bool net_tap_bridge(struct net *net, const char *tap, const char *bridge, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	g_autofree char *master = g_strdup_printf("link master=%s", bridge);
	int errnum = netlink ? netlink_link(netlink, tap, master, /* add= */ false) : 0;
	bool good = netlink && !errnum;

	if (errnum)
		error_set_errno(error, ERR_FAILED_IFUP, errnum, "'%s' into bridge '%s'", tap, bridge);
	netlink_free(netlink);
	return good;
}

void net_tap_unlimit(struct net *net, const char *tap)
{
	struct nl_sock *sock = net_tc_socket(NULL);
	int index = (int)if_nametoindex(tap);
	struct rtnl_qdisc *root = net_tc_qdisc(index, TC_H_ROOT, 0, "noqueue"), *ingress = net_tc_qdisc(index, TC_H_INGRESS, 0, NULL);

	if (sock && index) {
		(void)rtnl_qdisc_add(sock, root, NLM_F_CREATE | NLM_F_REPLACE);         /* as libvirt leaves a tap without limits */
		(void)rtnl_qdisc_delete(sock, ingress);                                 /* there may be none */
	}
	rtnl_qdisc_put(root);
	rtnl_qdisc_put(ingress);
	nl_socket_free(sock);
}
