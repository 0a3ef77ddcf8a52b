/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and their interfaces: the tables. See host.h. */
#include "engine/model/fence_agent.h"
#include "engine/model/host.h"

#include <stdio.h>

#include "engine/model/kinds.h"
#include "engine/model/misc.h"

const char *const host_state_names[] = {
	"down", "error", "initializing", "installing", "install_failed", "maintenance", "non_operational", "non_responsive", "pending_approval",
	"preparing_for_maintenance", "connecting", "reboot", "unassigned", "up", "installing_os", "kdumping", NULL
};
const char *const host_flavor_names[] = { "rhel", "rhev-h", NULL };
const char *const spm_state_names[] = { "none", "contending", "spm", NULL };
const char *const nic_state_names[] = { "up", "down", NULL };
const char *const boot_protocol_names[] = { "dhcp", "static", "none", NULL };

#define CU (CREATE | UPDATE)

static const char *const proxy_names[] = { "cluster", "dc", "other_dc", NULL };
static const struct field power_proxy_fields[] = {
	FIELD_ENUM_(struct power_proxy, type, "type", CU | REQUIRED, proxy_names, "where a host that does it is looked for"),
};
const struct record_type power_proxy_type = RECORD_TYPE("pm_proxy", NULL, struct power_proxy, power_proxy_fields, "Where a fence proxy is looked for");

static const struct field host_fields[] = {
	FIELD_UUID_(struct host, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(struct host, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "unique name", .min = 1, .max = 255, .pattern = "[-\\w.]+"),
	FIELD_STRING_(struct host, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_STRING_(struct host, comment, "comment", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_STRING_(struct host, address, "address", CREATE | REQUIRED | SEARCH, "host name or IP address of the agent; with the port it is of one host only",
		      .min = 1, .max = 255, .pattern = "[-\\w.:%]+"),
	FIELD_STRING_(struct host, root_password, "root_password", CREATE | INPUT_ONLY | SECRET, "password of root, for installing", .max = 255),
	FIELD_STRING_(struct host, certificate_organization, "certificate/organization", READ_ONLY, "organization in the agent's certificate"),
	FIELD_STRING_(struct host, certificate_subject, "certificate/subject", READ_ONLY, "subject of the agent's certificate"),
	FIELD_ENUM_(struct host, state, "status/state", SEARCH, host_state_names, "what the engine makes of it", .search = "status"),
	FIELD_STRING_(struct host, state_detail, "status/detail", READ_ONLY, "why it is in that state"),
	FIELD_ENUM_(struct host, external_state, "external_status/state", CU | SEARCH, external_state_names, "health as others report it",
		    .search = "external_status", .def = "ok"),
	FIELD_REF_(struct host, cluster, "cluster", CU | SEARCH | WITHIN, "clusters", "cluster it belongs to; absent: Default"),
	FIELD_REF_(struct host, provider, "external_host_provider", CU, "externalhostproviders", "who knows the updates that it lacks, by its address"),
	FIELD_INT_(struct host, port, "port", CREATE, "port of the agent", .min = 1, .max = 65535, .def = "54321"),
	FIELD_ENUM_(struct host, type, "type", SEARCH, host_flavor_names, "kind of installation"),
	FIELD_INT_(struct host, spm_priority, "storage_manager@priority", CU, "preference as storage manager; -1: never", .min = -1, .max = 10, .def = "5"),
	FIELD_BOOL_(struct host, storage_manager, "storage_manager", READ_ONLY, "it is the storage manager"),
	FIELD_INT_(struct host, spm_priority, "spm/priority", CU, "preference as storage manager; -1: never", .min = -1, .max = 10),
	FIELD_ENUM_(struct host, spm_state, "spm/status/state", READ_ONLY, spm_state_names, "is it the storage manager"),
	FIELD_INT_(struct host, version_major, "version@major", READ_ONLY, "version of the agent"),
	FIELD_INT_(struct host, version_minor, "version@minor", READ_ONLY, "version of the agent"),
	FIELD_INT_(struct host, version_build, "version@build", READ_ONLY, "version of the agent"),
	FIELD_INT_(struct host, version_revision, "version@revision", READ_ONLY, "version of the agent"),
	FIELD_STRING_(struct host, version_full, "version@full_version", SEARCH, "version of the agent in full", .search = "version"),
	FIELD_STRING_(struct host, hw_manufacturer, "hardware_information/manufacturer", READ_ONLY, "who built the machine"),
	FIELD_STRING_(struct host, hw_version, "hardware_information/version", READ_ONLY, "version of the machine"),
	FIELD_STRING_(struct host, hw_serial_number, "hardware_information/serial_number", READ_ONLY, "serial number of the machine"),
	FIELD_STRING_(struct host, hw_product_name, "hardware_information/product_name", READ_ONLY, "model of the machine"),
	FIELD_STRING_(struct host, hw_uuid, "hardware_information/uuid", READ_ONLY, "UUID of the machine"),
	FIELD_STRING_(struct host, hw_family, "hardware_information/family", READ_ONLY, "family of the machine"),
	FIELD_STRINGS_(struct host, rng_sources, "hardware_information/supported_rng_sources/source", READ_ONLY, "random number sources for VMs"),
	FIELD_STRING_(struct host, pm_type, "power_management@type", CU, "kind of the power device", .max = 64, .names = power_manager_names),
	FIELD_BOOL_(struct host, pm_enabled, "power_management/enabled", CU, "power management is used", .def = "false"),
	FIELD_STRING_(struct host, pm_address, "power_management/address", CU, "address of the power device", .max = 255),
	FIELD_STRING_(struct host, pm_username, "power_management/username", CU, "user at the power device", .max = 255),
	FIELD_STRING_(struct host, pm_password, "power_management/password", CU | SECRET, "password at the power device", .max = 255),
	FIELD_LIST_(struct host, pm_options, "power_management/options/option", CU, &option_item_type, "options of the power device"),
	FIELD_LIST_(struct host, pm_agents, "power_management/agents/agent", CU | VOLATILE_, &power_agent_type, "several power devices"),
	FIELD_LIST_(struct host, pm_proxies, "power_management/pm_proxies/pm_proxy", CU, &power_proxy_type, "where a host that does it is looked for"),
	FIELD_BOOL_(struct host, automatic_pm_enabled, "power_management/automatic_pm_enabled", CU, "switched off at low load", .def = "true"),
	FIELD_BOOL_(struct host, kdump_detection, "power_management/kdump_detection", CU, "let a crash dump finish before fencing", .def = "true"),
	FIELD_BOOL_(struct host, ksm, "ksm/enabled", CU, "merge equal memory pages", .def = "false"),
	FIELD_BOOL_(struct host, ksm, "ksm", CU | ALIAS, "short form of ksm/enabled"),
	FIELD_BOOL_(struct host, transparent_hugepages, "transparent_hugepages/enabled", CU, "huge pages for VMs", .def = "true"),
	FIELD_BOOL_(struct host, transparent_hugepages, "transparent_hugepages", CU | ALIAS, "short form of transparent_hugepages/enabled"),
	FIELD_STRING_(struct host, iscsi_initiator, "iscsi/initiator", READ_ONLY, "its iSCSI name"),
	FIELD_INT_(struct host, ssh_port, "ssh/port", CU, "port of its SSH server", .min = 1, .max = 65535, .def = "22"),
	FIELD_STRING_(struct host, ssh_fingerprint, "ssh/fingerprint", CU, "fingerprint of its SSH key", .max = 255),
	FIELD_STRING_(struct host, ssh_method, "ssh/authentication_method", CREATE | INPUT_ONLY, "password or publickey", .max = 32),
	FIELD_STRING_(struct host, ssh_user, "ssh/user/user_name", CREATE | INPUT_ONLY, "SSH user for installing", .max = 255),
	FIELD_STRING_(struct host, ssh_password, "ssh/user/password", CREATE | INPUT_ONLY | SECRET, "SSH password for installing", .max = 255),
	FIELD_INT_(struct host, cpu_cores, "cpu/topology@cores", READ_ONLY, "cores in a socket"),
	FIELD_INT_(struct host, cpu_sockets, "cpu/topology@sockets", READ_ONLY, "sockets"),
	FIELD_INT_(struct host, cpu_threads, "cpu/topology@threads", READ_ONLY, "threads in a core"),
	FIELD_STRING_(struct host, cpu_name, "cpu/name", SEARCH, "model of the CPU", .search = "cpu_model"),
	FIELD_LONG_(struct host, cpu_speed, "cpu/speed", SEARCH, "clock of the CPU", .search = "cpu_speed", .unit = "MHz"),
	FIELD_LONG_(struct host, memory, "memory", SEARCH, "memory", .unit = "bytes"),
	FIELD_LONG_(struct host, max_scheduling_memory, "max_scheduling_memory", VOLATILE_, "memory that VMs may still be given", .unit = "bytes"),
	FIELD_INT_(struct host, vms_active, "summary/active", VOLATILE_, "running VMs"),
	FIELD_INT_(struct host, vms_migrating, "summary/migrating", VOLATILE_, "migrating VMs"),
	FIELD_INT_(struct host, vms_total, "summary/total", VOLATILE_, "VMs"),
	FIELD_STRING_(struct host, protocol, "protocol", CREATE, "how the agent is spoken to: stomp", .max = 16, .def = "stomp"),
	FIELD_STRING_(struct host, os_type, "os@type", READ_ONLY, "operating system"),
	FIELD_STRING_(struct host, os_version, "os/version@full_version", READ_ONLY, "version of the operating system"),
	FIELD_INT_(struct host, libvirt_major, "libvirt_version@major", READ_ONLY, "version of libvirt"),
	FIELD_INT_(struct host, libvirt_minor, "libvirt_version@minor", READ_ONLY, "version of libvirt"),
	FIELD_INT_(struct host, libvirt_build, "libvirt_version@build", READ_ONLY, "version of libvirt"),
	FIELD_INT_(struct host, libvirt_revision, "libvirt_version@revision", READ_ONLY, "version of libvirt"),
	FIELD_STRING_(struct host, libvirt_version, "libvirt_version@full_version", READ_ONLY, "version of libvirt in full"),
	FIELD_STRING_(struct host, kdump_status, "kdump_status", READ_ONLY, "unknown, disabled, enabled"),
	FIELD_STRING_(struct host, selinux_mode, "selinux/mode", READ_ONLY, "enforcing, permissive, disabled"),
	FIELD_STRING_(struct host, auto_numa_status, "auto_numa_status", READ_ONLY, "unknown, disable, enable"),
	FIELD_BOOL_(struct host, numa_supported, "numa_supported", READ_ONLY, "it has NUMA nodes"),
	FIELD_BOOL_(struct host, live_snapshot_support, "live_snapshot_support", READ_ONLY, "snapshots of running VMs"),
	FIELD_BOOL_(struct host, update_available, "update_available", VOLATILE_, "this engine has the package of another release of the agent"),
	FIELD_BOOL_(struct host, device_passthrough, "device_passthrough/enabled", READ_ONLY, "devices can be given to VMs"),
	FIELD_STRING_(struct host, agent_uuid, "agent_uuid", INTERNAL | UNIQUE, "identity that the agent reports"),
	FIELD_STRING_(struct host, certificate_fingerprint, "certificate_fingerprint", INTERNAL, "SHA-256 of the agent's certificate"),
	FIELD_STRING_(struct host, install_user, "install_user", INTERNAL, "SSH user by whom it was installed"),
	FIELD_STRING_(struct host, acceleration, "acceleration", INTERNAL, "kvm or tcg"),
	FIELD_STRINGS_(struct host, levels, "levels", INTERNAL, "compatibility levels that its agent knows"),
	FIELD_BOOL_(struct host, local_storage, "local_storage", INTERNAL, "a local storage domain lives here"),
	FIELD_JSON_(struct host, networks, "networks", INTERNAL, "what was last sent to it: name -> configuration"),
	FIELD_JSON_(struct host, nic_labels, "nic_labels", INTERNAL, "interface -> labels"),
	FIELD_JSON_(struct host, nic_vfs, "nic_vfs", INTERNAL, "interface -> networks and labels that its virtual functions may carry"),
	FIELD_TIME_(struct host, power_time, "power_time", INTERNAL, "when its power was last switched"),
	FIELD_UUID_(struct host, pool_id, "pool_id", INTERNAL, "data center whose pool it was told to join"),
	FIELD_INT_(struct host, pool_number, "pool_number", INTERNAL, "its number in that pool"),
	FIELD_BOOL_(struct host, pool_joined, "pool_joined", INTERNAL, "it is in that pool"),
};
const struct record_type host_type = RECORD_TYPE("host", "hosts", struct host, host_fields, "A hypervisor");

struct level host_level(const struct host *host)
{
	static const struct level newest = { LEVEL_MAJOR, LEVEL_MINOR };
	struct level highest = { 0, 0 };

	for (guint i = 0; host->levels && i < host->levels->len; i++) {
		struct level level;

		if (sscanf(host->levels->pdata[i], "%d.%d", &level.major, &level.minor) == 2 && level_compare(&level, &highest) > 0)
			highest = level;
	}
	return !highest.major || level_compare(&highest, &newest) > 0 ? newest : highest;
}

#define HOST_NIC_FIELDS(id_flags, required) \
	FIELD_STRING_(struct host_nic, id, "@id", id_flags, "identity"), \
	FIELD_STRING_(struct host_nic, name, "name", CREATE | required | HEAD, "name of the interface", .max = 15), \
	FIELD_REF_(struct host_nic, host, "host", READ_ONLY, "hosts", "host that has it"), \
	FIELD_REF_(struct host_nic, network, "network", CU | required, "networks", "network attached to it"), \
	FIELD_STRING_(struct host_nic, mac, "mac@address", READ_ONLY, "hardware address"), \
	FIELD_STRING_(struct host_nic, ip_address, "ip@address", CU, "address", .max = 64), \
	FIELD_STRING_(struct host_nic, ip_netmask, "ip@netmask", CU, "mask", .max = 64), \
	FIELD_STRING_(struct host_nic, ip_gateway, "ip@gateway", CU, "gateway", .max = 64), \
	FIELD_ENUM_(struct host_nic, boot_protocol, "boot_protocol", CU, boot_protocol_names, "how it gets its address"), \
	FIELD_INT_(struct host_nic, vlan, "vlan@id", READ_ONLY, "VLAN it stands for"), \
	FIELD_LONG_(struct host_nic, speed, "speed", READ_ONLY, "speed of the link", .unit = "bit/s"), \
	FIELD_ENUM_(struct host_nic, state, "status/state", READ_ONLY, nic_state_names, "has it a link"), \
	FIELD_LIST_(struct host_nic, bond_options, "bonding/options/option", CU, &option_item_type, "options of the bond"), \
	FIELD_LIST_(struct host_nic, bond_slaves, "bonding/slaves/host_nic", CU | required, &object_ref_type, "interfaces of the bond"), \
	FIELD_STRING_(struct host_nic, base_interface, "base_interface", READ_ONLY, "interface below the VLAN"), \
	FIELD_INT_(struct host_nic, mtu, "mtu", CU, "largest packet", .unit = "bytes", .min = 0, .max = 65535), \
	FIELD_BOOL_(struct host_nic, bridged, "bridged", CU, "its network is a bridge"), \
	FIELD_BOOL_(struct host_nic, custom_configuration, "custom_configuration", READ_ONLY, "differs from the logical network")

#define VFS "virtual_functions_configuration/"
static const struct field host_nic_fields[] = {
	HOST_NIC_FIELDS(READ_ONLY, REQUIRED),
	FIELD_BOOL_(struct host_nic, vfs_all_networks, VFS "all_networks_allowed", ALL_CONTENT, "its virtual functions may carry every network"),
	FIELD_INT_(struct host_nic, vfs_max, VFS "max_number_of_virtual_functions", ALL_CONTENT, "how many its device can have"),
	FIELD_INT_(struct host_nic, vfs_number, VFS "number_of_virtual_functions", ALL_CONTENT, "how many there are"),
	FIELD_STRING_(struct host_nic, vfs_device, "virtual_functions_device", INTERNAL, "its PCI device, as libvirt names it"),
	FIELD_STRING_(struct host_nic, physical_id, "physical_function@id", ALL_CONTENT, "interface whose virtual function it is"),
	FIELD_STRING_(struct host_nic, physical_href, "physical_function@href", ALL_CONTENT, "where that is shown"),
};
const struct record_type host_nic_type = RECORD_TYPE("host_nic", "host_nics", struct host_nic, host_nic_fields, "A network interface of a host");

static const struct field bond_fields[] = { HOST_NIC_FIELDS(CREATE, READ_ONLY) };
const struct record_type bond_type = RECORD_TYPE("host_nic", "host_nics", struct host_nic, bond_fields, "A bond to make, change or remove");
