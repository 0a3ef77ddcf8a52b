/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of every link from one dump of the kernel; speed and duplex are asked of nics, bonds and VLANs, the rest is 1000 and unknown by convention.
 *
 * Nothing is sampled: rates are of the time between two questions, which are RATE_USEC apart at least; one that comes sooner is told the same again.
 */
#include <string.h>
#include "agent/net/net-priv.h"
#include "common/loop.h"

#define SPEED_ASSUMED 1000
#define RATE_USEC G_USEC_PER_SEC

/* Of a link, by its index: counters at `at`, and the rates (bytes/s) up to then; negative: not known yet. */
struct rates { int64_t at; uint64_t rx, tx; double rx_rate, tx_rate; };

struct net_rates {
	pthread_mutex_t lock;            /* guards what follows */
	GHashTable *links;               /* index -> struct rates */
};

struct net_rates *net_rates_new(void)
{
	struct net_rates *rates = g_new0(struct net_rates, 1);

	pthread_mutex_init(&rates->lock, NULL);
	rates->links = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return rates;
}

struct net_rates *net_rates_free(struct net_rates *rates)
{
	if (!rates)
		return NULL;
	g_hash_table_unref(rates->links);
	pthread_mutex_destroy(&rates->lock);
	g_free(rates);
	return NULL;
}

/* New ones when the last are RATE_USEC old. Called with the lock. */
static const struct rates *rates_of(struct net_rates *all, const struct net_link *link, int64_t now)
{
	struct rates *rates = g_hash_table_lookup(all->links, GINT_TO_POINTER(link->index));
	double seconds;

	/* counters of another link that had this index */
	if (!rates || link->rx_bytes < rates->rx || link->tx_bytes < rates->tx) {
		rates = g_new(struct rates, 1);
		*rates = (struct rates){ .at = now, .rx = link->rx_bytes, .tx = link->tx_bytes, .rx_rate = -1, .tx_rate = -1 };
		g_hash_table_replace(all->links, GINT_TO_POINTER(link->index), rates);
	}
	if (now - rates->at < RATE_USEC)
		return rates;
	seconds = (double)(now - rates->at) / G_USEC_PER_SEC;
	*rates = (struct rates){ .at = now, .rx = link->rx_bytes, .tx = link->tx_bytes, .rx_rate = (double)(link->rx_bytes - rates->rx) / seconds,
				 .tx_rate = (double)(link->tx_bytes - rates->tx) / seconds };
	return rates;
}

static gboolean is_gone(void *index, void *rates, void *state)
{
	return !net_state_index(state, GPOINTER_TO_INT(index));
}

static void set_number(json_t *object, const char *name, uint64_t value)
{
	char text[24];

	g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, (guint64)value);
	json_object_set_new(object, name, json_string(text));
}

static json_t *counters(const struct net_link *link, const struct rates *rates, double sampled)
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
	if (rates->rx_rate >= 0) {
		set_number(object, "rxRate", (uint64_t)rates->rx_rate);
		set_number(object, "txRate", (uint64_t)rates->tx_rate);
	}
	json_object_set_new(object, "state", json_string(link->running ? "up" : "down"));
	set_number(object, "speed", speed > 0 ? (uint64_t)speed : SPEED_ASSUMED);
	json_object_set_new(object, "duplex", json_string(duplex));
	json_object_set_new(object, "sampleTime", json_real(sampled));
	return object;
}

static bool read_stats(struct net_rates *rates, struct network_stats *stats, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	double sampled = (double)wall_msec() / 1000;
	int64_t now = now_usec();
	uint64_t rx = 0, tx = 0;

	netlink_free(netlink);
	if (!state)
		return false;
	stats->network = json_object();
	AUTO_LOCK(&rates->lock);
	for (guint i = 0; i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];

		json_object_set_new(stats->network, link->name, counters(link, rates_of(rates, link, now), sampled));
		rx += link->rx_dropped;
		tx += link->tx_dropped;
	}
	SET(stats, rx_dropped, (int64_t)rx);
	SET(stats, tx_dropped, (int64_t)tx);
	if (g_hash_table_size(rates->links) > state->links->len)
		g_hash_table_foreach_remove(rates->links, is_gone, state);
	net_state_free(state);
	return true;
}

bool net_statistics(struct net *net, struct host_stats *stats, GError **error)
{
	struct network_stats *part = record_new(&network_stats_type);
	bool good = read_stats(net->rates, part, error);

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
	bool good = read_stats(agent->net->rates, stats, error);

	if (good)
		result_record(ret_result, stats);
	record_unref(stats);
	return good;
}
