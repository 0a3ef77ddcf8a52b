/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about a VM's life. */
#include "proto/verb.h"
#include "proto/vm.h"

const struct verb vm_verbs[] = {
	VM_ROW("create", vm_create_params_type, .kind = RESULT_RECORD, .result = &vm_short_type, .doc = "Starts a VM",
	       .returns = "{vmId, status WaitForLaunch, statusTime, xml}", .errors = "4 9 11 13 78 91 1500"),
	{ .name = "VM.destroy", .params = &vm_destroy_params_type, .lane = VERB_VM_END, .lane_key = "vmID", .changes = true,
	  .doc = "Powers the VM off at once and forgets it", .returns = "true", .errors = "1 42" },
	VM_ROW("shutdown", vm_shutdown_params_type, .doc = "Asks the guest to shut down or reboot, guest agent first, then ACPI", .returns = "true",
	       .errors = "1 6 19"),
	VM_ROW("reboot", vm_reboot_params_type, .doc = "Asks the guest to reboot (a verb of our own; VM.shutdown reboot=true is vdsm's)", .returns = "true",
	       .errors = "1 6 19"),
	VM_ROW("reset", vm_id_params_type, .doc = "Hard reset", .returns = "true", .errors = "1 6 90"),
	VM_ROW("pause", vm_id_params_type, .kind = RESULT_JSON, .doc = "Pauses the VM", .returns = "{\"vmList\": {}}", .errors = "1 6 1500"),
	VM_ROW("cont", vm_id_params_type, .kind = RESULT_JSON, .doc = "Resumes a paused VM", .returns = "{\"vmList\": {}}", .errors = "1 6 1500"),
	VM_ROW("hibernate", vm_hibernate_params_type, .doc = "Saves the VM's memory to a volume and stops it; the answer comes when the saving has begun",
	       .returns = "true", .errors = "1 6 13 51"),
	{ .name = "VM.getStats", .params = &vm_id_params_type, .kind = RESULT_LIST, .result = &vm_stats_type, .lane = VERB_ANY,
	  .doc = "All statistics of one VM", .returns = "array of one object", .errors = "1" },
	{ .name = "VM.getInfo", .params = &vm_id_params_type, .kind = RESULT_RECORD, .result = &vm_short_type, .lane = VERB_LOOP,
	  .doc = "Short entry of one VM", .returns = "{vmId, status, statusTime}", .errors = "1" },
	VM_ROW("setTicket", vm_ticket_params_type, .doc = "Sets the display password and its validity", .returns = "true", .errors = "1 6 18"),
	VM_ROW("freeze", vm_id_params_type, .doc = "Freezes the guest's file systems through the guest agent; hooks before_vm_freeze, after_vm_freeze",
	       .returns = "true", .errors = "1 6 19 75 76 1500"),
	VM_ROW("thaw", vm_id_params_type, .doc = "Thaws the guest's file systems; may be repeated; hooks before_vm_thaw, after_vm_thaw", .returns = "true",
	       .errors = "1 6 19 75 77 1500"),
};
const size_t n_vm_verbs = G_N_ELEMENTS(vm_verbs);
