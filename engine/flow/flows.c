/* SPDX-License-Identifier: Apache-2.0 */
/* The flow types: what is not listed here cannot be taken up after a restart. Names are stored: they never change their meaning. */
#include "engine/flow/flow.h"
#include "engine/flow/disk_copy.h"
#include "engine/flow/disk_flow.h"
#include "engine/flow/disk_merge.h"
#include "engine/flow/export_flow.h"
#include "engine/flow/extend_flow.h"
#include "engine/flow/host_flow.h"
#include "engine/flow/image_flow.h"
#include "engine/flow/import_flow.h"
#include "engine/flow/storage_flow.h"
#include "engine/flow/template_flow.h"
#include "engine/flow/vm_flow.h"
#include "engine/flow/vm_migrate.h"

const struct flow_type *const flow_types[] = {
	&start_vm_flow, &suspend_vm_flow, &discard_memory_flow, &migrate_vm_flow, &remove_vm_flow, &export_vm_flow, &import_vm_flow,
	&create_template_flow, &remove_template_flow, &export_template_flow, &import_template_flow, &remove_export_flow,
	&create_domain_flow, &move_domain_flow, &remove_domain_flow, &extend_domain_flow, &retire_host_flow,
	&create_disk_flow, &remove_disk_flow, &copy_disk_flow, &merge_disk_flow, &import_image_flow, &export_image_flow, NULL
};
