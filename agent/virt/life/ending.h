/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_LIFE_ENDING_H
#define BERTH_AGENT_VIRT_LIFE_ENDING_H
/* Why a VM is Down: exit code, reason and text, from what libvirt and QEMU told of its end. Pure. */
#include <stdbool.h>
#include "proto/vm.h"

/* What QEMU gave as the reason in its SHUTDOWN event. */
enum vm_end_cause { END_UNKNOWN, END_GUEST, END_RESET, END_HOST };
/* "guest-shutdown", "host-signal"...: QEMU's ShutdownCause; NULL or one not known: END_UNKNOWN */
enum vm_end_cause ending_cause(const char *reason);

struct ending_facts {
	int detail;                   /* virDomainEventStoppedDetailType */
	enum vm_end_cause cause;
	enum vm_wire_status status;   /* of the VM until now */
	bool asked;                   /* VM.shutdown was called */
};
struct ending { int code; enum vm_exit_reason reason; };
struct ending ending_of(const struct ending_facts *facts);

/* exitMessage of a reason that has no words of its own */
const char *ending_text(enum vm_exit_reason reason);

#endif
