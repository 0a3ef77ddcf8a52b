/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_BEATS_H
#define BERTH_PROTO_BEATS_H
/* Heart-beats of one connection, both directions. Private to proto/. Loop thread only. */
#include <stdint.h>
#include "common/stream.h"
#include "proto/inbox.h"

struct beats;

/* send_usec: a newline goes out when there was no output for so long. silence_usec: silent(data) is called when nothing came for so long;
 * it may free the beats. 0: that direction is off. */
struct beats *beats_new(struct stream *stream, const struct inbox *inbox, int64_t send_usec, int64_t silence_usec, loop_fn silent, void *data);
struct beats *beats_free(struct beats *beats);

/* "cx,cy" in ms; false (and 0,0) when it is something else. */
bool beats_parse(const char *header, unsigned *ret_first, unsigned *ret_second);

#endif
