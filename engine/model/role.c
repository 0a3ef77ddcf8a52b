/* SPDX-License-Identifier: Apache-2.0 */
/* Roles and permits: the tables. See role.h. */
#include "engine/model/kinds.h"
#include "engine/model/role.h"

#define CU (CREATE | UPDATE)

/* Ids are positions: append only. */
const struct permit_row permits[] = {
	{ "create_vm", false }, { "delete_vm", false }, { "edit_vm_properties", false }, { "vm_basic_operations", false }, { "change_vm_cd", false },
	{ "migrate_vm", false }, { "connect_to_vm", false }, { "import_export_vm", true }, { "configure_vm_network", false },
	{ "configure_vm_storage", false }, { "move_vm", false }, { "manipulate_vm_snapshots", false }, { "create_template", false },
	{ "edit_template_properties", false }, { "delete_template", false }, { "copy_template", false }, { "create_host", true },
	{ "edit_host_configuration", true }, { "delete_host", true }, { "manipulate_host", true }, { "configure_host_network", true },
	{ "create_cluster", true }, { "edit_cluster_configuration", true }, { "delete_cluster", true }, { "assign_cluster_network", true },
	{ "create_storage_pool", true }, { "edit_storage_pool_configuration", true }, { "delete_storage_pool", true },
	{ "configure_storage_pool_network", true }, { "create_storage_domain", true }, { "edit_storage_domain_configuration", true },
	{ "delete_storage_domain", true }, { "manipulate_storage_domain", true }, { "create_disk", false }, { "edit_disk_properties", false },
	{ "delete_disk", false }, { "attach_disk", false }, { "configure_disk_storage", false }, { "manipulate_users", true }, { "manipulate_roles", true },
	{ "manipulate_permissions", false }, { "tag_management", true }, { "configure_engine", true }, { "audit_log_management", true },
	{ "inject_external_events", true }, { "login", false }, { "run_vm", false }, { "stop_vm", false }, { "shut_down_vm", false }, { "reboot_vm", false },
	{ "hibernate_vm", false }, { NULL, false }
};

int permit_number(const char *name)
{
	for (int i = 0; permits[i].name; i++)
		if (!g_ascii_strcasecmp(permits[i].name, name))
			return i + 1;
	return 0;
}

static const struct field permit_fields[] = {
	FIELD_STRING_(struct permit, id, "@id", CREATE, "number", .max = 16),
	FIELD_STRING_(struct permit, name, "name", CREATE | HEAD, "what is allowed", .max = 64),
	FIELD_BOOL_(struct permit, administrative, "administrative", READ_ONLY, "for administrators only"),
	FIELD_REF_(struct permit, role, "role", VOLATILE_ | WEAK, "roles", "role that has it"),
};
const struct record_type permit_type = RECORD_TYPE("permit", "permits", struct permit, permit_fields, "An allowed operation");

static const struct field role_fields[] = {
	FIELD_UUID_(struct role, id, "@id", READ_ONLY, "identity"),
	FIELD_STRING_(struct role, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "unique name", .min = 1, .max = 126),
	FIELD_STRING_(struct role, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_BOOL_(struct role, mutable, "mutable", READ_ONLY, "false: built in, cannot be changed"),
	FIELD_BOOL_(struct role, administrative, "administrative", CU | REQUIRED, "for administrators only"),
	FIELD_LIST_(struct role, permits, "permits/permit", CREATE | ALL_CONTENT, &permit_type, "what is allowed"),
};
const struct record_type role_type = RECORD_TYPE("role", "roles", struct role, role_fields, "A named set of permits");
