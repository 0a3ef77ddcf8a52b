/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_BENCH_REST_CLIENT_H
#define BERTH_TESTS_BENCH_REST_CLIENT_H
/* A client of the REST API over kept-alive TLS, one request at a time. For benches: what fails ends the program. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <glib.h>

#define REST_ANSWER_MAX (512 << 20)

/* Where, and as whom: the session's id (its cookie). */
struct rest_server { uint16_t port; SSL_CTX *context; char *session; };
struct rest_client { const struct rest_server *server; SSL *ssl; int fd; char *buffer; size_t size; char *body; };

static inline void rest_die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static inline SSL_CTX *rest_context(const char *ca_file)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (SSL_CTX_load_verify_locations(context, ca_file, NULL) != 1)
		rest_die("the CA cannot be read");
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	return context;
}

static inline struct rest_client rest_open(const struct rest_server *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(server->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct rest_client client = { .server = server, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .size = 1 << 16 };
	int one = 1;

	if (connect(client.fd, (const struct sockaddr *)(const void *)&address, sizeof(address)) != 0)
		rest_die("no connection");
	setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	client.ssl = SSL_new(server->context);
	SSL_set_fd(client.ssl, client.fd);
	if (SSL_connect(client.ssl) != 1)
		rest_die("no handshake");
	client.buffer = g_malloc(client.size);
	return client;
}

static inline void rest_close(struct rest_client *client)
{
	SSL_free(client->ssl);
	close(client->fd);
	g_free(client->buffer);
}

/* Reads one answer. Status; its body is client->body, *ret_size bytes, until the next one. */
static inline int rest_read(struct rest_client *client, size_t *ret_size)
{
	size_t have = 0, need = 0, head = 0;

	while (need == 0 || have < need) {
		int got;

		if (have + 1 >= client->size)
			client->buffer = g_realloc(client->buffer, client->size = MIN(client->size * 4, (size_t)REST_ANSWER_MAX));
		got = SSL_read(client->ssl, client->buffer + have, (int)MIN(client->size - have - 1, (size_t)1 << 20));
		if (got <= 0)
			rest_die("the connection ended in an answer");
		have += (size_t)got;
		client->buffer[have] = '\0';
		if (need == 0) {
			const char *end = strstr(client->buffer, "\r\n\r\n"), *length = end ? strstr(client->buffer, "Content-Length: ") : NULL;

			if (!end)
				continue;
			head = (size_t)(end + 4 - client->buffer);
			need = head + (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
		}
	}
	client->body = client->buffer + head;
	*ret_size = need - head;
	return atoi(client->buffer + strlen("HTTP/1.1 "));
}

/* body: XML, or NULL. The answer is read by rest_read(). */
static inline void rest_send(struct rest_client *client, const char *method, const char *path, const char *accept, const char *body)
{
	char request[2048];
	int n = g_snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\nPrefer: persistent-auth\r\nCookie: JSESSIONID=%s\r\n",
			   method, path, accept, client->server->session);

	if (body)
		n += g_snprintf(request + n, sizeof(request) - (gulong)n, "Content-Type: application/xml\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	else
		n += g_snprintf(request + n, sizeof(request) - (gulong)n, "\r\n");
	if (n >= (int)sizeof(request) || SSL_write(client->ssl, request, n) != n)
		rest_die("a request was not sent");
}

/* See rest_send() and rest_read(). */
static inline int rest_call(struct rest_client *client, const char *method, const char *path, const char *accept, const char *body, size_t *ret_size)
{
	rest_send(client, method, path, accept, body);
	return rest_read(client, ret_size);
}

/* Size of the body of an answer that must be 200. */
static inline size_t rest_get(struct rest_client *client, const char *path, const char *accept)
{
	size_t size;

	if (rest_call(client, "GET", path, accept, /* body= */ NULL, &size) != 200)
		rest_die(client->buffer);
	return size;
}

#endif
