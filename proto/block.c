/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/block.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define PARAMS(symbol, verb, ...) \
	static const struct field symbol##_fields[] = { __VA_ARGS__ }; \
	const struct record_type symbol##_type = RECORD_TYPE(verb, NULL, D, symbol##_fields, "Parameters of " verb)

#define D struct device_list_params
PARAMS(device_list_params, "Host.getDeviceList",
       FIELD_INT_(D, storage_type, "storageType", IN, "only 2 FCP, 3 iSCSI; 0: all", .def = "0", .min = 0, .max = 7),
       FIELD_STRINGS_(D, guids, "guids", IN, "only these devices"),
       FIELD_BOOL_(D, check_status, "checkStatus", IN, "find out whether LVM or others use them", .def = "true"),
       FIELD_BOOL_(D, refresh, "refresh", IN, "look for new devices first", .def = "true"));
PARAMS(device_visibility_params, "Host.getDevicesVisibility", FIELD_STRINGS_(D, guids, "guidList", IN, "devices"));
PARAMS(group_list_params, "Host.getLVMVolumeGroups",
       FIELD_INT_(D, storage_type, "storageType", IN, "only those on 2 FCP, 3 iSCSI; 0: all", .def = "0", .min = 0, .max = 7));
#undef D

#define D struct domain_list_params
PARAMS(domain_list_params, "Host.getStorageDomains",
       FIELD_UUID_(D, pool_id, "storagepoolID", IN, "only those attached to this pool; all zero: unattached ones"),
       FIELD_INT_(D, domain_class, "domainClass", IN, "only 1 data, 2 ISO, 3 backup; 0: all", .def = "0", .min = 0, .max = 3),
       FIELD_INT_(D, storage_type, "storageType", IN, "only of this type, as in connectStorageServer; 0: all", .def = "0", .min = 0, .max = 7),
       FIELD_STRING_(D, remote_path, "remotePath", IN, "only those of this connection"));
#undef D

#define D struct discover_params
PARAMS(discover_params, "ISCSIConnection.discoverSendTargets",
       FIELD_STRING_(D, host, "host", NEED, "address of a portal"),
       FIELD_INT_(D, port, "port", IN, "its TCP port", .def = "3260", .min = 1, .max = 65535),
       FIELD_STRING_(D, user, "user", IN, "CHAP user", .def = ""),
       FIELD_STRING_(D, password, "password", IN | SECRET, "CHAP password", .def = ""),
       FIELD_BOOL_(D, ipv6_enabled, "ipv6_enabled", IN, "tell portals with IPv6 addresses, too", .def = "false"));
#undef D

#define D struct group_params
PARAMS(group_create_params, "LVMVolumeGroup.create",
       FIELD_STRING_(D, id, "lvmvolumegroupID", IN, "not used: LVM makes it"),
       FIELD_UUID_(D, name, "name", NEED, "name: the id of the domain that will be made in it"),
       FIELD_STRINGS_(D, devices, "devlist", NEED, "devices (GUIDs)"),
       FIELD_BOOL_(D, force, "force", IN, "also devices that held something", .def = "false"));
PARAMS(group_id_params, "LVMVolumeGroup", FIELD_STRING_(D, id, "lvmvolumegroupID", NEED, "id that LVM gave it"));
#undef D

#define D struct domain_change_params
#define DOMAIN FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain")
#define POOL FIELD_UUID_(D, pool_id, "storagepoolID", NEED, "pool")
PARAMS(domain_extend_params, "StorageDomain.extend", DOMAIN, POOL,
       FIELD_STRINGS_(D, devices, "devlist", NEED, "devices (GUIDs) to add"),
       FIELD_BOOL_(D, force, "force", IN, "also devices that held something", .def = "false"));
PARAMS(domain_resize_pv_params, "StorageDomain.resizePV", DOMAIN, POOL, FIELD_STRING_(D, guid, "guid", NEED, "device that has grown"));
PARAMS(domain_description_params, "StorageDomain.setDescription", DOMAIN,
       FIELD_STRING_(D, description, "description", NEED, "new name", .min = 0, .max = 300));
PARAMS(domain_volumes_params, "StorageDomain.getVolumes", DOMAIN, POOL, FIELD_UUID_(D, image_id, "imageID", IN, "only of this image; all zero: all"));
PARAMS(domain_file_stats_params, "StorageDomain.getFileStats", DOMAIN,
       FIELD_STRING_(D, pattern, "pattern", IN, "names that fit this shell pattern", .def = "*"),
       FIELD_BOOL_(D, case_sensitive, "caseSensitive", IN, "upper and lower case differ", .def = "false"));
PARAMS(domain_dump_params, "StorageDomain.dump", FIELD_UUID_(D, domain_id, "sd_id", NEED, "domain"),
       FIELD_BOOL_(D, full, "full", IN, "with the leases", .def = "false"));
PARAMS(domain_reduce_params, "SDM.reduce_domain", FIELD_UUID_(D, job_id, "job_id", NEED, "id of the job"),
       FIELD_JSON_(D, order, "reduce_params", NEED, "{sd_id, guid}: domain and the emptied device"));
PARAMS(domain_move_device_params, "SDM.move_domain_device", FIELD_UUID_(D, job_id, "job_id", NEED, "id of the job"),
       FIELD_JSON_(D, order, "move_params", NEED, "{sd_id, src_guid, dst_guids}: device to empty, and where to (none: wherever there is room)"));
