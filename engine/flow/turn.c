/* SPDX-License-Identifier: Apache-2.0 */
/* A turn exists as long as somebody has it or waits for it. */
#include "engine/flow/turn.h"

#include <stdarg.h>

#include "common/lane.h"
#include "common/lock.h"

struct turn { char *name; unsigned users; pthread_mutex_t mutex; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *turns;

struct turn *turn_take(const char *format, ...)
{
	g_autofree char *name = NULL;
	struct turn *turn;
	va_list list;

	va_start(list, format);
	name = g_strdup_vprintf(format, list);
	va_end(list);
	{
		AUTO_LOCK(&lock);
		if (!turns)
			turns = g_hash_table_new(g_str_hash, g_str_equal);
		turn = g_hash_table_lookup(turns, name);
		if (!turn) {
			turn = g_new0(struct turn, 1);
			turn->name = g_steal_pointer(&name);
			pthread_mutex_init(&turn->mutex, NULL);
			g_hash_table_insert(turns, turn->name, turn);
		}
		turn->users++;
	}
	lane_wait_begin();
	pthread_mutex_lock(&turn->mutex);
	lane_wait_end();
	return turn;
}

void turn_drop(struct turn **taken)
{
	struct turn *turn = *taken;
	AUTO_LOCK(&lock);

	pthread_mutex_unlock(&turn->mutex);
	if (--turn->users)
		return;
	g_hash_table_remove(turns, turn->name);
	pthread_mutex_destroy(&turn->mutex);
	g_free(turn->name);
	g_free(turn);
}
