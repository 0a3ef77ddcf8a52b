/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to libvirt.
 *
 *   closed --start--> opening --opened() true--> up --close callback--> closed, again after RETRY_MIN_USEC, doubled up to RETRY_MAX_USEC
 *                        |--failed-------------------------------------^
 *
 * Opening and everything that asks libvirt runs on the lane "libvirt"; the loop only sees states. libvirt's keep-alive finds a peer that is
 * silent (KEEPALIVE_S * (KEEPALIVE_COUNT + 1) seconds); a libvirtd that ends is noticed at once. Users take a reference for each piece of work: a
 * connection that closed under them fails their calls with an error, nothing more. VMs do not depend on it: they stay as they were last seen
 * until it is back and opened() has looked again.
 */
#define LOG_MODULE "virt"
#include "agent/virt/libvirt_connection.h"

#include <libvirt/virterror.h>
#include <string.h>
#include "common/lock.h"
#include "common/log.h"

#define RETRY_MIN_USEC (100 * 1000)
#define RETRY_MAX_USEC (5 * G_USEC_PER_SEC)
#define KEEPALIVE_S 5
#define KEEPALIVE_COUNT 3

struct libvirt_connection {
	struct loop *loop;
	struct lane_pool *lanes;
	char *uri;
	struct libvirt_connection_events events;
	void *data;
	pthread_mutex_t lock;           /* conn, opening */
	virConnectPtr conn;             /* NULL: not up */
	virConnectPtr opening;          /* between virConnectOpen() and up; NULL again when it closed meanwhile */
	struct timer *retry;
	int64_t wait_usec;
	bool quiet;                     /* the failure was logged */
	bool stopping;
};

void libvirt_error_set(GError **error, enum error_code code, const char *format, ...)
{
	g_autofree char *what = NULL, *said = g_strdup(virGetLastErrorMessage());
	va_list arguments;

	va_start(arguments, format);
	what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	error_set(error, code, "%s: %s", what, said);
}

int libvirt_error_code(void)
{
	return virGetLastErrorCode();
}

/* libvirt prints errors to stderr on its own; ours carry them. */
static void say_nothing(void *data, virErrorPtr error)
{
}

virConnectPtr libvirt_connection_get(struct libvirt_connection *connection, GError **error)
{
	AUTO_LOCK(&connection->lock);
	if (!connection->conn) {
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "no connection to libvirt (%s)", connection->uri);
		return NULL;
	}
	virConnectRef(connection->conn);
	return connection->conn;
}

static void close_old(void *data)
{
	virConnectClose(data);
}

static void open_later(struct libvirt_connection *connection)
{
	if (connection->stopping)
		return;
	timer_set(connection->retry, connection->wait_usec);
	connection->wait_usec = MIN(connection->wait_usec * 2, RETRY_MAX_USEC);
}

/* From libvirt, on the loop. */
static void on_closed(virConnectPtr conn, int reason, void *data)
{
	struct libvirt_connection *connection = data;
	struct lane_job job = { .name = "close", .run = close_old, .data = conn };
	bool was_up = false;

	{
		AUTO_LOCK(&connection->lock);
		if (connection->conn == conn) {
			connection->conn = NULL;
			was_up = true;
		}
		if (connection->opening == conn)
			connection->opening = NULL;
	}
	if (!was_up)
		return;                 /* still opening: open_now() sees it at the end */
	log_warn("connection to libvirt is lost (%s)",
		 reason == VIR_CONNECT_CLOSE_REASON_KEEPALIVE ? "no answer" : reason == VIR_CONNECT_CLOSE_REASON_EOF ? "it ended" : "error");
	if (!lane_submit(connection->lanes, "libvirt", &job, NULL))
		virConnectClose(conn);
	connection->events.down(connection->data);
	connection->wait_usec = RETRY_MIN_USEC;
	open_later(connection);
}

static void on_up(void *data)
{
	struct libvirt_connection *connection = data;

	connection->wait_usec = RETRY_MIN_USEC;
	connection->quiet = false;
	connection->events.up(connection->data);
}

static void on_failed(void *data)
{
	open_later(data);
}

static void open_now(void *data)
{
	struct libvirt_connection *connection = data;
	virConnectPtr conn = virConnectOpen(connection->uri);
	int64_t begun = now_usec();
	bool good;

	if (!conn) {
		if (!connection->quiet)
			log_error("no connection to libvirt at %s, trying again: %s", connection->uri, virGetLastErrorMessage());
		connection->quiet = true;
		loop_post(connection->loop, on_failed, connection, NULL);
		return;
	}
	{
		AUTO_LOCK(&connection->lock);
		connection->opening = conn;
	}
	if (virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT) < 0)
		log_debug("no keep-alive on this connection, ignoring: %s", virGetLastErrorMessage());
	if (virConnectRegisterCloseCallback(conn, on_closed, connection, NULL) < 0)
		log_debug("no close callback on this connection, ignoring: %s", virGetLastErrorMessage());
	good = connection->events.opened(conn, connection->data);
	{
		AUTO_LOCK(&connection->lock);
		good = good && connection->opening == conn;
		connection->opening = NULL;
		if (good)
			connection->conn = conn;
	}
	if (!good) {
		virConnectUnregisterCloseCallback(conn, on_closed);
		virConnectClose(conn);
		loop_post(connection->loop, on_failed, connection, NULL);
		return;
	}
	log_info("connected to libvirt at %s, all seen after %.0f ms", connection->uri, (double)(now_usec() - begun) / 1e3);
	loop_post(connection->loop, on_up, connection, NULL);
}

static void try_open(void *data)
{
	struct libvirt_connection *connection = data;
	struct lane_job job = { .name = "connect to libvirt", .run = open_now, .data = connection };

	if (!lane_submit(connection->lanes, "libvirt", &job, NULL))
		open_later(connection);
}

struct libvirt_connection *libvirt_connection_new(struct loop *loop, struct lane_pool *lanes, const char *uri,
						  const struct libvirt_connection_events *events, void *data)
{
	struct libvirt_connection *connection = g_new0(struct libvirt_connection, 1);

	connection->loop = loop;
	connection->lanes = lanes;
	connection->uri = g_strdup(uri);
	connection->events = *events;
	connection->data = data;
	connection->wait_usec = RETRY_MIN_USEC;
	pthread_mutex_init(&connection->lock, NULL);
	virInitialize();
	virSetErrorFunc(NULL, say_nothing);
	libvirt_loop_register(loop);
	connection->retry = timer_new(loop, try_open, connection);
	return connection;
}

void libvirt_connection_start(struct libvirt_connection *connection)
{
	try_open(connection);
}

struct libvirt_connection *libvirt_connection_free(struct libvirt_connection *connection)
{
	if (!connection)
		return NULL;
	connection->stopping = true;
	timer_free(connection->retry);
	if (connection->conn) {
		virConnectUnregisterCloseCallback(connection->conn, on_closed);
		virConnectClose(connection->conn);
	}
	libvirt_loop_unregister();
	pthread_mutex_destroy(&connection->lock);
	g_free(connection->uri);
	g_free(connection);
	return NULL;
}
