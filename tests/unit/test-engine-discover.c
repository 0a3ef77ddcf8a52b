/* SPDX-License-Identifier: Apache-2.0 */
/* Storage domains that a host sees and the engine does not know: all that can be told are, whatever the others are like. */
#include "engine/api/domain_luns.h"
#include "tests/unit/fake-agent.h"

#define GOOD_ID "d0000000-0000-0000-0000-000000000001"
#define BROKEN_ID "d0000000-0000-0000-0000-000000000002"
#define STRANGE_ID "d0000000-0000-0000-0000-000000000003"
#define LAST_ID "d0000000-0000-0000-0000-000000000004"
#define EVENT_UNIDENTIFIED 20390

/* The list that the action's answer shows; NULL + error */
static GPtrArray *discover(GError **error)
{
	struct request request = { .engine = &world.engine, .actor = { .user_name = "ada", .correlation_id = "c1" } };
	struct host *host = model_get(world.engine.model, &host_kind, HOST_ID);
	void *params = record_new(&discover_domains_type), *result = NULL;
	bool ok = domain_luns_discover(&request, host, params, &result, error);
	json_t *answer = ok ? record_to_json(result, RECORD_REST) : NULL;
	GPtrArray *names = ok ? g_ptr_array_new_with_free_func(g_free) : NULL;
	json_t *domain;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(answer, "storage_domains"), "storage_domain"), i, domain)
		g_ptr_array_add(names, g_strdup_printf("%s %s %s", json_string_value(json_object_get(domain, "id")), json_string_value(json_object_get(domain, "name")),
						       json_string_value(json_object_get(domain, "type"))));
	json_decref(answer);
	record_unref(result);
	record_unref(params);
	record_unref(host);
	return names;
}

static void sees(const char *id, const char *name, const char *class_)
{
	json_object_set_new(world.domains, id, name ? json_pack("{s:s, s:s}", "name", name, "class", class_) : json_null());
}

static unsigned told_of(const char *id)
{
	g_autoptr(GPtrArray) events = model_list(world.engine.model, &event_kind);
	unsigned n = 0;

	for (guint i = 0; i < events->len; i++) {
		const struct event *event = events->pdata[i];

		n += event->code == EVENT_UNIDENTIFIED && strstr(event->description, id) && strstr(event->description, "Host h1") &&
		     !g_strcmp0(event->correlation_id, "c1");
	}
	return n;
}

static void one_that_is_broken_hides_none(void **state)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) found = NULL;

	engine_connect();
	sees(GOOD_ID, "good", "Data");
	sees(BROKEN_ID, NULL, NULL);
	sees(STRANGE_ID, "strange", "Cinema");
	sees(DOMAIN_ID, "data", "Data");         /* known */
	sees(LAST_ID, "last", "Backup");
	found = discover(&error);
	if (!found)
		fail_msg("%s", error->message);
	assert_int_equal(found->len, 2);
	assert_string_equal(found->pdata[0], GOOD_ID " good data");
	assert_string_equal(found->pdata[1], LAST_ID " last export");
	assert_int_equal(events_of(EVENT_UNIDENTIFIED), 2);
	assert_int_equal(told_of(BROKEN_ID), 1);
	assert_int_equal(told_of(STRANGE_ID), 1);
}

/* That nobody can be asked is an error of the whole, not of each domain. */
static void a_host_that_goes_away_is_told(void **state)
{
	g_autoptr(GError) error = NULL;

	engine_connect();
	sees(GOOD_ID, "good", "Data");
	sees(LAST_ID, "last", "Data");
	world.dies_before = "StorageDomain.getInfo";
	assert_null(discover(&error));
	assert_int_equal(error->code, ERR_NO_CONNECTION);
	assert_int_equal(events_of(EVENT_UNIDENTIFIED), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { TEST(one_that_is_broken_hides_none), TEST(a_host_that_goes_away_is_told) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
