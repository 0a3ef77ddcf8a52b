/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_GLUSTER_H
#define BERTH_PROTO_GLUSTER_H
/* Parameters of the verbs about Gluster. Wire names are vdsm's (lib/vdsm/api/vdsm-api-gluster.yml). A brick is "HOST:/DIRECTORY". */
#include "common/record.h"

/* One struct for all; each verb's table says which members it takes. */
struct gluster_params {
	struct record record;
	char *volume, *host, *host_uuid, *remote_server;
	char *option, *value, *status_option, *rebalance_type;
	char *brick, *existing_brick, *new_brick;
	char *snapshot, *option_name, *option_value;
	GPtrArray *bricks, *transports, *task_ids;
	int replica_count, stripe_count;
	bool force, arbiter, nfs;
};
extern const struct record_type gluster_create_params_type, gluster_add_brick_params_type, gluster_remove_brick_params_type, gluster_remove_status_params_type,
	gluster_volume_params_type, gluster_volume_force_params_type, gluster_list_params_type, gluster_status_params_type, gluster_set_params_type,
	gluster_reset_params_type, gluster_rebalance_params_type, gluster_rebalance_stop_params_type, gluster_replace_params_type,
	gluster_existing_brick_params_type, gluster_profile_params_type, gluster_tasks_params_type, gluster_host_params_type, gluster_host_remove_params_type,
	gluster_host_uuid_params_type, gluster_snapshot_params_type, gluster_snapshot_force_params_type, gluster_snapshot_config_params_type,
	gluster_volume_snapshot_config_params_type;

#endif
