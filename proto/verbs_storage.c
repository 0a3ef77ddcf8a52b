/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about storage. */
#include "proto/storage.h"
#include "proto/verb.h"

#define DOMAIN_READ(verb, parameters, ...) \
	{ .name = verb, .params = &(parameters), .lane = VERB_DOMAIN, .lane_key = "storagedomainID", ##__VA_ARGS__ }

#define DOMAIN_ROW(verb, parameters, ...) DOMAIN_READ(verb, parameters, .changes = true, ##__VA_ARGS__)

const struct verb storage_verbs[] = {
	{ .name = "StoragePool.connectStorageServer", .params = &connection_params_type, .kind = RESULT_JSON, .lane = VERB_ANY,
	  .changes = true, .doc = "Makes storage connections usable on this host", .returns = "[{id, status}]; status 0 or an error code" },
	{ .name = "StoragePool.disconnectStorageServer", .params = &connection_params_type, .kind = RESULT_JSON, .lane = VERB_ANY,
	  .changes = true, .doc = "Ends storage connections", .returns = "[{id, status}]" },
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
	DOMAIN_ROW("Image.teardown", image_teardown_params_type, .doc = "Ends the use of an image on this host", .returns = "true", .errors = "358"),
	{ .name = "Task.getStatus", .params = &task_id_params_type, .kind = RESULT_RECORD, .result = &task_status_type, .lane = VERB_LOOP,
	  .doc = "State of a storage task", .returns = "{taskID, taskState, taskResult, code, message}", .errors = "401" },
	{ .name = "Task.getInfo", .params = &task_id_params_type, .kind = RESULT_JSON, .lane = VERB_LOOP, .doc = "Verb of a storage task",
	  .returns = "{id, verb}", .errors = "401" },
	{ .name = "Task.stop", .params = &task_id_params_type, .lane = VERB_ANY, .changes = true,
	  .doc = "Asks a task to end and to undo what it began; one that is finished stays as it is", .returns = "true", .errors = "401" },
	{ .name = "Task.revert", .params = &task_id_params_type, .lane = VERB_LOOP, .changes = true,
	  .doc = "Sees that what a finished task did is undone: one that failed or was stopped has undone it, one that succeeded stays", .returns = "true",
	  .errors = "401 403 410" },
	{ .name = "Task.clear", .params = &task_id_params_type, .lane = VERB_LOOP, .changes = true, .doc = "Forgets a finished task", .returns = "true",
	  .errors = "401 403" },
};
const size_t n_storage_verbs = G_N_ELEMENTS(storage_verbs);
