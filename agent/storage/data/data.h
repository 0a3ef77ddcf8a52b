/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_DATA_DATA_H
#define BERTH_AGENT_STORAGE_DATA_DATA_H
/* What the files of agent/storage that move data share. Theory of operation in data.c. */
#include "agent/storage/form/form.h"
#include "agent/storage/qemu_img.h"
#include "agent/storage/storage-priv.h"
#include "proto/volume.h"

#define VOLUME_GENERATION_MAX 999               /* as vdsm's; 0 follows */

/* ---- claim.c: which jobs work with an image ---- */
struct claim { const char *domain, *image; bool write; };
/* All of them or none. ERR_VOLUME_IS_BUSY: another job changes one, or reads one that is to be changed. */
bool claim_take(struct storage *storage, const struct claim *claims, size_t n, GError **error);
/* Jobs that wait for one are woken. */
void claim_drop(struct storage *storage, const struct claim *claims, size_t n);
/* For what is done at once: is the image free for it now? */
bool claim_check(struct storage *storage, const char *domain, const char *image, bool write, GError **error);

/* ---- data.c: jobs that change the data of a volume ---- */

#define DATA_CLAIMS_MAX 4
/* One job while it runs. */
struct data_run {
	struct storage *storage;
	struct job *job;
	json_t *state;
	const void *params;                     /* the request, a record */
	struct claim claims[DATA_CLAIMS_MAX];
	size_t n_claims;
	/* the volume that is changed; volume NULL: none, the job does without a volume's generation */
	const char *domain_id, *image, *volume;
	int generation;                         /* the one it must have; -1: any */
	const struct endpoint *guarded;         /* data elsewhere that are written under a lease (lease/job_lease.h); NULL: none */
	struct domain *domain;
	metadata *values;                       /* of the volume */
	bool again;                             /* the agent ended meanwhile: work was begun before */
};
struct data_kind {
	struct job_kind kind;                   /* run: a function that calls data_run() */
	const struct record_type *params;
	bool illegal;                           /* the volume is illegal from before the first change until all of it is done */
	bool quiet;                             /* the generation does not go up */
	void (*target)(struct data_run *run);   /* fills claims, ids, generation from params */
	bool (*find)(struct data_run *run, GError **error);     /* fills volume, when the request need not name it; NULL: target() did */
	/* In this order. check: before the first effect, once. work: may be repeated from its beginning. finish (may be NULL): metadata of other volumes. */
	bool (*check)(struct data_run *run, GError **error);
	bool (*work)(struct data_run *run, GError **error);
	bool (*finish)(struct data_run *run, GError **error);
};
enum job_run data_run(const struct data_kind *kind, struct job *job, json_t *state, void *storage, GError **error);
#define DATA_KIND_RUN(symbol) \
	static enum job_run symbol##_run(struct job *job, json_t *state, void *storage, GError **error) { return data_run(&symbol, job, state, storage, error); }

/* Starts a job on the image's own lane; id NULL: a new one. ret_id may be NULL. */
bool data_begin(struct agent *agent, const struct data_kind *kind, const void *params, const char *verb, const char *id, char **ret_id, GError **error);
/* The same, as a storage task: its id is the answer. */
bool data_task(struct agent *agent, const struct data_kind *kind, const void *params, const char *verb, const char *id, GString *ret_result, GError **error);
/* Its handler. */
#define DATA_TASK_VERB(name, kind, verb) \
	static bool name##_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error) \
	{ \
		return data_task(agent, &kind, data, verb, /* id= */ NULL, ret_result, error); \
	}
/* The same without a pool's manager: params are a struct volume_call, whose job_id is the job's, if there is one. */
bool data_own_job(struct agent *agent, const struct data_kind *kind, const void *params, const char *verb, GString *ret_result, GError **error);
/* For targets of kinds whose params are a struct volume_call: its image is claimed; and it is its volume that is changed. */
void data_target_image(struct data_run *run, bool write);
void data_target_volume(struct data_run *run);
/* All kinds of data jobs; once, at start. */
void data_register(struct storage *storage);

int data_next_generation(int generation);
struct qemu_img_work data_work(const struct data_run *run, int from, int to);

/* ---- chain_data.c: volumes whose data are used ---- */

/* A chain made reachable: every volume of it held, its headers checked. */
struct chain_hold { struct domain *domain; const char *image; GPtrArray *volumes; bool write; char *path; const char *format; };
/* volume and what lies below it; only the first is writable. allow_illegal: a volume that is being written, or was. */
bool chain_hold(struct chain_hold *hold, struct domain *domain, const char *image, const char *volume, bool write, bool allow_illegal, GError **error);
/* As chain_hold(), for writing into a chain that is being made: any of its volumes may be illegal. */
bool chain_hold_all(struct chain_hold *hold, struct domain *domain, const char *image, const char *volume, GError **error);
/* How much a guest reads of a raw volume, whose logical volume is made of whole extents; 0: it is not raw, or not known. */
int64_t chain_raw_size(const struct chain_hold *hold);
void chain_release(struct chain_hold *hold);
void chain_keep(struct chain_hold *hold);        /* forgets it: the volumes stay held */
/* The volumes from volume down to the root, char *; checked for loops. g_ptr_array_unref */
GPtrArray *chain_list(const struct domain *domain, const char *image, const char *volume, GError **error);
/* A qcow2 image that seems to be cut off (image_header.h): is it whole all the same? ERR_IMAGE_IS_NOT_LEGAL_CHAIN */
bool image_is_whole(const char *path, GError **error);
/* "qcow2" or "raw" */
const char *volume_format(metadata *values);
bool volume_has_parent(metadata *values);

/*
 * After data were written into a volume: all is on the storage, and a preallocated volume has its blocks also where zeros became holes. written: up to where,
 * when a stream was: what is beyond reads as zeros; VOLUME_WHOLE: all of it. job: whose cancel ends it; NULL: nobody's.
 */
#define VOLUME_WHOLE (-1)
bool volume_settle(const struct domain *domain, const char *image, const char *volume, int64_t written, struct job *job, GError **error);

/* ---- endpoint.c: sources and targets of copies ---- */
struct end {
	struct domain *domain;          /* NULL: data elsewhere */
	metadata *values;
	struct chain_hold hold;
	char *path;                     /* what qemu-img gets */
	const char *format;
	int64_t capacity;               /* 0: not known */
	char *file;                     /* a file that is to be made; path: its name until it is whole */
};
#define END_NONE { .path = NULL }
bool end_check(const struct endpoint *endpoint, const char *name, GError **error);      /* are the members there? */
/* Where a file is written and one of that name is there already: ERR_IMAGE_PATH_ERROR, unless again. */
bool end_open(struct storage *storage, const struct endpoint *endpoint, bool write, bool again, struct end *ret_end, GError **error);
/* A file that was made gets its name. replace: one of that name is of this job, from before the agent was killed. */
bool end_publish(struct end *end, bool replace, GError **error);
void end_close(struct end *end);                /* a file that was not published is removed */

extern const struct data_kind sdm_copy_kind, sdm_update_kind, sdm_amend_kind, sdm_sparsify_kind, sdm_merge_kind, sdm_add_bitmap_kind,
	sdm_remove_bitmap_kind, sdm_clear_bitmaps_kind, merge_prepare_kind, merge_finalize_kind,
	volume_extend_kind, volume_shrink_kind, volume_reduce_kind, image_delete_kind, image_delete_volumes_kind, image_move_kind, image_clone_kind,
	image_sync_kind, volume_convert_kind, volume_compact_kind, volume_parent_kind, volume_copy_kind, volume_compare_kind;

/* ---- volume_size.c: room on block storage ---- */
/* The volume has no more than it needs; leaf: and a chunk to be written. Not while it is in use. */
bool volume_give_back(const struct domain *domain, const char *image, const char *volume, bool leaf, GError **error);
/* The most bytes a qcow2 volume can need: its data and a tenth for tables, vdsm's QCOW_OVERHEAD_FACTOR. */
int64_t volume_largest(metadata *values);

/* ---- sdm.c: checks and work of kinds ---- */
bool volume_check_idle(struct data_run *run, GError **error);            /* nobody has it open, and its data may be changed */
bool volume_sparsify(struct data_run *run, GError **error);              /* zeros in the volume's data become holes */
bool volume_check_idle_leaf(struct data_run *run, GError **error);       /* and no volume is based on it */

/* ---- volume_convert.c, volume_parent.c, volume_items.c, volume_look.c: verbs of our own ---- */
#define OWN_VERB(name) bool volume_##name##_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
OWN_VERB(convert);
OWN_VERB(compact);
OWN_VERB(parent);
OWN_VERB(dependencies);
OWN_VERB(check);
OWN_VERB(map);
OWN_VERB(compare);
OWN_VERB(set_item);
OWN_VERB(get_item);
OWN_VERB(list_items);
OWN_VERB(delete_item);
/* Notes of the agent's own among them; value NULL: removed. On block storage nothing is noted. */
#define VOLUME_NOTE_PREFIX "berth."
bool volume_note(const struct domain *domain, const char *image, const char *volume, const char *key, const char *value, GError **error);
char *volume_noted(const struct domain *domain, const char *image, const char *volume, const char *key);      /* NULL: it is not there; g_free */
/* The items of a volume in its twin in another domain. */
bool volume_copy_items(const struct domain *from, const struct domain *to, const char *image, const char *volume, GError **error);

/* ---- volume_create.c, volume_delete.c ---- */
/* Makes a blank volume with these metadata, of which `allocated` bytes are there at once; what fails is to be undone by volume_undo(). */
bool volume_build(const struct domain *domain, const struct volume_draft *draft, metadata *values, int64_t allocated, struct job *job, GError **error);
/* Tells storage that has the blocks that nobody needs them; files give theirs back when they are removed. What fails is only a loss of room: logged. */
void volume_discard(const struct domain *domain, const char *image, const char *volume);

/* ---- image_delete.c ---- */
/* Removes the volumes, in this order; those that are gone are fine. May be repeated. */
bool image_remove_volumes(struct domain *domain, const char *image, json_t *volumes, bool zero, bool discard, GError **error);
/* Ids of an image's own volumes, children first: [id]. NULL + error; ERR_IMAGE_DOES_NOT_EXIST_IN_SD */
json_t *image_own_volumes(struct domain *domain, const char *image, GError **error);

/* ---- volume_verbs.c, volume_size.c ---- */
char *volume_description(const char *text);      /* what is kept of it: VOLUME_DESCRIPTION_MAX bytes. g_free */
/* Are the data what the metadata say, and harmless? ERR_IMAGE_VERIFICATION_ERROR */
bool volume_verify(struct domain *domain, const char *image, const char *volume, GError **error);
bool volume_smallest_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
