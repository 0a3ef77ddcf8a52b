/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a host into use anew (REST 14.8.1): install, and the two links that the guide names without a word, upgrade and enrollcertificate.
 *
 * Install: the host is *installing* and
 *
 *	- gets the agent over SSH (engine/deploy), when this engine has its package ([deploy] package). Without one nothing is copied and the password is
 *	  checked to be there, as clients know it, and not used;
 *	- its agent must answer with a certificate of the CA and be the one that the host was added with; it is claimed, and the host is up or, where it was in
 *	  maintenance, in maintenance again.
 *
 * A rhev-h host (sync.c tells them by their system's name) has no packages: it gets the image, installs itself from it and reboots. Whatever fails leaves the host
 * install_failed, with the reason; so does the end of the engine in the middle, as nothing of the login is stored: host_install_settle(). Install may be
 * repeated. A new host whose agent does not answer is installed in the same way, by a job on the host's lane.
 *
 * Upgrade puts the package in place of the agent's version and leaves the host's state alone: the agent's restart is shorter than a host's silence may be, and
 * VMs do not notice it. It logs in with the engine's key and the user by whom the host was installed, unless told otherwise.
 *
 * Enrollcertificate needs the CA's key ([agent] ca_dir). The names of the new certificate are those of the agent's present one, which is of the CA and has
 * the subject that the agent has just proved to be; a host cannot get another's names.
 */
#include "engine/api/host_install.h"

#include <string.h>

#include "common/config.h"
#include "common/error.h"
#include "common/log.h"
#include "common/tls.h"
#include "engine/api/action.h"
#include "engine/api/host_network.h"
#include "engine/api/res_host.h"
#include "engine/deploy/deploy.h"
#include "engine/deploy/package.h"
#include "engine/fleet/fleet.h"
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"
#include "proto/host.h"

#define LOG_MODULE "api"
#define STATE(state) (1u << (state))
#define STATES_UPGRADABLE (STATE(HOST_UP) | STATE(HOST_MAINTENANCE) | STATE(HOST_NON_OPERATIONAL) | STATE(HOST_INSTALL_FAILED))
#define STATES_INSTALLABLE (STATE(HOST_MAINTENANCE) | STATE(HOST_NON_OPERATIONAL) | STATE(HOST_INSTALL_FAILED) | STATE(HOST_INSTALLING_OS))

/* Codes of our own */
#define EVENT_INSTALLED 504
#define EVENT_INSTALL_FAILED 505
#define EVENT_ENROLLED 20371
#define EVENT_UPGRADE_STARTED 20400
#define EVENT_UPGRADED 20401
#define EVENT_UPGRADE_FAILED 20402

#define ENROLL_TIMEOUT_S 60

struct install_action { ACTION_MEMBERS char *root_password, *image, *method, *user, *password, *fingerprint; int port; bool override_iptables; };
#define I struct install_action
static const struct field install_fields[] = {
	ACTION_FIELDS(I),
	FIELD_STRING_(I, root_password, "root_password", CREATE | SECRET, "password of root", .max = 255),
	FIELD_STRING_(I, image, "image", CREATE, "rhev-h: image to install, a path on the engine's machine", .max = 4095),
	FIELD_INT_(I, port, "ssh/port", CREATE, "port of the SSH server", .min = 1, .max = 65535),
	FIELD_STRING_(I, fingerprint, "ssh/fingerprint", CREATE, "fingerprint of its key", .max = 255),
	FIELD_STRING_(I, method, "ssh/authentication_method", CREATE, "password or publickey", .max = 32),
	FIELD_STRING_(I, user, "ssh/user/user_name", CREATE, "SSH user", .max = 255),
	FIELD_STRING_(I, password, "ssh/user/password", CREATE | SECRET, "its password", .max = 255),
	FIELD_BOOL_(I, override_iptables, "host/override_iptables", CREATE, "set up the firewall"),
};
const struct record_type install_action_type = RECORD_TYPE("action", NULL, I, install_fields, "How to install a host");

/* ---- login ---- */

static struct host_login *login_from(const struct host *host, const I *how)
{
	return host_login_new(host, how->method, how->user, how->password, how->root_password, how->fingerprint, how->port);
}

/* With the engine's key, when nothing else is said. */
static struct host_login *login_by_key(const struct host *host, const I *how)
{
	struct host_login *login = login_from(host, how);

	login->by_key = login->by_key || !host_login_is_complete(login);
	if (!how->user && host->install_user)
		set_string(&login->user, host->install_user);
	return login;
}

static bool check_credentials(const struct host *host, const I *how, GError **error)
{
	struct host_login *login = login_from(host, how);
	bool complete = host->type == HOST_RHEV_H ? how->image != NULL : host_login_is_complete(login);

	host_login_free(login);
	if (!complete)
		error_set(error, ERR_INCOMPLETE, "Action [%s] required for install", host->type == HOST_RHEV_H ? "image" : "rootPassword");
	return complete;
}

/* ---- installing ---- */

struct installing {
	struct request *request;
	uint32_t from;                       /* states in which it may begin */
	const char *what;
	int before;
	const char *failed;
	const struct host *taken_over;       /* NULL: it was not */
	const char *user, *fingerprint;      /* of the SSH server, when it was used */
	bool reboots;
};

static bool edit_begin(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	struct installing *installing = data;

	if (!(installing->from >> host->state & 1)) {
		error_set(error, ERR_WRONG_STATE, "cannot %s host '%s': it is %s", installing->what, host->name, host_state_names[host->state]);
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

	SET(host, state, installing->failed ? HOST_INSTALL_FAILED : installing->before == HOST_MAINTENANCE ? HOST_MAINTENANCE :
	    installing->reboots ? HOST_REBOOT : HOST_UNASSIGNED);
	set_string(&host->state_detail, installing->failed);
	if (installing->taken_over)
		host_known(host, installing->taken_over);
	if (installing->fingerprint) {
		set_string(&host->ssh_fingerprint, installing->fingerprint);
		set_string(&host->install_user, installing->user);
	}
	if (installing->failed)
		change_event(change, EVENT_INSTALL_FAILED, &installing->request->actor, (void *[]){ host, NULL }, "Host %s installation failed. %s.", host->name,
			     installing->failed);
	else
		change_event(change, EVENT_INSTALLED, &installing->request->actor, (void *[]){ host, NULL }, "Host %s was installed by %s.", host->name,
			     installing->request->actor.user_name);
	return true;
}

static int64_t start_limit(struct request *request)
{
	return now_usec() + config_int(request->engine->config, "deploy", "start_timeout") * G_USEC_PER_SEC;
}

/* What is done to a host that is *installing*, and its end. login NULL: nothing over SSH. image: of a rhev-h host */
static bool install(struct request *request, const struct host *host, struct installing *installing, const struct host_login *login, const char *image,
		    GError **error)
{
	g_autofree char *fingerprint = NULL;
	struct host *copy = record_copy(host);
	GError *own = NULL;
	bool ok = !login || host_deploy(request, host, login, image ? DEPLOY_IMAGE : DEPLOY_AGENT, image, &fingerprint, &own);

	/* one that reboots answers when it is back: its session waits for that */
	if (ok && !image) {
		ok = host_take_over(request, copy, login ? start_limit(request) : 0, &own);
		installing->taken_over = ok ? copy : NULL;
	}
	installing->failed = own ? own->message : NULL;
	installing->reboots = image != NULL;
	installing->fingerprint = fingerprint;
	installing->user = login ? login->user : NULL;
	ok = store_modify(request->engine->store, &host_kind, host->id, edit_end, installing, NULL, ok ? &own : NULL) && ok;
	if (ok && installing->before != HOST_MAINTENANCE) {
		fleet_forget(request->engine->fleet, host->id);
		fleet_watch(request->engine->fleet, host->id);
	}
	record_unref(copy);
	if (own) {
		error_wrap(&own, "host '%s'", host->name);
		g_propagate_error(error, own);
	}
	return ok;
}

bool host_install(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct host *host = object;
	const I *how = params;
	struct installing installing = { .request = request, .from = STATES_INSTALLABLE, .what = "install" };
	const char *image = host->type == HOST_RHEV_H ? how->image : NULL;
	struct host_login *login;
	bool ok;

	if (!check_credentials(host, how, error) || (image && !deploy_image_check(request->engine->config, image, error)) ||
	    !store_modify(request->engine->store, &host_kind, host->id, edit_begin, &installing, NULL, error))
		return false;
	login = image ? login_by_key(host, how) : package_is_known(request->engine->config) ? login_from(host, how) : NULL;
	ok = install(request, host, &installing, login, image, error);
	host_login_free(login);
	return ok;
}

/* ---- a new host ---- */

/* What of the request outlives its answer. */
struct later { struct request request; char *user_id, *user_name, *correlation_id; struct host *host; struct host_login *login; };

static void later_free(void *data)
{
	struct later *later = data;

	record_unref(later->host);
	host_login_free(later->login);
	g_free(later->user_id);
	g_free(later->user_name);
	g_free(later->correlation_id);
	g_free(later);
}

static void install_later(void *data)
{
	struct later *later = data;
	struct installing installing = { .request = &later->request, .before = HOST_INSTALLING };
	g_autoptr(GError) error = NULL;

	if (!install(&later->request, later->host, &installing, later->login, /* image= */ NULL, &error))
		log_warn("%s", error->message);
}

static void fail_to_begin(struct engine *engine, const char *host_id, const struct actor *actor, const char *why)
{
	struct request request = { .engine = engine, .actor = *actor };
	struct installing installing = { .request = &request, .failed = why };
	g_autoptr(GError) error = NULL;

	if (!store_modify(engine->store, &host_kind, host_id, edit_end, &installing, NULL, &error))
		log_warn("host %s is not told to be install_failed: %s, ignoring", host_id, error->message);
}

void host_install_new(struct request *request, const struct host *host, struct host_login *login)
{
	struct later *later = g_new0(struct later, 1);
	struct lane_job job = { .name = "install host", .run = install_later, .data = later, .free_data = later_free };
	g_autofree char *lane = g_strdup_printf("hosts/%s", host->id);
	g_autoptr(GError) error = NULL;

	later->user_id = g_strdup(request->actor.user_id);
	later->user_name = g_strdup(request->actor.user_name);
	later->correlation_id = g_strdup(request->actor.correlation_id);
	later->request = (struct request){ .engine = request->engine, .actor = { later->user_id, later->user_name, later->correlation_id } };
	later->host = record_ref((void *)host);
	later->login = login;
	if (!lane_submit(request->engine->lanes, lane, &job, &error)) {
		fail_to_begin(request->engine, host->id, &request->actor, error->message);
		later_free(later);
	}
}

void host_install_settle(struct engine *engine)
{
	g_autoptr(GPtrArray) hosts = model_list(engine->model, &host_kind);

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];

		if (host->state == HOST_INSTALLING)
			fail_to_begin(engine, host->id, &(struct actor){ 0 }, "The engine ended in the middle of it; it may be repeated");
	}
}

/* ---- linked only ---- */

static bool edit_upgraded(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;
	const struct installing *upgraded = data;

	host_known(host, upgraded->taken_over);
	set_string(&host->ssh_fingerprint, upgraded->fingerprint);
	change_event(change, EVENT_UPGRADED, &upgraded->request->actor, (void *[]){ host, NULL }, "Host %s was upgraded by %s to %s.", host->name,
		     upgraded->request->actor.user_name, host->version_full);
	return true;
}

/* A host with packages. */
static bool upgrade_agent(struct request *request, const struct host *host, const struct host_login *login, GError **error)
{
	struct store *store = request->engine->store;
	void *refs[] = { (void *)host, NULL };
	struct host *copy = record_copy(host);
	g_autofree char *fingerprint = NULL;
	struct installing upgraded = { .request = request, .taken_over = copy };
	GError *own = NULL;
	bool ok;

	store_event(store, EVENT_UPGRADE_STARTED, &request->actor, refs, "Upgrade of host %s was started by %s.", host->name, request->actor.user_name);
	ok = host_deploy(request, host, login, DEPLOY_UPGRADE, NULL, &fingerprint, &own) && host_take_over(request, copy, start_limit(request), &own);
	upgraded.fingerprint = fingerprint;
	ok = ok && store_modify(store, &host_kind, host->id, edit_upgraded, &upgraded, NULL, &own);
	if (own) {
		store_event(store, EVENT_UPGRADE_FAILED, &request->actor, refs, "Upgrade of host %s failed. %s.", host->name, own->message);
		error_wrap(&own, "host '%s'", host->name);
		g_propagate_error(error, own);
	}
	record_unref(copy);
	return ok;
}

/* It reboots, so nothing may run there. */
static bool upgrade_image(struct request *request, const struct host *host, const struct host_login *login, const char *image, GError **error)
{
	struct installing installing = { .request = request, .from = STATES_UPGRADABLE, .what = "upgrade" };
	g_autoptr(GPtrArray) vms = model_referring(request->engine->model, &vm_kind, offsetof(struct vm, host), host->id);

	if (!image)
		error_set(error, ERR_INCOMPLETE, "Action [image] required for upgrade");
	else if (vms->len)
		error_set(error, ERR_OPERATION_FAILED, "cannot upgrade host '%s': it would reboot, and VM '%s' runs on it%s", host->name, object_name(vms->pdata[0]),
			  vms->len > 1 ? ", and others" : "");
	else
		return deploy_image_check(request->engine->config, image, error) &&
		       store_modify(request->engine->store, &host_kind, host->id, edit_begin, &installing, NULL, error) &&
		       install(request, host, &installing, login, image, error);
	return false;
}

bool host_upgrade(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct host *host = object;
	const I *how = params;
	struct host_login *login = login_by_key(host, how);
	bool ok = STATES_UPGRADABLE >> host->state & 1;

	if (!ok)
		error_set(error, ERR_WRONG_STATE, "cannot upgrade host '%s': it is %s", host->name, host_state_names[host->state]);
	else if (host->type == HOST_RHEV_H)
		ok = upgrade_image(request, host, login, how->image, error);
	else if (package_is_update(request->engine->config, host->version_full))
		ok = upgrade_agent(request, host, login, error);
	else {
		error_set(error, ERR_OPERATION_FAILED, "host '%s': no update is available: its agent is %s, and [deploy] package is %s", host->name,
			  host->version_full ? host->version_full : "not known", package_is_known(request->engine->config) ? "of that release" : "not set");
		ok = false;
	}
	host_login_free(login);
	return ok;
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
	struct host *copy;
	bool ok;

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
	copy = record_copy(host);
	ok = host_take_over(request, copy, /* until_usec= */ 0, error) && enroll(request, host, ca_dir, error);
	record_unref(copy);
	if (!ok)
		return false;
	store_event(request->engine->store, EVENT_ENROLLED, &request->actor, (void *[]){ (void *)host, NULL }, "Host %s got a new certificate by %s.", host->name,
		    request->actor.user_name);
	return true;
}
