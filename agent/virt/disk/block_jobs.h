/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DISK_BLOCK_JOBS_H
#define BERTH_AGENT_VIRT_DISK_BLOCK_JOBS_H
/* What the jobs on the disks of running VMs share: snapshot.c, merge.c, replicate.c. Theory of operation in each. */
#include "agent/jobs.h"
#include "agent/virt/change/live.h"
#include "agent/virt/disk/disk_chain.h"
#include "proto/snapshot.h"

#define BLOCK_JOB_LOOK_USEC (1 * G_USEC_PER_SEC)           /* how often a job that runs is asked how far it is */
#define BLOCK_JOB_RETRY_USEC (5 * G_USEC_PER_SEC)          /* storage or libvirt did not answer */

extern const struct job_kind snapshot_kind, merge_kind, replicate_kind;

/* At start: from here on jobs of these kinds can be begun and resumed. */
void block_jobs_register(struct vms *vms);
/* The agent has started and found the VM: which jobs there are is known (lane) after jobs_resume() has put them on its lane. */
void block_jobs_unknown(struct vm *vm);
void block_jobs_known(struct vm *vm, void *unused);
/* For VM.getStats, lock held: vmJobs; NULL: not known yet. New reference. */
json_t *block_jobs_locked(const struct vm *vm);
/* One job of vmJobs as it is now; NULL: it is over. entry is taken over. */
void block_jobs_tell(struct vm *vm, const char *job_id, json_t *entry);
bool block_jobs_told(struct vm *vm, const char *job_id);

/* ---- ids ---- */
json_t *block_jobs_ids(const struct disk_spec *spec);      /* {poolID, domainID, imageID, volumeID}, those that are given */
struct disk_key block_jobs_key(const json_t *ids);         /* points into ids; "target" may be one of them */
/* The volume's ids become those of the disk in the metadata, and nothing is left of a replication; live_keep() makes it count. */
void block_jobs_set_ids(struct live *live, const char *target, const json_t *ids);

/* ---- what a job is about, as it is now ---- */
struct block_job {
	struct vm *vm;
	struct live *live;
	GPtrArray *chains;                                 /* struct disk_chain */
};
void block_job_clear(struct block_job *b);
#define AUTO_BLOCK_JOB __attribute__((cleanup(block_job_clear))) struct block_job
/* Lane. An error that block_job_is_lost() says is final: the VM does not run. Any other: it cannot be said now, try again. b starts zeroed. */
bool block_job_open(struct block_job *b, struct vms *vms, const char *vm_id, GError **error);
bool block_job_read(struct block_job *b, GError **error);                 /* anew */
bool block_job_is_lost(const GError *error);
/* Is another job of the kind under way whose request has member = value? self: the id that does not count; may be NULL. */
bool block_jobs_any(struct vms *vms, const struct job_kind *kind, const char *member, const char *value, const char *self);
/* Bytes done and to be done, MiB/s. ret_running false: libvirt has no job on the disk. */
struct block_job_state { bool running; int64_t done, all; int bandwidth; };
bool block_job_state(struct block_job *b, const char *target, struct block_job_state *ret_state, GError **error);
int block_job_percent(const struct block_job_state *state);

/* ---- snapshot.c; lock held ---- */
bool snapshot_is_out(const struct vm *vm);                                 /* a pause that libvirt tells of is the snapshot's own */
void snapshot_forget(struct vm *vm);

/* The verbs' handlers. */
bool snapshot_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool merge_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool replicate_start_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool replicate_finish_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
