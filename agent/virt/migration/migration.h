/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_MIGRATION_MIGRATION_H
#define BERTH_AGENT_VIRT_MIGRATION_MIGRATION_H
/* Live migration. Theory of operation in migration.c (leaving) and migration_incoming.c (arriving). */
#include <stdbool.h>
#include <stdint.h>
#include "agent/jobs.h"
#include "agent/virt/vm.h"
#include "proto/migration.h"

/* ---- for the rest of the room ---- */

/* At start (vms_new): reads [migration], registers the two kinds of jobs. */
struct migrations *migrations_new(struct vms *vms, GError **error);
struct migrations *migrations_free(struct migrations *migrations);
/* Recovery is over and the jobs are read: VMs that leave are shown as leaving, those that arrive are waited for. Loop. */
bool migration_has_job(struct vms *vms, const char *vm_id);                     /* one way or the other */
void migrations_resumed(struct vms *vms);
/* libvirt told of a change of this VM's state. Any thread, without vms->lock. */
void migration_news(struct vm *vm);
/* libvirt told that an outgoing migration is done. Any thread, without vms->lock. */
void migration_completed(struct vm *vm, virTypedParameterPtr params, int n);
/* The domain was found paused by a migration. true: it is still being filled from another host, and is waited for; false: it leaves. Worker. */
bool migration_adopt(struct vm *vm);
/* VM.destroy ends a VM: what waits for it to arrive is over. */
void migration_destroyed(struct vm *vm);
/* VM.pause of a VM that moves: it will be paused in the end, wherever that is. true: it arrives, nothing more can be done now. */
bool migration_pause_on_arrival(struct vm *vm);
/* Its domain's metadata say that it did not run since it arrived; it did. */
bool migration_is_inert(const char *xml);
void migration_has_run(struct vm *vm);
/* Lock held. */
int migration_locked_progress(const struct vm *vm);             /* %, -1: it does not leave */
bool migration_locked_postcopy(const struct vm *vm);            /* it leaves, and runs on the other side already */
void migration_unref(void *migration);

/* ---- among the migration*.c ---- */

struct migration_settings {
	int outgoing_limit, incoming_limit, bandwidth, downtime_ms;
	bool tls, encrypted;
	const char *address;                     /* NULL: where the other agent found us */
	int64_t look_usec, arrival_usec, postcopy_usec;
};

struct migrations {
	struct vms *vms;
	struct migration_settings settings;
	GHashTable *outgoing;                    /* job id -> struct migration, while it is under way; under vms->lock */
	GHashTable *withdrawn;                   /* ids of migrations that are not to come here any more -> when, in s. Under vms->lock */
	int64_t reached;                         /* bytes/s of the last one that ended well; 0: none yet. Under vms->lock */
};

enum migration_phase { PHASE_QUEUED, PHASE_PREPARING, PHASE_RUNNING, PHASE_FINISHING, PHASE_OVER };
/* virDomainMigrateToURI3(), which has a thread of its own: not called (by this process), out, back */
enum migration_call { CALL_NONE, CALL_OUT, CALL_BACK };

/* One that leaves. The VM holds it, as its last one also when it is over. */
struct migration {
	int refs;                                /* atomic */
	char job[37], vm_id[37];
	char *host, *dst;                        /* of the other agent; as it was given */
	char *address;                           /* the other agent wants its memory there; NULL: host. Job's lane only */
	int64_t resume_usec;                     /* a broken post-copy: not continued before. Job's lane only */
	int port;
	struct migrate_options *options;

	/* Below: under vms->lock. */
	enum migration_phase phase;
	bool known;                              /* a VM had it, in this process: if none has it now, it was destroyed */
	bool placed;                             /* counts against the limit */
	bool canceled, given_up, postcopy;       /* given_up: aborted by the schedule */
	int64_t queued_msec;                     /* wall: the order in the queue */
	int64_t retry_usec;                      /* the other host had no room: not before */
	int64_t begun_msec, ended_msec;          /* wall */
	struct migration_schedule *schedule;     /* in force */
	int code;                                /* of getMigrationStatus */
	char *message;
	int progress, max_downtime, max_bandwidth;      /* %, ms, MiB/s */
	int64_t downtime;                        /* -1: not known */
	int64_t total, processed, remaining, bandwidth, dirty_rate, iteration;      /* bytes, bytes/s */
	enum migration_call call;
	bool call_good;
	int call_code;                           /* libvirt's */
	char *call_error;
};

struct migration *migration_ref(struct migration *m);
static inline void migration_unref_at(struct migration **m)
{
	migration_unref(*m);
}
#define AUTO_MIGRATION __attribute__((cleanup(migration_unref_at), unused)) struct migration *

/* The VM, when this is its migration; NULL: it was destroyed, or made anew. A reference. */
struct vm *migration_vm(struct vms *vms, const struct migration *m);
/* One that is under way, from its job's id; a reference or NULL. */
struct migration *migration_find(struct vms *vms, const char *job);
/* From a job's request; in the table. */
struct migration *migration_new(struct vms *vms, const char *job, const struct migrate_params *params, int64_t queued_msec, GError **error);
/* A place in the limit: false: it must wait, and is woken. */
bool migration_take_place(struct vms *vms, struct migration *m, bool force);
void migration_leave_place(struct vms *vms, struct migration *m);
void migration_set_phase(struct vms *vms, struct migration *m, enum migration_phase phase);
void migration_cancel(struct vms *vms, struct migration *m);
bool migration_is_canceled(struct vms *vms, const struct migration *m);
/* How it ended, for getMigrationStatus. It leaves the table and its place. */
void migration_over(struct vms *vms, struct migration *m, int code, const char *message);
void migration_publish(struct vms *vms, const struct migration *m);      /* |virt|VM_migration_status|, lock held */
/* It does not leave any more: Up or Paused, as libvirt has it. Worker. */
void migration_stay(struct vm *vm);
unsigned long long migration_speed(int mib);                             /* libvirt's number for MiB/s, 0 being no limit */

/* migration_job.c */
extern const struct job_kind migration_kind, migration_undo_kind;
json_t *migration_request(struct vm *vm, const struct migrate_params *params, int64_t queued_msec, const char *flow_id);      /* new reference */

/* migration_call.c: what libvirt is asked. fitted: the other agent's domain XML. Worker. */
bool migration_call_begin(struct vms *vms, struct migration *m, const char *fitted, GError **error);
/* The same for a post-copy that broke. */
bool migration_call_resume(struct vms *vms, struct migration *m, GError **error);
/* The domain as it is sent to the other agent: migratable, with passwords; g_free */
char *migration_domain_xml(virDomainPtr domain, GError **error);

/* migration_monitor.c */
/* Reads the numbers, does what the schedule says. false: libvirt has no outgoing migration of it under way. */
bool migration_look(struct vms *vms, struct migration *m, struct job *job, json_t *state, virDomainPtr domain);
bool migration_start_actions(struct vms *vms, struct migration *m, virDomainPtr domain, GError **error);
struct migration_stats *migration_locked_stats(const struct migration *m);      /* one reference */
bool migration_forecast_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* migration_incoming.c */
void migration_found_arriving(struct vm *vm);      /* has it waited for, if no job does that yet */
extern const struct job_kind incoming_kind;
bool migration_create_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool migration_arrival_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
