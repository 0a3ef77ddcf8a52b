/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_TRANSFER_NBD_SERVER_H
#define BERTH_AGENT_STORAGE_TRANSFER_NBD_SERVER_H
/* NBD servers of single volumes. Theory of operation in nbd_server.c. Blocks: workers only, except where said. */
#include <stdbool.h>
#include <glib.h>
#include "proto/transfer.h"

struct storage;
struct nbd_servers;

#define NBD_CLIENTS_MAX 32               /* of one server */
#define NBD_PORTS 64                     /* tried from [transfer] nbd_port on */

/* Whose it is. NBD_TICKET shows the bytes of the file or device, whatever its format; NBD_DEVICE is a block device of the kernel and no server. */
enum nbd_use { NBD_SERVED, NBD_TICKET, NBD_SOCKET, NBD_DEVICE };
extern const char *const nbd_use_names[];

/* What was left by the agent before is taken over, or ended. Loop thread, before anybody is served. */
struct nbd_servers *nbd_servers_new(struct storage *storage);
/* The servers themselves go on. */
struct nbd_servers *nbd_servers_free(struct nbd_servers *servers);

/*
 * Starts one; it answers when this returns. ret_url: "nbd:unix:<socket>", "nbds://<address>:<port>" or "/dev/nbd<n>", g_free. The same order again is
 * answered as the first time; the id for anything else: ERR_RESOURCE_UNAVAILABLE. address: of this host, as the caller knows it.
 */
bool nbd_start(struct storage *storage, const char *id, enum nbd_use use, const struct nbd_config *config, const char *address, char **ret_url, GError **error);
/* One that is not there, or of another use, is left alone. ERR_RESOURCE_UNAVAILABLE: it is being started, or its device is mounted. */
bool nbd_stop(struct storage *storage, const char *id, enum nbd_use use, GError **error);
/* ERR_VOLUME_... as chain_hold(): the volume whose data are at this path, which Image.prepare gave, as a config. record_unref */
struct nbd_config *nbd_find_volume(struct storage *storage, const char *path, GError **error);
/* Is there a server with this id? */
bool nbd_has(struct storage *storage, const char *id);
/* Their ids, char *; g_ptr_array_unref */
GPtrArray *nbd_ids(struct storage *storage, enum nbd_use use);
/* struct attach_call of each NBD_SOCKET and NBD_DEVICE; g_ptr_array_unref. Any thread. */
GPtrArray *nbd_attachments(struct storage *storage);
/* The parts of "nbd:unix:<socket>[:exportname=<name>]", name "" when there is none. g_free */
void nbd_url_parts(const char *url, char **ret_socket, char **ret_name);
/* "<run_dir>/nbd/<id>.sock"; g_free */
char *nbd_socket_path(struct storage *storage, const char *id);

#endif
