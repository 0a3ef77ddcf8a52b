/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to Open vSwitch's database server: JSON-RPC 1.0 over its local socket (RFC 7047, chapter 4). One request at a time, and a deadline for
 * each; what the server asks meanwhile (echo) is answered. For workers: a call may last until its deadline.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "agent/net/net-priv.h"

#define DATABASE "Open_vSwitch"
#define ANSWER_MAX (16u << 20)

const char *net_openvswitch_path;
int64_t net_openvswitch_usec = 20 * G_USEC_PER_SEC;

struct ovsdb {
	int fd;
	unsigned id;
	GString *input;
};

struct ovsdb *ovsdb_free(struct ovsdb *db)
{
	if (!db)
		return NULL;
	if (db->fd >= 0)
		close(db->fd);
	g_string_free(db->input, TRUE);
	g_free(db);
	return NULL;
}

int ovsdb_fd(const struct ovsdb *db)
{
	return db->fd;
}

struct ovsdb *ovsdb_new(GError **error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ovsdb *db = g_new0(struct ovsdb, 1);
	const char *directory = g_getenv("OVS_RUNDIR");

	db->input = g_string_new(NULL);
	db->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_snprintf(address.sun_path, sizeof(address.sun_path), "%s%s", net_openvswitch_path ? net_openvswitch_path : directory ? directory : "/run/openvswitch",
		   net_openvswitch_path ? "" : "/db.sock");
	if (db->fd >= 0 && connect(db->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return db;
	error_set_errno(error, ERR_OVS_CONNECTION, errno, "Open vSwitch does not run on this host: '%s'", address.sun_path);
	return ovsdb_free(db);
}

bool net_has_openvswitch(void)
{
	struct ovsdb *db = ovsdb_new(NULL);
	bool has = db != NULL;

	ovsdb_free(db);
	return has;
}

static bool wait_for(const struct ovsdb *db, short events, int64_t until_usec, GError **error)
{
	struct pollfd pollfd = { .fd = db->fd, .events = events };
	int ready;

	do {
		int64_t left = until_usec - g_get_monotonic_time();

		ready = left > 0 ? poll(&pollfd, 1, (int)(left / 1000) + 1) : 0;
	} while (ready < 0 && errno == EINTR);
	if (ready > 0)
		return true;
	if (ready < 0)
		error_set_errno(error, ERR_OVS_CONNECTION, errno, "Open vSwitch");
	else
		error_set(error, ERR_OVS_CONNECTION, "Open vSwitch: its database server (ovsdb-server) did not answer in time");
	return false;
}

/* Takes over message. */
static bool send_message(struct ovsdb *db, json_t *message, int64_t until_usec, GError **error)
{
	g_autofree char *text = json_dumps(message, JSON_COMPACT);
	size_t length = strlen(text), sent = 0;

	json_decref(message);
	while (sent < length) {
		ssize_t n = send(db->fd, text + sent, length - sent, MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		else if (n < 0 && errno == EAGAIN) {
			if (!wait_for(db, POLLOUT, until_usec, error))
				return false;
		} else if (n == 0 || errno != EINTR) {
			error_set_errno(error, ERR_OVS_CONNECTION, n ? errno : EPIPE, "Open vSwitch: its database server has gone");
			return false;
		}
	}
	return true;
}

/* What has come, without waiting. false: the server has gone, or talks nonsense */
static bool receive(struct ovsdb *db, GError **error)
{
	for (;;) {
		char buffer[16384];
		ssize_t n = recv(db->fd, buffer, sizeof(buffer), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0 || db->input->len + (size_t)n > ANSWER_MAX) {
			error_set(error, ERR_OVS_CONNECTION, "Open vSwitch: its database server %s", n <= 0 ? "has gone" : "says more than can be meant");
			return false;
		}
		g_string_append_len(db->input, buffer, n);
	}
}

/* The next whole message of what has come, an answer to an echo excepted, which is given; NULL: none yet, or + error. */
static json_t *next_message(struct ovsdb *db, GError **error)
{
	for (;;) {
		json_error_t problem;
		json_t *message = json_loadb(db->input->str, db->input->len, JSON_DISABLE_EOF_CHECK, &problem);

		if (!message) {
			if (db->input->len && json_error_code(&problem) != json_error_premature_end_of_input)
				error_set(error, ERR_OVS_CONNECTION, "Open vSwitch: its database server talks nonsense: %s", problem.text);
			return NULL;
		}
		g_string_erase(db->input, 0, problem.position);
		if (g_strcmp0(json_string_value(json_object_get(message, "method")), "echo"))
			return message;
		json_t *answer = json_pack("{s:O, s:n, s:O}", "result", json_object_get(message, "params"), "error", "id", json_object_get(message, "id"));
		bool sent = answer && send_message(db, answer, g_get_monotonic_time() + G_USEC_PER_SEC, error);

		json_decref(message);
		if (!sent)
			return NULL;
	}
}

json_t *ovsdb_next(struct ovsdb *db, GError **error)
{
	return receive(db, error) ? next_message(db, error) : NULL;
}

bool ovsdb_send(struct ovsdb *db, const char *method, json_t *params, GError **error)
{
	return send_message(db, json_pack("{s:s, s:o, s:i}", "method", method, "params", params, "id", (int)++db->id), g_get_monotonic_time(), error);
}

json_t *ovsdb_call(struct ovsdb *db, const char *method, json_t *params, int64_t limit_usec, GError **error)
{
	int64_t until = g_get_monotonic_time() + limit_usec;
	unsigned id = ++db->id;

	if (!send_message(db, json_pack("{s:s, s:o, s:i}", "method", method, "params", params, "id", (int)id), until, error))
		return NULL;
	for (;;) {
		g_autoptr(GError) problem = NULL;
		json_t *message = next_message(db, &problem), *result;

		if (problem) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return NULL;
		}
		if (!message) {
			if (!wait_for(db, POLLIN, until, error) || !receive(db, error))
				return NULL;
			continue;
		}
		if (json_integer_value(json_object_get(message, "id")) != (json_int_t)id) {           /* news of a monitor */
			json_decref(message);
			continue;
		}
		result = json_incref(json_object_get(message, "result"));
		if (!result || json_is_null(result)) {
			g_autofree char *why = json_dumps(json_object_get(message, "error"), JSON_COMPACT | JSON_ENCODE_ANY);

			error_set(error, ERR_OVS_CONNECTION, "Open vSwitch: %s: %s", method, why);
			json_decref(result);
			result = NULL;
		}
		json_decref(message);
		return result;
	}
}

json_t *ovsdb_transact(struct ovsdb *db, json_t *operations, int64_t limit_usec, bool *ret_waited, GError **error)
{
	json_t *params = json_pack("[s]", DATABASE), *result, *part;
	size_t i;

	if (ret_waited)
		*ret_waited = false;
	json_array_extend(params, operations);
	json_decref(operations);
	if (!(result = ovsdb_call(db, "transact", params, limit_usec, error)))
		return NULL;
	json_array_foreach(result, i, part) {
		const char *what = json_string_value(json_object_get(part, "error")), *details = json_string_value(json_object_get(part, "details"));

		if (!what)
			continue;
		if (ret_waited)
			*ret_waited = !strcmp(what, "timed out");
		error_set(error, ERR_FAILED_IFUP, "Open vSwitch: %s%s%s", what, details ? ": " : "", details ? details : "");
		json_decref(result);
		return NULL;
	}
	return result;
}
