/* SPDX-License-Identifier: Apache-2.0 */
/* Limits and quotas of a data center (REST 9.5.3 and the link qoss of 9.2). */
#include "engine/api/res_data.h"
#include "engine/model/kinds.h"
#include "engine/model/qos.h"
#include "engine/model/quota.h"

const struct resource resource_datacenter_qos = {
	.kind = &qos_kind, .path = "qoss", .parent = &resource_datacenter, .methods = RESOURCE_ALL, .links = no_links, .event_added = 10110,
	.event_removed = 10112, .event_updated = 10114, .permit_add = "edit_storage_pool_configuration", .permit_update = "edit_storage_pool_configuration",
	.permit_remove = "edit_storage_pool_configuration", .doc = "Limits that the data center offers",
};

const struct resource resource_datacenter_quota = {
	.kind = &quota_kind, .path = "quotas", .parent = &resource_datacenter, .methods = RESOURCE_READ | RESOURCE_ADD | RESOURCE_REMOVE, .links = no_links,
	.event_added = 3000, .event_removed = 3004, .permit_add = "edit_storage_pool_configuration", .permit_remove = "edit_storage_pool_configuration",
	.doc = "Quotas of the data center",
};
