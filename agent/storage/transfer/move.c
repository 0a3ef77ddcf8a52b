/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving data between a connection and an NBD server on this host.
 *
 * Each way keeps SLOTS pieces of PIECE bytes on their way, so that the network, TLS and the storage work at the same time: 3 MiB a connection. The thread
 * waits in one place at a time, for the network or for the server; while it waits for the network it looks after the server between two reads or writes.
 * A server that hangs in its storage is waited for, but a ticket that is canceled ends that wait, too. From then on the handle is only closed
 * (`broken`): it still knows of buffers that may be gone, and touches them only while it is asked to go on.
 */
#define LOG_MODULE "transfer"
#include "agent/storage/transfer/move.h"
#include <errno.h>
#include <libnbd.h>
#include <string.h>
#include <sys/socket.h>
#include "agent/storage/transfer/http.h"
#include "agent/storage/transfer/ticket.h"
#include "common/error.h"

#define SLOTS 6
#define PIECE (512 * 1024)
#define SOCKET_BYTES (1024 * 1024)       /* of the server's socket: fewer turns for the same data */
#define NETWORK_BYTES (64 * 1024)        /* received or sent between two looks at the server */
#define LOOK_MSEC 500                    /* between two looks at the ticket while the server is silent */
#define ZERO_MAX (INT64_C(1) << 30)
#define STATUS_MAX (INT64_C(1) << 30)
#define CONTEXT_DEPTH "qemu:allocation-depth"
#define CONTEXT_BITMAP "qemu:dirty-bitmap:"

struct slot { char *bytes; size_t n; bool busy; int failure; };

struct data {
	struct ticket *ticket;           /* its connection's */
	struct nbd_handle *nbd;
	char *bitmap;                    /* name of its context; NULL: none */
	bool depth, broken;
	struct slot slots[SLOTS];
};

static bool failed(const struct data *data, const char *what, int errnum, GError **error)
{
	if (ticket_canceled(data->ticket))
		error_set(error, ERR_FORBIDDEN, "Ticket %s was canceled", ticket_spec(data->ticket)->id);
	else if (errnum)
		error_set_errno(error, errnum == ENOSPC ? ERR_NO_SPACE_LEFT_ON_DOMAIN : ERR_STORAGE_EXCEPTION, errnum, "%s", what);
	else
		error_set(error, ERR_STORAGE_EXCEPTION, "%s: %s", what, nbd_get_error());
	return false;
}

/* ---- opening ---- */

static int note_context(void *context, const char *name)
{
	struct data *data = context;

	if (!data->bitmap && g_str_has_prefix(name, CONTEXT_BITMAP))
		data->bitmap = g_strdup(name);
	data->depth |= !strcmp(name, CONTEXT_DEPTH);
	return 0;
}

/* Which contexts there are is asked before one is chosen. */
static bool negotiate(struct data *data)
{
	struct nbd_handle *nbd = data->nbd;

	return nbd_set_opt_mode(nbd, true) == 0 && nbd_set_export_name(nbd, ticket_export(data->ticket)) == 0 &&
	       nbd_set_pread_initialize(nbd, false) == 0 && nbd_connect_unix(nbd, ticket_socket(data->ticket)) == 0 &&
	       nbd_add_meta_context(nbd, "qemu:") == 0 &&
	       nbd_opt_list_meta_context(nbd, (nbd_context_callback){ .callback = note_context, .user_data = data }) >= 0 &&
	       nbd_clear_meta_contexts(nbd) == 0 && nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0 &&
	       (!data->depth || nbd_add_meta_context(nbd, CONTEXT_DEPTH) == 0) && (!data->bitmap || nbd_add_meta_context(nbd, data->bitmap) == 0) &&
	       nbd_opt_go(nbd) == 0;
}

struct data *data_open(struct ticket *ticket, GError **error)
{
	static const int socket_bytes = SOCKET_BYTES;
	struct data *data = g_new0(struct data, 1);

	data->ticket = ticket;
	data->nbd = nbd_create();
	if (!data->nbd || !negotiate(data)) {
		failed(data, "cannot reach the NBD server of the ticket", 0, error);
		return data_close(data);
	}
	(void)setsockopt(nbd_aio_get_fd(data->nbd), SOL_SOCKET, SO_SNDBUFFORCE, &socket_bytes, sizeof(socket_bytes));
	for (int i = 0; i < SLOTS; i++)
		data->slots[i].bytes = g_malloc(PIECE);
	return data;
}

struct data *data_close(struct data *data)
{
	if (!data)
		return NULL;
	if (data->nbd && !data->broken)
		(void)nbd_shutdown(data->nbd, 0);
	nbd_close(data->nbd);
	for (int i = 0; i < SLOTS; i++)
		g_free(data->slots[i].bytes);
	g_free(data->bitmap);
	g_free(data);
	return NULL;
}

int64_t data_size(struct data *data)
{
	return nbd_get_size(data->nbd);
}

bool data_many_writers(struct data *data)
{
	return nbd_can_multi_conn(data->nbd) == 1;
}

bool data_has_bitmap(const struct data *data)
{
	return data->bitmap;
}

/* ---- pieces on their way ---- */

static int on_done(void *context, int *error)
{
	struct slot *slot = context;

	slot->busy = false;
	slot->failure = *error;
	return 1;
}

static nbd_completion_callback done_into(struct slot *slot)
{
	return (nbd_completion_callback){ .callback = on_done, .user_data = slot };
}

/* Lets the server get on, without waiting. */
static void look_after(struct data *data)
{
	(void)nbd_poll(data->nbd, 0);
}

static bool wait_slot(struct data *data, struct slot *slot, const char *what, GError **error)
{
	while (slot->busy) {
		if (nbd_poll(data->nbd, LOOK_MSEC) < 0 || ticket_canceled(data->ticket)) {
			data->broken = true;
			return failed(data, what, 0, error);
		}
	}
	return !slot->failure || failed(data, what, slot->failure, error);
}

/* All that is on its way, whatever became of the rest. */
static bool wait_all(struct data *data, const char *what, GError **error)
{
	GError *first = NULL;

	for (int i = 0; i < SLOTS; i++) {
		if (!data->broken)
			(void)wait_slot(data, &data->slots[i], what, first ? NULL : &first);
		data->slots[i].failure = 0;
	}
	if (first)
		g_propagate_error(error, first);
	return !first && !data->broken;
}

/* As much as a piece takes; false + error: the client has ended. */
static bool fill(struct data *data, struct http *http, struct slot *slot, int64_t left, GError **error)
{
	size_t want = (size_t)MIN(left, PIECE), looked = 0;

	for (slot->n = 0; slot->n < want;) {
		ssize_t got = http_read(http, slot->bytes + slot->n, want - slot->n);

		if (got <= 0) {
			if (ticket_canceled(data->ticket))
				return failed(data, "receive", 0, error);
			error_set(error, ERR_BAD_VALUE, "%" G_GINT64_FORMAT " bytes are missing", left - (int64_t)slot->n);
			return false;
		}
		slot->n += (size_t)got;
		if (slot->n - looked >= NETWORK_BYTES) {
			look_after(data);
			looked = slot->n;
		}
	}
	return true;
}

bool data_receive(struct data *data, struct http *http, int64_t offset, int64_t length, int64_t *ret_done, GError **error)
{
	GError *cause = NULL;
	int64_t done = 0;

	for (int i = 0; done < length && !cause; i = (i + 1) % SLOTS) {
		struct slot *slot = &data->slots[i];

		if (!wait_slot(data, slot, "write", &cause))
			break;
		(void)fill(data, http, slot, length - done, &cause);
		if (!slot->n || ticket_canceled(data->ticket))
			break;
		/* also what came before the client ended: it may go on from there */
		slot->busy = true;
		if (nbd_aio_pwrite(data->nbd, slot->bytes, slot->n, (uint64_t)(offset + done), done_into(slot), 0) < 0) {
			slot->busy = false;
			if (!cause)
				failed(data, "write", 0, &cause);
			break;
		}
		done += (int64_t)slot->n;
	}
	if (!cause && ticket_canceled(data->ticket))
		failed(data, "write", 0, &cause);
	if (!wait_all(data, "write", cause ? NULL : &cause))
		done = 0;
	*ret_done = done;
	if (cause)
		g_propagate_error(error, cause);
	return !cause;
}

static bool ask(struct data *data, struct slot *slot, int64_t offset, int64_t left, GError **error)
{
	slot->n = (size_t)MIN(left, PIECE);
	slot->busy = true;
	if (nbd_aio_pread(data->nbd, slot->bytes, slot->n, (uint64_t)offset, done_into(slot), 0) >= 0)
		return true;
	slot->busy = false;
	return failed(data, "read", 0, error);
}

static bool pass_on(struct data *data, struct http *http, const struct slot *slot, GError **error)
{
	for (size_t at = 0; at < slot->n; at += NETWORK_BYTES) {
		if (!http_write(http, slot->bytes + at, MIN(slot->n - at, NETWORK_BYTES)) || ticket_canceled(data->ticket)) {
			if (!ticket_canceled(data->ticket))
				error_set(error, ERR_BAD_VALUE, "the client has ended");
			else
				failed(data, "send", 0, error);
			return false;
		}
		look_after(data);
	}
	return true;
}

bool data_send(struct data *data, struct http *http, int64_t offset, int64_t length, int64_t *ret_done, GError **error)
{
	GError *cause = NULL;
	int64_t asked = 0, done = 0;

	for (int i = 0; i < SLOTS && asked < length && !cause; i++) {
		if (ask(data, &data->slots[i], offset + asked, length - asked, &cause))
			asked += (int64_t)data->slots[i].n;
	}
	for (int i = 0; done < length && !cause; i = (i + 1) % SLOTS) {
		struct slot *slot = &data->slots[i];

		if (!wait_slot(data, slot, "read", &cause) || !pass_on(data, http, slot, &cause))
			break;
		done += (int64_t)slot->n;
		if (asked < length && ask(data, slot, offset + asked, length - asked, &cause))
			asked += (int64_t)slot->n;
	}
	(void)wait_all(data, "read", cause ? NULL : &cause);
	*ret_done = done;
	if (cause)
		g_propagate_error(error, cause);
	return !cause;
}

/* ---- at once ---- */

bool data_zero(struct data *data, int64_t offset, int64_t length, bool sparse, int64_t *ret_done, GError **error)
{
	int64_t n;

	for (*ret_done = 0; *ret_done < length; *ret_done += n) {
		struct slot *slot = &data->slots[0];
		int64_t cookie;

		n = MIN(length - *ret_done, ZERO_MAX);
		slot->busy = true;
		cookie = nbd_aio_zero(data->nbd, (uint64_t)n, (uint64_t)(offset + *ret_done), done_into(slot), sparse ? 0 : LIBNBD_CMD_FLAG_NO_HOLE);
		if (cookie < 0) {
			slot->busy = false;
			return failed(data, "zero", 0, error);
		}
		if (!wait_all(data, "zero", error))
			return false;
	}
	return true;
}

bool data_flush(struct data *data, GError **error)
{
	struct slot *slot = &data->slots[0];

	if (nbd_can_flush(data->nbd) != 1)
		return true;
	slot->busy = true;
	if (nbd_aio_flush(data->nbd, done_into(slot), 0) >= 0)
		return wait_all(data, "flush", error);
	slot->busy = false;
	return failed(data, "flush", 0, error);
}

bool data_read(struct data *data, void *buffer, size_t length, int64_t offset, GError **error)
{
	struct slot one = { .busy = true };

	if (nbd_aio_pread(data->nbd, buffer, length, (uint64_t)offset, done_into(&one), 0) < 0)
		return failed(data, "read", 0, error);
	return wait_slot(data, &one, "read", error);
}

/* ---- extents ---- */

/* What one answer says of one context, from its offset on. */
struct column { int64_t end; GArray *parts; };
struct part { int64_t end; uint32_t flags; };
enum { ALLOCATION, DEPTH, BITMAP, COLUMNS };
struct answer { const struct data *data; struct column columns[COLUMNS]; };

static int note_status(void *context, const char *name, uint64_t offset, uint32_t *entries, size_t n, int *error)
{
	struct answer *answer = context;
	int which = !strcmp(name, LIBNBD_CONTEXT_BASE_ALLOCATION) ? ALLOCATION : !strcmp(name, CONTEXT_DEPTH) ? DEPTH : BITMAP;
	struct column *column = &answer->columns[which];

	column->end = (int64_t)offset;
	for (size_t i = 0; i + 1 < n; i += 2) {
		column->end += entries[i];
		g_array_append_val(column->parts, ((struct part){ column->end, entries[i + 1] }));
	}
	return 0;
}

static bool is_alike(const struct data_extent *a, const struct data_extent *b)
{
	return a->zero == b->zero && a->hole == b->hole && a->dirty == b->dirty;
}

struct walk { bool (*what)(const struct data_extent *extent, void *context); void *context; struct data_extent last; };

static bool tell(struct walk *walk, struct data_extent extent)
{
	if (walk->last.length && is_alike(&walk->last, &extent)) {
		walk->last.length += extent.length;
		return true;
	}
	if (walk->last.length && !walk->what(&walk->last, walk->context))
		return false;
	walk->last = extent;
	return true;
}

static uint32_t flags_at(struct column *column, guint *at, int64_t position, int64_t *end)
{
	while (*at + 1 < column->parts->len && g_array_index(column->parts, struct part, *at).end <= position)
		(*at)++;
	*end = MIN(*end, g_array_index(column->parts, struct part, *at).end);
	return g_array_index(column->parts, struct part, *at).flags;
}

/* From `at` as far as all contexts say something; the next position, -1: what() said stop. */
static int64_t join(struct answer *answer, const bool used[COLUMNS], int64_t at, struct walk *walk)
{
	guint place[COLUMNS] = { 0 };
	int64_t stop = INT64_MAX;

	for (int i = 0; i < COLUMNS; i++)
		if (used[i])
			stop = MIN(stop, answer->columns[i].end);
	while (at < stop) {
		struct data_extent extent = { .start = at };
		int64_t end = stop;
		uint32_t allocation = flags_at(&answer->columns[ALLOCATION], &place[ALLOCATION], at, &end);

		extent.zero = allocation & LIBNBD_STATE_ZERO;
		/* depth 0: not in this image, it would be in one below, which is not shown */
		extent.hole = used[DEPTH] && flags_at(&answer->columns[DEPTH], &place[DEPTH], at, &end) == 0;
		extent.dirty = used[BITMAP] && (flags_at(&answer->columns[BITMAP], &place[BITMAP], at, &end) & 1);
		extent.length = end - at;
		if (!tell(walk, extent))
			return -1;
		at = end;
	}
	return at;
}

bool data_extents(struct data *data, bool dirty, bool (*what)(const struct data_extent *extent, void *context), void *context, GError **error)
{
	const bool used[COLUMNS] = { true, data->depth, dirty && data->bitmap };
	struct answer answer = { .data = data };
	struct walk walk = { .what = what, .context = context };
	int64_t size = data_size(data), at = 0, next = 0;

	for (int i = 0; i < COLUMNS; i++)
		answer.columns[i].parts = g_array_new(FALSE, FALSE, sizeof(struct part));
	for (; at < size && next >= 0; at = next) {
		struct slot *slot = &data->slots[0];
		int64_t cookie;

		for (int i = 0; i < COLUMNS; i++) {
			g_array_set_size(answer.columns[i].parts, 0);
			answer.columns[i].end = at;
		}
		slot->busy = true;
		cookie = nbd_aio_block_status(data->nbd, (uint64_t)MIN(size - at, STATUS_MAX), (uint64_t)at,
					      (nbd_extent_callback){ .callback = note_status, .user_data = &answer }, done_into(slot), 0);
		slot->busy = cookie >= 0;
		if (cookie < 0 || !wait_all(data, "extents", error)) {
			if (cookie < 0)
				failed(data, "extents", 0, error);
			break;
		}
		next = join(&answer, used, at, &walk);
		if (next == at) {
			error_set(error, ERR_STORAGE_EXCEPTION, "extents: the server tells nothing of byte %" G_GINT64_FORMAT, at);
			break;
		}
	}
	for (int i = 0; i < COLUMNS; i++)
		g_array_unref(answer.columns[i].parts);
	return at >= size && (!walk.last.length || what(&walk.last, context));
}
