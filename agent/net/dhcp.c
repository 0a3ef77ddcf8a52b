/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DHCPv4: one udhcpc (busybox) for each network with bootproto dhcp, on the link that has the network's addresses.
 *
 * The client only asks; it configures nothing: its script tells us over a pipe what it was given, and a lease is taken into what is wanted as if the
 * network had these addresses (net.c), so that it is planned, verified, reported and undone as everything else. Why udhcpc: it does nothing but that, is
 * in Debian's busybox, and leaves all set-up to its script; dhcpcd insists on configuring by itself, ISC's dhclient is no longer maintained.
 *
 * A client ends with the agent (PDEATHSIG) and is started again with it: the addresses stay meanwhile, as long as their lease lasts. One that ends by
 * itself is started again after RESTART_USEC. All of it is on the loop's thread, but net_dhcp_sync() and net_dhcp_take(), which may be called by any.
 */
#define LOG_MODULE "dhcp"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/net/net-priv.h"
#include "common/json_file.h"
#include "common/log.h"

#define RESTART_USEC (10 * G_USEC_PER_SEC)
#define OUTPUT_MAX 8192
#define SCRIPT "dhcp-event"

static const char script[] = "#!/bin/sh\n# what udhcpc was given, for the agent that started it\n"
	"printf 'event=%s\\nip=%s\\nmask=%s\\nrouter=%s\\ndns=%s\\nlease=%s\\nend\\n' \"$1\" \"$ip\" \"$mask\" \"$router\" \"$dns\" \"$lease\"\n";

struct client {
	struct net *net;
	char *network, *link;
	GPid pid;                        /* 0: not running */
	int fd;
	struct watch *watch;
	struct timer *restart, *expiry;  /* expiry: of a lease that an earlier process was given */
	GString *output;
	bool bound;                      /* this process was given a lease */
};

static void start(struct client *client);

/* ---- leases ---- */

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
		json_object_set_new(net->offered, client->network, lease);
		pthread_cond_broadcast(&net->confirm);
	}
	if (net->agent->lanes && !lane_submit(net->agent->lanes, "network", &(struct lane_job){ .name = "DHCP lease", .run = offer_job, .data = net }, &error))
		log_error("network '%s': the lease is not used: %s", client->network, error->message);
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

	client->bound = false;
	log_warn("network '%s': the lease has ended", client->network);
	offer(client, json_null());
}

/* One message of the script. */
static void on_told(struct client *client, char **lines)
{
	const char *event = value_of(lines, "event");
	g_auto(GStrv) routers = g_strsplit(value_of(lines, "router"), " ", -1);
	g_auto(GStrv) servers = g_strsplit(value_of(lines, "dns"), " ", -1);
	json_t *names;

	if (!strcmp(event, "bound") || !strcmp(event, "renew")) {
		names = json_array();
		for (size_t i = 0; servers[i]; i++)
			if (*servers[i])
				json_array_append_new(names, json_string(servers[i]));
		client->bound = true;
		timer_cancel(client->expiry);
		offer(client, json_pack("{s:s, s:s, s:s, s:o, s:I}", "ip", value_of(lines, "ip"), "mask", value_of(lines, "mask"), "gateway",
					routers[0] ? routers[0] : "", "nameservers", names, "until", wall_msec() / 1000 + (json_int_t)g_ascii_strtoll(value_of(lines, "lease"), NULL, 10)));
	} else if (client->bound && !strcmp(event, "deconfig"))
		on_expiry(client);
	else if (!strcmp(event, "leasefail"))
		log_info("network '%s': no DHCP server answers, asking on", client->network);
}

/* ---- the process ---- */

static void stop(struct client *client)
{
	client->watch = watch_free(client->watch);
	if (client->pid) {
		close(client->fd);
		(void)kill(client->pid, SIGKILL);
		(void)waitpid(client->pid, NULL, 0);           /* killed: at once */
	}
	client->pid = 0;
	g_string_truncate(client->output, 0);
}

static void on_output(int fd, unsigned what, void *data)
{
	struct client *client = data;
	char buffer[1024], *end;
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0 || client->output->len + (size_t)n > OUTPUT_MAX) {
		log_error("network '%s': the DHCP client has ended, again in %d s", client->network, (int)(RESTART_USEC / G_USEC_PER_SEC));
		stop(client);
		timer_set(client->restart, RESTART_USEC);
		return;
	}
	g_string_append_len(client->output, buffer, n);
	while ((end = strstr(client->output->str, "\nend\n"))) {
		*end = '\0';
		g_auto(GStrv) lines = g_strsplit(client->output->str, "\n", -1);

		g_string_erase(client->output, 0, end + strlen("\nend\n") - client->output->str);
		on_told(client, lines);
	}
}

static void on_restart(void *data)
{
	start(data);
}

static void start(struct client *client)
{
	g_autofree char *path = g_build_filename(client->net->directory, SCRIPT, NULL);
	g_autoptr(GError) error = NULL;
	const char *argv[] = { "setpriv", "--pdeathsig", "KILL", "busybox", "udhcpc", "-f", "-i", client->link, "-s", path, "-T", "2", "-A", "5",
			       NULL, NULL, NULL };
	json_t *leases = net_leases(client->net), *lease = json_object_get(leases, client->network);
	int64_t seconds = json_integer_value(json_object_get(lease, "until")) - wall_msec() / 1000;
	g_autofree char *last = g_strdup(json_string_value(json_object_get(lease, "ip")));

	json_decref(leases);
	if (last) {
		timer_set(client->expiry, MAX(seconds, 0) * G_USEC_PER_SEC);
		argv[14] = "-r";
		argv[15] = last;
	}
	client->bound = false;
	if (!g_file_set_contents_full(path, script, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0755, &error) ||
	    !g_spawn_async_with_pipes(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
				      &client->pid, NULL, &client->fd, NULL, &error)) {
		log_error("network '%s': starting the DHCP client: %s", client->network, error->message);
		timer_set(client->restart, RESTART_USEC);
		return;
	}
	(void)fcntl(client->fd, F_SETFL, O_NONBLOCK);
	client->watch = watch_new(client->net->agent->loop, client->fd, on_output, client);
	watch_set(client->watch, WATCH_READ);
	log_info("network '%s': asking for an address on '%s'", client->network, client->link);
}

static void client_free(void *data)
{
	struct client *client = data;

	stop(client);
	timer_free(client->restart);
	timer_free(client->expiry);
	g_string_free(client->output, TRUE);
	g_free(client->network);
	g_free(client->link);
	g_free(client);
}

/* ---- which there are ---- */

struct sync { struct net *net; GHashTable *links; };     /* network -> link */

static void sync_free(void *data)
{
	g_hash_table_unref(((struct sync *)data)->links);
	g_free(data);
}

static gboolean is_superfluous(void *network, void *data, void *links)
{
	return g_strcmp0(((struct client *)data)->link, g_hash_table_lookup(links, network)) != 0;
}

static void sync_clients(void *data)
{
	struct sync *sync = data;
	GHashTableIter iter;
	void *network, *link;

	g_hash_table_foreach_remove(sync->net->clients, is_superfluous, sync->links);
	g_hash_table_iter_init(&iter, sync->links);
	while (g_hash_table_iter_next(&iter, &network, &link)) {
		struct client *client;

		if (g_hash_table_contains(sync->net->clients, network))
			continue;
		client = g_new0(struct client, 1);
		client->net = sync->net;
		client->network = g_strdup(network);
		client->link = g_strdup(link);
		client->output = g_string_new(NULL);
		client->restart = timer_new(sync->net->agent->loop, on_restart, client);
		client->expiry = timer_new(sync->net->agent->loop, on_expiry, client);
		g_hash_table_insert(sync->net->clients, client->network, client);
		start(client);
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
