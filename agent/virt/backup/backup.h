/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_BACKUP_BACKUP_H
#define BERTH_AGENT_VIRT_BACKUP_BACKUP_H
/* Backups of running VMs and their checkpoints. Theory of operation in backup.c. Workers only. */
#include "agent/storage/storage.h"
#include "agent/virt/disk/block_jobs.h"
#include "proto/backup.h"

/* From the start of a backup to its end; its request: {vmID, backupID, config, disks: the plan, freeze, process}. */
extern const struct job_kind backup_kind;

/* Makes run_dir/backup for the sockets and state_dir/scratch. ERR_IO_FAILED */
bool backup_make_dirs(struct agent *agent, GError **error);
/*
 * May something be done that does not go together with a backup? target: to that disk; NULL: to the VM as a whole. false + error with this code, which names
 * the backup; done: "migrated".
 */
bool backup_allows(struct vm *vm, const char *target, enum error_code code, const char *done, GError **error);

/* As storage_moment: of backups that run, from their requests. */
char *backup_moment(struct agent *agent, const struct storage_disk *disk, const char *moment, GError **error);

/* ---- what a backup is to be (backup_plan.c) ---- */

/*
 * The disks of a config as they are now: [{target, imageID, scratch (path), block, size, own: ours to make and to remove, volume?: {domainID, imageID,
 * volumeID} that the scratch disk is, marks?: see marks_plan()}], in the order of config->disks.
 * New reference; NULL + ERR_BACKUP_ERROR: one is not there, or cannot be backed up now, or not so.
 */
json_t *backup_plan(struct block_job *b, const struct backup_config *config, GError **error);
/* The scratch files that are ours. ERR_BACKUP_ERROR */
bool backup_make_scratch(const json_t *plan, GError **error);
void backup_remove_scratch(const json_t *plan);
/* <domainbackup>; g_free */
char *backup_xml(const struct backup_config *config, const json_t *plan, const char *socket);
/* <domaincheckpoint> of the config's to_checkpoint_id; chains: all disks of the VM. NULL: the config asks for none. g_free */
char *backup_checkpoint_xml(const struct backup_config *config, const GPtrArray *chains);

/* ---- what changed since a checkpoint, when the disk was made larger above a snapshot (marks.c) ---- */

#define MARKS_PREFIX "berth-joined-"             /* of checkpoints and bitmaps that are nobody else's business */
/* The disk's entry in the plan gets "marks" when libvirt cannot count what changed since the checkpoint. ERR_BACKUP_ERROR */
bool marks_plan(struct block_job *b, const struct disk_chain *chain, const char *checkpoint, json_t *planned, GError **error);
bool marks_any(const json_t *plan);
/* Makes a checkpoint for those disks of the plan; of it stays nothing but what marks_drop() removes, which may be repeated. backup: its id. ERR_BACKUP_ERROR */
bool marks_join(struct block_job *b, const json_t *plan, const char *checkpoint, const char *backup, GError **error);
bool marks_drop(struct block_job *b, const json_t *plan, const char *backup, GError **error);
/* The same when the VM has ended; request: of the backup's job. What fails is logged. */
void marks_drop_stored(struct storage *storage, const json_t *request);
/* The checkpoint that libvirt is told of for this disk. g_free */
char *marks_since(const json_t *planned, const struct backup_config *config);

/* ---- checkpoint.c ---- */

/* libvirt's description of it. g_free; NULL + ERR_NO_SUCH_CHECKPOINT_ERROR, ERR_CHECKPOINT_ERROR */
char *checkpoint_describe(virDomainPtr domain, const char *id, GError **error);
bool checkpoint_is_known(virDomainPtr domain, const char *id);
/* Tells libvirt of one whose bitmaps are there. false: libvirt's last error says why. */
bool checkpoint_define(virDomainPtr domain, const char *xml);
/* false: libvirt's last error says why; one that is not there is deleted. */
bool checkpoint_delete(virDomainPtr domain, const char *id);
bool checkpoints_list_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool checkpoints_redefine_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool checkpoints_delete_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool checkpoint_dump_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
