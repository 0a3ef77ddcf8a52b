/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet: which hosts have a session, calls to their agents, and the newest figures.
 *
 * Sessions live on the loop's thread (session.c). A worker that calls a verb posts the call to the loop and sleeps until the answer comes: workers
 * are cheap (lanes), so a host that does not answer costs those who wait for it, and nobody else. What agents say goes into the model on one lane per
 * host, "fleet/<host id>" (sync.c), so that a flow that waits for a VM on the VM's own lane does not stand in the way of the news it waits for.
 *
 * After a restart of the engine every host that is not in maintenance is connected again; until then it is *connecting*, its VMs keep their last state.
 */
#include "engine/fleet/fleet-priv.h"

#include <malloc.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/resolve.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "proto/verb.h"

#define LOG_MODULE "fleet"
#define TIDY_USEC (10 * G_USEC_PER_SEC)

static void view_free(void *data)
{
	struct host_view *view = data;

	record_unref(view->stats);
	record_unref(view->caps);
	g_free(view);
}

static void seen_free(void *data)
{
	struct vm_seen *seen = data;

	figures_unref(seen->figures);
	if (seen->host_id)
		g_ref_string_release(seen->host_id);
	g_free(seen);
}

static void session_destroy(void *data)
{
	session_free(data);
}

/* Of [agent], else of [http]. */
static const char *setting(const struct config *config, const char *key)
{
	const char *own = config_string(config, "agent", key);

	return own ? own : config_string(config, "http", key);
}

static void run_tidy(void *data)
{
	(void)malloc_trim(0);
}

static void tidy(void *data)
{
	struct fleet *fleet = data;
	struct lane_job job = { .name = "give memory back", .run = run_tidy };

	fleet->tidy_soon = false;
	(void)lane_submit(fleet->engine->lanes, "tidy", &job, NULL);          /* the next host's news ask for it again */
}

void fleet_tidy_soon(struct fleet *fleet)
{
	if (!fleet->tidy_soon)
		timer_set(fleet->tidy, TIDY_USEC);
	fleet->tidy_soon = true;
}

struct fleet *fleet_new(struct engine *engine, GError **error)
{
	struct fleet *fleet = g_new0(struct fleet, 1);
	const struct config *config = engine->config;
	struct tls_settings settings = { .ca_file = setting(config, "ca"), .cert_file = setting(config, "cert"), .key_file = setting(config, "key") };

	fleet->engine = engine;
	fleet->verify_names = config_bool(config, "agent", "verify_names");
	fleet->diary = (struct diary)DIARY_DEFAULT;
	fleet->diary.ask_usec = config_int(config, "agent", "ask") * G_USEC_PER_SEC;
	fleet->diary.connecting_usec = config_int(config, "agent", "connecting_after") * G_USEC_PER_SEC;
	fleet->diary.non_responsive_usec = config_int(config, "agent", "non_responsive_after") * G_USEC_PER_SEC;
	if (settings.ca_file) {
		fleet->tls = tls_context_new(&settings, error);
		if (!fleet->tls) {
			error_wrap(error, "certificates towards the agents");
			g_free(fleet);
			return NULL;
		}
	}
	fleet->tidy = timer_new(engine->loop, tidy, fleet);
	g_mutex_init(&fleet->lock);
	g_cond_init(&fleet->changed);
	fleet->sessions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, session_destroy);
	fleet->views = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, view_free);
	fleet->vms = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, seen_free);
	fleet->drops = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return fleet;
}

struct fleet *fleet_free(struct fleet *fleet)
{
	if (!fleet)
		return NULL;
	timer_free(fleet->tidy);
	g_hash_table_unref(fleet->sessions);
	g_hash_table_unref(fleet->views);
	g_hash_table_unref(fleet->vms);
	g_hash_table_unref(fleet->drops);
	tls_context_free(fleet->tls);
	g_mutex_clear(&fleet->lock);
	g_cond_clear(&fleet->changed);
	g_free(fleet);
	return NULL;
}

void fleet_on_host_up(struct fleet *fleet, void (*host_up)(struct engine *engine, const char *host_id))
{
	fleet->host_up = host_up;
}

void fleet_on_host_unfit(struct fleet *fleet, void (*host_unfit)(struct engine *engine, const char *host_id))
{
	fleet->host_unfit = host_unfit;
}

void fleet_on_host_lost(struct fleet *fleet, void (*host_lost)(struct engine *engine, const char *host_id))
{
	fleet->host_lost = host_lost;
}

/* New certificates for new connections. */
bool fleet_reload(struct fleet *fleet, GError **error)
{
	return !fleet->tls || tls_context_reload(fleet->tls, error);
}

/* ---- sessions ---- */

struct which { struct fleet *fleet; char *host_id; };

static void which_free(void *data)
{
	struct which *which = data;

	g_free(which->host_id);
	g_free(which);
}

static struct which *which_new(struct fleet *fleet, const char *host_id)
{
	struct which *which = g_new0(struct which, 1);

	*which = (struct which){ fleet, g_strdup(host_id) };
	return which;
}

static void watch_on_loop(void *data)
{
	struct which *which = data;

	if (!g_hash_table_contains(which->fleet->sessions, which->host_id))
		g_hash_table_insert(which->fleet->sessions, g_strdup(which->host_id), session_new(which->fleet, which->host_id));
	which_free(which);
}

static void forget_on_loop(void *data)
{
	struct which *which = data;

	g_hash_table_remove(which->fleet->sessions, which->host_id);
	which_free(which);
}

void fleet_watch(struct fleet *fleet, const char *host_id)
{
	g_mutex_lock(&fleet->lock);
	if (!g_hash_table_contains(fleet->views, host_id))
		g_hash_table_insert(fleet->views, g_strdup(host_id), g_new0(struct host_view, 1));
	g_mutex_unlock(&fleet->lock);
	loop_post(fleet->engine->loop, watch_on_loop, which_new(fleet, host_id), which_free);
}

void fleet_forget(struct fleet *fleet, const char *host_id)
{
	g_mutex_lock(&fleet->lock);
	g_hash_table_remove(fleet->views, host_id);
	g_mutex_unlock(&fleet->lock);
	loop_post(fleet->engine->loop, forget_on_loop, which_new(fleet, host_id), which_free);
}

void fleet_start(struct fleet *fleet)
{
	g_autoptr(GPtrArray) hosts = model_list(fleet->engine->model, &host_kind);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];

		if (host->state != HOST_MAINTENANCE && host->state != HOST_INSTALL_FAILED)
			fleet_watch(fleet, host->id);
	}
}

void fleet_tell_again(struct fleet *fleet)
{
	GHashTableIter iter;
	gpointer session;

	for (g_hash_table_iter_init(&iter, fleet->sessions); g_hash_table_iter_next(&iter, NULL, &session);)
		session_tell_again(session);
}

/* ---- calls ---- */

/* Shared by the worker that waits and the loop that calls; the last one frees it. */
struct waiter {
	int refs;
	GMutex lock;
	GCond cond;
	bool done;
	struct fleet *fleet;
	char *host_id, *verb, *params, *flow_id;
	int64_t timeout_usec;
	bool wants_text;
	json_t *result;
	GBytes *text;                 /* instead of result */
	GError *error;
	struct channel *own;          /* fleet_probe(): a channel of its own */
	char *name;                   /* ... whose certificate must have this name */
	char *subject;
};

static void waiter_unref(void *data)
{
	struct waiter *waiter = data;

	if (!g_atomic_int_dec_and_test(&waiter->refs))
		return;
	g_mutex_clear(&waiter->lock);
	g_cond_clear(&waiter->cond);
	g_free(waiter->host_id);
	g_free(waiter->verb);
	g_free(waiter->params);
	g_free(waiter->flow_id);
	g_free(waiter->name);
	g_free(waiter->subject);
	json_decref(waiter->result);
	g_bytes_unref(waiter->text);
	g_clear_error(&waiter->error);
	g_free(waiter);
}

static struct waiter *waiter_new(struct fleet *fleet, const char *host_id, const char *verb, const void *params, const char *flow_id, int timeout_s)
{
	struct waiter *waiter = g_new0(struct waiter, 1);

	waiter->refs = 2;
	g_mutex_init(&waiter->lock);
	g_cond_init(&waiter->cond);
	waiter->fleet = fleet;
	waiter->host_id = g_strdup(host_id);
	waiter->verb = g_strdup(verb);
	waiter->params = params ? record_to_text(params, RECORD_CHANNEL) : NULL;
	waiter->flow_id = g_strdup(flow_id);
	waiter->timeout_usec = timeout_s * G_USEC_PER_SEC;
	return waiter;
}

/* One of the three. The loop's reference goes with the answer. */
static void settle(struct waiter *waiter, const json_t *result, GBytes *text, const GError *error)
{
	g_mutex_lock(&waiter->lock);
	if (!waiter->done) {
		waiter->done = true;
		waiter->result = json_incref((json_t *)result);
		waiter->text = text ? g_bytes_ref(text) : NULL;
		waiter->error = error ? g_error_copy(error) : NULL;
		g_cond_signal(&waiter->cond);
	}
	g_mutex_unlock(&waiter->lock);
	waiter_unref(waiter);
}

static void waiter_answer(const json_t *result, const GError *error, void *data)
{
	settle(data, result, NULL, error);
}

static void waiter_text(GBytes *text, const GError *error, void *data)
{
	settle(data, NULL, text, error);
}

static void waiter_fail(struct waiter *waiter, GError *error)
{
	waiter_answer(NULL, error, waiter);
	g_error_free(error);
}

/* ret_result, ret_text: may be NULL */
static bool waiter_wait(struct waiter *waiter, json_t **ret_result, GBytes **ret_text, GError **error)
{
	/* The loop always answers (channel_call() has its own timeout); the margin is for a loop that is late. */
	gint64 end = g_get_monotonic_time() + waiter->timeout_usec + 10 * G_USEC_PER_SEC;
	bool ok;

	lane_wait_begin();
	g_mutex_lock(&waiter->lock);
	while (!waiter->done && g_cond_wait_until(&waiter->cond, &waiter->lock, end))
		;
	if (!waiter->done) {
		waiter->done = true;
		error_set(&waiter->error, ERR_MESSAGE_TIMEOUT, "%s", waiter->verb);
	}
	ok = !waiter->error;
	if (ok && ret_result)
		*ret_result = g_steal_pointer(&waiter->result);
	if (ok && ret_text)
		*ret_text = g_steal_pointer(&waiter->text);
	if (!ok)
		g_propagate_error(error, g_steal_pointer(&waiter->error));
	g_mutex_unlock(&waiter->lock);
	lane_wait_end();
	return ok;
}

static void call_on_loop(void *data)
{
	struct waiter *waiter = data;
	struct session *session = g_hash_table_lookup(waiter->fleet->sessions, waiter->host_id);
	struct channel *channel = session ? session_channel(session) : NULL;
	GError *error = NULL;

	if (channel && waiter->wants_text)
		channel_call_text(channel, waiter->verb, waiter->params, waiter->flow_id, waiter->timeout_usec, waiter_text, waiter);
	else if (channel)
		channel_call(channel, waiter->verb, waiter->params, waiter->flow_id, waiter->timeout_usec, waiter_answer, waiter);
	else {
		error_set(&error, ERR_NO_CONNECTION, "%s: the host is not connected", waiter->verb);
		waiter_fail(waiter, error);
	}
}

bool fleet_call(struct fleet *fleet, const char *host_id, const char *verb, const void *params, const char *flow_id, int timeout_s, json_t **ret_result,
		GError **error)
{
	struct waiter *waiter = waiter_new(fleet, host_id, verb, params, flow_id, timeout_s);
	bool ok;

	loop_post(fleet->engine->loop, call_on_loop, waiter, waiter_unref);
	ok = waiter_wait(waiter, ret_result, /* ret_text= */ NULL, error);
	waiter_unref(waiter);
	return ok;
}

bool fleet_call_text(struct fleet *fleet, const char *host_id, const char *verb, const void *params, int timeout_s, GBytes **ret_text, GError **error)
{
	struct waiter *waiter = waiter_new(fleet, host_id, verb, params, /* flow_id= */ NULL, timeout_s);
	bool ok;

	waiter->wants_text = true;
	loop_post(fleet->engine->loop, call_on_loop, waiter, waiter_unref);
	ok = waiter_wait(waiter, /* ret_result= */ NULL, ret_text, error);
	waiter_unref(waiter);
	return ok;
}

/* ---- probe: one call over a channel of its own ---- */

static void probe_answer(const json_t *result, const GError *error, void *data)
{
	struct waiter *waiter = data;
	struct channel *own = waiter->own;

	waiter->own = NULL;
	if (own && result)
		waiter->subject = tls_peer_subject(channel_ssl(own));
	waiter_answer(result, error, waiter);
	channel_free(own);
}

static void probe_up(struct channel *channel, void *data)
{
	struct waiter *waiter = data;

	channel_call(channel, waiter->verb, waiter->params, waiter->flow_id, waiter->timeout_usec, probe_answer, waiter);
}

static void probe_down(struct channel *channel, const GError *error, void *data)
{
	struct waiter *waiter = data;
	GError *own_error = NULL;

	/* A call in flight has failed before (probe_answer), then `own` is gone and the waiter may be, too. */
	waiter->own = NULL;
	error_set(&own_error, ERR_NO_CONNECTION, "%s", error ? error->message : "the agent closed the connection");
	waiter_fail(waiter, own_error);
	channel_free(channel);
}

struct probe { struct waiter *waiter; struct sockaddr_storage address; socklen_t length; };

static void probe_free(void *data)
{
	struct probe *probe = data;

	waiter_unref(probe->waiter);
	g_free(probe);
}

static void probe_on_loop(void *data)
{
	static const struct channel_events events = { .up = probe_up, .down = probe_down };
	struct probe *probe = data;
	struct waiter *waiter = probe->waiter;
	struct channel_settings settings = {
		.loop = waiter->fleet->engine->loop, .address = (struct sockaddr *)&probe->address, .address_length = probe->length,
		.tls = waiter->fleet->tls, .name = waiter->name, .connect_usec = waiter->timeout_usec, .events = &events, .data = waiter,
	};
	GError *error = NULL;

	waiter->own = channel_open(&settings, &error);
	g_free(probe);
	if (!waiter->own)
		waiter_fail(waiter, error);
}

bool fleet_probe(struct fleet *fleet, const char *address, int port, const char *verb, const void *params, int timeout_s, json_t **ret_result,
		 char **ret_subject, GError **error)
{
	struct probe *probe = g_new0(struct probe, 1);
	struct waiter *waiter;
	bool ok;

	if (!resolve_address(address, port, &probe->address, &probe->length, error)) {
		g_free(probe);
		return false;
	}
	waiter = probe->waiter = waiter_new(fleet, NULL, verb, params, NULL, timeout_s);
	waiter->name = fleet->verify_names ? g_strdup(address) : NULL;
	loop_post(fleet->engine->loop, probe_on_loop, probe, probe_free);
	ok = waiter_wait(waiter, ret_result, /* ret_text= */ NULL, error);
	if (ok && ret_subject)
		*ret_subject = g_steal_pointer(&waiter->subject);
	waiter_unref(waiter);
	if (!ok)
		error_wrap(error, "agent at %s:%d", address, port);
	return ok;
}

unsigned fleet_connected(struct fleet *fleet)
{
	GHashTableIter iter;
	gpointer value;
	unsigned n = 0;

	g_mutex_lock(&fleet->lock);
	g_hash_table_iter_init(&iter, fleet->views);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct host_view *view = value;

		n += view->reach == REACH_CONNECTED && view->caps;
	}
	g_mutex_unlock(&fleet->lock);
	return n;
}

enum fleet_reach fleet_reach(struct fleet *fleet, const char *host_id)
{
	struct host_view *view;
	enum fleet_reach reach;

	g_mutex_lock(&fleet->lock);
	view = g_hash_table_lookup(fleet->views, host_id);
	reach = view ? view->reach : REACH_NEW;
	g_mutex_unlock(&fleet->lock);
	return reach;
}

bool fleet_is_connected(struct fleet *fleet, const char *host_id)
{
	return fleet_reach(fleet, host_id) == REACH_CONNECTED;
}

/* ---- figures ---- */

struct vm_figures *fleet_vm_figures(struct fleet *fleet, const char *vm_id)
{
	const struct vm_seen *seen;
	struct vm_figures *figures;

	g_mutex_lock(&fleet->lock);
	seen = g_hash_table_lookup(fleet->vms, vm_id);
	figures = figures_ref(seen ? seen->figures : NULL);
	g_mutex_unlock(&fleet->lock);
	return figures;
}

struct host_stats *fleet_host_stats(struct fleet *fleet, const char *host_id)
{
	struct host_view *view;
	struct host_stats *stats;

	g_mutex_lock(&fleet->lock);
	view = g_hash_table_lookup(fleet->views, host_id);
	stats = record_ref(view ? view->stats : NULL);
	g_mutex_unlock(&fleet->lock);
	return stats;
}

struct host_caps *fleet_host_caps(struct fleet *fleet, const char *host_id)
{
	struct host_view *view;
	struct host_caps *caps;

	g_mutex_lock(&fleet->lock);
	view = g_hash_table_lookup(fleet->views, host_id);
	caps = record_ref(view ? view->caps : NULL);
	g_mutex_unlock(&fleet->lock);
	return caps;
}

bool fleet_wait_vm(struct fleet *fleet, const char *vm_id, uint32_t states, int timeout_s, GError **error)
{
	gint64 end = g_get_monotonic_time() + timeout_s * G_TIME_SPAN_SECOND;
	bool ok = false, over = false;

	lane_wait_begin();
	g_mutex_lock(&fleet->lock);
	while (!ok && !over) {
		struct vm *vm = model_get(fleet->engine->model, &vm_kind, vm_id);

		if (!vm) {
			error_set(error, ERR_NOT_FOUND, "VM '%s' was removed meanwhile", vm_id);
			break;
		}
		ok = states & (1u << vm->state);
		record_unref(vm);
		if (!ok)
			over = !g_cond_wait_until(&fleet->changed, &fleet->lock, end);
	}
	g_mutex_unlock(&fleet->lock);
	lane_wait_end();
	if (over)
		error_set(error, ERR_TIMEOUT, "VM '%s' did not reach the state within %d s", vm_id, timeout_s);
	return ok;
}
