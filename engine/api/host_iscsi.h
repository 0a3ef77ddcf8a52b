/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_HOST_ISCSI_H
#define BERTH_ENGINE_HOST_ISCSI_H
/* The actions iscsilogin and iscsidiscover of hosts. */
#include "engine/api/resource.h"

extern const struct record_type iscsi_login_type, iscsi_discover_type;
bool host_iscsi_login(struct request *request, const void *host, const void *params, void **ret_result, GError **error);
bool host_iscsi_discover(struct request *request, const void *host, const void *params, void **ret_result, GError **error);

#endif
