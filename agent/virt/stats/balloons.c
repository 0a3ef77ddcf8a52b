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

static void aim(struct vm *vm, void *data)
{
	int64_t *target = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(virDomain) domain = vm_domain(vm, &error);

	if (domain && virDomainSetMemoryFlags(domain, (unsigned long)*target, VIR_DOMAIN_AFFECT_LIVE) < 0)
		libvirt_error_set(&error, ERR_BALLOON_ERROR, "target %" PRId64 " KiB", *target);
	if (error)
		log_info("VM %s: balloon by policy: %s, ignoring", vm->id, error->message);
	else
		log_debug("VM %s: balloon by policy to %" PRId64 " KiB", vm->id, *target);
	g_free(target);
}

void balloon_aim(struct vms *vms, const char *id, int64_t target_kib)
{
	AUTO_VM vm = vms_lookup(vms, id);
	g_autoptr(GError) error = NULL;
	int64_t *target = g_memdup2(&target_kib, sizeof(target_kib));

	if (vm && vm_queue_on(vm, "balloon", "balloon by policy", aim, target, g_free, &error))
		return;
	if (error)
		log_info("VM %s: balloon by policy: %s, ignoring", id, error->message);
	g_free(target);
}
