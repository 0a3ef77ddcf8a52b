/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another master for a pool.
 *
 * reconstructMaster: the old one is lost, or its version is not the engine's. The new one gets the role and its version in one write; from then on nobody who
 * is told this version takes the old one for the master. Then the others lose the role, as far as they can be reached: one that cannot keeps an older version.
 *
 * switchMaster: both are there. A job of a kind, so that it ends as one or the other:
 *
 *	copy      master/vms of the old one goes to the new one (a definition that is there already is replaced); the manager takes the lease of the new one
 *	promote   the new one gets role and version; the pool here follows
 *	demote    the old one loses the role, and the manager gives its lease back
 *
 * Each step may be done again. After copy the old one is still the master; after promote the new one is, by its higher version.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <string.h>
#include "agent/storage/pool/pool.h"
#include "common/log.h"

#define POOL_DOMAIN_VERSION 5
#define SWITCH_RETRY_USEC (5 * G_USEC_PER_SEC)
#define OVF_MAX (4 * 1024 * 1024)

/* ---- reconstructMaster ---- */

static bool check_new_master(struct storage *storage, const struct pool_params *p, GError **error)
{
	const char *status = json_string_value(json_object_get(p->domains, p->master_id));
	autodomain domain = NULL;

	if (!status) {
		error_set(error, ERR_STORAGE_DOMAIN_NOT_MEMBER_OF_POOL, "domain '%s' is not in domainDict", p->master_id);
		return false;
	}
	if (g_ascii_strcasecmp(status, "active")) {
		error_set(error, ERR_STORAGE_DOMAIN_NOT_ACTIVE, "domain '%s' is %s", p->master_id, status);
		return false;
	}
	if (!(domain = domain_open(storage, p->master_id, error)))
		return false;
	if (domain_pool(domain)[0] && strcmp(domain_pool(domain), p->pool_id)) {
		error_set(error, ERR_STORAGE_DOMAIN_NOT_MEMBER_OF_POOL, "domain '%s' is attached to pool '%s'", domain->id, domain_pool(domain));
		return false;
	}
	return pool_check_master_class(domain, error);
}

/* Is there one whose version is as high? Those that cannot be read say nothing. */
static bool check_versions(struct storage *storage, const struct pool_params *p, GError **error)
{
	json_t *status;
	const char *id;

	json_object_foreach(p->domains, id, status) {
		autodomain domain = !files_is_uuid(id) || !strcmp(id, p->master_id) ? NULL : domain_open(storage, id, NULL);
		int64_t version = domain && !strcmp(domain_pool(domain), p->pool_id) ? metadata_get_int(domain->values, "MASTER_VERSION", 0) : 0;

		if (version >= p->master_version && version) {
			error_set(error, ERR_STORAGE_POOL_HIGHER_VERSION_MASTER_FOUND, "domain '%s' has master version %" PRId64 ", %d is asked for", id, version,
				  p->master_version);
			return false;
		}
	}
	return true;
}

bool pool_reconstruct_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	struct storage *storage = agent->storage;
	autopool connected = pool_get(storage, p->pool_id, NULL);
	json_t *status;
	const char *id;

	if (connected) {
		error_set(error, ERR_STORAGE_POOL_CONNECTED, "'%s' (StoragePool.disconnect)", p->pool_id);
		return false;
	}
	if (!pool_check_name(p->name, error) || !check_new_master(storage, p, error) || !check_versions(storage, p, error) ||
	    !pool_write(storage, p->master_id, error, "POOL_DESCRIPTION", p->name, NULL) ||
	    !pool_make_master(storage, p->master_id, p->pool_id, p->master_version, error))
		return false;
	json_object_foreach(p->domains, id, status) {
		g_autoptr(GError) problem = NULL;

		if (files_is_uuid(id) && strcmp(id, p->master_id) && !pool_make_regular(storage, id, &problem))
			log_warn("pool %s: domain %s keeps what role it has: %s, ignoring", p->pool_id, id, problem->message);
	}
	return true;
}

/* ---- switchMaster ---- */

static bool check_switch(struct storage *storage, const struct pool *pool, const struct pool_params *p, GError **error)
{
	const char *status = json_string_value(json_object_get(pool->domains, p->master_id));
	autodomain domain = NULL;

	if (strcmp(pool->master, p->old_master_id)) {
		error_set(error, ERR_STORAGE_POOL_WRONG_MASTER, "domain '%s' is not the master of pool '%s': '%s' is", p->old_master_id, pool->id, pool->master);
		return false;
	}
	if (p->master_version <= pool->master_version) {
		error_set(error, ERR_STORAGE_POOL_HIGHER_VERSION_MASTER_FOUND, "the master has version %d, %d is asked for", pool->master_version, p->master_version);
		return false;
	}
	if (!status) {
		error_set(error, ERR_STORAGE_DOMAIN_NOT_MEMBER_OF_POOL, "domain '%s' is not in pool '%s'", p->master_id, pool->id);
		return false;
	}
	return (domain = domain_open_active(storage, p->master_id, error)) && pool_check_member(domain, pool->id, error) &&
	       pool_check_master_class(domain, error) && pool_check_spm(storage, pool, error);
}

static bool copy_one(int from, int to, const char *vm, GError **error)
{
	g_autofree char *file = g_strdup_printf("%s/%s.ovf", vm, vm), *name = g_strconcat(vm, ".ovf", NULL);
	g_autofree char *ovf = files_read(from, file, OVF_MAX);
	autofd fd = -1;

	if (!ovf && errno == ENOENT)
		return true;
	if (ovf && (files_make_dir(to, vm) || errno == EEXIST) && (fd = files_open_dir(to, vm)) >= 0 && files_write(fd, name, ovf, 0644))
		return true;
	files_error(error, ERR_STORAGE_DOMAIN_MASTER_COPY_ERROR, errno, "VM '%s'", vm);
	return false;
}

static bool copy_vms(struct storage *storage, const char *old_master, const char *new_master, GError **error)
{
	autodomain from = domain_open(storage, old_master, error);
	autodomain to = from ? domain_open(storage, new_master, error) : NULL;
	autofd from_fd = -1, to_fd = -1;
	g_autoptr(GPtrArray) names = NULL;

	if (!to || (from_fd = ovf_open(from, error)) < 0 || (to_fd = ovf_open(to, error)) < 0)
		return false;
	if (!(names = files_list(from_fd, "."))) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_MASTER_COPY_ERROR, errno, "definitions of VMs in domain '%s'", old_master);
		return false;
	}
	for (guint i = 0; i < names->len; i++)
		if (files_is_uuid(names->pdata[i]) && !copy_one(from_fd, to_fd, names->pdata[i], error))
			return false;
	return fsync(to_fd) == 0;
}

static enum job_run switch_run(struct job *job, json_t *state, void *context, GError **error)
{
	struct storage *storage = context;
	const json_t *request = json_object_get(state, "request");
	const char *pool = json_string_value(json_object_get(request, "pool")), *old_master = json_string_value(json_object_get(request, "old"));
	const char *new_master = json_string_value(json_object_get(request, "new")), *step = json_string_value(json_object_get(state, "step"));
	int version = (int)json_integer_value(json_object_get(request, "version"));
	g_autoptr(GError) problem = NULL;

	if (!step || !strcmp(step, "copy")) {
		if (job_canceled(job)) {
			error_set(error, ERR_TASK_ABORTED, "the master of pool '%s' stays '%s'", pool, old_master);
			return JOB_FAILED;
		}
		if (!job_step(job, state, "copy", error) || !copy_vms(storage, old_master, new_master, error) ||
		    !spm_take_new(storage, pool, new_master, error))
			return JOB_FAILED;
		if (!job_step(job, state, "promote", error)) {
			spm_give_old(storage, new_master);
			return JOB_FAILED;
		}
		step = "promote";
	}
	if (!strcmp(step, "promote")) {
		if (!pool_make_master(storage, new_master, pool, version, error)) {
			spm_give_old(storage, new_master);
			return JOB_FAILED;
		}
		if (!pool_update(storage, pool, NULL, new_master, version, &problem) || !job_step(job, state, "demote", &problem)) {
			log_error("the master of pool %s is %s now, which is not written down here yet: %s", pool, new_master, problem->message);
			job_wake_after(job, SWITCH_RETRY_USEC);
			return JOB_WAITS;
		}
	}
	if (!pool_make_regular(storage, old_master, &problem))
		log_warn("pool %s: domain %s keeps the role of a master, of an older version: %s, ignoring", pool, old_master, problem->message);
	spm_give_old(storage, old_master);
	log_info("domain %s is the master of pool %s now, version %d", new_master, pool, version);
	return JOB_DONE;
}

static const struct job_kind switch_kind = { .name = "switch_master", .type = "storage", .run = switch_run };

void switch_register(struct storage *storage)
{
	jobs_register(storage->agent->jobs, &switch_kind, storage);
}

bool pool_switch_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autopool pool = pool_get(agent->storage, p->pool_id, error);
	g_autofree char *description = g_strdup_printf("StoragePool.switchMaster %s", p->pool_id), *lane = g_strdup_printf("pool/%s", p->pool_id), *id = NULL;
	json_t *request;
	bool good;

	if (!pool || !check_switch(agent->storage, pool, p, error))
		return false;
	request = json_pack("{s:s, s:s, s:s, s:i}", "pool", pool->id, "old", p->old_master_id, "new", p->master_id, "version", p->master_version);
	good = jobs_begin(agent->jobs, &(struct job_order){ .kind = &switch_kind, .description = description, .lane = lane, .request = request }, &id, error);
	json_decref(request);
	if (good)
		result_json(ret_result, json_string(id));
	return good;
}

/* ---- upgrade ---- */

/* All domains this agent makes or takes have the newest version already. */
bool pool_upgrade_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autopool pool = pool_get(agent->storage, p->pool_id, error);
	autodomain master = pool ? pool_open_master(agent->storage, pool, error) : NULL;
	int64_t version = master ? metadata_get_int(master->values, "VERSION", 0) : 0;

	if (!master)
		return false;
	if (p->target_version < version)
		error_set(error, ERR_CURRENT_VERSION_TOO_ADVANCED_ERROR, "pool '%s' has version %" PRId64 ", %d is asked for", pool->id, version, p->target_version);
	else if (p->target_version != POOL_DOMAIN_VERSION || version != POOL_DOMAIN_VERSION)
		error_set(error, ERR_UNSUPPORTED_DOMAIN_VERSION, "pool '%s' has version %" PRId64 ", %d is asked for; this agent knows %d", pool->id, version,
			  p->target_version, POOL_DOMAIN_VERSION);
	else {
		result_json(ret_result, json_string("started"));
		return true;
	}
	return false;
}
