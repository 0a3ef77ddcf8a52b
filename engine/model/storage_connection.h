/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_STORAGE_CONNECTION_H
#define BERTH_ENGINE_MODEL_STORAGE_CONNECTION_H
/*
 * Storage connections: how storage is reached, apart from what is on it (REST chapter 13), and the credentials that one host uses for a target instead of
 * the connection's own (13.3.8). Domains refer to their connections, which keeps these from being removed.
 */
#include "common/record.h"
#include "engine/model/storage_domain.h"

struct storage_connection {
	struct record record;
	char *id, *name;                     /* no name */
	struct ref host;                     /* INPUT_ONLY: that tries it */
	int type;                            /* enum storage_type; CONNECTION_LOCAL on input */
	char *address, *path, *mount_options, *vfs_type, *nfs_version;
	int nfs_timeo, nfs_retrans;
	int port;
	char *target, *username, *password;
};
extern const struct record_type storage_connection_type;
/* The same rows for POST below a storage domain: a connection named by id. */
extern const struct record_type attached_connection_type;

/* "local", another name of localfs in chapter 13. */
#define CONNECTION_LOCAL STORAGE_TYPE_MAX

struct connection_extension {
	struct record record;
	char *id, *name;                     /* no name */
	struct ref host;                     /* parent */
	char *target, *username, *password;
};
extern const struct record_type connection_extension_type;

#endif
