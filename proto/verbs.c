/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs. Names, parameters, results and error codes are those of vdsm (lib/vdsm/api/vdsm-api.yml); verbs of our own say so. */
#include "proto/verb.h"
#include "common/error.h"
#include "proto/host.h"
#include "proto/storage.h"
#include "proto/vm.h"

#define VM_ROW(verb, parameters, ...) { .name = "VM." verb, .params = &(parameters), .lane = VERB_VM, .lane_key = "vmID", .changes = true, ##__VA_ARGS__ }
#define DOMAIN_READ(verb, parameters, ...) \
	{ .name = verb, .params = &(parameters), .lane = VERB_DOMAIN, .lane_key = "storagedomainID", ##__VA_ARGS__ }

#define DOMAIN_ROW(verb, parameters, ...) DOMAIN_READ(verb, parameters, .changes = true, ##__VA_ARGS__)

const struct verb verbs[] = {
	/* ---- Host ---- */
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

	/* ---- VM ---- */
	VM_ROW("create", vm_create_params_type, .kind = RESULT_RECORD, .result = &vm_short_type, .doc = "Starts a VM",
	       .returns = "{vmId, status WaitForLaunch, statusTime, xml}", .errors = "4 9 11 13 78 91 1500"),
	{ .name = "VM.destroy", .params = &vm_destroy_params_type, .lane = VERB_VM_END, .lane_key = "vmID", .changes = true,
	  .doc = "Powers the VM off at once and forgets it", .returns = "true", .errors = "1 42" },
	VM_ROW("shutdown", vm_shutdown_params_type, .doc = "Asks the guest to shut down or reboot, guest agent first, then ACPI", .returns = "true",
	       .errors = "1 6 19"),
	VM_ROW("reboot", vm_reboot_params_type, .doc = "Asks the guest to reboot (a verb of our own; VM.shutdown reboot=true is vdsm's)", .returns = "true",
	       .errors = "1 6 19"),
	VM_ROW("reset", vm_id_params_type, .doc = "Hard reset", .returns = "true", .errors = "1 6 90"),
	VM_ROW("pause", vm_id_params_type, .kind = RESULT_JSON, .doc = "Pauses the VM", .returns = "{\"vmList\": {}}", .errors = "1 6 1500"),
	VM_ROW("cont", vm_id_params_type, .kind = RESULT_JSON, .doc = "Resumes a paused VM", .returns = "{\"vmList\": {}}", .errors = "1 6 1500"),
	VM_ROW("hibernate", vm_hibernate_params_type, .doc = "Saves the VM's memory to a volume and stops it; the answer comes when the saving has begun",
	       .returns = "true", .errors = "1 6 13 51"),
	{ .name = "VM.getStats", .params = &vm_id_params_type, .kind = RESULT_LIST, .result = &vm_stats_type, .lane = VERB_ANY,
	  .doc = "All statistics of one VM", .returns = "array of one object", .errors = "1" },
	{ .name = "VM.getInfo", .params = &vm_id_params_type, .kind = RESULT_RECORD, .result = &vm_short_type, .lane = VERB_LOOP,
	  .doc = "Short entry of one VM", .returns = "{vmId, status, statusTime}", .errors = "1" },
	VM_ROW("setTicket", vm_ticket_params_type, .doc = "Sets the display password and its validity", .returns = "true", .errors = "1 6 18"),
	VM_ROW("freeze", vm_id_params_type, .doc = "Freezes the guest's file systems through the guest agent; hooks before_vm_freeze, after_vm_freeze",
	       .returns = "true", .errors = "1 6 19 75 76 1500"),
	VM_ROW("thaw", vm_id_params_type, .doc = "Thaws the guest's file systems; may be repeated; hooks before_vm_thaw, after_vm_thaw", .returns = "true",
	       .errors = "1 6 19 75 77 1500"),

	/* ---- storage ---- */
	{ .name = "StoragePool.connectStorageServer", .params = &connection_params_type, .kind = RESULT_JSON, .lane = VERB_POOL, .lane_key = "storagepoolID",
	  .changes = true, .doc = "Makes storage connections usable on this host", .returns = "[{id, status}]; status 0 or an error code" },
	{ .name = "StoragePool.disconnectStorageServer", .params = &connection_params_type, .kind = RESULT_JSON, .lane = VERB_POOL,
	  .lane_key = "storagepoolID", .changes = true, .doc = "Ends storage connections", .returns = "[{id, status}]" },
	DOMAIN_ROW("StorageDomain.create", domain_create_params_type, .doc = "Makes a storage domain on a connection", .returns = "true",
		   .errors = "351 361 365 372 385 397 453 469"),
	DOMAIN_ROW("StorageDomain.attach", domain_attach_params_type, .doc = "Attaches a domain to a pool", .returns = "true", .errors = "358 380"),
	DOMAIN_ROW("StorageDomain.activate", domain_attach_params_type, .doc = "Makes an attached domain usable", .returns = "true", .errors = "358 353"),
	DOMAIN_ROW("StorageDomain.deactivate", domain_deactivate_params_type, .doc = "Stops the use of a domain", .returns = "true", .errors = "358 353"),
	DOMAIN_ROW("StorageDomain.detach", domain_detach_params_type, .doc = "Detaches an inactive domain from its pool", .returns = "true",
		   .errors = "358 353 382"),
	DOMAIN_ROW("StorageDomain.format", domain_format_params_type, .doc = "Erases a domain", .returns = "true", .errors = "358 391"),
	DOMAIN_READ("StorageDomain.getInfo", domain_id_params_type, .kind = RESULT_RECORD, .result = &domain_info_type,
		   .doc = "Metadata of a domain", .returns = "object", .errors = "358"),
	DOMAIN_READ("StorageDomain.getStats", domain_id_params_type, .kind = RESULT_RECORD, .result = &domain_stats_type,
		   .doc = "Size and free space of a domain", .returns = "object", .errors = "358"),
	DOMAIN_READ("StorageDomain.getImages", domain_id_params_type, .kind = RESULT_JSON, .doc = "Images in a domain",
		   .returns = "array of ids", .errors = "358"),
	DOMAIN_READ("StorageDomain.validate", domain_id_params_type, .doc = "Checks that a domain can be used", .returns = "true", .errors = "358"),
	DOMAIN_ROW("Volume.create", volume_create_params_type, .kind = RESULT_JSON, .doc = "Makes a volume, blank or on a parent (task)",
		   .returns = "task id", .errors = "201 212 229 231 202 358 397"),
	DOMAIN_ROW("Volume.delete", volume_delete_params_type, .kind = RESULT_JSON, .doc = "Deletes a volume (task)", .returns = "task id",
		   .errors = "201 204 358"),
	DOMAIN_READ("Volume.getInfo", volume_id_params_type, .kind = RESULT_RECORD, .result = &volume_info_type,
		   .doc = "Metadata and sizes of a volume", .returns = "object", .errors = "201 358"),
	DOMAIN_READ("Volume.getSize", volume_id_params_type, .kind = RESULT_RECORD, .result = &volume_size_type,
		   .doc = "Allocated and apparent size", .returns = "{truesize, apparentsize} as texts", .errors = "201 358"),
	DOMAIN_ROW("Image.prepare", image_prepare_params_type, .kind = RESULT_JSON, .doc = "Makes a volume chain usable on this host", .returns = "{path}",
		   .errors = "201 227 358"),
	DOMAIN_ROW("Image.teardown", image_prepare_params_type, .doc = "Ends the use of an image on this host", .returns = "true", .errors = "358"),
	{ .name = "Task.getStatus", .params = &task_id_params_type, .kind = RESULT_RECORD, .result = &task_status_type, .lane = VERB_LOOP,
	  .doc = "State of a storage task", .returns = "{taskID, taskState, taskResult, code, message}", .errors = "401" },
	{ .name = "Task.clear", .params = &task_id_params_type, .lane = VERB_LOOP, .changes = true, .doc = "Forgets a finished task", .returns = "true",
	  .errors = "401 403" },
};
const size_t n_verbs = G_N_ELEMENTS(verbs);

static gpointer make_index(gpointer unused)
{
	GHashTable *index = g_hash_table_new(g_str_hash, g_str_equal);

	for (size_t i = 0; i < n_verbs; i++)
		g_hash_table_insert(index, (gpointer)verbs[i].name, (gpointer)&verbs[i]);
	return index;
}

const struct verb *verb_find(const char *name)
{
	static GOnce once = G_ONCE_INIT;

	return g_hash_table_lookup(g_once(&once, make_index, NULL), name);
}

/* By position, in the order of the table. */
static json_t *named(const struct verb *verb, const json_t *array, GError **error)
{
	json_t *object = json_object();

	for (size_t i = 0; i < json_array_size(array); i++) {
		if (!verb->params || i >= verb->params->n_fields) {
			error_set(error, ERR_JSONRPC_INVALID_PARAMS, "%s takes %zu parameters, %zu are given", verb->name,
				  verb->params ? verb->params->n_fields : (size_t)0, json_array_size(array));
			json_decref(object);
			return NULL;
		}
		json_object_set(object, verb->params->fields[i].path, json_array_get(array, i));
	}
	return object;
}

void *verb_params(const struct verb *verb, const json_t *params, struct record_input *input, GError **error)
{
	struct record_input own = { .dialect = RECORD_CHANNEL };
	json_t *object = NULL;
	void *record = NULL;
	GError *cause = NULL;

	static const struct record_type none = { .name = "no parameters", .size = sizeof(struct record), .doc = "A verb without parameters" };

	if (json_is_array(params) && !(object = named(verb, params, error)))
		return NULL;
	if (!object)
		object = params ? json_incref((json_t *)params) : json_object();
	if (!json_is_object(object)) {
		error_set(error, ERR_JSONRPC_INVALID_PARAMS, "%s: parameters must be an object or an array", verb->name);
		json_decref(object);
		return NULL;
	}
	record = record_from_json(verb->params ? verb->params : &none, object, input ? input : &own, &cause);
	json_decref(object);
	if (!input)
		record_input_clear(&own);
	if (!record) {
		if (error_is(cause, ERR_UNKNOWN_MEMBER))
			g_propagate_error(error, cause);
		else {
			error_set(error, ERR_JSONRPC_INVALID_PARAMS, "%s", cause->message);
			g_error_free(cause);
		}
		return NULL;
	}
	if (!record_check_required(record, verb->name, &cause)) {
		error_set(error, ERR_JSONRPC_INTERNAL, "{'reason': '%s'}", cause->message);
		g_error_free(cause);
		record_unref(record);
		return NULL;
	}
	record_defaults(record, 0);
	return record;
}
