/* SPDX-License-Identifier: Apache-2.0 */
/* What flows do to the pool of a data center: storage_pool.h. Whoever was told of it in an earlier try is told again. */
#include "common/config.h"
#include "common/error.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/flow/pool_calls.h"
#include "engine/flow/storage_pool.h"
#include "engine/flow/turn.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/model/storage_domain.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"

int storage_io_timeout(const struct engine *engine)
{
	return (int)config_int(engine->config, "storage", "io_timeout");
}

static struct storage_pool *pool_now(struct engine *engine, const char *data_center_id, GError **error)
{
	struct storage_pool *pool = storage_pool_read(engine->model, data_center_id);

	if (!pool)
		error_set(error, ERR_WRONG_STATE, "data center '%s' has no master domain", data_center_id);
	return pool;
}

bool storage_pool_begin(struct engine *engine, const char *host_id, const char *flow_id, const char *data_center_id, GError **error)
{
	const struct storage_call call = { engine, host_id, flow_id, AGENT_PATIENCE_S };
	autostorage_pool pool = pool_now(engine, data_center_id, error);

	return pool && pool_make(&call, pool, storage_io_timeout(engine), error);
}

bool storage_pool_raise(struct engine *engine, const char *data_center_id, GError **error)
{
	AUTO_TURN("pool/%s", data_center_id);
	autostorage_pool pool = pool_now(engine, data_center_id, error);
	g_autofree char *manager = pool ? storage_manager_elect(engine, pool, error) : NULL;

	return manager;
}

bool storage_pool_lower(struct engine *engine, const char *data_center_id, GError **error)
{
	AUTO_TURN("pool/%s", data_center_id);
	g_autoptr(GPtrArray) hosts = model_list(engine->model, &host_kind);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		g_autoptr(GError) own = NULL;

		if (g_strcmp0(host->pool_id, data_center_id) || host->state != HOST_UP || storage_pool_leave(engine, host->id, &own))
			continue;
		if (!agent_is_away(own)) {
			error_wrap(&own, "host '%s' does not leave the pool", host->name);
			g_propagate_error(error, g_steal_pointer(&own));
			return false;
		}
		log_info("host %s leaves pool %s when it is back: %s", host->id, data_center_id, own->message);
	}
	return true;
}

static bool end(struct engine *engine, const struct storage_call *call, const struct storage_pool *pool, GError **error)
{
	struct host *host;
	bool ok;

	if (!storage_pool_join(engine, call->host_id, pool->id, error) || !pool_manage(call, pool->id, storage_io_timeout(engine), error))
		return false;
	host = model_get(engine->model, &host_kind, call->host_id);
	if (!host)
		error_set(error, ERR_NOT_FOUND, "host '%s', which was to end the pool, was removed meanwhile", call->host_id);
	ok = host && pool_unmake(call, pool->id, host->pool_number, error);
	record_unref(host);
	return ok;
}

bool storage_pool_end(struct engine *engine, const char *host_id, const char *flow_id, const char *data_center_id, GError **error)
{
	AUTO_TURN("pool/%s", data_center_id);
	const struct storage_call call = { engine, host_id, flow_id, AGENT_PATIENCE_S };
	autostorage_pool pool = pool_now(engine, data_center_id, error);
	g_autofree char *now = NULL;

	/* an earlier try may have ended it */
	return pool && pool_of_domain(&call, pool->master_id, &now, error) && (g_strcmp0(now, pool->id) || end(engine, &call, pool, error)) &&
	       storage_pool_leave(engine, host_id, error);
}

/* ---- another master ---- */

struct passing { const struct storage_pool *pool; const char *new_master_id; struct model *model; };

static void set_master(struct change *change, struct model *model, const char *domain_id, bool master)
{
	struct storage_domain *domain = model_get(model, &storage_domain_kind, domain_id), *copy = domain ? record_copy(domain) : NULL;

	if (!domain)
		return;
	SET(copy, master, master);
	change_replace(change, domain, copy);
	record_unref(copy);
	record_unref(domain);
}

static bool edit_pass(void *copy, struct change *change, void *data, GError **error)
{
	struct datacenter *data_center = copy;
	const struct passing *passing = data;

	SET(data_center, master_version, passing->pool->master_version + 1);
	set_master(change, passing->model, passing->pool->master_id, false);
	set_master(change, passing->model, passing->new_master_id, true);
	return true;
}

bool storage_pool_set_master(struct engine *engine, const struct storage_pool *pool, const char *domain_id, GError **error)
{
	struct passing passing = { pool, domain_id, engine->model };

	return store_modify(engine->store, &datacenter_kind, pool->id, edit_pass, &passing, NULL, error);
}

bool storage_pool_pass(struct engine *engine, const char *flow_id, const char *data_center_id, const char *new_master_id, GError **error)
{
	AUTO_TURN("pool/%s", data_center_id);
	autostorage_pool pool = pool_now(engine, data_center_id, error);
	g_autofree char *host_id = NULL;

	if (!pool)
		return false;
	if (!g_strcmp0(pool->master_id, new_master_id))
		return true;
	if (!(host_id = storage_manager_elect(engine, pool, error)))
		return false;
	const struct storage_call call = { engine, host_id, flow_id, AGENT_PATIENCE_S };
	if (!pool_switch_master(&call, pool, new_master_id, error) || !storage_pool_set_master(engine, pool, new_master_id, error))
		return false;
	storage_pool_spread(engine, data_center_id, NULL);
	return true;
}
