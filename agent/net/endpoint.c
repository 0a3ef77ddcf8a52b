/* SPDX-License-Identifier: Apache-2.0 */
/*
 * End points: ports of networks that are made before, and stay after, what is attached to them. What belongs to the port follows from one VM or container
 * to the next: hardware address, addresses, policies, counters.
 *
 *   detached         a persistent tap in the network's bridge
 *   of a VM          the same tap; QEMU has it open (agent/virt/change/endpoint.c)
 *   of a namespace   a veth instead, whose other end is there, with the addresses
 *
 * The host's end is called after the hardware address (net_port_name()), whichever it is: policies are for the name. What a link counted is added up when
 * it goes. The addresses are reservations of the network's subnets (subnet.c).
 *
 * endpoints.json has what is wanted, written before it is made, and an end point leaves it last: what was acknowledged is made again after kill -9, and
 * after a boot. What runs is the truth about what is attached: a namespace that is gone has taken its link along, and the end point is detached;
 * for VMs the caller knows. An end point is changed by one at a time, who has marked it as busy.
 */
#define LOG_MODULE "net"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "agent/net/net-priv.h"
#include "common/json_file.h"
#include "common/log.h"

#define FILE_NAME "endpoints.json"
#define ENDPOINTS_MAX 4096
#define IPS_MAX 64

struct net_endpoints {
	pthread_mutex_t lock;            /* guards what follows; never held over a change of links */
	GHashTable *table;               /* id -> struct net_endpoint, which is replaced, never changed */
	GHashTable *busy;                /* ids (a set) */
};

/* ---- the table and its file ---- */

/* Locked. */
static bool write_table(struct net *net, GHashTable *table, GError **error)
{
	json_t *all = json_object();
	GHashTableIter iter;
	void *id, *endpoint;
	json_t *file;
	bool written;

	g_hash_table_iter_init(&iter, table);
	while (g_hash_table_iter_next(&iter, &id, &endpoint))
		json_object_set_new(all, id, record_to_json(endpoint, RECORD_CHANNEL));
	file = json_pack("{s:i, s:o}", "version", 1, "endpoints", all);
	written = json_file_write(net->directory, FILE_NAME, file, error);
	json_decref(file);
	return written;
}

/* Replaces it by a copy of this, or removes it (endpoint NULL). */
static bool put(struct net *net, const char *id, const struct net_endpoint *endpoint, GError **error)
{
	struct net_endpoints *all = net->endpoints;
	struct net_endpoint *old;
	AUTO_LOCK(&all->lock);

	old = g_hash_table_lookup(all->table, id);
	if (old)
		record_ref(old);
	if (endpoint)
		g_hash_table_replace(all->table, g_strdup(id), record_copy(endpoint));
	else
		g_hash_table_remove(all->table, id);
	if (write_table(net, all->table, error)) {
		record_unref(old);
		return true;
	}
	if (old)
		g_hash_table_replace(all->table, g_strdup(id), old);
	else
		g_hash_table_remove(all->table, id);
	return false;
}

static void *no_such(const char *id, GError **error)
{
	error_set(error, ERR_BAD_NIC, "end point %s does not exist", id);
	return NULL;
}

/* A copy; NULL + ERR_BAD_NIC */
static struct net_endpoint *copy_of(struct net *net, const char *id, GError **error)
{
	struct net_endpoint *found;
	AUTO_LOCK(&net->endpoints->lock);

	found = g_hash_table_lookup(net->endpoints->table, id);
	return found ? record_copy(found) : no_such(id, error);
}

struct net_endpoint *net_endpoint_begin(struct net *net, const char *id, GError **error)
{
	struct net_endpoint *endpoint = copy_of(net, id, error);
	AUTO_LOCK(&net->endpoints->lock);

	if (endpoint && !g_hash_table_add(net->endpoints->busy, g_strdup(id))) {
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "end point %s is being changed", id);
		record_unref(endpoint);
		endpoint = NULL;
	}
	return endpoint;
}

void net_endpoint_end(struct net *net, struct net_endpoint *endpoint)
{
	if (!endpoint)
		return;
	{
		AUTO_LOCK(&net->endpoints->lock);
		g_hash_table_remove(net->endpoints->busy, endpoint->id);
	}
	record_unref(endpoint);
}

bool net_endpoint_note(struct net *net, struct net_endpoint *endpoint, const char *vm_id, GError **error)
{
	g_autofree char *before = g_strdup(endpoint->vm_id);

	set_string(&endpoint->vm_id, vm_id);
	if (put(net, endpoint->id, endpoint, error))
		return true;
	set_string(&endpoint->vm_id, before);
	return false;
}

/* ---- counters ---- */

/* Adds what its link has counted: what came from the machine is what the host's end received. */
static void add_counters(struct net_endpoint *endpoint, const struct net_state *state)
{
	const struct net_link *link = state ? net_state_link(state, endpoint->tap) : NULL;

	if (!link)
		return;
	SET(endpoint, received_bytes, endpoint->received_bytes + (int64_t)link->tx_bytes);
	SET(endpoint, sent_bytes, endpoint->sent_bytes + (int64_t)link->rx_bytes);
	SET(endpoint, received_drops, endpoint->received_drops + (int64_t)link->tx_dropped);
	SET(endpoint, sent_drops, endpoint->sent_drops + (int64_t)link->rx_dropped);
}

static struct net_state *read_links(GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;

	netlink_free(netlink);
	return state;
}

static bool is_kind(const struct net_state *state, const struct net_endpoint *endpoint, const char *kind)
{
	const struct net_link *link = net_state_link(state, endpoint->tap);

	return link && !strcmp(link->kind, kind);
}

/* As it is told: with the counters of its link, and detached when its namespace has gone. */
static void complete(struct net_endpoint *endpoint, const struct net_state *state)
{
	add_counters(endpoint, state);
	if (endpoint->space && state && !is_kind(state, endpoint, "veth")) {
		set_string(&endpoint->space, NULL);
		set_string(&endpoint->link, NULL);
	}
}

struct net_endpoint *net_endpoint_get(struct net *net, const char *id, GError **error)
{
	struct net_endpoint *endpoint = copy_of(net, id, error);
	struct net_state *state = endpoint ? read_links(NULL) : NULL;

	if (endpoint)
		complete(endpoint, state);
	net_state_free(state);
	return endpoint;
}

/* As the file has them. */
static GPtrArray *copies(struct net *net)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(record_unref);
	GHashTableIter iter;
	void *endpoint;
	AUTO_LOCK(&net->endpoints->lock);

	g_hash_table_iter_init(&iter, net->endpoints->table);
	while (g_hash_table_iter_next(&iter, NULL, &endpoint))
		g_ptr_array_add(list, record_copy(endpoint));
	return list;
}

GPtrArray *net_endpoint_all(struct net *net)
{
	GPtrArray *list = copies(net);
	struct net_state *state = NULL;

	if (list->len)
		state = read_links(NULL);
	for (guint i = 0; i < list->len; i++)
		complete(list->pdata[i], state);
	net_state_free(state);
	return list;
}

/* ---- links ---- */

static bool failed(GError **error, const struct net_endpoint *endpoint, int errnum, const char *what)
{
	error_set_errno(error, ERR_FAILED_IFUP, errnum, "end point %s: %s '%s'", endpoint->id, what, endpoint->tap);
	return false;
}

/* A tap that stays when nobody has it open. 0 or errno */
static int make_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), errnum = fd < 0 ? errno : 0;

	g_strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
	if (!errnum && (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0))
		errnum = errno;
	if (fd >= 0)
		close(fd);
	return errnum;
}

/* Into the bridge, with its MTU, and up. 0 or errno */
static int join(struct netlink *netlink, const struct net_state *state, const struct net_endpoint *endpoint)
{
	const struct net_link *bridge = net_state_link(state, endpoint->network);
	g_autofree char *text = g_strdup_printf("link master=%s mtu=%u up=1", endpoint->network, bridge ? bridge->mtu : 1500);

	return netlink_link(netlink, endpoint->tap, text, /* add= */ false);
}

static int remove_link(struct netlink *netlink, const char *name)
{
	int errnum = netlink_link_delete(netlink, name);

	return errnum == ENODEV ? 0 : errnum;
}

/* With a tap in its bridge, whatever there was; what is a tap already stays: a VM may have it. */
static bool bring_tap(const struct net_endpoint *endpoint, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	bool there = state && is_kind(state, endpoint, "tun");
	int errnum = 0;

	if (state && !there)
		errnum = remove_link(netlink, endpoint->tap);
	if (state && !there && !errnum)
		errnum = make_tap(endpoint->tap);
	if (state && !errnum)
		errnum = join(netlink, state, endpoint);
	if (errnum)
		(void)failed(error, endpoint, errnum, "tap");
	net_state_free(state);
	netlink_free(netlink);
	return state && !errnum;
}

/* ---- namespaces ---- */

/* Of a name below /run/netns, or a path. -1 + ERR_INVALID_PARAMETER */
static int open_space(const char *space, GError **error)
{
	g_autofree char *path = *space == '/' ? g_strdup(space) : g_build_filename("/run/netns", space, NULL);
	int fd = strchr(space, '/') && *space != '/' ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET)
		return fd;
	if (fd >= 0)
		close(fd);
	error_set(error, ERR_INVALID_PARAMETER, "namespace: '%s' is no network namespace", space);
	return -1;
}

/* What is done inside, by a thread that is there and ends there. */
struct inside { int space; const struct net_endpoint *endpoint; const char *link; unsigned mtu; char *problem; };

static bool told(struct inside *inside, int errnum, const char *what)
{
	if (errnum && errnum != EEXIST)
		inside->problem = g_strdup_printf("%s: %s", what, g_strerror(errnum));
	return inside->problem == NULL;
}

static void *dress(void *data)
{
	struct inside *inside = data;
	const struct net_endpoint *endpoint = inside->endpoint;
	g_autofree char *up = g_strdup_printf("link mtu=%u up=1", inside->mtu);
	struct netlink *netlink = NULL;
	bool good = told(inside, setns(inside->space, CLONE_NEWNET) < 0 ? errno : 0, "entering it");

	if (good && !(netlink = netlink_new(NULL)))
		good = told(inside, EIO, "netlink");
	good = good && told(inside, netlink_link(netlink, inside->link, up, /* add= */ false), inside->link);
	for (guint i = 0; good && endpoint->ips && i < endpoint->ips->len; i++)
		good = told(inside, netlink_address(netlink, inside->link, endpoint->ips->pdata[i], true), endpoint->ips->pdata[i]);
	for (guint i = 0; good && endpoint->gateways && i < endpoint->gateways->len; i++) {
		g_autofree char *route = g_strdup_printf("default via %s metric 0 proto %d table 254", (char *)endpoint->gateways->pdata[i], NET_PROTOCOL);

		good = told(inside, netlink_route(netlink, inside->link, route, true), endpoint->gateways->pdata[i]);
	}
	netlink_free(netlink);
	return NULL;
}

/* Also of one that is there: what it has already is fine. */
static bool dress_inside(int space, const struct net_endpoint *endpoint, unsigned mtu, GError **error)
{
	struct inside inside = { .space = space, .endpoint = endpoint, .link = endpoint->link, .mtu = mtu };
	pthread_t thread;
	int errnum = pthread_create(&thread, NULL, dress, &inside);

	if (!errnum)
		(void)pthread_join(thread, NULL);
	if (!errnum && !inside.problem)
		return true;
	error_set(error, ERR_FAILED_IFUP, "end point %s: namespace '%s': %s", endpoint->id, endpoint->space, inside.problem ? inside.problem : g_strerror(errnum));
	g_free(inside.problem);
	return false;
}

static bool bring_veth(const struct net_endpoint *endpoint, int space, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	const struct net_link *bridge = state ? net_state_link(state, endpoint->network) : NULL;
	bool there = state && is_kind(state, endpoint, "veth"), good = state;
	int errnum = 0;

	if (good && !there && ((errnum = remove_link(netlink, endpoint->tap)) ||
			       (errnum = netlink_veth(netlink, endpoint->tap, space, endpoint->link, endpoint->mac))))
		good = failed(error, endpoint, errnum, "veth");
	if (good && (errnum = join(netlink, state, endpoint)))
		good = failed(error, endpoint, errnum, "veth");
	good = good && dress_inside(space, endpoint, bridge ? bridge->mtu : 1500, error);
	net_state_free(state);
	netlink_free(netlink);
	return good;
}

/* ---- what is asked for ---- */

#define REFUSE(code, format, ...) \
	do { \
		error_set(error, code, "end point %s: " format, endpoint->id, ##__VA_ARGS__); \
		return false; \
	} while (0)

static bool same_ip(const char *a, const char *b)
{
	size_t length = strcspn(a, "/");

	return length == strcspn(b, "/") && !g_ascii_strncasecmp(a, b, length);
}

static bool check_ips(const struct net_endpoint *endpoint, const struct network_config *network, GError **error)
{
	struct net_prefix prefix, gateway;
	bool seen[2] = { false, false };

	if (endpoint->ips && endpoint->ips->len > IPS_MAX)
		REFUSE(ERR_BAD_PARAMS, "%u ips are more than %d", endpoint->ips->len, IPS_MAX);
	for (guint i = 0; endpoint->ips && i < endpoint->ips->len; i++) {
		const char *text = endpoint->ips->pdata[i];

		if (!strchr(text, '/') || !net_prefix_parse(text, &prefix))
			REFUSE(ERR_BAD_ADDR, "ips: '%s' is not an address with its prefix length", text);
		if ((network->ipaddr && same_ip(text, network->ipaddr)) || (network->ipv6addr && same_ip(text, network->ipv6addr)))
			REFUSE(ERR_BAD_ADDR, "ips: %s is the host's own in network '%s'", text, endpoint->network);
		if (!net_subnets_check_address(endpoint->network, network, endpoint->mac, text, endpoint->name, error))
			return false;
	}
	for (guint i = 0; endpoint->gateways && i < endpoint->gateways->len; i++) {
		const char *text = endpoint->gateways->pdata[i];
		g_autofree char *full = g_strdup_printf("%s/%s", text, strchr(text, ':') ? "128" : "32");
		bool *family = &seen[strchr(text, ':') != NULL], in = false;

		if (!net_prefix_parse(full, &gateway))
			REFUSE(ERR_BAD_ADDR, "gateways: '%s' is no address", text);
		for (guint k = 0; endpoint->ips && k < endpoint->ips->len; k++)
			in |= net_prefix_parse(endpoint->ips->pdata[k], &prefix) && net_prefix_contains(&prefix, text);
		if (!in)
			REFUSE(ERR_BAD_ADDR, "gateways: '%s' is in the network of none of its ips", text);
		if (*family)
			REFUSE(ERR_BAD_PARAMS, "gateways: '%s' is the second one of its family", text);
		*family = true;
	}
	return true;
}

/* Locked. What no two may have. */
static bool check_others(struct net *net, const struct net_endpoint *endpoint, GError **error)
{
	GHashTableIter iter;
	void *value;

	if (g_hash_table_size(net->endpoints->table) >= ENDPOINTS_MAX)
		REFUSE(ERR_RESOURCE_UNAVAILABLE, "there are %d already", ENDPOINTS_MAX);
	g_hash_table_iter_init(&iter, net->endpoints->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct net_endpoint *other = value;

		if (!strcmp(other->id, endpoint->id))
			continue;
		if (!strcmp(other->tap, endpoint->tap))
			REFUSE(ERR_USED_NIC, "macAddr %s is that of end point %s", endpoint->mac, other->id);
		for (guint i = 0; !strcmp(other->network, endpoint->network) && endpoint->ips && i < endpoint->ips->len; i++)
			for (guint k = 0; other->ips && k < other->ips->len; k++)
				if (same_ip(endpoint->ips->pdata[i], other->ips->pdata[k]))
					REFUSE(ERR_BAD_ADDR, "ips: %s is that of end point %s", (char *)endpoint->ips->pdata[i], other->id);
	}
	return true;
}

static bool check_wish(struct net *net, const struct net_endpoint *endpoint, GError **error)
{
	struct net_config *config = net_running_config(net);
	const struct network_config *network = g_hash_table_lookup(config->networks, endpoint->network);
	bool good = false;

	if (!network || !network->bridged || net_is_ovs(network->switch_type) || !if_nametoindex(endpoint->network))
		error_set(error, ERR_BAD_BRIDGE, "end point %s: network '%s' %s", endpoint->id, endpoint->network,
			  !network ? "does not exist on this host" : net_is_ovs(network->switch_type) ? "has switch 'ovs', which has no end points" : "has no bridge");
	else if (net_given(endpoint->name) && !net_subnets_is_name(endpoint->name))
		error_set(error, ERR_BAD_PARAMS, "end point %s: name '%s' is no name of a host", endpoint->id, endpoint->name);
	else
		good = check_ips(endpoint, network, error);
	net_config_free(config);
	if (good) {
		AUTO_LOCK(&net->endpoints->lock);
		good = check_others(net, endpoint, error);
	}
	return good;
}

/* The servers of addresses are told; those of its networks have started when this is true. */
static bool tell_servers(struct net *net, const char *network, const char *other, GError **error)
{
	struct net_config *config = net_running_config(net);
	g_autoptr(GHashTable) touched = g_hash_table_new(g_str_hash, g_str_equal);
	bool good;

	g_hash_table_add(touched, (char *)network);
	if (other)
		g_hash_table_add(touched, (char *)other);
	net_servers_sync(net, config);
	good = net_servers_wait(net, config, touched, error);
	net_config_free(config);
	return good;
}

void net_endpoint_reservations(struct net *net, const char *network, const struct network_config *config, GString *text)
{
	GList *ids;
	AUTO_LOCK(&net->endpoints->lock);

	ids = g_list_sort(g_hash_table_get_keys(net->endpoints->table), (GCompareFunc)strcmp);
	for (GList *l = ids; l; l = l->next) {
		const struct net_endpoint *endpoint = g_hash_table_lookup(net->endpoints->table, l->data);

		for (guint i = 0; !strcmp(endpoint->network, network) && endpoint->ips && i < endpoint->ips->len; i++)
			net_subnets_reserve(config, endpoint->mac, endpoint->ips->pdata[i], endpoint->name, text);
	}
	g_list_free(ids);
}

/* ---- create, modify, delete ---- */

/* Is it what is there already, asked for once more? */
static bool is_same(struct net *net, const struct net_endpoint *wish)
{
	struct net_endpoint *old = copy_of(net, wish->id, NULL);
	bool is;

	if (!old)
		return false;
	is = !g_strcmp0(old->network, wish->network) && !g_ascii_strcasecmp(old->mac, wish->mac) && !g_strcmp0(old->name, wish->name) &&
	     json_equal(old->policies, wish->policies);
	for (guint i = 0; is && i < 2; i++) {
		const GPtrArray *a = i ? old->gateways : old->ips, *b = i ? wish->gateways : wish->ips;

		is = (a ? a->len : 0) == (b ? b->len : 0);
		for (guint k = 0; is && a && k < a->len; k++)
			is = !strcmp(a->pdata[k], b->pdata[k]);
	}
	record_unref(old);
	return is;
}

static bool add(struct net *net, struct net_endpoint *endpoint, GError **error)
{
	struct netlink *netlink;

	if (!put(net, endpoint->id, endpoint, error))
		return false;
	/* before its tap is there, and again for what only a tap can have */
	if (net_port_set(net, endpoint->tap, endpoint->mac, endpoint->policies, error) && bring_tap(endpoint, error) &&
	    net_port_set(net, endpoint->tap, endpoint->mac, endpoint->policies, error) && tell_servers(net, endpoint->network, NULL, error)) {
		net_port_settled(net, endpoint->tap);
		return true;
	}
	net_port_settled(net, endpoint->tap);
	if ((netlink = netlink_new(NULL)))
		(void)remove_link(netlink, endpoint->tap);
	netlink_free(netlink);
	(void)put(net, endpoint->id, NULL, NULL);
	net_port_sweep(net);
	(void)tell_servers(net, endpoint->network, NULL, NULL);
	return false;
}

bool net_endpoint_create(struct net *net, struct net_endpoint *endpoint, GError **error)
{
	g_autofree char *mac = g_ascii_strdown(endpoint->mac, -1);
	uint8_t parsed[6];

	if (!net_mac_parse(mac, parsed) || parsed[0] & 1)
		REFUSE(ERR_BAD_PARAMS, "macAddr '%s' is no hardware address of a NIC", endpoint->mac);
	set_string(&endpoint->mac, mac);
	g_free(endpoint->tap);
	endpoint->tap = net_port_name(mac);
	if (is_same(net, endpoint))
		return true;
	{
		AUTO_LOCK(&net->endpoints->lock);
		if (g_hash_table_contains(net->endpoints->table, endpoint->id))
			REFUSE(ERR_USED_NIC, "it exists already, and is another one");
	}
	if (!check_wish(net, endpoint, error))
		return false;
	if (if_nametoindex(endpoint->tap))
		REFUSE(ERR_USED_NIC, "macAddr %s: there is a link '%s' already, of a VM's NIC", mac, endpoint->tap);
	return add(net, endpoint, error);
}

/* Makes what is there what is wanted, or what it was; is it there in a namespace, its addresses stay. */
static bool apply(struct net *net, const struct net_endpoint *endpoint, GError **error)
{
	struct netlink *netlink = NULL;
	struct net_state *state;
	int errnum = 0;

	if (!net_port_set(net, endpoint->tap, endpoint->mac, endpoint->policies, error))
		return false;
	netlink = netlink_new(error);
	state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	if (state && (errnum = join(netlink, state, endpoint)))
		(void)failed(error, endpoint, errnum, "link");
	net_state_free(state);
	netlink_free(netlink);
	return state && !errnum;
}

static bool change(struct net *net, const struct net_endpoint *old, struct net_endpoint *endpoint, GError **error)
{
	const char *left = strcmp(old->network, endpoint->network) ? old->network : NULL;

	if (!put(net, endpoint->id, endpoint, error))
		return false;
	if (apply(net, endpoint, error) && tell_servers(net, endpoint->network, left, error))
		return true;
	(void)put(net, old->id, old, NULL);
	(void)apply(net, old, NULL);
	(void)tell_servers(net, endpoint->network, left, NULL);
	return false;
}

bool net_endpoint_modify(struct net *net, const struct net_endpoint *wish, GError **error)
{
	struct net_endpoint *old = net_endpoint_begin(net, wish->id, error), *endpoint = old ? record_copy(old) : NULL;
	bool good = old;

	if (good && old->space && (HAS(wish, ips) || HAS(wish, gateways))) {
		error_set(error, ERR_USED_NIC, "end point %s: its addresses cannot change while it is in namespace '%s'", old->id, old->space);
		good = false;
	}
	if (good) {
		if (wish->network)
			set_string(&endpoint->network, wish->network);
		if (wish->name)
			set_string(&endpoint->name, *wish->name ? wish->name : NULL);
		if (wish->ips) {
			g_clear_pointer(&endpoint->ips, g_ptr_array_unref);
			endpoint->ips = g_ptr_array_ref(wish->ips);
		}
		if (wish->gateways) {
			g_clear_pointer(&endpoint->gateways, g_ptr_array_unref);
			endpoint->gateways = g_ptr_array_ref(wish->gateways);
		}
		if (wish->policies) {
			json_decref(endpoint->policies);
			endpoint->policies = json_incref(wish->policies);
		}
		good = check_wish(net, endpoint, error) && change(net, old, endpoint, error);
	}
	record_unref(endpoint);
	net_endpoint_end(net, old);
	return good;
}

bool net_endpoint_delete(struct net *net, struct net_endpoint *endpoint, GError **error)
{
	struct netlink *netlink;
	struct net_state *state;
	int errnum = 0;
	bool in_space, good;

	if (endpoint->vm_id)
		REFUSE(ERR_USED_NIC, "it is attached to VM %s", endpoint->vm_id);
	netlink = netlink_new(error);
	state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	in_space = state && endpoint->space && is_kind(state, endpoint, "veth");
	if (in_space)
		error_set(error, ERR_USED_NIC, "end point %s: it is attached to namespace '%s'", endpoint->id, endpoint->space);
	else if (state && (errnum = remove_link(netlink, endpoint->tap)))
		(void)failed(error, endpoint, errnum, "removing");
	good = state && !in_space && !errnum && put(net, endpoint->id, NULL, error);
	net_state_free(state);
	netlink_free(netlink);
	if (!good)
		return false;
	net_port_sweep(net);
	if (!tell_servers(net, endpoint->network, NULL, NULL))
		log_warn("end point %s: the server of network '%s' does not start without it, ignoring", endpoint->id, endpoint->network);
	return true;
}

/* ---- in and out of a namespace ---- */

/* The tap again, and the file says so; what the link that goes has counted is kept. */
static bool leave(struct net *net, struct net_endpoint *endpoint, GError **error)
{
	struct net_state *state = read_links(error);

	if (!state)
		return false;
	if (is_kind(state, endpoint, "veth"))
		add_counters(endpoint, state);
	net_state_free(state);
	set_string(&endpoint->space, NULL);
	set_string(&endpoint->link, NULL);
	net_port_expected(net, endpoint->tap);
	if (!put(net, endpoint->id, endpoint, error) || !bring_tap(endpoint, error) ||
	    !net_port_set(net, endpoint->tap, endpoint->mac, endpoint->policies, error)) {
		net_port_settled(net, endpoint->tap);
		return false;
	}
	net_port_settled(net, endpoint->tap);
	return true;
}

static bool is_link_name(const char *name)
{
	return strlen(name) < IFNAMSIZ && g_regex_match_simple("^[-_.a-zA-Z0-9]+$", name, G_REGEX_DOLLAR_ENDONLY, 0) && strcmp(name, ".") && strcmp(name, "..");
}

bool net_endpoint_enter(struct net *net, struct net_endpoint *endpoint, const char *space, const char *link, GError **error)
{
	struct net_state *state;
	bool in_space, good;
	int fd;

	if (!is_link_name(link))
		REFUSE(ERR_INVALID_PARAMETER, "link '%s' is no name of a link", link);
	if (endpoint->vm_id)
		REFUSE(ERR_USED_NIC, "it is attached to VM %s", endpoint->vm_id);
	if (!(state = read_links(error)))
		return false;
	if ((in_space = endpoint->space && is_kind(state, endpoint, "veth")))
		error_set(error, ERR_USED_NIC, "end point %s: it is attached to namespace '%s'", endpoint->id, endpoint->space);
	else
		add_counters(endpoint, state);
	net_state_free(state);
	if (in_space || (fd = open_space(space, error)) < 0)
		return false;
	set_string(&endpoint->space, space);
	set_string(&endpoint->link, link);
	net_port_expected(net, endpoint->tap);
	good = put(net, endpoint->id, endpoint, error) && bring_veth(endpoint, fd, error) &&
	       net_port_set(net, endpoint->tap, endpoint->mac, endpoint->policies, error);
	net_port_settled(net, endpoint->tap);
	close(fd);
	if (!good) {
		g_autoptr(GError) problem = NULL;

		if (!leave(net, endpoint, &problem))
			log_error("end point %s: %s", endpoint->id, problem->message);
	}
	return good;
}

bool net_endpoint_leave(struct net *net, struct net_endpoint *endpoint, GError **error)
{
	if (!endpoint->space)
		REFUSE(ERR_USED_NIC, "it is %s%s", endpoint->vm_id ? "attached to a VM, which vmID must name: " : "not attached",
		       endpoint->vm_id ? endpoint->vm_id : "");
	return leave(net, endpoint, error);
}

/* ---- life ---- */

static bool restore(struct net *net, struct net_endpoint *endpoint, GError **error)
{
	struct net_state *state = read_links(error);
	bool in_space = state && endpoint->space && is_kind(state, endpoint, "veth");
	int fd = in_space ? open_space(endpoint->space, NULL) : -1;
	bool good;

	net_state_free(state);
	if (!state)
		return false;
	if (fd < 0)
		good = endpoint->space ? leave(net, endpoint, error) : bring_tap(endpoint, error);
	else {
		good = bring_veth(endpoint, fd, error);
		close(fd);
	}
	return good && net_port_set(net, endpoint->tap, endpoint->mac, endpoint->policies, error);
}

void net_endpoints_restore(struct net *net)
{
	g_autoptr(GPtrArray) list = copies(net);

	for (guint i = 0; i < list->len; i++) {
		g_autoptr(GError) problem = NULL;

		if (!restore(net, list->pdata[i], &problem))
			log_error("end point %s: %s", ((struct net_endpoint *)list->pdata[i])->id, problem->message);
	}
}

void net_endpoints_new(struct net *net)
{
	struct net_endpoints *all = g_new0(struct net_endpoints, 1);
	json_t *file = json_file_read(net->directory, FILE_NAME), *json;
	const char *id;

	pthread_mutex_init(&all->lock, NULL);
	all->table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, record_unref);
	all->busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	json_object_foreach(json_object_get(file, "endpoints"), id, json) {
		g_autoptr(GError) problem = NULL;
		struct net_endpoint *endpoint = net_parse(&net_endpoint_type, id, json, &problem);

		if (endpoint)
			g_hash_table_replace(all->table, g_strdup(id), endpoint);
		else
			log_error("%s, ignoring", problem->message);
	}
	json_decref(file);
	net->endpoints = all;
}

void net_endpoints_free(struct net *net)
{
	if (!net->endpoints)
		return;
	g_hash_table_unref(net->endpoints->table);
	g_hash_table_unref(net->endpoints->busy);
	pthread_mutex_destroy(&net->endpoints->lock);
	g_free(net->endpoints);
}
