/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_STORAGE_PRIV_H
#define BERTH_AGENT_STORAGE_STORAGE_PRIV_H
/* What the files of agent/storage share; nothing else includes this, but its unit tests. */
#include <inttypes.h>
#include <pthread.h>
#include "agent/jobs.h"
#include "agent/storage/files.h"
#include "agent/storage/form/form.h"
#include "agent/storage/metadata.h"
#include "agent/storage/storage.h"
#include "common/lock.h"
#include "proto/storage.h"

#define STORAGE_HEALTH_USEC (10 * G_USEC_PER_SEC)
#define STORAGE_LOW_PERCENT 10
/* Names of half-made and half-removed things; no UUID, so nobody takes them for one. */
#define NEW_PREFIX ".berth-new-"
#define REMOVED_PREFIX ".berth-del-"
#define DIR_LINKS "mnt"                  /* <repository>/mnt: one link per connection */
#define DIR_METADATA "dom_md"
#define DIR_IMAGES "images"
#define FILE_METADATA "metadata"

struct storage {
	int refs;                        /* atomic: jobs in lanes hold one each */
	struct agent *agent;
	char *repository;
	pthread_mutex_t lock;            /* guards the tables; held for look-ups only, never while storage is touched */
	GHashTable *places;              /* domain id -> directory of the connection it was seen in last */
	GHashTable *groups;              /* domain id -> GPtrArray of paths: devices its volume group was seen on last (group.c) */
	GHashTable *pictures;            /* domain id -> struct picture: what LVM said of its volume group last (picture.c) */
	GHashTable *holds;               /* "domain/volume" -> how often it is held (block_active.c) */
	GHashTable *vm_holds;            /* VM -> set of "domain/volume": what it holds (block_active.c) */
	GHashTable *group_locks;         /* domain id -> how often its volume group is locked (block_lock.c) */
	GHashTable *watched;             /* domain id -> struct watched: the domains that are active here */
	GHashTable *changing;            /* "domain", "domain/activity", "domain/group" -> pthread_mutex_t, see struct domain; entries stay */
	GHashTable *claims;              /* see claim.c */
	struct pool *pool;               /* the one this host is in; NULL: none */
	struct locks *locks;
	struct transfer *transfer;       /* transfer/transfer.h; NULL without a configuration */
	storage_moment moment;           /* NULL: no VMs run here */
	enum spm_role { SPM_FREE, SPM_CONTEND, SPM_ACTIVE } spm_role;      /* of this host in its pool */
	int64_t spm_version;             /* of its lease */
	int low_percent;                 /* free space below this is low */
	struct timer *timer;             /* loop */
};
void picture_free(void *picture);        /* form/picture.c */
struct storage *storage_ref(struct storage *storage);
void storage_unref(void *storage);

/* storage.c: as storage_moment. ERR_NO_SUCH_CHECKPOINT_ERROR, ERR_VOLUME_DOES_NOT_EXIST */
char *storage_moment_url(struct storage *storage, const struct storage_disk *disk, const char *moment, GError **error);

/* ---- connection.c ---- */
/* The directory as it is named everywhere: absolute, no "//", "." and "..". ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH. g_free */
char *connection_path(const char *text, GError **error);
/* Name of its link: no two paths share one. g_free */
char *connection_link_name(const char *path);
bool connection_exists(struct storage *storage, const char *path);
/* The directory on this host of what is connected under this name (directory, server:/path). ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH. g_free */
char *connection_directory(struct storage *storage, enum storage_wire_type type, const char *text, GError **error);
/* Has it looked, on their own lanes, which domains all connections have (domain_note_all()); those that do not answer are not waited for. */
void connection_scan(struct storage *storage);
/* The directories of all connections (char *), g_ptr_array_unref; NULL + error */
GPtrArray *connection_list(struct storage *storage, GError **error);
/* Opens the directory and checks that it can be written: ERR_STORAGE_SERVER_VALIDATION_ERROR, ..._ACCESS_PERMISSION_ERROR; -1 + error */
int connection_open(const char *path, GError **error);
bool connection_connect_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool connection_disconnect_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* ---- domain.c: one domain on disk ---- */
struct domain {
	struct storage *storage;
	char *id;
	const struct domain_form *form;
	metadata *values;
	char *mount, *path;              /* files: mount/id */
	int fd;                          /* files: of path; else -1 */
	struct block *block;             /* volume groups (block.h); else NULL */
	/* the storage's, of this id: see volume_change(); block_active.c: what is active; block_lock.c: taking and giving back the group's lease */
	pthread_mutex_t *changing, *activity, *group;
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
/* Remembers where the domains in a connection's directory are. */
void domain_note_all(struct storage *storage, int mount_fd, const char *mount);
/* Reads from the domain past the page cache; its version. false + error */
bool domain_probe(const struct domain *domain, int *ret_version, GError **error);
/* Ids of all domains that connections and devices show now. char *, g_ptr_array_unref */
GPtrArray *domain_list(struct storage *storage);
/* Deactivated here: block devices of it need not be active. */
void domain_rest(struct storage *storage, const char *id);
char *domain_lane(const char *id);                         /* g_free */
/* What its users should be told; of volume groups, from what LVM said when the domain was opened. */
enum domain_warning { DOMAIN_SMALL_METADATA = 1 << 0, DOMAIN_FULL_METADATA = 1 << 1 };
unsigned domain_warnings(const struct domain *domain);
json_t *domain_alerts(unsigned warnings);                  /* [{code, message}], as vdsm's; new reference */

/* ---- area.c ---- */
bool domain_is_shared(const struct domain *domain);        /* can other hosts see its storage? */
/* Path of "ids", "leases", "xleases", "inbox", "outbox" or "metadata", and where in it that begins. NULL + error. g_free */
char *domain_area(const struct domain *domain, const char *name, int64_t *ret_offset, GError **error);

/* ---- pool.c: domains and pools, which domains are active on this host ---- */
/* The pool a domain is active in here; NULL: it is not. g_free */
char *pool_of_active(struct storage *storage, const char *domain);
bool pool_attach(struct storage *storage, struct domain *domain, const char *pool, GError **error);
bool pool_activate(struct storage *storage, struct domain *domain, const char *pool, GError **error);
bool pool_deactivate(struct storage *storage, const char *domain, const char *pool, GError **error);
bool pool_detach(struct storage *storage, struct domain *domain, const char *pool, bool force, GError **error);
/* Fills storage->watched from the links. */
bool pool_load(struct storage *storage, GError **error);

/* The link that makes an active domain be so after a restart, too. */
bool pool_link(struct storage *storage, const struct domain *domain, const char *pool);
bool pool_unlink(struct storage *storage, const char *domain, const char *pool);
/* Is the domain in this pool? ERR_STORAGE_DOMAIN_NOT_IN_POOL when in none, ERR_STORAGE_DOMAIN_NOT_MEMBER_OF_POOL when in another. */
bool pool_check_member(const struct domain *domain, const char *pool, GError **error);

/* ---- pool_connect.c: the pool this host is in ---- */
struct pool { char *id, *name, *master; int host_id, master_version; json_t *domains; };      /* domains: {id: "Active" | "Attached" | ...} */
/* A copy, pool_free(); NULL + ERR_STORAGE_POOL_UNKNOWN when this host is in none, or in another. id NULL: whichever */
struct pool *pool_get(struct storage *storage, const char *id, GError **error);
struct pool *pool_free(struct pool *pool);
static inline void pool_drop(struct pool **pool)
{
	pool_free(*pool);
}
#define autopool __attribute__((cleanup(pool_drop))) struct pool *
/* Another name or another master (NULL: as it is), in memory and on disk. Nothing when this host is not in that pool. */
bool pool_update(struct storage *storage, const char *id, const char *name, const char *master, int version, GError **error);
/* A domain of the pool this host is in has another status; NULL: it is no longer in the pool. Nothing when this host is not in that pool. */
bool pool_note(struct storage *storage, const char *pool, const char *domain, const char *status, GError **error);
/* Reads what was written before the agent ended. */
void pool_recall(struct storage *storage, const char *id);
/* The number this host is to have in the domain; 0: none */
int pool_host_id(struct storage *storage, const char *domain);
/* The master, readable and really the pool's. ERR_STORAGE_POOL_MASTER_NOT_FOUND, ERR_STORAGE_POOL_WRONG_MASTER */
struct domain *pool_open_master(struct storage *storage, const struct pool *pool, GError **error);
/* May this domain be a master? ERR_ISO_CANNOT_BE_MASTER_DOMAIN, ERR_BACKUP_CANNOT_BE_MASTER_DOMAIN */
bool pool_check_master_class(const struct domain *domain, GError **error);
bool pool_check_name(const char *name, GError **error);
/* Values of the domain's metadata ("KEY", value, ..., NULL), read anew and written under the domain's lock. */
bool pool_write(struct storage *storage, const char *domain, GError **error, ...) G_GNUC_NULL_TERMINATED;
bool pool_make_master(struct storage *storage, const char *domain, const char *pool, int version, GError **error);
bool pool_make_regular(struct storage *storage, const char *domain, GError **error);
/* What storage on other hosts' sight needs: this host manages the pool. ERR_SPM_STATUS_ERROR */
bool pool_check_spm(struct storage *storage, const struct pool *pool, GError **error);
bool pool_is_spm(struct storage *storage, const char *pool);

/* ---- health.c ---- */
struct watched {
	char *pool, *mount;              /* pool NULL: watched, but not active; mount NULL: not found yet */
	bool monitored;                  /* by Host.startMonitoringDomain, whatever else */
	int host_id;                     /* its number in the domain; 0: none */
	bool busy, acquired, low;        /* low: less space than [storage] low_space */
	int64_t checked_usec, delay_usec, total, available;
	int code, version, phase;        /* phase: enum lock_phase, of this host in the domain */
	unsigned warnings;               /* enum domain_warning */
};
struct watched *watched_new(const char *pool, const char *mount);      /* mount: directory of its connection */
void watched_free(void *watched);
void health_check(struct storage *storage, const char *domain);      /* now, on this thread */
bool health_submit(struct storage *storage, const char *domain);     /* soon, on its lane */
/* This host is in the domain's pool, but has no number in the domain yet (after a restart), or no more: it will. Jobs wait for it. */
bool health_joins(struct storage *storage, const char *domain);
#define HEALTH_JOIN_USEC (2 * G_USEC_PER_SEC)        /* between two looks */
/* This host manages the pool from now on: what others left half made in its domains is cleaned up soon, on their lanes. */
void health_settle(struct storage *storage, const char *pool);
/* Gives the host id in the domain back if nobody wants it any more; on its lane. */
void health_leave(struct storage *storage, const char *domain);
/* Runs it on the lane <lanes>/<domain>; false: logged */
bool storage_submit(struct storage *storage, const char *lanes, const char *domain, const char *name,
		    void (*run)(struct storage *storage, const char *domain));
void health_arm(struct storage *storage);                            /* any thread */
void health_tick(void *storage);                                     /* the timer */

/* ---- volume.c, volume_create.c, volume_delete.c ---- */
#define VOLUME_SIZE_MAX (INT64_C(1) << 53)      /* 8 PiB: beyond what a file can have anywhere; a number in JSON is still exact */
#define VOLUME_SIZE_STEP 4096
#define VOLUME_DESCRIPTION_MAX 210
#define VOLUME_ITEMS_SUFFIX ".items"    /* of the file of volume_items.c */
#define VOLUME_CHAIN_MAX 256
#define VOLUME_LEASE_SIZE (1024 * 1024)

/* Each volume of a domain once; from what is remembered where nothing changed (listing.c). */
GPtrArray *listing_all(const struct domain *domain, GError **error);
/* Is somebody's QEMU at it? Files: its locks on them. Devices: has anybody it open? */
bool volume_in_use(const struct domain *domain, const char *image, const char *volume);
/* Until fd is closed, or what inherited it ends, nobody's QEMU writes the data, and nobody's does now: ERR_VOLUME_IS_BUSY */
bool volume_keep_writers_out(int fd, const char *volume, GError **error);
/*
 * What the data themselves say (image_header.h) must be what the metadata do: the format, and of qcow2 the parent's name and format, which QEMU must not
 * guess. ERR_IMAGE_IS_NOT_LEGAL_CHAIN. ret_cut: see image_header.h; false for raw ones, which may be shorter than their capacity (the memory of a VM is).
 */
bool volume_check_header(const struct domain *domain, const char *image, const char *volume, metadata *values, bool *ret_cut, GError **error);
/* The backing name in a qcow2 volume; "" when there is none. NULL + error. g_free */
char *volume_backing(const struct domain *domain, const char *image, const char *volume, GError **error);
/* Writes zeros from..to; progress and cancel through job (NULL: none). false + errno (ECANCELED) */
bool volume_write_zeros(int fd, int64_t from, int64_t to, struct job *job);
/* Finishes or undoes what killed creations and removals left, where no other host may be at it; claims the images. */
void volume_sweep(const struct domain *domain);
void volume_leftover_free(void *left);
bool volume_create_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool volume_delete_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool volume_info_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool volume_size_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* ---- managed.c ---- */
/* Is it the device of a managed volume that is attached to this host? */
bool managed_is_attached(struct storage *storage, const char *path);

/* ---- image.c ---- */
GPtrArray *image_list(const struct domain *domain, GError **error);       /* char * */
/* Path of a chain's top, every volume of it checked and held: until image_teardown(). */
bool image_prepare(struct domain *domain, const char *image, const char *volume, bool allow_illegal, char **ret_path, const char **ret_format, GError **error);
bool image_prepare_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool image_teardown_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

#endif
