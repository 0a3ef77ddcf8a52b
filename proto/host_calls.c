/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/host_calls.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define TYPE(name, verb, structure, fields) const struct record_type name##_type = RECORD_TYPE(verb, NULL, structure, fields, "Parameters of " verb)

static const struct field devices_fields[] = {
	FIELD_STRINGS_(struct host_devices_params, caps, "caps", IN, "kinds of devices: pci, usb_device, scsi, net, mdev...; all when absent or empty"),
};
TYPE(host_devices_params, "Host.hostdevListByCaps", struct host_devices_params, devices_fields);

static const struct field device_name_fields[] = {
	FIELD_STRING_(struct host_device_name_params, device_name, "deviceName", NEED, "name as Host.hostdevListByCaps lists it: pci_0000_05_00_0"),
};
TYPE(host_device_name_params, "Host.hostdevReattach", struct host_device_name_params, device_name_fields);

static const struct field external_fields[] = {
	FIELD_STRING_(struct external_vms_params, uri, "uri", NEED, "libvirt URI of the other hypervisor", .max = 4096),
	FIELD_STRING_(struct external_vms_params, username, "username", IN, "user there", .max = 1024),
	FIELD_STRING_(struct external_vms_params, password, "password", IN | SECRET, "password there", .max = 1024),
	FIELD_STRINGS_(struct external_vms_params, vm_names, "vm_names", IN, "only these; all when absent or empty"),
};
TYPE(external_vms_params, "Host.getExternalVMs", struct external_vms_params, external_fields);

static const struct field external_names_fields[] = {
	FIELD_STRING_(struct external_vms_params, uri, "uri", NEED, "libvirt URI of the other hypervisor", .max = 4096),
	FIELD_STRING_(struct external_vms_params, username, "username", IN, "user there", .max = 1024),
	FIELD_STRING_(struct external_vms_params, password, "password", IN | SECRET, "password there", .max = 1024),
};
TYPE(external_vm_names_params, "Host.getExternalVMNames", struct external_vms_params, external_names_fields);

static const struct field ova_fields[] = {
	FIELD_STRING_(struct ova_params, ova_path, "ova_path", NEED, "absolute path of a tar or zip file, or of a directory", .max = 4096),
};
TYPE(ova_params, "Host.getExternalVmFromOva", struct ova_params, ova_fields);

static const struct field convert_fields[] = {
	FIELD_STRING_(struct convert_params, uri, "uri", NEED, "libvirt URI of the other hypervisor"),
	FIELD_STRING_(struct convert_params, username, "username", IN, "user there"),
	FIELD_STRING_(struct convert_params, password, "password", IN | SECRET, "password there"),
	FIELD_JSON_(struct convert_params, vm_info, "vminfo", NEED, "what to import, to where"),
	FIELD_STRING_(struct convert_params, job_id, "jobid", NEED, "id of the job"),
};
TYPE(convert_params, "Host.convertExternalVm", struct convert_params, convert_fields);

static const struct field convert_ova_fields[] = {
	FIELD_STRING_(struct convert_ova_params, ova_path, "ova_path", NEED, "path of the OVA"),
	FIELD_JSON_(struct convert_ova_params, vm_info, "vminfo", NEED, "what to import, to where"),
	FIELD_STRING_(struct convert_ova_params, job_id, "jobid", NEED, "id of the job"),
};
TYPE(convert_ova_params, "Host.convertExternalVmFromOva", struct convert_ova_params, convert_ova_fields);

static const struct field import_job_fields[] = { FIELD_STRING_(struct import_job_params, job_id, "jobid", NEED, "id of an import job") };
TYPE(import_job_params, "an import job", struct import_job_params, import_job_fields);

static const struct field ksm_fields[] = {
	FIELD_JSON_(struct ksm_tune_params, tuning, "tuningParams", NEED, "{run 0..2, pages_to_scan, sleep_millisecs, merge_across_nodes 0..1}, any of them"),
};
TYPE(ksm_tune_params, "Host.setKsmTune", struct ksm_tune_params, ksm_fields);

static const struct field mom_policy_fields[] = {
	FIELD_STRING_(struct mom_policy_params, policy, "policy", NEED, "text that sets parameters: (set ksmEnabled 1)", .max = 1 << 20),
};
TYPE(mom_policy_params, "Host.setMOMPolicy", struct mom_policy_params, mom_policy_fields);

static const struct field mom_parameters_fields[] = {
	FIELD_JSON_(struct mom_parameters_params, values, "key_value_store", NEED, "{balloonEnabled, ksmEnabled, ksmMergeAcrossNodes}, any of them, true or false"),
};
TYPE(mom_parameters_params, "Host.setMOMPolicyParameters", struct mom_parameters_params, mom_parameters_fields);

static const struct field fence_fields[] = {
	FIELD_STRING_(struct fence_params, addr, "addr", NEED, "address of the power device", .max = 255),
	FIELD_INT_(struct fence_params, port, "port", NEED, "plug or slot of the device; 0: none", .min = 0, .max = 65535),
	FIELD_STRING_(struct fence_params, agent, "agent", NEED, "fence agent: ipmilan, apc...", .pattern = "[A-Za-z0-9_]+", .max = 64),
	FIELD_STRING_(struct fence_params, username, "username", IN, "user of the device", .max = 255),
	FIELD_STRING_(struct fence_params, password, "password", IN | SECRET, "password of the device", .max = 255),
	FIELD_STRING_(struct fence_params, action, "action", NEED, "status, on, off, reboot", .pattern = "status|on|off|reboot"),
	FIELD_BOOL_(struct fence_params, secure, "secure", IN, "over an encrypted connection", .def = "false"),
	FIELD_STRING_(struct fence_params, options, "options", IN, "more options of the fence agent: name=value, separated by commas or lines", .max = 4096),
	FIELD_JSON_(struct fence_params, policy, "policy", IN, "{storageDomainHostIdMap}: see the verb"),
};
TYPE(fence_params, "Host.fenceNode", struct fence_params, fence_fields);

static const struct field ha_fields[] = {
	FIELD_STRING_(struct ha_maintenance_params, mode, "mode", NEED, "GLOBAL or LOCAL", .max = 64),
	FIELD_BOOL_(struct ha_maintenance_params, enabled, "enabled", NEED, "enter or leave"),
};
TYPE(ha_maintenance_params, "Host.setHaMaintenanceMode", struct ha_maintenance_params, ha_fields);
