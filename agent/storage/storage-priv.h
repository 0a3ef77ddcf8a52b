/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_STORAGE_PRIV_H
#define BERTH_AGENT_STORAGE_STORAGE_PRIV_H
/* What the files of agent/storage share; nothing else includes this, but its unit tests. */
#include <inttypes.h>
#include <pthread.h>
#include "agent/jobs.h"
#include "agent/storage/files.h"
#include "agent/storage/metadata.h"
#include "agent/storage/storage.h"
#include "common/lock.h"
#include "proto/storage.h"

#define STORAGE_HEALTH_USEC (10 * G_USEC_PER_SEC)
/* Names of half-made and half-removed things; no UUID, so nobody takes them for one. */
#define NEW_PREFIX ".berth-new-"
#define REMOVED_PREFIX ".berth-del-"
#define DIR_LINKS "mnt"                  /* <repository>/mnt: one link per connection */
#define DIR_METADATA "dom_md"
#define DIR_IMAGES "images"

struct storage {
	int refs;                        /* atomic: jobs in lanes hold one each */
	struct agent *agent;
	char *repository;
	pthread_mutex_t lock;            /* guards the three tables; held for look-ups only, never while storage is touched */
	GHashTable *places;              /* domain id -> directory of the connection it was seen in last */
	GHashTable *watched;             /* domain id -> struct watched: the domains that are active here */
	GHashTable *changing;            /* domain id -> pthread_mutex_t, see volume_change(); entries stay */
	struct timer *timer;             /* loop */
};
struct storage *storage_ref(struct storage *storage);
void storage_unref(void *storage);

/* ---- connection.c ---- */
/* The directory as it is named everywhere: absolute, no "//", "." and "..". ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH. g_free */
char *connection_path(const char *text, GError **error);
/* Name of its link: no two paths share one. g_free */
char *connection_link_name(const char *path);
bool connection_exists(struct storage *storage, const char *path);
/* The directories of all connections (char *), g_ptr_array_unref; NULL + error */
GPtrArray *connection_list(struct storage *storage, GError **error);
/* Opens the directory and checks that it can be written: ERR_STORAGE_SERVER_VALIDATION_ERROR, ..._ACCESS_PERMISSION_ERROR; -1 + error */
int connection_open(const char *path, GError **error);
bool connection_connect_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool connection_disconnect_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* ---- domain.c: one domain on disk ---- */
struct domain {
	char *id, *mount, *path;         /* path: mount/id */
	int fd;                          /* of path */
	metadata *values;
	pthread_mutex_t *changing;       /* the storage's, of this id */
};
struct domain *domain_free(struct domain *domain);
static inline void domain_drop(struct domain **domain)
{
	domain_free(*domain);
}
#define autodomain __attribute__((cleanup(domain_drop))) struct domain *

/* Finds the domain in the connections and reads its metadata: ERR_STORAGE_DOMAIN_DOES_NOT_EXIST, ERR_META_DATA_SEAL_IS_BROKEN, ... */
struct domain *domain_open(struct storage *storage, const char *id, GError **error);
/* As domain_open(), of a domain that is active on this host: else ERR_STORAGE_DOMAIN_NOT_ACTIVE */
struct domain *domain_open_active(struct storage *storage, const char *id, GError **error);
/* Writes domain->values. */
bool domain_save(struct domain *domain, GError **error);
const char *domain_pool(const struct domain *domain);      /* "" when unattached */
/* Makes the domain in the directory of a connection; all or nothing. */
bool domain_create(struct storage *storage, const struct domain_create_params *params, GError **error);
bool domain_remove(struct storage *storage, struct domain *domain, GError **error);
/* Removes what a killed creation or removal left in a connection's directory; nothing while another process is at it. */
void domain_sweep(int mount_fd);
bool domain_check_layout(const struct domain *domain, GError **error);
/* Reads and checks a metadata block past the page cache. false + error */
bool domain_probe(const char *path, int *ret_version, GError **error);
char *domain_lane(const char *id);                         /* g_free */

/* ---- pool.c: domains and pools, which domains are active on this host ---- */
/* The pool a domain is active in here; NULL: it is not. g_free */
char *pool_of_active(struct storage *storage, const char *domain);
bool pool_attach(struct storage *storage, struct domain *domain, const char *pool, GError **error);
bool pool_activate(struct storage *storage, struct domain *domain, const char *pool, GError **error);
bool pool_deactivate(struct storage *storage, const char *domain, const char *pool, GError **error);
bool pool_detach(struct storage *storage, struct domain *domain, const char *pool, bool force, GError **error);
/* Fills storage->watched from the links. */
bool pool_load(struct storage *storage, GError **error);

/* ---- health.c ---- */
struct watched { char *pool, *mount; bool busy; int64_t checked_usec, delay_usec; int code, version; };
struct watched *watched_new(const char *pool, const char *mount);      /* mount: directory of its connection */
void watched_free(void *watched);
void health_check(struct storage *storage, const char *domain);      /* now, on this thread */
void health_arm(struct storage *storage);                            /* any thread */
void health_tick(void *storage);                                     /* the timer */

/* ---- volume.c, volume_create.c, volume_delete.c ---- */
#define VOLUME_SIZE_MAX (INT64_C(1) << 53)      /* 8 PiB: beyond what a file can have anywhere; a number in JSON is still exact */
#define VOLUME_SIZE_STEP 4096
#define VOLUME_DESCRIPTION_MAX 210
#define VOLUME_CHAIN_MAX 256
#define VOLUME_LEASE_SIZE (1024 * 1024)

int volume_open_image(const struct domain *domain, const char *image, GError **error);     /* directory; ERR_VOLUME_DOES_NOT_EXIST */
/* Metadata of a volume; image_fd: its image's directory. ERR_VOLUME_DOES_NOT_EXIST, ERR_INVALID_METADATA */
metadata *volume_read(int image_fd, const char *volume, GError **error);
bool volume_save(int image_fd, const char *volume, metadata *values, GError **error);
/* Sets values of a volume that is there ("KEY", value, ..., NULL), one such change in a domain at a time: its lane and the VMs' lanes make them. */
bool volume_change(const struct domain *domain, int image_fd, const char *volume, GError **error, ...) G_GNUC_NULL_TERMINATED;
GPtrArray *volume_children(const struct domain *domain, int image_fd, const char *image, const char *volume, GError **error);  /* char * */
/* LEAF or INTERNAL by its children; SHARED stays. */
bool volume_retype(const struct domain *domain, const char *image, const char *volume, GError **error);
/* Is somebody's QEMU at it? (its locks on the file) */
bool volume_in_use(int image_fd, const char *volume);
/* What the file itself says: must be qcow2 with this backing name (NULL: none) and no data file, or raw. ERR_IMAGE_IS_NOT_LEGAL_CHAIN */
bool volume_check_header(int image_fd, const char *volume, const char *format, const char *backing, GError **error);
/* The backing name in the file of a qcow2 volume; "" when there is none. NULL + error. g_free */
char *volume_backing(int image_fd, const char *volume, GError **error);
char *volume_meta_name(const char *volume);
char *volume_lease_name(const char *volume);
/* Names of the directories in images/ where a volume is made or removed: prefix, image, '.', volume. g_free */
char *volume_work_name(const char *prefix, const char *image, const char *volume);
/* Removes what a creation that did not finish has left; ret false + errno */
bool volume_undo_create(const struct domain *domain, int images_fd, const char *image, const char *volume);
/* Carries a removal that has begun to its end. */
bool volume_finish_delete(const struct domain *domain, int images_fd, const char *image, const char *volume);
/* Writes zeros from..to; progress and cancel through job (NULL: none). false + errno (ECANCELED) */
bool volume_write_zeros(int fd, int64_t from, int64_t to, struct job *job);
/* Finishes or undoes what a killed creation or removal left in images/. */
void volume_sweep(const struct domain *domain);
bool volume_create_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool volume_delete_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool volume_info_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool volume_size_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* ---- image.c ---- */
GPtrArray *image_list(const struct domain *domain, GError **error);       /* char * */
bool image_prepare(const struct domain *domain, const char *image, const char *volume, bool allow_illegal, char **ret_path,
		   const char **ret_format, GError **error);
bool image_prepare_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool image_teardown_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
