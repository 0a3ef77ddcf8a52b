/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STOMP 1.2 frames.
 *
 * The parser is fed whatever the stream delivers and keeps its own state:
 *
 *   BETWEEN   between frames: LF and CR LF are heart-beats and are skipped            -> HEAD at any other byte
 *   HEAD      collecting the header block up to its empty line, at most header_max    -> BODY, COUNTED or LOST
 *   COUNTED   content-length was given: that many bytes, then one NUL                 -> frame, BETWEEN
 *   BODY      no content-length: all bytes up to the first NUL, at most body_max      -> frame, BETWEEN
 *   LOST      a bound was exceeded or the bytes are not STOMP: there is no way to find the next frame, the owner closes
 *
 * Every byte is looked at a bounded number of times, however the frame is cut into pieces. A body that lies whole in the bytes just fed
 * is not copied; one that comes in pieces is collected in a buffer that doubles, but never beyond what content-length announces. The
 * announcement alone allocates nothing, so a peer has to send what it wants us to hold.
 *
 * Header lines are split at their first ':', a trailing CR is dropped, and the escapes \\ \r \n \c are decoded in place (not in CONNECT, STOMP
 * and CONNECTED, which have none by the standard); any other escape is malformed. Of a repeated header the first counts. Both keep the
 * parser free of a header table: the block is rewritten to NUL-terminated strings and searched from its start.
 */
#include "proto/stomp.h"
#include <string.h>

#define HEAD_START 256
#define BODY_START 4096
#define BODY_KEEP (8 * 1024)            /* a larger buffer is given back after its frame */

enum state { BETWEEN, HEAD, COUNTED, BODY, LOST };

struct stomp_parser {
	enum state state;
	size_t header_max, body_max;
	char *head;                     /* header block; one NUL is always behind it */
	size_t head_size, head_space;
	uint8_t *body;                  /* the collected part of the body; one byte is always kept for the NUL */
	size_t body_size, body_space;
	size_t expected;                /* COUNTED: content-length */
	bool body_is_ours;              /* the last frame's body is `body`, not the bytes fed */
	const char *reason;             /* LOST */
	enum stomp_result result;       /* LOST */
	const char *command;
	const char *headers;
	size_t headers_size;
};

struct stomp_parser *stomp_parser_new(size_t header_max, size_t body_max)
{
	struct stomp_parser *parser = g_new0(struct stomp_parser, 1);

	parser->header_max = header_max;
	parser->body_max = body_max;
	return parser;
}

struct stomp_parser *stomp_parser_free(struct stomp_parser *parser)
{
	if (!parser)
		return NULL;
	g_free(parser->head);
	g_free(parser->body);
	g_free(parser);
	return NULL;
}

bool stomp_parser_idle(const struct stomp_parser *parser)
{
	return parser->state == BETWEEN;
}

static enum stomp_result lost(struct stomp_parser *parser, enum stomp_result result, const char *reason, const char **ret_reason)
{
	parser->state = LOST;
	parser->result = result;
	parser->reason = reason;
	*ret_reason = reason;
	return result;
}

/* Room for `more` bytes behind the collected ones and a NUL. Doubles, at most up to `limit`. NULL: no memory, buffer stands. */
static void *grow(void *buffer, size_t size, size_t more, size_t start, size_t limit, size_t *space)
{
	size_t wanted = size + more + 1, larger = MAX(wanted, MIN(MAX(*space * 2, start), limit + 1));
	void *moved;

	if (wanted <= *space)
		return buffer;
	moved = g_try_realloc(buffer, larger);
	if (moved)
		*space = larger;
	return moved;
}

void stomp_parser_trim(struct stomp_parser *parser)
{
	if (parser->state != BETWEEN || parser->body_space <= BODY_KEEP)
		return;
	g_clear_pointer(&parser->body, g_free);
	parser->body_size = parser->body_space = 0;
	parser->body_is_ours = false;
}

static void reset_frame(struct stomp_parser *parser)
{
	stomp_parser_trim(parser);
	parser->head_size = parser->body_size = 0;
	parser->body_is_ours = false;
}

/* ---- header block ---- */

/* Decodes in place; NULL: an escape the standard does not know. Returns the end (where the NUL stands). */
static char *decode(char *text, char *end)
{
	char *out = text, *backslash = memchr(text, '\\', (size_t)(end - text));

	if (!backslash)
		return end;
	out = backslash;
	for (char *in = backslash; in < end; in++) {
		if (*in != '\\') {
			*out++ = *in;
			continue;
		}
		if (++in == end)
			return NULL;
		switch (*in) {
		case '\\':
			*out++ = '\\';
			break;
		case 'r':
			*out++ = '\r';
			break;
		case 'n':
			*out++ = '\n';
			break;
		case 'c':
			*out++ = ':';
			break;
		default:
			return NULL;
		}
	}
	*out = '\0';
	return out;
}

static bool parse_length(const char *text, size_t *ret_length)
{
	size_t length = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (!g_ascii_isdigit(*text))
			return false;
		if (length > SIZE_MAX / 16)     /* beyond any bound already; the rest only has to be digits */
			continue;
		length = length * 10 + (size_t)(*text - '0');
	}
	*ret_length = length;
	return true;
}

/* Rewrites the complete block "COMMAND\nname:value\n...\n" to strings and decides how the body ends. NULL, or why it is malformed. */
static const char *open_block(struct stomp_parser *parser)
{
	char *line = parser->head, *end = parser->head + parser->head_size, *out;
	char *newline = memchr(line, '\n', (size_t)(end - line));
	bool escapes;
	size_t command_size = (size_t)(newline - line);

	if (memchr(line, '\0', parser->head_size))
		return "NUL in the header block";
	if (command_size && line[command_size - 1] == '\r')
		command_size--;
	line[command_size] = '\0';
	parser->command = line;
	escapes = strcmp(line, "CONNECT") && strcmp(line, "STOMP") && strcmp(line, "CONNECTED");

	/* Each name and value is moved down to `out`; decoding only shortens, so out never passes the line being read. */
	out = newline + 1;
	parser->headers = out;
	for (line = newline + 1; line < end; line = newline + 1) {
		char *colon, *stop, *name_end, *value_end;

		newline = memchr(line, '\n', (size_t)(end - line));
		stop = newline > line && newline[-1] == '\r' ? newline - 1 : newline;
		if (stop == line)
			break;
		colon = memchr(line, ':', (size_t)(stop - line));
		if (!colon)
			return "header line without ':'";
		*colon = *stop = '\0';
		name_end = escapes ? decode(line, colon) : colon;
		value_end = escapes ? decode(colon + 1, stop) : stop;
		if (!name_end || !value_end)
			return "unknown escape in a header";
		memmove(out, line, (size_t)(name_end - line) + 1);
		out += name_end - line + 1;
		memmove(out, colon + 1, (size_t)(value_end - colon));
		out += value_end - colon;
	}
	parser->headers_size = (size_t)(out - parser->headers);
	return NULL;
}

/* Where the block's empty line ends when `bytes` follow what is collected; 0: not in there. Looks only at the new bytes. */
static size_t find_block_end(const struct stomp_parser *parser, const uint8_t *bytes, size_t n)
{
	const uint8_t *at = bytes, *stop = bytes + n;

	while ((at = memchr(at, '\n', (size_t)(stop - at)))) {
		size_t before = parser->head_size + (size_t)(at - bytes);
		/* The byte `back` places before this newline, in the new bytes or in the collected ones. */
#define BYTE_BEFORE(back) ((size_t)(at - bytes) >= (back) ? (char)at[-(ptrdiff_t)(back)] : parser->head[before - (back)])
		if (before >= 1 && (BYTE_BEFORE(1) == '\n' || (before >= 2 && BYTE_BEFORE(1) == '\r' && BYTE_BEFORE(2) == '\n')))
			return (size_t)(at - bytes) + 1;
#undef BYTE_BEFORE
		at++;
	}
	return 0;
}

/* ---- the parser ---- */

static void frame_done(struct stomp_parser *parser, const uint8_t *body, size_t size, struct stomp_frame *ret_frame)
{
	parser->state = BETWEEN;
	ret_frame->command = parser->command;
	ret_frame->headers = parser->headers;
	ret_frame->headers_size = parser->headers_size;
	ret_frame->body = body;
	ret_frame->body_size = size;
}

static bool collect_body(struct stomp_parser *parser, const uint8_t *bytes, size_t n, size_t limit)
{
	void *moved;

	if (!n)
		return true;
	moved = grow(parser->body, parser->body_size, n, MIN((size_t)BODY_START, limit + 1), limit, &parser->body_space);
	if (!moved)
		return false;
	parser->body = moved;
	memcpy(parser->body + parser->body_size, bytes, n);
	parser->body_size += n;
	return true;
}

static void frame_from_buffer(struct stomp_parser *parser, struct stomp_frame *ret_frame)
{
	parser->body[parser->body_size] = '\0';
	parser->body_is_ours = true;
	frame_done(parser, parser->body, parser->body_size, ret_frame);
}

/* Header bytes from bytes[*used]. STOMP_FRAME here means: the block is complete, go on with the body. */
static enum stomp_result parse_head(struct stomp_parser *parser, const uint8_t *bytes, size_t n, size_t *used, const char **ret_reason)
{
	size_t left = n - *used, end = find_block_end(parser, bytes + *used, left), take = end ? end : left;
	struct stomp_frame frame;
	const char *text, *problem;
	void *moved;

	if (take > parser->header_max - parser->head_size)
		return lost(parser, STOMP_TOO_LARGE, "header block is too large", ret_reason);
	moved = grow(parser->head, parser->head_size, take, HEAD_START, parser->header_max, &parser->head_space);
	if (!moved)
		return lost(parser, STOMP_TOO_LARGE, "no memory for the header block", ret_reason);
	parser->head = moved;
	memcpy(parser->head + parser->head_size, bytes + *used, take);
	parser->head_size += take;
	parser->head[parser->head_size] = '\0';
	*used += take;
	if (!end)
		return STOMP_MORE;

	problem = open_block(parser);
	if (problem)
		return lost(parser, STOMP_MALFORMED, problem, ret_reason);
	frame = (struct stomp_frame){ .headers = parser->headers, .headers_size = parser->headers_size };
	text = stomp_header(&frame, "content-length");
	parser->state = text ? COUNTED : BODY;
	if (text && !parse_length(text, &parser->expected))
		return lost(parser, STOMP_MALFORMED, "content-length is not a number", ret_reason);
	if (text && parser->expected > parser->body_max)
		return lost(parser, STOMP_TOO_LARGE, "body is too large", ret_reason);
	return STOMP_FRAME;
}

static enum stomp_result parse_counted(struct stomp_parser *parser, const uint8_t *bytes, size_t n, size_t *used, struct stomp_frame *ret_frame,
				       const char **ret_reason) {
	size_t left = n - *used, take;

	if (!parser->body_size && left > parser->expected) {
		const uint8_t *body = bytes + *used;

		if (body[parser->expected] != '\0')
			return lost(parser, STOMP_MALFORMED, "body does not end at content-length", ret_reason);
		*used += parser->expected + 1;
		frame_done(parser, body, parser->expected, ret_frame);
		return STOMP_FRAME;
	}
	take = MIN(left, parser->expected - parser->body_size);
	if (!collect_body(parser, bytes + *used, take, parser->expected))
		return lost(parser, STOMP_TOO_LARGE, "no memory for the body", ret_reason);
	*used += take;
	if (*used == n)
		return STOMP_MORE;
	if (bytes[*used] != '\0')
		return lost(parser, STOMP_MALFORMED, "body does not end at content-length", ret_reason);
	*used += 1;
	frame_from_buffer(parser, ret_frame);
	return STOMP_FRAME;
}

static enum stomp_result parse_body(struct stomp_parser *parser, const uint8_t *bytes, size_t n, size_t *used, struct stomp_frame *ret_frame,
				    const char **ret_reason) {
	const uint8_t *body = bytes + *used, *nul = memchr(body, '\0', n - *used);
	size_t take = nul ? (size_t)(nul - body) : n - *used;

	if (take > parser->body_max - parser->body_size)
		return lost(parser, STOMP_TOO_LARGE, "body is too large", ret_reason);
	if (nul && !parser->body_size) {
		*used += take + 1;
		frame_done(parser, body, take, ret_frame);
		return STOMP_FRAME;
	}
	if (!collect_body(parser, body, take, parser->body_max))
		return lost(parser, STOMP_TOO_LARGE, "no memory for the body", ret_reason);
	*used += take;
	if (!nul)
		return STOMP_MORE;
	*used += 1;
	frame_from_buffer(parser, ret_frame);
	return STOMP_FRAME;
}

enum stomp_result stomp_parse(struct stomp_parser *parser, const uint8_t *bytes, size_t n, size_t *ret_used, struct stomp_frame *ret_frame,
			      const char **ret_reason) {
	enum stomp_result result;
	size_t used = 0;

	*ret_used = 0;
	if (parser->state == LOST) {
		*ret_reason = parser->reason;
		return parser->result;
	}
	if (parser->state == BETWEEN) {
		while (used < n && (bytes[used] == '\n' || bytes[used] == '\r'))
			used++;
		if (used == n) {
			*ret_used = n;
			return STOMP_MORE;
		}
		reset_frame(parser);
		parser->state = HEAD;
	}
	if (parser->state == HEAD) {
		result = parse_head(parser, bytes, n, &used, ret_reason);
		if (result != STOMP_FRAME || used == n) {
			*ret_used = used;
			return result == STOMP_FRAME ? STOMP_MORE : result;
		}
	}
	result = parser->state == COUNTED ? parse_counted(parser, bytes, n, &used, ret_frame, ret_reason) :
					    parse_body(parser, bytes, n, &used, ret_frame, ret_reason);
	*ret_used = used;
	return result;
}

const char *stomp_header(const struct stomp_frame *frame, const char *name)
{
	const char *at = frame->headers, *end = frame->headers + frame->headers_size;

	while (at < end) {
		const char *value = at + strlen(at) + 1;

		if (!strcmp(at, name))
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}

/* ---- frames that live longer ---- */

struct stolen {
	struct stomp_frame frame;       /* first: stomp_frame_free() gets its address */
	char *head;
	uint8_t *body;
};

struct stomp_frame *stomp_frame_steal(struct stomp_parser *parser, const struct stomp_frame *frame)
{
	struct stolen *stolen = g_new0(struct stolen, 1);

	stolen->frame = *frame;
	stolen->head = g_steal_pointer(&parser->head);
	parser->head_size = parser->head_space = 0;
	if (parser->body_is_ours) {
		stolen->body = g_steal_pointer(&parser->body);
		parser->body_size = parser->body_space = 0;
		parser->body_is_ours = false;
	} else {
		stolen->body = g_malloc(frame->body_size + 1);
		memcpy(stolen->body, frame->body, frame->body_size);
		stolen->body[frame->body_size] = '\0';
		stolen->frame.body = stolen->body;
	}
	return &stolen->frame;
}

struct stomp_frame *stomp_frame_free(struct stomp_frame *frame)
{
	struct stolen *stolen = (struct stolen *)frame;

	if (!stolen)
		return NULL;
	g_free(stolen->head);
	g_free(stolen->body);
	g_free(stolen);
	return NULL;
}

/* ---- building ---- */

void stomp_escape(GString *out, const char *text)
{
	for (;;) {
		size_t plain = strcspn(text, "\\\r\n:");

		g_string_append_len(out, text, (gssize)plain);
		text += plain;
		if (!*text)
			return;
		g_string_append(out, *text == '\\' ? "\\\\" : *text == '\r' ? "\\r" : *text == '\n' ? "\\n" : "\\c");
		text++;
	}
}

GString *stomp_begin(const char *command)
{
	GString *out = g_string_sized_new(240);

	g_string_append(out, command);
	g_string_append_c(out, '\n');
	return out;
}

void stomp_add(GString *out, const char *name, const char *value)
{
	g_string_append(out, name);
	g_string_append_c(out, ':');
	stomp_escape(out, value);
	g_string_append_c(out, '\n');
}

void stomp_add_plain(GString *out, const char *name, const char *value)
{
	g_string_append(out, name);
	g_string_append_c(out, ':');
	g_string_append(out, value);
	g_string_append_c(out, '\n');
}

static void append_number(GString *out, size_t number)
{
	char digits[24];

	g_string_append_len(out, digits, g_snprintf(digits, sizeof(digits), "%zu", number));
}

GBytes *stomp_end(GString *out, const struct stomp_part *parts, unsigned n_parts)
{
	size_t size = 0;

	if (n_parts) {
		for (unsigned i = 0; i < n_parts; i++)
			size += parts[i].size;
		g_string_append_len(out, "content-length:", 15);
		append_number(out, size);
		g_string_append_c(out, '\n');
	}
	g_string_append_c(out, '\n');
	for (unsigned i = 0; i < n_parts; i++)
		g_string_append_len(out, parts[i].text, (gssize)parts[i].size);
	g_string_append_c(out, '\0');
	return g_string_free_to_bytes(out);
}
