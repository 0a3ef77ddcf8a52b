/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_CONNECTION_MOUNT_H
#define BERTH_AGENT_STORAGE_CONNECTION_MOUNT_H
/* Mounting. Blocks, for as long as a server does not answer: lanes of connections only. Theory of operation in mount.c */
#include <stdbool.h>
#include <glib.h>
#include "proto/storage.h"

/* What mount(8) is told. */
struct mount_plan { char *source, *type, *options; };
void mount_plan_clear(struct mount_plan *plan);
/* From the parameters of a connection, checked: ERR_MOUNT_TYPE_ERROR, ERR_MOUNT_PARSING_ERROR, ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH */
bool mount_plan(enum storage_wire_type type, const struct connection_ref *connection, struct mount_plan *ret_plan, GError **error);
/* target: a directory. ERR_MOUNT_ERROR */
bool mount_run(const struct mount_plan *plan, const char *target, GError **error);
/* One that does not answer is taken out of sight. ERR_STORAGE_SERVER_DISCONNECTION_ERROR: in use */
bool mount_end(const char *target, GError **error);
/* The mount points below a directory (char *), from the kernel's table: asks no server. NULL + error. g_ptr_array_unref */
GPtrArray *mount_list(const char *directory, GError **error);
bool mount_exists(const char *target);

#endif
