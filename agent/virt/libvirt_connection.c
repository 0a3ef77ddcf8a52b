/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections to libvirt: a first one, which has the events, and one for each worker that asks something.
 *
 *   closed --start--> opening --opened() true--> up --close callback--> closed, again after RETRY_MIN_USEC, doubled up to RETRY_MAX_USEC
 *                        |--failed-------------------------------------^
 *
 * These are the states of the first. It is opened on the lane "libvirt"; the loop only sees states. libvirt's keep-alive finds a peer that is
 * silent (KEEPALIVE_S * (KEEPALIVE_COUNT + 1) seconds); a libvirtd that ends is noticed at once. Users take a reference for each piece of work: a
 * connection that closed under them fails their calls with an error, nothing more. VMs do not depend on it: they stay as they were last seen
 * until it is back and opened() has looked again.
 *
 * A call into a QEMU, or to a guest's agent, may not return, and who shares its connection suffers. libvirtd reads no more from a client that has
 * max_client_requests (default 5) calls out: neither other calls nor its keep-alive, so that in the end the client takes libvirtd for dead. And of the
 * threads that wait on one connection libvirt lets one read and write for all, and the others' calls to wake it can get lost (seen with libvirt
 * 9.0: beside one call that hangs, another thread's third does not return until something else wakes the first). So no two threads share one.
 * A worker takes a spare connection with its first libvirt_connection_get(), or opens one (3 ms), and keeps it until it ends; a spare one
 * is closed SPARE_USEC later. Once the first connection is lost, those made before are no longer used; when it is back, new ones come as they
 * are needed.
 *
 * What this cannot mend: a call that hangs keeps one of libvirtd's workers, too, and libvirtd 9.0 may fail to start more than min_workers (default 5)
 * when calls come faster than its workers take them. berth-agent(8) says what to set.
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
#define SPARE_USEC (60 * G_USEC_PER_SEC)

/* A worker's connection. */
struct line {
	virConnectPtr conn;
	unsigned epoch;
	int64_t spare_since_usec;
};

/* Of all below. Static: a thread gives its line back as the last thing it does, when the rest may be gone. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GQueue spare_lines = G_QUEUE_INIT;

struct libvirt_connection {
	struct loop *loop;
	struct lane_pool *lanes;
	char *uri;
	struct libvirt_connection_events events;
	void *data;
	virConnectPtr conn;             /* the first; NULL: not up */
	unsigned epoch;                 /* how often it was lost */
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

/* ---- of the workers ---- */

static struct line *line_new(virConnectPtr conn, unsigned epoch)
{
	struct line *line = g_new0(struct line, 1);

	line->conn = conn;
	line->epoch = epoch;
	return line;
}

static void line_free(void *data)
{
	struct line *line = data;

	virConnectClose(line->conn);
	g_free(line);
}

static void spare(void *data)
{
	struct line *line = data;

	AUTO_LOCK(&lock);
	line->spare_since_usec = now_usec();
	g_queue_push_head(&spare_lines, line);
}
static GPrivate own_line = G_PRIVATE_INIT(spare);

static bool is_good(const struct line *line, unsigned epoch)
{
	return line->epoch == epoch && virConnectIsAlive(line->conn) == 1;
}

/* Lock held. NULL: there is none. Those that nobody needs any more go to `closing`. */
static struct line *take_spare(unsigned epoch, GPtrArray *closing)
{
	struct line *line, *last;

	while ((line = g_queue_pop_head(&spare_lines)) && !is_good(line, epoch))
		g_ptr_array_add(closing, line);
	while ((last = g_queue_peek_tail(&spare_lines)) && now_usec() - last->spare_since_usec > SPARE_USEC)
		g_ptr_array_add(closing, g_queue_pop_tail(&spare_lines));
	return line;
}

static void keep_alive(virConnectPtr conn)
{
	if (virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT) < 0)
		log_debug("no keep-alive on this connection, ignoring: %s", virGetLastErrorMessage());
}

static struct line *line_open(struct libvirt_connection *connection, unsigned epoch, GError **error)
{
	virConnectPtr conn = virConnectOpen(connection->uri);

	if (!conn) {
		libvirt_error_set(error, ERR_RESOURCE_UNAVAILABLE, "no connection to libvirt (%s)", connection->uri);
		return NULL;
	}
	keep_alive(conn);
	return line_new(conn, epoch);
}

virConnectPtr libvirt_connection_get(struct libvirt_connection *connection, GError **error)
{
	g_autoptr(GPtrArray) closing = g_ptr_array_new_with_free_func(line_free);
	struct line *line = g_private_get(&own_line);
	unsigned epoch;
	bool up;

	{
		AUTO_LOCK(&lock);
		up = connection->conn;
		epoch = connection->epoch;
		if (up && !(line && is_good(line, epoch))) {
			if (line)
				g_ptr_array_add(closing, line);
			line = take_spare(epoch, closing);
			g_private_set(&own_line, line);
		}
	}
	if (!up) {
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "no connection to libvirt (%s)", connection->uri);
		return NULL;
	}
	if (!line)
		g_private_set(&own_line, line = line_open(connection, epoch, error));
	if (!line)
		return NULL;
	virConnectRef(line->conn);
	return line->conn;
}

/* ---- the first connection ---- */

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
		AUTO_LOCK(&lock);
		if (connection->conn == conn) {
			connection->conn = NULL;
			connection->epoch++;
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
		AUTO_LOCK(&lock);
		connection->opening = conn;
	}
	keep_alive(conn);
	if (virConnectRegisterCloseCallback(conn, on_closed, connection, NULL) < 0)
		log_debug("no close callback on this connection, ignoring: %s", virGetLastErrorMessage());
	good = connection->events.opened(conn, connection->data);
	{
		AUTO_LOCK(&lock);
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
	libvirt_loop_unregister();
	/* Not closed, which asks libvirtd and waits: the process ends, and its sockets with it. */
	if (connection->conn)
		spare(line_new(connection->conn, 0));
	g_free(connection->uri);
	g_free(connection);
	return NULL;
}
