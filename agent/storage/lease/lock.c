/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks between hosts.
 *
 * A domain on storage that several hosts see is guarded by sanlock (man 8 sanlock): each host has a number in it, its host id, which it proves to be alive
 * by writing a time stamp; and there are leases, each held by at most one host. A directory that only this host has is guarded without a daemon: a lease
 * is a lock of the kernel on the bytes where sanlock would keep it, so that it also stands between two agents, and ends with the process.
 *
 * What holds a lease is a process: QEMU that of its VM and of its disks (libvirt's lock manager asks sanlock for it before the guest's first
 * instruction), the agent those of the pool's manager and of volumes that it copies. sanlock releases what a process holds when it ends.
 *
 * The diary of a host, in seconds after its last renewal, for an io timeout of N seconds (IOOPTIMEOUTSEC of the domain; 10 unless the pool was made with
 * another). The times are sanlock's (src/timeouts.h); those of the watchdog are wdmd's.
 *
 *	         N = 10
 *	0          0   the host id is renewed, and again every 2N
 *	8N        80   not renewed since: storage is lost. Who holds leases of this domain is asked to end: QEMU gets SIGTERM (or is paused and its leases
 *	               given back, when its domain says <on_lockfailure>pause</on_lockfailure>), the agent gives its own back. Whoever holds no lease
 *	               in this domain is not touched: other VMs, other domains
 *	8N+30    110   what still holds one gets SIGKILL, once a second
 *	8N+40    120   what even then is not gone (a process that waits for storage in the kernel): the watchdog is no longer fed; it resets the host at
 *	               the earliest now, at the latest at 8N+60
 *	8N+60    140   others may take its leases, and its host id
 *
 * So no two hosts hold a lease at a time, however a host dies, as long as the watchdog runs. A host that lost storage for less than 8N has lost
 * nothing. To take a free number costs 2N and some I/O; one of a host that died, 8N+60.
 *
 * Who asks for leases waits for what the storage takes; nothing here holds a lock meanwhile but that of the domain.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include "agent/fault.h"
#include "agent/storage/lease/lock-priv.h"
#include "common/log.h"

#define WATCHDOG_S 60
#define GRACE_S 30
#define KILL_S 10
#define IO_TIMEOUT_MAX_S 120

/* ---- the diary ---- */

enum lock_phase lock_phase(int64_t age_usec, int io_timeout_s)
{
	const int64_t over = age_usec - INT64_C(8) * io_timeout_s * G_USEC_PER_SEC;

	if (over < 0)
		return LOCK_LIVE;
	if (over < GRACE_S * G_USEC_PER_SEC)
		return LOCK_ENDING;
	if (over < (GRACE_S + KILL_S) * G_USEC_PER_SEC)
		return LOCK_KILLING;
	return over < WATCHDOG_S * G_USEC_PER_SEC ? LOCK_FENCED : LOCK_FREE;
}

int64_t lock_join_usec(int io_timeout_s)
{
	/* the host before us is dead for sure, then three accesses and the delay in which two that write at a time see each other */
	return (8 * io_timeout_s + WATCHDOG_S + 6 * io_timeout_s) * (int64_t)G_USEC_PER_SEC;
}

int lock_io_timeout_s(const struct domain *domain)
{
	int64_t seconds = metadata_get_int(domain->values, "IOOPTIMEOUTSEC", LOCK_IO_TIMEOUT_S);

	return seconds < 1 || seconds > IO_TIMEOUT_MAX_S ? LOCK_IO_TIMEOUT_S : (int)seconds;
}

/* ---- this host's places in domains ---- */

static void held_free(void *data)
{
	struct held *held = data;

	if (held->fd >= 0)
		close(held->fd);
	g_free(held->name);
	g_free(held->path);
	g_free(held->job);
	g_free(held);
}

static void space_free(struct space *space)
{
	if (space->fd >= 0)
		close(space->fd);
	g_hash_table_unref(space->held);
	pthread_mutex_destroy(&space->using_fd);
	g_free(space->domain);
	g_free(space->path);
	g_free(space);
}

static void space_unref(void *data)
{
	struct space *space = data;
	bool last;

	if (!space)
		return;
	{
		AUTO_LOCK(&space->locks->lock);
		last = --space->refs == 0;
	}
	if (last)
		space_free(space);
}

static void drop_space(struct space **space)
{
	space_unref(*space);
}
#define AUTO_SPACE __attribute__((cleanup(drop_space))) struct space *

static struct space *find(struct locks *locks, const char *domain)
{
	struct space *space;
	AUTO_LOCK(&locks->lock);

	space = g_hash_table_lookup(locks->spaces, domain);
	if (space)
		space->refs++;
	return space;
}

struct locks *locks_new(void)
{
	struct locks *locks = g_new0(struct locks, 1);

	pthread_mutex_init(&locks->lock, NULL);
	pthread_cond_init(&locks->left, NULL);
	locks->spaces = g_hash_table_new(g_str_hash, g_str_equal);
	return locks;
}

/* Host ids stay: sanlock keeps them for the next agent. Leases of this process end with it. */
struct locks *locks_free(struct locks *locks)
{
	GHashTableIter iter;
	gpointer space;

	if (!locks)
		return NULL;
	g_hash_table_iter_init(&iter, locks->spaces);
	while (g_hash_table_iter_next(&iter, NULL, &space))
		space_free(space);
	g_hash_table_unref(locks->spaces);
	pthread_cond_destroy(&locks->left);
	pthread_mutex_destroy(&locks->lock);
	g_free(locks);
	return NULL;
}

static struct space *space_new(struct locks *locks, const struct domain *domain, int host_id, GError **error)
{
	struct space *space;
	int64_t offset;
	char *path = domain_area(domain, "ids", &offset, error);

	if (!path)
		return NULL;
	space = g_new0(struct space, 1);
	space->locks = locks;
	space->domain = g_strdup(domain->id);
	space->path = path;
	space->offset = offset;
	space->host_id = host_id;
	space->io_timeout_s = lock_io_timeout_s(domain);
	space->format = shared_format(domain);
	space->shared = domain_is_shared(domain);
	space->fd = -1;
	space->refs = 1;
	pthread_mutex_init(&space->using_fd, NULL);
	space->held = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, held_free);
	return space;
}

/* Lock held. What sanlock is about to give back still looks joined, and who takes a lease in it is killed when it is through. */
static struct space *locked_wait_left(struct locks *locks, const char *domain)
{
	struct space *space;

	while ((space = g_hash_table_lookup(locks->spaces, domain)) && space->leaving)
		pthread_cond_wait(&locks->left, &locks->lock);
	return space;
}

static void wait_left(struct locks *locks, const char *domain)
{
	AUTO_LOCK(&locks->lock);
	(void)locked_wait_left(locks, domain);
}

bool lock_join(struct locks *locks, const struct domain *domain, int host_id, GError **error)
{
	wait_left(locks, domain->id);
	AUTO_SPACE space = find(locks, domain->id);

	if (space && space->host_id != host_id) {
		error_set(error, ERR_ACQUIRE_HOST_ID_FAILURE, "domain '%s': this host is number %d in it, not %d", domain->id, space->host_id, host_id);
		return false;
	}
	if (!space) {
		if (!(space = space_new(locks, domain, host_id, error)))
			return false;
		AUTO_LOCK(&locks->lock);
		g_hash_table_insert(locks->spaces, space->domain, space);
		space->refs++;
	}
	/* remembered even when it fails: the monitor of the domain tries again */
	return !space->shared || shared_join(space, error);
}

/* From here on nobody joins; NULL: this host has no number there. */
static struct space *begin_leaving(struct locks *locks, const char *domain)
{
	struct space *space;
	AUTO_LOCK(&locks->lock);

	space = locked_wait_left(locks, domain);
	if (space) {
		space->leaving = true;
		space->refs++;
	}
	return space;
}

static void end_leaving(struct space *space, bool gone)
{
	AUTO_LOCK(&space->locks->lock);
	space->leaving = false;
	if (gone && g_hash_table_remove(space->locks->spaces, space->domain))
		space->refs--;
	pthread_cond_broadcast(&space->locks->left);
}

bool lock_leave(struct locks *locks, const char *domain, bool (*stays)(void *data, const char *domain), void *data, GError **error)
{
	AUTO_SPACE space = begin_leaving(locks, domain);
	bool stay, gone;

	if (!space)
		return true;
	stay = stays && stays(data, domain);
	gone = !stay && (!space->shared || shared_leave(space, error));
	end_leaving(space, gone);
	return stay || gone;
}

int lock_host_id(struct locks *locks, const char *domain)
{
	AUTO_SPACE space = find(locks, domain);

	return space && (!space->shared || shared_is_joined(space)) ? space->host_id : 0;
}

static enum lock_phase own_phase(const struct space *space)
{
	int64_t renewed_s = space->shared ? shared_renewed_s(space) : 0;
	struct timespec now;

	if (!renewed_s)
		return LOCK_LIVE;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return lock_phase((now.tv_sec - renewed_s) * (int64_t)G_USEC_PER_SEC, space->io_timeout_s);
}

enum lock_phase lock_own_phase(struct locks *locks, const char *domain)
{
	AUTO_SPACE space = find(locks, domain);

	return space ? own_phase(space) : LOCK_LIVE;
}

/* ---- leases without a daemon ---- */

/* A lock on the lease's first byte, which belongs to the open file: it ends with the process, and another open of the same file meets it. */
static struct flock range_of(const struct lease *lease)
{
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = lease->offset, .l_len = 1 };
}

static bool local_take(const struct domain *domain, const struct lease *lease, int *ret_fd, GError **error)
{
	autofd fd = open(lease->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct flock range = range_of(lease);

	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &range) == 0) {
		*ret_fd = steal_fd(&fd);
		return true;
	}
	if (fd >= 0 && (errno == EAGAIN || errno == EACCES))
		error_set(error, ERR_ACQUIRE_LOCK_FAILURE, "lease '%s' of domain '%s' is held by another process of this host", lease->name, domain->id);
	else
		error_set_errno(error, ERR_ACQUIRE_LOCK_FAILURE, errno, "lease '%s' of domain '%s': '%s'", lease->name, domain->id, lease->path);
	return false;
}

static bool local_look(const struct domain *domain, const struct lease *lease, struct lease_owner *ret_owner, GError **error)
{
	autofd fd = open(lease->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct flock range = range_of(lease);

	if (fd < 0 || fcntl(fd, F_OFD_GETLK, &range) < 0) {
		error_set_errno(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, errno, "lease '%s' of domain '%s': '%s'", lease->name, domain->id, lease->path);
		return false;
	}
	/* who has it in another process is not known here */
	*ret_owner = (struct lease_owner){ .host_id = range.l_type != F_UNLCK, .taken = range.l_type != F_UNLCK };
	return true;
}

/* ---- leases ---- */

static struct held *held_new(const struct lease *lease, int64_t version, int fd, const char *job)
{
	struct held *held = g_new0(struct held, 1);

	held->name = g_strdup(lease->name);
	held->path = g_strdup(lease->path);
	held->job = g_strdup(job);
	held->offset = lease->offset;
	held->version = version;
	held->fd = fd;
	return held;
}

static bool is_noted(struct space *space, const char *name, int64_t *ret_version)
{
	const struct held *held;
	AUTO_LOCK(&space->locks->lock);

	held = g_hash_table_lookup(space->held, name);
	if (held && ret_version)
		*ret_version = held->version;
	return held != NULL;
}

bool lock_is_held(struct locks *locks, const char *domain, const char *name)
{
	AUTO_SPACE space = find(locks, domain);
	g_autoptr(GHashTable) real = NULL;

	if (!space || !is_noted(space, name, NULL))
		return false;
	if (!space->shared)
		return true;
	real = shared_holds(space);
	if (!real || g_hash_table_contains(real, name))
		return real != NULL;
	AUTO_LOCK(&locks->lock);
	g_hash_table_remove(space->held, name);
	return false;
}

static bool acquire(struct locks *locks, const struct domain *domain, const struct lease *lease, uint32_t flags, const char *job, int64_t *ret_version,
		    GError **error)
{
	AUTO_SPACE space = find(locks, domain->id);
	int64_t version = 0;
	struct held *held;
	int fd = -1;

	if (!space) {
		error_set(error, ERR_ACQUIRE_LOCK_FAILURE, "lease '%s': this host has no number in domain '%s' (StoragePool.connect)", lease->name, domain->id);
		return false;
	}
	if (lock_is_held(locks, domain->id, lease->name)) {
		if (!(flags & SHARED_NOTED))
			return is_noted(space, lease->name, ret_version);
		error_set(error, ERR_ACQUIRE_LOCK_FAILURE, "lease '%s' of domain '%s' is held by a job of this host", lease->name, domain->id);
		return false;
	}
	if (space->shared ? !shared_take(space, lease, flags, &version, error) : !local_take(domain, lease, &fd, error))
		return false;
	held = held_new(lease, version, fd, job);
	if (ret_version)
		*ret_version = version;
	AUTO_LOCK(&locks->lock);
	g_hash_table_replace(space->held, held->name, held);
	return true;
}

bool lock_acquire(struct locks *locks, const struct domain *domain, const struct lease *lease, int64_t *ret_version, GError **error)
{
	return acquire(locks, domain, lease, /* flags= */ 0, /* job= */ NULL, ret_version, error);
}

bool lock_acquire_noted(struct locks *locks, const struct domain *domain, const struct lease *lease, const char *job, GError **error)
{
	return acquire(locks, domain, lease, SHARED_NOTED | (job ? 0 : SHARED_NO_WAIT), job, /* ret_version= */ NULL, error);
}

bool lock_release(struct locks *locks, const char *domain, const struct lease *lease, GError **error)
{
	AUTO_SPACE space = find(locks, domain);

	if (!space || !is_noted(space, lease->name, NULL))
		return true;
	if (space->shared && !shared_give(space, lease, error))
		return false;
	AUTO_LOCK(&locks->lock);
	g_hash_table_remove(space->held, lease->name);
	return true;
}

/* sanlock writes the note when the lease is given back, and tells nobody whether it could: it is looked at. */
bool lock_release_noted(struct locks *locks, const struct domain *domain, const struct lease *lease, const char *note, GError **error)
{
	AUTO_SPACE space = find(locks, domain->id);
	g_autofree char *there = NULL;

	if (!space || !is_noted(space, lease->name, NULL)) {
		error_set(error, ERR_SANLOCK_LVB_ERROR, "lease '%s' of domain '%s' is not held any more", lease->name, domain->id);
		return false;
	}
	fault_point("lease note: begin");
	if (space->shared ? !shared_note(space, lease, note, error) : !lock_write_note(domain, lease, note, error)) {
		(void)lock_release(locks, domain->id, lease, NULL);
		return false;
	}
	fault_point("lease note: set");
	if (!lock_release(locks, domain->id, lease, error) || !(there = lock_read_note(domain, lease, error)))
		return false;
	fault_point("lease note: written");
	if (!strcmp(there, note))
		return true;
	error_set(error, ERR_SANLOCK_LVB_ERROR, "lease '%s' of domain '%s' was given back without its metadata; they are '%s'", lease->name, domain->id, there);
	return false;
}

bool lock_inquire(struct locks *locks, const struct domain *domain, const struct lease *lease, struct lease_owner *ret_owner, GError **error)
{
	AUTO_SPACE space = NULL;

	if (domain_is_shared(domain))
		return shared_look(domain, lease, ret_owner, error);
	space = find(locks, domain->id);
	if (space && is_noted(space, lease->name, NULL)) {
		*ret_owner = (struct lease_owner){ .host_id = (uint64_t)space->host_id, .taken = true };
		return true;
	}
	return local_look(domain, lease, ret_owner, error);
}

/* What a job does under its lease ends first: the job gives it back. */
static void give_up(struct space *space, const struct held *held, struct jobs *jobs)
{
	g_autoptr(GError) problem = NULL;

	log_error("lease '%s' of domain %s is given up: its storage is lost", held->name, space->domain);
	if (held->job ? !jobs_cancel(jobs, held->job, &problem)
		      : !shared_give(space, &(struct lease){ held->name, held->path, held->offset }, &problem))
		log_error("%s", problem->message);
}

void lock_give_up(struct locks *locks, struct jobs *jobs)
{
	g_autoptr(GPtrArray) spaces = g_ptr_array_new_with_free_func(space_unref);
	GHashTableIter iter;
	gpointer value;

	{
		AUTO_LOCK(&locks->lock);
		g_hash_table_iter_init(&iter, locks->spaces);
		while (g_hash_table_iter_next(&iter, NULL, &value)) {
			struct space *space = value;

			space->refs++;
			g_ptr_array_add(spaces, space);
		}
	}
	for (guint i = 0; i < spaces->len; i++) {
		struct space *space = spaces->pdata[i];
		g_autoptr(GPtrArray) leases = g_ptr_array_new_with_free_func(held_free);

		if (!space->shared || (shared_is_joined(space) && own_phase(space) == LOCK_LIVE))
			continue;
		{
			AUTO_LOCK(&locks->lock);
			g_hash_table_iter_init(&iter, space->held);
			while (g_hash_table_iter_next(&iter, NULL, &value)) {
				const struct held *held = value;

				if (held->job) {
					g_ptr_array_add(leases, held_new(&(struct lease){ held->name, held->path, held->offset }, held->version, -1, held->job));
					continue;
				}
				g_ptr_array_add(leases, value);
				g_hash_table_iter_steal(&iter);
			}
		}
		for (guint j = 0; j < leases->len; j++)
			give_up(space, leases->pdata[j], jobs);
	}
}

/* Slot 0 of the area is reserved. */
static bool own_lease(const struct domain *domain, const char *name, int slot, struct lease *ret_lease, GError **error)
{
	int64_t offset;
	char *path = domain_area(domain, "leases", &offset, error);

	if (!path)
		return false;
	*ret_lease = (struct lease){ .name = name, .path = path, .offset = offset + slot * metadata_get_int(domain->values, "ALIGNMENT", 1 << 20) };
	return true;
}

bool lock_domain_lease(const struct domain *domain, struct lease *ret_lease, GError **error)
{
	return own_lease(domain, "SDM", 1, ret_lease, error);
}

bool lock_group_lease(const struct domain *domain, struct lease *ret_lease, GError **error)
{
	return own_lease(domain, "GROUP", 2, ret_lease, error);
}
