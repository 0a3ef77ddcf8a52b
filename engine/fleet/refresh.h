/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FLEET_REFRESH_H
#define BERTH_ENGINE_FLEET_REFRESH_H
#include <stdbool.h>
#include "engine/fleet/fleet.h"

/* The host is asked for its capabilities anew; does not wait. Any thread. */
void fleet_look_again(struct fleet *fleet, const char *host_id);
/* Reads the capabilities of a connected host anew and waits until the model has them. Worker. */
bool fleet_refresh(struct fleet *fleet, const char *host_id, int timeout_s, GError **error);

#endif
