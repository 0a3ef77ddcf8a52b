/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cmocka-all.h"

#include <string.h>
#include "common/error.h"
#include "common/loop.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/event.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "engine/search/search-priv.h"

static struct model *model;

static void publish(const struct kind *kind, const char *id, void *record)
{
	const struct model_change change = { kind, id, record };
	model_publish(model, &change, 1);
	record_unref(record);
}

static void add_vm(const char *id, const char *name, const char *cluster, const char *host, int state, int64_t memory)
{
	struct vm *vm = record_new(&vm_type);
	vm->id = g_strdup(id);
	vm->name = g_strdup(name);
	vm->description = g_strdup(strcmp(name, "web") == 0 ? "two words" : NULL);
	set_ref(&vm->cluster, cluster);
	set_ref(&vm->host, host);
	SET(vm, state, state);
	SET(vm, memory, memory);
	publish(&vm_kind, id, vm);
}

static int set_up(void **state)
{
	model = model_new();
	struct datacenter *dc = record_new(&datacenter_type);
	dc->id = g_strdup("d1");
	dc->name = g_strdup("East");
	publish(&datacenter_kind, "d1", dc);
	for (int i = 1; i <= 2; i++) {
		struct cluster *cluster = record_new(&cluster_type);
		cluster->id = g_strdup_printf("c%d", i);
		cluster->name = g_strdup_printf("cluster%d", i);
		if (i == 1)
			set_ref(&cluster->data_center, "d1");
		publish(&cluster_kind, cluster->id, cluster);
		struct host *host = record_new(&host_type);
		host->id = g_strdup_printf("h%d", i);
		host->name = g_strdup_printf("host%d", i);
		char *id = g_strdup_printf("c%d", i);
		set_ref(&host->cluster, id);
		g_free(id);
		SET(host, state, i == 1 ? HOST_UP : HOST_NON_OPERATIONAL);
		publish(&host_kind, host->id, host);
	}
	add_vm("v1", "web", "c1", "h1", VM_UP, 1024);
	add_vm("v2", "Web", "c1", NULL, VM_DOWN, 2048);
	add_vm("v3", "db", "c2", "h2", VM_POWERING_UP, 4096);
	for (int i = 0; i < SEVERITY_MAX; i++) {
		struct event *event = record_new(&event_type);
		event->id = g_strdup_printf("%d", i + 9);
		SET(event, severity, i);
		SET(event, code, 30 + i);
		SET(event, time, wall_msec() - i * 86400000L);
		event->description = g_strdup("something");
		publish(&event_kind, event->id, event);
	}
	return 0;
}

static int tear_down(void **state)
{
	model = model_free(model);
	return 0;
}

static bool everyone(const void *object, void *data)
{
	return true;
}

/* Where the objects are looked for is not to be seen. */
static void same_members(const GPtrArray *a, GPtrArray *b, const char *text)
{
	if (a->len != b->len)
		fail_msg("%s: %u and %u objects", text, a->len, b->len);
	for (guint i = 0; i < a->len; i++)
		assert_ptr_equal(a->pdata[i], b->pdata[i]);
	g_ptr_array_unref(b);
}

static char *run(const struct kind *kind, const char *text, bool case_insensitive, size_t max)
{
	const struct search_options options = { case_insensitive, max };
	GError *error = NULL;
	struct query *query = query_new(kind, text, &options, &error);
	if (!query) {
		char *message = g_strdup(error->message);
		g_error_free(error);
		return message;
	}
	GPtrArray *objects = model_list(model, kind), *found = query_run(query, model, objects);
	GString *ids = g_string_new(NULL);
	for (guint i = 0; i < found->len; i++)
		g_string_append_printf(ids, "%s%s", i ? " " : "", object_id(found->pdata[i]));
	if (!kind->sequence) {          /* those of a list of its own */
		same_members(found, query_run_all(query, model, NULL), text);
		same_members(found, query_run_all(query, model, &(struct query_limit){ .shown = everyone }), text);
		same_members(found, query_run_all(query, model, &(struct query_limit){ .shown = everyone, .by_record = true }), text);
	}
	g_ptr_array_unref(objects);
	g_ptr_array_unref(found);
	query_free(query);
	return g_string_free(ids, FALSE);
}

static void check(const struct kind *kind, const char *text, const char *expected)
{
	char *got = run(kind, text, false, 0);
	if (strcmp(got, expected) != 0)
		print_error("%s: got '%s', expected '%s'\n", text, got, expected);
	assert_string_equal(got, expected);
	g_free(got);
}

static void test_members(void **state)
{
	check(&vm_kind, "", "v1 v2 v3");
	check(&vm_kind, "name=web", "v1");
	check(&vm_kind, "name = web", "v1");
	check(&vm_kind, "NAME!=web", "v2 v3");
	check(&vm_kind, "name=*b", "v1 v2 v3");
	check(&vm_kind, "name=*e*", "v1 v2");
	check(&vm_kind, "name=*we*", "v1");
	check(&vm_kind, "name!=*we*", "v2 v3");
	check(&vm_kind, "name=**", "v1 v2 v3");
	check(&vm_kind, "name=*w*e*", "v1");
	check(&vm_kind, "name=*e* sortby name desc page 1", "v2 v1");
	check(&vm_kind, "*eb*", "v1 v2");
	check(&vm_kind, "name=w*b", "v1");
	check(&vm_kind, "memory>1024", "v2 v3");
	check(&vm_kind, "memory>=1024 memory<4096", "v1 v2");
	check(&vm_kind, "status=poweringup", "v3");
	check(&vm_kind, "status=powering_up", "v3");
	check(&vm_kind, "status!=Up", "v2 v3");
	check(&vm_kind, "description=\"two words\"", "v1");
	check(&vm_kind, "description=\"\"", "v2 v3");
	check(&vm_kind, "description!=\"\"", "v1");
	check(&vm_kind, "words", "v1");
	check(&vm_kind, "not name=web", "v2 v3");
	check(&vm_kind, "name=web or (name=db and memory=4096)", "v1 v3");
	check(&vm_kind, "name=web or name=db and memory=1", "v1");
	check(&host_kind, "status=nonoperational", "h2");
	char *got = run(&vm_kind, "name=WEB", true, 0);
	assert_string_equal(got, "v1 v2");
	g_free(got);
}

static void test_relations(void **state)
{
	check(&vm_kind, "cluster=cluster1", "v1 v2");
	check(&vm_kind, "cluster!=cluster1", "v3");
	check(&vm_kind, "cluster=c2", "v3");
	check(&vm_kind, "host=\"\"", "v2");
	check(&vm_kind, "hosts.status=up", "v1");
	check(&vm_kind, "datacenter=East", "v1 v2");
	check(&vm_kind, "datacenters.name=E*", "v1 v2");
	check(&host_kind, "vms.status=up", "h1");
	check(&host_kind, "vms.name=d*", "h2");
	check(&host_kind, "datacenter=East", "h1");
	check(&datacenter_kind, "vms.name=web", "d1");
	check(&datacenter_kind, "vms.name=db", "");
	check(&datacenter_kind, "clusters.name=cluster1 and name=East", "d1");
	check(&vm_kind, "Vms.name=db", "v3");
}

static void test_events(void **state)
{
	check(&event_kind, "severity>normal", "10 11 12");
	check(&event_kind, "severity>normal sortby time", "12 11 10");
	check(&event_kind, "severity>normal sortby time desc", "10 11 12");
	check(&event_kind, "severity=error", "11");
	check(&event_kind, "type=30", "9");
	check(&event_kind, "time=today", "9");
	check(&event_kind, "time<yesterday", "11 12");
	check(&event_kind, "time>=\"2 days\"", "9 10 11");
	check(&event_kind, "sortby id desc", "12 11 10 9");
}

static void test_order_and_pages(void **state)
{
	check(&vm_kind, "sortby name", "v3 v1 v2");
	check(&vm_kind, "sortby memory desc", "v3 v2 v1");
	check(&vm_kind, "sortby cluster desc", "v3 v2 v1");
	check(&vm_kind, "page 1", "v1 v2 v3");
	check(&vm_kind, "page 2", "");
	char *got = run(&vm_kind, "sortby memory asc page 2", false, 2);
	assert_string_equal(got, "v3");
	g_free(got);
	got = run(&vm_kind, "memory>0", false, 2);
	assert_string_equal(got, "v1 v2");
	g_free(got);
}

static void add_one_of_many(int i, const char *prefix)
{
	static const char *const ends[] = { "", "a", "A\303\244", "\303\204rger", "zebra", "yellow 2", "yellow 1", "ZEBRAS and more of them", "zebr" };
	static const char *const clusters[] = { "c1", "c2", "none" };
	int number = i * 7919 % 1000;
	struct vm *vm = record_new(&vm_type);

	vm->id = g_strdup_printf("m%d", i);
	vm->name = g_strdup_printf(i % 50 ? "%sm%d" : "%sM\303\204%d", prefix, number);
	if (i % 11)
		vm->description = g_strdup_printf("%s%s%s", i % 3 ? "Description of " : i % 5 ? "description " : "", ends[i % G_N_ELEMENTS(ends)], i % 2 ? prefix : "");
	set_ref(&vm->cluster, clusters[i % 3]);
	set_ref(&vm->host, i % 4 ? "h2" : NULL);
	SET(vm, state, i % 2 ? VM_UP : VM_DOWN);
	SET(vm, memory, i / 10);
	if (i % 7)
		SET(vm, start_time, (number - 500) * INT64_C(86400000));
	publish(&vm_kind, vm->id, vm);
}

/* Pages of many are those of the whole list, in whatever order it was: run() compares with sorting all of them. */
static void test_sorted_pages(void **state)
{
	enum { MANY = 2500, PAGE = 211 };
	static const char *const properties[] = { "name", "memory", "cluster", "host", "id", "description", "status", "start_time", "os" },
				 *const prefixes[] = { "", "production-" }, *const conditions[] = { "", "status=up ", "description=Desc* ", "ion " };

	for (size_t p = 0; p < G_N_ELEMENTS(prefixes); p++) {
		for (int i = 0; i < MANY; i++)
			add_one_of_many(i, prefixes[p]);
		for (size_t i = 0; i < 2 * G_N_ELEMENTS(properties) * G_N_ELEMENTS(conditions); i++) {
			const char *condition = conditions[i / 2 % G_N_ELEMENTS(conditions)], *property = properties[i / 2 / G_N_ELEMENTS(conditions)];
			g_autofree char *order = g_strdup_printf("%ssortby %s%s", condition, property, i % 2 ? " desc" : "");
			g_autofree char *whole = run(&vm_kind, order, false, 0), *first = run(&vm_kind, order, false, PAGE);
			g_autoptr(GString) pages = g_string_new(NULL);
			bool more = true;

			for (int page = 1; more; page++) {
				g_autofree char *text = g_strdup_printf("%s page %d", order, page), *got = run(&vm_kind, text, false, PAGE);

				if (page == 1)
					assert_string_equal(got, first);
				more = *got;
				g_string_append_printf(pages, "%s%s", page > 1 && more ? " " : "", got);
			}
			assert_string_equal(pages->str, whole);
		}
	}
}

static void test_malformed(void **state)
{
	const struct { const char *text; const char *where; } rows[] = {
		{ "nosuch=1", "character 1" }, { "name=web nosuch=1", "character 10" }, { "name=", "character 6" }, { "(name=web", "character 10" },
			{ "name=web)", "character 9" },
		{ "memory>x", "character 8" }, { "status=flying", "character 8" }, { "name>a", "character 6" }, { "name=\"a", "character 6" },
			{ "sortby", "character 7" },
		{ "sortby nosuch", "character 8" }, { "page", "character 5" }, { "page 0", "character 6" }, { "or", "character 1" },
			{ "a and", "character 6" }, { "name!web", "character 5" },
		{ "x.y=1", "character 1" }, { "page 1 x", "character 8" },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const struct search_options options = { 0 };
		GError *error = NULL;
		assert_null(query_new(&vm_kind, rows[i].text, &options, &error));
		assert_non_null(error);
		if (!strstr(error->message, rows[i].where))
			print_error("%s: %s\n", rows[i].text, error->message);
		assert_non_null(strstr(error->message, rows[i].where));
		assert_int_equal(error_info(error->code)->http_status, 400);
		g_error_free(error);
	}
}

/* Appendix B: the query language's words for states that no query of a running engine could hold still.
 * rows: r16-217 r16-218 r16-219 r16-220 r16-221 */
static void test_words(void **state)
{
	static const struct { const char *word; int state; } rows[] = {
		{ "nonresponsive", HOST_NON_RESPONSIVE }, { "installfailed", HOST_INSTALL_FAILED }, { "preparingformaintenance", HOST_PREPARING_FOR_MAINTENANCE },
		{ "nonoperational", HOST_NON_OPERATIONAL }, { "pendingapproval", HOST_PENDING_APPROVAL },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *text = g_strdup_printf("status=%s", rows[i].word);
		const struct search_options options = { 0 };
		struct query *query = query_new(&host_kind, text, &options, NULL);
		assert_non_null(query);
		for (int value = 0; host_state_names[value]; value++) {
			struct host *host = record_new(&host_type);
			set_string(&host->id, "h");
			SET(host, state, value);
			g_autoptr(GPtrArray) one = g_ptr_array_new_with_free_func(record_unref);
			g_ptr_array_add(one, host);
			g_autoptr(GPtrArray) found = query_run(query, model, one);
			assert_int_equal(found->len, value == rows[i].state);
		}
		query_free(query);
	}
}

/* What spares looking at an object (its letters' pairs, how its name begins, its id) spares none that matches: run() compares with looking at all. */
static void test_shortcuts(void **state)
{
	static const struct { const char *text; bool case_insensitive; const char *expected; } rows[] = {
		{ "WO wor", false, "" }, { "WO wor", true, "v1" }, { "two wor", false, "v1" }, { "\"o w\"", false, "v1" }, { "ow", false, "v2 v3 v4" },
			{ "w*ds", false, "v1" }, { "*w*ds*", false, "v1" }, { "K", false, "" }, { "q", false, "" }, { "w", false, "v1 v2 v3 v4" },
		{ "upp", false, "" }, { "powering", false, "v3" }, { "name=WE*", true, "v1 v2" }, { "name=WEB", true, "v1 v2" }, { "name=*EB*", true, "v1 v2" },
		{ "name=k*", true, "v4" }, { "name=*kel*", true, "v4" }, { "kel", true, "v4" }, { "name=K*", false, "" }, { "kel", false, "" }, { "elvin", false, "v4" },
		{ "description=*o*w*", false, "v1" }, { "description=TWO*", true, "v1" }, { "id=V2", false, "v2" }, { "id=v2 name=Web", false, "v2" },
		{ "id=v2 or name=db", false, "v2 v3" }, { "id!=v2", false, "v1 v3 v4" }, { "id=v* sortby name desc page 1", false, "v2 v1 v4 v3" },
		{ "id=none", false, "" }, { "hosts.name=host1 name=w*", false, "v1" },
	};

	add_vm("v4", "\xe2\x84\xaa" "elvin", "c2", NULL, VM_DOWN, 1);          /* begins with the Kelvin sign, which is a k when it is folded */
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *got = run(&vm_kind, rows[i].text, rows[i].case_insensitive, 0);

		if (strcmp(got, rows[i].expected))
			print_error("%s: got '%s', expected '%s'\n", rows[i].text, got, rows[i].expected);
		assert_string_equal(got, rows[i].expected);
	}
	publish(&vm_kind, "v4", NULL);
}

static void test_wildcards(void **state)
{
	assert_true(search_wildcard("*", "", false));
	assert_true(search_wildcard("a*b*c", "a--b--c", false));
	assert_true(search_wildcard("*aab", "aaaaab", false));
	assert_false(search_wildcard("a*b", "abc", false));
	assert_false(search_wildcard("", "a", false));
	assert_true(search_wildcard("GR\xc3\x96*", "gr\xc3\xb6\xc3\x9f" "e", true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members), cmocka_unit_test(test_relations), cmocka_unit_test(test_events),
			cmocka_unit_test(test_order_and_pages),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_words), cmocka_unit_test(test_wildcards), cmocka_unit_test(test_shortcuts),
			cmocka_unit_test(test_sorted_pages),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
