/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_API_H
#define BERTH_ENGINE_API_H
/*
 * The REST API: takes one HTTP request, gives its answer. Theory of operation: api.c.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/api/exchange.h"
#include "engine/engine.h"

struct api_settings {
	const char *ca_file;             /* served as /ca.crt; NULL: 404 */
	uint16_t secure_port;            /* where plain requests are sent to */
	int64_t retention_usec;          /* how long ended actions and creations can be asked for; 0: 1 h */
};

/* engine->auth, model, store, lanes and loop must be there. */
struct api *api_new(struct engine *engine, const struct api_settings *settings, GError **error);
struct api *api_free(struct api *api);
void api_set_secure_port(struct api *api, uint16_t port);

/* Serves one exchange; it is finished on the loop, at once or later. Loop thread. data: struct api. */
void api_serve(struct exchange *exchange, void *data);
/* The same for the plain port: /ca.crt, all else is sent to the secure one. */
void api_serve_plain(struct exchange *exchange, void *data);

#endif
