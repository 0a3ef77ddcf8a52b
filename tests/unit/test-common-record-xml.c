/* SPDX-License-Identifier: Apache-2.0 */
/* Records from XML: what is taken, noted and refused; and what the parser lets in. */
#include <string.h>
#include "common/error.h"
#include "tests/unit/cmocka-all.h"
#include "tests/unit/record-sample.h"

static struct sample *read_with(const char *text, struct record_input *input, GError **error)
{
	xmlDoc *doc = xml_parse(text, strlen(text), error);
	struct sample *s;

	if (!doc)
		return NULL;
	s = record_from_xml(&sample_type, xmlDocGetRootElement(doc), input, error);
	xmlFreeDoc(doc);
	return s;
}

static struct sample *take(const char *text)
{
	struct record_input input = { .dialect = RECORD_REST };
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

static void check_ignored(uint32_t flags, const char *text, const char *paths)
{
	struct record_input input = { .dialect = RECORD_REST, .take = flags };
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

static void test_members(void **state)
{
	struct sample *s = take("<?xml version='1.0'?>\n<vm id='0A1B2C3D-1111-2222-3333-444455556666'><!-- c -->\n <name>web &amp; <![CDATA[<1>]]></name>"
				"<type>Desktop</type><cpu id='Intel'><topology sockets=' 4 '/></cpu><memory>\n 1024 </memory>"
				"<memory_policy><guaranteed>-1</guaranteed></memory_policy><stateless>true</stateless>"
				"<storage_manager priority='5'>false</storage_manager><statistics><load>0.25</load></statistics>"
				"<stop_time>2011-06-15T04:48:02.167+10:00</stop_time><display><monitors>3</monitors></display></vm>");

	assert_string_equal(s->id, UUID_A);
	assert_string_equal(s->name, "web & <1>");
	assert_int_equal(s->type, SAMPLE_DESKTOP);
	assert_int_equal(s->sockets, 4);
	assert_false(HAS(s, cores));
	assert_string_equal(s->serial, "Intel");
	assert_null(s->build);
	assert_int_equal(s->memory, 1024);
	assert_int_equal(s->guaranteed, -1);
	assert_true(s->stateless);
	assert_true(HAS(s, manager) && !s->manager);
	assert_int_equal(s->priority, 5);
	assert_true(s->load == 0.25);
	assert_int_equal(s->stopped, INT64_C(1308113282167) - 36000000);
	assert_int_equal(s->display->monitors, 3);
	record_unref(s);
}

static void test_references(void **state)
{
	struct sample *s = take("<vm><cluster id='" UUID_A "' href='/x'/><placement_policy><host><name>h1</name></host></placement_policy></vm>");

	assert_string_equal(s->cluster.id, UUID_A);
	assert_null(s->cluster.name);
	assert_string_equal(s->host.name, "h1");
	assert_null(s->host.id);
	record_unref(s);
	s = take("<vm><cluster id='X1'><name>Default</name><link rel='a' href='b'/></cluster><template/></vm>");
	assert_string_equal(s->cluster.id, "X1");
	assert_string_equal(s->cluster.name, "Default");
	assert_false(HAS(s, template));
	record_unref(s);
}

static void test_lists(void **state)
{
	struct sample *s = take("<vm><feature>a</feature><os><boot dev='hd'/> <boot dev='cdrom'/></os><usages><usage>VM</usage></usages>"
				"<feature>b</feature><os><boot dev='network'/></os>"
				"<nics><nic id='" UUID_B "' href='/n'><name>eth0</name><network><name>lan</name></network></nic></nics>"
				"<options><option name='o'>text<option name='inner'/></option></options></vm>");
	struct option *option;
	struct nic *nic;

	assert_int_equal(s->boot->len, 3);
	assert_string_equal(((struct boot *)s->boot->pdata[2])->dev, "network");
	assert_int_equal(s->features->len, 2);
	assert_int_equal(s->usages->len, 1);
	assert_string_equal(s->usages->pdata[0], "vm");
	nic = s->nics->pdata[0];
	assert_string_equal(nic->id, UUID_B);
	assert_string_equal(nic->network.name, "lan");
	option = s->options->pdata[0];
	assert_string_equal(option->value, "text");
	option = option->options->pdata[0];
	assert_string_equal(option->name, "inner");
	assert_null(option->value);
	record_unref(s);
	/* an empty wrapper is an empty list; a wrapper of several things says nothing */
	s = take("<vm><usages/><nics> </nics><storage_manager/><cpu/></vm>");
	assert_int_equal(s->usages->len, 0);
	assert_int_equal(s->nics->len, 0);
	assert_null(s->options);
	record_unref(s);
}

static void test_empty_elements_are_no_error(void **state)
{
	struct sample *s = take("<vm><cpu><topology/></cpu><status/><memory/><type/><stateless/><start_time> </start_time><cluster/><description/></vm>");

	assert_false(HAS(s, memory) || HAS(s, type) || HAS(s, stateless) || HAS(s, started) || HAS(s, cluster) || HAS(s, status));
	assert_string_equal(s->description, "");
	record_unref(s);
}

static void test_aliases(void **state)
{
	static const char *const spellings[] = { "<vm><ksm>true</ksm></vm>", "<vm><ksm><enabled>true</enabled></ksm></vm>",
						 "<vm><ksm>\n  <enabled> true </enabled>\n</ksm></vm>" };

	for (size_t i = 0; i < G_N_ELEMENTS(spellings); i++) {
		struct sample *s = take(spellings[i]);

		assert_true(s->ksm);
		record_unref(s);
	}
}

static void test_ignored(void **state)
{
	check_ignored(0, "<vm href='/x'><link rel='nics' href='/y'/><actions><link/></actions><cluster href='/c' id='1'/></vm>", "");
	check_ignored(0, "<vm a='1' a2='2'><foo><bar/></foo><foo/><cpu><topology zip='1'><zap/></topology></cpu></vm>",
		      "@a @a2 foo cpu/topology@zip cpu/topology/zap");
	check_ignored(0, "<vm><os>text<boot dev='a' x='1'/><boot y='1'/></os></vm>", "os/boot@x os/boot@y os");
	check_ignored(0, "<vm><nics><nic><network id='1'><vlan/></network></nic></nics><custom><a/></custom><note>x</note></vm>",
		      "nics/nic/network/vlan custom note");
	check_ignored(CREATE, "<vm id='" UUID_A "'><status><state>up</state></status><name>n</name><note>x</note>"
			      "<statistics><load>bad</load></statistics></vm>", "@id status/state note statistics/load");
	/* the id of an item says which object is meant */
	check_ignored(CREATE, "<vm><nics><nic id='" UUID_A "'><rx>1</rx></nic></nics></vm>", "nics/nic/rx");
	check_ignored(UPDATE, "<vm id='" UUID_A "'><status><state>up</state></status><name>n</name><note>x</note></vm>", "note");
	/* a PUT that sends back what nobody can set need not make sense of it */
	check_ignored(UPDATE, "<vm><statistics><load>bad</load></statistics><usages><usage/></usages></vm>", "statistics/load");
	/* names from outside are cut */
	check_ignored(0, "<vm><a0123456789012345678901234567890123456789012345678901234567890123456789/></vm>",
		      "a012345678901234567890123456789012345678901234567890123456789012...");
}

/* A text where members belong is of the wrong type if one of them can be set; what only we set may have any form. */
static void test_text_for_members(void **state)
{
	static const struct { uint32_t take; const char *text, *message; } cases[] = {
		{ CREATE, "<vm>text</vm>", "Invalid value: vm: 'text' is not an object" },
		{ CREATE, "<vm><os>text</os></vm>", "Invalid value: vm: os: 'text' is not an object" },
		{ UPDATE, "<vm><cpu><topology>4</topology></cpu></vm>", "Invalid value: vm: cpu/topology: '4' is not an object" },
		{ CREATE, "<vm><nics><nic>x</nic></nics></vm>", "Invalid value: vm: nics/nic: 'x' is not an object" },
		{ CREATE, "<vm><display>vnc</display></vm>", "Invalid value: vm: display: 'vnc' is not an object" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct record_input input = { .dialect = RECORD_REST, .take = cases[i].take };
		g_autoptr(GError) error = NULL;

		assert_null(read_with(cases[i].text, &input, &error));
		assert_string_equal(error->message, cases[i].message);
		record_input_clear(&input);
	}
	check_ignored(CREATE, "<vm><status>up</status><statistics>none</statistics></vm>", "status statistics");
	check_ignored(UPDATE, "<vm><status>up</status></vm>", "status");
}

static void test_root_of_another_name(void **state)
{
	struct record_input input = { .dialect = RECORD_REST, .take = CREATE, .strict = true };
	g_autoptr(GError) error = NULL;

	check_ignored(CREATE, "<host><name>n</name></host>", "host");
	assert_null(read_with("<host><name>n</name></host>", &input, &error));
	assert_string_equal(error->message, "Unknown member: vm: host");
	record_input_clear(&input);
}

static void test_many_unknown_members_are_bounded(void **state)
{
	struct record_input input = { .dialect = RECORD_REST };
	GString *text = g_string_new("<vm>");
	struct sample *s;

	for (int i = 0; i < 1000; i++)
		g_string_append_printf(text, "<x%d/>", i);
	g_string_append(text, "</vm>");
	s = read_with(text->str, &input, NULL);
	assert_non_null(s);
	assert_int_equal(input.ignored->len, 64);
	record_input_clear(&input);
	record_unref(s);
	g_string_free(text, TRUE);
}

static void test_strict(void **state)
{
	static const struct { uint32_t take; const char *text, *message; } cases[] = {
		{ 0, "<vm><foo/></vm>", "Unknown member: vm: foo" },
		{ 0, "<vm><cpu><topology zip='1'/></cpu></vm>", "Unknown member: vm: cpu/topology@zip" },
		{ 0, "<vm><os><boot><deep a='1'/></boot></os></vm>", "Unknown member: vm: os/boot/deep" },
		{ CREATE, "<vm><status><state>up</state></status></vm>", "Unknown member: vm: status/state cannot be set here" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct record_input input = { .dialect = RECORD_REST, .take = cases[i].take, .strict = true };
		g_autoptr(GError) error = NULL;

		assert_null(read_with(cases[i].text, &input, &error));
		assert_true(error_is(error, ERR_UNKNOWN_MEMBER));
		assert_string_equal(error->message, cases[i].message);
		assert_null(input.ignored);
	}
}

static void test_bad_values(void **state)
{
	refuse("<vm><cpu><topology sockets='x'/></cpu></vm>", ERR_BAD_VALUE, "Invalid value: vm: cpu/topology@sockets: 'x' is not an integer");
	refuse("<vm><cpu><topology cores='0'/></cpu></vm>", ERR_BAD_VALUE, "Invalid value: vm: cpu/topology@cores: '0' is below the minimum 1");
	refuse("<vm><type>foo</type></vm>", ERR_BAD_VALUE, "Invalid value: vm: type: 'foo' is not a member of [desktop, server]");
	refuse("<vm><stateless>1</stateless></vm>", ERR_BAD_VALUE, "Invalid value: vm: stateless: '1' is not true or false");
	refuse("<vm><nics><nic/><nic><mac address='00:11'/></nic></nics></vm>", ERR_BAD_VALUE,
	       "Invalid value: vm: nics/nic/mac@address: '00:11' has not the right form");
	refuse("<vm><display><monitors>9</monitors></display></vm>", ERR_BAD_VALUE,
	       "Invalid value: vm: display/monitors: '9' is above the maximum 4");
	refuse("<vm><usages><usage>x</usage></usages></vm>", ERR_BAD_VALUE,
	       "Invalid value: vm: usages/usage: 'x' is not a member of [vm, display, migration]");
	refuse("<vm id='1'/>", ERR_BAD_VALUE, "Invalid value: vm: @id: '1' is not a UUID");
}

static void test_syntax(void **state)
{
	refuse("", ERR_SYNTAX, "Malformed request: XML line 1: Document is empty");
	refuse("<vm>\n<name>x</vm>", ERR_SYNTAX, "Malformed request: XML line 2: Opening and ending tag mismatch: name line 2 and vm");
	refuse("<vm>&foo;</vm>", ERR_SYNTAX, "Malformed request: XML line 1: Entity 'foo' not defined");
	refuse("<!DOCTYPE vm>\n<vm/>", ERR_SYNTAX, "Malformed request: XML line 1: a document type is not accepted");
	refuse("\n<!DOCTYPE vm [<!ENTITY a 'aaa'><!ENTITY b '&a;&a;'>]><vm>&b;</vm>", ERR_SYNTAX,
	       "Malformed request: XML line 2: a document type is not accepted");
	refuse("<!DOCTYPE vm SYSTEM 'file:///etc/passwd'><vm/>", ERR_SYNTAX, "Malformed request: XML line 1: a document type is not accepted");
	refuse("<vm>\xff</vm>", ERR_SYNTAX, "Malformed request: XML line 1: Input is not proper UTF-8, indicate encoding !");
}

static void test_depth(void **state)
{
	for (int depth = 64; depth <= 65; depth++) {
		GString *text = g_string_new(NULL);
		g_autoptr(GError) error = NULL;
		xmlDoc *doc;

		for (int i = 0; i < depth; i++)
			g_string_append(text, "<option>\n");
		for (int i = 0; i < depth; i++)
			g_string_append(text, "</option>");
		doc = xml_parse(text->str, text->len, &error);
		if (depth == 64) {
			struct record_input input = { .dialect = RECORD_REST };
			struct option *option;

			assert_non_null(doc);
			option = record_from_xml(&option_type, xmlDocGetRootElement(doc), &input, NULL);
			assert_int_equal(option->options->len, 1);
			record_unref(option);
			xmlFreeDoc(doc);
		} else {
			assert_null(doc);
			assert_string_equal(error->message, "Malformed request: XML line 65: more than 64 levels deep");
		}
		g_string_free(text, TRUE);
	}
}

/* What is written is read back as the same record. */
static void test_there_and_back(void **state)
{
	struct sample *s = sample_new(), *back;
	struct record_view view = { .all_content = true };
	GString *out = g_string_new(NULL);
	struct writer *w;

	CLEAR(s, password);
	CLEAR(s, note);
	CLEAR(s, custom);
	CLEAR(s, force);
	w = writer_new_xml(out);
	record_write(w, NULL, s, &view);
	writer_free(w);
	back = take(out->str);
	assert_true(record_equal(s, back));
	record_unref(back);
	record_unref(s);
	g_string_free(out, TRUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_empty_elements_are_no_error),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_ignored), cmocka_unit_test(test_text_for_members), cmocka_unit_test(test_root_of_another_name),
		cmocka_unit_test(test_many_unknown_members_are_bounded),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
