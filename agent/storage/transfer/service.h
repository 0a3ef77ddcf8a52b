/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_TRANSFER_SERVICE_H
#define BERTH_AGENT_STORAGE_TRANSFER_SERVICE_H
/* Where clients of image tickets connect: a port with TLS and a Unix socket. Theory of operation in service.c. Thread-safe. */
#include <stdbool.h>
#include <glib.h>

struct storage;
struct service;

struct service *service_new(struct storage *storage);
struct service *service_free(struct service *service);
/* Listens, if it does not yet. ERR_IMAGE_TICKETS_ERROR */
bool service_open(struct service *service, GError **error);
/* No new connections; those that are there go on. */
void service_close(struct service *service);
/* The end of all connections. */
void service_stop(struct service *service);
/* Certificates are read again. Loop thread. */
void service_reload(struct service *service);
/* "<run_dir>/images.sock" */
const char *service_socket(const struct service *service);

#endif
