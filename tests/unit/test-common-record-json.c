/* SPDX-License-Identifier: Apache-2.0 */
/* Records from JSON in the three dialects, and JSON text. */
#include <string.h>
#include "common/error.h"
#include "tests/unit/cmocka-all.h"
#include "tests/unit/record-sample.h"

static struct sample *read_with(const char *text, struct record_input *input, GError **error)
{
	json_t *json = json_parse(text, strlen(text), error);
	struct sample *s;

	if (!json)
		return NULL;
	s = record_from_json(&sample_type, json, input, error);
	json_decref(json);
	return s;
}

static struct sample *take(enum record_dialect dialect, const char *text)
{
	struct record_input input = { .dialect = dialect };
	g_autoptr(GError) error = NULL;
	struct sample *s = read_with(text, &input, &error);

	if (!s)
		fail_msg("%s: %s", text, error->message);
	if (input.ignored)
		fail_msg("%s: ignored %s", text, (char *)input.ignored->pdata[0]);
	return s;
}

static void refuse(const char *text, int code, const char *message)
{
	struct record_input input = { .dialect = RECORD_REST };
	g_autoptr(GError) error = NULL;
	struct sample *s = read_with(text, &input, &error);

	if (s)
		fail_msg("%s was accepted", text);
	assert_int_equal(error->code, code);
	assert_string_equal(error->message, message);
	record_input_clear(&input);
}

static void check_ignored(enum record_dialect dialect, uint32_t flags, const char *text, const char *paths)
{
	struct record_input input = { .dialect = dialect, .take = flags };
	g_autoptr(GError) error = NULL;
	struct sample *s = read_with(text, &input, &error);
	g_autofree char *got = NULL;

	if (!s)
		fail_msg("%s: %s", text, error->message);
	if (input.ignored)
		g_ptr_array_add(input.ignored, NULL);
	got = input.ignored ? g_strjoinv(" ", (char **)input.ignored->pdata) : g_strdup("");
	assert_string_equal(got, paths);
	record_unref(s);
	record_input_clear(&input);
}

static void check_guide_members(const char *text)
{
	struct sample *s = take(RECORD_REST, text);

	assert_string_equal(s->name, "web1");
	assert_int_equal(s->memory, 1073741824);
	assert_int_equal(s->sockets, 4);
	assert_true(s->stateless);
	assert_true(HAS(s, manager) && s->manager);
	assert_int_equal(s->priority, 5);
	assert_int_equal(s->stopped, INT64_C(1423550982110));
	assert_string_equal(s->cluster.id, UUID_A);
	assert_int_equal(s->boot->len, 1);
	assert_string_equal(((struct boot *)s->boot->pdata[0])->dev, "hd");
	assert_int_equal(s->usages->len, 1);
	assert_string_equal(s->usages->pdata[0], "vm");
	record_unref(s);
}

static void test_rest_members(void **state)
{
	check_guide_members("{\"name\":\"web1\",\"memory\":1073741824,\"cpu\":{\"topology\":{\"sockets\":\"4\"}},\"stateless\":\"true\","
			    "\"storage_manager\":{\"value\":\"true\",\"priority\":\"5\"},\"stop_time\":1423550982110,"
			    "\"cluster\":{\"id\":\"" UUID_A "\",\"href\":\"/x\"},\"os\":{\"boot\":[{\"dev\":\"hd\"}]},\"usages\":{\"usage\":[\"vm\"]},"
			    "\"href\":\"/api/vms/1\",\"link\":[{\"rel\":\"nics\"}],\"actions\":{\"link\":[]},\"description\":null}");
	/* native forms, one value for an array, the list in place of its wrapper, the type's name around it all */
	check_guide_members("{\"vm\":{\"name\":\"web1\",\"memory\":\"1073741824\",\"cpu\":{\"topology\":[{\"sockets\":4}]},\"stateless\":true,"
			    "\"storage_manager\":{\"value\":true,\"priority\":5.0},\"stop_time\":\"2015-02-10T06:49:42.110Z\","
			    "\"cluster\":\"" UUID_A "\",\"os\":{\"boot\":{\"dev\":\"hd\"}},\"usages\":[\"vm\"]}}");
}

static void test_rest_odd_shapes(void **state)
{
	struct sample *s = take(RECORD_REST, "{\"cpu\":{},\"memory\":\"\",\"usages\":{},\"nics\":{\"nic\":[]},\"ksm\":\"true\",\"name\":12,"
					     "\"options\":{\"option\":[\"a\",{\"name\":\"n\",\"value\":\"v\"},null]},\"cluster\":{\"name\":\"Default\"},"
					     "\"storage_manager\":\"false\"}");

	assert_false(HAS(s, memory));
	assert_int_equal(s->usages->len, 0);
	assert_int_equal(s->nics->len, 0);
	assert_true(s->ksm);
	assert_string_equal(s->name, "12");
	assert_int_equal(s->options->len, 2);
	assert_string_equal(((struct option *)s->options->pdata[0])->value, "a");
	assert_string_equal(((struct option *)s->options->pdata[1])->value, "v");
	assert_string_equal(s->cluster.name, "Default");
	assert_true(HAS(s, manager) && !s->manager);
	record_unref(s);
	s = take(RECORD_REST, "{\"ksm\":{\"enabled\":\"true\"}}");
	assert_true(s->ksm);
	record_unref(s);
	s = take(RECORD_REST, "{\"cluster\":{\"id\":17}}");
	assert_string_equal(s->cluster.id, "17");
	record_unref(s);
	s = take(RECORD_REST, "{\"usages\":\"vm\"}");
	assert_int_equal(s->usages->len, 1);
	record_unref(s);
}

static void test_ignored(void **state)
{
	check_ignored(RECORD_REST, 0, "{\"foo\":1,\"cpu\":{\"bar\":{\"x\":1},\"topology\":3},\"nics\":{\"nic\":[{\"zip\":1,\"link\":[]},{\"zip\":1}]},"
				      "\"note\":\"x\",\"custom\":{}}", "foo cpu/bar cpu/topology nics/nic/zip note custom");
	check_ignored(RECORD_REST, CREATE, "{\"id\":\"x\",\"status\":{\"state\":\"up\"},\"name\":\"n\",\"nics\":{\"nic\":{\"id\":\"" UUID_A "\",\"rx\":1}}}",
		      "@id status/state nics/nic/rx");
	check_ignored(RECORD_REST, UPDATE, "{\"id\":\"" UUID_A "\",\"status\":{\"state\":\"up\"},\"note\":\"n\"}", "note");
	/* what only we set may have any form */
	check_ignored(RECORD_REST, CREATE, "{\"status\":\"up\",\"statistics\":[1,2]}", "status statistics");
	check_ignored(RECORD_REST, UPDATE, "{\"status\":\"up\"}", "status");
	check_ignored(RECORD_CHANNEL, 0, "{\"custom\":{\"a\":[1]},\"href\":1,\"note\":2}", "href note");
	check_ignored(RECORD_STORE, 0, "{\"name\":\"n\",\"note\":\"x\",\"gone\":1,\"nics/nic\":[{\"old\":1}]}", "gone nics/nic/old");
	check_ignored(RECORD_REST, 0, "{\"a\\nb\\u001b\\u0085\":1}", "a?b??");
}

static void test_strict(void **state)
{
	struct record_input input = { .dialect = RECORD_REST, .strict = true };
	g_autoptr(GError) error = NULL;

	assert_null(read_with("{\"nics\":{\"nic\":[{\"zip\":1}]}}", &input, &error));
	assert_true(error_is(error, ERR_UNKNOWN_MEMBER));
	assert_string_equal(error->message, "Unknown member: vm: nics/nic/zip");
}

static void test_bad_values(void **state)
{
	refuse("[]", ERR_BAD_VALUE, "Invalid value: vm: '[...]' is not an object");
	refuse("{\"name\":{}}", ERR_BAD_VALUE, "Invalid value: vm: name: '{...}' is not a text");
	refuse("{\"cpu\":{\"topology\":{\"sockets\":\"x\"}}}", ERR_BAD_VALUE, "Invalid value: vm: cpu/topology@sockets: 'x' is not an integer");
	refuse("{\"cpu\":{\"topology\":{\"sockets\":1.5}}}", ERR_BAD_VALUE, "Invalid value: vm: cpu/topology@sockets: '1.5' is not an integer");
	refuse("{\"cpu\":{\"topology\":{\"sockets\":true}}}", ERR_BAD_VALUE, "Invalid value: vm: cpu/topology@sockets: 'true' is not a number");
	refuse("{\"cpu\":{\"topology\":{\"sockets\":65}}}", ERR_BAD_VALUE, "Invalid value: vm: cpu/topology@sockets: '65' is above the maximum 64");
	refuse("{\"cpu\":{\"topology\":{\"sockets\":99999999999}}}", ERR_BAD_VALUE,
	       "Invalid value: vm: cpu/topology@sockets: '99999999999' is above the maximum 2147483647");
	refuse("{\"memory\":1e300}", ERR_BAD_VALUE, "Invalid value: vm: memory: '1e+300' is not an integer");
	refuse("{\"stateless\":1}", ERR_BAD_VALUE, "Invalid value: vm: stateless: '1' is not true or false");
	refuse("{\"stop_time\":1e17}", ERR_BAD_VALUE, "Invalid value: vm: stop_time: '1e+17' is not an integer");
	refuse("{\"stop_time\":[]}", ERR_BAD_VALUE, "Invalid value: vm: stop_time: '[...]' is not a time");
	refuse("{\"type\":\"foo\"}", ERR_BAD_VALUE, "Invalid value: vm: type: 'foo' is not a member of [desktop, server]");
	refuse("{\"cluster\":5}", ERR_BAD_VALUE, "Invalid value: vm: cluster: '5' is not a reference");
	refuse("{\"os\":{\"boot\":[\"hd\"]}}", ERR_BAD_VALUE, "Invalid value: vm: os/boot: 'hd' is not an object");
	refuse("{\"usages\":{\"usage\":[{}]}}", ERR_BAD_VALUE, "Invalid value: vm: usages/usage: '{...}' is not a text");
	refuse("{\"display\":7}", ERR_BAD_VALUE, "Invalid value: vm: display: '7' is not an object");
	refuse("{\"display\":{\"monitors\":9}}", ERR_BAD_VALUE, "Invalid value: vm: display/monitors: '9' is above the maximum 4");
}

/* A value where members belong is of the wrong type if one of them can be set. */
static void test_value_for_members(void **state)
{
	static const struct { uint32_t take; const char *text, *message; } cases[] = {
		{ CREATE, "{\"os\":7}", "Invalid value: vm: os/boot: '7' is not an object" },
		{ UPDATE, "{\"cpu\":{\"topology\":\"4\"}}", "Invalid value: vm: cpu/topology: '4' is not an object" },
		{ CREATE, "{\"memory_policy\":[1,2]}", "Invalid value: vm: memory_policy: '[...]' is not an object" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct record_input input = { .dialect = RECORD_REST, .take = cases[i].take };
		g_autoptr(GError) error = NULL;

		assert_null(read_with(cases[i].text, &input, &error));
		assert_string_equal(error->message, cases[i].message);
		record_input_clear(&input);
	}
}

static void test_syntax(void **state)
{
	static const struct { const char *text, *problem; } bad[] = {
		{ "",                        "line 1, column 1: unexpected end" },
		{ " \n ",                    "line 2, column 2: unexpected end" },
		{ "{",                       "line 1, column 2: unexpected end" },
		{ "[1,]",                    "line 1, column 4: unexpected character" },
		{ "[1 2]",                   "line 1, column 4: unexpected character" },
		{ "{\"a\"}",                 "line 1, column 5: unexpected character" },
		{ "{\"a\":1,}",              "line 1, column 8: unexpected character" },
		{ "{a:1}",                   "line 1, column 2: unexpected character" },
		{ "{} x",                    "line 1, column 4: more after the end" },
		{ "{\"a\":1,\n \"a\":2}",    "line 2, column 2: duplicate name" },
		{ "{\"a\":1,\"\\u0061\":2}", "line 1, column 8: duplicate name" },
		{ "\"abc",                   "line 1, column 5: unexpected end" },
		{ "\"a\nb\"",                "line 1, column 3: control character in a text" },
		{ "\"\\x\"",                 "line 1, column 3: bad escape" },
		{ "\"\\u12g4\"",             "line 1, column 6: bad \\u escape" },
		{ "\"\\u0000\"",             "line 1, column 8: \\u0000 is not accepted" },
		{ "\"\\ud83d\"",             "line 1, column 8: lone surrogate" },
		{ "\"\\ude00\"",             "line 1, column 8: lone surrogate" },
		{ "\"\\ud83d\\u0041\"",      "line 1, column 14: lone surrogate" },
		{ "\"\xc3(\"",               "line 1, column 2: not UTF-8" },
		{ "\"\xed\xa0\x80\"",        "line 1, column 2: not UTF-8" },
		{ "01",                      "line 1, column 2: number with leading zero" },
		{ "-",                       "line 1, column 2: unexpected end" },
		{ "1.",                      "line 1, column 3: unexpected end" },
		{ "1e+",                     "line 1, column 4: unexpected end" },
		{ "+1",                      "line 1, column 1: unexpected character" },
		{ "9223372036854775808",     "line 1, column 1: integer is out of range" },
		{ "-9223372036854775809",    "line 1, column 1: integer is out of range" },
		{ "[1e999]",                 "line 1, column 2: number is out of range" },
		{ "tru",                     "line 1, column 1: unexpected character" },
		{ "NaN",                     "line 1, column 1: unexpected character" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *expected = g_strconcat("Malformed request: JSON ", bad[i].problem, NULL);
		g_autofree char *exact = g_memdup2(bad[i].text, strlen(bad[i].text));      /* without a NUL to run into */
		g_autoptr(GError) error = NULL;

		if (json_parse(exact ? exact : "", strlen(bad[i].text), &error))
			fail_msg("%s was accepted", bad[i].text);
		assert_true(error_is(error, ERR_SYNTAX));
		assert_string_equal(error->message, expected);
	}
}

static void test_depth(void **state)
{
	for (int depth = 64; depth <= 65; depth++) {
		GString *deep = g_string_new("[\"[[\\\"[\",\n");
		g_autoptr(GError) error = NULL;
		json_t *json;

		for (int i = 1; i < depth; i++)
			g_string_append_c(deep, '[');
		for (int i = 0; i < depth; i++)
			g_string_append_c(deep, ']');
		json = json_parse(deep->str, deep->len, &error);
		if (depth == 64)
			assert_non_null(json);
		else
			assert_string_equal(error->message, "Malformed request: JSON line 2, column 64: more than 64 levels deep");
		json_decref(json);
		g_string_free(deep, TRUE);
	}
}

/* What jansson makes of the same text. */
static void test_values(void **state)
{
	static const char *const good[] = {
		"{}", " [ ] ", "0", "-0", "-0.0", "1.5e3", "1E-7", "12345678901234567890.0", "0.1", "-9223372036854775808", "9223372036854775807", "true",
		"null",
		"\"\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\xe3\x83\x9b\x7f\"", "{\"\":{\"\\u0041\\u0042\":[1,\"x\\ny\"],\"c\":\"\\u0064\"}}",
		"[1.00000000000000000000000000000000000000000000000000000000000000000000000000001]",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autofree char *exact = g_memdup2(good[i], strlen(good[i]));
		json_t *ours = json_parse(exact, strlen(good[i]), NULL), *theirs = json_loads(good[i], JSON_DECODE_ANY, NULL);

		assert_non_null(theirs);
		if (!ours || !json_equal(ours, theirs))
			fail_msg("%s is read as something else", good[i]);
		json_decref(ours);
		json_decref(theirs);
	}
}

static void test_json_write(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "{}", "{}" },
		{ "[ ]", "[]" },
		{ "{\"a\":1,\"b\":[true,false,null,\"x\"]}", "{\"a\": 1, \"b\": [true, false, null, \"x\"]}" },
		{ "[12.0,0.1,-1e100,1e-7,100000000000000000000.0]", "[12.0, 0.1, -1e+100, 1e-07, 1e+20]" },
		{ "[-9223372036854775808,9223372036854775807]", "[-9223372036854775808, 9223372036854775807]" },
		{ "[\"\xe3\x83\x9b \xf0\x9f\x98\x80 \xc3\xa9\"]", "[\"\\u30db \\ud83d\\ude00 \\u00e9\"]" },
		{ "[\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001/\"]", "[\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001/\"]" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		json_t *json = json_parse(cases[i].in, strlen(cases[i].in), NULL), *again;
		GString *out = g_string_new(NULL);

		json_write(out, json);
		assert_string_equal(out->str, cases[i].out);
		again = json_parse(out->str, out->len, NULL);
		assert_true(json_equal(json, again));
		json_decref(json);
		json_decref(again);
		g_string_free(out, TRUE);
	}
}

static void check_there_and_back(enum record_dialect dialect, const size_t *lost, size_t n_lost)
{
	struct record_input input = { .dialect = dialect };
	struct sample *s = sample_new(), *back;
	json_t *json;

	for (size_t i = 0; i < n_lost; i++)
		record_clear(s, lost[i]);
	json = record_to_json(s, dialect);
	back = record_from_json(&sample_type, json, &input, NULL);
	assert_non_null(back);
	assert_null(input.ignored);
	assert_true(record_equal(s, back));
	record_unref(s);
	record_unref(back);
	json_decref(json);
}

static void test_there_and_back(void **state)
{
	static const size_t rest[] = { offsetof(struct sample, password), offsetof(struct sample, note), offsetof(struct sample, custom),
				       offsetof(struct sample, force), offsetof(struct sample, details) };
	static const size_t channel[] = { offsetof(struct sample, note) };
	static const size_t store[] = { offsetof(struct sample, force), offsetof(struct sample, guest_load) };

	check_there_and_back(RECORD_REST, rest, G_N_ELEMENTS(rest));
	check_there_and_back(RECORD_CHANNEL, channel, G_N_ELEMENTS(channel));
	check_there_and_back(RECORD_STORE, store, G_N_ELEMENTS(store));
}

static void test_store_keeps_every_bit(void **state)
{
	static const double values[] = { 0.1, 1.0 / 3, 1e-300, 123456789.123456789, -0.0, 5e-324, 1.7976931348623157e308 };

	for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
		struct sample *s = record_new(&sample_type), *back;
		g_autofree char *text = NULL;

		SET(s, load, values[i]);
		text = record_to_text(s, RECORD_STORE);
		back = take(RECORD_STORE, text);
		assert_true(back->load == values[i]);
		record_unref(s);
		record_unref(back);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rest_members),
		cmocka_unit_test(test_rest_odd_shapes),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_bad_values), cmocka_unit_test(test_value_for_members),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_json_write),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_store_keeps_every_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
