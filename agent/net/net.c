/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The networks of this host, changed as one transaction.
 *
 * Host.setupNetworks, on the lane "network":
 *   1  hooks before_network_setup, which may change the request
 *   2  the request is checked, and together with the kernel's state made into steps (plan.c); nothing is touched so far
 *   3  journal.json is written: the steps and the running configuration as it is
 *   4  the steps are done (apply.c), the kernel's state is read again and compared with the wishes
 *      what DHCP servers give meanwhile adds steps of its own, to the journal first (take_leases); later it is a transaction by itself
 *   5  with connectivityCheck: a client must call Host.confirmConnectivity within connectivityTimeout
 *   6  running.json is written, the journal removed: done. commitOnSuccess: persistent.json too
 * What is told meanwhile (capabilities.c) is of the state before 4 or after it, together with the wishes that are for it.
 * A failure in 4 to 6 undoes the steps, last first, and removes the journal. A journal found at start means the agent was killed in between: the state
 * before is restored from it. The journal stays while that cannot be done: the database of Open vSwitch does not answer.
 *
 * The files of what was set up are in config.c; what links a network needs, in topology.c.
 *
 * What we did not make is never touched: other links, addresses that others put on our bridges. Changes are told by |net|host_conn|no_id (watch.c,
 * ovs_watch.c).
 */
#define LOG_MODULE "net"
#include "agent/net/net-priv.h"
#include <errno.h>
#include <string.h>
#include "agent/events.h"
#include "agent/hooks.h"
#include "common/json_file.h"
#include "common/log.h"
#include "proto/vm.h"

#define JOURNAL "journal.json"
#define CONNECTIVITY_TIMEOUT_S 4
#define CONNECTIVITY_TIMEOUT_MAX_S 150        /* below the verb's deadline */

/* ---- journal ---- */

static bool write_journal(struct net *net, const GPtrArray *steps, GError **error)
{
	json_t *journal = json_pack("{s:i, s:o, s:o}", "version", 1, "before", net_running(net), "steps", net_steps_to_json(steps));
	bool written = json_file_write(net->directory, JOURNAL, journal, error);

	json_decref(journal);
	return written;
}

/* ---- what is told while links change ---- */

/* wanted NULL: the running configuration. The lock is held for writing. */
static void tell(struct net *net, json_t *wanted, json_t *leases)
{
	json_decref(net->trying);
	json_decref(net->trying_leases);
	net->trying = wanted ? json_deep_copy(wanted) : NULL;
	net->trying_leases = json_incref(leases);
}

/* false: as net_undo() */
static bool undo(struct net *net, struct netlink *netlink, const GPtrArray *steps)
{
	AUTO_WRITE(&net->telling);
	bool undone = net_undo(netlink, steps, steps->len);

	tell(net, NULL, NULL);
	return undone;
}

/* Steps from `from` on, to what is wanted with these leases. */
static bool apply(struct net *net, struct netlink *netlink, const GPtrArray *steps, guint from, json_t *wanted, json_t *leases, bool *ret_undone,
		  GError **error)
{
	AUTO_WRITE(&net->telling);

	if (!net_apply(netlink, steps, from, ret_undone, error))
		return false;
	tell(net, wanted, leases);
	return true;
}

/* Restores the state before an interrupted transaction. */
static bool recover(struct net *net, GError **error)
{
	json_t *journal = json_file_read(net->directory, JOURNAL);
	g_autoptr(GPtrArray) steps = NULL;
	struct netlink *netlink;
	bool written, undone;

	if (!journal)
		return true;
	if (!(netlink = netlink_new(error))) {
		json_decref(journal);
		return false;
	}
	log_warn("a network change was interrupted: restoring the state before");
	steps = net_steps_from_json(json_object_get(journal, "steps"));
	undone = undo(net, netlink, steps);
	netlink_free(netlink);
	if (!undone) {
		error_set(error, ERR_OVS_CONNECTION, "a network change was interrupted, and cannot be undone while the database of Open vSwitch does not answer");
		json_decref(journal);
		return false;
	}
	written = net_write_running(net, json_deep_copy(json_object_get(journal, "before")), error);
	json_decref(journal);
	if (written)
		json_file_remove(net->directory, JOURNAL);
	return written;
}

/* ---- the transaction ---- */

void net_confirm(struct net *net)
{
	AUTO_LOCK(&net->lock);

	net->confirmed = true;
	pthread_cond_broadcast(&net->confirm);
}

/* From one configuration to another; both {"networks", "bonds", "host"}. */
struct change {
	json_t *running, *wanted, *leases;
	struct net_config *before, *after;
	GHashTable *touched;             /* names of networks and bonds */
	bool early;                      /* at the agent's start: the loop, and what it would tell, is not running yet */
};

static void change_clear(struct change *change)
{
	json_decref(change->running);
	json_decref(change->wanted);
	json_decref(change->leases);
	net_config_free(change->before);
	net_config_free(change->after);
	g_hash_table_unref(change->touched);
}

/* Does the kernel now have what was wanted? Planning once more says what is missing. */
static bool verify(struct netlink *netlink, const struct change *change, GError **error)
{
	struct net_state *state = net_state_read(netlink, /* addresses= */ true, error);
	g_autoptr(GPtrArray) steps = state ? net_plan(state, change->after, change->after, change->touched, error) : NULL;

	net_state_free(state);
	if (!steps)
		return false;
	if (!steps->len)
		return true;
	const struct net_step *first = steps->pdata[0];
	error_set(error, ERR_FAILED_IFUP, "'%s': '%s' did not take effect", first->link, first->value);
	return false;
}

static void add_name(void *name, void *same, void *set)
{
	g_hash_table_add(set, g_strdup(name));
}

/* What DHCP servers gave meanwhile becomes part of the change, with steps of its own. A lease that cannot be used is logged and not asked about again. */
static void take_leases(struct net *net, struct netlink *netlink, GPtrArray *steps, struct change *change)
{
	json_t *offered, *leases = json_copy(change->leases), *lease;
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) more = NULL;
	g_autoptr(GError) problem = NULL;
	struct net_config *after;
	struct net_state *state;
	const char *name;

	{
		AUTO_LOCK(&net->lock);
		offered = net->offered;
		net->offered = json_object();
	}
	json_object_foreach(offered, name, lease) {
		g_hash_table_add(names, net_lease_network(name));
		if (json_is_null(lease))
			json_object_del(leases, name);
		else
			json_object_set(leases, name, lease);
	}
	json_decref(offered);
	after = net_config_new(change->wanted, leases);
	state = g_hash_table_size(names) ? net_state_read(netlink, /* addresses= */ true, &problem) : NULL;
	more = state ? net_plan(state, change->after, after, names, &problem) : NULL;
	net_state_free(state);
	if (more) {
		guint had = steps->len;

		g_ptr_array_set_free_func(more, NULL);
		g_ptr_array_extend_and_steal(steps, g_steal_pointer(&more));
		if ((steps->len == had || write_journal(net, steps, &problem)) && apply(net, netlink, steps, had, change->wanted, leases, NULL, &problem)) {
			net_config_free(change->after);
			change->after = g_steal_pointer(&after);
			json_decref(change->leases);
			change->leases = json_incref(leases);
			g_hash_table_foreach(names, add_name, change->touched);
		} else
			g_ptr_array_set_size(steps, (gint)had);
	}
	if (problem)
		log_error("DHCP: the lease is not used: %s", problem->message);
	net_config_free(after);
	json_decref(leases);
}

/* ERR_NO_CONNECTION_TO_PEER: nobody confirmed. Leases that come meanwhile are used: the client may come in by them. */
static bool wait_confirmed(struct net *net, struct netlink *netlink, GPtrArray *steps, struct change *change, int seconds, GError **error)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	for (;;) {
		bool late = false;

		{
			AUTO_LOCK(&net->lock);
			while (!net->confirmed && !json_object_size(net->offered) && !late)
				late = pthread_cond_timedwait(&net->confirm, &net->lock, &until) == ETIMEDOUT;
			if (net->confirmed)
				return true;
		}
		if (late) {
			error_set(error, ERR_NO_CONNECTION_TO_PEER, "connectivity was not confirmed within %d s, the networks are as before", seconds);
			return false;
		}
		take_leases(net, netlink, steps, change);
	}
}

/* The leases of networks that are there and have DHCP. New reference */
static json_t *leases_in_use(const struct change *change)
{
	json_t *leases = json_object(), *lease;
	const char *name;

	json_object_foreach(change->leases, name, lease) {
		if (net_lease_wanted(change->after, name))
			json_object_set(leases, name, lease);
	}
	return leases;
}

static bool commit(struct net *net, const GPtrArray *steps, const struct change *change, GError **error)
{
	json_t *leases = leases_in_use(change), *now = net_leases(net);
	bool same = json_equal(leases, now);

	net_note_host(change->wanted, steps);
	json_decref(now);
	if (same)
		json_decref(leases);
	else if (!net_write_leases(net, leases, error))
		return false;
	if (!json_equal(change->running, change->wanted) && !net_write_running(net, json_deep_copy(change->wanted), error))
		return false;
	AUTO_WRITE(&net->telling);
	tell(net, NULL, NULL);
	return true;
}

/* Steps 3 to 6. timeout_s: for confirmation, 0: none */
static bool carry_out(struct net *net, struct netlink *netlink, GPtrArray *steps, struct change *change, int timeout_s, GError **error)
{
	bool undone;

	if (steps->len && !write_journal(net, steps, error))
		return false;
	if (!apply(net, netlink, steps, 0, change->wanted, change->leases, &undone, error)) {
		if (undone)
			json_file_remove(net->directory, JOURNAL);
		return false;
	}
	{
		AUTO_LOCK(&net->lock);
		net->confirmed = false;
	}
	net_dhcp_sync(net, change->after);
	net_servers_sync(net, change->after);
	take_leases(net, netlink, steps, change);
	if (verify(netlink, change, error) && (change->early || net_servers_wait(net, change->after, change->touched, error)) &&
	    (!timeout_s || wait_confirmed(net, netlink, steps, change, timeout_s, error)) &&
	    commit(net, steps, change, error)) {
		json_file_remove(net->directory, JOURNAL);
		net_servers_tidy(net, change->after);
		net_ovs_watch_set(net->ovs_watch, change->after);
		return true;
	}
	if (undo(net, netlink, steps))
		json_file_remove(net->directory, JOURNAL);
	net_dhcp_sync(net, change->before);
	net_servers_sync(net, change->before);
	return false;
}

/* Before anything is touched: an ovs-vswitchd that is dead or hangs would make nothing of it. */
static bool check_ovs(const GPtrArray *steps, GError **error)
{
	for (guint i = 0; i < steps->len; i++)
		if (((const struct net_step *)steps->pdata[i])->kind == STEP_OVS)
			return net_ovs_ready(error);
	return true;
}

static bool transact(struct net *net, struct change *change, int timeout_s, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ true, error) : NULL;
	g_autoptr(GPtrArray) steps = state ? net_plan(state, change->before, change->after, change->touched, error) : NULL;
	bool done = steps && check_ovs(steps, error) && carry_out(net, netlink, steps, change, timeout_s, error);

	if (done && steps->len) {
		net_vlan_uplinks(net);
		net_port_zones(net);
		net_port_qos_sweep(net);
	}
	if (done)
		net_steps_warn(steps);
	if (done && steps->len)
		log_info("networks: %u changed in %u steps", g_hash_table_size(change->touched), steps->len);
	net_state_free(state);
	netlink_free(netlink);
	return done;
}

void net_dhcp_apply(struct net *net)
{
	struct change change = { .running = net_running(net), .wanted = net_running(net), .leases = net_leases(net) };
	g_autoptr(GError) problem = NULL;

	change.before = net_config_new(change.running, change.leases);
	change.after = net_config_new(change.wanted, change.leases);
	change.touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (!recover(net, &problem) || !transact(net, &change, /* timeout_s= */ 0, &problem))
		log_error("DHCP: the lease is not used: %s", problem->message);
	change_clear(&change);
}

/* ---- Host.setupNetworks ---- */

struct options { bool check, commit; int timeout_s; };

static bool read_flag(const json_t *options, const char *name, bool *ret_flag, GError **error)
{
	const json_t *value = json_object_get(options, name);
	const char *text = json_string_value(value);
	bool yes = json_is_true(value) || json_integer_value(value) == 1 || (text && !g_ascii_strcasecmp(text, "true"));
	bool no = !value || json_is_null(value) || json_is_false(value) || (json_is_integer(value) && !json_integer_value(value)) ||
		  (text && (!*text || !g_ascii_strcasecmp(text, "false")));

	if (!yes && !no) {
		g_autofree char *told = json_dumps(value, JSON_ENCODE_ANY);

		error_set(error, ERR_BAD_PARAMS, "options: %s: %s is neither true nor false", name, told);
		return false;
	}
	*ret_flag = yes;
	return true;
}

static bool read_timeout(const json_t *timeout, int *ret_seconds, GError **error)
{
	double seconds = json_number_value(timeout);
	gint64 number = 0;

	if (json_is_string(timeout) && g_ascii_string_to_signed(json_string_value(timeout), 10, 0, CONNECTIVITY_TIMEOUT_MAX_S, &number, NULL))
		seconds = (double)number;
	if (!timeout || json_is_null(timeout))
		seconds = CONNECTIVITY_TIMEOUT_S;
	if (!(seconds >= 1 && seconds <= CONNECTIVITY_TIMEOUT_MAX_S)) {
		g_autofree char *told = json_dumps(timeout, JSON_ENCODE_ANY);

		error_set(error, ERR_BAD_PARAMS, "options: connectivityTimeout: %s is not 1 to %d seconds", told, CONNECTIVITY_TIMEOUT_MAX_S);
		return false;
	}
	*ret_seconds = (int)seconds;
	return true;
}

/* Each network and bond says it for itself. */
static bool check_switch(const char *kind, GError **error)
{
	if (!net_given(kind) || !strcmp(kind, "legacy"))
		return true;
	error_set(error, ERR_UNSUPPORTED_OPERATION, "options: switch '%s' is not supported: it is a member of each network and bond", kind);
	return false;
}

/* Members it does not know are of other versions. */
static bool read_options(const json_t *json, struct options *ret_options, GError **error)
{
	const json_t *kind = json_object_get(json, "switch");

	if (json && !json_is_object(json) && !json_is_null(json)) {
		error_set(error, ERR_BAD_PARAMS, "options is no object");
		return false;
	}
	if (kind && !json_is_string(kind) && !json_is_null(kind)) {
		error_set(error, ERR_BAD_PARAMS, "options: switch is no text");
		return false;
	}
	return read_timeout(json_object_get(json, "connectivityTimeout"), &ret_options->timeout_s, error) &&
	       read_flag(json, "connectivityCheck", &ret_options->check, error) && read_flag(json, "commitOnSuccess", &ret_options->commit, error) &&
	       check_switch(json_string_value(kind), error);
}

/* What kinds of objects a request has: networks and bonds. */
struct part {
	const char *in_request, *in_config;
	const struct record_type *type;
	bool (*check)(const char *name, const void *config, GError **error);
	enum error_code unknown;
};

static bool check_network(const char *name, const void *config, GError **error)
{
	return net_check_config(name, config, error);
}

static bool check_bond(const char *name, const void *config, GError **error)
{
	return net_check_bond(name, config, error);
}

static const struct part parts[] = {
	{ "networks", "networks", &network_config_type, check_network, ERR_BAD_BRIDGE },
	{ "bondings", "bonds", &bond_config_type, check_bond, ERR_BAD_BONDING },
};

static bool removes(const struct part *part, const void *config)
{
	return part->type == &network_config_type ? ((const struct network_config *)config)->remove : ((const struct bond_config *)config)->remove;
}

/* Lays one part of the request over what is wanted. */
static bool merge(struct change *change, const struct part *part, const json_t *objects, GError **error)
{
	json_t *wanted = json_object_get(change->wanted, part->in_config), *json;
	const char *name;

	if (objects && !json_is_object(objects) && !json_is_null(objects)) {
		error_set(error, ERR_BAD_PARAMS, "%s is no object", part->in_request);
		return false;
	}
	json_object_foreach((json_t *)objects, name, json) {
		void *config = net_parse(part->type, name, json, error);
		bool good = config && part->check(name, config, error);

		if (good && removes(part, config) && json_object_del(wanted, name) != 0) {
			error_set(error, part->unknown, "%s '%s' does not exist", part->type->name, name);
			good = false;
		} else if (good && !removes(part, config))
			json_object_set_new(wanted, name, record_to_json(config, RECORD_CHANNEL));
		record_unref(config);
		if (!good)
			return false;
		g_hash_table_add(change->touched, g_strdup(name));
	}
	return true;
}

/* Networks and their bonds: who changes a bond changes all that is on it. ERR_USED_BOND: a network stays on a bond that goes. */
static bool check_bonds_of(struct change *change, GError **error)
{
	const struct net_config *configs[] = { change->before, change->after };
	GHashTableIter iter;
	void *name, *value;

	for (size_t i = 0; i < G_N_ELEMENTS(configs); i++) {
		g_hash_table_iter_init(&iter, configs[i]->networks);
		while (g_hash_table_iter_next(&iter, &name, &value)) {
			const struct network_config *network = value;

			if (!net_given(network->bonding))
				continue;
			if (i == 1 && g_hash_table_contains(change->before->bonds, network->bonding) &&
			    !g_hash_table_contains(change->after->bonds, network->bonding)) {
				error_set(error, ERR_USED_BOND, "bond '%s' is used by network '%s'", network->bonding, (char *)name);
				return false;
			}
			if (g_hash_table_contains(change->touched, network->bonding))
				g_hash_table_add(change->touched, g_strdup(name));
		}
	}
	return true;
}

static bool read_change(struct net *net, const json_t *request, struct change *change, GError **error)
{
	change->running = net_running(net);
	change->wanted = json_deep_copy(change->running);
	change->touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		if (!merge(change, &parts[i], json_object_get(request, parts[i].in_request), error))
			return false;
	change->leases = net_leases(net);
	change->before = net_config_new(change->running, change->leases);
	change->after = net_config_new(change->wanted, change->leases);
	return check_bonds_of(change, error);
}

/* Runs a hook point with the request; ret_request (may be NULL): what the scripts made of it. */
static bool run_hooks(struct net *net, const char *point, const json_t *request, json_t **ret_request, GError **error)
{
	g_autofree char *text = json_dumps(request, 0);
	g_autofree char *changed = NULL;
	g_autoptr(GError) problem = NULL;
	json_t *json;

	if (!net->agent->hooks)
		return true;
	if (!hooks_run(net->agent->hooks, &(struct hook_run){ .point = point, .data = text }, &changed, error))
		return false;
	if (!changed || !ret_request)
		return true;
	if (!(json = json_parse(changed, strlen(changed), &problem))) {
		error_set(error, ERR_HOOK_FAILED, "%s left no JSON: %s", point, problem->message);
		return false;
	}
	*ret_request = json;
	return true;
}

static bool setup(struct net *net, const json_t *request, GError **error)
{
	struct change change = { 0 };
	struct options options;
	bool done;

	if (!read_options(json_object_get(request, "options"), &options, error) || !recover(net, error))
		return false;
	done = read_change(net, request, &change, error) && transact(net, &change, options.check ? options.timeout_s : 0, error) &&
	       (!options.commit || net_write_persistent(net, error));
	change_clear(&change);
	return done;
}

static bool setup_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct host_setup_networks_params *params = data;
	struct net *net = agent->net;
	json_t *document = json_pack("{s:{s:O, s:O, s:O}}", "request", "networks", params->networks, "bondings", params->bondings, "options", params->options);
	json_t *changed = NULL;
	bool done;

	if (!run_hooks(net, "before_network_setup", document, &changed, error)) {
		json_decref(document);
		return false;
	}
	if (changed) {
		json_decref(document);
		document = changed;
	}
	done = setup(net, json_object_get(document, "request"), error);
	(void)run_hooks(net, done ? "after_network_setup" : "after_network_setup_fail", document, NULL, NULL);
	json_decref(document);
	if (!done)
		return false;
	result_json(ret_result, json_pack("{s:i, s:s}", "code", 0, "message", "Done"));
	return true;
}

static bool save_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return net_write_persistent(agent->net, error);
}

static bool confirm_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	net_confirm(agent->net);
	return true;
}

const struct verb_binding net_bindings[] = {
	{ "Host.setupNetworks", setup_verb },
	{ "Host.setSafeNetworkConfig", save_verb },
	{ "Host.confirmConnectivity", confirm_verb },
	{ "Host.getNetworkCapabilities", net_capabilities_verb },
	{ "Host.getNetworkStatistics", net_statistics_verb },
	{ "Host.getLldp", net_lldp_verb },
	{ "Host.hostdevChangeNumvfs", net_numvfs_verb },
};
const size_t n_net_bindings = G_N_ELEMENTS(net_bindings);

/* ---- life ---- */

static void on_change(void *data)
{
	struct net *net = data;

	if (net->agent->events)
		events_publish(net->agent->events, EVENT_HOST_CONN, NULL);
	net_lldp_refresh(net->lldp);
}

/* Ports that were waited for may be there. What comes while it looks is looked at by the next. */
static void look_at_ports(void *data)
{
	struct net *net = data;
	int wishes = g_atomic_int_get(&net->awaits_ports);
	bool ports, mirrors;

	g_atomic_int_set(&net->looks_at_ports, 0);
	ports = net_ports_look(net);
	mirrors = net_mirrors_look(net);
	if (!ports && !mirrors)
		(void)g_atomic_int_compare_and_exchange(&net->awaits_ports, wishes, 0);
}

static void on_port(void *data)
{
	struct net *net = data;
	g_autoptr(GError) error = NULL;

	if (!net->agent->lanes || !g_atomic_int_get(&net->awaits_ports) || !g_atomic_int_compare_and_exchange(&net->looks_at_ports, 0, 1))
		return;
	if (!lane_submit(net->agent->lanes, "ports", &(struct lane_job){ .name = "ports that come", .run = look_at_ports, .data = net }, &error)) {
		g_atomic_int_set(&net->looks_at_ports, 0);
		log_error("ports that come are not looked at: %s", error->message);
	}
}

void net_ports_await(struct net *net)
{
	g_atomic_int_inc(&net->awaits_ports);
}

struct net *net_free(struct net *net)
{
	if (!net)
		return NULL;
	net_watch_free(net->watch);
	net_ovs_watch_free(net->ovs_watch);
	net_lldp_free(net->lldp);
	net_dhcp_free(net);
	net_servers_free(net);
	net_endpoints_free(net);
	net_rates_free(net->rates);
	g_hash_table_unref(net->pending_ports);
	g_hash_table_unref(net->mirrored_ports);
	g_hash_table_unref(net->mirrored_nics);
	json_decref(net->leases);
	json_decref(net->running);
	json_decref(net->persistent);
	json_decref(net->trying);
	json_decref(net->trying_leases);
	pthread_rwlock_destroy(&net->telling);
	pthread_cond_destroy(&net->confirm);
	pthread_mutex_destroy(&net->lock);
	g_free(net->directory);
	g_free(net);
	return NULL;
}

struct net *net_new(struct agent *agent, GError **error)
{
	struct net *net = g_new0(struct net, 1);
	pthread_condattr_t monotonic;

	net->agent = agent;
	net->directory = g_build_filename(agent->state_dir, "net", NULL);
	pthread_mutex_init(&net->lock, NULL);
	pthread_rwlock_init(&net->telling, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&net->confirm, &monotonic);
	pthread_condattr_destroy(&monotonic);
	net->rates = net_rates_new();
	net->pending_ports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, net_pending_free);
	net->mirrored_ports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, net_mirrored_free);
	net->mirrored_nics = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
	net_dhcp_new(net);
	net_servers_new(net);
	if (g_mkdir_with_parents(net->directory, 0755) < 0) {
		error_set_errno(error, ERR_UNEXPECTED_ERROR, errno, "'%s'", net->directory);
		return net_free(net);
	}
	net->ovs_watch = net_ovs_watch_new(agent->loop, on_change, net);
	net->same_boot = net_config_load(net);
	net_endpoints_new(net);
	if (!(net->lldp = net_lldp_new(agent->loop, error)) || !(net->watch = net_watch_new(agent->loop, on_change, on_port, net, error)))
		return net_free(net);
	return net;
}

/* The networks that lack a link, and their bonds. */
static GHashTable *missing(const struct net *net, const struct net_config *config, GError **error)
{
	GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct net_topology *topology = net_topology_new(config, error);
	GHashTableIter iter;
	void *user;

	for (guint i = 0; topology && i < topology->wants->len; i++) {
		const struct net_want *want = topology->wants->pdata[i];

		/* Open vSwitch makes its links again after a boot, but without addresses */
		if (!*want->kind || (if_nametoindex(want->name) && (net->same_boot || strcmp(want->kind, "ovs"))))
			continue;
		g_hash_table_iter_init(&iter, want->users);
		while (g_hash_table_iter_next(&iter, &user, NULL))
			g_hash_table_add(names, g_strdup(user));
	}
	net_topology_free(topology);
	return names;
}

/* Sets up what is missing at once; when that fails, one by one: one that fails does not stop the others. */
static bool bring_up_missing(struct net *net, GError **error)
{
	struct change change = { .running = net_running(net), .wanted = net_running(net), .leases = net_leases(net), .early = true };
	g_autoptr(GError) problem = NULL;
	bool fine = true;

	change.before = net_config_new(change.running, change.leases);
	change.after = net_config_new(change.wanted, change.leases);
	change.touched = missing(net, change.after, &problem);
	if (g_hash_table_size(change.touched) && !transact(net, &change, /* timeout_s= */ 0, &problem)) {
		g_autoptr(GHashTable) all = g_hash_table_ref(change.touched);
		GHashTableIter iter;
		void *name;

		log_warn("restoring the networks: %s; now one by one", problem->message);
		g_clear_error(&problem);
		g_hash_table_iter_init(&iter, all);
		while (g_hash_table_iter_next(&iter, &name, NULL)) {
			g_autoptr(GError) one = NULL;

			g_hash_table_unref(change.touched);
			change.touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
			g_hash_table_add(change.touched, g_strdup(name));
			if (transact(net, &change, /* timeout_s= */ 0, &one))
				continue;
			log_error("restore '%s': %s", (char *)name, one->message);
			if (!problem)
				problem = g_steal_pointer(&one);
		}
	}
	if (problem) {
		g_propagate_error(error, g_steal_pointer(&problem));
		fine = false;
	}
	net_dhcp_sync(net, change.after);
	net_servers_sync(net, change.after);
	net_ovs_watch_set(net->ovs_watch, change.after);
	change_clear(&change);
	return fine;
}

bool net_restore(struct net *net, GError **error)
{
	bool fine;

	net_port_sweep(net);
	if (!recover(net, error) || (!net->same_boot && !net_write_running(net, net_running(net), error)))
		return false;
	fine = bring_up_missing(net, error);
	net_endpoints_restore(net);
	return fine;
}

/* A network of Open vSwitch: it may have a link of the same name, which is a port. */
static char *ovs_bridge_of(const struct net_config *config, const char *network, int *ret_tag, bool *ret_is, GError **error)
{
	const struct network_config *known = g_hash_table_lookup(config->networks, network);

	*ret_is = known && net_is_ovs(known->switch_type);
	if (!*ret_is)
		return NULL;
	if (!known->bridged)
		error_set(error, ERR_BAD_BRIDGE, "network '%s' has no bridge", network);
	else if (!ret_tag)
		error_set(error, ERR_UNSUPPORTED_OPERATION, "network '%s' has switch 'ovs': this needs a bridge of the kernel", network);
	else {
		*ret_tag = net_ovs_tag(known);
		return net_ovs_bridge(network, known);
	}
	return NULL;
}

char *net_bridge_of(struct net *net, const char *network, int *ret_tag, GError **error)
{
	struct net_config *config = net_running_config(net);
	struct netlink *netlink = NULL;
	struct net_state *state = NULL;
	const struct net_link *bridge;
	bool is_ovs;
	char *name = ovs_bridge_of(config, network, ret_tag, &is_ovs, error);

	net_config_free(config);
	if (is_ovs)
		return name;
	netlink = netlink_new(error);
	state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	bridge = state ? net_state_link(state, network) : NULL;
	if (bridge && !strcmp(bridge->kind, "bridge")) {
		name = g_strdup(bridge->name);
		if (ret_tag)
			*ret_tag = -1;
	} else if (state)
		error_set(error, ERR_BAD_BRIDGE, "network '%s' %s", network, bridge ? "has no bridge" : "does not exist on this host");
	net_state_free(state);
	netlink_free(netlink);
	return name;
}

char *net_link_of(struct net *net, const char *network, GError **error)
{
	json_t *running = net_running(net);
	struct net_config *config = net_config_new(running, /* leases= */ NULL);
	const struct network_config *known = g_hash_table_lookup(config->networks, network);
	bool is_ovs = known && net_is_ovs(known->switch_type);
	char *name = known && !known->bridged && !is_ovs ? net_config_link(known) : NULL;

	if (!name)
		error_set(error, ERR_BAD_BRIDGE, "network '%s' %s", network, is_ovs ? "has switch 'ovs': a NIC cannot be attached to it directly" :
			  known ? "has a bridge: a NIC cannot be attached to it directly" : "does not exist on this host");
	net_config_free(config);
	json_decref(running);
	return name;
}
