/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of objects: one row each; what holds for an object of any kind. */
#include "engine/model/affinity_group.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/disk.h"
#include "engine/model/disk_profile.h"
#include "engine/model/event.h"
#include "engine/model/fence_agent.h"
#include "engine/model/host.h"
#include "engine/model/host_provider.h"
#include "engine/model/image_provider.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/model/permission.h"
#include "engine/model/qos.h"
#include "engine/model/quota.h"
#include "engine/model/role.h"
#include "engine/model/storage_connection.h"
#include "engine/model/storage_domain.h"
#include "engine/model/tag.h"
#include "engine/model/template.h"
#include "engine/model/user.h"
#include "engine/model/vm.h"
#include "engine/model/vnic_profile.h"
#include <string.h>

/* Every struct begins with the record, id, name. */
struct object { struct record record; char *id, *name; };

const struct kind datacenter_kind = { .type = &datacenter_type, .collection = "datacenters" };
const struct kind cluster_kind = { .type = &cluster_type, .collection = "clusters" };
const struct kind network_kind = { .type = &network_type, .collection = "networks" };
const struct kind cluster_network_kind = {
	.type = &cluster_network_type, .collection = "clusternetworks", .parent = offsetof(struct cluster_network, cluster), .parent_kind = &cluster_kind,
	.owned = true
};
const struct kind host_kind = { .type = &host_type, .collection = "hosts", .group = offsetof(struct host, cluster) };
const struct kind host_provider_kind = { .type = &host_provider_type, .collection = "externalhostproviders" };
const struct kind image_provider_kind = { .type = &image_provider_type, .collection = "openstackimageproviders" };
const struct kind storage_domain_kind = { .type = &storage_domain_type, .collection = "storagedomains" };
const struct kind template_kind = { .type = &template_type, .collection = "templates" };
const struct kind cpu_profile_kind = { .type = &cpu_profile_type, .collection = "cpuprofiles" };
const struct kind vm_kind = { .type = &vm_type, .collection = "vms", .group = offsetof(struct vm, host) };
const struct kind disk_kind = { .type = &disk_type, .collection = "disks", .parent = offsetof(struct disk, vm), .parent_kind = &vm_kind };
const struct kind nic_kind = {
	.type = &nic_type, .collection = "nics", .parent = offsetof(struct nic, vm), .parent_kind = &vm_kind,
	.other_parent = offsetof(struct nic, template), .owned = true
};
const struct kind qos_kind = {
	.type = &qos_type, .collection = "qoss", .parent = offsetof(struct qos, data_center), .parent_kind = &datacenter_kind, .owned = true
};
const struct kind quota_kind = {
	.type = &quota_type, .collection = "quotas", .parent = offsetof(struct quota, data_center), .parent_kind = &datacenter_kind, .owned = true
};
const struct kind vnic_profile_kind = {
	.type = &vnic_profile_type, .collection = "vnicprofiles", .parent = offsetof(struct vnic_profile, network), .parent_kind = &network_kind, .owned = true
};
const struct kind affinity_group_kind = {
	.type = &affinity_group_type, .collection = "affinitygroups", .parent = offsetof(struct affinity_group, cluster), .parent_kind = &cluster_kind,
	.owned = true
};
const struct kind fence_agent_kind = {
	.type = &fence_agent_type, .collection = "fenceagents", .parent = offsetof(struct fence_agent, host), .parent_kind = &host_kind, .owned = true
};
const struct kind storage_connection_kind = { .type = &storage_connection_type, .collection = "storageconnections" };
const struct kind connection_extension_kind = {
	.type = &connection_extension_type, .collection = "storageconnectionextensions", .parent = offsetof(struct connection_extension, host),
	.parent_kind = &host_kind, .owned = true
};
const struct kind disk_profile_kind = {
	.type = &disk_profile_type, .collection = "diskprofiles", .parent = offsetof(struct disk_profile, storage_domain),
	.parent_kind = &storage_domain_kind, .owned = true
};
const struct kind user_kind = { .type = &user_type, .collection = "users" };
const struct kind group_kind = { .type = &group_type, .collection = "groups" };
const struct kind role_kind = { .type = &role_type, .collection = "roles", .open = true };
const struct kind permission_kind = { .type = &permission_type, .collection = "permissions" };
const struct kind tag_kind = { .type = &tag_type, .collection = "tags", .open = true };
const struct kind tag_assignment_kind = {
	.type = &tag_assignment_type, .collection = "tagassignments", .parent = offsetof(struct tag_assignment, tag), .parent_kind = &tag_kind, .owned = true
};
const struct kind event_kind = { .type = &event_type, .collection = "events", .sequence = true };
const struct kind flow_kind = { .type = &flow_record_type, .collection = "flows" };
/* what directories have: read from them when asked, so that it can be searched like the rest */
const struct kind directory_domain_kind = { .type = &directory_domain_type, .collection = "domains", .transient = true, .open = true };
const struct kind directory_user_kind = { .type = &directory_user_type, .collection = "domainusers", .transient = true };
const struct kind directory_group_kind = { .type = &directory_group_type, .collection = "domaingroups", .transient = true };

/* what an image service has: read from it when asked */
const struct kind image_kind = { .type = &image_type, .collection = "images", .transient = true };

/* What is referred to stands before what refers to it. */
const struct kind *const kinds[] = {
	&datacenter_kind, &qos_kind, &quota_kind, &cluster_kind, &affinity_group_kind, &network_kind, &cluster_network_kind, &vnic_profile_kind, &host_provider_kind,
	&host_kind,
	&fence_agent_kind, &connection_extension_kind, &storage_connection_kind, &image_provider_kind, &storage_domain_kind, &disk_profile_kind, &template_kind,
	&cpu_profile_kind, &vm_kind, &disk_kind, &nic_kind, &role_kind, &user_kind, &group_kind, &permission_kind, &tag_kind,
	&tag_assignment_kind, &event_kind, &flow_kind, &directory_domain_kind, &directory_user_kind, &directory_group_kind, &image_kind, NULL
};

/* Types with the rows of a kind's type but other flags. */
static const struct { const struct record_type *type; const struct kind *kind; } views[] = {
	{ &datacenter_cluster_type, &cluster_kind }, { &datacenter_network_type, &network_kind }, { &cluster_member_network_type, &network_kind },
	{ &attached_domain_type, &storage_domain_kind }, { &attached_connection_type, &storage_connection_kind }, { &power_agent_type, &fence_agent_kind },
	{ &assigned_role_type, &role_kind }, { &attached_tag_type, &tag_kind },
};

const struct kind *kind_of(const void *record)
{
	const struct record_type *type = ((const struct record *)record)->type;

	for (size_t i = 0; kinds[i]; i++)
		if (kinds[i]->type == type)
			return kinds[i];
	for (size_t i = 0; i < G_N_ELEMENTS(views); i++)
		if (views[i].type == type)
			return views[i].kind;
	return NULL;
}

const struct kind *kind_by_collection(const char *collection)
{
	for (size_t i = 0; kinds[i]; i++)
		if (!strcmp(kinds[i]->collection, collection))
			return kinds[i];
	return NULL;
}

bool kind_is_owned(const struct kind *kind)
{
	return kind->owned;
}

const char *object_id(const void *record)
{
	return ((const struct object *)record)->id;
}

const char *object_name(const void *record)
{
	const struct object *object = record;

	return record_field_at(object->record.type, offsetof(struct object, name)) ? object->name : NULL;
}

const char *object_parent(const void *record)
{
	const struct kind *kind = kind_of(record);

	return kind && kind->parent ? ((const struct ref *)((const char *)record + kind->parent))->id : NULL;
}

static bool each_ref(const void *record, const struct field *field, bool (*fn)(const struct field *field, const char *id, void *data), void *data)
{
	const void *at = (const char *)record + field->offset;

	if (field->kind == FIELD_REF) {
		const char *id = ((const struct ref *)at)->id;

		return !id || fn(field, id, data);
	}
	if (field->kind == FIELD_LIST && field->target && *(GPtrArray *const *)at) {
		const GPtrArray *list = *(GPtrArray *const *)at;

		for (unsigned i = 0; i < list->len; i++) {
			const char *id = object_id(list->pdata[i]);

			if (id && !fn(field, id, data))
				return false;
		}
	}
	return true;
}

void record_each_ref(const void *record, bool (*fn)(const struct field *field, const char *id, void *data), void *data)
{
	const struct record_type *type = ((const struct record *)record)->type;

	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *field = &type->fields[i];

		if (field->target && !(field->flags & (ALIAS | VOLATILE_ | INPUT_ONLY)) && !each_ref(record, field, fn, data))
			return;
	}
}
