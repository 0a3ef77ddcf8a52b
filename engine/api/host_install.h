/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_HOST_INSTALL_H
#define BERTH_ENGINE_HOST_INSTALL_H
/* The actions install, upgrade and enrollcertificate of hosts. */
#include "engine/api/resource.h"

extern const struct record_type install_action_type;
bool host_install(struct request *request, const void *host, const void *params, void **ret_result, GError **error);
bool host_upgrade(struct request *request, const void *host, const void *params, void **ret_result, GError **error);
bool host_enroll(struct request *request, const void *host, const void *params, void **ret_result, GError **error);

#endif
