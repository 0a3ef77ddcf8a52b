/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DHCP: one dhcpcd for each network and family (bootproto dhcp: IPv4; dhcpv6: IPv6), on the link that has the network's addresses.
 *
 * The client only asks; it configures nothing (--noconfigure): its script tells us over a pipe what it was given, and a lease is taken into what is
 * wanted as if the network had these addresses (net.c), so that it is planned, verified, reported and undone as everything else. Why dhcpcd: it is well
 * kept and speaks both families; busybox in Debian has no DHCPv6, ISC's dhclient is no longer maintained. DHCPv6 gives an address without a prefix and
 * without routes: /128; the rest is what router advertisements say (ipv6autoconf).
 *
 * How a client runs is in child.c. Its files are in our directory: it remembers its leases there and asks for them again, and does not meet another
 * dhcpcd of the host. The addresses stay while the agent is away, as long as their lease lasts.
 *
 * A lease ends when the client says so, or its time is over. dhcpcd also gives it up when the link loses its carrier; we do not: a cable that is pulled
 * for a moment would take the host's address away.
 *
 * All of it is on the loop's thread, but net_dhcp_sync(), which may be called by any.
 */
#define LOG_MODULE "dhcp"
#include <string.h>
#include "agent/net/net-priv.h"
#include "common/json_file.h"
#include "common/log.h"

#define RESTART_USEC (10 * G_USEC_PER_SEC)
#define SCRIPT "dhcp-event"

static const char script[] = "#!/bin/sh\n# DIRECTORY FAMILY LINK: runs a DHCP client. Without arguments: called by it; tells the agent what it was given\n"
	"if [ $# = 3 ]; then\n"
	"\tmkdir -p \"$1\" /run/dhcpcd /var/lib/dhcpcd && mount --bind \"$1\" /run/dhcpcd && mount --bind \"$1\" /var/lib/dhcpcd || exit\n"
	"\tset -- -\"$2\" --script \"$0\" \"$3\"\n"
	"\tcase $1 in\n"
	"\t-4) set -- --clientid --noarp --noipv4ll --option routers,domain_name_servers \"$@\" ;;\n"
	"\t-6) set -- --duid --noipv6rs --ia_na --option dhcp6_name_servers \"$@\" ;;\n"
	"\tesac\n"
	"\tdhcpcd --config /dev/null --noconfigure --nobackground --quiet --nodelay --timeout 0 \"$@\"\n"
	"\texit\n"
	"fi\n"
	"printf 'event=%s\\nip=%s\\nmask=%s\\nrouter=%s\\ndns=%s\\nlease=%s\\nend\\n' \"$reason\" \"$new_ip_address$new_dhcp6_ia_na1_ia_addr1\" "
	"\"$new_subnet_mask\" \"$new_routers\" \"$new_domain_name_servers$new_dhcp6_name_servers\" "
	"\"$new_dhcp_lease_time$new_dhcp6_ia_na1_ia_addr1_vltime\"\n";

struct client {
	struct net *net;
	char *lease, *link;              /* lease: its key */
	struct net_child *child;
	struct timer *expiry;
	bool has_carrier;
};

/* ---- leases ---- */

#define IPV6 "/ipv6"                      /* no name of a network has a slash in it */

bool net_lease_is_ipv6(const char *lease)
{
	return g_str_has_suffix(lease, IPV6);
}

char *net_lease_ipv6(const char *network)
{
	return g_strconcat(network, IPV6, NULL);
}

char *net_lease_network(const char *lease)
{
	return g_strndup(lease, strcspn(lease, "/"));
}

bool net_lease_wanted(const struct net_config *config, const char *lease)
{
	g_autofree char *name = net_lease_network(lease);
	const struct network_config *network = g_hash_table_lookup(config->networks, name);

	return network && (net_lease_is_ipv6(lease) ? network->dhcpv6 : !g_strcmp0(network->bootproto, "dhcp"));
}

static void offer_job(void *data)
{
	net_dhcp_apply(data);
}

/* For the next transaction, which is one of its own unless one is under way. lease: {ip...}, taken over; null: it was lost. */
static void offer(struct client *client, json_t *lease)
{
	struct net *net = client->net;
	g_autoptr(GError) error = NULL;

	{
		AUTO_LOCK(&net->lock);
		json_object_set_new(net->offered, client->lease, lease);
		pthread_cond_broadcast(&net->confirm);
	}
	if (net->agent->lanes && !lane_submit(net->agent->lanes, "network", &(struct lane_job){ .name = "DHCP lease", .run = offer_job, .data = net }, &error))
		log_error("network '%s': the lease is not used: %s", client->lease, error->message);
}

static const char *value_of(char **lines, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; lines[i]; i++)
		if (!strncmp(lines[i], name, length) && lines[i][length] == '=')
			return lines[i] + length + 1;
	return "";
}

static void on_expiry(void *data)
{
	struct client *client = data;

	log_warn("network '%s': the lease has ended", client->lease);
	timer_cancel(client->expiry);
	offer(client, json_null());
}

/* "BOUND", "BOUND6", "EXPIRE", ...: see dhcpcd-run-hooks(8). One message of the script. */
static void on_told(struct client *client, char **lines)
{
	static const char *const given[] = { "BOUND", "RENEW", "REBIND", "REBOOT", NULL }, *const taken[] = { "EXPIRE", "NAK", NULL };
	g_autofree char *event = g_strdup(value_of(lines, "event"));
	g_auto(GStrv) routers = g_strsplit(value_of(lines, "router"), " ", -1);
	g_auto(GStrv) servers = g_strsplit(value_of(lines, "dns"), " ", -1);
	gint64 seconds = g_ascii_strtoll(value_of(lines, "lease"), NULL, 10);
	json_t *names;

	g_strdelimit(event, "6", '\0');
	if (!strcmp(event, "NOCARRIER"))
		client->has_carrier = false;
	else if (!g_strv_contains(taken, event))
		client->has_carrier = true;
	if (g_strv_contains(given, event) && *value_of(lines, "ip")) {
		names = json_array();
		for (size_t i = 0; servers[i]; i++)
			if (*servers[i])
				json_array_append_new(names, json_string(servers[i]));
		timer_set(client->expiry, seconds * G_USEC_PER_SEC);
		offer(client, json_pack("{s:s, s:s, s:s, s:o, s:I}", "ip", value_of(lines, "ip"), "mask", value_of(lines, "mask"), "gateway",
					routers[0] ? routers[0] : "", "nameservers", names, "until", (json_int_t)(wall_msec() / 1000 + seconds)));
	} else if (g_strv_contains(taken, event) && client->has_carrier)
		on_expiry(client);
}

/* ---- the process ---- */

static void heard(void *data, GString *output)
{
	char *end;

	while ((end = strstr(output->str, "\nend\n"))) {
		*end = '\0';
		g_auto(GStrv) lines = g_strsplit(output->str, "\n", -1);

		g_string_erase(output, 0, end + strlen("\nend\n") - output->str);
		on_told(data, lines);
	}
}

static bool prepare(void *data, GStrvBuilder *argv, GError **error)
{
	struct client *client = data;
	g_autofree char *path = g_build_filename(client->net->directory, SCRIPT, NULL), *files = g_build_filename(client->net->directory, "dhcp", NULL);
	json_t *leases = net_leases(client->net), *lease = json_object_get(leases, client->lease);
	int64_t seconds = json_integer_value(json_object_get(lease, "until")) - wall_msec() / 1000;

	if (lease)
		timer_set(client->expiry, MAX(seconds, 0) * G_USEC_PER_SEC);
	json_decref(leases);
	client->has_carrier = true;
	g_strv_builder_add_many(argv, path, files, net_lease_is_ipv6(client->lease) ? "6" : "4", client->link, NULL);
	log_info("network '%s': asking for an address on '%s'", client->lease, client->link);
	return g_file_set_contents_full(path, script, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0755, error);
}

static const struct net_child_kind client_kind = { .what = "DHCP client", .prepare = prepare, .heard = heard, .restart_usec = RESTART_USEC };

static void client_free(void *data)
{
	struct client *client = data;

	net_child_free(client->child);
	timer_free(client->expiry);
	g_free(client->lease);
	g_free(client->link);
	g_free(client);
}

/* ---- which there are ---- */

struct sync { struct net *net; GHashTable *links; };     /* lease -> link */

static void sync_free(void *data)
{
	g_hash_table_unref(((struct sync *)data)->links);
	g_free(data);
}

static gboolean is_superfluous(void *lease, void *data, void *links)
{
	return g_strcmp0(((struct client *)data)->link, g_hash_table_lookup(links, lease)) != 0;
}

static void sync_clients(void *data)
{
	struct sync *sync = data;
	GHashTableIter iter;
	void *lease, *link;

	g_hash_table_foreach_remove(sync->net->clients, is_superfluous, sync->links);
	g_hash_table_iter_init(&iter, sync->links);
	while (g_hash_table_iter_next(&iter, &lease, &link)) {
		struct client *client;

		if (g_hash_table_contains(sync->net->clients, lease))
			continue;
		client = g_new0(struct client, 1);
		client->net = sync->net;
		client->lease = g_strdup(lease);
		client->link = g_strdup(link);
		client->expiry = timer_new(sync->net->agent->loop, on_expiry, client);
		g_hash_table_insert(sync->net->clients, client->lease, client);
		client->child = net_child_new(sync->net->agent->loop, &client_kind, client->lease, client);
	}
	sync_free(sync);
}

void net_dhcp_sync(struct net *net, const struct net_config *config)
{
	struct net_topology *topology = net_topology_new(config, NULL);
	struct sync *sync = g_new0(struct sync, 1);

	sync->net = net;
	sync->links = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	for (guint i = 0; topology && i < topology->wants->len; i++) {
		const struct net_want *want = topology->wants->pdata[i];

		if (want->dhcp)
			g_hash_table_insert(sync->links, g_strdup(want->dhcp), g_strdup(want->name));
		if (want->dhcpv6)
			g_hash_table_insert(sync->links, g_strdup(want->dhcpv6), g_strdup(want->name));
	}
	net_topology_free(topology);
	loop_post(net->agent->loop, sync_clients, sync, sync_free);
}

void net_dhcp_new(struct net *net)
{
	net->clients = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, client_free);
	net->offered = json_object();
}

void net_dhcp_free(struct net *net)
{
	g_hash_table_unref(net->clients);
	json_decref(net->offered);
}
