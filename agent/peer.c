/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to other agents.
 *
 * Each call is a connection of its own: they are few, and nothing is kept that could be out of date when it is needed. The files of [tls] are read for
 * each, so that a renewed certificate is used at once. The peer's certificate must be of our CA and carry the name that was asked for.
 *
 * The caller waits on its worker; the connection lives on the loop. Both share the exchange: whoever is last frees it. The channel's own limits end every
 * wait: CONNECT_USEC, then the caller's timeout. An agent that ends meanwhile drops what is posted to the loop; then the wait ends in the same time. A job
 * that is canceled waits no longer; what comes after that is dropped.
 */
#define LOG_MODULE "peer"
#include "agent/peer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/error.h"
#include "common/lock.h"
#include "common/resolve.h"
#include "common/tls.h"
#include "proto/channel.h"

#define CONNECT_USEC (10 * G_USEC_PER_SEC)
#define WANT_BEAT_MS 5000
#define GRACE_USEC (5 * G_USEC_PER_SEC)

struct exchange {
	int refs;
	struct loop *loop;
	struct sockaddr_storage address;
	socklen_t length;
	char *name, *method, *params, *flow_id;
	int64_t timeout_usec;
	struct tls_context *tls;
	struct channel *channel;        /* loop only */
	int come;                       /* eventfd: it is over */
	pthread_mutex_t lock;
	/* under lock */
	bool over;
	json_t *result;
	GError *error;
};

static void exchange_unref(void *data)
{
	struct exchange *x = data;

	if (!g_atomic_int_dec_and_test(&x->refs))
		return;
	tls_context_free(x->tls);
	json_decref(x->result);
	g_clear_error(&x->error);
	g_free(x->name);
	g_free(x->method);
	g_free(x->params);
	g_free(x->flow_id);
	if (x->come >= 0)
		close(x->come);
	pthread_mutex_destroy(&x->lock);
	g_free(x);
}

/* ---- on the loop ---- */

static void settle(struct exchange *x, const json_t *result, const GError *error)
{
	AUTO_LOCK(&x->lock);
	if (x->over)
		return;
	x->over = true;
	x->result = json_deep_copy(result);
	x->error = error ? g_error_copy(error) : NULL;
	(void)eventfd_write(x->come, 1);
}

static void on_answer(const json_t *result, const GError *error, void *data)
{
	struct exchange *x = data;

	settle(x, result, error);
	x->channel = channel_free(x->channel);
	exchange_unref(x);              /* the channel's */
}

/* The call has failed before: nothing is left to do. */
static void on_down(struct channel *channel, const GError *error, void *data)
{
}

static void begin(void *data)
{
	static const struct channel_events events = { .down = on_down };
	struct exchange *x = data;
	struct channel_settings settings = {
		.loop = x->loop, .address = (struct sockaddr *)&x->address, .address_length = x->length, .tls = x->tls, .name = x->name,
		.connect_usec = CONNECT_USEC, .want_beat_ms = WANT_BEAT_MS, .events = &events, .data = x,
	};
	g_autoptr(GError) error = NULL;

	x->channel = channel_open(&settings, &error);
	if (!x->channel) {
		settle(x, NULL, error);
		exchange_unref(x);
		return;
	}
	channel_call(x->channel, x->method, x->params, x->flow_id, CONNECT_USEC + x->timeout_usec, on_answer, x);
}

/* ---- on the worker ---- */

static bool make_tls(struct agent *agent, struct exchange *x, GError **error)
{
	struct tls_settings settings = {
		.ca_file = config_string(agent->config, "tls", "ca"), .cert_file = config_string(agent->config, "tls", "cert"),
		.key_file = config_string(agent->config, "tls", "key"),
	};

	if (config_bool(agent->config, "rpc", "plain")) {
		error_set(error, ERR_NO_CONNECTION, "%s: this agent works without TLS ([rpc] plain) and does not call others", x->name);
		return false;
	}
	x->tls = tls_context_new(&settings, error);
	return x->tls != NULL;
}

static void wait_for_it(struct exchange *x, struct job *job)
{
	struct pollfd fds[] = { { .fd = x->come, .events = POLLIN }, { .fd = job ? job_cancel_fd(job) : -1, .events = POLLIN } };
	int64_t until = now_usec() + CONNECT_USEC + x->timeout_usec + GRACE_USEC;

	while (poll(fds, G_N_ELEMENTS(fds), (int)(MAX(until - now_usec(), 0) / 1000)) < 0 && errno == EINTR)
		;
}

/* What is not the peer's own answer is one thing for whoever asked: the other agent cannot be talked to. */
static bool is_answer(const GError *error)
{
	return !error_is(error, ERR_NO_CONNECTION) && !error_is(error, ERR_MESSAGE_TIMEOUT) && !error_is(error, ERR_TLS_FAILED);
}

static json_t *take(struct exchange *x, struct job *job, GError **error)
{
	AUTO_LOCK(&x->lock);
	if (x->result)
		return g_steal_pointer(&x->result);
	if (x->error)
		g_propagate_error(error, g_steal_pointer(&x->error));
	else if (job && job_canceled(job))
		error_set(error, ERR_TASK_ABORTED, "the answer to %s is not waited for", x->method);
	else
		error_set(error, ERR_MESSAGE_TIMEOUT, "%s of %s", x->method, x->name);
	x->over = true;                 /* what comes now is dropped */
	return NULL;
}

json_t *peer_ask(struct agent *agent, const struct peer_call *call, GError **error)
{
	struct exchange *x = g_new0(struct exchange, 1);
	g_autoptr(GError) cause = NULL;
	json_t *result = NULL;

	x->refs = 1;
	x->loop = agent->loop;
	x->name = g_strdup(call->host);
	x->method = g_strdup(call->method);
	x->params = json_dumps(call->params, JSON_COMPACT);
	x->flow_id = g_strdup(call->flow_id);
	x->timeout_usec = call->timeout_usec;
	x->come = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&x->lock, NULL);
	if (x->come < 0)
		error_set_errno(&cause, ERR_NO_CONNECTION, errno, "eventfd");
	else if (make_tls(agent, x, &cause) && resolve_address(call->host, call->port, &x->address, &x->length, &cause)) {
		g_atomic_int_inc(&x->refs);
		loop_post(agent->loop, begin, x, exchange_unref);
		wait_for_it(x, call->job);
		result = take(x, call->job, &cause);
	}
	exchange_unref(x);
	if (result)
		return result;
	if (is_answer(cause)) {
		error_wrap(&cause, "agent of %s", call->host);
		g_propagate_error(error, g_steal_pointer(&cause));
	} else {
		error_set(error, ERR_NO_CONNECTION_TO_PEER, "agent of %s: %s", call->host, cause->message);
	}
	return NULL;
}

/* ---- certificates for others ---- */

static bool make_link(const char *dir, const char *name, const char *target, GError **error)
{
	g_autofree char *path = g_build_filename(dir, name, NULL), *fresh = g_strconcat(path, ".new", NULL), *full = g_canonicalize_filename(target, NULL);

	(void)unlink(fresh);
	if (symlink(full, fresh) == 0 && rename(fresh, path) == 0)
		return true;
	error_set_errno(error, ERR_IO_FAILED, errno, "link %s", path);
	return false;
}

char *peer_credentials(struct agent *agent, const char *name, const char *const files[3], GError **error)
{
	static const char *const keys[] = { "ca", "cert", "key" };
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	g_autofree char *run_dir = g_canonicalize_filename(agent->run_dir, NULL), *dir = g_build_filename(run_dir, name, NULL);
	AUTO_LOCK(&one);

	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		error_set_errno(error, ERR_IO_FAILED, errno, "directory %s", dir);
		return NULL;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		if (!make_link(dir, files[i], config_string(agent->config, "tls", keys[i]), error))
			return NULL;
	return g_steal_pointer(&dir);
}

/* ---- names ---- */

bool peer_parse(const char *text, char **ret_host, int *ret_port, GError **error)
{
	const char *end = *text == '[' ? strchr(text, ']') : NULL, *colon = end ? end + 1 : strrchr(text, ':');
	g_autofree char *host = end ? g_strndup(text + 1, (gsize)(end - text - 1)) : colon ? g_strndup(text, (gsize)(colon - text)) : g_strdup(text);
	gint64 port = PEER_PORT;

	/* more than one colon and no brackets: an IPv6 address */
	if (!end && colon && strchr(text, ':') != colon) {
		g_free(host);
		host = g_strdup(text);
		colon = NULL;
	}
	if (!*host || (*text == '[' && !end) || (colon && *colon && (*colon != ':' || !g_ascii_string_to_signed(colon + 1, 10, 1, 65535, &port, NULL))) ||
	    strpbrk(host, "/?#@ \t\r\n%&")) {
		error_set(error, ERR_INVALID_PARAMETER, "'%s' is no host, host:port or [address]:port", text);
		return false;
	}
	*ret_host = g_steal_pointer(&host);
	*ret_port = (int)port;
	return true;
}

char *peer_uri_host(const char *host)
{
	return strchr(host, ':') ? g_strdup_printf("[%s]", host) : g_strdup(host);
}
