/* SPDX-License-Identifier: Apache-2.0 */
/* Storage domains: the tables. See storage_domain.h. */
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/model/logical_unit.h"
#include "engine/model/misc.h"
#include "engine/model/storage_domain.h"

const char *const storage_domain_state_names[] = {
	"active", "inactive", "locked", "mixed", "unattached", "maintenance", "preparing_for_maintenance", "detaching", "activating", "unknown", NULL
};
const char *const storage_domain_flavor_names[] = { "data", "iso", "export", "image", NULL };
const char *const storage_type_names[] = { "nfs", "posixfs", "iscsi", "fcp", "localfs", "glusterfs", "glance", NULL };
static const char *const nfs_version_names[] = { "auto", "v3", "v4", "v4_1", NULL };

#define CU (CREATE | UPDATE)

#define STORAGE_DOMAIN_FIELDS(id_flags, required) \
	FIELD_UUID_(struct storage_domain, id, "@id", id_flags, "identity on the storage, given by the engine; with import: of the domain that is there"), \
	FIELD_STRING_(struct storage_domain, name, "name", CU | SEARCH | UNIQUE | HEAD, "unique name; absent on creation: import what is there", .min = 1, \
		      .max = 250, .pattern = "[-\\w]+"), \
	FIELD_STRING_(struct storage_domain, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000), \
	FIELD_STRING_(struct storage_domain, comment, "comment", CU | HEAD | SEARCH, "free text", .max = 4000), \
	FIELD_REF_(struct storage_domain, data_center, "data_center", SEARCH | WITHIN, "datacenters", "data center it is attached to", .search = "datacenter"), \
	FIELD_ENUM_(struct storage_domain, type, "type", CREATE | required | SEARCH, storage_domain_flavor_names, "what it holds"), \
	FIELD_ENUM_(struct storage_domain, state, "status/state", SEARCH, storage_domain_state_names, "can it be used", .search = "status"), \
	FIELD_STRING_(struct storage_domain, state_detail, "status/detail", READ_ONLY, "why it is in that state"), \
	FIELD_ENUM_(struct storage_domain, external_state, "external_status/state", CU | SEARCH, external_state_names, "health as others report it", \
		    .search = "external_status"), \
	FIELD_BOOL_(struct storage_domain, master, "master", READ_ONLY, "it is the data center's master domain"), \
	FIELD_REF_(struct storage_domain, host, "host", CREATE | required | WEAK, "hosts", "host that made it"), \
	FIELD_STRING_(struct storage_domain, storage_id, "storage@id", CREATE | INPUT_ONLY, "existing storage connection", .max = 64), \
	FIELD_ENUM_(struct storage_domain, storage_type, "storage/type", CREATE | SEARCH, storage_type_names, "kind of storage", \
		    .search = "storage_type"), \
	FIELD_STRING_(struct storage_domain, address, "storage/address", CREATE, "server", .max = 255), \
	FIELD_STRING_(struct storage_domain, path, "storage/path", CREATE, "directory", .max = 4095), \
	FIELD_STRING_(struct storage_domain, vfs_type, "storage/vfs_type", CREATE, "file system, for posixfs", .max = 64), \
	FIELD_STRING_(struct storage_domain, mount_options, "storage/mount_options", CREATE, "mount options", .max = 1024), \
	FIELD_STRING_(struct storage_domain, nfs_version, "storage/nfs_version", CREATE, "NFS version", .names = nfs_version_names), \
	FIELD_INT_(struct storage_domain, nfs_timeo, "storage/nfs_timeo", CREATE, "how long the NFS client waits", .unit = "0.1 s", .min = 1, .max = 65535), \
	FIELD_INT_(struct storage_domain, nfs_retrans, "storage/nfs_retrans", CREATE, "how often the NFS client asks again", .min = 0, .max = 32767), \
	FIELD_STRING_(struct storage_domain, volume_group, "storage/volume_group@id", READ_ONLY, "volume group on the LUNs"), \
	FIELD_LIST_(struct storage_domain, logical_units, "storage/volume_group/logical_unit", CU, &logical_unit_type, \
		    "LUNs of an iscsi or fcp domain; with the details of its target the host logs in there. Update: more of them extend the domain"), \
	FIELD_LIST_(struct storage_domain, logical_units, "storage/logical_unit", CU | ALIAS, &logical_unit_type, "the same, shorter"), \
	FIELD_BOOL_(struct storage_domain, override_luns, "storage/override_luns", CU | INPUT_ONLY, "take LUNs that hold something"), \
	FIELD_LONG_(struct storage_domain, available, "available", SEARCH, "free space", .unit = "bytes"), \
	FIELD_LONG_(struct storage_domain, used, "used", SEARCH, "used space", .unit = "bytes"), \
	FIELD_LONG_(struct storage_domain, committed, "committed", SEARCH, "space promised to disks", .unit = "bytes"), \
	FIELD_ENUM_(struct storage_domain, storage_format, "storage_format", CREATE, storage_format_names, "format of its metadata", .def = "v3"), \
	FIELD_BOOL_(struct storage_domain, wipe_after_delete, "wipe_after_delete", CU, "default for new disks", .def = "false"), \
	FIELD_INT_(struct storage_domain, warning_low_space_indicator, "warning_low_space_indicator", CU, "free space below it is warned of", \
		   .unit = "%", .min = 0, .max = 100, .def = "10"), \
	FIELD_INT_(struct storage_domain, critical_space_action_blocker, "critical_space_action_blocker", CU, "below it nothing that takes space begins", \
		   .unit = "GiB", .min = 0, .max = 2147483647, .def = "5"), \
	FIELD_BOOL_(struct storage_domain, import, "import", CREATE | INPUT_ONLY, "take the domain that is there"), \
	FIELD_LIST_(struct storage_domain, data_centers, "data_centers/data_center", VOLATILE_, &object_ref_type, "data center it is attached to", \
		    .target = "datacenters"), \
	FIELD_REF_(struct storage_domain, local_host, "local_host", INTERNAL | WEAK, "hosts", "the one host that sees a local domain"), \
	FIELD_REF_(struct storage_domain, provider, "provider", INTERNAL | FOLLOWS, "openstackimageproviders", "image service that it stands for"), \
	FIELD_LIST_(struct storage_domain, connections, "connections/storage_connection", INTERNAL, &object_ref_type, "how it is reached", \
		    .target = "storageconnections")

static const struct field storage_domain_fields[] = { STORAGE_DOMAIN_FIELDS(CREATE, REQUIRED) };
const struct record_type storage_domain_type =
	RECORD_TYPE("storage_domain", "storage_domains", struct storage_domain, storage_domain_fields, "A place for disks or files");

static const struct field attached_domain_fields[] = { STORAGE_DOMAIN_FIELDS(CREATE, READ_ONLY) };
const struct record_type attached_domain_type =
	RECORD_TYPE("storage_domain", "storage_domains", struct storage_domain, attached_domain_fields, "A storage domain of the data center");
