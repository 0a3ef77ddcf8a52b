/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_VM_H
#define BERTH_AGENT_VIRT_VM_H
/* One virtual machine, as the files of this room share it. Theory of operation in vm.c (states, threads), vms.c (the table, the clock). */
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "agent/virt/domain_info.h"
#include "agent/virt/libvirt_connection.h"
#include "agent/virt/vms.h"

/* What the guest's agent told; absent members: not known. */
struct guest_facts {
	bool any;                                /* it told something since it connected */
	char *username, *ips, *fqdn, *kernel, *agent_version;
	int cpu_count;
	json_t *os_info, *timezone;
	GPtrArray *nics, *filesystems;           /* struct vm_guest_nic, vm_guest_fs */
	int mem_usage;
};

/* Rates and counters of the last two samples (vm_stats.c). */
struct vm_sample;

enum guest_query { QUERY_OS, QUERY_NETWORK, QUERY_USERS, QUERY_FILESYSTEMS, QUERY_CPUS, QUERY_AGENT, QUERY_MAX };

struct vm {
	int refs;                                /* atomic */
	struct vms *vms;
	char id[37];

	/* Below: under vms->lock. */
	enum vm_wire_status status;
	int exit_code, exit_reason;
	char *exit_message;
	bool paused_by_error;
	const char *pause_code;                  /* NULL: never paused */
	json_t *ioerror;
	char *xml;                               /* last seen; without passwords */
	struct domain_info *info;                /* of xml; NULL until it was made */
	struct vm_params *params;
	json_t *custom;
	char *name;
	char *client_ip;
	int64_t time_offset;
	double start_time;                       /* epoch, s */
	int64_t running_since_usec;              /* this boot of the guest, as far as we know: waits for the agent count from here */
	int64_t status_until_usec;               /* Powering up, Powering down, RebootInProgress: until then at most; 0: none */
	bool force_at_end;                       /* ... and then power off */
	bool shutdown_asked, destroying, frozen, agent_connected;
	bool launching;                          /* VM.create answered, the start is queued or runs */
	bool start_unknown;                      /* libvirt went away while it started: Down was told, what came of it is seen when libvirt is back */
	int64_t shutdown_at_usec;                /* VM.shutdown with delay; 0: none */
	bool shutdown_reboot;
	int shutdown_timeout_s;
	struct guest_facts guest;
	int64_t query_at_usec[QUERY_MAX];        /* next; 0: not before the agent connects */
	bool query_queued;
	struct vm_sample *sample;
	int64_t agent_since_usec;
	GSList *waits;                           /* struct news_wait (news.c) */

	pthread_mutex_t agent_lock;              /* one talk with the guest agent at a time; taken before vms->lock */
};

struct vms {
	struct agent *agent;
	struct libvirt_connection *connection;
	pthread_mutex_t lock;                    /* table and VMs; never held over a call to libvirt or a hook */
	GHashTable *table;                       /* id -> struct vm */
	bool recovering;
	void (*recovered)(void *data);
	void *recovered_data;
	struct timer *clock;
	bool clock_runs;
	int64_t stats_at_usec, stats_period_usec, guest_wait_usec;
	int samplings;                           /* bulk calls under way; atomic */
	bool stuck;                              /* one was, when the last was due; loop only */
	bool guest_poll;
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
void vm_set_down(struct vm *vm, int code, enum vm_exit_reason reason, const char *message);
void vm_publish(struct vm *vm);
void vm_locked_publish(struct vm *vm);               /* lock held */
/* Reads the XML again. */
void vm_refresh(struct vm *vm, virDomainPtr domain);
void vm_take_xml(struct vm *vm, const char *xml);    /* without passwords */
/* A new connection looked: this is how it runs. */
void vm_adopt(struct vm *vm, virDomainPtr domain);
char *vm_xml(struct vm *vm);                         /* a copy; g_free */
void vm_locked_clear_guest(struct vm *vm);

/* ---- hooks (vm.c) ---- */
/* Runs a point with the VM's XML and custom properties. xml NULL: the last seen. */
bool vm_hook(struct vm *vm, const char *point, const char *xml, const json_t *parameters, bool may_fail, char **ret_xml, GError **error);

/* ---- statistics (vm_stats.c) ---- */
struct vm_stats *vm_locked_stats(struct vm *vm);     /* lock held; one reference */
void vm_stats_sample(struct vms *vms);               /* loop: a new bulk sample, on a worker */
void vm_sample_free(struct vm_sample *sample);

/* ---- guest agent (guest_agent.c) ---- */
void guest_agent_connected(struct vm *vm);           /* lane */
void guest_agent_disconnected(struct vm *vm);
void guest_agent_tick(struct vm *vm, int64_t now);   /* loop, lock held */
void guest_facts_clear(struct guest_facts *facts);
/* For one talk: holds the agent's lock and sets how long libvirt waits for it. */
bool guest_agent_begin(struct vm *vm, virDomainPtr domain, int limit_s, bool wait);
void guest_agent_end(struct vm *vm);

/* ---- libvirt's events (vm_events.c) ---- */
bool vm_events_register(struct vms *vms, virConnectPtr conn, GError **error);

/* ---- recovery.c ---- */
bool recovery_run(struct vms *vms, virConnectPtr conn, GError **error);

/* ---- verbs that change (lifecycle.c, freeze.c, ticket.c) ---- */
bool vm_create_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_destroy_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_shutdown_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_reboot_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_reset_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_pause_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_cont_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_hibernate_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
/* File of a hibernation volume: {poolID, domainID, imageID, volumeID} or "domain,pool,image,volume,..."; g_free. */
bool vm_memory_path(struct agent *agent, const json_t *handle, char **ret_path, GError **error);
bool vm_ticket_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_freeze_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool vm_thaw_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
/* The clock found a time come: a delayed shutdown, the end of the wait for one. Lane. */
void vm_ask_shutdown(struct vm *vm, void *unused);
void vm_force_off(struct vm *vm, void *unused);

#endif
