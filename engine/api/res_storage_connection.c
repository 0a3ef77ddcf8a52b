/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage connections (REST chapter 13), all of them and those of a storage domain. One that nothing uses may come and go; one that a storage domain uses
 * can be changed while the domain is detached or in maintenance, and cannot be removed. With a host the details are tried before they are stored.
 */
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/api/action.h"
#include "engine/api/res_data.h"
#include "engine/api/res_storage_connection.h"
#include "engine/api/res_storage_domain.h"
#include "engine/flow/agent.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/storage_target.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"

#define LOG_MODULE "api"

/* Codes of our own */
#define EVENT_ADDED 20340
#define EVENT_UPDATED 20341
#define EVENT_REMOVED 20342
#define EVENT_ATTACHED 20343
#define EVENT_DETACHED 20344

/* ---- rules ---- */

static bool is_missing(GString *names, const char *member, const char *name)
{
	if (!member)
		g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
	return !member;
}

static bool check_details(struct storage_connection *connection, GError **error)
{
	g_autoptr(GString) names = g_string_new(NULL);
	const char *port = HAS(connection, port) ? "" : NULL;

	if (connection->type == CONNECTION_LOCAL)
		SET(connection, type, STORAGE_LOCALFS);
	switch (connection->type) {
	case STORAGE_ISCSI:
		(void)is_missing(names, connection->address, "address");
		(void)is_missing(names, port, "port");
		(void)is_missing(names, connection->target, "target");
		break;
	case STORAGE_FCP:
		error_set(error, ERR_OPERATION_FAILED, "storage_connection: type: fcp needs no connection: the host's adapters see the storage");
		return false;
	case STORAGE_GLANCE:
		error_set(error, ERR_OPERATION_FAILED, "storage_connection: type: glance needs no connection: an image service is added to openstackimageproviders");
		return false;
	case STORAGE_NFS:
		(void)is_missing(names, connection->address, "address");
		(void)is_missing(names, connection->path, "path");
		break;
	default:
		(void)is_missing(names, connection->path, "path");
		if (connection->type == STORAGE_POSIXFS)
			(void)is_missing(names, connection->vfs_type, "vfsType");
	}
	if (names->len)
		error_set(error, ERR_INCOMPLETE, "StorageConnection [%s] required for add", names->str);
	return !names->len;
}

bool storage_connection_same(const struct storage_connection *a, const struct storage_connection *b)
{
	if (a->type != b->type || g_strcmp0(a->address, b->address))
		return false;
	return a->type == STORAGE_ISCSI ? a->port == b->port && !g_strcmp0(a->target, b->target) && !g_strcmp0(a->username, b->username) :
					  !g_strcmp0(a->path, b->path);
}

struct storage_connection *storage_connection_twin(struct model *model, const struct storage_connection *connection)
{
	g_autoptr(GPtrArray) all = model_list(model, &storage_connection_kind);

	for (guint i = 0; i < all->len; i++)
		if (g_strcmp0(object_id(all->pdata[i]), connection->id) && storage_connection_same(all->pdata[i], connection))
			return record_ref(all->pdata[i]);
	return NULL;
}

/* Run by the writer. A directory of a host may be that of several: which host it is only the domain says. */
static bool check_twin(struct model *model, void *data, GError **error)
{
	const struct storage_connection *connection = data;
	struct storage_connection *twin = connection->type == STORAGE_LOCALFS ? NULL : storage_connection_twin(model, connection);

	if (twin)
		error_set(error, ERR_OPERATION_FAILED, "storage connection '%s' has the same %s", twin->id,
			  twin->type == STORAGE_ISCSI ? "address, port, target and username" : "address and path");
	record_unref(twin);
	return !twin;
}

/* ---- a host tries it ---- */

static bool try_on(struct request *request, const struct ref *named, const struct storage_connection *connection, bool connect, GError **error)
{
	struct host *host = storage_named_host(request, named, error);
	bool ok = false;
	json_t *target;

	if (!host)
		return false;
	if (host->state != HOST_UP) {
		error_set(error, ERR_WRONG_STATE, "host '%s' is %s: only a host that is up can %s", host->name, host_state_names[host->state],
			  connect ? "connect to storage" : "end a connection");
	} else {
		const struct storage_call call = { request->engine, host->id, request->actor.correlation_id, AGENT_PATIENCE_NONE };

		target = storage_target_for(request->engine->model, host->id, connection);
		ok = connect ? storage_connect(&call, target, error) : storage_disconnect(&call, target, error);
		json_decref(target);
		if (!ok)
			error_wrap(error, "host '%s'", host->name);
	}
	record_unref(host);
	return ok;
}

static bool is_named(const struct ref *host)
{
	return host->id || host->name;
}

/* ---- add ---- */

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct storage_connection *connection = input;
	g_autofree char *host_id = g_strdup(connection->host.id), *host_name = g_strdup(connection->host.name);
	const struct ref host = { host_id, host_name };
	struct change *change;

	if (!check_details(connection, error) || !check_twin(request->engine->model, connection, error))
		return false;
	set_ref(&connection->host, NULL);
	connection->id = g_uuid_string_random();
	if (is_named(&host) && !try_on(request, &host, connection, /* connect= */ true, error))
		return false;
	change = change_new(request->engine->store);
	change_check(change, check_twin, connection);
	change_add(change, connection);
	request_event(request, change, EVENT_ADDED, connection, "added");
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(connection);
	return true;
}

/* ---- update ---- */

void storage_domain_copy(struct storage_domain *domain, const struct storage_connection *connection)
{
	set_string(&domain->address, connection->address);
	set_string(&domain->path, connection->path);
	set_string(&domain->vfs_type, connection->vfs_type);
	set_string(&domain->mount_options, connection->mount_options);
	set_string(&domain->nfs_version, connection->nfs_version);
	CLEAR(domain, nfs_timeo);
	CLEAR(domain, nfs_retrans);
	if (HAS(connection, nfs_timeo))
		SET(domain, nfs_timeo, connection->nfs_timeo);
	if (HAS(connection, nfs_retrans))
		SET(domain, nfs_retrans, connection->nfs_retrans);
}

static GPtrArray *users_of(struct model *model, const char *connection_id)
{
	GPtrArray *domains = model_list(model, &storage_domain_kind);

	for (guint i = domains->len; i > 0; i--)
		if (!storage_domain_uses(domains->pdata[i - 1], connection_id))
			g_ptr_array_remove_index(domains, i - 1);
	return domains;
}

struct update_check { const struct storage_connection *connection; bool force; };

/* Run by the writer. */
static bool check_users(struct model *model, void *data, GError **error)
{
	const struct update_check *check = data;
	g_autoptr(GPtrArray) domains = users_of(model, check->connection->id);

	for (guint i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		if (domain->state == DOMAIN_UNATTACHED || domain->state == DOMAIN_MAINTENANCE || domain->state == DOMAIN_INACTIVE ||
		    (check->force && check->connection->type != STORAGE_ISCSI && domain->state != DOMAIN_LOCKED))
			continue;
		error_set(error, ERR_WRONG_STATE, "storage domain '%s', which uses the connection, is %s: it must be in maintenance or detached", domain->name,
			  storage_domain_state_names[domain->state]);
		return false;
	}
	if (domains->len > 1 && check->connection->type != STORAGE_ISCSI) {
		error_set(error, ERR_OPERATION_FAILED, "storage domains '%s' and '%s' both use the connection", object_name(domains->pdata[0]),
			  object_name(domains->pdata[1]));
		return false;
	}
	return true;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	struct model *model = request->engine->model;
	const struct ref *host = &((const struct storage_connection *)input)->host;
	struct storage_connection *connection = changed;
	struct update_check check = { connection, request_flag(request, "force") };
	g_autoptr(GPtrArray) domains = users_of(model, connection->id);
	struct change *change;

	set_ref(&connection->host, NULL);
	if (!check_details(connection, error) || !check_users(model, &check, error) || !check_twin(model, connection, error) ||
	    (is_named(host) && !try_on(request, host, connection, /* connect= */ true, error)))
		return false;
	change = change_new(request->engine->store);
	change_check(change, check_users, &check);
	change_check(change, check_twin, connection);
	change_replace(change, current, connection);
	for (guint i = 0; i < domains->len; i++) {
		struct storage_domain *copy = record_copy(domains->pdata[i]);

		if (connection->type != STORAGE_ISCSI)
			storage_domain_copy(copy, connection);
		change_replace(change, domains->pdata[i], copy);
		record_unref(copy);
	}
	request_event(request, change, EVENT_UPDATED, connection, "updated");
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(connection);
	return true;
}

/* ---- remove ---- */

/* <host id=""/>, <host><name/></host>, or <action><host/></action> */
struct remove_connection { struct record record; char *id, *name; struct ref host; bool async; };
static const struct field remove_fields[] = {
	FIELD_STRING_(struct remove_connection, id, "@id", CREATE, "id of the host that ends the connection", .max = 64),
	FIELD_STRING_(struct remove_connection, name, "name", CREATE, "or its name", .max = 255),
	FIELD_REF_(struct remove_connection, host, "host", CREATE | WEAK, "hosts", "the same inside <action>"),
	FIELD_BOOL_(struct remove_connection, async, "async", CREATE, "answer 202 at once"),
};
static const struct record_type remove_type = RECORD_TYPE("host", NULL, struct remove_connection, remove_fields, "Which host ends the connection");

static bool check_unused(struct model *model, void *data, GError **error)
{
	const struct storage_connection *connection = data;
	g_autofree char *user = storage_connection_user(model, connection, /* except= */ NULL);

	if (user)
		error_set(error, ERR_OPERATION_FAILED, "storage connection '%s' cannot be removed: %s uses it", connection->id, user);
	return !user;
}

static bool remove_(struct request *request, const void *current, const void *options, GError **error)
{
	const struct remove_connection *how = options;
	const struct ref host = how ? (how->host.id || how->host.name ? how->host : (struct ref){ how->id, how->name }) : (struct ref){ NULL, NULL };
	struct change *change;

	if (!check_unused(request->engine->model, (void *)current, error) ||
	    (is_named(&host) && !try_on(request, &host, current, /* connect= */ false, error)))
		return false;
	change = change_new(request->engine->store);
	change_check(change, check_unused, (void *)current);
	change_remove(change, current);
	request_event(request, change, EVENT_REMOVED, (void *)current, "removed");
	return change_commit(change, error);
}

const struct resource resource_storage_connection = {
	.kind = &storage_connection_kind, .path = "storageconnections", .methods = RESOURCE_ALL, .links = no_links, .permit_add = "create_storage_domain",
	.permit_update = "edit_storage_domain_configuration", .permit_remove = "delete_storage_domain", .doc = "How storage is reached", .add = add,
	.update = update, .remove_params = &remove_type, .remove = remove_,
};

/* ---- of a storage domain ---- */

static GPtrArray *domain_list(struct request *request, GError **error)
{
	const struct storage_domain *domain = request->parent;
	GPtrArray *list = list_new();

	for (guint i = 0; domain->connections && i < domain->connections->len; i++) {
		void *connection = model_get(request->engine->model, &storage_connection_kind, object_id(domain->connections->pdata[i]));

		if (connection)
			g_ptr_array_add(list, connection);
	}
	return list;
}

struct linking { struct request *request; const struct storage_connection *connection; bool attach; };

static bool check_link(const struct storage_domain *domain, const struct linking *linking, GError **error)
{
	if (domain->storage_type != STORAGE_ISCSI)
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is on %s storage: only iSCSI domains have several connections", domain->name,
			  storage_type_names[domain->storage_type]);
	else if (domain->state != DOMAIN_MAINTENANCE && domain->state != DOMAIN_UNATTACHED)
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s: it must be in maintenance or detached", domain->name,
			  storage_domain_state_names[domain->state]);
	else if (linking->connection->type != STORAGE_ISCSI)
		error_set(error, ERR_OPERATION_FAILED, "storage connection '%s' is of type %s", linking->connection->id,
			  storage_type_names[linking->connection->type]);
	else if (linking->attach && storage_domain_uses(domain, linking->connection->id))
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' has the storage connection '%s' already", domain->name, linking->connection->id);
	else
		return true;
	return false;
}

static bool edit_link(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	const struct linking *linking = data;
	GPtrArray *connections;

	if (!check_link(domain, linking, error))
		return false;
	connections = list_new();
	for (guint i = 0; domain->connections && i < domain->connections->len; i++)
		if (g_strcmp0(object_id(domain->connections->pdata[i]), linking->connection->id))
			g_ptr_array_add(connections, record_ref(domain->connections->pdata[i]));
	if (linking->attach) {
		struct object_ref *ref = list_add(&connections, &object_ref_type);

		set_string(&ref->id, linking->connection->id);
	}
	CLEAR(domain, connections);
	domain->connections = connections;
	change_event(change, linking->attach ? EVENT_ATTACHED : EVENT_DETACHED, &linking->request->actor, (void *[]){ domain, NULL },
		     linking->attach ? "Storage connection %s was attached to Storage Domain %s by %s." : "Storage connection %s was detached from Storage Domain %s by %s.",
		     linking->connection->id, domain->name, linking->request->actor.user_name);
	return true;
}

static bool link_domain(struct request *request, const struct storage_connection *connection, bool attach, GError **error)
{
	struct linking linking = { request, connection, attach };

	return store_modify(request->engine->store, &storage_domain_kind, object_id(request->parent), edit_link, &linking, NULL, error);
}

static bool domain_add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct storage_connection *connection = model_get(request->engine->model, &storage_connection_kind, object_id(input));

	if (!connection)
		error_set(error, ERR_NOT_FOUND, "storage_connection '%s'", object_id(input));
	if (connection && link_domain(request, connection, /* attach= */ true, error)) {
		*ret_record = connection;
		return true;
	}
	record_unref(connection);
	return false;
}

static bool domain_remove(struct request *request, const void *current, const void *options, GError **error)
{
	return link_domain(request, current, /* attach= */ false, error);
}

const struct resource resource_storage_domain_connection = {
	.kind = &storage_connection_kind, .type = &attached_connection_type, .path = "storageconnections", .parent = &resource_storage_domain,
	.methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links, .permit_add = "edit_storage_domain_configuration",
	.permit_remove = "edit_storage_domain_configuration", .doc = "How the storage domain is reached", .list = domain_list, .add = domain_add,
	.remove = domain_remove,
};
