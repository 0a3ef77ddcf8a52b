/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See ref_id.h. The copies are found in tables, of which each has a lock of its own. Only under it does a copy come, or lose its last holder.
 */
#include "common/ref_id.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ref_id { gint holders; char text[]; };

#define SHELVES 16
static struct shelf { pthread_mutex_t lock; GHashTable *texts; } shelves[SHELVES] = { [0 ... SHELVES - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER } };

guint id_hash(gconstpointer id)
{
	size_t length = strlen(id);
	uint64_t hash = length, word;

	for (const char *p = id; length > 0; p += MIN(length, sizeof(word)), length -= MIN(length, sizeof(word))) {
		word = 0;
		memcpy(&word, p, MIN(length, sizeof(word)));
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	return (guint)hash;
}

static struct shelf *shelf_of(const char *id)
{
	return &shelves[id_hash(id) % SHELVES];
}

static struct ref_id *of_text(const char *text)
{
	return (struct ref_id *)(uintptr_t)(text - offsetof(struct ref_id, text));
}

const char *ref_id_new(const char *id)
{
	struct shelf *shelf = id ? shelf_of(id) : NULL;
	struct ref_id *copy;
	size_t size;
	char *text;

	if (!id)
		return NULL;
	pthread_mutex_lock(&shelf->lock);
	if (!shelf->texts)
		shelf->texts = g_hash_table_new(id_hash, g_str_equal);
	text = g_hash_table_lookup(shelf->texts, id);
	if (text) {
		g_atomic_int_inc(&of_text(text)->holders);
	} else {
		size = strlen(id) + 1;
		copy = g_malloc(sizeof(*copy) + size);
		copy->holders = 1;
		text = memcpy(copy->text, id, size);
		g_hash_table_add(shelf->texts, text);
	}
	pthread_mutex_unlock(&shelf->lock);
	return text;
}

const char *ref_id_ref(const char *id)
{
	if (id)
		g_atomic_int_inc(&of_text(id)->holders);
	return id;
}

void ref_id_unref(const char *id)
{
	struct shelf *shelf;
	gint holders;

	if (!id)
		return;
	while ((holders = g_atomic_int_get(&of_text(id)->holders)) > 1)
		if (g_atomic_int_compare_and_exchange(&of_text(id)->holders, holders, holders - 1))
			return;
	shelf = shelf_of(id);
	pthread_mutex_lock(&shelf->lock);
	if (g_atomic_int_dec_and_test(&of_text(id)->holders)) {
		g_hash_table_remove(shelf->texts, id);
		if (g_hash_table_size(shelf->texts) == 0)
			g_clear_pointer(&shelf->texts, g_hash_table_unref);
		g_free(of_text(id));
	}
	pthread_mutex_unlock(&shelf->lock);
}
