/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage domains (REST chapter 12): in files on NFS, POSIX and Gluster file systems, in a directory of one host, in a volume group on LUNs (domain_luns.c).
 * A request without a name imports what is on storage in files; one with an id and <import> what is on LUNs.
 *
 * The state is shown at the top level only as long as the domain is in no data center; what it is there its data center shows (res_attached_domain.c).
 */
#include "engine/api/res_storage_domain.h"

#include <string.h>

#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/domain_luns.h"
#include "engine/api/res_data.h"
#include "engine/api/res_disk.h"
#include "engine/api/res_host.h"
#include "engine/api/res_storage_connection.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/pool_calls.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/storage_target.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/disk.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/permission.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define LOG_MODULE "api"

/* Event codes */
#define EVENT_UPDATED 958

/* ---- shown ---- */

void storage_domain_fill(struct request *request, struct storage_domain *shown)
{
	if (shown->type != DOMAIN_IMAGE)
		domain_sizes_want(request->engine, shown);
	SET(shown, committed, domain_committed(request->engine->model, shown->id));
	if (!HAS(shown, available))
		SET(shown, available, 0);
	if (!HAS(shown, used))
		SET(shown, used, 0);
	if (!HAS(shown, master))
		SET(shown, master, false);
}

static void *view(struct request *request, void *record)
{
	struct storage_domain *shown = record_copy(record);

	storage_domain_fill(request, shown);
	if (shown->data_center.id) {
		CLEAR(shown, state);
		CLEAR(shown, state_detail);
		set_string(&((struct object_ref *)list_add(&shown->data_centers, &object_ref_type))->id, shown->data_center.id);
	}
	CLEAR(shown, data_center);
	return shown;
}

/* ---- create ---- */

struct host *storage_named_host(struct request *request, const struct ref *ref, GError **error)
{
	struct model *model = request->engine->model;
	struct host *host = ref->id ? model_get(model, &host_kind, ref->id) : ref->name ? model_find(model, &host_kind, NULL, ref->name) : NULL;

	if (!host)
		error_set(error, ERR_NOT_FOUND, "host: host '%.128s'", ref->id ? ref->id : ref->name ? ref->name : "");
	return host;
}

/* What the storage is: named by a connection that there is, or described. */
static bool take_connection(struct model *model, struct storage_domain *domain, struct storage_connection **ret_connection, GError **error)
{
	struct storage_connection *connection = model_get(model, &storage_connection_kind, domain->storage_id);

	if (!connection) {
		error_set(error, ERR_NOT_FOUND, "storage/@id: storage_connection '%s'", domain->storage_id);
		return false;
	}
	if (connection->type == STORAGE_ISCSI || connection->type == STORAGE_FCP) {
		error_set(error, ERR_OPERATION_FAILED, "storage/@id: storage connection '%s' is of type %s: only one to files can be named here", connection->id,
			  storage_type_names[connection->type]);
		record_unref(connection);
		return false;
	}
	SET(domain, storage_type, connection->type);
	storage_domain_copy(domain, connection);
	*ret_connection = connection;
	return true;
}

static bool is_empty(const char *text)
{
	return !text || !*text;
}

/* What says where it is, unless a connection is named. */
static void find_missing(const struct request *request, const void *input, GPtrArray *names)
{
	const struct storage_domain *domain = input;
	enum storage_type type = domain->storage_type;

	if (domain->storage_id)
		return;
	if (HAS(domain, storage_type) && storage_type_is_block(type)) {
		domain_luns_missing(domain, names);
		return;
	}
	if (!HAS(domain, storage_type))
		g_ptr_array_add(names, g_strdup("storage.type"));
	else if (type == STORAGE_NFS && is_empty(domain->address))
		g_ptr_array_add(names, g_strdup("storage.address"));
	if (is_empty(domain->path))
		g_ptr_array_add(names, g_strdup("storage.path"));
	if (HAS(domain, storage_type) && type == STORAGE_POSIXFS && is_empty(domain->vfs_type))
		g_ptr_array_add(names, g_strdup("storage.vfsType"));
}

/* A domain that stands for an image service is what that is. */
static bool check_own(const struct storage_domain *domain, const char *what, GError **error)
{
	if (domain->type == DOMAIN_IMAGE)
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' stands for an image service: it is %s with that (openstackimageproviders)", domain->name,
			  what);
	return domain->type != DOMAIN_IMAGE;
}

static bool check_kind(const struct storage_domain *domain, GError **error)
{
	if (storage_type_is_block(domain->storage_type) && domain->type != DOMAIN_DATA) {
		error_set(error, ERR_OPERATION_FAILED, "type: '%s' needs storage in files, not %s", storage_domain_flavor_names[domain->type],
			  storage_type_names[domain->storage_type]);
		return false;
	}
	if (domain->type == DOMAIN_IMAGE || domain->storage_type == STORAGE_GLANCE) {
		error_set(error, ERR_OPERATION_FAILED, "type: 'image' on storage of type glance comes with its image service: add that to openstackimageproviders");
		return false;
	}
	if (domain->storage_type == STORAGE_LOCALFS && domain->type != DOMAIN_DATA && domain->type != DOMAIN_ISO) {
		error_set(error, ERR_OPERATION_FAILED, "type: 'export' is for storage that other hosts reach, too");
		return false;
	}
	return true;
}

/* Local storage needs a data center of its kind. */
static bool check_host(struct model *model, const struct storage_domain *domain, const struct host *host, GError **error)
{
	struct cluster *cluster = model_get(model, &cluster_kind, host->cluster.id);
	struct datacenter *data_center = cluster && cluster->data_center.id ? model_get(model, &datacenter_kind, cluster->data_center.id) : NULL;
	bool ok = false;

	if (host->state != HOST_UP)
		error_set(error, ERR_WRONG_STATE, "host '%s' is %s: a storage domain can be made only by a host that is up", host->name, host_state_names[host->state]);
	else if (!data_center)
		error_set(error, ERR_OPERATION_FAILED, "cluster '%s' of host '%s' is in no data center", cluster ? cluster->name : "?", host->name);
	else if (domain->storage_type == STORAGE_LOCALFS && !data_center->local)
		error_set(error, ERR_OPERATION_FAILED, "host '%s' is in data center '%s', whose storage is shared: local storage needs a data center that is local",
			  host->name, data_center->name);
	else
		ok = true;
	record_unref(data_center);
	record_unref(cluster);
	return ok;
}

/* A connection with the same details that there is, else a new one, not yet stored. */
static struct storage_connection *connection_for(struct model *model, const struct storage_domain *domain, bool *ret_new)
{
	struct storage_connection *connection = record_new(&storage_connection_type), *same;

	SET(connection, type, domain->storage_type);
	set_string(&connection->address, domain->address);
	set_string(&connection->path, domain->path);
	set_string(&connection->vfs_type, domain->vfs_type);
	set_string(&connection->mount_options, domain->mount_options);
	set_string(&connection->nfs_version, domain->nfs_version);
	if (HAS(domain, nfs_timeo))
		SET(connection, nfs_timeo, domain->nfs_timeo);
	if (HAS(domain, nfs_retrans))
		SET(connection, nfs_retrans, domain->nfs_retrans);
	/* a directory of one host is not that of another by the same name */
	same = domain->storage_type == STORAGE_LOCALFS ? NULL : storage_connection_twin(model, connection);
	*ret_new = !same;
	if (same)
		record_unref(connection);
	else
		connection->id = g_uuid_string_random();
	return same ? same : connection;
}

/* A request without a name takes what is on the storage: its id, name and kind come from there. */
static bool take_existing(struct request *request, struct storage_domain *domain, const json_t *target, GError **error)
{
	const struct storage_call call = { request->engine, domain->host.id, request->actor.correlation_id, AGENT_PATIENCE_NONE };
	g_autofree char *id = NULL, *name = NULL, *flavor = NULL;
	struct storage_domain *known;
	bool ok;

	if (!storage_connect(&call, target, error))
		return false;
	ok = storage_look(&call, target, &id, &name, &flavor, error);
	known = id ? model_get(request->engine->model, &storage_domain_kind, id) : NULL;
	if (ok && !id) {
		error_set(error, ERR_INCOMPLETE, "StorageDomain [name] required for add");
		ok = false;
	} else if (known) {
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is known already", known->name);
		ok = false;
	} else if (ok && g_strcmp0(flavor, storage_domain_flavor_names[domain->type])) {
		error_set(error, ERR_OPERATION_FAILED, "type: what is there is of type %s", flavor ? flavor : "unknown");
		ok = false;
	}
	if (!ok && !known && !storage_disconnect(&call, target, NULL))
		log_debug("'%s' stays connected, ignoring", domain->path);
	if (ok) {
		set_string(&domain->id, id);
		if (!domain->name)
			set_string(&domain->name, name && *name ? name : id);
	}
	record_unref(known);
	return ok;
}

/* plan: how it is reached, taken from */
static bool run_create(struct request *request, struct storage_domain *domain, struct domain_plan *plan, bool import, GError **error)
{
	CLEAR(domain, import);
	CLEAR(domain, storage_id);
	CLEAR(domain, connections);
	for (guint i = 0; i < plan->connection_ids->len; i++) {
		struct object_ref *ref = list_add(&domain->connections, &object_ref_type);

		set_string(&ref->id, plan->connection_ids->pdata[i]);
	}
	return storage_place_is_free(request->engine->model, domain, error) &&
	       flow_run(request->engine, &create_domain_flow, domain->id, &request->actor,
			storage_create_data(domain, json_incref(plan->targets), plan->connections, import), NULL, error);
}

static bool add_in_files(struct request *request, struct storage_domain *domain, struct storage_connection *known, GError **error)
{
	bool import = !domain->name || domain->import, new = false, ok;
	g_autofree char *wanted = import ? g_steal_pointer(&domain->id) : NULL;
	struct storage_connection *connection = known ? record_ref(known) : connection_for(request->engine->model, domain, &new);
	struct domain_plan plan = domain_plan_new();

	g_ptr_array_add(plan.connection_ids, g_strdup(connection->id));
	json_array_append_new(plan.targets, storage_target(connection));
	if (new)
		g_ptr_array_add(plan.connections, record_ref(connection));
	set_string(&domain->id, NULL);
	ok = !import || take_existing(request, domain, json_array_get(plan.targets, 0), error);
	if (ok && wanted && strcmp(wanted, domain->id)) {
		error_set(error, ERR_OPERATION_FAILED, "@id: what is there is storage domain '%s', not '%s'", domain->id, wanted);
		ok = false;
	}
	if (ok && !domain->id)
		domain->id = g_uuid_string_random();
	ok = ok && run_create(request, domain, &plan, import, error);
	domain_plan_clear(&plan);
	record_unref(connection);
	return ok;
}

static bool add_on_luns(struct request *request, struct storage_domain *domain, GError **error)
{
	struct domain_plan plan = domain_plan_new();
	const struct storage_call call = { request->engine, domain->host.id, request->actor.correlation_id, AGENT_PATIENCE_NONE };
	bool import = domain->import, ok;

	if (!import) {
		set_string(&domain->id, NULL);
		domain->id = g_uuid_string_random();
	}
	ok = domain_luns_plan(&call, domain->storage_type, domain->logical_units, &plan, error) &&
	     (!import || domain_luns_import(&call, domain, &plan, error)) && run_create(request, domain, &plan, import, error);
	domain_plan_clear(&plan);
	return ok;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct storage_domain *domain = input;
	struct model *model = request->engine->model;
	struct storage_connection *connection = NULL;
	g_autofree char *path = NULL;
	struct host *host = NULL;
	bool ok;

	if ((domain->storage_id && !take_connection(model, domain, &connection, error)) || !check_kind(domain, error) ||
	    !(host = storage_named_host(request, &domain->host, error))) {
		record_unref(connection);
		return false;
	}
	/* As the agent will see it; an odd one goes to the agent as it is, and is refused there. */
	if (!connection && domain->storage_type == STORAGE_LOCALFS && domain->path[0] == '/') {
		path = g_canonicalize_filename(domain->path, "/");
		set_string(&domain->path, path);
	}
	set_ref(&domain->host, host->id);
	if (domain->storage_type == STORAGE_LOCALFS)
		set_ref(&domain->local_host, host->id);
	SET(domain, master, false);
	SET(domain, state, DOMAIN_LOCKED);
	ok = check_host(model, domain, host, error);
	record_unref(host);
	ok = ok && (storage_type_is_block(domain->storage_type) ? add_on_luns(request, domain, error) : add_in_files(request, domain, connection, error));
	record_unref(connection);
	if (!ok)
		return false;
	*ret_record = model_get(model, &storage_domain_kind, domain->id);
	if (!*ret_record)
		error_set(error, ERR_NOT_FOUND, "storage domain '%s' was removed meanwhile", domain->name);
	return *ret_record != NULL;
}

/* ---- update ---- */

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	struct storage_domain *domain = changed;
	struct change *change;

	if (!check_own(domain, "changed", error))
		return false;
	if (storage_type_is_block(domain->storage_type)) {
		bool extended = false;

		if (!domain_luns_extend(request, current, domain, input, &extended, error))
			return false;
		if (extended) {
			*ret_record = model_get(request->engine->model, &storage_domain_kind, domain->id);
			return true;
		}
	} else if (domain->logical_units) {
		error_set(error, ERR_OPERATION_FAILED, "storage/logical_unit: storage domain '%s' is on %s storage, which has no LUNs", domain->name,
			  storage_type_names[domain->storage_type]);
		return false;
	}
	change = change_new(request->engine->store);
	change_replace(change, current, domain);
	change_event(change, EVENT_UPDATED, &request->actor, (void *[]){ domain, NULL }, "Storage Domain %s was updated by %s", domain->name,
		     request->actor.user_name);
	if (!change_commit(change, error))
		return false;
	*ret_record = model_get(request->engine->model, &storage_domain_kind, domain->id);
	return true;
}

/* ---- remove ---- */

/* <storage_domain><host id=""/><format>true</format><destroy>true</destroy></storage_domain> */
struct remove_domain { struct record record; bool async, format, destroy; struct ref host; };
static const struct field remove_fields[] = {
	FIELD_REF_(struct remove_domain, host, "host", CREATE | WEAK, "hosts", "host that does the work"),
	FIELD_BOOL_(struct remove_domain, format, "format", CREATE, "erase what is in it"),
	FIELD_BOOL_(struct remove_domain, destroy, "destroy", CREATE, "forget it and its disks; its data stay, untouched"),
	FIELD_BOOL_(struct remove_domain, async, "async", CREATE, "answer 202 at once"),
};
static const struct record_type remove_domain_type =
	RECORD_TYPE("storage_domain", NULL, struct remove_domain, remove_fields, "How to remove a storage domain");

/* "d1, d2 and 3 more"; NULL: none. g_free */
static char *disks_on(struct model *model, const char *domain_id, bool in_use)
{
	g_autoptr(GPtrArray) disks = model_list(model, &disk_kind);
	GString *names = g_string_new(NULL);
	unsigned n = 0;

	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];
		struct vm *vm;
		bool counts = !in_use;

		if (g_strcmp0(disk_domain(disk), domain_id))
			continue;
		if (in_use && disk->vm.id) {
			vm = model_get(model, &vm_kind, disk->vm.id);
			counts = vm && vm_is_running(vm);
			record_unref(vm);
		}
		if (counts && n++ < 3)
			g_string_append_printf(names, "%s'%s'", names->len ? ", " : "", disk_label(disk));
	}
	if (n > 3)
		g_string_append_printf(names, " and %u more", n - 3);
	return g_string_free(names, !n);
}

static bool check_remove(struct request *request, const struct storage_domain *domain, const struct remove_domain *how, GError **error)
{
	g_autofree char *disks = disks_on(request->engine->model, domain->id, how->destroy);
	struct host *host;

	if (domain->data_center.id && !how->destroy) {
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is attached to a data center (%s): detach it first", domain->name,
			  storage_domain_state_names[domain->state]);
		return false;
	}
	if (domain->state != DOMAIN_UNATTACHED && !(how->destroy && domain->state != DOMAIN_ACTIVE && domain->state != DOMAIN_LOCKED)) {
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s", domain->name, storage_domain_state_names[domain->state]);
		return false;
	}
	if (disks) {
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' holds disks%s: %s", domain->name, how->destroy ? " of running VMs" : "", disks);
		return false;
	}
	if (how->destroy)
		return true;
	if (!how->host.id && !how->host.name) {
		error_set(error, ERR_INCOMPLETE, "StorageDomain [host.id|name] required for remove");
		return false;
	}
	if (!(host = storage_named_host(request, &how->host, error)))
		return false;
	if (domain->local_host.id && g_strcmp0(host->id, domain->local_host.id))
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is a directory of another host than '%s'", domain->name, host->name);
	else if (host->state != HOST_UP)
		error_set(error, ERR_WRONG_STATE, "host '%s' is %s: it cannot remove a storage domain", host->name, host_state_names[host->state]);
	else {
		record_unref(host);
		return true;
	}
	record_unref(host);
	return false;
}

static bool remove_domain(struct request *request, const void *current, const void *options, GError **error)
{
	const struct storage_domain *domain = current;
	const struct remove_domain *how = options;
	struct host *host;
	bool ok;

	if (!check_own(domain, "removed", error))
		return false;
	if (!how) {
		error_set_literal(error, ERR_INCOMPLETE, "storage-domain parameter is missing");
		return false;
	}
	if (!check_remove(request, domain, how, error))
		return false;
	host = how->host.id || how->host.name ? storage_named_host(request, &how->host, NULL) : NULL;
	ok = flow_run(request->engine, &remove_domain_flow, domain->id, &request->actor,
		      storage_remove_data(request->engine, domain, host ? host->id : domain->local_host.id, how->format, how->destroy), NULL, error);
	record_unref(host);
	return ok;
}

/* ---- is it attached? ---- */

struct attached_action { ACTION_MEMBERS struct ref host; bool is_attached; };
static const struct field attached_fields[] = {
	ACTION_FIELDS(struct attached_action),
	FIELD_REF_(struct attached_action, host, "host", CREATE | REQUIRED, "hosts", "host that looks"),
	FIELD_BOOL_(struct attached_action, is_attached, "is_attached", READ_ONLY, "the storage says that it belongs to a data center"),
};
static const struct record_type attached_action_type =
	RECORD_TYPE("action", NULL, struct attached_action, attached_fields, "Which host looks at the storage");

/* Not what this engine thinks: the domain may be in another engine's data center. */
static bool is_attached(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct storage_domain *domain = object;
	const struct attached_action *how = params;
	struct host *host = storage_named_host(request, &how->host, error);
	const struct storage_call call = { request->engine, host ? host->id : NULL, request->actor.correlation_id, AGENT_PATIENCE_NONE };
	bool shared = !domain->local_host.id, ok = host && host_check_up(host, error);
	json_t *targets = ok && shared ? storage_targets(request->engine->model, host->id, domain->connections) : NULL, *target;
	g_autofree char *pool = NULL;
	size_t i;

	if (ok && !shared && g_strcmp0(host->id, domain->local_host.id)) {
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is a directory of another host than '%s'", domain->name, host->name);
		ok = false;
	}
	json_array_foreach(targets, i, target)
		ok = ok && storage_connect(&call, target, error);
	ok = ok && pool_of_domain(&call, domain->id, &pool, error);
	/* a host that uses the domain stays connected: the agent sees to that */
	json_array_foreach(targets, i, target)
		if (domain->state != DOMAIN_ACTIVE && !storage_disconnect(&call, target, NULL))
			log_debug("storage domain %s stays connected to host %s, ignoring", domain->id, host->id);
	if (ok) {
		struct attached_action *result = record_copy(how);

		SET(result, is_attached, pool && *pool);
		*ret_result = result;
	}
	json_decref(targets);
	record_unref(host);
	return ok;
}

static const struct action domain_actions[] = {
	{ "refreshluns", &refresh_luns_type, domain_luns_refresh, "edit_storage_domain_configuration", "Takes LUNs of the domain that have grown to their end" },
	{ "isattached", &attached_action_type, is_attached, "manipulate_storage_domain", "Asks the storage whether the domain belongs to a data center" },
	{ 0 },
};

/* Which sub-collections a domain has depends on what it holds. */
static char *domain_link(struct request *request, const void *record, const char *rel)
{
	enum { STORED = 1u << DOMAIN_DATA | 1u << DOMAIN_ISO | 1u << DOMAIN_EXPORT };
	static const struct { const char *rel; unsigned types; } rows[] = {
		{ "disks", 1u << DOMAIN_DATA | 1u << DOMAIN_EXPORT }, { "disksnapshots", 1u << DOMAIN_DATA }, { "diskprofiles", 1u << DOMAIN_DATA },
		{ "files", 1u << DOMAIN_ISO | 1u << DOMAIN_DATA }, { "vms", 1u << DOMAIN_EXPORT }, { "templates", 1u << DOMAIN_EXPORT }, { "images", 1u << DOMAIN_IMAGE },
		{ "storageconnections", STORED }, { "refreshluns", 1u << DOMAIN_DATA }, { "isattached", STORED },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (!strcmp(rows[i].rel, rel) && !(rows[i].types >> ((const struct storage_domain *)record)->type & 1))
			return NULL;
	return g_strdup("");
}

const struct resource resource_storage_domain = {
	.kind = &storage_domain_kind, .path = "storagedomains", .methods = RESOURCE_ALL, .link = domain_link, .actions = domain_actions,
	.permit_add = "create_storage_domain", .permit_update = "edit_storage_domain_configuration", .permit_remove = "delete_storage_domain",
	.doc = "Storage domains", .missing = find_missing, .view = view, .add = add, .update = update, .remove_params = &remove_domain_type,
	.remove = remove_domain,
};

const struct resource resource_storage_domain_permission = PERMISSION_RESOURCE(&resource_storage_domain);

/* ---- disks on it ---- */

static GPtrArray *disk_list(struct request *request, GError **error)
{
	g_autoptr(GPtrArray) disks = model_list(request->engine->model, &disk_kind);
	GPtrArray *here = list_new();

	for (guint i = 0; i < disks->len; i++)
		if (!g_strcmp0(disk_domain(disks->pdata[i]), object_id(request->parent)))
			g_ptr_array_add(here, record_ref(disks->pdata[i]));
	return here;
}

const struct resource resource_storage_domain_disk = {
	.kind = &disk_kind, .path = "disks", .parent = &resource_storage_domain, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links,
	.asynchronous = true, .permit_add = "create_disk", .permit_remove = "delete_disk", .doc = "Disks on a storage domain", .list = disk_list,
	.actions = disk_actions, .view = disk_view, .add = disk_add_on_domain, .finish = disk_finish, .remove = disk_remove,
};
