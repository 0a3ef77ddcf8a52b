/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_JSONRPC_H
#define BERTH_PROTO_JSONRPC_H
/*
 * JSON-RPC 2.0: reading requests and answers, writing both in the byte form of the original (", " and ": " between, ASCII only, members
 * in the order jsonrpc, id, result or error). No sockets, no time.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <glib.h>

#define JSONRPC_BATCH_MAX 10000         /* requests in one array */
#define JSONRPC_ECHO_MAX 1024           /* bytes of a bad request that are quoted in the error */

/* Any JSON text; NULL when it is none (or nests deeper than 2048, or has a member whose name holds U+0000). Any thread. */
json_t *jsonrpc_load(const char *text, size_t size);
/* Some text in it holds U+0000: for who takes texts as C has them it ends there. */
bool jsonrpc_has_nul(const json_t *value);

/* All borrowed from the object they were read from. */
struct jsonrpc_request {
	const char *method;
	const json_t *params;           /* object, array or NULL */
	const json_t *id;               /* string or integer; NULL: a notification */
};
/* ERR_JSONRPC_INVALID_REQUEST when the value is no request. */
bool jsonrpc_request(const json_t *value, struct jsonrpc_request *ret_request, GError **error);

/* One received value on the client's side: an answer (id and one of result and code/message), or a notification (method). */
struct jsonrpc_answer {
	const json_t *id;               /* NULL: none or null */
	const json_t *result;           /* NULL: an error */
	int code;
	const char *message;
	const char *method;             /* not NULL: a notification */
	const json_t *params;
};
bool jsonrpc_answer(const json_t *value, struct jsonrpc_answer *ret_answer);

/* Sets ERR_JSONRPC_INVALID_REQUEST with the context {'request': <value>, 'reason': '<reason>'}. */
void jsonrpc_set_invalid(GError **error, const json_t *value, const char *reason);

/*
 * Writing appends. id NULL: null. Results and params are JSON text already and may be big: their head and tail can be had alone, so that
 * the text between is copied once, into the frame. The tail of a result is "}".
 */
void jsonrpc_write_result(GString *out, const json_t *id, const char *result, size_t size);
void jsonrpc_write_result_head(GString *out, const json_t *id);
void jsonrpc_write_error(GString *out, const json_t *id, int code, const char *message);
void jsonrpc_write_request_head(GString *out, const char *method, bool has_params);
void jsonrpc_write_request_tail(GString *out, const char *id);                        /* id NULL: a notification */
void jsonrpc_write_string(GString *out, const char *text, size_t size);               /* quoted; bad UTF-8 becomes U+FFFD */

/* Is the value of a member of this name a secret, or too much for a log? ("password", "newPassword", "_X_...", "vmPayload", "methodArgs") */
bool jsonrpc_is_secret(const char *name);
/*
 * A value as Python prints it ({'vmId': 'x', 'on': True}): that is what the context of error messages looks like on this channel. Cut
 * with "..." at `limit` bytes; values that are secrets are shown as ********.
 */
void jsonrpc_write_python(GString *out, const json_t *value, size_t limit);

#endif
