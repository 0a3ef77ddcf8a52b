/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_PERMISSION_H
#define BERTH_ENGINE_MODEL_PERMISSION_H
/* Permissions (REST 7.4.8): a role given to a user on an object. Removed with the object. */
#include "common/record.h"

struct permission {
	struct record record;
	char *id, *name;                     /* no name */
	struct ref role, user, group;
	char *object_kind, *object_id;       /* INTERNAL: collection ("vms") and id; absent: everything */
	/* the same as a reference, for kinds that have one here */
	struct ref data_center, cluster, host, vm, template, storage_domain, network, disk, cpu_profile, vnic_profile;
};
extern const struct record_type permission_type;

/* Sets on what the permission is: object NULL: on everything. */
void permission_set_object(struct permission *permission, const void *object);

#endif
