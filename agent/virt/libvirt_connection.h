/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_LIBVIRT_CONNECTION_H
#define BERTH_AGENT_VIRT_LIBVIRT_CONNECTION_H
/* The connections to libvirt: kept up, made again when it went away, so many that what hangs is in nobody's way. Theory of operation in libvirt_connection.c. */
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <glib.h>
#include "common/error.h"
#include "common/lane.h"
#include "common/loop.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virConnect, virConnectClose)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)

/* libvirt's event loop on ours; once a process, before any connection (libvirt_loop.c). */
void libvirt_loop_register(struct loop *loop);
void libvirt_loop_unregister(void);                           /* the loop ends: nothing more may reach it */

struct libvirt_connection_events {
	/* On a worker, once after each connect, before anyone else gets the connection: register callbacks, see what runs. false: try again later. */
	bool (*opened)(virConnectPtr conn, void *data);
	/* On the loop; opened() returned true and the connection can be had. */
	void (*up)(void *data);
	void (*down)(void *data);                             /* on the loop */
};

struct libvirt_connection;
struct libvirt_connection *libvirt_connection_new(struct loop *loop, struct lane_pool *lanes, const char *uri,
						  const struct libvirt_connection_events *events, void *data);
struct libvirt_connection *libvirt_connection_free(struct libvirt_connection *connection);
void libvirt_connection_start(struct libvirt_connection *connection);         /* loop */
/* A reference (g_autoptr(virConnect)), or NULL + ERR_RESOURCE_UNAVAILABLE. Worker; for its own calls, one at a time, and not to be kept beyond its job. */
virConnectPtr libvirt_connection_get(struct libvirt_connection *connection, GError **error);

/* "<text of code>: <what>: <libvirt's last error of this thread>" */
void libvirt_error_set(GError **error, enum error_code code, const char *format, ...) G_GNUC_PRINTF(3, 4);
int libvirt_error_code(void);

#endif
