/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_TRANSFER_NBD_SERVER_PRIV_H
#define BERTH_AGENT_STORAGE_TRANSFER_NBD_SERVER_PRIV_H
/* What nbd_server.c and nbd_run.c share. */
#include "agent/storage/data/data.h"
#include "agent/storage/transfer/nbd_server.h"

struct nbd_server {
	char *id, *url, *address;
	char *moment;                    /* of config->checkpoint_id: where it is read from; NULL: from the volume */
	enum nbd_use use;
	struct nbd_config *config;
	bool busy;                       /* being started or ended, by one worker, whose it is meanwhile */
	struct domain *domain;           /* of hold; NULL: the volumes are not held (yet), or need not be, for a backup is read */
	struct chain_hold hold;
	int lock_fd;                     /* while it is being started, see keep_writers_out(); 0: none */
};

/* "<run_dir>/nbd/<id><suffix>"; g_free */
char *nbd_file(struct storage *storage, const char *id, const char *suffix);
/* The option by which a process is known to be the server with this pid file; g_free */
char *nbd_mark(const char *pid_file);
/* Starts qemu-nbd for a server whose volumes are held; sets its url, and lock_fd. ERR_VOLUME_IS_BUSY, ERR_BITMAP_DOES_NOT_EXIST, ... */
bool nbd_run(struct storage *storage, struct nbd_server *server, GError **error);

#endif
