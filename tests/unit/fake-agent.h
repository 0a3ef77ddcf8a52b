/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_UNIT_FAKE_AGENT_H
#define BERTH_TESTS_UNIT_FAKE_AGENT_H
/*
 * An engine without its upper rooms, and an agent that is none: it speaks the real channel, keeps VMs and volumes in tables, and dies, refuses or keeps
 * silent at the verb that the test names. All sockets are on one loop with a thread of its own; the test's thread is the worker that runs flows.
 *
 * The diary is a hundred times faster than in life. Every wait ends with a condition, or after GUARD_S for a failure.
 */
#include "tests/unit/cmocka-all.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "common/error.h"
#include "engine/fleet/entries.h"
#include "engine/fleet/fleet-priv.h"
#include "engine/flow/flow.h"
#include "engine/flow/storage_calls.h"
#include "engine/model/cluster.h"
#include "engine/model/event.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/storage_domain.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"
#include "tests/unit/store-place.h"

#define GUARD_S 40
#define VM_ID "11111111-1111-1111-1111-111111111111"
#define OTHER_ID "22222222-2222-2222-2222-222222222222"
#define HOST_ID "33333333-3333-3333-3333-333333333333"
#define DOMAIN_ID "44444444-4444-4444-4444-444444444444"
#define VOLUME_ID "55555555-5555-5555-5555-555555555555"
#define AGENT_ID "66666666-6666-6666-6666-666666666666"

static struct {
	struct engine engine;
	struct config *config;
	char *dir;
	pthread_t thread;
	pthread_mutex_t lock;           /* below: the agent, which the test sets up and looks at, too */
	struct channel_server *server;  /* loop only */
	char address[16];               /* this process's own of the loopback's: nobody takes the port of an agent that is dead */
	uint16_t port;
	json_t *vms;                    /* id -> as in Host.getAllVmFigures; survives the agent like libvirt's domains do */
	json_t *facts;                  /* id -> those members of it that Host.getAllVmFigures tells when it is asked for facts */
	unsigned facts_asked;           /* so often */
	const char *garbles;            /* what that verb is answered instead, once */
	json_t *volumes;                /* id -> true */
	json_t *domains;                /* on LUNs: id -> as in StorageDomain.getInfo; null: nobody can read it */
	json_t *params;                 /* verb -> parameters of the last call */
	GString *calls;                 /* what was asked for, "VM.create "..., but not what all sessions ask */
	json_t *(*more)(const char *verb, const json_t *params, GError **error);      /* asked first; NULL without an error: the others answer */
	const char *dies_before, *dies_after;       /* at this verb */
	const char *refuses;            /* this verb: ERR_UNEXPECTED_ERROR */
	const char *holds;              /* this verb is done and not answered */
	const char *delays, *until;     /* this verb is answered when that one was */
	struct call *delayed;
	char *delayed_answer;
	GPtrArray *held;                /* loop only: calls that never are */
	const char *state_created;      /* status after VM.create; NULL: Up, or Paused when asked for */
	bool created_paused, created_from_memory;
	int destroyed_running;
	int64_t time;                   /* statusTime */
} world;

static inline void locked(void (*fn)(void *data), void *data)
{
	pthread_mutex_lock(&world.lock);
	fn(data);
	pthread_mutex_unlock(&world.lock);
}

/* ---- the agent; lock held, on the loop ---- */

static inline void fake_end(void)
{
	g_autoptr(GError) error = NULL;

	if (!world.server)
		return;
	world.server = channel_server_free(world.server);
	error_set(&error, ERR_CANCELED, NULL);
	if (world.delayed)
		g_ptr_array_add(world.held, g_steal_pointer(&world.delayed));
	for (guint i = 0; i < world.held->len; i++)
		call_fail(world.held->pdata[i], error);
	g_ptr_array_set_size(world.held, 0);
}

static inline void fake_publish(const char *id)
{
	g_autofree char *method = g_strconcat(EVENT_VM_STATUS, id, NULL);
	json_t *vm = json_object_get(world.vms, id), *params = json_pack("{s:O, s:I}", id, vm, "notify_time", (json_int_t)world.time);
	char *text = json_dumps(params, JSON_COMPACT);

	if (world.server)
		channel_server_publish(world.server, method, text);
	free(text);
	json_decref(params);
}

/* A VM gets this status; reason < 0: it is not Down. */
static inline void fake_set(const char *id, const char *status, int reason)
{
	char time[24];

	(void)snprintf(time, sizeof(time), "%" G_GINT64_FORMAT, ++world.time);
	json_object_set_new(world.vms, id, json_pack("{s:s, s:s, s:s}", "vmId", id, "status", status, "statusTime", time));
	if (reason >= 0)
		json_object_update_new(json_object_get(world.vms, id),
				       json_pack("{s:i, s:i, s:s}", "exitCode", reason == VM_EXIT_SAVED || reason == VM_EXIT_ADMIN_SHUTDOWN ? 0 : 1,
						 "exitReason", reason, "exitMessage", "as the test wants"));
	fake_publish(id);
}

static inline const char *text_in(const json_t *params, const char *key)
{
	const char *text = json_string_value(json_object_get(params, key));

	return text ? text : "";
}

/* NULL: error is set. */
static inline json_t *fake_vm(const char *verb, const json_t *params, GError **error)
{
	const char *id = text_in(params, "vmID");
	json_t *vm = json_object_get(world.vms, id);
	const json_t *wanted = json_object_get(params, "vmParams");

	if (!strcmp(verb, "VM.create")) {
		if (vm) {
			error_set(error, ERR_VM_EXISTS, NULL);
			return NULL;
		}
		world.created_paused = json_is_true(json_object_get(wanted, "launchPaused"));
		world.created_from_memory = json_is_object(json_object_get(wanted, "memoryDumpVolume"));
		if (!world.state_created || strcmp(world.state_created, "none"))
			fake_set(id, world.state_created ? world.state_created : world.created_paused ? "Paused" : "Up", -1);
		return json_pack("{s:s, s:s, s:s}", "vmId", id, "status", "WaitForLaunch", "statusTime", "1");
	}
	if (!vm) {
		error_set(error, ERR_NO_SUCH_VM, NULL);
		return NULL;
	}
	if (!strcmp(verb, "VM.getInfo"))
		return json_incref(vm);
	if (!strcmp(verb, "VM.getStats"))
		return json_pack("[O]", vm);
	if (!strcmp(verb, "VM.destroy")) {
		world.destroyed_running += strcmp(text_in(vm, "status"), "Down") != 0;
		json_object_del(world.vms, id);
		return json_true();
	}
	if (!strcmp(text_in(vm, "status"), "Down")) {
		error_set(error, ERR_VM_IS_DOWN, NULL);
		return NULL;
	}
	fake_set(id, !strcmp(verb, "VM.hibernate") ? "Saving State" : "Up", -1);
	return json_true();
}

static inline json_t *fake_volume(const char *verb, const json_t *params, GError **error)
{
	const char *id = text_in(params, "volumeID");

	if (!strcmp(verb, "Volume.create"))
		json_object_set_new(world.volumes, id, json_true());
	else if (!json_object_get(world.volumes, id)) {
		error_set(error, ERR_VOLUME_DOES_NOT_EXIST, NULL);
		return NULL;
	}
	if (!strcmp(verb, "Volume.getInfo"))
		return json_pack("{s:s, s:s, s:s}", "uuid", id, "capacity", "1048576", "truesize", "4096");
	if (!strcmp(verb, "Volume.delete"))
		json_object_del(world.volumes, id);
	return json_string(BLANK_ID);         /* of a task */
}

static inline bool names(const json_t *list, const char *id)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
		if (!strcmp(json_string_value(item), id))
			return true;
	return !list;
}

static inline json_t *fake_figures(const json_t *params)
{
	json_t *list = json_array(), *vm;
	bool wants_facts = json_is_true(json_object_get(params, "facts"));
	const char *id;

	world.facts_asked += wants_facts;
	json_object_foreach(world.vms, id, vm) {
		json_t *facts = json_object_get(world.facts, id), *row = json_copy(vm);
		char *text = facts ? json_dumps(facts, JSON_COMPACT | JSON_SORT_KEYS) : NULL, digest[20];

		(void)snprintf(digest, sizeof(digest), "%016x", text ? g_str_hash(text) : 0);
		if (facts)
			json_object_set_new(row, "facts", json_string(digest));
		if (facts && wants_facts)
			json_object_update(row, facts);
		if (names(json_object_get(params, "vmList"), id))
			json_array_append(list, row);
		json_decref(row);
		free(text);
	}
	return list;
}

static inline json_t *fake_host(const char *verb, const json_t *params)
{
	if (!strcmp(verb, "Host.getAllVmFigures"))
		return world.garbles ? json_string(g_steal_pointer(&world.garbles)) : fake_figures(params);
	if (!strcmp(verb, "Host.getCapabilities"))
		return json_pack("{s:s, s:s, s:s}", "uuid", AGENT_ID, "memSize", "8192", "cpuCores", "2");
	return json_object();
}

static inline json_t *fake_domain(const json_t *params, GError **error)
{
	json_t *domain = json_object_get(world.domains, text_in(params, "storagedomainID"));

	if (json_is_object(domain))
		return json_incref(domain);
	error_set(error, ERR_STORAGE_DOMAIN_METADATA_NOT_FOUND, NULL);
	return NULL;
}

static inline json_t *fake_domains(const json_t *params)
{
	json_t *ids = json_array(), *domain;
	const char *id;

	json_object_foreach(world.domains, id, domain)
		if (json_integer_value(json_object_get(params, "storageType")) == storage_wire_type("iscsi"))
			json_array_append_new(ids, json_string(id));
	return ids;
}

/* Also of what no verb answers by itself. */
static inline json_t *fake_do(const char *verb, const json_t *params, GError **error)
{
	if (world.refuses && !strcmp(world.refuses, verb)) {
		error_set(error, ERR_UNEXPECTED_ERROR, "as the test wants");
		return NULL;
	}
	if (world.more) {
		GError *own = NULL;
		json_t *answer = world.more(verb, params, &own);

		if (own)
			g_propagate_error(error, own);
		if (answer || own)
			return answer;
	}
	if (g_str_has_prefix(verb, "VM."))
		return fake_vm(verb, params, error);
	if (g_str_has_prefix(verb, "Volume."))
		return fake_volume(verb, params, error);
	if (!strcmp(verb, "Task.getStatus"))
		return json_pack("{s:s, s:s, s:s, s:i}", "taskID", BLANK_ID, "taskState", "finished", "taskResult", "success", "code", 0);
	if (!strcmp(verb, "StorageDomain.getInfo"))
		return fake_domain(params, error);
	if (!strcmp(verb, "Host.getStorageDomains"))
		return fake_domains(params);
	return g_str_has_prefix(verb, "Host.") ? fake_host(verb, params) : json_true();
}

static inline bool is_it(const char **verb, const char *method)
{
	bool it = *verb && !strcmp(*verb, method);

	if (it)
		*verb = NULL;
	return it;
}

/* Takes over result. */
static inline void fake_answer(struct call *call, const char *method, json_t *result, const GError *error)
{
	char *text = result ? json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	json_decref(result);
	if (error)
		call_fail(call, error);
	else if (world.delays && !strcmp(world.delays, method)) {
		world.delayed = call;
		g_free(world.delayed_answer);
		world.delayed_answer = g_strdup(text);
	} else
		call_reply(call, text, strlen(text));
	free(text);
	if (world.until && !strcmp(world.until, method)) {
		world.delays = NULL;                    /* also when it comes first */
		if (world.delayed)
			call_reply(g_steal_pointer(&world.delayed), world.delayed_answer, strlen(world.delayed_answer));
	}
}

static inline void fake_request(struct call *call, const char *method, const json_t *params, void *data)
{
	bool dies, holds;
	g_autoptr(GError) error = NULL;
	json_t *result = NULL;

	pthread_mutex_lock(&world.lock);
	if (!g_str_has_prefix(method, "Host.") && !g_str_has_prefix(method, "Task."))
		g_string_append_printf(world.calls, "%s ", method);
	json_object_set_new(world.params, method, params ? json_deep_copy(params) : json_null());
	dies = is_it(&world.dies_before, method);
	holds = world.holds && !strcmp(world.holds, method);
	if (!dies)
		result = fake_do(method, params, &error);
	dies |= is_it(&world.dies_after, method);
	if (dies || holds) {
		json_decref(result);
		g_ptr_array_add(world.held, call);
	} else
		fake_answer(call, method, result, error);
	if (dies)
		fake_end();
	pthread_mutex_unlock(&world.lock);
}

/* ---- for the test ---- */

struct errand { void (*fn)(void *data); void *data; bool done; pthread_mutex_t lock; pthread_cond_t cond; };

static inline void errand_run(void *data)
{
	struct errand *errand = data;

	locked(errand->fn, errand->data);
	pthread_mutex_lock(&errand->lock);
	errand->done = true;
	pthread_cond_signal(&errand->cond);
	pthread_mutex_unlock(&errand->lock);
}

/* Runs fn on the loop with the lock held, and waits for it. */
static inline void on_loop(void (*fn)(void *data), void *data)
{
	struct errand errand = { fn, data, false, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };

	loop_post(world.engine.loop, errand_run, &errand, NULL);
	pthread_mutex_lock(&errand.lock);
	while (!errand.done)
		pthread_cond_wait(&errand.cond, &errand.lock);
	pthread_mutex_unlock(&errand.lock);
}

static inline void agent_begin(void *unused)
{
	struct channel_server_settings settings = { .loop = world.engine.loop, .address = world.address, .port = world.port, .request = fake_request };
	g_autoptr(GError) error = NULL;

	world.server = channel_server_new(&settings, &error);
	if (!world.server)
		fail_msg("%s", error->message);
	world.port = channel_server_port(world.server);
}

static inline void agent_end(void *unused)
{
	fake_end();
}

static inline void agent_start(void) { on_loop(agent_begin, NULL); }
static inline void agent_kill(void) { on_loop(agent_end, NULL); }

struct setting { const char *id, *status; int reason; };

static inline void set_on_loop(void *data)
{
	const struct setting *setting = data;

	if (setting->status)
		fake_set(setting->id, setting->status, setting->reason);
	else
		json_object_del(world.vms, setting->id);
}

/* The agent's VM gets this status (NULL: it is gone), and says so. */
static inline void agent_has(const char *id, const char *status, int reason)
{
	struct setting setting = { id, status, reason };

	on_loop(set_on_loop, &setting);
}

static inline bool agent_knows(const char *id)
{
	bool knows;

	pthread_mutex_lock(&world.lock);
	knows = json_object_get(world.vms, id);
	pthread_mutex_unlock(&world.lock);
	return knows;
}

static inline size_t agent_volumes(void)
{
	size_t n;

	pthread_mutex_lock(&world.lock);
	n = json_object_size(world.volumes);
	pthread_mutex_unlock(&world.lock);
	return n;
}

/* How often it was asked for this. */
static inline unsigned agent_asked(const char *verb)
{
	g_autofree char *word = g_strconcat(verb, " ", NULL);
	unsigned n = 0;

	pthread_mutex_lock(&world.lock);
	for (const char *at = world.calls->str; (at = strstr(at, word)) != NULL; at++)
		n++;
	pthread_mutex_unlock(&world.lock);
	return n;
}

/* What it was asked for last with this verb; new reference, NULL: never. */
static inline json_t *agent_params(const char *verb)
{
	json_t *params;

	pthread_mutex_lock(&world.lock);
	params = json_deep_copy(json_object_get(world.params, verb));
	pthread_mutex_unlock(&world.lock);
	return params;
}

/* Until the condition holds. */
#define wait_for(condition) do { \
	int64_t end_ = now_usec() + GUARD_S * G_USEC_PER_SEC; \
	while (!(condition) && now_usec() < end_) \
		g_usleep(2000); \
	if (!(condition)) \
		fail_msg("not within %d s: %s; calls: %s; VM: %s", GUARD_S, #condition, world.calls->str, vm_state_names[vm_state()]); \
} while (0)

static inline struct vm *get_vm(void)
{
	return model_get(world.engine.model, &vm_kind, VM_ID);
}

static inline int vm_state(void)
{
	struct vm *vm = get_vm();
	int state = vm ? vm->state : VM_UNASSIGNED;

	record_unref(vm);
	return state;
}

static inline int host_state(void)
{
	struct host *host = model_get(world.engine.model, &host_kind, HOST_ID);
	int state = host->state;

	record_unref(host);
	return state;
}

static inline size_t flows(void)
{
	return model_count(world.engine.model, &flow_kind);
}

static inline unsigned events_of(int code)
{
	g_autoptr(GPtrArray) events = model_list(world.engine.model, &event_kind);
	unsigned n = 0;

	for (guint i = 0; i < events->len; i++)
		n += ((const struct event *)events->pdata[i])->code == code;
	return n;
}

/* ---- engine ---- */

static inline void add_record(void *record)
{
	struct change *change = change_new(world.engine.store);
	g_autoptr(GError) error = NULL;

	change_add(change, record);
	if (!change_commit(change, &error))
		fail_msg("%s", error->message);
	record_unref(record);
}

static inline void add_host(const struct cluster *cluster)
{
	struct host *host = record_new(&host_type);

	set_string(&host->id, HOST_ID);
	set_string(&host->name, "h1");
	set_string(&host->address, world.address);
	SET(host, port, world.port);
	SET(host, state, HOST_UNASSIGNED);
	set_ref(&host->cluster, cluster->id);
	set_string(&host->agent_uuid, AGENT_ID);
	add_record(host);
}

static inline void add_domain(const struct cluster *cluster)
{
	struct storage_domain *domain = record_new(&storage_domain_type);

	set_string(&domain->id, DOMAIN_ID);
	set_string(&domain->name, "data");
	SET(domain, type, DOMAIN_DATA);
	SET(domain, state, DOMAIN_ACTIVE);
	set_ref(&domain->data_center, cluster->data_center.id);
	set_ref(&domain->local_host, HOST_ID);
	add_record(domain);
}

static inline json_t *memory_here(void)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "pool", BLANK_ID, "domain", DOMAIN_ID, "image", VOLUME_ID, "volume", VOLUME_ID);
}

/* A VM in this state; on the host when it runs in it. suspended: with a memory that the agent has. */
static inline void add_vm(int state)
{
	struct cluster *cluster = model_find(world.engine.model, &cluster_kind, NULL, "Default");
	struct vm *vm = record_new(&vm_type);

	set_string(&vm->id, VM_ID);
	set_string(&vm->name, "web");
	set_ref(&vm->cluster, cluster->id);
	set_ref(&vm->template, BLANK_ID);
	SET(vm, memory, INT64_C(64) << 20);
	SET(vm, state, state);
	if (vm_is_running(vm))
		set_ref(&vm->host, HOST_ID);
	if (state == VM_SUSPENDED) {
		vm->memory_volume = memory_here();
		SET(vm, memory_state, MEMORY_SAVED);
		json_object_set_new(world.volumes, VOLUME_ID, json_true());
	}
	add_record(vm);
	record_unref(cluster);
}

static inline void *run_loop(void *unused)
{
	loop_run(world.engine.loop);
	return NULL;
}

static inline void stop_loop(void *unused)
{
	fake_end();
	loop_stop(world.engine.loop);
}

/* The rooms below flow, on what is in the directory. */
static inline void engine_open(void)
{
	static const struct option options[] = {
		{ "http", "ca", OPTION_PATH, NULL, 0, 0, "" }, { "http", "cert", OPTION_PATH, NULL, 0, 0, "" },
		{ "http", "key", OPTION_PATH, NULL, 0, 0, "" }, { "agent", "ca", OPTION_PATH, NULL, 0, 0, "" },
		{ "agent", "cert", OPTION_PATH, NULL, 0, 0, "" }, { "agent", "key", OPTION_PATH, NULL, 0, 0, "" },
		{ "agent", "verify_names", OPTION_BOOL, "false", 0, 0, "" }, { "agent", "ask", OPTION_INT, "1", 0, 0, "" },
		{ "agent", "connecting_after", OPTION_INT, "1", 0, 0, "" }, { "agent", "non_responsive_after", OPTION_INT, "2", 0, 0, "" },
		{ "storage", "master_lost_after", OPTION_INT, "300", 0, 0, "" }, { "storage", "io_timeout", OPTION_INT, "10", 0, 0, "" },
	};
	struct engine *engine = &world.engine;
	g_autoptr(GError) error = NULL;

	world.config = config_load(NULL, options, G_N_ELEMENTS(options), &error);
	engine->config = world.config;
	engine->started_usec = now_usec() - INT64_C(3600) * G_USEC_PER_SEC;       /* nobody waits for what follows a start */
	engine->lanes = lane_pool_new(16);
	engine->model = model_new();
	engine->store = world.config ? place_open(world.dir, engine->model, &error) : NULL;
	engine->fleet = engine->store ? fleet_new(engine, &error) : NULL;
	if (!engine->fleet)
		fail_msg("%s", error->message);
	engine->fleet->diary = (struct diary){ 100000, 400000, 800000, 20000, 50000 };
	fleet_on_host_up(engine->fleet, flow_take_up);
}

static inline void forget_on_loop(void *unused)
{
	g_hash_table_remove_all(world.engine.fleet->sessions);
}

static inline void engine_close(void)
{
	struct engine *engine = &world.engine;

	on_loop(forget_on_loop, NULL);
	engine->lanes = lane_pool_free(engine->lanes, 60 * G_USEC_PER_SEC);
	on_loop(forget_on_loop, NULL);          /* behind what the last jobs posted */
	engine->fleet = fleet_free(engine->fleet);
	engine->store = store_close(engine->store);
	engine->model = model_free(engine->model);
	world.config = config_free(world.config);
}

/* The host's session begins. */
static inline void engine_connect(void)
{
	fleet_start(world.engine.fleet);
	wait_for(host_state() == HOST_UP);
}

static inline int setup(void **state)
{
	struct cluster *cluster;

	memset(&world, 0, sizeof(world));
	(void)snprintf(world.address, sizeof(world.address), "127.%d.%d.%d", 1 + (getpid() >> 16 & 63), getpid() >> 8 & 255, getpid() & 255);
	pthread_mutex_init(&world.lock, NULL);
	world.vms = json_object();
	world.facts = json_object();
	world.volumes = json_object();
	world.domains = json_object();
	world.params = json_object();
	world.calls = g_string_new(NULL);
	world.held = g_ptr_array_new();
	world.dir = g_dir_make_tmp("berth-fleet-XXXXXX", NULL);
	world.engine.loop = loop_new();
	assert_int_equal(pthread_create(&world.thread, NULL, run_loop, NULL), 0);
	agent_start();
	engine_open();
	cluster = model_find(world.engine.model, &cluster_kind, NULL, "Default");
	add_host(cluster);
	add_domain(cluster);
	record_unref(cluster);
	return 0;
}

static inline int teardown(void **state)
{
	engine_close();
	on_loop(stop_loop, NULL);
	pthread_join(world.thread, NULL);
	world.engine.loop = loop_free(world.engine.loop);
	place_remove(world.dir, NULL);
	g_free(world.dir);
	json_decref(world.vms);
	json_decref(world.facts);
	json_decref(world.volumes);
	json_decref(world.domains);
	json_decref(world.params);
	g_string_free(world.calls, TRUE);
	g_ptr_array_unref(world.held);
	g_free(world.delayed_answer);
	pthread_mutex_destroy(&world.lock);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
