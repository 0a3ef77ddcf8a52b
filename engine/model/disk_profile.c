/* SPDX-License-Identifier: Apache-2.0 */
/* Disk profiles: the table. See disk_profile.h. */
#include "engine/model/disk_profile.h"

#define CU (CREATE | UPDATE)

static const struct field disk_profile_fields[] = {
	FIELD_UUID_(struct disk_profile, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(struct disk_profile, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "name within the storage domain", .min = 1, .max = 50),
	FIELD_STRING_(struct disk_profile, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_REF_(struct disk_profile, storage_domain, "storage_domain", CREATE | REQUIRED | SEARCH, "storagedomains", "domain it belongs to"),
	FIELD_REF_(struct disk_profile, qos, "qos", CU, "qoss", "limits of the disks"),
};
const struct record_type disk_profile_type =
	RECORD_TYPE("disk_profile", "disk_profiles", struct disk_profile, disk_profile_fields, "Limits for the disks of a storage domain");
