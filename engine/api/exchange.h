/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_EXCHANGE_H
#define BERTH_ENGINE_EXCHANGE_H
/*
 * One HTTP request and its answer, on their way down from engine/http and up again.
 *
 * Made by the connection when the request may be served, owned by whoever works on it (the loop, then perhaps one worker, then the loop), freed by
 * the connection after the answer went out. exchange_finish() is called exactly once, on the loop.
 */
#include <stdbool.h>
#include <stddef.h>
#include <glib.h>

struct exchange_header { const char *name, *value; };

struct exchange {
	/* the request */
	const char *method;                     /* "GET": a constant */
	char *target;                           /* as sent: "/api/vms;max=2?search=name%3Dvm*" */
	GString *text;                          /* names and values of the headers, NUL-terminated, one after the other */
	struct exchange_header *headers;        /* point into text */
	size_t n_headers;
	GString *body;                          /* NULL: none (always none for GET and HEAD) */
	bool secure;                            /* over TLS */
	bool loopback;                          /* the peer is on this machine */
	bool keep_alive;
	char *peer;                             /* address without port */
	char *local;                            /* "Host" as sent or the address the peer reached us by */

	/* the answer */
	int status;
	const char *reason;                     /* phrase, NULL: the standard one */
	const char *content_type;               /* NULL: no body and no type */
	GString *extra;                         /* more header lines, each with CRLF; may be NULL */
	GString *answer;                        /* body; may be NULL */

	/* for engine/http */
	void (*finish)(struct exchange *exchange);
	void *connection;                       /* NULL when the connection is gone */
};

struct exchange *exchange_new(void);
struct exchange *exchange_free(struct exchange *exchange);

/* First header of that name or NULL; names are case-insensitive. */
const char *exchange_header(const struct exchange *exchange, const char *name);
/* The next one from *index on. */
const char *exchange_next_header(const struct exchange *exchange, const char *name, size_t *index);
/* Is `token` (or "token=value") a member of the comma lists of the headers `name`? ret_value (may be NULL): what follows '=', g_free. */
bool exchange_has_token(const struct exchange *exchange, const char *name, const char *token, char **ret_value);

/* Sets the answer; takes over body (may be NULL). */
void exchange_answer(struct exchange *exchange, int status, const char *content_type, GString *body);
void exchange_add_header(struct exchange *exchange, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Hands the answer to the connection. The exchange must not be touched afterwards. */
void exchange_finish(struct exchange *exchange);

#endif
