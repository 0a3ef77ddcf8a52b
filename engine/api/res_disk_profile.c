/* SPDX-License-Identifier: Apache-2.0 */
/* Disk profiles, all of them and those of a storage domain. */
#include "common/error.h"
#include "engine/api/res_data.h"
#include "engine/api/res_qos.h"
#include "engine/api/res_storage_domain.h"
#include "engine/model/disk_profile.h"
#include "engine/model/kinds.h"

/* Run by the writer. */
static bool check(struct model *model, void *record, GError **error)
{
	const struct disk_profile *profile = record;
	struct storage_domain *domain = model_get(model, &storage_domain_kind, profile->storage_domain.id);
	g_autofree char *what = g_strdup_printf("disk_profile '%s'", profile->name);
	bool fits = !domain || domain->type == DOMAIN_DATA;

	if (!fits)
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' holds %s, no disks: it can have no disk profile", domain->name,
			  storage_domain_flavor_names[domain->type]);
	fits = fits && qos_fits(model, &profile->qos, QOS_STORAGE, domain ? domain->data_center.id : NULL, what, error);
	record_unref(domain);
	return fits;
}

#define PROFILE_RESOURCE .kind = &disk_profile_kind, .path = "diskprofiles", .methods = RESOURCE_ALL, .by_itself = true, .check = check, \
	.updated = limits_of_all, .event_added = 10120, .event_removed = 10122, .event_updated = 10124, .permit_add = "edit_storage_domain_configuration", \
	.permit_update = "edit_storage_domain_configuration", .permit_remove = "edit_storage_domain_configuration", .links = no_links
const struct resource resource_disk_profile = { PROFILE_RESOURCE, .doc = "Limits for disks" };
const struct resource resource_storage_domain_disk_profile = {
	PROFILE_RESOURCE, .parent = &resource_storage_domain, .doc = "Limits for the disks of the storage domain"
};
