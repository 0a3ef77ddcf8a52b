/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of Gluster: which command each is, which code it fails with, and how its answer is read. Seen with GlusterFS 10.3. */
#include "agent/gluster/command.h"

#include <string.h>

#define END { NULL }
#define TEXT(member, where) { member, where, SHAPE_TEXT }

/* ---- answers ---- */

static const struct shape peer[] = {
	{ "hostname", "hostname", SHAPE_OWN }, TEXT("uuid", "uuid"),
	/* 3: "Peer in Cluster"; this server itself has no state */
	{ "status", "state connected", SHAPE_CHOICE, "3 1=CONNECTED; 1=CONNECTED;3 0=DISCONNECTED;=UNKNOWN" }, END
};
static const struct shape peers[] = { { "hosts", "peerStatus/peer", SHAPE_LIST, .item = peer }, END };
static const struct shape own_uuid[] = { TEXT("uuid", "uuidGenerate/uuid"), END };

static const struct shape brick_info[] = { TEXT("name", "name"), TEXT("hostUuid", "hostUuid"), { "isArbiter", "isArbiter", SHAPE_IS_ONE }, END };
static const struct shape volume[] = {
	TEXT("volumeName", "name"), TEXT("uuid", "id"), { "volumeType", "typeStr", SHAPE_UPPER },
	{ "volumeStatus", "statusStr", SHAPE_CHOICE, "Started=ONLINE;=OFFLINE" }, TEXT("brickCount", "brickCount"), TEXT("distCount", "distCount"),
	{ "stripeCount", "stripeCount", SHAPE_TEXT, .otherwise = "1" }, TEXT("replicaCount", "replicaCount"), TEXT("disperseCount", "disperseCount"),
	TEXT("redundancyCount", "redundancyCount"), { "isArbiter", "arbiterCount", SHAPE_IS_ONE },
	{ "transportType", "transport", SHAPE_WORDS, "0=TCP;1=RDMA;=TCP RDMA" }, { "bricks", "bricks/brick/name", SHAPE_TEXTS },
	{ "bricksInfo", "bricks/brick", SHAPE_LIST, .item = brick_info }, { "options", "options/option", SHAPE_PAIRS, "name value" }, END
};
static const struct shape volumes[] = { { "volumes", "volInfo/volumes/volume", SHAPE_MAP, "name", volume }, END };
static const struct shape created[] = { TEXT("uuid", "volCreate/volume/id"), END };

/* One for all of status' options: what was not asked for is not there. */
static const struct shape client[] = { TEXT("hostname", "hostname"), TEXT("bytesRead", "bytesRead"), TEXT("bytesWrite", "bytesWrite"), END };
static const struct shape memory[] = {
	TEXT("arena", "arena"), TEXT("ordblks", "ordblks"), TEXT("smblks", "smblks"), TEXT("hblks", "hblks"), TEXT("hblkhd", "hblkhd"), TEXT("usmblks", "usmblks"),
	TEXT("fsmblks", "fsmblks"), TEXT("uordblks", "uordblks"), TEXT("fordblks", "fordblks"), TEXT("keepcost", "keepcost"), END
};
#define RUNS TEXT("hostuuid", "peerid"), { "status", "status", SHAPE_CHOICE, "1=ONLINE;=OFFLINE" }, TEXT("pid", "pid")
#define LISTENS TEXT("port", "ports/tcp"), TEXT("rdma_port", "ports/rdma")
static const struct shape brick_status[] = {
	TEXT("brick", "hostname:path"), RUNS, LISTENS, { "sizeTotal", "sizeTotal", SHAPE_MIB }, { "sizeFree", "sizeFree", SHAPE_MIB }, TEXT("device", "device"),
	TEXT("blockSize", "blockSize"), TEXT("mntOptions", "mntOptions"), TEXT("fsName", "fsName"),
	{ "clientsStatus", "clientsStatus/client", SHAPE_LIST, .item = client }, { "mallinfo", "memStatus/mallinfo", SHAPE_OBJECT, .item = memory },
	{ "mempool", "memStatus/mempool/pool", SHAPE_CHILDREN }, END
};
static const struct shape daemon_status[] = { { "hostname", "path", SHAPE_OWN }, RUNS, END };
static const struct shape server_status[] = { { "hostname", "path", SHAPE_OWN }, RUNS, LISTENS, END };
static const struct shape volume_status[] = {
	TEXT("name", "volName"), { "bricks", "node", SHAPE_LIST, .item = brick_status, .where = "path", .like = "/*" },
	{ "nfs", "node", SHAPE_LIST, .item = server_status, .where = "hostname", .like = "NFS Server" },
	{ "shd", "node", SHAPE_LIST, .item = daemon_status, .where = "hostname", .like = "Self-heal Daemon" }, END
};
static const struct shape status[] = { { "volumeStatus", "volStatus/volumes/volume", SHAPE_OBJECT, .item = volume_status }, END };

#define MOVED \
	TEXT("runtime", "runtime"), TEXT("filesScanned", "lookups"), TEXT("filesMoved", "files"), TEXT("filesFailed", "failures"), \
	TEXT("filesSkipped", "skipped"), TEXT("totalSizeMoved", "size"), { "status", "statusStr", SHAPE_UPPER }
static const struct shape moved[] = { MOVED, END };
static const struct shape moved_by[] = { TEXT("name", "nodeName"), TEXT("id", "id"), MOVED, END };
#define PROGRESS(of) \
	{ { "summary", of "/aggregate", SHAPE_OBJECT, .item = moved }, { "hosts", of "/node", SHAPE_LIST, .item = moved_by }, END }
static const struct shape rebalance[] = PROGRESS("volRebalance"), removal[] = PROGRESS("volRemoveBrick");
static const struct shape rebalance_task[] = { TEXT("taskId", "volRebalance/task-id"), END };
static const struct shape removal_task[] = { TEXT("taskId", "volRemoveBrick/task-id"), END };
static const struct shape task[] = {
	TEXT("volumeName", "../../volName"), { "taskType", "type", SHAPE_UPPER }, { "status", "statusStr", SHAPE_UPPER },
	{ "bricks", "params/brick", SHAPE_TEXTS }, END
};
static const struct shape tasks[] = { { "tasks", "volStatus/volumes/volume/tasks/task", SHAPE_MAP, "id", task }, END };

static const struct shape options[] = { { "volumeSetOptions", "option", SHAPE_CHILDREN }, END };
static const struct shape global_options[] = { { "globalOptionMap", "volGetopts/Opt", SHAPE_PAIRS, "Option Value" }, END };

static const struct shape heal_brick[] = {
	TEXT("name", "name"), TEXT("status", "status"), TEXT("hostUuid", "@hostUuid"), { "numberOfEntries", "numberOfEntries", SHAPE_DIGITS }, END
};
static const struct shape heal_bricks[] = { { "bricks", "bricks/brick", SHAPE_LIST, .item = heal_brick }, END };
static const struct shape heal[] = { { "healInfo", "healInfo", SHAPE_OBJECT, .item = heal_bricks }, END };

static const struct shape block[] = { TEXT("size", "size"), TEXT("read", "reads"), TEXT("write", "writes"), END };
static const struct shape operation[] = {
	TEXT("name", "name"), TEXT("hits", "hits"), TEXT("latencyAvg", "avgLatency"), TEXT("latencyMin", "minLatency"), TEXT("latencyMax", "maxLatency"), END
};
static const struct shape counters[] = {
	{ "blockStats", "blockStats/block", SHAPE_LIST, .item = block }, { "fopStats", "fopStats/fop", SHAPE_LIST, .item = operation },
	TEXT("duration", "duration"), TEXT("totalRead", "totalRead"), TEXT("totalWrite", "totalWrite"), END
};
static const struct shape brick_profile[] = {
	{ "brick", "brickName", SHAPE_OWN }, { "cumulativeStats", "cumulativeStats", SHAPE_OBJECT, .item = counters },
	{ "intervalStats", "intervalStats", SHAPE_OBJECT, .item = counters }, END
};
static const struct shape volume_profile[] = { TEXT("volumeName", "volname"), { "bricks", "brick", SHAPE_LIST, .item = brick_profile }, END };
static const struct shape profile[] = { { "profileInfo", "volProfile", SHAPE_OBJECT, .item = volume_profile }, END };

static const struct shape system_config[] = {
	TEXT("snap-max-hard-limit", "hardLimit"), TEXT("snap-max-soft-limit", "softLimit"), TEXT("auto-delete", "autoDelete"),
	TEXT("activate-on-create", "activateOnCreate"), END
};
static const struct shape volume_config[] = { TEXT("snap-max-hard-limit", "effectiveHardLimit"), END };
static const struct shape config_parts[] = {
	{ "system", "systemConfig", SHAPE_OBJECT, .item = system_config }, { "volume", "volumeConfig/volume", SHAPE_MAP, "name", volume_config }, END
};
static const struct shape snapshot_config[] = { { "snapshotConfig", "snapConfig", SHAPE_OBJECT, .item = config_parts }, END };

/* ---- commands ---- */

#define REMOVE "volume remove-brick {volumeName} [replica {replicaCount}] {brickList} "
#define COMMANDS(ROW) \
	ROW("GlusterHost.list", "pool list", ERR_GLUSTER_HOSTS_LIST_FAILED, peers) \
	ROW("GlusterHost.uuid", "system:: uuid get", ERR_GLUSTER_HOST_UUID_NOT_FOUND, own_uuid) \
	ROW("GlusterHost.add", "peer probe {hostName}", ERR_GLUSTER_HOST_ADD_FAILED, NULL) \
	ROW("GlusterHost.remove", "peer detach {hostName} [{?force}force]", ERR_GLUSTER_HOST_REMOVE_FAILED, NULL, 2, ERR_GLUSTER_HOST_NOT_FOUND) \
	ROW("GlusterHost.removeByUuid", "peer detach {hostName} [{?force}force]", ERR_GLUSTER_HOST_REMOVE_FAILED, NULL, 2, ERR_GLUSTER_HOST_NOT_FOUND) \
	ROW("GlusterVolume.list", "volume info [--remote-host={remoteServer}] [{volumeName}]", ERR_GLUSTER_VOLUMES_LIST_FAILED, volumes) \
	ROW("GlusterVolume.status", "volume status {volumeName} [{brick}] [{statusOption}]", ERR_GLUSTER_VOLUME_STATUS_FAILED, status) \
	ROW("GlusterVolume.create", "volume create {volumeName} [stripe {stripeCount}] [replica {replicaCount}] [{?arbiter}arbiter 1] " \
	    "[transport {transportList,}] {bricklist} [{?force}force]", ERR_GLUSTER_VOLUME_CREATE_FAILED, created) \
	ROW("GlusterVolume.delete", "volume delete {volumeName}", ERR_GLUSTER_VOLUME_DELETE_FAILED, NULL) \
	ROW("GlusterVolume.start", "volume start {volumeName} [{?force}force]", ERR_GLUSTER_VOLUME_START_FAILED, NULL) \
	ROW("GlusterVolume.stop", "volume stop {volumeName} [{?force}force]", ERR_GLUSTER_VOLUME_STOP_FAILED, NULL) \
	ROW("GlusterVolume.set", "volume set {volumeName} {option} {value}", ERR_GLUSTER_VOLUME_SET_FAILED, NULL) \
	ROW("GlusterVolume.reset", "volume reset {volumeName} [{option}] [{?force}force]", ERR_GLUSTER_VOLUME_RESET_FAILED, NULL) \
	ROW("GlusterVolume.setOptionsList", "volume set help-xml", ERR_GLUSTER_VOLUME_SET_HELP_XML_FAILED, options) \
	ROW("GlusterVolume.globalVolumeOptions", "volume get all all", ERR_GLUSTER_VOLUME_GET_GLOBAL_OPTIONS_FAILED, global_options) \
	ROW("GlusterVolume.addBrick", "volume add-brick {volumeName} [stripe {stripeCount}] [replica {replicaCount}] {brickList} [{?force}force]", \
	    ERR_GLUSTER_VOLUME_BRICK_ADD_FAILED, NULL) \
	ROW("GlusterVolume.removeBrickStart", REMOVE "start", ERR_GLUSTER_VOLUME_REMOVE_BRICK_START_FAILED, removal_task) \
	ROW("GlusterVolume.removeBrickStatus", REMOVE "status", ERR_GLUSTER_VOLUME_REMOVE_BRICK_STATUS_FAILED, removal) \
	ROW("GlusterVolume.removeBrickStop", REMOVE "stop", ERR_GLUSTER_VOLUME_REMOVE_BRICK_STOP_FAILED, removal) \
	ROW("GlusterVolume.removeBrickCommit", REMOVE "commit", ERR_GLUSTER_VOLUME_REMOVE_BRICK_COMMIT_FAILED, NULL) \
	ROW("GlusterVolume.removeBrickForce", REMOVE "force", ERR_GLUSTER_VOLUME_REMOVE_BRICK_FORCE_FAILED, NULL) \
	ROW("GlusterVolume.replaceBrickCommitForce", "volume replace-brick {volumeName} {existingBrick} {newBrick} commit force", \
	    ERR_GLUSTER_VOLUME_REPLACE_BRICK_COMMIT_FORCE_FAILED, NULL) \
	ROW("GlusterVolume.resetBrickStart", "volume reset-brick {volumeName} {existingBrick} start", ERR_GLUSTER_VOLUME_REPLACE_BRICK_COMMIT_FORCE_FAILED, NULL) \
	ROW("GlusterVolume.resetBrickCommitForce", "volume reset-brick {volumeName} {existingBrick} {existingBrick} commit force", \
	    ERR_GLUSTER_VOLUME_REPLACE_BRICK_COMMIT_FORCE_FAILED, NULL) \
	ROW("GlusterVolume.rebalanceStart", "volume rebalance {volumeName} [{rebalanceType}] start [{?force}force]", \
	    ERR_GLUSTER_VOLUME_REBALANCE_START_FAILED, rebalance_task) \
	ROW("GlusterVolume.rebalanceStop", "volume rebalance {volumeName} stop [{?force}force]", ERR_GLUSTER_VOLUME_REBALANCE_STOP_FAILED, rebalance) \
	ROW("GlusterVolume.rebalanceStatus", "volume rebalance {volumeName} status", ERR_GLUSTER_VOLUME_REBALANCE_STATUS_FAILED, rebalance) \
	ROW("GlusterVolume.healInfo", "volume heal {volumeName} info", ERR_GLUSTER_VOLUME_HEAL_INFO_FAILED, heal) \
	ROW("GlusterVolume.profileStart", "volume profile {volumeName} start", ERR_GLUSTER_VOLUME_PROFILE_START_FAILED, NULL) \
	ROW("GlusterVolume.profileStop", "volume profile {volumeName} stop", ERR_GLUSTER_VOLUME_PROFILE_STOP_FAILED, NULL) \
	ROW("GlusterVolume.profileInfo", "volume profile {volumeName} info [{?nfs}nfs]", ERR_GLUSTER_VOLUME_PROFILE_INFO_FAILED, profile) \
	ROW("GlusterTask.list", "volume status all tasks", ERR_GLUSTER_VOLUME_TASKS_FAILED, tasks) \
	ROW("GlusterSnapshot.configList", "snapshot config", ERR_GLUSTER_SNAPSHOT_CONFIG_GET_FAILED, snapshot_config) \
	ROW("GlusterVolume.snapshotConfigList", "snapshot config {volumeName}", ERR_GLUSTER_SNAPSHOT_CONFIG_GET_FAILED, snapshot_config) \
	ROW("GlusterSnapshot.configSet", "snapshot config {optionName} {optionValue}", ERR_GLUSTER_SNAPSHOT_CONFIG_SET_FAILED, NULL) \
	ROW("GlusterVolume.snapshotConfigSet", "snapshot config {volumeName} {optionName} {optionValue}", ERR_GLUSTER_SNAPSHOT_CONFIG_SET_FAILED, NULL) \
	ROW("GlusterSnapshot.activate", "snapshot activate {snapName} [{?force}force]", ERR_GLUSTER_SNAPSHOT_ACTIVATE_FAILED, NULL) \
	ROW("GlusterSnapshot.deactivate", "snapshot deactivate {snapName}", ERR_GLUSTER_SNAPSHOT_DEACTIVATE_FAILED, NULL) \
	ROW("GlusterSnapshot.delete", "snapshot delete {snapName}", ERR_GLUSTER_SNAPSHOT_DELETE_FAILED, NULL) \
	ROW("GlusterVolume.snapshotDeleteAll", "snapshot delete volume {volumeName}", ERR_GLUSTER_SNAPSHOT_DELETE_FAILED, NULL)

#define COMMAND(name, ...) { (name), __VA_ARGS__ },
static const struct gluster_command commands[] = { COMMANDS(COMMAND) };

#define BINDING(name, ...) { (name), gluster_verb },
const struct verb_binding gluster_bindings[] = { COMMANDS(BINDING) };
const size_t n_gluster_bindings = G_N_ELEMENTS(gluster_bindings);

const struct gluster_command *gluster_command_find(const char *verb)
{
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		if (!strcmp(commands[i].verb, verb))
			return &commands[i];
	return NULL;
}
