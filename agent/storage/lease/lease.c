/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of leases that have names of their own (xlease.c): made and removed by the manager of the pool, held by libvirt for VMs. */
#define LOG_MODULE "storage"
#include <string.h>
#include <time.h>
#include "agent/storage/lease/job_lease.h"
#include "agent/storage/lease/xlease.h"
#include "agent/storage/storage-priv.h"
#include "common/log.h"

struct task;
typedef bool (*task_work)(const struct domain *domain, const struct task *task, GError **error);
struct task { struct storage *storage; char *domain, *lease; struct lease_metadata *metadata; task_work work; };

static void task_free(void *data)
{
	struct task *task = data;

	storage_unref(task->storage);
	record_unref(task->metadata);
	g_free(task->domain);
	g_free(task->lease);
	g_free(task);
}

static bool task_run(struct job *job, void *data, GError **error)
{
	const struct task *task = data;
	autodomain domain = domain_open_active(task->storage, task->domain, error);

	return domain && task->work(domain, task, error);
}

/* Of a shared domain only the manager of its pool changes the index: two would overwrite each other's records. */
static bool check_manager(struct storage *storage, const char *id, GError **error)
{
	autodomain domain = domain_open_active(storage, id, error);
	autopool pool = NULL;

	if (!domain)
		return false;
	if (!domain_is_shared(domain))
		return true;
	return (pool = pool_get(storage, domain_pool(domain), error)) && pool_check_spm(storage, pool, error);
}

static bool start(struct agent *agent, const char *verb, const struct lease_id_params *p, task_work work, GString *ret_result, GError **error)
{
	g_autofree char *description = g_strdup_printf("Lease.%s %s", verb, p->lease_id ? p->lease_id : p->domain_id), *lane = domain_lane(p->domain_id);
	g_autofree char *id = NULL;
	struct task *task;

	if (!check_manager(agent->storage, p->domain_id, error))
		return false;
	task = g_new0(struct task, 1);
	task->storage = storage_ref(agent->storage);
	task->domain = g_strdup(p->domain_id);
	task->lease = g_strdup(p->lease_id);
	task->metadata = record_ref(p->metadata);
	task->work = work;
	if (!jobs_start(agent->jobs,
			&(struct job_work){ .type = "storage", .description = description, .lane = lane, .run = task_run, .data = task, .free_data = task_free }, &id,
			error)) {
		task_free(task);
		return false;
	}
	result_json(ret_result, json_string(id));
	return true;
}

/* One that is there is the caller's, from before: if it was to guard a job, then this one. */
static bool is_same(const struct domain *domain, const struct lease *lease, const struct lease_metadata *wanted, GError **error)
{
	g_autoptr(GError) problem = NULL;
	struct lease_metadata *there = job_lease_read(domain, lease, &problem);
	bool same = there && !strcmp(there->job_id, wanted->job_id);

	if (problem)
		g_propagate_error(error, g_steal_pointer(&problem));
	else if (!same)
		error_set(error, ERR_INVALID_METADATA, "lease '%s' is in domain '%s' already and guards %s%s, not job '%s'", lease->name, domain->id,
			  there ? "job " : "no job", there ? there->job_id : "", wanted->job_id);
	record_unref(there);
	return same;
}

static bool create_run(const struct domain *domain, const struct task *task, GError **error)
{
	g_autofree char *note = NULL, *path = NULL;
	struct lease_metadata *first;
	struct lease lease;

	if (!task->metadata)
		return xlease_add(domain, task->lease, /* note= */ NULL, error);
	if (xlease_find(domain, task->lease, &lease, NULL)) {
		path = (char *)lease.path;
		return is_same(domain, &lease, task->metadata, error);
	}
	first = record_copy(task->metadata);
	SET(first, created, (int64_t)time(NULL));
	SET(first, modified, first->created);
	note = job_lease_note(first, error);
	record_unref(first);
	return note && xlease_add(domain, task->lease, note, error);
}

static bool create_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return start(agent, "create", data, create_run, ret_result, error);
}

/* Not while somebody holds it, who would go on thinking so. */
static bool remove_run(const struct domain *domain, const struct task *task, GError **error)
{
	const char *id = task->lease;
	g_autofree char *path = NULL;
	struct lease_owner owner;
	struct lease lease;

	if (domain_is_shared(domain) && xlease_find(domain, id, &lease, NULL)) {
		path = (char *)lease.path;
		if (lock_inquire(NULL, domain, &lease, &owner, NULL) && owner.taken) {
			error_set(error, ERR_ACQUIRE_LOCK_FAILURE, "lease '%s' in domain '%s' is held by host %" PRIu64, id, domain->id, owner.host_id);
			return false;
		}
	}
	return xlease_remove(domain, id, error);
}

static bool delete_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return start(agent, "delete", data, remove_run, ret_result, error);
}

static bool rebuild_run(const struct domain *domain, const struct task *task, GError **error)
{
	return xlease_rebuild(domain, error);
}

static bool rebuild_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return start(agent, "rebuild_leases", data, rebuild_run, ret_result, error);
}

bool storage_lease(struct storage *storage, const char *domain_id, const char *image, const char *lease_id, char **ret_path, int64_t *ret_offset,
		   GError **error)
{
	autodomain domain = domain_open_active(storage, domain_id, error);
	struct lease lease;

	if (domain && image)
		return (*ret_path = volume_lease(domain, image, lease_id, ret_offset, error)) != NULL;
	if (!domain || !xlease_find(domain, lease_id, &lease, error))
		return false;
	*ret_path = (char *)lease.path;
	*ret_offset = lease.offset;
	return true;
}

static bool info_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct lease_id_params *p = data;
	g_autofree char *path = NULL;
	struct lease_info *info;
	int64_t offset;

	if (!storage_lease(agent->storage, p->domain_id, /* image= */ NULL, p->lease_id, &path, &offset, error))
		return false;
	info = record_new(&lease_info_type);
	set_string(&info->domain_id, p->domain_id);
	set_string(&info->lease_id, p->lease_id);
	set_string(&info->path, path);
	SET(info, offset, offset);
	result_record(ret_result, info);
	record_unref(info);
	return true;
}

/* First who holds it: the metadata of one that is free are then what the last one wrote. */
static bool status_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct lease_id_params *p = data;
	autodomain domain = domain_open_active(agent->storage, p->domain_id, error);
	g_autoptr(GError) problem = NULL;
	struct lease_metadata *guarded;
	g_autofree char *path = NULL;
	struct lease_status *status;
	struct lease_owner owner;
	struct lease lease;

	if (!domain || !xlease_find(domain, p->lease_id, &lease, error))
		return false;
	path = (char *)lease.path;
	if (!lock_inquire(agent->storage->locks, domain, &lease, &owner, error))
		return false;
	guarded = job_lease_read(domain, &lease, &problem);
	if (problem) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return false;
	}
	status = record_new(&lease_status_type);
	SET(status, owners, json_array());
	if (owner.host_id)
		json_array_append_new(status->owners, json_integer((json_int_t)owner.host_id));
	SET(status, version, owner.version);
	if (guarded)
		SET(status, metadata, guarded);
	result_record(ret_result, status);
	record_unref(status);
	return true;
}

static bool fence_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct lease_id_params *p = data;
	struct job_lease held;

	if (!job_lease_take(agent->storage, p->domain_id, p->lease_id, /* job= */ NULL, &held, error))
		return false;
	if (strcmp(held.metadata->job_id, p->metadata->job_id))
		error_set(error, ERR_INVALID_METADATA, "lease '%s' guards job '%s', not '%s'", p->lease_id, held.metadata->job_id, p->metadata->job_id);
	else if (job_lease_check(&held, p->metadata->generation, error))
		return job_lease_give(agent->storage, &held, "FENCED", error);
	(void)job_lease_give(agent->storage, &held, /* status= */ NULL, NULL);
	return false;
}

const struct verb_binding lease_bindings[] = {
	{ "Lease.create", create_verb }, { "Lease.delete", delete_verb }, { "Lease.info", info_verb }, { "Lease.status", status_verb },
	{ "Lease.fence", fence_verb }, { "Lease.rebuild_leases", rebuild_verb },
};
const size_t n_lease_bindings = G_N_ELEMENTS(lease_bindings);
