/* SPDX-License-Identifier: Apache-2.0 */
/* The probe ends in time and gives a reason, whatever it finds; what this machine can do is not known here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "agent/host/host-priv.h"

static void test_missing(void **state)
{
	g_autofree char *reason = NULL;

	assert_false(acceleration_probe("/nonexistent/kvm", NULL, &reason));
	assert_string_equal(reason, "there is no /nonexistent/kvm");
}

static void test_no_kvm(void **state)
{
	g_autofree char *reason = NULL;

	enum acceleration_level level = ACCELERATION_LONG_MODE;

	assert_false(acceleration_probe("/dev/null", &level, &reason));
	assert_int_equal(level, ACCELERATION_NONE);
	assert_non_null(strstr(reason, "KVM_"));
}

static void test_this_machine(void **state)
{
	g_autofree char *reason = NULL;
	int64_t begun = g_get_monotonic_time();
	enum acceleration_level level;
	bool works = acceleration_probe("/dev/kvm", &level, &reason);

	assert_true(g_get_monotonic_time() - begun < 3 * G_USEC_PER_SEC);
	assert_true(works == !reason);
	assert_true(works == (level == ACCELERATION_LONG_MODE));
}

static void test_meminfo(void **state)
{
	static const char text[] = "MemTotal:       1000 kB\nMemFree:    100 kB\nBuffers: 10 kB\nCached: 20 kB\nSwapCached: 5 kB\nSReclaimable:    7 kB\n";

	assert_int_equal(meminfo_kib(text, "MemTotal"), 1000);
	assert_int_equal(meminfo_kib(text, "Cached"), 20);
	assert_int_equal(meminfo_kib(text, "Nothing"), 0);
	assert_int_equal(meminfo_free_kib(text), 137);
	assert_int_equal(meminfo_kib("Node 0 MemTotal:  55 kB", "MemTotal"), 55);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing), cmocka_unit_test(test_no_kvm), cmocka_unit_test(test_this_machine), cmocka_unit_test(test_meminfo),
	};

	return cmocka_run_group_tests_name("agent acceleration", tests, NULL, NULL);
}
