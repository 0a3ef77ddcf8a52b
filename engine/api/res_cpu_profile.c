/* SPDX-License-Identifier: Apache-2.0 */
/* CPU profiles (REST 3.6), all of them and those of a cluster. Names are unique within the cluster. */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/store/store.h"

static bool check_name(struct model *model, void *data, GError **error)
{
	const struct cpu_profile *profile = data;
	g_autoptr(GPtrArray) others = model_referring(model, &cpu_profile_kind, offsetof(struct cpu_profile, cluster), profile->cluster.id);

	for (unsigned i = 0; i < others->len; i++) {
		const struct cpu_profile *other = others->pdata[i];

		if (g_strcmp0(other->id, profile->id) && !g_ascii_strcasecmp(other->name, profile->name)) {
			error_set(error, ERR_OPERATION_FAILED, "name '%s' is already used by a CPU profile of the cluster", profile->name);
			return false;
		}
	}
	return true;
}

static bool add(struct request *request, void *input, void **ret_record, GError **error)
{
	struct change *change = change_new(request->engine->store);

	change_check(change, check_name, input);
	change_add(change, input);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(input);
	return true;
}

static bool update(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error)
{
	struct change *change = change_new(request->engine->store);

	change_check(change, check_name, changed);
	change_replace(change, current, changed);
	if (!change_commit(change, error))
		return false;
	*ret_record = record_ref(changed);
	return true;
}

static const char *const links[] = { "permissions", NULL };
#define PROFILE_RESOURCE .kind = &cpu_profile_kind, .path = "cpuprofiles", .methods = RESOURCE_ALL, .links = links, \
	.permit_add = "edit_cluster_configuration", .permit_update = "edit_cluster_configuration", .permit_remove = "edit_cluster_configuration", \
	.add = add, .update = update
const struct resource resource_cpu_profile = { PROFILE_RESOURCE, .doc = "CPU limits for the virtual machines of a cluster" };
const struct resource resource_cluster_cpu_profile = { PROFILE_RESOURCE, .parent = &resource_cluster, .doc = "CPU profiles of the cluster" };
const struct resource resource_cpu_profile_permission = PERMISSION_RESOURCE(&resource_cpu_profile);
