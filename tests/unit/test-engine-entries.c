/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of runs that ended: dropped after the end is stored, also by an engine or for an agent that was away; nothing else is ended by that. */
/* rows: verb:VM.destroy */
#include "engine/flow/vm_flow.h"
#include "tests/unit/fake-agent.h"

#define EVENT_FLOW_WAITS 20302

static char *entry_host(void)
{
	struct vm *vm = get_vm();
	char *id = vm ? g_strdup(vm->entry_host.id) : NULL;

	record_unref(vm);
	return id;
}

#define assert_entry_host(expected) do { g_autofree char *id_ = entry_host(); assert_true(!g_strcmp0(id_, expected)); } while (0)

/* All that the agent says is taken in by now: a later list was, too. */
static void hear_all(void)
{
	g_autoptr(GError) error = NULL;

	for (int i = 0; i < 3; i++) {
		sync_host(world.engine.fleet, HOST_ID, 0);
		assert_true(fleet_wait_vm(world.engine.fleet, VM_ID, UINT32_MAX, 1, &error));
	}
}

static void job_done(void *data)
{
	g_atomic_int_set((int *)data, 1);
}

/* What is queued on this lane is done. */
static void wait_lane(const char *lane)
{
	int done = 0;
	struct lane_job job = { .name = "mark", .run = job_done, .data = &done };

	assert_true(lane_submit(world.engine.lanes, lane, &job, NULL));
	wait_for(g_atomic_int_get(&done));
}

static void settle(void)
{
	hear_all();
	wait_lane("fleet/" HOST_ID);
	wait_lane("vms/" VM_ID);
}

static void the_end_is_stored_then_the_entry_dropped(void **state)
{
	add_vm(VM_UP);
	agent_has(VM_ID, "Up", -1);
	engine_connect();
	agent_has(VM_ID, "Down", VM_EXIT_USER_SHUTDOWN);
	wait_for(vm_state() == VM_DOWN && !agent_knows(VM_ID));
	settle();
	assert_entry_host(NULL);
	assert_int_equal(world.destroyed_running, 0);
}

/* The end was stored, then the engine was killed. */
static void a_restarted_engine_drops_it(void **state)
{
	add_vm(VM_DOWN);
	agent_has(VM_ID, "Down", VM_EXIT_USER_SHUTDOWN);
	engine_connect();
	wait_for(!agent_knows(VM_ID));
	assert_int_equal(vm_state(), VM_DOWN);
	assert_int_equal(world.destroyed_running, 0);
}

/* The agent goes away between the news and the drop. */
static void a_returning_agent_is_asked_again(void **state)
{
	add_vm(VM_UP);
	agent_has(VM_ID, "Up", -1);
	engine_connect();
	world.dies_before = "VM.destroy";
	agent_has(VM_ID, "Down", VM_EXIT_USER_SHUTDOWN);
	wait_for(agent_asked("VM.destroy"));
	wait_for(host_state() != HOST_UP);
	assert_int_equal(vm_state(), VM_DOWN);
	assert_entry_host(HOST_ID);
	assert_true(agent_knows(VM_ID));
	agent_start();
	wait_for(!agent_knows(VM_ID));
	settle();
	assert_entry_host(NULL);
}

/* ... and the VM is removed before it is back. */
static void a_removed_vm_leaves_no_entry(void **state)
{
	g_autoptr(GError) error = NULL;

	add_vm(VM_UP);
	agent_has(VM_ID, "Up", -1);
	engine_connect();
	world.dies_before = "VM.destroy";
	agent_has(VM_ID, "Down", VM_EXIT_USER_SHUTDOWN);
	wait_for(agent_asked("VM.destroy"));
	wait_for(host_state() != HOST_UP);
	if (!flow_run(&world.engine, &remove_vm_flow, VM_ID, NULL, json_pack("{s:s, s:b}", "name", "web", "keep", 0), NULL, &error))
		fail_msg("%s", error->message);
	assert_null(get_vm());
	assert_int_equal(flows(), 1);
	assert_int_equal(events_of(EVENT_FLOW_WAITS), 1);
	assert_true(agent_knows(VM_ID));

	/* the engine is killed, too */
	engine_close();
	engine_open();
	flow_resume_all(&world.engine);
	agent_start();
	engine_connect();
	wait_for(!agent_knows(VM_ID) && !flows());
}

static void nothing_else_is_ended(void **state)
{
	add_vm(VM_DOWN);
	agent_has(OTHER_ID, "Down", VM_EXIT_USER_SHUTDOWN);       /* somebody's */
	agent_has(VM_ID, "Up", -1);                               /* ours, but not that we know */
	engine_connect();
	settle();
	settle();
	assert_true(agent_knows(OTHER_ID));
	assert_true(agent_knows(VM_ID));
	assert_int_equal(agent_asked("VM.destroy"), 0);
}

static void start_it(void *unused)
{
	fake_set(VM_ID, "Up", -1);
}

/* Between the list and the drop somebody made it run again. */
static void it_is_looked_at_before(void **state)
{
	g_autoptr(GError) error = NULL;
	bool gone = true;

	add_vm(VM_DOWN);
	engine_connect();
	on_loop(start_it, NULL);
	assert_true(entry_drop(world.engine.fleet, HOST_ID, VM_ID, NULL, &gone, &error));
	assert_false(gone);
	assert_true(agent_knows(VM_ID));
	assert_true(entry_drop(world.engine.fleet, HOST_ID, OTHER_ID, NULL, &gone, &error));
	assert_true(gone);
	assert_int_equal(agent_asked("VM.destroy"), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_end_is_stored_then_the_entry_dropped), TEST(a_restarted_engine_drops_it), TEST(a_returning_agent_is_asked_again),
		TEST(a_removed_vm_leaves_no_entry), TEST(nothing_else_is_ended), TEST(it_is_looked_at_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
