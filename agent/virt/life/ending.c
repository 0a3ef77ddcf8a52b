/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/life/ending.h"

#include <libvirt/libvirt.h>
#include <string.h>

enum vm_end_cause ending_cause(const char *reason)
{
	static const struct { const char *reason; enum vm_end_cause cause; } causes[] = {
		{ "guest-shutdown", END_GUEST }, { "guest-panic", END_GUEST },
		/* A VM with on_reboot=destroy: QEMU ends instead of resetting. */
		{ "guest-reset", END_RESET }, { "host-qmp-system-reset", END_RESET }, { "subsystem-reset", END_RESET },
		{ "host-signal", END_HOST }, { "host-ui", END_HOST }, { "host-error", END_HOST }, { "host-qmp-quit", END_HOST },
	};

	for (size_t i = 0; reason && i < G_N_ELEMENTS(causes); i++)
		if (!strcmp(causes[i].reason, reason))
			return causes[i].cause;
	return END_UNKNOWN;
}

/* The first row that fits counts. Those that a verb or a migration ends are told by them. */
#define ANY (-1)
static const struct { int detail, cause, status, asked; struct ending ending; } rows[] = {
	{ VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, END_RESET, ANY, ANY, { 0, VM_EXIT_DESTROYED_ON_REBOOT } },
	{ VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, ANY, VM_WIRE_REBOOT_IN_PROGRESS, ANY, { 0, VM_EXIT_DESTROYED_ON_REBOOT } },
	{ VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, END_HOST, ANY, ANY, { 1, VM_EXIT_HOST_SHUTDOWN } },
	{ VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, ANY, ANY, true, { 0, VM_EXIT_ADMIN_SHUTDOWN } },
	{ VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, ANY, ANY, ANY, { 0, VM_EXIT_USER_SHUTDOWN } },
	{ VIR_DOMAIN_EVENT_STOPPED_DESTROYED, ANY, ANY, ANY, { 0, VM_EXIT_ADMIN_SHUTDOWN } },
	{ VIR_DOMAIN_EVENT_STOPPED_MIGRATED, ANY, ANY, ANY, { 0, VM_EXIT_MIGRATED } },
	{ VIR_DOMAIN_EVENT_STOPPED_SAVED, ANY, ANY, ANY, { 0, VM_EXIT_SAVED } },
	{ ANY, ANY, VM_WIRE_MIGRATION_DESTINATION, ANY, { 1, VM_EXIT_MIGRATION_FAILED } },
	{ ANY, ANY, ANY, ANY, { 1, VM_EXIT_LOST_QEMU } },
};

static bool fits(int wanted, int value)
{
	return wanted == ANY || wanted == value;
}

struct ending ending_of(const struct ending_facts *facts)
{
	size_t i = 0;

	while (!fits(rows[i].detail, facts->detail) || !fits(rows[i].cause, (int)facts->cause) || !fits(rows[i].status, (int)facts->status) ||
	       !fits(rows[i].asked, facts->asked))
		i++;                  /* the last row fits everything */
	return rows[i].ending;
}

const char *ending_text(enum vm_exit_reason reason)
{
	static const char *const texts[VM_EXIT_MAX] = {
		[VM_EXIT_SUCCESS] = "VM terminated successfully",
		[VM_EXIT_GENERIC] = "VM terminated with error",
		[VM_EXIT_LOST_QEMU] = "Lost connection with qemu process",
		[VM_EXIT_LIBVIRT_START_FAILED] = "failed to start libvirt vm",
		[VM_EXIT_MIGRATED] = "Migration succeeded",
		[VM_EXIT_SAVED] = "SaveState succeeded",
		[VM_EXIT_ADMIN_SHUTDOWN] = "Admin shut down from the engine",
		[VM_EXIT_USER_SHUTDOWN] = "User shut down from within the guest",
		[VM_EXIT_MIGRATION_FAILED] = "VM failed to migrate",
		[VM_EXIT_DOMAIN_MISSING] = "Failed to find the libvirt domain",
		[VM_EXIT_DESTROYED_ON_STARTUP] = "VM destroyed during the startup",
		[VM_EXIT_HOST_SHUTDOWN] = "VM has been terminated on the host",
		[VM_EXIT_POSTCOPY_FAILED] = "Migration failed in post-copy",
		[VM_EXIT_DESTROYED_ON_REBOOT] = "VM destroyed during the reboot",
		[VM_EXIT_DESTROYED_ON_PAUSE_TIMEOUT] = "VM destroyed because it was paused by an I/O error for too long",
	};

	return (unsigned)reason < VM_EXIT_MAX ? texts[reason] : texts[VM_EXIT_GENERIC];
}
