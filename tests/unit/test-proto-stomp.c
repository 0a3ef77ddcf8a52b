/* SPDX-License-Identifier: Apache-2.0 */
/* STOMP frames: whatever way the bytes are cut, what is refused, what is built. */
#include <string.h>
#include "proto/stomp.h"
#include "tests/unit/cmocka-all.h"

#define HEADER_MAX 256
#define BODY_MAX 4096

struct seen {
	enum stomp_result result;       /* of the last call */
	const char *reason;
	GPtrArray *frames;              /* struct stomp_frame, stolen */
};

static void free_frame(void *frame)
{
	stomp_frame_free(frame);
}

/* Feeds the bytes in pieces of this size. */
static struct seen feed(const char *bytes, size_t n, size_t piece)
{
	struct stomp_parser *parser = stomp_parser_new(HEADER_MAX, BODY_MAX);
	struct seen seen = { .result = STOMP_MORE, .frames = g_ptr_array_new_with_free_func(free_frame) };

	for (size_t at = 0; at < n && seen.result < STOMP_TOO_LARGE; at += piece) {
		size_t size = MIN(piece, n - at);
		/* a copy of exactly this size: the sanitizer sees who reads beyond */
		g_autofree uint8_t *copy = g_memdup2(bytes + at, size);

		for (size_t done = 0; done < size && seen.result < STOMP_TOO_LARGE;) {
			struct stomp_frame frame;
			size_t used;

			seen.result = stomp_parse(parser, copy + done, size - done, &used, &frame, &seen.reason);
			assert_true(used > 0 || seen.result >= STOMP_TOO_LARGE);
			done += used;
			if (seen.result == STOMP_FRAME)
				g_ptr_array_add(seen.frames, stomp_frame_steal(parser, &frame));
		}
	}
	stomp_parser_free(parser);
	return seen;
}

#define FEED(text, piece) feed((text), sizeof(text) - 1, (piece))

static const struct stomp_frame *frame_at(const struct seen *seen, guint index)
{
	assert_true(index < seen->frames->len);
	return g_ptr_array_index(seen->frames, index);
}

static void assert_body(const struct stomp_frame *frame, const char *body)
{
	assert_int_equal(frame->body_size, strlen(body));
	assert_memory_equal(frame->body, body, strlen(body) + 1);
}

static void test_any_cut_gives_the_same_frames(void **state)
{
	static const char bytes[] = "CONNECT\r\naccept-version:1.2\r\nhost:a\r\n\r\n\0\n\r\n\n"
				    "SEND\ndestination:q\ncontent-length:5\n\na\0b\nc\0"
				    "SEND\ndestination:q\n\n{\"x\": 1}\0\n"
				    "SEND\ncontent-length:0\n\n\0";

	for (size_t piece = 1; piece < sizeof(bytes); piece++) {
		struct seen seen = FEED(bytes, piece);

		assert_int_equal(seen.frames->len, 4);
		assert_string_equal(frame_at(&seen, 0)->command, "CONNECT");
		assert_string_equal(stomp_header(frame_at(&seen, 0), "accept-version"), "1.2");
		assert_string_equal(stomp_header(frame_at(&seen, 0), "host"), "a");
		assert_null(stomp_header(frame_at(&seen, 0), "Host"));
		assert_int_equal(frame_at(&seen, 1)->body_size, 5);
		assert_memory_equal(frame_at(&seen, 1)->body, "a\0b\nc", 6);
		assert_body(frame_at(&seen, 2), "{\"x\": 1}");
		assert_body(frame_at(&seen, 3), "");
		g_ptr_array_unref(seen.frames);
	}
}

static void test_headers(void **state)
{
	static const char bytes[] = "SEND\na:first\na:second\nb:x:y:z\nempty:\ne\\cs:\\\\ \\r \\n \\c\n:no name\n\n\0";
	struct seen seen = FEED(bytes, sizeof(bytes));
	const struct stomp_frame *frame = frame_at(&seen, 0);

	assert_string_equal(stomp_header(frame, "a"), "first");
	assert_string_equal(stomp_header(frame, "b"), "x:y:z");
	assert_string_equal(stomp_header(frame, "empty"), "");
	assert_string_equal(stomp_header(frame, "e:s"), "\\ \r \n :");
	assert_string_equal(stomp_header(frame, ""), "no name");
	assert_null(stomp_header(frame, "second"));
	g_ptr_array_unref(seen.frames);
}

static void test_connect_has_no_escapes(void **state)
{
	static const char bytes[] = "CONNECT\npasscode:a\\tb\\\n\n\0STOMP\nx:\\q\n\n\0";
	struct seen seen = FEED(bytes, 7);

	assert_string_equal(stomp_header(frame_at(&seen, 0), "passcode"), "a\\tb\\");
	assert_string_equal(stomp_header(frame_at(&seen, 1), "x"), "\\q");
	g_ptr_array_unref(seen.frames);
}

static void assert_refused(const char *bytes, size_t n, enum stomp_result result, const char *reason)
{
	for (size_t piece = 1; piece <= n; piece = piece * 3 + 1) {
		struct seen seen = feed(bytes, n, piece);

		assert_int_equal(seen.result, result);
		assert_string_equal(seen.reason, reason);
		assert_int_equal(seen.frames->len, 0);
		g_ptr_array_unref(seen.frames);
	}
}

#define REFUSED(text, reason) assert_refused((text), sizeof(text) - 1, STOMP_MALFORMED, (reason))

static void test_malformed(void **state)
{
	REFUSED("SEND\nno colon here\n\nbody\0", "header line without ':'");
	REFUSED("SEND\na:b\\t\n\n\0", "unknown escape in a header");
	REFUSED("SEND\na:b\\\n\n\0", "unknown escape in a header");
	REFUSED("SEND\na\\x:b\n\n\0", "unknown escape in a header");
	REFUSED("SEND\na:b\0\n\n\0", "NUL in the header block");
	REFUSED("SEND\ncontent-length:1x\n\na\0", "content-length is not a number");
	REFUSED("SEND\ncontent-length:-1\n\na\0", "content-length is not a number");
	REFUSED("SEND\ncontent-length:\n\na\0", "content-length is not a number");
	REFUSED("SEND\ncontent-length:2\n\nabc\0", "body does not end at content-length");
}

static void test_bounds(void **state)
{
	g_autoptr(GString) text = g_string_new("SEND\n");
	struct seen seen;

	/* exactly the header bound, counted with the empty line */
	g_string_append(text, "x:");
	while (text->len < HEADER_MAX - 2)
		g_string_append_c(text, 'y');
	g_string_append(text, "\n\n");
	assert_int_equal(text->len, HEADER_MAX);
	g_string_append_c(text, '\0');
	seen = feed(text->str, text->len, 10);
	assert_int_equal(seen.frames->len, 1);
	g_ptr_array_unref(seen.frames);
	g_string_insert_c(text, 7, 'y');
	assert_refused(text->str, text->len, STOMP_TOO_LARGE, "header block is too large");

	/* no end of the header in sight */
	g_string_assign(text, "SEND\n");
	while (text->len <= HEADER_MAX)
		g_string_append_c(text, 'x');
	assert_refused(text->str, text->len, STOMP_TOO_LARGE, "header block is too large");

	/* announced, and simply long */
	g_string_assign(text, "SEND\ncontent-length:4097\n\n");
	assert_refused(text->str, text->len, STOMP_TOO_LARGE, "body is too large");
	g_string_assign(text, "SEND\ncontent-length:99999999999999999999999999\n\n");
	assert_refused(text->str, text->len, STOMP_TOO_LARGE, "body is too large");
	g_string_assign(text, "SEND\n\n");
	for (unsigned i = 0; i < BODY_MAX; i++)
		g_string_append_c(text, 'x');
	g_string_append_c(text, '\0');
	seen = feed(text->str, text->len, 1000);
	assert_int_equal(seen.frames->len, 1);
	assert_int_equal(frame_at(&seen, 0)->body_size, BODY_MAX);
	g_ptr_array_unref(seen.frames);
	g_string_insert_c(text, 10, 'y');
	assert_refused(text->str, text->len, STOMP_TOO_LARGE, "body is too large");
}

static void test_stays_lost(void **state)
{
	struct stomp_parser *parser = stomp_parser_new(HEADER_MAX, BODY_MAX);
	struct stomp_frame frame;
	const char *reason;
	size_t used;

	assert_true(stomp_parser_idle(parser));
	assert_int_equal(stomp_parse(parser, (const uint8_t *)"X\nbad\n\n", 7, &used, &frame, &reason), STOMP_MALFORMED);
	assert_false(stomp_parser_idle(parser));
	assert_int_equal(stomp_parse(parser, (const uint8_t *)"SEND\n\n", 7, &used, &frame, &reason), STOMP_MALFORMED);
	assert_int_equal(used, 0);
	stomp_parser_free(parser);
	assert_null(stomp_parser_free(NULL));
}

/* A body that comes a few bytes at a time is collected without being moved each time. */
static void test_cost_is_linear(void **state)
{
	static const size_t size = 8 * 1024 * 1024, piece = 64;
	struct stomp_parser *parser = stomp_parser_new(HEADER_MAX, size);
	g_autofree uint8_t *bytes = g_malloc(piece);
	enum stomp_result result = STOMP_MORE;
	int64_t start = g_get_monotonic_time();
	struct stomp_frame frame;
	const char *reason;
	size_t used;

	memset(bytes, 'x', piece);
	assert_int_equal(stomp_parse(parser, (const uint8_t *)"SEND\n\n", 6, &used, &frame, &reason), STOMP_MORE);
	for (size_t done = 0; done < size; done += piece)
		assert_int_equal(stomp_parse(parser, bytes, piece, &used, &frame, &reason), STOMP_MORE);
	result = stomp_parse(parser, (const uint8_t *)"", 1, &used, &frame, &reason);
	assert_int_equal(result, STOMP_FRAME);
	assert_int_equal(frame.body_size, size);
	/* 131072 pieces; moving all that came at each one would be 550 GB */
	assert_true(g_get_monotonic_time() - start < 20 * G_USEC_PER_SEC);
	stomp_parser_free(parser);
}

static void assert_bytes(GBytes *bytes, const char *expected, size_t n)
{
	size_t size;
	const void *data = g_bytes_get_data(bytes, &size);

	assert_int_equal(size, n);
	assert_memory_equal(data, expected, n);
	g_bytes_unref(bytes);
}

static void test_building(void **state)
{
	static const char receipt[] = "RECEIPT\nreceipt-id:a\\cb\\nc\\\\d\\r\n\n", message[] = "SEND\ndestination:q\ncontent-length:7\n\n[1, 2]\n";
	GString *out = stomp_begin("RECEIPT");

	stomp_add(out, "receipt-id", "a:b\nc\\d\r");
	assert_bytes(stomp_end(out, NULL, 0), receipt, sizeof(receipt));
	out = stomp_begin("SEND");
	stomp_add(out, "destination", "q");
	assert_bytes(stomp_end(out, (struct stomp_part[]){ { "[1", 2 }, { "", 0 }, { ", 2]\n", 5 } }, 3), message, sizeof(message));
	out = stomp_begin("CONNECTED");
	stomp_add_plain(out, "session", "a:b");
	assert_bytes(stomp_end(out, NULL, 0), "CONNECTED\nsession:a:b\n\n", 24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_cut_gives_the_same_frames),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_connect_has_no_escapes),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_stays_lost),
		cmocka_unit_test(test_cost_is_linear),
		cmocka_unit_test(test_building),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
