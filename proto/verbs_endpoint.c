/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about end points, all of our own. */
#include "proto/endpoint.h"
#include "proto/verb.h"

#define ENDPOINT_ROW(verb, parameters, on, ...) { .name = "Endpoint." verb, .params = &(parameters), .lane = on, ##__VA_ARGS__ }

const struct verb endpoint_verbs[] = {
	ENDPOINT_ROW("create", endpoint_create_params_type, VERB_NETWORK, .changes = true, .kind = RESULT_RECORD, .result = &net_endpoint_type,
		     .doc = "Makes a port of a network, with its address and policies, before there is a VM or container to use it; it stays until it is deleted",
		     .returns = "the end point", .errors = "21 22 24 27 29 91"),
	ENDPOINT_ROW("modify", endpoint_modify_params_type, VERB_NETWORK, .changes = true, .kind = RESULT_RECORD, .result = &net_endpoint_type,
		     .doc = "Moves it to another network, replaces its addresses, name, policies; what is attached stays so", .returns = "the end point",
		     .errors = "21 22 23 24 27 29 40 91"),
	ENDPOINT_ROW("delete", endpoint_id_params_type, VERB_NETWORK, .changes = true, .doc = "Removes it; refused while something is attached",
		     .returns = "true", .errors = "23 24 29 40"),
	ENDPOINT_ROW("get", endpoint_id_params_type, VERB_ANY, .kind = RESULT_RECORD, .result = &net_endpoint_type,
		     .doc = "What it is, what is attached, its counters", .returns = "the end point", .errors = "23"),
	{ .name = "Endpoint.list", .lane = VERB_ANY, .kind = RESULT_LIST, .result = &net_endpoint_type, .doc = "All end points of the host",
	  .returns = "array of end points" },
	ENDPOINT_ROW("attach", endpoint_attach_params_type, VERB_VM, .lane_key = "vmID", .changes = true, .kind = RESULT_RECORD, .result = &net_endpoint_type,
		     .doc = "Gives a running VM a NIC, or a network namespace a link, that is this end point", .returns = "the end point",
		     .errors = "1 6 21 22 23 24 29 40 49 91"),
	ENDPOINT_ROW("detach", endpoint_detach_params_type, VERB_VM, .lane_key = "vmID", .changes = true, .kind = RESULT_RECORD, .result = &net_endpoint_type,
		     .doc = "Takes the NIC or link away; the end point stays", .returns = "the end point", .errors = "1 6 23 24 29 40 50"),
};
const size_t n_endpoint_verbs = G_N_ELEMENTS(endpoint_verbs);
