/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_LOCK_H
#define BERTH_COMMON_LOCK_H
/*
 * AUTO_LOCK(&mutex): held until the end of the block.
 *
 * Plain pthread mutexes, not GMutex: ThreadSanitizer sees them even when GLib itself is not instrumented.
 */
#include <pthread.h>
#include <glib.h>

static inline pthread_mutex_t *lock_take(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	return mutex;
}

static inline void lock_drop(pthread_mutex_t **mutex)
{
	pthread_mutex_unlock(*mutex);
}

#define AUTO_LOCK(mutex) __attribute__((cleanup(lock_drop), unused)) pthread_mutex_t *G_PASTE(lock_, __COUNTER__) = lock_take(mutex)

#endif
