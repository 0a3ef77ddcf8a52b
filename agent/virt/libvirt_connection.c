/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections to libvirt: a first one, which has the events, and as many more as are worked with at a time.
 *
 *   closed --start--> opening --opened() true--> up --close callback--> closed, again after RETRY_MIN_USEC, doubled up to RETRY_MAX_USEC
 *                        |--failed-------------------------------------^
 *
 * These are the states of the first. It is opened on the lane "libvirt"; the loop only sees states. libvirt's keep-alive finds a peer that is
 * silent (KEEPALIVE_S * (KEEPALIVE_COUNT + 1) seconds); a libvirtd that ends is noticed at once. Users take a reference for each piece of work: a
 * connection that closed under them fails their calls with an error, nothing more. VMs do not depend on it: they stay as they were last seen
 * until it is back and opened() has looked again.
 *
 * A call into a QEMU that hangs does not return, and libvirtd reads no more from a client that has max_client_requests (default 5) calls
 * out: neither other calls, nor its keep-alive, so that in the end the client takes libvirtd for dead. Therefore no connection has more than
 * LINE_THREADS calls out. A worker has one call out at a time, so it is the threads that are counted: each keeps to one connection (its line)
 * from its first libvirt_connection_get() until it ends, and the one that finds all lines full opens another. Calls that hang so take
 * places that nobody else waits for, whatever they are: bulk statistics, verbs, talk with guest agents. Lines without threads are closed after
 * LINE_IDLE_USEC. With the first connection all others are given up; when it is back they come as they are needed.
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
#define LINE_THREADS 4                  /* below libvirtd's max_client_requests */
#define LINE_IDLE_USEC (60 * G_USEC_PER_SEC)

struct line {
	virConnectPtr conn;             /* NULL: given up, kept for the threads that still point here */
	unsigned threads;
	int64_t idle_since_usec;        /* when threads came to 0 */
};

/* Of all below. Static: a thread leaves its line as the last thing it does, when the connection may be gone. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct libvirt_connection {
	struct loop *loop;
	struct lane_pool *lanes;
	char *uri;
	struct libvirt_connection_events events;
	void *data;
	virConnectPtr conn;             /* the first; NULL: not up */
	GPtrArray *lines;               /* with room to work: the first connection's and others; empty when it is not up */
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

/* ---- lines ---- */

/* Lock held. */
static void line_give_up(struct line *line, GPtrArray *closing)
{
	g_ptr_array_add(closing, line->conn);
	line->conn = NULL;
	if (!line->threads)
		g_free(line);
}

static void leave_line(void *data)
{
	struct line *line = data;

	AUTO_LOCK(&lock);
	line->idle_since_usec = now_usec();
	if (--line->threads == 0 && !line->conn)
		g_free(line);
}
static GPrivate own_line = G_PRIVATE_INIT(leave_line);

static void close_one(void *conn)
{
	virConnectClose(conn);
}

static struct line *line_new(virConnectPtr conn)
{
	struct line *line = g_new0(struct line, 1);

	line->conn = conn;
	return line;
}

/* Lock held. The one for one thread more; NULL: all are full. The dead and the idle ones go to `closing`. */
static struct line *line_with_room(struct libvirt_connection *connection, GPtrArray *closing)
{
	struct line *found = NULL;

	for (guint i = 0; i < connection->lines->len; i++) {
		struct line *line = connection->lines->pdata[i];
		bool idle = i && !line->threads && now_usec() - line->idle_since_usec > LINE_IDLE_USEC;

		if (idle || virConnectIsAlive(line->conn) != 1) {
			g_ptr_array_remove_index(connection->lines, i--);
			line_give_up(line, closing);
		} else if (!found && line->threads < LINE_THREADS) {
			found = line;
		}
	}
	return found;
}

/* Not being able to have one more costs speed only while nothing hangs: so the least crowded is better than none. */
static struct line *line_open(struct libvirt_connection *connection)
{
	virConnectPtr conn = virConnectOpen(connection->uri);
	struct line *line = NULL;

	if (!conn)
		log_warn("no further connection to libvirt, sharing one: %s", virGetLastErrorMessage());
	else if (virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT) < 0)
		log_debug("no keep-alive on this connection, ignoring: %s", virGetLastErrorMessage());
	{
		AUTO_LOCK(&lock);
		if (conn && connection->conn) {
			line = line_new(conn);
			g_ptr_array_add(connection->lines, line);
		}
		for (guint i = 0; !conn && i < connection->lines->len; i++) {
			struct line *other = connection->lines->pdata[i];

			if (!line || other->threads < line->threads)
				line = other;
		}
		if (line)
			line->threads++;
	}
	if (conn && !line)
		virConnectClose(conn);
	return line;
}

/* Lock held. A reference to this thread's connection. */
static virConnectPtr own_connection(void)
{
	struct line *line = g_private_get(&own_line);

	if (!line || !line->conn || virConnectIsAlive(line->conn) != 1)
		return NULL;
	virConnectRef(line->conn);
	return line->conn;
}

virConnectPtr libvirt_connection_get(struct libvirt_connection *connection, GError **error)
{
	g_autoptr(GPtrArray) closing = g_ptr_array_new_with_free_func(close_one);
	virConnectPtr conn = NULL;
	struct line *line = NULL;
	bool up;

	{
		AUTO_LOCK(&lock);
		up = connection->conn;
		conn = up ? own_connection() : NULL;
		line = up && !conn ? line_with_room(connection, closing) : NULL;
		if (line)
			line->threads++;
	}
	if (conn)
		return conn;
	if (up && !line)
		line = line_open(connection);
	if (line) {
		g_private_replace(&own_line, line);
		AUTO_LOCK(&lock);
		conn = own_connection();
	}
	if (!conn)
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "no connection to libvirt (%s)", connection->uri);
	return conn;
}

/* ---- the first connection ---- */

static void close_old(void *data)
{
	g_ptr_array_unref(data);
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
	GPtrArray *closing = g_ptr_array_new_with_free_func(close_one);
	struct lane_job job = { .name = "close", .run = close_old, .data = closing };
	bool was_up = false;

	{
		AUTO_LOCK(&lock);
		if (connection->conn == conn) {
			g_ptr_array_add(closing, g_steal_pointer(&connection->conn));
			was_up = true;
			while (connection->lines->len)
				line_give_up(g_ptr_array_steal_index(connection->lines, 0), closing);
		}
		if (connection->opening == conn)
			connection->opening = NULL;
	}
	if (!was_up) {
		g_ptr_array_unref(closing);
		return;                 /* still opening: open_now() sees it at the end */
	}
	log_warn("connection to libvirt is lost (%s)",
		 reason == VIR_CONNECT_CLOSE_REASON_KEEPALIVE ? "no answer" : reason == VIR_CONNECT_CLOSE_REASON_EOF ? "it ended" : "error");
	if (!lane_submit(connection->lanes, "libvirt", &job, NULL))
		close_old(closing);
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
		AUTO_LOCK(&lock);
		connection->opening = conn;
	}
	if (virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT) < 0)
		log_debug("no keep-alive on this connection, ignoring: %s", virGetLastErrorMessage());
	if (virConnectRegisterCloseCallback(conn, on_closed, connection, NULL) < 0)
		log_debug("no close callback on this connection, ignoring: %s", virGetLastErrorMessage());
	good = connection->events.opened(conn, connection->data);
	{
		AUTO_LOCK(&lock);
		good = good && connection->opening == conn;
		connection->opening = NULL;
		if (good) {
			connection->conn = conn;
			virConnectRef(conn);
			g_ptr_array_add(connection->lines, line_new(conn));
		}
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
	connection->lines = g_ptr_array_new();
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
	GPtrArray *closing;

	if (!connection)
		return NULL;
	closing = g_ptr_array_new_with_free_func(close_one);
	connection->stopping = true;
	timer_free(connection->retry);
	if (connection->conn) {
		virConnectUnregisterCloseCallback(connection->conn, on_closed);
		virConnectClose(connection->conn);
	}
	{
		AUTO_LOCK(&lock);
		while (connection->lines->len)
			line_give_up(g_ptr_array_steal_index(connection->lines, 0), closing);
	}
	g_ptr_array_unref(closing);
	g_ptr_array_unref(connection->lines);
	libvirt_loop_unregister();
	g_free(connection->uri);
	g_free(connection);
	return NULL;
}
