/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON from anyone, in the three dialects. Our parser must agree with jansson's. What is accepted must come back the same from RECORD_STORE
 * and be writable in every form.
 * The first byte chooses dialect, members taken and strictness.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/unit/record-sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer keeps the input on abort(), not on g_error()'s trap */
#define wrong(...) (g_printerr(__VA_ARGS__), abort())

static void check_written(const struct sample *s)
{
	static const char *const names[] = { "a", NULL };
	struct record_view view = { .base = "/b", .href = "/h", .actions = names, .links = names, .all_content = true };
	GString *out = g_string_new(NULL);
	struct writer *w = writer_new_xml(out);
	GError *error = NULL;
	json_t *json;
	xmlDoc *doc;

	record_write(w, NULL, s, &view);
	writer_free(w);
	doc = xml_parse(out->str, out->len, &error);
	if (!doc && !strstr(error->message, "levels deep") && !strstr(error->message, "Excessive depth"))
		wrong("XML: %s\n%s", error->message, out->str);
	g_clear_error(&error);
	xmlFreeDoc(doc);
	for (enum record_dialect dialect = RECORD_REST; dialect <= RECORD_CHANNEL; dialect++) {
		g_string_truncate(out, 0);
		w = writer_new_json(out, dialect, dialect == RECORD_REST);
		record_write(w, NULL, s, &view);
		writer_free(w);
		json = json_loads(out->str, 0, NULL);
		if (!json)
			wrong("JSON:\n%s", out->str);
		g_string_truncate(out, 0);
		json_write(out, json);
		json_decref(json);
	}
	g_string_free(out, TRUE);
}

static void check_stored(struct sample *s)
{
	struct record_input input = { .dialect = RECORD_STORE, .strict = true };
	struct sample *back, *copy;
	GError *error = NULL;
	json_t *json;

	CLEAR(s, force);
	CLEAR(s, guest_load);
	json = record_to_json(s, RECORD_STORE);
	back = record_from_json(&sample_type, json, &input, &error);
	if (!back)
		wrong("stored: %s", error->message);
	copy = record_copy(back);
	if (!record_equal(back, copy))
		wrong("copy differs");
	(void)record_merge(copy, s, NULL);
	record_defaults(copy, 0);
	(void)record_check_required(copy, "add", NULL, NULL);
	for (size_t i = 0; i < sample_type.n_fields; i++)
		g_free(record_text(copy, &sample_fields[i]));
	record_unref(copy);
	record_unref(back);
	json_decref(json);
}

static json_t *parse(const char *text, size_t length)
{
	json_t *theirs = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL), *ours;
	GError *error = NULL;

	ours = json_parse(text, length, &error);
	/* we are stricter in two points: depth, and a zero byte after the end */
	if (ours ? !theirs || !json_equal(ours, theirs) : theirs && !strstr(error->message, "levels deep") && !memchr(text, 0, length))
		wrong("jansson %s what we %s: %s", theirs ? "accepts" : "refuses", ours ? "accept" : "refuse", error ? error->message : "");
	json_decref(theirs);
	g_clear_error(&error);
	return ours;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t takes[] = { 0, CREATE, UPDATE, CREATE | UPDATE };
	struct record_input input = { 0 };
	struct sample *s;
	json_t *json;

	if (!size)
		return 0;
	input.dialect = (enum record_dialect)(*data % 3);
	input.take = takes[*data / 3 % 4];
	input.strict = *data & 0x80;
	json = parse((const char *)data + 1, size - 1);
	if (!json)
		return 0;
	s = record_from_json(&sample_type, json, &input, NULL);
	if (s) {
		check_written(s);
		check_stored(s);
	}
	record_unref(s);
	record_input_clear(&input);
	json_decref(json);
	return 0;
}
