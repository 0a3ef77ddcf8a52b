/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a host into use anew (REST 14.8.1): install, and the two links that the guide names without a word, upgrade and enrollcertificate.
 *
 * This engine copies no packages onto hosts: the agent comes with the host's own packages and its first certificate from `berth pki`. Install is what is left:
 * the host is *installing*, its agent must answer with a certificate of the CA and be the one that the host was added with, it is claimed, and the host is
 * up or, where it was in maintenance, in maintenance again. An agent that cannot be had leaves the host install_failed, with the reason. The password is
 * checked to be there, as clients know it, and not used.
 *
 * Enrollcertificate needs the CA's key ([agent] ca_dir). The names of the new certificate are those of the agent's present one, which is of the CA and has
 * the subject that the agent has just proved to be; a host cannot get another's names.
 */
#include "engine/api/host_install.h"

#include <string.h>

#include "common/config.h"
#include "common/error.h"
#include "common/tls.h"
#include "engine/api/action.h"
#include "engine/api/host_network.h"
#include "engine/api/res_host.h"
#include "engine/fleet/fleet.h"
#include "engine/model/kinds.h"
#include "engine/store/store.h"
#include "proto/host.h"

#define STATE(state) (1u << (state))
#define STATES_INSTALLABLE (STATE(HOST_MAINTENANCE) | STATE(HOST_NON_OPERATIONAL) | STATE(HOST_INSTALL_FAILED) | STATE(HOST_INSTALLING_OS))

/* Codes of our own */
#define EVENT_INSTALLED 504
#define EVENT_INSTALL_FAILED 505
#define EVENT_ENROLLED 20371

#define ENROLL_TIMEOUT_S 60

struct install_action { ACTION_MEMBERS char *root_password, *image, *method, *user, *password, *fingerprint; int port; bool override_iptables; };
#define I struct install_action
static const struct field install_fields[] = {
	ACTION_FIELDS(I),
	FIELD_STRING_(I, root_password, "root_password", CREATE | SECRET, "password of root", .max = 255),
	FIELD_STRING_(I, image, "image", CREATE, "rhev-h: image to install", .max = 4095),
	FIELD_INT_(I, port, "ssh/port", CREATE, "port of the SSH server", .min = 1, .max = 65535),
	FIELD_STRING_(I, fingerprint, "ssh/fingerprint", CREATE, "fingerprint of its key", .max = 255),
	FIELD_STRING_(I, method, "ssh/authentication_method", CREATE, "password or publickey", .max = 32),
	FIELD_STRING_(I, user, "ssh/user/user_name", CREATE, "SSH user", .max = 255),
	FIELD_STRING_(I, password, "ssh/user/password", CREATE | SECRET, "its password", .max = 255),
	FIELD_BOOL_(I, override_iptables, "host/override_iptables", CREATE, "set up the firewall"),
};
const struct record_type install_action_type = RECORD_TYPE("action", NULL, I, install_fields, "How to install a host");

struct installing { struct request *request; int before; const char *failed; };

static bool edit_begin(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	struct installing *installing = data;

	if (!(STATES_INSTALLABLE >> host->state & 1)) {
		error_set(error, ERR_WRONG_STATE, "cannot install host '%s': it is %s", host->name, host_state_names[host->state]);
		return false;
	}
	installing->before = host->state;
	SET(host, state, HOST_INSTALLING);
	set_string(&host->state_detail, NULL);
	return true;
}

static bool edit_end(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	const struct installing *installing = data;

	SET(host, state, installing->failed ? HOST_INSTALL_FAILED : installing->before == HOST_MAINTENANCE ? HOST_MAINTENANCE : HOST_UNASSIGNED);
	set_string(&host->state_detail, installing->failed);
	if (installing->failed)
		change_event(change, EVENT_INSTALL_FAILED, &installing->request->actor, (void *[]){ host, NULL }, "Host %s installation failed. %s.", host->name,
			     installing->failed);
	else
		change_event(change, EVENT_INSTALLED, &installing->request->actor, (void *[]){ host, NULL }, "Host %s was installed by %s.", host->name,
			     installing->request->actor.user_name);
	return true;
}

static bool check_credentials(const struct host *host, const struct install_action *how, GError **error)
{
	bool by_key = how->method && !g_ascii_strcasecmp(how->method, "publickey");

	if (host->type == HOST_RHEV_H ? how->image != NULL : by_key || (how->root_password && *how->root_password) || (how->password && *how->password))
		return true;
	error_set(error, ERR_INCOMPLETE, "Action [%s] required for install", host->type == HOST_RHEV_H ? "image" : "rootPassword");
	return false;
}

bool host_install(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct host *host = object;
	struct installing installing = { .request = request };
	GError *own = NULL;
	bool ok;

	if (!check_credentials(host, params, error) ||
	    !store_modify(request->engine->store, &host_kind, host->id, edit_begin, &installing, NULL, error))
		return false;
	ok = host_take_over(request, host, &own);
	installing.failed = own ? own->message : NULL;
	(void)store_modify(request->engine->store, &host_kind, host->id, edit_end, &installing, NULL, ok ? error : NULL);
	if (ok && installing.before != HOST_MAINTENANCE) {
		fleet_forget(request->engine->fleet, host->id);
		fleet_watch(request->engine->fleet, host->id);
	}
	if (own)
		g_propagate_error(error, own);
	return ok;
}

/* ---- linked only ---- */

bool host_upgrade(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct host *host = object;

	if (!((STATES_INSTALLABLE | STATE(HOST_UP)) >> host->state & 1))
		error_set(error, ERR_WRONG_STATE, "cannot upgrade host '%s': it is %s", host->name, host_state_names[host->state]);
	else
		error_set(error, ERR_OPERATION_FAILED, "host '%s': no update is known (update_available): its packages are upgraded on the host itself", host->name);
	return false;
}

/* The agent makes a key, this engine signs for it what its certificate of now says, the agent takes both into use. */
static bool enroll(struct request *request, const struct host *host, const char *ca_dir, GError **error)
{
	struct host_certificate_params *params = record_new(&host_certificate_params_type);
	g_autofree char *subject = NULL;
	json_t *wish = NULL;
	bool ok = fleet_probe(request->engine->fleet, host->address, host->port, "Host.requestCertificate", NULL, ENROLL_TIMEOUT_S, &wish, &subject, error);

	if (ok) {
		const char *certificate = host_json_text(wish, "certificate"), *asked = host_json_text(wish, "request");

		ok = ca_renew(ca_dir, certificate ? certificate : "", asked ? asked : "", subject, &params->certificate, error);
		if (!ok)
			error_wrap(error, "certificate of host '%s'", host->name);
	}
	ok = ok && fleet_probe(request->engine->fleet, host->address, host->port, "Host.setCertificate", params, ENROLL_TIMEOUT_S, NULL, NULL, error);
	json_decref(wish);
	record_unref(params);
	return ok;
}

bool host_enroll(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct host *host = object;
	const char *ca_dir = config_string(request->engine->config, "agent", "ca_dir");

	if (host->state != HOST_MAINTENANCE && host->state != HOST_INSTALL_FAILED) {
		error_set(error, ERR_WRONG_STATE, "cannot enroll a certificate for host '%s': it is %s", host->name, host_state_names[host->state]);
		return false;
	}
	if (!ca_dir) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "host '%s': this engine has no key of the CA ([agent] ca_dir): certificates are made with 'berth pki issue'",
			  host->name);
		return false;
	}
	/* an agent that answers is the one that the host was added with */
	if (!host_take_over(request, host, error) || !enroll(request, host, ca_dir, error))
		return false;
	store_event(request->engine->store, EVENT_ENROLLED, &request->actor, (void *[]){ (void *)host, NULL }, "Host %s got a new certificate by %s.", host->name,
		    request->actor.user_name);
	return true;
}
