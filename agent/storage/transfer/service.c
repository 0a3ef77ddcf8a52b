/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of image transfers: port [transfer] port (54322, as ovirt-imageio's) with the agent's certificate, and run_dir/images.sock without TLS for clients
 * on this host. No client certificate is asked for: browsers come here, and who knows a ticket's id may use it.
 *
 * It is open as long as there are tickets, so that a host that moves no images has no port more; ticket.c opens and closes it.
 *
 * One thread a connection, of a pool of its own, because a transfer takes hours and is all waiting for the network, for TLS and for storage: neither the
 * loop nor the workers of verbs see any of it. At most [transfer] max_connections; one more is closed at once. The thread that accepts is one of the pool.
 */
#define LOG_MODULE "transfer"
#include "agent/storage/transfer/service.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "agent/storage/storage-priv.h"
#include "agent/storage/transfer/images.h"
#include "common/listener.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/tls.h"

#define BACKLOG 64
#define STOP_USEC (5 * G_USEC_PER_SEC)
#define REST_MSEC 100                    /* after an accept() that failed for want of descriptors or memory */

enum { PORT, LOCAL, STOP, DOORS };

struct service {
	struct storage *storage;
	struct lane_pool *pool;
	char *socket_path;
	unsigned max_connections;
	pthread_mutex_t lock;
	pthread_cond_t changed;          /* accepting has ended */
	/* under the lock */
	struct tls_context *tls;         /* NULL: [rpc] plain */
	bool accepting, stopped;
	int doors[DOORS];                /* the accepting thread's while it accepts */
	GArray *sockets;                 /* int: of all connections */
};

struct visit { struct service *service; struct storage *storage; int fd; bool local; };

static void visit_free(void *data)
{
	struct visit *visit = data;
	struct service *service = visit->service;

	{
		AUTO_LOCK(&service->lock);
		for (guint i = 0; i < service->sockets->len; i++)
			if (g_array_index(service->sockets, int, i) == visit->fd) {
				g_array_remove_index_fast(service->sockets, i);
				break;
			}
		close(visit->fd);
	}
	storage_unref(visit->storage);
	g_free(visit);
}

static void serve(void *data)
{
	struct visit *visit = data;
	SSL *ssl = NULL;

	if (!visit->local) {
		AUTO_LOCK(&visit->service->lock);
		if (visit->service->tls)
			ssl = tls_context_session(visit->service->tls, NULL);
	}
	images_serve(visit->storage, visit->fd, ssl, visit->local);
}

static void welcome(struct service *service, int fd, bool local)
{
	struct visit *visit = g_new0(struct visit, 1);
	static const int on = 1;
	g_autoptr(GError) problem = NULL;
	bool room;

	*visit = (struct visit){ .service = service, .storage = storage_ref(service->storage), .fd = fd, .local = local };
	if (!local) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	{
		AUTO_LOCK(&service->lock);
		room = !service->stopped && service->sockets->len < service->max_connections;
		if (room)
			g_array_append_val(service->sockets, fd);
	}
	if (room && lane_submit(service->pool, /* lane= */ NULL, &(struct lane_job){ .name = "transfer", .run = serve, .data = visit, .free_data = visit_free },
				&problem))
		return;
	log_warn("a connection is refused: %s", problem ? problem->message : "there are too many");
	visit_free(visit);
}

/* Until it is told to end. */
static void accept_all(void *data)
{
	struct service *service = data;
	struct pollfd doors[DOORS];

	for (int i = 0; i < DOORS; i++)
		doors[i] = (struct pollfd){ .fd = service->doors[i], .events = POLLIN };
	while (!doors[STOP].revents) {
		if (poll(doors, DOORS, -1) < 0)
			continue;
		for (int i = PORT; i <= LOCAL; i++) {
			int fd = doors[i].revents ? accept4(doors[i].fd, NULL, NULL, SOCK_CLOEXEC) : -1;

			if (fd >= 0)
				welcome(service, fd, i == LOCAL);
			else if (doors[i].revents && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
				(void)poll(&doors[STOP], 1, REST_MSEC);
		}
	}
}

static void close_doors(struct service *service)
{
	for (int i = 0; i < DOORS; i++) {
		if (service->doors[i] >= 0)
			close(service->doors[i]);
		service->doors[i] = -1;
	}
}

static void accepting_ended(void *data)
{
	struct service *service = data;

	{
		AUTO_LOCK(&service->lock);
		close_doors(service);
		unlink(service->socket_path);
		service->accepting = false;
		pthread_cond_broadcast(&service->changed);
	}
	storage_unref(service->storage);
}

/* Lock held. */
static bool open_local(struct service *service, GError **error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	unlink(service->socket_path);
	g_strlcpy(address.sun_path, service->socket_path, sizeof(address.sun_path));
	service->doors[LOCAL] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* anybody on this host: as on the port, the ticket decides */
	if (service->doors[LOCAL] >= 0 && bind(service->doors[LOCAL], (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    chmod(service->socket_path, 0666) == 0 && listen(service->doors[LOCAL], BACKLOG) == 0)
		return true;
	error_set_errno(error, ERR_IMAGE_TICKETS_ERROR, errno, "'%s'", service->socket_path);
	return false;
}

static bool open_port(struct service *service, GError **error)
{
	const struct config *config = service->storage->agent->config;
	g_autofree char *file = g_build_filename(service->storage->agent->run_dir, "transfer-port", NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) cause = NULL;
	uint16_t port;

	service->doors[PORT] = listener_socket(config_string(config, "rpc", "address"), (uint16_t)config_int(config, "transfer", "port"), &port, &cause);
	if (service->doors[PORT] < 0) {
		error_set(error, ERR_IMAGE_TICKETS_ERROR, "%s", cause->message);
		return false;
	}
	text = g_strdup_printf("%u\n", port);
	if (!g_file_set_contents(file, text, -1, NULL))
		log_warn("cannot write %s, ignoring", file);
	return true;
}

static bool make_tls(struct service *service, GError **error)
{
	const struct config *config = service->storage->agent->config;
	struct tls_settings settings = { .cert_file = config_string(config, "tls", "cert"), .key_file = config_string(config, "tls", "key"), .server = true };

	return service->tls || config_bool(config, "rpc", "plain") || (service->tls = tls_context_new(&settings, error)) != NULL;
}

bool service_open(struct service *service, GError **error)
{
	struct lane_job job = { .name = "accept transfers", .run = accept_all, .data = service, .free_data = accepting_ended };
	AUTO_LOCK(&service->lock);

	if (service->accepting && service->doors[STOP] >= 0)
		return true;
	if (make_tls(service, error) && open_port(service, error) && open_local(service, error)) {
		service->doors[STOP] = eventfd(0, EFD_CLOEXEC);
		service->accepting = true;
		storage_ref(service->storage);
		if (service->doors[STOP] >= 0 && lane_submit(service->pool, "accept", &job, error))
			return true;
		if (service->doors[STOP] < 0)
			error_set_errno(error, ERR_IMAGE_TICKETS_ERROR, errno, "eventfd");
		service->accepting = false;
		storage_unref(service->storage);
	}
	close_doors(service);
	return false;
}

void service_close(struct service *service)
{
	static const uint64_t one = 1;
	AUTO_LOCK(&service->lock);

	if (service->accepting)
		(void)!write(service->doors[STOP], &one, sizeof(one));
	while (service->accepting)
		pthread_cond_wait(&service->changed, &service->lock);
}

void service_stop(struct service *service)
{
	service_close(service);
	{
		AUTO_LOCK(&service->lock);
		service->stopped = true;
		for (guint i = 0; i < service->sockets->len; i++)
			(void)shutdown(g_array_index(service->sockets, int, i), SHUT_RDWR);
	}
	service->pool = lane_pool_free(service->pool, STOP_USEC);
}

void service_reload(struct service *service)
{
	g_autoptr(GError) problem = NULL;
	AUTO_LOCK(&service->lock);

	if (service->tls && !tls_context_reload(service->tls, &problem))
		log_error("certificates of image transfers stay as they were: %s", problem->message);
}

const char *service_socket(const struct service *service)
{
	return service->socket_path;
}

struct service *service_new(struct storage *storage)
{
	struct service *service = g_new0(struct service, 1);

	service->storage = storage;
	service->max_connections = (unsigned)config_int(storage->agent->config, "transfer", "max_connections");
	service->pool = lane_pool_new(service->max_connections + 1);
	service->socket_path = g_build_filename(storage->agent->run_dir, "images.sock", NULL);
	service->sockets = g_array_new(FALSE, FALSE, sizeof(int));
	pthread_mutex_init(&service->lock, NULL);
	pthread_cond_init(&service->changed, NULL);
	for (int i = 0; i < DOORS; i++)
		service->doors[i] = -1;
	return service;
}

struct service *service_free(struct service *service)
{
	if (!service)
		return NULL;
	tls_context_free(service->tls);
	g_array_unref(service->sockets);
	pthread_cond_destroy(&service->changed);
	pthread_mutex_destroy(&service->lock);
	g_free(service->socket_path);
	g_free(service);
	return NULL;
}
