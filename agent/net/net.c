/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The networks of this host, changed as one transaction.
 *
 * Host.setupNetworks, on the lane "network":
 *   1  hooks before_network_setup, which may change the request
 *   2  the request is checked, and together with the kernel's state made into steps (plan.c); nothing is touched so far
 *   3  journal.json is written: the steps and the running configuration as it is
 *   4  the steps are done (apply.c), the kernel's state is read again and compared with the wishes
 *   5  with connectivityCheck: a client must call Host.confirmConnectivity within connectivityTimeout
 *   6  running.json is written, the journal removed: done. commitOnSuccess: persistent.json too
 * A failure in 4 to 6 undoes the steps, last first, and removes the journal. A journal found at start means the agent was killed in between: the state
 * before is restored from it.
 *
 *   running.json      what was set up last in this boot (boot_id tells)
 *   persistent.json   what is set up after a boot: the running one as of the last Host.setSafeNetworkConfig or commitOnSuccess
 * Both: {"version": 1, "boot_id": ..., "networks": {name: config}}. netConfigDirty: they differ.
 *
 * What we did not make is never touched: other links, addresses that others put on our bridges. Link changes are told by |net|host_conn|no_id (watch.c).
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

#define RUNNING "running.json"
#define PERSISTENT "persistent.json"
#define JOURNAL "journal.json"
#define CONNECTIVITY_TIMEOUT_S 4
#define CONNECTIVITY_TIMEOUT_MAX_S 150        /* below the verb's deadline */

/* ---- configuration in memory ---- */

static json_t *empty_config(void)
{
	return json_pack("{s:i, s:{}}", "version", 1, "networks");
}

json_t *net_running(struct net *net)
{
	AUTO_LOCK(&net->lock);

	return json_deep_copy(json_object_get(net->running, "networks"));
}

static struct network_config *parse_config(const char *name, const json_t *json, GError **error)
{
	struct record_input input = { .dialect = RECORD_CHANNEL };
	g_autoptr(GError) problem = NULL;
	struct network_config *config = record_from_json(&network_config_type, json, &input, &problem);

	if (config) {
		for (guint i = 0; input.ignored && i < input.ignored->len; i++)
			log_debug("network '%s': unknown member '%s', ignoring", name, (char *)input.ignored->pdata[i]);
		record_defaults(config, 0);
	} else
		error_set(error, ERR_BAD_PARAMS, "network '%s': %s", name, problem->message);
	record_input_clear(&input);
	return config;
}

GHashTable *net_configs(const json_t *networks)
{
	GHashTable *configs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, record_unref);
	const char *name;
	json_t *json;

	json_object_foreach((json_t *)networks, name, json) {
		g_autoptr(GError) problem = NULL;
		struct network_config *config = parse_config(name, json, &problem);

		if (config)
			g_hash_table_replace(configs, g_strdup(name), config);
		else
			log_error("%s, ignoring", problem->message);
	}
	return configs;
}

bool net_config_dirty(struct net *net)
{
	AUTO_LOCK(&net->lock);

	return !json_equal(json_object_get(net->running, "networks"), json_object_get(net->persistent, "networks"));
}

static char *boot_id(void)
{
	char *id = NULL;

	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
		return g_strdup("");
	return g_strstrip(id);
}

/* Takes over networks. */
static bool write_running(struct net *net, json_t *networks, GError **error)
{
	g_autofree char *boot = boot_id();
	json_t *config = json_pack("{s:i, s:s, s:o}", "version", 1, "boot_id", boot, "networks", networks);

	if (!json_file_write(net->directory, RUNNING, config, error)) {
		json_decref(config);
		return false;
	}
	AUTO_LOCK(&net->lock);
	json_decref(net->running);
	net->running = config;
	return true;
}

static bool write_persistent(struct net *net, GError **error)
{
	json_t *config = json_pack("{s:i, s:o}", "version", 1, "networks", net_running(net));

	if (!json_file_write(net->directory, PERSISTENT, config, error)) {
		json_decref(config);
		return false;
	}
	AUTO_LOCK(&net->lock);
	json_decref(net->persistent);
	net->persistent = config;
	return true;
}

/* ---- journal ---- */

static bool write_journal(struct net *net, const GPtrArray *steps, GError **error)
{
	json_t *journal = json_pack("{s:i, s:o, s:o}", "version", 1, "before", net_running(net), "steps", net_steps_to_json(steps));
	bool written = json_file_write(net->directory, JOURNAL, journal, error);

	json_decref(journal);
	return written;
}

/* Restores the state before an interrupted transaction. */
static bool recover(struct net *net, GError **error)
{
	json_t *journal = json_file_read(net->directory, JOURNAL);
	g_autoptr(GPtrArray) steps = NULL;
	struct netlink *netlink;
	bool written;

	if (!journal)
		return true;
	if (!(netlink = netlink_new(error))) {
		json_decref(journal);
		return false;
	}
	log_warn("a network change was interrupted: restoring the state before");
	steps = net_steps_from_json(json_object_get(journal, "steps"));
	net_undo(netlink, steps, steps->len);
	netlink_free(netlink);
	written = write_running(net, json_deep_copy(json_object_get(journal, "before")), error);
	json_decref(journal);
	if (written)
		json_file_remove(net->directory, JOURNAL);
	return written;
}

/* ---- the transaction ---- */

static bool wait_confirmed(struct net *net, int seconds)
{
	struct timespec until;
	AUTO_LOCK(&net->lock);

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	net->confirmed = false;
	while (!net->confirmed)
		if (pthread_cond_timedwait(&net->confirm, &net->lock, &until) == ETIMEDOUT)
			return net->confirmed;
	return true;
}

void net_confirm(struct net *net)
{
	AUTO_LOCK(&net->lock);

	net->confirmed = true;
	pthread_cond_broadcast(&net->confirm);
}

/* Running configuration after the wishes. New reference */
static json_t *merged(struct net *net, GHashTable *wishes)
{
	json_t *networks = net_running(net);
	GHashTableIter iter;
	void *name, *wish;

	g_hash_table_iter_init(&iter, wishes);
	while (g_hash_table_iter_next(&iter, &name, &wish)) {
		if (((struct network_config *)wish)->remove)
			json_object_del(networks, name);
		else
			json_object_set_new(networks, name, record_to_json(wish, RECORD_CHANNEL));
	}
	return networks;
}

static bool verify(struct netlink *netlink, GHashTable *wishes, GError **error)
{
	struct net_state *state = net_state_read(netlink, /* addresses= */ true, error);
	bool fine = state && net_verify(state, wishes, error);

	net_state_free(state);
	return fine;
}

/* Steps 3 to 6. timeout_s: for confirmation, 0: none */
static bool carry_out(struct net *net, struct netlink *netlink, const GPtrArray *steps, GHashTable *wishes, int timeout_s, GError **error)
{
	if (steps->len && !write_journal(net, steps, error))
		return false;
	if (!net_apply(netlink, steps, error)) {
		json_file_remove(net->directory, JOURNAL);
		return false;
	}
	if (!verify(netlink, wishes, error))
		;
	else if (timeout_s && !wait_confirmed(net, timeout_s))
		error_set(error, ERR_NO_CONNECTION_TO_PEER, "connectivity was not confirmed within %d s, the networks are as before", timeout_s);
	else if (write_running(net, merged(net, wishes), error)) {
		json_file_remove(net->directory, JOURNAL);
		return true;
	}
	net_undo(netlink, steps, steps->len);
	json_file_remove(net->directory, JOURNAL);
	return false;
}

static bool transact(struct net *net, GHashTable *wishes, int timeout_s, GError **error)
{
	json_t *running = net_running(net);
	GHashTable *before = net_configs(running);
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ true, error) : NULL;
	g_autoptr(GPtrArray) steps = state ? net_plan(state, before, wishes, error) : NULL;
	bool done = steps && carry_out(net, netlink, steps, wishes, timeout_s, error);

	if (done)
		log_info("networks: %u changed in %u steps", g_hash_table_size(wishes), steps->len);
	net_state_free(state);
	netlink_free(netlink);
	g_hash_table_unref(before);
	json_decref(running);
	return done;
}

/* ---- Host.setupNetworks ---- */

struct options { bool check, commit; int timeout_s; };

static bool read_flag(const json_t *options, const char *name)
{
	const json_t *value = json_object_get(options, name);

	return json_is_true(value) || (json_is_string(value) && !g_ascii_strcasecmp(json_string_value(value), "true")) || json_integer_value(value) == 1;
}

static bool read_options(const json_t *json, struct options *ret_options, GError **error)
{
	const json_t *timeout = json_object_get(json, "connectivityTimeout");
	gint64 seconds = CONNECTIVITY_TIMEOUT_S;

	if (timeout && !json_is_null(timeout)) {
		if (json_is_number(timeout))
			seconds = (gint64)json_number_value(timeout);
		else if (!json_is_string(timeout) || !g_ascii_string_to_signed(json_string_value(timeout), 10, 0, G_MAXINT, &seconds, NULL))
			seconds = -1;
		if (seconds < 1 || seconds > CONNECTIVITY_TIMEOUT_MAX_S) {
			error_set(error, ERR_BAD_PARAMS, "options: connectivityTimeout is not 1 to %d seconds", CONNECTIVITY_TIMEOUT_MAX_S);
			return false;
		}
	}
	ret_options->check = read_flag(json, "connectivityCheck");
	ret_options->commit = read_flag(json, "commitOnSuccess");
	ret_options->timeout_s = (int)seconds;
	return true;
}

/* The networks of a request, checked. NULL + error */
static GHashTable *read_wishes(const json_t *networks, const json_t *bondings, GError **error)
{
	g_autoptr(GHashTable) wishes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, record_unref);
	const char *name;
	json_t *json;

	if ((networks && !json_is_object(networks)) || (bondings && !json_is_object(bondings) && !json_is_null(bondings))) {
		error_set(error, ERR_BAD_PARAMS, "networks and bondings must be objects");
		return NULL;
	}
	json_object_foreach((json_t *)bondings, name, json) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "bondings: '%s': bonds are not supported by this agent yet", name);
		return NULL;
	}
	json_object_foreach((json_t *)networks, name, json) {
		struct network_config *config = parse_config(name, json, error);

		if (!config)
			return NULL;
		g_hash_table_replace(wishes, g_strdup(name), config);
		if (!net_check_config(name, config, error))
			return NULL;
	}
	return g_steal_pointer(&wishes);
}

/* Runs a hook point with the request; ret_request (may be NULL): what the scripts made of it. */
static bool run_hooks(struct net *net, const char *point, const json_t *request, bool may_fail, json_t **ret_request, GError **error)
{
	g_autofree char *text = json_dumps(request, 0);
	g_autofree char *changed = NULL;
	g_autoptr(GError) problem = NULL;
	json_t *json;

	if (!net->agent->hooks)
		return true;
	if (!hooks_run(net->agent->hooks, &(struct hook_run){ .point = point, .json = text, .may_fail = may_fail }, &changed, &problem)) {
		error_set(error, ERR_HOOK_FAILED, "%s", problem->message);
		return false;
	}
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
	struct options options;
	GHashTable *wishes;
	bool done;

	if (!read_options(json_object_get(request, "options"), &options, error) ||
	    !(wishes = read_wishes(json_object_get(request, "networks"), json_object_get(request, "bondings"), error)))
		return false;
	done = recover(net, error) && transact(net, wishes, options.check ? options.timeout_s : 0, error) && (!options.commit || write_persistent(net, error));
	g_hash_table_unref(wishes);
	return done;
}

static bool setup_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct host_setup_networks_params *params = data;
	struct net *net = agent->net;
	json_t *document = json_pack("{s:{s:O, s:O, s:O}}", "request", "networks", params->networks, "bondings", params->bondings, "options", params->options);
	json_t *changed = NULL;
	bool done;

	if (!run_hooks(net, "before_network_setup", document, /* may_fail= */ true, &changed, error)) {
		json_decref(document);
		return false;
	}
	if (changed) {
		json_decref(document);
		document = changed;
	}
	done = setup(net, json_object_get(document, "request"), error);
	(void)run_hooks(net, done ? "after_network_setup" : "after_network_setup_fail", document, /* may_fail= */ false, NULL, NULL);
	json_decref(document);
	if (!done)
		return false;
	result_json(ret_result, json_pack("{s:i, s:s}", "code", 0, "message", "Done"));
	return true;
}

static bool save_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return write_persistent(agent->net, error);
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
};
const size_t n_net_bindings = G_N_ELEMENTS(net_bindings);

/* ---- life ---- */

static void on_change(void *data)
{
	struct net *net = data;

	if (net->agent->events)
		events_publish(net->agent->events, EVENT_HOST_CONN, NULL);
}

struct net *net_free(struct net *net)
{
	if (!net)
		return NULL;
	net_watch_free(net->watch);
	json_decref(net->running);
	json_decref(net->persistent);
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
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&net->confirm, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (g_mkdir_with_parents(net->directory, 0755) < 0) {
		error_set_errno(error, ERR_UNEXPECTED_ERROR, errno, "'%s'", net->directory);
		return net_free(net);
	}
	if (!(net->running = json_file_read(net->directory, RUNNING)))
		net->running = empty_config();
	if (!(net->persistent = json_file_read(net->directory, PERSISTENT)))
		net->persistent = empty_config();
	if (!(net->watch = net_watch_new(agent->loop, on_change, net, error)))
		return net_free(net);
	return net;
}

/* Brings up those of the networks whose bridge is missing, one by one: one that fails does not stop the others. */
static bool bring_up_missing(struct net *net, GHashTable *networks, GError **error)
{
	GHashTableIter iter;
	void *name, *config;
	bool fine = true;

	g_hash_table_iter_init(&iter, networks);
	while (g_hash_table_iter_next(&iter, &name, &config)) {
		g_autoptr(GHashTable) one = NULL;
		GError *problem = NULL;

		if (if_nametoindex(name))
			continue;
		one = g_hash_table_new(g_str_hash, g_str_equal);
		g_hash_table_insert(one, name, config);
		if (transact(net, one, /* timeout_s= */ 0, &problem)) {
			log_info("restored network '%s'", (char *)name);
			continue;
		}
		log_error("restore network '%s': %s", (char *)name, problem->message);
		if (fine)
			g_propagate_error(error, problem);
		else
			g_error_free(problem);
		fine = false;
	}
	return fine;
}

bool net_restore(struct net *net, GError **error)
{
	g_autofree char *boot = boot_id();
	json_t *networks;
	GHashTable *configs;
	bool restored, same_boot;

	if (!recover(net, error))
		return false;
	{
		AUTO_LOCK(&net->lock);
		same_boot = !g_strcmp0(json_string_value(json_object_get(net->running, "boot_id")), boot);
		networks = json_deep_copy(json_object_get(same_boot ? net->running : net->persistent, "networks"));
	}
	if (!same_boot && !write_running(net, json_incref(networks), error)) {
		json_decref(networks);
		return false;
	}
	configs = net_configs(networks);
	restored = bring_up_missing(net, configs, error);
	g_hash_table_unref(configs);
	json_decref(networks);
	return restored;
}

char *net_bridge_of(struct net *net, const char *network, GError **error)
{
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	const struct net_link *bridge = state ? net_state_link(state, network) : NULL;
	char *name = bridge && !strcmp(bridge->kind, "bridge") ? g_strdup(bridge->name) : NULL;

	if (state && !name)
		error_set(error, ERR_BAD_BRIDGE, "network '%s' %s", network, bridge ? "has no bridge" : "does not exist on this host");
	net_state_free(state);
	netlink_free(netlink);
	return name;
}
