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
	{ "hibernate_vm", false }, { "use_template", false }, { "use_network", false }, { "create_gluster_volume", true },
	{ "manipulate_gluster_volume", true }, { "delete_gluster_volume", true }, { NULL, false }
};

#define RUN "login vm_basic_operations run_vm stop_vm shut_down_vm reboot_vm hibernate_vm change_vm_cd connect_to_vm"
#define OWN_VM RUN " delete_vm edit_vm_properties configure_vm_network configure_vm_storage manipulate_vm_snapshots create_disk edit_disk_properties " \
	"delete_disk attach_disk configure_disk_storage manipulate_permissions"
#define OWN_DISK "edit_disk_properties delete_disk attach_disk configure_disk_storage"
#define OWN_TEMPLATE "use_template edit_template_properties delete_template copy_template manipulate_permissions"
#define ADMIN_VMS OWN_VM " create_vm migrate_vm import_export_vm move_vm"
#define ADMIN_TEMPLATES OWN_TEMPLATE " create_template"
#define ADMIN_HOSTS "create_host edit_host_configuration delete_host manipulate_host configure_host_network"
#define ADMIN_STORAGE "create_storage_domain edit_storage_domain_configuration delete_storage_domain manipulate_storage_domain create_disk " OWN_DISK
#define ADMIN_GLUSTER "create_gluster_volume manipulate_gluster_volume delete_gluster_volume"
#define ADMIN_CLUSTER ADMIN_VMS " " ADMIN_TEMPLATES " " ADMIN_HOSTS " edit_cluster_configuration delete_cluster assign_cluster_network use_network " \
	"tag_management " ADMIN_GLUSTER

const struct builtin_role builtin_roles[] = {
	{ ROLE_SUPER_USER, "SuperUser", "Roles management administrator", true, NULL },
	{ ROLE_USER, "RHEVMUser", "RHEVM user", false, RUN },
	{ ROLE_POWER_USER, "RHEVMPowerUser", "RHEVM power user", false, RUN " create_vm create_template create_disk use_template use_network" },
	{ "00000000-0000-0000-0001-000000000003", "RHEVMVDIUser", "RHEVM VDI user", false, RUN },
	{ "def00001-0000-0000-0000-def000000001", "DataCenterAdmin", "Everything in a data center", true,
	  "login " ADMIN_CLUSTER " " ADMIN_STORAGE " create_cluster edit_storage_pool_configuration delete_storage_pool configure_storage_pool_network" },
	{ "def00002-0000-0000-0000-def000000002", "ClusterAdmin", "Everything in a cluster", true, "login " ADMIN_CLUSTER },
	{ "def00003-0000-0000-0000-def000000003", "StorageAdmin", "Storage domains and disks", true, "login " ADMIN_STORAGE },
	{ "def00004-0000-0000-0000-def000000004", "HostAdmin", "Hosts", true, "login " ADMIN_HOSTS },
	{ "def00005-0000-0000-0000-def000000005", "NetworkAdmin", "Networks", true,
	  "login configure_storage_pool_network assign_cluster_network configure_host_network configure_vm_network use_network" },
	{ ROLE_USER_VM_MANAGER, "UserVmManager", "Everything with one virtual machine", false, OWN_VM },
	{ "def00007-0000-0000-0000-def000000007", "TemplateAdmin", "Templates", true, "login " ADMIN_TEMPLATES },
	{ "def00008-0000-0000-0000-def000000008", "ReadOnlyAdmin", "Sees everything, changes nothing", true, "login" },
	{ ROLE_TEMPLATE_USER, "UserTemplateBasedVm", "Make virtual machines from a template", false, "use_template" },
	{ ROLE_TEMPLATE_OWNER, "TemplateOwner", "Everything with one template", false, "login " OWN_TEMPLATE },
	{ ROLE_DISK_OPERATOR, "DiskOperator", "Everything with one disk", false, "login " OWN_DISK },
	{ "def0000b-0000-0000-0000-def00000000b", "GlusterAdmin", "Gluster volumes", true, "login " ADMIN_GLUSTER },
	{ "def0000d-0000-0000-0000-def00000000d", "VmCreator", "Make virtual machines", false, "login create_vm" },
	{ "def0000e-0000-0000-0000-def00000000e", "TemplateCreator", "Make templates", false, "login create_template" },
	{ "def0000f-0000-0000-0000-def00000000f", "DiskCreator", "Make disks", false, "login create_disk" },
	{ ROLE_NETWORK_USER, "VnicProfileUser", "Connect virtual machines to a network", false, "use_network" },
	{ "def00011-0000-0000-0000-def000000011", "TagManager", "Tags", false, "login tag_management" },
	{ "def00012-0000-0000-0000-def000000012", "ExternalEventsCreator", "Add events", false, "login inject_external_events" },
	{ NULL, NULL, NULL, false, NULL }
};

void role_give(struct role *role, const char *names)
{
	g_auto(GStrv) words = g_strsplit(names, " ", -1);

	g_clear_pointer(&role->permits, g_ptr_array_unref);
	role->permits = list_new();
	for (char **word = words; *word; word++) {
		int number = permit_number(*word);
		struct permit *permit;

		g_assert(number);
		if (role_has(role, number))
			continue;
		permit = list_add(&role->permits, &permit_type);
		permit->id = g_strdup_printf("%d", number);
		set_string(&permit->name, permits[number - 1].name);
		SET(permit, administrative, permits[number - 1].administrative);
	}
}

bool role_has(const struct role *role, int number)
{
	for (unsigned i = 0; role->permits && i < role->permits->len; i++)
		if (permit_number(((const struct permit *)role->permits->pdata[i])->name) == number)
			return true;
	return !role->permits;
}

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

#define ROLE_FIELDS(id_flags, name_flags, own_flags) \
	FIELD_UUID_(struct role, id, "@id", id_flags, "identity"), \
	FIELD_STRING_(struct role, name, "name", name_flags | SEARCH | HEAD, "unique name", .min = 1, .max = 126), \
	FIELD_STRING_(struct role, description, "description", own_flags | HEAD | SEARCH, "free text", .max = 4000), \
	FIELD_BOOL_(struct role, mutable, "mutable", READ_ONLY, "false: built in, cannot be changed"), \
	FIELD_BOOL_(struct role, administrative, "administrative", (own_flags) ? (own_flags) | REQUIRED : 0, "for administrators only"), \
	FIELD_LIST_(struct role, permits, "permits/permit", (own_flags) ? CREATE | REQUIRED | ALL_CONTENT : ALL_CONTENT, &permit_type, "what is allowed")

static const struct field role_fields[] = { ROLE_FIELDS(READ_ONLY, CU | REQUIRED | UNIQUE, CU) };
static const struct field assigned_role_fields[] = { ROLE_FIELDS(CREATE, CREATE, READ_ONLY) };
const struct record_type role_type = RECORD_TYPE("role", "roles", struct role, role_fields, "A named set of permits");
const struct record_type assigned_role_type = RECORD_TYPE("role", "roles", struct role, assigned_role_fields, "A role that a user or group has");
