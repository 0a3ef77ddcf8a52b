/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage of this host.
 *
 *   connection/    where storage comes from: directories, mounts, iSCSI sessions, disks; errand.c keeps what hangs there off all others
 *   domain.c       one domain on disk: layout, metadata, making and erasing
 *   form/          where the parts of a domain lie: in files, or in logical volumes of a group on those disks (its files: block.h)
 *   volume/        volumes in a domain, images: chains of them that a VM opens; chain.c: what block jobs of a running VM make of them
 *   data/          jobs that change data (data.c): sdm.c, merge.c, image_copy.c, image_delete.c, volume_size.c, volume_convert.c, volume_parent.c; claim.c
 *                  keeps them apart, endpoint.c and chain_data.c are what they read and write, thin.c looks into images through qemu-nbd
 *   pool/          attached, active: links <repository>/<pool>/<domain>; the pool this host is in: joined, made, ended, its master; spm.c: who
 *                  manages it; ovf.c: definitions of VMs it keeps
 *   lease/         host ids and leases between hosts, with their time diary (lock.c); leases with names, and jobs under them (job_lease.c)
 *   health.c       is it still there; room.c: space for volumes that grow
 *   transfer/      data to and from elsewhere: NBD servers, image tickets, web servers (transfer.h)
 *   managed.c      volumes of other providers
 *   qemu_img.c, metadata.c, files.c: tools
 *
 * Truth is on disk. In memory are only where a domain was seen last (`places`, may be wrong, checked at use) and which domains are active
 * (`watched`, the copy of the links). Verbs of a domain run on its lane, one after the other, and so do its long jobs; storage_prepare() runs beside
 * them on a VM's lane: it reads, and what it reads is replaced by renames only.
 *
 * Killed at any instant: domains and volumes are made under temporary names; what is half made is removed by the job "recover", which each active
 * domain gets on its lane at start before any verb, and by connect, activate and the next attempt.
 *
 * Permissions: directories 0755, volumes 0660 root; libvirt gives a volume to QEMU's user when a VM starts and takes it back.
 * Limits: a metadata block 64 KiB, a chain VOLUME_CHAIN_MAX volumes, a volume VOLUME_SIZE_MAX bytes.
 */
#define LOG_MODULE "storage"
#include "agent/storage/storage-priv.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/storage/data/data.h"
#include "agent/storage/form/block.h"
#include "agent/storage/lease/lock.h"
#include "agent/storage/pool/pool.h"
#include "agent/storage/transfer/service.h"
#include "agent/storage/transfer/transfer.h"
#include "common/log.h"

static void mutex_free(void *mutex)
{
	pthread_mutex_destroy(mutex);
	g_free(mutex);
}

void storage_moments(struct storage *storage, storage_moment find)
{
	storage->moment = find;
}

char *storage_moment_url(struct storage *storage, const struct storage_disk *disk, const char *moment, GError **error)
{
	if (storage->moment)
		return storage->moment(storage->agent, disk, moment, error);
	error_set(error, ERR_NO_SUCH_CHECKPOINT_ERROR, "%s: no VMs run here", moment);
	return NULL;
}

struct storage *storage_ref(struct storage *storage)
{
	__atomic_add_fetch(&storage->refs, 1, __ATOMIC_RELAXED);
	return storage;
}

void storage_unref(void *data)
{
	struct storage *storage = data;

	if (!storage || __atomic_sub_fetch(&storage->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	g_hash_table_unref(storage->places);
	g_hash_table_unref(storage->groups);
	g_hash_table_unref(storage->pictures);
	g_hash_table_unref(storage->holds);
	g_hash_table_unref(storage->vm_holds);
	g_hash_table_unref(storage->group_locks);
	g_hash_table_unref(storage->watched);
	g_hash_table_unref(storage->changing);
	g_hash_table_unref(storage->claims);
	transfer_free(storage->transfer);
	locks_free(storage->locks);
	pool_free(storage->pool);
	pthread_mutex_destroy(&storage->lock);
	g_free(storage->repository);
	g_free(storage);
}

struct storage *storage_free(struct storage *storage)
{
	if (storage) {
		transfer_stop(storage->transfer);
		storage->timer = timer_free(storage->timer);
	}
	storage_unref(storage);
	return NULL;
}

static void recover(struct storage *storage, const char *id)
{
	g_autoptr(GError) problem = NULL;
	autodomain domain = domain_open(storage, id, &problem);

	if (domain) {
		volume_sweep(domain);
		if (domain->block)
			block_idle(domain);
	} else
		log_error("recover storage domain %s: %s", id, problem->message);
	health_check(storage, id);
}

/* sanlock is about to end who holds leases of storage that is lost. */
static void give_up(void *data)
{
	struct storage *storage = data;

	lock_give_up(storage->locks, storage->agent->jobs);
}

/* Asks the daemon: not on the loop. */
static void on_leases_lost(void *data)
{
	struct storage *storage = data;
	g_autoptr(GError) problem = NULL;

	if (lane_submit(storage->agent->lanes, "leases",
			&(struct lane_job){ .name = "give leases up", .run = give_up, .data = storage_ref(storage), .free_data = storage_unref }, &problem))
		return;
	log_error("leases are not given up: %s", problem->message);
	storage_unref(storage);
}

static bool make_repository(const char *repository, GError **error)
{
	g_autofree char *links = g_build_filename(repository, DIR_LINKS, NULL);

	if (g_mkdir_with_parents(links, 0755) < 0 || chmod(repository, 0755) < 0 || chmod(links, 0755) < 0) {
		error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "'%s'", links);
		return false;
	}
	return true;
}

struct storage *storage_new(struct agent *agent, const char *repository, GError **error)
{
	struct storage *storage;
	g_autofree gpointer *domains = NULL;
	guint n = 0;

	if (!make_repository(repository, error))
		return NULL;
	storage = g_new0(struct storage, 1);
	storage->refs = 1;
	storage->agent = agent;
	storage->repository = g_strdup(repository);
	pthread_mutex_init(&storage->lock, NULL);
	storage->places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	storage->groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
	storage->pictures = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, picture_free);
	storage->holds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	storage->vm_holds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
	storage->group_locks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	storage->watched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, watched_free);
	storage->changing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, mutex_free);
	storage->claims = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	storage->locks = locks_new();
	storage->low_percent = agent->config ? (int)config_int(agent->config, "storage", "low_space") : STORAGE_LOW_PERCENT;
	storage->timer = timer_new(agent->loop, health_tick, storage);
	loop_on_signal(agent->loop, SIGUSR2, on_leases_lost, storage);
	switch_register(storage);
	data_register(storage);
	image_share_register(storage);
	block_register(storage);
	if (!pool_load(storage, error))
		return storage_free(storage);
	{
		AUTO_LOCK(&storage->lock);
		domains = g_hash_table_get_keys_as_array(storage->watched, &n);
		for (guint i = 0; i < n; i++)
			domains[i] = g_strdup(domains[i]);
	}
	for (guint i = 0; i < n; i++) {
		(void)storage_submit(storage, "domain", domains[i], "recover", recover);
		g_free(domains[i]);
	}
	if (n)
		timer_set(storage->timer, STORAGE_HEALTH_USEC);
	if (agent->config)
		transfer_begin(storage);
	return storage;
}

void storage_reload(struct storage *storage)
{
	service_reload(storage->transfer->service);
}

bool storage_prepare(struct storage *storage, const char *vm, const char *domain_id, const char *image, const char *volume, char **ret_path,
		     const char **ret_format, GError **error)
{
	autodomain domain = NULL;
	struct chain_hold hold;

	if (!files_is_uuid(domain_id) || !files_is_uuid(image) || !files_is_uuid(volume)) {
		error_set(error, ERR_VOLUME_DOES_NOT_EXIST, "domain '%s', image '%s', volume '%s' are no ids", domain_id, image, volume);
		return false;
	}
	domain = domain_open_active(storage, domain_id, error);
	if (!domain || !chain_hold(&hold, domain, image, volume, /* write= */ true, /* allow_illegal= */ false, error))
		return false;
	if (domain->block)
		block_give(domain, vm, hold.volumes);
	*ret_path = g_steal_pointer(&hold.path);
	*ret_format = hold.format;
	chain_keep(&hold);
	return true;
}

static void idle(struct storage *storage, const char *id)
{
	autodomain domain = domain_open(storage, id, NULL);

	if (domain && domain->block)
		block_idle(domain);
}

void storage_rest(struct storage *storage, const char *vm)
{
	g_autoptr(GPtrArray) domains = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	gpointer domain;

	block_take_back(storage, vm);
	{
		AUTO_LOCK(&storage->lock);
		g_hash_table_iter_init(&iter, storage->watched);
		while (g_hash_table_iter_next(&iter, &domain, NULL))
			if (g_hash_table_contains(storage->groups, domain))
				g_ptr_array_add(domains, g_strdup(domain));
	}
	for (guint i = 0; i < domains->len; i++)
		(void)storage_submit(storage, "idle", domains->pdata[i], "deactivate what nobody uses", idle);
}

static bool is_block(struct storage *storage, const char *domain)
{
	AUTO_LOCK(&storage->lock);

	return g_hash_table_contains(storage->groups, domain);
}

void storage_rest_disk(struct storage *storage, const char *vm, const struct storage_disk *disk, const GPtrArray *used)
{
	g_autoptr(GError) problem = NULL;
	g_autoptr(GPtrArray) chain = NULL;
	autodomain domain = NULL;

	if (!is_block(storage, disk->domain))
		return;
	domain = domain_open_active(storage, disk->domain, &problem);
	chain = domain ? chain_list(domain, disk->image, disk->volume, &problem) : NULL;
	if (!chain) {
		log_warn("volumes of image %s stay active until VM %s ends: %s, ignoring", disk->image, vm, problem->message);
		return;
	}
	for (guint i = 0; i < chain->len; i++)
		if (!g_ptr_array_find_with_equal_func((GPtrArray *)used, chain->pdata[i], g_str_equal, NULL))
			block_take_one_back(storage, vm, disk->domain, chain->pdata[i]);
	(void)storage_submit(storage, "idle", disk->domain, "deactivate what nobody uses", idle);
}

/* ---- verbs of domains ---- */

static bool create_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return domain_create(agent->storage, data, error);
}

static bool attach_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct domain_pool_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);

	return domain && pool_attach(agent->storage, domain, params->pool_id, error);
}

static bool activate_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct domain_pool_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);

	return domain && pool_activate(agent->storage, domain, params->pool_id, error);
}

static bool deactivate_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct domain_pool_params *params = data;

	if (!pool_deactivate(agent->storage, params->domain_id, params->pool_id, error))
		return false;
	domain_rest(agent->storage, params->domain_id);
	return true;
}

static bool detach_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct domain_pool_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);

	return domain && pool_detach(agent->storage, domain, params->pool_id, params->force, error);
}

static bool format_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct domain_id_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);

	if (!domain)
		return false;
	if (domain_pool(domain)[0]) {
		g_autofree char *pool = g_strdup(domain_pool(domain));

		if (!params->auto_detach) {
			error_set(error, ERR_CANNOT_FORMAT_ATTACHED_STORAGE_DOMAIN, "domain '%s' is attached to pool '%s'", domain->id, pool);
			return false;
		}
		if (!pool_detach(agent->storage, domain, pool, /* force= */ false, error))
			return false;
	}
	return domain_remove(agent->storage, domain, error);
}

static bool info_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct domain_id_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	g_autofree char *active = domain ? pool_of_active(agent->storage, domain->id) : NULL;
	struct domain_info *info;

	if (!domain)
		return false;
	info = record_new(&domain_info_type);
	info->uuid = g_strdup(domain->id);
	info->type = g_strdup(metadata_get(domain->values, "TYPE"));
	info->class_ = g_strdup(metadata_get(domain->values, "CLASS"));
	info->name = g_strdup(metadata_get(domain->values, "DESCRIPTION"));
	info->role = g_strdup(metadata_get(domain->values, "ROLE"));
	info->remote_path = g_strdup(metadata_get(domain->values, "REMOTE_PATH"));
	info->version = g_strdup(metadata_get(domain->values, "VERSION"));
	info->master_ver = g_strdup_printf("%" PRId64, metadata_get_int(domain->values, "MASTER_VERSION", 0));
	info->lver = g_strdup("-1");
	info->spm_id = g_strdup("-1");
	info->pool = strings_new();
	if (domain_pool(domain)[0]) {
		g_ptr_array_add(info->pool, g_strdup(domain_pool(domain)));
		info->state = g_strdup(active ? "active" : "inactive");
	}
	if (domain->block)
		info->vg_uuid = g_strdup(domain->block->group_id);
	SET(info, block_size, (int)metadata_get_int(domain->values, "BLOCK_SIZE", 512));
	SET(info, alignment, (int)metadata_get_int(domain->values, "ALIGNMENT", 1 << 20));
	result_record(ret_result, info);
	record_unref(info);
	return true;
}

static bool stats_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct domain_id_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	struct domain_stats *stats;
	int64_t total, available;
	unsigned warnings;

	if (!domain || !domain->form->space(domain, &total, &available, error))
		return false;
	stats = record_new(&domain_stats_type);
	SET(stats, disk_total, total);
	SET(stats, disk_free, available);
	warnings = domain_warnings(domain);
	if (domain->block) {
		stats->md_valid = g_strdup(domain->block->partial || (warnings & DOMAIN_SMALL_METADATA) ? "false" : "true");
		stats->md_threshold = g_strdup(warnings & DOMAIN_FULL_METADATA ? "false" : "true");
		stats->md_size = g_strdup_printf("%" PRId64, domain->block->mda_size);
		stats->md_free = g_strdup_printf("%" PRId64, domain->block->mda_free);
	}
	stats->alerts = domain_alerts(warnings);
	result_record(ret_result, stats);
	record_unref(stats);
	return true;
}

static bool images_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct domain_id_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	g_autoptr(GPtrArray) images = domain ? image_list(domain, error) : NULL;
	json_t *ids;

	if (!images)
		return false;
	ids = json_array();
	for (guint i = 0; i < images->len; i++)
		json_array_append_new(ids, json_string(images->pdata[i]));
	result_json(ret_result, ids);
	return true;
}

static bool validate_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct domain_id_params *params = data;
	autodomain domain = domain_open(agent->storage, params->domain_id, error);
	int version;

	return domain && domain_probe(domain, &version, error) && domain->form->check(domain, error);
}

const struct verb_binding storage_bindings[] = {
	{ "StoragePool.connectStorageServer", connection_connect_verb },
	{ "StoragePool.disconnectStorageServer", connection_disconnect_verb },
	{ "StorageDomain.create", create_verb },
	{ "StorageDomain.attach", attach_verb },
	{ "StorageDomain.activate", activate_verb },
	{ "StorageDomain.deactivate", deactivate_verb },
	{ "StorageDomain.detach", detach_verb },
	{ "StorageDomain.format", format_verb },
	{ "StorageDomain.getInfo", info_verb },
	{ "StorageDomain.getStats", stats_verb },
	{ "StorageDomain.getImages", images_verb },
	{ "StorageDomain.validate", validate_verb },
	{ "Volume.create", volume_create_verb },
	{ "Volume.delete", volume_delete_verb },
	{ "Volume.getInfo", volume_info_verb },
	{ "Volume.getSize", volume_size_verb },
	{ "Image.prepare", image_prepare_verb },
	{ "Image.teardown", image_teardown_verb },
};
const size_t n_storage_bindings = G_N_ELEMENTS(storage_bindings);
