/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML from anyone. What is accepted, written again and read again is the same record.
 * The first byte chooses members taken and strictness.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/unit/record-sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer keeps the input on abort(), not on g_error()'s trap */
#define wrong(...) (g_printerr(__VA_ARGS__), abort())

static void check_there_and_back(struct sample *s)
{
	static const size_t unwritten[] = { offsetof(struct sample, password), offsetof(struct sample, force) };
	struct record_view view = { .all_content = true };
	struct record_input input = { .dialect = RECORD_REST };
	GString *texts[2] = { g_string_new(NULL), g_string_new(NULL) };
	struct sample *back;
	struct writer *w;
	GError *error = NULL;
	xmlDoc *doc;

	for (size_t i = 0; i < G_N_ELEMENTS(unwritten); i++)
		record_clear(s, unwritten[i]);
	w = writer_new_xml(texts[0]);
	record_write(w, NULL, s, &view);
	writer_free(w);
	doc = xml_parse(texts[0]->str, texts[0]->len, &error);
	if (!doc)
		wrong("%s\n%s", error->message, texts[0]->str);
	back = record_from_xml(&sample_type, xmlDocGetRootElement(doc), &input, &error);
	if (!back)
		wrong("%s\n%s", error->message, texts[0]->str);
	w = writer_new_xml(texts[1]);
	record_write(w, NULL, back, &view);
	writer_free(w);
	if (strcmp(texts[0]->str, texts[1]->str))
		wrong("differ:\n%s\n%s", texts[0]->str, texts[1]->str);
	record_unref(back);
	record_input_clear(&input);
	xmlFreeDoc(doc);
	g_string_free(texts[0], TRUE);
	g_string_free(texts[1], TRUE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t takes[] = { 0, CREATE, UPDATE, CREATE | UPDATE };
	struct record_input input = { .dialect = RECORD_REST };
	struct sample *s;
	xmlDoc *doc;

	if (!size)
		return 0;
	input.take = takes[*data % 4];
	input.strict = *data & 0x80;
	doc = xml_parse((const char *)data + 1, size - 1, NULL);
	if (!doc)
		return 0;
	s = record_from_xml(&sample_type, xmlDocGetRootElement(doc), &input, NULL);
	if (s)
		check_there_and_back(s);
	record_unref(s);
	record_input_clear(&input);
	xmlFreeDoc(doc);
	return 0;
}
