/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP interface of image transfers, compatible with ovirt-imageio 2 (its documentation, "Images API"):
 *
 *	OPTIONS /images/<ticket>                 what can be done, over how many connections, and over which Unix socket by clients on this host;
 *	                                         ticket "*": at all
 *	GET     /images/<ticket>                 data; Range: bytes=<first>-<last>
 *	PUT     /images/<ticket>?flush=y|n       data; Content-Range: bytes <first>-..., of which only <first> counts
 *	PATCH   /images/<ticket>                 {"op": "zero", "offset", "size", "flush"}, {"op": "flush"}
 *	GET     /images/<ticket>/extents?context=zero|dirty
 *	GET     /images/<ticket>/checksum?algorithm=&block_size=, /images/<ticket>/checksum/algorithms
 *	GET     /info/
 *
 * Answers: 400 the request is wrong, 403 the ticket is not there, has expired, was canceled or does not allow it (and the connection ends), 404 no such
 * resource or no bitmap, 405, 416 with the size in Content-Range beyond the ticket's size or the image's, 500 the storage. The body says why. An
 * answer that breaks off in its data ends the connection. An upload that breaks off has written what came; the client goes on from wherever it likes.
 *
 * Each answer says that any page may read it (CORS): the ticket's id is all the authority there is, and a browser has no other of ours to abuse.
 *
 * A connection keeps its way to the data of the ticket it used last.
 */
#define LOG_MODULE "transfer"
#include "agent/storage/transfer/images.h"
#include <stdlib.h>
#include <string.h>
#include "agent/storage/storage-priv.h"
#include "agent/storage/transfer/checksum.h"
#include "agent/storage/transfer/http.h"
#include "agent/storage/transfer/move.h"
#include "agent/storage/transfer/service.h"
#include "agent/storage/transfer/ticket.h"
#include "agent/storage/transfer/transfer.h"
#include "common/log.h"

#define PATCH_MAX 4096
#define EXTENTS_WHOLE (256 * 1024)       /* bytes of JSON; what is longer comes in chunks */
#define ANY_ORIGIN \
	"Access-Control-Allow-Origin: *\r\n" \
	"Access-Control-Expose-Headers: Allow, Content-Disposition, Content-Length, Content-Range\r\n"
#define PREFLIGHT \
	"Access-Control-Allow-Methods: OPTIONS,GET,PUT,PATCH\r\n" \
	"Access-Control-Allow-Headers: Authorization, Cache-Control, Content-Range, Content-Type, Pragma, Range\r\n" \
	"Access-Control-Max-Age: 300\r\n"

struct client {
	struct storage *storage;
	struct http *http;
	int fd;
	bool local;
	struct ticket *ticket;           /* the one used last, and its data */
	struct data *data;
};

/* ---- answers ---- */

static void say(struct client *client, int status, const char *headers, const char *text)
{
	g_autofree char *body = g_strconcat(text, "\n", NULL);
	g_autofree char *all = g_strconcat(ANY_ORIGIN, headers, NULL);

	(void)http_answer(client->http, status, all, "text/plain; charset=UTF-8", body, strlen(body));
}

static void say_json(struct client *client, const char *headers, json_t *json)
{
	g_autofree char *all = g_strconcat(ANY_ORIGIN, headers, NULL);
	char *text = json_dumps(json, 0);

	(void)http_answer(client->http, 200, all, "application/json", text, strlen(text));
	free(text);
	json_decref(json);
}

static void say_error(struct client *client, const GError *error)
{
	int status = error_is(error, ERR_FORBIDDEN) ? 403 : error_is(error, ERR_BAD_VALUE) ? 400 : 500;

	if (status != 400)
		http_close_after(client->http);
	if (status == 500)
		log_warn("ticket %s: %s %s: %s", ticket_spec(client->ticket)->id, http_method(client->http), http_path(client->http), error->message);
	say(client, status, NULL, error->message);
}

static void say_range(struct client *client, int64_t size, const char *text)
{
	g_autofree char *header = g_strdup_printf("Content-Range: bytes */%" PRId64 "\r\n", size);

	say(client, 416, header, text);
}

/* ---- the ticket ---- */

static void leave_ticket(struct client *client)
{
	client->data = data_close(client->data);
	if (client->ticket)
		ticket_leave(client->ticket, client->fd);
	client->ticket = ticket_unref(client->ticket);
}

/* The client may do this with the ticket of its request; client->ticket and client->data are those. false: it was answered. */
static bool enter_ticket(struct client *client, const char *id, const char *op)
{
	g_autoptr(GError) error = NULL;
	struct ticket *ticket = ticket_authorize(client->storage, id, op, &error);

	if (ticket && ticket != client->ticket) {
		leave_ticket(client);
		if (ticket_join(ticket, client->fd)) {
			client->ticket = ticket;
			http_set_patience(client->http, ticket_spec(ticket)->inactivity_timeout);
		} else {
			error_set(&error, ERR_FORBIDDEN, "Ticket %s was canceled", id);
			ticket_unref(ticket);
		}
	} else {
		ticket_unref(ticket);
	}
	if (!error && !client->data && !(client->data = data_open(client->ticket, &error))) {
		say_error(client, error);
		return false;
	}
	if (!error)
		return true;
	http_close_after(client->http);
	say(client, 403, NULL, error->message);
	return false;
}

static int64_t size_of(const struct client *client)
{
	return MIN(ticket_spec(client->ticket)->size, data_size(client->data));
}

/* Something is done with the ticket; false: it was answered. */
static bool begin(struct client *client)
{
	if (ticket_begin(client->ticket))
		return true;
	http_close_after(client->http);
	say(client, 403, NULL, "The ticket was canceled");
	return false;
}

/* What was begun is over. A way to the data that failed is not used again. */
static bool finish(struct client *client, bool good, int64_t offset, int64_t done)
{
	ticket_end(client->ticket, offset, done);
	if (!good)
		client->data = data_close(client->data);
	return good;
}

/* ---- what a request says ---- */

static bool is_one_of(struct client *client, const char *name, const char *value, const char *a, const char *b)
{
	g_autofree char *text = NULL;

	if (!strcmp(value, a) || !strcmp(value, b))
		return true;
	text = g_strdup_printf("Unsupported value '%s' for '%s', expecting '%s' or '%s'", value, name, a, b);
	say(client, 400, NULL, text);
	return false;
}

static const char *query_or(const struct client *client, const char *name, const char *otherwise)
{
	const char *value = http_query(client->http, name);

	return value ? value : otherwise;
}

/* A number that begins here; *ret_end is behind it. */
static bool read_number(const char *text, const char **ret_end, int64_t *ret_number)
{
	char *end;

	if (!g_ascii_isdigit(*text))
		return false;
	*ret_number = g_ascii_strtoll(text, &end, 10);
	*ret_end = end;
	return *ret_number < G_MAXINT64;
}

struct window { int64_t offset, length; };

/* Range: one of bytes=<first>-<last>, <first>-, -<length>. false: it was answered. */
static bool read_range(struct client *client, const char *header, struct window *ret_window)
{
	int64_t size = size_of(client), first = 0, last = size - 1, length = 0;
	const char *at = g_str_has_prefix(header, "bytes=") ? header + strlen("bytes=") : NULL, *end = at;
	bool good = false;

	if (at && *at == '-') {
		good = read_number(at + 1, &end, &length) && length > 0;
		first = MAX(0, size - length);
	} else if (at && read_number(at, &end, &first) && *end == '-') {
		end++;
		good = !*end || (read_number(end, &end, &last) && last >= first);
	}
	if (!good || *end) {
		say_range(client, size, "One range of bytes is understood: bytes=<first>-<last>");
		return false;
	}
	*ret_window = (struct window){ first, last - first + 1 };
	return true;
}

static bool is_within(struct client *client, int64_t offset, int64_t length)
{
	int64_t size = size_of(client);
	g_autofree char *text = NULL;

	if (offset <= size && length <= size - offset)
		return true;
	text = g_strdup_printf("Requested more bytes than available: %" PRId64 " at %" PRId64 " of %" PRId64, length, offset, size);
	say_range(client, size, text);
	return false;
}

/* ---- methods ---- */

static void options(struct client *client, const char *id)
{
	json_t *answer = json_pack("{s:s, s:[s, s]}", "unix_socket", service_socket(client->storage->transfer->service), "features", "checksum", "extents");
	json_t *features = json_object_get(answer, "features");
	bool all = !strcmp(id, "*"), write;
	g_autofree char *headers = NULL;

	if (!all && !enter_ticket(client, id, "read")) {
		json_decref(answer);
		return;
	}
	write = all || ticket_may(client->ticket, "write");
	if (write) {
		json_array_append_new(features, json_string("flush"));
		json_array_append_new(features, json_string("zero"));
	}
	if (!all) {
		json_object_set_new(answer, "max_readers", json_integer(IMAGES_CONNECTIONS));
		json_object_set_new(answer, "max_writers", json_integer(data_many_writers(client->data) ? IMAGES_CONNECTIONS : 1));
		/* what a guest would see, not a file's bytes: a client need not list all extents to know how much that is */
		if (g_str_has_prefix(ticket_spec(client->ticket)->url, "nbd:")) {
			json_object_set_new(answer, "transfer_format", json_string("raw"));
			json_object_set_new(answer, "virtual_size", json_integer(data_size(client->data)));
		}
		/* a client that asks is one that is there */
		if (ticket_begin(client->ticket))
			ticket_end(client->ticket, 0, 0);
	}
	headers = g_strdup_printf(PREFLIGHT "Allow: OPTIONS,GET%s\r\n", write ? ",PUT,PATCH" : "");
	say_json(client, headers, answer);
}

static void get(struct client *client, const char *id)
{
	const char *header = http_header(client->http, "Range"), *filename;
	g_autoptr(GString) headers = g_string_new(ANY_ORIGIN);
	struct window window = { 0 };
	g_autoptr(GError) error = NULL;
	int64_t done = 0;
	bool good;

	if (!enter_ticket(client, id, "read"))
		return;
	window.length = size_of(client);
	if ((header && !read_range(client, header, &window)) || !is_within(client, window.offset, window.length) || !begin(client))
		return;
	if (header && window.length <= 0) {
		ticket_end(client->ticket, 0, 0);
		say_range(client, size_of(client), "There are no bytes there");
		return;
	}
	filename = ticket_spec(client->ticket)->filename;
	g_string_append(headers, "Content-Disposition: attachment");
	if (filename)
		g_string_append_printf(headers, "; filename=\"%s\"", filename);
	g_string_append(headers, "\r\n");
	if (header)
		g_string_append_printf(headers, "Content-Range: bytes %" PRId64 "-%" PRId64 "/%" PRId64 "\r\n", window.offset,
				       window.offset + window.length - 1, size_of(client));
	good = http_begin(client->http, header ? 206 : 200, headers->str, "application/octet-stream", window.length) &&
	       data_send(client->data, client->http, window.offset, window.length, &done, &error);
	if (finish(client, good, window.offset, done))
		return;
	log_info("ticket %s: the answer broke off after %" PRId64 " of %" PRId64 " bytes: %s", id, done, window.length, error ? error->message : "no client");
	http_close_after(client->http);
}

static void put(struct client *client, const char *id)
{
	const char *header = http_header(client->http, "Content-Range"), *end;
	const char *flush = query_or(client, "flush", "y");
	int64_t offset = 0, length = http_length(client->http), done = 0;
	g_autoptr(GError) error = NULL;
	bool good;

	if (length < 0) {
		http_close_after(client->http);
		say(client, 400, NULL, "Content-Length header is required");
		return;
	}
	if (!is_one_of(client, "flush", flush, "y", "n"))
		return;
	if (header && (!g_str_has_prefix(header, "bytes ") || !read_number(header + strlen("bytes "), &end, &offset) || *end != '-')) {
		say(client, 400, NULL, "Content-Range is not understood: bytes <first>-<last>/*");
		return;
	}
	if (!enter_ticket(client, id, "write") || !is_within(client, offset, length) || !begin(client))
		return;
	good = data_receive(client->data, client->http, offset, length, &done, &error) && (*flush != 'y' || data_flush(client->data, &error));
	if (finish(client, good, offset, done))
		(void)http_answer(client->http, 200, ANY_ORIGIN, NULL, "", 0);
	else
		say_error(client, error);
}

/* The body as JSON; NULL: it was answered. New reference. */
static json_t *read_json(struct client *client)
{
	g_autofree char *body = g_malloc(PATCH_MAX);
	int64_t length = http_length(client->http), at = 0;
	g_autoptr(GError) error = NULL;
	json_t *json = NULL;

	if (length < 0 || length > PATCH_MAX) {
		http_close_after(client->http);
		say(client, length < 0 ? 400 : 413, NULL, length < 0 ? "Content-Length header is required" : "The message is too long");
		return NULL;
	}
	for (ssize_t got = 1; at < length && got > 0; at += MAX(got, 0))
		got = http_read(client->http, body + at, (size_t)(length - at));
	if (at == length && (json = json_parse(body, (size_t)at, &error)) && json_is_object(json))
		return json;
	json_decref(json);
	say(client, 400, NULL, error ? error->message : "Invalid JSON message");
	return NULL;
}

/* A member that is a number from 0 on; otherwise: what it is when absent, -1: it must be there. false: it was answered. */
static bool get_number(struct client *client, const json_t *message, const char *name, int64_t otherwise, int64_t *ret_number)
{
	const json_t *member = json_object_get(message, name);
	g_autofree char *text = NULL;

	*ret_number = member ? json_integer_value(member) : otherwise;
	if (member ? json_is_integer(member) && *ret_number >= 0 : otherwise >= 0)
		return true;
	text = g_strdup_printf(member ? "'%s' must be an integer from 0 on" : "Missing required value for '%s'", name);
	say(client, 400, NULL, text);
	return false;
}

static void patch(struct client *client, const char *id)
{
	json_t *message = read_json(client);
	const char *op = json_string_value(json_object_get(message, "op"));
	int64_t offset = 0, size = 0, done = 0;
	bool zero, good, flush = true;
	g_autoptr(GError) error = NULL;

	if (!message || !is_one_of(client, "op", op ? op : "", "zero", "flush"))
		goto end;
	zero = !strcmp(op, "zero");
	if (zero) {
		flush = json_is_true(json_object_get(message, "flush"));
		if (!get_number(client, message, "size", -1, &size) || !get_number(client, message, "offset", 0, &offset))
			goto end;
	}
	if (!enter_ticket(client, id, "write") || !is_within(client, offset, size) || !begin(client))
		goto end;
	good = (!zero || data_zero(client->data, offset, size, ticket_spec(client->ticket)->sparse, &done, &error)) &&
	       (!flush || data_flush(client->data, &error));
	if (finish(client, good, offset, done))
		(void)http_answer(client->http, 200, ANY_ORIGIN, NULL, "", 0);
	else
		say_error(client, error);
end:
	json_decref(message);
}

/* ---- extents ---- */

struct listing { struct client *client; bool dirty, begun, good; GString *text; };

static bool send_text(struct listing *list)
{
	struct http *http = list->client->http;

	if (!list->begun)
		list->good = http_begin(http, 200, ANY_ORIGIN, "application/json", /* length= */ -1);
	list->begun = true;
	list->good = list->good && http_write(http, list->text->str, list->text->len);
	g_string_truncate(list->text, 0);
	return list->good;
}

static bool add_extent(const struct data_extent *extent, void *context)
{
	struct listing *list = context;

	g_string_append_printf(list->text, "%s{\"start\": %" PRId64 ", \"length\": %" PRId64 ", ", extent->start ? ", " : "[", extent->start, extent->length);
	if (list->dirty)
		g_string_append_printf(list->text, "\"dirty\": %s, \"zero\": %s}", extent->dirty ? "true" : "false", extent->zero ? "true" : "false");
	else
		g_string_append_printf(list->text, "\"zero\": %s, \"hole\": %s}", extent->zero ? "true" : "false", extent->hole ? "true" : "false");
	return list->text->len < EXTENTS_WHOLE || send_text(list);
}

static void extents(struct client *client, const char *id)
{
	const char *context = query_or(client, "context", "zero");
	struct listing list = { .client = client, .dirty = !strcmp(context, "dirty"), .good = true };
	g_autoptr(GError) error = NULL;

	if (!is_one_of(client, "context", context, "zero", "dirty") || !enter_ticket(client, id, "read"))
		return;
	if (list.dirty && (!ticket_spec(client->ticket)->dirty || !data_has_bitmap(client->data))) {
		say(client, 404, NULL, "Ticket does not support dirty extents");
		return;
	}
	if (!begin(client))
		return;
	list.text = g_string_new(NULL);
	if (finish(client, data_extents(client->data, list.dirty, add_extent, &list, &error), 0, 0)) {
		g_string_append(list.text, data_size(client->data) ? "]" : "[]");
		if (list.begun)
			(void)(send_text(&list) && http_end(client->http));
		else
			(void)http_answer(client->http, 200, ANY_ORIGIN, "application/json", list.text->str, list.text->len);
	} else if (!list.begun) {
		say_error(client, error);
	} else {
		http_close_after(client->http);
	}
	g_string_free(list.text, TRUE);
}

static void checksum(struct client *client, const char *id)
{
	const char *algorithm = query_or(client, "algorithm", CHECKSUM_ALGORITHM), *size = http_query(client->http, "block_size"), *end = "";
	int64_t block = CHECKSUM_BLOCK;
	g_autoptr(GError) error = NULL;
	g_autofree char *sum = NULL;

	if (!checksum_known(algorithm)) {
		say(client, 400, NULL, "The algorithm is not known: see checksum/algorithms");
		return;
	}
	if (size && (!read_number(size, &end, &block) || *end || block < 4096 || block > CHECKSUM_BLOCK_MAX || block % 4096)) {
		say(client, 400, NULL, "block_size is a multiple of 4096, at most 16 MiB");
		return;
	}
	if (!enter_ticket(client, id, "read") || !begin(client))
		return;
	sum = checksum_of(client->data, algorithm, block, &error);
	if (finish(client, sum != NULL, 0, 0))
		say_json(client, NULL, json_pack("{s:s, s:s, s:I}", "checksum", sum, "algorithm", algorithm, "block_size", (json_int_t)block));
	else
		say_error(client, error);
}

static void algorithms(struct client *client, const char *id)
{
	say_json(client, NULL, checksum_algorithms());
}

static void info(struct client *client, const char *id)
{
	say_json(client, NULL, json_pack("{s:s}", "version", "2.4"));
}

/* ---- requests ---- */

static const struct { const char *prefix, *rest, *method; void (*serve)(struct client *client, const char *id); } routes[] = {
	{ "/images/", "", "OPTIONS", options },
	{ "/images/", "", "GET", get },
	{ "/images/", "", "PUT", put },
	{ "/images/", "", "PATCH", patch },
	{ "/images/", "/extents", "GET", extents },
	{ "/images/", "/extents", "OPTIONS", options },
	{ "/images/", "/checksum", "GET", checksum },
	{ "/images/", "/checksum", "OPTIONS", options },
	{ "/images/", "/checksum/algorithms", "GET", algorithms },
	{ "/info/", "", "GET", info },
};

static void serve(struct client *client)
{
	const char *path = http_path(client->http), *method = http_method(client->http);
	bool known = false;

	if (!strcmp(query_or(client, "close", "n"), "y"))
		http_close_after(client->http);
	for (size_t i = 0; i < G_N_ELEMENTS(routes); i++) {
		const char *id = path + strlen(routes[i].prefix), *slash;
		g_autofree char *name = NULL;

		if (!g_str_has_prefix(path, routes[i].prefix))
			continue;
		slash = strchrnul(id, '/');
		if (strcmp(slash, routes[i].rest))
			continue;
		known = true;
		if (strcmp(method, routes[i].method))
			continue;
		name = g_strndup(id, (gsize)(slash - id));
		log_debug("%s %s<ticket>%s%s", method, routes[i].prefix, routes[i].rest, client->local ? ", on this host" : "");
		if (*name || !strcmp(routes[i].prefix, "/info/"))
			routes[i].serve(client, name);
		else
			say(client, 400, NULL, "Ticket id is required");
		return;
	}
	say(client, known ? 405 : 404, NULL, known ? "The method is not possible here" : "No such resource");
}

void images_serve(struct storage *storage, int fd, SSL *ssl, bool local)
{
	struct client client = { .storage = storage, .fd = fd, .local = local, .http = http_new(fd, ssl) };

	while (http_next(client.http))
		serve(&client);
	leave_ticket(&client);
	http_free(client.http);
}
