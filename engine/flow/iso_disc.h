/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_ISO_DISC_H
#define BERTH_ENGINE_ISO_DISC_H
/* Discs on the ISO domains of a data center, by the names of their files. */
#include "engine/engine.h"

/*
 * Where the host has the file; g_free. host_id NULL: it need only be there, whichever host says so. ERR_NOT_FOUND: no active ISO domain of the data center holds it;
 * errors of the host. Worker.
 */
char *iso_disc_path(struct engine *engine, const char *data_center_id, const char *file, const char *host_id, GError **error);

#endif
