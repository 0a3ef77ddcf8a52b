/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_TRANSFER_HTTP_H
#define BERTH_AGENT_STORAGE_TRANSFER_HTTP_H
/*
 * One HTTP/1.1 connection whose bodies are streams, for a thread that may wait. Theory of operation in http.c.
 *
 *	while (http_next(http)) { ... http_read() ...; http_answer() or http_begin() + http_write(); }
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>

#define HTTP_HEAD_MAX (32 * 1024)

struct http;

/* ssl: NULL, or a server's session, which is taken over. fd stays the caller's. Handshake: http_next(). */
struct http *http_new(int fd, SSL *ssl);
struct http *http_free(struct http *http);
/* Silence of this length ends the connection. */
void http_set_patience(struct http *http, int seconds);

/* The head of the next request; false: there is none. What cannot be read as one was answered. */
bool http_next(struct http *http);
const char *http_method(const struct http *http);                    /* "GET" */
const char *http_path(const struct http *http);                      /* without query, decoded */
const char *http_header(const struct http *http, const char *name);  /* the first; NULL */
const char *http_query(const struct http *http, const char *name);   /* decoded; NULL */
int64_t http_length(const struct http *http);                        /* of the body; -1: not said */
/* At most n bytes of the body; 0: the client has ended, or there are no more; -1: it is silent or broken. */
ssize_t http_read(struct http *http, void *buffer, size_t n);

/* A whole answer; headers: "Name: value\r\n"..., may be NULL. */
bool http_answer(struct http *http, int status, const char *headers, const char *type, const char *body, size_t length);
/* The head of an answer of length bytes, which http_write() sends; -1: not known yet, http_end() then ends it. */
bool http_begin(struct http *http, int status, const char *headers, const char *type, int64_t length);
bool http_write(struct http *http, const void *bytes, size_t n);
bool http_end(struct http *http);
/* This answer is the last. */
void http_close_after(struct http *http);

#endif
