/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_LOCK_H
#define BERTH_COMMON_LOCK_H
/*
 * AUTO_LOCK(&mutex), AUTO_READ(&rwlock), AUTO_WRITE(&rwlock): held until the end of the block.
 *
 * Plain pthread locks, not those of GLib: ThreadSanitizer sees them even when GLib itself is not instrumented.
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

static inline pthread_rwlock_t *rwlock_read(pthread_rwlock_t *lock)
{
	pthread_rwlock_rdlock(lock);
	return lock;
}

static inline pthread_rwlock_t *rwlock_write(pthread_rwlock_t *lock)
{
	pthread_rwlock_wrlock(lock);
	return lock;
}

static inline void rwlock_leave(pthread_rwlock_t **lock)
{
	pthread_rwlock_unlock(*lock);
}

#define AUTO_READ(lock) __attribute__((cleanup(rwlock_leave), unused)) pthread_rwlock_t *G_PASTE(rwlock_, __COUNTER__) = rwlock_read(lock)
#define AUTO_WRITE(lock) __attribute__((cleanup(rwlock_leave), unused)) pthread_rwlock_t *G_PASTE(rwlock_, __COUNTER__) = rwlock_write(lock)

#endif
