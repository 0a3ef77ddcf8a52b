/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts and suspends whose agent dies or falls silent in the middle: what the engine says of the VM is so or becomes so, nothing goes on from a memory that
 * is not whole or older than the disks, and no volume is left.
 */
/* rows: r15-261 r15-262 r15-292 verb:VM.hibernate verb:VM.create verb:VM.cont */
#include "engine/flow/vm_flow.h"
#include "tests/unit/fake-agent.h"

#define EVENT_COMPLETED 20300
#define SHORT_USEC (10 * G_USEC_PER_SEC)         /* a flow that waits for its own timeouts takes longer */

/* ---- a flow on the VM's lane ---- */

struct attempt { const struct flow_type *type; json_t *data; bool good; GError *error; int64_t took_usec; int over; };

static void attempt_run(void *data)
{
	struct attempt *attempt = data;
	int64_t begun = now_usec();

	attempt->good = flow_run(&world.engine, attempt->type, VM_ID, NULL, attempt->data, NULL, &attempt->error);
	attempt->took_usec = now_usec() - begun;
	g_atomic_int_set(&attempt->over, 1);
}

static struct attempt *begin(const struct flow_type *type, json_t *data)
{
	struct attempt *attempt = g_new0(struct attempt, 1);
	struct lane_job job = { .name = "flow", .run = attempt_run, .data = attempt };

	attempt->type = type;
	attempt->data = data;
	assert_true(lane_submit(world.engine.lanes, "vms/" VM_ID, &job, NULL));
	return attempt;
}

static void end(struct attempt *attempt, int code)
{
	wait_for(g_atomic_int_get(&attempt->over));
	if (code ? !error_is(attempt->error, code) : !attempt->good)
		fail_msg("got %d %s, expected %d", attempt->good, attempt->error ? attempt->error->message : "", code);
	if (attempt->took_usec > SHORT_USEC)
		fail_msg("took %.1f s", (double)attempt->took_usec / G_USEC_PER_SEC);
	g_clear_error(&attempt->error);
	g_free(attempt);
}

/* -1: there is no volume in the record. */
static int memory(void)
{
	struct vm *vm = get_vm();
	int memory = vm->memory_volume ? vm->memory_state : -1;

	record_unref(vm);
	return memory;
}

static bool is_placed(void)
{
	struct vm *vm = get_vm();
	bool placed = !g_strcmp0(vm->host.id, HOST_ID);

	record_unref(vm);
	return placed;
}

static void assert_all(int state, int memory_state, size_t volumes)
{
	wait_for(!flows());
	wait_for(vm_state() == state);
	assert_int_equal(memory(), memory_state);
	assert_int_equal(agent_volumes(), volumes);
	assert_int_equal(is_placed(), state != VM_DOWN && state != VM_SUSPENDED);
}

/* ---- start ---- */

/* The agent is told to start it, and is gone for longer than a host may be. */
static void lose_start(const char *state_created)
{
	struct attempt *attempt;

	world.state_created = state_created;
	engine_connect();
	attempt = begin(&start_vm_flow, NULL);
	wait_for(agent_asked("VM.create"));
	wait_for(vm_state() == VM_RESTORING_STATE || strcmp(state_created, "Restoring state"));
	agent_kill();
	end(attempt, ERR_NO_CONNECTION);
	assert_int_equal(vm_state(), VM_UNKNOWN);
	assert_true(is_placed());
}

static void a_start_ends_when_its_host_is_silent(void **state)
{
	add_vm(VM_DOWN);
	lose_start("WaitForLaunch");
	assert_int_equal(flows(), 0);
	end(begin(&start_vm_flow, NULL), ERR_OPERATION_FAILED);       /* nowhere else either */
	assert_int_equal(vm_state(), VM_UNKNOWN);
	agent_has(VM_ID, "Up", -1);
	agent_start();
	wait_for(vm_state() == VM_UP);
	assert_true(is_placed());
	assert_int_equal(agent_asked("VM.destroy"), 0);
}

static void or_it_is_down_when_its_host_says_so(void **state)
{
	add_vm(VM_DOWN);
	lose_start("WaitForLaunch");
	agent_has(VM_ID, NULL, 0);
	agent_start();
	assert_all(VM_DOWN, -1, 0);
}

/* ---- start from memory ---- */

/* The entry of an earlier run is still there, and a list that tells of its end comes between the reservation and the answer to VM.create. */
static void the_end_of_an_earlier_run_is_not_its_own(void **state)
{
	struct attempt *attempt;

	add_vm(VM_DOWN);
	engine_connect();
	pthread_mutex_lock(&world.lock);
	json_object_set_new(world.vms, VM_ID, json_pack("{s:s, s:s, s:s, s:i, s:i, s:s}", "vmId", VM_ID, "status", "Down", "statusTime", "1", "exitCode", 1,
							"exitReason", VM_EXIT_GENERIC, "exitMessage", "of the earlier run"));
	world.time = 1;
	world.delays = "VM.getInfo";
	world.until = "Host.getAllVmFigures";
	pthread_mutex_unlock(&world.lock);
	attempt = begin(&start_vm_flow, json_object());
	end(attempt, 0);
	assert_int_equal(vm_state(), VM_UP);
	assert_int_equal(agent_asked("VM.create"), 2);
}

static void a_restored_guest_runs_when_that_is_stored(void **state)
{
	const char *create, *cont, *removal;

	add_vm(VM_SUSPENDED);
	engine_connect();
	end(begin(&start_vm_flow, NULL), 0);
	assert_true(world.created_from_memory && world.created_paused);
	assert_all(VM_UP, -1, 0);
	create = strstr(world.calls->str, "VM.create");
	cont = strstr(world.calls->str, "VM.cont");
	removal = strstr(world.calls->str, "Volume.delete");
	assert_true(create && cont && removal && create < cont && cont < removal);
}

static void or_stays_paused_as_asked_for(void **state)
{
	add_vm(VM_SUSPENDED);
	engine_connect();
	end(begin(&start_vm_flow, json_pack("{s:b}", "paused", 1)), 0);
	assert_all(VM_PAUSED, -1, 0);
	assert_int_equal(agent_asked("VM.cont"), 0);
}

static void a_failed_restore_loses_nothing(void **state)
{
	struct attempt *attempt;

	add_vm(VM_SUSPENDED);
	world.state_created = "Restoring state";
	engine_connect();
	attempt = begin(&start_vm_flow, NULL);
	wait_for(vm_state() == VM_RESTORING_STATE);
	agent_has(VM_ID, "Down", VM_EXIT_LIBVIRT_START_FAILED);
	end(attempt, ERR_CANNOT_CREATE_VM);
	assert_all(VM_SUSPENDED, MEMORY_SAVED, 1);
}

static void nor_does_a_restore_that_is_lost(void **state)
{
	add_vm(VM_SUSPENDED);
	lose_start("Restoring state");
	assert_int_equal(flows(), 1);
	agent_has(VM_ID, NULL, 0);
	agent_start();
	assert_all(VM_SUSPENDED, MEMORY_SAVED, 1);
}

static void nor_one_that_is_under_way_when_its_host_is_back(void **state)
{
	add_vm(VM_SUSPENDED);
	lose_start("Restoring state");
	agent_start();
	assert_all(VM_SUSPENDED, MEMORY_SAVED, 1);
	assert_false(agent_knows(VM_ID));
}

static void a_guest_that_was_restored_meanwhile_stays(void **state)
{
	add_vm(VM_SUSPENDED);
	lose_start("Restoring state");
	agent_has(VM_ID, "Paused", -1);
	agent_start();
	assert_all(VM_PAUSED, -1, 0);
	assert_int_equal(agent_asked("VM.destroy"), 0);
}

static void an_agent_killed_when_it_shall_run_is_asked_again(void **state)
{
	struct attempt *attempt;

	add_vm(VM_SUSPENDED);
	world.dies_before = "VM.cont";
	engine_connect();
	attempt = begin(&start_vm_flow, NULL);
	wait_for(agent_asked("VM.cont"));
	assert_int_equal(memory(), MEMORY_LOADED);
	agent_start();
	end(attempt, 0);
	assert_all(VM_UP, -1, 0);
}

/* It ran, and ended while nobody looked: its memory is older than its disks. */
static void a_memory_is_not_used_twice(void **state)
{
	struct attempt *attempt;

	add_vm(VM_SUSPENDED);
	world.dies_after = "VM.cont";
	engine_connect();
	attempt = begin(&start_vm_flow, NULL);
	wait_for(agent_asked("VM.cont"));
	agent_has(VM_ID, "Down", VM_EXIT_USER_SHUTDOWN);
	agent_start();
	end(attempt, ERR_VM_IS_DOWN);
	assert_all(VM_DOWN, -1, 0);
	wait_for(!agent_knows(VM_ID));
}

/* ---- suspend ---- */

static struct attempt *begin_suspend(void)
{
	struct attempt *attempt;

	add_vm(VM_UP);
	agent_has(VM_ID, "Up", -1);
	engine_connect();
	attempt = begin(&suspend_vm_flow, NULL);
	wait_for(agent_asked("VM.hibernate"));
	return attempt;
}

static void a_saved_vm_is_suspended(void **state)
{
	struct attempt *attempt = begin_suspend();

	assert_int_equal(memory(), MEMORY_UNFINISHED);
	agent_has(VM_ID, "Down", VM_EXIT_SAVED);
	end(attempt, 0);
	assert_all(VM_SUSPENDED, MEMORY_SAVED, 1);
	wait_for(!agent_knows(VM_ID));
}

static void one_that_was_lost_while_it_was_saved_is_not(void **state)
{
	struct attempt *attempt = begin_suspend();

	agent_has(VM_ID, "Down", VM_EXIT_LOST_QEMU);
	end(attempt, ERR_OPERATION_FAILED);
	assert_all(VM_DOWN, -1, 0);
}

static void one_that_could_not_be_saved_goes_on(void **state)
{
	struct attempt *attempt = begin_suspend();

	wait_for(vm_state() == VM_SAVING_STATE);
	agent_has(VM_ID, "Up", -1);
	end(attempt, ERR_OPERATION_FAILED);
	assert_all(VM_UP, -1, 0);
}

/* The host falls silent while it saves. */
static void lose_suspend(void)
{
	struct attempt *attempt = begin_suspend();

	agent_kill();
	end(attempt, ERR_NO_CONNECTION);
	assert_int_equal(vm_state(), VM_UNKNOWN);
	assert_int_equal(memory(), MEMORY_UNFINISHED);
	assert_int_equal(flows(), 1);
	assert_int_equal(agent_volumes(), 1);
}

static void lost_in_a_silence_it_is_down(void **state)
{
	lose_suspend();
	agent_has(VM_ID, "Down", VM_EXIT_LOST_QEMU);
	agent_start();
	assert_all(VM_DOWN, -1, 0);
}

static void nobody_saw_its_end(void **state)
{
	lose_suspend();
	agent_has(VM_ID, NULL, 0);
	agent_start();
	assert_all(VM_DOWN, -1, 0);
}

static void saved_in_a_silence_it_is_suspended(void **state)
{
	lose_suspend();
	agent_has(VM_ID, "Down", VM_EXIT_SAVED);
	agent_start();
	wait_for(events_of(EVENT_COMPLETED) == 1);
	assert_all(VM_SUSPENDED, MEMORY_SAVED, 1);
}

static void still_saving_after_a_silence(void **state)
{
	lose_suspend();
	agent_start();
	wait_for(vm_state() == VM_SAVING_STATE);
	assert_int_equal(flows(), 1);
	agent_has(VM_ID, "Down", VM_EXIT_SAVED);
	assert_all(VM_SUSPENDED, MEMORY_SAVED, 1);
}

static void not_saved_in_a_silence_it_runs(void **state)
{
	lose_suspend();
	agent_has(VM_ID, "Up", -1);
	agent_start();
	assert_all(VM_UP, -1, 0);
	/* and news of then come too late for it */
	agent_has(VM_ID, "Down", VM_EXIT_SAVED);
	assert_all(VM_DOWN, -1, 0);
}

/* The engine is killed while it waits, the agent saves; VM.hibernate is asked for again before the news is in. */
static void a_restarted_engine_waits_for_the_news(void **state)
{
	struct flow_record *flow = record_new(&flow_record_type);
	struct change *change;
	struct vm *old, *vm;

	add_vm(VM_SAVING_STATE);
	old = get_vm();
	vm = record_copy(old);
	vm->memory_volume = memory_here();
	SET(vm, memory_state, MEMORY_UNFINISHED);
	json_object_set_new(world.volumes, VOLUME_ID, json_true());
	set_string(&flow->name, suspend_vm_flow.name);
	set_string(&flow->object_id, VM_ID);
	SET(flow, step, 2);
	SET(flow, state, FLOW_RUNNING);
	flow->data = json_pack("{s:s, s:o, s:I}", "host", HOST_ID, "memory", memory_here(), "size", (json_int_t)1048576);
	change = change_new(world.engine.store);
	change_replace(change, old, vm);
	change_add(change, flow);
	assert_true(change_commit(change, NULL));
	record_unref(old);
	record_unref(vm);
	record_unref(flow);
	agent_has(VM_ID, "Down", VM_EXIT_SAVED);
	world.delays = "Host.getAllVmFigures";
	world.until = "VM.hibernate";
	flow_resume_all(&world.engine);
	engine_connect();
	assert_all(VM_SUSPENDED, MEMORY_SAVED, 1);
	assert_int_equal(agent_asked("VM.hibernate"), 1);
}

/* The engine is killed between a reservation and the launch, and the VM is gone when it starts again. */
static void a_start_of_nothing_says_so(void **state)
{
	struct flow_record *flow = record_new(&flow_record_type);
	struct change *change = change_new(world.engine.store);
	g_autoptr(GPtrArray) events = NULL;
	bool told = false;

	set_string(&flow->name, start_vm_flow.name);
	set_string(&flow->object_id, VM_ID);
	SET(flow, step, 1);
	SET(flow, state, FLOW_RUNNING);
	flow->data = json_pack("{s:s}", "host", HOST_ID);
	change_add(change, flow);
	assert_true(change_commit(change, NULL));
	record_unref(flow);
	engine_connect();
	flow_resume_all(&world.engine);
	wait_for(!flows() && events_of(20301));
	events = model_list(world.engine.model, &event_kind);
	for (guint i = 0; i < events->len; i++)
		told = told || strstr(((const struct event *)events->pdata[i])->description, "launch: Not found: VM '" VM_ID "'");
	assert_true(told);
	assert_int_equal(agent_asked("VM.create"), 0);
}

static void a_suspended_vm_that_is_removed_leaves_no_memory(void **state)
{
	add_vm(VM_SUSPENDED);
	engine_connect();
	end(begin(&remove_vm_flow, json_pack("{s:s, s:b}", "name", "web", "keep", 0)), 0);
	assert_null(get_vm());
	assert_int_equal(agent_volumes(), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_start_ends_when_its_host_is_silent), TEST(or_it_is_down_when_its_host_says_so), TEST(the_end_of_an_earlier_run_is_not_its_own),
		TEST(a_restored_guest_runs_when_that_is_stored),
		TEST(or_stays_paused_as_asked_for), TEST(a_failed_restore_loses_nothing), TEST(nor_does_a_restore_that_is_lost),
		TEST(nor_one_that_is_under_way_when_its_host_is_back), TEST(a_guest_that_was_restored_meanwhile_stays),
		TEST(an_agent_killed_when_it_shall_run_is_asked_again), TEST(a_memory_is_not_used_twice), TEST(a_saved_vm_is_suspended),
		TEST(one_that_was_lost_while_it_was_saved_is_not), TEST(one_that_could_not_be_saved_goes_on), TEST(lost_in_a_silence_it_is_down),
		TEST(nobody_saw_its_end), TEST(saved_in_a_silence_it_is_suspended), TEST(still_saving_after_a_silence), TEST(not_saved_in_a_silence_it_runs),
		TEST(a_restarted_engine_waits_for_the_news), TEST(a_start_of_nothing_says_so), TEST(a_suspended_vm_that_is_removed_leaves_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
