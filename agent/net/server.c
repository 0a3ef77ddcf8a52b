/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving subnets: one dnsmasq (DHCP, DHCPv6, router advertisements, DNS) for each network that has any, on the network's bridge. Why dnsmasq: it is one
 * small program for all of it, kept well, and gives the names of what it gave addresses to.
 *
 * How it runs is in child.c. Its configuration (subnet.c) is subnets/NETWORK.conf in our directory, written before each start; what it gave is
 * subnets/NETWORK.leases, which it writes itself and reads when it starts, so that an agent that restarts, a changed wish and a boot forget no address.
 * Another configuration is another process. Both files go when their network has no subnets any more, as the change is committed.
 *
 * Host.setupNetworks waits until the servers of its networks say that they have started: one that does not, within START_LIMIT_S or because it ends,
 * takes the change back, and the servers of before are started again. A port 53 that another program has is looked for before: dnsmasq would
 * serve addresses and no names.
 *
 * All of it is on the loop's thread, but what net-priv.h says may be called by any.
 */
#define LOG_MODULE "net"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/net/net-priv.h"
#include "common/log.h"

#define RESTART_USEC (2 * G_USEC_PER_SEC)
#define START_LIMIT_S 60
#define DIRECTORY "subnets"
#define CONF ".conf"
#define LEASES ".leases"
#define SCRIPT "serve"
#define DNS_PORT 53

static const char script[] = "#!/bin/sh\n# CONFIGURATION: runs a server of names and addresses, and is the first process of its name space\n"
	"dnsmasq --keep-in-foreground --conf-file=\"$1\" 2>&1\nexit\n";

struct server {
	struct net *net;
	char *name, *text, *address;     /* text: configuration; address: the host's (IPv4) in its subnet, NULL: none */
	char *said;                      /* the last line */
	bool failed;
	struct net_child *child;
};

/* What it is started with; NULL: the network has no subnets. A bridge that is made anew is another one for it. g_free */
static char *text_of(struct net *net, const char *name, const struct network_config *network)
{
	g_autofree char *text = net_subnets_text(name, network);
	GString *whole;

	if (!text)
		return NULL;
	whole = g_string_new(text);
	net_endpoint_reservations(net, name, network, whole);
	g_string_append_printf(whole, "# link %u\n", if_nametoindex(name));
	return g_string_free(whole, FALSE);
}

static char *path_of(const struct net *net, const char *name, const char *suffix)
{
	g_autofree char *file = g_strconcat(name, suffix, NULL);

	return g_build_filename(net->directory, DIRECTORY, file, NULL);
}

/* problem NULL: it serves. */
static void tell(struct server *server, const char *problem)
{
	struct net *net = server->net;
	AUTO_LOCK(&net->lock);

	server->failed = problem;
	json_object_set_new(net->serving, server->name, json_pack("{s:s, s:s*}", "text", server->text, "problem", problem));
	pthread_cond_broadcast(&net->confirm);
}

/* ---- the process ---- */

/* Is there a server of names on the address already? One of ours is gone: its process was waited for. */
static bool is_taken(const char *address)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(DNS_PORT) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool taken;

	(void)inet_pton(AF_INET, address, &name.sin_addr);
	taken = fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof(name)) < 0 && errno == EADDRINUSE;
	if (fd >= 0)
		close(fd);
	return taken;
}

static bool prepare(void *data, GStrvBuilder *argv, GError **error)
{
	struct server *server = data;
	g_autofree char *program = g_build_filename(server->net->directory, SCRIPT, NULL), *conf = path_of(server->net, server->name, CONF);
	g_autofree char *leases = path_of(server->net, server->name, LEASES);
	g_autofree char *text = g_strdup_printf("%sdhcp-leasefile=%s\n", server->text, leases), *directory = g_path_get_dirname(conf);

	g_clear_pointer(&server->said, g_free);
	if (server->address && is_taken(server->address)) {
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "port %d of %s belongs to another program", DNS_PORT, server->address);
		return false;
	}
	if (g_mkdir_with_parents(directory, 0755) < 0) {
		error_set_errno(error, ERR_UNEXPECTED_ERROR, errno, "'%s'", directory);
		return false;
	}
	g_strv_builder_add_many(argv, program, conf, NULL);
	return g_file_set_contents_full(program, script, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0755, error) &&
	       g_file_set_contents_full(conf, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error);
}

static void heard(void *data, GString *output)
{
	struct server *server = data;
	char *end;

	while ((end = strchr(output->str, '\n'))) {
		g_free(server->said);
		server->said = g_strndup(output->str, (gsize)(end - output->str));
		g_string_erase(output, 0, end + 1 - output->str);
		log_debug("network '%s': %s", server->name, server->said);
		if (strstr(server->said, ": started, version"))
			tell(server, NULL);
	}
}

static void ended(void *data, const char *why)
{
	struct server *server = data;

	tell(server, why ? why : server->said ? server->said : "it ended");
}

static const struct net_child_kind server_kind = {
	.what = "server of addresses", .prepare = prepare, .heard = heard, .ended = ended, .restart_usec = RESTART_USEC };

static void server_free(void *data)
{
	struct server *server = data;

	net_child_free(server->child);
	g_free(server->name);
	g_free(server->text);
	g_free(server->address);
	g_free(server->said);
	g_free(server);
}

/* ---- which there are ---- */

struct wish { char *text, *address; };
struct sync { struct net *net; GHashTable *wishes; };           /* network -> struct wish */

static void wish_free(void *data)
{
	struct wish *wish = data;

	g_free(wish->text);
	g_free(wish->address);
	g_free(wish);
}

static void sync_free(void *data)
{
	g_hash_table_unref(((struct sync *)data)->wishes);
	g_free(data);
}

static gboolean is_superfluous(void *name, void *data, void *wishes)
{
	const struct server *server = data;
	const struct wish *wish = g_hash_table_lookup(wishes, name);

	return !wish || server->failed || strcmp(server->text, wish->text);
}

static void sync_servers(void *data)
{
	struct sync *sync = data;
	struct net *net = sync->net;
	GHashTableIter iter;
	void *name, *value;

	g_hash_table_foreach_remove(net->servers, is_superfluous, sync->wishes);
	g_hash_table_iter_init(&iter, sync->wishes);
	while (g_hash_table_iter_next(&iter, &name, &value)) {
		const struct wish *wish = value;
		struct server *server;

		if (g_hash_table_contains(net->servers, name))
			continue;
		server = g_new0(struct server, 1);
		server->net = net;
		server->name = g_strdup(name);
		server->text = g_strdup(wish->text);
		server->address = g_strdup(wish->address);
		g_hash_table_insert(net->servers, server->name, server);
		server->child = net_child_new(net->agent->loop, &server_kind, server->name, server);
	}
	sync_free(sync);
}

void net_servers_sync(struct net *net, const struct net_config *config)
{
	struct sync *sync = g_new0(struct sync, 1);
	GHashTableIter iter;
	void *name, *network, *next;
	json_t *state;
	const char *key;

	sync->net = net;
	sync->wishes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, wish_free);
	g_hash_table_iter_init(&iter, config->networks);
	while (g_hash_table_iter_next(&iter, &name, &network)) {
		char *text = text_of(net, name, network);
		struct wish *wish = text ? g_new0(struct wish, 1) : NULL;

		if (!wish)
			continue;
		wish->text = text;
		wish->address = net_given(((const struct network_config *)network)->ipaddr) ? g_strdup(((const struct network_config *)network)->ipaddr) : NULL;
		g_hash_table_insert(sync->wishes, g_strdup(name), wish);
	}
	{
		AUTO_LOCK(&net->lock);
		/* what failed is tried again, what will be gone serves no more: nobody is to read the old news */
		json_object_foreach_safe(net->serving, next, key, state) {
			const struct wish *wish = g_hash_table_lookup(sync->wishes, key);

			if (!wish || json_object_get(state, "problem") || strcmp(json_string_value(json_object_get(state, "text")), wish->text))
				json_object_del(net->serving, key);
		}
	}
	loop_post(net->agent->loop, sync_servers, sync, sync_free);
}

/* "": it serves; another text: what is wrong with it; NULL: nothing known yet. g_free */
static char *state_of(struct net *net, const char *name, const char *text)
{
	const json_t *state = json_object_get(net->serving, name);
	const char *problem = json_string_value(json_object_get(state, "problem"));

	return !state || strcmp(json_string_value(json_object_get(state, "text")), text) ? NULL : g_strdup(problem ? problem : "");
}

static bool wait_server(struct net *net, const char *name, const char *text, const struct timespec *until, GError **error)
{
	g_autofree char *state = NULL;
	bool late = false;
	AUTO_LOCK(&net->lock);

	while (!(state = state_of(net, name, text)) && !late)
		late = pthread_cond_timedwait(&net->confirm, &net->lock, until) == ETIMEDOUT;
	if (state && !*state)
		return true;
	if (state)
		error_set(error, ERR_FAILED_IFUP, "network '%s': subnets: the server of addresses does not start: %s", name, state);
	else
		error_set(error, ERR_FAILED_IFUP, "network '%s': subnets: the server of addresses has not started within %d s", name, START_LIMIT_S);
	return false;
}

bool net_servers_wait(struct net *net, const struct net_config *config, GHashTable *touched, GError **error)
{
	struct timespec until;
	GHashTableIter iter;
	void *name;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += START_LIMIT_S;
	g_hash_table_iter_init(&iter, touched);
	while (g_hash_table_iter_next(&iter, &name, NULL)) {
		const struct network_config *network = g_hash_table_lookup(config->networks, name);
		g_autofree char *text = network ? text_of(net, name, network) : NULL;

		if (text && !wait_server(net, name, text, &until, error))
			return false;
	}
	return true;
}

void net_servers_tidy(struct net *net, const struct net_config *config)
{
	g_autofree char *path = g_build_filename(net->directory, DIRECTORY, NULL);
	g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
	const char *file;
	bool any = false;

	while (directory && (file = g_dir_read_name(directory))) {
		const char *suffix = g_str_has_suffix(file, CONF) ? CONF : LEASES;
		g_autofree char *name = g_strndup(file, strlen(file) - (g_str_has_suffix(file, suffix) ? strlen(suffix) : 0));
		g_autofree char *full = g_build_filename(path, file, NULL);
		const struct network_config *network = g_hash_table_lookup(config->networks, name);

		if (network && network->subnets && network->subnets->len)
			any = true;
		else
			(void)unlink(full);
	}
	if (directory && !any)
		(void)rmdir(path);
}

void net_servers_describe(struct net *net, const char *name, const struct network_config *network, json_t *object)
{
	g_autofree char *text = text_of(net, name, network);
	g_autofree char *path = path_of(net, name, LEASES), *content = NULL, *state = NULL;
	json_t *subnets;

	if (!text)
		return;
	subnets = json_array();
	for (guint i = 0; i < network->subnets->len; i++)
		json_array_append_new(subnets, record_to_json(network->subnets->pdata[i], RECORD_CHANNEL));
	{
		AUTO_LOCK(&net->lock);
		state = state_of(net, name, text);
	}
	(void)g_file_get_contents(path, &content, NULL, NULL);
	json_object_set_new(object, "subnets", subnets);
	json_object_set_new(object, "leases", net_subnets_leases(content));
	json_object_set_new(object, "serving", json_boolean(state && !*state));
	if (state && *state)
		json_object_set_new(object, "servingProblem", json_string(state));
}

void net_servers_new(struct net *net)
{
	net->servers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, server_free);
	net->serving = json_object();
}

void net_servers_free(struct net *net)
{
	g_hash_table_unref(net->servers);
	json_decref(net->serving);
}
