/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs about a VM's life. */
#include "proto/verb.h"
#include "proto/vm.h"

const struct verb vm_verbs[] = {
	VM_ROW("create", vm_create_params_type, .kind = RESULT_RECORD, .result = &vm_short_type, .doc = "Starts a VM",
	       .returns = "{vmId, status WaitForLaunch, statusTime, xml}", .errors = "4 9 11 13 27 78 83 89 91 201 1500"),
	{ .name = "VM.getExternalData", .params = &vm_external_params_type, .kind = RESULT_JSON, .lane = VERB_ANY,
	  .doc = "State of the TPM or the UEFI variables of a VM, as VM.create takes them", .returns = "{hash, _X_data (left out when hash is lastHash)}",
	  .errors = "1 89" },
	{ .name = "VM.getCrashReport", .params = &vm_id_params_type, .kind = RESULT_JSON, .lane = VERB_ANY,
	  .doc = "The last crash of the VM's guest on this host, also of one that is gone (a verb of our own); its changes are the event |virt|VM_crash|<id>",
	  .returns = "{time (epoch, s), reason, console (its last lines), action, state (seen, dumping, dumped, failed), dump (path), size (bytes), format, "
		     "error}; {}: none",
	  .errors = "1" },
	{ .name = "VM.destroy", .params = &vm_destroy_params_type, .lane = VERB_VM_END, .lane_key = "vmID", .changes = true,
	  .doc = "Powers the VM off at once and forgets it", .returns = "true", .errors = "1 42" },
	VM_ROW("shutdown", vm_shutdown_params_type, .doc = "Asks the guest to shut down or reboot, guest agent first, then ACPI, then, with force, powers it off: a job",
	       .returns = "true",
	       .errors = "1 6 19"),
	VM_ROW("reboot", vm_reboot_params_type, .doc = "Asks the guest to reboot (a verb of our own; VM.shutdown reboot=true is vdsm's)", .returns = "true",
	       .errors = "1 6 19"),
	VM_ROW("reset", vm_id_params_type, .doc = "Hard reset", .returns = "true", .errors = "1 6 90"),
	VM_ROW("pause", vm_id_params_type, .kind = RESULT_JSON, .doc = "Pauses the VM", .returns = "{\"vmList\": {}}", .errors = "1 6 1500"),
	VM_ROW("cont", vm_id_params_type, .kind = RESULT_JSON, .doc = "Resumes a paused VM", .returns = "{\"vmList\": {}}", .errors = "1 6 1500"),
	VM_ROW("hibernate", vm_hibernate_params_type, .not_migrating = true, .doc = "Saves the VM's memory to a volume and stops it; the answer comes when the saving has begun",
	       .returns = "true", .errors = "1 6 13 17 51 91 201 1500"),
	{ .name = "VM.qmp", .params = &vm_qmp_params_type, .kind = RESULT_JSON, .lane = VERB_VM, .lane_key = "vmID",
	  .doc = "Asks QEMU what libvirt has no call for: only queries of a fixed list; marks the domain as tainted (a verb of our own)",
	  .returns = "QEMU's answer", .errors = "1 6 16 75" },
	{ .name = "VM.seal", .params = &vm_seal_params_type, .lane = VERB_ANY, .changes = true,
	  .doc = "Runs virt-sysprep over all disks of a template: a job", .returns = "true", .errors = "13 69 75 91 201" },
	{ .name = "VM.getStats", .params = &vm_stats_params_type, .kind = RESULT_LIST, .result = &vm_stats_type, .lane = VERB_ANY,
	  .doc = "Statistics of one VM", .returns = "array of one object", .errors = "1" },
	{ .name = "VM.getInfo", .params = &vm_id_params_type, .kind = RESULT_RECORD, .result = &vm_short_type, .lane = VERB_LOOP,
	  .doc = "Short entry of one VM", .returns = "{vmId, status, statusTime}", .errors = "1" },
	VM_ROW("setTicket", vm_ticket_params_type, .doc = "Sets the display password and its validity", .returns = "true", .errors = "1 6 18"),
};
const size_t n_vm_verbs = G_N_ELEMENTS(vm_verbs);
