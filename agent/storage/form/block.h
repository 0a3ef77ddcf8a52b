/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_FORM_BLOCK_H
#define BERTH_AGENT_STORAGE_FORM_BLOCK_H
/* Domains in volume groups: form_block.c has their volumes, block_domain.c makes and changes the domains themselves. Only agent/storage uses this. */
#include "agent/storage/form/group.h"

#define BLOCK_CHUNK (INT64_C(1) << 30)   /* a thin volume begins with this and grows by it */

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
/* lvm with these words, NULL-terminated, on the devices of the domain */
bool block_lvm(const struct domain *domain, enum error_code code, GError **error, ...) G_GNUC_NULL_TERMINATED;
/* The group's tags say what values say, with one more, without another one (NULL: none); in one change. */
bool block_save_tags(const struct domain *domain, metadata *values, const char *add, const char *remove, GError **error);
/* The volume has at least these bytes, on this host, too. ERR_NO_SPACE_LEFT_ON_DOMAIN */
bool block_extend_volume(const struct domain *domain, const char *image, const char *volume, int64_t bytes, GError **error);
/* Deactivates what nobody has open. */
void block_rest(const struct domain *domain);

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
