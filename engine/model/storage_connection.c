/* SPDX-License-Identifier: Apache-2.0 */
/* Storage connections: the tables. See storage_connection.h. */
#include "engine/model/storage_connection.h"
#include "engine/model/kinds.h"

static const char *const type_names[] = { "nfs", "posixfs", "iscsi", "fcp", "localfs", "glusterfs", "glance", "local", NULL };
static const char *const nfs_version_names[] = { "auto", "v3", "v4", "v4_1", NULL };

#define CU (CREATE | UPDATE)
#define C struct storage_connection

#define CONNECTION_FIELDS(id_flags, required) \
	FIELD_UUID_(C, id, "@id", id_flags, "identity, given by the engine"), \
	FIELD_REF_(C, host, "host", CU | INPUT_ONLY | WEAK, "hosts", "host that connects now; absent: the connection is only kept"), \
	FIELD_STRING_(C, address, "address", CU, "server: its name or address", .min = 1, .max = 255, .pattern = "[^\\s,]+"), \
	FIELD_ENUM_(C, type, "type", CREATE | required, type_names, "kind of storage"), \
	FIELD_STRING_(C, path, "path", CU, "directory on the server, or on the host", .min = 1, .max = 4095), \
	FIELD_STRING_(C, mount_options, "mount_options", CU, "mount options", .max = 1024, .pattern = "\\S*"), \
	FIELD_STRING_(C, vfs_type, "vfs_type", CU, "file system, for posixfs", .min = 1, .max = 64, .pattern = "[-\\w.]+"), \
	FIELD_STRING_(C, nfs_version, "nfs_version", CU, "NFS version", .names = nfs_version_names), \
	FIELD_INT_(C, nfs_timeo, "nfs_timeo", CU, "how long the NFS client waits for an answer", .unit = "0.1 s", .min = 1, .max = 65535), \
	FIELD_INT_(C, nfs_retrans, "nfs_retrans", CU, "how often the NFS client asks again", .min = 0, .max = 32767), \
	FIELD_INT_(C, port, "port", CU, "port of the portal", .min = 1, .max = 65535), \
	FIELD_STRING_(C, target, "target", CU, "iSCSI target", .min = 1, .max = 255, .pattern = "\\S+"), \
	FIELD_STRING_(C, username, "username", CU, "CHAP user", .max = 255), \
	FIELD_STRING_(C, password, "password", CU | SECRET, "CHAP password", .max = 255)

static const struct field storage_connection_fields[] = { CONNECTION_FIELDS(READ_ONLY, REQUIRED) };
const struct record_type storage_connection_type =
	RECORD_TYPE("storage_connection", "storage_connections", C, storage_connection_fields, "How storage is reached");

static const struct field attached_connection_fields[] = { CONNECTION_FIELDS(CREATE | REQUIRED, READ_ONLY) };
const struct record_type attached_connection_type =
	RECORD_TYPE("storage_connection", "storage_connections", C, attached_connection_fields, "A connection of a storage domain");

#define E struct connection_extension
static const struct field connection_extension_fields[] = {
	FIELD_UUID_(E, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_REF_(E, host, "host", CREATE | REQUIRED, "hosts", "host that uses it"),
	FIELD_STRING_(E, target, "target", CU | REQUIRED | UNIQUE, "iSCSI target", .min = 1, .max = 255, .pattern = "\\S+"),
	FIELD_STRING_(E, username, "username", CU | REQUIRED, "CHAP user", .min = 1, .max = 255),
	FIELD_STRING_(E, password, "password", CU | REQUIRED | SECRET, "CHAP password", .min = 1, .max = 255),
};
const struct record_type connection_extension_type = RECORD_TYPE("storage_connection_extension", "storage_connection_extensions", E,
								 connection_extension_fields, "Credentials of one host at a target");
