/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_TRANSFER_WEB_H
#define BERTH_AGENT_STORAGE_TRANSFER_WEB_H
/*
 * HTTP and HTTPS as a client, for the data of images. Theory of operation in web.c. Blocks: workers only.
 *
 * Errors: ERR_COPY_IMAGE_ERROR (the server's answer is not what is needed), ERR_NO_CONNECTION (not reached, or not trusted), ERR_TIMEOUT (nothing came
 * or went for [transfer] idle), ERR_TASK_ABORTED (the job was canceled), or what the other side of the data said. Messages name the URL by web_name().
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>
#include "agent/agent.h"
#include "agent/jobs.h"

struct web_request {
	struct agent *agent;             /* its CA is trusted, besides the system's */
	struct job *job;                 /* whose progress it is, and whose cancel ends it */
	const char *url;
	const json_t *headers;           /* {name: value}; NULL: none */
	int64_t length;                  /* of the body, in bytes; what a GET answers must have it. 0: not known */
};

/* Is that a URL of HTTP(S), and are these headers such as a caller may set? ERR_INVALID_PARAMETER_EXCEPTION, which names the member, not its value */
bool web_check(const char *url, const json_t *headers, GError **error);
/* The URL as it may be shown: without user, password, query and fragment, which may be secrets. g_free */
char *web_name(const char *url);

/* How many bytes a GET would bring: it is begun, and ended at the first of them. */
bool web_size(const struct web_request *request, int64_t *ret_size, GError **error);
/* GET: the pieces of the body, one after the other; true: take() had all, as many as the server had said. */
bool web_get(const struct web_request *request, bool (*take)(void *data, const char *bytes, size_t n, GError **error), void *data, GError **error);
/* PUT of request->length bytes: give() reads at most n of them from offset on; -1 + error. */
bool web_put(const struct web_request *request, ssize_t (*give)(void *data, int64_t offset, char *to, size_t n, GError **error), void *data, GError **error);

#endif
