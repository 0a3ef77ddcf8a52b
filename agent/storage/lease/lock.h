/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_LEASE_LOCK_H
#define BERTH_AGENT_STORAGE_LEASE_LOCK_H
/*
 * Locks between hosts that share a storage domain: a host id in the domain, and leases that one host at a time holds. Theory of operation and time diary
 * in lock.c. Two sorts, picked by the domain: a lock of the kernel for a directory that only this host has, sanlock for storage that others see, too.
 * All may block for as long as the storage or sanlock takes (bounded, see the diary): lanes of the domain only.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "agent/storage/files.h"

struct domain;
struct jobs;
struct locks;

/* Where a lease is. */
struct lease { const char *name, *path; int64_t offset; };
/* Who has it, or had it last: host_id 0: nobody; taken: nobody else can have it, for that host lives, or may live. */
struct lease_owner { int64_t version; uint64_t host_id; bool taken; };

struct locks *locks_new(void);
struct locks *locks_free(struct locks *locks);

/* ---- the host id ---- */

/* Takes number host_id in the domain; again: fine, with another number: ERR_ACQUIRE_HOST_ID_FAILURE, as when another host has it. */
bool lock_join(struct locks *locks, const struct domain *domain, int host_id, GError **error);
/*
 * Gives it back, and with it all leases this host has there; not joined: fine. The storage may be gone. ERR_RELEASE_HOST_ID_FAILURE. stays (NULL: no) is asked
 * when nobody can join any more: true: it is wanted again, nothing is done. Who joins meanwhile waits until it is over.
 */
bool lock_leave(struct locks *locks, const char *domain, bool (*stays)(void *data, const char *domain), void *data, GError **error);
/* The number this host has in the domain; 0: none, or it was lost. Asks sanlock, not the storage. */
int lock_host_id(struct locks *locks, const char *domain);

/* ---- leases ---- */

/* ERR_ACQUIRE_LOCK_FAILURE: somebody has it, or there is no host id; the message says which. Held already: fine. ret_version may be NULL. */
bool lock_acquire(struct locks *locks, const struct domain *domain, const struct lease *lease, int64_t *ret_version, GError **error);
bool lock_release(struct locks *locks, const char *domain, const struct lease *lease, GError **error);
/*
 * For what is noted with a lease: as lock_acquire(), but a lease that this process has already is held: ERR_ACQUIRE_LOCK_FAILURE. job: what it is held for;
 * when the storage is lost that job is canceled, and gives it back itself, because what it does may be elsewhere. NULL: for a moment only; then nobody waits
 * for the death of a host that has it.
 */
bool lock_acquire_noted(struct locks *locks, const struct domain *domain, const struct lease *lease, const char *job, GError **error);
/* Gives a lease of lock_acquire_noted() back, and note (at most LOCK_NOTE_MAX bytes) is what is noted with it; false: it may not be. ERR_SANLOCK_LVB_ERROR */
bool lock_release_noted(struct locks *locks, const struct domain *domain, const struct lease *lease, const char *note, GError **error);
/* Does this host still hold it? Asks sanlock, not the storage. */
bool lock_is_held(struct locks *locks, const char *domain, const char *name);
/* From the storage. ERR_NO_SUCH_LEASE: there is none at that place, or another */
bool lock_inquire(struct locks *locks, const struct domain *domain, const struct lease *lease, struct lease_owner *ret_owner, GError **error);
/* sanlock is about to kill who holds leases in a domain that it lost: gives them up at once, or ends the jobs that do. Any thread; does not touch storage. */
void lock_give_up(struct locks *locks, struct jobs *jobs);

/* ---- the areas, on disk; no daemon is needed ---- */

/* The domain's host ids and its own leases. Existing ones are lost. */
bool lock_format(const struct domain *domain, GError **error);
/* The same, only where nothing is yet. Of a domain that no host uses, i.e. that is in no pool; nothing for one that no other host sees. */
bool lock_format_new(const struct domain *domain, GError **error);
/* A lease that nobody has. */
bool lock_format_lease(const struct domain *domain, const struct lease *lease, GError **error);
/* That of a new volume; nothing in a domain that no other host sees. */
bool lock_format_volume(const struct domain *domain, const struct lease *lease, GError **error);
/* There is no lease any more. */
bool lock_clear_lease(const struct domain *domain, const struct lease *lease, GError **error);
/* The name of the lease at that place; "" when there is none. NULL + error. g_free */
char *lock_read_lease(const struct domain *domain, const char *path, int64_t offset, GError **error);

/* What is noted with a lease, a line of text: sanlock's lock value block, for which a lease has one block. Empty after lock_format_lease(). */
#define LOCK_NOTE_MAX 511
/* As it was when somebody gave the lease back last; "": nothing. NULL + error. g_free */
char *lock_read_note(const struct domain *domain, const struct lease *lease, GError **error);
/* Of a lease that nobody can hold yet. */
bool lock_write_note(const struct domain *domain, const struct lease *lease, const char *note, GError **error);

/* The lease of the domain itself, of who manages its pool. Its path: g_free. */
bool lock_domain_lease(const struct domain *domain, struct lease *ret_lease, GError **error);

/* That of the volume group it lies in (form/block_lock.c). Its path: g_free. */
bool lock_group_lease(const struct domain *domain, struct lease *ret_lease, GError **error);

/* ---- the diary (lock.c) ---- */

enum lock_phase {
	LOCK_LIVE,              /* its host id is renewed */
	LOCK_ENDING,            /* it is not: who holds leases there is asked to end */
	LOCK_KILLING,           /* and killed */
	LOCK_FENCED,            /* its watchdog resets it, if that was no use */
	LOCK_FREE,              /* others may take its leases */
};
/* Where a host is that renewed its host id so long ago. */
enum lock_phase lock_phase(int64_t age_usec, int io_timeout_s);
/* How long a host that wants a number in a domain, or a lease of a host that is dead, has to wait at most. */
int64_t lock_join_usec(int io_timeout_s);
/* Seconds that one access to the domain's locks may take: sets the pace of everything. Unless its pool was made with another: */
#define LOCK_IO_TIMEOUT_S 10
int lock_io_timeout_s(const struct domain *domain);
/* In which phase is this host in the domain? LOCK_LIVE when it has no number there. Asks sanlock, not the storage. */
enum lock_phase lock_own_phase(struct locks *locks, const char *domain);

#endif
