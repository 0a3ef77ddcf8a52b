/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_AGENT_H
#define BERTH_AGENT_AGENT_H
/*
 * What the rooms of the agent share: the loop, the lanes, the directories and the ways up (events). Made by main.c, lives as long as the process.
 *
 * Floors, from the top: main > rpc > virt, host > storage, net, gluster > jobs, hooks, events. A verb's handler runs on the lane its row names
 * (VERB_LOOP rows: on the loop), writes JSON text of the result to ret_result (nothing written: true) or sets the error.
 */
#include <stdbool.h>
#include <glib.h>
#include "common/config.h"
#include "common/lane.h"
#include "common/loop.h"
#include "proto/verb.h"

struct vms;          /* agent/virt/vms.h */
struct storage;      /* agent/storage/storage.h */
struct net;          /* agent/net/net.h */
struct host;         /* agent/host/host.h */
struct jobs;         /* agent/jobs.h */
struct hooks;        /* agent/hooks.h */
struct events;       /* agent/events.h */

struct agent {
	struct loop *loop;
	struct lane_pool *lanes;
	const struct config *config;
	const char *state_dir;       /* "/var/lib/berth-agent": survives a reboot */
	const char *run_dir;         /* "/run/berth-agent": until the next boot */
	struct events *events;
	struct hooks *hooks;
	struct jobs *jobs;
	struct storage *storage;
	struct net *net;
	struct host *host;
	struct vms *vms;
	int64_t started_usec;
};

/* Who asks; fields may be empty, never NULL. */
struct verb_call {
	const char *flow_id, *peer, *local_address;
	const struct verb *verb;        /* what is called: for handlers of several verbs */
	int64_t deadline_usec;          /* the caller is told then that it takes too long; 0: never */
};

typedef bool (*verb_handler)(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
struct verb_binding { const char *name; verb_handler handler; };

/* Each room's handlers; the dispatcher (agent/rpc/dispatch.c) joins them. */
extern const struct verb_binding host_bindings[], vm_bindings[], migration_bindings[], guest_bindings[], device_bindings[], storage_bindings[],
	volume_bindings[], block_bindings[], sdm_bindings[], image_bindings[], snapshot_bindings[], backup_bindings[], net_bindings[], job_bindings[];
extern const size_t n_host_bindings, n_vm_bindings, n_migration_bindings, n_guest_bindings, n_device_bindings, n_storage_bindings, n_volume_bindings,
	n_block_bindings, n_sdm_bindings, n_image_bindings, n_snapshot_bindings, n_backup_bindings, n_net_bindings, n_job_bindings;
extern const struct verb_binding pool_bindings[], lease_bindings[], secret_bindings[], transfer_bindings[], endpoint_bindings[], gluster_bindings[];
extern const size_t n_pool_bindings, n_lease_bindings, n_secret_bindings, n_transfer_bindings, n_endpoint_bindings, n_gluster_bindings;

/* Results. */
void result_record(GString *out, const void *record);                     /* one record, RECORD_CHANNEL */
void result_list(GString *out, const GPtrArray *records);                 /* array of records */
void result_json(GString *out, json_t *json);                             /* takes over json */

#endif
