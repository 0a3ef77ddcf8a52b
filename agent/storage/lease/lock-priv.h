/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_LEASE_LOCK_PRIV_H
#define BERTH_AGENT_STORAGE_LEASE_LOCK_PRIV_H
/* What lock.c and lock_sanlock.c share. */
#include <pthread.h>
#include "agent/storage/lease/lock.h"
#include "agent/storage/storage-priv.h"

/* This host in one domain. Stays until lock_leave(). */
struct space {
	struct locks *locks;
	char *domain, *path;             /* path, offset: of the host ids */
	int64_t offset;
	int host_id, io_timeout_s;
	uint32_t format;                 /* sanlock's flags: size of blocks and leases */
	bool shared;
	int fd;                          /* shared: where sanlock knows this process by, for the leases of this domain; -1 */
	pthread_mutex_t using_fd;        /* one request at a time goes over it */
	/* locks->lock: */
	GHashTable *held;                /* name -> struct held */
	bool leaving;                    /* the number is being given back: until that is over nobody joins */
	int refs;
};
struct held { char *name, *path, *job; int64_t offset, version; int fd; };  /* fd: local, holds the lock of the file's range; job: NULL: none */

struct locks {
	pthread_mutex_t lock;
	pthread_cond_t left;
	GHashTable *spaces;              /* domain id -> struct space */
};

bool shared_join(struct space *space, GError **error);
bool shared_leave(struct space *space, GError **error);
bool shared_is_joined(const struct space *space);
/* Seconds of the clock of this host at which its host id was renewed; 0: not known. */
int64_t shared_renewed_s(const struct space *space);
/* flags: sanlock's, for acquiring; SANLK_ACQUIRE_LVB: one that this process holds is not taken once more. */
bool shared_take(struct space *space, const struct lease *lease, uint32_t flags, int64_t *ret_version, GError **error);
#define SHARED_NOTED 1u              /* SANLK_ACQUIRE_LVB */
#define SHARED_NO_WAIT 8u            /* SANLK_ACQUIRE_OWNER_NOWAIT */
/* What sanlock is to write when the lease, taken with SHARED_NOTED, is given back. */
bool shared_note(struct space *space, const struct lease *lease, const char *note, GError **error);
bool shared_give(struct space *space, const struct lease *lease, GError **error);
bool shared_look(const struct domain *domain, const struct lease *lease, struct lease_owner *ret_owner, GError **error);
/* The names of what this process holds over the space's fd; NULL: cannot be told. */
GHashTable *shared_holds(struct space *space);
uint32_t shared_format(const struct domain *domain);

#endif
