/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_MIGRATION_H
#define BERTH_PROTO_MIGRATION_H
/* Live migration: parameters and results of the verbs. Wire names of vdsm's verbs are vdsm's; members of our own say so. */
#include "common/record.h"

/* ---- VM.migrate ---- */

/* What is done to a migration: name setDowntime (params: [ms]), postcopy, abort. */
struct migration_action { struct record record; char *name; json_t *params; };
extern const struct record_type migration_action_type;
struct migration_stall { struct record record; int limit; struct migration_action *action; };
extern const struct record_type migration_stall_type;
struct migration_schedule { struct record record; GPtrArray *init, *stalling; };       /* struct migration_action, struct migration_stall */
extern const struct record_type migration_schedule_type;

struct migrate_options {
	struct record record;
	char *vm_id, *src, *dst, *mode, *method, *dst_qemu, *console_address, *compression;
	int downtime, max_bandwidth, parallel, incoming_limit, outgoing_limit;
	bool tunneled, abort_on_error, auto_converge, compressed, encrypted, zerocopy, guest_events, postcopy;
	struct migration_schedule *schedule;
	GPtrArray *cpusets, *numa_nodesets;                  /* strings */
};
extern const struct record_type migrate_options_type;
struct migrate_params { struct record record; char *vm_id; struct migrate_options *params; };
extern const struct record_type migrate_params_type;

/* ---- VM.migrationCreate ---- */

struct incoming_vm {
	struct record record;
	char *vm_id, *xml, *migration_id, *source;
	double elapsed;                                      /* s the VM has run */
	int64_t time_offset;
	json_t *files;                                       /* name -> base64 */
};
extern const struct record_type incoming_vm_type;
struct migration_create_params { struct record record; char *vm_id; struct incoming_vm *params; int incoming_limit; };
extern const struct record_type migration_create_params_type;
struct migration_created_vm { struct record record; char *vm_id, *xml, *address; int status; int64_t status_time; };
extern const struct record_type migration_created_vm_type;
struct migration_created { struct record record; struct migration_created_vm *params; int port; };
extern const struct record_type migration_created_type;

/* What came of a migration, seen from where the VM went. */
enum arrival { ARRIVAL_NONE, ARRIVAL_WAITING, ARRIVAL_ARRIVED, ARRIVAL_POSTCOPY, ARRIVAL_BROKEN };
extern const char *const arrival_names[];
/* What is to be ended of it: nothing, a VM that is still waited for, one that runs as well. */
enum arrival_end { ARRIVAL_KEEP, ARRIVAL_END_WAITING, ARRIVAL_END };
extern const char *const arrival_end_names[];
struct arrival_params { struct record record; char *vm_id, *migration_id; int end; };
extern const struct record_type arrival_params_type;
struct arrival_state { struct record record; int state; };
extern const struct record_type arrival_state_type;

/* ---- the others ---- */

struct migration_change { struct record record; int max_bandwidth, downtime; bool postcopy; };
extern const struct record_type migration_change_type;
struct migration_change_params { struct record record; char *vm_id; struct migration_change *params; };
extern const struct record_type migration_change_params_type;

/* How it will go. Times in ms. */
struct migration_forecast { struct record record; int64_t total_time, remaining_time, downtime, dirty_rate, bandwidth, memory; bool converges; };
extern const struct record_type migration_forecast_type;
struct forecast_params { struct record record; char *vm_id; int max_bandwidth, downtime; };
extern const struct record_type forecast_params_type;

struct migration_code { struct record record; int code; char *message; };
extern const struct record_type migration_code_type;
struct migration_stats {
	struct record record;
	struct migration_code *status;
	int progress;
	int64_t downtime;
	/* ours */
	char *phase, *dst, *migration_id;
	bool postcopy;
	int64_t elapsed, memory_total, memory_processed, memory_remaining, bandwidth, dirty_rate, iteration, max_downtime, max_bandwidth;
	struct migration_forecast *forecast;
};
extern const struct record_type migration_stats_type;

#define EVENT_MIGRATION_STATUS "|virt|VM_migration_status|"

#endif
