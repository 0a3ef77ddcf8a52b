/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that move data of volumes to and from elsewhere. Those of our own say so. */
#include "proto/transfer.h"
#include "proto/verb.h"

#define ROW(verb, parameters, ...) { .name = verb, .params = &(parameters), .lane = VERB_ANY, ##__VA_ARGS__ }
#define CHANGES(verb, parameters, ...) ROW(verb, parameters, .changes = true, ##__VA_ARGS__)

const struct verb transfer_verbs[] = {
	CHANGES("NBD.start_server", nbd_start_params_type, .kind = RESULT_JSON,
		.doc = "Shows a volume that no VM writes by NBD until NBD.stop_server; the same id and config again: the same answer",
		.returns = "nbd:unix:<socket>, or nbds://<address>:<port>", .errors = "201 203 219 227 358 369 947 2009"),
	CHANGES("NBD.stop_server", nbd_stop_params_type, .doc = "Ends an NBD server; one that is not there is fine", .returns = "true", .errors = "40"),
	CHANGES("Host.add_image_ticket", ticket_add_params_type, .doc = "Lets clients that know the ticket's id move data over HTTPS, as ovirt-imageio does",
		.returns = "true", .errors = "203 254 481 1000"),
	ROW("Host.get_image_ticket", ticket_id_params_type, .kind = RESULT_RECORD, .result = &ticket_info_type, .doc = "State of a ticket",
	    .returns = "object", .errors = "481"),
	CHANGES("Host.extend_image_ticket", ticket_extend_params_type, .doc = "Lets a ticket be good for some time from now on", .returns = "true",
		.errors = "481"),
	CHANGES("Host.remove_image_ticket", ticket_id_params_type,
		.doc = "Ends a ticket and what its clients are doing; one that is not there is fine", .returns = "true", .errors = "481"),
	CHANGES("Image.attachLocal", attach_params_type, .kind = RESULT_RECORD, .result = &attachment_type,
		.doc = "Makes a volume that no VM writes, or one as it was at a checkpoint, readable here, until Image.detachLocal or the next boot (own verb)",
		.returns = "{attachmentID, path, ...}", .errors = "40 201 203 219 227 358 369 1611"),
	CHANGES("Image.detachLocal", detach_params_type, .doc = "Ends it; an attachment that is not there is fine (own verb)", .returns = "true",
		.errors = "40"),
	ROW("Image.findLocal", find_attached_params_type, .kind = RESULT_LIST, .result = &attachment_type,
	    .doc = "Volumes that are attached to this host, all or those of a path or a volume (own verb)", .returns = "array of objects"),
};
const size_t n_transfer_verbs = G_N_ELEMENTS(transfer_verbs);
