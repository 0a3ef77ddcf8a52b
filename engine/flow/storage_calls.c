/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/storage_calls.h"

#include <inttypes.h>
#include <string.h>

#include "common/error.h"
#include "engine/flow/agent.h"
#include "proto/storage.h"

#define VOLUME_SPARSE_MAX_S 600                  /* a task that writes no data */
#define VOLUME_MAX_S (24 * 3600)                 /* one that allocates or overwrites */
#define DOMAIN_TIMEOUT_S 120

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

static bool connection_verb(const struct storage_call *call, const char *verb, const char *connection_id, const char *path, GError **error)
{
	struct connection_params *params = record_new(&connection_params_type);
	json_t *answer = NULL;
	bool ok;

	set_string(&params->pool_id, BLANK_UUID);
	SET(params, domain_type, STORAGE_LOCALFS);
	params->connections = json_pack("[{s:s, s:s}]", "id", connection_id, "connection", path);
	ok = ask(call, verb, params, DOMAIN_TIMEOUT_S, &answer, error) && connection_status(answer, verb, error);
	json_decref(answer);
	record_unref(params);
	return ok;
}

bool storage_connect(const struct storage_call *call, const char *connection_id, const char *path, GError **error)
{
	return connection_verb(call, "StoragePool.connectStorageServer", connection_id, path, error);
}

bool storage_disconnect(const struct storage_call *call, const char *connection_id, const char *path, GError **error)
{
	return connection_verb(call, "StoragePool.disconnectStorageServer", connection_id, path, error);
}

/* ---- domains ---- */

bool storage_create(const struct storage_call *call, const char *domain_id, const char *name, const char *path, GError **error)
{
	struct domain_create_params *params = record_new(&domain_create_params_type);
	GError *own = NULL;

	set_string(&params->domain_id, domain_id);
	set_string(&params->type_args, path);
	set_string(&params->name, name);
	SET(params, domain_type, STORAGE_LOCALFS);
	SET(params, domain_class, STORAGE_CLASS_DATA);
	SET(params, version, 5);
	/* the id is ours: one that exists already was made by an earlier try */
	if (!ask(call, "StorageDomain.create", params, DOMAIN_TIMEOUT_S, NULL, &own))
		(void)forgive(&own, ERR_STORAGE_DOMAIN_ALREADY_EXISTS);
	record_unref(params);
	return outcome(own, error);
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

bool storage_pool_verb(const struct storage_call *call, const char *verb, const char *domain_id, const char *pool_id, GError **error)
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

static struct volume_params *volume_params(const struct record_type *type, const struct volume_call *volume)
{
	struct volume_params *params = record_new(type);

	set_string(&params->volume_id, volume->volume_id);
	set_string(&params->pool_id, volume->pool_id);
	set_string(&params->domain_id, volume->domain_id);
	set_string(&params->image_id, volume->image_id);
	return params;
}

static struct volume_info *volume_info(const struct storage_call *call, const struct volume_call *volume, GError **error)
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
static bool is_there(const struct storage_call *call, const struct volume_call *volume, GError **error)
{
	struct volume_info *info = volume_info(call, volume, error);

	record_unref(info);
	return info != NULL;
}

static bool create_once(const struct storage_call *call, const struct volume_call *volume, bool *ret_again, GError **error)
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

bool volume_create(const struct storage_call *call, const struct volume_call *volume, GError **error)
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

bool volume_remove(const struct storage_call *call, const struct volume_call *volume, GError **error)
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

bool volume_sizes(const struct storage_call *call, const struct volume_call *volume, int64_t *ret_capacity, int64_t *ret_used, GError **error)
{
	struct volume_info *info = volume_info(call, volume, error);

	if (!info)
		return false;
	*ret_capacity = info->capacity;
	*ret_used = info->truesize;
	record_unref(info);
	return true;
}
