/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about the data of volumes and images. Those of our own say so. */
#include "proto/verb.h"
#include "proto/volume.h"

#define ON_DOMAIN(verb, parameters, ...) { .name = verb, .params = &(parameters), .lane = VERB_DOMAIN, .lane_key = "storagedomainID", ##__VA_ARGS__ }
#define CHANGES(verb, parameters, ...) ON_DOMAIN(verb, parameters, .changes = true, ##__VA_ARGS__)
/* Begins a job or a task, which then runs on a lane of its own: all that is waited for is the journal. */
#define BEGINS(verb, parameters, ...) { .name = verb, .params = &(parameters), .lane = VERB_ANY, .changes = true, ##__VA_ARGS__ }
#define TASK(verb, parameters, ...) BEGINS(verb, parameters, .kind = RESULT_JSON, .returns = "task id", ##__VA_ARGS__)
#define OWN_JOB(verb, parameters, ...) BEGINS(verb, parameters, .kind = RESULT_JSON, .returns = "job id", ##__VA_ARGS__)

const struct verb volume_verbs[] = {
	ON_DOMAIN("Volume.getQemuImageInfo", volume_ids_type, .kind = RESULT_RECORD, .result = &image_info_type, .doc = "What the image says of itself",
		  .returns = "object", .errors = "201 227 262 358 369"),
	ON_DOMAIN("Volume.measure", volume_measure_params_type, .kind = RESULT_RECORD, .result = &volume_measure_type,
		  .doc = "Room a copy in another format needs", .returns = "{required, fully-allocated, bitmaps?} in bytes", .errors = "201 227 358 369 920"),
	ON_DOMAIN("Volume.verify_untrusted", volume_ids_type, .doc = "Checks that an uploaded volume is what its metadata say and harmless", .returns = "true",
		  .errors = "201 358 369 484"),
	CHANGES("Volume.setDescription", volume_description_params_type, .doc = "Sets the description of a volume", .returns = "true", .errors = "201 358 369 1000"),
	CHANGES("Volume.setLegality", volume_legality_params_type, .doc = "Marks a volume legal or illegal", .returns = "true", .errors = "201 203 358 369"),
	ON_DOMAIN("Volume.refresh", volume_ids_type, .doc = "Looks again at a volume that another host changed", .returns = "true", .errors = "201 358 369"),
	CHANGES("Volume.teardown", volume_teardown_params_type, .doc = "Ends the use of one volume on this host", .returns = "true", .errors = "358"),
	TASK("Volume.extendSize", volume_extend_params_type, .doc = "Makes a volume larger that nobody uses (task)", .errors = "1000"),
	OWN_JOB("Volume.shrink", volume_shrink_params_type,
		.doc = "Makes a volume smaller that nobody uses, never below its partitions unless safe is false (own verb)", .errors = "69"),
	ON_DOMAIN("Volume.smallestSafeSize", volume_ids_type, .kind = RESULT_JSON, .doc = "How small a volume can become without cutting off data (own verb)",
		  .returns = "{size in bytes, reason}", .errors = "201 203 358 369"),
	OWN_JOB("Volume.convert", volume_convert_params_type, .doc = "Writes a volume as a file of another format (own verb)", .errors = "69 1000"),
	OWN_JOB("Volume.compact", volume_compact_params_type, .doc = "Frees the zeros in a volume that nobody uses (own verb)", .errors = "69"),
	OWN_JOB("Volume.setParent", volume_parent_params_type, .doc = "Bases a volume on another one; what is read from it stays the same (own verb)",
		.errors = "69"),
	ON_DOMAIN("Volume.check", volume_ids_type, .kind = RESULT_RECORD, .result = &volume_health_type,
		  .doc = "Checks the tables of a qcow2 volume that no VM uses; repairs nothing (own verb)", .returns = "object", .errors = "201 202 203 358 369"),
	ON_DOMAIN("Volume.map", volume_map_params_type, .kind = RESULT_JSON,
		  .doc = "Where a volume that no VM uses has data, and which volume of its chain has them (own verb)",
		  .returns = "array of {start, length in bytes, zero, data, volumeID: absent where nobody has any}", .errors = "201 203 227 358 369"),
	OWN_JOB("Volume.compare", volume_compare_params_type,
		.doc = "Reads two volumes that no VM uses: the job is done when a guest would read the same, what one has more being zeros; else it fails with 484 "
		       "and tells where (own verb)", .errors = "69"),
	ON_DOMAIN("Volume.getDependencies", volume_ids_type, .kind = RESULT_JSON, .deadline_s = 5, .doc = "What a volume needs and who needs it (own verb)",
		  .returns = "{parents: [id], nearest first, children: [id], at any depth, inUse: a VM has it open, inJob}", .errors = "201 358 369"),
	CHANGES("Volume.setMetadata", volume_set_item_params_type, .doc = "Sets an item of a volume (own verb)", .returns = "true", .errors = "201 358 369 756"),
	ON_DOMAIN("Volume.getMetadata", volume_item_params_type, .kind = RESULT_JSON, .doc = "Reads an item of a volume (own verb)", .returns = "text",
		  .errors = "201 358 369 750"),
	ON_DOMAIN("Volume.listMetadata", volume_ids_type, .kind = RESULT_JSON, .doc = "All items of a volume (own verb)", .returns = "{name: text}",
		  .errors = "201 358 369"),
	CHANGES("Volume.deleteMetadata", volume_item_params_type, .doc = "Removes an item of a volume (own verb)", .returns = "true", .errors = "201 358 369 750"),
	ON_DOMAIN("Image.getVolumes", image_ids_type, .kind = RESULT_JSON, .doc = "Volumes of an image", .returns = "array of ids", .errors = "201 358"),
	{ .name = "StoragePool.getDomainsContainingImage", .params = &image_find_params_type, .kind = RESULT_JSON, .lane = VERB_POOL,
	  .lane_key = "storagepoolID", .doc = "Active data domains of a pool that hold an image", .returns = "array of ids" },
	TASK("StoragePool.reduceVolume", volume_reduce_params_type, .doc = "Frees what a volume has and does not need (task)"),
	TASK("StoragePool.prepareMerge", merge_task_params_type, .doc = "Cold merge, first: makes the base large enough (task)"),
	TASK("StoragePool.finalizeMerge", merge_task_params_type, .doc = "Cold merge, last: takes the top out of the chain (task)"),
	TASK("Volume.copy", volume_copy_params_type, .doc = "Copies what a guest reads from a volume into a new one (task)"),
	TASK("Image.delete", image_delete_params_type, .doc = "Deletes an image with all its volumes (task)"),
	TASK("Image.deleteVolumes", image_delete_volumes_params_type, .doc = "Deletes volumes of an image (task)"),
	TASK("Image.move", image_move_params_type, .doc = "Copies or moves an image to another domain (task)"),
	TASK("Image.cloneStructure", image_clone_params_type, .doc = "Makes blank volumes as an image's in another domain (task)"),
	TASK("Image.syncData", image_sync_params_type, .doc = "Copies data into the volumes that cloneStructure made (task)"),
	TASK("Image.download", image_share_params_type, .doc = "Reads a volume's data from a web server (task)", .errors = "1000"),
	TASK("Image.upload", image_share_params_type, .doc = "Sends a volume's data to a web server (task)", .errors = "1000"),
	ON_DOMAIN("Image.reconcileVolumeChain", image_reconcile_params_type, .kind = RESULT_JSON, .changes = true,
		  .doc = "Finds what is really the chain of an image, and makes the metadata say so", .returns = "array of ids, root first",
		  .errors = "201 203 262 358 369"),
	BEGINS("SDM.copy_data", sdm_copy_params_type, .doc = "Copies data into a volume, or out of one (job)", .returns = "true", .errors = "69 1000 2009"),
	BEGINS("SDM.update_volume", sdm_update_params_type, .doc = "Changes metadata of a volume (job)", .returns = "true", .errors = "69 1000"),
	BEGINS("SDM.amend_volume", sdm_amend_params_type, .doc = "Changes the qcow2 version of a volume (job)", .returns = "true", .errors = "69 1000"),
	BEGINS("SDM.sparsify_volume", sdm_volume_params_type, .doc = "Frees the zeros in a volume (job)", .returns = "true", .errors = "69 1000"),
	BEGINS("SDM.add_bitmap", sdm_bitmap_params_type, .doc = "Adds a bitmap to a volume that no VM uses: what changes from now on (job)", .returns = "true",
	       .errors = "69 1000"),
	BEGINS("SDM.remove_bitmap", sdm_bitmap_params_type, .doc = "Removes a bitmap of a volume that no VM uses (job)", .returns = "true", .errors = "69 1000"),
	BEGINS("SDM.clear_bitmaps", sdm_volume_params_type, .doc = "Removes all bitmaps of a volume that no VM uses (job)", .returns = "true", .errors = "69 1000"),
	BEGINS("SDM.merge", sdm_merge_params_type, .doc = "Cold merge: the data of top into base (job)", .returns = "true", .errors = "69"),
};
const size_t n_volume_verbs = G_N_ELEMENTS(volume_verbs);
