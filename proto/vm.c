/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/vm.h"

/* Parameter members are taken (CREATE) and, where a verb cannot do without them, REQUIRED. Names and shapes are those of vdsm. */
#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY

const char *const vm_wire_status_names[] = {
	"Up", "Down", "Migration Source", "Migration Destination", "Paused", "Powering down", "Powering up", "RebootInProgress", "Restoring state",
	"Saving State", "WaitForLaunch", NULL
};

static const char *const sharing_names[] = { "false", "true", "none", "exclusive", "shared", "transient", NULL };
static const char *const errors_names[] = { "false", "true", "off", "on", "report", NULL };
static const char *const accelerator_names[] = { "auto", "kvm", "tcg", NULL };
static const char *const firmware_names[] = { "bios", "uefi", "uefi-secure", NULL };
const char *const vm_on_crash_names[] = { "destroy", "restart", "preserve", "coredump-destroy", "coredump-restart", NULL };

static const struct field vm_device_fields[] = {
	FIELD_STRING_(struct vm_device, type, "type", NEED,
		      "disk, interface, graphics, video, sound, console, channel, controller, input, redir, smartcard, watchdog, rng, balloon, tpm, hostdev, "
		      "lease, memory, panic"),
	FIELD_STRING_(struct vm_device, device, "device", IN,
		      "kind within the type: disk, cdrom, floppy, lun; bridge, hostdev; vnc, spice; vga, qxl, cirrus, virtio, bochs; name of a host device"),
	FIELD_STRING_(struct vm_device, alias, "alias", IN, "alias of the device in libvirt; made by libvirt when absent"),
	FIELD_STRING_(struct vm_device, device_id, "deviceId", IN, "id the engine gave the device, kept in the metadata; becomes the alias ua-<id>"),
	FIELD_JSON_(struct vm_device, address, "address", IN, "libvirt address attributes, {\"type\":\"pci\",...}"),
	FIELD_JSON_(struct vm_device, spec_params, "specParams", IN, "type-specific parameters, a map: see berth-vm(7)"),
	FIELD_JSON_(struct vm_device, custom, "custom", IN, "custom properties of the device, handed to hook scripts"),
	FIELD_INT_(struct vm_device, boot_order, "bootOrder", IN, "place in the boot order, from 1", .min = 1, .max = 99),
	FIELD_STRING_(struct vm_device, model, "model", IN, "model, where the type has several; also as specParams/model"),
	FIELD_STRING_(struct vm_device, bus, "bus", IN, "bus of redir and input: usb, ps2, virtio"),
	FIELD_JSON_(struct vm_device, master, "master", IN, "of a companion USB controller: {startport}; also as specParams/master"),
	FIELD_INT_(struct vm_device, index, "index", IN, "number of the disk on its bus (0 is vda), or of the controller", .min = 0, .max = 1000),
	FIELD_STRING_(struct vm_device, iface, "iface", IN, "disk bus: virtio, scsi, ide, sata, fdc, usb", .def = "virtio"),
	FIELD_UUID_(struct vm_device, pool_id, "poolID", IN, "storage pool of the volume"),
	FIELD_UUID_(struct vm_device, domain_id, "domainID", IN, "storage domain of the volume"),
	FIELD_UUID_(struct vm_device, image_id, "imageID", IN, "image (disk) of the volume"),
	FIELD_UUID_(struct vm_device, volume_id, "volumeID", IN, "leaf volume"),
	FIELD_STRING_(struct vm_device, guid, "GUID", IN, "direct LUN instead of the four ids: its multipath id, /dev/mapper/<GUID>, or that of a disk of the host"),
	FIELD_STRING_(struct vm_device, uuid, "UUID", IN, "block device instead of the four ids, by the UUID of its file system, /dev/disk/by-uuid/<UUID>"),
	FIELD_STRING_(struct vm_device, path, "path", IN, "file, block device or name of a network image instead of the four ids; empty: an empty drive"),
	FIELD_STRING_(struct vm_device, format, "format", IN, "raw or cow (qcow2)", .def = "raw"),
	FIELD_STRING_(struct vm_device, serial, "serial", IN, "serial number the guest sees; the image id when absent"),
	FIELD_STRING_(struct vm_device, cache, "cache", IN, "none, writethrough, writeback, directsync, unsafe; none, or custom property viodiskcache, when absent"),
	FIELD_STRING_(struct vm_device, disk_type, "diskType", IN, "file, block or network; found out when absent"),
	FIELD_STRING_(struct vm_device, protocol, "protocol", IN, "of a network disk: rbd, iscsi, nbd, gluster, nfs"),
	FIELD_STRING_(struct vm_device, sgio, "sgio", IN, "SCSI commands of a lun: filtered or unfiltered"),
	FIELD_JSON_(struct vm_device, hosts, "hosts", IN, "of a network disk: [{name, port, transport}]"),
	FIELD_JSON_(struct vm_device, auth, "auth", IN, "of a network disk: {username, type, uuid} of a secret libvirt knows"),
	FIELD_BOOL_(struct vm_device, readonly, "readonly", IN, "the guest may only read", .def = "false"),
	FIELD_BOOL_(struct vm_device, discard, "discard", IN, "what the guest discards is given back to the storage", .def = "true"),
	FIELD_ENUM_(struct vm_device, shared, "shared", IN, sharing_names,
		    "shared (or true): several VMs may write at the same time; exclusive: under the volume's lease; transient: changes are dropped at the end; none",
		    .def = "none"),
	FIELD_ENUM_(struct vm_device, propagate_errors, "propagateErrors", IN, errors_names,
		    "off: an I/O error pauses the VM; on (or true): the guest is told, but no space pauses; report: the guest is told of all", .def = "off"),
	FIELD_STRING_(struct vm_device, nic_model, "nicModel", IN, "virtio (or pv), e1000, e1000e, rtl8139, ne2k_pci, vmxnet3", .def = "virtio"),
	FIELD_STRING_(struct vm_device, mac_addr, "macAddr", IN, "hardware address", .pattern = "([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}"),
	FIELD_STRING_(struct vm_device, network, "network", IN, "name of the host's network; empty: not connected"),
	FIELD_STRING_(struct vm_device, filter, "filter", IN, "libvirt network filter"),
	FIELD_STRING_(struct vm_device, hostdev, "hostdev", IN, "virtual function behind an interface of device hostdev, as libvirt names it: pci_0000_05_10_0"),
	FIELD_JSON_(struct vm_device, filter_parameters, "filterParameters", IN, "[{name, value}] of the filter"),
	FIELD_JSON_(struct vm_device, port_mirroring, "portMirroring", IN, "names of networks whose traffic the NIC sees, kept in the metadata"),
	FIELD_JSON_(struct vm_device, policies, "policies", IN,
		    "what may pass: {acls, macGuard, dhcpGuard, raGuard, stormLimit, isolated, vlan, bandwidth, mirrorTo}, see berth-network(7) "
		    "(a member of our own); needs macAddr"),
	FIELD_INT_(struct vm_device, mtu, "mtu", IN, "greatest packet", .unit = "bytes", .min = 68, .max = 65535),
	FIELD_BOOL_(struct vm_device, link_active, "linkActive", IN, "link is up", .def = "true"),
	FIELD_UUID_(struct vm_device, lease_id, "lease_id", IN, "lease: id"),
	FIELD_UUID_(struct vm_device, sd_id, "sd_id", IN, "lease: storage domain it is in"),
	FIELD_STRING_(struct vm_device, offset, "offset", IN, "lease: where it begins in path, bytes", .pattern = "[0-9]+"),
	FIELD_LONG_(struct vm_device, size, "size", IN, "memory: size", .unit = "MiB", .min = 1, .max = 16777216),
	FIELD_INT_(struct vm_device, node, "node", IN, "memory: NUMA node of the guest", .def = "0", .min = 0, .max = 1023),
};
const struct record_type vm_device_type = RECORD_TYPE("device", "devices", struct vm_device, vm_device_fields, "A device of VM.create's parameter form");

static const struct field vm_params_fields[] = {
	FIELD_UUID_(struct vm_params, vm_id, "vmId", IN, "id of the VM; must equal vmID when given"),
	FIELD_STRING_(struct vm_params, xml, "xml", IN,
		      "libvirt domain XML with vdsm metadata (http://ovirt.org/vm/1.0); all other members are ignored then, save launchPaused, accelerator, "
		      "generationId, displayPassword, memoryDumpVolume, _X_tpmdata, _X_nvramdata"),
	FIELD_STRING_(struct vm_params, vm_name, "vmName", IN, "name; with vmID when absent", .min = 1, .max = 255),
	FIELD_STRING_(struct vm_params, cpu_type, "cpuType", IN,
		      "CPU model with features (Nehalem,+aes,-vmx), hostPassthrough or hostModel; libvirt's default for the accelerator when absent"),
	FIELD_STRING_(struct vm_params, emulated_machine, "emulatedMachine", IN, "QEMU machine", .def = "q35"),
	FIELD_STRING_(struct vm_params, kernel, "kernel", IN, "path of a kernel to boot directly"),
	FIELD_STRING_(struct vm_params, initrd, "initrd", IN, "path of the initrd for kernel"),
	FIELD_STRING_(struct vm_params, kernel_args, "kernelArgs", IN, "command line for kernel"),
	FIELD_STRING_(struct vm_params, boot, "boot", IN, "boot order letters: a floppy, c hard disk, d CD-ROM, n network", .pattern = "[acdn]*"),
	FIELD_STRING_(struct vm_params, display, "display", IN, "vnc, qxl (SPICE) or none, when no graphics device is listed", .def = "vnc"),
	FIELD_STRING_(struct vm_params, keyboard_layout, "keyboardLayout", IN, "VNC keymap"),
	FIELD_STRING_(struct vm_params, kvm_enable, "kvmEnable", IN, "true: want hardware acceleration; the agent uses it only where it works", .def = "true"),
	FIELD_STRING_(struct vm_params, time_zone, "timeZone", IN, "guest's clock: zone name; UTC when absent"),
	FIELD_STRING_(struct vm_params, console, "console", IN, "path of a file that gets the serial console's output"),
	FIELD_STRING_(struct vm_params, ticket, "displayPassword", IN | SECRET, "first display password; drawn at random and already expired when absent"),
	FIELD_STRING_(struct vm_params, serial, "serial", IN, "serial number of the machine the guest reads (SMBIOS); the host's id when absent", .max = 255),
	FIELD_UUID_(struct vm_params, generation_id, "generationId", IN,
		    "what the guest's VM generation device says: give another one whenever its time goes back or it is copied; the VM's id when absent"),
	FIELD_STRING_(struct vm_params, display_network, "displayNetwork", IN, "network whose address consoles listen on; [vm] display_address when absent"),
	FIELD_STRING_(struct vm_params, spice_secure_channels, "spiceSecureChannels", IN, "ignored: consoles are not encrypted"),
	FIELD_STRING_(struct vm_params, tpm_data, "_X_tpmdata", IN | SECRET, "TPM state, as VM.getExternalData gave it"),
	FIELD_STRING_(struct vm_params, nvram_data, "_X_nvramdata", IN | SECRET, "UEFI variables, as VM.getExternalData gave them"),
	FIELD_LONG_(struct vm_params, mem_size, "memSize", IN, "memory", .unit = "MiB", .min = 1, .max = 16777216),
	FIELD_LONG_(struct vm_params, mem_guaranteed, "memGuaranteedSize", IN, "memory the balloon always leaves the VM", .unit = "MiB", .min = 0, .max = 16777216),
	FIELD_LONG_(struct vm_params, max_mem_size, "maxMemSize", IN, "ceiling for memory hot plug; no hot plug when absent", .unit = "MiB"),
	FIELD_INT_(struct vm_params, smp, "smp", IN, "virtual CPUs", .def = "1", .min = 1, .max = 512),
	FIELD_INT_(struct vm_params, smp_cores_per_socket, "smpCoresPerSocket", IN, "cores per socket", .def = "1", .min = 1, .max = 512),
	FIELD_INT_(struct vm_params, smp_threads_per_core, "smpThreadsPerCore", IN, "threads per core", .def = "1", .min = 1, .max = 16),
	FIELD_INT_(struct vm_params, max_vcpus, "maxVCpus", IN, "ceiling for CPU hot plug; smp when absent", .min = 1, .max = 512),
	FIELD_INT_(struct vm_params, max_mem_slots, "maxMemSlots", IN, "how often memory can be plugged", .def = "16", .min = 1, .max = 256),
	FIELD_INT_(struct vm_params, io_threads, "numOfIoThreads", IN, "I/O threads, numbered from 1, for disks that name one", .min = 0, .max = 64),
	FIELD_INT_(struct vm_params, cpu_shares, "cpuShares", IN, "weight against other VMs; 0: the default", .min = 0, .max = 262144),
	FIELD_INT_(struct vm_params, vcpu_limit, "vcpuLimit", IN,
		   "part of the host's processors it may use, as VM.updateVmPolicy has it (a member of our own); all when absent", .unit = "%", .min = 1, .max = 100),
	FIELD_INT_(struct vm_params, nice, "nice", IN, "ignored: see cpuShares"),
	FIELD_INT_(struct vm_params, spice_monitors, "spiceMonitors", IN, "monitors", .def = "1", .min = 1, .max = 4),
	FIELD_INT_(struct vm_params, time_offset, "timeOffset", IN, "offset of the guest's clock", .unit = "s"),
	FIELD_INT_(struct vm_params, ticket_ttl, "displayPasswordTtl", IN, "validity of displayPassword", .unit = "s", .def = "120"),
	FIELD_ENUM_(struct vm_params, accelerator, "accelerator", IN, accelerator_names,
		    "kvm: hardware or no start at all; tcg: software; auto: kvm where it works, else tcg and the event |virt|VM_accelerator|<id>", .def = "auto"),
	FIELD_ENUM_(struct vm_params, firmware, "firmware", IN, firmware_names, "bios, uefi, or uefi-secure: UEFI with Secure Boot, Microsoft's keys enrolled",
		    .def = "bios"),
	FIELD_ENUM_(struct vm_params, on_crash, "onCrash", IN, vm_on_crash_names, "what happens when the guest's kernel says that it crashed; coredump: with a dump",
		    .def = "destroy"),
	FIELD_BOOL_(struct vm_params, acpi_enable, "acpiEnable", IN, "ACPI", .def = "true"),
	FIELD_BOOL_(struct vm_params, boot_menu, "bootMenuEnable", IN, "show the boot menu", .def = "false"),
	FIELD_BOOL_(struct vm_params, launch_paused, "launchPaused", IN, "leave the VM paused after its start; with xml, what its metadata say when absent"),
	FIELD_BOOL_(struct vm_params, balloon_enabled, "balloonEnabled", IN, "memory balloon", .def = "true"),
	FIELD_BOOL_(struct vm_params, agent_channel, "agentChannel", IN, "channel for the QEMU guest agent", .def = "true"),
	FIELD_BOOL_(struct vm_params, hyperv, "hypervEnable", IN, "features that Windows expects of a hypervisor; with kvm only", .def = "false"),
	FIELD_BOOL_(struct vm_params, tablet, "tabletEnable", IN, "absolute pointer", .def = "true"),
	FIELD_BOOL_(struct vm_params, smartcard, "smartcardEnable", IN, "the SPICE client's smart card", .def = "false"),
	FIELD_BOOL_(struct vm_params, copy_paste, "copyPasteEnable", IN, "SPICE: clipboard shared with the client", .def = "true"),
	FIELD_BOOL_(struct vm_params, file_transfer, "fileTransferEnable", IN, "SPICE: files can be dropped from the client", .def = "true"),
	FIELD_JSON_(struct vm_params, custom, "custom", IN, "custom properties, map of texts, handed to hook scripts; hugepages (KiB), viodiskcache, vhost, sndbuf"),
	FIELD_STRING_(struct vm_params, resume_behavior, "resumeBehavior", IN,
		      "when an error of its storage has paused it: auto_resume, it goes on when that is over; leave_paused; kill: as auto_resume, but powered off "
		      "after vm.kill_paused_time. auto_resume when absent", .pattern = "auto_resume|leave_paused|kill"),
	FIELD_JSON_(struct vm_params, memory_dump, "memoryDumpVolume", IN,
		    "{poolID, domainID, imageID, volumeID} of the memory that VM.hibernate or a snapshot saved: the VM goes on from there, on the disks given here"),
	FIELD_JSON_(struct vm_params, memory_dump, "hiberVolHandle", IN | ALIAS,
		    "the same and memoryConfVolume as older engines have it: \"domain,pool,image,volume,image,volume\""),
	FIELD_JSON_(struct vm_params, memory_conf, "memoryConfVolume", IN, "{poolID, domainID, imageID, volumeID} of the description saved with the memory"),
	FIELD_JSON_(struct vm_params, cpu_pinning, "cpuPinning", IN, "map vCPU -> host CPUs: {\"0\": \"0-3,^2\"}"),
	FIELD_JSON_(struct vm_params, numa_tune, "numaTune", IN,
		    "{mode: strict, interleave or preferred; nodeset: host nodes; memnodes: [{vmNodeIndex, nodeset}]}"),
	FIELD_JSON_(struct vm_params, numa_nodes, "guestNumaNodes", IN, "[{nodeIndex, cpus: \"0,1\", memory: MiB}]: the guest's NUMA cells"),
	FIELD_BOOL_(struct vm_params, from_snapshot, "restoreFromSnapshot", IN, "memoryDumpVolume is of a snapshot; told to hook scripts", .def = "false"),
	FIELD_LIST_(struct vm_params, devices, "devices", IN, &vm_device_type, "devices"),
};
const struct record_type vm_params_type = RECORD_TYPE("vmParams", NULL, struct vm_params, vm_params_fields, "Definition of a VM to start");

static const struct field vm_create_fields[] = {
	FIELD_UUID_(struct vm_create_params, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_RECORD_(struct vm_create_params, params, "vmParams", NEED, &vm_params_type, "its definition"),
};
const struct record_type vm_create_params_type = RECORD_TYPE("VM.create", NULL, struct vm_create_params, vm_create_fields, "Parameters of VM.create");

static const char *const external_names[] = { "tpm", "nvram", NULL };

static const struct field vm_external_fields[] = {
	FIELD_UUID_(struct vm_external_params, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_ENUM_(struct vm_external_params, kind, "kind", NEED, external_names, "tpm: state of the TPM; nvram: UEFI variables"),
	FIELD_STRING_(struct vm_external_params, last_hash, "lastHash", IN, "hash of what the caller has: when it is still the same, the data are left out"),
	FIELD_BOOL_(struct vm_external_params, force, "forceUpdate", IN, "false: fail when they change all the time", .def = "true"),
};
const struct record_type vm_external_params_type =
	RECORD_TYPE("VM.getExternalData", NULL, struct vm_external_params, vm_external_fields, "Parameters of VM.getExternalData");

static const struct field vm_id_fields[] = { FIELD_UUID_(struct vm_id_params, vm_id, "vmID", NEED, "id of the VM") };
const struct record_type vm_id_params_type = RECORD_TYPE("vmID", NULL, struct vm_id_params, vm_id_fields, "A VM");

#define STATS_FIELDS_DOC "names of the members that are wanted, as in the result (status, disks, ...); vmId comes always; none: all members"
static const struct field vm_stats_params_fields[] = {
	FIELD_UUID_(struct vm_stats_params, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_STRINGS_(struct vm_stats_params, fields, "fields", IN, STATS_FIELDS_DOC),
};
const struct record_type vm_stats_params_type = RECORD_TYPE("VM.getStats", NULL, struct vm_stats_params, vm_stats_params_fields, "Parameters of VM.getStats");
static const struct field all_vm_stats_params_fields[] = { FIELD_STRINGS_(struct all_vm_stats_params, fields, "fields", IN, STATS_FIELDS_DOC) };
const struct record_type all_vm_stats_params_type = RECORD_TYPE("Host.getAllVmStats", NULL, struct all_vm_stats_params, all_vm_stats_params_fields,
								"Parameters of Host.getAllVmStats");

static const struct field vm_destroy_fields[] = {
	FIELD_UUID_(struct vm_destroy_params, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_INT_(struct vm_destroy_params, graceful_attempts, "gracefulAttempts", IN, "times SIGTERM is tried before SIGKILL; the last time for 10 s, those before for 15 s each", .def = "1", .min = 0, .max = 100),
};
const struct record_type vm_destroy_params_type = RECORD_TYPE("VM.destroy", NULL, struct vm_destroy_params, vm_destroy_fields, "Parameters of VM.destroy");

static const struct field vm_shutdown_fields[] = {
	FIELD_UUID_(struct vm_shutdown_params, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_INT_(struct vm_shutdown_params, delay, "delay", IN, "wait before asking the guest", .unit = "s", .def = "0", .min = 0, .max = 86400),
	FIELD_STRING_(struct vm_shutdown_params, message, "message", IN, "text for who is logged in, shown before the delay where the guest agent may do so",
		      .max = 4096),
	FIELD_BOOL_(struct vm_shutdown_params, reboot, "reboot", IN, "reboot instead of power off", .def = "false"),
	FIELD_INT_(struct vm_shutdown_params, timeout, "timeout", IN, "how long each way of asking (guest agent, ACPI) has to work before the next", .unit = "s",
		   .def = "60", .min = 0, .max = 86400),
	FIELD_BOOL_(struct vm_shutdown_params, force, "force", IN, "at the end power off, or reset, if asking did not work", .def = "false"),
};
const struct record_type vm_shutdown_params_type = RECORD_TYPE("VM.shutdown", NULL, struct vm_shutdown_params, vm_shutdown_fields, "Parameters of VM.shutdown");

static const struct field vm_reboot_fields[] = {
	FIELD_UUID_(struct vm_reboot_params, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_INT_(struct vm_reboot_params, delay, "delay", IN, "wait before asking the guest", .unit = "s", .def = "0", .min = 0, .max = 86400),
};
const struct record_type vm_reboot_params_type = RECORD_TYPE("VM.reboot", NULL, struct vm_reboot_params, vm_reboot_fields, "Parameters of VM.reboot");

static const struct field vm_hibernate_fields[] = {
	FIELD_UUID_(struct vm_hibernate_params, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_JSON_(struct vm_hibernate_params, handle, "hibernationVolHandle", NEED,
		    "volumes for the memory and its description: \"domain,pool,image,volume[,image,volume]\", or {poolID, domainID, imageID, volumeID} for the "
		    "memory alone"),
};
const struct record_type vm_hibernate_params_type =
	RECORD_TYPE("VM.hibernate", NULL, struct vm_hibernate_params, vm_hibernate_fields, "Parameters of VM.hibernate");

static const struct field vm_ticket_fields[] = {
	FIELD_UUID_(struct vm_ticket_params, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_STRING_(struct vm_ticket_params, password, "password", NEED | SECRET, "display password", .max = 512),
	FIELD_INT_(struct vm_ticket_params, ttl, "ttl", NEED, "validity from now; 0: at once invalid", .unit = "s", .min = 0, .max = 2147483647),
	FIELD_STRING_(struct vm_ticket_params, existing_conn_action, "existingConnAction", IN, "keep, disconnect or fail", .def = "disconnect",
		      .pattern = "keep|disconnect|fail"),
	FIELD_JSON_(struct vm_ticket_params, params, "params", IN, "map handed to the set_ticket hooks"),
};
const struct record_type vm_ticket_params_type = RECORD_TYPE("VM.setTicket", NULL, struct vm_ticket_params, vm_ticket_fields, "Parameters of VM.setTicket");

static const struct field vm_qmp_fields[] = {
	FIELD_UUID_(struct vm_qmp_params, vm_id, "vmID", NEED, "id of the VM"),
	FIELD_STRING_(struct vm_qmp_params, command, "command", NEED, "QMP command: one of a list of queries", .max = 100),
	FIELD_JSON_(struct vm_qmp_params, arguments, "arguments", IN, "its arguments, a map"),
};
const struct record_type vm_qmp_params_type = RECORD_TYPE("VM.qmp", NULL, struct vm_qmp_params, vm_qmp_fields, "Parameters of VM.qmp");

static const struct field vm_seal_image_fields[] = {
	FIELD_UUID_(struct vm_seal_image, domain_id, "sd_id", NEED, "storage domain"),
	FIELD_UUID_(struct vm_seal_image, image_id, "img_id", NEED, "image"),
	FIELD_UUID_(struct vm_seal_image, volume_id, "vol_id", NEED, "leaf volume"),
};
const struct record_type vm_seal_image_type = RECORD_TYPE("image", NULL, struct vm_seal_image, vm_seal_image_fields, "A disk to seal");

static const struct field vm_seal_fields[] = {
	FIELD_UUID_(struct vm_seal_params, vm_id, "vmID", NEED, "id of the VM or template the disks belong to"),
	FIELD_UUID_(struct vm_seal_params, job_id, "job_id", NEED, "id of the job"),
	FIELD_UUID_(struct vm_seal_params, pool_id, "sp_id", NEED, "storage pool"),
	FIELD_LIST_(struct vm_seal_params, images, "images", NEED, &vm_seal_image_type, "all disks, the system's among them"),
};
const struct record_type vm_seal_params_type = RECORD_TYPE("VM.seal", NULL, struct vm_seal_params, vm_seal_fields, "Parameters of VM.seal");

static const struct field vm_list_fields[] = {
	FIELD_BOOL_(struct vm_list_params, full_status, "fullStatus", IN, "kept for old callers; the answer has the same shape", .def = "false"),
	FIELD_STRINGS_(struct vm_list_params, vm_list, "vmList", IN, "ids of the VMs wanted; all when absent or empty"),
	FIELD_BOOL_(struct vm_list_params, only_uuid, "onlyUUID", IN, "answer an array of ids instead", .def = "false"),
};
const struct record_type vm_list_params_type = RECORD_TYPE("vmList", NULL, struct vm_list_params, vm_list_fields, "Which VMs");

static const struct field vm_short_fields[] = {
	FIELD_UUID_(struct vm_short, vm_id, "vmId", OUT, "id"),
	FIELD_ENUM_(struct vm_short, status, "status", OUT, vm_wire_status_names, "state"),
	FIELD_LONG_(struct vm_short, status_time, "statusTime", TEXT, "when observed: 2^31-1 + monotonic ms, the clock of notify_time", .unit = "ms"),
	FIELD_STRING_(struct vm_short, xml, "xml", OUT, "domain XML (VM.create only)"),
};
const struct record_type vm_short_type = RECORD_TYPE("vm", NULL, struct vm_short, vm_short_fields, "Short entry of a VM");

static const struct field vm_display_fields[] = {
	FIELD_STRING_(struct vm_display, type, "type", OUT, "vnc or spice"),
	FIELD_STRING_(struct vm_display, port, "port", OUT, "TCP port, \"-1\" if none"),
	FIELD_STRING_(struct vm_display, tls_port, "tlsPort", OUT, "TLS port, \"-1\" if none"),
	FIELD_STRING_(struct vm_display, ip_address, "ipAddress", OUT, "address it listens on"),
};
const struct record_type vm_display_type = RECORD_TYPE("display", NULL, struct vm_display, vm_display_fields, "A graphical console");

static const struct field vm_guest_nic_fields[] = {
	FIELD_STRING_(struct vm_guest_nic, name, "name", OUT, "name in the guest"),
	FIELD_STRING_(struct vm_guest_nic, hw, "hw", OUT, "hardware address"),
	FIELD_STRINGS_(struct vm_guest_nic, inet, "inet", OUT, "IPv4 addresses"),
	FIELD_STRINGS_(struct vm_guest_nic, inet6, "inet6", OUT, "IPv6 addresses"),
};
const struct record_type vm_guest_nic_type =
	RECORD_TYPE("netIface", NULL, struct vm_guest_nic, vm_guest_nic_fields, "A network interface as the guest sees it");

static const struct field vm_guest_fs_fields[] = {
	FIELD_STRING_(struct vm_guest_fs, path, "path", OUT, "mount point"),
	FIELD_STRING_(struct vm_guest_fs, fs, "fs", OUT, "file system type"),
	FIELD_LONG_(struct vm_guest_fs, total, "total", TEXT, "size", .unit = "bytes"),
	FIELD_LONG_(struct vm_guest_fs, used, "used", TEXT, "used", .unit = "bytes"),
};
const struct record_type vm_guest_fs_type = RECORD_TYPE("diskUsage", NULL, struct vm_guest_fs, vm_guest_fs_fields, "A file system in the guest");

static const struct field vm_stats_fields[] = {
	FIELD_UUID_(struct vm_stats, vm_id, "vmId", OUT, "id"),
	FIELD_ENUM_(struct vm_stats, status, "status", OUT, vm_wire_status_names, "state"),
	FIELD_LONG_(struct vm_stats, status_time, "statusTime", TEXT, "when observed: 2^31-1 + monotonic ms", .unit = "ms"),
	FIELD_INT_(struct vm_stats, exit_code, "exitCode", OUT, "Down: 0 normal, 1 error"),
	FIELD_INT_(struct vm_stats, exit_reason, "exitReason", OUT, "Down: why: 0 success .. 14, see enum vm_exit_reason"),
	FIELD_STRING_(struct vm_stats, exit_message, "exitMessage", OUT, "Down: why, for people"),
	FIELD_STRING_(struct vm_stats, vm_name, "vmName", OUT, "name"),
	FIELD_STRING_(struct vm_stats, vm_type, "vmType", OUT, "kvm"),
	FIELD_STRING_(struct vm_stats, kvm_enable, "kvmEnable", OUT, "true when the VM runs with hardware acceleration"),
	FIELD_STRING_(struct vm_stats, acpi_enable, "acpiEnable", OUT, "ACPI"),
	FIELD_LONG_(struct vm_stats, elapsed_time, "elapsedTime", TEXT, "since the start", .unit = "s"),
	FIELD_INT_(struct vm_stats, monitor_response, "monitorResponse", TEXT, "0 fine, -1 when its QEMU has not answered for 60 s, or for two sampling periods if these are longer"),
	FIELD_STRING_(struct vm_stats, client_ip, "clientIp", OUT, "console client"),
	FIELD_INT_(struct vm_stats, time_offset, "timeOffset", TEXT, "guest's clock offset", .unit = "s"),
	FIELD_STRING_(struct vm_stats, pause_code, "pauseCode", OUT, "NOERR, EIO, ENOSPC, EOTHER, EPERM, POSTCOPY"),
	FIELD_INT_(struct vm_stats, migration_progress, "migrationProgress", OUT, "while it leaves: share of its memory that need not be sent any more", .unit = "%"),
	FIELD_DECIMAL_(struct vm_stats, cpu_user, "cpuUser", TEXT, "guest time of one CPU", .unit = "%"),
	FIELD_DECIMAL_(struct vm_stats, cpu_sys, "cpuSys", TEXT, "QEMU's own time of one CPU", .unit = "%"),
	FIELD_LONG_(struct vm_stats, cpu_usage, "cpuUsage", TEXT, "cumulative user + system time of QEMU", .unit = "ns"),
	FIELD_BOOL_(struct vm_stats, cpu_actual, "cpuActual", OUT, "true when the three above are measured"),
	FIELD_INT_(struct vm_stats, vcpu_count, "vcpuCount", TEXT, "current vCPUs"),
	FIELD_JSON_(struct vm_stats, network, "network", OUT, "map target -> counters of each NIC"),
	FIELD_JSON_(struct vm_stats, disks, "disks", OUT, "map target -> counters of each disk"),
	FIELD_JSON_(struct vm_stats, balloon_info, "balloonInfo", OUT, "balloon_max, _min, _cur, _target in KiB as text, ballooning_enabled"),
	FIELD_JSON_(struct vm_stats, memory_stats, "memoryStats", OUT, "guest memory in KiB as the balloon driver reports it"),
	FIELD_JSON_(struct vm_stats, vm_jobs, "vmJobs", OUT, "running block jobs; {} known: none"),
	FIELD_INT_(struct vm_stats, mem_usage, "memUsage", TEXT, "memory used in the guest", .unit = "%"),
	FIELD_INT_(struct vm_stats, vcpu_user_limit, "vcpuUserLimit", OUT, "policy: part of the host's processors it may use", .unit = "%"),
	FIELD_LONG_(struct vm_stats, vcpu_quota, "vcpuQuota", TEXT, "time each vCPU may run in a period; -1: all of it; absent when never set", .unit = "us"),
	FIELD_INT_(struct vm_stats, vcpu_period, "vcpuPeriod", OUT, "that period; absent when never set", .unit = "us"),
	FIELD_JSON_(struct vm_stats, io_tune, "ioTune", OUT, "[{name, path, ioTune {limit: text}}] of the disks that have limits; absent when none has"),
	FIELD_JSON_(struct vm_stats, watchdog_event, "watchdogEvent", OUT, "when the watchdog fired last (epoch, s) and what was done: {time, action}"),
	FIELD_LIST_(struct vm_stats, display_info, "displayInfo", OUT, &vm_display_type, "graphical consoles"),
	FIELD_STRING_(struct vm_stats, hash, "hash", OUT, "changes when the devices or the guest's disk mapping change; stable over agent restarts"),
	FIELD_STRING_(struct vm_stats, tpm_hash, "tpmHash", OUT, "SHA-256 of the TPM's state; changes when VM.getExternalData has something new"),
	FIELD_STRING_(struct vm_stats, nvram_hash, "nvramHash", OUT, "of the UEFI variables, in the same way"),
	FIELD_STRING_(struct vm_stats, username, "username", OUT, "logged-in users; Unknown without agent, None if nobody"),
	FIELD_STRING_(struct vm_stats, session, "session", OUT, "UserLoggedOn, LoggedOff, Unknown"),
	FIELD_STRING_(struct vm_stats, guest_ips, "guestIPs", OUT, "addresses, blank-separated"),
	FIELD_STRING_(struct vm_stats, guest_fqdn, "guestFQDN", OUT, "host name of the guest"),
	FIELD_STRING_(struct vm_stats, guest_name, "guestName", OUT, "host name of the guest, first label"),
	FIELD_STRING_(struct vm_stats, guest_os, "guestOs", OUT, "kernel release"),
	FIELD_INT_(struct vm_stats, guest_cpu_count, "guestCPUCount", OUT, "-1 unknown"),
	FIELD_DECIMAL_(struct vm_stats, last_login, "lastLogin", OUT, "when somebody logged in last, epoch", .unit = "s"),
	FIELD_JSON_(struct vm_stats, pci_devices, "pci_devices", OUT, "[{device_id, vendor_id, driver_name, driver_version, driver_date}] of a Windows"),
	FIELD_STRINGS_(struct vm_stats, apps_list, "appsList", OUT, "program versions in the guest"),
	FIELD_JSON_(struct vm_stats, guest_os_info, "guestOsInfo", OUT, "type, arch, kernel, distribution, version, codename"),
	FIELD_JSON_(struct vm_stats, guest_timezone, "guestTimezone", OUT, "offset (min), zone"),
	FIELD_LIST_(struct vm_stats, net_ifaces, "netIfaces", OUT, &vm_guest_nic_type, "interfaces in the guest"),
	FIELD_LIST_(struct vm_stats, disks_usage, "disksUsage", OUT, &vm_guest_fs_type, "file systems in the guest"),
	FIELD_JSON_(struct vm_stats, ioerror, "ioerror", OUT, "alias, name, path of the disk that paused the VM"),
};
const struct record_type vm_stats_type = RECORD_TYPE("vmStats", NULL, struct vm_stats, vm_stats_fields, "Statistics of one VM");

static const struct field vm_figures_params_fields[] = {
	FIELD_STRINGS_(struct vm_figures_params, vm_list, "vmList", IN, "ids of the VMs that are wanted; one that is not there is left out; none: all"),
	FIELD_BOOL_(struct vm_figures_params, facts, "facts", IN, "tell the members that seldom change as well", .def = "false"),
};
const struct record_type vm_figures_params_type = RECORD_TYPE("Host.getAllVmFigures", NULL, struct vm_figures_params, vm_figures_params_fields,
							      "Parameters of Host.getAllVmFigures");

static const struct field vm_figures_row_fields[] = {
	FIELD_UUID_(struct vm_figures_row, vm_id, "vmId", OUT, "id"),
	FIELD_ENUM_(struct vm_figures_row, status, "status", OUT, vm_wire_status_names, "state"),
	FIELD_LONG_(struct vm_figures_row, status_time, "statusTime", OUT, "when observed: 2^31-1 + monotonic ms", .unit = "ms"),
	FIELD_INT_(struct vm_figures_row, exit_code, "exitCode", OUT, "Down: 0 normal, 1 error"),
	FIELD_INT_(struct vm_figures_row, exit_reason, "exitReason", OUT, "Down: why: 0 success .. 14, as in VM.getStats"),
	FIELD_STRING_(struct vm_figures_row, exit_message, "exitMessage", OUT, "Down: why, for people"),
	FIELD_STRING_(struct vm_figures_row, pause_code, "pauseCode", OUT, "EIO, ENOSPC, EOTHER, EPERM, POSTCOPY; absent: nothing is wrong"),
	FIELD_LONG_(struct vm_figures_row, elapsed_time, "elapsedTime", OUT, "since the start", .unit = "s"),
	FIELD_STRING_(struct vm_figures_row, facts, "facts", OUT, "digest of the facts: the same as long as they are"),
	FIELD_DECIMAL_(struct vm_figures_row, cpu_user, "cpuUser", OUT, "guest time of one CPU", .unit = "%"),
	FIELD_DECIMAL_(struct vm_figures_row, cpu_sys, "cpuSys", OUT, "QEMU's own time of one CPU", .unit = "%"),
	FIELD_INT_(struct vm_figures_row, mem_usage, "memUsage", OUT, "memory used in the guest", .unit = "%"),
	FIELD_INT_(struct vm_figures_row, balloon_ignored, "balloonIgnored", OUT, "so often in a row it was asked to shrink, and did not at all; absent below 3"),
	FIELD_LONG_(struct vm_figures_row, sampled_usec, "sampled", OUT, "monotonic time of the NICs' counters", .unit = "us"),
	FIELD_JSON_(struct vm_figures_row, disks, "disks", OUT,
		    "of each disk [taken (bytes), read, written (bytes/s), read, write, flush latency (ns)], as truesize .. flushLatency in VM.getStats"),
	FIELD_JSON_(struct vm_figures_row, nics, "nics", OUT, "of each NIC [rx, tx (bytes), rxErrors, txErrors], since the start"),
	FIELD_LIST_(struct vm_figures_row, display_info, "displayInfo", OUT, &vm_display_type, "fact: graphical consoles"),
	FIELD_STRING_(struct vm_figures_row, guest_ips, "guestIPs", OUT, "fact: addresses, blank-separated"),
	FIELD_STRING_(struct vm_figures_row, guest_fqdn, "guestFQDN", OUT, "fact: host name of the guest"),
	FIELD_JSON_(struct vm_figures_row, guest_os_info, "guestOsInfo", OUT, "fact: type, arch, kernel, distribution, version, codename"),
	FIELD_STRINGS_(struct vm_figures_row, disk_ids, "diskIDs", OUT, "fact: the disks' images, in the order of disks; empty: a disc or a LUN"),
	FIELD_STRINGS_(struct vm_figures_row, nic_macs, "nicMACs", OUT, "fact: the NICs' addresses, in the order of nics"),
};
const struct record_type vm_figures_row_type = RECORD_TYPE("vmFigures", NULL, struct vm_figures_row, vm_figures_row_fields, "Figures of one VM");
