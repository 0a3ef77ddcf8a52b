/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_CLUSTER_H
#define BERTH_ENGINE_RES_CLUSTER_H
/* Compatibility levels of data centers and clusters. */
#include <stdbool.h>
#include <glib.h>
#include "engine/model/misc.h"

bool level_check(int major, int minor, GError **error);                       /* is it one? */
/* May `what` ("cluster 'c1'") go from one level to the other? */
bool level_check_change(const char *what, struct level from, struct level to, struct level limit, GError **error);

#endif
