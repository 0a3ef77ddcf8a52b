/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_VM_H
#define BERTH_PROTO_VM_H
/* What agent and engine both know of a virtual machine: parameters and results of the VM.* verbs. Wire names are vdsm's. */
#include "common/record.h"

/* Status strings of the channel, in the order of enum vm_wire_status. */
enum vm_wire_status {
	VM_WIRE_UP, VM_WIRE_DOWN, VM_WIRE_MIGRATION_SOURCE, VM_WIRE_MIGRATION_DESTINATION, VM_WIRE_PAUSED, VM_WIRE_POWERING_DOWN, VM_WIRE_POWERING_UP,
	VM_WIRE_REBOOT_IN_PROGRESS, VM_WIRE_RESTORING, VM_WIRE_SAVING, VM_WIRE_WAIT_FOR_LAUNCH, VM_WIRE_STATUS_MAX
};
extern const char *const vm_wire_status_names[];

/* exitReason of a Down VM */
enum vm_exit_reason {
	VM_EXIT_SUCCESS, VM_EXIT_GENERIC, VM_EXIT_LOST_QEMU, VM_EXIT_LIBVIRT_START_FAILED, VM_EXIT_MIGRATED, VM_EXIT_SAVED, VM_EXIT_ADMIN_SHUTDOWN,
	VM_EXIT_USER_SHUTDOWN, VM_EXIT_MIGRATION_FAILED, VM_EXIT_DOMAIN_MISSING, VM_EXIT_DESTROYED_ON_STARTUP, VM_EXIT_HOST_SHUTDOWN,
	VM_EXIT_POSTCOPY_FAILED, VM_EXIT_DESTROYED_ON_REBOOT, VM_EXIT_DESTROYED_ON_PAUSE_TIMEOUT, VM_EXIT_MAX
};

/* vm_device.shared. A boolean stands for one of the first two. */
enum disk_sharing { DISK_NOT_SHARED, DISK_SHARED_TRUE, DISK_SHARED_NONE, DISK_EXCLUSIVE, DISK_SHARED, DISK_TRANSIENT };
/* vm_device.propagateErrors. What the guest is told: nothing (the VM is paused), errors other than "no space", everything. */
enum disk_errors { DISK_ERRORS_FALSE, DISK_ERRORS_TRUE, DISK_ERRORS_OFF, DISK_ERRORS_ON, DISK_ERRORS_REPORT };
/* vm_params.accelerator, vm_params.firmware, vm_params.on_crash */
enum vm_accelerator { VM_ACCELERATOR_AUTO, VM_ACCELERATOR_KVM, VM_ACCELERATOR_TCG };
enum vm_firmware { VM_FIRMWARE_BIOS, VM_FIRMWARE_UEFI, VM_FIRMWARE_UEFI_SECURE };
enum vm_on_crash { VM_CRASH_DESTROY, VM_CRASH_RESTART, VM_CRASH_PRESERVE, VM_CRASH_DUMP_DESTROY, VM_CRASH_DUMP_RESTART };
extern const char *const vm_on_crash_names[];

/* One device of the parameter form of VM.create. The types and what of the members each reads: agent/virt/device/device.c. */
struct vm_device {
	struct record record;
	char *type, *device, *alias, *device_id;
	json_t *address, *spec_params, *custom, *master;
	int boot_order;
	char *model, *bus;
	int index;                                           /* of disks, controllers */
	/* disk */
	char *iface, *pool_id, *domain_id, *image_id, *volume_id, *guid, *uuid, *path, *format, *serial, *cache, *disk_type, *protocol, *sgio;
	json_t *hosts, *auth;
	bool readonly, discard;
	int shared, propagate_errors;
	/* interface */
	char *nic_model, *mac_addr, *network, *filter, *hostdev;
	json_t *filter_parameters, *port_mirroring, *policies;
	int mtu;
	bool link_active;
	/* lease */
	char *lease_id, *sd_id, *offset;
	/* memory */
	int64_t size;                                        /* MiB */
	int node;
};
extern const struct record_type vm_device_type;

struct vm_params {
	struct record record;
	char *vm_id, *xml;
	char *vm_name, *cpu_type, *emulated_machine, *kernel, *initrd, *kernel_args, *boot, *display, *keyboard_layout, *kvm_enable, *time_zone, *console,
		*ticket, *serial, *generation_id, *display_network, *spice_secure_channels, *tpm_data, *nvram_data;
	int64_t mem_size, mem_guaranteed, max_mem_size;      /* MiB */
	int smp, smp_cores_per_socket, smp_threads_per_core, max_vcpus, max_mem_slots, io_threads, cpu_shares, vcpu_limit, nice, display_secure_port, spice_monitors,
		time_offset, ticket_ttl, accelerator, firmware, on_crash;
	bool acpi_enable, boot_menu, launch_paused, balloon_enabled, agent_channel, hyperv, tablet, smartcard, copy_paste, file_transfer, from_snapshot;
	char *resume_behavior;
	json_t *custom, *memory_dump, *memory_conf, *cpu_pinning, *numa_tune, *numa_nodes;
	GPtrArray *devices;                                  /* struct vm_device */
};
extern const struct record_type vm_params_type;

struct vm_create_params { struct record record; char *vm_id; struct vm_params *params; };
extern const struct record_type vm_create_params_type;

struct vm_external_params { struct record record; char *vm_id, *last_hash; int kind; bool force; };
extern const struct record_type vm_external_params_type;
struct vm_id_params { struct record record; char *vm_id; };                     /* destroy has more, see below */
extern const struct record_type vm_id_params_type;
struct vm_destroy_params { struct record record; char *vm_id; int graceful_attempts; };
extern const struct record_type vm_destroy_params_type;
struct vm_shutdown_params { struct record record; char *vm_id, *message; int delay, timeout; bool reboot, force; };
extern const struct record_type vm_shutdown_params_type;
struct vm_reboot_params { struct record record; char *vm_id; int delay; };
extern const struct record_type vm_reboot_params_type;
struct vm_hibernate_params { struct record record; char *vm_id; json_t *handle; };
extern const struct record_type vm_hibernate_params_type;
struct vm_ticket_params { struct record record; char *vm_id, *password, *existing_conn_action; int ttl; json_t *params; };
extern const struct record_type vm_ticket_params_type;
struct vm_qmp_params { struct record record; char *vm_id, *command; json_t *arguments; };
extern const struct record_type vm_qmp_params_type;
struct vm_seal_image { struct record record; char *domain_id, *image_id, *volume_id; };
extern const struct record_type vm_seal_image_type;
struct vm_seal_params { struct record record; char *vm_id, *job_id, *pool_id; GPtrArray *images; };     /* struct vm_seal_image */
extern const struct record_type vm_seal_params_type;
struct vm_list_params { struct record record; GPtrArray *vm_list; bool full_status, only_uuid; };     /* strings */
extern const struct record_type vm_list_params_type;

/* {vmId, status, statusTime}; VM.create adds xml */
struct vm_short { struct record record; char *vm_id, *xml; int status; int64_t status_time; };
extern const struct record_type vm_short_type;

/* members of vm_stats.displayInfo */
struct vm_display { struct record record; char *type, *port, *tls_port, *ip_address; };
extern const struct record_type vm_display_type;
/* members of vm_stats.netIfaces */
struct vm_guest_nic { struct record record; char *name, *hw; GPtrArray *inet, *inet6; };
extern const struct record_type vm_guest_nic_type;
/* members of vm_stats.disksUsage */
struct vm_guest_fs { struct record record; char *path, *fs; int64_t total, used; };
extern const struct record_type vm_guest_fs_type;

/* fields: names of members of vm_stats; none: all */
struct vm_stats_params { struct record record; char *vm_id; GPtrArray *fields; };
struct all_vm_stats_params { struct record record; GPtrArray *fields; };
extern const struct record_type vm_stats_params_type, all_vm_stats_params_type;

/* VM.getStats, Host.getAllVmStats. Numbers that the original sends as text are TEXT. */
struct vm_stats {
	struct record record;
	/* always */
	char *vm_id; int status; int64_t status_time;
	/* Down only */
	int exit_code, exit_reason; char *exit_message;
	/* configuration */
	char *vm_name, *vm_type, *kvm_enable, *acpi_enable;
	/* running */
	int64_t elapsed_time; int monitor_response; char *client_ip; int time_offset; char *pause_code; int migration_progress;
	double cpu_user, cpu_sys; int64_t cpu_usage; bool cpu_actual; int vcpu_count;
	json_t *network, *disks;                             /* described here; always NULL: they are written from the counters (vm_stats.c) */
	json_t *balloon_info, *memory_stats, *vm_jobs;
	int mem_usage;
	int vcpu_user_limit, vcpu_period; int64_t vcpu_quota;
	json_t *io_tune, *watchdog_event;
	GPtrArray *display_info;                             /* struct vm_display */
	char *hash, *tpm_hash, *nvram_hash;
	/* guest */
	char *username, *session, *guest_ips, *guest_fqdn, *guest_name, *guest_os;
	int guest_cpu_count;
	GPtrArray *apps_list;                                /* strings */
	json_t *guest_os_info, *guest_timezone, *pci_devices;
	double last_login;
	GPtrArray *net_ifaces;                               /* struct vm_guest_nic */
	GPtrArray *disks_usage;                              /* struct vm_guest_fs */
	json_t *ioerror;
};
extern const struct record_type vm_stats_type;

/* vm_list: ids; none: all. facts: the rows have the members that seldom change, too. */
struct vm_figures_params { struct record record; GPtrArray *vm_list; bool facts; };
extern const struct record_type vm_figures_params_type;

/*
 * Host.getAllVmFigures: a row of a VM, for a manager of very many. It is made of two parts. The figures, which are new each time, come always, in
 * arrays without names. The facts come when they are asked for; `facts` is a digest of them, so that who remembers the digest that it was told with
 * the facts sees by any later row whether they are still so - whatever was lost in between, and whoever restarted. The order of the figures of disks and
 * NICs is that of diskIDs and nicMACs with the same digest.
 */
struct vm_figures_row {
	struct record record;
	char *vm_id; int status; int64_t status_time;        /* always */
	int exit_code, exit_reason; char *exit_message;      /* Down only */
	char *pause_code;
	/* it runs */
	int64_t elapsed_time;
	char *facts;
	double cpu_user, cpu_sys; int mem_usage, balloon_ignored;
	int64_t sampled_usec;
	json_t *disks, *nics;
	/* facts */
	GPtrArray *display_info;                             /* struct vm_display */
	char *guest_ips, *guest_fqdn;
	json_t *guest_os_info;
	GPtrArray *disk_ids, *nic_macs;                      /* strings */
};
extern const struct record_type vm_figures_row_type;

/* Event names: "|virt|VM_status|<vmId>" */
#define EVENT_VM_STATUS "|virt|VM_status|"
#define EVENT_VM_CRASH "|virt|VM_crash|"
#define EVENT_VM_ACCELERATOR "|virt|VM_accelerator|"       /* {accelerator "tcg", reason}: VM.create with accelerator "auto" fell back to it */
#define EVENT_HOST_CONN "|net|host_conn|no_id"
#define EVENT_JOB_STATUS "|jobs|status|"

#endif
