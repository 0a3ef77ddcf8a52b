/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/gluster.h"
#include "engine/model/misc.h"

const char *const gluster_volume_type_names[] = { "distribute", "replicate", "distributed_replicate", "stripe", "distributed_stripe", "striped_replicate",
						  "distributed_striped_replicate", NULL };
const char *const gluster_transport_names[] = { "tcp", "rdma", NULL };
static const char *const state_names[] = { "up", "down", "unknown", NULL };

#define PATH_PATTERN "/[^\\s,]+"
#define B struct gluster_brick
#define BRICK_PLACE(need) \
	FIELD_STRING_(B, server_id, "server_id", need, "host of the cluster: its id; on input its name will do", .min = 1, .max = 255), \
	FIELD_STRING_(B, brick_dir, "brick_dir", need, "directory on it; made where it is missing", .min = 2, .max = 4000, .pattern = PATH_PATTERN)
static const struct field brick_item_fields[] = { BRICK_PLACE(CREATE | REQUIRED) };
static const struct record_type brick_item_type = RECORD_TYPE("brick", NULL, B, brick_item_fields, "Where a brick is");

static const struct field brick_fields[] = {
	FIELD_STRING_(B, id, "@id", READ_ONLY, "identity, made of the volume's id and the brick's place"),
	FIELD_STRING_(B, name, "name", HEAD, "server and directory as Gluster has them"),
	BRICK_PLACE(CREATE),
	FIELD_ENUM_(B, state, "status/state", ALL_CONTENT, state_names, "does its process run"),
	FIELD_INT_(B, replica_count, "replica_count", CREATE, "copies of each file; on creation: afterwards, when it changes", .min = 1, .max = 1024),
	FIELD_INT_(B, stripe_count, "stripe_count", CREATE, "bricks a file is striped over", .min = 1, .max = 1024),
	FIELD_STRING_(B, device, "device", ALL_CONTENT, "device of its file system"),
	FIELD_STRING_(B, fs_name, "fs_name", ALL_CONTENT, "type of its file system"),
	FIELD_STRING_(B, mount_options, "mnt_options", ALL_CONTENT, "options its file system is mounted with"),
	FIELD_INT_(B, port, "port", ALL_CONTENT, "TCP port of its process"),
	FIELD_INT_(B, pid, "pid", ALL_CONTENT, "its process"),
	FIELD_LONG_(B, total_size, "total_size", ALL_CONTENT, "size of its file system", .unit = "bytes"),
	FIELD_LONG_(B, free_size, "free_size", ALL_CONTENT, "what is free there", .unit = "bytes"),
	FIELD_LIST_(B, bricks, "brick", CREATE | INPUT_ONLY, &brick_item_type, "several bricks in place of one: those of a set of replicas come together"),
};
const struct record_type gluster_brick_type = RECORD_TYPE("brick", "bricks", B, brick_fields, "A directory that a Gluster volume is made of");

static const struct field option_fields[] = {
	FIELD_STRING_(struct option_item, name, "name", READ_ONLY, "name of the option"),
	FIELD_STRING_(struct option_item, value, "value", READ_ONLY, "its value"),
};
const struct record_type gluster_option_type = RECORD_TYPE("option", NULL, struct option_item, option_fields, "An option of a Gluster volume");

#define V struct gluster_volume
static const struct field volume_fields[] = {
	FIELD_STRING_(V, id, "@id", READ_ONLY, "Gluster's id of the volume"),
	FIELD_STRING_(V, name, "name", CREATE | REQUIRED | HEAD, "unique name", .min = 1, .max = 255, .pattern = "[A-Za-z0-9_][A-Za-z0-9_-]*"),
	FIELD_ENUM_(V, volume_type, "volume_type", CREATE | REQUIRED, gluster_volume_type_names, "how files are spread over the bricks"),
	FIELD_STRINGS_(V, transport_types, "transport_types/transport_type", CREATE, "how clients reach it", .names = gluster_transport_names),
	FIELD_INT_(V, replica_count, "replica_count", CREATE,
		   "copies of each file; when absent on creation: as many as bricks (replicate), 2 (distributed_replicate)", .min = 1, .max = 1024),
	FIELD_INT_(V, stripe_count, "stripe_count", CREATE, "bricks a file is striped over", .min = 1, .max = 1024),
	FIELD_ENUM_(V, state, "status/state", READ_ONLY, state_names, "up: started"),
	FIELD_LIST_(V, options, "options/option", READ_ONLY, &gluster_option_type, "options that are set; changed by actions"),
	FIELD_LIST_(V, bricks, "bricks/brick", CREATE | REQUIRED | INPUT_ONLY, &brick_item_type, "its bricks, the copies of a file side by side"),
	FIELD_STRING_(V, host_id, "host_id", INTERNAL, "host that told of it"),
};
const struct record_type gluster_volume_type = RECORD_TYPE("gluster_volume", "gluster_volumes", V, volume_fields, "A Gluster volume");
