/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_GLUSTER_H
#define BERTH_ENGINE_MODEL_GLUSTER_H
/*
 * Gluster volumes and their bricks (REST 10.7.2). Not kinds: nothing of them is stored here. Gluster keeps them, and what a client sees is asked of a host of
 * the cluster. A volume's id is Gluster's own; a brick's is made of it and of the brick's place.
 */
#include "common/record.h"

extern const char *const gluster_volume_type_names[];        /* distribute, replicate, ... */
extern const char *const gluster_transport_names[];          /* tcp, rdma */
enum gluster_volume_kind {
	GLUSTER_DISTRIBUTE, GLUSTER_REPLICATE, GLUSTER_DISTRIBUTED_REPLICATE, GLUSTER_STRIPE, GLUSTER_DISTRIBUTED_STRIPE, GLUSTER_STRIPED_REPLICATE,
	GLUSTER_DISTRIBUTED_STRIPED_REPLICATE
};
enum gluster_state { GLUSTER_UP, GLUSTER_DOWN, GLUSTER_UNKNOWN };

struct gluster_brick {
	struct record record;
	char *id, *name;                     /* name: "ADDRESS:/DIRECTORY", as Gluster has it */
	char *server_id, *brick_dir;
	int state;                           /* enum gluster_state */
	int replica_count, stripe_count;
	char *device, *fs_name, *mount_options;
	int port, pid;
	int64_t total_size, free_size;
	GPtrArray *bricks;                   /* input: several at once */
};
extern const struct record_type gluster_brick_type;

struct gluster_volume {
	struct record record;
	char *id, *name;
	int volume_type;                     /* enum gluster_volume_kind; absent: one that the names do not have */
	GPtrArray *transport_types;
	int replica_count, stripe_count;
	int state;                           /* enum gluster_state */
	GPtrArray *options;                  /* struct option_item */
	GPtrArray *bricks;                   /* struct gluster_brick; shown below the volume */
	char *host_id;                       /* host that told of it */
};
extern const struct record_type gluster_volume_type, gluster_option_type;

#endif
