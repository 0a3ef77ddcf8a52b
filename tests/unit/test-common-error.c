/* SPDX-License-Identifier: Apache-2.0 */
/* The table of errors is whole, and messages are made as error.h says. */
#include <errno.h>
#include <string.h>
#include "common/error.h"
#include "tests/unit/cmocka-all.h"

static const struct {
	const char *symbol, *name, *text;
	int code, http;
	enum error_retry retry;
} rows[] = {
#define ERROR_ROW(code, symbol, name, http, retry, text) { #symbol, (name), (text), (code), (http), (retry) },
#include "common/error_table.h"
#undef ERROR_ROW
};

static void test_rows_are_whole_and_in_order(void **state)
{
	g_autoptr(GHashTable) symbols = g_hash_table_new(g_str_hash, g_str_equal);

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		assert_true(g_hash_table_add(symbols, (char *)rows[i].symbol));
		assert_true(*rows[i].name && *rows[i].text);
		assert_null(strstr(rows[i].text, "built from context"));
		assert_in_range(rows[i].http, 200, 599);
		if (i)
			assert_true(rows[i].code > rows[i - 1].code);
	}
}

static void test_every_row_is_found(void **state)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const struct error_info *info = error_info(rows[i].code);

		assert_int_equal(info->code, rows[i].code);
		assert_string_equal(info->text, rows[i].text);
	}
}

static void test_known_numbers(void **state)
{
	assert_int_equal(ERR_NONE, 0);
	assert_int_equal(ERR_NO_SUCH_VM, 1);
	assert_int_equal(ERR_RECOVERY_IN_PROGRESS, 99);
	assert_int_equal(ERR_GENERAL, 100);
	assert_int_equal(ERR_RESOURCE_EXHAUSTED, 1100);
	assert_int_equal(ERR_MESSAGE_TIMEOUT, 5022);
	assert_int_equal(ERR_JSONRPC_PARSE, -32700);
	assert_string_equal(error_info(ERR_NO_SUCH_VM)->name, "NoSuchVM");
	assert_int_equal(error_info(ERR_NO_SUCH_VM)->http_status, 404);
	assert_int_equal(error_info(ERR_NO_SUCH_VM)->retry, RETRY_AFTER_REFRESH);
	assert_int_equal(error_info(ERR_RECOVERY_IN_PROGRESS)->retry, RETRY_LATER);
}

/* A mistake of Berth's own, or nobody knows what it is. Whoever wants one more: whose mistake is it, what should the client do? */
static void test_few_rows_are_mistakes_of_our_own(void **state)
{
	static const int ours[] = { ERR_JSONRPC_INTERNAL, ERR_INVALID_JOB, ERR_INVALID_RECOVERY, ERR_INVALID_TASK_MNG,
				    ERR_STORE_FAILED, ERR_CONFIG_INVALID };
	size_t n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (rows[i].http == 500) {
			assert_true(n < G_N_ELEMENTS(ours));
			assert_int_equal(rows[i].code, ours[n++]);
		}
	assert_int_equal(n, G_N_ELEMENTS(ours));
}

/* What can never work is not to be tried again, and what is only "not now" is. */
static void test_status_and_retry_agree(void **state)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (rows[i].http == 400)
			assert_int_not_equal(rows[i].retry, RETRY_LATER);
		if (rows[i].http == 503 || rows[i].http == 504)
			assert_int_equal(rows[i].retry, RETRY_LATER);
	}
}

static void test_unknown_code_is_general(void **state)
{
	assert_int_equal(error_info(424242)->code, ERR_GENERAL);
}

static void test_message(void **state)
{
	g_autoptr(GError) plain = NULL, context = NULL, system = NULL, literal = NULL;

	error_set(&plain, ERR_NO_SUCH_VM, NULL);
	assert_string_equal(plain->message, "Virtual machine does not exist");
	error_set(&context, ERR_BAD_VALUE, "disk '%s': size %d is below %d", "d3", 12, 512);
	assert_string_equal(context->message, "Invalid value: disk 'd3': size 12 is below 512");
	error_set_errno(&system, ERR_IO_FAILED, ENOENT, "open '%s'", "/x");
	assert_string_equal(system->message, "Input or output failed: open '/x': No such file or directory");
	error_set_literal(&literal, -32601, "as the peer said 100%");
	assert_string_equal(literal->message, "as the peer said 100%");
	assert_true(error_is(literal, ERR_JSONRPC_NO_METHOD));
	error_set(NULL, ERR_NO_SUCH_VM, "nobody %d", 1);
}

static void test_wrap(void **state)
{
	g_autoptr(GError) error = NULL;

	error_wrap(&error, "nothing %d", 1);
	assert_null(error);
	error_wrap(NULL, "nothing");
	error_set(&error, ERR_NO_SUCH_VM, NULL);
	error_wrap(&error, "prepare disk %s", "d3");
	error_wrap(&error, "start VM %s", "web1");
	assert_string_equal(error->message, "start VM web1: prepare disk d3: Virtual machine does not exist");
	assert_true(error_is(error, ERR_NO_SUCH_VM));
	g_clear_error(&error);
	/* what only says that it failed is not repeated in the middle */
	error_set(&error, ERR_OPERATION_FAILED, "no host can run it");
	error_wrap(&error, "reserve");
	error_wrap(&error, "start VM %s", "web1");
	assert_string_equal(error->message, "start VM web1: reserve: no host can run it");
	assert_true(error_is(error, ERR_OPERATION_FAILED));
	g_clear_error(&error);
	error_set(&error, ERR_OPERATION_FAILED, NULL);
	error_wrap(&error, "reserve");
	assert_string_equal(error->message, "reserve: Operation Failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_whole_and_in_order),
		cmocka_unit_test(test_every_row_is_found),
		cmocka_unit_test(test_known_numbers),
		cmocka_unit_test(test_few_rows_are_mistakes_of_our_own),
		cmocka_unit_test(test_status_and_retry_agree),
		cmocka_unit_test(test_unknown_code_is_general),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
