/* SPDX-License-Identifier: Apache-2.0 */
/* A domain gets one more LUN, and the engine is killed: before or after each step, and in each undo. It ends as if it had not been, and is told once. */
#include "engine/flow/extend_flow.h"
#include "engine/model/logical_unit.h"
#include "tests/unit/fake-agent.h"

#define EXTENDED 972
#define EXTEND_FAILED 973
enum { RECORD, CONNECT, EXTEND, SETTLE, STEPS };

static bool has_second;                      /* the group has l2; world.lock held */

/* The disks that the agent sees, and the volume group of the domain. */
static json_t *disks_of_agent(const char *verb, const json_t *params, GError **error)
{
	json_t *first = json_pack("{s:s, s:s}", "GUID", "l1", "capacity", "1000"), *second = json_pack("{s:s, s:s}", "GUID", "l2", "capacity", "1000");
	json_t *answer = NULL;

	if (!strcmp(verb, "Host.getDeviceList"))
		answer = json_pack("[O, O]", first, second);
	else if (!strcmp(verb, "Host.getLVMVolumeGroups"))
		answer = json_pack("[{s:s, s:s, s:[O]}]", "name", DOMAIN_ID, "vgUUID", "group", "pvlist", first);
	else if (!strcmp(verb, "StorageDomain.getStats"))
		answer = json_pack("{s:s, s:s}", "disktotal", has_second ? "2000" : "1000", "diskfree", "500");
	else if (!strcmp(verb, "StoragePool.getSpmStatus"))
		answer = json_pack("{s:s}", "spmStatus", "SPM");
	else if (!strcmp(verb, "StorageDomain.extend") && has_second)
		error_set(error, ERR_OPERATION_FAILED, "l2 is in the group");
	else if (!strcmp(verb, "StorageDomain.extend"))
		answer = json_true();
	if (answer && has_second && !strcmp(verb, "Host.getLVMVolumeGroups"))
		json_array_append(json_object_get(json_array_get(answer, 0), "pvlist"), second);
	if (answer && !strcmp(verb, "StorageDomain.extend"))
		has_second = true;
	json_decref(first);
	json_decref(second);
	return answer;
}

static struct storage_domain *get_domain(void)
{
	return model_get(world.engine.model, &storage_domain_kind, DOMAIN_ID);
}

static struct logical_unit *unit(const char *id)
{
	struct logical_unit *unit = record_new(&logical_unit_type);

	set_string(&unit->id, id);
	return unit;
}

static void replace(void *base, void *copy)
{
	struct change *change = change_new(world.engine.store);

	change_replace(change, base, copy);
	assert_true(change_commit(change, NULL));
	record_unref(base);
	record_unref(copy);
}

/* The domain is the master on Fibre Channel, the host the manager. recorded: the first step was done. */
static void begin_with(bool recorded, bool in_group)
{
	struct storage_domain *domain = get_domain(), *copy = record_copy(domain);
	struct host *host, *manager;
	struct logical_unit *first = unit("l1");

	SET(first, size, 1000);
	SET(copy, storage_type, STORAGE_FCP);
	SET(copy, master, true);
	set_ref(&copy->local_host, NULL);
	copy->logical_units = list_new();
	g_ptr_array_add(copy->logical_units, first);
	if (recorded)
		g_ptr_array_add(copy->logical_units, unit("l2"));
	host = model_get(world.engine.model, &host_kind, HOST_ID);
	manager = record_copy(host);
	set_string(&manager->pool_id, copy->data_center.id);
	SET(manager, pool_number, 1);
	SET(manager, storage_manager, true);
	replace(domain, copy);
	replace(host, manager);
	world.more = disks_of_agent;
	has_second = in_group;
	engine_connect();
}

/* What a killed engine left, and a new one takes up. */
static void resume(int step, int state)
{
	struct flow_record *flow = record_new(&flow_record_type);
	struct storage_domain *domain = get_domain();
	g_autoptr(GPtrArray) units = list_new(), none = list_new(), ids = strings_new();

	g_ptr_array_add(units, unit("l2"));
	set_string(&flow->name, extend_domain_flow.name);
	set_string(&flow->object_id, DOMAIN_ID);
	SET(flow, step, step);
	SET(flow, state, state);
	flow->data = extend_data(domain, units, none, ids, false);
	if (step > EXTEND)
		json_object_set_new(flow->data, "host", json_string(HOST_ID));
	record_unref(domain);
	add_record(flow);
	flow_resume_all(&world.engine);
	wait_for(!flows());
}

static void assert_units(guint n)
{
	struct storage_domain *domain = get_domain();
	struct logical_unit *second = logical_unit_in(domain->logical_units, "l2");

	assert_int_equal(domain->logical_units->len, n);
	assert_int_equal(second != NULL, n == 2);
	assert_int_equal(second ? second->size : 0, n == 2 ? 1000 : 0);
	record_unref(domain);
}

/* Before the step, and after all of it and what follows, which was not noted. */
static void killed_at(int step)
{
	begin_with(step > RECORD, step > EXTEND);
	for (int i = 0; i < 2; i++) {
		resume(step, FLOW_RUNNING);
		assert_units(2);
		assert_int_equal(events_of(EXTENDED), 1);
		assert_int_equal(events_of(EXTEND_FAILED), 0);
	}
}

static void killed_before_it_is_recorded(void **state) { killed_at(RECORD); }
static void killed_before_hosts_are_connected(void **state) { killed_at(CONNECT); }
static void killed_before_the_group_is_extended(void **state) { killed_at(EXTEND); }
static void killed_before_it_is_settled(void **state) { killed_at(SETTLE); }

/* It failed, or nobody knows, and the group has it after all. */
static void killed_in_an_undo_that_completes_it(void **state)
{
	begin_with(true, true);
	resume(SETTLE, FLOW_UNDOING);
	assert_units(2);
	assert_int_equal(events_of(EXTENDED), 1);
	assert_int_equal(events_of(EXTEND_FAILED), 0);
}

static void killed_in_any_undo(void **state)
{
	begin_with(true, false);
	for (int step = STEPS; step > RECORD; step--) {
		resume(step, FLOW_UNDOING);
		assert_units(1);
	}
	assert_int_equal(events_of(EXTENDED), 0);
	assert_int_equal(events_of(EXTEND_FAILED), STEPS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(killed_before_it_is_recorded), TEST(killed_before_hosts_are_connected), TEST(killed_before_the_group_is_extended), TEST(killed_before_it_is_settled),
		TEST(killed_in_an_undo_that_completes_it), TEST(killed_in_any_undo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
