/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_TRANSFER_MOVE_H
#define BERTH_AGENT_STORAGE_TRANSFER_MOVE_H
/* The data of one ticket, for one connection: an NBD client. Theory of operation in move.c. One thread at a time; it blocks. */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

struct http;
struct ticket;
struct data;

/* ERR_STORAGE_EXCEPTION: its server does not answer */
struct data *data_open(struct ticket *ticket, GError **error);
struct data *data_close(struct data *data);
int64_t data_size(struct data *data);
bool data_many_writers(struct data *data);
bool data_has_bitmap(const struct data *data);

/* Each of these ends with an error when the ticket is canceled. ret_done: bytes from offset on that were moved, also of one that failed. */
/* From the request's body. ERR_BAD_VALUE: the client ended before; ERR_NO_SPACE_LEFT_ON_DOMAIN */
bool data_receive(struct data *data, struct http *http, int64_t offset, int64_t length, int64_t *ret_done, GError **error);
/* Into the answer, whose head is sent. */
bool data_send(struct data *data, struct http *http, int64_t offset, int64_t length, int64_t *ret_done, GError **error);
bool data_zero(struct data *data, int64_t offset, int64_t length, bool sparse, int64_t *ret_done, GError **error);
bool data_flush(struct data *data, GError **error);
bool data_read(struct data *data, void *buffer, size_t length, int64_t offset, GError **error);

struct data_extent { int64_t start, length; bool zero, hole, dirty; };
/* All extents in order, alike neighbours as one; what() false: stop. dirty: as the bitmap has them, else `dirty` means nothing. */
bool data_extents(struct data *data, bool dirty, bool (*what)(const struct data_extent *extent, void *context), void *context, GError **error);

#endif
