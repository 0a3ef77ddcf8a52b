/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a storage domain.
 *
 *	create   record (locked) > connect > create > settle (unattached)           interrupted: taken back
 *	remove   lock > erase > disconnect > forget                                  interrupted: goes on
 *
 * Between them the domain is in a data center: domain_move.c. Every step is a call to one host's agent: for a directory of a host to that one, for shared
 * storage to the host of the data center that works on it, and before the domain is in one, to the host that the client names. The agent's answers decide
 * whether the storage is fit: nothing is looked at from here. A domain's connections are objects, made with it and removed with the last that uses them.
 */
#include "engine/flow/storage_flow.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/flow/block_calls.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/domain_content.h"
#include "engine/flow/rivals.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_pool.h"
#include "engine/flow/storage_target.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/disk.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"

/* Event codes */
#define EVENT_ADDED 956
#define EVENT_ADD_FAILED 957
#define EVENT_REMOVED 960
#define EVENT_REMOVE_FAILED 961

struct storage_call storage_flow_call(const struct flow *flow)
{
	return (struct storage_call){ flow->engine, flow_text(flow, "host"), flow->id, AGENT_PATIENCE_S };
}

struct storage_domain *storage_flow_domain(const struct flow *flow, GError **error)
{
	struct storage_domain *domain = model_get(flow->engine->model, &storage_domain_kind, flow->object_id);

	if (!domain)
		error_set(error, ERR_NOT_FOUND, "storage domain '%s'", flow->object_id);
	return domain;
}

/* The manager of the pool before who is in it before the others; among these who would rather be the manager. */
static int rank(const struct host *host)
{
	return (host->storage_manager ? 200 : host->pool_id ? 100 : 0) + host->spm_priority;
}

char *storage_any_host(struct model *model, const char *data_center_id)
{
	g_autoptr(GPtrArray) hosts = model_list(model, &host_kind);
	const struct host *best = NULL;

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		struct cluster *cluster = host->state == HOST_UP ? model_get(model, &cluster_kind, host->cluster.id) : NULL;
		bool here = cluster && (!data_center_id || !g_strcmp0(cluster->data_center.id, data_center_id));

		record_unref(cluster);
		if (here && (!best || rank(host) > rank(best)))
			best = host;
	}
	return best ? g_strdup(best->id) : NULL;
}

char *storage_host_in(struct engine *engine, const struct storage_domain *domain, const char *data_center_id, GError **error)
{
	char *id;

	if (domain->storage_type == STORAGE_LOCALFS || domain->local_host.id)
		return storage_host(engine, domain, error);
	id = storage_any_host(engine->model, data_center_id);
	if (!id)
		error_set(error, ERR_WRONG_STATE, "storage domain '%s': no host of the data center is up", domain->name);
	return id;
}

char *storage_worker(struct engine *engine, const struct storage_domain *domain, GError **error)
{
	return domain->local_host.id ? g_strdup(domain->local_host.id) : storage_host(engine, domain, error);
}

char *storage_host(struct engine *engine, const struct storage_domain *domain, GError **error)
{
	const char *wanted = domain->local_host.id ? domain->local_host.id : domain->host.id;
	struct host *host;
	char *id;

	if (!domain->local_host.id && domain->data_center.id)
		return storage_host_in(engine, domain, domain->data_center.id, error);
	host = wanted ? model_get(engine->model, &host_kind, wanted) : NULL;
	id = host && host->state == HOST_UP ? g_strdup(host->id) : NULL;

	if (!host)
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s': the host that has it does not exist any more", domain->name);
	else if (!id)
		error_set(error, ERR_WRONG_STATE, "storage domain '%s': its host '%s' is %s", domain->name, host->name, host_state_names[host->state]);
	record_unref(host);
	return id;
}

static bool directory_is_free(const struct storage_domain *wanted, const struct storage_domain *domain, GError **error)
{
	if (g_strcmp0(domain->local_host.id, wanted->local_host.id) || g_strcmp0(domain->path, wanted->path) || domain->storage_type != wanted->storage_type ||
	    g_strcmp0(domain->address, wanted->address))
		return true;
	error_set(error, ERR_OPERATION_FAILED, "storage/path: '%s' on this %s is used by storage domain '%s'", wanted->path, wanted->address ? "server" : "host",
		  domain->name);
	return false;
}

/* used: units of what is called `what` and `name` */
static bool units_are_free(const GPtrArray *wanted, const GPtrArray *used, const char *what, const char *name, GError **error)
{
	for (guint i = 0; wanted && i < wanted->len; i++) {
		const struct logical_unit *unit = wanted->pdata[i];

		if (!logical_unit_in(used, unit->id))
			continue;
		error_set(error, ERR_OPERATION_FAILED, "logical_unit: LUN '%s' is used by %s '%s'", unit->id, what, name);
		return false;
	}
	return true;
}

bool storage_units_are_free(struct model *model, const GPtrArray *units, const char *except, GError **error)
{
	g_autoptr(GPtrArray) domains = model_list(model, &storage_domain_kind), disks = model_list(model, &disk_kind);

	for (guint i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		if (g_strcmp0(domain->id, except) && !units_are_free(units, domain->logical_units, "storage domain", domain->name, error))
			return false;
	}
	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		if (g_strcmp0(disk->id, except) && !units_are_free(units, disk->logical_units, "disk", disk_label(disk), error))
			return false;
	}
	return true;
}

bool storage_place_is_free(struct model *model, void *data, GError **error)
{
	const struct storage_domain *wanted = data;
	g_autoptr(GPtrArray) domains = NULL;

	if (storage_type_is_block(wanted->storage_type))
		return storage_units_are_free(model, wanted->logical_units, wanted->id, error);
	domains = model_list(model, &storage_domain_kind);
	for (guint i = 0; i < domains->len; i++)
		if (g_strcmp0(object_id(domains->pdata[i]), wanted->id) && !directory_is_free(wanted, domains->pdata[i], error))
			return false;
	return true;
}

bool storage_is_among(const GPtrArray *connections, const char *connection_id)
{
	for (guint i = 0; connections && i < connections->len; i++)
		if (!g_strcmp0(object_id(connections->pdata[i]), connection_id))
			return true;
	return false;
}

bool storage_domain_uses(const struct storage_domain *domain, const char *connection_id)
{
	return storage_is_among(domain->connections, connection_id);
}

char *storage_connection_user(struct model *model, const struct storage_connection *connection, const char *except)
{
	g_autoptr(GPtrArray) domains = model_list(model, &storage_domain_kind), disks = connection->target ? model_list(model, &disk_kind) : list_new();

	for (guint i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		if (g_strcmp0(domain->id, except) && storage_domain_uses(domain, connection->id))
			return g_strdup_printf("storage domain '%s'", domain->name);
	}
	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];

		if (g_strcmp0(disk->id, except) && storage_is_among(disk->connections, connection->id))
			return g_strdup_printf("disk '%s'", disk_label(disk));
	}
	return NULL;
}

void storage_drop_connections(struct model *model, struct change *change, const GPtrArray *connections, const char *owner)
{
	for (guint i = 0; connections && i < connections->len; i++) {
		struct storage_connection *connection = model_get(model, &storage_connection_kind, object_id(connections->pdata[i]));
		g_autofree char *user = connection ? storage_connection_user(model, connection, owner) : NULL;

		if (connection && !user)
			change_remove(change, connection);
		record_unref(connection);
	}
}

/* ---- create ---- */

json_t *storage_create_data(const struct storage_domain *domain, json_t *targets, const GPtrArray *connections, bool import)
{
	json_t *data = json_pack("{s:s, s:o, s:s, s:s, s:b}", "host", domain->host.id, "targets", targets, "name", domain->name, "flavor",
				 storage_domain_flavor_names[domain->type], "import", import);

	json_object_set_new(data, "domain", record_to_json(domain, RECORD_STORE));
	json_object_set_new(data, "connections", storage_records_to_json(connections));
	if (storage_type_is_block(domain->storage_type))
		json_object_set_new(data, "block", json_pack("{s:s, s:o, s:b}", "type", storage_type_names[domain->storage_type], "devices",
							     storage_unit_ids(domain->logical_units), "force", domain->override_luns));
	return data;
}

json_t *storage_records_to_json(const GPtrArray *records)
{
	json_t *array = json_array();

	for (guint i = 0; records && i < records->len; i++)
		json_array_append_new(array, record_to_json(records->pdata[i], RECORD_STORE));
	return array;
}

json_t *storage_unit_ids(const GPtrArray *units)
{
	json_t *ids = json_array();

	for (guint i = 0; units && i < units->len; i++)
		json_array_append_new(ids, json_string(((const struct logical_unit *)units->pdata[i])->id));
	return ids;
}

/* All of them, or none that was not connected before. */
static bool connect_all(const struct storage_call *call, const json_t *targets, GError **error)
{
	size_t i;
	json_t *target;

	json_array_foreach((json_t *)targets, i, target)
		if (!storage_connect(call, target, error))
			return false;
	return true;
}

bool storage_flow_disconnect(const struct flow *flow, const struct storage_call *call, const json_t *targets, GError **error)
{
	g_autoptr(GError) first = NULL;
	size_t i;
	json_t *target;

	json_array_foreach((json_t *)targets, i, target) {
		const char *id = json_string_value(json_object_get(target, "@id"));
		struct storage_connection *connection = id ? model_get(flow->engine->model, &storage_connection_kind, id) : NULL;
		g_autofree char *user = connection ? storage_connection_user(flow->engine->model, connection, flow->object_id) : NULL;

		record_unref(connection);
		if (!user)
			(void)storage_disconnect(call, target, first ? NULL : &first);
	}
	if (!first)
		return true;
	g_propagate_error(error, g_steal_pointer(&first));
	return false;
}

static const json_t *targets_of(const struct flow *flow)
{
	return json_object_get(flow->data, "targets");
}

void *storage_flow_record(const json_t *data, const struct record_type *type, GError **error)
{
	struct record_input input = { .dialect = RECORD_STORE };
	void *record = record_from_json(type, data, &input, error);

	record_input_clear(&input);
	return record;
}

static bool create_record(struct flow *flow, GError **error)
{
	struct storage_domain *domain = storage_flow_domain(flow, NULL);
	struct change *change;
	bool ok;

	if (domain) {
		record_unref(domain);
		return true;
	}
	if (!(domain = storage_flow_record(json_object_get(flow->data, "domain"), &storage_domain_type, error)))
		return false;
	set_string(&domain->id, flow->object_id);
	SET(domain, state, DOMAIN_LOCKED);
	change = change_new(flow->engine->store);
	change_check(change, storage_place_is_free, domain);
	ok = storage_flow_add_connections(flow, change, error);
	if (ok) {
		change_add(change, domain);
		ok = change_commit(change, error);
	} else {
		change_free(change);
	}
	record_unref(domain);
	return ok;
}

bool storage_flow_add_connections(const struct flow *flow, struct change *change, GError **error)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(flow->data, "connections"), i, item) {
		struct storage_connection *connection = storage_flow_record(item, &storage_connection_type, error);

		if (!connection)
			return false;
		change_add(change, connection);
		record_unref(connection);
	}
	return true;
}

void storage_flow_remove_connections(const struct flow *flow, struct change *change)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(flow->data, "connections"), i, item) {
		const char *id = json_string_value(json_object_get(item, "@id"));
		struct storage_connection *connection = id ? model_get(flow->engine->model, &storage_connection_kind, id) : NULL;

		if (connection)
			change_remove(change, connection);
		record_unref(connection);
	}
}

static bool create_forget(struct flow *flow, GError **error)
{
	struct storage_domain *domain = storage_flow_domain(flow, NULL);
	struct change *change;
	bool ok = true;

	/* Only what this flow made: a name that was taken is somebody else's domain with another id. */
	if (domain && domain->state == DOMAIN_LOCKED) {
		change = change_new(flow->engine->store);
		change_remove(change, domain);
		storage_flow_remove_connections(flow, change);
		ok = change_commit(change, error);
	}
	record_unref(domain);
	return ok;
}

/* The last step was done and only the flow's own end is missing: there is nothing to be taken back. */
static bool is_settled(const struct flow *flow)
{
	struct storage_domain *domain = storage_flow_domain(flow, NULL);
	bool settled = domain && domain->state != DOMAIN_LOCKED;

	record_unref(domain);
	return settled;
}

static bool create_connect(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);

	return connect_all(&call, targets_of(flow), error);
}

/* The agent cannot disconnect what it could not connect: that is what most failures are, and a link that stays behind does no harm. */
static bool create_disconnect(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	g_autoptr(GError) own = NULL;

	if (is_settled(flow) || storage_flow_disconnect(flow, &call, targets_of(flow), &own))
		return true;
	if (agent_is_away(own)) {
		g_propagate_error(error, g_steal_pointer(&own));
		return false;
	}
	log_info("storage domain %s: its storage is not disconnected: %s, ignoring", flow->object_id, own->message);
	return true;
}

/* Whether the agent was reached or not is not always known: what it may have made is erased. Its id is ours, so nothing else can be hit. */
static bool create_erase(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);

	if (is_settled(flow) || flow_flag(flow, "import") ||
	    (storage_format(&call, flow->object_id, error) && (!json_object_get(flow->data, "block") || block_group_remove(&call, flow->object_id, error))))
		return true;
	error_wrap(error, "what was made on the storage of '%s'", flow_text(flow, "name"));
	return false;
}

static bool create_create(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	const json_t *block = json_object_get(flow->data, "block");
	const struct block_place place = { json_string_value(json_object_get(block, "type")), json_object_get(block, "devices"),
					   json_is_true(json_object_get(block, "force")) };

	if (flow_flag(flow, "import"))
		return true;
	if (block)
		return block_domain_create(&call, flow->object_id, flow_text(flow, "name"), &place, error);
	return storage_create(&call, flow->object_id, flow_text(flow, "name"), flow_text(flow, "flavor"), json_array_get(targets_of(flow), 0), error);
}

struct creation { struct flow *flow; int64_t total, free; char *group; GPtrArray *units; };

static bool edit_created(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	struct creation *creation = data;

	if (domain->state != DOMAIN_LOCKED)
		return false;
	SET(domain, state, DOMAIN_UNATTACHED);
	storage_domain_set_sizes(domain, creation->total, creation->free);
	if (creation->group)
		storage_domain_set_group(domain, creation->group, creation->units);
	change_event(change, EVENT_ADDED, &creation->flow->actor, (void *[]){ domain, NULL }, "Storage Domain %s was added by %s", domain->name,
		     flow_user(creation->flow));
	return true;
}

static bool create_settle(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	struct creation creation = { .flow = flow };
	bool ok = storage_sizes(&call, flow->object_id, &creation.total, &creation.free, error) &&
		  (!json_object_get(flow->data, "block") || block_group(&call, flow->object_id, &creation.group, &creation.units, error)) &&
		  store_modify(flow->engine->store, &storage_domain_kind, flow->object_id, edit_created, &creation, NULL, error);

	g_free(creation.group);
	if (creation.units)
		g_ptr_array_unref(creation.units);
	return ok;
}

static void create_failed(struct flow *flow, const GError *cause)
{
	if (is_settled(flow))
		return;
	store_event(flow->engine->store, EVENT_ADD_FAILED, &flow->actor, NULL, "Failed to add Storage Domain %s. (User: %s): %s", flow_text(flow, "name"),
		    flow_user(flow), cause->message);
}

static const struct flow_step create_steps[] = {
	{ "record", create_record, create_forget },
	{ "connect", create_connect, create_disconnect },
	{ "create", create_create, create_erase },
	{ "settle", create_settle, NULL },
};

const struct flow_type create_domain_flow = {
	.name = "create_domain", .kind = &storage_domain_kind, .steps = create_steps, .n_steps = G_N_ELEMENTS(create_steps), .forward = false,
	.failed = create_failed,
};

/* ---- remove ---- */

json_t *storage_remove_data(struct engine *engine, const struct storage_domain *domain, const char *host_id, bool format, bool destroy)
{
	json_t *targets = storage_targets(engine->model, host_id ? host_id : "", domain->connections);

	return json_pack("{s:s?, s:o, s:s, s:s, s:b, s:b}", "host", host_id, "targets", targets, "name", domain->name, "before",
			 storage_domain_state_names[domain->state], "format", format, "destroy", destroy);
}

static bool edit_lock(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	struct flow *flow = data;
	int before = enum_value(storage_domain_state_names, flow_text(flow, "before"));

	if (domain->state == DOMAIN_LOCKED && flow_is_alone(flow, NULL))
		return false;
	if (domain->state != before) {
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s", domain->name, storage_domain_state_names[domain->state]);
		return false;
	}
	SET(domain, state, DOMAIN_LOCKED);
	return true;
}

static bool remove_lock(struct flow *flow, GError **error)
{
	struct storage_domain *domain = storage_flow_domain(flow, NULL);
	bool there = domain != NULL;

	record_unref(domain);
	if (there && !store_modify(flow->engine->store, &storage_domain_kind, flow->object_id, edit_lock, flow, NULL, error))
		return false;
	json_object_set_new(flow->data, "locked", json_true());
	return true;
}

static bool edit_unlock(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	struct flow *flow = data;
	int before = enum_value(storage_domain_state_names, flow_text(flow, "before"));

	if (domain->state != DOMAIN_LOCKED || before < 0)
		return false;
	SET(domain, state, before);
	return true;
}

static bool remove_unlock(struct flow *flow, GError **error)
{
	return !flow_flag(flow, "locked") || store_modify(flow->engine->store, &storage_domain_kind, flow->object_id, edit_unlock, flow, NULL, error);
}

static bool remove_erase(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);

	return !flow_flag(flow, "format") || flow_flag(flow, "destroy") ||
	       (connect_all(&call, targets_of(flow), error) && storage_format(&call, flow->object_id, error));
}

/* A link that stays behind does no harm: the directory can be connected again. */
static bool remove_disconnect(struct flow *flow, GError **error)
{
	const struct storage_call call = storage_flow_call(flow);
	g_autoptr(GError) own = NULL;

	if (!flow_flag(flow, "destroy") && call.host_id && !storage_flow_disconnect(flow, &call, targets_of(flow), &own))
		log_warn("storage domain %s: its storage stays connected: %s, ignoring", flow->object_id, own->message);
	return true;
}

static bool remove_forget(struct flow *flow, GError **error)
{
	struct storage_domain *domain = storage_flow_domain(flow, NULL);
	g_autofree char *data_center = domain ? g_strdup(domain->data_center.id) : NULL;
	struct change *change;
	bool ok;

	if (!domain)
		return true;
	change = change_new(flow->engine->store);
	if (flow_flag(flow, "destroy")) {
		g_autoptr(GPtrArray) domains = g_ptr_array_new();

		g_ptr_array_add(domains, domain->id);
		if (!domain_content_forget(flow->engine->model, change, domains, &flow->actor, NULL, error)) {
			change_free(change);
			record_unref(domain);
			return false;
		}
	}
	change_remove(change, domain);
	storage_drop_connections(flow->engine->model, change, domain->connections, domain->id);
	change_event(change, EVENT_REMOVED, &flow->actor, (void *[]){ domain, NULL }, "Storage Domain %s was removed by %s", domain->name, flow_user(flow));
	ok = change_commit(change, error);
	record_unref(domain);
	if (ok && data_center)
		storage_follow(flow->engine, data_center);
	return ok;
}

static void remove_failed(struct flow *flow, const GError *cause)
{
	store_event(flow->engine->store, EVENT_REMOVE_FAILED, &flow->actor, NULL, "Failed to remove Storage Domain %s. (User: %s): %s", flow_text(flow, "name"),
		    flow_user(flow), cause->message);
}

static const struct flow_step remove_steps[] = {
	{ "lock", remove_lock, remove_unlock },
	{ "erase", remove_erase, NULL },
	{ "disconnect", remove_disconnect, NULL },
	{ "forget", remove_forget, NULL },
};

const struct flow_type remove_domain_flow = {
	.name = "remove_domain", .kind = &storage_domain_kind, .steps = remove_steps, .n_steps = G_N_ELEMENTS(remove_steps), .forward = true,
	.failed = remove_failed,
};
