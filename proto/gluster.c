/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/gluster.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define D struct gluster_params

/* What becomes a word of a command never begins with '-'. */
#define NAME_PATTERN "[A-Za-z0-9_.][A-Za-z0-9_.-]*"
#define HOST_PATTERN "[A-Za-z0-9_.:][A-Za-z0-9_.:-]*"
#define BRICK_PATTERN HOST_PATTERN ":/[^\\s,]+"
#define OPTION_PATTERN "[A-Za-z0-9_][A-Za-z0-9_.*-]*"
#define VALUE_PATTERN "[^-\\x00-\\x1f][^\\x00-\\x1f]*"
#define WORD(member, path, need, form, text, ...) \
	FIELD_STRING_(D, member, path, need, text, .pattern = (form), .min = 1, .max = 4096, ##__VA_ARGS__)

#define VOLUME WORD(volume, "volumeName", NEED, NAME_PATTERN, "name of the volume")
#define BRICKS(path, text) FIELD_STRINGS_(D, bricks, path, NEED, text, .pattern = BRICK_PATTERN)
#define REPLICA(need) FIELD_INT_(D, replica_count, "replicaCount", need, "copies of each file afterwards; 0: as it is, or none", .max = 1024)
#define STRIPE FIELD_INT_(D, stripe_count, "stripeCount", IN, "bricks a file is striped over; refused by newer GlusterFS; 0: none", .max = 1024)
#define FORCE(need) FIELD_BOOL_(D, force, "force", need, "carry on although Gluster warns")
#define SNAPSHOT WORD(snapshot, "snapName", NEED, NAME_PATTERN, "name of the snapshot")
#define SNAPSHOT_OPTION \
	WORD(option_name, "optionName", NEED, OPTION_PATTERN, "snap-max-hard-limit, snap-max-soft-limit, auto-delete or activate-on-create"), \
	WORD(option_value, "optionValue", NEED, VALUE_PATTERN, "its value")
#define PARAMS(symbol, verb, text, ...) \
	static const struct field symbol##_fields[] = { __VA_ARGS__ }; \
	const struct record_type symbol##_type = RECORD_TYPE(verb, NULL, D, symbol##_fields, text)

PARAMS(gluster_create_params, "GlusterVolume.create", "A new volume", VOLUME, BRICKS("bricklist", "its bricks, in the order of replicas"), REPLICA(IN), STRIPE,
       FIELD_STRINGS_(D, transports, "transportList", IN, "tcp, rdma", .pattern = "(?i:tcp|rdma)"), FORCE(IN),
       FIELD_BOOL_(D, arbiter, "arbiter", IN, "every third brick of replicas keeps names only"));
PARAMS(gluster_add_brick_params, "GlusterVolume.addBrick", "More bricks", VOLUME, BRICKS("brickList", "new bricks"), REPLICA(IN), STRIPE, FORCE(IN));
PARAMS(gluster_remove_brick_params, "GlusterVolume.removeBrick", "Bricks to remove", VOLUME, BRICKS("brickList", "bricks that leave"), REPLICA(NEED));
PARAMS(gluster_remove_status_params, "GlusterVolume.removeBrickStatus", "Bricks that leave", VOLUME, BRICKS("brickList", "bricks that leave"), REPLICA(IN));
PARAMS(gluster_volume_params, "Gluster volume", "A volume", VOLUME);
PARAMS(gluster_volume_force_params, "Gluster volume and force", "A volume", VOLUME, FORCE(NEED));
PARAMS(gluster_list_params, "GlusterVolume.list", "Which volumes", WORD(volume, "volumeName", IN, NAME_PATTERN, "only this one"),
       WORD(remote_server, "remoteServer", IN, HOST_PATTERN, "those that this server knows"));
PARAMS(gluster_status_params, "GlusterVolume.status", "What to tell of a volume", VOLUME, WORD(brick, "brick", IN, BRICK_PATTERN, "only of this brick"),
       WORD(status_option, "statusOption", IN, "detail|clients|mem", "detail: sizes and file systems, clients, mem: memory"));
PARAMS(gluster_set_params, "GlusterVolume.set", "An option", VOLUME, WORD(option, "option", NEED, OPTION_PATTERN, "name of the option"),
       WORD(value, "value", NEED, VALUE_PATTERN, "its value"));
PARAMS(gluster_reset_params, "GlusterVolume.reset", "Options to give up", VOLUME,
       FIELD_STRING_(D, option, "option", IN, "name of the option; empty or absent: all", .pattern = "|" OPTION_PATTERN), FORCE(NEED));
PARAMS(gluster_rebalance_params, "GlusterVolume.rebalanceStart", "How to rebalance", VOLUME,
       FIELD_STRING_(D, rebalance_type, "rebalanceType", IN, "fix-layout: directories only; empty or absent: files, too", .pattern = "|fix-layout"), FORCE(NEED));
PARAMS(gluster_rebalance_stop_params, "GlusterVolume.rebalanceStop", "A volume", VOLUME, FORCE(IN));
PARAMS(gluster_replace_params, "GlusterVolume.replaceBrickCommitForce", "One brick for another", VOLUME,
       WORD(existing_brick, "existingBrick", NEED, BRICK_PATTERN, "brick that leaves"), WORD(new_brick, "newBrick", NEED, BRICK_PATTERN, "brick that comes"));
PARAMS(gluster_existing_brick_params, "Gluster brick", "A brick of a volume", VOLUME,
       WORD(existing_brick, "existingBrick", NEED, BRICK_PATTERN, "the brick"));
PARAMS(gluster_profile_params, "GlusterVolume.profileInfo", "Counters of a volume", VOLUME,
       FIELD_BOOL_(D, nfs, "nfs", IN, "of the NFS servers, not of the bricks"));
PARAMS(gluster_tasks_params, "GlusterTask.list", "Which tasks", FIELD_STRINGS_(D, task_ids, "taskID", IN, "only these"));
PARAMS(gluster_host_params, "GlusterHost.add", "A server", WORD(host, "hostName", NEED, HOST_PATTERN, "name or address of the server"));
PARAMS(gluster_host_remove_params, "GlusterHost.remove", "A server",
       WORD(host, "hostName", NEED, HOST_PATTERN, "name or address as its peers know it"), FORCE(NEED));
PARAMS(gluster_host_uuid_params, "GlusterHost.removeByUuid", "A server", FIELD_UUID_(D, host_uuid, "hostUuid", NEED, "its id in Gluster"), FORCE(NEED),
       FIELD_STRING_(D, host, "hostName", INTERNAL, "name that its peers know, found by the id"));
PARAMS(gluster_snapshot_params, "Gluster snapshot", "A snapshot", SNAPSHOT);
PARAMS(gluster_snapshot_force_params, "GlusterSnapshot.activate", "A snapshot", SNAPSHOT, FORCE(IN));
PARAMS(gluster_snapshot_config_params, "GlusterSnapshot.configSet", "An option of all snapshots", SNAPSHOT_OPTION);
PARAMS(gluster_volume_snapshot_config_params, "GlusterVolume.snapshotConfigSet", "An option of a volume's snapshots", VOLUME, SNAPSHOT_OPTION);
