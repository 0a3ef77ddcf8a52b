/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who manages a pool (SPM): the host that holds the lease of its master domain.
 *
 *	Free --spmStart--> Contend --the lease is held--> SPM --spmStop, lease lost--> Free
 *
 * spmStart is a task, for to get a host id and then the lease takes what the diary of lock.c says: usually 2N s, after the death of another manager 8N+60.
 * It runs on a lane of its own, so that the engine can ask getSpmStatus meanwhile. The role is not kept: with the agent ends its lease, and the engine
 * chooses anew. Any change of the role to Free that nobody asked for is the event |storage|spm|<pool>.
 */
#define LOG_MODULE "storage"
#include <string.h>
#include "agent/storage/lease/lock.h"
#include "agent/storage/pool/pool.h"
#include "common/log.h"

static void set_role(struct storage *storage, enum spm_role role, int64_t version)
{
	AUTO_LOCK(&storage->lock);
	storage->spm_role = role;
	storage->spm_version = version;
}

/* Is it still so? A lease may be lost, and nobody tells. */
static enum spm_role role_of(struct storage *storage, const struct pool *pool, int64_t *ret_version)
{
	enum spm_role role;

	{
		AUTO_LOCK(&storage->lock);
		role = storage->pool && !strcmp(storage->pool->id, pool->id) ? storage->spm_role : SPM_FREE;
		*ret_version = storage->spm_version;
	}
	if (role != SPM_ACTIVE || lock_is_held(storage->locks, pool->master, "SDM"))
		return role;
	log_error("pool %s: this host has lost the lease of its master %s and does not manage it any more", pool->id, pool->master);
	{
		g_autofree char *event = g_strconcat("|storage|spm|", pool->id, NULL);

		events_publish(storage->agent->events, event, json_pack("{s:s}", "spmStatus", "Free"));
	}
	set_role(storage, SPM_FREE, 0);
	return SPM_FREE;
}

bool pool_is_spm(struct storage *storage, const char *id)
{
	autopool pool = pool_get(storage, id, NULL);
	int64_t version;

	return pool && role_of(storage, pool, &version) == SPM_ACTIVE;
}

bool pool_check_spm(struct storage *storage, const struct pool *pool, GError **error)
{
	autodomain master = domain_open(storage, pool->master, NULL);

	if ((master && !domain_is_shared(master)) || pool_is_spm(storage, pool->id))
		return true;
	error_set(error, ERR_SPM_STATUS_ERROR, "('%s',): this host does not manage the pool (StoragePool.spmStart)", pool->id);
	return false;
}

struct start { struct storage *storage; struct pool *pool; };

static void start_free(void *data)
{
	struct start *start = data;

	pool_free(start->pool);
	storage_unref(start->storage);
	g_free(start);
}

static bool take(struct storage *storage, const struct domain *master, int host_id, int64_t *ret_version, GError **error)
{
	g_autofree char *path = NULL;
	struct lease lease;

	if (!lock_join(storage->locks, master, host_id, error) || !lock_domain_lease(master, &lease, error))
		return false;
	path = (char *)lease.path;
	return lock_acquire(storage->locks, master, &lease, ret_version, error);
}

static bool give(struct storage *storage, const char *master, GError **error)
{
	return lock_release(storage->locks, master, &(struct lease){ .name = "SDM", .path = "" }, error);
}

static bool start_run(struct job *job, void *data, GError **error)
{
	struct start *start = data;
	autodomain master = pool_open_master(start->storage, start->pool, error);
	int64_t version = 0;

	if (master && take(start->storage, master, start->pool->host_id, &version, error)) {
		set_role(start->storage, SPM_ACTIVE, version);
		log_info("this host manages pool %s, lease version %" PRId64, start->pool->id, version);
		health_settle(start->storage, start->pool->id);
		return true;
	}
	set_role(start->storage, SPM_FREE, 0);
	return false;
}

bool spm_start_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	struct storage *storage = agent->storage;
	autopool pool = pool_get(storage, p->pool_id, error);
	g_autofree char *description = g_strdup_printf("StoragePool.spmStart %s", p->pool_id);
	g_autofree char *lane = g_strdup_printf("spm/%s", p->pool_id), *id = NULL;
	struct start *start;
	int64_t version;
	enum spm_role role;

	if (!pool)
		return false;
	role = role_of(storage, pool, &version);
	if (role != SPM_FREE) {
		error_set(error, ERR_IS_SPM, "pool '%s': this host %s", pool->id, role == SPM_ACTIVE ? "manages it" : "is about to manage it");
		return false;
	}
	set_role(storage, SPM_CONTEND, 0);
	start = g_new0(struct start, 1);
	start->storage = storage_ref(storage);
	start->pool = pool_get(storage, p->pool_id, NULL);
	if (!jobs_start(agent->jobs,
			&(struct job_work){ .type = "storage", .description = description, .lane = lane, .run = start_run, .data = start, .free_data = start_free }, &id,
			error)) {
		set_role(storage, SPM_FREE, 0);
		start_free(start);
		return false;
	}
	result_json(ret_result, json_string(id));
	return true;
}

bool spm_resign(struct storage *storage, GError **error)
{
	autopool pool = pool_get(storage, NULL, NULL);
	int64_t version;

	if (!pool || role_of(storage, pool, &version) != SPM_ACTIVE)
		return true;
	if (!give(storage, pool->master, error))
		return false;
	set_role(storage, SPM_FREE, 0);
	log_info("this host does not manage pool %s any more", pool->id);
	return true;
}

bool spm_take_new(struct storage *storage, const char *pool_id, const char *new_master, GError **error)
{
	autopool pool = pool_get(storage, pool_id, NULL);
	int64_t version;
	autodomain domain = pool && role_of(storage, pool, &version) == SPM_ACTIVE ? domain_open(storage, new_master, error) : NULL;

	if (!pool || role_of(storage, pool, &version) != SPM_ACTIVE)
		return true;
	if (!domain || !take(storage, domain, pool->host_id, &version, error))
		return false;
	set_role(storage, SPM_ACTIVE, version);
	return true;
}

void spm_give_old(struct storage *storage, const char *old_master)
{
	g_autoptr(GError) problem = NULL;

	if (!give(storage, old_master, &problem))
		log_warn("%s, ignoring", problem->message);
}

bool spm_stop_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autopool pool = pool_get(agent->storage, p->pool_id, error);
	json_t *jobs, *job;
	const char *id, *busy = NULL;

	if (!pool)
		return false;
	jobs = jobs_list(agent->jobs, "storage", NULL);
	json_object_foreach(jobs, id, job) {
		const char *status = json_string_value(json_object_get(job, "status"));

		if (!g_strcmp0(status, "running") || !g_strcmp0(status, "pending"))
			busy = id;
	}
	if (busy)
		error_set(error, ERR_SPM_STOP_ERROR, "pool '%s': task %s (%s) is not finished", pool->id, busy,
			  json_string_value(json_object_get(json_object_get(jobs, busy), "description")));
	json_decref(jobs);
	return !busy && spm_resign(agent->storage, error);
}

void spm_look(struct storage *storage, const struct pool *pool, struct spm_status *ret_status)
{
	autodomain master = domain_open(storage, pool->master, NULL);
	g_autofree char *path = NULL;
	struct lease_owner owner;
	struct lease lease;

	if (!master || !lock_domain_lease(master, &lease, NULL))
		return;
	path = (char *)lease.path;
	if (!lock_inquire(storage->locks, master, &lease, &owner, NULL))
		return;
	ret_status->lver = owner.version;
	ret_status->id = owner.host_id ? (int)owner.host_id : -1;
}

bool spm_status_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	static const char *const names[] = { [SPM_FREE] = "Free", [SPM_CONTEND] = "Contend", [SPM_ACTIVE] = "SPM" };
	const struct pool_params *p = data;
	autopool pool = pool_get(agent->storage, p->pool_id, error);
	struct spm_status *status;
	enum spm_role role;
	int64_t version;

	if (!pool)
		return false;
	role = role_of(agent->storage, pool, &version);
	status = record_new(&spm_status_type);
	SET(status, lver, -1);
	SET(status, id, -1);
	set_string(&status->status, names[role]);
	if (role == SPM_ACTIVE) {
		SET(status, lver, version);
		SET(status, id, pool->host_id);
	} else
		spm_look(agent->storage, pool, status);
	result_record(ret_result, status);
	record_unref(status);
	return true;
}
