/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_HOST_INSTALL_H
#define BERTH_ENGINE_HOST_INSTALL_H
/* The actions install, upgrade and enrollcertificate of hosts. */
#include "engine/api/host_deploy.h"

extern const struct record_type install_action_type;
bool host_install(struct request *request, const void *host, const void *params, void **ret_result, GError **error);
bool host_upgrade(struct request *request, const void *host, const void *params, void **ret_result, GError **error);
bool host_enroll(struct request *request, const void *host, const void *params, void **ret_result, GError **error);

/* A host that was just stored as installing is installed by the engine itself; the login is taken. Does not wait. */
void host_install_new(struct request *request, const struct host *host, struct host_login *login);
/* At start, before hosts are watched: an installation that the end of the engine has cut off has failed. */
void host_install_settle(struct engine *engine);

#endif
