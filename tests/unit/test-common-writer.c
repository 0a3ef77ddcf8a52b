/* SPDX-License-Identifier: Apache-2.0 */
/* The writer: the two forms of the same calls, escapes, and records with the views of the REST side. */
#include <libxml/parser.h>
#include <string.h>
#include "tests/unit/cmocka-all.h"
#include "tests/unit/record-sample.h"

#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"

enum form { XML, JSON, PRETTY, CHANNEL };

static struct writer *writer_of(enum form form, GString *out)
{
	g_string_truncate(out, 0);
	return form == XML ? writer_new_xml(out) : writer_new_json(out, form == CHANNEL ? RECORD_CHANNEL : RECORD_REST, form == PRETTY);
}

static void write_by_hand(struct writer *w)
{
	char name[] = "vms";

	writer_open(w, name);
	name[0] = 'X';                                 /* the writer keeps its own copy */
	writer_attribute(w, "href", "/api/vms");
	writer_open_list(w, "vm");
	writer_open(w, "vm");
	writer_attribute(w, "id", "1");
	writer_text(w, "name", "a");
	writer_number(w, "memory", "12");
	writer_close(w);
	writer_open(w, "vm");
	writer_close(w);
	writer_close_list(w);
	writer_open(w, "usages");
	writer_open_list(w, "usage");
	writer_text(w, "usage", "x");
	writer_text(w, "usage", "");
	writer_close_list(w);
	writer_close(w);
	writer_open_list(w, "none");
	writer_close_list(w);
	writer_close(w);
	writer_free(w);
}

static void test_calls(void **state)
{
	GString *out = g_string_new(NULL);

	write_by_hand(writer_of(XML, out));
	assert_string_equal(out->str, DECLARATION
			    "<vms href=\"/api/vms\">\n"
			    "    <vm id=\"1\">\n"
			    "        <name>a</name>\n"
			    "        <memory>12</memory>\n"
			    "    </vm>\n"
			    "    <vm/>\n"
			    "    <usages>\n"
			    "        <usage>x</usage>\n"
			    "        <usage/>\n"
			    "    </usages>\n"
			    "</vms>\n");
	write_by_hand(writer_of(JSON, out));
	assert_string_equal(out->str,
			    "{\"href\":\"/api/vms\",\"vm\":[{\"id\":\"1\",\"name\":\"a\",\"memory\":12},{}],\"usages\":{\"usage\":[\"x\",\"\"]},\"none\":[]}");
	write_by_hand(writer_of(CHANNEL, out));
	assert_string_equal(out->str, "{\"href\": \"/api/vms\", \"vm\": [{\"id\": \"1\", \"name\": \"a\", \"memory\": 12}, {}], "
				      "\"usages\": {\"usage\": [\"x\", \"\"]}, \"none\": []}");
	write_by_hand(writer_of(PRETTY, out));
	assert_string_equal(out->str,
			    "{\n"
			    "  \"href\": \"/api/vms\",\n"
			    "  \"vm\": [\n"
			    "    {\n"
			    "      \"id\": \"1\",\n"
			    "      \"name\": \"a\",\n"
			    "      \"memory\": 12\n"
			    "    },\n"
			    "    {}\n"
			    "  ],\n"
			    "  \"usages\": {\n"
			    "    \"usage\": [\n"
			    "      \"x\",\n"
			    "      \"\"\n"
			    "    ]\n"
			    "  },\n"
			    "  \"none\": []\n"
			    "}\n");
	assert_null(writer_free(NULL));
	g_string_free(out, TRUE);
}

static void check_escape(const char *value, const char *xml_text, const char *xml_attribute, const char *json, const char *channel)
{
	GString *out = g_string_new(NULL);

	for (enum form form = XML; form <= CHANNEL; form++) {
		g_autofree char *expected = form == XML ? g_strdup_printf(DECLARATION "<x a=\"%s\">\n    <t>%s</t>\n</x>\n", xml_attribute, xml_text) :
					    form == JSON ? g_strdup_printf("{\"a\":\"%s\",\"t\":\"%s\"}", json, json) :
					    form == CHANNEL ? g_strdup_printf("{\"a\": \"%s\", \"t\": \"%s\"}", channel, channel) : NULL;
		struct writer *w;

		if (!expected)
			continue;
		w = writer_of(form, out);
		writer_open(w, "x");
		writer_attribute(w, "a", value);
		writer_text(w, "t", value);
		writer_close(w);
		writer_free(w);
		assert_string_equal(out->str, expected);
	}
	g_string_free(out, TRUE);
}

static void test_escapes(void **state)
{
	check_escape("a<b>&\"'c", "a&lt;b&gt;&amp;&quot;'c", "a&lt;b&gt;&amp;&quot;'c", "a<b>&\\\"'c", "a<b>&\\\"'c");
	check_escape("\t\n\r.", "\t\n&#13;.", "&#9;&#10;&#13;.", "\\t\\n\\r.", "\\t\\n\\r.");
	check_escape("a\x01\x1f\x7f.\\", "a\x7f.\\", "a\x7f.\\", "a\\u0001\\u001f\x7f.\\\\", "a\\u0001\\u001f\x7f.\\\\");
	check_escape("\xe3\x83\x9b\xf0\x9f\x98\x80", "\xe3\x83\x9b\xf0\x9f\x98\x80", "\xe3\x83\x9b\xf0\x9f\x98\x80", "\xe3\x83\x9b\xf0\x9f\x98\x80",
		     "\\u30db\\ud83d\\ude00");
	/* not UTF-8: bare continuation, cut sequence, overlong, surrogate, beyond the last plane */
	check_escape("a\x80z", "a\xef\xbf\xbdz", "a\xef\xbf\xbdz", "a\xef\xbf\xbdz", "a\\ufffdz");
	check_escape("a\xe3\x83", "a\xef\xbf\xbd\xef\xbf\xbd", "a\xef\xbf\xbd\xef\xbf\xbd", "a\xef\xbf\xbd\xef\xbf\xbd", "a\\ufffd\\ufffd");
	check_escape("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd", "\\ufffd\\ufffd");
	check_escape("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
		     "\\ufffd\\ufffd\\ufffd");
	check_escape("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
		     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\\ufffd\\ufffd\\ufffd\\ufffd");
	/* no character of XML 1.0 */
	check_escape("a\xef\xbf\xbf.", "a.", "a.", "a\xef\xbf\xbf.", "a\\uffff.");
}

/* Whatever bytes a member holds, the document is well-formed. */
static void test_any_bytes_are_well_formed(void **state)
{
	GString *out = g_string_new(NULL);
	unsigned seed = 1;

	for (int round = 0; round < 3000; round++) {
		char bytes[24] = "";
		struct writer *w;
		json_t *json;
		xmlDoc *doc;

		for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
			seed = seed * 1103515245 + 12345;
			bytes[i] = (char)((seed >> 16 & 0xff) | 1);
		}
		for (enum form form = XML; form <= CHANNEL; form++) {
			w = writer_of(form, out);
			writer_open(w, "x");
			writer_attribute(w, "a", bytes);
			writer_text(w, "t", bytes);
			writer_close(w);
			writer_free(w);
			if (form == XML) {
				doc = xml_parse(out->str, out->len, NULL);
				assert_non_null(doc);
				xmlFreeDoc(doc);
			} else {
				json = json_parse(out->str, out->len, NULL);
				assert_non_null(json);
				json_decref(json);
			}
		}
	}
	g_string_free(out, TRUE);
}

/* Names and values are copied and looked at in blocks: neither a length nor a place within one makes a difference. */
static void test_all_lengths(void **state)
{
	GString *out = g_string_new(NULL), *want = g_string_new(NULL);
	char name[80], value[80];

	for (size_t n = 1; n < sizeof(name); n++) {
		memset(name, 'n', n);
		memset(value, 'v', n);
		name[n] = value[n] = '\0';
		for (enum form form = XML; form <= JSON; form++) {
			struct writer *w = writer_of(form, out);

			writer_open(w, name);
			writer_attribute(w, name, value);
			writer_text(w, name, value);
			writer_close(w);
			writer_free(w);
			if (form == XML)
				g_string_printf(want, DECLARATION "<%s %s=\"%s\">\n    <%s>%s</%s>\n</%s>\n", name, name, value, name, value, name, name);
			else
				g_string_printf(want, "{\"%s\":\"%s\",\"%s\":\"%s\"}", name, value, name, value);
			assert_string_equal(out->str, want->str);
		}
		for (size_t at = 0; at < n; at++) {
			struct writer *w = writer_of(XML, out);

			value[at] = '"';
			writer_text(w, "v", value);
			writer_free(w);
			g_string_printf(want, DECLARATION "<v>%.*s&quot;%s</v>\n", (int)at, value, value + at + 1);
			assert_string_equal(out->str, want->str);
			w = writer_of(JSON, out);
			writer_open(w, "any");
			writer_text(w, value, value);
			writer_close(w);
			writer_free(w);
			g_string_printf(want, "{\"%.*s\\\"%s\":\"%.*s\\\"%s\"}", (int)at, value, value + at + 1, (int)at, value, value + at + 1);
			assert_string_equal(out->str, want->str);
			value[at] = 'v';
		}
	}
	g_string_free(out, TRUE);
	g_string_free(want, TRUE);
}

static void test_deep_nesting(void **state)
{
	GString *out = g_string_new(NULL);

	for (enum form form = XML; form <= PRETTY; form++) {
		struct writer *w = writer_of(form, out);

		for (int i = 0; i < 500; i++) {
			writer_open(w, "option");
			writer_open_list(w, "option");
		}
		for (int i = 0; i < 500; i++) {
			writer_close_list(w);
			writer_close(w);
		}
		writer_free(w);
	}
	g_string_free(out, TRUE);
}

static void ref_href(const struct record_view *view, GString *out, const struct field *field, const struct ref *ref)
{
	if (!strcmp(field->path, "placement_policy/host"))
		return;                                /* no href */
	g_string_append_printf(out, "%s<%s>%s", view->base, field->target, (const char *)view->data);
}

static void extra(const struct record_view *view, struct writer *w, const void *record)
{
	writer_open(w, "creation_status");
	writer_text(w, "state", "pending");
	writer_close(w);
}

static const struct record_view *item_view(const struct record_view *view, const struct field *field, const void *item)
{
	static const struct record_view nic_view = { .base = "/nics", .href = "/api/nics/1" };

	return field->item == &nic_type ? &nic_view : NULL;
}

static struct sample *small_sample(void)
{
	struct sample *s = record_new(&sample_type);
	struct nic *nic;

	set_string(&s->id, UUID_A);
	set_string(&s->name, "web1");
	SET(s, cores, 2);
	set_string(&s->serial, "Intel");               /* attribute of <cpu>, after <topology> in the table */
	SET(s, priority, 5);                           /* attribute without the text */
	set_ref(&s->cluster, UUID_B);
	s->host.name = g_strdup("h1");
	s->usages = strings_new();
	nic = list_add(&s->nics, &nic_type);
	set_ref(&nic->network, UUID_B);
	s->display = record_new(&display_type);
	SET(s, stopped, 1);
	SET(s, load, 12);
	SET(s, delay, 7);
	set_string(&s->details, "long");
	return s;
}

static void test_records(void **state)
{
	static const char *const actions[] = { "start", NULL }, *const links[] = { "nics", "disks", NULL };
	struct record_view view = { .base = "/api", .href = "/api/vms/1", .actions = actions, .links = links, .ref_href = ref_href, .extra = extra,
				    .item_view = item_view, .data = "<>" };
	struct sample *s = small_sample();
	GString *out = g_string_new(NULL);
	struct writer *w = writer_of(XML, out);

	record_write(w, NULL, s, &view);
	writer_free(w);
	assert_string_equal(out->str, DECLARATION
		"<vm href=\"/api/vms/1\" id=\"" UUID_A "\">\n"
		"    <actions>\n"
		"        <link href=\"/api/vms/1/start\" rel=\"start\"/>\n"
		"    </actions>\n"
		"    <name>web1</name>\n"
		"    <link href=\"/api/vms/1/nics\" rel=\"nics\"/>\n"
		"    <link href=\"/api/vms/1/disks\" rel=\"disks\"/>\n"
		"    <cpu id=\"Intel\">\n"
		"        <topology cores=\"2\"/>\n"
		"    </cpu>\n"
		"    <storage_manager priority=\"5\"/>\n"
		"    <statistics>\n"
		"        <load>12</load>\n"
		"    </statistics>\n"
		"    <cluster href=\"/api&lt;clusters&gt;&lt;&gt;\" id=\"" UUID_B "\"/>\n"
		"    <placement_policy>\n"
		"        <host>\n"
		"            <name>h1</name>\n"
		"        </host>\n"
		"    </placement_policy>\n"
		"    <usages/>\n"
		"    <nics>\n"
		"        <nic href=\"/api/nics/1\">\n"
		"            <network href=\"/nics/networks/" UUID_B "\" id=\"" UUID_B "\"/>\n"
		"        </nic>\n"
		"    </nics>\n"
		"    <display/>\n"
		"    <stop_time>1970-01-01T00:00:00.001Z</stop_time>\n"
		"    <delay>7</delay>\n"
		"    <creation_status>\n"
		"        <state>pending</state>\n"
		"    </creation_status>\n"
		"</vm>\n");
	view.ref_href = NULL;
	view.item_view = NULL;
	view.all_content = true;
	w = writer_of(JSON, out);
	writer_open(w, "vms");
	writer_open_list(w, "vm");
	record_write(w, NULL, s, &view);
	writer_close_list(w);
	writer_close(w);
	writer_free(w);
	assert_string_equal(out->str,
		"{\"vm\":[{\"href\":\"/api/vms/1\",\"id\":\"" UUID_A "\",\"actions\":{\"link\":[{\"href\":\"/api/vms/1/start\",\"rel\":\"start\"}]},"
		"\"name\":\"web1\",\"link\":[{\"href\":\"/api/vms/1/nics\",\"rel\":\"nics\"},{\"href\":\"/api/vms/1/disks\",\"rel\":\"disks\"}],"
		"\"cpu\":{\"id\":\"Intel\",\"topology\":{\"cores\":\"2\"}},\"storage_manager\":{\"priority\":\"5\"},\"statistics\":{\"load\":12},"
		"\"cluster\":{\"href\":\"/api/clusters/" UUID_B "\",\"id\":\"" UUID_B "\"},\"placement_policy\":{\"host\":{\"name\":\"h1\"}},"
		"\"usages\":{},\"nics\":{\"nic\":[{\"network\":{\"href\":\"/api/networks/" UUID_B "\",\"id\":\"" UUID_B "\"}}]},"
		"\"display\":{},\"stop_time\":1,\"details\":\"long\",\"delay\":\"7\",\"creation_status\":{\"state\":\"pending\"}}]}");
	record_unref(s);
	g_string_free(out, TRUE);
}

static void test_channel_and_store(void **state)
{
	struct sample *s = small_sample();
	g_autofree char *channel = record_to_text(s, RECORD_CHANNEL), *store = record_to_text(s, RECORD_STORE);

	assert_string_equal(channel,
		"{\"id\": \"" UUID_A "\", \"name\": \"web1\", \"cpu\": {\"id\": \"Intel\", \"topology\": {\"cores\": 2}}, "
		"\"storage_manager\": {\"priority\": 5}, \"statistics\": {\"load\": 12.0}, \"cluster\": \"" UUID_B "\", "
		"\"placement_policy\": {\"host\": {\"name\": \"h1\"}}, \"usages\": {\"usage\": []}, \"nics\": {\"nic\": [{\"network\": \"" UUID_B "\"}]}, "
		"\"display\": {}, \"stop_time\": 1, \"details\": \"long\", \"delay\": \"7\"}");
	assert_string_equal(store,
		"{\"@id\":\"" UUID_A "\",\"name\":\"web1\",\"cpu/topology@cores\":2,\"cpu@id\":\"Intel\",\"storage_manager@priority\":5,"
		"\"statistics/load\":12,\"cluster\":\"" UUID_B "\",\"placement_policy/host\":{\"name\":\"h1\"},\"usages/usage\":[],"
		"\"nics/nic\":[{\"network\":\"" UUID_B "\"}],\"display\":{},\"stop_time\":1,\"details\":\"long\",\"delay\":7}");
	record_unref(s);
}

/* FIELD_TEXT members of every kind that can have the flag. */
struct texts { struct record record; int i; int64_t l, t; double d; bool b; };
static const struct field texts_fields[] = {
	FIELD_INT_    (struct texts, i, "i", TEXT, "integer"),
	FIELD_LONG_   (struct texts, l, "l", TEXT, "long"),
	FIELD_DECIMAL_(struct texts, d, "d", TEXT, "decimal"),
	FIELD_BOOL_   (struct texts, b, "b", TEXT, "bool"),
	FIELD_TIME_   (struct texts, t, "t", TEXT, "time"),
};
static const struct record_type texts_type = RECORD_TYPE("texts", NULL, struct texts, texts_fields, "Texts on the channel");

static void test_text_members(void **state)
{
	struct texts *texts = record_new(&texts_type);
	char *text;

	SET(texts, i, -5);
	SET(texts, l, INT64_MIN);
	SET(texts, d, 1.005);
	SET(texts, b, true);
	SET(texts, t, 99);
	text = record_to_text(texts, RECORD_CHANNEL);
	assert_string_equal(text, "{\"i\": \"-5\", \"l\": \"-9223372036854775808\", \"d\": \"1.00\", \"b\": \"true\", \"t\": \"99\"}");
	g_free(text);
	text = record_to_text(texts, RECORD_STORE);
	assert_string_equal(text, "{\"i\":-5,\"l\":-9223372036854775808,\"d\":1.005,\"b\":true,\"t\":99}");
	g_free(text);
	/* what JSON has no word for is absent */
	SET(texts, d, 1e308 * 10);
	text = record_to_text(texts, RECORD_CHANNEL);
	assert_null(strstr(text, "\"d\""));
	g_free(text);
	record_unref(texts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_any_bytes_are_well_formed),
		cmocka_unit_test(test_all_lengths),
		cmocka_unit_test(test_deep_nesting),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_channel_and_store),
		cmocka_unit_test(test_text_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
