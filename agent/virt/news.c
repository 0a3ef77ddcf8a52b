/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/news.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include "agent/virt/vm.h"
#include "common/lock.h"

struct item { enum news_kind kind; int detail; };

struct news_wait {
	struct vm *vm;
	char *subject;
	pthread_cond_t come;
	GArray *items;                /* struct item; under vms->lock */
	bool stopped;
};

struct news_wait *news_wait_new(struct vm *vm, const char *subject)
{
	struct news_wait *wait = g_new0(struct news_wait, 1);
	pthread_condattr_t monotonic;

	wait->vm = vm_ref(vm);
	wait->subject = g_strdup(subject);
	wait->items = g_array_new(FALSE, FALSE, sizeof(struct item));
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&wait->come, &monotonic);
	pthread_condattr_destroy(&monotonic);
	AUTO_LOCK(&vm->vms->lock);
	vm->waits = g_slist_prepend(vm->waits, wait);
	return wait;
}

struct news_wait *news_wait_free(struct news_wait *wait)
{
	if (!wait)
		return NULL;
	{
		AUTO_LOCK(&wait->vm->vms->lock);
		wait->vm->waits = g_slist_remove(wait->vm->waits, wait);
	}
	pthread_cond_destroy(&wait->come);
	g_array_unref(wait->items);
	g_free(wait->subject);
	vm_unref(wait->vm);
	g_free(wait);
	return NULL;
}

bool news_next(struct news_wait *wait, int64_t timeout_usec, enum news_kind *ret_kind, int *ret_detail, GError **error)
{
	int64_t until = now_usec() + timeout_usec;
	struct timespec limit = { .tv_sec = until / G_USEC_PER_SEC, .tv_nsec = until % G_USEC_PER_SEC * 1000 };
	int r = 0;

	AUTO_LOCK(&wait->vm->vms->lock);
	while (!wait->items->len && !wait->stopped && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&wait->come, &wait->vm->vms->lock, &limit);
	if (wait->items->len) {
		const struct item *item = &g_array_index(wait->items, struct item, 0);

		*ret_kind = item->kind;
		if (ret_detail)
			*ret_detail = item->detail;
		g_array_remove_index(wait->items, 0);
		return true;
	}
	if (wait->stopped)
		error_set(error, ERR_VM_IS_DOWN, "{'vmId': '%s'}", wait->vm->id);
	else
		error_set(error, ERR_RESOURCE_TIMEOUT, "VM %s: nothing was heard of %s for %.0f s", wait->vm->id, wait->subject ? wait->subject : "it",
			  (double)timeout_usec / 1e6);
	return false;
}

void news_tell(struct vm *vm, enum news_kind kind, const char *subject, int detail)
{
	AUTO_LOCK(&vm->vms->lock);
	for (GSList *link = vm->waits; link; link = link->next) {
		struct news_wait *wait = link->data;
		struct item item = { kind, detail };

		if (kind == NEWS_STOPPED)
			wait->stopped = true;
		else if (wait->subject && g_strcmp0(wait->subject, subject))
			continue;
		else {
			if (wait->items->len == NEWS_KEPT_MAX)
				g_array_remove_index(wait->items, 0);
			g_array_append_val(wait->items, item);
		}
		pthread_cond_signal(&wait->come);
	}
}
