/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wanted: networks and bonds by name, and the files that keep it.
 *
 *   running.json      what was set up last in this boot (boot_id tells)
 *   persistent.json   what is set up after a boot: the running one as of the last Host.setSafeNetworkConfig or commitOnSuccess
 *   leases.json       what DHCP servers gave in this boot, {"version": 1, "boot_id": ..., "leases": {key: lease, see dhcp.c}}
 * The first two: {"version": 1, "boot_id": ..., "networks": {name: config}, "bonds": {name: config}, "host": what was before (net-priv.h)}.
 * netConfigDirty: their networks or bonds differ.
 */
#define LOG_MODULE "net"
#include <string.h>
#include "agent/net/net-priv.h"
#include "common/json_file.h"
#include "common/log.h"

#define RUNNING "running.json"
#define PERSISTENT "persistent.json"
#define LEASES "leases.json"

void *net_parse(const struct record_type *type, const char *name, const json_t *json, GError **error)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	g_autoptr(GError) problem = NULL;
	void *config = record_from_json(type, json, &input, &problem);

	if (config) {
		for (guint i = 0; input.ignored && i < input.ignored->len; i++)
			log_debug("%s '%s': unknown member '%s', ignoring", type->name, name, (char *)input.ignored->pdata[i]);
		record_defaults(config, 0);
	} else
		error_set(error, ERR_BAD_PARAMS, "%s '%s': %s", type->name, name, problem->message);
	record_input_clear(&input);
	return config;
}

static GHashTable *parse_all(const struct record_type *type, const json_t *objects)
{
	GHashTable *configs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, record_unref);
	const char *name;
	json_t *json;

	json_object_foreach((json_t *)objects, name, json) {
		g_autoptr(GError) problem = NULL;
		void *config = net_parse(type, name, json, &problem);

		if (config)
			g_hash_table_replace(configs, g_strdup(name), config);
		else
			log_error("%s, ignoring", problem->message);
	}
	return configs;
}

/* The leases as if they had been asked for; NULL: none. Name servers of the request have precedence. */
static void lay_over(struct network_config *network, const json_t *ipv4, const json_t *ipv6)
{
	const json_t *const leases[] = { ipv4, ipv6 };
	bool takes_servers = network->default_route && !(network->nameservers && network->nameservers->len);

	if (ipv4) {
		set_string(&network->ipaddr, json_string_value(json_object_get(ipv4, "ip")));
		set_string(&network->netmask, json_string_value(json_object_get(ipv4, "mask")));
		set_string(&network->gateway, json_string_value(json_object_get(ipv4, "gateway")));
	}
	if (ipv6) {
		g_autofree char *address = g_strconcat(json_string_value(json_object_get(ipv6, "ip")), "/128", NULL);

		set_string(&network->ipv6addr, address);
	}
	for (size_t i = 0; takes_servers && i < G_N_ELEMENTS(leases); i++) {
		const json_t *servers = json_object_get(leases[i], "nameservers");

		if (json_array_size(servers) && !network->nameservers)
			network->nameservers = g_ptr_array_new_with_free_func(g_free);
		for (size_t k = 0; k < json_array_size(servers); k++)
			g_ptr_array_add(network->nameservers, g_strdup(json_string_value(json_array_get(servers, k))));
	}
}

struct net_config *net_config_new(const json_t *json, const json_t *leases)
{
	struct net_config *config = g_new0(struct net_config, 1);
	GHashTableIter iter;
	void *name, *network;

	config->networks = parse_all(&network_config_type, json_object_get(json, "networks"));
	config->bonds = parse_all(&bond_config_type, json_object_get(json, "bonds"));
	config->host = json_incref(json_object_get(json, "host"));
	g_hash_table_iter_init(&iter, config->networks);
	while (g_hash_table_iter_next(&iter, &name, &network)) {
		g_autofree char *ipv6 = net_lease_ipv6(name);

		lay_over(network, net_lease_wanted(config, name) ? json_object_get(leases, name) : NULL,
			 net_lease_wanted(config, ipv6) ? json_object_get(leases, ipv6) : NULL);
	}
	return config;
}

struct net_config *net_config_free(struct net_config *config)
{
	if (!config)
		return NULL;
	g_hash_table_unref(config->networks);
	g_hash_table_unref(config->bonds);
	json_decref(config->host);
	g_free(config);
	return NULL;
}

/* ---- the files ---- */

static const char *const parts[] = { "networks", "bonds", "host" };

/* {"networks", "bonds", "host"} of a file's content; new reference */
static json_t *contents(const json_t *file)
{
	json_t *config = json_object();

	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
		json_t *part = json_object_get(file, parts[i]);

		json_object_set_new(config, parts[i], part ? json_deep_copy(part) : json_object());
	}
	return config;
}

json_t *net_running(struct net *net)
{
	AUTO_LOCK(&net->lock);

	return contents(net->running);
}

bool net_config_dirty(struct net *net)
{
	json_t *running, *persistent;
	bool dirty;
	AUTO_LOCK(&net->lock);

	running = contents(net->running);
	persistent = contents(net->persistent);
	json_object_del(running, "host");
	json_object_del(persistent, "host");
	dirty = !json_equal(running, persistent);
	json_decref(running);
	json_decref(persistent);
	return dirty;
}

static char *boot_id(void)
{
	char *id = NULL;

	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
		return g_strdup("");
	return g_strstrip(id);
}

/* Takes over config; *slot is replaced by it. */
static bool write_file(struct net *net, const char *name, json_t *config, json_t **slot, GError **error)
{
	g_autofree char *boot = boot_id();

	json_object_set_new(config, "version", json_integer(1));
	json_object_set_new(config, "boot_id", json_string(boot));
	if (!json_file_write(net->directory, name, config, error)) {
		json_decref(config);
		return false;
	}
	AUTO_LOCK(&net->lock);
	json_decref(*slot);
	*slot = config;
	return true;
}

bool net_write_running(struct net *net, json_t *config, GError **error)
{
	return write_file(net, RUNNING, config, &net->running, error);
}

bool net_write_persistent(struct net *net, GError **error)
{
	return write_file(net, PERSISTENT, net_running(net), &net->persistent, error);
}

json_t *net_leases(struct net *net)
{
	AUTO_LOCK(&net->lock);

	return json_incref(json_object_get(net->leases, "leases"));
}

bool net_write_leases(struct net *net, json_t *leases, GError **error)
{
	return write_file(net, LEASES, json_pack("{s:o}", "leases", leases), &net->leases, error);
}

static json_t *read_file(struct net *net, const char *name)
{
	json_t *file = json_file_read(net->directory, name);

	return file ? file : contents(NULL);
}

bool net_config_load(struct net *net)
{
	g_autofree char *boot = boot_id();
	json_t *leases = json_file_read(net->directory, LEASES);
	AUTO_LOCK(&net->lock);

	json_decref(net->running);
	json_decref(net->persistent);
	json_decref(net->leases);
	net->leases = !g_strcmp0(json_string_value(json_object_get(leases, "boot_id")), boot) ? json_incref(leases) : json_pack("{s:{}}", "leases");
	json_decref(leases);
	net->persistent = read_file(net, PERSISTENT);
	net->running = read_file(net, RUNNING);
	if (!g_strcmp0(json_string_value(json_object_get(net->running, "boot_id")), boot))
		return true;
	json_decref(net->running);
	net->running = contents(net->persistent);
	json_object_del(json_object_get(net->running, "host"), "forwarding");           /* it is the kernel's, which is new */
	return false;
}

struct net_config *net_running_config(struct net *net)
{
	json_t *running = net_running(net), *leases = net_leases(net);
	struct net_config *config = net_config_new(running, leases);

	json_decref(running);
	json_decref(leases);
	return config;
}

struct net_config *net_tried_config(struct net *net)
{
	return net->trying ? net_config_new(net->trying, net->trying_leases) : net_running_config(net);
}
