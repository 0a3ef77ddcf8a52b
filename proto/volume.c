/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/volume.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY

#define D struct image_method
static const struct field image_method_fields[] = {
	FIELD_STRING_(D, method, "method", NEED, "http: for HTTP and HTTPS", .pattern = "http"),
	FIELD_STRING_(D, url, "url", NEED | SECRET, "of the image, whose bytes are in the volume's format"),
	FIELD_JSON_(D, headers, "headers", IN | SECRET, "sent with the request: {name: value}"),
	FIELD_LONG_(D, length, "contentLength", IN, "download: length, where the server does not say it; upload: so many from the beginning; 0: all",
		    .unit = "bytes", .def = "0", .min = 0, .max = -1),
	FIELD_STRING_(D, checksum, "checksum", IN, "download: of the bytes, algorithm:hexadecimal, as in sha512:0f2e...; absent: not checked", .pattern =
		      "md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"),
};
const struct record_type image_method_type = RECORD_TYPE("imageSharingMethod", NULL, D, image_method_fields, "A server that has, or takes, an image");
#undef D

#define D struct volume_call
#define VOLUME FIELD_UUID_(D, volume_id, "volumeID", NEED, "volume")
#define POOL FIELD_UUID_(D, pool_id, "storagepoolID", NEED, "pool")
#define DOMAIN FIELD_UUID_(D, domain_id, "storagedomainID", NEED, "domain")
#define IMAGE FIELD_UUID_(D, image_id, "imageID", NEED, "image (disk)")
#define IDS VOLUME, POOL, DOMAIN, IMAGE
#define JOB FIELD_UUID_(D, job_id, "job_id", IN, "id of the job; absent: a new one")
/* Parameters of one verb: the record's type is <symbol>_type. */
#define PARAMS(symbol, verb, ...) \
	static const struct field symbol##_fields[] = { __VA_ARGS__ }; \
	const struct record_type symbol##_type = RECORD_TYPE(verb, NULL, D, symbol##_fields, "Parameters of " verb)

PARAMS(volume_ids, "a verb about one volume", IDS);
PARAMS(volume_measure_params, "Volume.measure", IDS,
       FIELD_INT_(D, dst_format, "dstVolFormat", NEED, "format of the copy: 4 cow (qcow2), 5 raw", .min = 4, .max = 5),
       FIELD_BOOL_(D, backing_chain, "backing_chain", IN, "with all volumes below", .def = "true"),
       FIELD_UUID_(D, base_id, "baseID", IN, "only down to this volume, itself included"));
PARAMS(volume_extend_params, "Volume.extendSize", POOL, DOMAIN, IMAGE, VOLUME,
       FIELD_STRING_(D, size, "newSize", NEED, "virtual size as text", .unit = "bytes"));
PARAMS(volume_description_params, "Volume.setDescription", IDS,
       FIELD_STRING_(D, description, "description", NEED, "at most 210 bytes are kept"));
PARAMS(volume_legality_params, "Volume.setLegality", IDS,
       FIELD_STRING_(D, legality, "legality", NEED, "LEGAL, ILLEGAL", .pattern = "LEGAL|ILLEGAL"));
PARAMS(volume_teardown_params, "Volume.teardown", DOMAIN, IMAGE, VOLUME);
PARAMS(volume_reduce_params, "StoragePool.reduceVolume", POOL, DOMAIN, IMAGE, VOLUME,
       FIELD_BOOL_(D, allow_active, "allowActive", IN, "also while it is in use", .def = "false"));
PARAMS(image_ids, "a verb about one image", IMAGE, POOL, DOMAIN);
PARAMS(image_find_params, "StoragePool.getDomainsContainingImage", POOL, IMAGE);
#define WIPE \
	FIELD_BOOL_(D, post_zero, "postZero", IN, "overwrite with zeros first", .def = "false"), \
	FIELD_BOOL_(D, force, "force", IN, "also what is shared or illegal", .def = "false"), \
	FIELD_BOOL_(D, discard, "discard", IN, "discard the blocks first", .def = "false")
PARAMS(image_delete_params, "Image.delete", IMAGE, POOL, DOMAIN, WIPE);
PARAMS(image_delete_volumes_params, "Image.deleteVolumes", IMAGE, POOL, DOMAIN,
       FIELD_STRINGS_(D, volumes, "volumeList", NEED, "the volumes, which must be a whole end of the chain or no one's parent"), WIPE);
PARAMS(image_reconcile_params, "Image.reconcileVolumeChain", POOL, DOMAIN, IMAGE, FIELD_UUID_(D, leaf_id, "leafVolID", NEED, "the chain's leaf"));
PARAMS(image_move_params, "Image.move", IMAGE, POOL, DOMAIN, FIELD_UUID_(D, dst_domain_id, "dstSdUUID", NEED, "target domain"),
       FIELD_INT_(D, operation, "operation", NEED, "1 copy, 2 move", .min = 1, .max = 2), WIPE);
PARAMS(image_clone_params, "Image.cloneStructure", IMAGE, POOL, DOMAIN, FIELD_UUID_(D, dst_domain_id, "dstSdUUID", NEED, "target domain"));
PARAMS(image_sync_params, "Image.syncData", IMAGE, POOL, DOMAIN, FIELD_UUID_(D, dst_domain_id, "dstSdUUID", NEED, "target domain"),
       FIELD_STRING_(D, kind, "syncType", NEED, "ALL; INTERNAL: all but the leaf; LEAF", .pattern = "ALL|INTERNAL|LEAF"));
PARAMS(image_share_params, "Image.download, Image.upload",
       FIELD_RECORD_(D, method, "methodArgs", NEED, &image_method_type, "how, and where"), POOL, DOMAIN, IMAGE,
       FIELD_UUID_(D, volume_id, "volumeID", IN, "the image's volume, which must be its only one; absent: that one"), JOB);
PARAMS(volume_copy_params, "Volume.copy", IDS, FIELD_UUID_(D, dst_domain_id, "dstSdUUID", NEED, "target domain"),
       FIELD_UUID_(D, dst_image_id, "dstImgUUID", NEED, "image of the copy"), FIELD_UUID_(D, dst_volume_id, "dstVolUUID", NEED, "id of the copy"),
       FIELD_STRING_(D, description, "desc", NEED, "at most 210 bytes are kept"),
       FIELD_INT_(D, volume_type, "volType", NEED, "6 shared (a template), 8 leaf", .min = 6, .max = 8),
       FIELD_INT_(D, dst_format, "volFormat", NEED, "4 cow (qcow2), 5 raw", .min = 4, .max = 5),
       FIELD_INT_(D, preallocate, "preallocate", NEED, "1 preallocated, 2 sparse", .min = 1, .max = 2), WIPE);
PARAMS(volume_convert_params, "Volume.convert", IDS,
       FIELD_STRING_(D, value, "url", NEED, "where to: file:///directory/name; it must not exist"),
       FIELD_STRING_(D, format, "format", NEED, "raw, qcow2, vpc, vhdx, vmdk"),
       FIELD_STRING_(D, subformat, "subformat", IN, "of vpc, vhdx: fixed, dynamic; of vmdk: monolithicSparse, streamOptimized"),
       FIELD_BOOL_(D, force_size, "forceSize", IN, "vpc: exactly this size, not rounded to cylinders", .def = "true"),
       FIELD_BOOL_(D, compress, "compress", IN, "qcow2, vmdk streamOptimized: compress the data", .def = "false"),
       FIELD_LONG_(D, rate, "rate", IN, "limit; 0: none", .unit = "bytes/s", .def = "0"),
       FIELD_UUID_(D, checkpoint_id, "checkpointID", IN,
		   "the disk of a running VM as it was then: the to_checkpoint_id or the id of a backup that runs (VM.start_backup)"), JOB);
PARAMS(volume_map_params, "Volume.map", IDS, FIELD_LONG_(D, offset, "offset", IN, "from here on", .unit = "bytes", .min = 0, .max = -1, .def = "0"),
       FIELD_LONG_(D, length, "length", IN, "so far; 0: to the end", .unit = "bytes", .min = 0, .max = -1, .def = "0"));
PARAMS(volume_compare_params, "Volume.compare", IDS, FIELD_UUID_(D, dst_domain_id, "dstSdUUID", NEED, "domain of the other volume"),
       FIELD_UUID_(D, dst_image_id, "dstImgUUID", NEED, "its image"), FIELD_UUID_(D, dst_volume_id, "dstVolUUID", NEED, "its id"), JOB);
PARAMS(volume_compact_params, "Volume.compact", IDS, FIELD_STRING_(D, kind, "method", IN, "zeroscan: reads what is allocated", .def = "zeroscan",
								     .pattern = "zeroscan"), JOB);
PARAMS(volume_shrink_params, "Volume.shrink", IDS,
       FIELD_LONG_(D, new_size, "size", NEED, "virtual size", .unit = "bytes", .min = 512, .max = 0),
       FIELD_BOOL_(D, safe, "safe", IN, "refuse below the end of the last partition", .def = "true"), JOB);
PARAMS(volume_parent_params, "Volume.setParent", IDS, FIELD_UUID_(D, parent_id, "parentID", NEED, "volume it is to be based on; all zero: none"),
       FIELD_BOOL_(D, check, "check", IN, "compare contents; false: believe it", .def = "true"), JOB);
PARAMS(volume_item_params, "Volume.getMetadata", IDS, FIELD_STRING_(D, key, "key", NEED, "name of the item", .min = 1, .max = 128));
PARAMS(volume_set_item_params, "Volume.setMetadata", IDS, FIELD_STRING_(D, key, "key", NEED, "name of the item", .min = 1, .max = 128),
       FIELD_STRING_(D, value, "value", NEED, "text", .min = 0, .max = 4096));
#undef D

#define D struct endpoint
static const struct field endpoint_fields[] = {
	FIELD_STRING_(D, type, "endpoint_type", NEED, "div: a volume; external: data elsewhere", .pattern = "div|external"),
	FIELD_UUID_(D, domain_id, "sd_id", IN, "div: domain"),
	FIELD_UUID_(D, image_id, "img_id", IN, "div: image"),
	FIELD_UUID_(D, volume_id, "vol_id", IN, "div: volume"),
	FIELD_INT_(D, generation, "generation", IN, "the volume, or the job that the lease guards, must have this generation", .min = 0, .max = 999),
	FIELD_STRING_(D, url, "url", IN, "external: nbd:unix:/socket:exportname=..., nbd://host/name, nbd+unix:///name?socket=..., file:///path; /dev/... of a "
		      "managed volume"),
	FIELD_STRING_(D, format, "format", IN, "external: raw, cow (qcow2), or, for files, vpc, vhdx, vmdk", .def = "raw",
		      .pattern = "raw|cow|vpc|vhdx|vmdk"),
	FIELD_BOOL_(D, sparse, "sparse", IN, "external: zeros need not be written as such", .def = "true"),
	FIELD_BOOL_(D, is_zero, "is_zero", IN, "external, written: it reads as zeros already", .def = "false"),
	FIELD_UUID_(D, lease_domain_id, "lease/sd_id", IN, "external, written: domain of the lease that guards the job"),
	FIELD_UUID_(D, lease_id, "lease/lease_id", IN, "that lease: held while the job runs; its metadata tell how it ended"),
};
const struct record_type endpoint_type = RECORD_TYPE("endpoint", NULL, D, endpoint_fields, "Source or target of a job");
#undef D

#define D struct volume_attributes
static const struct field volume_attributes_fields[] = {
	FIELD_STRING_(D, legality, "legality", IN, "LEGAL, ILLEGAL", .pattern = "LEGAL|ILLEGAL"),
	FIELD_STRING_(D, description, "description", IN, "at most 210 bytes are kept"),
	FIELD_INT_(D, generation, "generation", IN, "new generation; absent: the next", .min = 0, .max = 999),
	FIELD_STRING_(D, type, "type", IN, "SHARED: the volume becomes a template", .pattern = "SHARED"),
};
const struct record_type volume_attributes_type = RECORD_TYPE("volumeAttributes", NULL, D, volume_attributes_fields, "Metadata to change");
#undef D

#define D struct qcow2_attributes
static const struct field qcow2_attributes_fields[] = { FIELD_STRING_(D, compat, "compat", NEED, "0.10 or 1.1", .pattern = "0\\.10|1\\.1") };
const struct record_type qcow2_attributes_type = RECORD_TYPE("qcow2Attributes", NULL, D, qcow2_attributes_fields, "Attributes of a qcow2 image");
#undef D

#define D struct subchain
static const struct field subchain_fields[] = {
	FIELD_UUID_(D, domain_id, "sd_id", NEED, "domain"),
	FIELD_UUID_(D, image_id, "img_id", NEED, "image"),
	FIELD_UUID_(D, base_id, "base_id", NEED, "volume that takes the data"),
	FIELD_UUID_(D, top_id, "top_id", NEED, "volume whose data are taken"),
	FIELD_INT_(D, generation, "base_generation", IN, "the base must have this generation", .min = 0, .max = 999),
};
const struct record_type subchain_type = RECORD_TYPE("subchain", NULL, D, subchain_fields, "What is merged into what");
#undef D

#define D struct sdm_params
#define SDM_JOB FIELD_UUID_(D, job_id, "job_id", NEED, "id of the job")
PARAMS(sdm_copy_params, "SDM.copy_data", SDM_JOB, FIELD_RECORD_(D, source, "source", NEED, &endpoint_type, "where the data are"),
       FIELD_RECORD_(D, destination, "destination", NEED, &endpoint_type, "where they go"),
       FIELD_BOOL_(D, bitmaps, "copy_bitmaps", IN, "with the bitmaps of the source", .def = "false"),
       FIELD_LONG_(D, rate, "rate", IN, "limit; 0: none", .unit = "bytes/s", .def = "0"));
PARAMS(sdm_update_params, "SDM.update_volume", SDM_JOB, FIELD_RECORD_(D, volume, "vol_info", NEED, &endpoint_type, "volume"),
       FIELD_RECORD_(D, attributes, "vol_attr", NEED, &volume_attributes_type, "what changes"));
PARAMS(sdm_amend_params, "SDM.amend_volume", SDM_JOB, FIELD_RECORD_(D, volume, "vol_info", NEED, &endpoint_type, "volume"),
       FIELD_RECORD_(D, qcow2, "qcow2_attr", NEED, &qcow2_attributes_type, "what changes"));
PARAMS(sdm_volume_params, "SDM.sparsify_volume", SDM_JOB, FIELD_RECORD_(D, volume, "vol_info", NEED, &endpoint_type, "volume"));
PARAMS(sdm_bitmap_params, "a bitmap of a volume", SDM_JOB, FIELD_RECORD_(D, volume, "vol_info", NEED, &endpoint_type, "volume"),
       FIELD_STRING_(D, bitmap, "bitmap", NEED, "its name", .min = 1, .max = 1023));
PARAMS(sdm_merge_params, "SDM.merge", SDM_JOB, FIELD_RECORD_(D, subchain, "subchain_info", NEED, &subchain_type, "base and top"),
       FIELD_BOOL_(D, bitmaps, "merge_bitmaps", IN, "bitmaps, too", .def = "false"));
PARAMS(merge_task_params, "StoragePool.prepareMerge", FIELD_UUID_(D, pool_id, "storagepoolID", NEED, "pool"),
       FIELD_RECORD_(D, subchain, "subchainInfo", NEED, &subchain_type, "base and top"));
#undef D

#define D struct image_info
static const struct field image_info_fields[] = {
	FIELD_STRING_(D, format, "format", OUT, "raw, qcow2"),
	FIELD_LONG_(D, virtual_size, "virtualsize", OUT, "size the guest sees", .unit = "bytes"),
	FIELD_LONG_(D, actual_size, "actualsize", OUT, "allocated", .unit = "bytes"),
	FIELD_LONG_(D, cluster_size, "clustersize", OUT, "qcow2: cluster", .unit = "bytes"),
	FIELD_STRING_(D, compat, "compat", OUT, "qcow2: 0.10 or 1.1"),
	FIELD_STRING_(D, backing, "backingfile", OUT, "name in the header"),
	FIELD_JSON_(D, bitmaps, "bitmaps", OUT, "qcow2: [{name, granularity, flags}]"),
};
const struct record_type image_info_type = RECORD_TYPE("qemuImageInfo", NULL, D, image_info_fields, "Volume.getQemuImageInfo");
#undef D

#define D struct volume_health
static const struct field volume_health_fields[] = {
	FIELD_LONG_(D, corruptions, "corruptions", OUT, "tables that contradict each other; 0: sound"),
	FIELD_LONG_(D, leaks, "leaks", OUT, "clusters that nothing refers to: a loss of room, not of data"),
	FIELD_LONG_(D, check_errors, "checkErrors", OUT, "what could not be checked"),
	FIELD_LONG_(D, allocated, "allocatedClusters", OUT, "clusters of the guest's that have data"),
	FIELD_LONG_(D, total, "totalClusters", OUT, "clusters of the guest's"),
	FIELD_LONG_(D, end, "imageEnd", OUT, "where the image ends in its file or volume", .unit = "bytes"),
};
const struct record_type volume_health_type = RECORD_TYPE("volumeHealth", NULL, D, volume_health_fields, "Volume.check");
#undef D

#define D struct volume_measure
static const struct field volume_measure_fields[] = {
	FIELD_LONG_(D, required, "required", OUT, "room the copy needs", .unit = "bytes"),
	FIELD_LONG_(D, fully_allocated, "fully-allocated", OUT, "room it needs when all of it is written", .unit = "bytes"),
	FIELD_LONG_(D, bitmaps, "bitmaps", OUT, "room its bitmaps need", .unit = "bytes"),
};
const struct record_type volume_measure_type = RECORD_TYPE("volumeMeasure", NULL, D, volume_measure_fields, "Volume.measure");
#undef D
