/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/api/host_deploy.h"

#include <string.h>

#include "common/error.h"
#include "engine/deploy/deploy.h"
#include "engine/store/store.h"

#define SSH_PORT 22
#define SSH_USER "root"

/* AuditLogType */
#define EVENT_PROGRESS 509

struct host_login *host_login_new(const struct host *host, const char *method, const char *user, const char *password, const char *root_password,
				  const char *fingerprint, int port)
{
	struct host_login *login = g_new0(struct host_login, 1);

	login->by_key = method && !g_ascii_strcasecmp(method, "publickey");
	login->user = g_strdup(user ? user : SSH_USER);
	login->password = login->by_key ? NULL : g_strdup(password && *password ? password : root_password);
	login->fingerprint = g_strdup(fingerprint ? fingerprint : host->ssh_fingerprint);
	login->port = port ? port : HAS(host, ssh_port) ? host->ssh_port : SSH_PORT;
	return login;
}

struct host_login *host_login_of(const struct host *host)
{
	return host_login_new(host, host->ssh_method, host->ssh_user, host->ssh_password, host->root_password, NULL, 0);
}

bool host_login_is_complete(const struct host_login *login)
{
	return login->by_key || (login->password && *login->password);
}

struct host_login *host_login_free(struct host_login *login)
{
	if (login) {
		if (login->password)
			explicit_bzero(login->password, strlen(login->password));
		g_free(login->password);
		g_free(login->user);
		g_free(login->fingerprint);
		g_free(login);
	}
	return NULL;
}

struct progress { struct request *request; const struct host *host; };

static void tell(void *data, const char *text)
{
	const struct progress *progress = data;

	store_event(progress->request->engine->store, EVENT_PROGRESS, &progress->request->actor, (void *[]){ (void *)progress->host, NULL },
		    "Installing Host %s. %s.", progress->host->name, text);
}

bool host_deploy(struct request *request, const struct host *host, const struct host_login *login, enum host_deployment what, const char *image,
		 char **ret_fingerprint, GError **error)
{
	struct progress progress = { request, host };
	const struct deploy_target target = {
		.config = request->engine->config, .data_dir = request->engine->data_dir, .engine_id = store_engine_id(request->engine->store),
		.name = host->name, .address = host->address, .ssh_port = login->port, .agent_port = host->port, .user = login->user,
		.password = login->by_key ? NULL : login->password, .fingerprint = login->fingerprint && *login->fingerprint ? login->fingerprint : NULL,
		.told = tell, .data = &progress,
	};

	return what == DEPLOY_IMAGE ? deploy_image(&target, image, ret_fingerprint, error) :
	       what == DEPLOY_UPGRADE ? deploy_upgrade(&target, ret_fingerprint, error) : deploy_agent(&target, ret_fingerprint, error);
}
