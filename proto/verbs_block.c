/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about block devices, volume groups and iSCSI portals, and more of domains. */
#include "proto/block.h"
#include "proto/verb.h"

#define OF_DOMAIN(verb, parameters, ...) { .name = verb, .params = &(parameters), .lane = VERB_DOMAIN, .lane_key = "storagedomainID", ##__VA_ARGS__ }

const struct verb block_verbs[] = {
	{ .name = "Host.getDeviceList", .params = &device_list_params_type, .kind = RESULT_JSON, .lane = VERB_ANY,
	  .doc = "Block devices that can hold storage domains; looks for new ones first, which may take long",
	  .returns = "[{GUID, capacity, devtype, status, vendorID, productID, serial, pvUUID, vgUUID, pathlist, pathstatus, ...}]", .errors = "602 621" },
	{ .name = "Host.getDevicesVisibility", .params = &device_visibility_params_type, .kind = RESULT_JSON, .lane = VERB_ANY,
	  .doc = "Which devices this host sees", .returns = "{guid: bool}" },
	{ .name = "Host.getLVMVolumeGroups", .params = &group_list_params_type, .kind = RESULT_JSON, .lane = VERB_ANY, .doc = "Volume groups on those devices",
	  .returns = "[{name, vgUUID, vgsize, vgfree, state, pvlist, ...}]", .errors = "514 621" },
	{ .name = "Host.getStorageDomains", .params = &domain_list_params_type, .kind = RESULT_JSON, .lane = VERB_ANY,
	  .doc = "Domains in the connections and on the devices of this host", .returns = "array of ids" },
	{ .name = "ISCSIConnection.discoverSendTargets", .params = &discover_params_type, .kind = RESULT_JSON, .lane = VERB_REMOTE, .lane_key = "host",
	  .doc = "Asks an iSCSI portal for its targets", .returns = "[\"address:port,group iqn\"]", .errors = "453 475 476" },
	{ .name = "LVMVolumeGroup.create", .params = &group_create_params_type, .kind = RESULT_JSON, .lane = VERB_ANY, .changes = true,
	  .doc = "Makes a volume group for a new block domain", .returns = "its id", .errors = "502 505 601 606" },
	{ .name = "LVMVolumeGroup.getInfo", .params = &group_id_params_type, .kind = RESULT_JSON, .lane = VERB_ANY, .doc = "A volume group and its devices",
	  .returns = "{name, vgUUID, vgsize, vgfree, state, pvlist, ...}", .errors = "506" },
	{ .name = "LVMVolumeGroup.remove", .params = &group_id_params_type, .lane = VERB_ANY, .changes = true,
	  .doc = "Removes a volume group that no domain is in", .returns = "true", .errors = "506 508 515" },
	OF_DOMAIN("StorageDomain.extend", domain_extend_params_type, .changes = true, .doc = "Adds devices to a block domain", .returns = "true",
		  .errors = "358 372 503 606"),
	OF_DOMAIN("StorageDomain.resizePV", domain_resize_pv_params_type, .kind = RESULT_JSON, .changes = true,
		  .doc = "Uses all of a device that has grown", .returns = "its new size as text", .errors = "358 372 615 619"),
	OF_DOMAIN("StorageDomain.setDescription", domain_description_params_type, .changes = true, .doc = "Renames a domain", .returns = "true",
		  .errors = "358 387 1000"),
	OF_DOMAIN("StorageDomain.getVolumes", domain_volumes_params_type, .kind = RESULT_JSON, .doc = "Volumes in a domain, or of one image",
		  .returns = "array of ids", .errors = "201 358"),
	OF_DOMAIN("StorageDomain.getFileStats", domain_file_stats_params_type, .kind = RESULT_JSON, .doc = "Files in an ISO domain",
		  .returns = "{name: {size, ctime, status, path}}; path: of the file on this host", .errors = "358 372"),
	{ .name = "StorageDomain.dump", .params = &domain_dump_params_type, .kind = RESULT_JSON, .lane = VERB_DOMAIN, .lane_key = "sd_id",
	  .doc = "All metadata of a domain and its volumes, for those who look for an error", .returns = "{metadata, volumes}", .errors = "358" },
	{ .name = "SDM.reduce_domain", .params = &domain_reduce_params_type, .lane = VERB_ANY, .changes = true,
	  .doc = "Takes an emptied device out of a block domain (job)", .returns = "true", .errors = "69 358 372 617 619" },
	{ .name = "SDM.move_domain_device", .params = &domain_move_device_params_type, .lane = VERB_ANY, .changes = true,
	  .doc = "Moves what lies on a device of a block domain to its other devices (job)", .returns = "true", .errors = "69 358 372 617 619 620" },
};
const size_t n_block_verbs = G_N_ELEMENTS(block_verbs);
