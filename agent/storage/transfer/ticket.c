/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image tickets, as ovirt-imageio's (its documentation: Images API; lib/vdsm/storage/imagetickets.py): who knows the id may read or write, over
 * service.c, until the ticket expires: `timeout` after it was made, extended or last used.
 *
 * Its data are behind an NBD server: one that its url names ("nbd:unix:...", below run_dir: NBD.start_server's, a backup's), or, for a "file:" url, one
 * of its own with the ticket's id, which shows the bytes of that volume's file or device. So each way to the data takes QEMU's locks.
 *
 * A ticket survives the agent: run_dir/tickets/<id>.json is written before the caller is told. When it expires is written again at uses that are SAVE_USEC
 * after the last time; the clock is the host's monotonic one, which a boot sets back, and removes the files. A server whose ticket was never written
 * is ended at the start.
 *
 * Removing: canceled (no new use; what runs sees it at its next piece) -> sockets are shut for reading, which ends who waits for a client -> shut
 * altogether after GRACE_USEC -> no connection uses it -> gone. It may be asked for again at any point.
 *
 * `lock` guards all tickets; it is held for look-ups only, and never together with the storage's. `door` comes before it: while it is held, the first
 * ticket opens the service, or the last one that went closes it.
 */
#define LOG_MODULE "transfer"
#include "agent/storage/transfer/ticket.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include "agent/storage/data/data.h"
#include "agent/storage/transfer/nbd_server.h"
#include "agent/storage/transfer/service.h"
#include "agent/storage/transfer/transfer.h"
#include "common/log.h"
#include "common/loop.h"

#define SAVE_USEC (5 * G_USEC_PER_SEC)
#define GRACE_USEC (2 * G_USEC_PER_SEC)
#define REMOVE_USEC (60 * G_USEC_PER_SEC)
#define RECORD_MAX (64 * 1024)
#define RANGES_MAX 10000                 /* of bytes that were moved; beyond, those that do not touch another are not counted */

struct range { int64_t start, end; };

struct ticket {
	int refs;                        /* atomic */
	struct tickets *tickets;
	struct image_ticket *spec;
	char *socket, *name;             /* of its data */
	bool own_server;                 /* which ends with it */
	/* under the lock */
	int64_t expires_usec, saved_usec, used_usec;
	unsigned active;
	GArray *sockets;                 /* int: connections that use it */
	GArray *moved;                   /* struct range, ascending, apart from each other */
	int canceled;                    /* atomic */
};

struct tickets {
	char *directory, *run_dir;
	GHashTable *table;               /* id -> struct ticket */
	pthread_mutex_t door, lock;
	pthread_cond_t left;             /* a connection has left a ticket */
};

struct ticket *ticket_unref(struct ticket *ticket)
{
	if (!ticket || !g_atomic_int_dec_and_test(&ticket->refs))
		return NULL;
	record_unref(ticket->spec);
	g_array_unref(ticket->sockets);
	g_array_unref(ticket->moved);
	g_free(ticket->socket);
	g_free(ticket->name);
	g_free(ticket);
	return NULL;
}

static void drop_ticket(void *ticket)
{
	ticket_unref(ticket);
}

static struct ticket *ticket_new(struct tickets *tickets, const struct image_ticket *spec)
{
	struct ticket *ticket = g_new0(struct ticket, 1);

	ticket->refs = 1;
	ticket->tickets = tickets;
	ticket->spec = record_ref(spec);
	ticket->sockets = g_array_new(FALSE, FALSE, sizeof(int));
	ticket->moved = g_array_new(FALSE, FALSE, sizeof(struct range));
	ticket->used_usec = now_usec();
	return ticket;
}

const struct image_ticket *ticket_spec(const struct ticket *ticket)
{
	return ticket->spec;
}

const char *ticket_socket(const struct ticket *ticket)
{
	return ticket->socket;
}

const char *ticket_export(const struct ticket *ticket)
{
	return ticket->name;
}

bool ticket_canceled(const struct ticket *ticket)
{
	return g_atomic_int_get(&ticket->canceled);
}

static bool has_op(const struct image_ticket *spec, const char *op)
{
	return g_ptr_array_find_with_equal_func(spec->ops, op, g_str_equal, NULL);
}

/* Who may write may read. */
bool ticket_may(const struct ticket *ticket, const char *op)
{
	return has_op(ticket->spec, op) || (!strcmp(op, "read") && has_op(ticket->spec, "write"));
}

/* ---- files ---- */

/* Lock held, or nobody knows the ticket yet. */
static bool save(struct ticket *ticket, GError **error)
{
	json_t *record = json_pack("{s:o, s:I}", "ticket", record_to_json(ticket->spec, RECORD_STORE), "expires", (json_int_t)ticket->expires_usec);
	g_autofree char *name = g_strconcat(ticket->spec->id, ".json", NULL);
	autofd fd = files_open_dir(AT_FDCWD, ticket->tickets->directory);
	char *text = json_dumps(record, JSON_COMPACT);
	bool good = fd >= 0 && files_write(fd, name, text, 0600);

	if (good)
		ticket->saved_usec = now_usec();
	else
		error_set_errno(error, ERR_IMAGE_TICKETS_ERROR, errno, "'%s/%s'", ticket->tickets->directory, name);
	free(text);
	json_decref(record);
	return good;
}

/* Lock held: it is good for `timeout` seconds from now on. */
static bool prolong(struct ticket *ticket, int timeout, bool always, GError **error)
{
	ticket->expires_usec = now_usec() + (int64_t)timeout * G_USEC_PER_SEC;
	return (!always && now_usec() - ticket->saved_usec < SAVE_USEC) || save(ticket, error);
}

static void forget_file(const struct ticket *ticket)
{
	g_autofree char *path = g_strconcat(ticket->tickets->directory, "/", ticket->spec->id, ".json", NULL);

	unlink(path);
}

/* ---- urls ---- */

static bool bad_url(const struct image_ticket *spec, const char *what, GError **error)
{
	error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "ticket '%s': url '%s' %s", spec->id, spec->url, what);
	return false;
}

static bool use_server(struct ticket *ticket, GError **error)
{
	g_autofree char *base = realpath(ticket->tickets->run_dir, NULL), *socket = NULL, *name = NULL, *real = NULL;
	struct stat st;

	nbd_url_parts(ticket->spec->url, &socket, &name);
	real = realpath(socket, NULL);
	if (!real || stat(real, &st) < 0 || !S_ISSOCK(st.st_mode))
		return bad_url(ticket->spec, "names no socket", error);
	if (!base || !g_str_has_prefix(real, base) || real[strlen(base)] != '/')
		return bad_url(ticket->spec, "names no socket of this agent", error);
	ticket->socket = g_steal_pointer(&real);
	ticket->name = g_steal_pointer(&name);
	return true;
}

/* A qcow2 image that comes as bytes may be longer than the fresh one it replaces. */
static bool make_long_enough(struct storage *storage, const struct image_ticket *spec, const struct nbd_config *config, GError **error)
{
	autodomain domain = domain_open_active(storage, config->domain_id, error);
	g_autoptr(metadata) values = domain ? volume_read(domain, config->image_id, config->volume_id, error) : NULL;
	autofd fd = -1;
	struct stat st;

	if (!values)
		return false;
	if (domain->block || strcmp(volume_format(values), "qcow2"))
		return true;
	if (volume_in_use(domain, config->image_id, config->volume_id)) {
		error_set(error, ERR_VOLUME_IS_BUSY, "'%s'", config->volume_id);
		return false;
	}
	if ((fd = volume_open(domain, config->image_id, config->volume_id, O_RDWR, error)) < 0)
		return false;
	if (fstat(fd, &st) == 0 && (st.st_size >= spec->size || ftruncate(fd, spec->size) == 0))
		return true;
	files_error(error, ERR_STORAGE_EXCEPTION, errno, "'%s'", config->volume_id);
	return false;
}

static bool start_server(struct storage *storage, struct ticket *ticket, GError **error)
{
	const struct image_ticket *spec = ticket->spec;
	g_autofree char *path = g_filename_from_uri(spec->url, NULL, NULL);
	struct nbd_config *config = path ? nbd_find_volume(storage, path, error) : NULL;
	g_autofree char *url = NULL;
	bool good;

	if (!path)
		return bad_url(spec, "is no path", error);
	if (!config)
		return false;
	config->readonly = !has_op(spec, "write");
	config->discard = config->detect_zeroes = spec->sparse;
	good = (config->readonly || make_long_enough(storage, spec, config, error)) &&
	       nbd_start(storage, spec->id, NBD_TICKET, config, /* address= */ "", &url, error);
	record_unref(config);
	if (!good)
		return false;
	ticket->own_server = true;
	ticket->socket = nbd_socket_path(storage, spec->id);
	ticket->name = g_strdup("");
	return true;
}

static bool check(const struct image_ticket *spec, GError **error)
{
	for (guint i = 0; i < spec->ops->len; i++)
		if (strcmp(spec->ops->pdata[i], "read") && strcmp(spec->ops->pdata[i], "write")) {
			error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "ticket '%s': ops: '%s' is neither read nor write", spec->id,
				  (char *)spec->ops->pdata[i]);
			return false;
		}
	return g_str_has_prefix(spec->url, "nbd:unix:/") || g_str_has_prefix(spec->url, "file:///") ||
	       bad_url(spec, "is neither nbd:unix:/... nor file:///...", error);
}

/* ---- verbs ---- */

static bool unknown(const char *id, GError **error)
{
	error_set(error, ERR_IMAGE_TICKETS_ERROR, "no such ticket '%s'", id);
	return false;
}

static bool end_server(struct storage *storage, const struct ticket *ticket, GError **error)
{
	return !ticket->own_server || nbd_stop(storage, ticket->spec->id, NBD_TICKET, error);
}

/* The port is there as long as there are tickets. */
static void rest(struct storage *storage)
{
	struct tickets *tickets = storage->transfer->tickets;
	bool none;
	AUTO_LOCK(&tickets->door);

	{
		AUTO_LOCK(&tickets->lock);
		none = g_hash_table_size(tickets->table) == 0;
	}
	if (none)
		service_close(storage->transfer->service);
}

/* true with *ret_known: it was there already. */
static bool enter(struct tickets *tickets, const struct image_ticket *spec, bool *ret_known, GError **error)
{
	struct ticket *ticket;
	AUTO_LOCK(&tickets->lock);

	*ret_known = false;
	if ((ticket = g_hash_table_lookup(tickets->table, spec->id))) {
		*ret_known = true;
		if (record_equal(ticket->spec, spec) && !ticket_canceled(ticket))
			return prolong(ticket, spec->timeout, /* always= */ true, error);
		error_set(error, ERR_IMAGE_TICKETS_ERROR, "ticket '%s' %s", spec->id, ticket_canceled(ticket) ? "is being removed" : "is for something else");
		return false;
	}
	if (g_hash_table_size(tickets->table) < TICKETS_MAX)
		return true;
	error_set(error, ERR_IMAGE_TICKETS_ERROR, "there are %d tickets already", TICKETS_MAX);
	return false;
}

static bool publish(struct tickets *tickets, struct ticket *ticket, GError **error)
{
	AUTO_LOCK(&tickets->lock);

	if (g_hash_table_contains(tickets->table, ticket->spec->id)) {
		/* the server is the other one's, too */
		ticket->own_server = false;
		error_set(error, ERR_IMAGE_TICKETS_ERROR, "ticket '%s' is being added", ticket->spec->id);
		return false;
	}
	if (!prolong(ticket, ticket->spec->timeout, /* always= */ true, error))
		return false;
	g_hash_table_insert(tickets->table, ticket->spec->id, ticket);
	return true;
}

static bool open_and_publish(struct storage *storage, struct ticket *ticket, GError **error)
{
	AUTO_LOCK(&storage->transfer->tickets->door);
	return service_open(storage->transfer->service, error) && publish(storage->transfer->tickets, ticket, error);
}

bool ticket_add(struct storage *storage, const struct image_ticket *spec, GError **error)
{
	struct tickets *tickets = storage->transfer->tickets;
	struct ticket *ticket;
	bool known, good;

	if (!check(spec, error) || !enter(tickets, spec, &known, error))
		return false;
	if (known)
		return true;
	ticket = ticket_new(tickets, spec);
	good = (g_str_has_prefix(spec->url, "file:") ? start_server(storage, ticket, error) : use_server(ticket, error)) &&
	       open_and_publish(storage, ticket, error);
	if (!good) {
		if (!end_server(storage, ticket, NULL))
			log_error("ticket %s, which was not added: its NBD server does not end", spec->id);
		ticket_unref(ticket);
		rest(storage);
		return false;
	}
	log_info("ticket %s: %s %s, %" PRId64 " bytes, transfer %s", spec->id, has_op(spec, "write") ? "write" : "read", spec->url, spec->size,
		 spec->transfer_id ? spec->transfer_id : "-");
	return true;
}

/* NULL + error; lock held */
static struct ticket *look_up(struct tickets *tickets, const char *id, GError **error)
{
	struct ticket *ticket = g_hash_table_lookup(tickets->table, id);

	if (!ticket)
		unknown(id, error);
	return ticket;
}

bool ticket_extend(struct storage *storage, const char *id, int timeout, GError **error)
{
	struct ticket *ticket;
	AUTO_LOCK(&storage->transfer->tickets->lock);

	ticket = look_up(storage->transfer->tickets, id, error);
	return ticket && prolong(ticket, timeout, /* always= */ true, error);
}

bool ticket_exists(struct storage *storage, const char *id)
{
	AUTO_LOCK(&storage->transfer->tickets->lock);
	return g_hash_table_contains(storage->transfer->tickets->table, id);
}

static int64_t bytes_moved(const struct ticket *ticket)
{
	int64_t sum = 0;

	for (guint i = 0; i < ticket->moved->len; i++) {
		const struct range *range = &g_array_index(ticket->moved, struct range, i);

		sum += range->end - range->start;
	}
	return sum;
}

struct ticket_info *ticket_info(struct storage *storage, const char *id, GError **error)
{
	struct ticket_info *info;
	struct ticket *ticket;
	AUTO_LOCK(&storage->transfer->tickets->lock);

	if (!(ticket = look_up(storage->transfer->tickets, id, error)))
		return NULL;
	info = record_new(&ticket_info_type);
	info->id = g_strdup(ticket->spec->id);
	info->url = g_strdup(ticket->spec->url);
	info->transfer_id = g_strdup(ticket->spec->transfer_id);
	info->filename = g_strdup(ticket->spec->filename);
	info->ops = strings_new();
	for (guint i = 0; i < ticket->spec->ops->len; i++)
		g_ptr_array_add(info->ops, g_strdup(ticket->spec->ops->pdata[i]));
	SET(info, size, ticket->spec->size);
	SET(info, timeout, ticket->spec->timeout);
	SET(info, inactivity_timeout, ticket->spec->inactivity_timeout);
	SET(info, sparse, ticket->spec->sparse);
	SET(info, dirty, ticket->spec->dirty);
	SET(info, active, ticket->active > 0);
	SET(info, canceled, ticket_canceled(ticket));
	SET(info, connections, (int)ticket->sockets->len);
	SET(info, expires, ticket->expires_usec / G_USEC_PER_SEC);
	SET(info, idle_time, ticket->active ? 0 : (now_usec() - ticket->used_usec) / G_USEC_PER_SEC);
	if (ticket->spec->ops->len == 1)
		SET(info, transferred, bytes_moved(ticket));
	return info;
}

/* Lock held. */
static void shut(const struct ticket *ticket, int how)
{
	for (guint i = 0; i < ticket->sockets->len; i++)
		(void)shutdown(g_array_index(ticket->sockets, int, i), how);
}

/* Lock held; true when no connection uses it before until_usec. */
static bool wait_unused(struct tickets *tickets, const struct ticket *ticket, int64_t until_usec)
{
	struct timespec until = { .tv_sec = until_usec / G_USEC_PER_SEC, .tv_nsec = until_usec % G_USEC_PER_SEC * 1000 };
	int r = 0;

	while (ticket->sockets->len && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&tickets->left, &tickets->lock, &until);
	return !ticket->sockets->len;
}

bool ticket_remove(struct storage *storage, const char *id, GError **error)
{
	struct tickets *tickets = storage->transfer->tickets;
	struct ticket *ticket;
	bool unused, good;

	{
		AUTO_LOCK(&tickets->lock);
		if (!(ticket = g_hash_table_lookup(tickets->table, id)))
			return true;
		g_atomic_int_inc(&ticket->refs);
		g_atomic_int_set(&ticket->canceled, true);
		shut(ticket, SHUT_RD);
		unused = wait_unused(tickets, ticket, now_usec() + GRACE_USEC);
		if (!unused) {
			shut(ticket, SHUT_RDWR);
			unused = wait_unused(tickets, ticket, now_usec() + REMOVE_USEC);
		}
	}
	good = unused && end_server(storage, ticket, error);
	if (!unused)
		error_set(error, ERR_IMAGE_TICKETS_ERROR, "ticket '%s' is still in use after %d s", id, REMOVE_USEC / G_USEC_PER_SEC);
	if (good) {
		AUTO_LOCK(&tickets->lock);
		if (g_hash_table_lookup(tickets->table, id) == ticket) {
			forget_file(ticket);
			g_hash_table_remove(tickets->table, id);
			log_info("ticket %s is removed", id);
		}
	}
	ticket_unref(ticket);
	rest(storage);
	return good;
}

/* ---- connections ---- */

struct ticket *ticket_authorize(struct storage *storage, const char *id, const char *op, GError **error)
{
	struct ticket *ticket;
	AUTO_LOCK(&storage->transfer->tickets->lock);

	ticket = g_hash_table_lookup(storage->transfer->tickets->table, id);
	if (!ticket)
		error_set(error, ERR_FORBIDDEN, "No such ticket %s", id);
	else if (ticket_canceled(ticket))
		error_set(error, ERR_FORBIDDEN, "Ticket %s was canceled", id);
	else if (ticket->expires_usec <= now_usec() && !ticket->active)
		error_set(error, ERR_FORBIDDEN, "Ticket %s expired", id);
	else if (!ticket_may(ticket, op))
		error_set(error, ERR_FORBIDDEN, "Ticket %s forbids %s", id, op);
	else {
		g_atomic_int_inc(&ticket->refs);
		return ticket;
	}
	return NULL;
}

bool ticket_join(struct ticket *ticket, int fd)
{
	AUTO_LOCK(&ticket->tickets->lock);
	if (ticket_canceled(ticket))
		return false;
	g_array_append_val(ticket->sockets, fd);
	return true;
}

void ticket_leave(struct ticket *ticket, int fd)
{
	AUTO_LOCK(&ticket->tickets->lock);
	for (guint i = 0; i < ticket->sockets->len; i++)
		if (g_array_index(ticket->sockets, int, i) == fd) {
			g_array_remove_index_fast(ticket->sockets, i);
			break;
		}
	pthread_cond_broadcast(&ticket->tickets->left);
}

bool ticket_begin(struct ticket *ticket)
{
	AUTO_LOCK(&ticket->tickets->lock);
	if (ticket_canceled(ticket))
		return false;
	ticket->active++;
	return true;
}

/* Lock held. */
static void note_moved(GArray *moved, struct range new)
{
	guint at = 0, end;

	while (at < moved->len && g_array_index(moved, struct range, at).end < new.start)
		at++;
	for (end = at; end < moved->len && g_array_index(moved, struct range, end).start <= new.end; end++) {
		new.start = MIN(new.start, g_array_index(moved, struct range, end).start);
		new.end = MAX(new.end, g_array_index(moved, struct range, end).end);
	}
	if (end == at && moved->len >= RANGES_MAX)
		return;
	if (end > at)
		g_array_remove_range(moved, at, end - at);
	g_array_insert_val(moved, at, new);
}

void ticket_end(struct ticket *ticket, int64_t offset, int64_t done)
{
	g_autoptr(GError) problem = NULL;
	AUTO_LOCK(&ticket->tickets->lock);

	ticket->active--;
	ticket->used_usec = now_usec();
	if (done > 0)
		note_moved(ticket->moved, (struct range){ offset, offset + done });
	if (!ticket_canceled(ticket) && !prolong(ticket, ticket->spec->timeout, /* always= */ false, &problem))
		log_warn("ticket %s: its use is not recorded: %s", ticket->spec->id, problem->message);
}

/* ---- after a restart ---- */

static void recall(struct storage *storage, struct tickets *tickets, const char *name)
{
	autofd fd = files_open_dir(AT_FDCWD, tickets->directory);
	g_autofree char *text = fd >= 0 ? files_read(fd, name, RECORD_MAX) : NULL;
	json_t *record = text ? json_parse(text, strlen(text), NULL) : NULL;
	struct image_ticket *spec = record_from_json(&image_ticket_type, json_object_get(record, "ticket"),
						     &(struct record_input){ .dialect = RECORD_STORE }, NULL);
	struct ticket *ticket;
	g_autoptr(GError) problem = NULL;

	if (!spec) {
		log_error("ticket '%s' cannot be read", name);
		json_decref(record);
		return;
	}
	ticket = ticket_new(tickets, spec);
	record_unref(spec);
	ticket->expires_usec = json_integer_value(json_object_get(record, "expires"));
	json_decref(record);
	if (g_str_has_prefix(ticket->spec->url, "file:")) {
		ticket->own_server = nbd_has(storage, ticket->spec->id);
		ticket->socket = nbd_socket_path(storage, ticket->spec->id);
		ticket->name = g_strdup("");
	} else if (!use_server(ticket, &problem)) {
		/* its server is gone: whoever uses it is told */
		ticket->socket = g_strdup("");
		ticket->name = g_strdup("");
	}
	g_hash_table_insert(tickets->table, ticket->spec->id, ticket);
}

struct tickets *tickets_new(struct storage *storage)
{
	struct tickets *tickets = g_new0(struct tickets, 1);
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GError) problem = NULL;
	pthread_condattr_t monotonic;

	tickets->run_dir = g_strdup(storage->agent->run_dir);
	tickets->directory = g_build_filename(tickets->run_dir, "tickets", NULL);
	tickets->table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, drop_ticket);
	pthread_mutex_init(&tickets->door, NULL);
	pthread_mutex_init(&tickets->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&tickets->left, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (g_mkdir_with_parents(tickets->directory, 0700) < 0)
		log_error("cannot make directory %s: %s", tickets->directory, g_strerror(errno));
	storage->transfer->tickets = tickets;
	names = files_list(AT_FDCWD, tickets->directory);
	for (guint i = 0; names && i < names->len; i++)
		if (g_str_has_suffix(names->pdata[i], ".json") && *(char *)names->pdata[i] != '.')
			recall(storage, tickets, names->pdata[i]);
	if (g_hash_table_size(tickets->table) && !service_open(storage->transfer->service, &problem))
		log_error("images cannot be transferred: %s", problem->message);
	return tickets;
}

struct tickets *tickets_free(struct tickets *tickets)
{
	if (!tickets)
		return NULL;
	g_hash_table_unref(tickets->table);
	pthread_cond_destroy(&tickets->left);
	pthread_mutex_destroy(&tickets->lock);
	pthread_mutex_destroy(&tickets->door);
	g_free(tickets->directory);
	g_free(tickets->run_dir);
	g_free(tickets);
	return NULL;
}
