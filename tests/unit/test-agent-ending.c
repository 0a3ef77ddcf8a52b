/* SPDX-License-Identifier: Apache-2.0 */
#include "cmocka-all.h"
#include <libvirt/libvirt.h>
#include "agent/virt/life/ending.h"

#define SHUTDOWN VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN

static void why_a_vm_is_down(void **state)
{
	static const struct { struct ending_facts facts; int code; enum vm_exit_reason reason; } cases[] = {
		{ { SHUTDOWN, END_GUEST, VM_WIRE_UP, false }, 0, VM_EXIT_USER_SHUTDOWN },
		{ { SHUTDOWN, END_GUEST, VM_WIRE_POWERING_DOWN, false }, 0, VM_EXIT_USER_SHUTDOWN },
		{ { SHUTDOWN, END_GUEST, VM_WIRE_POWERING_DOWN, true }, 0, VM_EXIT_ADMIN_SHUTDOWN },
		{ { SHUTDOWN, END_UNKNOWN, VM_WIRE_POWERING_DOWN, true }, 0, VM_EXIT_ADMIN_SHUTDOWN },
		{ { SHUTDOWN, END_UNKNOWN, VM_WIRE_UP, false }, 0, VM_EXIT_USER_SHUTDOWN },
		{ { SHUTDOWN, END_RESET, VM_WIRE_UP, false }, 0, VM_EXIT_DESTROYED_ON_REBOOT },
		{ { SHUTDOWN, END_RESET, VM_WIRE_POWERING_DOWN, true }, 0, VM_EXIT_DESTROYED_ON_REBOOT },
		{ { SHUTDOWN, END_UNKNOWN, VM_WIRE_REBOOT_IN_PROGRESS, false }, 0, VM_EXIT_DESTROYED_ON_REBOOT },
		{ { SHUTDOWN, END_HOST, VM_WIRE_UP, false }, 1, VM_EXIT_HOST_SHUTDOWN },
		{ { VIR_DOMAIN_EVENT_STOPPED_DESTROYED, END_HOST, VM_WIRE_UP, false }, 0, VM_EXIT_ADMIN_SHUTDOWN },
		{ { VIR_DOMAIN_EVENT_STOPPED_SAVED, END_UNKNOWN, VM_WIRE_SAVING, false }, 0, VM_EXIT_SAVED },
		{ { VIR_DOMAIN_EVENT_STOPPED_MIGRATED, END_UNKNOWN, VM_WIRE_MIGRATION_SOURCE, false }, 0, VM_EXIT_MIGRATED },
		{ { VIR_DOMAIN_EVENT_STOPPED_FAILED, END_UNKNOWN, VM_WIRE_MIGRATION_DESTINATION, false }, 1, VM_EXIT_MIGRATION_FAILED },
		{ { VIR_DOMAIN_EVENT_STOPPED_FAILED, END_UNKNOWN, VM_WIRE_UP, false }, 1, VM_EXIT_LOST_QEMU },
		{ { VIR_DOMAIN_EVENT_STOPPED_CRASHED, END_UNKNOWN, VM_WIRE_UP, true }, 1, VM_EXIT_LOST_QEMU },
		{ { VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT, END_UNKNOWN, VM_WIRE_UP, false }, 1, VM_EXIT_LOST_QEMU },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct ending ending = ending_of(&cases[i].facts);

		if (ending.code != cases[i].code || ending.reason != cases[i].reason)
			fail_msg("case %zu: %d, %d", i, ending.code, (int)ending.reason);
	}
}

/* The names of QEMU 7.2's ShutdownCause. */
static void what_qemu_says(void **state)
{
	assert_int_equal(ending_cause("guest-shutdown"), END_GUEST);
	assert_int_equal(ending_cause("guest-panic"), END_GUEST);
	assert_int_equal(ending_cause("guest-reset"), END_RESET);
	assert_int_equal(ending_cause("host-qmp-system-reset"), END_RESET);
	assert_int_equal(ending_cause("subsystem-reset"), END_RESET);
	assert_int_equal(ending_cause("host-signal"), END_HOST);
	assert_int_equal(ending_cause("host-qmp-quit"), END_HOST);
	assert_int_equal(ending_cause("host-ui"), END_HOST);
	assert_int_equal(ending_cause("host-error"), END_HOST);
	assert_int_equal(ending_cause("none"), END_UNKNOWN);
	assert_int_equal(ending_cause(NULL), END_UNKNOWN);
}

/* The numbers are the channel's. */
static void every_reason_has_its_number_and_words(void **state)
{
	static const struct { enum vm_exit_reason reason; const char *words; } reasons[] = {
		{ VM_EXIT_SUCCESS, "success" }, { VM_EXIT_GENERIC, "error" }, { VM_EXIT_LOST_QEMU, "Lost connection with qemu process" },
		{ VM_EXIT_LIBVIRT_START_FAILED, "start" }, { VM_EXIT_MIGRATED, "Migration succeeded" }, { VM_EXIT_SAVED, "SaveState succeeded" },
		{ VM_EXIT_ADMIN_SHUTDOWN, "Admin shut down from the engine" }, { VM_EXIT_USER_SHUTDOWN, "User shut down from within the guest" },
		{ VM_EXIT_MIGRATION_FAILED, "migrate" }, { VM_EXIT_DOMAIN_MISSING, "Failed to find the libvirt domain" },
		{ VM_EXIT_DESTROYED_ON_STARTUP, "startup" }, { VM_EXIT_HOST_SHUTDOWN, "terminated on the host" },
		{ VM_EXIT_POSTCOPY_FAILED, "post-copy" }, { VM_EXIT_DESTROYED_ON_REBOOT, "reboot" }, { VM_EXIT_DESTROYED_ON_PAUSE_TIMEOUT, "paused" },
	};

	assert_int_equal(G_N_ELEMENTS(reasons), 15);
	for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
		assert_int_equal(reasons[i].reason, i);
		assert_non_null(strstr(ending_text(reasons[i].reason), reasons[i].words));
	}
	assert_string_equal(ending_text((enum vm_exit_reason)99), ending_text(VM_EXIT_GENERIC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(why_a_vm_is_down),
		cmocka_unit_test(what_qemu_says),
		cmocka_unit_test(every_reason_has_its_number_and_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
