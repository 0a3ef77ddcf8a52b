/* SPDX-License-Identifier: Apache-2.0 */
/* JSON-RPC: what is a request, and the exact bytes of what we write. */
#include <string.h>
#include "common/error.h"
#include "proto/jsonrpc.h"
#include "tests/unit/cmocka-all.h"

static json_t *load(const char *text)
{
	json_t *json = jsonrpc_load(text, strlen(text));

	assert_non_null(json);
	return json;
}

static void test_requests(void **state)
{
	json_t *json = load("{\"jsonrpc\": \"2.0\", \"method\": \"VM.getStats\", \"params\": {\"vmID\": \"x\"}, \"id\": \"7\", \"more\": 1}");
	struct jsonrpc_request request;
	GError *error = NULL;

	assert_true(jsonrpc_request(json, &request, &error));
	assert_null(error);
	assert_string_equal(request.method, "VM.getStats");
	assert_string_equal(json_string_value(json_object_get(request.params, "vmID")), "x");
	assert_string_equal(json_string_value(request.id), "7");
	json_decref(json);

	json = load("{\"jsonrpc\": \"2.0\", \"method\": \"a\", \"params\": [1], \"id\": -3}");
	assert_true(jsonrpc_request(json, &request, &error));
	assert_true(json_is_array(request.params));
	assert_int_equal(json_integer_value(request.id), -3);
	json_decref(json);

	json = load("{\"jsonrpc\": \"2.0\", \"method\": \"a\"}");
	assert_true(jsonrpc_request(json, &request, &error));
	assert_null(request.params);
	assert_null(request.id);
	json_decref(json);

	json = load("{\"jsonrpc\": \"2.0\", \"method\": \"a\", \"id\": null}");
	assert_true(jsonrpc_request(json, &request, &error));
	assert_null(request.id);
	json_decref(json);
}

static void test_invalid_requests(void **state)
{
	static const struct { const char *text, *message; } rows[] = {
		{ "1", "Invalid request: {'request': 1, 'reason': 'the request is not an object'}" },
		{ "\"it's\"", "Invalid request: {'request': \"it's\", 'reason': 'the request is not an object'}" },
		{ "[]", "Invalid request: {'request': [], 'reason': 'the request is not an object'}" },
		{ "{\"method\": \"a\", \"id\": 1}", "Invalid request: {'request': {'method': 'a', 'id': 1}, 'reason': 'wrong protocol version'}" },
		{ "{\"jsonrpc\": 2.0}", "Invalid request: {'request': {'jsonrpc': 2.0}, 'reason': 'wrong protocol version'}" },
		{ "{\"jsonrpc\": \"2.0\"}", "Invalid request: {'request': {'jsonrpc': '2.0'}, 'reason': 'the method is missing or not a string'}" },
		{ "{\"jsonrpc\": \"2.0\", \"method\": \"a\", \"params\": true}",
		  "Invalid request: {'request': {'jsonrpc': '2.0', 'method': 'a', 'params': True}, "
		  "'reason': 'the params are neither an object nor an array'}" },
		{ "{\"jsonrpc\": \"2.0\", \"method\": \"a\", \"id\": 1.5}",
		  "Invalid request: {'request': {'jsonrpc': '2.0', 'method': 'a', 'id': 1.5}, 'reason': 'the id is neither a string nor an integer'}" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		json_t *json = load(rows[i].text);
		g_autoptr(GError) error = NULL;
		struct jsonrpc_request request;

		assert_false(jsonrpc_request(json, &request, &error));
		assert_true(error_is(error, ERR_JSONRPC_INVALID_REQUEST));
		assert_string_equal(error->message, rows[i].message);
		json_decref(json);
	}
}

static void test_not_json(void **state)
{
	static const char *const texts[] = { "", "{", "{\"a\": 1", "nul", "{'a': 1}", "[1] x", "\"\xff\"", "{\"a\\u0000b\": 1}" };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		assert_null(jsonrpc_load(texts[i], strlen(texts[i])));

	/* deep nesting is refused, not recursed into without end */
	g_autofree char *deep = g_strnfill(1000000, '[');

	assert_null(jsonrpc_load(deep, 1000000));
}

static void test_written_bytes(void **state)
{
	g_autoptr(GString) out = g_string_new(NULL);
	json_t *id = load("\"a\\\"\\u00fc\\ud83d\\ude00\\n\\u007f\"");

	jsonrpc_write_result(out, id, "{\"a\": 1}", 8);
	assert_string_equal(out->str, "{\"jsonrpc\": \"2.0\", \"id\": \"a\\\"\\u00fc\\ud83d\\ude00\\n\\u007f\", \"result\": {\"a\": 1}}");
	json_decref(id);

	id = json_integer(-12345678901234);
	g_string_truncate(out, 0);
	jsonrpc_write_result(out, id, "true", 4);
	assert_string_equal(out->str, "{\"jsonrpc\": \"2.0\", \"id\": -12345678901234, \"result\": true}");
	json_decref(id);

	g_string_truncate(out, 0);
	jsonrpc_write_error(out, NULL, -32700, "bad\t\"\\\b\f\r\x01\x1f/ \xff \xc3\xbc");
	assert_string_equal(out->str, "{\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": -32700, "
				      "\"message\": \"bad\\t\\\"\\\\\\b\\f\\r\\u0001\\u001f/ \\ufffd \\u00fc\"}}");

	g_string_truncate(out, 0);
	jsonrpc_write_request_head(out, "|virt|VM_status|x", true);
	g_string_append(out, "{}");
	jsonrpc_write_request_tail(out, NULL);
	assert_string_equal(out->str, "{\"jsonrpc\": \"2.0\", \"method\": \"|virt|VM_status|x\", \"params\": {}}");

	g_string_truncate(out, 0);
	jsonrpc_write_request_head(out, "Host.ping", false);
	jsonrpc_write_request_tail(out, "id");
	assert_string_equal(out->str, "{\"jsonrpc\": \"2.0\", \"method\": \"Host.ping\", \"id\": \"id\"}");
}

static void assert_python(const char *json_text, size_t limit, const char *expected)
{
	json_t *json = load(json_text);
	g_autoptr(GString) out = g_string_new(">");

	jsonrpc_write_python(out, json, limit);
	assert_string_equal(out->str + 1, expected);
	assert_true(out->len <= 1 + limit + 3);
	json_decref(json);
}

static void test_python(void **state)
{
	assert_python("{\"a\": [null, true, false, 1, -2.5, 1e300, 3.0], \"b\": {}}", 1000,
		      "{'a': [None, True, False, 1, -2.5, 1e+300, 3.0], 'b': {}}");
	assert_python("[\"it's\", \"say \\\"it's\\\"\", \"\\\\\\n\\t\\u0001\\u00fc\\u2028\"]", 1000,
		      "[\"it's\", 'say \"it\\'s\"', '\\\\\\n\\t\\x01\xc3\xbc\\u2028']");
	assert_python("{\"password\": \"secret\", \"_X_tpmdata\": {\"a\": 1}, \"x\": {\"password\": 1}}", 1000,
		      "{'password': '********', '_X_tpmdata': '********', 'x': {'password': '********'}}");
	assert_python("{\"newPassword\": \"secret\", \"methodArgs\": {\"headers\": {\"X-Auth-Token\": \"t\"}}}", 1000,
		      "{'newPassword': '********', 'methodArgs': '********'}");
	assert_python("\"abcdef\"", 8, "'abcdef'");
	assert_python("\"abcdef\"", 7, "'abcdef...");
	assert_python("[1, 2, 3, 4, 5, 6, 7, 8, 9]", 5, "[1, 2...");
	/* never half a character */
	assert_python("\"\\u00fc\\u00fc\\u00fc\"", 4, "'\xc3\xbc...");
}

static void test_answers(void **state)
{
	json_t *json = load("{\"jsonrpc\": \"2.0\", \"id\": \"1\", \"result\": null}");
	struct jsonrpc_answer answer;

	assert_true(jsonrpc_answer(json, &answer));
	assert_true(json_is_null(answer.result));
	assert_string_equal(json_string_value(answer.id), "1");
	json_decref(json);

	json = load("{\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": 1, \"message\": \"m\"}}");
	assert_true(jsonrpc_answer(json, &answer));
	assert_null(answer.id);
	assert_null(answer.result);
	assert_int_equal(answer.code, 1);
	assert_string_equal(answer.message, "m");
	json_decref(json);

	json = load("{\"jsonrpc\": \"2.0\", \"method\": \"|net|host_conn|no_id\", \"params\": {\"notify_time\": 1}}");
	assert_true(jsonrpc_answer(json, &answer));
	assert_string_equal(answer.method, "|net|host_conn|no_id");
	assert_true(json_is_object(answer.params));
	json_decref(json);

	static const char *const neither[] = { "1", "{}", "{\"jsonrpc\": \"2.0\"}", "{\"jsonrpc\": \"2.0\", \"id\": 1, \"error\": 5}",
					       "{\"jsonrpc\": \"2.0\", \"id\": 1, \"error\": {\"code\": 99999999999}}", "{\"id\": 1, \"result\": 1}" };

	for (size_t i = 0; i < G_N_ELEMENTS(neither); i++) {
		json = load(neither[i]);
		assert_false(jsonrpc_answer(json, &answer));
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_invalid_requests),
		cmocka_unit_test(test_not_json),
		cmocka_unit_test(test_written_bytes),
		cmocka_unit_test(test_python),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
