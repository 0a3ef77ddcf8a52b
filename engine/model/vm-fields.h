/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_VM_FIELDS_H
#define BERTH_ENGINE_MODEL_VM_FIELDS_H
/*
 * The rows of VM_BASE_MEMBERS, in three runs so that each type's own rows find their place in the guide's order. Included by vm.c and template.c.
 * D(text) is the default: templates have them (Blank is made of nothing else), a VM takes what it does not name from its template.
 */
#include "engine/model/vm.h"
#include "engine/model/misc.h"

#define CU (CREATE | UPDATE)
#define MEMORY_MIN 1048576.0
#define MEMORY_MAX 4398046511104.0
#define VM_VCPU_MAX 512

#define VM_FIELDS_HEAD(s, names_flags, D) \
	FIELD_UUID_(s, id, "@id", READ_ONLY, "identity, given by the engine"), \
	FIELD_STRING_(s, name, "name", names_flags, "unique name", .min = 1, .max = 255, .pattern = "[-\\w.+]+"), \
	FIELD_STRING_(s, description, "description", CU | HEAD | SEARCH, "free text", .max = 4096), \
	FIELD_STRING_(s, comment, "comment", CU | HEAD | SEARCH, "free text", .max = 4096), \
	FIELD_ENUM_(s, type, "type", CU | SEARCH, vm_flavor_names, "what it is optimised for", .def = D("desktop"))

#define VM_FIELDS_HARDWARE(s, D) \
	FIELD_LONG_(s, memory, "memory", CU | SEARCH, "guest memory", .unit = "bytes", .min = MEMORY_MIN, .max = MEMORY_MAX, .def = D("1073741824")), \
	FIELD_INT_(s, sockets, "cpu/topology@sockets", CU, "virtual sockets", .min = 1, .max = VM_VCPU_MAX, .def = D("1")), \
	FIELD_INT_(s, cores, "cpu/topology@cores", CU, "cores in a socket", .min = 1, .max = VM_VCPU_MAX, .def = D("1")), \
	FIELD_INT_(s, threads, "cpu/topology@threads", CU, "threads in a core", .min = 1, .max = 8), \
	FIELD_LIST_(s, vcpu_pins, "cpu/cpu_tune/vcpu_pin", CU, &vcpu_pin_type, "host CPUs that a virtual CPU may use"), \
	FIELD_LIST_(s, vcpu_pins, "cpu/cputune/vcpupin", CU | ALIAS, &vcpu_pin_type, "other spelling of cpu_tune/vcpu_pin"), \
	FIELD_ENUM_(s, cpu_mode, "cpu/mode", CU, cpu_mode_names, "how closely the virtual CPU follows that of the host"), \
	FIELD_ENUM_(s, cpu_mode, "cpu/cpu_mode", CU | ALIAS, cpu_mode_names, "other spelling of cpu/mode"), \
	FIELD_STRING_(s, cpu_architecture, "cpu/architecture", CREATE, "instruction set", .max = 32, .def = D("X86_64")), \
	FIELD_INT_(s, cpu_shares, "cpu_shares", CU, "weight among the VMs of the host; 0: the default", .min = 0, .max = 262144, .def = D("0")), \
	FIELD_BOOL_(s, boot_menu, "bios/boot_menu/enabled", CU, "show the boot menu", .def = D("false")), \
	FIELD_STRING_(s, os_type, "os@type", CU | SEARCH, "guest operating system", .search = "os", .max = 64, .def = D("other")), \
	FIELD_LIST_(s, boot, "os/boot", CU, &boot_item_type, "boot devices in order"), \
	FIELD_STRING_(s, os_kernel, "os/kernel", CU, "path of the kernel to boot directly", .max = 4095), \
	FIELD_STRING_(s, os_initrd, "os/initrd", CU, "path of its initial RAM disk", .max = 4095), \
	FIELD_STRING_(s, os_cmdline, "os/cmdline", CU, "its command line", .max = 4095), \
	FIELD_BOOL_(s, ha_enabled, "high_availability/enabled", CU, "restart it when it or its host crashes", .def = D("false")), \
	FIELD_INT_(s, ha_priority, "high_availability/priority", CU, "order of restarts, high first", .min = 0, .max = 100, .def = D("1")), \
	FIELD_ENUM_(s, display_type, "display/type", CU, display_protocol_names, "console protocol", .def = D("vnc"))

#define VM_FIELDS_DISPLAY(s, D) \
	FIELD_INT_(s, display_monitors, "display/monitors", CU, "number of monitors", .min = 1, .max = 4, .def = D("1")), \
	FIELD_BOOL_(s, display_single_qxl_pci, "display/single_qxl_pci", CU, "all monitors on one PCI device", .def = D("false")), \
	FIELD_BOOL_(s, display_allow_override, "display/allow_override", CU, "a client may take the console over", .def = D("false")), \
	FIELD_BOOL_(s, display_allow_override, "display/allow_reconnect", CU | ALIAS, "other spelling of display/allow_override"), \
	FIELD_BOOL_(s, display_smartcard_enabled, "display/smartcard_enabled", CU, "pass the client's smart card through", .def = D("false")), \
	FIELD_BOOL_(s, display_file_transfer_enabled, "display/file_transfer_enabled", CU, "files can be dropped on the console", .def = D("true")), \
	FIELD_BOOL_(s, display_copy_paste_enabled, "display/copy_paste_enabled", CU, "shared clipboard", .def = D("true")), \
	FIELD_STRING_(s, display_keyboard_layout, "display/keyboard_layout", CU, "layout of the VNC keyboard", .max = 32)

#define VM_FIELDS_POLICY(s, D) \
	FIELD_REF_(s, storage_domain, "storage_domain", VOLATILE_ | WEAK | WITHIN, "storagedomains", "domain that keeps it, of what is below a domain"), \
	FIELD_TIME_(s, creation_time, "creation_time", SEARCH, "when it was made", .search = "creationdate"), \
	FIELD_ENUM_(s, origin, "origin", CU, vm_origin_names, "the system it came from", .def = D("ovirt")), \
	FIELD_BOOL_(s, stateless, "stateless", CU, "each run begins from the same disks", .def = D("false")), \
	FIELD_BOOL_(s, delete_protected, "delete_protected", CU, "cannot be deleted", .def = D("false")), \
	FIELD_LIST_(s, sso_methods, "sso/methods/method", CU, &sso_method_type, "single sign-on methods"), \
	FIELD_BOOL_(s, console_enabled, "console@enabled", CU, "serial console", .def = D("false")), \
	FIELD_STRING_(s, timezone, "timezone", CU, "time zone of the guest", .max = 64, .def = D("Etc/GMT")), \
	FIELD_STRING_(s, domain_name, "domain/name", CU | SEARCH, "directory domain that a Windows guest joins", .search = "domain", .max = 255), \
	FIELD_RECORD_(s, initialization, "initialization", CU, &vm_initialization_type, "applied by cloud-init or Sysprep at start"), \
	FIELD_LIST_(s, payloads, "payloads/payload", CU, &payload_type, "files offered to the guest at start"), \
	FIELD_REF_(s, placement_host, "placement_policy/host", CU, "hosts", "preferred host"), \
	FIELD_LIST_(s, placement_hosts, "placement_policy/hosts/host", CU, &object_ref_type, "preferred hosts", .target = "hosts"), \
	FIELD_ENUM_(s, affinity, "placement_policy/affinity", CU, vm_affinity_names, "who may migrate it", .def = D("migratable")), \
	FIELD_LONG_(s, memory_guaranteed, "memory_policy/guaranteed", CU, "host memory it always has", .unit = "bytes", .min = 0, .max = MEMORY_MAX), \
	FIELD_BOOL_(s, ballooning, "memory_policy/ballooning", CU, "give it a balloon device", .def = D("true")), \
	FIELD_STRING_(s, quota, "quota@id", CU, "quota that it counts against", .max = 64), \
	FIELD_LIST_(s, custom_properties, "custom_properties/custom_property", CU, &option_item_type, "variables for hook scripts"), \
	FIELD_BOOL_(s, usb_enabled, "usb/enabled", CU, "USB redirection", .def = D("false")), \
	FIELD_ENUM_(s, usb_type, "usb/type", CU, usb_policy_names, "kind of USB redirection"), \
	FIELD_BOOL_(s, soundcard_enabled, "soundcard_enabled", CU, "give it a sound card", .def = D("false")), \
	FIELD_INT_(s, migration_downtime, "migration_downtime", CU, "longest pause in live migration; -1: the default", .unit = "ms", .min = -1, \
		   .max = 2147483647, .def = D("-1")), \
	FIELD_BOOL_(s, tunnel_migration, "tunnel_migration", CU, "migrate through libvirt's connection"), \
	FIELD_BOOL_(s, virtio_scsi_enabled, "virtio_scsi@enabled", CU, "give it a VirtIO-SCSI controller", .def = D("true")), \
	FIELD_STRING_(s, rng_source, "rng_device/source", CU, "random numbers: RANDOM or HWRNG", .pattern = "(?i)(random|hwrng|urandom)"), \
	FIELD_INT_(s, rng_bytes, "rng_device/rate/bytes", CU, "most random bytes in a period", .unit = "bytes", .min = 0, .max = 2147483647), \
	FIELD_INT_(s, rng_period, "rng_device/rate/period", CU, "length of the period", .unit = "ms", .min = 0, .max = 2147483647), \
	FIELD_STRING_(s, serial_number_policy, "serial_number/policy", CU, "vm, host or custom", .pattern = "(?i)(vm|host|custom)"), \
	FIELD_STRING_(s, serial_number_value, "serial_number/value", CU, "the custom serial number", .max = 255), \
	FIELD_REF_(s, cpu_profile, "cpu_profile", CU, "cpuprofiles", "CPU profile")

#endif
