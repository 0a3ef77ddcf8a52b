/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may change a volume group. LVM's metadata are one text that each change writes anew: two hosts at a time would lose what the other did.
 *
 *   pool's verbs (tasks)   only the host that manages the pool (SPM) takes them: block_check_manager(), ERR_SPM_STATUS_ERROR
 *   every change           of a domain that is in a pool is made under the group's lease, whoever makes it: so the host of a running VM may extend its thin
 *                          volumes (room.c), and a job that began while its host was the manager may end
 *
 * The group's lease is slot 2 of the domain's "leases", one of those that vdsm reserves and does not use; vdsm has its manager make all changes. It is made
 * with the others; where vdsm made the domain, the manager makes it. It is held for one command of LVM, so who finds it taken tries again for a while:
 * sanlock tells nobody that a lease is free. Only the moving of a device's contents holds it for long. In one process LVM's own locks are enough: the lease
 * is counted. Who has no number in the domain (StoragePool.connect) gets no lease and changes nothing; who was told one waits until sanlock took it, some time
 * after StoragePool.connect and StorageDomain.activate have answered. But what makes a pool, or ends it, has none yet, or
 * any more, and the engine has one host do it: it writes the domain's metadata without.
 */
#define LOG_MODULE "storage"
#include "agent/storage/form/block.h"
#include "agent/storage/form/lvm.h"
#include "agent/storage/lease/lock.h"
#include "common/log.h"

#define WAIT_USEC (20 * G_USEC_PER_SEC)
#define AGAIN_USEC (G_USEC_PER_SEC / 4)
#define FREE_LOOKS 8               /* it is free, and cannot be had: who gave it back a moment ago may not be through with that */

static bool take(struct storage *storage, const struct domain *domain, const struct lease *lease, GError **error)
{
	int64_t joined_usec = now_usec() + lock_join_usec(lock_io_timeout_s(domain)), until_usec = now_usec() + WAIT_USEC;
	int free_looks = 0;

	for (;;) {
		g_autoptr(GError) problem = NULL, none = NULL;
		struct lease_owner owner;

		if (lock_acquire(storage->locks, domain, lease, NULL, &problem))
			return true;
		if (!lock_inquire(storage->locks, domain, lease, &owner, &none)) {
			if (!error_is(none, ERR_NO_SUCH_LEASE)) {        /* it could not be read: somebody may hold it */
				g_propagate_error(error, g_steal_pointer(&problem));
				break;
			}
			/* made by vdsm: it has none */
			if (!pool_is_spm(storage, domain_pool(domain)) || !lock_format_lease(domain, lease, error))
				break;
		} else if (health_joins(storage, domain->id) && now_usec() < joined_usec) {
			until_usec = now_usec() + WAIT_USEC;
		} else if ((!owner.taken && ++free_looks == FREE_LOOKS) || now_usec() > until_usec) {
			g_propagate_error(error, g_steal_pointer(&problem));
			break;
		}
		g_usleep(AGAIN_USEC);
	}
	if (error && !*error)
		error_set(error, ERR_ACQUIRE_LOCK_FAILURE, "domain '%s' has no lease of its volume group yet: its pool's manager makes it", domain->id);
	return false;
}

/* Of block_lock()s, after the change. */
static int count(struct storage *storage, const char *domain, int change)
{
	int n;
	AUTO_LOCK(&storage->lock);

	n = GPOINTER_TO_INT(g_hash_table_lookup(storage->group_locks, domain)) + change;
	g_hash_table_replace(storage->group_locks, g_strdup(domain), GINT_TO_POINTER(n));
	return n;
}

/* In no pool no other host uses it. One that is just leaving its pool is still this host's. */
static bool is_free(const struct domain *domain)
{
	return !domain_pool(domain)[0] && !lock_host_id(domain->block->storage->locks, domain->id);
}

bool block_lock(const struct domain *domain, GError **error)
{
	struct storage *storage = domain->block->storage;
	g_autofree char *path = NULL;
	struct lease lease;
	AUTO_LOCK(domain->group);

	if (!is_free(domain) && count(storage, domain->id, 0) == 0) {
		if (!lock_group_lease(domain, &lease, error))
			return false;
		path = (char *)lease.path;
		if (!take(storage, domain, &lease, error)) {
			error_wrap(error, "volume group of domain '%s' is not to be changed", domain->id);
			return false;
		}
	}
	count(storage, domain->id, 1);
	return true;
}

void block_unlock(const struct domain *domain)
{
	struct storage *storage = domain->block->storage;
	g_autoptr(GError) problem = NULL;
	g_autofree char *path = NULL;
	struct lease lease;
	AUTO_LOCK(domain->group);

	if (count(storage, domain->id, -1) > 0 || !lock_group_lease(domain, &lease, NULL))
		return;
	path = (char *)lease.path;
	if (!lock_release(storage->locks, domain->id, &lease, &problem))
		log_warn("%s, ignoring", problem->message);
}

bool block_change(const struct domain *domain, enum error_code code, GError **error, ...)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	const char *word;
	va_list list;
	bool good;

	va_start(list, error);
	while ((word = va_arg(list, const char *)))
		g_ptr_array_add(words, (gpointer)word);
	va_end(list);
	g_ptr_array_add(words, NULL);
	if (!block_lock(domain, error))
		return false;
	good = lvm_run(domain->block->paths, code, NULL, error, (const char *const *)words->pdata);
	block_unlock(domain);
	return good;
}

bool block_check_manager(struct storage *storage, const char *id, GError **error)
{
	g_autoptr(GPtrArray) paths = group_paths(storage, id, /* scan= */ false);
	g_autofree char *pool = paths ? pool_of_active(storage, id) : NULL;
	autodomain domain = paths && !pool ? domain_open(storage, id, NULL) : NULL;

	if (domain && domain_pool(domain)[0])
		pool = g_strdup(domain_pool(domain));
	if (!pool || pool_is_spm(storage, pool))
		return true;
	error_set(error, ERR_SPM_STATUS_ERROR, "('%s',): domain '%s' lies in a volume group, which only the pool's manager changes (StoragePool.spmStart)", pool, id);
	return false;
}
