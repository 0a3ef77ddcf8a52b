/* SPDX-License-Identifier: Apache-2.0 */
/* The table of Content's elements, and oVirt's numbers for names. See ovf.h. */
#include "engine/ovf/ovf.h"

#include <string.h>

#include "engine/model/misc.h"
#include "engine/ovf/ovf-priv.h"

static const struct ovf_code flavors[] = { { "desktop", "0" }, { "server", "1" }, { 0 } };
/* A VM of this engine has no number there: it is of another system. */
static const struct ovf_code origins[] = {
	{ "rhev", "0" }, { "vmware", "1" }, { "xen", "2" }, { "ovirt", "3" }, { "berth", "5" }, { "kvm", "7" }, { "ovirt", "4" }, { "ovirt", "6" }, { "xen", "8" }, { 0 },
};
static const struct ovf_code displays[] = { { "vnc", "0" }, { "spice", "1" }, { 0 } };
static const struct ovf_code affinities[] = { { "migratable", "0" }, { "user_migratable", "1" }, { "pinned", "2" }, { 0 } };
static const struct ovf_code serials[] = { { "host", "0" }, { "vm", "1" }, { "custom", "2" }, { 0 } };
static const struct ovf_code processors[] = { { "host_passthrough", "true" }, { 0 } };

const struct ovf_field ovf_fields[] = {
	{ "CreationDate", "creation_time", OVF_TIME },
	{ "ExportDate", NULL, OVF_WRITER },
	{ "DeleteProtected", "delete_protected" },
	{ "SsoMethod", "sso/methods/method", OVF_SSO },
	{ "IsSmartcardEnabled", "display/smartcard_enabled" },
	{ "TimeZone", "timezone" },
	{ "default_boot_sequence", "os/boot", OVF_BOOT },
	{ "Generation", "1", OVF_FIXED },
	{ "VmType", "type", OVF_CODE, flavors },
	{ "MinAllocatedMem", "memory_policy/guaranteed", OVF_MIB },
	{ "IsStateless", "stateless" },
	{ "IsRunAndPause", "false", OVF_FIXED },
	{ "AutoStartup", "high_availability/enabled" },
	{ "Priority", "high_availability/priority" },
	{ "IsBootMenuEnabled", "bios/boot_menu/enabled" },
	{ "IsSpiceFileTransferEnabled", "display/file_transfer_enabled" },
	{ "IsSpiceCopyPasteEnabled", "display/copy_paste_enabled" },
	{ "Name", "name" },
	{ "TemplateId", NULL, OVF_WRITER },
	{ "TemplateName", NULL, OVF_WRITER },
	{ "IsInitilized", "true", OVF_FIXED },                       /* sic: oVirt's spelling */
	{ "Origin", "origin", OVF_CODE, origins },
	{ "DefaultDisplayType", "display/type", OVF_CODE, displays },
	{ "TrustedService", "false", OVF_FIXED },
	{ "OriginalTemplateId", NULL, OVF_WRITER },
	{ "OriginalTemplateName", NULL, OVF_WRITER },
	{ "UseLatestVersion", "use_latest_template_version" },
	{ "Description", "description" },
	{ "Comment", "comment" },
	{ "Domain", "domain/name" },
	{ "AllowConsoleReconnect", "display/allow_override" },
	{ "VncKeyboardLayout", "display/keyboard_layout" },
	{ "kernel_url", "os/kernel" },
	{ "initrd_url", "os/initrd" },
	{ "kernel_params", "os/cmdline" },
	{ "MigrationSupport", "placement_policy/affinity", OVF_CODE, affinities },
	{ "MigrationDowntime", "migration_downtime" },
	{ "TunnelMigration", "tunnel_migration" },
	{ "UseHostCpu", "cpu/mode", OVF_CODE, processors },
	{ "SerialNumberPolicy", "serial_number/policy", OVF_CODE, serials },
	{ "CustomSerialNumber", "serial_number/value" },
	{ "BalloonEnabled", "memory_policy/ballooning" },
	{ "UserDefinedProperties", "custom_properties/custom_property", OVF_PROPERTIES },
	{ "default_display_type", "display/type", OVF_CODE, displays },      /* as older templates have it; not written, its member was */
	{ "TemplateVersionName", "version/version_name" },
};
const size_t n_ovf_fields = G_N_ELEMENTS(ovf_fields);

const struct ovf_code ovf_disk_interfaces[] = { { "virtio", "VirtIO" }, { "ide", "IDE" }, { "virtio_scsi", "VirtIO_SCSI" }, { 0 } };
const struct ovf_code ovf_nic_models[] = { { "rtl8139_virtio", "0" }, { "rtl8139", "1" }, { "e1000", "2" }, { "virtio", "3" }, { 0 } };
const struct ovf_code ovf_usb_policies[] = { { "native", "ENABLED_NATIVE" }, { "legacy", "ENABLED_LEGACY" }, { "disabled", "DISABLED" }, { 0 } };

const char *const ovf_boot_orders[] = { "c", "dc", "n", "cdn", "cnd", "dcn", "dnc", "ncd", "ndc", "cd", "d", "cn", "dn", "nc", "nd" };
const size_t n_ovf_boot_orders = G_N_ELEMENTS(ovf_boot_orders);

const char *ovf_code_of(const struct ovf_code *codes, const char *name)
{
	for (; codes->name; codes++)
		if (name && !g_ascii_strcasecmp(codes->name, name))
			return codes->code;
	return NULL;
}

const char *ovf_name_of(const struct ovf_code *codes, const char *code)
{
	for (; codes->name; codes++)
		if (!g_ascii_strcasecmp(codes->code, code))
			return codes->name;
	return NULL;
}

const void *ovf_object(const struct ovf *ovf)
{
	return ovf->vm ? (const void *)ovf->vm : (const void *)ovf->template;
}

struct ovf *ovf_free(struct ovf *ovf)
{
	if (!ovf)
		return NULL;
	record_unref(ovf->vm);
	record_unref(ovf->template);
	g_clear_pointer(&ovf->disks, g_ptr_array_unref);
	g_clear_pointer(&ovf->nics, g_ptr_array_unref);
	g_free(ovf);
	return NULL;
}
