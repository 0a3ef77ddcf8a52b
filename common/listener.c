/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners: accept, count, hand over.
 *
 * Whoever opens connections and says nothing must not keep the others out. While max_handshakes are not finished, a newcomer takes the place of the one that
 * was begun first, if that has had HANDSHAKE_GRACE_USEC, in which an honest client is done; else accepting rests for a moment, the newcomer in the backlog. At
 * max_connections, or out of descriptors, the owner is asked to end one that is worth little (full()); when it has none, the newcomer is closed at once: left
 * in the backlog all would wait for nobody knows how long. Without descriptors or memory it cannot even be closed: then accepting rests, too, for
 * BACKOFF_USEC, since the socket would stay readable and the loop would spin.
 */
#define LOG_MODULE "stream"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "common/error.h"
#include "common/listener.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/stream-priv.h"

#define BACKLOG 512
#define ACCEPTS_A_TURN 64
#define BACKOFF_USEC (100 * 1000)
#define HANDSHAKES_USEC (10 * 1000)          /* many handshakes end in this time */

struct listener {
	struct loop *loop;
	struct listener_settings settings;
	int fd;
	uint16_t port;
	struct watch *watch;
	struct timer *backoff;
	struct stream_count *count;
	struct metric *accepted, *refused, *displaced;
	bool accepting, freed;               /* freed by accepted(): the end of the turn does it */
};

/* Sets *ret_length; 0 when the text is no numeric address. */
static struct sockaddr_storage parse_address(const char *text, uint16_t port, socklen_t *ret_length)
{
	struct sockaddr_storage address = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;

	*ret_length = 0;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*ret_length = sizeof(*v4);
	} else {
		memset(&address, 0, sizeof(address));
		if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
			v6->sin6_family = AF_INET6;
			v6->sin6_port = htons(port);
			*ret_length = sizeof(*v6);
		}
	}
	return address;
}

/* A listening socket, or -1 with errno. */
static int listen_on(const struct sockaddr_storage *address, socklen_t length)
{
	static const int on = 1, off = 0;
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), errnum;

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	stream_socket_options(fd);
	if (bind(fd, (const struct sockaddr *)address, length) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	errnum = errno;
	close(fd);
	errno = errnum;
	return -1;
}

static void refuse(struct listener *listener, int fd, const char *why)
{
	log_debug("port %u: connection refused: %s", listener->port, why);
	metric_add(listener->refused, 1);
	close(fd);
}

static bool make_room(struct listener *listener)
{
	if (!listener->settings.full || !listener->settings.full(listener->settings.data))
		return false;
	metric_add(listener->displaced, 1);
	return true;
}

static void take(struct listener *listener, int fd, const struct sockaddr *peer)
{
	const struct listener_settings *settings = &listener->settings;
	struct stream *stream;

	if (listener->count->connections >= settings->max_connections) {
		if (!make_room(listener)) {
			refuse(listener, fd, "too many connections");
			return;
		}
	}
	metric_add(listener->accepted, 1);
	stream = stream_new_accepted(listener->loop, fd, peer, settings->tls, settings->handshake_usec, settings->max_queue, listener->count);
	settings->accepted(stream, settings->data);
	stream_accept(stream);
}

static void rest(struct listener *listener, int64_t usec)
{
	watch_set(listener->watch, 0);
	timer_set(listener->backoff, usec);
}

/* Is there room for one more handshake? wanted: somebody waits for it. */
static bool has_room(struct listener *listener, bool wanted)
{
	if (listener->count->half_open.length < listener->settings.max_handshakes)
		return true;
	if (!wanted || !stream_drop_half_open(listener->count, HANDSHAKE_GRACE_USEC))
		return false;
	metric_add(listener->displaced, 1);
	return true;
}

static void on_acceptable(int fd, unsigned what, void *data)
{
	struct listener *listener = data;

	listener->accepting = true;
	for (unsigned i = 0; i < ACCEPTS_A_TURN && !listener->freed; i++) {
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		int accepted;

		/* after the first only another turn tells whether there is one more */
		if (!has_room(listener, /* wanted= */ i == 0)) {
			if (i == 0)
				rest(listener, HANDSHAKES_USEC);
			break;
		}
		accepted = accept4(fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (accepted >= 0) {
			take(listener, accepted, (const struct sockaddr *)&peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_debug("port %u: accept: %s", listener->port, g_strerror(errno));
			if (!make_room(listener))
				rest(listener, BACKOFF_USEC);
			break;
		}
		if (errno == EAGAIN)
			break;
		/* the others are of the one connection that was not accepted */
	}
	listener->accepting = false;
	if (listener->freed)
		(void)listener_free(listener);
}

static void on_rested(void *data)
{
	struct listener *listener = data;

	watch_set(listener->watch, WATCH_READ);
}

int listener_socket(const char *text, uint16_t port, uint16_t *ret_port, GError **error)
{
	socklen_t length;
	struct sockaddr_storage address = parse_address(text, port, &length);
	int fd;

	if (!length) {
		error_set(error, ERR_BAD_VALUE, "listen address '%s': not an IP address", text);
		return -1;
	}
	fd = listen_on(&address, length);
	if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) && !strcmp(text, "::")) {
		address = parse_address("0.0.0.0", port, &length);
		fd = listen_on(&address, length);
	}
	if (fd < 0) {
		error_set_errno(error, ERR_IO_FAILED, errno, "listen on %s port %u", text, port);
		return -1;
	}
	length = sizeof(address);
	(void)getsockname(fd, (struct sockaddr *)&address, &length);
	*ret_port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port : ((struct sockaddr_in *)&address)->sin_port);
	return fd;
}

struct listener *listener_new(struct loop *loop, const struct listener_settings *settings, GError **error)
{
	struct listener *listener;
	uint16_t port;
	int fd = listener_socket(settings->address, settings->port, &port, error);

	if (fd < 0)
		return NULL;
	listener = g_new0(struct listener, 1);
	listener->loop = loop;
	listener->settings = *settings;
	listener->settings.address = NULL; /* the caller's, and not needed any more */
	listener->fd = fd;
	listener->port = port;
	listener->count = g_new0(struct stream_count, 1);
	listener->count->holders = 1;
	listener->accepted = metric_counter("berth_connections_accepted_total", NULL, "Connections that were accepted");
	listener->refused = metric_counter("berth_connections_refused_total", NULL, "Connections closed at once because there were too many");
	listener->displaced = metric_counter("berth_connections_displaced_total", NULL, "Idle or half-open connections ended because others wanted their place");
	listener->backoff = timer_new(loop, on_rested, listener);
	listener->watch = watch_new(loop, fd, on_acceptable, listener);
	watch_set(listener->watch, WATCH_READ);
	return listener;
}

struct listener *listener_free(struct listener *listener)
{
	if (!listener)
		return NULL;
	if (listener->accepting) {
		listener->freed = true;
		return NULL;
	}
	watch_free(listener->watch);
	timer_free(listener->backoff);
	close(listener->fd);
	stream_count_unref(listener->count);
	g_free(listener);
	return NULL;
}

uint16_t listener_port(const struct listener *listener)
{
	return listener->port;
}
