/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_SCHEDULING_POLICY_H
#define BERTH_ENGINE_RES_SCHEDULING_POLICY_H
#include "engine/api/resource.h"

extern const struct resource resource_scheduling_policy;
/* g_free */
char *scheduling_policy_id(const char *name);

#endif
