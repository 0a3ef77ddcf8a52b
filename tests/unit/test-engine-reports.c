/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts tell of their VMs: rows read from text, figures made of them, and facts that are asked for when their digest says so - whatever was lost
 * before.
 */
#include "engine/fleet/report.h"
#include "tests/unit/fake-agent.h"

#define IMAGE_ID "77777777-7777-7777-7777-777777777777"
#define MAC "52:54:00:00:00:05"

/* ---- rows ---- */

struct taken { GString *text; struct report_row last; };

static void note(const struct report_row *row, void *data)
{
	struct taken *taken = data;

	g_string_append_printf(taken->text, "%s %s %g %u:%u%s;", row->vm_id, vm_wire_status_names[row->status], row->cpu_user, row->n_disks, row->n_nics,
			       row->has_facts ? " facts" : "");
	taken->last = *row;
}

/* *ret_error: g_free */
static char *rows_of(const char *text, struct report_row *ret_last, char **ret_error)
{
	struct taken taken = { .text = g_string_new(NULL) };
	g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
	g_autoptr(GError) error = NULL;
	bool good = report_read(bytes, note, &taken, &error);

	assert_int_equal(good, !error);
	*ret_error = error ? g_strdup(error->message) : NULL;
	if (ret_last)
		*ret_last = taken.last;
	return g_string_free(taken.text, FALSE);
}

static void rows_are_read(void **state)
{
	struct report_row last;
	g_autofree char *error = NULL;
	g_autofree char *rows = rows_of(
		"[{\"vmId\": \"a\", \"status\": \"Up\", \"statusTime\": \"12\", \"facts\": \"00000000000000ff\", \"cpuUser\": 1.25, \"unknown\": {\"a\": [1, null, \"x\"]},"
		" \"disks\": [[1, 2, 3, 4, 5, 6, 7], [9, 8, 7, 6, 5, 4]], \"nics\": []},\n"
		" {\"status\": \"Down\", \"exitReason\": 3, \"vmId\": \"b\", \"exitMessage\": \"\\u00e4 \\\"quoted\\\"\"},"
		" {\"vmId\": \"c\", \"status\": \"Paused\", \"pauseCode\": \"EIO\", \"displayInfo\": [{\"type\": \"vnc\", \"port\": \"5901\", \"tlsPort\": \"-1\","
		" \"ipAddress\": \"192.0.2.1\"}, {\"port\": \"1\"}], \"guestOsInfo\": {\"type\": \"linux\", \"x\": 1}, \"diskIDs\": [\"" IMAGE_ID "\", \"\"],"
		" \"nicMACs\": [\"" MAC "\"]}]", &last, &error);

	assert_null(error);
	assert_string_equal(rows, "a Up 1.25 2:0;b Down 0 0:0;c Paused 0 0:0 facts;");
	assert_int_equal(last.n_disk_ids, 2);
	assert_string_equal(last.disk_ids[0], IMAGE_ID);
	assert_string_equal(last.disk_ids[1], "");
	assert_string_equal(last.nic_macs[0], MAC);
	assert_int_equal(last.display_port, 5901);
	assert_int_equal(last.display_secure_port, 0);
	assert_int_equal(last.exit_reason, -1);
}

static void what_is_no_report_is_refused_after_the_rows_before_it(void **state)
{
	static const struct { const char *text, *rows, *error; } cases[] = {
		{ "[]", "", NULL },
		{ "{}", "", "not an array" },
		{ "[{\"vmId\": \"a\", \"status\": \"Up\"}, {\"vmId\": \"b\"}]", "a Up 0 0:0;", "a VM without id or state" },
		{ "[{\"vmId\": \"a\", \"status\": \"Nonsense\"}]", "", "not a state of a VM" },
		{ "[{\"vmId\": \"a\", \"status\": \"Up\"}", "a Up 0 0:0;", "unexpected end" },
		{ "[{\"vmId\": \"a\", \"status\": \"Up\"}] x", "a Up 0 0:0;", "more after the end" },
		{ "[{\"vmId\": \"a\", \"status\": \"Up\", \"disks\": [[1, 2]]}]", "", "too few numbers" },
		{ "[{\"vmId\": \"a\", \"status\": \"Up\", \"nics\": [[1, 2, \"x\", 4]]}]", "", "not a number" },
		{ "[{\"vmId\": \"a\", \"status\": \"Up\", \"facts\": \"xyz\"}]", "", "not a digest" },
		{ "[{\"vmId\": \"a\" \"status\": \"Up\"}]", "", "unexpected character" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *error = NULL;
		g_autofree char *rows = rows_of(cases[i].text, NULL, &error);

		assert_string_equal(rows, cases[i].rows);
		if (!cases[i].error != !error || (error && !strstr(error, cases[i].error)))
			fail_msg("%s: got '%s', expected '%s'", cases[i].text, error, cases[i].error);
	}
}

/* One whose arrays are longer than what is kept of them. */
static void no_more_devices_are_kept_than_there_is_room_for(void **state)
{
	g_autoptr(GString) text = g_string_new("[{\"vmId\": \"a\", \"status\": \"Up\", \"facts\": \"1\", \"diskIDs\": [\"\"");
	g_autofree char *error = NULL, *rows = NULL;
	struct report_row last;

	for (int i = 0; i < REPORT_DISKS_MAX + 10; i++)
		g_string_append(text, ", \"" IMAGE_ID "\"");
	g_string_append(text, "], \"disks\": [[1, 1, 1, 1, 1, 1]");
	for (int i = 0; i < REPORT_DISKS_MAX + 10; i++)
		g_string_append(text, ", [1, 1, 1, 1, 1, 1]");
	g_string_append(text, "]}]");
	rows = rows_of(text->str, &last, &error);
	assert_null(error);
	assert_int_equal(last.n_disks, REPORT_DISKS_MAX);
	assert_int_equal(last.n_disk_ids, REPORT_DISKS_MAX);
}

/* ---- figures ---- */

static void first_row(const struct report_row *row, void *data)
{
	*(struct vm_figures **)data = figures_from_row(row, *(struct vm_figures **)data);
}

/* From one row, with the figures before it, which are given up unless they are shared. NULL: the facts are not known. */
static struct vm_figures *next(struct vm_figures *before, const char *row)
{
	g_autofree char *text = g_strdup_printf("[{\"vmId\": \"a\", \"status\": \"Up\", %s}]", row);
	g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
	struct vm_figures *figures = before;

	assert_true(report_read(bytes, first_row, &figures, NULL));
	figures_unref(before);
	return figures;
}

static void figures_stand_on_known_facts_only(void **state)
{
	static const char facts[] = "\"facts\": \"1\", \"diskIDs\": [\"\", \"" IMAGE_ID "\"], \"nicMACs\": [\"" MAC "\"], \"sampled\": 1000000,"
		"\"disks\": [[1, 1, 1, 1, 1, 1], [4096, 10, 20, 3000000, 4, 5]], \"nics\": [[1000, 2000, 1, 0]], \"guestIPs\": \"192.0.2.17\"";
	struct vm_figures *f;

	assert_null(next(NULL, "\"facts\": \"1\", \"disks\": [[1, 1, 1, 1, 1, 1]]"));
	f = next(NULL, facts);
	assert_non_null(f);
	assert_string_equal(f->facts->guest_ips, "192.0.2.17");
	assert_null(figures_of_disk(f, ""));
	assert_int_equal(figures_of_disk(f, IMAGE_ID)->actual_size, 4096);
	assert_true(figures_of_disk(f, IMAGE_ID)->read_latency > 0.0029F && figures_of_disk(f, IMAGE_ID)->read_latency < 0.0031F);
	assert_true(figures_of_nic(f, MAC)->rx_rate == 0);
	/* two seconds later; then the same sample again; then a counter that began anew */
	f = next(f, "\"facts\": \"1\", \"sampled\": 3000000, \"disks\": [[1, 1, 1, 1, 1, 1], [8192, 1, 1, 1, 1, 1]], \"nics\": [[3000, 2000, 1, 0]]");
	assert_int_equal(figures_of_disk(f, IMAGE_ID)->actual_size, 8192);
	assert_true(figures_of_nic(f, MAC)->rx_rate == 1000 && figures_of_nic(f, MAC)->tx_rate == 0);
	f = next(f, "\"facts\": \"1\", \"sampled\": 3000000, \"disks\": [], \"nics\": [[3000, 2000, 1, 0]]");
	assert_true(figures_of_nic(f, MAC)->rx_rate == 1000);
	assert_null(figures_of_disk(f, IMAGE_ID));
	f = next(f, "\"facts\": \"1\", \"sampled\": 4000000, \"disks\": [], \"nics\": [[10, 2000, 1, 0], [1, 1, 1, 1]]");
	assert_true(figures_of_nic(f, MAC)->rx_rate == 0);
	assert_int_equal(f->n_nics, 1);                 /* of the second nothing is known */
	assert_string_equal(f->facts->guest_ips, "192.0.2.17");
	/* other facts, which are not told */
	assert_null(next(f, "\"facts\": \"2\", \"sampled\": 5000000, \"nics\": [[10, 2000, 1, 0]]"));
}

/* ---- with an agent ---- */

struct told { const char *ips; int rate; };

/* Without an event. */
static void tell_on_loop(void *data)
{
	const struct told *told = data;

	json_object_set_new(world.facts, VM_ID,
			    json_pack("{s:s, s:[s], s:[], s:[{s:s, s:s}]}", "guestIPs", told->ips, "diskIDs", IMAGE_ID, "nicMACs", "displayInfo", "port", "5901",
				      "ipAddress", "192.0.2.1"));
	json_object_update_new(json_object_get(world.vms, VM_ID),
			       json_pack("{s:f, s:[[i,i,i,i,i,i]]}", "cpuUser", 12.5, "disks", 4096, told->rate, 0, 0, 0, 0));
}

static void agent_tells(const char *ips, int rate)
{
	struct told told = { ips, rate };

	on_loop(tell_on_loop, &told);
}

static bool shown(const char *ips, int rate)
{
	struct vm_figures *figures = fleet_vm_figures(world.engine.fleet, VM_ID);
	const struct disk_figures *disk = figures_of_disk(figures, IMAGE_ID);
	bool good = figures && disk && !g_strcmp0(figures->facts->guest_ips, ips) && (rate < 0 || disk->read_rate == (float)rate);

	figures_unref(figures);
	return good;
}

static unsigned facts_asked(void)
{
	unsigned n;

	pthread_mutex_lock(&world.lock);
	n = world.facts_asked;
	pthread_mutex_unlock(&world.lock);
	return n;
}

static void begin_with(const char *ips)
{
	add_vm(VM_UP);
	agent_has(VM_ID, "Up", -1);
	agent_tells(ips, 1);
	engine_connect();
	wait_for(shown(ips, 1));
}

static void facts_are_asked_for_when_they_changed(void **state)
{
	begin_with("192.0.2.1");
	assert_int_equal(facts_asked(), 1);
	for (int rate = 2; rate < 5; rate++) {
		agent_tells("192.0.2.1", rate);
		wait_for(shown("192.0.2.1", rate));
	}
	assert_int_equal(facts_asked(), 1);
	agent_tells("192.0.2.2", 7);
	wait_for(shown("192.0.2.2", 7));
	assert_int_equal(facts_asked(), 2);
}

static void also_after_the_agent_was_away(void **state)
{
	begin_with("192.0.2.1");
	agent_kill();
	wait_for(host_state() == HOST_CONNECTING);
	agent_tells("192.0.2.3", 3);
	agent_start();
	wait_for(shown("192.0.2.3", 3));
	assert_int_equal(vm_state(), VM_UP);
}

static void and_after_the_engine_was(void **state)
{
	begin_with("192.0.2.1");
	engine_close();
	agent_tells("192.0.2.4", 4);
	engine_open();
	fleet_start(world.engine.fleet);
	wait_for(shown("192.0.2.4", 4));
}

/* The VM's own event says so, the report does not. */
static void say_on_loop(void *data)
{
	json_t *vm = json_object_get(world.vms, VM_ID);

	json_object_set_new(vm, "guestIPs", json_string(data));
	fake_publish(VM_ID);
	json_object_del(vm, "guestIPs");
}

static void an_event_is_shown_at_once_and_the_next_report_puts_it_right(void **state)
{
	begin_with("192.0.2.1");
	pthread_mutex_lock(&world.lock);
	world.delays = "Host.getAllVmFigures";          /* no report meanwhile */
	pthread_mutex_unlock(&world.lock);
	on_loop(say_on_loop, (void *)"192.0.2.99");
	wait_for(shown("192.0.2.99", -1));
	pthread_mutex_lock(&world.lock);
	world.until = "Host.getStats";
	pthread_mutex_unlock(&world.lock);
	wait_for(shown("192.0.2.1", 1));                /* its digest is the one that was known before the event */
}

static void nothing_is_concluded_from_a_report_that_cannot_be_read(void **state)
{
	begin_with("192.0.2.1");
	pthread_mutex_lock(&world.lock);
	world.garbles = "nonsense";
	pthread_mutex_unlock(&world.lock);
	agent_tells("192.0.2.1", 8);
	wait_for(shown("192.0.2.1", 8));
	assert_null(world.garbles);
	assert_int_equal(vm_state(), VM_UP);
	assert_int_equal(host_state(), HOST_UP);
	/* while one in which it is missing is believed */
	agent_has(VM_ID, NULL, 0);
	wait_for(vm_state() == VM_DOWN);
	assert_null(fleet_vm_figures(world.engine.fleet, VM_ID));
}

static void pause_on_loop(void *data)
{
	json_object_set_new(json_object_get(world.vms, VM_ID), "status", json_string("Paused"));
	if (data)
		json_object_set_new(json_object_get(world.vms, VM_ID), "pauseCode", json_string(data));
}

/* From the report alone: its event was lost. */
static void a_pause_is_told_once(void **state)
{
	begin_with("192.0.2.1");
	on_loop(pause_on_loop, NULL);
	wait_for(vm_state() == VM_PAUSED);
	agent_tells("192.0.2.1", 2);
	wait_for(shown("192.0.2.1", 2));
	assert_int_equal(events_of(1025), 1);
	agent_has(VM_ID, "Up", -1);
	wait_for(vm_state() == VM_UP);
	on_loop(pause_on_loop, (void *)"EIO");
	wait_for(vm_state() == VM_PAUSED);
	assert_int_equal(events_of(145), 1);
	assert_int_equal(events_of(1025), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_read), cmocka_unit_test(what_is_no_report_is_refused_after_the_rows_before_it),
		cmocka_unit_test(no_more_devices_are_kept_than_there_is_room_for), cmocka_unit_test(figures_stand_on_known_facts_only),
		TEST(facts_are_asked_for_when_they_changed), TEST(also_after_the_agent_was_away), TEST(and_after_the_engine_was),
		TEST(an_event_is_shown_at_once_and_the_next_report_puts_it_right), TEST(nothing_is_concluded_from_a_report_that_cannot_be_read), TEST(a_pause_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
