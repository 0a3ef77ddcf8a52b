/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cmocka-all.h"

#include <string.h>
#include "common/error.h"
#include "engine/api/router.h"

static const struct action actions[] = { { .name = "start" }, { .name = "stop" }, { .name = "nics/swap" }, { .name = NULL } };
static const struct resource vm = { .path = "vms", .actions = actions }, nic = { .path = "nics", .parent = &vm },
	figure = { .path = "statistics", .parent = &nic };
static const struct resource *const table[] = { &vm, &nic, &figure, NULL };

static void check(const char *target, enum route_kind kind, unsigned depth, const char *href, const char *tail)
{
	struct route route;
	GError *error = NULL;
	assert_true(route_parse(target, table, &route, &error));
	assert_int_equal(route.kind, kind);
	assert_int_equal(route.depth, depth);
	if (href) {
		GString *text = g_string_new(NULL);
		route_href(&route, true, text);
		assert_string_equal(text->str, href);
		g_string_free(text, TRUE);
	}
	if (tail)
		assert_string_equal(route.tail, tail);
	route_clear(&route);
}

static void test_paths(void **state)
{
	check("/", ROUTE_ROOT, 0, NULL, NULL);
	check("/api", ROUTE_ENTRY, 0, "/api", NULL);
	check("/ovirt-engine/api/", ROUTE_ENTRY, 0, "/ovirt-engine/api", NULL);
	check("/ca.crt", ROUTE_CA, 0, NULL, NULL);
	check("/ovirt-engine/services/pki-resource?resource=ca-certificate&format=X509-PEM-CA", ROUTE_CA, 0, NULL, NULL);
	check("/ovirt-engine/services/pki-resource?resource=engine-certificate&format=X509-PEM", ROUTE_NONE, 0, NULL, NULL);
	check("/metrics", ROUTE_METRICS, 0, NULL, NULL);
	check("/api/capabilities/", ROUTE_CAPABILITIES, 0, NULL, NULL);
	check("/api/capabilities/7", ROUTE_CAPABILITIES, 0, NULL, "7");
	check("/api/vms", ROUTE_COLLECTION, 1, "/api/vms", NULL);
	check("//api//vms//", ROUTE_COLLECTION, 1, "/api/vms", NULL);
	check("/api/vms/1", ROUTE_OBJECT, 1, "/api/vms/1", NULL);
	check("/api/vms/a%20b%2Fc", ROUTE_OBJECT, 1, "/api/vms/a%20b%2Fc", NULL);
	check("/api/vms/1/nics/2/statistics/3", ROUTE_OBJECT, 3, "/api/vms/1/nics/2/statistics/3", NULL);
	check("/api/vms/1/start", ROUTE_ACTION, 1, "/api/vms/1", NULL);
	check("/api/vms/1/start/9", ROUTE_ACTION_STATUS, 1, "/api/vms/1", "9");
	check("/api/vms/1/nics/swap", ROUTE_ACTION, 1, "/api/vms/1", "swap");
	check("/api/vms/1/nics/swap/9", ROUTE_ACTION_STATUS, 1, "/api/vms/1", "9");
	check("/api/vms/1/nics/swap/9/x", ROUTE_NONE, 2, NULL, NULL);
	check("/api/vms/1/creation_status/9", ROUTE_CREATION, 1, NULL, "9");
	check("https://host:8443/api/vms", ROUTE_COLLECTION, 1, "/api/vms", NULL);
	check("/api/vms/1/nosuch", ROUTE_NONE, 1, NULL, NULL);
	check("/api/vms/1/start/9/x", ROUTE_NONE, 1, NULL, NULL);
	check("/api/nics", ROUTE_NONE, 0, NULL, NULL);
	check("/ovirt-engine", ROUTE_NONE, 0, NULL, NULL);
	check("/apix", ROUTE_NONE, 0, NULL, NULL);
}

static void test_parameters(void **state)
{
	struct route route;
	assert_true(route_parse("/api/vms;max=2;case_sensitive=false;current/7;x=%3D?search=a+b%2Bc&Deep_Copy&empty=", table, &route, NULL));
	assert_int_equal(route.kind, ROUTE_OBJECT);
	const struct { const char *name, *value; } expected[] = { { "max", "2" }, { "case-sensitive", "false" }, { "current", "" }, { "x", "=" },
		{ "search", "a b+c" },
								  { "deep-copy", "" }, { "empty", "" } };
	for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
		assert_string_equal(g_hash_table_lookup(route.parameters, expected[i].name), expected[i].value);
	route_clear(&route);
}

static void test_malformed(void **state)
{
	const char *const targets[] = { "/api/%", "/api/%4", "/api/%zz", "/api/%00", "/api/%ff", "/api?x=%c3",
		"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r" };
	for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
		struct route route;
		GError *error = NULL;
		assert_false(route_parse(targets[i], table, &route, &error));
		assert_true(error_is(error, ERR_SYNTAX));
		g_clear_error(&error);
		route_clear(&route);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_paths), cmocka_unit_test(test_parameters), cmocka_unit_test(test_malformed) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
