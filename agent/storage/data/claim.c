/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: a job that reads or changes the data of an image has a claim on it, so that no other job changes it meanwhile. They are in memory only: after
 * a restart of the agent the journaled jobs take theirs again, and what comes in before finds QEMU's locks, generations and legality, which stand on the
 * storage and hold between hosts, too. Key: "<domain>/<image>"; value: readers, or -1 for the one that changes it.
 */
#include "agent/storage/data/data.h"
#include "common/error.h"

#define WRITER (-1)

static char *key_of(const char *domain, const char *image)
{
	return g_strconcat(domain, "/", image, NULL);
}

/* Lock held. */
static int count_of(struct storage *storage, const char *key)
{
	return GPOINTER_TO_INT(g_hash_table_lookup(storage->claims, key));
}

/* Lock held. Several claims of one job on one image count as the strongest: callers give each image once. */
static bool is_free(struct storage *storage, const char *domain, const char *image, bool write, GError **error)
{
	g_autofree char *key = key_of(domain, image);
	int count = count_of(storage, key);

	if (count == 0 || (count > 0 && !write))
		return true;
	error_set(error, ERR_VOLUME_IS_BUSY, "image '%s' is %s by another job", image, count == WRITER ? "being changed" : "being read");
	return false;
}

bool claim_take(struct storage *storage, const struct claim *claims, size_t n, GError **error)
{
	AUTO_LOCK(&storage->lock);
	for (size_t i = 0; i < n; i++)
		if (!is_free(storage, claims[i].domain, claims[i].image, claims[i].write, error))
			return false;
	for (size_t i = 0; i < n; i++) {
		char *key = key_of(claims[i].domain, claims[i].image);
		int count = claims[i].write ? WRITER : count_of(storage, key) + 1;

		g_hash_table_replace(storage->claims, key, GINT_TO_POINTER(count));
	}
	return true;
}

void claim_drop(struct storage *storage, const struct claim *claims, size_t n)
{
	{
		AUTO_LOCK(&storage->lock);
		for (size_t i = 0; i < n; i++) {
			char *key = key_of(claims[i].domain, claims[i].image);
			int count = claims[i].write ? 0 : count_of(storage, key) - 1;

			if (count > 0) {
				g_hash_table_replace(storage->claims, key, GINT_TO_POINTER(count));
				continue;
			}
			g_hash_table_remove(storage->claims, key);
			g_free(key);
		}
	}
	jobs_wake_type(storage->agent->jobs, "storage");
}

bool claim_check(struct storage *storage, const char *domain, const char *image, bool write, GError **error)
{
	AUTO_LOCK(&storage->lock);
	return is_free(storage, domain, image, write, error);
}
