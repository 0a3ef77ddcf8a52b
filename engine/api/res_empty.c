/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sub-collections that representations link to but that have no members yet: they answer GET with an empty collection. When one gets members, its row
 * moves to a file of its own.
 */
#include "engine/api/res_data.h"
#include "engine/model/cdrom.h"
#include "engine/model/role.h"

const char *const no_links[] = { NULL };

GPtrArray *empty_list(struct request *request, GError **error)
{
	return g_ptr_array_new_with_free_func(record_unref);
}

struct named { struct record record; char *id, *name; };
static const struct field named_fields[] = {
	FIELD_STRING_(struct named, id, "@id", READ_ONLY, "identity"),
	FIELD_STRING_(struct named, name, "name", HEAD, "name"),
};
#define NAMED(element, collection, text) RECORD_TYPE(element, collection, struct named, named_fields, text)
static const struct record_type iscsi_bond_type = NAMED("iscsi_bond", "iscsi_bonds", "Paths to iSCSI storage");
static const struct record_type gluster_hook_type = NAMED("gluster_hook", "gluster_hooks", "A Gluster hook");
static const struct record_type watchdog_type = NAMED("watchdog", "watchdogs", "A watchdog device");

const struct resource resource_datacenter_iscsi_bond = EMPTY_RESOURCE(&resource_datacenter, "iscsibonds", &iscsi_bond_type, "iSCSI bonds of the data center");
const struct resource resource_cluster_gluster_hook = EMPTY_RESOURCE(&resource_cluster, "glusterhooks", &gluster_hook_type, "Gluster hooks of the cluster");
const struct resource resource_template_cdrom = EMPTY_RESOURCE(&resource_template, "cdroms", &cdrom_type, "CD drive of the template");
const struct resource resource_template_watchdog = EMPTY_RESOURCE(&resource_template, "watchdogs", &watchdog_type, "Watchdogs of the template");
