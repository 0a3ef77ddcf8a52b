/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks by sanlock (man 8 sanlock, sanlock_*.h of libsanlock-dev): see lock.c.
 *
 * Areas are written and read with sanlock's "direct" calls, which need no daemon: so a domain has them before anybody uses it. The daemon does not run as
 * root: what it is to write belongs to its group.
 *
 * For its own leases the agent is known to the daemon by one connection for each domain: the daemon answers one request at a time on a connection, and a domain
 * whose storage hangs must not keep the others waiting. The connection stays open as long as the agent lives; to close it earlier means to the daemon that
 * the process is dead, and it makes sure of that. When the host id of a domain is lost, the daemon runs the program named here instead of sending
 * SIGTERM: kill -USR2, whereupon the agent gives its leases up (lock_give_up()) and goes on living; its VMs are theirs.
 */
#define LOG_MODULE "storage"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/storage/lease/lock-priv.h"
#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_direct.h>
#include <sanlock_resource.h>
#include <sanlock_rv.h>
#include "common/log.h"

#define DAEMON_GROUP "sanlock"
#define KILL_PATH "/bin/kill"
#define KILL_ARGUMENTS "-USR2"

/* sanlock's struct ends with a flexible array, of which one is used here */
union resource { struct sanlk_resource resource; char bytes[sizeof(struct sanlk_resource) + sizeof(struct sanlk_disk)]; };

static const char *reason(int r)
{
	switch (r) {
	case -EMSGSIZE: return "written only in part: there may be no space left";
	case -ENOENT: return "not there";
	case -ENOSPC: return "this host has no number in the domain, or lost it";
	case -EAGAIN: return "held by another host, or in use";
	case -EEXIST: return "held already";
	case -EBUSY: return "in use";
	case -EINVAL: return "not valid";
	case -ECONNREFUSED: return "the sanlock daemon does not run";
	case SANLK_ACQUIRE_IDLIVE: case SANLK_ACQUIRE_OWNED: case SANLK_ACQUIRE_OTHER: case SANLK_ACQUIRE_OWNED_RETRY: return "held by another host";
	case SANLK_HOSTID_BUSY: return "the number is another host's";
	case SANLK_LEADER_MAGIC: return "no lease there";
	case SANLK_LEADER_LOCKSPACE: case SANLK_LEADER_RESOURCE: return "another lease is there";
	case SANLK_AIO_TIMEOUT: case SANLK_DBLOCK_READ: case SANLK_DBLOCK_WRITE: case SANLK_LEADER_READ: case SANLK_LEADER_WRITE: return "storage does not answer";
	default: return r > -200 ? g_strerror(-r) : sanlock_strerror(r);
	}
}

uint32_t shared_format(const struct domain *domain)
{
	const int64_t align = metadata_get_int(domain->values, "ALIGNMENT", 1 << 20) >> 20;
	const uint32_t size = align == 8 ? SANLK_RES_ALIGN8M : align == 4 ? SANLK_RES_ALIGN4M : align == 2 ? SANLK_RES_ALIGN2M : SANLK_RES_ALIGN1M;

	return size | (metadata_get_int(domain->values, "BLOCK_SIZE", 512) == 4096 ? SANLK_RES_SECTOR4K : SANLK_RES_SECTOR512);
}

static bool set_disk(struct sanlk_disk *disk, const char *path, int64_t offset, GError **error)
{
	if (g_strlcpy(disk->path, path, sizeof(disk->path)) >= sizeof(disk->path)) {
		error_set(error, ERR_INVALID_PARAMETER, "'%s' is longer than %zu bytes", path, sizeof(disk->path) - 1);
		return false;
	}
	disk->offset = (uint64_t)offset;
	return true;
}

static bool set_space(struct sanlk_lockspace *to, const char *domain, int host_id, uint32_t format, const char *path, int64_t offset, GError **error)
{
	memset(to, 0, sizeof(*to));
	memcpy(to->name, domain, MIN(strlen(domain), sizeof(to->name)));
	to->host_id = (uint64_t)host_id;
	to->flags = format;              /* SANLK_LSF_ALIGN.. and SANLK_RES_ALIGN.. are the same bits */
	return set_disk(&to->host_id_disk, path, offset, error);
}

static bool set_resource(union resource *to, const char *domain, uint32_t format, const struct lease *lease, GError **error)
{
	memset(to, 0, sizeof(*to));
	memcpy(to->resource.lockspace_name, domain, MIN(strlen(domain), sizeof(to->resource.lockspace_name)));
	memcpy(to->resource.name, lease->name, MIN(strlen(lease->name), sizeof(to->resource.name)));
	to->resource.flags = format;
	to->resource.num_disks = 1;
	return set_disk(to->resource.disks, lease->path, lease->offset, error);
}

static bool space_of(const struct space *space, struct sanlk_lockspace *to, GError **error)
{
	return set_space(to, space->domain, space->host_id, space->format, space->path, space->offset, error);
}

/* ---- blocks of a lease on disk (sanlock's src/ondisk.h, paxos_dblock.h, resource.c): little endian ---- */

#define BLOCK_ALIGN 4096
/* block 0: who has it; 2 and on: a block of each host; behind the 2000 hosts the lock value block */
#define HOST_BLOCK(id) (2 + (id) - 1)
#define NOTE_BLOCK 2002
struct host_block { uint64_t mbal, bal, inp, inp2, inp3, lver; uint32_t checksum, flags; };
#define HOST_RELEASED 1u

static size_t block_size(const struct domain *domain)
{
	return shared_format(domain) & SANLK_RES_SECTOR4K ? 4096 : 512;
}

/* size bytes of an area, past the page cache. */
static bool move_block(const struct domain *domain, const char *path, int64_t offset, void *data, size_t size, bool write, GError **error)
{
	const int flags = (write ? O_RDWR | O_DSYNC : O_RDONLY) | O_CLOEXEC;
	autofd fd = open(path, flags | O_DIRECT);
	void *block = NULL;
	ssize_t n = -1;

	if (fd < 0 && errno == EINVAL)
		fd = open(path, flags);
	if (fd >= 0 && posix_memalign(&block, BLOCK_ALIGN, size) == 0) {
		memcpy(block, data, size);
		n = write ? pwrite(fd, block, size, offset) : pread(fd, block, size, offset);
		memcpy(data, block, size);
	}
	if (n != (ssize_t)size)
		error_set_errno(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, n < 0 ? errno : EIO, "domain '%s': '%s' at %" PRId64, domain->id, path, offset);
	free(block);
	return n == (ssize_t)size;
}

static bool move_note(const struct domain *domain, const struct lease *lease, char *block, bool write, GError **error)
{
	const size_t size = block_size(domain);

	return move_block(domain, lease->path, lease->offset + (int64_t)(NOTE_BLOCK * size), block, size, write, error);
}

char *lock_read_note(const struct domain *domain, const struct lease *lease, GError **error)
{
	char block[BLOCK_ALIGN] = "";

	return move_note(domain, lease, block, /* write= */ false, error) ? g_strndup(block, LOCK_NOTE_MAX) : NULL;
}

bool lock_write_note(const struct domain *domain, const struct lease *lease, const char *note, GError **error)
{
	char block[BLOCK_ALIGN] = "";

	(void)g_strlcpy(block, note, LOCK_NOTE_MAX + 1);
	return move_note(domain, lease, block, /* write= */ true, error);
}

/*
 * Has the owner given it back? What says so in block 0 may be overwritten by another host that wanted the lease at the same moment and made the same owner of
 * it; the owner's own block still tells. sanlock looks there when it acquires, but not when it is asked for owners.
 */
static bool is_released(const struct domain *domain, const struct lease *lease, uint64_t host_id, uint64_t version)
{
	const size_t size = block_size(domain);
	char block[BLOCK_ALIGN] = "";
	struct host_block host;

	if (!move_block(domain, lease->path, lease->offset + (int64_t)(HOST_BLOCK(host_id) * size), block, size, /* write= */ false, NULL))
		return false;
	memcpy(&host, block, sizeof(host));
	return GUINT64_FROM_LE(host.lver) == version && (GUINT32_FROM_LE(host.flags) & HOST_RELEASED);
}

/* ---- host ids ---- */

#define JOIN_TRIES 3

bool shared_join(struct space *space, GError **error)
{
	struct sanlk_lockspace lockspace;
	int r = -EINPROGRESS;

	for (int i = 0; i < JOIN_TRIES && r == -EINPROGRESS; i++) {
		if (!space_of(space, &lockspace, error))
			return false;
		r = sanlock_add_lockspace_timeout(&lockspace, 0, (uint32_t)space->io_timeout_s);
		if (r != -EINPROGRESS || !space_of(space, &lockspace, NULL))
			break;
		r = sanlock_inq_lockspace(&lockspace, SANLK_INQ_WAIT);
		if (r == -ENOENT)        /* an agent that was killed was giving it back */
			r = -EINPROGRESS;
	}
	if (r == 0 || r == -EEXIST)
		return true;
	error_set(error, ERR_ACQUIRE_HOST_ID_FAILURE, "host id %d in domain '%s': %s (%d)", space->host_id, space->domain, reason(r), r);
	return false;
}

bool shared_leave(struct space *space, GError **error)
{
	struct sanlk_lockspace lockspace;
	int r;

	if (!space_of(space, &lockspace, error))
		return false;
	/* VMs that hold leases there keep it: sanlock would kill them otherwise */
	r = sanlock_rem_lockspace(&lockspace, SANLK_REM_UNUSED);
	if (r == 0 || r == -ENOENT || r == -EINPROGRESS)
		return true;
	error_set(error, ERR_RELEASE_HOST_ID_FAILURE, "host id %d in domain '%s': %s (%d)", space->host_id, space->domain,
		  r == -EBUSY ? "VMs or this agent hold leases there" : reason(r), r);
	return false;
}

bool shared_is_joined(const struct space *space)
{
	struct sanlk_lockspace lockspace;

	return space_of(space, &lockspace, NULL) && sanlock_inq_lockspace(&lockspace, 0) == 0;
}

int64_t shared_renewed_s(const struct space *space)
{
	struct sanlk_host *hosts = NULL;
	int64_t renewed_s = 0;
	int n = 0;

	if (sanlock_get_hosts(space->domain, (uint64_t)space->host_id, &hosts, &n, 0) == 0 && n == 1)
		renewed_s = (int64_t)hosts[0].timestamp;
	free(hosts);
	return renewed_s;
}

/* ---- leases ---- */

/* using_fd held */
static bool connect_space(struct space *space, GError **error)
{
	char arguments[] = KILL_ARGUMENTS;
	int r;

	if (space->fd >= 0)
		return true;
	if ((space->fd = sanlock_register()) < 0) {
		error_set(error, ERR_ACQUIRE_LOCK_FAILURE, "domain '%s': %s (%d)", space->domain, reason(space->fd), space->fd);
		return false;
	}
	(void)fcntl(space->fd, F_SETFD, FD_CLOEXEC);
	if ((r = sanlock_killpath(space->fd, SANLK_KILLPATH_PID, KILL_PATH, arguments)) < 0)
		log_warn("sanlock will end this agent if the storage of domain %s is lost: %s (%d)", space->domain, reason(r), r);
	return true;
}

/* Names of the leases that this process holds. using_fd held; NULL: sanlock does not say. */
static GHashTable *held(const struct space *space)
{
	GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	char *state = NULL;
	int n = 0, r = 0;

	if (space->fd >= 0 && (r = sanlock_inquire(space->fd, -1, 0, &n, &state)) < 0 && r != -ENOENT && r != -EPIPE) {
		g_hash_table_unref(names);
		return NULL;
	}
	/* "lockspace:name:path:offset:version lockspace:name:..." */
	if (state && *state) {
		g_auto(GStrv) words = g_strsplit(state, " ", -1);

		for (char **word = words; *word; word++) {
			g_auto(GStrv) parts = g_strsplit(*word, ":", 3);

			if (g_strv_length(parts) == 3 && !strcmp(parts[0], space->domain))
				g_hash_table_add(names, g_strdup(parts[1]));
		}
	}
	free(state);
	return names;
}

/* sanlock says -EEXIST of what this process holds, and of what another one of this host does: a VM, say. */
static bool is_held(const struct space *space, const char *name)
{
	g_autoptr(GHashTable) names = held(space);

	return names && g_hash_table_contains(names, name);
}

G_STATIC_ASSERT(SHARED_NOTED == SANLK_ACQUIRE_LVB && SHARED_NO_WAIT == SANLK_ACQUIRE_OWNER_NOWAIT);

bool shared_take(struct space *space, const struct lease *lease, uint32_t flags, int64_t *ret_version, GError **error)
{
	union resource wanted;
	struct sanlk_resource *list = &wanted.resource;
	int r;
	AUTO_LOCK(&space->using_fd);

	if (!set_resource(&wanted, space->domain, space->format, lease, error) || !connect_space(space, error))
		return false;
	r = sanlock_acquire(space->fd, -1, flags, 1, &list, NULL);
	if (r == -EPIPE || r == -ECONNRESET) {               /* the daemon was started anew */
		close(space->fd);
		space->fd = -1;
		if (!connect_space(space, error))
			return false;
		r = sanlock_acquire(space->fd, -1, flags, 1, &list, NULL);
	}
	if (r == 0 || (r == -EEXIST && !(flags & SHARED_NOTED) && is_held(space, lease->name))) {
		*ret_version = set_resource(&wanted, space->domain, space->format, lease, NULL) && sanlock_read_resource(list, 0) == 0 ?
				       (int64_t)list->lver : 0;
		return true;
	}
	error_set(error, ERR_ACQUIRE_LOCK_FAILURE, "lease '%s' of domain '%s': %s (%d)", lease->name, space->domain, reason(r), r);
	return false;
}

/* The whole block: sanlock leaves what the note does not cover as it was. */
bool shared_note(struct space *space, const struct lease *lease, const char *note, GError **error)
{
	char block[LOCK_NOTE_MAX + 1] = "";
	union resource resource;
	int r;

	if (!set_resource(&resource, space->domain, space->format, lease, error))
		return false;
	(void)g_strlcpy(block, note, sizeof(block));
	if ((r = sanlock_set_lvb(0, &resource.resource, block, sizeof(block))) >= 0)
		return true;
	error_set(error, ERR_SANLOCK_LVB_ERROR, "metadata of lease '%s' of domain '%s': %s (%d)", lease->name, space->domain, reason(r), r);
	return false;
}

bool shared_give(struct space *space, const struct lease *lease, GError **error)
{
	union resource wanted;
	struct sanlk_resource *list = &wanted.resource;
	int r;
	AUTO_LOCK(&space->using_fd);

	if (!set_resource(&wanted, space->domain, space->format, lease, error))
		return false;
	r = space->fd < 0 ? 0 : sanlock_release(space->fd, -1, 0, 1, &list);
	/* -ENOENT: it is gone already; a release that did not reach the storage is one that others wait out */
	if (r == 0 || r == -ENOENT || r == -EPIPE)
		return true;
	error_set(error, ERR_RELEASE_LOCK_FAILURE, "lease '%s' of domain '%s': %s (%d)", lease->name, space->domain, reason(r), r);
	return false;
}

GHashTable *shared_holds(struct space *space)
{
	AUTO_LOCK(&space->using_fd);

	return held(space);
}

bool shared_look(const struct domain *domain, const struct lease *lease, struct lease_owner *ret_owner, GError **error)
{
	struct lease_owner owner = { 0 };
	struct sanlk_host *owners = NULL, *hosts = NULL;
	union resource wanted;
	int n = 0, n_hosts = 0, r;
	uint32_t state = 0;

	if (!set_resource(&wanted, domain->id, shared_format(domain), lease, error))
		return false;
	r = sanlock_read_resource_owners(&wanted.resource, 0, &owners, &n);
	if (r < 0) {
		error_set(error, r == SANLK_LEADER_MAGIC || r == SANLK_LEADER_RESOURCE || r == SANLK_LEADER_LOCKSPACE ? ERR_NO_SUCH_LEASE : ERR_SANLOCK_INQUIRE_ERROR,
			  "lease '%s' of domain '%s': %s (%d)", lease->name, domain->id, reason(r), r);
		return false;
	}
	owner.version = (int64_t)wanted.resource.lver;
	if (n > 0 && !is_released(domain, lease, owners[0].host_id, wanted.resource.lver)) {
		owner.host_id = owners[0].host_id;
		/* of a host that this one cannot judge: as if it lived */
		owner.taken = sanlock_get_hosts(domain->id, 0, &hosts, &n_hosts, 0) < 0 ||
			      sanlock_test_resource_owners(&wanted.resource, 0, owners, n, hosts, n_hosts, &state) < 0 || (state & SANLK_TRF_FAIL);
	}
	free(owners);
	free(hosts);
	*ret_owner = owner;
	return true;
}

/* ---- areas ---- */

/* The daemon of this host may write it: its group is known by its name; where it has none it is root. Never through a link in a directory of others. */
static bool admit(const char *path)
{
	autofd fd = open(path, O_RDWR | O_CLOEXEC | (g_str_has_prefix(path, "/dev/") ? 0 : O_NOFOLLOW));
	char names[4096];
	struct group group, *found = NULL;

	return fd >= 0 && (getgrnam_r(DAEMON_GROUP, &group, names, sizeof(names), &found) != 0 || !found ||
			   (fchown(fd, (uid_t)-1, found->gr_gid) == 0 && fchmod(fd, 0660) == 0));
}

static bool wrote(int r, const struct domain *domain, const char *what, const char *path, GError **error)
{
	if (r == 0)
		return true;
	error_set(error, ERR_STORAGE_DOMAIN_ACCESS_ERROR, "domain '%s': %s in '%s': %s (%d)", domain->id, what, path, reason(r), r);
	return false;
}

bool lock_format(const struct domain *domain, GError **error)
{
	struct sanlk_lockspace lockspace;
	struct lease lease;
	g_autofree char *path = NULL, *lease_path = NULL, *group_path = NULL;
	int64_t offset;

	if (!(path = domain_area(domain, "ids", &offset, error)) || !lock_domain_lease(domain, &lease, error))
		return false;
	lease_path = (char *)lease.path;
	if (!lock_format_lease(domain, &lease, error))
		return false;
	if (domain->block) {
		if (!lock_group_lease(domain, &lease, error))
			return false;
		group_path = (char *)lease.path;
		if (!lock_format_lease(domain, &lease, error))
			return false;
	}
	return set_space(&lockspace, domain->id, 0, shared_format(domain), path, offset, error) &&
	       wrote(admit(path) ? sanlock_direct_write_lockspace(&lockspace, 0, 0, (uint32_t)lock_io_timeout_s(domain)) : -errno, domain, "host ids", path, error);
}

bool lock_format_lease(const struct domain *domain, const struct lease *lease, GError **error)
{
	union resource resource;

	return set_resource(&resource, domain->id, shared_format(domain), lease, error) &&
	       wrote(admit(lease->path) ? sanlock_direct_write_resource(&resource.resource, 0, 0, 0) : -errno, domain, lease->name, lease->path, error);
}

bool lock_format_volume(const struct domain *domain, const struct lease *lease, GError **error)
{
	return !domain_is_shared(domain) || lock_format_lease(domain, lease, error);
}

bool lock_clear_lease(const struct domain *domain, const struct lease *lease, GError **error)
{
	union resource resource;

	return set_resource(&resource, domain->id, shared_format(domain), lease, error) &&
	       wrote(sanlock_direct_write_resource(&resource.resource, 0, 0, SANLK_WRITE_CLEAR), domain, lease->name, lease->path, error);
}

/* The begin of a lease on disk, little endian (struct leader_record of sanlock's src/ondisk.h). */
struct leader { uint32_t magic, version, flags, sector_size; uint64_t num_hosts, max_hosts, owner, generation, lver; char space[48], resource[48]; };
#define LEADER_MAGIC 0x06152010u
static bool read_leader(const struct domain *domain, const char *path, int64_t offset, struct leader *ret_leader, GError **error)
{
	char block[BLOCK_ALIGN] = "";

	if (!move_block(domain, path, offset, block, sizeof(block), /* write= */ false, error))
		return false;
	memcpy(ret_leader, block, sizeof(*ret_leader));
	return true;
}

char *lock_read_lease(const struct domain *domain, const char *path, int64_t offset, GError **error)
{
	struct leader leader;

	if (!read_leader(domain, path, offset, &leader, error))
		return NULL;
	if (GUINT32_FROM_LE(leader.magic) != LEADER_MAGIC || strncmp(leader.space, domain->id, sizeof(leader.space)))
		return g_strdup("");
	return g_strndup(leader.resource, sizeof(leader.resource));
}

/* Host ids have the same begin, with another magic number. */
bool lock_format_new(const struct domain *domain, GError **error)
{
	g_autofree char *path = NULL;
	struct leader leader;
	int64_t offset;

	if (!domain_is_shared(domain))
		return true;
	if (!(path = domain_area(domain, "ids", &offset, error)) || !read_leader(domain, path, offset, &leader, error))
		return false;
	return leader.magic || lock_format(domain, error);
}
