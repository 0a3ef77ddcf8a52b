/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_STREAM_PRIV_H
#define BERTH_COMMON_STREAM_PRIV_H
/* What a listener needs of streams, and nobody else. */
#include "common/stream.h"

/* How many there are; shared by a listener and its streams, since the streams may outlive the listener. */
struct stream_count {
	unsigned holders, connections;
	GQueue half_open;                    /* of streams whose handshake is not done; who came first is first */
};
struct stream_count *stream_count_unref(struct stream_count *count);

/* Options of every socket of ours; accepted sockets inherit them from the listening one. */
void stream_socket_options(int fd);

/* A stream of an accepted, non-blocking socket, which it takes over. Events are unset; nothing happens before stream_accept(). */
struct stream *stream_new_accepted(struct loop *loop, int fd, const struct sockaddr *peer, struct tls_context *tls, int64_t handshake_usec,
				   size_t max_queue, struct stream_count *count);
/* Ends the stream that has been in its handshake for longest, if that is at least min_usec. */
bool stream_drop_half_open(struct stream_count *count, int64_t min_usec);
/* Lets it begin, from the next turn of the loop on. Also right after a stream_abort() in accepted(). */
void stream_accept(struct stream *stream);

#endif
