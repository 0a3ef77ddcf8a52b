/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual machines: the tables, and what a VM takes from its template. See vm.h. */
#include "engine/model/cdrom.h"
#include "engine/model/disk.h"
#include "engine/model/kinds.h"
#include "engine/model/template.h"
#include "engine/model/vm-fields.h"
#include <string.h>

const char *const vm_state_names[] = {
	"unassigned", "down", "up", "powering_up", "powered_down", "paused", "migrating_from", "migrating_to", "unknown", "not_responding",
	"wait_for_launch", "reboot_in_progress", "saving_state", "restoring_state", "suspended", "image_illegal", "image_locked", "powering_down", NULL
};
const char *const vm_flavor_names[] = { "desktop", "server", NULL };
const char *const boot_device_names[] = { "hd", "cdrom", "network", NULL };
const char *const display_protocol_names[] = { "vnc", "spice", NULL };
const char *const cpu_mode_names[] = { "custom", "host_model", "host_passthrough", NULL };
const char *const vm_origin_names[] = { "rhev", "ovirt", "vmware", "xen", "kvm", "berth", NULL };
const char *const vm_affinity_names[] = { "migratable", "user_migratable", "pinned", NULL };
const char *const usb_policy_names[] = { "native", "legacy", NULL };
const char *const numa_tune_mode_names[] = { "interleave", "strict", "preferred", NULL };
const char *const vm_memory_names[] = { "unfinished", "saved", "loaded", NULL };
static const char *const payload_names[] = { "cdrom", "floppy", NULL };

static const struct field boot_item_fields[] = {
	FIELD_ENUM_(struct boot_item, dev, "@dev", CU | REQUIRED, boot_device_names, "boot device"),
};
const struct record_type boot_item_type = RECORD_TYPE("boot", NULL, struct boot_item, boot_item_fields, "One entry of the boot order");

static const struct field vcpu_pin_fields[] = {
	FIELD_INT_(struct vcpu_pin, vcpu, "@vcpu", CU | REQUIRED, "number of the virtual CPU", .min = 0, .max = VM_VCPU_MAX - 1),
	FIELD_STRING_(struct vcpu_pin, cpu_set, "@cpu_set", CU | REQUIRED, "host CPUs: 0-3,^2,7", .max = 1024, .pattern = "[0-9,^-]+"),
	FIELD_STRING_(struct vcpu_pin, cpu_set, "@cpuset", CU | ALIAS, "other spelling of cpu_set"),
};
const struct record_type vcpu_pin_type = RECORD_TYPE("vcpu_pin", NULL, struct vcpu_pin, vcpu_pin_fields, "Host CPUs of one virtual CPU");

static const struct field sso_method_fields[] = {
	FIELD_STRING_(struct sso_method, id, "@id", CU | REQUIRED, "GUEST_AGENT", .max = 64),
};
const struct record_type sso_method_type = RECORD_TYPE("method", NULL, struct sso_method, sso_method_fields, "A single sign-on method");

static const struct field payload_file_fields[] = {
	FIELD_STRING_(struct payload_file, name, "name", CU | REQUIRED, "name and place of the file", .min = 1, .max = 1024),
	FIELD_STRING_(struct payload_file, name, "@name", CU | ALIAS, "other place of name"),
	FIELD_STRING_(struct payload_file, content, "content", CU, "what is in it", .max = 1048576),
};
const struct record_type payload_file_type = RECORD_TYPE("file", NULL, struct payload_file, payload_file_fields, "A file of a payload");

static const struct field payload_fields[] = {
	FIELD_STRING_(struct payload, type, "@type", CU | REQUIRED, "cdrom or floppy", .names = payload_names),
	FIELD_STRING_(struct payload, volume_id, "volume_id", CU, "label of the medium", .max = 32),
	FIELD_LIST_(struct payload, files, "files/file", CU, &payload_file_type, "the files"),
	FIELD_LIST_(struct payload, files, "file", CU | ALIAS, &payload_file_type, "other place of files/file"),
};
const struct record_type payload_type = RECORD_TYPE("payload", NULL, struct payload, payload_fields, "A medium made of files");

static const struct field nic_configuration_fields[] = {
	FIELD_STRING_(struct nic_configuration, name, "name", CU, "interface in the guest", .max = 64),
	FIELD_STRING_(struct nic_configuration, boot_protocol, "boot_protocol", CU, "dhcp, static or none", .pattern = "(?i)(dhcp|static|none)"),
	FIELD_STRING_(struct nic_configuration, address, "ip@address", CU, "address", .max = 64),
	FIELD_STRING_(struct nic_configuration, netmask, "ip@netmask", CU, "mask", .max = 64),
	FIELD_STRING_(struct nic_configuration, gateway, "ip@gateway", CU, "default gateway", .max = 64),
	FIELD_BOOL_(struct nic_configuration, on_boot, "on_boot", CU, "bring it up at boot"),
};
const struct record_type nic_configuration_type =
	RECORD_TYPE("nic_configuration", NULL, struct nic_configuration, nic_configuration_fields, "One interface for cloud-init");

#define INIT(member, text, ...) FIELD_STRING_(struct vm_initialization, member, #member, CU, text, ##__VA_ARGS__)
static const struct field vm_initialization_fields[] = {
	FIELD_STRING_(struct vm_initialization, configuration_type, "configuration/type", CREATE | ALL_CONTENT, "ovf", .max = 16),
	FIELD_STRING_(struct vm_initialization, configuration_data, "configuration/data", CREATE | ALL_CONTENT, "OVF text"),
	INIT(host_name, "host name of the guest", .max = 255),
	INIT(timezone, "time zone of the guest", .max = 64),
	INIT(user_name, "first user", .max = 255),
	FIELD_STRING_(struct vm_initialization, root_password, "root_password", CU | SECRET, "password of that user, or of root or Administrator", .max = 255),
	INIT(authorized_ssh_keys, "SSH keys, one a line", .max = 65536),
	FIELD_BOOL_(struct vm_initialization, regenerate_ssh_keys, "regenerate_ssh_keys", CU, "make new SSH host keys"),
	INIT(dns_servers, "DNS servers, blanks between", .max = 1024),
	INIT(dns_search, "DNS search domains, blanks between", .max = 1024),
	FIELD_LIST_(struct vm_initialization, nic_configurations, "nic_configurations/nic_configuration", CU, &nic_configuration_type, "interfaces"),
	INIT(custom_script, "script run at boot", .max = 1048576),
	INIT(domain, "directory domain to join", .max = 255),
	INIT(input_locale, "input locale", .max = 64),
	INIT(ui_language, "language of the user interface", .max = 64),
	INIT(system_locale, "system locale", .max = 64),
	INIT(user_locale, "user locale", .max = 64),
	INIT(active_directory_ou, "organisational unit", .max = 255),
	INIT(org_name, "organisation", .max = 255),
	FIELD_BOOL_(struct vm_initialization, regenerate_ids, "regenerate_ids", CREATE | INPUT_ONLY, "give the VM of an OVF new ids"),
};
const struct record_type vm_initialization_type =
	RECORD_TYPE("initialization", NULL, struct vm_initialization, vm_initialization_fields, "Values applied when the guest boots");

#define NO_DEFAULT(text) NULL
static const struct field vm_fields[] = {
	VM_FIELDS_HEAD(struct vm, CU | REQUIRED | SEARCH | UNIQUE | HEAD, NO_DEFAULT),
	FIELD_ENUM_(struct vm, state, "status/state", SEARCH, vm_state_names, "what it does", .search = "status"),
	FIELD_STRING_(struct vm, state_detail, "status/detail", READ_ONLY, "why it is in that state"),
	FIELD_STRING_(struct vm, stop_reason, "stop_reason", READ_ONLY, "why it was stopped last"),
	VM_FIELDS_HARDWARE(struct vm, NO_DEFAULT),
	FIELD_STRING_(struct vm, display_address, "display/address", VOLATILE_, "address of the console while it runs"),
	FIELD_INT_(struct vm, display_port, "display/port", VOLATILE_, "plain port of the console while it runs"),
	FIELD_INT_(struct vm, display_secure_port, "display/secure_port", VOLATILE_, "TLS port of the console while it runs"),
	VM_FIELDS_DISPLAY(struct vm, NO_DEFAULT),
	FIELD_REF_(struct vm, host, "host", SEARCH, "hosts", "host it runs on"),
	FIELD_REF_(struct vm, cluster, "cluster", CU | REQUIRED | SEARCH | WITHIN, "clusters", "cluster it belongs to"),
	FIELD_REF_(struct vm, template, "template", CREATE | REQUIRED | SEARCH, "templates", "template it was made from"),
	FIELD_TIME_(struct vm, start_time, "start_time", SEARCH, "when it was started"),
	FIELD_TIME_(struct vm, stop_time, "stop_time", SEARCH, "when it stopped last"),
	VM_FIELDS_POLICY(struct vm, NO_DEFAULT),
	FIELD_BOOL_(struct vm, next_run_configuration_exists, "next_run_configuration_exists", SEARCH, "changes wait for the next start",
		    .search = "next_run_config_exists"),
	FIELD_ENUM_(struct vm, numa_tune_mode, "numa_tune_mode", CU, numa_tune_mode_names, "how memory is taken from NUMA nodes"),
	FIELD_BOOL_(struct vm, use_latest_template_version, "use_latest_template_version", CU, "follow the newest version of the template"),
	FIELD_LIST_(struct vm, guest_ips, "guest_info/ips/ip", VOLATILE_, &ip_type, "addresses that the guest agent reports"),
	FIELD_STRING_(struct vm, guest_fqdn, "guest_info/fqdn", VOLATILE_, "name that the guest agent reports"),
	FIELD_STRING_(struct vm, guest_os_architecture, "guest_operating_system/architecture", VOLATILE_, "architecture that the guest agent reports"),
	FIELD_STRING_(struct vm, guest_os_distribution, "guest_operating_system/distribution", VOLATILE_, "distribution that the guest agent reports"),
	FIELD_STRING_(struct vm, guest_os_family, "guest_operating_system/family", VOLATILE_, "Linux or Windows, as the guest agent reports"),
	FIELD_STRING_(struct vm, guest_os_kernel, "guest_operating_system/kernel/version@full_version", VOLATILE_, "kernel that the guest agent reports"),
	FIELD_STRING_(struct vm, guest_os_version, "guest_operating_system/version@full_version", VOLATILE_, "version that the guest agent reports"),
	FIELD_LIST_(struct vm, cdroms, "cdroms/cdrom", CREATE | ALL_CONTENT, &cdrom_type, "disc in the CD drive"),
	FIELD_BOOL_(struct vm, disks_clone, "disks/clone", CREATE | INPUT_ONLY, "copy the template's disks instead of building on them"),
	FIELD_LIST_(struct vm, disks, "disks/disk", CREATE | INPUT_ONLY, &disk_type, "choices for the template's disks"),
	FIELD_LIST_(struct vm, snapshots, "snapshots/snapshot", CREATE | INPUT_ONLY, &object_ref_type, "snapshot to clone"),
	FIELD_STRING_(struct vm, current_cdrom, "current_cdrom", INTERNAL, "disc of the running session"),
	FIELD_JSON_(struct vm, memory_volume, "memory_volume", INTERNAL, "where the memory of a suspended VM is"),
	FIELD_ENUM_(struct vm, memory_state, "memory_state", INTERNAL, vm_memory_names, "what that volume is good for"),
	FIELD_JSON_(struct vm, limits, "limits", INTERNAL, "limits that its agent was told last"),
	FIELD_JSON_(struct vm, run_once, "run_once", INTERNAL, "members that hold for this run only"),
	FIELD_LONG_(struct vm, status_time, "status_time", INTERNAL, "time of the agent's last report of the state"),
	FIELD_BOOL_(struct vm, user_stop, "user_stop", INTERNAL, "somebody asked for it to go down"),
	FIELD_STRING_(struct vm, migration_host, "migration_host", INTERNAL, "host that it is on its way to"),
	FIELD_REF_(struct vm, entry_host, "entry_host", INTERNAL | WEAK, "hosts", "whose agent may have the entry of a run that ended"),
};
const struct record_type vm_type = RECORD_TYPE("vm", "vms", struct vm, vm_fields, "A virtual machine");

static void inherit(void *heir, const struct field *to, const void *origin, const struct field *from)
{
	void *target = (char *)heir + to->offset;
	const void *source = (const char *)origin + from->offset;
	g_autofree char *text = NULL;

	switch (to->kind) {
	case FIELD_LIST: {
		const GPtrArray *list = *(GPtrArray *const *)source;

		*(GPtrArray **)target = list_new();
		for (unsigned i = 0; i < list->len; i++)
			g_ptr_array_add(*(GPtrArray **)target, record_copy(list->pdata[i]));
		break;
	}
	case FIELD_RECORD:
		*(void **)target = record_copy(*(void *const *)source);
		break;
	case FIELD_REF:
		set_ref(target, ((const struct ref *)source)->id);
		break;
	case FIELD_STRINGS:
	case FIELD_JSON:
		break;                 /* neither occurs in VM_BASE_MEMBERS */
	default:
		text = record_text(origin, from);
		(void)record_set_text(heir, to, text, /* error= */ NULL);      /* it was checked when the origin took it */
	}
}

/* What may be given to the heir, was not, and both have. */
static void inherit_rest(void *heir, const void *origin)
{
	const struct record_type *type = ((const struct record *)heir)->type;

	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *to = &type->fields[i], *from = record_field(((const struct record *)origin)->type, to->path);

		if (!from || from->kind != to->kind || !(to->flags & CREATE) || to->flags & (ALIAS | HEAD | REQUIRED | INPUT_ONLY))
			continue;
		if (!record_has(heir, to->offset) && record_has(origin, from->offset))
			inherit(heir, to, origin, from);
	}
}

void template_inherit(struct template *template, const struct vm *vm)
{
	inherit_rest(template, vm);
}

void vm_inherit(struct vm *vm, const struct template *template)
{
	inherit_rest(vm, template);
	if (!HAS(vm, memory_guaranteed) || vm->memory_guaranteed > vm->memory)
		SET(vm, memory_guaranteed, vm->memory);
}
