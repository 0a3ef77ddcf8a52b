/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_CONNECTION_ISCSI_H
#define BERTH_AGENT_STORAGE_CONNECTION_ISCSI_H
/* iSCSI, by way of iscsiadm. Blocks: lanes of connections only. Theory of operation in iscsi.c */
#include <stdbool.h>
#include <glib.h>
#include "proto/storage.h"

/* portal: "address:port", IPv6 in brackets. user, password: "" or NULL without CHAP. */
struct iscsi_target { char *iqn, *portal; int group; char *user, *password; };
void iscsi_target_clear(struct iscsi_target *target);
/* Checked: ERR_STORAGE_SERVER_VALIDATION_ERROR */
bool iscsi_target(const struct connection_ref *connection, struct iscsi_target *ret_target, GError **error);
/* "address:port"; ERR_STORAGE_SERVER_VALIDATION_ERROR. g_free */
char *iscsi_portal(const char *address, const char *port, GError **error);

/* Does a session with the target through that portal exist? (sysfs) */
bool iscsi_is_connected(const struct iscsi_target *target);
/* How many sessions with the target there are. */
unsigned iscsi_count(const char *iqn);
/* ERR_ISCSI_LOGIN_AUTH_ERROR, ERR_ISCSI_LOGIN_ERROR, ERR_STORAGE_SERVER_ISCSI_ERROR; returns when its devices have their names */
bool iscsi_login(const struct iscsi_target *target, GError **error);
bool iscsi_logout(const struct iscsi_target *target, GError **error);
/* "address:port,group iqn" each (char *); ERR_ISCSI_DISCOVERY_ERROR. g_ptr_array_unref */
GPtrArray *iscsi_discover(const char *portal, const char *user, const char *password, GError **error);
/* Looks for new and grown devices of all sessions. */
void iscsi_rescan(void);

#endif
