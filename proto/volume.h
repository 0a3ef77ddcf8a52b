/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_VOLUME_H
#define BERTH_PROTO_VOLUME_H
/* Volumes and images: parameters and results of the verbs in verbs_volume.c. Creating, deleting and telling of a volume are in storage.h. */
#include "proto/storage.h"

/* Where Image.download and Image.upload find the data. */
struct image_method { struct record record; char *method, *url, *checksum; json_t *headers; int64_t length; };
extern const struct record_type image_method_type;

/* One for all verbs about a volume, an image, or a copy of one; each verb takes some of the members. */
struct volume_call {
	struct record record;
	char *volume_id, *pool_id, *domain_id, *image_id;
	char *base_id, *size, *description, *legality, *leaf_id, *format, *subformat, *parent_id, *key, *value, *kind;
	char *dst_domain_id, *dst_image_id, *dst_volume_id, *job_id, *checkpoint_id;
	int dst_format, preallocate, operation, volume_type;
	int64_t new_size, rate, offset, length;
	bool backing_chain, allow_active, post_zero, force, discard, safe, check, compress, force_size;
	GPtrArray *volumes;
	struct image_method *method;
};
extern const struct record_type volume_ids_type, volume_measure_params_type, volume_extend_params_type, volume_description_params_type,
	volume_legality_params_type,
	volume_teardown_params_type, volume_reduce_params_type, image_ids_type, image_find_params_type, image_delete_params_type, image_delete_volumes_params_type,
	image_reconcile_params_type, volume_convert_params_type, volume_shrink_params_type, volume_parent_params_type, volume_item_params_type,
	volume_set_item_params_type, image_move_params_type, image_clone_params_type, image_sync_params_type, image_share_params_type, volume_copy_params_type, volume_compact_params_type,
	volume_map_params_type, volume_compare_params_type;

/* Volume.copy's volType */
enum volume_wire_role { VOLUME_ROLE_SHARED = 6, VOLUME_ROLE_INTERNAL, VOLUME_ROLE_LEAF };
/* Image.move's operation */
enum image_operation { IMAGE_COPY = 1, IMAGE_MOVE = 2 };

/* A volume, or data elsewhere, as a job's source or target. */
struct endpoint { struct record record; char *type, *domain_id, *image_id, *volume_id, *url, *format; int generation;
	bool sparse, is_zero; char *lease_domain_id, *lease_id; };
extern const struct record_type endpoint_type;
struct volume_attributes { struct record record; char *legality, *description, *type; int generation; };
extern const struct record_type volume_attributes_type;
struct subchain { struct record record; char *domain_id, *image_id, *base_id, *top_id; int generation; };
extern const struct record_type subchain_type;
struct qcow2_attributes { struct record record; char *compat; };
extern const struct record_type qcow2_attributes_type;

struct sdm_params {
	struct record record;
	char *job_id, *pool_id;
	struct endpoint *source, *destination, *volume;
	struct volume_attributes *attributes;
	struct qcow2_attributes *qcow2;
	struct subchain *subchain;
	int64_t rate;
	bool bitmaps;
	char *bitmap;
};
extern const struct record_type sdm_copy_params_type, sdm_update_params_type, sdm_amend_params_type, sdm_volume_params_type, sdm_bitmap_params_type,
	sdm_merge_params_type, merge_task_params_type;

struct image_info {
	struct record record;
	char *format, *compat, *backing;
	int64_t virtual_size, actual_size, cluster_size;
	json_t *bitmaps;
};
extern const struct record_type image_info_type;
struct volume_measure { struct record record; int64_t required, fully_allocated, bitmaps; };
extern const struct record_type volume_measure_type;
struct volume_health { struct record record; int64_t corruptions, leaks, check_errors, allocated, total, end; };
extern const struct record_type volume_health_type;

#endif
