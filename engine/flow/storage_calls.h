/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_STORAGE_CALLS_H
#define BERTH_ENGINE_STORAGE_CALLS_H
/*
 * The agent's storage verbs as the flows need them: each may be repeated, and answers true when what it is for is the case. (The channel's codes of storage
 * types have the names of the model's: that is why they stay inside storage_calls.c.)
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "engine/engine.h"

/* Who calls what. */
struct storage_call {
	struct engine *engine;
	const char *host_id;
	const char *flow_id;
	int patience_s;                      /* agent.h */
};

/* ---- connections: target as in storage_target.h ---- */
bool storage_connect(const struct storage_call *call, const json_t *target, GError **error);
bool storage_disconnect(const struct storage_call *call, const json_t *target, GError **error);

/* ---- domains ---- */
/* The channel's code of a type of storage by its name; 0: none */
int storage_wire_type(const char *name);
/* flavor: data, iso, export; target: the connection that it is made on */
bool storage_create(const struct storage_call *call, const char *domain_id, const char *name, const char *flavor, const json_t *target, GError **error);
/* A data domain in a volume group that was made for it. */
bool storage_create_in(const struct storage_call *call, const char *domain_id, const char *name, const char *type, const char *group, GError **error);
/* What the storage says of a domain that the host sees: its name and flavor. g_free both. */
bool storage_identify(const struct storage_call *call, const char *domain_id, char **ret_name, char **ret_flavor, GError **error);
/* The domain that is on the connection: its id (NULL: none), name and flavor. g_free all. */
bool storage_look(const struct storage_call *call, const json_t *target, char **ret_id, char **ret_name, char **ret_flavor, GError **error);
/* What an iSCSI portal offers: array of "address:port,group target". New reference. */
json_t *storage_discover(const struct storage_call *call, const char *address, int port, const char *username, const char *password, GError **error);
/* Files of an ISO domain: name -> about it. New reference. */
json_t *storage_files(const struct storage_call *call, const char *domain_id, GError **error);
/* Erases it; fine when it is not there. */
bool storage_format(const struct storage_call *call, const char *domain_id, GError **error);
/* verb: StorageDomain.attach, activate, deactivate, detach; force, for the last: also the master */
bool storage_pool_verb(const struct storage_call *call, const char *verb, const char *domain_id, const char *pool_id, bool force, GError **error);
/* Sizes of its file system. */
bool storage_sizes(const struct storage_call *call, const char *domain_id, int64_t *ret_total, int64_t *ret_free, GError **error);

/* ---- volumes without a parent ---- */
struct volume_place {
	const char *pool_id, *domain_id, *image_id, *volume_id, *description;
	int64_t size;
	bool cow, sparse;
	bool wipe;                           /* volume_remove(): overwrite with zeros first */
};
bool volume_create(const struct storage_call *call, const struct volume_place *volume, GError **error);
bool volume_remove(const struct storage_call *call, const struct volume_place *volume, GError **error);
struct volume_facts { char parent_id[37]; int64_t capacity, used, created_s; bool cow, sparse, good, shared; };
/* parent_id "": none; shared: a template's */
bool volume_describe(const struct storage_call *call, const struct volume_place *volume, struct volume_facts *ret_facts, GError **error);
bool volume_sizes(const struct storage_call *call, const struct volume_place *volume, int64_t *ret_capacity, int64_t *ret_used, GError **error);
bool volume_exists(const struct storage_call *call, const struct volume_place *volume, bool *ret_exists, GError **error);
/* What a guest reads from `from` goes into `to`, which volume_create() made for it. job_id: ours, new; again the same when it is repeated. */
bool volume_copy(const struct storage_call *call, const struct volume_place *from, const struct volume_place *to, const char *job_id, GError **error);
bool volume_copy_cancel(const struct storage_call *call, const char *job_id, GError **error);
/* The same, with a web server at the other end: its image, whose bytes are in the volume's own format, goes into the volume, and the volume's go there. */
struct web_place {
	const char *url;
	const json_t *headers;               /* {name: value}; secret */
	int64_t length;                      /* bytes; into a volume: as the server must have them; out of one: from the beginning; 0: all */
	const char *checksum;                /* "sha512:0f2e..." of what goes into a volume; NULL: not known */
};
bool volume_fetch(const struct storage_call *call, const struct web_place *from, const struct volume_place *to, const char *job_id, GError **error);
/* What was sent before is sent again: ask the server first. */
bool volume_send(const struct storage_call *call, const struct volume_place *from, const struct web_place *to, const char *job_id, GError **error);
/*
 * A cold merge: the data of the volume top go into the one it is based on, in three steps, each of which may be repeated. Until the last nothing is changed
 * for who reads top; after it nothing is based on top any more, and it can be removed.
 */
struct volume_merge { struct volume_place base; const char *top_id; };
bool volume_merge_prepare(const struct storage_call *call, const struct volume_merge *merge, GError **error);
bool volume_merge_data(const struct storage_call *call, const struct volume_merge *merge, const char *job_id, GError **error);
bool volume_merge_finish(const struct storage_call *call, const struct volume_merge *merge, GError **error);
/* Ids of its volumes; none: there is no such image. New reference. */
json_t *image_volumes(const struct storage_call *call, const char *pool_id, const char *domain_id, const char *image_id, GError **error);
/* All but this one go, which nothing is based on, nor it on them. */
bool image_keep_only(const struct storage_call *call, const struct volume_place *volume, GError **error);
/* All volumes of the image go, overwritten with zeros if wipe says so; fine when there is none. */
bool image_remove(const struct storage_call *call, const char *pool_id, const char *domain_id, const char *image_id, bool wipe, GError **error);

#endif
