/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions of VMs that a domain keeps beside their disks, so that they can be imported where the engine is lost: master/vms/<VM>/<VM>.ovf, as vdsm
 * lays them out (a domain in a volume group has a file system of its own there, which only the manager of the pool may have mounted). Each is replaced as a
 * whole; a directory without its file is what a killed agent left, and no definition.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <string.h>
#include "agent/storage/form/block.h"
#include "agent/storage/pool/pool.h"

#define VMS "vms"
#define OVF_MAX (4 * 1024 * 1024)
#define OVF_MODE 0644
#define ANSWER_MAX (12 * 1024 * 1024)    /* of one answer: the channel takes no more than CHANNEL_BODY_MAX */

int ovf_open(const struct domain *domain, GError **error)
{
	autofd master = block_check_manager(domain->storage, domain->id, error) ? domain->form->master(domain, error) : -1;
	int fd;

	if (master < 0)
		return -1;
	/* the file system of a volume group begins empty */
	if ((fd = files_open_dir(master, VMS)) < 0 && errno == ENOENT && files_make_dir(master, VMS) && fsync(master) == 0)
		fd = files_open_dir(master, VMS);
	if (fd < 0)
		error_set_errno(error, ERR_VM_PATH_NOT_EXISTS, errno, "'%s/master/%s'", domain->path, VMS);
	return fd;
}

/* The directory of definitions in a domain of the pool that is active here. -1 + error */
static int open_vms(struct storage *storage, const char *pool_id, const char *domain_id, GError **error)
{
	autopool pool = pool_get(storage, pool_id, error);
	autodomain domain = NULL;

	if (!pool || !(domain = domain_open_active(storage, domain_id && *domain_id ? domain_id : pool->master, error)) ||
	    !pool_check_member(domain, pool->id, error))
		return -1;
	return ovf_open(domain, error);
}

static char *name_of(const char *vm)
{
	return g_strdup_printf("%s/%s.ovf", vm, vm);
}

/* All of them, or the first that is not well-formed: nothing is written then. */
static bool check(const json_t *vms, GError **error)
{
	size_t i;
	json_t *vm;

	json_array_foreach((json_t *)vms, i, vm) {
		const char *id = json_string_value(json_object_get(vm, "vm")), *ovf = json_string_value(json_object_get(vm, "ovf"));

		if (!id || !files_is_uuid(id))
			error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "vmList[%zu].vm: '%s' is no id", i, id ? id : "");
		else if (!ovf || strlen(ovf) > OVF_MAX)
			error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "vmList[%zu].ovf of VM '%s': %s", i, id, ovf ? "longer than 4 MiB" : "missing");
		else
			continue;
		return false;
	}
	if (json_is_array(vms))
		return true;
	error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "vmList is not an array");
	return false;
}

static bool keep(int vms, const char *id, const char *ovf, GError **error)
{
	g_autofree char *file = g_strconcat(id, ".ovf", NULL);
	bool good = files_make_dir(vms, id) || errno == EEXIST;
	autofd fd = good ? files_open_dir(vms, id) : -1;

	if (fd >= 0 && files_write(fd, file, ovf, OVF_MODE) && fsync(vms) == 0)
		return true;
	files_error(error, ERR_STORAGE_UPDATE_VM_ERROR, errno, "VM '%s'", id);
	return false;
}

bool ovf_update_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autofd vms = check(p->vms, error) ? open_vms(agent->storage, p->pool_id, p->domain_id, error) : -1;
	size_t i;
	json_t *vm;

	if (vms < 0)
		return false;
	json_array_foreach(p->vms, i, vm)
		if (!keep(vms, json_string_value(json_object_get(vm, "vm")), json_string_value(json_object_get(vm, "ovf")), error))
			return false;
	return true;
}

bool ovf_remove_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autofd vms = open_vms(agent->storage, p->pool_id, p->domain_id, error);

	if (vms < 0)
		return false;
	if (files_remove_tree(vms, p->vm_id))
		return true;
	error_set_errno(error, ERR_STORAGE_UPDATE_VM_ERROR, errno, "VM '%s'", p->vm_id);
	return false;
}

static GPtrArray *list(int vms, GError **error)
{
	GPtrArray *names = files_list(vms, ".");

	if (!names) {
		error_set_errno(error, ERR_VM_PATH_NOT_EXISTS, errno, "'%s'", VMS);
		return NULL;
	}
	for (guint i = names->len; i-- > 0;) {
		g_autofree char *file = name_of(names->pdata[i]);

		if (!files_is_uuid(names->pdata[i]) || !files_exists(vms, file))
			g_ptr_array_remove_index(names, i);
	}
	return names;
}

bool ovf_list_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autofd vms = open_vms(agent->storage, p->pool_id, p->domain_id, error);
	g_autoptr(GPtrArray) names = vms < 0 ? NULL : list(vms, error);
	json_t *ids;

	if (!names)
		return false;
	ids = json_array();
	for (guint i = 0; i < names->len; i++)
		json_array_append_new(ids, json_string(names->pdata[i]));
	result_json(ret_result, ids);
	return true;
}

bool ovf_info_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct pool_params *p = data;
	autofd vms = open_vms(agent->storage, p->pool_id, p->domain_id, error);
	const bool some = p->vm_ids && p->vm_ids->len;
	g_autoptr(GPtrArray) all = vms >= 0 && !some ? list(vms, error) : NULL;
	const GPtrArray *names = some ? p->vm_ids : all;
	json_t *map;

	if (vms < 0 || !names)
		return false;
	map = json_object();
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *file = name_of(names->pdata[i]);
		g_autofree char *ovf = files_is_uuid(names->pdata[i]) ? files_read(vms, file, OVF_MAX) : NULL;

		if (ovf)
			json_object_set_new(map, names->pdata[i], json_string(ovf));
	}
	result_json(ret_result, map);
	if (ret_result->len <= ANSWER_MAX)
		return true;
	g_string_truncate(ret_result, 0);
	error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "vmList: the OVFs of %u VMs are more than %d bytes: ask for fewer", names->len, ANSWER_MAX);
	return false;
}
