/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/storage_calls.h"

#include <inttypes.h>
#include <string.h>

#include "common/error.h"
#include "engine/flow/agent.h"
#include "proto/block.h"
#include "proto/volume.h"

#define VOLUME_SPARSE_MAX_S 600                  /* a task that writes no data */
#define VOLUME_MAX_S (24 * 3600)                 /* one that allocates or overwrites */
#define DOMAIN_TIMEOUT_S 120
#define CREATE_TIMEOUT_S 600                     /* on LUNs some hundred MiB are cleared, and a file system is made */

static bool ask(const struct storage_call *call, const char *verb, const void *params, int timeout_s, json_t **ret_result, GError **error)
{
	return agent_call_timed(call->engine, call->host_id, verb, params, call->flow_id, timeout_s, call->patience_s, ret_result, error);
}

/* True when error is this one: then it is forgotten. */
static bool forgive(GError **own, int code)
{
	if (!error_is(*own, code))
		return false;
	g_clear_error(own);
	return true;
}

static bool outcome(GError *own, GError **error)
{
	if (!own)
		return true;
	g_propagate_error(error, own);
	return false;
}

/* ---- connections ---- */

/* [{"id", "status", "message"?}]: the only one */
static bool connection_status(const json_t *answer, const char *verb, GError **error)
{
	const json_t *first = json_array_get(answer, 0), *status = json_object_get(first, "status");
	const char *message = json_string_value(json_object_get(first, "message"));
	int code = (int)json_integer_value(status);

	if (!json_is_integer(status)) {
		error_set(error, ERR_JSONRPC_INTERNAL, "%s: the agent's answer has no status", verb);
		return false;
	}
	if (code)
		error_set_literal(error, code, message ? message : error_info(code)->text);
	return !code;
}

static const struct { const char *name; enum storage_wire_type type; } wire_types[] = {
	{ "nfs", STORAGE_NFS }, { "posixfs", STORAGE_POSIXFS }, { "localfs", STORAGE_LOCALFS }, { "glusterfs", STORAGE_GLUSTERFS }, { "iscsi", STORAGE_ISCSI },
	{ "fcp", STORAGE_FCP },
};
static const struct { const char *name; enum storage_wire_class class_; const char *wire; } wire_classes[] = {
	{ "data", STORAGE_CLASS_DATA, "Data" }, { "iso", STORAGE_CLASS_ISO, "Iso" }, { "export", STORAGE_CLASS_BACKUP, "Backup" },
};

int storage_wire_type(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(wire_types); i++)
		if (!g_strcmp0(wire_types[i].name, name))
			return wire_types[i].type;
	return STORAGE_UNKNOWN;
}

static int wire_type(const json_t *target)
{
	return storage_wire_type(json_string_value(json_object_get(target, "type")));
}

/* What is mounted: a directory, or "server:directory"; g_free */
static char *source_of(const json_t *target)
{
	const char *address = json_string_value(json_object_get(target, "address")), *path = json_string_value(json_object_get(target, "path"));

	if (wire_type(target) == STORAGE_ISCSI)
		return g_strdup(address);
	return address ? g_strdup_printf("%s:%s", address, path ? path : "") : g_strdup(path ? path : "");
}

/* Texts and numbers alike go as texts. */
static void pass(json_t *wire, const char *name, const json_t *target, const char *key)
{
	const json_t *value = json_object_get(target, key);
	g_autofree char *text = json_is_integer(value) ? g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value)) : g_strdup(json_string_value(value));

	if (text)
		json_object_set_new(wire, name, json_string(text));
}

static json_t *wire_connection(const json_t *target)
{
	static const struct { const char *name, *key; } rows[] = {
		{ "id", "@id" }, { "vfs_type", "vfs_type" }, { "mnt_options", "mount_options" }, { "timeo", "nfs_timeo" }, { "retrans", "nfs_retrans" },
		{ "port", "port" }, { "iqn", "target" }, { "user", "username" }, { "password", "password" },
	};
	const char *version = json_string_value(json_object_get(target, "nfs_version"));
	g_autofree char *source = source_of(target);
	json_t *wire = json_pack("{s:s}", "connection", source);

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		pass(wire, rows[i].name, target, rows[i].key);
	if (version && strcmp(version, "auto"))
		json_object_set_new(wire, "protocol_version", json_string(!strcmp(version, "v3") ? "3" : !strcmp(version, "v4_1") ? "4.1" : "4"));
	return wire;
}

static bool connection_verb(const struct storage_call *call, const char *verb, const json_t *target, GError **error)
{
	struct connection_params *params = record_new(&connection_params_type);
	json_t *answer = NULL;
	bool ok;

	set_string(&params->pool_id, BLANK_UUID);
	SET(params, domain_type, wire_type(target));
	params->connections = json_pack("[o]", wire_connection(target));
	ok = ask(call, verb, params, DOMAIN_TIMEOUT_S, &answer, error) && connection_status(answer, verb, error);
	json_decref(answer);
	record_unref(params);
	return ok;
}

bool storage_connect(const struct storage_call *call, const json_t *target, GError **error)
{
	return connection_verb(call, "StoragePool.connectStorageServer", target, error);
}

bool storage_disconnect(const struct storage_call *call, const json_t *target, GError **error)
{
	return connection_verb(call, "StoragePool.disconnectStorageServer", target, error);
}

/* ---- domains ---- */

static bool create(const struct storage_call *call, const char *domain_id, const char *name, const char *flavor, int type, const char *place, GError **error)
{
	struct domain_create_params *params = record_new(&domain_create_params_type);
	GError *own = NULL;

	set_string(&params->domain_id, domain_id);
	set_string(&params->type_args, place);
	set_string(&params->name, name);
	SET(params, domain_type, type);
	for (size_t i = 0; i < G_N_ELEMENTS(wire_classes); i++)
		if (!g_strcmp0(wire_classes[i].name, flavor))
			SET(params, domain_class, wire_classes[i].class_);
	SET(params, version, 5);
	/* the id is ours: one that exists already was made by an earlier try */
	if (!ask(call, "StorageDomain.create", params, CREATE_TIMEOUT_S, NULL, &own))
		(void)forgive(&own, ERR_STORAGE_DOMAIN_ALREADY_EXISTS);
	record_unref(params);
	return outcome(own, error);
}

bool storage_create(const struct storage_call *call, const char *domain_id, const char *name, const char *flavor, const json_t *target, GError **error)
{
	g_autofree char *source = source_of(target);

	return create(call, domain_id, name, flavor, wire_type(target), source, error);
}

bool storage_create_in(const struct storage_call *call, const char *domain_id, const char *name, const char *type, const char *group, GError **error)
{
	return create(call, domain_id, name, "data", storage_wire_type(type), group, error);
}

bool storage_identify(const struct storage_call *call, const char *domain_id, char **ret_name, char **ret_flavor, GError **error)
{
	struct domain_id_params *which = record_new(&domain_id_params_type);
	json_t *info = NULL;
	const char *class_;
	bool ok;

	set_string(&which->domain_id, domain_id);
	ok = ask(call, "StorageDomain.getInfo", which, DOMAIN_TIMEOUT_S, &info, error);
	record_unref(which);
	if (!ok)
		return false;
	class_ = json_string_value(json_object_get(info, "class"));
	*ret_name = g_strdup(json_string_value(json_object_get(info, "name")));
	*ret_flavor = NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(wire_classes); i++)
		if (!g_strcmp0(wire_classes[i].wire, class_))
			*ret_flavor = g_strdup(wire_classes[i].name);
	json_decref(info);
	return true;
}

bool storage_look(const struct storage_call *call, const json_t *target, char **ret_id, char **ret_name, char **ret_flavor, GError **error)
{
	struct domain_list_params *params = record_new(&domain_list_params_type);
	json_t *found = NULL;
	bool ok;

	SET(params, storage_type, wire_type(target));
	params->remote_path = source_of(target);
	*ret_id = *ret_name = *ret_flavor = NULL;
	ok = ask(call, "Host.getStorageDomains", params, DOMAIN_TIMEOUT_S, &found, error);
	record_unref(params);
	*ret_id = ok ? g_strdup(json_string_value(json_array_get(found, 0))) : NULL;
	json_decref(found);
	ok = ok && (!*ret_id || storage_identify(call, *ret_id, ret_name, ret_flavor, error));
	if (!ok)
		g_clear_pointer(ret_id, g_free);
	return ok;
}

json_t *storage_files(const struct storage_call *call, const char *domain_id, GError **error)
{
	struct domain_change_params *params = record_new(&domain_file_stats_params_type);
	json_t *files = NULL;

	set_string(&params->domain_id, domain_id);
	set_string(&params->pattern, "*");
	SET(params, case_sensitive, false);
	(void)ask(call, "StorageDomain.getFileStats", params, AGENT_TIMEOUT_S, &files, error);
	record_unref(params);
	return files;
}

json_t *storage_discover(const struct storage_call *call, const char *address, int port, const char *username, const char *password, GError **error)
{
	struct discover_params *params = record_new(&discover_params_type);
	json_t *targets = NULL;

	set_string(&params->host, address);
	SET(params, port, port);
	set_string(&params->user, username ? username : "");
	set_string(&params->password, password ? password : "");
	(void)ask(call, "ISCSIConnection.discoverSendTargets", params, DOMAIN_TIMEOUT_S, &targets, error);
	record_unref(params);
	return targets;
}

bool storage_format(const struct storage_call *call, const char *domain_id, GError **error)
{
	struct domain_id_params *params = record_new(&domain_format_params_type);
	GError *own = NULL;

	set_string(&params->domain_id, domain_id);
	SET(params, auto_detach, false);
	if (!ask(call, "StorageDomain.format", params, DOMAIN_TIMEOUT_S, NULL, &own))
		(void)forgive(&own, ERR_STORAGE_DOMAIN_DOES_NOT_EXIST);
	record_unref(params);
	return outcome(own, error);
}

bool storage_pool_verb(const struct storage_call *call, const char *verb, const char *domain_id, const char *pool_id, bool force, GError **error)
{
	const struct { const char *verb; const struct record_type *type; int fine; } rows[] = {
		{ "StorageDomain.attach", &domain_attach_params_type, 0 },
		{ "StorageDomain.activate", &domain_attach_params_type, 0 },
		{ "StorageDomain.deactivate", &domain_deactivate_params_type, 0 },
		/* detached by an earlier try */
		{ "StorageDomain.detach", &domain_detach_params_type, ERR_STORAGE_DOMAIN_NOT_IN_POOL },
	};
	struct domain_pool_params *params = NULL;
	GError *own = NULL;
	int fine = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (!strcmp(rows[i].verb, verb)) {
			params = record_new(rows[i].type);
			fine = rows[i].fine;
		}
	g_assert(params);
	set_string(&params->domain_id, domain_id);
	set_string(&params->pool_id, pool_id);
	if (force)
		SET(params, force, true);
	if (!ask(call, verb, params, DOMAIN_TIMEOUT_S, NULL, &own) && fine)
		(void)forgive(&own, fine);
	record_unref(params);
	return outcome(own, error);
}

bool storage_sizes(const struct storage_call *call, const char *domain_id, int64_t *ret_total, int64_t *ret_free, GError **error)
{
	struct domain_id_params *params = record_new(&domain_id_params_type);
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct domain_stats *stats = NULL;
	json_t *answer = NULL;

	set_string(&params->domain_id, domain_id);
	if (ask(call, "StorageDomain.getStats", params, AGENT_TIMEOUT_S, &answer, error))
		stats = record_from_json(&domain_stats_type, answer, &input, error);
	record_input_clear(&input);
	json_decref(answer);
	record_unref(params);
	if (!stats)
		return false;
	*ret_total = stats->disk_total;
	*ret_free = stats->disk_free;
	record_unref(stats);
	return true;
}

/* ---- volumes ---- */

static struct volume_params *volume_params(const struct record_type *type, const struct volume_place *volume)
{
	struct volume_params *params = record_new(type);

	set_string(&params->volume_id, volume->volume_id);
	set_string(&params->pool_id, volume->pool_id);
	set_string(&params->domain_id, volume->domain_id);
	set_string(&params->image_id, volume->image_id);
	return params;
}

static struct volume_info *volume_info(const struct storage_call *call, const struct volume_place *volume, GError **error)
{
	struct volume_params *params = volume_params(&volume_id_params_type, volume);
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct volume_info *info = NULL;
	json_t *answer = NULL;

	if (ask(call, "Volume.getInfo", params, AGENT_TIMEOUT_S, &answer, error))
		info = record_from_json(&volume_info_type, answer, &input, error);
	record_input_clear(&input);
	json_decref(answer);
	record_unref(params);
	return info;
}

/* Was it made by an earlier try? */
static bool is_there(const struct storage_call *call, const struct volume_place *volume, GError **error)
{
	struct volume_info *info = volume_info(call, volume, error);

	record_unref(info);
	return info != NULL;
}

static bool create_once(const struct storage_call *call, const struct volume_place *volume, bool *ret_again, GError **error)
{
	struct volume_params *params = volume_params(&volume_create_params_type, volume);
	bool lost = false, ok;
	GError *own = NULL;

	params->size = g_strdup_printf("%" PRId64, volume->size);
	SET(params, format, volume->cow ? VOLUME_COW : VOLUME_RAW);
	SET(params, preallocate, volume->sparse ? VOLUME_SPARSE : VOLUME_PREALLOCATED);
	set_string(&params->disk_type, "DATA");
	set_string(&params->desc, volume->description ? volume->description : "");
	set_string(&params->src_image, BLANK_UUID);
	set_string(&params->src_volume, BLANK_UUID);
	ok = agent_task(call->engine, call->host_id, "Volume.create", params, call->flow_id, call->patience_s, volume->sparse ? VOLUME_SPARSE_MAX_S : VOLUME_MAX_S,
			&lost, &own);
	record_unref(params);
	if (!ok && (lost || error_is(own, ERR_VOLUME_ALREADY_EXISTS)) && is_there(call, volume, NULL)) {
		g_clear_error(&own);
		ok = true;
	}
	*ret_again = !ok && lost;
	return outcome(own, error);
}

bool volume_create(const struct storage_call *call, const struct volume_place *volume, GError **error)
{
	bool again = false;
	GError *own = NULL;

	if (is_there(call, volume, &own))
		return true;
	if (agent_is_away(own))
		return outcome(own, error);
	/* Whatever else is wrong shows when it is made. */
	g_clear_error(&own);
	if (create_once(call, volume, &again, &own))
		return true;
	if (!again)
		return outcome(own, error);
	/* The agent was restarted in the middle: it cleaned up, so begin anew. The second failure is the answer. */
	g_clear_error(&own);
	return create_once(call, volume, &again, error);
}

bool volume_remove(const struct storage_call *call, const struct volume_place *volume, GError **error)
{
	struct volume_params *params = volume_params(&volume_delete_params_type, volume);
	bool lost = true;
	GError *own = NULL;

	SET(params, post_zero, volume->wipe);
	SET(params, force, true);
	for (int i = 0; i < 2 && lost; i++) {
		g_clear_error(&own);
		if (!agent_task(call->engine, call->host_id, "Volume.delete", params, call->flow_id, call->patience_s, volume->wipe ? VOLUME_MAX_S : VOLUME_SPARSE_MAX_S,
				&lost, &own))
			(void)forgive(&own, ERR_VOLUME_DOES_NOT_EXIST);
	}
	record_unref(params);
	return outcome(own, error);
}

bool volume_sizes(const struct storage_call *call, const struct volume_place *volume, int64_t *ret_capacity, int64_t *ret_used, GError **error)
{
	struct volume_info *info = volume_info(call, volume, error);

	if (!info)
		return false;
	*ret_capacity = info->capacity;
	*ret_used = info->truesize;
	record_unref(info);
	return true;
}

bool volume_describe(const struct storage_call *call, const struct volume_place *volume, struct volume_facts *ret_facts, GError **error)
{
	struct volume_info *info = volume_info(call, volume, error);

	if (!info)
		return false;
	*ret_facts = (struct volume_facts){ .capacity = info->capacity, .used = info->truesize, .created_s = info->ctime, .cow = !g_strcmp0(info->format, "COW"),
					    .sparse = !g_strcmp0(info->type, "SPARSE"), .good = !g_strcmp0(info->status, "OK"),
					    .shared = !g_strcmp0(info->vol_type, "SHARED") };
	if (g_strcmp0(info->parent, BLANK_UUID))
		g_strlcpy(ret_facts->parent_id, info->parent ? info->parent : "", sizeof(ret_facts->parent_id));
	record_unref(info);
	return true;
}

bool volume_exists(const struct storage_call *call, const struct volume_place *volume, bool *ret_exists, GError **error)
{
	GError *own = NULL;

	*ret_exists = is_there(call, volume, &own);
	(void)(own && forgive(&own, ERR_VOLUME_DOES_NOT_EXIST));
	return outcome(own, error);
}

/* ---- copies ---- */

static struct endpoint *end_of(const struct volume_place *volume)
{
	struct endpoint *end = record_new(&endpoint_type);

	set_string(&end->type, "div");
	set_string(&end->domain_id, volume->domain_id);
	set_string(&end->image_id, volume->image_id);
	set_string(&end->volume_id, volume->volume_id);
	return end;
}

/* A new volume has generation 0, and its first job gives it the next: that is how a copy is seen to be done whose end nobody saw. */
static bool copy_is_done(const struct storage_call *call, const struct volume_place *to, bool *ret_done, GError **error)
{
	struct volume_info *info = volume_info(call, to, error);

	*ret_done = info && info->generation > 0;
	record_unref(info);
	return info != NULL;
}

static bool copy_once(const struct storage_call *call, const struct volume_place *from, const struct volume_place *to, const char *job_id, bool *ret_lost,
		      GError **error)
{
	struct sdm_params *params;
	bool done, ok;

	*ret_lost = false;
	if (!copy_is_done(call, to, &done, error) || done)
		return done;
	params = record_new(&sdm_copy_params_type);
	set_string(&params->job_id, job_id);
	set_string(&params->pool_id, to->pool_id);
	params->source = end_of(from);
	params->destination = end_of(to);
	SET(params->destination, generation, 0);
	ok = agent_job(call->engine, call->host_id, "SDM.copy_data", params, job_id, call->flow_id, call->patience_s, VOLUME_MAX_S, ret_lost, error);
	record_unref(params);
	return ok;
}

bool volume_copy(const struct storage_call *call, const struct volume_place *from, const struct volume_place *to, const char *job_id, GError **error)
{
	bool lost = true, ok = false;
	GError *own = NULL;

	/* a job that a restarted agent knows nothing of is begun once more */
	for (int i = 0; i < 2 && lost; i++) {
		g_clear_error(&own);
		ok = copy_once(call, from, to, job_id, &lost, &own);
	}
	return outcome(own, error) && ok;
}

static struct volume_call *share_params(const struct volume_place *volume, const struct web_place *place, const char *job_id)
{
	struct volume_call *params = record_new(&image_share_params_type);

	params->method = record_new(&image_method_type);
	set_string(&params->method->method, "http");
	set_string(&params->method->url, place->url);
	params->method->headers = json_deep_copy(place->headers);
	SET(params->method, length, place->length);
	set_string(&params->method->checksum, place->checksum);
	set_string(&params->pool_id, volume->pool_id);
	set_string(&params->domain_id, volume->domain_id);
	set_string(&params->image_id, volume->image_id);
	set_string(&params->volume_id, volume->volume_id);
	set_string(&params->job_id, job_id);
	return params;
}

static bool share_once(const struct storage_call *call, const char *verb, const struct volume_call *params, const struct volume_place *into, bool *ret_lost,
		       GError **error)
{
	bool done = false;

	*ret_lost = false;
	if (into && (!copy_is_done(call, into, &done, error) || done))
		return done;
	return agent_job(call->engine, call->host_id, verb, params, params->job_id, call->flow_id, call->patience_s, VOLUME_MAX_S, ret_lost, error);
}

/* into: the volume, when it is the one that is written */
static bool share(const struct storage_call *call, const char *verb, struct volume_call *params, const struct volume_place *into, GError **error)
{
	bool lost = true, ok = false;
	GError *own = NULL;

	for (int i = 0; i < 2 && lost; i++) {
		g_clear_error(&own);
		ok = share_once(call, verb, params, into, &lost, &own);
	}
	record_unref(params);
	return outcome(own, error) && ok;
}

bool volume_fetch(const struct storage_call *call, const struct web_place *from, const struct volume_place *to, const char *job_id, GError **error)
{
	return share(call, "Image.download", share_params(to, from, job_id), to, error);
}

bool volume_send(const struct storage_call *call, const struct volume_place *from, const struct web_place *to, const char *job_id, GError **error)
{
	return share(call, "Image.upload", share_params(from, to, job_id), NULL, error);
}

bool volume_copy_cancel(const struct storage_call *call, const char *job_id, GError **error)
{
	return agent_job_cancel(call->engine, call->host_id, job_id, call->flow_id, call->patience_s, error);
}

static void *merge_params(const struct record_type *type, const struct volume_merge *merge)
{
	struct sdm_params *params = record_new(type);

	set_string(&params->pool_id, merge->base.pool_id);
	params->subchain = record_new(&subchain_type);
	set_string(&params->subchain->domain_id, merge->base.domain_id);
	set_string(&params->subchain->image_id, merge->base.image_id);
	set_string(&params->subchain->base_id, merge->base.volume_id);
	set_string(&params->subchain->top_id, merge->top_id);
	return params;
}

static bool merge_task(const struct storage_call *call, const char *verb, const struct volume_merge *merge, GError **error)
{
	void *params = merge_params(&merge_task_params_type, merge);
	bool lost = true;
	GError *own = NULL;

	for (int i = 0; i < 2 && lost; i++) {
		g_clear_error(&own);
		(void)agent_task(call->engine, call->host_id, verb, params, call->flow_id, call->patience_s, VOLUME_MAX_S, &lost, &own);
	}
	record_unref(params);
	return outcome(own, error);
}

bool volume_merge_prepare(const struct storage_call *call, const struct volume_merge *merge, GError **error)
{
	return merge_task(call, "StoragePool.prepareMerge", merge, error);
}

bool volume_merge_data(const struct storage_call *call, const struct volume_merge *merge, const char *job_id, GError **error)
{
	struct sdm_params *params = merge_params(&sdm_merge_params_type, merge);
	bool lost = true;
	GError *own = NULL;

	set_string(&params->job_id, job_id);
	for (int i = 0; i < 2 && lost; i++) {
		g_clear_error(&own);
		(void)agent_job(call->engine, call->host_id, "SDM.merge", params, job_id, call->flow_id, call->patience_s, VOLUME_MAX_S, &lost, &own);
	}
	record_unref(params);
	return outcome(own, error);
}

bool volume_merge_finish(const struct storage_call *call, const struct volume_merge *merge, GError **error)
{
	return merge_task(call, "StoragePool.finalizeMerge", merge, error);
}

static struct volume_call *image_params(const struct record_type *type, const char *pool_id, const char *domain_id, const char *image_id)
{
	struct volume_call *params = record_new(type);

	set_string(&params->pool_id, pool_id);
	set_string(&params->domain_id, domain_id);
	set_string(&params->image_id, image_id);
	return params;
}

json_t *image_volumes(const struct storage_call *call, const char *pool_id, const char *domain_id, const char *image_id, GError **error)
{
	struct volume_call *params = image_params(&image_ids_type, pool_id, domain_id, image_id);
	json_t *volumes = NULL;
	GError *own = NULL;

	if (!ask(call, "Image.getVolumes", params, AGENT_TIMEOUT_S, &volumes, &own) &&
	    (forgive(&own, ERR_IMAGE_DOES_NOT_EXIST_IN_SD) || forgive(&own, ERR_VOLUME_DOES_NOT_EXIST)))
		volumes = json_array();
	record_unref(params);
	if (own)
		g_propagate_error(error, own);
	return volumes;
}

/* ret_lost: the agent was restarted: begin anew */
static bool keep_only_once(const struct storage_call *call, const struct volume_place *volume, bool *ret_lost, GError **error)
{
	struct volume_call *params = image_params(&image_delete_volumes_params_type, volume->pool_id, volume->domain_id, volume->image_id);
	json_t *volumes = image_volumes(call, volume->pool_id, volume->domain_id, volume->image_id, error), *id;
	bool ok = volumes;
	size_t i;

	params->volumes = strings_new();
	json_array_foreach(volumes, i, id)
		if (g_strcmp0(json_string_value(id), volume->volume_id))
			g_ptr_array_add(params->volumes, g_strdup(json_string_value(id)));
	SET(params, force, true);
	*ret_lost = false;
	if (ok && params->volumes->len)
		ok = agent_task(call->engine, call->host_id, "Image.deleteVolumes", params, call->flow_id, call->patience_s, VOLUME_SPARSE_MAX_S, ret_lost, error);
	json_decref(volumes);
	record_unref(params);
	return ok;
}

bool image_keep_only(const struct storage_call *call, const struct volume_place *volume, GError **error)
{
	bool lost = true;
	GError *own = NULL;

	for (int i = 0; i < 2 && lost; i++) {
		g_clear_error(&own);
		(void)keep_only_once(call, volume, &lost, &own);
	}
	return outcome(own, error);
}

bool image_remove(const struct storage_call *call, const char *pool_id, const char *domain_id, const char *image_id, bool wipe, GError **error)
{
	struct volume_call *params = image_params(&image_delete_params_type, pool_id, domain_id, image_id);
	bool lost = true;
	GError *own = NULL;

	SET(params, post_zero, wipe);
	SET(params, force, true);
	for (int i = 0; i < 2 && lost; i++) {
		g_clear_error(&own);
		if (!agent_task(call->engine, call->host_id, "Image.delete", params, call->flow_id, call->patience_s,
				wipe ? VOLUME_MAX_S : VOLUME_SPARSE_MAX_S, &lost, &own))
			(void)(forgive(&own, ERR_IMAGE_DOES_NOT_EXIST_IN_SD) || forgive(&own, ERR_VOLUME_DOES_NOT_EXIST));
	}
	record_unref(params);
	return outcome(own, error);
}
