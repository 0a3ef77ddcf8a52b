/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a request.
 *
 *	loop     route -> negotiate -> authenticate -> permit -> dispatch
 *	         one object, a brief collection, entry point, states of actions: answered here, for they cost less than a change of threads
 *	worker   other collections and searches (any order); everything that changes something (on the object's lane, see operation.c)
 *	loop     answer
 *
 * Credentials that were not seen lately are checked on a worker ("auth/N": a flood of wrong passwords fills these lanes and stops nobody who is known).
 *
 * Sessions and events: a request without session that changes something leaves a login event (30) before its own events and a logout event (31) after
 * them, as the guide has it. Requests that only read do not: every status poll of every client would otherwise write to the database. The opening and
 * the end of a session leave theirs always.
 *
 * What is not under a base: /ca.crt (and where oVirt has it, services/pki-resource) for anyone; /metrics for the machine itself and for who is
 * authenticated; "/" leads to the base.
 */
#include "engine/api/api.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <string.h>
#include "common/error.h"
#include "common/log.h"
#include "engine/api/api-priv.h"
#include "engine/model/kinds.h"
#include "engine/model/user.h"
#include "engine/store/store.h"

#define LOG_MODULE "api"
#define AUTH_LANES 4
#define EVENT_LOGIN 30
#define EVENT_LOGOUT 31
#define EVENT_LOGIN_FAILED 114
#define EVENT_ACCOUNT_LOCKED 160

/* ---- life ---- */

static void face_free(gpointer data)
{
	struct face *face = data;
	g_free(face->links);
	g_free(face->actions);
	g_free(face);
}

struct api *api_new(struct engine *engine, const struct api_settings *settings, GError **error)
{
	struct api *api = g_new0(struct api, 1);
	api->engine = engine;
	api->secure_port = settings->secure_port;
	api->invocations = invocations_new(settings->retention_usec);
	api->faces = g_hash_table_new_full(NULL, NULL, NULL, face_free);
	api->metrics = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	for (size_t i = 0; resources[i]; i++)
		(void)api_face(api, resources[i]);
	if (settings->ca_file) {
		char *text;
		gsize length;
		GError *problem = NULL;
		if (!g_file_get_contents(settings->ca_file, &text, &length, &problem)) {
			error_set(error, ERR_CONFIG_INVALID, "[http] ca: %s", problem->message);
			g_error_free(problem);
			return api_free(api);
		}
		api->ca = g_bytes_new_take(text, length);
	}
	return api;
}

struct api *api_free(struct api *api)
{
	if (!api)
		return NULL;
	invocations_free(api->invocations);
	g_hash_table_unref(api->faces);
	g_hash_table_unref(api->metrics);
	if (api->ca)
		g_bytes_unref(api->ca);
	g_free(api);
	return NULL;
}

void api_set_secure_port(struct api *api, uint16_t port)
{
	api->secure_port = port;
}

/* The end of what change_stage() began. Worker. */
static void log_out(struct call *call)
{
	if (call->around && !loop_is_current(call->api->engine->loop))
		store_event(call->api->engine->store, EVENT_LOGOUT, &call->request.actor, NULL, "User %s logged out.", call->user->name);
	call->around = false;
}

void call_free(struct call *call)
{
	log_out(call);
	route_clear(&call->route);
	if (call->details)
		g_ptr_array_unref(call->details);
	g_free(call->cookie);
	g_free(call->correlation_id);
	g_free(call->invocation);
	record_unref(call->request.parent);
	access_unref(call->request.access);
	record_unref(call->object);
	record_unref(call->input);
	if (call->ignored)
		g_string_free(call->ignored, TRUE);
	g_free(call);
}

/* ---- ends ---- */

static void add_common_headers(struct call *call)
{
	if (call->ignored)
		exchange_add_header(call->exchange, "Warning", "299 berth \"Ignored members: %s\"", call->ignored->str);
	if (call->new_session && call->user && call->exchange->status != 401) {
		const char *ttl = exchange_header(call->exchange, "Session-TTL");
		gint64 minutes = INT_MIN;
		char *end;
		if (ttl) {
			minutes = g_ascii_strtoll(ttl, &end, 10);
			if (end == ttl || *end || minutes > 1000000)
				minutes = INT_MIN;
			else if (minutes <= 0)
				minutes = 0;
		}
		char *id = session_open(call->api->engine->auth, call->user, (int)minutes);
		exchange_add_header(call->exchange, "Set-Cookie", "JSESSIONID=%s; Path=%s; Secure", id, call->route.base ? call->route.base : "/api");
		g_free(id);
	}
}

static void done_on_loop(void *data)
{
	struct call *call = data;
	metrics_observe(call);
	exchange_finish(g_steal_pointer(&call->exchange));
	call_free(call);
}

/* The loop ends with the answer still queued; nobody waits for it any more. */
static void drop(gpointer data)
{
	struct call *call = data;
	if (call->exchange && !call->exchange->connection)
		exchange_free(call->exchange);
	call_free(call);
}

void call_done(struct call *call)
{
	log_out(call);
	add_common_headers(call);
	if (loop_is_current(call->api->engine->loop))
		done_on_loop(call);
	else
		loop_post(call->api->engine->loop, done_on_loop, call, drop);
}

static void finish_exchange(void *data)
{
	exchange_finish(data);
}

void call_answer_early(struct call *call)
{
	add_common_headers(call);
	metrics_observe(call);
	struct exchange *exchange = g_steal_pointer(&call->exchange);
	loop_post(call->api->engine->loop, finish_exchange, exchange, NULL);
}

/* ---- jobs ---- */

struct job { struct call *call; };

static const struct actor *actor_of(const struct call *call)
{
	return &call->request.actor;
}

static void job_run(void *data)
{
	struct job *job = data;
	struct call *call = g_steal_pointer(&job->call);
	call->stage(call);
}

static void job_free(gpointer data)
{
	struct job *job = data;
	if (job->call)
		drop(job->call);
	g_free(job);
}

void call_submit(struct call *call, const char *lane, void (*stage)(struct call *call))
{
	GError *error = NULL;
	struct job *job = g_new(struct job, 1);
	job->call = call;
	call->stage = stage;
	char *name = call->exchange ? g_strdup_printf("%s %.200s", call->exchange->method, call->exchange->target) : g_strdup("rest");
	const struct lane_job lane_job = { .name = name, .run = job_run, .data = job, .free_data = job_free };
	bool ok = lane_submit(call->api->engine->lanes, lane, &lane_job, &error);
	g_free(name);
	if (ok)
		return;
	g_free(job);
	if (call->invocation)
		invocation_end(call->api->invocations, call->invocation, NULL, error);
	if (!call->exchange) {
		log_warn("lane %s: %s, dropped the work that was left", lane ? lane : "-", error->message);
		g_error_free(error);
		call_free(call);
		return;
	}
	answer_fault(call, error);
	call_done(call);
}

struct later { struct call *call; char *lane; void (*stage)(struct call *call); int64_t delay_usec; struct timer *timer; };

static void later_fire(void *data)
{
	struct later *later = data;
	timer_free(later->timer);
	call_submit(later->call, later->lane, later->stage);
	g_free(later->lane);
	g_free(later);
}

static void later_begin(void *data)
{
	struct later *later = data;
	later->timer = timer_new(later->call->api->engine->loop, later_fire, later);
	timer_set(later->timer, later->delay_usec);
}

void call_submit_later(struct call *call, const char *lane, void (*stage)(struct call *call), int64_t delay_usec)
{
	struct later *later = g_new0(struct later, 1);
	later->call = call;
	later->lane = g_strdup(lane);
	later->stage = stage;
	later->delay_usec = delay_usec;
	loop_post(call->api->engine->loop, later_begin, later, NULL);
}

/* ---- dispatch ---- */

static void change_stage(struct call *call)
{
	/* without a session: login and logout around the request's own events */
	struct store *store = call->api->engine->store;
	call->around = !call->persistent && !call->by_session && store;
	if (call->around)
		store_event(store, EVENT_LOGIN, actor_of(call), NULL, "User %s logged in.", call->user->name);
	if (call->route.kind == ROUTE_ACTION)
		action_start(call);
	else if (strcmp(call->exchange->method, "DELETE") == 0)
		operation_remove(call);
	else
		operation_change(call);
}

static void read_stage(struct call *call)
{
	operation_read(call);
	call_done(call);
}

/* The descriptions are the same until the program is another: whoever has one need not fetch it again. */
static void description_stage(struct call *call)
{
	if (request_parameter(&call->request, "rsdl"))
		answer_rsdl(call);
	else if (request_parameter(&call->request, "schema"))
		answer_schema(call);
	else
		answer_openapi(call);
	struct exchange *exchange = call->exchange;
	g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)exchange->answer->str, exchange->answer->len);
	g_autofree char *tag = g_strdup_printf("\"%.32s\"", sum), *weak = g_strconcat("W/", tag, NULL);
	/* a proxy that compressed the answer has made the tag a weak one */
	if (exchange_has_token(exchange, "If-None-Match", tag, NULL) || exchange_has_token(exchange, "If-None-Match", weak, NULL) ||
	    exchange_has_token(exchange, "If-None-Match", "*", NULL))
		exchange_answer(exchange, 304, NULL, NULL);
	exchange_add_header(exchange, "ETag", "%s", tag);
	call_done(call);
}

static const char *allowed_methods(const struct call *call, char *buffer, size_t size)
{
	const struct resource *resource = route_resource(&call->route);
	unsigned methods = resource ? resource->methods : 0;
	const char *list = "";
	switch (call->route.kind) {
	case ROUTE_COLLECTION:
		g_snprintf(buffer, size, "OPTIONS%s%s", methods & RESOURCE_LIST ? ", GET, HEAD" : "", methods & RESOURCE_ADD ? ", POST" : "");
		return buffer;
	case ROUTE_OBJECT:
		g_snprintf(buffer, size, "OPTIONS%s%s%s", methods & RESOURCE_GET ? ", GET, HEAD" : "", methods & RESOURCE_UPDATE ? ", PUT" : "",
			   methods & RESOURCE_REMOVE ? ", DELETE" : "");
		return buffer;
	case ROUTE_ACTION:
		list = "OPTIONS, POST";
		break;
	default:
		list = "OPTIONS, GET, HEAD";
	}
	g_strlcpy(buffer, list, size);
	return buffer;
}

static void answer_method(struct call *call)
{
	char allowed[64];
	(void)allowed_methods(call, allowed, sizeof(allowed));
	if (strcmp(call->exchange->method, "OPTIONS") == 0) {
		exchange_answer(call->exchange, 200, NULL, NULL);
	} else {
		char *detail = g_strdup_printf("%s is not offered here, only %s", call->exchange->method, allowed);
		answer_fault_text(call, 405, "Method not allowed", detail);
		g_free(detail);
	}
	exchange_add_header(call->exchange, "Allow", "%s", allowed);
	call_done(call);
}

static void answer_not_found(struct call *call)
{
	char *path = g_strndup(call->exchange->target, MIN(strcspn(call->exchange->target, "?"), 200));
	char *valid = g_utf8_make_valid(path, -1);
	answer_fault_text(call, 404, "Not found", valid);
	g_free(valid);
	g_free(path);
	call_done(call);
}

static void metrics_stage(struct call *call)
{
	answer_metrics(call);
	call_done(call);
}

static bool resource_is_slow(const struct resource *resource)
{
	return resource->slow || (resource->parent && resource_is_slow(resource->parent));
}

/* What may take long is read in a lane of what it is asked from: a host or directory that hangs keeps one worker. */
static void read_or_submit(struct call *call, const struct resource *resource, bool little)
{
	bool slow = resource_is_slow(resource);

	if (little && !slow) {
		read_stage(call);
		return;
	}
	g_autofree char *owner = slow && !resource->gated ? operation_lane(call) : NULL;
	g_autofree char *lane = owner ? g_strconcat(owner, "/read", NULL) : NULL;

	call_submit(call, lane, read_stage);
}

static void dispatch(struct call *call)
{
	const struct route *route = &call->route;
	const struct resource *resource = route_resource(route);
	const char *method = call->exchange->method;
	bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0, post = strcmp(method, "POST") == 0;
	bool put = strcmp(method, "PUT") == 0, delete = strcmp(method, "DELETE") == 0;
	unsigned methods = resource ? resource->methods : 0;
	char *lane;

	switch (route->kind) {
	case ROUTE_METRICS:
		call_submit(call, NULL, metrics_stage);
		return;
	case ROUTE_NONE:
	case ROUTE_CA:
		answer_not_found(call);
		return;
	case ROUTE_ROOT:
		exchange_answer(call->exchange, 302, NULL, NULL);
		exchange_add_header(call->exchange, "Location", "/ovirt-engine/api");
		call_done(call);
		return;
	case ROUTE_ENTRY:
		if (!get)
			break;
		if (request_parameter(&call->request, "rsdl") || request_parameter(&call->request, "schema") || request_parameter(&call->request, "openapi")) {
			call_submit(call, NULL, description_stage);
		} else {
			answer_entry(call);
			call_done(call);
		}
		return;
	case ROUTE_CAPABILITIES:
		if (!get)
			break;
		answer_capabilities(call);
		call_done(call);
		return;
	case ROUTE_COLLECTION:
		if (get && methods & RESOURCE_LIST) {
			read_or_submit(call, resource, resource->brief && !route->parameters);
			return;
		}
		if (post && methods & RESOURCE_ADD) {
			lane = operation_lane(call);
			call_submit(call, lane, change_stage);
			g_free(lane);
			return;
		}
		break;
	case ROUTE_OBJECT:
		if (get && methods & RESOURCE_GET) {
			read_or_submit(call, resource, /* little= */ true);
			return;
		}
		if (put && methods & RESOURCE_UPDATE) {
			lane = operation_lane(call);
			call_submit(call, lane, change_stage);
			g_free(lane);
			return;
		}
		if (delete && methods & RESOURCE_REMOVE) {
			call_submit(call, NULL, change_stage);
			return;
		}
		break;
	case ROUTE_ACTION:
		if (!post)
			break;
		call_submit(call, NULL, change_stage);
		return;
	case ROUTE_ACTION_STATUS:
		if (!get)
			break;
		action_status(call);
		call_done(call);
		return;
	case ROUTE_CREATION:
		if (!get)
			break;
		creation_status(call);
		call_done(call);
		return;
	}
	answer_method(call);
}

/* ---- authentication ---- */

static void event_job(void *data)
{
	const struct call *call = data;
	const struct actor *actor = actor_of(call);
	bool login = call->new_session;
	store_event(call->api->engine->store, login ? EVENT_LOGIN : EVENT_LOGOUT, actor, NULL, login ? "User %s logged in." : "User %s logged out.",
		    actor->user_name);
}

static void event_free(gpointer data)
{
	call_free(data);
}

/* The opening or the end of a session, written by a worker. */
static void session_event(struct call *call, bool opened)
{
	if (!call->api->engine->store)
		return;
	struct call *note = g_new0(struct call, 1);
	note->api = call->api;
	note->new_session = opened;
	note->request.actor = (struct actor){ .user_id = call->user->id, .user_name = call->user->name };
	const struct lane_job job = { .name = "session event", .run = event_job, .data = note, .free_data = event_free };
	if (!lane_submit(call->api->engine->lanes, "events", &job, NULL))
		call_free(note);
}

/* Logins of a directory that is a server wait for each other, not for or before those of others. g_free */
static char *login_lane(const struct directory *directory)
{
	return g_strdup_printf("domains/%s/login", directory->id);
}

struct recheck { struct auth *auth; const struct auth_user *user; struct directory *directory; };

static void recheck_job(void *data)
{
	const struct recheck *recheck = data;

	auth_recheck(recheck->auth, recheck->user, recheck->directory);
}

/* Is the account of the session's user still good? The request does not wait for it. */
static void recheck_session(struct call *call)
{
	struct auth *auth = call->api->engine->auth;
	struct directory *directory = auth_recheck_due(auth, call->user);

	if (!directory)
		return;
	struct recheck *recheck = g_new(struct recheck, 1);
	*recheck = (struct recheck){ auth, call->user, directory };
	const struct lane_job job = { .name = "look a user up again", .run = recheck_job, .data = recheck, .free_data = g_free };
	g_autofree char *lane = login_lane(directory);
	if (!lane_submit(call->api->engine->lanes, lane, &job, NULL))
		g_free(recheck);
}

static void answer_version(struct call *call, const char *version)
{
	GString *page = g_string_new(NULL);
	char *shown = g_markup_escape_text(version, (gssize)MIN(strlen(version), 32));
	g_string_printf(page, "<!DOCTYPE html>\n<html>\n<head><title>Error</title></head>\n<body>\n<h1>Error</h1>\n"
			      "<p>Version %s of the API is not served here. Version 3 is.</p>\n</body>\n</html>\n", shown);
	g_free(shown);
	exchange_answer(call->exchange, 404, "text/html; charset=UTF-8", page);
	call_done(call);
}

static void refused(struct call *call)
{
	call->user = NULL;
	if (call->unavailable) {
		GError *error = NULL;
		error_set(&error, ERR_NO_CONNECTION, "the directory of the user's domain does not answer");
		answer_fault(call, error);
		call_done(call);
		return;
	}
	answer_fault_text(call, 401, "Unauthorized", "Credentials of a user are needed: user@domain and password");
	call->exchange->reason = "Authorization Required";
	exchange_add_header(call->exchange, "WWW-Authenticate", "Basic realm=\"Berth\"");
	call_done(call);
}

static void authenticated(struct call *call)
{
	call->request.actor = (struct actor){ .user_id = call->user->id, .user_name = call->user->name, .correlation_id = call->correlation_id };
	call->request.access = auth_access(call->api->engine->auth, call->api->engine->model, call->user->id);
	/* what let him in may have been taken away since */
	if (!access_logs_in(call->request.access)) {
		refused(call);
		return;
	}
	if (call->new_session)
		session_event(call, true);
	const char *version = exchange_header(call->exchange, "Version");
	if (version && strcmp(version, "3") != 0) {
		answer_version(call, version);
		return;
	}
	if (!call->acceptable && strcmp(call->exchange->method, "DELETE") != 0 && call->route.kind != ROUTE_METRICS) {
		answer_fault_text(call, 406, "Not acceptable", "application/xml and application/json can be had");
		call_done(call);
		return;
	}
	if (strcmp(call->exchange->method, "OPTIONS") == 0 && call->route.kind != ROUTE_NONE)
		answer_method(call);
	else
		dispatch(call);
}

static void verified_on_loop(void *data)
{
	struct call *call = data;
	if (call->user)
		authenticated(call);
	else
		refused(call);
}

/* A name in an event only when it is a user's: who tries others by the thousand must not push everything else out of the events. */
static const char *name_to_tell(struct model *model, const char *name)
{
	g_autoptr(GPtrArray) users = model_list(model, &user_kind);

	for (guint i = 0; name && i < users->len; i++)
		if (g_ascii_strcasecmp(((const struct user *)users->pdata[i])->user_name, name) == 0)
			return name;
	return "(unknown)";
}

/* A refused login, as the administrator reads of it. */
static void login_event(struct call *call, const struct login *login)
{
	struct store *store = call->api->engine->store;

	if (!store || !login->tell)
		return;
	const char *name = name_to_tell(call->api->engine->model, login->name);
	if (login->outcome == LOGIN_LOCKED)
		store_event_once(store, EVENT_ACCOUNT_LOCKED, NULL, NULL,
				 "User %s cannot login, as it got disabled or locked. Please contact the system administrator.", name);
	else
		store_event_once(store, EVENT_LOGIN_FAILED, NULL, NULL, "User %s failed to log in.", name);
}

static void verify_stage(struct call *call)
{
	struct login login;

	call->user = auth_verify(call->api->engine->auth, exchange_header(call->exchange, "Authorization"), &login);
	call->unavailable = login.outcome == LOGIN_UNAVAILABLE;
	if (login.outcome != LOGIN_OK && !call->unavailable)
		login_event(call, &login);
	g_free(login.name);
	loop_post(call->api->engine->loop, verified_on_loop, call, drop);
}

/* Value of the cookie JSESSIONID, or NULL. */
static char *session_cookie(const struct exchange *exchange)
{
	size_t index = 0;
	const char *value;
	while ((value = exchange_next_header(exchange, "Cookie", &index)))
		for (const char *p = value; *p;) {
			p += strspn(p, " \t;");
			size_t n = strcspn(p, ";");
			if (n > 11 && g_ascii_strncasecmp(p, "JSESSIONID=", 11) == 0) {
				const char *start = p + 11;
				size_t length = n - 11;
				while (length > 0 && g_ascii_isspace(start[length - 1]))
					length--;
				if (length >= 2 && start[0] == '"' && start[length - 1] == '"') {
					start++;
					length -= 2;
				}
				return g_strndup(start, length);
			}
			p += n;
		}
	return NULL;
}

static void authenticate(struct call *call)
{
	struct auth *auth = call->api->engine->auth;
	const struct exchange *exchange = call->exchange;
	const char *credentials = exchange_header(exchange, "Authorization");

	call->cookie = session_cookie(exchange);
	call->user = call->cookie ? session_use(auth, call->cookie) : NULL;
	if (call->user) {
		call->by_session = true;
		recheck_session(call);
		if (!call->persistent && session_end(auth, call->cookie))
			session_event(call, false);
		authenticated(call);
		return;
	}
	call->new_session = call->persistent;
	char *name, *password;
	if (!auth_parse_basic(credentials, &name, &password)) {
		refused(call);
		return;
	}
	OPENSSL_cleanse(password, strlen(password));
	g_free(password);
	g_autofree char *user_name = name;
	call->user = auth_cached(auth, credentials);
	if (call->user) {
		authenticated(call);
		return;
	}
	const struct directory *directory = auth_directory_of(auth, user_name);
	g_autofree char *lane = directory && directory->recheck_usec ? login_lane(directory) :
								       g_strdup_printf("auth/%u", g_str_hash(exchange->peer) % AUTH_LANES);
	call_submit(call, lane, verify_stage);
}

/* ---- entry ---- */

static void read_preferences(struct call *call)
{
	const struct exchange *exchange = call->exchange;
	char *value = NULL;
	call->persistent = exchange_has_token(exchange, "Prefer", "persistent-auth", NULL);
	if (exchange_has_token(exchange, "Prefer", "handling", &value)) {
		call->strict = g_ascii_strcasecmp(value, "strict") == 0;
		g_free(value);
	}
	const char *correlation = exchange_header(exchange, "Correlation-Id");
	if (correlation && *correlation && g_utf8_validate(correlation, -1, NULL))
		call->correlation_id = g_strndup(correlation, 128);
	const char *filter = exchange_header(exchange, "Filter");
	call->request.filter = filter && g_ascii_strcasecmp(filter, "true") == 0;
	const char *all = exchange_header(exchange, "All-Content");
	call->request.all_content = all && g_ascii_strcasecmp(all, "true") == 0;
}

static void answer_ca(struct call *call)
{
	const struct api *api = call->api;
	if (!api->ca) {
		answer_not_found(call);
		return;
	}
	gsize length;
	const char *text = g_bytes_get_data(api->ca, &length);
	exchange_answer(call->exchange, 200, "application/x-x509-ca-cert", g_string_new_len(text, (gssize)length));
	call_done(call);
}

static struct call *call_new(struct api *api, struct exchange *exchange)
{
	struct call *call = g_new0(struct call, 1);
	call->api = api;
	call->exchange = exchange;
	call->started_usec = now_usec();
	call->format = FORMAT_XML;
	return call;
}

void api_serve(struct exchange *exchange, void *data)
{
	struct api *api = data;
	struct call *call = call_new(api, exchange);
	GError *error = NULL;

	call->details = g_ptr_array_new_with_free_func(g_free);
	call->acceptable = negotiate_accept(exchange_header(exchange, "Accept"), &call->format, call->details);
	if (!call->acceptable)
		call->format = FORMAT_XML;
	read_preferences(call);
	if (!route_parse(exchange->target, resources, &call->route, &error)) {
		answer_fault(call, error);
		call_done(call);
		return;
	}
	call->request.engine = api->engine;
	call->request.resource = route_resource(&call->route);
	call->request.base = call->route.base ? call->route.base : "/api";
	call->request.parameters = call->route.parameters;
	bool get = strcmp(exchange->method, "GET") == 0 || strcmp(exchange->method, "HEAD") == 0;
	if (call->route.kind == ROUTE_CA && get)
		answer_ca(call);
	else if (call->route.kind == ROUTE_METRICS && get && exchange->loopback)
		call_submit(call, NULL, metrics_stage);
	else
		authenticate(call);
}

void api_serve_plain(struct exchange *exchange, void *data)
{
	struct api *api = data;
	struct call *call = call_new(api, exchange);
	bool get = strcmp(exchange->method, "GET") == 0 || strcmp(exchange->method, "HEAD") == 0;

	if (route_parse(exchange->target, resources, &call->route, NULL) && call->route.kind == ROUTE_CA && get) {
		answer_ca(call);
		return;
	}
	/* the name without the port, which may be in brackets */
	const char *host = exchange->local ? exchange->local : "localhost";
	size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	if (host[0] != '[' && strchr(host, ':') != strrchr(host, ':'))
		n = strlen(host);
	if (n > strlen(host) || strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") < n)
		n = 0;
	bool bare = n > 0 && host[0] != '[' && memchr(host, ':', n);
	exchange_answer(exchange, 301, NULL, NULL);
	exchange_add_header(exchange, "Location", "https://%s%.*s%s:%u%s", bare ? "[" : "", (int)(n ? n : 9), n ? host : "localhost", bare ? "]" : "",
			    api->secure_port, exchange->target[0] == '/' ? exchange->target : "/");
	call_done(call);
}
