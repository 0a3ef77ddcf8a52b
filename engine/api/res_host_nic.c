/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network interfaces of a host (REST 14.7.2), from its capabilities: interfaces, bonds and VLANs. A host that has no session (maintenance) shows none.
 *
 * Rates need two samples. The agent's counters carry the time they were taken; the last two different samples of an interface that was asked for are kept
 * here, so the first look at an interface has no rate yet.
 */
#include <string.h>

#include "common/error.h"
#include "common/lock.h"
#include "engine/api/host_network.h"
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/api/statistics.h"
#include "engine/fleet/fleet.h"
#include "engine/model/misc.h"

/* A number, or one as text. */
static double number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : json_is_string(value) ? g_ascii_strtod(json_string_value(value), NULL) : 0;
}

/* The network that is on the device: its name and what the host says of it. NULL: none. */
static const json_t *network_on(const struct host_caps *caps, const char *device, const char **ret_name)
{
	const char *name;
	json_t *network;
	size_t i;
	json_t *port;

	if (caps->networks)
		json_object_foreach(caps->networks, name, network) {
			bool here = !g_strcmp0(host_json_text(network, "southbound"), device);

			json_array_foreach(json_object_get(network, "ports"), i, port)
				here = here || !g_strcmp0(json_string_value(port), device);
			if (here) {
				*ret_name = name;
				return network;
			}
		}
	return NULL;
}

static void fill_bond(const struct host *host, const json_t *found, struct host_nic *nic)
{
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach(json_object_get(found, "opts"), name, value) {
		struct option_item *option = list_add(&nic->bond_options, &option_item_type);

		set_string(&option->name, name);
		set_string(&option->value, json_string_value(value));
	}
	json_array_foreach(json_object_get(found, "slaves"), i, value) {
		struct object_ref *slave = list_add(&nic->bond_slaves, &object_ref_type);

		slave->id = host_part_id("nic", host->id, json_string_value(value) ? json_string_value(value) : "");
	}
}

static struct host_nic *make(struct request *request, const struct host *host, const struct host_caps *caps, const struct host_stats *stats,
			     const char *name, const json_t *found)
{
	struct host_nic *nic = record_new(&host_nic_type);
	const char *network_name = NULL, *state;
	const json_t *network = network_on(caps, name, &network_name), *addresses = network ? network : found;
	struct network *known = network ? host_network_named(request->engine->model, host, network_name) : NULL;

	nic->id = host_part_id("nic", host->id, name);
	set_string(&nic->name, name);
	set_ref(&nic->host, host->id);
	set_ref(&nic->network, known ? known->id : NULL);
	set_string(&nic->mac, host_json_text(found, "hwaddr"));
	set_string(&nic->ip_address, host_json_text(addresses, "addr"));
	set_string(&nic->ip_netmask, host_json_text(addresses, "netmask"));
	set_string(&nic->ip_gateway, host_json_text(addresses, "gateway"));
	SET(nic, boot_protocol, host_json_true(addresses, "dhcpv4") ? BOOT_DHCP : nic->ip_address ? BOOT_STATIC : BOOT_NONE);
	if (json_object_get(found, "vlanid")) {
		SET(nic, vlan, (int)number(found, "vlanid"));
		set_string(&nic->base_interface, host_json_text(found, "iface"));
	}
	if (number(found, "speed") > 0)
		SET(nic, speed, (int64_t)number(found, "speed") * 1000000);
	state = stats ? host_json_text(json_object_get(stats->network, name), "state") : NULL;
	if (state)
		SET(nic, state, strcmp(state, "up") ? NIC_DOWN : NIC_UP);
	if (json_object_get(found, "slaves"))
		fill_bond(host, found, nic);
	SET(nic, mtu, (int)number(found, "mtu"));
	SET(nic, bridged, network && host_json_true(network, "bridged"));
	if (network)
		SET(nic, custom_configuration, known && number(network, "mtu") != (known->mtu ? known->mtu : 1500));
	record_unref(known);
	return nic;
}

static GPtrArray *list(struct request *request, GError **error)
{
	const struct host *host = request->parent;
	struct host_caps *caps = fleet_host_caps(request->engine->fleet, host->id);
	struct host_stats *stats = fleet_host_stats(request->engine->fleet, host->id);
	GPtrArray *nics = list_new();

	if (caps) {
		json_t *const maps[] = { caps->nics, caps->bondings, caps->vlans };
		const char *name;
		json_t *found;

		for (size_t i = 0; i < G_N_ELEMENTS(maps); i++)
			if (maps[i])
				json_object_foreach(maps[i], name, found)
					g_ptr_array_add(nics, make(request, host, caps, stats, name, found));
	}
	record_unref(caps);
	record_unref(stats);
	return nics;
}

static const char *const links[] = { "statistics", NULL };

const struct resource resource_host_nic = {
	.type = &host_nic_type, .path = "nics", .parent = &resource_host, .methods = RESOURCE_READ, .links = links, .doc = "Network interfaces of a host",
	.list = list,
};

/* ---- statistics ---- */

enum { RATE_RX, RATE_TX, TOTAL_RX, TOTAL_TX, ERRORS_RX, ERRORS_TX };
static const struct statistic_row rows[] = {
	[RATE_RX] = { "data.current.rx", "Receive data rate", STATISTIC_BYTES_PER_SECOND, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[RATE_TX] = { "data.current.tx", "Transmit data rate", STATISTIC_BYTES_PER_SECOND, STATISTIC_GAUGE, STATISTIC_DECIMAL },
	[TOTAL_RX] = { "data.total.rx", "Total received data", STATISTIC_BYTES, STATISTIC_COUNTER, STATISTIC_INTEGER },
	[TOTAL_TX] = { "data.total.tx", "Total transmitted data", STATISTIC_BYTES, STATISTIC_COUNTER, STATISTIC_INTEGER },
	[ERRORS_RX] = { "errors.total.rx", "Total receive errors", STATISTIC_NONE, STATISTIC_COUNTER, STATISTIC_INTEGER },
	[ERRORS_TX] = { "errors.total.tx", "Total transmit errors", STATISTIC_NONE, STATISTIC_COUNTER, STATISTIC_INTEGER },
};

struct sample { double time, rx, tx; };
struct samples { struct sample old, new; };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *samples_by_nic;           /* id of the interface -> struct samples; at most SAMPLES_MAX */
#define SAMPLES_MAX 10000

/* false: there is no older sample yet. */
static bool rates(const char *nic_id, struct sample now, double *ret_rx, double *ret_tx)
{
	struct samples *samples;
	double seconds;
	AUTO_LOCK(&lock);

	if (!samples_by_nic)
		samples_by_nic = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	samples = g_hash_table_lookup(samples_by_nic, nic_id);
	if (!samples) {
		if (g_hash_table_size(samples_by_nic) >= SAMPLES_MAX)
			g_hash_table_remove_all(samples_by_nic);
		samples = g_new0(struct samples, 1);
		g_hash_table_insert(samples_by_nic, g_strdup(nic_id), samples);
	}
	if (now.time > samples->new.time) {
		samples->old = samples->new;
		samples->new = now;
	}
	seconds = samples->new.time - samples->old.time;
	if (samples->old.time <= 0 || seconds <= 0)
		return false;
	*ret_rx = MAX(samples->new.rx - samples->old.rx, 0) / seconds;
	*ret_tx = MAX(samples->new.tx - samples->old.tx, 0) / seconds;
	return true;
}

static GPtrArray *statistic_list(struct request *request, GError **error)
{
	const struct host_nic *nic = request->parent;
	struct host_stats *stats = fleet_host_stats(request->engine->fleet, nic->host.id);
	const json_t *now = stats ? json_object_get(stats->network, nic->name) : NULL;
	const struct sample sample = { number(now, "sampleTime"), number(now, "rx"), number(now, "tx") };
	GPtrArray *figures = statistics_new();
	double values[G_N_ELEMENTS(rows)] = {
		[TOTAL_RX] = sample.rx, [TOTAL_TX] = sample.tx, [ERRORS_RX] = number(now, "rxErrors"), [ERRORS_TX] = number(now, "txErrors"),
	};
	bool known = now && rates(nic->id, sample, &values[RATE_RX], &values[RATE_TX]);

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (now && (known || (i != RATE_RX && i != RATE_TX)))
			statistic_add(figures, nic, &rows[i], values[i]);
		else
			statistic_add_unknown(figures, nic, &rows[i]);
	record_unref(stats);
	return figures;
}

const struct resource resource_host_nic_statistic = {
	.type = &statistic_type, .path = "statistics", .parent = &resource_host_nic, .methods = RESOURCE_READ, .links = no_links,
	.doc = "Figures of an interface of a host", .list = statistic_list,
};
