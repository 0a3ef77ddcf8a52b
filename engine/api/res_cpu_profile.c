/* SPDX-License-Identifier: Apache-2.0 */
/* CPU profiles (REST 3.6), all of them and those of a cluster. Names are unique within the cluster. */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/api/res_qos.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

static bool limits_fit(struct model *model, const struct cpu_profile *profile, GError **error)
{
	struct cluster *cluster = model_get(model, &cluster_kind, profile->cluster.id);
	g_autofree char *what = g_strdup_printf("cpu_profile '%s'", profile->name);
	bool fits = qos_fits(model, &profile->qos, QOS_CPU, cluster ? cluster->data_center.id : NULL, what, error);

	record_unref(cluster);
	return fits;
}

/* Run by the writer. */
static bool check(struct model *model, void *record, GError **error)
{
	const struct cpu_profile *profile = record;
	g_autoptr(GPtrArray) others = model_referring(model, &cpu_profile_kind, offsetof(struct cpu_profile, cluster), profile->cluster.id);

	for (unsigned i = 0; i < others->len; i++) {
		const struct cpu_profile *other = others->pdata[i];

		if (g_strcmp0(other->id, profile->id) && !g_ascii_strcasecmp(other->name, profile->name)) {
			error_set(error, ERR_OPERATION_FAILED, "name '%s' is already used by a CPU profile of the cluster", profile->name);
			return false;
		}
	}
	return limits_fit(model, profile, error);
}

static const char *const links[] = { "permissions", NULL };
#define PROFILE_RESOURCE .kind = &cpu_profile_kind, .path = "cpuprofiles", .methods = RESOURCE_ALL, .by_itself = true, .links = links, .check = check, .updated = limits_of_all, \
	.event_added = 10130, .event_removed = 10132, .event_updated = 10134, \
	.permit_add = "edit_cluster_configuration", .permit_update = "edit_cluster_configuration", .permit_remove = "edit_cluster_configuration"
const struct resource resource_cpu_profile = { PROFILE_RESOURCE, .doc = "CPU limits for the virtual machines of a cluster" };
const struct resource resource_cluster_cpu_profile = { PROFILE_RESOURCE, .parent = &resource_cluster, .doc = "CPU profiles of the cluster" };
const struct resource resource_cpu_profile_permission = PERMISSION_RESOURCE(&resource_cpu_profile);
