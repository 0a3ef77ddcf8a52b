/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_GLANCE_GLANCE_H
#define BERTH_ENGINE_GLANCE_GLANCE_H
/*
 * Conversations with an OpenStack image service (Glance, API version 2). Worker threads.
 *
 * A conversation has a deadline, [glance] timeout seconds after its begin, for all its questions and their answers, Keystone's token included. At most
 * WEB_WAITING_MAX of clients are open at a time (web_gate); those of flows are not counted: a flow has its worker already.
 * Errors: ERR_PROVIDER_FAILURE, ERR_TIMEOUT, ERR_NOT_FOUND; they name the service.
 */
#include <jansson.h>
#include "engine/engine.h"
#include "engine/model/image_provider.h"

#define GLANCE_IMAGES_MAX 10000          /* more are not listed */

struct glance;
/* provider_id: of an image_provider; NULL or gone: ERR_NOT_FOUND. flow: of a flow's step. ERR_RESOURCE_EXHAUSTED: too many are open. */
struct glance *glance_open(struct engine *engine, const char *provider_id, bool flow, GError **error);
struct glance *glance_close(struct glance *glance);          /* NULL accepted; returns NULL */
static inline void glance_closep(struct glance **glance) { (void)glance_close(*glance); }
#define autoglance __attribute__((cleanup(glance_closep))) struct glance *

/* Is it there, and lets us in? */
bool glance_check(struct glance *glance, GError **error);
/* All that are active, by name: struct image. NULL + error */
GPtrArray *glance_images(struct glance *glance, GError **error);
/* One that is active. NULL + error; new reference */
struct image *glance_image(struct glance *glance, const char *id, GError **error);
/* What a disk of it has, from the image's own header: bytes. ERR_OPERATION_FAILED: it cannot be a disk's image. */
bool glance_virtual_size(struct glance *glance, const struct image *image, int64_t *ret_size, GError **error);
/* A new one without data; the id is ours. Fine when it was made before. */
bool glance_make(struct glance *glance, const char *id, const char *name, const char *format, GError **error);
/* false: it is not (yet) active */
bool glance_is_active(struct glance *glance, const char *id, bool *ret_active, GError **error);
/* Fine when it is not there. */
bool glance_remove(struct glance *glance, const char *id, GError **error);

/* For hosts: where an image's data are, and the headers of requests for them. New: g_free, json_decref. */
char *glance_data_url(const struct glance *glance, const char *id);
json_t *glance_data_headers(const struct glance *glance);

#endif
