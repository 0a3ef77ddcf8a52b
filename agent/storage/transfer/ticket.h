/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_TRANSFER_TICKET_H
#define BERTH_AGENT_STORAGE_TRANSFER_TICKET_H
/* Image tickets: who may move which data until when. Theory of operation in ticket.c. Thread-safe. */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "proto/transfer.h"

struct storage;
struct tickets;
struct ticket;

#define TICKETS_MAX 1000

/* What was promised by the agent before is kept. Loop thread, before anybody is served. */
struct tickets *tickets_new(struct storage *storage);
struct tickets *tickets_free(struct tickets *tickets);

/* ---- verbs: they block, workers only ---- */
/* The same ticket again is fine and counts as a use. ERR_IMAGE_TICKETS_ERROR, ERR_INVALID_PARAMETER_EXCEPTION, errors of its volume */
bool ticket_add(struct storage *storage, const struct image_ticket *spec, GError **error);
bool ticket_extend(struct storage *storage, const char *id, int timeout, GError **error);
/* Ends what its clients do; one that is not there is fine. ERR_IMAGE_TICKETS_ERROR: they do not end */
bool ticket_remove(struct storage *storage, const char *id, GError **error);
bool ticket_exists(struct storage *storage, const char *id);
struct ticket_info *ticket_info(struct storage *storage, const char *id, GError **error);     /* record_unref */

/* ---- connections ---- */
/* The ticket, if it is good for this ("read", "write") now; ticket_unref(). NULL + error for the client. */
struct ticket *ticket_authorize(struct storage *storage, const char *id, const char *op, GError **error);
struct ticket *ticket_unref(struct ticket *ticket);
/* A connection uses it from now on; its socket is shut down when the ticket is removed. false: it is being removed. */
bool ticket_join(struct ticket *ticket, int fd);
void ticket_leave(struct ticket *ticket, int fd);
/* Something is done with it; false: it is being removed. */
bool ticket_begin(struct ticket *ticket);
/* That was a use, in which these bytes were moved. */
void ticket_end(struct ticket *ticket, int64_t offset, int64_t done);
bool ticket_canceled(const struct ticket *ticket);
const struct image_ticket *ticket_spec(const struct ticket *ticket);
bool ticket_may(const struct ticket *ticket, const char *op);
/* Where its data are: a socket, and the name of the export there. */
const char *ticket_socket(const struct ticket *ticket);
const char *ticket_export(const struct ticket *ticket);

#endif
