/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/vm.h"

void vm_end_run(struct vm *vm, const char *reason, int64_t now_msec)
{
	SET(vm, state, vm->memory_volume ? VM_SUSPENDED : VM_DOWN);
	set_string(&vm->state_detail, NULL);
	set_ref(&vm->host, NULL);
	CLEAR(vm, run_once);
	set_string(&vm->current_cdrom, NULL);
	CLEAR(vm, start_time);
	CLEAR(vm, status_time);
	SET(vm, next_run_configuration_exists, false);
	SET(vm, stop_time, now_msec);
	set_string(&vm->stop_reason, reason ? reason : "");
}
