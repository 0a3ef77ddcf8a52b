/* SPDX-License-Identifier: Apache-2.0 */
/* Changing running VMs: records and verbs. Names, shapes and codes are vdsm's (lib/vdsm/api/vdsm-api.yml); what is ours says so. */
#include "proto/device.h"
#include "proto/verb.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define OUT READ_ONLY

/* A record whose first member is the VM. */
#define VM_ID(structure) FIELD_UUID_(structure, vm_id, "vmID", NEED, "id of the VM")

/* ---- plugging ---- */

static const struct field plug_fields[] = {
	FIELD_UUID_(struct plug, vm_id, "vmId", IN, "id of the VM; must equal vmID when given"),
	FIELD_STRING_(struct plug, xml, "xml", IN,
		      "<hotplug> or <domain> that holds only <devices> with the one device and its <metadata> (http://ovirt.org/vm/1.0); to unplug, "
		      "the alias or whatever else tells which device is enough"),
	FIELD_RECORD_(struct plug, nic, "nic", IN, &vm_device_type, "old form of a NIC; to unplug, macAddr is enough"),
	FIELD_RECORD_(struct plug, drive, "drive", IN, &vm_device_type, "old form of a disk; to unplug, the four ids or path"),
	FIELD_RECORD_(struct plug, memory, "memory", IN, &vm_device_type, "old form of a memory module: size, node; to unplug, alias or deviceId"),
	FIELD_LONG_(struct plug, mem_guaranteed, "memGuaranteedSize", IN, "memory only: memory the VM is sure to have from now on", .unit = "MiB", .min = 0,
		    .max = -1),
};
const struct record_type plug_type = RECORD_TYPE("params", NULL, struct plug, plug_fields, "A device to plug or unplug");

static const struct field plug_params_fields[] = {
	VM_ID(struct plug_params),
	FIELD_RECORD_(struct plug_params, params, "params", NEED, &plug_type, "the device"),
};
const struct record_type plug_params_type = RECORD_TYPE("plug", NULL, struct plug_params, plug_params_fields, "A VM and one device");

static const struct field lease_params_fields[] = {
	VM_ID(struct lease_params),
	FIELD_RECORD_(struct lease_params, lease, "lease", NEED, &vm_device_type, "the lease: lease_id, sd_id, path, offset"),
};
const struct record_type lease_params_type = RECORD_TYPE("leaseParams", NULL, struct lease_params, lease_params_fields, "A VM and a lease");

static const struct field hostdev_params_fields[] = {
	VM_ID(struct hostdev_params),
	FIELD_STRINGS_(struct hostdev_params, devices, "devices", NEED, "names as Host.hostdevListByCaps has them: pci_0000_00_02_0, usb_1_2"),
};
const struct record_type hostdev_params_type = RECORD_TYPE("hostdevs", NULL, struct hostdev_params, hostdev_params_fields, "A VM and devices of the host");

/* ---- changing ---- */

static const struct field vcpus_fields[] = {
	VM_ID(struct vcpus_params),
	FIELD_INT_(struct vcpus_params, number, "numberOfCpus", NEED, "virtual CPUs from now on", .min = 1, .max = 512),
	FIELD_STRINGS_(struct vcpus_params, cpusets, "cpusets", IN, "physical CPUs of each virtual one, \"0-3,^2\"; one text for each"),
};
const struct record_type vcpus_params_type = RECORD_TYPE("setNumberOfCpus", NULL, struct vcpus_params, vcpus_fields, "How many CPUs");

static const struct field media_fields[] = {
	VM_ID(struct media_params),
	FIELD_JSON_(struct media_params, drive, "driveSpec", NEED,
		    "{iface, index, drive_spec or path}: which drive (the only one when iface and index are absent) and what goes in: "
		    "{poolID, domainID, imageID, volumeID} or a path; empty ejects. A text is the path"),
};
const struct record_type media_params_type = RECORD_TYPE("media", NULL, struct media_params, media_fields, "A removable medium");

#define DRIVE_TEXT "{poolID, domainID, imageID, volumeID}, or path, or name (\"vda\")"
static const struct field drive_fields[] = {
	VM_ID(struct drive_params),
	FIELD_JSON_(struct drive_params, drive, "drive", NEED, DRIVE_TEXT),
};
const struct record_type drive_params_type = RECORD_TYPE("drive", NULL, struct drive_params, drive_fields, "A disk of a VM");

static const struct field disk_fields[] = {
	VM_ID(struct drive_params),
	FIELD_JSON_(struct drive_params, drive, "disk", NEED, DRIVE_TEXT),
};
const struct record_type disk_params_type = RECORD_TYPE("disk", NULL, struct drive_params, disk_fields, "A disk of a VM");

static const struct field resize_fields[] = {
	VM_ID(struct resize_params),
	FIELD_JSON_(struct resize_params, drive, "driveSpecs", NEED, DRIVE_TEXT),
	FIELD_LONG_(struct resize_params, size, "newSize", NEED, "size from now on, not less than it is", .unit = "bytes"),
};
const struct record_type resize_params_type = RECORD_TYPE("diskSizeExtend", NULL, struct resize_params, resize_fields, "A disk's new size");

static const struct field device_update_fields[] = {
	FIELD_STRING_(struct device_update, device_type, "deviceType", NEED, "interface or graphics"),
	FIELD_STRING_(struct device_update, alias, "alias", IN, "which interface: its alias in libvirt"),
	FIELD_STRING_(struct device_update, xml, "xml", IN, "interface: as for plugging; replaces alias and what follows"),
	FIELD_STRING_(struct device_update, network, "network", IN, "network of the host; empty: not connected"),
	FIELD_BOOL_(struct device_update, link_active, "linkActive", IN, "link is up"),
	FIELD_STRINGS_(struct device_update, port_mirroring, "portMirroring", IN, "networks whose traffic the interface gets a copy of"),
	FIELD_JSON_(struct device_update, custom, "custom", IN, "custom properties of the device, handed to hook scripts"),
	FIELD_JSON_(struct device_update, spec_params, "specParams", IN,
		    "QoS: {inbound: {average, peak, burst}, outbound: {...}}, KiB/s and KiB; {} in one of them: no limit"),
	FIELD_JSON_(struct device_update, policies, "policies", IN, "what may pass, in the place of what was said before, see berth-network(7); {}: everything"),
	FIELD_INT_(struct device_update, mtu, "mtu", IN, "MTU", .min = 68, .max = 65535),
	FIELD_STRING_(struct device_update, graphics_type, "graphicsType", IN, "graphics: vnc or spice"),
	FIELD_STRING_(struct device_update, password, "password", IN | SECRET, "graphics: display password", .max = 512),
	FIELD_INT_(struct device_update, ttl, "ttl", IN, "graphics: validity from now; 0: at once invalid", .unit = "s", .def = "0", .min = 0, .max = 2147483647),
	FIELD_STRING_(struct device_update, existing_conn_action, "existingConnAction", IN, "graphics: keep, disconnect or fail", .def = "disconnect",
		      .pattern = "keep|disconnect|fail"),
	FIELD_STRING_(struct device_update, disconnect_action, "disconnectAction", IN, "graphics: what to do when a console is left; NONE is done always",
		      .pattern = "NONE|LOCK_SCREEN|LOGOUT|SHUTDOWN|REBOOT"),
	FIELD_JSON_(struct device_update, params, "params", IN, "graphics: map handed to the set_ticket hooks"),
};
const struct record_type device_update_type = RECORD_TYPE("params", NULL, struct device_update, device_update_fields, "A change of a device");

static const struct field device_update_params_fields[] = {
	VM_ID(struct device_update_params),
	FIELD_RECORD_(struct device_update_params, params, "params", NEED, &device_update_type, "the change"),
};
const struct record_type device_update_params_type =
	RECORD_TYPE("updateDevice", NULL, struct device_update_params, device_update_params_fields, "A VM and a change of a device");

/* ---- limits ---- */

#define LIMIT(member, name, text, per) FIELD_LONG_(struct io_limits, member, name, IN, text "; 0: no limit", .unit = per)
static const struct field io_limits_fields[] = {
	LIMIT(total_bytes, "total_bytes_sec", "reading and writing together", "bytes/s"),
	LIMIT(read_bytes, "read_bytes_sec", "reading", "bytes/s"),
	LIMIT(write_bytes, "write_bytes_sec", "writing", "bytes/s"),
	LIMIT(total_iops, "total_iops_sec", "reads and writes together", "1/s"),
	LIMIT(read_iops, "read_iops_sec", "reads", "1/s"),
	LIMIT(write_iops, "write_iops_sec", "writes", "1/s"),
};
const struct record_type io_limits_type = RECORD_TYPE("ioLimits", NULL, struct io_limits, io_limits_fields, "Limits of a disk");

static const struct field io_tune_fields[] = {
	FIELD_STRING_(struct io_tune, name, "name", IN, "target of the disk: vda"),
	FIELD_STRING_(struct io_tune, path, "path", IN, "its file or block device, when name is absent"),
	FIELD_RECORD_(struct io_tune, limits, "ioTune", NEED, &io_limits_type, "limits; those left out stay"),
};
const struct record_type io_tune_type = RECORD_TYPE("tunable", "tunables", struct io_tune, io_tune_fields, "Limits of one disk of a VM");

static const struct field io_tune_params_fields[] = {
	VM_ID(struct io_tune_params),
	FIELD_LIST_(struct io_tune_params, tunables, "tunables", NEED, &io_tune_type, "disks"),
};
const struct record_type io_tune_params_type = RECORD_TYPE("setIoTune", NULL, struct io_tune_params, io_tune_params_fields, "Limits of disks of a VM");

static const struct field io_policy_fields[] = {
	FIELD_STRING_(struct io_policy, name, "name", IN, "target of the disk: vda"),
	FIELD_STRING_(struct io_policy, path, "path", IN, "its file or block device"),
	FIELD_UUID_(struct io_policy, pool_id, "poolID", IN | INPUT_ONLY, "storage pool of the volume"),
	FIELD_UUID_(struct io_policy, domain_id, "domainID", IN | INPUT_ONLY, "storage domain of the volume"),
	FIELD_UUID_(struct io_policy, image_id, "imageID", IN | INPUT_ONLY, "image (disk) of the volume"),
	FIELD_UUID_(struct io_policy, volume_id, "volumeID", IN | INPUT_ONLY, "volume"),
	FIELD_RECORD_(struct io_policy, maximum, "maximum", IN, &io_limits_type, "limits that are in force"),
	FIELD_RECORD_(struct io_policy, guaranteed, "guaranteed", IN, &io_limits_type, "what a scheduler should leave the disk; kept, nobody enforces it"),
};
const struct record_type io_policy_type = RECORD_TYPE("ioTune", "ioTunes", struct io_policy, io_policy_fields, "Policy for one disk of a VM");

static const struct field vm_policy_fields[] = {
	FIELD_UUID_(struct vm_policy, vm_id, "vmId", IN, "id of the VM; must equal vmID when given"),
	FIELD_INT_(struct vm_policy, vcpu_limit, "vcpuLimit", IN, "part of the host's processors the VM may use; 100 and more, 0 and less: all", .unit = "%"),
	FIELD_LIST_(struct vm_policy, io, "ioTune", IN, &io_policy_type, "disks; those left out stay as they are"),
};
const struct record_type vm_policy_type = RECORD_TYPE("policy", NULL, struct vm_policy, vm_policy_fields, "Policy of a VM");

static const struct field vm_policy_params_fields[] = {
	VM_ID(struct vm_policy_params),
	FIELD_RECORD_(struct vm_policy_params, params, "params", NEED, &vm_policy_type, "what changes; the rest stays"),
};
const struct record_type vm_policy_params_type = RECORD_TYPE("updateVmPolicy", NULL, struct vm_policy_params, vm_policy_params_fields, "A VM and its policy");

static const struct field cpu_period_fields[] = {
	VM_ID(struct cpu_tune_params),
	FIELD_LONG_(struct cpu_tune_params, value, "period", NEED, "period in which each virtual CPU gets its quota, 1000 to 1000000", .unit = "us"),
};
const struct record_type cpu_period_params_type = RECORD_TYPE("setCpuTunePeriod", NULL, struct cpu_tune_params, cpu_period_fields, "A VM's period");

static const struct field cpu_quota_fields[] = {
	VM_ID(struct cpu_tune_params),
	FIELD_LONG_(struct cpu_tune_params, value, "quota", NEED, "time of each virtual CPU in a period, at least 1000; negative: no limit", .unit = "us"),
};
const struct record_type cpu_quota_params_type = RECORD_TYPE("setCpuTuneQuota", NULL, struct cpu_tune_params, cpu_quota_fields, "A VM's quota");

static const struct field balloon_fields[] = {
	VM_ID(struct balloon_params),
	FIELD_LONG_(struct balloon_params, target, "target", NEED, "memory the guest should have, at most what the VM has", .unit = "KiB"),
};
const struct record_type balloon_params_type = RECORD_TYPE("setBalloonTarget", NULL, struct balloon_params, balloon_fields, "A VM's balloon");

/* ---- console ---- */

static const struct field screenshot_fields[] = {
	VM_ID(struct screenshot_params),
	FIELD_INT_(struct screenshot_params, width, "width", IN, "of the picture (ours); by height when absent, as the screen when both are", .unit = "pixels",
		   .min = 1, .max = 8192),
	FIELD_INT_(struct screenshot_params, height, "height", IN, "of the picture (ours); by width when absent", .unit = "pixels", .min = 1, .max = 8192),
};
const struct record_type screenshot_params_type = RECORD_TYPE("screenshot", NULL, struct screenshot_params, screenshot_fields, "A picture of the console");

static const struct field mouse_input_fields[] = {
	FIELD_INT_(struct mouse_input, x, "x", IN, "position, 0 left to 32767 right", .min = 0, .max = 32767),
	FIELD_INT_(struct mouse_input, y, "y", IN, "position, 0 top to 32767 bottom", .min = 0, .max = 32767),
	FIELD_INT_(struct mouse_input, wheel, "wheel", IN, "notches, up positive", .min = -100, .max = 100),
	FIELD_STRINGS_(struct mouse_input, press, "press", IN, "buttons: left, middle, right, side, extra"),
	FIELD_STRINGS_(struct mouse_input, click, "click", IN, "buttons pressed and released, in this order"),
	FIELD_STRINGS_(struct mouse_input, release, "release", IN, "buttons"),
};
const struct record_type mouse_input_type =
	RECORD_TYPE("mouse", NULL, struct mouse_input, mouse_input_fields, "A move: position, press, click, release, wheel");

static const struct field input_fields[] = {
	VM_ID(struct input_params),
	FIELD_STRING_(struct input_params, text, "text", IN, "text to type; newline is Enter", .max = 1024),
	FIELD_STRINGS_(struct input_params, keys, "keys", IN, "chords, one after the other: \"ctrl-alt-delete\", \"f1\"; names of Linux keys without KEY_"),
	FIELD_JSON_(struct input_params, scancodes, "scancodes", IN, "bytes of XT set 1, presses and releases: [29, 56, 224, 83, 224, 211, 184, 157]"),
	FIELD_RECORD_(struct input_params, mouse, "mouse", IN, &mouse_input_type, "the mouse; needs a tablet in the VM"),
	FIELD_STRING_(struct input_params, layout, "layout", IN, "text: keyboard layout the guest is set to, us or de", .def = "us"),
	FIELD_INT_(struct input_params, hold, "hold", IN, "text, keys: how long a key is held", .unit = "ms", .def = "20", .min = 1, .max = 5000),
};
const struct record_type input_params_type =
	RECORD_TYPE("sendInput", NULL, struct input_params, input_fields, "Input: exactly one of text, keys, scancodes, mouse");

/* ---- dirty rate ---- */

const char *const dirty_rate_modes[] = { "page-sampling", "dirty-bitmap", "dirty-ring", NULL };

static const struct field dirty_rate_params_fields[] = {
	VM_ID(struct dirty_rate_params),
	FIELD_INT_(struct dirty_rate_params, seconds, "seconds", IN, "how long is measured", .unit = "s", .def = "1", .min = 1, .max = 60),
	FIELD_ENUM_(struct dirty_rate_params, mode, "mode", IN, dirty_rate_modes,
		    "page-sampling (cheap, an estimate), dirty-bitmap (every page), dirty-ring (every page of each CPU; KVM with its dirty ring)",
		    .def = "page-sampling"),
};
const struct record_type dirty_rate_params_type =
	RECORD_TYPE("startDirtyRate", NULL, struct dirty_rate_params, dirty_rate_params_fields, "How the dirty rate is measured");

static const struct field dirty_rate_fields[] = {
	FIELD_STRING_(struct dirty_rate, status, "status", OUT, "unstarted, measuring, measured"),
	FIELD_ENUM_(struct dirty_rate, mode, "mode", OUT, dirty_rate_modes, "how"),
	FIELD_INT_(struct dirty_rate, period, "period", OUT, "how long was measured", .unit = "s"),
	FIELD_LONG_(struct dirty_rate, start_time, "startTime", OUT, "when it began, on QEMU's clock (since the host's boot)", .unit = "s"),
	FIELD_LONG_(struct dirty_rate, rate, "rate", OUT, "measured: memory the guest writes to", .unit = "MiB/s"),
	FIELD_JSON_(struct dirty_rate, vcpus, "vcpus", OUT, "measured with dirty-ring: [MiB/s of each virtual CPU]"),
};
const struct record_type dirty_rate_type = RECORD_TYPE("dirtyRate", NULL, struct dirty_rate, dirty_rate_fields, "How fast a guest changes its memory");

/* ---- verbs ---- */

#define EMPTY .kind = RESULT_JSON, .returns = "{}"
#define DONE .kind = RESULT_JSON, .returns = "{code: 0, message: Done}"
#define CONSOLE_ROW(verb, parameters, ...) { .name = "VM." verb, .params = &(parameters), .lane = VERB_CONSOLE, .lane_key = "vmID", ##__VA_ARGS__ }
#define VM_READ(verb, parameters, ...) { .name = "VM." verb, .params = &(parameters), .lane = VERB_ANY, ##__VA_ARGS__ }

const struct verb device_verbs[] = {
	VM_ROW("hotplugDisk", plug_params_type, EMPTY, .doc = "Adds a disk to a running VM; hooks before_disk_hotplug, after_disk_hotplug",
	       .errors = "1 6 13 45 51 91 1500"),
	VM_ROW("hotunplugDisk", plug_params_type, EMPTY, .doc = "Takes a disk out of a running VM; hooks before_disk_hotunplug, after_disk_hotunplug",
	       .errors = "1 6 46 51 91 1500"),
	VM_ROW("hotplugNic", plug_params_type, .kind = RESULT_JSON, .doc = "Adds a NIC to a running VM; hooks before_nic_hotplug, after_nic_hotplug, "
	       "after_nic_hotplug_fail", .returns = "{devices: [{macAddr, alias}], xml}: the new NIC and the domain's XML", .errors = "1 6 49 51 91 1500"),
	VM_ROW("hotunplugNic", plug_params_type, EMPTY, .doc = "Takes a NIC out of a running VM; hooks before_nic_hotunplug, after_nic_hotunplug, "
	       "after_nic_hotunplug_fail", .errors = "1 6 50 51 91 1500"),
	VM_ROW("hotplugMemory", plug_params_type, EMPTY, .doc = "Adds a memory module to a running VM; hooks before_memory_hotplug, after_memory_hotplug",
	       .errors = "1 6 51 70 91 1500"),
	VM_ROW("hotunplugMemory", plug_params_type, .doc = "Takes a memory module out of a running VM, if the guest can free it", .returns = "true",
	       .errors = "1 6 51 85 91"),
	VM_ROW("hotplugLease", lease_params_type, EMPTY, .doc = "Has a running VM hold a lease; needs libvirt's lock manager", .errors = "1 6 51 86"),
	VM_ROW("hotunplugLease", lease_params_type, EMPTY, .doc = "Has a running VM release a lease", .errors = "1 6 51 87"),
	VM_ROW("hotplugHostdev", hostdev_params_type, .kind = RESULT_JSON, .doc = "Gives devices of the host to a running VM",
	       .returns = "names of those that went in; an error when none did", .errors = "1 6 51 83"),
	VM_ROW("hotunplugHostdev", hostdev_params_type, .kind = RESULT_JSON, .doc = "Takes devices of the host back from a running VM",
	       .returns = "names of those that came out; an error when none did", .errors = "1 6 51 83"),
	VM_ROW("setNumberOfCpus", vcpus_params_type, EMPTY, .doc = "Plugs virtual CPUs, and unplugs them with hardware acceleration; hooks "
	       "before_set_num_of_cpus, after_set_num_of_cpus", .errors = "1 6 51 60 91 1500"),
	VM_ROW("changeCD", media_params_type, EMPTY, .doc = "Changes or ejects the medium of a CD-ROM drive, locked or not", .errors = "1 6 11 13 41 51"),
	VM_ROW("changeFloppy", media_params_type, EMPTY, .doc = "Changes or ejects the medium of a floppy drive", .errors = "1 6 11 13 41 51"),
	VM_ROW("updateDevice", device_update_params_type, EMPTY, .doc = "Changes link, network, mirroring, QoS of a NIC, or a console's password; hooks "
	       "before_update_device, after_update_device, after_update_device_fail", .errors = "1 6 11 18 44 51 56 75 91 1500"),
	VM_READ("getNicPolicies", vm_id_params_type, .kind = RESULT_JSON, .doc = "Policies of a running VM's NICs, and what each of their rules has counted",
		.returns = "[{alias, macAddr, tap, policies, counters: {acls: [{packets, bytes}] as in policies, macGuard, dhcpGuard, raGuard, stormLimit, vlan, "
			   "isolated, tagged, answers, waiting: {packets, bytes}}}] of those that have policies; counted since they were set", .errors = "1 6 29"),
	VM_ROW("setIoTune", io_tune_params_type, DONE, .doc = "Limits the I/O of disks of a running VM", .errors = "1 6 64"),
	VM_READ("getIoTune", vm_id_params_type, .kind = RESULT_LIST, .result = &io_tune_type, .doc = "I/O limits of a VM's disks",
		.returns = "[{name, path, ioTune}]", .errors = "1 6"),
	VM_READ("getIoTunePolicy", vm_id_params_type, .kind = RESULT_LIST, .result = &io_policy_type, .doc = "I/O policy of a VM's disks",
		.returns = "[{name, path, maximum, guaranteed}]", .errors = "1 6"),
	{ .name = "Host.getAllVmIoTunePolicies", .kind = RESULT_JSON, .lane = VERB_ANY, .doc = "I/O policy and limits of all VMs",
	  .returns = "{vmId: {policy: [as VM.getIoTunePolicy], current_values: [as VM.getIoTune]}}" },
	VM_ROW("updateVmPolicy", vm_policy_params_type, DONE, .doc = "Sets what a VM may use of the host's processors and of its disks, at once and for good",
	       .errors = "1 6 11 51 63 91"),
	VM_ROW("setCpuTunePeriod", cpu_period_params_type, DONE, .doc = "Sets the period of the VM's processor quota", .errors = "1 6 62"),
	VM_ROW("setCpuTuneQuota", cpu_quota_params_type, DONE, .doc = "Sets the VM's processor quota", .errors = "1 6 62"),
	VM_ROW("setBalloonTarget", balloon_params_type, DONE, .doc = "Asks the guest's balloon for this size", .errors = "1 6 53"),
	VM_ROW("diskSizeExtend", resize_params_type, .kind = RESULT_JSON, .doc = "Grows a disk of a running VM",
	       .returns = "the new size as text, rounded up to 512 bytes", .errors = "1 6 51 58 201 1650"),
	VM_ROW("refresh_disk", drive_params_type, .kind = RESULT_JSON, .doc = "Reads the size of a disk's volume again",
	       .returns = "{apparentsize, truesize} as texts", .errors = "1 6 1650"),
	VM_READ("getDiskAlignment", disk_params_type, .doc = "Deprecated: how partitions are aligned is not looked at, it is refused", .returns = "nothing",
		.errors = "75"),
	VM_ROW("setDestroyOnReboot", vm_id_params_type, .doc = "The next reboot of the guest ends the VM (exit reason 13)", .returns = "true", .errors = "1 6 16"),
	CONSOLE_ROW("screenshot", screenshot_params_type, .kind = RESULT_JSON, .doc = "A picture of the console",
		    .returns = "{data, encoding base64, mime_type image/png}", .errors = "1 6 16 75"),
	CONSOLE_ROW("sendInput", input_params_type, .changes = true, .doc = "Types, presses keys, moves the mouse (a verb of ours)", .returns = "true",
		    .errors = "1 6 16 91"),
	VM_ROW("startDirtyRate", dirty_rate_params_type, .doc = "Begins to measure how fast the guest changes its memory (a verb of ours)", .returns = "true",
	       .errors = "1 6 75 91"),
	VM_ROW("getDirtyRate", vm_id_params_type, .kind = RESULT_RECORD, .result = &dirty_rate_type, .doc = "The last measurement (a verb of ours)",
	       .returns = "{status, mode, period, startTime, rate, vcpus}, rates in MiB/s", .errors = "1 6 16"),
};
const size_t n_device_verbs = G_N_ELEMENTS(device_verbs);
