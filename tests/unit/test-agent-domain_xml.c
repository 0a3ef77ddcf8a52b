/* SPDX-License-Identifier: Apache-2.0 */
/* VM.create's parameters -> domain XML, against golden files: NAME.json -> NAME.xml, or NAME.error. REGENERATE=1 writes them anew: review the diff. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "agent/virt/domain_info.h"
#include "agent/virt/domain_xml.h"
#include "agent/virt/vm_metadata.h"
#include "agent/xml.h"
#include "common/error.h"

#define VM "aaaaaaaa-0000-4000-8000-000000000001"

static char *golden(const char *name, const char *suffix)
{
	g_autofree char *file = g_strconcat(name, suffix, NULL);
	const char *root = getenv("ROOT");

	return g_build_filename(root ? root : ".", "tests/golden/domain_xml", file, NULL);
}

static bool prepare(void *data, const char *domain, const char *image, const char *volume, char **ret_path, const char **ret_format, GError **error)
{
	if (g_str_has_prefix(volume, "dead")) {
		error_set(error, ERR_VOLUME_DOES_NOT_EXIST, "('%s',)", volume);
		return false;
	}
	*ret_path = g_strdup("/dev/null");
	*ret_format = "qcow2";
	return true;
}

static char *bridge(void *data, const char *network, GError **error)
{
	if (!strcmp(network, "nowhere")) {
		error_set(error, ERR_BAD_BRIDGE, "network '%s' is not on this host", network);
		return NULL;
	}
	return g_strconcat("br-", network, NULL);
}

static struct vm_params *read_params(const char *name)
{
	g_autofree char *file = golden(name, ".json"), *text = NULL;
	g_autoptr(GError) error = NULL;
	struct record_input input = { .dialect = RECORD_CHANNEL };
	struct vm_params *params;
	json_t *json;
	gsize length;

	if (!g_file_get_contents(file, &text, &length, &error))
		fail_msg("%s", error->message);
	json = json_parse(text, length, &error);
	params = json ? record_from_json(&vm_params_type, json, &input, &error) : NULL;
	if (!params)
		fail_msg("%s: %s", file, error->message);
	record_input_clear(&input);
	json_decref(json);
	return params;
}

static void compare(const char *name, const char *suffix, const char *got)
{
	g_autofree char *file = golden(name, suffix), *expected = NULL;

	if (getenv("REGENERATE")) {
		assert_true(g_file_set_contents(file, got, -1, NULL));
		return;
	}
	if (!g_file_get_contents(file, &expected, NULL, NULL))
		fail_msg("%s is missing: REGENERATE=1", file);
	assert_string_equal(got, expected);
}

static void check(const char *name, bool kvm)
{
	struct domain_xml_env env = {
		.kvm = kvm, .host_uuid = "bbbbbbbb-0000-4000-8000-000000000002", .display_address = "127.0.0.1", .password = "drawn123",
		.start_time = 1700000000.25, .prepare = prepare, .bridge = bridge,
	};
	struct vm_params *params = read_params(name);
	g_autoptr(GError) error = NULL;
	g_autofree char *xml = domain_xml_build(VM, params, &env, &error), *line = NULL;

	record_unref(params);
	if (xml) {
		g_autofree char *ended = g_strconcat(xml, "\n", NULL);

		compare(name, ".xml", ended);
		return;
	}
	line = g_strdup_printf("%d %s\n", error->code, error->message);
	compare(name, ".error", line);
}

static void test_least(void **state) { check("least", false); }
static void test_least_kvm(void **state) { check("least-kvm", true); }
static void test_everything(void **state) { check("everything", false); }
static void test_everything_kvm(void **state) { check("everything-kvm", true); }
static void test_pc(void **state) { check("pc", false); }
static void test_engine(void **state) { check("engine", false); }
static void test_engine_kvm(void **state) { check("engine-kvm", true); }
static void test_refused(void **state)
{
	static const char *const names[] = {
		"bad-memory", "bad-device", "bad-bus", "bad-file", "bad-volume", "bad-network", "bad-index", "bad-ids", "bad-cpus", "bad-name", "bad-root",
		"bad-xml",
		"bad-uuid",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		check(names[i], false);
}

static char *built(struct vm_params **ret_params)
{
	struct domain_xml_env env = { .display_address = "::", .password = "drawn123", .start_time = 1700000000.25, .prepare = prepare, .bridge = bridge };
	struct vm_params *params = read_params("everything");
	char *xml = domain_xml_build(VM, params, &env, NULL);

	assert_non_null(xml);
	*ret_params = params;
	return xml;
}

static void test_metadata_round_trip(void **state)
{
	struct vm_params *params;
	g_autofree char *xml = built(&params);
	struct domain_info *info;
	bool ours = false;

	info = domain_info_read(xml, &ours, NULL);
	assert_non_null(info);
	assert_true(ours);
	assert_string_equal(info->name, params->vm_name);
	assert_true(info->start_time == 1700000000.25);
	assert_non_null(info->params);
	assert_null(info->params->ticket);
	assert_int_equal(info->params->mem_size, params->mem_size);
	assert_int_equal(info->params->devices->len, params->devices->len);
	assert_string_equal(json_string_value(json_object_get(info->custom, "colour")), "blue");
	assert_int_equal(info->disks->len, 5);
	assert_string_equal(domain_info_disk(info, "vda")->image_id, "11111111-0000-4000-8000-000000000003");
	*strstr(xml, "<devices>") = '\0';
	assert_null(strstr(xml, "topsecret"));          /* the metadata hold no secrets */
	domain_info_unref(info);
	record_unref(params);
}

static void test_hash(void **state)
{
	struct vm_params *params;
	g_autofree char *xml = built(&params), *connected = NULL, *changed = NULL;
	struct domain_info *a, *b, *c;
	g_auto(GStrv) parts = NULL;

	parts = g_strsplit(xml, "name=\"org.qemu.guest_agent.0\"", 2);
	connected = g_strjoinv("name=\"org.qemu.guest_agent.0\" state=\"connected\"", parts);
	g_strfreev(parts);
	parts = g_strsplit(xml, "br-blue", 2);
	changed = g_strjoinv("br-red", parts);
	a = domain_info_read(xml, NULL, NULL);
	b = domain_info_read(connected, NULL, NULL);
	c = domain_info_read(changed, NULL, NULL);
	assert_false(a->agent_connected);
	assert_true(b->agent_connected);
	assert_string_equal(a->hash, b->hash);
	assert_string_not_equal(a->hash, c->hash);
	domain_info_unref(a);
	domain_info_unref(b);
	domain_info_unref(c);
	record_unref(params);
}

static void test_not_ours(void **state)
{
	bool ours = true;
	struct domain_info *info = domain_info_read("<domain><name>x</name><metadata><vm xmlns='urn:other'/></metadata><devices/></domain>", &ours, NULL);
	g_autoptr(GError) error = NULL;

	assert_non_null(info);
	assert_false(ours);
	domain_info_unref(info);
	assert_null(domain_info_read("<domain/>", NULL, &error));
	assert_non_null(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least), cmocka_unit_test(test_least_kvm), cmocka_unit_test(test_everything), cmocka_unit_test(test_everything_kvm),
		cmocka_unit_test(test_pc), cmocka_unit_test(test_engine), cmocka_unit_test(test_engine_kvm), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_metadata_round_trip), cmocka_unit_test(test_hash), cmocka_unit_test(test_not_ours),
	};

	return cmocka_run_group_tests_name("agent domain_xml", tests, NULL, NULL);
}
