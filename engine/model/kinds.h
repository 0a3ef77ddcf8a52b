/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_KINDS_H
#define BERTH_ENGINE_MODEL_KINDS_H
/* The kinds by name: model_get(model, &vm_kind, id). Rows in kinds.c. */
#include "engine/model/model.h"

/*
 * A reference that does not hold its target: it may name something that is gone (events name what they were about). Every other reference of a
 * stored record must name an object that exists, and keeps it from being removed.
 */
#define WEAK (1u << 16)
/*
 * A reference to what the object is part of: permissions come down from there (a VM is in its cluster). A kind's .parent is such a reference without the
 * flag.
 */
#define WITHIN (1u << 17)
/* A reference whose object goes when what it names goes: a user's permissions with the user. */
#define FOLLOWS (1u << 18)
/* URLs of external providers: no user, password, query or fragment, for a URL is shown, logged and told to hosts */
#define PROVIDER_URL_PATTERN "https?://[^\\s/@?#]+(/[^\\s@?#]*)?"

extern const struct kind datacenter_kind, cluster_kind, network_kind, cluster_network_kind, host_kind, storage_domain_kind, template_kind, vm_kind,
	disk_kind, nic_kind, cpu_profile_kind, vnic_profile_kind, qos_kind, quota_kind, affinity_group_kind, disk_profile_kind,
	fence_agent_kind, storage_connection_kind, connection_extension_kind, event_kind, user_kind, group_kind, role_kind, permission_kind, tag_kind,
	tag_assignment_kind, flow_kind, directory_domain_kind, directory_user_kind, directory_group_kind, image_provider_kind, image_kind,
	host_provider_kind;

/* Children of these kinds go with their parent without being named: NICs with the VM, a cluster's networks with the cluster. */
bool kind_is_owned(const struct kind *kind);
/* Calls fn, until it returns false, for each stored reference of the record: rows of kind FIELD_REF and items of lists with a .target. */
void record_each_ref(const void *record, bool (*fn)(const struct field *field, const char *id, void *data), void *data);

#endif
