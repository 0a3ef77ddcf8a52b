/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher: finds the verb of a request, reads its parameters, runs its handler where the verb's row says, answers.
 *
 *   request -> no such verb: -32601; not recovered yet: 99; no handler: 44; bad parameters: -32602, missing ones: -32603
 *           -> VERB_LOOP: handler now, answer now
 *           -> else: a `pending` on the lane; its run() is the handler, whose answer comes back by loop_post()
 *
 * A pending call is answered once, on the loop: by finish(), or by expire() when its deadline came first (lane_pool_check() runs on the
 * loop). The caller then gets an error that names verb and lane; the handler goes on, and what it brings later is only logged. A call is
 * also expired when its lane was dropped at the end of the process.
 *
 * Bounds: DISPATCH_LANE_CALLS_MAX calls a lane (verbs without order count as one lane), so that whoever calls a hung VM or storage domain
 * again and again is told 1100 and does not fill the memory; other lanes do not notice.
 *
 * One timer looks for deadlines, and only while there are any.
 */
#define LOG_MODULE "rpc"
#include "agent/rpc/dispatch.h"

#include <stdlib.h>
#include <string.h>
#include "agent/virt/vms.h"
#include "common/error.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/refs.h"
#include "proto/jsonrpc.h"

#define LOGGED_TEXT_MAX 200             /* longer texts of parameters are logged by their length */

struct entry {
	const struct verb *verb;
	verb_handler handler;
	const struct field *lane_field;
	struct metric *seconds, *good, *bad;    /* made with the first call */
};

struct dispatch {
	struct agent *agent;
	GHashTable *entries;            /* name -> struct entry */
	GHashTable *lane_calls;         /* lane -> number of calls */
	GHashTable *pending;            /* set of struct pending that are not answered */
	struct timer *deadlines;
	int64_t next_deadline;          /* 0: timer not armed */
	int64_t deadline_s;             /* of verbs that say nothing else */
};

struct pending {
	int refs;                       /* lane's, of the set of pending calls, of the posted finish(); atomic */
	struct dispatch *dispatch;
	struct entry *entry;
	struct call *call;              /* NULL: answered. Loop's thread only */
	char *lane;                     /* "" for verbs without order */
	char *key, *flow_id, *peer, *local_address;
	void *params;
	GString *result;
	GError *error;
	bool good;
	int64_t started_usec, deadline_usec;
};

static void pending_unref(void *data)
{
	struct pending *p = data;

	if (!g_atomic_int_dec_and_test(&p->refs))
		return;
	record_unref(p->params);
	g_clear_error(&p->error);
	if (p->result)
		g_string_free(p->result, TRUE);
	g_free(p->lane);
	g_free(p->key);
	g_free(p->flow_id);
	g_free(p->peer);
	g_free(p->local_address);
	counted_free(p);
}

/* ---- logging ---- */

/* A copy fit for the log: secrets masked, long texts (domain XML, which may hold passwords as well) by their length. */
static json_t *masked(const json_t *json)
{
	const char *name;
	json_t *value, *copy;
	size_t i;

	if (json_is_object(json)) {
		copy = json_object();
		json_object_foreach((json_t *)json, name, value)
			json_object_set_new(copy, name, jsonrpc_is_secret(name) ? json_string("********") : masked(value));
		return copy;
	}
	if (json_is_array(json)) {
		copy = json_array();
		json_array_foreach((json_t *)json, i, value)
			json_array_append_new(copy, masked(value));
		return copy;
	}
	if (json_is_string(json) && json_string_length(json) > LOGGED_TEXT_MAX)
		return json_sprintf("<%zu bytes>", json_string_length(json));
	return json_incref((json_t *)json);
}

static void log_call(const struct verb *verb, const struct call *call, const json_t *params)
{
	const char *flow = call_flow_id(call);
	json_t *copy;
	char *text;

	if (!verb->changes) {
		if (verb->lane != VERB_LOOP)
			log_debug("call %s from %s", verb->name, call_peer(call));
		return;
	}
	/* By position: the array does not tell which value is a secret. */
	copy = json_is_array(params) ? json_sprintf("<%zu parameters>", json_array_size(params)) : params ? masked(params) : json_object();
	text = json_dumps(copy, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	log_info("call %s(%s) from %s%s%s", verb->name, text ? text : "?", call_peer(call), flow ? ", flow " : "", flow ? flow : "");
	free(text);
	json_decref(copy);
}

static void log_ignored(const struct verb *verb, const GPtrArray *ignored)
{
	g_autoptr(GString) names = NULL;

	if (!ignored || !ignored->len)
		return;
	names = g_string_new(ignored->pdata[0]);
	for (guint i = 1; i < ignored->len; i++)
		g_string_append_printf(names, ", %s", (char *)ignored->pdata[i]);
	log_info("%s: unknown members, ignoring: %s", verb->name, names->str);
}

/* ---- answers ---- */

static void count(struct entry *entry, bool good, int64_t started_usec)
{
	if (!entry->seconds) {
		g_autofree char *all = g_strdup_printf("verb=\"%s\"", entry->verb->name);
		g_autofree char *ok = g_strdup_printf("verb=\"%s\",status=\"ok\"", entry->verb->name);
		g_autofree char *failed = g_strdup_printf("verb=\"%s\",status=\"error\"", entry->verb->name);

		entry->seconds = metric_histogram("berth_agent_verb_seconds", all, "Time from request to answer of each verb");
		entry->good = metric_counter("berth_agent_verbs_total", ok, "Answers of each verb");
		entry->bad = metric_counter("berth_agent_verbs_total", failed, "Answers of each verb");
	}
	metric_observe(entry->seconds, now_usec() - started_usec);
	metric_add(good ? entry->good : entry->bad, 1);
}

static void answer(struct call *call, struct entry *entry, bool good, const GString *result, const GError *error, int64_t started_usec)
{
	count(entry, good, started_usec);
	if (good)
		call_reply(call, result->len ? result->str : "true", result->len ? result->len : 4);
	else
		call_fail(call, error);
}

static void refuse(struct call *call, struct entry *entry, GError *error)
{
	if (entry)
		count(entry, false, now_usec());
	call_fail(call, error);
	g_error_free(error);
}

/* ---- on lanes ---- */

static void settle(struct pending *p)
{
	p->call = NULL;
	g_hash_table_remove(p->dispatch->pending, p);
	pending_unref(p);
}

/* The lane has room again: when the handler is through, not when the caller was answered. */
static void leave_lane(struct pending *p)
{
	gpointer calls = g_hash_table_lookup(p->dispatch->lane_calls, p->lane);

	if (GPOINTER_TO_UINT(calls) > 1)
		g_hash_table_insert(p->dispatch->lane_calls, g_strdup(p->lane), GUINT_TO_POINTER(GPOINTER_TO_UINT(calls) - 1));
	else
		g_hash_table_remove(p->dispatch->lane_calls, p->lane);
}

static void finish(void *data)
{
	struct pending *p = data;
	struct call *call = p->call;

	leave_lane(p);
	if (call) {
		settle(p);              /* our own reference keeps p */
		answer(call, p->entry, p->good, p->result, p->error, p->started_usec);
	} else {
		log_warn("%s on lane '%s' ended %.2f s after its request, when its caller had been told that it took too long: %s", p->entry->verb->name,
			 p->lane, (double)(now_usec() - p->started_usec) / 1e6, p->good ? "it was done" : p->error->message);
	}
	pending_unref(p);
}

static bool is_of_vm(const struct verb *verb)
{
	return verb->lane == VERB_VM || verb->lane == VERB_VM_END || verb->lane == VERB_GUEST || verb->lane == VERB_CONSOLE;
}

static void run(void *data)
{
	struct pending *p = data;
	struct verb_call call = { .flow_id = p->flow_id, .peer = p->peer, .local_address = p->local_address, .verb = p->entry->verb,
				  .deadline_usec = p->deadline_usec };

	log_context_set(is_of_vm(p->entry->verb) ? p->key : NULL, *p->flow_id ? p->flow_id : NULL);
	p->good = (!p->entry->verb->not_migrating || vms_check_still(p->dispatch->agent->vms, p->key, &p->error)) &&
		  p->entry->handler(p->dispatch->agent, &call, p->params, p->result, &p->error);
	(void)error_ensure(p->good, &p->error, "%s", p->entry->verb->name);
	log_context_clear();
	g_atomic_int_inc(&p->refs);
	loop_post(p->dispatch->agent->loop, finish, p, pending_unref);
}

static void expire(void *data)
{
	struct pending *p = data;
	struct call *call = p->call;
	g_autoptr(GError) error = NULL;

	if (!call)
		return;
	settle(p);
	error_set(&error, ERR_RESOURCE_UNAVAILABLE, "%s got no answer from lane '%s' within %.0f s; it may still be done later", p->entry->verb->name,
		  p->lane, (double)(now_usec() - p->started_usec) / 1e6);
	log_warn("%s", error->message);
	answer(call, p->entry, false, NULL, error, p->started_usec);
}

static void check_deadlines(void *data)
{
	struct dispatch *dispatch = data;
	int64_t next = lane_pool_check(dispatch->agent->lanes);

	dispatch->next_deadline = next;
	if (next)
		timer_set(dispatch->deadlines, MAX(next - now_usec(), 1000));
}

static void watch_deadline(struct dispatch *dispatch, int64_t deadline)
{
	if (dispatch->next_deadline && dispatch->next_deadline <= deadline)
		return;
	dispatch->next_deadline = deadline;
	timer_set(dispatch->deadlines, MAX(deadline - now_usec(), 1000));
}

/* "vm/<id>"; NULL: no order */
static char *lane_name(const struct entry *entry, const char *key)
{
	static const char *const prefix[] = { [VERB_VM] = "vm", [VERB_VM_END] = "end", [VERB_GUEST] = "guest", [VERB_CONSOLE] = "console", [VERB_DOMAIN] = "domain",
					      [VERB_POOL] = "pool", [VERB_REMOTE] = "remote" };

	if (entry->verb->lane == VERB_NETWORK)
		return g_strdup("network");
	if (entry->verb->lane == VERB_GLUSTER)
		return g_strdup("gluster");
	if (entry->verb->lane == VERB_ANY)
		return NULL;
	return g_strconcat(prefix[entry->verb->lane], "/", key ? key : "", NULL);
}

static void start(struct dispatch *dispatch, struct entry *entry, struct call *call, void *params)
{
	const struct verb *verb = entry->verb;
	struct pending *p = g_new0(struct pending, 1);
	struct lane_job job = { .name = verb->name, .run = run, .expired = expire, .data = p, .free_data = pending_unref };
	const char *flow = call_flow_id(call), *peer = call_peer(call), *local = call_local_address(call);
	g_autofree char *lane = NULL;
	GError *error = NULL;
	unsigned calls;

	p->refs = 1;
	p->dispatch = dispatch;
	p->entry = entry;
	p->params = params;
	p->key = entry->lane_field ? record_text(params, entry->lane_field) : NULL;
	lane = lane_name(entry, p->key);
	p->lane = g_strdup(lane ? lane : "");
	calls = GPOINTER_TO_UINT(g_hash_table_lookup(dispatch->lane_calls, p->lane));
	if (calls >= DISPATCH_LANE_CALLS_MAX) {
		error_set(&error, ERR_RESOURCE_EXHAUSTED, "{'resource': 'lane %s', 'current_tasks': %u, 'reason': 'Too many tasks'}", p->lane, calls);
		refuse(call, entry, error);
		pending_unref(p);
		return;
	}
	p->call = call;
	p->flow_id = g_strdup(flow ? flow : "");
	p->peer = g_strdup(peer ? peer : "");
	p->local_address = g_strdup(local ? local : "");
	p->result = g_string_new(NULL);
	p->started_usec = now_usec();
	job.deadline_usec = p->deadline_usec = p->started_usec + (verb->deadline_s ? verb->deadline_s : dispatch->deadline_s) * (int64_t)G_USEC_PER_SEC;
	g_hash_table_add(dispatch->pending, p);
	g_atomic_int_inc(&p->refs);
	g_hash_table_insert(dispatch->lane_calls, g_strdup(p->lane), GUINT_TO_POINTER(calls + 1));
	if (!lane_submit(dispatch->agent->lanes, lane, &job, &error)) {
		settle(p);
		leave_lane(p);
		refuse(call, entry, error);
		pending_unref(p);
		return;
	}
	watch_deadline(dispatch, job.deadline_usec);
}

/* ---- requests ---- */

void dispatch_request(struct call *call, const char *method, const json_t *params, void *data)
{
	struct dispatch *dispatch = data;
	struct entry *entry = g_hash_table_lookup(dispatch->entries, method);
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct verb_call who;
	g_autoptr(GString) result = NULL;
	GError *error = NULL;
	void *record;
	int64_t begun;
	bool good;

	if (!entry) {
		error_set(&error, ERR_JSONRPC_NO_METHOD, "{'method': '%s'}", method);
		refuse(call, NULL, error);
		return;
	}
	if (!entry->verb->while_recovering && vms_recovering(dispatch->agent->vms)) {
		error_set(&error, ERR_RECOVERY_IN_PROGRESS, /* format= */ NULL);
		refuse(call, entry, error);
		return;
	}
	if (!entry->handler) {
		error_set(&error, ERR_METHOD_NOT_IMPLEMENTED, "{'method': '%s'}", method);
		refuse(call, entry, error);
		return;
	}
	log_call(entry->verb, call, params);
	record = verb_params(entry->verb, params, &input, &error);
	log_ignored(entry->verb, input.ignored);
	record_input_clear(&input);
	if (!record) {
		refuse(call, entry, error);
		return;
	}
	if (entry->verb->lane != VERB_LOOP) {
		start(dispatch, entry, call, record);
		return;
	}
	who = (struct verb_call){ .flow_id = call_flow_id(call), .peer = call_peer(call), .local_address = call_local_address(call),
				  .verb = entry->verb };
	if (!who.flow_id)
		who.flow_id = "";
	result = g_string_new(NULL);
	begun = now_usec();
	good = entry->handler(dispatch->agent, &who, record, result, &error);
	(void)error_ensure(good, &error, "%s", entry->verb->name);
	record_unref(record);
	answer(call, entry, good, result, error, begun);
	g_clear_error(&error);
}

/* ---- life ---- */

static void bind_all(struct dispatch *dispatch, const struct verb_binding *bindings, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct entry *entry = g_hash_table_lookup(dispatch->entries, bindings[i].name);

		if (!entry)
			g_error("handler of %s, which is not in the table of verbs", bindings[i].name);
		entry->handler = bindings[i].handler;
	}
}

struct dispatch *dispatch_new(struct agent *agent)
{
	struct dispatch *dispatch = g_new0(struct dispatch, 1);
	const struct verb *verb;

	dispatch->agent = agent;
	dispatch->entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	dispatch->lane_calls = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	dispatch->pending = g_hash_table_new(NULL, NULL);
	dispatch->deadline_s = config_int(agent->config, "rpc", "deadline");
	dispatch->deadlines = timer_new(agent->loop, check_deadlines, dispatch);
	for (size_t i = 0; (verb = verb_nth(i)); i++) {
		struct entry *entry = g_new0(struct entry, 1);

		entry->verb = verb;
		entry->lane_field = verb->lane_key ? record_field(verb->params, verb->lane_key) : NULL;
		g_hash_table_insert(dispatch->entries, (gpointer)verb->name, entry);
	}
	bind_all(dispatch, host_bindings, n_host_bindings);
	bind_all(dispatch, vm_bindings, n_vm_bindings);
	bind_all(dispatch, migration_bindings, n_migration_bindings);
	bind_all(dispatch, guest_bindings, n_guest_bindings);
	bind_all(dispatch, device_bindings, n_device_bindings);
	bind_all(dispatch, storage_bindings, n_storage_bindings);
	bind_all(dispatch, volume_bindings, n_volume_bindings);
	bind_all(dispatch, block_bindings, n_block_bindings);
	bind_all(dispatch, sdm_bindings, n_sdm_bindings);
	bind_all(dispatch, image_bindings, n_image_bindings);
	bind_all(dispatch, pool_bindings, n_pool_bindings);
	bind_all(dispatch, lease_bindings, n_lease_bindings);
	bind_all(dispatch, secret_bindings, n_secret_bindings);
	bind_all(dispatch, transfer_bindings, n_transfer_bindings);
	bind_all(dispatch, snapshot_bindings, n_snapshot_bindings);
	bind_all(dispatch, backup_bindings, n_backup_bindings);
	bind_all(dispatch, net_bindings, n_net_bindings);
	bind_all(dispatch, endpoint_bindings, n_endpoint_bindings);
	bind_all(dispatch, job_bindings, n_job_bindings);
	bind_all(dispatch, gluster_bindings, n_gluster_bindings);
	return dispatch;
}

struct dispatch *dispatch_free(struct dispatch *dispatch)
{
	GHashTableIter iter;
	gpointer key;

	if (!dispatch)
		return NULL;
	g_hash_table_iter_init(&iter, dispatch->pending);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		struct pending *p = key;
		g_autoptr(GError) error = NULL;

		error_set(&error, ERR_RESOURCE_UNAVAILABLE, "%s: the agent ends", p->entry->verb->name);
		call_fail(p->call, error);
		g_hash_table_iter_remove(&iter);
		pending_unref(p);
	}
	timer_free(dispatch->deadlines);
	g_hash_table_destroy(dispatch->entries);
	g_hash_table_destroy(dispatch->lane_calls);
	g_hash_table_destroy(dispatch->pending);
	g_free(dispatch);
	return NULL;
}
