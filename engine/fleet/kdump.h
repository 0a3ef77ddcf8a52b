/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_KDUMP_H
#define BERTH_ENGINE_KDUMP_H
/*
 * Hosts whose kernel has crashed and saves its memory: kdump(8) with fence_kdump_send(8), which says so to this engine. Cutting the power then would lose
 * the dump, so such a host is *kdumping* until it is over.
 */
#include "engine/engine.h"

struct kdump;

/* Listens on [agent] kdump_port; NULL without error: it is 0. After fleet_start(). Loop thread. */
struct kdump *kdump_new(struct engine *engine, GError **error);
/* Before the loop goes; after the lanes. NULL accepted; returns NULL. */
struct kdump *kdump_free(struct kdump *kdump);

#endif
