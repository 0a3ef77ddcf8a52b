/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_VM_H
#define BERTH_ENGINE_MODEL_VM_H
/* Virtual machines (REST 15.1). What a VM shares with a template stands in VM_BASE_MEMBERS, with the rows in vm-fields.h. */
#include "common/record.h"

/* In the order of the guide (15.1.1) */
enum vm_state {
	VM_UNASSIGNED, VM_DOWN, VM_UP, VM_POWERING_UP, VM_POWERED_DOWN, VM_PAUSED, VM_MIGRATING_FROM, VM_MIGRATING_TO, VM_UNKNOWN, VM_NOT_RESPONDING,
	VM_WAIT_FOR_LAUNCH, VM_REBOOT_IN_PROGRESS, VM_SAVING_STATE, VM_RESTORING_STATE, VM_SUSPENDED, VM_IMAGE_ILLEGAL, VM_IMAGE_LOCKED, VM_POWERING_DOWN,
	VM_STATE_MAX
};
extern const char *const vm_state_names[];
enum vm_flavor { VM_DESKTOP, VM_SERVER, VM_FLAVOR_MAX };
extern const char *const vm_flavor_names[];
enum boot_device { BOOT_HD, BOOT_CDROM, BOOT_NETWORK, BOOT_DEVICE_MAX };
extern const char *const boot_device_names[];
enum display_protocol { DISPLAY_VNC, DISPLAY_SPICE, DISPLAY_PROTOCOL_MAX };
extern const char *const display_protocol_names[];
enum cpu_mode { CPU_MODE_CUSTOM, CPU_MODE_HOST_MODEL, CPU_MODE_HOST_PASSTHROUGH, CPU_MODE_MAX };
extern const char *const cpu_mode_names[];
enum vm_origin { ORIGIN_RHEV, ORIGIN_OVIRT, ORIGIN_VMWARE, ORIGIN_XEN, ORIGIN_KVM, ORIGIN_BERTH, ORIGIN_MAX };
extern const char *const vm_origin_names[];
enum vm_affinity { AFFINITY_MIGRATABLE, AFFINITY_USER_MIGRATABLE, AFFINITY_PINNED, AFFINITY_MAX };
extern const char *const vm_affinity_names[];
enum usb_policy { USB_NATIVE, USB_LEGACY, USB_POLICY_MAX };
extern const char *const usb_policy_names[];
enum numa_tune_mode { NUMA_INTERLEAVE, NUMA_STRICT, NUMA_PREFERRED, NUMA_TUNE_MODE_MAX };
extern const char *const numa_tune_mode_names[];
/*
 * What vm.memory_volume is good for:
 *	unfinished   it is being written, or nobody has seen how that ended: good for nothing
 *	saved        the VM's memory is whole in it (exit reason SAVED): the VM goes on from there
 *	loaded       the memory is in a guest that has not run since: from its first step on the disks are newer than the volume
 * Without a volume (the VM runs, or is down) it means nothing.
 */
enum vm_memory { MEMORY_UNFINISHED, MEMORY_SAVED, MEMORY_LOADED, VM_MEMORY_MAX };
extern const char *const vm_memory_names[];

struct boot_item { struct record record; int dev; };                                   /* os/boot@dev */
extern const struct record_type boot_item_type;
struct vcpu_pin { struct record record; int vcpu; char *cpu_set; };
extern const struct record_type vcpu_pin_type;
struct sso_method { struct record record; char *id; };
extern const struct record_type sso_method_type;
struct payload_file { struct record record; char *name, *content; };
extern const struct record_type payload_file_type;
struct payload { struct record record; char *type, *volume_id; GPtrArray *files; };    /* struct payload_file */
extern const struct record_type payload_type;
struct nic_configuration { struct record record; char *name, *boot_protocol, *address, *netmask, *gateway; bool on_boot; };
extern const struct record_type nic_configuration_type;
/* 15.1.2; a record of its own because few VMs have one */
struct vm_initialization {
	struct record record;
	char *host_name, *timezone, *user_name, *root_password, *authorized_ssh_keys, *dns_servers, *dns_search, *custom_script, *domain, *input_locale,
	     *ui_language, *system_locale, *user_locale, *active_directory_ou, *org_name, *configuration_type, *configuration_data;
	bool regenerate_ssh_keys, regenerate_ids;
	GPtrArray *nic_configurations;       /* struct nic_configuration */
};
extern const struct record_type vm_initialization_type;

#define VM_BASE_MEMBERS \
	struct record record; \
	char *id, *name, *description, *comment; \
	int type; \
	int state;                           /* vm: enum vm_state; template: enum template_state */ \
	char *state_detail; \
	int64_t memory; \
	int sockets, cores, threads; \
	GPtrArray *vcpu_pins;                /* struct vcpu_pin */ \
	int cpu_mode; \
	char *cpu_architecture; \
	int cpu_shares; \
	char *os_type, *os_kernel, *os_initrd, *os_cmdline; \
	GPtrArray *boot;                     /* struct boot_item */ \
	int ha_priority; \
	int display_type, display_monitors; \
	char *display_keyboard_layout; \
	struct ref cluster; \
	struct ref storage_domain;           /* known only when shown: the domain that keeps it, for what is no part of the model */ \
	int64_t creation_time; \
	int origin; \
	GPtrArray *sso_methods;              /* struct sso_method */ \
	char *timezone, *domain_name; \
	struct vm_initialization *initialization; \
	GPtrArray *payloads;                 /* struct payload */ \
	int affinity; \
	struct ref placement_host; \
	GPtrArray *placement_hosts;          /* struct object_ref */ \
	int64_t memory_guaranteed; \
	char *quota; \
	GPtrArray *custom_properties;        /* struct option_item */ \
	int usb_type; \
	int migration_downtime; \
	struct ref cpu_profile; \
	int numa_tune_mode; \
	char *serial_number_policy, *serial_number_value, *rng_source; \
	int rng_bytes, rng_period; \
	bool boot_menu, ha_enabled, display_single_qxl_pci, display_allow_override, display_smartcard_enabled, display_file_transfer_enabled, \
	     display_copy_paste_enabled, stateless, delete_protected, ballooning, usb_enabled, tunnel_migration, console_enabled, virtio_scsi_enabled, \
	     soundcard_enabled;

struct vm {
	VM_BASE_MEMBERS
	char *stop_reason;
	struct ref template;
	struct ref host;                     /* where it runs; absent while down. While it migrates the source, until the news says that it left */
	int64_t start_time, stop_time;
	bool next_run_configuration_exists, use_latest_template_version;
	GPtrArray *cdroms;                   /* struct cdrom: at most one, the configured disc */
	/* known only when shown, from the latest statistics */
	char *display_address;
	int display_port, display_secure_port;
	GPtrArray *guest_ips;                /* struct ip */
	char *guest_fqdn, *guest_os_family, *guest_os_distribution, *guest_os_version, *guest_os_kernel, *guest_os_architecture;
	/* INPUT_ONLY */
	bool disks_clone;
	GPtrArray *disks;                    /* struct disk: choices for the template's disks */
	GPtrArray *snapshots;                /* struct object_ref */
	/* INTERNAL */
	char *current_cdrom;                 /* disc of the running session when another than the configured one; "" = empty */
	json_t *memory_volume;               /* {"pool","domain","image","volume"} for its memory while it is saved, suspended, restored */
	int memory_state;                    /* enum vm_memory */
	json_t *limits;                      /* what its agent was told last (flow/vm_limits.h); NULL: none */
	json_t *run_once;                    /* members that hold for this run only, as stored JSON of a vm */
	int64_t status_time;                 /* the agent's statusTime of `state`: older reports are ignored */
	bool user_stop;                      /* somebody asked for it to go down: no restart */
	char *migration_host;                /* id of the host it is on its way to, or may be on: flow/vm_migrate.c */
	struct ref entry_host;               /* whose agent may still have the entry of a run that ended (fleet/entries.h) */
};
extern const struct record_type vm_type;

struct template;
/* What the VM does not say itself it takes from its template; last, guaranteed memory is all memory. */
void vm_inherit(struct vm *vm, const struct template *template);
/* What the template does not say itself it takes from the VM that it is made of; its cluster, too. */
void template_inherit(struct template *template, const struct vm *vm);

/* Kept in the order of enum vm_state: (1u << state) */
#define VM_STATES_RUNNING \
	(1u << VM_UP | 1u << VM_POWERING_UP | 1u << VM_PAUSED | 1u << VM_MIGRATING_FROM | 1u << VM_MIGRATING_TO | 1u << VM_UNKNOWN | \
	 1u << VM_NOT_RESPONDING | 1u << VM_WAIT_FOR_LAUNCH | 1u << VM_REBOOT_IN_PROGRESS | 1u << VM_SAVING_STATE | 1u << VM_RESTORING_STATE | \
	 1u << VM_POWERING_DOWN)
static inline bool vm_is_running(const struct vm *vm) { return VM_STATES_RUNNING >> vm->state & 1; }

/* ---- runs and the memory between them (vm_run.c) ---- */
/* What a run left behind is forgotten: the VM is down, or suspended when its memory is saved; without host, start time, run-once values. saved: the run
 * ended with its memory in the volume. */
void vm_end_run(struct vm *vm, bool saved, const char *reason, int64_t now_msec);
/* Its memory goes to this volume (new reference taken of a copy), or is not there any more (NULL). */
void vm_set_memory(struct vm *vm, const json_t *volume);
/* The host shows it in this state: a saved memory is in the guest then, or used up. */
void vm_see_memory(struct vm *vm, int state);
bool vm_memory_is(const struct vm *vm, const json_t *volume);        /* both name the same volume */
bool vm_has_saved_memory(const struct vm *vm);

#endif
