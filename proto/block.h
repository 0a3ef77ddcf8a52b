/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_BLOCK_H
#define BERTH_PROTO_BLOCK_H
/* Block devices, volume groups, iSCSI portals, and what is asked of domains beside storage.h: parameters of the verbs in verbs_block.c. */
#include "proto/storage.h"

struct device_list_params { struct record record; int storage_type; GPtrArray *guids; bool check_status, refresh; };
extern const struct record_type device_list_params_type, device_visibility_params_type, group_list_params_type;
struct domain_list_params { struct record record; char *pool_id, *remote_path; int domain_class, storage_type; };
extern const struct record_type domain_list_params_type;
struct discover_params { struct record record; char *host, *user, *password; int port; bool ipv6_enabled; };
extern const struct record_type discover_params_type;
/* id: LVM's, "0123ab-...", not a UUID */
struct group_params { struct record record; char *id, *name; GPtrArray *devices; bool force; };
extern const struct record_type group_create_params_type, group_id_params_type;
struct domain_change_params {
	struct record record;
	char *domain_id, *pool_id, *image_id, *description, *guid, *pattern, *job_id;
	GPtrArray *devices;
	json_t *order;
	bool force, case_sensitive, full;
};
extern const struct record_type domain_extend_params_type, domain_resize_pv_params_type, domain_description_params_type, domain_volumes_params_type,
	domain_file_stats_params_type, domain_dump_params_type, domain_reduce_params_type, domain_move_device_params_type;

#endif
