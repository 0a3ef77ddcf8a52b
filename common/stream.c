/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams.
 *
 * States: CONNECTING (TCP) -> HANDSHAKE (TLS only) -> OPEN -> CLOSING (stream_close(): the queue still goes out) -> LINGER (our end is
 * shut, what comes is thrown away until the peer's end comes, so that no reset overtakes our last bytes) -> DEAD (closed() is on its way).
 * Every state may go to DEAD at once. FAILED is OPEN whose output broke: nothing more is sent, but what the peer sent before is still read
 * - its last message, or the TLS alert that says why - and the end or the error of the input then closes the stream.
 *
 * Timers: `deadline` bounds connect and handshake together, CLOSING (CLOSE_USEC) and LINGER (LINGER_USEC), and exists only in these;
 * `kick` exists while the next block waits for its pace or bytes wait inside of OpenSSL. A stream at rest has no timer.
 *
 * Who frees: finish(), which calls closed() first. It is called as the last act of a handler of the loop, never below a function of the
 * interface: stream_abort() and what fails in stream_send() post it. So a stream is never gone when a callback or a call returns.
 *
 * Output: each block is written by its own SSL_write()/send() calls, so it starts a record and a segment of its own. OpenSSL keeps no
 * data back, because with partial writes it returns record by record, and a write that would block leaves its record there: the same bytes are
 * offered again, from wherever they are kept by then. When nothing is queued and no pace is due, stream_send() writes at once.
 * A turn writes at most OUTPUT_TURN bytes of a stream and reads at most STREAM_TURN; the rest waits for the next turn.
 *
 * Input: OpenSSL takes all that the socket has, up to a record, in one call (read ahead), not the head and the body of each record by themselves; so
 * bytes may wait inside of it when the socket is empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <arpa/inet.h>
#include <unistd.h>
#include "common/error.h"
#include "common/stream-priv.h"

#define READ_BYTES (16 * 1024)           /* a whole TLS record */
#define OUTPUT_TURN (256 * 1024)
#define CLOSE_USEC (5 * G_USEC_PER_SEC)
#define LINGER_USEC (1 * G_USEC_PER_SEC)
#define LINGER_BYTES (1024 * 1024)
#define HANDSHAKE_USEC (10 * G_USEC_PER_SEC)     /* where the caller says 0 */
#define QUEUE_BYTES (32 * 1024 * 1024)           /* where the caller says 0 */
#define USER_TIMEOUT_MSEC 60000

enum state { CONNECTING, HANDSHAKE, OPEN, FAILED, CLOSING, LINGER, DEAD };

struct block {
	struct block *next;
	GBytes *bytes;
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct stream {
	struct loop *loop;
	SSL *ssl;
	struct watch *watch;
	int fd;
	enum state state;
	bool paused, pending;                /* pending: bytes wait inside of OpenSSL */
	bool read_wants_write;               /* TLS has to write before it can read on */
	bool input_ended;                    /* the peer shut its side while our queue still goes out */
	bool started;                        /* the first block was offered to the socket: no pace holds its rest back */
	struct stream_events events;
	void *data;
	struct block *first, **last;
	size_t offset, queued, max_queue;    /* offset: of the first block, already sent */
	size_t lingered;
	int64_t pace_usec, block_sent_usec, input_usec, output_usec;
	struct timer *deadline, *kick;
	GError *error;                       /* the first that happened */
	struct stream_count *count;
	GList half_open;                     /* its place in count->half_open; data NULL: it is not there */
	int64_t born_usec;
	union address peer;
	char *peer_text, *local_text;
};

enum result { DONE, AGAIN, BROKEN };

static void on_event(int fd, unsigned what, void *data);
static void on_kick(void *data);
static void finish(void *data);

struct stream_count *stream_count_unref(struct stream_count *count)
{
	if (count && --count->holders == 0)
		g_free(count);
	return NULL;
}

void stream_socket_options(int fd)
{
	static const int on = 1, idle = 60, interval = 20, probes = 3, user_timeout = USER_TIMEOUT_MSEC;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
}

/* IPv4 that came through a dual-stack socket is shown, and handed on, as IPv4. */
static union address plain_address(const struct sockaddr *from)
{
	union address address = { 0 };

	if (from->sa_family != AF_INET6) {
		memcpy(&address.v4, from, sizeof(address.v4));
		return address;
	}
	memcpy(&address.v6, from, sizeof(address.v6));
	if (IN6_IS_ADDR_V4MAPPED(&address.v6.sin6_addr)) {
		struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = address.v6.sin6_port };

		memcpy(&v4.sin_addr, &address.v6.sin6_addr.s6_addr[12], sizeof(v4.sin_addr));
		memset(&address, 0, sizeof(address));
		address.v4 = v4;
	}
	return address;
}

static char *address_text(const union address *address, bool with_port)
{
	char text[INET6_ADDRSTRLEN];

	if (address->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &address->v6.sin6_addr, text, sizeof(text));
		return with_port ? g_strdup_printf("[%s]:%u", text, ntohs(address->v6.sin6_port)) : g_strdup(text);
	}
	inet_ntop(AF_INET, &address->v4.sin_addr, text, sizeof(text));
	return with_port ? g_strdup_printf("%s:%u", text, ntohs(address->v4.sin_port)) : g_strdup(text);
}

static struct stream *stream_new(struct loop *loop, int fd, const struct sockaddr *peer, size_t max_queue)
{
	struct stream *stream = g_new0(struct stream, 1);

	stream->loop = loop;
	stream->fd = fd;
	stream->last = &stream->first;
	stream->max_queue = max_queue ? max_queue : QUEUE_BYTES;
	stream->born_usec = stream->input_usec = stream->output_usec = now_usec();
	stream->peer = plain_address(peer);
	stream->watch = watch_new(loop, fd, on_event, stream);
	return stream;
}

static void end_handshake(struct stream *stream)
{
	stream->deadline = timer_free(stream->deadline);
	if (stream->half_open.data)
		g_queue_unlink(&stream->count->half_open, &stream->half_open);
	stream->half_open.data = NULL;
}

static void drop_queue(struct stream *stream)
{
	for (struct block *block; (block = stream->first);) {
		stream->first = block->next;
		g_bytes_unref(block->bytes);
		g_free(block);
	}
	stream->last = &stream->first;
	stream->offset = stream->queued = 0;
	stream->started = false;
}

/* Gives everything back that the outside can feel; the object waits for finish(). */
static void kill_stream(struct stream *stream)
{
	if (stream->state == DEAD)
		return;
	end_handshake(stream);
	stream->state = DEAD;
	stream->kick = timer_free(stream->kick);
	stream->watch = watch_free(stream->watch);
	drop_queue(stream);
	close(stream->fd);
	if (stream->count)
		stream->count->connections--;
}

static void free_stream(void *data)
{
	struct stream *stream = data;

	SSL_free(stream->ssl);
	stream_count_unref(stream->count);
	g_clear_error(&stream->error);
	g_free(stream->peer_text);
	g_free(stream->local_text);
	g_free(stream);
}

/* The end. Only as the last act of a handler of the loop. */
static void finish(void *data)
{
	struct stream *stream = data;

	kill_stream(stream);
	if (stream->events.closed)
		stream->events.closed(stream, stream->error, stream->data);
	free_stream(stream);
}

static void finish_later(struct stream *stream)
{
	if (stream->state == DEAD)
		return;
	kill_stream(stream);
	loop_post(stream->loop, finish, stream, free_stream);
}

static void fail(struct stream *stream, enum error_code code, const char *reason)
{
	if (!stream->error)
		error_set(&stream->error, code, "%s: %s", stream_peer(stream), reason);
}

static void on_deadline(void *data)
{
	struct stream *stream = data;

	if (stream->state == CONNECTING)
		fail(stream, ERR_TIMEOUT, "connect");
	else if (stream->state == HANDSHAKE)
		fail(stream, ERR_TIMEOUT, "TLS handshake");
	else if (stream->state == CLOSING)
		fail(stream, ERR_TIMEOUT, "the peer does not read");
	finish(stream);
}

static void set_deadline(struct stream *stream, int64_t usec)
{
	if (!stream->deadline)
		stream->deadline = timer_new(stream->loop, on_deadline, stream);
	timer_set(stream->deadline, usec);
}

static void set_kick(struct stream *stream, int64_t usec)
{
	if (!stream->kick)
		stream->kick = timer_new(stream->loop, on_kick, stream);
	timer_set(stream->kick, usec);
}

/* How long the first block has to wait; the rest of one that was started never does. */
static int64_t pace_left(const struct stream *stream)
{
	int64_t left = stream->pace_usec && !stream->started ? stream->block_sent_usec + stream->pace_usec - now_usec() : 0;

	return MAX(left, 0);
}

/* Arms what the state asks for. */
static void update_watch(struct stream *stream)
{
	/* asked once: it must not become zero between the two uses */
	int64_t wait_usec = stream->first ? pace_left(stream) : 0;
	unsigned what = 0, output = stream->first && !wait_usec ? WATCH_WRITE : 0;

	switch (stream->state) {
	case CONNECTING:
		what = WATCH_WRITE;
		break;
	case HANDSHAKE:
		/* an accepted plain stream is ready as soon as the loop gets to it */
		what = !stream->ssl || SSL_want_write(stream->ssl) ? WATCH_WRITE : WATCH_READ;
		break;
	case OPEN:
		what = (stream->paused ? 0 : WATCH_READ) | (stream->read_wants_write ? WATCH_WRITE : 0) | output;
		break;
	case CLOSING:
		what = (stream->input_ended ? 0 : WATCH_READ) | output;
		break;
	case FAILED:
	case LINGER:
		what = WATCH_READ;
		break;
	case DEAD:
		return;
	}
	watch_set(stream->watch, what);
	if ((stream->state == OPEN || stream->state == CLOSING) && wait_usec)
		set_kick(stream, wait_usec);
	if (stream->pending && !stream->paused)
		set_kick(stream, 0);
}

/* The output broke, for a reason the input may know better. */
static enum result output_failed(struct stream *stream, enum error_code code, const char *reason)
{
	fail(stream, code, reason);
	drop_queue(stream);
	stream->state = FAILED;
	stream->paused = false;
	set_deadline(stream, LINGER_USEC);
	return BROKEN;
}

/* Writes as much as the socket takes; *ret_sent is set in any case. */
static enum result write_some(struct stream *stream, const uint8_t *bytes, size_t n, size_t *budget, size_t *ret_sent)
{
	*ret_sent = 0;
	stream->started = true;
	while (*ret_sent < n) {
		size_t left = n - *ret_sent, done = 0;

		if (!*budget)
			return AGAIN;
		if (stream->ssl) {
			int result;

			ERR_clear_error();
			result = SSL_write_ex(stream->ssl, bytes + *ret_sent, left, &done);
			if (result != 1) {
				int why = SSL_get_error(stream->ssl, result), errnum = errno;

				if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ)
					return AGAIN;
				if (why == SSL_ERROR_SYSCALL)
					return output_failed(stream, ERR_NO_CONNECTION, g_strerror(errnum ? errnum : EPIPE));

				g_autofree char *reason = tls_error_text(stream->ssl);

				return output_failed(stream, ERR_TLS_FAILED, reason);
			}
		} else {
			ssize_t result = send(stream->fd, bytes + *ret_sent, MIN(left, *budget), MSG_NOSIGNAL);

			if (result < 0 && errno == EINTR)
				continue;
			if (result < 0)
				return errno == EAGAIN ? AGAIN : output_failed(stream, ERR_NO_CONNECTION, g_strerror(errno));
			done = (size_t)result;
		}
		*ret_sent += done;
		*budget -= MIN(done, *budget);
	}
	stream->started = false;
	stream->output_usec = stream->block_sent_usec = now_usec();
	return DONE;
}

/* Sends what is queued, as far as socket, pace and turn let it. */
static enum result flush(struct stream *stream)
{
	size_t budget = OUTPUT_TURN;

	while (stream->first && !pace_left(stream)) {
		struct block *block = stream->first;
		size_t n, sent;
		const uint8_t *bytes = g_bytes_get_data(block->bytes, &n);
		enum result result = write_some(stream, bytes + stream->offset, n - stream->offset, &budget, &sent);

		if (result == BROKEN)
			return BROKEN;
		stream->queued -= sent;
		stream->offset += sent;
		if (result == AGAIN)
			return AGAIN;
		if (!(stream->first = block->next))
			stream->last = &stream->first;
		stream->offset = 0;
		g_bytes_unref(block->bytes);
		g_free(block);
	}
	return stream->first ? AGAIN : DONE;
}

static void start_linger(struct stream *stream)
{
	stream->state = LINGER;
	stream->pending = false;
	if (stream->ssl)
		(void)SSL_shutdown(stream->ssl);
	(void)shutdown(stream->fd, SHUT_WR);
	set_deadline(stream, LINGER_USEC);
}

/* Writes the queue in a handler of the loop; true when the stream is still in use afterwards. */
static bool pump_output(struct stream *stream)
{
	if (!stream->first || (stream->state != OPEN && stream->state != CLOSING))
		return true;
	if (flush(stream) != DONE)
		return true;
	if (stream->state == CLOSING)
		start_linger(stream);
	else if (stream->events.drained)
		stream->events.drained(stream, stream->data);
	return stream->state != DEAD;
}

/* One read; the end and failures are told apart by *ret_n == 0 and stream->error. */
static enum result read_some(struct stream *stream, uint8_t *bytes, size_t size, size_t *ret_n)
{
	*ret_n = 0;
	stream->read_wants_write = false;
	/* what comes after our shutdown is thrown away as it is: no need to decrypt it */
	if (stream->ssl && stream->state != LINGER) {
		int result, why;

		ERR_clear_error();
		errno = 0;
		result = SSL_read_ex(stream->ssl, bytes, size, ret_n);
		stream->pending = SSL_has_pending(stream->ssl);
		if (result == 1)
			return DONE;
		why = SSL_get_error(stream->ssl, result);
		stream->pending = false;
		if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
			stream->read_wants_write = why == SSL_ERROR_WANT_WRITE;
			return AGAIN;
		}
		if (why == SSL_ERROR_SYSCALL && errno) {
			fail(stream, ERR_NO_CONNECTION, g_strerror(errno));
		} else if (why == SSL_ERROR_SSL) {
			g_autofree char *reason = tls_error_text(stream->ssl);

			/* an alert explains why the output broke */
			g_clear_error(&stream->error);
			fail(stream, ERR_TLS_FAILED, reason);
		}
		return BROKEN;
	}
	for (;;) {
		ssize_t result = recv(stream->fd, bytes, size, 0);

		if (result > 0) {
			*ret_n = (size_t)result;
			return DONE;
		}
		if (result < 0 && errno == EINTR)
			continue;
		if (result < 0 && errno == EAGAIN)
			return AGAIN;
		if (result < 0 && stream->state != LINGER)
			fail(stream, ERR_NO_CONNECTION, g_strerror(errno));
		return BROKEN;
	}
}

/* Reads at most a turn's bytes; false when the stream is gone or dead. */
static bool pump_input(struct stream *stream)
{
	uint8_t bytes[READ_BYTES];
	size_t n;

	for (size_t turn = 0; turn < STREAM_TURN && !stream->paused; turn += n) {
		enum result result = read_some(stream, bytes, sizeof(bytes), &n);

		if (result == AGAIN)
			return true;
		if (result == BROKEN) {
			/* The peer has only closed its side, perhaps: what is queued still goes out. */
			if (!stream->error && (stream->state == OPEN || stream->state == CLOSING) && stream->first) {
				stream->input_ended = true;
				stream_close(stream);
				return true;
			}
			finish(stream);
			return false;
		}
		stream->input_usec = now_usec();
		if (stream->state == LINGER && (stream->lingered += n) > LINGER_BYTES) {
			finish(stream);
			return false;
		}
		if ((stream->state == OPEN || stream->state == FAILED) && stream->events.input)
			stream->events.input(stream, bytes, n, stream->data);
		if (stream->state == DEAD)
			return false;
		/* the socket had no more: it says so when it has, which saves one call of two */
		if (n < sizeof(bytes) && !stream->pending)
			return true;
	}
	return true;
}

static void become_ready(struct stream *stream)
{
	end_handshake(stream);
	stream->state = OPEN;
	stream->pending = stream->ssl && SSL_has_pending(stream->ssl);
	stream->input_usec = now_usec();
	if (stream->events.ready)
		stream->events.ready(stream, stream->data);
	if (stream->state != DEAD && pump_output(stream))
		update_watch(stream);
}

/* As far as it goes now; the last act of its caller. */
static void shake_hands(struct stream *stream)
{
	g_autofree char *reason = NULL;
	static const int on = 1;
	int result, why;

	if (!stream->ssl) {
		become_ready(stream);
		return;
	}
	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(stream->ssl);
	if (result == 1) {
		/* The last message of TLS 1.3 has no answer, and a client without TCP_NODELAY asks nothing before it is acknowledged: now, not in 40 ms. */
		if (stream->half_open.data)
			(void)setsockopt(stream->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
		become_ready(stream);
		return;
	}
	why = SSL_get_error(stream->ssl, result);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
		update_watch(stream);
		return;
	}
	if (why == SSL_ERROR_SYSCALL && errno)
		reason = g_strdup(g_strerror(errno));
	else
		reason = tls_error_text(stream->ssl);
	fail(stream, ERR_TLS_FAILED, reason);
	if (why != SSL_ERROR_SSL) {
		finish(stream);
		return;
	}
	/* let the alert arrive: a reset for bytes we did not read would overtake it */
	end_handshake(stream);
	stream->state = LINGER;
	(void)shutdown(stream->fd, SHUT_WR);
	set_deadline(stream, LINGER_USEC);
	update_watch(stream);
}

static void connected(struct stream *stream)
{
	socklen_t length = sizeof(int);
	int errnum = 0;

	if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &errnum, &length) < 0 || errnum) {
		fail(stream, ERR_NO_CONNECTION, g_strerror(errnum ? errnum : errno));
		finish(stream);
		return;
	}
	stream->state = HANDSHAKE;
	shake_hands(stream);
}

static void on_event(int fd, unsigned what, void *data)
{
	struct stream *stream = data;

	if (stream->state == CONNECTING) {
		connected(stream);
		return;
	}
	if (stream->state == HANDSHAKE) {
		shake_hands(stream);
		return;
	}
	if ((what & WATCH_READ || stream->read_wants_write) && !pump_input(stream))
		return;
	/* whatever was readable may be what an SSL_write() waited for */
	if (pump_output(stream))
		update_watch(stream);
}

static void on_kick(void *data)
{
	struct stream *stream = data;

	if (stream->pending && !stream->paused && !pump_input(stream))
		return;
	if (pump_output(stream))
		update_watch(stream);
}

static void set_ssl(struct stream *stream, struct tls_context *tls, const char *name)
{
	if (!tls)
		return;
	stream->ssl = tls_context_session(tls, name);
	SSL_set_read_ahead(stream->ssl, 1);
	if (SSL_set_fd(stream->ssl, stream->fd) != 1)
		g_error("out of memory for a TLS session");
}

struct stream *stream_new_accepted(struct loop *loop, int fd, const struct sockaddr *peer, struct tls_context *tls, int64_t handshake_usec,
				   size_t max_queue, struct stream_count *count) {
	struct stream *stream = stream_new(loop, fd, peer, max_queue);

	set_ssl(stream, tls, /* name= */ NULL);
	stream->count = count;
	stream->count->holders++;
	stream->count->connections++;
	stream->half_open.data = stream;
	g_queue_push_tail_link(&stream->count->half_open, &stream->half_open);
	stream->state = HANDSHAKE;
	set_deadline(stream, handshake_usec ? handshake_usec : HANDSHAKE_USEC);
	return stream;
}

bool stream_drop_half_open(struct stream_count *count, int64_t min_usec)
{
	struct stream *oldest = g_queue_peek_head(&count->half_open);

	if (!oldest || now_usec() - oldest->born_usec < min_usec)
		return false;
	fail(oldest, ERR_TIMEOUT, "TLS handshake, while others wait for its place");
	stream_abort(oldest);
	return true;
}

void stream_accept(struct stream *stream)
{
	update_watch(stream);
}

struct stream *stream_connect(struct loop *loop, const struct sockaddr *address, socklen_t length, struct tls_context *tls, const char *name,
			      int64_t timeout_usec, size_t max_queue, const struct stream_events *events, void *data, GError **error) {
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), errnum = errno;
	struct stream *stream;

	if (fd >= 0) {
		stream_socket_options(fd);
		if (connect(fd, address, length) < 0 && errno != EINPROGRESS) {
			errnum = errno;
			close(fd);
			fd = -1;
		}
	}
	if (fd < 0) {
		union address peer = plain_address(address);
		g_autofree char *text = address_text(&peer, /* with_port= */ true);

		error_set_errno(error, ERR_NO_CONNECTION, errnum, "%s", text);
		return NULL;
	}
	stream = stream_new(loop, fd, address, max_queue);
	set_ssl(stream, tls, name);
	stream->state = CONNECTING;
	stream_set_events(stream, events, data);
	set_deadline(stream, timeout_usec ? timeout_usec : HANDSHAKE_USEC);
	update_watch(stream);
	return stream;
}

void stream_set_events(struct stream *stream, const struct stream_events *events, void *data)
{
	stream->events = *events;
	stream->data = data;
}

static bool may_send(const struct stream *stream, size_t n)
{
	return stream->state <= OPEN && n <= stream->max_queue && stream->queued <= stream->max_queue - n;
}

/* Writes a new block as far as it goes now; *ret_sent bytes need not be queued. */
static enum result send_now(struct stream *stream, const void *bytes, size_t n, size_t *ret_sent)
{
	size_t budget = OUTPUT_TURN;
	enum result result;

	*ret_sent = 0;
	if (stream->state != OPEN || stream->first || pace_left(stream))
		return AGAIN;
	result = write_some(stream, bytes, n, &budget, ret_sent);
	if (result == BROKEN)
		update_watch(stream);
	return result;
}

/* Queues a block, of which the first `offset` bytes have been sent. */
static void enqueue(struct stream *stream, GBytes *bytes, size_t offset)
{
	struct block *block = g_new(struct block, 1);

	*block = (struct block){ .bytes = bytes };
	if (!stream->first)
		stream->offset = offset;
	*stream->last = block;
	stream->last = &block->next;
	stream->queued += g_bytes_get_size(bytes) - offset;
	update_watch(stream);
}

bool stream_send(struct stream *stream, GBytes *bytes)
{
	size_t n, sent;
	const void *data = g_bytes_get_data(bytes, &n);
	enum result result = may_send(stream, n) ? send_now(stream, data, n, &sent) : BROKEN;

	if (result == AGAIN)
		enqueue(stream, bytes, sent);
	else
		g_bytes_unref(bytes);
	return result != BROKEN;
}

bool stream_send_copy(struct stream *stream, const void *bytes, size_t n)
{
	size_t sent;
	enum result result = may_send(stream, n) ? send_now(stream, bytes, n, &sent) : BROKEN;

	if (result == AGAIN)
		enqueue(stream, g_bytes_new((const uint8_t *)bytes + sent, n - sent), /* offset= */ 0);
	return result != BROKEN;
}

void stream_set_pace(struct stream *stream, int64_t pace_usec)
{
	stream->pace_usec = pace_usec;
	update_watch(stream);
}

void stream_pause(struct stream *stream, bool paused)
{
	if (stream->state > OPEN || stream->paused == paused)
		return;
	stream->paused = paused;
	update_watch(stream);
}

void stream_discard(struct stream *stream)
{
	struct block *begun = stream->started || stream->offset ? stream->first : NULL, *rest = begun ? begun->next : stream->first;

	for (struct block *block; (block = rest);) {
		rest = block->next;
		stream->queued -= g_bytes_get_size(block->bytes);
		g_bytes_unref(block->bytes);
		g_free(block);
	}
	stream->first = begun;
	stream->last = &stream->first;
	if (begun) {
		begun->next = NULL;
		stream->last = &begun->next;
	}
	update_watch(stream);
}

size_t stream_queued(const struct stream *stream)
{
	return stream->queued;
}

int64_t stream_last_input(const struct stream *stream)
{
	return stream->input_usec;
}

int64_t stream_last_output(const struct stream *stream)
{
	return stream->output_usec;
}

void stream_close(struct stream *stream)
{
	if (stream->state == CONNECTING || stream->state == HANDSHAKE || stream->state == FAILED) {
		finish_later(stream);
		return;
	}
	if (stream->state != OPEN)
		return;
	stream->paused = false;
	stream->state = CLOSING;
	set_deadline(stream, CLOSE_USEC);
	if (!stream->first)
		start_linger(stream);
	update_watch(stream);
}

void stream_abort(struct stream *stream)
{
	finish_later(stream);
}

void stream_reset(struct stream *stream)
{
	static const struct linger none = { .l_onoff = 1, .l_linger = 0 };

	/* else the kernel goes on sending what it has, for as long as TCP_USER_TIMEOUT */
	if (stream->state != DEAD)
		(void)setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	finish_later(stream);
}

const char *stream_peer(const struct stream *stream)
{
	/* made when asked for: most streams never are */
	if (!stream->peer_text)
		((struct stream *)stream)->peer_text = address_text(&stream->peer, /* with_port= */ true);
	return stream->peer_text;
}

const char *stream_local_address(const struct stream *stream)
{
	struct sockaddr_in6 local = { 0 };
	socklen_t length = sizeof(local);

	if (!stream->local_text && stream->state != DEAD && getsockname(stream->fd, (struct sockaddr *)&local, &length) == 0) {
		union address address = plain_address((const struct sockaddr *)&local);

		((struct stream *)stream)->local_text = address_text(&address, /* with_port= */ false);
	}
	return stream->local_text;
}

const struct sockaddr *stream_peer_address(const struct stream *stream)
{
	return &stream->peer.any;
}

SSL *stream_ssl(struct stream *stream)
{
	return stream->ssl;
}

struct loop *stream_loop(struct stream *stream)
{
	return stream->loop;
}
