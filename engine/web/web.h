/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_WEB_WEB_H
#define BERTH_ENGINE_WEB_WEB_H
/*
 * One question to a web server, by libcurl: JSON both ways. Blocks until `until_usec` at most (of now_usec()): worker threads only.
 *
 * Redirects are not followed, for questions carry passwords and tokens. Certificates are checked against the system's authorities and Berth's own CA. What is
 * secret goes to the server and nowhere else: messages have the method, the URL without its query, and the status.
 */
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "engine/engine.h"

#define WEB_ANSWER_MAX (16 * 1024 * 1024)
#define WEB_WAITING_MAX 8

/*
 * Clients of the REST interface that wait for servers of one sort: at most WEB_WAITING_MAX. Servers that hang hold no more workers than that, and who comes
 * then is told at once (ERR_RESOURCE_EXHAUSTED). `what`: "image service".
 */
struct web_gate { const char *what; int waiting; };
bool web_gate_enter(struct web_gate *gate, const char *server, GError **error);
void web_gate_leave(struct web_gate *gate);

/* New: the URL without the '/' at its end. */
char *web_base(const char *url);

struct web_question {
	const char *method, *url;
	const char *token;                   /* X-Auth-Token; NULL: none */
	const char *user, *password;         /* HTTP Basic; NULL: none */
	const json_t *body;                  /* NULL: none */
	size_t first;                        /* only so many bytes of the answer are wanted; 0: all, up to WEB_ANSWER_MAX */
};

struct web_answer {
	long status;
	GString *body;
	char *token;                         /* X-Subject-Token; NULL: none */
};
void web_answer_clear(struct web_answer *answer);
json_t *web_answer_object(const struct web_answer *answer);         /* its body as a JSON object, new; NULL: it is none */

/* true: there is an answer, whatever its status. ERR_PROVIDER_FAILURE, ERR_TIMEOUT */
bool web_ask(struct engine *engine, const struct web_question *question, int64_t until_usec, struct web_answer *ret_answer, GError **error);
/* "GET http://server/v2/images: " and what is wrong with it. */
void web_error(GError **error, const struct web_question *question, const char *format, ...) G_GNUC_PRINTF(3, 4);

#endif
