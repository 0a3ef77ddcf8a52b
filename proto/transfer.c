/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/transfer.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY

#define AS_OF "the disk of a running VM as it was then: the to_checkpoint_id or the id of a backup that runs (VM.start_backup); only with readonly"
#define D struct nbd_config
static const struct field nbd_config_fields[] = {
	FIELD_UUID_(D, domain_id, "sd_id", NEED, "domain"),
	FIELD_UUID_(D, image_id, "img_id", NEED, "image (disk)"),
	FIELD_UUID_(D, volume_id, "vol_id", NEED, "volume"),
	FIELD_BOOL_(D, readonly, "readonly", IN, "clients cannot write", .def = "false"),
	FIELD_BOOL_(D, discard, "discard", IN, "what clients discard or zero is given back to the storage", .def = "false"),
	FIELD_BOOL_(D, detect_zeroes, "detect_zeroes", IN, "zeros that clients write become holes with discard, else zeros that cost no room in the image",
		    .def = "false"),
	FIELD_BOOL_(D, backing_chain, "backing_chain", IN, "what lies below the volume shines through; false: the volume alone", .def = "true"),
	FIELD_STRING_(D, bitmap, "bitmap", IN, "shown as qemu:dirty-bitmap:<name>; needs readonly and backing_chain", .min = 1, .max = 1023),
	FIELD_BOOL_(D, tls, "tls", IN, "on a TCP port, for clients with a certificate of the agent's CA, not on a Unix socket (own member)", .def = "false"),
	FIELD_UUID_(D, checkpoint_id, "checkpoint_id", IN, AS_OF " (own member)"),
};
const struct record_type nbd_config_type = RECORD_TYPE("NBDServerConfig", NULL, D, nbd_config_fields, "What an NBD server shows");
#undef D

#define D struct nbd_call
#define SERVER FIELD_UUID_(D, server_id, "server_id", NEED, "id of the server, chosen by the caller")
static const struct field nbd_start_fields[] = { SERVER, FIELD_RECORD_(D, config, "config", NEED, &nbd_config_type, "what it shows") };
const struct record_type nbd_start_params_type = RECORD_TYPE("NBD.start_server", NULL, D, nbd_start_fields, "Parameters of NBD.start_server");
static const struct field nbd_stop_fields[] = { SERVER };
const struct record_type nbd_stop_params_type = RECORD_TYPE("NBD.stop_server", NULL, D, nbd_stop_fields, "Parameters of NBD.stop_server");
#undef D

#define D struct image_ticket
static const struct field image_ticket_fields[] = {
	FIELD_UUID_(D, id, "uuid", NEED, "id of the ticket: who knows it may use it"),
	FIELD_STRING_(D, url, "url", NEED, "nbd:unix:<socket>[:exportname=<name>] of a server of this host, or file:///<path of a prepared volume>"),
	FIELD_STRINGS_(D, ops, "ops", NEED, "read, write; write includes read"),
	FIELD_LONG_(D, size, "size", NEED, "as far as it may be read and written", .unit = "bytes", .min = 0, .max = 9007199254740992),
	FIELD_INT_(D, timeout, "timeout", NEED, "it is good for this long after it was last used", .unit = "s", .min = 0, .max = 31536000),
	FIELD_INT_(D, inactivity_timeout, "inactivity_timeout", IN, "a connection is closed after this long without a byte", .unit = "s", .def = "60", .min = 1,
		   .max = 86400),
	FIELD_STRING_(D, transfer_id, "transfer_id", IN, "the transfer it belongs to, for logs"),
	FIELD_STRING_(D, filename, "filename", IN, "name under which a browser keeps a download", .pattern = "[^\"\\\\\\x00-\\x1f\\x7f]*"),
	FIELD_BOOL_(D, sparse, "sparse", IN, "zeros become holes", .def = "false"),
	FIELD_BOOL_(D, dirty, "dirty", IN, "the server of the url shows a bitmap, and clients may ask for it", .def = "false"),
};
const struct record_type image_ticket_type = RECORD_TYPE("ImageTicket", NULL, D, image_ticket_fields, "A ticket for the transfer of an image");
#undef D

#define D struct ticket_call
static const struct field ticket_add_fields[] = { FIELD_RECORD_(D, ticket, "ticket", NEED, &image_ticket_type, "the ticket") };
const struct record_type ticket_add_params_type = RECORD_TYPE("Host.add_image_ticket", NULL, D, ticket_add_fields, "Parameters of Host.add_image_ticket");
#define TICKET FIELD_UUID_(D, id, "uuid", NEED, "id of the ticket")
static const struct field ticket_id_fields[] = { TICKET };
const struct record_type ticket_id_params_type = RECORD_TYPE("a ticket", NULL, D, ticket_id_fields, "A ticket, by its id");
static const struct field ticket_extend_fields[] = {
	TICKET, FIELD_INT_(D, timeout, "timeout", NEED, "it is good for this long from now on", .unit = "s", .min = 0, .max = 31536000),
};
const struct record_type ticket_extend_params_type = RECORD_TYPE("Host.extend_image_ticket", NULL, D, ticket_extend_fields,
								 "Parameters of Host.extend_image_ticket");
#undef D

#define D struct ticket_info
static const struct field ticket_info_fields[] = {
	FIELD_STRING_(D, id, "uuid", OUT, "id"),
	FIELD_STRING_(D, url, "url", OUT, "as it was given"),
	FIELD_STRINGS_(D, ops, "ops", OUT, "as they were given"),
	FIELD_LONG_(D, size, "size", OUT, "as it was given", .unit = "bytes"),
	FIELD_INT_(D, timeout, "timeout", OUT, "as it was given", .unit = "s"),
	FIELD_INT_(D, inactivity_timeout, "inactivity_timeout", OUT, "as it was given", .unit = "s"),
	FIELD_STRING_(D, transfer_id, "transfer_id", OUT, "as it was given"),
	FIELD_STRING_(D, filename, "filename", OUT, "as it was given"),
	FIELD_BOOL_(D, sparse, "sparse", OUT, "as it was given"),
	FIELD_BOOL_(D, dirty, "dirty", OUT, "as it was given"),
	FIELD_BOOL_(D, active, "active", OUT, "data are moved now"),
	FIELD_BOOL_(D, canceled, "canceled", OUT, "it is being removed"),
	FIELD_INT_(D, connections, "connections", OUT, "connections that use it"),
	FIELD_LONG_(D, expires, "expires", OUT, "when it ends, by the host's monotonic clock", .unit = "s"),
	FIELD_LONG_(D, idle_time, "idle_time", OUT, "since it was last used; 0 while it is active", .unit = "s"),
	FIELD_LONG_(D, transferred, "transferred", OUT, "bytes that were moved, each counted once; absent when it is for both directions", .unit = "bytes"),
};
const struct record_type ticket_info_type = RECORD_TYPE("TicketInfo", NULL, D, ticket_info_fields, "State of a ticket");
#undef D

#define D struct attach_call
#define VOLUME(flags) \
	FIELD_UUID_(D, pool_id, "storagepoolID", flags, "pool"), FIELD_UUID_(D, domain_id, "storagedomainID", flags, "domain"), \
	FIELD_UUID_(D, image_id, "imageID", flags, "image (disk)"), FIELD_UUID_(D, volume_id, "volumeID", flags, "volume")
static const struct field attach_fields[] = {
	VOLUME(NEED),
	FIELD_BOOL_(D, readonly, "readonly", IN, "nothing can be written", .def = "true"),
	FIELD_STRING_(D, as, "as", IN, "unix_socket: an NBD server; nbd_device: a block device of the kernel's nbd module", .def = "unix_socket",
		      .pattern = "unix_socket|nbd_device"),
	FIELD_UUID_(D, checkpoint_id, "checkpointID", IN, AS_OF),
	FIELD_UUID_(D, attachment_id, "attachmentID", IN, "id of the attachment; absent: a new one"),
};
const struct record_type attach_params_type = RECORD_TYPE("Image.attachLocal", NULL, D, attach_fields, "Parameters of Image.attachLocal");
static const struct field detach_fields[] = { FIELD_UUID_(D, attachment_id, "attachmentID", NEED, "the attachment") };
const struct record_type detach_params_type = RECORD_TYPE("Image.detachLocal", NULL, D, detach_fields, "Parameters of Image.detachLocal");
static const struct field find_attached_fields[] = {
	FIELD_STRING_(D, path, "path", IN, "the device or socket"),
	FIELD_UUID_(D, volume_id, "volumeID", IN, "the volume"),
};
const struct record_type find_attached_params_type = RECORD_TYPE("Image.findLocal", NULL, D, find_attached_fields, "Parameters of Image.findLocal");
static const struct field attachment_fields[] = {
	FIELD_UUID_(D, attachment_id, "attachmentID", OUT, "the attachment"),
	FIELD_STRING_(D, path, "path", OUT, "device or socket"),
	FIELD_STRING_(D, as, "as", OUT, "unix_socket, nbd_device"),
	FIELD_BOOL_(D, readonly, "readonly", OUT, "nothing can be written"),
	FIELD_UUID_(D, checkpoint_id, "checkpointID", OUT, "as of this checkpoint; absent: as the volume is"),
	FIELD_UUID_(D, domain_id, "storagedomainID", OUT, "domain"),
	FIELD_UUID_(D, image_id, "imageID", OUT, "image"),
	FIELD_UUID_(D, volume_id, "volumeID", OUT, "volume"),
};
const struct record_type attachment_type = RECORD_TYPE("attachment", NULL, D, attachment_fields, "A volume that is attached to this host");
