/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP connection: the input is what a client sends, over a real socket to the plain server; every request is answered with its own target. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "engine/api/negotiate.h"
#include "engine/api/router.h"
#include "engine/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct http_server *server;

static void serve(struct exchange *exchange, void *data)
{
	struct route route;
	enum format format;
	GPtrArray *details = g_ptr_array_new_with_free_func(g_free);
	if (route_parse(exchange->target, resources, &route, NULL) && route.base) {
		GString *href = g_string_new(NULL);
		route_href(&route, true, href);
		g_string_free(href, TRUE);
	}
	route_clear(&route);
	(void)negotiate_accept(exchange_header(exchange, "Accept"), &format, details);
	(void)negotiate_content(exchange_header(exchange, "Content-Type"));
	(void)exchange_has_token(exchange, "Prefer", "handling", NULL);
	g_ptr_array_unref(details);
	exchange_answer(exchange, 200, "text/plain", g_string_new(exchange->target));
	exchange_add_header(exchange, "X-Echo", "%.100s", exchange->target);
	exchange_finish(exchange);
}

static void set_up(void)
{
	loop = loop_new();
	const struct http_settings settings = { .loop = loop, .address = "127.0.0.1", .serve = serve };
	server = http_server_new(&settings, NULL);
	if (!server)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!loop)
		set_up();
	if (size > 60000)
		return 0;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(http_server_port(server)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int connected;
	do                 /* libFuzzer's alarm may interrupt it */
		connected = connect(fd, (const struct sockaddr *)(const void *)&address, sizeof(address));
	while (connected != 0 && errno == EINTR);
	if (connected != 0)
		abort();
	/* in two pieces: the first byte says where the cut is */
	size_t cut = size ? data[0] % size : 0;
	if (size && send(fd, data, cut, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		abort();
	for (unsigned i = 0; i < 3; i++)
		event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
	if (size)
		(void)send(fd, data + cut, size - cut, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	char sink[65536];
	for (unsigned i = 0; i < 1000 && http_server_connections(server) > 0; i++) {
		event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
		while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0) {
		}
	}
	struct linger linger = { 1, 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
	for (unsigned i = 0; i < 10; i++)
		event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
	return 0;
}
