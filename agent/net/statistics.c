/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of every link from one dump of the kernel; speed and duplex are asked of nics, bonds and VLANs, the rest is 1000 and unknown by convention. */
#include <string.h>
#include "agent/net/net-priv.h"
#include "common/loop.h"

#define SPEED_ASSUMED 1000

static void set_number(json_t *object, const char *name, uint64_t value)
{
	char text[24];

	g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, (guint64)value);
	json_object_set_new(object, name, json_string(text));
}

static json_t *counters(const struct net_link *link, double sampled)
{
	json_t *object = json_object();
	const char *duplex = "unknown";
	int speed = 0;

	if (net_link_is_nic(link) || !strcmp(link->kind, "bond") || !strcmp(link->kind, "vlan"))          /* these tell what is below them */
		net_link_speed(link->name, &speed, &duplex);
	json_object_set_new(object, "name", json_string(link->name));
	set_number(object, "rx", link->rx_bytes);
	set_number(object, "tx", link->tx_bytes);
	set_number(object, "rxErrors", link->rx_errors);
	set_number(object, "txErrors", link->tx_errors);
	set_number(object, "rxDropped", link->rx_dropped);
	set_number(object, "txDropped", link->tx_dropped);
	json_object_set_new(object, "state", json_string(link->running ? "up" : "down"));
	set_number(object, "speed", speed > 0 ? (uint64_t)speed : SPEED_ASSUMED);
	json_object_set_new(object, "duplex", json_string(duplex));
	json_object_set_new(object, "sampleTime", json_real(sampled));
	return object;
}

static bool read_stats(struct network_stats *stats, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	double sampled = (double)wall_msec() / 1000;
	uint64_t rx = 0, tx = 0;

	netlink_free(netlink);
	if (!state)
		return false;
	stats->network = json_object();
	for (guint i = 0; i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];

		json_object_set_new(stats->network, link->name, counters(link, sampled));
		rx += link->rx_dropped;
		tx += link->tx_dropped;
	}
	SET(stats, rx_dropped, (int64_t)rx);
	SET(stats, tx_dropped, (int64_t)tx);
	net_state_free(state);
	return true;
}

bool net_statistics(struct net *net, struct host_stats *stats, GError **error)
{
	struct network_stats *part = record_new(&network_stats_type);
	bool good = read_stats(part, error);

	if (good) {
		stats->network = json_incref(part->network);
		SET(stats, rx_dropped, part->rx_dropped);
		SET(stats, tx_dropped, part->tx_dropped);
		set_string(&stats->net_config_dirty, net_config_dirty(net) ? "True" : "False");
	}
	record_unref(part);
	return good;
}

bool net_statistics_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	struct network_stats *stats = record_new(&network_stats_type);
	bool good = read_stats(stats, error);

	if (good)
		result_record(ret_result, stats);
	record_unref(stats);
	return good;
}
