/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/storage.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY

static const struct field connection_params_fields[] = {
	FIELD_UUID_(struct connection_params, pool_id, "storagepoolID", NEED, "storage pool; all zero when there is none yet"),
	FIELD_INT_(struct connection_params, domain_type, "domainType", NEED, "1 NFS, 2 FCP, 3 iSCSI, 4 local, 5 CIFS, 6 POSIX, 7 GlusterFS", .min = 1,
		   .max = 7),
	FIELD_JSON_(struct connection_params, connections, "connectionParams", NEED, "array of connections: id, connection, ..."),
};
const struct record_type connection_params_type =
	RECORD_TYPE("StoragePool.connectStorageServer", NULL, struct connection_params, connection_params_fields, "Storage connections");

static const struct field connection_ref_fields[] = {
	FIELD_UUID_(struct connection_ref, id, "id", NEED, "id of the connection"),
	FIELD_STRING_(struct connection_ref, connection, "connection", IN, "directory (local), server:path (NFS), device (POSIX), address (iSCSI)"),
	FIELD_STRING_(struct connection_ref, user, "user", IN, "CHAP user"),
	FIELD_STRING_(struct connection_ref, password, "password", IN | SECRET, "CHAP password"),
	FIELD_STRING_(struct connection_ref, iqn, "iqn", IN, "target"),
	FIELD_STRING_(struct connection_ref, portal, "portal", IN, "not used: connection and port are the portal"),
	FIELD_STRING_(struct connection_ref, port, "port", IN, "TCP port"),
	FIELD_STRING_(struct connection_ref, vfs_type, "vfs_type", IN, "file system type"),
	FIELD_STRING_(struct connection_ref, mnt_options, "mnt_options", IN, "mount options"),
	FIELD_STRING_(struct connection_ref, protocol_version, "protocol_version", IN, "NFS version: auto, 3, 4, 4.0, 4.1, 4.2", .def = "auto"),
	FIELD_STRING_(struct connection_ref, timeo, "timeo", IN, "NFS: time until a request is repeated, in tenths of a second", .def = "100"),
	FIELD_STRING_(struct connection_ref, retrans, "retrans", IN, "NFS: how often it is repeated before it fails", .def = "3"),
	FIELD_STRING_(struct connection_ref, tpgt, "tpgt", IN, "iSCSI portal group", .def = "1"),
	FIELD_STRING_(struct connection_ref, initiator, "initiatorName", IN, "iSCSI: only this host's own"),
};
const struct record_type connection_ref_type = RECORD_TYPE("connection", NULL, struct connection_ref, connection_ref_fields, "One storage connection");

#define D struct domain_create_params
static const struct field domain_create_fields[] = {
	FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "id of the new domain"),
	FIELD_INT_(D, domain_type, "domainType", NEED, "as in connectStorageServer", .min = 1, .max = 7),
	FIELD_STRING_(D, type_args, "typeArgs", NEED, "file domains: the connection (directory, server:path)"),
	FIELD_STRING_(D, name, "name", NEED, "description of the domain", .min = 1, .max = 300),
	FIELD_INT_(D, domain_class, "domainClass", NEED, "1 data, 2 ISO, 3 backup (export)", .min = 1, .max = 3),
	FIELD_INT_(D, version, "version", IN, "metadata format", .def = "5", .min = 0, .max = 5),
	FIELD_INT_(D, block_size, "blockSize", IN, "block size; 0: find out", .unit = "bytes", .def = "512"),
	FIELD_INT_(D, max_hosts, "maxHosts", IN, "hosts that can use the domain at a time", .def = "250", .min = 1, .max = 2000),
};
const struct record_type domain_create_params_type = RECORD_TYPE("StorageDomain.create", NULL, D, domain_create_fields, "Parameters of StorageDomain.create");
#undef D

#define D struct domain_pool_params
static const struct field domain_attach_fields[] = {
	FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain"),
	FIELD_UUID_(D, pool_id, "storagepoolID", NEED, "pool (data center)"),
};
const struct record_type domain_attach_params_type = RECORD_TYPE("domain and pool", NULL, D, domain_attach_fields, "A domain and a pool");
static const struct field domain_deactivate_fields[] = {
	FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain"),
	FIELD_UUID_(D, pool_id, "storagepoolID", NEED, "pool"),
	FIELD_UUID_(D, master_id, "masterSdUUID", IN, "domain that becomes master; all zero: none", .def = BLANK_UUID),
	FIELD_INT_(D, master_version, "masterVersion", IN, "version of the master", .def = "0"),
};
const struct record_type domain_deactivate_params_type =
	RECORD_TYPE("StorageDomain.deactivate", NULL, D, domain_deactivate_fields, "Parameters of StorageDomain.deactivate");
static const struct field domain_detach_fields[] = {
	FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain"),
	FIELD_UUID_(D, pool_id, "storagepoolID", NEED, "pool"),
	FIELD_UUID_(D, master_id, "masterSdUUID", IN, "master domain"),
	FIELD_INT_(D, master_version, "masterVersion", IN, "version of the master", .def = "0"),
	FIELD_BOOL_(D, force, "force", IN, "also when it is active or its pool is gone", .def = "false"),
};
const struct record_type domain_detach_params_type = RECORD_TYPE("StorageDomain.detach", NULL, D, domain_detach_fields, "Parameters of StorageDomain.detach");
#undef D

#define D struct domain_id_params
static const struct field domain_id_fields[] = { FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain") };
const struct record_type domain_id_params_type = RECORD_TYPE("domain id", NULL, D, domain_id_fields, "A domain");
static const struct field domain_format_fields[] = {
	FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain"),
	FIELD_BOOL_(D, auto_detach, "autoDetach", IN, "detach first when attached", .def = "false"),
};
const struct record_type domain_format_params_type = RECORD_TYPE("StorageDomain.format", NULL, D, domain_format_fields, "Parameters of StorageDomain.format");
#undef D

#define D struct domain_info
static const struct field domain_info_fields[] = {
	FIELD_STRING_(D, uuid, "uuid", OUT, "id"),
	FIELD_STRING_(D, type, "type", OUT, "LOCALFS, NFS, ..."),
	FIELD_STRING_(D, class_, "class", OUT, "Data, Iso, Backup"),
	FIELD_STRING_(D, name, "name", OUT, "description"),
	FIELD_STRING_(D, role, "role", OUT, "Master or Regular"),
	FIELD_STRINGS_(D, pool, "pool", OUT, "pools it is attached to, at most one"),
	FIELD_STRING_(D, remote_path, "remotePath", OUT, "connection"),
	FIELD_STRING_(D, version, "version", OUT, "metadata format"),
	FIELD_STRING_(D, master_ver, "master_ver", OUT, "version of the master"),
	FIELD_STRING_(D, lver, "lver", OUT, "lease version"),
	FIELD_STRING_(D, spm_id, "spm_id", OUT, "host id of the SPM"),
	FIELD_STRING_(D, state, "state", OUT, "on this host: inactive or active; absent when unattached"),
	FIELD_STRING_(D, vg_uuid, "vguuid", OUT, "LVM's id of the volume group (block domains)"),
	FIELD_INT_(D, block_size, "block_size", OUT, "block size", .unit = "bytes"),
	FIELD_INT_(D, alignment, "alignment", OUT, "size of a lease", .unit = "bytes"),
};
const struct record_type domain_info_type = RECORD_TYPE("domainInfo", NULL, D, domain_info_fields, "StorageDomain.getInfo");
#undef D

#define D struct domain_stats
static const struct field domain_stats_fields[] = {
	FIELD_LONG_(D, disk_total, "disktotal", TEXT, "size", .unit = "bytes"),
	FIELD_LONG_(D, disk_free, "diskfree", TEXT, "free", .unit = "bytes"),
	FIELD_STRING_(D, md_valid, "mdavalid", OUT, "the group is whole, and its metadata area at least 64 MiB (block domains)"),
	FIELD_STRING_(D, md_threshold, "mdathreshold", OUT, "more than a fifth of the metadata area is free (block domains)"),
	FIELD_STRING_(D, md_size, "mdasize", OUT, "metadata area", .unit = "bytes"),
	FIELD_STRING_(D, md_free, "mdafree", OUT, "free metadata area", .unit = "bytes"),
	FIELD_JSON_(D, alerts, "alerts", OUT, "[{code, message}]: 613, the metadata area is nearly full, 614, it is small"),
};
const struct record_type domain_stats_type = RECORD_TYPE("domainStats", NULL, D, domain_stats_fields, "StorageDomain.getStats");
#undef D

#define D struct volume_params
#define VOLUME_IDS \
	FIELD_UUID_(D, volume_id, "volumeID", NEED, "volume"), \
	FIELD_UUID_(D, pool_id, "storagepoolID", NEED, "pool"), \
	FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain"), \
	FIELD_UUID_(D, image_id, "imageID", NEED, "image (disk)")
static const struct field volume_create_fields[] = {
	VOLUME_IDS,
	FIELD_STRING_(D, size, "size", NEED, "virtual size as text", .unit = "bytes"),
	FIELD_INT_(D, format, "volFormat", NEED, "4 cow (qcow2), 5 raw", .min = 4, .max = 5),
	FIELD_INT_(D, preallocate, "preallocate", NEED, "1 preallocated, 2 sparse", .min = 1, .max = 2),
	FIELD_STRING_(D, disk_type, "diskType", NEED, "DATA, ISOF, MEMD, ..."),
	FIELD_STRING_(D, desc, "desc", NEED, "description, at most 210 bytes are kept"),
	FIELD_UUID_(D, src_image, "srcImgUUID", NEED, "image of the parent; all zero: none"),
	FIELD_UUID_(D, src_volume, "srcVolUUID", NEED, "parent volume; all zero: none"),
	FIELD_STRING_(D, initial_size, "initialSize", IN, "bytes to allocate at once (block domains, preallocated files)", .unit = "bytes"),
	FIELD_BOOL_(D, add_bitmaps, "addBitmaps", IN, "copy the parent's bitmaps", .def = "false"),
	FIELD_BOOL_(D, legal, "legal", IN, "mark legal at once", .def = "true"),
	FIELD_INT_(D, sequence, "sequence", IN, "number of the snapshot", .def = "0"),
	FIELD_UUID_(D, bitmap, "bitmap", IN, "bitmap to make"),
};
const struct record_type volume_create_params_type = RECORD_TYPE("Volume.create", NULL, D, volume_create_fields, "Parameters of Volume.create");
static const struct field volume_delete_fields[] = {
	VOLUME_IDS,
	FIELD_BOOL_(D, post_zero, "postZero", NEED, "overwrite with zeros first"),
	FIELD_BOOL_(D, force, "force", NEED, "also when it is not legal"),
	FIELD_BOOL_(D, discard, "discard", IN, "discard the blocks first", .def = "false"),
};
const struct record_type volume_delete_params_type = RECORD_TYPE("Volume.delete", NULL, D, volume_delete_fields, "Parameters of Volume.delete");
static const struct field volume_id_fields[] = { VOLUME_IDS };
const struct record_type volume_id_params_type = RECORD_TYPE("volume ids", NULL, D, volume_id_fields, "A volume");
static const struct field image_prepare_fields[] = {
	FIELD_UUID_(D, pool_id, "storagepoolID", NEED, "pool"),
	FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain"),
	FIELD_UUID_(D, image_id, "imageID", NEED, "image"),
	FIELD_UUID_(D, volume_id, "volumeID", NEED, "leaf volume"),
	FIELD_BOOL_(D, allow_illegal, "allowIllegal", IN, "also an illegal volume", .def = "false"),
};
const struct record_type image_prepare_params_type = RECORD_TYPE("Image.prepare", NULL, D, image_prepare_fields, "Parameters of Image.prepare");
static const struct field image_teardown_fields[] = {
	FIELD_UUID_(D, pool_id, "storagepoolID", NEED, "pool"),
	FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain"),
	FIELD_UUID_(D, image_id, "imageID", NEED, "image"),
	FIELD_UUID_(D, volume_id, "volumeID", IN, "leaf volume; absent: all volumes of the image"),
};
const struct record_type image_teardown_params_type = RECORD_TYPE("Image.teardown", NULL, D, image_teardown_fields, "Parameters of Image.teardown");
#undef D

#define D struct volume_info
static const struct field volume_info_fields[] = {
	FIELD_STRING_(D, uuid, "uuid", OUT, "id"),
	FIELD_STRING_(D, pool, "pool", OUT, "pool"),
	FIELD_STRING_(D, domain, "domain", OUT, "domain"),
	FIELD_STRING_(D, image, "image", OUT, "image"),
	FIELD_STRING_(D, parent, "parent", OUT, "parent volume; all zero: none"),
	FIELD_STRING_(D, format, "format", OUT, "RAW or COW"),
	FIELD_STRING_(D, type, "type", OUT, "PREALLOCATED or SPARSE"),
	FIELD_STRING_(D, vol_type, "voltype", OUT, "LEAF, INTERNAL, SHARED"),
	FIELD_STRING_(D, disk_type, "disktype", OUT, "content"),
	FIELD_STRING_(D, description, "description", OUT, "description"),
	FIELD_STRING_(D, legality, "legality", OUT, "LEGAL, ILLEGAL, FAKE"),
	FIELD_STRING_(D, status, "status", OUT, "OK, INVALID, ILLEGAL"),
	FIELD_LONG_(D, capacity, "capacity", TEXT, "virtual size", .unit = "bytes"),
	FIELD_LONG_(D, truesize, "truesize", TEXT, "allocated", .unit = "bytes"),
	FIELD_LONG_(D, apparentsize, "apparentsize", TEXT, "length of the file", .unit = "bytes"),
	FIELD_LONG_(D, ctime, "ctime", TEXT, "created, epoch", .unit = "s"),
	FIELD_INT_(D, generation, "generation", OUT, "counts the changes by jobs"),
	FIELD_INT_(D, sequence, "sequence", OUT, "number of the snapshot"),
	FIELD_JSON_(D, children, "children", OUT, "child volumes"),
	FIELD_JSON_(D, lease, "lease", OUT, "{path, offset, owners, version}"),
};
const struct record_type volume_info_type = RECORD_TYPE("volumeInfo", NULL, D, volume_info_fields, "Volume.getInfo");
#undef D

static const struct field volume_size_fields[] = {
	FIELD_LONG_(struct volume_size, truesize, "truesize", TEXT, "allocated", .unit = "bytes"),
	FIELD_LONG_(struct volume_size, apparentsize, "apparentsize", TEXT, "length of the file", .unit = "bytes"),
};
const struct record_type volume_size_type = RECORD_TYPE("volumeSize", NULL, struct volume_size, volume_size_fields, "Volume.getSize");

static const struct field task_id_fields[] = { FIELD_UUID_(struct task_id_params, task_id, "taskID", NEED, "task") };
const struct record_type task_id_params_type = RECORD_TYPE("task id", NULL, struct task_id_params, task_id_fields, "A task");
static const struct field task_status_fields[] = {
	FIELD_UUID_(struct task_status, task_id, "taskID", OUT, "task"),
	FIELD_STRING_(struct task_status, state, "taskState", OUT, "unknown, init, running, finished, aborting, cleaning"),
	FIELD_STRING_(struct task_status, result, "taskResult", OUT, "empty, success, cleanSuccess, cleanFailure"),
	FIELD_INT_(struct task_status, code, "code", OUT, "error code, 0 on success"),
	FIELD_STRING_(struct task_status, message, "message", OUT, "for people"),
};
const struct record_type task_status_type = RECORD_TYPE("taskStatus", NULL, struct task_status, task_status_fields, "Task.getStatus");
