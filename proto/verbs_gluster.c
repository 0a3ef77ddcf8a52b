/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about Gluster: volumes, their bricks, the servers, tasks, snapshots' options. Verbs without data answer {} (vdsm's whole answer without the status). */
#include "proto/gluster.h"
#include "proto/verb.h"

/* Codes that all of them answer with: no glusterd, what it says is not understood, too late */
#define GENERAL "-32601 4105 4106 4108"
#define READ(verb, parameters, code, ...) \
	{ .name = verb, .params = (parameters), .kind = RESULT_JSON, .lane = VERB_GLUSTER, .errors = GENERAL " " code, ##__VA_ARGS__ }
#define CHANGE(verb, parameters, code, text) READ(verb, &(parameters), code, .changes = true, .doc = text, .returns = "{}")
#define MOVED \
	"hosts [{name, id, runtime s, filesScanned, filesMoved, filesFailed, filesSkipped, totalSizeMoved bytes, status}], summary: the same of all}; texts"

const struct verb gluster_verbs[] = {
	READ("GlusterHost.list", NULL, "4407", .doc = "Servers of the trusted pool, this one among them",
	     .returns = "{hosts: [{hostname, uuid, status CONNECTED, DISCONNECTED or UNKNOWN}]}"),
	READ("GlusterHost.uuid", NULL, "4408", .doc = "Id of this server in Gluster", .returns = "{uuid}"),
	CHANGE("GlusterHost.add", gluster_host_params_type, "4404", "Takes a server into the trusted pool"),
	CHANGE("GlusterHost.remove", gluster_host_remove_params_type, "4403 4406", "Takes a server out of the trusted pool"),
	CHANGE("GlusterHost.removeByUuid", gluster_host_uuid_params_type, "4403 4406", "Takes a server out of the trusted pool, by its id"),

	READ("GlusterVolume.list", &gluster_list_params_type, "4149", .doc = "Volumes, with bricks and options",
	     .returns = "{volumes: name -> {uuid, volumeName, volumeType, volumeStatus ONLINE or OFFLINE, brickCount, distCount, replicaCount, stripeCount, "
			"disperseCount, redundancyCount, isArbiter, transportType [TCP, RDMA], bricks [HOST:/DIRECTORY], bricksInfo [{name, hostUuid, isArbiter}], "
			"options: name -> value}}; counts as text"),
	READ("GlusterVolume.status", &gluster_status_params_type, "4157", .doc = "What runs of a started volume",
	     .returns = "{volumeStatus: {name, bricks [{brick, hostuuid, port, rdma_port, status ONLINE or OFFLINE, pid; detail: sizeTotal, sizeFree MiB, device, "
			"blockSize, mntOptions, fsName; clients: clientsStatus [{hostname, bytesRead, bytesWrite}]; mem: mallinfo, mempool}], nfs [], "
			"shd [{hostname, hostuuid, status, pid}]}}; texts"),
	READ("GlusterVolume.create", &gluster_create_params_type, "4122", .changes = true, .doc = "Makes a volume of bricks, which are made where they are missing",
	     .returns = "{uuid}"),
	CHANGE("GlusterVolume.delete", gluster_volume_params_type, "4139", "Removes a stopped volume; what is in its bricks stays"),
	CHANGE("GlusterVolume.start", gluster_volume_force_params_type, "4125", "Starts a volume; with force also bricks of a started one that died"),
	CHANGE("GlusterVolume.stop", gluster_volume_force_params_type, "4127", "Stops a volume"),
	CHANGE("GlusterVolume.set", gluster_set_params_type, "4131", "Sets an option of a volume"),
	CHANGE("GlusterVolume.reset", gluster_reset_params_type, "4155", "Gives up an option of a volume, or all; with force protected ones, too"),
	READ("GlusterVolume.setOptionsList", NULL, "4154", .doc = "Options that volumes can have",
	     .returns = "{volumeSetOptions: [{name, defaultValue, description}]}"),
	READ("GlusterVolume.globalVolumeOptions", NULL, "4141", .doc = "Options of all volumes", .returns = "{globalOptionMap: name -> value}"),
	CHANGE("GlusterVolume.addBrick", gluster_add_brick_params_type, "4128", "Adds bricks to a volume"),
	READ("GlusterVolume.removeBrickStart", &gluster_remove_brick_params_type, "4140", .changes = true,
	     .doc = "Begins to move what is in bricks to the others of the volume", .returns = "{taskId}"),
	READ("GlusterVolume.removeBrickStatus", &gluster_remove_status_params_type, "4152", .doc = "How far bricks are emptied", .returns = "{" MOVED),
	READ("GlusterVolume.removeBrickStop", &gluster_remove_brick_params_type, "4150", .changes = true, .doc = "Ends the emptying of bricks, which stay",
	     .returns = "{" MOVED),
	CHANGE("GlusterVolume.removeBrickCommit", gluster_remove_brick_params_type, "4153", "Takes emptied bricks out of the volume"),
	CHANGE("GlusterVolume.removeBrickForce", gluster_remove_brick_params_type, "4156", "Takes bricks out of the volume with what is in them"),
	CHANGE("GlusterVolume.replaceBrickCommitForce", gluster_replace_params_type, "4148", "Puts a brick in another's place; replicas are healed to it"),
	CHANGE("GlusterVolume.resetBrickStart", gluster_existing_brick_params_type, "4148", "Takes a brick off, to put its disk right"),
	CHANGE("GlusterVolume.resetBrickCommitForce", gluster_existing_brick_params_type, "4148", "Takes a brick in again, empty"),
	READ("GlusterVolume.rebalanceStart", &gluster_rebalance_params_type, "4135", .changes = true, .doc = "Begins to spread files over the bricks anew",
	     .returns = "{taskId}"),
	READ("GlusterVolume.rebalanceStop", &gluster_rebalance_stop_params_type, "4137", .changes = true, .doc = "Ends that", .returns = "{" MOVED),
	READ("GlusterVolume.rebalanceStatus", &gluster_volume_params_type, "4138", .doc = "How far that is", .returns = "{" MOVED),
	READ("GlusterVolume.healInfo", &gluster_volume_params_type, "4162", .doc = "Files of a replicated volume that have to be healed",
	     .returns = "{healInfo: {bricks [{name, status, hostUuid, numberOfEntries of connected bricks, text}]}}"),
	CHANGE("GlusterVolume.profileStart", gluster_volume_params_type, "4158", "Begins to count a volume's operations"),
	CHANGE("GlusterVolume.profileStop", gluster_volume_params_type, "4159", "Ends that"),
	READ("GlusterVolume.profileInfo", &gluster_profile_params_type, "4160", .doc = "Counters of a volume's operations",
	     .returns = "{profileInfo: {volumeName, bricks [{brick, cumulativeStats and intervalStats {blockStats [{size, read, write}], fopStats [{name, hits, "
			"latencyAvg, latencyMin, latencyMax us}], duration s, totalRead, totalWrite bytes}}]}}; texts"),
	READ("GlusterTask.list", &gluster_tasks_params_type, "4161", .doc = "Rebalancing and emptying of bricks, under way or over",
	     .returns = "{tasks: id -> {volumeName, taskType REBALANCE or REMOVE_BRICK, status, bricks}}"),

	READ("GlusterSnapshot.configList", NULL, "4708", .doc = "Options of snapshots",
	     .returns = "{snapshotConfig: {system: option -> value, volume: name -> {snap-max-hard-limit}}}"),
	READ("GlusterVolume.snapshotConfigList", &gluster_volume_params_type, "4708", .doc = "Options of a volume's snapshots",
	     .returns = "as GlusterSnapshot.configList"),
	CHANGE("GlusterSnapshot.configSet", gluster_snapshot_config_params_type, "4707", "Sets an option of all snapshots"),
	CHANGE("GlusterVolume.snapshotConfigSet", gluster_volume_snapshot_config_params_type, "4707", "Sets an option of a volume's snapshots"),
	CHANGE("GlusterSnapshot.activate", gluster_snapshot_force_params_type, "4703", "Starts the volume that a snapshot is"),
	CHANGE("GlusterSnapshot.deactivate", gluster_snapshot_params_type, "4704", "Stops the volume that a snapshot is"),
	CHANGE("GlusterSnapshot.delete", gluster_snapshot_params_type, "4702", "Removes a snapshot"),
	CHANGE("GlusterVolume.snapshotDeleteAll", gluster_volume_params_type, "4702", "Removes all snapshots of a volume"),
};
const size_t n_gluster_verbs = G_N_ELEMENTS(gluster_verbs);
