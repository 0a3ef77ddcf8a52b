/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_TRANSFER_TRANSFER_H
#define BERTH_AGENT_STORAGE_TRANSFER_TRANSFER_H
/*
 * Data of volumes to and from elsewhere. What the files of this folder share with the rest of agent/storage:
 *
 *   nbd_server.c   NBD servers of single volumes; nbd_run.c starts them
 *   ticket.c       who may move what until when
 *   service.c      the port and the socket where images are moved, one thread a connection
 *   http.c         one HTTP connection of them
 *   images.c       what is asked for there; move.c, extents.c, checksum.c do it
 *   image_share.c  images from and to web servers; web.c asks them
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "agent/agent.h"

struct storage;
struct nbd_servers;
struct tickets;
struct service;

struct transfer {
	struct nbd_servers *servers;
	struct tickets *tickets;
	struct service *service;
};
/* Sets storage->transfer. Loop thread, before anybody is served. */
void transfer_begin(struct storage *storage);
/* No connections any more; NBD servers go on. */
void transfer_stop(struct transfer *transfer);
struct transfer *transfer_free(struct transfer *transfer);

/* The kinds of jobs of image_share.c; once, at start. */
void image_share_register(struct storage *storage);
bool image_download_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool image_upload_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
