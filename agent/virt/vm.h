/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_VM_H
#define BERTH_AGENT_VIRT_VM_H
/* One virtual machine, as the files of this room share it. Theory of operation in vm.c (states, threads), vms.c (the table, the clock). */
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "agent/virt/domain/domain_info.h"
#include "agent/virt/domain/domain_xml.h"
#include "agent/virt/libvirt_connection.h"
#include "agent/virt/life/ending.h"
#include "agent/virt/stats/balloons.h"
#include "agent/virt/vms.h"

/* What the guest's agent told; absent members: not known. */
struct guest_facts {
	bool any;                                /* it told something since it connected */
	char *username, *ips, *fqdn, *os, *kernel, *agent_version;
	int cpu_count;
	double last_login;                       /* epoch, s; 0: nobody */
	json_t *os_info, *timezone, *pci_devices;
	json_t *commands;                        /* map: those that the agent has and may do */
	GPtrArray *nics, *filesystems;           /* struct vm_guest_nic, vm_guest_fs */
	int mem_usage;
	char *text;                              /* its members of VM.getStats, once they were written (vm_stats.c); NULL again when something changed */
};

/* What a disk takes on its storage, bytes (disk_size.c). */
struct disk_sizes { uint64_t apparent, taken; };

/* How far VM.create came. */
enum vm_launch {
	LAUNCH_OVER,
	LAUNCH_PREPARES,                         /* its storage is asked for, nothing is made: VM.destroy need not wait */
	LAUNCH_STARTS,                           /* its start is queued or runs */
	LAUNCH_SEEN,                             /* libvirt starts it, for an agent that was killed: it is looked at until it runs (recovery.c) */
};

/* Rates and counters of the last two samples (stats/vm_sample.h). */
struct vm_sample;

enum guest_query {
	QUERY_AGENT, QUERY_OS, QUERY_NETWORK, QUERY_USERS, QUERY_FILESYSTEMS, QUERY_DISKS, QUERY_CPUS, QUERY_DEVICES, QUERY_MAX
};

struct vm {
	int refs;                                /* atomic */
	struct vms *vms;
	char id[37];

	/* Below: under vms->lock. */
	enum vm_wire_status status;
	int exit_code, exit_reason;
	char *exit_message;
	const char *pause_code;                  /* NULL: never paused */
	json_t *ioerror;
	json_t *watchdog_event;                  /* {time, action}: its watchdog fired last; NULL: it did not */
	char *xml;                               /* last seen; without passwords */
	unsigned xml_reads, xml_taken;           /* from libvirt, by several at a time: number of the newest that began, and of that which xml is */
	unsigned xml_version, xml_kept;          /* of xml, from 1; and of what is kept for the scripts of its end (end_scripts.c) */
	struct domain_info *info;                /* of xml; NULL until it was made */
	struct vm_params *params;
	json_t *custom;
	char *name;
	char *client_ip;
	int64_t time_offset;
	double start_time;                       /* epoch, s */
	int64_t running_since_usec;              /* this boot of the guest, as far as we know: waits for the agent count from here */
	int64_t status_until_usec;               /* Powering up, Powering down, RebootInProgress: until then at most; 0: none */
	int64_t paused_by_error_usec;            /* an I/O error paused it then; 0: no */
	int64_t resume_at_usec, resume_wait_usec;      /* when it is looked at next whether it can go on (resume.c) */
	bool resume_queued, keep_paused;         /* keep: somebody paused it, too */
	bool shutdown_asked, destroying, frozen, agent_connected;
	bool end_prepared;                       /* destroying: scripts run before it, and libvirt was not told to end it yet */
	enum vm_end_cause end_cause;             /* QEMU said that it is about to end */
	unsigned reboots;                        /* of the guest, since the agent started */
	enum vm_launch launch;
	bool look_queued;                        /* at one that is LAUNCH_SEEN */
	bool start_unknown;                      /* libvirt went away while it started: Down was told, what came of it is seen when libvirt is back */
	bool end_owed, telling_end;              /* scripts know of it, and not yet that it is gone; they are being told (vm_tell_end) */
	struct guest_facts guest;
	int64_t query_at_usec[QUERY_MAX];        /* next; 0: not before the agent connects */
	bool query_queued;
	int64_t thaw_at_usec;                    /* a freeze was given up that the guest may still do: it is thawed then; 0: nothing is owed */
	bool freezing;                           /* the guest was told to freeze, and what came of it is not known yet (freeze.c) */
	bool time_is_stale;                      /* the guest's clock is to be set when its agent answers */
	unsigned agent_silences;                 /* so often in a row it did not answer */
	struct vm_sample *sample;
	struct balloon_watch balloon;            /* what came of shrinking it */
	GHashTable *disk_sizes;                  /* path -> struct disk_sizes, as far as known */
	int disk_looks;                          /* atomic: looks at them that are not over */
	int64_t disk_looks_at_usec;              /* the next */
	json_t *block_jobs;                      /* vmJobs (block_jobs.c) */
	bool block_jobs_unknown;                 /* there may be more, from before the agent started */
	struct snapshot_call *snapshot;          /* what libvirt was asked (snapshot.c); NULL: nothing */
	bool late;                               /* its monitor does not answer */
	int missed;                              /* samplings in which libvirt did not know it */
	int64_t agent_since_usec;
	struct { char *hash, *told; int64_t changed; } external[2];      /* by enum external_kind (external_data.c): of what is there, of what was fetched */
	int64_t external_at_usec;                /* next look at it */
	GSList *waits;                           /* struct news_wait (news.c) */
	GQueue mailbox;                          /* libvirt's events that are to be looked at (vm_events.c) */
	unsigned events_held;                    /* by so many: it is not looked at */
	bool events_dealt;                       /* somebody looks at the one he took out */
	pthread_cond_t event_over;               /* he is done with it */
	struct migration *migration;             /* to another host: the one under way, or the last (migration.c); NULL: none */
	char arrival[37];                        /* from another host: its job, until all is here (migration_incoming.c) */
	bool saving;                             /* its memory is: the job tells what came of it (hibernate.c) */
	bool leaving, arriving;                  /* under way: that is its status, whatever else it does */
	bool inert;                              /* came paused and did not run since: cannot be migrated */
	bool pause_on_arrival;                   /* it was paused there, on its way: libvirt will let it run */

	pthread_mutex_t agent_lock;              /* one talk with the guest agent at a time; taken before vms->lock */
	pthread_mutex_t end_lock;                /* one writes or removes the file of its end at a time; taken before vms->lock */
};

struct migrations;

struct vms {
	struct agent *agent;
	struct migrations *migrations;
	struct libvirt_connection *connection;
	pthread_mutex_t lock;                    /* table and VMs; never held over a call to libvirt or a hook */
	GHashTable *table;                       /* id -> struct vm */
	char *files_dir, *nvram_dir, *ends_dir;  /* vm_files.h, external_data.h, end_scripts.h; never change */
	const char *tpm_dir;
	bool recovering;
	void (*recovered)(void *data);
	void *recovered_data;
	struct timer *clock;
	bool clock_runs;
	int64_t guest_wait_usec, kill_paused_usec;
	struct sampling {
		int64_t period_usec, begun_usec; /* begun: the newest */
		unsigned begun, asking, back, out;      /* numbers of the newest that began, got to its bulk call, came back; how many are out */
		struct kernel_counters *counters;       /* made with the first */
	} sampling;
	bool guest_poll, sync_time;
};

/* ---- the table (vms.c) ---- */
struct vm *vms_find(struct vms *vms, const char *id, GError **error);          /* a reference; ERR_NO_SUCH_VM */
struct vm *vms_lookup(struct vms *vms, const char *id);                        /* a reference or NULL */
GPtrArray *vms_all(struct vms *vms);                                           /* references, with vm_unref */
bool vms_add(struct vms *vms, struct vm *vm, GError **error);                  /* ERR_VM_EXISTS; takes a reference of its own */
void vms_remove(struct vms *vms, struct vm *vm);
void vms_wake(struct vms *vms);                                                /* any thread: there is something for the clock to do */

/* ---- one VM (vm.c) ---- */
struct vm *vm_new(struct vms *vms, const char *id);
struct vm *vm_ref(struct vm *vm);
void vm_unref(void *vm);
static inline void vm_unref_at(struct vm **vm)
{
	vm_unref(*vm);
}
#define AUTO_VM __attribute__((cleanup(vm_unref_at))) struct vm *

/* Runs fn on the VM's lane, with the VM held. fn(vm, data) frees data. */
typedef void (*vm_fn)(struct vm *vm, void *data);
bool vm_queue(struct vm *vm, const char *name, vm_fn fn, void *data, GDestroyNotify free_data, GError **error);
bool vm_queue_on(struct vm *vm, const char *lane_prefix, const char *name, vm_fn fn, void *data, GDestroyNotify free_data, GError **error);

/* The running domain, for a worker: ERR_VM_IS_DOWN when it does not run, ERR_RESOURCE_UNAVAILABLE without libvirt. */
virDomainPtr vm_domain(struct vm *vm, GError **error);
bool vm_check_running(struct vm *vm, GError **error);                          /* ERR_VM_IS_DOWN */
bool vm_is_running_status(enum vm_wire_status status);

/* State changes; each publishes |virt|VM_status|. Any thread without the lock. */
void vm_set_status(struct vm *vm, enum vm_wire_status status);
void vm_set_running(struct vm *vm);                  /* Up, or Powering up while its agent is waited for */
void vm_set_up(struct vm *vm);
void vm_set_paused(struct vm *vm, const char *code);
/* Paused by it. reason: libvirt's, "enospc"; disk: alias or target; path may be NULL. */
void vm_set_io_error(struct vm *vm, const char *reason, const char *disk, const char *path);
void vm_set_down(struct vm *vm, int code, enum vm_exit_reason reason, const char *message);      /* message NULL: that of the reason */
/* A call may have changed it, or did not: its state is what libvirt says, in one piece with libvirt's events. domain NULL: libvirt is away, it runs. Worker. */
void vm_see(struct vm *vm, virDomainPtr domain);
void vm_publish(struct vm *vm);
void vm_locked_publish(struct vm *vm);               /* lock held */
/* Reads the XML again, for all; devices that are other ones than before are an event. Worker. */
void vm_refresh(struct vm *vm, virDomainPtr domain);
char *vm_read_xml(struct vm *vm, virDomainPtr domain);   /* the same, and what was read; free(). NULL: libvirt's last error says why */
void vm_take_xml(struct vm *vm, const char *xml);    /* without passwords */
/* A new connection looked: this is how it runs. Never waits for QEMU. */
void vm_adopt(struct vm *vm, virDomainPtr domain);
void vm_adopted(struct vm *vm);                      /* ... and now QEMU may be asked, on the lane */
void vm_ask_io_error(struct vm *vm, void *unused);   /* worker: when an I/O error paused it and nobody said which, QEMU knows */
char *vm_xml(struct vm *vm);                         /* a copy; g_free */
char *vm_shown_xml(const char *xml);                 /* a copy without passwords; g_free (create.c) */
void vm_locked_clear_guest(struct vm *vm);

/* ---- hooks (vm.c) ---- */
/* Runs a point with the VM's custom properties. data: the XML or JSON that the point has; NULL: the last XML seen. */
bool vm_hook(struct vm *vm, const char *point, const char *data, const json_t *parameters, char **ret_data, GError **error);

/* ---- statistics (vm_stats.c, vm_sampling.c); samples: stats/vm_sample.h ---- */
/* Lock held: one JSON object, as VM.getStats has it; fields: only these members (names as there), and vmId; NULL: all. */
void vm_locked_write_stats(struct vm *vm, const GPtrArray *fields, GString *out);
/* Lock held: what is told of any VM. false: nothing else is of this one, which is down, not begun or runs elsewhere. */
bool vm_locked_fill_state(struct vm *vm, struct vm_stats *stats);
int64_t vm_locked_elapsed(const struct vm *vm);      /* lock held: since its start, s */
int vm_locked_mem_usage(const struct vm *vm);        /* lock held: of its memory, %; needs vm->info */
/* Lock held: one JSON object, as Host.getAllVmFigures has it (vm_figures.c). */
void vm_locked_write_figures(struct vm *vm, bool facts, GString *out);
void vm_sampling_tick(struct vms *vms, int64_t now); /* loop: asks for new numbers, on a worker, when it is time */

/* ---- guest agent (guest_agent.c); the talk with it: guest.h ---- */
void guest_agent_connected(struct vm *vm);           /* lane */
void guest_agent_disconnected(struct vm *vm);
void guest_agent_tick(struct vm *vm, int64_t now);   /* loop, lock held */
void guest_agent_plugged(struct vm *vm);             /* a device came or went: disks are asked for soon */
void guest_time_is_stale(struct vm *vm);             /* lock held: the guest did not run for a while */
void guest_facts_clear(struct guest_facts *facts);

/* ---- libvirt's events (vm_events.c) ---- */
bool vm_events_register(struct vms *vms, virConnectPtr conn, GError **error);
/* From its return to the release no event of libvirt changes the VM's state. For moments, and a start; counted. Not from an event's handler. */
void vm_events_hold(struct vm *vm);
void vm_events_release(struct vm *vm);           /* what came meanwhile is dealt with here, by the last */
void vm_events_drop(struct vm *vm);              /* what waits is of no interest any more. Lock held, or the VM is freed */

/* ---- sizes of disks (disk_size.c) ---- */
void disk_size_tick(struct vm *vm, int64_t now);     /* loop, lock held */

/* ---- I/O errors and thin volumes (resume.c) ---- */
void resume_tick(struct vm *vm, int64_t now);        /* loop, lock held */
/* libvirt is to tell when a thin volume is nearly full: when the VM runs, and whenever it writes to another volume. Any thread: it is done on a lane. */
void watermark_arm(struct vm *vm);
void watermark_reached(struct vm *vm, const char *name);      /* loop; "vda[3]" */

/* ---- recovery.c ---- */
bool recovery_run(struct vms *vms, virConnectPtr conn, GError **error);
void recovery_started(struct vms *vms, virDomainPtr domain);                   /* loop: libvirt started it */
bool recovery_adopt_start(struct vm *vm, int pause_reason);                    /* false: it is paused for another reason */
void recovery_tick(struct vm *vm);                                             /* lock held */

/* ---- domain XML of this host's VMs (vm_env.c) ---- */
struct vm_xml_env {
	struct domain_xml_env env;
	struct agent *agent;
	char vm_id[37], password[VNC_PASSWORD_MAX + 1];
	json_t *custom;                                  /* the VM's custom properties, for scripts; borrowed; NULL: none */
};
/* What domain_xml_build(), domain_xml_device() and domain_xml_fit() must know of this host. Points into itself: it must stay where it is. Worker. */
void vm_xml_env(struct agent *agent, const char *vm_id, struct vm_xml_env *ret_env);
char *vm_new_mac(struct vms *vms);               /* of no NIC of the VMs here; g_free */

/* ---- jobs about VMs: at start (vms_new) ---- */
void shutdown_register(struct vms *vms);             /* shutdown.c */
void hibernate_register(struct vms *vms);            /* hibernate.c */
extern const struct job_kind hibernate_kind;
void hibernate_resumed(struct vms *vms);             /* loop, when the jobs of an earlier agent are known: so are their VMs */

/* ---- verbs that change (create.c, lifecycle.c, shutdown.c, hibernate.c, ticket.c, qmp.c, seal.c) ---- */
bool vm_create_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_destroy_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_shutdown_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_reboot_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_reset_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_pause_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_cont_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_hibernate_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
/* type: which consoles, "vnc", "spice"; NULL: all. ERR_SPICE_TICKET_ERROR. */
bool vm_ticket_set(struct vm *vm, const char *type, const struct vm_ticket_params *params, GError **error);
bool vm_ticket_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_qmp_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_seal_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
/* Powers the VM off: at first as often as attempts - 1 asking QEMU to end, then by force. It ended by itself: fine. ERR_VM_DESTROY_FAILED. Worker. */
bool vm_cut_off(struct vm *vm, int attempts, GError **error);
bool vm_power_off(struct vm *vm, int attempts, GError **error);      /* before_device_destroy, which may refuse, and before_vm_destroy first */
/* after_vm_destroy and after_device_destroy for a VM that is Down, once (end_scripts.c). vm_set_down() sees to it, save while the VM is destroying and for
 * one that migrated or was saved, which have scripts of their own: then whoever destroys or forgets it. Worker. */
void vm_tell_end(struct vm *vm, void *unused);
/* Whoever gets it (true) ends the VM, tells that it is Down, and why; libvirt's event of it does not. Until vm->destroying is false again. */
bool vm_claim_end(struct vm *vm);
/* The clock found that it was paused by an I/O error for too long, and its policy is to end it then. */
void vm_kill_paused(struct vm *vm, void *unused);

#endif
