/* SPDX-License-Identifier: Apache-2.0 */
/* Permissions: the table. See permission.h. */
#include "engine/model/kinds.h"
#include "engine/model/permission.h"
#include <string.h>

#define ON(member, collection) FIELD_REF_(struct permission, member, #member, CREATE | WEAK, collection, "object it holds for; given only below a user or group")

static const struct field permission_fields[] = {
	FIELD_UUID_(struct permission, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_REF_(struct permission, role, "role", CREATE | REQUIRED, "roles", "what is allowed"),
	FIELD_REF_(struct permission, user, "user", CREATE | FOLLOWS, "users", "to whom; or group"),
	FIELD_REF_(struct permission, group, "group", CREATE | FOLLOWS, "groups", "to whom; or user"),
	ON(data_center, "datacenters"), ON(cluster, "clusters"), ON(host, "hosts"), ON(vm, "vms"), ON(template, "templates"),
	ON(storage_domain, "storagedomains"), ON(network, "networks"), ON(disk, "disks"),
	ON(cpu_profile, "cpuprofiles"), ON(vnic_profile, "vnicprofiles"),
	FIELD_STRING_(struct permission, object_kind, "object_kind", INTERNAL, "collection of the object"),
	FIELD_STRING_(struct permission, object_id, "object_id", INTERNAL, "id of the object; absent: everything"),
};
const struct record_type permission_type =
	RECORD_TYPE("permission", "permissions", struct permission, permission_fields, "A role given to a user on an object");

void permission_set_object(struct permission *permission, const void *object)
{
	const struct kind *kind = object ? kind_of(object) : NULL;

	set_string(&permission->object_kind, kind ? kind->collection : NULL);
	set_string(&permission->object_id, kind ? object_id(object) : NULL);
	for (size_t i = 0; kind && i < permission_type.n_fields; i++) {
		const struct field *field = &permission_type.fields[i];

		/* what it is on, not to whom it is given */
		if (field->kind == FIELD_REF && field->flags & WEAK && strcmp(field->target, kind->collection) == 0)
			set_ref((struct ref *)(void *)((char *)permission + field->offset), object_id(object));
	}
}
