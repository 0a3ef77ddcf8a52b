/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer may send as a body: read as request and as answer, quoted in errors; everything written about it must be JSON again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "common/error.h"
#include "proto/jsonrpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_json(const GString *text, const json_t *id)
{
	json_t *again;

	for (size_t i = 0; i < text->len; i++)
		must(text->str[i] >= ' ' && text->str[i] < 0x7f);
	again = jsonrpc_load(text->str, text->len);
	must(again);
	must(id ? json_equal(json_object_get(again, "id"), id) : json_is_null(json_object_get(again, "id")));
	json_decref(again);
}

static void one(const json_t *value)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	struct jsonrpc_request request;
	struct jsonrpc_answer answer;

	if (jsonrpc_request(value, &request, &error)) {
		jsonrpc_write_result(out, request.id, "true", 4);
		check_json(out, request.id);
		g_string_truncate(out, 0);
		jsonrpc_write_error(out, request.id, 1, request.method);
		check_json(out, request.id);
	} else {
		must(error_is(error, ERR_JSONRPC_INVALID_REQUEST) && strlen(error->message) < 2 * JSONRPC_ECHO_MAX);
		must(g_utf8_validate(error->message, -1, NULL));
		jsonrpc_write_error(out, NULL, error->code, error->message);
		check_json(out, NULL);
	}
	if (jsonrpc_answer(value, &answer))
		must(answer.method || !answer.result == !!answer.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = jsonrpc_load((const char *)data, size);
	g_autoptr(GString) out = g_string_new(NULL);

	/* any bytes, as a message that came from elsewhere */
	g_autofree char *text = g_strndup((const char *)data, size);
	jsonrpc_write_error(out, NULL, 1, text);
	check_json(out, NULL);

	if (!json)
		return 0;
	one(json);
	for (size_t i = 0; i < json_array_size(json); i++)
		one(json_array_get(json, i));
	for (size_t limit = 0; limit < 40; limit += 7) {
		g_string_truncate(out, 0);
		jsonrpc_write_python(out, json, limit);
		must(out->len <= limit + 3 && g_utf8_validate(out->str, (gssize)out->len, NULL));
	}
	json_decref(json);
	return 0;
}
