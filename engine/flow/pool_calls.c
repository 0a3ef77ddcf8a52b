/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/pool_calls.h"

#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "engine/flow/agent.h"
#include "engine/flow/storage_pool.h"
#include "proto/pool.h"
#include "proto/storage.h"

#define POOL_TIMEOUT_S 120
#define SWITCH_MAX_S 600
/* As vdsm's engine sends them; the agent's sanlock keeps its own diary. */
#define RENEWAL_S 5
#define LEASE_S 60
#define RETRIES 3

/* Takes over params. fine: this error means that it is the case already; 0: none. */
static bool ask(const struct storage_call *call, const char *verb, struct pool_params *params, int fine, json_t **ret_result, GError **error)
{
	GError *own = NULL;

	(void)agent_call_timed(call->engine, call->host_id, verb, params, call->flow_id, POOL_TIMEOUT_S, call->patience_s, ret_result, &own);
	record_unref(params);
	if (fine && error_is(own, fine))
		g_clear_error(&own);
	if (own)
		g_propagate_error(error, own);
	return !own;
}

static struct pool_params *params_new(const struct record_type *type, const char *pool_id)
{
	struct pool_params *params = record_new(type);

	set_string(&params->pool_id, pool_id);
	if (record_field(type, "scsiKey"))          /* what is no field of the type is not freed with it */
		set_string(&params->scsi_key, pool_id);
	return params;
}

static void set_master(struct pool_params *params, const char *master_id, int version)
{
	set_string(&params->master_id, master_id);
	SET(params, master_version, version);
}

static void set_lock_times(struct pool_params *params, int io_timeout_s)
{
	SET(params, renewal_s, RENEWAL_S);
	SET(params, lease_s, LEASE_S);
	SET(params, io_timeout_s, io_timeout_s);
	SET(params, retries, RETRIES);
}

bool pool_make(const struct storage_call *call, const struct storage_pool *pool, int io_timeout_s, GError **error)
{
	struct pool_params *params = params_new(&pool_create_params_type, pool->id);

	set_string(&params->name, pool->name);
	set_master(params, pool->master_id, pool->master_version);
	params->domain_ids = strings_new();
	g_ptr_array_add(params->domain_ids, g_strdup(pool->master_id));
	set_lock_times(params, io_timeout_s);
	return ask(call, "StoragePool.create", params, 0, NULL, error);
}

bool pool_enter(const struct storage_call *call, const struct storage_pool *pool, int number, GError **error)
{
	struct pool_params *params = params_new(&pool_connect_params_type, pool->id);

	SET(params, host_id, number);
	set_master(params, pool->master_id, pool->master_version);
	params->domains = json_incref(pool->domains);
	return ask(call, "StoragePool.connect", params, 0, NULL, error);
}

static bool end(const struct storage_call *call, const char *verb, const struct record_type *type, const char *pool_id, int number, int fine, GError **error)
{
	struct pool_params *params = params_new(type, pool_id);

	SET(params, host_id, number);
	return ask(call, verb, params, fine, NULL, error);
}

bool pool_leave(const struct storage_call *call, const char *pool_id, int number, GError **error)
{
	return end(call, "StoragePool.disconnect", &pool_disconnect_params_type, pool_id, number, 0, error);
}

bool pool_unmake(const struct storage_call *call, const char *pool_id, int number, GError **error)
{
	return end(call, "StoragePool.destroy", &pool_destroy_params_type, pool_id, number, ERR_STORAGE_POOL_UNKNOWN, error);
}

/* ---- the manager ---- */

/* "SPM", "Contend", "Free"; NULL: not in the pool, or error. g_free */
static char *role_of(const struct storage_call *call, const char *pool_id, GError **error)
{
	json_t *answer = NULL;
	char *role = ask(call, "StoragePool.getSpmStatus", params_new(&pool_id_params_type, pool_id), ERR_STORAGE_POOL_UNKNOWN, &answer, error) ?
			     g_strdup(json_string_value(json_object_get(answer, "spmStatus"))) : NULL;

	json_decref(answer);
	return role;
}

bool pool_is_managed(const struct storage_call *call, const char *pool_id, GError **error)
{
	g_autofree char *role = role_of(call, pool_id, error);

	return !g_strcmp0(role, "SPM");
}

static bool manage_once(const struct storage_call *call, const char *pool_id, int max_s, GError **error)
{
	struct pool_params *params = params_new(&pool_spm_start_params_type, pool_id);
	bool ok;

	SET(params, previous_id, -1);
	set_string(&params->previous_lver, "-1");
	set_string(&params->scsi_fencing, "false");
	ok = agent_task(call->engine, call->host_id, "StoragePool.spmStart", params, call->flow_id, call->patience_s, max_s, NULL, error);
	record_unref(params);
	return ok;
}

bool pool_manage(const struct storage_call *call, const char *pool_id, int io_timeout_s, GError **error)
{
	/* to take a number 14 accesses and a minute at most, to take the lease of a dead host 8 and a minute */
	int max_s = 22 * io_timeout_s + 180;
	int64_t end = now_usec() + max_s * (int64_t)G_USEC_PER_SEC;
	GError *own = NULL;

	while (!manage_once(call, pool_id, max_s, &own)) {
		g_autofree char *role = error_is(own, ERR_IS_SPM) ? role_of(call, pool_id, NULL) : NULL;

		if (!role || now_usec() > end) {
			g_propagate_error(error, own);
			return false;
		}
		g_clear_error(&own);
		if (!strcmp(role, "SPM"))
			break;
		lane_pause(G_USEC_PER_SEC / 4);          /* an earlier try, whose task nobody knows any more, is not over */
	}
	return true;
}

bool pool_resign(const struct storage_call *call, const char *pool_id, GError **error)
{
	return ask(call, "StoragePool.spmStop", params_new(&pool_id_params_type, pool_id), ERR_STORAGE_POOL_UNKNOWN, NULL, error);
}

/* ---- the master ---- */

bool pool_switch_master(const struct storage_call *call, const struct storage_pool *pool, const char *new_master_id, GError **error)
{
	struct pool_params *params = params_new(&pool_switch_params_type, pool->id);
	json_t *answer = NULL;
	GError *own = NULL;

	set_string(&params->old_master_id, pool->master_id);
	set_master(params, new_master_id, pool->master_version + 1);
	(void)agent_task(call->engine, call->host_id, "StoragePool.switchMaster", params, call->flow_id, call->patience_s, SWITCH_MAX_S, NULL, &own);
	record_unref(params);
	/* done by an earlier try */
	if (own && ask(call, "StoragePool.getInfo", params_new(&pool_id_params_type, pool->id), 0, &answer, NULL)) {
		const json_t *info = json_object_get(answer, "info");

		if (!g_strcmp0(json_string_value(json_object_get(info, "master_uuid")), new_master_id) &&
		    json_integer_value(json_object_get(info, "master_ver")) == pool->master_version + 1)
			g_clear_error(&own);
	}
	json_decref(answer);
	if (own)
		g_propagate_error(error, own);
	return !own;
}

bool pool_reconstruct(const struct storage_call *call, const struct storage_pool *pool, const char *new_master_id, int number, int io_timeout_s, GError **error)
{
	struct pool_params *params = params_new(&pool_reconstruct_params_type, pool->id);

	SET(params, host_id, number);
	set_string(&params->name, pool->name);
	set_master(params, new_master_id, pool->master_version + 1);
	params->domains = json_copy(pool->domains);
	json_object_set_new(params->domains, pool->master_id, json_string("attached"));
	set_lock_times(params, io_timeout_s);
	return ask(call, "StoragePool.reconstructMaster", params, 0, NULL, error);
}

enum pool_sight pool_sees(const struct storage_call *call, const char *domain_id)
{
	struct monitor_params *params = record_new(&repo_stats_params_type);
	json_t *answer = NULL;
	const json_t *about;
	enum pool_sight sight = POOL_UNKNOWN;

	params->domains = strings_new();
	g_ptr_array_add(params->domains, g_strdup(domain_id));
	(void)agent_call_timed(call->engine, call->host_id, "Host.getStorageRepoStats", params, call->flow_id, AGENT_TIMEOUT_S, call->patience_s, &answer, NULL);
	about = json_object_get(answer, domain_id);
	if (about)
		sight = json_is_true(json_object_get(about, "valid")) ? POOL_SEEN : POOL_UNSEEN;
	json_decref(answer);
	record_unref(params);
	return sight;
}

bool pool_of_domain(const struct storage_call *call, const char *domain_id, char **ret_pool_id, GError **error)
{
	struct domain_id_params *params = record_new(&domain_id_params_type);
	json_t *info = NULL;
	bool ok;

	set_string(&params->domain_id, domain_id);
	ok = agent_call_timed(call->engine, call->host_id, "StorageDomain.getInfo", params, call->flow_id, POOL_TIMEOUT_S, call->patience_s, &info, error);
	record_unref(params);
	*ret_pool_id = ok ? g_strdup(json_string_value(json_array_get(json_object_get(info, "pool"), 0))) : NULL;
	json_decref(info);
	return ok;
}

/* ---- definitions ---- */

static struct pool_params *definition_params(const struct record_type *type, const char *pool_id, const char *domain_id)
{
	struct pool_params *params = params_new(type, pool_id);

	set_string(&params->domain_id, domain_id);
	return params;
}

bool pool_keep_definition(const struct storage_call *call, const char *pool_id, const char *domain_id, const char *id, const char *ovf, GError **error)
{
	struct pool_params *params = definition_params(&pool_update_vms_params_type, pool_id, domain_id);

	params->vms = json_pack("[{s:s, s:s, s:s}]", "vm", id, "ovf", ovf, "imglist", "");
	return ask(call, "StoragePool.updateVMs", params, 0, NULL, error);
}

bool pool_forget_definition(const struct storage_call *call, const char *pool_id, const char *domain_id, const char *id, GError **error)
{
	struct pool_params *params = definition_params(&pool_remove_vm_params_type, pool_id, domain_id);

	set_string(&params->vm_id, id);
	return ask(call, "StoragePool.removeVM", params, 0, NULL, error);
}

json_t *pool_definition_ids(const struct storage_call *call, const char *pool_id, const char *domain_id, GError **error)
{
	json_t *ids = NULL;

	(void)ask(call, "StoragePool.getBackedUpVmsList", definition_params(&pool_vms_list_params_type, pool_id, domain_id), 0, &ids, error);
	return ids;
}

json_t *pool_definitions(const struct storage_call *call, const char *pool_id, const char *domain_id, const json_t *ids, GError **error)
{
	struct pool_params *params = definition_params(&pool_vms_info_params_type, pool_id, domain_id);
	json_t *map = NULL, *id;
	size_t i;

	params->vm_ids = strings_new();
	json_array_foreach((json_t *)ids, i, id)
		g_ptr_array_add(params->vm_ids, g_strdup(json_string_value(id)));
	(void)ask(call, "StoragePool.getBackedUpVmsInfo", params, 0, &map, error);
	return map;
}
