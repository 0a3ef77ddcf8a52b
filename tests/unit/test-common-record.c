/* SPDX-License-Identifier: Apache-2.0 */
/* Records themselves: life, members, text, comparing, merging, completeness. */
#include <string.h>
#include "common/error.h"
#include "tests/unit/cmocka-all.h"
#include "tests/unit/record-sample.h"

static const struct field *field_of(const char *path)
{
	const struct field *field = record_field(&sample_type, path);

	assert_non_null(field);
	return field;
}

static void test_new_record_has_nothing(void **state)
{
	struct sample *s = record_new(&sample_type);

	for (size_t i = 0; i < sample_type.n_fields; i++)
		assert_false(record_has(s, sample_fields[i].offset));
	record_unref(s);
	record_unref(NULL);
	assert_null(record_ref(NULL));
	assert_null(record_copy(NULL));
}

static void test_presence(void **state)
{
	struct sample *s = record_new(&sample_type);

	SET(s, cores, 0);
	assert_true(HAS(s, cores));
	assert_false(HAS(s, sockets));
	CLEAR(s, cores);
	assert_false(HAS(s, cores));
	set_string(&s->name, "");
	assert_true(HAS(s, name));
	CLEAR(s, name);
	assert_false(HAS(s, name));
	assert_false(HAS(s, cluster));
	s->cluster.name = g_strdup("Default");
	assert_true(HAS(s, cluster));
	set_ref(&s->cluster, UUID_A);
	assert_null(s->cluster.name);
	CLEAR(s, cluster);
	assert_false(HAS(s, cluster));
	record_unref(s);
}

static void test_fields_are_found(void **state)
{
	assert_ptr_equal(field_of("cpu/topology@cores"), record_field_at(&sample_type, offsetof(struct sample, cores)));
	/* an alias is found by its path, its memory belongs to the member */
	assert_true(field_of("ksm")->flags & ALIAS);
	assert_string_equal(record_field_at(&sample_type, offsetof(struct sample, ksm))->path, "ksm/enabled");
	assert_null(record_field(&sample_type, "cpu/topology"));
	assert_null(record_field(&sample_type, "nam"));
	assert_null(record_field(&sample_type, ""));
	assert_null(record_field_at(&sample_type, offsetof(struct sample, cached)));
	assert_null(record_field_at(&sample_type, 100000));
}

static void test_copy_is_deep(void **state)
{
	struct sample *a = sample_new(), *b = record_copy(a);

	assert_true(record_equal(a, b));
	assert_int_equal(b->record.refs, 1);
	assert_ptr_not_equal(a->boot, b->boot);
	set_string(&((struct boot *)b->boot->pdata[0])->dev, "cdrom");
	assert_false(record_equal(a, b));
	assert_false(record_member_equal(a, b, field_of("os/boot")));
	assert_true(record_member_equal(a, b, field_of("name")));
	record_unref(b);
	assert_string_equal(((struct boot *)a->boot->pdata[0])->dev, "hd");
	assert_ptr_equal(record_ref(a), a);
	record_unref(a);
	assert_string_equal(a->name, "web1");
	record_unref(a);
}

static void test_shadow_shares_what_is_stored(void **state)
{
	struct sample *a = sample_new(), *b = record_shadow(a), *c;

	assert_true(record_equal(a, b));
	assert_ptr_equal(a->boot, b->boot);
	assert_ptr_equal(a->name, b->name);
	assert_int_equal(a->record.refs, 2);
	SET(b, guest_load, 4711);
	assert_false(record_equal(a, b));
	c = record_copy(b);
	assert_true(record_equal(b, c));
	assert_ptr_not_equal(b->name, c->name);
	assert_int_equal(c->guest_load, 4711);
	record_unref(a);
	record_unref(b);
	assert_string_equal(c->name, "web1");
	record_unref(c);
}

static void test_every_member_counts_for_equality(void **state)
{
	struct sample *a = sample_new();

	for (size_t i = 0; i < sample_type.n_fields; i++) {
		struct sample *b = record_copy(a);
		bool had = record_has(b, sample_fields[i].offset);

		record_clear(b, sample_fields[i].offset);
		assert_int_equal(record_equal(a, b), !had);
		record_unref(b);
	}
	record_unref(a);
}

static void test_defaults(void **state)
{
	struct sample *s = record_new(&sample_type);
	struct nic *nic = list_add(&s->nics, &nic_type);

	s->display = record_new(&display_type);
	SET(s, stateless, true);
	record_defaults(s, CREATE);
	assert_true(HAS(s, type));
	assert_int_equal(s->type, SAMPLE_SERVER);
	assert_true(s->stateless);                     /* what is there stays */
	assert_true(HAS(s->display, monitors));        /* parameter records below get theirs */
	assert_false(HAS(nic, linked));                /* resources do not */
	record_unref(s);
}

static void check_text(const char *path, const char *text, const char *result)
{
	struct sample *s = record_new(&sample_type);
	g_autoptr(GError) error = NULL;
	g_autofree char *got = NULL;

	if (!record_set_text(s, field_of(path), text, &error))
		fail_msg("%s=%s: %s", path, text, error->message);
	got = record_text(s, field_of(path));
	assert_string_equal(got, result);
	record_unref(s);
}

static void refuse_text(const char *path, const char *text, const char *message)
{
	struct sample *s = record_new(&sample_type);
	g_autoptr(GError) error = NULL;
	g_autofree char *whole = g_strconcat("Invalid value: vm: ", path, ": ", message, NULL);

	assert_false(record_set_text(s, field_of(path), text, &error));
	assert_true(error_is(error, ERR_BAD_VALUE));
	assert_string_equal(error->message, whole);
	assert_false(record_has(s, field_of(path)->offset));
	record_unref(s);
}

static void test_text_of_members(void **state)
{
	check_text("name", "web1", "web1");
	check_text("@id", "0A1B2C3D-1111-2222-3333-444455556666", UUID_A);
	check_text("memory", " 9223372036854775807 ", "9223372036854775807");
	check_text("memory_policy/guaranteed", "-9223372036854775808", "-9223372036854775808");
	check_text("storage_manager@priority", "-2147483648", "-2147483648");
	check_text("cpu/topology@cores", "+64", "64");
	check_text("stateless", "True", "true");
	check_text("type", "SERVER", "server");
	check_text("statistics/load", "1e3", "1000");
	check_text("statistics/load", "0.1", "0.1");
	check_text("statistics/load", "-12.5", "-12.5");
	check_text("start_time", "1308113282167", "2011-06-15T04:48:02.167Z");
	check_text("cluster", UUID_A, UUID_A);
	check_text("cluster", "Default", "Default");
	check_text("usages/usage", "vm, DISPLAY", "vm,display");
	check_text("usages/usage", "", "");
	check_text("os/boot", "[{\"dev\":\"hd\"},{\"dev\":\"cdrom\"}]", "hd,cdrom");
	check_text("display", "{\"monitors\":2}", "2");
	check_text("password", "geheim", "***");
	check_text("custom", "{\"a\": [1, 2.5]}", "{\"a\":[1,2.5]}");
}

static void test_bad_text(void **state)
{
	refuse_text("@id", "0a1b", "'0a1b' is not a UUID");
	refuse_text("memory", "9223372036854775808", "'9223372036854775808' is above the maximum 9223372036854775807");
	refuse_text("memory", "-9223372036854775809", "'-9223372036854775809' is below the minimum -9223372036854775808");
	refuse_text("memory", "0", "'0' is below the minimum 1");
	refuse_text("memory", "12 kB", "'12 kB' is not an integer");
	refuse_text("memory", "", "'' is not an integer");
	refuse_text("memory", "-", "'-' is not an integer");
	refuse_text("memory", "0x10", "'0x10' is not an integer");
	refuse_text("storage_manager@priority", "2147483648", "'2147483648' is above the maximum 2147483647");
	refuse_text("storage_manager@priority", "-2147483649", "'-2147483649' is below the minimum -2147483648");
	refuse_text("cpu/topology@cores", "65", "'65' is above the maximum 64");
	refuse_text("cpu/topology@sockets", "x", "'x' is not an integer");
	refuse_text("stateless", "1", "'1' is not true or false");
	refuse_text("stateless", "yes", "'yes' is not true or false");
	refuse_text("type", "foo", "'foo' is not a member of [desktop, server]");
	refuse_text("statistics/load", "nan", "'nan' is not a number");
	refuse_text("statistics/load", "1e999", "'1e999' is out of range");
	refuse_text("statistics/load", "1,5", "'1,5' is not a number");
	refuse_text("start_time", "2011-02-29T00:00:00Z", "'2011-02-29T00:00:00Z' is not a time such as 2011-06-15T04:48:02.167Z");
	refuse_text("name", "", "'' is shorter than 1 bytes");
	refuse_text("name", "0123456789012345678901234567890123456789x", "'0123456789012345678901234567890123456789x' is longer than 40 bytes");
	refuse_text("usages/usage", "vm,foo", "'foo' is not a member of [vm, display, migration]");
	refuse_text("os/boot", "1", "'1' is not an object");
	/* long values are cut, control characters and broken UTF-8 do not get through */
	refuse_text("type", "\x1b[1m\n\xff", "'?[1m?\?' is not a member of [desktop, server]");
	refuse_text("type", "0123456789012345678901234567890123456789012345678901234567890123456789",
		    "'0123456789012345678901234567890123456789012345678901234567890123...' is not a member of [desktop, server]");
	/* secrets are not repeated */
	refuse_text("password", "01234567890", "the value is longer than 10 bytes");
}

static void test_times(void **state)
{
	static const struct { const char *text, *utc; } good[] = {
		{ "2011-06-15T04:48:02.167Z",      "2011-06-15T04:48:02.167Z" },
		{ "2014-12-03T14:25:45.588+10:00", "2014-12-03T04:25:45.588Z" },
		{ "2014-12-03T14:25:45+1000",      "2014-12-03T04:25:45.000Z" },
		{ "2014-12-31T23:30:00-00:30",     "2015-01-01T00:00:00.000Z" },
		{ "2011-06-15T04:48:02",           "2011-06-15T04:48:02.000Z" },
		{ "2011-06-15T04:48:02.1",         "2011-06-15T04:48:02.100Z" },
		{ "2011-06-15T04:48:02.1679999",   "2011-06-15T04:48:02.167Z" },
		{ "1970-01-01T00:00:00Z",          "1970-01-01T00:00:00.000Z" },
		{ "1969-12-31T23:59:59.999Z",      "1969-12-31T23:59:59.999Z" },
		{ "2000-02-29T12:00:00Z",          "2000-02-29T12:00:00.000Z" },
		{ "1900-02-28T23:59:59Z",          "1900-02-28T23:59:59.000Z" },
		{ "2400-12-31T23:59:59.999Z",      "2400-12-31T23:59:59.999Z" },
		{ "0001-01-01T00:00:00Z",          "0001-01-01T00:00:00.000Z" },
		{ "9999-12-31T23:59:59.999Z",      "9999-12-31T23:59:59.999Z" },
	};
	static const char *const bad[] = { "2011-06-15", "2011-06-15 04:48:02Z", "2011-13-01T00:00:00Z", "2011-00-01T00:00:00Z", "2011-04-31T00:00:00Z",
					   "1900-02-29T00:00:00Z", "2011-01-01T24:00:00Z", "2011-01-01T00:60:00Z", "2011-01-01T00:00:60Z",
					   "2011-01-01T00:00:00.Z", "2011-01-01T00:00:00Zx", "2011-01-01T00:00:00+15:00", "0000-01-01T00:00:00Z", "now",
					   "0001-01-01T00:00:00+01:00", "99999999999999999" };

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		check_text("start_time", good[i].text, good[i].utc);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct sample *s = record_new(&sample_type);

		if (record_set_text(s, field_of("start_time"), bad[i], NULL))
			fail_msg("accepted %s", bad[i]);
		record_unref(s);
	}
	/* every day of 800 years there and back, against glib's calendar */
	for (int64_t day = -25 * 1461; day < 5 * 146097; day++) {
		struct sample *s = record_new(&sample_type);
		g_autoptr(GDateTime) glib = g_date_time_new_from_unix_utc(day * 86400);
		g_autofree char *expected = g_date_time_format(glib, "%Y-%m-%dT00:00:00.000Z"), *got = NULL;

		SET(s, started, day * 86400000);
		got = record_text(s, field_of("start_time"));
		assert_string_equal(got, expected);
		assert_true(record_set_text(s, field_of("stop_time"), got, NULL));
		assert_int_equal(s->stopped, s->started);
		record_unref(s);
	}
}

static void test_enums(void **state)
{
	assert_string_equal(enum_name(sample_types, 1), "server");
	assert_null(enum_name(sample_types, 2));
	assert_null(enum_name(sample_types, -1));
	assert_int_equal(enum_value(sample_types, "DeskTop"), SAMPLE_DESKTOP);
	assert_int_equal(enum_value(sample_types, "desk"), -1);
	assert_int_equal(enum_value(sample_types, NULL), -1);
}

static void test_merge_replaces_what_is_given(void **state)
{
	struct sample *s = sample_new(), *change = record_new(&sample_type);
	g_autoptr(GError) error = NULL;

	set_string(&change->name, "web2");
	SET(change, cores, 8);
	change->usages = strings_new();
	change->display = record_new(&display_type);
	SET(change->display, monitors, 4);
	set_string(&change->note, "from outside");
	assert_true(record_merge(s, change, &error));
	assert_string_equal(s->name, "web2");
	assert_int_equal(s->cores, 8);
	assert_int_equal(s->sockets, 4);
	assert_int_equal(s->usages->len, 0);
	assert_int_equal(s->display->monitors, 4);
	assert_string_equal(s->display->address, "::1");
	assert_string_equal(s->note, "internal");
	record_unref(change);
	record_unref(s);
}

static void refuse_merge(struct sample *change, const char *message)
{
	struct sample *s = sample_new();
	g_autoptr(GError) error = NULL;

	assert_false(record_merge(s, change, &error));
	assert_true(error_is(error, ERR_IMMUTABLE));
	assert_string_equal(error->message, message);
	record_unref(change);
	record_unref(s);
}

static void test_merge_refuses_immutable(void **state)
{
	struct sample *change = record_new(&sample_type);

	set_string(&change->id, UUID_B);
	refuse_merge(change, "Broken immutability constraint: Attempt to set immutable field: id");
	change = record_new(&sample_type);
	set_string(&change->serial, "AMD");
	refuse_merge(change, "Broken immutability constraint: Attempt to set immutable field: cpu@id");
	change = record_new(&sample_type);
	set_ref(&change->template, UUID_B);
	refuse_merge(change, "Broken immutability constraint: Attempt to set immutable field: template");
	change = record_new(&sample_type);
	change->display = record_new(&display_type);
	SET(change->display, type, SAMPLE_SERVER);
	refuse_merge(change, "Broken immutability constraint: Attempt to set immutable field: display/type");
}

static void test_merge_takes_back_what_it_gave(void **state)
{
	struct sample *s = sample_new(), *before, *change = sample_new();
	g_autoptr(GError) error = NULL;

	/* read-only members that differ by now are no fault of the client */
	before = record_copy(s);
	set_string(&change->status, "down");
	SET(change, load, 0.5);
	assert_true(record_merge(s, change, &error));
	assert_true(record_equal(s, before));
	record_unref(change);
	/* the same value in other letters, by ten digits, or empty for absent is no change */
	change = record_new(&sample_type);
	set_string(&change->id, "0A1B2C3D-1111-2222-3333-444455556666");
	assert_false(record_merge(s, change, NULL));   /* the reader lower-cases; the table does not guess */
	set_string(&change->id, UUID_A);
	set_string(&change->serial, "Intel");
	assert_true(record_merge(s, change, &error));
	CLEAR(s, serial);
	set_string(&change->serial, "");
	assert_true(record_merge(s, change, &error));
	record_unref(change);
	record_unref(before);
	record_unref(s);
}

static void test_merge_keeps_what_items_may_not_change(void **state)
{
	struct sample *s = sample_new(), *change = record_new(&sample_type);
	struct nic *nic = s->nics->pdata[0];

	SET(nic, rx, 77);
	nic = list_add(&change->nics, &nic_type);
	set_string(&nic->name, "new");
	SET(nic, rx, 1);
	nic = list_add(&change->nics, &nic_type);
	set_string(&nic->id, UUID_B);
	set_string(&nic->name, "eth1");
	SET(nic, rx, 1);
	assert_true(record_merge(s, change, NULL));
	assert_int_equal(s->nics->len, 2);
	nic = s->nics->pdata[0];
	assert_string_equal(nic->name, "new");
	assert_false(HAS(nic, rx));
	nic = s->nics->pdata[1];
	assert_string_equal(nic->name, "eth1");
	assert_int_equal(nic->rx, 77);
	assert_null(nic->mac);
	record_unref(change);
	record_unref(s);
}

static void test_required(void **state)
{
	struct sample *s = record_new(&sample_type);
	g_autoptr(GPtrArray) more = strings_new();
	g_autoptr(GError) error = NULL;
	struct option *option;

	list_add(&s->boot, &boot_type);
	list_add(&s->boot, &boot_type);
	list_add(&s->nics, &nic_type);                 /* a resource has its own requirements elsewhere */
	assert_false(record_check_required(s, "add", NULL, &error));
	assert_true(error_is(error, ERR_INCOMPLETE));
	assert_string_equal(error->message,
			    "Incomplete parameters: Vm [name, memory, memoryPolicy.guaranteed, os.boot.dev, cluster.id|name] required for add");
	g_clear_error(&error);
	g_ptr_array_add(more, g_strdup("host.id|name"));
	assert_false(record_check_required(s, "add", more, &error));
	assert_non_null(strstr(error->message, "cluster.id|name, host.id|name] required for add"));
	g_clear_error(&error);
	set_string(&s->name, "");
	SET(s, memory, 1);
	SET(s, guaranteed, 1);
	s->cluster.name = g_strdup("Default");
	CLEAR(s, boot);
	assert_false(record_check_required(s, "add", NULL, &error));
	assert_string_equal(error->message, "Incomplete parameters: Vm [name] required for add");
	set_string(&s->name, "web1");
	option = list_add(&s->options, &option_type);
	set_string(&option->name, "x");
	assert_true(record_check_required(s, "add", NULL, NULL));
	record_unref(s);
}

/* Many threads meet a type for the first time, and count references of one record. */
static const struct record_type fresh_type = RECORD_TYPE("fresh", NULL, struct sample, sample_fields, "Seen by threads first");

static void *use_record(void *data)
{
	struct sample *shared = data;

	for (int i = 0; i < 2000; i++) {
		struct sample *s = record_new(&fresh_type);

		record_ref(shared);
		SET(s, cores, i);
		assert_true(HAS(s, cores));
		assert_true(record_set_text(s, record_field(&fresh_type, "nics/nic"), "[{\"mac\":{\"address\":\"00:11:22:33:44:55\"}}]", NULL));
		record_unref(s);
		record_unref(shared);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct sample *shared = sample_new();
	GThread *threads[8];

	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("record", use_record, shared);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_thread_join(threads[i]);
	assert_int_equal(shared->record.refs, 1);
	record_unref(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_record_has_nothing),
		cmocka_unit_test(test_presence),
		cmocka_unit_test(test_fields_are_found),
		cmocka_unit_test(test_copy_is_deep),
		cmocka_unit_test(test_shadow_shares_what_is_stored),
		cmocka_unit_test(test_every_member_counts_for_equality),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_text_of_members),
		cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_enums),
		cmocka_unit_test(test_merge_replaces_what_is_given),
		cmocka_unit_test(test_merge_refuses_immutable),
		cmocka_unit_test(test_merge_takes_back_what_it_gave),
		cmocka_unit_test(test_merge_keeps_what_items_may_not_change),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
