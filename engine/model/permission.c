/* SPDX-License-Identifier: Apache-2.0 */
/* Permissions: the table. See permission.h. */
#include "engine/model/kinds.h"
#include "engine/model/permission.h"

#define ON(member, collection) FIELD_REF_(struct permission, member, #member, VOLATILE_ | WEAK, collection, "object it holds for")

static const struct field permission_fields[] = {
	FIELD_UUID_(struct permission, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_REF_(struct permission, role, "role", CREATE | REQUIRED, "roles", "what is allowed"),
	FIELD_REF_(struct permission, user, "user", CREATE, "users", "to whom; or group"),
	FIELD_REF_(struct permission, group, "group", CREATE, "groups", "to whom; or user"),
	ON(data_center, "datacenters"), ON(cluster, "clusters"), ON(host, "hosts"), ON(vm, "vms"), ON(template, "templates"),
	ON(storage_domain, "storagedomains"), ON(network, "networks"), ON(disk, "disks"),
	FIELD_STRING_(struct permission, object_kind, "object_kind", INTERNAL, "collection of the object"),
	FIELD_STRING_(struct permission, object_id, "object_id", INTERNAL, "id of the object; absent: everything"),
};
const struct record_type permission_type =
	RECORD_TYPE("permission", "permissions", struct permission, permission_fields, "A role given to a user on an object");
