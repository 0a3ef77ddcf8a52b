/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_GLANCE_WEB_H
#define BERTH_ENGINE_GLANCE_WEB_H
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

struct web_question {
	const char *method, *url;
	const char *token;                   /* X-Auth-Token; NULL: none */
	const json_t *body;                  /* NULL: none */
	size_t first;                        /* only so many bytes of the answer are wanted; 0: all, up to WEB_ANSWER_MAX */
};

struct web_answer {
	long status;
	GString *body;
	char *token;                         /* X-Subject-Token; NULL: none */
};
void web_answer_clear(struct web_answer *answer);

/* true: there is an answer, whatever its status. ERR_PROVIDER_FAILURE, ERR_TIMEOUT */
bool web_ask(struct engine *engine, const struct web_question *question, int64_t until_usec, struct web_answer *ret_answer, GError **error);
/* "GET http://server/v2/images: " and what is wrong with it. */
void web_error(GError **error, const struct web_question *question, const char *format, ...) G_GNUC_PRINTF(3, 4);

#endif
