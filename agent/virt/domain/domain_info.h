/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DOMAIN_DOMAIN_INFO_H
#define BERTH_AGENT_VIRT_DOMAIN_DOMAIN_INFO_H
/* What the XML of a running domain says, once read. Immutable (but for `text`), reference-counted. Pure. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "proto/vm.h"

/* lun_guid: of a direct LUN; guest_name: device in the guest, "/dev/vda" */
struct domain_disk { char *target, *alias, *path, *domain_id, *image_id, *lun_guid, *serial, *guest_name; bool removable; };
struct domain_nic { char *target, *mac, *model; };

struct domain_info {
	int refs;
	char *name, *hash;
	bool acpi, agent_channel, agent_connected, balloon, kvm, external;      /* external: it has a TPM of swtpm or UEFI variables */
	bool kill_paused;                   /* metadata resumeBehavior "kill": one that an I/O error paused for too long is ended */
	bool leave_paused;                  /* "leave_paused": it does not go on by itself */
	int vcpus;
	int64_t memory_kib, max_memory_kib;
	int64_t vcpu_quota, vcpu_period;    /* us; 0: not set */
	int vcpu_limit;                     /* the policy: % of the host's processors; 0: none */
	json_t *io_tune;                    /* [{name, path, ioTune}] of the disks that have limits; NULL: none has */
	GPtrArray *disks, *nics;            /* struct domain_disk, domain_nic */
	GPtrArray *displays;                /* struct vm_display */
	double start_time;                  /* 0: not known */
	struct vm_params *params;           /* what it was started with; NULL: not known */
	json_t *custom;                     /* custom properties; NULL: none */
	char *text;                         /* its members of VM.getStats, once they were written (vm_stats.c; under its lock) */
};

/* NULL + error when it is no domain XML. ours: it carries our metadata. */
struct domain_info *domain_info_read(const char *xml, bool *ret_ours, GError **error);
struct domain_info *domain_info_ref(struct domain_info *info);
void domain_info_unref(struct domain_info *info);          /* NULL accepted */
const struct domain_disk *domain_info_disk(const struct domain_info *info, const char *alias_or_path);
/* By the name of its link on the host. info may be NULL. */
const struct domain_nic *domain_info_nic(const struct domain_info *info, const char *target);

#endif
