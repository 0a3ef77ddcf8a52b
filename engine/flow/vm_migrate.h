/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_VM_MIGRATE_H
#define BERTH_ENGINE_VM_MIGRATE_H
/* Moving VMs that run to other hosts of their cluster. Theory of operation in vm_migrate.c. */
#include "engine/flow/flow.h"
#include "engine/model/vm.h"

enum migrate_cause {
	MIGRATE_USER,                        /* somebody asked for this VM to be migrated */
	MIGRATE_MAINTENANCE,                 /* its host goes to maintenance */
	MIGRATE_BALANCE,                     /* the scheduling policy of its cluster */
	MIGRATE_FLEE,                        /* its host became non-operational */
};

/* data: {"cause": enum migrate_cause, "to"?: host id that was asked for, "but_not": [host ids]} */
extern const struct flow_type migrate_vm_flow;

/* Can it be moved, whatever the hosts have? ERR_WRONG_STATE: its state; ERR_OPERATION_FAILED: what ties it to its host. */
bool vm_migrate_check(const struct vm *vm, GError **error);
/* Moves the VM to the host `to`; NULL: to the host that the scheduler picks, and when that one does not take it to the next. On the VM's lane; returns when
 * the VM runs there. ERR_CANCELED: somebody ended it (vm_migrate_cancel()). */
bool vm_migrate(struct engine *engine, const char *vm_id, const char *to, enum migrate_cause cause, const struct actor *actor, GError **error);
/* Ends the migration that is under way; returns when the VM is its host's again, or when it had left already (ERR_WRONG_STATE). Not on the VM's lane. */
bool vm_migrate_cancel(struct engine *engine, const struct vm *vm, const struct actor *actor, GError **error);

#endif
