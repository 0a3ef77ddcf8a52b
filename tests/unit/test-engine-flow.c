/* SPDX-License-Identifier: Apache-2.0 */
/* Flows: success, failure with undo, taking up what a killed engine left, and waiting for a host. */
#include "tests/unit/cmocka-all.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "common/error.h"
#include "engine/flow/flow.h"
#include "engine/model/cluster.h"
#include "engine/model/event.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/template.h"
#include "engine/store/store.h"
#include "tests/unit/store-place.h"

/* Steps write what they do into a file, which outlives the process. */
static char *dir;
static int die_in = -1, fail_in = -1, away_in = -1, hide_in = -1, mute_in = -1;          /* 0, 1, 2: the step; 10 + n: the undo of step n */
#define EVENT_ROLLED_BACK 20301
#define EVENT_WAITS 20302
#define EVENT_LEFT_BEHIND 20303
#define HOST "33333333-3333-3333-3333-333333333333"

static void say(const char *text)
{
	g_autofree char *path = g_build_filename(dir, "said", NULL);
	FILE *file = fopen(path, "a");

	fputs(text, file);
	fputc(' ', file);
	(void)fclose(file);
}

static char *said(void)
{
	g_autofree char *path = g_build_filename(dir, "said", NULL);
	char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return g_strdup("");
	(void)g_unlink(path);
	return g_strchomp(text);
}

static bool step(struct flow *flow, int number, GError **error)
{
	char text[16], key[8];

	(void)snprintf(text, sizeof(text), "do%d", number);
	(void)snprintf(key, sizeof(key), "s%d", number);
	say(text);
	if (die_in == number)
		_exit(9);
	if (hide_in == number)
		place_hide(dir);
	if (fail_in == number || away_in == number) {
		error_set(error, away_in == number ? ERR_NO_CONNECTION : ERR_WRONG_STATE, "not like this");
		return false;
	}
	json_object_set_new(flow->data, key, json_true());
	return mute_in != number;
}

static bool unstep(struct flow *flow, int number, GError **error)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "undo%d", number);
	say(text);
	if (die_in == 10 + number)
		_exit(9);
	if (away_in == 10 + number || fail_in == 10 + number)
		error_set(error, away_in == 10 + number ? ERR_NO_CONNECTION : ERR_GENERAL, "not today");
	return away_in != 10 + number && fail_in != 10 + number && mute_in != 10 + number;
}

static bool do0(struct flow *flow, GError **error) { return step(flow, 0, error); }
static bool do1(struct flow *flow, GError **error) { return step(flow, 1, error); }
static bool do2(struct flow *flow, GError **error) { return step(flow, 2, error); }
static bool undo0(struct flow *flow, GError **error) { return unstep(flow, 0, error); }
static bool undo2(struct flow *flow, GError **error) { return unstep(flow, 2, error); }
static void failed(struct flow *flow, const GError *error) { say("failed"); }

static const struct flow_step steps[] = { { "zero", do0, undo0 }, { "one", do1, NULL }, { "two", do2, undo2 } };
static const struct flow_step patient_steps[] = { { "zero", do0, undo0 }, { "one", do1, NULL, .waits = true }, { "two", do2, undo2 } };
static const struct flow_type patient_flow = { "patient", &template_kind, patient_steps, G_N_ELEMENTS(patient_steps), true, failed };
static const struct flow_type forward_flow = { "forward", &template_kind, steps, G_N_ELEMENTS(steps), true, failed };
static const struct flow_type back_flow = { "back", &template_kind, steps, G_N_ELEMENTS(steps), false, failed };
const struct flow_type *const flow_types[] = { &forward_flow, &back_flow, &patient_flow, NULL };

static struct engine engine;

static void start(void)
{
	g_autoptr(GError) error = NULL;

	engine.model = model_new();
	engine.store = place_open_within(dir, hide_in >= 0 ? G_USEC_PER_SEC : 0, engine.model, &error);
	if (!engine.store)
		fail_msg("%s", error->message);
	engine.lanes = lane_pool_new(4);
}

static void stop(void)
{
	engine.lanes = lane_pool_free(engine.lanes, 5 * G_USEC_PER_SEC);
	engine.store = store_close(engine.store);
	engine.model = model_free(engine.model);
	die_in = fail_in = away_in = hide_in = mute_in = -1;
}

static int setup(void **state)
{
	dir = g_dir_make_tmp("berth-flow-XXXXXX", NULL);
	return 0;
}

static int teardown(void **state)
{
	place_remove(dir, (const char *const[]) { "said", NULL });
	g_free(dir);
	return 0;
}

#define assert_said(expected) do { g_autofree char *said_ = said(); assert_string_equal(said_, expected); } while (0)

static unsigned events_of(int code)
{
	g_autoptr(GPtrArray) events = model_list(engine.model, &event_kind);
	unsigned n = 0;

	for (guint i = 0; i < events->len; i++)
		n += ((const struct event *)events->pdata[i])->code == code;
	return n;
}

static void all_steps_are_done(void **state)
{
	json_t *data = NULL;

	start();
	assert_true(flow_run(&engine, &forward_flow, BLANK_ID, NULL, json_pack("{s:i}", "given", 1), &data, NULL));
	assert_said("do0 do1 do2");
	assert_true(json_is_true(json_object_get(data, "s2")));
	assert_int_equal(json_integer_value(json_object_get(data, "given")), 1);
	json_decref(data);
	assert_int_equal(model_count(engine.model, &flow_kind), 0);
	stop();
}

static void what_was_done_is_undone(void **state)
{
	g_autoptr(GError) error = NULL;

	start();
	fail_in = 2;
	assert_false(flow_run(&engine, &forward_flow, BLANK_ID, NULL, NULL, NULL, &error));
	assert_said("do0 do1 do2 undo2 undo0 failed");
	assert_int_equal(error->code, ERR_WRONG_STATE);
	assert_non_null(strstr(error->message, "two: "));
	assert_int_equal(model_count(engine.model, &flow_kind), 0);
	stop();
}

/* A step, or an undo, that fails and sets no error. */
static void a_failure_without_a_reason_is_told(void **state)
{
	g_autoptr(GError) error = NULL;

	start();
	mute_in = 2;
	assert_false(flow_run(&engine, &forward_flow, BLANK_ID, NULL, NULL, NULL, &error));
	assert_said("do0 do1 do2 undo2 undo0 failed");
	assert_int_equal(error->code, ERR_UNEXPECTED_ERROR);
	assert_string_equal(error->message, "two: Unexpected exception: step two of forward failed and did not say why");
	fail_in = 2;
	mute_in = 12;
	assert_false(flow_run(&engine, &forward_flow, BLANK_ID, NULL, NULL, NULL, NULL));
	assert_said("do0 do1 do2 undo2 undo0 failed");
	assert_int_equal(events_of(EVENT_LEFT_BEHIND), 1);
	assert_int_equal(model_count(engine.model, &flow_kind), 0);
	stop();
}

/* Runs the flow in a process that dies where it is told. */
static void run_and_die(const struct flow_type *type, int die, int fail)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		start();
		die_in = die;
		fail_in = fail;
		(void)flow_run(&engine, type, BLANK_ID, NULL, NULL, NULL, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 9);
}

/* Starts again; the event comes last of all. */
static void resume(void)
{
	start();
	assert_int_equal(model_count(engine.model, &flow_kind), 1);
	flow_resume_all(&engine);
	for (int i = 0; i < 3000 && !model_count(engine.model, &event_kind); i++)
		g_usleep(10000);
	assert_int_equal(model_count(engine.model, &event_kind), 1);
	assert_int_equal(model_count(engine.model, &flow_kind), 0);
}

static void a_flow_goes_on_after_a_kill(void **state)
{
	run_and_die(&forward_flow, 1, -1);
	assert_said("do0 do1");
	resume();
	assert_said("do1 do2");
	stop();
}

static void or_it_is_rolled_back(void **state)
{
	run_and_die(&back_flow, 1, -1);
	assert_said("do0 do1");
	resume();
	assert_said("undo0 failed");
	stop();
}

static void an_interrupted_undo_is_ended(void **state)
{
	run_and_die(&forward_flow, 10, 2);
	assert_said("do0 do1 do2 undo2 undo0");
	resume();
	assert_said("undo0 failed");
	stop();
}

static void an_event_tells_of_it(void **state)
{
	g_autoptr(GPtrArray) events = NULL;

	run_and_die(&back_flow, 2, -1);
	resume();
	events = model_list(engine.model, &event_kind);
	assert_string_equal(((struct event *)events->pdata[0])->description, "Interrupted operation back of template Blank was rolled back.");
	stop();
}

/* ---- waiting for a host ---- */

static void add_host(int state)
{
	struct cluster *cluster = model_find(engine.model, &cluster_kind, NULL, "Default");
	struct change *change = change_new(engine.store);
	struct host *host = record_new(&host_type);

	set_string(&host->id, HOST);
	set_string(&host->name, "h1");
	set_string(&host->address, "h1");
	set_ref(&host->cluster, cluster->id);
	SET(host, state, state);
	change_add(change, host);
	assert_true(change_commit(change, NULL));
	record_unref(host);
	record_unref(cluster);
}

static json_t *on_host(void)
{
	return json_pack("{s:s}", "host", HOST);
}

/* Until the flow has ended: its event comes last of all. */
static void wait_rolled_back(void)
{
	for (int i = 0; i < 3000 && !events_of(EVENT_ROLLED_BACK); i++)
		g_usleep(10000);
	assert_int_equal(events_of(EVENT_ROLLED_BACK), 1);
	assert_int_equal(model_count(engine.model, &flow_kind), 0);
}

static void job_done(void *data)
{
	g_atomic_int_set((int *)data, 1);
}

/* What was taken up has come to its end, or waits again. */
static void drain(void)
{
	int done = 0;
	struct lane_job job = { .name = "mark", .run = job_done, .data = &done };

	assert_true(lane_submit(engine.lanes, "templates/" BLANK_ID, &job, NULL));
	for (int i = 0; i < 3000 && !g_atomic_int_get(&done); i++)
		g_usleep(10000);
	assert_true(g_atomic_int_get(&done));
}

static void an_undo_waits_for_its_host(void **state)
{
	g_autoptr(GError) error = NULL;

	start();
	add_host(HOST_NON_RESPONSIVE);
	fail_in = 2;
	away_in = 10;
	assert_false(flow_run(&engine, &forward_flow, BLANK_ID, NULL, on_host(), NULL, &error));
	assert_int_equal(error->code, ERR_WRONG_STATE);
	assert_said("do0 do1 do2 undo2 undo0 failed");
	assert_int_equal(model_count(engine.model, &flow_kind), 1);
	assert_int_equal(events_of(EVENT_WAITS), 1);

	/* once more in vain: nobody is told again */
	flow_take_up(&engine, HOST);
	flow_take_up(&engine, BLANK_ID);
	drain();
	assert_said("undo0");
	assert_int_equal(events_of(EVENT_WAITS), 1);

	away_in = -1;
	flow_take_up(&engine, HOST);
	wait_rolled_back();
	assert_said("undo0");
	stop();
}

static void also_over_a_restart(void **state)
{
	start();
	add_host(HOST_CONNECTING);
	fail_in = 2;
	away_in = 12;
	assert_false(flow_run(&engine, &forward_flow, BLANK_ID, NULL, on_host(), NULL, NULL));
	assert_said("do0 do1 do2 undo2 failed");
	stop();

	start();
	flow_resume_all(&engine);
	drain();
	assert_said("");
	flow_take_up(&engine, HOST);
	wait_rolled_back();
	assert_said("undo2 undo0");
	stop();
}

/* Nobody would tell of a host that is up already. */
static void a_host_that_is_up_is_not_waited_for(void **state)
{
	start();
	add_host(HOST_UP);
	fail_in = 2;
	away_in = 12;
	assert_false(flow_run(&engine, &forward_flow, BLANK_ID, NULL, on_host(), NULL, NULL));
	away_in = -1;
	wait_rolled_back();
	stop();
}

static void what_cannot_be_waited_for_is_told(void **state)
{
	start();
	fail_in = 2;
	away_in = 12;                   /* its host does not exist */
	assert_false(flow_run(&engine, &forward_flow, BLANK_ID, NULL, on_host(), NULL, NULL));
	assert_said("do0 do1 do2 undo2 failed undo0");
	assert_int_equal(events_of(EVENT_LEFT_BEHIND), 1);
	add_host(HOST_NON_RESPONSIVE);
	away_in = 2;                    /* a step that does not wait */
	fail_in = 12;                   /* not for its host */
	assert_false(flow_run(&engine, &forward_flow, BLANK_ID, NULL, on_host(), NULL, NULL));
	assert_said("do0 do1 do2 undo2 undo0 failed");
	assert_int_equal(events_of(EVENT_LEFT_BEHIND), 2);
	assert_int_equal(events_of(EVENT_WAITS), 0);
	assert_int_equal(model_count(engine.model, &flow_kind), 0);
	stop();
}

static void a_step_may_wait(void **state)
{
	json_t *data = NULL;

	start();
	add_host(HOST_NON_RESPONSIVE);
	away_in = 1;
	assert_true(flow_run(&engine, &patient_flow, BLANK_ID, NULL, on_host(), &data, NULL));
	json_decref(data);
	assert_said("do0 do1");
	assert_int_equal(model_count(engine.model, &flow_kind), 1);
	assert_int_equal(events_of(EVENT_WAITS), 1);
	away_in = -1;
	flow_take_up(&engine, HOST);
	for (int i = 0; i < 3000 && !events_of(20300); i++)
		g_usleep(10000);
	assert_said("do1 do2");
	assert_int_equal(model_count(engine.model, &flow_kind), 0);
	stop();
}

static void on_store_news(enum store_news news, void *data)
{
	flow_take_up_broken(data);
}

/* In its step 1 the database goes away, after that step `rest` comes when it is back. */
static void break_off(const struct flow_type *type, int hide, const char *begun, const char *rest)
{
	g_autoptr(GError) error = NULL;

	hide_in = hide;
	start();
	store_listen(engine.store, on_store_news, &engine);
	assert_false(flow_run(&engine, type, BLANK_ID, NULL, NULL, NULL, &error));
	assert_int_equal(error->code, ERR_STORE_AWAY);
	assert_said(begun);
	assert_int_equal(model_count(engine.model, &flow_kind), 1);
	hide_in = -1;
	place_show(dir);
	for (int i = 0; i < 6000 && !model_count(engine.model, &event_kind); i++)
		g_usleep(10000);
	assert_int_equal(model_count(engine.model, &event_kind), 1);
	assert_int_equal(model_count(engine.model, &flow_kind), 0);
	assert_said(rest);
	stop();
	place_remove(dir, NULL);
	assert_int_equal(g_mkdir_with_parents(dir, 0700), 0);
}

static void a_store_that_is_away_breaks_it_off(void **state)
{
	if (!place_is_postgresql())
		skip();                          /* a file does not go away */
	break_off(&forward_flow, 1, "do0 do1", "do1 do2");
	break_off(&forward_flow, 2, "do0 do1 do2", "do2");
	break_off(&back_flow, 1, "do0 do1", "undo0 failed");
	break_off(&back_flow, 2, "do0 do1 do2", "undo2 undo0 failed");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(all_steps_are_done), TEST(what_was_done_is_undone), TEST(a_failure_without_a_reason_is_told), TEST(a_flow_goes_on_after_a_kill), TEST(or_it_is_rolled_back),
		TEST(an_interrupted_undo_is_ended), TEST(an_event_tells_of_it), TEST(an_undo_waits_for_its_host), TEST(also_over_a_restart),
		TEST(a_host_that_is_up_is_not_waited_for), TEST(what_cannot_be_waited_for_is_told), TEST(a_step_may_wait),
		TEST(a_store_that_is_away_breaks_it_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
