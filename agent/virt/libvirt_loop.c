/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's event loop on ours.
 *
 * libvirt adds, changes and removes its descriptors and timers from any thread, also while their callbacks run; our loop's watches and
 * timers belong to the loop's thread. So each has a record here: any thread changes what is *wanted* under the lock and posts
 * apply(), which makes the watch or timer so, on the loop. A callback runs without the lock, and only if it is still wanted; libvirt
 * copes with one that comes just after it asked for silence. What libvirt wants freed is freed from apply(), never from inside its own call.
 */
#define LOG_MODULE "virt"
#include <libvirt/libvirt.h>
#include "agent/virt/libvirt_connection.h"
#include "common/lock.h"

struct source {
	int id;
	bool is_timer, removed, posted;
	int fd, events;                 /* VIR_EVENT_HANDLE_*; wanted */
	int timeout_ms;                 /* -1: off; wanted */
	virEventHandleCallback handle;
	virEventTimeoutCallback timeout;
	void *opaque;
	virFreeCallback free_opaque;
	struct watch *watch;            /* loop only */
	struct timer *timer;
};

static struct {
	pthread_mutex_t lock;
	struct loop *loop;
	GHashTable *sources;            /* id -> struct source */
	int next_id;
} impl = { .lock = PTHREAD_MUTEX_INITIALIZER, .next_id = 1 };

static void ready(int fd, unsigned what, void *data)
{
	struct source *source = data;
	virEventHandleCallback handle = NULL;
	int events = (what & WATCH_READ ? VIR_EVENT_HANDLE_READABLE : 0) | (what & WATCH_WRITE ? VIR_EVENT_HANDLE_WRITABLE : 0);

	{
		AUTO_LOCK(&impl.lock);
		events &= source->events | VIR_EVENT_HANDLE_ERROR | VIR_EVENT_HANDLE_HANGUP;
		if (!source->removed && events)
			handle = source->handle;
	}
	if (handle)
		handle(source->id, fd, events, source->opaque);
}

static void due(void *data)
{
	struct source *source = data;
	virEventTimeoutCallback timeout = NULL;

	{
		AUTO_LOCK(&impl.lock);
		if (!source->removed && source->timeout_ms >= 0) {
			timeout = source->timeout;
			timer_set(source->timer, MAX(source->timeout_ms, 1) * INT64_C(1000));
		}
	}
	if (timeout)
		timeout(source->id, source->opaque);
}

/* On the loop: makes it so. */
static void apply(void *data)
{
	struct source *source = data;
	bool removed;
	int events, timeout_ms;

	{
		AUTO_LOCK(&impl.lock);
		source->posted = false;
		removed = source->removed;
		events = source->events;
		timeout_ms = source->timeout_ms;
	}
	if (removed) {
		watch_free(source->watch);
		timer_free(source->timer);
		if (source->free_opaque)
			source->free_opaque(source->opaque);
		g_free(source);
		return;
	}
	if (source->is_timer) {
		if (!source->timer)
			source->timer = timer_new(impl.loop, due, source);
		if (timeout_ms < 0)
			timer_cancel(source->timer);
		else
			timer_set(source->timer, timeout_ms * INT64_C(1000));
		return;
	}
	if (!source->watch)
		source->watch = watch_new(impl.loop, source->fd, ready, source);
	watch_set(source->watch, (events & VIR_EVENT_HANDLE_READABLE ? WATCH_READ : 0) | (events & VIR_EVENT_HANDLE_WRITABLE ? WATCH_WRITE : 0));
}

/* Lock held. */
static void post(struct source *source)
{
	if (source->posted || !impl.loop)
		return;
	source->posted = true;
	loop_post(impl.loop, apply, source, NULL);
}

static int add(struct source *source)
{
	AUTO_LOCK(&impl.lock);
	if (!impl.loop) {
		g_free(source);
		return -1;
	}
	source->id = impl.next_id++;
	g_hash_table_insert(impl.sources, GINT_TO_POINTER(source->id), source);
	post(source);
	return source->id;
}

static int add_handle(int fd, int events, virEventHandleCallback callback, void *opaque, virFreeCallback free_opaque)
{
	struct source *source = g_new0(struct source, 1);

	source->fd = fd;
	source->events = events;
	source->timeout_ms = -1;
	source->handle = callback;
	source->opaque = opaque;
	source->free_opaque = free_opaque;
	return add(source);
}

static int add_timeout(int timeout_ms, virEventTimeoutCallback callback, void *opaque, virFreeCallback free_opaque)
{
	struct source *source = g_new0(struct source, 1);

	source->is_timer = true;
	source->timeout_ms = timeout_ms;
	source->timeout = callback;
	source->opaque = opaque;
	source->free_opaque = free_opaque;
	return add(source);
}

static void update_handle(int id, int events)
{
	struct source *source;

	AUTO_LOCK(&impl.lock);
	source = impl.sources ? g_hash_table_lookup(impl.sources, GINT_TO_POINTER(id)) : NULL;
	if (source && source->events != events) {
		source->events = events;
		post(source);
	}
}

static void update_timeout(int id, int timeout_ms)
{
	struct source *source;

	AUTO_LOCK(&impl.lock);
	source = impl.sources ? g_hash_table_lookup(impl.sources, GINT_TO_POINTER(id)) : NULL;
	if (source && !(source->timeout_ms < 0 && timeout_ms < 0)) {
		source->timeout_ms = timeout_ms;
		post(source);
	}
}

static int remove_source(int id)
{
	struct source *source;

	AUTO_LOCK(&impl.lock);
	source = impl.sources ? g_hash_table_lookup(impl.sources, GINT_TO_POINTER(id)) : NULL;
	if (!source)
		return -1;
	g_hash_table_remove(impl.sources, GINT_TO_POINTER(id));
	source->removed = true;
	post(source);
	return 0;
}

void libvirt_loop_register(struct loop *loop)
{
	{
		AUTO_LOCK(&impl.lock);
		impl.loop = loop;
		if (!impl.sources)
			impl.sources = g_hash_table_new(NULL, NULL);
	}
	virEventRegisterImpl(add_handle, update_handle, remove_source, add_timeout, update_timeout, remove_source);
}

void libvirt_loop_unregister(void)
{
	AUTO_LOCK(&impl.lock);
	impl.loop = NULL;
}
