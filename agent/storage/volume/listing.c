/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All volumes of a domain, also of one with ten thousand images: the names in an image's directory are remembered with the directory's time of change,
 * and read again only when that is another one. Whoever changes it, also on another host, changes the time. A directory that changed just now may change
 * once more within one tick of its clock, so it is not remembered until it has rested for LISTING_REST_S.
 *
 * Remembered is what the last listing of each domain saw; while one is made the domain's table is taken out, so nothing is locked while storage is read.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include "agent/storage/storage-priv.h"

#define LISTING_REST_S 5

struct seen { struct timespec changed; GPtrArray *volumes; };

static struct { pthread_mutex_t lock; GHashTable *domains; } listings = { .lock = PTHREAD_MUTEX_INITIALIZER };      /* id -> table: image -> seen */

static void seen_free(void *data)
{
	struct seen *seen = data;

	g_ptr_array_unref(seen->volumes);
	g_free(seen);
}

static GHashTable *table_new(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, seen_free);
}

/* NULL: nothing is remembered. */
static GHashTable *take(const char *domain)
{
	gpointer id = NULL, table = NULL;
	AUTO_LOCK(&listings.lock);

	if (!listings.domains || !g_hash_table_steal_extended(listings.domains, domain, &id, &table))
		return NULL;
	g_free(id);
	return table;
}

static void put(const char *domain, GHashTable *table)
{
	AUTO_LOCK(&listings.lock);
	if (!listings.domains)
		listings.domains = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
	g_hash_table_replace(listings.domains, g_strdup(domain), table);
}

/* Of one image; moved from the old table to the new one, or read. NULL + error */
static GPtrArray *volumes_of(const struct domain *domain, int images_fd, const char *image, GHashTable *old, GHashTable *new, GError **error)
{
	struct seen *seen = old ? g_hash_table_lookup(old, image) : NULL;
	GPtrArray *volumes;
	struct stat st;

	if (images_fd < 0 || fstatat(images_fd, image, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return domain->form->list(domain, image, error);
	if (seen && seen->changed.tv_sec == st.st_mtim.tv_sec && seen->changed.tv_nsec == st.st_mtim.tv_nsec) {
		gpointer key = NULL, value = NULL;

		g_hash_table_steal_extended(old, image, &key, &value);
		g_hash_table_insert(new, key, value);
		return g_ptr_array_ref(seen->volumes);
	}
	volumes = domain->form->list(domain, image, error);
	if (volumes && time(NULL) - st.st_mtim.tv_sec > LISTING_REST_S) {
		seen = g_new(struct seen, 1);
		*seen = (struct seen){ st.st_mtim, g_ptr_array_ref(volumes) };
		g_hash_table_replace(new, g_strdup(image), seen);
	}
	return volumes;
}

GPtrArray *listing_all(const struct domain *domain, GError **error)
{
	g_autoptr(GPtrArray) images = image_list(domain, error);
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GHashTable) old = images ? take(domain->id) : NULL;
	g_autoptr(GHashTable) new = table_new();
	autofd images_fd = domain->fd < 0 ? -1 : files_open_dir(domain->fd, DIR_IMAGES);

	for (guint i = 0; images && i < images->len; i++) {
		g_autoptr(GPtrArray) volumes = volumes_of(domain, images_fd, images->pdata[i], old, new, error);

		if (!volumes)
			return NULL;
		for (guint j = 0; j < volumes->len; j++) {
			char *volume;

			if (g_hash_table_contains(known, volumes->pdata[j]))
				continue;       /* a shared one: it is in each image that is based on it */
			volume = g_strdup(volumes->pdata[j]);
			g_hash_table_add(known, volume);
			g_ptr_array_add(all, volume);
		}
	}
	if (!images)
		return NULL;
	put(domain->id, g_steal_pointer(&new));
	return g_steal_pointer(&all);
}
