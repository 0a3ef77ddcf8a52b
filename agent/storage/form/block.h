/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_FORM_BLOCK_H
#define BERTH_AGENT_STORAGE_FORM_BLOCK_H
/*
 * Domains in volume groups: form_block.c has their volumes, picture.c what LVM says of a group, block_active.c which LVs are active here, block_size.c how
 * large they are, block_master.c what the pool's manager keeps, block_lock.c who may change a group; block_domain.c makes and changes the domains themselves.
 * Only agent/storage uses this.
 */
#include "agent/storage/form/group.h"

#define BLOCK_CHUNK (INT64_C(1) << 30)   /* a thin volume begins with this and grows by it */
#define BLOCK_SPECIAL "metadata", "ids", "leases", "xleases", "inbox", "outbox"        /* a domain's own LVs, but master */

struct lv { char *name; int64_t size; char **tags; };

/* ---- picture.c ---- */
/* The group's rows of `lvs`, as struct block needs them, of now; shared, not to be changed. NULL + error; new reference */
json_t *picture_rows(struct storage *storage, const char *name, const GPtrArray *paths, GError **error);

/* What is known of the group since the domain was opened, or block_reload() was called. */
struct block {
	struct storage *storage;
	GPtrArray *paths;                /* its devices */
	char *group_id, **tags;
	int64_t size, free, extent, mda_size, mda_free;
	bool partial;
	GHashTable *lvs;                 /* name -> struct lv */
};

/* Makes domain->block; ret_text: the domain's metadata. */
bool block_load(struct domain *domain, struct storage *storage, GPtrArray *paths, char **ret_text, GError **error);
bool block_reload(const struct domain *domain, GError **error);
/* The volume, if it is this image's or one that this image's are based on. Looks again when it is not in the picture. ERR_VOLUME_DOES_NOT_EXIST */
const struct lv *block_find(const struct domain *domain, const char *image, const char *volume, GError **error);
/* "/dev/<domain>/<name>", "<domain>/<name>". g_free */
char *block_lv_path(const struct domain *domain, const char *name);
char *block_lv_name(const struct domain *domain, const char *name);
/* lvm with these words, NULL-terminated, on the devices of the domain; of a change of LVM's metadata: block_change() */
bool block_lvm(const struct domain *domain, enum error_code code, GError **error, ...) G_GNUC_NULL_TERMINATED;
/* The group's tags say what values say, with one more, without another one (NULL: none); in one change. */
bool block_save_tags(const struct domain *domain, metadata *values, const char *add, const char *remove, GError **error);

/* ---- block_lock.c ---- */
/* The one host that may change LVM's metadata of the group now is this one, until block_unlock(). ERR_ACQUIRE_LOCK_FAILURE: the message says who is */
bool block_lock(const struct domain *domain, GError **error);
void block_unlock(const struct domain *domain);
/* As block_lvm(), between block_lock() and block_unlock(). */
bool block_change(const struct domain *domain, enum error_code code, GError **error, ...) G_GNUC_NULL_TERMINATED;
/* Is this host the one for verbs of the pool? Anyone is for a domain in files. ERR_SPM_STATUS_ERROR */
bool block_check_manager(struct storage *storage, const char *id, GError **error);

/* ---- block_active.c ---- */
bool block_wake(const struct domain *domain, GError **error);
bool block_activate(const struct domain *domain, const char *volume, GError **error);
char *block_link_directory(const struct domain *domain, const char *image);      /* g_free */
bool block_hold(const struct domain *domain, const char *image, const char *volume, bool write, char **ret_path, GError **error);
void block_release(const struct domain *domain, const char *image, const char *volume);
/* One hold of each of the volumes (char *) becomes this VM's, if it has none yet; else it is given back. */
void block_give(const struct domain *domain, const char *vm, const GPtrArray *volumes);
/* Such a hold of one volume; none: fine. */
void block_take_one_back(struct storage *storage, const char *vm, const char *domain, const char *volume);
/* All that this VM holds, in any domain, is not held any more. */
void block_take_back(struct storage *storage, const char *vm);
/* Deactivates the volumes that nobody holds and nobody has open. */
void block_idle(const struct domain *domain);
/* Deactivates all that nobody has open. */
void block_rest(const struct domain *domain);

/* ---- block_size.c ---- */
bool block_fit(const struct domain *domain, const char *image, const char *volume, int64_t bytes, bool shrink, GError **error);

/* ---- block_master.c ---- */
int block_open_master(const struct domain *domain, GError **error);

/* ---- block_domain.c ---- */
bool block_create(struct storage *storage, const struct domain_create_params *params, metadata *values, GError **error);
bool block_remove(struct storage *storage, const struct domain *domain, GError **error);
#define BLOCK_VERB(name) bool name(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
BLOCK_VERB(block_extend_verb);
BLOCK_VERB(block_resize_verb);
BLOCK_VERB(block_reduce_verb);
BLOCK_VERB(block_move_verb);
void block_register(struct storage *storage);

#endif
