/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_GLANCE_KEYSTONE_H
#define BERTH_ENGINE_GLANCE_KEYSTONE_H
/* Tokens of OpenStack's Keystone, by user and password: API version 3 where the URL ends with /v3, else 2.0. Worker threads. */
#include "engine/engine.h"
#include "engine/model/image_provider.h"

/* A new one; g_free. NULL + error */
char *keystone_token(struct engine *engine, const struct image_provider *provider, int64_t until_usec, GError **error);

#endif
