/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_TRANSFER_H
#define BERTH_PROTO_TRANSFER_H
/* Data of volumes to and from elsewhere: NBD servers, image tickets, volumes attached to the host. Wire names are vdsm's, those of our own say so. */
#include "common/record.h"

/* What one NBD server shows. */
struct nbd_config {
	struct record record;
	char *domain_id, *image_id, *volume_id, *bitmap, *checkpoint_id;
	bool readonly, discard, detect_zeroes, backing_chain, tls;
};
extern const struct record_type nbd_config_type;
struct nbd_call { struct record record; char *server_id; struct nbd_config *config; };
extern const struct record_type nbd_start_params_type, nbd_stop_params_type;

struct image_ticket {
	struct record record;
	char *id, *url, *transfer_id, *filename;
	GPtrArray *ops;                  /* "read", "write" */
	int64_t size;
	int timeout, inactivity_timeout; /* s */
	bool sparse, dirty;
};
extern const struct record_type image_ticket_type;
struct ticket_call { struct record record; struct image_ticket *ticket; char *id; int timeout; };
extern const struct record_type ticket_add_params_type, ticket_id_params_type, ticket_extend_params_type;
struct ticket_info {
	struct record record;
	char *id, *url, *transfer_id, *filename;
	GPtrArray *ops;
	int64_t size, expires, idle_time, transferred;
	int timeout, inactivity_timeout, connections;
	bool active, canceled, sparse, dirty;
};
extern const struct record_type ticket_info_type;

struct attach_call { struct record record; char *attachment_id, *pool_id, *domain_id, *image_id, *volume_id, *checkpoint_id, *as, *path; bool readonly; };
extern const struct record_type attach_params_type, detach_params_type, find_attached_params_type;
/* Image.attachLocal's answer, and what Image.findLocal tells */
extern const struct record_type attachment_type;

#endif
