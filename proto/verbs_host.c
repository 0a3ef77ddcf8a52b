/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about the host itself. */
#include "proto/host.h"
#include "proto/verb.h"
#include "proto/vm.h"

const struct verb host_verbs[] = {
	{ .name = "Host.ping", .lane = VERB_LOOP, .doc = "Deprecated keep-alive; also confirms connectivity", .returns = "true" },
	{ .name = "Host.ping2", .lane = VERB_LOOP, .doc = "Keep-alive without side effects", .returns = "true" },
	{ .name = "Host.echo", .params = &host_echo_params_type, .kind = RESULT_JSON, .lane = VERB_LOOP,
	  .doc = "Writes the text to the log and returns it", .returns = "the text" },
	{ .name = "Host.confirmConnectivity", .lane = VERB_LOOP, .changes = true,
	  .doc = "Tells the host that its client can still reach it: releases a waiting setupNetworks", .returns = "true" },
	{ .name = "Host.getCapabilities", .kind = RESULT_RECORD, .result = &host_caps_type, .lane = VERB_ANY,
	  .doc = "Static and slow-changing description of the host", .returns = "object" },
	{ .name = "Host.getHardwareInfo", .kind = RESULT_RECORD, .result = &host_hardware_type, .lane = VERB_ANY,
	  .doc = "DMI identity of the system", .returns = "object of texts", .errors = "57" },
	{ .name = "Host.getStats", .kind = RESULT_RECORD, .result = &host_stats_type, .lane = VERB_ANY,
	  .doc = "Load, memory, network counters, storage reachability", .returns = "object" },
	{ .name = "Host.getVMList", .params = &vm_list_params_type, .kind = RESULT_LIST, .result = &vm_short_type, .lane = VERB_LOOP,
	  .doc = "Short entries of all or the listed VMs", .returns = "array of {vmId, status, statusTime}; ids with onlyUUID" },
	{ .name = "Host.getVMFullList", .params = &vm_list_params_type, .kind = RESULT_LIST, .result = &vm_short_type, .lane = VERB_LOOP,
	  .doc = "As getVMList", .returns = "array of {vmId, status, statusTime}" },
	{ .name = "Host.getAllVmStats", .kind = RESULT_LIST, .result = &vm_stats_type, .lane = VERB_ANY,
	  .doc = "Statistics of every VM on the host", .returns = "array" },
	{ .name = "Host.dumpxmls", .params = &vm_list_params_type, .kind = RESULT_JSON, .lane = VERB_ANY,
	  .doc = "Domain XML of all or the listed VMs", .returns = "array of one map vmId -> XML", .errors = "1" },
	{ .name = "Host.getJobs", .params = &host_jobs_params_type, .kind = RESULT_JSON, .lane = VERB_LOOP,
	  .doc = "Jobs of the host, filtered by type and ids", .returns = "map id -> {id, status, description, job_type, progress?, error?}" },
	{ .name = "Host.getAllTasksStatuses", .kind = RESULT_JSON, .lane = VERB_LOOP,
	  .doc = "State of every storage task", .returns = "map taskID -> {code, message, taskState, taskResult, taskID}" },
	{ .name = "Host.setLogLevel", .params = &host_log_level_params_type, .lane = VERB_LOOP, .changes = true, .while_recovering = true,
	  .doc = "Changes the log level of all or of one module until the next start", .returns = "true", .errors = "91" },
	{ .name = "Host.setupNetworks", .params = &host_setup_networks_params_type, .kind = RESULT_JSON, .lane = VERB_NETWORK, .changes = true,
	  .doc = "Adds, changes, removes networks and bonds in one transaction", .returns = "{\"code\": 0, \"message\": \"Done\"}",
	  .errors = "10 21 22 23 24 25 26 27 29 31 78" },
	{ .name = "Host.setSafeNetworkConfig", .lane = VERB_NETWORK, .changes = true,
	  .doc = "Makes the running network configuration the one restored at boot", .returns = "true" },

	{ .name = "Host.claim", .params = &host_claim_params_type, .lane = VERB_ANY, .changes = true,
	  .doc = "Binds the host to one engine (a verb of our own); again by the same engine is fine", .returns = "true", .errors = "40" },
	{ .name = "Host.release", .params = &host_claim_params_type, .lane = VERB_ANY, .changes = true,
	  .doc = "Ends the binding made by Host.claim (a verb of our own)", .returns = "true", .errors = "40" },
};
const size_t n_host_verbs = G_N_ELEMENTS(host_verbs);
