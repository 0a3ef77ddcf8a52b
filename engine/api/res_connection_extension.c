/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of one host at iSCSI targets, instead of those of the connection (REST 13.3.8). */
#include "engine/api/res_data.h"
#include "engine/api/res_host.h"
#include "engine/model/kinds.h"
#include "engine/model/storage_connection.h"

/* Codes of our own */
const struct resource resource_host_connection_extension = {
	.kind = &connection_extension_kind, .path = "storageconnectionextensions", .parent = &resource_host, .methods = RESOURCE_ALL, .links = no_links,
	.event_added = 20334, .event_updated = 20335, .event_removed = 20336, .permit_add = "edit_host_configuration",
	.permit_update = "edit_host_configuration", .permit_remove = "edit_host_configuration", .doc = "Credentials of the host at iSCSI targets",
};
