/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/migration.h"

#include "proto/verb.h"
#include "proto/vm.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY
#define BANDWIDTH_MAX 1048576                /* MiB/s */
#define DOWNTIME_MAX 2000000                 /* ms; QEMU's max-downtime is at most 2000 s */
#define LIMIT_MAX 1000

#define D struct migration_action
static const struct field migration_action_fields[] = {
	FIELD_STRING_(D, name, "name", NEED, "setDowntime, postcopy or abort", .pattern = "setDowntime|postcopy|abort"),
	FIELD_JSON_(D, params, "params", IN, "setDowntime: [ms], as text or number; the others: []"),
};
const struct record_type migration_action_type = RECORD_TYPE("action", NULL, D, migration_action_fields, "What is done to a migration that goes on for too long");
#undef D
#define D struct migration_stall
static const struct field migration_stall_fields[] = {
	FIELD_INT_(D, limit, "limit", NEED, "when more iterations over the memory than this were made; -1: with the next one", .min = -1, .max = 1000000),
	FIELD_RECORD_(D, action, "action", NEED, &migration_action_type, "then do this"),
};
const struct record_type migration_stall_type = RECORD_TYPE("stalling", NULL, D, migration_stall_fields, "A step of a convergence schedule");
#undef D
#define D struct migration_schedule
static const struct field migration_schedule_fields[] = {
	FIELD_LIST_(D, init, "init", IN, &migration_action_type, "actions before the memory is sent"),
	FIELD_LIST_(D, stalling, "stalling", IN, &migration_stall_type, "steps, taken in this order"),
};
const struct record_type migration_schedule_type = RECORD_TYPE("convergenceSchedule", NULL, D, migration_schedule_fields, "What is done so that a migration ends");
#undef D

#define D struct migrate_options
static const struct field migrate_options_fields[] = {
	FIELD_UUID_(D, vm_id, "vmId", IN, "id of the VM; must equal vmID when given"),
	FIELD_STRING_(D, src, "src", IN, "this host as the engine calls it; for the log"),
	FIELD_STRING_(D, dst, "dst", NEED, "agent of the host it goes to, \"host\" or \"host:port\"; the name must be in that agent's certificate", .min = 1, .max = 300),
	FIELD_STRING_(D, mode, "mode", IN, "remote", .def = "remote", .pattern = "remote"),
	FIELD_STRING_(D, method, "method", IN, "online", .def = "online", .pattern = "online"),
	FIELD_STRING_(D, dst_qemu, "dstqemu", IN, "address the memory is sent to; as the other agent says when absent ([migration] address), else dst"),
	FIELD_STRING_(D, console_address, "consoleAddress", IN, "address at which clients find the console of the VM there"),
	FIELD_BOOL_(D, tunneled, "tunneled", IN, "the memory goes through libvirt's connection: slower, no port more", .def = "false"),
	FIELD_BOOL_(D, abort_on_error, "abortOnError", IN, "an I/O error of the guest ends the migration", .def = "true"),
	FIELD_BOOL_(D, auto_converge, "autoConverge", IN, "slow the guest down when it writes faster than it is sent", .def = "false"),
	FIELD_BOOL_(D, compressed, "compressed", IN, "send repeated pages compressed", .def = "false"),
	FIELD_STRING_(D, compression, "compression", IN, "method of compressed (a member of our own): xbzrle, or mt, zlib, zstd where libvirt and QEMU have them",
		      .def = "xbzrle", .pattern = "xbzrle|mt|zlib|zstd"),
	FIELD_BOOL_(D, encrypted, "encrypted", IN, "the memory travels encrypted; [migration] encrypted when absent"),
	FIELD_BOOL_(D, zerocopy, "zerocopy", IN, "send without copying; needs parallel, and not encrypted", .def = "false"),
	FIELD_BOOL_(D, postcopy, "postcopy", IN, "post-copy is possible, by VM.migrateChangeParams (a member of our own); implied by a schedule with postcopy",
		    .def = "false"),
	FIELD_BOOL_(D, guest_events, "enableGuestEvents", IN, "accepted: today's guest agents take no events of a migration", .def = "false"),
	FIELD_INT_(D, downtime, "downtime", IN, "longest pause at the end, when there is no convergenceSchedule; [migration] downtime when absent", .unit = "ms",
		   .min = 1, .max = DOWNTIME_MAX),
	FIELD_INT_(D, max_bandwidth, "maxBandwidth", IN, "at most this fast; 0: no limit; [migration] bandwidth when absent", .unit = "MiB/s", .min = 0,
		   .max = BANDWIDTH_MAX),
	FIELD_INT_(D, parallel, "parallel", IN, "connections the memory is sent over; 0: one, in the plain way", .def = "0", .min = 0, .max = 255),
	FIELD_INT_(D, incoming_limit, "incomingLimit", IN, "most VMs on their way to that host at a time", .min = 1, .max = LIMIT_MAX),
	FIELD_INT_(D, outgoing_limit, "outgoingLimit", IN, "most VMs on their way from this host at a time; further ones wait", .min = 1, .max = LIMIT_MAX),
	FIELD_RECORD_(D, schedule, "convergenceSchedule", IN, &migration_schedule_type,
		      "what is done when it does not end; when absent: the downtime is raised in steps up to downtime, in the end it is aborted"),
	FIELD_STRINGS_(D, cpusets, "cpusets", IN, "host CPUs of each virtual CPU there, \"0-3,8\"; pins it anew"),
	FIELD_STRINGS_(D, numa_nodesets, "numaNodesets", IN, "host NUMA nodes of each guest node there"),
};
const struct record_type migrate_options_type = RECORD_TYPE("params", NULL, D, migrate_options_fields, "How a VM is migrated");
#undef D
#define D struct migrate_params
static const struct field migrate_fields[] = {
	FIELD_UUID_(D, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_RECORD_(D, params, "params", NEED, &migrate_options_type, "where to, and how"),
};
const struct record_type migrate_params_type = RECORD_TYPE("VM.migrate", NULL, D, migrate_fields, "Parameters of VM.migrate");
#undef D

#define D struct incoming_vm
static const struct field incoming_vm_fields[] = {
	FIELD_UUID_(D, vm_id, "vmId", IN, "id of the VM; must equal vmID when given"),
	FIELD_STRING_(D, xml, "xml", NEED | SECRET, "its domain XML, migratable, with our metadata and with passwords"),
	FIELD_UUID_(D, migration_id, "migrationID", IN, "id of the migration (a member of our own): the same again is the same order"),
	FIELD_STRING_(D, source, "source", IN, "the agent it comes from; for people (a member of our own)"),
	FIELD_DECIMAL_(D, elapsed, "elapsedTimeOffset", IN, "how long it has run", .unit = "s"),
	FIELD_LONG_(D, time_offset, "timeOffset", IN, "offset of the guest's clock", .unit = "s"),
	FIELD_JSON_(D, files, "_X_files", IN, "images that exist on the source host only: {file name: base64} (a member of our own)"),
};
const struct record_type incoming_vm_type = RECORD_TYPE("params", NULL, D, incoming_vm_fields, "A VM that is about to come");
#undef D
#define D struct migration_create_params
static const struct field migration_create_fields[] = {
	FIELD_UUID_(D, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_RECORD_(D, params, "params", NEED, &incoming_vm_type, "the VM"),
	FIELD_INT_(D, incoming_limit, "incomingLimit", IN, "most VMs on their way here at a time; [migration] incoming_limit when absent", .min = 1, .max = LIMIT_MAX),
};
const struct record_type migration_create_params_type =
	RECORD_TYPE("VM.migrationCreate", NULL, D, migration_create_fields, "Parameters of VM.migrationCreate");
#undef D
#define D struct migration_created_vm
static const struct field migration_created_vm_fields[] = {
	FIELD_UUID_(D, vm_id, "vmId", OUT, "id"),
	FIELD_ENUM_(D, status, "status", OUT, vm_wire_status_names, "Migration Destination"),
	FIELD_LONG_(D, status_time, "statusTime", TEXT, "when observed: 2^31-1 + monotonic ms", .unit = "ms"),
	FIELD_STRING_(D, xml, "xml", OUT, "the domain XML, fitted to this host; with passwords"),
	FIELD_STRING_(D, address, "address", OUT, "address its memory shall be sent to (a member of our own)"),
};
const struct record_type migration_created_vm_type = RECORD_TYPE("params", NULL, D, migration_created_vm_fields, "A VM that is waited for");
#undef D
#define D struct migration_created
static const struct field migration_created_fields[] = {
	FIELD_RECORD_(D, params, "params", OUT, &migration_created_vm_type, "the VM"),
	FIELD_INT_(D, port, "migrationPort", OUT, "0: libvirt chooses"),
};
const struct record_type migration_created_type = RECORD_TYPE("created", NULL, D, migration_created_fields, "Result of VM.migrationCreate");
#undef D

const char *const arrival_names[] = { "none", "waiting", "arrived", "postcopy", "broken", NULL };
const char *const arrival_end_names[] = { "no", "waiting", "any", NULL };

#define D struct arrival_params
static const struct field arrival_fields[] = {
	FIELD_UUID_(D, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_UUID_(D, migration_id, "migrationID", NEED, "id of the migration"),
	FIELD_ENUM_(D, end, "end", IN, arrival_end_names, "what came with this migration is powered off and forgotten: no; waiting: if it has not arrived; any",
		    .def = "no"),
};
const struct record_type arrival_params_type = RECORD_TYPE("VM.migrationArrival", NULL, D, arrival_fields, "Parameters of VM.migrationArrival");
#undef D
#define D struct arrival_state
static const struct field arrival_state_fields[] = {
	FIELD_ENUM_(D, state, "state", OUT, arrival_names, "after that; none: nothing of this migration is here; waiting: for the VM; arrived: it is here; postcopy: it is "
		    "here, part of its memory is not; broken: that part can no longer come"),
};
const struct record_type arrival_state_type = RECORD_TYPE("arrival", NULL, D, arrival_state_fields, "What came of a migration");
#undef D

#define D struct migration_change
static const struct field migration_change_fields[] = {
	FIELD_INT_(D, max_bandwidth, "maxBandwidth", IN, "at most this fast; 0: no limit", .unit = "MiB/s", .min = 0, .max = BANDWIDTH_MAX),
	FIELD_INT_(D, downtime, "downtime", IN, "longest pause at the end (a member of our own)", .unit = "ms", .min = 1, .max = DOWNTIME_MAX),
	FIELD_BOOL_(D, postcopy, "postcopy", IN, "true: go on in post-copy now (a member of our own)", .def = "false"),
};
const struct record_type migration_change_type = RECORD_TYPE("params", NULL, D, migration_change_fields, "What changes in a migration under way");
#undef D
#define D struct migration_change_params
static const struct field migration_change_params_fields[] = {
	FIELD_UUID_(D, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_RECORD_(D, params, "params", NEED, &migration_change_type, "what changes"),
};
const struct record_type migration_change_params_type =
	RECORD_TYPE("VM.migrateChangeParams", NULL, D, migration_change_params_fields, "Parameters of VM.migrateChangeParams");
#undef D

#define D struct migration_forecast
static const struct field migration_forecast_fields[] = {
	FIELD_BOOL_(D, converges, "converges", OUT, "the memory is sent faster than the guest writes it: it ends within the downtime"),
	FIELD_LONG_(D, total_time, "totalTime", OUT, "from the begin to the end; absent when it does not converge", .unit = "ms"),
	FIELD_LONG_(D, remaining_time, "remainingTime", OUT, "from now to the end; absent when it does not converge", .unit = "ms"),
	FIELD_LONG_(D, downtime, "downtime", OUT, "pause at the end, when it ends by itself or must be ended as things are", .unit = "ms"),
	FIELD_LONG_(D, memory, "memory", OUT, "what is to be sent", .unit = "bytes"),
	FIELD_LONG_(D, dirty_rate, "dirtyRate", OUT, "what the guest writes", .unit = "bytes/s"),
	FIELD_LONG_(D, bandwidth, "bandwidth", OUT, "what is sent, measured or assumed", .unit = "bytes/s"),
};
const struct record_type migration_forecast_type = RECORD_TYPE("forecast", NULL, D, migration_forecast_fields, "How a migration will go");
#undef D
#define D struct forecast_params
static const struct field forecast_fields[] = {
	FIELD_UUID_(D, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_INT_(D, max_bandwidth, "maxBandwidth", IN, "speed of the migration; [migration] bandwidth when absent, and what the last one reached when that is 0",
		   .unit = "MiB/s", .min = 1, .max = BANDWIDTH_MAX),
	FIELD_INT_(D, downtime, "downtime", IN, "longest pause at the end; [migration] downtime when absent", .unit = "ms", .min = 1, .max = DOWNTIME_MAX),
};
const struct record_type forecast_params_type = RECORD_TYPE("VM.migrationForecast", NULL, D, forecast_fields, "Parameters of VM.migrationForecast");
#undef D

#define D struct migration_code
static const struct field migration_code_fields[] = {
	FIELD_INT_(D, code, "code", OUT, "0, or why it failed"),
	FIELD_STRING_(D, message, "message", OUT, "for people"),
};
const struct record_type migration_code_type = RECORD_TYPE("status", NULL, D, migration_code_fields, "State of a migration");
#undef D
#define D struct migration_stats
static const struct field migration_stats_fields[] = {
	FIELD_RECORD_(D, status, "status", OUT, &migration_code_type, "code 0 while it goes on and when it is done; 47: canceled; 12 and others: failed"),
	FIELD_INT_(D, progress, "progress", OUT, "share of the memory that need not be sent any more", .unit = "%"),
	FIELD_LONG_(D, downtime, "downtime", OUT, "at the end: how long the VM stood still", .unit = "ms"),
	FIELD_STRING_(D, phase, "phase", OUT, "queued, preparing, running, finishing, over; this and what follows are members of our own"),
	FIELD_STRING_(D, dst, "dst", OUT, "where it goes"),
	FIELD_STRING_(D, migration_id, "migrationID", OUT, "its id, that of the job in Host.getJobs"),
	FIELD_BOOL_(D, postcopy, "postcopy", OUT, "the VM runs there already and fetches the rest of its memory"),
	FIELD_LONG_(D, elapsed, "elapsed", OUT, "since VM.migrate, or how long it took", .unit = "ms"),
	FIELD_LONG_(D, memory_total, "memoryTotal", OUT, "memory of the VM", .unit = "bytes"),
	FIELD_LONG_(D, memory_processed, "memoryProcessed", OUT, "sent so far", .unit = "bytes"),
	FIELD_LONG_(D, memory_remaining, "memoryRemaining", OUT, "still to be sent as things are", .unit = "bytes"),
	FIELD_LONG_(D, bandwidth, "bandwidth", OUT, "speed now", .unit = "bytes/s"),
	FIELD_LONG_(D, dirty_rate, "dirtyRate", OUT, "what the guest writes", .unit = "bytes/s"),
	FIELD_LONG_(D, iteration, "iteration", OUT, "which time it goes over the memory"),
	FIELD_LONG_(D, max_downtime, "maxDowntime", OUT, "longest pause allowed now", .unit = "ms"),
	FIELD_LONG_(D, max_bandwidth, "maxBandwidth", OUT, "speed allowed now; 0: no limit", .unit = "MiB/s"),
	FIELD_RECORD_(D, forecast, "forecast", OUT, &migration_forecast_type, "how it will go on, while it runs"),
};
const struct record_type migration_stats_type = RECORD_TYPE("migrationStats", NULL, D, migration_stats_fields, "A migration and how far it is");
#undef D

const struct verb migration_verbs[] = {
	VM_ROW("migrate", migrate_params_type, .not_migrating = true,
	       .doc = "Moves the running VM to another host; the answer comes when it is queued, the rest is told by events, VM.getStats and VM.getMigrationStatus",
	       .returns = "true", .errors = "1 12 51 91"),
	VM_ROW("migrationCreate", migration_create_params_type, .kind = RESULT_RECORD, .result = &migration_created_type,
	       .doc = "Called by the agent a VM comes from: makes ready for it", .returns = "{params {vmId, status Migration Destination, statusTime, xml, address}, "
	       "migrationPort 0}", .errors = "4 9 13 27 78 82 91"),
	{ .name = "VM.migrationArrival", .params = &arrival_params_type, .kind = RESULT_RECORD, .result = &arrival_state_type, .lane = VERB_VM_END,
	  .lane_key = "vmID", .changes = true, .doc = "Called by the agent a VM comes from, when it does not know what came of it (a verb of our own)",
	  .returns = "{state}: none, waiting, arrived, postcopy or broken", .errors = "40 42" },
	{ .name = "VM.migrateCancel", .params = &vm_id_params_type, .lane = VERB_ANY, .lane_key = "vmID", .changes = true,
	  .doc = "Aborts an outgoing migration; the VM goes on here", .returns = "true", .errors = "1 47" },
	{ .name = "VM.migrateChangeParams", .params = &migration_change_params_type, .lane = VERB_ANY, .lane_key = "vmID", .changes = true,
	  .doc = "Changes an outgoing migration while it runs", .returns = "true", .errors = "1 12 81" },
	{ .name = "VM.getMigrationStatus", .params = &vm_id_params_type, .kind = RESULT_RECORD, .result = &migration_stats_type, .lane = VERB_LOOP,
	  .doc = "How far an outgoing migration is, or how the last one ended", .returns = "{status {code, message}, progress %, downtime ms, ...}", .errors = "1" },
	{ .name = "VM.migrationForecast", .params = &forecast_params_type, .kind = RESULT_RECORD, .result = &migration_forecast_type, .lane = VERB_ANY,
	  .lane_key = "vmID", .doc = "Says how a migration would go, from what VM.startDirtyRate measured last (a verb of our own)",
	  .returns = "{converges, totalTime ms, downtime ms, memory B, dirtyRate B/s, bandwidth B/s}", .errors = "1 6 75" },
};
const size_t n_migration_verbs = G_N_ELEMENTS(migration_verbs);
