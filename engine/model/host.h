/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_HOST_H
#define BERTH_ENGINE_MODEL_HOST_H
/* Hosts (REST chapter 14) and their network interfaces as shown. */
#include "common/record.h"
#include "engine/model/misc.h"

enum host_state {
	HOST_DOWN, HOST_ERROR, HOST_INITIALIZING, HOST_INSTALLING, HOST_INSTALL_FAILED, HOST_MAINTENANCE, HOST_NON_OPERATIONAL, HOST_NON_RESPONSIVE,
	HOST_PENDING_APPROVAL, HOST_PREPARING_FOR_MAINTENANCE, HOST_CONNECTING, HOST_REBOOT, HOST_UNASSIGNED, HOST_UP, HOST_INSTALLING_OS, HOST_KDUMPING,
	HOST_STATE_MAX
};
extern const char *const host_state_names[];
extern const char *const host_flavor_names[];                  /* rhel, rhev-h */
enum host_flavor { HOST_RHEL, HOST_RHEV_H, HOST_FLAVOR_MAX };
extern const char *const spm_state_names[];                  /* none, contending, spm */
enum spm_state { SPM_NONE, SPM_CONTENDING, SPM_SPM, SPM_STATE_MAX };

enum power_proxy_place { PROXY_CLUSTER, PROXY_DATACENTER, PROXY_OTHER_DATACENTER };
struct power_proxy { struct record record; int type; };        /* enum power_proxy_place */
extern const struct record_type power_proxy_type;

struct host {
	struct record record;
	char *id, *name, *description, *comment;
	char *root_password;                 /* taken, never kept */
	char *address;
	char *certificate_organization, *certificate_subject;
	int state;                           /* enum host_state */
	char *state_detail;                  /* why */
	int external_state;                  /* enum external_state */
	struct ref cluster;
	struct ref provider;                 /* external host provider that tells its errata */
	int port;
	int type;                            /* enum host_flavor */
	bool storage_manager;
	int spm_priority;
	int spm_state;
	int version_major, version_minor, version_build, version_revision;
	char *version_full;
	char *hw_manufacturer, *hw_version, *hw_serial_number, *hw_product_name, *hw_uuid, *hw_family;
	GPtrArray *rng_sources;              /* strings */
	char *pm_type, *pm_address, *pm_username, *pm_password;
	bool pm_enabled, automatic_pm_enabled, kdump_detection;
	GPtrArray *pm_options;               /* struct option_item */
	GPtrArray *pm_agents;                /* struct fence_agent; taken, and filled in when shown: they are objects of their own */
	GPtrArray *pm_proxies;               /* struct power_proxy; absent: cluster, then dc */
	bool ksm, transparent_hugepages;
	char *iscsi_initiator;
	int ssh_port;
	char *ssh_fingerprint, *ssh_user, *ssh_password, *ssh_method;
	int cpu_cores, cpu_sockets, cpu_threads;
	char *cpu_name;
	int64_t cpu_speed;                   /* MHz */
	int64_t memory, max_scheduling_memory;
	int vms_active, vms_migrating, vms_total;     /* known only when shown */
	char *protocol;
	char *os_type, *os_version;
	int libvirt_major, libvirt_minor, libvirt_build, libvirt_revision;
	char *libvirt_version;
	char *kdump_status, *selinux_mode, *auto_numa_status;
	bool numa_supported, live_snapshot_support, device_passthrough;
	bool update_available;               /* known only when shown */
	/* INTERNAL */
	char *agent_uuid;                    /* identity the agent reports: two hosts cannot have the same */
	char *certificate_fingerprint;       /* of the agent, pinned at approval */
	char *acceleration;                  /* kvm, tcg */
	char *install_user;                  /* by whom it was installed over SSH: upgrades, too */
	GPtrArray *levels;                   /* strings: compatibility levels that its agent told */
	bool local_storage;                  /* a local storage domain lives here */
	json_t *networks;                    /* what was last sent to the host: name -> configuration */
	json_t *nic_labels;                  /* interface -> array of labels */
	json_t *nic_vfs;                     /* interface -> {all, networks, labels}: what its virtual functions may carry; absent: all networks */
	int64_t power_time;                  /* when its power was last switched, ms */
	char *pool_id;                       /* data center whose pool it was told to join */
	int pool_number;                     /* its number there: no two hosts of a pool have the same */
	bool pool_joined;                    /* and it did, when it was told last */
};
extern const struct record_type host_type;
/* The newest compatibility level that its agent knows; the newest of all when it has told none. Agents newer than this engine tell levels above those. */
struct level host_level(const struct host *host);

enum nic_state { NIC_UP, NIC_DOWN, NIC_STATE_MAX };
extern const char *const nic_state_names[];
extern const char *const boot_protocol_names[];              /* dhcp, static, none */
enum boot_protocol { BOOT_DHCP, BOOT_STATIC, BOOT_NONE, BOOT_PROTOCOL_MAX };

/* Made from the host's capabilities whenever it is asked for; not a kind. */
struct host_nic {
	struct record record;
	char *id, *name;
	struct ref host, network;
	char *mac;
	char *ip_address, *ip_netmask, *ip_gateway;
	int boot_protocol;
	int vlan;
	int64_t speed;                       /* bit/s */
	int state;
	GPtrArray *bond_options;             /* struct option_item */
	GPtrArray *bond_slaves;              /* struct object_ref */
	char *base_interface;
	int mtu;
	bool bridged, custom_configuration;
	bool vfs_all_networks;               /* this and the two below: only of one that can have virtual functions */
	int vfs_max, vfs_number;
	char *vfs_device;                    /* INTERNAL: its PCI device */
	char *physical_id, *physical_href;   /* only of a virtual function: interface that it is one of */
};
extern const struct record_type host_nic_type;
/* The same rows for the lists of a set-up of networks. */
extern const struct record_type bond_type;

#endif
