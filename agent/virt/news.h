/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_NEWS_H
#define BERTH_AGENT_VIRT_NEWS_H
/*
 * What happens to a VM, for a worker that waits for it: "the device is gone" after a detach, "the disk's job is ready".
 *
 * A wait is opened before libvirt is asked, so that nothing told in between is lost; it keeps what comes until it is read. News reach a wait straight
 * from the loop, not by the VM's lane: the one who waits usually sits on that lane. The end of the VM ends every wait.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "common/error.h"

struct vm;

enum news_kind {
	NEWS_DEVICE_REMOVED,          /* subject: alias */
	NEWS_DEVICE_KEPT,             /* the guest refused to let it go; subject: alias */
	NEWS_BLOCK_JOB,               /* subject: target ("vda"); detail: virConnectDomainEventBlockJobStatus */
	NEWS_FREEZE,                  /* what a freeze came to is known (freeze.c) */
	NEWS_IO_ERROR,                /* it paused the VM */
	NEWS_STOPPED,                 /* ends every wait */
};
#define NEWS_KEPT_MAX 64              /* a wait that does not read loses the oldest */

struct news_wait;
/* subject: the one device it is about; NULL: any. Holds the VM. Not under vms->lock. */
struct news_wait *news_wait_new(struct vm *vm, const char *subject);
struct news_wait *news_wait_free(struct news_wait *wait);
/* The next news. false: ERR_RESOURCE_TIMEOUT when none came in time, ERR_VM_IS_DOWN when the VM ended. */
bool news_next(struct news_wait *wait, int64_t timeout_usec, enum news_kind *ret_kind, int *ret_detail, GError **error);

static inline void news_wait_free_at(struct news_wait **wait)
{
	news_wait_free(*wait);
}
#define AUTO_NEWS __attribute__((cleanup(news_wait_free_at))) struct news_wait *

/* Tells all who wait for this VM's. Any thread, not under vms->lock; subject may be NULL. */
void news_tell(struct vm *vm, enum news_kind kind, const char *subject, int detail);

#endif
