/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invocations: what became of an action or a creation that the client was not made to wait for.
 *
 * pending -> in_progress -> complete | failed. An ended one is kept for the retention time (1 h), and at most INVOCATIONS_MAX are kept in all: beyond
 * that the oldest ended ones go first. One that is still running is never dropped. They live in memory: after a restart the engine does not know them
 * and answers as for an expired one, with the way to the object itself, whose state is the truth.
 */
#include <string.h>
#include "common/lock.h"
#include "common/loop.h"
#include "engine/api/api-priv.h"

#define INVOCATIONS_MAX 10000

struct invocation {
	char *href;                      /* of the object it works on */
	void *record;
	enum action_state state;
	char *reason, *detail;
	int64_t ended_usec;
};

struct invocations {
	pthread_mutex_t lock;
	GHashTable *by_id;
	GQueue ended;                    /* ids, oldest first */
	int64_t retention_usec;
};

static void invocation_free(gpointer data)
{
	struct invocation *invocation = data;
	g_free(invocation->href);
	record_unref(invocation->record);
	g_free(invocation->reason);
	g_free(invocation->detail);
	g_free(invocation);
}

struct invocations *invocations_new(int64_t retention_usec)
{
	struct invocations *invocations = g_new0(struct invocations, 1);
	pthread_mutex_init(&invocations->lock, NULL);
	invocations->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, invocation_free);
	invocations->retention_usec = retention_usec ? retention_usec : 3600 * (int64_t)G_USEC_PER_SEC;
	return invocations;
}

struct invocations *invocations_free(struct invocations *invocations)
{
	if (!invocations)
		return NULL;
	g_hash_table_unref(invocations->by_id);
	g_queue_clear_full(&invocations->ended, g_free);
	pthread_mutex_destroy(&invocations->lock);
	g_free(invocations);
	return NULL;
}

static void expire(struct invocations *invocations)
{
	int64_t now = now_usec();
	while (invocations->ended.length > 0) {
		const char *id = g_queue_peek_head(&invocations->ended);
		const struct invocation *invocation = g_hash_table_lookup(invocations->by_id, id);
		bool over = !invocation || now - invocation->ended_usec > invocations->retention_usec ||
			    g_hash_table_size(invocations->by_id) > INVOCATIONS_MAX;
		if (!over)
			break;
		char *oldest = g_queue_pop_head(&invocations->ended);
		g_hash_table_remove(invocations->by_id, oldest);
		g_free(oldest);
	}
}

char *invocation_begin(struct invocations *invocations, const char *href, void *record)
{
	char *id = g_uuid_string_random();
	struct invocation *invocation = g_new0(struct invocation, 1);
	invocation->href = g_strdup(href);
	invocation->record = record_ref(record);
	AUTO_LOCK(&invocations->lock);
	expire(invocations);
	g_hash_table_replace(invocations->by_id, g_strdup(id), invocation);
	return id;
}

void invocation_run(struct invocations *invocations, const char *id)
{
	AUTO_LOCK(&invocations->lock);
	struct invocation *invocation = g_hash_table_lookup(invocations->by_id, id);
	if (invocation && invocation->state == ACTION_PENDING)
		invocation->state = ACTION_IN_PROGRESS;
}

void invocation_end(struct invocations *invocations, const char *id, void *record, const GError *error)
{
	AUTO_LOCK(&invocations->lock);
	struct invocation *invocation = g_hash_table_lookup(invocations->by_id, id);
	if (!invocation)
		return;
	invocation->state = error ? ACTION_FAILED : ACTION_COMPLETE;
	invocation->ended_usec = now_usec();
	if (error)
		fault_split(error, &invocation->reason, &invocation->detail);
	if (record) {
		record_unref(invocation->record);
		invocation->record = record_ref(record);
	}
	g_queue_push_tail(&invocations->ended, g_strdup(id));
	expire(invocations);
}

bool invocation_find(struct invocations *invocations, const char *id, const char *href, enum action_state *ret_state, void **ret_record, char **ret_reason,
		     char **ret_detail) {
	AUTO_LOCK(&invocations->lock);
	expire(invocations);
	const struct invocation *invocation = g_hash_table_lookup(invocations->by_id, id);
	if (!invocation || !g_str_has_suffix(href, invocation->href))
		return false;
	*ret_state = invocation->state;
	*ret_record = record_ref(invocation->record);
	*ret_reason = g_strdup(invocation->reason);
	*ret_detail = g_strdup(invocation->detail);
	return true;
}
