/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_HOST_CALLS_H
#define BERTH_PROTO_HOST_CALLS_H
/* Parameters of the host's verbs about its devices, its memory policy, other hypervisors and other hosts' power. */
#include "common/record.h"

struct host_devices_params { struct record record; GPtrArray *caps; };
struct host_device_name_params { struct record record; char *device_name; };
struct external_vms_params { struct record record; char *uri, *username, *password; GPtrArray *vm_names; };
struct ova_params { struct record record; char *ova_path; };
struct convert_params { struct record record; char *uri, *username, *password, *job_id; json_t *vm_info; };
struct convert_ova_params { struct record record; char *ova_path, *job_id; json_t *vm_info; };
struct import_job_params { struct record record; char *job_id; };
struct ksm_tune_params { struct record record; json_t *tuning; };
struct mom_policy_params { struct record record; char *policy; };
struct mom_parameters_params { struct record record; json_t *values; };
struct fence_params { struct record record; char *addr, *agent, *username, *password, *action, *options; int port; bool secure; json_t *policy; };
struct ha_maintenance_params { struct record record; char *mode; bool enabled; };

extern const struct record_type host_devices_params_type, host_device_name_params_type, external_vms_params_type, external_vm_names_params_type,
	ova_params_type, convert_params_type, convert_ova_params_type, import_job_params_type, ksm_tune_params_type, mom_policy_params_type,
	mom_parameters_params_type, fence_params_type, ha_maintenance_params_type;

#endif
