/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cmocka-all.h"

#include "engine/api/exchange.h"
#include "engine/api/negotiate.h"

static void test_accept(void **state)
{
	const struct { const char *accept; enum format format; } rows[] = {
		{ NULL, FORMAT_XML }, { "", FORMAT_XML }, { "  ", FORMAT_XML }, { "*/*", FORMAT_XML }, { "application/xml", FORMAT_XML },
			{ "application/json", FORMAT_JSON },
		{ "text/html, image/gif, */*; q=.2", FORMAT_XML }, { "application/json;q=0.5,application/xml;q=0.4", FORMAT_JSON },
			{ "application/*", FORMAT_XML },
		{ "application/xml;q=0.1, */*", FORMAT_JSON }, { "*/*, application/xml;q=0", FORMAT_JSON },
			{ "application/json ; charset=utf-8", FORMAT_JSON },
		{ "text/xml", FORMAT_XML }, { "text/csv", FORMAT_NONE }, { "application/xml;q=0", FORMAT_NONE }, { "application/xmlx", FORMAT_NONE },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		enum format format = FORMAT_NONE;
		bool ok = negotiate_accept(rows[i].accept, &format, NULL);
		assert_int_equal(ok, rows[i].format != FORMAT_NONE);
		assert_int_equal(format, rows[i].format);
	}
}

static void test_details(void **state)
{
	const char *const accepts[] = { "application/xml; detail=statistics+nics+disks",
		"application/xml; detail=statistics; detail=nics;detail=\"disks\"",
					"application/xml;detail=statistics+nics;detail=nics+disks" };
	for (size_t i = 0; i < G_N_ELEMENTS(accepts); i++) {
		GPtrArray *details = g_ptr_array_new_with_free_func(g_free);
		enum format format;
		assert_true(negotiate_accept(accepts[i], &format, details));
		assert_int_equal(details->len, 3);
		assert_string_equal(details->pdata[0], "statistics");
		assert_string_equal(details->pdata[1], "nics");
		assert_string_equal(details->pdata[2], "disks");
		g_ptr_array_unref(details);
	}
}

static void test_content(void **state)
{
	assert_int_equal(negotiate_content(NULL), FORMAT_NONE);
	assert_int_equal(negotiate_content("application/xml"), FORMAT_XML);
	assert_int_equal(negotiate_content(" Application/XML ; charset=UTF-8"), FORMAT_XML);
	assert_int_equal(negotiate_content("application/json;charset=x"), FORMAT_JSON);
	assert_int_equal(negotiate_content("application/x-www-form-urlencoded"), FORMAT_NONE);
	assert_int_equal(negotiate_content("*/*"), FORMAT_NONE);
}

static void test_tokens(void **state)
{
	struct exchange_header headers[] = { { "Prefer", "wait=10, handling = strict" }, { "prefer", "persistent-auth; x" },
		{ "Expect", "201-created" } };
	struct exchange *exchange = exchange_new();
	char *value = NULL;
	exchange->headers = g_memdup2(headers, sizeof(headers));
	exchange->n_headers = G_N_ELEMENTS(headers);
	assert_true(exchange_has_token(exchange, "PREFER", "Persistent-Auth", NULL));
	assert_true(exchange_has_token(exchange, "Prefer", "handling", &value));
	assert_string_equal(value, "strict");
	g_free(value);
	assert_true(exchange_has_token(exchange, "Expect", "201-created", NULL));
	assert_false(exchange_has_token(exchange, "Expect", "201", NULL));
	assert_false(exchange_has_token(exchange, "Prefer", "persistent", NULL));
	exchange_add_header(exchange, "X", "%s", "a\r\nSet-Cookie: b");
	assert_string_equal(exchange->extra->str, "X: a  Set-Cookie: b\r\n");
	exchange_free(exchange);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_accept), cmocka_unit_test(test_details), cmocka_unit_test(test_content),
		cmocka_unit_test(test_tokens) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
