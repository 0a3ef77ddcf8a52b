/* SPDX-License-Identifier: Apache-2.0 */
#define LOG_MODULE "virt"
#include "agent/virt/stats/balloons.h"

#include <inttypes.h>
#include "agent/virt/domain/domain_info.h"
#include "agent/virt/libvirt_connection.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

GArray *balloons_read(struct vms *vms)
{
	g_autoptr(GPtrArray) all = vms_all(vms);
	GArray *list = g_array_new(FALSE, TRUE, sizeof(struct balloon));

	for (guint i = 0; i < all->len; i++) {
		const struct vm *vm = all->pdata[i];
		struct balloon b;
		AUTO_LOCK(&vms->lock);

		if (vm->status == VM_WIRE_UP && !vm->late && !vm->leaving && !vm->arriving && vm->info && vm->info->balloon &&
		    vm_locked_balloon(vm, &b) && b.max_kib > 0)
			g_array_append_val(list, b);
	}
	return list;
}

void balloon_watch(struct balloon_watch *watch, const struct balloon *balloon, int64_t target_kib)
{
	bool shrink = target_kib && target_kib < balloon->current_kib, moved = !watch->asked || balloon->current_kib != watch->current_kib;

	if (!shrink || moved) {
		*watch = (struct balloon_watch){ .asked = shrink, .current_kib = balloon->current_kib, .sampled_usec = balloon->sampled_usec };
	} else if (balloon->sampled_usec > watch->sampled_usec) {
		watch->sampled_usec = balloon->sampled_usec;
		watch->ignored++;
	}
}

static void aim(struct vm *vm, void *data)
{
	int64_t *target = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(virDomain) domain = vm_domain(vm, &error);

	if (domain && virDomainSetMemoryFlags(domain, (unsigned long)*target, VIR_DOMAIN_AFFECT_LIVE) < 0)
		libvirt_error_set(&error, ERR_BALLOON_ERROR, "target %" PRId64 " KiB", *target);
	if (error)
		log_info("VM %s: balloon by policy: %s, ignoring", vm->id, error->message);
	g_free(target);
}

void balloon_aim(struct vms *vms, const struct balloon *balloon, int64_t target_kib)
{
	AUTO_VM vm = vms_lookup(vms, balloon->id);
	g_autoptr(GError) error = NULL;
	g_autofree char *name = NULL;
	unsigned before, ignored;
	int64_t *target;

	if (!vm)
		return;
	{
		AUTO_LOCK(&vms->lock);
		before = vm->balloon.ignored;
		balloon_watch(&vm->balloon, balloon, target_kib);
		ignored = vm->balloon.ignored;
		name = g_strdup(vm->name);
	}
	if (before < BALLOON_IGNORED && ignored >= BALLOON_IGNORED)
		log_warn("VM %s: %s ignores its balloon: asked %u times to go below %" PRId64 " KiB, it did not move", vm->id, name, ignored + 1, balloon->current_kib);
	if (!target_kib)
		return;
	/* in MOM's words: people look for them */
	log_info("VM %s: Ballooning guest:%s from %" PRId64 " to %" PRId64, vm->id, name, balloon->current_kib, target_kib);
	target = g_memdup2(&target_kib, sizeof(target_kib));
	if (vm_queue_on(vm, "balloon", "balloon by policy", aim, target, g_free, &error))
		return;
	log_info("VM %s: balloon by policy: %s, ignoring", vm->id, error->message);
	g_free(target);
}
