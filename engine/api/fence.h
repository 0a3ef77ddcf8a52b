/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FENCE_H
#define BERTH_ENGINE_FENCE_H
/* The action fence of hosts. */
#include "engine/api/resource.h"

extern const struct record_type fence_action_type;
bool host_fence(struct request *request, const void *host, const void *params, void **ret_result, GError **error);

#endif
