/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_HOST_DEPLOY_H
#define BERTH_ENGINE_HOST_DEPLOY_H
/* Between the resource of a host and engine/deploy: who logs in how, and what becomes of how far it is told to be. */
#include "engine/api/resource.h"
#include "engine/model/host.h"

/* How to log in to a host's SSH server. Its password is wiped when it is freed; nothing of it is stored but user, port and fingerprint. */
struct host_login { char *user, *password, *fingerprint; int port; bool by_key; };

/* method: "publickey" or anything else; user NULL: root; fingerprint and port of the host where NULL, 0. */
struct host_login *host_login_new(const struct host *host, const char *method, const char *user, const char *password, const char *root_password,
				  const char *fingerprint, int port);
/* Of what a new host was given. */
struct host_login *host_login_of(const struct host *host);
/* Is there a key or a password? */
bool host_login_is_complete(const struct host_login *login);
struct host_login *host_login_free(struct host_login *login);           /* NULL accepted; returns NULL */

enum host_deployment { DEPLOY_AGENT, DEPLOY_UPGRADE, DEPLOY_IMAGE };
/* Does it, tells events of how far it is. ret_fingerprint: of the SSH server's key; g_free. Worker. */
bool host_deploy(struct request *request, const struct host *host, const struct host_login *login, enum host_deployment what, const char *image,
		 char **ret_fingerprint, GError **error);

#endif
