/* SPDX-License-Identifier: Apache-2.0 */
/* The XML schema accepts what is written and refuses what is not; the RSDL names what can be set. */
#include <libxml/xmlschemas.h>
#include <string.h>
#include "tests/unit/cmocka-all.h"
#include "tests/unit/record-sample.h"

/* Another type with the element name of an item type: its complex type must get another name. */
static const struct record_type other_type = RECORD_TYPE("option", "options", struct nic, nic_fields, "Namesake of the item type");
/* vm has a member <nics> of its own beside the collection of that name. */
static const struct record_type *const types[] = { &sample_type, &nic_type, &display_type, &other_type };

static void on_problem(void *data, xmlError *error)
{
	g_string_append_printf(data, "%d: %s", error->line, error->message);
}

static xmlSchema *schema_new(void)
{
	GString *text = g_string_new(NULL), *problems = g_string_new(NULL);
	xmlSchemaParserCtxt *parser;
	xmlSchema *schema;

	record_write_xsd(text, types, G_N_ELEMENTS(types));
	parser = xmlSchemaNewMemParserCtxt(text->str, (int)text->len);
	xmlSchemaSetParserStructuredErrors(parser, on_problem, problems);
	schema = xmlSchemaParse(parser);
	if (!schema || problems->len)
		fail_msg("schema: %s\n%s", problems->str, text->str);
	xmlSchemaFreeParserCtxt(parser);
	g_string_free(text, TRUE);
	g_string_free(problems, TRUE);
	return schema;
}

/* The first problem, or NULL. g_free */
static char *problem_of(xmlSchema *schema, const char *text)
{
	xmlSchemaValidCtxt *validator = xmlSchemaNewValidCtxt(schema);
	GString *problems = g_string_new(NULL);
	xmlDoc *doc = xml_parse(text, strlen(text), NULL);
	int result;

	assert_non_null(doc);
	xmlSchemaSetValidStructuredErrors(validator, on_problem, problems);
	result = xmlSchemaValidateDoc(validator, doc);
	xmlSchemaFreeValidCtxt(validator);
	xmlFreeDoc(doc);
	assert_int_equal(!result, !problems->len);
	return g_string_free(problems, !result);
}

static void accept(xmlSchema *schema, const char *text)
{
	g_autofree char *problem = problem_of(schema, text);

	if (problem)
		fail_msg("%s\n%s", problem, text);
}

static void test_written_documents_are_valid(void **state)
{
	static const char *const names[] = { "start", "stop", NULL };
	struct record_view view = { .base = "/api", .href = "/api/vms/1", .actions = names, .links = names, .all_content = true };
	xmlSchema *schema = schema_new();
	struct sample *s = sample_new();
	GString *out = g_string_new(NULL);
	struct writer *w = writer_new_xml(out);
	struct sample *part;

	record_write(w, NULL, s, &view);
	writer_free(w);
	accept(schema, out->str);
	/* each member alone, and each left out */
	for (int alone = 0; alone < 2; alone++)
		for (size_t i = 0; i < sample_type.n_fields; i++) {
			part = record_copy(s);
			for (size_t j = 0; j < sample_type.n_fields; j++)
				if ((sample_fields[i].offset == sample_fields[j].offset) != alone)
					record_clear(part, sample_fields[j].offset);
			g_string_truncate(out, 0);
			w = writer_new_xml(out);
			record_write(w, NULL, part, NULL);
			writer_free(w);
			accept(schema, out->str);
			record_unref(part);
		}
	/* a collection, with a sub-collection inline */
	g_string_truncate(out, 0);
	w = writer_new_xml(out);
	writer_open(w, "vms");
	writer_open_list(w, "vm");
	record_write(w, NULL, s, &view);
	record_write(w, NULL, s, NULL);
	writer_close_list(w);
	writer_close(w);
	writer_free(w);
	accept(schema, out->str);
	g_string_free(out, TRUE);
	record_unref(s);
	xmlSchemaFree(schema);
}

static void test_input_forms(void **state)
{
	static const char *const good[] = {
		"<vm/>", "<vms/>", "<vm><cluster><name>x</name></cluster><name>n</name></vm>", "<vm><storage_manager priority='1'/><os/><cpu/></vm>",
		"<vm><password>x</password><creation_status><state>pending</state></creation_status></vm>",
		"<nic><name>x</name><vms><vm/></vms><options><option><mac address='1'/></option></options></nic>",
		"<option><linked>true</linked></option>",
	};
	static const char *const bad[] = {
		"<foo/>", "<vm><foo/></vm>", "<vm foo='1'/>", "<vm><memory>x</memory></vm>", "<vm><type>foo</type></vm>",
		"<vm><stateless>maybe</stateless></vm>",
		"<vm><cpu><topology cores='x'/></cpu></vm>", "<vm><note>internal</note></vm>", "<vm><custom/></vm>", "<vm><start_time>now</start_time></vm>",
		"<vm><options><option><linked>true</linked></option></options></vm>",
	};
	xmlSchema *schema = schema_new();

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		accept(schema, good[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *problem = problem_of(schema, bad[i]);

		if (!problem)
			fail_msg("%s is valid", bad[i]);
	}
	xmlSchemaFree(schema);
}

/* What programs that show values to people need to know. */
static void test_schema_tells_meaning(void **state)
{
	GString *text = g_string_new(NULL);

	record_write_xsd(text, types, G_N_ELEMENTS(types));
	assert_non_null(strstr(text->str, "<xs:element name=\"memory\" type=\"xs:long\">\n        <xs:annotation><xs:appinfo source=\"unit\">bytes</xs:appinfo>"
					  "<xs:documentation>memory (bytes)</xs:documentation></xs:annotation>"));
	assert_non_null(strstr(text->str, "<xs:documentation>cores</xs:documentation></xs:annotation>\n                </xs:attribute>"));
	g_string_free(text, TRUE);
}

static void test_rsdl(void **state)
{
	GString *out = g_string_new(NULL);
	struct writer *w = writer_new_xml(out);

	record_write_rsdl(w, &sample_type, CREATE);
	writer_free(w);
	assert_true(g_str_has_prefix(strchr(out->str, '\n') + 1,
		"<parameters_set>\n"
		"    <parameter required=\"true\" type=\"xs:string\">\n"
		"        <name>vm.name</name>\n"
		"        <description>name</description>\n"
		"    </parameter>\n"));
	assert_non_null(strstr(out->str, "<parameter required=\"true\" type=\"xs:string\">\n        <name>vm.cluster.id|name</name>"));
	assert_non_null(strstr(out->str, "<parameter required=\"false\" type=\"xs:int\">\n        <name>vm.cpu.topology.sockets</name>"));
	assert_non_null(strstr(out->str, "<name>vm.display.monitors</name>"));
	assert_non_null(strstr(out->str,
		"    <parameter required=\"false\" type=\"collection\">\n"
		"        <name>vm.os.boot</name>\n"
		"        <description>boot order</description>\n"
		"        <parameters_set>\n"
		"            <parameter required=\"true\" type=\"xs:string\">\n"
		"                <name>boot.dev</name>\n"
		"                <description>device: hd, cdrom, network</description>\n"
		"            </parameter>\n"
		"        </parameters_set>\n"
		"    </parameter>\n"));
	assert_non_null(strstr(out->str, "<name>vm.template.id|name</name>"));
	assert_null(strstr(out->str, "vm.status"));
	assert_null(strstr(out->str, "vm.note"));
	/* what a value may be */
	assert_non_null(strstr(out->str, "<name>vm.type</name>\n        <value>desktop|server</value>\n        <description>kind of VM (default server)<"));
	assert_non_null(strstr(out->str, "<name>vm.memory</name>\n        <value>bytes</value>\n"));
	assert_non_null(strstr(out->str, "<name>vm.ksm.enabled</name>\n        <value>true|false</value>\n"));
	assert_non_null(strstr(out->str, "<name>usage</name>\n                <value>vm|display|migration</value>\n"));
	g_string_truncate(out, 0);
	w = writer_new_json(out, RECORD_REST, /* pretty= */ false);
	record_write_rsdl(w, &sample_type, UPDATE);
	writer_free(w);
	assert_true(g_str_has_prefix(out->str, "{\"parameter\":[{\"required\":\"false\",\"type\":\"xs:string\",\"name\":\"vm.name\",\"description\":\"name\"},"));
	assert_null(strstr(out->str, "(default"));
	assert_null(strstr(out->str, "vm.template"));
	assert_null(strstr(out->str, "\"true\""));
	g_string_free(out, TRUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_documents_are_valid),
		cmocka_unit_test(test_input_forms),
		cmocka_unit_test(test_schema_tells_meaning),
		cmocka_unit_test(test_rsdl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
