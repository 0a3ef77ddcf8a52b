/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/vm.h"

#define VOLUME "volume"

/* In these it executes, or did since the host was asked last. */
#define STATES_EXECUTING (1u << VM_UP | 1u << VM_POWERING_UP | 1u << VM_POWERING_DOWN | 1u << VM_REBOOT_IN_PROGRESS | 1u << VM_SAVING_STATE)

bool vm_memory_is(const struct vm *vm, const json_t *volume)
{
	return vm->memory_volume && json_equal(json_object_get(vm->memory_volume, VOLUME), json_object_get(volume, VOLUME));
}

bool vm_has_saved_memory(const struct vm *vm)
{
	return vm->memory_volume && vm->memory_state == MEMORY_SAVED;
}

void vm_set_memory(struct vm *vm, const json_t *volume)
{
	CLEAR(vm, memory_volume);
	CLEAR(vm, memory_state);
	if (volume) {
		vm->memory_volume = json_deep_copy(volume);
		SET(vm, memory_state, MEMORY_UNFINISHED);
	}
}

void vm_see_memory(struct vm *vm, int state)
{
	if (!vm->memory_volume || vm->memory_state == MEMORY_UNFINISHED)
		return;
	if (state == VM_PAUSED)
		SET(vm, memory_state, MEMORY_LOADED);
	else if (STATES_EXECUTING >> state & 1)
		vm_set_memory(vm, NULL);
}

void vm_end_run(struct vm *vm, bool saved, const char *reason, int64_t now_msec)
{
	if (vm->memory_volume && saved && vm->memory_state == MEMORY_UNFINISHED)
		SET(vm, memory_state, MEMORY_SAVED);
	if (!vm_has_saved_memory(vm))
		vm_set_memory(vm, NULL);
	SET(vm, state, vm_has_saved_memory(vm) ? VM_SUSPENDED : VM_DOWN);
	set_string(&vm->state_detail, NULL);
	set_ref(&vm->host, NULL);
	set_string(&vm->migration_host, NULL);
	CLEAR(vm, limits);
	CLEAR(vm, run_once);
	set_string(&vm->current_cdrom, NULL);
	CLEAR(vm, start_time);
	CLEAR(vm, status_time);
	SET(vm, next_run_configuration_exists, false);
	SET(vm, stop_time, now_msec);
	set_string(&vm->stop_reason, reason ? reason : "");
}
